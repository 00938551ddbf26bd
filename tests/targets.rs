//! Programs of IR that no source would give so easily, on every target: text that would break out of its place, names
//! that are taken, control flow, state and checks. What is written is valid, and does what the interpreter does.

mod support;

use libtest_mimic::{Arguments, Trial};
use std::path::Path;
use std::process::ExitCode;
use support::executors::{self, Shared, Trouble};
use support::trials::{SEED, finish, io};
use support::{with_deep_stack, written};
use tritonc::base::philox;
use tritonc::driver::model;
use tritonc::driver::verify::executor::Job;
use tritonc::interp::{Instance, Machine, RunOptions};
use tritonc::ir::{self, Part, Role, Verified};
use tritonc::targets::{self, EmitOptions, Templates, WeightsForm};
use tritonc::types::{DType, HostValue, Symbol, Tensor};
use tritonc::weights::{Tensors, WeightSet, encode};

/// A program, and calls of its methods with the numbers that they take.
struct Program {
    name: &'static str,
    text: &'static str,
    calls: &'static [(&'static str, &'static [(&'static str, i64)])],
}

const PROGRAMS: &[Program] = &[
    Program { name: "hostile text", text: include_str!("pytorch/hostile.ir"), calls: &[("forward", &[])] },
    Program { name: "a ternary MLP", text: include_str!("pytorch/mlp.ir"), calls: &[("forward", &[])] },
    Program {
        name: "control flow and state",
        text: include_str!("pytorch/control.ir"),
        calls: &[("forward", &[]), ("swap", &[]), ("grow", &[]), ("step", &[("pos", 2)])],
    },
];

/// The size of every dim that a call is free to choose.
const SIZE: i64 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![];
    for target in executors::executed_targets() {
        for program in PROGRAMS {
            let name = format!("{}::{target}", program.name);
            trials.push(Trial::ignorable_test(name, move || finish(with_deep_stack(|| try_program(program, target)))));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    executors::stop();
    conclusion.exit_code()
}

fn failed(error: impl std::fmt::Debug) -> Trouble {
    Trouble::Failed(format!("{error:?}"))
}

fn try_program(program: &Program, target: &str) -> Result<(), Trouble> {
    let mut executor = Shared::of(target)?;
    let module = ir::verify(ir::reader::read(program.text).map_err(failed)?).map_err(failed)?;
    let writer = targets::find(target).ok_or_else(|| failed(target))?.writer(&Templates::builtin()).map_err(failed)?;
    let folder = tempfile::tempdir().map_err(failed)?;
    let mut instance = Instance::entry(&module, SEED).map_err(failed)?;
    let weights = folder.path().join("weights.safetensors");
    let tensors = save(&mut instance, &weights)?;
    let options = EmitOptions {
        bound: Some(written::BOUND),
        weights: Some(tensors),
        weights_form: Some(WeightsForm::File),
        ..EmitOptions::default()
    };
    let files = written::write_with(&module, writer.as_ref(), folder.path(), &options)?;
    executors::check_valid(target, &files, true)?;
    for (method, numbers) in program.calls {
        let inputs = inputs(&module, method)?;
        let tensors: Vec<Tensor> = inputs.iter().filter_map(|(_, tensor)| tensor.clone()).collect();
        let numbers: Vec<(Symbol, HostValue)> =
            numbers.iter().map(|(name, value)| (Symbol::new(name), HostValue::Int(*value))).collect();
        let own = model::signature(&module, Some(method), &|_| true).map_err(failed)?.method;
        let (mut instance, mut printed) = (instance.clone(), vec![]);
        let mut machine = Machine::new(&module, RunOptions::default()).with_output(&mut printed);
        let wanted = machine.run_with(Some(&mut instance), own, &numbers, &tensors).map_err(failed)?;
        let numbers: Vec<(String, HostValue)> =
            numbers.into_iter().map(|(name, value)| (name.as_str().to_string(), value)).collect();
        let job = written::job(&files, folder.path(), &inputs);
        let job = Job { weights: Some(&weights), method, numbers: &numbers, ..job };
        let executed = written::execute(&mut executor, &job)?;
        written::agree(&module, &executed.outputs, &wanted)
            .map_err(|trouble| Trouble::Failed(format!("{method}: {trouble:?}")))?;
    }
    Ok(())
}

/// The tensors of an instance as a weights file has them.
fn save(instance: &mut Instance, path: &Path) -> Result<Tensors, Trouble> {
    let listed = instance.parameters().into_iter().filter(|parameter| parameter.storage.role != Role::Transient);
    let names: Vec<String> = listed.map(|parameter| parameter.path).collect();
    let mut tensors = Tensors::new();
    for name in names {
        let value = instance.get(&name, Part::Value).map_err(failed)?;
        tensors.insert(name, value);
    }
    let set = WeightSet { tensors, ..WeightSet::default() };
    let bytes = encode(path, &set).map_err(failed)?;
    io(path, std::fs::write(path, bytes))?;
    Ok(set.tensors)
}

/// Random inputs of a method; whole ones are small.
fn inputs(module: &Verified, method: &str) -> Result<Vec<(String, Option<Tensor>)>, Trouble> {
    let signature = model::signature(module, Some(method), &|_| true).map_err(failed)?;
    let size = |symbol: &Symbol| Some(signature.known.get(symbol).copied().unwrap_or(SIZE));
    let drawn = signature.tensors.iter().enumerate().map(|(index, spec)| {
        let dims = spec.ty.shape.dims.iter().map(|dim| dim.eval(&size).map(|size| size as usize));
        let shape: Vec<usize> = dims.collect::<Option<_>>().ok_or_else(|| failed(&spec.name))?;
        let dtype = spec.ty.dtype().unwrap_or(DType::Float32);
        let values = philox::normals(index as i64 + 1).take(shape.iter().product());
        let values = values.map(|value| if dtype.is_float() { value } else { (value.abs() * 4.0).floor() });
        Ok((spec.name.clone(), Some(Tensor::from_f64(dtype, shape, values))))
    });
    drawn.collect()
}
