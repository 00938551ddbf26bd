//! What was said about one program after another, over one list of sources.
//!
//! Each program numbers its files from 0. Here they get numbers of their own: a file that several programs
//! use is one file, and what is said about it in each of them is said once.

use crate::analysis::scheme_text::{SCHEME_NAME, SCHEME_PREFIX};
use crate::base::render::{self, Format};
use crate::base::{Diagnostic, FileId, Source, Sources, Span};
use crate::lower::entry::{ENTRY_NAME, ENTRY_PREFIX};
use std::collections::HashSet;

/// What the compiler reads as the declaration of a name, and what stands before it: the user sees what was typed.
const TYPED: [(&str, &str); 2] = [(ENTRY_NAME, ENTRY_PREFIX), (SCHEME_NAME, SCHEME_PREFIX)];

/// Diagnostics with the sources that they point into.
#[derive(Clone, Debug, Default)]
pub struct Report {
    sources: Sources,
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Adds what was said about a program.
    pub fn add(&mut self, sources: &Sources, diagnostics: &[Diagnostic]) {
        for diagnostic in diagnostics {
            let mut diagnostic = diagnostic.clone();
            for label in &mut diagnostic.labels {
                (label.file, label.span) = self.place(sources, label.file, label.span);
            }
            for edit in diagnostic.fixes.iter_mut().flat_map(|fix| &mut fix.edits) {
                (edit.file, edit.span) = self.place(sources, edit.file, edit.span);
            }
            // A function that calls itself is on the way many times.
            let mut seen = HashSet::new();
            diagnostic.labels.retain(|label| seen.insert(label.clone()));
            if !self.diagnostics.contains(&diagnostic) {
                self.diagnostics.push(diagnostic);
            }
        }
    }

    /// A place of the program among the sources of the report.
    fn place(&mut self, sources: &Sources, file: FileId, span: Span) -> (FileId, Span) {
        let source = sources.get(file);
        let own = TYPED.iter().find(|(name, prefix)| source.name == *name && source.text.starts_with(prefix));
        let hidden = own.map_or(0, |(_, prefix)| prefix.len() as u32);
        let text = &source.text[hidden as usize..];
        let known = self.sources.iter().find(|(_, known)| known.name == source.name && *known.text == *text);
        let known = known.map(|(id, _)| id);
        let file = known.unwrap_or_else(|| self.sources.add(Source::new(source.name.as_str(), text)));
        (file, Span::new(span.start.saturating_sub(hidden), span.end.saturating_sub(hidden)))
    }

    pub fn render(&self, format: Format, color: bool) -> String {
        render::render(&self.diagnostics, &self.sources, format, color)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::code::E0101;

    fn program(files: &[(&str, &str)]) -> Sources {
        let mut sources = Sources::default();
        files.iter().for_each(|(name, text)| {
            sources.add(Source::new(*name, *text));
        });
        sources
    }

    #[test]
    fn programs_keep_their_files_apart_and_share_what_is_the_same() {
        let error = |file| Diagnostic::new(E0101, "unknown name `a`").primary(FileId(file), Span::new(0, 1), "");
        let mut report = Report::default();
        report.add(&program(&[("one.tri", "a"), ("shared.tri", "a")]), &[error(0), error(1)]);
        report.add(
            &program(&[("two.tri", "a"), ("one.tri", "a b"), ("shared.tri", "a")]),
            &[error(0), error(1), error(2)],
        );
        let text = report.render(Format::Short, false);
        let places: Vec<&str> = text.lines().filter_map(|line| line.split(": error").next()).collect();
        assert_eq!(places, ["one.tri:1:1", "shared.tri:1:1", "two.tri:1:1", "one.tri:1:1"]);
    }

    #[test]
    fn an_entry_is_shown_as_typed() {
        let sources = program(&[(ENTRY_NAME, "let entry = Net(4)")]);
        let error = Diagnostic::new(E0101, "unknown name `Net`").primary(FileId(0), Span::new(12, 15), "");
        let mut report = Report::default();
        report.add(&sources, &[error]);
        assert_eq!(report.render(Format::Short, false), "<entry>:1:1: error[E0101]: unknown name `Net`\n");
    }
}
