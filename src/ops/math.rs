//! Mathematical functions of floats, element by element: computed in double precision, rounded once.

use crate::ops::elementwise::{unary_op, undefined};
use crate::ops::gradient::{GradientCx, GradientError, Grads, Var};
use crate::ops::kernel::unary;
use crate::ops::precision::{self, Precision};
use crate::ops::simplify;
use crate::ops::traits::{Role, Traits};
use crate::ops::{EvalCx, EvalError, Gradient, Op, RuleCx, Stop, gradient};
use crate::types::{Tensor, TensorType};
use std::f64::consts::PI;

const FUNCTION: Traits =
    Traits { role: Role::Elementwise, is_arithmetic: true, precision: Precision::Follows, ..Traits::CAUTIOUS };

pub static OPS: &[Op] = &[
    unary_op(
        "exp",
        float_rule,
        |cx| map(cx, f64::exp),
        Gradient::Rule(|cx| {
            let y = cx.result(0)?;
            cx.chain(y)
        }),
        Traits { precision: precision::EXPONENTIAL, ..FUNCTION },
        "e to the power of each element.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "log",
        float_rule,
        |cx| map(cx, f64::ln),
        Gradient::Rule(|cx| {
            let (grad, x) = (cx.grad()?, cx.operand(0)?);
            let grad = cx.div(grad, x)?;
            cx.only(grad)
        }),
        Traits { precision: precision::STEEP, ..FUNCTION },
        "Natural logarithm; NaN below 0, minus infinity at 0.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "sqrt",
        float_rule,
        |cx| map(cx, f64::sqrt),
        Gradient::Rule(|cx| {
            let (grad, y) = (cx.grad()?, cx.result(0)?);
            let double = cx.scale(y, 2.0)?;
            let grad = cx.div(grad, double)?;
            cx.only(grad)
        }),
        FUNCTION,
        "Square root; NaN below 0.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "rsqrt",
        float_rule,
        |cx| map(cx, |x| 1.0 / x.sqrt()),
        Gradient::Rule(|cx| {
            // `-y**3 / 2`
            let y = cx.result(0)?;
            let square = cx.mul(y, y)?;
            let cube = cx.mul(square, y)?;
            let slope = cx.scale(cube, -0.5)?;
            cx.chain(slope)
        }),
        Traits { precision: precision::STEEP, ..FUNCTION },
        "One over the square root; infinity at 0, NaN below.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "sin",
        float_rule,
        |cx| map(cx, f64::sin),
        Gradient::Rule(|cx| {
            let x = cx.operand(0)?;
            let slope = cx.op("cos", &[x])?;
            cx.chain(slope)
        }),
        Traits { precision: precision::PERIODIC, ..FUNCTION },
        "Sine, in radians.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "cos",
        float_rule,
        |cx| map(cx, f64::cos),
        Gradient::Rule(|cx| {
            let x = cx.operand(0)?;
            let sin = cx.op("sin", &[x])?;
            let slope = cx.neg(sin)?;
            cx.chain(slope)
        }),
        Traits { precision: precision::PERIODIC, ..FUNCTION },
        "Cosine, in radians.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "tan",
        float_rule,
        |cx| map(cx, f64::tan),
        Gradient::Rule(|cx| {
            let slope = one_and_square_of_result(cx, 1.0)?;
            cx.chain(slope)
        }),
        Traits { precision: precision::PERIODIC, ..FUNCTION },
        "Tangent, in radians.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "asin",
        float_rule,
        |cx| map(cx, f64::asin),
        Gradient::Rule(|cx| inverse(cx, 1.0, -1.0, 1.0, true)),
        Traits { precision: precision::STEEP, ..FUNCTION },
        "Inverse sine; NaN outside -1 to 1.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "acos",
        float_rule,
        |cx| map(cx, f64::acos),
        Gradient::Rule(|cx| inverse(cx, 1.0, -1.0, -1.0, true)),
        Traits { precision: precision::STEEP, ..FUNCTION },
        "Inverse cosine; NaN outside -1 to 1.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "atan",
        float_rule,
        |cx| map(cx, f64::atan),
        Gradient::Rule(|cx| inverse(cx, 1.0, 1.0, 1.0, false)),
        FUNCTION,
        "Inverse tangent.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "sinh",
        float_rule,
        |cx| map(cx, f64::sinh),
        Gradient::Rule(|cx| {
            let x = cx.operand(0)?;
            let slope = cx.op("cosh", &[x])?;
            cx.chain(slope)
        }),
        Traits { precision: precision::EXPONENTIAL, ..FUNCTION },
        "Hyperbolic sine.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "cosh",
        float_rule,
        |cx| map(cx, f64::cosh),
        Gradient::Rule(|cx| {
            let x = cx.operand(0)?;
            let slope = cx.op("sinh", &[x])?;
            cx.chain(slope)
        }),
        Traits { precision: precision::EXPONENTIAL, ..FUNCTION },
        "Hyperbolic cosine.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "tanh",
        float_rule,
        |cx| map(cx, f64::tanh),
        Gradient::Rule(|cx| {
            let slope = one_and_square_of_result(cx, -1.0)?;
            cx.chain(slope)
        }),
        FUNCTION,
        "Hyperbolic tangent.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "asinh",
        float_rule,
        |cx| map(cx, libm::asinh),
        Gradient::Rule(|cx| inverse(cx, 1.0, 1.0, 1.0, true)),
        Traits { precision: precision::STEEP, ..FUNCTION },
        "Inverse hyperbolic sine.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "acosh",
        float_rule,
        |cx| map(cx, libm::acosh),
        Gradient::Rule(|cx| inverse(cx, -1.0, 1.0, 1.0, true)),
        Traits { precision: precision::STEEP, ..FUNCTION },
        "Inverse hyperbolic cosine; NaN below 1.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "atanh",
        float_rule,
        |cx| map(cx, libm::atanh),
        Gradient::Rule(|cx| inverse(cx, 1.0, -1.0, 1.0, false)),
        Traits { precision: precision::STEEP, ..FUNCTION },
        "Inverse hyperbolic tangent; NaN outside -1 to 1.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "erf",
        float_rule,
        |cx| map(cx, libm::erf),
        Gradient::Rule(|cx| {
            // `2 / sqrt(pi) * exp(-x**2)`
            let x = cx.operand(0)?;
            let square = cx.mul(x, x)?;
            let falling = cx.neg(square)?;
            let bell = cx.op("exp", &[falling])?;
            let slope = cx.scale(bell, 2.0 / PI.sqrt())?;
            cx.chain(slope)
        }),
        FUNCTION,
        "Gauss error function.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "erfinv",
        float_rule,
        |cx| map(cx, inverse_erf),
        Gradient::Rule(|cx| {
            // `sqrt(pi) / 2 * exp(y**2)`
            let y = cx.result(0)?;
            let square = cx.mul(y, y)?;
            let rising = cx.op("exp", &[square])?;
            let slope = cx.scale(rising, PI.sqrt() / 2.0)?;
            cx.chain(slope)
        }),
        Traits { precision: precision::STEEP, ..FUNCTION },
        "Inverse of the Gauss error function; infinity at -1 and 1, NaN beyond.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "floor",
        float_rule,
        |cx| map(cx, f64::floor),
        gradient::PIECEWISE,
        Traits { laws: &[simplify::repeated], ..FUNCTION },
        "Largest whole number not above each element.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "ceil",
        float_rule,
        |cx| map(cx, f64::ceil),
        gradient::PIECEWISE,
        Traits { laws: &[simplify::repeated], ..FUNCTION },
        "Smallest whole number not below each element.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "round",
        float_rule,
        |cx| map(cx, f64::round_ties_even),
        gradient::PIECEWISE,
        Traits { laws: &[simplify::repeated], ..FUNCTION },
        "Nearest whole number, ties to even.\n\nKeeps the shape; floats only.",
    ),
];

