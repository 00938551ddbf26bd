//! The trials that a case expands into.
//!
//! `area/name::check` compares diagnostics, `::messages` their whole text, `::remedy` applies each fix that they
//! offer, `::run` executes the file's `test` blocks, `::ir` compares and re-reads the IR, `::fmt` compares the
//! formatted text, `::passes` runs the named passes and compares results, `::precision` compares results in mixed
//! precision with those in float32, `::optimised::infer` and `::train` compare before and after all passes of kernels.
//! For a target that the case names there are `::pytorch::text` (golden text) and `::pytorch::valid` (the language's own
//! tools accept it); for that and every other that can be executed `::pytorch::infer`, `::pytorch::train` (it computes
//! what the interpreter computes) and `::pytorch::grad` (its gradients are the interpreter's). What another one than those
//! named refuses is ignored. Of some cases `::c::sanitised` executes C with sanitisers. A second `#@ run:` line adds trials whose names end in `_2`.

use super::directives::{self, Directives, Run, Stage};
use super::executors::{self, Shared, Trouble};
use super::{announced, golden, optimised, with_deep_stack};
use libtest_mimic::{Completion, Failed, Trial};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tritonc::base::Diagnostic;
use tritonc::driver::options::PassRequest;
use tritonc::driver::verify::compare::compare;
use tritonc::driver::verify::tolerance::{Scope, tolerance};
use tritonc::driver::verify::{Executor, Row, Status, VerifyRequest};
use tritonc::driver::{Artifact, BuildRequest, Emit, EntryRequest, Mode, RunRequest, Session, SessionOptions, model};
use tritonc::interp::{Instance, Machine, RunOptions};
use tritonc::passes::{OptLevel, Pipeline, Selection};
use tritonc::syntax::format::format;
use tritonc::types::{DType, Symbol, Tensor};
use tritonc::{ir, passes};
use tritonc::{targets, weights};

/// The golden text of the diagnostics.
const MESSAGES_GOLDEN: &str = "check.txt";
/// The case as the formatter writes it.
const FORMAT_GOLDEN: &str = "fmt.tri";
/// The golden text of a repaired case.
const FIXED: &str = "fixed";
/// The golden IR after the passes that a case names.
const PASSES_GOLDEN: &str = "passes.ir";
/// Weights and random inputs of every execution are drawn from this.
pub const SEED: u64 = 1;

/// A case file, relative to the package.
pub struct Case {
    pub path: PathBuf,
    /// `area/name`.
    pub name: String,
    pub directives: Directives,
    /// Whether its C is executed with sanitisers, too.
    pub is_sanitised: bool,
}

/// A trial: what is done with the case.
type Work = Box<dyn FnOnce(&Case) -> Result<(), Trouble> + Send>;

