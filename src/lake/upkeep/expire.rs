//! Takes days out of a lake that are too old.

use crate::error::{Error, Result};
use crate::lake::log::{AsOf, Committed, Reason, Replacement, Version};
use crate::lake::{Lake, LakeFile};

/// Counts of what is taken out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpireSummary {
    /// The version after it, or the one that was looked at.
    pub version: u64,
    /// Days, `2026-11-29`, ascending.
    pub days: Vec<String>,
    /// Files.
    pub files: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Events in them.
    pub rows: u64,
}

/// Takes all files of days before `day` (`2026-11-29`, UTC) out of the lake, in one commit; with
/// `is_dry_run` only counts them.
///
/// # Errors
/// Config, if there is no lake; those of reading and writing the log.
pub async fn expire(lake: &Lake, day: &str, is_dry_run: bool) -> Result<ExpireSummary> {
    let version = lake.version(AsOf::Latest).await?;
    let mut version =
        version.ok_or_else(|| Error::config(format!("{} is no lake", lake.name())))?;
    loop {
        let old = before(&version, day);
        let mut summary = summary(&version, &old);
        if old.is_empty() || is_dry_run {
            return Ok(summary);
        }
        let replacement = Replacement {
            removed: &old,
            added: &[],
            reason: Reason::Expired(day),
        };
        match lake.log().replace(&version, &replacement).await? {
            Committed::Version(done) => {
                summary.version = done.number;
                return Ok(summary);
            }
            // What came meanwhile may be as old.
            Committed::Conflict => version = lake.log().update(&version).await?,
        }
    }
}

fn before(version: &Version, day: &str) -> Vec<LakeFile> {
    let files = version.files.iter();
    let old = files.filter(|file| day_of(file).is_some_and(|it| it < day));
    old.cloned().collect()
}

/// Returns the day of a file's folder; `None` if it is not a day.
fn day_of(file: &LakeFile) -> Option<&str> {
    let (_, day) = file.partition.iter().find(|(name, _)| name == "dt")?;
    let is_day = chrono::NaiveDate::parse_from_str(day, "%Y-%m-%d").is_ok();
    is_day.then_some(day)
}

fn summary(version: &Version, files: &[LakeFile]) -> ExpireSummary {
    let mut days: Vec<String> = files.iter().filter_map(day_of).map(str::to_owned).collect();
    days.sort();
    days.dedup();
    ExpireSummary {
        version: version.number,
        days,
        files: files.len() as u64,
        bytes: files.iter().map(|file| file.size_bytes).sum(),
        rows: files.iter().map(|file| file.stats.rows).sum(),
    }
}
