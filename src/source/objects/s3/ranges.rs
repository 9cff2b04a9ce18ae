//! Reads a large object in pieces, each a request of its own.
//!
//! One long answer would have to be resumed when its connection drops, and a slow reader would
//! hold it open for hours. Pieces need neither, and name the version that they are of.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc;

use bytes::{Buf, Bytes};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use tokio_util::task::AbortOnDropHandle;

use super::{Operation, translate};

/// An object as a blocking [`Read`]. Nothing is asked for before the first read.
///
/// A piece that cannot be got is tried again a few times; one of another version of the object is
/// an error.
pub(in crate::source) struct Ranges {
    source: Option<Ranged>,
    handle: Handle,
    running: Option<Running>,
    piece: Bytes,
    left_bytes: u64,
}

/// The object to read, as it was listed.
pub(in crate::source) struct Ranged {
    pub(in crate::source) store: Arc<dyn ObjectStore>,
    pub(in crate::source) path: Path,
    pub(in crate::source) e_tag: Option<String>,
    pub(in crate::source) size_bytes: u64,
    pub(in crate::source) origin: Arc<str>,
}

struct Running {
    pieces: mpsc::Receiver<(io::Result<Bytes>, OwnedSemaphorePermit)>,
    _task: AbortOnDropHandle<()>,
}

impl Ranges {
    pub(in crate::source) fn new(source: Ranged, handle: Handle) -> Self {
        Self {
            left_bytes: source.size_bytes,
            source: Some(source),
            handle,
            running: None,
            piece: Bytes::new(),
        }
    }

    /// The next piece; empty at the end.
    fn next_piece(&mut self) -> io::Result<Bytes> {
        if let Some(source) = self.source.take() {
            self.running = Some(start(source, &self.handle));
        }
        let Some(running) = &self.running else {
            return Ok(Bytes::new());
        };
        match running.pieces.recv() {
            Ok((piece, _permit)) => {
                let piece = piece?;
                self.left_bytes = self.left_bytes.saturating_sub(piece.len() as u64);
                Ok(piece)
            }
            Err(mpsc::RecvError) if self.left_bytes == 0 => Ok(Bytes::new()),
            Err(mpsc::RecvError) => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "reading was stopped before the end of the object",
            )),
        }
    }
}

impl Read for Ranges {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            self.piece = self.next_piece()?;
        }
        let count = out.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut out[..count]);
        Ok(count)
    }
}

/// Gets the pieces, a few ahead of the reader.
fn start(source: Ranged, handle: &Handle) -> Running {
    // Unbounded, as a sender must not block a task; the permits bound it.
    let (sender, pieces) = mpsc::channel();
    let ahead = Arc::new(Semaphore::new(AHEAD_PIECES));
    let task = AbortOnDropHandle::new(handle.spawn(async move {
        let mut at = 0;
        while at < source.size_bytes {
            let Ok(permit) = Arc::clone(&ahead).acquire_owned().await else {
                return;
            };
            let range = at..source.size_bytes.min(at + PIECE_BYTES);
            at = range.end;
            let piece = source.piece(range).await;
            let is_last = piece.is_err();
            if sender.send((piece, permit)).is_err() || is_last {
                return;
            }
        }
    }));
    Running {
        pieces,
        _task: task,
    }
}

impl Ranged {
    async fn piece(&self, range: Range<u64>) -> io::Result<Bytes> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.get(range.clone()).await {
                Ok(piece) => return Ok(piece),
                Err(error) if tries == TRIES || is_final(&error) => {
                    let error = translate(error, Operation::Get, &self.origin);
                    return Err(io::Error::other(error));
                }
                Err(_) => tokio::time::sleep(PAUSE * tries).await,
            }
        }
    }

    async fn get(&self, range: Range<u64>) -> object_store::Result<Bytes> {
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            if_match: self.e_tag.clone(),
            ..GetOptions::default()
        };
        self.store
            .get_opts(&self.path, options)
            .await?
            .bytes()
            .await
    }
}

/// Returns whether trying again is of no use.
fn is_final(error: &object_store::Error) -> bool {
    !matches!(error, object_store::Error::Generic { .. })
}

const PIECE_BYTES: u64 = 4 << 20;
/// Pieces that are got or waiting while another is read.
const AHEAD_PIECES: usize = 2;
const TRIES: u32 = 3;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);
