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
//!    Every division is the correctly rounded one. In PyTorch on a GPU a division by a Python number or a CPU
//!    scalar is a multiplication by its reciprocal, which can be one unit off: divide by a tensor on the
//!    same device (`m / torch.full_like(m, 127.0)`). In Triton use `tl.div_rn`.
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

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The slice of the element with this flat index.
    pub(super) fn of_element(&self, index: usize) -> usize {
        index / self.run.max(1) % self.count.max(1)
    }

    /// Flat indices of the elements of a slice, of a tensor of so many.
    pub(super) fn elements(&self, slice: usize, total: usize) -> impl Iterator<Item = usize> + use<> {
        let run = self.run.max(1);
        (slice * run..total).step_by(run * self.count.max(1)).flat_map(move |first| first..first + run)
    }

    /// Runs of consecutive elements, each with its slice, where the first element has this flat index.
    fn runs<'a, T>(&self, first: usize, values: &'a [T]) -> impl Iterator<Item = (usize, &'a [T])> {
        let (run, count) = (self.run.max(1), self.count.max(1));
        let (head, rest) = values.split_at(((run - first % run) % run).min(values.len()));
        let rest_at = (first + head.len()) / run;
        let head = (!head.is_empty()).then_some((first / run % count, head));
        let rest = rest.chunks(run).enumerate().map(move |(index, chunk)| ((rest_at + index) % count, chunk));
        head.into_iter().chain(rest)
    }

    /// Folds each slice.
    fn fold<A: Copy>(&self, values: &dyn Blocks, start: A, step: impl Fn(A, f32) -> A) -> Vec<A> {
        let mut totals = vec![start; self.count];
        values.visit(&mut |first, block| {
            for (slice, chunk) in self.runs(first, block) {
                totals[slice] = chunk.iter().fold(totals[slice], |total, &value| step(total, value));
            }
        });
        totals
    }

    /// Elements of one slice of a tensor of so many elements.
    fn size(&self, elements: usize) -> usize {
        elements.checked_div(self.count).unwrap_or(0)
    }
}

/// The elements of a tensor as `float32`, in flat order, a block at a time; the same whenever they are asked for.
pub trait Blocks {
    fn shape(&self) -> &[usize];
    /// Gives every element once; each block comes with the flat index of its first element.
    fn visit(&self, visit: &mut dyn FnMut(usize, &[f32]));
}

/// All elements at once.
struct Whole<'a> {
    shape: &'a [usize],
    values: &'a [f32],
}

impl Blocks for Whole<'_> {
    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn visit(&self, visit: &mut dyn FnMut(usize, &[f32])) {
        visit(0, self.values);
    }
}

/// Quantises a float tensor. `seed` is for stochastic rounding only.
pub fn quantize(tensor: &Tensor, scheme: &Scheme, seed: Option<i64>) -> Result<Quantized, QuantError> {
    let values = single_precision(tensor)?;
    let encoder = Encoder::of(&Whole { shape: tensor.shape(), values: &values }, scheme, seed)?;
    let mut codes = Vec::with_capacity(values.len());
    encoder.encode(0, &values, &mut codes);
    Ok(Quantized {
        codes: Tensor::from_i64(scheme.code_dtype(), tensor.shape().to_vec(), codes),
        scale: encoder.scale(),
        zero_point: encoder.zero_point(),
    })
}

/// The codes of a float tensor under scales (and zero points) that were made before, of an integer scheme.
pub fn quantize_with(
    tensor: &Tensor,
    scale: &Tensor,
    zero_point: Option<&Tensor>,
    scheme: &Scheme,
) -> Result<Tensor, QuantError> {
    if !matches!(scheme.kind, SchemeKind::Int { .. }) {
        return Err(QuantError::Mismatch(format!("{scheme} has no scales that could be given")));
    }
    if let Some(scale) = scale.to_f64().into_iter().find(|scale| !(scale.is_finite() && *scale > 0.0)) {
        return Err(QuantError::Uncalibrated(scale));
    }
    let values = single_precision(tensor)?;
    let encoder = Encoder::stored(tensor.shape(), scheme, scale, zero_point)?;
    let mut codes = Vec::with_capacity(values.len());
    encoder.encode(0, &values, &mut codes);
    Ok(Tensor::from_i64(scheme.code_dtype(), tensor.shape().to_vec(), codes))
}

/// What the codes of a tensor are made with, once its elements were looked at: a tensor that does not fit into
/// memory is encoded a block at a time.
#[derive(Clone, Debug)]
pub struct Encoder {
    scheme: Scheme,
    slices: Slices,
    /// For each slice, as they are stored.
    scales: Vec<f32>,
    zeros: Option<Vec<f32>>,
    /// Of ternary rules with a threshold.
    limits: Vec<f32>,
    /// Of stochastic rounding.
    seed: Option<i64>,
}

