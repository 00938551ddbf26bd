//! `tritonc quantize`: a checkpoint in, a packed one out, tensor by tensor.
//!
//! Everything that types and shapes can tell is checked before a byte is written. Then each tensor is looked at,
//! encoded and packed in blocks, so that memory is bounded by one tensor of the source, however large the file. The
//! result is written beside its place, read back, compared, and only then put there.

use crate::base::Diagnostic;
use crate::base::code::{E0502, E0802, W0502};
use crate::driver::artifact::Pending;
use crate::driver::calibrate::{self, ModelRequest, Plan};
use crate::driver::inspect::{BLOCK, Inspection, Row, Stored, refused, unfit};
use crate::driver::packed::{self, PackedNote, PackedNotes, metadata};
use crate::driver::schemes::SchemeRules;
use crate::driver::{Failed, Session, reading};
use crate::quant::stream::{self, StreamError, Summary};
use crate::quant::{Part, Quantized, Scheme, stored_parts};
use crate::types::{DType, Tensor};
use crate::weights::safetensors::{Layout, Types, layout};
use crate::weights::{Checkpoint, FileError, FileFormat, Raw, View, writable};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

/// What is to be quantised how.
#[derive(Clone, Debug, Default)]
pub struct QuantizeRequest {
    pub weights: PathBuf,
    /// `PATTERN=SCHEME`, the last that fits counts.
    pub schemes: Vec<String>,
    pub maps: Vec<String>,
    pub output: PathBuf,
    /// Whose weights these are. Then rules are about its parameters, and count more than its source.
    pub model: Option<ModelRequest>,
}

/// Told how much is done, of how much.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// One tensor of the source.
struct Job<'a> {
    name: &'a str,
    dtype: DType,
    shape: &'a [usize],
    scheme: Option<&'a Scheme>,
}

/// What must be found when the file is read back.
enum Digest {
    /// Of plain elements.
    Bytes(u64),
    /// Of the codes that bytes stand for, in rows of so many.
    Codes { digest: u64, scheme: Scheme, size: usize },
}

/// Quantises a checkpoint; what became of each tensor.
pub fn quantize(
    session: &mut Session,
    request: &QuantizeRequest,
    progress: Progress<'_>,
) -> Result<Inspection, Failed> {
    let rules = SchemeRules::parse(&mut session.project, "--scheme", &request.schemes);
    let rules = rules.map_err(|errors| session.fail(errors))?;
    if request.model.is_none() {
        rules.weights_only().map_err(|error| session.fail(vec![error]))?;
    }
    check_output(&request.output).map_err(|error| session.report_file(&error))?;
    let view = reading::open(&request.weights, &request.maps).map_err(|error| session.fail(vec![error]))?;
    let earlier = packed::read(&mut session.project, &view.checkpoint.metadata);
    let earlier = earlier.map_err(|error| session.fail(vec![error]))?;
    let plan = match &request.model {
        Some(model) => calibrate::plan(session, &view, &request.schemes, model)?,
        None => by_name(&view, &rules).map_err(|errors| session.fail(errors))?,
    };
    let inspection = rewrite(&view, &earlier, &plan, &request.output, progress);
    let inspection = inspection.map_err(|errors| session.fail(errors))?;
    session.diagnostics.extend(inspection.warning());
    session.diagnostics.extend(rounded(&plan));
    Ok(inspection)
}

/// Says which weights have the nearest codes although others were asked for.
fn rounded(plan: &Plan) -> Option<Diagnostic> {
    let count = plan.rounded.len();
    let weights = if count == 1 { "a weight has".to_string() } else { format!("{count} weights have") };
    let lines: Vec<String> = plan.rounded.iter().map(|(name, why)| format!("`{name}`: {why}")).collect();
    let warning = Diagnostic::new(W0502, format!("{weights} the nearest codes, without regard to data"));
    (count > 0).then(|| warning.note(lines.join("\n")))
}

fn check_output(path: &Path) -> Result<(), FileError> {
    match writable(path)? {
        FileFormat::Safetensors => Ok(()),
        FileFormat::Npy | FileFormat::Npz => {
            let message = "would hold packed weights: its name must end in .safetensors".to_string();
            Err(FileError { code: E0802, message, path: path.to_path_buf() })
        }
    }
}

