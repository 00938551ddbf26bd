//! Matrix products.

use super::{GradientCx, GradientError, Grads, Var};
use crate::ops::matmul::TRANSPOSE;
use crate::ops::{Attr, Attrs};
use crate::types::Dim;

type Cx<'a, 'b> = &'a mut GradientCx<'b>;

/// With A and B the operands as they are multiplied, A's gradient is `g @ B.T` and B's is `A.T @ g`; that of an
/// operand that a flag transposes is the transposed one: `B @ g.T`, `g.T @ A`. Operands of rank 1 are rows and
/// columns.
pub fn matmul(cx: Cx) -> Grads {
    let grad = cx.grad()?;
    let grad = with_both_axes(cx, grad)?;
    let [a_flag, b_flag] = TRANSPOSE.map(|flag| cx.attrs.flag(flag));
    let mut grads = vec![None, None];
    for (operand, slot) in grads.iter_mut().enumerate().filter(|(operand, _)| cx.wanted[*operand]) {
        let other = cx.operand(1 - operand)?;
        let other = as_matrix(cx, other, 1 - operand)?;
        let (pair, flags) = match (operand, [a_flag, b_flag][operand]) {
            (0, false) => ([grad, other], [false, !b_flag]),
            (0, true) => ([other, grad], [b_flag, true]),
            (_, false) => ([other, grad], [!a_flag, false]),
            (_, true) => ([grad, other], [true, a_flag]),
        };
        let attrs = Attrs::new().with_flag(TRANSPOSE[0], flags[0]).with_flag(TRANSPOSE[1], flags[1]);
        let product = cx.with("matmul", &pair, attrs)?;
        let own = cx.operands[operand].clone();
        let matrix = own.with_shape(crate::types::Shape::new(matrix_dims(&own.shape.dims, operand)));
        let product = cx.sum_to(product, &matrix)?;
        *slot = Some(cx.reshape(product, own.shape.dims)?);
    }
    Ok(grads)
}

/// The sizes of an operand as a matrix: a row on the left, a column on the right.
fn matrix_dims(dims: &[Dim], operand: usize) -> Vec<Dim> {
    match (dims, operand) {
        ([only], 0) => vec![Dim::constant(1), only.clone()],
        ([only], _) => vec![only.clone(), Dim::constant(1)],
        _ => dims.to_vec(),
    }
}

fn as_matrix(cx: Cx, x: Var, operand: usize) -> Result<Var, GradientError> {
    cx.reshape(x, matrix_dims(&cx.operands[operand].shape.dims, operand))
}

/// The gradient with the axes that vanished for operands of rank 1.
fn with_both_axes(cx: Cx, grad: Var) -> Result<Var, GradientError> {
    let mut dims = cx.ty(grad).shape.dims;
    if cx.operands[1].shape.dims.len() == 1 {
        dims.push(Dim::constant(1));
    }
    if cx.operands[0].shape.dims.len() == 1 {
        dims.insert(dims.len() - 1, Dim::constant(1));
    }
    cx.reshape(grad, dims)
}

/// Each matrix gets the products of the rows that were sent to it.
pub fn routed(cx: Cx) -> Grads {
    let (grad, index) = (cx.grad()?, cx.operand(2)?);
    let mut grads = vec![None; 3];
    if cx.wanted[0] {
        let matrices = cx.operand(1)?;
        let matrices = cx.transposed(matrices)?;
        grads[0] = Some(cx.op("routed_matmul", &[grad, matrices, index])?);
    }
    if cx.wanted[1] {
        grads[1] = Some(routed_weights(cx, grad, index)?);
    }
    Ok(grads)
}

fn routed_weights(cx: Cx, grad: Var, index: Var) -> Result<Var, GradientError> {
    let weights = cx.operands[1].clone();
    let [experts, outputs, inputs] = weights.shape.dims.as_slice() else { return cx.fail("of this rank") };
    let rows = super::product(&cx.operands[2].shape.dims);
    let x = cx.operand(0)?;
    let x = cx.reshape(x, vec![rows.clone(), inputs.clone()])?;
    let grad = cx.reshape(grad, vec![Dim::constant(1), rows.clone(), outputs.clone()])?;
    let index = cx.reshape(index, vec![rows.clone()])?;
    // Negative indices count from the end.
    let count = cx.scalar(Attr::Int(experts.clone()), index)?;
    let index = cx.op("mod", &[index, count])?;
    let sent = cx.with("one_hot", &[index], Attrs::new().with("num_classes", Attr::Int(experts.clone())))?;
    let sent = cx.cast_like(sent, &weights)?;
    let sent = cx.transposed(sent)?;
    let sent = cx.reshape(sent, vec![experts.clone(), rows, Dim::constant(1)])?;
    let grad = cx.mul(sent, grad)?;
    cx.with("matmul", &[grad, x], Attrs::new().with_flag(TRANSPOSE[0], true))
}
