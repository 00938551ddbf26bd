//! Codes, scales and zero points of a tensor under a scheme: the meaning of `quantize` and `dequantize`.
//!
//! A *slice* is what shares one scale: the whole tensor, one index of an axis, a group of consecutive
//! elements of the last axis, or (dynamic activations without an axis) one row of the last axis. Codes must
//! agree bit for bit between the interpreter and every back end, so each step is fixed:
//!
//! 1. `W` is the tensor as `float32` (`w.float()` in PyTorch). NaN and infinity are errors.
//! 2. Statistics of a slice: `max abs W`, `min` and `max` are exact; a mean is the `float64` sum divided by
//!    the count in `float64`, rounded to `float32` (`w.abs().double().mean(...).float()`; for kept entries
//!    `(w.abs().double() * kept).sum(...) / kept.sum(...)`).
//! 3. The scale is computed from them in `float32`, then rounded to `scale_dtype`; the rounded scale is the
//!    one that codes are made with. A scale of 0 becomes 1: the slice is all zero (or too small for the
//!    scale's type), and its codes and zero point are 0. `absmean` takes at least 1e-5, unless the mean is 0.
//! 4. Codes: `W / s` divided, rounded (ties to even), shifted and clamped in `float32`. Ratios and
//!    thresholds are rounded to `float32` before they are used; comparisons are strict.
//! 5. Zero points: `z = clamp(round(low_code - min / s))` in `float32`, where the range `min .. max` was
//!    widened to contain 0.
//! 6. Stochastic rounding: `clamp(floor(clamp(W / s, -1, 1) + u), -1, 1)` in `float32`, with `u` the uniform
//!    number of the element's flat index in the seed's Philox stream.
//!
//! Restoring is `(q - z) * s` in `float32`, then rounded to the wanted type.

use crate::base::philox;
use crate::quant::{QuantError, Scheme, SchemeKind, TernaryRule};
use crate::types::tensor::round_f32;
use crate::types::{DType, Tensor};

/// A quantised tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    /// Of the scheme's code type and the tensor's shape.
    pub codes: Tensor,
    /// Of the scheme's `scale_dtype` and [`Slices::shape`].
    pub scale: Tensor,
    /// Of the code type and the scale's shape; only asymmetric schemes have one.
    pub zero_point: Option<Tensor>,
}

/// Which elements share a scale: element `i` belongs to slice `(i / run) % count`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slices {
    /// Consecutive elements of one slice.
    run: usize,
    count: usize,
    /// The shape of scales and zero points.
    pub shape: Vec<usize>,
}

impl Slices {
    pub fn of(shape: &[usize], scheme: &Scheme) -> Result<Slices, QuantError> {
        if let Some(problem) = scheme.problem() {
            return Err(QuantError::Scheme(problem));
        }
        let rank = shape.len();
        let last = shape.last().copied();
        let elements: usize = shape.iter().product();
        let scales = if let Some(axis) = scheme.axis {
            let index = if axis < 0 { axis + rank as i64 } else { axis };
            let index = usize::try_from(index).ok().filter(|index| *index < rank);
            let index = index.ok_or(QuantError::Axis { axis, rank })?;
            let run = shape[index + 1..].iter().product();
            return Ok(Slices { run, count: shape[index], shape: vec![shape[index]] });
        } else if let Some(group) = scheme.group {
            let size = last.ok_or(QuantError::Scalar)?;
            let divisor = usize::try_from(group).ok().filter(|g| *g > 0 && size % g == 0);
            let divisor = divisor.ok_or(QuantError::Group { group, size })?;
            [&shape[..rank - 1], &[size / divisor]].concat()
        } else if scheme.dynamic {
            last.ok_or(QuantError::Scalar)?;
            shape[..rank - 1].to_vec()
        } else {
            vec![]
        };
        let count: usize = scales.iter().product();
        Ok(Slices { run: elements.checked_div(count).unwrap_or(0), count, shape: scales })
    }

    /// Runs of consecutive elements, each with its slice.
    fn runs<'a, T>(&self, values: &'a [T]) -> impl Iterator<Item = (usize, &'a [T])> {
        let count = self.count.max(1);
        values.chunks(self.run.max(1)).enumerate().map(move |(index, chunk)| (index % count, chunk))
    }

    /// Folds each slice.
    fn fold<A: Copy>(&self, values: &[f32], start: A, step: impl Fn(A, f32) -> A) -> Vec<A> {
        let mut totals = vec![start; self.count];
        for (slice, chunk) in self.runs(values) {
            totals[slice] = chunk.iter().fold(totals[slice], |total, &value| step(total, value));
        }
        totals
    }

    /// Elements of one slice of a tensor of so many elements.
    fn size(&self, elements: usize) -> usize {
        elements.checked_div(self.count).unwrap_or(0)
    }

    /// A code for each element from its value and its slice.
    fn encode(&self, values: &[f32], code: impl Fn(usize, f32) -> f32) -> Vec<i64> {
        let mut codes = Vec::with_capacity(values.len());
        for (slice, chunk) in self.runs(values) {
            codes.extend(chunk.iter().map(|&value| code(slice, value) as i64));
        }
        codes
    }
}

