//! Parts of a tensor and their surroundings: slices, dynamic slices and updates, padding, flip and roll.

use crate::base::code;
use crate::ops::cost::Cost;
use crate::ops::precision::Precision;
use crate::ops::simplify;
use crate::ops::storage::{Element, View, around, by_class, from_runs};
use crate::ops::traits::{Movement, Role, Traits};
use crate::ops::{
    Attr, Attrs, Default, EvalCx, EvalError, Gradient, Op, OpError, OpId, Param, ParamKind, RuleCx, Stop, gradient,
};
use crate::types::{Dim, Elem, Shape, Tensor, TensorType};

const SLICE: Traits = Traits { role: Role::Read, cost: Cost::Nothing, precision: Precision::Moves, ..Traits::CAUTIOUS };

pub static OPS: &[Op] = &[
    Op {
        name: "slice",
        params: &[
            Param::tensor("x"),
            Param::required("axis", ParamKind::Axis),
            Param::required("start", ParamKind::Int),
            Param::required("stop", ParamKind::Int),
            Param::with("step", ParamKind::Int, Default::Int(1)),
        ],
        rule: slice_rule,
        eval: slice_eval,
        gradient: Gradient::Rule(gradient::slice::slice),
        traits: Traits { movement: Movement::Shows, ..SLICE },
        doc: "Indices `start` to `stop` (exclusive) of an axis, written `x[start:stop:step]`.\n\n\
              The result has `stop - start` elements there, divided by `step` and rounded up. Nothing is clamped: \
              `0 <= start <= stop <= size` must hold (E0309).",
    },
    Op {
        name: "dynamic_slice",
        params: &[
            Param::tensor("x"),
            Param::indices("start"),
            Param::required("axis", ParamKind::Axis),
            Param::required("size", ParamKind::Int),
        ],
        rule: dynamic_slice_rule,
        eval: dynamic_slice_eval,
        gradient: Gradient::Rule(gradient::slice::dynamic_slice),
        traits: Traits { movement: Movement::Rearranges, ..SLICE },
        doc: "`size` elements of an axis from `start`, a scalar that is known at run time.\n\n\
              A negative start counts from the end; a slice that leaves the axis is an error. PyTorch: `narrow`.",
    },
    Op {
        name: "dynamic_update",
        params: &[
            Param::tensor("x"),
            Param::tensor("updates"),
            Param::indices("start"),
            Param::required("axis", ParamKind::Axis),
        ],
        rule: dynamic_update_rule,
        eval: dynamic_update_eval,
        gradient: Gradient::Rule(gradient::slice::dynamic_update),
        traits: Traits { role: Role::Alone, ..SLICE },
        doc: "`x` with `updates` in the place of as many elements of an axis, from `start` on.\n\n\
              All other sizes must be those of `x` (E0303). A negative start counts from the end; an update that \
              leaves the axis is an error. PyTorch: `slice_scatter`.",
    },
    Op {
        name: "pad",
        params: &[
            Param::tensor("x"),
            Param::required("pads", ParamKind::Pads),
            Param::with("mode", ParamKind::Str, Default::Str("constant")),
            Param::with("value", ParamKind::Float, Default::Float(0.0)),
        ],
        rule: pad_rule,
        eval: pad_eval,
        gradient: Gradient::Rule(gradient::slice::pad),
        traits: Traits { laws: &[simplify::unchanged_by_pad], ..SLICE },
        doc: "Adds `(low, high)` elements before and after each axis.\n\n\
              There is one pair for each axis; fewer pairs stand for the last axes. `mode` is \"constant\" (with \
              `value`), \"reflect\" (without repeating the edge; less than the size), \"edge\" (PyTorch: replicate) or \
              \"wrap\" (PyTorch: circular; at most the size). PyTorch lists the pairs from the last axis on.",
    },
    Op {
        name: "flip",
        params: &[Param::tensor("x"), Param::required("axes", ParamKind::Axes)],
        rule: flip_rule,
        eval: flip_eval,
        gradient: Gradient::Rule(gradient::slice::flip),
        traits: Traits { role: Role::View, movement: Movement::Rearranges, laws: &[simplify::flip_back], ..SLICE },
        doc: "Reverses the order along the axes; all of them for `None`.\n\n`x[::-1]` is `flip(x, 0)`.",
    },
    Op {
        name: "roll",
        params: &[
            Param::tensor("x"),
            Param::required("shifts", ParamKind::Ints),
            Param::required("axes", ParamKind::Axes),
        ],
        rule: roll_rule,
        eval: roll_eval,
        gradient: Gradient::Rule(gradient::slice::roll),
        traits: Traits { role: Role::View, ..SLICE },
        doc: "Moves elements along the axes by as many places; what leaves at one end comes in at the other.\n\n\
              There is one shift for each axis (E0304). Without axes, `x` is rolled as if it were flat.",
    },
];

