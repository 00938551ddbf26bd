//! The part of a file that one diagnostic shows.
//!
//! codespan-reporting prints source as it finds it and asks for whole files. An [`Excerpt`] holds only
//! the lines that labels touch, with control characters made visible and very long lines cut to the part
//! around the label, and translates byte offsets of the file to its own.

use super::shown_char;
use crate::base::{Source, Span};
use codespan_reporting::files::{Error, Files, Location};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Characters of one line that are shown; of a longer line, those around the first label.
const MAX_LINE: usize = 240;
/// Characters shown before the first label of a line that is cut.
const LEAD: usize = 60;
/// A label over more lines than this is drawn on its first line only.
const MAX_LABEL_LINES: u32 = 24;

/// Lines of one file, as shown.
pub struct Excerpt {
    name: String,
    text: String,
    lines: Vec<Shown>,
    /// Where each label starts, in the file's own lines and columns, by offset in `text`.
    locations: BTreeMap<usize, Location>,
}

struct Shown {
    /// 1-based, in the file.
    number: usize,
    /// In `text`, its newline included.
    range: Range<usize>,
    /// (byte in the file, byte in `text`) of each character, ascending; ends with the line's end.
    map: Vec<(u32, usize)>,
}

impl Excerpt {
    /// Cuts the lines that `spans` touch out of `source`.
    pub fn new(source: &Source, spans: &[Span]) -> Excerpt {
        let mut excerpt = Excerpt {
            name: super::visible_line(&source.name),
            text: String::new(),
            lines: vec![],
            locations: BTreeMap::new(),
        };
        let mut wanted = BTreeSet::new();
        for span in spans {
            let span = clamp(source, *span);
            wanted.extend(source.lines().line(span.start)..=source.lines().line(span.end));
        }
        let mut last: Option<u32> = None;
        for line in wanted {
            match last.map(|last| line - last) {
                // codespan fills a gap of one line in by itself and draws a break for a wider one. Its
                // line indices are ours, so a wider gap is stood for by two empty lines.
                Some(2) => excerpt.push_line(source, line - 1, spans),
                Some(gap) if gap > 2 => {
                    excerpt.push_gap();
                    excerpt.push_gap();
                }
                _ => {}
            }
            excerpt.push_line(source, line, spans);
            last = Some(line);
        }
        for span in spans {
            let start = clamp(source, *span).start;
            let (line_number, column_number) = source.line_column(start);
            let location = Location { line_number: line_number as usize, column_number: column_number as usize };
            let at = excerpt.translate(start, line_number as usize);
            excerpt.locations.insert(at, location);
        }
        excerpt
    }

    /// The range of `text` that shows `span`.
    pub fn range(&self, source: &Source, span: Span) -> Range<usize> {
        let span = clamp(source, span);
        let line = |offset: u32| source.lines().line(offset) as usize + 1;
        let start = self.translate(span.start, line(span.start));
        start..self.translate(span.end, line(span.end)).max(start)
    }

    fn translate(&self, offset: u32, number: usize) -> usize {
        let Some(line) = self.lines.iter().find(|line| line.number == number) else { return 0 };
        let at = line.map.partition_point(|(from, _)| *from < offset);
        line.map.get(at).or(line.map.last()).map_or(line.range.start, |(_, to)| *to)
    }

    fn push_gap(&mut self) {
        let start = self.text.len();
        self.text.push('\n');
        self.lines.push(Shown { number: 0, range: start..start + 1, map: vec![] });
    }

    fn push_line(&mut self, source: &Source, line: u32, spans: &[Span]) {
        let start = self.text.len();
        let from = source.lines().line_start(line);
        let to = source.lines().line_start(line + 1);
        let content = source.slice(Span::new(from, to)).trim_end_matches('\n');
        let content = content.strip_suffix('\r').unwrap_or(content);
        let mut map = vec![];
        let mut offset = from;
        let window = window(content, from, spans);
        let mut cut = false;
        for (index, c) in content.chars().enumerate() {
            let here = self.text.len();
            if window.contains(&index) {
                map.push((offset, here));
                self.text.push(shown_char(c).unwrap_or(c));
                cut = false;
            } else if !cut {
                map.push((offset, here));
                self.text.push('…');
                cut = true;
            }
            offset += c.len_utf8() as u32;
        }
        map.push((offset, self.text.len()));
        self.text.push('\n');
        self.lines.push(Shown { number: line as usize + 1, range: start..self.text.len(), map });
    }
}

/// The characters of a line to show.
fn window(content: &str, from: u32, spans: &[Span]) -> Range<usize> {
    // Bytes bound characters, so that short lines need no count.
    if content.len() <= MAX_LINE {
        return 0..content.len();
    }
    let end = from + content.len() as u32;
    let first = spans.iter().map(|span| span.start).filter(|start| (from..=end).contains(start)).min().unwrap_or(from);
    let column = content.get(..(first - from) as usize).map_or(0, |before| before.chars().count());
    let start = column.saturating_sub(LEAD);
    start..start + MAX_LINE
}

/// The span within its file, on character boundaries and not over too many lines.
fn clamp(source: &Source, span: Span) -> Span {
    let start = boundary(&source.text, span.start);
    let mut end = boundary(&source.text, span.end).max(start);
    // A newline at the end of a label would drag the next line in.
    if end > start && source.text.as_bytes().get(end as usize - 1) == Some(&b'\n') {
        end -= 1;
    }
    let first = source.lines().line(start);
    if source.lines().line(end) - first > MAX_LABEL_LINES {
        end = boundary(&source.text, source.lines().line_start(first + 1).saturating_sub(1)).max(start);
    }
    Span { start, end }
}

fn boundary(text: &str, offset: u32) -> u32 {
    let mut at = (offset as usize).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at as u32
}

/// The excerpts of one diagnostic, by position in the list.
pub struct Excerpts(pub Vec<Excerpt>);

impl Excerpts {
    fn excerpt(&self, id: usize) -> Result<&Excerpt, Error> {
        self.0.get(id).ok_or(Error::FileMissing)
    }
}

impl<'a> Files<'a> for Excerpts {
    type FileId = usize;
    type Name = &'a str;
    type Source = &'a str;

    fn name(&'a self, id: usize) -> Result<&'a str, Error> {
        Ok(&self.excerpt(id)?.name)
    }

    fn source(&'a self, id: usize) -> Result<&'a str, Error> {
        Ok(&self.excerpt(id)?.text)
    }

    fn line_index(&'a self, id: usize, byte: usize) -> Result<usize, Error> {
        let lines = &self.excerpt(id)?.lines;
        Ok(lines.partition_point(|line| line.range.start <= byte).saturating_sub(1))
    }

    fn line_number(&'a self, id: usize, line: usize) -> Result<usize, Error> {
        Ok(self.excerpt(id)?.lines.get(line).map_or(1, |line| line.number))
    }

    fn line_range(&'a self, id: usize, line: usize) -> Result<Range<usize>, Error> {
        let lines = &self.excerpt(id)?.lines;
        let max = lines.len().saturating_sub(1);
        lines.get(line).map(|line| line.range.clone()).ok_or(Error::LineTooLarge { given: line, max })
    }

    fn location(&'a self, id: usize, byte: usize) -> Result<Location, Error> {
        let known = self.excerpt(id)?.locations.get(&byte);
        Ok(known.map_or(Location { line_number: 1, column_number: 1 }, |location| Location {
            line_number: location.line_number,
            column_number: location.column_number,
        }))
    }
}
