//! How far a tensor of a target is from the interpreter's.

use super::tolerance::Tolerance;
use crate::types::{DType, Tensor};
use std::fmt;

/// The difference of tensors of one type and shape, or of several such pairs together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Difference {
    /// The largest `|a - b|`; NaN where one side alone is NaN, or both are infinite and differ.
    pub absolute: f64,
    /// The largest `|a - b| / |b|`, of elements that are larger than the absolute tolerance.
    pub relative: f64,
    /// Pearson's; of several pairs the smallest. `None` where a side is constant, so that there is none.
    pub correlation: Option<f64>,
    pub elements: usize,
    /// Elements beyond the tolerance.
    pub wrong: usize,
    /// The pair that has the worst of them, told in a sentence.
    pub worst: Option<String>,
    /// Whether more elements are wrong than the tolerance has room for.
    pub fails: bool,
}

impl Difference {
    /// Takes in the difference of another pair.
    pub fn add(&mut self, other: Difference) {
        if other.fails && !self.fails {
            self.worst = other.worst;
        }
        self.absolute = larger(self.absolute, other.absolute);
        self.relative = larger(self.relative, other.relative);
        self.correlation = match (self.correlation, other.correlation) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.elements += other.elements;
        self.wrong += other.wrong;
        self.fails |= other.fails;
    }
}

/// NaN is larger than anything.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// Tensors of different types or shapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlike(pub String);

impl fmt::Display for Unlike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Compares what a target has with what the interpreter gives; `name` is what messages call it.
pub fn compare(name: &str, have: &Tensor, want: &Tensor, within: Tolerance) -> Result<Difference, Unlike> {
    if have.dtype() != want.dtype() || have.shape() != want.shape() {
        let describe = |tensor: &Tensor| format!("{}{:?}", tensor.dtype(), tensor.shape());
        return Err(Unlike(format!("{name} is {}, the interpreter gives {}", describe(have), describe(want))));
    }
    let (a, b) = (have.to_f64(), want.to_f64());
    let mut found = Difference { elements: b.len(), correlation: correlation(&a, &b), ..Difference::default() };
    let mut worst: Option<(f64, usize)> = None;
    for (index, (have, want)) in a.iter().copied().zip(b.iter().copied()).enumerate() {
        // Equality covers infinities; two NaNs agree.
        if have == want || (have.is_nan() && want.is_nan()) {
            continue;
        }
        let distance = (have - want).abs();
        let distance = if distance.is_finite() { distance } else { f64::NAN };
        found.absolute = larger(found.absolute, distance);
        if want.abs() > within.absolute {
            found.relative = larger(found.relative, distance / want.abs());
        }
        if distance <= within.absolute + within.relative * want.abs() {
            continue;
        }
        found.wrong += 1;
        // A NaN on one side is worse than any distance.
        let rank = if distance.is_nan() { f64::INFINITY } else { distance };
        if worst.is_none_or(|(most, _)| rank > most) {
            worst = Some((rank, index));
        }
    }
    found.fails = found.wrong > 0 && !within_drift(&a, &b, within.drift);
    found.worst = worst.map(|(_, index)| {
        let Tolerance { relative, absolute, .. } = within;
        let limit = match (relative, absolute) {
            (0.0, 0.0) => "differ".to_string(),
            _ => format!("differ by more than {} + {relative:e} * |b|", format!("{absolute:.1e}").replace(".0e", "e")),
        };
        let (count, total, place) = (found.wrong, found.elements, position(index, want.shape()));
        let (have, want) = (shown(have, index), shown(want, index));
        format!("{name}: {count} of {total} values {limit}; worst at {place}: {have}, the interpreter gives {want}")
    });
    Ok(found)
}

/// Whether differences are this small a part of the values, by their root mean squares. Those that are no numbers never
/// are.
fn within_drift(have: &[f64], want: &[f64], drift: f64) -> bool {
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let errors = have.iter().zip(want).filter(|(a, b)| a != b && !(a.is_nan() && b.is_nan()));
    let error = squares(&mut errors.map(|(a, b)| a - b)).sqrt();
    error <= drift * squares(&mut want.iter().copied().filter(|value| value.is_finite())).sqrt()
}

/// An element in as many digits as its type has.
fn shown(tensor: &Tensor, index: usize) -> String {
    match (tensor.get_f64(index), tensor.dtype()) {
        (value, DType::Float16 | DType::BFloat16 | DType::Float32) => (value as f32).to_string(),
        (value, _) => value.to_string(),
    }
}

