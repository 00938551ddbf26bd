//! `fmt`: which files a path names, and each of them in the one style.

use super::{Failed, Session, artifact, read};
use crate::base::{Diagnostic, code};
use crate::syntax::format::{Unformatted, format};
use crate::weights::{FileError, reason};
use std::path::{Path, PathBuf};

/// A text before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formatted {
    /// For messages.
    pub name: String,
    pub before: String,
    pub after: String,
}

impl Formatted {
    pub fn is_changed(&self) -> bool {
        self.before != self.after
    }
}

/// Why a file was not formatted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// Errors were recorded in the session.
    Failed,
    /// A mistake of the formatter, to be reported by whoever sees it.
    Internal(String),
}

impl From<Failed> for FormatError {
    fn from(_: Failed) -> Self {
        FormatError::Failed
    }
}

impl Session {
    /// The files that a path names: itself, or every `.tri` file below a folder. Hidden files and folders
    /// are passed over there, and links are not followed.
    pub fn files_to_format(&mut self, path: &str) -> Result<Vec<String>, Failed> {
        if path == "-" || !Path::new(path).is_dir() {
            return Ok(vec![path.to_string()]);
        }
        let files = tri_files(Path::new(path)).map_err(|error| self.report_file(&error))?;
        if files.is_empty() {
            let message = format!("there are no `.tri` files in `{}`", read::display_name(path));
            self.report(Diagnostic::new(code::E0801, message));
            return Err(Failed);
        }
        Ok(files)
    }

    /// Formats a file, or standard input for `-`, and writes nothing.
    pub fn format(&mut self, path: &str) -> Result<Formatted, FormatError> {
        let source = match read::read_source(path) {
            Ok(source) => source,
            Err(read::ReadError { source, diagnose }) => {
                let file = source.map(|source| self.project.add_source(*source));
                self.report(diagnose(file.unwrap_or_default()));
                return Err(FormatError::Failed);
            }
        };
        match format(&source.text) {
            Ok(after) => Ok(Formatted { name: source.name.clone(), before: source.text.to_string(), after }),
            Err(Unformatted::Syntax(errors)) => {
                let file = self.project.add_source(source);
                self.report_all(errors.iter().map(|error| error.diagnostic(file, 0)))?;
                Err(FormatError::Failed)
            }
            Err(Unformatted::Altered(what)) => {
                Err(FormatError::Internal(format!("`{}` was left as it is: {what}", source.name)))
            }
        }
    }

    /// Puts the new text in the place of the old.
    pub fn replace(&mut self, path: &str, formatted: &Formatted) -> Result<(), Failed> {
        artifact::write_atomic(Path::new(path), formatted.after.as_bytes()).map_err(|error| self.report_file(&error))
    }
}

/// Every `.tri` file below a folder, in order.
fn tri_files(folder: &Path) -> Result<Vec<String>, FileError> {
    let mut files = vec![];
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let failed = |error: std::io::Error| FileError {
            code: code::E0801,
            message: format!("cannot be read: {}", reason(&error)),
            path: folder.clone(),
        };
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let path: PathBuf = entry.path();
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if hidden {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "tri") {
                files.extend(path.to_str().map(str::to_string));
            }
        }
    }
    files.sort();
    Ok(files)
}
