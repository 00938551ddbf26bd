//! Reading and writing by integer tensors: take, gather, scatter, one_hot.

use crate::base::code;
use crate::ops::cost::Cost;
use crate::ops::gemm::finish;
use crate::ops::precision::{self, Precision};
use crate::ops::storage::{Element, around, by_class, for_each_offset, from_runs, position, signed_strides};
use crate::ops::traits::{Role, Traits};
use crate::ops::{Default, EvalCx, EvalError, Gradient, Op, OpError, Param, ParamKind, RuleCx, Stop, gradient};
use crate::types::tensor::Data;
use crate::types::{DType, Dim, Elem, Pack, Shape, Tensor, TensorType};

const INDEX: Traits = Traits { role: Role::Read, cost: Cost::Nothing, precision: Precision::Moves, ..Traits::CAUTIOUS };

pub static OPS: &[Op] = &[
    Op {
        name: "take",
        params: &[Param::tensor("x"), Param::indices("index"), Param::with("axis", ParamKind::Axis, Default::Int(0))],
        rule: take_rule,
        eval: take_eval,
        gradient: Gradient::Rule(gradient::index::take),
        traits: INDEX,
        doc: "The slices of an axis that an integer tensor names, written `x[index]`.\n\n\
              The shape is that of `x` with the axis replaced by the shape of `index`. Negative indices count from \
              the end; one out of range is an error. PyTorch: `index_select`, or indexing; an embedding is \
              `take(weight, tokens)`.",
    },
    Op {
        name: "gather",
        params: &[Param::tensor("x"), Param::required("axis", ParamKind::Axis), Param::indices("index")],
        rule: gather_rule,
        eval: gather_eval,
        gradient: Gradient::Rule(gradient::index::gather),
        traits: INDEX,
        doc: "For each place of `index`, the element of `x` at that place with the axis' coordinate replaced by the \
              index.\n\n\
              `index` has the rank of `x` (E0304) and, beside the axis, is at most as large (E0309); the result has \
              its shape. Negative indices count from the end; one out of range is an error.",
    },
    Op {
        name: "scatter",
        params: &[
            Param::tensor("x"),
            Param::required("axis", ParamKind::Axis),
            Param::indices("index"),
            Param::tensor("updates"),
            Param::with("reduce", ParamKind::Str, Default::None),
        ],
        rule: scatter_rule,
        eval: scatter_eval,
        gradient: Gradient::Rule(gradient::index::scatter),
        traits: Traits { role: Role::Alone, precision: precision::ACCUMULATES, ..INDEX },
        doc: "`x` with each element of `updates` written to the place that `gather` would read.\n\n\
              `reduce` is how it meets what stands there: left out, it replaces it (the last one in row-major order \
              where several meet); \"add\", \"mul\", \"max\" or \"min\" combine. PyTorch: `scatter` and \
              `scatter_reduce` (\"sum\", \"prod\", \"amax\", \"amin\"). `index` has the rank of `x` and `updates` (E0304) \
              and is nowhere larger (E0309), but along the axis in `x`.",
    },
    Op {
        name: "one_hot",
        params: &[Param::tensor("x"), Param::required("num_classes", ParamKind::Int)],
        rule: one_hot_rule,
        eval: one_hot_eval,
        gradient: gradient::INTEGERS,
        traits: Traits { precision: Precision::Any, ..INDEX },
        doc: "A new last axis with a 1 at the position that each integer names and 0 elsewhere, as `int64`.\n\n\
              An integer outside `0..num_classes` is an error.",
    },
];

fn require_index(cx: &RuleCx<'_>, operand: usize) -> Result<(), Stop> {
    cx.require_elem(operand, Elem::is_int, "integers as `index`")
}

