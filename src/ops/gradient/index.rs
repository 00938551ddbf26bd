//! Reading and writing by integer tensors.

use super::slice::lay_along;
use super::{GradientCx, GradientError, Grads, Var, axis_attr, product};
use crate::ops::Attr;
use crate::types::Dim;

type Cx<'a, 'b> = &'a mut GradientCx<'b>;

/// Adds the slices of `grad` along an axis to the positions that they were taken from, in an axis of `size`.
pub fn add_along(cx: Cx, grad: Var, positions: Var, axis: usize, size: &Dim) -> Result<Var, GradientError> {
    let ty = cx.ty(grad);
    let index = lay_along(cx, positions, axis, &ty)?;
    let zeros = cx.zeros(&ty.with_shape(ty.shape.with_dim(axis, size.clone())))?;
    cx.with("scatter", &[zeros, index, grad], axis_attr(axis).with("reduce", Attr::Str("add".into())))
}

pub fn take(cx: Cx) -> Grads {
    let axis = cx.axis("axis")?;
    let (grad, index) = (cx.grad()?, cx.operand(1)?);
    let index_dims = cx.operands[1].shape.dims.clone();
    let count = product(&index_dims);
    let x = cx.operands[0].shape.clone();
    let grad = cx.reshape(grad, x.with_dim(axis, count.clone()).dims)?;
    let index = cx.reshape(index, vec![count])?;
    let grad = add_along(cx, grad, index, axis, &x.dims[axis])?;
    cx.only(grad)
}

pub fn gather(cx: Cx) -> Grads {
    let axis = cx.axis("axis")?;
    let (grad, index) = (cx.grad()?, cx.operand(1)?);
    let ty = cx.operands[0].clone();
    let zeros = cx.zeros(&ty)?;
    let attrs = axis_attr(axis).with("reduce", Attr::Str("add".into()));
    let grad = cx.with("scatter", &[zeros, index, grad], attrs)?;
    cx.only(grad)
}

/// Elements that are replaced lose the gradient to those that replace them; equal extremes share it.
pub fn scatter(cx: Cx) -> Grads {
    let (grad, index) = (cx.grad()?, cx.operand(1)?);
    match cx.attrs.str("reduce") {
        None => {
            let updates = cx.operands[2].clone();
            let zeros = cx.zeros(&updates)?;
            let kept = if cx.wanted[0] { Some(scattered(cx, grad, index, zeros, None)?) } else { None };
            finish(cx, kept, grad, index)
        }
        Some("add") => {
            let kept = cx.wanted[0].then_some(grad);
            finish(cx, kept, grad, index)
        }
        Some("mul") => factors(cx, grad, index),
        Some(_) => extremes(cx, grad, index),
    }
}

/// The gradients when that of `updates` is read from `source`.
fn finish(cx: Cx, kept: Option<Var>, source: Var, index: Var) -> Grads {
    let updates = if cx.wanted[2] { Some(gathered(cx, source, index)?) } else { None };
    Ok(vec![kept, None, updates])
}

fn gathered(cx: Cx, x: Var, index: Var) -> Result<Var, GradientError> {
    let axis = cx.axis("axis")?;
    cx.with("gather", &[x, index], axis_attr(axis))
}

fn scattered(cx: Cx, x: Var, index: Var, updates: Var, reduce: Option<&str>) -> Result<Var, GradientError> {
    let axis = cx.axis("axis")?;
    let reduce = reduce.map_or(Attr::None, |reduce| Attr::Str(reduce.into()));
    cx.with("scatter", &[x, index, updates], axis_attr(axis).with("reduce", reduce))
}

fn factors(cx: Cx, grad: Var, index: Var) -> Grads {
    if cx.wanted[2] {
        return cx.fail("of `updates` that are multiplied in");
    }
    let updates = cx.operand(2)?;
    let ty = cx.operands[0].clone();
    let ones = cx.ones(&ty)?;
    let factors = scattered(cx, ones, index, updates, Some("mul"))?;
    let kept = cx.mul(grad, factors)?;
    Ok(vec![Some(kept), None, None])
}

fn extremes(cx: Cx, grad: Var, index: Var) -> Grads {
    let (x, updates, y) = (cx.operand(0)?, cx.operand(2)?, cx.result(0)?);
    let ty = cx.operands[0].clone();
    let own = cx.op("eq", &[x, y])?;
    let own = cx.cast_like(own, &ty)?;
    let there = gathered(cx, y, index)?;
    let theirs = cx.op("eq", &[updates, there])?;
    let theirs = cx.cast_like(theirs, &ty)?;
    let count = scattered(cx, own, index, theirs, Some("add"))?;
    // Where nothing equals the result it is NaN, and so is the gradient.
    let share = cx.div(grad, count)?;
    let kept = cx.mul(own, share)?;
    let share = gathered(cx, share, index)?;
    let updates = cx.mul(theirs, share)?;
    Ok(vec![cx.wanted[0].then_some(kept), None, cx.wanted[2].then_some(updates)])
}
