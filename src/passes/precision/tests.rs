//! IR text in, IR text out; both run, and agree as far as the low type goes.

use super::MixedPrecision;
use crate::ir::printer::print;
use crate::passes::testkit::{execute, module};
use crate::passes::{Pipeline, run};
use crate::types::DType;
use expect_test::{Expect, expect};
use std::sync::Arc;

fn check(low: DType, text: &str, wanted: Expect) {
    let before = module(text);
    let pipeline = Pipeline::of(vec![Arc::new(MixedPrecision(low))]);
    let (after, _) = run(before.clone(), &pipeline, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    wanted.assert_eq(&print(&after));
    let (have, want) = (execute(&after), execute(&before));
    let (rtol, atol) = if low == DType::Float16 { (2e-3, 1e-3) } else { (2e-2, 1e-2) };
    for (have, want) in have.0.iter().chain(&have.1).zip(want.0.iter().chain(&want.1)) {
        assert_eq!((have.dtype(), have.shape()), (want.dtype(), want.shape()));
        for (a, b) in have.to_f64().into_iter().zip(want.to_f64()) {
            assert!(a == b || (a - b).abs() <= atol + rtol * b.abs(), "{a} is not {b}");
        }
    }
}

#[test]
fn products_and_what_goes_with_them() {
    check(
        DType::BFloat16,
        r#"entry net = Net()

layer Net() {
  param weight : float32[2, 4] = normal(0.0, 1.0)
  param offset : float32[4] = ones()
  method @Net.forward
}

func @Net.forward(%x: float32[3, 2], %scale: float32[3, 4]) -> (float32[3, 4], float32[3], float32[3, 4]) {
  exported
  %w = param "weight" : float32[2, 4]
  %b = param "offset" : float32[4]
  %half = const float32 [0.5] : float32
  %y = matmul %x, %w : float32[3, 4]
  %z = add %y, %b : float32[3, 4]
  %h = mul %z, %half : float32[3, 4]
  %t = tanh %h : float32[3, 4]
  %s = sum %t {axis = 1, keepdim = false} : float32[3]
  %table = add %scale, %half : float32[3, 4]
  %u = mul %t, %table : float32[3, 4]
  return %u, %s, %table
}
"#,
        expect![[r#"
            entry net = Net()

            layer Net() {
              param weight : float32[2, 4] = normal(0.0, 1.0)
              param offset : float32[4] = ones()
              method @Net.forward
            }

            func @Net.forward(%x: float32[3, 2], %scale: float32[3, 4]) -> (float32[3, 4], float32[3], float32[3, 4]) {
              exported
              %w = param "weight" : float32[2, 4]
              %b = param "offset" : float32[4]
              %half = const float32 [0.5] : float32
              %0 = cast %x {dtype = bfloat16} : bfloat16[3, 2]
              %1 = cast %w {dtype = bfloat16} : bfloat16[2, 4]
              %y = matmul %0, %1 : bfloat16[3, 4]
              %2 = cast %b {dtype = bfloat16} : bfloat16[4]
              %z = add %y, %2 : bfloat16[3, 4]
              %3 = const bfloat16 [0.5] : bfloat16
              %h = mul %z, %3 : bfloat16[3, 4]
              %t = tanh %h : bfloat16[3, 4]
              %4 = cast %t {dtype = float32} : float32[3, 4]
              %s = sum %4 {axis = 1, keepdim = false} : float32[3]
              %table = add %scale, %half : float32[3, 4]
              %5 = cast %table {dtype = bfloat16} : bfloat16[3, 4]
              %u = mul %t, %5 : bfloat16[3, 4]
              %6 = cast %u {dtype = float32} : float32[3, 4]
              return %6, %s, %table
            }
        "#]],
    );
}

#[test]
fn literals_that_the_type_cannot_hold_stay() {
    let text = "func @f(%x: float32[2, 2]) -> (float32[2, 2], float32[2, 2], bool[2, 2]) {
  %tiny = const float32 [1e-12] : float32
  %mask = const float32 [-inf] : float32
  %y = matmul %x, %x : float32[2, 2]
  %a = abs %y : float32[2, 2]
  %m = maximum %a, %tiny : float32[2, 2]
  %n = maximum %a, %mask : float32[2, 2]
  %c = gt %n, %m : bool[2, 2]
  return %m, %n, %c
}
";
    check(
        DType::Float16,
        text,
        expect![[r#"
            func @f(%x: float32[2, 2]) -> (float32[2, 2], float32[2, 2], bool[2, 2]) {
              %tiny = const float32 [1e-12] : float32
              %mask = const float32 [-inf] : float32
              %0 = cast %x {dtype = float16} : float16[2, 2]
              %y = matmul %0, %0 : float16[2, 2]
              %a = abs %y : float16[2, 2]
              %1 = cast %a {dtype = float32} : float32[2, 2]
              %m = maximum %1, %tiny : float32[2, 2]
              %2 = const float16 [-inf] : float16
              %n = maximum %a, %2 : float16[2, 2]
              %3 = cast %n {dtype = float32} : float32[2, 2]
              %c = gt %3, %m : bool[2, 2]
              return %m, %3, %c
            }
        "#]],
    );
    // bfloat16 has the range of float32.
    check(
        DType::BFloat16,
        text,
        expect![[r#"
            func @f(%x: float32[2, 2]) -> (float32[2, 2], float32[2, 2], bool[2, 2]) {
              %tiny = const float32 [1e-12] : float32
              %mask = const float32 [-inf] : float32
              %0 = cast %x {dtype = bfloat16} : bfloat16[2, 2]
              %y = matmul %0, %0 : bfloat16[2, 2]
              %a = abs %y : bfloat16[2, 2]
              %1 = const bfloat16 [1.0018653e-12] : bfloat16
              %m = maximum %a, %1 : bfloat16[2, 2]
              %2 = const bfloat16 [-inf] : bfloat16
              %n = maximum %a, %2 : bfloat16[2, 2]
              %c = gt %n, %m : bool[2, 2]
              %3 = cast %m {dtype = float32} : float32[2, 2]
              %4 = cast %n {dtype = float32} : float32[2, 2]
              return %3, %4, %c
            }
        "#]],
    );
}

#[test]
fn functions_are_written_for_the_types_of_their_calls() {
    check(
        DType::BFloat16,
        r#"entry net = Net()

layer Net() {
  let a = Part()
  let b = Part()
  method @Net.forward
}

layer Part() {
  param weight : float32[2, 2] = normal(0.0, 1.0)
  method @Part.forward
}

func @Net.forward(%x: float32[2, 2]) -> (float32[2, 2], float32[2, 2]) {
  exported
  %p = call @Part.forward(%x) at self.a : float32[2, 2]
  %q = call @Part.forward(%p) at self.b : float32[2, 2]
  %r = call @twice(%x) {n = 2} : float32[2, 2]
  %s = call @twice(%q) {n = 2} : float32[2, 2]
  %t = call @softmax(%s) {n = 2} : float32[2, 2]
  %u = add %t, %t : float32[2, 2]
  return %u, %r
}

func @Part.forward(%x: float32[2, 2]) -> float32[2, 2] {
  %w = param "weight" : float32[2, 2]
  %y = matmul %x, %w : float32[2, 2]
  return %y
}

func @twice(%x: float32[2, n]) -> float32[2, n] {
  symbols n: int
  %0 = add %x, %x : float32[2, n]
  return %0
}

func @softmax(%x: float32[2, n]) -> float32[2, n] {
  symbols n: int
  std "activations.softmax"
  %0 = exp %x : float32[2, n]
  %1 = sum %0 {axis = 1, keepdim = true} : float32[2, 1]
  %2 = div %0, %1 : float32[2, n]
  return %2
}
"#,
        expect![[r#"
            entry net = Net()

            layer Net() {
              let a = Part()
              let b = Part()
              method @Net.forward
            }

            layer Part() {
              param weight : float32[2, 2] = normal(0.0, 1.0)
              method @Part.forward
            }

            func @Net.forward(%x: float32[2, 2]) -> (float32[2, 2], float32[2, 2]) {
              exported
              %0 = cast %x {dtype = bfloat16} : bfloat16[2, 2]
              %p = call @Part.forward(%0) at self.a : bfloat16[2, 2]
              %q = call @Part.forward(%p) at self.b : bfloat16[2, 2]
              %r = call @twice(%x) {n = 2} : float32[2, 2]
              %s = call @twice_2(%q) {n = 2} : bfloat16[2, 2]
              %1 = cast %s {dtype = float32} : float32[2, 2]
              %t = call @softmax(%1) {n = 2} : float32[2, 2]
              %2 = cast %t {dtype = bfloat16} : bfloat16[2, 2]
              %u = add %2, %2 : bfloat16[2, 2]
              %3 = cast %u {dtype = float32} : float32[2, 2]
              return %3, %r
            }

            func @Part.forward(%x: bfloat16[2, 2]) -> bfloat16[2, 2] {
              %w = param "weight" : float32[2, 2]
              %0 = cast %w {dtype = bfloat16} : bfloat16[2, 2]
              %y = matmul %x, %0 : bfloat16[2, 2]
              return %y
            }

            func @twice(%x: float32[2, n]) -> float32[2, n] {
              symbols n: int
              %0 = add %x, %x : float32[2, n]
              return %0
            }

            func @softmax(%x: float32[2, n]) -> float32[2, n] {
              symbols n: int
              std "activations.softmax"
              %0 = exp %x : float32[2, n]
              %1 = sum %0 {axis = 1, keepdim = true} : float32[2, 1]
              %2 = div %0, %1 : float32[2, n]
              return %2
            }

            func @twice_2(%x: bfloat16[2, n]) -> bfloat16[2, n] {
              source "twice"
              symbols n: int
              %0 = add %x, %x : bfloat16[2, n]
              return %0
            }
        "#]],
    );
}

#[test]
fn what_loops_carry_and_state_holds() {
    check(
        DType::Float16,
        r#"entry net = Net()

layer Net() {
  param weight : float32[2, 2] = normal(0.0, 0.5)
  state total : float32[2, 2] = zeros()
  method @Net.forward
}

func @Net.forward(%x: float32[2, 2], %c: bool) -> (float32[2, 2], float32[3, 2, 2]) {
  exported
  %w = param "weight" : float32[2, 2]
  %none = const int64 [0] : int64
  %three = host 3 : int64
  %h, %all = for i (%i: int64, %g: float32[2, 2]) in %none, %three, %x {
    %0 = matmul %g, %w : float32[2, 2]
    %1 = exp %0 : float32[2, 2]
    yield %0, %1
  } : float32[2, 2], float32[3, 2, 2]
  %old = param "total" : float32[2, 2]
  %new = add %old, %h : float32[2, 2]
  set_state "total" %new
  %y = if %c {
    yield %h
  } else {
    yield %x
  } : float32[2, 2]
  return %y, %all
}
"#,
        expect![[r#"
            entry net = Net()

            layer Net() {
              param weight : float32[2, 2] = normal(0.0, 0.5)
              state total : float32[2, 2] = zeros()
              method @Net.forward
            }

            func @Net.forward(%x: float32[2, 2], %c: bool) -> (float32[2, 2], float32[3, 2, 2]) {
              exported
              %w = param "weight" : float32[2, 2]
              %none = const int64 [0] : int64
              %three = host 3 : int64
              %0 = cast %x {dtype = float16} : float16[2, 2]
              %h, %all = for i (%i: int64, %g: float16[2, 2]) in %none, %three, %0 {
                %1 = cast %w {dtype = float16} : float16[2, 2]
                %2 = matmul %g, %1 : float16[2, 2]
                %3 = cast %2 {dtype = float32} : float32[2, 2]
                %4 = exp %3 : float32[2, 2]
                yield %2, %4
              } : float16[2, 2], float32[3, 2, 2]
              %old = param "total" : float32[2, 2]
              %5 = cast %h {dtype = float32} : float32[2, 2]
              %new = add %old, %5 : float32[2, 2]
              set_state "total" %new
              %y = if %c {
                yield %h
              } else {
                yield %0
              } : float16[2, 2]
              %6 = cast %y {dtype = float32} : float32[2, 2]
              return %6, %all
            }
        "#]],
    );
}

#[test]
fn codes_become_low_and_scales_stay() {
    check(
        DType::BFloat16,
        r#"entry net = Net()

layer Net() {
  param weight : float32[4, 2] quantize int8(axis=0) = normal(0.0, 1.0)
  method @Net.forward
}

func @Net.forward(%x: float32[3, 2]) -> float32[3, 4] {
  exported
  %q = param "weight" codes : int8[4, 2]
  %s = param "weight" scale : float32[4]
  %w = dequantize %q, %s {scheme = int8(axis=0), dtype = float32} : float32[4, 2]
  %t = permute %w {axes = (1, 0)} : float32[2, 4]
  %y = matmul %x, %t : float32[3, 4]
  return %y
}
"#,
        expect![[r#"
            entry net = Net()

            layer Net() {
              param weight : float32[4, 2] quantize int8(axis=0) = normal(0.0, 1.0)
              method @Net.forward
            }

            func @Net.forward(%x: float32[3, 2]) -> float32[3, 4] {
              exported
              %q = param "weight" codes : int8[4, 2]
              %s = param "weight" scale : float32[4]
              %w = dequantize %q, %s {scheme = int8(axis=0), dtype = bfloat16} : bfloat16[4, 2]
              %t = permute %w {axes = (1, 0)} : bfloat16[2, 4]
              %0 = cast %x {dtype = bfloat16} : bfloat16[3, 2]
              %y = matmul %0, %t : bfloat16[3, 4]
              %1 = cast %y {dtype = float32} : float32[3, 4]
              return %1
            }
        "#]],
    );
}
