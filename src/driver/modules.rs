//! Modules on disk: which file a `use` finds.

use crate::analysis::Loader;
use crate::base::{Diagnostic, FileId, Source, code};
use crate::driver::{project_file, read};
use std::path::{Path, PathBuf};

/// Reads modules of a project. What a link leads out of it is refused.
pub struct FolderLoader {
    places: Option<Places>,
}

struct Places {
    /// The folder of the file that was opened, as it was named.
    own: PathBuf,
    /// From the project's root to that folder: `nets/small/`, or nothing.
    way: String,
    root: PathBuf,
}

/// The module key of a file, and the loader for what it uses. The project's root is where its project file lies; without
/// one, it is the file's folder. Standard input uses the standard library only.
pub fn of_file(path: &str) -> (String, FolderLoader) {
    if path == "-" {
        return ("main".to_string(), FolderLoader { places: None });
    }
    let file = Path::new(path);
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("main");
    let own = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (root, way) = root_of(own).unwrap_or_else(|| (own.to_path_buf(), String::new()));
    (format!("{way}{stem}"), FolderLoader { places: Some(Places { own: own.to_path_buf(), way, root }) })
}

/// The folder of the nearest project file, and the way from there.
fn root_of(own: &Path) -> Option<(PathBuf, String)> {
    let own = own.canonicalize().ok()?;
    let root = project_file::root(&own)?;
    let names: Option<Vec<&str>> = own.strip_prefix(root).ok()?.iter().map(|name| name.to_str()).collect();
    let way = names?.iter().map(|name| format!("{name}/")).collect();
    Some((project_file::as_typed(root), way))
}

impl Places {
    /// Where a module would lie. What lies beside the opened file is named as that was.
    fn file(&self, key: &str) -> PathBuf {
        match key.strip_prefix(&self.way) {
            Some(rest) => self.own.join(format!("{rest}.tri")),
            None => self.root.join(format!("{key}.tri")),
        }
    }
}

impl Loader for FolderLoader {
    fn load(&mut self, key: &str) -> Result<Option<Source>, Diagnostic> {
        let Some(places) = &self.places else { return Ok(None) };
        if key.starts_with("std:") {
            return Ok(None);
        }
        let path = places.file(key);
        if !path.is_file() {
            return Ok(None);
        }
        if let (Ok(inside), Ok(real)) = (places.root.canonicalize(), path.canonicalize())
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
