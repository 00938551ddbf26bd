//! What is called from outside: the methods that the entry exports, each with its inputs and outputs.

use crate::ir::{FuncId, Function, HostKind, Module, ValueId};
use crate::targets::c::bounds::Bounds;
use crate::targets::c::specialise::{Number, Numbers, ProcId, Specialiser};
use crate::targets::c::text::{Words, identifier};
use crate::targets::held::Values;
use crate::targets::{Backward, EmitOptions, TargetError};
use crate::types::dim::Atom;
use crate::types::{DType, Dim, Symbol, TensorType};
use std::collections::BTreeMap;

/// The name of the method that autodiff adds.
const DIFFERENTIATED: &str = "forward_backward";

/// What other public names are called after the prefix.
pub const RESERVED: &[&str] = &[
    "weights",
    "weights_init",
    "default_weights",
    "inputs",
    "outputs",
    "output_grads",
    "grads",
    "backward",
    "reset",
    "strerror",
];

/// A method as it is called from outside.
pub struct Method {
    /// As in the source.
    pub source: String,
    /// The same as the public function is called after the prefix.
    pub name: String,
    /// The same method for each set of its optional inputs, the largest set first.
    pub forms: Vec<Form>,
    /// Of the form with all of them.
    pub inputs: Vec<Input>,
    pub outputs: Vec<Output>,
    /// Sizes that come with the inputs, and numbers.
    pub numbers: Vec<Given>,
    /// Sizes that only the run tells, which are given back.
    pub fresh: Vec<(Symbol, String)>,
    /// The field of the seed.
    pub seed: String,
    pub doc: Option<String>,
}

pub struct Form {
    pub function: FuncId,
    pub procedure: ProcId,
    /// With gradients: the method that gives these too.
    pub backward: Option<(ProcId, Backward)>,
}

pub struct Input {
    /// As in the source.
    pub name: String,
    /// The field.
    pub field: String,
    pub ty: TensorType,
    /// The name that several share: the parts of a tuple.
    pub shared: String,
    pub is_optional: bool,
}

pub struct Output {
    pub name: String,
    pub field: String,
    pub ty: TensorType,
}

/// A number that comes with each call.
pub struct Given {
    pub symbol: Symbol,
    pub field: String,
    pub kind: HostKind,
    /// The shape of an input has it.
    pub is_size: bool,
    pub bounds: Bounds,
}

/// The exported methods of the entry, with their procedures.
pub fn methods(specialiser: &mut Specialiser<'_>, options: &EmitOptions) -> Result<Vec<Method>, Vec<TargetError>> {
    let module = specialiser.module;
    let mut methods = vec![];
    for forms in groups(module) {
        methods.push(method(specialiser, &forms, options).map_err(|error| vec![error])?);
    }
    Ok(methods)
}

/// The forms of each method together, the one with most optional inputs first.
fn groups(module: &Module) -> Vec<Vec<FuncId>> {
    let Some(entry) = &module.entry else { return vec![] };
    let mut groups: Vec<Vec<FuncId>> = vec![];
    let is_public = |method: &&FuncId| module[**method].exported && module[**method].source_name != DIFFERENTIATED;
    for &method in module[entry.layer].methods.iter().filter(is_public) {
        let name = &module[method].source_name;
        match groups.iter_mut().find(|group| module[group[0]].source_name == *name) {
            Some(group) => group.push(method),
            None => groups.push(vec![method]),
        }
    }
    for group in &mut groups {
        group.sort_by_key(|method| std::cmp::Reverse(module[*method].given().count()));
    }
    groups
}

