//! Weights on disk, opened: what there is, with types and shapes, before any element is read.
//!
//! Files are mapped into memory, so a large one costs what is read of it. The pages of a tensor can be given back
//! ([`Checkpoint::release`]), which is how a file larger than memory is walked through. A file that somebody
//! shortens while it is mapped ends the process: the system has no gentler answer to a read beyond the end.

use super::raw::Raw;
use super::safetensors::header::{self, Entry, Header};
use super::{FileError, FileFormat, Tensors, WeightSet, npy, npz, reason, sharded, unknown_extension};
use crate::base::Code;
use crate::base::code::{E0702, E0703, E0801, E0803};
use crate::types::{DType, Tensor};
use memmap2::Mmap;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An opened checkpoint of one file or several.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// What messages name.
    pub path: PathBuf,
    pub format: FileFormat,
    /// Free text beside the tensors; safetensors only.
    pub metadata: BTreeMap<String, String>,
    files: Vec<Content>,
    tensors: BTreeMap<String, Stored>,
}

/// A tensor that is there to be read.
#[derive(Clone, Debug)]
pub struct Stored {
    pub dtype: DType,
    pub shape: Vec<usize>,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    /// Plain little-endian elements in a file.
    Bytes {
        file: usize,
        range: Range<usize>,
    },
    /// A whole `.npy` file.
    Array,
    /// An array of an archive.
    Member(Box<npz::Member>),
    Held(Tensor),
}

/// The bytes of a file; cloning shares them.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Mapped(Arc<Mmap>),
    /// What cannot be mapped: a pipe, or an empty file.
    Held(Arc<[u8]>),
}

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        match self {
            Content::Mapped(map) => map,
            Content::Held(bytes) => bytes,
        }
    }
}

impl Content {
    fn open(path: &Path) -> std::io::Result<Content> {
        let mut file = File::open(path)?;
        let about = file.metadata()?;
        if about.is_file() && about.len() > 0 {
            // SAFETY: the mapping is read-only. See the module on files that are changed meanwhile.
            let map = unsafe { Mmap::map(&file) }?;
            return Ok(Content::Mapped(Arc::new(map)));
        }
        let mut bytes = vec![];
        file.read_to_end(&mut bytes)?;
        Ok(Content::Held(bytes.into()))
    }

    /// Lets the system take the pages of a range back; they are read again when they are needed.
    fn release(&self, range: &Range<usize>) {
        let Content::Mapped(map) = self else { return };
        #[cfg(unix)]
        if !range.is_empty() {
            // SAFETY: the pages of a read-only mapping of a file hold what the file holds, so dropping them
            // changes nothing that can be read.
            let advised =
                unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len()) };
            // It is advice: a system that refuses keeps the pages, and everything works.
            let _ = advised;
        }
    }
}

impl Checkpoint {
    /// Opens a `.safetensors`, `.npz` or `.npy` file, an index of shards (`.json`), or a folder that holds
    /// `model.safetensors.index.json` or `model.safetensors`.
    pub fn open(path: &Path) -> Result<Checkpoint, FileError> {
        let error = |code, message: String| FileError { code, message, path: path.to_path_buf() };
        if path.is_dir() {
            let found = sharded::in_folder(path).ok_or_else(|| error(E0801, sharded::nothing_in_folder()))?;
            return Checkpoint::open(&found);
        }
        if sharded::is_index(path) {
            return open_shards(path);
        }
        let format = FileFormat::of(path).ok_or_else(|| error(E0803, unknown_extension()))?;
        let content = Content::open(path).map_err(|e| error(E0801, format!("cannot be read: {}", reason(&e))))?;
        let refuse = |message| error(format.code(), message);
        let mut checkpoint = Checkpoint::empty(path, format);
        match format {
            FileFormat::Safetensors => {
                let header = header::parse(content.as_ref()).map_err(refuse)?;
                checkpoint.add(content, header);
            }
            FileFormat::Npy => {
                let (dtype, shape) = npy::describe(content.as_ref()).map_err(refuse)?;
                checkpoint.files.push(content);
                checkpoint.tensors.insert(String::new(), Stored { dtype, shape, place: Place::Array });
            }
            FileFormat::Npz => {
                for (name, (dtype, shape, member)) in npz::members(content).map_err(refuse)? {
                    let place = Place::Member(Box::new(member));
                    checkpoint.tensors.insert(name, Stored { dtype, shape, place });
                }
            }
        }
        Ok(checkpoint)
    }

