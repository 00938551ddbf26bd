//! Modules on disk: which file a `use` finds.

use crate::analysis::Loader;
use crate::base::{Diagnostic, FileId, Source, code};
use crate::driver::read;
use std::path::{Path, PathBuf};

/// Reads modules below a folder. What a link leads out of it is refused.
pub struct FolderLoader {
    root: Option<PathBuf>,
}

/// The module key of a file, and the loader for what it uses: the file's folder is the project's root.
/// Standard input uses the standard library only.
pub fn of_file(path: &str) -> (String, FolderLoader) {
    let file = Path::new(path);
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("main");
    if path == "-" {
        return ("main".to_string(), FolderLoader { root: None });
    }
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    (stem.to_string(), FolderLoader { root: Some(parent.to_path_buf()) })
}

impl Loader for FolderLoader {
    fn load(&mut self, key: &str) -> Result<Option<Source>, Diagnostic> {
        let Some(root) = &self.root else { return Ok(None) };
        if key.starts_with("std:") {
            return Ok(None);
        }
        let path = root.join(format!("{key}.tri"));
        if !path.is_file() {
            return Ok(None);
        }
        if let (Ok(inside), Ok(real)) = (root.canonicalize(), path.canonicalize())
            && !real.starts_with(inside)
        {
            let message = format!("module `{}` leads out of the project's folder", key.replace('/', "."));
            return Err(Diagnostic::new(code::E0106, message).note("help: move the file into the project"));
        }
        let Some(text) = path.to_str() else { return Ok(None) };
        read::read_source(text).map(Some).map_err(|error| {
            let mut diagnostic = (error.diagnose)(FileId::default());
            // Its text is not among the sources; the `use` that found it is the place.
            diagnostic.labels.clear();
            diagnostic
        })
    }
}
