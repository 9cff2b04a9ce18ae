//! Fingerprints of records: equal for the same event however its JSON is written.

use std::cell::RefCell;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::envelope::Record;
use crate::json::{Elements, Members, Span, unescape, value_at};

/// SipHash keys of [`fingerprint`]: the ASCII bytes of `auroratrail/1`, in big-endian order and padded
/// with zeros. Fingerprints are stored, so the keys never change.
const STABLE_KEYS: SipKeys = SipKeys(
    u64::from_be_bytes(*b"auroratr"),
    u64::from_be_bytes(*b"ail/1\0\0\0"),
);

/// The two keys of SipHash.
#[derive(Clone, Copy)]
pub(super) struct SipKeys(pub(super) u64, pub(super) u64);

/// Returns the fingerprint of the record, or `None` if it has no `eventID` that is a string.
///
/// Records that are equal as JSON have the same fingerprint in every process, on every machine and in
/// every version: spacing, the order of members and the choice of escapes do not count. Numbers are
/// compared as they are written, so `1` and `1.0` differ.
///
/// The fingerprint is SipHash-1-3 of 128 bits with published keys. Other events do not collide by
/// chance, but an adversary may construct some that do.
pub fn fingerprint(record: &Record<'_>) -> Option<u128> {
    thread_local! {
        static KNOWN: RefCell<KnownMembers> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| hashed(record, &mut Hashing::new(STABLE_KEYS, Some(known))))
}

/// Returns the fingerprint of the record under `keys`, as [`fingerprint`] does.
pub(super) fn keyed_fingerprint(record: &Record<'_>, keys: SipKeys) -> Option<u128> {
    hashed(record, &mut Hashing::new(keys, None))
}

fn hashed(record: &Record<'_>, hashing: &mut Hashing<'_>) -> Option<u128> {
    let text = record.text;
    let is_identified = record.members.iter().any(|member| {
        let key = member.key.raw(text);
        let is_event_id = match member.key.escaped {
            false => key.eq_ignore_ascii_case("eventID"),
            true => unescape(key).eq_ignore_ascii_case("eventID"),
        };
        is_event_id && member.value.first(text) == b'"'
    });
    is_identified.then(|| hashing.value(text, record.span.start as usize).0)
}

/// The hashing of a record.
struct Hashing<'a> {
    keys: SipKeys,
    /// The members that were hashed with these keys.
    known: Option<&'a mut KnownMembers>,
}

impl<'a> Hashing<'a> {
    fn new(keys: SipKeys, known: Option<&'a mut KnownMembers>) -> Self {
        Self { keys, known }
    }

    /// Hashes the value that begins at byte `at`: its tag and content, so that no two types have the same bytes.
    /// Returns where it ends, too, so that the text is gone through once.
    fn value(&mut self, text: &str, at: usize) -> (u128, usize) {
        match text.as_bytes()[at] {
            b'{' => self.object(text, at),
            b'[' => self.array(text, at),
            _ => {
                let span = scalar_at(text, at);
                (self.keys.scalar(text, span), span.end as usize)
            }
        }
    }

    fn object(&mut self, text: &str, at: usize) -> (u128, usize) {
        let mut members = Members::at(text, at);
        // A sum, as it does not depend on the order of its terms.
        let mut sum = 0_u128;
        while let Some((key, start)) = members.next_key() {
            let (member, end) = match text.as_bytes()[start] {
                b'{' | b'[' => {
                    let (value, end) = self.value(text, start);
                    (self.keys.member(text, key, value), end)
                }
                _ => {
                    let span = scalar_at(text, start);
                    (self.scalar_member(text, key, span), span.end as usize)
                }
            };
            sum = sum.wrapping_add(member);
            members.value_ended(end);
        }
        let mut bytes = [b'{'; 1 + HASH_BYTES];
        bytes[1..].copy_from_slice(&sum.to_le_bytes());
        (self.keys.hash(&bytes), members.end())
    }

    fn scalar_member(&mut self, text: &str, key: Span, value: Span) -> u128 {
        let keys = self.keys;
        let hash = || keys.member(text, key, keys.scalar(text, value));
        match &mut self.known {
            Some(known) => {
                let written = &text.as_bytes()[key.start as usize..value.end as usize];
                known.get_or_add(written, hash)
            }
            None => hash(),
        }
    }

