//! The way of events into a lake: epochs, duplicates, commits, conflicts with other writers.
//!
//! ```text
//! deliver() ── batches ──> condition ──> new in this epoch? ──> LakeWriter ──> data files
//!          └── barrier ──> checkpoint file ──> commit of both ──> next epoch
//!                                              │ conflict: somebody else has committed
//!                                              ├─ other objects: leave out what they brought, again
//!                                              └─ the same objects: give up the epoch, read on from theirs
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, not};
use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use uuid::Uuid;

use super::data_file::{DataFiles, as_decoded};
use super::duplicates::{EpochEvents, KnownEvents};
use super::file::LakeFile;
use super::layout::PartitionBy;
use super::ledger::Ledger;
use super::log::{Committed, Log, Version};
use super::storage::Storage;
use super::writer::{LakeWriter, RowCheck, WriterSettings, Written};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::events::RowFilter;
use crate::events::columns::catalog;
use crate::execution::Execution;
use crate::pipeline::{
    BatchRequest, Delivery, DeliveryRequest, End, Epochs, ProgressWatch, deliver,
};
use crate::source::{Boundedness, KeyFilter, Location, OpenContext, Reading, Sources};

/// A condition that rows must meet to be kept.
pub trait RowCondition: Send + Sync {
    /// Returns the rows that may be left out while they are decoded.
    fn filter(&self) -> RowFilter;

    /// Returns which rows are kept.
    ///
    /// # Errors
    /// Query, if the condition fails on a row.
    fn keep(&self, rows: &RecordBatch) -> Result<BooleanArray>;
}

/// The settings of an ingest.
#[derive(Clone)]
pub struct IngestSettings {
    /// Threads that decode.
    pub threads: usize,
    /// The part of live sources that is read.
    pub reading: Reading,
    /// Whether local files are followed as they grow.
    pub follow: bool,
    /// The end of an epoch.
    pub epochs: Epochs,
    /// The folders of a new lake, or those that a lake has to have; `None` for those that it has.
    pub partition_by: Option<PartitionBy>,
    /// Sizes of files. The folders in it are those of the lake.
    pub writer: WriterSettings,
    /// Rows that are kept; `None` for all.
    pub condition: Option<Arc<dyn RowCondition>>,
    /// Hides values that look like secrets.
    pub redact: bool,
    /// The time that a last commit has after a stop.
    pub last_commit: Duration,
}

/// A lake that is written to.
pub struct Ingest<'a> {
    storage: Arc<dyn Storage>,
    log: Log,
    settings: &'a IngestSettings,
    writer_settings: WriterSettings,
    known: Arc<KnownEvents>,
    /// A name of this run, for its checkpoints.
    writer_name: String,
    summary: IngestSummary,
    /// Whether what is read ends by itself, once the lake is open.
    boundedness: Option<Boundedness>,
    progress: ProgressWatch,
}

/// Counts of an ingest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngestSummary {
    /// Commits.
    pub commits: u64,
    /// The last version that was committed or found.
    pub version: u64,
    /// Data files committed.
    pub files: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Rows committed.
    pub rows: u64,
    /// Rows left out, as the lake or this run had the event.
    pub duplicates: u64,
    /// Rows left out by the condition, as far as they were decoded.
    pub left_out: u64,
    /// Rows committed without a time of their own.
    pub without_time: u64,
    /// Epochs given up, as another writer had read the same objects.
    pub given_up: u64,
}

/// The end of an epoch, as an observer hears of it.
#[derive(Clone, Debug)]
pub struct EpochEnd {
    /// The whole run up to now.
    pub summary: IngestSummary,
    /// Whether this epoch made a version. One without anything new makes none, and one that is given
    /// up does not either.
    pub is_committed: bool,
    /// The time from the barrier to the end: the last files, their checkpoint, the version.
    pub latency: Duration,
}

/// The state between two commits.
struct Head {
    version: Version,
    ledger: Ledger,
}