impl Case {
    /// Reads a case. `cases` is the folder of all cases.
    pub fn read(cases: &Path, path: &Path) -> Result<Case, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let directives = directives::parse(&text).map_err(|problem| format!("{}: {problem}", path.display()))?;
        let name = path.strip_prefix(cases).unwrap_or(path).with_extension("");
        let name = name.to_string_lossy().replace('\\', "/");
        Ok(Case { path: path.to_path_buf(), name, directives, is_sanitised: false })
    }

    /// The golden files that the directives ask for.
    pub fn goldens(&self) -> Vec<PathBuf> {
        let folder = golden::folder(&self.path);
        let mut names = vec![];
        if self.directives.tests.contains(&Stage::Ir) {
            names.push("ir".to_string());
        }
        if self.directives.tests.contains(&Stage::Messages) {
            names.push(MESSAGES_GOLDEN.to_string());
        }
        if self.directives.tests.contains(&Stage::Fmt) {
            names.push(FORMAT_GOLDEN.to_string());
        }
        if self.directives.tests.contains(&Stage::Fix) {
            names.push(FIXED.to_string());
        }
        if !self.directives.passes.is_empty() {
            names.push(PASSES_GOLDEN.to_string());
        }
        for target in self.directives.targets.iter().filter(|_| !self.directives.without_text) {
            let runs = (0..self.directives.runs.len()).filter(|run| self.builds(*run));
            names.extend(runs.flat_map(|run| target_goldens(target, run)).map(|(_, name)| name));
        }
        names.iter().map(|name| folder.join(name)).collect()
    }

    /// Whether a run is the first that builds what it builds: others differ in their inputs or their method only.
    fn builds(&self, run: usize) -> bool {
        let runs = &self.directives.runs;
        let same =
            |run: &Run, first: &Run| first.entry == run.entry && (run.method.is_some() || given(first) == given(run));
        runs.get(run).is_some_and(|own| !runs[..run].iter().any(|first| same(own, first)))
    }

    pub fn source(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

/// The numbers that come with each call of `forward`, whether they have defaults or not.
fn given(run: &Run) -> Vec<String> {
    let numbers = run.numbers.iter().filter(|_| run.method.is_none());
    numbers.map(|(name, _)| name.clone()).collect()
}

/// What files that a target calls after the model end in, `py`, and their golden files, `pytorch_2.py`. Weights are no
/// text.
fn target_goldens(target: &str, run: usize) -> Vec<(String, String)> {
    let files = targets::find(target).map_or("", |target| target.files());
    let of_model = files.split([' ', ',']).filter_map(|file| file.strip_prefix("NAME."));
    let texts = of_model.filter(|extension| *extension != "weights");
    texts.map(|extension| (extension.to_string(), format!("{target}{}.{extension}", suffix(run)))).collect()
}

/// What tells the second and later runs of a case from the first.
fn suffix(run: usize) -> String {
    if run == 0 { String::new() } else { format!("_{}", run + 1) }
}

/// All trials of a case.
pub fn expand(case: Case) -> Vec<Trial> {
    let case = Arc::new(case);
    let mut trials: Vec<(String, Work)> = vec![("check".into(), Box::new(check))];
    for stage in &case.directives.tests {
        let (name, work): (&str, Work) = match stage {
            Stage::Check => continue,
            Stage::Ir => ("ir", Box::new(check_ir)),
            Stage::Run => ("run", Box::new(run_tests)),
            Stage::Messages => ("messages", Box::new(check_messages)),
            Stage::Remedy => ("remedy", Box::new(check_remedies)),
            Stage::Fmt => ("fmt", Box::new(check_format)),
            Stage::Fix => ("fix", Box::new(check_fix)),
        };
        trials.push((name.into(), work));
    }
    if !case.directives.passes.is_empty() {
        trials.push(("passes".into(), Box::new(check_passes)));
    }
    if case.directives.precision.is_some() {
        trials.push(("precision".into(), Box::new(check_precision)));
    }
    for run in 0..case.directives.runs.len() {
        for mode in executed_modes(&case.directives) {
            let name = format!("optimised::{}{}", mode_name(mode), suffix(run));
            trials.push((name, Box::new(move |case| optimised::check(case, run, mode))));
        }
    }
    trials.extend(target_trials(&case));
    let trial = |(name, work): (String, Work)| {
        let case = case.clone();
        let name = format!("{}::{name}", case.name);
        Trial::ignorable_test(name, move || finish(with_deep_stack(|| work(&case))))
    };
    trials.into_iter().map(trial).collect()
}

/// The trials of targets: a case that names one is executed on all.
fn target_trials(case: &Case) -> Vec<(String, Work)> {
    let asked = &case.directives;
    let mut trials: Vec<(String, Work)> = vec![];
    for target in &asked.targets {
        for run in (0..asked.runs.len()).filter(|run| case.builds(*run)) {
            let suffix = suffix(run);
            if !asked.without_text {
                let name = target.clone();
                trials.push((format!("{target}::text{suffix}"), Box::new(move |case| check_text(case, run, &name))));
            }
            let name = target.clone();
            trials.push((format!("{target}::valid{suffix}"), Box::new(move |case| check_validity(case, run, &name))));
        }
    }
    let executed = executors::executed_targets().into_iter().filter(|_| !asked.targets.is_empty());
    for target in executed.filter(|target| asked.without.iter().all(|without| without != target)) {
        for run in 0..asked.runs.len() {
            let suffix = suffix(run);
            for mode in executed_modes(asked) {
                let name = format!("{target}::{}{suffix}", mode_name(mode));
                trials.push((name, Box::new(move |case| execute(case, run, target, mode, false))));
            }
            // Other methods than `forward` are for use, not for training.
            let trains = executed_modes(asked).contains(&Mode::Train);
            if trains && asked.runs[run].method.is_none() && !asked.without_gradients {
                let name = format!("{target}::grad{suffix}");
                trials.push((name, Box::new(move |case| execute(case, run, target, Mode::Train, true))));
            }
        }
    }
    for mode in executed_modes(asked).into_iter().filter(|_| case.is_sanitised) {
        let name = format!("c::sanitised::{}", mode_name(mode));
        let work = move |case: &Case| execute_by(case, 0, Shared::sanitised()?, (mode, false), OptLevel::default());
        trials.push((name, Box::new(work)));
    }
    trials
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Infer => "infer",
        Mode::Train => "train",
    }
}

