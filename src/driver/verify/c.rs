//! Runs emitted C: compiles the model with its `example.c`, which reads inputs from .npy files and writes results into a
//! folder. A program that was compiled before is not compiled again.

use super::executor::{Broken, Executed, Executor, Job, Unavailable};
use crate::types::Tensor;
use crate::weights::{Tensors, npy};
use std::collections::hash_map::{DefaultHasher, HashMap};
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Optimised little: compiling takes longer than running. Warnings are mistakes of the emitter.
const FLAGS: &[&str] = &["-std=c11", "-O0", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// What looks for a program that ended waits so long, at most.
const PATIENCE: Duration = Duration::from_millis(10);

pub struct C {
    target: &'static str,
    /// Flags of the compiler, after its own.
    flags: &'static [&'static str],
    state: State,
}

enum State {
    NotLooked,
    Ready(Ready),
    Unusable(String),
}

/// A compiler, and what it made.
struct Ready {
    compiler: String,
    flags: &'static [&'static str],
    folder: tempfile::TempDir,
    /// By what went in.
    programs: HashMap<u64, PathBuf>,
}

impl C {
    pub fn new(target: &'static str) -> C {
        C::with_flags(target, &[])
    }

    /// The same with more flags for the compiler, such as those of sanitisers.
    pub fn with_flags(target: &'static str, flags: &'static [&'static str]) -> C {
        C { target, flags, state: State::NotLooked }
    }

    fn ready(&mut self) -> Result<&mut Ready, Unavailable> {
        if let State::NotLooked = self.state {
            self.state = match begin(self.flags) {
                Ok(ready) => State::Ready(ready),
                Err(why) => State::Unusable(why),
            };
        }
        match &mut self.state {
            State::Ready(ready) => Ok(ready),
            State::Unusable(why) => Err(Unavailable(why.clone())),
            State::NotLooked => Err(Unavailable("no compiler was looked for".to_string())),
        }
    }
}

/// `CC` names the compiler, else it is `cc`.
fn begin(flags: &'static [&'static str]) -> Result<Ready, String> {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_string());
    let found = Command::new(&compiler).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match found {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(format!("the C compiler `{compiler}` does not work ({status})")),
        Err(error) => return Err(format!("there is no C compiler `{compiler}`: {error}")),
    }
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder can be made: {error}"))?;
    Ok(Ready { compiler, flags, folder, programs: HashMap::new() })
}

impl Ready {
    /// The program of these files.
    fn program(&mut self, files: &[PathBuf], limit: Duration) -> Result<PathBuf, Broken> {
        let is_code = |file: &&PathBuf| matches!(file.extension().and_then(|e| e.to_str()), Some("c" | "h"));
        let code: Vec<&PathBuf> = files.iter().filter(is_code).collect();
        let mut hasher = DefaultHasher::new();
        for file in &code {
            file.file_name().hash(&mut hasher);
            fs::read(file).map_err(|error| Broken(format!("{}: {error}", file.display())))?.hash(&mut hasher);
        }
        let key = hasher.finish();
        if let Some(program) = self.programs.get(&key) {
            return Ok(program.clone());
        }
        let program = self.folder.path().join(format!("example-{key:016x}"));
        let sources = code.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "c"));
        let mut command = Command::new(&self.compiler);
        command.args(FLAGS).args(self.flags).arg("-o").arg(&program).args(sources).arg("-lm");
        let said = self.folder.path().join("compiler.txt");
        run(&mut command, &said, limit).map_err(|why| Broken(format!("{}: {why}", self.compiler)))?;
        self.programs.insert(key, program.clone());
        Ok(program)
    }
}

