//! What a checkpoint or a model holds, tensor by tensor: types, schemes, sizes, and what quantising loses.

use crate::base::Diagnostic;
use crate::base::code::{E0501, E0502, E0503, W0501};
use crate::driver::bind::{Expected, find};
use crate::driver::packed::{PackedNote, PackedNotes};
use crate::driver::schemes::SchemeRules;
use crate::driver::{EntryRequest, Failed, Mode, Reading, Session, model, packed, pipeline, reading};
use crate::quant::codes::Slices;
use crate::quant::stream::{self, Measure};
use crate::quant::{Blocks, Encoder, Part, QuantError, Scheme, SchemeKind, StoredPart, stored_parts};
use crate::types::DType;
use crate::weights::view::Derived;
use crate::weights::{FileError, Raw, View};
use std::collections::BTreeSet;
use std::path::Path;

/// Elements that are decoded at a time.
pub(super) const BLOCK: usize = 1 << 16;

/// Below this ratio of signal to noise, in decibels and with the best of all scales, ternary weights are warned of. No
/// three values keep more than 7.2 dB of normally distributed weights or 9.5 dB of uniform ones; what lies around three
/// values anyway keeps more. The errors of layers add up, so that ten of them at 10 dB leave as much noise as signal.
pub const LEAST_TERNARY_RATIO: f64 = 10.0;
/// So many tensors are listed in the warning.
const MAX_LISTED: usize = 10;

/// One tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub name: String,
    /// Before quantising.
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub scheme: Option<Scheme>,
    /// Bytes without and with the scheme, scales and zero points among them.
    pub before: u64,
    pub after: u64,
    /// The share of elements that are, or are restored as, 0; `None` without values.
    pub zeros: Option<f64>,
    /// Signal to noise in decibels, infinite where nothing is lost; `None` where it is not known.
    pub ratio: Option<f64>,
    /// The same with the best of all scales; of tensors that were measured.
    pub best_ratio: Option<f64>,
}

impl Row {
    pub fn elements(&self) -> u64 {
        self.shape.iter().map(|size| *size as u64).product()
    }

    /// A tensor of this type, packed where it has a scheme.
    pub(super) fn of(name: &str, dtype: DType, shape: &[usize], scheme: Option<&Scheme>) -> Row {
        let bytes = |dtype: DType, shape: &[usize]| {
            shape.iter().map(|size| *size as u64).product::<u64>() * u64::from(dtype.bits()).div_ceil(8)
        };
        let before = bytes(dtype, shape);
        let packed = |scheme| stored_parts(name, scheme, shape).iter().map(|part| bytes(part.dtype, &part.shape)).sum();
        Row {
            name: name.to_string(),
            dtype,
            shape: shape.to_vec(),
            scheme: scheme.cloned(),
            before,
            after: scheme.map_or(before, packed),
            zeros: None,
            ratio: None,
            best_ratio: None,
        }
    }

    pub(super) fn measured(self, measure: &Measure) -> Row {
        let of_scheme = |ratio: f64| self.scheme.as_ref().map(|_| ratio);
        let (ratio, best_ratio) = (of_scheme(measure.ratio()), of_scheme(measure.best_ratio()));
        Row { zeros: Some(measure.sparsity()), ratio, best_ratio, ..self }
    }
}

/// Everything that was found, in the order in which it is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inspection {
    pub rows: Vec<Row>,
}

impl Inspection {
    pub fn elements(&self) -> u64 {
        self.rows.iter().map(Row::elements).sum()
    }

    pub fn before(&self) -> u64 {
        self.rows.iter().map(|row| row.before).sum()
    }

    pub fn after(&self) -> u64 {
        self.rows.iter().map(|row| row.after).sum()
    }