/// The levels whose code is looked at.
fn levels(case: &Case) -> &'static [OptLevel] {
    if case.directives.highest_level { &[OptLevel::O2, OptLevel::O3] } else { &[OptLevel::O2] }
}

fn executed_modes(directives: &Directives) -> Vec<Mode> {
    if directives.modes.is_empty() { vec![Mode::Infer, Mode::Train] } else { directives.modes.clone() }
}

/// The trial's end: what is missing is ignored, unless tools are required.
pub fn finish(result: Result<(), Trouble>) -> Result<Completion, Failed> {
    match result {
        Ok(()) => Ok(Completion::Completed),
        Err(Trouble::Missing(why)) if executors::tools_required() => Err(why.into()),
        Err(Trouble::Missing(why) | Trouble::Refused(why)) => Ok(Completion::ignored_with(why)),
        Err(Trouble::Failed(why)) => Err(why.into()),
    }
}

pub fn session() -> Session {
    Session::new(SessionOptions::default())
}

/// What a session has to say, as the reason of a failure.
pub fn rendered<T, E>(session: &Session, result: Result<T, E>) -> Result<T, Trouble> {
    result.map_err(|_| Trouble::Failed(session.render()))
}

pub fn io<T>(path: &Path, result: std::io::Result<T>) -> Result<T, Trouble> {
    result.map_err(|error| Trouble::Failed(format!("{}: {error}", path.display())))
}

fn check(case: &Case) -> Result<(), Trouble> {
    let mut session = session();
    let source = case.source();
    session.check(&source);
    let announced = &case.directives.announced;
    let problems = announced::misfits(&source, announced, session.diagnostics(), session.project.sources());
    if problems.is_empty() { Ok(()) } else { Err(Trouble::Failed(problems.join("\n"))) }
}

fn check_messages(case: &Case) -> Result<(), Trouble> {
    let mut session = session();
    session.check(&case.source());
    golden::check(&case.path, MESSAGES_GOLDEN, &session.render(), golden::blessing()).map_err(Trouble::Failed)
}

/// Applies each fix of the only diagnostic, as text, and checks the result.
fn check_remedies(case: &Case) -> Result<(), Trouble> {
    let source = case.source();
    let text = io(&case.path, std::fs::read_to_string(&case.path))?;
    let mut before = session();
    before.check(&source);
    let fixes = match before.diagnostics() {
        [Diagnostic { fixes, .. }] if !fixes.is_empty() => fixes.clone(),
        _ => return Err(Trouble::Failed(format!("not one diagnostic with fixes:\n{}", before.render()))),
    };
    for fix in fixes {
        let mut edited = text.clone();
        let mut edits = fix.edits;
        edits.sort_by_key(|edit| edit.span);
        for edit in edits.iter().rev() {
            edited.replace_range(edit.span.start as usize..edit.span.end as usize, &edit.text);
        }
        let mut after = session();
        if !after.check_text(&source, &edited).is_empty() {
            return Err(Trouble::Failed(format!("{} leaves this:\n{edited}\n{}", fix.title, after.render())));
        }
    }
    Ok(())
}

