//! Standard input, as one stream.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_trait::async_trait;

use super::read::{Counting, Polled};
use super::{Boundedness, OpenContext, Progress, Source};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::payload::{Body, Payload};

/// Opens standard input. It can be read only once, so it has no position to go on from.
pub(super) fn open(_: &str, context: &OpenContext) -> Result<Box<dyn Source>> {
    Ok(Box::new(Stdin {
        execution: Arc::clone(&context.execution),
        is_handed_out: false,
    }))
}

struct Stdin {
    execution: Arc<Execution>,
    is_handed_out: bool,
}

/// Whether the process's standard input is taken.
static TAKEN: AtomicBool = AtomicBool::new(false);

#[async_trait]
impl Source for Stdin {
    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }

    async fn next(&mut self) -> Result<Option<Payload>> {
        if std::mem::replace(&mut self.is_handed_out, true) {
            return Ok(None);
        }
        if TAKEN.swap(true, Relaxed) {
            return Err(Error::query(
                "standard input can be read only once, and it was; save it to a file first",
            ));
        }
        let stats = &self.execution.stats;
        stats.objects_listed.fetch_add(1, Relaxed);
        stats.objects_read.fetch_add(1, Relaxed);
        stats.listing_done.store(true, Relaxed);
        let reader = Polled::new(|| Ok(Box::new(io::stdin())));
        let body = Body::Stream(Box::new(Counting::new(reader, &self.execution)));
        Ok(Some(Payload::new("-", body)))
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint::default()
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }
}
