//! The lake: events kept as a Delta Lake table of Parquet files, in Hive folders.
//!
//! ```text
//! lake/
//! ├── _delta_log/00000000000000000042.json     what is in the lake: one commit an epoch
//! ├── _auroratrail/checkpoints/43.json.zst     how far each source was read, by number
//! ├── dt=2026-11-28/part-….parquet             the events of a day (UTC)
//! └── dt=2026-11-29/part-….parquet
//! ```
//!
//! An epoch's data files and its checkpoint are put first, under names of their own; then one commit
//! adds the files and, as its transaction identifier, the number of the checkpoint. What was put and
//! not committed is in the way of nobody.
//!
//! Every stored column is a column of the [catalog], under its physical name, with its type. A file
//! has only those that occur in it.

pub mod duplicates;
mod file;
pub mod layout;
mod writer;

use std::sync::LazyLock;

use crate::events::columns::catalog;

pub use file::{ColumnStats, FileStats, LakeFile, STATS_COLUMNS, StatsValue};
pub use writer::{FileStore, LakeWriter, RowCheck, WriterSettings, Written};

/// Returns the columns of the catalog that are stored, by index: all but `record`, which is rebuilt.
pub fn stored_columns() -> &'static [usize] {
    static STORED: LazyLock<Vec<usize>> = LazyLock::new(|| {
        let columns = catalog().columns().iter().enumerate();
        let stored = columns.filter(|(_, column)| column.path != "record");
        stored.map(|(index, _)| index).collect()
    });
    &STORED
}
