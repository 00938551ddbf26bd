//! Reductions over one axis, several, or all.
//!
//! Float sums, means and products accumulate in double precision and round once; integers wrap. An
//! extreme of no elements is an error; a sum of none is 0, a product 1, a mean NaN.

use crate::base::code;
use crate::ops::cost::Cost;
use crate::ops::elementwise::{maximum, minimum};
use crate::ops::kernel::{Lanes, order_key, runs};
use crate::ops::precision::{self, Precision};
use crate::ops::traits::{Role, Traits};
use crate::ops::{Default, EvalCx, EvalError, Gradient, Op, OpError, Param, ParamKind, RuleCx, Stop, gradient};
use crate::types::tensor::{Data, wrap};
use crate::types::{DType, Dim, Elem, Shape, Tensor, TensorType};

const REDUCTION: Traits =
    Traits { role: Role::Reduction, cost: Cost::Operands, precision: Precision::Any, ..Traits::CAUTIOUS };

pub static OPS: &[Op] = &[
    reduction(
        "sum",
        num_rule,
        |cx| fold_eval(cx, 0.0, |a, x| a + x, 0, i64::wrapping_add),
        Gradient::Rule(gradient::reduce::sum),
        Traits { precision: precision::ACCUMULATES, ..REDUCTION },
        "Sum over `axis`, or over everything.\n\nKeeps the element type. Reduced axes vanish, or stay as 1 with \
         `keepdim`. Integers wrap; floats accumulate in a wider type.",
    ),
    reduction(
        "mean",
        mean_rule,
        mean_eval,
        Gradient::Rule(gradient::reduce::mean),
        Traits { precision: precision::ACCUMULATES, ..REDUCTION },
        "Mean over `axis`, or over everything; NaN of no elements.\n\nFloats only. Reduced axes vanish, or stay \
         as 1 with `keepdim`.",
    ),
    reduction(
        "max",
        extreme_rule,
        |cx| {
            let flip = order_key(cx.operand(0).dtype());
            check_not_empty(cx)?;
            fold_eval(cx, f64::NEG_INFINITY, maximum, i64::MIN ^ flip, |a, x| (a ^ flip).max(x ^ flip) ^ flip)
        },
        Gradient::Rule(gradient::reduce::extreme),
        Traits { precision: Precision::Moves, ..REDUCTION },
        "Largest element over `axis`, or of all; NaN if there is one.\n\nKeeps the element type. Reduced axes \
         vanish, or stay as 1 with `keepdim`, and must not be empty. PyTorch: `amax`.",
    ),
    reduction(
        "min",
        extreme_rule,
        |cx| {
            let flip = order_key(cx.operand(0).dtype());
            check_not_empty(cx)?;
            fold_eval(cx, f64::INFINITY, minimum, i64::MAX ^ flip, |a, x| (a ^ flip).min(x ^ flip) ^ flip)
        },
        Gradient::Rule(gradient::reduce::extreme),
        Traits { precision: Precision::Moves, ..REDUCTION },
        "Smallest element over `axis`, or of all; NaN if there is one.\n\nKeeps the element type. Reduced axes \
         vanish, or stay as 1 with `keepdim`, and must not be empty. PyTorch: `amin`.",
    ),
    reduction(
        "prod",
        num_rule,
        |cx| fold_eval(cx, 1.0, |a, x| a * x, 1, i64::wrapping_mul),
        Gradient::Rule(gradient::reduce::prod),
        Traits { precision: precision::ACCUMULATES, ..REDUCTION },
        "Product over `axis`, or over everything.\n\nKeeps the element type. Reduced axes vanish, or stay as 1 \
         with `keepdim`. Integers wrap; floats accumulate in a wider type.",
    ),
    reduction(
        "argmax",
        position_rule,
        |cx| position_eval(cx, true),
        gradient::INTEGERS,
        REDUCTION,
        "Position of the largest element along `axis`, the first on a tie; NaN counts as largest.\n\nGives \
         `int64`. Takes one axis; without one, the position in the flattened tensor.",
    ),
    reduction(
        "argmin",
        position_rule,
        |cx| position_eval(cx, false),
        gradient::INTEGERS,
        REDUCTION,
        "Position of the smallest element along `axis`, the first on a tie; NaN counts as smallest.\n\nGives \
         `int64`. Takes one axis; without one, the position in the flattened tensor.",
    ),
    reduction(
        "any",
        bool_rule,
        |cx| fold_eval(cx, 0.0, |a, _| a, 0, |a, x| a | x),
        gradient::INTEGERS,
        REDUCTION,
        "Whether any element over `axis`, or at all, holds; false of none.\n\n`bool` only. Reduced axes vanish, \
         or stay as 1 with `keepdim`.",
    ),
    reduction(
        "all",
        bool_rule,
        |cx| fold_eval(cx, 0.0, |a, _| a, 1, |a, x| a & x),
        gradient::INTEGERS,
        REDUCTION,
        "Whether every element over `axis`, or at all, holds; true of none.\n\n`bool` only. Reduced axes vanish, \
         or stay as 1 with `keepdim`.",
    ),
];

