//! Every scheme on examples worked by hand.

use super::*;
use crate::quant::Ste;

fn tensor(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_f32(shape.to_vec(), values.to_vec())
}

fn vector(values: &[f32]) -> Tensor {
    tensor(&[values.len()], values)
}

fn run(values: &Tensor, scheme: &Scheme) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let parts = quantize(values, scheme, None).unwrap();
    (parts.codes.to_f64(), parts.scale.to_f64(), parts.zero_point.map_or(vec![], |z| z.to_f64()))
}

fn ternary(rule: TernaryRule, kept_scale: bool) -> Scheme {
    let kind = SchemeKind::Ternary { rule, kept_scale, stochastic: false };
    Scheme { kind, ..Scheme::ternary() }
}

fn asymmetric_scheme(bits: u32) -> Scheme {
    Scheme { kind: SchemeKind::Int { bits, symmetric: false }, ..Scheme::ternary() }
}

#[test]
fn ternary_absmean() {
    // mean abs = 1; 0.5 and -0.5 are ties and go to 0, 1.5 is clamped.
    let w = vector(&[0.5, -0.5, 1.5, -1.5]);
    assert_eq!(run(&w, &Scheme::ternary()), (vec![0.0, 0.0, 1.0, -1.0], vec![1.0], vec![]));
    let small = vector(&[1e-7, -1e-7]);
    assert_eq!(run(&small, &Scheme::ternary()), (vec![0.0, 0.0], vec![f64::from(1e-5f32)], vec![]));
    assert_eq!(run(&vector(&[0.0, -0.0]), &Scheme::ternary()), (vec![0.0, 0.0], vec![1.0], vec![]));
    assert_eq!(quantize(&w, &Scheme::ternary(), None).unwrap().codes.dtype(), DType::Trit);
}

#[test]
fn ternary_max() {
    // threshold = 0.5 * 4 = 2, strictly above
    let rule = TernaryRule::Max { ratio: 0.5.into() };
    let w = vector(&[4.0, -3.0, 2.0, -1.0]);
    assert_eq!(run(&w, &ternary(rule, false)), (vec![1.0, -1.0, 0.0, 0.0], vec![1.0], vec![]));
    assert_eq!(run(&w, &ternary(rule, true)), (vec![1.0, -1.0, 0.0, 0.0], vec![3.5], vec![]));
    assert_eq!(run(&vector(&[0.0, 0.0]), &ternary(rule, true)), (vec![0.0, 0.0], vec![1.0], vec![]));
}

#[test]
fn ternary_fixed() {
    let rule = TernaryRule::Fixed { threshold: 0.33.into() };
    let w = vector(&[0.33, 0.34, -0.5, -0.1]);
    assert_eq!(run(&w, &ternary(rule, false)), (vec![0.0, 1.0, -1.0, 0.0], vec![1.0], vec![]));
    let mean = f64::from(((f64::from(0.34f32) + 0.5) / 2.0) as f32);
    assert_eq!(run(&w, &ternary(rule, true)).1, [mean]);
    assert_eq!(run(&vector(&[0.1]), &ternary(rule, true)).1, [1.0]);
}

#[test]
fn stochastic_rounding_follows_its_seed() {
    let kind = SchemeKind::Ternary { rule: TernaryRule::AbsMean, kept_scale: false, stochastic: true };
    let scheme = Scheme { kind, ..Scheme::ternary() };
    let values: Vec<f32> = (0..4000).map(|i| if i % 2 == 0 { 0.5 } else { 1.5 }).collect();
    let w = vector(&values);
    assert_eq!(quantize(&w, &scheme, None), Err(QuantError::SeedMissing));
    let codes = |seed| quantize(&w, &scheme, Some(seed)).unwrap().codes.to_f64();
    assert_eq!(codes(3), codes(3));
    assert_ne!(codes(3), codes(4));
    // 0.5 / 1 rounds up half of the time, 1.5 / 1 is clamped to 1; the first word of seed 0 is 0.39...
    let halves: f64 = codes(3).iter().step_by(2).sum();
    assert!((900.0..1100.0).contains(&halves), "{halves}");
    assert!(codes(3).iter().skip(1).step_by(2).all(|code| *code == 1.0));
    assert_eq!(codes(0)[0], 0.0);
}

