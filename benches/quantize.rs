//! `tritonc quantize` of large checkpoints: time, and the most memory it had, which must stay below twice the largest
//! tensor, the program's own left out. `cargo bench` takes 4 GB; as a test, files of a few tensors.

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use support::is_timed;
use tritonc::base::philox;
use tritonc::types::{DType, Tensor};
use tritonc::weights::{Raw, safetensors};

const MIB: f64 = 1024.0 * 1024.0;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    // 16 matrices of 256 MiB in float32, 32 of 128 MiB in bfloat16.
    let (rows, float, half) = if is_timed() { (8192, 16, 32) } else { (512, 3, 3) };
    println!("{:44} {:>8} {:>10} {:>10} {:>10}", "quantize", "time", "tensor", "peak", "least");
    for (dtype, tensors, scheme) in [
        (DType::Float32, float, "int4(group=64)"),
        (DType::Float32, float, "ternary(axis=0)"),
        (DType::Float32, float, "none"),
        (DType::BFloat16, half, "int8(symmetric=false)"),
    ] {
        let (_, least) = quantize(folder.path(), dtype, 1, [4, 64], scheme);
        let (time, peak) = quantize(folder.path(), dtype, tensors, [rows, 8192], scheme);
        let tensor = (rows * 8192) as f64 * f64::from(dtype.bits() / 8) / MIB;
        let name = format!("{tensors} tensors of {dtype} as {scheme}");
        println!("{name:44} {time:6.1} s {tensor:6.0} MiB {peak:6.0} MiB {least:6.0} MiB");
        assert!(peak - least < 2.0 * tensor, "{name} took more than two tensors");
    }
}

/// Seconds, and the peak in MiB.
fn quantize(folder: &Path, dtype: DType, tensors: usize, shape: [usize; 2], scheme: &str) -> (f64, f64) {
    checkpoint(&folder.join("w.safetensors"), dtype, tensors, shape);
    let rule = format!("blocks.*={scheme}");
    let start = Instant::now();
    let peak = peak(folder, &["quantize", "w.safetensors", "--scheme", &rule, "-o", "q.safetensors"]);
    (start.elapsed().as_secs_f64(), peak)
}

/// Writes a checkpoint of equal matrices, a piece at a time.
fn checkpoint(path: &Path, dtype: DType, tensors: usize, shape: [usize; 2]) {
    let types = (0..tensors).map(|index| (format!("blocks.{index}.weight"), (dtype, shape.to_vec()))).collect();
    let layout = safetensors::layout(&types, &BTreeMap::new(), 0);
    let mut file = BufWriter::new(File::create(path).expect("created"));
    file.write_all(&layout.head).expect("written");
    // The same million numbers again and again are as good as others.
    let numbers = Tensor::from_f64(dtype, vec![1 << 20], philox::normals(1).take(1 << 20));
    let piece = Raw::from(&numbers);
    let mut left = layout.size as usize - layout.head.len();
    while left > 0 {
        let now = left.min(piece.bytes().len());
        file.write_all(&piece.bytes()[..now]).expect("written");
        left -= now;
    }
    file.flush().expect("written");
}

/// The most memory that a run of the program had at a time, in MiB.
fn peak(folder: &Path, arguments: &[&str]) -> f64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tritonc"));
    // Rounding random numbers to three values is warned of, which nobody wants to read here.
    let child = command.args(arguments).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let id = child.expect("tritonc starts").id() as libc::pid_t;
    let mut status = 0;
    // SAFETY: the call fills the whole structure, and all zeros is a value of it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::wait4(id, &mut status, 0, &mut usage), id);
        usage
    };
    assert_eq!(status, 0, "{arguments:?}");
    let unit = if cfg!(target_os = "macos") { 1.0 } else { 1024.0 };
    usage.ru_maxrss as f64 * unit / MIB
}
