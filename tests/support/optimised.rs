//! A run before the passes and after those of a level, on the interpreter: the same to the last bit, results, state and
//! what is printed.

use super::directives::Run;
use super::executors::Trouble;
use super::generate::Generator;

use super::trials::{Case, SEED, draw_inputs, entry, rendered, session, signature};
use tritonc::driver::{EntryRequest, Mode};
use tritonc::interp::{Instance, Machine, RunOptions};
use tritonc::ir::{self, Part};
use tritonc::passes::{self, Form, OptLevel, Pipeline, Selection, Style};
use tritonc::types::{DType, Symbol, Tensor};

/// What the passes of kernels make of a program, at the levels that have some.
pub fn check(case: &Case, index: usize, mode: Mode) -> Result<(), Trouble> {
    let run = case.directives.runs.get(index).ok_or_else(|| Trouble::Failed("there is no such run".to_string()))?;
    let mut session = session();
    let shape =
        |(name, generator): &(String, Generator)| (name.clone(), generator.tensor(DType::Float32).shape().to_vec());
    let request = EntryRequest { shapes: run.inputs.iter().map(shape).collect(), ..entry(case, Some(run), mode) };
    let before = session.lower(&case.source(), &request);
    let before = rendered(&session, before)?;
    let wanted = outcome(&before, run)?;
    for level in [OptLevel::O2, OptLevel::O3] {
        let after = optimised(&before, Form { style: Style::Kernels, mode }, level)?;
        let found = outcome(&after, run)?;
        if wanted != found {
            return Err(Trouble::Failed(format!("level {level} changes the results:\n{wanted:?}\n{found:?}")));
        }
    }
    Ok(())
}

/// The module after the passes that keep results as they are.
fn optimised(module: &ir::Verified, form: Form, level: OptLevel) -> Result<ir::Verified, Trouble> {
    let disabled = passes::ROUNDING.iter().map(|name| name.to_string()).collect();
    let selection = Selection { level, disabled, ..Selection::default() };
    let pipeline = Pipeline::select(&selection, form, &[]).map_err(|error| Trouble::Failed(error.to_string()))?;
    let after = passes::run(module.clone(), &pipeline, &mut |_| {});
    after.map(|(after, _)| after).map_err(|error| Trouble::Failed(error.to_string()))
}

/// Elements by their bits, so that NaN equals itself and -0.0 is not 0.0.
#[derive(Debug, PartialEq)]
struct Outcome {
    tensors: Vec<(String, Vec<usize>, Vec<u64>)>,
    printed: String,
}

fn outcome(module: &ir::Verified, run: &Run) -> Result<Outcome, Trouble> {
    let forward = signature(module, run, false)?.method;
    let inputs: Vec<Tensor> = draw_inputs(run, module)?.into_iter().filter_map(|(_, tensor)| tensor).collect();
    let numbers: Vec<_> = run.numbers.iter().map(|(name, value)| (Symbol::new(name), value.clone())).collect();
    let mut printed = vec![];
    let tensors = Instance::entry(module, SEED).and_then(|mut instance| {
        let mut machine = Machine::new(module, RunOptions::default()).with_output(&mut printed);
        let results = machine.run_with(Some(&mut instance), forward, &numbers, &inputs)?;
        drop(machine);
        let paths: Vec<String> = instance.parameters().into_iter().map(|parameter| parameter.path).collect();
        let mut tensors: Vec<(String, Tensor)> =
            results.into_iter().enumerate().map(|(index, tensor)| (format!("result {index}"), tensor)).collect();
        for path in paths {
            let value = instance.get(&path, Part::Value)?;
            tensors.push((path, value));
        }
        Ok(tensors)
    });
    let tensors = tensors.map_err(|error| Trouble::Failed(error.to_string()))?;
    let bits = |tensor: &Tensor| tensor.to_f64().into_iter().map(f64::to_bits).collect();
    let tensors = tensors.into_iter().map(|(name, tensor)| (name, tensor.shape().to_vec(), bits(&tensor))).collect();
    Ok(Outcome { tensors, printed: String::from_utf8_lossy(&printed).into_owned() })
}
