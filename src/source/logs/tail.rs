//! Live tail: events within a second, but not all of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::client::{Api, Update};
use super::{Target, partition};
use crate::checkpoint::Position;
use crate::error::{Error, Result};
use crate::payload::{Body, Payload};
use crate::source::Reading;
use crate::source::live::Outlet;
use crate::source::timed::Known;

/// Refuses readings that must not miss anything.
///
/// # Errors
/// Config, for all but watching without a checkpoint.
pub(super) fn refuse(reading: Reading, has_checkpoint: bool) -> Result<()> {
    match (reading, has_checkpoint) {
        (Reading::Watch, false) => Ok(()),
        _ => Err(Error::config(
            "`mode=live-tail` shows events as they arrive, and leaves out some where there are many: \
             it is for `watch` without --checkpoint; leave out `mode` to read all events",
        )),
    }
}

/// Reads until nobody takes the events any more.
///
/// # Errors
/// Those that time does not mend.
pub(super) async fn read(api: &dyn Api, target: &Target, outlet: &Outlet) -> Result<()> {
    let mut attempts = outlet.attempts(&partition(&target.name));
    let mut tail = Tail {
        outlet,
        known: Known::default(),
        newest: 0,
        positions: BTreeMap::new(),
        has_warned: false,
    };
    loop {
        // Looked up anew for each session, as there may be more now.
        let session = match arns(api, target).await {
            Ok(arns) => api.tail(&arns).await,
            Err(error) => Err(error),
        };
        let mut session = match session {
            Ok(session) => session,
            Err(error) => {
                attempts.failed(error).await?;
                continue;
            }
        };
        while let Some(update) = session.recv().await {
            match update {
                Ok(update) => {
                    attempts.succeeded();
                    if !tail.take(update).await {
                        return Ok(());
                    }
                }
                Err(error) => attempts.failed(error).await?,
            }
        }
        // A session ends after three hours.
        sleep(BETWEEN_SESSIONS).await;
    }
}

/// Returns the ARNs of the groups, which live tail wants.
async fn arns(api: &dyn Api, target: &Target) -> Result<Vec<String>> {
    let name = &target.name;
    if name.starts_with("arn:") {
        return Ok(vec![name.clone()]);
    }
    let mut groups = api.groups(name).await?;
    groups.retain(|group| target.is_prefix || group.name == *name);
    match groups.len() {
        0 => Err(Error::config(format!(
            "CloudWatch Logs has no log group {name}: check the name and the region"
        ))),
        1..=MOST_GROUPS => Ok(groups.into_iter().map(|group| group.arn).collect()),
        found => Err(Error::config(format!(
            "live tail is for {MOST_GROUPS} log groups at most, and {found} begin with {name}: \
             name fewer, or leave out `mode`"
        ))),
    }
}

/// The progress of live tail.
struct Tail<'a> {
    outlet: &'a Outlet,
    /// A session may begin with what the one before it ended with.
    known: Known,
    newest: i64,
    positions: BTreeMap<Arc<str>, i64>,
    has_warned: bool,
}

impl Tail<'_> {
    /// Hands on an update. Returns `false` once nobody takes it any more.
    async fn take(&mut self, update: Update) -> bool {
        if update.is_sampled && !self.has_warned {
            self.has_warned = true;
            tracing::warn!(
                "live tail leaves out events, as there are more than 500 a second; \
                 leave out `mode` to see all"
            );
        }
        let bytes = update.events.iter().map(|event| event.text.len()).sum();
        let mut room = self.outlet.room(bytes).await;
        for event in update.events {
            self.newest = self.newest.max(event.millis);
            if !self.known.insert((&event.stream, &event.id), event.millis) {
                continue;
            }
            let partition: Arc<str> = match event.origin.rsplit_once('/') {
                Some((partition, _)) => partition.into(),
                None => event.origin.as_str().into(),
            };
            let through = self.positions.entry(Arc::clone(&partition)).or_default();
            *through = event.millis.max(*through);
            let position = Position::Time {
                micros: through.saturating_mul(1000),
                ids: std::collections::BTreeSet::new(),
            };
            let payload = Payload {
                delivered_micros: event.stored_millis.map(|millis| millis * 1000),
                ..Payload::new(event.origin, Body::Whole(event.text))
            };
            let outlet = self.outlet;
            if !outlet
                .payload(&partition, position, payload, &mut room)
                .await
            {
                return false;
            }
        }
        self.known.forget_before(self.newest - KNOWN_MILLIS);
        true
    }
}

/// The most log groups of a session.
const MOST_GROUPS: usize = 10;
/// The time for which events are known.
const KNOWN_MILLIS: i64 = 5 * 60 * 1000;
const BETWEEN_SESSIONS: Duration = Duration::from_secs(1);
