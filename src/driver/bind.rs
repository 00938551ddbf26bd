//! Fits the tensors of a weights file to the parameters of a model. Loading is strict: everything that
//! is missing, extra or of the wrong type is listed in one error, before anything is read. Nothing is cast, but
//! float tensors to the declared float type where the user says so (`--cast`).
//!
//! A quantised parameter `NAME` may come as its float master (`NAME`) or packed: `NAME.codes`,
//! `NAME.scale` and, for asymmetric schemes, `NAME.zero_point`.

use crate::base::code::{E0505, E0701};
use crate::base::{Diagnostic, closest};
use crate::driver::{Mode, packed};
use crate::passes::activations;
use crate::quant::{Scheme, SchemeKind};
use crate::types::tensor::{round_f32, wrap};
use crate::types::{DType, Tensor};
use crate::weights::{FileError, FileFormat, View, restore};
use std::collections::{BTreeMap, BTreeSet};

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
    /// A float tensor is of another float type.
    float: bool,
}

/// A tensor of the file that a parameter is made of, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    pub dtype: DType,
    pub shape: Vec<usize>,
    /// Plain bytes are read as `int8`, bit for bit.
    signed: bool,
}

/// Where the file has a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Plain(Part),
    Packed { codes: Part, scale: Part, zero_point: Option<Part> },
}

/// Reads every expected tensor, or says all that does not fit.
pub fn bind(view: &View, expected: &[Expected], mode: Mode, cast: bool) -> Result<BTreeMap<String, Bound>, Diagnostic> {
    let found = find(view, expected, mode, cast)?;
    let mut wrong = vec![];
    let mut bound = BTreeMap::new();
    for (name, found) in found {
        let mut part = |part: &Part| match read(view, part, cast) {
            Ok(tensor) => Ok(Some(tensor)),
            Err(ReadError::Value(why)) => {
                wrong.push(format!("`{}`: {why}", part.name));
                Ok(None)
            }
            Err(ReadError::File(error)) => Err(Diagnostic::new(error.code, error.to_string())),
        };
        let tensors = match &found {
            Found::Plain(plain) => part(plain)?.map(Bound::Plain),
            Found::Packed { codes, scale, zero_point } => {
                let (codes, scale) = (part(codes)?, part(scale)?);
                let zero_point = zero_point.as_ref().map(part).transpose()?;
                match (codes, scale, zero_point) {
                    (Some(codes), Some(scale), None) => Some(Bound::Packed { codes, scale, zero_point: None }),
                    (Some(codes), Some(scale), Some(Some(zero))) => {
                        Some(Bound::Packed { codes, scale, zero_point: Some(zero) })
                    }
                    (None, _, _) | (_, None, _) | (_, _, Some(None)) => None,
                }
            }
        };
        bound.extend(tensors.map(|tensors| (name, tensors)));
    }
    if wrong.is_empty() {
        return Ok(bound);
    }
    Err(report(view, &Mismatch { wrong, ..Mismatch::default() }, None))
}

/// Finds every expected tensor by name, type and shape, without reading it.
pub fn find(view: &View, expected: &[Expected], mode: Mode, cast: bool) -> Result<Vec<(String, Found)>, Diagnostic> {
    refuse_packed(view, expected, mode)?;
    let mut search = Search { view, cast, used: BTreeSet::new(), mismatch: Mismatch::default(), missing: vec![] };
    let mut all = vec![];
    for want in expected {
        let found = match &want.scheme {
            Some(scheme) if !view.contains(&want.name) && view.contains(&format!("{}.codes", want.name)) => {
                search.packed(want, scheme)
            }
            Some(_) | None => search.part(&want.name, want.dtype, &want.shape, false).map(Found::Plain),
        };
        all.extend(found.map(|found| (want.name.clone(), found)));
    }
    let Search { used, mut mismatch, missing, .. } = search;
    let extra: Vec<&str> = view.tensors().map(|(name, _)| name).filter(|name| !used.contains(*name)).collect();
    for (name, ty) in &missing {
        let near = closest(name, extra.iter().copied());
        let hint = near.map_or(String::new(), |near| format!(" (did you mean to name `{near}` so?)"));
        mismatch.missing.push(format!("`{name}`: {ty}{hint}"));
    }
    let extra_types = extra.iter().filter_map(|name| Some((name, view.get(name)?)));
    mismatch.extra = extra_types.map(|(name, d)| format!("`{name}`: {}", describe(d.dtype, &d.shape))).collect();
    if mismatch.missing.is_empty() && mismatch.extra.is_empty() && mismatch.wrong.is_empty() {
        return Ok(all);
    }
    let prefix = common_prefix(&missing, &extra);
    let (uncalibrated, others): (Vec<_>, Vec<_>) = missing.iter().partition(|(name, _)| is_calibrated(name));
    if others.is_empty() && mismatch.extra.is_empty() && mismatch.wrong.is_empty() {
        let names: Vec<&str> = uncalibrated.iter().map(|(name, _)| name.as_str()).collect();
        return Err(uncalibrated_error(&names));
    }
    let mut diagnostic = report(view, &mismatch, prefix);
    if !uncalibrated.is_empty() {
        diagnostic = diagnostic.note(CALIBRATE);
    }
    let differing = differing_schemes(view, expected);
    Err(if differing.is_empty() { diagnostic } else { diagnostic.note(differing.join("\n")) })
}

