//! The header of a safetensors file: which tensors there are, and where their bytes lie.
//!
//! It is read here rather than by the format's own crate, which takes the last of several entries of one name,
//! adds claimed offsets up unchecked, and names no tensor in most of its errors. What holds after [`parse`]:
//! names differ, each tensor has the bytes that its shape needs, and together they cover the data exactly once.

use crate::types::DType;
use crate::weights::raw::{element_count, stored_size};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;
use std::fmt;
use std::ops::Range;

/// Longer headers are refused, as the format's own readers do.
const MAX_HEADER: u64 = 100_000_000;
const MAX_RANK: usize = 64;
const METADATA: &str = "__metadata__";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub dtype: DType,
    pub shape: Vec<usize>,
    /// Where its elements lie in the file.
    pub range: Range<usize>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    pub tensors: BTreeMap<String, Entry>,
    pub metadata: BTreeMap<String, String>,
}

/// Reads the header of a whole file. The error continues the path: "`w.safetensors` is truncated".
pub fn parse(bytes: &[u8]) -> Result<Header, String> {
    let malformed = |why: String| format!("is not a safetensors file: {why}");
    let (length, rest) = bytes.split_first_chunk().ok_or_else(|| malformed("it is too short".into()))?;
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length).ok().and_then(|length| rest.get(..length));
    let header = header.ok_or_else(|| malformed("its header is longer than the file".into()))?;
    if length > MAX_HEADER {
        return Err(malformed(format!("its header has {length} bytes; at most {MAX_HEADER} are read")));
    }
    let text = std::str::from_utf8(header)
        .map_err(|e| malformed(format!("its header is not UTF-8 text (byte {} of it)", e.valid_up_to())))?;
    let claimed: Claimed =
        serde_json::from_str(text).map_err(|e| malformed(format!("its header is malformed: {e}")))?;
    let data = size_of::<u64>() + header.len()..bytes.len();
    let mut tensors = BTreeMap::new();
    for (name, tensor) in claimed.tensors {
        let entry = entry(&name, &tensor, &data)?;
        tensors.insert(name, entry);
    }
    check_cover(&tensors, &data)?;
    Ok(Header { tensors, metadata: claimed.metadata })
}

/// One tensor, its offsets made positions in the file.
fn entry(name: &str, claimed: &ClaimedTensor, data: &Range<usize>) -> Result<Entry, String> {
    let dtype = dtype(&claimed.dtype)
        .ok_or_else(|| format!("holds tensor {name:?} of element type {:?}, which Tri has not", claimed.dtype))?;
    let shape = &claimed.shape;
    if shape.len() > MAX_RANK {
        return Err(format!("holds tensor {name:?} with {} dims; at most {MAX_RANK} are read", shape.len()));
    }
    let shape: Option<Vec<usize>> = shape.iter().map(|size| usize::try_from(*size).ok()).collect();
    let count = shape.as_ref().and_then(|shape| element_count(shape, stored_size(dtype)));
    let (Some(shape), Some(count)) = (shape, count) else {
        return Err(format!("holds tensor {name:?} of shape {:?}, which is too large", claimed.shape));
    };
    let [begin, end] = claimed.data_offsets;
    if end < begin {
        return Err(format!("is damaged: tensor {name:?} begins at byte {begin} and ends at {end}"));
    }
    if end > data.len() as u64 {
        return Err(format!("is truncated: tensor {name:?} ends at byte {end} of {}", data.len()));
    }
    let needed = (count * stored_size(dtype)) as u64;
    if end - begin != needed {
        let found = end - begin;
        return Err(format!(
            "is damaged: tensor {name:?}, {dtype} of shape {shape:?}, needs {needed} bytes, not {found}"
        ));
    }
    Ok(Entry { dtype, shape, range: data.start + begin as usize..data.start + end as usize })
}

/// Refuses tensors that share bytes, and bytes that belong to none.
fn check_cover(tensors: &BTreeMap<String, Entry>, data: &Range<usize>) -> Result<(), String> {
    let mut order: Vec<(&String, &Range<usize>)> = tensors.iter().map(|(name, entry)| (name, &entry.range)).collect();
    order.sort_by_key(|(_, range)| (range.start, range.end));
    let mut end = data.start;
    let mut last: Option<&String> = None;
    for (name, range) in order {
        match (range.start.checked_sub(end), last) {
            (Some(0), _) => {}
            (None, Some(last)) => return Err(format!("is damaged: tensors {last:?} and {name:?} overlap")),
            (Some(gap), _) => return Err(format!("is damaged: {gap} bytes before tensor {name:?} belong to none")),
            (None, None) => return Err(format!("is damaged: tensor {name:?} lies outside of the data")),
        }
        end = range.end;
        last = Some(name);
    }
    match data.end - end {
        0 => Ok(()),
        left => Err(format!("has {left} bytes left over after its last tensor")),
    }
}

/// The header as it claims to be.
struct Claimed {
    tensors: BTreeMap<String, ClaimedTensor>,
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ClaimedTensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl<'de> Deserialize<'de> for Claimed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Claimed, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Claimed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Claimed, M::Error> {
                let (mut tensors, mut metadata) = (BTreeMap::new(), None);
                while let Some(name) = map.next_key::<String>()? {
                    if name == METADATA {
                        if metadata.replace(map.next_value::<Option<Names<String>>>()?).is_some() {
                            return Err(M::Error::custom(format!("{METADATA:?} stands there twice")));
                        }
                        continue;
                    }
                    match tensors.entry(name) {
                        MapEntry::Vacant(place) => place.insert(map.next_value()?),
                        MapEntry::Occupied(twice) => {
                            return Err(M::Error::custom(format!("tensor {:?} stands there twice", twice.key())));
                        }
                    };
                }
                let metadata = metadata.flatten().map(|names| names.0).unwrap_or_default();
                Ok(Claimed { tensors, metadata })
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// An object whose names differ.
pub struct Names<T>(pub BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Names<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Names<T>, D::Error> {
        struct Pairs<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
            type Value = Names<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Names<T>, M::Error> {
                let mut names = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, T>()? {
                    match names.entry(name) {
                        MapEntry::Vacant(place) => place.insert(value),
                        MapEntry::Occupied(twice) => {
                            return Err(M::Error::custom(format!("{:?} stands there twice", twice.key())));
                        }
                    };
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_map(Pairs(std::marker::PhantomData))
    }
}

fn dtype(name: &str) -> Option<DType> {
    Some(match name {
        "BOOL" => DType::Bool,
        "I8" => DType::Int8,
        "I16" => DType::Int16,
        "I32" => DType::Int32,
        "I64" => DType::Int64,
        "U8" => DType::UInt8,
        "U16" => DType::UInt16,
        "U32" => DType::UInt32,
        "U64" => DType::UInt64,
        "F16" => DType::Float16,
        "BF16" => DType::BFloat16,
        "F32" => DType::Float32,
        "F64" => DType::Float64,
        _ => return None,
    })
}

/// The format's name of an element type; `trit` and `int4` travel as `int8`.
pub fn dtype_name(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "BOOL",
        DType::Trit | DType::Int4 | DType::Int8 => "I8",
        DType::Int16 => "I16",
        DType::Int32 => "I32",
        DType::Int64 => "I64",
        DType::UInt8 => "U8",
        DType::UInt16 => "U16",
        DType::UInt32 => "U32",
        DType::UInt64 => "U64",
        DType::Float16 => "F16",
        DType::BFloat16 => "BF16",
        DType::Float32 => "F32",
        DType::Float64 => "F64",
    }
}
