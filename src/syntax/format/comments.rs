//! The comments of a text, taken one after the other while the tree is printed.
//!
//! Trees hold no comments. The printer walks the tree in the order of the text; at each place that can hold
//! a comment it takes those that stand before that place in the text. A comment that stood behind something
//! on its line is *trailing* and goes to the end of the line that is being written; one with a line of its
//! own gets such a line again where the place has room for one.

use crate::syntax::token::{Comment, comments};
use std::cell::Cell;

/// Where the printer is among the comments. Offsets count from the start of the file.
#[derive(Debug)]
pub struct Comments<'a> {
    text: &'a str,
    list: Vec<Comment>,
    next: Cell<usize>,
}

/// What stands between two things that are printed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Gap<'a> {
    /// Comments behind the first thing, on its line.
    pub trailing: Vec<&'a str>,
    /// Comments on lines of their own; whether an empty line stands above each.
    pub own: Vec<(bool, &'a str)>,
    /// Whether an empty line stands above the second thing.
    pub blank: bool,
}

impl Gap<'_> {
    pub fn has_comments(&self) -> bool {
        !self.trailing.is_empty() || !self.own.is_empty()
    }

    /// Puts an empty line into the gap, if it has none.
    pub fn separate(&mut self) {
        if self.blank || self.own.iter().any(|(blank, _)| *blank) {
            return;
        }
        match self.own.first_mut() {
            Some((blank, _)) => *blank = true,
            None => self.blank = true,
        }
    }
}

impl<'a> Comments<'a> {
    pub fn of(text: &'a str) -> Comments<'a> {
        Comments { text, list: comments(text), next: Cell::new(0) }
    }

    /// The comments before `until` that were not taken yet. `from` is where what was printed last ends.
    pub fn take(&self, from: u32, until: u32) -> Gap<'a> {
        let mut gap = Gap::default();
        let mut end = from;
        while let Some(comment) = self.list.get(self.next.get()).filter(|comment| comment.span.start < until) {
            let (start, stop) = (comment.span.start, comment.span.end);
            let text = self.slice(start, stop).trim_end();
            // Behind a comment with a line of its own the order is kept that way only.
            if self.starts_line(start) || !gap.own.is_empty() {
                gap.own.push((self.blank_between(end, start), text));
            } else {
                gap.trailing.push(text);
            }
            end = stop.max(from);
            self.next.set(self.next.get() + 1);
        }
        gap.blank = self.blank_between(end, until);
        gap
    }

    /// Whether a comment that was not taken yet stands before `until`.
    pub fn any_before(&self, until: u32) -> bool {
        self.list.get(self.next.get()).is_some_and(|comment| comment.span.start < until)
    }

    /// Whether a comment stands in this part of the text.
    pub fn any_in(&self, start: u32, end: u32) -> bool {
        let at = self.list.partition_point(|comment| comment.span.start < start);
        self.list.get(at).is_some_and(|comment| comment.span.start < end)
    }

    fn slice(&self, start: u32, end: u32) -> &'a str {
        self.text.get(start as usize..end as usize).unwrap_or("")
    }

    /// Whether only space stands before `offset` on its line.
    pub fn starts_line(&self, offset: u32) -> bool {
        let before = self.slice(0, offset);
        before
            .trim_end_matches([' ', '\t', '\r', '\u{c}', '\u{feff}'])
            .chars()
            .next_back()
            .is_none_or(|last| last == '\n')
    }

    /// Whether a line break stands between two offsets.
    pub fn break_between(&self, start: u32, end: u32) -> bool {
        self.slice(start, end).contains('\n')
    }

    /// Whether an empty line stands between two offsets.
    fn blank_between(&self, start: u32, end: u32) -> bool {
        self.slice(start, end).bytes().filter(|byte| *byte == b'\n').nth(1).is_some()
    }

    /// The first offset from `from` on at which something else than space and comments stands.
    pub fn skip(&self, from: u32) -> u32 {
        let mut at = from as usize;
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(at) {
                Some(b'#') => at += self.text[at..].find('\n').unwrap_or(self.text.len() - at),
                Some(b' ' | b'\t' | b'\r' | b'\n' | 0x0c) => at += 1,
                // The byte order mark.
                Some(0xef) => at += 3,
                Some(_) | None => return at as u32,
            }
        }
    }

    /// The offset of the first `byte` from `from` on that stands in no comment; `limit` if there is none
    /// before it. Only punctuation may stand between.
    pub fn find(&self, from: u32, limit: u32, byte: u8) -> u32 {
        let mut at = self.skip(from);
        while at < limit {
            if self.text.as_bytes().get(at as usize) == Some(&byte) {
                return at;
            }
            at = self.skip(at + 1);
        }
        limit
    }
}