fn float_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.require_float(0)?;
    Ok(vec![cx.operand(0).clone()])
}

fn map(cx: &EvalCx<'_>, function: impl Fn(f64) -> f64) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    if !x.dtype().is_float() {
        return Err(undefined(cx));
    }
    Ok(vec![unary(x, function, |x| x)])
}

/// Starts from a formula with elementary functions, which is right in two to three digits, and takes steps of Halley's
/// method; each triples the digits.
fn inverse_erf(y: f64) -> f64 {
    const BEND: f64 = 0.147;
    let size = y.abs();
    if size.is_nan() || size > 1.0 {
        return f64::NAN;
    }
    // What is left to 1, which is exact where it matters.
    let rest = 1.0 - size;
    if rest == 0.0 {
        return f64::INFINITY.copysign(y);
    }
    let log = (rest * (1.0 + size)).ln();
    let half = 2.0 / (PI * BEND) + log / 2.0;
    let mut x = ((half * half - log / BEND).sqrt() - half).max(0.0).sqrt();
    for _ in 0..3 {
        // Differences of numbers near 1 have no digits left, those of their complements do.
        let beyond = if size < 0.5 { libm::erf(x) - size } else { rest - libm::erfc(x) };
        let step = beyond * (PI.sqrt() / 2.0) * (x * x).exp();
        x -= step / (1.0 + x * step);
    }
    x.copysign(y)
}