impl Encoder {
    /// Looks at every element, which must be finite; see [`quantize`] for `seed`.
    pub fn of(values: &dyn Blocks, scheme: &Scheme, seed: Option<i64>) -> Result<Encoder, QuantError> {
        let slices = Slices::of(values.shape(), scheme)?;
        let (mut zeros, mut limits) = (None, vec![]);
        let scales = match scheme.kind {
            SchemeKind::Ternary { rule: TernaryRule::AbsMean, stochastic, .. } => {
                if stochastic && seed.is_none() {
                    return Err(QuantError::SeedMissing);
                }
                scales(scheme, absmean_scales(&slices, values))?
            }
            SchemeKind::Ternary { rule, kept_scale, .. } => {
                limits = thresholds(&slices, values, rule);
                let raw = if kept_scale { kept_means(&slices, values, &limits) } else { vec![1.0; slices.count] };
                scales(scheme, raw)?
            }
            SchemeKind::Int { bits, symmetric: true } => {
                let top = symmetric_top(bits);
                let most = slices.fold(values, 0f32, |most, w| most.max(w.abs()));
                scales(scheme, most.into_iter().map(|most| most / top).collect())?
            }
            SchemeKind::Int { bits, symmetric: false } => {
                let (scales, found) = asymmetric(&slices, values, scheme, bits)?;
                zeros = Some(found);
                scales
            }
        };
        Ok(Encoder { scheme: scheme.clone(), slices, scales, zeros, limits, seed })
    }

    /// The encoder that stored parts came from: it restores their codes. Of integer schemes it makes others, too.
    pub fn stored(
        shape: &[usize],
        scheme: &Scheme,
        scale: &Tensor,
        zero_point: Option<&Tensor>,
    ) -> Result<Encoder, QuantError> {
        let slices = Slices::of(shape, scheme)?;
        check_parts(&slices, scheme, scale, zero_point)?;
        let single = |tensor: &Tensor| tensor.to_f64().into_iter().map(|value| value as f32).collect();
        let (scales, zeros) = (single(scale), zero_point.map(single));
        Ok(Encoder { scheme: scheme.clone(), slices, scales, zeros, limits: vec![], seed: None })
    }

    /// The stored scales.
    pub fn scale(&self) -> Tensor {
        let scales = self.scales.iter().map(|scale| f64::from(*scale));
        Tensor::from_f64(self.scheme.scale_dtype, self.slices.shape.clone(), scales)
    }

    /// The stored zero points, where the scheme has them.
    pub fn zero_point(&self) -> Option<Tensor> {
        let zeros = self.zeros.as_ref()?.iter().map(|zero| f64::from(*zero));
        Some(Tensor::from_f64(self.scheme.code_dtype(), self.slices.shape.clone(), zeros))
    }

    /// Appends the codes of elements that begin at this flat index.
    pub fn encode(&self, first: usize, values: &[f32], codes: &mut Vec<i64>) {
        let scales = &self.scales;
        match (self.scheme.kind, &self.zeros) {
            (SchemeKind::Ternary { rule: TernaryRule::AbsMean, stochastic: true, .. }, _) => {
                let mut words = stream_from(self.seed.unwrap_or_default(), first);
                self.each(first, values, codes, |slice, w| {
                    let scaled = (w / scales[slice]).clamp(-1.0, 1.0);
                    let uniform = words.next().map_or(0.0, philox::uniform);
                    (scaled + uniform as f32).floor().clamp(-1.0, 1.0)
                });
            }
            (SchemeKind::Ternary { rule: TernaryRule::AbsMean, .. }, _) => {
                self.each(first, values, codes, |slice, w| nearest((w / scales[slice]).clamp(-1.0, 1.0)));
            }
            (SchemeKind::Ternary { .. }, _) => {
                let limits = &self.limits;
                self.each(first, values, codes, |slice, w| if w.abs() > limits[slice] { w.signum() } else { 0.0 });
            }
            (SchemeKind::Int { bits, .. }, Some(zeros)) => {
                self.each(first, values, codes, |slice, w| asymmetric_code(bits, w, scales[slice], zeros[slice]));
            }
            (SchemeKind::Int { bits, .. }, None) => {
                let top = symmetric_top(bits);
                self.each(first, values, codes, |slice, w| nearest((w / scales[slice]).clamp(-top, top)));
            }
        }
    }

    /// A code for each element from its slice and its value.
    fn each(&self, first: usize, values: &[f32], codes: &mut Vec<i64>, mut code: impl FnMut(usize, f32) -> f32) {
        for (slice, chunk) in self.slices.runs(first, values) {
            codes.extend(chunk.iter().map(|&value| code(slice, value) as i64));
        }
    }

    /// Gives the value that each code of a block stands for.
    pub fn restore(&self, first: usize, codes: &[i64], mut each: impl FnMut(f32)) {
        for (slice, chunk) in self.slices.runs(first, codes) {
            let zero = self.zeros.as_ref().map_or(0, |zeros| zeros[slice] as i64);
            chunk.iter().for_each(|&code| each(restored(code, zero, self.scales[slice])));
        }
    }
}

