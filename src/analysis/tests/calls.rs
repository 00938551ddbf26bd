use super::{assert_clean, assert_one, diagnose, told};

#[test]
fn arguments_bind_once() {
    assert_one("fn f(x: float32[N]) -> float32[N] = relu(x, x)\n", "E0203", 1, "relu");
    assert_one("fn f(x: float32[N]) -> float32[N] = softmax(x, dim=-1)\n", "E0204", 1, "dim");
    assert!(told("fn f(x: float32[N]) -> float32[N] = softmax(x, dim=-1)\n").contains("did you mean `axis`?"));
    assert_one("fn f(x: float32[N]) -> float32[N] = softmax(x, -1, axis=-1)\n", "E0206", 1, "axis");
    assert_one("fn f(x: float32[N]) -> float32[N] = where(x > 0.0, x)\n", "E0205", 1, "b");
    assert_one("fn f(x: float32[N]) -> float32[N] {\n    let k = 2.0\n    return k(x)\n}\n", "E0207", 3, "float");
}

#[test]
fn defaults_use_what_was_bound_before() {
    assert_clean(
        "fn f(x: float32[N], k: int = N, s: float = 0.5 * k) -> float32[N] = x * s\ntest \"t\" { assert f(ones([3])).shape == [3] }\n",
    );
}

#[test]
fn placeholders_make_functions() {
    assert_clean(
        "fn f(x: float32[4, 8]) -> float32[4, 2] {\n    let best = topk(_, k=2)\n    let (v, _) = best(x)\n    return v\n}\n",
    );
}

#[test]
fn lists_are_called_in_order() {
    assert_clean(
        "test \"t\" {\n    assert ([relu, exp, neg])(ones([2])).shape == [2]\n    assert [](ones([2])).shape == [2]\n}\n",
    );
    let text = "use nn.{Linear}\nlayer L {\n    let net = [Linear(4, 8), relu, Linear(9, 2)]\n    fn forward(x: float32[B, 4]) -> float32[B, 2] = net(x)\n}\n";
    assert_one(text, "E0303", 4, "float32[..., 9]");
}

#[test]
fn dims_of_a_call_are_solved() {
    assert_clean(
        "fn half(x: float32[2 * N]) -> float32[N] = x[:N]\ntest \"t\" { assert half(ones([6])).shape == [3] }\n",
    );
    assert_one(
        "fn pair(x: float32[N], y: float32[N]) -> float32[N] = x + y\ntest \"t\" { assert pair(ones([2]), ones([3])).shape == [2] }\n",
        "E0303",
        2,
        "y",
    );
}

#[test]
fn endless_recursion_is_refused() {
    let text = "fn f(n: int) -> int = f(n + 1)\n";
    assert_one(text, "E0404", 1, "deep");
    let [diagnostic] = diagnose(text).try_into().unwrap();
    let [label] = diagnostic.labels.as_slice() else { panic!("{:#?}", diagnostic.labels) };
    assert_eq!(&text[label.span.start as usize..label.span.end as usize], "f(n + 1)");
    // Who calls it is not to blame.
    assert_one(&format!("{text}const A = f(1)\nconst B = f(2) + A\n"), "E0404", 1, "deep");
}
