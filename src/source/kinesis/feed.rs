//! A stream: its shards are found, and each is read by a task.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Stream;
use super::client::{Api, Shard};
use super::shard::{ClosedShards, Ended, Pace, Reader};
use super::shards::Shards;
use crate::checkpoint::{Checkpoint, Position};
use crate::error::{Error, Result};
use crate::input_location::InputLocation;
use crate::reject::Reject;
use crate::source::live::{Feed, Outlet, Since};

/// Makes the client, once it is needed.
pub(super) type Connect = Box<dyn FnOnce() -> BoxFuture<'static, Result<Arc<dyn Api>>> + Send>;

/// The feed of a stream.
pub(super) struct Streaming {
    pub(super) connect: Connect,
    pub(super) stream: Stream,
    pub(super) since: Since,
    pub(super) from: Checkpoint,
    pub(super) pace: Pace,
}

#[async_trait]
impl Feed for Streaming {
    async fn run(self: Box<Self>, outlet: Outlet) -> Result<()> {
        let api = (self.connect)().await?;
        let running = Running {
            api,
            stream: self.stream,
            outlet,
            pace: self.pace,
            closed: ClosedShards::default(),
            readers: JoinSet::new(),
        };
        running.run(self.since, &self.from).await
    }
}

struct Running {
    api: Arc<dyn Api>,
    stream: Stream,
    outlet: Outlet,
    pace: Pace,
    closed: ClosedShards,
    readers: JoinSet<(String, Result<Ended>)>,
}

impl Running {
    async fn run(mut self, since: Since, from: &Checkpoint) -> Result<()> {
        // The first answer tells the server's time.
        let mut listed = self.list().await?;
        let first_micros = match since {
            Since::Oldest => 0,
            Since::Latest => self.api.now_micros(),
            Since::Time(micros) => micros,
        };
        let prefix = self.stream.partition("");
        let positions = from.partitions();
        let positions =
            positions.filter_map(|(id, position)| Some((id.strip_prefix(&*prefix)?, position)));
        let mut shards = Shards::new(positions, first_micros);
        for id in shards.gone(&listed) {
            self.gone(&id).await;
        }
        let mut list_at = Instant::now() + LIST_EVERY;
        loop {
            self.note(shards.found(listed.clone())).await;
            self.closed.set(shards.closed());
            self.start(&mut shards);
            if self.readers.is_empty() && self.outlet.reading().is_to_now() {
                return Ok(());
            }
            let ended = tokio::select! {
                Some(ended) = self.readers.join_next() => Some(ended),
                () = tokio::time::sleep_until(list_at) => None,
            };
            if let Some(ended) = ended {
                let (id, ended) = ended
                    .map_err(|error| Error::bug(format!("a shard's task stopped: {error}")))?;
                match ended? {
                    Ended::Unwanted => return Ok(()),
                    Ended::CaughtUp => {}
                    Ended::Closed(children) => {
                        shards.ended(&id);
                        // Those that a listing does not have yet.
                        self.note(shards.found(children)).await;
                    }
                }
            }
            listed = self.list().await?;
            list_at = Instant::now() + LIST_EVERY;
        }
    }

    async fn list(&self) -> Result<Vec<Shard>> {
        let mut attempts = self.outlet.attempts(&self.stream.partition(""));
        loop {
            match self.api.shards().await {
                Ok(shards) => {
                    attempts.succeeded();
                    return Ok(shards);
                }
                Err(error) => attempts.failed(error).await?,
            }
        }
    }

    /// Puts the beginnings of shards into the checkpoint, so that a later run does not begin elsewhere.
    async fn note(&self, found: Vec<(String, Position)>) {
        for (id, position) in found {
            self.outlet
                .advance(&self.stream.partition(&id), position)
                .await;
        }
    }

    fn start(&mut self, shards: &mut Shards) {
        for (id, place) in shards.ready() {
            let partition = self.stream.partition(&id);
            let reader = Reader::new(Arc::clone(&self.api), self.outlet.clone(), partition, place)
                .with(
                    self.pace,
                    self.stream.consumer.as_ref().map(|_| self.closed.clone()),
                );
            self.readers.spawn(async move { (id, reader.read().await) });
        }
    }

    /// Tells of a shard that was not read to its end and is not there any more.
    async fn gone(&self, id: &str) {
        let partition = self.stream.partition(id);
        self.outlet.execution().reject(&Reject {
            location: InputLocation::new(Arc::clone(&partition)),
            reason: "gap",
            detail:
                "the stream does not keep this shard any more, and it was not read to its end: \
                     read the trail's bucket for that time"
                    .to_owned(),
            bytes: b"",
        });
        self.outlet.advance(&partition, Position::End).await;
    }
}

/// The time after which shards are looked for that nothing else tells of.
const LIST_EVERY: Duration = Duration::from_secs(10);
