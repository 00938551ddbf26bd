//! The safetensors format: eight bytes of header length, a JSON header, then the elements.

pub mod header;

use super::raw::{Raw, element_bytes, stored_size};
use super::{Tensors, WeightSet};
use crate::types::DType;
use header::dtype_name;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::ops::Range;

/// The header is padded so that data starts at a multiple of this.
const ALIGNMENT: usize = 8;

/// Reads every tensor and the metadata.
pub fn read(bytes: &[u8]) -> Result<WeightSet, String> {
    let header = header::parse(bytes)?;
    let mut tensors = Tensors::new();
    for (name, entry) in header.tensors {
        tensors.insert(name, Raw::new(entry.dtype, entry.shape, &bytes[entry.range]).decode());
    }
    Ok(WeightSet { tensors, metadata: header.metadata })
}

/// Element type and shape of each tensor of a file to be written.
pub type Types = BTreeMap<String, (DType, Vec<usize>)>;

/// Where everything lies in a file to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The bytes before the data.
    pub head: Vec<u8>,
    /// The place of each tensor in the file.
    pub places: BTreeMap<String, Range<u64>>,
    /// The size of the file.
    pub size: u64,
}

/// Lays a file out. The header lists tensors by name; their data lies in order of element size, largest first,
/// then name, so that each is aligned for readers that map the file. `trit` and `int4` travel as `int8`.
pub fn layout(types: &Types, metadata: &BTreeMap<String, String>) -> Layout {
    let mut order: Vec<(&String, &(DType, Vec<usize>))> = types.iter().collect();
    order.sort_by_key(|(name, (dtype, _))| (std::cmp::Reverse(stored_size(*dtype)), *name));
    let mut offsets = BTreeMap::new();
    let mut end = 0u64;
    for (name, (dtype, shape)) in &order {
        let start = end;
        end += shape.iter().product::<usize>() as u64 * stored_size(*dtype) as u64;
        offsets.insert((*name).clone(), start..end);
    }
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), json!(metadata));
    }
    for (name, (dtype, shape)) in types {
        let place = offsets.get(name).map(|place| [place.start, place.end]);
        let entry = json!({ "dtype": dtype_name(*dtype), "shape": shape, "data_offsets": place });
        header.insert(name.clone(), entry);
    }
    let mut header = Value::Object(header).to_string();
    header.push_str(&" ".repeat(header.len().next_multiple_of(ALIGNMENT) - header.len()));
    let head = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    let start = head.len() as u64;
    let places = offsets.into_iter().map(|(name, place)| (name, start + place.start..start + place.end));
    Layout { places: places.collect(), size: start + end, head }
}

/// Writes a file as [`layout`] says.
pub fn write(set: &WeightSet) -> Vec<u8> {
    let types = set.tensors.iter().map(|(name, tensor)| (name.clone(), (tensor.dtype(), tensor.shape().to_vec())));
    let layout = layout(&types.collect(), &set.metadata);
    let mut bytes = layout.head;
    bytes.resize(layout.size as usize, 0);
    for (name, place) in layout.places {
        bytes[place.start as usize..place.end as usize].copy_from_slice(&element_bytes(&set.tensors[&name]));
    }
    bytes
}
