//! The inputs of a run: read from files where given, drawn at random where not.
//!
//! The types of the entry's parameters have symbolic dims (`x: float32[B, 784]`). The shapes that are
//! given, by files or `--shape`, bind the symbols across all inputs; what is left gets small sizes that
//! differ, so that a mixed-up axis shows.

mod solve;

use crate::base::code::E0804;
use crate::base::{Diagnostic, F64, closest};
use crate::driver::draw::draw;
use crate::driver::model::Signature;
use crate::ir::HostKind;
use crate::types::{DType, HostValue, Symbol, Tensor, TensorType};
use crate::weights::{self, FileFormat};
use solve::Solver;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// No input is drawn with more elements.
const MAX_DRAWN: usize = 1 << 28;

/// A parameter of the method that is run.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSpec {
    pub name: String,
    pub ty: TensorType,
}

/// Where inputs come from.
#[derive(Clone, Copy, Debug)]
pub struct InputRequest<'a> {
    pub files: &'a [(String, PathBuf)],
    /// Values of `int` and `float` parameters.
    pub numbers: &'a [(String, HostValue)],
    /// Shapes of inputs to draw. A dim variable's name with one size sets that dim.
    pub shapes: &'a [(String, Vec<usize>)],
    pub seed: u64,
    /// Symbols with a value already: the entry's hyperparameters.
    pub known: &'a BTreeMap<Symbol, i64>,
}

impl Default for InputRequest<'_> {
    fn default() -> Self {
        const NOTHING: &BTreeMap<Symbol, i64> = &BTreeMap::new();
        InputRequest { files: &[], numbers: &[], shapes: &[], seed: 0, known: NOTHING }
    }
}

/// One tensor for each parameter, the numbers among them, and the sizes that their shapes gave to dim variables.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BoundInputs {
    pub tensors: Vec<Tensor>,
    pub numbers: Vec<(Symbol, HostValue)>,
    pub dims: BTreeMap<Symbol, i64>,
    pub packs: BTreeMap<Symbol, Vec<usize>>,
}

/// Finds a tensor for every parameter, or says everything that is wrong with what was given.
pub fn bind(signature: &Signature, request: &InputRequest<'_>) -> Result<BoundInputs, Vec<Diagnostic>> {
    let specs = &signature.tensors;
    let (mut solver, tensors) = solved(signature, request)?;
    let numbers = bind_numbers(signature, request)?;
    let shapes = solver.choose(specs.iter().map(|spec| (spec.name.as_str(), &spec.ty.shape)));
    let shapes = shapes.map_err(|message| vec![error(message)])?;
    let mut bound = BoundInputs { numbers, dims: solver.dims(), packs: solver.packs(), ..BoundInputs::default() };
    for (index, ((spec, tensor), shape)) in specs.iter().zip(tensors).zip(shapes).enumerate() {
        let tensor = match tensor {
            Some(tensor) => tensor,
            None => draw_checked(spec, &shape, request.seed, index as u32).map_err(|d| vec![d])?,
        };
        bound.tensors.push(tensor);
    }
    Ok(bound)
}

/// Only says what is wrong with what was given; else what it tells of dims.
pub fn check(signature: &Signature, request: &InputRequest<'_>) -> Result<BTreeMap<Symbol, i64>, Vec<Diagnostic>> {
    solved(signature, request).map(|(solver, _)| solver.dims())
}

/// A value for each number that shapes do not tell.
fn bind_numbers(
    signature: &Signature,
    request: &InputRequest<'_>,
) -> Result<Vec<(Symbol, HostValue)>, Vec<Diagnostic>> {
    let mut errors = vec![];
    let mut bound = vec![];
    for (symbol, kind) in &signature.numbers {
        let given = request.numbers.iter().find(|(name, _)| name == symbol.as_str()).map(|(_, value)| value);
        match (kind, given) {
            (HostKind::Int, Some(value @ HostValue::Int(_))) => bound.push((symbol.clone(), value.clone())),
            (HostKind::Float, Some(value)) => {
                let float = HostValue::Float(F64(value.as_float().unwrap_or(f64::NAN)));
                bound.push((symbol.clone(), float));
            }
            (HostKind::Int, Some(other)) => errors.push(error(format!("`{symbol}` must be an int, not {other}"))),
            (_, None) => {
                let help = format!("help: give it with `--input {symbol}=NUMBER`");
                errors.push(error(format!("the number `{symbol}` is missing")).note(help));
            }
        }
    }
    if errors.is_empty() { Ok(bound) } else { Err(errors) }
}

/// The tensors that files give, and what is known of all shapes.
type Solved = Result<(Solver, Vec<Option<Tensor>>), Vec<Diagnostic>>;

