//! Decoded columns that are kept, so that a second question about them reads nothing.
//!
//! The unit is an object in one version: a file or object of S3 that has changed since is read again.
//! Rows that damage left out would have to be told again, so that objects with rejects are not kept.
//!
//! Columns that were not used for longest make room for others. A scan whose columns do not fit as a
//! whole stops filling the cache, and so does the next one like it: else each would evict what the
//! other needs.
//!
//! A file is of the version that its listing saw, which is compared once its bytes are read. Of a file
//! above 8 MB that is done as its reading begins: rows written after that are kept under the version
//! before them, and are used by no scan but those that had listed that version. Times of network file
//! systems may be too coarse to tell two writes of the same size within a second.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::pipeline::{DecodedColumn, DecodedObject, ObjectCounts, ObjectRecorder};
use crate::source::{KeyFilter, Known, KnownObjects, Location, ObjectVersion};

/// Bytes of an object's entry, beside its name and columns, about.
const OBJECT_BYTES: usize = 400;

/// Bytes of a column's entry, beside its arrays, about.
const COLUMN_BYTES: usize = 100;

/// Scans that did not fit and are remembered.
const MOST_TOO_LARGE: usize = 64;

/// The use that is made of a session's cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheUsage {
    /// Bytes of the columns that are kept.
    pub held_bytes: usize,
    /// Objects with columns that are kept.
    pub objects: usize,
    /// The most bytes that are kept.
    pub limit_bytes: usize,
}

/// Columns of objects, shared by the tables of a session.
#[derive(Debug)]
pub(super) struct ColumnCache {
    limit_bytes: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    objects: HashMap<Arc<str>, CachedObject>,
    /// Objects by the last uses of their columns, numbers that grow.
    by_use: BTreeMap<u64, Arc<str>>,
    uses: u64,
    held_bytes: usize,
    /// Bytes of objects that are being decoded.
    reserved_bytes: usize,
    too_large: Vec<ScanKey>,
}

#[derive(Debug)]
struct CachedObject {
    version: ObjectVersion,
    rows: usize,
    counts: ObjectCounts,
    columns: HashMap<usize, CachedColumn>,
    /// The number of its last use; those of its columns are not larger.
    last_use: u64,
}

#[derive(Debug)]
struct CachedColumn {
    decoded: DecodedColumn,
    last_use: u64,
}

/// The facts about a scan that decide how much it decodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScanKey {
    locations: Vec<String>,
    columns: BTreeSet<usize>,
    /// The condition on objects' keys; empty if there is none.
    keys: String,
}

impl ScanKey {
    /// Describes the scan of `columns` of `locations`.
    pub(super) fn new(locations: &[Location], columns: &[usize], keys: &KeyFilter) -> Self {
        Self {
            locations: locations.iter().map(ToString::to_string).collect(),
            columns: columns.iter().copied().collect(),
            keys: match keys.can_prune() {
                true => keys.to_string(),
                false => String::new(),
            },
        }
    }

    /// Returns whether it decodes at least as much as `other`.
    fn covers(&self, other: &Self) -> bool {
        self.locations == other.locations
            && self.columns.is_superset(&other.columns)
            && (self.keys.is_empty() || self.keys == other.keys)
    }
}

