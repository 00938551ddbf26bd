//! The weights file: a header, then every tensor at a multiple of 64 bytes, in the order in which the model declares them,
//! little endian, as NUMERICS lays them out.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0 to 3 | `TRIW` |
//! | 4 to 7 | version of the format, [`VERSION`] |
//! | 8 to 15 | hash of the model: of names, types, sizes and schemes |
//! | 16 to 23 | size of the whole in bytes |
//! | 24 to 31 | checksum of what follows the header: FNV-1a over words of 8 bytes |
//! | 32 to 39 | number of tensors |
//! | 40 to 63 | zero |

use crate::ir::{Part, Role};
use crate::quant::stored_parts;
use crate::targets::Mode;
use crate::targets::held::Contents;
use crate::types::{DType, Tensor, tensor};
use std::collections::BTreeMap;

pub const VERSION: u32 = 1;
pub const HEADER: usize = 64;
const ALIGNMENT: usize = 64;
const MAGIC: &[u8; 4] = b"TRIW";

/// A tensor of the file.
#[derive(Clone, Debug)]
pub struct Stored {
    /// As other weights files call it: `fc1.weight.codes`.
    pub name: String,
    /// Which of the model's tensors it is (a part of).
    pub tensor: usize,
    pub part: Part,
    pub dtype: DType,
    pub shape: Vec<usize>,
    /// From the beginning of the file.
    pub offset: usize,
    pub bytes: usize,
}

#[derive(Clone, Debug, Default)]
pub struct Layout {
    pub tensors: Vec<Stored>,
    /// Of the model.
    pub hash: u64,
    /// Of the file, a multiple of the alignment.
    pub bytes: usize,
}

impl Layout {
    pub fn new(contents: &Contents<'_>, mode: Mode) -> Layout {
        let mut layout = Layout { tensors: vec![], hash: FNV_BASIS, bytes: HEADER };
        for (index, held) in contents.tensors.iter().enumerate() {
            if held.storage.role == Role::Transient {
                continue;
            }
            let shape: Vec<usize> = held.shape.iter().map(|size| usize::try_from(*size).unwrap_or(0)).collect();
            match held.storage.scheme.as_ref().filter(|_| mode == Mode::Infer) {
                Some(scheme) => {
                    layout.note(&scheme.to_string());
                    for stored in stored_parts(&held.saved, scheme, &shape) {
                        layout.add(stored.name, index, stored.part, stored.dtype, stored.shape);
                    }
                }
                None => {
                    let dtype = held.storage.ty.dtype().unwrap_or(DType::Float32);
                    layout.add(held.saved.clone(), index, Part::Value, dtype, shape);
                }
            }
        }
        layout
    }

    fn note(&mut self, text: &str) {
        self.hash = fnv(self.hash, text.as_bytes().iter().copied().chain([0]));
    }

    fn add(&mut self, name: String, tensor: usize, part: Part, dtype: DType, shape: Vec<usize>) {
        self.note(&format!("{name}: {dtype}{shape:?}"));
        let bytes = shape.iter().product::<usize>() * element_bytes(dtype);
        let offset = self.bytes;
        self.bytes = (offset + bytes).next_multiple_of(ALIGNMENT);
        self.tensors.push(Stored { name, tensor, part, dtype, shape, offset, bytes });
    }

    /// The file with these tensors, by name; which one is missing or of another type or size.
    pub fn encode(&self, tensors: &BTreeMap<String, Tensor>) -> Result<Vec<u8>, String> {
        let mut file = vec![0; self.bytes];
        for stored in &self.tensors {
            let name = &stored.name;
            let given = tensors.get(name).ok_or_else(|| format!("there is no tensor `{name}`"))?;
            let bytes = bytes_of(given);
            if bytes.len() != stored.bytes {
                let (given, wanted) = (given.shape(), &stored.shape);
                return Err(format!("`{name}` is {given:?}, not {}{wanted:?}", stored.dtype));
            }
            file[stored.offset..stored.offset + bytes.len()].copy_from_slice(&bytes);
        }
        let checksum = checksum(&file[HEADER..]);
        file[..4].copy_from_slice(MAGIC);
        file[4..8].copy_from_slice(&VERSION.to_le_bytes());
        let words = [self.hash, self.bytes as u64, checksum, self.tensors.len() as u64];
        for (index, word) in words.into_iter().enumerate() {
            file[8 + 8 * index..16 + 8 * index].copy_from_slice(&word.to_le_bytes());
        }
        Ok(file)
    }
}

fn element_bytes(dtype: DType) -> usize {
    usize::try_from(super::numbers::element_bytes(dtype)).unwrap_or(1)
}

/// The elements of a tensor as C has them.
pub fn bytes_of(given: &Tensor) -> Vec<u8> {
    let dtype = given.dtype();
    let floats = || (0..given.len()).map(|index| given.get_f64(index));
    match dtype {
        DType::Float32 => floats().flat_map(|value| (value as f32).to_le_bytes()).collect(),
        DType::Float64 => floats().flat_map(f64::to_le_bytes).collect(),
        DType::Float16 => floats().flat_map(|value| half::f16::from_f64(value).to_le_bytes()).collect(),
        DType::BFloat16 => floats().flat_map(|value| half::bf16::from_f64(value).to_le_bytes()).collect(),
        _ => {
            let width = element_bytes(dtype);
            let values = given.as_i64().unwrap_or_default().iter();
            values.flat_map(|value| tensor::wrap(dtype, *value).to_le_bytes().into_iter().take(width)).collect()
        }
    }
}

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// 64-bit FNV-1a, going on from a hash.
pub fn fnv(hash: u64, bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME))
}

/// FNV-1a over words of 8 bytes, each little endian.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.chunks_exact(8).fold(FNV_BASIS, |hash, chunk| {
        let word = chunk.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        (hash ^ word).wrapping_mul(FNV_PRIME)
    })
}
