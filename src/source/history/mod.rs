//! `cloudtrail://`: CloudTrail's event history, which needs no trail.
//!
//! ```text
//! a task a lookup ──> LookupEvents ──> Outlet       two calls a second for all
//!   ▲ ranges of time, see timed/ │
//!   └──────── each minute ───────┘
//! ```
//!
//! | parameter | values | default |
//! | --- | --- | --- |
//! | `since` or `from` | `latest`, `oldest`, a span (`7d`), a time | `oldest`: 90 days; `latest` to watch |
//! | `until` | a span before now or a time, both past | now |
//! | `region` | a region | the profile's |
//! | one of `eventSource`, `eventName`, `username`, `resourceName`, `resourceType`, `eventId`, `accessKeyId`, `readOnly` | a value | the sources of Aurora's management events; `eventSource=*`: all |
//!
//! The region may stand in the place of a host, too: `cloudtrail://eu-west-1`. The history has management
//! events only, of one region, for 90 days.
//!
//! See <https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html>.

mod client;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use futures::future::BoxFuture;
use tokio::task::JoinSet;

use self::client::Client;
use super::access::{AccessCheck, behind};
use super::aws::Aws;
use super::live::{Address, Feed, Live, Outlet, Since};
use super::timed::{Api, Ask, Ended, Fault, Log, Pacer, Range, Reader, Settings};
use super::{OpenContext, Reading, Source};
use crate::checkpoint::{Checkpoint, Position};
use crate::error::{Error, Result};

/// The lookups of a URL.
#[derive(Clone, Debug)]
struct History {
    region: Option<String>,
    since: Option<Since>,
    until_millis: Option<i64>,
    /// Each is `key=value`; `*` for all events.
    lookups: Vec<String>,
}

impl History {
    /// Parses `cloudtrail://?since=7d&eventName=...`.
    ///
    /// # Errors
    /// Config, for what the event history has no name or value for.
    fn parse(url: &str) -> Result<Self> {
        let known: Vec<&str> = ["since", "from", "until", "region"]
            .into_iter()
            .chain(client::ATTRIBUTES.iter().map(|(name, _)| *name))
            .collect();
        let address = Address::parse(url, &known)?;
        let name = address.name.trim_end_matches('/');
        let is_region = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if !name.chars().all(is_region) {
            return Err(address.fault("expected nothing or a region after cloudtrail://"));
        }
        let region = address
            .get("region")
            .or_else(|| Some(name).filter(|name| !name.is_empty()));
        if address.get("since").is_some() && address.get("from").is_some() {
            return Err(address.fault("`since` and `from` mean the same: give one of them"));
        }
        let time = |key: &str| {
            let parsed = address.get(key).map(|text| Since::parse(text, Utc::now()));
            parsed.transpose().map_err(|error| address.fault(error))
        };
        let until_millis = match time("until")? {
            Some(Since::Time(micros)) => Some(micros.div_euclid(1000)),
            Some(Since::Oldest) => return Err(address.fault("`until` is a time")),
            Some(Since::Latest) | None => None,
        };
        Ok(Self {
            region: region.map(str::to_owned),
            since: time("since")?.or(time("from")?),
            // What is yet to come has no end.
            until_millis: until_millis.filter(|until| *until < Utc::now().timestamp_millis()),
            lookups: lookups(&address)?,
        })
    }
}

/// Returns the lookups that a URL asks for.
fn lookups(address: &Address) -> Result<Vec<String>> {
    let given = client::ATTRIBUTES
        .iter()
        .filter_map(|(name, _)| Some((*name, address.get(name)?)));
    let given: Vec<(&str, &str)> = given.collect();
    match given.as_slice() {
        [] => Ok(AURORA
            .iter()
            .map(|it| format!("eventSource={it}"))
            .collect()),
        [("eventSource", "*")] => Ok(vec!["*".to_owned()]),
        [(name, "")] => Err(address.fault(format!("`{name}` has no value"))),
        [(name, value)] => Ok(vec![format!("{name}={value}")]),
        [(one, _), (two, _), ..] => Err(address.fault(format!(
            "the event history is looked up by one attribute, not by both `{one}` and `{two}`: \
             leave the other to WHERE"
        ))),
    }
}

/// The lookup of a region.
fn log(region: &str, lookup: &str) -> Log {
    let name = lookup.replace('%', "%25").replace('/', "%2F");
    Log {
        name: lookup.to_owned(),
        partition: format!("cloudtrail://{region}/{name}").into(),
    }
}

/// Makes the client, once it is needed. Returns the region, too.
type Connect = Box<dyn FnOnce() -> BoxFuture<'static, (Arc<dyn Api>, String)> + Send>;

/// The feed of the event history.
struct Lookups {
    connect: Connect,
    lookups: Vec<String>,
    settings: Settings,
    from: Checkpoint,
}

