//! Log groups in memory; and a server that speaks enough of CloudWatch Logs.

mod moto;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::Target;
use super::client::{Api, Group, Session, Update};
use super::feed::{Groups, Pace, check};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::source::live::{Live, Since};
use crate::source::timed::{self, Ask, Event, Fault, Page};
use crate::source::{OpenContext, Reading, Source};

/// Log groups in memory, each with its events.
#[derive(Default)]
struct Fake {
    groups: Mutex<BTreeMap<String, Vec<Event>>>,
    sessions: Mutex<Vec<Vec<Update>>>,
}

impl Fake {
    fn put(&self, group: &str, stream: &str, millis: i64) {
        let mut groups = self.groups.lock().unwrap();
        let events = groups.entry(group.to_owned()).or_default();
        events.push(event(group, stream, millis));
    }
}

fn event(group: &str, stream: &str, millis: i64) -> Event {
    Event {
        stream: stream.to_owned(),
        id: millis.to_string(),
        origin: format!("logs://{group}/{stream}/{millis}"),
        millis,
        stored_millis: Some(millis),
        text: "{}".into(),
    }
}

#[async_trait]
impl timed::Api for Fake {
    async fn page(&self, log: &str, ask: &Ask<'_>) -> Result<Page, Fault> {
        let groups = self.groups.lock().unwrap();
        let Some(events) = groups.get(log) else {
            let error = Error::config(format!("CloudWatch Logs has no log group {log}"));
            return Err(Fault::NoSuchLog(error));
        };
        let is_in =
            |millis: i64| millis >= ask.range.from && ask.range.to.is_none_or(|to| millis <= to);
        let events = events.iter().filter(|event| is_in(event.millis)).cloned();
        Ok(Page {
            events: events.collect(),
            next: None,
        })
    }

    fn now_millis(&self) -> i64 {
        NOW
    }
}

#[async_trait]
impl Api for Fake {
    async fn groups(&self, prefix: &str) -> Result<Vec<Group>> {
        let groups = self.groups.lock().unwrap();
        let named = groups.keys().filter(|name| name.starts_with(prefix));
        let named = named.map(|name| Group {
            name: name.clone(),
            arn: format!("arn:aws:logs:eu-west-1:123456789012:log-group:{name}"),
        });
        Ok(named.collect())
    }

    async fn tail(&self, arns: &[String]) -> Result<Session> {
        assert!(arns.iter().all(|arn| arn.starts_with("arn:aws:logs:")));
        let mut sessions = self.sessions.lock().unwrap();
        let (hand, session) = mpsc::channel(9);
        if sessions.is_empty() {
            return Err(Error::config("the test is over"));
        }
        for update in sessions.remove(0) {
            hand.try_send(Ok(update)).unwrap();
        }
        Ok(session)
    }
}

const NOW: i64 = 20_000 * 24 * 3_600_000;
const PACE: Pace = Pace {
    call: Duration::ZERO,
    poll: Duration::from_millis(1),
    find: Duration::from_millis(5),
    look_back: Duration::from_millis(5),
};

fn open(fake: &Arc<Fake>, url: &str, context: &OpenContext) -> Live {
    let api = Arc::clone(fake) as Arc<dyn Api>;
    let feed = Groups {
        connect: Box::new(move || Box::pin(async move { api })),
        target: Target::parse(url).unwrap(),
        since: Since::Oldest,
        from: context.from.clone(),
        pace: PACE,
    };
    Live::new(Box::new(feed), context)
}

fn context(from: Option<Checkpoint>, reading: Reading) -> OpenContext {
    OpenContext {
        from,
        reading,
        ..OpenContext::default()
    }
}

/// Reads to the end, or to the error.
async fn all(live: &mut Live) -> (BTreeSet<String>, Option<String>) {
    let mut origins = BTreeSet::new();
    loop {
        match live.next().await {
            Ok(Some(payload)) => assert!(origins.insert(payload.origin.to_string())),
            Ok(None) => return (origins, None),
            Err(error) => return (origins, Some(error.to_string())),
        }
    }
}

#[tokio::test]
async fn groups_of_a_prefix_are_read_and_those_that_appear_later_are_found() {
    let fake = Arc::new(Fake::default());
    fake.put("/aws/a", "x", NOW - 5_000);
    fake.put("/aws/b", "x", NOW - 5_000);
    fake.put("/other", "x", NOW - 5_000);
    let to_now = context(None, Reading::ToNow);
    let (found, error) = all(&mut open(&fake, "logs:///aws/*", &to_now)).await;
    assert_eq!((found.len(), error), (2, None));

    let follow = context(Some(Checkpoint::default()), Reading::Follow);
    let mut live = open(&fake, "logs:///aws/*", &follow);
    for _ in 0..2 {
        assert!(live.next().await.unwrap().is_some());
    }
    fake.put("/aws/c", "x", NOW - 9 * 3_600_000);
    let late = live.next().await.unwrap().unwrap();
    assert!(
        late.origin.starts_with("logs:///aws/c/x/"),
        "{}",
        late.origin
    );
    // A group that is deleted does not stop the others.
    fake.groups.lock().unwrap().remove("/aws/a");
    fake.put("/aws/b", "y", NOW - 1_000);
    let next = live.next().await.unwrap().unwrap();
    assert!(
        next.origin.starts_with("logs:///aws/b/y/"),
        "{}",
        next.origin
    );
    let partitions: Vec<String> = live
        .checkpoint()
        .partitions()
        .map(|(id, _)| id.to_owned())
        .collect();
    for expected in ["logs:///aws/b/", "logs:///aws/b/x", "logs:///aws/c/x"] {
        assert!(partitions.iter().any(|id| id == expected), "{partitions:?}");
    }
}

