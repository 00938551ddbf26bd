//! Methods of the entry with their inputs, and what the interpreter makes of them.

use super::compare::{Difference, Unlike, compare};
use super::executor::Executed;
use super::stage::{Stage, sentences};
use super::tolerance::{Scope, of_gradient, of_result};
use super::{Row, Status};
use crate::base::code::E0607;
use crate::base::philox;
use crate::driver::inputs::{self, InputRequest};
use crate::driver::model::{self, Signature};
use crate::driver::pipeline::{self, Call};
use crate::driver::{Failed, Mode, RunRequest, RunResult, Session};
use crate::ir::{Module, Verified};
use crate::types::{DType, HostValue, Tensor};
use crate::weights::{FileFormat, Tensors, restore};
use std::collections::BTreeSet;

/// Gradients of results are drawn from this and the position of the result.
const GRADIENT_SEED: i64 = 70;

/// A call of a method.
pub(super) struct Scene {
    /// `forward`, or `forward(mask)`.
    pub name: String,
    /// As in the source.
    pub method: String,
    /// Of all optional inputs, those that are given.
    given: BTreeSet<String>,
    /// By name, in the order of the parameters; `None` for an optional one that is left out.
    pub inputs: Vec<(String, Option<Tensor>)>,
    pub numbers: Vec<(String, HostValue)>,
    bound: inputs::BoundInputs,
    pub wanted: RunResult,
    /// Where gradients are wanted: those of the results, `None` for a result that has none.
    pub output_gradients: Option<Vec<Option<Tensor>>>,
}

/// All scenes, and rows for methods that cannot be one.
pub(super) struct Scenes {
    pub scenes: Vec<Scene>,
    pub skipped: Vec<Row>,
}

/// A difference, and whether it is one of the results, not of gradients or state alone.
pub(super) struct Compared {
    pub difference: Difference,
    pub in_results: bool,
}

/// Every scene that is asked for.
pub(super) fn scenes(session: &mut Session, stage: &Stage<'_>) -> Result<Scenes, Failed> {
    let methods = match &stage.run.method {
        Some(method) => vec![method.clone()],
        None => exported(&stage.module),
    };
    let widest = methods.iter().map(|method| model::signature(&stage.module, Some(method), &|_| true));
    let widest: Vec<Signature> = widest.collect::<Result<_, _>>().map_err(|error| session.fail(vec![error]))?;
    let mut found = Scenes { scenes: vec![], skipped: vec![] };
    for (method_name, own) in methods.iter().zip(&widest) {
        let mut missing = own.numbers.iter().map(|(symbol, _)| symbol.as_str());
        let missing = missing.find(|name| stage.run.numbers.iter().all(|(given, _)| given != name));
        if let (Some(name), true) = (missing, methods.len() > 1) {
            let reason = format!("the number `{name}` is missing: give it with `--input {name}=NUMBER`");
            found.skipped.push(Row { reason, ..Row::new("all", method_name, Status::Skipped) });
            continue;
        }
        // What is given is for the methods that know it; what none knows is a mistake, of which each of them tells.
        let meant = |name: &str| knows(own, name) || !widest.iter().any(|other| knows(other, name));
        for given in choices(&stage.run, &stage.module, own) {
            let (name, more) = (scene_name(method_name, &given), !given.is_empty());
            let method = Method { name: method_name, widest: own, given };
            let made = session.aside(|session| Scene::new(session, stage, method, &meant));
            let mut scene = match made {
                Ok(scene) => scene,
                // Values that are drawn for optional inputs may be none that the program can work with.
                Err(said) if more && found.scenes.iter().any(|scene| scene.method == *method_name) => {
                    let reason = format!("{}; give the optional inputs with `--input`", sentences(&said));
                    found.skipped.push(Row { reason, ..Row::new("all", &name, Status::Skipped) });
                    continue;
                }
                Err(said) => return Err(session.fail(said)),
            };
            if stage.run.grad
                && let Err(said) = session.aside(|session| scene.want_gradients(session, stage))
            {
                if methods.len() == 1 || said.iter().any(|diagnostic| diagnostic.code != E0607) {
                    return Err(session.fail(said));
                }
                // Its results can still be compared.
                scene.output_gradients = None;
                let reason = format!("no gradients: {}", sentences(&said));
                found.skipped.push(Row { reason, ..Row::new("all", &name, Status::Skipped) });
            }
            found.scenes.push(scene);
        }
    }
    Ok(found)
}

