//! Targets of exports: a new file or an empty folder, on this machine or in a bucket.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt};
use tempfile::TempDir;

use super::Exports;
use super::uploads::Uploads;
use crate::error::{Error, Result};
use crate::source::{Access, Folder, bucket_error};

/// The store that files are written to, whatever it is, under a URL that no session has otherwise.
pub(super) const STORE: &str = "export://target";

/// The name of the only file, in [`STORE`].
const FILE: &str = "file";

/// A place to write to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    typed: String,
    /// The same; a folder ends in `/`.
    path: String,
}

impl Target {
    /// Parses a target. One that ends in `/`, has no ending or is a folder already, is a folder; every
    /// other is a file.
    ///
    /// # Errors
    /// Query, for URLs other than of S3, and for a file that would have partitions.
    pub(super) fn parse(typed: &str, has_partitions: bool) -> Result<Self> {
        let is_bucket = typed.starts_with("s3://");
        if typed.is_empty() || (typed.contains("://") && !is_bucket) {
            return Err(Error::query(format!(
                "COPY cannot write to '{typed}'; expected a path such as 'x/' or 'x.parquet', or \
                 's3://bucket/prefix/'"
            )));
        }
        let rest = typed.strip_prefix("s3://").unwrap_or(typed);
        let is_folder = typed.ends_with('/')
            || Path::new(rest).extension().is_none()
            || (is_bucket && !rest.contains('/'))
            || (!is_bucket && Path::new(typed).is_dir());
        if has_partitions && !is_folder {
            return Err(Error::query(format!(
                "PARTITIONED BY makes folders, and '{typed}' is a file; write '{typed}/' for a folder of \
                 this name"
            )));
        }
        let path = match is_folder {
            true => format!("{}/", typed.trim_end_matches('/')),
            false => typed.to_owned(),
        };
        Ok(Self {
            typed: typed.to_owned(),
            path,
        })
    }

    /// Returns the target as it was typed.
    pub(super) fn typed(&self) -> &str {
        &self.typed
    }

    /// Returns the path or URL, with `/` at its end if it is a folder.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Returns the URL by which the engine writes to the store of a [`Destination`].
    pub(super) fn url_in_store(&self) -> String {
        match self.is_file() {
            // The ending makes it a file for the engine.
            true => format!("{STORE}/{FILE}.out"),
            false => format!("{STORE}/"),
        }
    }

    fn is_file(&self) -> bool {
        !self.path.ends_with('/')
    }

    fn is_bucket(&self) -> bool {
        self.path.starts_with("s3://")
    }

    /// Checks that nothing is there.
    ///
    /// # Errors
    /// Query, if something is; those of asking a bucket.
    pub(super) async fn check(&self, exports: &Exports) -> Result<()> {
        match self.is_bucket() {
            true => self.check_bucket(exports).await,
            false => self.check_local(),
        }
    }

    fn check_local(&self) -> Result<()> {
        let Ok(metadata) = fs::symlink_metadata(self.path.trim_end_matches('/')) else {
            return Ok(());
        };
        // Links are followed, as the shell does; a broken one is in the way.
        let metadata = fs::metadata(&self.path).unwrap_or(metadata);
        if self.is_file() || !metadata.is_dir() {
            return Err(self.is_there("a file"));
        }
        let mut entries = fs::read_dir(&self.path).map_err(|error| self.cannot_write(&error))?;
        match entries.next() {
            None => Ok(()),
            Some(_) => Err(self.is_there("a folder with files in it")),
        }
    }

    async fn check_bucket(&self, exports: &Exports) -> Result<()> {
        let (store, key) = self.bucket(exports).await?;
        if self.is_file() {
            return match store.head(&key).await {
                Ok(_) => Err(self.is_there("an object")),
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(bucket_error(error, Access::Read, &self.typed)),
            };
        }
        match store.list(Some(&key)).try_next().await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(self.is_there("a prefix with objects")),
            Err(error) => Err(bucket_error(error, Access::List, &self.typed)),
        }
    }

    async fn bucket(
        &self,
        exports: &Exports,
    ) -> Result<(Arc<dyn ObjectStore>, object_store::path::Path)> {
        match exports.sources.folder(&self.path).await? {
            Folder::Bucket { store, prefix } => {
                let key = object_store::path::Path::parse(&prefix).map_err(|error| {
                    Error::query(format!(
                        "'{}' cannot be the key of an object: {error}",
                        self.typed
                    ))
                })?;
                Ok((store, key))
            }
            Folder::Local(_) => Err(Error::bug("a bucket was taken for a folder")),
        }
    }

    /// Opens the store that files are written to before they appear.
    ///
    /// # Errors
    /// As of [`Target::check`]; Io, if no folder can be made.
    pub(super) async fn open(&self, exports: &Exports) -> Result<Destination> {
        self.check(exports).await?;
        if self.is_bucket() {
            let (store, key) = self.bucket(exports).await?;
            return Ok(Destination::Bucket {
                uploads: Arc::new(Uploads::new(store, key, self.is_file())),
                target: self.clone(),
            });
        }
        let staged = Staged::create(self, exports).map_err(|error| self.cannot_write(&error))?;
        let files = LocalFileSystem::new_with_prefix(staged.folder.path())
            .map_err(|error| Error::io(format!("cannot write to {}: {error}", self.typed)))?;
        Ok(Destination::Local {
            files: Arc::new(files),
            staged,
            target: self.clone(),
        })
    }

    fn is_there(&self, found: &str) -> Error {
        let target = &self.typed;
        Error::query(format!(
            "'{target}' is there already, {found}; COPY overwrites nothing: remove it, or write to \
             another place"
        ))
    }

    fn cannot_write(&self, error: &io::Error) -> Error {
        Error::io(format!("cannot write to {}: {error}", self.typed))
    }
}

