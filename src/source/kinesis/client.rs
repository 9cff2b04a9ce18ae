//! The calls of Kinesis that reading needs.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{
    ChildShard, ConsumerStatus, Record as SdkRecord, ShardIteratorType, StartingPosition,
    SubscribeToShardEventStream,
};
use bytes::Bytes;
use tokio::sync::{OnceCell, mpsc};

use super::Stream;
use crate::error::{Error, Result};
use crate::source::aws::{Aws, Request, ServerClock};

/// The calls of Kinesis that reading needs.
#[async_trait]
pub(super) trait Api: Send + Sync {
    /// Returns the shards that the stream has, closed ones included while they hold something.
    async fn shards(&self) -> Result<Vec<Shard>>;

    /// Returns an iterator of a shard.
    async fn iterator(&self, shard: &str, at: &Place) -> Result<String, Fault>;

    /// Returns the records at an iterator.
    async fn records(&self, iterator: &str, limit: i32) -> Result<Page, Fault>;

    /// Begins a subscription of enhanced fan-out, whose pages come for five minutes at most.
    async fn subscribe(&self, shard: &str, at: &Place) -> Result<Subscription, Fault>;

    /// The service's time, microseconds since 1970 UTC.
    fn now_micros(&self) -> i64;
}

/// A shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) id: String,
    /// The shards that were split or merged into it.
    pub(super) parents: Vec<String>,
}

/// A place in a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The oldest record that is kept.
    Oldest,
    /// The first record that arrived at or after a time, microseconds since 1970 UTC.
    Time(i64),
    /// A record.
    At(String),
    /// The record after one.
    After(String),
}

/// Records of a shard, and how it goes on.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) records: Vec<Record>,
    /// The next iterator, or in a subscription the sequence number to go on after; `None` at the end of a
    /// closed shard.
    pub(super) next: Option<String>,
    /// The age of the next record; zero also where the server does not know it.
    pub(super) behind: Duration,
    /// The shards that follow, where the server names them at the end.
    pub(super) children: Vec<Shard>,
}

/// A record of a stream.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) sequence: String,
    pub(super) data: Bytes,
    /// Microseconds since 1970 UTC.
    pub(super) arrived_micros: Option<i64>,
}

/// The pages of a subscription; closed where it ends, after the error if there is one.
pub(super) type Subscription = mpsc::Receiver<Result<Page, Fault>>;

