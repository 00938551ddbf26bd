//! Operations that change the shape and keep the elements.

use super::{GradientCx, Grads};

type Cx<'a, 'b> = &'a mut GradientCx<'b>;

/// The gradient under the operand's sizes: reshape, squeeze, unsqueeze.
pub fn same_elements(cx: Cx) -> Grads {
    let grad = cx.grad()?;
    let grad = cx.reshape(grad, cx.operands[0].shape.dims.clone())?;
    cx.only(grad)
}

pub fn permute(cx: Cx) -> Grads {
    let axes = cx.axes("axes")?;
    let mut inverse = vec![0; axes.len()];
    axes.iter().enumerate().for_each(|(place, axis)| inverse[*axis] = place);
    let grad = cx.grad()?;
    let grad = cx.permute(grad, &inverse)?;
    cx.only(grad)
}

pub fn transpose(cx: Cx) -> Grads {
    let grad = cx.grad()?;
    let grad = cx.with("transpose", &[grad], cx.attrs.clone())?;
    cx.only(grad)
}

pub fn broadcast_to(cx: Cx) -> Grads {
    cx.each(|cx, _| cx.grad())
}
