//! The calls into the compiler's stages, one function each.

use crate::base::code::{E0408, E0409, E0503, E0801};
use crate::base::{Diagnostic, FileId};
use crate::driver::bind::{Bound, is_calibrated, uncalibrated_error};
use crate::driver::choice;
use crate::driver::inputs::BoundInputs;
use crate::driver::optimise;
use crate::driver::packed::{self, PackedNote, PackedNotes};
use crate::driver::{
    Artifact, BuildRequest, Emit, EntryRequest, Failed, Mode, RunRequest, RunResult, Session, TestReport, TestResult,
    gradients,
};
use crate::interp::{Instance, Machine, ParameterRef, RunError, RunOptions, Trace};
use crate::ir::{self, Part};
use crate::passes::autodiff::{self, Backward};
use crate::passes::{Form, Keep, Style};
use crate::quant::pack::{Format, pack};
use crate::types::{DType, Tensor};
use crate::weights::{WeightSet, encode};
use crate::{lower, syntax, targets};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

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
    let info = |target: &'static dyn targets::Target| TargetInfo {
        name: target.name(),
        summary: target.description(),
        files: target.files(),
    };
    targets::all().map(info).collect()
}

/// Whether gradients come with a target's own framework.
pub fn has_gradients(target: &str) -> bool {
    targets::find(target).is_some_and(|target| target.capabilities().gradients)
}

/// Whether a target is given the form for evaluation beside the one for training.
pub fn joins_modes(target: &str) -> bool {
    targets::find(target).is_some_and(|target| target.joins_modes())
}

/// Whether a target writes weights into its own files.
pub fn holds_weights(target: &str) -> bool {
    targets::find(target).is_some_and(|target| target.holds_weights())
}

/// Parses and checks a file and the modules it uses, recording what there is to say.
pub fn check(session: &mut Session, _file: FileId) -> Result<(), Failed> {
    let diagnostics = session.project.check_all();
    session.report_all(diagnostics)
}

/// Checks a file, finds the entry and lowers it.
pub fn lower(session: &mut Session, file: FileId, entry: &EntryRequest) -> Result<ir::Verified, Failed> {
    check(session, file)?;
    lower_checked(session, file, entry)
}

/// The same, with schemes where they were declared and nothing made of them.
pub fn unquantised(session: &mut Session, file: FileId, entry: &EntryRequest) -> Result<ir::Verified, Failed> {
    check(session, file)?;
    lower_entry(session, file, entry)
}

/// Finds the entry and lowers it. The entry's own text stays in the project: later checks would see it.
fn lower_checked(session: &mut Session, file: FileId, entry: &EntryRequest) -> Result<ir::Verified, Failed> {
    let module = lower_entry(session, file, entry)?;
    chosen(session, module, &entry.quantize, entry.mode == Mode::Train, entry.precision)
}

fn lower_entry(session: &mut Session, file: FileId, entry: &EntryRequest) -> Result<ir::Verified, Failed> {
    let request = lower::EntryRequest {
        expr: entry.expr.clone(),
        sets: entry.sets.clone(),
        training: entry.mode == Mode::Train,
        shapes: entry.shapes.clone(),
        given: entry.given.clone(),
    };
    let module = lower::entry(&mut session.project, file, &request);
    verified(session, module)
}

/// With what is quantised, in the precision asked for, and then with calls in the place of `value_and_grad`: gradients are
/// of the program that runs.
fn chosen(
    session: &mut Session,
    module: ir::Verified,
    rules: &[String],
    training: bool,
    precision: Option<DType>,
) -> Result<ir::Verified, Failed> {
    let module = choice::apply(session, module, rules, training)?;
    let module = optimise::with_precision(session, module, precision)?;
    autodiff::expand(module).map_err(|error| {
        session.report(gradients::refused(&error));
        Failed
    })
}

