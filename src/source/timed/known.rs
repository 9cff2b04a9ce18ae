//! The events that were handed out lately.

use std::collections::HashMap;
use std::hash::Hash;

use siphasher::sip128::{Hasher128, SipHasher13};

/// Events that were handed out, by hashes of their identifiers: a few dozen bytes each.
#[derive(Debug)]
pub(in crate::source) struct Known {
    millis: HashMap<u128, i64>,
    /// The time from which on no event was forgotten, milliseconds since 1970 UTC.
    whole_from: i64,
    /// The number of events at which old ones are looked for.
    tidy_at: usize,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            millis: HashMap::new(),
            whole_from: i64::MIN,
            tidy_at: LEAST_TO_TIDY,
        }
    }
}

impl Known {
    /// Adds an event. Returns `false` if it is known already.
    pub(in crate::source) fn insert(&mut self, identifier: impl Hash, millis: i64) -> bool {
        let mut hasher = SipHasher13::new();
        identifier.hash(&mut hasher);
        let hash = hasher.finish128().as_u128();
        self.millis.insert(hash, millis).is_none()
    }

    /// The time from which on every event that was handed out is known, milliseconds since 1970 UTC.
    pub(super) fn whole_from(&self) -> i64 {
        self.whole_from
    }

    /// Forgets the events before a time that nobody will ask for again, once there are many; if there are
    /// too many then, the older half too, but none from `needed_millis` on.
    pub(super) fn tidy(&mut self, from_millis: i64, needed_millis: i64) {
        if self.millis.len() < self.tidy_at {
            return;
        }
        self.forget_before(from_millis);
        if self.millis.len() > MOST {
            let mut times: Vec<i64> = self.millis.values().copied().collect();
            let middle = times.len() / 2;
            let (_, &mut half, _) = times.select_nth_unstable(middle);
            self.forget_before(half.min(needed_millis));
        }
        self.tidy_at = (2 * self.millis.len()).max(LEAST_TO_TIDY);
    }

    /// Forgets the events before a time.
    pub(in crate::source) fn forget_before(&mut self, from_millis: i64) {
        self.whole_from = self.whole_from.max(from_millis);
        self.millis.retain(|_, millis| *millis >= from_millis);
    }

    /// The number of events that are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.millis.len()
    }
}

/// Fewer events than this are kept: they take little memory.
const LEAST_TO_TIDY: usize = 4096;
/// The most events that are kept only to be told from late ones: some 20 MB before they are tidied.
const MOST: usize = 200_000;
