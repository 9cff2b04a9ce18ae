//! Encodings of text: UTF-8, perhaps damaged, and the UTF-16 that PowerShell's `>` writes.

use std::io::Read;

use super::magic;
use crate::json::skip_space;

/// The byte that stands for each byte of invalid UTF-8, so that offsets stay. JSON allows it nowhere,
/// so the record around it becomes a reject like any other damage.
pub(super) const NOT_UTF8: u8 = 1;

/// Size of the reads of UTF-16, bytes.
const CHUNK_BYTES: usize = 32 << 10;

/// The control character before each document of a JSON text sequence (RFC 7464).
pub(super) const RECORD_SEPARATOR: char = '\x1e';

/// Returns whether `char` separates documents without being one: white space, a byte order mark, as joined
/// files have it in the middle, or a record separator.
pub(super) fn is_separator(char: char) -> bool {
    char.is_whitespace() || matches!(char, RECORD_SEPARATOR | '\u{feff}')
}

/// Returns the offset of the first byte at or after `at` that is not between documents. The two characters
/// `\n`, which some shippers write for a newline, are.
pub(super) fn skip_separators(text: &str, mut at: usize) -> usize {
    loop {
        at = skip_space(text.as_bytes(), at);
        let rest = &text[at..];
        let length = match rest.as_bytes() {
            [] | [b'{' | b'[' | b'"', ..] => return at,
            [b'\\', b'n' | b'r' | b't', ..] => 2,
            _ => match rest.chars().next().filter(|char| is_separator(*char)) {
                Some(char) => char.len_utf8(),
                None => return at,
            },
        };
        at += length;
    }
}

/// Overwrites what is not UTF-8 with [`NOT_UTF8`] and returns the text. A character that the end cuts
/// is left out while there is more to come.
pub(super) fn patch_utf8(bytes: &mut [u8], last: bool) -> &str {
    let mut from = 0;
    let end = loop {
        match std::str::from_utf8(&bytes[from..]) {
            Ok(_) => break bytes.len(),
            Err(error) => {
                let at = from + error.valid_up_to();
                let length = match error.error_len() {
                    Some(length) => length,
                    None if last => bytes.len() - at,
                    None => break at,
                };
                bytes[at..at + length].fill(NOT_UTF8);
                from = at + length;
            }
        }
    };
    std::str::from_utf8(&bytes[..end]).expect("all that is not UTF-8 was overwritten")
}

/// The order of the bytes in UTF-16.
#[derive(Clone, Copy, Debug)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    fn unit(self, bytes: &[u8]) -> u16 {
        let pair = [bytes[0], bytes[1]];
        match self {
            Self::Little => u16::from_le_bytes(pair),
            Self::Big => u16::from_be_bytes(pair),
        }
    }

    fn decode(self, bytes: &[u8], out: &mut String) {
        let units = bytes.chunks_exact(2).map(|pair| self.unit(pair));
        let broken = NOT_UTF8 as char;
        out.extend(char::decode_utf16(units).map(|unit| unit.unwrap_or(broken)));
    }
}

/// Decodes bytes if they are UTF-16 with a mark, which is left out.
pub(super) fn decode_utf16(bytes: &[u8]) -> Option<String> {
    let order = magic::byte_order(bytes)?;
    let mut text = String::new();
    order.decode(&bytes[2..], &mut text);
    Some(text)
}

/// Reads UTF-16 as UTF-8, mark included.
pub(super) struct Utf16<R> {
    reader: R,
    order: ByteOrder,
    /// Bytes that are read and not yet decoded: half a character at most.
    rest: Vec<u8>,
    text: String,
    given: usize,
}

impl<R: Read> Utf16<R> {
    pub(super) fn new(reader: R, order: ByteOrder) -> Self {
        Self {
            reader,
            order,
            rest: Vec::new(),
            text: String::new(),
            given: 0,
        }
    }

    /// Decodes the next chunk; `text` stays empty only at the end.
    fn more(&mut self) -> std::io::Result<()> {
        self.text.clear();
        self.given = 0;
        while self.text.is_empty() {
            let had = self.rest.len();
            let chunk = CHUNK_BYTES as u64;
            (&mut self.reader).take(chunk).read_to_end(&mut self.rest)?;
            if self.rest.len() == had {
                self.order.decode(&self.rest, &mut self.text);
                if had % 2 == 1 {
                    self.text.push(NOT_UTF8 as char);
                }
                self.rest.clear();
                break;
            }
            let mut whole = self.rest.len() & !1;
            let high = |unit: u16| (0xd800..0xdc00).contains(&unit);
            if whole > 0 && high(self.order.unit(&self.rest[whole - 2..])) {
                whole -= 2;
            }
            self.order.decode(&self.rest[..whole], &mut self.text);
            self.rest.drain(..whole);
        }
        Ok(())
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.given == self.text.len() {
            self.more()?;
        }
        let count = (&self.text.as_bytes()[self.given..]).read(buffer)?;
        self.given += count;
        Ok(count)
    }
}
