//! Log groups: they are found, and each is read by a task.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::client::Api;
use super::{Target, tail};
use crate::checkpoint::{Checkpoint, Position};
use crate::error::{Error, Result};
use crate::source::access::{AccessCheck, behind};
use crate::source::live::{Feed, Outlet, Since};
use crate::source::timed::{self, Ask, Ended, Fault, Pacer, Range, Reader, Settings};

/// Makes the client, once it is needed.
pub(super) type Connect = Box<dyn FnOnce() -> BoxFuture<'static, Arc<dyn Api>> + Send>;

/// The feed of log groups.
pub(super) struct Groups {
    pub(super) connect: Connect,
    pub(super) target: Target,
    pub(super) since: Since,
    /// `None` if no checkpoint is asked for.
    pub(super) from: Option<Checkpoint>,
    pub(super) pace: Pace,
}

/// The times between calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Between two calls of any group.
    pub(super) call: Duration,
    /// Between two questions for what is new in a group.
    pub(super) poll: Duration,
    /// Between two looks for new groups.
    pub(super) find: Duration,
    /// Between two looks for events that were stored late.
    pub(super) look_back: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            call: CALL,
            poll: POLL,
            find: FIND,
            look_back: LOOK_BACK,
        }
    }
}

#[async_trait]
impl Feed for Groups {
    async fn run(self: Box<Self>, outlet: Outlet) -> Result<()> {
        let is_kept = self.from.is_some();
        if self.target.is_live_tail {
            tail::refuse(outlet.reading(), is_kept)?;
            let api = (self.connect)().await;
            return tail::read(api.as_ref(), &self.target, &outlet).await;
        }
        let is_to_now = outlet.reading().is_to_now();
        let settings = Settings {
            since: self.since,
            until_millis: None,
            overlap_millis: self.target.overlap_millis,
            look_back: self
                .target
                .look_back_millis
                .map(|span| (span, self.pace.look_back)),
            kept_millis: None,
            first_range_millis: FIRST_RANGE_MILLIS,
            poll: self.pace.poll,
            pacer: Arc::new(Pacer::new(self.pace.call)),
            is_at_once: is_to_now && !is_kept,
        };
        let running = Running {
            api: (self.connect)().await,
            target: self.target,
            settings: Arc::new(settings),
            outlet,
            from: self.from.unwrap_or_default(),
            known: BTreeSet::new(),
            readers: JoinSet::new(),
        };
        running.run(self.pace.find).await
    }
}

struct Running {
    api: Arc<dyn Api>,
    target: Target,
    settings: Arc<Settings>,
    outlet: Outlet,
    from: Checkpoint,
    known: BTreeSet<String>,
    readers: JoinSet<(String, Result<Ended>)>,
}

impl Running {
    async fn run(mut self, find_every: Duration) -> Result<()> {
        if !self.target.is_prefix {
            self.start(&self.target.name.clone(), Arc::clone(&self.settings));
        }
        let (mut find_at, mut is_first) = (Instant::now(), true);
        loop {
            if self.target.is_prefix && Instant::now() >= find_at {
                self.find(is_first).await?;
                (find_at, is_first) = (Instant::now() + find_every, false);
            }
            if self.readers.is_empty()
                && (self.outlet.reading().is_to_now() || !self.target.is_prefix)
            {
                return Ok(());
            }
            let ended = tokio::select! {
                Some(ended) = self.readers.join_next() => ended,
                () = tokio::time::sleep_until(find_at), if self.target.is_prefix => continue,
            };
            let (group, ended) = ended
                .map_err(|error| Error::bug(format!("a log group's task stopped: {error}")))?;
            match ended? {
                Ended::Unwanted => return Ok(()),
                Ended::CaughtUp => {}
                Ended::NoSuchLog { error, left } => self.gone(&group, error, left)?,
            }
        }
    }

    /// Looks for groups that are new, and begins to read them.
    async fn find(&mut self, is_first: bool) -> Result<()> {
        let prefix = &self.target.name;
        let groups = find(self.api.as_ref(), prefix, &self.outlet).await?;
        let is_to_now = self.outlet.reading().is_to_now();
        if is_first && groups.is_empty() && is_to_now {
            return Err(Error::config(format!(
                "CloudWatch Logs has no log group that begins with {prefix}: check the name and the region"
            )));
        }
        // A group that is found later holds nothing that was there before.
        let settings = match is_first || is_to_now {
            true => Arc::clone(&self.settings),
            false => Arc::new(self.settings.of_later_logs()),
        };
        let new: Vec<String> = groups
            .into_iter()
            .filter(|group| !self.known.contains(group))
            .collect();
        for group in new {
            self.start(&group, Arc::clone(&settings));
        }
        Ok(())
    }

