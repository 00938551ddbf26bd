//! Mistakes where a walk does not come by on its own: defaults, bodies under conditions and loops of which
//! nothing is known, arguments beside one that is not known.

use super::{assert_clean, assert_one};

#[test]
fn a_default_is_looked_at_though_nobody_leaves_it_out() {
    assert_one(
        "layer Net(dim: int, hidden: int = 2 * dims) {\n    fn forward(x: float32[B, dim]) = x\n}\n",
        "E0101",
        1,
        "dims",
    );
    assert_one("fn scale(x: float32[N], by: float = factor) -> float32[N] = x * by\n", "E0101", 1, "factor");
}

#[test]
fn both_ways_of_an_unknown_condition_are_looked_at() {
    let text = "fn f(x, scheme: scheme) {\n    let parts = quantize(x, scheme)\n    if len(parts) == 2 {\n        return \
                missing\n    }\n    return parts\n}\n";
    assert_one(text, "E0101", 4, "missing");
}

#[test]
fn the_first_turn_of_a_loop_has_what_came_in() {
    let text = "fn f(x: float32[N], turns: int) -> float32[N] {\n    let y = relu\n    for _ in 0..turns { y = y * x }\n    \
                return x\n}\n";
    assert_one(text, "E0201", 3, "a tensor is needed here, not a function");
    let text = "fn f(items, x: float32[N]) -> float32[N] {\n    for item in items { let y = item + missing }\n    return x\n}\n";
    assert_one(text, "E0101", 2, "missing");
}

#[test]
fn arguments_are_judged_beside_one_that_is_not_known() {
    let text =
        "fn f(codes, scales: float32[N], scheme: scheme) = dequantize(codes, scales, scheme=scheme, dtype=relu)\n";
    assert_one(text, "E0201", 1, "must be an element type");
}

#[test]
fn a_name_that_is_missing_is_told_once_a_body() {
    let text = "fn f() {\n    let a = missing + 1\n    let b = missing * 2\n    return a + b + missing\n}\n";
    assert_one(text, "E0101", 2, "missing");
}

#[test]
fn a_type_that_is_missing_is_told_where_it_stands() {
    let text = "fn f(x: flaot32[N]) = x\n\nfn g(x: float32[N]) = f(x)\n\nfn h(x: float32[N]) = f(x)\n";
    assert_one(text, "E0208", 1, "flaot32");
}

#[test]
fn conditions_are_one_bool_in_assertions_too() {
    assert_one("test \"t\" {\n    assert ones([2]) > 0.0\n}\n", "E0304", 2, "a condition must be one bool");
}

#[test]
fn a_tuple_is_no_tensor() {
    assert_one("fn f(x: float32[N]) -> float32[N] = (-x, -1)\n", "E0201", 1, "a tuple");
}

#[test]
fn a_list_of_ints_is_no_int() {
    let text = "layer A(n: int) {}\n\nlayer B(sizes: [int]) {\n    let a = A(sizes)\n}\n";
    assert_one(text, "E0201", 4, "must be int");
}

#[test]
fn literals_bind_the_variables_of_a_signature() {
    assert_clean("fn f(x: float32[N]) -> float32[N] = x\n\nfn g() -> float32[3] = f([1.0, 2.0, 3.0])\n");
    assert_clean("fn g() -> float32 = relu(3.0)\n");
    assert_clean("fn g(x: float32[N]) -> float32[N] = maximum(relu([1.0]), x)\n");
}

#[test]
fn functions_that_always_call_themselves() {
    assert_one("fn f(x: float32[N]) -> float32[N] = f(x)\n", "E0213", 1, "`f` calls itself");
    // Both ways of a condition over tensors are compiled.
    let text = "fn f(x: float32[N]) -> float32[N] {\n    if x.max() > 1.0 { x = x.f() }\n    return x\n}\n";
    assert_one(text, "E0213", 2, "`f` calls itself");
    let text = "layer A {\n    fn forward(x: float32[N]) -> float32[N] = x |> forward\n}\n";
    assert_one(text, "E0213", 2, "calls itself");
    assert_clean(
        "fn f(x: float32[N], n: int) -> float32[N] {\n    if n == 0 { return x }\n    return f(x, n - 1)\n}\n",
    );
}