fn take_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let (x, index) = (cx.operand(0), &cx.operand(1).shape);
    require_index(cx, 1)?;
    cx.expect(vec![x.with_shape(Shape::unknown())]);
    let axis = cx.axis("axis", 0)?;
    let mut dims = x.shape.dims.clone();
    dims.splice(axis..=axis, index.dims.iter().cloned());
    let pack = match (&x.shape.pack, &index.pack) {
        (None, None) => None,
        (None, Some((at, pack))) => Some((axis + at, pack.clone())),
        (Some((at, pack)), None) if axis < *at => Some((at + index.dims.len() - 1, pack.clone())),
        (Some((at, pack)), None) => Some((*at, pack.clone())),
        // Two packs: what stands between them cannot be written.
        (Some((own, _)), Some((inner, _))) => {
            let (first, last) = match axis < *own {
                true => (axis + inner, own + index.dims.len() - 1),
                false => (*own, axis + inner),
            };
            let shape = Shape::with_pack(dims[..first].to_vec(), Pack::Unknown, dims[last..].to_vec());
            return Ok(vec![x.with_shape(shape)]);
        }
    };
    Ok(vec![x.with_shape(Shape { dims, pack })])
}

fn take_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let (x, index) = (cx.operand(0), cx.operand(1));
    let axis = cx.axis("axis", x.rank())?;
    let (outer, size, inner) = around(x.shape(), axis);
    let rows = positions(cx, index, size)?;
    let mut shape = x.shape().to_vec();
    shape.splice(axis..=axis, index.shape().iter().copied());
    let rows = &rows;
    let plan = (0..outer).flat_map(|o| rows.iter().map(move |row| (0, (o * size + row) * inner, inner)));
    Ok(vec![from_runs(&[x], x.dtype(), shape, plan)?])
}

/// All indices as positions in an axis of this size.
fn positions(cx: &EvalCx<'_>, index: &Tensor, size: usize) -> Result<Vec<usize>, EvalError> {
    i64::slice(index.data()).iter().map(|&i| position(cx.op.name, i, size)).collect()
}

/// Requires the shapes of two operands to be of one rank; packs must be the same.
fn require_same_rank(cx: &RuleCx<'_>, left: usize, right: usize) -> Result<(), Stop> {
    let (a, b) = (&cx.operand(left).shape, &cx.operand(right).shape);
    match (a.rank(), b.rank()) {
        (Some(x), Some(y)) if x != y => {
            let message = format!("`{}` takes tensors of one rank, but these are [{a}] and [{b}]", cx.op.name);
            Err(OpError::new(code::E0304, message).label(left, format!("[{a}]")).label(right, format!("[{b}]")).into())
        }
        _ if a.pack != b.pack || a.dims.len() != b.dims.len() || a.is_unknown() => Err(cx.unknown()),
        _ => Ok(()),
    }
}

/// Requires operand `small` to be at most as large as operand `large`, but along `except`.
fn require_within(cx: &mut RuleCx<'_>, small: usize, large: usize, except: Option<usize>) -> Result<(), Stop> {
    require_same_rank(cx, large, small)?;
    let (a, b) = (&cx.operand(small).shape, &cx.operand(large).shape);
    let op = cx.op.name;
    for index in (0..a.dims.len()).filter(|index| Some(*index) != except) {
        let (own, limit) = (&a.dims[index], &b.dims[index]);
        cx.require_at_least(limit, own, || {
            let message = format!("`{op}`: [{a}] is larger than [{b}]: {own} is more than {limit}");
            OpError::new(code::E0309, message).label(small, format!("[{a}]")).label(large, format!("[{b}]"))
        })?;
    }
    Ok(())
}

fn gather_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let result = cx.operand(0).with_shape(cx.operand(1).shape.clone());
    require_index(cx, 1)?;
    cx.expect(vec![result.clone()]);
    let axis = cx.axis("axis", 0)?;
    require_within(cx, 1, 0, Some(axis))?;
    Ok(vec![result])
}

/// Offsets in a tensor of shape `shape` for each place of `index`, whose axis' coordinate is the index.
fn places(cx: &EvalCx<'_>, index: &Tensor, shape: &[usize], axis: usize) -> Result<Vec<usize>, EvalError> {
    let within = (0..shape.len()).all(|a| a == axis || index.shape().get(a).is_some_and(|size| *size <= shape[a]));
    if index.rank() != shape.len() || !within {
        return Err(EvalError(format!("{}: index of shape {:?} does not fit {shape:?}", cx.op.name, index.shape())));
    }
    let rows = positions(cx, index, shape[axis])?;
    let own = signed_strides(shape);
    let stride = own[axis] as usize;
    let mut strides = own;
    strides[axis] = 0;
    let mut rows = rows.into_iter();
    let mut out = Vec::with_capacity(index.len());
    for_each_offset(index.shape(), &strides, 0, |start| out.push(start + rows.next().unwrap_or(0) * stride));
    Ok(out)
}