const CALIBRATE: &str = "help: `tritonc quantize WEIGHTS --model FILE.tri --calibrate data.npz -o OUT` finds the scales of \
                         activations";

/// Whether a tensor of this name comes from calibration.
pub fn is_calibrated(name: &str) -> bool {
    name.ends_with(activations::SCALE) || name.ends_with(activations::ZERO_POINT)
}

/// The error for scales of activations that are not there.
pub fn uncalibrated_error(names: &[&str]) -> Diagnostic {
    let listed: Vec<String> = names.iter().take(MAX_LISTED).map(|name| format!("`{name}`")).collect();
    let rest = match names.len().saturating_sub(MAX_LISTED) {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    let message = format!("activations are not calibrated: there is no {}{rest}", listed.join(", "));
    Diagnostic::new(E0505, message).note(CALIBRATE).note("help: `activations=int8(dynamic=true)` needs no calibration")
}

/// Parameters that the file says were packed by another scheme than the model's.
fn differing_schemes(view: &View, expected: &[Expected]) -> Vec<String> {
    let noted = packed::schemes(&view.checkpoint.metadata);
    let differs = |want: &Expected| {
        let (theirs, own) = (noted.get(&want.name)?, want.scheme.as_ref().map(Scheme::to_string));
        let own = own.map_or("no scheme".to_string(), |own| own);
        (*theirs != own).then(|| format!("`{}` was packed as {theirs}; the model has {own}", want.name))
    };
    expected.iter().filter_map(differs).take(MAX_LISTED).collect()
}

struct Search<'a> {
    view: &'a View,
    cast: bool,
    used: BTreeSet<String>,
    mismatch: Mismatch,
    missing: Vec<(String, String)>,
}

impl Search<'_> {
    /// A tensor of this name that is, or can be made, of this type.
    fn part(&mut self, name: &str, dtype: DType, shape: &[usize], signed: bool) -> Option<Part> {
        let Some(found) = self.view.get(name) else {
            self.missing.push((name.to_string(), describe(dtype, shape)));
            return None;
        };
        self.used.insert(name.to_string());
        if found.shape != shape {
            let (want, have) = (describe(dtype, shape), describe(found.dtype, &found.shape));
            self.mismatch.wrong.push(format!("`{name}`: expected {want}, found {have}"));
            return None;
        }
        let signed = signed && (found.dtype, dtype) == (DType::UInt8, DType::Int8);
        if !signed && !can_become(found.dtype, dtype, self.view.checkpoint.format, self.cast) {
            self.mismatch.float |= found.dtype.is_float() && dtype.is_float();
            self.mismatch.wrong.push(format!("`{name}`: element type is {}, expected {dtype}", found.dtype));
            return None;
        }
        Some(Part { name: name.to_string(), dtype, shape: shape.to_vec(), signed })
    }

    fn packed(&mut self, want: &Expected, scheme: &Scheme) -> Option<Found> {
        let scale_shape = scale_shape(scheme, &want.shape);
        let name = |suffix: &str| format!("{}.{suffix}", want.name);
        let codes = self.part(&name("codes"), packed_dtype(scheme), &packed_shape(scheme, &want.shape), true);
        let scale = self.part(&name("scale"), scheme.scale_dtype, &scale_shape, false);
        let zero_point =
            scheme.has_zero_point().then(|| self.part(&name("zero_point"), scheme.code_dtype(), &scale_shape, true));
        let zero_point = match zero_point {
            Some(found) => Some(found?),
            None => None,
        };
        Some(Found::Packed { codes: codes?, scale: scale?, zero_point })
    }
}

/// Whether a tensor of the file may stand for a declared type; its values can still forbid it.
fn can_become(found: DType, declared: DType, format: FileFormat, cast: bool) -> bool {
    // What NumPy's formats have no type for.
    let travelled = match declared {
        DType::BFloat16 => found == DType::Float32 && format != FileFormat::Safetensors,
        DType::Trit | DType::Int4 => found == DType::Int8,
        _ => false,
    };
    found == declared || travelled || cast && found.is_float() && declared.is_float()
}

enum ReadError {
    /// The values are not those of the declared type.
    Value(String),
    File(FileError),
}

/// Reads a tensor as its declared type.
fn read(view: &View, part: &Part, cast: bool) -> Result<Tensor, ReadError> {
    let tensor = view.tensor(&part.name).map_err(ReadError::File)?;
    view.release(&part.name);
    if part.signed {
        return Ok(as_signed(&tensor));
    }
    if cast && tensor.dtype().is_float() && tensor.dtype() != part.dtype {
        return cast_float(&tensor, part.dtype).map_err(ReadError::Value);
    }
    restore(tensor, part.dtype, view.checkpoint.format).map_err(ReadError::Value)
}