/// The axis and the only position along it that an operation takes, if that is what it does: `x[i : i + 1]`.
pub fn single_position(op: OpId, attrs: &Attrs) -> Option<(i64, Dim)> {
    let int = |name: &str| match attrs.get(name) {
        Some(Attr::Int(dim)) => Some(dim.clone()),
        _ => None,
    };
    let (axis, start, stop, step) = (int("axis")?.as_const()?, int("start")?, int("stop")?, int("step")?);
    let one = op.name() == "slice" && stop.sub(&start).is_const(1) && step.is_const(1);
    one.then_some((axis, start))
}

fn slice_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    cx.expect(vec![x.with_shape(Shape::unknown())]);
    let axis = cx.axis("axis", 0)?;
    let free = cx.fresh_dim();
    cx.expect(vec![x.with_shape(x.shape.with_dim(axis, free))]);
    let (start, stop, step) = (cx.dim("start")?, cx.dim("stop")?, cx.dim("step")?);
    let size = &x.shape.dims[axis];
    let shape = &x.shape;
    cx.require_at_least(&step, &Dim::constant(1), || {
        OpError::new(code::E0310, format!("the step of a slice must be at least 1, not {step}"))
    })?;
    let out = |what: String| OpError::new(code::E0309, what).label(0, format!("[{shape}]"));
    cx.require_at_least(&start, &Dim::zero(), || out(format!("slice {start}:{stop} begins before the axis")))?;
    cx.require_at_least(&stop, &start, || out(format!("slice {start}:{stop} ends before it begins")))?;
    cx.require_at_least(size, &stop, || {
        out(format!("slice {start}:{stop} ends after the axis of size {size}")).note("slices are never clamped")
    })?;
    let count = stop.sub(&start).ceil_div(&step).ok_or_else(|| cx.unknown())?;
    Ok(vec![x.with_shape(shape.with_dim(axis, count))])
}

fn slice_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let axis = cx.axis("axis", x.rank())?;
    let (start, stop, step) = (cx.int("start")?, cx.int("stop")?, cx.int("step")?);
    let size = x.shape()[axis];
    let sizes = (usize::try_from(start), usize::try_from(stop), usize::try_from(step));
    let (Ok(first), Ok(end), Ok(step)) = sizes else {
        return Err(EvalError(format!("slice: {start}:{stop} is out of range for an axis of size {size}")));
    };
    if first > end || end > size || step == 0 {
        return Err(EvalError(format!("slice: {start}:{stop} is out of range for an axis of size {size}")));
    }
    Ok(vec![View::of(x).slice(axis, first, step, (end - first).div_ceil(step)).copy(x)])
}

/// Fails unless the operand is an integer scalar.
fn require_start(cx: &RuleCx<'_>, operand: usize) -> Result<(), Stop> {
    cx.require_elem(operand, Elem::is_int, "an integer as `start`")?;
    cx.require_rank(operand, 0, "a scalar as `start`")
}

fn dynamic_slice_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    cx.expect(vec![x.with_shape(Shape::unknown())]);
    require_start(cx, 1)?;
    let axis = cx.axis("axis", 0)?;
    let free = cx.fresh_dim();
    cx.expect(vec![x.with_shape(x.shape.with_dim(axis, free))]);
    let (count, size) = (cx.dim("size")?, &x.shape.dims[axis]);
    let shape = &x.shape;
    cx.require_at_least(&count, &Dim::zero(), || {
        OpError::new(code::E0310, format!("a size cannot be negative, but this one is {count}"))
    })?;
    cx.require_at_least(size, &count, || {
        let message = format!("a slice of {count} elements does not fit in an axis of size {size}");
        OpError::new(code::E0309, message).label(0, format!("[{shape}]"))
    })?;
    Ok(vec![x.with_shape(shape.with_dim(axis, count))])
}

