//! Every operation, executed: what the emitted expression gives against the registry's own evaluation.
//!
//! Needs a Python with torch, named by `TRITONC_PYTHON`; so it is ignored unless it is asked for, as `./test` does.

use crate::ir::{self, InstKind, Module};
use crate::ops::{self, Attr, Default, EvalCx, RuleCx};
use crate::targets::{self, EmitOptions, Templates};
use crate::types::tensor::Data;
use crate::types::{DType, Dim, Facts, HostExpr, Tensor, TensorType};
use std::process::Command;

/// Operands and attributes, one use a line: results = op operands {attributes}.
const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/targets/pytorch/cases.txt");

struct Case {
    text: String,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

/// `%0 = sum %x {axis = 1}` with the types of the operands behind a bar.
fn function(index: usize, case: &str) -> String {
    let (code, types) = case.split_once('|').unwrap_or((case, ""));
    let params: Vec<String> = types
        .split(';')
        .filter(|t| !t.trim().is_empty())
        .enumerate()
        .map(|(i, ty)| format!("%{}: {}", ["a", "b", "c", "d"][i], ty.trim()))
        .collect();
    let results = code.split('=').next().unwrap_or("").trim();
    let count = results.split(',').count();
    let types = vec!["float32"; count].join(", ");
    format!(
        "func @Ops.case{index}({}) -> ({types}) {{\n  exported\n  {} : {types}\n  return {results}\n}}\n",
        params.join(", "),
        code.trim()
    )
}

fn default(value: Default) -> Attr {
    match value {
        Default::Required | Default::None => Attr::None,
        Default::Int(v) => Attr::int(v),
        Default::Float(v) => Attr::Float(HostExpr::float(v)),
        Default::Bool(v) => Attr::Bool(v),
        Default::Off => Attr::Bool(false),
        Default::Str(v) => Attr::Str(v.into()),
    }
}

/// Numbers that look random: halves and quarters keep sums exact, and some are negative.
fn data(ty: &TensorType, seed: usize) -> Tensor {
    let shape: Vec<usize> = ty.shape.dims.iter().map(|d| d.as_const().unwrap() as usize).collect();
    let count: usize = shape.iter().product();
    let dtype = ty.dtype().unwrap();
    let number = |i: usize| ((i * 7919 + seed * 104_729 + 13) % 97) as f64;
    let values = (0..count).map(|i| match dtype {
        DType::Bool => number(i) % 2.0,
        DType::Trit => number(i) % 3.0 - 1.0,
        d if d.is_float() => number(i) / 32.0 - 1.4,
        DType::Int64 | DType::Int32 if seed > 0 => number(i) % 2.0,
        DType::UInt8 => number(i) % 7.0 + 1.0,
        _ => number(i) % 9.0 - 4.0,
    });
    Tensor::from_f64(dtype, shape, values)
}

fn scales(ty: &TensorType) -> Tensor {
    let positive = data(ty, 1).to_f64().into_iter().map(|value| value.abs() + 0.0625);
    Tensor::from_f64(ty.dtype().unwrap(), data(ty, 1).shape().to_vec(), positive)
}

/// Fills in default attributes and result types, and evaluates each case.
fn complete(module: &mut Module) -> Vec<Case> {
    let mut cases = vec![];
    for function in &mut module.functions {
        let index = function.body.insts[0];
        let types: Vec<TensorType> = function.params.iter().map(|v| function[*v].ty.clone()).collect();
        let mut inst = function[index].clone();
        let InstKind::Op { op, attrs } = &mut inst.kind else { panic!("{}", function.name) };
        for param in op.get().params.iter().filter(|p| !p.is_operand()) {
            if attrs.get(param.name).is_none() {
                attrs.set(param.name, default(param.default));
            }
        }
        let facts = Facts::default();
        let mut fresh = || Dim::unknown(0);
        let mut cx = RuleCx::new(op.get(), &types, attrs, &facts, &mut fresh);
        let results = (op.get().rule)(&mut cx).unwrap_or_else(|stop| panic!("{}: {stop:?}", op.name()));
        // Scales are positive.
        let is_scale =
            |i: usize| op.get().params.iter().filter(|p| p.is_operand()).nth(i).is_some_and(|p| p.name == "s");
        let input = |(i, ty): (usize, &TensorType)| if is_scale(i) { scales(ty) } else { data(ty, i) };
        let inputs: Vec<Tensor> = types.iter().enumerate().map(input).collect();
        let cx = EvalCx { op: op.get(), operands: &inputs, attrs };
        let outputs = (op.get().eval)(&cx).unwrap_or_else(|error| panic!("{}: {error:?}", op.name()));
        let values = inst.results.clone();
        for (value, ty) in values.iter().zip(&results) {
            function[*value].ty = ty.clone();
        }
        function.results = results;
        cases.push(Case { text: format!("{} {attrs:?}", op.name()), inputs, outputs });
        function[index] = inst;
    }
    cases
}

fn json(tensor: &Tensor) -> String {
    let text = |v: f64| match v {
        v if v.is_nan() => "NaN".to_string(),
        v if v.is_infinite() => {
            if v > 0.0 {
                "Infinity".into()
            } else {
                "-Infinity".to_string()
            }
        }
        v => format!("{v:?}"),
    };
    let values: Vec<String> = match tensor.data() {
        Data::I64(values) => values.iter().map(i64::to_string).collect(),
        _ => tensor.to_f64().into_iter().map(text).collect(),
    };
    let dtype = match tensor.dtype() {
        DType::Trit | DType::Int4 => DType::Int8,
        other => other,
    };
    format!("[\"{dtype}\", {:?}, [{}]]", tensor.shape(), values.join(", "))
}

#[test]
#[ignore = "needs a Python with torch: ./test runs it"]
fn operations_agree_with_the_registry() {
    let python = std::env::var("TRITONC_PYTHON").unwrap_or_else(|_| "python3".into());
    let cases = std::fs::read_to_string(CASES).unwrap();
    let lines: Vec<&str> = cases.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')).collect();
    let methods: String = (0..lines.len()).map(|i| format!("  method @Ops.case{i}\n")).collect();
    let functions: String = lines.iter().enumerate().map(|(i, line)| function(i, line)).collect();
    let text = format!("entry ops = Ops()\n\nlayer Ops() {{\n{methods}}}\n\n{functions}");
    let mut module = ir::reader::read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let cases = complete(&mut module);
    let module = ir::verify(module).unwrap_or_else(|error| panic!("{error:?}"));
    let files = targets::find("pytorch").unwrap().emit(&module, &EmitOptions::default(), &Templates::builtin());
    let files = files.unwrap_or_else(|error| panic!("{error:#?}"));
    let list = |tensors: &[Tensor]| format!("[{}]", tensors.iter().map(json).collect::<Vec<_>>().join(", "));
    let all: Vec<String> =
        cases.iter().map(|c| format!("[{:?}, {}, {}]", c.text, list(&c.inputs), list(&c.outputs))).collect();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.py"), files[0].contents.as_bytes()).unwrap();
    std::fs::write(folder.path().join("cases.json"), format!("[{}]", all.join(",\n"))).unwrap();
    std::fs::write(folder.path().join("check.py"), include_str!("check.py")).unwrap();
    let output = Command::new(&python).arg("check.py").current_dir(folder.path()).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    // What no case exercises is named here, so that a new operation is not forgotten.
    let covered: Vec<&str> = module
        .functions
        .iter()
        .filter_map(|f| match &f[f.body.insts[0]].kind {
            InstKind::Op { op, .. } => Some(op.name()),
            _ => None,
        })
        .collect();
    let missing: Vec<&str> = ops::all().map(|op| op.name()).filter(|name| !covered.contains(name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}
