//! Fits the tensors of a weights file to the parameters of a model. Loading is strict: everything that
//! is missing, extra or of the wrong type is listed in one error, and nothing is cast.
//!
//! A quantised parameter `NAME` may come as its float master (`NAME`) or packed: `NAME.codes`,
//! `NAME.scale` and, for asymmetric schemes, `NAME.zero_point`.

use crate::base::code::E0701;
use crate::base::{Diagnostic, closest};
use crate::driver::Mode;
use crate::quant::{Scheme, SchemeKind};
use crate::types::tensor::wrap;
use crate::types::{DType, Tensor};
use crate::weights::{FileFormat, WeightSet, restore};
use std::collections::BTreeMap;

/// At most so many lines of each kind are listed.
const MAX_LISTED: usize = 20;

/// A parameter, buffer or state that a weights file must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// Its path in Tri: `blocks.3.attn.q.weight`.
    pub name: String,
    pub dtype: DType,
    pub shape: Vec<usize>,
    /// How it is quantised, if it is.
    pub scheme: Option<Scheme>,
}

/// A parameter as found.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// Of the declared element type (the float master, when it is quantised).
    Plain(Tensor),
    /// As stored: codes packed along the last axis.
    Packed { codes: Tensor, scale: Tensor, zero_point: Option<Tensor> },
}

/// What is wrong, by kind.
#[derive(Default)]
struct Mismatch {
    missing: Vec<String>,
    extra: Vec<String>,
    wrong: Vec<String>,
}

/// Finds every expected tensor in `set`, or says all that does not fit. `file` is shown in messages.
pub fn bind(
    file: &str,
    format: FileFormat,
    mut set: WeightSet,
    expected: &[Expected],
    mode: Mode,
) -> Result<BTreeMap<String, Bound>, Diagnostic> {
    let mut bound = BTreeMap::new();
    let mut mismatch = Mismatch::default();
    let mut missing: Vec<(String, String)> = vec![];
    refuse_packed(file, &set, expected, mode)?;
    for want in expected {
        let codes = format!("{}.codes", want.name);
        match (&want.scheme, set.tensors.remove(&want.name)) {
            (_, Some(tensor)) => {
                let tensor = fit(&want.name, tensor, want.dtype, &want.shape, format, &mut mismatch);
                bound.extend(tensor.map(|tensor| (want.name.clone(), Bound::Plain(tensor))));
            }
            (Some(scheme), None) if set.tensors.contains_key(&codes) => {
                let packed = take_packed(want, scheme, &mut set, format, &mut mismatch, &mut missing);
                bound.extend(packed.map(|packed| (want.name.clone(), packed)));
            }
            (_, None) => missing.push((want.name.clone(), describe(want.dtype, &want.shape))),
        }
    }
    let extra: Vec<&String> = set.tensors.keys().collect();
    for (name, ty) in &missing {
        let near = closest(name, extra.iter().map(|name| name.as_str()));
        let hint = near.map_or(String::new(), |near| format!(" (did you mean to name `{near}` so?)"));
        mismatch.missing.push(format!("`{name}`: {ty}{hint}"));
    }
    let describe_extra = |name: &&String| {
        let tensor = &set.tensors[*name];
        format!("`{name}`: {}", describe(tensor.dtype(), tensor.shape()))
    };
    mismatch.extra = extra.iter().map(describe_extra).collect();
    if mismatch.missing.is_empty() && mismatch.extra.is_empty() && mismatch.wrong.is_empty() {
        return Ok(bound);
    }
    let prefix = common_prefix(&missing, &extra);
    Err(report(file, &mismatch, prefix))
}

/// Packed codes are all that inference needs; training goes on from the float values they were made of.
fn refuse_packed(file: &str, set: &WeightSet, expected: &[Expected], mode: Mode) -> Result<(), Diagnostic> {
    let packed = |want: &&Expected| {
        let codes = format!("{}.codes", want.name);
        want.scheme.is_some() && !set.tensors.contains_key(&want.name) && set.tensors.contains_key(&codes)
    };
    match expected.iter().find(packed) {
        Some(want) if mode == Mode::Train => {
            let message = format!("weights of `{file}` are packed, and training needs their float values");
            Err(Diagnostic::new(E0701, message)
                .note(format!("`{}` is there as codes and scales only", want.name))
                .note("help: give the file that it was packed from, or leave out `--mode train`"))
        }
        _ => Ok(()),
    }
}

/// A tensor of the declared type, or a line on what is wrong with it.
fn fit(
    name: &str,
    tensor: Tensor,
    dtype: DType,
    shape: &[usize],
    format: FileFormat,
    mismatch: &mut Mismatch,
) -> Option<Tensor> {
    if tensor.shape() != shape {
        let (want, have) = (describe(dtype, shape), describe(tensor.dtype(), tensor.shape()));
        mismatch.wrong.push(format!("`{name}`: expected {want}, found {have}"));
        return None;
    }
    let restored = restore(tensor, dtype, format);
    restored.map_err(|why| mismatch.wrong.push(format!("`{name}`: {why}"))).ok()
}