/// The only way on from lowering.
fn verified(session: &mut Session, module: lower::Lowered) -> Result<ir::Verified, Failed> {
    let module = module.map_err(|diagnostics| {
        let _ = session.report_all(diagnostics);
        Failed
    })?;
    let module = checked(session, module)?;
    // Only names that a program gives itself can clash.
    if module.layers.iter().flat_map(|layer| &layer.members).any(|member| member.saved.is_some()) {
        super::model::storage(&module).map_err(|diagnostic| {
            session.report(diagnostic);
            Failed
        })?;
    }
    Ok(module)
}

fn checked(session: &mut Session, module: ir::Module) -> Result<ir::Verified, Failed> {
    ir::verify(module).map_err(|errors| internal(session, &errors))
}

/// Lowering wrote IR that breaks a rule: an error in the compiler, told as one.
pub(super) fn internal(session: &mut Session, errors: &[ir::verify::VerifyError]) -> Failed {
    let mut diagnostic = Diagnostic::new(E0409, "internal error: the compiler made invalid IR; please report it");
    for error in errors.iter().take(5) {
        diagnostic = diagnostic.note(format!("{}: {}", error.function, error.message));
    }
    session.report(diagnostic);
    Failed
}

/// The text of a stage, as a single artifact. For `Emit::Ir` the entry is lowered and goes through the passes.
pub fn emit_stage(
    session: &mut Session,
    file: FileId,
    stage: Emit,
    request: &BuildRequest,
) -> Result<Artifact, Failed> {
    let source = session.project.sources().get(file);
    let stem = Path::new(&source.name).file_stem().map_or("main".into(), |stem| stem.to_string_lossy().into_owned());
    let (extension, text) = match stage {
        Emit::Tokens => ("tokens", syntax::print::tokens(&source.text)),
        Emit::Ast => {
            let items = syntax::split(&source.text).into_iter();
            let texts = items.filter_map(|item| source.text.get(item.span.start as usize..item.span.end as usize));
            let trees: Vec<String> = texts.map(|text| syntax::print::ast(&syntax::parse_item(text).ast)).collect();
            ("ast", trees.join("\n"))
        }
        Emit::Ir => {
            let first = request.targets.first().map_or(Style::default(), |target| style_of(target));
            let module = match request.grad {
                true => differentiated(session, file, request, first)?.0,
                false => optimised(session, file, request, first)?,
            };
            ("ir", ir::printer::print(&module))
        }
    };
    Ok(Artifact { path: format!("{stem}.{extension}"), bytes: text.into_bytes() })
}

/// The style of a target.
pub fn style_of(target: &str) -> Style {
    targets::find(target).map(|target| target.capabilities().style).unwrap_or_default()
}

/// The styles of these targets, each once, in the order of the targets; without any, a program is still compiled.
pub fn styles_of(targets: &[String]) -> Vec<Style> {
    let mut styles = if targets.is_empty() { vec![Style::default()] } else { vec![] };
    for style in targets.iter().map(|target| style_of(target)) {
        if !styles.contains(&style) {
            styles.push(style);
        }
    }
    styles
}

/// The entry after the passes for targets of a style.
pub fn optimised(
    session: &mut Session,
    file: FileId,
    request: &BuildRequest,
    style: Style,
) -> Result<ir::Verified, Failed> {
    let module = lower(session, file, &request.entry)?;
    after_passes(session, module, request, style)
}

/// A lowered entry after the passes for targets of a style.
pub fn after_passes(
    session: &mut Session,
    module: ir::Verified,
    request: &BuildRequest,
    style: Style,
) -> Result<ir::Verified, Failed> {
    let keep = keep(session, request, style)?;
    let form = Form { style, mode: request.entry.mode };
    optimise::run(session, module, &request.passes, (form, form_name(style)), keep)
}

/// The same with a method beside `forward` that also gives all gradients, and what these are.
pub fn differentiated(
    session: &mut Session,
    file: FileId,
    request: &BuildRequest,
    style: Style,
) -> Result<(ir::Verified, Vec<Backward>), Failed> {
    let module = lower(session, file, &request.entry)?;
    let (module, backward) = autodiff::beside(module).map_err(|error| {
        session.report(gradients::refused(&error));
        Failed
    })?;
    Ok((after_passes(session, module, request, style)?, backward))
}

