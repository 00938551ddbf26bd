//! Helpers for the tests of operations: types written as text, calls with default attributes filled in,
//! reproducible data.

use crate::ops::{
    self, Attr, Attrs, EvalCx, EvalError, Obligation, ObligationKind, Op, OpError, ParamKind, RuleCx, Stop,
};
use crate::types::{Bound, DType, Dim, Elem, Facts, Pack, Shape, Symbol, Tensor, TensorType};

/// A dim from sums and differences of names and numbers: `H - 1`, `n`, `3`, `?`.
pub fn dim(text: &str) -> Dim {
    let mut sum = Dim::zero();
    let mut sign = 1;
    for part in text.split_whitespace() {
        match part {
            "+" => sign = 1,
            "-" => sign = -1,
            "?" => sum = sum.add(&Dim::unknown(77).scale(sign)),
            _ => {
                let term = part.split('*').fold(Dim::constant(1), |product, factor| {
                    product.mul(&factor.parse().map_or_else(|_| Dim::symbol(factor), Dim::constant))
                });
                sum = sum.add(&term.scale(sign));
            }
        }
    }
    sum
}

/// `B, ...S, 3`; `...` alone is the pack of unknown dims.
pub fn shape(text: &str) -> Shape {
    let mut dims = vec![];
    let mut pack = None;
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match part.strip_prefix("...") {
            Some("") => pack = Some((dims.len(), Pack::Unknown)),
            Some(name) => pack = Some((dims.len(), Pack::Named(Symbol::new(name)))),
            None => dims.push(dim(part)),
        }
    }
    Shape { dims, pack }
}

/// `float32[B, ...S, 3]`; `T` stands for any numbers, `A` for anything, another name for floats.
pub fn ty(text: &str) -> TensorType {
    let (elem, dims) = text.split_once('[').unwrap_or((text, "]"));
    let bound = match elem {
        "A" => Bound::Any,
        "T" => Bound::Num,
        _ => Bound::Float,
    };
    let elem = DType::parse(elem).map_or_else(|| Elem::Var(Symbol::new(elem), bound), Elem::Known);
    TensorType::new(elem, shape(dims.trim_end_matches(']')))
}

pub fn op(name: &str) -> &'static Op {
    ops::builtin(name).get()
}

/// The attributes, and the defaults of those not given.
pub fn with_defaults(op: &Op, given: &Attrs) -> Attrs {
    op.with_defaults(given)
}

/// The facts, and that every size of the call is at least 1, as in programs.
fn with_positive_sizes(facts: &Facts, operands: &[TensorType], attrs: &Attrs, op: &Op) -> Facts {
    let mut facts = facts.clone();
    let mut dims: Vec<Dim> = operands.iter().flat_map(|ty| ty.shape.dims.clone()).collect();
    for param in op.params {
        match attrs.get(param.name) {
            Some(Attr::Int(dim)) => dims.push(dim.clone()),
            Some(Attr::Ints(list)) => dims.extend(list.iter().cloned()),
            Some(Attr::Shape(shape)) => dims.extend(shape.dims.iter().cloned()),
            _ => {}
        }
    }
    dims.iter().flat_map(Dim::symbols).for_each(|symbol| facts.assume_positive(&symbol));
    facts
}

/// Runs a rule under facts.
pub fn rule_under(
    facts: &Facts,
    name: &str,
    operands: &[&str],
    attrs: Attrs,
) -> Result<(Vec<TensorType>, Vec<Obligation>), Stop> {
    let op = op(name);
    let operands: Vec<TensorType> = operands.iter().map(|text| ty(text)).collect();
    let attrs = with_defaults(op, &attrs);
    let facts = with_positive_sizes(facts, &operands, &attrs, op);
    let mut next = 1000;
    let mut fresh = || {
        next += 1;
        Dim::unknown(next)
    };
    let mut cx = RuleCx::new(op, &operands, &attrs, &facts, &mut fresh);
    let results = (op.rule)(&mut cx)?;
    Ok((results, cx.obligations))
}

/// The result types with `, ` between them, then what is left to be checked, as `| a == b`. What is not
/// known is marked with `~`.
pub fn rule(name: &str, operands: &[&str], attrs: Attrs) -> String {
    let (mut text, obligations) = match rule_under(&Facts::default(), name, operands, attrs) {
        Ok((results, obligations)) => (join(&results), obligations),
        Err(Stop::Unknown(results)) => (format!("~{}", join(&results)), vec![]),
        Err(Stop::Error(error)) => panic!("{} {}", error.code, error.message),
    };
    for obligation in obligations {
        text += &match obligation.kind {
            ObligationKind::Equal(a, b) => format!(" | {a} == {b}"),
            ObligationKind::Broadcast(a, b) => format!(" | {a} ~ {b}"),
            ObligationKind::AtLeast(a, b) => format!(" | {a} >= {b}"),
        };
    }
    text
}

/// The result types alone, and how much is left to be checked.
pub fn open_rule(name: &str, operands: &[&str], attrs: Attrs) -> (String, usize) {
    let text = rule(name, operands, attrs);
    let mut parts = text.split(" | ");
    let types = parts.next().unwrap_or_default().to_string();
    (types, parts.count())
}

