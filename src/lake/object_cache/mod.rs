//! The object cache: decoded rows of files and objects, kept on this machine for the questions that follow.
//!
//! ```text
//! ~/.cache/auroratrail/objects-0.1.0-5f0c…/
//! ├── lock                            shared by those who use the cache, exclusive to clean up
//! ├── 0017…-4f1e….parquet             a segment: the rows of some objects, one object after the other
//! └── 0017…-4f1e….objects             whose they are: object, version, first row, rows, what else is told
//! ```
//!
//! A segment is a Parquet file as a lake has them, but with its rows in the order in which they were read:
//! so the rows of an object are a range, and a question about some of the objects reads those alone. An
//! object is known by its name, its size and its ETag (of a file: its number and times): one that has
//! changed is another object. What an object gives beside rows (rejects, counts) is kept and told again.
//!
//! **Shared** by processes: a segment is written under a name of its own, then its index; nothing is ever
//! changed. Two processes that read the same objects at once keep them twice for a while.
//!
//! **Bounded.** Segments that were not used for longest go, whenever no other process uses the cache: when a
//! question begins and when it ends. Meanwhile a question may add as much as the whole cache may hold. One
//! that needs more than that is answered without the cache, and remembered.
//!
//! **Safe to delete**, at any time but that of a question. The folder's name has the version of this program
//! and its columns, so that another version begins anew.

mod cleaning;
mod filling;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use siphasher::sip::SipHasher13;

use crate::error::{Error, Result};
use crate::events::columns::catalog;
use crate::pipeline::ObjectNotes;
use crate::private_folder::make_private;
use crate::source::ObjectVersion;
use segment::{KeptPart, Segment};

pub use filling::{Filling, KeptRows, SegmentKeeper};

/// A folder of decoded objects, or the place of one. Nothing is made before it is used.
#[derive(Clone, Debug)]
pub struct ObjectCache {
    folder: PathBuf,
    limit_bytes: u64,
}

/// A cache that is in use: nothing is removed from it meanwhile.
#[derive(Debug)]
pub struct OpenCache {
    folder: PathBuf,
    limit_bytes: u64,
    lock: File,
    segments: Vec<Segment>,
    objects: Objects,
}

/// Objects by name.
type Objects = HashMap<Arc<str>, Vec<(ObjectVersion, Arc<CachedObject>)>>;

/// Rows by the index of their segment, in their order.
type Places = Vec<(usize, Range<u64>)>;

/// An object that is kept.
#[derive(Debug)]
struct CachedObject {
    places: Places,
    notes: ObjectNotes,
}

impl ObjectCache {
    /// A cache in `folder` of at most `limit_bytes`.
    pub fn new(folder: &Path, limit_bytes: u64) -> Self {
        Self {
            folder: folder.join(folder_name()),
            limit_bytes,
        }
    }

    /// The folder of this version's cache.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Begins to use it. Blocks while files are read, and while another process cleans up.
    ///
    /// # Errors
    /// Io, if its files cannot be made or read.
    pub fn open(&self) -> Result<Arc<OpenCache>> {
        let failed = |error: io::Error| self.failed(&error);
        make_private(&self.folder).map_err(failed)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.folder.join(LOCK))
            .map_err(failed)?;
        if lock.try_lock().is_ok() {
            let cleaned = cleaning::clean(&self.folder, self.limit_bytes);
            lock.unlock().map_err(failed)?;
            cleaned?;
        }
        lock.lock_shared().map_err(failed)?;
        // Another version of this program sees by it that the cache is used.
        let _ = lock.set_modified(std::time::SystemTime::now());
        let segments = segment::read_all(&self.folder).map_err(failed)?;
        Ok(Arc::new(OpenCache {
            objects: objects(&segments),
            folder: self.folder.clone(),
            limit_bytes: self.limit_bytes,
            lock,
            segments,
        }))
    }

    /// Returns whether the objects that `key` stands for were lately found to be too many.
    pub fn is_too_small(&self, key: &str) -> bool {
        let path = self.mark(key);
        let limit = fs::read_to_string(&path)
            .ok()
            .and_then(|it| it.parse().ok());
        let is_recent = fs::metadata(&path)
            .and_then(|it| it.modified())
            .is_ok_and(|it| it.elapsed().is_ok_and(|age| age < REMEMBERED));
        is_recent && limit.is_some_and(|limit: u64| limit >= self.limit_bytes)
    }

    /// Remembers that the objects that `key` stands for are too many.
    pub fn set_too_small(&self, key: &str) {
        // It is found out again if this cannot be written.
        let _ = fs::write(self.mark(key), self.limit_bytes.to_string());
    }

    fn mark(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{:016x}.{MARK}", hash(&key)))
    }

    fn failed(&self, error: &io::Error) -> Error {
        let folder = self.folder.display();
        Error::io(format!("the cache {folder} cannot be used: {error}"))
    }
}

