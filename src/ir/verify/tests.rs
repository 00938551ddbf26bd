//! A module that is right, and one broken copy for each rule.

use super::*;
use crate::ir::reader::read;

const GOOD: &str = r#"files "a.tri"
entry model = Net(dim = 8, heads = 2, eps = 0.5)

layer Part(width: int, scale: float) {
  require width % 2 == 0 : "width must be even"
  param weight : float32[width] = ones()
  method @Part.forward
}

layer Net(dim: int, heads: int, eps: float = 1) {
  require dim % heads == 0 : "dim must divide"
  param weight : float32[dim, 2] = @Net.make
  state mean : float32[2] = values float32[2] [1.0, 2.0]
  constant table : float32[dim, 2] = @Net.make
  derived twofold : float32[dim, 2] = @Net.twofold
  let part = Part(width = 2 * dim, scale = eps)
  let blocks = repeat i < 3 : [Part(width = 2 * i + 2, scale = 1), fn relu]
  method @Net.forward
}

func @Part.forward(%x: float32[B, 2 * (width // 2)]) -> float32[B, width] {
  symbols B: int
  return %x
}

func @Net.make() -> float32[dim, 2] {
  %0 = param "weight" : float32[dim, 2]
  return %0
}

func @Net.forward(%x: float32[B, heads * (dim // heads)], %c: bool) -> float32[B, dim] {
  symbols B: int
  %w = param "weight" : float32[dim, 2]
  %t = param "table" : float32[dim, 2]
  %m = param "mean" : float32[2]
  %s = host (eps) * (dim) : float32
  %n = host dim : int64
  %0 = const int64 [0] : int64
  %r = rng 1 : int64
  %big = call @twice(%x) {n = B, m = dim} : float32[B, 2 * dim]
  %big.1 = call @Part.forward(%big) at self.part {B = B} : float32[B, 2 * dim]
  %y = if %c {
    yield %x
  } else {
    yield %x
  } : float32[B, dim]
  %z = for i (%i: int64, %acc: float32[B, dim]) in %0, %n, %y {
    %p = call @make(%i) {n = 2 * i + 2, b = B} : float32[B, 2 * i + 2]
    %q = call @Part.forward(%p) at self.blocks[i][0] {B = B} : float32[B, 2 * i + 2]
    yield %acc
  } : float32[B, dim]
  %v = while (%a: float32[B, dim]) in %z {
    yield %c
  } do (%b: float32[B, dim]) {
    yield %b
  } : float32[B, dim]
  set_state "mean" %m
  assert "holds" %c
  print "v", %v
  return %v
}

func @twice(%x: float32[n, m]) -> float32[n, 2 * m] {
  symbols n: int, m: int
  %0 = call @widen(%x) {n = n, m = m, k = 2 * m} : float32[n, 2 * m]
  return %0
}

func @widen(%x: float32[n, m]) -> float32[n, k] {
  symbols n: int, m: int, k: int
  require k == m : "only for this test"
  return %x
}

func @make(%x: int64) -> float32[b, n] {
  symbols n: int, b: int
  %0 = call @scalar() {n = n, b = b} : float32[b, n]
  return %0
}

func @scalar() -> float32[b, n] {
  symbols n: int, b: int
  require n == 1 : "only for this test"
  require b == 1 : "only for this test"
  %0 = const float32[1, 1] [0.5] : float32[1, 1]
  return %0
}

func @Net.twofold() -> float32[dim, 2] {
  %0 = param "weight" : float32[dim, 2]
  %2 = param "table" : float32[dim, 2]
  %3 = add %0, %2 : float32[dim, 2]
  return %3
}
"#;

fn errors_of(text: &str) -> String {
    let module = read(text).unwrap_or_else(|error| panic!("{error}"));
    match verify(module) {
        Ok(_) => String::new(),
        Err(errors) => errors.iter().map(|error| format!("{error}\n")).collect(),
    }
}

/// Replacing one piece of the good module must bring up this error.
#[track_caller]
fn breaks(from: &str, to: &str, wanted: &str) {
    assert!(GOOD.contains(from), "no {from:?}");
    let errors = errors_of(&GOOD.replacen(from, to, 1));
    assert!(errors.contains(wanted), "{from:?} -> {to:?} gave:\n{errors}");
}

#[test]
fn the_good_module_passes() {
    assert_eq!(errors_of(GOOD), "");
}

#[test]
fn entries_and_names() {
    breaks("heads = 2, eps = 0.5", "eps = 0.5", "the entry must give `heads` one value");
    breaks("heads = 2, eps", "heads = 2.5, eps", "the entry's `heads` cannot be 2.5");
    breaks("heads = 2, eps", "heads = 2, other = 1, eps", "no hyperparameter `other`");
}

#[test]
fn layers() {
    breaks("eps: float = 1", "eps: float = later", "Net: the default of `eps`: `later` is not declared");
    breaks("param weight : float32[width]", "param weight : float32[other]", "`weight`: `other` is not declared");
    breaks("param weight : float32[width]", "param weight : float32[...]", "has a pack");
    breaks("param weight : float32[width]", "param weight : float32[?]", "`?` is not known");
    breaks("float32[2] [1.0, 2.0]", "float32[3] [1.0, 2.0, 3.0]", "the values are float32[3], not float32[2]");
    breaks("= @Net.make", "= @make", "`make` has parameters");
    breaks("scale = eps", "scale = other", "`other` is not declared");
    breaks("width = 2 * dim, scale = eps", "width = eps, scale = eps", "`width` is an int");
    breaks("width = 2 * dim, scale", "scale", "`width` must be given one value");
    breaks("repeat i < 3", "repeat dim < 3", "`dim` hides another symbol");
    breaks("method @Part.forward", "method @Net.forward", "is no method of this layer");
    breaks("state mean", "param weight", "two members are called `weight`");
    breaks(
        "let part = Part(width = 2 * dim, scale = eps)",
        "let part = Net(dim = 1, heads = 1, eps = 1)",
        "contains itself",
    );
}

#[test]
fn values_and_symbols() {
    breaks("symbols B: int\n  %w", "symbols C: int\n  %w", "`B` is not declared");
    breaks("symbols B: int\n  %w", "symbols B: int, dim: int\n  %w", "`dim` is declared twice");
    breaks("  require dim % heads == 0 : \"dim must divide\"\n", "", "not float32[B, dim]");
    breaks("    yield %acc\n", "    yield %acc\n    yield %acc\n", "only terminator");
    breaks("  return %v\n", "", "must end in its only terminator");
    breaks("  return %v\n", "  return %w\n", "not float32[B, dim]");
    breaks("    yield %x\n", "    return %x\n", "`return` ends functions");
    breaks("print \"v\", %v", "print \"v\", %q", "`print` uses %q, which is not defined there");
}

#[test]
fn members() {
    breaks(
        "param \"weight\" : float32[dim, 2]\n  %t",
        "param \"weigth\" : float32[dim, 2]\n  %t",
        "no member `weigth`",
    );
    breaks(
        "param \"weight\" : float32[dim, 2]\n  %t",
        "param \"weight\" : float32[2, dim]\n  %t",
        "%w is float32[2, dim]",
    );
    breaks("param \"table\"", "param \"part\"", "`part` is no tensor");
    let reads_more = |from: &str, to: &str, wanted: &str| breaks(from, to, &format!("`twofold`: {wanted}"));
    reads_more(
        "%3 = add %0, %2",
        "%9 = param \"mean\" : float32[2]\n  %3 = add %0, %2",
        "`Net.twofold` reads `mean`, which is no weight, or changes",
    );
    reads_more(
        "param \"table\" : float32[dim, 2]\n  %3",
        "param \"twofold\" : float32[dim, 2]\n  %3",
        "`Net.twofold` reads `twofold`",
    );
    reads_more("%3 = add %0, %2", "print \"v\", %0\n  %3 = add %0, %2", "`Net.twofold` does more than compute");
    breaks(
        "param \"table\" : float32[dim, 2]\n  %m",
        "param \"twofold\" codes : float32[dim, 2]\n  %m",
        "`twofold` is not quantised",
    );
    breaks("param \"table\"", "param \"table\" codes", "`table` is not quantised");
    breaks("set_state \"mean\" %m", "set_state \"weight\" %w", "`weight` is no state");
    breaks("set_state \"mean\" %m", "set_state \"mean\" %w", "%w is float32[dim, 2], not float32[2]");
}

#[test]
fn calls() {
    breaks("at self.part {", "at self.parts {", "has no sublayer `parts`");
    breaks("at self.part {", "{", "a method is called without an instance");
    breaks("at self.blocks[i][0]", "at self.blocks[i]", "`blocks` is a list, not an instance");
    breaks("at self.blocks[i][0]", "at self.blocks[i][1]", "`relu` is a function, not an instance");
    breaks("at self.blocks[i][0]", "at self.blocks[3][0]", "`3` is no position in a list of 3");
    breaks("at self.blocks[i][0]", "at self.blocks[j][0]", "`j` is not declared");
    breaks("at self.blocks[i][0]", "at self.part", "%p is float32[B, 2 * i + 2], not");
    breaks("{n = B, m = dim}", "{n = B}", "`m` must be given one value");
    breaks("{n = B, m = dim}", "{n = B, m = dim, k = 1}", "there is no `k` to give a value");
    breaks("{n = B, m = dim}", "{n = B, m = eps}", "`m` is an int, but `eps` is not");
    breaks(
        "{n = B, m = dim}",
        "{n = B, m = 2 * dim}",
        "%x is float32[B, heads * (dim // heads)], not float32[B, 2 * dim]",
    );
    breaks("call @twice(%x)", "call @twice(%x, %x)", "there are 2 values where 1 are wanted");
    breaks(
        "call @widen(%x) {n = n, m = m, k = 2 * m}",
        "call @twice(%x) {n = n, m = m}",
        "the function `twice` calls itself",
    );
}

#[test]
fn the_rest_of_the_instructions() {
    breaks("= host dim : int64", "= host eps : int64", "`eps` cannot be int64");
    breaks("= const int64 [0] : int64", "= const int64[1] [0] : int64", "not int64[1]");
    breaks("= rng 1 : int64", "= rng 1 : int32", "not int64");
    breaks("%y = if %c", "%y = if %n", "%n is int64, not bool");
    breaks("in %0, %n, %y {", "in %0, %s, %y {", "%s is float32, not int64");
    breaks("for i (%i: int64, %acc: float32[B, dim])", "for i (%i: int64, %acc: float32[B])", "%acc is float32[B]");
    breaks("for i (", "for dim (", "the index `dim` hides another symbol");
    breaks("assert \"holds\" %c", "assert \"holds\" %m", "%m is float32[2], not bool");
    breaks(
        "while (%a: float32[B, dim]) in %z {\n    yield %c",
        "while (%a: float32[B, dim]) in %z {\n    yield %n",
        "%n is int64, not bool",
    );
}

#[test]
fn no_module_makes_it_panic() {
    let chars: Vec<char> = GOOD.chars().collect();
    let mut refused = 0;
    for (position, with) in (0..chars.len()).step_by(3).zip("xB2)i0nm.%".chars().cycle()) {
        let mut changed = chars.clone();
        changed[position] = with;
        if let Ok(module) = read(&changed.iter().collect::<String>()) {
            refused += usize::from(verify(module).is_err());
        }
    }
    assert!(refused > 20, "{refused}");
    // Ids out of range, and an instruction that contains itself.
    let mut module = read(GOOD).unwrap();
    module.functions[2].body.insts.push(crate::ir::InstId(999));
    module.layers[0].methods.push(crate::ir::FuncId(999));
    let errors = verify(module).unwrap_err();
    assert_eq!(errors.len(), 2);
    let mut module = read(GOOD).unwrap();
    let function = &mut module.functions[2];
    let index = function.insts.iter().position(|inst| matches!(inst.kind, crate::ir::InstKind::If { .. })).unwrap();
    if let crate::ir::InstKind::If { then, .. } = &mut function.insts[index].kind {
        then.insts.insert(0, crate::ir::InstId(index as u32));
    }
    let errors = verify(module).unwrap_err();
    assert!(errors.iter().any(|error| error.message.contains("stands in two places")));
}

#[test]
fn operations_are_checked_again_by_their_rules() {
    let check = |line: &str| {
        errors_of(&format!(
            "func @f(%x: float32[n, 3], %w: float32[3, m], %b: bool) -> float32[n, m] {{
  symbols n: int, m: int, e: float
  {line} : float32[n, m]
  return %y
}}
"
        ))
    };
    assert_eq!(check("%y = matmul %x, %w"), "");
    assert!(check("%y = matmul %w, %x").contains("f: `matmul`: "));
    assert!(check("%y = matmul %x, %x").contains("f: `matmul`: "));
    assert!(check("%y = matmul %x").contains("takes 2 operands, not 1"));
    assert!(check("%y = matmul %x, %w {axis = 1}").contains("there is no attribute `axis`"));
    assert!(check("%y = matmul %x, %b").contains("f: `matmul`: "));
    assert!(check("%y = exp %x").contains("is float32[n, m], not float32[n, 3]"));
    assert!(check("%y = zeros {shape = [n, m]}").contains("the attribute `dtype` is missing"));
    assert!(check("%y = zeros {shape = [n, k], dtype = float32}").contains("`k` is not declared"));
    assert!(check("%y = zeros {shape = [n, m], dtype = 3}").contains("the attribute `dtype` cannot be 3"));
    assert_eq!(check("%y = full {shape = [n, m], value = (e) / (2.0), dtype = float32}"), "");
    assert!(check("%y = sum %x {axis = n, keepdim = false}").contains("a rank or attribute is not known"));
}

#[test]
fn parts_of_quantised_storage_have_the_types_of_its_scheme() {
    let check = |line: &str| {
        errors_of(&format!(
            "layer L(n: int, k: int) {{
  require k % 64 == 0 : \"groups\"
  param w : float32[n, k] quantize ternary(axis=0)
  param g : float32[n, k] quantize int4(group=64, symmetric=false)
  method @L.f
}}
func @L.f() {{
  {line}
  return
}}
"
        ))
    };
    assert_eq!(check("%0 = param \"w\" codes : trit[n, k]"), "");
    assert_eq!(check("%0 = param \"w\" scale : float32[n]"), "");
    assert_eq!(check("%0 = param \"g\" codes : uint8[n, k]"), "");
    assert_eq!(check("%0 = param \"g\" scale : float32[n, k // 64]"), "");
    assert!(check("%0 = param \"w\" zero_point : float32[n]").contains("has no such part"));
    assert!(check("%0 = param \"w\" scale : float32").contains("is float32, not float32[n]"));
}

