//! What all parts of the printer share: places in the text, gaps with comments, lists and blocks.
//!
//! Trees are walked in the order of their text, so that comments are met where they stand. What the author
//! put on several lines on purpose stays so: lists, calls and signatures whose first element begins a line
//! and whose closing bracket does, blocks whose first statement begins a line, and chains of pipes or method
//! calls that were broken.

use super::comments::{Comments, Gap};
use super::doc::{Doc, Docs};
use crate::base::Span;
use crate::syntax::ast::Ast;

/// Makes the document of one item.
pub struct Printer<'p, 'a> {
    pub docs: Docs<'a>,
    pub ast: &'a Ast,
    /// The text of the file.
    pub text: &'a str,
    /// Where the item's text begins in it: spans of the tree count from there.
    pub base: u32,
    pub comments: &'p Comments<'a>,
}

/// The brackets around a list. Offsets count from the start of the file.
pub struct Brackets<'a> {
    pub open: &'a str,
    pub close: &'a str,
    /// Where the text before the opening bracket ends.
    pub from: u32,
    /// Where the closing bracket stands.
    pub close_at: u32,
    pub comma: Comma,
    /// Whether a list that the author spread out stays so.
    pub stays_open: bool,
    /// The brackets stand only where the list is broken.
    pub optional: bool,
}

/// The comma behind the last element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comma {
    IfBroken,
    Always,
}

impl<'a> Brackets<'a> {
    pub fn new(open: &'a str, close: &'a str, from: u32, close_at: u32) -> Self {
        Brackets { open, close, from, close_at, comma: Comma::IfBroken, stays_open: true, optional: false }
    }
}

/// The lines of a block. Offsets count from the start of the file.
#[derive(Clone, Copy)]
pub struct Braces {
    /// Where the opening brace ends.
    pub from: u32,
    /// Where the closing brace stands.
    pub close_at: u32,
    /// The block may stand on one line.
    pub short: bool,
}

