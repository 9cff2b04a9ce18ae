//! Times in the forms that AWS writes, as microseconds since 1970 UTC.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta};

/// Parses any form that CloudTrail records are known to have:
///
/// - ISO 8601, with a fraction or an offset or neither: `2026-01-31T01:02:03Z`;
/// - the same with a space: `2026-01-31 01:02:03` (aggregated events);
/// - the basic form: `20131102T010628Z` (session contexts);
/// - what Java prints, as RDS answers: `Apr 27, 2025, 10:39:19 AM`, with and without the second comma,
///   and with U+202F before AM.
///
/// ```
/// use auroratrail::events::time::parse;
///
/// assert_eq!(parse("1970-01-01T00:00:01Z"), Some(1_000_000));
/// assert_eq!(parse("Jan 1, 1970, 12:00:01\u{202f}AM"), Some(1_000_000));
/// ```
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    let bytes = text.as_bytes();
    match bytes {
        [_, _, _, _, b'-', ..] => iso(bytes),
        [b'0'..=b'9', ..] => basic(text),
        _ => java(text),
    }
}

/// Parses a JSON number as seconds, or as milliseconds where seconds would be past the year 5000.
pub fn from_number(number: &str) -> Option<i64> {
    let value: f64 = number.parse().ok()?;
    let micros = if value.abs() < 1e11 {
        value * 1e6
    } else {
        value * 1e3
    };
    (micros.abs() < 9e18).then_some(micros as i64)
}

/// Returns whether `text` is in the form of an event's time in CloudTrail, so that [`canonical`] restores it. A
/// leap second is not: it is parsed as the first second of the next minute.
pub fn is_canonical(text: &str) -> bool {
    text.len() == 20
        && text.ends_with('Z')
        && text.as_bytes()[10] == b'T'
        && !text.ends_with(":60Z")
        && parse(text).is_some()
}

/// Formats `micros` as CloudTrail formats an event's time.
pub fn canonical(micros: i64) -> String {
    match DateTime::from_timestamp_micros(micros) {
        Some(time) => time.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        None => micros.to_string(),
    }
}

/// Parses ISO 8601 by hand: each record has such a time.
fn iso(bytes: &[u8]) -> Option<i64> {
    let shape = bytes.get(..19)?;
    let separators = [shape[4], shape[7], shape[13], shape[16]] == *b"--::";
    if !separators || !matches!(shape[10], b'T' | b't' | b' ') {
        return None;
    }
    let n = |from: usize, to: usize| number(&shape[from..to]);
    let seconds = civil(
        (n(0, 4)?, n(5, 7)?, n(8, 10)?),
        (n(11, 13)?, n(14, 16)?, n(17, 19)?),
    )?;
    let mut rest = &bytes[19..];
    let mut micros = 0;
    if let [b'.' | b',', digits @ ..] = rest {
        let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
        let kept = count.min(6);
        micros = number(digits.get(..kept)?)? * 10_i64.pow(6 - kept as u32);
        rest = &digits[count..];
    }
    seconds
        .checked_sub(offset(rest)?)?
        .checked_mul(1_000_000)?
        .checked_add(micros)
}

/// Parses an offset as seconds east of Greenwich; an absent one is UTC.
fn offset(rest: &[u8]) -> Option<i64> {
    let (sign, digits) = match rest {
        [] | [b'Z' | b'z'] => return Some(0),
        [b' ', rest @ ..] if rest == b"UTC" || rest == b"GMT" => return Some(0),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [a, b, b':', c, d] | [a, b, c, d] => (number(&[*a, *b])?, number(&[*c, *d])?),
        [a, b] => (number(&[*a, *b])?, 0),
        _ => return None,
    };
    Some(sign * (hours * 3600 + minutes * 60))
}

/// Parses `20131102T010628Z`.
fn basic(text: &str) -> Option<i64> {
    let is_digit = |(at, byte): (usize, u8)| at == 8 || at == 15 || byte.is_ascii_digit();
    if text.len() != 16 || !text.bytes().enumerate().all(is_digit) {
        return None;
    }
    let time = NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ").ok()?;
    Some(time.and_utc().timestamp_micros())
}

