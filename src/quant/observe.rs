//! Observers: from the values that activations had, the range that their scale is made for.
//!
//! | observer | range |
//! | --- | --- |
//! | `minmax` | least and greatest value |
//! | `moving-average` | of the least and greatest values of batches, a moving average that each batch moves a tenth of the way |
//! | `percentile(p)` | where `p` percent of the absolute values lie; for asymmetric schemes from percentile `100 - p` to `p` |
//! | `mse` | of 80 shares of the range of `minmax`, from 21 to 100 percent, the one with the least squared error |
//!
//! Percentiles are NumPy's, with linear interpolation. The last two look at the values again: at most [`MOST_KEPT`] are
//! kept, evenly spaced.

use crate::quant::{QuantError, Quantized, Scheme, quantize};
use crate::types::{DType, Tensor};
use std::fmt;

/// Values that are kept of one activation.
pub const MOST_KEPT: usize = 1 << 20;

/// How far a batch moves an average.
const MOMENTUM: f64 = 0.1;

/// Shares of the full range that are tried, in percent.
const SHARES: std::ops::RangeInclusive<u32> = 21..=100;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Method {
    #[default]
    MinMax,
    MovingAverage,
    /// Above 0, at most 100.
    Percentile(f64),
    MeanSquaredError,
}

impl Method {
    /// What there is, for messages.
    pub const EXPECTED: &str = "minmax, moving-average, percentile(P) or mse is expected";

    pub fn parse(text: &str) -> Option<Method> {
        match text.trim() {
            "minmax" => Some(Method::MinMax),
            "moving-average" => Some(Method::MovingAverage),
            "mse" => Some(Method::MeanSquaredError),
            other => {
                let percent = other.strip_prefix("percentile(")?.strip_suffix(')')?.trim().parse::<f64>().ok()?;
                (percent > 0.0 && percent <= 100.0).then_some(Method::Percentile(percent))
            }
        }
    }

    /// Whether values are looked at a second time.
    fn keeps(self) -> bool {
        match self {
            Method::MinMax | Method::MovingAverage => false,
            Method::Percentile(_) | Method::MeanSquaredError => true,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Method::MinMax => f.write_str("minmax"),
            Method::MovingAverage => f.write_str("moving-average"),
            Method::Percentile(percent) => write!(f, "percentile({percent})"),
            Method::MeanSquaredError => f.write_str("mse"),
        }
    }
}

/// Sees the batches of one activation.
#[derive(Clone, Debug)]
pub struct Observer {
    method: Method,
    /// Least and greatest, or their moving averages; `None` before the first value.
    ends: Option<(f64, f64)>,
    kept: Vec<f32>,
    /// Of so many values one is kept.
    stride: usize,
    seen: usize,
}

impl Observer {
    pub fn new(method: Method) -> Observer {
        Observer { method, ends: None, kept: vec![], stride: 1, seen: 0 }
    }

    /// Looks at one batch of finite values.
    pub fn add(&mut self, values: &[f32]) {
        let least = values.iter().copied().fold(f32::INFINITY, f32::min);
        let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if values.is_empty() {
            return;
        }
        let (least, most) = (f64::from(least), f64::from(most));
        self.ends = Some(match (self.ends, self.method) {
            (None, _) => (least, most),
            (Some((low, high)), Method::MovingAverage) => {
                (low + MOMENTUM * (least - low), high + MOMENTUM * (most - high))
            }
            (Some((low, high)), _) => (low.min(least), high.max(most)),
        });
        if self.method.keeps() {
            self.keep(values);
        }
    }

    fn keep(&mut self, values: &[f32]) {
        for &value in values {
            if self.seen.is_multiple_of(self.stride) {
                if self.kept.len() == MOST_KEPT {
                    let mut index = 0;
                    self.kept.retain(|_| {
                        index += 1;
                        index % 2 == 1
                    });
                    self.stride *= 2;
                }
                if self.seen.is_multiple_of(self.stride) {
                    self.kept.push(value);
                }
            }
            self.seen += 1;
        }
    }