/// The entry of a file that was checked before, with `training` false, after the passes.
pub fn evaluation(
    session: &mut Session,
    file: FileId,
    request: &BuildRequest,
    style: Style,
) -> Result<ir::Verified, Failed> {
    let entry = EntryRequest { mode: Mode::Infer, ..request.entry.clone() };
    let module = lower_checked(session, file, &entry)?;
    let name = match style {
        Style::Modules => "evaluation",
        Style::Kernels => "kernels-evaluation",
    };
    let keep = keep(session, request, style)?;
    optimise::run(session, module, &request.passes, (Form { style, mode: Mode::Infer }, name), keep)
}

/// The functions whose calls stay: those that one of the targets writes in a form of its own. Kernels have no use for
/// calls.
fn keep(session: &mut Session, request: &BuildRequest, style: Style) -> Result<Keep, Failed> {
    let mut writers = vec![];
    if style == Style::Modules {
        for target in &request.targets {
            writers.push(writer(session, target, request.templates.as_deref())?);
        }
    }
    let keep = move |function: &ir::Function| writers.iter().any(|writer| writer.has_form(function));
    Ok(Arc::new(keep))
}

/// What reports and dumps call the form that is asked for: nothing in the common case.
fn form_name(style: Style) -> &'static str {
    match style {
        Style::Modules => "",
        Style::Kernels => "kernels",
    }
}

/// Whether the file has top-level statements and no entry was asked for, so that `run` executes those.
pub fn is_script(session: &mut Session, file: FileId, entry: &EntryRequest) -> Result<bool, Failed> {
    check(session, file)?;
    Ok(entry.expr.is_none() && lower::entry::is_script(&session.project, file))
}

/// Runs top-level statements.
pub fn run_script(
    session: &mut Session,
    file: FileId,
    seed: u64,
    output: &mut (dyn Write + Send),
) -> Result<(), Failed> {
    let module = lower::script(&session.project, file);
    let module = verified(session, module)?;
    let module = chosen(session, module, &[], false, None)?;
    let Some(entry) = &module.entry else { return Ok(()) };
    let Some(main) = module.method(entry.layer, "main", &|_| false) else { return Ok(()) };
    let outcome = Instance::entry(&module, seed).and_then(|mut instance| {
        let options = RunOptions { seed, record: false };
        Machine::new(&module, options).with_output(output).run(&mut instance, main, &[])
    });
    outcome.map(|_| ()).map_err(|error| run_failed(session, &error))
}

fn run_failed(session: &mut Session, error: &RunError) -> Failed {
    session.report(run_diagnostic(error));
    Failed
}

fn run_diagnostic(error: &RunError) -> Diagnostic {
    let diagnostic = Diagnostic::new(error.code, error.message.clone());
    match &error.loc {
        Some(loc) => diagnostic.primary(loc.file, loc.span, "while running this"),
        None => diagnostic,
    }
}

/// A call of a method of the entry.
pub struct Call {
    pub method: ir::FuncId,
    pub inputs: BoundInputs,
    /// Gradients of results that were given, by position.
    pub output_grads: Vec<(usize, Tensor)>,
}

