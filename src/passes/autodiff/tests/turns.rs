//! `while`: its turns are counted by the primal, and the adjoint turns as often.

use super::*;

/// Halves what is larger than a limit, with a sine in each turn.
const SETTLE: &str = "func @settle(%x: float64[n], %w: float64[n]) -> float64[n] {
  symbols n: int
  %0 = while (%a: float64[n]) in %x {
    %1 = mul %a, %a : float64[n]
    %2 = sum %1 {axis = none, keepdim = false} : float64
    %3 = const float64 [0.05] : float64
    %4 = gt %2, %3 : bool
    yield %4
  } do (%b: float64[n]) {
    %5 = sin %b : float64[n]
    %6 = mul %5, %w : float64[n]
    yield %6
  } : float64[n]
  return %0
}
";

#[test]
fn turns_are_collected_and_walked_back() {
    check(
        &SETTLE.replace("settle", "f"),
        expect![[r#"
            func @f.primal(%x: float64[n], %w: float64[n]) -> (float64[n], float64[turns, n], float64[turns, n]) {
              source "f"
              symbols n: int
              fresh turns
              %0, %1, %2 = while turns (%a: float64[n]) in %x {
                %3 = mul %a, %a : float64[n]
                %4 = sum %3 {axis = none, keepdim = false} : float64
                %5 = const float64 [0.05] : float64
                %6 = gt %4, %5 : bool
                yield %6
              } do (%b: float64[n]) {
                %7 = sin %b : float64[n]
                %8 = mul %7, %w : float64[n]
                yield %8, %7, %b
              } : float64[n], float64[turns, n], float64[turns, n]
              return %0, %1, %2
            }

            func @f.adjoint(%w: float64[n], %0: float64[turns, n], %1: float64[turns, n], %grad: float64[n]) -> (float64[n], float64[n]) {
              source "f_adjoint"
              symbols n: int, turns: int
              %2 = host 0 : int64
              %3 = host turns : int64
              %4 = zeros {shape = [n], dtype = float64} : float64[n]
              %5, %6 = for turns' (%7: int64, %8: float64[n], %9: float64[n]) in %2, %3, %grad, %4 {
                %10 = mul %8, %w : float64[n]
                %11 = host turns - turns' - 1 : int64
                %12 = take %0, %11 {axis = 0} : float64[n]
                %13 = mul %8, %12 : float64[n]
                %14 = take %1, %11 {axis = 0} : float64[n]
                %15 = cos %14 : float64[n]
                %16 = mul %10, %15 : float64[n]
                %17 = add %9, %13 : float64[n]
                yield %16, %17
              } : float64[n], float64[n]
              return %5, %6
            }

            func @f_backward(%x: float64[n], %w: float64[n], %grad_0: float64[n]) -> (float64[n], float64[n], float64[n]) {
              symbols n: int
              exported
              %0, %1, %2 = call @f.primal(%x, %w) {n = n} binds turns : float64[n], float64[turns, n], float64[turns, n]
              %grad_x, %grad_w = call @f.adjoint(%w, %1, %2, %grad_0) {n = n, turns = turns} : float64[n], float64[n]
              return %0, %grad_x, %grad_w
            }"#]],
    );
}

#[test]
fn turns_of_which_nothing_is_needed_are_counted() {
    let text = "func @f(%x: float64[n]) -> float64[n] {
  symbols n: int
  %0 = while (%a: float64[n]) in %x {
    %1 = abs %a : float64[n]
    %2 = sum %1 {axis = none, keepdim = false} : float64
    %3 = const float64 [0.3] : float64
    %4 = gt %2, %3 : bool
    yield %4
  } do (%b: float64[n]) {
    %5 = const float64 [0.5] : float64
    %6 = mul %b, %5 : float64[n]
    yield %6
  } : float64[n]
  return %0
}
";
    check(
        text,
        expect![[r#"
        func @f.primal(%x: float64[n]) -> (float64[n], int64[turns]) {
          source "f"
          symbols n: int
          fresh turns
          %0, %1 = while turns (%a: float64[n]) in %x {
            %2 = abs %a : float64[n]
            %3 = sum %2 {axis = none, keepdim = false} : float64
            %4 = const float64 [0.3] : float64
            %5 = gt %3, %4 : bool
            yield %5
          } do (%b: float64[n]) {
            %6 = host turns : int64
            %7 = const float64 [0.5] : float64
            %8 = mul %b, %7 : float64[n]
            yield %8, %6
          } : float64[n], int64[turns]
          return %0, %1
        }

        func @f.adjoint(%0: int64[turns], %grad: float64[n]) -> float64[n] {
          source "f_adjoint"
          symbols n: int, turns: int
          %1 = host 0 : int64
          %2 = host turns : int64
          %3 = for turns' (%4: int64, %5: float64[n]) in %1, %2, %grad {
            %6 = const float64 [0.5] : float64
            %7 = mul %5, %6 : float64[n]
            yield %7
          } : float64[n]
          return %3
        }

        func @f_backward(%x: float64[n], %grad_0: float64[n]) -> (float64[n], float64[n]) {
          symbols n: int
          exported
          %0, %1 = call @f.primal(%x) {n = n} binds turns : float64[n], int64[turns]
          %grad_x = call @f.adjoint(%1, %grad_0) {n = n, turns = turns} : float64[n]
          return %0, %grad_x
        }"#]],
    );
    // No turn at all: what comes in goes out.
    agree(&text.replace("[0.3]", "[300.0]"));
}

#[test]
fn what_a_while_collects_has_gradients() {
    agree(
        "func @f(%x: float64[n]) -> (float64, float64[n]) {
  symbols n: int
  %0, %1 = call @collect(%x) {n = n} binds k : float64[n], float64[k, n]
  %2 = exp %1 : float64[k, n]
  %3 = sum %2 {axis = none, keepdim = false} : float64
  return %3, %0
}
func @collect(%x: float64[n]) -> (float64[n], float64[t, n]) {
  symbols n: int
  fresh t
  %0, %1 = while t (%a: float64[n]) in %x {
    %2 = abs %a : float64[n]
    %3 = sum %2 {axis = none, keepdim = false} : float64
    %4 = const float64 [0.2] : float64
    %5 = gt %3, %4 : bool
    yield %5
  } do (%b: float64[n]) {
    %6 = const float64 [0.6] : float64
    %7 = mul %b, %6 : float64[n]
    %8 = mul %7, %b : float64[n]
    yield %7, %8
  } : float64[n], float64[t, n]
  return %0, %1
}
",
    );
}