#[test]
fn symmetric_integers() {
    let w = vector(&[127.0, -63.5, 0.5, 1.5, -127.0]);
    assert_eq!(run(&w, &Scheme::int(8)), (vec![127.0, -64.0, 0.0, 2.0, -127.0], vec![1.0], vec![]));
    let w = vector(&[3.5, -1.25, 0.2]);
    assert_eq!(run(&w, &Scheme::int(4)), (vec![7.0, -2.0, 0.0], vec![0.5], vec![]));
    assert_eq!(quantize(&w, &Scheme::int(4), None).unwrap().codes.dtype(), DType::Int4);
    assert_eq!(run(&vector(&[0.0]), &Scheme::int(8)), (vec![0.0], vec![1.0], vec![]));
}

#[test]
fn asymmetric_integers() {
    // range -1 .. 1.55 is 255 steps of 0.01; z = round(-128 + 100)
    let (codes, scale, zero) = run(&vector(&[-1.0, 0.0, 1.55]), &asymmetric_scheme(8));
    assert_eq!((codes, zero), (vec![-128.0, -28.0, 127.0], vec![-28.0]));
    assert!((scale[0] - 0.01).abs() < 1e-9);
    // all positive: the range starts at 0
    assert_eq!(run(&vector(&[5.0, 7.5]), &asymmetric_scheme(4)), (vec![10.0, 15.0], vec![0.5], vec![0.0]));
    // all negative: it ends at 0
    assert_eq!(run(&vector(&[-7.5, -0.5]), &asymmetric_scheme(4)), (vec![0.0, 14.0], vec![0.5], vec![15.0]));
    assert_eq!(run(&vector(&[0.0, 0.0]), &asymmetric_scheme(8)), (vec![0.0, 0.0], vec![1.0], vec![0.0]));
    let parts = quantize(&vector(&[1.0]), &asymmetric_scheme(4), None).unwrap();
    assert_eq!((parts.codes.dtype(), parts.zero_point.unwrap().dtype()), (DType::UInt8, DType::UInt8));
}

#[test]
fn slices_by_axis_group_and_token() {
    let w = tensor(&[2, 4], &[7.0, 14.0, 1.0, 1.0, -7.0, 3.5, 0.0, 21.0]);
    let with = |axis, group, dynamic| Scheme { axis, group, dynamic, ..Scheme::int(4) };
    let shape_and_scale = |scheme: &Scheme| {
        let parts = quantize(&w, scheme, None).unwrap();
        (parts.scale.shape().to_vec(), parts.scale.to_f64())
    };
    assert_eq!(shape_and_scale(&with(None, None, false)), (vec![], vec![3.0]));
    assert_eq!(shape_and_scale(&with(Some(0), None, false)), (vec![2], vec![2.0, 3.0]));
    let by_column = with(Some(-1), None, false);
    assert_eq!(shape_and_scale(&by_column), (vec![4], vec![1.0, 2.0, f64::from(1f32 / 7.0), 3.0]));
    assert_eq!(run(&w, &by_column).0, [7.0, 7.0, 7.0, 0.0, -7.0, 2.0, 0.0, 7.0]);
    let grouped = with(None, Some(2), false);
    assert_eq!(shape_and_scale(&grouped), (vec![2, 2], vec![2.0, f64::from(1f32 / 7.0), 1.0, 3.0]));
    assert_eq!(shape_and_scale(&with(None, None, true)), (vec![2], vec![2.0, 3.0]));
    // One scale for each sample of a convolution's input.
    assert_eq!(shape_and_scale(&with(Some(0), None, true)), (vec![2], vec![2.0, 3.0]));
}

#[test]
fn scales_are_rounded_before_codes_are_made() {
    let scheme = Scheme { scale_dtype: DType::BFloat16, ..Scheme::int(8) };
    let parts = quantize(&vector(&[1.0, 0.5]), &scheme, None).unwrap();
    // 1 / 127 = 0.0078740...; the nearest bfloat16 is 0.00787353515625
    assert_eq!((parts.scale.dtype(), parts.scale.to_f64()), (DType::BFloat16, vec![0.00787353515625]));
    assert_eq!(parts.codes.to_f64(), [127.0, 64.0]);
    let half = Scheme { scale_dtype: DType::Float16, ..Scheme::int(8) };
    let overflow = quantize(&vector(&[1e8]), &half, None);
    assert_eq!(overflow, Err(QuantError::ScaleOverflow { slice: 0, dtype: DType::Float16 }));
    // Too small for a float16 scale: as good as zero.
    assert_eq!(run(&vector(&[1e-12]), &half), (vec![0.0], vec![1.0], vec![]));
}