/// Rounds to another float type. A finite value that the type has no room for is an error.
fn cast_float(tensor: &Tensor, dtype: DType) -> Result<Tensor, String> {
    let values = tensor.to_f64();
    let fits = |value: f64| match dtype {
        DType::Float64 => true,
        _ => !value.is_finite() || round_f32(dtype, value as f32).is_finite(),
    };
    match values.iter().position(|value| !fits(*value)) {
        Some(index) => Err(format!("element {index} is {}, beyond the range of {dtype}", values[index])),
        None => Ok(Tensor::from_f64(dtype, tensor.shape().to_vec(), values)),
    }
}

/// Packed codes are all that inference needs; training goes on from the float values they were made of.
fn refuse_packed(view: &View, expected: &[Expected], mode: Mode) -> Result<(), Diagnostic> {
    let packed = |want: &&Expected| {
        let codes = format!("{}.codes", want.name);
        want.scheme.is_some() && !view.contains(&want.name) && view.contains(&codes)
    };
    match expected.iter().find(packed) {
        Some(want) if mode == Mode::Train => {
            let file = view.checkpoint.path.display();
            let message = format!("weights of `{file}` are packed, and training needs their float values");
            Err(Diagnostic::new(E0701, message)
                .note(format!("`{}` is there as codes and scales only", want.name))
                .note("help: give the file that it was packed from, or leave out `--mode train`"))
        }
        _ => Ok(()),
    }
}

/// The same bits, read as signed: packed int8 codes lie in a file as plain bytes.
fn as_signed(tensor: &Tensor) -> Tensor {
    let bytes = tensor.as_i64().unwrap_or_default();
    let signed = bytes.iter().map(|byte| wrap(DType::Int8, *byte)).collect();
    Tensor::from_i64(DType::Int8, tensor.shape().to_vec(), signed)
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
fn common_prefix(missing: &[(String, String)], extra: &[&str]) -> Option<String> {
    let (first, _) = missing.first()?;
    let prefix = extra.iter().find_map(|name| name.strip_suffix(first.as_str()))?;
    let all = missing.iter().all(|(name, _)| extra.iter().any(|extra| extra.strip_prefix(prefix) == Some(name)));
    (all && prefix.ends_with('.')).then(|| prefix.to_string())
}

fn report(view: &View, mismatch: &Mismatch, prefix: Option<String>) -> Diagnostic {
    let file = view.checkpoint.path.display();
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
    if mismatch.float {
        diagnostic = diagnostic.note("help: `--cast` converts float tensors to the declared float type");
    }
    match prefix {
        Some(prefix) => diagnostic.note(format!(
            "help: the file's names all begin with `{prefix}`, the model's do not: `--map '{prefix}*=*'`"
        )),
        None => diagnostic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{Checkpoint, WeightSet};
    use expect_test::expect;
    use std::path::Path;

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
        fit_cast(tensors, expected, false)
    }

    fn fit_cast(
        tensors: &[(&str, Tensor)],
        expected: &[Expected],
        cast: bool,
    ) -> Result<BTreeMap<String, Bound>, String> {
        let tensors = tensors.iter().map(|(name, tensor)| (name.to_string(), tensor.clone())).collect();
        let set = WeightSet { tensors, metadata: BTreeMap::new() };
        let checkpoint = Checkpoint::of(Path::new("w.safetensors"), FileFormat::Safetensors, set);
        bind(&View::from(checkpoint), expected, Mode::Infer, cast)
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
            help: `--cast` converts float tensors to the declared float type
        "#]]
        .assert_eq(&fit_all(&tensors, &expected).unwrap_err());
    }

    #[test]
    fn floats_are_cast_only_where_asked() {
        let expected = [
            want("a", &[2], None),
            Expected { dtype: DType::Float16, ..want("b", &[2], None) },
            Expected { dtype: DType::Int32, ..want("c", &[2], None) },
        ];
        let half = Tensor::from_f64(DType::BFloat16, vec![2], [1.0, -0.5]);
        let tensors = |big: f32, whole: DType| {
            [("a", half.clone()), ("b", Tensor::from_f32(vec![2], vec![0.1, big])), ("c", zeros(whole, &[2]))]
        };
        let error = fit_cast(&tensors(1.0, DType::Int32), &expected, false).unwrap_err();
        assert!(error.contains("2 of the wrong type") && error.contains("`--cast` converts"), "{error}");
        let bound = fit_cast(&tensors(1.0, DType::Int32), &expected, true).unwrap();
        assert_eq!(bound["a"], Bound::Plain(Tensor::from_f32(vec![2], vec![1.0, -0.5])));
        assert_eq!(bound["b"], Bound::Plain(Tensor::from_f64(DType::Float16, vec![2], [0.1, 1.0])));
        let error = fit_cast(&tensors(1e6, DType::Int32), &expected, true).unwrap_err();
        assert!(error.contains("`b`: element 1 is 1000000, beyond the range of float16"), "{error}");
        let error = fit_cast(&tensors(1.0, DType::Int64), &expected, true).unwrap_err();
        assert!(error.contains("`c`: element type is int64, expected int32") && !error.contains("help"), "{error}");
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
