//! Operations that change the shape and keep the elements: reshape, permute, squeeze and their like.

use crate::base::code;
use crate::ops::cost::Cost;
use crate::ops::precision::Precision;
use crate::ops::simplify;
use crate::ops::storage::View;
use crate::ops::traits::{Movement, Role, Traits};
use crate::ops::{
    Attr, Attrs, Default, EvalCx, EvalError, Gradient, ObligationKind, Op, OpError, Param, ParamKind, RuleCx, Stop,
    gradient,
};
use crate::types::dim::Atom;
use crate::types::shape::Broadcast;
use crate::types::{Dim, Facts, Pack, Shape, Tensor, TensorType, Verdict};

const SHAPE: Traits = Traits { role: Role::View, cost: Cost::Nothing, precision: Precision::Moves, ..Traits::CAUTIOUS };

pub static OPS: &[Op] = &[
    Op {
        name: "reshape",
        params: &[Param::tensor("x"), Param::required("shape", ParamKind::Shape)],
        rule: reshape_rule,
        eval: reshape_eval,
        gradient: Gradient::Rule(gradient::shape::same_elements),
        traits: Traits {
            movement: Movement::Regroups,
            laws: &[simplify::reshaped_back, simplify::reshape_of_reshape],
            ..SHAPE
        },
        doc: "The same elements, in row-major order, under another shape.\n\n\
              The numbers of elements must be provably equal (E0306). One size may be -1: it is what the others \
              leave. A pack of `x` (`...S`) may stand in the shape again.",
    },
    Op {
        name: "permute",
        params: &[Param::tensor("x"), Param::required("axes", ParamKind::Axes)],
        rule: permute_rule,
        eval: permute_eval,
        gradient: Gradient::Rule(gradient::shape::permute),
        traits: Traits { movement: Movement::Permutes(permuted_axes), laws: &[simplify::permutation], ..SHAPE },
        doc: "Puts the axes in another order: axis i of the result is axis `axes[i]` of `x`.\n\n\
              `axes` names every axis once (E0305).",
    },
    Op {
        name: "transpose",
        params: &[
            Param::tensor("x"),
            Param::required("axis0", ParamKind::Axis),
            Param::required("axis1", ParamKind::Axis),
        ],
        rule: transpose_rule,
        eval: transpose_eval,
        gradient: Gradient::Rule(gradient::shape::transpose),
        traits: Traits { movement: Movement::Permutes(transposed_axes), laws: &[simplify::permutation], ..SHAPE },
        doc: "Exchanges two axes.\n\n`x.T` is `transpose(x, -2, -1)`.",
    },
    Op {
        name: "squeeze",
        params: &[Param::tensor("x"), Param::with("axis", ParamKind::Axes, Default::None)],
        rule: squeeze_rule,
        eval: squeeze_eval,
        gradient: Gradient::Rule(gradient::shape::same_elements),
        traits: Traits { movement: Movement::Regroups, laws: &[simplify::reshaped_back], ..SHAPE },
        doc: "Removes axes of size 1.\n\n\
              Each axis named must provably have size 1 (E0303; PyTorch leaves others as they are). Without `axis` \
              every axis of size 1 goes, and all sizes must be known when compiling.",
    },
    Op {
        name: "unsqueeze",
        params: &[Param::tensor("x"), Param::required("axis", ParamKind::Axis)],
        rule: unsqueeze_rule,
        eval: unsqueeze_eval,
        gradient: Gradient::Rule(gradient::shape::same_elements),
        traits: Traits { movement: Movement::Regroups, laws: &[simplify::reshaped_back], ..SHAPE },
        doc: "Inserts an axis of size 1, so that it is axis `axis` of the result.\n\nWritten `x[None]` or `x[..., None]`, too.",
    },
    Op {
        name: "broadcast_to",
        params: &[Param::tensor("x"), Param::required("shape", ParamKind::Shape)],
        rule: broadcast_rule,
        eval: broadcast_eval,
        gradient: Gradient::Rule(gradient::shape::broadcast_to),
        traits: Traits {
            role: Role::Free,
            movement: Movement::Shows,
            laws: &[simplify::unchanged, simplify::broadcast_of_broadcast],
            ..SHAPE
        },
        doc: "Repeats axes of size 1, and adds axes in front, until the shape is the given one (E0302).\n\n\
              PyTorch calls it `expand`.",
    },
];