fn take_packed(
    want: &Expected,
    scheme: &Scheme,
    set: &mut WeightSet,
    format: FileFormat,
    mismatch: &mut Mismatch,
    missing: &mut Vec<(String, String)>,
) -> Option<Bound> {
    let scale_shape = scale_shape(scheme, &want.shape);
    let mut part = |suffix: &str, dtype: DType, shape: &[usize]| {
        let name = format!("{}.{suffix}", want.name);
        match set.tensors.remove(&name) {
            Some(tensor) => fit(&name, as_signed(tensor, dtype), dtype, shape, format, mismatch),
            None => {
                missing.push((name, describe(dtype, shape)));
                None
            }
        }
    };
    let codes = part("codes", packed_dtype(scheme), &packed_shape(scheme, &want.shape));
    let scale = part("scale", scheme.scale_dtype, &scale_shape);
    let zero_point = scheme.has_zero_point().then(|| part("zero_point", scheme.code_dtype(), &scale_shape));
    let zero_point = match zero_point {
        Some(found) => Some(found?),
        None => None,
    };
    Some(Bound::Packed { codes: codes?, scale: scale?, zero_point })
}

/// Packed int8 codes may lie in the file as plain bytes: the same bits, read as signed.
fn as_signed(tensor: Tensor, declared: DType) -> Tensor {
    match tensor.as_i64() {
        Some(bytes) if tensor.dtype() == DType::UInt8 && declared == DType::Int8 => {
            let signed = bytes.iter().map(|byte| wrap(DType::Int8, *byte)).collect();
            Tensor::from_i64(DType::Int8, tensor.shape().to_vec(), signed)
        }
        _ => tensor,
    }
}

/// The element type of packed codes: bytes, but for int8, which is stored as it is.
pub fn packed_dtype(scheme: &Scheme) -> DType {
    match scheme.kind {
        SchemeKind::Int { bits: 8, .. } => DType::Int8,
        SchemeKind::Int { .. } | SchemeKind::Ternary { .. } => DType::UInt8,
    }
}

/// Packing runs along the last axis, each row from a byte's start.
pub fn packed_shape(scheme: &Scheme, shape: &[usize]) -> Vec<usize> {
    let per_byte = match scheme.kind {
        SchemeKind::Ternary { .. } => 4,
        SchemeKind::Int { bits: 4, .. } => 2,
        SchemeKind::Int { .. } => 1,
    };
    let mut packed = shape.to_vec();
    if let Some(last) = packed.last_mut() {
        *last = last.div_ceil(per_byte);
    }
    packed
}

/// One scale in all, one for each index of the scheme's axis, or one for each group of the last axis.
pub fn scale_shape(scheme: &Scheme, shape: &[usize]) -> Vec<usize> {
    if let Some(group) = scheme.group.and_then(|group| usize::try_from(group).ok()).filter(|group| *group > 0) {
        let mut scale = shape.to_vec();
        if let Some(last) = scale.last_mut() {
            *last = last.div_ceil(group);
        }
        return scale;
    }
    let axis = scheme.axis.map(|axis| if axis < 0 { axis + shape.len() as i64 } else { axis });
    axis.and_then(|axis| shape.get(usize::try_from(axis).ok()?)).map(|n| vec![*n]).unwrap_or_default()
}

fn describe(dtype: DType, shape: &[usize]) -> String {
    let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
    if dims.is_empty() { dtype.to_string() } else { format!("{dtype}[{}]", dims.join(", ")) }
}

/// What the file's names have before the model's, if they all do (`model.` in many checkpoints).
fn common_prefix(missing: &[(String, String)], extra: &[&String]) -> Option<String> {
    let (first, _) = missing.first()?;
    let prefix = extra.iter().find_map(|name| name.strip_suffix(first.as_str()))?;
    let all = missing.iter().all(|(name, _)| extra.iter().any(|extra| extra.strip_prefix(prefix) == Some(name)));
    (all && prefix.ends_with('.')).then(|| prefix.to_string())
}