/// The text in the one style, in which a second time changes nothing. The formatter itself sees to it that
/// the program stays the same.
fn check_format(case: &Case) -> Result<(), Trouble> {
    let formatted = |text: &str| format(text).map_err(|problem| Trouble::Failed(format!("{problem:?}")));
    let once = formatted(&io(&case.path, std::fs::read_to_string(&case.path))?)?;
    if let Some(shown) = golden::first_difference(&once, &formatted(&once)?) {
        return Err(Trouble::Failed(format!("a second time changes the text again:\n{shown}")));
    }
    golden::check(&case.path, FORMAT_GOLDEN, &once, golden::blessing()).map_err(Trouble::Failed)
}

/// The program without the runner's remarks, repaired: the golden text, about which there is no more to say.
fn check_fix(case: &Case) -> Result<(), Trouble> {
    let text = io(&case.path, std::fs::read_to_string(&case.path))?;
    let lines = text.lines().filter(|line| !line.starts_with("#@"));
    let program: String =
        lines.map(|line| line.split("#~").next().unwrap_or("").trim_end().to_string() + "\n").collect();
    let folder = tempfile::tempdir().map_err(|error| Trouble::Failed(error.to_string()))?;
    let path = folder.path().join("case.tri");
    io(&path, std::fs::write(&path, program))?;
    let path = path.to_string_lossy();
    let mut session = session();
    let fixed = session.fix(&path, true);
    let (repair, _) = rendered(&session, fixed)?;
    golden::check(&case.path, FIXED, &repair.after, golden::blessing()).map_err(Trouble::Failed)?;
    match session.diagnostics() {
        [] => Ok(()),
        _ => Err(Trouble::Failed(format!("the fixed program is not clean:\n{}", session.render()))),
    }
}

fn run_tests(case: &Case) -> Result<(), Trouble> {
    let mut session = session();
    let report = session.test(&case.source());
    let report = rendered(&session, report)?;
    if report.tests.is_empty() {
        return Err(Trouble::Failed("the file has no `test` block".to_string()));
    }
    let failure = |test: &tritonc::driver::TestResult| Some(format!("{}: {}", test.name, test.failure.as_ref()?));
    let failures: Vec<String> = report.tests.iter().filter_map(failure).collect();
    if failures.is_empty() { Ok(()) } else { Err(Trouble::Failed(failures.join("\n"))) }
}

pub fn entry(case: &Case, run: Option<&Run>, mode: Mode) -> EntryRequest {
    EntryRequest {
        expr: run.map(|run| run.entry.clone()),
        mode,
        quantize: case.directives.rules.clone(),
        precision: case.directives.precision,
        given: run.map(given).unwrap_or_default(),
        ..EntryRequest::default()
    }
}

/// The IR as `build --emit ir` prints it.
fn check_ir(case: &Case) -> Result<(), Trouble> {
    let request = BuildRequest {
        entry: entry(case, case.directives.runs.first(), Mode::Infer),
        emit: Some(Emit::Ir),
        ..BuildRequest::default()
    };
    let text = text(with_extension(&build(case, &request)?, "ir")?)?;
    let module = read_ir(&text)?;
    if let Some(shown) = golden::first_difference(&text, &ir::printer::print(&module)) {
        return Err(Trouble::Failed(format!("the IR changes when it is read:\n{shown}")));
    }
    golden::check(&case.path, "ir", &text, golden::blessing()).map_err(Trouble::Failed)
}

