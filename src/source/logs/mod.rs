//! `logs://log-group`: the streams of a CloudWatch log group, or of several.
//!
//! ```text
//! DescribeLogGroups ──> a task a group ──> FilterLogEvents ──> Outlet
//!  (names with a *)       ▲ ranges of time, see timed/  │
//!                         └────────── each 2 s ─────────┘
//! ```
//!
//! | parameter | values | default |
//! | --- | --- | --- |
//! | `from` | `latest`, `oldest`, a span (`-1h`), a time | `oldest`; `latest` to watch |
//! | `look-back` | the time before the newest event that is asked for again each minute, for events that are stored even later; `0s` for none | `2h` |
//! | `mode` | `poll`; `live-tail`: StartLiveTail, to watch only | `poll` |
//! | `overlap` | the longest time by which events are stored later than they say | `5m` |
//! | `region` | a region | the profile's |
//!
//! The name of a log group often begins with a slash: `logs:///aws/cloudtrail/org`. A name that ends in
//! `*` means all log groups that begin so; those that appear later are found.
//!
//! Each stream has a position, and the group has one too, named with a slash at its end: all events up to
//! it were handed out, so it is where a later run goes on.
//!
//! See <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html>.

mod client;
mod feed;
mod tail;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use chrono::Utc;

use self::client::Client;
use self::feed::{Connect, Groups, Pace};
use super::access::AccessCheck;
use super::aws::Aws;
use super::live::{Address, Live, Since};
use super::timed::Log;
use super::{OpenContext, Reading, Source};
use crate::checkpoint::Checkpoint;
use crate::error::Result;

/// The log groups that a URL names, and how they are read.
#[derive(Clone, Debug)]
struct Target {
    /// A name, the beginning of names or an ARN.
    name: String,
    is_prefix: bool,
    is_live_tail: bool,
    region: Option<String>,
    from: Option<Since>,
    overlap_millis: i64,
    look_back_millis: Option<i64>,
}

impl Target {
    /// Parses `logs://name?from=...`.
    ///
    /// # Errors
    /// Config, for what CloudWatch Logs has no name or value for.
    fn parse(url: &str) -> Result<Self> {
        let address = Address::parse(url, PARAMETERS)?;
        let typed = &*address.name;
        let name = typed.strip_suffix('*').unwrap_or(typed);
        let is_prefix = name.len() < typed.len();
        let is_arn = name.starts_with("arn:");
        let name = if is_arn {
            name.trim_end_matches(':')
        } else {
            name
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_-/.#".contains(c);
        if (name.is_empty() && !is_prefix)
            || (!is_arn && (name.len() > 512 || !name.chars().all(is_name)))
        {
            return Err(address.fault(
                "expected the name of a log group after logs://, as in logs:///aws/cloudtrail/org; \
                 a * at its end means all names that begin so",
            ));
        }
        let from = address
            .get("from")
            .map(|from| Since::parse(from, Utc::now()));
        let look_back_millis = address.span("look-back", LOOK_BACK_MILLIS)?;
        // arn:aws:logs:REGION:ACCOUNT:log-group:NAME
        let of_arn = name.split(':').nth(3).filter(|_| is_arn);
        Ok(Self {
            // An ARN ends in `:*` as often as not.
            is_prefix: is_prefix && !is_arn,
            is_live_tail: address.one_of("mode", &["poll", "live-tail"])? == "live-tail",
            region: address.get("region").or(of_arn).map(str::to_owned),
            from: from.transpose().map_err(|error| address.fault(error))?,
            overlap_millis: address.span("overlap", OVERLAP_MILLIS)?,
            look_back_millis: (look_back_millis > 0).then_some(look_back_millis),
            name: name.to_owned(),
        })
    }

    /// The group of a name.
    fn group(name: &str) -> Log {
        Log {
            name: name.to_owned(),
            partition: partition(name).into(),
        }
    }
}

/// The partition of a group, which begins those of its streams.
fn partition(group: &str) -> String {
    let name = group
        .split_once(":log-group:")
        .map_or(group, |(_, name)| name);
    format!("logs://{name}/")
}

/// Looks at log groups, for a reader with this checkpoint.
///
/// # Errors
/// Config, for URLs that name no log group.
pub(super) async fn check(aws: &Aws, url: &str, from: &Checkpoint) -> Result<Vec<AccessCheck>> {
    let target = Target::parse(url)?;
    let client = Client::connect(aws, target.region.as_deref()).await;
    Ok(feed::check(&client, &target, from).await)
}

/// Opens log groups.
pub(super) fn open(aws: &Arc<Aws>, url: &str, context: &OpenContext) -> Result<Box<dyn Source>> {
    let target = Target::parse(url)?;
    let (aws, region) = (Arc::clone(aws), target.region.clone());
    let connect: Connect = Box::new(move || {
        Box::pin(async move {
            let client = Client::connect(&aws, region.as_deref()).await;
            Arc::new(client) as Arc<_>
        })
    });
    let feed = Groups {
        connect,
        since: target.from.unwrap_or(match context.reading {
            Reading::Watch => Since::Latest,
            Reading::ToNow | Reading::Follow => Since::Oldest,
        }),
        target,
        from: context.from.clone(),
        pace: Pace::default(),
    };
    Ok(Box::new(Live::new(Box::new(feed), context)))
}

/// The parameters of a URL.
pub(super) const PARAMETERS: &[&str] = &["from", "look-back", "mode", "overlap", "region"];

/// The longest time by which events are stored later than they say, unless told otherwise.
const OVERLAP_MILLIS: i64 = 5 * 60 * 1000;
/// The time that is looked back to, unless told otherwise: CloudTrail delivers within some 5 minutes, and
/// an outage of an hour is a long one.
/// <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/how-cloudtrail-works.html>
const LOOK_BACK_MILLIS: i64 = 2 * 3600 * 1000;
