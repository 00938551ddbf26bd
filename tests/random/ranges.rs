//! What values lie where, so that programs stay tame: no logarithm of a negative number, nothing that grows without
//! bound. A table says what an operation should be given and what comes of it; an operation that it does not know is
//! given moderate numbers, and its result is squashed.
//!
//! Ranges steer, they prove nothing. A program in which rounding decides too much anyway is found by [noise](super::noise).

use tritonc::ops::{Attrs, EvalCx, find};
use tritonc::types::{DType, Tensor};

/// Where the elements of a tensor lie, as far as one knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    pub low: f64,
    pub high: f64,
}

/// Of which nothing is known.
pub const WILD: Range = Range { low: f64::NEG_INFINITY, high: f64::INFINITY };
/// What an operation is given unless the table says otherwise.
pub const MODERATE: Range = Range { low: -8.0, high: 8.0 };
/// Results beyond this are squashed.
const LIMIT: f64 = 64.0;

pub const fn range(low: f64, high: f64) -> Range {
    Range { low, high }
}

impl Range {
    pub fn within(self, other: Range) -> bool {
        self.low >= other.low && self.high <= other.high
    }

    pub fn is_tame(self) -> bool {
        self.low >= -LIMIT && self.high <= LIMIT
    }

    pub fn largest(self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    pub fn union(self, other: Range) -> Range {
        range(self.low.min(other.low), self.high.max(other.high))
    }

    fn scale(self, factor: f64) -> Range {
        self.times(range(factor, factor))
    }

    fn times(self, other: Range) -> Range {
        let ends = [self.low * other.low, self.low * other.high, self.high * other.low, self.high * other.high];
        // Zero times infinity: nothing is known.
        if ends.iter().any(|end| end.is_nan()) {
            return WILD;
        }
        let low = ends.iter().copied().fold(f64::INFINITY, f64::min);
        range(low, ends.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    }

    fn map(self, f: impl Fn(f64) -> f64) -> Range {
        range(f(self.low), f(self.high))
    }

    fn around(size: f64) -> Range {
        range(-size, size)
    }
}

/// What the operand of an operation should be like. `dtype` is that of the operand.
pub fn domain(op: &str, operand: usize, dtype: DType) -> Range {
    if dtype.is_int() {
        return match (op, operand) {
            ("floor_div" | "mod", 1) => range(1.0, 9.0),
            ("shift_left" | "shift_right", 1) => range(0.0, 3.0),
            ("pow", 0) => range(-3.0, 4.0),
            ("pow", 1) => range(0.0, 3.0),
            _ => WILD,
        };
    }
    match (op, operand) {
        // Scales are what they are.
        ("quantize_with" | "dequantize", _) => WILD,
        ("exp" | "sinh" | "cosh", _) => range(-4.0, 3.0),
        ("log" | "rsqrt", _) => range(0.125, 32.0),
        ("sqrt", _) => range(0.0625, 64.0),
        ("tan", _) => range(-1.25, 1.25),
        ("asin" | "acos" | "atanh", _) => range(-0.9375, 0.9375),
        ("acosh", _) => range(1.0625, 16.0),
        ("div" | "floor_div" | "mod", 1) => range(0.25, 8.0),
        ("pow", 0) => range(0.25, 4.0),
        ("pow", 1) => range(-2.0, 2.0),
        ("prod" | "cumprod", _) => range(-1.25, 1.25),
        // What has no fraction in these types is the same on both sides.
        _ => where_defined(op),
    }
}

/// Moderate numbers, or others, for which a function that the table does not know has values.
fn where_defined(op: &str) -> Range {
    let function = find(op).filter(|op| op.traits().is_arithmetic && op.get().params.len() == 1);
    let has_values = |tried: &Range| {
        let operands = [Tensor::from_f64(DType::Float64, vec![2], [tried.low, tried.high])];
        let results =
            function.map(|op| (op.get().eval)(&EvalCx { op: op.get(), operands: &operands, attrs: &Attrs::new() }));
        results.is_some_and(|results| results.is_ok_and(|found| found[0].to_f64().iter().all(|y| y.is_finite())))
    };
    let tried = [MODERATE, range(0.125, 32.0), range(-0.9375, 0.9375), range(1.0625, 16.0)];
    tried.into_iter().find(has_values).unwrap_or(MODERATE)
}

/// Where the results of an operation lie. `parts` are the ranges of the operands, `count` is how many elements at most
/// go into one of the result.
pub fn result(op: &str, parts: &[Range], count: f64) -> Range {
    let a = parts.first().copied().unwrap_or(WILD);
    let b = parts.get(1).copied().unwrap_or(WILD);
    match op {
        "neg" => range(-a.high, -a.low),
        "abs" => range(0.0, a.largest()),
        "sign" | "sin" | "cos" | "tanh" | "erf" => range(-1.0, 1.0),
        "exp" => a.map(f64::exp),
        "sinh" => a.map(f64::sinh),
        "cosh" => range(1.0, a.largest().cosh()),
        "log" => a.map(|x| x.max(1e-9).ln()),
        "sqrt" => a.map(|x| x.max(0.0).sqrt()),
        "rsqrt" => range(a.high.max(1e-9).sqrt().recip(), a.low.max(1e-9).sqrt().recip()),
        "tan" => a.map(|x| x.clamp(-1.5, 1.5).tan()),
        "asin" | "atan" => range(-1.6, 1.6),
        "acos" => range(0.0, 3.2),
        "asinh" => a.map(f64::asinh),
        "acosh" => a.map(|x| x.max(1.0).acosh()),
        "atanh" => a.map(|x| x.clamp(-0.99, 0.99).atanh()),
        "floor" | "ceil" | "round" => range(a.low - 1.0, a.high + 1.0),
        "add" => range(a.low + b.low, a.high + b.high),
        "sub" => range(a.low - b.high, a.high - b.low),
        "mul" => a.times(b),
        "div" => a.times(range(1.0 / b.high, 1.0 / b.low)),
        "floor_div" => a.times(range(1.0 / b.high, 1.0 / b.low)).union(range(-1.0, 0.0)),
        "mod" => range(0.0, b.high),
        "pow" => range(0.0, a.largest().max(1.0 / a.low.abs().max(0.25)).powf(b.largest())),
        "minimum" | "maximum" => a.union(b),
        "where" => b.union(parts.get(2).copied().unwrap_or(WILD)),
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "any" | "all" | "isnan" | "isinf" => range(0.0, 1.0),
        "logical_and" | "logical_or" | "logical_not" | "one_hot" | "eye" | "ones" => range(0.0, 1.0),
        "zeros" => range(0.0, 0.0),
        "sum" => a.scale(count).union(range(0.0, 0.0)),
        "cumsum" => a.scale(count).union(a),
        "prod" | "cumprod" => Range::around(a.largest().max(1.0).powf(count)),
        "mean" | "max" | "min" | "sort" | "topk" | "take" | "gather" | "slice" | "dynamic_slice" | "flip" | "roll" => a,
        "reshape" | "permute" | "transpose" | "squeeze" | "unsqueeze" | "broadcast_to" | "unbind" | "split" => a,
        "chunk" | "repeat" | "repeat_interleave" | "upsample" | "stop_gradient" => a,
        "max_pool1d" | "max_pool2d" | "max_pool3d" => a,
        "tril" | "triu" | "avg_pool1d" | "avg_pool2d" | "avg_pool3d" => a.union(range(0.0, 0.0)),
        "pad" => a.union(range(-2.0, 2.0)),
        "concat" | "stack" => parts.iter().copied().reduce(Range::union).unwrap_or(WILD),
        "dynamic_update" => a.union(b),
        "scatter" => a.union(parts.get(2).copied().unwrap_or(WILD)),
        "matmul" => a.times(b).scale(count),
        "argmax" | "argmin" => range(0.0, count),
        "clamp" => a,
        "random_uniform" | "random_normal" | "quantize" | "dequantize" => range(-8.0, 8.0),
        _ => WILD,
    }
}