/// `earlier` is what the source says of tensors that are packed already; they stay so.
fn rewrite(
    view: &View,
    earlier: &PackedNotes,
    plan: &Plan,
    output: &Path,
    progress: Progress<'_>,
) -> Result<Inspection, Vec<Diagnostic>> {
    let jobs = jobs(view, plan)?;
    let mut types = Types::new();
    let added = plan.added.iter().map(|(name, tensor)| (name.clone(), tensor.dtype(), tensor.shape().to_vec()));
    let added = added.map(|part| (part.0.clone(), part));
    let parts = jobs.iter().flat_map(|job| job.parts().into_iter().map(|part| (job.name.to_string(), part)));
    for (name, (part, dtype, shape)) in parts.chain(added) {
        if types.insert(part.clone(), (dtype, shape)).is_some() {
            let message = format!("`{name}` cannot be quantised: there is a tensor `{part}` already");
            return Err(vec![Diagnostic::new(E0502, message)]);
        }
    }
    let error = |error: FileError| vec![Diagnostic::new(error.code, error.to_string())];
    let mut work = Work::begin(view, earlier, &jobs, &types, output, progress).map_err(error)?;
    let mut rows = vec![];
    for job in &jobs {
        rows.push(work.tensor(job, plan.codes.get(job.name)).map_err(|error| vec![error])?);
        view.release(job.name);
    }
    for (name, tensor) in &plan.added {
        work.plain(name.clone(), &Raw::from(tensor)).map_err(error)?;
        rows.push(Row::of(name, tensor.dtype(), tensor.shape(), None));
    }
    let pending = work.finish(&jobs, &rows, &types).map_err(error)?;
    pending.commit().map_err(error)?;
    Ok(Inspection { rows })
}

/// What rules say of the names in a file, for whatever model.
fn by_name(view: &View, rules: &SchemeRules) -> Result<Plan, Vec<Diagnostic>> {
    let names: Vec<&str> = view.tensors().map(|(name, _)| name).collect();
    let chosen = rules.assign(&names)?;
    let schemes = names.iter().zip(chosen).filter_map(|(name, scheme)| Some((name.to_string(), scheme?.clone())));
    Ok(Plan { schemes: schemes.collect(), ..Plan::default() })
}

/// Every tensor with its scheme, or everything that rules it out.
fn jobs<'a>(view: &'a View, plan: &'a Plan) -> Result<Vec<Job<'a>>, Vec<Diagnostic>> {
    let (mut jobs, mut errors) = (vec![], vec![]);
    for (name, derived) in view.tensors() {
        let scheme = plan.schemes.get(name);
        errors.extend(scheme.and_then(|scheme| unfit(view, name, derived, scheme)));
        jobs.push(Job { name, dtype: derived.dtype, shape: &derived.shape, scheme });
    }
    if errors.is_empty() { Ok(jobs) } else { Err(errors) }
}

impl Job<'_> {
    /// The tensors of the result.
    fn parts(&self) -> Vec<(String, DType, Vec<usize>)> {
        match self.scheme {
            Some(scheme) => {
                let parts = stored_parts(self.name, scheme, self.shape).into_iter();
                parts.map(|part| (part.name, part.dtype, part.shape)).collect()
            }
            None => vec![(self.name.to_string(), self.dtype, self.shape.to_vec())],
        }
    }
}

/// The file that is being written.
struct Work<'a, 'p> {
    view: &'a View,
    earlier: &'a PackedNotes,
    pending: Pending,
    layout: Layout,
    digests: BTreeMap<String, Digest>,
    progress: Progress<'p>,
    done: u64,
    total: u64,
}

impl<'a, 'p> Work<'a, 'p> {
    fn begin(
        view: &'a View,
        earlier: &'a PackedNotes,
        jobs: &[Job<'_>],
        types: &Types,
        output: &Path,
        progress: Progress<'p>,
    ) -> Result<Work<'a, 'p>, FileError> {
        // No measured ratio has more digits than this one.
        let notes = notes(earlier, jobs, types, |_| Some(-10_000.25));
        let layout = layout(types, &metadata(&view.checkpoint.metadata, &notes), 0);
        let mut pending = Pending::create(output)?;
        pending.set_size(layout.size)?;
        let bytes = |job: &Job<'_>| Row::of(job.name, job.dtype, job.shape, None).before;
        // Everything is read once to be written, and what was written once more.
        let total = jobs.iter().map(bytes).sum::<u64>() + layout.size;
        let mut work = Work { view, earlier, pending, layout, digests: BTreeMap::new(), progress, done: 0, total };
        work.advance(0);
        Ok(work)
    }

    fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        (self.progress)(self.done.min(self.total), self.total);
    }

    /// Writes what becomes of one tensor; its codes may be given.
    fn tensor(&mut self, job: &Job<'_>, given: Option<&Quantized>) -> Result<Row, Diagnostic> {
        let unreadable = |error: FileError| Diagnostic::new(error.code, error.to_string());
        let raw = self.view.raw(job.name).map_err(unreadable)?;
        let row = Row::of(job.name, job.dtype, job.shape, job.scheme);
        let Some(scheme) = job.scheme else {
            self.plain(job.name.to_string(), &raw).map_err(unreadable)?;
            self.advance(row.before);
            return Ok(row);
        };
        let Summary { scale, zero_point, measure, digest } = self.codes(job, scheme, &raw, given)?;
        let size = job.shape.last().copied().unwrap_or(1);
        let codes = Digest::Codes { digest, scheme: scheme.clone(), size };
        self.digests.insert(Part::Codes.name(job.name), codes);
        for (part, tensor) in [(Part::Scale, Some(scale)), (Part::ZeroPoint, zero_point)] {
            let write = |tensor: Tensor| self.plain(part.name(job.name), &Raw::from(&tensor));
            tensor.map_or(Ok(()), write).map_err(unreadable)?;
        }
        Ok(row.measured(&measure))
    }

