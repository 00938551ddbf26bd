//! Helpers for the tests of operations: types as text in, types as text out.

use crate::ops::{Attrs, EvalCx, EvalError, ObligationKind, OpError, RuleCx, Stop, find};
use crate::types::shape::Pack;
use crate::types::{Bound, DType, Dim, Elem, Facts, Shape, Symbol, Tensor, TensorType};

/// Reads `float32[B, ...S, 3, ?]`; `T` alone is a type variable bound to `num`, `A` to `any`.
pub fn ty(text: &str) -> TensorType {
    let (elem, dims) = text.split_once('[').unwrap_or((text, "]"));
    let elem = match DType::parse(elem) {
        Some(dtype) => Elem::Known(dtype),
        None => Elem::Var(Symbol::new(elem), if elem == "A" { Bound::Any } else { Bound::Num }),
    };
    TensorType::new(elem, shape(dims.trim_end_matches(']')))
}

/// Reads the inside of the brackets.
pub fn shape(text: &str) -> Shape {
    let mut shape = Shape::scalar();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match part.strip_prefix("...") {
            Some("") => shape.pack = Some((shape.dims.len(), Pack::Unknown)),
            Some(name) => shape.pack = Some((shape.dims.len(), Pack::Named(Symbol::new(name)))),
            None if part == "?" => shape.dims.push(Dim::unknown(7)),
            None => shape.dims.push(part.parse().map_or_else(|_| Dim::symbol(part), Dim::constant)),
        }
    }
    shape
}

/// Runs a rule under facts. Result types joined by `, `; obligations follow as `| a == b`.
/// What is not known is marked with `~`.
pub fn rule_under(facts: &Facts, op: &str, operands: &[&str], attrs: Attrs) -> Result<String, OpError> {
    let operands: Vec<TensorType> = operands.iter().map(|text| ty(text)).collect();
    let mut fresh = || Dim::unknown(99);
    let op = find(op).unwrap_or_else(|| panic!("no operation {op}")).get();
    let mut cx = RuleCx::new(op, &operands, &attrs, facts, &mut fresh);
    let text = |types: &[TensorType]| types.iter().map(TensorType::to_string).collect::<Vec<_>>().join(", ");
    let mut result = match (op.rule)(&mut cx) {
        Ok(types) => text(&types),
        Err(Stop::Unknown(types)) => format!("~{}", text(&types)),
        Err(Stop::Error(error)) => return Err(*error),
    };
    for obligation in &cx.obligations {
        result += &match &obligation.kind {
            ObligationKind::Equal(a, b) => format!(" | {a} == {b}"),
            ObligationKind::Broadcast(a, b) => format!(" | {a} ~ {b}"),
            ObligationKind::AtLeast(a, b) => format!(" | {a} >= {b}"),
        };
    }
    Ok(result)
}

/// The result types of a rule without facts.
pub fn rule(op: &str, operands: &[&str], attrs: Attrs) -> String {
    rule_under(&Facts::default(), op, operands, attrs).unwrap_or_else(|error| panic!("{}", error.message))
}

/// The error of a rule, as `code message`, notes after it.
pub fn rule_error(op: &str, operands: &[&str], attrs: Attrs) -> String {
    match rule_under(&Facts::default(), op, operands, attrs) {
        Ok(types) => panic!("expected an error, got {types}"),
        Err(error) => {
            let notes: String = error.notes.iter().map(|note| format!("; {note}")).collect();
            format!("{} {}{notes}", error.code, error.message)
        }
    }
}

/// Evaluates an operation.
pub fn eval(op: &str, operands: &[Tensor], attrs: Attrs) -> Result<Vec<Tensor>, EvalError> {
    let op = find(op).unwrap_or_else(|| panic!("no operation {op}")).get();
    (op.eval)(&EvalCx { op, operands, attrs: &attrs })
}

/// The only result of an operation that must succeed.
pub fn eval_one(op: &str, operands: &[Tensor], attrs: Attrs) -> Tensor {
    let mut results = eval(op, operands, attrs).unwrap_or_else(|error| panic!("{}", error.0));
    assert_eq!(results.len(), 1);
    results.remove(0)
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
