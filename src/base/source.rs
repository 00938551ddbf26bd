//! Source files and their line starts.

use crate::base::span::Span;
use std::sync::{Arc, OnceLock};

/// What the names of the standard library's files begin with.
pub const LIBRARY_FOLDER: &str = "<std>/";

/// Index of a file in [`Sources`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// Byte offsets of line starts; converts offsets to lines and columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineIndex {
    starts: Vec<u32>,
    len: u32,
}

impl LineIndex {
    pub fn new(text: &str) -> Self {
        let mut starts = vec![0];
        starts.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i as u32 + 1));
        LineIndex { starts, len: text.len() as u32 }
    }

    /// The 0-based line of a byte offset; offsets past the end are on the last line.
    pub fn line(&self, offset: u32) -> u32 {
        self.starts.partition_point(|&start| start <= offset) as u32 - 1
    }

    /// First byte of a 0-based line.
    pub fn line_start(&self, line: u32) -> u32 {
        self.starts.get(line as usize).copied().unwrap_or(self.len)
    }

    pub fn line_count(&self) -> u32 {
        self.starts.len() as u32
    }
}

/// One file as the compiler saw it. `name` is what messages and emitted headers show: never absolute.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    pub text: Arc<str>,
    /// Made when a line is first asked for: most texts of a file that is edited are never shown.
    lines: OnceLock<LineIndex>,
}

impl PartialEq for Source {
    fn eq(&self, other: &Source) -> bool {
        self.name == other.name && self.text == other.text
    }
}

impl Eq for Source {}

impl Source {
    pub fn new(name: impl Into<String>, text: impl Into<Arc<str>>) -> Self {
        Source { name: name.into(), text: text.into(), lines: OnceLock::new() }
    }

    pub fn lines(&self) -> &LineIndex {
        self.lines.get_or_init(|| LineIndex::new(&self.text))
    }

    /// 1-based line, and 1-based column counted in characters.
    pub fn line_column(&self, offset: u32) -> (u32, u32) {
        let line = self.lines().line(offset);
        let start = self.lines().line_start(line) as usize;
        let upto = self.text.get(start..offset as usize).unwrap_or("");
        (line + 1, upto.chars().count() as u32 + 1)
    }

    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }
}

/// Every file that a diagnostic may point into. A copy shares the files.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Arc<Source>>,
}

impl Sources {
    pub fn add(&mut self, source: Source) -> FileId {
        self.files.push(Arc::new(source));
        FileId(self.files.len() as u32 - 1)
    }

    pub fn replace(&mut self, id: FileId, source: Source) {
        self.files[id.0 as usize] = Arc::new(source);
    }

    /// Forgets the files from this one on.
    pub fn truncate(&mut self, count: usize) {
        self.files.truncate(count);
    }

    pub fn len(&self) -> usize {
        self.files.len()
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub fn get(&self, id: FileId) -> &Source {
        &self.files[id.0 as usize]
    }

    pub fn iter(&self) -> impl Iterator<Item = (FileId, &Source)> {
        self.files.iter().enumerate().map(|(i, s)| (FileId(i as u32), &**s))
    }
}
