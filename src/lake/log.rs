//! The log of a lake: the versions of a Delta Lake table
//! (<https://github.com/delta-io/delta/blob/master/PROTOCOL.md>).

mod replace;

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use buoyant_kernel::Engine;
use buoyant_kernel_engine::DefaultEngineBuilder;
use buoyant_kernel_engine::executor::tokio::{TokioBackgroundExecutor, TokioMultiThreadExecutor};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake::kernel::{
    Action, Add, ArrayType, DataType, Metadata, MetadataExt, StructField, StructType, Transaction,
    new_metadata,
};
use deltalake::logstore::{
    CommitOrBytes, LogStore, LogStoreConfig, LogStoreRef, StorageConfig, commit_uri_from_version,
};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaResult, DeltaTable, DeltaTableError};
use futures::TryStreamExt;
use object_store::ObjectStore;
use tokio::runtime::{Handle, RuntimeFlavor};
use url::Url;
use uuid::Uuid;

use super::file::{FileStats, LakeFile, STATS_COLUMNS};
use super::layout::{Level, PartitionBy};
use super::ledger::APP_ID;
use super::storage::{Created, Storage, read_error};
use crate::error::{Error, Result};
use crate::events::columns::{ColumnClass, ColumnType, catalog};

pub use replace::{Reason, Replacement};

/// The log of a lake.
#[derive(Clone)]
pub struct Log {
    name: Arc<str>,
    store: Arc<StorageLog>,
}

/// A version of a lake.
#[derive(Clone)]
pub struct Version {
    /// The number of the version.
    pub number: u64,
    /// The data files.
    pub files: Arc<[LakeFile]>,
    /// The checkpoint that belongs to it, by number.
    pub checkpoint: Option<i64>,
    /// The levels of folders.
    pub partition_by: PartitionBy,
    state: DeltaTableState,
    /// The version at which the state was last read whole: see [`Log::commit`].
    read_at: u64,
}

/// The version to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AsOf {
    /// The newest.
    #[default]
    Latest,
    /// The one of a number.
    Version(u64),
    /// The newest one at a time, in microseconds since 1970 UTC.
    Micros(i64),
}

/// A commit of the log, for people.
#[derive(Clone, Debug)]
pub struct CommitSummary {
    /// The version that it made.
    pub version: Option<u64>,
    /// The time of the commit, in milliseconds since 1970 UTC.
    pub millis: Option<i64>,
    /// The operation: `WRITE`, `OPTIMIZE`, `DELETE`.
    pub operation: String,
    /// The numbers of files that it took out and put in, if it says so.
    pub files: Option<(u64, u64)>,
    /// The program that committed.
    pub engine: String,
}

/// The outcome of a commit.
pub enum Committed {
    /// The version that it made.
    Version(Version),
    /// Somebody else's commit came first: the newest version has to be looked at.
    Conflict,
}

/// Commits after which a state is read anew. The log gets a checkpoint every 100 commits, unless a
/// table says otherwise.
const CARRIED_COMMITS: u64 = 100;

/// Files of the log that are read at the same time. A reader of JSON takes 1.6 MB from the start, so the
/// thousand that the Delta crate would open take as much as everything else.
const READ_AT_ONCE: NonZero<usize> = NonZero::new(16).expect("16 is not zero");

impl Log {
    /// The log of the lake in `storage`, which messages call `name`. Nothing is read yet.
    pub fn new(storage: Arc<dyn Storage>, name: &str) -> Self {
        // Paths are below the root of the storage, wherever that is.
        let root = Url::parse("file:///").expect("a URL");
        Self {
            name: name.into(),
            store: Arc::new(StorageLog {
                objects: storage.objects(),
                storage,
                config: LogStoreConfig::new(&root, StorageConfig::default()),
                failure: Mutex::new(None),
            }),
        }
    }

    /// Returns whether there is a lake.
    ///
    /// # Errors
    /// Those of listing.
    pub async fn exists(&self) -> Result<bool> {
        let log = self.store.storage.list("_delta_log").await?;
        let is_commit = |name: &str| name.ends_with(".json") || name.ends_with(".parquet");
        Ok(log.iter().any(|entry| is_commit(&entry.path)))
    }