const fn reduction(
    name: &'static str,
    rule: crate::ops::Rule,
    eval: crate::ops::Eval,
    gradient: Gradient,
    traits: Traits,
    doc: &'static str,
) -> Op {
    const PARAMS: &[Param] = &[
        Param::tensor("x"),
        Param::with("axis", ParamKind::Axes, Default::None),
        Param::with("keepdim", ParamKind::Bool, Default::Bool(false)),
    ];
    Op { name, params: PARAMS, rule, eval, gradient, traits, doc }
}

fn num_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.require_num(0)?;
    reduce_rule(cx, cx.operand(0).elem.clone())
}

fn mean_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.require_float(0)?;
    reduce_rule(cx, cx.operand(0).elem.clone())
}

fn bool_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.require_bool(0)?;
    reduce_rule(cx, DType::Bool.into())
}

fn extreme_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let result = num_rule(cx)?;
    require_elements(cx)?;
    Ok(result)
}

fn position_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.require_num(0)?;
    let result = reduce_rule(cx, DType::Int64.into())?;
    if cx.axes("axis", 0)?.is_some_and(|axes| axes.len() > 1) {
        let message = format!("`{}` takes one axis, or none for the flattened tensor", cx.op.name);
        return Err(OpError::new(code::E0305, message).note("reshape the axes into one first").into());
    }
    require_elements(cx)?;
    Ok(result)
}

/// The result type once the operand's element type is accepted.
fn reduce_rule(cx: &mut RuleCx<'_>, elem: Elem) -> Result<Vec<TensorType>, Stop> {
    cx.expect(vec![TensorType::new(elem.clone(), Shape::unknown())]);
    let keepdim = cx.bool("keepdim")?;
    let shape = &cx.operand(0).shape;
    let reduced = match cx.axes("axis", 0)? {
        None if !keepdim => Shape::scalar(),
        None => Shape::new(vec![Dim::constant(1); cx.rank(0)?]),
        Some(axes) if axes.is_empty() => {
            let message = format!("the list of axes of `{}` is empty", cx.op.name);
            return Err(OpError::new(code::E0305, message).note("leave `axis` out to reduce everything").into());
        }
        Some(axes) if keepdim => axes.iter().fold(shape.clone(), |shape, &axis| shape.with_dim(axis, 1.into())),
        Some(axes) => axes.iter().rev().fold(shape.clone(), |shape, &axis| shape.without_dim(axis)),
    };
    Ok(vec![TensorType::new(elem, reduced)])
}

/// Fails if a reduced dim is 0.
fn require_elements(cx: &RuleCx<'_>) -> Result<(), Stop> {
    let shape = &cx.operand(0).shape;
    let axes = cx.axes("axis", 0)?.unwrap_or_else(|| (0..shape.dims.len()).collect());
    match axes.into_iter().find(|&axis| cx.facts.normal(&shape.dims[axis]).is_const(0)) {
        None => Ok(()),
        Some(axis) => {
            let message = format!("`{}` of no elements: axis {axis} of shape [{shape}] has size 0", cx.op.name);
            Err(OpError::new(code::E0310, message).label(0, format!("[{shape}]")).into())
        }
    }
}

/// The operand's shape with 1 for reduced axes, and the result's shape.
fn reduced_shapes(cx: &EvalCx<'_>) -> Result<(Vec<usize>, Vec<usize>), EvalError> {
    let shape = cx.operand(0).shape();
    let axes = cx.axes("axis", shape.len())?;
    let kept: Vec<usize> = shape.iter().enumerate().map(|(i, &n)| if axes.contains(&i) { 1 } else { n }).collect();
    let left = shape.iter().enumerate().filter(|(i, _)| !axes.contains(i)).map(|(_, &n)| n).collect();
    let result = if cx.bool("keepdim")? { kept.clone() } else { left };
    Ok((kept, result))
}

