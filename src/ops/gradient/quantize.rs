//! Straight through: quantising and dequantising passes the gradient as if it changed nothing; with
//! `ste="clipped"` not where a value was clamped.

use super::{GradientCx, GradientError, Grads, Var};
use crate::ops::{Attr, Attrs};
use crate::quant::{Scheme, Ste};
use crate::types::{Dim, TensorType};

type Cx<'a, 'b> = &'a mut GradientCx<'b>;

/// The codes' gradient is that of the value that they stand for.
pub fn quantize(cx: Cx) -> Grads {
    let Some(scheme) = cx.attrs.scheme("scheme").cloned() else { return cx.fail("the scheme is not known") };
    let Some(grad) = cx.grads.first().copied().flatten() else { return Ok(vec![None; cx.operands.len()]) };
    let ty = cx.operands[0].clone();
    let mut grad = cx.cast_like(grad, &ty)?;
    if scheme.ste == Ste::Clipped {
        let parts = (0..cx.results.len()).map(|result| cx.result(result)).collect::<Result<Vec<_>, _>>()?;
        let close = close_to_codes(cx, &scheme, &parts)?;
        grad = cx.keep_where(close, grad)?;
    }
    cx.only(grad)
}

/// The same where the scale is given, which has no gradient.
pub fn quantize_with(cx: Cx) -> Grads {
    let Some(scheme) = cx.attrs.scheme("scheme").cloned() else { return cx.fail("the scheme is not known") };
    let ty = cx.operands[0].clone();
    let grad = cx.grad()?;
    let mut grad = cx.cast_like(grad, &ty)?;
    if scheme.ste == Ste::Clipped {
        let mut parts = vec![cx.result(0)?];
        for operand in 1..cx.operands.len() {
            parts.push(cx.operand(operand)?);
        }
        let close = close_to_codes(cx, &scheme, &parts)?;
        grad = cx.keep_where(close, grad)?;
    }
    cx.only(grad)
}

/// A rounded value is at most half a step from what its code stands for; a clamped one is further.
fn close_to_codes(cx: Cx, scheme: &Scheme, parts: &[Var]) -> Result<Var, GradientError> {
    let ty = cx.operands[0].clone();
    let x = cx.operand(0)?;
    let attrs = Attrs::new().with("scheme", Attr::Scheme(scheme.clone())).with("dtype", Attr::DType(ty.elem.clone()));
    let value = cx.with("dequantize", parts, attrs)?;
    let distance = cx.sub(x, value)?;
    let distance = cx.op("abs", &[distance])?;
    let step = cx.cast_like(parts[1], &ty)?;
    let step = one_for_each(cx, step, scheme, &ty)?;
    let half = cx.scale(step, 0.5)?;
    cx.op("le", &[distance, half])
}

/// Scales laid out so that they broadcast with the tensor of this type.
fn one_for_each(cx: Cx, scale: Var, scheme: &Scheme, ty: &TensorType) -> Result<Var, GradientError> {
    let dims = &ty.shape.dims;
    let mut scales = cx.ty(scale).shape.dims;
    if let Some(axis) = scheme.axis {
        let Ok(axis) = ty.shape.axis(axis) else { return cx.fail("the axis is out of range") };
        let mut along = vec![Dim::constant(1); dims.len()];
        along[axis].clone_from(&dims[axis]);
        return cx.reshape(scale, along);
    }
    if let Some(group) = scheme.group {
        scales.push(Dim::constant(1));
        let apart = cx.reshape(scale, scales.clone())?;
        let last = scales.len() - 1;
        scales[last] = Dim::constant(group);
        let apart = cx.broadcast_to(apart, scales)?;
        return cx.reshape(apart, dims.clone());
    }
    if scheme.dynamic {
        scales.push(Dim::constant(1));
        return cx.reshape(scale, scales);
    }
    Ok(scale)
}

/// The codes take the gradient as it is; a scale that is no result of `quantize`, the sum over its slice.
pub fn dequantize(cx: Cx) -> Grads {
    let grad = cx.grad()?;
    let mut grads = vec![None; cx.operands.len()];
    grads[0] = cx.wanted[0].then_some(grad);
    if cx.wanted[1] {
        grads[1] = Some(scale_gradient(cx, grad)?);
    }
    Ok(grads)
}

fn scale_gradient(cx: Cx, grad: Var) -> Result<Var, GradientError> {
    let Some(scheme) = cx.attrs.scheme("scheme").cloned() else { return cx.fail("the scheme is not known") };
    let (result, scale) = (cx.results[0].clone(), cx.operands[1].clone());
    let (codes, scales) = (cx.operand(0)?, cx.operand(1)?);
    let mut steps = cx.cast_like(codes, &result)?;
    if scheme.has_zero_point() {
        let zero = cx.operand(2)?;
        let zero = cx.cast_like(zero, &result)?;
        let zero = one_for_each(cx, zero, &scheme, &result)?;
        steps = cx.sub(steps, zero)?;
    }
    let share = cx.mul(grad, steps)?;
    let sum = match scheme.group {
        Some(group) => {
            let mut apart = cx.ty(scales).shape.dims;
            apart.push(Dim::constant(group));
            let last = apart.len() - 1;
            let apart = cx.reshape(share, apart)?;
            cx.sum(apart, &[last], false)?
        }
        None => {
            let rank = result.shape.dims.len();
            let own = scheme.axis.and_then(|axis| result.shape.axis(axis).ok());
            let axes: Vec<usize> = match (own, scheme.dynamic) {
                (None, true) => vec![rank - 1],
                (own, _) => (0..rank).filter(|axis| Some(*axis) != own).collect(),
            };
            cx.sum(share, &axes, false)?
        }
    };
    cx.cast_like(sum, &scale)
}
