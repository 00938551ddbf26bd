//! How a weights file is read for a model: which names its tensors get, and whether floats may change their type.

use crate::base::Diagnostic;
use crate::base::code::{E0704, E0801, E0803};
use crate::weights::map::Rule;
use crate::weights::{Checkpoint, FileFormat, NameMap, View, map_file, reason};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// So many problems of a map are listed.
const MAX_LISTED: usize = 20;

/// `--map` and `--cast`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Each `FROM=TO`, or the path of a `.toml` file with rules.
    pub maps: Vec<String>,
    /// Float tensors become the declared float type.
    pub cast: bool,
}

/// Opens a checkpoint under the names that the maps give.
pub fn open(path: &Path, maps: &[String]) -> Result<View, Diagnostic> {
    let map = read_maps(maps)?;
    let checkpoint = Checkpoint::open(path).map_err(|error| Diagnostic::new(error.code, error.to_string()))?;
    if checkpoint.format == FileFormat::Npy {
        let message = format!("`{}` holds an array without a name, which cannot be weights", path.display());
        return Err(Diagnostic::new(E0803, message).note("help: save it as .npz or .safetensors, under its name"));
    }
    if map.rules.is_empty() {
        return Ok(View::from(checkpoint));
    }
    map.apply(checkpoint).map_err(|problems| {
        let message = format!("the name map does not fit `{}`", path.display());
        let more = problems.len().saturating_sub(MAX_LISTED);
        let shown = problems.into_iter().take(MAX_LISTED).fold(Diagnostic::new(E0704, message), Diagnostic::note);
        if more > 0 { shown.note(format!("... and {more} more")) } else { shown }
    })
}

fn read_maps(texts: &[String]) -> Result<NameMap, Diagnostic> {
    let mut map = NameMap::default();
    for text in texts {
        if text.ends_with(".toml") && !text.contains('=') {
            map.rules.extend(read_file(text)?.rules);
            continue;
        }
        let rule = Rule::parse(text).map_err(|why| {
            Diagnostic::new(E0704, format!("`--map {text}`: {why}"))
                .note("help: write it like `--map 'model.layers.{n}.*=blocks.{n}.*'`, or name a .toml file")
        })?;
        map.rules.push(rule);
    }
    Ok(map)
}

fn read_file(path: &str) -> Result<NameMap, Diagnostic> {
    let mut text = vec![];
    let read = File::open(path).and_then(|file| file.take(map_file::MAX_FILE + 1).read_to_end(&mut text));
    read.map_err(|error| Diagnostic::new(E0801, format!("`{path}` cannot be read: {}", reason(&error))))?;
    let refuse = |why: String| Diagnostic::new(E0704, format!("`{path}`: {why}"));
    if text.len() as u64 > map_file::MAX_FILE {
        return Err(refuse(format!("it is larger than {} MiB", map_file::MAX_FILE >> 20)));
    }
    let text = std::str::from_utf8(&text).map_err(|_| refuse("it is not UTF-8 text".to_string()))?;
    map_file::parse(text).map_err(refuse)
}