    /// Reads a version; `None` if there is no lake.
    ///
    /// # Errors
    /// Query, for a version that the log does not have (any more); Io, for a log that cannot be read.
    pub async fn version(&self, at: AsOf) -> Result<Option<Version>> {
        if !self.exists().await? {
            return Ok(None);
        }
        let mut table = DeltaTable::new(self.log_store());
        let loaded = match at {
            AsOf::Latest => table.load().await,
            AsOf::Version(number) => table.load_version(number).await,
            AsOf::Micros(micros) => match DateTime::<Utc>::from_timestamp_micros(micros) {
                Some(time) => table.load_with_datetime(time).await,
                None => Err(DeltaTableError::NotInitialized),
            },
        };
        loaded.map_err(|error| match at {
            AsOf::Latest => self.error("cannot be read", error),
            AsOf::Version(number) => self.absent(&format!("version {number}"), error),
            AsOf::Micros(_) => self.absent("version of that time", error),
        })?;
        let state = table
            .snapshot()
            .map_err(|error| self.error("cannot be read", error))?;
        let number = state.version();
        let checkpoint = self.checkpoint(state).await?;
        self.read(state.clone(), checkpoint, number).map(Some)
    }

    /// Creates the lake, unless somebody else does; returns its newest version.
    ///
    /// # Errors
    /// Those of writing and reading.
    pub async fn create(&self, partition_by: &PartitionBy) -> Result<Version> {
        let failed = |error| self.error("cannot be made", error);
        let metadata = metadata(partition_by).map_err(failed)?;
        let protocol = serde_json::from_value(serde_json::json!({
            "minReaderVersion": 1, "minWriterVersion": 2
        }));
        let protocol = protocol.map_err(|error| Error::bug(format!("a protocol: {error}")))?;
        let actions = vec![Action::Protocol(protocol), Action::Metadata(metadata)];
        let built = CommitBuilder::from(CommitProperties::default().with_max_retries(0))
            .with_actions(actions)
            .build(None, self.log_store(), write_operation(partition_by));
        match built.await {
            Ok(_) => {}
            Err(error) if is_conflict(&error) => {}
            Err(error) => return Err(failed(error)),
        }
        let version = self.version(AsOf::Latest).await?;
        version.ok_or_else(|| Error::io(format!("the lake {} is gone as it was made", self.name)))
    }

    /// Reads the versions since `base`; returns the newest.
    ///
    /// # Errors
    /// Io, for a log that cannot be read.
    pub async fn update(&self, base: &Version) -> Result<Version> {
        let mut state = base.state.clone();
        let updated = state.update(&self.log_store(), None).await;
        updated.map_err(|error| self.error("cannot be read", error))?;
        let checkpoint = self.checkpoint(&state).await?;
        self.read(state, checkpoint, base.read_at)
    }

    /// Commits files after `base`, with the number of their checkpoint and columns that are new.
    ///
    /// A state that is carried from commit to commit gets slower with each, as it keeps what a commit
    /// brought apart from the rest and looks at all parts for the next. So it is read anew now and then;
    /// the log has a checkpoint as often.
    ///
    /// # Errors
    /// Those of writing. What was written is then not known: see [`Log::update`].
    pub async fn commit(
        &self,
        base: &Version,
        files: &[LakeFile],
        checkpoint: i64,
        columns: &[usize],
    ) -> Result<Committed> {
        let failed = |error| self.error("cannot be committed to", error);
        let mut actions: Vec<Action> = files.iter().map(|file| Action::Add(add(file))).collect();
        if let Some(metadata) = base.metadata_with(columns).map_err(failed)? {
            actions.push(Action::Metadata(metadata));
        }
        let properties = CommitProperties::default()
            .with_max_retries(0)
            .with_application_transaction(Transaction::new(APP_ID, checkpoint));
        let operation = write_operation(&base.partition_by);
        let built = CommitBuilder::from(properties).with_actions(actions).build(
            Some(&base.state),
            self.log_store(),
            operation,
        );
        match built.await {
            Ok(done) => {
                let version = self.read(done.snapshot(), Some(checkpoint), base.read_at)?;
                Ok(Committed::Version(self.renewed(version).await))
            }
            Err(error) if is_conflict(&error) => Ok(Committed::Conflict),
            Err(error) => Err(failed(error)),
        }
    }

    /// Returns the version, with its state read anew if it was carried through many commits.
    async fn renewed(&self, version: Version) -> Version {
        if version.number.saturating_sub(version.read_at) < CARRIED_COMMITS {
            return version;
        }
        // The commit is done whether or not this succeeds; the next one tries again.
        match self.version(AsOf::Version(version.number)).await {
            Ok(Some(renewed)) => renewed,
            Ok(None) | Err(_) => version,
        }
    }