fn gather_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let (x, index) = (cx.operand(0), cx.operand(1));
    let places = places(cx, index, x.shape(), cx.axis("axis", x.rank())?)?;
    let data = by_class!(x.data(), T => {
        let source = T::slice(x.data());
        T::wrap(places.into_iter().map(|place| source[place]).collect())
    });
    Ok(vec![Tensor::new(x.dtype(), index.shape().to_vec(), data)])
}

fn scatter_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    require_index(cx, 1)?;
    cx.expect(vec![x.clone()]);
    cx.same_elem(0, 2)?;
    let reduce = match cx.attrs.get("reduce") {
        Some(crate::ops::Attr::None) | None => Reduce::Replace,
        _ => Reduce::parse(cx.str("reduce")?).ok_or_else(|| {
            OpError::new(code::E0201, "`scatter` knows the reductions \"add\", \"mul\", \"max\" and \"min\"")
        })?,
    };
    if reduce != Reduce::Replace {
        cx.require_elem(0, Elem::is_num, "numbers")?;
    }
    let axis = cx.axis("axis", 0)?;
    require_within(cx, 1, 0, Some(axis))?;
    require_within(cx, 1, 2, None)?;
    Ok(vec![x.clone()])
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reduce {
    Replace,
    Add,
    Mul,
    Max,
    Min,
}

impl Reduce {
    fn parse(name: &str) -> Option<Reduce> {
        Some(match name {
            "add" => Reduce::Add,
            "mul" => Reduce::Mul,
            "max" => Reduce::Max,
            "min" => Reduce::Min,
            _ => return None,
        })
    }

    fn float(self, old: f64, new: f64) -> f64 {
        match self {
            Reduce::Replace => new,
            Reduce::Add => old + new,
            Reduce::Mul => old * new,
            // NaN wins, as in every maximum.
            Reduce::Max | Reduce::Min if old.is_nan() || new.is_nan() => f64::NAN,
            Reduce::Max => old.max(new),
            Reduce::Min => old.min(new),
        }
    }

    fn int(self, dtype: DType, old: i64, new: i64) -> i64 {
        let greater = if dtype == DType::UInt64 { old as u64 >= new as u64 } else { old >= new };
        match self {
            Reduce::Replace => new,
            Reduce::Add => old.wrapping_add(new),
            Reduce::Mul => old.wrapping_mul(new),
            Reduce::Max => {
                if greater {
                    old
                } else {
                    new
                }
            }
            Reduce::Min => {
                if greater {
                    new
                } else {
                    old
                }
            }
        }
    }
}

fn scatter_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let (x, index, updates) = (cx.operand(0), cx.operand(1), cx.operand(2));
    let reduce = match cx.attrs.get("reduce") {
        None | Some(crate::ops::Attr::None) => Reduce::Replace,
        _ => Reduce::parse(cx.str("reduce")?).ok_or_else(|| EvalError::new("scatter: unknown reduction"))?,
    };
    let targets = places(cx, index, x.shape(), cx.axis("axis", x.rank())?)?;
    let within = index.rank() == updates.rank() && index.shape().iter().zip(updates.shape()).all(|(a, b)| a <= b);
    if !within || x.dtype() != updates.dtype() {
        return Err(EvalError(format!("scatter: updates of shape {:?} do not fit", updates.shape())));
    }
    let mut sources = Vec::with_capacity(targets.len());
    for_each_offset(index.shape(), &signed_strides(updates.shape()), 0, |offset| sources.push(offset));
    let moves = targets.into_iter().zip(sources);
    let shape = x.shape().to_vec();
    if let (Data::I64(old), Data::I64(new)) = (x.data(), updates.data()) {
        let mut out = old.clone();
        moves.for_each(|(to, from)| out[to] = reduce.int(x.dtype(), out[to], new[from]));
        return Ok(vec![finish(x.dtype(), shape, Data::I64(out))]);
    }
    // Floats meet in double precision and are rounded once.
    let (mut out, new) = (x.to_f64(), updates.to_f64());
    moves.for_each(|(to, from)| out[to] = reduce.float(out[to], new[from]));
    Ok(vec![Tensor::from_f64(x.dtype(), shape, out)])
}