/// Quantises a float tensor. `seed` is for stochastic rounding only.
pub fn quantize(tensor: &Tensor, scheme: &Scheme, seed: Option<i64>) -> Result<Quantized, QuantError> {
    let slices = Slices::of(tensor.shape(), scheme)?;
    let values = single_precision(tensor)?;
    let (codes, scales, zeros) = match scheme.kind {
        SchemeKind::Ternary { rule: TernaryRule::AbsMean, stochastic, .. } => {
            let scales = scales(scheme, absmean_scales(&slices, &values))?;
            let codes = if stochastic {
                stochastic_codes(&slices, &values, &scales, seed.ok_or(QuantError::SeedMissing)?)
            } else {
                slices.encode(&values, |slice, w| (w / scales[slice]).round_ties_even().clamp(-1.0, 1.0))
            };
            (codes, scales, None)
        }
        SchemeKind::Ternary { rule, kept_scale, .. } => {
            let limits = thresholds(&slices, &values, rule);
            let raw = if kept_scale { kept_means(&slices, &values, &limits) } else { vec![1.0; slices.count] };
            let sign = |slice: usize, w: f32| if w.abs() > limits[slice] { w.signum() } else { 0.0 };
            (slices.encode(&values, sign), scales(scheme, raw)?, None)
        }
        SchemeKind::Int { bits, symmetric: true } => {
            let top = if bits == 4 { 7.0 } else { 127.0 };
            let raw = slices.fold(&values, 0f32, |most, w| most.max(w.abs())).into_iter().map(|most| most / top);
            let scales = scales(scheme, raw.collect())?;
            let code = |slice: usize, w: f32| (w / scales[slice]).round_ties_even().clamp(-top, top);
            (slices.encode(&values, code), scales, None)
        }
        SchemeKind::Int { bits, symmetric: false } => asymmetric(&slices, &values, scheme, bits)?,
    };
    Ok(Quantized {
        codes: Tensor::from_i64(scheme.code_dtype(), tensor.shape().to_vec(), codes),
        scale: Tensor::from_f64(scheme.scale_dtype, slices.shape.clone(), scales.into_iter().map(f64::from)),
        zero_point: zeros.map(|z| Tensor::from_f64(scheme.code_dtype(), slices.shape, z.into_iter().map(f64::from))),
    })
}

/// The tensor as `float32`, every element finite.
fn single_precision(tensor: &Tensor) -> Result<Vec<f32>, QuantError> {
    if !tensor.dtype().is_float() {
        return Err(QuantError::NotFloat(tensor.dtype()));
    }
    let values: Vec<f32> = match tensor.as_f32() {
        Some(values) => values.to_vec(),
        None => (0..tensor.len()).map(|i| tensor.get_f64(i) as f32).collect(),
    };
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(QuantError::NotFinite { index, value: tensor.get_f64(index) }),
        None => Ok(values),
    }
}

/// Scales as they are stored: rounded to their type, 1 instead of 0.
fn scales(scheme: &Scheme, raw: Vec<f32>) -> Result<Vec<f32>, QuantError> {
    let dtype = scheme.scale_dtype;
    let stored = |(slice, scale): (usize, f32)| match round_f32(dtype, scale) {
        rounded if rounded.is_infinite() => Err(QuantError::ScaleOverflow { slice, dtype }),
        0.0 => Ok(1.0),
        rounded => Ok(rounded),
    };
    raw.into_iter().enumerate().map(stored).collect()
}

fn absmean_scales(slices: &Slices, values: &[f32]) -> Vec<f32> {
    let count = slices.size(values.len()) as f64;
    let sums = slices.fold(values, 0f64, |sum, w| sum + f64::from(w.abs()));
    // A mean of 0 stays, to become a scale of 1; so does the mean of nothing.
    let scale = |sum: f64| if sum == 0.0 { 0.0 } else { ((sum / count) as f32).max(1e-5) };
    sums.into_iter().map(scale).collect()
}

