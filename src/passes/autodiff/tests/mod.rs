//! IR text in, IR text out, and gradients against differences: of functions in `flow.rs` and `turns.rs`, of layers in `layers.rs`.

mod beside;
mod flow;
mod layers;
mod turns;

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
    differentiate(module, FuncId(0), &given, None)
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
    agree_in(text, None);
}

/// The same with loops over layers in so many segments.
fn agree_in(text: &str, segments: Option<u32>) {
    let setting = Setting::new(module(text));
    let given = float_results(&setting.module);
    let derived = differentiate(module(text), FuncId(0), &given, segments).unwrap_or_else(|error| panic!("{error:?}"));
    let (results, _) = setting.run(&setting.module, FuncId(0), &setting.values, &[]);
    let weights: Vec<Tensor> = given.iter().map(|index| uniform(90 + *index as i64, results[*index].shape())).collect();
    let (found, instance) = setting.run(&derived.module, derived.function, &setting.values, &weights);
    let (outputs, grads) = found.split_at(results.len());
    assert_eq!(outputs, results);
    if segments.is_none() {
        let (beside, methods) = differentiate_each(module(text), &[FuncId(0)]).unwrap();
        assert_eq!(methods[0].1, derived.gradients);
        assert_eq!(setting.run(&beside, methods[0].0, &setting.values, &weights).0, found);
    }
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
