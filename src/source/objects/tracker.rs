//! The checkpoint of files and objects: names of what was handed out, until their day is long over.

use std::collections::HashSet;

use super::folders::Folders;
use super::key::TrailKey;
use super::listing::Object;
use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::payload::Resume;

/// Keeps the checkpoint: which objects of which folders were handed out.
pub(super) struct Tracker {
    checkpoint: Checkpoint,
    folders: Folders,
    /// Folders with objects that were listed and not handed out.
    unsettled: HashSet<String>,
    /// Folders of a trail that are over, and of which more than one name is kept.
    foldable: HashSet<String>,
    /// The number of these at which names are forgotten again.
    fold_at: usize,
}

impl Tracker {
    /// A tracker that goes on from a checkpoint.
    pub(super) fn new(from: Checkpoint, folders: Folders) -> Self {
        Self {
            checkpoint: from,
            folders,
            unsettled: HashSet::new(),
            foldable: HashSet::new(),
            fold_at: 0,
        }
    }

    /// Returns the checkpoint after all that was tracked.
    pub(super) fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Notes that an object is handed out, or could not be read.
    pub(super) fn track(&mut self, object: &Object, is_read: bool) -> Result<Option<Resume>> {
        let Some((folder, name)) = object.identity() else {
            return Ok(None);
        };
        let mut resume = None;
        if is_read {
            let key = format!("{folder}{name}");
            let skip_items = self.checkpoint.remove_unfinished(&key).unwrap_or(0);
            resume = Some(Resume { key, skip_items });
            let objects = self.checkpoint.objects_mut(&folder)?;
            objects.insert(name, object.mark());
        } else {
            self.unsettled.insert(folder.clone());
        }
        self.close(&folder)?;
        Ok(resume)
    }

    /// Takes the folders that are over, as one object more of `folder` is handed out, and forgets names.
    fn close(&mut self, folder: &str) -> Result<()> {
        for (folder, facts) in self.folders.handed_out(folder) {
            if self.unsettled.contains(&folder) {
                continue;
            }
            let objects = self.checkpoint.objects_mut(&folder)?;
            if let Some(folded) = facts.refolded {
                objects.refold(folded);
            }
            if facts.has_stamps && objects.names() > 1 {
                self.foldable.insert(folder);
            }
        }
        match !self.foldable.is_empty() && self.foldable.len() >= self.fold_at {
            true => self.fold(),
            false => Ok(()),
        }
    }

    /// Forgets names that are old enough, in all folders of the trail that are over.
    fn fold(&mut self) -> Result<()> {
        let newest_micros = self.folders.newest_micros().unwrap_or(i64::MIN);
        let settled_before = newest_micros.saturating_sub(LATE_MICROS);
        let is_settled = |name: &str| {
            TrailKey::of_object(name)
                .and_then(|key| key.delivered_micros)
                .is_some_and(|micros| micros < settled_before)
        };
        let mut left = HashSet::new();
        for folder in std::mem::take(&mut self.foldable) {
            let objects = self.checkpoint.objects_mut(&folder)?;
            objects.fold(is_settled);
            if objects.names() > 1 {
                left.insert(folder);
            }
        }
        // Of a trail of many accounts and regions many are left; each is looked at a few times, not for each folder.
        self.fold_at = left.len() + left.len() / 4 + 1;
        self.foldable = left;
        Ok(())
    }
}

/// The time after the stamp in its name within which an object nearly always appears, microseconds: for what appears
/// later, its whole folder is read again. CloudTrail delivers within minutes; two days leave room for a delivery that
/// was retried and for a bucket that is replicated.
const LATE_MICROS: i64 = 2 * 24 * 3600 * 1_000_000;
