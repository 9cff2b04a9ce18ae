//! Files that grow: NDJSON logs, read line by line as they are written, through rotation.
//!
//! ```text
//! every quarter of a second ──> for each file: what is new, up to its last line break ──> Outlet
//! every two seconds          ──> which files are there? one that was renamed is still read to its end
//! ```
//!
//! A file is known by its inode and a hash of its first line, so that a renamed one is not read again, and
//! one that was emptied and is written anew is another one. A copy is another file: its events come twice,
//! which a lake leaves out. A position is the number of bytes that were handed out, up to a line break.

mod tail;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tokio::time::Instant;

use self::tail::{FileId, Lines, Tail};
use super::live::{Feed, Live, Outlet};
use super::objects::{self, Buckets};
use super::{Lag, Location, OpenContext, Reading, Source};
use crate::checkpoint::{Checkpoint, Position};
use crate::error::Result;
use crate::input_location::InputLocation;
use crate::payload::{Body, Payload};
use crate::reject::{Reject, why};

/// Opens local files, folders and globs to be followed.
pub(super) fn open(
    buckets: &Arc<Buckets>,
    locations: Vec<Location>,
    context: &OpenContext,
) -> Box<dyn Source> {
    let feed = Following {
        buckets: Arc::clone(buckets),
        locations,
        from: context.from.clone().unwrap_or_default(),
    };
    Box::new(Live::new(Box::new(feed), context))
}

struct Following {
    buckets: Arc<Buckets>,
    locations: Vec<Location>,
    from: Checkpoint,
}

#[async_trait]
impl Feed for Following {
    async fn run(self: Box<Self>, outlet: Outlet) -> Result<()> {
        let mut tails = Tails {
            outlet,
            offsets: Arc::new(offsets(&self.from)),
            open: BTreeMap::new(),
            unreadable: BTreeSet::new(),
        };
        // Only what is written from now on is news to a person who watches.
        let mut skips = tails.outlet.reading() == Reading::Watch && tails.offsets.is_empty();
        // A run that was killed before its first line goes on from here, and does not begin anew.
        let begun = Position::Sequence("0".to_owned());
        if !tails.outlet.advance(&tail::PARTITION.into(), begun).await {
            return Ok(());
        }
        loop {
            let files = objects::local_files(&self.buckets, &self.locations);
            let files: Vec<(Arc<str>, PathBuf)> = files.collect().await;
            tails.look(files, std::mem::take(&mut skips));
            let list_at = Instant::now() + LIST_EVERY;
            while Instant::now() < list_at {
                if !tails.read().await? {
                    return Ok(());
                }
                if tails.outlet.reading().is_to_now() {
                    return Ok(());
                }
                tokio::time::sleep(READ_EVERY).await;
            }
        }
    }
}

/// The files that are being read.
struct Tails {
    outlet: Outlet,
    /// Bytes handed out of files, by what they are known by. Shared with the thread that reads, which is
    /// done with it before it changes.
    offsets: Arc<BTreeMap<String, u64>>,
    open: BTreeMap<FileId, Tail>,
    /// Files whose failure was told.
    unreadable: BTreeSet<PathBuf>,
}

impl Tails {
    /// Takes in a listing: opens files that are new, and lets go of those that are gone and read.
    fn look(&mut self, files: Vec<(Arc<str>, PathBuf)>, skips: bool) {
        let mut listed = BTreeSet::new();
        for (name, path) in files {
            match Tail::open(name, &path) {
                Ok(Some(mut tail)) => {
                    listed.insert(tail.id);
                    if let std::collections::btree_map::Entry::Vacant(place) =
                        self.open.entry(tail.id)
                    {
                        if skips {
                            tail.skip_to_end();
                        }
                        place.insert(tail);
                    }
                }
                // Gone since it was listed, or no regular file.
                Ok(None) => {}
                Err(error) => self.tell(&path, &error),
            }
        }
        self.open
            .retain(|id, tail| listed.contains(id) || tail.keep_a_while());
    }

