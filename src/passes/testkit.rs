//! IR text in, IR text out; then both run on the same inputs and agree.

use super::{Pipeline, run};
use crate::interp::{Instance, Machine, RunOptions};
use crate::ir::printer::print;
use crate::ir::reader::read;
use crate::ir::{FuncId, Part, Verified, verify};
use crate::types::{DType, HostValue, Symbol, Tensor};
use expect_test::Expect;

pub fn module(text: &str) -> Verified {
    let module = read(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    verify(module).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

/// Runs the passes, compares the text, and executes the first function (on the entry's instance, if there
/// is one) before and after; each symbol is 3 and each float input counts up.
pub fn check(passes: &[&str], text: &str, wanted: Expect) {
    let before = module(text);
    let after = optimised(&before, passes);
    wanted.assert_eq(&print(&after));
    assert_eq!(execute(&before), execute(&after));
}

/// The same for passes that change rounding: results agree within the tolerances of matrix products.
pub fn check_near(passes: &[&str], text: &str, wanted: Expect) {
    let before = module(text);
    let after = optimised(&before, passes);
    wanted.assert_eq(&print(&after));
    let (before, after) = (execute(&before), execute(&after));
    assert_near(&after.0, &before.0);
    assert_eq!((after.1, after.2), (before.1, before.2));
}

pub fn assert_near(found: &[Tensor], wanted: &[Tensor]) {
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(wanted) {
        assert_eq!((found.dtype(), found.shape()), (wanted.dtype(), wanted.shape()));
        for (a, b) in found.to_f64().into_iter().zip(wanted.to_f64()) {
            let (relative, absolute) = if found.dtype() == DType::Float16 { (2e-3, 1e-3) } else { (1e-4, 1e-5) };
            assert!(a == b || (a - b).abs() <= absolute + relative * b.abs(), "{a}, not {b}");
        }
    }
}

pub type Outcome = (Vec<Tensor>, Vec<Tensor>, String);

/// Results, then the state, then what was printed.
pub fn execute(module: &Verified) -> Outcome {
    let mut instance = module.entry.as_ref().map(|_| Instance::entry(module, 3).unwrap());
    let function = &module.functions[0];
    let bindings: Vec<(Symbol, HostValue)> =
        function.symbols.iter().map(|(name, _)| (name.clone(), HostValue::Int(3))).collect();
    let hypers = instance.as_ref().map(|instance| instance.hypers.clone()).unwrap_or_default();
    let value = |symbol: &Symbol| hypers.get(symbol).and_then(HostValue::as_int).or(Some(3));
    let input = |param: &crate::ir::ValueId| {
        let ty = &function[*param].ty;
        let dims = ty.shape.known().unwrap();
        let shape: Vec<usize> = dims.iter().map(|dim| dim.eval(&value).unwrap() as usize).collect();
        let count = shape.iter().product::<usize>();
        let dtype = ty.dtype().unwrap();
        let values = (0..count).map(|index| if dtype == DType::Bool { 1.0 } else { index as f64 - 2.0 });
        Tensor::from_f64(dtype, shape, values)
    };
    let inputs: Vec<Tensor> = function.params.iter().map(input).collect();
    let mut output = vec![];
    let mut machine = Machine::new(module, RunOptions { seed: 1, record: false }).with_output(&mut output);
    let results = machine.run_with(instance.as_mut(), FuncId(0), &bindings, &inputs).unwrap();
    drop(machine);
    let paths: Vec<String> =
        instance.iter().flat_map(|instance| instance.parameters()).map(|parameter| parameter.path).collect();
    let state = paths.iter().map(|path| instance.as_mut().unwrap().get(path, Part::Value).unwrap()).collect();
    (results, state, String::from_utf8(output).unwrap())
}

/// The module after the passes with these names.
pub fn optimised(module: &Verified, passes: &[&str]) -> Verified {
    let pipeline = Pipeline::named(passes).unwrap_or_else(|error| panic!("{error}"));
    run(module.clone(), &pipeline, &mut |_| {}).unwrap_or_else(|error| panic!("{error}")).0
}
