//! Files that a build writes: whole or not at all.

use crate::base::code::E0802;
use crate::weights::{FileError, reason};
use std::fs;
use std::io::{self, Seek, Write};
use std::path::{Component, Path, PathBuf};

/// One file of a target: a path below the output folder, with `/` between parts, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    pub path: String,
    pub bytes: Vec<u8>,
}

impl Artifact {
    pub fn new(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Artifact {
        Artifact { path: path.into(), bytes: bytes.into() }
    }
}

/// Writes every artifact below `folder` and lists the paths, in order.
pub fn write_all(folder: &Path, artifacts: &[Artifact]) -> Result<Vec<PathBuf>, FileError> {
    let mut paths = vec![];
    for artifact in artifacts {
        let relative = Path::new(&artifact.path);
        let path = folder.join(relative);
        if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(FileError { code: E0802, message: "would lie outside of the output folder".into(), path });
        }
        write_atomic(&path, &artifact.bytes)?;
        paths.push(path);
    }
    Ok(paths)
}

/// Writes a file so that at any time it is absent, as before, or complete: into a temporary file of the
/// same folder, which is then renamed. Parent folders are made as needed.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_and_rename(path, bytes).map_err(|error| unwritable(path, &error))
}

fn write_and_rename(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A pipe or a device must not be replaced by a file.
    if fs::metadata(path).is_ok_and(|existing| !existing.is_dir() && !existing.is_file()) {
        return fs::OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    let mut pending = Pending::begin(path)?;
    pending.file.write_all(bytes)?;
    pending.finish()
}

/// A file that is being written beside its place, and removed unless it is committed.
pub struct Pending {
    file: tempfile::NamedTempFile,
    path: PathBuf,
    /// As messages name it.
    shown: PathBuf,
}

impl Pending {
    pub fn create(path: &Path) -> Result<Pending, FileError> {
        let other = fs::metadata(path).is_ok_and(|existing| !existing.is_dir() && !existing.is_file());
        let begun = if other { Err(io::Error::other("it is no regular file")) } else { Pending::begin(path) };
        begun.map_err(|error| unwritable(path, &error))
    }

    fn begin(path: &Path) -> io::Result<Pending> {
        if path.is_dir() {
            return Err(io::Error::other("it is a folder"));
        }
        // A link keeps pointing where it did.
        let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let folder = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(folder)?;
        // The ending says what is in it, also before it is in its place.
        let ending = place.extension().map(|ending| format!(".{}", ending.to_string_lossy())).unwrap_or_default();
        let file = builder().suffix(&ending).tempfile_in(folder)?;
        Ok(Pending { file, path: place, shown: path.to_path_buf() })
    }

    /// Where it is until it is committed.
    pub fn temporary(&self) -> &Path {
        self.file.path()
    }

    /// An error about this file.
    pub fn error(&self, message: String) -> FileError {
        FileError { code: E0802, message, path: self.shown.clone() }
    }

    /// Gives the file its size; what is not written is zero.
    pub fn set_size(&mut self, size: u64) -> Result<(), FileError> {
        self.file.as_file().set_len(size).map_err(|error| unwritable(&self.shown, &error))
    }

    /// Writes at a position.
    pub fn write_at(&mut self, position: u64, bytes: &[u8]) -> Result<(), FileError> {
        let written = self.file.seek(io::SeekFrom::Start(position)).and_then(|_| self.file.write_all(bytes));
        written.map_err(|error| unwritable(&self.shown, &error))
    }

    /// Brings everything to the disk.
    pub fn sync(&mut self) -> Result<(), FileError> {
        self.file.as_file().sync_all().map_err(|error| unwritable(&self.shown, &error))
    }

    /// Puts the file in its place.
    pub fn commit(self) -> Result<(), FileError> {
        let shown = self.shown.clone();
        self.finish().map_err(|error| unwritable(&shown, &error))
    }

    fn finish(self) -> io::Result<()> {
        if let Ok(existing) = fs::metadata(&self.path) {
            self.file.as_file().set_permissions(existing.permissions())?;
        }
        self.file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}

fn unwritable(path: &Path, error: &io::Error) -> FileError {
    let message = format!("cannot be written: {}", reason(error));
    FileError { code: E0802, message, path: path.to_path_buf() }
}

/// Temporary files are private by default; results are as readable as any new file.
fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tritonc-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_appear_whole_with_their_folders_and_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a/b");
        let artifacts = [Artifact::new("mlp.py", "one"), Artifact::new("tensors/w.bin", vec![0u8, 1])];
        let paths = write_all(&out, &artifacts).unwrap();
        assert_eq!(paths, [out.join("mlp.py"), out.join("tensors/w.bin")]);
        write_atomic(&paths[0], b"two").unwrap();
        assert_eq!(fs::read(&paths[0]).unwrap(), b"two");
        let mut names: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["mlp.py", "tensors"]);
    }

    #[test]
    fn failures_name_the_path_and_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_atomic(folder.path(), b"").unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (E0802, "cannot be written: it is a folder"));
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = write_atomic(&file.join("below"), b"").unwrap_err();
        assert!(error.message.starts_with("cannot be written: "), "{error}");
        assert_eq!(error.path, file.join("below"));
        assert!(write_all(folder.path(), &[Artifact::new("../escape", "")]).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn links_are_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write_atomic(&link, b"new").unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
