//! `tritonc run`: executes an entry, or a script, on the reference interpreter.

use super::common::{EntryArgs, PrecisionArgs, Status, reported, say};
use super::output;
use super::weights::ReadingArgs;
use crate::driver::project_file::Settings;
use crate::driver::{EntryRequest, Failed, RunRequest, RunResult, Session, artifact, options};
use crate::types::Tensor;
use crate::types::display;
use crate::weights::{Tensors, WeightSet, encode, writable};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Run a model on the interpreter
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The source file, or `-`
    #[arg(value_name = "FILE")]
    file: String,
    #[command(flatten)]
    entry: EntryArgs,
    #[command(flatten)]
    precision: PrecisionArgs,
    /// Reads an input from a .npy, .npz or .safetensors file, or gives a number; may be repeated. Other tensors
    /// are drawn at random
    #[arg(long = "input", value_name = "NAME=FILE")]
    inputs: Vec<String>,
    /// The shape of an input to draw, or the size of a dim (`B=4`); may be repeated
    #[arg(long = "shape", value_name = "NAME=SIZES")]
    shapes: Vec<String>,
    /// The method to run
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// Weights: a .safetensors or .npz file, an index of shards, or a folder with one of them; without them, the
    /// model's initial values are drawn
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadingArgs,
    /// Save the weights that were used
    #[arg(long, value_name = "FILE")]
    save_weights: Option<PathBuf>,
    /// Also compute the gradients of float inputs and parameters
    #[arg(long)]
    grad: bool,
    /// For gradients, divide loops over layers into N parts, and compute each again instead of keeping its values
    #[arg(long, value_name = "N", requires = "grad", value_parser = clap::value_parser!(u32).range(1..))]
    checkpoint_segments: Option<u32>,
    /// Reads the gradient of a result (`output`, or `output.N`) from a file; without it, it is ones
    #[arg(long = "output-grad", value_name = "NAME=FILE", requires = "grad")]
    output_grads: Vec<String>,
    /// Determines all random values [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Write results to a .npz (or .npy, .safetensors) file; without it, they are printed
    #[arg(short, long, value_name = "OUT.npz")]
    output: Option<PathBuf>,
    /// Save every named intermediate value as a .npy file in this folder
    #[arg(long, value_name = "DIR")]
    save_intermediates: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  tritonc run mlp.tri --entry 'MLP(dim=8)' --seed 1            random input and weights
  tritonc run mlp.tri --input x=x.npy --weights mlp.safetensors -o y.npz
  tritonc run mlp.tri --shape x=4,784 --save-weights mlp.safetensors
  tritonc run mlp.tri --input x=x.npy --mode train --grad -o gradients.npz";

impl Args {
    pub fn execute(self, session: &mut Session) -> Status {
        self.try_execute(session).into()
    }

    fn try_execute(&self, session: &mut Session) -> Result<(), Failed> {
        let mut settings = self.entry.settings(session, &self.file)?;
        if settings.source.is_some() {
            let entry = reported(session, self.entry.request(&[], &settings))?;
            // A script takes none of a project's options.
            if session.is_script(&self.file, &entry)? {
                settings = Settings::default();
            }
        }
        let request = reported(session, self.request(&settings))?;
        for path in self.output.iter().chain(&self.save_weights) {
            writable(path).map_err(|error| session.report_file(&error))?;
        }
        let result = session.run(&self.file, &request, &mut output::Stdout)?;
        if let Some(path) = &self.save_weights {
            // Loaders of the format's own ecosystem refuse files that do not say this.
            let metadata = BTreeMap::from([("format".to_string(), "pt".to_string())]);
            save(session, path, WeightSet { tensors: result.weights.clone(), metadata })?;
        }
        if let Some(folder) = &self.save_intermediates {
            save_intermediates(session, folder, &result.intermediates)?;
        }
        let outputs = named_outputs(&result);
        match &self.output {
            Some(path) => {
                save(session, path, WeightSet { tensors: outputs.into_iter().collect(), metadata: BTreeMap::new() })
            }
            None => output::write(session, shown(&outputs).as_bytes()),
        }
    }

    fn request(&self, settings: &Settings) -> Result<RunRequest, crate::base::Diagnostic> {
        let (inputs, numbers) = options::parse_inputs(&self.inputs)?;
        let (weights, reading) = self.reading.reading(self.weights.as_deref(), settings);
        Ok(RunRequest {
            entry: EntryRequest {
                precision: self.precision.low(settings),
                ..self.entry.request(&self.shapes, settings)?
            },
            method: self.method.clone(),
            inputs,
            numbers,
            weights,
            reading,
            seed: self.seed.or(settings.seed).unwrap_or_default(),
            grad: self.grad,
            checkpoint_segments: self.checkpoint_segments,
            output_grads: options::parse_output_grads(&self.output_grads)?,
            keep_intermediates: self.save_intermediates.is_some(),
            keep_weights: self.save_weights.is_some(),
            keep_outputs: self.output.is_some(),
            ..RunRequest::default()
        })
    }
}

/// `output`, or `output.0`, `output.1`, ... for several; then gradients, as `grad.NAME`.
fn named_outputs(result: &RunResult) -> Vec<(String, Tensor)> {
    let mut named: Vec<(String, Tensor)> = match result.outputs.as_slice() {
        [single] => vec![("output".to_string(), single.clone())],
        several => several.iter().enumerate().map(|(i, tensor)| (format!("output.{i}"), tensor.clone())).collect(),
    };
    named.extend(result.gradients.iter().map(|(name, tensor)| (format!("grad.{name}"), tensor.clone())));
    named
}

/// What `print` shows in NumPy: one array alone, several with their names and types.
fn shown(outputs: &[(String, Tensor)]) -> String {
    match outputs {
        [(_, single)] => format!("{}\n", display::show(single)),
        several => several
            .iter()
            .map(|(name, tensor)| format!("{name}: {}\n{}\n", tensor_type(tensor), display::show(tensor)))
            .collect(),
    }
}

/// `float32[2, 3]`, or the element type alone for a scalar.
fn tensor_type(tensor: &Tensor) -> String {
    let dims: Vec<String> = tensor.shape().iter().map(usize::to_string).collect();
    if dims.is_empty() { tensor.dtype().to_string() } else { format!("{}[{}]", tensor.dtype(), dims.join(", ")) }
}

fn save(session: &mut Session, path: &Path, set: WeightSet) -> Result<(), Failed> {
    let written = encode(path, &set).and_then(|bytes| artifact::write_atomic(path, &bytes));
    written.map_err(|error| session.report_file(&error))?;
    say(session, &format!("wrote {}", path.display()));
    Ok(())
}

fn save_intermediates(session: &mut Session, folder: &Path, tensors: &Tensors) -> Result<(), Failed> {
    for (name, tensor) in tensors {
        let safe = name.replace(|c: char| !c.is_alphanumeric() && !matches!(c, '.' | '_' | '-'), "_");
        let set = WeightSet { tensors: [(String::new(), tensor.clone())].into(), metadata: BTreeMap::new() };
        save(session, &folder.join(format!("{safe}.npy")), set)?;
    }
    Ok(())
}