/// What loops collect, what is assigned in place, and names in weights files.
const COLLECTING: &str = r#"files "a.tri"
entry model = Net(dim = 8)

layer Part(width: int) {
  param weight : float32[width] = ones() saved ["w"]
}

layer Net(dim: int) {
  state cache : float32[2, dim, 4] = zeros()
  let parts = repeat k < 3 : Part(width = dim) saved ["part", i + dim]
  method @Net.forward
}

func @Net.forward(%x: float32[T, 4], %at: int64) -> float32[T, 4] {
  symbols T: int
  exported
  %0 = const int64 [0] : int64
  %n = host T : int64
  %row, %rows = for t (%t: int64, %last: float32[4]) in %0, %n, %start {
    yield %last, %last
  } : float32[4], float32[T, 4]
  set_slice "cache" [0, 1] %row, %0, %at
  set_slice "cache" [0, 1 : T] %x, %0, %at
  return %rows
}
"#;

#[track_caller]
fn collecting_breaks(from: &str, to: &str, wanted: &str) {
    let good = COLLECTING.replace("  %n = host", "  %start = const float32[4] splat 0.0 : float32[4]\n  %n = host");
    assert_eq!(errors_of(&good), "");
    assert!(good.contains(from), "no {from:?}");
    let errors = errors_of(&good.replacen(from, to, 1));
    assert!(errors.contains(wanted), "{from:?} -> {to:?} gave:\n{errors}");
}

