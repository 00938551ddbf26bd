//! Running sums and products, sorting.

use super::{GradientCx, Grads, Var, axis_attr};
use crate::ops::{Attr, Attrs};
use crate::types::Dim;

type Cx<'a, 'b> = &'a mut GradientCx<'b>;

/// Each element counts in all sums from its own on.
pub fn cumsum(cx: Cx) -> Grads {
    let axis = cx.axis("axis")?;
    let grad = cx.grad()?;
    let grad = cx.flip(grad, axis)?;
    let grad = cx.with("cumsum", &[grad], axis_attr(axis))?;
    let grad = cx.flip(grad, axis)?;
    cx.only(grad)
}

/// The derivative of product j by element i is the product of the others up to j: a square of products, so that
/// no division meets a zero.
pub fn cumprod(cx: Cx) -> Grads {
    let axis = cx.axis("axis")?;
    let (grad, x) = (cx.grad()?, cx.operand(0)?);
    let dims = cx.operands[0].shape.dims.clone();
    let (size, last) = (dims[axis].clone(), dims.len() - 1);
    let mut order: Vec<usize> = (0..dims.len()).collect();
    order.swap(axis, last);
    let (x, grad) = (cx.permute(x, &order)?, cx.permute(grad, &order)?);
    let mut row = cx.ty(x).shape.dims;
    row.insert(last, Dim::constant(1));
    let mut square = row.clone();
    square[last] = size.clone();
    let (x, grad) = (cx.reshape(x, row.clone())?, cx.reshape(grad, row)?);
    let x = cx.broadcast_to(x, square)?;
    let diagonal = cx.with("eye", &[], eye(cx, x, &size))?;
    let one = cx.number(1.0, x)?;
    let half = cx.number(0.5, x)?;
    let diagonal = cx.op("gt", &[diagonal, half])?;
    let others = cx.op("where", &[diagonal, one, x])?;
    let products = cx.with("cumprod", &[others], axis_attr(last + 1))?;
    let slopes = cx.op("triu", &[products])?;
    let shares = cx.mul(slopes, grad)?;
    let grad = cx.sum(shares, &[last + 1], false)?;
    let grad = cx.permute(grad, &order)?;
    cx.only(grad)
}

fn eye(cx: &GradientCx, like: Var, size: &Dim) -> Attrs {
    Attrs::new().with("n", Attr::Int(size.clone())).with("dtype", Attr::DType(cx.ty(like).elem))
}

/// Values go back to the positions that they came from: `sort` and `topk`.
pub fn order(cx: Cx) -> Grads {
    let axis = cx.axis("axis")?;
    let (grad, positions) = (cx.grad()?, cx.result(1)?);
    let ty = cx.operands[0].clone();
    let zeros = cx.zeros(&ty)?;
    let attrs = axis_attr(axis).with("reduce", Attr::Str("add".into()));
    let grad = cx.with("scatter", &[zeros, positions, grad], attrs)?;
    cx.only(grad)
}