    fn array(&mut self, text: &str, at: usize) -> (u128, usize) {
        let mut hasher = self.keys.hasher();
        hasher.write(b"[");
        let mut elements = Elements::at(text, at);
        while let Some(start) = elements.next_start() {
            let (value, end) = self.value(text, start);
            hasher.write(&value.to_le_bytes());
            elements.element_ended(end);
        }
        (hasher.finish128().as_u128(), elements.end())
    }
}

/// Returns the string, number or word that begins at byte `at`.
fn scalar_at(text: &str, at: usize) -> Span {
    // A record is JSON to its last byte; were it none, this would still end.
    let rest = Span {
        start: at as u32,
        end: text.len() as u32,
        escaped: false,
    };
    value_at(text, at).unwrap_or(rest)
}

impl SipKeys {
    fn scalar(self, text: &str, span: Span) -> u128 {
        let raw = span.raw(text);
        match raw.strip_suffix('"') {
            // The quote before it is the tag.
            Some(content) if !span.escaped => self.hash(content.as_bytes()),
            Some(content) => {
                let mut hasher = self.hasher();
                hasher.write(b"\"");
                hasher.write(unescape(&content[1..]).as_bytes());
                hasher.finish128().as_u128()
            }
            None => self.hash(raw.as_bytes()),
        }
    }

    /// Hashes a member. The keys are swapped, so that a member never equals a value.
    fn member(self, text: &str, key: Span, value: u128) -> u128 {
        let keys = Self(self.1, self.0);
        let raw = key.raw(text).as_bytes();
        let mut bytes = [0; HASH_BYTES + SHORT_KEY];
        if raw.len() <= SHORT_KEY && !key.escaped {
            bytes[..HASH_BYTES].copy_from_slice(&value.to_le_bytes());
            bytes[HASH_BYTES..][..raw.len()].copy_from_slice(raw);
            return keys.hash(&bytes[..HASH_BYTES + raw.len()]);
        }
        let mut hasher = keys.hasher();
        hasher.write(&value.to_le_bytes());
        hasher.write(unescape(key.raw(text)).as_bytes());
        hasher.finish128().as_u128()
    }

    fn hasher(self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }

    /// Hashes bytes at once, which is quicker than piece by piece.
    fn hash(self, bytes: &[u8]) -> u128 {
        self.hasher().hash(bytes).as_u128()
    }
}

/// Members that were hashed lately, by their text: in a trail, half of them are in many records. To compare one takes
/// a fifth of the time of hashing it.
struct KnownMembers(Vec<KnownMember>);

#[derive(Clone, Copy)]
struct KnownMember {
    length: u8,
    text: [u8; KNOWN_BYTES],
    hash: u128,
}

impl Default for KnownMembers {
    fn default() -> Self {
        let none = KnownMember {
            length: 0,
            text: [0; KNOWN_BYTES],
            hash: 0,
        };
        Self(vec![none; KNOWN_MEMBERS])
    }
}

impl KnownMembers {
    /// Returns the hash of the member with this text, which `hash` makes if it is not known.
    fn get_or_add(&mut self, text: &[u8], hash: impl FnOnce() -> u128) -> u128 {
        let length = text.len();
        let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) else {
            return hash();
        };
        if length > KNOWN_BYTES {
            return hash();
        }
        let ends = u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(23);
        let mixed = (ends ^ length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let known = &mut self.0[(mixed >> 32) as usize % KNOWN_MEMBERS];
        if usize::from(known.length) != length || known.text[..length] != *text {
            known.hash = hash();
            known.length = length as u8;
            known.text[..length].copy_from_slice(text);
        }
        known.hash
    }
}

/// Members that are known at a time.
const KNOWN_MEMBERS: usize = 512;
/// The most bytes of one that is kept.
const KNOWN_BYTES: usize = 79;

/// Bytes of a hash.
const HASH_BYTES: usize = 16;
/// Bytes of a key that is hashed at once.
const SHORT_KEY: usize = 48;

#[cfg(test)]
mod tests {
    use super::super::tests::each_record;
    use super::*;

