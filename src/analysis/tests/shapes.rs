use super::{assert_clean, assert_one, repaired, told};

const FORGETFUL: &str = "layer Lin(n: int, k: int) {\n    param weight: float32[n, k]\n    fn forward(x: float32[B, k]) -> \
                         float32[B, n] = x @ weight\n}\n";

#[test]
fn a_missing_transpose_names_shapes_dims_origins_and_the_fix() {
    assert_one(FORGETFUL, "E0301", 3, "[B, k] by [n, k]");
    let told = told(FORGETFUL);
    for part in [
        "dimensions k and n differ",
        "its last dim is k",
        "`k` comes from here",
        "`n` comes from here",
        "`x @ weight.T`",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_clean(&repaired(FORGETFUL));
}

#[test]
fn swapped_axes_are_transposed() {
    let text = "fn f(x: float32[A, B]) -> float32[B, A] = x\n";
    assert_one(text, "E0303", 1, "expected float32[B, A]");
    assert_clean(&repaired(text));
}

#[test]
fn facts_make_quotients_whole() {
    let layer = |facts: &str| {
        format!(
            "layer L(dim: int, heads: int){facts} {{\n    fn forward(x: float32[B, T, dim]) -> float32[B, heads, T, dim // \
             heads] {{\n        return x.reshape([B, T, heads, dim // heads]).transpose(1, 2)\n    }}\n}}\n"
        )
    };
    assert_clean(&layer(" where dim % heads == 0"));
    assert_one(&layer(""), "E0306", 3, "dim");
}

#[test]
fn convolution_arithmetic_is_symbolic() {
    let layer = |result: &str| {
        format!(
            "use nn.{{Conv2d}}\nlayer L(c: int) {{\n    let conv = Conv2d(c, c, 2, stride=2)\n    fn forward(x: float32[B, c, \
             H, W]) -> float32[B, c, {result}] where H >= 2, W >= 2 = conv(x)\n}}\n"
        )
    };
    assert_clean(&layer("H // 2, W // 2"));
    assert_one(&layer("H, W // 2"), "E0303", 4, "H");
}

#[test]
fn dims_must_resolve() {
    assert_one("fn f(x: float32[n]) -> float32[n] = x\n", "E0307", 1, "n");
    assert_one("fn f(x: float32[N * p]) -> float32[N] = x.sum()\n", "E0307", 1, "p");
}

#[test]
fn packs_stand_for_any_dims() {
    assert_clean("fn f[T: float](x: T[...S, A, C]) -> T[...S, A * C] = x.reshape([...S, A * C])\n");
    assert_clean("fn f(x: float32[...S]) -> float32[...S] = x * 2.0\n");
    assert_one("fn f(x: float32[...S, A]) -> float32[...S] = x\n", "E0303", 1, "expected");
}

#[test]
fn slices_have_their_size() {
    assert_clean("fn f(x: float32[N, K]) -> float32[N - 1, K] where N >= 2 = x[1:] + x[:-1]\n");
    assert_clean("fn f(x: float32[A, B, C]) -> float32[A, 1, B] where C >= 1 = x[..., -1][:, None]\n");
    assert_one("fn f(x: float32[4]) -> float32[?] = x[2:6]\n", "E0309", 1, "6");
}

#[test]
fn updates_select_along_several_axes() {
    let body = |stmt: &str| {
        format!("fn f(x: float32[A, 3, 4], i: int64) -> float32[A, 3, 4] {{\n    {stmt}\n    return x\n}}\n")
    };
    assert_clean(&body("x[:, 0, 1:3] = x[:, 1, 1:3] * 2.0"));
    assert_clean(&body("x[..., -1] = 0.0"));
    assert_clean(&body("x[:, i] = x[:, 0]"));
    assert_clean(&body("x[:, i, 1:3] = 1.0"));
    assert_one(&body("x[:, 0, 1:3] = ones([A, 3])"), "E0302", 2, "3");
}

#[test]
fn an_argument_of_another_rank_is_told_so() {
    let text = "layer L {\n    fn forward(x: float32[B, 4]) -> float32[B, 4] = x\n}\nlet l = L()\ntest \"t\" { assert l(zeros([4])).shape == [1, 4] }\n";
    assert_one(text, "E0304", 5, "must be float32[B, 4], of rank 2");
}
