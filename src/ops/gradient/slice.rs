//! Parts of a tensor and their surroundings.

use super::index::add_along;
use super::{GradientCx, GradientError, Grads, Var, axis_attr};
use crate::ops::{Attr, Attrs};
use crate::types::{DType, Dim, TensorType};

type Cx<'a, 'b> = &'a mut GradientCx<'b>;

/// Zeros around a slice; between its elements, too, where it takes steps.
pub fn slice(cx: Cx) -> Grads {
    let axis = cx.axis("axis")?;
    let (start, stop, step) = (cx.dim("start")?, cx.dim("stop")?, cx.dim("step")?);
    let grad = cx.grad()?;
    let dims = cx.operands[0].shape.dims.clone();
    let grad = if step.is_const(1) {
        let mut pads = vec![Dim::zero(); 2 * dims.len()];
        pads[2 * axis] = start;
        pads[2 * axis + 1] = dims[axis].sub(&stop);
        cx.with("pad", &[grad], Attrs::new().with("pads", Attr::Ints(pads)))?
    } else {
        let range = Attrs::new().with("start", Attr::Int(start)).with("stop", Attr::Int(stop));
        let positions = cx.with("arange", &[], range.with("step", Attr::Int(step)))?;
        add_along(cx, grad, positions, axis, &dims[axis])?
    };
    cx.only(grad)
}

pub fn dynamic_slice(cx: Cx) -> Grads {
    let axis = cx.axis("axis")?;
    let (grad, start) = (cx.grad()?, cx.operand(1)?);
    let ty = cx.operands[0].clone();
    let zeros = cx.zeros(&ty)?;
    let grad = cx.with("dynamic_update", &[zeros, grad, start], axis_attr(axis))?;
    cx.only(grad)
}

pub fn dynamic_update(cx: Cx) -> Grads {
    let axis = cx.axis("axis")?;
    let (grad, start) = (cx.grad()?, cx.operand(2)?);
    let updates = cx.operands[1].clone();
    let mut grads = vec![None; 3];
    if cx.wanted[0] {
        let zeros = cx.zeros(&updates)?;
        grads[0] = Some(cx.with("dynamic_update", &[grad, zeros, start], axis_attr(axis))?);
    }
    if cx.wanted[1] {
        let attrs = axis_attr(axis).with("size", Attr::Int(updates.shape.dims[axis].clone()));
        grads[1] = Some(cx.with("dynamic_slice", &[grad, start], attrs)?);
    }
    Ok(grads)
}

pub fn pad(cx: Cx) -> Grads {
    let dims = cx.operands[0].shape.dims.clone();
    let Some(pads) = cx.attrs.dims("pads").map(<[Dim]>::to_vec) else { return cx.fail("`pads` is not known") };
    let constant = cx.attrs.str("mode") == Some("constant");
    // Fewer pairs stand for the last axes.
    let first = dims.len() - pads.len() / 2;
    let mut grad = cx.grad()?;
    for (pair, axis) in pads.chunks(2).zip(first..dims.len()) {
        let [low, high] = pair else { continue };
        if low.is_const(0) && high.is_const(0) {
            continue;
        }
        grad = match constant {
            true => cx.slice(grad, axis, low.clone(), low.add(&dims[axis]))?,
            false => {
                let positions = padded_positions(cx, &dims[axis], pair)?;
                add_along(cx, grad, positions, axis, &dims[axis])?
            }
        };
    }
    cx.only(grad)
}

/// Where each element of a padded axis comes from: the positions, padded likewise.
fn padded_positions(cx: Cx, size: &Dim, pair: &[Dim]) -> Result<Var, GradientError> {
    let positions = cx.with("arange", &[], Attrs::new().with("start", Attr::Int(size.clone())))?;
    let mode = cx.attrs.get("mode").cloned().unwrap_or(Attr::None);
    cx.with("pad", &[positions], Attrs::new().with("pads", Attr::Ints(pair.to_vec())).with("mode", mode))
}

pub fn flip(cx: Cx) -> Grads {
    let grad = cx.grad()?;
    let grad = cx.with("flip", &[grad], cx.attrs.clone())?;
    cx.only(grad)
}

pub fn roll(cx: Cx) -> Grads {
    let back = match cx.attrs.get("shifts") {
        Some(Attr::Int(shift)) => Attr::Int(shift.neg()),
        Some(Attr::Ints(shifts)) => Attr::Ints(shifts.iter().map(Dim::neg).collect()),
        _ => return cx.fail("`shifts` is not known"),
    };
    let grad = cx.grad()?;
    let grad = cx.with("roll", &[grad], cx.attrs.clone().with("shifts", back))?;
    cx.only(grad)
}

/// Positions as an `int64` tensor of rank 1, laid along one axis of a shape.
pub fn lay_along(cx: Cx, positions: Var, axis: usize, ty: &TensorType) -> Result<Var, GradientError> {
    let positions = cx.cast_like(positions, &TensorType::scalar(DType::Int64))?;
    let mut dims = vec![Dim::constant(1); ty.shape.dims.len()];
    dims[axis].clone_from(&ty.shape.dims[axis]);
    let positions = cx.reshape(positions, dims)?;
    cx.broadcast_to(positions, ty.shape.dims.clone())
}

/// The triangle of the gradient that the operation kept: `tril`, `triu`.
pub fn triangle(cx: Cx) -> Grads {
    let grad = cx.grad()?;
    let name = cx.op.name;
    let grad = cx.with(name, &[grad], cx.attrs.clone())?;
    cx.only(grad)
}
