//! `build --metadata`: what there is to tell of a build, as JSON for other programs. docs/metadata.md describes it.
//!
//! A size is a number where it is known and else an expression of dims, as Tri writes it. `--shape` and the entry's
//! hyperparameters are put in.

use crate::base::Diagnostic;
use crate::driver::inspect::Row;
use crate::driver::optimise::PassReports;
use crate::driver::pipeline::entry_expr;
use crate::driver::{Artifact, BuildRequest, Mode, model};
use crate::ir::cost::{Cost, Costs};
use crate::ir::substitute::Substitution;
use crate::ir::{FuncId, Function, Module, Role, Verified, printer};
use crate::passes::PassReport;
use crate::targets;
use crate::types::{DType, Dim, HostExpr, Symbol, TensorType};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The text of the file. `dims` are the sizes that are known.
pub fn of(
    module: &Verified,
    request: &BuildRequest,
    dims: &BTreeMap<Symbol, i64>,
    artifacts: &[Artifact],
    passes: &[PassReports],
) -> Result<String, Diagnostic> {
    let known = Known::new(module, dims);
    let forward = model::signature(module, None, &|_| true)?.method;
    let function = &module[forward];
    let (parameters, stored) = parameters(module, request.entry.mode)?;
    let mut costs = Costs::new(module);
    let Cost { flops, notes } = costs.of(forward);
    let inputs: Vec<TensorType> = function.params.iter().map(|param| known.ty(&function[*param].ty)).collect();
    let outputs: Vec<TensorType> = function.results.iter().map(|ty| known.ty(ty)).collect();
    let sum = |types: &[TensorType]| types.iter().try_fold(Dim::zero(), |sum, ty| Some(sum.add(&bytes(ty)?)));
    let (stored, of_inputs, of_outputs) = (Some(Dim::constant(stored)), sum(&inputs), sum(&outputs));
    let all = [&stored, &of_inputs, &of_outputs];
    let total = all.into_iter().try_fold(Dim::zero(), |total, part| Some(total.add(part.as_ref()?)));
    let named = named_types(function, &known);
    let shapes: Map<String, Value> = named.iter().map(|(name, ty)| (name.clone(), shape(ty))).collect();
    let types: Map<String, Value> = named.iter().map(|(name, ty)| (name.clone(), json!(ty.to_string()))).collect();
    let told = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "entry": module.entry.as_ref().map(|entry| entry_expr(module, entry)),
        "mode": match request.entry.mode { Mode::Train => "train", Mode::Infer => "infer" },
        "targets": request.targets,
        "code": code(artifacts),
        "ir": printer::print(module),
        "optimizations_applied": passes.iter().flat_map(applied).collect::<Vec<_>>(),
        "imports": packages(&request.targets),
        "functions": functions(module, &mut costs, &known),
        "parameters": parameters,
        "shapes": shapes,
        "types": types,
        "flops": size(flops.map(|flops| known.dim(&flops))),
        "bytes": size(total),
        "bytes_by_part": { "parameters": size(stored), "inputs": size(of_inputs), "outputs": size(of_outputs) },
        "notes": notes,
    });
    Ok(format!("{told:#}\n"))
}

/// What symbols are.
struct Known {
    /// Of a method of the entry.
    entry: Substitution,
}

impl Known {
    fn new(module: &Module, dims: &BTreeMap<Symbol, i64>) -> Known {
        let args = module.entry.iter().flat_map(|entry| &entry.args);
        let ints = args.filter_map(|(name, value)| Some((name.clone(), HostExpr::int(value.as_int()?))));
        let given = dims.iter().map(|(name, size)| (name.clone(), HostExpr::int(*size)));
        Known { entry: Substitution::new(ints.chain(given)) }
    }

    fn dim(&self, dim: &Dim) -> Dim {
        self.entry.dim(dim)
    }

    fn ty(&self, ty: &TensorType) -> TensorType {
        self.entry.ty(ty)
    }
}

/// Files that are text, by path.
fn code(artifacts: &[Artifact]) -> Map<String, Value> {
    let text = |artifact: &Artifact| String::from_utf8(artifact.bytes.clone()).ok().filter(|_| !is_weights(artifact));
    artifacts.iter().filter_map(|artifact| Some((artifact.path.clone(), json!(text(artifact)?)))).collect()
}

fn is_weights(artifact: &Artifact) -> bool {
    artifact.path.ends_with(".safetensors")
}

