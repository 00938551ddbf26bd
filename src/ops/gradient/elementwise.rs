//! Arithmetic, selection and conversion.

use super::{GradientCx, Grads};
use crate::ops::Attr;

type Cx<'a, 'b> = &'a mut GradientCx<'b>;

pub fn add(cx: Cx) -> Grads {
    cx.each(|cx, _| cx.grad())
}

pub fn sub(cx: Cx) -> Grads {
    cx.each(|cx, operand| {
        let grad = cx.grad()?;
        if operand == 0 { Ok(grad) } else { cx.neg(grad) }
    })
}

pub fn mul(cx: Cx) -> Grads {
    cx.each(|cx, operand| {
        let (grad, other) = (cx.grad()?, cx.operand(1 - operand)?);
        cx.mul(grad, other)
    })
}

pub fn div(cx: Cx) -> Grads {
    cx.each(|cx, operand| {
        let (grad, divisor) = (cx.grad()?, cx.operand(1)?);
        let share = cx.div(grad, divisor)?;
        if operand == 0 {
            return Ok(share);
        }
        let quotient = cx.result(0)?;
        let slope = cx.mul(share, quotient)?;
        cx.neg(slope)
    })
}

pub fn modulo(cx: Cx) -> Grads {
    cx.each(|cx, operand| {
        let grad = cx.grad()?;
        if operand == 0 {
            return Ok(grad);
        }
        let (a, b) = (cx.operand(0)?, cx.operand(1)?);
        let turns = cx.op("floor_div", &[a, b])?;
        let slope = cx.mul(grad, turns)?;
        cx.neg(slope)
    })
}

pub fn pow(cx: Cx) -> Grads {
    cx.each(|cx, operand| {
        let (grad, base, exponent) = (cx.grad()?, cx.operand(0)?, cx.operand(1)?);
        let zero = cx.number(0.0, base)?;
        let slope = if operand == 0 {
            let less = cx.affine(-1.0, exponent, 1.0)?;
            let power = cx.op("pow", &[base, less])?;
            let slope = cx.mul(exponent, power)?;
            // A constant power has no slope, also where the base is 0.
            let constant = cx.op("eq", &[exponent, zero])?;
            cx.op("where", &[constant, zero, slope])?
        } else {
            let (power, log) = (cx.result(0)?, cx.op("log", &[base])?);
            let slope = cx.mul(power, log)?;
            let (at_zero, rises) = (cx.op("eq", &[base, zero])?, cx.op("ge", &[exponent, zero])?);
            let flat = cx.op("logical_and", &[at_zero, rises])?;
            cx.op("where", &[flat, zero, slope])?
        };
        cx.mul(grad, slope)
    })
}

pub fn maximum(cx: Cx) -> Grads {
    extreme(cx, ["gt", "lt"])
}

pub fn minimum(cx: Cx) -> Grads {
    extreme(cx, ["lt", "gt"])
}

/// The operand that wins gets the gradient; equal ones share it. `wins` compares `a` with `b`, for either.
fn extreme(cx: Cx, wins: [&str; 2]) -> Grads {
    cx.each(|cx, operand| {
        let (grad, a, b) = (cx.grad()?, cx.operand(0)?, cx.operand(1)?);
        let (wins, even) = (cx.op(wins[operand], &[a, b])?, cx.op("eq", &[a, b])?);
        let (zero, half) = (cx.number(0.0, grad)?, cx.scale(grad, 0.5)?);
        let shared = cx.op("where", &[even, half, zero])?;
        cx.op("where", &[wins, grad, shared])
    })
}

pub fn neg(cx: Cx) -> Grads {
    let grad = cx.grad()?;
    let grad = cx.neg(grad)?;
    cx.only(grad)
}

pub fn abs(cx: Cx) -> Grads {
    let x = cx.operand(0)?;
    let sign = cx.op("sign", &[x])?;
    cx.chain(sign)
}

pub fn clamp(cx: Cx) -> Grads {
    let (mut grad, x) = (cx.grad()?, cx.operand(0)?);
    for (name, inside) in [("min", "gt"), ("max", "lt")] {
        let Some(bound) = cx.attrs.get(name).filter(|bound| **bound != Attr::None).cloned() else { continue };
        let bound = cx.scalar(bound, x)?;
        let inside = cx.op(inside, &[x, bound])?;
        grad = cx.keep_where(inside, grad)?;
    }
    cx.only(grad)
}

pub fn select(cx: Cx) -> Grads {
    cx.each(|cx, operand| {
        let (condition, grad) = (cx.operand(0)?, cx.grad()?);
        let zero = cx.number(0.0, grad)?;
        let chosen = if operand == 1 { [condition, grad, zero] } else { [condition, zero, grad] };
        cx.op("where", &chosen)
    })
}

pub fn cast(cx: Cx) -> Grads {
    let grad = cx.grad()?;
    let ty = cx.operands[0].clone();
    let grad = cx.cast_like(grad, &ty)?;
    cx.only(grad)
}