#[test]
fn errors_name_the_place() {
    let nan = tensor(&[2, 2], &[0.0, 1.0, f32::NAN, f32::INFINITY]);
    let error = quantize(&nan, &Scheme::int(8), None).unwrap_err();
    assert_eq!(error.to_string(), "element 2 is NaN, which has no code");
    let w = tensor(&[2, 6], &[0.0; 12]);
    let scheme = |axis, group| Scheme { axis, group, ..Scheme::ternary() };
    assert_eq!(quantize(&w, &scheme(Some(2), None), None), Err(QuantError::Axis { axis: 2, rank: 2 }));
    assert_eq!(quantize(&w, &scheme(None, Some(4)), None), Err(QuantError::Group { group: 4, size: 6 }));
    assert!(matches!(quantize(&w, &scheme(None, Some(0)), None), Err(QuantError::Scheme(_))));
    assert!(matches!(quantize(&w, &scheme(Some(0), Some(2)), None), Err(QuantError::Scheme(_))));
    let scalar = tensor(&[], &[1.0]);
    assert_eq!(quantize(&scalar, &scheme(None, Some(1)), None), Err(QuantError::Scalar));
    let ints = Tensor::from_i64(DType::Int8, vec![1], vec![1]);
    assert_eq!(quantize(&ints, &Scheme::ternary(), None), Err(QuantError::NotFloat(DType::Int8)));
}

#[test]
fn empty_tensors() {
    for scheme in [Scheme::ternary(), Scheme::int(8), asymmetric_scheme(4)] {
        let parts = quantize(&tensor(&[0, 4], &[]), &scheme, None).unwrap();
        assert_eq!((parts.codes.shape(), parts.scale.to_f64()), (&[0, 4][..], vec![1.0]));
    }
    let by_row = Scheme { axis: Some(0), ..Scheme::ternary() };
    let parts = quantize(&tensor(&[3, 0], &[]), &by_row, None).unwrap();
    assert_eq!(parts.scale.to_f64(), [1.0; 3]);
    let dynamic = Scheme { dynamic: true, ..Scheme::int(8) };
    assert_eq!(quantize(&tensor(&[0, 3], &[]), &dynamic, None).unwrap().scale.shape(), [0]);
    assert_eq!(quantize(&tensor(&[2, 0], &[]), &dynamic, None).unwrap().scale.to_f64(), [1.0; 2]);
}

#[test]
fn restoring() {
    let w = tensor(&[2, 2], &[-1.0, 1.5, 0.25, 6.5]);
    for scheme in [Scheme { axis: Some(0), ..asymmetric_scheme(4) }, Scheme { group: Some(2), ..asymmetric_scheme(8) }]
    {
        let parts = quantize(&w, &scheme, None).unwrap();
        let zero = parts.zero_point.as_ref();
        let back = dequantize(&parts.codes, &parts.scale, zero, &scheme, DType::Float32).unwrap();
        for (slice, (before, after)) in w.to_f64().iter().zip(back.to_f64()).enumerate() {
            let step = parts.scale.get_f64(slice / 2);
            assert!((before - after).abs() <= step / 2.0 + 1e-6, "{scheme}: {before} {after}");
        }
        // Quantising what was restored gives the same codes.
        assert_eq!(quantize(&back, &scheme, None).unwrap().codes, parts.codes);
    }
    let codes = Tensor::from_i64(DType::Trit, vec![3], vec![-1, 0, 1]);
    let third = Tensor::from_f32(vec![], vec![1.0 / 3.0]);
    let halved = dequantize(&codes, &third, None, &Scheme::ternary(), DType::BFloat16).unwrap();
    assert_eq!(halved.to_f64(), [-0.333984375, 0.0, 0.333984375]);
    assert!(matches!(
        dequantize(&codes, &vector(&[1.0]), None, &Scheme::ternary(), DType::Float32),
        Err(QuantError::Mismatch(_))
    ));
    assert!(dequantize(&codes, &third, Some(&third), &Scheme::ternary(), DType::Float32).is_err());
}

#[test]
fn the_gradient_option_changes_nothing_here() {
    let w = vector(&[0.25, -2.0, 1.0]);
    let clipped = Scheme { ste: Ste::Clipped, ..Scheme::ternary() };
    assert_eq!(run(&w, &clipped), run(&w, &Scheme::ternary()));
}

#[test]
fn nearest_is_rounding_with_ties_to_even() {
    let mut bits = 1u32;
    for step in 0..200_000u32 {
        bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let drawn = f32::from_bits(bits);
        let half = (step as f32 - 100_000.0) / 2.0;
        for value in [drawn, half, half.next_up(), half.next_down(), NEAREST - half.abs() / 4.0, -NEAREST] {
            let value = if value.is_nan() { 0.0 } else { value.clamp(-NEAREST, NEAREST) };
            assert_eq!(nearest(value), value.round_ties_even(), "{value}");
        }
    }
}