/// Runs a call; without weights, with initial values under the request's seed.
pub fn interpret(
    session: &mut Session,
    module: &ir::Verified,
    request: &RunRequest,
    call: &Call,
    weights: Option<BTreeMap<String, Bound>>,
    output: &mut (dyn Write + Send),
) -> Result<RunResult, Failed> {
    let Call { method, inputs, output_grads } = call;
    let derived = match request.grad {
        true => {
            Some(gradients::derive(module, *method, output_grads, request.checkpoint_segments).map_err(|error| {
                session.report(error);
                Failed
            })?)
        }
        false => None,
    };
    let (module, method) = derived.as_ref().map_or((module, *method), |derived| (&derived.module, derived.function));
    let given = output_grads.iter().map(|(_, gradient)| gradient);
    let tensors: Vec<Tensor> = inputs.tensors.iter().chain(given).cloned().collect();
    let options = RunOptions { seed: request.seed, record: request.keep_intermediates };
    let mut machine = Machine::new(module, options).with_output(output);
    machine.trace = request.trace.then(Trace::default);
    let run = |machine: &mut Machine<'_>| -> Result<_, RunError> {
        let mut instance = Instance::entry(module, request.seed)?;
        for (path, bound) in weights.into_iter().flatten() {
            load(&mut instance, &path, bound)?;
        }
        let uncalibrated = uncalibrated(&mut instance)?;
        if !uncalibrated.is_empty() {
            return Ok(Err(uncalibrated));
        }
        // The weights as they were before the run changed any state.
        let kept = if request.keep_weights { saved(&mut instance, false)? } else { BTreeMap::new() };
        let mut outputs = machine.run_with(Some(&mut instance), method, &inputs.numbers, &tensors)?;
        let gradients = match &derived {
            Some(derived) => gradients::take(derived, &mut instance, &mut outputs)?,
            None => BTreeMap::new(),
        };
        let state = if request.keep_state { state(&mut instance)? } else { BTreeMap::new() };
        Ok(Ok((outputs, gradients, kept, state)))
    };
    let outcome = run(&mut machine);
    let (trace, seeds) = (machine.trace.take().unwrap_or_default(), std::mem::take(&mut machine.seeds));
    let intermediates = std::mem::take(&mut machine.recorded).into_iter().collect();
    drop(machine);
    let outcome = outcome.map_err(|error| run_failed(session, &error))?;
    let (outputs, gradients, weights, state) = outcome.map_err(|names| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        session.fail(vec![uncalibrated_error(&names)])
    })?;
    Ok(RunResult { outputs, gradients, intermediates, weights, state, seeds, trace })
}

/// Everything that methods may assign, by its name in weights files.
fn state(instance: &mut Instance) -> Result<BTreeMap<String, Tensor>, RunError> {
    let listed = instance.parameters().into_iter();
    let listed = listed.filter(|p| matches!(p.storage.role, ir::Role::State | ir::Role::Transient));
    let paths: Vec<String> = listed.map(|p| p.path).collect();
    paths.into_iter().map(|path| instance.get(&path, Part::Value).map(|tensor| (path, tensor))).collect()
}

/// Scales of activations that no weights file has given.
fn uncalibrated(instance: &mut Instance) -> Result<Vec<String>, RunError> {
    let parameters = instance.parameters().into_iter();
    let names: Vec<String> = parameters.map(|parameter| parameter.path).filter(|path| is_calibrated(path)).collect();
    let mut found = vec![];
    for name in names {
        if instance.get(&name, Part::Value)?.to_f64().iter().any(|scale| scale.is_nan()) {
            found.push(name);
        }
    }
    Ok(found)
}

/// Puts one parameter of a weights file into an instance.
fn load(instance: &mut Instance, path: &str, bound: Bound) -> Result<(), RunError> {
    bound.into_iter().try_for_each(|(part, tensor)| instance.set(path, part, tensor))
}

/// Every saved tensor of an instance, by its name in a weights file: the float values of quantised ones,
/// but codes and scales where there never were float values, or where `all_packed` asks for them.
fn saved(instance: &mut Instance, all_packed: bool) -> Result<BTreeMap<String, Tensor>, RunError> {
    let parameters = instance.parameters().into_iter().filter(|p| p.storage.role != ir::Role::Transient);
    let listed: Vec<_> =
        parameters.map(|p| (p.path, p.storage.scheme.clone().filter(|_| all_packed || !p.slot.has_master()))).collect();
    let mut tensors = BTreeMap::new();
    for (path, scheme) in listed {
        let Some(scheme) = scheme else {
            tensors.insert(path.clone(), instance.get(&path, Part::Value)?);
            continue;
        };
        for part in Part::of_scheme(&scheme) {
            let mut tensor = instance.get(&path, part)?;
            if part == Part::Codes {
                let packed = pack(&tensor, Format::of_scheme(&scheme));
                tensor = packed.map_err(|error| RunError::new(E0503, format!("`{path}`: {error}")))?;
            }
            tensors.insert(part.name(&path), tensor);
        }
    }
    Ok(tensors)
}

