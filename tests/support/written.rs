//! A module of IR as a target writes it, and what that gives when it is executed.

use super::executors::{Shared, Trouble};
use std::path::{Path, PathBuf};
use tritonc::base::code::E0603;
use tritonc::driver::verify::compare::compare;
use tritonc::driver::verify::executor::{Broken, Executed, Executor, Job};
use tritonc::driver::verify::tolerance::{Scope, tolerance};
use tritonc::ir::Verified;
use tritonc::targets::{EmitOptions, Writer};
use tritonc::types::{DType, Tensor};

/// The largest size that a program can be called with, where memory is planned.
pub const BOUND: usize = 64;

/// Has the files of a module in training form written to a folder. What is refused for its element types is told apart.
pub fn write(module: &Verified, writer: &dyn Writer, folder: &Path) -> Result<Vec<PathBuf>, Trouble> {
    write_with(module, writer, folder, &EmitOptions { bound: Some(BOUND), ..EmitOptions::default() })
}

/// The same with options.
pub fn write_with(
    module: &Verified,
    writer: &dyn Writer,
    folder: &Path,
    options: &EmitOptions,
) -> Result<Vec<PathBuf>, Trouble> {
    let written = writer.write(module, options).map_err(|errors| {
        let why =
            errors.iter().map(|error| format!("{}: {}", error.code, error.message)).collect::<Vec<_>>().join("; ");
        let is_refused = errors.iter().all(|error| error.code == E0603);
        if is_refused { Trouble::Refused(why) } else { Trouble::Failed(why) }
    })?;
    let mut files = vec![];
    for artifact in &written {
        let path = folder.join(&artifact.path);
        super::trials::io(&path, std::fs::write(&path, artifact.contents.as_bytes()))?;
        files.push(path);
    }
    Ok(files)
}

/// A call of a method in training form, without weights, numbers, or gradients.
pub fn job<'a>(files: &'a [PathBuf], folder: &'a Path, inputs: &'a [(String, Option<Tensor>)]) -> Job<'a> {
    Job {
        files,
        scratch: folder,
        weights: None,
        train: true,
        method: "forward",
        inputs,
        numbers: &[],
        seed: 0,
        seeds: &[],
        output_gradients: None,
        gradients: &[],
        state: &[],
        trace: false,
        limit: super::executors::ANSWER_LIMIT,
    }
}

pub fn execute(executor: &mut Shared, job: &Job<'_>) -> Result<Executed, Trouble> {
    executor.execute(job).map_err(|Broken(why)| Trouble::Failed(why))
}

/// Whether tensors are what the interpreter gives, within the tolerances that `tritonc verify` has.
pub fn agree(module: &Verified, have: &[Tensor], want: &[Tensor]) -> Result<(), Trouble> {
    if have.len() != want.len() {
        return Err(Trouble::Failed(format!("there are {} results, not {}", have.len(), want.len())));
    }
    for (index, (have, want)) in have.iter().zip(want).enumerate() {
        let want = as_it_travels(want);
        let row = tolerance(want.dtype(), Scope::of(module));
        match compare(&format!("result {index}"), have, &want, row) {
            Ok(found) if !found.fails => {}
            Ok(found) => return Err(Trouble::Failed(found.worst.unwrap_or_default())),
            Err(unlike) => return Err(Trouble::Failed(unlike.to_string())),
        }
    }
    Ok(())
}

/// Codes of fewer than eight bits are int8 everywhere.
fn as_it_travels(tensor: &Tensor) -> Tensor {
    match tensor.dtype() {
        DType::Trit | DType::Int4 => Tensor::from_f64(DType::Int8, tensor.shape().to_vec(), tensor.to_f64()),
        _ => tensor.clone(),
    }
}
