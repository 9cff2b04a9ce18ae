//! Lists files and folders of this machine.

use std::ffi::{OsStr, OsString};
use std::fs::{self, FileType, Metadata};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::mpsc;

use super::key::{KeyFilter, TrailKey};
use super::listing::{Handle, Listed, Object, VisitedPaths};
use super::pattern::{Pattern, Progress};
use crate::error::Error;
use crate::payload::ObjectVersion;
use crate::reject::why;
use crate::source::Local;

/// Lists what is at `place`, sorted by name within each folder. Runs within a tokio runtime.
pub(super) fn walk(
    place: Local,
    wanted: Arc<KeyFilter>,
    seen: VisitedPaths,
) -> BoxStream<'static, Listed> {
    let start = move || {
        let (found, listed) = mpsc::channel(AHEAD);
        tokio::task::spawn_blocking(move || {
            for pattern in &place.patterns {
                let mut walk = Walk {
                    pattern,
                    typed: &place.typed,
                    wanted: &wanted,
                    seen: &seen,
                    found: &found,
                    ancestors: Vec::new(),
                };
                if walk.base().is_break() {
                    break;
                }
            }
        });
        listed
    };
    // Nothing is looked at before this location's turn.
    stream::once(async move { start() })
        .flat_map(|mut listed| stream::poll_fn(move |context| listed.poll_recv(context)))
        .boxed()
}

/// Translates an I/O error into ours, in words for people.
pub(super) fn translate(error: io::Error) -> Error {
    let message = match error.kind() {
        io::ErrorKind::NotFound => "it is gone, or a link to nothing".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "permission denied: run as a user who may read it".to_owned()
        }
        io::ErrorKind::IsADirectory => "it is a folder now".to_owned(),
        _ => why(&error),
    };
    Error::io(message).caused_by(error)
}

struct Walk<'a> {
    pattern: &'a Pattern,
    typed: &'a str,
    wanted: &'a KeyFilter,
    seen: &'a VisitedPaths,
    found: &'a mpsc::Sender<Listed>,
    /// The folders above, resolved: a link back to one of them is a loop.
    ancestors: Vec<PathBuf>,
}

/// An entry of a folder, links followed.
struct Entry {
    name: OsString,
    is_folder: bool,
    is_link: bool,
    /// `None` for what is neither file nor folder.
    size_bytes: Option<u64>,
    version: Option<ObjectVersion>,
}

