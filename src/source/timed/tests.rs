//! A log in memory: pages in any order, empty ones, throttling, late events, and readers that are stopped
//! at any event.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::{Api, Ask, Ended, Event, Fault, Known, Log, Pacer, Page, Range, Reader, Settings};
use crate::checkpoint::{Checkpoint, Position};
use crate::error::{Error, Result};
use crate::source::live::{Feed, Live, Outlet, Since};
use crate::source::{OpenContext, Reading, Source};

/// A log in memory.
#[derive(Default)]
struct Fake {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    events: Vec<Event>,
    calls: usize,
    /// Calls that fail: each so many; 0 for none.
    throttle_every: usize,
    refuse_tokens_every: usize,
    has_empty_pages: bool,
    is_missing: bool,
    asked: Vec<Range>,
}

impl Fake {
    fn put(&self, stream: &str, millis: i64, stored_millis: i64) {
        let mut state = self.state.lock().unwrap();
        let id = format!("{stream}-{}", state.events.len());
        state.events.push(Event {
            stream: stream.to_owned(),
            origin: id.clone(),
            text: id.clone().into(),
            id,
            millis,
            stored_millis: Some(stored_millis),
        });
    }

    fn ids(&self) -> BTreeSet<String> {
        let state = self.state.lock().unwrap();
        state.events.iter().map(|event| event.id.clone()).collect()
    }

    fn millis(&self, id: &str) -> i64 {
        let state = self.state.lock().unwrap();
        state.events.iter().find(|it| it.id == id).unwrap().millis
    }
}

#[async_trait]
impl Api for Fake {
    async fn page(&self, log: &str, ask: &Ask<'_>) -> Result<Page, Fault> {
        assert_eq!(log, "trail");
        let mut state = self.state.lock().unwrap();
        state.calls += 1;
        state.asked.push(ask.range);
        if state.is_missing {
            return Err(Fault::NoSuchLog(Error::config("there is no such log")));
        }
        let calls = state.calls;
        let is_due = |every: usize| every > 0 && calls.is_multiple_of(every);
        if is_due(state.throttle_every) {
            return Err(Fault::Other(Error::unavailable("Logs", "slow down")));
        }
        if ask.token.is_some() && is_due(state.refuse_tokens_every) {
            return Err(Fault::BadToken);
        }
        let (token, was_empty) = match ask.token.map(|it| it.split_at(1)) {
            Some(("e", token)) => (token.parse().unwrap(), true),
            Some((_, token)) => (token.parse().unwrap(), false),
            None => (0, false),
        };
        if state.has_empty_pages && !was_empty {
            return Ok(Page {
                events: Vec::new(),
                next: Some(format!("e{token}")),
            });
        }
        // In the order in which they were put, not of their times.
        let found = state.events.iter();
        let found: Vec<&Event> = found.filter(|it| ask.range.contains(it.millis)).collect();
        let most = ask.most.map_or(PAGE, |most| most as usize);
        let page = found.iter().skip(token).take(most);
        let end = token + most;
        Ok(Page {
            events: page.map(|&event| event.clone()).collect(),
            next: (end < found.len()).then(|| format!("n{end}")),
        })
    }

    fn now_millis(&self) -> i64 {
        NOW
    }
}

/// A feed of one log.
struct One {
    api: Arc<Fake>,
    settings: Settings,
    from: Checkpoint,
}

#[async_trait]
impl Feed for One {
    async fn run(self: Box<Self>, outlet: Outlet) -> Result<()> {
        let reader = Reader::new(self.api, outlet, log(), Arc::new(self.settings));
        match reader.read(self.from).await? {
            Ended::NoSuchLog { error, .. } => Err(error),
            Ended::CaughtUp | Ended::Unwanted => Ok(()),
        }
    }
}

fn log() -> Log {
    Log {
        name: "trail".to_owned(),
        partition: "logs://trail/".into(),
    }
}

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const NOW: i64 = 20_000 * DAY;
const OVERLAP: i64 = 5 * MINUTE;
const PAGE: usize = 4;

fn settings(since: Since, context: &OpenContext) -> Settings {
    Settings {
        since,
        until_millis: None,
        overlap_millis: OVERLAP,
        look_back: Some((2 * HOUR, Duration::from_millis(5))),
        kept_millis: None,
        first_range_millis: HOUR,
        poll: Duration::from_millis(1),
        pacer: Arc::new(Pacer::new(Duration::ZERO)),
        is_at_once: context.reading.is_to_now() && context.from.is_none(),
    }
}

