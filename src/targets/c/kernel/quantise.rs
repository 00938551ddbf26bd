//! Codes and scales, as src/quant/codes.rs says, and packed bytes.

use super::Held;
use super::access::offset;
use super::maker::{Maker, Outcome, Use};
use super::moves::int;
use crate::ir::ValueId;
use crate::quant::pack::Format;
use crate::quant::{Scheme, SchemeKind, TernaryRule};
use crate::targets::c::text::{C, carrier, float};
use crate::types::{DType, Dim};

fn scheme<'a>(maker: &Maker<'_>, using: Use<'a>) -> Outcome<&'a Scheme> {
    using.attrs.scheme("scheme").ok_or_else(|| maker.refuse("has no scheme"))
}

fn single(value: f64) -> C {
    float(DType::Float32, value)
}

/// The index of the scale of an element.
fn scale_at(maker: &Maker<'_>, scheme: &Scheme, at: &[Dim]) -> Vec<Dim> {
    if let Some(axis) = scheme.axis {
        let axis = if axis < 0 { axis + at.len() as i64 } else { axis };
        return usize::try_from(axis).ok().and_then(|axis| at.get(axis)).cloned().into_iter().collect();
    }
    match (scheme.group, at.split_last()) {
        (Some(group), Some((last, outer))) => {
            let group = maker.ranges.divide(last, &Dim::constant(group));
            outer.iter().cloned().chain([group]).collect()
        }
        (None, Some((_, outer))) if scheme.dynamic => outer.to_vec(),
        _ => vec![],
    }
}

/// The values that codes stand for.
pub(super) fn dequantize<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let scheme = scheme(maker, using)?;
    let place = scale_at(maker, scheme, at);
    let scale = single_scale(maker, using, &place)?;
    let mut code = maker.element(using.inst.operands[0], at)?;
    if let Some(zero) = using.inst.operands.get(2) {
        code = C::binary(code, "-", maker.element(*zero, &place)?);
    }
    maker.converted(C::binary(code, "*", scale), DType::Float32, maker.dtype(using.inst.results[0]))
}

fn single_scale<'a>(maker: &mut Maker<'a>, using: Use<'a>, place: &[Dim]) -> Outcome<C> {
    let scale = maker.element(using.inst.operands[1], place)?;
    Ok(if maker.dtype(using.inst.operands[1]) == DType::Float64 { C::cast("float", scale) } else { scale })
}

/// An element as `float`, which must be finite.
fn finite<'a>(maker: &mut Maker<'a>, value: ValueId, at: &[Dim]) -> Outcome<C> {
    let element = single_precision(maker, value, at)?;
    maker.fail_if(C::unary("!", C::call("isfinite", vec![element.clone()])), "VALUE");
    Ok(element)
}

/// An element as `float`, with a name.
fn single_precision<'a>(maker: &mut Maker<'a>, value: ValueId, at: &[Dim]) -> Outcome<C> {
    let element = maker.element(value, at)?;
    let element = if maker.dtype(value) == DType::Float64 { C::cast("float", element) } else { element };
    Ok(if element.is_atom() { element } else { maker.constant("float", "w", element) })
}

/// The code of a number under an integer scheme.
fn integer_code(maker: &mut Maker<'_>, scheme: &Scheme, w: C, scale: C, zero: Option<C>) -> C {
    maker.helper("codes_of");
    let SchemeKind::Int { bits, .. } = scheme.kind else { return w };
    let ty = carrier(scheme.code_dtype());
    match zero {
        None => C::cast(ty, C::call("symmetric_code", vec![w, scale, single(top(bits))])),
        Some(zero) => {
            let (low, high) = ends(bits);
            C::cast(ty, C::call("asymmetric_code", vec![w, scale, zero, single(low), single(high)]))
        }
    }
}

fn top(bits: u32) -> f64 {
    if bits == 4 { 7.0 } else { 127.0 }
}

fn ends(bits: u32) -> (f64, f64) {
    if bits == 4 { (0.0, 15.0) } else { (-128.0, 127.0) }
}