/// What a run reads.
struct RunReading<'r> {
    sources: &'r Sources,
    locations: &'r [Location],
    execution: &'r Arc<Execution>,
    /// The number of the lake in the run.
    part: u64,
}

/// The end of an epoch's attempt to commit.
enum Outcome {
    /// It is committed, or there was nothing to commit.
    Committed,
    /// It is committed, and so is another writer's: what that has read need not be read here.
    Joined,
    /// Another writer has read the same objects.
    Superseded,
}

impl<'a> Ingest<'a> {
    /// An ingest into the lake in `storage`, whose log is `log`.
    pub fn new(storage: Arc<dyn Storage>, log: Log, settings: &'a IngestSettings) -> Self {
        Self {
            known: Arc::new(KnownEvents::new(storage.objects())),
            storage,
            log,
            settings,
            writer_settings: settings.writer.clone(),
            writer_name: Uuid::new_v4().to_string(),
            summary: IngestSummary::default(),
            boundedness: None,
            progress: ProgressWatch::default(),
        }
    }

    /// Returns the progress of the source, which the run keeps up to date.
    pub fn progress(&self) -> ProgressWatch {
        self.progress.clone()
    }

    /// Reads `locations` from where the lake's last commit was, to their end or until `execution` is
    /// stopped; commits epoch by epoch, and tells `observe` of the end of each.
    ///
    /// A lake that answered and does not for now is tried again, after pauses that grow and vary, and what was
    /// not committed is read, and counted, again. While sources end by themselves that is given up after
    /// twelve attempts without a commit. Standard input cannot be read again: it ends with the error.
    ///
    /// A stop waits for the last commit, but not for a lake that does not take it: after
    /// [`last_commit`](IngestSettings::last_commit) it is given up, and the next run reads again what it would
    /// have had.
    ///
    /// # Errors
    /// The error that ended the source or the lake. What was committed before is in the lake.
    pub async fn run(
        mut self,
        sources: &Sources,
        locations: &[Location],
        execution: &Arc<Execution>,
        observe: &mut (dyn FnMut(&EpochEnd) + Send),
    ) -> Result<IngestSummary> {
        let reading = RunReading {
            sources,
            locations,
            execution,
            part: execution.stats.add_part(),
        };
        let mut pauses = PAUSES.build();
        let mut attempts = 0;
        loop {
            let commits = self.summary.commits;
            let overdue = overdue(execution, self.settings.last_commit);
            let read = tokio::select! {
                read = self.read(&reading, observe) => read,
                error = overdue => Err(error),
            };
            let error = match read {
                Ok(None) => return Ok(self.summary),
                Ok(Some(error)) => return Err(error),
                Err(error) => error,
            };
            if self.summary.commits > commits {
                (pauses, attempts) = (PAUSES.build(), 0);
            }
            attempts += 1;
            let may_repeat = match self.boundedness {
                Some(Boundedness::Unbounded) => true,
                Some(Boundedness::Bounded) => attempts < ATTEMPTS,
                // It has not answered yet: the settings may be wrong.
                None => false,
            };
            let may_repeat = may_repeat && !locations.iter().any(Location::is_stdin);
            if !may_repeat || !error.is_retryable() || execution.stop().is_cancelled() {
                return Err(error);
            }
            let told = format!("{error}, attempt {attempts} failed");
            execution.stats.set_retrying(reading.part, Some(told));
            let pause = tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE));
            if execution.stop().run_until_cancelled(pause).await.is_none() {
                return Err(error);
            }
        }
    }

    /// Reads on from the lake's last commit; returns the error that ended the source, if one did.
    ///
    /// # Errors
    /// Those of the lake.
    async fn read(
        &mut self,
        reading: &RunReading<'_>,
        observe: &mut (dyn FnMut(&EpochEnd) + Send),
    ) -> Result<Option<Error>> {
        let execution = reading.execution;
        let mut head = self.open().await?;
        loop {
            let open = OpenContext {
                from: Some(head.ledger.checkpoint.clone()),
                reading: self.settings.reading,
                follow: self.settings.follow,
                keys: KeyFilter::default(),
                by_day: true,
                execution: Arc::clone(execution),
                known: None,
            };
            let source = match reading.sources.open(reading.locations, &open) {
                Ok(source) => source,
                Err(error) => return Ok(Some(error)),
            };
            self.boundedness = Some(source.boundedness());
            let mut deliveries = deliver(source, &self.request(), execution);
            let mut epoch = self.epoch(&head);
            loop {
                match deliveries.next_watched(&self.progress).await? {
                    Some(Delivery::Batch(batch)) => epoch.take(batch).await?,
                    Some(Delivery::Barrier(barrier)) => {
                        let outcome = self
                            .end_epoch(&mut head, epoch, &barrier.checkpoint, observe)
                            .await?;
                        execution.stats.set_retrying(reading.part, None);
                        match (outcome, barrier.end) {
                            (Outcome::Superseded, _) => break,
                            (Outcome::Joined, None) => break,
                            (_, None) => epoch = self.epoch(&head),
                            (_, Some(End::Failed(error))) => return Ok(Some(error)),
                            (_, Some(End::Stopped)) => return Ok(Some(Error::stopped())),
                            (_, Some(End::Exhausted)) => return Ok(None),
                        }
                    }
                    None => return Ok(None),
                }
            }
        }
    }

    /// Opens the lake, or makes it.
    async fn open(&mut self) -> Result<Head> {
        let wanted = self.settings.partition_by.clone();
        let version = match self.log.version(Default::default()).await? {
            Some(version) => version,
            None => self.log.create(&wanted.clone().unwrap_or_default()).await?,
        };
        if let Some(wanted) = wanted.filter(|wanted| version.partition_by != *wanted) {
            return Err(Error::config(format!(
                "the lake has folders by {}, not by {wanted}; they cannot be changed",
                version.partition_by
            )));
        }
        self.writer_settings.partition_by = version.partition_by.clone();
        self.summary.version = version.number;
        let ledger = Ledger::load(&*self.storage, version.checkpoint).await?;
        Ok(Head { version, ledger })
    }

    fn request(&self) -> DeliveryRequest {
        let condition = self.settings.condition.as_ref();
        DeliveryRequest {
            threads: self.settings.threads,
            batches: BatchRequest {
                projection: super::stored_columns().to_vec(),
                filter: condition.map(|it| it.filter()).unwrap_or_default(),
                batch_rows: BATCH_ROWS,
                limit: None,
                redact: self.settings.redact,
            },
            // The lake knows the events of all runs.
            dedup: false,
            epochs: self.settings.epochs,
        }
    }

    fn epoch(&self, head: &Head) -> Epoch {
        self.known.set_files(Arc::clone(&head.version.files));
        let check = Arc::new(NotKnown(Arc::clone(&self.known)));
        Epoch {
            writer: self.writer(check),
            condition: self.settings.condition.clone(),
            seen: EpochEvents::default(),
            duplicates: 0,
            left_out: 0,
        }
    }

    fn writer(&self, check: Arc<dyn RowCheck>) -> LakeWriter {
        let store = Arc::new(DataFiles(Arc::clone(&self.storage)));
        LakeWriter::new(store, Some(check), self.writer_settings.clone())
    }

    /// Commits an epoch, and tells `observe` of it.
    async fn end_epoch(
        &mut self,
        head: &mut Head,
        epoch: Epoch,
        checkpoint: &Checkpoint,
        observe: &mut (dyn FnMut(&EpochEnd) + Send),
    ) -> Result<Outcome> {
        let (begun, commits_before) = (Instant::now(), self.summary.commits);
        let outcome = self.commit(head, epoch, checkpoint).await?;
        observe(&EpochEnd {
            summary: self.summary.clone(),
            is_committed: self.summary.commits > commits_before,
            latency: begun.elapsed(),
        });
        Ok(outcome)
    }

    /// Commits an epoch that `checkpoint` covers.
    async fn commit(
        &mut self,
        head: &mut Head,
        epoch: Epoch,
        checkpoint: &Checkpoint,
    ) -> Result<Outcome> {
        let (duplicates, left_out) = (epoch.duplicates, epoch.left_out);
        let mut written = epoch.writer_done().await?;
        let mut checkpoint = checkpoint.clone();
        if written.files.is_empty() && checkpoint == head.ledger.checkpoint {
            return Ok(Outcome::Committed);
        }
        let mut base = head.ledger.checkpoint.clone();
        let mut after = None;
        let mut outcome = Outcome::Committed;
        loop {
            let storage = &*self.storage;
            let name = &self.writer_name;
            let ledger = head.ledger.put(storage, &checkpoint, name, after).await?;
            let number = ledger
                .number
                .expect("a checkpoint that was put has a number");
            let columns = columns_of(&written);
            let committed = self
                .log
                .commit(&head.version, &written.files, number, &columns);
            match committed.await? {
                Committed::Version(version) => {
                    // What stays is in nobody's way, and the next one that is whole tries again.
                    let _ = ledger.clean(storage, &head.ledger).await;
                    self.count(
                        &written,
                        version.number,
                        duplicates + written.duplicates,
                        left_out,
                    );
                    *head = Head { version, ledger };
                    return Ok(outcome);
                }
                Committed::Conflict => {}
            }
            after = Some(number);
            let theirs = self.look(head).await?;
            if theirs.version.checkpoint == Some(number) {
                let duplicates = duplicates + written.duplicates;
                self.count(&written, theirs.version.number, duplicates, left_out);
                *head = theirs;
                return Ok(outcome);
            }
            let their_news = theirs.ledger.checkpoint.since(&base);
            if checkpoint.since(&base).overlaps(&their_news) {
                self.give_up(&written).await;
                *head = theirs;
                return Ok(Outcome::Superseded);
            }
            checkpoint = checkpoint.rebased(&base, &theirs.ledger.checkpoint);
            base = theirs.ledger.checkpoint.clone();
            if theirs.ledger.number != head.ledger.number {
                outcome = Outcome::Joined;
            }
            written = self
                .without(written, &head.version, &theirs.version)
                .await?;
            *head = theirs;
        }
    }

    /// Looks at the newest version.
    async fn look(&self, head: &Head) -> Result<Head> {
        let version = self.log.update(&head.version).await?;
        let ledger = match version.checkpoint == head.ledger.number {
            true => head.ledger.clone(),
            false => Ledger::load(&*self.storage, version.checkpoint).await?,
        };
        Ok(Head { version, ledger })
    }

    /// Leaves out of `written` the events in files that are in `newer` and not in `older`.
    async fn without(&self, written: Written, older: &Version, newer: &Version) -> Result<Written> {
        let known: std::collections::HashSet<&str> =
            older.files.iter().map(|file| &*file.path).collect();
        let new = newer
            .files
            .iter()
            .filter(|file| !known.contains(&*file.path));
        let new: Vec<LakeFile> = new.cloned().collect();
        if new.is_empty() {
            return Ok(written);
        }
        let others = KnownEvents::new(self.storage.objects());
        others.set_files(new.into());
        let others = Arc::new(others);
        let mut kept = Written {
            files: Vec::new(),
            ..written.clone()
        };
        for file in written.files {
            let rows = self.read_file(&file).await?;
            if others.find(&file.partition, &rows).await?.is_none() {
                kept.files.push(file);
                continue;
            }
            let mut writer = self.writer(Arc::new(NotKnown(Arc::clone(&others))));
            writer.write(rows).await?;
            let again = writer.finish().await?;
            kept.rows -= file.stats.rows - again.rows;
            kept.duplicates += again.duplicates;
            kept.files.extend(again.files);
            self.storage.delete(&file.path).await?;
        }
        Ok(kept)
    }

    async fn read_file(&self, file: &LakeFile) -> Result<RecordBatch> {
        let bytes = self.storage.read(&file.path).await?;
        let gone = || Error::io(format!("{} is gone as it was committed", file.path));
        let read = || {
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.ok_or_else(gone)?)?;
            let schema = Arc::clone(reader.schema());
            let batches = reader.with_batch_size(BATCH_ROWS).build()?;
            let batches = batches.collect::<Result<Vec<_>, _>>()?;
            let batch = arrow::compute::concat_batches(&schema, &batches)?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(as_decoded(&batch)?)
        };
        read().map_err(|error| Error::io(format!("cannot read {}: {error}", file.path)))
    }

    /// Deletes what was written and will not be committed. A file that stays is in nobody's way.
    async fn give_up(&mut self, written: &Written) {
        self.summary.given_up += 1;
        for file in &written.files {
            let _ = self.storage.delete(&file.path).await;
        }
    }

    fn count(&mut self, written: &Written, version: u64, duplicates: u64, left_out: u64) {
        let summary = &mut self.summary;
        summary.commits += 1;
        summary.version = version;
        summary.files += written.files.len() as u64;
        summary.bytes += written
            .files
            .iter()
            .map(|file| file.size_bytes)
            .sum::<u64>();
        summary.rows += written.rows;
        summary.duplicates += duplicates;
        summary.left_out += left_out;
        summary.without_time += written.without_time;
    }
}