fn is_open(dim: &Dim) -> bool {
    dim.is_const(-1)
}

fn product(dims: &[Dim]) -> Dim {
    dims.iter().fold(Dim::constant(1), |product, dim| product.mul(dim))
}

fn reshape_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    cx.expect(vec![x.with_shape(Shape::unknown())]);
    let mut target = cx.shape("shape")?;
    let open: Vec<usize> = (0..target.dims.len()).filter(|&i| is_open(&target.dims[i])).collect();
    if open.len() > 1 {
        let message = format!("only one size of [{target}] can be -1");
        return Err(OpError::new(code::E0310, message).into());
    }
    refuse_negative(cx, target.dims.iter().filter(|dim| !is_open(dim)))?;
    // A pack on one side only, or a different one, says nothing about the number of elements.
    let same_pack = match (&x.shape.pack, &target.pack) {
        (None, None) => true,
        (Some((_, a)), Some((_, b))) => a == b && *a != Pack::Unknown,
        _ => false,
    };
    if let &[open] = open.as_slice() {
        target.dims[open] = match same_pack {
            true => open_size(cx, &x.shape, &target, open)?,
            false => cx.fresh_dim(),
        };
    } else if same_pack {
        let (from, to) = (product(&x.shape.dims), product(&target.dims));
        let facts = cx.facts;
        cx.require_equal(&from, &to, || counts_differ(&x.shape, &target, facts))?;
    }
    Ok(vec![x.with_shape(target)])
}

/// An error for a size that is certainly negative. Others need no check of their own: the sizes of the
/// operand, which these must fit, are not negative.
fn refuse_negative<'d>(cx: &RuleCx<'_>, mut dims: impl Iterator<Item = &'d Dim>) -> Result<(), Stop> {
    match dims.find(|dim| cx.facts.at_least(dim, &Dim::zero()) == Some(false)) {
        None => Ok(()),
        Some(dim) => {
            let message = format!("a size cannot be negative, but this one is {dim}");
            Err(OpError::new(code::E0310, message).dims(&[dim]).into())
        }
    }
}

/// Leaves out what both shapes have, so that what is shown is what differs.
fn counts_differ(x: &Shape, target: &Shape, facts: &Facts) -> OpError {
    let (mut from, mut to) = (x.dims.clone(), vec![]);
    for dim in &target.dims {
        match from.iter().position(|own| facts.equal(own, dim)) {
            Some(at) => drop(from.remove(at)),
            None => to.push(dim.clone()),
        }
    }
    let (have, need) = (product(&from), product(&to));
    let reason = format!("{} elements do not fill {}", Product(&from), Product(&to));
    let message = format!("cannot reshape [{x}] into [{target}]: {reason}");
    let mut error = OpError::new(code::E0306, message).label(0, format!("[{x}]")).dims(&[&have, &need]);
    if let Some(fact) = missing_fact(&have, &need, facts) {
        error = error.note(format!("they do wherever {fact}"));
    } else if let [only] = to.as_slice() {
        error = error.note(format!("where {only} stands, {have} would fit"));
    }
    error
}

/// The fact on divisibility that would make two dims equal.
fn missing_fact(a: &Dim, b: &Dim, facts: &Facts) -> Option<String> {
    let mut found = None;
    for dim in [a, b] {
        dim.visit_atoms(&mut |atom| {
            let Atom::FloorDiv(value, n) = atom else { return };
            let mut assumed = facts.clone();
            assumed.assume_modulo(value, n, &Dim::zero());
            if assumed.equal(a, b) {
                found = Some(format!("{} == 0", Remainder(value, n)));
            }
        });
    }
    found
}

/// `16 * 5 * 5 = 400`: the dims as they stand, and what they come to if that says more.
struct Product<'a>(&'a [Dim]);

