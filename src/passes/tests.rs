//! The passes that came first, and the manager.

use super::testkit::{check, execute, module, optimised};
use super::*;
use crate::ir::printer::print;
use crate::ir::{InstKind, Module};
use expect_test::expect;
use std::sync::Arc;

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

#[test]
fn unknown_passes_are_refused() {
    let error = Pipeline::named(&["dcee"]).err().unwrap();
    assert_eq!((error.to_string().as_str(), error.near.as_deref()), ("unknown pass `dcee`", Some("dce")));
    assert_eq!(error.known, BUILT_IN.iter().map(|pass| pass.name).collect::<Vec<_>>());
    let selection = Selection { disabled: vec!["tidy".into()], ..Selection::default() };
    assert_eq!(Pipeline::select(&selection, Form::default(), &[]).err().unwrap().name, "tidy");
}

#[test]
fn levels_and_selections() {
    let names = |selection: &Selection| -> Vec<String> {
        Pipeline::select(selection, Form::default(), &[]).unwrap().names().map(str::to_string).collect()
    };
    assert!(names(&Selection { level: OptLevel::O0, ..Selection::default() }).is_empty());
    assert_eq!(names(&Selection { level: OptLevel::O1, ..Selection::default() }), ["fold", "cse", "dce"]);
    let without = Selection { disabled: vec!["cse".into()], level: OptLevel::O1, ..Selection::default() };
    assert_eq!(names(&without), ["fold", "dce"]);
    let only = Selection { only: Some(vec!["dce".into(), "decompose".into()]), ..without };
    assert_eq!(names(&only), ["dce", "decompose"]);
    let list = |style, mode, level| standard(Form { style, mode }, level).collect::<Vec<_>>();
    for mode in Mode::ALL {
        for style in Style::ALL {
            for pair in OptLevel::ALL.windows(2) {
                let [lower, higher] = [pair[0], pair[1]].map(|level| list(style, mode, level));
                assert!(lower.iter().all(|name| higher.contains(name)), "a level does all that the one below does");
            }
        }
        let [modules, kernels] = Style::ALL.map(|style| list(style, mode, OptLevel::O3));
        assert_eq!(modules, kernels, "what kernels are made from can be run through any target");
    }
}

const TWICE: &str = "func @f(%x: float32) -> float32 {
  %0 = exp %x : float32
  %1 = exp %x : float32
  return %1
}
";

#[test]
fn each_pass_is_reported_and_watched() {
    let pipeline = Pipeline::named(&["cse", "dce"]).unwrap();
    let mut stages = vec![];
    let mut watch = |stage: &Stage<'_>| stages.push((stage.number, stage.name.to_string(), print(stage.module)));
    let (after, reports) = run(module(TWICE), &pipeline, &mut watch).unwrap();
    let lines: Vec<String> = reports.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["cse: merged 1; 3 -> 2 instructions", "dce: nothing; 2 -> 2 instructions"]);
    let heads: Vec<(usize, &str)> = stages.iter().map(|(number, name, _)| (*number, name.as_str())).collect();
    assert_eq!(heads, [(0, "lowered"), (1, "cse"), (2, "dce")]);
    assert_eq!((stages[0].2.as_str(), &stages[2].2), (TWICE, &print(&after)));
}

/// Leaves a function without its terminator.
struct Broken;

impl Pass for Broken {
    fn name(&self) -> &str {
        "broken"
    }
    fn summary(&self) -> &str {
        "Break a rule."
    }
    fn run(&self, module: &mut Module, _cx: &mut PassCx) -> Result<(), PassError> {
        module.functions[0].body.insts.clear();
        Ok(())
    }
}

#[test]
fn a_pass_that_breaks_a_rule_is_named() {
    let added: [Arc<dyn Pass>; 1] = [Arc::new(Broken)];
    let pipeline = Pipeline::select(&Selection::default(), Form::default(), &added).unwrap();
    assert_eq!(pipeline.names().last(), Some("broken"), "added passes come last");
    let error = run(module(TWICE), &pipeline, &mut |_| {}).err().unwrap();
    assert_eq!(error.pass, "broken");
    assert!(error.message.contains("terminator") || error.message.contains("return"), "{error}");
}

#[test]
fn the_reference_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/passes.md");
    let page = reference();
    if std::env::var_os("TRITONC_BLESS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), page, "TRITONC_BLESS=1 writes the page");
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
