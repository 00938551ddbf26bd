//! Edits applied to a text.

use crate::base::{Edit, Span};

/// The text with all edits done; `None` if two of them overlap or one is not a part of the text.
/// Insertions at one place keep their order.
pub fn apply(text: &str, edits: &[Edit]) -> Option<String> {
    let mut sorted: Vec<&Edit> = edits.iter().collect();
    sorted.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for edit in sorted {
        let (start, end) = (edit.span.start as usize, edit.span.end as usize);
        text.get(start..end)?;
        // Slicing backwards is refused as well: that is an overlap.
        out += text.get(done..start)?;
        out += &edit.text;
        done = end;
    }
    out += text.get(done..)?;
    Some(out)
}

/// Whether two edits cannot be done together, since they overlap or fill the same gap.
pub fn conflict(a: &Edit, b: &Edit) -> bool {
    a.file == b.file && (a.span.start == b.span.start || a.span.start < b.span.end && b.span.start < a.span.end)
}

/// What to remove so that no empty line is left: the whole lines of `span` where nothing else stands on them,
/// and with them one of two empty lines that would meet.
pub fn removal(text: &str, span: Span) -> Span {
    let (Some(before), Some(after)) = (text.get(..span.start as usize), text.get(span.end as usize..)) else {
        return span;
    };
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let rest = after.find('\n').map_or(after.len(), |at| at + 1);
    let blank = |part: &str| part.trim().is_empty();
    if span.start == span.end || !blank(&before[start..]) || !blank(&after[..rest]) {
        return span;
    }
    let mut end = span.end as usize + rest;
    let above = before[..start].strip_suffix('\n').map(|above| above.rsplit('\n').next().unwrap_or(""));
    if above.is_none_or(|line| blank(line) || line.ends_with('{')) {
        let below = &text[end..];
        let length = below.find('\n').map_or(0, |at| at + 1);
        if length > 0 && blank(&below[..length]) {
            end += length;
        }
    }
    Span::new(start as u32, end as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::FileId;

    fn edit(start: u32, end: u32, text: &str) -> Edit {
        Edit { file: FileId(0), span: Span::new(start, end), text: text.into() }
    }

    #[test]
    fn edits_are_done_in_the_order_of_the_text() {
        let edits = [edit(4, 4, ")"), edit(0, 1, "z"), edit(2, 2, "("), edit(4, 4, ".T")];
        assert_eq!(apply("a bcd", &edits).as_deref(), Some("z (bc).Td"));
        assert_eq!(apply("", &[]).as_deref(), Some(""));
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        assert_eq!(apply("abcd", &[edit(0, 2, ""), edit(1, 3, "")]), None);
        assert_eq!(apply("abcd", &[edit(3, 5, "")]), None);
        assert_eq!(apply("é", &[edit(1, 1, "x")]), None);
        assert!(conflict(&edit(2, 2, "a"), &edit(2, 2, "b")));
        assert!(conflict(&edit(0, 3, ""), &edit(2, 5, "")));
        assert!(!conflict(&edit(0, 3, ""), &edit(3, 5, "")));
    }

    fn removed(text: &str, part: &str) -> String {
        let start = text.find(part).unwrap() as u32;
        let span = removal(text, Span::new(start, start + part.len() as u32));
        apply(text, &[edit(span.start, span.end, "")]).unwrap()
    }

    #[test]
    fn a_removal_takes_its_line_along() {
        assert_eq!(removed("a\n  let b\nc\n", "let b"), "a\nc\n");
        assert_eq!(removed("a\n  let b # why\nc\n", "let b"), "a\n   # why\nc\n");
        assert_eq!(removed("use nn\n\nlet a", "use nn"), "let a");
        assert_eq!(removed("a\n\nlet b\n\nc\n", "let b"), "a\n\nc\n");
        assert_eq!(removed("f {\n  let b\n\n  c\n}", "let b"), "f {\n  c\n}");
        assert_eq!(removed("let b", "let b"), "");
        assert_eq!(removed("a\nlet (b,\n c)\r\nd", "let (b,\n c)"), "a\nd");
    }
}
