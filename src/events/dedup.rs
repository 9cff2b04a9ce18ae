//! Deduplication of events that were delivered more than once.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use hashbrown::HashSet;

use super::fingerprint::{SipKeys, keyed_fingerprint};
use crate::envelope::Record;

/// Number of locks that the set is spread over, so that threads rarely wait for each other.
const SHARDS: usize = 16;

/// A set of the events so far: 16 bytes each, some 30 MB for a million.
///
/// Two records are the same event if they have an `eventID` and are equal as JSON: spacing, the order of
/// members and the choice of escapes do not count. The fingerprints have keys of this process, so that
/// an adversary cannot construct an event that hides another.
pub struct Deduplicator {
    keys: SipKeys,
    shards: [Mutex<HashSet<u128>>; SHARDS],
}

impl Default for Deduplicator {
    fn default() -> Self {
        let state = RandomState::new();
        Self {
            keys: SipKeys(state.hash_one(0), state.hash_one(1)),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl Deduplicator {
    /// Adds the record and returns `true` if it is new. Records without an event ID always are.
    pub fn insert(&self, record: &Record<'_>) -> bool {
        let Some(fingerprint) = keyed_fingerprint(record, self.keys) else {
            return true;
        };
        let shard = &self.shards[fingerprint as usize % SHARDS];
        shard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(fingerprint)
    }
}
