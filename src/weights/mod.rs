//! Tensors on disk: `.npy`, `.npz` and `.safetensors`, read into and written from [`Tensor`]s.
//!
//! A [`Checkpoint`] is weights on disk, opened: its files are mapped, headers are read and checked, and elements
//! are decoded when they are asked for. No buffer is made larger than what a file can fill: sizes that a header
//! claims are checked against the bytes that are there. Writing gives bytes; putting them on disk (atomically) is
//! the driver's business.
//!
//! NumPy's formats have no `bfloat16`, `int4` and `trit`. They travel as `float32` and `int8`, and
//! [`restore`] gives them their declared type back where every value is exact in it.

pub mod checkpoint;
pub mod npy;
pub mod npz;
pub mod raw;
pub mod safetensors;
pub mod sharded;

pub use checkpoint::Checkpoint;
pub use raw::Raw;

use crate::base::Code;
use crate::base::code::{E0702, E0802, E0803};
use crate::types::tensor::{Data, round_f32};
use crate::types::{DType, Tensor};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Tensors by name, in the order of their names.
pub type Tensors = BTreeMap<String, Tensor>;

/// What a file holds. A lone `.npy` array has the empty name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WeightSet {
    pub tensors: Tensors,
    /// Free text beside the tensors; safetensors only.
    pub metadata: BTreeMap<String, String>,
}

/// Why a file could not be read or written. The message continues the path: "`a.npy` is truncated".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    pub code: Code,
    pub message: String,
    pub path: PathBuf,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.path.display(), self.message)
    }
}

/// A tensor file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    Npy,
    Npz,
    Safetensors,
}

impl FileFormat {
    /// By the extension, in any case.
    pub fn of(path: &Path) -> Option<FileFormat> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "npy" => FileFormat::Npy,
            "npz" => FileFormat::Npz,
            "safetensors" => FileFormat::Safetensors,
            _ => return None,
        })
    }

    /// The code of what is wrong inside a file of this format.
    fn code(self) -> Code {
        match self {
            FileFormat::Npy | FileFormat::Npz => E0803,
            FileFormat::Safetensors => E0702,
        }
    }
}

/// Reads all of a tensor file of any format: E0801 if it cannot be read, E0702, E0703 or E0803 if it makes no sense.
pub fn load(path: &Path) -> Result<WeightSet, FileError> {
    Checkpoint::open(path)?.load()
}

/// Reads a tensor file held in memory. The error says what is wrong with the bytes.
pub fn decode(format: FileFormat, bytes: &[u8]) -> Result<WeightSet, String> {
    match format {
        FileFormat::Npy => {
            let tensors = BTreeMap::from([(String::new(), npy::read(bytes)?)]);
            Ok(WeightSet { tensors, metadata: BTreeMap::new() })
        }
        FileFormat::Npz => Ok(WeightSet { tensors: npz::read(bytes)?, metadata: BTreeMap::new() }),
        FileFormat::Safetensors => safetensors::read(bytes),
    }
}

/// The bytes of a file for `path`, by its extension. Equal sets give equal bytes.
pub fn encode(path: &Path, set: &WeightSet) -> Result<Vec<u8>, FileError> {
    let error = |code, message: String| FileError { code, message, path: path.to_path_buf() };
    match writable(path)? {
        FileFormat::Safetensors => Ok(safetensors::write(set)),
        FileFormat::Npz => npz::write(&set.tensors).map_err(|message| error(E0802, message)),
        FileFormat::Npy => match set.tensors.values().collect::<Vec<_>>().as_slice() {
            [tensor] => Ok(npy::write(tensor)),
            tensors => {
                let message = format!("would hold {} tensors, but .npy has one: use .npz", tensors.len());
                Err(error(E0802, message))
            }
        },
    }
}

/// The format that a file to be written must have by its name.
pub fn writable(path: &Path) -> Result<FileFormat, FileError> {
    let unknown = || FileError { code: E0802, message: unknown_extension(), path: path.to_path_buf() };
    FileFormat::of(path).ok_or_else(unknown)
}

fn unknown_extension() -> String {
    "is of an unknown kind: its name must end in .npy, .npz or .safetensors".to_string()
}

/// The operating system's reason, without its error number.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_lowercase().chain(chars).collect())
}

/// Gives a tensor that travelled in a wider type its declared one back: `bfloat16` from `float32`,
/// `trit` and `int4` from `int8`. Any other change of type is refused: nothing is cast silently.
pub fn restore(tensor: Tensor, declared: DType, format: FileFormat) -> Result<Tensor, String> {
    let found = tensor.dtype();
    if found == declared {
        return Ok(tensor);
    }
    let shape = tensor.shape().to_vec();
    match (tensor.data(), declared) {
        // Safetensors has bfloat16, so a float32 there is one.
        (Data::F32(values), DType::BFloat16) if found == DType::Float32 && format != FileFormat::Safetensors => {
            let inexact = values.iter().find(|v| !v.is_nan() && round_f32(declared, **v) != **v);
            match inexact {
                Some(value) => Err(format!("{value} is not exact in bfloat16")),
                None => Ok(Tensor::new(declared, shape, Data::F32(values.clone()))),
            }
        }
        (Data::I64(values), DType::Trit | DType::Int4) if found == DType::Int8 => {
            let (low, high) = declared.int_range().unwrap_or((0, 0));
            match values.iter().find(|v| !(low..=high).contains(&i128::from(**v))) {
                Some(value) => Err(format!("{value} is out of range for {declared} ({low} to {high})")),
                None => Ok(Tensor::from_i64(declared, shape, values.clone())),
            }
        }
        _ => Err(format!("element type is {found}, expected {declared}")),
    }
}

#[cfg(test)]
mod tests;