/// The largest number that [`nearest`] rounds.
const NEAREST: f32 = (1 << 22) as f32;

/// The nearest integer, ties to even, of a number that was clamped to less than `NEAREST`: where it is added, numbers
/// have no fraction. Clamping to integers before rounding is clamping after it. The processor's own rounding is a
/// call on machines without SSE 4.1, and took most of the time of quantising.
fn nearest(value: f32) -> f32 {
    const WHOLE: f32 = 3.0 * NEAREST;
    (value + WHOLE) - WHOLE
}

fn asymmetric_code(bits: u32, w: f32, scale: f32, zero: f32) -> f32 {
    let (bottom, top) = asymmetric_range(bits);
    (nearest((w / scale).clamp(-NEAREST, NEAREST)) + zero).clamp(bottom, top)
}

/// The code of one element under an integer scheme.
pub(super) fn integer_code(scheme: &Scheme, w: f32, scale: f32, zero: Option<f32>) -> f32 {
    let bits = match scheme.kind {
        SchemeKind::Int { bits, .. } => bits,
        SchemeKind::Ternary { .. } => 8,
    };
    match zero {
        Some(zero) => asymmetric_code(bits, w, scale, zero),
        None => nearest((w / scale).clamp(-symmetric_top(bits), symmetric_top(bits))),
    }
}

/// The value that a code stands for.
pub(super) fn restored(code: i64, zero: i64, scale: f32) -> f32 {
    (code - zero) as f32 * scale
}

/// The largest code of a symmetric scheme; the smallest is its negative.
fn symmetric_top(bits: u32) -> f32 {
    if bits == 4 { 7.0 } else { 127.0 }
}

fn asymmetric_range(bits: u32) -> (f32, f32) {
    if bits == 4 { (0.0, 15.0) } else { (-128.0, 127.0) }
}

/// The words of a stream from this one on.
fn stream_from(seed: i64, first: usize) -> impl Iterator<Item = u32> {
    (first as u64 / 4..).flat_map(move |block| philox::block(seed, block)).skip(first % 4)
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

fn absmean_scales(slices: &Slices, values: &dyn Blocks) -> Vec<f32> {
    let count = slices.size(values.shape().iter().product()) as f64;
    let sums = slices.fold(values, 0f64, |sum, w| sum + f64::from(w.abs()));
    // A mean of 0 stays, to become a scale of 1; so does the mean of nothing.
    let scale = |sum: f64| if sum == 0.0 { 0.0 } else { ((sum / count) as f32).max(1e-5) };
    sums.into_iter().map(scale).collect()
}

/// Entries of a slice above its threshold are kept.
fn thresholds(slices: &Slices, values: &dyn Blocks, rule: TernaryRule) -> Vec<f32> {
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
fn kept_means(slices: &Slices, values: &dyn Blocks, limits: &[f32]) -> Vec<f32> {
    let mut totals = vec![(0f64, 0u64); slices.count];
    values.visit(&mut |first, block| {
        for (slice, chunk) in slices.runs(first, block) {
            let (sum, kept) = &mut totals[slice];
            for w in chunk.iter().map(|w| w.abs()).filter(|w| *w > limits[slice]) {
                *sum += f64::from(w);
                *kept += 1;
            }
        }
    });
    totals.into_iter().map(|(sum, kept)| if kept == 0 { 0.0 } else { (sum / kept as f64) as f32 }).collect()
}

/// Scales and zero points.
fn asymmetric(
    slices: &Slices,
    values: &dyn Blocks,
    scheme: &Scheme,
    bits: u32,
) -> Result<(Vec<f32>, Vec<f32>), QuantError> {
    let (bottom, top) = asymmetric_range(bits);
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
    let zeros = (0..slices.count).map(zero).collect();
    Ok((scales, zeros))
}

/// Refuses scales and zero points that do not belong to these slices.
fn check_parts(
    slices: &Slices,
    scheme: &Scheme,
    scale: &Tensor,
    zero_point: Option<&Tensor>,
) -> Result<(), QuantError> {
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
    match zero_point {
        Some(zero) if zero.shape() != slices.shape => Err(mismatch("the zero point", zero.shape())),
        Some(_) | None => Ok(()),
    }
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
    check_parts(&slices, scheme, scale, zero_point)?;
    let zeros = zero_point.map_or(vec![0.0; slices.count], Tensor::to_f64);
    let Some(values) = codes.as_i64() else {
        return Err(QuantError::Mismatch(format!("codes are integers, not {}", codes.dtype())));
    };
    let scales = scale.to_f64();
    let mut found = Vec::with_capacity(values.len());
    for (slice, chunk) in slices.runs(0, values) {
        let (scale, zero) = (scales[slice] as f32, zeros[slice] as i64);
        found.extend(chunk.iter().map(|&code| f64::from(restored(code, zero, scale))));
    }
    Ok(Tensor::from_f64(dtype, codes.shape().to_vec(), found))
}

#[cfg(test)]
mod tests;
