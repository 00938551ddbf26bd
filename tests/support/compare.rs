//! Whether two tensors agree, by the tolerances that hold for every target:
//! `|a - b| <= atol + rtol * |b|` against the interpreter's `b`.

use tritonc::types::{DType, Tensor};

/// Relative and absolute tolerance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    pub rtol: f64,
    pub atol: f64,
}

/// The row of a whole model with results of this element type. Quantised weights have the same codes on
/// both sides, so they get no wider row; whole numbers must be equal.
pub fn tolerance(dtype: DType) -> Tolerance {
    let (rtol, atol) = match dtype {
        DType::Float16 => (2e-3, 1e-3),
        DType::BFloat16 => (2e-2, 1e-2),
        DType::Float32 | DType::Float64 => (1e-4, 1e-5),
        _ => (0.0, 0.0),
    };
    Tolerance { rtol, atol }
}

/// Says how the results of a target differ from the interpreter's. `low`: the type of mixed precision.
pub fn compare(name: &str, have: &Tensor, want: &Tensor, low: Option<DType>) -> Result<(), String> {
    match low.filter(|_| want.dtype().is_float()) {
        Some(low) => compare_in(name, have, want, low),
        None => compare_within(name, have, want, tolerance(want.dtype())),
    }
}

/// The same for gradients. Those of a whole model are sums that may cancel, so that an error is measured by the
/// largest element, not by each.
pub fn compare_gradients(name: &str, have: &Tensor, want: &Tensor, low: Option<DType>) -> Result<(), String> {
    if let Some(low) = low {
        return compare_in(name, have, want, low);
    }
    let Tolerance { rtol, atol } = tolerance(want.dtype());
    let largest = (0..want.len()).map(|index| want.get_f64(index).abs()).fold(0.0, f64::max);
    compare_within(name, have, want, Tolerance { rtol, atol: atol + rtol * largest })
}

/// The same for results of mixed precision, in which the errors of many operations have added up: measured by the root
/// of the mean square, with the row of the low type.
pub fn compare_in(name: &str, have: &Tensor, want: &Tensor, low: DType) -> Result<(), String> {
    if have.dtype() != want.dtype() || have.shape() != want.shape() {
        return Err(differing_types(name, have, want));
    }
    let Tolerance { rtol, atol } = tolerance(low);
    let root = |value: &dyn Fn(usize) -> f64| {
        ((0..want.len()).map(|index| value(index).powi(2)).sum::<f64>() / want.len().max(1) as f64).sqrt()
    };
    let error = root(&|index| have.get_f64(index) - want.get_f64(index));
    let size = root(&|index| want.get_f64(index));
    if error <= atol + rtol * size {
        return Ok(());
    }
    Err(format!("{name}: in {low} the error is {error:.2e}, where values are {size:.2e} large"))
}

fn differing_types(name: &str, have: &Tensor, want: &Tensor) -> String {
    let describe = |tensor: &Tensor| format!("{}{:?}", tensor.dtype(), tensor.shape());
    format!("{name} is {}, the interpreter gives {}", describe(have), describe(want))
}

fn compare_within(name: &str, have: &Tensor, want: &Tensor, within: Tolerance) -> Result<(), String> {
    if have.dtype() != want.dtype() || have.shape() != want.shape() {
        return Err(differing_types(name, have, want));
    }
    let Tolerance { rtol, atol } = within;
    let mut wrong = 0;
    let mut worst: Option<(f64, usize)> = None;
    for index in 0..want.len() {
        let (a, b) = (have.get_f64(index), want.get_f64(index));
        if agree(a, b, rtol, atol) {
            continue;
        }
        wrong += 1;
        // A NaN on one side is worse than any distance.
        let distance = if (a - b).is_nan() { f64::INFINITY } else { (a - b).abs() };
        if worst.is_none_or(|(most, _)| distance > most) {
            worst = Some((distance, index));
        }
    }
    match worst {
        None => Ok(()),
        Some((_, index)) => Err(format!(
            "{name}: {wrong} of {} values differ by more than {atol:e} + {rtol:e} * |b|; worst at {index}: {}, \
             the interpreter gives {}",
            want.len(),
            have.get_f64(index),
            want.get_f64(index),
        )),
    }
}

fn agree(a: f64, b: f64, rtol: f64, atol: f64) -> bool {
    // Equality covers infinities; two NaNs agree.
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= atol + rtol * b.abs() && b.is_finite()
}
