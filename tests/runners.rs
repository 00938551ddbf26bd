//! The runners of targets, on modules written by hand: results, state, gradients and errors come back as they should.
//!
//! Each file in `tests/runners/` is what a target of that name might have written for one and the same program.

mod support;

use libtest_mimic::{Arguments, Trial};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use support::executors::{self, ANSWER_LIMIT, Shared, Trouble};
use support::trials::finish;
use tritonc::base::F64;
use tritonc::driver::verify::Executor;
use tritonc::driver::verify::executor::{Broken, Executed, Job};
use tritonc::targets::{self, Runner};
use tritonc::types::{DType, HostValue, Tensor};
use tritonc::weights::{Tensors, WeightSet, encode};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trial = |name: &'static str| Trial::ignorable_test(name, move || finish(try_runner(name)));
    // Others run without a script.
    let is_scripted =
        |name: &&str| targets::find(name).is_some_and(|target| matches!(target.runner(), Some(Runner::Python(_))));
    let scripted: Vec<&'static str> = executors::executed_targets().into_iter().filter(is_scripted).collect();
    let conclusion = libtest_mimic::run(&arguments, scripted.into_iter().map(trial).collect());
    executors::stop();
    conclusion.exit_code()
}

fn float(values: &[f32]) -> Tensor {
    Tensor::from_f32(vec![values.len()], values.to_vec())
}

fn failed(error: impl std::fmt::Debug) -> Trouble {
    Trouble::Failed(format!("{error:?}"))
}

/// One runner, and the folder in which its tensors travel.
struct Place {
    executor: Shared,
    module: PathBuf,
    folder: tempfile::TempDir,
}

/// What one call is given.
#[derive(Default)]
struct Call {
    inputs: Vec<(String, Option<Tensor>)>,
    numbers: Vec<(String, HostValue)>,
    seeds: Vec<i64>,
    output_gradients: Option<Vec<Option<Tensor>>>,
    train: bool,
}

impl Call {
    fn of(values: &[f32]) -> Call {
        Call {
            inputs: vec![("x".to_string(), Some(float(values))), ("mask".to_string(), None)],
            numbers: vec![("times".to_string(), HostValue::Float(F64(3.0)))],
            seeds: vec![5],
            train: true,
            ..Call::default()
        }
    }
}

impl Place {
    fn weights(&self) -> PathBuf {
        self.folder.path().join("weights.safetensors")
    }

    fn call(&mut self, method: &str, call: &Call) -> Result<Executed, Broken> {
        let weights = self.weights();
        self.executor.execute(&Job {
            files: std::slice::from_ref(&self.module),
            scratch: self.folder.path(),
            weights: Some(&weights),
            train: call.train,
            method,
            inputs: &call.inputs,
            numbers: &call.numbers,
            seed: 0,
            seeds: &call.seeds,
            output_gradients: call.output_gradients.as_deref(),
            gradients: &["w".to_string(), "x".to_string()],
            state: &["count".to_string()],
            trace: false,
            limit: ANSWER_LIMIT,
        })
    }
}

fn shown(tensors: &[Tensor]) -> Vec<String> {
    tensors.iter().map(|t| format!("{}{:?} {:?}", t.dtype(), t.shape(), t.to_f64())).collect()
}

fn expect(what: &str, have: Vec<String>, want: &[&str]) -> Result<(), Trouble> {
    if have == want { Ok(()) } else { Err(Trouble::Failed(format!("{what}: {have:?}, not {want:?}"))) }
}