fn method(
    specialiser: &mut Specialiser<'_>,
    functions: &[FuncId],
    options: &EmitOptions,
) -> Result<Method, TargetError> {
    let module = specialiser.module;
    let hypers = entry_values(module);
    let mut words = Words::default();
    let mut forms = vec![];
    let mut numbers: Vec<Given> = vec![];
    let widest = &module[functions[0]];
    let inputs = inputs(widest, &hypers, &mut words);
    for &id in functions {
        let function = &module[id];
        let bounds = open_numbers(function, &hypers, options);
        for (symbol, kind) in &function.symbols {
            if numbers.iter().any(|known| known.symbol == *symbol) {
                continue;
            }
            let field = words.take(symbol.spoken());
            let is_size = sizes(function, &hypers).any(|dim| dim.symbols().contains(symbol));
            let bounds = bounds.get(symbol).copied().unwrap_or_default();
            numbers.push(Given { symbol: symbol.clone(), field, kind: *kind, is_size, bounds });
        }
        let given = numbers_of(function, &hypers, &bounds);
        let procedure = specialiser.procedure(id, given.clone())?;
        let backward = options.backward.iter().find(|one| one.forward == function.name);
        let backward = match backward.and_then(|one| Some((module.function_named(&one.function)?, one))) {
            Some((joint, one)) => Some((specialiser.procedure(joint, given)?, one.clone())),
            None => None,
        };
        forms.push(Form { function: id, procedure, backward });
    }
    // Conditions of the program may have told more.
    for number in &mut numbers {
        let told = forms.iter().filter_map(|form| {
            let procedure = specialiser.procedures.get(form.procedure.0)?;
            procedure.bounds.get(&number.symbol).copied()
        });
        number.bounds = told.fold(number.bounds, Bounds::or);
    }
    let seed = words.take("seed");
    let mut words = Words::default();
    let procedure = &specialiser.procedures[forms[0].procedure.0];
    let outputs = outputs(&procedure.function.results, &mut words);
    let fresh = procedure.function.fresh.iter().map(|symbol| (symbol.clone(), words.take(symbol.spoken()))).collect();
    let source = widest.source_name.clone();
    let mut name = identifier(&source);
    if RESERVED.contains(&name.as_str()) {
        name.push('_');
    }
    Ok(Method { source, name, forms, inputs, outputs, numbers, fresh, seed, doc: widest.doc.clone() })
}

/// The entry's hyperparameters.
pub fn entry_values(module: &Module) -> Values {
    module.entry.iter().flat_map(|entry| entry.args.iter().cloned()).collect()
}

fn inputs(function: &Function, hypers: &Values, words: &mut Words) -> Vec<Input> {
    let input = |(name, value): (String, &ValueId)| {
        let shared = function[*value].name.clone().unwrap_or_else(|| name.clone());
        let is_optional = function.optional.iter().any(|(own, _)| *own == shared);
        let ty = &function[*value].ty;
        let ty = ty.with_shape(ty.shape.map_dims(|dim| known(dim, hypers)));
        Input { field: words.take(&name.replace('.', "_")), name, ty, shared, is_optional }
    };
    function.input_names().into_iter().zip(&function.params).map(input).collect()
}

fn outputs(results: &[TensorType], words: &mut Words) -> Vec<Output> {
    let output = |(index, ty): (usize, &TensorType)| {
        let name = if results.len() == 1 { "output".to_string() } else { format!("output.{index}") };
        Output { field: words.take(&name.replace('.', "_")), name, ty: ty.clone() }
    };
    results.iter().enumerate().map(output).collect()
}

fn known(dim: &Dim, values: &Values) -> Dim {
    dim.substitute_symbols(&|symbol| Some(Dim::constant(values.get(symbol)?.as_int()?)))
}

/// The sizes of all inputs, over the function's own symbols.
fn sizes<'f>(function: &'f Function, hypers: &'f Values) -> impl Iterator<Item = Dim> + 'f {
    let dims = function.params.iter().flat_map(|param| &function[*param].ty.shape.dims);
    dims.map(|dim| known(dim, hypers))
}