impl<'a> Printer<'_, 'a> {
    // ---- Places -----------------------------------------------------------------------------------

    pub fn start(&self, span: Span) -> u32 {
        self.base + span.start
    }

    pub fn end(&self, span: Span) -> u32 {
        self.base + span.end
    }

    pub fn slice(&self, start: u32, end: u32) -> &'a str {
        self.text.get(start as usize..end as usize).unwrap_or("")
    }

    pub fn byte(&self, offset: u32) -> u8 {
        self.text.as_bytes().get(offset as usize).copied().unwrap_or(0)
    }

    // ---- Gaps -------------------------------------------------------------------------------------

    /// What stands between two things: trailing comments, comments on lines of their own, and `line`, which
    /// gives way to a hard line behind a comment. No empty line stands above the first line of a block.
    pub fn between(&mut self, gap: Gap<'a>, line: Doc, first: bool) -> Doc {
        let blank = gap.blank;
        let own = !gap.own.is_empty();
        let mut parts = self.remarks(gap, first);
        parts.push(if own { self.docs.hard(blank) } else { line });
        self.docs.concat(&parts)
    }

    /// The comments of a gap behind which a bracket closes.
    pub fn ending(&mut self, gap: Gap<'a>, first: bool) -> Doc {
        let parts = self.remarks(gap, first);
        self.docs.concat(&parts)
    }

    /// Comments at a place that has no room for them, such as behind a `=`: they go to the end of the line.
    pub fn aside(&mut self, until: u32) -> Doc {
        let gap = self.comments.take(until, until);
        let comments = gap.trailing.into_iter().chain(gap.own.into_iter().map(|(_, comment)| comment));
        let parts: Vec<Doc> = comments.map(|comment| self.docs.suffix(comment)).collect();
        self.docs.concat(&parts)
    }

    fn remarks(&mut self, gap: Gap<'a>, first: bool) -> Vec<Doc> {
        let mut parts = vec![];
        for comment in gap.trailing {
            parts.push(self.docs.suffix(comment));
            parts.push(self.docs.force());
        }
        parts.push(self.docs.spill());
        for (index, (blank, comment)) in gap.own.into_iter().enumerate() {
            parts.push(self.docs.hard(blank && !(first && index == 0)));
            parts.push(self.docs.comment(comment));
        }
        parts
    }

    // ---- Lists ------------------------------------------------------------------------------------

    /// Elements between brackets, on one line or each on its own.
    pub fn list<T>(
        &mut self,
        brackets: Brackets<'a>,
        items: &'a [T],
        span: impl Fn(&Self, &T) -> Span,
        mut print: impl FnMut(&mut Self, &'a T) -> Doc,
    ) -> Doc {
        let open_at = match (brackets.optional, brackets.open.as_bytes()) {
            (false, [bracket]) => self.comments.find(brackets.from, brackets.close_at, *bracket),
            _ => brackets.from,
        };
        let aside = self.aside(open_at);
        let mut parts = vec![];
        let mut end = open_at;
        for (index, item) in items.iter().enumerate() {
            let span = span(self, item);
            let (start, stop) = (self.start(span), self.end(span));
            let first = index == 0;
            if first && brackets.stays_open && self.is_spread_out(start, brackets.close_at) {
                parts.push(self.docs.force());
            }
            let gap = self.comments.take(end, start);
            let line = if first { self.docs.soft() } else { self.docs.line() };
            parts.push(self.between(gap, line, first));
            parts.push(print(self, item));
            let last = index + 1 == items.len();
            parts.push(match brackets.comma {
                Comma::IfBroken if last => self.docs.if_break(","),
                Comma::IfBroken | Comma::Always => self.docs.text(","),
            });
            end = stop;
        }
        let gap = self.comments.take(end, brackets.close_at);
        if items.is_empty() && !gap.has_comments() {
            let (open, close) = (self.docs.text(brackets.open), self.docs.text(brackets.close));
            return self.docs.concat(&[aside, open, close]);
        }
        parts.push(self.ending(gap, items.is_empty()));
        let body = self.docs.concat(&parts);
        let list = self.enclose(brackets.open, body, brackets.close, brackets.optional);
        self.docs.concat(&[aside, list])
    }

    /// Whether the author put what is in brackets on lines of its own.
    pub fn is_spread_out(&self, first: u32, close_at: u32) -> bool {
        self.comments.starts_line(first) && self.comments.starts_line(close_at)
    }

    /// Something that begins with a line, between brackets.
    pub fn enclose(&mut self, open: &'a str, body: Doc, close: &'a str, optional: bool) -> Doc {
        let (open, close) = match optional {
            true => (self.docs.if_break(open), self.docs.if_break(close)),
            false => (self.docs.text(open), self.docs.text(close)),
        };
        let body = self.docs.indent(body);
        let soft = self.docs.soft();
        let whole = self.docs.concat(&[open, body, soft, close]);
        self.docs.group(whole)
    }

    // ---- Blocks -----------------------------------------------------------------------------------

    /// Whether a block with these entries may stand on one line: the author wrote it so, it holds one
    /// thing, and no comment.
    pub fn is_short(&self, from: u32, close_at: u32, starts: &[u32]) -> bool {
        match starts {
            [] => true,
            [start] => !self.comments.starts_line(*start) && !self.comments.any_in(from, close_at),
            _ => false,
        }
    }

    /// `{ ... }` with a line for each entry. `apart` says whether an empty line must stand between two.
    pub fn braces<T>(
        &mut self,
        braces: Braces,
        entries: &'a [T],
        span: impl Fn(&T) -> Span,
        apart: impl Fn(&T, &T) -> bool,
        mut print: impl FnMut(&mut Self, &'a T) -> Doc,
    ) -> Doc {
        let mut parts = vec![];
        let mut end = braces.from;
        for (index, entry) in entries.iter().enumerate() {
            let first = index == 0;
            let mut gap = self.comments.take(end, self.start(span(entry)));
            if !first && apart(&entries[index - 1], entry) {
                gap.separate();
            }
            let line = if braces.short { self.docs.line() } else { self.docs.hard(gap.blank && !first) };
            parts.push(self.between(gap, line, first));
            parts.push(print(self, entry));
            end = self.end(span(entry));
        }
        let gap = self.comments.take(end, braces.close_at);
        if entries.is_empty() && !gap.has_comments() {
            return self.docs.text("{}");
        }
        parts.push(self.ending(gap, entries.is_empty()));
        let body = self.docs.concat(&parts);
        let body = self.docs.indent(body);
        let line = if braces.short { self.docs.line() } else { self.docs.hard(false) };
        let (open, close) = (self.docs.text("{"), self.docs.text("}"));
        self.docs.concat(&[open, body, line, close])
    }
}
