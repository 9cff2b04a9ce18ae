//! `sample:`, as a source: see [`crate::sample`].

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{Boundedness, Lag, OpenContext, Progress, Source};
use crate::checkpoint::{Checkpoint, Position};
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::payload::{Body, Payload};
use crate::sample::Sample;

/// Opens the made-up events of `sample:` or `sample:?events=N`.
pub(super) fn open(url: &str, context: &OpenContext) -> Result<Box<dyn Source>> {
    let query = url.strip_prefix("sample:").unwrap_or(url);
    let sample = Sample::parse(query)?;
    let done = match context.from.as_ref().and_then(|from| from.position(url)) {
        Some(Position::Sequence(digits)) => digits
            .parse()
            .map_err(|_| Error::config(format!("{digits} is not a position in {url}")))?,
        Some(Position::End) => sample.documents(),
        _ => 0,
    };
    Ok(Box::new(Documents {
        partition: url.to_owned(),
        execution: Arc::clone(&context.execution),
        sample,
        done,
        made: None,
    }))
}

struct Documents {
    partition: String,
    execution: Arc<Execution>,
    sample: Sample,
    /// Documents handed out.
    done: u64,
    made: Option<Made>,
}

/// Documents made ahead, in a thread of their own.
struct Made {
    documents: mpsc::Receiver<Payload>,
    _maker: AbortOnDropHandle<()>,
}

impl Documents {
    fn make(&self) -> Made {
        let (made, documents) = mpsc::channel(DOCUMENTS_AHEAD);
        let payloads = self.sample.payloads_from(self.done);
        let maker = tokio::task::spawn_blocking(move || {
            for payload in payloads {
                if made.blocking_send(payload).is_err() {
                    break;
                }
            }
        });
        Made {
            documents,
            _maker: AbortOnDropHandle::new(maker),
        }
    }
}

#[async_trait]
impl Source for Documents {
    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }

    async fn next(&mut self) -> Result<Option<Payload>> {
        if self.made.is_none() {
            self.made = Some(self.make());
            // All of it is one object, however many documents it comes in.
            let stats = &self.execution.stats;
            stats.objects_listed.fetch_add(1, Relaxed);
            stats.objects_read.fetch_add(1, Relaxed);
            stats.listing_done.store(true, Relaxed);
        }
        let Some(made) = &mut self.made else {
            return Ok(None);
        };
        let Some(payload) = made.documents.recv().await else {
            return Ok(None);
        };
        self.done += 1;
        if let Body::Whole(bytes) = &payload.body {
            let stats = &self.execution.stats;
            stats.bytes_read.fetch_add(bytes.len() as u64, Relaxed);
        }
        Ok(Some(payload))
    }

    fn checkpoint(&self) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        if self.done > 0 {
            let position = Position::Sequence(self.done.to_string());
            checkpoint
                .advance(&self.partition, position)
                .expect("the checkpoint is empty");
        }
        checkpoint
    }

    fn progress(&self) -> Progress {
        let left = self.sample.documents() - self.done.min(self.sample.documents());
        Progress {
            behind: [(self.partition.clone(), Lag::Payloads(left))].into(),
            retrying: None,
        }
    }
}

const DOCUMENTS_AHEAD: usize = 2;