/// The store of an export that is being written, and the way to its target.
#[derive(Debug)]
pub(super) enum Destination {
    /// Files in a folder beside the target.
    Local {
        files: Arc<LocalFileSystem>,
        staged: Staged,
        target: Target,
    },
    /// Uploads to a bucket.
    Bucket {
        uploads: Arc<Uploads>,
        target: Target,
    },
}

impl Destination {
    /// Returns the store to write to.
    pub(super) fn store(&self) -> Arc<dyn ObjectStore> {
        match self {
            Self::Local { files, .. } => Arc::clone(files) as _,
            Self::Bucket { uploads, .. } => Arc::clone(uploads) as _,
        }
    }

    /// Puts all files in their place; returns their number.
    ///
    /// # Errors
    /// Query, if something has come there since; those of writing.
    pub(super) async fn commit(self) -> Result<u64> {
        match self {
            Self::Local { staged, target, .. } => {
                target.check_local()?;
                staged
                    .commit(&target)
                    .map_err(|error| target.cannot_write(&error))
            }
            Self::Bucket { uploads, target } => {
                let completed = uploads.complete().await;
                completed.map_err(|error| bucket_error(error, Access::Write, &target.typed))
            }
        }
    }

    /// Removes what was written.
    pub(super) async fn abort(self) {
        match self {
            // Dropping removes it.
            Self::Local { .. } => {}
            Self::Bucket { uploads, .. } => uploads.abort().await,
        }
    }
}

/// A folder beside a target, removed unless it takes the target's place.
#[derive(Debug)]
pub(super) struct Staged {
    folder: TempDir,
    /// Dropped after the folder, which is in them.
    parents: MadeParents,
}

impl Staged {
    fn create(target: &Target, exports: &Exports) -> io::Result<Self> {
        let path = target.place();
        let parent = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let parents = MadeParents::create(parent)?;
        Ok(Self {
            folder: (exports.make_folder)(parent)?,
            parents,
        })
    }

    fn commit(self, target: &Target) -> io::Result<u64> {
        let Self {
            folder,
            mut parents,
        } = self;
        let place = target.place();
        let files = count_files(folder.path())?;
        match target.is_file() {
            true => publish_file(folder.path(), &place)?,
            false => {
                // An empty folder is replaced.
                fs::rename(folder.path(), &place)?;
                let _ = folder.keep();
            }
        }
        parents.0.clear();
        Ok(files)
    }
}

impl Target {
    /// Returns the path on this machine, without links if it is there.
    fn place(&self) -> PathBuf {
        let path = PathBuf::from(self.path.trim_end_matches('/'));
        fs::canonicalize(&path).unwrap_or(path)
    }
}

/// Moves the only file in `folder` to `place`, where none may be.
fn publish_file(folder: &Path, place: &Path) -> io::Result<()> {
    let file = folder.join(format!("{FILE}.out"));
    match fs::hard_link(&file, place) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // Not every file system has links.
        Err(_) => fs::rename(&file, place),
    }
}

fn count_files(folder: &Path) -> io::Result<u64> {
    let mut files = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files += match entry.file_type()?.is_dir() {
            true => count_files(&entry.path())?,
            false => 1,
        };
    }
    Ok(files)
}

/// Folders that were made on the way to a target, removed again unless they are needed.
#[derive(Debug)]
struct MadeParents(Vec<PathBuf>);

impl MadeParents {
    fn create(folder: &Path) -> io::Result<Self> {
        let missing = folder.ancestors().take_while(|it| {
            // The last ancestor of a relative path is empty.
            **it != *Path::new("") && !it.exists()
        });
        let missing = missing.map(Path::to_owned).collect();
        fs::create_dir_all(folder)?;
        Ok(Self(missing))
    }
}

impl Drop for MadeParents {
    fn drop(&mut self) {
        for folder in &self.0 {
            // Fails if somebody else has put something in it.
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_told_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("x.y");
        fs::create_dir(&there).unwrap();
        let there = there.to_str().unwrap();
        for (typed, path) in [
            ("x/", "x/"),
            ("x//", "x/"),
            ("x", "x/"),
            ("x.parquet/", "x.parquet/"),
            ("a.b/x", "a.b/x/"),
            ("x.parquet", "x.parquet"),
            ("s3://b.c", "s3://b.c/"),
            ("s3://b/x", "s3://b/x/"),
            ("s3://b/x.csv", "s3://b/x.csv"),
            (there, &format!("{there}/")),
        ] {
            assert_eq!(Target::parse(typed, false).unwrap().path(), path);
        }
        for (typed, has_partitions) in [("", false), ("https://x/y.csv", false), ("x.csv", true)] {
            assert!(Target::parse(typed, has_partitions).is_err(), "{typed}");
        }
    }

    #[test]
    fn parents_that_are_not_needed_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        drop(MadeParents::create(&path).unwrap());
        assert!(!folder.path().join("a").exists());
        fs::create_dir(folder.path().join("a")).unwrap();
        let mut made = MadeParents::create(&path).unwrap();
        made.0.clear();
        drop(made);
        assert!(path.is_dir());
    }
}
