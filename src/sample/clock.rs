//! Times of events, and their formats in CloudTrail and RDS.

use chrono::{DateTime, Datelike, Timelike, Utc};

/// The last second of every sample: 2026-10-31T23:59:59Z.
pub(super) const END: i64 = 1_793_491_199;

/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Relative load of each hour of a working day (UTC).
const BUSY: [u64; 24] = [
    5, 4, 4, 4, 5, 7, 12, 20, 28, 32, 34, 32, 30, 34, 36, 36, 34, 30, 24, 18, 14, 11, 8, 6,
];

fn date(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).expect("within ten years before the sample's end")
}

fn push_number(out: &mut String, value: u32, width: u32) {
    for place in (0..width).rev() {
        let digit = value / 10u32.pow(place) % 10;
        out.push(char::from_digit(digit, 10).expect("below 10"));
    }
}

fn push_day(out: &mut String, at: &DateTime<Utc>, separator: &str) {
    push_number(out, at.year().unsigned_abs(), 4);
    out.push_str(separator);
    push_number(out, at.month(), 2);
    out.push_str(separator);
    push_number(out, at.day(), 2);
}

fn push_clock(out: &mut String, at: &DateTime<Utc>) {
    push_number(out, at.hour(), 2);
    out.push(':');
    push_number(out, at.minute(), 2);
    out.push(':');
    push_number(out, at.second(), 2);
}

/// Appends a time as `2026-10-03T07:05:09Z`.
pub(super) fn push_iso(out: &mut String, seconds: i64) {
    let at = date(seconds);
    push_day(out, &at, "-");
    out.push('T');
    push_clock(out, &at);
    out.push('Z');
}

/// Appends a time as `2026-10-03-07-05`, as in the names of snapshots and log files.
pub(super) fn push_stamp(out: &mut String, seconds: i64, minutes: bool) {
    let at = date(seconds);
    push_day(out, &at, "-");
    out.push('-');
    push_number(out, at.hour(), 2);
    if minutes {
        out.push('-');
        push_number(out, at.minute(), 2);
    }
}

/// Appends a day as `2026/10/03`, as in a trail's folders.
pub(super) fn push_folder(out: &mut String, seconds: i64) {
    push_day(out, &date(seconds), "/");
}

/// Appends a time as `20261003T0705Z`, as in a trail file's name.
pub(super) fn push_basic(out: &mut String, seconds: i64) {
    let at = date(seconds);
    push_day(out, &at, "");
    out.push('T');
    push_number(out, at.hour(), 2);
    push_number(out, at.minute(), 2);
    out.push('Z');
}

/// Appends a time as `Oct 3, 2026, 7:05:09 AM`, RDS's format; newer hosts put U+202F before AM
/// (`narrow`).
pub(super) fn push_rds(out: &mut String, seconds: i64, narrow: bool) {
    let at = date(seconds);
    out.push_str(MONTHS[at.month0() as usize]);
    out.push(' ');
    push_number(out, at.day(), if at.day() < 10 { 1 } else { 2 });
    out.push_str(", ");
    push_number(out, at.year().unsigned_abs(), 4);
    out.push_str(", ");
    let (afternoon, hour) = at.hour12();
    push_number(out, hour, if hour < 10 { 1 } else { 2 });
    out.push(':');
    push_number(out, at.minute(), 2);
    out.push(':');
    push_number(out, at.second(), 2);
    out.push(if narrow { '\u{202f}' } else { ' ' });
    out.push_str(if afternoon { "PM" } else { "AM" });
}

/// The distribution of a sample's events over time: busy days, quiet nights, quieter weekends.
#[derive(Clone, Debug)]
pub(super) struct Rhythm {
    begin: i64,
    /// Cumulative load at the end of each hour.
    done: Vec<u64>,
}

impl Rhythm {
    /// Creates the rhythm of the last `days` days.
    pub fn of(days: u32) -> Self {
        let begin = END + 1 - i64::from(days) * DAY;
        let mut total = 0;
        let done = (0..i64::from(days) * 24)
            .map(|hour| {
                let at = date(begin + hour * 3600);
                let weekend = at.weekday().number_from_monday() > 5;
                total += BUSY[at.hour() as usize] * if weekend { 4 } else { 10 };
                total
            })
            .collect();
        Self { begin, done }
    }

    /// Returns the time at which `part` of `whole` of the load is done.
    pub fn at(&self, part: u128, whole: u128) -> i64 {
        let total = u128::from(*self.done.last().expect("at least one day"));
        let work = u64::try_from(total * part / whole).expect("at most the total");
        let hour = self.done.partition_point(|&done| done <= work);
        let before = if hour == 0 { 0 } else { self.done[hour - 1] };
        let after = *self.done.get(hour).unwrap_or(&(before + 1));
        let second = (work - before) * 3600 / (after - before);
        let hours = i64::try_from(hour).expect("ten years have fewer");
        self.begin + hours * 3600 + i64::try_from(second).expect("below an hour")
    }

    /// Returns the midnight before `time`.
    pub fn day_of(&self, time: i64) -> i64 {
        time - (time - self.begin).rem_euclid(DAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(push: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        push(&mut out);
        out
    }

    #[test]
    fn times_are_written_as_aws_writes_them() {
        assert_eq!(written(|out| push_iso(out, END)), "2026-10-31T23:59:59Z");
        assert_eq!(
            written(|out| push_rds(out, END - DAY + 1, true)),
            "Oct 31, 2026, 12:00:00\u{202f}AM"
        );
        assert_eq!(
            written(|out| push_rds(out, 1_745_750_359, false)),
            "Apr 27, 2025, 10:39:19 AM"
        );
        assert_eq!(written(|out| push_basic(out, END)), "20261031T2359Z");
        assert_eq!(written(|out| push_folder(out, END)), "2026/10/31");
    }

    #[test]
    fn work_is_done_by_day() {
        let rhythm = Rhythm::of(7);
        let mut night = 0;
        for part in 0..1000 {
            let time = rhythm.at(part, 1000);
            assert!((END + 1 - 7 * DAY..=END).contains(&time));
            night += u32::from((time - rhythm.day_of(time)) < 6 * 3600);
        }
        assert!(night < 100, "{night} of 1000 in the six night hours");
    }
}
