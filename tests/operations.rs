//! Every operation, executed on every target: what is written for it against the registry's own evaluation.
//!
//! `tests/operations.txt` has the uses, one a line, each of which becomes a program of its own. A target may refuse a
//! line for its element types, but there must be a line for each operation that it does not refuse.

mod support;

use libtest_mimic::{Arguments, Trial};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use support::executors::{self, Shared, Trouble};
use support::trials::finish;
use support::{with_deep_stack, written};
use tritonc::ir::{self, InstKind, Verified};
use tritonc::ops::{self, Attr, Default, EvalCx, RuleCx};
use tritonc::targets::{self, Templates, Writer};
use tritonc::types::{DType, Dim, Facts, HostExpr, Tensor, TensorType};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// A line of the list, as a program.
struct Use {
    line: String,
    op: &'static str,
    module: Verified,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let text = std::fs::read_to_string(support::root().join("tests/operations.txt")).expect("the list of uses");
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let uses: Arc<Vec<Use>> = Arc::new(lines.map(|line| with_deep_stack(|| program(line))).collect());
    let own = uses.clone();
    let mut trials = vec![Trial::test("every operation is used", move || every_operation_is_used(&own))];
    for target in executors::executed_targets() {
        let uses = uses.clone();
        trials.push(Trial::ignorable_test(target, move || finish(with_deep_stack(|| try_target(target, &uses)))));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    executors::stop();
    conclusion.exit_code()
}

fn missing(used: &BTreeSet<&str>) -> Vec<&'static str> {
    ops::all().map(|op| op.name()).filter(|name| !used.contains(name)).collect()
}

fn every_operation_is_used(uses: &[Use]) -> Result<(), libtest_mimic::Failed> {
    match missing(&uses.iter().map(|one| one.op).collect()).as_slice() {
        [] => Ok(()),
        names => Err(format!("tests/operations.txt has no line for {}", names.join(", ")).into()),
    }
}

/// Executes every use; what differs is told line by line.
fn try_target(name: &str, uses: &[Use]) -> Result<(), Trouble> {
    let mut executor = Shared::of(name)?;
    let target = targets::find(name).ok_or_else(|| Trouble::Failed("there is no such target".to_string()))?;
    let writer = target.writer(&Templates::builtin()).map_err(|errors| Trouble::Failed(format!("{errors:?}")))?;
    let folder = tempfile::tempdir().map_err(|error| Trouble::Failed(error.to_string()))?;
    let (mut executed, mut problems) = (BTreeSet::new(), vec![]);
    for one in uses {
        match try_use(one, writer.as_ref(), &mut executor, folder.path()) {
            Ok(()) => drop(executed.insert(one.op)),
            Err(Trouble::Refused(_)) => {}
            Err(Trouble::Failed(why) | Trouble::Missing(why)) => {
                problems.push(format!("{}\n    {}", one.line, why.trim_end().replace('\n', "\n    ")));
            }
        }
    }
    let failed: BTreeSet<&str> = uses.iter().map(|one| one.op).filter(|op| !executed.contains(op)).collect();
    if !failed.is_empty() {
        problems.push(format!("no line is right for {}", failed.into_iter().collect::<Vec<_>>().join(", ")));
    }
    if problems.is_empty() { Ok(()) } else { Err(Trouble::Failed(problems.join("\n"))) }
}

fn try_use(one: &Use, writer: &dyn Writer, executor: &mut Shared, folder: &Path) -> Result<(), Trouble> {
    let files = written::write(&one.module, writer, folder)?;
    let inputs = NAMES.iter().map(|name| name.to_string()).zip(one.inputs.iter().cloned().map(Some));
    let inputs: Vec<(String, Option<Tensor>)> = inputs.collect();
    let executed = written::execute(executor, &written::job(&files, folder, &inputs))?;
    written::agree(&one.module, &executed.outputs, &one.outputs)
}

