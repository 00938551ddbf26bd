use crate::ir::printer::print;
use crate::passes::decompose;
use crate::passes::testkit::{check, module, optimised};
use expect_test::expect;

#[test]
fn decompose_inlines_with_symbols_indices_and_conditions() {
    check(
        &["decompose"],
        r#"files "a.tri", "std.tri"
entry net = Net(dim = 3)

layer Net(dim: int) {
  method @Net.forward
}

func @Net.forward(%x: float32[B, dim]) -> (float32[B, dim], float32[B, dim], int64) {
  symbols B: int
  %zero = const int64 [0] : int64
  %n = host dim : int64
  %y = for i (%i: int64, %acc: float32[B, dim]) in %zero, %n, %x {
    %s = call @loop(%acc) {r = B, c = dim, scale = (0.5) * (i)} : float32[B, dim]  # a.tri:7
    yield %s
  } : float32[B, dim]
  %z = call @same(%x) {r = B, c = dim} : float32[B, dim]
  %k = call @draw() : int64
  return %y, %z, %k
}

func @loop(%x: float32[r, c]) -> float32[r, c] {
  symbols r: int, c: int, scale: float
  require r >= 1 : "rows"
  %zero = const int64 [0] : int64
  %two = const int64 [2] : int64
  %f = host scale : float32
  %y = for i (%i: int64, %a: float32[r, c]) in %zero, %two, %x {
    %j = host i + r * c : float32
    %b = mul %a, %f : float32[r, c]  # std.tri:3
    %d = add %b, %j : float32[r, c]
    %e = call @same(%d) {r = r, c = c} : float32[r, c]
    yield %e
  } : float32[r, c]
  %out = reshape %y {shape = [r, c]} : float32[r, c]
  return %out
}

func @same(%x: float32[r, c]) -> float32[r, c] {
  symbols r: int, c: int
  return %x
}

func @draw() -> int64 {
  %0 = rng 4 : int64
  return %0
}
"#,
        expect![[r#"
            files "a.tri"
            entry net = Net(dim = 3)

            layer Net(dim: int) {
              method @Net.forward
            }

            func @Net.forward(%x: float32[B, dim]) -> (float32[B, dim], float32[B, dim], int64) {
              symbols B: int
              %zero = const int64 [0] : int64
              %n = host dim : int64
              %y = for i (%i: int64, %acc: float32[B, dim]) in %zero, %n, %x {
                ensure B >= 1 : "rows"
                %zero.1 = const int64 [0] : int64  # a.tri:7
                %two = const int64 [2] : int64  # a.tri:7
                %f = host (0.5) * (i) : float32  # a.tri:7
                %y.1 = for i'1 (%i.1: int64, %a: float32[B, dim]) in %zero.1, %two, %acc {  # a.tri:7
                  %j = host B * dim + i'1 : float32  # a.tri:7
                  %b = mul %a, %f : float32[B, dim]  # a.tri:7
                  %d = add %b, %j : float32[B, dim]  # a.tri:7
                  yield %d  # a.tri:7
                } : float32[B, dim]
                %s = reshape %y.1 {shape = [B, dim]} : float32[B, dim]  # a.tri:7
                yield %s
              } : float32[B, dim]
              %k = rng 4 : int64
              return %y, %x, %k
            }
        "#]],
    );
}

#[test]
fn decompose_keeps_what_the_predicate_accepts() {
    let text = "func @f(%x: float32[n]) -> float32[n] {
  symbols n: int
  %y = call @g(%x) {n = n} : float32[n]
  %z = call @h(%y) {n = n} : float32[n]
  return %z
}

func @g(%x: float32[n]) -> float32[n] {
  symbols n: int
  %0 = exp %x : float32[n]
  return %0
}

func @h(%x: float32[n]) -> float32[n] {
  symbols n: int
  %0 = call @g(%x) {n = n} : float32[n]
  return %0
}
";
    let after = decompose(module(text), &|function| function.name == "g");
    let wanted = text.replacen("call @h(%y)", "call @g(%y)", 1);
    assert_eq!(print(&after), wanted);
}

