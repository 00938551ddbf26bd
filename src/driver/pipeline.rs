//! The calls into the compiler's stages, one function each.

use crate::base::code::E0404;
use crate::base::{Diagnostic, FileId};
use crate::driver::bind::Bound;
use crate::driver::inputs::BoundInputs;
use crate::driver::{Artifact, BuildRequest, Emit, EntryRequest, Failed, RunRequest, RunResult, Session, TestReport};
use crate::ir;
use std::collections::BTreeMap;

/// A target that `build` can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetInfo {
    pub name: &'static str,
    pub summary: &'static str,
    /// Names of the files it writes, `NAME` for the entry's.
    pub files: &'static str,
}

/// Every target, in the order in which they are listed.
pub fn targets() -> Vec<TargetInfo> {
    vec![]
}

/// Parses and checks a file and the modules it uses, recording what there is to say.
pub fn check(session: &mut Session, file: FileId) -> Result<(), Failed> {
    let _ = file;
    let diagnostics = session.project.check_all();
    session.report_all(diagnostics)
}

/// Checks a file, finds the entry and lowers it.
pub fn lower(session: &mut Session, _file: FileId, _entry: &EntryRequest) -> Result<ir::Verified, Failed> {
    Err(not_connected(session, "lowering"))
}

/// The text of a stage, as a single artifact. For `Emit::Ir` the entry is lowered.
pub fn emit_stage(
    session: &mut Session,
    _file: FileId,
    _stage: Emit,
    _entry: &EntryRequest,
) -> Result<Artifact, Failed> {
    Err(not_connected(session, "printing a stage"))
}

/// The files of one target. With `weights` given, they are written beside the code.
pub fn emit(
    session: &mut Session,
    _module: &ir::Verified,
    _target: &str,
    _request: &BuildRequest,
    _weights: Option<&BTreeMap<String, Bound>>,
) -> Result<Vec<Artifact>, Failed> {
    Err(not_connected(session, "emitting"))
}

/// Whether the file has top-level statements and no entry, so that `run` executes those.
pub fn is_script(_session: &mut Session, _file: FileId, _entry: &EntryRequest) -> Result<bool, Failed> {
    Ok(false)
}

/// Runs top-level statements.
pub fn run_script(session: &mut Session, _file: FileId, _seed: u64) -> Result<RunResult, Failed> {
    Err(not_connected(session, "running"))
}

/// Runs a method of the entry; without weights, with initial values under the request's seed.
pub fn interpret(
    session: &mut Session,
    _module: &ir::Verified,
    _request: &RunRequest,
    _inputs: &BoundInputs,
    _weights: Option<BTreeMap<String, Bound>>,
) -> Result<RunResult, Failed> {
    Err(not_connected(session, "running"))
}

/// Runs the `test` blocks of a file.
pub fn test(session: &mut Session, _file: FileId) -> Result<TestReport, Failed> {
    Err(not_connected(session, "testing"))
}

fn not_connected(session: &mut Session, what: &str) -> Failed {
    session.report(Diagnostic::new(E0404, format!("{what} is not connected yet")));
    Failed
}