/// Where a run of `count` elements begins in an axis; a negative start counts from the end.
fn run_start(cx: &EvalCx<'_>, start: &Tensor, count: usize, size: usize) -> Result<usize, EvalError> {
    let Some(&[start]) = start.as_i64() else {
        return Err(EvalError(format!("{}: `start` must be an integer scalar", cx.op.name)));
    };
    let resolved = if start < 0 { start.saturating_add(size as i64) } else { start };
    let fits = |first: &usize| first.checked_add(count).is_some_and(|end| end <= size);
    usize::try_from(resolved).ok().filter(fits).ok_or_else(|| {
        EvalError(format!("{}: {count} elements from {start} are out of range for an axis of size {size}", cx.op.name))
    })
}

fn dynamic_slice_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let axis = cx.axis("axis", x.rank())?;
    let count = usize::try_from(cx.int("size")?).map_err(|_| EvalError::new("dynamic_slice: negative size"))?;
    let start = run_start(cx, cx.operand(1), count, x.shape()[axis])?;
    Ok(vec![View::of(x).slice(axis, start, 1, count).copy(x)])
}

fn dynamic_update_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let (x, updates) = (cx.operand(0), cx.operand(1));
    cx.expect(vec![x.clone()]);
    cx.same_elem(0, 1)?;
    require_start(cx, 2)?;
    let axis = cx.axis("axis", 0)?;
    let (a, b) = (&x.shape, &updates.shape);
    if a.pack != b.pack || a.dims.len() != b.dims.len() {
        if a.pack.is_some() || b.pack.is_some() {
            return Err(cx.unknown());
        }
        let message = format!("an update of [{a}] must have its rank, but this is [{b}]");
        return Err(OpError::new(code::E0304, message).label(1, format!("[{b}]")).into());
    }
    for index in 0..a.dims.len() {
        let (own, new) = (&a.dims[index], &b.dims[index]);
        let error = |code, what: &str| {
            let message = format!("cannot update [{a}] with [{b}]: {new} {what} {own}");
            OpError::new(code, message).label(0, format!("[{a}]")).label(1, format!("[{b}]"))
        };
        if index == axis {
            cx.require_at_least(own, new, || error(code::E0309, "does not fit in"))?;
        } else {
            cx.require_equal(own, new, || error(code::E0303, "is not"))?;
        }
    }
    Ok(vec![x.clone()])
}

fn dynamic_update_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let (x, updates) = (cx.operand(0), cx.operand(1));
    let axis = cx.axis("axis", x.rank())?;
    let fits = x.rank() == updates.rank()
        && (0..x.rank()).all(|a| a == axis || x.shape()[a] == updates.shape()[a])
        && x.dtype() == updates.dtype();
    if !fits {
        return Err(EvalError(format!("dynamic_update: {:?} does not fit in {:?}", updates.shape(), x.shape())));
    }
    let (outer, size, inner) = around(x.shape(), axis);
    let count = updates.shape()[axis];
    let start = run_start(cx, cx.operand(2), count, size)?;
    let data = by_class!(x.data(), T => {
        let mut out = T::slice(x.data()).to_vec();
        let source = T::slice(updates.data());
        for o in 0..outer {
            let to = (o * size + start) * inner;
            out[to..to + count * inner].copy_from_slice(&source[o * count * inner..(o + 1) * count * inner]);
        }
        T::wrap(out)
    });
    Ok(vec![Tensor::new(x.dtype(), x.shape().to_vec(), data)])
}

fn pad_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    cx.expect(vec![x.with_shape(Shape::unknown())]);
    let mode = Mode::parse(cx.str("mode")?).ok_or_else(|| {
        let message = "`pad` knows the modes \"constant\", \"reflect\", \"edge\" and \"wrap\"";
        OpError::new(code::E0201, message)
    })?;
    let Some(Attr::Ints(pads)) = cx.attrs.get("pads") else { return Err(cx.unknown()) };
    let count = pads.len() / 2;
    let shape = &x.shape;
    if shape.rank().is_some_and(|rank| count > rank) || pads.len() % 2 == 1 {
        let message = format!("`pad` takes a pair (low, high) for each axis of [{shape}], but {count} pairs are given");
        return Err(OpError::new(code::E0304, message).label(0, format!("[{shape}]")).into());
    }
    if count > shape.tail().len() {
        return Err(cx.unknown());
    }
    let first = shape.dims.len() - count;
    let mut result = shape.clone();
    for (axis, pair) in (first..).zip(pads.chunks(2)) {
        let size = &shape.dims[axis];
        for pad in pair {
            cx.require_at_least(pad, &Dim::zero(), || {
                OpError::new(code::E0310, format!("a padding cannot be negative, but this one is {pad}"))
            })?;
            if let Some(least) = mode.least_size(pad) {
                cx.require_at_least(size, &least, || {
                    let message = format!("an axis of size {size} is too small for a padding of {pad} in this mode");
                    OpError::new(code::E0310, message).label(0, format!("[{shape}]"))
                })?;
            }
            result.dims[axis] = result.dims[axis].add(pad);
        }
    }
    Ok(vec![x.with_shape(result)])
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Constant,
    Reflect,
    Edge,
    Wrap,
}