/// `[1, 0, 7]`
fn position(mut index: usize, shape: &[usize]) -> String {
    let mut at = vec![0; shape.len()];
    for (place, size) in at.iter_mut().zip(shape).rev() {
        *place = index % size;
        index /= size;
    }
    format!("{at:?}")
}

/// Of the pairs in which both are finite.
fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let pairs = || a.iter().zip(b).filter(|(a, b)| a.is_finite() && b.is_finite());
    let count = pairs().count() as f64;
    let mean_a = pairs().map(|(a, _)| a).sum::<f64>() / count;
    let mean_b = pairs().map(|(_, b)| b).sum::<f64>() / count;
    let (mut product, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for (a, b) in pairs() {
        product += (a - mean_a) * (b - mean_b);
        of_a += (a - mean_a).powi(2);
        of_b += (b - mean_b).powi(2);
    }
    let size = of_a.sqrt() * of_b.sqrt();
    (size > 0.0).then(|| (product / size).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::verify::tolerance::{Scope, tolerance};

    fn float(values: &[f32]) -> Tensor {
        Tensor::from_f32(vec![values.len()], values.to_vec())
    }

    fn difference(have: &Tensor, want: &Tensor) -> Difference {
        compare("y", have, want, tolerance(want.dtype(), Scope::Model)).unwrap()
    }

    #[test]
    fn tensors_agree_within_their_tolerance() {
        assert!(!difference(&float(&[1.0, f32::NAN]), &float(&[1.00005, f32::NAN])).fails);
        assert!(!difference(&float(&[f32::INFINITY]), &float(&[f32::INFINITY])).fails);
        for (have, want) in
            [(f32::NAN, 1.0), (1.0, f32::NAN), (f32::INFINITY, f32::NEG_INFINITY), (1e30, f32::INFINITY)]
        {
            let found = difference(&float(&[have]), &float(&[want]));
            assert!(found.fails && found.absolute.is_nan(), "{have} {want}: {found:?}");
        }
        let int = |value: i64| Tensor::scalar_i64(value);
        assert!(difference(&int(1_000_001), &int(1_000_000)).fails);
        let half = |value: f64| Tensor::from_f64(DType::Float16, vec![], [value]);
        assert!(!difference(&half(1.001), &half(1.0)).fails);
        assert!(difference(&half(1.01), &half(1.0)).fails);
        let unlike = compare("y", &int(1), &float(&[1.0]), tolerance(DType::Float32, Scope::Model));
        assert_eq!(unlike, Err(Unlike("y is int64[], the interpreter gives float32[1]".to_string())));
    }

    #[test]
    fn errors_are_measured() {
        let found = difference(&float(&[1.0, 2.0, 4.0]), &float(&[1.0, 3.0, 9.0]));
        assert_eq!((found.absolute, found.wrong, found.elements), (5.0, 2, 3));
        assert!((found.relative - 5.0 / 9.0).abs() < 1e-12, "{found:?}");
        // Sums of (1, 2, 4) and (1, 3, 9) about their means: 28/3 over the root of 14/3 * 104/3.
        let exact = (1.0 + 6.0 + 36.0 - 7.0 * 13.0 / 3.0) / ((14.0_f64 / 3.0).sqrt() * (104.0_f64 / 3.0).sqrt());
        assert!((found.correlation.unwrap() - exact).abs() < 1e-12, "{found:?}");
        let told = found.worst.unwrap();
        assert!(told.starts_with("y: 2 of 3 values differ by more than 1e-5 + 1e-4 * |b|; worst at [2]: 4,"), "{told}");
        assert_eq!(difference(&float(&[1.0, 2.0]), &float(&[3.0, 3.0])).correlation, None);
    }

    #[test]
    fn a_few_flips_are_let_pass() {
        let want = vec![1.0f32; 10_000];
        let within = tolerance(DType::Float32, Scope::IntegerActivations);
        let found = |flips: usize, error: f32| {
            let mut have = want.clone();
            have[..flips].iter_mut().for_each(|value| *value += error);
            let found = compare("y", &float(&have), &float(&want), within).unwrap();
            assert_eq!(found.wrong, flips);
            found.fails
        };
        // A hundred elements off by 1 % are 1e-3 of the whole.
        assert!(!found(99, 0.01) && found(102, 0.01) && !found(1, 0.09) && found(1, 0.11));
        assert!(found(1, f32::NAN) && found(1, f32::INFINITY) && found(10_000, 0.002));
        let exact = Tolerance { drift: 0.0, ..within };
        assert!(compare("y", &float(&[1.01]), &float(&[1.0]), exact).unwrap().fails);
    }
}