impl Walk<'_> {
    fn base(&mut self) -> ControlFlow<()> {
        let origin = self.pattern.base.as_str();
        let path = match origin {
            "" => Path::new("."),
            origin => Path::new(origin),
        };
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if fs::symlink_metadata(path).is_err() && is_absent(&error) => {
                return ControlFlow::Continue(());
            }
            Err(error) => return self.unreadable(origin, error),
        };
        if metadata.is_dir() {
            self.folder(path, origin, self.pattern.start())
        } else if self.pattern.is_literal() && !self.pattern.is_folder() {
            self.named(path, &metadata)
        } else {
            ControlFlow::Continue(())
        }
    }

    /// A file, pipe or device that was named itself.
    fn named(&self, path: &Path, metadata: &Metadata) -> ControlFlow<()> {
        // What a shell makes of `<(command)` resolves to no path, and is only itself.
        let resolved = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if !self.seen.insert(FILE, &resolved) {
            return self.send(Listed::Again);
        }
        let is_file = metadata.is_file();
        self.send(Listed::Object(Object {
            origin: self.typed.into(),
            size_bytes: if is_file { metadata.len() } else { 0 },
            key: TrailKey::of_object(self.typed),
            is_named: true,
            is_folder_whole: false,
            version: is_file.then(|| settled_version(metadata)).flatten(),
            known: None,
            handle: if is_file {
                let path = path.to_owned();
                Handle::File { path, resolved }
            } else {
                Handle::Pipe(path.to_owned())
            },
        }))
    }

    fn folder(&mut self, path: &Path, origin: &str, progress: Progress) -> ControlFlow<()> {
        let key = TrailKey::of_folder(origin);
        if key.is_some_and(|key| !self.wanted.reaches(&key)) {
            return self.send(Listed::PrunedFolder);
        }
        let resolved = match fs::canonicalize(path) {
            Ok(resolved) => resolved,
            Err(error) => return self.unreadable(origin, error),
        };
        if self.ancestors.contains(&resolved) {
            return ControlFlow::Continue(());
        }
        if self.pattern.takes_all(progress) && !self.seen.insert(FOLDER, &resolved) {
            return self.send(Listed::Again);
        }
        self.ancestors.push(resolved);
        let flow = match self.entries(path, progress) {
            Ok(entries) => self.each(path, origin, progress, entries),
            Err(error) => self.unreadable(origin, error),
        };
        self.ancestors.pop();
        flow
    }

    fn each(
        &mut self,
        path: &Path,
        origin: &str,
        progress: Progress,
        entries: Vec<Entry>,
    ) -> ControlFlow<()> {
        for entry in entries {
            if self.found.is_closed() {
                return ControlFlow::Break(());
            }
            let path = path.join(&entry.name);
            let origin = joined(origin, &entry.name);
            if entry.is_folder {
                let progress = self.pattern.enter(progress, &entry.name);
                self.folder(&path, &origin, progress)?;
            } else {
                self.file(path, origin, &entry, progress)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn file(
        &self,
        path: PathBuf,
        origin: String,
        entry: &Entry,
        progress: Progress,
    ) -> ControlFlow<()> {
        let Some(size_bytes) = entry.size_bytes else {
            return ControlFlow::Continue(());
        };
        let resolved = match self.ancestors.last() {
            Some(folder) if !entry.is_link => folder.join(&entry.name),
            _ => fs::canonicalize(&path).unwrap_or_else(|_| path.clone()),
        };
        if !self.seen.insert(FILE, &resolved) {
            return self.send(Listed::Again);
        }
        let key = TrailKey::of_object(&origin);
        self.send(Listed::Object(Object {
            origin: origin.into(),
            size_bytes,
            key,
            is_named: false,
            // What a link leads to is in another folder.
            is_folder_whole: self.pattern.takes_all(progress) && !entry.is_link,
            version: entry.version.clone(),
            known: None,
            handle: Handle::File { path, resolved },
        }))
    }

    /// Lists the entries of a folder that the pattern leads to, in the order of object stores.
    fn entries(&self, path: &Path, progress: Progress) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name();
            if self.pattern.enter(progress, &name).is_empty() {
                if self.pattern.hides(progress, &name) && self.send(Listed::Hidden).is_break() {
                    break;
                }
                continue;
            }
            let listed = Entry::of(name, entry.file_type()?, &entry.path(), || entry.metadata());
            if listed.is_folder || self.pattern.takes_file(progress, &listed.name) {
                entries.push(listed);
            }
        }
        entries.sort_by(|a, b| a.sort_key().cmp(b.sort_key()));
        Ok(entries)
    }

    fn unreadable(&self, origin: &str, error: io::Error) -> ControlFlow<()> {
        self.send(Listed::Unreadable {
            origin: if origin.is_empty() { "." } else { origin }.into(),
            error: translate(error),
        })
    }

    /// Breaks when nobody wants to know any more.
    fn send(&self, found: Listed) -> ControlFlow<()> {
        match self.found.blocking_send(found) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

impl Entry {
    fn of(
        name: OsString,
        kind: FileType,
        path: &Path,
        metadata: impl Fn() -> io::Result<Metadata>,
    ) -> Self {
        let is_link = kind.is_symlink();
        let metadata = if is_link {
            fs::metadata(path)
        } else {
            metadata()
        };
        let is_folder = match &metadata {
            Ok(metadata) => metadata.is_dir(),
            Err(_) => kind.is_dir(),
        };
        let size_bytes = match &metadata {
            Ok(metadata) => metadata.is_file().then_some(metadata.len()),
            // Reading it will fail, and say why.
            Err(_) => Some(0),
        };
        Self {
            name,
            is_folder,
            is_link,
            size_bytes,
            version: metadata.ok().as_ref().and_then(settled_version),
        }
    }

    fn sort_key(&self) -> impl Iterator<Item = u8> {
        let slash = self.is_folder.then_some(b'/');
        self.name.as_encoded_bytes().iter().copied().chain(slash)
    }
}

/// Returns the version of a file, unless it was changed so lately that a further change could leave its
/// times as they are.
fn settled_version(metadata: &Metadata) -> Option<ObjectVersion> {
    let modified = metadata.modified().ok()?;
    let changed = changed(metadata).unwrap_or(modified);
    let age = SystemTime::now().duration_since(changed.max(modified));
    (metadata.is_file() && age.ok()? >= SETTLED).then(|| file_version(metadata))
}

/// Returns the version of a file by its size, number and times.
pub(super) fn file_version(metadata: &Metadata) -> ObjectVersion {
    let modified = metadata.modified().ok();
    let nanos = |time: Option<SystemTime>| {
        let since = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        since.unwrap_or_default().as_nanos()
    };
    let (modified, changed) = (nanos(modified), nanos(changed(metadata)));
    ObjectVersion {
        size_bytes: metadata.len(),
        tag: format!("{} {modified} {changed}", number(metadata)).into(),
    }
}

/// Returns the time of the last change of a file or its attributes, which no program can set.
#[cfg(unix)]
fn changed(metadata: &Metadata) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt;
    let seconds = Duration::from_secs(metadata.ctime().try_into().ok()?);
    let nanos = Duration::from_nanos(metadata.ctime_nsec().try_into().ok()?);
    SystemTime::UNIX_EPOCH.checked_add(seconds + nanos)
}

/// Returns the number of a file in its file system.
#[cfg(unix)]
fn number(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn changed(_: &Metadata) -> Option<SystemTime> {
    None
}

#[cfg(not(unix))]
fn number(_: &Metadata) -> u64 {
    0
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput
    )
}

fn joined(folder: &str, name: &OsStr) -> String {
    let name = name.to_string_lossy();
    match folder {
        "" => name.into_owned(),
        folder if folder.ends_with('/') => format!("{folder}{name}"),
        folder => format!("{folder}/{name}"),
    }
}

/// Objects that the walk may be ahead of their consumer.
const AHEAD: usize = 1024;
/// The age at which a file's times tell it from any later content: clocks of file systems tick every
/// few milliseconds.
const SETTLED: Duration = Duration::from_millis(50);
/// Kinds of what was seen.
const FILE: u8 = 1;
const FOLDER: u8 = 2;
