//! Runs scenes on subjects, in one place: everything that travels lies in a folder that goes with the stage.

use super::executor::{Broken, Executed, Executor, Job, Unavailable};
use super::locate::{Culprit, locate};
use super::scene::{Compared, Scene, knows, of_method};
use super::tolerance::Scope;
use super::{Row, Status, Subject, VerifyRequest};
use crate::base::Diagnostic;
use crate::base::code::{E0602, E0603, E0608, E0609, E0802};
use crate::driver::bind::Bound;
use crate::driver::options::{PassRequest, Selection, WeightsForm};
use crate::driver::{BuildRequest, EntryRequest, Failed, Mode, RunRequest, Session, artifact, model, pipeline};
use crate::ir::Verified;
use crate::passes::Style;
use crate::types::Tensor;
use crate::weights::{WeightSet, encode};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

/// The largest value of sizes about which scenes say nothing.
const OTHER_BOUND: usize = 32;

/// The tensors of a weights file, fitted to the model; `None` for its own initial values.
pub(super) type Weights = Option<BTreeMap<String, Bound>>;

/// What all rows share.
pub(super) struct Stage<'a> {
    pub request: &'a VerifyRequest,
    /// With the shapes of inputs that files have.
    pub run: RunRequest,
    source: &'a str,
    /// As it was lowered.
    pub module: Verified,
    pub weights: Weights,
    scope: Scope,
    folder: tempfile::TempDir,
}

/// A subject that is ready to run scenes, or why there is none.
pub(super) enum Prepared {
    Module(Verified),
    /// What a target wrote, and the program as it was given to it.
    Files {
        executor: usize,
        files: Vec<PathBuf>,
        module: Box<Verified>,
        /// Whether its framework has gradients; otherwise there are those of `forward`, which the compiler made.
        differentiates: bool,
    },
    Not(Stop),
}

/// Why there is nothing to compare.
#[derive(Clone)]
pub(super) struct Stop {
    status: Status,
    reason: String,
    /// The target has no form for the program.
    refused: bool,
}

impl Stop {
    fn new(status: Status, reason: String) -> Stop {
        Stop { status, reason, refused: false }
    }
}

impl Prepared {
    /// The gradients of results by which those of a scene are found, if any are wanted that this can give.
    fn output_gradients<'s>(&self, scene: &'s Scene) -> Option<&'s [Option<Tensor>]> {
        let gives = match self {
            Prepared::Module(_) => true,
            Prepared::Files { differentiates, .. } => *differentiates || scene.method == "forward",
            Prepared::Not(_) => false,
        };
        scene.output_gradients.as_deref().filter(|_| gives)
    }
}

/// What a run of a scene gave.
type Outcome = Result<Executed, Stop>;

