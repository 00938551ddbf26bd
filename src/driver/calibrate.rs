//! Runs a model on data, to find how it is quantised best: scales of activations from what goes into products.
//!
//! The model runs on the interpreter with its weights as quantising leaves them, and with float activations.
//! What it needs of a program is one lowering without quantisation; who asks for what is as in a build.

use crate::base::Diagnostic;
use crate::base::code::{E0505, E0804};
use crate::driver::bind::{bind, find};
use crate::driver::choice::{self, Choice};
use crate::driver::gptq::{Inputs, Survey};
use crate::driver::inputs::InputSpec;
use crate::driver::inspect::refused;
use crate::driver::{EntryRequest, Failed, Mode, Session, model, pipeline};
use crate::interp::watch::{Product, Watch};
use crate::interp::{Instance, Machine, RunError, RunOptions};
use crate::ir::{FuncId, Part, Verified};
use crate::passes::activations::{SCALE, ZERO_POINT};
use crate::passes::products::{Use, uses};
pub use crate::quant::gptq::Options as GptqOptions;
use crate::quant::gptq::{self, Hessian, Layout};
pub use crate::quant::observe::Method;
use crate::quant::observe::Observer;
use crate::quant::{Quantized, Scheme, dequantize, quantize};
use crate::types::{DType, Tensor};
use crate::weights::{FileFormat, Raw, View, load, restore};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The model whose weights are quantised, and data to run it on.
#[derive(Clone, Debug, Default)]
pub struct ModelRequest {
    /// The source file.
    pub file: String,
    pub entry: EntryRequest,
    /// An archive with an array for each input, samples along the first axis.
    pub data: Option<PathBuf>,
    pub observer: Method,
    /// Codes are chosen by what becomes of products, not the nearest ones.
    pub gptq: Option<GptqOptions>,
    /// Samples of one run.
    pub batch: usize,
}

/// What quantises the tensors of a checkpoint.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// By the names of weights files.
    pub schemes: BTreeMap<String, Scheme>,
    /// Codes that are not the nearest ones.
    pub codes: BTreeMap<String, Quantized>,
    /// Tensors that go into the file beside those that are there: scales of activations.
    pub added: BTreeMap<String, Tensor>,
    /// Weights whose codes are the nearest ones although others were asked for, and why.
    pub rounded: Vec<(String, String)>,
}

/// Finds how the tensors of a checkpoint are quantised for a model.
pub fn plan(session: &mut Session, view: &View, rules: &[String], request: &ModelRequest) -> Result<Plan, Failed> {
    let file = session.open(&request.file)?;
    let arrays = request.data.as_deref().map(arrays).transpose().map_err(|error| session.fail(vec![error]))?;
    let shapes = arrays.iter().flatten().map(|(name, array)| (name.clone(), array.shape().to_vec()));
    let shapes = shapes.chain(request.entry.shapes.iter().cloned()).collect();
    let entry = EntryRequest { shapes, mode: Mode::Infer, ..request.entry.clone() };
    let module = pipeline::unquantised(session, file, &entry)?;
    let choices = choice::choices(session, &module, rules)?;
    let schemes = choices.iter().filter_map(|choice| Some((choice.name.clone(), choice.quantization.clone()?.weights)));
    let mut plan = Plan { schemes: schemes.collect(), ..Plan::default() };
    let observed: Vec<&Choice> = choices.iter().filter(|choice| choice.static_activations().is_some()).collect();
    let module = choice::without_quantisation(session, module, &choices)?;
    let Some(arrays) = arrays else {
        if let Some(first) = observed.first() {
            let message = format!("the activations of `{}` need a scale, and there are no data to find it", first.name);
            let error = Diagnostic::new(E0505, message).note("help: give them with `--calibrate data.npz`");
            return Err(session.fail(vec![error]));
        }
        let fits = model::storage(&module).and_then(|expected| find(view, &expected, Mode::Infer, true));
        return fits.map(|_| plan).map_err(|error| session.fail(vec![error]));
    };
    let data = Data::of(&module, arrays, request.batch).map_err(|errors| session.fail(errors))?;
    let mut model = Model::load(view, &module, data).map_err(|errors| session.fail(errors))?;
    let found = model.find(&choices, &observed, request, &mut plan);
    found.map_err(|errors| session.fail(errors))?;
    Ok(plan)
}

/// The arrays of an archive, as the model's inputs are called.
fn arrays(path: &Path) -> Result<BTreeMap<String, Tensor>, Diagnostic> {
    let set = load(path).map_err(|error| Diagnostic::new(error.code, error.to_string()))?;
    if set.tensors.contains_key("") {
        let message =
            format!("`{}` holds an array without a name: save it as .npz, under the input's name", path.display());
        return Err(Diagnostic::new(E0804, message));
    }
    Ok(set.tensors)
}

