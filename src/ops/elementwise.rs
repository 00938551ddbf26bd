//! Arithmetic and bit operations, element by element.
//!
//! Operands broadcast and have one element type. Floats are rounded once, integers wrap. `uint64` is
//! stored by its bits, so only operations that read the sign treat it apart.

use crate::base::code;
use crate::ops::channels::Step;
use crate::ops::kernel::{binary, order_key, unary};
use crate::ops::precision::{self, Precision};
use crate::ops::simplify;
use crate::ops::traits::{Role, Traits};
use crate::ops::{Attr, Default, EvalCx, EvalError, Gradient, Op, OpError, Param, ParamKind, RuleCx, Stop, gradient};
use crate::types::tensor::{round_f64, saturate};
use crate::types::{DType, Tensor, TensorType};

const ARITHMETIC: Traits =
    Traits { role: Role::Elementwise, is_arithmetic: true, precision: Precision::Follows, ..Traits::CAUTIOUS };
/// Integers have one precision.
const BITS: Traits = Traits { precision: Precision::Any, ..ARITHMETIC };

pub static OPS: &[Op] = &[
    binary_op(
        "add",
        arithmetic_rule,
        |cx| pair(cx, |a, b| a + b, i64::wrapping_add),
        Gradient::Rule(gradient::elementwise::add),
        Traits { laws: &[simplify::add_zero, simplify::add_negative], steps: &[Step::Add, Step::Add], ..ARITHMETIC },
        "Sum of two tensors, `a + b`.\n\nShapes broadcast; both have one numeric element type. Integers wrap.",
    ),
    binary_op(
        "sub",
        arithmetic_rule,
        |cx| pair(cx, |a, b| a - b, i64::wrapping_sub),
        Gradient::Rule(gradient::elementwise::sub),
        Traits {
            laws: &[simplify::sub_zero, simplify::sub_negative],
            steps: &[Step::Subtract, Step::SubtractFrom],
            ..ARITHMETIC
        },
        "Difference of two tensors, `a - b`.\n\nShapes broadcast; both have one numeric element type. Integers wrap.",
    ),
    binary_op(
        "mul",
        arithmetic_rule,
        |cx| pair(cx, |a, b| a * b, i64::wrapping_mul),
        Gradient::Rule(gradient::elementwise::mul),
        Traits {
            laws: &[simplify::mul_one, simplify::mul_negatives],
            steps: &[Step::Scale, Step::Scale],
            ..ARITHMETIC
        },
        "Product of two tensors, element by element, `a * b`.\n\nShapes broadcast; both have one numeric \
         element type. Integers wrap.",
    ),
    binary_op(
        "div",
        div_rule,
        |cx| float_pair(cx, |a, b| a / b),
        Gradient::Rule(gradient::elementwise::div),
        Traits { laws: &[simplify::by_one], steps: &[Step::Divide], ..ARITHMETIC },
        "Quotient of two float tensors, `a / b`.\n\nShapes broadcast. Integers are an error: use `//`, or \
         convert them.",
    ),
    binary_op(
        "floor_div",
        arithmetic_rule,
        floor_div_eval,
        gradient::PIECEWISE,
        Traits { laws: &[simplify::integers_by_one], ..ARITHMETIC },
        "Quotient rounded down, `a // b`.\n\nShapes broadcast; both have one numeric element type. An integer \
         division by zero is an error when it runs. PyTorch: `floor_divide`.",
    ),
    binary_op(
        "mod",
        arithmetic_rule,
        mod_eval,
        Gradient::Rule(gradient::elementwise::modulo),
        ARITHMETIC,
        "Remainder of the floor division, `a % b`, with the sign of `b`.\n\nShapes broadcast; both have one \
         numeric element type. An integer remainder by zero is an error when it runs. PyTorch: `remainder`.",
    ),
    binary_op(
        "pow",
        arithmetic_rule,
        pow_eval,
        Gradient::Rule(gradient::elementwise::pow),
        Traits { laws: &[simplify::by_one], precision: precision::EXPONENTIAL, ..ARITHMETIC },
        "Power, `a ** b`.\n\nShapes broadcast; both have one numeric element type. Integers wrap; a negative \
         integer exponent is an error when it runs.",
    ),
    binary_op(
        "minimum",
        arithmetic_rule,
        |cx| {
            let flip = order_key(cx.operand(0).dtype());
            pair(cx, minimum, |a, b| (a ^ flip).min(b ^ flip) ^ flip)
        },
        Gradient::Rule(gradient::elementwise::minimum),
        Traits { laws: &[simplify::same_twice], ..ARITHMETIC },
        "Smaller of two elements.\n\nShapes broadcast; both have one numeric element type. NaN if either is NaN.",
    ),
    binary_op(
        "maximum",
        arithmetic_rule,
        |cx| {
            let flip = order_key(cx.operand(0).dtype());
            pair(cx, maximum, |a, b| (a ^ flip).max(b ^ flip) ^ flip)
        },
        Gradient::Rule(gradient::elementwise::maximum),
        Traits { laws: &[simplify::same_twice], ..ARITHMETIC },
        "Larger of two elements.\n\nShapes broadcast; both have one numeric element type. NaN if either is NaN.",
    ),
    binary_op(
        "bit_and",
        bits_rule,
        |cx| int_pair(cx, |a, b| a & b),
        gradient::INTEGERS,
        Traits { laws: &[simplify::same_twice], ..BITS },
        "Bitwise and of integers or bools.\n\nShapes broadcast. PyTorch: `bitwise_and`.",
    ),
    binary_op(
        "bit_or",
        bits_rule,
        |cx| int_pair(cx, |a, b| a | b),
        gradient::INTEGERS,
        Traits { laws: &[simplify::same_twice], ..BITS },
        "Bitwise or of integers or bools.\n\nShapes broadcast. PyTorch: `bitwise_or`.",
    ),
    binary_op(
        "bit_xor",
        bits_rule,
        |cx| int_pair(cx, |a, b| a ^ b),
        gradient::INTEGERS,
        BITS,
        "Bitwise exclusive or of integers or bools.\n\nShapes broadcast. PyTorch: `bitwise_xor`.",
    ),
    binary_op(
        "shift_left",
        shift_rule,
        shift_left_eval,
        gradient::INTEGERS,
        BITS,
        "Integer `a` shifted left by `b` bits.\n\nShapes broadcast. A count outside 0 to the width less one \
         shifts everything out. PyTorch: `bitwise_left_shift`.",
    ),
    binary_op(
        "shift_right",
        shift_rule,
        shift_right_eval,
        gradient::INTEGERS,
        BITS,
        "Integer `a` shifted right by `b` bits, keeping its sign.\n\nShapes broadcast. A count outside 0 to \
         the width less one shifts everything out. PyTorch: `bitwise_right_shift`.",
    ),
    unary_op(
        "bit_not",
        |cx| {
            cx.require_bits(0)?;
            Ok(vec![cx.operand(0).clone()])
        },
        |cx| {
            let x = cx.operand(0);
            let is_bool = x.dtype() == DType::Bool;
            Ok(vec![unary(x, |x| x, |x| if is_bool { 1 - x } else { !x })])
        },
        gradient::INTEGERS,
        Traits { laws: &[simplify::undone, simplify::not_equal], ..BITS },
        "Bitwise complement of integers; `not` of bools.\n\nKeeps the shape.",
    ),
    unary_op(
        "neg",
        num_rule,
        |cx| Ok(vec![unary(cx.operand(0), |x| -x, i64::wrapping_neg)]),
        Gradient::Rule(gradient::elementwise::neg),
        Traits { laws: &[simplify::undone], steps: &[Step::Negate], ..ARITHMETIC },
        "Negation, `-x`.\n\nKeeps the shape. Integers wrap.",
    ),
    unary_op(
        "abs",
        num_rule,
        |cx| {
            let unsigned = cx.operand(0).dtype().is_unsigned();
            Ok(vec![unary(cx.operand(0), f64::abs, |x| if unsigned { x } else { x.wrapping_abs() })])
        },
        Gradient::Rule(gradient::elementwise::abs),
        Traits { laws: &[simplify::repeated, simplify::abs_negative], ..ARITHMETIC },
        "Absolute value.\n\nKeeps the shape. The least integer stays as it is, since integers wrap.",
    ),
    unary_op(
        "sign",
        num_rule,
        |cx| {
            let unsigned = cx.operand(0).dtype().is_unsigned();
            Ok(vec![unary(cx.operand(0), sign, |x| if unsigned { i64::from(x != 0) } else { x.signum() })])
        },
        gradient::PIECEWISE,
        Traits { laws: &[simplify::repeated], ..ARITHMETIC },
        "-1, 0 or 1 by the sign of each element; 0 for NaN.\n\nKeeps the shape.",
    ),
    Op {
        name: "clamp",
        params: &[
            Param::tensor("x"),
            Param::with("min", ParamKind::Float, Default::None),
            Param::with("max", ParamKind::Float, Default::None),
        ],
        rule: clamp_rule,
        eval: clamp_eval,
        gradient: Gradient::Rule(gradient::elementwise::clamp),
        traits: ARITHMETIC,
        doc: "Each element limited to `min` below and `max` above.\n\nKeeps the shape. At least one bound is \
              needed; where they cross, `max` wins. NaN stays NaN. Bounds of integers must be whole.",
    },
];