impl std::fmt::Display for Product<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let factor = |dim: &Dim| match dim.as_symbol().is_some() || dim.as_const().is_some() {
            true => dim.to_string(),
            false => format!("({dim})"),
        };
        match self.0 {
            [] => f.write_str("1"),
            [only] => only.fmt(f),
            several => {
                f.write_str(&several.iter().map(factor).collect::<Vec<_>>().join(" * "))?;
                match product(several).as_const() {
                    Some(total) => write!(f, " = {total}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The size that -1 stands for: the quotient of the products, if it is exact.
fn open_size(cx: &mut RuleCx<'_>, x: &Shape, target: &Shape, open: usize) -> Result<Dim, Stop> {
    let total = product(&x.dims);
    let rest = product(&target.without_dim(open).dims);
    let quotient = total.floor_div(&rest).ok_or_else(|| {
        let message = format!("cannot reshape [{x}] into [{target}]: nothing follows for -1, since the rest is {rest}");
        OpError::new(code::E0306, message).label(0, format!("[{x}]"))
    })?;
    let filled = quotient.mul(&rest);
    cx.require_equal(&total, &filled, || {
        let message = format!("cannot reshape [{x}] into [{target}]: {total} is not known to be a multiple of {rest}");
        let note = format!("it is wherever {} == 0", Remainder(&total, &rest));
        OpError::new(code::E0306, message).label(0, format!("[{x}]")).note(note)
    })?;
    Ok(quotient)
}

/// `a % n`, with parentheses where they are needed.
struct Remainder<'a>(&'a Dim, &'a Dim);

impl std::fmt::Display for Remainder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |dim: &Dim| match dim.as_symbol().is_some() || dim.as_const().is_some() {
            true => dim.to_string(),
            false => format!("({dim})"),
        };
        write!(f, "{} % {}", text(self.0), text(self.1))
    }
}

fn reshape_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let mut sizes = cx.ints("shape")?;
    let wrong = || {
        EvalError(format!(
            "reshape: {} elements of shape {:?} do not fill {}",
            x.len(),
            x.shape(),
            cx.attrs.get("shape").map(Attr::to_string).unwrap_or_default()
        ))
    };
    let checked = |sizes: &[i64]| {
        sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(usize::try_from(size).ok()?))
    };
    if let Some(open) = sizes.iter().position(|&size| size == -1) {
        sizes[open] = 1;
        let rest = checked(&sizes).filter(|rest| *rest > 0 && x.len().is_multiple_of(*rest)).ok_or_else(wrong)?;
        sizes[open] = (x.len() / rest) as i64;
    }
    if checked(&sizes) != Some(x.len()) {
        return Err(wrong());
    }
    Ok(vec![x.reshaped(sizes.into_iter().map(|size| size as usize).collect())])
}

/// The ints of an axes attribute in the order given, or `None` for all.
fn axis_values(cx: &RuleCx<'_>, name: &str) -> Result<Vec<i64>, Stop> {
    let values = match cx.attrs.get(name) {
        Some(Attr::Int(dim)) => std::slice::from_ref(dim),
        Some(Attr::Ints(dims)) => dims.as_slice(),
        _ => return Err(cx.unknown()),
    };
    values.iter().map(|dim| cx.facts.normal(dim).as_const().ok_or_else(|| cx.unknown())).collect()
}

/// Where the axes of a permutation come from.
fn permuted_axes(attrs: &Attrs, rank: usize) -> Option<Vec<usize>> {
    let axes: Vec<usize> =
        attrs.const_ints("axes")?.into_iter().map(|axis| counted(axis, rank)).collect::<Option<_>>()?;
    (axes.len() == rank).then_some(axes)
}

/// The same of a transposition.
fn transposed_axes(attrs: &Attrs, rank: usize) -> Option<Vec<usize>> {
    let axis = |name: &str| counted(attrs.const_int(name)?, rank);
    let mut axes: Vec<usize> = (0..rank).collect();
    axes.swap(axis("axis0")?, axis("axis1")?);
    Some(axes)
}

/// An axis counted from the start.
fn counted(axis: i64, rank: usize) -> Option<usize> {
    let from_start = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(from_start).ok().filter(|axis| *axis < rank)
}