impl ColumnCache {
    /// A cache of at most `limit_bytes`.
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            state: Mutex::default(),
        }
    }

    /// Returns the use that is made of it.
    pub(super) fn usage(&self) -> CacheUsage {
        let state = self.state();
        CacheUsage {
            held_bytes: state.held_bytes,
            objects: state.objects.len(),
            limit_bytes: self.limit_bytes,
        }
    }

    /// Returns whether such a scan, or a smaller one, did not fit.
    pub(super) fn is_too_large(&self, scan: &ScanKey) -> bool {
        let state = self.state();
        state.too_large.iter().any(|known| scan.covers(known))
    }

    fn add_too_large(&self, scan: &ScanKey) {
        let too_large = &mut self.state().too_large;
        too_large.retain(|known| !known.covers(scan));
        if too_large.len() == MOST_TOO_LARGE {
            too_large.remove(0);
        }
        too_large.push(scan.clone());
    }

    /// Returns the rows of an object, if all of `columns` are held in this version.
    fn find(
        &self,
        origin: &Arc<str>,
        version: &ObjectVersion,
        columns: &[usize],
    ) -> Option<DecodedObject> {
        let mut state = self.state();
        if state.objects.get(origin)?.version != *version {
            state.remove(origin);
            return None;
        }
        let object = state.objects.get(origin)?.project(columns)?;
        state.touch(origin, columns);
        Some(object)
    }

    /// Makes room for `bytes` of objects that are being decoded.
    fn reserve(&self, bytes: usize) {
        let mut state = self.state();
        state.reserved_bytes += bytes;
        state.shrink(self.limit_bytes);
    }

    fn release(&self, bytes: usize) {
        let mut state = self.state();
        state.reserved_bytes = state.reserved_bytes.saturating_sub(bytes);
    }

    /// Keeps the columns of an object, beside those of the same version that are held.
    fn insert(
        &self,
        origin: &Arc<str>,
        version: &ObjectVersion,
        columns: &[usize],
        decoded: DecodedObject,
    ) {
        let mut state = self.state();
        let is_same = |it: &CachedObject| it.version == *version && it.rows == decoded.rows;
        if !state.objects.get(origin).is_some_and(is_same) {
            state.remove(origin);
            let object = CachedObject::new(version, decoded.rows);
            state.held_bytes += object.bytes(origin);
            state.objects.insert(Arc::clone(origin), object);
        }
        if let Some(object) = state.objects.get_mut(origin) {
            let before = object.bytes(origin);
            object.counts = decoded.counts;
            for (column, decoded) in columns.iter().zip(decoded.columns) {
                let past = object.columns.remove(column);
                let last_use = past.map_or(0, |past| past.last_use);
                let column_of = CachedColumn { decoded, last_use };
                object.columns.insert(*column, column_of);
            }
            let after = object.bytes(origin);
            state.held_bytes = state.held_bytes - before + after;
        }
        state.touch(origin, columns);
        state.shrink(self.limit_bytes);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Usable after a panic elsewhere: at worst it holds an object less.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns the number of a new use of an object.
    fn begin_use(&mut self, origin: &Arc<str>) -> u64 {
        self.uses += 1;
        self.by_use.insert(self.uses, Arc::clone(origin));
        self.uses
    }

    fn remove(&mut self, origin: &Arc<str>) {
        if let Some(object) = self.objects.remove(origin) {
            self.held_bytes -= object.bytes(origin);
            for last_use in object.uses() {
                self.by_use.remove(&last_use);
            }
        }
    }

    /// Notes a use of some columns of an object.
    fn touch(&mut self, origin: &Arc<str>, columns: &[usize]) {
        let this_use = self.begin_use(origin);
        let Some(object) = self.objects.get_mut(origin) else {
            return;
        };
        let before = object.uses();
        object.last_use = this_use;
        for column in columns {
            if let Some(column) = object.columns.get_mut(column) {
                column.last_use = this_use;
            }
        }
        let after = object.uses();
        for past in before.difference(&after) {
            self.by_use.remove(past);
        }
    }

    /// Evicts the columns that were not used for longest.
    fn shrink(&mut self, limit_bytes: usize) {
        while self.held_bytes + self.reserved_bytes > limit_bytes {
            let Some((last_use, origin)) = self.by_use.pop_first() else {
                return;
            };
            let Some(object) = self.objects.get_mut(&origin) else {
                continue;
            };
            self.held_bytes -= object.bytes(&origin);
            if object.last_use == last_use {
                // Its other columns were used before that, and are gone.
                self.objects.remove(&origin);
            } else {
                object
                    .columns
                    .retain(|_, column| column.last_use != last_use);
                self.held_bytes += object.bytes(&origin);
            }
        }
    }
}

impl CachedObject {
    fn new(version: &ObjectVersion, rows: usize) -> Self {
        Self {
            version: version.clone(),
            rows,
            counts: ObjectCounts::default(),
            columns: HashMap::new(),
            last_use: 0,
        }
    }

    /// Returns the columns, if all are held.
    fn project(&self, columns: &[usize]) -> Option<DecodedObject> {
        let columns = columns.iter().map(|column| self.columns.get(column));
        let columns = columns.map(|column| Some(column?.decoded.clone()));
        Some(DecodedObject {
            rows: self.rows,
            columns: columns.collect::<Option<_>>()?,
            counts: self.counts.clone(),
        })
    }

    /// Returns the numbers of the last uses of its columns and of itself.
    fn uses(&self) -> BTreeSet<u64> {
        let columns = self.columns.values().map(|column| column.last_use);
        columns.chain([self.last_use]).collect()
    }

    fn bytes(&self, origin: &str) -> usize {
        let columns = self.columns.values();
        let columns: usize = columns.map(|it| COLUMN_BYTES + it.decoded.bytes).sum();
        OBJECT_BYTES + 2 * origin.len() + columns
    }
}

/// The cache as one scan uses it.
#[derive(Debug)]
pub(super) struct ScanCache {
    cache: Arc<ColumnCache>,
    scan: ScanKey,
    columns: Vec<usize>,
    /// Bytes of all the objects of the scan so far.
    scan_bytes: AtomicUsize,
    /// Bytes that are set aside in the cache for objects that are being decoded.
    reserved_bytes: AtomicUsize,
    /// Whether it stopped filling the cache.
    has_given_up: AtomicBool,
}

impl ScanCache {
    /// Begins the scan of `columns`.
    pub(super) fn new(cache: Arc<ColumnCache>, scan: ScanKey, columns: Vec<usize>) -> Self {
        Self {
            cache,
            scan,
            columns,
            scan_bytes: AtomicUsize::new(0),
            reserved_bytes: AtomicUsize::new(0),
            has_given_up: AtomicBool::new(false),
        }
    }

