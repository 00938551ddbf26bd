//! The lines of a formatted text, with the comments at their ends.
//!
//! Comments at the ends of neighbouring lines are aligned, as shapes beside the lines of a `forward` are:
//!
//! ```text
//! let a = conv(x)        # [B, 6, 28, 28]
//! let b = pool(relu(a))  # [B, 6, 14, 14]
//! ```
//! Neighbours are lines of one indentation without another line between, and without an open bracket. Where a comment would then run
//! past the width, the lines keep their comments close.

use super::doc::{INDENT, WIDTH, columns};

/// The text so far, and the line in the making.
#[derive(Debug, Default)]
pub struct Page {
    out: String,
    line: String,
    /// Columns of `line`.
    length: u32,
    indent: u32,
    /// The comment for the end of the line.
    suffix: Option<String>,
    /// Comments behind it that found no room on the line.
    overflow: Vec<String>,
    /// An empty line must follow.
    apart: bool,
    /// Finished lines whose comments are to be aligned.
    run: Vec<Remark>,
}

/// A line with a comment at its end.
#[derive(Debug)]
struct Remark {
    line: String,
    indent: u32,
    comment: String,
}

impl Remark {
    /// Whether the comment of the line below is aligned with this one's.
    fn is_beside(&self, below: &Remark) -> bool {
        let opens = |line: &str| line.trim_end().ends_with(['(', '[', '{']);
        let closes = |line: &str| line.starts_with([')', ']', '}']);
        let whole = |line: &str| !opens(line) && !closes(line);
        self.indent == below.indent && whole(&self.line) && whole(&below.line)
    }
}

impl Page {
    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty() && self.line.is_empty() && self.run.is_empty() && self.suffix.is_none()
    }

    pub fn text(&mut self, text: &str) {
        self.line.push_str(text);
        self.length = self.length.saturating_add(columns(text));
    }

    /// Where the next text begins.
    pub fn column(&self) -> u32 {
        self.indent.saturating_add(self.length)
    }

    /// Puts a comment at the end of the current line. One line has room for one comment; others wait for the
    /// next place that has room for lines.
    pub fn suffix(&mut self, comment: &str) {
        let waiting = if self.overflow.is_empty() && self.suffix.is_none() { None } else { Some(&mut self.overflow) };
        match waiting {
            Some(overflow) => overflow.push(comment.to_string()),
            None => self.suffix = Some(comment.to_string()),
        }
    }

    /// Writes a comment on a line of its own, which was begun.
    pub fn comment(&mut self, comment: &str) {
        let overflow = std::mem::take(&mut self.overflow);
        overflow.iter().for_each(|comment| self.put(comment));
        if overflow.iter().any(|comment| is_documentation(comment)) {
            self.out.push('\n');
        }
        self.text(comment);
    }

    /// Gives the comments that wait lines of their own.
    pub fn spill(&mut self, indent: u32) {
        let overflow = std::mem::take(&mut self.overflow);
        for comment in &overflow {
            self.new_line(indent, false);
            self.text(comment);
        }
        // Right above a declaration they would become its documentation.
        self.apart = overflow.iter().any(|comment| is_documentation(comment));
    }

    /// Ends the line; the next one is indented by so many columns.
    pub fn new_line(&mut self, indent: u32, blank: bool) {
        // What closes a block has no documentation.
        let blank = blank || (std::mem::take(&mut self.apart) && indent >= self.indent);
        // Nothing is above the first line.
        if !self.is_empty() {
            self.end_line();
        }
        if blank && !self.is_empty() {
            self.end_run();
            self.out.push('\n');
        }
        self.indent = indent;
    }

    /// The whole text.
    pub fn finish(mut self) -> String {
        if !self.line.is_empty() || self.suffix.is_some() {
            self.end_line();
        }
        self.end_run();
        self.out
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.length = 0;
        match self.suffix.take() {
            Some(comment) if !line.trim_end().is_empty() => {
                let remark = Remark { line, indent: self.indent, comment };
                if !self.run.last().is_some_and(|last| last.is_beside(&remark)) {
                    self.end_run();
                }
                self.run.push(remark);
            }
            Some(comment) => self.put(&comment),
            None => self.put(&line),
        }
    }

    fn put(&mut self, line: &str) {
        self.end_run();
        let line = line.trim_end();
        if !line.is_empty() {
            self.margin(self.indent);
            self.out.push_str(line);
        }
        self.out.push('\n');
    }

    fn margin(&mut self, indent: u32) {
        self.out.extend(std::iter::repeat_n(' ', indent as usize));
    }

    /// Writes the lines that wait for their comments' column.
    fn end_run(&mut self) {
        let run = std::mem::take(&mut self.run);
        let length = |remark: &Remark| remark.indent + columns(remark.line.trim_end());
        let widest = run.iter().map(length).max().unwrap_or(0);
        let fits = |remark: &Remark| widest + GAP + columns(&remark.comment) <= WIDTH;
        let aligned = run.iter().all(fits);
        for remark in &run {
            self.margin(remark.indent);
            self.out.push_str(remark.line.trim_end());
            let gap = if aligned { widest - length(remark) + GAP } else { GAP };
            self.margin(gap);
            self.out.push_str(&remark.comment);
            self.out.push('\n');
        }
    }
}

fn is_documentation(comment: &str) -> bool {
    comment.starts_with("##")
}

/// Columns between code and the comment behind it.
const GAP: u32 = INDENT / 2;
