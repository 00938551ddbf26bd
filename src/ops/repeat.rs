//! Repeating elements and blanking triangles: repeat, repeat_interleave, upsample, tril, triu.

use crate::base::code;
use crate::ops::cost::Cost;
use crate::ops::precision::Precision;
use crate::ops::storage::{Element, around, by_class, for_each_offset, from_runs, signed_strides};
use crate::ops::traits::{Role, Traits};
use crate::ops::{Default, EvalCx, EvalError, Gradient, Op, OpError, Param, ParamKind, RuleCx, Stop, gradient};
use crate::types::{Dim, Elem, Shape, Tensor, TensorType};

const TRIANGLE_PARAMS: &[Param] = &[Param::tensor("x"), Param::with("diagonal", ParamKind::Int, Default::Int(0))];

const REPEAT: Traits =
    Traits { role: Role::Read, cost: Cost::Nothing, precision: Precision::Moves, ..Traits::CAUTIOUS };

pub static OPS: &[Op] = &[
    Op {
        name: "repeat",
        params: &[Param::tensor("x"), Param::required("repeats", ParamKind::Ints)],
        rule: repeat_rule,
        eval: repeat_eval,
        gradient: Gradient::Rule(gradient::repeat::repeat),
        traits: REPEAT,
        doc: "Lays copies of `x` side by side, so many along each axis.\n\n\
              There is one number for each axis; further ones in front make new axes. NumPy calls it `tile`.",
    },
    Op {
        name: "repeat_interleave",
        params: &[Param::tensor("x"), Param::required("n", ParamKind::Int), Param::required("axis", ParamKind::Axis)],
        rule: interleave_rule,
        eval: interleave_eval,
        gradient: Gradient::Rule(gradient::repeat::repeat_interleave),
        traits: REPEAT,
        doc: "Repeats every slice of an axis `n` times before the next one.\n\nNumPy calls it `repeat`.",
    },
    Op {
        name: "upsample",
        params: &[
            Param::tensor("x"),
            Param::required("scale_factor", ParamKind::Ints),
            Param::with("mode", ParamKind::Str, Default::Str("nearest")),
        ],
        rule: upsample_rule,
        eval: upsample_eval,
        gradient: Gradient::Rule(gradient::repeat::upsample),
        traits: Traits { role: Role::Window, precision: Precision::Follows, ..Traits::CAUTIOUS },
        doc: "Enlarges the axes after batch and channels by whole factors.\n\n\
              `mode` is \"nearest\" or, for floats, \"linear\" (also \"bilinear\" for two axes, \"trilinear\" for three): \
              elements stand for the middles of their cells, PyTorch's `align_corners=false`. PyTorch calls it \
              `interpolate`.",
    },
    Op {
        name: "tril",
        params: TRIANGLE_PARAMS,
        rule: triangle_rule,
        eval: tril_eval,
        gradient: Gradient::Rule(gradient::slice::triangle),
        traits: Traits { role: Role::Elementwise, ..REPEAT },
        doc: "Keeps the lower triangle of the last two axes, and puts zeros above it.\n\n\
              Row i keeps columns up to `i + diagonal`.",
    },
    Op {
        name: "triu",
        params: TRIANGLE_PARAMS,
        rule: triangle_rule,
        eval: triu_eval,
        gradient: Gradient::Rule(gradient::slice::triangle),
        traits: Traits { role: Role::Elementwise, ..REPEAT },
        doc: "Keeps the upper triangle of the last two axes, and puts zeros below it.\n\n\
              Row i keeps columns from `i + diagonal` on.",
    },
];

/// The dims of an int or a list of them.
fn counts(cx: &RuleCx<'_>, name: &str) -> Result<Vec<Dim>, Stop> {
    match cx.attrs.get(name) {
        Some(crate::ops::Attr::Int(dim)) => Ok(vec![dim.clone()]),
        Some(crate::ops::Attr::Ints(dims)) => Ok(dims.clone()),
        _ => Err(cx.unknown()),
    }
}

fn require_count(cx: &mut RuleCx<'_>, what: &str, value: &Dim, least: i64) -> Result<(), Stop> {
    let op = cx.op.name;
    cx.require_at_least(value, &Dim::constant(least), || {
        OpError::new(code::E0310, format!("`{op}`: {what} must be at least {least}, not {value}"))
    })
}

