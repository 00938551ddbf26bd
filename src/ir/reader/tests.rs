//! Round trips and refusals.

use super::*;
use crate::base::code;
use crate::ir::printer::print;

/// What the text reads as, printed; printing and reading again must change nothing.
fn round(text: &str) -> String {
    let module = read(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let printed = print(&module);
    let again = read(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
    assert_eq!(print(&again), printed);
    assert_eq!(again, read(&print(&again)).unwrap());
    printed
}

/// Text that is already as the printer writes it.
#[track_caller]
fn stays(text: &str) {
    assert_eq!(round(text), text);
}

const LAYERS: &str = r#"files "nn.tri"
entry model = MLP(dim = 256, eps = 1e-5, name = "a \"b\"", on = true)

layer Linear_2(in_features: int, out_features: int = 4 * in_features doc "Outputs.", eps: float = 0.5) {  # nn.tri:4
  source "Linear"
  doc "A linear map.\nSecond line."
  choice bias = "true"
  require in_features % 2 == 0 : "in_features must be even"
  require in_features >= 2 : "too small"
  require in_features ~ out_features : E0302 "no broadcast"
  param weight : float32[out_features, in_features] quantize ternary(axis=0) = kaiming_uniform()  # nn.tri:6
  param bias : float32[out_features] doc "Added."
  buffer count : int64 = constant(in_features)
  state mean : float32[in_features] = uniform(-(eps), (eps) / (2.0))
  transient cache : float32[(2 * in_features) // 3 - in_features + 1] = values float32[2] [1.0, -2.5]
  param small : trit[3, out_features] quantize ternary(rule="max", ratio=0.3, scale="kept") = random_ternary()
  param other : float32[3] quantize int4(symmetric=false, group=64, scale_dtype=float16, ste="clipped") = xavier_uniform(1.0)
  constant table : float32[in_features] = @Linear_2.table
  method @Linear_2.table
}

layer MLP(dim: int, depth: int, eps: float) {
  let norm = Linear_2(in_features = dim, out_features = dim // 2, eps = eps)
  let blocks = repeat i < depth : [Linear_2(in_features = i + 1, out_features = 2 ** i, eps = sqrt(dim)), fn relu]
  let odd = [fn "f(_, k=2)", []]
}

func @Linear_2.table() -> float32[in_features] {
  %0 = const float32[2] [1.0, 2.0] : float32[2]
  return %0
}
"#;

const FUNCTION: &str = r#"files "a.tri"

layer Block(n: int) {
  method @Block.forward
}

func @Block.forward(%x: float32[B, n]) -> (float32[B, n], int64) {  # a.tri:3
  source "call"
  doc "Does it."
  symbols B: int, eps: float
  argument axis = -1
  argument axes = (0, 1)
  argument scale = (eps) / (2.0)
  argument shape = [B, n]
  argument mask = none
  argument keep = false
  argument dtype = float16
  map pytorch = "F.f({x})"
  std "nn.block"
  exported
  optional mask = given, "odd name" = absent
  require B >= 2 : "too few"  # a.tri:9
  %c = const bool [1] : bool
  %zero = const int64 [0] : int64  # a.tri:4
  %0 = host B * n : int64
  %1 = rng 7 : int64
  %part = rng 7 "blocks.0.drop" : int64
  %w = param "weight" codes : trit[n, 3]
  %x.1 = if %c {
    yield %x
  } else {
    %2 = call @Block.forward(%x, %0) at self.blocks[i + 1]."odd name" {B = B, eps = (eps) * (2.0)} : float32[B, n]
    yield %2
  } : float32[B, n]
  %3, %4 = for i (%i: int64, %acc: float32[B, n], %5: int64) in %zero, %0, %x.1, %1 {
    set_state "mean" %acc
    yield %acc, %5
  } : float32[B, n], int64
  %6 = while (%7: float32[B, n]) in %3 {
    yield %c
  } do (%8: float32[B, n]) {
    yield %8
  } : float32[B, n]
  assert "must \"hold\"" %c
  print "x =", %6, "end"
  return %6, %4
}

func @Block.helper() {
  free
  %0 = const uint64[2] [18446744073709551615, 0] : uint64[2]
  %1 = const float32[2, 3] splat -inf : float32[2, 3]
  %2 = const float64[0] [] : float64[0]
  return
}
"#;

#[test]
fn layers_round_trip() {
    stays(LAYERS);
}

#[test]
fn functions_round_trip() {
    stays(FUNCTION);
}

#[test]
fn names_of_the_source_are_kept() {
    let module = read(FUNCTION).unwrap();
    let function = &module.functions[0];
    let names: Vec<_> = function.values.iter().filter(|v| v.name.as_deref() == Some("x")).collect();
    assert_eq!(names.len(), 2);
    assert_eq!(function.loc.line, 3);
    assert_eq!(function.obligations[0].1.line, 9);
    assert_eq!(function.obligations[0].0.code, code::E0403);
    assert_eq!(module.functions[1].layer, None);
}

#[test]
fn expressions_are_read_with_their_precedence() {
    let host = |expr: &str| {
        let text =
            format!("func @f() {{\n  symbols a: int, b: int, e: float\n  %0 = host {expr} : float64\n  return\n}}\n");
        let module = read(&text).unwrap_or_else(|error| panic!("{error}"));
        let crate::ir::InstKind::Host(expr) = &module.functions[0].insts[0].kind else { panic!() };
        expr.to_string()
    };
    assert_eq!(host("a + b * 2 ** 3 - a"), "8 * b");
    assert_eq!(host("-a ** 2"), "-a ** 2");
    assert_eq!(host("-2 ** 2"), "-4");
    assert_eq!(host("-9223372036854775808"), "-9223372036854775808");
    assert_eq!(host("(a + b) // 2"), "(a + b) // 2");
    assert_eq!(host("a % b + 1"), "a - b * (a // b) + 1");
    assert_eq!(host("e * a / 2"), "((e) * (a)) / (2)");
    assert_eq!(host("maximum(a, e)"), "maximum(a, e)");
    assert_eq!(host("2 ** -1"), "0.5");
    assert_eq!(host("-e"), "-(e)");
    assert_eq!(host("1 / 4"), "0.25");
}

#[test]
fn errors_name_the_place() {
    let error = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(error("func @f() {\n  %0 = nonsense : int64\n}"), "2:17: there is no operation `nonsense`");
    assert_eq!(error("func @f() {\n  return %x\n}"), "2:10: nothing before this defines `%x`");
    assert_eq!(
        error("layer A(n: int) {\n  require n >= 1 : E9999 \"none\"\n}"),
        "2:20: expected a diagnostic code, found `E9999`"
    );
    assert_eq!(error("layer A("), "1:9: expected a name, found the end of the text");
    assert_eq!(error("hello"), "1:1: expected `entry`, `layer` or `func`, found `hello`");
    assert_eq!(error("func @f() {\n  %0 = const int8 [300] : int8\n}"), "2:25: a value is no int8");
    assert_eq!(error("layer A() {\n}\nlayer A() {\n}"), "3:8: `A` is defined twice");
}

#[test]
fn no_text_makes_it_panic_or_hang() {
    // Every prefix, and every text with one character replaced, of a large example.
    for text in [LAYERS, FUNCTION] {
        let chars: Vec<char> = text.chars().collect();
        for end in (0..chars.len()).step_by(3) {
            let _ = read(&chars[..end].iter().collect::<String>());
        }
        for (position, with) in (0..chars.len()).step_by(2).zip("({[)}]%@\"-*#1e.,=:".chars().cycle()) {
            let mut changed = chars.clone();
            changed[position] = with;
            if let Ok(module) = read(&changed.iter().collect::<String>()) {
                let _ = print(&module);
            }
        }
    }
    let deep = format!("func @f() {{\n %0 = host {}1 : int64\n}}", "(".repeat(100_000));
    assert!(read(&deep).unwrap_err().message.contains("deep"));
    let deep = format!("func @f() {{\n %0 = host {}1 : int64\n}}", "-".repeat(100_000).replace("--", "- -"));
    assert!(read(&deep).is_err());
    let wide = "(a + b + c + d + e + f) ** 8";
    let huge = format!("func @f() {{\n %0 = host {wide} * {wide} * {wide} * {wide} : int64\n}}");
    assert!(read(&huge).is_err());
}

#[test]
fn fused_instructions_read_as_printed() {
    stays(
        "func @f(%x: float32[2]) -> (float32[2], float32) {
  %y, %z = fused (%a: float32[2], %b: float32[2]) in %x, %x {
    %0 = mul %a, %b : float32[2]
    %1 = sum %0 {axis = none, keepdim = false} : float32
    yield %0, %1
  } : float32[2], float32
  %2 = fused () in {
    %3 = const float32 [1.0] : float32
    yield %3
  } : float32
  return %y, %z
}
",
    );
    let refused = |text: &str| read(text).unwrap_err().to_string();
    assert!(refused("func @f(%x: float32) {\n  %y = fused (%x: float32) in %x {").contains("`%x` is defined twice"));
    assert!(refused("func @f(%x: float32) {\n  %y = fused %x {").contains("expected"));
}
