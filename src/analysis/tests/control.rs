use super::{assert_clean, assert_one};

#[test]
fn a_dim_that_a_loop_changes_is_solved() {
    let dense = |result: &str| {
        format!(
            "use nn.{{Linear}}\nlayer D(dim: int, growth: int, depth: int) {{\n    let parts = [Linear(dim + i * growth, growth) for \
             i in 0..depth]\n    fn forward(x: float32[B, dim]) -> float32[B, {result}] {{\n        for part in parts {{ x = \
             concat([x, part(x)], axis=1) }}\n        return x\n    }}\n}}\n"
        )
    };
    assert_clean(&dense("dim + depth * growth"));
    assert_one(&dense("dim + growth"), "E0303", 6, "depth");
    let double = |result: &str| {
        format!(
            "layer D(n: int, depth: int) {{\n    fn forward(x: float32[B, n]) -> float32[B, {result}] {{\n        for _ in 0..depth \
             {{ x = concat([x, x], axis=1) }}\n        return x\n    }}\n}}\n"
        )
    };
    assert_clean(&double("n * 2 ** depth"));
    assert_one(&double("2 * n"), "E0303", 4, "2 ** depth");
}

#[test]
fn a_loop_of_known_length_is_expanded_where_it_must() {
    let text = |result: &str| {
        format!(
            "fn f(x: float32[N]) -> float32[{result}] {{\n    for _ in 0..3 {{ x = concat([x, x]) }}\n    return x\n}}\n"
        )
    };
    assert_clean(&text("8 * N"));
    assert_one(&text("4 * N"), "E0303", 3, "8 * N");
    let long =
        "fn f(x: float32[N]) -> float32[...] {\n    for _ in 0..1000000000 { x = concat([x, x]) }\n    return x\n}\n";
    assert_one(long, "E0404", 2, "too many");
}

#[test]
fn a_mistake_in_a_loop_is_reported_once() {
    assert_one(
        "fn f(x: float32[A, B]) -> float32[A, B] {\n    for i in 0..3 { x = x @ x + i }\n    return x\n}\n",
        "E0301",
        2,
        "[A, B]",
    );
    assert_one(
        "fn f(x: float32[A, B], n: int) -> float32[A, B] {\n    for _ in 0..n { x = x @ x }\n    return x\n}\n",
        "E0301",
        2,
        "[A, B]",
    );
}

#[test]
fn functions_on_host_values_run_at_compile_time() {
    assert_clean(
        "fn factorial(n: int) -> int {\n    let p = 1\n    for i in 1..n + 1 { p *= i }\n    return p\n}\ntest \"t\" { assert \
         zeros([factorial(3)]).shape == [6] }\n",
    );
    let fib = "fn fib(n: int) -> int {\n    if n < 2 { return n }\n    return fib(n - 1) + fib(n - 2)\n}\n";
    assert_clean(&format!("{fib}test \"t\" {{ assert fib(7) == 13 }}\n"));
    assert_one(&format!("{fib}test \"t\" {{ assert fib(7) == 14 }}\n"), "E0408", 5, "fib(7)");
}

#[test]
fn computing_too_much_is_refused() {
    let fib = "fn fib(n: int) -> int {\n    if n < 2 { return n }\n    return fib(n - 1) + fib(n - 2)\n}\n";
    assert_one(&format!("{fib}let a = fib(60)\n"), "E0404", 2, "too many steps");
    let nested = "fn f(n: int) -> int {\n    let p = 0\n    for i in 0..9000 {\n        for j in 0..9000 { p += i * j }\n    }\n    return p + n\n}\nlet a = f(1)\n";
    assert!(super::check(nested).iter().any(|d| d.0 == "E0404"));
    let many = "fn g(n: int) -> int {\n    let a = h(n + 1)\n    let b = h(n + 1)\n    return a + b\n}\nfn h(n: int) -> int {\n    let a = g(n)\n    let b = g(n)\n    return a + b\n}\n";
    assert!(super::check(many).iter().all(|d| d.0 == "E0404"));
}

#[test]
fn branches_agree() {
    let text = |other: &str| {
        format!(
            "fn f(x: float32[A, B]) -> float32[...] {{\n    let y = x\n    if x.sum() > 0.0 {{ y = {other} }}\n    return y\n}}\n"
        )
    };
    assert_clean(&text("-x"));
    assert_one(&text("x.sum(axis=0)"), "E0303", 3, "y");
    assert_one(
        "fn f(x: float32[N]) -> float32[N] {\n    if x > 0.0 { return x }\n    return -x\n}\n",
        "E0304",
        2,
        "one bool",
    );
    assert_one("fn f(x: float32[N]) -> float32[N] {\n    let y = x * 2.0\n    y += 1.0\n}\n", "E0210", 1, "f");
}

#[test]
fn a_while_keeps_its_types() {
    assert_clean("fn f(x: float32[N]) -> float32[N] {\n    while x.sum() > 1.0 { x = x * 0.5 }\n    return x\n}\n");
    assert_one(
        "fn f(x: float32[N]) -> float32[...] {\n    while x.sum() < 9.0 { x = concat([x, x]) }\n    return x\n}\n",
        "E0308",
        2,
        "x",
    );
    assert_one("fn f() -> int {\n    let i = 0\n    while true { i += 1 }\n    return i\n}\n", "E0404", 3, "end");
}

#[test]
fn the_branch_that_a_literal_leaves_out_is_checked() {
    let text = |cond: &str, then: &str, other: &str| {
        format!(
            "fn f(x: float32[N]) -> float32[N] {{\n    if {cond} {{\n        {then}\n    }} else {{\n        {other}\n    }}\n    return x\n}}\n"
        )
    };
    assert_one(&text("true", "x = x + 1.0", "x = relu(y)"), "E0101", 5, "y");
    assert_one(&text("false", "x = relu(y)", "x = x + 1.0"), "E0101", 3, "y");
    assert_clean(&text("false", "return x", "x = x + 1.0"));
    assert_clean(&text("false", "assert 1 == 2", "x = x + 1.0"));
}
