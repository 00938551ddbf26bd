//! The parts of the case runner (`tests/cases.rs`); `tests/harness.rs` tests them.
//!
//! A *case* is one `.tri` file under `tests/cases/`, with directives in its comments. It expands into
//! *trials*, each of which passes, fails, or is ignored with a reason.

// Each of the two programs that include this uses a part of it.
#![allow(dead_code)]

pub mod announced;
pub mod c_compilers;
pub mod c_models;
pub mod directives;
pub mod executors;
pub mod generate;
pub mod golden;
pub mod op_names;
pub mod optimised;
pub mod stack;
pub mod trials;
pub mod written;

pub use stack::with_deep_stack;
use std::path::{Path, PathBuf};

/// The folder of the package.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder whose name ends so, sorted.
pub fn files_below(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, String> {
    let mut files = vec![];
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries {
            let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