#[test]
fn loops_that_collect() {
    collecting_breaks(
        "float32[4], float32[T, 4]",
        "float32[4], float32[T + 1, 4]",
        "T turns do not give float32[T + 1, 4]",
    );
    collecting_breaks("yield %last, %last", "yield %last", "there are 1 values where 2 are wanted");
    collecting_breaks("yield %last, %last", "yield %last, %t", "%t is int64, not float32[4]");
    collecting_breaks("in %0, %n, %start", "in %0, %at, %start", "needs bounds that are host numbers");
}

#[test]
fn assignments_in_place() {
    collecting_breaks("\"cache\" [0, 1] %row", "\"parts\" [0, 1] %row", "`parts` is no state");
    collecting_breaks("[0, 1] %row", "[1, 0] %row", "axis 0 is out of place");
    collecting_breaks("[0, 1] %row", "[0, 3] %row", "axis 3 is out of place");
    collecting_breaks("[0, 1] %row, %0, %at", "[0, 1] %row, %0", "there are 2 values where 3 are wanted");
    collecting_breaks("[0, 1 : T] %x", "[0, 1 : U] %x", "`U` is not declared");
    collecting_breaks("[0, 1 : T] %x", "[0, 1 : 2] %x", "%x is float32[T, 4], not float32[2, 4]");
}