fn try_runner(name: &str) -> Result<(), Trouble> {
    let executor = Shared::of(name)?;
    let folder = tempfile::tempdir().map_err(failed)?;
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runners").join(format!("{name}.py"));
    let mut place = Place { executor, module, folder };
    let weights = [("w", float(&[0.5, -2.0])), ("count", Tensor::scalar_i64(41))];
    let tensors: Tensors = weights.map(|(name, tensor)| (name.to_string(), tensor)).into_iter().collect();
    let bytes = encode(&place.weights(), &WeightSet { tensors, ..WeightSet::default() }).map_err(failed)?;
    std::fs::write(place.weights(), bytes).map_err(failed)?;

    place.executor.compile(std::slice::from_ref(&place.module), ANSWER_LIMIT).map_err(failed)?;
    try_results(&mut place)?;
    try_gradients(&mut place)?;
    let text = std::fs::read_to_string(&place.module).map_err(failed)?;
    if text.contains("def pack(") {
        // Where training is over, the module packs its weights.
        let packed = place.call("forward", &Call { train: false, ..Call::of(&[1.0, -2.0]) }).map_err(failed)?;
        expect("packed", shown(&packed.outputs[..1]), &["float16[2] [8.0, 29.0]"])?;
    }
    try_errors(&mut place)
}

fn try_results(place: &mut Place) -> Result<(), Trouble> {
    let executed = place.call("forward", &Call::of(&[1.0, -2.0])).map_err(failed)?;
    expect("results", shown(&executed.outputs), &["float16[2] [6.5, 17.0]", "bool[2] [1.0, 0.0]"])?;
    expect("state", shown(&executed.state.into_values().collect::<Vec<_>>()), &["int64[] [42.0]"])?;
    expect("randomness", vec![executed.own_random.to_string()], &["false"])?;
    let other = place.call("forward", &Call { seeds: vec![], ..Call::of(&[1.0, -2.0]) }).map_err(failed)?;
    expect("randomness without a seed", vec![other.own_random.to_string()], &["true"])?;
    // The parts of a tuple; there is only one result.
    let low = Tensor::from_f64(DType::Float64, vec![2], [0.5, 1.5]);
    let pair = ["pair.0", "pair.1"].map(|name| (name.to_string(), Some(low.clone())));
    let kept = place.call("keep", &Call { inputs: pair.to_vec(), train: true, ..Call::default() }).map_err(failed)?;
    expect("a method", shown(&kept.outputs), &["float64[2] [1.0, 3.0]"])?;
    expect("state that is kept", shown(&kept.state.into_values().collect::<Vec<_>>()), &["int64[] [41.0]"])
}

fn try_gradients(place: &mut Place) -> Result<(), Trouble> {
    let gradient = Tensor::from_f64(DType::Float16, vec![2], [1.0, 2.0]);
    let call = Call { output_gradients: Some(vec![Some(gradient), None]), ..Call::of(&[1.0, -2.0]) };
    let executed = place.call("forward", &call).map_err(failed)?;
    expect("results beside gradients", shown(&executed.outputs[..1]), &["float16[2] [6.5, 17.0]"])?;
    let mut gradients = executed.gradients;
    let of_inputs = executed.input_gradients.into_iter().flatten();
    gradients.extend(of_inputs.map(|gradient| ("x".to_string(), gradient)));
    expect("names of gradients", gradients.keys().cloned().collect(), &["w", "x"])?;
    let values: Vec<Tensor> = gradients.into_values().collect();
    expect("gradients", shown(&values), &["float32[2] [3.0, -12.0]", "float32[2] [1.5, -12.0]"])
}

fn try_errors(place: &mut Place) -> Result<(), Trouble> {
    match place.call("forward", &Call::of(&[1.0])) {
        Err(Broken(why)) if why.contains("raise ValueError(\"too small\")\nValueError: too small") => {}
        other => return Err(Trouble::Failed(format!("an error in the module gives {other:?}"))),
    }
    let broken = place.folder.path().join("broken.py");
    std::fs::write(&broken, "def forward(:\n").map_err(failed)?;
    match place.executor.compile(std::slice::from_ref(&broken), ANSWER_LIMIT) {
        Err(Broken(why)) if why.contains("SyntaxError") => Ok(()),
        other => Err(Trouble::Failed(format!("a file that is no Python compiles: {other:?}"))),
    }
}
