//! Compares the diagnostics of a case with the ones that its `#~` remarks announce.

use super::directives::Announced;
use tritonc::base::{Diagnostic, Sources};

/// Everything that does not fit: announced and not given, or given and not announced.
pub fn misfits(name: &str, announced: &[Announced], given: &[Diagnostic], sources: &Sources) -> Vec<String> {
    let mut missing: Vec<&Announced> = announced.iter().collect();
    let mut problems = vec![];
    for diagnostic in given {
        let line = line_of(name, diagnostic, sources);
        let fits = |announced: &&Announced| {
            Some(announced.line) == line
                && announced.code == diagnostic.code.as_str()
                && says(diagnostic, &announced.part)
        };
        match missing.iter().position(fits) {
            Some(at) => {
                missing.remove(at);
            }
            None => {
                let place = line.map_or("no line of this file".to_string(), |line| format!("line {line}"));
                problems.push(format!("unexpected, at {place}: {}: {}", diagnostic.code, full_text(diagnostic)));
            }
        }
    }
    problems.extend(
        missing.iter().map(|wanted| format!("missing, at line {}: {} \"{}\"", wanted.line, wanted.code, wanted.part)),
    );
    problems
}

/// The line of the primary label, if it lies in the case itself.
fn line_of(name: &str, diagnostic: &Diagnostic, sources: &Sources) -> Option<usize> {
    let label = diagnostic.labels.iter().find(|label| label.primary)?;
    let source = sources.get(label.file);
    (source.name == name).then(|| source.line_column(label.span.start).0 as usize)
}

/// Whether the message, a label or a note contains a text.
fn says(diagnostic: &Diagnostic, part: &str) -> bool {
    let labels = diagnostic.labels.iter().map(|label| &label.text);
    std::iter::once(&diagnostic.message).chain(labels).chain(&diagnostic.notes).any(|text| text.contains(part))
}

fn full_text(diagnostic: &Diagnostic) -> String {
    let labels = diagnostic.labels.iter().map(|label| label.text.as_str()).filter(|text| !text.is_empty());
    let all = std::iter::once(diagnostic.message.as_str()).chain(labels);
    all.chain(diagnostic.notes.iter().map(String::as_str)).collect::<Vec<_>>().join(" | ")
}