fn open(fake: &Arc<Fake>, since: Since, context: &OpenContext) -> Live {
    let feed = One {
        api: Arc::clone(fake),
        settings: settings(since, context),
        from: context.from.clone().unwrap_or_default(),
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

/// Reads at most `most` events to now. Returns them, and the checkpoint after them.
async fn read(
    fake: &Arc<Fake>,
    from: Option<Checkpoint>,
    most: usize,
) -> (Vec<String>, Checkpoint) {
    let mut live = open(fake, Since::Oldest, &context(from, Reading::ToNow));
    let mut ids = Vec::new();
    while ids.len() < most
        && let Some(payload) = live.next().await.unwrap()
    {
        ids.push(payload.origin.to_string());
    }
    (ids, live.checkpoint())
}

/// Reads until nothing has come for some time.
async fn quiet(live: &mut Live) -> Vec<String> {
    let mut ids = Vec::new();
    while let Ok(next) = tokio::time::timeout(Duration::from_millis(60), live.next()).await {
        ids.push(next.unwrap().unwrap().origin.to_string());
    }
    ids
}

/// Reads so many events, which take as long as they take.
async fn some(live: &mut Live, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(60), live.next()).await;
        let next = next.expect("an event comes in time");
        ids.push(next.unwrap().unwrap().origin.to_string());
    }
    ids
}

fn position(checkpoint: &Checkpoint, partition: &str) -> i64 {
    match checkpoint.position(partition) {
        Some(Position::Time { micros, .. }) => micros / 1000,
        other => panic!("{partition}: {other:?}"),
    }
}

/// Two streams, some days, crowds and silence, not in the order of time.
fn busy() -> Arc<Fake> {
    let fake = Arc::new(Fake::default());
    for number in 0..60_i64 {
        let before = match number % 3 {
            0 => 40 * DAY + number * MINUTE,
            1 => 3 * HOUR - number * 2 * MINUTE,
            _ => (number * 7 % 60) * 4 * SECOND,
        };
        let stream = ["a", "b/c"][usize::from(number % 2 == 0)];
        fake.put(stream, NOW - before, NOW - before);
    }
    fake
}

fn unique(ids: &[String]) -> BTreeSet<String> {
    ids.iter().cloned().collect()
}

#[tokio::test]
async fn pages_come_in_any_order_empty_or_late_and_each_event_once() {
    for (throttle_every, has_empty_pages) in [(0, false), (3, false), (0, true), (2, true)] {
        for from in [None, Some(Checkpoint::default())] {
            let fake = busy();
            {
                let mut state = fake.state.lock().unwrap();
                state.throttle_every = throttle_every;
                state.has_empty_pages = has_empty_pages;
            }
            let (ids, _) = read(&fake, from, usize::MAX).await;
            assert_eq!(ids.len(), 60);
            assert_eq!(unique(&ids), fake.ids());
            let calls = fake.state.lock().unwrap().calls;
            assert!(calls < 400, "silence is read in long ranges: {calls} calls");
        }
    }
}