    /// The range for codes of a scheme; `None` if nothing was seen.
    pub fn range(&self, scheme: &Scheme) -> Result<Option<(f32, f32)>, QuantError> {
        let Some((low, high)) = self.ends else { return Ok(None) };
        let range = match self.method {
            Method::MinMax | Method::MovingAverage => (low as f32, high as f32),
            Method::Percentile(percent) if scheme.has_zero_point() => {
                let sorted = sorted(self.kept.iter().copied());
                (percentile(&sorted, 100.0 - percent) as f32, percentile(&sorted, percent) as f32)
            }
            Method::Percentile(percent) => {
                let limit = percentile(&sorted(self.kept.iter().map(|value| value.abs())), percent) as f32;
                (-limit, limit)
            }
            Method::MeanSquaredError => self.closest(scheme, low as f32, high as f32)?,
        };
        Ok(Some(range))
    }

    /// The share of the range whose codes are closest to the values.
    fn closest(&self, scheme: &Scheme, low: f32, high: f32) -> Result<(f32, f32), QuantError> {
        let values = Tensor::from_f64(DType::Float32, vec![self.kept.len()], self.kept.iter().map(|v| f64::from(*v)));
        let mut best = (f64::INFINITY, (low, high));
        for percent in SHARES.rev() {
            let share = percent as f32 / 100.0;
            let range = (low * share, high * share);
            let Quantized { scale, zero_point, .. } = parts(scheme, range)?;
            let codes = super::quantize_with(&values, &scale, zero_point.as_ref(), scheme)?;
            let restored = super::dequantize(&codes, &scale, zero_point.as_ref(), scheme, DType::Float32)?;
            let restored = restored.as_f32().unwrap_or_default();
            let error: f64 = self.kept.iter().zip(restored).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            if error < best.0 {
                best = (error, range);
            }
        }
        Ok(best.1)
    }

    /// The scale, and the zero point where the scheme has one; `None` if nothing was seen.
    pub fn parts(&self, scheme: &Scheme) -> Result<Option<(Tensor, Option<Tensor>)>, QuantError> {
        let Some(range) = self.range(scheme)? else { return Ok(None) };
        let Quantized { scale, zero_point, .. } = parts(scheme, range)?;
        Ok(Some((scale, zero_point)))
    }
}

/// What quantises a tensor that has this range.
fn parts(scheme: &Scheme, (low, high): (f32, f32)) -> Result<Quantized, QuantError> {
    let ends = Tensor::from_f64(DType::Float32, vec![2], [f64::from(low), f64::from(high)]);
    quantize(&ends, scheme, None)
}

fn sorted(values: impl Iterator<Item = f32>) -> Vec<f32> {
    let mut sorted: Vec<f32> = values.collect();
    sorted.sort_by(f32::total_cmp);
    sorted
}

