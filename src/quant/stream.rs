//! Quantising and packing tensors a block at a time, with an account of what was lost.
//!
//! The codes are those of [`quantize`](super::quantize): both are made by the same [`Encoder`]. Memory is a few
//! blocks and the scales, whatever the size of the tensor.

use crate::quant::pack::{Format, Packer, Unpacker};
use crate::quant::{Blocks, Encoder, QuantError, Quantized, Scheme};
use crate::types::Tensor;
use std::hash::{DefaultHasher, Hasher};

/// What quantising leaves of a tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measure {
    pub elements: u64,
    /// Elements that are restored as 0.
    pub zeros: u64,
    /// The sum of squares of the elements.
    pub signal: f64,
    /// The sum of squares of what quantising changes.
    pub noise: f64,
    /// The sum of squares of what the codes stand for, and of their products with the elements.
    restored: f64,
    product: f64,
}

impl Measure {
    /// Signal to noise in decibels: infinite where nothing changes.
    pub fn ratio(&self) -> f64 {
        if self.noise == 0.0 { f64::INFINITY } else { 10.0 * (self.signal / self.noise).log10() }
    }

    /// The same where everything restored is multiplied by the factor that is best for it: what the codes can say at
    /// all, whatever the scale.
    pub fn best_ratio(&self) -> f64 {
        let energy = self.signal * self.restored;
        let lost = energy - self.product.powi(2);
        // What is left of equal numbers is rounding.
        if lost <= 1e-12 * energy { f64::INFINITY } else { 10.0 * (energy / lost).log10() }
    }

    /// The share of zeros, 0 to 1.
    pub fn sparsity(&self) -> f64 {
        if self.elements == 0 { 0.0 } else { self.zeros as f64 / self.elements as f64 }
    }

    /// Counts one element and what it is restored as.
    pub fn add(&mut self, value: f32, restored: f32) {
        self.elements += 1;
        self.zeros += u64::from(restored == 0.0);
        let (value, restored) = (f64::from(value), f64::from(restored));
        self.signal += value * value;
        self.restored += restored * restored;
        self.product += value * restored;
        self.noise += (value - restored).powi(2);
    }
}

/// What there is of a packed tensor beside its bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub scale: Tensor,
    pub zero_point: Option<Tensor>,
    pub measure: Measure,
    /// Of all codes in order, as [`digest`] computes it.
    pub digest: u64,
}

/// Why packing stopped.
#[derive(Debug)]
pub enum StreamError<E> {
    Quant(QuantError),
    /// `write` failed.
    Write(E),
}

impl<E> From<QuantError> for StreamError<E> {
    fn from(error: QuantError) -> Self {
        StreamError::Quant(error)
    }
}

