//! Reading source files: size, encoding, and the name that messages show.

use crate::base::code::{E0009, E0010, E0801};
use crate::base::{Diagnostic, FileId, Source, Span, closest};
use crate::weights::reason;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Component, Path};

/// Larger sources are refused, as the language says: spans are 32 bits wide, and nobody wrote such a file.
pub const MAX_SOURCE: u64 = crate::syntax::MAX_FILE as u64;

/// So many files of a folder are looked at for a suggestion.
const MAX_LISTED: usize = 1000;

/// Why a source could not be read, as a diagnostic once the text (if any) has an id.
pub struct ReadError {
    pub source: Option<Box<Source>>,
    pub diagnose: Box<dyn FnOnce(FileId) -> Diagnostic>,
}

impl ReadError {
    fn new(diagnostic: Diagnostic) -> ReadError {
        ReadError { source: None, diagnose: Box::new(move |_| diagnostic) }
    }
}

/// Reads a file, or standard input for `-`.
pub fn read_source(path: &str) -> Result<Source, ReadError> {
    let bytes =
        if path == "-" { read_limited(std::io::stdin().lock()) } else { File::open(path).and_then(read_limited) };
    let name = display_name(path);
    let bytes = bytes.map_err(|error| {
        let diagnostic = Diagnostic::new(E0801, format!("`{name}` cannot be read: {}", reason(&error)));
        ReadError::new(match near_file(path).filter(|_| error.kind() == ErrorKind::NotFound) {
            Some(near) => diagnostic.note(format!("help: did you mean `{near}`?")),
            None => diagnostic,
        })
    })?;
    if bytes.len() as u64 > MAX_SOURCE {
        let message = format!("`{name}` is larger than {} MiB", MAX_SOURCE >> 20);
        return Err(ReadError::new(Diagnostic::new(E0009, message).note("help: keep large tables in a weights file")));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source::new(name, text)),
        Err(error) => Err(not_utf8(name, &error)),
    }
}

/// A file in the same folder whose name is nearly this one.
fn near_file(path: &str) -> Option<String> {
    let path = Path::new(path);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).ok()?.take(MAX_LISTED).flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| name.ends_with(".tri"));
    names.sort();
    let near = closest(path.file_name()?.to_str()?, names.iter().map(String::as_str))?;
    Some(display_name(path.with_file_name(near).to_str()?))
}

fn read_limited(reader: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![];
    reader.take(MAX_SOURCE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn not_utf8(name: String, error: &std::string::FromUtf8Error) -> ReadError {
    let at = error.utf8_error().valid_up_to() as u32;
    let byte = error.as_bytes().get(at as usize).copied().unwrap_or(0);
    let utf16 = matches!(error.as_bytes(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
    // What precedes the bad byte is the same in the lossy text, so the offset holds there too.
    let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
    let message = format!("`{}` is not UTF-8 text: byte 0x{byte:02x} at offset {at}", name);
    let help =
        if utf16 { "help: this looks like UTF-16; save the file as UTF-8" } else { "help: save the file as UTF-8" };
    let diagnose = move |file| {
        let span = Span::new(at, at + char::REPLACEMENT_CHARACTER.len_utf8() as u32);
        Diagnostic::new(E0010, message).primary(file, span, "not UTF-8").note(help)
    };
    ReadError { source: Some(Box::new(Source::new(name, text))), diagnose: Box::new(diagnose) }
}

/// The name for messages and emitted headers: relative to the current folder, never absolute.
pub fn display_name(path: &str) -> String {
    if path == "-" {
        return "<stdin>".to_string();
    }
    if matches!(path, "" | "." | "./") {
        return path.to_string();
    }
    let path = Path::new(path);
    let current = std::env::current_dir().unwrap_or_default();
    let below = path.strip_prefix(&current).unwrap_or(path);
    let shown = if below.is_absolute() {
        below.file_name().map(Path::new).unwrap_or(below)
    } else {
        below.strip_prefix(Component::CurDir).unwrap_or(below)
    };
    shown.to_string_lossy().replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(display_name("./models/a.tri"), "models/a.tri");
        assert_eq!(display_name("../a.tri"), "../a.tri");
        assert_eq!(display_name(here.join("sub/a.tri").to_str().unwrap()), "sub/a.tri");
        assert_eq!(display_name("/nowhere/else/a.tri"), "a.tri");
        assert_eq!(display_name("-"), "<stdin>");
    }
}