pub(super) static UNARY: &[Param] = &[Param::tensor("x")];
pub(super) static BINARY: &[Param] = &[Param::tensor("a"), Param::tensor("b")];

pub(super) const fn unary_op(
    name: &'static str,
    rule: crate::ops::Rule,
    eval: crate::ops::Eval,
    gradient: Gradient,
    traits: Traits,
    doc: &'static str,
) -> Op {
    Op { name, params: UNARY, rule, eval, gradient, traits, doc }
}

pub(super) const fn binary_op(
    name: &'static str,
    rule: crate::ops::Rule,
    eval: crate::ops::Eval,
    gradient: Gradient,
    traits: Traits,
    doc: &'static str,
) -> Op {
    Op { name, params: BINARY, rule, eval, gradient, traits, doc }
}

/// The operand's own type, if it has arithmetic.
pub(super) fn num_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.require_num(0)?;
    Ok(vec![cx.operand(0).clone()])
}

fn arithmetic_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    // Two types are one mistake, whatever they are: `x + (x > 0.0)` lacks a conversion.
    cx.same_elem(0, 1)?;
    cx.require_num(0)?;
    broadcast_rule(cx)
}

fn bits_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.require_bits(0)?;
    cx.require_bits(1)?;
    broadcast_rule(cx)
}

