//! What executes the files that a target writes. There is one [`Executor`] for each kind of [`Runner`], in a file of its
//! own; everything else about verifying is the same for all targets.

use super::c::C;
use super::python::Python;
use crate::interp::Trace;
use crate::targets::{self, Runner, Target};
use crate::types::{HostValue, Tensor};
use crate::weights::Tensors;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The tools are not there: why, in words that may follow a colon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable(pub String);

/// The emitted code did not run to its end: what the tool said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub String);

pub trait Executor: Send {
    /// The target whose files it executes.
    fn target(&self) -> &'static str;

    /// Looks for the tools, and starts what serves many jobs.
    fn prepare(&mut self) -> Result<(), Unavailable>;

    /// Has the target's language look at files without running them.
    fn compile(&mut self, files: &[PathBuf], limit: Duration) -> Result<(), Broken>;

    fn execute(&mut self, job: &Job<'_>) -> Result<Executed, Broken>;
}

/// One call of a method.
pub struct Job<'a> {
    /// What `build` wrote.
    pub files: &'a [PathBuf],
    /// A folder for whatever travels.
    pub scratch: &'a Path,
    /// A .safetensors file with names of Tri; the model's own initial values without one.
    pub weights: Option<&'a Path>,
    pub train: bool,
    /// As in the source.
    pub method: &'a str,
    /// By name, in the order of the parameters, required ones first; `None` for one that is left out. The parts of a
    /// tuple are `NAME.0`, `NAME.1`.
    pub inputs: &'a [(String, Option<Tensor>)],
    /// Values of `int` and `float` parameters.
    pub numbers: &'a [(String, HostValue)],
    /// The seed of the run, from which a target may derive what `rng` gives.
    pub seed: u64,
    /// What `rng` gives, in order.
    pub seeds: &'a [i64],
    /// Where gradients are wanted: those of the results, `None` for a result that has none.
    pub output_gradients: Option<&'a [Option<Tensor>]>,
    /// Names of the gradients that are wanted then: of inputs and of parameters as in weights files, `input.NAME` of an
    /// input that has the name of a parameter. What finds its own may give others, which are compared as well.
    pub gradients: &'a [String],
    /// Names of the state that is wanted, as in weights files.
    pub state: &'a [String],
    /// The calls of sublayers are wanted.
    pub trace: bool,
    /// How long it may take.
    pub limit: Duration,
}

/// What a job computed.
#[derive(Clone, Debug, Default)]
pub struct Executed {
    pub outputs: Vec<Tensor>,
    /// By name in weights files. What the target keeps in another way may be missing.
    pub state: Tensors,
    /// Of parameters, by name in weights files; and of inputs, where they are not in the list below.
    pub gradients: Tensors,
    /// Of inputs, in their order.
    pub input_gradients: Vec<Option<Tensor>>,
    /// Calls of `forward`; layers are not told apart by their id.
    pub trace: Trace,
    /// Whether it drew other random numbers than those of the job's seeds.
    pub own_random: bool,
    /// Of the method alone.
    pub time: Duration,
}

/// One for every target that can be executed, in the order in which they are listed. `python` is the interpreter that
/// those in Python run on.
pub fn executors(python: Option<PathBuf>) -> Vec<Box<dyn Executor>> {
    targets::all().filter_map(|target| executor(target, python.clone())).collect()
}

/// What executes the files of a target, if anything can.
pub fn executor(target: &dyn Target, python: Option<PathBuf>) -> Option<Box<dyn Executor>> {
    match target.runner()? {
        Runner::Python(runner) => Some(Box::new(Python::new(target.name(), runner, python))),
        Runner::C => Some(Box::new(C::new(target.name()))),
    }
}
