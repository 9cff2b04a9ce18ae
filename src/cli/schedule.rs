//! Upkeep at times of a cron pattern.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use tokio_util::sync::CancellationToken;

use super::logs::{self, Level};
use crate::error::{Error, Result};

/// The times at which something is done.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    cron: Cron,
    zone: Tz,
}

impl Schedule {
    /// Parses a pattern of five fields (minute, hour, day of month, month, day of week), of the clock in a
    /// time zone of the IANA database.
    ///
    /// # Errors
    /// Config, for anything else, and for a pattern that no time has.
    pub(super) fn parse(pattern: &str, zone: &str) -> Result<Self> {
        let cron = Cron::from_str(pattern).map_err(|error| {
            Error::config(format!(
                "`{pattern}` is no cron pattern: {error}; expected minute, hour, day of month, month and day \
                 of week, such as 15 3 * * *"
            ))
        })?;
        let zone = zone.parse().map_err(|_| {
            Error::config(format!(
                "`{zone}` is no time zone; expected a name such as Europe/Berlin or UTC"
            ))
        })?;
        let schedule = Self { cron, zone };
        schedule.next(Utc::now())?;
        Ok(schedule)
    }

    /// Returns the first time after `now`.
    fn next(&self, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
        let now = now.with_timezone(&self.zone);
        let next = self.cron.find_next_occurrence(&now, false);
        let next =
            next.map_err(|error| Error::config(format!("the schedule has no next time: {error}")));
        Ok(next?.to_utc())
    }

    /// Waits for the next time, and tells of it first. Times that passed before are left out.
    ///
    /// # Errors
    /// Stopped, if it is.
    pub(super) async fn next_run(&self, stop: &CancellationToken) -> Result<()> {
        let next = self.next(Utc::now())?;
        let local = next.with_timezone(&self.zone).format("%Y-%m-%d %H:%M %Z");
        logs::say(Level::Info, &format!("next compaction at {local}"));
        self.wait(next, stop).await
    }

    /// Waits for a time of the clock, which may be set meanwhile, and the machine may sleep.
    async fn wait(&self, until: DateTime<Utc>, stop: &CancellationToken) -> Result<()> {
        while let Ok(left) = (until - Utc::now()).to_std() {
            let pause = left.min(LONGEST_PAUSE);
            let slept = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
            slept.ok_or_else(Error::stopped)?;
        }
        Ok(())
    }
}

/// The longest time without a look at the clock.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_the_clock_in_the_zone() {
        let next = |pattern: &str, zone: &str, now: &str| {
            let now = DateTime::parse_from_rfc3339(now).unwrap().to_utc();
            let schedule = Schedule::parse(pattern, zone).unwrap();
            schedule.next(now).unwrap().to_rfc3339()
        };
        let nightly = "15 3 * * *";
        let at = next(nightly, "UTC", "2026-11-29T03:15:00Z");
        assert_eq!(at, "2026-11-30T03:15:00+00:00");
        let winter = next(nightly, "Europe/Berlin", "2026-11-29T00:00:00Z");
        assert_eq!(winter, "2026-11-29T02:15:00+00:00");
        let summer = next(nightly, "Europe/Berlin", "2026-07-01T00:00:00Z");
        assert_eq!(summer, "2026-07-01T01:15:00+00:00");
        let sundays = next("0 4 * * SUN", "UTC", "2026-11-30T00:00:00Z");
        assert_eq!(sundays, "2026-12-06T04:00:00+00:00");
    }

    #[test]
    fn an_hour_that_the_clock_leaves_out_or_repeats_has_one_run() {
        let schedule = Schedule::parse("30 2 * * *", "Europe/Berlin").unwrap();
        let runs = |from: &str, days: i64| {
            let start = DateTime::parse_from_rfc3339(from).unwrap().to_utc();
            let mut now = start;
            let mut runs = 0;
            loop {
                now = schedule.next(now).unwrap();
                if now >= start + chrono::Duration::days(days) {
                    return runs;
                }
                runs += 1;
            }
        };
        assert_eq!(runs("2026-03-27T12:00:00Z", 4), 4);
        assert_eq!(runs("2026-10-23T12:00:00Z", 4), 4);
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        let said = |pattern: &str, zone: &str| {
            let error = Schedule::parse(pattern, zone).unwrap_err();
            error.to_string()
        };
        assert!(said("nightly", "UTC").contains("is no cron pattern"));
        assert!(said("61 3 * * *", "UTC").contains("is no cron pattern"));
        assert!(said("15 3 * * *", "Mars/Olympus").contains("is no time zone"));
        assert!(said("0 0 30 2 *", "UTC").contains("no next time"));
    }
}
