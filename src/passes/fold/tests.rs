use crate::ir::InstKind;
use crate::ir::printer::print;
use crate::passes::testkit::{check, execute, module, optimised};
use expect_test::expect;

#[test]
fn fold_computes_constants() {
    check(
        &["fold", "dce"],
        "func @f(%x: float32[n], %s: int64) -> (float32[n], float32[2], int64, float32[2]) {
  symbols n: int
  %two = const float32 [2.0] : float32
  %three = host 3 : float32
  %six = mul %two, %three : float32
  %k = host n + 1 : int64
  %v = const float32[2] [1.0, 4.0] : float32[2]
  %r = sqrt %v : float32[2]
  %yes = gt %three, %two : bool
  %y = if %yes {
    %a = mul %x, %six : float32[n]
    yield %a
  } else {
    yield %x
  } : float32[n]
  %seed = const int64 [5] : int64
  %noise = random_normal %seed {shape = [2], mean = 0.0, std = 1.0, dtype = float32} : float32[2]
  %i = const int64[1] [9] : int64[1]
  return %y, %r, %k, %noise
}
",
        expect![[r#"
            func @f(%x: float32[n], %s: int64) -> (float32[n], float32[2], int64, float32[2]) {
              symbols n: int
              %six = const float32 [6.0] : float32
              %k = host n + 1 : int64
              %r = const float32[2] [1.0, 2.0] : float32[2]
              %a = mul %x, %six : float32[n]
              %seed = const int64 [5] : int64
              %noise = random_normal %seed {shape = [2], mean = 0.0, std = 1.0, dtype = float32} : float32[2]
              return %a, %r, %k, %noise
            }
        "#]],
    );
}

#[test]
fn constant_weights_become_codes_and_scales() {
    check(
        &["fold", "dce"],
        r#"entry net = Net(n = 3)

layer Table(n: int) {
  constant values : float32[2, 3] = @Table.make
  method @Table.forward
}

layer Net(n: int) {
  let table = Table(n = n)
  method @Net.forward
}

func @Net.forward(%x: float32[B, 3]) -> (float32[B, 2], float32[B, 2], float32[B, 2]) {
  symbols B: int
  %w = const float32[2, 3] [1.0, -2.0, 0.5, 0.25, 0.0, -1.0] : float32[2, 3]
  %q, %s = quantize %w {scheme = ternary(axis=0)} : trit[2, 3], float32[2]
  %0 = dequantize %q, %s {scheme = ternary(axis=0), dtype = float32} : float32[2, 3]
  %y = matmul %x, %0 {transpose_b = true} : float32[B, 2]
  %v = param "table.values" : float32[2, 3]
  %p, %r, %z = quantize %v {scheme = int8(symmetric=false)} : int8[2, 3], float32, int8
  %1 = dequantize %p, %r, %z {scheme = int8(symmetric=false), dtype = float32} : float32[2, 3]
  %u = matmul %x, %1 {transpose_b = true} : float32[B, 2]
  %t = matmul %x, %v {transpose_b = true} : float32[B, 2]
  %qx, %sx = quantize %x {scheme = int8(dynamic=true)} : int8[B, 3], float32[B]
  %c = matmul %qx, %q {transpose_b = true} : int32[B, 2]
  return %y, %u, %t
}

func @Table.make() -> float32[2, 3] {
  %0 = const float32[2, 3] [1.0, 2.0, 3.0, 4.0, 5.0, 6.0] : float32[2, 3]
  %1 = neg %0 : float32[2, 3]
  return %1
}

func @Table.forward() -> float32[2, 3] {
  %0 = param "values" : float32[2, 3]
  %1 = neg %0 : float32[2, 3]
  return %1
}
"#,
        expect![[r#"
            entry net = Net(n = 3)

            layer Table(n: int) {
              constant values : float32[2, 3] = @Table.make
            }

            layer Net(n: int) {
              let table = Table(n = n)
              method @Net.forward
            }

            func @Net.forward(%x: float32[B, 3]) -> (float32[B, 2], float32[B, 2], float32[B, 2]) {
              symbols B: int
              %q = const trit[2, 3] [1, -1, 0, 1, 0, -1] : trit[2, 3]
              %s = const float32[2] [1.1666666, 0.41666666] : float32[2]
              %0 = dequantize %q, %s {scheme = ternary(axis=0), dtype = float32} : float32[2, 3]
              %y = matmul %x, %0 {transpose_b = true} : float32[B, 2]
              %v = param "table.values" : float32[2, 3]
              %p = const int8[2, 3] [85, 42, -1, -43, -85, -128] : int8[2, 3]
              %r = const float32 [0.023529412] : float32
              %z = const int8 [127] : int8
              %1 = dequantize %p, %r, %z {scheme = int8(symmetric=false), dtype = float32} : float32[2, 3]
              %u = matmul %x, %1 {transpose_b = true} : float32[B, 2]
              %t = matmul %x, %v {transpose_b = true} : float32[B, 2]
              return %y, %u, %t
            }

            func @Table.make() -> float32[2, 3] {
              %0 = const float32[2, 3] [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0] : float32[2, 3]
              return %0
            }
        "#]],
    );
}

#[test]
fn large_constants_are_quantised_but_do_not_grow() {
    let text = "func @f() -> (int8[300, 300], float32, float32[2, 300, 300]) {
  %w = const float32[300, 300] splat 0.5 : float32[300, 300]
  %q, %s = quantize %w {scheme = int8()} : int8[300, 300], float32
  %y = stack %w, %w {axis = 0} : float32[2, 300, 300]
  return %q, %s, %y
}
";
    let after = optimised(&module(text), &["fold"]);
    let kinds: Vec<bool> = after.functions[0]
        .body
        .insts
        .iter()
        .map(|id| matches!(after.functions[0][*id].kind, InstKind::Const(_)))
        .collect();
    assert_eq!(kinds, [true, true, true, false, false]);
    assert_eq!(execute(&after), execute(&module(text)));
}

#[test]
fn fold_leaves_failures_to_the_run() {
    let text = "func @f() -> float32[1] {
  %v = const float32[2] [1.0, 4.0] : float32[2]
  %i = const int64[1] [9] : int64[1]
  %0 = take %v, %i {axis = 0} : float32[1]
  return %0
}
";
    let after = optimised(&module(text), &["fold", "cse", "dce"]);
    assert_eq!(print(&after), text);
}
