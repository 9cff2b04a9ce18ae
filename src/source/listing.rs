//! What there is to read: one stream of objects over all locations, in the order they were given
//! and by name within each.

use std::collections::HashSet;
use std::hash::Hash;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{self, BoxStream, StreamExt};
use object_store::ObjectStore;
use siphasher::sip128::{Hasher128, SipHasher13};

use super::key::{TrailKey, Wanted};
use super::location::Location;
use super::s3::Buckets;
use super::{local, s3};

/// Something to read.
#[derive(Debug)]
pub struct Object {
    /// What users see: the path as typed, joined with the rest, or the `s3://` URL.
    pub origin: Arc<str>,
    /// Bytes as stored; 0 where that is not known before reading.
    pub size_bytes: u64,
    /// What the path or key says about the events in it.
    pub key: Option<TrailKey>,
    pub(super) handle: Handle,
}

/// How to get at an object.
#[derive(Debug)]
pub(super) enum Handle {
    Stdin,
    /// The query of a `sample:` location.
    Sample(String),
    File(PathBuf),
    /// A pipe or device: of no size, and opening it may wait for a writer.
    Pipe(PathBuf),
    S3 {
        store: Arc<dyn ObjectStore>,
        path: object_store::path::Path,
        e_tag: Option<String>,
    },
}

/// What listing comes upon.
#[derive(Debug)]
pub(super) enum Found {
    Object(Object),
    /// Something listed before, under this name or another.
    Again,
    /// A folder whose key says that nothing wanted is in it.
    PrunedFolder,
    Unreadable {
        origin: Arc<str>,
        detail: String,
    },
}

/// The objects seen so far, by a hash of 128 bits.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<HashSet<u128>>>);

impl Seen {
    /// Notes a thing, and says whether it is new.
    pub(super) fn insert(&self, kind: u8, identity: &(impl Hash + ?Sized)) -> bool {
        let mut hasher = SipHasher13::new();
        kind.hash(&mut hasher);
        identity.hash(&mut hasher);
        let hash = hasher.finish128().as_u128();
        // A set is whole between two inserts, whoever panicked.
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(hash)
    }
}

/// What is at `locations`, with the place of the location in the slice.
///
/// Pruned folders and what cannot be listed are part of the stream; pruned objects are not looked
/// for here.
pub(super) fn listing(
    buckets: Arc<Buckets>,
    locations: Vec<Location>,
    wanted: Wanted,
) -> BoxStream<'static, (usize, Found)> {
    let wanted = Arc::new(wanted);
    let seen = Seen::default();
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
            let found = match location {
                Location::Stdin => alone("-", Handle::Stdin),
                Location::Sample(query) => alone("sample:", Handle::Sample(query)),
                Location::Local(place) => local::walk(place, Arc::clone(&wanted), seen.clone()),
                Location::S3(place) => {
                    let seen = (s3_patterns > 1).then(|| seen.clone());
                    s3::list(Arc::clone(&buckets), place, Arc::clone(&wanted), seen)
                }
            };
            found.map(move |found| (at, found))
        })
        .boxed()
}

fn alone(origin: &str, handle: Handle) -> BoxStream<'static, Found> {
    let object = Object {
        origin: origin.into(),
        size_bytes: 0,
        key: None,
        handle,
    };
    stream::iter([Found::Object(object)]).boxed()
}