impl Mode {
    fn parse(name: &str) -> Option<Mode> {
        Some(match name {
            "constant" => Mode::Constant,
            "reflect" => Mode::Reflect,
            "edge" => Mode::Edge,
            "wrap" => Mode::Wrap,
            _ => return None,
        })
    }

    /// What the axis must have at least for this padding.
    fn least_size(self, pad: &Dim) -> Option<Dim> {
        match self {
            _ if pad.is_const(0) => None,
            Mode::Constant => None,
            Mode::Reflect => Some(pad.add(&Dim::constant(1))),
            Mode::Edge => Some(Dim::constant(1)),
            Mode::Wrap => Some(pad.clone()),
        }
    }

    /// The element that stands at a place outside the axis; `None` for the constant.
    fn source(self, place: i64, size: i64) -> Option<i64> {
        match self {
            _ if (0..size).contains(&place) => Some(place),
            Mode::Constant => None,
            Mode::Reflect => Some(if place < 0 { -place } else { 2 * (size - 1) - place }),
            Mode::Edge => Some(place.clamp(0, (size - 1).max(0))),
            Mode::Wrap => Some(place.rem_euclid(size.max(1))),
        }
    }
}

fn pad_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let mode = Mode::parse(cx.str("mode")?).ok_or_else(|| EvalError::new("pad: unknown mode"))?;
    let pads: Vec<usize> = cx.shape("pads")?;
    let first = x.rank().checked_sub(pads.len() / 2).ok_or_else(|| EvalError::new("pad: too many pairs"))?;
    let fill = Tensor::filled(x.dtype(), vec![1], cx.float("value")?);
    let mut result = x.clone();
    for (axis, pair) in (first..).zip(pads.chunks_exact(2)) {
        result = pad_axis(&result, axis, (pair[0], pair[1]), mode, &fill)?;
    }
    Ok(vec![result])
}

fn pad_axis(
    x: &Tensor,
    axis: usize,
    (low, high): (usize, usize),
    mode: Mode,
    fill: &Tensor,
) -> Result<Tensor, EvalError> {
    if low == 0 && high == 0 {
        return Ok(x.clone());
    }
    let (outer, size, inner) = around(x.shape(), axis);
    let mut sources = vec![];
    for place in -(low as i64)..(size + high) as i64 {
        let source = mode.source(place, size as i64).map(|s| usize::try_from(s).ok().filter(|s| *s < size));
        if source == Some(None) {
            return Err(EvalError(format!("pad: an axis of size {size} is too small for padding {low}, {high}")));
        }
        sources.push(source.flatten());
    }
    let mut shape = x.shape().to_vec();
    shape[axis] = sources.len();
    // A row of the constant serves as the second tensor to copy from.
    let constant = View::broadcast(fill, &[inner]).map_or_else(|| fill.clone(), |view| view.copy(fill));
    let sources = &sources;
    let plan = (0..outer).flat_map(|o| {
        sources.iter().map(move |source| match source {
            Some(index) => (0, (o * size + index) * inner, inner),
            None => (1, 0, inner),
        })
    });
    from_runs(&[x, &constant], x.dtype(), shape, plan)
}

fn flip_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.expect(vec![cx.operand(0).clone()]);
    cx.axes("axes", 0)?;
    Ok(vec![cx.operand(0).clone()])
}

fn flip_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let axes = cx.axes("axes", x.rank())?;
    Ok(vec![axes.into_iter().fold(View::of(x), View::flip).copy(x)])
}

fn roll_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    cx.expect(vec![x.clone()]);
    cx.axes("axes", 0)?;
    let count = |name: &str| match cx.attrs.get(name) {
        Some(Attr::Ints(values)) => Some(values.len()),
        Some(Attr::Int(_) | Attr::None) => Some(1),
        _ => None,
    };
    match (count("shifts"), count("axes")) {
        (Some(shifts), Some(axes)) if shifts != axes => {
            let message = format!("`roll` takes one shift for each axis, but {shifts} for {axes} are given");
            Err(OpError::new(code::E0304, message).into())
        }
        _ => Ok(vec![x.clone()]),
    }
}