    fn start(&mut self, group: &str, settings: Arc<Settings>) {
        self.known.insert(group.to_owned());
        let api: Arc<dyn timed::Api> = Arc::clone(&self.api) as Arc<_>;
        let reader = Reader::new(api, self.outlet.clone(), Target::group(group), settings);
        let (name, from) = (group.to_owned(), self.from.clone());
        self.readers
            .spawn(async move { (name, reader.read(from).await) });
    }

    /// Takes note of a group that is not there any more.
    fn gone(&mut self, group: &str, error: Error, left: Checkpoint) -> Result<()> {
        if !self.target.is_prefix {
            return Err(error);
        }
        tracing::warn!(group, "the log group is not there any more");
        // It may come back. What is in it then is new; positions only move on.
        self.known.remove(group);
        self.from.merge(left);
        Ok(())
    }
}

/// Returns the names of groups.
async fn find(api: &dyn Api, prefix: &str, outlet: &Outlet) -> Result<Vec<String>> {
    let mut attempts = outlet.attempts(&format!("logs://{prefix}*"));
    loop {
        match api.groups(prefix).await {
            Ok(groups) => {
                attempts.succeeded();
                return Ok(groups.into_iter().map(|group| group.name).collect());
            }
            Err(error) => attempts.failed(error).await?,
        }
    }
}

/// Tries each request that reading needs, and finds how far a reader with this checkpoint is behind.
pub(super) async fn check(api: &dyn Api, target: &Target, from: &Checkpoint) -> Vec<AccessCheck> {
    let mut checks = Vec::new();
    let names = match target.is_prefix {
        false => vec![target.name.clone()],
        true => {
            let found = api.groups(&target.name).await;
            let resource = format!("log groups {}*", target.name);
            let (names, outcome) = match found {
                Ok(groups) => {
                    let names: Vec<String> = groups.into_iter().map(|it| it.name).collect();
                    let said = format!("{} log groups", names.len());
                    (names, Ok(said))
                }
                Err(error) => (Vec::new(), Err(error)),
            };
            checks.push(AccessCheck::new(
                "logs:DescribeLogGroups",
                resource,
                outcome,
            ));
            names
        }
    };
    for name in names.iter().take(MOST_GROUPS) {
        let outcome = look(api, name, from).await;
        let resource = format!("log group {name}");
        checks.push(AccessCheck::new("logs:FilterLogEvents", resource, outcome));
    }
    checks
}

async fn look(api: &dyn Api, group: &str, from: &Checkpoint) -> Result<String> {
    let position = match from.position(&Target::group(group).partition) {
        Some(Position::Time { micros, .. }) => Some(micros.div_euclid(1000)),
        _ => None,
    };
    let range = Range {
        from: position.map_or(0, |position| position + 1),
        to: None,
    };
    let ask = Ask {
        range,
        token: None,
        most: Some(1),
    };
    let page = api.page(group, &ask).await.map_err(in_words)?;
    let Some(first) = page.events.first() else {
        return Ok("empty, or up to date".to_owned());
    };
    let lag = api.now_millis() - first.millis;
    Ok(match position {
        Some(_) => behind(Duration::from_millis(lag.try_into().unwrap_or(0))),
        None => "there is something to read".to_owned(),
    })
}

fn in_words(fault: Fault) -> Error {
    match fault {
        Fault::NoSuchLog(error) | Fault::Other(error) => error,
        Fault::BadToken => Error::config("CloudWatch Logs did not take the question"),
    }
}

/// Five calls a second are allowed in the smallest regions, of all readers together:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html>.
const CALL: Duration = Duration::from_millis(200);
const POLL: Duration = Duration::from_secs(2);
const FIND: Duration = Duration::from_secs(120);
const LOOK_BACK: Duration = Duration::from_secs(60);
const FIRST_RANGE_MILLIS: i64 = 3600 * 1000;
/// The most groups that are looked at.
const MOST_GROUPS: usize = 50;
