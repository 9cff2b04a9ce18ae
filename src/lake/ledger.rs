//! The checkpoints of a lake: how far each of its sources was read.
//!
//! A checkpoint is put under the next number before the commit that it belongs to; the commit has
//! the number as its transaction identifier (`txn`), and only that makes it count. Most have just
//! what is new since the one before: of a trail of years, a commit adds a few names.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::storage::{Created, Storage};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};

/// The application whose transaction identifiers are numbers of checkpoints.
pub const APP_ID: &str = "auroratrail";

/// The folder of the checkpoints.
const FOLDER: &str = "_auroratrail/checkpoints";

/// Checkpoints that build on each other, until a whole one is put.
const LONGEST_CHAIN: usize = 20;

/// A checkpoint with its place in the log.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The number that is committed; `None` before the first commit.
    pub number: Option<i64>,
    /// The positions of all sources.
    pub checkpoint: Checkpoint,
    /// Checkpoints that this one builds on.
    chain: usize,
    /// The number of the last whole checkpoint.
    whole: Option<i64>,
}

/// A checkpoint as it is stored.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// The number of the checkpoint that this one adds to; `None` if it is whole.
    base: Option<i64>,
    /// A name of the process, so that no two write the same bytes.
    writer: String,
    /// What is new.
    checkpoint: Checkpoint,
}

impl Ledger {
    /// Reads the checkpoint of a number.
    ///
    /// # Errors
    /// Io, if it or one that it builds on is gone or cannot be read.
    pub async fn load(storage: &dyn Storage, number: Option<i64>) -> Result<Self> {
        let mut chain = Vec::new();
        let mut next = number;
        let mut whole = None;
        while let Some(at) = next {
            let saved = read(storage, at).await?;
            whole = Some(at);
            next = saved.base.filter(|base| *base < at);
            chain.push(saved.checkpoint);
        }
        let mut ledger = Self {
            number,
            checkpoint: Checkpoint::default(),
            chain: chain.len().saturating_sub(1),
            whole,
        };
        for additions in chain.into_iter().rev() {
            ledger.checkpoint.add(additions);
        }
        Ok(ledger)
    }

    /// Puts `checkpoint` under a number of its own, which counts once it is committed. `after` is a
    /// number that it must exceed.
    ///
    /// # Errors
    /// Those of writing.
    pub async fn put(
        &self,
        storage: &dyn Storage,
        checkpoint: &Checkpoint,
        writer: &str,
        after: Option<i64>,
    ) -> Result<Self> {
        let is_whole = self.number.is_none() || self.chain >= LONGEST_CHAIN;
        let saved = Saved {
            base: self.number.filter(|_| !is_whole),
            writer: writer.to_owned(),
            checkpoint: match is_whole {
                true => checkpoint.clone(),
                false => checkpoint.since(&self.checkpoint),
            },
        };
        let bytes = encode(&saved)?;
        let mut number = self.number.max(after).map_or(0, |number| number + 1);
        // A number may be taken by a process that died before its commit, or by one that lives.
        while storage.create(&path(number), bytes.clone()).await? == Created::Theirs {
            number += 1;
        }
        Ok(Self {
            number: Some(number),
            checkpoint: checkpoint.clone(),
            chain: if is_whole { 0 } else { self.chain + 1 },
            whole: if is_whole { Some(number) } else { self.whole },
        })
    }

    /// Deletes the checkpoints that neither this one nor one committed shortly before needs, after
    /// the commit of a whole one. `before` is the ledger of the commit before.
    ///
    /// # Errors
    /// Those of listing and deleting.
    pub async fn clean(&self, storage: &dyn Storage, before: &Self) -> Result<()> {
        let (Some(kept), true) = (before.whole, self.chain == 0) else {
            return Ok(());
        };
        for entry in storage.list(FOLDER).await? {
            if number_of(&entry.path).is_some_and(|number| number < kept) {
                storage.delete(&entry.path).await?;
            }
        }
        Ok(())
    }
}

async fn read(storage: &dyn Storage, number: i64) -> Result<Saved> {
    let path = path(number);
    let damaged = |why: &str| {
        Error::io(format!(
            "the lake's checkpoint {path} {why}; without it, what was read before is not known"
        ))
    };
    let bytes = storage.read(&path).await?;
    let bytes = bytes.ok_or_else(|| damaged("is gone"))?;
    let json = zstd::decode_all(&*bytes).map_err(|_| damaged("is damaged"))?;
    serde_json::from_slice(&json).map_err(|_| damaged("is damaged"))
}

fn encode(saved: &Saved) -> Result<Bytes> {
    let failed = |error: &dyn std::error::Error| Error::bug(format!("a checkpoint: {error}"));
    let json = serde_json::to_vec(saved).map_err(|error| failed(&error))?;
    let bytes = zstd::encode_all(&*json, 1).map_err(|error| failed(&error))?;
    Ok(bytes.into())
}

fn path(number: i64) -> String {
    format!("{FOLDER}/{number:020}.json.zst")
}

fn number_of(path: &str) -> Option<i64> {
    let name = path.rsplit('/').next()?;
    name.strip_suffix(".json.zst")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Mark;
    use crate::lake::storage;
    use crate::source::Folder;

    fn advance(checkpoint: &mut Checkpoint, name: &str) {
        let objects = checkpoint.objects_mut("file:///trail/").unwrap();
        objects.insert(name, Mark::new(7, Some("tag")));
    }

    #[tokio::test]
    async fn a_chain_of_checkpoints_is_the_last_one() {
        let folder = tempfile::tempdir().unwrap();
        let storage = storage::open(Folder::Local(folder.path().to_owned()), "lake");
        let mut ledger = Ledger::default();
        for round in 0..3 * LONGEST_CHAIN {
            let mut checkpoint = ledger.checkpoint.clone();
            advance(&mut checkpoint, &format!("{round}.json"));
            checkpoint.set_unfinished(format!("{round}"), 3);
            checkpoint.remove_unfinished(&format!("{}", round.wrapping_sub(1)));
            let next = ledger
                .put(&*storage, &checkpoint, "me", None)
                .await
                .unwrap();
            next.clean(&*storage, &ledger).await.unwrap();
            ledger = next;
            let loaded = Ledger::load(&*storage, ledger.number).await.unwrap();
            assert_eq!(loaded.checkpoint, ledger.checkpoint);
            assert_eq!((loaded.chain, loaded.whole), (ledger.chain, ledger.whole));
        }
        let left = storage.list(FOLDER).await.unwrap().len();
        assert!(left < 2 * LONGEST_CHAIN + 3, "{left}");
    }

    #[tokio::test]
    async fn a_number_that_is_taken_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let storage = storage::open(Folder::Local(folder.path().to_owned()), "lake");
        let (mut one, mut two) = (Checkpoint::default(), Checkpoint::default());
        advance(&mut one, "1");
        advance(&mut two, "2");
        let before = Ledger::default();
        let first = before.put(&*storage, &one, "one", None).await.unwrap();
        let second = before.put(&*storage, &two, "two", None).await.unwrap();
        assert_eq!((first.number, second.number), (Some(0), Some(1)));
        let loaded = Ledger::load(&*storage, first.number).await.unwrap();
        assert_eq!(loaded.checkpoint, one);
        let error = Ledger::load(&*storage, Some(9)).await.unwrap_err();
        assert!(error.to_string().contains("is gone"), "{error}");
    }
}