/// The bounds of each symbol that a call brings: from shapes that were given, of inputs or dims by name.
fn open_numbers(function: &Function, hypers: &Values, options: &EmitOptions) -> BTreeMap<Symbol, Bounds> {
    let mut found: BTreeMap<Symbol, Bounds> = BTreeMap::new();
    for (symbol, kind) in &function.symbols {
        let is_size = sizes(function, hypers).any(|dim| dim.symbols().contains(symbol));
        let mut bounds = if is_size { Bounds::POSITIVE } else { Bounds::UNKNOWN };
        for (name, shape) in &options.bounds {
            if let ([size], true, HostKind::Int) = (shape.as_slice(), name == symbol.spoken(), kind) {
                bounds = bounds.and(Bounds { low: None, high: i64::try_from(*size).ok() });
            }
            for (own, param) in function.input_names().iter().zip(&function.params) {
                let dims = &function[*param].ty.shape.dims;
                let is_meant = own == name || function[*param].name.as_deref() == Some(name);
                if !is_meant || dims.len() != shape.len() {
                    continue;
                }
                for (dim, size) in dims.iter().zip(shape) {
                    bounds = bounds.and(at_most(&known(dim, hypers), symbol, *size));
                }
            }
        }
        found.insert(symbol.clone(), bounds);
    }
    found
}

/// The highest value of a symbol for which a size is not larger.
fn at_most(dim: &Dim, symbol: &Symbol, size: usize) -> Bounds {
    let Ok(size) = i64::try_from(size) else { return Bounds::UNKNOWN };
    let (factor, rest) = match linear(dim, symbol) {
        Some((factor, rest)) if factor > 0 => (factor, rest),
        _ => return Bounds::UNKNOWN,
    };
    Bounds { low: None, high: size.checked_sub(rest).map(|left| left.div_euclid(factor)) }
}

/// A size as `factor * symbol + rest`.
pub fn linear(dim: &Dim, symbol: &Symbol) -> Option<(i64, i64)> {
    let atom = Atom::Sym(symbol.clone());
    let is_own = |atoms: &[(Atom, u32)]| matches!(atoms, [(own, 1)] if *own == atom);
    let (_, factor) = dim.terms().find(|(monomial, _)| is_own(monomial))?;
    let rest = dim.sub(&Dim::atom(atom.clone()).scale(factor));
    Some((factor, rest.as_const()?))
}

fn numbers_of(function: &Function, hypers: &Values, bounds: &BTreeMap<Symbol, Bounds>) -> Numbers {
    let mut numbers: Numbers =
        hypers.iter().map(|(symbol, value)| (symbol.clone(), Number::Known(value.clone()))).collect();
    for (symbol, kind) in &function.symbols {
        let number = match kind {
            HostKind::Int => Number::Int(bounds.get(symbol).copied().unwrap_or_default()),
            HostKind::Float => Number::Float,
        };
        numbers.insert(symbol.clone(), number);
    }
    numbers
}

impl Method {
    /// The optional inputs of which a form takes each.
    pub fn given(&self, function: &Function) -> Vec<&Input> {
        let given: Vec<&str> = function.given().collect();
        self.inputs.iter().filter(|input| given.contains(&input.shared.as_str())).collect()
    }

    /// The inputs that a form takes, in its order.
    pub fn taken(&self, function: &Function) -> Vec<&Input> {
        let given: Vec<&str> = function.given().collect();
        let is_taken = |input: &&Input| !input.is_optional || given.contains(&input.shared.as_str());
        self.inputs.iter().filter(is_taken).collect()
    }

    pub fn field_of(&self, symbol: &Symbol) -> Option<&Given> {
        self.numbers.iter().find(|number| number.symbol == *symbol)
    }
}

impl Input {
    pub fn dtype(&self) -> DType {
        self.ty.dtype().unwrap_or(DType::Float32)
    }
}

impl Output {
    pub fn dtype(&self) -> DType {
        self.ty.dtype().unwrap_or(DType::Float32)
    }
}
