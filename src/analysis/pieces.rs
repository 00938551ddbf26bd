//! The texts of project files as inputs, a piece for each item, kept up to date under edits.
//!
//! What an edit costs is what salsa looks at again after a write: all that rests on inputs of the durability
//! that was written. So the durabilities are: `MEDIUM` for which items a file has, for the text of an item
//! that rests, and for what others see of any; `LOW` for the text of a few items that were typed in last.
//! While one types in a body, only what reads that body is looked at.
//!
//! The interface of an item that is typed in is an input of its own, written when it changes: were it computed
//! from the text, whatever reads it would be as changeable as the text.

use crate::analysis::db::{Content, Database, Piece, Placed, SourceFile, parse};
use crate::analysis::interface;
use crate::syntax::{RawItem, Replaced, Split};
use salsa::{Durability, Setter};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Items that count as typed in at a time, and that one edit may change to count as typing.
const MAX_ACTIVE: usize = 8;

/// How texts are cut, and which pieces there are.
#[derive(Default)]
pub struct Pieces {
    splits: HashMap<SourceFile, Split>,
    /// Pieces of no file, to be used again: salsa keeps inputs for ever.
    free: Vec<Piece>,
    /// The pieces typed in last, whose texts have a low durability.
    active: VecDeque<Piece>,
}

/// A file's fields that follow from its text.
pub struct Cut {
    pub outline: Arc<[Placed]>,
    pub starts: Arc<[u32]>,
}

impl Pieces {
    /// Cuts the text of a file that is to be.
    pub fn cut(&mut self, db: &mut Database, text: &str) -> (Split, Cut) {
        let split = Split::new(text);
        let outline = split.items().iter().map(|item| self.place(db, item, text)).collect();
        let starts = starts(&split);
        (split, Cut { outline, starts })
    }

    pub fn keep(&mut self, file: SourceFile, split: Split) {
        self.splits.insert(file, split);
    }

    /// Replaces the text of a file by another program.
    pub fn replace(&mut self, db: &mut Database, file: SourceFile, text: Arc<str>) {
        self.change(db, file, text, false);
    }

    /// Replaces the text of a file by what became of it.
    pub fn edit(&mut self, db: &mut Database, file: SourceFile, text: Arc<str>) {
        self.change(db, file, text, true);
    }

    fn change(&mut self, db: &mut Database, file: SourceFile, text: Arc<str>, is_typed: bool) {
        let Some(mut split) = self.splits.remove(&file) else { return };
        let old = file.text(db).clone();
        let Replaced { old: range, count } = split.edit(&old, &text);
        let items = &split.items()[range.start..range.start + count];
        let outline = file.outline(db).clone();
        if let Some(part) = self.update(db, &outline[range.clone()], items, &text, is_typed) {
            let (above, below) = (&outline[..range.start], &outline[range.end..]);
            let changed: Arc<[Placed]> = above.iter().chain(&part).chain(below).cloned().collect();
            file.set_outline(db).to(changed);
        }
        file.set_starts(db).to(starts(&split));
        file.set_text(db).to(text);
        self.splits.insert(file, split);
    }

    /// Gives each item its piece: of the old ones, that of the same kind and name. `None` if the items are the
    /// same as before but for their texts.
    fn update(
        &mut self,
        db: &mut Database,
        old: &[Placed],
        items: &[RawItem],
        text: &str,
        is_typed: bool,
    ) -> Option<Vec<Placed>> {
        let same = |placed: &Placed, item: &RawItem| placed.kind == item.kind && placed.name == item.name;
        if old.len() == items.len() && old.iter().zip(items).all(|(placed, item)| same(placed, item)) {
            let changed: Vec<(Piece, &str)> = old
                .iter()
                .zip(items)
                .map(|(placed, item)| (placed.piece, slice(text, item)))
                .filter(|(piece, text)| *piece.content(db).text != **text)
                .collect();
            let is_typed = is_typed && changed.len() <= MAX_ACTIVE;
            changed.into_iter().for_each(|(piece, text)| self.write(db, piece, text, is_typed));
            return None;
        }
        // What is the same at both ends keeps its place; between them the names tell.
        let unchanged = |placed: &Placed, item: &RawItem| {
            same(placed, item) && *placed.piece.content(db).text == *slice(text, item)
        };
        let above = old.iter().zip(items).take_while(|(placed, item)| unchanged(placed, item)).count();
        let (old_rest, items_rest) = (&old[above..], &items[above..]);
        let ends = old_rest.iter().rev().zip(items_rest.iter().rev());
        let below = ends.take_while(|(placed, item)| unchanged(placed, item)).count();
        let mut waiting: Vec<Option<&Placed>> = old_rest[..old_rest.len() - below].iter().map(Some).collect();
        let mut by_head: HashMap<_, VecDeque<usize>> = HashMap::new();
        for (index, placed) in waiting.iter().flatten().enumerate() {
            by_head.entry((placed.kind, placed.name.as_deref())).or_default().push_back(index);
        }
        let mut part = old[..above].to_vec();
        for item in &items_rest[..items_rest.len() - below] {
            let found = by_head.get_mut(&(item.kind, item.name.as_deref())).and_then(VecDeque::pop_front);
            part.push(match found.and_then(|index| waiting[index].take()) {
                Some(placed) => {
                    self.write(db, placed.piece, slice(text, item), false);
                    placed.clone()
                }
                None => self.place(db, item, text),
            });
        }
        part.extend_from_slice(&old[old.len() - below..]);
        self.free.extend(waiting.into_iter().flatten().map(|placed| placed.piece));
        Some(part)
    }

    /// A piece for an item that was not there before.
    fn place(&mut self, db: &mut Database, item: &RawItem, text: &str) -> Placed {
        let text = slice(text, item);
        let piece = match self.free.pop() {
            Some(piece) => {
                self.write(db, piece, text, false);
                piece
            }
            None => {
                Piece::builder(Content { text: text.into(), parsed: None }, None).durability(Durability::MEDIUM).new(db)
            }
        };
        Placed { kind: item.kind, name: item.name.clone(), piece }
    }

    fn write(&mut self, db: &mut Database, piece: Piece, text: &str, is_typed: bool) {
        if *piece.content(db).text == *text {
            return;
        }
        let (content, seen) = if is_typed {
            let parsed = parse(text);
            let seen = Arc::new(interface::of(&parsed.ast));
            (Content { text: text.into(), parsed: Some(Arc::new(parsed)) }, Some(seen))
        } else {
            (Content { text: text.into(), parsed: None }, None)
        };
        if *piece.seen(db) != seen {
            piece.set_seen(db).to(seen);
        }
        self.active.retain(|active| *active != piece);
        if is_typed {
            piece.set_content(db).with_durability(Durability::LOW).to(content);
            self.active.push_back(piece);
            if self.active.len() > MAX_ACTIVE
                && let Some(oldest) = self.active.pop_front()
            {
                let content = oldest.content(db).clone();
                oldest.set_content(db).with_durability(Durability::MEDIUM).to(content);
            }
        } else {
            piece.set_content(db).with_durability(Durability::MEDIUM).to(content);
        }
    }
}

fn slice<'t>(text: &'t str, item: &RawItem) -> &'t str {
    text.get(item.span.start as usize..item.span.end as usize).unwrap_or("")
}

fn starts(split: &Split) -> Arc<[u32]> {
    split.items().iter().map(|item| item.span.start).collect()
}
