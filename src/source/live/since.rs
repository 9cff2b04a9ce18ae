//! The place where a reading begins that no checkpoint tells.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

use crate::error::{Error, Result};

/// The place in a stream where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) enum Since {
    /// The oldest data that is kept.
    Oldest,
    /// The time of the beginning itself.
    Latest,
    /// A time, microseconds since 1970 UTC.
    Time(i64),
}

impl Since {
    /// Parses `latest`, `trim_horizon` (or `oldest`), a span before `now` such as `-1h` or `7d`, or a time
    /// in UTC: `2026-11-05`, `2026-11-05T10:00:00Z`.
    ///
    /// # Errors
    /// Config, for anything else.
    pub(in crate::source) fn parse(text: &str, now: DateTime<Utc>) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "latest" | "now" => return Ok(Self::Latest),
            "trim_horizon" | "oldest" | "earliest" => return Ok(Self::Oldest),
            _ => {}
        }
        if let Some(before) = span(text.strip_prefix('-').unwrap_or(text)) {
            return Ok(Self::Time((now - before).timestamp_micros()));
        }
        let time = time(text).ok_or_else(|| {
            Error::config(format!(
                "`{text}` is no place to start from; expected latest, trim_horizon, -1h, 7d or a time \
                 such as 2026-11-05T10:00:00Z"
            ))
        })?;
        Ok(Self::Time(time.timestamp_micros()))
    }
}

/// Parses a moment: a span before `now` such as `7d`, or a time in UTC as `2026-11-05T10:00:00Z`.
///
/// # Errors
/// Config, for anything else.
pub fn parse_moment(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    if let Some(before) = span(text.strip_prefix('-').unwrap_or(text)) {
        return Ok(now - before);
    }
    time(text).ok_or_else(|| {
        Error::config(format!(
            "`{text}` is no time; expected a span before now such as 7d, or a time such as \
             2026-11-05T10:00:00Z"
        ))
    })
}

/// Parses a span of time: `90s`, `15m`, `1h`, `7d`, `2w`. `None` also for one of more than a century.
pub(in crate::source) fn span(text: &str) -> Option<chrono::Duration> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit);
    let number: u32 = number.parse().ok()?;
    let seconds = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    let span = chrono::Duration::try_seconds(i64::from(number) * seconds)?;
    (span.num_days() <= LONGEST_DAYS).then_some(span)
}

/// The longest span: times before now do not leave the calendar.
const LONGEST_DAYS: i64 = 36_525;

fn time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    let naive = [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
    ];
    let naive = naive
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let day = || {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()?
            .and_hms_opt(0, 0, 0)
    };
    Some(naive.or_else(day)?.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_span_before_now_or_a_time() {
        let now = DateTime::parse_from_rfc3339("2026-11-05T10:00:00Z").unwrap();
        let moment = |text: &str| parse_moment(text, now.to_utc()).map(|it| it.to_rfc3339());
        assert_eq!(moment("7d").unwrap(), "2026-10-29T10:00:00+00:00");
        assert_eq!(moment("2026-11-01").unwrap(), "2026-11-01T00:00:00+00:00");
        let said = moment("latest").unwrap_err().to_string();
        assert!(said.contains("`latest` is no time"), "{said}");
    }

    #[test]
    fn a_start_is_a_word_a_span_or_a_time() {
        let now = DateTime::parse_from_rfc3339("2026-11-05T10:00:00Z")
            .unwrap()
            .to_utc();
        let micros = |text: &str| {
            DateTime::parse_from_rfc3339(text)
                .unwrap()
                .timestamp_micros()
        };
        for (text, expected) in [
            ("LATEST", Since::Latest),
            ("trim_horizon", Since::Oldest),
            ("-1h", Since::Time(micros("2026-11-05T09:00:00Z"))),
            ("7d", Since::Time(micros("2026-10-29T10:00:00Z"))),
            ("90s", Since::Time(micros("2026-11-05T09:58:30Z"))),
            ("2026-11-05", Since::Time(micros("2026-11-05T00:00:00Z"))),
            (
                "2026-11-05T08:30",
                Since::Time(micros("2026-11-05T08:30:00Z")),
            ),
            (
                "2026-11-05 08:30:00",
                Since::Time(micros("2026-11-05T08:30:00Z")),
            ),
            (
                "2026-11-05T08:30:00+01:00",
                Since::Time(micros("2026-11-05T07:30:00Z")),
            ),
        ] {
            assert_eq!(Since::parse(text, now).unwrap(), expected, "{text}");
        }
        for wrong in [
            "",
            "-",
            "1",
            "h",
            "-1y",
            "yesterday",
            "2026-13-01",
            "99999999999d",
            "-4294967295w",
            "40000d",
        ] {
            let said = Since::parse(wrong, now).unwrap_err().to_string();
            assert!(said.contains("expected latest"), "{wrong}: {said}");
        }
    }
}