/// Parses `Apr 27, 2025, 10:39:19 AM`.
fn java(text: &str) -> Option<i64> {
    let mut parts = text
        .split([' ', ',', '\u{202f}', '\u{a0}'])
        .filter(|part| !part.is_empty());
    let month = parts.next()?;
    let month = MONTHS.iter().position(|name| month.starts_with(name))? as u32 + 1;
    let day: u32 = integer(parts.next()?)?;
    let year: i32 = integer(parts.next()?)?;
    let mut clock = parts.next()?.split(':');
    let mut next = || integer::<u32>(clock.next()?);
    let (mut hour, minute, second) = (next()?, next()?, next()?);
    match parts.next() {
        Some("AM") if hour <= 12 => hour %= 12,
        Some("PM") if hour <= 12 => hour = hour % 12 + 12,
        None | Some("UTC" | "GMT") => {}
        Some(_) => return None,
    }
    // A leap second is the second after it.
    let leap = i64::from(second == 60);
    let second = second - u32::from(second == 60);
    let time = NaiveDate::from_ymd_opt(year, month, day)?.and_hms_opt(hour, minute, second)?;
    let time = time.checked_add_signed(TimeDelta::seconds(leap))?;
    Some(time.and_utc().timestamp_micros())
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Parses an integer of at most nine digits.
fn integer<T: TryFrom<i64>>(digits: &str) -> Option<T> {
    number(digits.as_bytes())?.try_into().ok()
}

fn number(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    digits.iter().try_fold(0, |sum, digit| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

/// Returns the seconds since 1970 of a date and a time of day; a leap second is the second after it.
fn civil(
    (year, month, day): (i64, i64, i64),
    (hour, minute, second): (i64, i64, i64),
) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Howard Hinnant's days_from_civil: years begin in March, so that the leap day is the last.
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso_of(text: &str) -> Option<String> {
        let micros = parse(text)?;
        Some(DateTime::from_timestamp_micros(micros)?.to_rfc3339())
    }

    #[test]
    fn every_form_that_aws_writes_is_read() {
        for (text, expected) in [
            ("2026-01-31T01:02:03Z", "2026-01-31T01:02:03+00:00"),
            ("2026-01-31T01:02:03.5Z", "2026-01-31T01:02:03.500+00:00"),
            (
                "2026-01-31T01:02:03.123456789+02:00",
                "2026-01-30T23:02:03.123456+00:00",
            ),
            ("2026-01-31 01:02:03", "2026-01-31T01:02:03+00:00"),
            ("20131102T010628Z", "2013-11-02T01:06:28+00:00"),
            ("Apr 27, 2025, 10:39:19 AM", "2025-04-27T10:39:19+00:00"),
            ("Apr 7, 2025 12:39:19 PM", "2025-04-07T12:39:19+00:00"),
            (
                "Apr 7, 2025, 12:00:09\u{202f}AM",
                "2025-04-07T00:00:09+00:00",
            ),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00+00:00"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
            ("20161231T235960Z", "2017-01-01T00:00:00+00:00"),
            ("Dec 31, 2016, 11:59:60 PM", "2017-01-01T00:00:00+00:00"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"),
        ] {
            assert_eq!(iso_of(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(from_number("1767225600"), Some(1_767_225_600_000_000));
        assert_eq!(from_number("1767225600123"), Some(1_767_225_600_123_000));
    }

    #[test]
    fn other_texts_are_not_times() {
        for text in [
            "",
            "yesterday",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01",
            "2026-01-01T00:00:00+0",
            "2026-1-1T00:00:00Z",
            "Foo 1, 2025, 1:00:00 AM",
            "Apr 31, 2025, 1:00:00 AM",
            "Apr 1, 2025, 13:00:00 PM",
            "HIDDEN_DUE_TO_SECURITY_REASONS",
            "20261301T000000Z",
            "20260101T240000Z",
            "20260101t000000Z",
            "2026010 T000000Z",
            "20260101T000000z",
            "-",
            "Apr",
            "Apr 999999999999, 2025, 1:00:00 AM",
            "Jan 1, 999999999, 1:00:00 AM",
        ] {
            assert!(
                parse(text).is_none_or(|t| text.contains("999999999") && t > 0),
                "{text}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn it_agrees_with_chrono(seconds in -62_135_596_800_i64..253_402_300_799) {
            let text = canonical(seconds * 1_000_000);
            proptest::prop_assert_eq!(parse(&text), Some(seconds * 1_000_000));
            proptest::prop_assert!(is_canonical(&text));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9TZ:., +-]{0,30}|\\PC{0,20}") {
            let _ = parse(&text);
            let _ = from_number(&text);
        }
    }
}