    /// Hands on all that is new. Returns `false` once nobody takes it any more.
    async fn read(&mut self) -> Result<bool> {
        let is_to_now = self.outlet.reading().is_to_now();
        let ids: Vec<FileId> = self.open.keys().copied().collect();
        for id in ids {
            let Some(mut tail) = self.open.remove(&id) else {
                continue;
            };
            loop {
                let mut room = self.outlet.room(tail::CHUNK_BYTES).await;
                let offsets = Arc::clone(&self.offsets);
                let read = tokio::task::spawn_blocking(move || {
                    let lines = tail.next(&offsets, is_to_now);
                    (tail, lines)
                });
                let (back, lines) = read.await.map_err(|error| {
                    crate::error::Error::bug(format!("a reader stopped: {error}"))
                })?;
                tail = back;
                if !self
                    .note(&tail, lines.as_ref().ok().and_then(Option::as_ref))
                    .await
                {
                    return Ok(false);
                }
                match lines {
                    Ok(None) => break,
                    Ok(Some(lines)) => {
                        // Not of each file: one of many has something new.
                        self.tell_waiting(Some(&tail));
                        let (payload, position) = self.payload(&tail, lines);
                        let partition = tail.partition();
                        if !self
                            .outlet
                            .payload(&partition, position, payload, &mut room)
                            .await
                        {
                            return Ok(false);
                        }
                    }
                    Err(error) => {
                        self.tell(&tail.path.clone(), &error);
                        break;
                    }
                }
            }
            self.open.insert(id, tail);
        }
        self.tell_waiting(None);
        Ok(true)
    }

    /// Tells how much is still to be handed on, of all files; `reading` is not among those that are open.
    fn tell_waiting(&self, reading: Option<&Tail>) {
        let waiting = self.open.values().chain(reading).map(Tail::waiting).sum();
        let lag = Some(Lag::Bytes(waiting));
        self.outlet.behind(tail::PARTITION, lag);
    }

    /// Puts the place where a file is begun into the checkpoint, so that a later run does not begin elsewhere.
    async fn note(&mut self, tail: &Tail, lines: Option<&Lines>) -> bool {
        let begun = lines.map_or_else(|| tail.offset(), |lines| lines.first_byte);
        let known = self.offsets.contains_key(tail.fingerprint());
        if known || tail.fingerprint().is_empty() {
            return true;
        }
        Arc::make_mut(&mut self.offsets).insert(tail.fingerprint().to_owned(), begun);
        let position = Position::Sequence(begun.to_string());
        self.outlet.advance(&tail.partition(), position).await
    }

    fn payload(&mut self, tail: &Tail, lines: Lines) -> (Payload, Position) {
        let end = lines.first_byte + lines.bytes.len() as u64;
        Arc::make_mut(&mut self.offsets).insert(tail.fingerprint().to_owned(), end);
        let origin = format!("{}+{}", tail.name, lines.first_byte);
        let payload = Payload::new(origin, Body::Whole(lines.bytes));
        (payload, Position::Sequence(end.to_string()))
    }

    /// Tells of a file that cannot be read, once.
    fn tell(&mut self, path: &std::path::Path, error: &std::io::Error) {
        if self.unreadable.insert(path.to_owned()) {
            self.outlet.execution().reject(&Reject {
                location: InputLocation::new(path.to_string_lossy().into_owned()),
                reason: "unreadable file",
                detail: why(error),
                bytes: b"",
            });
        }
    }
}

/// Returns how many bytes of which files a checkpoint covers.
fn offsets(from: &Checkpoint) -> BTreeMap<String, u64> {
    let offset = |(id, position): (&str, &Position)| match position {
        Position::Sequence(digits) => {
            let fingerprint = id.strip_prefix(tail::PARTITION)?;
            Some((fingerprint.to_owned(), digits.parse().ok()?))
        }
        _ => None,
    };
    from.partitions().filter_map(offset).collect()
}

const LIST_EVERY: Duration = Duration::from_secs(2);
const READ_EVERY: Duration = Duration::from_millis(250);
