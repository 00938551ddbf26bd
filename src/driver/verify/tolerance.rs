//! How near a target must come to the interpreter: `|a - b| <= absolute + relative * |b|`, on random inputs of unit
//! variance. The table is the one of docs/numerics.md; everything that compares with the interpreter reads it here.

use crate::ir::{Function, InstKind, Module, Region};
use crate::ops::traits::Quantisation;
use crate::types::{DType, Tensor};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    pub relative: f64,
    pub absolute: f64,
    /// Elements may differ by more as long as the root mean square of all differences is no more than this part of that
    /// of the values.
    pub drift: f64,
}

/// What ties that are rounded the other way leave. One code of 10 000 that differs by one, where codes are about 40 in
/// size, is 2.5e-4 of the root mean square, and products carry that on; several layers add up. Another rounding or
/// scale is 4e-3 and more.
const FLIPS: f64 = 1e-3;

/// What was computed. Quantised weights have the same codes on both sides, so they need no row of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Nothing but elementwise operations, shapes, reductions and norms.
    Elements,
    /// Anything with matrix products or convolutions in it.
    Model,
    /// The same, with activations that are rounded to integers on the way.
    IntegerActivations,
    /// A float32 program in mixed precision, with this low type.
    Mixed(DType),
}

/// The row of the table for results of an element type. Whole numbers must be equal.
pub fn tolerance(dtype: DType, scope: Scope) -> Tolerance {
    let dtype = match scope {
        Scope::Mixed(low) if dtype.is_float() => low,
        _ => dtype,
    };
    let (relative, absolute) = match (dtype, scope) {
        (DType::Float16, _) => (2e-3, 1e-3),
        (DType::BFloat16, _) => (2e-2, 1e-2),
        (DType::Float32 | DType::Float64, Scope::Elements) => (1e-5, 1e-6),
        (DType::Float32 | DType::Float64, _) => (1e-4, 1e-5),
        _ => (0.0, 0.0),
    };
    let drift = if scope == Scope::IntegerActivations && dtype.is_float() { FLIPS } else { 0.0 };
    Tolerance { relative, absolute, drift }
}

/// The row for a result. In mixed precision the errors of many operations have added up, so they are measured by the
/// largest element, not by each.
pub fn of_result(want: &Tensor, scope: Scope) -> Tolerance {
    match scope {
        Scope::Mixed(_) => by_the_largest(want, tolerance(want.dtype(), scope)),
        Scope::Elements | Scope::Model | Scope::IntegerActivations => tolerance(want.dtype(), scope),
    }
}

/// The row for a gradient. Gradients are sums that may cancel, so an error is measured by the largest element, not
/// by each.
pub fn of_gradient(want: &Tensor, scope: Scope) -> Tolerance {
    let scope = if scope == Scope::Elements { Scope::Model } else { scope };
    by_the_largest(want, tolerance(want.dtype(), scope))
}

fn by_the_largest(want: &Tensor, row: Tolerance) -> Tolerance {
    let largest = want.to_f64().iter().map(|value| value.abs()).filter(|value| value.is_finite()).fold(0.0, f64::max);
    Tolerance { absolute: row.absolute + row.relative * largest, ..row }
}

impl Scope {
    /// What a program computes.
    pub fn of(module: &Module) -> Scope {
        let mut found = Scope::Elements;
        for function in &module.functions {
            match of_region(function, &function.body) {
                Scope::Elements => {}
                Scope::Model => found = Scope::Model,
                Scope::IntegerActivations | Scope::Mixed(_) => return Scope::IntegerActivations,
            }
        }
        found
    }
}

fn of_region(function: &Function, region: &Region) -> Scope {
    let mut found = Scope::Elements;
    for id in &region.insts {
        let inst = &function[*id];
        let own = match &inst.kind {
            // Weights are read right before they are quantised.
            InstKind::Op { op, .. }
                if matches!(op.quantisation(), Some(Quantisation::Quantise | Quantisation::QuantiseWith)) =>
            {
                let reads = |kind: &InstKind| matches!(kind, InstKind::Param { .. } | InstKind::Const(_));
                let is_weight = inst.operands.first().is_some_and(|operand| {
                    function.insts.iter().any(|other| other.results.contains(operand) && reads(&other.kind))
                });
                if is_weight { Scope::Model } else { Scope::IntegerActivations }
            }
            InstKind::Op { op, .. } if op.is_product() => Scope::Model,
            _ => Scope::Elements,
        };
        for scope in Function::regions(&inst.kind).into_iter().map(|nested| of_region(function, nested)).chain([own]) {
            match scope {
                Scope::Elements => {}
                Scope::Model => found = Scope::Model,
                Scope::IntegerActivations | Scope::Mixed(_) => return scope,
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(body: &str) -> Scope {
        let text = format!("func @f(%x: float32[4, 4]) -> float32[4, 4] {{\n{body}}}\n");
        Scope::of(&crate::ir::reader::read(&text).unwrap())
    }

    #[test]
    fn programs_have_the_row_of_what_they_compute() {
        assert_eq!(scope("  %0 = exp %x : float32[4, 4]\n  return %0\n"), Scope::Elements);
        assert_eq!(scope("  %0 = matmul %x, %x : float32[4, 4]\n  return %0\n"), Scope::Model);
        let quantised = "  %q, %s = quantize %x {scheme = int8()} : int8[4, 4], float32
  %0 = dequantize %q, %s {scheme = int8(), dtype = float32} : float32[4, 4]
  return %0\n";
        assert_eq!(scope(quantised), Scope::IntegerActivations);
        let calibrated = "  %s = const float32 [0.5] : float32
  %q = quantize_with %x, %s {scheme = int8()} : int8[4, 4]
  %0 = dequantize %q, %s {scheme = int8(), dtype = float32} : float32[4, 4]
  return %0\n";
        assert_eq!(scope(calibrated), Scope::IntegerActivations);
        let weight = format!("  %w = const float32[4, 4] [{}] : float32[4, 4]\n", ["1.0"; 16].join(", "));
        assert_eq!(scope(&(weight + &quantised.replace("quantize %x {", "quantize %w {"))), Scope::Model);
    }

    #[test]
    fn gradients_are_measured_by_their_largest_element() {
        let want = Tensor::from_f32(vec![3], vec![0.0, -100.0, f32::INFINITY]);
        let row = of_gradient(&want, Scope::Elements);
        assert!((row.absolute - 1.001e-2).abs() < 1e-12, "{row:?}");
        let low = of_result(&Tensor::from_f32(vec![2], vec![1.0, -3.0]), Scope::Mixed(DType::BFloat16));
        assert!((low.absolute - 0.07).abs() < 1e-12, "{low:?}");
        assert_eq!(tolerance(DType::Int64, Scope::Mixed(DType::Float16)).relative, 0.0);
        assert_eq!(tolerance(DType::Int64, Scope::Model), Tolerance { relative: 0.0, absolute: 0.0, drift: 0.0 });
    }
}
