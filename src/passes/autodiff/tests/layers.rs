//! Calls of layers, lists of them, and what is computed again.

use super::*;

const LAYERS: &str = "entry model = Net(dim = 2, depth = 3)

layer Net(dim: int, depth: int) {
  let blocks = repeat i < depth : Block(n = dim)
  let head = Block(n = dim)
  param scale : float64
  state seen : float64[dim]
  method @Net.forward
}

layer Block(n: int) {
  param weight : float64[n, n]
  param bias : float64[n]
  method @Block.forward
}

";

const BLOCK: &str = "
func @Block.forward(%x: float64[B, n]) -> float64[B, n] {
  symbols B: int
  %0 = param \"weight\" : float64[n, n]
  %1 = matmul %x, %0 : float64[B, n]
  %2 = param \"bias\" : float64[n]
  %3 = add %1, %2 : float64[B, n]
  %4 = tanh %3 : float64[B, n]
  return %4
}
";

#[test]
fn calls_of_layers_stay_calls() {
    let text = format!(
        "{LAYERS}func @Net.forward(%x: float64[B, dim]) -> float64[B, dim] {{
  symbols B: int
  %0 = call @Block.forward(%x) at self.head {{B = B}} : float64[B, dim]
  %1 = param \"scale\" : float64
  %2 = mul %0, %1 : float64[B, dim]
  %3 = call @Block.forward(%2) at self.head {{B = B}} : float64[B, dim]
  return %3
}}
{BLOCK}"
    );
    check(
        &text,
        expect![[r#"
            func @Block.forward.primal(%x: float64[B, n]) -> float64[B, n] {
              source "forward"
              symbols B: int
              %0 = param "weight" : float64[n, n]
              %1 = matmul %x, %0 : float64[B, n]
              %2 = param "bias" : float64[n]
              %3 = add %1, %2 : float64[B, n]
              %4 = tanh %3 : float64[B, n]
              return %4
            }

            func @Block.forward.adjoint(%x: float64[B, n], %0: float64[B, n], %grad: float64[B, n]) -> (float64[B, n], float64[n], float64[n, n]) {
              source "forward_adjoint"
              symbols B: int
              %1 = mul %0, %0 : float64[B, n]
              %2 = full {shape = [], value = 1.0, dtype = float64} : float64
              %3 = sub %2, %1 : float64[B, n]
              %4 = mul %grad, %3 : float64[B, n]
              %5 = sum %4 {axis = (0), keepdim = false} : float64[n]
              %6 = param "weight" : float64[n, n]
              %7 = matmul %4, %6 {transpose_b = true} : float64[B, n]
              %8 = matmul %x, %4 {transpose_a = true} : float64[n, n]
              return %7, %5, %8
            }

            func @Net.forward.primal(%x: float64[B, dim]) -> (float64[B, dim], float64[B, dim], float64[B, dim]) {
              source "forward"
              symbols B: int
              %0 = call @Block.forward.primal(%x) at self.head {B = B} : float64[B, dim]
              %1 = param "scale" : float64
              %2 = mul %0, %1 : float64[B, dim]
              %3 = call @Block.forward.primal(%2) at self.head {B = B} : float64[B, dim]
              return %3, %2, %0
            }

            func @Net.forward.adjoint(%x: float64[B, dim], %0: float64[B, dim], %1: float64[B, dim], %2: float64[B, dim], %grad: float64[B, dim]) -> (float64[B, dim], float64[dim], float64[dim, dim], float64) {
              source "forward_adjoint"
              symbols B: int
              %3, %4, %5 = call @Block.forward.adjoint(%1, %0, %grad) at self.head {B = B} : float64[B, dim], float64[dim], float64[dim, dim]
              %6 = param "scale" : float64
              %7 = mul %3, %6 : float64[B, dim]
              %8 = mul %3, %2 : float64[B, dim]
              %9 = sum %8 {axis = (0, 1), keepdim = false} : float64
              %10, %11, %12 = call @Block.forward.adjoint(%x, %2, %7) at self.head {B = B} : float64[B, dim], float64[dim], float64[dim, dim]
              %13 = add %4, %11 : float64[dim]
              %14 = add %5, %12 : float64[dim, dim]
              return %10, %13, %14, %9
            }

            func @Net.forward_backward(%x: float64[B, dim], %grad_0: float64[B, dim]) -> (float64[B, dim], float64[B, dim], float64[dim], float64[dim, dim], float64) {
              symbols B: int
              exported
              %0, %1, %2 = call @Net.forward.primal(%x) at self {B = B} : float64[B, dim], float64[B, dim], float64[B, dim]
              %grad_x, %grad_head_bias, %grad_head_weight, %grad_scale = call @Net.forward.adjoint(%x, %0, %1, %2, %grad_0) at self {B = B} : float64[B, dim], float64[dim], float64[dim, dim], float64
              return %0, %grad_x, %grad_head_bias, %grad_head_weight, %grad_scale
            }"#]],
    );
}

#[test]
fn loops_over_lists_stay_loops() {
    let text = format!(
        "{LAYERS}func @Net.forward(%x: float64[B, dim]) -> float64[B, dim] {{
  symbols B: int
  %0 = host 0 : int64
  %1 = host depth : int64
  %2 = for i (%i: int64, %c: float64[B, dim]) in %0, %1, %x {{
    %3 = call @Block.forward(%c) at self.blocks[i] {{B = B}} : float64[B, dim]
    %4 = param \"scale\" : float64
    %5 = mul %3, %4 : float64[B, dim]
    yield %5
  }} : float64[B, dim]
  %6 = call @Block.forward(%2) at self.blocks[0] {{B = B}} : float64[B, dim]
  return %6
}}
{BLOCK}"
    );
    check(
        &text,
        expect![[r#"
            func @Block.forward.primal(%x: float64[B, n]) -> float64[B, n] {
              source "forward"
              symbols B: int
              %0 = param "weight" : float64[n, n]
              %1 = matmul %x, %0 : float64[B, n]
              %2 = param "bias" : float64[n]
              %3 = add %1, %2 : float64[B, n]
              %4 = tanh %3 : float64[B, n]
              return %4
            }

            func @Block.forward.adjoint(%x: float64[B, n], %0: float64[B, n], %grad: float64[B, n]) -> (float64[B, n], float64[n], float64[n, n]) {
              source "forward_adjoint"
              symbols B: int
              %1 = mul %0, %0 : float64[B, n]
              %2 = full {shape = [], value = 1.0, dtype = float64} : float64
              %3 = sub %2, %1 : float64[B, n]
              %4 = mul %grad, %3 : float64[B, n]
              %5 = sum %4 {axis = (0), keepdim = false} : float64[n]
              %6 = param "weight" : float64[n, n]
              %7 = matmul %4, %6 {transpose_b = true} : float64[B, n]
              %8 = matmul %x, %4 {transpose_a = true} : float64[n, n]
              return %7, %5, %8
            }

            func @Net.forward.primal(%x: float64[B, dim]) -> (float64[B, dim], float64[B, dim], float64[depth, B, dim], float64[depth, B, dim]) {
              source "forward"
              symbols B: int
              %0 = host 0 : int64
              %1 = host depth : int64
              %2, %3, %4 = for i (%i: int64, %c: float64[B, dim]) in %0, %1, %x {
                %5 = call @Block.forward.primal(%c) at self.blocks[i] {B = B} : float64[B, dim]
                %6 = param "scale" : float64
                %7 = mul %5, %6 : float64[B, dim]
                yield %7, %5, %c
              } : float64[B, dim], float64[depth, B, dim], float64[depth, B, dim]
              %8 = call @Block.forward.primal(%2) at self.blocks[0] {B = B} : float64[B, dim]
              return %8, %2, %3, %4
            }

            func @Net.forward.adjoint(%0: float64[B, dim], %1: float64[B, dim], %2: float64[depth, B, dim], %3: float64[depth, B, dim], %grad: float64[B, dim]) -> (float64[B, dim], float64[dim], float64[dim, dim], float64, float64[depth, dim], float64[depth, dim, dim]) {
              source "forward_adjoint"
              symbols B: int
              %4, %5, %6 = call @Block.forward.adjoint(%1, %0, %grad) at self.blocks[0] {B = B} : float64[B, dim], float64[dim], float64[dim, dim]
              %7 = host 0 : int64
              %8 = host depth : int64
              %9 = zeros {shape = [], dtype = float64} : float64
              %10, %11, %12, %13 = for i' (%14: int64, %15: float64[B, dim], %16: float64) in %7, %8, %4, %9 {
                %17 = param "scale" : float64
                %18 = mul %15, %17 : float64[B, dim]
                %19 = host depth - i' - 1 : int64
                %20 = take %2, %19 {axis = 0} : float64[B, dim]
                %21 = mul %15, %20 : float64[B, dim]
                %22 = sum %21 {axis = (0, 1), keepdim = false} : float64
                %23 = take %3, %19 {axis = 0} : float64[B, dim]
                %24, %25, %26 = call @Block.forward.adjoint(%23, %20, %18) at self.blocks[depth - i' - 1] {B = B} : float64[B, dim], float64[dim], float64[dim, dim]
                %27 = add %16, %22 : float64
                yield %24, %27, %25, %26
              } : float64[B, dim], float64, float64[depth, dim], float64[depth, dim, dim]
              %28 = flip %12 {axes = (0)} : float64[depth, dim]
              %29 = flip %13 {axes = (0)} : float64[depth, dim, dim]
              return %10, %5, %6, %11, %28, %29
            }

            func @Net.forward_backward(%x: float64[B, dim], %grad_0: float64[B, dim]) -> (float64[B, dim], float64[B, dim], float64[dim], float64[dim, dim], float64, float64[depth, dim], float64[depth, dim, dim]) {
              symbols B: int
              exported
              %0, %1, %2, %3 = call @Net.forward.primal(%x) at self {B = B} : float64[B, dim], float64[B, dim], float64[depth, B, dim], float64[depth, B, dim]
              %grad_x, %grad_blocks_0_bias, %grad_blocks_0_weight, %grad_scale, %grad_blocks_turn_0_bias, %grad_blocks_turn_0_weight = call @Net.forward.adjoint(%0, %1, %2, %3, %grad_0) at self {B = B} : float64[B, dim], float64[dim], float64[dim, dim], float64, float64[depth, dim], float64[depth, dim, dim]
              return %0, %grad_x, %grad_blocks_0_bias, %grad_blocks_0_weight, %grad_scale, %grad_blocks_turn_0_bias, %grad_blocks_turn_0_weight
            }"#]],
    );
}

/// The blocks of [`LAYERS`] under `@checkpoint`.
fn checkpointed(forward: &str, block: &str) -> String {
    let layers = LAYERS.replace("repeat i < depth : Block(n = dim)", "repeat i < depth : Block(n = dim) checkpoint");
    format!("{layers}{forward}{block}")
}

const LOOP: &str = "func @Net.forward(%x: float64[B, dim]) -> float64[B, dim] {
  symbols B: int
  %0 = host 0 : int64
  %1 = host depth : int64
  %2 = for i (%i: int64, %c: float64[B, dim]) in %0, %1, %x {
    %3 = call @Block.forward(%c) at self.blocks[i] {B = B} : float64[B, dim]
    yield %3
  } : float64[B, dim]
  return %2
}
";