/// Runs a command to its end; what it said, or that it took too long.
fn run(command: &mut Command, said: &Path, limit: Duration) -> Result<(), String> {
    let output = File::create(said).map_err(|error| error.to_string())?;
    let errors = output.try_clone().map_err(|error| error.to_string())?;
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let began = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => {
                let said = fs::read(said).unwrap_or_default();
                let said = String::from_utf8_lossy(&said).trim().to_string();
                return Err(if said.is_empty() { status.to_string() } else { said });
            }
            Ok(None) if began.elapsed() > limit => {
                // It may have ended by itself meanwhile.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it does not end within {limit:?}"));
            }
            Ok(None) => {
                sleep(pause);
                pause = (pause * 2).min(PATIENCE);
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

impl Executor for C {
    fn target(&self) -> &'static str {
        self.target
    }

    fn prepare(&mut self) -> Result<(), Unavailable> {
        self.ready().map(|_| ())
    }

    fn compile(&mut self, files: &[PathBuf], limit: Duration) -> Result<(), Broken> {
        let ready = self.ready().map_err(|Unavailable(why)| Broken(why))?;
        ready.program(files, limit).map(|_| ())
    }

    fn execute(&mut self, job: &Job<'_>) -> Result<Executed, Broken> {
        let ready = self.ready().map_err(|Unavailable(why)| Broken(why))?;
        let program = ready.program(job.files, job.limit)?;
        let folder = tempfile::tempdir_in(job.scratch).map_err(|error| Broken(error.to_string()))?;
        let results = folder.path().join("results");
        fs::create_dir(&results).map_err(|error| Broken(error.to_string()))?;
        let mut command = Command::new(program);
        command.arg("--method").arg(if job.output_gradients.is_some() { "backward" } else { job.method });
        if let Some(weights) = job.files.iter().find(|file| file.extension().is_some_and(|e| e == "weights")) {
            command.arg("--weights").arg(weights);
        }
        command.arg("--seed").arg(job.seed.to_string()).arg("-o").arg(&results);
        let mut count = 0;
        let mut given = |name: &str, tensor: &Tensor| -> Result<String, Broken> {
            count += 1;
            let path = folder.path().join(format!("given_{count}.npy"));
            fs::write(&path, npy::write(tensor)).map_err(|error| Broken(error.to_string()))?;
            Ok(format!("{name}={}", path.display()))
        };
        for (name, tensor) in job.inputs {
            if let Some(tensor) = tensor {
                command.arg(given(name, tensor)?);
            }
        }
        let gradients = job.output_gradients.unwrap_or_default();
        for (index, gradient) in gradients.iter().enumerate() {
            if let Some(gradient) = gradient {
                command.arg(given(&format!("grad.{}", output_name(index, gradients.len())), gradient)?);
            }
        }
        for (name, value) in job.numbers {
            command.arg(format!("{name}={value}"));
        }
        let began = Instant::now();
        run(&mut command, &folder.path().join("said.txt"), job.limit).map_err(Broken)?;
        let time = began.elapsed();
        Ok(Executed { time, ..collect(&results)? })
    }
}

fn output_name(index: usize, count: usize) -> String {
    if count == 1 { "output".to_string() } else { format!("output.{index}") }
}

/// What the program wrote.
fn collect(folder: &Path) -> Result<Executed, Broken> {
    let strange = |error: &dyn std::fmt::Display| Broken(format!("the results: {error}"));
    let mut executed = Executed::default();
    let mut outputs = Tensors::new();
    for entry in fs::read_dir(folder).map_err(|error| strange(&error))? {
        let path = entry.map_err(|error| strange(&error))?.path();
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let bytes = fs::read(&path).map_err(|error| strange(&error))?;
        let tensor = npy::read(&bytes).map_err(|error| strange(&error))?;
        if let Some(state) = name.strip_prefix("state.") {
            executed.state.insert(state.to_string(), tensor);
        } else if let Some(gradient) = name.strip_prefix("gradient.") {
            executed.gradients.insert(gradient.to_string(), tensor);
        } else {
            outputs.insert(name, tensor);
        }
    }
    let count = outputs.len();
    executed.outputs = (0..count).filter_map(|index| outputs.remove(&output_name(index, count))).collect();
    Ok(executed)
}