fn read_ir(text: &str) -> Result<ir::Verified, Trouble> {
    let module = ir::reader::read(text).map_err(|error| Trouble::Failed(format!("the IR does not read: {error}")))?;
    ir::verify(module).map_err(|errors| Trouble::Failed(format!("the IR that was read: {errors:?}")))
}

/// Runs the passes on the entry of the first run: the IR after them is the golden one, and the results
/// before and after are equal to the last bit, or within the tolerances where the passes round otherwise.
fn check_passes(case: &Case) -> Result<(), Trouble> {
    let run = case.directives.runs.first();
    let mut session = session();
    let before = session.lower(&case.source(), &entry(case, run, Mode::Infer));
    let before = rendered(&session, before)?;
    let names: Vec<&str> = case.directives.passes.iter().map(String::as_str).collect();
    let pipeline = Pipeline::named(&names).map_err(|error| Trouble::Failed(error.to_string()))?;
    let after = passes::run(before.clone(), &pipeline, &mut |_| {});
    let (after, _) = after.map_err(|error| Trouble::Failed(error.to_string()))?;
    let text = ir::printer::print(&after);
    read_ir(&text)?;
    if let Some(run) = run {
        let inputs: Vec<Tensor> = draw_inputs(run, &before)?.into_iter().filter_map(|(_, tensor)| tensor).collect();
        let (wanted, found) = (interpret(&before, run, &inputs)?, interpret(&after, run, &inputs)?);
        if case.directives.passes_round && wanted.len() == found.len() {
            for (index, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
                let within = tolerance(wanted.dtype(), Scope::of(&before));
                let difference = compare(&format!("result {index}"), found, wanted, within);
                let difference = difference.map_err(|error| Trouble::Failed(error.to_string()))?;
                if difference.fails {
                    return Err(Trouble::Failed(difference.worst.unwrap_or_default()));
                }
            }
        } else if wanted != found {
            return Err(Trouble::Failed("the passes change the results".to_string()));
        }
    }
    golden::check(&case.path, PASSES_GOLDEN, &text, golden::blessing()).map_err(Trouble::Failed)
}

fn root_mean_square(values: &[f64]) -> f64 {
    (values.iter().map(|value| value * value).sum::<f64>() / values.len().max(1) as f64).sqrt()
}

/// Runs every run in mixed precision and in float32. The errors of many operations add up, so results are compared as a
/// whole, with the row of the low type.
fn check_precision(case: &Case) -> Result<(), Trouble> {
    let Some(low) = case.directives.precision else { return Ok(()) };
    for run in &case.directives.runs {
        let mut session = session();
        let mixed = entry(case, Some(run), Mode::Infer);
        let plain = session.lower(&case.source(), &EntryRequest { precision: None, ..mixed.clone() });
        let plain = rendered(&session, plain)?;
        let lowered = session.lower(&case.source(), &mixed);
        let lowered = rendered(&session, lowered)?;
        let inputs: Vec<Tensor> = draw_inputs(run, &plain)?.into_iter().filter_map(|(_, tensor)| tensor).collect();
        let (have, want) = (interpret(&lowered, run, &inputs)?, interpret(&plain, run, &inputs)?);
        for (index, (have, want)) in have.iter().zip(&want).enumerate() {
            let size = root_mean_square(&want.to_f64());
            let errors: Vec<f64> = have.to_f64().iter().zip(want.to_f64()).map(|(have, want)| have - want).collect();
            let (error, row) = (root_mean_square(&errors), tolerance(low, Scope::Model));
            if have.shape() != want.shape()
                || have.dtype() != want.dtype()
                || error > row.absolute + row.relative * size
            {
                let what = format!("result {index} of {}", run.entry);
                return Err(Trouble::Failed(format!("{what}: in {low} the error is {error:.2e}, of {size:.2e}")));
            }
        }
    }
    Ok(())
}