/// Inputs of a method for many samples.
struct Data {
    method: FuncId,
    inputs: Vec<Tensor>,
    samples: usize,
    /// Samples of a call; `None` where the method takes one without an axis for it.
    batch: Option<usize>,
}

impl Data {
    fn of(module: &Verified, mut arrays: BTreeMap<String, Tensor>, batch: usize) -> Result<Data, Vec<Diagnostic>> {
        let signature = model::signature(module, None, &|name| arrays.contains_key(name));
        let signature = signature.map_err(|error| vec![error])?;
        let error = |message: String| Diagnostic::new(E0804, message);
        let (mut errors, mut inputs, mut counts) = (vec![], vec![], vec![]);
        for spec in &signature.tensors {
            match arrays.remove(&spec.name) {
                None => errors.push(error(format!("the calibration data hold no `{}`", spec.name))),
                Some(array) => match checked(spec, array) {
                    Ok(array) => {
                        counts.push((spec, array.shape()[0]));
                        inputs.push(array);
                    }
                    Err(message) => errors.push(error(message)),
                },
            }
        }
        let names: Vec<&str> = signature.tensors.iter().map(|spec| spec.name.as_str()).collect();
        errors.extend(arrays.keys().map(|name| {
            let help = format!("help: its inputs are {}", names.join(", "));
            error(format!("the model has no input `{name}`")).note(help)
        }));
        errors.extend(signature.numbers.iter().map(|(name, _)| {
            error(format!("the model takes the number `{name}` with each call, which calibration data cannot give"))
        }));
        let samples = counts.first().map_or(0, |(_, count)| *count);
        if let Some((spec, count)) = counts.iter().find(|(_, count)| *count != samples) {
            let first = &signature.tensors[0].name;
            errors.push(error(format!("there are {samples} samples of `{first}` and {count} of `{}`", spec.name)));
        }
        if errors.is_empty() && samples == 0 {
            errors.push(error("there are no samples to calibrate with".to_string()));
        }
        let single = |(spec, input): (&InputSpec, &Tensor)| spec.ty.shape.rank() == Some(input.rank() - 1);
        let singles = signature.tensors.iter().zip(&inputs).filter(|pair| single(*pair)).count();
        if errors.is_empty() && singles != 0 && singles != inputs.len() {
            errors.push(error("some inputs have an axis for samples and others have none".to_string()));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let fixed = counts.iter().find_map(|(spec, _)| spec.ty.shape.known()?.first()?.as_const());
        let batch = (singles == 0).then(|| fixed.and_then(|size| usize::try_from(size).ok()).unwrap_or(batch).max(1));
        match (fixed, batch) {
            (Some(size), Some(batch)) if samples % batch != 0 => {
                Err(vec![error(format!("the model takes {size} samples at a time, which do not divide {samples}"))])
            }
            _ => Ok(Data { method: signature.method, inputs, samples, batch }),
        }
    }

    /// The inputs of each call.
    fn calls(&self) -> impl Iterator<Item = Vec<Tensor>> + '_ {
        let step = self.batch.unwrap_or(1);
        (0..self.samples).step_by(step).map(move |from| {
            let to = (from + step).min(self.samples);
            let part = |input: &Tensor| {
                let part = Raw::from(input).part(0, from, to).decode();
                match self.batch {
                    Some(_) => part,
                    None => Tensor::clone(&part).reshaped(part.shape()[1..].to_vec()),
                }
            };
            self.inputs.iter().map(part).collect()
        })
    }
}

/// An array as the input that it is for, or why it is none.
fn checked(spec: &InputSpec, array: Tensor) -> Result<Tensor, String> {
    let (name, ty) = (&spec.name, &spec.ty);
    let rank = ty.shape.rank();
    if array.rank() == 0 || rank.is_some_and(|rank| array.rank() != rank && array.rank() != rank + 1) {
        let shape = array.shape();
        return Err(format!("`{name}` has shape {shape:?} in the calibration data, and is {ty} in the model"));
    }
    let declared = ty.dtype().unwrap_or(array.dtype());
    let array = restore(array, declared, FileFormat::Npz).map_err(|why| format!("`{name}`: {why}"))?;
    match (0..array.len()).find(|index| array.dtype().is_float() && !array.get_f64(*index).is_finite()) {
        Some(index) => Err(format!("element {index} of `{name}` in the calibration data is {}", array.get_f64(index))),
        None => Ok(array),
    }
}

/// The model with float weights, which become those that quantising leaves.
struct Model<'m> {
    module: &'m Verified,
    instance: Instance,
    data: Data,
    sites: Sites,
}

