//! Documents to lines.
//!
//! A group fits if it and what stands behind it, up to the next place where a line may end, stay within
//! the width. What stands behind may break, so the last of several groups in a row breaks first.

use super::doc::{Doc, Docs, ENDLESS, INDENT, Node, WIDTH};
use super::page::Page;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Flat,
    Broken,
}

/// What is still to be printed.
#[derive(Clone, Debug)]
enum Todo {
    Doc(Doc),
    /// Children of a fill from one of its separators on: first and last index.
    Fill(u32, u32),
}

/// Prints a document behind what the page holds.
pub fn render(docs: &Docs<'_>, doc: Doc, page: &mut Page) {
    let mut renderer = Renderer { docs, page, todo: vec![], broken: vec![false; docs.len()] };
    renderer.push(0, Mode::Broken, doc);
    while let Some((indent, mode, todo)) = renderer.todo.pop() {
        match todo {
            Todo::Doc(doc) => renderer.print(indent, mode, doc),
            Todo::Fill(next, end) => renderer.fill_on(indent, next, end),
        }
    }
}

struct Renderer<'d, 'a> {
    docs: &'d Docs<'a>,
    page: &'d mut Page,
    todo: Vec<(u32, Mode, Todo)>,
    /// Which groups were broken, by the index of their node.
    broken: Vec<bool>,
}

impl Renderer<'_, '_> {
    fn push(&mut self, indent: u32, mode: Mode, doc: Doc) {
        self.todo.push((indent, mode, Todo::Doc(doc)));
    }

    fn print(&mut self, indent: u32, mode: Mode, doc: Doc) {
        match self.docs.node(doc) {
            Node::Text(text) => self.page.text(text),
            Node::Line if mode == Mode::Flat => self.page.text(" "),
            Node::Soft if mode == Mode::Flat => {}
            Node::Line | Node::Soft => self.page.new_line(indent, false),
            Node::Hard { blank } => self.page.new_line(indent, *blank),
            Node::Suffix(comment) => self.page.suffix(comment),
            Node::Comment(comment) => self.page.comment(comment),
            Node::Spill if mode == Mode::Flat => {}
            Node::Spill => self.page.spill(indent),
            Node::Break => {}
            Node::Concat(range) => {
                for child in self.docs.children(range.clone()).iter().rev() {
                    self.push(indent, mode, *child);
                }
            }
            Node::Indent(inner) => self.push(indent + INDENT, mode, *inner),
            Node::Tight(inner) => self.push(indent, mode, *inner),
            Node::Group(inner) => {
                let mode =
                    if mode == Mode::Flat || self.fits(self.page.column(), doc) { Mode::Flat } else { Mode::Broken };
                self.broken[Docs::index(doc)] = mode == Mode::Broken;
                self.push(indent, mode, *inner);
            }
            Node::Fill(range) if mode == Mode::Flat => {
                for child in self.docs.children(range.clone()).iter().rev() {
                    self.push(indent, mode, *child);
                }
            }
            Node::Fill(range) => {
                let range = range.clone();
                if !range.is_empty() {
                    self.todo.push((indent, mode, Todo::Fill(range.start + 1, range.end)));
                    self.push(indent, Mode::Broken, self.docs.child(range.start));
                }
            }
            Node::IfBreak { broken, flat } => {
                self.push(indent, mode, if mode == Mode::Broken { *broken } else { *flat });
            }
            Node::IfBroken { group, broken, flat } => {
                self.push(indent, mode, if self.broken[Docs::index(*group)] { *broken } else { *flat });
            }
            Node::Follow(inner) => self.follow(indent, mode, doc, *inner),
        }
    }

    fn follow(&mut self, indent: u32, mode: Mode, doc: Doc, inner: Doc) {
        if mode == Mode::Flat || self.fits(self.page.column(), doc) {
            self.page.text(" ");
            self.push(indent, Mode::Flat, inner);
        } else if self.fits(indent + INDENT, inner) {
            self.page.new_line(indent + INDENT, false);
            self.push(indent + INDENT, Mode::Flat, inner);
        } else {
            self.page.text(" ");
            self.push(indent, Mode::Broken, inner);
        }
    }

    /// Goes on with a fill at a separator.
    fn fill_on(&mut self, indent: u32, separator: u32, end: u32) {
        if separator >= end {
            return;
        }
        let between = self.docs.child(separator);
        if separator + 1 >= end {
            return self.push(indent, Mode::Broken, between);
        }
        let content = self.docs.child(separator + 1);
        self.todo.push((indent, Mode::Broken, Todo::Fill(separator + 2, end)));
        self.push(indent, Mode::Broken, content);
        let column = self.page.column().saturating_add(self.docs.width(between));
        let mode = if self.fits(column, content) { Mode::Flat } else { Mode::Broken };
        self.push(indent, mode, between);
    }

    /// Whether a document fits on the line from a column on, together with what follows it there.
    fn fits(&self, column: u32, doc: Doc) -> bool {
        let Some(mut left) = WIDTH.checked_sub(column).and_then(|left| left.checked_sub(self.docs.width(doc))) else {
            return false;
        };
        for (_, _, todo) in self.todo.iter().rev() {
            let Todo::Doc(doc) = todo else { return true };
            match self.room(*doc, &mut left) {
                Some(fits) => return fits,
                None => continue,
            }
        }
        true
    }

    /// Takes the width of a document up to its first possible line end from `left`. The answer, if there is
    /// one: true at a line end, false where the room is used up.
    fn room(&self, doc: Doc, left: &mut u32) -> Option<bool> {
        let mut pending = vec![doc];
        while let Some(doc) = pending.pop() {
            match self.docs.node(doc) {
                // What cannot stand on one line breaks anyway.
                Node::Tight(inner) if self.docs.width(doc) == ENDLESS => pending.push(*inner),
                Node::Text(_) | Node::Tight(_) => match left.checked_sub(self.docs.width(doc)) {
                    Some(rest) => *left = rest,
                    None => return Some(false),
                },
                Node::Line | Node::Soft | Node::Hard { .. } | Node::Follow(_) => return Some(true),
                Node::Suffix(_) | Node::Comment(_) | Node::Spill | Node::Break => {}
                Node::Concat(range) | Node::Fill(range) => {
                    pending.extend(self.docs.children(range.clone()).iter().rev());
                }
                Node::Indent(inner) | Node::Group(inner) => pending.push(*inner),
                Node::IfBreak { broken, .. } => pending.push(*broken),
                Node::IfBroken { group, broken, flat } => {
                    pending.push(if self.broken[Docs::index(*group)] { *broken } else { *flat });
                }
            }
        }
        None
    }
}