    /// Warns of tensors of which three values keep little. Weights that were trained with this rounding cannot be told
    /// from others by their values, so the warning is for who quantises a checkpoint, not for a model that says so.
    pub fn warning(&self) -> Option<Diagnostic> {
        let ternary = |row: &&Row| matches!(row.scheme.as_ref().map(|s| s.kind), Some(SchemeKind::Ternary { .. }));
        let lossy: Vec<(&str, f64)> = self
            .rows
            .iter()
            .filter(ternary)
            .filter(|row| row.best_ratio.is_some_and(|best| best < LEAST_TERNARY_RATIO))
            .filter_map(|row| Some((row.name.as_str(), row.ratio?)))
            .collect();
        if lossy.is_empty() {
            return None;
        }
        let count = lossy.len();
        let tensors = if count == 1 { "a float tensor".to_string() } else { format!("{count} float tensors") };
        let mut lines: Vec<String> =
            lossy.iter().take(MAX_LISTED).map(|(name, ratio)| format!("`{name}`: {ratio:.1} dB")).collect();
        if count > MAX_LISTED {
            lines.push(format!("... and {} more", count - MAX_LISTED));
        }
        let warning = Diagnostic::new(W0501, format!("ternary weights keep little of {tensors}"));
        let help = "help: unless they were trained with this rounding, train them so (`tritonc build --mode train`), or \
                    use int4 with groups";
        Some(warning.note(lines.join("\n")).note(help))
    }
}

/// The elements of a tensor of a file, decoded as they are asked for.
pub(super) struct Stored<'a>(pub &'a Raw<'a>);

impl Blocks for Stored<'_> {
    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn visit(&self, visit: &mut dyn FnMut(usize, &[f32])) {
        let count = self.0.count();
        for first in (0..count).step_by(BLOCK) {
            visit(first, &self.0.floats(first, (first + BLOCK).min(count)));
        }
    }
}

/// What a tensor of a file is told that cannot be quantised.
pub(super) fn refused(name: &str, shape: &[usize], scheme: &Scheme, error: &QuantError) -> Diagnostic {
    let (code, why) = match error {
        QuantError::NotFinite { index, value } => (E0502, not_finite(shape, *index, *value)),
        QuantError::NotFloat(_) | QuantError::ScaleOverflow { .. } | QuantError::SeedMissing => {
            (E0502, error.to_string())
        }
        QuantError::Axis { .. } | QuantError::Group { .. } | QuantError::Scalar | QuantError::Scheme(_) => {
            (E0501, error.to_string())
        }
        QuantError::Mismatch(_)
        | QuantError::Format { .. }
        | QuantError::Code { .. }
        | QuantError::Uncalibrated(_)
        | QuantError::Byte { .. }
        | QuantError::PackedSize { .. } => (E0503, error.to_string()),
    };
    Diagnostic::new(code, format!("`{name}` cannot be {scheme}: {why}"))
}

fn not_finite(shape: &[usize], index: usize, value: f64) -> String {
    let mut rest = index;
    let mut places: Vec<String> = vec![];
    for size in shape.iter().rev() {
        places.push((rest % size.max(&1)).to_string());
        rest /= size.max(&1);
    }
    places.reverse();
    format!("element [{}] is {value}, which has no code", places.join(", "))
}

/// The names of what is not part of a tensor that the notes speak of.
fn plain_names<'v>(view: &'v View, notes: &PackedNotes) -> Vec<&'v str> {
    let parts = |(name, note): (&String, &PackedNote)| stored_parts(name, &note.scheme, &note.shape);
    let noted: BTreeSet<String> = notes.iter().flat_map(parts).map(|part| part.name).collect();
    view.tensors().map(|(name, _)| name).filter(|name| !noted.contains(*name)).collect()
}

/// Names that belong to packed weights: `NAME.scale` beside `NAME.codes`.
pub(super) fn is_packed_part(view: &View, name: &str) -> bool {
    let has = |tensor: &str| [Part::Codes, Part::Scale].iter().all(|part| view.contains(&part.name(tensor)));
    Part::whole(name).is_some_and(has)
}

