//! Running sums and products, sorting, and the k largest.
//!
//! Order is that of the values with NaN as the largest; equal elements keep their order, so every result
//! is determined.

use crate::base::code;
use crate::ops::cost::Cost;
use crate::ops::elementwise::num_rule;
use crate::ops::kernel::{Lanes, order_key};
use crate::ops::precision::{self, Precision};
use crate::ops::traits::{Role, Traits};
use crate::ops::{Default, EvalCx, EvalError, Gradient, Op, OpError, Param, ParamKind, RuleCx, Stop, gradient};
use crate::types::tensor::{Data, round_f64, wrap};
use crate::types::{DType, Dim, Shape, Tensor, TensorType};
use std::cmp::Ordering;

const SCAN: Traits =
    Traits { role: Role::Scan, cost: Cost::Operands, precision: precision::ACCUMULATES, ..Traits::CAUTIOUS };
const ORDER: Traits = Traits { cost: Cost::Operands, precision: Precision::Moves, ..Traits::CAUTIOUS };

pub static OPS: &[Op] = &[
    Op {
        name: "cumsum",
        params: &[Param::tensor("x"), Param::required("axis", ParamKind::Axis)],
        rule: scan_rule,
        eval: |cx| scan_eval(cx, 0.0, |total, x| total + x, 0, i64::wrapping_add),
        gradient: Gradient::Rule(gradient::scan::cumsum),
        traits: SCAN,
        doc: "Running sum along `axis`, each element included.\n\nKeeps type and shape. Integers wrap; floats \
              accumulate in a wider type.",
    },
    Op {
        name: "cumprod",
        params: &[Param::tensor("x"), Param::required("axis", ParamKind::Axis)],
        rule: scan_rule,
        eval: |cx| scan_eval(cx, 1.0, |total, x| total * x, 1, i64::wrapping_mul),
        gradient: Gradient::Rule(gradient::scan::cumprod),
        traits: SCAN,
        doc: "Running product along `axis`, each element included.\n\nKeeps type and shape. Integers wrap; floats \
              accumulate in a wider type.",
    },
    Op {
        name: "sort",
        params: &[
            Param::tensor("x"),
            Param::with("axis", ParamKind::Axis, Default::Int(-1)),
            Param::with("descending", ParamKind::Bool, Default::Bool(false)),
        ],
        rule: sort_rule,
        eval: |cx| {
            let axis = cx.axis("axis", cx.operand(0).rank())?;
            order_eval(cx, axis, cx.operand(0).shape()[axis], cx.bool("descending")?)
        },
        gradient: Gradient::Rule(gradient::scan::order),
        traits: ORDER,
        doc: "Sorted values along `axis`, and the positions they came from.\n\nGives `(values, indices)`, indices \
              `int64`, both of the operand's shape. Equal elements keep their order; NaN is the largest. \
              PyTorch: `sort(stable=True)`.",
    },
    Op {
        name: "topk",
        params: &[
            Param::tensor("x"),
            Param::required("k", ParamKind::Int),
            Param::with("axis", ParamKind::Axis, Default::Int(-1)),
            Param::with("largest", ParamKind::Bool, Default::Bool(true)),
        ],
        rule: topk_rule,
        eval: topk_eval,
        gradient: Gradient::Rule(gradient::scan::order),
        traits: ORDER,
        doc: "The `k` largest (or smallest) values along `axis` in order, and their positions.\n\nGives \
              `(values, indices)`, indices `int64`, with `k` in the place of the axis, which must have as many \
              elements. The lower index comes first on a tie; NaN is the largest.",
    },
];

/// The operand's own type; the axis must exist.
fn scan_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let result = num_rule(cx)?;
    cx.expect(result.clone());
    cx.axis("axis", 0)?;
    Ok(result)
}

fn sort_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    let result = vec![x.clone(), x.with_elem(DType::Int64)];
    cx.expect(result.clone());
    cx.axis("axis", 0)?;
    Ok(result)
}

fn topk_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    let results = |shape: Shape| vec![x.with_shape(shape.clone()), TensorType::new(DType::Int64, shape)];
    cx.expect(results(Shape::unknown()));
    let k = cx.dim("k")?;
    let axis = cx.axis("axis", 0)?;
    let size = &x.shape.dims[axis];
    if cx.facts.at_least(&k, &Dim::zero()) == Some(false) {
        return Err(OpError::new(code::E0310, format!("`topk` cannot take {k} elements")).into());
    }
    cx.require_at_least(size, &k, || {
        let message = format!("`topk` cannot take {k} of {size} elements");
        OpError::new(code::E0310, message).label(0, format!("[{}]", x.shape))
    })?;
    Ok(results(x.shape.with_dim(axis, k)))
}

