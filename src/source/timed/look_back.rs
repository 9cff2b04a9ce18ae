//! Looking back: what lies before the overlap is asked for again, for events that were stored even later.

use std::time::Duration;

use tokio::time::Instant;

use super::Range;

/// The progress of looking back.
///
/// One page is asked for after each question for what is new. So the calls are doubled at the most, what is
/// new waits for one page at the most, and a crowded log is looked through in its own time.
#[derive(Debug)]
pub(super) struct LookBack {
    every: Duration,
    begin_at: Instant,
    /// The range that is being looked through, and the token of its next page.
    under_way: Option<(Range, Option<String>)>,
}

impl LookBack {
    pub(super) fn new(every: Duration) -> Self {
        Self {
            every,
            begin_at: Instant::now() + every,
            under_way: None,
        }
    }

    /// Takes the range and the token to ask with; `None` if nothing is due. A look that begins is through
    /// this range.
    pub(super) fn turn(&mut self, range: Option<Range>) -> Option<(Range, Option<String>)> {
        if let Some(under_way) = self.under_way.take() {
            return Some(under_way);
        }
        let now = Instant::now();
        if now < self.begin_at {
            return None;
        }
        self.begin_at = now + self.every;
        range.map(|range| (range, None))
    }

    /// Notes that a range has a page more: that of the token, or its first.
    pub(super) fn goes_on(&mut self, range: Range, token: Option<String>) {
        self.under_way = Some((range, token));
    }
}
