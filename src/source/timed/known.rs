//! The events that were handed out lately.

use std::collections::HashMap;
use std::hash::Hash;

use siphasher::sip128::{Hasher128, SipHasher13};

/// Events that were handed out, by hashes of their identifiers: a few dozen bytes each.
#[derive(Debug, Default)]
pub(in crate::source) struct Known {
    millis: HashMap<u128, i64>,
}

impl Known {
    /// Adds an event. Returns `false` if it is known already.
    pub(in crate::source) fn insert(&mut self, identifier: impl Hash, millis: i64) -> bool {
        let mut hasher = SipHasher13::new();
        identifier.hash(&mut hasher);
        let hash = hasher.finish128().as_u128();
        self.millis.insert(hash, millis).is_none()
    }

    /// Forgets the events before a time.
    pub(in crate::source) fn forget_before(&mut self, from_millis: i64) {
        self.millis.retain(|_, millis| *millis >= from_millis);
    }

    /// The number of events that are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.millis.len()
    }
}