    /// Quantises, packs and writes the codes.
    fn codes(
        &mut self,
        job: &Job<'_>,
        scheme: &Scheme,
        raw: &Raw<'_>,
        given: Option<&Quantized>,
    ) -> Result<Summary, Diagnostic> {
        let place = self.layout.places.get(&Part::Codes.name(job.name)).cloned().unwrap_or_default();
        let (before, bytes) = (self.done, raw.bytes().len() as f64);
        let mut position = place.start;
        let mut write = |piece: &[u8]| -> Result<(), FileError> {
            self.pending.write_at(position, piece)?;
            position += piece.len() as u64;
            let share = (position - place.start) as f64 / (place.end - place.start).max(1) as f64;
            self.done = before + (bytes * share) as u64;
            self.advance(0);
            Ok(())
        };
        let packed = match given {
            Some(given) => stream::pack_given(&Stored(raw), scheme, given, &mut write),
            None => stream::pack(&Stored(raw), scheme, &mut write),
        };
        packed.map_err(|error| match error {
            StreamError::Quant(error) => refused(job.name, job.shape, scheme, &error),
            StreamError::Write(error) => Diagnostic::new(error.code, error.to_string()),
        })
    }

    /// Writes elements as they are.
    fn plain(&mut self, name: String, raw: &Raw<'_>) -> Result<(), FileError> {
        let mut position = self.start(&name);
        let mut hasher = DefaultHasher::new();
        for piece in raw.bytes().chunks(PIECE) {
            hasher.write(piece);
            self.pending.write_at(position, piece)?;
            position += piece.len() as u64;
        }
        self.digests.insert(name, Digest::Bytes(hasher.finish()));
        Ok(())
    }

    fn start(&self, name: &str) -> u64 {
        self.layout.places.get(name).map_or(0, |place| place.start)
    }

    /// Writes the header, reads everything back, and compares.
    fn finish(mut self, jobs: &[Job<'_>], rows: &[Row], types: &Types) -> Result<Pending, FileError> {
        let ratios: BTreeMap<&str, Option<f64>> = rows.iter().map(|row| (row.name.as_str(), row.ratio)).collect();
        let notes = notes(self.earlier, jobs, types, |name| ratios.get(name).copied().flatten());
        let finished = layout(types, &metadata(&self.view.checkpoint.metadata, &notes), self.layout.head.len());
        if finished.places != self.layout.places {
            return Err(self.pending.error("cannot be written: its header has outgrown its place".to_string()));
        }
        self.pending.write_at(0, &finished.head)?;
        self.pending.sync()?;
        let written = Checkpoint::open(self.pending.temporary());
        let written =
            written.map_err(|error| self.pending.error(format!("reads back wrongly: it {}", error.message)))?;
        for (name, (dtype, shape)) in types {
            let found = written.get(name).filter(|found| found.dtype == *dtype && found.shape == *shape);
            let raw = found.map(|_| written.raw(name)).transpose()?;
            let same = match (raw, self.digests.get(name)) {
                (Some(raw), Some(digest)) => digest.is_of(&raw),
                (None, _) | (_, None) => false,
            };
            if !same {
                return Err(self.pending.error(format!("reads back wrongly: `{name}` is not what was written")));
            }
            written.release(name);
            let bytes = self.layout.places.get(name).map_or(0, |place| place.end - place.start);
            self.advance(bytes);
        }
        Ok(self.pending)
    }
}

/// Bytes that are copied at a time.
const PIECE: usize = 1 << 20;

impl Digest {
    fn is_of(&self, raw: &Raw<'_>) -> bool {
        match self {
            Digest::Bytes(digest) => {
                let mut hasher = DefaultHasher::new();
                raw.bytes().chunks(PIECE).for_each(|piece| hasher.write(piece));
                hasher.finish() == *digest
            }
            Digest::Codes { digest, scheme, size } => {
                stream::digest(raw.bytes().chunks(BLOCK), scheme, *size) == Ok(*digest)
            }
        }
    }
}

/// What the file says of its packed tensors.
fn notes(earlier: &PackedNotes, jobs: &[Job<'_>], types: &Types, ratio: impl Fn(&str) -> Option<f64>) -> PackedNotes {
    let there = |(name, note): &(&String, &PackedNote)| {
        stored_parts(name, &note.scheme, &note.shape).iter().all(|part| types.contains_key(&part.name))
    };
    let kept = earlier.iter().filter(there).map(|(name, note)| (name.clone(), note.clone()));
    let own = jobs.iter().filter_map(|job| {
        let scheme = job.scheme?.clone();
        let note = PackedNote { scheme, dtype: job.dtype, shape: job.shape.to_vec(), ratio: ratio(job.name) };
        Some((job.name.to_string(), note))
    });
    kept.chain(own).collect()
}
