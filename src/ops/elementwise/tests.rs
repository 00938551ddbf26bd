//! Rules and values of arithmetic.

use super::*;
use crate::ops::Attrs;
use crate::ops::testkit::{eval, rule, rule_error, same, tensor, try_eval, vector};
use crate::types::HostExpr;
use DType::{BFloat16, Bool, Float16, Float32, Float64, Int8, Int32, Int64, UInt8, UInt64};

fn two(op: &str, dtype: DType, a: &[f64], b: &[f64]) -> Vec<f64> {
    eval(op, &[vector(dtype, a), vector(dtype, b)], Attrs::new()).to_f64()
}

fn ints(op: &str, dtype: DType, a: &[i64], b: &[i64]) -> Vec<i64> {
    let operand = |v: &[i64]| Tensor::from_i64(dtype, vec![v.len()], v.to_vec());
    eval(op, &[operand(a), operand(b)], Attrs::new()).as_i64().unwrap().to_vec()
}

fn float(value: f64) -> Attr {
    Attr::Float(HostExpr::float(value))
}

#[test]
fn rules_broadcast_and_keep_packs() {
    let none = Attrs::new;
    assert_eq!(rule("add", &["float32[B, 1, n]", "float32[T, n]"], none()), "float32[B, T, n]");
    assert_eq!(rule("mul", &["int8[...S, n]", "int8[n]"], none()), "int8[...S, n]");
    assert_eq!(rule("sub", &["T[...S]", "T"], none()), "T[...S]");
    assert_eq!(rule("add", &["float32[?]", "float32[n]"], none()), "float32[n] | ? ~ n");
    assert_eq!(rule("neg", &["float16[...S]"], none()), "float16[...S]");
    assert_eq!(rule("bit_or", &["bool[2]", "bool[2]"], none()), "bool[2]");
    assert_eq!(rule("clamp", &["int32[n]"], Attrs::new().with("max", Attr::int(3))), "int32[n]");
}

#[test]
fn rules_name_the_remedy() {
    let none = Attrs::new;
    let clash = rule_error("add", &["float32[B, T]", "float32[B]"], none());
    assert!(clash.starts_with("E0302 shapes [B, T] and [B] do not broadcast: last dims T and B differ"), "{clash}");
    let mixed = rule_error("add", &["float32", "float16"], none());
    assert!(mixed.starts_with("E0202 `add` needs one element type, but these are float32 and float16"), "{mixed}");
    let storage = rule_error("add", &["trit[4]", "trit[4]"], none());
    assert!(storage.contains("`add` takes numbers, not trit; trit is a storage type") && storage.contains(".to("));
    let ints = rule_error("div", &["int32[n]", "int32[n]"], none());
    assert!(ints.starts_with("E0209 `div` takes float elements, not int32; use `//`"), "{ints}");
    assert!(rule_error("mul", &["bool[n]", "bool[n]"], none()).contains("`and`"));
    assert!(rule_error("neg", &["A[n]"], none()).contains("bound `any`: declare it as `num`"));
    assert!(rule_error("shift_left", &["float32", "float32"], none()).contains("takes integers, not float32"));
    assert!(rule_error("clamp", &["int32[n]"], none()).starts_with("E0205"));
    let half = rule_error("clamp", &["int32[n]"], none().with("min", float(0.5)));
    assert!(half.starts_with("E0212 `min` of `clamp` is 0.5"), "{half}");
}

#[test]
fn floats_round_once_to_their_type() {
    assert_eq!(two("add", BFloat16, &[1.0, 256.0], &[0.00390625, 1.0]), [1.0, 256.0]);
    assert_eq!(two("add", Float16, &[2048.0], &[1.0]), [2048.0]);
    assert_eq!(two("mul", Float32, &[1e30], &[1e30]), [f64::INFINITY]);
    assert_eq!(two("div", Float64, &[1.0, 1.0, -1.0], &[3.0, 0.0, 0.0]), [1.0 / 3.0, f64::INFINITY, -f64::INFINITY]);
    assert_eq!(two("div", Float32, &[1.0], &[3.0]), [f64::from(1f32 / 3f32)]);
}

#[test]
fn operands_broadcast() {
    let column = tensor(Float32, &[2, 1], &[1.0, 2.0]);
    let row = vector(Float32, &[10.0, 20.0, 30.0]);
    let sum = eval("add", &[column.clone(), row.clone()], Attrs::new());
    assert_eq!((sum.shape(), sum.to_f64()), (&[2, 3][..], vec![11.0, 21.0, 31.0, 12.0, 22.0, 32.0]));
    let scalar = tensor(Float32, &[], &[5.0]);
    assert_eq!(eval("sub", &[scalar, row.clone()], Attrs::new()).to_f64(), [-5.0, -15.0, -25.0]);
    let empty = tensor(Float32, &[0, 1], &[]);
    assert_eq!(eval("mul", &[empty, row.clone()], Attrs::new()).shape(), [0, 3]);
    assert!(try_eval("mul", &[vector(Float32, &[1.0, 2.0]), row], Attrs::new()).is_err());
}

#[test]
fn integers_wrap() {
    assert_eq!(ints("add", Int8, &[127, -128], &[1, -1]), [-128, 127]);
    assert_eq!(ints("sub", UInt8, &[0], &[1]), [255]);
    assert_eq!(ints("mul", Int32, &[1 << 30], &[4]), [0]);
    assert_eq!(ints("add", Int64, &[i64::MAX], &[1]), [i64::MIN]);
    assert_eq!(ints("floor_div", Int8, &[-128], &[-1]), [-128]);
    assert_eq!(ints("floor_div", Int64, &[i64::MIN], &[-1]), [i64::MIN]);
    assert_eq!(ints("pow", Int8, &[2, 3, -2, 0], &[7, 4, 3, 0]), [-128, 81, -8, 1]);
}