fn one_hot_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.require_elem(0, Elem::is_int, "integers")?;
    let mut shape = cx.operand(0).shape.clone();
    shape.dims.push(cx.fresh_dim());
    cx.expect(vec![TensorType::new(DType::Int64, shape.clone())]);
    let classes = cx.dim("num_classes")?;
    cx.require_at_least(&classes, &Dim::constant(1), || {
        OpError::new(code::E0310, format!("`one_hot` needs at least 1 class, not {classes}"))
    })?;
    let last = shape.dims.len() - 1;
    Ok(vec![TensorType::new(DType::Int64, shape.with_dim(last, classes))])
}

fn one_hot_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let classes = usize::try_from(cx.int("num_classes")?).map_err(|_| EvalError::new("one_hot: negative size"))?;
    let mut out = vec![0; x.len() * classes];
    for (row, &class) in i64::slice(x.data()).iter().enumerate() {
        let class = usize::try_from(class)
            .ok()
            .filter(|c| *c < classes)
            .ok_or_else(|| EvalError(format!("one_hot: index {class} is out of range for {classes} classes")))?;
        out[row * classes + class] = 1;
    }
    let mut shape = x.shape().to_vec();
    shape.push(classes);
    Ok(vec![Tensor::from_i64(DType::Int64, shape, out)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testkit::{dim, error, eval, floats, ints, iota, open_rule, rule, try_eval};
    use crate::ops::{Attr, Attrs};

    fn axis(value: i64) -> Attrs {
        Attrs::new().with("axis", Attr::int(value))
    }

    #[test]
    fn take_replaces_the_axis() {
        assert_eq!(rule("take", &["float32[V, D]", "int64[B, T]"], Attrs::new()), "float32[B, T, D]");
        assert_eq!(rule("take", &["float32[V, D]", "int32[...S]"], Attrs::new()), "float32[...S, D]");
        assert_eq!(rule("take", &["float32[a, V, D]", "int64"], axis(1)), "float32[a, D]");
        assert_eq!(rule("take", &["float32[V, ...S, D]", "int64[B, T]"], axis(0)), "float32[B, T, ...S, D]");
        assert_eq!(rule("take", &["float32[V, ...S]", "int64"], axis(0)), "float32[...S]");
        assert_eq!(rule("take", &["float32[a, ...S, V]", "int64[B]"], axis(-1)), "float32[a, ...S, B]");
        assert_eq!(rule("take", &["float32[V, a, ...S, b]", "int64[c, ...R, d]"], axis(0)), "float32[c, ..., b]");
        assert_eq!(rule("take", &["float32[a, ...S, V, b]", "int64[c, ...R, d]"], axis(-2)), "float32[a, ..., d, b]");
        assert_eq!(error("take", &["float32[V]", "float32[B]"], axis(0)).code, code::E0209);
        assert_eq!(error("take", &["float32[V]", "int64[B]"], axis(1)).code, code::E0305);
    }

    #[test]
    fn take_reads_nothing_wild() {
        let x = iota(&[3, 2]);
        let take = |index: &[i64], at: i64| try_eval("take", &[x.clone(), ints(&[index.len()], index)], axis(at));
        assert_eq!(take(&[2, -3], 0).map(|t| t[0].to_f64()), Ok(vec![4.0, 5.0, 0.0, 1.0]));
        assert_eq!(take(&[1], 1).map(|t| t[0].to_f64()), Ok(vec![1.0, 3.0, 5.0]));
        assert_eq!(take(&[3], 0), Err(EvalError::new("take: index 3 is out of range for an axis of size 3")));
        assert_eq!(take(&[-3], 1), Err(EvalError::new("take: index -3 is out of range for an axis of size 2")));
    }

    #[test]
    fn gather_follows_the_index() {
        assert_eq!(rule("gather", &["float32[B, V]", "int64[B, 1]"], axis(1)), "float32[B, 1]");
        assert_eq!(rule("gather", &["float32[...S, V]", "int64[...S, k]"], axis(-1)), "float32[...S, k]");
        assert_eq!(open_rule("gather", &["float32[B, V]", "int64[C, 1]"], axis(1)).1, 1);
        assert_eq!(error("gather", &["float32[2, V]", "int64[3, 1]"], axis(1)).code, code::E0309);
        assert_eq!(error("gather", &["float32[B, V]", "int64[B]"], axis(1)).code, code::E0304);
        let x = iota(&[2, 3]);
        let out = eval("gather", &[x.clone(), ints(&[2, 2], &[2, 0, -1, 1])], axis(1));
        assert_eq!(out.as_i64(), Some(&[2, 0, 5, 4][..]));
        let out = eval("gather", &[x.clone(), ints(&[1, 3], &[1, 0, 1])], axis(0));
        assert_eq!(out.as_i64(), Some(&[3, 1, 5][..]));
        let wrong = try_eval("gather", &[x, ints(&[1, 1], &[3])], axis(1));
        assert_eq!(wrong, Err(EvalError::new("gather: index 3 is out of range for an axis of size 3")));
    }

    #[test]
    fn scatter_writes_and_reduces() {
        let call = |operands: &[&str]| error("scatter", operands, axis(1)).code;
        assert_eq!(rule("scatter", &["float32[B, V]", "int64[B, 1]", "float32[B, 1]"], axis(1)), "float32[B, V]");
        assert_eq!(call(&["float32[B, V]", "int64[B, 2]", "float32[B, 1]"]), code::E0309);
        assert_eq!(call(&["float32[B, V]", "int64[B, 1]", "float16[B, 1]"]), code::E0202);
        assert_eq!(call(&["float32[B, V]", "int64[B, 1]", "float32[B]"]), code::E0304);
        let with = |name: &str| axis(1).with("reduce", Attr::Str(name.into()));
        assert_eq!(error("scatter", &["float32[B, V]", "int64[B, 1]", "float32[B, 1]"], with("sum")).code, code::E0201);
        let (x, index) = (floats(&[1, 3], &[1.0, 2.0, 3.0]), ints(&[1, 3], &[0, 0, -1]));
        let updates = floats(&[1, 3], &[5.0, 4.0, -1.0]);
        let operands = [x, index, updates];
        assert_eq!(eval("scatter", &operands, axis(1)).to_f64(), [4.0, 2.0, -1.0]);
        assert_eq!(eval("scatter", &operands, with("add")).to_f64(), [10.0, 2.0, 2.0]);
        assert_eq!(eval("scatter", &operands, with("mul")).to_f64(), [20.0, 2.0, -3.0]);
        assert_eq!(eval("scatter", &operands, with("max")).to_f64(), [5.0, 2.0, 3.0]);
        assert_eq!(eval("scatter", &operands, with("min")).to_f64(), [1.0, 2.0, -1.0]);
        let bytes = |values: &[i64]| Tensor::from_i64(DType::UInt8, vec![values.len()], values.to_vec());
        let add = axis(0).with("reduce", Attr::Str("add".into()));
        assert_eq!(eval("scatter", &[bytes(&[250]), ints(&[1], &[0]), bytes(&[10])], add).as_i64(), Some(&[4][..]));
    }

    #[test]
    fn one_hot_rows() {
        let classes = |text: &str| Attrs::new().with("num_classes", Attr::Int(dim(text)));
        assert_eq!(rule("one_hot", &["int32[...S]"], classes("C")), "int64[...S, C]");
        let unknown = Attrs::new().with("num_classes", Attr::Unknown);
        assert_eq!(open_rule("one_hot", &["int32[B]"], unknown).0, "~int64[B, ?]");
        assert_eq!(error("one_hot", &["float32[B]"], classes("C")).code, code::E0209);
        assert_eq!(error("one_hot", &["int64[B]"], classes("0")).code, code::E0310);
        let out = eval("one_hot", &[ints(&[2], &[2, 0])], classes("3"));
        assert_eq!(out.as_i64(), Some(&[0, 0, 1, 1, 0, 0][..]));
        let wrong = try_eval("one_hot", &[ints(&[1], &[-1])], classes("3"));
        assert_eq!(wrong, Err(EvalError::new("one_hot: index -1 is out of range for 3 classes")));
    }
}
