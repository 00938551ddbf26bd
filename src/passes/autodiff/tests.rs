//! IR text in, IR text out, and gradients against differences.

use super::*;
use crate::base::philox;
use crate::interp::{Instance, Machine, RunOptions, Stacked};
use crate::ir::Part;
use crate::ir::printer::print;
use crate::ir::reader::read;
use crate::types::{DType, HostValue, Symbol, Tensor};
use expect_test::{Expect, expect};
use std::collections::BTreeMap;

fn module(text: &str) -> Verified {
    let module = read(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    verify(module).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

/// With all gradients of float results given.
fn differentiate_all(text: &str) -> super::Result<Differentiated> {
    let module = module(text);
    let given = float_results(&module);
    differentiate(module, FuncId(0), &given)
}

fn float_results(module: &Verified) -> Vec<usize> {
    let results = module.functions[0].results.iter().enumerate();
    results.filter(|(_, ty)| ty.dtype().is_some_and(DType::is_float)).map(|(index, _)| index).collect()
}

fn derive(text: &str) -> Differentiated {
    differentiate_all(text).unwrap_or_else(|error| panic!("{error:?}"))
}

/// The functions that were added, as text; the gradients are right, too.
fn check(text: &str, wanted: Expect) {
    agree(text);
    let before = module(text).functions.len();
    let printed = print(&derive(text).module);
    let functions: Vec<&str> = printed.split("\nfunc ").skip(1).collect();
    let first = functions.len() - (derive(text).module.functions.len() - before);
    let added: Vec<String> = functions[first..].iter().map(|function| format!("func {function}\n")).collect();
    wanted.assert_eq(added.concat().trim_end_matches('\n'));
}

fn uniform(seed: i64, shape: &[usize]) -> Tensor {
    let count = shape.iter().product();
    let values = philox::words(seed).take(count).map(|word| 2.0 * philox::uniform(word) - 1.0);
    Tensor::from_f64(DType::Float64, shape.to_vec(), values)
}

/// Inputs and parameters, by name; the former as `input.0`, `input.1`, ...
type Values = BTreeMap<String, Tensor>;

struct Setting {
    module: Verified,
    bindings: Vec<(Symbol, HostValue)>,
    values: Values,
    integers: BTreeMap<usize, Tensor>,
}

impl Setting {
    /// Each symbol is 3, float inputs and parameters are random.
    fn new(module: Verified) -> Setting {
        let mut instance = module.entry.as_ref().map(|_| Instance::entry(&module, 3).unwrap());
        let function = &module.functions[0];
        let bindings: Vec<(Symbol, HostValue)> =
            function.symbols.iter().map(|(name, _)| (name.clone(), HostValue::Int(3))).collect();
        let hypers = instance.as_ref().map(|instance| instance.hypers.clone()).unwrap_or_default();
        let size = |symbol: &Symbol| hypers.get(symbol).and_then(HostValue::as_int).or(Some(3));
        let (mut values, mut integers) = (Values::new(), BTreeMap::new());
        for (index, param) in function.params.iter().enumerate() {
            let ty = &function[*param].ty;
            let shape: Vec<usize> = ty.shape.dims.iter().map(|dim| dim.eval(&size).unwrap() as usize).collect();
            match ty.dtype().unwrap() {
                DType::Float64 => {
                    values.insert(format!("input.{index}"), uniform(index as i64, &shape));
                }
                dtype => {
                    let count = shape.iter().product::<usize>();
                    integers.insert(index, Tensor::from_f64(dtype, shape, (0..count).map(|i| (i % 2) as f64)));
                }
            }
        }
        let listed: Vec<(String, Vec<usize>)> = instance
            .iter()
            .flat_map(|instance| instance.parameters())
            .filter(|parameter| parameter.storage.role == crate::ir::Role::Param)
            .map(|parameter| (parameter.path.clone(), parameter.shape.to_vec()))
            .collect();
        for (seed, (path, shape)) in listed.into_iter().enumerate() {
            values.insert(path.clone(), uniform(50 + seed as i64, &shape));
        }
        drop(instance.take());
        Setting { module, bindings, values, integers }
    }

    fn instance(&self, module: &Verified, values: &Values) -> Option<Instance> {
        module.entry.as_ref()?;
        let mut instance = Instance::entry(module, 3).unwrap();
        for (name, value) in values.iter().filter(|(name, _)| !name.starts_with("input.")) {
            instance.set(name, Part::Value, value.clone()).unwrap();
        }
        Some(instance)
    }

    fn inputs(&self, values: &Values) -> Vec<Tensor> {
        let count = self.module.functions[0].params.len();
        let input = |index: usize| values.get(&format!("input.{index}")).or_else(|| self.integers.get(&index));
        (0..count).map(|index| input(index).unwrap().clone()).collect()
    }

    fn run(
        &self,
        module: &Verified,
        function: FuncId,
        values: &Values,
        more: &[Tensor],
    ) -> (Vec<Tensor>, Option<Instance>) {
        let mut instance = self.instance(module, values);
        let inputs = [self.inputs(values).as_slice(), more].concat();
        let options = RunOptions { seed: 1, record: false };
        let mut machine = Machine::new(module, options);
        let results = machine.run_with(instance.as_mut(), function, &self.bindings, &inputs);
        drop(machine);
        (results.unwrap_or_else(|error| panic!("{error}\n{}", print(module))), instance)
    }
}

/// Compares each gradient with central differences, in `float64`.
fn agree(text: &str) {
    let setting = Setting::new(module(text));
    let derived = derive(text);
    let (results, _) = setting.run(&setting.module, FuncId(0), &setting.values, &[]);
    let given = float_results(&setting.module);
    let weights: Vec<Tensor> = given.iter().map(|index| uniform(90 + *index as i64, results[*index].shape())).collect();
    let (found, instance) = setting.run(&derived.module, derived.function, &setting.values, &weights);
    let (outputs, grads) = found.split_at(results.len());
    assert_eq!(outputs, results);
    let mut named: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (source, grad) in derived.gradients.iter().zip(grads) {
        let parts = match (source, &instance) {
            (Source::Input(index), _) => vec![(format!("input.{index}"), grad.clone())],
            (Source::Storage(storage), Some(instance)) => {
                let StorageGradient { path, name, counts } = storage;
                let stacked = Stacked { path, name, counts, turn: storage::turn };
                stacked.apart(&mut instance.clone(), grad).unwrap()
            }
            (Source::Storage(storage), None) => panic!("{storage} without an instance"),
        };
        for (name, part) in parts {
            let sum = named.entry(name).or_insert_with(|| vec![0.0; part.len()]);
            sum.iter_mut().zip(part.to_f64()).for_each(|(sum, value)| *sum += value);
        }
    }
    for (name, value) in &setting.values {
        let none = vec![0.0; value.len()];
        compare(&setting, &given, name, value, named.get(name).unwrap_or(&none), &weights);
    }
}

fn compare(setting: &Setting, given: &[usize], name: &str, value: &Tensor, found: &[f64], weights: &[Tensor]) {
    assert_eq!(found.len(), value.len(), "{name}");
    let step = 1e-5;
    for element in 0..value.len() {
        let moved = |by: f64| -> f64 {
            let mut numbers = value.to_f64();
            numbers[element] += by;
            let mut values = setting.values.clone();
            values.insert(name.to_string(), Tensor::from_f64(DType::Float64, value.shape().to_vec(), numbers));
            let (results, _) = setting.run(&setting.module, FuncId(0), &values, &[]);
            let pairs = given.iter().map(|index| &results[*index]).zip(weights);
            pairs.map(|(a, b)| (0..a.len()).map(|i| a.get_f64(i) * b.get_f64(i)).sum::<f64>()).sum()
        };
        let slope = (moved(step) - moved(-step)) / (2.0 * step);
        let difference = (found[element] - slope).abs();
        assert!(difference <= 1e-6 * (1.0 + slope.abs()), "{name}[{element}]: {} instead of {slope}", found[element]);
    }
}

#[test]
fn a_chain_keeps_what_its_rules_ask_for() {
    check(
        "func @f(%x: float64[n], %s: float64) -> float64[n] {
  symbols n: int
  %0 = exp %x : float64[n]
  %1 = mul %0, %s : float64[n]
  return %1
}
",
        expect![[r#"
            func @f.primal(%x: float64[n], %s: float64) -> (float64[n], float64[n]) {
              source "f"
              symbols n: int
              %0 = exp %x : float64[n]
              %1 = mul %0, %s : float64[n]
              return %1, %0
            }

            func @f.adjoint(%s: float64, %0: float64[n], %grad: float64[n]) -> (float64[n], float64) {
              source "f_adjoint"
              symbols n: int
              %1 = mul %grad, %s : float64[n]
              %2 = mul %grad, %0 : float64[n]
              %3 = sum %2 {axis = (0), keepdim = false} : float64
              %4 = mul %1, %0 : float64[n]
              return %4, %3
            }

            func @f_backward(%x: float64[n], %s: float64, %grad_0: float64[n]) -> (float64[n], float64[n], float64) {
              symbols n: int
              exported
              %0, %1 = call @f.primal(%x, %s) {n = n} : float64[n], float64[n]
              %2, %3 = call @f.adjoint(%s, %1, %grad_0) {n = n} : float64[n], float64
              return %0, %2, %3
            }"#]],
    );
}

#[test]
fn values_used_twice_get_both_gradients() {
    agree(
        "func @f(%x: float64[n, 4], %m: bool[n, 1]) -> (float64[n, 4], float64) {
  symbols n: int
  %0 = tanh %x : float64[n, 4]
  %1 = mul %0, %x : float64[n, 4]
  %2 = where %m, %1, %0 : float64[n, 4]
  %3 = sum %2 {axis = none, keepdim = false} : float64
  %4 = add %2, %3 : float64[n, 4]
  return %4, %3
}
",
    );
}

const LAYERS: &str = "entry model = Net(dim = 2, depth = 3)

layer Net(dim: int, depth: int) {
  let blocks = repeat i < depth : Block(n = dim)
  let head = Block(n = dim)
  param scale : float64
  state seen : float64[dim]
  method @Net.forward
}

layer Block(n: int) {
  param weight : float64[n, n]
  param bias : float64[n]
  method @Block.forward
}

";

const BLOCK: &str = "
func @Block.forward(%x: float64[B, n]) -> float64[B, n] {
  symbols B: int
  %0 = param \"weight\" : float64[n, n]
  %1 = matmul %x, %0 : float64[B, n]
  %2 = param \"bias\" : float64[n]
  %3 = add %1, %2 : float64[B, n]
  %4 = tanh %3 : float64[B, n]
  return %4
}
";

#[test]
fn calls_of_layers_stay_calls() {
    let text = format!(
        "{LAYERS}func @Net.forward(%x: float64[B, dim]) -> float64[B, dim] {{
  symbols B: int
  %0 = call @Block.forward(%x) at self.head {{B = B}} : float64[B, dim]
  %1 = param \"scale\" : float64
  %2 = mul %0, %1 : float64[B, dim]
  %3 = call @Block.forward(%2) at self.head {{B = B}} : float64[B, dim]
  return %3
}}
{BLOCK}"
    );
    check(
        &text,
        expect![[r#"
            func @Block.forward.primal(%x: float64[B, n]) -> float64[B, n] {
              source "forward"
              symbols B: int
              %0 = param "weight" : float64[n, n]
              %1 = matmul %x, %0 : float64[B, n]
              %2 = param "bias" : float64[n]
              %3 = add %1, %2 : float64[B, n]
              %4 = tanh %3 : float64[B, n]
              return %4
            }

            func @Block.forward.adjoint(%x: float64[B, n], %0: float64[B, n], %grad: float64[B, n]) -> (float64[B, n], float64[n], float64[n, n]) {
              source "forward_adjoint"
              symbols B: int
              %1 = mul %0, %0 : float64[B, n]
              %2 = full {shape = [], value = 1.0, dtype = float64} : float64
              %3 = sub %2, %1 : float64[B, n]
              %4 = mul %grad, %3 : float64[B, n]
              %5 = sum %4 {axis = (0), keepdim = false} : float64[n]
              %6 = param "weight" : float64[n, n]
              %7 = transpose %6 {axis0 = -2, axis1 = -1} : float64[n, n]
              %8 = matmul %4, %7 : float64[B, n]
              %9 = transpose %x {axis0 = -2, axis1 = -1} : float64[n, B]
              %10 = matmul %9, %4 : float64[n, n]
              return %8, %5, %10
            }

            func @Net.forward.primal(%x: float64[B, dim]) -> (float64[B, dim], float64[B, dim], float64[B, dim]) {
              source "forward"
              symbols B: int
              %0 = call @Block.forward.primal(%x) at self.head {B = B} : float64[B, dim]
              %1 = param "scale" : float64
              %2 = mul %0, %1 : float64[B, dim]
              %3 = call @Block.forward.primal(%2) at self.head {B = B} : float64[B, dim]
              return %3, %2, %0
            }

            func @Net.forward.adjoint(%x: float64[B, dim], %0: float64[B, dim], %1: float64[B, dim], %2: float64[B, dim], %grad: float64[B, dim]) -> (float64[B, dim], float64[dim], float64[dim, dim], float64) {
              source "forward_adjoint"
              symbols B: int
              %3, %4, %5 = call @Block.forward.adjoint(%1, %0, %grad) at self.head {B = B} : float64[B, dim], float64[dim], float64[dim, dim]
              %6 = param "scale" : float64
              %7 = mul %3, %6 : float64[B, dim]
              %8 = mul %3, %2 : float64[B, dim]
              %9 = sum %8 {axis = (0, 1), keepdim = false} : float64
              %10, %11, %12 = call @Block.forward.adjoint(%x, %2, %7) at self.head {B = B} : float64[B, dim], float64[dim], float64[dim, dim]
              %13 = add %4, %11 : float64[dim]
              %14 = add %5, %12 : float64[dim, dim]
              return %10, %13, %14, %9
            }

            func @Net.forward_backward(%x: float64[B, dim], %grad_0: float64[B, dim]) -> (float64[B, dim], float64[B, dim], float64[dim], float64[dim, dim], float64) {
              symbols B: int
              exported
              %0, %1, %2 = call @Net.forward.primal(%x) at self {B = B} : float64[B, dim], float64[B, dim], float64[B, dim]
              %3, %4, %5, %6 = call @Net.forward.adjoint(%x, %0, %1, %2, %grad_0) at self {B = B} : float64[B, dim], float64[dim], float64[dim, dim], float64
              return %0, %3, %4, %5, %6
            }"#]],
    );
}

#[test]
fn loops_over_lists_stay_loops() {
    let text = format!(
        "{LAYERS}func @Net.forward(%x: float64[B, dim]) -> float64[B, dim] {{
  symbols B: int
  %0 = host 0 : int64
  %1 = host depth : int64
  %2 = for i (%i: int64, %c: float64[B, dim]) in %0, %1, %x {{
    %3 = call @Block.forward(%c) at self.blocks[i] {{B = B}} : float64[B, dim]
    %4 = param \"scale\" : float64
    %5 = mul %3, %4 : float64[B, dim]
    yield %5
  }} : float64[B, dim]
  %6 = call @Block.forward(%2) at self.blocks[0] {{B = B}} : float64[B, dim]
  return %6
}}
{BLOCK}"
    );
    check(
        &text,
        expect![[r#"
            func @Block.forward.primal(%x: float64[B, n]) -> float64[B, n] {
              source "forward"
              symbols B: int
              %0 = param "weight" : float64[n, n]
              %1 = matmul %x, %0 : float64[B, n]
              %2 = param "bias" : float64[n]
              %3 = add %1, %2 : float64[B, n]
              %4 = tanh %3 : float64[B, n]
              return %4
            }

            func @Block.forward.adjoint(%x: float64[B, n], %0: float64[B, n], %grad: float64[B, n]) -> (float64[B, n], float64[n], float64[n, n]) {
              source "forward_adjoint"
              symbols B: int
              %1 = mul %0, %0 : float64[B, n]
              %2 = full {shape = [], value = 1.0, dtype = float64} : float64
              %3 = sub %2, %1 : float64[B, n]
              %4 = mul %grad, %3 : float64[B, n]
              %5 = sum %4 {axis = (0), keepdim = false} : float64[n]
              %6 = param "weight" : float64[n, n]
              %7 = transpose %6 {axis0 = -2, axis1 = -1} : float64[n, n]
              %8 = matmul %4, %7 : float64[B, n]
              %9 = transpose %x {axis0 = -2, axis1 = -1} : float64[n, B]
              %10 = matmul %9, %4 : float64[n, n]
              return %8, %5, %10
            }

            func @Net.forward.primal(%x: float64[B, dim]) -> (float64[B, dim], float64[B, dim], float64[depth, B, dim], float64[depth, B, dim]) {
              source "forward"
              symbols B: int
              %0 = host 0 : int64
              %1 = host depth : int64
              %2, %3, %4 = for i (%i: int64, %c: float64[B, dim]) in %0, %1, %x {
                %5 = call @Block.forward.primal(%c) at self.blocks[i] {B = B} : float64[B, dim]
                %6 = param "scale" : float64
                %7 = mul %5, %6 : float64[B, dim]
                yield %7, %5, %c
              } : float64[B, dim], float64[depth, B, dim], float64[depth, B, dim]
              %8 = call @Block.forward.primal(%2) at self.blocks[0] {B = B} : float64[B, dim]
              return %8, %2, %3, %4
            }

            func @Net.forward.adjoint(%0: float64[B, dim], %1: float64[B, dim], %2: float64[depth, B, dim], %3: float64[depth, B, dim], %grad: float64[B, dim]) -> (float64[B, dim], float64[dim], float64[dim, dim], float64, float64[depth, dim], float64[depth, dim, dim]) {
              source "forward_adjoint"
              symbols B: int
              %4, %5, %6 = call @Block.forward.adjoint(%1, %0, %grad) at self.blocks[0] {B = B} : float64[B, dim], float64[dim], float64[dim, dim]
              %7 = host 0 : int64
              %8 = host depth : int64
              %9 = zeros {shape = [], dtype = float64} : float64
              %10, %11, %12, %13 = for i' (%14: int64, %15: float64[B, dim], %16: float64) in %7, %8, %4, %9 {
                %17 = param "scale" : float64
                %18 = mul %15, %17 : float64[B, dim]
                %19 = host depth - i' - 1 : int64
                %20 = take %2, %19 {axis = 0} : float64[B, dim]
                %21 = mul %15, %20 : float64[B, dim]
                %22 = sum %21 {axis = (0, 1), keepdim = false} : float64
                %23 = take %3, %19 {axis = 0} : float64[B, dim]
                %24, %25, %26 = call @Block.forward.adjoint(%23, %20, %18) at self.blocks[depth - i' - 1] {B = B} : float64[B, dim], float64[dim], float64[dim, dim]
                %27 = add %16, %22 : float64
                yield %24, %27, %25, %26
              } : float64[B, dim], float64, float64[depth, dim], float64[depth, dim, dim]
              %28 = flip %12 {axes = (0)} : float64[depth, dim]
              %29 = flip %13 {axes = (0)} : float64[depth, dim, dim]
              return %10, %5, %6, %11, %28, %29
            }

            func @Net.forward_backward(%x: float64[B, dim], %grad_0: float64[B, dim]) -> (float64[B, dim], float64[B, dim], float64[dim], float64[dim, dim], float64, float64[depth, dim], float64[depth, dim, dim]) {
              symbols B: int
              exported
              %0, %1, %2, %3 = call @Net.forward.primal(%x) at self {B = B} : float64[B, dim], float64[B, dim], float64[depth, B, dim], float64[depth, B, dim]
              %4, %5, %6, %7, %8, %9 = call @Net.forward.adjoint(%0, %1, %2, %3, %grad_0) at self {B = B} : float64[B, dim], float64[dim], float64[dim, dim], float64, float64[depth, dim], float64[depth, dim, dim]
              return %0, %4, %5, %6, %7, %8, %9
            }"#]],
    );
}

#[test]
fn branches_hand_over_what_they_computed() {
    check(
        "func @f(%x: float64[n], %y: float64[n], %c: bool) -> (float64[n], float64[n]) {
  symbols n: int
  %0 = exp %x : float64[n]
  %1, %2 = if %c {
    %3 = sin %0 : float64[n]
    %4 = mul %3, %y : float64[n]
    yield %4, %0
  } else {
    %5 = mul %x, %x : float64[n]
    yield %5, %x
  } : float64[n], float64[n]
  return %1, %2
}
",
        expect![[r#"
            func @f.primal(%x: float64[n], %y: float64[n], %c: bool) -> (float64[n], float64[n], float64[n], float64[n]) {
              source "f"
              symbols n: int
              %0 = exp %x : float64[n]
              %1, %2, %3 = if %c {
                %4 = sin %0 : float64[n]
                %5 = mul %4, %y : float64[n]
                yield %5, %0, %4
              } else {
                %6 = mul %x, %x : float64[n]
                %7 = zeros {shape = [n], dtype = float64} : float64[n]
                yield %6, %x, %7
              } : float64[n], float64[n], float64[n]
              return %1, %2, %3, %0
            }

            func @f.adjoint(%c: bool, %y: float64[n], %x: float64[n], %0: float64[n], %1: float64[n], %grad_0: float64[n], %grad_1: float64[n]) -> (float64[n], float64[n]) {
              source "f_adjoint"
              symbols n: int
              %2, %3, %4 = if %c {
                %5 = mul %grad_0, %y : float64[n]
                %6 = mul %grad_0, %0 : float64[n]
                %7 = cos %1 : float64[n]
                %8 = mul %5, %7 : float64[n]
                %9 = add %grad_1, %8 : float64[n]
                %10 = zeros {shape = [n], dtype = float64} : float64[n]
                yield %10, %6, %9
              } else {
                %11 = mul %grad_0, %x : float64[n]
                %12 = mul %grad_0, %x : float64[n]
                %13 = add %grad_1, %11 : float64[n]
                %14 = add %13, %12 : float64[n]
                %15 = zeros {shape = [n], dtype = float64} : float64[n]
                %16 = zeros {shape = [n], dtype = float64} : float64[n]
                yield %14, %15, %16
              } : float64[n], float64[n], float64[n]
              %17 = mul %4, %1 : float64[n]
              %18 = add %2, %17 : float64[n]
              return %18, %3
            }

            func @f_backward(%x: float64[n], %y: float64[n], %c: bool, %grad_0: float64[n], %grad_1: float64[n]) -> (float64[n], float64[n], float64[n], float64[n]) {
              symbols n: int
              exported
              %0, %1, %2, %3 = call @f.primal(%x, %y, %c) {n = n} : float64[n], float64[n], float64[n], float64[n]
              %4, %5 = call @f.adjoint(%c, %y, %x, %2, %3, %grad_0, %grad_1) {n = n} : float64[n], float64[n]
              return %0, %1, %4, %5
            }"#]],
    );
}

#[test]
fn branches_within_branches_and_loops() {
    agree(
        "func @f(%x: float64[n], %c: bool) -> float64[n] {
  symbols n: int
  %0 = host 0 : int64
  %1 = host n : int64
  %2 = const int64 [1] : int64
  %3 = const int64 [1] : int64
  %4 = reshape %2 {shape = []} : int64
  %5 = for i (%i: int64, %a: float64[n]) in %0, %1, %x {
    %6 = gt %i, %4 : bool
    %7 = if %6 {
      %8 = sin %a : float64[n]
      %9 = if %c {
        yield %8
      } else {
        %10 = exp %8 : float64[n]
        %11 = mul %10, %x : float64[n]
        yield %11
      } : float64[n]
      %12 = tanh %9 : float64[n]
      yield %12
    } else {
      %13 = mul %a, %x : float64[n]
      yield %13
    } : float64[n]
    %14 = add %7, %a : float64[n]
    yield %14
  } : float64[n]
  return %5
}
"
        .replace(
            "  %2 = const int64 [1] : int64\n  %3 = const int64 [1] : int64\n",
            "  %2 = const int64[1] [1] : int64[1]\n",
        )
        .as_str(),
    );
}

#[test]
fn loops_collect_and_carry() {
    check(
        "func @f(%x: float64[n, 4], %w: float64[4]) -> (float64[4], float64[n, 4]) {
  symbols n: int
  %0 = host 0 : int64
  %1 = host n : int64
  %2 = full {shape = [4], value = 1, dtype = float64} : float64[4]
  %3, %4 = for i (%i: int64, %h: float64[4]) in %0, %1, %2 {
    %5 = take %x, %i {axis = 0} : float64[4]
    %6 = mul %h, %w : float64[4]
    %7 = add %5, %6 : float64[4]
    %8 = tanh %7 : float64[4]
    yield %8, %7
  } : float64[4], float64[n, 4]
  return %3, %4
}
",
        expect![[r#"
            func @f.primal(%x: float64[n, 4], %w: float64[4]) -> (float64[4], float64[n, 4], float64[n, 4], float64[n, 4]) {
              source "f"
              symbols n: int
              %0 = host 0 : int64
              %1 = host n : int64
              %2 = full {shape = [4], value = 1, dtype = float64} : float64[4]
              %3, %4, %5, %6 = for i (%i: int64, %h: float64[4]) in %0, %1, %2 {
                %7 = take %x, %i {axis = 0} : float64[4]
                %8 = mul %h, %w : float64[4]
                %9 = add %7, %8 : float64[4]
                %10 = tanh %9 : float64[4]
                yield %10, %9, %10, %h
              } : float64[4], float64[n, 4], float64[n, 4], float64[n, 4]
              return %3, %4, %5, %6
            }

            func @f.adjoint(%w: float64[4], %0: float64[n, 4], %1: float64[n, 4], %grad_0: float64[4], %grad_1: float64[n, 4]) -> (float64[n, 4], float64[4]) {
              source "f_adjoint"
              symbols n: int
              %2 = host 0 : int64
              %3 = host n : int64
              %4 = zeros {shape = [n, 4], dtype = float64} : float64[n, 4]
              %5 = zeros {shape = [4], dtype = float64} : float64[4]
              %6, %7, %8 = for i' (%9: int64, %10: float64[4], %11: float64[n, 4], %12: float64[4]) in %2, %3, %grad_0, %4, %5 {
                %13 = host n - i' - 1 : int64
                %14 = take %grad_1, %13 {axis = 0} : float64[4]
                %15 = take %0, %13 {axis = 0} : float64[4]
                %16 = mul %15, %15 : float64[4]
                %17 = full {shape = [], value = 1.0, dtype = float64} : float64
                %18 = sub %17, %16 : float64[4]
                %19 = mul %10, %18 : float64[4]
                %20 = add %14, %19 : float64[4]
                %21 = mul %20, %w : float64[4]
                %22 = take %1, %13 {axis = 0} : float64[4]
                %23 = mul %20, %22 : float64[4]
                %24 = host n - i' - 1 : int64
                %25 = reshape %20 {shape = [1, 4]} : float64[1, 4]
                %26 = reshape %24 {shape = [1]} : int64[1]
                %27 = reshape %26 {shape = [1, 1]} : int64[1, 1]
                %28 = broadcast_to %27 {shape = [1, 4]} : int64[1, 4]
                %29 = zeros {shape = [n, 4], dtype = float64} : float64[n, 4]
                %30 = scatter %29, %28, %25 {axis = 0, reduce = "add"} : float64[n, 4]
                %31 = add %11, %30 : float64[n, 4]
                %32 = add %12, %23 : float64[4]
                yield %21, %31, %32
              } : float64[4], float64[n, 4], float64[4]
              return %7, %8
            }

            func @f_backward(%x: float64[n, 4], %w: float64[4], %grad_0: float64[4], %grad_1: float64[n, 4]) -> (float64[4], float64[n, 4], float64[n, 4], float64[4]) {
              symbols n: int
              exported
              %0, %1, %2, %3 = call @f.primal(%x, %w) {n = n} : float64[4], float64[n, 4], float64[n, 4], float64[n, 4]
              %4, %5 = call @f.adjoint(%w, %2, %3, %grad_0, %grad_1) {n = n} : float64[n, 4], float64[4]
              return %0, %1, %4, %5
            }"#]],
    );
}

#[test]
fn loops_within_loops() {
    agree(
        "func @f(%x: float64[n, 4]) -> float64[4] {
  symbols n: int
  %0 = host 1 : int64
  %1 = host n : int64
  %z = full {shape = [4], value = 0.5, dtype = float64} : float64[4]
  %2 = for i (%i: int64, %h: float64[4]) in %0, %1, %z {
    %3 = take %x, %i {axis = 0} : float64[4]
    %4 = host 0 : int64
    %5 = host i + 1 : int64
    %6 = host 2 : int64
    %7 = for j (%j: int64, %g: float64[4]) in %4, %6, %h {
      %8 = take %x, %j {axis = 0} : float64[4]
      %9 = mul %g, %8 : float64[4]
      %10 = exp %3 : float64[4]
      %11 = mul %9, %10 : float64[4]
      %12 = sin %11 : float64[4]
      yield %12
    } : float64[4]
    %13 = add %7, %3 : float64[4]
    yield %13
  } : float64[4]
  return %2
}
",
    );
}

#[test]
fn what_has_no_gradient_is_named() {
    let fails = |text: &str| differentiate_all(text).map(|_| ()).unwrap_err().message;
    let forever = "func @f(%x: float64[4], %c: bool) -> float64[4] {
  %0 = while (%a: float64[4]) in %x {
    yield %c
  } do (%b: float64[4]) {
    %1 = sin %b : float64[4]
    yield %1
  } : float64[4]
  return %0
}
";
    assert!(fails(forever).starts_with("no gradient through `while`"), "{}", fails(forever));
    let stopped = "func @f(%x: float64[4]) -> float64[4] {
  %0 = stop_gradient %x : float64[4]
  return %0
}
";
    assert_eq!(fails(stopped), "no result of `f` depends on a float input or parameter");
    let computed = "func @f(%x: float64[4], %n: int64) -> float64[4] {
  %0 = host 0 : int64
  %1 = for i (%i: int64, %a: float64[4]) in %0, %n, %x {
    %2 = sin %a : float64[4]
    yield %2
  } : float64[4]
  return %1
}
";
    assert!(fails(computed).contains("how often it turns is computed"), "{}", fails(computed));
}

