//! Turns diagnostics into text: for people (with source excerpts, or one line each) and for programs
//! (JSON, SARIF). Positions follow INTERFACES: offsets are bytes, columns count characters from 1.
//!
//! Everything that stems from a file (text, names, messages that quote either) passes through
//! [`visible`] before it reaches a terminal, so that no source can move the cursor, change colours or
//! reverse the direction of text.

mod excerpt;
mod human;
mod machine;

use crate::base::{Diagnostic, FileId, Fix, Label, Severity, Sources};
use std::borrow::Cow;

/// How diagnostics are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// With source excerpts.
    #[default]
    Human,
    /// `file:line:column: error[E0301]: message`.
    Short,
    /// One JSON object a line.
    Json,
    /// One SARIF 2.1.0 document, also when there is nothing to report.
    Sarif,
}

/// Writes all diagnostics, sorted and without repetition. `color` adds ANSI colours to the human form.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, format: Format, color: bool) -> String {
    let sorted = sorted(diagnostics);
    match format {
        Format::Human => sorted.iter().map(|d| human::render(d, sources, color)).collect(),
        Format::Short => sorted.iter().map(|d| short(d, sources)).collect(),
        Format::Json => sorted.iter().map(|d| machine::json(d, sources) + "\n").collect(),
        Format::Sarif => machine::sarif(&sorted, sources) + "\n",
    }
}

/// What a fix does, on one line, for lists of fixes: a question becomes the answer.
pub fn fix_line(fix: &Fix, sources: &Sources) -> String {
    human::action(fix, sources)
}

/// By file and position, those without a place last; what is equal appears once.
pub fn sorted(diagnostics: &[Diagnostic]) -> Vec<&Diagnostic> {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    // The sort is stable: messages about the same place stay in the order they were found.
    sorted.sort_by_key(|d| match place(d) {
        Some(label) => (label.file, label.span.start, label.span.end),
        None => (FileId(u32::MAX), 0, 0),
    });
    let mut seen = std::collections::HashSet::new();
    sorted.retain(|d| seen.insert(*d));
    sorted
}

/// The label that says where a diagnostic belongs.
fn place(diagnostic: &Diagnostic) -> Option<&Label> {
    diagnostic.labels.iter().find(|label| label.primary).or(diagnostic.labels.first())
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Hint => "hint",
    }
}

fn short(diagnostic: &Diagnostic, sources: &Sources) -> String {
    let place = place(diagnostic).map(|label| {
        let source = sources.get(label.file);
        let (line, column) = source.line_column(label.span.start);
        format!("{}:{line}:{column}: ", visible_line(&source.name))
    });
    let severity = severity_name(diagnostic.severity);
    let message = visible_line(&diagnostic.message);
    format!("{}{severity}[{}]: {message}\n", place.unwrap_or_default(), diagnostic.code)
}

/// What is shown in place of a character that must not reach a terminal as it is: control characters
/// become their pictures, and those that reorder or hide text become U+FFFD.
fn shown_char(c: char) -> Option<char> {
    match c {
        '\n' | '\t' => None,
        '\0'..='\x1f' => char::from_u32(0x2400 + c as u32),
        '\x7f' => Some('\u{2421}'),
        '\u{80}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' => Some(char::REPLACEMENT_CHARACTER),
        _ => None,
    }
}

/// The text with control characters made visible; newlines and tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| shown_char(c).is_none()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| shown_char(c).unwrap_or(c)).collect())
}

/// The same on one line: newlines and tabs become spaces.
pub fn visible_line(text: &str) -> String {
    visible(text).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests;
