use super::{assert_clean, assert_one, check, told};

#[test]
fn hyperparameters_are_checked() {
    let linear = "use nn.{Linear}\n";
    assert_one(&format!("{linear}let a = Linear(3)\n"), "E0402", 2, "out_features");
    assert_one(&format!("{linear}let a = Linear(3, \"x\")\n"), "E0201", 2, "out_features");
    assert_one(&format!("{linear}let a = Linear(3, 4, bais=true)\n"), "E0204", 2, "bais");
    assert_clean(&format!("{linear}let a = Linear[bfloat16](3, 4, bias=false)\n"));
}

#[test]
fn facts_of_a_layer_are_shown_as_written() {
    let text = "use nn.{MultiHeadAttention}\nlet a = MultiHeadAttention(dim=64, heads=6)\n";
    assert_one(text, "E0403", 2, "dim % heads == 0");
    assert!(told(text).contains("here dim = 64, heads = 6"), "{}", told(text));
}

#[test]
fn the_enclosing_hyperparameters_are_passed_on() {
    assert_clean(
        "use nn.{Linear}\nlayer Outer(in_features: int, out_features: int) {\n    let fc = Linear(..., bias=false)\n    fn \
         forward(x: float32[B, in_features]) -> float32[B, out_features] = fc(x)\n}\n",
    );
}

#[test]
fn functional_layers_are_written_out() {
    assert_clean("layer D(w: trit[8, 4], x: float32[B, 8]) -> float32[B, 4] { return x @ w }\n");
    assert_clean(
        "layer L(n: int) -> TernaryTensor {\n    param w: trit[n, n]\n    fn forward(x: float32[B, n]) -> float32[B, n] = x @ \
         w.T\n}\n",
    );
}

#[test]
fn a_layer_that_holds_itself_has_no_end() {
    assert_one(
        "layer T(n: int) {\n    let t = T(n)\n    fn forward(x: float32[N]) -> float32[N] = t(x)\n}\n",
        "E0213",
        2,
        "T",
    );
    let mutual = check("layer A {\n    let b = [B()]\n}\nlayer B {\n    let a = A()\n}\n");
    assert_eq!(mutual.iter().map(|f| (f.0.as_str(), f.1)).collect::<Vec<_>>(), [("E0213", 2), ("E0213", 5)]);
    assert_clean(
        "layer T(n: int) {\n    let t if n > 0 = T(n - 1)\n    fn forward(x: float32[N]) -> float32[N] = x\n}\n",
    );
}

#[test]
fn conditional_members_are_used_under_their_condition() {
    let layer = |body: &str| {
        format!(
            "layer L(n: int, bias: bool = true) {{\n    param b: float32[n] if bias\n    fn forward(x: float32[n]) -> float32[n] {{\n        {body}\n        return x\n    }}\n}}\n"
        )
    };
    assert_clean(&layer("if bias { return x + b }"));
    assert_one(&layer("x = x + b"), "E0403", 4, "bias");
}

#[test]
fn instances_are_checked_with_their_values() {
    let layer = "layer L(n: int) {\n    fn forward(x: float32[B, n]) -> float32[B, n] {\n        assert n % 2 == 0, \"even\"\n        return x\n    }\n}\n";
    assert_clean(layer);
    assert_clean(&format!("{layer}let l = L(4)\n"));
    assert_one(&format!("{layer}let l = L(3)\n"), "E0408", 3, "even");
    let outer = format!("{layer}layer M {{\n    let parts = [L(i) for i in 2..4]\n}}\nlet m = M()\n");
    assert_one(&outer, "E0408", 3, "even");
}

#[test]
fn schemes_are_checked_where_they_stand() {
    let layer = |scheme: &str, ty: &str| format!("layer L {{\n    @quantize({scheme})\n    param w: {ty}\n}}\n");
    assert_one(&layer("int8(axis=2)", "float32[4, 4]"), "E0501", 2, "axis 2");
    assert_one(&layer("int4(group=64)", "float32[8, 100]"), "E0501", 2, "64");
    assert_one(&layer("ternary(rule=\"median\")", "float32[4]"), "E0501", 2, "median");
    assert_one(&layer("int8()", "int32[4]"), "E0502", 2, "int32");
    assert_clean(&layer("ternary(axis=0)", "float32[4, 4]"));
}

#[test]
fn functions_make_layers_for_the_let_that_receives_them() {
    assert_clean(
        "use nn.{Linear}\nfn block(n: int, m: int) = [Linear(n, m), relu]\nlayer L(n: int) {\n    let a = block(n, 2 * n)\n    fn \
         forward(x: float32[B, n]) -> float32[B, 2 * n] = a(x)\n}\nlet l = L(4)\n",
    );
    let inside = "use nn.{Linear}\nfn f(x: float32[B, 4]) -> float32[B, 4] = Linear(4, 4)(x)\n";
    assert_one(inside, "E0401", 2, "Linear");
}