    /// Returns the last commits, the newest first.
    ///
    /// # Errors
    /// Io, for a log that cannot be read.
    pub async fn history(&self, limit: usize) -> Result<Vec<CommitSummary>> {
        let failed = |error| self.error("cannot be read", error);
        let mut table = DeltaTable::new(self.log_store());
        table.load().await.map_err(failed)?;
        let newest = table.version();
        let infos = table
            .history(Some(limit))
            .try_collect::<Vec<_>>()
            .await
            .map_err(failed)?;
        let summaries = infos
            .into_iter()
            .enumerate()
            .map(|(index, info)| CommitSummary {
                version: newest.and_then(|newest| newest.checked_sub(index as u64)),
                millis: info.timestamp,
                files: replaced_files(&info.info),
                operation: info.operation.unwrap_or_default(),
                engine: info.engine_info.unwrap_or_default(),
            });
        Ok(summaries.collect())
    }

    fn log_store(&self) -> LogStoreRef {
        Arc::clone(&self.store) as _
    }

    /// Returns the number of the checkpoint that a state names.
    async fn checkpoint(&self, state: &DeltaTableState) -> Result<Option<i64>> {
        let number = state.transaction_version(&self.log_store(), APP_ID).await;
        number.map_err(|error| self.error("cannot be read", error))
    }

    /// Returns the version of a state that was whole at the version `read_at`.
    fn read(
        &self,
        state: DeltaTableState,
        checkpoint: Option<i64>,
        read_at: u64,
    ) -> Result<Version> {
        let columns = state.metadata().partition_columns();
        let partition_by = PartitionBy::parse(&columns.join(",")).map_err(|_| {
            Error::io(format!(
                "{} is a Delta table with folders by {columns:?}, not a lake of auroratrail",
                self.name
            ))
        })?;
        let levels = partition_by.levels();
        let log = state.log_data();
        let files = log.iter().map(|view| {
            let values = view.partition_values_map();
            let partition = levels.iter().map(|level| {
                let value = values.get(level.name()).cloned().flatten();
                (level.name().to_owned(), value.unwrap_or_default())
            });
            let path = view.path().into_owned();
            let stats = view.stats().and_then(|it| FileStats::of_json(&it));
            Ok(LakeFile {
                // Counts are answered from these.
                stats: stats.ok_or_else(|| self.without_stats(&path))?,
                path,
                size_bytes: view.size().max(0) as u64,
                partition: partition.collect(),
            })
        });
        let files: Arc<[LakeFile]> = files.collect::<Result<_>>()?;
        Ok(Version {
            number: state.version(),
            files,
            checkpoint,
            partition_by,
            state,
            read_at,
        })
    }

    fn error(&self, what: &str, error: DeltaTableError) -> Error {
        match self.store.take_failure() {
            Some(failure) => failure,
            None => read_error(format!("the lake {} {what}: {error}", self.name), error),
        }
    }

    fn without_stats(&self, path: &str) -> Error {
        Error::io(format!(
            "{path} is in the lake {} without the number of its rows; write it with statistics",
            self.name
        ))
    }

    fn absent(&self, what: &str, error: DeltaTableError) -> Error {
        Error::query(format!(
            "the lake {} has no {what}; `auroratrail lake show` lists the last ones",
            self.name
        ))
        .caused_by(error)
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Log").field(&self.name).finish()
    }
}

impl Version {
    /// Returns whether the log's schema has a column.
    pub fn has_column(&self, name: &str) -> bool {
        self.state.schema().field(name).is_some()
    }

    /// Returns the log's columns, those of the folders included.
    pub(super) fn fields(&self) -> Vec<StructField> {
        self.state.schema().fields().cloned().collect()
    }

    /// Returns the metadata with further columns; `None` if it has all of them.
    fn metadata_with(&self, columns: &[usize]) -> DeltaResult<Option<Metadata>> {
        let known = self.state.schema();
        let columns = columns.iter().map(|&index| &catalog().columns()[index]);
        let missing = columns.filter(|column| known.field(&column.name).is_none());
        let missing: Vec<StructField> = missing
            .map(|column| StructField::nullable(&column.name, data_type(column.column_type)))
            .collect();
        if missing.is_empty() {
            return Ok(None);
        }
        let schema = StructType::try_new(known.fields().cloned().chain(missing))?;
        Ok(Some(self.state.metadata().clone().with_schema(&schema)?))
    }
}

impl std::fmt::Debug for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Version")
            .field("number", &self.number)
            .field("files", &self.files.len())
            .finish_non_exhaustive()
    }
}

/// Commits as files of a storage.
struct StorageLog {
    storage: Arc<dyn Storage>,
    objects: Arc<dyn ObjectStore>,
    config: LogStoreConfig,
    /// The error of the last write, in our words.
    failure: Mutex<Option<Error>>,
}