impl<'a> Stage<'a> {
    pub fn new(
        session: &mut Session,
        request: &'a VerifyRequest,
        run: RunRequest,
        source: &'a str,
        module: Verified,
        weights: Weights,
    ) -> Result<Stage<'a>, Failed> {
        let folder = tempfile::tempdir();
        let folder = folder.map_err(|error| {
            session.fail(vec![Diagnostic::new(E0802, format!("no temporary folder can be made: {error}"))])
        })?;
        let scope = run.entry.precision.map_or_else(|| Scope::of(&module), Scope::Mixed);
        Ok(Stage { request, run, source, module, weights, scope, folder })
    }

    /// The parameters of the reference, for targets to load.
    pub(super) fn save_weights(&self, session: &mut Session, scene: &Scene) -> Result<(), Failed> {
        let path = self.weights_file();
        let set = WeightSet { tensors: scene.wanted.weights.clone(), ..WeightSet::default() };
        let written = encode(&path, &set).and_then(|bytes| artifact::write_atomic(&path, &bytes));
        written.map_err(|error| session.report_file(&error))
    }

    fn weights_file(&self) -> PathBuf {
        self.folder.path().join("weights.safetensors")
    }

    /// Of what cannot be run: skipped, but where it was asked for.
    fn unavailable(&self) -> Status {
        if self.request.targets.is_some() { Status::Failed } else { Status::Skipped }
    }

    pub(super) fn prepare(
        &self,
        session: &mut Session,
        subject: Subject,
        scenes: &[Scene],
        executors: &mut [Box<dyn Executor>],
    ) -> Prepared {
        match subject {
            Subject::Level(level) => {
                let passes = PassRequest { selection: Selection { level, ..Selection::default() }, dump: None };
                let request = BuildRequest { entry: self.run.entry.clone(), passes, ..BuildRequest::default() };
                let module = self.module.clone();
                // The longer list of passes.
                match session.aside(|session| pipeline::after_passes(session, module, &request, Style::Kernels)) {
                    Ok(module) => Prepared::Module(module),
                    Err(said) => Prepared::Not(Stop::new(Status::Failed, sentences(&said))),
                }
            }
            Subject::Target(index) => {
                let Some(executor) = executors.get_mut(index) else {
                    return Prepared::Not(Stop::new(Status::Failed, String::new()));
                };
                match executor.prepare() {
                    Ok(()) => self.build(session, index, executor.target(), scenes),
                    Err(Unavailable(why)) => Prepared::Not(Stop::new(self.unavailable(), why)),
                }
            }
        }
    }

    /// Has the target write its files.
    fn build(&self, session: &mut Session, executor: usize, target: &str, scenes: &[Scene]) -> Prepared {
        let differentiates = pipeline::has_gradients(target);
        let wants = |scene: &Scene| scene.output_gradients.is_some() && (differentiates || scene.method == "forward");
        // A build is asked for shapes of `forward` only; other methods have inputs of their own.
        let forward = model::signature(&self.module, None, &|_| true).ok();
        let forward = forward.filter(|_| self.run.method.as_deref().is_none_or(|method| method == "forward"));
        let meant = |name: &str| forward.as_ref().is_some_and(|forward| knows(forward, name));
        let shapes = of_method(&self.run.entry.shapes, &meant);
        let request = BuildRequest {
            entry: EntryRequest { shapes, ..self.run.entry.clone() },
            targets: vec![target.to_string()],
            passes: self.request.passes.clone(),
            templates: self.request.templates.clone(),
            bounds: bounds(scenes),
            // Of methods that are no scene, and of what only the run counts.
            bound: Some(OTHER_BOUND),
            // What holds its weights itself has them as a file that it loads.
            weights: pipeline::holds_weights(target).then(|| self.weights_file()),
            weights_form: Some(WeightsForm::File),
            grad: scenes.iter().any(wants),
            ..BuildRequest::default()
        };
        let folder = self.folder.path().join(target);
        let built = session.aside(|session| {
            let artifacts = session.build(self.source, &request)?;
            let files = artifact::write_all(&folder, &artifacts).map_err(|error| session.report_file(&error))?;
            let style = pipeline::style_of(target);
            Ok((files, pipeline::after_passes(session, self.module.clone(), &request, style)?))
        });
        match built {
            Ok((files, module)) => Prepared::Files { executor, files, module: Box::new(module), differentiates },
            // The target has no form for the program, which is no mistake in either.
            Err(said) if said.iter().all(|diagnostic| [E0602, E0603, E0608, E0609].contains(&diagnostic.code)) => {
                let refused = said.iter().all(|diagnostic| [E0602, E0603, E0609].contains(&diagnostic.code));
                Prepared::Not(Stop { refused, ..Stop::new(self.unavailable(), sentences(&said)) })
            }
            Err(said) => Prepared::Not(Stop::new(Status::Failed, sentences(&said))),
        }
    }

    /// Runs a scene on a subject, and once more where it goes wrong.
    pub(super) fn row(
        &self,
        session: &mut Session,
        name: &str,
        prepared: &Prepared,
        scene: &Scene,
        executors: &mut [Box<dyn Executor>],
    ) -> Row {
        let empty = Row::new(name, &scene.name, Status::Agrees);
        let executed = match self.execute(session, prepared, scene, executors, false) {
            Ok(executed) => executed,
            Err(Stop { status, reason, refused }) => return Row { status, reason, refused, ..empty },
        };
        let row = Row { time: Some(executed.time), ..empty };
        let Compared { mut difference, in_results } =
            match scene.compare(&executed, self.scope, prepared.output_gradients(scene).is_some()) {
                Ok(compared) => compared,
                Err(unlike) => return Row { status: Status::Differs, reason: unlike.to_string(), ..row },
            };
        if !difference.fails {
            return Row { difference: Some(difference), ..row };
        }
        if executed.own_random {
            let reason = format!("it draws random numbers, and {name} has its own");
            return Row { status: self.unavailable(), reason, ..row };
        }
        let reason = difference.worst.take().unwrap_or_default();
        let culprit = if in_results { self.locate(session, prepared, scene, executors) } else { None };
        Row { status: Status::Differs, difference: Some(difference), reason, culprit, ..row }
    }

    /// Where the results of a scene first go wrong.
    fn locate(
        &self,
        session: &mut Session,
        prepared: &Prepared,
        scene: &Scene,
        executors: &mut [Box<dyn Executor>],
    ) -> Option<Culprit> {
        let want = session.aside(|session| scene.interpret(session, self, &self.module, true)).ok()?;
        let have = self.execute(session, prepared, scene, executors, true).ok()?;
        locate(&self.module, &scene.method, &want.trace, &have.trace, self.scope)
    }

    fn execute(
        &self,
        session: &mut Session,
        prepared: &Prepared,
        scene: &Scene,
        executors: &mut [Box<dyn Executor>],
        trace: bool,
    ) -> Outcome {
        match prepared {
            Prepared::Not(stop) => Err(stop.clone()),
            Prepared::Module(module) => {
                let started = Instant::now();
                let executed = session.aside(|session| scene.interpret(session, self, module, trace));
                let result = executed.map_err(|said| Stop::new(Status::Failed, sentences(&said)))?;
                Ok(Executed { time: started.elapsed(), ..result })
            }
            Prepared::Files { executor, files, module, .. } => {
                let Some(executor) = executors.get_mut(*executor) else {
                    return Err(Stop::new(Status::Failed, "there is nothing to execute it".to_string()));
                };
                let weights = self.weights_file();
                let seeds = session.aside(|session| scene.seeds(session, self, module));
                let seeds = seeds.map_err(|said| Stop::new(Status::Failed, sentences(&said)))?;
                let job = Job {
                    files,
                    scratch: self.folder.path(),
                    weights: Some(&weights),
                    train: self.run.entry.mode == Mode::Train,
                    method: &scene.method,
                    inputs: &scene.inputs,
                    numbers: &scene.numbers,
                    seed: self.run.seed,
                    seeds: &seeds,
                    // Where only the results are of interest, gradients would be computed in vain.
                    output_gradients: prepared.output_gradients(scene).filter(|_| !trace),
                    gradients: &scene.gradient_names(),
                    state: &scene.state_names(),
                    trace,
                    limit: self.request.limit,
                };
                executor.execute(&job).map_err(|Broken(why)| Stop::new(Status::Failed, why))
            }
        }
    }
}

