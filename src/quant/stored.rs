//! How a quantised tensor is kept: in parts, which are read apart in a program and stand apart in a weights file.
//!
//! `up.weight` of type `float32[4, 6]` with the scheme `ternary(axis=0)` is `up.weight.codes`, `uint8[4, 2]`, and
//! `up.weight.scale`, `float32[4]`. Its float master, where there is one, keeps the name `up.weight`.

use crate::quant::Scheme;
use crate::quant::pack::Format;
use crate::types::DType;

/// Which tensor of a stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The value itself (the float master, when it is quantised).
    Value,
    Codes,
    Scale,
    ZeroPoint,
}

impl Part {
    /// What a tensor is quantised to, in the order in which `quantize` gives it.
    pub const QUANTISED: [Part; 3] = [Part::Codes, Part::Scale, Part::ZeroPoint];

    /// The parts of what is quantised by a scheme.
    pub fn of_scheme(scheme: &Scheme) -> impl Iterator<Item = Part> + use<> {
        let has_zero_point = scheme.has_zero_point();
        Part::QUANTISED.into_iter().filter(move |part| *part != Part::ZeroPoint || has_zero_point)
    }

    /// As it is called in files and in the text of a program; the value has no such word.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Part::Value => None,
            Part::Codes => Some("codes"),
            Part::Scale => Some("scale"),
            Part::ZeroPoint => Some("zero_point"),
        }
    }

    /// The name of this part of a tensor in a weights file.
    pub fn name(self, tensor: &str) -> String {
        self.word().map_or_else(|| tensor.to_string(), |word| format!("{tensor}.{word}"))
    }

    /// The tensor whose part a name in a weights file would be.
    pub fn whole(name: &str) -> Option<&str> {
        let (tensor, last) = name.rsplit_once('.')?;
        Part::QUANTISED.into_iter().any(|part| part.word() == Some(last)).then_some(tensor)
    }
}

/// A part as it lies in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPart {
    pub part: Part,
    pub name: String,
    pub dtype: DType,
    pub shape: Vec<usize>,
}

/// The parts of a tensor of this name and shape. The scheme need not fit: what a file says is compared with this.
pub fn stored_parts(tensor: &str, scheme: &Scheme, shape: &[usize]) -> Vec<StoredPart> {
    let stored = |part: Part| {
        let (dtype, shape) = match part {
            Part::Value | Part::Codes => (DType::UInt8, packed_shape(scheme, shape)),
            Part::Scale => (scheme.scale_dtype, scale_shape(scheme, shape)),
            Part::ZeroPoint => (scheme.code_dtype(), scale_shape(scheme, shape)),
        };
        StoredPart { part, name: part.name(tensor), dtype, shape }
    };
    Part::of_scheme(scheme).map(stored).collect()
}

/// Packing runs along the last axis, each row from a byte's start.
fn packed_shape(scheme: &Scheme, shape: &[usize]) -> Vec<usize> {
    with_last(shape, |size| Format::of_scheme(scheme).row_bytes(size))
}

/// One scale in all, one for each index of the scheme's axis, or one for each group of the last axis.
fn scale_shape(scheme: &Scheme, shape: &[usize]) -> Vec<usize> {
    if let Some(group) = scheme.group.and_then(|group| usize::try_from(group).ok()).filter(|group| *group > 0) {
        return with_last(shape, |size| size.div_ceil(group));
    }
    let axis = scheme.axis.map(|axis| if axis < 0 { axis + shape.len() as i64 } else { axis });
    axis.and_then(|axis| shape.get(usize::try_from(axis).ok()?)).map(|n| vec![*n]).unwrap_or_default()
}

fn with_last(shape: &[usize], size: impl Fn(usize) -> usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if let Some(last) = shape.last_mut() {
        *last = size(*last);
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::SchemeKind;

    #[test]
    fn parts_have_names_types_and_shapes() {
        let listed = |scheme: &Scheme| -> Vec<String> {
            let parts = stored_parts("w", scheme, &[3, 5]).into_iter();
            parts.map(|stored| format!("{} {}{:?}", stored.name, stored.dtype, stored.shape)).collect()
        };
        let ternary = Scheme { axis: Some(-2), ..Scheme::ternary() };
        assert_eq!(listed(&ternary), ["w.codes uint8[3, 2]", "w.scale float32[3]"]);
        let kind = SchemeKind::Int { bits: 4, symmetric: false };
        let grouped = Scheme { group: Some(2), kind, scale_dtype: DType::Float16, ..Scheme::int(4) };
        assert_eq!(listed(&grouped), ["w.codes uint8[3, 3]", "w.scale float16[3, 3]", "w.zero_point uint8[3, 3]"]);
        assert_eq!(Part::Value.name("w"), "w");
    }

    #[test]
    fn a_name_tells_whose_part_it_is() {
        assert_eq!(Part::whole("up.0.weight.zero_point"), Some("up.0.weight"));
        assert_eq!(Part::whole("up.0.weight"), None);
        assert_eq!(Part::whole("scale"), None);
    }
}
