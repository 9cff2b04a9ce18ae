//! Counts, in words.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

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

/// `1 file`, `1,234 files`, of the singular.
pub(super) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// `35 MiB`, with a digit after the point below ten.
pub(super) fn bytes(number: u64) -> String {
    let mut number = number as f64;
    let mut units = ["B", "KiB", "MiB", "GiB"].iter();
    let mut unit = units.next();
    let is_large = |number: f64| number >= 1023.5;
    while let Some(next) = units.next().filter(|_| is_large(number)) {
        number /= 1024.0;
        unit = Some(next);
    }
    let unit = unit.unwrap_or(&"B");
    let digits = usize::from(number < 9.95 && *unit != "B");
    format!("{number:.digits$} {unit}")
}

/// `12 ms`, `1.204 s` or `2 min 3 s`.
pub(super) fn elapsed(time: Duration) -> String {
    let millis = time.as_millis();
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{:03} s", millis / 1_000, millis % 1_000),
        _ => long_time(time.as_secs()),
    }
}

/// `33 s`, `2 min 3 s` or `1 h 20 min`.
pub(super) fn long_time(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", count(seconds / 3_600), seconds / 60 % 60),
    }
}

/// Returns the message about a statement that was stopped: `stopped after 120 of 2,000 files (35 MiB
/// of 600 MiB, 6 %): 180,000 events read, 42 rows shown`. The time stands in the place of the files
/// if their number says nothing, as for a pipe.
pub(super) fn partial(stats: &Stats, rows: u64, time: Duration) -> String {
    let (read, listed) = (
        stats.objects_read.load(Relaxed),
        stats.objects_listed.load(Relaxed),
    );
    let is_total = stats.listing_done.load(Relaxed);
    let more = if is_total { "" } else { "+" };
    let files = match listed {
        0 | 1 => elapsed(time),
        _ => format!("{} of {}{more} files", count(read), count(listed)),
    };
    let size = part_of_bytes(stats).map_or_else(String::new, |size| format!(" ({size})"));
    let events = stats.events.load(Relaxed) + stats.salvaged.load(Relaxed);
    format!(
        "stopped after {files}{size}: {} read, {} shown",
        counted(events, "event"),
        counted(rows, "row")
    )
}

/// `35 MiB of 600 MiB, 6 %`, as far as it is known.
fn part_of_bytes(stats: &Stats) -> Option<String> {
    let (read, listed) = (
        stats.bytes_read.load(Relaxed),
        stats.bytes_listed.load(Relaxed),
    );
    if listed == 0 || read > listed {
        return (read > 0).then(|| bytes(read));
    }
    let (read_text, listed_text) = (bytes(read), bytes(listed));
    if !stats.listing_done.load(Relaxed) {
        return Some(format!("{read_text} of {listed_text}+"));
    }
    let percent = 100.0 * read as f64 / listed as f64;
    Some(format!("{read_text} of {listed_text}, {percent:.0} %"))
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
    Some(format!(
        "{}; {}",
        counted(events, "event"),
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

/// Words for files and folders that are left out by their names.
pub(super) const HIDDEN: &str = "hidden (.x, _x) left out";

/// Columns whose mismatches are told one by one.
const LISTED_COLUMNS: usize = 3;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The counters of an input of which a part is read, while the listing goes on.
    pub(in crate::cli) fn partly_read() -> Stats {
        let stats = Stats::default();
        stats.objects_listed.store(2000, Relaxed);
        stats.objects_read.store(120, Relaxed);
        stats.bytes_listed.store(600 << 20, Relaxed);
        stats.bytes_read.store(35 << 20, Relaxed);
        stats.events.store(180_000, Relaxed);
        stats
    }

    #[test]
    fn nouns_are_counted() {
        assert_eq!(counted(0, "row"), "0 rows");
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(counted(1234, "row"), "1,234 rows");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
    }

    #[test]
    fn a_size_has_two_digits_at_least_and_a_fitting_unit() {
        let sizes = [
            0,
            9,
            1_023,
            1_024,
            10_188,
            10_189,
            35 << 20,
            1_048_575,
            5 << 40,
        ];
        let texts = sizes.map(bytes);
        let expected = [
            "0 B", "9 B", "1023 B", "1.0 KiB", "9.9 KiB", "10 KiB", "35 MiB", "1.0 MiB", "5120 GiB",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_time_is_told_in_the_units_that_it_needs() {
        let millis = [0, 12, 999, 1_204, 59_999, 60_000, 123_456, 4_800_000];
        let texts = millis.map(|millis| elapsed(Duration::from_millis(millis)));
        let expected = [
            "0 ms",
            "12 ms",
            "999 ms",
            "1.204 s",
            "59.999 s",
            "1 min 0 s",
            "2 min 3 s",
            "1 h 20 min",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_stopped_statement_tells_how_far_it_came() {
        let stats = partly_read();
        let partial = |rows| partial(&stats, rows, Duration::from_millis(4_213));
        assert_eq!(
            partial(42),
            "stopped after 120 of 2,000+ files (35 MiB of 600 MiB+): 180,000 events read, 42 rows \
             shown"
        );
        stats.listing_done.store(true, Relaxed);
        assert_eq!(
            partial(1),
            "stopped after 120 of 2,000 files (35 MiB of 600 MiB, 6 %): 180,000 events read, 1 row \
             shown"
        );
        stats.objects_listed.store(1, Relaxed);
        stats.bytes_listed.store(0, Relaxed);
        stats.events.store(1, Relaxed);
        assert_eq!(
            partial(0),
            "stopped after 4.213 s (35 MiB): 1 event read, 0 rows shown"
        );
        stats.bytes_read.store(0, Relaxed);
        assert_eq!(
            partial(0),
            "stopped after 4.213 s: 1 event read, 0 rows shown"
        );
    }
}