/// The failure of a call for one shard.
#[derive(Debug)]
pub(super) enum Fault {
    /// The iterator is older than five minutes, or the server has forgotten it.
    Expired,
    /// The shard has no such record, and never had or has no more.
    NoSuchRecord,
    /// The stream has no such shard any more.
    NoSuchShard,
    /// The consumer has a subscription to the shard, or had one seconds ago.
    InUse,
    /// Anything else.
    Other(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// The calls through AWS's SDK.
pub(super) struct Client {
    client: aws_sdk_kinesis::Client,
    stream: Stream,
    clock: ServerClock,
    consumer_arn: OnceCell<String>,
}

impl Client {
    pub(super) async fn connect(aws: &Aws, stream: Stream) -> Self {
        let shared = aws.api_config(stream.region.as_deref()).await;
        let clock = ServerClock::default();
        let config = aws_sdk_kinesis::config::Builder::from(&shared).interceptor(clock.clone());
        Self {
            client: aws_sdk_kinesis::Client::from_conf(config.build()),
            stream,
            clock,
            consumer_arn: OnceCell::new(),
        }
    }

    fn name(&self) -> Option<String> {
        let name = Some(self.stream.name.clone());
        name.filter(|name| !name.starts_with("arn:"))
    }

    fn arn(&self) -> Option<String> {
        let name = Some(self.stream.name.clone());
        name.filter(|name| name.starts_with("arn:"))
    }

    fn failed<E>(&self, action: &'static str, error: SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let request = Request {
            service: "Kinesis",
            action,
            resource: &format!("stream {}", self.stream.name),
        };
        request.failed(error)
    }

    /// Returns the ARN of the consumer, which is registered if it is not there.
    async fn consumer(&self) -> Result<&str> {
        let arn = self
            .consumer_arn
            .get_or_try_init(|| Box::pin(self.register()));
        Ok(arn.await?)
    }

    async fn register(&self) -> Result<String> {
        let name = self.stream.consumer.as_deref().unwrap_or("auroratrail");
        let summary = self
            .client
            .describe_stream_summary()
            .set_stream_name(self.name())
            .set_stream_arn(self.arn());
        let summary = summary
            .send()
            .await
            .map_err(|error| self.failed("kinesis:DescribeStreamSummary", error))?;
        let stream_arn = summary
            .stream_description_summary()
            .map(|it| it.stream_arn().to_owned())
            .ok_or_else(|| Error::unavailable("Kinesis", "Kinesis did not describe the stream"))?;
        let registered = self
            .client
            .register_stream_consumer()
            .stream_arn(&stream_arn)
            .consumer_name(name);
        if let Err(error) = registered.send().await
            && error.code() != Some("ResourceInUseException")
        {
            return Err(self.failed("kinesis:RegisterStreamConsumer", error));
        }
        let described = self
            .client
            .describe_stream_consumer()
            .stream_arn(&stream_arn)
            .consumer_name(name)
            .send()
            .await
            .map_err(|error| self.failed("kinesis:DescribeStreamConsumer", error))?;
        match described.consumer_description() {
            Some(consumer) if *consumer.consumer_status() == ConsumerStatus::Active => {
                Ok(consumer.consumer_arn().to_owned())
            }
            // Retried by the caller.
            _ => Err(Error::unavailable(
                "Kinesis",
                format!("the consumer {name} is not ready yet"),
            )),
        }
    }
}

#[async_trait]
impl Api for Client {
    async fn shards(&self) -> Result<Vec<Shard>> {
        let mut shards = Vec::new();
        let mut token: Option<String> = None;
        loop {
            // With a token, the stream must not be named again.
            let (name, arn) = match token {
                Some(_) => (None, None),
                None => (self.name(), self.arn()),
            };
            let request = self
                .client
                .list_shards()
                .set_stream_name(name)
                .set_stream_arn(arn)
                .set_next_token(token);
            let page = request
                .send()
                .await
                .map_err(|error| self.failed("kinesis:ListShards", error))?;
            shards.extend(page.shards().iter().map(|shard| {
                Shard {
                    id: shard.shard_id().to_owned(),
                    parents: [shard.parent_shard_id(), shard.adjacent_parent_shard_id()]
                        .into_iter()
                        .flatten()
                        .map(str::to_owned)
                        .collect(),
                }
            }));
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                return Ok(shards);
            }
        }
    }

    async fn iterator(&self, shard: &str, at: &Place) -> Result<String, Fault> {
        let (kind, sequence, micros) = match at {
            Place::Oldest => (ShardIteratorType::TrimHorizon, None, None),
            Place::Time(micros) => (ShardIteratorType::AtTimestamp, None, Some(*micros)),
            Place::At(sequence) => (ShardIteratorType::AtSequenceNumber, Some(sequence), None),
            Place::After(sequence) => {
                (ShardIteratorType::AfterSequenceNumber, Some(sequence), None)
            }
        };
        let has_sequence = sequence.is_some();
        let request = self
            .client
            .get_shard_iterator()
            .set_stream_name(self.name())
            .set_stream_arn(self.arn())
            .shard_id(shard)
            .shard_iterator_type(kind)
            .set_starting_sequence_number(sequence.cloned())
            .set_timestamp(micros.map(time));
        let answer = request.send().await.map_err(|error| {
            let missing_shard = error.message().is_some_and(|said| said.contains(shard));
            match error.code() {
                Some("InvalidArgumentException") if has_sequence => Fault::NoSuchRecord,
                Some("ResourceNotFoundException") if missing_shard => Fault::NoSuchShard,
                _ => Fault::Other(self.failed("kinesis:GetShardIterator", error)),
            }
        })?;
        answer.shard_iterator.ok_or_else(|| {
            Error::unavailable("Kinesis", "Kinesis gave no iterator for the shard").into()
        })
    }