fn one_and_square_of_result(cx: &mut GradientCx<'_>, sign: f64) -> Result<Var, GradientError> {
    let y = cx.result(0)?;
    let square = cx.mul(y, y)?;
    cx.affine(1.0, square, sign)
}

/// `sign / (a + b * x**2)`, or over its root.
fn inverse(cx: &mut GradientCx<'_>, a: f64, b: f64, sign: f64, root: bool) -> Grads {
    let (grad, x) = (cx.grad()?, cx.operand(0)?);
    let square = cx.mul(x, x)?;
    let below = cx.affine(a, square, b)?;
    let below = if root { cx.op("sqrt", &[below])? } else { below };
    let above = if sign < 0.0 { cx.neg(grad)? } else { grad };
    let grad = cx.div(above, below)?;
    cx.only(grad)
}

#[cfg(test)]
mod tests {
    use crate::ops::Attrs;
    use crate::ops::testkit::{eval, rule, rule_error, same, vector};
    use crate::types::DType;

    fn one(op: &str, dtype: DType, values: &[f64]) -> Vec<f64> {
        eval(op, &[vector(dtype, values)], Attrs::new()).to_f64()
    }

    #[test]
    fn rules() {
        assert_eq!(rule("exp", &["float16[...S, n]"], Attrs::new()), "float16[...S, n]");
        let error = rule_error("exp", &["int32[n]"], Attrs::new());
        assert_eq!(error, "E0209 `exp` takes float elements, not int32; convert it with `.to(float32)`");
        assert!(rule_error("sqrt", &["T[n]"], Attrs::new()).contains("declare it as `float`"));
    }

    #[test]
    fn values() {
        let nan = f64::NAN;
        assert_eq!(one("exp", DType::Float32, &[0.0, 1.0]), [1.0, f64::from(std::f64::consts::E as f32)]);
        assert!(same(&one("log", DType::Float32, &[1.0, 0.0, -1.0]), &[0.0, f64::NEG_INFINITY, nan]));
        assert!(same(&one("rsqrt", DType::Float32, &[4.0, 0.0, -1.0]), &[0.5, f64::INFINITY, nan]));
        assert_eq!(one("sqrt", DType::BFloat16, &[2.0]), [1.4140625]);
        assert_eq!(one("round", DType::Float32, &[0.5, 1.5, 2.5, -0.5]), [0.0, 2.0, 2.0, 0.0]);
        assert!(one("round", DType::Float32, &[-0.5])[0].is_sign_negative());
        assert_eq!(one("floor", DType::Float32, &[-1.5]), [-2.0]);
        assert_eq!(one("ceil", DType::Float32, &[-1.5]), [-1.0]);
        assert_eq!(one("erf", DType::Float64, &[0.0, 0.5]), [0.0, 0.5204998778130465]);
    }

    #[test]
    fn the_inverse_of_erf_is_right_to_its_last_digits() {
        // Worked out with 40 digits.
        for (y, wanted) in [
            (0.1, 0.08885599049425769),
            (0.5, 0.4769362762044699),
            (-0.99, -1.8213863677184494),
            (1e-10, 8.862269254527581e-11),
            (5e-324, 5e-324),
            (1.0 - 2f64.powi(-40), 5.05125408524939),
            (1.0 - 2f64.powi(-53), 5.8635847487551676),
        ] {
            let found = one("erfinv", DType::Float64, &[y])[0];
            assert!((found - wanted).abs() <= 2.0 * f64::EPSILON * wanted.abs(), "{y}: {found} {wanted}");
        }
        let bounds = one("erfinv", DType::Float64, &[-1.0, 1.0, 1.5, f64::NAN, -0.0]);
        assert!(same(&bounds, &[f64::NEG_INFINITY, f64::INFINITY, f64::NAN, f64::NAN, 0.0]));
        assert!(bounds[4].is_sign_negative());
        assert_eq!(one("erfinv", DType::Float16, &[0.5]), [0.4770507812500]);
        assert_eq!(one("erfinv", DType::BFloat16, &[0.5]), [0.476562500]);
    }

    #[test]
    fn inverses_undo() {
        for (function, inverse) in
            [("sin", "asin"), ("tan", "atan"), ("sinh", "asinh"), ("tanh", "atanh"), ("exp", "log")]
        {
            let there = one(function, DType::Float64, &[0.25, 0.5]);
            let back = one(inverse, DType::Float64, &there);
            assert!((back[0] - 0.25).abs() < 1e-12 && (back[1] - 0.5).abs() < 1e-12, "{function} {back:?}");
        }
        assert!((one("acos", DType::Float64, &one("cos", DType::Float64, &[0.5]))[0] - 0.5).abs() < 1e-12);
        assert!((one("acosh", DType::Float64, &one("cosh", DType::Float64, &[0.5]))[0] - 0.5).abs() < 1e-12);
    }
}