/// The largest shapes and numbers that the scenes have, and a little more, so that bounds are not what comes; but a size of
/// 1 may well be a constant.
fn bounds(scenes: &[Scene]) -> Vec<(String, Vec<usize>)> {
    let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut add = |name: &str, sizes: Vec<usize>| {
        let more = sizes.into_iter().map(|size| if size == 1 { 1 } else { size + 1 });
        match found.get_mut(name) {
            Some(known) if known.len() == more.len() => {
                known.iter_mut().zip(more).for_each(|(known, size)| *known = size.max(*known));
            }
            Some(_) => {}
            None => drop(found.insert(name.to_string(), more.collect())),
        }
    };
    for scene in scenes {
        for (name, tensor) in &scene.inputs {
            if let Some(tensor) = tensor {
                add(name, tensor.shape().to_vec());
            }
        }
        for (name, value) in &scene.numbers {
            if let Some(size) = value.as_int().and_then(|value| usize::try_from(value).ok()) {
                add(name, vec![size]);
            }
        }
    }
    found.into_iter().collect()
}

/// What diagnostics say, one after another.
pub(super) fn sentences(diagnostics: &[Diagnostic]) -> String {
    let all = diagnostics.iter().map(|diagnostic| format!("{}: {}", diagnostic.code, diagnostic.message));
    all.collect::<Vec<_>>().join("; ")
}