fn interpret(module: &ir::Verified, run: &Run, inputs: &[Tensor]) -> Result<Vec<Tensor>, Trouble> {
    let forward = signature(module, run, false)?.method;
    let numbers: Vec<_> = run.numbers.iter().map(|(name, value)| (Symbol::new(name), value.clone())).collect();
    let results = Instance::entry(module, SEED).and_then(|mut instance| {
        Machine::new(module, RunOptions::default()).run_with(Some(&mut instance), forward, &numbers, inputs)
    });
    results.map_err(|error| Trouble::Failed(error.to_string()))
}

/// The files of a build.
fn build(case: &Case, request: &BuildRequest) -> Result<Vec<Artifact>, Trouble> {
    let mut session = session();
    let artifacts = session.build(&case.source(), request);
    rendered(&session, artifacts)
}

/// The first file with an ending.
fn with_extension(artifacts: &[Artifact], extension: &str) -> Result<Artifact, Trouble> {
    let has = |artifact: &&Artifact| Path::new(&artifact.path).extension().is_some_and(|own| own == extension);
    let found = artifacts.iter().find(has).cloned();
    found.ok_or_else(|| Trouble::Failed(format!("the build has no file that ends in .{extension}")))
}

fn text(artifact: Artifact) -> Result<String, Trouble> {
    String::from_utf8(artifact.bytes).map_err(|error| Trouble::Failed(error.to_string()))
}

/// Where memory is planned, for inputs as large as those of the run.
fn build_target(case: &Case, run: usize, target: &str, mode: Mode, level: OptLevel) -> Result<Vec<Artifact>, Trouble> {
    let given = case.directives.runs.get(run);
    let mut request =
        BuildRequest { entry: entry(case, given, mode), targets: vec![target.to_string()], ..BuildRequest::default() };
    if targets::find(target).is_some_and(|target| target.plans_memory()) {
        let inputs = given.iter().flat_map(|run| &run.inputs);
        request.bounds = inputs.map(|(name, generator)| (name.clone(), generator.shape().to_vec())).collect();
    }
    request.passes.selection.level = level;
    build(case, &request)
}

fn check_text(case: &Case, run: usize, target: &str) -> Result<(), Trouble> {
    let artifacts = build_target(case, run, target, Mode::Infer, OptLevel::default())?;
    for (extension, golden) in target_goldens(target, run) {
        let text = text(with_extension(&artifacts, &extension)?)?;
        golden::check(&case.path, &golden, &text, golden::blessing()).map_err(Trouble::Failed)?;
    }
    Ok(())
}

fn check_validity(case: &Case, run: usize, target: &str) -> Result<(), Trouble> {
    let folder = tempfile::tempdir().map_err(|error| Trouble::Failed(error.to_string()))?;
    for level in levels(case) {
        for mode in [Mode::Infer, Mode::Train] {
            let mut files = vec![];
            for artifact in build_target(case, run, target, mode, *level)? {
                let path = folder.path().join(&artifact.path);
                io(&path, std::fs::write(&path, &artifact.bytes))?;
                files.push(path);
            }
            executors::check_valid(target, &files, *level == OptLevel::default())?;
        }
    }
    Ok(())
}

/// Has what a target writes compared with the interpreter on the same inputs and weights, and its gradients.
fn execute(case: &Case, index: usize, target: &str, mode: Mode, grad: bool) -> Result<(), Trouble> {
    levels(case).iter().try_for_each(|level| execute_by(case, index, Shared::of(target)?, (mode, grad), *level))
}

