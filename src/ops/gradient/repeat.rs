//! Repeating elements.

use super::{GradientCx, GradientError, Grads, Var};
use crate::ops::{Attr, Attrs};
use crate::types::Dim;

type Cx<'a, 'b> = &'a mut GradientCx<'b>;

/// Adds up the copies, with an axis of their own for each.
pub fn repeat(cx: Cx) -> Grads {
    let counts = match cx.attrs.get("repeats") {
        Some(Attr::Int(count)) => vec![count.clone()],
        Some(Attr::Ints(counts)) => counts.clone(),
        _ => return cx.fail("`repeats` is not known"),
    };
    let dims = cx.operands[0].shape.dims.clone();
    let added = counts.len() - dims.len();
    let mut apart = vec![];
    let mut copies = vec![];
    for (axis, count) in counts.into_iter().enumerate() {
        copies.push(apart.len());
        apart.push(count);
        apart.extend(axis.checked_sub(added).map(|own| dims[own].clone()));
    }
    let grad = cx.grad()?;
    let grad = cx.reshape(grad, apart)?;
    let grad = cx.sum(grad, &copies, false)?;
    cx.only(grad)
}

pub fn repeat_interleave(cx: Cx) -> Grads {
    let (axis, count) = (cx.axis("axis")?, cx.dim("n")?);
    let grad = cx.grad()?;
    let grad = gather_copies(cx, grad, axis, &count)?;
    cx.only(grad)
}

/// Adds up `count` neighbours along an axis.
fn gather_copies(cx: Cx, grad: Var, axis: usize, count: &Dim) -> Result<Var, GradientError> {
    let mut dims = cx.ty(grad).shape.dims;
    dims[axis].clone_from(&cx.operands[0].shape.dims[axis]);
    dims.insert(axis + 1, count.clone());
    let apart = cx.reshape(grad, dims)?;
    cx.sum(apart, &[axis + 1], false)
}

pub fn upsample(cx: Cx) -> Grads {
    let rank = cx.operands[0].shape.dims.len();
    let factors = cx.spatial("scale_factor", rank - 2)?;
    let nearest = cx.attrs.str("mode") == Some("nearest");
    let mut grad = cx.grad()?;
    for (factor, axis) in factors.iter().zip(2..rank) {
        grad = match nearest {
            true => gather_copies(cx, grad, axis, factor)?,
            false => interpolated(cx, grad, axis, factor)?,
        };
    }
    cx.only(grad)
}

/// Interpolation is linear: its matrix is what it makes of the identity.
fn interpolated(cx: Cx, grad: Var, axis: usize, factor: &Dim) -> Result<Var, GradientError> {
    let size = cx.operands[0].shape.dims[axis].clone();
    let elem = cx.operands[0].elem.clone();
    let eye = Attrs::new().with("n", Attr::Int(size.clone())).with("dtype", Attr::DType(elem));
    let eye = cx.with("eye", &[], eye)?;
    let eye = cx.reshape(eye, vec![Dim::constant(1), size.clone(), size.clone()])?;
    let attrs = Attrs::new().with("scale_factor", Attr::Int(factor.clone()));
    let matrix = cx.with("upsample", &[eye], attrs.with("mode", Attr::Str("linear".into())))?;
    let matrix = cx.reshape(matrix, vec![size.clone(), size.mul(factor)])?;
    let matrix = cx.transposed(matrix)?;
    let last = cx.ty(grad).shape.dims.len() - 1;
    let swap = axis_pair(axis, last);
    let grad = cx.with("transpose", &[grad], swap.clone())?;
    let grad = cx.op("matmul", &[grad, matrix])?;
    cx.with("transpose", &[grad], swap)
}

fn axis_pair(a: usize, b: usize) -> Attrs {
    Attrs::new().with("axis0", Attr::int(a as i64)).with("axis1", Attr::int(b as i64))
}