#[test]
fn gradients_within_become_calls() {
    let text = "func @f(%x: float64[n], %y: float64[n]) -> (float64, float64[n]) {
  symbols n: int
  %0 = host 0 : int64
  %1 = host n : int64
  %s = const float64 [0.5] : float64
  %2, %3 = for i (%i: int64, %a: float64, %b: float64[n]) in %0, %1, %s, %x {
    %4 = host i : float64
    %5, %6 = gradient (%c: float64[n]) in %b {
      %7 = mul %c, %y : float64[n]
      %8 = sin %7 : float64[n]
      %9 = mul %8, %4 : float64[n]
      %10 = sum %9 {axis = none, keepdim = false} : float64
      yield %10
    } : float64, float64[n]
    %11 = add %5, %a : float64
    yield %11, %6
  } : float64, float64[n]
  return %2, %3
}
";
    let expanded = expand(module(text)).unwrap();
    let printed = print(&expanded);
    assert_eq!(print(&module(text)), text, "the instruction has a text form");
    expect![[r#"
        func @f(%x: float64[n], %y: float64[n]) -> (float64, float64[n]) {
          symbols n: int
          %0 = host 0 : int64
          %1 = host n : int64
          %s = const float64 [0.5] : float64
          %2, %3 = for i (%i: int64, %a: float64, %b: float64[n]) in %0, %1, %s, %x {
            %4 = host i : float64
            %5, %6 = call @f.value.primal(%b, %y, %4) {n = n, i = i} : float64, float64[n]
            %7 = ones {shape = [], dtype = float64} : float64
            %8 = call @f.value.adjoint(%4, %y, %6, %7) {n = n, i = i} : float64[n]
            %9 = add %5, %a : float64
            yield %9, %8
          } : float64, float64[n]
          return %2, %3
        }

        func @f.value(%c: float64[n], %y: float64[n], %0: float64) -> float64 {
          source "f_value"
          symbols n: int, i: int
          %1 = mul %c, %y : float64[n]
          %2 = sin %1 : float64[n]
          %3 = mul %2, %0 : float64[n]
          %4 = sum %3 {axis = none, keepdim = false} : float64
          return %4
        }

        func @f.value.primal(%c: float64[n], %y: float64[n], %0: float64) -> (float64, float64[n]) {
          source "f_value"
          symbols n: int, i: int
          %1 = mul %c, %y : float64[n]
          %2 = sin %1 : float64[n]
          %3 = mul %2, %0 : float64[n]
          %4 = sum %3 {axis = none, keepdim = false} : float64
          return %4, %1
        }

        func @f.value.adjoint(%0: float64, %y: float64[n], %1: float64[n], %grad: float64) -> float64[n] {
          source "f_value_adjoint"
          symbols n: int, i: int
          %2 = reshape %grad {shape = [1]} : float64[1]
          %3 = broadcast_to %2 {shape = [n]} : float64[n]
          %4 = mul %3, %0 : float64[n]
          %5 = cos %1 : float64[n]
          %6 = mul %4, %5 : float64[n]
          %7 = mul %6, %y : float64[n]
          return %7
        }
    "#]]
    .assert_eq(&printed);
    // What is left is differentiated like any program.
    agree(&printed);
}

#[test]
fn a_number_that_depends_on_nothing_has_zeros() {
    let text = "func @f(%x: float64[n]) -> (float64, float64[n]) {
  symbols n: int
  %0, %1 = gradient (%a: float64[n]) in %x {
    %2 = stop_gradient %a : float64[n]
    %3 = sum %2 {axis = none, keepdim = false} : float64
    yield %3
  } : float64, float64[n]
  return %0, %1
}
";
    let printed = print(&expand(module(text)).unwrap());
    assert!(printed.contains("zeros {shape = [n], dtype = float64}") && !printed.contains("adjoint"), "{printed}");
}

