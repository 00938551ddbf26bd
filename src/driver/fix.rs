//! Applies the certain fixes of a file's diagnostics, round after round, until nothing is left to apply.
//!
//! A round takes every fix that does not collide with another. It stands if each diagnostic that it was for is
//! gone and there are no more errors than before. A mistake may hide others (names that could not be looked up,
//! methods that were not walked): then the round may go on over what it uncovered, and is judged at the end.
//! A round that fails is taken back, its fixes are tried one by one, and those that fail alone are left out.
//! So a file never becomes worse.

use crate::analysis::Project;
use crate::base::render::fix_line;
use crate::base::{Applicability, Code, Diagnostic, Edit, FileId, Fix, Severity, edit};
use std::collections::BTreeSet;

/// Each round fixes at least one diagnostic; what is found one by one ends here.
const MAX_ROUNDS: usize = 200;
/// Rounds that may follow up on mistakes that a fix uncovered.
const MAX_FOLLOW_UP: usize = 4;

/// What was done to one text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repair {
    /// The name that messages show.
    pub name: String,
    pub before: String,
    pub after: String,
    /// What was fixed, in the order of the text.
    pub applied: Vec<Applied>,
    /// Certain fixes that were left out, since errors would be more than before or the same one would remain.
    pub refused: usize,
}

/// One fix that was applied, at its place in the text as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub offset: u32,
    pub line: u32,
    pub column: u32,
    pub code: Code,
    pub message: String,
    /// What was done: `write `softmax``.
    pub action: String,
}

impl Repair {
    pub fn changed(&self) -> bool {
        self.before != self.after
    }
}

/// Fixes a file of a project in memory. The standard library stays as it is.
pub fn repair(project: &mut Project, file: FileId) -> Repair {
    let source = project.sources().get(file).clone();
    let mut best =
        State { text: source.text.to_string(), found: diagnostics(project, file), rounds: vec![], applied: vec![] };
    let mut refused = BTreeSet::new();
    for _ in 0..MAX_ROUNDS {
        let fixes = best.candidates(file, &refused);
        let together = if fixes.len() > 1 { attempt(project, file, &best, &fixes) } else { None };
        let next = together.or_else(|| {
            fixes.iter().find_map(|fix| {
                let next = attempt(project, file, &best, std::slice::from_ref(fix));
                if next.is_none() {
                    refused.insert(fix.key(&best, file));
                }
                next
            })
        });
        match next {
            Some(next) => best = next,
            None => break,
        }
    }
    project.edit(file, best.text.clone());
    let mut applied = best.applied;
    for fix in &mut applied {
        (fix.line, fix.column) = source.line_column(fix.offset);
    }
    applied.sort_by_key(|fix| fix.offset);
    Repair { name: source.name, before: source.text.to_string(), after: best.text, applied, refused: refused.len() }
}

/// A text on the way, what is said about it, and how it came about.
#[derive(Clone)]
struct State {
    text: String,
    found: Vec<Diagnostic>,
    rounds: Vec<Vec<Edit>>,
    applied: Vec<Applied>,
}

/// A certain fix and the diagnostic that it is for.
#[derive(Clone)]
struct Candidate {
    diagnostic: Diagnostic,
    fix: Fix,
}

/// What stays the same about a fix while the text around it changes.
type Key = (u32, Code, String);

impl Candidate {
    /// Where the diagnostic stands; a fix may begin elsewhere.
    fn start(&self, file: FileId) -> u32 {
        let label = self.diagnostic.labels.iter().find(|label| label.primary && label.file == file);
        let edits = self.fix.edits.iter().map(|edit| edit.span.start);
        label.map(|label| label.span.start).or(edits.min()).unwrap_or(0)
    }

    fn key(&self, state: &State, file: FileId) -> Key {
        (state.origin(self.start(file)), self.diagnostic.code, self.diagnostic.message.clone())
    }

    fn says_the_same(&self, other: &Diagnostic) -> bool {
        (self.diagnostic.code, &self.diagnostic.message) == (other.code, &other.message)
    }
}