/// Two calls of a function whose result is as long as a run has turns.
const OPEN_SIZES: &str = r#"
func @f(%x: float32[2]) -> (float32[t, 2], int64) {
  fresh t
  %a = call @halves(%x) binds t : float32[t, 2]
  %b = call @halves(%x) binds u : float32[u, 2]
  %c = call @rows(%b) {n = u} : float32[u, 2]
  %k = host u : int64
  return %a, %k
}

func @halves(%x: float32[2]) -> float32[t, 2] {
  fresh t
  %half = const float32 [0.5] : float32
  %little = const float32 [0.001] : float32
  %last, %all = while t (%a: float32[2]) in %x {
    %abs = abs %a : float32[2]
    %sum = sum %abs {axis = none, keepdim = false} : float32
    %go = gt %sum, %little : bool
    yield %go
  } do (%b: float32[2]) {
    %c = mul %b, %half : float32[2]
    yield %c, %c
  } : float32[2], float32[t, 2]
  return %all
}

func @rows(%x: float32[n, 2]) -> float32[n, 2] {
  symbols n: int
  require n >= 1 : "no rows"
  %y = exp %x : float32[n, 2]
  return %y
}
"#;

/// What binds a size is kept where only the size is used; copies get names of their own.
#[test]
fn sizes_that_only_a_run_tells_are_kept_and_renamed() {
    let text = OPEN_SIZES.replace("  %c = call @rows(%b) {n = u} : float32[u, 2]\n", "");
    let after = optimised(&module(&text), &["cse", "dce"]);
    assert_eq!(after.functions[0].insts.len(), 4);
    check(
        &["decompose", "dce"],
        OPEN_SIZES,
        expect![[r#"
            func @f(%x: float32[2]) -> (float32[t, 2], int64) {
              fresh t
              %half = const float32 [0.5] : float32
              %little = const float32 [0.001] : float32
              %last, %a = while t (%a.1: float32[2]) in %x {
                %abs = abs %a.1 : float32[2]
                %sum = sum %abs {axis = none, keepdim = false} : float32
                %go = gt %sum, %little : bool
                yield %go
              } do (%b: float32[2]) {
                %c = mul %b, %half : float32[2]
                yield %c, %c
              } : float32[2], float32[t, 2]
              %half.1 = const float32 [0.5] : float32
              %little.1 = const float32 [0.001] : float32
              %last.1, %b.1 = while t'1 (%a.2: float32[2]) in %x {
                %abs.1 = abs %a.2 : float32[2]
                %sum.1 = sum %abs.1 {axis = none, keepdim = false} : float32
                %go.1 = gt %sum.1, %little.1 : bool
                yield %go.1
              } do (%b.2: float32[2]) {
                %c.1 = mul %b.2, %half.1 : float32[2]
                yield %c.1, %c.1
              } : float32[2], float32[t'1, 2]
              ensure t'1 >= 1 : "no rows"
              %k = host t'1 : int64
              return %a, %k
            }

            func @halves(%x: float32[2]) -> float32[t, 2] {
              fresh t
              %half = const float32 [0.5] : float32
              %little = const float32 [0.001] : float32
              %last, %all = while t (%a: float32[2]) in %x {
                %abs = abs %a : float32[2]
                %sum = sum %abs {axis = none, keepdim = false} : float32
                %go = gt %sum, %little : bool
                yield %go
              } do (%b: float32[2]) {
                %c = mul %b, %half : float32[2]
                yield %c, %c
              } : float32[2], float32[t, 2]
              return %all
            }

            func @rows(%x: float32[n, 2]) -> float32[n, 2] {
              symbols n: int
              require n >= 1 : "no rows"
              %y = exp %x : float32[n, 2]
              return %y
            }
        "#]],
    );
}