fn repeat_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    cx.expect(vec![x.with_shape(Shape::unknown())]);
    let repeats = counts(cx, "repeats")?;
    for value in &repeats {
        require_count(cx, "a number of copies", value, 0)?;
    }
    let rank = cx.rank(0)?;
    let Some(added) = repeats.len().checked_sub(rank) else {
        let message =
            format!("`repeat` takes a number for each axis of [{}], but {} are given", x.shape, repeats.len());
        return Err(OpError::new(code::E0304, message).label(0, format!("[{}]", x.shape)).into());
    };
    let sizes = std::iter::repeat_n(Dim::constant(1), added).chain(x.shape.dims.iter().cloned());
    let dims = sizes.zip(&repeats).map(|(size, count)| size.mul(count)).collect();
    Ok(vec![x.with_shape(Shape::new(dims))])
}

fn repeat_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let repeats = cx.shape("repeats")?;
    let added = repeats.len().checked_sub(x.rank()).ok_or_else(|| EvalError::new("repeat: too few numbers"))?;
    let mut shape = vec![1; added];
    shape.extend(x.shape());
    let mut result = x.reshaped(shape);
    for (axis, &count) in repeats.iter().enumerate().filter(|(_, count)| **count != 1) {
        let (outer, size, inner) = around(result.shape(), axis);
        let run = size * inner;
        let mut shape = result.shape().to_vec();
        shape[axis] *= count;
        let plan = (0..outer).flat_map(|o| (0..count).map(move |_| (0, o * run, run)));
        result = from_runs(&[&result], x.dtype(), shape, plan)?;
    }
    Ok(vec![result])
}

fn interleave_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    cx.expect(vec![x.with_shape(Shape::unknown())]);
    let axis = cx.axis("axis", 0)?;
    let free = cx.fresh_dim();
    cx.expect(vec![x.with_shape(x.shape.with_dim(axis, free))]);
    let n = cx.dim("n")?;
    require_count(cx, "`n`", &n, 0)?;
    Ok(vec![x.with_shape(x.shape.with_dim(axis, x.shape.dims[axis].mul(&n)))])
}

fn interleave_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let n = usize::try_from(cx.int("n")?).map_err(|_| EvalError::new("repeat_interleave: negative `n`"))?;
    Ok(vec![interleave(x, cx.axis("axis", x.rank())?, n)?])
}

fn interleave(x: &Tensor, axis: usize, n: usize) -> Result<Tensor, EvalError> {
    let (outer, size, inner) = around(x.shape(), axis);
    let mut shape = x.shape().to_vec();
    shape[axis] *= n;
    let plan = (0..outer * size).flat_map(|row| (0..n).map(move |_| (0, row * inner, inner)));
    from_runs(&[x], x.dtype(), shape, plan)
}

fn upsample_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    cx.expect(vec![x.with_shape(Shape::unknown())]);
    let rank = cx.rank(0)?;
    let spatial = rank.checked_sub(2).filter(|n| *n > 0).ok_or_else(|| {
        let message = format!("`upsample` takes batch, channels and at least one more axis, not rank {rank}");
        OpError::new(code::E0304, message).label(0, format!("[{}]", x.shape))
    })?;
    let mut shape = x.shape.clone();
    for dim in &mut shape.dims[2..] {
        *dim = cx.fresh_dim();
    }
    cx.expect(vec![x.with_shape(shape.clone())]);
    let linear = is_linear(cx.str("mode")?, spatial).ok_or_else(|| {
        let message = format!("`upsample` of {spatial} axes knows the modes \"nearest\" and \"linear\"");
        OpError::new(code::E0201, message)
    })?;
    if linear {
        cx.require_elem(0, Elem::is_float, "floats in this mode")?;
    }
    for (axis, factor) in cx.spatial("scale_factor", spatial)?.iter().enumerate() {
        require_count(cx, "`scale_factor`", factor, 1)?;
        shape.dims[axis + 2] = x.shape.dims[axis + 2].mul(factor);
    }
    Ok(vec![x.with_shape(shape)])
}

