//! Comparison, logic, tests for NaN and infinity, and `where`. All but `where` give `bool`.

use crate::ops::elementwise::{binary_op, unary_op};
use crate::ops::kernel::{compare, select};
use crate::ops::precision::Precision;
use crate::ops::simplify;
use crate::ops::traits::{Role, Traits};
use crate::ops::{EvalCx, EvalError, Gradient, Op, Param, RuleCx, Stop, gradient};
use crate::types::{DType, Shape, Tensor, TensorType};

const LOGIC: Traits = Traits { role: Role::Elementwise, precision: Precision::Any, ..Traits::CAUTIOUS };
const COMPARISON: Traits = Traits { precision: Precision::Compares, ..LOGIC };

pub static OPS: &[Op] = &[
    binary_op(
        "eq",
        compare_rule,
        |cx| test(cx, |a, b| a == b, |a, b| a == b),
        gradient::INTEGERS,
        COMPARISON,
        "Whether elements are equal, `a == b`; NaN equals nothing.\n\nShapes broadcast; both have one element \
         type. Gives `bool`.",
    ),
    binary_op(
        "ne",
        compare_rule,
        |cx| test(cx, |a, b| a != b, |a, b| a != b),
        gradient::INTEGERS,
        COMPARISON,
        "Whether elements differ, `a != b`; NaN differs from everything.\n\nShapes broadcast; both have one \
         element type. Gives `bool`.",
    ),
    binary_op(
        "lt",
        compare_rule,
        |cx| test(cx, |a, b| a < b, |a, b| a < b),
        gradient::INTEGERS,
        COMPARISON,
        "Whether `a < b`; false with NaN.\n\nShapes broadcast; both have one element type. Gives `bool`.",
    ),
    binary_op(
        "le",
        compare_rule,
        |cx| test(cx, |a, b| a <= b, |a, b| a <= b),
        gradient::INTEGERS,
        COMPARISON,
        "Whether `a <= b`; false with NaN.\n\nShapes broadcast; both have one element type. Gives `bool`.",
    ),
    binary_op(
        "gt",
        compare_rule,
        |cx| test(cx, |a, b| a > b, |a, b| a > b),
        gradient::INTEGERS,
        COMPARISON,
        "Whether `a > b`; false with NaN.\n\nShapes broadcast; both have one element type. Gives `bool`.",
    ),
    binary_op(
        "ge",
        compare_rule,
        |cx| test(cx, |a, b| a >= b, |a, b| a >= b),
        gradient::INTEGERS,
        COMPARISON,
        "Whether `a >= b`; false with NaN.\n\nShapes broadcast; both have one element type. Gives `bool`.",
    ),
    binary_op(
        "logical_and",
        logical_rule,
        |cx| test(cx, |_, _| false, |a, b| a & b != 0),
        gradient::INTEGERS,
        LOGIC,
        "Both hold, `a and b`.\n\nShapes broadcast; `bool` only, and both sides are computed.",
    ),
    binary_op(
        "logical_or",
        logical_rule,
        |cx| test(cx, |_, _| false, |a, b| a | b != 0),
        gradient::INTEGERS,
        LOGIC,
        "At least one holds, `a or b`.\n\nShapes broadcast; `bool` only, and both sides are computed.",
    ),
    unary_op(
        "logical_not",
        |cx| {
            cx.require_bool(0)?;
            Ok(vec![cx.operand(0).clone()])
        },
        |cx| check(cx, |_| false, |x| x == 0),
        gradient::INTEGERS,
        LOGIC,
        "The opposite, `not x`.\n\nKeeps the shape; `bool` only.",
    ),
    unary_op(
        "isnan",
        float_test_rule,
        |cx| check(cx, f64::is_nan, |_| false),
        gradient::INTEGERS,
        LOGIC,
        "Whether each element is NaN.\n\nKeeps the shape; floats only. Gives `bool`.",
    ),
    unary_op(
        "isinf",
        float_test_rule,
        |cx| check(cx, f64::is_infinite, |_| false),
        gradient::INTEGERS,
        LOGIC,
        "Whether each element is infinite, of either sign.\n\nKeeps the shape; floats only. Gives `bool`.",
    ),
    Op {
        name: "where",
        params: &[Param::mask("cond"), Param::tensor("a"), Param::tensor("b")],
        rule: where_rule,
        eval: |cx| Ok(vec![select(cx.op.name, cx.operand(0), cx.operand(1), cx.operand(2))?]),
        gradient: Gradient::Rule(gradient::elementwise::select),
        traits: Traits { precision: Precision::Follows, laws: &[simplify::where_same], ..LOGIC },
        doc: "Elements of `a` where `cond` holds, else of `b`.\n\nAll three shapes broadcast; `cond` is `bool`, \
              and `a` and `b` have one element type.",
    },
];

fn compare_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.same_elem(0, 1)?;
    let shape = cx.broadcast(0, 1)?;
    Ok(vec![TensorType::new(DType::Bool, shape)])
}

fn logical_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.require_bool(0)?;
    cx.require_bool(1)?;
    compare_rule(cx)
}

fn float_test_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.require_float(0)?;
    Ok(vec![cx.operand(0).with_elem(DType::Bool)])
}

