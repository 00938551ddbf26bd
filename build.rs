//! Generates the parser's tables from `grammar/tri.lalrpop`, and the list of the standard library's modules
//! from the files in `stdlib/`.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=grammar/tri.lalrpop");
    println!("cargo::rerun-if-changed=stdlib");
    write_library_list()?;
    lalrpop::Configuration::new().set_in_dir("grammar").process()
}

/// Writes `[(module, text), ...]` in the order of the names, those in subfolders last:
/// `stdlib/models/llama.tri` is `models.llama`.
fn write_library_list() -> Outcome<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("stdlib");
    let mut modules = vec![];
    collect_modules(&root, "", &mut modules)?;
    modules.sort_by_key(|(module, _)| (module.matches('.').count(), module.clone()));
    let mut list = String::from("&[\n");
    for (module, path) in modules {
        // Relative to the package, so that a folder which has moved builds again.
        let path = format!("/stdlib/{}", path.strip_prefix(&root)?.display());
        writeln!(list, "    ({module:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?}))),")?;
    }
    list.push_str("]\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("stdlib.rs"), list)?;
    Ok(())
}

fn collect_modules(folder: &Path, prefix: &str, modules: &mut Vec<(String, PathBuf)>) -> Outcome<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        if path.is_dir() {
            collect_modules(&path, &format!("{prefix}{name}."), modules)?;
        } else if path.extension().is_some_and(|extension| extension == "tri") {
            modules.push((format!("{prefix}{name}"), path));
        }
    }
    Ok(())
}
