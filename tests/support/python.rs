//! The Python side: one worker process with torch for the whole run, and ruff.
//!
//! The interpreter is the one that `TRITONC_PYTHON` names (`./test` sets it), else `python3`. Where torch
//! or ruff is missing, [`Missing`] tells why, and the trial is ignored; with `TRITONC_REQUIRE_TOOLS=1`, as
//! `./test` sets it, it fails instead.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tritonc::types::{DType, HostValue, Tensor};
use tritonc::weights::{self, FileFormat};

/// The start includes importing torch, from a cold disk perhaps.
const START_LIMIT: Duration = Duration::from_secs(180);
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// Why something could not be examined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A tool is not there.
    Missing(String),
    /// The tool says no.
    Failed(String),
}

/// Whether a missing tool is a failure.
pub fn tools_required() -> bool {
    std::env::var("TRITONC_REQUIRE_TOOLS").is_ok_and(|value| value == "1")
}

fn python() -> PathBuf {
    std::env::var_os("TRITONC_PYTHON").map_or("python3".into(), PathBuf::from)
}

/// What a module is run on.
pub struct Execution<'a> {
    pub module: &'a Path,
    pub weights: Option<&'a Path>,
    pub train: bool,
    /// `None` is passed as such.
    pub inputs: &'a [Option<(PathBuf, DType)>],
    /// Passed by name.
    pub numbers: &'a [(String, HostValue)],
    /// A folder for the results.
    pub outputs: &'a Path,
}

/// Runs `forward` of an emitted module.
pub fn run(execution: &Execution<'_>) -> Result<Vec<Tensor>, Trouble> {
    let answer = ask(&request("run", execution))?;
    let outputs = answer["outputs"].as_array().cloned().unwrap_or_default();
    outputs.iter().map(read_output).collect::<Result<_, _>>().map_err(Trouble::Failed)
}

fn request(word: &str, execution: &Execution<'_>) -> Value {
    json!({
        "do": word,
        "module": execution.module,
        "weights": execution.weights,
        "train": execution.train,
        "inputs": execution.inputs.iter().map(|given| given.as_ref().map(file)).collect::<Vec<_>>(),
        "numbers": execution.numbers.iter().map(number).collect::<serde_json::Map<_, _>>(),
        "outputs": execution.outputs,
    })
}

fn file((path, dtype): &(PathBuf, DType)) -> Value {
    json!({"path": path, "dtype": dtype.name()})
}

/// Gradients that PyTorch computes.
pub struct Gradients {
    /// By name in the `state_dict`.
    pub parameters: BTreeMap<String, Tensor>,
    /// In the order of the inputs; `None` for one that has none.
    pub inputs: Vec<Option<Tensor>>,
}

/// The gradients of an emitted module from those of its results.
pub fn gradients(execution: &Execution<'_>, output_grads: &[Option<(PathBuf, DType)>]) -> Result<Gradients, Trouble> {
    let mut request = request("gradients", execution);
    request["output_grads"] = output_grads.iter().map(|grad| grad.as_ref().map(file)).collect();
    let answer = ask(&request)?;
    let read = |entry: &Value| if entry.is_null() { Ok(None) } else { read_output(entry).map(Some) };
    let inputs = answer["input_gradients"].as_array().cloned().unwrap_or_default();
    let inputs = inputs.iter().map(read).collect::<Result<_, _>>().map_err(Trouble::Failed)?;
    let mut parameters = BTreeMap::new();
    for (name, entry) in answer["gradients"].as_object().cloned().unwrap_or_default() {
        if let Some(tensor) = read(&entry).map_err(Trouble::Failed)? {
            parameters.insert(name, tensor);
        }
    }
    Ok(Gradients { parameters, inputs })
}

fn number((name, value): &(String, HostValue)) -> (String, Value) {
    let value = match value {
        HostValue::Int(value) => json!(value),
        other => json!(other.as_float()),
    };
    (name.clone(), value)
}

fn read_output(entry: &Value) -> Result<Tensor, String> {
    let (Some(path), Some(dtype)) = (entry["path"].as_str(), entry["dtype"].as_str()) else {
        return Err(format!("the worker answered {entry}"));
    };
    let dtype = DType::parse(dtype).ok_or(format!("the result is of element type {dtype}"))?;
    let set = weights::load(Path::new(path)).map_err(|error| error.to_string())?;
    let tensor = set.tensors.into_values().next().ok_or("the worker wrote no tensor")?;
    weights::restore(tensor, dtype, FileFormat::Npy)
}

