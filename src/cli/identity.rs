//! Identities of files: two names may mean the same one.

use std::fs::{self, File, Metadata};
use std::path::{Path, PathBuf};

/// A file, by the same value under each of its names.
#[derive(Debug)]
pub(super) struct FileIdentity {
    /// The path without links, if it is known.
    path: Option<PathBuf>,
    /// Device and inode of an existing file, where the system has them.
    inode: Option<(u64, u64)>,
}

impl FileIdentity {
    /// Identifies the file at `path`, or the one that would be created there.
    ///
    /// Returns `None` for devices, such as terminals, which can be read and written at a time.
    pub(super) fn of_path(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok();
        if metadata.as_ref().is_some_and(is_device) {
            return None;
        }
        Some(Self {
            path: Some(resolve(path)),
            inode: metadata.as_ref().and_then(inode),
        })
    }

    /// Identifies an open file; `None` unless it is a regular one.
    pub(super) fn of_open(file: &File) -> Option<Self> {
        let metadata = file.metadata().ok().filter(Metadata::is_file)?;
        Some(Self {
            path: None,
            inode: inode(&metadata),
        })
    }

    /// Returns whether both are the same file.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self.inode, other.inode) {
            (Some(inode), Some(other)) => inode == other,
            _ => self.path.is_some() && self.path == other.path,
        }
    }

    /// Returns whether `path` leads to this file, which exists.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        match self.inode {
            Some(identity) => fs::metadata(path).is_ok_and(|it| inode(&it) == Some(identity)),
            None => self.path.as_deref() == Some(&resolve(path)),
        }
    }

    /// Returns whether the file exists.
    pub(super) fn exists(&self) -> bool {
        self.inode.is_some() || self.path.as_deref().is_some_and(Path::exists)
    }
}

/// Follows links, also one to a file that does not exist yet.
pub(super) fn resolve(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        if let Ok(resolved) = fs::canonicalize(&path) {
            return resolved;
        }
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        path = match (fs::read_link(&path), path.file_name()) {
            (Ok(next), _) => folder.join(next),
            (Err(_), Some(name)) => return folder.join(name),
            (Err(_), None) => return path,
        };
    }
    path
}

/// Links that lead to one another before they count as a loop, as on Linux.
const MAX_LINKS: usize = 40;

#[cfg(unix)]
fn is_device(metadata: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    metadata.file_type().is_char_device()
}

#[cfg(not(unix))]
fn is_device(_: &Metadata) -> bool {
    false
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> Option<(u64, u64)> {
    None
}

/// Duplicates the handle of a standard stream as a file.
#[cfg(unix)]
pub(super) fn as_file(stream: impl std::os::fd::AsFd) -> Option<File> {
    stream.as_fd().try_clone_to_owned().ok().map(File::from)
}

/// Returns `None`: standard streams are not identified here.
#[cfg(not(unix))]
pub(super) fn as_file<S>(_: S) -> Option<File> {
    None
}