/// Runs the `test` blocks of a file.
pub fn test(session: &mut Session, file: FileId) -> Result<TestReport, Failed> {
    // An assertion that fails while compiling is a failed test, not an error in the file.
    let diagnostics = session.project.check_all();
    session.report_all(diagnostics.into_iter().filter(|diagnostic| diagnostic.code != E0408))?;
    let lowered = lower::tests(&session.project, file);
    let (tests, module) = lowered.map_err(|diagnostics| {
        let _ = session.report_all(diagnostics);
        Failed
    })?;
    let module = checked(session, module)?;
    // Methods keep their places, whatever is made of them.
    let root = |module: &ir::Module| module.entry.as_ref().map(|entry| entry.layer);
    let methods = root(&module).map_or(vec![], |root| module[root].methods.clone());
    let module = chosen(session, module, &[], false, None)?;
    let run = |method: ir::FuncId| -> Result<(), RunError> {
        let place = methods.iter().position(|known| *known == method);
        let now = place.and_then(|place| module[root(&module)?].methods.get(place).copied());
        run_test(&module, now.unwrap_or(method))
    };
    let mut report = TestReport::default();
    for test in tests {
        let failure = match test.function {
            Err(diagnostics) => Some(diagnostics.iter().map(|d| d.message.clone()).collect::<Vec<_>>().join("; ")),
            Ok(method) => run(method).err().map(|error| {
                let place = error.loc.map(|loc| format!("line {}: ", loc.line)).unwrap_or_default();
                format!("{place}{}", error.message)
            }),
        };
        report.tests.push(TestResult { name: test.name, failure });
    }
    Ok(report)
}

fn run_test(module: &ir::Verified, method: ir::FuncId) -> Result<(), RunError> {
    let mut instance = Instance::entry(module, 0)?;
    Machine::new(module, RunOptions::default()).run(&mut instance, method, &[]).map(|_| ())
}

/// A module as a target is given it.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    pub module: &'a ir::Verified,
    /// The same entry with `training` false, where `module` has it true.
    pub evaluation: Option<&'a ir::Verified>,
    /// The methods for gradients in it.
    pub backward: &'a [Backward],
}

/// The files of one target. With `weights` given, they are written beside the code.
pub fn emit(
    session: &mut Session,
    given: Given<'_>,
    target: &str,
    request: &BuildRequest,
    weights: Option<BTreeMap<String, Bound>>,
) -> Result<Vec<Artifact>, Failed> {
    let Given { module, evaluation, backward } = given;
    let mut options = targets::EmitOptions {
        mode: request.entry.mode,
        source_name: request.source_name.clone(),
        entry_expr: module.entry.as_ref().map(|entry| entry_expr(module, entry)).unwrap_or_default(),
        evaluation: evaluation.cloned(),
        backward: backward.to_vec(),
        bounds: request.entry.shapes.iter().chain(&request.bounds).cloned().collect(),
        bound: request.bound,
        weights_form: request.weights_form,
        simd: request.simd.unwrap_or_default(),
        threads: request.threads.unwrap_or(1),
        weights: None,
        memory_plan: request.memory.strategy,
        max_memory: request.memory.maximum,
        grad: request.grad && has_gradients(target),
        ..targets::EmitOptions::default()
    };
    let mut weights = weights;
    if holds_weights(target)
        && let Some(weights) = weights.take()
    {
        let packed = packed_weights(module, request.entry.mode, weights);
        options.weights = Some(packed.map_err(|error| run_failed(session, &error))?);
    }
    let writer = writer(session, target, request.templates.as_deref())?;
    let written = writer.write(module, &options).map_err(|errors| target_failed(session, errors))?;
    let mut artifacts: Vec<Artifact> = written
        .into_iter()
        .map(|file| Artifact { path: file.path, bytes: file.contents.as_bytes().to_vec() })
        .collect();
    if let Some(weights) = weights {
        artifacts.push(weights_file(session, module, request.entry.mode, weights)?);
    }
    Ok(artifacts)
}

