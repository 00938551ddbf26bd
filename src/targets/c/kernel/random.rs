//! Random numbers: element `i` is made of word `i` of the seed's stream (src/base/philox.rs).

use super::access::offset;
use super::element::double;
use super::maker::{Maker, Outcome, Use};
use super::moves::int;
use crate::targets::c::text::C;
use crate::types::{DType, Dim};

/// The seed and the position of an element.
fn draw<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], function: &str) -> Outcome<C> {
    let seed = maker.element(using.inst.operands[0], &[])?;
    let shape = maker.shape_of(using.inst.results[0])?;
    let index = maker.index(&offset(at, &shape));
    maker.helper("random");
    Ok(C::call(function, vec![seed, index]))
}

/// `start + step * number`, in double precision and rounded once.
fn affine(maker: &mut Maker<'_>, using: Use<'_>, number: C, start: C, step: C) -> Outcome<C> {
    let scaled = if step == double(1.0) { number } else { C::binary(step, "*", number) };
    let moved = if start == double(0.0) { scaled } else { C::binary(start, "+", scaled) };
    maker.converted(moved, DType::Float64, maker.dtype(using.inst.results[0]))
}

pub(super) fn normal<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let (mean, deviation) = (maker.real(using, "mean")?, maker.real(using, "std")?);
    let number = draw(maker, using, at, "normal_number")?;
    affine(maker, using, number, mean, deviation)
}

pub(super) fn uniform<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let (start, stop) = (maker.real(using, "low")?, maker.real(using, "high")?);
    let range = match (using.attrs.const_float("low"), using.attrs.const_float("high")) {
        (Some(low), Some(high)) => double(high - low),
        _ => C::binary(stop, "-", start.clone()),
    };
    let number = draw(maker, using, at, "uniform_number")?;
    affine(maker, using, number, start, range)
}

pub(super) fn integers<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let dtype = maker.dtype(using.inst.results[0]);
    let (low, high) = (int(maker, using, "low")?, int(maker, using, "high")?);
    let range = high.sub(&low);
    if range.as_const().is_none_or(|range| !(1..=1 << 31).contains(&range)) {
        let text = maker.index(&range);
        let least = C::binary(text.clone(), "<", C::atom("1"));
        maker.fail_if(C::or(least, C::binary(text, ">", C::atom("2147483648"))), "VALUE");
    }
    let word = draw(maker, using, at, "random_word")?;
    let (low, range) = (maker.index(&low), maker.index(&range));
    let product = C::binary(C::cast("int64_t", word), "*", range);
    let number = C::binary(product, ">>", C::atom("32"));
    let number = if low == C::atom("0") { number } else { C::binary(low, "+", number) };
    maker.converted(number, DType::Int64, dtype)
}

/// The largest of `logit - log(-log(u))` in each row, the first on a tie.
pub(super) fn categorical<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let [logits, seed] = using.inst.operands[..] else { return Err(maker.refuse("has not two operands")) };
    let shape = maker.shape_of(logits)?;
    let seed = maker.element(seed, &[])?;
    maker.helper("random");
    let Some(classes) = shape.last() else { return Err(maker.refuse("has no axis")) };
    if classes.as_const().is_none() {
        let size = maker.index(classes);
        maker.fail_if(C::binary(size, "==", C::atom("0")), "VALUE");
    }
    let best = maker.variable("double", "best", C::unary("-", C::atom("INFINITY")));
    let drawn = maker.variable("int64_t", "drawn", C::atom("0"));
    let loops = maker.separate_loops(std::slice::from_ref(classes));
    let place: Vec<Dim> = at.iter().chain(&loops.at).cloned().collect();
    let logit = maker.element(logits, &place)?;
    let index = maker.index(&offset(&place, &shape));
    let score = maker.constant("double", "score", C::binary(logit, "+", C::call("gumbel_number", vec![seed, index])));
    maker.open(format!("if ({} > {best})", score.text()));
    maker.statement(format!("{best} = "), score);
    let class = maker.index(&loops.at[0]);
    maker.statement(format!("{drawn} = "), class);
    maker.close();
    maker.close_loops(loops);
    Ok(C::Atom(drawn))
}