/// The blocks of [`LAYERS`] under `@checkpoint`.
fn checkpointed(forward: &str, block: &str) -> String {
    let layers = LAYERS.replace("repeat i < depth : Block(n = dim)", "repeat i < depth : Block(n = dim) checkpoint");
    format!("{layers}{forward}{block}")
}

const LOOP: &str = "func @Net.forward(%x: float64[B, dim]) -> float64[B, dim] {
  symbols B: int
  %0 = host 0 : int64
  %1 = host depth : int64
  %2 = for i (%i: int64, %c: float64[B, dim]) in %0, %1, %x {
    %3 = call @Block.forward(%c) at self.blocks[i] {B = B} : float64[B, dim]
    yield %3
  } : float64[B, dim]
  return %2
}
";

#[test]
fn checkpoints_compute_again() {
    let text = checkpointed(LOOP, BLOCK);
    agree(&text);
    let printed = print(&derive(&text).module);
    let functions: Vec<&str> =
        printed.split("func ").filter(|text| text.starts_with("@Net.forward.")).map(str::trim_end).collect();
    expect![[r#"
        @Net.forward.primal(%x: float64[B, dim]) -> (float64[B, dim], float64[depth, B, dim]) {
          source "forward"
          symbols B: int
          %0 = host 0 : int64
          %1 = host depth : int64
          %2, %3 = for i (%i: int64, %c: float64[B, dim]) in %0, %1, %x {
            %4 = call @Block.forward(%c) at self.blocks[i] {B = B} : float64[B, dim]
            yield %4, %c
          } : float64[B, dim], float64[depth, B, dim]
          return %2, %3
        }

        @Net.forward.adjoint(%0: float64[depth, B, dim], %grad: float64[B, dim]) -> (float64[B, dim], float64[depth, dim], float64[depth, dim, dim]) {
          source "forward_adjoint"
          symbols B: int
          %1 = host 0 : int64
          %2 = host depth : int64
          %3, %4, %5 = for i' (%6: int64, %7: float64[B, dim]) in %1, %2, %grad {
            %8 = host depth - i' - 1 : int64
            %9 = take %0, %8 {axis = 0} : float64[B, dim]
            %10 = call @Block.forward.primal(%9) at self.blocks[depth - i' - 1] {B = B} : float64[B, dim]
            %11, %12, %13 = call @Block.forward.adjoint(%9, %10, %7) at self.blocks[depth - i' - 1] {B = B} : float64[B, dim], float64[dim], float64[dim, dim]
            yield %11, %12, %13
          } : float64[B, dim], float64[depth, dim], float64[depth, dim, dim]
          %14 = flip %4 {axes = (0)} : float64[depth, dim]
          %15 = flip %5 {axes = (0)} : float64[depth, dim, dim]
          return %3, %14, %15
        }"#]].assert_eq(&functions.join("\n\n"));
}

#[test]
fn what_would_differ_the_second_time_is_kept() {
    let noisy = BLOCK.replace(
        "  %4 = tanh %3 : float64[B, n]",
        "  %r = rng 1 : int64
  %u = random_uniform %r {shape = [B, n], low = 0.5, high = 1.0, dtype = float64} : float64[B, n]
  %4 = mul %3, %u : float64[B, n]",
    );
    let text = checkpointed(LOOP, &noisy);
    agree(&text);
    let printed = print(&derive(&text).module);
    let adjoint = printed.split("func ").find(|text| text.starts_with("@Net.forward.adjoint")).unwrap();
    assert!(!adjoint.contains("primal"), "{adjoint}");
}