/// Codes under scales that are given.
pub(super) fn quantize_with<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let scheme = scheme(maker, using)?;
    let place = scale_at(maker, scheme, at);
    let scale = single_scale(maker, using, &place)?;
    let scale = if scale.is_place() { scale } else { maker.constant("float", "scale", scale) };
    let positive = C::binary(scale.clone(), ">", C::atom("0.0f"));
    let holds = C::and(positive, C::call("isfinite", vec![scale.clone()]));
    maker.fail_if(C::unary("!", holds), "VALUE");
    let w = finite(maker, using.inst.operands[0], at)?;
    let zero = match using.inst.operands.get(2) {
        Some(zero) => Some(maker.element(*zero, &place)?),
        None => None,
    };
    Ok(integer_code(maker, scheme, w, scale, zero))
}

/// The elements that share a scale.
struct Slices {
    /// Sizes of the scales.
    outer: Vec<Dim>,
    /// Sizes along which the elements of a slice lie.
    inner: Vec<Dim>,
    axis: Option<usize>,
    group: Option<Dim>,
}

impl Slices {
    fn of(maker: &Maker<'_>, scheme: &Scheme, shape: &[Dim], scales: Vec<Dim>) -> Outcome<Slices> {
        let mut slices = Slices { outer: scales, inner: shape.to_vec(), axis: None, group: None };
        if let Some(axis) = scheme.axis {
            let axis = if axis < 0 { axis + shape.len() as i64 } else { axis };
            let axis = usize::try_from(axis).ok().filter(|axis| *axis < shape.len());
            slices.axis = axis;
            slices.inner.remove(axis.ok_or_else(|| maker.refuse("has no such axis"))?);
        } else if let Some(group) = scheme.group {
            slices.group = Some(Dim::constant(group));
            slices.inner = vec![Dim::constant(group)];
        } else if scheme.dynamic {
            slices.inner = shape.last().cloned().into_iter().collect();
        }
        Ok(slices)
    }

    fn place(&self, outer: &[Dim], inner: &[Dim]) -> Vec<Dim> {
        if let Some(axis) = self.axis {
            let mut at = inner.to_vec();
            at.insert(axis, outer[0].clone());
            return at;
        }
        match (&self.group, outer.split_last()) {
            (Some(group), Some((last, rows))) => rows.iter().cloned().chain([last.mul(group).add(&inner[0])]).collect(),
            _ => outer.iter().chain(inner).cloned().collect(),
        }
    }
}

/// What the codes of a slice are made with.
struct Coding {
    scale: C,
    zero: Option<C>,
    limit: Option<C>,
}

/// Codes, scales and zero points, slice by slice.
pub(super) fn quantize<'a>(maker: &mut Maker<'a>, using: Use<'a>) -> Outcome<()> {
    let scheme = scheme(maker, using)?;
    let operand = using.inst.operands[0];
    let shape = maker.shape_of(operand)?;
    let scales = maker.shape_of(using.inst.results[1])?;
    let slices = Slices::of(maker, scheme, &shape, scales)?;
    if scheme.dynamic && maker.quantize_rows(scheme, operand, &slices) {
        return Ok(());
    }
    let loops = maker.loops(&slices.outer);
    let coding = match scheme.kind {
        SchemeKind::Ternary { rule, kept_scale, .. } => ternary(maker, using, &slices, &loops.at, (rule, kept_scale))?,
        SchemeKind::Int { bits, symmetric: true } => {
            let most = maker.variable("float", "most", C::atom("0.0f"));
            statistics(maker, operand, &slices, &loops.at, &mut |maker, w| larger(maker, &most, absolute(w)))?;
            let raw = C::binary(C::Atom(most), "/", single(top(bits)));
            Coding { scale: stored(maker, scheme, raw)?, zero: None, limit: None }
        }
        SchemeKind::Int { bits, symmetric: false } => asymmetric(maker, using, &slices, &loops.at, bits)?,
    };
    maker.store(1, &loops.at, coding.scale.clone());
    if let Some(zero) = &coding.zero {
        maker.store(2, &loops.at, zero.clone());
    }
    let inner = maker.loops(&slices.inner);
    let at = slices.place(&loops.at, &inner.at);
    // Where there was something to find out of a slice, its elements were looked at.
    let is_seen =
        !matches!(scheme.kind, SchemeKind::Ternary { rule: TernaryRule::Fixed { .. }, kept_scale: false, .. });
    let w = if is_seen { single_precision(maker, operand, &at)? } else { finite(maker, operand, &at)? };
    let code = code(maker, using, (w, &at, &shape), coding)?;
    maker.store(0, &at, code);
    maker.close_loops(inner);
    maker.close_loops(loops);
    Ok(())
}