#[async_trait]
impl Feed for Lookups {
    async fn run(self: Box<Self>, outlet: Outlet) -> Result<()> {
        let (api, region) = (self.connect)().await;
        let settings = Arc::new(self.settings);
        let mut readers = JoinSet::new();
        for lookup in &self.lookups {
            let log = log(&region, lookup);
            let (api, settings) = (Arc::clone(&api), Arc::clone(&settings));
            readers.spawn(Reader::new(api, outlet.clone(), log, settings).read(self.from.clone()));
        }
        while let Some(ended) = readers.join_next().await {
            let ended =
                ended.map_err(|error| Error::bug(format!("a lookup's task stopped: {error}")))?;
            match ended? {
                Ended::CaughtUp => {}
                Ended::Unwanted => return Ok(()),
                Ended::NoSuchLog { error, .. } => return Err(error),
            }
        }
        Ok(())
    }
}

/// Opens the event history.
pub(super) fn open(aws: &Arc<Aws>, url: &str, context: &OpenContext) -> Result<Box<dyn Source>> {
    let history = History::parse(url)?;
    let (aws, region) = (Arc::clone(aws), history.region.clone());
    let connect: Connect = Box::new(move || {
        Box::pin(async move {
            let client = Client::connect(&aws, region.as_deref()).await;
            let region = client.region().to_owned();
            (Arc::new(client) as Arc<_>, region)
        })
    });
    let feed = Lookups {
        connect,
        settings: settings(&history, context),
        lookups: history.lookups,
        from: context.from.clone().unwrap_or_default(),
    };
    Ok(Box::new(Live::new(Box::new(feed), context)))
}

fn settings(history: &History, context: &OpenContext) -> Settings {
    let since = match context.reading {
        Reading::Watch => Since::Latest,
        Reading::ToNow | Reading::Follow => Since::Oldest,
    };
    Settings {
        since: history.since.unwrap_or(since),
        until_millis: history.until_millis,
        overlap_millis: OVERLAP_MILLIS,
        // Two calls a second leave no time for it.
        look_back: None,
        kept_millis: Some(KEPT_MILLIS),
        first_range_millis: FIRST_RANGE_MILLIS,
        poll: POLL,
        pacer: Arc::new(Pacer::new(CALL)),
        is_at_once: context.reading.is_to_now() && context.from.is_none(),
    }
}

/// Tries a lookup, and finds how far a reader with this checkpoint is behind.
///
/// # Errors
/// Config, as of opening it.
pub(super) async fn check(aws: &Aws, url: &str, from: &Checkpoint) -> Result<Vec<AccessCheck>> {
    let history = History::parse(url)?;
    let client = Client::connect(aws, history.region.as_deref()).await;
    let pacer = Pacer::new(CALL);
    let mut checks = Vec::new();
    for lookup in &history.lookups {
        pacer.turn().await;
        let outcome = look(&client, &log(client.region(), lookup), from).await;
        let is_denied = outcome.is_err();
        checks.push(AccessCheck::new(
            "cloudtrail:LookupEvents",
            lookup.clone(),
            outcome,
        ));
        if is_denied {
            break;
        }
    }
    Ok(checks)
}

async fn look(client: &Client, log: &Log, from: &Checkpoint) -> Result<String> {
    let now = client.now_millis();
    let position = match from.position(&log.partition) {
        Some(Position::Time { micros, .. }) => Some(micros.div_euclid(1000)),
        _ => None,
    };
    let range = Range {
        from: position.map_or(now - KEPT_MILLIS, |position| position + 1),
        to: None,
    };
    let ask = Ask {
        range,
        token: None,
        most: Some(1),
    };
    let page = client.page(&log.name, &ask).await;
    let page = page.map_err(|fault| match fault {
        Fault::NoSuchLog(error) | Fault::Other(error) => error,
        Fault::BadToken => Error::config("CloudTrail did not take the question"),
    })?;
    Ok(match (page.events.first(), position) {
        (None, _) => "empty, or up to date".to_owned(),
        (Some(_), None) => "there is something to read".to_owned(),
        (Some(_), Some(position)) => {
            let lag = now - position;
            format!(
                "at most {}",
                behind(Duration::from_millis(lag.try_into().unwrap_or(0)))
            )
        }
    })
}

/// The sources of Aurora's management events; what `rdsdataapi.amazonaws.com` logs are data events, which
/// the history does not have.
const AURORA: [&str; 3] = [
    "rds.amazonaws.com",
    "rdsdata.amazonaws.com",
    "dsql.amazonaws.com",
];
const MINUTE_MILLIS: i64 = 60 * 1000;
const DAY_MILLIS: i64 = 24 * 60 * MINUTE_MILLIS;
const OVERLAP_MILLIS: i64 = 15 * MINUTE_MILLIS;
const KEPT_MILLIS: i64 = 90 * DAY_MILLIS;
const FIRST_RANGE_MILLIS: i64 = DAY_MILLIS;
/// Two calls a second are allowed for an account in a region.
const CALL: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 510 });
const POLL: Duration = Duration::from_secs(60);
