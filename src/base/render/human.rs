//! The form for people: message, source excerpt with labels, notes and fixes.

use super::excerpt::{Excerpt, Excerpts};
use super::{severity_name, visible};
use crate::base::{Diagnostic, Edit, FileId, Fix, Severity, Sources, Span};
use codespan_reporting::diagnostic as report;
use codespan_reporting::term::{self, StylesWriter, termcolor::Buffer};

/// A replacement longer than this is left to `tritonc fix`.
const MAX_REPLACEMENT: usize = 100;

pub fn render(diagnostic: &Diagnostic, sources: &Sources, color: bool) -> String {
    let mut files: Vec<FileId> = vec![];
    for label in &diagnostic.labels {
        if !files.contains(&label.file) {
            files.push(label.file);
        }
    }
    let excerpts = files.iter().map(|file| {
        let spans: Vec<Span> = diagnostic.labels.iter().filter(|l| l.file == *file).map(|l| l.span).collect();
        Excerpt::new(sources.get(*file), &spans)
    });
    let excerpts = Excerpts(excerpts.collect());
    let converted = convert(diagnostic, sources, &files, &excerpts);
    let mut buffer = if color { Buffer::ansi() } else { Buffer::no_color() };
    let styles = term::Styles::default();
    let mut writer = StylesWriter::new(&mut buffer, &styles);
    if term::emit_to_write_style(&mut writer, &term::Config::default(), &excerpts, &converted).is_err() {
        // An excerpt answers every question about itself, so this is out of reach; the message matters more.
        return format!(
            "{}[{}]: {}\n\n",
            severity_name(diagnostic.severity),
            diagnostic.code,
            visible(&diagnostic.message)
        );
    }
    String::from_utf8_lossy(&buffer.into_inner()).into_owned()
}

fn convert(
    diagnostic: &Diagnostic,
    sources: &Sources,
    files: &[FileId],
    excerpts: &Excerpts,
) -> report::Diagnostic<usize> {
    let severity = match diagnostic.severity {
        Severity::Error => report::Severity::Error,
        Severity::Warning => report::Severity::Warning,
        Severity::Hint => report::Severity::Help,
    };
    let labels = diagnostic.labels.iter().filter_map(|label| {
        let index = files.iter().position(|file| *file == label.file)?;
        let range = excerpts.0[index].range(sources.get(label.file), label.span);
        let style = if label.primary { report::LabelStyle::Primary } else { report::LabelStyle::Secondary };
        Some(report::Label::new(style, index, range).with_message(visible(&label.text)))
    });
    let notes = diagnostic.notes.iter().map(|note| {
        let named = note.starts_with("help: ") || note.starts_with("note: ");
        indented(&visible(&if named { note.clone() } else { format!("note: {note}") }))
    });
    let fixes = diagnostic.fixes.iter().map(|fix| indented(&visible(&describe(fix, sources))));
    report::Diagnostic::new(severity)
        .with_code(diagnostic.code)
        .with_message(visible(&diagnostic.message))
        .with_labels(labels.collect())
        .with_notes(notes.chain(fixes).collect())
}

/// Later lines of a note stand under its text, not under `help:`.
fn indented(note: &str) -> String {
    note.replace('\n', "\n      ")
}

/// `help: TITLE`, and what to write where the title does not already say it.
fn describe(fix: &Fix, sources: &Sources) -> String {
    let mut text = format!("help: {}", fix.title);
    let steps = steps(fix, sources);
    let spelt_out = fix.edits.iter().all(|edit| !edit.text.is_empty() && fix.title.contains(edit.text.trim()));
    let fits = fix.edits.iter().all(|edit| edit.text.len() <= MAX_REPLACEMENT && !edit.text.contains('\n'));
    if !spelt_out && fits {
        text += &format!(": {}", steps.join(", "));
    }
    text
}

/// What a fix does: its title, or its edits where the title only asks.
pub fn action(fix: &Fix, sources: &Sources) -> String {
    if fix.title.ends_with('?') { steps(fix, sources).join(", ") } else { fix.title.clone() }
}

fn steps(fix: &Fix, sources: &Sources) -> Vec<String> {
    fix.edits.iter().map(|edit| step(edit, sources)).collect()
}

fn step(edit: &Edit, sources: &Sources) -> String {
    let old = sources.get(edit.file).slice(edit.span);
    match (old, edit.text.as_str()) {
        ("", new) => format!("insert `{new}`"),
        (old, "") if old.len() <= MAX_REPLACEMENT && !old.contains('\n') => format!("remove `{old}`"),
        (_, "") => "remove the marked text".to_string(),
        (_, new) => format!("write `{new}`"),
    }
}
