//! Whole models of the target `c`: built for sets of instructions, compiled by compilers, run here or under an emulator, and
//! compared with the interpreter.

use super::c_compilers::{InstructionSet, WARNINGS, succeeds};
use super::executors::Trouble;
use super::files_below;
use super::trials::{SEED, io};
use super::written::agree;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;
use tritonc::base::philox;
use tritonc::driver::options::{Simd, WeightsForm};
use tritonc::driver::{BuildRequest, EntryRequest, RunRequest, Session, SessionOptions, artifact};
use tritonc::ir::Verified;
use tritonc::types::{DType, Tensor};
use tritonc::weights::{WeightSet, encode, npy};

/// What users may ask of their compilers beside.
const MORE_WARNINGS: &[&str] =
    &["-Wconversion", "-Wshadow", "-Wundef", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wcast-qual"];

/// A program with one input, `x`.
pub struct Model {
    pub name: &'static str,
    /// The text of the program.
    pub source: String,
    /// What `--quantize` says.
    pub quantize: &'static [&'static str],
    /// Shapes that it is called with; none is larger than the first.
    pub shapes: &'static [&'static [usize]],
    /// How many threads its kernels may take.
    pub threads: Option<usize>,
    prepared: OnceLock<Result<Prepared, Trouble>>,
}

/// What all builds of a model share.
struct Prepared {
    folder: TempDir,
    module: Verified,
    calls: Vec<Call>,
}

struct Call {
    input: PathBuf,
    want: Vec<Tensor>,
}

/// How an emitted program is compiled and started.
#[derive(Clone, Copy)]
pub enum Build<'a> {
    /// By one command, for one set of instructions.
    Whole(&'a str, &'a InstructionSet, &'a [&'a str]),
    /// By the Makefile, with these arguments.
    Make(&'a [&'a str]),
}

impl Model {
    pub fn new(
        name: &'static str,
        source: String,
        quantize: &'static [&'static str],
        shapes: &'static [&'static [usize]],
    ) -> Model {
        Model { name, source, quantize, shapes, threads: None, prepared: OnceLock::new() }
    }

    pub fn with_threads(self, threads: usize) -> Model {
        Model { threads: Some(threads), ..self }
    }

    fn entry(&self) -> EntryRequest {
        EntryRequest { quantize: self.quantize.iter().map(ToString::to_string).collect(), ..EntryRequest::default() }
    }

    fn prepared(&self) -> Result<&Prepared, Trouble> {
        self.prepared.get_or_init(|| self.prepare()).as_ref().map_err(Clone::clone)
    }

    fn prepare(&self) -> Result<Prepared, Trouble> {
        let folder = tempfile::tempdir().map_err(failed)?;
        let source = folder.path().join("model.tri");
        io(&source, std::fs::write(&source, &self.source))?;
        let source = source.to_string_lossy();
        let mut session = Session::new(SessionOptions::default());
        let module = session.lower(&source, &self.entry()).map_err(|_| failed(session.render()))?;
        let weights = folder.path().join("weights.safetensors");
        let mut calls: Vec<Call> = vec![];
        for (index, shape) in self.shapes.iter().enumerate() {
            let input = folder.path().join(format!("x{index}.npy"));
            let values = philox::normals(index as i64 + 1).take(shape.iter().product());
            let tensor = Tensor::from_f64(DType::Float32, shape.to_vec(), values);
            io(&input, std::fs::write(&input, npy::write(&tensor)))?;
            let request = RunRequest {
                entry: self.entry(),
                inputs: vec![("x".to_string(), input.clone())],
                seed: SEED,
                weights: (index > 0).then(|| weights.clone()),
                keep_outputs: true,
                keep_weights: true,
                ..RunRequest::default()
            };
            let ran = session.run(&source, &request, &mut std::io::sink()).map_err(|_| failed(session.render()))?;
            if index == 0 {
                let set = WeightSet { tensors: ran.weights, ..WeightSet::default() };
                io(&weights, std::fs::write(&weights, encode(&weights, &set).map_err(failed)?))?;
            }
            calls.push(Call { input, want: ran.outputs });
        }
        Ok(Prepared { folder, module, calls })
    }

    /// Has the files written to a folder.
    pub fn write(&self, simd: Simd, folder: &Path) -> Result<(), Trouble> {
        let prepared = self.prepared()?;
        let request = BuildRequest {
            entry: self.entry(),
            targets: vec!["c".to_string()],
            weights: Some(prepared.folder.path().join("weights.safetensors")),
            weights_form: Some(WeightsForm::Array),
            bounds: vec![("x".to_string(), self.shapes[0].to_vec())],
            simd: Some(simd),
            threads: self.threads,
            ..BuildRequest::default()
        };
        let source = prepared.folder.path().join("model.tri");
        let mut session = Session::new(SessionOptions::default());
        let built = session.build(&source.to_string_lossy(), &request).map_err(|_| failed(session.render()))?;
        artifact::write_all(folder, &built).map(|_| ()).map_err(|error| failed(format!("{error:?}")))
    }

    /// Builds, runs each call twice, and compares: with the interpreter, and the second run with the first to the last bit.
    /// `start` is the emulator with its arguments.
    pub fn agrees(&self, simd: Simd, build: Build<'_>, start: &[&str]) -> Result<(), Trouble> {
        if let Build::Whole(_, set, _) = build {
            set.is_here()?;
        }
        let prepared = self.prepared()?;
        let folder = tempfile::tempdir().map_err(failed)?;
        self.write(simd, folder.path())?;
        compile(folder.path(), build)?;
        let program = folder.path().join("example");
        for call in &prepared.calls {
            let run = |name: &str| -> Result<Vec<u8>, Trouble> {
                let results = folder.path().join(name);
                std::fs::create_dir_all(&results).map_err(failed)?;
                let mut command = match start {
                    [] => Command::new(&program),
                    [emulator, arguments @ ..] => {
                        let mut command = Command::new(emulator);
                        command.args(arguments).arg(&program);
                        command
                    }
                };
                succeeds(command.arg("-o").arg(&results).arg(format!("x={}", call.input.display())))?;
                std::fs::read(results.join("output.npy")).map_err(failed)
            };
            let first = run("first")?;
            if first != run("second")? {
                return Err(failed(format!("a second run of {} gives other bits", call.input.display())));
            }
            agree(&prepared.module, &[npy::read(&first).map_err(failed)?], &call.want)?;
        }
        Ok(())
    }
}

fn compile(folder: &Path, build: Build<'_>) -> Result<(), Trouble> {
    match build {
        Build::Whole(compiler, set, flags) => {
            let mut command = Command::new(compiler);
            command.current_dir(folder).args(WARNINGS).args(MORE_WARNINGS).args(set.flags).args(flags);
            command.arg("-o").arg("example").args(files_below(folder, ".c").map_err(failed)?);
            succeeds(command.arg("-lm"))
        }
        Build::Make(arguments) => succeeds(Command::new("make").current_dir(folder).arg("-s").args(arguments)),
    }
}

fn failed(error: impl std::fmt::Display) -> Trouble {
    Trouble::Failed(error.to_string())
}
