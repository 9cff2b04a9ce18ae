//! Files that are written beside their name and take it when they are whole.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::{Builder, NamedTempFile, TempDir, TempPath};

use crate::cli::identity::resolve;
use crate::cli::report::why;
use crate::error::{Error, Result};

/// A file that is being written. Until [`Target::commit`], the one of its name stays as it is; if
/// the target is dropped before, nothing remains of it.
#[derive(Debug)]
pub struct Target {
    name: String,
    /// `None` for what is written directly: devices, pipes, files that are added to.
    replacement: Option<Replacement>,
}

/// A temporary file, and the one that it replaces.
#[derive(Debug)]
struct Replacement {
    temporary: TempPath,
    /// The path without links: a link stays one.
    target: PathBuf,
    /// Whether renaming keeps the folder and the owner; else the content is copied.
    may_rename: bool,
}

/// The temporary files and folders of a process, and the way to name them.
#[derive(Clone, Debug, Default)]
pub struct TemporaryFiles {
    paths: Arc<Mutex<Vec<PathBuf>>>,
    /// Whether the names begin with `_`, not with `.`.
    underscored: bool,
}

impl Target {
    /// Opens a temporary file beside `path`, or what is at `path` if that is not a regular file.
    ///
    /// # Errors
    /// Io, if nothing can be created or written there.
    pub fn open(path: &Path, temporary: &TemporaryFiles) -> Result<(Self, File)> {
        let name = path.display().to_string();
        let existing = fs::metadata(path).ok();
        let opened = match &existing {
            Some(metadata) if !metadata.is_file() || is_descriptor(path) => {
                let is_file = metadata.is_file();
                let mut options = OpenOptions::new();
                options.write(true).append(is_file);
                options.open(path).map(|file| (None, file))
            }
            existing => Replacement::create(resolve(path), existing.as_ref(), temporary)
                .map(|(replacement, file)| (Some(replacement), file)),
        };
        let (replacement, file) = opened.map_err(|error| {
            Error::io(format!("cannot create {name}: {}", why(&error))).caused_by(error)
        })?;
        Ok((Self { name, replacement }, file))
    }

    /// Opens the file at `path`, made if it is not there, to add to what is in it. What is written is there at
    /// once, and stays whatever becomes of the process.
    ///
    /// # Errors
    /// Io, if nothing can be created or written there.
    pub fn append(path: &Path) -> Result<(Self, File)> {
        let name = path.display().to_string();
        let opened = OpenOptions::new().create(true).append(true).open(path);
        let file = opened.map_err(|error| {
            Error::io(format!("cannot write to {name}: {}", why(&error))).caused_by(error)
        })?;
        let replacement = None;
        Ok((Self { name, replacement }, file))
    }

    /// Puts the written file, closed by now, in the place of the former one.
    ///
    /// # Errors
    /// Io, if it can be neither renamed nor copied.
    pub fn commit(self) -> Result<()> {
        let Self { name, replacement } = self;
        replacement
            .map_or(Ok(()), |it| it.commit())
            .map_err(|error| {
                Error::io(format!("cannot write to {name}: {}", why(&error))).caused_by(error)
            })
    }
}

impl Replacement {
    fn create(
        target: PathBuf,
        existing: Option<&Metadata>,
        temporary: &TemporaryFiles,
    ) -> io::Result<(Self, File)> {
        if existing.is_some() {
            // Fails for a file that may not be written; nothing is changed.
            OpenOptions::new().write(true).open(&target)?;
        }
        let folder = target.parent().unwrap_or_else(|| Path::new("."));
        let beside = temporary.create(|builder| builder.tempfile_in(folder));
        let (made, is_beside) = match beside {
            // A folder that may not be written, with a file in it that may.
            Err(_) if existing.is_some() => {
                (temporary.create(|builder| builder.tempfile())?, false)
            }
            beside => (beside?, true),
        };
        let (file, temporary) = made.into_parts();
        let keeps_owner = match existing {
            Some(metadata) => {
                let keeps_owner = keep_owner(&file, metadata);
                file.set_permissions(metadata.permissions())?;
                keeps_owner
            }
            None => true,
        };
        let replacement = Self {
            temporary,
            target,
            may_rename: is_beside && keeps_owner,
        };
        Ok((replacement, file))
    }

    fn commit(self) -> io::Result<()> {
        let temporary = match self.may_rename {
            true => match self.temporary.persist(&self.target) {
                Ok(()) => return Ok(()),
                // A file that is mounted by itself can be written and not replaced.
                Err(error) => error.path,
            },
            false => self.temporary,
        };
        let mut written = File::open(&temporary)?;
        io::copy(&mut written, &mut File::create(&self.target)?)?;
        Ok(())
    }
}

impl TemporaryFiles {
    /// Returns the same files, with names that begin with `_` from now on.
    #[must_use]
    pub fn underscored(&self) -> Self {
        Self {
            paths: Arc::clone(&self.paths),
            underscored: true,
        }
    }

    /// Removes all that are left, for a process that is about to end.
    pub fn remove(&self) {
        let paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        for path in paths.iter() {
            // One that has taken its place is not there any more.
            let _ = match path.is_dir() {
                true => fs::remove_dir_all(path),
                false => fs::remove_file(path),
            };
        }
    }

    /// Makes a folder in `parent`, for files that take their place later.
    ///
    /// # Errors
    /// If none can be made there.
    pub fn create_folder(&self, parent: &Path) -> io::Result<TempDir> {
        let mut builder = self.builder();
        if let Some(permissions) = permissions(0o777) {
            builder.permissions(permissions);
        }
        let made = builder.tempdir_in(parent)?;
        self.add(made.path());
        Ok(made)
    }

    fn create(
        &self,
        make: impl FnOnce(&Builder<'_, '_>) -> io::Result<NamedTempFile>,
    ) -> io::Result<NamedTempFile> {
        let mut builder = self.builder();
        if let Some(permissions) = permissions(0o666) {
            builder.permissions(permissions);
        }
        let made = make(&builder)?;
        self.add(made.path());
        Ok(made)
    }

    fn builder(&self) -> Builder<'static, 'static> {
        let mut builder = Builder::new();
        builder.prefix(match self.underscored {
            true => "_auroratrail-",
            false => ".auroratrail-",
        });
        builder
    }

    fn add(&self, path: &Path) {
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        paths.push(path.to_owned());
    }
}

/// Returns whether `path` names a handle of a process, whose file is not to be exchanged.
pub(super) fn is_descriptor(path: &Path) -> bool {
    path.starts_with("/dev/fd") || path.starts_with("/proc") || path == Path::new("/dev/stderr")
}

/// Returns the permissions that a new file or folder is created with, less the user's mask.
#[cfg(unix)]
fn permissions(mode: u32) -> Option<Permissions> {
    use std::os::unix::fs::PermissionsExt;
    Some(Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn permissions(_: u32) -> Option<Permissions> {
    None
}

/// Gives `file` the owner and group of `existing`; returns whether it has them.
#[cfg(unix)]
fn keep_owner(file: &File, existing: &Metadata) -> bool {
    use std::os::unix::fs::{MetadataExt, fchown};
    let owner = |metadata: &Metadata| (metadata.uid(), metadata.gid());
    file.metadata()
        .is_ok_and(|it| owner(&it) == owner(existing))
        || fchown(file, Some(existing.uid()), Some(existing.gid())).is_ok()
}

#[cfg(not(unix))]
fn keep_owner(_: &File, _: &Metadata) -> bool {
    true
}