    fn fingerprint_of(json: &str) -> Option<u128> {
        let mut found = Vec::new();
        each_record(&format!("{{\"Records\":[{json}]}}"), |record| {
            found.push(fingerprint(record));
        });
        assert_eq!(found.len(), 1, "{json}");
        found[0]
    }

    #[test]
    fn fingerprints_never_change() {
        for (json, expected) in [
            (
                r#"{"eventID":""}"#,
                0x454c_832f_b7a6_94cf_f9fe_96ae_9185_5ee8,
            ),
            (
                r#"{"eventID":"8a2e5a0c-6b1f-4d8e-9a57-0c1d2e3f4a5b","eventName":"ModifyDBCluster"}"#,
                0xa857_1027_fe5a_74bd_8cda_659d_efe1_7514,
            ),
            (
                r#"{"eventID":"a","readOnly":false,"errorCode":null,"n":[1,-2.5e3,{"b":[]}]}"#,
                0x6434_7fa5_3633_db9c_f026_09ef_380b_b31e,
            ),
            (
                "{\"eventID\":\"\u{e9}\u{1f600}\\n\",\"userIdentity\":{}}",
                0xfa58_7ac9_321d_24b3_5435_67b4_ba1e_d935,
            ),
        ] {
            let found = fingerprint_of(json).unwrap();
            assert_eq!(found, expected, "{json} has {found:#034x}");
        }
    }

    #[test]
    fn spelling_does_not_count() {
        let expected = fingerprint_of(r#"{"eventID":"\u00e9/\n","b":{"c":[1,2],"d":"x"}}"#);
        for json in [
            "{ \"eventID\" :\t\"\u{e9}/\\n\" , \"b\":{\"c\":[ 1 ,2],\"d\":\"x\"} }",
            r#"{"b":{"d":"x","c":[1,2]},"eventID":"\u00E9\/\u000a"}"#,
            r#"{"\u0062":{"\u0064":"\u0078","c":[1,2]},"event\u0049D":"é/\n"}"#,
        ] {
            assert_eq!(fingerprint_of(json), expected, "{json}");
        }
    }

    #[test]
    fn content_counts() {
        let texts = [
            r#"{"eventID":"a"}"#,
            r#"{"eventid":"a"}"#,
            r#"{"eventID":"b"}"#,
            r#"{"eventID":"a","b":1}"#,
            r#"{"eventID":"a","b":1.0}"#,
            r#"{"eventID":"a","b":"1"}"#,
            r#"{"eventID":"a","b":[1]}"#,
            r#"{"eventID":"a","b":[[1]]}"#,
            r#"{"eventID":"a","b":{}}"#,
            r#"{"eventID":"a","b":[]}"#,
            r#"{"eventID":"a","b":null}"#,
            r#"{"eventID":"a","b":"null"}"#,
            r#"{"eventID":"a","b":[1,2]}"#,
            r#"{"eventID":"a","b":[2,1]}"#,
            r#"{"eventID":"a","b":{"c":"d"}}"#,
            r#"{"eventID":"a","b":{"d":"c"}}"#,
            r#"{"eventID":"b","b":"a"}"#,
        ];
        let mut found: Vec<u128> = texts
            .iter()
            .filter_map(|json| fingerprint_of(json))
            .collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), texts.len());
    }

    #[test]
    fn members_that_are_known_change_nothing() {
        // More members than are known at a time, so that they take each other's places, and long and short ones.
        for round in 0..3 {
            for number in 0..2000 {
                let long = "x".repeat(number % 90);
                let json = format!(
                    r#"{{"eventID":"{number}","a":{},"{long}":"{long}","eventVersion":"1.08","b":{{"eventVersion":"{round}"}}}}"#,
                    number % 7
                );
                each_record(&format!("{{\"Records\":[{json}]}}"), |record| {
                    let expected = keyed_fingerprint(record, STABLE_KEYS);
                    assert_eq!(fingerprint(record), expected, "{json}");
                });
            }
        }
    }

    #[test]
    fn a_record_without_an_event_id_has_none() {
        for json in [
            "{}",
            r#"{"eventID":1}"#,
            r#"{"eventName":"a"}"#,
            r#"{"a":{"eventID":"b"}}"#,
        ] {
            assert_eq!(fingerprint_of(json), None, "{json}");
        }
    }
}