/// Nothing of such a size leaves a turn of another loop or a branch: the primal of the callee runs again.
#[test]
fn calls_within_loops_and_branches_are_made_again() {
    let text = format!(
        "func @f(%x: float64[n], %w: float64[n]) -> float64[n] {{
  symbols n: int
  %0 = host 0 : int64
  %1 = host 3 : int64
  %2 = for i (%i: int64, %a: float64[n]) in %0, %1, %x {{
    %3 = add %a, %x : float64[n]
    %4 = call @settle(%3, %w) {{n = n}} : float64[n]
    %5 = sum %4 {{axis = none, keepdim = false}} : float64
    %6 = const float64 [0.0] : float64
    %7 = gt %5, %6 : bool
    %8 = if %7 {{
      %9 = call @settle(%w, %4) {{n = n}} : float64[n]
      yield %9
    }} else {{
      %10 = exp %4 : float64[n]
      yield %10
    }} : float64[n]
    %11 = mul %8, %3 : float64[n]
    yield %11
  }} : float64[n]
  return %2
}}
{SETTLE}"
    );
    agree(&text);
    let draws = text.replace("%5 = sin %b : float64[n]", "%5 = sin %b : float64[n]\n    print \"turn\"");
    let error = differentiate_all(&draws).unwrap_err();
    assert!(error.message.starts_with("no gradient through this call"), "{error:?}");
}

#[test]
fn a_while_in_a_branch_is_refused() {
    let text = "func @f(%x: float64[4], %c: bool) -> float64[4] {
  %0 = if %c {
    %1 = while (%a: float64[4]) in %x {
      yield %c
    } do (%b: float64[4]) {
      %2 = sin %b : float64[4]
      yield %2
    } : float64[4]
    yield %1
  } else {
    yield %x
  } : float64[4]
  return %0
}
";
    let error = differentiate_all(text).unwrap_err();
    assert!(error.message.starts_with("no gradient through a `while` inside of another loop"), "{error:?}");
}

/// One step of descent on what `settle` gives.
const STEP: &str = "    %3, %4 = gradient (%b: float64[n]) in %a {
      %5 = call @settle(%b, %w) {n = n} : float64[n]
      %6 = mul %5, %5 : float64[n]
      %7 = sum %6 {axis = none, keepdim = false} : float64
      yield %7
    } : float64, float64[n]
    %8 = sub %a, %4 : float64[n]
";

#[test]
fn gradients_in_a_loop_pass_a_while() {
    let head = "func @f(%x: float64[n], %w: float64[n]) -> float64[n] {\n  symbols n: int\n";
    let rolled = format!(
        "{head}  %0 = host 0 : int64
  %1 = host 2 : int64
  %2 = for i (%i: int64, %a: float64[n]) in %0, %1, %x {{
{STEP}    yield %8
  }} : float64[n]
  return %2
}}
{SETTLE}"
    );
    let first = STEP.replace("%a", "%x");
    let second = ["%3", "%4", "%5", "%6", "%7", "%b", "%a", "%8"]
        .iter()
        .fold(STEP.to_string(), |text, name| text.replace(name, &format!("%s{}", &name[1..])))
        .replace("%sa", "%8");
    let unrolled = format!("{head}{first}{second}    return %s8\n}}\n{SETTLE}");
    let found = [rolled, unrolled].map(|text| {
        let expanded = expand(module(&text)).unwrap_or_else(|error| panic!("{error:?}"));
        let setting = Setting::new(expanded);
        setting.run(&setting.module, FuncId(0), &setting.values, &[]).0
    });
    assert_eq!(found[0], found[1]);
}

/// What `value_and_grad` has made of a `while` has a gradient of its own.
#[test]
fn a_gradient_through_a_while_has_a_gradient() {
    let step = STEP.replace("%a", "%x");
    let text = format!(
        "func @f(%x: float64[n], %w: float64[n]) -> float64[n] {{\n  symbols n: int\n{step}    return %8\n}}\n{SETTLE}"
    );
    agree(&print(&expand(module(&text)).unwrap()));
}
