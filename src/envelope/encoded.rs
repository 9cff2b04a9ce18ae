//! Bytes written as text: base64 in its alphabets, with or without padding and line breaks, and arrays
//! of numbers.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::magic::{self, Compression};
use crate::json::{Elements, Span, skip_space};

/// The standard alphabet, padded or not: the AWS tools pad, some archivers strip the padding.
const STANDARD: GeneralPurpose = engine(&alphabet::STANDARD);

/// The alphabet for URLs and file names (RFC 4648, 5).
const URL_SAFE: GeneralPurpose = engine(&alphabet::URL_SAFE);

/// Fewest characters, or numbers, that may hold a record.
const MIN_LENGTH: usize = 32;

/// Characters of the begin that show whether the text is base64.
const HEAD: usize = 16;

/// Characters of the begin, a multiple of four, that show whether the rest is worth decoding.
const LONG_HEAD: usize = magic::HEAD_BYTES / 3 * 4;

const fn engine(alphabet: &alphabet::Alphabet) -> GeneralPurpose {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(alphabet, config.with_decode_allow_trailing_bits(true))
}

/// Replaces `bytes` with what `text` encodes as base64. Returns whether it is base64.
pub(super) fn decode_into(text: &str, bytes: &mut Vec<u8>) -> bool {
    bytes.clear();
    if STANDARD.decode_vec(text, bytes).is_ok() {
        return true;
    }
    let text: String = text.split_ascii_whitespace().collect();
    let engine = match text.contains(['-', '_']) {
        true => URL_SAFE,
        false => STANDARD,
    };
    bytes.clear();
    engine.decode_vec(text, bytes).is_ok()
}

/// Returns the bytes that `text` encodes as base64 if they begin as compressed data, aggregated records or
/// JSON do. Few words of other text do so by chance, and they decode to nothing of interest.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
    let head = text.as_bytes().get(..HEAD)?;
    if text.len() < MIN_LENGTH || !head.iter().all(is_base64) {
        return None;
    }
    let mut bytes = Vec::new();
    let head: String = text
        .chars()
        .filter(|char| !char.is_ascii_whitespace())
        .take(LONG_HEAD)
        .collect();
    if !decode_into(&head, &mut bytes) || !may_hold_records(&bytes) {
        return None;
    }
    decode_into(text, &mut bytes).then_some(bytes)
}

fn may_hold_records(head: &[u8]) -> bool {
    let text = head.strip_prefix(magic::UTF8_MARK).unwrap_or(head);
    // Two bytes alone are there by chance too often: the third is the method, three bits of the fourth are zero.
    let is_gzip = || matches!(head, [0x1f, 0x8b, 8, 0..0x20, ..]);
    magic::compression(head).is_some_and(|format| format != Compression::Gzip || is_gzip())
        || magic::byte_order(head).is_some()
        || head.starts_with(&magic::KPL)
        || matches!(text.trim_ascii_start().first(), Some(b'{' | b'[' | b'"'))
}

/// Returns the bytes that the array at `span` lists as numbers, as the buffers of some languages are
/// written; signed numbers are those of Java.
pub(super) fn byte_array(text: &str, span: Span) -> Option<Vec<u8>> {
    let first = skip_space(text.as_bytes(), span.start as usize + 1);
    let is_number = matches!(text.as_bytes().get(first), Some(b'-' | b'0'..=b'9'));
    if !is_number || ((span.end - span.start) as usize) < MIN_LENGTH {
        return None;
    }
    let byte = |element: Span| {
        let number: i16 = element.raw(text).parse().ok()?;
        (-128..=255).contains(&number).then_some(number as u8)
    };
    let bytes: Option<Vec<u8>> = Elements::at(text, span.start as usize).map(byte).collect();
    bytes.filter(|bytes| bytes.len() >= MIN_LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"a": "ÿ?ÿ?>>", "b": [1, 2, 3]}"#;

    #[test]
    fn base64_is_known_by_what_it_holds() {
        let plain = STANDARD.encode(JSON);
        let (head, tail) = plain.split_at(20);
        for text in [
            plain.clone(),
            format!(" {plain}\n"),
            format!("{head}\r\n{tail}"),
            plain.trim_end_matches('=').to_owned(),
            URL_SAFE.encode(JSON),
        ] {
            assert_eq!(decode(&text).as_deref(), Some(JSON.as_bytes()), "{text}");
        }
        for other in [
            "AROAEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLE",
            "H4sAA/AA0A+A0A+aAA/0Aa+AAAA0A0+a0Aa00aAaAaa+",
            "bm90IGpzb24gYXQgYWxsLCBqdXN0IHNvbWUgdGV4dA==",
            "eyJhIjoxfQ==",
            "eyJhIjoxLCJiIjoyLCJj IGRlIGYgZyBoIGkgag=!",
        ] {
            assert_eq!(decode(other), None, "{other}");
        }
    }

    #[test]
    fn numbers_that_are_bytes_are_bytes() {
        let bytes: Vec<u8> = (200..=255).collect();
        let signed: Vec<i8> = bytes.iter().map(|byte| *byte as i8).collect();
        let array = |text: &str| {
            let end = text.len() as u32;
            byte_array(
                text,
                Span {
                    end,
                    ..Span::default()
                },
            )
        };
        assert_eq!(array(&format!("{bytes:?}")), Some(bytes.clone()));
        assert_eq!(array(&format!("{signed:?}")), Some(bytes));
        assert_eq!(array(&format!("{:?}", [256; 40])), None);
        assert_eq!(array(&format!("{:?}", [1.5; 40])), None);
        assert_eq!(array("[1, 2]"), None);
    }
}