fn roll_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let shifts = cx.ints("shifts")?;
    if matches!(cx.attrs.get("axes"), None | Some(Attr::None)) {
        let shift = shifts.first().copied().unwrap_or(0);
        let flat = roll_axis(&x.reshaped(vec![x.len()]), 0, shift)?;
        return Ok(vec![flat.reshaped(x.shape().to_vec())]);
    }
    let mut result = x.clone();
    for (axis, shift) in cx.axes("axes", x.rank())?.into_iter().zip(shifts) {
        result = roll_axis(&result, axis, shift)?;
    }
    Ok(vec![result])
}

fn roll_axis(x: &Tensor, axis: usize, shift: i64) -> Result<Tensor, EvalError> {
    let (outer, size, inner) = around(x.shape(), axis);
    if size == 0 {
        return Ok(x.clone());
    }
    let shift = shift.rem_euclid(size as i64) as usize;
    let plan = (0..outer).flat_map(|o| {
        let start = o * size * inner;
        let kept = (size - shift) * inner;
        [(0, start + kept, shift * inner), (0, start, kept)]
    });
    from_runs(&[x], x.dtype(), x.shape().to_vec(), plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Attrs;
    use crate::ops::testkit::{dim, error, eval, eval_one, floats, ints, iota, open_rule, rule, try_eval};

    fn range(axis: i64, start: &str, stop: &str, step: i64) -> Attrs {
        let attrs = Attrs::new().with("axis", Attr::int(axis)).with("start", Attr::Int(dim(start)));
        attrs.with("stop", Attr::Int(dim(stop))).with("step", Attr::int(step))
    }

    #[test]
    fn slices_never_clamp() {
        assert_eq!(rule("slice", &["float32[B, n]"], range(1, "0", "n", 1)), "float32[B, n]");
        assert_eq!(rule("slice", &["float32[...S, n + 2]"], range(-1, "1", "n + 1", 1)), "float32[...S, n]");
        assert_eq!(rule("slice", &["float32[2*n]"], range(0, "1", "2*n", 2)), "float32[n]");
        assert_eq!(open_rule("slice", &["float32[n]"], range(0, "0", "T", 1)), ("float32[T]".into(), 1));
        assert_eq!(error("slice", &["float32[3]"], range(0, "0", "4", 1)).code, code::E0309);
        assert_eq!(error("slice", &["float32[3]"], range(0, "2", "1", 1)).code, code::E0309);
        assert_eq!(error("slice", &["float32[3]"], range(0, "- 1", "1", 1)).code, code::E0309);
        assert_eq!(error("slice", &["float32[3]"], range(0, "0", "1", 0)).code, code::E0310);
        assert_eq!(error("slice", &["float32[3]"], range(1, "0", "1", 1)).code, code::E0305);
        assert_eq!(open_rule("slice", &["float32[...S]"], range(0, "0", "1", 1)).0, "~float32[...]");
        let x = iota(&[2, 5]);
        assert_eq!(eval_one("slice", &x, range(1, "1", "4", 2)).as_i64(), Some(&[1, 3, 6, 8][..]));
        assert_eq!(eval_one("slice", &x, range(0, "2", "2", 1)).shape(), [0, 5]);
    }

    #[test]
    fn dynamic_slices() {
        let attrs = |size: i64| Attrs::new().with("axis", Attr::int(0)).with("size", Attr::int(size));
        assert_eq!(open_rule("dynamic_slice", &["float32[n, m]", "int64"], attrs(2)), ("float32[2, m]".into(), 1));
        assert_eq!(error("dynamic_slice", &["float32[3]", "int64"], attrs(4)).code, code::E0309);
        assert_eq!(error("dynamic_slice", &["float32[3]", "int64[1]"], attrs(1)).code, code::E0304);
        assert_eq!(error("dynamic_slice", &["float32[3]", "float32"], attrs(1)).code, code::E0209);
        let x = iota(&[4]);
        let at = |start: i64| try_eval("dynamic_slice", &[x.clone(), ints(&[], &[start])], attrs(2));
        assert_eq!(at(1).map(|t| t[0].to_f64()), Ok(vec![1.0, 2.0]));
        assert_eq!(at(-2).map(|t| t[0].to_f64()), Ok(vec![2.0, 3.0]));
        let message = "dynamic_slice: 2 elements from 3 are out of range for an axis of size 4";
        assert_eq!(at(3), Err(EvalError::new(message)));
        assert!(at(i64::MAX).is_err() && at(-5).is_err());
    }

    #[test]
    fn dynamic_updates() {
        let axis = || Attrs::new().with("axis", Attr::int(1));
        assert_eq!(open_rule("dynamic_update", &["float32[B, n]", "float32[B, T]", "int64"], axis()).1, 1);
        let code_of = |updates: &str| error("dynamic_update", &["float32[B, 3]", updates, "int64"], axis()).code;
        assert_eq!(code_of("float32[C, 1]"), code::E0303);
        assert_eq!(code_of("float32[B, 4]"), code::E0309);
        assert_eq!(code_of("float32[B]"), code::E0304);
        assert_eq!(code_of("float16[B, 1]"), code::E0202);
        let (x, updates) = (iota(&[2, 3]), ints(&[2, 1], &[7, 8]));
        let out = eval("dynamic_update", &[x.clone(), updates.clone(), ints(&[], &[1])], axis());
        assert_eq!(out.as_i64(), Some(&[0, 7, 2, 3, 8, 5][..]));
        assert!(try_eval("dynamic_update", &[x, updates, ints(&[], &[3])], axis()).is_err());
    }

    fn pads(values: &[i64], mode: &str) -> Attrs {
        Attrs::new().with("pads", Attr::ints(values)).with("mode", Attr::Str(mode.into()))
    }

    #[test]
    fn padding() {
        assert_eq!(rule("pad", &["float32[B, n]"], pads(&[0, 0, 1, 2], "constant")), "float32[B, n + 3]");
        assert_eq!(rule("pad", &["float32[...S, n]"], pads(&[1, 1], "constant")), "float32[...S, n + 2]");
        assert_eq!(open_rule("pad", &["float32[n]"], pads(&[2, 0], "reflect")), ("float32[n + 2]".into(), 1));
        assert_eq!(error("pad", &["float32[2]"], pads(&[2, 0], "reflect")).code, code::E0310);
        assert_eq!(error("pad", &["float32[2]"], pads(&[-1, 0], "constant")).code, code::E0310);
        assert_eq!(error("pad", &["float32[2]"], pads(&[1, 0], "mirror")).code, code::E0201);
        assert_eq!(error("pad", &["float32[2]"], pads(&[1, 0, 1, 0], "edge")).code, code::E0304);
        let x = ints(&[1, 3], &[1, 2, 3]);
        let call = |mode: &str| eval_one("pad", &x, pads(&[2, 1], mode)).to_f64();
        assert_eq!(call("constant"), [0.0, 0.0, 1.0, 2.0, 3.0, 0.0]);
        assert_eq!(call("reflect"), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]);
        assert_eq!(call("edge"), [1.0, 1.0, 1.0, 2.0, 3.0, 3.0]);
        assert_eq!(call("wrap"), [2.0, 3.0, 1.0, 2.0, 3.0, 1.0]);
        let attrs = pads(&[1, 0, 0, 1], "constant").with("value", Attr::Float(crate::types::HostExpr::float(-1.5)));
        assert_eq!(eval("pad", &[floats(&[1, 1], &[2.0])], attrs).to_f64(), [-1.5, -1.5, 2.0, -1.5]);
    }

    #[test]
    fn flips_and_rolls() {
        let axes = |values: &[i64]| Attrs::new().with("axes", Attr::ints(values));
        let x = iota(&[2, 3]);
        assert_eq!(eval_one("flip", &x, axes(&[1])).as_i64(), Some(&[2, 1, 0, 5, 4, 3][..]));
        assert_eq!(eval_one("flip", &x, axes(&[0, -1])).as_i64(), Some(&[5, 4, 3, 2, 1, 0][..]));
        let roll = |shifts: &[i64], at: Attr| Attrs::new().with("shifts", Attr::ints(shifts)).with("axes", at);
        let out = eval_one("roll", &x, roll(&[1, -1], Attr::ints(&[1, 0])));
        assert_eq!(out.as_i64(), Some(&[5, 3, 4, 2, 0, 1][..]));
        assert_eq!(eval_one("roll", &x, roll(&[-2], Attr::None)).as_i64(), Some(&[2, 3, 4, 5, 0, 1][..]));
        assert_eq!(rule("roll", &["float32[...S, n]"], roll(&[1], Attr::ints(&[-1]))), "float32[...S, n]");
        assert_eq!(error("roll", &["float32[a, b]"], roll(&[1], Attr::ints(&[0, 1]))).code, code::E0304);
        assert_eq!(error("flip", &["float32[a]"], axes(&[1])).code, code::E0305);
    }
}
