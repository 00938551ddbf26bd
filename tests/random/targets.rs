//! Programs on every target whose code can be executed, as `tritonc verify` does it: in both modes, with gradients.
//! `TRITONC_TARGETS` names some of them, separated by commas.

use super::compare::{Failure, TRIES, guarded, written};
use super::hunt::Examination;
use super::noise::Noise;
use super::tree::Program;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tritonc::base::code::E0607;
use tritonc::driver::options::PassRequest;
use tritonc::driver::verify::{Executor, Report, Row, Status, VerifyRequest, executors};
use tritonc::driver::{EntryRequest, Mode, RunRequest, Session, model};
use tritonc::types::HostValue;
use tritonc::weights::{WeightSet, encode};

/// How long a target may take for one program.
const LIMIT: Duration = Duration::from_secs(120);

/// Everything that executes programs, with the processes that do it.
pub struct Targets {
    session: Session,
    executors: Vec<Box<dyn Executor>>,
    pub tally: Tally,
}

/// What became of programs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Rows that agree.
    pub agree: usize,
    /// That could not be run, since a target has no form for the program.
    pub skipped: usize,
    /// In which rounding decides too much.
    pub undecided: usize,
}

impl Default for Targets {
    fn default() -> Targets {
        let named = std::env::var("TRITONC_TARGETS").ok();
        let is_wanted = |target: &str| named.as_ref().is_none_or(|named| named.split(',').any(|name| name == target));
        let mut executors = executors(None);
        executors.retain(|executor| is_wanted(executor.target()));
        Targets { session: Session::default(), executors, tally: Tally::default() }
    }
}

impl Targets {
    /// Why nothing can be executed, if nothing can.
    pub fn missing(&mut self) -> Option<String> {
        let why: Vec<String> = self
            .executors
            .iter_mut()
            .filter_map(|executor| Some(format!("{}: {}", executor.target(), executor.prepare().err()?.0)))
            .collect();
        (why.len() == self.executors.len()).then(|| why.join("; "))
    }

    fn in_mode(&mut self, program: &Program, mode: Mode) -> Result<(), Failure> {
        let file = written(program)?;
        let inputs = Path::new(&file.path).with_file_name("inputs.safetensors");
        save_inputs(program, &inputs)?;
        let entry = EntryRequest { mode, ..EntryRequest::default() };
        let run = RunRequest {
            numbers: self.numbers(program, &file.path, &entry),
            entry,
            inputs: program.inputs.iter().map(|(name, _)| (name.clone(), inputs.clone())).collect(),
            seed: super::compare::SEED,
            grad: mode == Mode::Train,
            ..RunRequest::default()
        };
        let passes = PassRequest::default();
        let mut request = VerifyRequest { run, targets: None, passes, templates: None, limit: LIMIT };
        let mut report = self.verify(&file.path, &request);
        if report.as_ref().is_err_and(|failure| failure.kind.contains(&E0607.to_string())) {
            request.run.grad = false;
            report = self.verify(&file.path, &request);
        }
        let report = report?;
        for row in &report.rows {
            match row.status {
                Status::Agrees => self.tally.agree += 1,
                Status::Skipped => self.tally.skipped += 1,
                Status::Failed if is_lacking(row) => self.tally.skipped += 1,
                Status::Differs if is_shaky(&file.path, &request) => self.tally.undecided += 1,
                Status::Differs | Status::Failed => return Err(failure(row, mode)),
            }
        }
        Ok(())
    }

    /// Those of the program's numbers that it has a use for in this mode.
    fn numbers(&mut self, program: &Program, path: &str, entry: &EntryRequest) -> Vec<(String, HostValue)> {
        let mut numbers = program.numbers.clone();
        if let Ok(module) = self.session.lower(path, entry)
            && let Ok(signature) = model::signature(&module, None, &|_| true)
        {
            numbers.retain(|(name, _)| signature.numbers.iter().any(|(symbol, _)| symbol.as_str() == name));
        }
        numbers
    }

    fn verify(&mut self, path: &str, request: &VerifyRequest) -> Result<Report, Failure> {
        self.session.begin();
        self.session.take_diagnostics();
        let report = self.session.verify(path, request, &mut self.executors, &mut |_, _, _| {});
        report.map_err(|_| {
            let codes: Vec<String> = self.session.diagnostics().iter().map(|said| said.code.to_string()).collect();
            Failure::new(format!("verify {}", codes.join(" ")), self.session.render())
        })
    }
}

impl Examination for Targets {
    fn examine(&mut self, program: &Program) -> Result<(), Failure> {
        let result = guarded(|| Mode::ALL.into_iter().try_for_each(|mode| self.in_mode(program, mode)));
        if result.as_ref().is_err_and(|failure| failure.kind == "panic") {
            self.session = Session::default();
        }
        result
    }
}

/// Whether the target's framework has no code for an element type on this machine.
fn is_lacking(row: &Row) -> bool {
    ["not implemented for 'Half'", "not implemented for 'BFloat16'"].iter().any(|words| row.reason.contains(words))
}

fn save_inputs(program: &Program, path: &Path) -> Result<(), Failure> {
    let tensors: BTreeMap<_, _> = program.inputs.iter().cloned().collect();
    let bytes = encode(path, &WeightSet { tensors, ..WeightSet::default() });
    let bytes = bytes.map_err(|error| Failure::new("disk", error.to_string()))?;
    std::fs::write(path, bytes).map_err(|error| Failure::new("disk", error.to_string()))
}

/// Whether the program differs from itself by more than the tolerances when everything is rounded a little otherwise.
fn is_shaky(path: &str, request: &VerifyRequest) -> bool {
    (1..=TRIES).any(|seed| {
        let mut session = Session::default();
        session.add_pass(Noise(seed));
        let request = VerifyRequest { targets: Some(vec!["interp-1".to_string()]), ..request.clone() };
        let report = session.verify(path, &request, &mut [], &mut |_, _, _| {});
        report.is_ok_and(|report| report.rows.iter().any(|row| row.status == Status::Differs))
    })
}

/// A row that is wrong: who, in which mode, and what of it, without the numbers.
fn failure(row: &Row, mode: Mode) -> Failure {
    let what = match row.status {
        Status::Differs if row.reason.contains("the gradient of") => "another gradient".to_string(),
        Status::Differs if row.reason.contains("the state") => "another state".to_string(),
        Status::Differs => "another result".to_string(),
        // The last line of a Python error begins with its class.
        _ => {
            let last = row.reason.trim_end().lines().last().unwrap_or_default();
            last.split(':').next().unwrap_or_default().to_string()
        }
    };
    let words = format!("{}: {}", row.method, row.reason);
    Failure::new(format!("{} ({mode}): {what}", row.target), words)
}