type Errors = Vec<Diagnostic>;

impl<'m> Model<'m> {
    fn load(view: &View, module: &'m Verified, data: Data) -> Result<Model<'m>, Errors> {
        let expected = model::storage(module).map_err(|error| vec![error])?;
        // A checkpoint in another float type runs in the model's own.
        let bound = bind(view, &expected, Mode::Infer, true).map_err(|error| vec![error])?;
        let mut instance = Instance::entry(module, 0).map_err(|error| vec![failed(&error)])?;
        for (name, bound) in bound {
            for (part, tensor) in bound {
                instance.set(&name, part, tensor).map_err(|error| vec![failed(&error)])?;
            }
        }
        Ok(Model { module, instance, data, sites: Sites::of(module) })
    }

    /// Codes of weights, then scales of activations.
    fn find(
        &mut self,
        choices: &[Choice],
        observed: &[&Choice],
        request: &ModelRequest,
        plan: &mut Plan,
    ) -> Result<(), Errors> {
        let errors: Errors = choices.iter().filter_map(|choice| self.refusal(choice)).collect();
        if !errors.is_empty() {
            return Err(errors);
        }
        let layouts = match request.gptq {
            Some(_) => self.layouts(choices, plan)?,
            None => vec![],
        };
        // What is only rounded is so before anything is looked at.
        for choice in choices.iter().filter(|choice| layouts.iter().all(|(path, _)| *path != choice.path)) {
            let Some(scheme) = choice.weights() else { continue };
            let value = self.value(choice)?;
            let parts = quantize(&value, scheme, None);
            let parts = parts.map_err(|error| vec![refused(&choice.name, value.shape(), scheme, &error)])?;
            self.set(choice, scheme, &parts, value.dtype())?;
        }
        for (path, layout) in &layouts {
            let (Some(options), Some(choice)) = (request.gptq, choices.iter().find(|choice| choice.path == *path))
            else {
                continue;
            };
            self.gptq(choice, layout, options, plan)?;
        }
        plan.added = self.scales(observed, request.observer)?;
        Ok(())
    }

    /// Why a weight cannot be quantised at all.
    fn refusal(&mut self, choice: &Choice) -> Option<Diagnostic> {
        let scheme = choice.weights()?;
        let value = self.value(choice).ok()?;
        let error = quantize(&value, scheme, None).err()?;
        Some(refused(&choice.name, value.shape(), scheme, &error))
    }

    /// The matrices of weights that GPTQ knows, in the order in which they are used; the others go into the plan.
    fn layouts(&mut self, choices: &[Choice], plan: &mut Plan) -> Result<Vec<(String, Layout)>, Errors> {
        let mut shapes = BTreeMap::new();
        for choice in choices {
            match choice.weights() {
                Some(scheme) if gptq::applies(scheme) => {
                    shapes.insert(choice.path.clone(), self.value(choice)?.shape().to_vec());
                }
                Some(scheme) => plan.rounded.push((choice.name.clone(), format!("GPTQ has no codes for {scheme}"))),
                None => {}
            }
        }
        let mut survey = Survey { sites: &self.sites, shapes: &shapes, found: vec![] };
        self.run(&mut survey, 1).map_err(|error| vec![failed(&error)])?;
        let mut found: BTreeMap<String, Result<Layout, String>> = survey.found.iter().cloned().collect();
        for choice in choices.iter().filter(|choice| shapes.contains_key(&choice.path)) {
            let why = match found.remove(&choice.path) {
                Some(Ok(_)) => continue,
                Some(Err(why)) => why,
                None => "it is multiplied with nothing when the data run".to_string(),
            };
            plan.rounded.push((choice.name.clone(), why));
        }
        Ok(survey.found.into_iter().filter_map(|(path, layout)| Some((path, layout.ok()?))).collect())
    }

    /// Chooses the codes of one weight by the inputs that it has once those before it are quantised.
    fn gptq(&mut self, choice: &Choice, layout: &Layout, options: GptqOptions, plan: &mut Plan) -> Result<(), Errors> {
        let Some(scheme) = choice.weights() else { return Ok(()) };
        let hessians = vec![Hessian::new(layout.rows); layout.batches];
        let mut watch = Inputs { sites: &self.sites, path: &choice.path, hessians };
        self.run(&mut watch, usize::MAX).map_err(|error| vec![failed(&error)])?;
        let hessians = watch.hessians;
        let value = self.value(choice)?;
        let codes = gptq::gptq(&value, layout, &hessians, scheme, options);
        match codes.map_err(|error| vec![refused(&choice.name, value.shape(), scheme, &error)])? {
            Some(parts) => {
                self.set(choice, scheme, &parts, value.dtype())?;
                plan.codes.insert(choice.name.clone(), parts);
            }
            None => {
                let message = format!("`{}`: what it is multiplied with has squares beyond any number", choice.name);
                return Err(vec![Diagnostic::new(E0804, message)]);
            }
        }
        Ok(())
    }

    fn value(&mut self, choice: &Choice) -> Result<Tensor, Errors> {
        self.instance.get(&choice.name, Part::Value).map_err(|error| vec![failed(&error)])
    }

    /// Gives a weight the value that its codes stand for.
    fn set(&mut self, choice: &Choice, scheme: &Scheme, parts: &Quantized, dtype: DType) -> Result<(), Errors> {
        let restored = dequantize(&parts.codes, &parts.scale, parts.zero_point.as_ref(), scheme, dtype);
        let restored = restored.map_err(|error| vec![refused(&choice.name, parts.codes.shape(), scheme, &error)])?;
        self.instance.set(&choice.name, Part::Value, restored).map_err(|error| vec![failed(&error)])
    }

    /// Runs the data, or some calls of them; each begins with the state that was loaded.
    fn run(&self, watch: &mut dyn Watch, calls: usize) -> Result<(), RunError> {
        for inputs in self.data.calls().take(calls) {
            let mut instance = self.instance.clone();
            let mut machine = Machine::new(self.module, RunOptions::default()).with_watch(&mut *watch);
            machine.run(&mut instance, self.data.method, &inputs)?;
        }
        Ok(())
    }

    /// The scales of activations.
    fn scales(&self, observed: &[&Choice], method: Method) -> Result<BTreeMap<String, Tensor>, Errors> {
        if observed.is_empty() {
            return Ok(BTreeMap::new());
        }
        let observers = observed.iter().map(|choice| (choice.path.clone(), Observer::new(method))).collect();
        let mut watch = Activations { sites: &self.sites, observers };
        self.run(&mut watch, usize::MAX).map_err(|error| vec![failed(&error)])?;
        let (mut found, mut errors) = (BTreeMap::new(), vec![]);
        for choice in observed {
            let (Some(scheme), Some(observer)) = (choice.static_activations(), watch.observers.get(&choice.path))
            else {
                continue;
            };
            match observer.parts(scheme) {
                Ok(Some((scale, zero_point))) => {
                    found.insert(format!("{}{SCALE}", choice.name), scale);
                    found.extend(zero_point.map(|zero| (format!("{}{ZERO_POINT}", choice.name), zero)));
                }
                Ok(None) => {
                    let message = format!("`{}` is multiplied with nothing when the data run", choice.name);
                    errors.push(Diagnostic::new(E0505, message));
                }
                Err(error) => errors.push(refused(&choice.name, &[], scheme, &error)),
            }
        }
        if errors.is_empty() { Ok(found) } else { Err(errors) }
    }
}

fn failed(error: &RunError) -> Diagnostic {
    let diagnostic = Diagnostic::new(error.code, error.message.clone());
    match &error.loc {
        Some(loc) => diagnostic.primary(loc.file, loc.span, "while running this on the calibration data"),
        None => diagnostic,
    }
}

/// Products that stored members are factors of, by function and instruction.
pub(super) struct Sites(HashMap<String, Vec<Use>>);

impl Sites {
    fn of(module: &Verified) -> Sites {
        Sites(module.functions.iter().map(|function| (function.name.clone(), uses(function))).collect())
    }