/// A method of the entry, with some of its optional inputs.
struct Method<'a> {
    name: &'a str,
    /// With all of them.
    widest: &'a Signature,
    given: BTreeSet<String>,
}

/// `forward` and the exported methods of the entry, each once.
fn exported(module: &Module) -> Vec<String> {
    let entry = module.entry.as_ref().map_or(vec![], |entry| module[entry.layer].methods.clone());
    let functions = entry.iter().map(|id| &module[*id]);
    let mut names: Vec<String> = vec![];
    for function in functions.filter(|function| function.exported || function.source_name == "forward") {
        if !names.contains(&function.source_name) {
            names.push(function.source_name.clone());
        }
    }
    names
}

/// The sets of optional inputs that a method is run with: those that the user names, else none and all.
fn choices(run: &RunRequest, module: &Module, widest: &Signature) -> Vec<BTreeSet<String>> {
    let optional = || module[widest.method].optional.iter().map(|(name, _)| name.clone());
    let is_named = |name: &String| {
        run.inputs.iter().any(|(given, _)| given == name) || run.entry.shapes.iter().any(|(given, _)| given == name)
    };
    let named: BTreeSet<String> = optional().filter(is_named).collect();
    let all: BTreeSet<String> = module[widest.method].given().map(str::to_string).collect();
    if !named.is_empty() {
        vec![named]
    } else if all.is_empty() {
        vec![all]
    } else {
        vec![BTreeSet::new(), all]
    }
}

impl Scene {
    fn new(
        session: &mut Session,
        stage: &Stage<'_>,
        method: Method<'_>,
        meant: &dyn Fn(&str) -> bool,
    ) -> Result<Scene, Failed> {
        let Method { name: method, widest, given } = method;
        let signature = model::signature(&stage.module, Some(method), &|name| given.contains(name));
        let signature = signature.map_err(|error| session.fail(vec![error]))?;
        let run = &stage.run;
        let wanted = InputRequest {
            files: &of_method(&run.inputs, meant),
            numbers: &of_method(&run.numbers, meant),
            shapes: &of_method(&stage.request.run.entry.shapes, meant),
            seed: run.seed,
            known: &signature.known,
        };
        let bound = inputs::bind(&signature, &wanted).map_err(|errors| session.fail(errors))?;
        // Both lists have one order, in which the parts of a tuple share a name.
        let mut drawn = signature.tensors.iter().zip(&bound.tensors).peekable();
        let (mut inputs, mut optional_inputs) = (vec![], vec![]);
        let optional = &stage.module[widest.method].optional;
        for (spec, name) in widest.tensors.iter().zip(stage.module[widest.method].input_names()) {
            let own = drawn.next_if(|(given, _)| given.name == spec.name);
            let is_optional = optional.iter().any(|(other, _)| *other == spec.name);
            let list = if is_optional { &mut optional_inputs } else { &mut inputs };
            list.push((name, own.map(|(_, tensor)| tensor.clone())));
        }
        inputs.extend(optional_inputs);
        // What is left out at the end shows the defaults.
        while inputs.pop_if(|(_, last)| last.is_none()).is_some() {}
        let numbers = wanted.numbers.to_vec();
        let mut scene = Scene {
            name: scene_name(method, &given),
            method: method.to_string(),
            given,
            inputs,
            numbers,
            bound,
            wanted: RunResult::default(),
            output_gradients: None,
        };
        scene.wanted = scene.run(session, stage, &stage.module, &RunRequest { grad: false, ..run.clone() })?;
        Ok(scene)
    }

