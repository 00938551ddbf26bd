//! A folder of a test's own, and the real program in it.

// Each of the programs that include this uses a part of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use tritonc::base::philox;
use tritonc::types::{DType, Tensor};
use tritonc::weights::{Tensors, WeightSet, encode, load};

/// A folder with weights and models of a test's own.
pub struct Place(pub TempDir);

/// What a command did.
pub struct Run {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Place {
    pub fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    pub fn put(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn save(&self, name: &str, tensors: &[(&str, Tensor)]) {
        let tensors = tensors.iter().map(|(name, tensor)| (name.to_string(), tensor.clone())).collect();
        let bytes = encode(Path::new(name), &WeightSet { tensors, metadata: BTreeMap::new() }).unwrap();
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub fn load(&self, name: &str) -> Tensors {
        load(&self.path(name)).unwrap().tensors
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        let output = Command::new(env!("CARGO_BIN_EXE_tritonc")).args(arguments).current_dir(self.0.path()).output();
        let output = output.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Run { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// A command that succeeds; its output.
    pub fn done(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!(run.status, 0, "{arguments:?}\n{}", run.err);
        run.out
    }

    /// A command that fails with this code and says all of this, and leaves the folder as it was.
    pub fn error(&self, arguments: &[&str], code: &str, says: &[&str]) {
        let before = self.listing();
        let run = self.run(arguments);
        assert_eq!(run.status, 1, "{arguments:?}\n{}{}", run.out, run.err);
        assert!(run.err.starts_with(&format!("error[{code}]: ")), "{arguments:?}\n{}", run.err);
        for part in says {
            assert!(run.err.contains(part), "{arguments:?}: `{part}` is not in\n{}", run.err);
        }
        assert_eq!(self.listing(), before, "{arguments:?}");
    }

    pub fn listing(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Normally distributed, to seven digits of a type.
pub fn normal(seed: i64, dtype: DType, shape: &[usize]) -> Tensor {
    let count = shape.iter().product();
    Tensor::from_f64(dtype, shape.to_vec(), philox::normals(seed).take(count))
}

pub fn float(seed: i64, shape: &[usize]) -> Tensor {
    normal(seed, DType::Float32, shape)
}