fn is_linear(mode: &str, spatial: usize) -> Option<bool> {
    match (mode, spatial) {
        ("nearest", _) => Some(false),
        ("linear", _) | ("bilinear", 2) | ("trilinear", 3) => Some(true),
        _ => None,
    }
}

fn upsample_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let spatial = x.rank().saturating_sub(2);
    let linear = is_linear(cx.str("mode")?, spatial).ok_or_else(|| EvalError::new("upsample: unknown mode"))?;
    let factors = cx.spatial("scale_factor", spatial)?;
    if !linear {
        let mut axes = factors.into_iter().enumerate();
        return Ok(vec![axes.try_fold(x.clone(), |x, (axis, factor)| interleave(&x, axis + 2, factor))?]);
    }
    let (mut values, mut shape) = (x.to_f64(), x.shape().to_vec());
    for (axis, factor) in factors.into_iter().enumerate() {
        values = interpolate(&values, &shape, axis + 2, factor);
        shape[axis + 2] *= factor;
    }
    Ok(vec![Tensor::from_f64(x.dtype(), shape, values)])
}

/// Linear interpolation along one axis; the middle of a cell keeps its value.
fn interpolate(values: &[f64], shape: &[usize], axis: usize, factor: usize) -> Vec<f64> {
    let (outer, size, inner) = around(shape, axis);
    let mut out = Vec::with_capacity(values.len() * factor);
    for (o, place) in (0..outer).flat_map(|o| (0..size * factor).map(move |place| (o, place))) {
        let at = ((place as f64 + 0.5) / factor as f64 - 0.5).max(0.0);
        let low = at as usize;
        let high = (low + 1).min(size - 1);
        let share = at - low as f64;
        let (low, high) = ((o * size + low) * inner, (o * size + high) * inner);
        out.extend((0..inner).map(|i| values[low + i] * (1.0 - share) + values[high + i] * share));
    }
    out
}

fn triangle_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    cx.expect(vec![x.clone()]);
    if let Some(rank) = x.shape.rank()
        && rank < 2
    {
        let message = format!("`{}` takes matrices, but this has rank {rank}", cx.op.name);
        return Err(OpError::new(code::E0304, message).label(0, format!("[{}]", x.shape)).into());
    }
    Ok(vec![x.clone()])
}

fn tril_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let diagonal = cx.int("diagonal")?;
    // Columns from `i + diagonal + 1` on are blanked.
    triangle(cx, |row, columns| (clamp(row.saturating_add(diagonal).saturating_add(1), columns), columns))
}

fn triu_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let diagonal = cx.int("diagonal")?;
    triangle(cx, |row, columns| (0, clamp(row.saturating_add(diagonal), columns)))
}

fn clamp(column: i64, columns: usize) -> usize {
    usize::try_from(column).unwrap_or(0).min(columns)
}

