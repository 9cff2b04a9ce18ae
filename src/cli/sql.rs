//! The text of a query: decoded, and without the characters that cannot be seen.

use std::io::{IsTerminal, Read};
use std::path::Path;

use super::report::why;
use super::words::{is_invisible, is_joiner, looks_like_sql, shortened};
use crate::error::{Error, ErrorKind, Result};

/// The text of a query.
#[derive(Debug, Default)]
pub(super) struct Sql {
    /// The statements, without invisible characters outside of quotes.
    pub(super) text: String,
    /// A remark about an invisible character within quotes.
    pub(super) note: Option<String>,
    /// A typographic character outside of quotes, with advice.
    lookalike: Option<String>,
}

/// The part of a statement that a character is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Code,
    /// Within quotes of this kind.
    Quoted(char),
    LineComment,
    BlockComment,
}

impl Sql {
    /// Reads a query from a file or, for `-`, from standard input.
    ///
    /// # Errors
    /// Config, if it cannot be read or is not text.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let name = match is_standard_input(path) {
            true => "standard input".to_owned(),
            false => path.display().to_string(),
        };
        let bytes = read(path).map_err(|error| {
            let typed = path.to_string_lossy();
            let advice = match looks_like_sql(&typed) {
                true => "; -f takes a file, and a query itself is given without -f",
                false => "",
            };
            let name = shortened(&name);
            Error::config(format!("cannot read {name}: {}{advice}", why(&error))).caused_by(error)
        })?;
        let text = decode(&bytes)
            .map_err(|fault| Error::config(format!("cannot read {name}: {fault}")))?;
        Ok(Self::new(&text))
    }

    /// Takes out of `typed` what cannot be seen.
    pub(super) fn new(typed: &str) -> Self {
        let mut sql = Self::default();
        let mut part = Part::Code;
        let (mut line, mut column) = (1, 0);
        let mut before = '\0';
        for (at, c) in typed.char_indices() {
            (line, column) = match before {
                '\n' => (line + 1, 1),
                _ => (line, column + 1),
            };
            let place = || format!("at line {line}, column {column}");
            let is_quoted = matches!(part, Part::Quoted(_));
            if is_quoted && is_invisible(c) && !is_joiner(c) && sql.note.is_none() {
                let (code, place) = (u32::from(c), place());
                sql.note = Some(format!(
                    "the quoted text has an invisible character (U+{code:04X}) {place}"
                ));
            }
            if part == Part::Code && sql.lookalike.is_none() {
                let plain = plain_form(c);
                sql.lookalike = plain.map(|plain| {
                    let (code, place) = (u32::from(c), place());
                    format!("{c} (U+{code:04X}) {place} is typographic; expected {plain}")
                });
            }
            let is_unseen = is_invisible(c) || (c.is_control() && !c.is_whitespace());
            if is_quoted || !is_unseen {
                sql.text.push(c);
            }
            part = part.after(before, &typed[at..]);
            before = c;
        }
        sql
    }

    /// Adds advice about typographic characters to an error of the query.
    pub(super) fn explain(&self, error: Error) -> Error {
        match (error.kind(), &self.lookalike) {
            (ErrorKind::Query(message), Some(lookalike)) => {
                Error::query(format!("{message}; {lookalike}"))
            }
            _ => error,
        }
    }
}

impl Part {
    /// Returns the part after the first character of `rest`.
    pub(super) fn after(self, before: char, rest: &str) -> Self {
        let Some(c) = rest.chars().next() else {
            return self;
        };
        match (self, c) {
            (Self::Code, '\'' | '"' | '`') => Self::Quoted(c),
            (Self::Code, '-') if rest.starts_with("--") => Self::LineComment,
            (Self::Code, '/') if rest.starts_with("/*") => Self::BlockComment,
            // A doubled quote ends the text and begins it again.
            (Self::Quoted(quote), _) if c == quote => Self::Code,
            (Self::LineComment, '\n') => Self::Code,
            (Self::BlockComment, '/') if before == '*' => Self::Code,
            _ => self,
        }
    }
}