impl Maker<'_> {
    /// Rows of floats in memory as codes of eight bits, by the function of `templates/c/kernels/activations.h`.
    fn quantize_rows(&mut self, scheme: &Scheme, operand: ValueId, slices: &Slices) -> bool {
        let is_int8 = matches!(scheme.kind, SchemeKind::Int { bits: 8, symmetric: true });
        let Some(own) = self.operand(operand).filter(|own| own.dtype == DType::Float32 && own.held == Held::Plain)
        else {
            return false;
        };
        let from = own.name.clone();
        if !is_int8 || scheme.scale_dtype != DType::Float32 || slices.axis.is_some() || slices.group.is_some() {
            return false;
        }
        self.family("activations");
        let loops = self.loops(&slices.outer);
        let row = offset(&loops.at, &slices.outer);
        let count = super::access::count(&slices.inner);
        let begin = self.index(&row.mul(&count)).text();
        let (row, count) = (self.index(&row).text(), self.index(&count).text());
        let at = |name: &str, place: &str| if place == "0" { name.to_string() } else { format!("{name} + {place}") };
        let (codes, scale) = (self.results[0].name.clone(), self.results[1].name.clone());
        let arguments = [at(&from, &begin), count, at(&codes, &begin), at(&scale, &row)].map(C::Atom);
        self.fail_if(C::unary("!", C::call("quantize_row_int8", arguments.to_vec())), "VALUE");
        self.close_loops(loops);
        true
    }
}

fn absolute(w: C) -> C {
    C::call("fabsf", vec![w])
}

fn larger(maker: &mut Maker<'_>, most: &str, value: C) -> Outcome<()> {
    let value = C::call("fmaxf", vec![C::atom(most), value]);
    maker.statement(format!("{most} = "), value);
    Ok(())
}

/// A loop over the elements of a slice.
fn statistics<'a>(
    maker: &mut Maker<'a>,
    operand: ValueId,
    slices: &Slices,
    at: &[Dim],
    step: &mut dyn FnMut(&mut Maker<'a>, C) -> Outcome<()>,
) -> Outcome<()> {
    let inner = maker.loops(&slices.inner);
    let place = slices.place(at, &inner.at);
    let w = finite(maker, operand, &place)?;
    step(maker, w)?;
    maker.close_loops(inner);
    Ok(())
}

/// A scale as it is stored: rounded to its type, 1 instead of 0.
fn stored(maker: &mut Maker<'_>, scheme: &Scheme, raw: C) -> Outcome<C> {
    let rounded = maker.rounded(scheme.scale_dtype, raw);
    let rounded = maker.constant("float", "rounded", rounded);
    maker.fail_if(C::call("isinf", vec![rounded.clone()]), "VALUE");
    let value = C::conditional(C::binary(rounded.clone(), "==", C::atom("0.0f")), C::atom("1.0f"), rounded);
    Ok(maker.constant("float", "scale", value))
}

fn ternary<'a>(
    maker: &mut Maker<'a>,
    using: Use<'a>,
    slices: &Slices,
    at: &[Dim],
    (rule, kept_scale): (TernaryRule, bool),
) -> Outcome<Coding> {
    let scheme = scheme(maker, using)?;
    let operand = using.inst.operands[0];
    let limit = match rule {
        TernaryRule::AbsMean => {
            let total = maker.variable("double", "total", C::atom("0.0"));
            statistics(maker, operand, slices, at, &mut |maker, w| {
                maker.statement(format!("{total} += "), absolute(w));
                Ok(())
            })?;
            let size = maker.index(&super::access::count(&slices.inner));
            let mean = C::binary(C::atom(&total), "/", C::cast("double", size));
            let mean = C::call("fmaxf", vec![C::cast("float", mean), single(f64::from(1e-5f32))]);
            let raw = C::conditional(C::binary(C::Atom(total), "==", C::atom("0.0")), C::atom("0.0f"), mean);
            return Ok(Coding { scale: stored(maker, scheme, raw)?, zero: None, limit: None });
        }
        TernaryRule::Fixed { threshold } => single(threshold.0),
        TernaryRule::Max { ratio } => {
            let most = maker.variable("float", "most", C::atom("0.0f"));
            statistics(maker, operand, slices, at, &mut |maker, w| larger(maker, &most, absolute(w)))?;
            maker.constant("float", "limit", C::binary(single(ratio.0), "*", C::Atom(most)))
        }
    };
    if !kept_scale {
        return Ok(Coding { scale: C::atom("1.0f"), zero: None, limit: Some(limit) });
    }
    let total = maker.variable("double", "total", C::atom("0.0"));
    let kept = maker.variable("int64_t", "kept", C::atom("0"));
    statistics(maker, operand, slices, at, &mut |maker, w| {
        maker.open(format!("if ({})", C::binary(absolute(w.clone()), ">", limit.clone()).text()));
        maker.statement(format!("{total} += "), absolute(w));
        maker.line(format!("{kept}++;"));
        maker.close();
        Ok(())
    })?;
    let mean = C::cast("float", C::binary(C::Atom(total), "/", C::cast("double", C::atom(&kept))));
    let raw = C::conditional(C::binary(C::Atom(kept), "==", C::atom("0")), C::atom("0.0f"), mean);
    Ok(Coding { scale: stored(maker, scheme, raw)?, zero: None, limit: Some(limit) })
}

