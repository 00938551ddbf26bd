//! Joins the stages: reads sources, runs them through the compiler, and puts results on disk.
//!
//! A [`Session`] owns the source files and everything there is to say about them. Its methods are the
//! subcommands of `tritonc`; each records diagnostics and returns [`Failed`] where they stop it. The
//! stages themselves are called in [`pipeline`] only.

pub mod artifact;
pub mod bind;
pub mod calibrate;
pub mod choice;
pub mod diff;
pub mod draw;
pub mod fix;
pub mod format;
mod gptq;
pub mod gradients;
pub mod inputs;
pub mod inspect;
pub mod matrix;
pub mod memory;
pub mod metadata;
pub mod model;
pub mod modules;
pub mod optimise;
pub mod options;
pub mod packed;
pub mod pipeline;
pub mod project_file;
pub mod quantize;
pub mod read;
pub mod reading;
mod report;
pub mod schemes;
pub mod verify;

pub use artifact::Artifact;
pub use options::{BuildRequest, Emit, EntryRequest, Mode, RunRequest};
pub use reading::Reading;

use crate::analysis::Project;
use crate::analysis::project::NoFiles;
use crate::base::render::Format;
use crate::base::{Diagnostic, FileId, Source, code};
use crate::interp::Trace;
use crate::passes::{Pass, Style};
use crate::types::Tensor;
use crate::weights::{self, FileError, WeightSet};
use crate::{ir, targets};
use inputs::InputRequest;
use optimise::PassReports;
use report::Report;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Errors were recorded in the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

/// How a subcommand ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Errors in the input, recorded in the session.
    Errors,
    TestsFailed,
}

/// What concerns every subcommand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionOptions {
    pub format: Format,
    pub color: bool,
    pub verbose: bool,
}

/// The compiler at work: files, messages, options. It may compile one program after another; what does not
/// depend on them (the standard library, the targets' templates) is read once.
#[derive(Default)]
pub struct Session {
    pub options: SessionOptions,
    pub project: Project,
    diagnostics: Vec<Diagnostic>,
    /// What was said about programs before this one.
    earlier: Report,
    opened: BTreeMap<String, FileId>,
    /// Targets with their built-in templates, by name.
    writers: BTreeMap<String, Arc<dyn targets::Writer>>,
    /// Passes from outside the compiler.
    added_passes: Vec<Arc<dyn Pass>>,
    /// What the passes of the last build did.
    pass_reports: Vec<PassReports>,
    /// What the last build told, where it was asked to.
    metadata: Option<String>,
}

/// What `run` computed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunResult {
    /// The results of the method, in order; none for a script.
    pub outputs: Vec<Tensor>,
    /// Gradients of float inputs and parameters, by name.
    pub gradients: weights::Tensors,
    /// Named values of the run, for `--save-intermediates`.
    pub intermediates: weights::Tensors,
    /// The parameters that were used, for `--save-weights`.
    pub weights: weights::Tensors,
    /// State after the run, by its name in weights files.
    pub state: weights::Tensors,
    /// The seeds that `rng` gave, in order.
    pub seeds: Vec<i64>,
    /// The calls of sublayers.
    pub trace: Trace,
}

/// What `test` found in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestReport {
    pub tests: Vec<TestResult>,
}

/// One `test` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    pub name: String,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

impl Session {
    pub fn new(options: SessionOptions) -> Session {
        Session { options, ..Session::default() }
    }

    /// Has every build run a pass of one's own, after the standard ones or where a list of passes names it.
    pub fn add_pass(&mut self, pass: impl Pass + 'static) {
        self.added_passes.push(Arc::new(pass));
    }

    /// What the passes of the last build did.
    pub fn pass_reports(&self) -> &[PassReports] {
        &self.pass_reports
    }

    /// The JSON that the last build tells, if it was asked to.
    pub fn metadata(&self) -> Option<&str> {
        self.metadata.as_deref()
    }

    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Records diagnostics; `Failed` if there was an error among them.
    pub fn report_all(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) -> Result<(), Failed> {
        let before = self.diagnostics.len();
        self.diagnostics.extend(diagnostics);
        if self.diagnostics[before..].iter().any(Diagnostic::is_error) { Err(Failed) } else { Ok(()) }
    }