/// Returns whether `path` is a name of the standard input.
pub(super) fn is_standard_input(path: &Path) -> bool {
    ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"]
        .iter()
        .any(|name| path == Path::new(name))
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    if !is_standard_input(path) {
        return std::fs::read(path);
    }
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprintln!("auroratrail: reading the query that is typed or pasted here, up to Ctrl-D");
    }
    let mut bytes = Vec::new();
    stdin.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Decodes UTF-8, and UTF-16 with a byte order mark or an ASCII character first.
fn decode(bytes: &[u8]) -> Result<String, String> {
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf_16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf_16(rest, u16::from_be_bytes),
        [first, 0, ..] if *first > 0 => utf_16(bytes, u16::from_le_bytes),
        [0, second, ..] if *second > 0 => utf_16(bytes, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf_8(rest),
        _ => utf_8(bytes),
    }
}

fn utf_8(bytes: &[u8]) -> Result<String, String> {
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return Ok(text.to_owned()),
        Err(error) => error,
    };
    let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
    let line = good.matches('\n').count() + 1;
    let column = good.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let byte = bytes[error.valid_up_to()];
    Err(format!(
        "expected UTF-8, found the byte 0x{byte:02x} at line {line}, column {column}; save it as UTF-8"
    ))
}

fn utf_16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, String> {
    let (units, rest) = bytes.as_chunks();
    let text: Result<String, _> = char::decode_utf16(units.iter().copied().map(unit)).collect();
    match text {
        Ok(text) if rest.is_empty() => Ok(text),
        _ => Err("expected UTF-16, found half a character; save it as UTF-8".to_owned()),
    }
}

/// Returns what SQL is written with in place of a typographic character.
fn plain_form(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{2018}'..='\u{201b}' | '\u{2032}' | '\u{b4}' | '\u{ff07}' => "' around text",
        '\u{201c}'..='\u{201f}' | '\u{2033}' | '\u{ab}' | '\u{bb}' | '\u{ff02}' => {
            "' around text, or \" around a name"
        }
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' => "-",
        '\u{ff08}' => "(",
        '\u{ff09}' => ")",
        '\u{ff0c}' => ",",
        '\u{ff1b}' => ";",
        '\u{ff1d}' => "=",
        '\u{2026}' => "...",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_taken_out_of_code_and_told_in_quotes() {
        let sql = Sql::new("\u{feff}SELECT\u{200b} \u{1b}1 -- it's\u{ad}\n/* ' */ AS\u{2060} x");
        assert_eq!(sql.text, "SELECT 1 -- it's\n/* ' */ AS x");
        assert_eq!(sql.note, None);
        let sql = Sql::new("SELECT\n'it''s \u{200b}', 'a\u{200d}b', \u{200d}1");
        assert_eq!(sql.text, "SELECT\n'it''s \u{200b}', 'a\u{200d}b', 1");
        let note = "the quoted text has an invisible character (U+200B) at line 2, column 8";
        assert_eq!(sql.note.as_deref(), Some(note));
    }

    #[test]
    fn typographic_characters_are_told_only_outside_of_quotes() {
        assert_eq!(Sql::new("SELECT '“–' -- ’").lookalike, None);
        let told = Sql::new("SELECT\n “a”").lookalike.unwrap();
        assert_eq!(
            told,
            "“ (U+201C) at line 2, column 2 is typographic; expected ' around text, or \" around a name"
        );
    }

    #[test]
    fn queries_are_decoded_from_utf_8_and_utf_16() {
        let text = "SELECT 'ü😀'";
        let units: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|it| it.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|it| it.to_be_bytes()).collect();
        let utf_8 = text.as_bytes();
        for (mark, bytes) in [
            (&[][..], utf_8),
            (&[0xef, 0xbb, 0xbf], utf_8),
            (&[], &little),
            (&[0xff, 0xfe], &little),
            (&[], &big),
            (&[0xfe, 0xff], &big),
        ] {
            assert_eq!(decode(&[mark, bytes].concat()).as_deref(), Ok(text));
        }
        assert_eq!(decode(b"").as_deref(), Ok(""));
        assert!(
            decode(&little[..little.len() - 1])
                .unwrap_err()
                .contains("half a character")
        );
        let told = "expected UTF-8, found the byte 0xe9 at line 2, column 4; save it as UTF-8";
        assert_eq!(decode(b"--\ncaf\xe9").unwrap_err(), told);
    }
}