/// The writer of a target. Built-in templates are read once in a session, a folder's for each program.
pub(super) fn writer(
    session: &mut Session,
    target: &str,
    folder: Option<&Path>,
) -> Result<Arc<dyn targets::Writer>, Failed> {
    if let (Some(writer), None) = (session.writers.get(target), folder) {
        return Ok(writer.clone());
    }
    let templates = match folder {
        None => targets::Templates::builtin(),
        Some(folder) if folder.is_dir() => targets::Templates::with_directory(folder),
        Some(folder) => {
            let message = format!("`{}` is not a folder of templates", folder.display());
            session.report(Diagnostic::new(E0801, message));
            return Err(Failed);
        }
    };
    let Some(found) = targets::find(target) else { return Err(Failed) };
    let writer = found.writer(&templates).map_err(|errors| target_failed(session, errors))?;
    let writer: Arc<dyn targets::Writer> = writer.into();
    if folder.is_none() {
        session.writers.insert(target.to_string(), writer.clone());
    }
    Ok(writer)
}

/// The entry as it would be written: `MLP(dim=256, hidden=1024)`.
pub(super) fn entry_expr(module: &ir::Module, entry: &ir::Entry) -> String {
    let args: Vec<String> = entry.args.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{}({})", module[entry.layer].source_name, args.join(", "))
}

pub(super) fn target_failed(session: &mut Session, errors: Vec<targets::TargetError>) -> Failed {
    let diagnostics = errors.into_iter().map(|error| {
        let mut diagnostic = Diagnostic::new(error.code, error.message);
        if let Some(loc) = error.loc.filter(|loc| loc.line > 0) {
            diagnostic = diagnostic.primary(loc.file, loc.span, "");
        }
        error.notes.into_iter().fold(diagnostic, Diagnostic::note)
    });
    let _ = session.report_all(diagnostics);
    Failed
}

/// The parameters in the form that the emitted code loads: packed for inference.
fn weights_file(
    session: &mut Session,
    module: &ir::Verified,
    mode: Mode,
    weights: BTreeMap<String, Bound>,
) -> Result<Artifact, Failed> {
    let name = module.entry.as_ref().map_or("model", |entry| entry.name.as_str());
    let path = format!("{}.safetensors", targets::names::snake_case(name));
    let collect = || -> Result<_, RunError> {
        let mut instance = Instance::entry(module, 0)?;
        for (path, bound) in weights {
            load(&mut instance, &path, bound)?;
        }
        let tensors = saved(&mut instance, mode == Mode::Infer)?;
        Ok((packed_notes(&instance, &tensors), tensors))
    };
    let (notes, tensors) = collect().map_err(|error| run_failed(session, &error))?;
    let set = WeightSet { tensors, metadata: packed::metadata(&BTreeMap::new(), &notes) };
    let bytes = encode(Path::new(&path), &set).map_err(|error| session.report_file(&error))?;
    Ok(Artifact { path, bytes })
}

/// Every saved tensor with these weights, packed where it is quantised and compiled for inference.
pub(super) fn packed_weights(
    module: &ir::Verified,
    mode: Mode,
    weights: BTreeMap<String, Bound>,
) -> Result<BTreeMap<String, Tensor>, RunError> {
    let mut instance = Instance::entry(module, 0)?;
    for (path, bound) in weights {
        load(&mut instance, &path, bound)?;
    }
    saved(&mut instance, mode == Mode::Infer)
}

/// What a file says of the tensors that are packed in it.
fn packed_notes(instance: &Instance, tensors: &BTreeMap<String, Tensor>) -> PackedNotes {
    let packed = instance.parameters().into_iter().filter(|p| tensors.contains_key(&Part::Codes.name(&p.path)));
    let note = |parameter: ParameterRef<'_>| {
        let scheme = parameter.storage.scheme.clone()?;
        let dtype = parameter.storage.ty.dtype().unwrap_or(DType::Float32);
        Some((parameter.path, PackedNote { scheme, dtype, shape: parameter.shape.to_vec(), ratio: None }))
    };
    packed.filter_map(note).collect()
}
