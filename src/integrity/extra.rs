//! Log files that no digest file names, in folders and times that digest files cover.
//!
//! `aws cloudtrail validate-logs` does not look for them. The name of a log file has the minute of its
//! delivery, which the digest file may see somewhat later: files near the end of what is covered may
//! be in a digest file that is yet to come.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use super::Context;
use super::chain::Outcome;
use super::digest::sha256_hex;
use super::find::{Days, FileKind, find};
use super::key::delivered;
use super::report::{Finding, Report, Subject, Verdict};
use crate::error::Result;

/// Spans of time, by the folder of log files that they are about.
pub type Covered = BTreeMap<String, Vec<(DateTime<Utc>, DateTime<Utc>)>>;

/// Returns the hash that an address is remembered by.
pub fn remembered(url: &str) -> String {
    let mut hash = sha256_hex(url.as_bytes());
    hash.truncate(32);
    hash
}

/// Adds a finding for each log file that is in no digest file.
pub(super) async fn find_extra(
    context: &Context<'_>,
    all: &Outcome,
    report: &mut Report,
) -> Result<()> {
    for (folder, spans) in &all.covered {
        let spans = merged(spans);
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else {
            continue;
        };
        let days = Days::new(Some(first.0), last.1);
        for url in find(context.store, folder, FileKind::Log, &days).await? {
            let is_covered = delivered(&url).is_some_and(|time| is_covered(&spans, time));
            if is_covered && !all.named.contains(&remembered(&url)) {
                report.findings.push(Finding {
                    subject: Subject::LogFile,
                    url,
                    verdict: Verdict::Extra,
                    detail: String::new(),
                });
            }
        }
    }
    Ok(())
}

/// Joins spans that touch.
fn merged(spans: &[(DateTime<Utc>, DateTime<Utc>)]) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let mut sorted = spans.to_vec();
    sorted.sort_unstable();
    let mut merged: Vec<(DateTime<Utc>, DateTime<Utc>)> = Vec::new();
    for (start, end) in sorted {
        match merged.last_mut() {
            Some((_, last)) if *last >= start => *last = (*last).max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}

/// Returns whether a file of this minute would surely be in a digest file.
fn is_covered(spans: &[(DateTime<Utc>, DateTime<Utc>)], minute: DateTime<Utc>) -> bool {
    let settled = minute + Duration::minutes(SETTLING_MINUTES);
    let within =
        |(start, end): &(DateTime<Utc>, DateTime<Utc>)| minute >= *start && settled <= *end;
    spans.iter().any(within)
}

/// Minutes after the one in its name in which a log file may be counted as delivered.
const SETTLING_MINUTES: i64 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_near_the_end_of_a_span_may_be_in_the_next_digest() {
        let at = |text: &str| {
            DateTime::parse_from_rfc3339(&format!("2026-11-05T{text}:00Z"))
                .unwrap()
                .to_utc()
        };
        let span = |from: &str, to: &str| (at(from), at(to));
        let spans = merged(&[
            span("11:00", "12:00"),
            span("10:00", "11:00"),
            span("14:00", "15:00"),
        ]);
        assert_eq!(spans, [span("10:00", "12:00"), span("14:00", "15:00")]);
        for (time, expected) in [
            ("09:59", false),
            ("10:00", true),
            ("10:59", true),
            ("11:45", true),
            ("11:46", false),
            ("13:00", false),
            ("14:00", true),
        ] {
            assert_eq!(is_covered(&spans, at(time)), expected, "{time}");
        }
    }
}