fn scan_eval(
    cx: &EvalCx<'_>,
    float_start: f64,
    float: impl Fn(f64, f64) -> f64,
    int_start: i64,
    int: impl Fn(i64, i64) -> i64,
) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let dtype = x.dtype();
    let lanes = Lanes::along(x.shape(), cx.axis("axis", x.rank())?);
    let data = match x.data() {
        Data::F32(v) => Data::F32(scan(
            v,
            lanes,
            float_start,
            |total, x| float(total, f64::from(x)),
            |total| round_f64(dtype, total),
        )),
        Data::F64(v) => Data::F64(scan(v, lanes, float_start, float, |total| total)),
        Data::I64(v) => Data::I64(scan(v, lanes, int_start, int, |total| wrap(dtype, total))),
    };
    Ok(vec![Tensor::new(dtype, x.shape().to_vec(), data)])
}

fn scan<T: Copy, A: Copy>(
    x: &[T],
    lanes: Lanes,
    start: A,
    step: impl Fn(A, T) -> A,
    finish: impl Fn(A) -> T,
) -> Vec<T> {
    let mut result = x.to_vec();
    for first in lanes.starts() {
        let mut total = start;
        for j in 0..lanes.size {
            let index = first + j * lanes.inner;
            total = step(total, x[index]);
            result[index] = finish(total);
        }
    }
    result
}

fn topk_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let axis = cx.axis("axis", x.rank())?;
    let (k, size) = (cx.int("k")?, x.shape()[axis]);
    let count = usize::try_from(k).ok().filter(|count| *count <= size);
    let count = count.ok_or_else(|| EvalError::new(format!("topk: cannot take {k} of {size} elements")))?;
    order_eval(cx, axis, count, cx.bool("largest")?)
}

/// The first `count` values of each lane in order, and where they stood.
fn order_eval(cx: &EvalCx<'_>, axis: usize, count: usize, descending: bool) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let lanes = Lanes::along(x.shape(), axis);
    let mut shape = x.shape().to_vec();
    shape[axis] = count;
    let flip = order_key(x.dtype());
    let (data, indices) = match x.data() {
        Data::F32(v) => {
            let (values, indices) = order(v, lanes, count, descending, |a, b| float_order(f64::from(a), f64::from(b)));
            (Data::F32(values), indices)
        }
        Data::F64(v) => {
            let (values, indices) = order(v, lanes, count, descending, float_order);
            (Data::F64(values), indices)
        }
        Data::I64(v) => {
            let (values, indices) = order(v, lanes, count, descending, |a, b| (a ^ flip).cmp(&(b ^ flip)));
            (Data::I64(values), indices)
        }
    };
    Ok(vec![Tensor::new(x.dtype(), shape.clone(), data), Tensor::from_i64(DType::Int64, shape, indices)])
}

fn order<T: Copy>(
    x: &[T],
    lanes: Lanes,
    count: usize,
    descending: bool,
    compare: impl Fn(T, T) -> Ordering,
) -> (Vec<T>, Vec<i64>) {
    let total = lanes.outer * count * lanes.inner;
    let mut indices = vec![0i64; total];
    let mut sources = vec![0usize; total];
    let results = Lanes { size: count, ..lanes };
    let mut positions: Vec<usize> = vec![];
    for (first, target) in lanes.starts().zip(results.starts()) {
        let at = |j: usize| x[first + j * lanes.inner];
        positions.clear();
        positions.extend(0..lanes.size);
        // A stable sort; the comparison is turned round, not the result, so that ties keep their order.
        positions.sort_by(|&i, &j| if descending { compare(at(j), at(i)) } else { compare(at(i), at(j)) });
        for (j, &position) in positions.iter().take(count).enumerate() {
            indices[target + j * lanes.inner] = position as i64;
            sources[target + j * lanes.inner] = first + position * lanes.inner;
        }
    }
    (sources.into_iter().map(|source| x[source]).collect(), indices)
}