/// The error of a rule that must fail.
pub fn error(name: &str, operands: &[&str], attrs: Attrs) -> OpError {
    match rule_under(&Facts::default(), name, operands, attrs) {
        Err(Stop::Error(error)) => *error,
        other => panic!("expected an error, got {other:?}"),
    }
}

/// The same as `code message`, notes after it.
pub fn rule_error(name: &str, operands: &[&str], attrs: Attrs) -> String {
    let error = error(name, operands, attrs);
    let notes: String = error.notes.iter().map(|note| format!("; {note}")).collect();
    format!("{} {}{notes}", error.code, error.message)
}

fn join(types: &[TensorType]) -> String {
    types.iter().map(TensorType::to_string).collect::<Vec<_>>().join(", ")
}

/// Evaluates, and compares the results with what the rule foresees. What the rule refuses must fail.
pub fn try_eval(name: &str, operands: impl AsRef<[Tensor]>, attrs: Attrs) -> Result<Vec<Tensor>, EvalError> {
    let (op, operands) = (op(name), operands.as_ref());
    let attrs = with_defaults(op, &attrs);
    let types: Vec<TensorType> = operands.iter().map(type_of).collect();
    let facts = Facts::default();
    let mut fresh = || Dim::unknown(0);
    let mut cx = RuleCx::new(op, &types, &attrs, &facts, &mut fresh);
    let expected = (op.rule)(&mut cx);
    let results = (op.eval)(&EvalCx { op, operands, attrs: &attrs })?;
    match expected {
        Ok(expected) => {
            let found: Vec<TensorType> = results.iter().map(type_of).collect();
            assert_eq!(found, expected, "{name}: evaluation and rule must agree");
        }
        Err(stop) => panic!("{name}: the rule refuses what is evaluated: {stop:?}"),
    }
    Ok(results)
}

fn type_of(tensor: &Tensor) -> TensorType {
    TensorType::new(tensor.dtype(), Shape::of(tensor.shape()))
}

/// The first result of an operation that must succeed.
pub fn eval(name: &str, operands: impl AsRef<[Tensor]>, attrs: Attrs) -> Tensor {
    match try_eval(name, operands, attrs) {
        Ok(mut results) => results.swap_remove(0),
        Err(error) => panic!("{}", error.0),
    }
}

/// [`eval`] of one operand.
pub fn eval_one(name: &str, x: &Tensor, attrs: Attrs) -> Tensor {
    eval(name, std::slice::from_ref(x), attrs)
}

pub fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_f32(shape.to_vec(), values.to_vec())
}

pub fn ints(shape: &[usize], values: &[i64]) -> Tensor {
    Tensor::from_i64(DType::Int64, shape.to_vec(), values.to_vec())
}

/// 0, 1, 2, ... in an `int64` tensor.
pub fn iota(shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>() as i64;
    ints(shape, &(0..count).collect::<Vec<_>>())
}

/// Reproducible numbers, small multiples of 1/8 so that sums in `f32` are exact in any order.
pub fn random(seed: u64, dtype: DType, shape: &[usize]) -> Tensor {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let count = shape.iter().product();
    let values = (0..count).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let small = ((state >> 33) % 31) as f64 - 15.0;
        match dtype {
            DType::Trit => f64::from(small as i32 % 2),
            DType::Int4 => f64::from(small as i32 % 8),
            _ if dtype.is_float() => small / 8.0,
            _ => small,
        }
    });
    let values: Vec<f64> = values.collect();
    Tensor::from_f64(dtype, shape.to_vec(), values)
}

/// A vector of the given element type.
pub fn vector(dtype: DType, values: &[f64]) -> Tensor {
    tensor(dtype, &[values.len()], values)
}

pub fn tensor(dtype: DType, shape: &[usize], values: &[f64]) -> Tensor {
    Tensor::from_f64(dtype, shape.to_vec(), values.iter().copied())
}

/// Whether two lists of doubles are the same, NaN being equal to itself and 0.0 to -0.0.
pub fn same(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x == y || x.is_nan() && y.is_nan())
}

/// What the rest of the compiler relies on, for every operation of every family.
#[test]
fn the_registry_is_sound() {
    for id in ops::all() {
        let op = id.get();
        assert_eq!(ops::find(op.name), Some(id), "{} is registered twice", op.name);
        let summary = op.doc.lines().next().unwrap_or("");
        assert!(summary.ends_with('.') && summary.len() < 110, "{}: summary {summary:?}", op.name);
        let kinds: Vec<ParamKind> = op.params.iter().filter(|p| p.is_operand()).map(|p| p.kind).collect();
        let open = kinds.iter().position(|kind| *kind != ParamKind::Tensor);
        assert!(open.is_none_or(|at| at + 1 == kinds.len()), "{}: only the last operand may vary", op.name);
        for (index, param) in op.params.iter().enumerate() {
            assert!(op.params[..index].iter().all(|p| p.name != param.name), "{}: {} twice", op.name, param.name);
        }
    }
}
