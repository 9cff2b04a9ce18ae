//! Several sources as one.

use async_trait::async_trait;
use futures::future::select_all;

use super::{Boundedness, Progress, Source};
use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::payload::Payload;

/// Sources read as one: the bounded ones in their order, then those without an end side by side.
pub(super) struct Combined {
    bounded: Vec<Box<dyn Source>>,
    unbounded: Vec<Box<dyn Source>>,
    /// Bounded sources that have ended.
    ended: usize,
}

impl Combined {
    pub(super) fn new(sources: Vec<Box<dyn Source>>) -> Self {
        let (bounded, unbounded) = sources
            .into_iter()
            .partition(|source| source.boundedness() == Boundedness::Bounded);
        Self {
            bounded,
            unbounded,
            ended: 0,
        }
    }

    fn all(&self) -> impl Iterator<Item = &dyn Source> {
        self.bounded
            .iter()
            .chain(&self.unbounded)
            .map(|source| &**source)
    }
}

#[async_trait]
impl Source for Combined {
    fn boundedness(&self) -> Boundedness {
        match self.unbounded.is_empty() {
            true => Boundedness::Bounded,
            false => Boundedness::Unbounded,
        }
    }

    async fn next(&mut self) -> Result<Option<Payload>> {
        while let Some(source) = self.bounded.get_mut(self.ended) {
            match source.next().await? {
                Some(payload) => return Ok(Some(payload)),
                None => self.ended += 1,
            }
        }
        if self.unbounded.is_empty() {
            return Ok(None);
        }
        // The calls that lose are dropped, which they allow.
        let (payload, _, _) = select_all(self.unbounded.iter_mut().map(|it| it.next())).await;
        // The last one is asked first from now on: none is kept waiting by one that always has more.
        self.unbounded.rotate_left(1);
        payload
    }

    fn checkpoint(&self) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        for source in self.all() {
            checkpoint.merge(source.checkpoint());
        }
        checkpoint
    }

    fn progress(&self) -> Progress {
        let mut progress = Progress::default();
        for source in self.all() {
            let of_one = source.progress();
            progress.behind.extend(of_one.behind);
            progress.retrying = progress.retrying.or(of_one.retrying);
        }
        progress
    }
}