fn shift_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.require_int(0)?;
    cx.require_int(1)?;
    broadcast_rule(cx)
}

fn div_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let elem = cx.same_elem(0, 1)?;
    if elem.is_int() {
        let error = cx.elem_error(0, "float elements");
        return Err(error.note("use `//` for integer division, or convert both with `.to(float32)`").into());
    }
    cx.require_float(0)?;
    broadcast_rule(cx)
}

/// The common element type, and the broadcast of the shapes.
fn broadcast_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let elem = cx.same_elem(0, 1)?;
    let shape = cx.broadcast(0, 1)?;
    Ok(vec![TensorType::new(elem, shape)])
}

fn pair(
    cx: &EvalCx<'_>,
    float: impl Fn(f64, f64) -> f64,
    int: impl Fn(i64, i64) -> i64,
) -> Result<Vec<Tensor>, EvalError> {
    Ok(vec![binary(cx.op.name, cx.operand(0), cx.operand(1), float, int)?])
}

fn float_pair(cx: &EvalCx<'_>, float: impl Fn(f64, f64) -> f64) -> Result<Vec<Tensor>, EvalError> {
    if cx.operand(0).dtype().is_float() { pair(cx, float, |a, _| a) } else { Err(undefined(cx)) }
}

fn int_pair(cx: &EvalCx<'_>, int: impl Fn(i64, i64) -> i64) -> Result<Vec<Tensor>, EvalError> {
    if cx.operand(0).dtype().is_float() { Err(undefined(cx)) } else { pair(cx, |a, _| a, int) }
}

/// An operand that the rule refuses.
pub(super) fn undefined(cx: &EvalCx<'_>) -> EvalError {
    EvalError::new(format!("{}: not defined for {}", cx.op.name, cx.operand(0).dtype()))
}

pub(super) fn minimum(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

pub(super) fn maximum(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

fn sign(x: f64) -> f64 {
    f64::from(i8::from(x > 0.0) - i8::from(x < 0.0))
}

/// Remainder with the divisor's sign.
fn float_mod(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
}

/// By way of the remainder, so that `a // b` and `a % b` belong together where `a / b` rounds up to the
/// next integer.
fn float_floor_div(a: f64, b: f64) -> f64 {
    if b == 0.0 {
        return a / b;
    }
    let rest = a % b;
    let mut quotient = (a - rest) / b;
    if rest != 0.0 && (rest < 0.0) != (b < 0.0) {
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return 0f64.copysign(a / b);
    }
    let floor = quotient.floor();
    if quotient - floor > 0.5 { floor + 1.0 } else { floor }
}

fn int_floor_div(a: i64, b: i64) -> i64 {
    let quotient = a.wrapping_div(b);
    if a.wrapping_rem(b) != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient }
}

fn int_mod(a: i64, b: i64) -> i64 {
    let rest = a.wrapping_rem(b);
    if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
}

/// Fails if an element of an integer divisor is zero and anything is divided by it.
fn check_divisor(cx: &EvalCx<'_>) -> Result<(), EvalError> {
    let zero = cx.operand(1).as_i64().and_then(|values| values.iter().position(|v| *v == 0));
    match zero {
        Some(index) if !cx.operand(0).is_empty() => {
            Err(EvalError::new(format!("{}: integer division by zero, at element {index} of `b`", cx.op.name)))
        }
        _ => Ok(()),
    }
}

fn floor_div_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    check_divisor(cx)?;
    match cx.operand(0).dtype() {
        DType::UInt64 => pair(cx, float_floor_div, |a, b| (a as u64 / b as u64) as i64),
        _ => pair(cx, float_floor_div, int_floor_div),
    }
}