#[test]
fn names_in_weights_files() {
    collecting_breaks("[\"part\", i + dim]", "[\"part\"]", "does not tell elements apart");
    collecting_breaks("[\"w\"]", "[\"w\", i]", "does not tell elements apart, or has none");
    collecting_breaks("i + dim]", "i + depth]", "`depth` is not declared");
}

/// Sizes that only a run tells.
const OPEN: &str = r#"
func @main(%x: float32[4]) -> float32[t, 4] {
  fresh t
  %ys = call @halves(%x) binds t : float32[t, 4]
  ensure t >= 2 : "two at least"
  ensure t == 3 : "three"
  %w = slice %ys {axis = 0, start = 0, stop = 2, step = 1} : float32[2, 4]
  %k = const float32[3, 4] splat 1.0 : float32[3, 4]
  %z = add %ys, %k : float32[3, 4]
  %n = host t : int64
  return %z
}

func @halves(%x: float32[4]) -> float32[turns, 4] {
  fresh turns
  %half = const float32 [0.5] : float32
  %last, %all = while turns (%a: float32[4]) in %x {
    %sum = sum %a {axis = none, keepdim = false} : float32
    %go = gt %sum, %half : bool
    yield %go
  } do (%b: float32[4]) {
    %c = mul %b, %half : float32[4]
    %so_far = host turns : int64
    yield %c, %c
  } : float32[4], float32[turns, 4]
  return %all
}
"#;