impl StorageLog {
    fn take_failure(&self) -> Option<Error> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.take()
    }

    async fn create(&self, path: &str, bytes: Bytes) -> Result<Created, TransactionError> {
        let created = self.storage.create(path, bytes).await;
        created.map_err(|error| {
            let msg = error.to_string();
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            *failure = Some(error);
            TransactionError::LogStoreError {
                source: msg.clone().into(),
                msg,
            }
        })
    }
}

#[async_trait]
impl LogStore for StorageLog {
    /// This name makes the crate hand over the bytes of commits, and not the name of a file.
    fn name(&self) -> String {
        "DefaultLogStore".to_owned()
    }

    async fn read_commit_entry(&self, version: u64) -> DeltaResult<Option<Bytes>> {
        deltalake::logstore::read_commit_entry(&self.objects, version).await
    }

    async fn write_commit_entry(
        &self,
        version: u64,
        commit: CommitOrBytes,
        _: Uuid,
    ) -> Result<(), TransactionError> {
        let CommitOrBytes::LogBytes(bytes) = commit else {
            unreachable!("commits come as bytes to a store of this name");
        };
        let path = commit_uri_from_version(Some(version));
        match self.create(path.as_ref(), bytes).await? {
            Created::Ours => Ok(()),
            Created::Theirs => Err(TransactionError::VersionAlreadyExists(version)),
        }
    }

    async fn abort_commit_entry(
        &self,
        _: u64,
        _: CommitOrBytes,
        _: Uuid,
    ) -> Result<(), TransactionError> {
        Ok(())
    }

    async fn get_latest_version(&self, start_version: u64) -> DeltaResult<u64> {
        deltalake::logstore::get_latest_version(self, start_version).await
    }

    fn object_store(&self, _: Option<Uuid>) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects)
    }

    fn root_object_store(&self, _: Option<Uuid>) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects)
    }

    fn engine(&self, _: Option<Uuid>) -> Arc<dyn Engine> {
        let engine = DefaultEngineBuilder::new(Arc::clone(&self.objects));
        let engine = engine.with_buffer_size(READ_AT_ONCE);
        let runtime = Handle::current();
        match runtime.runtime_flavor() {
            RuntimeFlavor::MultiThread => {
                let executor = TokioMultiThreadExecutor::new(runtime);
                Arc::new(engine.with_task_executor(Arc::new(executor)).build())
            }
            // The reader blocks its thread until another one has read.
            _ => {
                let executor = TokioBackgroundExecutor::new();
                Arc::new(engine.with_task_executor(Arc::new(executor)).build())
            }
        }
    }

    fn config(&self) -> &LogStoreConfig {
        &self.config
    }
}

/// Returns the numbers of files that a commit took out and put in.
fn replaced_files(info: &HashMap<String, serde_json::Value>) -> Option<(u64, u64)> {
    let metrics = info.get("operationMetrics")?;
    let number = |name: &str| metrics.get(name)?.as_u64();
    number("numFilesRemoved").zip(number("numFilesAdded"))
}

fn is_conflict(error: &DeltaTableError) -> bool {
    matches!(
        error,
        DeltaTableError::VersionAlreadyExists(_)
            | DeltaTableError::Transaction {
                source: TransactionError::MaxCommitAttempts(_)
                    | TransactionError::VersionAlreadyExists(_)
                    | TransactionError::CommitConflict(_)
            }
    )
}

fn write_operation(partition_by: &PartitionBy) -> DeltaOperation {
    let names = partition_by
        .levels()
        .iter()
        .map(|level| level.name().to_owned());
    DeltaOperation::Write {
        mode: SaveMode::Append,
        partition_by: Some(names.collect()),
        predicate: None,
    }
}

fn add(file: &LakeFile) -> Add {
    let partition = file.partition.iter();
    let partition = partition.map(|(name, value)| (name.clone(), Some(value.clone())));
    Add {
        path: file.path.clone(),
        partition_values: partition.collect(),
        size: file.size_bytes as i64,
        modification_time: Utc::now().timestamp_millis(),
        data_change: true,
        stats: Some(file.stats.to_json()),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    }
}