fn mod_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    check_divisor(cx)?;
    match cx.operand(0).dtype() {
        DType::UInt64 => pair(cx, float_mod, |a, b| (a as u64 % b as u64) as i64),
        _ => pair(cx, float_mod, int_mod),
    }
}

fn pow_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let exponent = cx.operand(1);
    if !exponent.dtype().is_unsigned()
        && let Some(index) = exponent.as_i64().and_then(|values| values.iter().position(|v| *v < 0))
    {
        let message = format!("pow: negative integer exponent, at element {index} of `b`; convert to a float first");
        return Err(EvalError::new(message));
    }
    pair(cx, f64::powf, |a, b| wrapping_pow(a, b as u64))
}

/// Square and multiply, modulo 2^64: the low bits are right for every integer type.
fn wrapping_pow(mut base: i64, mut exponent: u64) -> i64 {
    let mut power = 1i64;
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = power.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        exponent >>= 1;
    }
    power
}

/// The count of a shift, if it is within the element's width.
fn shift_count(count: i64, bits: u32) -> Option<u32> {
    u32::try_from(count).ok().filter(|count| *count < bits)
}

fn shift_left_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let bits = cx.operand(0).dtype().bits();
    int_pair(cx, |a, b| shift_count(b, bits).map_or(0, |count| a.wrapping_shl(count)))
}

fn shift_right_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let dtype = cx.operand(0).dtype();
    let bits = dtype.bits();
    match dtype {
        DType::UInt64 => int_pair(cx, |a, b| shift_count(b, bits).map_or(0, |count| (a as u64 >> count) as i64)),
        // What is left of a negative number is its sign.
        _ => int_pair(cx, |a, b| a >> shift_count(b, bits).unwrap_or(63)),
    }
}

fn clamp_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.require_num(0)?;
    let absent = |name: &str| matches!(cx.attrs.get(name), None | Some(Attr::None));
    if absent("min") && absent("max") {
        return Err(OpError::new(code::E0205, "`clamp` needs `min`, `max` or both").into());
    }
    for name in ["min", "max"] {
        if let Some(bound) = cx.attrs.const_float(name)
            && cx.operand(0).elem.is_int()
            && bound.fract() != 0.0
        {
            let message = format!("`{name}` of `clamp` is {bound}, which no {} can be", cx.operand(0).elem);
            return Err(OpError::new(code::E0212, message).note("give a whole number").into());
        }
    }
    Ok(vec![cx.operand(0).clone()])
}

fn clamp_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let bound = |name: &str| match cx.attrs.get(name) {
        None | Some(Attr::None) => Ok(None),
        _ => cx.float(name).map(Some),
    };
    let (low, high) = (bound("min")?, bound("max")?);
    let dtype = x.dtype();
    // The bounds take part as elements do, so they are rounded first.
    let rounded = |bound: f64| if dtype == DType::Float64 { bound } else { f64::from(round_f64(dtype, bound)) };
    let (float_low, float_high) = (low.map(rounded), high.map(rounded));
    let flip = order_key(dtype);
    let int_low = low.map(|bound| saturate(dtype, bound) ^ flip);
    let int_high = high.map(|bound| saturate(dtype, bound) ^ flip);
    let float = |x: f64| {
        let x = float_low.map_or(x, |low| maximum(x, low));
        float_high.map_or(x, |high| minimum(x, high))
    };
    let int = |x: i64| {
        let x = int_low.map_or(x ^ flip, |low| (x ^ flip).max(low));
        int_high.map_or(x, |high| x.min(high)) ^ flip
    };
    Ok(vec![unary(x, float, int)])
}

#[cfg(test)]
mod tests;
