use crate::interp::{Instance, Machine, RunOptions};
use crate::ir::{FuncId, Part};
use crate::passes::testkit::{check, module, optimised};
use crate::types::{DType, Tensor};
use expect_test::expect;

const NET: &str = r#"entry net = Net(n = 4, k = 3)

layer Norm(n: int) {
  param gain : float32[n] = uniform(0.5, 1.5)
  buffer limit : float32[] = constant(2.0)
  state mean : float32[n] = uniform(-1.0, 1.0)
  state count : float32[] = zeros()
}

layer Net(n: int, k: int) {
  param weight : float32[n, k] = kaiming_uniform()
  param table : float32[k, n] = kaiming_uniform()
  param packed : float32[n, k] quantize int8(axis=0) = kaiming_uniform()
  let norm = Norm(n = n)
  method @Net.forward
  method @Net.other
}

func @Net.forward(%x: float32[B, k]) -> (float32[B, n], float32[B, n], float32[n, B], float32[B, n], float32[n]) {
  symbols B: int
  exported
  %0 = param "weight" : float32[n, k]
  %1 = param "norm.gain" : float32[n]
  %2 = param "norm.mean" : float32[n]
  %3 = sub %1, %2 : float32[n]
  %4 = unsqueeze %3 {axis = -1} : float32[n, 1]
  %scaled = mul %0, %4 : float32[n, k]
  %5 = matmul %x, %scaled {transpose_b = true} : float32[B, n]
  %6 = param "table" : float32[k, n]
  %7 = matmul %x, %6 : float32[B, n]
  %8 = matmul %6, %x {transpose_a = true, transpose_b = true} : float32[n, B]
  %9 = param "packed" codes : int8[n, k]
  %10 = param "packed" scale : float32[n]
  %11 = dequantize %9, %10 {scheme = int8(axis=0), dtype = float32} : float32[n, k]
  %12 = mul %11, %4 : float32[n, k]
  %13 = matmul %x, %12 {transpose_b = true} : float32[B, n]
  %14 = param "norm.limit" : float32
  %15 = param "norm.count" : float32
  %16 = mul %14, %15 : float32
  %17 = mul %1, %16 : float32[n]
  return %5, %7, %8, %13, %17
}

func @Net.other(%x: float32[B, k]) -> float32[B, n] {
  symbols B: int
  exported
  %0 = param "norm.gain" : float32[n]
  %1 = param "norm.mean" : float32[n]
  %2 = sub %0, %1 : float32[n]
  %3 = unsqueeze %2 {axis = -1} : float32[n, 1]
  %4 = param "weight" : float32[n, k]
  %5 = mul %4, %3 : float32[n, k]
  %6 = matmul %x, %5 {transpose_b = true} : float32[B, n]
  return %6
}

func @Norm.count() {
  layer Norm
  %0 = const float32 [1.0] : float32
  set_state "count" %0
  return
}
"#;