    /// Tensors in memory, as if they had been read from a file of this name.
    pub fn of(path: &Path, format: FileFormat, set: WeightSet) -> Checkpoint {
        let hold = |tensor: Tensor| Stored {
            dtype: tensor.dtype(),
            shape: tensor.shape().to_vec(),
            place: Place::Held(tensor),
        };
        let tensors = set.tensors.into_iter().map(|(name, tensor)| (name, hold(tensor))).collect();
        Checkpoint { metadata: set.metadata, tensors, ..Checkpoint::empty(path, format) }
    }

    fn empty(path: &Path, format: FileFormat) -> Checkpoint {
        let path = path.to_path_buf();
        Checkpoint { path, format, metadata: BTreeMap::new(), files: vec![], tensors: BTreeMap::new() }
    }

    /// Adds what a safetensors file with this header holds.
    fn add(&mut self, content: Content, header: Header) {
        let file = self.files.len();
        self.files.push(content);
        for (name, Entry { dtype, shape, range }) in header.tensors {
            self.tensors.insert(name, Stored { dtype, shape, place: Place::Bytes { file, range } });
        }
        for (name, text) in header.metadata {
            self.metadata.entry(name).or_insert(text);
        }
    }

    /// Every tensor, by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Stored)> {
        self.tensors.iter().map(|(name, stored)| (name.as_str(), stored))
    }

    pub fn get(&self, name: &str) -> Option<&Stored> {
        self.tensors.get(name)
    }

    /// The elements of a tensor as they lie in the file, where they lie so; other formats are unpacked.
    pub fn raw(&self, name: &str) -> Result<Raw<'_>, FileError> {
        let error = |message| self.error(self.format.code(), message);
        let stored = self.tensors.get(name).ok_or_else(|| error(format!("holds no tensor {name:?}")))?;
        match &stored.place {
            Place::Bytes { file, range } => {
                let bytes = &self.files[*file].as_ref()[range.clone()];
                Ok(Raw::new(stored.dtype, stored.shape.clone(), bytes))
            }
            Place::Array => npy::raw(self.files[0].as_ref()).map_err(error),
            Place::Member(member) => member.read().map_err(error),
            Place::Held(tensor) => Ok(Raw::from(tensor)),
        }
    }

    /// Reads one tensor.
    pub fn tensor(&self, name: &str) -> Result<Tensor, FileError> {
        match self.tensors.get(name).map(|stored| &stored.place) {
            Some(Place::Held(tensor)) => Ok(tensor.clone()),
            _ => self.raw(name).map(|raw| raw.decode()),
        }
    }

    /// Says that the elements of a tensor are not needed for a while: their memory can be used otherwise.
    pub fn release(&self, name: &str) {
        if let Some(Stored { place: Place::Bytes { file, range }, .. }) = self.tensors.get(name) {
            self.files[*file].release(range);
        }
    }

    /// Reads every tensor.
    pub fn load(self) -> Result<WeightSet, FileError> {
        let mut tensors = Tensors::new();
        for name in self.tensors.keys() {
            tensors.insert(name.clone(), self.tensor(name)?);
        }
        Ok(WeightSet { tensors, metadata: self.metadata })
    }

    /// An error about this file.
    pub fn error(&self, code: Code, message: String) -> FileError {
        FileError { code, message, path: self.path.clone() }
    }
}

fn open_shards(path: &Path) -> Result<Checkpoint, FileError> {
    let error = |code, message: String| FileError { code, message, path: path.to_path_buf() };
    let unreadable = |e: std::io::Error| error(E0801, format!("cannot be read: {}", reason(&e)));
    let mut bytes = vec![];
    let file = File::open(path).map_err(unreadable)?;
    file.take(sharded::MAX_INDEX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > sharded::MAX_INDEX {
        return Err(error(E0703, format!("is larger than {} bytes", sharded::MAX_INDEX)));
    }
    let index = sharded::parse(&bytes).map_err(|message| error(E0703, message))?;
    let mut checkpoint = Checkpoint::empty(path, FileFormat::Safetensors);
    let mut names: BTreeMap<&str, Option<BTreeSet<String>>> = BTreeMap::new();
    for shard in index.files() {
        let own = path.with_file_name(shard);
        if !own.is_file() {
            names.insert(shard, None);
            continue;
        }
        let refuse = |code, message| FileError { code, message, path: own.clone() };
        let content = Content::open(&own).map_err(|e| refuse(E0801, format!("cannot be read: {}", reason(&e))))?;
        let header = header::parse(content.as_ref()).map_err(|message| refuse(E0702, message))?;
        names.insert(shard, Some(header.tensors.keys().cloned().collect()));
        checkpoint.add(content, header);
    }
    match index.problems(&names) {
        Some(problems) => Err(error(E0703, problems)),
        None => Ok(checkpoint),
    }
}
