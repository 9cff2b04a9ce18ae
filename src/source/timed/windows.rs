//! The ranges of time that a log is asked for, one after another. No I/O, no clock.

/// A range of time, milliseconds since 1970 UTC, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) struct Range {
    pub(in crate::source) from: i64,
    /// `None` for everything that is there.
    pub(in crate::source) to: Option<i64>,
}

impl Range {
    /// Returns whether a time lies in it.
    pub(super) fn contains(&self, millis: i64) -> bool {
        millis >= self.from && self.to.is_none_or(|to| millis <= to)
    }
}

/// The progress through a log.
///
/// Ranges with an end come first, up to the overlap before now; then those without one. A pause that
/// was longer than the overlap begins over with the former.
#[derive(Debug)]
pub(super) struct Windows {
    /// The earliest time that is asked for.
    first: i64,
    /// The time that this reading began at.
    begun: i64,
    /// The beginning of the next range.
    from: i64,
    /// The time up to which all events were handed out, those apart that are stored later.
    through: i64,
    /// The latest time of an event, but not later than it was then.
    newest: i64,
    length: Lengths,
    caught_up_at: Option<i64>,
    overlap: i64,
}

/// The length of ranges: longer where events are few.
#[derive(Clone, Copy, Debug)]
struct Lengths {
    first: i64,
    now: i64,
}

impl Windows {
    /// Begins at a time.
    pub(super) fn begin(from: i64, overlap: i64, first_length: i64) -> Self {
        Self {
            first: from,
            begun: from,
            from,
            through: from - 1,
            newest: from - 1,
            length: Lengths {
                first: first_length,
                now: first_length,
            },
            caught_up_at: None,
            overlap,
        }
    }

    /// Begins now, with the overlap before it.
    pub(super) fn latest(now: i64, overlap: i64, first_length: i64) -> Self {
        Self {
            through: now,
            newest: now,
            ..Self::begin(now - overlap, overlap, first_length)
        }
    }

    /// Goes on after a position, with the overlap before it.
    pub(super) fn resume(through: i64, overlap: i64, first_length: i64) -> Self {
        let from = whole_second((through - overlap).max(0));
        Self {
            first: 0,
            through,
            newest: through,
            ..Self::begin(from, overlap, first_length)
        }
    }

    /// The range to read now.
    pub(super) fn next(&self, now: i64) -> Range {
        // To the end of a second: some services know no shorter times.
        let settled = whole_second(now - self.overlap) - 1;
        let is_following = self
            .caught_up_at
            .is_some_and(|at| now - at <= self.overlap + SLACK);
        let to = match is_following || self.from + SLACK > settled {
            true => None,
            false => Some(settled.min(self.from + self.length.now - 1)),
        };
        Range {
            from: self.from,
            to,
        }
    }

    /// Returns whether this range grew long where events were few. One that turns out to be crowded
    /// takes long to read, and a position does not move meanwhile.
    pub(super) fn is_long(&self, range: Range) -> bool {
        range
            .to
            .is_some_and(|to| to - range.from >= self.length.first)
    }

    /// Goes back to short ranges.
    pub(super) fn shorten(&mut self) {
        self.length.now = self.length.first;
    }

    /// Notes an event that was found at a time.
    pub(super) fn found(&mut self, millis: i64, now: i64) {
        self.newest = self.newest.max(millis.min(now));
    }

    /// Notes that a range was read whole, with so many pages that are not empty. Returns the position.
    pub(super) fn done(&mut self, range: Range, now: i64, pages: usize) -> i64 {
        let quiet = range.to.unwrap_or(i64::MAX).min(now - LONGEST_LATE);
        self.through = self.through.max(self.newest).max(quiet);
        match range.to {
            Some(to) => {
                self.from = to + 1;
                if pages <= 1 {
                    self.length.now = (2 * self.length.now).min(LONGEST);
                }
            }
            None => {
                self.caught_up_at = Some(now);
                self.from = whole_second(self.through - self.overlap).max(self.first);
            }
        }
        self.through
    }

    /// The position.
    pub(super) fn through(&self) -> i64 {
        self.through
    }