impl OpenCache {
    fn find(&self, origin: &str, version: &ObjectVersion) -> Option<&Arc<CachedObject>> {
        let mut versions = self.objects.get(origin)?.iter();
        versions.find(|it| it.0 == *version).map(|it| &it.1)
    }
}

impl Drop for OpenCache {
    fn drop(&mut self) {
        let is_alone = self.lock.unlock().is_ok() && self.lock.try_lock().is_ok();
        if is_alone {
            // The next one to open the cache tries again.
            let _ = cleaning::clean(&self.folder, self.limit_bytes);
        }
    }
}

/// Returns the objects that are whole; of one that is there twice, the newer.
fn objects(segments: &[Segment]) -> Objects {
    let mut objects = Objects::new();
    let mut parts: HashMap<u64, Vec<(u32, usize, &KeptPart)>> = HashMap::new();
    for (number, segment) in segments.iter().enumerate() {
        for part in &segment.parts {
            match &part.notes {
                Some(notes) if part.number == 0 => {
                    let places = vec![(number, part.rows.clone())];
                    insert(&mut objects, part, places, notes);
                }
                _ => {
                    let of_object = parts.entry(part.reading).or_default();
                    of_object.push((part.number, number, part));
                }
            }
        }
    }
    let mut parts: Vec<_> = parts.into_values().collect();
    // The newest reading is last, and stays.
    parts.sort_unstable_by_key(|parts| parts.iter().map(|it| it.1).max());
    for mut parts in parts {
        parts.sort_unstable_by_key(|it| it.0);
        let is_whole = (0..).zip(&parts).all(|(number, part)| part.0 == number);
        if let Some((_, _, last)) = parts.last().filter(|_| is_whole)
            && let Some(notes) = &last.notes
        {
            let places = parts.iter().map(|it| (it.1, it.2.rows.clone()));
            insert(&mut objects, last, places.collect(), notes);
        }
    }
    objects
}

fn insert(objects: &mut Objects, part: &KeptPart, places: Places, notes: &ObjectNotes) {
    let versions = objects.entry(Arc::clone(&part.origin)).or_default();
    versions.retain(|it| it.0 != part.version);
    let notes = notes.clone();
    let object = Arc::new(CachedObject { places, notes });
    versions.push((part.version.clone(), object));
}

/// Returns a name that changes with everything that decides what is kept.
fn folder_name() -> String {
    let columns = catalog().columns().iter();
    let columns: Vec<_> = columns
        .map(|it| (&it.name, it.column_type.data_type()))
        .collect();
    let version = env!("CARGO_PKG_VERSION");
    format!("objects-{version}-{:016x}", hash(&(columns, FORMAT)))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = SipHasher13::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Changed whenever the same objects give other rows.
const FORMAT: u32 = 1;

/// The file that is locked.
const LOCK: &str = "lock";

/// The last part of the names of marks.
const MARK: &str = "too-small";

/// The time for which it is remembered that objects are too many.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3600);