    /// Adds the gradients by which others are measured, from random ones of the float results.
    fn want_gradients(&mut self, session: &mut Session, stage: &Stage<'_>) -> Result<(), Failed> {
        let outputs = self.wanted.outputs.iter().enumerate();
        let drawn = outputs.map(|(position, output)| {
            let values = philox::normals(GRADIENT_SEED + position as i64).take(output.len());
            output.dtype().is_float().then(|| Tensor::from_f64(output.dtype(), output.shape().to_vec(), values))
        });
        let drawn: Vec<Option<Tensor>> = drawn.collect();
        if drawn.iter().all(Option::is_none) {
            return Ok(());
        }
        self.output_gradients = Some(drawn);
        self.wanted.gradients = self.run(session, stage, &stage.module, &stage.run)?.gradients;
        if stage.run.entry.mode == Mode::Infer {
            // Nothing leads from a result to the float values of packed weights.
            let stored = model::storage(&stage.module).map_err(|error| session.fail(vec![error]))?;
            for packed in stored.iter().filter(|stored| stored.scheme.is_some()) {
                self.wanted.gradients.remove(&packed.name);
            }
        }
        Ok(())
    }

    /// The scene on the interpreter.
    fn run(
        &self,
        session: &mut Session,
        stage: &Stage<'_>,
        module: &Verified,
        run: &RunRequest,
    ) -> Result<RunResult, Failed> {
        let given = |name: &str| self.given.contains(name);
        let method = model::signature(module, Some(&self.method), &given).map(|signature| signature.method);
        let method = method.map_err(|error| session.fail(vec![error]))?;
        let gradients = self.output_gradients.iter().flatten().enumerate().filter(|_| run.grad);
        let output_grads = gradients.filter_map(|(position, gradient)| Some((position, gradient.clone()?))).collect();
        let call = Call { method, inputs: self.bound.clone(), output_grads };
        let run = RunRequest { keep_weights: true, keep_state: true, ..run.clone() };
        pipeline::interpret(session, module, &run, &call, stage.weights.clone(), &mut std::io::sink())
    }

    /// What a form of the program gives on the interpreter.
    pub fn interpret(
        &self,
        session: &mut Session,
        stage: &Stage<'_>,
        module: &Verified,
        trace: bool,
    ) -> Result<Executed, Failed> {
        let plain = RunRequest { grad: false, trace, ..stage.run.clone() };
        let result = self.run(session, stage, module, &plain)?;
        let mut executed =
            Executed { outputs: result.outputs, state: result.state, trace: result.trace, ..Executed::default() };
        if self.output_gradients.is_some() && !trace {
            executed.gradients = self.run(session, stage, module, &stage.run)?.gradients;
            executed.gradients.retain(|name, _| self.wanted.gradients.contains_key(name));
        }
        Ok(executed)
    }

    pub fn state_names(&self) -> Vec<String> {
        self.wanted.state.keys().cloned().collect()
    }

    /// What `rng` gives in a form of the program: passes leave out what nothing uses.
    pub fn seeds(&self, session: &mut Session, stage: &Stage<'_>, module: &Verified) -> Result<Vec<i64>, Failed> {
        if self.wanted.seeds.is_empty() {
            return Ok(vec![]);
        }
        let plain = RunRequest { grad: false, ..stage.run.clone() };
        Ok(self.run(session, stage, module, &plain)?.seeds)
    }

    pub fn gradient_names(&self) -> Vec<String> {
        self.wanted.gradients.keys().cloned().collect()
    }