#[track_caller]
fn open_breaks(from: &str, to: &str, wanted: &str) {
    assert_eq!(errors_of(OPEN), "");
    assert!(OPEN.contains(from), "no {from:?}");
    let errors = errors_of(&OPEN.replacen(from, to, 1));
    assert!(errors.contains(wanted), "{from:?} -> {to:?} gave:\n{errors}");
}

#[test]
fn sizes_that_only_a_run_tells() {
    open_breaks("while turns (", "while (", "needs a name for the number of its turns");
    open_breaks("float32[4], float32[turns, 4]", "float32[4], float32[turns + 1, 4]", "turns turns do not give");
    open_breaks("float32[4], float32[turns, 4]", "float32[4], float32[turns, turns]", "turns turns do not give");
    open_breaks("  fresh turns\n", "", "`turns` is not declared");
    open_breaks("  fresh turns\n", "  fresh turns, more\n", "nothing in the body binds `more`");
    open_breaks(" binds t ", " ", "binds 1 symbols, not 0");
    open_breaks(" binds t ", " binds t, u ", "binds 1 symbols, not 2");
    open_breaks("  ensure t == 3 : \"three\"\n", "", "do not broadcast");
    open_breaks("  ensure t == 3", "  ensure u == 3", "`u` is not declared");
    open_breaks("host turns : int64\n    yield", "host t : int64\n    yield", "`t` is not declared");
    // A size is known from its instruction on, to the end of that one's region.
    open_breaks("  %half = const", "  %early = host turns : int64\n  %half = const", "`turns` is not declared");
    let branch = "%y = if %go {\n %ys = call @halves(%x) binds t : float32[t, 4]\n %n1 = host t : int64\n yield %n1\n \
                  } else {\n %n2 = host t : int64\n yield %n2\n } : int64\n";
    let text = OPEN.replacen("  %ys = call", &format!("  %go = const bool [1] : bool\n{branch}  %zs = call"), 1);
    assert!(errors_of(&text).contains("`t` is not declared"), "{}", errors_of(&text));
}

/// A method without and with each of its optional inputs.
const OPTIONAL: &str = r#"entry model = Net()

layer Net() {
  method @Net.forward
  method @Net.forward_with_mask
}

func @Net.forward(%x: float32[B]) -> float32[B] {
  symbols B: int
  exported
  optional mask = absent, bias = absent
  return %x
}

func @Net.forward_with_mask(%x: float32[B], %mask: float32[B]) -> float32[B] {
  source "forward"
  symbols B: int
  exported
  optional mask = given, bias = absent
  return %x
}
"#;