#[tokio::test]
async fn a_group_that_is_deleted_and_made_again_is_gone_on_with() {
    let fake = Arc::new(Fake::default());
    fake.put("/aws/a", "x", NOW - 9 * 3_600_000);
    fake.put("/aws/a", "x", NOW - 60_000);
    let follow = context(Some(Checkpoint::default()), Reading::Follow);
    let mut live = open(&fake, "logs:///aws/*", &follow);
    for _ in 0..2 {
        assert!(live.next().await.unwrap().is_some());
    }
    // The positions move on, then the group is missed.
    let pause = Duration::from_millis(60);
    assert!(tokio::time::timeout(pause, live.next()).await.is_err());
    fake.groups.lock().unwrap().clear();
    assert!(tokio::time::timeout(pause, live.next()).await.is_err());
    fake.put("/aws/a", "x", NOW - 30_000);
    let next = live.next().await.unwrap().unwrap();
    let expected = format!("logs:///aws/a/x/{}", NOW - 30_000);
    assert_eq!(*next.origin, *expected);
    assert!(tokio::time::timeout(pause, live.next()).await.is_err());
}

#[tokio::test]
async fn groups_that_are_not_there_are_told_of() {
    let fake = Arc::new(Fake::default());
    let to_now = context(None, Reading::ToNow);
    let (_, error) = all(&mut open(&fake, "logs:///aws/a", &to_now)).await;
    assert!(error.unwrap().contains("no log group /aws/a"));
    let (_, error) = all(&mut open(&fake, "logs:///aws/*", &to_now)).await;
    assert!(
        error
            .unwrap()
            .contains("no log group that begins with /aws/")
    );
}

#[tokio::test]
async fn access_is_checked_by_a_question() {
    let fake = Fake::default();
    fake.put("/aws/a", "x", NOW - 200_000);
    let target = |url| Target::parse(url).unwrap();
    let none = Checkpoint::default();
    let checks = check(&fake, &target("logs:///aws/*"), &none).await;
    let said: Vec<&str> = checks
        .iter()
        .map(|it| it.outcome.as_deref().unwrap())
        .collect();
    assert_eq!(said, ["1 log groups", "there is something to read"]);
    let checks = check(&fake, &target("logs://none"), &none).await;
    assert_eq!(checks[0].action, "logs:FilterLogEvents");
    assert!(checks[0].error().is_some());
}

#[tokio::test]
async fn live_tail_hands_out_each_event_once_and_is_for_watching_only() {
    let fake = Arc::new(Fake::default());
    fake.put("/aws/a", "x", 1);
    let update = |millis: &[i64]| Update {
        events: millis.iter().map(|&it| event("/aws/a", "x", it)).collect(),
        is_sampled: true,
    };
    *fake.sessions.lock().unwrap() = vec![
        vec![update(&[10, 30]), update(&[20])],
        vec![update(&[20, 40])],
    ];
    let url = "logs:///aws/a?mode=live-tail";
    let watch = context(None, Reading::Watch);
    let (found, error) = all(&mut open(&fake, url, &watch)).await;
    assert_eq!(found.len(), 4);
    assert!(error.unwrap().contains("the test is over"));
    for refused in [
        context(None, Reading::ToNow),
        context(Some(Checkpoint::default()), Reading::Follow),
        context(Some(Checkpoint::default()), Reading::Watch),
    ] {
        let (_, error) = all(&mut open(&fake, url, &refused)).await;
        assert!(error.unwrap().contains("it is for `watch`"));
    }
}

#[test]
fn urls_name_log_groups() {
    for (url, said) in [
        ("logs://", "expected the name of a log group"),
        ("logs://a b", "expected the name of a log group"),
        ("logs://a?from=yesterday", "is no place to start from"),
        ("logs://a?mode=fast", "one of poll, live-tail"),
        ("logs://a?overlap=5", "`overlap` is a span"),
        ("logs://a?form=latest", "unknown parameter `form`"),
    ] {
        let error = Target::parse(url).unwrap_err().to_string();
        assert!(error.contains(said), "{url}: {error}");
    }
    let target = Target::parse("logs:///aws/cloudtrail/org?overlap=1h").unwrap();
    assert_eq!(
        (&*target.name, target.is_prefix),
        ("/aws/cloudtrail/org", false)
    );
    assert_eq!(target.overlap_millis, 3_600_000);
    assert!(Target::parse("logs:///aws/*").unwrap().is_prefix);
    let arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/a";
    for url in [format!("logs://{arn}"), format!("logs://{arn}:*")] {
        let target = Target::parse(&url).unwrap();
        assert_eq!((&*target.name, target.is_prefix), (arn, false));
        assert_eq!(target.region.as_deref(), Some("eu-west-1"));
    }
    assert_eq!(&*Target::group(arn).partition, "logs:///aws/a/");
}
