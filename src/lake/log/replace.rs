//! Commits that take files out of the lake, and what the log remembers of such files.

use std::collections::HashMap;

use chrono::{Duration, Utc};
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Remove};
use deltalake::protocol::DeltaOperation;
use deltalake::table::config::TablePropertiesExt;
use futures::TryStreamExt;
use serde_json::json;

use super::{Committed, Log, Version, add, is_conflict};
use crate::error::Result;
use crate::lake::LakeFile;

/// A commit that takes files out of the lake.
#[derive(Clone, Copy, Debug)]
pub struct Replacement<'a> {
    /// The files that are taken out.
    pub removed: &'a [LakeFile],
    /// The files that have their events; none if the events are to go.
    pub added: &'a [LakeFile],
    /// The reason.
    pub reason: Reason<'a>,
}

/// The reason why files are taken out.
#[derive(Clone, Copy, Debug)]
pub enum Reason<'a> {
    /// They are packed to files of this many bytes.
    Packed(u64),
    /// Their events are of days before this one: `2026-11-29`.
    Expired(&'a str),
}

impl Log {
    /// Takes files out after `base`, and puts others in. The positions of sources stay as they are.
    ///
    /// # Errors
    /// Those of writing. Whether it is committed is then not known.
    pub async fn replace(
        &self,
        base: &Version,
        replacement: &Replacement<'_>,
    ) -> Result<Committed> {
        let operation = match replacement.reason {
            Reason::Packed(target) => DeltaOperation::Optimize {
                predicate: None,
                target_size: i64::try_from(target).unwrap_or(i64::MAX),
            },
            Reason::Expired(day) => DeltaOperation::Delete {
                predicate: Some(format!("dt < '{day}'")),
            },
        };
        // Of packed files, readers of changes are told nothing: the events are the same.
        let is_change = matches!(replacement.reason, Reason::Expired(_));
        let removed = replacement.removed.iter();
        let removed = removed.map(|file| Action::Remove(remove(file, is_change)));
        let added = replacement.added.iter().map(|file| {
            let mut add = add(file);
            add.data_change = is_change;
            Action::Add(add)
        });
        let metrics = json!({
            "numFilesRemoved": replacement.removed.len(),
            "numFilesAdded": replacement.added.len(),
        });
        let properties = CommitProperties::default()
            .with_max_retries(0)
            .with_metadata([("operationMetrics".to_owned(), metrics)]);
        let built = CommitBuilder::from(properties)
            .with_actions(removed.chain(added).collect())
            .build(Some(&base.state), self.log_store(), operation);
        match built.await {
            Ok(done) => {
                let version = self.read(done.snapshot(), base.checkpoint, base.read_at)?;
                Ok(Committed::Version(self.renewed(version).await))
            }
            Err(error) if is_conflict(&error) => Ok(Committed::Conflict),
            Err(error) => Err(self.error("cannot be committed to", error)),
        }
    }

    /// Returns the files that were taken out, by path, with the time at which each was, in milliseconds
    /// since 1970 UTC. They are forgotten after [`Log::removed_are_known_for`].
    ///
    /// # Errors
    /// Io, for a log that cannot be read.
    pub async fn removed_files(&self, version: &Version) -> Result<HashMap<String, i64>> {
        let store = self.log_store();
        let mut tombstones = version.state.all_tombstones(&store);
        let mut removed: HashMap<String, i64> = HashMap::new();
        while let Some(tombstone) = tombstones
            .try_next()
            .await
            .map_err(|error| self.error("cannot be read", error))?
        {
            let at = tombstone.deletion_timestamp().unwrap_or(0);
            let last = removed.entry(tombstone.path().into_owned()).or_insert(at);
            *last = at.max(*last);
        }
        Ok(removed)
    }

    /// Returns the time for which the log remembers files that were taken out
    /// (<https://github.com/delta-io/delta/blob/master/PROTOCOL.md#table-properties>).
    pub fn removed_are_known_for(&self, version: &Version) -> Duration {
        let time = version
            .state
            .table_config()
            .deleted_file_retention_duration();
        Duration::from_std(time).unwrap_or(Duration::MAX)
    }
}

fn remove(file: &LakeFile, is_change: bool) -> Remove {
    let partition = file.partition.iter();
    let partition = partition.map(|(name, value)| (name.clone(), Some(value.clone())));
    Remove {
        path: file.path.clone(),
        data_change: is_change,
        deletion_timestamp: Some(Utc::now().timestamp_millis()),
        extended_file_metadata: Some(true),
        partition_values: Some(partition.collect()),
        size: i64::try_from(file.size_bytes).ok(),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
    }
}