#[test]
fn optional_inputs() {
    assert_eq!(errors_of(OPTIONAL), "");
    let breaks = |from: &str, to: &str, wanted: &str| {
        assert!(OPTIONAL.contains(from), "no {from:?}");
        let errors = errors_of(&OPTIONAL.replacen(from, to, 1));
        assert!(errors.contains(wanted), "{from:?} -> {to:?} gave:\n{errors}");
    };
    breaks("given, bias = absent", "given, bias = given", "`bias` is no parameter of `Net.forward_with_mask`");
    breaks("mask = given", "mask = absent", "`mask` is a parameter of `Net.forward_with_mask`");
    breaks("mask = given", "mask = absent", "`Net.forward` and `Net.forward_with_mask` take the same optional inputs");
    breaks("given, bias = absent", "given", "`Net.forward` and `Net.forward_with_mask` have other optional inputs");
    breaks(
        "  exported\n  optional mask = absent",
        "  optional mask = absent",
        "`Net.forward` has optional inputs, but",
    );
}

#[test]
fn methods_are_found_by_their_optional_inputs() {
    let module = crate::ir::reader::read(OPTIONAL).unwrap();
    let found = |given: &[&str]| {
        let method = module.method(crate::ir::LayerId(0), "forward", &|name| given.contains(&name)).unwrap();
        module[method].name.clone()
    };
    assert_eq!(found(&[]), "Net.forward");
    assert_eq!(found(&["mask"]), "Net.forward_with_mask");
    assert_eq!(found(&["mask", "bias"]), "Net.forward_with_mask");
    assert_eq!(found(&["bias"]), "Net.forward");
    assert!(module.method(crate::ir::LayerId(0), "decode", &|_| true).is_none());
}

#[test]
fn parts_have_state_and_draw_numbers() {
    let good = GOOD
        .replace("  param weight : float32[width] = ones()\n", "  state sum : float32[width] = ones()\n")
        .replace(
            "%r = rng 1 : int64",
            "%r = rng 1 \"blocks.1.0\" : int64\n  %ps = param \"part.sum\" : float32[2 * dim]",
        )
        .replace("set_state \"mean\" %m", "set_state \"mean\" %m\n  set_state \"part.sum\" %ps");
    assert_eq!(errors_of(&good), "");
    let breaks = |from: &str, to: &str, wanted: &str| {
        assert!(good.contains(from), "no {from:?}");
        let errors = errors_of(&good.replacen(from, to, 1));
        assert!(errors.contains(wanted), "{from:?} -> {to:?} gave:\n{errors}");
    };
    breaks("rng 1 \"blocks.1.0\"", "rng 1 \"blocks.1.1\"", "`rng`: `relu` is a function, not an instance");
    breaks("rng 1 \"blocks.1.0\"", "rng 1 \"blocks.7.0\"", "`rng`: `7` is no position in a list of 3");
    breaks("set_state \"part.sum\"", "set_state \"part.mean\"", "`part.mean` is no state");
    breaks("set_state \"part.sum\" %ps", "set_state \"part.sum\" %m", "%m is float32[2], not float32[2 * dim]");
}

const FUSED: &str = r#"
func @f(%x: float32[n], %c: float32[2]) -> (float32[n], float32[n]) {
  symbols n: int
  %w = exp %x : float32[n]
  %r = rng 1 : int64
  %y, %z = fused (%a: float32[n], %b: float32[n]) in %x, %w {
    %k = host n : float32
    %0 = mul %a, %b : float32[n]
    %1 = mul %0, %k : float32[n]
    yield %1, %0
  } : float32[n], float32[n]
  return %y, %z
}
"#;

#[test]
fn fused_regions_are_closed() {
    assert_eq!(errors_of(FUSED), "");
    let breaks = |from: &str, to: &str, wanted: &str| {
        assert!(FUSED.contains(from), "no {from:?}");
        let errors = errors_of(&FUSED.replacen(from, to, 1));
        assert!(errors.contains(wanted), "{from:?} -> {to:?} gave:\n{errors}");
    };
    breaks("mul %a, %b", "mul %a, %w", "`mul` uses %w, which is not defined there");
    breaks("host n", "host m", "`m`");
    breaks("%k = host n : float32", "%k = rng 2 : int64", "`fused`: `rng` cannot be a part of it");
    breaks("in %x, %w", "in %x, %c", "`fused`: %b is float32[n], not float32[2]");
    breaks("in %x, %w", "in %x", "`fused`: there are 2 values where 1 are wanted");
    breaks("yield %1, %0", "yield %1", "the end of a region: there are 1 values where 2 are wanted");
    breaks("yield %1, %0", "yield %1, %k", "the end of a region: %k is float32, not float32[n]");
    breaks("return %y, %z", "return %y, %1", "`return` uses value 8, which is not defined there");
    breaks("    %k = host", "    assert \"no\" %a\n    %k = host", "`assert` cannot be a part of it");
}
