//! Writes compact JSON straight into one string.

use std::fmt::Write;

use super::random::mix;

/// JSON under construction. Commas are inserted; each opened object or list must be closed.
///
/// Strings are written verbatim, already escaped.
#[derive(Debug, Default)]
pub(super) struct Json(pub String);

impl Json {
    fn comma(&mut self) {
        if !matches!(self.0.as_bytes().last(), None | Some(b'{' | b'[')) {
            self.0.push(',');
        }
    }

    fn key(&mut self, key: &str) {
        self.comma();
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
    }

    /// Writes `"key":"value"`.
    pub fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.quoted(&[value]);
    }

    /// Writes `"key":"value"`, concatenating the value from `parts`.
    pub fn parts(&mut self, key: &str, parts: &[&str]) {
        self.key(key);
        self.quoted(parts);
    }

    /// Writes `"key":"value"`, with the value that `build` appends.
    pub fn built(&mut self, key: &str, build: impl FnOnce(&mut String)) {
        self.key(key);
        self.0.push('"');
        build(&mut self.0);
        self.0.push('"');
    }

    /// Writes `"key":12`.
    pub fn number(&mut self, key: &str, value: impl std::fmt::Display) {
        self.key(key);
        write!(self.0, "{value}").expect("strings take all that is written");
    }

    /// Writes `"key":true`.
    pub fn flag(&mut self, key: &str, value: bool) {
        self.raw(key, if value { "true" } else { "false" });
    }

    /// Writes `"key":null`.
    pub fn null(&mut self, key: &str) {
        self.raw(key, "null");
    }

    /// Writes `"key":` and a value that is already JSON.
    pub fn raw(&mut self, key: &str, json: &str) {
        self.key(key);
        self.0.push_str(json);
    }

    /// Writes `"key":{`.
    pub fn open(&mut self, key: &str) {
        self.key(key);
        self.0.push('{');
    }

    /// Writes `{`, which opens the next element of a list.
    pub fn open_item(&mut self) {
        self.comma();
        self.0.push('{');
    }

    /// Writes `}`.
    pub fn close(&mut self) {
        self.0.push('}');
    }

    /// Writes `"key":["a","b"]`.
    pub fn texts(&mut self, key: &str, values: &[&str]) {
        self.open_list(key);
        for value in values {
            self.item(&[value]);
        }
        self.close_list();
    }

    /// Writes `"key":[`.
    pub fn open_list(&mut self, key: &str) {
        self.key(key);
        self.0.push('[');
    }

    /// Writes the next element of a list, a string concatenated from `parts`.
    pub fn item(&mut self, parts: &[&str]) {
        self.comma();
        self.quoted(parts);
    }

    /// Writes `]`.
    pub fn close_list(&mut self) {
        self.0.push(']');
    }

    fn quoted(&mut self, parts: &[&str]) {
        self.0.push('"');
        for part in parts {
            self.0.push_str(part);
        }
        self.0.push('"');
    }
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const HEX: &[u8; 16] = b"0123456789abcdef";
const BASE62: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789aZ";

/// Returns the seed of the IDs of the resource `name` (FNV-1a, mixed).
pub(super) fn id_of(name: &str) -> u64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(hash)
}

fn push_digits(out: &mut String, alphabet: &[u8], mut id: u64, length: usize) {
    let bits = alphabet.len().trailing_zeros();
    let mut pool = 0;
    let mut left = 0;
    for _ in 0..length {
        if left < bits {
            id = mix(id.wrapping_add(0x9e37_79b9_7f4a_7c15));
            pool = id;
            left = u64::BITS;
        }
        let digit = usize::try_from(pool & (alphabet.len() as u64 - 1)).expect("6 bits");
        out.push(char::from(alphabet[digit]));
        pool >>= bits;
        left -= bits;
    }
}

/// Appends `length` capital letters and digits, as in access keys and RDS resource IDs.
pub(super) fn push_base32(out: &mut String, id: u64, length: usize) {
    push_digits(out, BASE32, id, length);
}

/// Appends `length` hexadecimal digits, as in VPC and KMS IDs.
pub(super) fn push_hex(out: &mut String, id: u64, length: usize) {
    push_digits(out, HEX, id, length);
}

/// Appends `length` letters and digits, as in a trail file's name.
pub(super) fn push_base62(out: &mut String, id: u64, length: usize) {
    push_digits(out, BASE62, id, length);
}

/// Appends a random UUID (version 4) of two draws.
pub(super) fn push_uuid(out: &mut String, high: u64, low: u64) {
    let high = (high & !0xf000) | 0x4000;
    let low = (low & !(0b11 << 62)) | (0b10 << 62);
    for digit in 0..32u32 {
        if matches!(digit, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        let half = if digit < 16 { high } else { low };
        let nibble = (half >> (60 - 4 * (digit % 16))) & 15;
        out.push(char::from(HEX[usize::try_from(nibble).expect("4 bits")]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_between_members_only() {
        let mut json = Json::default();
        json.open_item();
        json.open_list("a");
        json.item(&["x", "y"]);
        json.open_item();
        json.number("n", 1.5);
        json.close();
        json.close_list();
        json.open("b");
        json.close();
        json.flag("c", true);
        json.null("d");
        json.close();
        assert_eq!(json.0, r#"{"a":["xy",{"n":1.5}],"b":{},"c":true,"d":null}"#);
    }

    #[test]
    fn uuids_say_that_they_are_random() {
        let mut out = String::new();
        push_uuid(&mut out, u64::MAX, 0);
        assert_eq!(out, "ffffffff-ffff-4fff-8000-000000000000");
    }
}
