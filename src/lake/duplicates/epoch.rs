//! The events of an epoch, which no commit has yet.

use std::hash::{BuildHasher, Hasher, RandomState};

use arrow::array::{Array, BooleanArray, RecordBatch};
use hashbrown::HashSet;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::error::Result;

/// A set of the events that are not committed: 16 bytes each. The hashes have keys of this process, so
/// that an adversary cannot construct an event that hides another.
#[derive(Debug)]
pub struct EpochEvents {
    keys: (u64, u64),
    seen: HashSet<u128>,
}

impl Default for EpochEvents {
    fn default() -> Self {
        let state = RandomState::new();
        Self {
            keys: (state.hash_one(0), state.hash_one(1)),
            seen: HashSet::new(),
        }
    }
}

impl EpochEvents {
    /// Adds the events of rows with the columns `eventid` and `fingerprint`, and returns for each whether
    /// it is new. Rows with a NULL in one of them always are.
    ///
    /// # Errors
    /// Bug, if these columns are of other types.
    pub fn insert(&mut self, rows: &RecordBatch) -> Result<BooleanArray> {
        let (ids, fingerprints) = super::identities(rows)?;
        let is_new = (0..rows.num_rows()).map(|row| {
            let is_identified = ids.is_valid(row) && fingerprints.is_valid(row);
            !is_identified || self.add(ids.value(row), fingerprints.value(row))
        });
        Ok(BooleanArray::from(is_new.collect::<Vec<bool>>()))
    }

    /// Forgets all events: they are committed.
    pub fn clear(&mut self) {
        self.seen.clear();
    }

    /// Returns the number of events.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Returns whether there are no events.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    fn add(&mut self, id: &str, fingerprint: i64) -> bool {
        let mut hasher = SipHasher13::new_with_keys(self.keys.0, self.keys.1);
        hasher.write(&fingerprint.to_le_bytes());
        hasher.write(id.as_bytes());
        self.seen.insert(hasher.finish128().as_u128())
    }
}
