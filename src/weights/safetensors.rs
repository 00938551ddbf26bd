//! The safetensors format: eight bytes of header length, a JSON header, then the elements.
//!
//! Reading is the `safetensors` crate's, after a check of its own: the crate adds the claimed offsets up
//! unchecked, so that several huge tensors could wrap around to the size of the file. Writing is done here
//! because the crate keeps metadata in a hash map, so that equal sets could give unequal bytes.

use super::{WeightSet, element_bytes, elements, stored_size};
use crate::types::{DType, Tensor};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

/// The header is padded so that data starts at a multiple of this.
const ALIGNMENT: usize = 8;

/// Reads every tensor and the metadata.
pub fn read(bytes: &[u8]) -> Result<WeightSet, String> {
    check_offsets(bytes)?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| format!("is not a safetensors file: {e}"))?;
    let file = SafeTensors::deserialize(bytes).map_err(|e| format!("is not a safetensors file: {e}"))?;
    let mut set = WeightSet::default();
    set.metadata.extend(header.metadata().clone().unwrap_or_default());
    for (name, view) in file.iter() {
        let dtype = dtype(view.dtype())
            .ok_or_else(|| format!("tensor {name:?} has element type {:?}, which Tri has not", view.dtype()))?;
        let shape = view.shape().to_vec();
        super::element_count(&shape, stored_size(dtype))
            .ok_or_else(|| format!("tensor {name:?} has shape {shape:?}, which is too large"))?;
        let tensor = Tensor::new(dtype, shape, elements(dtype, view.data(), false));
        set.tensors.insert(name.to_string(), tensor);
    }
    Ok(set)
}

/// Refuses a header whose offsets lie outside of the file.
fn check_offsets(bytes: &[u8]) -> Result<(), String> {
    let malformed = |why: &str| format!("is not a safetensors file: {why}");
    let (length, rest) = bytes.split_first_chunk().ok_or_else(|| malformed("it is too short"))?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let header = rest.get(..length).ok_or_else(|| malformed("its header is longer than the file"))?;
    let header: Map<String, Value> =
        serde_json::from_slice(header).map_err(|e| malformed(&format!("its header is malformed: {e}")))?;
    for (name, entry) in header.iter().filter(|(name, _)| *name != "__metadata__") {
        let end = entry["data_offsets"][1].as_u64().ok_or_else(|| malformed("its header is malformed"))?;
        if end > (rest.len() - length) as u64 {
            return Err(format!("is truncated: tensor {name:?} ends at byte {end} of {}", rest.len() - length));
        }
    }
    Ok(())
}

/// Writes a file. The header lists tensors by name; their data lies in order of element size, largest
/// first, then name, so that each is aligned for readers that map the file. `trit` and `int4` travel as
/// `int8`.
pub fn write(set: &WeightSet) -> Vec<u8> {
    let mut order: Vec<(&String, &Tensor)> = set.tensors.iter().collect();
    order.sort_by_key(|(name, tensor)| (std::cmp::Reverse(stored_size(tensor.dtype())), *name));
    let mut header = Map::new();
    if !set.metadata.is_empty() {
        header.insert("__metadata__".into(), json!(set.metadata));
    }
    let mut offsets = std::collections::BTreeMap::new();
    let mut end = 0;
    for (name, tensor) in &order {
        let start = end;
        end += tensor.len() * stored_size(tensor.dtype());
        offsets.insert(*name, (start, end));
    }
    for (name, tensor) in &set.tensors {
        let entry = json!({
            "dtype": dtype_name(tensor.dtype()),
            "shape": tensor.shape(),
            "data_offsets": offsets.get(name),
        });
        header.insert(name.clone(), entry);
    }
    let mut header = Value::Object(header).to_string();
    header.push_str(&" ".repeat(header.len().next_multiple_of(ALIGNMENT) - header.len()));
    let mut bytes = Vec::with_capacity(ALIGNMENT + header.len() + end);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header.as_bytes());
    for (_, tensor) in order {
        bytes.extend(element_bytes(tensor));
    }
    bytes
}

fn dtype(found: Dtype) -> Option<DType> {
    Some(match found {
        Dtype::BOOL => DType::Bool,
        Dtype::U8 => DType::UInt8,
        Dtype::I8 => DType::Int8,
        Dtype::I16 => DType::Int16,
        Dtype::U16 => DType::UInt16,
        Dtype::I32 => DType::Int32,
        Dtype::U32 => DType::UInt32,
        Dtype::I64 => DType::Int64,
        Dtype::U64 => DType::UInt64,
        Dtype::F16 => DType::Float16,
        Dtype::BF16 => DType::BFloat16,
        Dtype::F32 => DType::Float32,
        Dtype::F64 => DType::Float64,
        _ => return None,
    })
}

fn dtype_name(dtype: DType) -> &'static str {
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
