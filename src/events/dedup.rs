//! Which events have been seen, to count the same event once.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Mutex, PoisonError};

use hashbrown::HashSet;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::envelope::Record;
use crate::json::{Elements, Members, Span, unescape};

/// Locks that the set is spread over, so that threads seldom meet at one.
const SHARDS: usize = 16;

/// The events that came by: 16 bytes each, some 30 MB for a million.
///
/// Two records are the same event if they have an `eventID` and are equal as JSON: spacing, the order of
/// members and the choice of escapes do not count. The hash is keyed anew in each process, so nobody can
/// make an event that hides another.
pub struct Deduplicator {
    keys: (u64, u64),
    shards: [Mutex<HashSet<u128>>; SHARDS],
}

impl Default for Deduplicator {
    fn default() -> Self {
        let state = RandomState::new();
        Self {
            keys: (state.hash_one(0), state.hash_one(1)),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl Deduplicator {
    /// Notes the record; tells whether it is new. Records without an event ID always are.
    pub fn insert(&self, record: &Record<'_>) -> bool {
        let identified = record.members.iter().any(|member| {
            let key = member.key.raw(record.text);
            key.eq_ignore_ascii_case("eventID") && member.value.first(record.text) == b'"'
        });
        if !identified {
            return true;
        }
        let hash = self.value(record.text, record.span);
        let shard = &self.shards[hash as usize % SHARDS];
        shard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(hash)
    }

    /// A hash of the value that does not depend on how it is written.
    fn value(&self, text: &str, span: Span) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(self.keys.0, self.keys.1);
        match span.first(text) {
            b'{' => {
                let sum = Members::at(text, span.start as usize)
                    .map(|(key, value)| {
                        self.member(&unescape(key.raw(text)), self.value(text, value))
                    })
                    .fold(0, u128::wrapping_add);
                hasher.write_u8(b'{');
                hasher.write_u128(sum);
            }
            b'[' => {
                hasher.write_u8(b'[');
                for element in Elements::at(text, span.start as usize) {
                    hasher.write_u128(self.value(text, element));
                }
            }
            b'"' => {
                hasher.write_u8(b'"');
                let raw = &text[span.start as usize + 1..span.end as usize - 1];
                hasher.write(unescape(raw).as_bytes());
            }
            _ => hasher.write(span.raw(text).as_bytes()),
        }
        hasher.finish128().as_u128()
    }

    fn member(&self, key: &str, value: u128) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(self.keys.1, self.keys.0);
        hasher.write_u128(value);
        hasher.write(key.as_bytes());
        hasher.finish128().as_u128()
    }
}