    pub fn report_file(&mut self, error: &FileError) -> Failed {
        self.report(Diagnostic::new(error.code, error.to_string()));
        Failed
    }

    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().chain(self.earlier.diagnostics()).any(Diagnostic::is_error)
    }

    /// Begins a program of its own: what is open is forgotten, what was said about it is not.
    pub fn begin(&mut self) {
        if self.opened.is_empty() {
            return;
        }
        self.earlier.add(self.project.sources(), &std::mem::take(&mut self.diagnostics));
        self.project.clear();
        self.opened.clear();
    }

    /// Forgets what was said so far, and gives it.
    pub fn take_diagnostics(&mut self) -> Vec<Diagnostic> {
        self.earlier = Report::default();
        std::mem::take(&mut self.diagnostics)
    }

    /// Everything recorded, as text for standard error.
    pub fn render(&self) -> String {
        let mut report = self.earlier.clone();
        report.add(self.project.sources(), &self.diagnostics);
        report.render(self.options.format, self.options.color)
    }

    /// Reads a source file, or standard input for `-`; a second time, gives the same id.
    pub fn open(&mut self, path: &str) -> Result<FileId, Failed> {
        if let Some(file) = self.opened.get(path) {
            return Ok(*file);
        }
        match read::read_source(path) {
            Ok(source) => {
                let (key, mut loader) = modules::of_file(path);
                let (file, refused) = self.project.open(&key, source, &mut loader);
                self.opened.insert(path.to_string(), file);
                self.report_all(refused)?;
                Ok(file)
            }
            Err(read::ReadError { source, diagnose }) => {
                let file = source.map(|source| self.project.add_source(*source));
                self.report(diagnose(file.unwrap_or_default()));
                Err(Failed)
            }
        }
    }

    /// Where a file was read from, for finding the modules it uses; `None` for a text without a file.
    pub fn path_of(&self, file: FileId) -> Option<&Path> {
        let found = self.opened.iter().find(|(path, id)| **id == file && path.as_str() != "-");
        found.map(|(path, _)| Path::new(path))
    }

    /// Checks a file as a program of its own.
    pub fn check(&mut self, path: &str) -> Outcome {
        self.begin();
        let checked = self.open(path).and_then(|file| pipeline::check(self, file));
        if checked.is_err() { Outcome::Errors } else { Outcome::Done }
    }

    /// Applies the certain fixes of a file, writes it (not standard input) if `write` says so, and records
    /// what there is to say about the result.
    pub fn fix(&mut self, path: &str, write: bool) -> Result<(fix::Repair, Outcome), Failed> {
        self.begin();
        let file = self.open(path)?;
        let repair = fix::repair(&mut self.project, file);
        if write && path != "-" && repair.changed() {
            artifact::write_atomic(Path::new(path), repair.after.as_bytes())
                .map_err(|error| self.report_file(&error))?;
        }
        let remaining = self.project.check(file);
        let outcome = if self.report_all(remaining).is_ok() { Outcome::Done } else { Outcome::Errors };
        Ok((repair, outcome))
    }

    /// Checks a text as if it were a file of this name, and says all there is to say about it.
    pub fn check_text(&mut self, name: &str, text: &str) -> Vec<Diagnostic> {
        let before = self.diagnostics.len();
        let (file, _) = self.project.open(name, Source::new(name, text), &mut NoFiles);
        // Whether it failed is among the diagnostics.
        let _ = pipeline::check(self, file);
        self.diagnostics[before..].to_vec()
    }

    pub fn lower(&mut self, path: &str, entry: &EntryRequest) -> Result<ir::Verified, Failed> {
        let file = self.open(path)?;
        pipeline::lower(self, file, entry)
    }

    /// The files of every target asked for. With several targets each has its own folder.
    pub fn build(&mut self, path: &str, request: &BuildRequest) -> Result<Vec<Artifact>, Failed> {
        self.check_request(request)?;
        let file = self.open(path)?;
        self.build_opened(file, request)
    }

    /// The same for a text, as a program of its own that uses the standard library only.
    pub fn build_text(&mut self, name: &str, text: &str, request: &BuildRequest) -> Result<Vec<Artifact>, Failed> {
        self.begin();
        self.check_request(request)?;
        let (file, _) = self.project.open(name, Source::new(name, text), &mut NoFiles);
        self.opened.insert(name.to_string(), file);
        self.build_opened(file, request)
    }

    fn build_opened(&mut self, file: FileId, request: &BuildRequest) -> Result<Vec<Artifact>, Failed> {
        self.pass_reports.clear();
        self.metadata = None;
        if let Some(stage) = request.emit {
            return Ok(vec![pipeline::emit_stage(self, file, stage, request)?]);
        }
        let mut artifacts = vec![];
        for style in pipeline::styles_of(&request.targets) {
            artifacts.extend(self.build_style(file, request, style)?);
        }
        Ok(artifacts)
    }

    /// The files of those targets that are of one style: they share what the passes make.
    fn build_style(&mut self, file: FileId, request: &BuildRequest, style: Style) -> Result<Vec<Artifact>, Failed> {
        let module = pipeline::optimised(self, file, request, style)?;
        // The one with every optional input knows all names.
        let signature = model::signature(&module, None, &|_| true);
        let signature = signature.map_err(|diagnostic| self.fail(vec![diagnostic]))?;
        let shapes = InputRequest { shapes: &request.entry.shapes, known: &signature.known, ..InputRequest::default() };
        let dims = inputs::check(&signature, &shapes).map_err(|errors| self.fail(errors))?;
        let own = |target: &&String| pipeline::style_of(target) == style;
        let joins = request.targets.iter().filter(own).any(|target| pipeline::joins_modes(target));
        let evaluation = match request.entry.mode {
            Mode::Train if joins => Some(pipeline::evaluation(self, file, request, style)?),
            Mode::Train | Mode::Infer => None,
        };
        let weights = self.bind_weights(&module, request.entry.mode, request.weights.as_deref(), &request.reading)?;
        // Where a framework has gradients of its own, they need no code.
        let derives = |target: &str| request.grad && !pipeline::has_gradients(target);
        let derived = match request.targets.iter().filter(own).any(|target| derives(target)) {
            true => Some(pipeline::differentiated(self, file, request, style)?),
            false => None,
        };
        let mut artifacts = vec![];
        for target in request.targets.iter().filter(own) {
            let derived = derived.as_ref().filter(|_| derives(target));
            let (module, backward) = derived.map_or((&module, &[][..]), |(module, backward)| (module, backward));
            let evaluation = evaluation.as_ref().filter(|_| pipeline::joins_modes(target));
            let given = pipeline::Given { module, evaluation, backward };
            let source_name = self.project.sources().get(file).name.clone();
            let request = BuildRequest { source_name, ..request.clone() };
            let mut written = pipeline::emit(self, given, target, &request, weights.clone())?;
            if request.targets.len() > 1 {
                written.iter_mut().for_each(|artifact| artifact.path = format!("{target}/{}", artifact.path));
            }
            artifacts.extend(written);
        }
        if request.metadata {
            let told = metadata::of(&module, request, &dims, &artifacts, &self.pass_reports);
            self.metadata = Some(told.map_err(|diagnostic| self.fail(vec![diagnostic]))?);
        }
        Ok(artifacts)
    }

    /// Runs the entry on the interpreter; a file without one, as a script.
    /// `print` writes to `output`.
    pub fn run(
        &mut self,
        path: &str,
        request: &RunRequest,
        output: &mut (dyn Write + Send),
    ) -> Result<RunResult, Failed> {
        let file = self.open(path)?;
        if pipeline::is_script(self, file, &request.entry)? {
            self.refuse_options(request)?;
            pipeline::run_script(self, file, request.seed, output)?;
            return Ok(RunResult::default());
        }
        let numbers = request.numbers.iter().map(|(name, _)| name.clone()).collect();
        let entry = EntryRequest { shapes: self.input_shapes(request)?, given: numbers, ..request.entry.clone() };
        let module = pipeline::lower(self, file, &entry)?;
        let is_given = |name: &str| entry.shapes.iter().any(|(given, _)| given == name);
        let signature = model::signature(&module, request.method.as_deref(), &is_given);
        let signature = signature.map_err(|diagnostic| self.fail(vec![diagnostic]))?;
        let wanted = InputRequest {
            files: &request.inputs,
            numbers: &request.numbers,
            shapes: &request.entry.shapes,
            seed: request.seed,
            known: &signature.known,
        };
        let inputs = inputs::bind(&signature, &wanted).map_err(|errors| self.fail(errors))?;
        let weights = self.bind_weights(&module, request.entry.mode, request.weights.as_deref(), &request.reading)?;
        let output_grads = self.output_gradients(request)?;
        let call = pipeline::Call { method: signature.method, inputs, output_grads };
        pipeline::interpret(self, &module, request, &call, weights, output)
    }

    /// Whether `run` would execute the file's statements: it has some, and no entry is asked for.
    pub fn is_script(&mut self, path: &str, entry: &EntryRequest) -> Result<bool, Failed> {
        let file = self.open(path)?;
        pipeline::is_script(self, file, entry)
    }

    /// Gradients of results that were given, by position.
    fn output_gradients(&mut self, request: &RunRequest) -> Result<Vec<(usize, Tensor)>, Failed> {
        let mut found = vec![];
        for (position, path) in &request.output_grads {
            let tensor = self.load(path)?.tensors.into_values().next();
            found.extend(tensor.map(|tensor| (*position, tensor)));
        }
        Ok(found)
    }

    /// Runs the tests of a file, as a program of its own.
    pub fn test(&mut self, path: &str) -> Result<TestReport, Failed> {
        self.begin();
        let file = self.open(path)?;
        pipeline::test(self, file)
    }

    /// A script has no entry, so most options would silently do nothing.
    fn refuse_options(&mut self, request: &RunRequest) -> Result<(), Failed> {
        let given = [
            ("--set", !request.entry.sets.is_empty()),
            ("--mode", request.entry.mode != Mode::default()),
            ("--precision", request.entry.precision.is_some()),
            ("--input", !request.inputs.is_empty() || !request.numbers.is_empty()),
            ("--shape", !request.entry.shapes.is_empty()),
            ("--method", request.method.is_some()),
            ("--weights", request.weights.is_some()),
            ("--grad", request.grad),
            ("--save-weights", request.keep_weights),
            ("--save-intermediates", request.keep_intermediates),
            ("--output", request.keep_outputs),
        ];
        let options: Vec<&str> = given.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        if options.is_empty() {
            return Ok(());
        }
        let message = format!("the file runs as a script, where {} means nothing", options.join(", "));
        let help = "help: choose an instance with `--entry`, or leave the option out";
        Err(self.fail(vec![Diagnostic::new(code::E0405, message).note(help)]))
    }

    /// Shapes of inputs that are known before lowering.
    fn input_shapes(&mut self, request: &RunRequest) -> Result<Vec<(String, Vec<usize>)>, Failed> {
        let mut shapes = request.entry.shapes.clone();
        for (name, path) in &request.inputs {
            let set = self.load(path)?;
            let tensor = set.tensors.get(name).or_else(|| set.tensors.values().next());
            shapes.extend(tensor.map(|tensor| (name.clone(), tensor.shape().to_vec())));
        }
        Ok(shapes)
    }

    /// Reads a weights file and fits it to the model; `None` without a file.
    fn bind_weights(
        &mut self,
        module: &ir::Verified,
        mode: Mode,
        path: Option<&Path>,
        reading: &Reading,
    ) -> Result<Option<BTreeMap<String, bind::Bound>>, Failed> {
        let Some(path) = path else { return Ok(None) };
        let bound = reading::open(path, &reading.maps).and_then(|view| {
            let expected = model::storage(module)?;
            bind::bind(&view, &expected, mode, reading.cast)
        });
        bound.map(Some).map_err(|diagnostic| self.fail(vec![diagnostic]))
    }

    fn load(&mut self, path: &Path) -> Result<WeightSet, Failed> {
        weights::load(path).map_err(|error| self.report_file(&error))
    }

    fn fail(&mut self, diagnostics: Vec<Diagnostic>) -> Failed {
        self.diagnostics.extend(diagnostics);
        Failed
    }

    /// What can be refused before anything is read.
    fn check_request(&mut self, request: &BuildRequest) -> Result<(), Failed> {
        if request.grad && matches!(request.emit, Some(Emit::Tokens | Emit::Ast)) {
            let message = "`--grad` adds functions to the program, which tokens and trees do not show";
            self.report(Diagnostic::new(code::E0407, message).note("help: `--emit ir --grad` shows them"));
            return Err(Failed);
        }
        self.check_targets(&request.targets)?;
        let plans_memory = |target: &String| targets::find(target).is_some_and(targets::Target::plans_memory);
        if let Some(option) = request.memory.option().filter(|_| !request.targets.iter().any(plans_memory)) {
            let message =
                format!("`{option}` is for targets that lay out memory: {} does not", request.targets.join(", "));
            let help = "help: `tritonc inspect FILE.tri --memory` shows how memory is laid out";
            self.report(Diagnostic::new(code::E0407, message).note(help));
            return Err(Failed);
        }
        let has_vectors = |target: &String| targets::find(target).is_some_and(targets::Target::has_vectors);
        let option = request.simd.map(|_| "--simd").or(request.threads.map(|_| "--threads"));
        if let Some(option) = option.filter(|_| !request.targets.iter().any(has_vectors)) {
            let of = request.targets.join(", ");
            let message = format!("`{option}` is for targets that write vectors and threads themselves: {of} does not");
            self.report(Diagnostic::new(code::E0407, message).note("help: `--target c` does"));
            return Err(Failed);
        }
        optimise::check(self, &request.passes)
    }

    fn check_targets(&mut self, targets: &[String]) -> Result<(), Failed> {
        let known = pipeline::targets();
        let unknown = targets.iter().filter(|target| known.iter().all(|known| known.name != target.as_str()));
        let errors: Vec<Diagnostic> = unknown.map(|target| unknown_target(target, &known)).collect();
        self.report_all(errors)
    }
}

fn unknown_target(target: &str, known: &[pipeline::TargetInfo]) -> Diagnostic {
    let names: Vec<&str> = known.iter().map(|target| target.name).collect();
    let diagnostic = Diagnostic::new(code::E0601, format!("unknown target `{target}`"));
    let diagnostic = match crate::base::closest(target, names.iter().copied()) {
        Some(near) => diagnostic.note(format!("help: did you mean `{near}`?")),
        None => diagnostic,
    };
    if names.is_empty() { diagnostic } else { diagnostic.note(format!("help: targets are {}", names.join(", "))) }
}
