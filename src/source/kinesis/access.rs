//! Looks at a stream without reading it on.

use super::Stream;
use super::client::{Api, Fault, Place};
use super::shards::Shards;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::source::access::{AccessCheck, behind};

/// Tries each request that reading needs, and finds how far a reader with this checkpoint is behind.
pub(super) async fn check(api: &dyn Api, stream: &Stream, from: &Checkpoint) -> Vec<AccessCheck> {
    let listed = match api.shards().await {
        Ok(listed) => listed,
        Err(error) => {
            let name = format!("stream {}", stream.name);
            return vec![AccessCheck::new("kinesis:ListShards", name, Err(error))];
        }
    };
    let prefix = stream.partition("");
    let positions = from.partitions();
    let positions =
        positions.filter_map(|(id, position)| Some((id.strip_prefix(&*prefix)?, position)));
    let mut shards = Shards::new(positions, 0);
    shards.found(listed.clone());
    let unread = shards.waiting();
    let found = format!(
        "{} shards, {} of them to be read",
        listed.len(),
        unread.len()
    );
    let name = format!("stream {}", stream.name);
    let mut checks = vec![AccessCheck::new("kinesis:ListShards", name, Ok(found))];
    for (shard, place) in unread.iter().take(MOST_SHARDS) {
        let outcome = look(api, shard, place).await;
        let is_denied = outcome.is_err();
        checks.push(AccessCheck::new(
            "kinesis:GetRecords",
            shard.clone(),
            outcome,
        ));
        if is_denied {
            break;
        }
    }
    checks
}

async fn look(api: &dyn Api, shard: &str, place: &Place) -> Result<String> {
    let iterator = match api.iterator(shard, place).await {
        Err(Fault::NoSuchRecord) => {
            return Ok("the position of the checkpoint is not kept any more: a gap".to_owned());
        }
        iterator => iterator.map_err(in_words)?,
    };
    let page = api.records(&iterator, 1).await.map_err(in_words)?;
    Ok(match (place, page.records.first()) {
        (Place::At(sequence), Some(first)) if first.sequence != *sequence => {
            "the position of the checkpoint is not kept any more: a gap".to_owned()
        }
        (Place::Oldest, None) if page.behind.is_zero() => "empty, or up to date".to_owned(),
        _ => behind(page.behind),
    })
}

fn in_words(fault: Fault) -> Error {
    match fault {
        Fault::Other(error) => error,
        Fault::Expired => Error::unavailable("Kinesis", "Kinesis did not take its own iterator"),
        Fault::NoSuchRecord | Fault::NoSuchShard => {
            Error::config("Kinesis does not have the shard any more")
        }
        Fault::InUse => Error::unavailable("Kinesis", "the consumer is in use"),
    }
}

/// The most shards that are looked at: each takes two calls.
const MOST_SHARDS: usize = 100;
