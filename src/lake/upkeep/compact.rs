//! Packs the small files of a lake.
//!
//! Bins of a round are packed a few at a time, and committed together once they are large or many, or took
//! long. After a conflict, what is packed is committed after the other's commit, unless that took files
//! out of the same partition: then it may have packed the same events, and the bin is given up.
//!
//! **Events that are there twice** are kept once: a bin leaves out what it has twice itself, and what the
//! files outside have. Of two bins that have the same event, the later one keeps it. A file outside may
//! be taken out by another process that in turn relies on this bin; that is why a bin is given up
//! if any file of its partition is gone.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::and_not;
use async_trait::async_trait;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::plan::{Bin, plan};
use crate::error::{Error, Result};
use crate::lake::data_file::DataFiles;
use crate::lake::duplicates::{EpochEvents, KnownEvents};
use crate::lake::layout::Partition;
use crate::lake::log::{AsOf, Committed, Reason, Replacement, Version};
use crate::lake::writer::{Merge, Merged, RowCheck};
use crate::lake::{Lake, LakeFile};

/// The settings of a compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactSettings {
    /// Bytes of a packed file, about.
    pub target_bytes: u64,
    /// Bytes of memory for rows, over all threads. What does not fit is sorted on disk.
    pub memory_bytes: usize,
    /// Bins that are packed at the same time.
    pub threads: usize,
}

/// Counts of a compaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactSummary {
    /// Commits.
    pub commits: u64,
    /// The last version that was committed or found.
    pub version: u64,
    /// Files that were taken out.
    pub files_before: u64,
    /// Bytes of these.
    pub bytes_before: u64,
    /// Files that have their events now.
    pub files_after: u64,
    /// Bytes of these.
    pub bytes_after: u64,
    /// Events in them.
    pub rows: u64,
    /// Events that were there twice, and are there once.
    pub duplicates: u64,
    /// Bins given up, as another process changed their partition.
    pub given_up: u64,
    /// Bins that could not be packed, with the reason.
    pub faults: Vec<String>,
    /// Whether it was stopped before it was done.
    pub is_stopped: bool,
}

/// Packs the small files of a lake until nothing would gain by it, or until `stop`; what is packed by then
/// is committed. `observe` hears of each commit.
///
/// # Errors
/// Config, if there is no lake; those of reading and writing. What was committed before stays.
pub async fn compact(
    lake: &Lake,
    settings: &CompactSettings,
    stop: &CancellationToken,
    observe: &mut (dyn FnMut(&CompactSummary) + Send),
) -> Result<CompactSummary> {
    let version = lake.version(AsOf::Latest).await?;
    let version = version.ok_or_else(|| Error::config(format!("{} is no lake", lake.name())))?;
    let mut run = Run {
        lake,
        settings,
        known: Arc::new(KnownEvents::new(lake.storage().objects())),
        left_alone: HashSet::new(),
        summary: CompactSummary {
            version: version.number,
            ..CompactSummary::default()
        },
        version,
    };
    while !run.summary.is_stopped {
        let mut bins = run.bins();
        if bins.is_empty() {
            break;
        }
        while !bins.is_empty() && !run.summary.is_stopped {
            let packed = run.pack(&mut bins, stop).await?;
            if run.commit(packed).await? {
                observe(&run.summary);
            }
        }
    }
    Ok(run.summary)
}

struct Run<'a> {
    lake: &'a Lake,
    settings: &'a CompactSettings,
    known: Arc<KnownEvents>,
    /// Files that could not be packed.
    left_alone: HashSet<String>,
    summary: CompactSummary,
    version: Version,
}

/// A bin that is packed and not committed.
struct Packed {
    bin: Bin,
    merged: Merged,
}