/// `fold: folded 12`, for passes that changed something.
fn applied(form: &PassReports) -> Vec<String> {
    let prefix = if form.form.is_empty() { String::new() } else { format!("{}: ", form.form) };
    let changed = form.passes.iter().filter(|pass| !pass.counters.is_empty());
    changed.map(|pass: &PassReport| format!("{prefix}{}: {}", pass.pass, pass.changes())).collect()
}

fn packages(names: &[String]) -> BTreeSet<&'static str> {
    let targets = names.iter().filter_map(|name| targets::find(name));
    targets.flat_map(|target| target.packages().iter().copied()).collect()
}

/// Every function, in the order of the IR. What is a method of the entry has the sizes that are known put in.
fn functions(module: &Module, costs: &mut Costs<'_>, known: &Known) -> Vec<Value> {
    let entry = module.entry.as_ref().map(|entry| entry.layer);
    let mut told = vec![];
    for (index, function) in module.functions.iter().enumerate() {
        let is_entry = function.layer.is_some() && function.layer == entry;
        let ty = |ty: &TensorType| if is_entry { known.ty(ty).to_string() } else { ty.to_string() };
        let input = |param: &crate::ir::ValueId| {
            let value = &function[*param];
            json!({ "name": value.name, "type": ty(&value.ty) })
        };
        let flops = costs.of(FuncId(index as u32)).flops;
        told.push(json!({
            "name": function.name,
            "exported": function.exported,
            "inputs": function.params.iter().map(input).collect::<Vec<_>>(),
            "outputs": function.results.iter().map(ty).collect::<Vec<_>>(),
            "flops": size(flops.map(|flops| if is_entry { known.dim(&flops) } else { flops })),
        }));
    }
    told
}

/// What a weights file for the model holds, and its size in bytes, packed for inference.
fn parameters(module: &Module, mode: Mode) -> Result<(Vec<Value>, i64), Diagnostic> {
    let mut total = 0i64;
    let mut told = vec![];
    for stored in model::stored(module)? {
        let expected = &stored.expected;
        let row = Row::of(&expected.name, expected.dtype, &expected.shape, expected.scheme.as_ref());
        let bytes = if mode == Mode::Infer { row.after } else { row.before };
        total = total.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
        let role = match stored.role {
            Role::Param => "param",
            Role::Buffer => "buffer",
            Role::State | Role::Transient => "state",
        };
        told.push(json!({
            "name": expected.name,
            "role": role,
            "shape": expected.shape,
            "dtype": expected.dtype.name(),
            "scheme": expected.scheme.as_ref().map(ToString::to_string),
            "bytes": bytes,
        }));
    }
    Ok((told, total))
}

/// Inputs and results by name, and what has a name in the source; of several of one name, the second is `y#2`.
fn named_types(function: &Function, known: &Known) -> Vec<(String, TensorType)> {
    let mut found: Vec<(String, TensorType)> = vec![];
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    // What is computed in loops and branches has no one value.
    let defined = function.body.insts.iter().flat_map(|id| &function[*id].results);
    for value in function.params.iter().chain(defined) {
        let Some(name) = function[*value].name.as_deref() else { continue };
        let count = counts.entry(name).or_default();
        *count += 1;
        let name = if *count > 1 { format!("{name}#{count}") } else { name.to_string() };
        found.push((name, known.ty(&function[*value].ty)));
    }
    let several = function.results.len() > 1;
    let results = function.results.iter().enumerate();
    found.extend(results.map(|(index, ty)| {
        let name = if several { format!("output.{index}") } else { "output".to_string() };
        (name, known.ty(ty))
    }));
    found
}

fn shape(ty: &TensorType) -> Value {
    ty.shape.known().map_or(Value::Null, |dims| dims.iter().map(|dim| size(Some(dim.clone()))).collect())
}

/// A number, an expression, or null.
fn size(dim: Option<Dim>) -> Value {
    dim.map_or(Value::Null, |dim| dim.as_const().map_or_else(|| json!(dim.to_string()), |number| json!(number)))
}

/// Elements of fewer than eight bits take a byte each, as they do where they are not packed.
fn bytes(ty: &TensorType) -> Option<Dim> {
    let each = ty.dtype().unwrap_or(DType::Float32).bits().div_ceil(8);
    Some(ty.shape.elements()?.scale(i64::from(each)))
}