fn permute_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    cx.expect(vec![x.with_shape(Shape::unknown())]);
    let axes = axis_values(cx, "axes")?;
    let full = spread_pack(cx, axes.len())?;
    let mut used = vec![false; axes.len()];
    let mut dims = vec![];
    for axis in axes {
        let index = cx.axis_of(axis, &full, 0)?;
        if std::mem::replace(&mut used[index], true) {
            let message = format!("`permute` names each axis once, but axis {axis} stands there twice");
            return Err(OpError::new(code::E0305, message).label(0, format!("[{}]", x.shape)).into());
        }
        dims.push(full.dims[index].clone());
    }
    Ok(vec![x.with_shape(Shape::new(dims))])
}

/// The operand's shape when it has `rank` axes; a pack's dims are fresh.
fn spread_pack(cx: &mut RuleCx<'_>, rank: usize) -> Result<Shape, Stop> {
    let shape = &cx.operand(0).shape;
    let Some(hidden) = rank.checked_sub(shape.dims.len()).filter(|n| *n == 0 || shape.pack.is_some()) else {
        let message = format!("`permute` takes every axis of [{shape}], but {rank} are given");
        return Err(OpError::new(code::E0304, message).label(0, format!("[{shape}]")).into());
    };
    let mut dims = shape.dims.clone();
    if let Some((at, _)) = shape.pack {
        let fresh: Vec<Dim> = (0..hidden).map(|_| cx.fresh_dim()).collect();
        dims.splice(at..at, fresh);
    }
    Ok(Shape::new(dims))
}

fn permute_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let axes = cx.axes("axes", x.rank())?;
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    if sorted != (0..x.rank()).collect::<Vec<_>>() {
        return Err(EvalError(format!("permute: {axes:?} does not name each of {} axes once", x.rank())));
    }
    Ok(vec![View::of(x).permute(&axes).copy(x)])
}

fn transpose_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    cx.expect(vec![x.with_shape(Shape::unknown())]);
    let (a, b) = (cx.axis("axis0", 0)?, cx.axis("axis1", 0)?);
    let mut shape = x.shape.clone();
    shape.dims.swap(a, b);
    Ok(vec![x.with_shape(shape)])
}

fn transpose_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let mut axes: Vec<usize> = (0..x.rank()).collect();
    axes.swap(cx.axis("axis0", x.rank())?, cx.axis("axis1", x.rank())?);
    Ok(vec![View::of(x).permute(&axes).copy(x)])
}

fn squeeze_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    cx.expect(vec![x.with_shape(Shape::unknown())]);
    let Some(axes) = cx.axes("axis", 0)? else { return squeeze_all(cx) };
    let mut shape = x.shape.clone();
    for &axis in axes.iter().rev() {
        let size = &x.shape.dims[axis];
        cx.require_equal(size, &Dim::constant(1), || {
            let message = format!("only an axis of size 1 can be squeezed, but axis {axis} of [{}] is {size}", x.shape);
            OpError::new(code::E0303, message).label(0, format!("[{}]", x.shape))
        })?;
        shape = shape.without_dim(axis);
    }
    Ok(vec![x.with_shape(shape)])
}

/// Which axes go must be the same for every call, so every size must be known.
fn squeeze_all(cx: &RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    cx.rank(0)?;
    let mut dims = vec![];
    for dim in &x.shape.dims {
        match cx.facts.normal(dim).as_const() {
            Some(1) => {}
            Some(_) => dims.push(dim.clone()),
            None if dim.has_unknown() => return Err(cx.unknown()),
            None => {
                let message = format!("`squeeze` must know which sizes are 1, and {dim} is not known here");
                let error = OpError::new(code::E0401, message).label(0, format!("[{}]", x.shape)).dims(&[dim]);
                return Err(error.note("name the axes: `squeeze(x, axis)`").into());
            }
        }
    }
    Ok(vec![x.with_shape(Shape::new(dims))])
}

