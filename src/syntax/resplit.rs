//! The items of a text that is edited: only what the edit can reach is read again.
//!
//! Where an item begins and nothing of what stands before is still open, a reading of the whole text and one
//! that begins at that line find the same. So an edited text is read from such an item a little above the
//! first changed line, until an item begins below the change that began there before as well, in the same
//! state: from there on the items are the old ones, moved.
//!
//! What far parts of a text can have to do with each other is left to a whole reading: braces that do not
//! balance, limits, and closing brackets that are looked for ahead.

use crate::base::Span;
use crate::syntax::items::{RawItem, Reading, Trouble, read, split_all};
use crate::syntax::parse::MAX_FILE;
use std::ops::Range;

/// Items read again above the edit. The end of an item is known by the two tokens below it, and an item has
/// at least one.
const ABOVE: usize = 3;

/// The items of a text, to be kept up to date while it is edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    items: Vec<RawItem>,
    /// Each part of the text was cut without regard to others far away.
    is_local: bool,
}

/// Which items an edit replaced by how many others; those above stay, and those below only move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    pub old: Range<usize>,
    pub count: usize,
}

impl Split {
    pub fn new(text: &str) -> Split {
        let (items, is_local) = split_all(text);
        Split { items, is_local }
    }

    pub fn items(&self) -> &[RawItem] {
        &self.items
    }

    /// Makes this the items of `new`, which `old` became.
    pub fn edit(&mut self, old: &str, new: &str) -> Replaced {
        let edit = Edit::between(old, new);
        self.read_near(&edit).unwrap_or_else(|| {
            let count = self.items.len();
            *self = Split::new(new);
            Replaced { old: 0..count, count: self.items.len() }
        })
    }

    /// `None` if the whole text has to be read.
    fn read_near(&mut self, edit: &Edit<'_>) -> Option<Replaced> {
        if !self.is_local || edit.new.len() > MAX_FILE {
            return None;
        }
        let line = edit.old[..edit.start].rfind('\n').map_or(0, |at| at + 1);
        let above = self.items.partition_point(|item| (item.span.end as usize) < line);
        let known = &self.items[..above.saturating_sub(ABOVE)];
        let places = known.iter().enumerate().rev().filter(|(_, item)| item.apart);
        let mut places = places.filter_map(|(index, item)| Some((index, start_of_line(edit.old, item.span)?)));
        let (first, from) = places.next().unwrap_or((0, 0));
        let mut last = None;
        let Reading { items, trouble, is_local, stopped_at } = read(edit.new.get(from..)?, false, |item| {
            last = self.same_below(edit, item, from);
            last.is_some()
        });
        if !is_local || !matches!(trouble, Trouble::None) {
            return None;
        }
        debug_assert_eq!(last.is_some(), stopped_at.is_some());
        let last = last.unwrap_or(self.items.len());
        let moved = |span: Span| {
            let place = |place: u32| (i64::from(place) + edit.growth()) as u32;
            Span::new(place(span.start), place(span.end))
        };
        for item in &mut self.items[last..] {
            item.span = moved(item.span);
            if let Some(span) = &mut item.name_span {
                *span = moved(*span);
            }
        }
        let count = items.len();
        self.items.splice(first..last, items.into_iter().map(|item| item.offset_by(from as u32)));
        Some(Replaced { old: first..last, count })
    }

    /// The old item that begins where a new one does, below the edit and in the same state.
    fn same_below(&self, edit: &Edit<'_>, item: &RawItem, from: usize) -> Option<usize> {
        let start = from + item.span.start as usize;
        if !item.apart || start_of_line(edit.new, Span::new(start as u32, start as u32))? <= edit.new_end {
            return None;
        }
        let before = i64::try_from(start).ok()? - edit.growth();
        let index = self.items.binary_search_by_key(&before, |item| i64::from(item.span.start)).ok()?;
        self.items[index].apart.then_some(index)
    }
}

/// Where the line begins whose first token or documentation begins the span.
fn start_of_line(text: &str, span: Span) -> Option<usize> {
    let before = text.get(..span.start as usize)?;
    let line = before.trim_end_matches([' ', '\t', '\r']);
    (line.is_empty() || line.ends_with('\n')).then_some(line.len())
}

/// What became what.
struct Edit<'t> {
    old: &'t str,
    new: &'t str,
    /// Up to here both are the same.
    start: usize,
    /// From here on the new text is the end of the old one.
    new_end: usize,
}

impl<'t> Edit<'t> {
    fn between(old: &'t str, new: &'t str) -> Edit<'t> {
        let mut start = common_start(old.as_bytes(), new.as_bytes());
        while !old.is_char_boundary(start) || !new.is_char_boundary(start) {
            start -= 1;
        }
        let same = common_end(&old.as_bytes()[start..], &new.as_bytes()[start..]);
        Edit { old, new, start, new_end: new.len() - same }
    }

    /// By how much what stands below moves.
    fn growth(&self) -> i64 {
        self.new.len() as i64 - self.old.len() as i64
    }
}

/// Bytes compared at once.
const BLOCK: usize = 128;

fn common_start(a: &[u8], b: &[u8]) -> usize {
    let blocks = a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK)).take_while(|(a, b)| a == b).count() * BLOCK;
    blocks + a[blocks..].iter().zip(&b[blocks..]).take_while(|(a, b)| a == b).count()
}

fn common_end(a: &[u8], b: &[u8]) -> usize {
    let blocks = a.rchunks_exact(BLOCK).zip(b.rchunks_exact(BLOCK)).take_while(|(a, b)| a == b).count() * BLOCK;
    let (a, b) = (&a[..a.len() - blocks], &b[..b.len() - blocks]);
    blocks + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}
