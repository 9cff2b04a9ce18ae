//! Strings in JSON text: steps over them, and resolves their escapes.

use std::borrow::Cow;

use wide::u8x16;

use super::{SyntaxError, invalid};

/// Width of one step, bytes.
const LANES: usize = 16;

/// Steps over the string whose opening quote is at `at`. Returns the offset after the closing quote,
/// and whether there is a backslash in the string.
#[inline(always)]
pub(super) fn skip_string(text: &[u8], at: usize) -> Result<(usize, bool), SyntaxError> {
    let mut at = at + 1;
    let mut escaped = false;
    loop {
        at = next_special(text, at);
        match text.get(at) {
            Some(b'"') => return Ok((at + 1, escaped)),
            Some(b'\\') => {
                escaped = true;
                at = skip_escape(text, at)?;
            }
            Some(_) => return Err(invalid(at, "control character in a string")),
            None => return Err(SyntaxError::Incomplete),
        }
    }
}

/// Returns the offset of the next quote, backslash or control character, or the text's end.
#[inline(always)]
fn next_special(text: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = text.get(at..at + LANES) {
        let chunk = u8x16::new(chunk.try_into().expect("the slice has this length"));
        let special = chunk.simd_eq(u8x16::splat(b'"'))
            | chunk.simd_eq(u8x16::splat(b'\\'))
            | chunk.min(u8x16::splat(0x1f)).simd_eq(chunk);
        let mask = special.to_bitmask();
        if mask != 0 {
            return at + mask.trailing_zeros() as usize;
        }
        at += LANES;
    }
    while let Some(byte) = text.get(at) {
        if matches!(byte, b'"' | b'\\' | 0..=0x1f) {
            break;
        }
        at += 1;
    }
    at
}

#[inline(never)]
fn skip_escape(text: &[u8], at: usize) -> Result<usize, SyntaxError> {
    match text.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => {
            let digits = &text[at + 2..text.len().min(at + 6)];
            match digits.iter().position(|byte| !byte.is_ascii_hexdigit()) {
                Some(n) => Err(invalid(at + 2 + n, "expected four hexadecimal digits")),
                None if digits.len() < 4 => Err(SyntaxError::Incomplete),
                None => Ok(at + 6),
            }
        }
        Some(_) => Err(invalid(at + 1, "unknown escape in a string")),
        None => Err(SyntaxError::Incomplete),
    }
}

/// Resolves the escapes in `raw`, the text between the quotes of a valid string.
///
/// ```
/// use auroratrail::json::unescape;
///
/// assert_eq!(unescape("plain"), "plain");
/// assert_eq!(unescape(r"a\u0026b\n"), "a&b\n");
/// ```
pub fn unescape(raw: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', raw.as_bytes()).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    unescape_into(raw, &mut out);
    Cow::Owned(out)
}

/// Appends `raw` with its escapes resolved to `out`. Returns whether every escape stood for a
/// character; a surrogate without its other half does not, and becomes U+FFFD.
pub fn unescape_into(raw: &str, out: &mut String) -> bool {
    let mut exact = true;
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let escape = rest.as_bytes().get(at + 1).copied().unwrap_or(b'\\');
        rest = rest.get(at + 2..).unwrap_or("");
        out.push(match escape {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                let (char, used) = unicode_escape(rest);
                rest = rest.get(used..).unwrap_or("");
                exact &= char.is_some();
                char.unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            other => other as char,
        });
    }
    out.push_str(rest);
    exact
}

/// Returns the character for the digits after `\u` (and for a second escape, of a surrogate pair), and
/// the number of bytes of `rest` that they take.
fn unicode_escape(rest: &str) -> (Option<char>, usize) {
    let Some(high) = hex4(rest) else {
        return (None, 0);
    };
    if let Some(char) = char::from_u32(high) {
        return (Some(char), 4);
    }
    let low = rest
        .get(4..)
        .and_then(|rest| rest.strip_prefix("\\u"))
        .and_then(hex4);
    match (high, low) {
        (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
            let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            (char::from_u32(code), 10)
        }
        _ => (None, 4),
    }
}

fn hex4(text: &str) -> Option<u32> {
    u32::from_str_radix(text.get(..4)?, 16).ok()
}
