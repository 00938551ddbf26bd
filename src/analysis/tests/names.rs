use super::{assert_clean, assert_one, check, repaired};

#[test]
fn an_unknown_name_is_reported_once_with_the_nearest() {
    let text = "fn f(x: float32[N]) -> float32[N] {\n    let y = sofmax(x)\n    let z = y + 1.0\n    return z * y\n}\n";
    assert_one(text, "E0101", 2, "sofmax");
    assert_clean(&repaired(text));
}

#[test]
fn a_member_that_is_missing_is_reported_once() {
    assert_one("fn f(x: float32[N]) -> float32[N] = x.sofmax()\n", "E0107", 1, "sofmax");
}

#[test]
fn items_are_defined_once() {
    assert_one("fn f(x: float32[N]) = x\nfn f(x: float32[N]) = -x\n", "E0102", 2, "f");
    assert_one("layer L(n: int) {\n    param n: float32[3]\n}\n", "E0102", 2, "n");
    assert_clean("fn f(x: float32[N]) -> float32[N] {\n    let y = x\n    let y = y + 1.0\n    return y\n}\n");
}

#[test]
fn unused_variables_are_a_warning() {
    assert_one("fn f(x: float32[N]) -> float32[N] {\n    let y = x\n    return x\n}\n", "W0101", 2, "y");
    assert_clean("fn f(x: float32[N]) -> float32[N] {\n    let _y = x\n    return x\n}\n");
    assert_one("use nn.{Linear, Conv2d}\nlet fc = Linear(2, 3)\n", "W0101", 1, "Conv2d");
    // A dim may use a name, and so may a run of dims.
    assert_clean(
        "fn f(n: int) -> float32[?] {\n    let m = n + 1\n    let x: float32[m] = zeros([n + 1])\n    return x\n}\n",
    );
}

#[test]
fn what_follows_from_broken_syntax_is_not_reported() {
    let text = "use nn.{{Linear}\nlayer L {\n    let a = Linear(2, 3)\n    fn forward(x: float32[B, 2]) -> float32[B, 3] = a(x)\n}\n";
    assert!(check(text).iter().all(|d| d.0.starts_with("E00")), "{:?}", check(text));
}

#[test]
fn attributes_are_known() {
    assert_one("layer L {\n    @transiant\n    state s: float32[2]\n}\n", "E0108", 2, "transiant");
    assert_one("@map(pytroch=\"F.gelu({x})\")\nfn f(x: float32[N]) = x\n", "E0605", 1, "pytroch");
}

#[test]
fn what_is_fixed_cannot_be_assigned() {
    let body = |stmt: &str| {
        format!(
            "layer L(n: int) {{\n    let k = 2 * n\n    fn forward(x: float32[n]) -> float32[n] {{\n        {stmt}\n        return x\n    }}\n}}\n"
        )
    };
    assert_one(&body("n = 3"), "E0211", 4, "n");
    assert_one(&body("k = 3"), "E0211", 4, "k");
    assert_clean(&body("x = x + 1.0"));
    assert_one("fn f() -> int {\n    z = 3\n    return 1\n}\n", "E0101", 2, "z");
}

#[test]
fn a_failed_import_is_the_only_report() {
    let found = check("use nn.{Linaer}\nlet a = Linaer(2, 3)\nlayer L(m: Linaer) {\n    let b = Linaer(1, 2)\n}\n");
    assert_eq!(found.iter().map(|f| f.0.as_str()).collect::<Vec<_>>(), ["E0104"]);
}

#[test]
fn a_constant_that_is_assigned_becomes_a_variable() {
    let script = "const N = 4\nprint(N)\nN = 7\nprint(N)\n";
    assert_one(script, "E0211", 3, "`N` is a constant");
    assert_eq!(repaired(script), script.replace("const N", "let N"));
    assert_clean(&repaired(script));
    let function = "const N = 4\nfn f() -> int {\n    N = 5\n    return N\n}\n";
    assert_one(function, "E0211", 3, "`N` is a constant");
    assert_eq!(repaired(function), function.replace("    N = 5", "    let N = 5"));
    assert_clean(&repaired(function));
}
