//! IR text in, IR text out; then both run on the same inputs and agree.

use super::*;
use crate::interp::{Instance, Machine, RunOptions};
use crate::ir::printer::print;
use crate::ir::reader::read;
use crate::ir::{FuncId, Part};
use crate::types::{DType, HostValue, Symbol, Tensor};
use expect_test::{Expect, expect};

fn module(text: &str) -> Verified {
    let module = read(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    verify(module).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

/// Runs the passes, compares the text, and executes the first function (on the entry's instance, if there
/// is one) before and after; each symbol is 3 and each float input counts up.
fn check(passes: &[&str], text: &str, wanted: Expect) {
    let before = module(text);
    let after = run(before.clone(), passes).unwrap_or_else(|error| panic!("{error}"));
    wanted.assert_eq(&print(&after));
    assert_eq!(execute(&before), execute(&after));
}

type Outcome = (Vec<Tensor>, Vec<Tensor>, String);

/// Results, then the state, then what was printed.
fn execute(module: &Verified) -> Outcome {
    let mut instance = module.entry.as_ref().map(|_| Instance::entry(module, 3).unwrap());
    let function = &module.functions[0];
    let bindings: Vec<(Symbol, HostValue)> =
        function.symbols.iter().map(|(name, _)| (name.clone(), HostValue::Int(3))).collect();
    let hypers = instance.as_ref().map(|instance| instance.hypers.clone()).unwrap_or_default();
    let value = |symbol: &Symbol| hypers.get(symbol).and_then(HostValue::as_int).or(Some(3));
    let input = |param: &crate::ir::ValueId| {
        let ty = &function[*param].ty;
        let dims = ty.shape.known().unwrap();
        let shape: Vec<usize> = dims.iter().map(|dim| dim.eval(&value).unwrap() as usize).collect();
        let count = shape.iter().product::<usize>();
        let dtype = ty.dtype().unwrap();
        let values = (0..count).map(|index| if dtype == DType::Bool { 1.0 } else { index as f64 - 2.0 });
        Tensor::from_f64(dtype, shape, values)
    };
    let inputs: Vec<Tensor> = function.params.iter().map(input).collect();
    let mut output = vec![];
    let mut machine = Machine::new(module, RunOptions { seed: 1, record: false }).with_output(&mut output);
    let results = machine.run_with(instance.as_mut(), FuncId(0), &bindings, &inputs).unwrap();
    drop(machine);
    let paths: Vec<String> =
        instance.iter().flat_map(|instance| instance.parameters()).map(|parameter| parameter.path).collect();
    let state = paths.iter().map(|path| instance.as_mut().unwrap().get(path, Part::Value).unwrap()).collect();
    (results, state, String::from_utf8(output).unwrap())
}

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
fn fold_leaves_failures_to_the_run() {
    let text = "func @f() -> float32[1] {
  %v = const float32[2] [1.0, 4.0] : float32[2]
  %i = const int64[1] [9] : int64[1]
  %0 = take %v, %i {axis = 0} : float32[1]
  return %0
}
";
    let after = run(module(text), &["fold", "cse", "dce"]).unwrap();
    assert_eq!(print(&after), text);
}

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
    assert_eq!(print(&run(module(text), &["cse"]).unwrap()), text);
}

#[test]
fn dce_keeps_effects_and_what_the_entry_reaches() {
    check(
        &["dce"],
        r#"entry net = Net()

layer Unused() {
}

layer Part() {
  param weight : float32[2] = @Part.make
  method @Part.forward
  method @Part.other
}

layer Net() {
  state mean : float32[2]
  let part = Part()
  method @Net.forward
}

func @Net.forward(%x: float32[2], %c: bool) -> float32[2] {
  %unused = exp %x : float32[2]
  %also = exp %unused : float32[2]
  %0 = call @pure(%x) : float32[2]
  %1 = call @loud(%x) : float32[2]
  %n = rng 1 : int64
  %y = if %c {
    %2 = exp %x : float32[2]
    %3 = sin %x : float32[2]
    yield %2
  } else {
    yield %x
  } : float32[2]
  %z = if %c {
    yield %x
  } else {
    yield %x
  } : float32[2]
  set_state "mean" %y
  assert "holds" %c
  return %x
}

func @Part.make() -> float32[2] {
  %0 = ones {shape = [2], dtype = float32} : float32[2]
  return %0
}

func @Part.forward() {
  return
}

func @Part.other() {
  exported
  return
}

func @pure(%x: float32[2]) -> float32[2] {
  %0 = exp %x : float32[2]
  return %0
}

func @loud(%x: float32[2]) -> float32[2] {
  print "x =", %x
  return %x
}
"#,
        expect![[r#"
            entry net = Net()

            layer Part() {
              param weight : float32[2] = @Part.make
              method @Part.other
            }

            layer Net() {
              state mean : float32[2]
              let part = Part()
              method @Net.forward
            }

            func @Net.forward(%x: float32[2], %c: bool) -> float32[2] {
              %0 = call @loud(%x) : float32[2]
              %y = if %c {
                %1 = exp %x : float32[2]
                yield %1
              } else {
                yield %x
              } : float32[2]
              set_state "mean" %y
              assert "holds" %c
              return %x
            }

            func @Part.make() -> float32[2] {
              %0 = ones {shape = [2], dtype = float32} : float32[2]
              return %0
            }

            func @Part.other() {
              exported
              return
            }

            func @loud(%x: float32[2]) -> float32[2] {
              print "x =", %x
              return %x
            }
        "#]],
    );
}

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
              require B >= 1 : "rows"
              %zero = const int64 [0] : int64
              %n = host dim : int64
              %y = for i (%i: int64, %acc: float32[B, dim]) in %zero, %n, %x {
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

#[test]
fn unknown_passes_are_refused_and_statistics_kept() {
    let text = "func @f(%x: float32) -> float32 {
  %0 = exp %x : float32
  %1 = exp %x : float32
  return %1
}
";
    let error = run(module(text), &["tidy"]).unwrap_err();
    assert_eq!(error.to_string(), "pass `tidy`: there is no such pass; there are fold, cse, dce, decompose");
    let (_, statistics) = run_with_statistics(module(text), &["cse", "dce"]).unwrap();
    let lines: Vec<String> = statistics.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["cse: 1 changes, 3 -> 2 instructions", "dce: 0 changes, 2 -> 2 instructions"]);
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
    let after = run(module(&text), &["cse", "dce"]).unwrap();
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
