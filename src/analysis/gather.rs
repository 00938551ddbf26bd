//! Everything there is to say about a file: the reports of its items and of the file as a whole, without
//! repetitions and without those that only follow from others.

use crate::analysis::check::{check_script, duplicates};
use crate::analysis::cycles::module_cycles;
use crate::analysis::db::{Item, Report, SourceFile, items, parse_item};
use crate::analysis::instantiate::check_instances;
use crate::analysis::remedy::with_remedies;
use crate::analysis::spelling::old_spellings;
use crate::analysis::unused::unused_imports;
use crate::base::{Code, Diagnostic, FileId, Severity, code, edit};
use crate::syntax::items::RawKind;
use std::collections::{HashMap, HashSet};

/// The diagnostics of a file. Reads the places of items, so it is no query.
pub fn diagnostics(db: &dyn salsa::Database, file: SourceFile) -> Vec<Diagnostic> {
    let mut found: Vec<&Report<'_>> = duplicates(db, file).iter().collect();
    for item in items(db, file) {
        found.extend(with_remedies(db, *item));
    }
    found.extend(check_script(db, file));
    found.extend(module_cycles(db, file));
    found.extend(instances(db, file));
    let unused = unused_imports(db, file);
    if found.is_empty() && unused.is_empty() {
        return vec![];
    }
    let broken: Vec<Item<'_>> =
        items(db, file).iter().copied().filter(|item| !parse_item(db, *item).errors.is_empty()).collect();
    // Where something does not parse, a use of the name may be lost.
    if broken.is_empty() {
        found.extend(unused);
    }
    found.retain(|report| !may_follow_from(db, &broken, report));
    let mut seen = HashSet::new();
    let all: Vec<Diagnostic> =
        found.iter().map(|report| report.resolve(db)).filter(|diagnostic| seen.insert(diagnostic.clone())).collect();
    let mut all = without_longer_ones(all);
    widen_removals(file.text(db), FileId(file.index(db)), &mut all);
    all
}

/// What could be written better in a file that is right.
pub fn hints(db: &dyn salsa::Database, file: SourceFile) -> Vec<Diagnostic> {
    let reports = items(db, file).iter().flat_map(|item| old_spellings(db, *item));
    reports.map(|report| Diagnostic { severity: Severity::Hint, ..report.resolve(db) }).collect()
}

/// Removals take the lines along that they would leave empty.
fn widen_removals(text: &str, file: FileId, diagnostics: &mut [Diagnostic]) {
    let edits = diagnostics.iter_mut().flat_map(|diagnostic| &mut diagnostic.fixes).flat_map(|fix| &mut fix.edits);
    for edit in edits.filter(|edit| edit.text.is_empty() && edit.file == file) {
        edit.span = edit::removal(text, edit.span);
    }
}

/// What is wrong with the instances that `let`s and tests make: the same mistake of several is told at the first.
fn instances<'db>(db: &'db dyn salsa::Database, file: SourceFile) -> impl Iterator<Item = &'db Report<'db>> {
    let mut told: HashSet<(Code, &str)> = HashSet::new();
    let makers = items(db, file).iter().filter(|item| matches!(item.kind(db), RawKind::Let | RawKind::Test));
    makers.flat_map(|item| check_instances(db, *item)).filter(move |report| told.insert((report.code, &report.message)))
}

/// Whether a broken item may be behind a report in another: the name that is missing stands in its text.
fn may_follow_from(db: &dyn salsa::Database, broken: &[Item<'_>], report: &Report<'_>) -> bool {
    let codes = [code::E0101, code::E0104, code::E0107, code::E0207, code::E0208, code::E0307];
    let name = report.message.split('`').nth(1).filter(|_| codes.contains(&report.code));
    name.is_some_and(|name| broken.iter().any(|item| item.text(db).contains(name)))
}

/// What is wrong whoever calls is told at its definition, not for each call as well.
fn without_longer_ones(all: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut alike: HashMap<(Code, &str, &[String]), Vec<&Diagnostic>> = HashMap::new();
    for diagnostic in &all {
        alike.entry((diagnostic.code, &diagnostic.message, &diagnostic.notes)).or_default().push(diagnostic);
    }
    let keep: Vec<bool> = all
        .iter()
        .map(|more| {
            let others = alike.get(&(more.code, more.message.as_str(), more.notes.as_slice()));
            !others.into_iter().flatten().any(|less| has_fewer_labels(less, more))
        })
        .collect();
    all.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(diagnostic, _)| diagnostic).collect()
}

/// Whether `less` leads to the mistake by fewer of the same calls.
fn has_fewer_labels(less: &Diagnostic, more: &Diagnostic) -> bool {
    less.labels.len() < more.labels.len()
        && less.labels.iter().any(|label| label.primary)
        && less.labels.iter().all(|label| more.labels.contains(label))
}