fn asymmetric<'a>(maker: &mut Maker<'a>, using: Use<'a>, slices: &Slices, at: &[Dim], bits: u32) -> Outcome<Coding> {
    let scheme = scheme(maker, using)?;
    let (bottom, top) = ends(bits);
    // Starting at 0 widens the range to contain it.
    let low = maker.variable("float", "low", C::atom("0.0f"));
    let high = maker.variable("float", "high", C::atom("0.0f"));
    statistics(maker, using.inst.operands[0], slices, at, &mut |maker, w| {
        maker.statement(format!("{low} = "), C::call("fminf", vec![C::atom(&low), w.clone()]));
        larger(maker, &high, w)
    })?;
    let raw = C::binary(C::binary(C::Atom(high), "-", C::atom(&low)), "/", single(top - bottom));
    let rounded = maker.rounded(scheme.scale_dtype, raw);
    let rounded = maker.constant("float", "rounded", rounded);
    maker.fail_if(C::call("isinf", vec![rounded.clone()]), "VALUE");
    let is_empty = C::binary(rounded.clone(), "==", C::atom("0.0f"));
    let scale = maker.constant("float", "scale", C::conditional(is_empty.clone(), C::atom("1.0f"), rounded));
    maker.helper("codes_of");
    let zero = C::call("zero_point", vec![C::Atom(low), scale.clone(), single(bottom), single(top)]);
    let zero = C::conditional(is_empty, C::atom("0.0f"), zero);
    let ty = carrier(scheme.code_dtype());
    let zero = maker.constant(ty, "zero", C::cast(ty, zero));
    Ok(Coding { scale, zero: Some(zero), limit: None })
}

/// The code of an element.
fn code<'a>(maker: &mut Maker<'a>, using: Use<'a>, (w, at, shape): (C, &[Dim], &[Dim]), coding: Coding) -> Outcome<C> {
    let scheme = scheme(maker, using)?;
    if let Some(limit) = coding.limit {
        let sign =
            C::conditional(C::binary(w.clone(), ">", C::atom("0.0f")), C::atom("1"), C::unary("-", C::atom("1")));
        return Ok(C::conditional(C::binary(absolute(w), ">", limit), sign, C::atom("0")));
    }
    if matches!(scheme.kind, SchemeKind::Int { .. }) {
        return Ok(integer_code(maker, scheme, w, coding.scale, coding.zero));
    }
    maker.helper("codes_of");
    if !scheme.is_stochastic() {
        return Ok(C::cast("int8_t", C::call("symmetric_code", vec![w, coding.scale, C::atom("1.0f")])));
    }
    let Some(seed) = using.inst.operands.get(1) else { return Err(maker.refuse("has no seed")) };
    let seed = maker.element(*seed, &[])?;
    maker.helper("random");
    let index = maker.index(&offset(at, shape));
    let chance = C::cast("float", C::call("uniform_number", vec![seed, index]));
    Ok(C::cast("int8_t", C::call("stochastic_code", vec![w, coding.scale, chance])))
}

fn format(maker: &Maker<'_>, using: Use<'_>) -> Outcome<Format> {
    using.attrs.str("format").and_then(Format::parse).ok_or_else(|| maker.refuse("has no known format"))
}

/// What a digit counts for more than the one before it, how many there are, and what a code is less than its digit.
fn digits(format: Format, dtype: DType) -> (i64, i64, i64) {
    match format {
        Format::Ternary2 => (4, 3, 1),
        Format::Ternary5 => (3, 3, 1),
        Format::Int4 if dtype == DType::Int4 => (16, 16, 8),
        Format::Int4 => (16, 16, 0),
        Format::Int8 => (256, 256, 0),
    }
}

