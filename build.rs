//! Generates the parser's tables from `grammar/tri.lalrpop`, and lists of the files that the binary holds: the modules
//! of `stdlib/` and what lies in `templates/`, whose folders also give the names of targets.

use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=grammar/tri.lalrpop");
    println!("cargo::rerun-if-changed=stdlib");
    println!("cargo::rerun-if-changed=templates");
    write_library_list()?;
    write_template_list()?;
    lalrpop::Configuration::new().set_in_dir("grammar").process()
}

/// Writes `[(module, text), ...]` in the order of the names, those in subfolders last:
/// `stdlib/models/llama.tri` is `models.llama`.
fn write_library_list() -> Outcome<()> {
    let mut modules: Vec<(String, String)> = files("stdlib")?
        .into_iter()
        .filter_map(|path| Some((path.strip_prefix("stdlib/")?.strip_suffix(".tri")?.replace('/', "."), path)))
        .collect();
    modules.sort_by_key(|(module, _)| (module.matches('.').count(), module.clone()));
    write_list("stdlib.rs", &modules)
}

/// Writes `[(name, text), ...]` of all templates: `templates/pytorch/ops.toml` is `pytorch/ops.toml`.
fn write_template_list() -> Outcome<()> {
    let files = files("templates")?.into_iter();
    let mut names: Vec<(String, String)> =
        files.filter_map(|path| Some((path.strip_prefix("templates/")?.to_string(), path))).collect();
    names.sort();
    write_list("templates.rs", &names)?;
    // A target has a table of its own.
    let targets = names.iter().filter_map(|(name, _)| name.strip_suffix("/ops.toml"));
    let list = format!("&{:?}\n", targets.collect::<Vec<_>>());
    Ok(fs::write(PathBuf::from(env::var("OUT_DIR")?).join("target_names.rs"), list)?)
}

/// Paths are relative to the package, so that a folder which has moved builds again.
fn write_list(file: &str, entries: &[(String, String)]) -> Outcome<()> {
    let mut list = String::from("&[\n");
    for (name, path) in entries {
        let path = format!("/{path}");
        writeln!(list, "    ({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?}))),")?;
    }
    list.push_str("]\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join(file), list)?;
    Ok(())
}

/// All files below a folder of the package, with `/` between the parts of their paths.
fn files(folder: &str) -> Outcome<Vec<String>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let mut found = vec![];
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| format!("{name:?} is no text"))?;
        // What tools leave behind.
        if name.starts_with(['.', '_']) {
            continue;
        }
        let path = format!("{folder}/{name}");
        if entry.file_type()?.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}