#[test]
fn floor_division_and_remainder_follow_python() {
    assert_eq!(ints("floor_div", Int32, &[7, -7, 7, -7], &[2, 2, -2, -2]), [3, -4, -4, 3]);
    assert_eq!(ints("mod", Int32, &[7, -7, 7, -7], &[3, 3, -3, -3]), [1, 2, -2, -1]);
    assert_eq!(
        two("floor_div", Float32, &[7.0, -7.0, 1.0, 6.0], &[2.0, 2.0, 0.0, -4.0]),
        [3.0, -4.0, f64::INFINITY, -2.0]
    );
    assert_eq!(two("floor_div", Float64, &[1.0], &[0.1]), [9.0]);
    assert_eq!(two("mod", Float32, &[7.5, -7.5, 7.5, -6.0], &[2.0, 2.0, -2.0, 2.0]), [1.5, 0.5, -0.5, 0.0]);
    assert!(two("mod", Float32, &[1.0], &[0.0])[0].is_nan());
    assert_eq!(two("mod", Float64, &[1.0], &[f64::INFINITY]), [1.0]);
    let by_zero = try_eval("floor_div", &[vector(Int32, &[1.0, 2.0]), vector(Int32, &[1.0, 0.0])], Attrs::new());
    assert!(by_zero.unwrap_err().0.contains("division by zero, at element 1"));
    assert!(try_eval("mod", &[vector(Int32, &[]), vector(Int32, &[])], Attrs::new()).is_ok());
    let whole = try_eval("div", [vector(Int32, &[1.0]), vector(Int32, &[1.0])], Attrs::new()).unwrap_err();
    assert_eq!(whole.0, "div: not defined for int32");
    assert!(try_eval("pow", &[vector(Int32, &[2.0]), vector(Int32, &[-1.0])], Attrs::new()).is_err());
}

#[test]
fn unsigned_64_bit_integers_use_their_bits() {
    assert_eq!(ints("floor_div", UInt64, &[-1], &[2]), [i64::MAX]);
    assert_eq!(ints("mod", UInt64, &[-1], &[10]), [5]);
    assert_eq!(ints("maximum", UInt64, &[-1, 3], &[1, 4]), [-1, 4]);
    assert_eq!(ints("minimum", UInt64, &[-1], &[1]), [1]);
    assert_eq!(ints("shift_right", UInt64, &[-1], &[63]), [1]);
    let x = Tensor::from_i64(UInt64, vec![2], vec![-1, 5]);
    assert_eq!(eval("clamp", &[x], Attrs::new().with("max", Attr::int(9))).as_i64(), Some(&[9, 5][..]));
}

#[test]
fn extremes_propagate_nan() {
    let nan = f64::NAN;
    assert!(same(&two("maximum", Float32, &[1.0, nan, 2.0], &[3.0, 1.0, nan]), &[3.0, nan, nan]));
    assert!(same(&two("minimum", Float32, &[1.0, nan], &[-3.0, 1.0]), &[-3.0, nan]));
}

#[test]
fn bits_and_shifts() {
    assert_eq!(ints("bit_and", Int8, &[12, -1], &[10, 7]), [8, 7]);
    assert_eq!(ints("bit_or", UInt8, &[12], &[3]), [15]);
    assert_eq!(ints("bit_xor", Bool, &[1, 1], &[1, 0]), [0, 1]);
    assert_eq!(ints("shift_left", Int8, &[1, 64, 1, 1], &[3, 1, 8, -1]), [8, -128, 0, 0]);
    assert_eq!(ints("shift_right", Int8, &[-8, 8, -8, 8], &[1, 1, 9, -1]), [-4, 4, -1, 0]);
    let not = |dtype, value| eval("bit_not", &[vector(dtype, &[value])], Attrs::new()).to_f64();
    assert_eq!((not(UInt8, 1.0), not(Bool, 1.0), not(Int32, 0.0)), (vec![254.0], vec![0.0], vec![-1.0]));
}

#[test]
fn signs() {
    let one = |op, dtype, values: &[f64]| eval(op, &[vector(dtype, values)], Attrs::new()).to_f64();
    assert_eq!(one("sign", Float32, &[-2.0, -0.0, 5.0, f64::NAN]), [-1.0, 0.0, 1.0, 0.0]);
    assert_eq!(one("sign", UInt8, &[200.0, 0.0]), [1.0, 0.0]);
    assert_eq!(one("abs", Int8, &[-128.0, -3.0]), [-128.0, 3.0]);
    assert!(one("neg", Float32, &[0.0])[0].is_sign_negative());
    assert_eq!(one("neg", UInt8, &[1.0]), [255.0]);
}

#[test]
fn clamps() {
    let x = vector(Float32, &[-2.0, 0.5, 9.0, f64::NAN]);
    let both = Attrs::new().with("min", float(-1.0)).with("max", Attr::int(1));
    assert!(same(&eval("clamp", [x.clone()], both).to_f64(), &[-1.0, 0.5, 1.0, f64::NAN]));
    let low = Attrs::new().with("min", Attr::int(0)).with("max", Attr::None);
    assert!(same(&eval("clamp", [x.clone()], low).to_f64(), &[0.0, 0.5, 9.0, f64::NAN]));
    let crossed = Attrs::new().with("min", float(3.0)).with("max", float(2.0));
    assert_eq!(eval("clamp", &[vector(Int32, &[7.0, 0.0])], crossed).to_f64(), [2.0, 2.0]);
    let rounded = Attrs::new().with("max", float(0.1));
    assert_eq!(eval("clamp", &[x], rounded).to_f64()[1], f64::from(0.1f32));
}