/// By value, NaN the largest.
fn float_order(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testkit::{eval, rule, rule_error, same, tensor, try_eval, vector};
    use crate::ops::{Attr, Attrs};
    use DType::{BFloat16, Float32, Int8, UInt64};

    fn along(axis: i64) -> Attrs {
        Attrs::new().with("axis", Attr::int(axis))
    }

    fn sorting(axis: i64, descending: bool) -> Attrs {
        along(axis).with("descending", Attr::Bool(descending))
    }

    fn top(k: Attr, axis: i64, largest: bool) -> Attrs {
        Attrs::new().with("k", k).with("axis", Attr::int(axis)).with("largest", Attr::Bool(largest))
    }

    #[test]
    fn rules() {
        assert_eq!(rule("cumsum", &["float32[B, n]"], along(0)), "float32[B, n]");
        assert_eq!(rule("cumsum", &["T[...S, n]"], along(0)), "~T[...S, n]");
        assert_eq!(rule("sort", &["trit[...S, n]"], sorting(-1, false)), "trit[...S, n], int64[...S, n]");
        assert_eq!(rule("topk", &["float32[B, 10]"], top(Attr::int(3), -1, true)), "float32[B, 3], int64[B, 3]");
        let symbolic = top(Attr::Int(Dim::symbol("k")), -1, true);
        assert_eq!(rule("topk", &["float32[n]"], symbolic), "float32[k], int64[k] | n >= k");
        assert_eq!(rule("topk", &["float32[...S, n]"], top(Attr::int(1), 0, true)), "~float32[...], int64[...]");
        assert!(rule_error("cumprod", &["float32[n]"], along(1)).starts_with("E0305"));
        assert!(rule_error("cumsum", &["bool[n]"], along(0)).starts_with("E0209"));
        let many = rule_error("topk", &["float32[2]"], top(Attr::int(3), 0, true));
        assert_eq!(many, "E0310 `topk` cannot take 3 of 2 elements");
        assert!(rule_error("topk", &["float32[2]"], top(Attr::int(-1), 0, true)).contains("cannot take -1"));
    }

    #[test]
    fn running_totals() {
        let x = tensor(Float32, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(eval("cumsum", [x.clone()], along(-1)).to_f64(), [1.0, 3.0, 6.0, 4.0, 9.0, 15.0]);
        assert_eq!(eval("cumsum", [x.clone()], along(0)).to_f64(), [1.0, 2.0, 3.0, 5.0, 7.0, 9.0]);
        assert_eq!(eval("cumprod", &[x], along(1)).to_f64(), [1.0, 2.0, 6.0, 4.0, 20.0, 120.0]);
        assert_eq!(eval("cumsum", &[vector(Int8, &[100.0, 100.0])], along(0)).to_f64(), [100.0, -56.0]);
        // The running total keeps what each rounded element drops.
        let halves = vector(BFloat16, &[256.0, 1.0, 1.0]);
        assert_eq!(eval("cumsum", &[halves], along(0)).to_f64(), [256.0, 256.0, 258.0]);
        assert_eq!(eval("cumsum", &[tensor(Float32, &[0, 2], &[])], along(0)).shape(), [0, 2]);
        assert!(try_eval("cumsum", &[tensor(Float32, &[], &[1.0])], along(0)).is_err());
    }

    #[test]
    fn sorting_is_stable_and_puts_nan_last() {
        let x = vector(Float32, &[2.0, f64::NAN, 1.0, 2.0, -0.0, 0.0]);
        let up = try_eval("sort", [x.clone()], sorting(-1, false)).unwrap();
        assert!(same(&up[0].to_f64(), &[0.0, 0.0, 1.0, 2.0, 2.0, f64::NAN]));
        assert_eq!(up[1].to_f64(), [4.0, 5.0, 2.0, 0.0, 3.0, 1.0]);
        let down = try_eval("sort", &[x], sorting(0, true)).unwrap();
        assert!(same(&down[0].to_f64(), &[f64::NAN, 2.0, 2.0, 1.0, 0.0, 0.0]));
        assert_eq!(down[1].to_f64(), [1.0, 0.0, 3.0, 2.0, 4.0, 5.0]);
        let columns = tensor(Int8, &[2, 2], &[3.0, 1.0, 2.0, 4.0]);
        let sorted = try_eval("sort", &[columns], sorting(0, false)).unwrap();
        assert_eq!((sorted[0].to_f64(), sorted[1].to_f64()), (vec![2.0, 1.0, 3.0, 4.0], vec![1.0, 0.0, 0.0, 1.0]));
    }

    #[test]
    fn top_k() {
        let x = tensor(Float32, &[2, 3], &[1.0, 3.0, 3.0, 5.0, 4.0, 6.0]);
        let most = try_eval("topk", [x.clone()], top(Attr::int(2), -1, true)).unwrap();
        assert_eq!((most[0].to_f64(), most[1].to_f64()), (vec![3.0, 3.0, 6.0, 5.0], vec![1.0, 2.0, 2.0, 0.0]));
        let least = try_eval("topk", [x.clone()], top(Attr::int(1), 0, false)).unwrap();
        assert_eq!((least[0].shape(), least[0].to_f64()), (&[1, 3][..], vec![1.0, 3.0, 3.0]));
        assert_eq!(try_eval("topk", [x.clone()], top(Attr::int(0), 1, true)).unwrap()[0].shape(), [2, 0]);
        assert!(try_eval("topk", &[x], top(Attr::int(4), 1, true)).is_err());
        let unsigned = Tensor::from_i64(UInt64, vec![2], vec![1, -1]);
        assert_eq!(try_eval("topk", &[unsigned], top(Attr::int(1), 0, true)).unwrap()[1].to_f64(), [1.0]);
    }
}
