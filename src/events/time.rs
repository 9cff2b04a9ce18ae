//! Times in the forms that AWS writes, as microseconds since 1970 UTC.

use std::ops::Range;

use chrono::DateTime;

use super::decimal::Decimal;

/// The times that columns hold, 1800 to 2261: SQL functions compute in nanoseconds, of which 64 bits hold
/// 292 years, and one time that they cannot take would fail the query. `now() - time` fits as well.
const SUPPORTED: Range<i64> = -5_364_662_400_000_000..9_214_646_400_000_000;

/// The first time that is plausible for a number in milli-, micro- or nanoseconds: 1980.
const FIRST_FINE: i64 = 315_532_800_000_000;

/// Fewest digits of a text that is a number of seconds; shorter ones are years and dates.
const MIN_EPOCH_DIGITS: usize = 9;

/// Parses any form that CloudTrail records are known to have:
///
/// - ISO 8601, with a fraction or an offset or neither, perhaps without seconds: `2026-01-31T01:02:03Z`;
/// - the same with a space: `2026-01-31 01:02:03` (aggregated events);
/// - the basic form: `20131102T010628Z` (session contexts);
/// - what Java prints, as RDS answers: `Apr 27, 2025, 10:39:19 AM`, with and without the second comma,
///   and with U+202F before AM;
/// - a number of at least nine digits, as [`from_number`] parses it.
///
/// Times before 1800 or after 2261 are not supported by the functions of SQL, and give `None`.
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
    let micros = match bytes {
        [_, _, _, _, b'-', ..] => iso(bytes),
        [b'0'..=b'9', ..] => basic(bytes).or_else(|| epoch(text)),
        _ => java(text),
    };
    micros.filter(|micros| SUPPORTED.contains(micros))
}

/// Parses a JSON number as seconds since 1970, or else as milli-, micro- or nanoseconds, in whichever unit
/// it is a plausible time. The ranges of the units do not overlap; a number between them gives `None`.
///
/// ```
/// use auroratrail::events::time::from_number;
///
/// assert_eq!(from_number("1784016930.5"), Some(1_784_016_930_500_000));
/// assert_eq!(from_number("1784016930123456"), Some(1_784_016_930_123_456));
/// assert_eq!(from_number("253402300799"), None); // seconds in the year 9999, or milliseconds in 1978
/// ```
pub fn from_number(number: &str) -> Option<i64> {
    let number = Decimal::parse(number)?;
    let supported = |micros: &i64| SUPPORTED.contains(micros);
    let seconds = number.scaled(6).filter(supported);
    seconds.or_else(|| {
        [3, 0, -3]
            .into_iter()
            .filter_map(|power| number.scaled(power))
            .find(|micros| *micros >= FIRST_FINE && supported(micros))
    })
}

