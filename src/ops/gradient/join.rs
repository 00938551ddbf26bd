//! Putting together and taking apart.

use super::{GradientCx, Grads, axis_attr};
use crate::ops::{Attr, Attrs};
use crate::types::Dim;

type Cx<'a, 'b> = &'a mut GradientCx<'b>;

/// Each operand gets the piece that it filled.
pub fn concat(cx: Cx) -> Grads {
    let axis = cx.axis("axis")?;
    let grad = cx.grad()?;
    let mut start = Dim::zero();
    let mut grads = vec![];
    for operand in 0..cx.operands.len() {
        let stop = start.add(&cx.operands[operand].shape.dims[axis]);
        grads.push(match cx.wanted[operand] {
            true => Some(cx.slice(grad, axis, start, stop.clone())?),
            false => None,
        });
        start = stop;
    }
    Ok(grads)
}

pub fn stack(cx: Cx) -> Grads {
    let grad = cx.grad()?;
    let parts = cx.all("unbind", &[grad], cx.attrs.clone())?;
    let wanted = cx.wanted.iter();
    Ok(parts.into_iter().zip(wanted).map(|(part, wanted)| wanted.then_some(part)).collect())
}

pub fn unbind(cx: Cx) -> Grads {
    let axis = cx.axis("axis")?;
    let grads = (0..cx.results.len()).map(|result| cx.grad_of(result)).collect::<Result<Vec<_>, _>>()?;
    let grad = cx.with("stack", &grads, axis_attr(axis))?;
    cx.only(grad)
}

/// `split` and `chunk`.
pub fn pieces(cx: Cx) -> Grads {
    let axis = cx.axis("axis")?;
    let grads = (0..cx.results.len()).map(|result| cx.grad_of(result)).collect::<Result<Vec<_>, _>>()?;
    let grad = cx.with("concat", &grads, Attrs::new().with("axis", Attr::int(axis as i64)))?;
    cx.only(grad)
}
