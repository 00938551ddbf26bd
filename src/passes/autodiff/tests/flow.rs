//! Chains, branches and loops.

use super::*;

#[test]
fn a_chain_keeps_what_its_rules_ask_for() {
    check(
        "func @f(%x: float64[n], %s: float64) -> float64[n] {
  symbols n: int
  %0 = exp %x : float64[n]
  %1 = mul %0, %s : float64[n]
  return %1
}
",
        expect![[r#"
            func @f.primal(%x: float64[n], %s: float64) -> (float64[n], float64[n]) {
              source "f"
              symbols n: int
              %0 = exp %x : float64[n]
              %1 = mul %0, %s : float64[n]
              return %1, %0
            }

            func @f.adjoint(%s: float64, %0: float64[n], %grad: float64[n]) -> (float64[n], float64) {
              source "f_adjoint"
              symbols n: int
              %1 = mul %grad, %s : float64[n]
              %2 = mul %grad, %0 : float64[n]
              %3 = sum %2 {axis = (0), keepdim = false} : float64
              %4 = mul %1, %0 : float64[n]
              return %4, %3
            }

            func @f_backward(%x: float64[n], %s: float64, %grad_0: float64[n]) -> (float64[n], float64[n], float64) {
              symbols n: int
              exported
              %0, %1 = call @f.primal(%x, %s) {n = n} : float64[n], float64[n]
              %grad_x, %grad_s = call @f.adjoint(%s, %1, %grad_0) {n = n} : float64[n], float64
              return %0, %grad_x, %grad_s
            }"#]],
    );
}

#[test]
fn values_used_twice_get_both_gradients() {
    agree(
        "func @f(%x: float64[n, 4], %m: bool[n, 1]) -> (float64[n, 4], float64) {
  symbols n: int
  %0 = tanh %x : float64[n, 4]
  %1 = mul %0, %x : float64[n, 4]
  %2 = where %m, %1, %0 : float64[n, 4]
  %3 = sum %2 {axis = none, keepdim = false} : float64
  %4 = add %2, %3 : float64[n, 4]
  return %4, %3
}
",
    );
}

