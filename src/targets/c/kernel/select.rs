//! Choices between elements: positions of extremes, and bounds.

use super::access::{count, offset};
use super::element::literal;
use super::fold::Reduced;
use super::maker::{Maker, Outcome, Use};
use crate::ops::Attr;
use crate::targets::c::text::{C, carrier};
use crate::types::tensor::saturate;
use crate::types::{DType, Dim, Tensor};

pub(super) fn argmax<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    position(maker, using, at, ">")
}

pub(super) fn argmin<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    position(maker, using, at, "<")
}

/// The position of the element that beats all before it; NaN beats all.
fn position<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], beats: &'static str) -> Outcome<C> {
    let reduced = Reduced::of(maker, using)?;
    let dtype = maker.dtype(reduced.operand);
    let sizes = reduced.sizes();
    let number = count(&sizes);
    if number.as_const().is_none() {
        let size = maker.index(&number);
        maker.fail_if(C::binary(size, "==", C::atom("0")), "VALUE");
    }
    let first = reduced.place(at, &vec![Dim::zero(); sizes.len()]);
    let first = maker.element(reduced.operand, &first)?;
    let best = maker.variable(carrier(dtype), "best", first);
    let found = maker.variable("int64_t", "position", C::atom("0"));
    let loops = maker.loops(&sizes);
    let place = reduced.place(at, &loops.at);
    let element = maker.element(reduced.operand, &place)?;
    let element = if element.is_place() { element } else { maker.constant(carrier(dtype), "t", element) };
    let wins = C::binary(element.clone(), beats, C::atom(&best));
    let condition = match dtype.is_float() {
        false => wins,
        true => {
            let is_nan = |c: C| C::call("isnan", vec![c]);
            let or_nan = C::or(wins, is_nan(element.clone()));
            C::and(C::unary("!", is_nan(C::atom(&best))), or_nan)
        }
    };
    maker.open(format!("if ({})", condition.text()));
    maker.statement(format!("{best} = "), element);
    let index = offset(&loops.at, &sizes);
    let index = maker.index(&index);
    maker.statement(format!("{found} = "), index);
    maker.close();
    maker.close_loops(loops);
    Ok(C::Atom(found))
}

/// An element limited by constants; NaN stays.
pub(super) fn clamp<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let operand = using.inst.operands[0];
    let dtype = maker.dtype(operand);
    let mut value = maker.element(operand, at)?;
    for (name, operator) in [("min", "<"), ("max", ">")] {
        if matches!(using.attrs.get(name), None | Some(Attr::None)) {
            continue;
        }
        // No integer is beyond the end of its range.
        let ends = dtype.int_range().map(|(low, high)| if name == "min" { low } else { high });
        let known = using.attrs.const_float(name);
        let is_end = |bound| ends.is_some_and(|end| i128::from(saturate(dtype, bound)) == end);
        if known.is_some_and(is_end) && dtype != DType::UInt64 {
            continue;
        }
        let bound = match known {
            Some(bound) if !dtype.is_float() => {
                literal(&Tensor::from_i64(dtype, vec![], vec![saturate(dtype, bound)]), 0)
            }
            _ => {
                let bound = maker.attribute(using, name, dtype)?;
                if bound.is_place() || known.is_some() { bound } else { maker.constant(carrier(dtype), name, bound) }
            }
        };
        if dtype == DType::UInt64 && operator == "<" && bound == C::atom("0") {
            continue;
        }
        let own = if value.is_place() { value } else { maker.constant(carrier(dtype), "t", value) };
        value = C::conditional(C::binary(own.clone(), operator, bound.clone()), bound, own);
    }
    Ok(value)
}