/// Folds the elements that fall on each element of `kept` (the operand's shape, 1 for reduced axes).
fn fold<T: Copy, A: Copy>(x: &[T], shape: &[usize], kept: &[usize], start: A, step: impl Fn(A, T) -> A) -> Vec<A> {
    let mut totals = vec![start; kept.iter().product()];
    runs(shape, [shape, kept], |len, [i, o], [_, advance]| {
        let values = &x[i..i + len];
        if advance == 0 {
            totals[o] = values.iter().fold(totals[o], |total, &x| step(total, x));
        } else {
            totals[o..o + len].iter_mut().zip(values).for_each(|(total, &x)| *total = step(*total, x));
        }
    });
    totals
}

fn fold_eval(
    cx: &EvalCx<'_>,
    float_start: f64,
    float: impl Fn(f64, f64) -> f64,
    int_start: i64,
    int: impl Fn(i64, i64) -> i64,
) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let (kept, result) = reduced_shapes(cx)?;
    let (dtype, shape) = (x.dtype(), x.shape());
    let totals = match x.data() {
        Data::F32(v) => fold(v, shape, &kept, float_start, |total, x| float(total, f64::from(x))),
        Data::F64(v) => fold(v, shape, &kept, float_start, float),
        Data::I64(v) => {
            let totals = fold(v, shape, &kept, int_start, int);
            let values = totals.into_iter().map(|total| wrap(dtype, total)).collect();
            return Ok(vec![Tensor::from_i64(dtype, result, values)]);
        }
    };
    Ok(vec![Tensor::from_f64(dtype, result, totals)])
}

fn mean_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let (kept, result) = reduced_shapes(cx)?;
    let sums = match x.data() {
        Data::F32(v) => fold(v, x.shape(), &kept, 0.0, |total, x| total + f64::from(x)),
        Data::F64(v) => fold(v, x.shape(), &kept, 0.0, |total, x| total + x),
        Data::I64(_) => return Err(EvalError::new("mean: integers have no mean; convert them to a float first")),
    };
    let count: usize = x.shape().iter().zip(&kept).filter(|(_, kept)| **kept == 1).map(|(n, _)| n).product();
    Ok(vec![Tensor::from_f64(x.dtype(), result, sums.into_iter().map(|sum| sum / count as f64))])
}

/// An extreme of no elements has no value.
fn check_not_empty(cx: &EvalCx<'_>) -> Result<(), EvalError> {
    let shape = cx.operand(0).shape();
    let (_, result) = reduced_shapes(cx)?;
    if shape.contains(&0) && !result.contains(&0) {
        return Err(EvalError::new(format!("{}: shape {shape:?} has no elements to choose from", cx.op.name)));
    }
    Ok(())
}

fn position_eval(cx: &EvalCx<'_>, largest: bool) -> Result<Vec<Tensor>, EvalError> {
    check_not_empty(cx)?;
    let x = cx.operand(0);
    let (_, result) = reduced_shapes(cx)?;
    let lanes = match cx.axes("axis", x.rank())?.as_slice() {
        [axis] if x.rank() > 0 => Lanes::along(x.shape(), *axis),
        axes if axes.len() == x.rank() => Lanes { outer: 1, size: x.len(), inner: 1 },
        _ => return Err(EvalError::new(format!("{}: takes one axis", cx.op.name))),
    };
    let flip = order_key(x.dtype());
    let float = |best: f64, x: f64| !best.is_nan() && (x.is_nan() || if largest { x > best } else { x < best });
    let int = |best: i64, x: i64| if largest { x ^ flip > best ^ flip } else { x ^ flip < best ^ flip };
    let positions = match x.data() {
        Data::F32(v) => positions(v, lanes, |best, x| float(f64::from(best), f64::from(x))),
        Data::F64(v) => positions(v, lanes, float),
        Data::I64(v) => positions(v, lanes, int),
    };
    Ok(vec![Tensor::from_i64(DType::Int64, result, positions)])
}