/// What is not committed yet.
struct Epoch {
    writer: LakeWriter,
    condition: Option<Arc<dyn RowCondition>>,
    seen: EpochEvents,
    duplicates: u64,
    left_out: u64,
}

impl Epoch {
    async fn take(&mut self, mut batch: RecordBatch) -> Result<()> {
        let failed = |error| Error::bug(format!("rows cannot be left out: {error}"));
        if let Some(condition) = &self.condition {
            let kept = filter_record_batch(&batch, &condition.keep(&batch)?).map_err(failed)?;
            self.left_out += (batch.num_rows() - kept.num_rows()) as u64;
            batch = kept;
        }
        let is_new = self.seen.insert(&batch)?;
        let duplicates = batch.num_rows() - is_new.true_count();
        self.duplicates += duplicates as u64;
        match batch.num_rows() {
            0 => Ok(()),
            _ if duplicates == 0 => self.writer.write(batch).await,
            _ => self.writer.write_some(batch, &is_new).await,
        }
    }

    async fn writer_done(mut self) -> Result<Written> {
        self.writer.finish().await
    }
}

/// Keeps the events that files do not have.
#[derive(Debug)]
struct NotKnown(Arc<KnownEvents>);

#[async_trait]
impl RowCheck for NotKnown {
    async fn keep(
        &self,
        partition: &[(String, String)],
        rows: &RecordBatch,
    ) -> Result<Option<BooleanArray>> {
        let found = self.0.find(partition, rows).await?;
        let inverted = found.map(|found| not(&found)).transpose();
        inverted.map_err(|error| Error::bug(format!("rows cannot be told apart: {error}")))
    }
}

/// Returns the error of a last commit that is not done, once it has had its time since the stop.
async fn overdue(execution: &Execution, last_commit: Duration) -> Error {
    execution.stop().cancelled().await;
    tokio::time::sleep(last_commit).await;
    let seconds = last_commit.as_secs();
    Error::io(format!(
        "the last commit was not done {seconds} s after the stop and is given up; the next run reads again what \
         it would have had"
    ))
}

/// Returns the columns that occur in files, as indexes into the catalog.
fn columns_of(written: &Written) -> Vec<usize> {
    let columns = written.columns.iter();
    columns
        .filter_map(|name| catalog().index_of(name))
        .collect()
}

/// Pauses between attempts at a lake that does not answer, beyond those that its store's client makes.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(200))
    .with_max_delay(LONGEST_PAUSE)
    .with_jitter()
    .without_max_times();

/// Attempts in a row after which a run gives up that would end by itself.
const ATTEMPTS: u32 = 12;

const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Rows of a batch that is decoded: all columns of it are in memory.
const BATCH_ROWS: usize = 4096;
