//! Runs passes on a lowered entry: what was asked for, who watches, what went wrong.

use crate::base::Diagnostic;
use crate::base::code::{E0409, E0606};
use crate::driver::options::PassRequest;
use crate::driver::{Failed, Session, artifact};
use crate::ir::{self, printer};
use crate::passes::precision::MixedPrecision;
use crate::passes::{self, Form, Keep, PassError, PassReport, Pipeline, Stage, UnknownPass};
use crate::types::DType;
use crate::weights::FileError;
use std::path::Path;
use std::sync::Arc;

/// What the passes did to one form of the entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassReports {
    /// Which form: `evaluation` beside the one for training, `kernels` for targets of that style, else nothing.
    pub form: &'static str,
    pub passes: Vec<PassReport>,
}

/// Checks the names of passes before anything is read: E0606.
pub fn check(session: &mut Session, request: &PassRequest) -> Result<(), Failed> {
    pipeline(session, request, Form::default()).map(|_| ())
}

/// The module in mixed precision, if that is asked for.
pub fn with_precision(session: &mut Session, module: ir::Verified, low: Option<DType>) -> Result<ir::Verified, Failed> {
    let Some(low) = low else { return Ok(module) };
    let pipeline = Pipeline::of(vec![Arc::new(MixedPrecision(low))]);
    let outcome = passes::run(module, &pipeline, &mut |_| {});
    let (module, passes) = outcome.map_err(|error| broken(session, &error, true))?;
    session.pass_reports.push(PassReports { form: "", passes });
    Ok(module)
}

/// What there is to say about a pass that failed.
fn broken(session: &mut Session, error: &PassError, internal: bool) -> Failed {
    let message = if internal { format!("internal error: {error}; please report it") } else { error.to_string() };
    session.report(Diagnostic::new(E0409, message));
    Failed
}

/// The module after the passes of its form, in which calls that `keep` names stay; their reports stay in the session,
/// under a name.
pub fn run(
    session: &mut Session,
    module: ir::Verified,
    request: &PassRequest,
    (form, name): (Form, &'static str),
    keep: Keep,
) -> Result<ir::Verified, Failed> {
    let pipeline = pipeline(session, request, form)?.keeping(keep);
    let folder = request.dump.as_ref().map(|folder| folder.join(name));
    let mut dumped = Ok(());
    let mut watch = |stage: &Stage<'_>| {
        if let (Some(folder), Ok(())) = (&folder, &dumped) {
            dumped = dump(folder, stage);
        }
    };
    let outcome = passes::run(module, &pipeline, &mut watch);
    dumped.map_err(|error| session.report_file(&error))?;
    let (module, passes) = outcome.map_err(|error| {
        let internal = passes::BUILT_IN.iter().any(|pass| pass.name == error.pass);
        broken(session, &error, internal)
    })?;
    session.pass_reports.push(PassReports { form: name, passes });
    Ok(module)
}

fn pipeline(session: &mut Session, request: &PassRequest, form: Form) -> Result<Pipeline, Failed> {
    let selected = Pipeline::select(&request.selection, form, &session.added_passes);
    selected.map_err(|unknown| {
        session.report(unknown_pass(&unknown));
        Failed
    })
}

fn unknown_pass(unknown: &UnknownPass) -> Diagnostic {
    let diagnostic = Diagnostic::new(E0606, unknown.to_string());
    let diagnostic = match &unknown.near {
        Some(near) => diagnostic.note(format!("help: did you mean `{near}`?")),
        None => diagnostic,
    };
    diagnostic.note(format!("help: passes are {}", unknown.known.join(", ")))
}

/// `02-cse.ir` in the folder.
fn dump(folder: &Path, stage: &Stage<'_>) -> Result<(), FileError> {
    let path = format!("{:02}-{}.ir", stage.number, stage.name);
    let artifact = artifact::Artifact::new(path, printer::print(stage.module));
    artifact::write_all(folder, &[artifact]).map(|_| ())
}