/// Why a tensor cannot have a scheme, by its name, type and shape alone.
pub(super) fn unfit(view: &View, name: &str, derived: &Derived, scheme: &Scheme) -> Option<Diagnostic> {
    let spare = |diagnostic: Diagnostic| diagnostic.note(format!("help: `--scheme '{name}=none'` leaves it as it is"));
    if is_packed_part(view, name) {
        let message = format!("`{name}` cannot be {scheme}: it is part of packed weights");
        return Some(spare(Diagnostic::new(E0502, message)));
    }
    let error = if !derived.dtype.is_float() {
        QuantError::NotFloat(derived.dtype)
    } else if derived.shape.is_empty() {
        QuantError::Scalar
    } else {
        match Slices::of(&derived.shape, scheme) {
            Ok(slices) if slices.shape.iter().product::<usize>() > 1 && derived.shape.contains(&0) => {
                QuantError::Scheme("there is nothing to take scales of".to_string())
            }
            Ok(_) => return None,
            Err(error) => error,
        }
    };
    Some(spare(refused(name, &derived.shape, scheme, &error)))
}

/// Every tensor of a checkpoint; with rules, as they would quantise it.
pub fn weights(session: &mut Session, path: &Path, maps: &[String], schemes: &[String]) -> Result<Inspection, Failed> {
    let rules = SchemeRules::parse(&mut session.project, "--scheme", schemes).map_err(|errors| session.fail(errors))?;
    let view = reading::open(path, maps).map_err(|error| session.fail(vec![error]))?;
    let notes = packed::read(&mut session.project, &view.checkpoint.metadata);
    let notes = notes.map_err(|error| session.fail(vec![error]))?;
    let inspection = inspect_view(&view, &notes, &rules).map_err(|errors| session.fail(errors))?;
    session.diagnostics.extend(inspection.warning());
    Ok(inspection)
}

fn inspect_view(view: &View, notes: &PackedNotes, rules: &SchemeRules) -> Result<Inspection, Vec<Diagnostic>> {
    let plain = plain_names(view, notes);
    let chosen = rules.assign(&plain)?;
    let mut errors = vec![];
    let mut rows = vec![];
    for (name, note) in notes {
        match packed_row(view, name, note) {
            Ok(row) => rows.push(row),
            Err(error) => errors.push(error),
        }
    }
    for (name, scheme) in plain.into_iter().zip(chosen) {
        let Some(derived) = view.get(name) else { continue };
        let unfit = scheme.and_then(|scheme| unfit(view, name, derived, scheme));
        match unfit.map_or_else(|| plain_row(view, name, derived, scheme), Err) {
            Ok(row) => rows.push(row),
            Err(error) => errors.push(error),
        }
    }
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    if errors.is_empty() { Ok(Inspection { rows }) } else { Err(errors) }
}

fn unreadable(error: FileError) -> Diagnostic {
    Diagnostic::new(error.code, error.to_string())
}

/// A tensor with its elements as they are, and what a scheme would leave of it.
fn plain_row(view: &View, name: &str, derived: &Derived, scheme: Option<&Scheme>) -> Result<Row, Diagnostic> {
    let raw = view.raw(name).map_err(unreadable)?;
    let measure = match scheme {
        Some(scheme) => {
            let measured = stream::measure(&Stored(&raw), scheme);
            measured.map_err(|error| refused(name, &derived.shape, scheme, &error))?
        }
        None => {
            let mut measure = Measure::default();
            Stored(&raw).visit(&mut |_, block| block.iter().for_each(|value| measure.add(*value, *value)));
            measure
        }
    };
    drop(raw);
    view.release(name);
    Ok(Row::of(name, derived.dtype, &derived.shape, scheme).measured(&measure))
}

