//! `kinesis://stream`: all shards of a Kinesis data stream.
//!
//! ```text
//! ListShards ──> which may be read now? ──> a task a shard ──> Outlet
//!      ▲         (parents before children)       │
//!      └──────────── each 30 s, and ─────────────┘ when a shard ends
//! ```
//!
//! | parameter | values | default |
//! | --- | --- | --- |
//! | `from` | `latest`, `trim_horizon`, a span (`-1h`), a time | `trim_horizon`; `latest` to watch |
//! | `mode` | `poll`; `efo`: enhanced fan-out | `poll` |
//! | `consumer` | the name of the consumer that `mode=efo` registers | `auroratrail` |
//! | `region` | a region | the profile's |
//!
//! A position is the sequence number of a shard's last record that was handed out. It is found again
//! by asking for that record itself: if it is not there any more, what followed it may be gone too,
//! and that is told as a reject with the reason `gap`.
//!
//! See <https://docs.aws.amazon.com/streams/latest/dev/developing-consumers-with-sdk.html>.

mod access;
mod client;
mod feed;
mod shard;
mod shards;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use chrono::Utc;

use self::client::Client;
use self::feed::{Connect, Streaming};
use self::shard::Pace;
use super::access::AccessCheck;
use super::aws::Aws;
use super::live::{Address, Live, Since};
use super::{OpenContext, Reading, Source};
use crate::checkpoint::Checkpoint;
use crate::error::Result;

/// The stream that a URL names, and how it is read.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Its name or ARN.
    pub(super) name: String,
    pub(super) region: Option<String>,
    pub(super) from: Option<Since>,
    /// The name of the consumer for enhanced fan-out; `None` to poll.
    pub(super) consumer: Option<String>,
}

impl Stream {
    /// Parses `kinesis://name?from=...`.
    ///
    /// # Errors
    /// Config, for what Kinesis has no name or value for.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let address = Address::parse(url, &["from", "mode", "consumer", "region"])?;
        let name = address.name.trim_end_matches('/').to_owned();
        let is_arn = name.starts_with("arn:");
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if name.is_empty() || (!is_arn && (name.len() > 128 || !name.chars().all(is_name))) {
            return Err(address.fault("expected the name or the ARN of a stream after kinesis://"));
        }
        let from = address
            .get("from")
            .map(|from| Since::parse(from, Utc::now()));
        let is_efo = address.one_of("mode", &["poll", "efo"])? == "efo";
        let consumer = address.get("consumer").unwrap_or("auroratrail");
        // arn:aws:kinesis:REGION:ACCOUNT:stream/NAME
        let of_arn = name.split(':').nth(3).filter(|_| is_arn);
        let region = address.get("region").or(of_arn).map(str::to_owned);
        Ok(Self {
            from: from.transpose().map_err(|error| address.fault(error))?,
            consumer: is_efo.then(|| consumer.to_owned()),
            region,
            name,
        })
    }

    /// The partition of a shard.
    pub(super) fn partition(&self, shard: &str) -> Arc<str> {
        format!("kinesis://{}/{shard}", self.name).into()
    }
}

/// Looks at a stream, for a reader with this checkpoint.
///
/// # Errors
/// Config, as of [`Stream::parse`].
pub(super) async fn check(aws: &Aws, url: &str, from: &Checkpoint) -> Result<Vec<AccessCheck>> {
    let stream = Stream::parse(url)?;
    let client = Client::connect(aws, stream.clone()).await;
    Ok(access::check(&client, &stream, from).await)
}

/// Opens a stream.
pub(super) fn open(aws: &Arc<Aws>, url: &str, context: &OpenContext) -> Result<Box<dyn Source>> {
    let stream = Stream::parse(url)?;
    let since = stream.from.unwrap_or(match context.reading {
        Reading::Watch => Since::Latest,
        Reading::ToNow | Reading::Follow => Since::Oldest,
    });
    let (aws, named) = (Arc::clone(aws), stream.clone());
    let connect: Connect = Box::new(move || {
        Box::pin(async move { Ok(Arc::new(Client::connect(&aws, named).await) as Arc<_>) })
    });
    let feed = Streaming {
        connect,
        stream,
        since,
        from: context.from.clone().unwrap_or_default(),
        pace: Pace::default(),
    };
    Ok(Box::new(Live::new(Box::new(feed), context)))
}
