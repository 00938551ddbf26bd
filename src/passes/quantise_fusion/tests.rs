use crate::interp::{Machine, RunOptions};
use crate::ir::FuncId;
use crate::ops::Attrs;
use crate::ops::testkit::{eval, random};
use crate::passes::testkit::{assert_near, check, check_near, module, optimised};
use crate::types::{DType, Tensor};
use expect_test::expect;

const PASSES: &[&str] = &["simplify", "quantise-fusion", "dce"];

#[test]
fn codes_that_would_be_found_again_stay() {
    check(
        PASSES,
        "func @f(%x: float32[4, n], %h: float16[n]) -> (int8[4, n], float32[4], trit[4, n], float32, trit[4, n], float32, int8[n], float32) {
  symbols n: int
  %q, %s = quantize %x {scheme = int8(dynamic=true)} : int8[4, n], float32[4]
  %v = dequantize %q, %s {scheme = int8(dynamic=true), dtype = float32} : float32[4, n]
  %q2, %s2 = quantize %v {scheme = int8(dynamic=true, ste=\"clipped\")} : int8[4, n], float32[4]
  %t, %r = quantize %x {scheme = ternary(rule=\"max\", ratio=0.3, scale=\"kept\")} : trit[4, n], float32
  %w = dequantize %t, %r {scheme = ternary(rule=\"max\", ratio=0.3, scale=\"kept\"), dtype = float32} : float32[4, n]
  %t2, %r2 = quantize %w {scheme = ternary(rule=\"max\", ratio=0.3, scale=\"kept\")} : trit[4, n], float32
  %b, %bs = quantize %x {scheme = ternary()} : trit[4, n], float32
  %bv = dequantize %b, %bs {scheme = ternary(), dtype = float32} : float32[4, n]
  %b2, %bs2 = quantize %bv {scheme = ternary()} : trit[4, n], float32
  %i, %is = quantize %h {scheme = int8()} : int8[n], float32
  %iv = dequantize %i, %is {scheme = int8(), dtype = float16} : float16[n]
  %i2, %is2 = quantize %iv {scheme = int8()} : int8[n], float32
  return %q2, %s2, %t2, %r2, %b2, %bs2, %i2, %is2
}
",
        expect![[r#"
            func @f(%x: float32[4, n], %h: float16[n]) -> (int8[4, n], float32[4], trit[4, n], float32, trit[4, n], float32, int8[n], float32) {
              symbols n: int
              %q, %s = quantize %x {scheme = int8(dynamic=true)} : int8[4, n], float32[4]
              %t, %r = quantize %x {scheme = ternary(rule="max", ratio=0.3, scale="kept")} : trit[4, n], float32
              %b, %bs = quantize %x {scheme = ternary()} : trit[4, n], float32
              %bv = dequantize %b, %bs {scheme = ternary(), dtype = float32} : float32[4, n]
              %b2, %bs2 = quantize %bv {scheme = ternary()} : trit[4, n], float32
              %i, %is = quantize %h {scheme = int8()} : int8[n], float32
              %iv = dequantize %i, %is {scheme = int8(), dtype = float16} : float16[n]
              %i2, %is2 = quantize %iv {scheme = int8()} : int8[n], float32
              return %q, %s, %t, %r, %b2, %bs2, %i2, %is2
            }
        "#]],
    );
}

#[test]
fn given_scales_find_their_codes_again() {
    check(
        PASSES,
        "func @f(%x: float32[4, n]) -> (int8[4, n], int8[4, n]) {
  symbols n: int
  %s = const float32 [0.013] : float32
  %z = const int8 [7] : int8
  %q = quantize_with %x, %s, %z {scheme = int8(symmetric=false)} : int8[4, n]
  %v = dequantize %q, %s, %z {scheme = int8(symmetric=false), dtype = float32} : float32[4, n]
  %q2 = quantize_with %v, %s, %z {scheme = int8(symmetric=false)} : int8[4, n]
  %t = const float32 [0.02] : float32
  %q3 = quantize_with %v, %t, %z {scheme = int8(symmetric=false)} : int8[4, n]
  return %q2, %q3
}
",
        expect![[r#"
            func @f(%x: float32[4, n]) -> (int8[4, n], int8[4, n]) {
              symbols n: int
              %s = const float32 [0.013] : float32
              %z = const int8 [7] : int8
              %q = quantize_with %x, %s, %z {scheme = int8(symmetric=false)} : int8[4, n]
              %v = dequantize %q, %s, %z {scheme = int8(symmetric=false), dtype = float32} : float32[4, n]
              %t = const float32 [0.02] : float32
              %q3 = quantize_with %v, %t, %z {scheme = int8(symmetric=false)} : int8[4, n]
              return %q, %q3
            }
        "#]],
    );
}

#[test]
fn codes_of_a_file_are_quantised_again() {
    // They may come from elsewhere and leave the ends of their range unused.
    check(
        PASSES,
        r#"entry net = Net()

layer Net() {
  param weight : float32[2, 3] quantize int8() = uniform(-1.0, 1.0)
  method @Net.forward
}

func @Net.forward() -> (int8[2, 3], float32) {
  %q = param "weight" codes : int8[2, 3]
  %s = param "weight" scale : float32
  %v = dequantize %q, %s {scheme = int8(), dtype = float32} : float32[2, 3]
  %q2, %s2 = quantize %v {scheme = int8()} : int8[2, 3], float32
  return %q2, %s2
}
"#,
        expect![[r#"
            entry net = Net()

            layer Net() {
              param weight : float32[2, 3] quantize int8() = uniform(-1.0, 1.0)
              method @Net.forward
            }

            func @Net.forward() -> (int8[2, 3], float32) {
              %q = param "weight" codes : int8[2, 3]
              %s = param "weight" scale : float32
              %v = dequantize %q, %s {scheme = int8(), dtype = float32} : float32[2, 3]
              %q2, %s2 = quantize %v {scheme = int8()} : int8[2, 3], float32
              return %q2, %s2
            }
        "#]],
    );
}

#[test]
fn layers_multiply_codes() {
    check_near(
        PASSES,
        r#"entry net = Net(k = 6, n = 4)

layer Net(k: int, n: int) {
  param weight : float32[n, k] quantize ternary(axis=0) = kaiming_uniform()
  param offset : float32[n] = uniform(-1.0, 1.0)
  method @Net.forward
}

func @Net.forward(%x: float32[B, T, k]) -> (float32[B, T, n], float32[B, T, n]) {
  symbols B: int, T: int
  %q, %s = quantize %x {scheme = int8(dynamic=true)} : int8[B, T, k], float32[B, T]
  %a = dequantize %q, %s {scheme = int8(dynamic=true), dtype = float32} : float32[B, T, k]
  %wq = param "weight" codes : trit[n, k]
  %ws = param "weight" scale : float32[n]
  %w = dequantize %wq, %ws {scheme = ternary(axis=0), dtype = float32} : float32[n, k]
  %t = permute %w {axes = (1, 0)} : float32[k, n]
  %y = matmul %a, %t : float32[B, T, n]
  %offset = param "offset" : float32[n]
  %z = add %y, %offset : float32[B, T, n]
  return %y, %z
}
"#,
        expect![[r#"
            entry net = Net(k = 6, n = 4)

            layer Net(k: int, n: int) {
              param weight : float32[n, k] quantize ternary(axis=0) = kaiming_uniform()
              param offset : float32[n] = uniform(-1.0, 1.0)
              method @Net.forward
            }

            func @Net.forward(%x: float32[B, T, k]) -> (float32[B, T, n], float32[B, T, n]) {
              symbols B: int, T: int
              %q, %s = quantize %x {scheme = int8(dynamic=true)} : int8[B, T, k], float32[B, T]
              %wq = param "weight" codes : trit[n, k]
              %ws = param "weight" scale : float32[n]
              %0 = matmul %q, %wq {transpose_b = true} : int32[B, T, n]
              %1 = cast %0 {dtype = float32} : float32[B, T, n]
              %2 = mul %1, %ws : float32[B, T, n]
              %3 = unsqueeze %s {axis = -1} : float32[B, T, 1]
              %y = mul %2, %3 : float32[B, T, n]
              %offset = param "offset" : float32[n]
              %z = add %y, %offset : float32[B, T, n]
              return %y, %z
            }
        "#]],
    );
}

#[test]
fn batches_vectors_and_scales_in_any_place() {
    check_near(
        PASSES,
        r#"func @f(%x: float32[2, 4, 5], %w: float32[2, 5, 3], %v: float32[5], %h: float16[4, 5]) -> (float32[2, 4, 3], float32[2, 4], float32[2, 3], float16[4, 4], float64) {
  %q, %s = quantize %x {scheme = int8(axis=0)} : int8[2, 4, 5], float32[2]
  %a = dequantize %q, %s {scheme = int8(axis=0), dtype = float32} : float32[2, 4, 5]
  %wq, %ws = quantize %w {scheme = int4(axis=-1, scale_dtype=bfloat16)} : int4[2, 5, 3], bfloat16[3]
  %b = dequantize %wq, %ws {scheme = int4(axis=-1, scale_dtype=bfloat16), dtype = float32} : float32[2, 5, 3]
  %vq, %vs = quantize %v {scheme = int8(dynamic=true)} : int8[5], float32
  %c = dequantize %vq, %vs {scheme = int8(dynamic=true), dtype = float32} : float32[5]
  %0 = matmul %a, %b : float32[2, 4, 3]
  %1 = matmul %a, %c : float32[2, 4]
  %2 = matmul %c, %b : float32[2, 3]
  %hq, %hs = quantize %h {scheme = int8(dynamic=true)} : int8[4, 5], float32[4]
  %d = dequantize %hq, %hs {scheme = int8(dynamic=true), dtype = float16} : float16[4, 5]
  %3 = matmul %d, %d {transpose_b = true} : float16[4, 4]
  %e = dequantize %vq, %vs {scheme = int8(dynamic=true), dtype = float64} : float64[5]
  %4 = matmul %e, %e : float64
  return %0, %1, %2, %3, %4
}
"#,
        expect![[r#"
            func @f(%x: float32[2, 4, 5], %w: float32[2, 5, 3], %v: float32[5], %h: float16[4, 5]) -> (float32[2, 4, 3], float32[2, 4], float32[2, 3], float16[4, 4], float64) {
              %q, %s = quantize %x {scheme = int8(axis=0)} : int8[2, 4, 5], float32[2]
              %wq, %ws = quantize %w {scheme = int4(axis=-1, scale_dtype=bfloat16)} : int4[2, 5, 3], bfloat16[3]
              %vq, %vs = quantize %v {scheme = int8(dynamic=true)} : int8[5], float32
              %0 = matmul %q, %wq : int32[2, 4, 3]
              %1 = cast %0 {dtype = float32} : float32[2, 4, 3]
              %2 = cast %ws {dtype = float32} : float32[3]
              %3 = mul %1, %2 : float32[2, 4, 3]
              %4 = reshape %s {shape = [2, 1, 1]} : float32[2, 1, 1]
              %5 = mul %3, %4 : float32[2, 4, 3]
              %6 = matmul %q, %vq : int32[2, 4]
              %7 = cast %6 {dtype = float32} : float32[2, 4]
              %8 = mul %7, %vs : float32[2, 4]
              %9 = unsqueeze %s {axis = -1} : float32[2, 1]
              %10 = mul %8, %9 : float32[2, 4]
              %11 = matmul %vq, %wq : int32[2, 3]
              %12 = cast %11 {dtype = float32} : float32[2, 3]
              %13 = cast %ws {dtype = float32} : float32[3]
              %14 = mul %12, %13 : float32[2, 3]
              %15 = mul %14, %vs : float32[2, 3]
              %hq, %hs = quantize %h {scheme = int8(dynamic=true)} : int8[4, 5], float32[4]
              %16 = matmul %hq, %hq {transpose_b = true} : int32[4, 4]
              %17 = cast %16 {dtype = float32} : float32[4, 4]
              %18 = mul %17, %hs : float32[4, 4]
              %19 = unsqueeze %hs {axis = -1} : float32[4, 1]
              %20 = mul %18, %19 : float32[4, 4]
              %21 = cast %20 {dtype = float16} : float16[4, 4]
              %22 = matmul %vq, %vq : int32
              %23 = cast %22 {dtype = float64} : float64
              %24 = cast %vs {dtype = float64} : float64
              %25 = mul %23, %24 : float64
              %26 = cast %vs {dtype = float64} : float64
              %27 = mul %25, %26 : float64
              return %5, %10, %15, %21, %27
            }
        "#]],
    );
}

#[test]
fn convolutions_multiply_codes_of_samples() {
    check_near(
        PASSES,
        r#"func @f(%x: float32[2, 4, 6, 5], %w: float32[8, 2, 3, 3], %b: float32[8]) -> float32[2, 8, 3, 3] {
  %q, %s = quantize %x {scheme = int8(axis=0)} : int8[2, 4, 6, 5], float32[2]
  %a = dequantize %q, %s {scheme = int8(axis=0), dtype = float32} : float32[2, 4, 6, 5]
  %wq, %ws = quantize %w {scheme = int8(axis=0)} : int8[8, 2, 3, 3], float32[8]
  %v = dequantize %wq, %ws {scheme = int8(axis=0), dtype = float32} : float32[8, 2, 3, 3]
  %y = conv2d %a, %v, %b {stride = 2, padding = 1, dilation = 1, groups = 2} : float32[2, 8, 3, 3]
  return %y
}
"#,
        expect![[r#"
            func @f(%x: float32[2, 4, 6, 5], %w: float32[8, 2, 3, 3], %b: float32[8]) -> float32[2, 8, 3, 3] {
              %q, %s = quantize %x {scheme = int8(axis=0)} : int8[2, 4, 6, 5], float32[2]
              %wq, %ws = quantize %w {scheme = int8(axis=0)} : int8[8, 2, 3, 3], float32[8]
              %0 = conv2d %q, %wq {stride = 2, padding = 1, dilation = 1, groups = 2} : int32[2, 8, 3, 3]
              %1 = cast %0 {dtype = float32} : float32[2, 8, 3, 3]
              %2 = reshape %ws {shape = [8, 1, 1]} : float32[8, 1, 1]
              %3 = mul %1, %2 : float32[2, 8, 3, 3]
              %4 = reshape %s {shape = [2, 1, 1, 1]} : float32[2, 1, 1, 1]
              %5 = mul %3, %4 : float32[2, 8, 3, 3]
              %6 = reshape %b {shape = [8, 1, 1]} : float32[8, 1, 1]
              %y = add %5, %6 : float32[2, 8, 3, 3]
              return %y
            }
        "#]],
    );
}

/// Scales along what is summed over, groups, zero points, a sum that might not fit, sizes that are not known, one
/// factor only.
#[test]
fn other_products_stay() {
    let text = r#"func @f(%x: float32[4, 8], %w: float32[8, 4], %long: float32[1, 140000], %open: float32[4, n]) -> (float32[4, 4], float32[4, 4], float32[4, 4], float32[4, 4], float32[1, 1], float32[4, 4]) {
  symbols n: int
  %q, %s = quantize %x {scheme = int8(dynamic=true)} : int8[4, 8], float32[4]
  %a = dequantize %q, %s {scheme = int8(dynamic=true), dtype = float32} : float32[4, 8]
  %q1, %s1 = quantize %w {scheme = int8(axis=0)} : int8[8, 4], float32[8]
  %w1 = dequantize %q1, %s1 {scheme = int8(axis=0), dtype = float32} : float32[8, 4]
  %0 = matmul %a, %w1 : float32[4, 4]
  %q2, %s2 = quantize %w {scheme = int4(group=2)} : int4[8, 4], float32[8, 2]
  %w2 = dequantize %q2, %s2 {scheme = int4(group=2), dtype = float32} : float32[8, 4]
  %1 = matmul %a, %w2 : float32[4, 4]
  %q3, %s3, %z3 = quantize %w {scheme = int8(symmetric=false)} : int8[8, 4], float32, int8
  %w3 = dequantize %q3, %s3, %z3 {scheme = int8(symmetric=false), dtype = float32} : float32[8, 4]
  %2 = matmul %a, %w3 : float32[4, 4]
  %3 = matmul %a, %w : float32[4, 4]
  %q5, %s5 = quantize %long {scheme = int8()} : int8[1, 140000], float32
  %w5 = dequantize %q5, %s5 {scheme = int8(), dtype = float32} : float32[1, 140000]
  %4 = matmul %w5, %w5 {transpose_b = true} : float32[1, 1]
  %q6, %s6 = quantize %open {scheme = int8()} : int8[4, n], float32
  %w6 = dequantize %q6, %s6 {scheme = int8(), dtype = float32} : float32[4, n]
  %5 = matmul %w6, %w6 {transpose_b = true} : float32[4, 4]
  return %0, %1, %2, %3, %4, %5
}
"#;
    let before = module(text);
    assert_eq!(*optimised(&before, &["quantise-fusion"]), *before);
}

/// What one linear layer computes before and after, for numbers of unit size, very small, very large, zero.
#[test]
fn extremes_stay_within_the_tolerances() {
    let text = r#"func @f(%x: float32[9, 64], %w: float32[16, 64]) -> float32[9, 16] {
  %q, %s = quantize %x {scheme = int8(dynamic=true)} : int8[9, 64], float32[9]
  %a = dequantize %q, %s {scheme = int8(dynamic=true), dtype = float32} : float32[9, 64]
  %q1, %s1 = quantize %w {scheme = SCHEME} : CODES[16, 64], float32[16]
  %v = dequantize %q1, %s1 {scheme = SCHEME, dtype = float32} : float32[16, 64]
  %y = matmul %a, %v {transpose_b = true} : float32[9, 16]
  return %y
}
"#;
    let scaled = |seed: u64, shape: &[usize], by: f64| {
        let noise = eval("sin", &[random(seed, DType::Float32, shape)], Attrs::new());
        eval("mul", &[noise, Tensor::filled(DType::Float32, vec![], by)], Attrs::new())
    };
    for (scheme, codes) in [("int8(axis=0)", "int8"), ("int4(axis=0)", "int4"), ("ternary(axis=0)", "trit")] {
        let before = module(&text.replace("SCHEME", scheme).replace("CODES", codes));
        let after = optimised(&before, PASSES);
        assert!(*before != *after);
        for (seed, (x, w)) in
            [(1.0, 1.0), (1e37, 1e-3), (1e37, 1e-30), (1e-30, 1e-5), (1e-38, 1e3), (1e30, 1e5), (0.0, 1.0), (1.0, 0.0)]
                .into_iter()
                .enumerate()
        {
            let inputs = [scaled(seed as u64, &[9, 64], x), scaled(seed as u64 + 30, &[16, 64], w)];
            let run =
                |module| Machine::new(module, RunOptions::default()).run_with(None, FuncId(0), &[], &inputs).unwrap();
            assert_near(&run(&after), &run(&before));
        }
    }
}