    /// The time before which no event will be asked for again by what follows.
    pub(super) fn known_from(&self) -> i64 {
        self.newest - self.overlap - SECOND
    }

    /// The time that is looked back to: so long before the newest event, but not before this reading began,
    /// as what an earlier one handed out is not known here.
    pub(super) fn look_back_from(&self, span: i64) -> i64 {
        (self.newest - span).max(self.begun)
    }

    /// What lies before the overlap, from a time on. `None` if that is nothing.
    pub(super) fn before_overlap(&self, from: i64) -> Option<Range> {
        let to = self.from - 1;
        (from <= to).then_some(Range { from, to: Some(to) })
    }
}

fn whole_second(millis: i64) -> i64 {
    millis - millis.rem_euclid(SECOND)
}

const SECOND: i64 = 1000;
/// Ranges with an end are worth it only where this much is to be read.
const SLACK: i64 = 60 * SECOND;
/// The time that a position stays behind in a log without new events, so that a writer whose clock
/// is late is heard all the same.
const LONGEST_LATE: i64 = 24 * 3600 * SECOND;
/// The longest range.
const LONGEST: i64 = 32 * 24 * 3600 * SECOND;

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60 * SECOND;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const NOW: i64 = 1_000 * DAY;

    fn begin(from: i64) -> Windows {
        Windows::begin(from, 5 * MINUTE, HOUR)
    }

    #[test]
    fn a_backfill_has_no_gaps_and_ends_in_a_range_without_an_end() {
        let mut windows = begin(NOW - 20 * HOUR);
        let mut from = NOW - 20 * HOUR;
        let mut ranges = 0;
        while let Range {
            from: next,
            to: Some(to),
        } = windows.next(NOW)
        {
            assert_eq!(next, from);
            assert!(to < NOW - 5 * MINUTE);
            windows.done(windows.next(NOW), NOW, 1);
            from = to + 1;
            ranges += 1;
        }
        assert_eq!(windows.next(NOW).from, NOW - 5 * MINUTE);
        assert_eq!(ranges, 5, "1, 2, 4, 8 hours and the rest");
    }

    #[test]
    fn following_goes_on_at_the_overlap_before_the_newest_event() {
        let mut windows = begin(NOW - 2 * DAY);
        while windows.next(NOW).to.is_some() {
            windows.done(windows.next(NOW), NOW, 1);
        }
        assert!(windows.through() <= NOW - DAY, "a writer may be late");
        windows.found(NOW - HOUR, NOW);
        // A clock that is ahead does not move the position beyond now.
        let open = windows.next(NOW);
        assert_eq!(windows.done(open, NOW, 1), NOW - HOUR);
        assert_eq!(windows.next(NOW + SECOND).from, NOW - HOUR - 5 * MINUTE);
        windows.found(NOW + 7 * HOUR, NOW);
        assert_eq!(windows.done(windows.next(NOW), NOW, 1), NOW);
        // After a long pause there may be much to read.
        assert!(windows.next(NOW + 3 * HOUR).to.is_some());
    }

    #[test]
    fn a_restart_reads_the_overlap_again() {
        let windows = Windows::resume(NOW - HOUR, 5 * MINUTE, HOUR);
        assert_eq!(windows.next(NOW).from, NOW - HOUR - 5 * MINUTE);
        assert_eq!(windows.through(), NOW - HOUR);
        // What is asked for from a time on has nothing before it.
        let mut windows = begin(NOW - MINUTE);
        windows.done(windows.next(NOW), NOW, 1);
        assert_eq!(windows.next(NOW).from, NOW - MINUTE);
    }

    #[test]
    fn ranges_grow_over_silence_and_are_short_again_where_there_is_a_crowd() {
        let mut windows = begin(NOW - 90 * DAY);
        assert!(!windows.is_long(windows.next(NOW)));
        for _ in 0..4 {
            windows.done(windows.next(NOW), NOW, 1);
        }
        assert!(windows.is_long(windows.next(NOW)));
        windows.shorten();
        assert!(!windows.is_long(windows.next(NOW)));
        windows.done(windows.next(NOW), NOW, 7);
        assert!(!windows.is_long(windows.next(NOW)));
    }
}