fn report(file: &str, mismatch: &Mismatch, prefix: Option<String>) -> Diagnostic {
    let kinds =
        [("missing", &mismatch.missing), ("not expected", &mismatch.extra), ("of the wrong type", &mismatch.wrong)];
    let counts: Vec<String> = kinds
        .iter()
        .filter(|(_, lines)| !lines.is_empty())
        .map(|(kind, lines)| format!("{} {kind}", lines.len()))
        .collect();
    let message = format!("weights of `{file}` do not fit the model: {}", counts.join(", "));
    let mut diagnostic = Diagnostic::new(E0701, message);
    for (kind, lines) in kinds.iter().filter(|(_, lines)| !lines.is_empty()) {
        let mut note = format!("{kind}:");
        for line in lines.iter().take(MAX_LISTED) {
            note += &format!("\n{line}");
        }
        if lines.len() > MAX_LISTED {
            note += &format!("\n... and {} more", lines.len() - MAX_LISTED);
        }
        diagnostic = diagnostic.note(note);
    }
    match prefix {
        Some(prefix) => {
            diagnostic.note(format!("help: the file's names all begin with `{prefix}`, the model's do not"))
        }
        None => diagnostic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn want(name: &str, shape: &[usize], scheme: Option<Scheme>) -> Expected {
        Expected { name: name.into(), dtype: DType::Float32, shape: shape.to_vec(), scheme }
    }

    fn zeros(dtype: DType, shape: &[usize]) -> Tensor {
        Tensor::filled(dtype, shape.to_vec(), 0.0)
    }

    fn float(shape: &[usize]) -> Tensor {
        zeros(DType::Float32, shape)
    }

    fn fit_all(tensors: &[(&str, Tensor)], expected: &[Expected]) -> Result<BTreeMap<String, Bound>, String> {
        let tensors = tensors.iter().map(|(name, tensor)| (name.to_string(), tensor.clone())).collect();
        let set = WeightSet { tensors, metadata: BTreeMap::new() };
        bind("w.safetensors", FileFormat::Safetensors, set, expected, Mode::Infer)
            .map_err(|d| std::iter::once(d.message).chain(d.notes).collect::<Vec<_>>().join("\n") + "\n")
    }

    #[test]
    fn everything_wrong_is_in_one_error() {
        let expected =
            [want("up.0.weight", &[4, 3], None), want("up.0.bias", &[4], None), want("norm.weight", &[3], None)];
        let tensors =
            [("up.0.wieght", float(&[4, 3])), ("up.0.bias", float(&[5])), ("norm.weight", zeros(DType::Float16, &[3]))];
        expect![[r#"
            weights of `w.safetensors` do not fit the model: 1 missing, 1 not expected, 2 of the wrong type
            missing:
            `up.0.weight`: float32[4, 3] (did you mean to name `up.0.wieght` so?)
            not expected:
            `up.0.wieght`: float32[4, 3]
            of the wrong type:
            `up.0.bias`: expected float32[4], found float32[5]
            `norm.weight`: element type is float16, expected float32
        "#]]
        .assert_eq(&fit_all(&tensors, &expected).unwrap_err());
    }

    #[test]
    fn a_common_prefix_is_seen() {
        let expected = [want("a", &[], None), want("b", &[], None)];
        let error = fit_all(&[("model.a", float(&[])), ("model.b", float(&[]))], &expected).unwrap_err();
        assert!(error.contains("help: the file's names all begin with `model.`"), "{error}");
    }

    #[test]
    fn long_lists_are_cut() {
        let expected: Vec<Expected> = (0..50).map(|i| want(&format!("w{i}"), &[], None)).collect();
        let error = fit_all(&[], &expected).unwrap_err();
        assert!(error.contains("50 missing") && error.contains("... and 30 more"), "{error}");
    }

    #[test]
    fn packed_and_master_forms_are_taken() {
        let ternary = Scheme { axis: Some(0), ..Scheme::ternary() };
        let mut grouped = Scheme { group: Some(2), ..Scheme::int(4) };
        grouped.kind = SchemeKind::Int { bits: 4, symmetric: false };
        let expected = [
            want("a", &[3, 5], Some(ternary.clone())),
            want("b", &[3, 5], Some(grouped)),
            want("c", &[3, 5], Some(ternary)),
        ];
        let tensors = [
            ("a.codes", zeros(DType::UInt8, &[3, 2])),
            ("a.scale", float(&[3])),
            ("b.codes", zeros(DType::UInt8, &[3, 3])),
            ("b.scale", float(&[3, 3])),
            ("b.zero_point", zeros(DType::UInt8, &[3, 3])),
            ("c", float(&[3, 5])),
        ];
        let bound = fit_all(&tensors, &expected).unwrap();
        assert!(matches!(&bound["a"], Bound::Packed { zero_point: None, scale, .. } if scale.shape() == [3]));
        assert!(matches!(&bound["b"], Bound::Packed { zero_point: Some(z), .. } if z.shape() == [3, 3]));
        assert_eq!(bound["c"], Bound::Plain(float(&[3, 5])));
        let error = fit_all(&tensors[..4], &expected[..2]).unwrap_err();
        assert!(error.contains("`b.zero_point`: uint8[3, 3]"), "{error}");
        let bytes = [("c.codes", Tensor::from_i64(DType::UInt8, vec![2], vec![1, 255])), ("c.scale", float(&[]))];
        let bound = fit_all(&bytes, &[want("c", &[2], Some(Scheme::int(8)))]).unwrap();
        assert!(matches!(&bound["c"], Bound::Packed { codes, .. } if codes.as_i64() == Some(&[1, -1])));
        let error = fit_all(&[("a.codes", zeros(DType::UInt8, &[3, 5])), ("a.scale", float(&[3]))], &expected[..1]);
        assert!(error.unwrap_err().contains("`a.codes`: expected uint8[3, 2], found uint8[3, 5]"));
    }
}
