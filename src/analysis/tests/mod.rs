//! Tests of the checker, by area. Each shows what one program is told.

mod calls;
mod control;
mod incremental;
mod layers;
mod library;
mod modules;
mod mutation;
mod names;
mod shapes;
mod types;

use crate::analysis::Project;
use crate::analysis::project::NoFiles;
use crate::base::{Diagnostic, FileId, Source};

/// The diagnostics of one text.
fn diagnose(text: &str) -> Vec<Diagnostic> {
    let mut project = Project::new();
    let (file, _) = project.open("main", Source::new("main.tri", text), &mut NoFiles);
    project.check(file)
}

/// Code, line (from 1) and message of each diagnostic.
fn check(text: &str) -> Vec<(String, usize, String)> {
    let line = |diagnostic: &Diagnostic| match diagnostic.labels.iter().find(|label| label.primary) {
        Some(label) => text[..label.span.start as usize].matches('\n').count() + 1,
        None => 0,
    };
    diagnose(text).iter().map(|d| (d.code.to_string(), line(d), d.message.clone())).collect()
}

#[track_caller]
fn assert_clean(text: &str) {
    assert_eq!(check(text), vec![], "{text}");
}

/// Exactly one mistake, with this code, on this line, whose message holds `part`.
#[track_caller]
fn assert_one(text: &str, code: &str, line: usize, part: &str) {
    let found = check(text);
    let [(found_code, found_line, message)] = found.as_slice() else { panic!("{found:#?}\n{text}") };
    assert_eq!((found_code.as_str(), *found_line), (code, line), "{message}");
    assert!(message.contains(part), "`{part}` is not in `{message}`");
}

/// Everything a diagnostic tells, in one string.
fn told(text: &str) -> String {
    let diagnostics = diagnose(text);
    let mut all = String::new();
    for d in &diagnostics {
        let labels = d.labels.iter().map(|label| label.text.clone());
        let parts = std::iter::once(d.message.clone()).chain(labels).chain(d.notes.clone());
        all += &parts.chain(d.fixes.iter().map(|fix| fix.title.clone())).collect::<Vec<_>>().join("\n");
    }
    all
}

/// The text with the first fix of its only diagnostic applied.
fn repaired(text: &str) -> String {
    let diagnostics = diagnose(text);
    let [diagnostic] = diagnostics.as_slice() else { panic!("{diagnostics:#?}") };
    let mut text = text.to_string();
    for edit in diagnostic.fixes[0].edits.iter().rev() {
        text.replace_range(edit.span.start as usize..edit.span.end as usize, &edit.text);
    }
    text
}

/// A project with one open file.
fn open(text: &str) -> (Project, FileId) {
    let mut project = Project::new();
    let (file, _) = project.open("main", Source::new("main.tri", text), &mut NoFiles);
    (project, file)
}
