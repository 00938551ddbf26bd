//! Remedies are offered only where they hold; what whole messages look like stands in
//! `tests/cases/shape_errors/`.

use super::{assert_clean, assert_one, diagnose, open, repaired};
use crate::base::Applicability;

fn titles(text: &str) -> Vec<String> {
    diagnose(text).into_iter().flat_map(|diagnostic| diagnostic.fixes).map(|fix| fix.title).collect()
}

#[test]
fn what_also_fits_the_result_is_chosen() {
    // Both axes could be summed; one gives what is promised.
    let text = "fn f(x: float32[B, N]) -> float32[N] {\n    let total = x.sum(axis=1)\n    return total\n}\n";
    assert_eq!(titles(text), ["write `x.sum(axis=0)`"]);
    assert_clean(&repaired(text));
}

#[test]
fn several_that_hold_are_left_to_choose() {
    let text = "fn f(x: float32[B, T]) {\n    return x @ x\n}\n";
    let found = diagnose(text);
    assert_eq!(titles(text), ["either write `x.T @ x`", "or write `x @ x.T`"]);
    assert!(found[0].fixes.iter().all(|fix| fix.applicability == Applicability::Maybe));
}

#[test]
fn where_nothing_holds_nothing_is_offered() {
    let text = "fn f(a: float32[B, T, D], b: float32[B, S, D]) -> float32[B, T, D] = a + b\n";
    assert_eq!(titles(text), [""; 0]);
    assert!(diagnose(text)[0].notes.iter().any(|note| note.contains("give both one name")));
}

#[test]
fn one_edit_for_two_errors_is_one_mistake() {
    let text = "fn f(x: float32[B, T, D]) -> float32[B, T, D] {\n    let m = x.mean(axis=-1)\n    let a = (x - m) * 2.0\n    \
                return a + (x - m)\n}\n";
    assert_one(text, "E0302", 3, "[B, T]");
    assert_clean(&repaired(text));
}

#[test]
fn a_guess_that_leaves_something_unused_is_none() {
    let text = "use nn.{Linear}\nlayer L(dim: int, hidden: int) {\n    let fc = Linear(dim, hidden)\n    fn forward(x: \
                float32[B, dim]) -> float32[B, dim] = x + fc(x)\n}\n";
    assert_eq!(titles(text), ["perhaps write `Linear(dim, dim)` for `fc`"]);
}

#[test]
fn long_items_are_not_searched_for_long() {
    let remark = "    # what is said here costs nothing to check and must be copied all the same\n".repeat(2500);
    let text = format!(
        "fn f(x: float32[B, N]) -> float32[B, N] {{\n{remark}    let y = x * 2.0\n    return y - y.mean(axis=1)\n}}\n"
    );
    assert!(text.len() > 1 << 17, "{}", text.len());
    // The likeliest candidate is tried, and then the text for copies is used up.
    assert_eq!(titles(&text), ["write `y.mean(axis=1, keepdim=true)`"]);
}

#[test]
fn items_without_such_an_error_are_not_searched() {
    let (project, file) = open("fn f(x: float32[N]) -> float32[N] = x\n\nfn g(x: float32[N]) -> float32[N] = y\n");
    assert_eq!(project.check(file).len(), 1);
    let log = project.database().take_log();
    assert!(!log.executed.iter().any(|query| query.starts_with("advised(")), "{log:#?}");
}

#[test]
fn edits_that_need_each_other_are_one_remedy() {
    let text = "use nn.{LayerNorm}\nlayer L(c: int) {\n    let norm = LayerNorm(c)\n    fn forward(x: float32[B, c, H, W]) -> \
                float32[B, c, H, W] = norm(x)\n}\n";
    assert_eq!(titles(text), ["write `norm(x.permute([0, 2, 3, 1])).permute([0, 3, 1, 2])`"]);
    assert_clean(&repaired(text));
}

#[test]
fn what_the_rule_names_is_what_is_meant() {
    // `...` may end in anything, so that `weight @ x` could hold too.
    let text = "fn f(x: float32[..., K], weight: float32[N, K]) {\n    return x @ weight\n}\n";
    assert_eq!(titles(text), ["write `x @ weight.T`"]);
    assert_eq!(diagnose(text)[0].fixes[0].applicability, Applicability::Certain);
}

#[test]
fn what_leaves_less_unproved_is_chosen() {
    // `x.T @ x` would need as many as `N` columns where it has `D`.
    let text = "fn pairs(x: float32[B, N, D]) -> float32[B, N * (N - 1) // 2] where N >= 2 {\n    let products = x @ x\n    \
                let y = products[:, 1, :1]\n    for i in 2..N { y = concat([y, products[:, i, :i]], axis=1) }\n    return \
                y\n}\n";
    assert_eq!(titles(text), ["write `x @ x.T`"]);
    assert_clean(&repaired(text));
}

#[test]
fn quotients_that_should_be_whole_are_stated_once() {
    let text = "fn half(x: float32[B, H]) -> float32[B, H // 2] = x[:, :H // 2]\n\nfn twice(x: float32[B, H]) -> float32[B, 2 * \
                H] = x.repeat_interleave(2, axis=1)\n\nfn net(x: float32[B, H]) -> float32[B, H] {\n    let y = half(x)\n    let \
                z = half(y)\n    return twice(twice(z) + y)\n}\n";
    assert_eq!(titles(text), ["add `where H % 4 == 0` to the signature"]);
    assert_clean(&repaired(text));
}

#[test]
fn integers_beside_a_float_are_converted() {
    let text = "fn f(n: int) -> float32[n] = arange(0, n) * 0.5\n";
    assert_eq!(titles(text), ["write `arange(0, n).to(float32)`"]);
    assert_clean(&repaired(text));
}
