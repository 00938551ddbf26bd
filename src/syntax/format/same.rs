//! Whether two texts are the same program with the same comments.
//!
//! Compared are the trees without spans, in which old spellings of types count as today's, and the comments
//! in their order, without the space behind them.

use crate::syntax::items::split;
use crate::syntax::parse::parse_item;
use crate::syntax::print;
use crate::syntax::token::comments;

/// What differs, if something does.
pub fn difference(before: &str, after: &str) -> Option<String> {
    let (old, new) = (split(before), split(after));
    for (old, new) in old.iter().zip(&new) {
        let (old_text, new_text) = (slice(before, old.span), slice(after, new.span));
        let parsed = parse_item(new_text);
        let line = line_of(before, old.span.start);
        if !parsed.errors.is_empty() {
            return Some(format!("the item in line {line} would no longer parse"));
        }
        if print::meaning(&parsed.ast) != print::meaning(&parse_item(old_text).ast) {
            return Some(format!("the item in line {line} would mean something else"));
        }
    }
    if old.len() != new.len() {
        return Some("items would be lost or joined".into());
    }
    let (old, new) = (comments(before), comments(after));
    for (old, new) in old.iter().zip(&new) {
        if slice(before, old.span).trim_end() != slice(after, new.span).trim_end() {
            return Some(format!("the comment in line {} would move or change", line_of(before, old.span.start)));
        }
    }
    (old.len() != new.len()).then(|| "comments would be lost or joined".into())
}

fn slice(text: &str, span: crate::base::Span) -> &str {
    text.get(span.start as usize..span.end as usize).unwrap_or("")
}

fn line_of(text: &str, offset: u32) -> usize {
    slice(text, crate::base::Span::new(0, offset)).matches('\n').count() + 1
}