fn squeeze_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let named = !matches!(cx.attrs.get("axis"), None | Some(Attr::None));
    let axes = cx.axes("axis", x.rank())?;
    if let Some(&axis) = axes.iter().find(|&&axis| named && x.shape()[axis] != 1) {
        return Err(EvalError(format!("squeeze: axis {axis} has size {}, not 1", x.shape()[axis])));
    }
    let kept = x.shape().iter().enumerate().filter(|(axis, size)| !axes.contains(axis) || **size != 1);
    Ok(vec![x.reshaped(kept.map(|(_, size)| *size).collect())])
}

/// The shape with a dim inserted as axis `axis` of the result, for `unsqueeze` and `stack`.
pub fn insert_axis(cx: &RuleCx<'_>, shape: &Shape, axis: i64, dim: Dim) -> Result<Shape, Stop> {
    let (head, tail) = (shape.head().len() as i64, shape.tail().len() as i64);
    match &shape.pack {
        None => {
            let rank = shape.dims.len() as i64;
            let index = if axis < 0 { axis + rank + 1 } else { axis };
            if (0..=rank).contains(&index) {
                return Ok(shape.insert_dim(index as usize, dim));
            }
            let message = format!("axis {axis} is out of range for a new axis of [{shape}]");
            let error = OpError::new(code::E0305, message).label(0, format!("[{shape}]"));
            Err(error.note(format!("use -{} to {rank}", rank + 1)).into())
        }
        Some(_) if axis >= 0 && axis <= head => Ok(shape.insert_dim(axis as usize, dim)),
        Some((_, pack)) if axis < 0 && -axis <= tail + 1 => {
            let mut end = shape.tail().to_vec();
            end.insert((tail + 1 + axis) as usize, dim);
            Ok(Shape::with_pack(shape.head().to_vec(), pack.clone(), end))
        }
        Some(_) => Err(cx.unknown()),
    }
}

/// A new axis of an evaluation, as its index in the result.
pub fn new_axis(cx: &EvalCx<'_>, rank: usize) -> Result<usize, EvalError> {
    cx.axis("axis", rank + 1)
}

fn unsqueeze_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    cx.expect(vec![x.with_shape(Shape::unknown())]);
    let shape = insert_axis(cx, &x.shape, cx.int("axis")?, Dim::constant(1))?;
    Ok(vec![x.with_shape(shape)])
}

fn unsqueeze_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let mut shape = x.shape().to_vec();
    shape.insert(new_axis(cx, x.rank())?, 1);
    Ok(vec![x.reshaped(shape)])
}

fn broadcast_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    cx.expect(vec![x.with_shape(Shape::unknown())]);
    let target = cx.shape("shape")?;
    let error = || {
        let message = format!("[{}] does not broadcast to [{target}]", x.shape);
        OpError::new(code::E0302, message).label(0, format!("[{}]", x.shape))
    };
    refuse_negative(cx, target.dims.iter())?;
    let (shape, pairs) = match x.shape.broadcast(&target, cx.facts) {
        Broadcast::Shape(shape) => (shape, vec![]),
        Broadcast::Unproved(shape, pairs) => (shape, pairs),
        Broadcast::Clash { left, right, .. } => return Err(error().dims(&[&left, &right]).into()),
    };
    // What broadcasting two operands may do, but not broadcasting to a shape: widen the target.
    let too_long = x.shape.dims.len() > target.dims.len() && target.pack.is_none();
    if too_long || pairs.is_empty() && shape.compare(&target, cx.facts) == Verdict::Differ {
        return Err(error().into());
    }
    for (a, b) in pairs {
        cx.obligations.push(error().unless(ObligationKind::Broadcast(a, b)));
    }
    Ok(vec![x.with_shape(target)])
}