/// NumPy's percentile of sorted values, with linear interpolation.
fn percentile(sorted: &[f32], percent: f64) -> f64 {
    let place = percent / 100.0 * sorted.len().saturating_sub(1) as f64;
    let at = |index: usize| sorted.get(index).map_or(0.0, |value| f64::from(*value));
    let below = place.floor();
    let (first, second) = (at(below as usize), at(place.ceil() as usize));
    first + (second - first) * (place - below)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observe(method: &str, batches: &[&[f32]], scheme: &Scheme) -> (f32, f32) {
        let mut observer = Observer::new(Method::parse(method).unwrap());
        batches.iter().for_each(|batch| observer.add(batch));
        observer.range(scheme).unwrap().unwrap()
    }

    fn asymmetric(bits: u32) -> Scheme {
        Scheme { kind: crate::quant::SchemeKind::Int { bits, symmetric: false }, ..Scheme::int(bits) }
    }

    #[test]
    fn methods_are_read_as_they_are_written() {
        for text in ["minmax", "moving-average", "percentile(99.9)", "mse"] {
            assert_eq!(Method::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "max", "percentile", "percentile()", "percentile(0)", "percentile(101)", "percentile(nan)"] {
            assert_eq!(Method::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ends_of_all_batches_and_their_moving_average() {
        let batches: [&[f32]; 3] = [&[-1.0, 2.0], &[0.5, 4.0], &[-3.0, 1.0]];
        assert_eq!(observe("minmax", &batches, &Scheme::int(8)), (-3.0, 4.0));
        // -1 + 0.1 (0.5 + 1) = -0.85, then -0.85 + 0.1 (-3 + 0.85); 2 + 0.1 * 2 = 2.2, then 2.2 + 0.1 (1 - 2.2).
        assert_eq!(observe("moving-average", &batches, &Scheme::int(8)), (-1.065, 2.08));
    }

    #[test]
    fn percentiles_are_those_of_numpy() {
        let values: Vec<f32> = (0..=100).map(|value| value as f32 - 40.0).collect();
        // numpy.percentile(abs(v), 90) = 50, numpy.percentile(v, [10, 90]) = [-30, 50]
        assert_eq!(observe("percentile(90)", &[&values], &Scheme::int(8)), (-50.0, 50.0));
        assert_eq!(observe("percentile(90)", &[&values], &asymmetric(8)), (-30.0, 50.0));
        // numpy.percentile([1, 2, 4, 8], 40) = 2.4
        assert_eq!(observe("percentile(40)", &[&[8.0, 2.0, 4.0, 1.0]], &Scheme::int(8)).1, 2.4);
    }

    #[test]
    fn an_outlier_is_clipped_where_that_is_closer() {
        let mut values: Vec<f32> = (0..1000).map(|value| (value as f32 / 500.0 - 1.0) * 0.5).collect();
        values.push(1.0);
        let (low, high) = observe("mse", &[&values], &Scheme::int(4));
        // Steps of 1/7 for a thousand values cost more than clipping one.
        assert!((0.4..0.6).contains(&high) && low < 0.0, "{low} {high}");
        assert_eq!(observe("mse", &[&[-127.0, 5.0, 127.0]], &Scheme::int(8)), (-127.0, 127.0));
    }

    #[test]
    fn scales_follow_the_formulas_of_schemes() {
        let mut observer = Observer::new(Method::MinMax);
        assert_eq!(observer.parts(&Scheme::int(8)), Ok(None));
        observer.add(&[]);
        observer.add(&[-1.0, 25.4]);
        let (scale, zero) = observer.parts(&Scheme::int(8)).unwrap().unwrap();
        assert_eq!((scale.shape().len(), scale.to_f64()[0] as f32, zero), (0, 25.4f32 / 127.0, None));
        observer.add(&[-25.6]);
        let (scale, zero) = observer.parts(&asymmetric(8)).unwrap().unwrap();
        assert_eq!((scale.to_f64()[0] as f32, zero.unwrap().to_f64()), ((25.4f32 + 25.6) / 255.0, vec![0.0]));
    }

    #[test]
    fn many_values_are_thinned_evenly() {
        let mut observer = Observer::new(Method::Percentile(50.0));
        let values: Vec<f32> = (0..5 * MOST_KEPT / 2).map(|value| value as f32).collect();
        values.chunks(1000).for_each(|chunk| observer.add(chunk));
        assert!(observer.kept.len() <= MOST_KEPT && observer.kept.len() > MOST_KEPT / 4);
        let steps: Vec<f32> = observer.kept.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.iter().all(|step| *step == 4.0), "{:?}", &steps[..4]);
        let (_, middle) = observer.range(&Scheme::int(8)).unwrap().unwrap();
        assert!((f64::from(middle) / values.len() as f64 - 0.5).abs() < 1e-3);
    }
}
