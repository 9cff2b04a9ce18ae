//! Counts, in words.

use std::sync::atomic::Ordering::Relaxed;

pub(super) use crate::reject::why;
use crate::stats::Stats;

/// `1234567` as `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `(2 S3 notification, 1 digest file)`
fn by_kind(kinds: &[(&'static str, u64)]) -> String {
    let kinds: Vec<String> = kinds
        .iter()
        .map(|(kind, number)| format!("{} {kind}", count(*number)))
        .collect();
    kinds.join(", ")
}

/// Returns one line about everything that was not simply an event; `None` if there is nothing.
pub(super) fn summary(stats: &Stats) -> Option<String> {
    let mut parts = Vec::new();
    let mut add = |number: u64, text: &str| {
        if number > 0 {
            parts.push(format!("{} {text}", count(number)));
        }
    };
    add(stats.salvaged.load(Relaxed), "salvaged from damaged files");
    add(stats.duplicates.load(Relaxed), "duplicates left out");
    let pruned = |number: u64, thing: &str| match number {
        1 => format!("{thing} left out by its key"),
        _ => format!("{thing}s left out by their keys"),
    };
    let (objects, folders) = (
        stats.objects_pruned.load(Relaxed),
        stats.folders_pruned.load(Relaxed),
    );
    add(objects, &pruned(objects, "object"));
    add(folders, &pruned(folders, "folder"));
    add(stats.hidden_left_out.load(Relaxed), HIDDEN);
    let other = stats.not_cloudtrail_by_kind();
    let rejects = stats.rejects_by_reason();
    let sum = |kinds: &[(&str, u64)]| kinds.iter().map(|(_, number)| number).sum();
    add(
        sum(&other),
        &format!("not CloudTrail ({})", by_kind(&other)),
    );
    add(sum(&rejects), &format!("rejected ({})", by_kind(&rejects)));
    parts.extend(type_mismatches(stats));
    if parts.is_empty() {
        return None;
    }
    let events =
        stats.events.load(Relaxed) + stats.insights.load(Relaxed) + stats.aggregated.load(Relaxed);
    let plural = if events == 1 { "" } else { "s" };
    Some(format!(
        "{} event{plural}; {}",
        count(events),
        parts.join("; ")
    ))
}

/// `3 values do not fit requestParameters.port and are NULL there (logs/a.json@1204)`, a part for
/// each column, those with most first.
pub(super) fn type_mismatches(stats: &Stats) -> Vec<String> {
    let mut mismatches = stats.type_mismatches();
    mismatches.sort_by_key(|(_, number, _)| std::cmp::Reverse(*number));
    let more = mismatches.len().saturating_sub(LISTED_COLUMNS);
    let mut parts: Vec<String> = mismatches
        .iter()
        .take(LISTED_COLUMNS)
        .map(|(column, number, example)| {
            let (values, fit) = match number {
                1 => ("value does", "is"),
                _ => ("values do", "are"),
            };
            format!(
                "{} {values} not fit {column} and {fit} NULL there ({example})",
                count(*number)
            )
        })
        .collect();
    if more > 0 {
        parts.push(format!("values that do not fit {more} more columns"));
    }
    parts
}

/// `12 ms`, `1.204 s`
pub(super) fn elapsed(time: std::time::Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        _ => format!("{:.3} s", time.as_secs_f64()),
    }
}

/// Returns a line about a statement that was stopped.
pub(super) fn partial(stats: &Stats, rows: u64, time: std::time::Duration) -> String {
    let events = count(stats.records());
    let rows = count(rows);
    format!(
        "stopped after {}: {events} events read, {rows} rows shown",
        elapsed(time)
    )
}

/// Words for files and folders that are left out by their names.
pub(super) const HIDDEN: &str = "hidden (.x, _x) left out";

/// Columns whose mismatches are told one by one.
const LISTED_COLUMNS: usize = 3;

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
    }
}