/// Blanks the columns that `blank(row, columns)` gives as a range.
fn triangle(cx: &EvalCx<'_>, blank: impl Fn(i64, usize) -> (usize, usize)) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let [outer @ .., _] = x.shape() else { return Err(EvalError(format!("{}: rank below 2", cx.op.name))) };
    let &[.., rows, columns] = x.shape() else { return Err(EvalError(format!("{}: rank below 2", cx.op.name))) };
    let strides = signed_strides(x.shape());
    let data = by_class!(x.data(), T => {
        let mut out = T::slice(x.data()).to_vec();
        let mut row = 0;
        for_each_offset(outer, &strides[..outer.len()], 0, |start| {
            let (low, high) = blank((row % rows) as i64, columns);
            out[start + low..start + high].fill(T::default());
            row += 1;
        });
        T::wrap(out)
    });
    Ok(vec![Tensor::new(x.dtype(), x.shape().to_vec(), data)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testkit::{dim, error, eval, eval_one, floats, iota, open_rule, rule};
    use crate::ops::{Attr, Attrs};

    #[test]
    fn copies_side_by_side() {
        let repeats = |parts: &[&str]| Attrs::new().with("repeats", Attr::Ints(parts.iter().map(|p| dim(p)).collect()));
        assert_eq!(rule("repeat", &["float32[a, b]"], repeats(&["B", "2", "1"])), "float32[B, 2 * a, b]");
        assert_eq!(error("repeat", &["float32[a, b]"], repeats(&["2"])).code, code::E0304);
        assert_eq!(error("repeat", &["float32[a]"], repeats(&["- 2"])).code, code::E0310);
        assert_eq!(open_rule("repeat", &["float32[...S]"], repeats(&["2"])).0, "~float32[...]");
        let out = eval("repeat", &[iota(&[1, 2])], repeats(&["2", "1", "2"]));
        assert_eq!((out.shape(), out.as_i64()), (&[2, 1, 4][..], Some(&[0, 1, 0, 1, 0, 1, 0, 1][..])));
        assert_eq!(eval("repeat", &[iota(&[2])], repeats(&["0"])).shape(), [0]);
    }

    #[test]
    fn slices_one_after_another() {
        let attrs = |n: &str| Attrs::new().with("n", Attr::Int(dim(n))).with("axis", Attr::int(-2));
        assert_eq!(rule("repeat_interleave", &["float32[...S, h, d]"], attrs("g")), "float32[...S, g * h, d]");
        assert_eq!(error("repeat_interleave", &["float32[h]"], attrs("2")).code, code::E0305);
        assert_eq!(error("repeat_interleave", &["float32[h, d]"], attrs("- 1")).code, code::E0310);
        let out = eval("repeat_interleave", &[iota(&[2, 2])], attrs("2"));
        assert_eq!(out.as_i64(), Some(&[0, 1, 0, 1, 2, 3, 2, 3][..]));
    }

    #[test]
    fn upsampling() {
        let attrs = |mode: &str| Attrs::new().with("scale_factor", Attr::int(2)).with("mode", Attr::Str(mode.into()));
        assert_eq!(rule("upsample", &["float32[B, C, H, W]"], attrs("bilinear")), "float32[B, C, 2 * H, 2 * W]");
        assert_eq!(error("upsample", &["float32[B, C, L]"], attrs("bilinear")).code, code::E0201);
        assert_eq!(error("upsample", &["float32[B, C]"], attrs("nearest")).code, code::E0304);
        assert_eq!(error("upsample", &["int32[B, C, L]"], attrs("linear")).code, code::E0209);
        let zero = Attrs::new().with("scale_factor", Attr::int(0));
        assert_eq!(error("upsample", &["float32[B, C, L]"], zero).code, code::E0310);
        let out = eval("upsample", &[iota(&[1, 1, 1, 2])], attrs("nearest"));
        assert_eq!(out.as_i64(), Some(&[0, 0, 1, 1, 0, 0, 1, 1][..]));
        let line = floats(&[1, 1, 2], &[0.0, 4.0]);
        assert_eq!(eval("upsample", &[line], attrs("linear")).to_f64(), [0.0, 1.0, 3.0, 4.0]);
        let plane = floats(&[1, 1, 2, 1], &[0.0, 4.0]);
        let out = eval("upsample", &[plane], attrs("bilinear"));
        assert_eq!(out.to_f64(), [0.0, 0.0, 1.0, 1.0, 3.0, 3.0, 4.0, 4.0]);
    }

    #[test]
    fn triangles() {
        let diagonal = |value: i64| Attrs::new().with("diagonal", Attr::int(value));
        let x = iota(&[2, 3]).reshaped(vec![1, 2, 3]);
        assert_eq!(eval_one("tril", &x, Attrs::new()).as_i64(), Some(&[0, 0, 0, 3, 4, 0][..]));
        assert_eq!(eval_one("tril", &x, diagonal(1)).as_i64(), Some(&[0, 1, 0, 3, 4, 5][..]));
        assert_eq!(eval_one("tril", &x, diagonal(-9)).as_i64(), Some(&[0; 6][..]));
        assert_eq!(eval_one("triu", &x, diagonal(1)).as_i64(), Some(&[0, 1, 2, 0, 0, 5][..]));
        assert_eq!(eval_one("triu", &x, diagonal(-1)).as_i64(), Some(&[0, 1, 2, 3, 4, 5][..]));
        assert_eq!(rule("tril", &["float32[...S]"], Attrs::new()), "float32[...S]");
        assert_eq!(error("triu", &["float32[n]"], Attrs::new()).code, code::E0304);
    }
}