/// The program of a line such as `%0 = sum %a {axis = 1} | float32[2, 3]`: default attributes and types of results are
/// filled in.
fn program(line: &str) -> Use {
    let (code, types) = line.split_once('|').unwrap_or((line, ""));
    let types = types.split(';').map(str::trim).filter(|ty| !ty.is_empty());
    let params: Vec<String> = NAMES.iter().zip(types).map(|(name, ty)| format!("%{name}: {ty}")).collect();
    let results = code.split('=').next().unwrap_or("").trim();
    // The right ones come from the operation's rule.
    let types = vec!["float32"; results.split(',').count()].join(", ");
    let text = format!(
        "entry use = Use()\n\nlayer Use() {{\n  method @Use.forward\n}}\n\nfunc @Use.forward({}) -> ({types}) {{\n  \
         exported\n  {} : {types}\n  return {results}\n}}\n",
        params.join(", "),
        code.trim()
    );
    let mut module = ir::reader::read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let function = &mut module.functions[0];
    let index = function.body.insts[0];
    let types: Vec<TensorType> = function.params.iter().map(|value| function[*value].ty.clone()).collect();
    let mut inst = function[index].clone();
    let InstKind::Op { op, attrs } = &mut inst.kind else { panic!("{line}") };
    for param in op.get().params.iter().filter(|param| !param.is_operand()) {
        if attrs.get(param.name).is_none() {
            attrs.set(param.name, default(param.default));
        }
    }
    let facts = Facts::default();
    let mut fresh = || Dim::unknown(0);
    let mut cx = RuleCx::new(op.get(), &types, attrs, &facts, &mut fresh);
    let results = (op.get().rule)(&mut cx).unwrap_or_else(|stop| panic!("{line}: {stop:?}"));
    let operands = op.get().params.iter().filter(|param| param.is_operand());
    let is_scale: Vec<bool> = operands.map(|param| param.name == "s").collect();
    let input = |(index, ty)| if is_scale.get(index) == Some(&true) { scales(ty) } else { data(ty, index) };
    let inputs: Vec<Tensor> = types.iter().enumerate().map(input).collect();
    let outputs = (op.get().eval)(&EvalCx { op: op.get(), operands: &inputs, attrs });
    let outputs = outputs.unwrap_or_else(|error| panic!("{line}: {error:?}"));
    let op = op.name();
    for (value, ty) in inst.results.clone().into_iter().zip(&results) {
        function[value].ty = ty.clone();
    }
    function.results = results;
    function[index] = inst;
    let module = ir::verify(module).unwrap_or_else(|error| panic!("{line}: {error:?}"));
    Use { line: line.to_string(), op, module, inputs, outputs }
}

fn default(value: Default) -> Attr {
    match value {
        Default::Required | Default::None => Attr::None,
        Default::Int(value) => Attr::int(value),
        Default::Float(value) => Attr::Float(HostExpr::float(value)),
        Default::Bool(value) => Attr::Bool(value),
        Default::Off => Attr::Bool(false),
        Default::Str(value) => Attr::Str(value.into()),
    }
}

/// Numbers that look random: halves and quarters keep sums exact, and some are negative.
fn data(ty: &TensorType, seed: usize) -> Tensor {
    let size = |dim: &Dim| dim.as_const().unwrap_or_else(|| panic!("{dim} is no number")) as usize;
    let shape: Vec<usize> = ty.shape.dims.iter().map(size).collect();
    let count: usize = shape.iter().product();
    let dtype = ty.dtype().unwrap_or(DType::Float32);
    let number = |i: usize| ((i * 7919 + seed * 104_729 + 13) % 97) as f64;
    let values = (0..count).map(|i| match dtype {
        DType::Bool => number(i) % 2.0,
        DType::Trit => number(i) % 3.0 - 1.0,
        dtype if dtype.is_float() => number(i) / 32.0 - 1.4,
        DType::Int64 | DType::Int32 if seed > 0 => number(i) % 2.0,
        DType::UInt8 => number(i) % 7.0 + 1.0,
        _ => number(i) % 9.0 - 4.0,
    });
    Tensor::from_f64(dtype, shape, values)
}

/// Those of quantised values are positive.
fn scales(ty: &TensorType) -> Tensor {
    let drawn = data(ty, 1);
    let positive: Vec<f64> = drawn.to_f64().into_iter().map(|value| value.abs() + 0.0625).collect();
    Tensor::from_f64(drawn.dtype(), drawn.shape().to_vec(), positive)
}
