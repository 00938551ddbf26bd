//! Helpers for the tests of operations: types written as text, calls with default attributes filled in,
//! reproducible data.

use crate::ops::{self, Attr, Attrs, Default, EvalCx, EvalError, Obligation, Op, OpError, RuleCx, Stop};
use crate::types::{DType, Dim, Elem, Facts, HostExpr, Pack, Shape, Symbol, Tensor, TensorType};

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

/// `float32[B, ...S, 3]`; an unknown name of an element type is a float type variable.
pub fn ty(text: &str) -> TensorType {
    let (elem, dims) = text.split_once('[').unwrap_or((text, "]"));
    let elem = DType::parse(elem).map_or_else(|| Elem::Var(Symbol::new(elem), crate::types::Bound::Float), Elem::Known);
    TensorType::new(elem, shape(dims.trim_end_matches(']')))
}

pub fn op(name: &str) -> &'static Op {
    ops::builtin(name).get()
}

/// The attributes, and the defaults of those not given.
pub fn with_defaults(op: &Op, given: &Attrs) -> Attrs {
    let mut attrs = Attrs::new();
    for param in op.params.iter().filter(|p| !p.is_operand()) {
        let default = match param.default {
            Default::Required => None,
            Default::None => Some(Attr::None),
            Default::Int(value) => Some(Attr::int(value)),
            Default::Float(value) => Some(Attr::Float(HostExpr::float(value))),
            Default::Bool(value) => Some(Attr::Bool(value)),
            Default::Str(value) => Some(Attr::Str(value.to_string())),
        };
        if let Some(value) = given.get(param.name).cloned().or(default) {
            attrs.set(param.name, value);
        }
    }
    attrs
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
    let mut next = 1000;
    let mut fresh = || {
        next += 1;
        Dim::unknown(next)
    };
    let mut cx = RuleCx::new(op, &operands, &attrs, facts, &mut fresh);
    let results = (op.rule)(&mut cx)?;
    Ok((results, cx.obligations))
}

/// The result types as text, `; ` between them, and how many obligations there are.
pub fn rule(name: &str, operands: &[&str], attrs: Attrs) -> (String, usize) {
    match rule_under(&Facts::default(), name, operands, attrs) {
        Ok((results, obligations)) => (join(&results), obligations.len()),
        Err(Stop::Unknown(results)) => (format!("unknown {}", join(&results)), 0),
        Err(Stop::Error(error)) => (format!("{} {}", error.code, error.message), 0),
    }
}

/// The result types of a rule that leaves nothing to be checked later.
pub fn results(name: &str, operands: &[&str], attrs: Attrs) -> String {
    let (text, obligations) = rule(name, operands, attrs);
    assert_eq!(obligations, 0, "{text}");
    text
}

/// The error of a rule that must fail.
pub fn error(name: &str, operands: &[&str], attrs: Attrs) -> OpError {
    match rule_under(&Facts::default(), name, operands, attrs) {
        Err(Stop::Error(error)) => *error,
        other => panic!("expected an error, got {other:?}"),
    }
}

fn join(types: &[TensorType]) -> String {
    types.iter().map(TensorType::to_string).collect::<Vec<_>>().join("; ")
}

/// Evaluates, after checking that the rule accepts the operands and foresees the results.
pub fn try_eval(name: &str, operands: &[Tensor], attrs: Attrs) -> Result<Vec<Tensor>, EvalError> {
    let op = op(name);
    let attrs = with_defaults(op, &attrs);
    let types: Vec<TensorType> = operands.iter().map(|t| TensorType::new(t.dtype(), Shape::of(t.shape()))).collect();
    let facts = Facts::default();
    let mut fresh = || Dim::unknown(0);
    let mut cx = RuleCx::new(op, &types, &attrs, &facts, &mut fresh);
    let expected = match (op.rule)(&mut cx) {
        Ok(expected) => expected,
        Err(stop) => panic!("{name}: the rule refuses: {stop:?}"),
    };
    let results = (op.eval)(&EvalCx { op, operands, attrs: &attrs })?;
    let found: Vec<TensorType> = results.iter().map(|t| TensorType::new(t.dtype(), Shape::of(t.shape()))).collect();
    assert_eq!(found, expected, "{name}: evaluation and rule must agree");
    Ok(results)
}

pub fn eval(name: &str, operands: &[Tensor], attrs: Attrs) -> Tensor {
    match try_eval(name, operands, attrs) {
        Ok(mut results) => results.swap_remove(0),
        Err(error) => panic!("{}", error.0),
    }
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