/// Where the best element of each lane stands; `better` says whether its second argument beats the first.
fn positions<T: Copy>(x: &[T], lanes: Lanes, better: impl Fn(T, T) -> bool) -> Vec<i64> {
    lanes
        .starts()
        .map(|start| {
            let at = |j: usize| x[start + j * lanes.inner];
            (1..lanes.size).fold(0, |best, j| if better(at(best), at(j)) { j } else { best }) as i64
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testkit::{eval, rule, rule_error, same, tensor, try_eval, vector};
    use crate::ops::{Attr, Attrs};
    use DType::{BFloat16, Bool, Float16, Float32, Float64, Int8, Int32, UInt64};

    fn all() -> Attrs {
        Attrs::new().with("axis", Attr::None).with("keepdim", Attr::Bool(false))
    }

    fn over(axes: &[i64]) -> Attrs {
        all().with("axis", Attr::ints(axes))
    }

    fn kept(axes: &[i64]) -> Attrs {
        over(axes).with("keepdim", Attr::Bool(true))
    }

    #[test]
    fn rules() {
        assert_eq!(rule("sum", &["float16[B, T, n]"], over(&[-1])), "float16[B, T]");
        assert_eq!(rule("sum", &["float16[B, T, n]"], over(&[2, 0])), "float16[T]");
        assert_eq!(rule("mean", &["float32[B, T, n]"], kept(&[-1])), "float32[B, T, 1]");
        assert_eq!(rule("max", &["int8[B, n]"], all()), "int8");
        assert_eq!(rule("max", &["int8[B, n]"], all().with("keepdim", Attr::Bool(true))), "int8[1, 1]");
        assert_eq!(rule("argmax", &["float32[B, n]"], all().with("axis", Attr::int(1))), "int64[B]");
        assert_eq!(rule("any", &["bool[...S, n]"], over(&[-1])), "bool[...S]");
        assert_eq!(rule("sum", &["T[B, ...S]"], over(&[0])), "T[...S]");
        assert_eq!(rule("sum", &["float32[...S]"], all()), "float32");
    }

    #[test]
    fn rules_over_packs_know_what_they_can() {
        assert_eq!(rule("sum", &["float32[...S, n]"], over(&[0])), "~float32[...]");
        assert_eq!(rule("argmax", &["float32[...]"], over(&[0])), "~int64[...]");
        assert_eq!(rule("sum", &["float32[...S]"], all().with("keepdim", Attr::Bool(true))), "~float32[...]");
        assert_eq!(rule("sum", &["float32[n]"], all().with("axis", Attr::Unknown)), "~float32[...]");
    }

    #[test]
    fn rule_errors() {
        let range = rule_error("sum", &["float32[B, n]"], over(&[2]));
        assert!(range.starts_with("E0305 axis 2 is out of range for shape [B, n] of rank 2; use -2 to 1"), "{range}");
        assert!(rule_error("sum", &["float32"], over(&[0])).contains("it is a scalar"));
        assert!(rule_error("sum", &["float32[B, n]"], over(&[1, -1])).contains("given twice"));
        assert!(rule_error("sum", &["float32[B, n]"], over(&[])).contains("leave `axis` out"));
        assert!(rule_error("mean", &["int32[n]"], all()).contains("takes float elements, not int32"));
        assert!(rule_error("sum", &["bool[n]"], all()).contains(".to("));
        assert!(rule_error("sum", &["trit[n]"], all()).contains("storage type"));
        assert!(rule_error("any", &["float32[n]"], all()).contains("`x != 0`"));
        assert!(rule_error("argmin", &["int8[B, n]"], over(&[0, 1])).contains("takes one axis"));
        assert!(rule_error("max", &["int8[B, 0]"], over(&[1])).starts_with("E0310 `max` of no elements: axis 1"));
    }

    #[test]
    fn sums_and_products() {
        let x = tensor(Float32, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let sum = |attrs| eval("sum", [x.clone()], attrs);
        assert_eq!(sum(all()).to_f64(), [21.0]);
        assert_eq!(sum(over(&[0])).to_f64(), [5.0, 7.0, 9.0]);
        assert_eq!(sum(over(&[-1])).to_f64(), [6.0, 15.0]);
        assert_eq!((sum(kept(&[1])).shape(), sum(kept(&[0, 1])).shape()), (&[2, 1][..], &[1, 1][..]));
        assert_eq!(eval("prod", [x.clone()], over(&[1])).to_f64(), [6.0, 120.0]);
        assert_eq!(eval("mean", &[x], over(&[1])).to_f64(), [2.0, 5.0]);
        let cube = tensor(Int32, &[2, 2, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        assert_eq!(eval("sum", [cube.clone()], over(&[0, 2])).to_f64(), [14.0, 22.0]);
        assert_eq!(eval("sum", &[cube], over(&[1])).to_f64(), [4.0, 6.0, 12.0, 14.0]);
        assert_eq!(eval("sum", &[tensor(Float32, &[], &[3.0])], all()).to_f64(), [3.0]);
    }

    #[test]
    fn accumulation_is_wide_and_rounds_once() {
        let many = vector(BFloat16, &[1.0; 1000]);
        assert_eq!(eval("sum", &[many], all()).to_f64(), [1000.0]);
        assert_eq!(eval("sum", &[vector(Float16, &[2048.0, 1.0, 1.0])], all()).to_f64(), [2050.0]);
        assert_eq!(eval("sum", &[vector(Float32, &[1e8, 1.0, -1e8])], all()).to_f64(), [1.0]);
        assert_eq!(eval("sum", &[vector(Int8, &[100.0, 100.0])], all()).to_f64(), [-56.0]);
    }

    #[test]
    fn empty_reductions() {
        let none = tensor(Float32, &[2, 0], &[]);
        assert_eq!(eval("sum", [none.clone()], over(&[1])).to_f64(), [0.0, 0.0]);
        assert_eq!(eval("prod", [none.clone()], all()).to_f64(), [1.0]);
        assert!(same(&eval("mean", [none.clone()], over(&[1])).to_f64(), &[f64::NAN; 2]));
        assert!(try_eval("max", [none.clone()], over(&[1])).unwrap_err().0.contains("no elements"));
        assert_eq!(eval("max", [none.clone()], over(&[0])).shape(), [0]);
        assert!(try_eval("argmax", &[none], all()).is_err());
        let bools = vector(Bool, &[]);
        assert_eq!(eval("any", [bools.clone()], all()).to_f64(), [0.0]);
        assert_eq!(eval("all", &[bools], all()).to_f64(), [1.0]);
    }

    #[test]
    fn extremes() {
        let x = tensor(Float32, &[2, 2], &[1.0, f64::NAN, -5.0, f64::NEG_INFINITY]);
        assert!(same(&eval("max", [x.clone()], over(&[1])).to_f64(), &[f64::NAN, -5.0]));
        assert!(same(&eval("min", &[x], over(&[1])).to_f64(), &[f64::NAN, f64::NEG_INFINITY]));
        assert_eq!(eval("max", &[vector(Int8, &[-3.0, -128.0])], all()).to_f64(), [-3.0]);
        let unsigned = Tensor::from_i64(UInt64, vec![2], vec![1, -1]);
        assert_eq!(eval("max", [unsigned.clone()], all()).as_i64(), Some(&[-1][..]));
        assert_eq!(eval("min", &[unsigned], all()).as_i64(), Some(&[1][..]));
    }

    #[test]
    fn positions_are_the_first_on_ties() {
        let x = tensor(Float64, &[2, 3], &[1.0, 3.0, 3.0, 2.0, f64::NAN, f64::NAN]);
        assert_eq!(eval("argmax", [x.clone()], over(&[1])).to_f64(), [1.0, 1.0]);
        assert_eq!(eval("argmin", [x.clone()], over(&[-1])).to_f64(), [0.0, 1.0]);
        assert_eq!(eval("argmax", [x.clone()], over(&[0])).to_f64(), [1.0, 1.0, 1.0]);
        let flat = eval("argmax", [x.clone()], all());
        assert_eq!((flat.dtype(), flat.shape(), flat.to_f64()), (DType::Int64, &[][..], vec![4.0]));
        assert_eq!(eval("argmax", &[x], kept(&[1])).shape(), [2, 1]);
        assert_eq!(eval("argmax", &[tensor(Int8, &[], &[3.0])], all()).to_f64(), [0.0]);
    }

    #[test]
    fn any_and_all() {
        let x = tensor(Bool, &[2, 2], &[1.0, 0.0, 1.0, 1.0]);
        assert_eq!(eval("any", [x.clone()], over(&[0])).to_f64(), [1.0, 1.0]);
        assert_eq!(eval("all", [x.clone()], over(&[1])).to_f64(), [0.0, 1.0]);
        assert_eq!(eval("all", &[x], all()).dtype(), Bool);
    }
}
