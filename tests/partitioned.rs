//! A source written as a newcomer would: several partitions, pauses, errors that can be retried, no
//! end. Nothing but [`partitioned`] and its name in a call of `with_scheme` makes it one.

use std::time::Duration;

use async_trait::async_trait;
use auroratrail::checkpoint::{Checkpoint, Position};
use auroratrail::error::{Error, Result};
use auroratrail::payload::{Body, Payload};
use auroratrail::source::{Boundedness, Lag, OpenContext, Progress, Source};

const PARTITIONS: u64 = 3;

struct Partitioned {
    /// Records handed out, by partition.
    done: [u64; PARTITIONS as usize],
    calls: u64,
}

/// Opens `partitioned://`.
pub fn partitioned(_: &str, context: &OpenContext) -> Result<Box<dyn Source>> {
    let done = |partition: usize| {
        let from = context.from.as_ref()?;
        match from.position(&id(partition as u64))? {
            Position::Sequence(digits) => digits.parse().ok(),
            _ => None,
        }
    };
    Ok(Box::new(Partitioned {
        done: std::array::from_fn(|partition| done(partition).unwrap_or(0)),
        calls: 0,
    }))
}

fn id(partition: u64) -> String {
    format!("partitioned://{partition}")
}

#[async_trait]
impl Source for Partitioned {
    fn boundedness(&self) -> Boundedness {
        Boundedness::Unbounded
    }

    async fn next(&mut self) -> Result<Option<Payload>> {
        self.calls += 1;
        match self.calls % 7 {
            2 => tokio::time::sleep(Duration::from_millis(3)).await,
            5 => return Err(Error::unavailable("partitioned", "slow down")),
            _ => {}
        }
        let partition = self.calls % PARTITIONS;
        let done = &mut self.done[partition as usize];
        let records: String = (*done..*done + self.calls % 40)
            .map(|number| format!("{{\"eventVersion\":\"1.08\",\"eventSource\":\"rds.amazonaws.com\",\"eventName\":\"StopDBCluster\",\"eventID\":\"{partition}-{number}\"}}\n"))
            .collect();
        *done += self.calls % 40;
        let origin = format!("{}/{done}", id(partition));
        Ok(Some(Payload::new(origin, Body::Whole(records.into()))))
    }

    fn checkpoint(&self) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        for (partition, done) in (0..).zip(self.done) {
            let position = Position::Sequence(done.to_string());
            checkpoint.advance(&id(partition), position).unwrap();
        }
        checkpoint
    }

    fn progress(&self) -> Progress {
        let behind = (0..PARTITIONS).map(|partition| (id(partition), Lag::Payloads(1)));
        Progress {
            behind: behind.collect(),
            retrying: None,
        }
    }
}