fn broadcast_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let (x, shape) = (cx.operand(0), cx.shape("shape")?);
    let view = View::broadcast(x, &shape)
        .ok_or_else(|| EvalError(format!("broadcast_to: {:?} does not broadcast to {shape:?}", x.shape())))?;
    Ok(vec![view.copy(x)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Attrs;
    use crate::ops::testkit::{dim, error, eval_one, iota, open_rule, rule, rule_under, shape};

    fn to(text: &str) -> Attrs {
        Attrs::new().with("shape", Attr::Shape(shape(text)))
    }

    fn axes(values: &[i64]) -> Attrs {
        Attrs::new().with("axes", Attr::ints(values))
    }

    fn axis(value: i64) -> Attrs {
        Attrs::new().with("axis", Attr::int(value))
    }

    #[test]
    fn reshapes_count_elements() {
        let call = |x: &str, text: &str| rule("reshape", &[x], to(text));
        assert_eq!(call("float32[B, T, 8]", "B, 2*T, 4"), "float32[B, 2 * T, 4]");
        assert_eq!(call("float32[B, T, D]", "-1, D"), "float32[B * T, D]");
        assert_eq!(call("float32[...S, a, b]", "...S, a*b"), "float32[...S, a * b]");
        assert_eq!(call("float32[...S, a, b]", "...S, -1"), "float32[...S, a * b]");
        assert_eq!(call("trit[4, 6]", "3, -1"), "trit[3, 8]");
        assert_eq!(call("float32[...S, n]", "-1, n"), "float32[?, n]");
        assert_eq!(call("float32", "1, 1"), "float32[1, 1]");
        assert_eq!(open_rule("reshape", &["float32[B, ?]"], to("B, 3")), ("float32[B, 3]".into(), 1));
        let unknown = Attrs::new().with("shape", Attr::Unknown);
        assert_eq!(open_rule("reshape", &["float32[B]"], unknown).0, "~float32[...]");
    }

    #[test]
    fn facts_divide_heads() {
        let target = to("B, heads, -1");
        let mut facts = Facts::default();
        let failed = rule_under(&facts, "reshape", &["float32[B, dim]"], target.clone());
        let Err(Stop::Error(e)) = failed else { panic!("{failed:?}") };
        assert_eq!(e.code, code::E0306);
        facts.assume_modulo(&dim("dim"), &dim("heads"), &Dim::zero());
        let (types, obligations) = rule_under(&facts, "reshape", &["float32[B, dim]"], target).unwrap_or_default();
        assert_eq!(types[0].to_string(), "float32[B, heads, dim // heads]");
        assert!(obligations.is_empty());
    }

    #[test]
    fn reshape_errors() {
        let e = error("reshape", &["float32[B, T]"], to("B, 3"));
        assert_eq!(e.message, "cannot reshape [B, T] into [B, 3]: T elements do not fill 3");
        assert_eq!(e.notes, ["where 3 stands, T would fit"]);
        let e = error("reshape", &["float32[B, 16, 5, 5]"], to("B, 576"));
        assert_eq!(e.message, "cannot reshape [B, 16, 5, 5] into [B, 576]: 16 * 5 * 5 = 400 elements do not fill 576");
        let by_head = dim("dim").floor_div(&dim("heads")).unwrap();
        let target = Attr::Shape(Shape::new(vec![dim("B"), dim("heads"), by_head]));
        let e = error("reshape", &["float32[B, dim]"], Attrs::new().with("shape", target));
        assert_eq!(e.notes, ["they do wherever dim % heads == 0"]);
        assert_eq!(e.code, code::E0306);
        assert_eq!(e.dims.len(), 2);
        assert_eq!(error("reshape", &["float32[6]"], to("4, -1")).code, code::E0306);
        assert_eq!(error("reshape", &["float32[6]"], to("0, -1")).code, code::E0306);
        assert_eq!(error("reshape", &["float32[6]"], to("-1, -1")).code, code::E0310);
        assert_eq!(error("reshape", &["float32[6]"], to("- 2, 3")).code, code::E0310);
    }

    #[test]
    fn axes_move() {
        assert_eq!(rule("permute", &["float32[a, b, c]"], axes(&[2, 0, -2])), "float32[c, a, b]");
        assert_eq!(rule("permute", &["float32[a, ...S, c]"], axes(&[2, 1, 0])), "float32[c, ?, a]");
        assert_eq!(error("permute", &["float32[a, b]"], axes(&[0, 0])).code, code::E0305);
        assert_eq!(error("permute", &["float32[a, b]"], axes(&[0])).code, code::E0304);
        assert_eq!(error("permute", &["float32[a, b]"], axes(&[0, 2])).code, code::E0305);
        let two = |a: i64, b: i64| Attrs::new().with("axis0", Attr::int(a)).with("axis1", Attr::int(b));
        assert_eq!(rule("transpose", &["float32[...S, a, b]"], two(-2, -1)), "float32[...S, b, a]");
        assert_eq!(rule("transpose", &["float32[a, ...S, b]"], two(0, -1)), "float32[b, ...S, a]");
        assert_eq!(open_rule("transpose", &["float32[...S, a, b]"], two(0, 1)).0, "~float32[...]");
        assert_eq!(error("transpose", &["float32[a, b]"], two(0, 2)).code, code::E0305);
    }

    #[test]
    fn axes_come_and_go() {
        assert_eq!(rule("squeeze", &["float32[B, 1, C, 1]"], axis(-1)), "float32[B, 1, C]");
        assert_eq!(rule("squeeze", &["float32[...S, 1]"], axis(-1)), "float32[...S]");
        assert_eq!(rule("squeeze", &["float32[3, 1, 1]"], Attrs::new()), "float32[3]");
        assert_eq!(open_rule("squeeze", &["float32[B, ?]"], axis(1)), ("float32[B]".into(), 1));
        assert_eq!(error("squeeze", &["float32[B, C]"], axis(1)).code, code::E0303);
        assert_eq!(error("squeeze", &["float32[B, 1]"], Attrs::new()).code, code::E0401);
        let both = Attrs::new().with("axis", Attr::ints(&[0, 2]));
        assert_eq!(rule("squeeze", &["float32[1, C, 1]"], both), "float32[C]");
        assert_eq!(rule("unsqueeze", &["float32[B, C]"], axis(1)), "float32[B, 1, C]");
        assert_eq!(rule("unsqueeze", &["float32[B, C]"], axis(-1)), "float32[B, C, 1]");
        assert_eq!(rule("unsqueeze", &["float32[...S]"], axis(-1)), "float32[...S, 1]");
        assert_eq!(rule("unsqueeze", &["float32[...S]"], axis(0)), "float32[1, ...S]");
        assert_eq!(error("unsqueeze", &["float32[B]"], axis(2)).code, code::E0305);
    }

    #[test]
    fn broadcasting_to_a_shape() {
        assert_eq!(rule("broadcast_to", &["float32[1, n]"], to("B, T, n")), "float32[B, T, n]");
        assert_eq!(rule("broadcast_to", &["float32[n]"], to("...S, n")), "float32[...S, n]");
        assert_eq!(open_rule("broadcast_to", &["float32[?]"], to("n")), ("float32[n]".into(), 1));
        assert_eq!(error("broadcast_to", &["float32[n]"], to("m")).code, code::E0302);
        assert_eq!(error("broadcast_to", &["float32[n]"], to("1")).code, code::E0302);
        assert_eq!(error("broadcast_to", &["float32[1, n]"], to("n")).code, code::E0302);
    }

    #[test]
    fn values() {
        let x = iota(&[2, 3]);
        assert_eq!(eval_one("reshape", &x, to("3, -1")).shape(), [3, 2]);
        assert_eq!(eval_one("permute", &x, axes(&[1, 0])).as_i64(), Some(&[0, 3, 1, 4, 2, 5][..]));
        let x = iota(&[2, 1, 2]);
        let two = Attrs::new().with("axis0", Attr::int(0)).with("axis1", Attr::int(2));
        assert_eq!(eval_one("transpose", &x, two).as_i64(), Some(&[0, 2, 1, 3][..]));
        assert_eq!(eval_one("squeeze", &x, Attrs::new()).shape(), [2, 2]);
        assert_eq!(eval_one("squeeze", &x, axis(1)).shape(), [2, 2]);
        assert_eq!(eval_one("unsqueeze", &x, axis(-1)).shape(), [2, 1, 2, 1]);
        let wide = eval_one("broadcast_to", &x, to("2, 2, 2"));
        assert_eq!(wide.as_i64(), Some(&[0, 1, 0, 1, 2, 3, 2, 3][..]));
    }
}
