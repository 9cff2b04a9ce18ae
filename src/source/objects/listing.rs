//! Listing: one stream of objects over all locations, in the order they were given and by name
//! within each.

use std::collections::HashSet;
use std::hash::Hash;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{self, BoxStream, StreamExt};
use object_store::ObjectStore;
use siphasher::sip128::{Hasher128, SipHasher13};

use url::Url;

use super::key::{KeyFilter, TrailKey};
use super::local;
use super::s3::{self, Buckets};
use crate::checkpoint::Mark;
use crate::error::Error;
use crate::payload::{Known, ObjectVersion};
use crate::source::Location;

/// Something to read.
#[derive(Debug)]
pub(super) struct Object {
    /// The name that users see: the path as typed, joined with the rest, or the `s3://` URL.
    pub origin: Arc<str>,
    /// Bytes as stored; 0 where that is not known before reading.
    pub size_bytes: u64,
    /// The facts about its events that its path or key tells.
    pub key: Option<TrailKey>,
    /// Whether it was named itself, and not found in a folder.
    pub(super) is_named: bool,
    /// Whether the listing that gave it gives all objects of its folder.
    pub(super) is_folder_whole: bool,
    /// Its version; `None` if it has none, or was changed just now.
    pub(super) version: Option<ObjectVersion>,
    /// Its rows, if the consumer knows them.
    pub(super) known: Option<Known>,
    pub(super) handle: Handle,
}

/// The way to an object's bytes.
#[derive(Debug)]
pub(super) enum Handle {
    File {
        path: PathBuf,
        /// The path without links.
        resolved: PathBuf,
    },
    /// A pipe or device: of no size, and opening it may wait for a writer.
    Pipe(PathBuf),
    S3 {
        store: Arc<dyn ObjectStore>,
        path: object_store::path::Path,
        e_tag: Option<String>,
    },
}

/// An outcome of listing.
#[derive(Debug)]
pub(super) enum Listed {
    Object(Object),
    /// Something listed before, under this name or another.
    Again,
    /// A folder that the key filter rules out.
    PrunedFolder,
    /// A file or folder whose name begins with `.` or `_`, below a folder that is read.
    Hidden,
    Unreadable {
        origin: Arc<str>,
        error: Error,
    },
}

/// The objects listed so far, by a hash of 128 bits.
#[derive(Clone, Default)]
pub(in crate::source) struct VisitedPaths(Arc<Mutex<HashSet<u128>>>);

impl VisitedPaths {
    /// Adds a path; returns whether it is new.
    pub(super) fn insert(&self, kind: u8, identity: &(impl Hash + ?Sized)) -> bool {
        let mut hasher = SipHasher13::new();
        kind.hash(&mut hasher);
        identity.hash(&mut hasher);
        let hash = hasher.finish128().as_u128();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(hash)
    }
}

impl Object {
    /// Its version, as a checkpoint keeps it.
    pub(super) fn mark(&self) -> Mark {
        let version = self.version.as_ref();
        Mark::new(self.size_bytes, version.map(|version| &*version.tag))
    }

    /// The folder, as a partition, and the name in it, the same in every process; `None` for what is
    /// neither a file nor an object.
    pub(super) fn identity(&self) -> Option<(String, String)> {
        let url = match &self.handle {
            Handle::File { resolved, .. } => Url::from_file_path(resolved).ok()?.into(),
            Handle::S3 { .. } => self.origin.to_string(),
            Handle::Pipe(_) => return None,
        };
        let (folder, name) = url.rsplit_once('/')?;
        Some((format!("{folder}/"), name.to_owned()))
    }
}

/// Lists `locations`, each outcome with the index of its location.
///
/// Pruned folders and what cannot be listed are part of the stream; objects are not looked at here.
pub(super) fn listing(
    buckets: Arc<Buckets>,
    locations: Vec<Location>,
    keys: KeyFilter,
    visited: VisitedPaths,
) -> BoxStream<'static, (usize, Listed)> {
    let keys = Arc::new(keys);
    // One S3 pattern lists no key twice: remembering millions of them would be for nothing.
    let s3_patterns: usize = locations
        .iter()
        .map(|location| match location {
            Location::S3(place) => place.patterns.len(),
            _ => 0,
        })
        .sum();
    stream::iter(locations.into_iter().enumerate())
        .flat_map(move |(at, location)| {
            let listed = match location {
                Location::Local(place) => local::walk(place, Arc::clone(&keys), visited.clone()),
                Location::S3(place) => {
                    let visited = (s3_patterns > 1).then(|| visited.clone());
                    s3::list(Arc::clone(&buckets), place, Arc::clone(&keys), visited)
                }
                Location::Url(_) => stream::empty().boxed(),
            };
            listed.map(move |listed| (at, listed))
        })
        .boxed()
}