/// Returns the metadata of a new lake. The columns of an API's calls are added as they occur.
fn metadata(partition_by: &PartitionBy) -> DeltaResult<Metadata> {
    let levels = partition_by.levels().iter();
    let folders = levels.clone().map(|level| {
        let data_type = match level {
            Level::Day => DataType::DATE,
            Level::Account | Level::Region => DataType::STRING,
        };
        StructField::nullable(level.name(), data_type)
    });
    let stored = super::stored_columns().iter();
    let stored = stored.map(|&index| &catalog().columns()[index]);
    let columns = stored
        .filter(|column| column.class != ColumnClass::Flattened || is_counted(&column.name))
        .map(|column| StructField::nullable(&column.name, data_type(column.column_type)));
    let schema = StructType::try_new(columns.chain(folders))?;
    let settings = HashMap::from([
        ("delta.dataSkippingStatsColumns", STATS_COLUMNS.join(",")),
        // As long as the log keeps its versions by default.
        (
            "delta.deletedFileRetentionDuration",
            "interval 30 days".to_owned(),
        ),
    ]);
    Ok(new_metadata(
        &schema,
        levels.map(|level| level.name()),
        settings,
    )?)
}

fn is_counted(name: &str) -> bool {
    STATS_COLUMNS.contains(&name)
}

fn data_type(column: ColumnType) -> DataType {
    match column {
        ColumnType::Text | ColumnType::Json => DataType::STRING,
        ColumnType::Boolean => DataType::BOOLEAN,
        ColumnType::Integer => DataType::LONG,
        ColumnType::Double => DataType::DOUBLE,
        ColumnType::Time => DataType::TIMESTAMP,
        ColumnType::Texts => ArrayType::new(DataType::STRING, true).into(),
        ColumnType::Resources => {
            let names = ["arn", "accountid", "type"];
            let fields = names.map(|name| StructField::nullable(name, DataType::STRING));
            let element = StructType::try_new(fields).expect("the names differ");
            ArrayType::new(element, true).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::tests::store::NotingStore;
    use crate::lake::{Lake, storage};
    use crate::source::{Folder, Sources};

    fn file_of(number: u64) -> LakeFile {
        LakeFile {
            path: format!("dt=2026-11-29/part-{number}.parquet"),
            size_bytes: 1000,
            partition: vec![("dt".to_owned(), "2026-11-29".to_owned())],
            stats: FileStats {
                rows: number,
                ..FileStats::default()
            },
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_state_that_is_read_anew_has_the_files_of_all_commits() {
        let folder = tempfile::tempdir().unwrap();
        let sources = Sources::new(Default::default());
        let lake = Lake::open(&sources, folder.path().to_str().unwrap());
        let lake = lake.await.unwrap();
        let log = lake.log();
        let mut version = log.create(&PartitionBy::default()).await.unwrap();
        let mut read_at = vec![version.read_at];
        for number in 1..=CARRIED_COMMITS + 2 {
            let files = [file_of(number)];
            let committed = log.commit(&version, &files, number as i64, &[]);
            let Committed::Version(next) = committed.await.unwrap() else {
                panic!("nobody else commits");
            };
            version = next;
            read_at.push(version.read_at);
        }
        read_at.dedup();
        assert_eq!(read_at, [0, CARRIED_COMMITS]);
        let mut rows: Vec<u64> = version.files.iter().map(|file| file.stats.rows).collect();
        rows.sort_unstable();
        assert_eq!(rows, (1..=CARRIED_COMMITS + 2).collect::<Vec<_>>());
        assert_eq!(version.checkpoint, Some(CARRIED_COMMITS as i64 + 2));
        let log = folder.path().join("_delta_log");
        assert!(log.join("_last_checkpoint").exists());
    }

    /// Each file of the log that is open takes memory, however few commits are new.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_commit_reads_none_of_those_before_and_an_opened_log_few_at_a_time() {
        let store = Arc::new(NotingStore::default());
        let bucket = Folder::Bucket {
            store: Arc::clone(&store) as _,
            prefix: "lake".to_owned(),
        };
        let log = Log::new(storage::open(bucket, "s3://b/lake"), "lake");
        let mut version = log.create(&PartitionBy::default()).await.unwrap();
        store.take_reads();
        for number in 1..=60 {
            let files = [file_of(number)];
            let committed = log.commit(&version, &files, number as i64, &[]).await;
            let Committed::Version(next) = committed.unwrap() else {
                panic!("nobody else commits");
            };
            let mut reads = store.take_reads();
            let own = format!("lake/_delta_log/{number:020}.json");
            reads.retain(|path| path.ends_with(".json") && *path != own);
            assert_eq!(reads, [] as [&str; 0], "{number}");
            version = next;
        }
        let opened = log.version(AsOf::Latest).await.unwrap().unwrap();
        assert_eq!(opened.files.len(), 60);
        assert!(store.take_reads().len() > 60);
        assert!(store.most_at_once() <= READ_AT_ONCE.get());
    }
}
