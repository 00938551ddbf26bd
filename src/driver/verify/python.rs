//! Executes what targets in Python write, in one process of a target's runner for all jobs. What the two say to each
//! other stands in `protocol.py`.

use super::executor::{Broken, Executed, Executor, Job, Unavailable};
use super::worker::{self, Worker};
use crate::interp::Trace;
use crate::ir::LayerId;
use crate::targets::PythonRunner;
use crate::types::{HostValue, Tensor};
use crate::weights::{Tensors, WeightSet, encode, load};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PROTOCOL: &str = include_str!("protocol.py");

/// `forward` is what hooks see.
const FORWARD: &str = "forward";

pub struct Python {
    target: &'static str,
    runner: PythonRunner,
    python: Option<PathBuf>,
    state: State,
}

enum State {
    NotStarted,
    Running(Worker),
    Unusable(String),
}

/// What the worker says of a run; the tensors lie in a file.
#[derive(Deserialize)]
struct Answer {
    outputs: usize,
    /// For each input, whether it has a gradient.
    input_gradients: Vec<bool>,
    calls: Vec<Call>,
    /// Positions of calls: `n` where it begins, `-n - 1` where it ends.
    events: Vec<i64>,
    own_random: bool,
    seconds: f64,
}

#[derive(Deserialize)]
struct Call {
    path: String,
    inputs: usize,
    outputs: usize,
}

impl Python {
    /// Without a Python of one's own, it is looked for.
    pub fn new(target: &'static str, runner: PythonRunner, python: Option<PathBuf>) -> Python {
        Python { target, runner, python, state: State::NotStarted }
    }

    /// Sends a request. A worker that dies or stays silent is replaced at the next one.
    fn ask(&mut self, request: &Value, limit: Duration) -> Result<Value, Broken> {
        self.prepare().map_err(|Unavailable(why)| Broken(why))?;
        let State::Running(worker) = &mut self.state else { return Err(Broken("the worker does not run".into())) };
        let answer = worker.ask(request, limit).inspect_err(|_| self.state = State::NotStarted).map_err(Broken)?;
        if answer["ok"] == true {
            return Ok(answer);
        }
        let error = answer["error"].as_str().unwrap_or("Python gave no reason");
        Err(Broken(error.trim_end().to_string()))
    }
}

impl Executor for Python {
    fn target(&self) -> &'static str {
        self.target
    }

    fn prepare(&mut self) -> Result<(), Unavailable> {
        if let State::NotStarted = self.state {
            let python = self.python.clone().unwrap_or_else(worker::python);
            let modules = [&[("protocol", PROTOCOL)], self.runner.modules].concat();
            self.state = match Worker::start(&python, self.runner.script, &modules) {
                Ok(worker) => State::Running(worker),
                Err(why) => State::Unusable(why),
            };
        }
        match &self.state {
            State::Unusable(why) => Err(Unavailable(why.clone())),
            State::NotStarted | State::Running(_) => Ok(()),
        }
    }

    fn compile(&mut self, files: &[PathBuf], limit: Duration) -> Result<(), Broken> {
        self.ask(&json!({"do": "compile", "module": module(files)?}), limit).map(|_| ())
    }

    fn execute(&mut self, job: &Job<'_>) -> Result<Executed, Broken> {
        let (given, results) = (job.scratch.join("given.safetensors"), job.scratch.join("results.safetensors"));
        let mut tensors = Tensors::new();
        let mut inputs = vec![];
        for (index, (name, input)) in job.inputs.iter().enumerate() {
            inputs.push((name, input.as_ref().map(|_| format!("input.{index}"))));
            tensors.extend(input.clone().map(|tensor| (format!("input.{index}"), tensor)));
        }
        let mut gradients = job.output_gradients.map(|_| vec![]);
        for (index, gradient) in job.output_gradients.into_iter().flatten().enumerate() {
            let name = gradient.as_ref().map(|_| format!("gradient.{index}"));
            tensors.extend(name.clone().zip(gradient.clone()));
            gradients.iter_mut().for_each(|names| names.push(name.clone()));
        }
        write(&given, tensors)?;
        let request = json!({
            "do": "run",
            "module": module(job.files)?,
            "weights": job.weights,
            "train": job.train,
            "method": job.method,
            "given": given,
            "inputs": inputs,
            "numbers": job.numbers.iter().map(number).collect::<serde_json::Map<_, _>>(),
            "seeds": job.seeds,
            "output_gradients": gradients,
            "gradients": job.gradients,
            "state": job.state,
            "trace": job.trace,
            "results": results,
        });
        let answer = self.ask(&request, job.limit)?;
        let strange = |error: &dyn std::fmt::Display| Broken(format!("the worker's answer: {error}"));
        let answer: Answer = serde_json::from_value(answer).map_err(|error| strange(&error))?;
        let tensors = load(&results).map_err(|error| strange(&error))?.tensors;
        Ok(Results { tensors }.executed(&answer))
    }
}

fn module(files: &[PathBuf]) -> Result<&Path, Broken> {
    let module = files.iter().find(|file| file.extension().is_some_and(|extension| extension == "py"));
    module.map(PathBuf::as_path).ok_or_else(|| Broken("the target wrote no Python file".to_string()))
}

fn write(path: &Path, tensors: Tensors) -> Result<(), Broken> {
    let set = WeightSet { tensors, metadata: BTreeMap::new() };
    let written = encode(path, &set).map_err(|error| error.to_string());
    let written = written.and_then(|bytes| std::fs::write(path, bytes).map_err(|error| error.to_string()));
    written.map_err(Broken)
}

fn number((name, value): &(String, HostValue)) -> (String, Value) {
    let value = match value {
        HostValue::Int(value) => json!(value),
        other => json!(other.as_float()),
    };
    (name.clone(), value)
}

/// The file that the worker wrote.
struct Results {
    tensors: Tensors,
}

impl Results {
    /// `PREFIX.0`, `PREFIX.1`, and so on.
    fn list(&mut self, prefix: &str, count: usize) -> Vec<Tensor> {
        (0..count).filter_map(|index| self.tensors.remove(&format!("{prefix}.{index}"))).collect()
    }

    fn executed(mut self, answer: &Answer) -> Executed {
        let outputs = self.list("output", answer.outputs);
        let input_gradients = answer.input_gradients.iter().enumerate();
        let input_gradients = input_gradients
            .map(|(index, has)| self.tensors.remove(&format!("input_gradient.{index}")).filter(|_| *has))
            .collect();
        let mut trace = Trace::default();
        for event in &answer.events {
            let at = if *event < 0 { -event - 1 } else { *event } as usize;
            let Some(call) = answer.calls.get(at) else { continue };
            if *event >= 0 {
                let inputs = self.list(&format!("call.{at}.input"), call.inputs);
                trace.enter(&call.path, LayerId(0), FORWARD, &inputs);
            } else {
                trace.leave(&self.list(&format!("call.{at}.output"), call.outputs));
            }
        }
        let (mut state, mut gradients) = (Tensors::new(), Tensors::new());
        for (name, tensor) in self.tensors {
            match name.split_once(' ') {
                Some(("state", name)) => drop(state.insert(name.to_string(), tensor)),
                Some(("gradient", name)) => drop(gradients.insert(name.to_string(), tensor)),
                Some(_) | None => {}
            }
        }
        let (own_random, time) = (answer.own_random, Duration::from_secs_f64(answer.seconds));
        Executed { outputs, state, gradients, input_gradients, trace, own_random, time }
    }
}