    async fn records(&self, iterator: &str, limit: i32) -> Result<Page, Fault> {
        let request = self
            .client
            .get_records()
            .shard_iterator(iterator)
            .limit(limit)
            .set_stream_arn(self.arn());
        let page = request.send().await.map_err(|error| match error.code() {
            Some("ExpiredIteratorException") => Fault::Expired,
            // The iterator is the one thing in the request that can be wrong.
            Some("InvalidArgumentException") => Fault::Expired,
            // So it is for some servers, which say so with a status and nothing else.
            None if is_server_fault_without_code(&error) => Fault::Expired,
            _ => Fault::Other(self.failed("kinesis:GetRecords", error)),
        })?;
        Ok(Page {
            next: page.next_shard_iterator().map(str::to_owned),
            behind: behind(page.millis_behind_latest()),
            children: page.child_shards().iter().map(child).collect(),
            records: page.records.into_iter().map(record).collect(),
        })
    }

    async fn subscribe(&self, shard: &str, at: &Place) -> Result<Subscription, Fault> {
        let position = StartingPosition::builder();
        let position = match at {
            Place::Oldest => position.r#type(ShardIteratorType::TrimHorizon),
            Place::Time(micros) => position
                .r#type(ShardIteratorType::AtTimestamp)
                .timestamp(time(*micros)),
            Place::At(sequence) => position
                .r#type(ShardIteratorType::AtSequenceNumber)
                .sequence_number(sequence),
            Place::After(sequence) => position
                .r#type(ShardIteratorType::AfterSequenceNumber)
                .sequence_number(sequence),
        };
        let has_sequence = matches!(at, Place::At(_) | Place::After(_));
        let position = position.build().expect("the type is set");
        let request = self
            .client
            .subscribe_to_shard()
            .consumer_arn(self.consumer().await?)
            .shard_id(shard)
            .starting_position(position);
        let answer = request.send().await.map_err(|error| match error.code() {
            Some("ResourceInUseException") => Fault::InUse,
            Some("InvalidArgumentException") if has_sequence => Fault::NoSuchRecord,
            _ => Fault::Other(self.failed("kinesis:SubscribeToShard", error)),
        })?;
        let (page, pages) = mpsc::channel(1);
        let mut events = answer.event_stream;
        let name = self.stream.name.clone();
        // Ends with its receiver, or with the subscription.
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    () = page.closed() => return,
                    event = events.recv() => event,
                };
                let next = match event {
                    Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) => {
                        Ok(Page {
                            next: (!event.continuation_sequence_number.is_empty())
                                .then(|| event.continuation_sequence_number.clone()),
                            behind: behind(Some(event.millis_behind_latest)),
                            children: event.child_shards().iter().map(child).collect(),
                            records: event.records.into_iter().map(record).collect(),
                        })
                    }
                    Ok(Some(_)) => continue,
                    Ok(None) => return,
                    Err(error) => {
                        let request = Request {
                            service: "Kinesis",
                            action: "kinesis:SubscribeToShard",
                            resource: &format!("stream {name}"),
                        };
                        Err(Fault::Other(request.interrupted(&error)))
                    }
                };
                let is_over = next.is_err();
                if page.send(next).await.is_err() || is_over {
                    return;
                }
            }
        });
        Ok(pages)
    }

    fn now_micros(&self) -> i64 {
        self.clock.now().timestamp_micros()
    }
}

/// Returns whether a server failed without saying why.
fn is_server_fault_without_code<E>(error: &SdkError<E>) -> bool {
    let status = error.raw_response().map(|raw| raw.status().as_u16());
    matches!(error, SdkError::ServiceError(_)) && status == Some(500)
}

fn record(record: SdkRecord) -> Record {
    Record {
        arrived_micros: record.approximate_arrival_timestamp.map(micros),
        sequence: record.sequence_number,
        data: record.data.into_inner().into(),
    }
}

fn child(shard: &ChildShard) -> Shard {
    Shard {
        id: shard.shard_id().to_owned(),
        parents: shard.parent_shards().to_vec(),
    }
}

fn behind(millis: Option<i64>) -> Duration {
    Duration::from_millis(millis.unwrap_or(0).try_into().unwrap_or(0))
}

fn time(micros: i64) -> DateTime {
    DateTime::from_nanos(i128::from(micros) * 1000).expect("it is a time of this era")
}

fn micros(time: DateTime) -> i64 {
    let nanos = time.as_nanos() / 1000;
    i64::try_from(nanos).unwrap_or(0)
}