/// A byte of codes.
pub(super) fn pack<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let operand = using.inst.operands[0];
    let (format, dtype, shape) = (format(maker, using)?, maker.dtype(operand), maker.shape_of(operand)?);
    let (Some((byte, rows)), Some(size)) = (at.split_last(), shape.last()) else {
        return Err(maker.refuse("has no axis"));
    };
    let count = format.codes_per_byte() as i64;
    let (radix, valid, shift) = digits(format, dtype);
    if count == 1 {
        return Ok(C::cast("uint8_t", maker.element(operand, at)?));
    }
    let (mut sum, mut weight) = (None, 1);
    for digit in 0..count {
        let column = byte.scale(count).add(&Dim::constant(digit));
        let place: Vec<Dim> = rows.iter().chain([&column]).cloned().collect();
        let inside = maker.is_below(&column, size);
        let padding = C::atom((0).to_string());
        let code = maker.choose(
            inside,
            dtype,
            |maker| {
                let code = maker.element(operand, &place)?;
                if dtype != DType::UInt8 {
                    return Ok(code);
                }
                let code = maker.constant("uint8_t", "code", code);
                maker.fail_if(C::binary(code.clone(), ">=", C::atom(valid.to_string())), "VALUE");
                Ok(code)
            },
            |_| Ok(padding),
        )?;
        let code = if shift == 0 { code } else { C::binary(code, "+", C::atom(shift.to_string())) };
        let term = if weight == 1 { code } else { C::binary(code, "*", C::atom(weight.to_string())) };
        sum = Some(match sum.take() {
            None => term,
            Some(sum) => C::binary(sum, "+", term),
        });
        weight *= radix;
    }
    Ok(C::cast("uint8_t", sum.unwrap_or(C::atom("0"))))
}

/// A code of a byte, which must be one that packing gives.
pub(super) fn unpack<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let operand = using.inst.operands[0];
    let dtype = maker.dtype(using.inst.results[0]);
    let (format, size) = (format(maker, using)?, int(maker, using, "size")?);
    let Some((column, rows)) = at.split_last() else { return Err(maker.refuse("has no axis")) };
    let count = Dim::constant(format.codes_per_byte() as i64);
    let (radix, _, shift) = digits(format, dtype);
    let place = maker.ranges.divide(column, &count);
    let index: Vec<Dim> = rows.iter().chain([&place]).cloned().collect();
    let byte = maker.element(operand, &index)?;
    if format == Format::Int8 {
        return Ok(C::cast("int8_t", byte));
    }
    let byte = maker.constant("uint8_t", "byte", byte);
    maker.helper("codes");
    let check = match format {
        Format::Ternary2 => Some(C::call("is_ternary2", vec![byte.clone()])),
        Format::Ternary5 => Some(C::binary(byte.clone(), "<", C::atom("243"))),
        Format::Int4 | Format::Int8 => None,
    };
    if let Some(check) = check {
        let wrong = match check {
            C::Binary(left, _, right) => C::Binary(left, ">=", right),
            other => C::unary("!", other),
        };
        maker.fail_if(wrong, "VALUE");
    }
    // What is left of the last byte is padding with code 0.
    let per_byte = format.codes_per_byte() as i64;
    if let Some(size) = size.as_const().filter(|size| size % per_byte != 0) {
        let own = size % per_byte;
        let padding = (own..per_byte).fold(0, |sum, digit| sum + shift * radix.pow((digit - own) as u32));
        let upper = C::binary(byte.clone(), "/", C::atom(radix.pow(own as u32).to_string()));
        let first = Dim::constant(size - own);
        let differs = C::binary(upper, "!=", C::atom(padding.to_string()));
        let is_last = maker.is_at_least(column, &first);
        maker.fail_if(C::and(is_last, differs), "VALUE");
    }
    let reader = match format {
        Format::Ternary2 => "ternary2_digit",
        Format::Ternary5 => "ternary5_digit",
        _ => "int4_digit",
    };
    let digit = maker.index(&maker.ranges.remainder(column, &count));
    let digit = C::call(reader, vec![byte, digit]);
    Ok(if shift == 0 { digit } else { C::cast("int8_t", C::binary(digit, "-", C::atom(shift.to_string()))) })
}