fn where_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.require_bool(0)?;
    let elem = cx.same_elem(1, 2)?;
    let values: Shape = cx.broadcast(1, 2)?;
    let condition = &cx.operand(0).shape;
    let shape = cx.broadcast_shapes(condition, 0, &values, 1)?;
    Ok(vec![TensorType::new(elem, shape)])
}

fn test(
    cx: &EvalCx<'_>,
    float: impl Fn(f64, f64) -> bool,
    int: impl Fn(i64, i64) -> bool,
) -> Result<Vec<Tensor>, EvalError> {
    Ok(vec![compare(cx.op.name, cx.operand(0), cx.operand(1), float, int)?])
}

fn check(cx: &EvalCx<'_>, float: impl Fn(f64) -> bool, int: impl Fn(i64) -> bool) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let values = match x.as_i64() {
        Some(values) => values.iter().map(|&x| i64::from(int(x))).collect(),
        None => (0..x.len()).map(|i| i64::from(float(x.get_f64(i)))).collect(),
    };
    Ok(vec![Tensor::from_i64(DType::Bool, x.shape().to_vec(), values)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Attrs;
    use crate::ops::testkit::{eval, rule, rule_error, same, tensor, vector};

    fn two(op: &str, dtype: DType, a: &[f64], b: &[f64]) -> Vec<f64> {
        eval(op, &[vector(dtype, a), vector(dtype, b)], Attrs::new()).to_f64()
    }

    #[test]
    fn rules() {
        let none = Attrs::new;
        assert_eq!(rule("eq", &["int64[B, 1]", "int64[T]"], none()), "bool[B, T]");
        assert_eq!(rule("lt", &["A[...S]", "A"], none()), "bool[...S]");
        assert_eq!(rule("logical_not", &["bool[...]"], none()), "bool[...]");
        assert_eq!(rule("isnan", &["float16[n]"], none()), "bool[n]");
        assert_eq!(rule("where", &["bool[B, 1]", "trit[n]", "trit"], none()), "trit[B, n]");
        assert_eq!(rule("where", &["bool[T, T]", "float32[...S, T, T]", "float32"], none()), "float32[...S, T, T]");
        assert!(rule_error("eq", &["int32", "int64"], none()).starts_with("E0202"));
        let not_bool = rule_error("logical_and", &["int32[n]", "bool[n]"], none());
        assert_eq!(not_bool, "E0209 `logical_and` takes bool elements, not int32; compare first, as in `x != 0`");
        assert!(rule_error("where", &["int8[n]", "float32", "float32"], none()).starts_with("E0209"));
        assert!(rule_error("where", &["bool[n]", "float32[m]", "float32"], none()).starts_with("E0302"));
        assert!(rule_error("isinf", &["int8"], none()).starts_with("E0209"));
    }

    #[test]
    fn comparisons_treat_nan_as_ieee() {
        let (a, b) = (&[1.0, f64::NAN, -0.0][..], &[2.0, f64::NAN, 0.0][..]);
        for (op, want) in [
            ("eq", [0.0, 0.0, 1.0]),
            ("ne", [1.0, 1.0, 0.0]),
            ("lt", [1.0, 0.0, 0.0]),
            ("le", [1.0, 0.0, 1.0]),
            ("gt", [0.0, 0.0, 0.0]),
            ("ge", [0.0, 0.0, 1.0]),
        ] {
            assert_eq!(two(op, DType::Float32, a, b), want, "{op}");
        }
        assert_eq!(two("lt", DType::Int8, &[-1.0], &[1.0]), [1.0]);
        let big = Tensor::from_i64(DType::UInt64, vec![1], vec![-1]);
        assert_eq!(eval("gt", &[big, vector(DType::UInt64, &[1.0])], Attrs::new()).to_f64(), [1.0]);
    }

    #[test]
    fn logic() {
        let (a, b) = (&[0.0, 0.0, 1.0, 1.0][..], &[0.0, 1.0, 0.0, 1.0][..]);
        assert_eq!(two("logical_and", DType::Bool, a, b), [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(two("logical_or", DType::Bool, a, b), [0.0, 1.0, 1.0, 1.0]);
        let one = |op, dtype, values: &[f64]| eval(op, &[vector(dtype, values)], Attrs::new()).to_f64();
        assert_eq!(one("logical_not", DType::Bool, a), [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(one("isnan", DType::Float32, &[f64::NAN, f64::INFINITY, 0.0]), [1.0, 0.0, 0.0]);
        assert_eq!(one("isinf", DType::Float64, &[f64::NAN, f64::NEG_INFINITY, 0.0]), [0.0, 1.0, 0.0]);
    }

    #[test]
    fn selection_broadcasts_all_three() {
        let condition = tensor(DType::Bool, &[2, 1], &[1.0, 0.0]);
        let a = vector(DType::Float32, &[1.0, 2.0, f64::NAN]);
        let b = tensor(DType::Float32, &[], &[9.0]);
        let got = eval("where", &[condition, a, b], Attrs::new());
        assert_eq!(got.shape(), [2, 3]);
        assert!(same(&got.to_f64(), &[1.0, 2.0, f64::NAN, 9.0, 9.0, 9.0]));
        let empty = eval(
            "where",
            &[vector(DType::Bool, &[]), vector(DType::Int8, &[]), vector(DType::Int8, &[1.0])],
            Attrs::new(),
        );
        assert_eq!(empty.shape(), [0]);
    }
}