#[tokio::test]
async fn a_token_that_is_refused_loses_nothing() {
    let fake = busy();
    fake.state.lock().unwrap().refuse_tokens_every = 7;
    let (ids, _) = read(&fake, Some(Checkpoint::default()), usize::MAX).await;
    assert_eq!(unique(&ids), fake.ids());
    let fake = busy();
    fake.state.lock().unwrap().refuse_tokens_every = 1;
    let context = context(None, Reading::ToNow);
    let mut live = open(&fake, Since::Oldest, &context);
    let error = loop {
        match live.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it must not end as if all were read"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("token"), "{error}");
}

#[tokio::test]
async fn a_reading_that_ends_at_any_event_loses_nothing_and_repeats_little() {
    let fake = busy();
    for cut in 0..=60 {
        let (ids, checkpoint) = read(&fake, Some(Checkpoint::default()), cut).await;
        let handed = unique(&ids);
        // No position is beyond an event that was not handed out.
        for (partition, place) in checkpoint.partitions() {
            let Position::Time { micros, .. } = place else {
                panic!("{place:?}")
            };
            let state = fake.state.lock().unwrap();
            for event in &state.events {
                let stream = event.stream.replace('/', "%2F");
                let is_in = partition == "logs://trail/" || partition.ends_with(&stream);
                let is_covered = is_in && event.millis * 1000 <= *micros;
                assert!(!is_covered || handed.contains(&event.id), "cut at {cut}");
            }
        }
        let through = match checkpoint.partitions().next() {
            Some(_) => position(&checkpoint, "logs://trail/"),
            None => 0,
        };
        let (rest, _) = read(&fake, Some(checkpoint), usize::MAX).await;
        let all: BTreeSet<String> = handed.union(&unique(&rest)).cloned().collect();
        assert_eq!(all, fake.ids(), "cut at {cut}");
        for id in &rest {
            assert!(
                fake.millis(id) >= through - OVERLAP - SECOND,
                "cut at {cut}"
            );
        }
        assert_eq!(unique(&rest).len(), rest.len(), "cut at {cut}");
    }
}

#[tokio::test]
async fn late_events_are_found_and_nothing_is_handed_out_twice() {
    let fake = Arc::new(Fake::default());
    fake.put("a", NOW - 3 * HOUR, NOW - 3 * HOUR);
    fake.put("a", NOW - MINUTE, NOW);
    let context = context(Some(Checkpoint::default()), Reading::Follow);
    let mut live = open(&fake, Since::Oldest, &context);
    assert_eq!(quiet(&mut live).await, ["a-0", "a-1"]);
    // Of three hours ago, but nothing as late as that is looked for; and of four minutes before the last.
    fake.put("a", NOW - 3 * HOUR, NOW);
    fake.put("b", NOW - 5 * MINUTE, NOW);
    assert_eq!(quiet(&mut live).await, ["b-3"]);
    // The clock of a writer may be ahead.
    fake.put("a", NOW + HOUR, NOW);
    fake.put("a", NOW - 2 * MINUTE, NOW);
    assert_eq!(
        unique(&quiet(&mut live).await),
        unique(&["a-4".into(), "a-5".into()])
    );
    assert_eq!(quiet(&mut live).await, [""; 0]);
    let checkpoint = live.checkpoint();
    assert_eq!(position(&checkpoint, "logs://trail/"), NOW);
    assert_eq!(position(&checkpoint, "logs://trail/a"), NOW);
    let state = fake.state.lock().unwrap();
    let new = state.asked.iter().rfind(|range| range.to.is_none());
    assert_eq!(new.unwrap().from, NOW - OVERLAP);
}

#[tokio::test]
async fn events_that_are_stored_hours_late_are_found_by_looking_back() {
    for (throttle_every, refuse_tokens_every) in [(0, 0), (3, 0), (0, 23)] {
        let fake = Arc::new(Fake::default());
        {
            let mut state = fake.state.lock().unwrap();
            (state.throttle_every, state.refuse_tokens_every) =
                (throttle_every, refuse_tokens_every);
            state.has_empty_pages = throttle_every > 0;
        }
        for number in 0..30 {
            fake.put("a", NOW - 3 * HOUR + number * 6 * MINUTE, NOW);
        }
        let context = context(Some(Checkpoint::default()), Reading::Follow);
        let mut live = open(&fake, Since::Oldest, &context);
        assert_eq!(some(&mut live, 30).await.len(), 30);
        assert_eq!(quiet(&mut live).await, [""; 0]);
        let before = live.checkpoint();
        for number in 0..9 {
            fake.put("b", NOW - 2 * HOUR + number * 12 * MINUTE, NOW);
        }
        let late: Vec<String> = (30..39).map(|number| format!("b-{number}")).collect();
        let mut found = some(&mut live, late.len()).await;
        found.sort();
        assert_eq!(found, late);
        // All is known, and the position has not moved: it is where what is new is asked for.
        assert_eq!(quiet(&mut live).await, [""; 0]);
        let group = "logs://trail/";
        assert_eq!(
            position(&live.checkpoint(), group),
            position(&before, group)
        );
        // A later run does not know what this one handed out.
        drop(live);
        let again = self::context(Some(before), Reading::Follow);
        let mut live = open(&fake, Since::Oldest, &again);
        assert_eq!(some(&mut live, 1).await, ["a-29"]);
        assert_eq!(quiet(&mut live).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_reading_that_begins_now_does_not_look_back_to_what_was_before() {
    let fake = Arc::new(Fake::default());
    fake.put("a", NOW - HOUR, NOW - HOUR);
    let watch = context(Some(Checkpoint::default()), Reading::Watch);
    let mut live = open(&fake, Since::Latest, &watch);
    assert_eq!(quiet(&mut live).await, [""; 0]);
    let state = fake.state.lock().unwrap();
    let earliest = state.asked.iter().map(|range| range.from).min();
    assert_eq!(earliest, Some(NOW - OVERLAP));
}

#[tokio::test]
async fn an_empty_log_is_followed_though_its_writer_is_hours_late() {
    let fake = Arc::new(Fake::default());
    let context = context(Some(Checkpoint::default()), Reading::Follow);
    let mut live = open(&fake, Since::Oldest, &context);
    assert_eq!(quiet(&mut live).await, [""; 0]);
    for number in 0..20 {
        fake.put("a", NOW - 10 * HOUR + number * MINUTE, NOW);
    }
    assert_eq!(unique(&quiet(&mut live).await), fake.ids());
}

#[tokio::test]
async fn latest_is_what_is_stored_from_now_on_and_a_run_that_saw_nothing_leaves_its_place() {
    let fake = Arc::new(Fake::default());
    fake.put("a", NOW - MINUTE, NOW - MINUTE);
    let watch = context(Some(Checkpoint::default()), Reading::Watch);
    let mut live = open(&fake, Since::Latest, &watch);
    assert_eq!(quiet(&mut live).await, [""; 0]);
    let before = live.checkpoint();
    fake.put("a", NOW - 2 * MINUTE, NOW + SECOND);
    assert_eq!(quiet(&mut live).await, ["a-1"]);
    drop(live);
    fake.put("b", NOW + HOUR, NOW + HOUR);
    let again = context(Some(before), Reading::ToNow);
    let mut live = open(&fake, Since::Latest, &again);
    let mut ids = BTreeSet::new();
    while let Some(payload) = live.next().await.unwrap() {
        ids.insert(payload.origin.to_string());
    }
    assert!(ids.contains("b-2") && ids.contains("a-1"), "{ids:?}");
}

#[tokio::test]
async fn a_time_to_begin_at_and_one_to_end_at_are_kept_to() {
    let fake = Arc::new(Fake::default());
    for number in 0..10 {
        fake.put("a", NOW - 20 * HOUR + number * HOUR, NOW);
    }
    for from in [None, Some(Checkpoint::default())] {
        let context = context(from.clone(), Reading::ToNow);
        let since = Since::Time((NOW - 18 * HOUR) * 1000);
        let settings = Settings {
            until_millis: Some(NOW - 16 * HOUR),
            ..settings(since, &context)
        };
        let feed = One {
            api: Arc::clone(&fake),
            settings,
            from: from.unwrap_or_default(),
        };
        let mut live = Live::new(Box::new(feed), &context);
        let mut ids = Vec::new();
        while let Some(payload) = live.next().await.unwrap() {
            ids.push(payload.origin.to_string());
        }
        assert_eq!(ids, ["a-2", "a-3", "a-4"]);
    }
}

#[tokio::test]
async fn a_log_that_is_not_there_is_an_error_and_no_end() {
    let fake = Arc::new(Fake::default());
    fake.state.lock().unwrap().is_missing = true;
    let mut live = open(&fake, Since::Oldest, &context(None, Reading::ToNow));
    let error = live.next().await.map(drop).unwrap_err().to_string();
    assert!(error.contains("no such log"), "{error}");
}

#[test]
fn streams_of_nested_names_have_partitions_of_their_own() {
    let log = |partition: &str| Log {
        name: String::new(),
        partition: partition.into(),
    };
    let mut checkpoint = Checkpoint::default();
    let time = |micros| Position::Time {
        micros,
        ids: BTreeSet::new(),
    };
    checkpoint.advance("logs:///a/", time(1)).unwrap();
    checkpoint.advance("logs:///a/b%2Fc", time(2)).unwrap();
    checkpoint.advance("logs:///a/b/c", time(3)).unwrap();
    let streams = |partition| -> BTreeMap<String, i64> {
        let log = log(partition);
        log.streams(&checkpoint).collect()
    };
    assert_eq!(streams("logs:///a/").keys().collect::<Vec<_>>(), ["b/c"]);
    assert_eq!(streams("logs:///a/b/").keys().collect::<Vec<_>>(), ["c"]);
}

#[test]
fn what_was_handed_out_long_ago_is_forgotten() {
    let mut known = Known::default();
    assert!(known.insert(("a", "1"), 10));
    assert!(!known.insert(("a", "1"), 10));
    assert!(known.insert(("b", "1"), 20));
    known.forget_before(20);
    assert_eq!(known.len(), 1);
    assert!(!known.insert(("b", "1"), 20));
    assert_eq!(known.whole_from(), 20);
}

#[test]
fn what_was_handed_out_does_not_fill_the_memory() {
    let mut known = Known::default();
    let mut most = 0;
    for millis in 0..1_000_000 {
        known.insert(millis, millis);
        known.tidy(0, millis - 10);
        most = most.max(known.len());
    }
    assert!((200_000..=500_000).contains(&most), "{most}");
    let from = known.whole_from();
    assert!((1..1_000_000 - 10).contains(&from), "{from}");
    assert!((from..1_000_000).all(|millis| !known.insert(millis, millis)));
    // What is asked for again in any case is kept, however much it is.
    let mut known = Known::default();
    for millis in 0..500_000 {
        known.insert(millis, millis);
        known.tidy(0, 0);
    }
    assert_eq!((known.len(), known.whole_from()), (500_000, 0));
}