    /// Compares all results, state and, where they were computed, gradients.
    pub fn compare(&self, executed: &Executed, scope: Scope, gradients: bool) -> Result<Compared, Unlike> {
        let wanted = &self.wanted;
        let mut difference = Difference::default();
        if executed.outputs.len() != wanted.outputs.len() {
            let (have, want) = (executed.outputs.len(), wanted.outputs.len());
            return Err(Unlike(format!("there are {have} results, the interpreter gives {want}")));
        }
        for (index, (have, want)) in executed.outputs.iter().zip(&wanted.outputs).enumerate() {
            let name = if wanted.outputs.len() == 1 { "`output`".to_string() } else { format!("`output.{index}`") };
            difference.add(compare(&name, &declared(have, want), want, of_result(want, scope))?);
        }
        let in_results = difference.fails;
        for (name, want) in &wanted.state {
            if let Some(have) = executed.state.get(name) {
                let name = format!("the state `{name}`");
                difference.add(compare(&name, &declared(have, want), want, of_result(want, scope))?);
            }
        }
        if gradients {
            self.compare_gradients(executed, scope, &mut difference)?;
        }
        Ok(Compared { difference, in_results })
    }

    fn compare_gradients(&self, executed: &Executed, scope: Scope, all: &mut Difference) -> Result<(), Unlike> {
        let mut have: Tensors = executed.gradients.clone();
        for ((name, _), gradient) in self.inputs.iter().zip(&executed.input_gradients) {
            let Some(gradient) = gradient else { continue };
            let name = if have.contains_key(name) { format!("input.{name}") } else { name.clone() };
            have.insert(name, gradient.clone());
        }
        let want = &self.wanted.gradients;
        let only = |a: &Tensors, b: &Tensors| -> Vec<String> {
            a.keys().filter(|name| !b.contains_key(*name)).map(|name| format!("`{name}`")).collect()
        };
        let (more, fewer) = (only(&have, want), only(want, &have));
        if !more.is_empty() || !fewer.is_empty() {
            let list = |names: Vec<String>| if names.is_empty() { "none".to_string() } else { names.join(", ") };
            let (more, fewer) = (list(more), list(fewer));
            return Err(Unlike(format!("gradients that only the target has: {more}; that it lacks: {fewer}")));
        }
        for (name, want) in want {
            if let Some(have) = have.get(name) {
                let name = format!("the gradient of `{name}`");
                all.add(compare(&name, &declared(have, want), want, of_gradient(want, scope))?);
            }
        }
        Ok(())
    }
}

fn scene_name(method: &str, given: &BTreeSet<String>) -> String {
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    if given.is_empty() { method.to_string() } else { format!("{method}({})", given.join(", ")) }
}

/// The options that are meant for a method.
pub(super) fn of_method<T: Clone>(options: &[(String, T)], meant: &dyn Fn(&str) -> bool) -> Vec<(String, T)> {
    options.iter().filter(|(name, _)| meant(name)).cloned().collect()
}

/// Whether a name is one of a method's: an input, a dim or a number.
pub(super) fn knows(widest: &Signature, name: &str) -> bool {
    let in_dims = |spec: &inputs::InputSpec| {
        spec.ty.shape.dims.iter().any(|dim| dim.symbols().iter().any(|symbol| symbol.as_str() == name))
    };
    widest.tensors.iter().any(|spec| spec.name == name || in_dims(spec))
        || widest.left_out.iter().any(|left_out| left_out == name)
        || widest.numbers.iter().any(|(symbol, _)| symbol.as_str() == name)
}

/// Codes of fewer than eight bits travel as int8, and some files have no bfloat16.
fn declared(have: &Tensor, want: &Tensor) -> Tensor {
    match want.dtype() {
        // .npy files have no bfloat16.
        DType::BFloat16 if have.dtype() == DType::Float32 => {
            restore(have.clone(), want.dtype(), FileFormat::Npy).unwrap_or_else(|_| have.clone())
        }
        DType::Trit | DType::Int4 => {
            restore(have.clone(), want.dtype(), FileFormat::Safetensors).unwrap_or_else(|_| have.clone())
        }
        _ => have.clone(),
    }
}
