//! What a weights file says about its packed tensors, beside them: the scheme and the shape, which bytes cannot
//! tell, and what was lost. Loading for a model needs none of it; `inspect` shows it.

use crate::analysis::{Project, scheme_text};
use crate::base::Diagnostic;
use crate::base::code::E0503;
use crate::quant::Scheme;
use crate::types::DType;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The entry of a file's metadata.
pub const KEY: &str = "tritonc.packed";

/// One packed tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedNote {
    pub scheme: Scheme,
    /// Of the tensor before it was quantised.
    pub dtype: DType,
    pub shape: Vec<usize>,
    /// Signal to noise in decibels, if it was measured.
    pub ratio: Option<f64>,
}

/// By name of the tensor.
pub type PackedNotes = BTreeMap<String, PackedNote>;

/// As it stands in the file.
#[derive(Serialize, Deserialize)]
struct Written {
    scheme: String,
    dtype: String,
    shape: Vec<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    snr: Option<f64>,
}

/// The metadata of a file with these packed tensors, and with what else there is to say.
pub fn metadata(other: &BTreeMap<String, String>, notes: &PackedNotes) -> BTreeMap<String, String> {
    let mut metadata = other.clone();
    metadata.remove(KEY);
    // Loaders of the format's own ecosystem refuse files that do not say this.
    metadata.entry("format".to_string()).or_insert("pt".to_string());
    let written = |note: &PackedNote| Written {
        scheme: note.scheme.to_string(),
        dtype: note.dtype.to_string(),
        shape: note.shape.clone(),
        // Two digits are what anybody reads; infinity has no JSON.
        snr: note.ratio.filter(|ratio| ratio.is_finite()).map(|ratio| (ratio * 100.0).round() / 100.0),
    };
    let all: BTreeMap<&String, Written> = notes.iter().map(|(name, note)| (name, written(note))).collect();
    if let (false, Ok(text)) = (all.is_empty(), serde_json::to_string(&all)) {
        metadata.insert(KEY.to_string(), text);
    }
    metadata
}

/// Reads the notes of a file, which may hold anything.
pub fn read(project: &mut Project, metadata: &BTreeMap<String, String>) -> Result<PackedNotes, Diagnostic> {
    let Some(text) = metadata.get(KEY) else { return Ok(PackedNotes::new()) };
    let refuse = |why: String| Diagnostic::new(E0503, format!("the file's notes on packed weights are damaged: {why}"));
    let all: BTreeMap<String, Written> = serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?;
    let mut notes = PackedNotes::new();
    for (name, written) in all {
        let scheme = scheme_text::parse(project, &written.scheme).ok().flatten();
        let scheme = scheme.ok_or_else(|| refuse(format!("`{name}` has the scheme {:?}", written.scheme)))?;
        let dtype = DType::parse(&written.dtype).filter(|dtype| dtype.is_float());
        let dtype = dtype.ok_or_else(|| refuse(format!("`{name}` has the type {:?}", written.dtype)))?;
        notes.insert(name, PackedNote { scheme, dtype, shape: written.shape, ratio: written.snr });
    }
    Ok(notes)
}

/// The scheme of each packed tensor as the file has it, unread; nothing where the notes are damaged.
pub fn schemes(metadata: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let notes = metadata.get(KEY).and_then(|text| serde_json::from_str::<BTreeMap<String, Written>>(text).ok());
    notes.unwrap_or_default().into_iter().map(|(name, written)| (name, written.scheme)).collect()
}