/// Parses a text as the number that it is.
fn epoch(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (digits >= MIN_EPOCH_DIGITS).then(|| from_number(text))?
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
    let shape = bytes.get(..16)?;
    let separators = [shape[4], shape[7], shape[13]] == *b"--:";
    if !separators || !matches!(shape[10], b'T' | b't' | b' ') {
        return None;
    }
    let n = |from: usize, to: usize| number(&shape[from..to]);
    let (second, mut rest, mut micros) = match &bytes[16..] {
        [b':', tens, ones, rest @ ..] => (number(&[*tens, *ones])?, rest, 0),
        rest => (0, rest, 0),
    };
    if let [b'.' | b',', digits @ ..] = rest
        && bytes[16] == b':'
    {
        let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
        let kept = count.min(6);
        micros = number(digits.get(..kept)?)? * 10_i64.pow(6 - kept as u32);
        rest = &digits[count..];
    }
    let seconds = civil(
        (n(0, 4)?, n(5, 7)?, n(8, 10)?),
        (n(11, 13)?, n(14, 16)?, second),
    )?;
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

/// Parses `20131102T010628Z`, and the same without seconds.
fn basic(bytes: &[u8]) -> Option<i64> {
    let (date, clock) = match bytes {
        [date @ .., b'T', a, b, c, d, b'Z'] => (date, [*a, *b, *c, *d, b'0', b'0']),
        [date @ .., b'T', a, b, c, d, e, f, b'Z'] => (date, [*a, *b, *c, *d, *e, *f]),
        _ => return None,
    };
    let date: &[u8; 8] = date.try_into().ok()?;
    let n = number;
    let seconds = civil(
        (n(&date[..4])?, n(&date[4..6])?, n(&date[6..])?),
        (n(&clock[..2])?, n(&clock[2..4])?, n(&clock[4..])?),
    )?;
    seconds.checked_mul(1_000_000)
}

/// Parses `Apr 27, 2025, 10:39:19 AM`, and the same without seconds.
fn java(text: &str) -> Option<i64> {
    let mut parts = text
        .split([' ', ',', '\u{202f}', '\u{a0}'])
        .filter(|part| !part.is_empty());
    let month = parts.next()?;
    let month = MONTHS.iter().position(|name| month.starts_with(name))? as i64 + 1;
    let mut next = || number(parts.next()?.as_bytes());
    let (day, year) = (next()?, next()?);
    let mut clock = parts.next()?.split(':');
    let mut next = || number(clock.next()?.as_bytes());
    let (mut hour, minute) = (next()?, next()?);
    let second = match clock.next() {
        Some(second) => number(second.as_bytes())?,
        None => 0,
    };
    match parts.next() {
        Some("AM") if hour <= 12 => hour %= 12,
        Some("PM") if hour <= 12 => hour = hour % 12 + 12,
        None | Some("UTC" | "GMT") => {}
        Some(_) => return None,
    }
    civil((year, month, day), (hour, minute, second))?.checked_mul(1_000_000)
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Parses an integer of at most nine digits.
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
            ("2026-01-31T01:02Z", "2026-01-31T01:02:00+00:00"),
            ("2026-01-31 01:02", "2026-01-31T01:02:00+00:00"),
            ("2026-01-31T01:02+02:00", "2026-01-30T23:02:00+00:00"),
            ("20131102T0106Z", "2013-11-02T01:06:00+00:00"),
            ("Apr 27, 2025, 10:39 PM", "2025-04-27T22:39:00+00:00"),
            ("1800-01-01T00:00:00Z", "1800-01-01T00:00:00+00:00"),
            ("2261-12-31T23:59:59Z", "2261-12-31T23:59:59+00:00"),
            ("1784016930", "2026-07-14T08:15:30+00:00"),
            ("1784016930123", "2026-07-14T08:15:30.123+00:00"),
        ] {
            assert_eq!(iso_of(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn the_unit_of_a_number_is_told_by_its_magnitude() {
        for (number, expected) in [
            ("1767225600", 1_767_225_600_000_000),
            ("1767225600123", 1_767_225_600_123_000),
            ("1767225600123456", 1_767_225_600_123_456),
            ("1767225600123456789", 1_767_225_600_123_456),
            ("1.767225600123456e15", 1_767_225_600_123_456),
            ("1767225600.1234567", 1_767_225_600_123_456),
            ("946684800", 946_684_800_000_000),
            ("946684800000", 946_684_800_000_000),
            ("946684800000000", 946_684_800_000_000),
            ("946684800000000000", 946_684_800_000_000),
            ("0", 0),
            ("-1", -1_000_000),
        ] {
            assert_eq!(from_number(number), Some(expected), "{number}");
        }
        for number in [
            "99999999999",
            "253402300799",
            "253402300799000",
            "99999999999999999",
            "9223372036854775808",
            "-6000000000000",
            "1e400",
            "-1e999",
        ] {
            assert_eq!(from_number(number), None, "{number}");
        }
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
            "2026-01-01T00:0",
            "2026-01-01T00:00:Z",
            "2026-01-01T00:00:0Z",
            "2026-01-01T00:00.5Z",
            "20260101T00Z",
            "Apr 1, 2025, 13: AM",
            "2026",
            "20260101",
            "20260101000000",
            "1784016930 s",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "1799-12-31T23:59:59Z",
            "2262-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "Dec 31, 9999, 11:59:59 PM",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn it_agrees_with_chrono(seconds in -5_364_662_400_i64..9_214_646_400) {
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