#[test]
fn branches_hand_over_what_they_computed() {
    check(
        "func @f(%x: float64[n], %y: float64[n], %c: bool) -> (float64[n], float64[n]) {
  symbols n: int
  %0 = exp %x : float64[n]
  %1, %2 = if %c {
    %3 = sin %0 : float64[n]
    %4 = mul %3, %y : float64[n]
    yield %4, %0
  } else {
    %5 = mul %x, %x : float64[n]
    yield %5, %x
  } : float64[n], float64[n]
  return %1, %2
}
",
        expect![[r#"
            func @f.primal(%x: float64[n], %y: float64[n], %c: bool) -> (float64[n], float64[n], float64[n], float64[n]) {
              source "f"
              symbols n: int
              %0 = exp %x : float64[n]
              %1, %2, %3 = if %c {
                %4 = sin %0 : float64[n]
                %5 = mul %4, %y : float64[n]
                yield %5, %0, %4
              } else {
                %6 = mul %x, %x : float64[n]
                %7 = zeros {shape = [n], dtype = float64} : float64[n]
                yield %6, %x, %7
              } : float64[n], float64[n], float64[n]
              return %1, %2, %3, %0
            }

            func @f.adjoint(%c: bool, %y: float64[n], %x: float64[n], %0: float64[n], %1: float64[n], %grad_0: float64[n], %grad_1: float64[n]) -> (float64[n], float64[n]) {
              source "f_adjoint"
              symbols n: int
              %2, %3, %4 = if %c {
                %5 = mul %grad_0, %y : float64[n]
                %6 = mul %grad_0, %0 : float64[n]
                %7 = cos %1 : float64[n]
                %8 = mul %5, %7 : float64[n]
                %9 = add %grad_1, %8 : float64[n]
                %10 = zeros {shape = [n], dtype = float64} : float64[n]
                yield %10, %6, %9
              } else {
                %11 = mul %grad_0, %x : float64[n]
                %12 = mul %grad_0, %x : float64[n]
                %13 = add %grad_1, %11 : float64[n]
                %14 = add %13, %12 : float64[n]
                %15 = zeros {shape = [n], dtype = float64} : float64[n]
                %16 = zeros {shape = [n], dtype = float64} : float64[n]
                yield %14, %15, %16
              } : float64[n], float64[n], float64[n]
              %17 = mul %4, %1 : float64[n]
              %18 = add %2, %17 : float64[n]
              return %18, %3
            }

            func @f_backward(%x: float64[n], %y: float64[n], %c: bool, %grad_0: float64[n], %grad_1: float64[n]) -> (float64[n], float64[n], float64[n], float64[n]) {
              symbols n: int
              exported
              %0, %1, %2, %3 = call @f.primal(%x, %y, %c) {n = n} : float64[n], float64[n], float64[n], float64[n]
              %grad_x, %grad_y = call @f.adjoint(%c, %y, %x, %2, %3, %grad_0, %grad_1) {n = n} : float64[n], float64[n]
              return %0, %1, %grad_x, %grad_y
            }"#]],
    );
}

#[test]
fn branches_within_branches_and_loops() {
    agree(
        "func @f(%x: float64[n], %c: bool) -> float64[n] {
  symbols n: int
  %0 = host 0 : int64
  %1 = host n : int64
  %2 = const int64 [1] : int64
  %3 = const int64 [1] : int64
  %4 = reshape %2 {shape = []} : int64
  %5 = for i (%i: int64, %a: float64[n]) in %0, %1, %x {
    %6 = gt %i, %4 : bool
    %7 = if %6 {
      %8 = sin %a : float64[n]
      %9 = if %c {
        yield %8
      } else {
        %10 = exp %8 : float64[n]
        %11 = mul %10, %x : float64[n]
        yield %11
      } : float64[n]
      %12 = tanh %9 : float64[n]
      yield %12
    } else {
      %13 = mul %a, %x : float64[n]
      yield %13
    } : float64[n]
    %14 = add %7, %a : float64[n]
    yield %14
  } : float64[n]
  return %5
}
"
        .replace(
            "  %2 = const int64 [1] : int64\n  %3 = const int64 [1] : int64\n",
            "  %2 = const int64[1] [1] : int64[1]\n",
        )
        .as_str(),
    );
}