#[test]
fn checkpoints_compute_again() {
    let text = checkpointed(LOOP, BLOCK);
    agree(&text);
    let printed = print(&derive(&text).module);
    let functions: Vec<&str> =
        printed.split("func ").filter(|text| text.starts_with("@Net.forward.")).map(str::trim_end).collect();
    expect![[r#"
        @Net.forward.primal(%x: float64[B, dim]) -> (float64[B, dim], float64[depth, B, dim]) {
          source "forward"
          symbols B: int
          %0 = host 0 : int64
          %1 = host depth : int64
          %2, %3 = for i (%i: int64, %c: float64[B, dim]) in %0, %1, %x {
            %4 = call @Block.forward(%c) at self.blocks[i] {B = B} : float64[B, dim]
            yield %4, %c
          } : float64[B, dim], float64[depth, B, dim]
          return %2, %3
        }

        @Net.forward.adjoint(%0: float64[depth, B, dim], %grad: float64[B, dim]) -> (float64[B, dim], float64[depth, dim], float64[depth, dim, dim]) {
          source "forward_adjoint"
          symbols B: int
          %1 = host 0 : int64
          %2 = host depth : int64
          %3, %4, %5 = for i' (%6: int64, %7: float64[B, dim]) in %1, %2, %grad {
            %8 = host depth - i' - 1 : int64
            %9 = take %0, %8 {axis = 0} : float64[B, dim]
            %10 = call @Block.forward.primal(%9) at self.blocks[depth - i' - 1] {B = B} : float64[B, dim]
            %11, %12, %13 = call @Block.forward.adjoint(%9, %10, %7) at self.blocks[depth - i' - 1] {B = B} : float64[B, dim], float64[dim], float64[dim, dim]
            yield %11, %12, %13
          } : float64[B, dim], float64[depth, dim], float64[depth, dim, dim]
          %14 = flip %4 {axes = (0)} : float64[depth, dim]
          %15 = flip %5 {axes = (0)} : float64[depth, dim, dim]
          return %3, %14, %15
        }"#]].assert_eq(&functions.join("\n\n"));
}

#[test]
fn what_would_differ_the_second_time_is_kept() {
    let noisy = BLOCK.replace(
        "  %4 = tanh %3 : float64[B, n]",
        "  %r = rng 1 : int64
  %u = random_uniform %r {shape = [B, n], low = 0.5, high = 1.0, dtype = float64} : float64[B, n]
  %4 = mul %3, %u : float64[B, n]",
    );
    let text = checkpointed(LOOP, &noisy);
    agree(&text);
    let printed = print(&derive(&text).module);
    let adjoint = printed.split("func ").find(|text| text.starts_with("@Net.forward.adjoint")).unwrap();
    assert!(!adjoint.contains("primal"), "{adjoint}");
}

#[test]
fn loops_divide_into_segments() {
    let text = format!("{LAYERS}{LOOP}{BLOCK}");
    agree_in(&text, Some(3));
    let derived = differentiate(module(&text), FuncId(0), &[0], Some(3)).unwrap();
    let printed = print(&derived.module);
    let shown = ["@Net.forward.segmented.segment(", "@Net.forward.segmented(", "@Net.forward.segmented.adjoint("];
    let functions = printed.split("func ").filter(|text| shown.iter().any(|start| text.starts_with(start)));
    let functions: Vec<&str> = functions.map(str::trim_end).collect();
    expect![[r#"
        @Net.forward.segmented.segment(%0: float64[B, dim]) -> float64[B, dim] {
          source "forward_segment"
          symbols B: int, first: int
          require depth % 3 == 0 : "a loop of depth turns does not divide into 3 equal segments"
          %1 = host first : int64
          %2 = host first + depth // 3 : int64
          %3 = for i (%i: int64, %c: float64[B, dim]) in %1, %2, %0 {
            %4 = call @Block.forward(%c) at self.blocks[i] {B = B} : float64[B, dim]
            yield %4
          } : float64[B, dim]
          return %3
        }

        @Net.forward.segmented(%x: float64[B, dim]) -> float64[B, dim] {
          source "forward"
          symbols B: int
          require depth % 3 == 0 : "a loop of depth turns does not divide into 3 equal segments"
          %0 = host 0 : int64
          %1 = host depth : int64
          %2 = host 0 : int64
          %3 = host 3 : int64
          %4 = for segment (%5: int64, %6: float64[B, dim]) in %2, %3, %x {
            %7 = call @Net.forward.segmented.segment(%6) at self {B = B, first = segment * (depth // 3)} : float64[B, dim]
            yield %7
          } : float64[B, dim]
          return %4
        }

        @Net.forward.segmented.adjoint(%0: float64[3, B, dim], %grad: float64[B, dim]) -> (float64[B, dim], float64[3, depth // 3, dim], float64[3, depth // 3, dim, dim]) {
          source "forward_adjoint"
          symbols B: int
          require depth % 3 == 0 : "a loop of depth turns does not divide into 3 equal segments"
          %1 = host 0 : int64
          %2 = host 3 : int64
          %3, %4, %5 = for segment' (%6: int64, %7: float64[B, dim]) in %1, %2, %grad {
            %8 = host -segment' + 2 : int64
            %9 = take %0, %8 {axis = 0} : float64[B, dim]
            %10, %11, %12 = call @Net.forward.segmented.segment.primal(%9) at self {B = B, first = 2 * (depth // 3) - segment' * (depth // 3)} : float64[B, dim], float64[depth // 3, B, dim], float64[depth // 3, B, dim]
            %13, %14, %15 = call @Net.forward.segmented.segment.adjoint(%11, %12, %7) at self {B = B, first = 2 * (depth // 3) - segment' * (depth // 3)} : float64[B, dim], float64[depth // 3, dim], float64[depth // 3, dim, dim]
            yield %13, %14, %15
          } : float64[B, dim], float64[3, depth // 3, dim], float64[3, depth // 3, dim, dim]
          %16 = flip %4 {axes = (0)} : float64[3, depth // 3, dim]
          %17 = flip %5 {axes = (0)} : float64[3, depth // 3, dim, dim]
          return %3, %16, %17
        }"#]].assert_eq(&functions.join("\n\n"));
    let fixed = text.replace("host depth : int64", "host 3 : int64");
    agree_in(&fixed, Some(1));
    let refused = differentiate(module(&fixed), FuncId(0), &[0], Some(2)).unwrap_err();
    assert_eq!(refused.message, "a loop of 3 turns does not divide into 2 equal segments");
    let flat = "func @f(%x: float64[4]) -> float64[4] {
  %0 = sin %x : float64[4]
  return %0
}
";
    let refused = differentiate(module(flat), FuncId(0), &[0], Some(2)).unwrap_err();
    assert_eq!(refused.message, "`f` has no loop over layers to divide into segments");
}