#[test]
fn functions_that_always_call_each_other() {
    let found = super::check("fn f(x: float32[N]) -> float32[N] = g(x)\nfn g(x: float32[N]) -> float32[N] = f(x)\n");
    assert_eq!(
        found.iter().map(|f| (f.0.as_str(), f.1)).collect::<Vec<_>>(),
        [("E0213", 1), ("E0213", 2)],
        "{found:?}"
    );
}

#[test]
fn a_layer_that_needs_its_own_result_ends() {
    let text = "layer Net(dim: int) {\n    let body = [[Net(dim), relu] for _ in 0..2]\n    fn forward(x) {\n        for block \
                in body { x += block(x) }\n        return x\n    }\n}\n";
    assert!(super::check(text).len() <= 1);
}

#[test]
fn instances_of_tests_are_checked_with_their_values() {
    let text = "layer A(sizes: [int]) {\n    let last = sizes[2]\n    fn forward(x: float32[N]) -> float32[N] = x * \
                last\n}\n\ntest \"t\" {\n    assert A(sizes=[1, 2])(ones([3])).sum() > 0.0\n}\n";
    let found = super::check(text);
    assert_eq!(found.iter().map(|f| f.0.as_str()).collect::<Vec<_>>(), ["E0309"], "{found:?}");
}

#[test]
fn hyperparameters_of_an_instance_that_is_given_have_names() {
    let cell = "layer Cell(width: int) {}\n\n";
    for body in [
        "fn f(l: Cell) -> int = l.widht\n",
        "fn f(l: Cell, n: int) -> int = n + l.widht\n",
        "fn f(l: Cell, x: float32[B, l.widht]) = x\n",
        "layer Net(cell: Cell) { let width = cell.widht }\n",
        "fn f(pair: (Cell, Cell)) -> int = pair[0].widht\n",
    ] {
        let text = format!("{cell}{body}");
        assert_one(&text, "E0107", 3, "layer `Cell` has no `widht`");
        assert!(super::told(&text).contains("did you mean `width`?"), "{body}");
    }
    assert_clean(&format!("{cell}fn f(all: [Cell]) -> int = all[0].width\n"));
}

#[test]
fn calls_with_known_sizes_reach_the_bounds_of_the_body() {
    let first = "fn first(x: float32[N]) -> float32[3] = x[:3]\n\n";
    assert_clean(&format!("{first}fn g(x: float32[M]) -> float32[3] = first(x)\n"));
    assert_clean(&format!("{first}fn g() -> float32[3] = first(ones([3]))\n"));
    assert_one(
        &format!("{first}fn g() -> float32[3] = first(ones([2]))\n"),
        "E0309",
        3,
        "ends after the axis of size 2",
    );
    let through = "fn through(x: float32[N]) -> float32[3] = first(x)\n\n";
    let text = format!("{first}{through}test \"t\" {{\n    assert through(ones([2])).sum() > 0.0\n}}\n");
    assert_one(&text, "E0309", 6, "ends after the axis of size 2");
}

#[test]
fn methods_with_known_sizes_are_reached_as_well() {
    let text = |size: i64| {
        format!(
            "layer First(k: int) {{\n    fn forward(x: float32[N]) -> float32[k] = x[:k]\n}}\n\ntest \"t\" {{\n    assert \
             First(k=5)(ones([{size}])).sum() > 0.0\n}}\n"
        )
    };
    assert_clean(&text(5));
    assert_one(&text(4), "E0309", 6, "ends after the axis of size 4");
}

#[test]
fn known_sizes_decide_conditions() {
    let text = |n: i64| {
        format!(
            "fn f(x: float32[N], n: int) -> float32[3] {{\n    if n == 0 {{ return x[:3] }}\n    return zeros([3])\n}}\n\nfn \
             g() -> float32[3] = f(ones([2]), {n})\n"
        )
    };
    assert_clean(&text(1));
    assert_one(&text(0), "E0309", 6, "ends after the axis of size 2");
}

#[test]
fn functions_that_call_each_other_with_known_sizes_end() {
    let text = "fn f(x: float32[N], n: int) -> float32[3] {\n    if n == 0 { return ones([3]) }\n    return g(ones([3]), n \
                - 1)\n}\n\nfn g(x: float32[N], n: int) -> float32[3] {\n    if n == 0 { return ones([3]) }\n    return \
                f(ones([2]), 5)\n}\n";
    assert_clean(text);
}