/// A packed tensor of a file, by what the file says of it.
fn packed_row(view: &View, name: &str, note: &PackedNote) -> Result<Row, Diagnostic> {
    let scheme = &note.scheme;
    let damaged =
        |why: String| Diagnostic::new(E0503, format!("`{name}` is not the {scheme} that the file says: {why}"));
    // The note may say anything; a size of 0 must not hide that the others are too large.
    let nonzero = note.shape.iter().filter(|size| **size > 0);
    let countable = nonzero.copied().try_fold(size_of::<f64>(), usize::checked_mul).is_some();
    if !countable || note.shape.is_empty() {
        return Err(damaged(format!("shape {:?}", note.shape)));
    }
    let fits = Slices::of(&note.shape, scheme);
    fits.map_err(|error| damaged(error.to_string()))?;
    for StoredPart { name: part, dtype, shape, .. } in stored_parts(name, scheme, &note.shape) {
        match view.get(&part) {
            Some(found) if found.dtype == dtype && found.shape == shape => {}
            Some(found) => {
                return Err(damaged(format!("`{part}` is {} of shape {:?}", found.dtype, found.shape)));
            }
            None => return Err(damaged(format!("`{part}` is missing"))),
        }
    }
    let tensor = |part: Part| view.tensor(&part.name(name)).map_err(unreadable);
    let scale = tensor(Part::Scale)?;
    let zero_point = if scheme.has_zero_point() { Some(tensor(Part::ZeroPoint)?) } else { None };
    let encoder = Encoder::stored(&note.shape, scheme, &scale, zero_point.as_ref());
    let encoder = encoder.map_err(|error| damaged(error.to_string()))?;
    let raw = view.raw(&Part::Codes.name(name)).map_err(unreadable)?;
    let size = note.shape.last().copied().unwrap_or(1);
    let measure = stream::measure_packed(raw.bytes().chunks(BLOCK), scheme, size, &encoder);
    let measure = measure.map_err(|error| damaged(error.to_string()))?;
    let row = Row::of(name, note.dtype, &note.shape, Some(scheme));
    Ok(Row { zeros: Some(measure.sparsity()), ratio: note.ratio, ..row })
}

/// Every parameter of a program's entry; with weights, what quantising leaves of them.
pub fn program(
    session: &mut Session,
    path: &str,
    entry: &EntryRequest,
    weights: Option<&Path>,
    reading: &Reading,
) -> Result<Inspection, Failed> {
    let file = session.open(path)?;
    let entry = EntryRequest { mode: Mode::Infer, ..entry.clone() };
    let module = pipeline::lower(session, file, &entry)?;
    let expected = model::storage(&module).map_err(|error| session.fail(vec![error]))?;
    let rows = match weights {
        None => {
            Ok(expected.iter().map(|want| Row::of(&want.name, want.dtype, &want.shape, want.scheme.as_ref())).collect())
        }
        Some(weights) => program_rows(session, weights, reading, &expected),
    };
    Ok(Inspection { rows: rows.map_err(|errors| session.fail(errors))? })
}

fn program_rows(
    session: &mut Session,
    weights: &Path,
    reading: &Reading,
    expected: &[Expected],
) -> Result<Vec<Row>, Vec<Diagnostic>> {
    let view = reading::open(weights, &reading.maps).map_err(|error| vec![error])?;
    let notes = packed::read(&mut session.project, &view.checkpoint.metadata).map_err(|error| vec![error])?;
    let found = find(&view, expected, Mode::Infer, reading.cast).map_err(|error| vec![error])?;
    let (mut rows, mut errors) = (vec![], vec![]);
    for (want, (_, found)) in expected.iter().zip(found) {
        let is_packed = found.iter().any(|found| found.part == Part::Codes);
        let row = match &want.scheme {
            Some(scheme) if is_packed => {
                let ratio = notes.get(&want.name).and_then(|note| note.ratio);
                let note = PackedNote { scheme: scheme.clone(), dtype: want.dtype, shape: want.shape.clone(), ratio };
                packed_row(&view, &want.name, &note)
            }
            scheme => match view.get(&want.name) {
                Some(derived) => plain_row(&view, &want.name, derived, scheme.as_ref()),
                None => continue,
            },
        };
        match row {
            Ok(row) => rows.push(row),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(rows) } else { Err(errors) }
}
