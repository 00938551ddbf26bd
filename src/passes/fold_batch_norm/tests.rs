//! IR text in, IR text out; both run, and agree within the tolerance of float32.

use crate::ir::printer::print;
use crate::passes::testkit::{execute, module, optimised};
use expect_test::{Expect, expect};

fn check(text: &str, wanted: Expect) {
    check_within(1e-4, 1e-5, text, wanted);
}

fn check_within(rtol: f64, atol: f64, text: &str, wanted: Expect) {
    let before = module(text);
    let after = optimised(&before, &["fold-batch-norm", "dce"]);
    wanted.assert_eq(&print(&after));
    let (have, want) = (execute(&after), execute(&before));
    assert_eq!(have.0.len(), want.0.len());
    for (have, want) in have.0.iter().zip(&want.0) {
        assert_eq!((have.dtype(), have.shape()), (want.dtype(), want.shape()));
        for (a, b) in have.to_f64().into_iter().zip(want.to_f64()) {
            assert!((a - b).abs() <= atol + rtol * b.abs(), "{a} is not {b}");
        }
    }
}

#[test]
fn a_convolution_and_its_norm() {
    check(
        r#"entry net = Net(width = 3)

layer Net(width: int) {
  let conv = Conv(width = width)
  let norm = Norm(width = width)
  method @Net.forward
}

layer Conv(width: int) {
  param weight : float32[width, 2, 3, 3] = normal(0.0, 1.0)
  param offset : float32[width] = normal(0.0, 1.0)
}

layer Norm(width: int) {
  param weight : float32[width] = normal(0.0, 1.0)
  param bias : float32[width] = normal(0.0, 1.0)
  state running_mean : float32[width] = normal(0.0, 1.0)
  state running_var : float32[width] = uniform(0.5, 2.0)
}

func @Net.forward(%x: float32[B, 2, H, 5]) -> float32[B, width, H, 5] {
  symbols B: int, H: int
  exported
  %w = param "conv.weight" : float32[width, 2, 3, 3]
  %b = param "conv.offset" : float32[width]
  %y = conv2d %x, %w, %b {stride = 1, padding = 1, dilation = 1, groups = 1} : float32[B, width, H, 5]
  %flat = reshape %y {shape = [B, width, -1]} : float32[B, width, 5 * H]
  %mean = param "norm.running_mean" : float32[width]
  %0 = unsqueeze %mean {axis = 1} : float32[width, 1]
  %1 = sub %flat, %0 : float32[B, width, 5 * H]
  %variance = param "norm.running_var" : float32[width]
  %eps = const float32 [1e-5] : float32
  %2 = add %variance, %eps : float32[width]
  %3 = rsqrt %2 : float32[width]
  %4 = unsqueeze %3 {axis = 1} : float32[width, 1]
  %5 = mul %1, %4 : float32[B, width, 5 * H]
  %6 = param "norm.weight" : float32[width]
  %7 = unsqueeze %6 {axis = 1} : float32[width, 1]
  %8 = mul %5, %7 : float32[B, width, 5 * H]
  %9 = param "norm.bias" : float32[width]
  %10 = unsqueeze %9 {axis = 1} : float32[width, 1]
  %11 = add %8, %10 : float32[B, width, 5 * H]
  %12 = reshape %11 {shape = [B, width, H, 5]} : float32[B, width, H, 5]
  %13 = tanh %12 : float32[B, width, H, 5]
  return %13
}
"#,
        expect![[r#"
            entry net = Net(width = 3)

            layer Net(width: int) {
              let conv = Conv(width = width)
              let norm = Norm(width = width)
              method @Net.forward
            }

            layer Conv(width: int) {
              param weight : float32[width, 2, 3, 3] = normal(0.0, 1.0)
              param offset : float32[width] = normal(0.0, 1.0)
            }

            layer Norm(width: int) {
              param weight : float32[width] = normal(0.0, 1.0)
              param bias : float32[width] = normal(0.0, 1.0)
              state running_mean : float32[width] = normal(0.0, 1.0)
              state running_var : float32[width] = uniform(0.5, 2.0)
            }

            func @Net.forward(%x: float32[B, 2, H, 5]) -> float32[B, width, H, 5] {
              symbols B: int, H: int
              exported
              %w = param "conv.weight" : float32[width, 2, 3, 3]
              %b = param "conv.offset" : float32[width]
              %mean = param "norm.running_mean" : float32[width]
              %0 = unsqueeze %mean {axis = 1} : float32[width, 1]
              %variance = param "norm.running_var" : float32[width]
              %eps = const float32 [1e-5] : float32
              %1 = add %variance, %eps : float32[width]
              %2 = rsqrt %1 : float32[width]
              %3 = unsqueeze %2 {axis = 1} : float32[width, 1]
              %4 = param "norm.weight" : float32[width]
              %5 = unsqueeze %4 {axis = 1} : float32[width, 1]
              %6 = param "norm.bias" : float32[width]
              %7 = unsqueeze %6 {axis = 1} : float32[width, 1]
              %8 = reshape %0 {shape = [width]} : float32[width]
              %9 = neg %8 : float32[width]
              %10 = reshape %3 {shape = [width]} : float32[width]
              %11 = mul %9, %10 : float32[width]
              %12 = reshape %5 {shape = [width]} : float32[width]
              %13 = mul %11, %12 : float32[width]
              %14 = mul %10, %12 : float32[width]
              %15 = reshape %7 {shape = [width]} : float32[width]
              %16 = add %13, %15 : float32[width]
              %17 = mul %b, %14 : float32[width]
              %18 = add %17, %16 : float32[width]
              %19 = reshape %14 {shape = [width, 1, 1, 1]} : float32[width, 1, 1, 1]
              %20 = mul %w, %19 : float32[width, 2, 3, 3]
              %21 = conv2d %x, %20, %18 {stride = 1, padding = 1, dilation = 1, groups = 1} : float32[B, width, H, 5]
              %22 = reshape %21 {shape = [B, width, -1]} : float32[B, width, 5 * H]
              %23 = reshape %22 {shape = [B, width, H, 5]} : float32[B, width, H, 5]
              %24 = tanh %23 : float32[B, width, H, 5]
              return %24
            }
        "#]],
    );
}

#[test]
fn matrix_products_and_transposed_convolutions() {
    check(
        r#"entry net = Net()

layer Net() {
  param weight : float32[4, 3] = normal(0.0, 1.0)
  param offset : float32[4] = normal(0.0, 1.0)
  buffer scale : float32[4] = uniform(0.5, 2.0)
  param up : float32[4, 5, 2] = normal(0.0, 1.0)
  method @Net.forward
}

func @Net.forward(%x: float32[B, T, 3]) -> (float32[B, 4, T], float32[B, 5, 2 * T]) {
  symbols B: int, T: int
  exported
  %w = param "weight" : float32[4, 3]
  %0 = permute %w {axes = (1, 0)} : float32[3, 4]
  %y = matmul %x, %0 : float32[B, T, 4]
  %b = param "offset" : float32[4]
  %z = add %y, %b : float32[B, T, 4]
  %1 = transpose %z {axis0 = 1, axis1 = 2} : float32[B, 4, T]
  %s = param "scale" : float32[4]
  %2 = unsqueeze %s {axis = 1} : float32[4, 1]
  %3 = div %1, %2 : float32[B, 4, T]
  %one = const float32 [1.0] : float32
  %4 = sub %one, %3 : float32[B, 4, T]
  %up = param "up" : float32[4, 5, 2]
  %5 = conv_transpose1d %4, %up {stride = 2, padding = 0, output_padding = 0, dilation = 1, groups = 1} : float32[B, 5, 2 * T]
  %6 = neg %5 : float32[B, 5, 2 * T]
  %half = const float32 [0.5] : float32
  %7 = mul %6, %half : float32[B, 5, 2 * T]
  %8 = sub %7, %half : float32[B, 5, 2 * T]
  return %4, %8
}
"#,
        expect![[r#"
            entry net = Net()

            layer Net() {
              param weight : float32[4, 3] = normal(0.0, 1.0)
              param offset : float32[4] = normal(0.0, 1.0)
              buffer scale : float32[4] = uniform(0.5, 2.0)
              param up : float32[4, 5, 2] = normal(0.0, 1.0)
              method @Net.forward
            }

            func @Net.forward(%x: float32[B, T, 3]) -> (float32[B, 4, T], float32[B, 5, 2 * T]) {
              symbols B: int, T: int
              exported
              %w = param "weight" : float32[4, 3]
              %0 = permute %w {axes = (1, 0)} : float32[3, 4]
              %b = param "offset" : float32[4]
              %s = param "scale" : float32[4]
              %1 = unsqueeze %s {axis = 1} : float32[4, 1]
              %one = const float32 [1.0] : float32
              %2 = reshape %1 {shape = [4]} : float32[4]
              %3 = div %b, %2 : float32[4]
              %4 = const float32 [1.0] : float32
              %5 = div %4, %2 : float32[4]
              %6 = neg %3 : float32[4]
              %7 = neg %5 : float32[4]
              %8 = add %6, %one : float32[4]
              %9 = reshape %7 {shape = [1, 4]} : float32[1, 4]
              %10 = mul %0, %9 : float32[3, 4]
              %11 = matmul %x, %10 : float32[B, T, 4]
              %12 = add %11, %8 : float32[B, T, 4]
              %13 = transpose %12 {axis0 = 1, axis1 = 2} : float32[B, 4, T]
              %up = param "up" : float32[4, 5, 2]
              %half = const float32 [0.5] : float32
              %14 = const float32 [-1.0] : float32
              %15 = mul %14, %half : float32
              %16 = neg %half : float32
              %17 = broadcast_to %16 {shape = [5]} : float32[5]
              %18 = mul %up, %15 : float32[4, 5, 2]
              %19 = conv_transpose1d %13, %18, %17 {stride = 2, padding = 0, output_padding = 0, dilation = 1, groups = 1} : float32[B, 5, 2 * T]
              return %13, %19
            }
        "#]],
    );
}

#[test]
fn codes_stay_and_their_scales_are_multiplied() {
    let net = |scheme: &str, scales: &str| {
        format!(
            r#"entry net = Net()

layer Net() {{
  param weight : float32[4, 2] quantize {scheme} = normal(0.0, 1.0)
  state variance : float32[4] = uniform(0.5, 2.0)
  method @Net.forward
}}

func @Net.forward(%x: float32[3, 2]) -> float32[3, 4] {{
  exported
  %q = param "weight" codes : int8[4, 2]
  %s = param "weight" scale : {scales}
  %w = dequantize %q, %s {{scheme = {scheme}, dtype = float32}} : float32[4, 2]
  %t = permute %w {{axes = (1, 0)}} : float32[2, 4]
  %y = matmul %x, %t : float32[3, 4]
  %v = param "variance" : float32[4]
  %0 = rsqrt %v : float32[4]
  %z = mul %y, %0 : float32[3, 4]
  return %z
}}
"#
        )
    };
    check(
        &net("int8(axis=0)", "float32[4]"),
        expect![[r#"
            entry net = Net()

            layer Net() {
              param weight : float32[4, 2] quantize int8(axis=0) = normal(0.0, 1.0)
              state variance : float32[4] = uniform(0.5, 2.0)
              method @Net.forward
            }

            func @Net.forward(%x: float32[3, 2]) -> float32[3, 4] {
              exported
              %q = param "weight" codes : int8[4, 2]
              %s = param "weight" scale : float32[4]
              %v = param "variance" : float32[4]
              %0 = rsqrt %v : float32[4]
              %1 = mul %s, %0 : float32[4]
              %2 = dequantize %q, %1 {scheme = int8(axis=0), dtype = float32} : float32[4, 2]
              %3 = permute %2 {axes = (1, 0)} : float32[2, 4]
              %z = matmul %x, %3 : float32[3, 4]
              return %z
            }
        "#]],
    );
    let whole = net("int8()", "float32");
    assert_eq!(print(&optimised(&module(&whole), &["fold-batch-norm"])), whole);
}

#[test]
fn what_is_not_constant_or_used_twice_stays() {
    let net = |body: &str, rest: &str| {
        format!(
            r#"entry net = Net()

layer Net() {{
  param weight : float32[2, 2, 1] = normal(0.0, 1.0)
  param scale : float32[2, 1] = normal(0.0, 1.0)
  state mean : float32[2, 1] = ones()
  method @Net.forward{rest}
}}

func @Net.forward(%x: float32[3, 2, 4], %c: float32[2, 1]) -> float32[3, 2, 4] {{
  exported
  %w = param "weight" : float32[2, 2, 1]
  %s = param "scale" : float32[2, 1]
  %m = param "mean" : float32[2, 1]
  %y = conv1d %x, %w {{stride = 1, padding = 0, dilation = 1, groups = 1}} : float32[3, 2, 4]
{body}}}
"#
        )
    };
    let unchanged = |text: &str| assert_eq!(print(&optimised(&module(text), &["fold-batch-norm"])), text);
    // Comes with the call.
    unchanged(&net("  %z = mul %y, %c : float32[3, 2, 4]\n  return %z\n", ""));
    // Needed without the scale, too.
    unchanged(&net("  %z = mul %y, %s : float32[3, 2, 4]\n  %r = add %z, %y : float32[3, 2, 4]\n  return %r\n", ""));
    // Depends on the channel by more than a scale.
    unchanged(&net("  %e = exp %y : float32[3, 2, 4]\n  %z = mul %e, %s : float32[3, 2, 4]\n  return %z\n", ""));
    // State that some method assigns.
    let assigned = net("  %z = mul %y, %m : float32[3, 2, 4]\n  return %z\n", "\n  method @Net.reset");
    unchanged(&format!(
        "{assigned}\nfunc @Net.reset(%m: float32[2, 1]) {{\n  exported\n  set_state \"mean\" %m\n  return\n}}\n"
    ));
    // A norm before the product.
    unchanged(&net(
        "  %n = mul %x, %s : float32[3, 2, 4]\n  %z = conv1d %n, %w {stride = 1, padding = 1, dilation = 1, groups = 1} : \
         float32[3, 2, 6]\n  %v = exp %y : float32[3, 2, 4]\n  %r = sum %z {axis = 2, keepdim = true} : float32[3, 2, 1]\n  \
         %t = add %v, %r : float32[3, 2, 4]\n  return %t\n",
        "",
    ));
}

#[test]
fn in_regions_and_low_types() {
    // The row of float16.
    check_within(
        2e-3,
        1e-3,
        r#"entry net = Net()

layer Net() {
  param weight : float32[3, 2] = normal(0.0, 0.5)
  param scale : float32[2] = uniform(0.5, 1.0)
  method @Net.forward
}

func @Net.forward(%x: float32[4, 3], %c: bool) -> float32[4, 2] {
  exported
  %w = param "weight" : float32[3, 2]
  %y = if %c {
    %0 = cast %w {dtype = float16} : float16[3, 2]
    %1 = cast %x {dtype = float16} : float16[4, 3]
    %2 = matmul %1, %0 : float16[4, 2]
    %3 = cast %2 {dtype = float32} : float32[4, 2]
    %s = param "scale" : float32[2]
    %4 = mul %3, %s : float32[4, 2]
    yield %4
  } else {
    %5 = matmul %x, %w : float32[4, 2]
    yield %5
  } : float32[4, 2]
  return %y
}
"#,
        expect![[r#"
            entry net = Net()

            layer Net() {
              param weight : float32[3, 2] = normal(0.0, 0.5)
              param scale : float32[2] = uniform(0.5, 1.0)
              method @Net.forward
            }

            func @Net.forward(%x: float32[4, 3], %c: bool) -> float32[4, 2] {
              exported
              %w = param "weight" : float32[3, 2]
              %y = if %c {
                %0 = cast %x {dtype = float16} : float16[4, 3]
                %s = param "scale" : float32[2]
                %1 = reshape %s {shape = [1, 2]} : float32[1, 2]
                %2 = mul %w, %1 : float32[3, 2]
                %3 = cast %2 {dtype = float16} : float16[3, 2]
                %4 = matmul %0, %3 : float16[4, 2]
                %5 = cast %4 {dtype = float32} : float32[4, 2]
                yield %5
              } else {
                %6 = matmul %x, %w : float32[4, 2]
                yield %6
              } : float32[4, 2]
              return %y
            }
        "#]],
    );
}
