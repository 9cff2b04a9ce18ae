//! Counts, in words.

use std::sync::atomic::Ordering::Relaxed;

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

/// What an I/O error says to people: `no such file or directory`, without its number.
pub(super) fn why(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text
        .split_once(" (os error")
        .map_or(&*text, |(text, _)| text);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// `(2 S3 notification, 1 digest file)`
fn by_kind(kinds: &[(&'static str, u64)]) -> String {
    let kinds: Vec<String> = kinds
        .iter()
        .map(|(kind, number)| format!("{} {kind}", count(*number)))
        .collect();
    kinds.join(", ")
}

/// One line on standard error, if anything was not simply an event.
pub(super) fn summary(stats: &Stats) {
    let mut parts = Vec::new();
    let mut add = |number: u64, text: &str| {
        if number > 0 {
            parts.push(format!("{} {text}", count(number)));
        }
    };
    add(stats.salvaged.load(Relaxed), "salvaged from damaged files");
    add(stats.duplicates.load(Relaxed), "duplicates left out");
    let other = stats.not_cloudtrail_by_kind();
    let rejects = stats.rejects_by_reason();
    let sum = |kinds: &[(&str, u64)]| kinds.iter().map(|(_, number)| number).sum();
    add(
        sum(&other),
        &format!("not CloudTrail ({})", by_kind(&other)),
    );
    add(sum(&rejects), &format!("rejected ({})", by_kind(&rejects)));
    if parts.is_empty() {
        return;
    }
    let events =
        stats.events.load(Relaxed) + stats.insights.load(Relaxed) + stats.aggregated.load(Relaxed);
    let plural = if events == 1 { "" } else { "s" };
    eprintln!(
        "auroratrail: {} event{plural}; {}",
        count(events),
        parts.join("; ")
    );
}

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
