//! NumPy's `.npz`: a zip archive of `.npy` files.

use super::checkpoint::Content;
use super::raw::Raw;
use super::{Tensors, npy};
use crate::types::{DType, Tensor};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{Cursor, Read, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// No more is unpacked from one archive, all members together.
const MAX_UNPACKED: u64 = 8 << 30;
/// A member may be so many times larger than its compressed form: deflate cannot reach more than 1032,
/// so a claim beyond it is false.
const MAX_RATIO: u64 = 1100;
/// The zip reader makes a record of each member before it looks at any.
const MAX_MEMBERS: usize = 1 << 20;

/// An opened archive.
type Archive = ZipArchive<Cursor<Content>>;

/// One array of an archive, to be unpacked.
#[derive(Clone)]
pub(super) struct Member {
    archive: Archive,
    index: usize,
    /// Of the file in the archive.
    name: String,
    /// It has at most so many bytes.
    limit: u64,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Member({:?})", self.name)
    }
}

/// Arrays by name, with their types and shapes. Of each no more than its header is unpacked.
pub(super) type Members = BTreeMap<String, (DType, Vec<usize>, Member)>;

/// Reads what an archive holds.
pub(super) fn members(content: Content) -> Result<Members, String> {
    let mut zip = ZipArchive::new(Cursor::new(content)).map_err(|e| format!("is not a .npz file: {e}"))?;
    if zip.len() > MAX_MEMBERS {
        return Err(format!("has {} members; at most {MAX_MEMBERS} are read", zip.len()));
    }
    let mut members = Members::new();
    let mut unpacked = 0u64;
    for index in 0..zip.len() {
        let file = zip.by_index(index).map_err(|e| format!("is damaged: {e}"))?;
        let name = file.name().map_err(|e| format!("is damaged: {e}"))?.to_string();
        let Some(array) = name.strip_suffix(".npy") else {
            return Err(format!("holds {name:?}, which is no array"));
        };
        let limit = file.compressed_size().saturating_mul(MAX_RATIO).min(file.size());
        unpacked = unpacked.saturating_add(limit);
        if unpacked > MAX_UNPACKED {
            return Err(format!("unpacks to more than {} GiB: use .safetensors", MAX_UNPACKED >> 30));
        }
        let mut header = vec![];
        file.take(limit.min(npy::HEADER_BYTES as u64))
            .read_to_end(&mut header)
            .map_err(|e| format!("is damaged at {name:?}: {e}"))?;
        let (dtype, shape) = npy::describe(&header).map_err(|message| of_member(&name, &message))?;
        let array = array.to_string();
        let member = Member { archive: zip.clone(), index, name, limit };
        if members.contains_key(&array) {
            return Err(format!("holds {array:?} twice"));
        }
        members.insert(array, (dtype, shape, member));
    }
    Ok(members)
}

fn of_member(name: &str, message: &str) -> String {
    format!("has a member {name:?} that {message}")
}

impl Member {
    /// Unpacks the array.
    pub fn read(&self) -> Result<Raw<'static>, String> {
        let damaged = |e: &dyn fmt::Display| format!("is damaged at {:?}: {e}", self.name);
        let mut archive = self.archive.clone();
        let file = archive.by_index(self.index).map_err(|e| damaged(&e))?;
        // The buffer grows with what is really there, whatever the archive claims.
        let mut content = vec![];
        file.take(self.limit.saturating_add(1)).read_to_end(&mut content).map_err(|e| damaged(&e))?;
        if content.len() as u64 > self.limit {
            return Err(format!("is damaged: {:?} is larger than it says", self.name));
        }
        npy::raw(&content).map(Raw::into_owned).map_err(|message| of_member(&self.name, &message))
    }
}

/// Reads every array of an archive.
pub fn read(bytes: &[u8]) -> Result<Tensors, String> {
    let members = members(Content::Held(bytes.into()))?;
    members.into_iter().map(|(name, (_, _, member))| Ok((name, member.read()?.decode()))).collect()
}

/// Writes an archive, members sorted by name and uncompressed, without dates.
pub fn write(tensors: &Tensors) -> Result<Vec<u8>, String> {
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    for (name, tensor) in tensors {
        write_member(&mut zip, name, tensor).map_err(|e| format!("cannot write {name:?}: {e}"))?;
    }
    let cursor = zip.finish().map_err(|e| format!("cannot finish the archive: {e}"))?;
    Ok(cursor.into_inner())
}

fn write_member(
    zip: &mut ZipWriter<Cursor<Vec<u8>>>,
    name: &str,
    tensor: &Tensor,
) -> Result<(), Box<dyn std::error::Error>> {
    let content = npy::write(tensor);
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .large_file(u32::try_from(content.len()).is_err());
    zip.start_file(format!("{name}.npy"), options)?;
    zip.write_all(&content)?;
    Ok(())
}
