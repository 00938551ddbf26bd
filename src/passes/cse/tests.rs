use crate::ir::printer::print;
use crate::passes::testkit::{check, module, optimised};
use expect_test::expect;

#[test]
fn cse_respects_regions_and_state() {
    check(
        &["cse"],
        r#"entry net = Net()

layer Net() {
  param weight : float32[2] = ones()
  state mean : float32[2] = ones()
  method @Net.forward
}

func @Net.forward(%x: float32[2], %c: bool) -> (float32[2], float32[2]) {
  %w = param "weight" : float32[2]
  %m = param "mean" : float32[2]
  %w2 = param "weight" : float32[2]
  %a = mul %x, %w : float32[2]
  %b = mul %x, %w2 : float32[2]
  %m2 = param "mean" : float32[2]
  %d = add %m2, %b : float32[2]
  set_state "mean" %d
  %m3 = param "mean" : float32[2]
  %t = call @tanh2(%x) {n = 2} : float32[2]
  %t2 = call @tanh2(%x) {n = 2} : float32[2]
  %e = if %c {
    %f = mul %x, %w : float32[2]
    %g = exp %f : float32[2]
    yield %g
  } else {
    %h = exp %x : float32[2]
    yield %h
  } : float32[2]
  %i = exp %x : float32[2]
  %zero = const int64 [0] : int64
  %two = const int64 [2] : int64
  %l = for k (%k: int64, %acc: float32[2]) in %zero, %two, %e {
    %m4 = param "mean" : float32[2]
    %n = add %m4, %acc : float32[2]
    set_state "mean" %n
    yield %n
  } : float32[2]
  %o = add %i, %a : float32[2]
  %p = add %t, %t2 : float32[2]
  %q = add %o, %p : float32[2]
  %r = add %q, %m3 : float32[2]
  return %l, %r
}

func @tanh2(%x: float32[n]) -> float32[n] {
  symbols n: int
  %0 = tanh %x : float32[n]
  %1 = tanh %0 : float32[n]
  return %1
}
"#,
        expect![[r#"
            entry net = Net()

            layer Net() {
              param weight : float32[2] = ones()
              state mean : float32[2] = ones()
              method @Net.forward
            }

            func @Net.forward(%x: float32[2], %c: bool) -> (float32[2], float32[2]) {
              %w = param "weight" : float32[2]
              %m = param "mean" : float32[2]
              %a = mul %x, %w : float32[2]
              %d = add %m, %a : float32[2]
              set_state "mean" %d
              %m3 = param "mean" : float32[2]
              %t = call @tanh2(%x) {n = 2} : float32[2]
              %e = if %c {
                %g = exp %a : float32[2]
                yield %g
              } else {
                %h = exp %x : float32[2]
                yield %h
              } : float32[2]
              %i = exp %x : float32[2]
              %zero = const int64 [0] : int64
              %two = const int64 [2] : int64
              %l = for k (%k: int64, %acc: float32[2]) in %zero, %two, %e {
                %m4 = param "mean" : float32[2]
                %n = add %m4, %acc : float32[2]
                set_state "mean" %n
                yield %n
              } : float32[2]
              %o = add %i, %a : float32[2]
              %p = add %t, %t : float32[2]
              %q = add %o, %p : float32[2]
              %r = add %q, %m3 : float32[2]
              return %l, %r
            }

            func @tanh2(%x: float32[n]) -> float32[n] {
              symbols n: int
              %0 = tanh %x : float32[n]
              %1 = tanh %0 : float32[n]
              return %1
            }
        "#]],
    );
}

#[test]
fn cse_tells_zero_from_minus_zero() {
    let text = "func @f() -> (float32, float32) {
  %0 = const float32 [0.0] : float32
  %1 = const float32 [-0.0] : float32
  return %0, %1
}
";
    assert_eq!(print(&optimised(&module(text), &["cse"])), text);
}