fn stochastic_codes(slices: &Slices, values: &[f32], scales: &[f32], seed: i64) -> Vec<i64> {
    let mut codes = Vec::with_capacity(values.len());
    let mut words = philox::words(seed);
    for (slice, chunk) in slices.runs(values) {
        for (value, word) in chunk.iter().zip(&mut words) {
            let scaled = (value / scales[slice]).clamp(-1.0, 1.0);
            codes.push((scaled + philox::uniform(word) as f32).floor().clamp(-1.0, 1.0) as i64);
        }
    }
    codes
}

/// Entries of a slice above its threshold are kept.
fn thresholds(slices: &Slices, values: &[f32], rule: TernaryRule) -> Vec<f32> {
    match rule {
        TernaryRule::Fixed { threshold } => vec![threshold.0 as f32; slices.count],
        TernaryRule::Max { ratio } => {
            let most = slices.fold(values, 0f32, |most, w| most.max(w.abs()));
            most.into_iter().map(|most| ratio.0 as f32 * most).collect()
        }
        TernaryRule::AbsMean => vec![0.0; slices.count],
    }
}

/// Mean of abs W over the kept entries, 0 where there are none.
fn kept_means(slices: &Slices, values: &[f32], limits: &[f32]) -> Vec<f32> {
    let mut totals = vec![(0f64, 0u64); slices.count];
    for (slice, chunk) in slices.runs(values) {
        let (sum, kept) = &mut totals[slice];
        for w in chunk.iter().map(|w| w.abs()).filter(|w| *w > limits[slice]) {
            *sum += f64::from(w);
            *kept += 1;
        }
    }
    totals.into_iter().map(|(sum, kept)| if kept == 0 { 0.0 } else { (sum / kept as f64) as f32 }).collect()
}

type Parts = (Vec<i64>, Vec<f32>, Option<Vec<f32>>);

fn asymmetric(slices: &Slices, values: &[f32], scheme: &Scheme, bits: u32) -> Result<Parts, QuantError> {
    let (bottom, top) = if bits == 4 { (0.0, 15.0) } else { (-128.0, 127.0) };
    // Starting at 0 widens the range to contain it.
    let ranges = slices.fold(values, (0f32, 0f32), |(low, high), w| (low.min(w), high.max(w)));
    let raw: Vec<f32> = ranges.iter().map(|(low, high)| (high - low) / (top - bottom)).collect();
    let empty: Vec<bool> = raw.iter().map(|scale| round_f32(scheme.scale_dtype, *scale) == 0.0).collect();
    let scales = scales(scheme, raw)?;
    let zero = |slice: usize| {
        if empty[slice] {
            return 0.0;
        }
        (bottom - ranges[slice].0 / scales[slice]).round_ties_even().clamp(bottom, top)
    };
    let zeros: Vec<f32> = (0..slices.count).map(zero).collect();
    let code = |slice: usize, w: f32| ((w / scales[slice]).round_ties_even() + zeros[slice]).clamp(bottom, top);
    Ok((slices.encode(values, code), scales, Some(zeros)))
}

/// The values that codes stand for: `(q - z) * s`.
pub fn dequantize(
    codes: &Tensor,
    scale: &Tensor,
    zero_point: Option<&Tensor>,
    scheme: &Scheme,
    dtype: DType,
) -> Result<Tensor, QuantError> {
    let slices = Slices::of(codes.shape(), scheme)?;
    let mismatch = |what: &str, shape: &[usize]| {
        QuantError::Mismatch(format!("{what} has shape {shape:?}, but these codes need {:?}", slices.shape))
    };
    if scale.shape() != slices.shape {
        return Err(mismatch("the scale", scale.shape()));
    }
    if zero_point.is_some() != scheme.has_zero_point() {
        return Err(QuantError::Mismatch(format!(
            "the scheme {scheme} has {} zero point",
            if scheme.has_zero_point() { "a" } else { "no" }
        )));
    }
    let zeros = match zero_point {
        Some(zero) if zero.shape() != slices.shape => return Err(mismatch("the zero point", zero.shape())),
        Some(zero) => zero.to_f64(),
        None => vec![0.0; slices.count],
    };
    let Some(values) = codes.as_i64() else {
        return Err(QuantError::Mismatch(format!("codes are integers, not {}", codes.dtype())));
    };
    let scales = scale.to_f64();
    let mut restored = Vec::with_capacity(values.len());
    for (slice, chunk) in slices.runs(values) {
        let (scale, zero) = (scales[slice] as f32, zeros[slice] as i64);
        restored.extend(chunk.iter().map(|&code| f64::from((code - zero) as f32 * scale)));
    }
    Ok(Tensor::from_f64(dtype, codes.shape().to_vec(), restored))
}

#[cfg(test)]
mod tests;