/// Quantises a tensor and gives its packed bytes to `write`, piece by piece.
pub fn pack<E>(
    values: &dyn Blocks,
    scheme: &Scheme,
    write: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<Summary, StreamError<E>> {
    check_finite(values)?;
    let encoder = Encoder::of(values, scheme, None)?;
    pack_codes(values, scheme, &encoder, |first, block, codes| encoder.encode(first, block, codes), write)
}

/// The same with codes that were made before.
pub fn pack_given<E>(
    values: &dyn Blocks,
    scheme: &Scheme,
    given: &Quantized,
    write: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<Summary, StreamError<E>> {
    let encoder = Encoder::stored(values.shape(), scheme, &given.scale, given.zero_point.as_ref())?;
    let all = given.codes.as_i64().unwrap_or_default();
    let mismatch = || QuantError::Mismatch(format!("there are {} codes", all.len()));
    if all.len() != values.shape().iter().product::<usize>() {
        return Err(mismatch().into());
    }
    let own = |first: usize, block: &[f32], codes: &mut Vec<i64>| codes.extend(&all[first..first + block.len()]);
    pack_codes(values, scheme, &encoder, own, write)
}

fn pack_codes<E>(
    values: &dyn Blocks,
    scheme: &Scheme,
    encoder: &Encoder,
    encode: impl Fn(usize, &[f32], &mut Vec<i64>),
    mut write: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<Summary, StreamError<E>> {
    let size = values.shape().last().copied().ok_or(QuantError::Scalar)?;
    let mut packer = Packer::new(Format::of_scheme(scheme), scheme.code_dtype(), size)?;
    let (mut measure, mut hasher) = (Measure::default(), DefaultHasher::new());
    let (mut codes, mut bytes) = (vec![], vec![]);
    let mut outcome = Ok(());
    values.visit(&mut |first, block| {
        if outcome.is_err() {
            return;
        }
        codes.clear();
        bytes.clear();
        encode(first, block, &mut codes);
        account(encoder, first, block, &codes, &mut measure);
        hash(&mut hasher, &codes);
        outcome = packer.push(&codes, &mut bytes).map_err(StreamError::Quant);
        if outcome.is_ok() {
            outcome = write(&bytes).map_err(StreamError::Write);
        }
    });
    outcome?;
    Ok(Summary { scale: encoder.scale(), zero_point: encoder.zero_point(), measure, digest: hasher.finish() })
}

/// What quantising would leave of a tensor.
pub fn measure(values: &dyn Blocks, scheme: &Scheme) -> Result<Measure, QuantError> {
    check_finite(values)?;
    let encoder = Encoder::of(values, scheme, None)?;
    let (mut measure, mut codes) = (Measure::default(), vec![]);
    values.visit(&mut |first, block| {
        codes.clear();
        encoder.encode(first, block, &mut codes);
        account(&encoder, first, block, &codes, &mut measure);
    });
    Ok(measure)
}

fn account(encoder: &Encoder, first: usize, values: &[f32], codes: &[i64], measure: &mut Measure) {
    let mut values = values.iter();
    encoder.restore(first, codes, |restored| {
        if let Some(value) = values.next() {
            measure.add(*value, restored);
        }
    });
}

/// Names the first element that is NaN or infinite.
fn check_finite(values: &dyn Blocks) -> Result<(), QuantError> {
    let mut found = None;
    values.visit(&mut |first, block| {
        if found.is_none()
            && let Some(at) = block.iter().position(|value| !value.is_finite())
        {
            found = Some(QuantError::NotFinite { index: first + at, value: f64::from(block[at]) });
        }
    });
    found.map_or(Ok(()), Err)
}

/// A number that tells the codes of packed bytes from others: rows of `size` codes, the bytes in pieces.
pub fn digest<'a>(bytes: impl Iterator<Item = &'a [u8]>, scheme: &Scheme, size: usize) -> Result<u64, QuantError> {
    let mut unpacker = Unpacker::new(Format::of_scheme(scheme), scheme.code_dtype(), size)?;
    let (mut hasher, mut codes) = (DefaultHasher::new(), vec![]);
    for piece in bytes {
        codes.clear();
        unpacker.push(piece.iter().copied(), &mut codes)?;
        hash(&mut hasher, &codes);
    }
    Ok(hasher.finish())
}

/// Signal, zeros and noise (which is none) of codes that are packed already: the bytes in pieces.
pub fn measure_packed<'a>(
    bytes: impl Iterator<Item = &'a [u8]>,
    scheme: &Scheme,
    size: usize,
    encoder: &Encoder,
) -> Result<Measure, QuantError> {
    let mut unpacker = Unpacker::new(Format::of_scheme(scheme), scheme.code_dtype(), size)?;
    let (mut measure, mut codes, mut first) = (Measure::default(), vec![], 0);
    for piece in bytes {
        codes.clear();
        unpacker.push(piece.iter().copied(), &mut codes)?;
        encoder.restore(first, &codes, |restored| measure.add(restored, restored));
        first += codes.len();
    }
    Ok(measure)
}

/// Every code is a byte; hashing these is hashing the codes.
fn hash(hasher: &mut DefaultHasher, codes: &[i64]) {
    let bytes: Vec<u8> = codes.iter().map(|code| *code as u8).collect();
    hasher.write(&bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::F64;
    use crate::quant::pack;
    use crate::quant::{SchemeKind, TernaryRule, quantize};
    use crate::types::DType;

    /// A tensor in blocks of an awkward size.
    struct Pieces {
        shape: Vec<usize>,
        values: Vec<f32>,
        size: usize,
    }

    impl Blocks for Pieces {
        fn shape(&self) -> &[usize] {
            &self.shape
        }

        fn visit(&self, visit: &mut dyn FnMut(usize, &[f32])) {
            self.values.chunks(self.size).enumerate().for_each(|(index, block)| visit(index * self.size, block));
        }
    }

    fn schemes() -> Vec<Scheme> {
        let kinds = [
            Scheme::ternary().kind,
            SchemeKind::Ternary { rule: TernaryRule::Max { ratio: F64(0.3) }, kept_scale: false, stochastic: false },
            SchemeKind::Ternary {
                rule: TernaryRule::Fixed { threshold: F64(0.4) },
                kept_scale: true,
                stochastic: false,
            },
            SchemeKind::Int { bits: 8, symmetric: true },
            SchemeKind::Int { bits: 8, symmetric: false },
            SchemeKind::Int { bits: 4, symmetric: true },
            SchemeKind::Int { bits: 4, symmetric: false },
        ];
        let mut schemes = vec![];
        for kind in kinds {
            let base = Scheme { kind, ..Scheme::ternary() };
            for (axis, group) in [(None, None), (Some(0), None), (Some(1), None), (Some(-1), None), (None, Some(5))] {
                schemes.push(Scheme { axis, group, ..base.clone() });
            }
            schemes.push(Scheme { scale_dtype: DType::Float16, ..base });
        }
        schemes
    }

    /// Blocks give the same bytes as the whole tensor, whatever their size.
    #[test]
    fn blocks_change_nothing() {
        let shape = vec![3, 4, 15];
        let values: Vec<f32> = crate::base::philox::normals(3).take(180).map(|v| v as f32).collect();
        let tensor = Tensor::from_f32(shape.clone(), values.clone());
        for scheme in schemes() {
            let whole = quantize(&tensor, &scheme, None).unwrap();
            let packed = pack::pack(&whole.codes, Format::of_scheme(&scheme)).unwrap();
            let packed: Vec<u8> = packed.as_i64().unwrap().iter().map(|byte| *byte as u8).collect();
            let restored = crate::quant::dequantize(
                &whole.codes,
                &whole.scale,
                whole.zero_point.as_ref(),
                &scheme,
                DType::Float32,
            );
            let restored = restored.unwrap().to_f64();
            for size in [1, 7, 16, 180] {
                let pieces = Pieces { shape: shape.clone(), values: values.clone(), size };
                let mut bytes: Vec<u8> = vec![];
                let write = |piece: &[u8]| -> Result<(), ()> {
                    bytes.extend(piece);
                    Ok(())
                };
                let summary = super::pack(&pieces, &scheme, write).unwrap();
                assert_eq!(bytes, packed, "{scheme} in blocks of {size}");
                assert_eq!((&summary.scale, &summary.zero_point), (&whole.scale, &whole.zero_point), "{scheme}");
                assert_eq!(summary.digest, digest(bytes.chunks(11), &scheme, 15).unwrap(), "{scheme}");
                assert_eq!(summary.measure, measure(&pieces, &scheme).unwrap());
                let noise: f64 = values.iter().zip(&restored).map(|(v, r)| (f64::from(*v) - r).powi(2)).sum();
                assert!((summary.measure.noise - noise).abs() < 1e-9 * noise, "{scheme}");
                let zeros = restored.iter().filter(|value| **value == 0.0).count() as u64;
                assert_eq!((summary.measure.zeros, summary.measure.elements), (zeros, 180));
                let stored = Encoder::stored(&shape, &scheme, &whole.scale, whole.zero_point.as_ref()).unwrap();
                let again = measure_packed(bytes.chunks(7), &scheme, 15, &stored).unwrap();
                assert_eq!((again.zeros, again.elements, again.noise), (zeros, 180, 0.0), "{scheme}");
            }
        }
    }

    #[test]
    fn damage_changes_the_digest() {
        let scheme = Scheme::ternary();
        let good = [0b00_01_10_00u8, 0b01_01_01_10];
        let first = digest([&good[..]].into_iter(), &scheme, 5).unwrap();
        assert_ne!(first, digest([&[0b00_01_10_01u8, 0b01_01_01_10][..]].into_iter(), &scheme, 5).unwrap());
        assert!(digest([&[0b11u8, 0][..]].into_iter(), &scheme, 5).is_err());
    }

    #[test]
    fn the_first_bad_element_is_named() {
        let mut values = vec![0.5; 20];
        values[13] = f32::NEG_INFINITY;
        values[17] = f32::NAN;
        let pieces = Pieces { shape: vec![4, 5], values, size: 3 };
        let error = measure(&pieces, &Scheme::int(8)).unwrap_err();
        assert_eq!(error, QuantError::NotFinite { index: 13, value: f64::NEG_INFINITY });
    }

    #[test]
    fn ratios_are_in_decibels() {
        let mut measure = Measure::default();
        for (value, restored) in [(3.0, 3.0), (1.0, 0.0)] {
            measure.add(value, restored);
        }
        assert_eq!((measure.ratio(), measure.sparsity()), (10.0, 0.5));
        assert_eq!(Measure::default().ratio(), f64::INFINITY);
        let mut halved = Measure::default();
        [1.0, -3.0, 0.0].into_iter().for_each(|value| halved.add(value, value / 2.0));
        assert_eq!(((halved.ratio() * 100.0).round(), halved.best_ratio()), (602.0, f64::INFINITY));
        let mut crossed = Measure::default();
        [(1.0, 1.0), (1.0, -1.0)].into_iter().for_each(|(value, restored)| crossed.add(value, restored));
        assert_eq!((crossed.ratio().round(), crossed.best_ratio()), (-3.0, 0.0));
    }
}