#[test]
fn what_depends_on_weights_only_becomes_members() {
    check(
        &["hoist", "dce"],
        NET,
        expect![[r#"
            entry net = Net(n = 4, k = 3)

            layer Norm(n: int) {
              param gain : float32[n] = uniform(0.5, 1.5)
              buffer limit : float32 = constant(2.0)
              state mean : float32[n] = uniform(-1.0, 1.0)
              state count : float32 = zeros()
            }

            layer Net(n: int, k: int) {
              param weight : float32[n, k] = kaiming_uniform()
              param table : float32[k, n] = kaiming_uniform()
              param packed : float32[n, k] quantize int8(axis=0) = kaiming_uniform()
              let norm = Norm(n = n)
              derived scaled : float32[n, k] = @Net.scaled
              derived table_prepared : float32[n, k] = @Net.table_prepared
              derived norm_gain_prepared : float32[n] = @Net.norm_gain_prepared
              method @Net.forward
              method @Net.other
            }

            func @Net.forward(%x: float32[B, k]) -> (float32[B, n], float32[B, n], float32[n, B], float32[B, n], float32[n]) {
              symbols B: int
              exported
              %0 = param "norm.gain" : float32[n]
              %1 = param "norm_gain_prepared" : float32[n]
              %2 = unsqueeze %1 {axis = -1} : float32[n, 1]
              %scaled = param "scaled" : float32[n, k]
              %3 = matmul %x, %scaled {transpose_b = true} : float32[B, n]
              %4 = param "table_prepared" : float32[n, k]
              %5 = matmul %x, %4 {transpose_b = true} : float32[B, n]
              %6 = matmul %4, %x {transpose_b = true} : float32[n, B]
              %7 = param "packed" codes : int8[n, k]
              %8 = param "packed" scale : float32[n]
              %9 = dequantize %7, %8 {scheme = int8(axis=0), dtype = float32} : float32[n, k]
              %10 = mul %9, %2 : float32[n, k]
              %11 = matmul %x, %10 {transpose_b = true} : float32[B, n]
              %12 = param "norm.limit" : float32
              %13 = param "norm.count" : float32
              %14 = mul %12, %13 : float32
              %15 = mul %0, %14 : float32[n]
              return %3, %5, %6, %11, %15
            }

            func @Net.other(%x: float32[B, k]) -> float32[B, n] {
              symbols B: int
              exported
              %0 = param "scaled" : float32[n, k]
              %1 = matmul %x, %0 {transpose_b = true} : float32[B, n]
              return %1
            }

            func @Net.scaled() -> float32[n, k] {
              %0 = param "weight" : float32[n, k]
              %1 = param "norm.gain" : float32[n]
              %2 = param "norm.mean" : float32[n]
              %3 = sub %1, %2 : float32[n]
              %4 = unsqueeze %3 {axis = -1} : float32[n, 1]
              %scaled = mul %0, %4 : float32[n, k]
              return %scaled
            }

            func @Net.table_prepared() -> float32[n, k] {
              %0 = param "table" : float32[k, n]
              %1 = permute %0 {axes = (1, 0)} : float32[n, k]
              return %1
            }

            func @Net.norm_gain_prepared() -> float32[n] {
              %0 = param "norm.gain" : float32[n]
              %1 = param "norm.mean" : float32[n]
              %2 = sub %0, %1 : float32[n]
              return %2
            }
        "#]],
    );
}

/// What reads weights is computed of those that were loaded, once.
#[test]
fn members_follow_the_weights() {
    let before = module(NET);
    let after = optimised(&before, &["hoist", "dce"]);
    let results = |module, changes: &[(&str, f64)]| {
        let mut instance = Instance::entry(module, 3).unwrap();
        let x = Tensor::from_f64(DType::Float32, vec![2, 3], (0..6).map(|v| f64::from(v) / 3.0 - 1.0));
        let mut runs = vec![];
        for (path, factor) in [("weight", 1.0)].iter().chain(changes) {
            let old = instance.get(path, Part::Value).unwrap();
            let new = Tensor::from_f64(old.dtype(), old.shape().to_vec(), old.to_f64().into_iter().map(|v| v * factor));
            instance.set(path, Part::Value, new).unwrap();
            let mut machine = Machine::new(module, RunOptions::default());
            runs.push(machine.run(&mut instance, FuncId(0), std::slice::from_ref(&x)).unwrap());
            runs.push(machine.run(&mut instance, FuncId(0), std::slice::from_ref(&x)).unwrap());
        }
        runs
    };
    let changes = [("norm.gain", 2.0), ("table", -1.0), ("norm.mean", 0.5), ("packed", 3.0)];
    let (wanted, found) = (results(&before, &changes), results(&after, &changes));
    assert_eq!(wanted, found);
    assert!(wanted[0] == wanted[1] && wanted[0] != wanted[2] && wanted[2] != wanted[4]);
}

#[test]
fn constants_that_hyperparameters_make_are_computed_once() {
    check(
        &["hoist", "dce"],
        r#"entry net = Net(n = 4, wide = 1100)

layer Net(n: int, wide: int) {
  param bias : float32[n] = zeros()
  method @Net.forward
}

func @Net.forward(%x: float32[B, n], %s: float32) -> (float32[B, n], float32[n], float32[wide, wide]) {
  symbols B: int
  exported
  %0 = arange {start = 0, stop = n, step = 1, dtype = float32} : float32[n]
  %angles = cos %0 : float32[n]
  %1 = mul %x, %angles : float32[B, n]
  %2 = full {shape = [wide], value = 1.0, dtype = float32} : float32[wide]
  %3 = neg %2 : float32[wide]
  %4 = unsqueeze %3 {axis = -1} : float32[wide, 1]
  %5 = unsqueeze %3 {axis = 0} : float32[1, wide]
  %6 = mul %4, %5 : float32[wide, wide]
  %7 = sum %6 {axis = none, keepdim = false} : float32
  %8 = mul %angles, %7 : float32[n]
  %9 = mul %6, %s : float32[wide, wide]
  return %1, %8, %9
}
"#,
        expect![[r#"
            entry net = Net(n = 4, wide = 1100)

            layer Net(n: int, wide: int) {
              param bias : float32[n] = zeros()
              derived angles : float32[n] = @Net.angles
              derived prepared : float32[wide] = @Net.prepared
              derived prepared_2 : float32[n] = @Net.prepared_2
              method @Net.forward
            }

            func @Net.forward(%x: float32[B, n], %s: float32) -> (float32[B, n], float32[n], float32[wide, wide]) {
              symbols B: int
              exported
              %angles = param "angles" : float32[n]
              %0 = mul %x, %angles : float32[B, n]
              %1 = param "prepared" : float32[wide]
              %2 = unsqueeze %1 {axis = -1} : float32[wide, 1]
              %3 = unsqueeze %1 {axis = 0} : float32[1, wide]
              %4 = mul %2, %3 : float32[wide, wide]
              %5 = param "prepared_2" : float32[n]
              %6 = mul %4, %s : float32[wide, wide]
              return %0, %5, %6
            }

            func @Net.angles() -> float32[n] {
              %0 = arange {start = 0, stop = n, step = 1, dtype = float32} : float32[n]
              %angles = cos %0 : float32[n]
              return %angles
            }

            func @Net.prepared() -> float32[wide] {
              %0 = full {shape = [wide], value = 1.0, dtype = float32} : float32[wide]
              %1 = neg %0 : float32[wide]
              return %1
            }

            func @Net.prepared_2() -> float32[n] {
              %0 = arange {start = 0, stop = n, step = 1, dtype = float32} : float32[n]
              %angles = cos %0 : float32[n]
              %1 = full {shape = [wide], value = 1.0, dtype = float32} : float32[wide]
              %2 = neg %1 : float32[wide]
              %3 = unsqueeze %2 {axis = -1} : float32[wide, 1]
              %4 = unsqueeze %2 {axis = 0} : float32[1, wide]
              %5 = mul %3, %4 : float32[wide, wide]
              %6 = sum %5 {axis = none, keepdim = false} : float32
              %7 = mul %angles, %6 : float32[n]
              return %7
            }
        "#]],
    );
}
