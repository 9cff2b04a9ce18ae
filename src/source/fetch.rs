//! Reads one object: whole if it is small, as a stream if not.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime;
use tokio::sync::OwnedSemaphorePermit;

use super::listing::{Handle, Object};
use super::local;
use super::s3::{Doing, Ranges, Source, describe};
use crate::input_location::InputLocation;
use crate::payload::{Body, Payload};
use crate::stats::{Reject, Stats};

/// Objects larger than this, as stored, are streams.
pub(super) const WHOLE_BYTES: u64 = 8 << 20;

/// An object and the memory that was set aside for it.
pub(super) struct Fetch {
    pub(super) object: Object,
    pub(super) room: Option<OwnedSemaphorePermit>,
}

impl Fetch {
    /// Reads a file. Blocks.
    pub(super) fn read_file(self, stats: &Arc<Stats>) -> Option<Payload> {
        let Handle::File(path) = &self.object.handle else {
            return None;
        };
        stats.objects_read.fetch_add(1, Relaxed);
        match file(path, self.object.size_bytes, stats) {
            Ok(FileBytes::Whole(bytes)) => {
                let bytes = held(bytes, self.room);
                Some(payload(&self.object, Body::Whole(bytes)))
            }
            Ok(FileBytes::Stream(stream)) => Some(payload(&self.object, Body::Stream(stream))),
            Err(error) => {
                unreadable(stats, &self.object.origin, local::describe(&error));
                None
            }
        }
    }

    /// Reads an object of S3's whole.
    pub(super) async fn read_s3(self, stats: &Stats) -> Option<Payload> {
        let Handle::S3 { store, path, .. } = &self.object.handle else {
            return None;
        };
        stats.objects_read.fetch_add(1, Relaxed);
        let got = match self.object.size_bytes {
            // What the console puts for a folder is listed, but not there.
            0 => Ok(Bytes::new()),
            _ => whole(store, path).await,
        };
        match got {
            Ok(bytes) => {
                stats.bytes_read.fetch_add(bytes.len() as u64, Relaxed);
                Some(payload(&self.object, Body::Whole(held(bytes, self.room))))
            }
            Err(error) => {
                let origin = &self.object.origin;
                unreadable(stats, origin, describe(&error, Doing::Get, origin));
                None
            }
        }
    }
}

/// What is not read ahead but by whoever wants it. `None` for what is.
pub(super) fn stream(
    object: &Object,
    stats: &Arc<Stats>,
    runtime: &runtime::Handle,
) -> Option<Payload> {
    let source: Box<dyn Read + Send> = match &object.handle {
        Handle::Stdin => Box::new(io::stdin()),
        Handle::Pipe(path) => Box::new(Pipe::Closed(path.clone())),
        Handle::S3 { store, path, e_tag } if object.size_bytes > WHOLE_BYTES => {
            let source = Source {
                store: Arc::clone(store),
                path: path.clone(),
                e_tag: e_tag.clone(),
                size_bytes: object.size_bytes,
                origin: Arc::clone(&object.origin),
            };
            Box::new(Ranges::new(source, runtime.clone()))
        }
        _ => return None,
    };
    stats.objects_read.fetch_add(1, Relaxed);
    Some(payload(object, Body::Stream(counting(source, stats))))
}

/// Counts something that could not be read.
pub(super) fn unreadable(stats: &Stats, origin: &Arc<str>, detail: String) {
    stats.reject(&Reject {
        location: InputLocation::new(Arc::clone(origin)),
        reason: "unreadable file",
        detail,
        bytes: b"",
    });
}

/// Bytes that keep their room until the last reference to them is gone.
pub(super) fn held(bytes: Bytes, room: Option<OwnedSemaphorePermit>) -> Bytes {
    match room {
        Some(room) if !bytes.is_empty() => Bytes::from_owner(Held { bytes, _room: room }),
        _ => bytes,
    }
}

fn payload(object: &Object, body: Body) -> Payload {
    Payload {
        origin: Arc::clone(&object.origin),
        body,
        delivered_micros: object.key.as_ref().and_then(|key| key.delivered_micros),
    }
}

async fn whole(
    store: &Arc<dyn ObjectStore>,
    path: &object_store::path::Path,
) -> object_store::Result<Bytes> {
    store.get(path).await?.bytes().await
}

enum FileBytes {
    Whole(Bytes),
    Stream(Box<dyn Read + Send>),
}

/// Takes the listed size as no more than a hint: files grow, and those of `/proc` have none.
fn file(path: &Path, size_bytes: u64, stats: &Arc<Stats>) -> io::Result<FileBytes> {
    let mut file = File::open(path)?;
    if size_bytes > WHOLE_BYTES {
        return Ok(FileBytes::Stream(counting(Box::new(file), stats)));
    }
    // One byte more, so that the end is seen without growing.
    let mut bytes = Vec::with_capacity(size_bytes as usize + 1);
    (&mut file).take(WHOLE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > WHOLE_BYTES {
        let stream = Cursor::new(bytes).chain(file);
        return Ok(FileBytes::Stream(counting(Box::new(stream), stats)));
    }
    stats.bytes_read.fetch_add(bytes.len() as u64, Relaxed);
    Ok(FileBytes::Whole(bytes.into()))
}

fn counting(source: Box<dyn Read + Send>, stats: &Arc<Stats>) -> Box<dyn Read + Send> {
    Box::new(Counting {
        source,
        stats: Arc::clone(stats),
    })
}

struct Held {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Counts bytes as they are read.
struct Counting {
    source: Box<dyn Read + Send>,
    stats: Arc<Stats>,
}

impl Read for Counting {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(out)?;
        self.stats.bytes_read.fetch_add(count as u64, Relaxed);
        Ok(count)
    }
}

/// A pipe that is opened by its first read: that waits until somebody writes to it.
enum Pipe {
    Closed(PathBuf),
    Open(File),
}

impl Read for Pipe {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self {
                Self::Open(file) => return file.read(out),
                Self::Closed(path) => *self = Self::Open(File::open(path)?),
            }
        }
    }
}
