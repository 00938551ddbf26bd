//! Generates the parser's tables from `grammar/tri.lalrpop`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=grammar/tri.lalrpop");
    lalrpop::Configuration::new().set_in_dir("grammar").process()
}
