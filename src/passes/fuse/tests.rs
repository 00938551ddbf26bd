//! What goes together, and what stays apart.

use crate::ir::printer::print;
use crate::ir::{InstKind, Verified};
use crate::passes::testkit::{check, execute, module, optimised};
use expect_test::expect;
use std::fmt::Write;

/// A quantised weight is decoded and turned within the product; scale, bias, activation and residual follow it.
#[test]
fn a_product_with_its_prologue_and_epilogue() {
    check(
        &["fuse"],
        "func @f(%x: float32[n, 4], %codes: int8[2, 4], %scale: float32, %bias: float32[2], %r: float32[n, 2]) -> float32[n, 2] {
  symbols n: int
  %w = dequantize %codes, %scale {scheme = int8(), dtype = float32} : float32[2, 4]
  %wt = permute %w {axes = (1, 0)} : float32[4, 2]
  %y = matmul %x, %wt {transpose_a = false, transpose_b = false} : float32[n, 2]
  %b = broadcast_to %bias {shape = [n, 2]} : float32[n, 2]
  %1 = add %y, %b : float32[n, 2]
  %zero = const float32 [0.0] : float32
  %2 = maximum %1, %zero : float32[n, 2]
  %out = add %r, %2 : float32[n, 2]
  return %out
}
",
        expect![[r#"
            func @f(%x: float32[n, 4], %codes: int8[2, 4], %scale: float32, %bias: float32[2], %r: float32[n, 2]) -> float32[n, 2] {
              symbols n: int
              %out = fused (%codes.1: int8[2, 4], %scale.1: float32, %x.1: float32[n, 4], %bias.1: float32[2], %r.1: float32[n, 2]) in %codes, %scale, %x, %bias, %r {
                %w = dequantize %codes.1, %scale.1 {scheme = int8(), dtype = float32} : float32[2, 4]
                %wt = permute %w {axes = (1, 0)} : float32[4, 2]
                %y = matmul %x.1, %wt {transpose_a = false, transpose_b = false} : float32[n, 2]
                %b = broadcast_to %bias.1 {shape = [n, 2]} : float32[n, 2]
                %0 = add %y, %b : float32[n, 2]
                %zero = const float32 [0.0] : float32
                %1 = maximum %0, %zero : float32[n, 2]
                %2 = add %r.1, %1 : float32[n, 2]
                yield %2
              } : float32[n, 2]
              return %out
            }
        "#]],
    );
}

/// One anchor each: the second reduction has a kernel of its own, and a product takes no reduction with it.
#[test]
fn one_anchor_in_a_kernel() {
    check(
        &["fuse"],
        "func @softmax(%x: float32[n, 4], %w: float32[4, 2]) -> float32[n, 2] {
  symbols n: int
  %m = max %x {axis = 1, keepdim = true} : float32[n, 1]
  %d = sub %x, %m : float32[n, 4]
  %e = exp %d : float32[n, 4]
  %s = sum %e {axis = 1, keepdim = true} : float32[n, 1]
  %half = const float32 [0.5] : float32
  %h = mul %s, %half : float32[n, 1]
  %p = div %e, %h : float32[n, 4]
  %y = matmul %p, %w {transpose_a = false, transpose_b = false} : float32[n, 2]
  return %y
}
",
        expect![[r#"
            func @softmax(%x: float32[n, 4], %w: float32[4, 2]) -> float32[n, 2] {
              symbols n: int
              %m = max %x {axis = 1, keepdim = true} : float32[n, 1]
              %e, %h = fused (%x.1: float32[n, 4], %m.1: float32[n, 1]) in %x, %m {
                %d = sub %x.1, %m.1 : float32[n, 4]
                %0 = exp %d : float32[n, 4]
                %s = sum %0 {axis = 1, keepdim = true} : float32[n, 1]
                %half = const float32 [0.5] : float32
                %1 = mul %s, %half : float32[n, 1]
                yield %0, %1
              } : float32[n, 4], float32[n, 1]
              %p = div %e, %h : float32[n, 4]
              %y = matmul %p, %w {transpose_a = false, transpose_b = false} : float32[n, 2]
              return %y
            }
        "#]],
    );
}

/// The sum depends on the exponential through the product, which is in no kernel of theirs: together they would need it
/// before it is there.
#[test]
fn no_kernel_waits_for_itself() {
    check(
        &["fuse"],
        "func @f(%x: float32[2, 2]) -> (float32[2, 2], float32[2, 2]) {
  %e = exp %x : float32[2, 2]
  %n = neg %e : float32[2, 2]
  %y, %at = topk %n {k = 2, axis = 0, largest = true} : float32[2, 2], int64[2, 2]
  %s = add %y, %n : float32[2, 2]
  %t = exp %s : float32[2, 2]
  return %t, %e
}
",
        expect![[r#"
            func @f(%x: float32[2, 2]) -> (float32[2, 2], float32[2, 2]) {
              %e, %n = fused (%x.1: float32[2, 2]) in %x {
                %0 = exp %x.1 : float32[2, 2]
                %1 = neg %0 : float32[2, 2]
                yield %0, %1
              } : float32[2, 2], float32[2, 2]
              %y, %at = topk %n {k = 2, axis = 0, largest = true} : float32[2, 2], int64[2, 2]
              %t = fused (%y.1: float32[2, 2], %n.1: float32[2, 2]) in %y, %n {
                %s = add %y.1, %n.1 : float32[2, 2]
                %2 = exp %s : float32[2, 2]
                yield %2
              } : float32[2, 2]
              return %t, %e
            }
        "#]],
    );
}

/// Nothing goes past an assignment or an assertion; a seed is in nobody's way.
#[test]
fn effects_are_borders() {
    check(
        &["fuse"],
        "entry net = Net(n = 2)

layer Net(n: int) {
  state mean : float32[n] = zeros()
  method @Net.forward
}

func @Net.forward(%x: float32[n], %c: bool) -> float32[n] {
  %a = exp %x : float32[n]
  %seed = rng 0 : int64
  %r = random_uniform %seed {shape = [n], low = 0.0, high = 1.0, dtype = float32} : float32[n]
  %b = mul %a, %r : float32[n]
  set_state \"mean\" %b
  %m = param \"mean\" : float32[n]
  %d = add %b, %m : float32[n]
  %e = neg %d : float32[n]
  assert \"holds\" %c
  %g = abs %e : float32[n]
  return %g
}
",
        expect![[r#"
            entry net = Net(n = 2)

            layer Net(n: int) {
              state mean : float32[n] = zeros()
              method @Net.forward
            }

            func @Net.forward(%x: float32[n], %c: bool) -> float32[n] {
              %seed = rng 0 : int64
              %b = fused (%x.1: float32[n], %seed.1: int64) in %x, %seed {
                %a = exp %x.1 : float32[n]
                %r = random_uniform %seed.1 {shape = [n], low = 0.0, high = 1.0, dtype = float32} : float32[n]
                %0 = mul %a, %r : float32[n]
                yield %0
              } : float32[n]
              set_state "mean" %b
              %m = param "mean" : float32[n]
              %e = fused (%b.1: float32[n], %m.1: float32[n]) in %b, %m {
                %d = add %b.1, %m.1 : float32[n]
                %1 = neg %d : float32[n]
                yield %1
              } : float32[n]
              assert "holds" %c
              %g = abs %e : float32[n]
              return %g
            }
        "#]],
    );
}

/// Free values are copied to each user; what others use, too, is one more result; views of such are left.
#[test]
fn values_with_several_users() {
    check(
        &["fuse"],
        "func @f(%x: float32[2, 3], %s: float32) -> (float32[2, 3], float32[3, 2], float32[2, 3], float32[2, 3]) {
  %two = const float32 [2.0] : float32
  %wide = broadcast_to %s {shape = [2, 3]} : float32[2, 3]
  %a = mul %x, %two : float32[2, 3]
  %b = add %a, %wide : float32[2, 3]
  %t = permute %b {axes = (1, 0)} : float32[3, 2]
  %u = permute %b {axes = (1, 0)} : float32[3, 2]
  %c = mul %u, %two : float32[3, 2]
  %d = exp %c : float32[3, 2]
  %g = sum %b {axis = (0, 1), keepdim = false} : float32
  %h = add %g, %two : float32
  %k = broadcast_to %h {shape = [2, 3]} : float32[2, 3]
  return %b, %d, %wide, %k
}
",
        expect![[r#"
            func @f(%x: float32[2, 3], %s: float32) -> (float32[2, 3], float32[3, 2], float32[2, 3], float32[2, 3]) {
              %wide = broadcast_to %s {shape = [2, 3]} : float32[2, 3]
              %b, %h = fused (%x.1: float32[2, 3], %s.1: float32) in %x, %s {
                %two = const float32 [2.0] : float32
                %a = mul %x.1, %two : float32[2, 3]
                %wide.1 = broadcast_to %s.1 {shape = [2, 3]} : float32[2, 3]
                %0 = add %a, %wide.1 : float32[2, 3]
                %g = sum %0 {axis = (0, 1), keepdim = false} : float32
                %1 = add %g, %two : float32
                yield %0, %1
              } : float32[2, 3], float32
              %d = fused (%b.1: float32[2, 3]) in %b {
                %u = permute %b.1 {axes = (1, 0)} : float32[3, 2]
                %two.1 = const float32 [2.0] : float32
                %c = mul %u, %two.1 : float32[3, 2]
                %2 = exp %c : float32[3, 2]
                yield %2
              } : float32[3, 2]
              %k = broadcast_to %h {shape = [2, 3]} : float32[2, 3]
              return %b, %d, %wide, %k
            }
        "#]],
    );
}

/// The square is computed where its mean is; as one more result of the product it would go through memory.
#[test]
fn what_a_reduction_takes_stays_with_it() {
    check(
        &["fuse"],
        "func @f(%x: float32[2, 3], %w: float32[3, 4], %r: float32[2, 4]) -> (float32[2, 4], float32[2, 1]) {
  %p = matmul %x, %w {transpose_a = false, transpose_b = false} : float32[2, 4]
  %y = add %p, %r : float32[2, 4]
  %s = mul %y, %y : float32[2, 4]
  %m = mean %s {axis = 1, keepdim = true} : float32[2, 1]
  return %y, %m
}
",
        expect![[r#"
            func @f(%x: float32[2, 3], %w: float32[3, 4], %r: float32[2, 4]) -> (float32[2, 4], float32[2, 1]) {
              %y = fused (%x.1: float32[2, 3], %w.1: float32[3, 4], %r.1: float32[2, 4]) in %x, %w, %r {
                %p = matmul %x.1, %w.1 {transpose_a = false, transpose_b = false} : float32[2, 4]
                %0 = add %p, %r.1 : float32[2, 4]
                yield %0
              } : float32[2, 4]
              %m = fused (%y.1: float32[2, 4]) in %y {
                %s = mul %y.1, %y.1 : float32[2, 4]
                %1 = mean %s {axis = 1, keepdim = true} : float32[2, 1]
                yield %1
              } : float32[2, 1]
              return %y, %m
            }
        "#]],
    );
}

/// Two products and a lookup read the codes; nothing restores the weight as a whole.
#[test]
fn a_weight_of_codes_with_several_users() {
    check(
        &["fuse"],
        r#"entry l = L()

layer L() {
  param weight : float32[4, 4] quantize ternary(axis=0) = ones()
  method @L.forward
}

func @L.forward(%x: float32[2, 4], %i: int64[3]) -> (float32[2, 4], float32[3, 4]) {
  exported
  %0 = param "weight" codes : trit[4, 4]
  %1 = param "weight" scale : float32[4]
  %w = dequantize %0, %1 {scheme = ternary(axis=0), dtype = float32} : float32[4, 4]
  %y = matmul %x, %w {transpose_a = false, transpose_b = true} : float32[2, 4]
  %z = matmul %y, %w {transpose_a = false, transpose_b = true} : float32[2, 4]
  %r = take %w, %i {axis = 0} : float32[3, 4]
  return %z, %r
}
"#,
        expect![[r#"
            entry l = L()

            layer L() {
              param weight : float32[4, 4] quantize ternary(axis=0) = ones()
              method @L.forward
            }

            func @L.forward(%x: float32[2, 4], %i: int64[3]) -> (float32[2, 4], float32[3, 4]) {
              exported
              %0 = param "weight" codes : trit[4, 4]
              %1 = param "weight" scale : float32[4]
              %y = fused (%x.1: float32[2, 4], %2: trit[4, 4], %3: float32[4]) in %x, %0, %1 {
                %w = dequantize %2, %3 {scheme = ternary(axis=0), dtype = float32} : float32[4, 4]
                %4 = matmul %x.1, %w {transpose_a = false, transpose_b = true} : float32[2, 4]
                yield %4
              } : float32[2, 4]
              %z = fused (%y.1: float32[2, 4], %5: trit[4, 4], %6: float32[4]) in %y, %0, %1 {
                %w.1 = dequantize %5, %6 {scheme = ternary(axis=0), dtype = float32} : float32[4, 4]
                %7 = matmul %y.1, %w.1 {transpose_a = false, transpose_b = true} : float32[2, 4]
                yield %7
              } : float32[2, 4]
              %r = fused (%8: trit[4, 4], %9: float32[4], %i.1: int64[3]) in %0, %1, %i {
                %w.2 = dequantize %8, %9 {scheme = ternary(axis=0), dtype = float32} : float32[4, 4]
                %10 = take %w.2, %i.1 {axis = 0} : float32[3, 4]
                yield %10
              } : float32[3, 4]
              return %z, %r
            }
        "#]],
    );
}

#[test]
fn regions_are_fused_within() {
    check(
        &["fuse"],
        "func @f(%x: float32[n]) -> float32[n] {
  symbols n: int
  %start = const int64 [0] : int64
  %stop = const int64 [3] : int64
  %scale = const float32 [0.5] : float32
  %y = for i (%i: int64, %acc: float32[n]) in %start, %stop, %x {
    %k = host (i) * (2.0) : float32
    %a = mul %acc, %k : float32[n]
    %b = mul %a, %scale : float32[n]
    yield %b
  } : float32[n]
  return %y
}
",
        expect![[r#"
            func @f(%x: float32[n]) -> float32[n] {
              symbols n: int
              %start = const int64 [0] : int64
              %stop = const int64 [3] : int64
              %y = for i (%i: int64, %acc: float32[n]) in %start, %stop, %x {
                %b = fused (%acc.1: float32[n]) in %acc {
                  %k = host (i) * (2.0) : float32
                  %a = mul %acc.1, %k : float32[n]
                  %scale = const float32 [0.5] : float32
                  %0 = mul %a, %scale : float32[n]
                  yield %0
                } : float32[n]
                yield %b
              } : float32[n]
              return %y
            }
        "#]],
    );
}

#[test]
fn a_second_time_changes_nothing() {
    let text = "func @f(%x: float32[2, 2]) -> (float32[2, 2], float32[2]) {
  %e = exp %x : float32[2, 2]
  %n = neg %e : float32[2, 2]
  %s = sum %n {axis = 0, keepdim = false} : float32[2]
  %t = permute %x {axes = (1, 0)} : float32[2, 2]
  %u = reshape %t {shape = [2, 2]} : float32[2, 2]
  return %u, %s
}
";
    let once = optimised(&module(text), &["fuse"]);
    assert_eq!(kernels(&once), 1, "views alone are none");
    assert_eq!(print(&optimised(&once, &["fuse"])), print(&once));
    assert_eq!(print(&optimised(&once, &["unfuse"])), text);
}

fn kernels(module: &Verified) -> usize {
    let insts = module.functions.iter().flat_map(|function| &function.insts);
    insts.filter(|inst| matches!(inst.kind, InstKind::Fused { .. })).count()
}

/// A reproducible stream of small numbers.
struct Stream(u64);

impl Stream {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// A program of random operations on matrices, columns and scalars, with effects and a branch now and then.
fn random_program(seed: u64, length: usize) -> String {
    let mut stream = Stream(seed);
    let mut text = "func @f(%x0: float32[3, 3], %x1: float32[3, 3], %c: bool) -> (float32[3, 3], float32[3, 1]) {\n\
                    \x20 %two = const float32 [2.0] : float32\n"
        .to_string();
    let (mut wide, mut narrow) = (vec!["x0".to_string(), "x1".to_string()], vec![]);
    for at in 0..length {
        let near = wide.len().min(6);
        let first = wide[wide.len() - 1 - stream.below(near)].clone();
        let second = wide[wide.len() - 1 - stream.below(near)].clone();
        let column = narrow.last().cloned();
        let (operation, is_wide) = match (stream.below(13), column) {
            (0, _) => (format!("permute %{first} {{axes = (1, 0)}}"), true),
            (1, _) => (format!("matmul %{first}, %{second} {{transpose_a = false, transpose_b = false}}"), true),
            (2, _) => (format!("sum %{first} {{axis = 1, keepdim = true}}"), false),
            (3, Some(column)) => (format!("broadcast_to %{column} {{shape = [3, 3]}}"), true),
            (4, Some(column)) => (format!("sub %{first}, %{column}"), true),
            (5, Some(column)) => (format!("tanh %{column}"), false),
            (6, _) => (format!("cumsum %{first} {{axis = 0}}"), true),
            (7, _) => (format!("mul %{first}, %two"), true),
            (8, _) => {
                let _ = writeln!(text, "  print \"at\", %{first}");
                continue;
            }
            (9, _) => (
                format!(
                    "if %c {{\n    %i{at} = neg %{first} : float32[3, 3]\n    %j{at} = mul %i{at}, %{second} : float32[3, 3]\n    yield %j{at}\n  }} else {{\n    yield %{first}\n  }}"
                ),
                true,
            ),
            (10, _) => (
                format!(
                    "concat %{first}, %{second} {{axis = 0}} : float32[6, 3]\n  %k{at} = slice %v{at} {{axis = 0, start = 1, stop = 4, step = 1}}"
                ),
                true,
            ),
            (11, _) => (format!("tanh %{first}"), true),
            _ => (format!("add %{first}, %{second}"), true),
        };
        let is_cut = operation.starts_with("concat");
        let _ = writeln!(text, "  %v{at} = {operation} : float32[3, {}]", if is_wide { 3 } else { 1 });
        let name = format!("{}{at}", if is_cut { "k" } else { "v" });
        if is_wide { wide.push(name) } else { narrow.push(name) }
    }
    let column = narrow.last().cloned().unwrap_or_else(|| "v".into());
    if narrow.is_empty() {
        let _ = writeln!(text, "  %v = sum %x0 {{axis = 1, keepdim = true}} : float32[3, 1]");
    }
    let _ = write!(text, "  return %{}, %{column}\n}}\n", wide[wide.len() - 1]);
    text
}

/// The verifier accepts what comes out, and it computes the same: also where groups are too many for one segment.
#[test]
fn random_programs_stay_the_same() {
    let mut fused = 0;
    for seed in 0..200 {
        let length = if seed % 50 == 0 { 1200 } else { 10 + seed as usize % 60 };
        let before = module(&random_program(seed, length));
        let after = optimised(&before, &["fuse"]);
        assert_eq!(bits(&before), bits(&after), "{}", print(&before));
        fused += kernels(&after);
    }
    assert!(fused > 1000, "{fused}");
}

fn bits(module: &Verified) -> (Vec<Vec<u64>>, String) {
    let (results, _, printed) = execute(module);
    (results.iter().map(|tensor| tensor.to_f64().into_iter().map(f64::to_bits).collect()).collect(), printed)
}