#[test]
fn loops_collect_and_carry() {
    check(
        "func @f(%x: float64[n, 4], %w: float64[4]) -> (float64[4], float64[n, 4]) {
  symbols n: int
  %0 = host 0 : int64
  %1 = host n : int64
  %2 = full {shape = [4], value = 1, dtype = float64} : float64[4]
  %3, %4 = for i (%i: int64, %h: float64[4]) in %0, %1, %2 {
    %5 = take %x, %i {axis = 0} : float64[4]
    %6 = mul %h, %w : float64[4]
    %7 = add %5, %6 : float64[4]
    %8 = tanh %7 : float64[4]
    yield %8, %7
  } : float64[4], float64[n, 4]
  return %3, %4
}
",
        expect![[r#"
            func @f.primal(%x: float64[n, 4], %w: float64[4]) -> (float64[4], float64[n, 4], float64[n, 4], float64[n, 4]) {
              source "f"
              symbols n: int
              %0 = host 0 : int64
              %1 = host n : int64
              %2 = full {shape = [4], value = 1, dtype = float64} : float64[4]
              %3, %4, %5, %6 = for i (%i: int64, %h: float64[4]) in %0, %1, %2 {
                %7 = take %x, %i {axis = 0} : float64[4]
                %8 = mul %h, %w : float64[4]
                %9 = add %7, %8 : float64[4]
                %10 = tanh %9 : float64[4]
                yield %10, %9, %10, %h
              } : float64[4], float64[n, 4], float64[n, 4], float64[n, 4]
              return %3, %4, %5, %6
            }

            func @f.adjoint(%w: float64[4], %0: float64[n, 4], %1: float64[n, 4], %grad_0: float64[4], %grad_1: float64[n, 4]) -> (float64[n, 4], float64[4]) {
              source "f_adjoint"
              symbols n: int
              %2 = host 0 : int64
              %3 = host n : int64
              %4 = zeros {shape = [n, 4], dtype = float64} : float64[n, 4]
              %5 = zeros {shape = [4], dtype = float64} : float64[4]
              %6, %7, %8 = for i' (%9: int64, %10: float64[4], %11: float64[n, 4], %12: float64[4]) in %2, %3, %grad_0, %4, %5 {
                %13 = host n - i' - 1 : int64
                %14 = take %grad_1, %13 {axis = 0} : float64[4]
                %15 = take %0, %13 {axis = 0} : float64[4]
                %16 = mul %15, %15 : float64[4]
                %17 = full {shape = [], value = 1.0, dtype = float64} : float64
                %18 = sub %17, %16 : float64[4]
                %19 = mul %10, %18 : float64[4]
                %20 = add %14, %19 : float64[4]
                %21 = mul %20, %w : float64[4]
                %22 = take %1, %13 {axis = 0} : float64[4]
                %23 = mul %20, %22 : float64[4]
                %24 = host n - i' - 1 : int64
                %25 = reshape %20 {shape = [1, 4]} : float64[1, 4]
                %26 = reshape %24 {shape = [1]} : int64[1]
                %27 = reshape %26 {shape = [1, 1]} : int64[1, 1]
                %28 = broadcast_to %27 {shape = [1, 4]} : int64[1, 4]
                %29 = zeros {shape = [n, 4], dtype = float64} : float64[n, 4]
                %30 = scatter %29, %28, %25 {axis = 0, reduce = "add"} : float64[n, 4]
                %31 = add %11, %30 : float64[n, 4]
                %32 = add %12, %23 : float64[4]
                yield %21, %31, %32
              } : float64[4], float64[n, 4], float64[4]
              return %7, %8
            }

            func @f_backward(%x: float64[n, 4], %w: float64[4], %grad_0: float64[4], %grad_1: float64[n, 4]) -> (float64[4], float64[n, 4], float64[n, 4], float64[4]) {
              symbols n: int
              exported
              %0, %1, %2, %3 = call @f.primal(%x, %w) {n = n} : float64[4], float64[n, 4], float64[n, 4], float64[n, 4]
              %grad_x, %grad_w = call @f.adjoint(%w, %2, %3, %grad_0, %grad_1) {n = n} : float64[n, 4], float64[4]
              return %0, %1, %grad_x, %grad_w
            }"#]],
    );
}

#[test]
fn loops_within_loops() {
    agree(
        "func @f(%x: float64[n, 4]) -> float64[4] {
  symbols n: int
  %0 = host 1 : int64
  %1 = host n : int64
  %z = full {shape = [4], value = 0.5, dtype = float64} : float64[4]
  %2 = for i (%i: int64, %h: float64[4]) in %0, %1, %z {
    %3 = take %x, %i {axis = 0} : float64[4]
    %4 = host 0 : int64
    %5 = host i + 1 : int64
    %6 = host 2 : int64
    %7 = for j (%j: int64, %g: float64[4]) in %4, %6, %h {
      %8 = take %x, %j {axis = 0} : float64[4]
      %9 = mul %g, %8 : float64[4]
      %10 = exp %3 : float64[4]
      %11 = mul %9, %10 : float64[4]
      %12 = sin %11 : float64[4]
      yield %12
    } : float64[4]
    %13 = add %7, %3 : float64[4]
    yield %13
  } : float64[4]
  return %2
}
",
    );
}

#[test]
fn what_has_no_gradient_is_named() {
    let fails = |text: &str| differentiate_all(text).map(|_| ()).unwrap_err().message;
    let stopped = "func @f(%x: float64[4]) -> float64[4] {
  %0 = stop_gradient %x : float64[4]
  return %0
}
";
    assert_eq!(fails(stopped), "no result of `f` depends on a float input or parameter");
    let computed = "func @f(%x: float64[4], %n: int64) -> float64[4] {
  %0 = host 0 : int64
  %1 = for i (%i: int64, %a: float64[4]) in %0, %n, %x {
    %2 = sin %a : float64[4]
    yield %2
  } : float64[4]
  return %1
}
";
    assert!(fails(computed).contains("how often it turns is computed"), "{}", fails(computed));
}

