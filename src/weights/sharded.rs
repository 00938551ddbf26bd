//! Checkpoints in several files: an index (`model.safetensors.index.json`) names the file of each tensor.

use super::safetensors::header::Names;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// Of a folder, the files that hold its weights: the first that is there.
const IN_FOLDER: [&str; 2] = ["model.safetensors.index.json", "model.safetensors"];
/// A larger index is refused.
pub const MAX_INDEX: u64 = 100_000_000;
/// So many problems are listed.
const MAX_LISTED: usize = 10;

/// The shard of each tensor, as an index has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    pub shards: BTreeMap<String, String>,
}

/// The weights that a folder holds.
pub fn in_folder(folder: &Path) -> Option<PathBuf> {
    IN_FOLDER.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// What a folder without weights is told.
pub fn nothing_in_folder() -> String {
    format!("is a folder that holds neither `{}` nor `{}`", IN_FOLDER[0], IN_FOLDER[1])
}

/// Whether a path names an index by its extension.
pub fn is_index(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

#[derive(Deserialize)]
struct ClaimedIndex {
    weight_map: Names<String>,
}

/// Reads an index. The error continues the path.
pub fn parse(bytes: &[u8]) -> Result<Index, String> {
    let malformed = |why: String| format!("is not an index of shards: {why}");
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8 text".into()))?;
    let claimed: ClaimedIndex = serde_json::from_str(text).map_err(|e| malformed(e.to_string()))?;
    let shards = claimed.weight_map.0;
    for shard in shards.values() {
        let inside = Path::new(shard).components().all(|part| matches!(part, Component::Normal(_)));
        if shard.is_empty() || !inside {
            return Err(malformed(format!("the shard {shard:?} would lie outside of its folder")));
        }
        if !shard.ends_with(".safetensors") {
            return Err(malformed(format!("the shard {shard:?} is no .safetensors file")));
        }
    }
    Ok(Index { shards })
}

impl Index {
    /// The files, each once.
    pub fn files(&self) -> BTreeSet<&str> {
        self.shards.values().map(String::as_str).collect()
    }

    /// What does not agree between the index and the tensors of its shards, by file; `None` for a file that is
    /// not there.
    pub fn problems(&self, found: &BTreeMap<&str, Option<BTreeSet<String>>>) -> Option<String> {
        let mut problems = vec![];
        for (file, _) in found.iter().filter(|(_, tensors)| tensors.is_none()) {
            problems.push(format!("the shard `{file}` is missing"));
        }
        for (name, file) in &self.shards {
            if let Some(Some(tensors)) = found.get(file.as_str())
                && !tensors.contains(name)
            {
                problems.push(format!("`{file}` lacks `{name}`, which the index says it holds"));
            }
        }
        for (file, tensors) in found {
            for name in tensors.iter().flatten() {
                match self.shards.get(name) {
                    Some(own) if own == file => {}
                    Some(own) => problems.push(format!("`{name}` is in `{file}` and not only in `{own}`")),
                    None => problems.push(format!("`{file}` holds `{name}`, which the index does not name")),
                }
            }
        }
        if problems.is_empty() {
            return None;
        }
        let more = problems.len().saturating_sub(MAX_LISTED);
        problems.truncate(MAX_LISTED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        Some(format!("does not agree with its shards: {}{more}", problems.join("; ")))
    }
}