    /// The members that a product multiplies with, each with its path.
    pub fn at<'a>(&'a self, product: &'a Product<'_>) -> impl Iterator<Item = (String, &'a Use)> {
        let found = self.0.get(&product.function.name).into_iter().flatten();
        found.filter(|found| found.product == product.inst).map(|found| {
            let path = match product.path {
                "" => found.member.clone(),
                path => format!("{path}.{}", found.member),
            };
            (path, found)
        })
    }
}

/// Watches what weights are multiplied with.
struct Activations<'a> {
    sites: &'a Sites,
    observers: BTreeMap<String, Observer>,
}

impl Watch for Activations<'_> {
    fn product(&mut self, product: &Product<'_>) -> Result<(), RunError> {
        for (path, found) in self.sites.at(product) {
            if let Some(observer) = self.observers.get_mut(&path) {
                observer.add(&finite(&product.operands[found.other()], &path)?);
            }
        }
        Ok(())
    }
}

/// What a weight is multiplied with, which must be finite.
pub(super) fn finite(tensor: &Tensor, path: &str) -> Result<Vec<f32>, RunError> {
    let values: Vec<f32> = (0..tensor.len()).map(|index| tensor.get_f64(index) as f32).collect();
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(RunError::new(E0804, format!("`{path}` is multiplied with {value}"))),
        None => Ok(values),
    }
}