#[test]
fn gradients_within_become_calls() {
    let text = "func @f(%x: float64[n], %y: float64[n]) -> (float64, float64[n]) {
  symbols n: int
  %0 = host 0 : int64
  %1 = host n : int64
  %s = const float64 [0.5] : float64
  %2, %3 = for i (%i: int64, %a: float64, %b: float64[n]) in %0, %1, %s, %x {
    %4 = host i : float64
    %5, %6 = gradient (%c: float64[n]) in %b {
      %7 = mul %c, %y : float64[n]
      %8 = sin %7 : float64[n]
      %9 = mul %8, %4 : float64[n]
      %10 = sum %9 {axis = none, keepdim = false} : float64
      yield %10
    } : float64, float64[n]
    %11 = add %5, %a : float64
    yield %11, %6
  } : float64, float64[n]
  return %2, %3
}
";
    let expanded = expand(module(text)).unwrap();
    let printed = print(&expanded);
    assert_eq!(print(&module(text)), text, "the instruction has a text form");
    expect![[r#"
        func @f(%x: float64[n], %y: float64[n]) -> (float64, float64[n]) {
          symbols n: int
          %0 = host 0 : int64
          %1 = host n : int64
          %s = const float64 [0.5] : float64
          %2, %3 = for i (%i: int64, %a: float64, %b: float64[n]) in %0, %1, %s, %x {
            %4 = host i : float64
            %5, %6 = call @f.value.primal(%b, %y, %4) {n = n, i = i} : float64, float64[n]
            %7 = ones {shape = [], dtype = float64} : float64
            %8 = call @f.value.adjoint(%4, %y, %6, %7) {n = n, i = i} : float64[n]
            %9 = add %5, %a : float64
            yield %9, %8
          } : float64, float64[n]
          return %2, %3
        }

        func @f.value(%c: float64[n], %y: float64[n], %0: float64) -> float64 {
          source "f_value"
          symbols n: int, i: int
          %1 = mul %c, %y : float64[n]
          %2 = sin %1 : float64[n]
          %3 = mul %2, %0 : float64[n]
          %4 = sum %3 {axis = none, keepdim = false} : float64
          return %4
        }

        func @f.value.primal(%c: float64[n], %y: float64[n], %0: float64) -> (float64, float64[n]) {
          source "f_value"
          symbols n: int, i: int
          %1 = mul %c, %y : float64[n]
          %2 = sin %1 : float64[n]
          %3 = mul %2, %0 : float64[n]
          %4 = sum %3 {axis = none, keepdim = false} : float64
          return %4, %1
        }

        func @f.value.adjoint(%0: float64, %y: float64[n], %1: float64[n], %grad: float64) -> float64[n] {
          source "f_value_adjoint"
          symbols n: int, i: int
          %2 = reshape %grad {shape = [1]} : float64[1]
          %3 = broadcast_to %2 {shape = [n]} : float64[n]
          %4 = mul %3, %0 : float64[n]
          %5 = cos %1 : float64[n]
          %6 = mul %4, %5 : float64[n]
          %7 = mul %6, %y : float64[n]
          return %7
        }
    "#]]
    .assert_eq(&printed);
    // What is left is differentiated like any program.
    agree(&printed);
}

#[test]
fn a_number_that_depends_on_nothing_has_zeros() {
    let text = "func @f(%x: float64[n]) -> (float64, float64[n]) {
  symbols n: int
  %0, %1 = gradient (%a: float64[n]) in %x {
    %2 = stop_gradient %a : float64[n]
    %3 = sum %2 {axis = none, keepdim = false} : float64
    yield %3
  } : float64, float64[n]
  return %0, %1
}
";
    let printed = print(&expand(module(text)).unwrap());
    assert!(printed.contains("zeros {shape = [n], dtype = float64}") && !printed.contains("adjoint"), "{printed}");
}