/// Rows of numbers of one size each, from far below 1 to far above; the first number is the largest of its row.
fn rows(seed: u32, count: usize, size: usize, smallest: i32, largest: i32) -> Tensor {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    let mut values = vec![];
    for row in 0..count {
        let exponent = smallest + (row as i32 % (largest - smallest));
        let most = (1.0 + next()) * 2f32.powi(exponent);
        values.push(most);
        values.extend((1..size).map(|_| (next() * 2.0 - 1.0) * most));
    }
    tensor(&[count, size], &values)
}

fn quantised_twice(values: &Tensor, scheme: &Scheme, dtype: DType) -> (Quantized, Quantized) {
    let once = quantize(values, scheme, None).unwrap();
    let restored = dequantize(&once.codes, &once.scale, once.zero_point.as_ref(), scheme, dtype).unwrap();
    let twice = quantize(&restored, scheme, None).unwrap();
    (once, twice)
}

fn schemes_of_one_row() -> Vec<Scheme> {
    let max = TernaryRule::Max { ratio: 0.99.into() };
    let fixed = TernaryRule::Fixed { threshold: 0.334.into() };
    let kinds = [ternary(max, false), ternary(max, true), ternary(fixed, false), ternary(fixed, true)];
    let ints = [Scheme::int(4), Scheme::int(8), asymmetric_scheme(4), asymmetric_scheme(8), Scheme::ternary()];
    let by_row = kinds.into_iter().chain(ints).map(|scheme| Scheme { axis: Some(0), ..scheme });
    let narrow = |scheme: Scheme| {
        let with = |scale_dtype| Scheme { scale_dtype, ..scheme.clone() };
        [scheme.clone(), with(DType::BFloat16), with(DType::Float16)]
    };
    by_row.flat_map(narrow).collect()
}

#[test]
fn repeatable_schemes_find_their_codes_again() {
    for scheme in schemes_of_one_row() {
        for dtype in [DType::Float32, DType::Float64, DType::Float16, DType::BFloat16] {
            if !scheme.is_repeatable(dtype) {
                continue;
            }
            // Values and scales must be finite in their types, and scales normal.
            let half = dtype == DType::Float16 || scheme.scale_dtype == DType::Float16;
            let (low, high) = if half { (-10, 10) } else { (-118, 120) };
            let mut values = rows(7, 4000, 9, low, high);
            values.write_block(&[0, 0], &[1, 9], &tensor(&[1, 9], &[0.0; 9]));
            let (once, twice) = quantised_twice(&values, &scheme, dtype);
            assert_eq!(once, twice, "{scheme} as {dtype}");
        }
    }
}

/// Every number of one binade as the largest of its slice, and so every scale but for powers of two.
#[test]
fn integer_scales_are_found_again_for_every_largest_number() {
    let step = 61;
    let values: Vec<f32> = (1u32 << 23..1 << 24).step_by(step).map(|mantissa| mantissa as f32).collect();
    let values = tensor(&[values.len(), 1], &values);
    for scheme in [Scheme::int(4), Scheme::int(8)] {
        let (once, twice) = quantised_twice(&values, &Scheme { axis: Some(0), ..scheme }, DType::Float32);
        assert!(once == twice);
    }
}

#[test]
fn other_schemes_do_not() {
    for scheme in schemes_of_one_row().into_iter().filter(|scheme| !scheme.is_repeatable(DType::Float32)) {
        let values = match scheme.kind {
            // The mean is above the threshold, but not once it is rounded.
            SchemeKind::Ternary { rule: TernaryRule::Fixed { .. }, .. } => tensor(&[1, 2], &[0.334_01, -0.334_05]),
            // Scales below the normal numbers of float16 have few digits.
            SchemeKind::Int { symmetric: true, .. } => rows(3, 4000, 9, -24, -8),
            _ => rows(3, 4000, 9, -4, 4),
        };
        let (once, twice) = quantised_twice(&values, &scheme, DType::Float32);
        assert!(once != twice, "{scheme}");
    }
    let int8 = Scheme { axis: Some(0), ..Scheme::int(8) };
    assert!(!int8.is_repeatable(DType::BFloat16));
    let (once, twice) = quantised_twice(&rows(3, 4000, 9, -4, 4), &int8, DType::BFloat16);
    assert!(once != twice);
    let (one, values) = (ternary(TernaryRule::Fixed { threshold: 1.0.into() }, false), vector(&[2.0, 3.0]));
    assert!(!one.is_repeatable(DType::Float32));
    assert!(quantised_twice(&values, &one, DType::Float32).1.codes.to_f64() == [0.0, 0.0]);
}
