//! Factors against their definition; errors of products against rounding.

use super::*;
use crate::base::philox;
use crate::quant::dequantize;

/// Inputs that depend on each other: `size` sums of fewer normal numbers, and some of their own.
fn inputs(seed: i64, samples: usize, size: usize) -> Vec<Vec<f32>> {
    let mut normal = philox::normals(seed);
    let hidden = size / 3 + 1;
    let mixing: Vec<f64> = normal.by_ref().take(hidden * size).collect();
    let sample = |_| {
        let own: Vec<f64> = normal.by_ref().take(hidden).collect();
        let value = |k: usize| own.iter().enumerate().map(|(h, v)| v * mixing[h * size + k]).sum::<f64>();
        let noise: Vec<f64> = normal.by_ref().take(size).collect();
        (0..size).map(|k| (value(k) + 0.3 * noise[k]) as f32).collect()
    };
    (0..samples).map(sample).collect()
}

fn hessian(inputs: &[Vec<f32>]) -> Hessian {
    let mut hessian = Hessian::new(inputs[0].len());
    inputs.iter().for_each(|input| hessian.add(input));
    hessian
}

#[test]
fn the_factor_is_that_of_the_inverse() {
    let hessian = hessian(&inputs(3, 40, 7));
    let order = [3, 0, 6, 1, 2, 5, 4];
    let (damping, size) = (0.01, 7);
    let factor = hessian.factor(&order, damping).unwrap();
    let mean = (0..size).map(|row| hessian.diagonal(row)).sum::<f64>() / size as f64;
    let lower = hessian.damped(&order, damping * mean);
    let h = |i: usize, j: usize| lower[i.max(j) * size + i.min(j)];
    let inverse = |i: usize, j: usize| (0..size).map(|k| factor[k * size + i] * factor[k * size + j]).sum::<f64>();
    for i in 0..size {
        for j in 0..size {
            assert!(j >= i || factor[i * size + j] == 0.0);
            let product: f64 = (0..size).map(|k| h(i, k) * inverse(k, j)).sum();
            assert!((product - f64::from(u8::from(i == j))).abs() < 1e-9, "[{i}, {j}]: {product}");
        }
    }
}

/// A weight `[columns, rows]`, as of a linear layer.
fn linear(columns: usize, rows: usize) -> (Tensor, Layout) {
    let weight = Tensor::from_f64(DType::Float32, vec![columns, rows], philox::normals(8).take(columns * rows));
    let places = (0..rows * columns).map(|at| at % columns * rows + at / columns).collect();
    (weight, Layout { batches: 1, rows, columns, places })
}

/// The squared error of products with inputs.
fn error(weight: &Tensor, parts: &Quantized, scheme: &Scheme, inputs: &[Vec<f32>]) -> f64 {
    let restored = dequantize(&parts.codes, &parts.scale, parts.zero_point.as_ref(), scheme, DType::Float32).unwrap();
    let rows = weight.shape()[1];
    let (before, after) = (weight.to_f64(), restored.to_f64());
    let lost: Vec<f64> = before.iter().zip(&after).map(|(a, b)| a - b).collect();
    let dot = |column: &[f64], input: &[f32]| column.iter().zip(input).map(|(w, x)| w * f64::from(*x)).sum::<f64>();
    inputs.iter().map(|input| lost.chunks(rows).map(|column| dot(column, input).powi(2)).sum::<f64>()).sum()
}

#[test]
fn products_come_closer_than_by_rounding() {
    let (weight, layout) = linear(24, 48);
    let all = inputs(5, 400, 48);
    let (seen, other) = all.split_at(300);
    let hessian = [hessian(seen)];
    let asymmetric = SchemeKind::Int { bits: 4, symmetric: false };
    for scheme in [
        Scheme::int(4),
        Scheme { axis: Some(0), ..Scheme::int(4) },
        Scheme { group: Some(16), ..Scheme::int(4) },
        Scheme { kind: asymmetric, group: Some(16), ..Scheme::int(4) },
        Scheme { axis: Some(0), ..Scheme::int(8) },
    ] {
        let rounded = quantize(&weight, &scheme, None).unwrap();
        for descending in [false, true] {
            let options = Options { descending, ..Options::default() };
            let found = gptq(&weight, &layout, &hessian, &scheme, options).unwrap().unwrap();
            let (own, nearest) = (error(&weight, &found, &scheme, other), error(&weight, &rounded, &scheme, other));
            assert!(own < 0.6 * nearest, "{scheme}, {descending}: {own} and {nearest} by rounding");
            // The parts are those of the scheme, and codes within its range.
            assert_eq!(found.scale.shape(), rounded.scale.shape());
            assert_eq!(found.codes.dtype(), rounded.codes.dtype());
        }
    }
}

#[test]
fn inputs_that_do_not_depend_on_each_other_leave_rounding() {
    let (weight, layout) = linear(3, 4);
    let unit = |k: usize| (0..4).map(|i| if i == k { 2.0 } else { 0.0 }).collect::<Vec<f32>>();
    // The last input is never anything but 0.
    let hessian = [hessian(&[unit(0), unit(1), unit(2)])];
    let scheme = Scheme { axis: Some(0), ..Scheme::int(4) };
    let found = gptq(&weight, &layout, &hessian, &scheme, Options::default()).unwrap().unwrap();
    assert_eq!(found, quantize(&weight, &scheme, None).unwrap());
}

#[test]
fn what_cannot_be_quantised_is_told() {
    let (mut weight, layout) = linear(2, 3);
    let scheme = Scheme { group: Some(2), ..Scheme::int(4) };
    let hessians = [Hessian::new(3)];
    let refused = gptq(&weight, &layout, &hessians, &scheme, Options::default());
    assert_eq!(refused, Err(QuantError::Group { group: 2, size: 3 }));
    weight = Tensor::from_f64(DType::Float32, vec![2, 3], [0.0, f64::NAN, 0.0, 0.0, 0.0, 0.0]);
    let refused = gptq(&weight, &layout, &hessians, &Scheme::int(4), Options::default());
    assert!(matches!(refused, Err(QuantError::NotFinite { index: 1, .. })));
    // Inputs too large for their squares.
    let (weight, layout) = linear(2, 3);
    let mut hessian = Hessian::new(3);
    hessian.sums.fill(f64::INFINITY);
    assert_eq!(gptq(&weight, &layout, &[hessian], &Scheme::int(4), Options::default()), Ok(None));
}

#[test]
fn layouts_know_whether_they_are_whole() {
    let (_, layout) = linear(2, 3);
    assert!(layout.is_whole(6) && !layout.is_whole(7));
    assert!(!Layout { places: vec![0, 1, 1, 2, 3, 4], ..layout }.is_whole(6));
}