/// Compiles a module without running it.
pub fn compile(module: &Path) -> Result<(), Trouble> {
    ask(&json!({"do": "compile", "module": module})).map(|_| ())
}

/// `ruff check` and `ruff format --check`, with ruff's own settings.
pub fn ruff(module: &Path) -> Result<(), Trouble> {
    let beside = python().with_file_name("ruff");
    let ruff = if beside.is_file() { beside } else { "ruff".into() };
    for arguments in [&["check"][..], &["format", "--diff"]] {
        let output = Command::new(&ruff).args(arguments).args(["--isolated", "--no-cache"]).arg(module).output();
        let output = output.map_err(|error| Trouble::Missing(format!("{} does not run: {error}", ruff.display())))?;
        if !output.status.success() {
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text).into_owned();
            return Err(Trouble::Failed(format!("ruff {}:\n{text}", arguments.join(" "))));
        }
    }
    Ok(())
}

/// The process, with its answers read by a thread so that waiting for one can end.
struct Worker {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
}

enum State {
    NotStarted,
    Running(Worker),
    /// It could not be started; why.
    Unusable(String),
}

static STATE: Mutex<State> = Mutex::new(State::NotStarted);

/// Sends a request. A worker that dies or stays silent is replaced at the next one.
fn ask(request: &Value) -> Result<Value, Trouble> {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    if let State::NotStarted = *state {
        *state = match Worker::start() {
            Ok(worker) => State::Running(worker),
            Err(why) => State::Unusable(why),
        };
    }
    let worker = match &mut *state {
        State::Running(worker) => worker,
        State::Unusable(why) => return Err(Trouble::Missing(why.clone())),
        State::NotStarted => return Err(Trouble::Failed("the worker did not start".to_string())),
    };
    let answer = worker.ask(request);
    if answer.is_err() {
        worker.stop();
        *state = State::NotStarted;
    }
    let answer = answer.map_err(Trouble::Failed)?;
    if answer["ok"] == true {
        return Ok(answer);
    }
    let error = answer["error"].as_str().unwrap_or("the worker gave no reason");
    Err(Trouble::Failed(error.trim_end().to_string()))
}

/// Ends the worker. Its input closes with the process, but a module may hang in native code.
pub fn stop() {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    if let State::Running(worker) = &mut *state {
        worker.stop();
    }
    *state = State::NotStarted;
}

impl Worker {
    fn start() -> Result<Worker, String> {
        let python = python();
        let script = super::root().join("tests/support/torch_worker.py");
        let mut command = Command::new(&python);
        // Unoptimised, so that assertions in emitted modules are executed.
        command.arg("-u").arg(script).env_remove("PYTHONOPTIMIZE").env("PYTHONDONTWRITEBYTECODE", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{} does not run: {error}", python.display()))?;
        let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err("the worker has no pipes".to_string());
        };
        let (send, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let (send_last, last) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(errors).lines().map_while(Result::ok);
            let _ = send_last.send(lines.filter(|line| !line.trim().is_empty()).last());
        });
        let mut worker = Worker { child, input, answers };
        match worker.read(START_LIMIT) {
            Ok(_) => Ok(worker),
            Err(why) => {
                worker.stop();
                let last = last.recv_timeout(Duration::from_secs(1)).ok().flatten().unwrap_or(why);
                Err(format!("{} cannot run torch: {last}", python.display()))
            }
        }
    }

    fn ask(&mut self, request: &Value) -> Result<Value, String> {
        writeln!(self.input, "{request}")
            .and_then(|()| self.input.flush())
            .map_err(|error| format!("worker: {error}"))?;
        self.read(ANSWER_LIMIT)
    }

    fn read(&mut self, limit: Duration) -> Result<Value, String> {
        let line = self.answers.recv_timeout(limit).map_err(|_| match self.child.try_wait() {
            Ok(Some(status)) => format!("the worker ended ({status})"),
            _ => format!("the worker gave no answer within {} s", limit.as_secs()),
        })?;
        serde_json::from_str(&line).map_err(|error| format!("the worker answered {line:?}: {error}"))
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
