//! Mathematical functions of floats, element by element: computed in double precision, rounded once.

use crate::ops::elementwise::{unary_op, undefined};
use crate::ops::kernel::unary;
use crate::ops::precision::{self, Precision};
use crate::ops::simplify;
use crate::ops::traits::{Role, Traits};
use crate::ops::{EvalCx, EvalError, Gradient, Op, RuleCx, Stop, gradient};
use crate::types::{Tensor, TensorType};

const FUNCTION: Traits =
    Traits { role: Role::Elementwise, is_arithmetic: true, precision: Precision::Follows, ..Traits::CAUTIOUS };

pub static OPS: &[Op] = &[
    unary_op(
        "exp",
        float_rule,
        |cx| map(cx, f64::exp),
        Gradient::Rule(gradient::elementwise::exp),
        Traits { precision: precision::EXPONENTIAL, ..FUNCTION },
        "e to the power of each element.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "log",
        float_rule,
        |cx| map(cx, f64::ln),
        Gradient::Rule(gradient::elementwise::log),
        Traits { precision: precision::STEEP, ..FUNCTION },
        "Natural logarithm; NaN below 0, minus infinity at 0.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "sqrt",
        float_rule,
        |cx| map(cx, f64::sqrt),
        Gradient::Rule(gradient::elementwise::sqrt),
        FUNCTION,
        "Square root; NaN below 0.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "rsqrt",
        float_rule,
        |cx| map(cx, |x| 1.0 / x.sqrt()),
        Gradient::Rule(gradient::elementwise::rsqrt),
        Traits { precision: precision::STEEP, ..FUNCTION },
        "One over the square root; infinity at 0, NaN below.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "sin",
        float_rule,
        |cx| map(cx, f64::sin),
        Gradient::Rule(gradient::elementwise::sin),
        Traits { precision: precision::PERIODIC, ..FUNCTION },
        "Sine, in radians.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "cos",
        float_rule,
        |cx| map(cx, f64::cos),
        Gradient::Rule(gradient::elementwise::cos),
        Traits { precision: precision::PERIODIC, ..FUNCTION },
        "Cosine, in radians.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "tan",
        float_rule,
        |cx| map(cx, f64::tan),
        Gradient::Rule(gradient::elementwise::tan),
        Traits { precision: precision::PERIODIC, ..FUNCTION },
        "Tangent, in radians.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "asin",
        float_rule,
        |cx| map(cx, f64::asin),
        Gradient::Rule(gradient::elementwise::asin),
        Traits { precision: precision::STEEP, ..FUNCTION },
        "Inverse sine; NaN outside -1 to 1.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "acos",
        float_rule,
        |cx| map(cx, f64::acos),
        Gradient::Rule(gradient::elementwise::acos),
        Traits { precision: precision::STEEP, ..FUNCTION },
        "Inverse cosine; NaN outside -1 to 1.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "atan",
        float_rule,
        |cx| map(cx, f64::atan),
        Gradient::Rule(gradient::elementwise::atan),
        FUNCTION,
        "Inverse tangent.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "sinh",
        float_rule,
        |cx| map(cx, f64::sinh),
        Gradient::Rule(gradient::elementwise::sinh),
        Traits { precision: precision::EXPONENTIAL, ..FUNCTION },
        "Hyperbolic sine.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "cosh",
        float_rule,
        |cx| map(cx, f64::cosh),
        Gradient::Rule(gradient::elementwise::cosh),
        Traits { precision: precision::EXPONENTIAL, ..FUNCTION },
        "Hyperbolic cosine.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "tanh",
        float_rule,
        |cx| map(cx, f64::tanh),
        Gradient::Rule(gradient::elementwise::tanh),
        FUNCTION,
        "Hyperbolic tangent.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "asinh",
        float_rule,
        |cx| map(cx, libm::asinh),
        Gradient::Rule(gradient::elementwise::asinh),
        Traits { precision: precision::STEEP, ..FUNCTION },
        "Inverse hyperbolic sine.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "acosh",
        float_rule,
        |cx| map(cx, libm::acosh),
        Gradient::Rule(gradient::elementwise::acosh),
        Traits { precision: precision::STEEP, ..FUNCTION },
        "Inverse hyperbolic cosine; NaN below 1.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "atanh",
        float_rule,
        |cx| map(cx, libm::atanh),
        Gradient::Rule(gradient::elementwise::atanh),
        Traits { precision: precision::STEEP, ..FUNCTION },
        "Inverse hyperbolic tangent; NaN outside -1 to 1.\n\nKeeps the shape; floats only.",
    ),
    unary_op(
        "erf",
        float_rule,
        |cx| map(cx, libm::erf),
        Gradient::Rule(gradient::elementwise::erf),
        FUNCTION,
        "Gauss error function.\n\nKeeps the shape; floats only.",
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
