use super::{assert_clean, assert_one, repaired, told};

#[test]
fn element_types_are_not_promoted() {
    let text = "fn f(a: float16[N], b: float32[N]) -> float32[N] = a + b\n";
    assert_one(text, "E0202", 1, "float16 and float32");
    assert_clean(&repaired(text));
    assert_one("fn f(x: float32[N]) -> float32[N] = x + (x > 0.0)\n", "E0202", 1, "bool");
}

#[test]
fn literals_take_the_type_of_their_surroundings() {
    assert_clean("fn f[T: num](x: T[N]) -> T[N] = x * 2\n");
    assert_clean("fn f[T: float](x: T[N]) -> T[N] = x * 2 + 0.5\n");
    assert_clean("fn f[T: num](x: T[N], mask: bool[N], v: float) -> T[N] = where(mask, x, v)\n");
    assert_one("fn f[T: int](x: T[N]) -> T[N] = x * 0.5\n", "E0202", 1, "float");
    assert_one("fn f(x: int32[N]) -> int32[N] = x + 0.5\n", "E0202", 1, "int32");
    assert_one("let w: trit[2] = [1, 2]\n", "E0212", 1, "2");
}

#[test]
fn a_list_of_bools_is_a_bool_tensor() {
    assert_clean("test \"t\" { assert all(tensor([true, false]) == (tensor([1.0, -1.0]) > 0.0)) }\n");
}

#[test]
fn an_int_is_not_a_float() {
    assert_one("fn f(n: int) -> int = n / 2\n", "E0201", 1, "expected int");
    assert!(told("fn f(n: int) -> int = n / 2\n").contains("`//` an int"));
}

#[test]
fn integer_products_are_wide() {
    assert_clean("fn f(a: int8[N, K], b: int8[K, M]) -> int32[N, M] = a @ b\n");
    assert_clean("fn f[T: float](x: T[...S, K], w: trit[N, K]) -> T[...S, N] = x @ w.T\n");
}

#[test]
fn an_opaque_scheme_has_an_unknown_number_of_parts() {
    assert_clean(
        "fn f[T: float](x: T[...S], s: scheme) -> T[...S] {\n    let parts = quantize(x, s)\n    if len(parts) == 2 { \
         return dequantize(parts[0], parts[1], scheme=s, dtype=T) }\n    return dequantize(parts[0], parts[1], parts[2], \
         scheme=s, dtype=T)\n}\n",
    );
}

#[test]
fn optional_tensors_are_used_under_their_condition() {
    let head = "fn f(x: float32[N], m: float32[N] = None) -> float32[N]";
    assert_clean(&format!("{head} {{\n    if m != None {{ return x + m }}\n    return x\n}}\n"));
    assert_one(&format!("{head} = x + m\n"), "E0201", 1, "None");
}

#[test]
fn type_aliases_bring_dims() {
    assert_clean(
        "layer L(n: int) {\n    type Carry = (float32[B, n], float32[B, n])\n    fn forward(x: float32[B, n], c: Carry) -> \
         (float32[B, n], Carry) {\n        let (a, b) = c\n        return x + a, (b, x)\n    }\n}\n",
    );
}
