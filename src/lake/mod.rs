//! The lake: events kept as a Delta Lake table of Parquet files, in Hive folders.
//!
//! ```text
//! lake/
//! ├── _delta_log/00000000000000000042.json     what is in the lake: one commit an epoch
//! ├── _auroratrail/checkpoints/43.json.zst     how far each source was read, by number
//! ├── _auroratrail/created-once                in a bucket: an object that is created again, to see that fail
//! ├── dt=2026-11-28/part-….parquet             the events of a day (UTC)
//! └── dt=2026-11-29/part-….parquet
//! ```
//!
//! An epoch's data files and its checkpoint are put first, under names of their own; then one commit
//! adds the files and, as its transaction identifier, the number of the checkpoint. What was put and
//! not committed is in the way of nobody. The name of a data file ends in the [checksum] of its bytes.
//!
//! Files that ingests made are many and small: [`upkeep`] packs them, and removes what is too old.
//!
//! Every stored column is a column of the [catalog], under its physical name, with its type. A file
//! has only those that occur in it.

pub mod catalog;
pub mod checksum;
mod data_file;
pub mod duplicates;
mod file;
pub mod ingest;
pub mod layout;
pub mod ledger;
pub mod log;
pub mod object_cache;
pub mod storage;
#[cfg(test)]
mod tests;
pub mod upkeep;
pub mod verify;
pub mod writer;

use std::sync::{Arc, LazyLock};

use crate::error::Result;
use crate::events::columns::catalog;
use crate::source::{Folder, Sources};
use ledger::Ledger;
use log::{AsOf, Log, Version};
use storage::Storage;

pub use file::{ColumnStats, FileStats, LakeFile, STATS_COLUMNS, StatsValue};
pub use writer::PAGE_ROWS;

/// A lake, or the place where one may be.
#[derive(Clone, Debug)]
pub struct Lake {
    name: Arc<str>,
    storage: Arc<dyn Storage>,
    log: Log,
}

impl Lake {
    /// Opens the place that `text` names: a path, or `s3://bucket/prefix`. Nothing is read or made yet.
    ///
    /// # Errors
    /// As of [`Sources::folder`].
    pub async fn open(sources: &Sources, text: &str) -> Result<Self> {
        let folder = sources.folder(text).await?;
        Ok(Self::in_folder(folder, text))
    }

    /// Opens the lake in a folder, which messages call `name`.
    pub fn in_folder(folder: Folder, name: &str) -> Self {
        Self::in_storage(storage::open(folder, name), name)
    }

    /// Opens the lake in a storage, which messages call `name`.
    pub fn in_storage(storage: Arc<dyn Storage>, name: &str) -> Self {
        Self {
            log: Log::new(Arc::clone(&storage), name),
            storage,
            name: name.into(),
        }
    }

    /// The name, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The files.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Reads a version; `None` if there is no lake.
    ///
    /// # Errors
    /// As of [`Log::version`].
    pub async fn version(&self, at: AsOf) -> Result<Option<Version>> {
        self.log.version(at).await
    }

    /// Reads how far each source was read in a version.
    ///
    /// # Errors
    /// As of [`Ledger::load`].
    pub async fn ledger(&self, version: &Version) -> Result<Ledger> {
        Ledger::load(&*self.storage, version.checkpoint).await
    }
}

/// Returns the columns of the catalog that are stored, by index: all but `record`, which is rebuilt.
pub fn stored_columns() -> &'static [usize] {
    static STORED: LazyLock<Vec<usize>> = LazyLock::new(|| {
        let columns = catalog().columns().iter().enumerate();
        let stored = columns.filter(|(_, column)| column.path != "record");
        stored.map(|(index, _)| index).collect()
    });
    &STORED
}
