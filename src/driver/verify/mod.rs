//! `tritonc verify`: whether everything that can execute a program computes what the interpreter does.
//!
//! The interpreter runs the program as it was lowered, on inputs and weights drawn from a seed: that is what is right.
//! *Subjects* are compared with it: the interpreter on the program after the passes of a level, and each target whose
//! code can be executed ([`executor::Executor`]). A *scene* is one method of the entry with its inputs. Where results
//! differ, both sides run again and tell what went in and out of each layer, which leads to the first one that goes
//! wrong ([`locate`]).
//!
//! What cannot be run here is skipped and says why; a subject that was asked for by name must run.

mod c;
pub mod compare;
pub mod executor;
mod locate;
mod python;
mod scene;
mod stage;
pub mod tolerance;
mod worker;

pub use c::C;
pub use compare::Difference;
pub use executor::{Executor, executor, executors};
pub use locate::Culprit;
pub use python::Python;

use crate::base::code::{E0405, E0601};
use crate::base::{Diagnostic, closest};
use crate::driver::optimise::check as check_passes;
use crate::driver::options::{OptLevel, PassRequest};
use crate::driver::{EntryRequest, Failed, RunRequest, Session, pipeline};
use scene::Scenes;
use stage::Stage;
use std::path::PathBuf;
use std::time::Duration;

/// What is verified, and by what.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifyRequest {
    /// As for `run`. Without a method, `forward` and every exported one; without optional inputs, each method without
    /// any and with all of them.
    pub run: RunRequest,
    /// Names of subjects; all that there are if `None`.
    pub targets: Option<Vec<String>>,
    /// How targets are built.
    pub passes: PassRequest,
    pub templates: Option<PathBuf>,
    /// How long one method may take on a target.
    pub limit: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Agrees,
    Differs,
    /// It could not be run, and need not be.
    Skipped,
    /// It did not run to its end, or could not be run although it was asked for by name.
    Failed,
}

/// A method on a subject.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub target: String,
    /// `forward`; with the optional inputs that it takes, `forward(mask)`.
    pub method: String,
    pub status: Status,
    pub difference: Option<Difference>,
    /// Why it was skipped or failed, or what differs.
    pub reason: String,
    /// The target has no form for the program, or for its element types.
    pub refused: bool,
    /// Where it first goes wrong.
    pub culprit: Option<Culprit>,
    pub time: Option<Duration>,
}

impl Row {
    fn new(target: &str, method: &str, status: Status) -> Row {
        Row {
            target: target.to_string(),
            method: method.to_string(),
            status,
            difference: None,
            reason: String::new(),
            refused: false,
            culprit: None,
            time: None,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    pub rows: Vec<Row>,
}

impl Report {
    /// Whether nothing failed.
    pub fn passed(&self) -> bool {
        self.rows.iter().all(|row| matches!(row.status, Status::Agrees | Status::Skipped))
    }
}

/// What is compared with the interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// The interpreter after the passes of a level.
    Level(OptLevel),
    /// Executed by the one at this position.
    Target(usize),
}

const LEVELS: [OptLevel; 3] = [OptLevel::O1, OptLevel::O2, OptLevel::O3];
/// Stands for all levels.
const INTERPRETER: &str = "interp";

fn level_name(level: OptLevel) -> String {
    format!("{INTERPRETER}-{level}")
}

/// The subjects with these names, each with its name.
fn select(names: Option<&[String]>, executors: &[Box<dyn Executor>]) -> Result<Vec<(Subject, String)>, Diagnostic> {
    let levels = LEVELS.map(|level| (Subject::Level(level), level_name(level)));
    let targets = executors.iter().enumerate();
    let targets = targets.map(|(index, executor)| (Subject::Target(index), executor.target().to_string()));
    let all: Vec<(Subject, String)> = levels.into_iter().chain(targets).collect();
    let Some(names) = names else { return Ok(all) };
    let mut found: Vec<(Subject, String)> = vec![];
    for name in names {
        let is_meant = |known: &str| {
            known == name || name == INTERPRETER && known.strip_prefix(INTERPRETER).is_some_and(|r| r.starts_with('-'))
        };
        let meant: Vec<_> = all.iter().filter(|(_, known)| is_meant(known)).cloned().collect();
        if meant.is_empty() {
            let diagnostic = Diagnostic::new(E0601, format!("`{name}` is not a target that can be executed"));
            let diagnostic = match closest(name, all.iter().map(|(_, known)| known.as_str())) {
                Some(near) => diagnostic.note(format!("help: did you mean `{near}`?")),
                None => diagnostic,
            };
            let known: Vec<&str> = all.iter().map(|(_, known)| known.as_str()).collect();
            return Err(
                diagnostic.note(format!("help: there are {}, and {INTERPRETER} for all its levels", known.join(", ")))
            );
        }
        found.extend(meant.into_iter().filter(|one| !found.contains(one)).collect::<Vec<_>>());
    }
    Ok(found)
}

impl Session {
    /// Compares what there is with the interpreter. `progress` is told how many rows are done, of how many, and which
    /// one comes next.
    pub fn verify(
        &mut self,
        path: &str,
        request: &VerifyRequest,
        executors: &mut [Box<dyn Executor>],
        progress: &mut dyn FnMut(usize, usize, &str),
    ) -> Result<Report, Failed> {
        let subjects = select(request.targets.as_deref(), executors).map_err(|error| self.fail(vec![error]))?;
        check_passes(self, &request.passes)?;
        let file = self.open(path)?;
        if pipeline::is_script(self, file, &request.run.entry)? {
            let error = Diagnostic::new(E0405, "the file is a script: there is no entry to be verified");
            return Err(self.fail(vec![error.note("help: choose an instance with `--entry`")]));
        }
        let numbers = request.run.numbers.iter().map(|(name, _)| name.clone()).collect();
        let shapes = self.input_shapes(&request.run)?;
        let entry = EntryRequest { shapes, given: numbers, ..request.run.entry.clone() };
        let module = pipeline::lower(self, file, &entry)?;
        let weights = self.bind_weights(&module, entry.mode, request.run.weights.as_deref(), &request.run.reading)?;
        let run = RunRequest { entry, ..request.run.clone() };
        let stage = Stage::new(self, request, run, path, module, weights)?;
        let Scenes { scenes, skipped } = scene::scenes(self, &stage)?;
        if let Some(first) = scenes.first() {
            stage.save_weights(self, first)?;
        }
        let total = subjects.len() * scenes.len();
        let mut report = Report::default();
        for (subject, name) in &subjects {
            let prepared = stage.prepare(self, *subject, &scenes, executors);
            for scene in &scenes {
                progress(report.rows.len(), total, &format!("{name}: {}", scene.name));
                report.rows.push(stage.row(self, name, &prepared, scene, executors));
            }
        }
        report.rows.extend(skipped);
        Ok(report)
    }

    /// Runs something whose complaints are about a subject, not about the program: they are taken out of the session.
    fn aside<T>(&mut self, work: impl FnOnce(&mut Session) -> Result<T, Failed>) -> Result<T, Vec<Diagnostic>> {
        let before = self.diagnostics.len();
        let result = work(self);
        let said = self.diagnostics.split_off(before.min(self.diagnostics.len()));
        result.map_err(|Failed| said)
    }
}
