//! Byte ranges in source text.

use crate::base::source::FileId;

/// A half-open byte range. Inside an item's tree it counts from the item's first byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn new(start: u32, end: u32) -> Self {
        Span { start, end }
    }

    /// The smallest span that covers both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Moves an item-relative span to file offsets.
    pub fn offset_by(self, base: u32) -> Span {
        Span { start: self.start + base, end: self.end + base }
    }

    pub fn contains(self, offset: u32) -> bool {
        self.start <= offset && offset <= self.end
    }
}

/// A place in a file: absolute bytes, and the 1-based line for comments in emitted code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Loc {
    pub file: FileId,
    pub span: Span,
    pub line: u32,
}
