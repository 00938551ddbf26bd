//! Reductions.

use super::{GradientCx, GradientError, Grads, Var, ints, product};
use crate::ops::{Attr, Attrs};
use crate::types::Dim;

type Cx<'a, 'b> = &'a mut GradientCx<'b>;

/// The operand's sizes with 1 for reduced axes.
fn kept(cx: &GradientCx, axes: &[usize]) -> Vec<Dim> {
    let dims = cx.operands[0].shape.dims.iter().enumerate();
    dims.map(|(axis, dim)| if axes.contains(&axis) { Dim::constant(1) } else { dim.clone() }).collect()
}

/// The result's gradient, spread over what was reduced.
fn spread(cx: Cx, axes: &[usize]) -> Result<Var, GradientError> {
    let grad = cx.grad()?;
    let grad = cx.reshape(grad, kept(cx, axes))?;
    cx.broadcast_to(grad, cx.operands[0].shape.dims.clone())
}

pub fn sum(cx: Cx) -> Grads {
    let axes = cx.axes("axis")?;
    let grad = spread(cx, &axes)?;
    cx.only(grad)
}

pub fn mean(cx: Cx) -> Grads {
    let axes = cx.axes("axis")?;
    let dims = &cx.operands[0].shape.dims;
    let count = product(&axes.iter().map(|axis| dims[*axis].clone()).collect::<Vec<_>>());
    let grad = cx.grad()?;
    let count = cx.scalar(Attr::Int(count), grad)?;
    let share = cx.div(grad, count)?;
    let share = cx.reshape(share, kept(cx, &axes))?;
    let grad = cx.broadcast_to(share, cx.operands[0].shape.dims.clone())?;
    cx.only(grad)
}

/// Every element that equals the extreme gets an equal share.
pub fn extreme(cx: Cx) -> Grads {
    let axes = cx.axes("axis")?;
    let (grad, x, y) = (cx.grad()?, cx.operand(0)?, cx.result(0)?);
    let y = cx.reshape(y, kept(cx, &axes))?;
    let grad = cx.reshape(grad, kept(cx, &axes))?;
    let equal = cx.op("eq", &[x, y])?;
    let ty = cx.operands[0].clone();
    let equal = cx.cast_like(equal, &ty)?;
    let count = cx.sum(equal, &axes, true)?;
    let share = cx.div(grad, count)?;
    let grad = cx.mul(equal, share)?;
    cx.only(grad)
}

/// The product of all others, without a division, so that zeros do no harm: axis by axis, the product of those
/// before times the product of those after.
pub fn prod(cx: Cx) -> Grads {
    let axes = cx.axes("axis")?;
    let mut stages = vec![cx.operand(0)?];
    for axis in &axes {
        let attrs = Attrs::new().with("axis", ints(&[*axis])).with("keepdim", Attr::Bool(true));
        let last = stages[stages.len() - 1];
        stages.push(cx.with("prod", &[last], attrs)?);
    }
    let grad = cx.grad()?;
    let mut grad = cx.reshape(grad, kept(cx, &axes))?;
    for (axis, x) in axes.iter().zip(&stages).rev() {
        let others = product_of_others(cx, *x, *axis)?;
        grad = cx.mul(grad, others)?;
    }
    cx.only(grad)
}

fn product_of_others(cx: Cx, x: Var, axis: usize) -> Result<Var, GradientError> {
    let before = product_before(cx, x, axis)?;
    let reversed = cx.flip(x, axis)?;
    let after = product_before(cx, reversed, axis)?;
    let after = cx.flip(after, axis)?;
    cx.mul(before, after)
}

/// For each element the product of those before it.
fn product_before(cx: Cx, x: Var, axis: usize) -> Result<Var, GradientError> {
    let dims = cx.ty(x).shape.dims;
    let mut pads = vec![0; 2 * dims.len()];
    pads[2 * axis] = 1;
    let attrs = Attrs::new().with("pads", ints(&pads)).with("value", Attr::int(1));
    let shifted = cx.with("pad", &[x], attrs)?;
    let shifted = cx.slice(shifted, axis, Dim::zero(), dims[axis].clone())?;
    cx.with("cumprod", &[shifted], super::axis_attr(axis))
}
