//! Reads one object: whole if it is small, as a stream if not.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime;
use tokio::sync::OwnedSemaphorePermit;

use super::listing::{Handle, Object};
use super::local;
use super::s3::{Operation, Ranged, Ranges, translate};
use crate::error::Result;
use crate::execution::Execution;
use crate::payload::{Body, ObjectVersion, Payload};
use crate::source::read::{Counting, Polled};

/// Objects larger than this, as stored, are streams.
pub(super) const WHOLE_BYTES: u64 = 8 << 20;

/// An object and the memory that was set aside for it.
pub(super) struct Fetch {
    pub(super) object: Object,
    pub(super) memory: Option<OwnedSemaphorePermit>,
}

impl Fetch {
    /// Reads a file, or hands on known rows. Blocks. `None` for other objects.
    pub(super) fn read_file(mut self, execution: &Arc<Execution>) -> Option<Fetched> {
        if self.object.known.is_some() {
            return Some(outcome(self, Ok(Body::Whole(Bytes::new()))));
        }
        let body = match &self.object.handle {
            Handle::File { path, .. } => {
                execution.stats.objects_read.fetch_add(1, Relaxed);
                file(path, self.object.size_bytes, execution)
            }
            _ => return None,
        };
        let body = match body {
            Ok((body, version)) => {
                // Content that came after the listing is of no version that is known.
                self.object.version.take_if(|listed| *listed != version);
                Ok(body)
            }
            Err(error) => Err(local::translate(error)),
        };
        Some(outcome(self, body))
    }

    /// Reads an object of S3's whole. `None` for other objects.
    pub(super) async fn read_s3(mut self, execution: &Execution) -> Option<Fetched> {
        let Handle::S3 { store, path, e_tag } = &self.object.handle else {
            return None;
        };
        execution.stats.objects_read.fetch_add(1, Relaxed);
        let got = match self.object.size_bytes {
            // What the console puts for a folder is listed, but not there.
            0 => Ok((Bytes::new(), e_tag.clone())),
            _ => whole(store, path).await,
        };
        let origin = &self.object.origin;
        let body = match got {
            Ok((bytes, version)) => {
                let bytes_read = &execution.stats.bytes_read;
                bytes_read.fetch_add(bytes.len() as u64, Relaxed);
                if version != *e_tag {
                    self.object.version = None;
                }
                Ok(Body::Whole(bytes))
            }
            Err(error) => Err(translate(error, Operation::Get, origin)),
        };
        Some(outcome(self, body))
    }
}

/// An object with its payload, or the error that kept it from being read.
pub(super) type Fetched = (Object, Result<Payload>);

fn outcome(fetch: Fetch, body: Result<Body>) -> Fetched {
    let Fetch { object, memory } = fetch;
    let payload = body.map(|body| match body {
        Body::Whole(bytes) => payload(&object, Body::Whole(held(bytes, memory))),
        body => payload(&object, body),
    });
    (object, payload)
}

/// An object that is not prefetched but read by its consumer. `None` for all others.
pub(super) fn stream(
    object: &Object,
    execution: &Arc<Execution>,
    runtime: &runtime::Handle,
) -> Option<Payload> {
    let reader: Box<dyn Read + Send> = match &object.handle {
        Handle::Pipe(path) => {
            let path = path.clone();
            Box::new(Polled::new(move || Ok(Box::new(File::open(path)?))))
        }
        Handle::S3 { store, path, e_tag } if object.size_bytes > WHOLE_BYTES => {
            let ranged = Ranged {
                store: Arc::clone(store),
                path: path.clone(),
                e_tag: e_tag.clone(),
                size_bytes: object.size_bytes,
                origin: Arc::clone(&object.origin),
            };
            Box::new(Ranges::new(ranged, runtime.clone()))
        }
        _ => return None,
    };
    execution.stats.objects_read.fetch_add(1, Relaxed);
    Some(payload(object, counted(reader, execution)))
}

/// Bytes that keep their memory permit until the last reference to them is gone.
fn held(bytes: Bytes, memory: Option<OwnedSemaphorePermit>) -> Bytes {
    match memory {
        Some(memory) if !bytes.is_empty() => Bytes::from_owner(Held {
            bytes,
            _memory: memory,
        }),
        _ => bytes,
    }
}

fn payload(object: &Object, body: Body) -> Payload {
    Payload {
        origin: Arc::clone(&object.origin),
        body,
        delivered_micros: object.key.as_ref().and_then(|key| key.delivered_micros),
        resume: None,
        version: object.version.clone(),
        known: object.known.clone(),
    }
}

/// Gets an object, and the ETag that it has then.
async fn whole(
    store: &Arc<dyn ObjectStore>,
    path: &object_store::path::Path,
) -> object_store::Result<(Bytes, Option<String>)> {
    let got = store.get(path).await?;
    let e_tag = got.meta.e_tag.clone();
    Ok((got.bytes().await?, e_tag))
}

/// Reads a file, and tells the version that it has then. Takes the listed size as no more than a hint: files grow, and those of `/proc` have none.
fn file(
    path: &Path,
    size_bytes: u64,
    execution: &Arc<Execution>,
) -> io::Result<(Body, ObjectVersion)> {
    let mut file = File::open(path)?;
    if size_bytes > WHOLE_BYTES {
        let version = local::file_version(&file.metadata()?);
        return Ok((counted(Box::new(file), execution), version));
    }
    // One byte more, so that the end is seen without growing.
    let mut bytes = Vec::with_capacity(size_bytes as usize + 1);
    (&mut file).take(WHOLE_BYTES + 1).read_to_end(&mut bytes)?;
    let version = local::file_version(&file.metadata()?);
    if bytes.len() as u64 > WHOLE_BYTES {
        let stream = Cursor::new(bytes).chain(file);
        return Ok((counted(Box::new(stream), execution), version));
    }
    let bytes_read = &execution.stats.bytes_read;
    bytes_read.fetch_add(bytes.len() as u64, Relaxed);
    Ok((Body::Whole(bytes.into()), version))
}

fn counted(reader: Box<dyn Read + Send>, execution: &Arc<Execution>) -> Body {
    Body::Stream(Box::new(Counting::new(reader, execution)))
}

struct Held {
    bytes: Bytes,
    _memory: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