impl Run<'_> {
    /// Returns what is to be packed next.
    fn bins(&self) -> VecDeque<Bin> {
        let files = self.version.files.iter();
        let files = files.filter(|file| !self.left_alone.contains(&file.path));
        let files: Vec<LakeFile> = files.cloned().collect();
        plan(&files, self.settings.target_bytes).into()
    }

    /// Packs the next bins, as many as a commit has.
    async fn pack(
        &mut self,
        bins: &mut VecDeque<Bin>,
        stop: &CancellationToken,
    ) -> Result<Vec<Packed>> {
        let begun = Instant::now();
        let (mut jobs, mut packed) = (JoinSet::new(), Vec::new());
        let mut bytes = 0;
        // The files that bins after the one at hand may rely on no more.
        let mut earlier = HashSet::new();
        loop {
            let is_enough = bytes >= COMMIT_BYTES
                || packed.len() + jobs.len() >= COMMIT_BINS
                || begun.elapsed() >= COMMIT_TIME;
            while jobs.len() < self.settings.threads.max(1) && !is_enough {
                let Some(bin) = bins.pop_front() else { break };
                bytes += bin.bytes();
                let merge = self.merge(&bin, &earlier);
                earlier.extend(bin.files.iter().map(|file| file.path.clone()));
                jobs.spawn(async move { (bin, merge.run().await) });
            }
            if jobs.is_empty() {
                return Ok(packed);
            }
            let done = tokio::select! {
                done = jobs.join_next() => done,
                () = stop.cancelled() => {
                    self.summary.is_stopped = true;
                    return Ok(packed);
                }
            };
            let failed = |error| Error::bug(format!("a task that packs files stopped: {error}"));
            match done.transpose().map_err(failed)? {
                Some((bin, Ok(merged))) => packed.push(Packed { bin, merged }),
                Some((bin, Err(error))) => self.leave(&bin, error)?,
                None => return Ok(packed),
            }
        }
    }

    fn merge(&self, bin: &Bin, earlier: &HashSet<String>) -> Merge {
        let own: HashSet<&str> = bin.files.iter().map(|file| &*file.path).collect();
        let others = self.version.files.iter().filter(|file| {
            file.partition == bin.partition
                && !own.contains(&*file.path)
                && !earlier.contains(&file.path)
        });
        Merge {
            objects: self.lake.storage().objects(),
            store: Arc::new(DataFiles(Arc::clone(self.lake.storage()))),
            check: Arc::new(Once {
                seen: Mutex::default(),
                known: Arc::clone(&self.known),
                others: others.cloned().collect(),
            }),
            partition: bin.partition.clone(),
            files: bin.files.clone(),
            memory_bytes: self.settings.memory_bytes / self.settings.threads.max(1),
        }
    }

    /// Leaves the files of a bin as they are, with the reason; an error that all bins would have ends
    /// the run.
    fn leave(&mut self, bin: &Bin, error: Error) -> Result<()> {
        if error.is_retryable() || !matches!(error.kind(), crate::error::ErrorKind::Io(_)) {
            return Err(error);
        }
        self.summary.faults.push(error.to_string());
        let paths = bin.files.iter().map(|file| file.path.clone());
        self.left_alone.extend(paths);
        Ok(())
    }

    /// Commits what is packed, as far as it still can be; returns whether anything was.
    async fn commit(&mut self, mut packed: Vec<Packed>) -> Result<bool> {
        while !packed.is_empty() {
            let removed: Vec<LakeFile> =
                packed.iter().flat_map(|it| it.bin.files.clone()).collect();
            let added = packed.iter().filter_map(|it| it.merged.file.clone());
            let added: Vec<LakeFile> = added.collect();
            let replacement = Replacement {
                removed: &removed,
                added: &added,
                reason: Reason::Packed(self.settings.target_bytes),
            };
            match self.lake.log().replace(&self.version, &replacement).await? {
                Committed::Version(version) => {
                    self.count(&removed, &added, &packed);
                    self.summary.version = version.number;
                    self.version = version;
                    return Ok(true);
                }
                Committed::Conflict => {
                    let newer = self.lake.log().update(&self.version).await?;
                    let changed = changed_partitions(&self.version, &newer);
                    self.version = newer;
                    packed = self.without(packed, &changed).await;
                }
            }
        }
        Ok(false)
    }

    /// Gives up the bins of partitions that another process took files out of.
    async fn without(&mut self, packed: Vec<Packed>, changed: &BTreeSet<Partition>) -> Vec<Packed> {
        let (gone, kept): (Vec<_>, Vec<_>) = packed
            .into_iter()
            .partition(|it| changed.contains(&it.bin.partition));
        for file in gone.iter().filter_map(|it| it.merged.file.as_ref()) {
            // A file that stays is in nobody's way.
            let _ = self.lake.storage().delete(&file.path).await;
        }
        self.summary.given_up += gone.len() as u64;
        kept
    }

    fn count(&mut self, removed: &[LakeFile], added: &[LakeFile], packed: &[Packed]) {
        let bytes = |files: &[LakeFile]| files.iter().map(|file| file.size_bytes).sum::<u64>();
        let summary = &mut self.summary;
        summary.commits += 1;
        summary.files_before += removed.len() as u64;
        summary.bytes_before += bytes(removed);
        summary.files_after += added.len() as u64;
        summary.bytes_after += bytes(added);
        summary.rows += added.iter().map(|file| file.stats.rows).sum::<u64>();
        summary.duplicates += packed.iter().map(|it| it.merged.duplicates).sum::<u64>();
    }
}

/// Returns the partitions that have files in `older` which are not in `newer`.
fn changed_partitions(older: &Version, newer: &Version) -> BTreeSet<Partition> {
    let there: HashSet<&str> = newer.files.iter().map(|file| &*file.path).collect();
    let gone = older.files.iter();
    let gone = gone.filter(|file| !there.contains(&*file.path));
    gone.map(|file| file.partition.clone()).collect()
}

/// Keeps each event once.
#[derive(Debug)]
struct Once {
    seen: Mutex<EpochEvents>,
    known: Arc<KnownEvents>,
    /// The files of the partition outside the bin.
    others: Vec<LakeFile>,
}

#[async_trait]
impl RowCheck for Once {
    async fn keep(
        &self,
        _: &[(String, String)],
        rows: &RecordBatch,
    ) -> Result<Option<BooleanArray>> {
        let is_new = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.insert(rows)?
        };
        let Some(known) = self.known.find_in(&self.others, rows).await? else {
            return Ok((is_new.true_count() < rows.num_rows()).then_some(is_new));
        };
        let kept = and_not(&is_new, &known);
        let kept =
            kept.map_err(|error| Error::bug(format!("rows cannot be told apart: {error}")))?;
        Ok(Some(kept))
    }
}

/// Bytes of the files that a commit takes out, about.
const COMMIT_BYTES: u64 = 4 << 30;
/// The most bins of a commit.
const COMMIT_BINS: usize = 64;
/// The time after which no further bin is begun before a commit.
const COMMIT_TIME: Duration = Duration::from_secs(60);
