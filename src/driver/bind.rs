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
use crate::quant::{Part, Scheme, StoredPart, stored_parts};
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

/// A parameter as found: its value (the float master, when it is quantised), or the parts of its quantised form, with
/// codes as they are stored, packed along the last axis.
pub type Bound = Vec<(Part, Tensor)>;

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
pub struct Found {
    pub part: Part,
    name: String,
    dtype: DType,
    /// Plain bytes are read as `int8`, bit for bit.
    signed: bool,
}

/// Reads every expected tensor, or says all that does not fit.
pub fn bind(view: &View, expected: &[Expected], mode: Mode, cast: bool) -> Result<BTreeMap<String, Bound>, Diagnostic> {
    let found = find(view, expected, mode, cast)?;
    let mut wrong = vec![];
    let mut bound = BTreeMap::new();
    for (name, parts) in found {
        let mut tensors = vec![];
        for part in parts {
            match read(view, &part, cast) {
                Ok(tensor) => tensors.push((part.part, tensor)),
                Err(ReadError::Value(why)) => wrong.push(format!("`{}`: {why}", part.name)),
                Err(ReadError::File(error)) => return Err(Diagnostic::new(error.code, error.to_string())),
            }
        }
        bound.insert(name, tensors);
    }
    if wrong.is_empty() {
        return Ok(bound);
    }
    Err(report(view, &Mismatch { wrong, ..Mismatch::default() }, None))
}

/// Finds every expected tensor by name, type and shape, without reading it.
pub fn find(
    view: &View,
    expected: &[Expected],
    mode: Mode,
    cast: bool,
) -> Result<Vec<(String, Vec<Found>)>, Diagnostic> {
    refuse_packed(view, expected, mode)?;
    let mut search = Search { view, cast, used: BTreeSet::new(), mismatch: Mismatch::default(), missing: vec![] };
    let mut all = vec![];
    for want in expected {
        let found = match &want.scheme {
            Some(scheme) if is_packed(view, &want.name) => search.packed(want, scheme),
            Some(_) | None => search.plain(want),
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
    fn part(&mut self, stored: StoredPart) -> Option<Found> {
        let StoredPart { part, name, dtype, shape } = stored;
        let Some(found) = self.view.get(&name) else {
            self.missing.push((name, describe(dtype, &shape)));
            return None;
        };
        self.used.insert(name.clone());
        if found.shape != shape {
            let (want, have) = (describe(dtype, &shape), describe(found.dtype, &found.shape));
            self.mismatch.wrong.push(format!("`{name}`: expected {want}, found {have}"));
            return None;
        }
        let is_code = matches!(part, Part::Codes | Part::ZeroPoint);
        let signed = is_code && (found.dtype, dtype) == (DType::UInt8, DType::Int8);
        if !signed && !can_become(found.dtype, dtype, self.view.checkpoint.format, self.cast) {
            self.mismatch.float |= found.dtype.is_float() && dtype.is_float();
            self.mismatch.wrong.push(format!("`{name}`: element type is {}, expected {dtype}", found.dtype));
            return None;
        }
        Some(Found { part, name, dtype, signed })
    }

    fn plain(&mut self, want: &Expected) -> Option<Vec<Found>> {
        let Expected { name, dtype, shape, .. } = want.clone();
        Some(vec![self.part(StoredPart { part: Part::Value, name, dtype, shape })?])
    }

    fn packed(&mut self, want: &Expected, scheme: &Scheme) -> Option<Vec<Found>> {
        let mut parts = vec![];
        for mut stored in stored_parts(&want.name, scheme, &want.shape) {
            // What is not packed may come as it is.
            if stored.part == Part::Codes && scheme.code_dtype() == DType::Int8 {
                stored.dtype = DType::Int8;
            }
            parts.push(self.part(stored));
        }
        parts.into_iter().collect()
    }
}

/// Whether a file has a tensor as codes and scales only.
fn is_packed(view: &View, name: &str) -> bool {
    !view.contains(name) && view.contains(&Part::Codes.name(name))
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
fn read(view: &View, part: &Found, cast: bool) -> Result<Tensor, ReadError> {
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
    let packed = |want: &&Expected| want.scheme.is_some() && is_packed(view, &want.name);
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
    use crate::quant::SchemeKind;
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
        assert_eq!(bound["a"], [(Part::Value, Tensor::from_f32(vec![2], vec![1.0, -0.5]))]);
        assert_eq!(bound["b"], [(Part::Value, Tensor::from_f64(DType::Float16, vec![2], [0.1, 1.0]))]);
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
        let parts = |name: &str| bound[name].iter().map(|(part, _)| *part).collect::<Vec<_>>();
        assert_eq!((parts("a"), bound["a"][1].1.shape()), (vec![Part::Codes, Part::Scale], [3].as_slice()));
        assert_eq!((parts("b"), bound["b"][2].1.shape()), (Part::QUANTISED.to_vec(), [3, 3].as_slice()));
        assert_eq!(bound["c"], [(Part::Value, float(&[3, 5]))]);
        let error = fit_all(&tensors[..4], &expected[..2]).unwrap_err();
        assert!(error.contains("`b.zero_point`: uint8[3, 3]"), "{error}");
        let bytes = [("c.codes", Tensor::from_i64(DType::UInt8, vec![2], vec![1, 255])), ("c.scale", float(&[]))];
        let bound = fit_all(&bytes, &[want("c", &[2], Some(Scheme::int(8)))]).unwrap();
        assert_eq!(bound["c"][0].1.as_i64(), Some([1, -1].as_slice()));
        let error = fit_all(&[("a.codes", zeros(DType::UInt8, &[3, 5])), ("a.scale", float(&[3]))], &expected[..1]);
        assert!(error.unwrap_err().contains("`a.codes`: expected uint8[3, 2], found uint8[3, 5]"));
    }
}
