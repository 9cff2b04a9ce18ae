//! Conversions of a JSON value to a cell.

use std::borrow::Cow;

use super::decimal::Decimal;
use super::time;
use crate::json::{Span, unescape};

/// A JSON value in a record's text.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) text: &'a str,
    pub(super) span: Span,
}

impl<'a> Value<'a> {
    /// Creates the value of `text` from byte `start` to `end`.
    #[inline(always)]
    pub(super) fn at(text: &'a str, start: u32, end: u32, escaped: bool) -> Self {
        let span = Span {
            start,
            end,
            escaped,
        };
        Self { text, span }
    }

    pub(super) fn raw(self) -> &'a str {
        self.span.raw(self.text)
    }

    pub(super) fn first(self) -> u8 {
        self.span.first(self.text)
    }

    pub(super) fn is_null(self) -> bool {
        self.first() == b'n'
    }

    pub(super) fn is_container(self) -> bool {
        matches!(self.first(), b'{' | b'[')
    }

    /// Returns the content of a string with its escapes resolved.
    pub(super) fn string(self) -> Option<Cow<'a, str>> {
        if self.first() != b'"' {
            return None;
        }
        let inner = &self.text[self.span.start as usize + 1..self.span.end as usize - 1];
        Some(if self.span.escaped {
            unescape(inner)
        } else {
            Cow::Borrowed(inner)
        })
    }

    /// Returns a text cell: strings, and numbers and booleans as they are written.
    pub(super) fn as_text(self) -> Option<Cow<'a, str>> {
        match self.first() {
            b'"' => self.string(),
            b'{' | b'[' | b'n' => None,
            _ => Some(Cow::Borrowed(self.raw())),
        }
    }

    pub(super) fn as_bool(self) -> Option<bool> {
        match self.first() {
            b't' => Some(true),
            b'f' => Some(false),
            b'"' => {
                let text = self.string()?;
                if text.eq_ignore_ascii_case("true") {
                    Some(true)
                } else {
                    text.eq_ignore_ascii_case("false").then_some(false)
                }
            }
            _ => None,
        }
    }

    /// Returns an integer cell; `5432.0` and `5.432e3` are integers.
    pub(super) fn as_integer(self) -> Option<i64> {
        let text = self.as_text()?;
        let plain = text.parse().ok();
        plain.or_else(|| Decimal::parse(&text)?.integer())
    }

    pub(super) fn as_double(self) -> Option<f64> {
        let text = self.as_text()?;
        // Rust also reads "nan" and "infinity", which are not numbers to AWS.
        let numeric = text.bytes().any(|b| b.is_ascii_digit());
        text.parse().ok().filter(|n: &f64| numeric && n.is_finite())
    }

    pub(super) fn as_time(self) -> Option<i64> {
        match self.first() {
            b'"' => time::parse(&self.string()?),
            b'-' | b'0'..=b'9' => time::from_number(self.raw()),
            _ => None,
        }
    }
}
