//! Deletes files that are in no version that anybody needs.
//!
//! | file | deleted |
//! | --- | --- |
//! | in the newest version | never |
//! | taken out of the lake | once that is longer ago than `retain` |
//! | never in the lake: a writer's that died, or is at work | once it is older than `retain` |
//! | of other programs: neither a data file nor a writer's | never |
//!
//! So a reader of an earlier version finds its files for `retain`, and a writer has that long from the first
//! file of a commit to the commit.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Duration, Utc};
use futures::{StreamExt, TryStreamExt, stream};

use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::lake::log::AsOf;
use crate::lake::storage::Entry;

/// Counts of a vacuum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VacuumSummary {
    /// Files that were taken out of the lake, and are deleted.
    pub replaced: u64,
    /// Files that were never in the lake, and are deleted.
    pub orphans: u64,
    /// Bytes of all that is deleted.
    pub bytes: u64,
    /// Files that are not in the lake, and too young to be deleted.
    pub kept: u64,
    /// The paths of all that is deleted, in order.
    pub paths: Vec<String>,
}

/// Deletes files that nobody has needed for `retain` before `now`; with `is_dry_run` only counts them.
///
/// # Errors
/// Config, if there is no lake, or if the log does not remember for as long as `retain` which files were
/// taken out; those of listing and deleting.
pub async fn vacuum(
    lake: &Lake,
    retain: Duration,
    now: DateTime<Utc>,
    is_dry_run: bool,
) -> Result<VacuumSummary> {
    let storage = lake.storage();
    // Before the version is read: what is put and committed after that is not in this list.
    let listed = storage.list("").await?;
    let version = lake.version(AsOf::Latest).await?;
    let version = version.ok_or_else(|| Error::config(format!("{} is no lake", lake.name())))?;
    let known_for = lake.log().removed_are_known_for(&version);
    if retain > known_for {
        return Err(Error::config(format!(
            "replaced files cannot be retained for {} hours: the lake remembers for {} hours which they are",
            retain.num_hours(),
            known_for.num_hours()
        )));
    }
    let removed = lake.log().removed_files(&version).await?;
    let named: HashSet<&str> = version.files.iter().map(|file| &*file.path).collect();
    let unnamed = listed
        .into_iter()
        .filter(|entry| !named.contains(&*entry.path));
    let summary = sort_out(unnamed, &removed, (now - retain).timestamp_millis());
    if !is_dry_run {
        let deletions = summary.paths.iter().map(|path| storage.delete(path));
        let mut deletions = stream::iter(deletions).buffer_unordered(DELETIONS_AT_ONCE);
        while deletions.try_next().await?.is_some() {}
    }
    Ok(summary)
}

/// Sorts files that are not in the lake into those that are deleted and those that are kept. `removed` has
/// the times at which files were taken out; `last_needed` is the last time of which nobody needs anything.
/// Both are in milliseconds since 1970 UTC.
fn sort_out(
    files: impl Iterator<Item = Entry>,
    removed: &HashMap<String, i64>,
    last_needed: i64,
) -> VacuumSummary {
    let mut summary = VacuumSummary::default();
    for file in files.filter(|file| is_ours(&file.path)) {
        let removed_at = removed.get(&file.path);
        if removed_at.copied().unwrap_or(0).max(file.modified_millis) > last_needed {
            summary.kept += 1;
            continue;
        }
        match removed_at {
            Some(_) => summary.replaced += 1,
            None => summary.orphans += 1,
        }
        summary.bytes += file.size_bytes;
        summary.paths.push(file.path);
    }
    summary.paths.sort();
    summary
}

/// Returns whether a file is a data file of a partition, or one that a writer had not finished.
fn is_ours(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    if name.starts_with(UNFINISHED) {
        return true;
    }
    let is_in_partition = !folder.is_empty() && folder.split('/').all(|part| part.contains('='));
    is_in_partition && name.ends_with(".parquet")
}

/// The beginning of the names of files that are being written.
const UNFINISHED: &str = "_writing-";

/// Files that are deleted at the same time.
const DELETIONS_AT_ONCE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_needs_is_deleted() {
        let entry = |path: &str, modified_millis| Entry {
            path: path.to_owned(),
            size_bytes: 10,
            modified_millis,
        };
        let files = [
            entry("dt=2026-11-29/replaced-long-ago.parquet", 5),
            entry("dt=2026-11-29/replaced-just-now.parquet", 5),
            entry("dt=2026-11-29/orphan.parquet", 100),
            entry("dt=2026-11-29/at-work.parquet", 101),
            entry("account=1/dt=2026-11-29/orphan.parquet", 1),
            entry("dt=2026-11-29/_writing-7-0", 1),
            entry("_delta_log/_writing-7-1", 1),
            entry("_delta_log/00000000000000000000.json", 1),
            entry("_delta_log/00000000000000000099.checkpoint.parquet", 1),
            entry("_auroratrail/checkpoints/1.json.zst", 1),
            entry("notes.parquet", 1),
            entry("dt=2026-11-29/notes.txt", 1),
        ];
        let removed = HashMap::from([
            ("dt=2026-11-29/replaced-long-ago.parquet".to_owned(), 99),
            ("dt=2026-11-29/replaced-just-now.parquet".to_owned(), 150),
        ]);
        let summary = sort_out(files.into_iter(), &removed, 100);
        assert_eq!(
            summary.paths,
            [
                "_delta_log/_writing-7-1",
                "account=1/dt=2026-11-29/orphan.parquet",
                "dt=2026-11-29/_writing-7-0",
                "dt=2026-11-29/orphan.parquet",
                "dt=2026-11-29/replaced-long-ago.parquet",
            ]
        );
        assert_eq!((summary.replaced, summary.orphans), (1, 4));
        assert_eq!((summary.bytes, summary.kept), (50, 2));
    }
}