    /// Adds to the bytes of the scan; returns whether it still fits.
    fn grow(&self, bytes: usize) -> bool {
        let before = self.scan_bytes.fetch_add(bytes, Relaxed);
        if before.saturating_add(bytes) > self.cache.limit_bytes
            && !self.has_given_up.swap(true, Relaxed)
        {
            self.cache.add_too_large(&self.scan);
        }
        !self.has_given_up.load(Relaxed)
    }

    fn entry_bytes(&self, origin: &Arc<str>) -> usize {
        OBJECT_BYTES + COLUMN_BYTES * self.columns.len() + 2 * origin.len()
    }
}

impl KnownObjects for ScanCache {
    fn find(&self, origin: &Arc<str>, version: &ObjectVersion) -> Option<Known> {
        let object = self.cache.find(origin, version, &self.columns)?;
        let columns = object.columns.iter();
        let bytes: usize = columns.map(|column| column.bytes).sum();
        self.grow(bytes + self.entry_bytes(origin));
        Some(Arc::new(object))
    }
}

impl ObjectRecorder for ScanCache {
    fn reserve(&self, bytes: usize) -> bool {
        if !self.grow(bytes) {
            return false;
        }
        self.reserved_bytes.fetch_add(bytes, Relaxed);
        self.cache.reserve(bytes);
        true
    }

    fn record(&self, origin: &Arc<str>, version: &ObjectVersion, object: DecodedObject) {
        let columns = object.columns.iter();
        let bytes = columns.map(|column| column.bytes).sum();
        self.reserved_bytes.fetch_sub(bytes, Relaxed);
        self.cache.release(bytes);
        if self.grow(self.entry_bytes(origin)) {
            self.cache.insert(origin, version, &self.columns, object);
        }
    }
}

impl Drop for ScanCache {
    fn drop(&mut self) {
        // Objects that were begun and not recorded.
        self.cache.release(*self.reserved_bytes.get_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(tag: &str) -> ObjectVersion {
        ObjectVersion {
            size_bytes: 1,
            tag: tag.into(),
        }
    }

    /// An object of one row, with columns of `bytes` each.
    fn object(columns: usize, bytes: usize) -> DecodedObject {
        let column = DecodedColumn {
            chunks: Arc::new([None]),
            bytes,
            mismatch: None,
        };
        DecodedObject {
            rows: 1,
            columns: vec![column; columns],
            counts: ObjectCounts::default(),
        }
    }

    #[test]
    fn columns_of_one_version_are_merged_and_another_version_drops_them() {
        let cache = ColumnCache::new(1 << 20);
        let origin = Arc::from("a");
        cache.insert(&origin, &version("1"), &[3], object(1, 10));
        cache.insert(&origin, &version("1"), &[5, 3], object(2, 20));
        let found = cache.find(&origin, &version("1"), &[5, 3, 5]);
        assert_eq!(found.expect("both are held").columns.len(), 3);
        assert!(cache.find(&origin, &version("1"), &[4]).is_none());
        assert!(cache.find(&origin, &version("1"), &[]).is_some());
        assert_eq!(cache.usage().held_bytes, 400 + 2 + 2 * (100 + 20));
        assert!(cache.find(&origin, &version("2"), &[3]).is_none());
        assert_eq!(cache.usage().held_bytes, 0);
        assert!(cache.state().by_use.is_empty());
    }

    #[test]
    fn the_columns_that_were_not_used_for_longest_are_evicted() {
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        let cache = ColumnCache::new(2 * 402 + 3 * 1100);
        cache.insert(&a, &version("1"), &[1, 2], object(2, 1000));
        cache.find(&a, &version("1"), &[2]);
        cache.insert(&b, &version("1"), &[1], object(1, 1000));
        cache.insert(&b, &version("1"), &[2], object(1, 1000));
        let holds = |origin, column| cache.find(origin, &version("1"), &[column]).is_some();
        assert!(!holds(&a, 1));
        assert!(holds(&a, 2) && holds(&b, 1) && holds(&b, 2));
        // Objects that are being decoded have their room too.
        cache.reserve(1500);
        assert!(cache.usage().held_bytes <= cache.limit_bytes - 1500);
        assert!(!holds(&a, 2) && holds(&b, 2));
    }

    #[test]
    fn a_scan_that_does_not_fit_is_known_and_so_is_a_larger_one() {
        let scan = |columns: &[usize], keys: &KeyFilter| ScanKey::new(&[], columns, keys);
        let (all, late) = (
            KeyFilter::default(),
            KeyFilter {
                from_micros: Some(1_700_000_000_000_000),
                ..KeyFilter::default()
            },
        );
        let cache = Arc::new(ColumnCache::new(1000));
        let use_of_scan = ScanCache::new(Arc::clone(&cache), scan(&[1, 2], &late), vec![1, 2]);
        assert!(use_of_scan.reserve(600));
        assert!(!use_of_scan.reserve(600) && !use_of_scan.reserve(1));
        drop(use_of_scan);
        assert_eq!(cache.state().reserved_bytes, 0);
        assert!(cache.is_too_large(&scan(&[1, 2, 3], &late)));
        assert!(cache.is_too_large(&scan(&[2, 1], &all)));
        assert!(!cache.is_too_large(&scan(&[1], &all)));
    }
}