impl State {
    fn errors(&self) -> usize {
        self.found.iter().filter(|diagnostic| diagnostic.is_error()).count()
    }

    /// The certain fixes that can be done together, errors' first.
    fn candidates(&self, file: FileId, refused: &BTreeSet<Key>) -> Vec<Candidate> {
        let mut sorted: Vec<&Diagnostic> = self.found.iter().collect();
        sorted.sort_by_key(|diagnostic| diagnostic.severity != Severity::Error);
        let mut taken: Vec<Candidate> = vec![];
        for diagnostic in sorted {
            let certain = |fix: &&Fix| {
                fix.applicability == Applicability::Certain
                    && !fix.edits.is_empty()
                    && fix.edits.iter().all(|edit| edit.file == file)
            };
            let Some(fix) = diagnostic.fixes.iter().find(certain) else { continue };
            let candidate = Candidate { diagnostic: diagnostic.clone(), fix: fix.clone() };
            let mut others = taken.iter().flat_map(|other| &other.fix.edits);
            let collides = others.any(|other| fix.edits.iter().any(|edit| edit::conflict(edit, other)));
            if !collides && !refused.contains(&candidate.key(self, file)) {
                taken.push(candidate);
            }
        }
        taken
    }

    /// The state after these fixes; `None` if their edits cannot be done.
    fn after(&self, project: &mut Project, file: FileId, fixes: &[Candidate]) -> Option<State> {
        let edits: Vec<Edit> = fixes.iter().flat_map(|fix| fix.fix.edits.clone()).collect();
        let text = edit::apply(&self.text, &edits)?;
        // Lines of the fixes are read off the text that they are for.
        project.edit(file, self.text.clone());
        let done = fixes.iter().map(|fix| Applied {
            offset: self.origin(fix.start(file)),
            line: 0,
            column: 0,
            code: fix.diagnostic.code,
            message: fix.diagnostic.message.clone(),
            action: fix_line(&fix.fix, project.sources()),
        });
        let applied = self.applied.iter().cloned().chain(done).collect();
        project.edit(file, text.clone());
        let rounds = self.rounds.iter().cloned().chain([edits]).collect();
        Some(State { text, found: diagnostics(project, file), rounds, applied })
    }

    /// Where in the first text an offset of this one was.
    fn origin(&self, offset: u32) -> u32 {
        self.rounds.iter().rev().fold(offset, |offset, edits| before_edits(edits, offset))
    }
}

/// The place before some edits of what stands at `offset` after them.
fn before_edits(edits: &[Edit], offset: u32) -> u32 {
    let mut sorted: Vec<&Edit> = edits.iter().collect();
    sorted.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let mut shift = 0i64;
    for edit in sorted {
        let start = i64::from(edit.span.start) + shift;
        if i64::from(offset) < start {
            break;
        }
        if i64::from(offset) < start + edit.text.len() as i64 {
            return edit.span.start;
        }
        shift += edit.text.len() as i64 - i64::from(edit.span.end - edit.span.start);
    }
    (i64::from(offset) - shift).max(0) as u32
}

fn diagnostics(project: &Project, file: FileId) -> Vec<Diagnostic> {
    let mut found = project.check(file);
    found.extend(project.hints(file));
    found
}

/// Does fixes and says whether the text is no worse for it.
fn attempt(project: &mut Project, file: FileId, from: &State, fixes: &[Candidate]) -> Option<State> {
    let mut state = from.after(project, file, fixes)?;
    let remains = |fix: &Candidate| {
        let count = |state: &State| state.found.iter().filter(|other| fix.says_the_same(other)).count();
        let fixed = fixes.iter().filter(|other| other.says_the_same(&fix.diagnostic)).count();
        count(&state) + fixed > count(from)
    };
    if fixes.iter().any(remains) {
        return None;
    }
    for _ in 0..MAX_FOLLOW_UP {
        if state.errors() <= from.errors() {
            break;
        }
        let more = state.candidates(file, &BTreeSet::new());
        if more.is_empty() {
            return None;
        }
        state = state.after(project, file, &more)?;
    }
    (state.errors() <= from.errors()).then_some(state)
}