fn execute_by(
    case: &Case,
    index: usize,
    executor: Shared,
    (mode, grad): (Mode, bool),
    level: OptLevel,
) -> Result<(), Trouble> {
    let run = case.directives.runs.get(index).ok_or_else(|| Trouble::Failed("there is no such run".to_string()))?;
    let target = executor.target();
    let folder = tempfile::tempdir().map_err(|error| Trouble::Failed(error.to_string()))?;
    let inputs = write_inputs(case, run, mode, folder.path())?;
    let request = VerifyRequest {
        run: RunRequest {
            entry: entry(case, Some(run), mode),
            method: Some(run.method.clone().unwrap_or_else(|| "forward".to_string())),
            inputs: inputs.into_iter().filter_map(|(name, path)| Some((name, path?))).collect(),
            numbers: run.numbers.clone(),
            seed: SEED,
            grad,
            ..RunRequest::default()
        },
        targets: Some(vec![target.to_string()]),
        passes: PassRequest { selection: Selection { level, ..Selection::default() }, ..PassRequest::default() },
        templates: None,
        limit: executors::ANSWER_LIMIT,
    };
    let mut session = session();
    let report = session.verify(&case.source(), &request, &mut [Box::new(executor)], &mut |_, _, _| {});
    let report = rendered(&session, report)?;
    let wrong: Vec<&Row> =
        report.rows.iter().filter(|row| row.target != "all" && row.status != Status::Agrees).collect();
    let reasons = wrong.iter().map(|row| told(row)).collect::<Vec<_>>().join("\n");
    if wrong.is_empty() {
        Ok(())
    } else if wrong.iter().all(|row| row.refused) && !case.directives.targets.iter().any(|name| name == target) {
        // One operation after another may be refused; the first says why.
        Err(Trouble::Refused(reasons.split("; ").next().unwrap_or_default().to_string()))
    } else {
        Err(Trouble::Failed(reasons))
    }
}

fn told(row: &Row) -> String {
    let place = row.culprit.as_ref().map_or(String::new(), |culprit| format!("\nfirst at {culprit:?}"));
    format!("{} {:?}: {}{place}", row.method, row.status, row.reason)
}

/// An input by name, and its file; `None` for an optional one that the run leaves out.
type Input = (String, Option<PathBuf>);

/// Draws the inputs of a run and puts them on disk.
fn write_inputs(case: &Case, run: &Run, mode: Mode, folder: &Path) -> Result<Vec<Input>, Trouble> {
    let mut session = session();
    let module = session.lower(&case.source(), &entry(case, Some(run), mode));
    let module = rendered(&session, module)?;
    let mut inputs = vec![];
    for (name, tensor) in draw_inputs(run, &module)? {
        let Some(tensor) = tensor else {
            inputs.push((name, None));
            continue;
        };
        let path = folder.join(format!("input_{}.npy", inputs.len()));
        io(&path, std::fs::write(&path, weights::npy::write(&tensor)))?;
        inputs.push((name, Some(path)));
    }
    Ok(inputs)
}

/// The method that takes the inputs of a run; of the optional ones all, if `widest` says so.
pub fn signature(module: &ir::Verified, run: &Run, widest: bool) -> Result<model::Signature, Trouble> {
    let is_given = |name: &str| widest || run.inputs.iter().any(|(given, _)| given == name);
    model::signature(module, run.method.as_deref(), &is_given).map_err(|diagnostic| Trouble::Failed(diagnostic.message))
}

/// The inputs of a run, in the order of the entry's parameters and in their element types.
pub fn draw_inputs(run: &Run, module: &ir::Verified) -> Result<Vec<(String, Option<Tensor>)>, Trouble> {
    let left_out = signature(module, run, false)?.left_out;
    let mut inputs: Vec<(String, Option<Tensor>)> = vec![];
    for spec in signature(module, run, true)?.tensors {
        let dtype = spec.ty.dtype().unwrap_or(DType::Float32);
        let tensor = match run.inputs.iter().find(|(name, _)| *name == spec.name) {
            Some((_, generator)) => Some(generator.tensor(dtype)),
            None if left_out.contains(&spec.name) => None,
            None => return Err(Trouble::Failed(format!("the run gives no `{}`", spec.name))),
        };
        inputs.push((spec.name, tensor));
    }
    match run.inputs.iter().find(|(name, _)| inputs.iter().all(|(known, _)| known != name)) {
        Some((name, _)) => Err(Trouble::Failed(format!("the entry has no input `{name}`"))),
        None => Ok(inputs),
    }
}