fn solved(signature: &Signature, request: &InputRequest<'_>) -> Solved {
    let specs = &signature.tensors;
    let mut solver = Solver::new(request.known);
    let mut errors = check_names(signature, request);
    for (name, sizes) in request.shapes.iter().filter(|(name, _)| is_dim(specs, name)) {
        match sizes.as_slice() {
            [size] => solver.set(name, *size),
            _ => errors.push(error(format!("`{name}` is a dim: give it one size, as in `--shape {name}=4`"))),
        }
    }
    let mut tensors: Vec<Option<Tensor>> = vec![];
    for spec in specs {
        let file = request.files.iter().find(|(name, _)| *name == spec.name);
        let tensor = file.and_then(|(_, path)| match load(spec, path) {
            Ok(tensor) => Some(tensor),
            Err(diagnostic) => {
                errors.push(diagnostic);
                None
            }
        });
        let shape = request.shapes.iter().find(|(name, _)| *name == spec.name).map(|(_, sizes)| sizes.as_slice());
        if let (Some(tensor), Some(shape)) = (&tensor, shape)
            && tensor.shape() != shape
        {
            errors.push(error(format!(
                "input `{}` has shape {:?}, but --shape says {shape:?}",
                spec.name,
                tensor.shape()
            )));
        }
        if let Some(shape) = tensor.as_ref().map(Tensor::shape).or(shape) {
            errors.extend(solver.constrain(&spec.name, &spec.ty.shape, shape).err().map(error));
        }
        tensors.push(tensor);
    }
    errors.extend(solver.solve().into_iter().map(error));
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok((solver, tensors))
}

fn error(message: String) -> Diagnostic {
    Diagnostic::new(E0804, message)
}

fn is_dim(specs: &[InputSpec], name: &str) -> bool {
    let symbol = Symbol::new(name);
    let occurs = |spec: &InputSpec| spec.ty.shape.dims.iter().any(|dim| dim.symbols().contains(&symbol));
    specs.iter().all(|spec| spec.name != name) && specs.iter().any(occurs)
}

/// Names on the command line that no parameter has.
fn check_names(signature: &Signature, request: &InputRequest<'_>) -> Vec<Diagnostic> {
    let specs = &signature.tensors;
    let files = request.files.iter().map(|(name, _)| name);
    let shapes = request.shapes.iter().map(|(name, _)| name).filter(|name| !is_dim(specs, name));
    let unknown = files.chain(shapes).filter(|name| specs.iter().all(|spec| spec.name != **name));
    let is_number = |name: &&String| signature.numbers.iter().any(|(symbol, _)| symbol.as_str() == name.as_str());
    let numbers = request.numbers.iter().map(|(name, _)| name).filter(|name| !is_number(name));
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let left_out: Vec<&str> = signature.left_out.iter().map(String::as_str).collect();
    let numbers_of = signature.numbers.iter().map(|(symbol, _)| symbol.as_str());
    let candidates: Vec<&str> = names.iter().chain(&left_out).copied().chain(numbers_of).collect();
    unknown
        .chain(numbers)
        .map(|name| {
            if names.iter().chain(&left_out).any(|tensor| tensor == name) {
                return error(format!("`{name}` is a tensor, not a number: give it a file"));
            }
            let mut diagnostic = error(format!("the model has no input `{name}`"));
            if let Some(near) = closest(name, candidates.iter().copied()) {
                return diagnostic.note(format!("help: did you mean `{near}`?"));
            }
            if !names.is_empty() {
                diagnostic = diagnostic.note(format!("help: its inputs are {}", names.join(", ")));
            }
            match left_out.as_slice() {
                [] if names.is_empty() => diagnostic.note("it takes no inputs"),
                [] => diagnostic,
                optional => diagnostic.note(format!("help: it may also be given {}", optional.join(", "))),
            }
        })
        .collect()
}

/// Reads an input: a `.npy` array, or the member of an archive with the input's name (or its only one).
fn load(spec: &InputSpec, path: &Path) -> Result<Tensor, Diagnostic> {
    let mut set = weights::load(path).map_err(|e| Diagnostic::new(e.code, e.to_string()))?;
    let shown = path.display();
    let tensor = match set.tensors.remove(&spec.name) {
        Some(tensor) => tensor,
        None if set.tensors.len() == 1 => {
            set.tensors.pop_first().map(|(_, tensor)| tensor).unwrap_or(Tensor::scalar_i64(0))
        }
        None => {
            let names: Vec<&str> = set.tensors.keys().map(String::as_str).take(10).collect();
            let message = format!("`{shown}` holds no array `{}`", spec.name);
            return Err(error(message).note(format!("it holds {}", names.join(", "))));
        }
    };
    let declared = spec.ty.dtype().unwrap_or(tensor.dtype());
    let format = FileFormat::of(path).unwrap_or(FileFormat::Npy);
    weights::restore(tensor, declared, format).map_err(|why| {
        error(format!("input `{}` from `{shown}`: {why}", spec.name))
            .note("help: nothing is cast silently; save it with the declared element type")
    })
}

fn draw_checked(spec: &InputSpec, shape: &[usize], seed: u64, stream: u32) -> Result<Tensor, Diagnostic> {
    let count = shape.iter().try_fold(1usize, |product, n| product.checked_mul(*n));
    if count.is_none_or(|count| count > MAX_DRAWN) {
        let message = format!("input `{}` of shape {shape:?} is too large to be drawn", spec.name);
        return Err(error(message).note(format!("help: give it with `--input {}=FILE`", spec.name)));
    }
    Ok(draw(spec.ty.dtype().unwrap_or(DType::Float32), shape, seed, stream))
}

#[cfg(test)]
mod tests;
