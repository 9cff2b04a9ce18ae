//! Kinesis in memory: resharding, expiry, throttling, retention, and readers that are stopped at any record.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::Stream;
use super::client::{Api, Fault, Page, Place, Record, Shard, Subscription};
use super::feed::Streaming;
use super::shard::Pace;
use crate::checkpoint::{Checkpoint, Position};
use crate::error::{Error, Result};
use crate::payload::Body;
use crate::source::live::{Live, Since};
use crate::source::{OpenContext, Reading, Source};

/// A stream in memory.
#[derive(Default)]
struct Fake {
    shards: Mutex<BTreeMap<String, FakeShard>>,
    faults: Mutex<Faults>,
}

#[derive(Clone, Default)]
struct FakeShard {
    parents: Vec<String>,
    /// Sequence number, arrival in microseconds, text.
    records: Vec<(u64, i64, String)>,
    is_closed: bool,
}

/// Failures that come every so many calls; 0 for none.
#[derive(Default)]
struct Faults {
    calls: u64,
    expire_every: u64,
    throttle_every: u64,
    /// Whether children are told of at the end of their parents only, and not listed.
    hides_children: bool,
    names_children: bool,
    iterators: Vec<Place>,
}

impl Fake {
    fn shard(&self, id: &str, parents: &[&str]) {
        let parents = parents.iter().map(|&it| it.to_owned()).collect();
        let shard = FakeShard {
            parents,
            ..FakeShard::default()
        };
        self.shards.lock().unwrap().insert(id.to_owned(), shard);
    }

    fn close(&self, id: &str) {
        self.shards.lock().unwrap().get_mut(id).unwrap().is_closed = true;
    }

    fn put(&self, id: &str, records: impl IntoIterator<Item = u64>) {
        let mut shards = self.shards.lock().unwrap();
        let shard = shards.get_mut(id).unwrap();
        let records = records.into_iter();
        shard
            .records
            .extend(records.map(|number| (number, number as i64, format!("{id}-{number}"))));
    }

    /// Forgets what arrived before `number`.
    fn trim(&self, id: &str, number: u64) {
        let mut shards = self.shards.lock().unwrap();
        shards
            .get_mut(id)
            .unwrap()
            .records
            .retain(|(it, _, _)| *it >= number);
    }
}

#[async_trait]
impl Api for Fake {
    async fn shards(&self) -> Result<Vec<Shard>> {
        let hides = self.faults.lock().unwrap().hides_children;
        let shards = self.shards.lock().unwrap();
        let listed = shards
            .iter()
            .filter(|(_, shard)| !hides || shard.parents.is_empty());
        Ok(listed
            .map(|(id, shard)| Shard {
                id: id.clone(),
                parents: shard.parents.clone(),
            })
            .collect())
    }

    async fn iterator(&self, shard: &str, at: &Place) -> Result<String, Fault> {
        self.faults.lock().unwrap().iterators.push(at.clone());
        let shards = self.shards.lock().unwrap();
        let Some(found) = shards.get(shard) else {
            return Err(Fault::NoSuchShard);
        };
        let number = |sequence: &String| sequence.parse::<u64>().unwrap();
        let at = found
            .records
            .iter()
            .position(|(sequence, arrived, _)| match at {
                Place::Oldest => true,
                Place::Time(micros) => arrived >= micros,
                Place::At(from) => *sequence >= number(from),
                Place::After(from) => *sequence > number(from),
            });
        let first = found.records.get(at.unwrap_or(usize::MAX));
        let next = found.records.last().map_or(0, |(last, _, _)| last + 1);
        Ok(format!(
            "{shard}/{}",
            first.map_or(next, |(sequence, _, _)| *sequence)
        ))
    }

    async fn records(&self, iterator: &str, _: i32) -> Result<Page, Fault> {
        let mut faults = self.faults.lock().unwrap();
        faults.calls += 1;
        let is_due = |every: u64| every > 0 && faults.calls.is_multiple_of(every);
        if is_due(faults.expire_every) {
            return Err(Fault::Expired);
        }
        if is_due(faults.throttle_every) {
            return Err(Error::unavailable("Kinesis", "the rate is exceeded").into());
        }
        let (id, from) = iterator.split_once('/').unwrap();
        let from: u64 = from.parse().unwrap();
        let shards = self.shards.lock().unwrap();
        let shard = &shards[id];
        let rest = shard
            .records
            .iter()
            .filter(|(sequence, _, _)| *sequence >= from);
        let page: Vec<_> = rest.clone().take(PAGE).cloned().collect();
        let is_last = rest.count() == page.len();
        let next = page.last().map_or(from, |(sequence, _, _)| sequence + 1);
        let is_end = is_last && shard.is_closed;
        let children = shards
            .iter()
            .filter(|(_, it)| it.parents.iter().any(|it| it == id));
        let children = children.map(|(id, shard)| Shard {
            id: id.clone(),
            parents: shard.parents.clone(),
        });
        Ok(Page {
            records: page
                .into_iter()
                .map(|(sequence, arrived, text)| Record {
                    sequence: sequence.to_string(),
                    data: text.into(),
                    arrived_micros: Some(arrived),
                })
                .collect(),
            next: (!is_end).then(|| format!("{id}/{next}")),
            behind: Duration::ZERO,
            children: children
                .filter(|_| is_end && faults.names_children)
                .collect(),
        })
    }

    async fn subscribe(&self, _: &str, _: &Place) -> Result<Subscription, Fault> {
        unreachable!("these tests poll")
    }

    fn now_micros(&self) -> i64 {
        NOW
    }
}

const PAGE: usize = 3;
const PACE: Pace = Pace {
    busy: Duration::from_millis(1),
    idle: Duration::from_millis(2),
};
const NOW: i64 = 1_000;

fn open(fake: &Arc<Fake>, since: Since, context: &OpenContext) -> Live {
    let api = Arc::clone(fake) as Arc<dyn Api>;
    let feed = Streaming {
        connect: Box::new(move || Box::pin(async move { Ok(api) })),
        stream: Stream::parse("kinesis://trail").unwrap(),
        since,
        from: context.from.clone().unwrap_or_default(),
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

/// Reads at most `most` payloads. Returns their texts and the checkpoint after them.
async fn read(
    fake: &Arc<Fake>,
    since: Since,
    context: &OpenContext,
    most: usize,
) -> (Vec<String>, Checkpoint) {
    let mut live = open(fake, since, context);
    let mut texts = Vec::new();
    while texts.len() < most
        && let Some(payload) = live.next().await.unwrap()
    {
        let Body::Whole(bytes) = payload.body else {
            panic!("records are in memory")
        };
        texts.push(String::from_utf8(bytes.to_vec()).unwrap());
    }
    (texts, live.checkpoint())
}

async fn read_to_now(fake: &Arc<Fake>, from: Option<Checkpoint>) -> (Vec<String>, Checkpoint) {
    read(
        fake,
        Since::Oldest,
        &context(from, Reading::ToNow),
        usize::MAX,
    )
    .await
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

/// Shard 0 was split into 1 and 2, and these merged into 3, with ten records each.
fn resharded() -> Arc<Fake> {
    let fake = Arc::new(Fake::default());
    for (number, (id, parents)) in [
        ("0", &[][..]),
        ("1", &["0"]),
        ("2", &["0"]),
        ("3", &["1", "2"]),
    ]
    .into_iter()
    .enumerate()
    {
        fake.shard(id, parents);
        let first = 100 * (number as u64 + 1);
        fake.put(id, first..first + 10);
        if id != "3" {
            fake.close(id);
        }
    }
    fake
}

fn all_of(fake: &Fake) -> Vec<String> {
    let shards = fake.shards.lock().unwrap();
    let texts = shards.values().flat_map(|shard| &shard.records);
    sorted(texts.map(|(_, _, text)| text.clone()).collect())
}

#[tokio::test]
async fn shards_are_read_after_their_parents_whether_they_are_listed_or_told_of() {
    for (hides_children, names_children) in [(false, false), (false, true), (true, true)] {
        let fake = resharded();
        *fake.faults.lock().unwrap() = Faults {
            hides_children,
            names_children,
            ..Faults::default()
        };
        let (texts, checkpoint) = read_to_now(&fake, None).await;
        assert_eq!(sorted(texts.clone()), all_of(&fake));
        let generation = |text: &String| match &text[..1] {
            "0" => 0,
            "1" | "2" => 1,
            _ => 2,
        };
        assert!(texts.iter().map(generation).is_sorted(), "{texts:?}");
        let closed = checkpoint.position("kinesis://trail/0");
        assert_eq!(closed, Some(&Position::End));
    }
}

#[tokio::test]
async fn a_reading_that_ends_at_any_record_goes_on_at_the_next() {
    let fake = resharded();
    let all = all_of(&fake);
    for cut in 0..=all.len() {
        let (mut texts, checkpoint) =
            read(&fake, Since::Oldest, &context(None, Reading::ToNow), cut).await;
        let (rest, _) = read_to_now(&fake, Some(checkpoint)).await;
        texts.extend(rest);
        assert_eq!(sorted(texts), all, "cut at {cut}");
    }
}

#[tokio::test]
async fn expired_iterators_and_throttling_neither_lose_nor_repeat_anything() {
    for (expire_every, throttle_every) in [(2, 0), (3, 0), (0, 2), (3, 2), (5, 7)] {
        let fake = resharded();
        *fake.faults.lock().unwrap() = Faults {
            expire_every,
            throttle_every,
            ..Faults::default()
        };
        let context = context(None, Reading::ToNow);
        let (texts, _) = read(&fake, Since::Oldest, &context, usize::MAX).await;
        assert_eq!(
            sorted(texts),
            all_of(&fake),
            "{expire_every}, {throttle_every}"
        );
        assert_eq!(context.execution.stats.rejects(), 0);
        assert_eq!(context.execution.stats.retrying(), None);
    }
}

#[tokio::test]
async fn an_iterator_that_expires_before_the_first_record_does_not_skip_it() {
    let fake = Arc::new(Fake::default());
    fake.shard("0", &[]);
    fake.put("0", 1..4);
    fake.faults.lock().unwrap().expire_every = 4;
    let mut live = open(&fake, Since::Latest, &context(None, Reading::Watch));
    // Nothing comes while four calls and the expiry of the iterator pass.
    let quiet = tokio::time::timeout(Duration::from_millis(50), live.next()).await;
    assert!(quiet.is_err());
    fake.put("0", 2_000..2_002);
    assert_eq!(
        &*live.next().await.unwrap().unwrap().origin,
        "kinesis://trail/0/2000"
    );
    assert_eq!(
        &*live.next().await.unwrap().unwrap().origin,
        "kinesis://trail/0/2001"
    );
    let asked = fake.faults.lock().unwrap().iterators.clone();
    assert!(
        asked.len() > 1 && asked.iter().all(|it| *it == Place::Time(NOW)),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_run_that_saw_nothing_leaves_the_place_where_it_began() {
    let fake = Arc::new(Fake::default());
    fake.shard("0", &[]);
    fake.put("0", 1..4);
    let mut live = open(&fake, Since::Latest, &context(None, Reading::Follow));
    assert!(
        tokio::time::timeout(Duration::from_millis(50), live.next())
            .await
            .is_err()
    );
    let checkpoint = live.checkpoint();
    drop(live);
    // Written while nobody reads.
    fake.put("0", 2_000..2_003);
    let again = context(Some(checkpoint), Reading::ToNow);
    let (texts, _) = read(&fake, Since::Latest, &again, usize::MAX).await;
    assert_eq!(texts, ["0-2000", "0-2001", "0-2002"]);
}

#[tokio::test]
async fn a_checkpoint_older_than_the_stream_keeps_is_a_counted_gap() {
    let fake = resharded();
    let context_of = |from: &Checkpoint| context(Some(from.clone()), Reading::ToNow);
    let (_, checkpoint) = read(&fake, Since::Oldest, &context(None, Reading::ToNow), 33).await;
    // The record that was read last is there: no gap.
    let whole = context_of(&checkpoint);
    let (rest, _) = read(&fake, Since::Oldest, &whole, usize::MAX).await;
    assert_eq!((rest.len(), whole.execution.stats.rejects()), (7, 0));

    fake.trim("3", 405);
    let trimmed = context_of(&checkpoint);
    let (rest, _) = read(&fake, Since::Oldest, &trimmed, usize::MAX).await;
    assert_eq!(rest.len(), 5);
    assert_eq!(trimmed.execution.stats.rejects_by_reason(), [("gap", 1)]);

    // The shard itself is gone.
    fake.shards.lock().unwrap().remove("3");
    let gone = context_of(&checkpoint);
    let (rest, after) = read(&fake, Since::Oldest, &gone, usize::MAX).await;
    assert_eq!((rest.len(), gone.execution.stats.rejects()), (0, 1));
    assert_eq!(after.position("kinesis://trail/3"), Some(&Position::End));
}

#[tokio::test]
async fn a_stream_that_is_not_there_ends_the_reading_and_what_was_read_comes_first() {
    struct Deleted(Fake, Mutex<u32>);
    #[async_trait]
    impl Api for Deleted {
        async fn shards(&self) -> Result<Vec<Shard>> {
            let mut calls = self.1.lock().unwrap();
            *calls += 1;
            match *calls {
                1 => Ok(vec![Shard {
                    id: "0".to_owned(),
                    parents: Vec::new(),
                }]),
                _ => Err(Error::config("Kinesis has no stream trail")),
            }
        }
        async fn iterator(&self, shard: &str, at: &Place) -> Result<String, Fault> {
            self.0.iterator(shard, at).await
        }
        async fn records(&self, iterator: &str, limit: i32) -> Result<Page, Fault> {
            self.0.records(iterator, limit).await
        }
        async fn subscribe(&self, shard: &str, at: &Place) -> Result<Subscription, Fault> {
            self.0.subscribe(shard, at).await
        }
        fn now_micros(&self) -> i64 {
            NOW
        }
    }
    let fake = Fake::default();
    fake.shard("0", &[]);
    fake.put("0", 1..8);
    let api = Arc::new(Deleted(fake, Mutex::new(0))) as Arc<dyn Api>;
    let context = context(None, Reading::Follow);
    let feed = Streaming {
        connect: Box::new(move || Box::pin(async move { Ok(api) })),
        stream: Stream::parse("kinesis://trail").unwrap(),
        since: Since::Oldest,
        from: Checkpoint::default(),
        pace: PACE,
    };
    let mut live = Live::new(Box::new(feed), &context);
    for _ in 1..8 {
        assert!(live.next().await.unwrap().is_some());
    }
    let error = live.next().await.map(drop).unwrap_err();
    assert!(error.to_string().contains("no stream trail"), "{error}");
}

#[test]
fn urls_name_streams() {
    for (url, said) in [
        ("kinesis://", "expected the name or the ARN"),
        ("kinesis://a/b", "expected the name or the ARN"),
        ("kinesis://s?from=yesterday", "is no place to start from"),
        ("kinesis://s?mode=fast", "one of poll, efo"),
        ("kinesis://s?form=latest", "unknown parameter `form`"),
    ] {
        let error = Stream::parse(url).unwrap_err().to_string();
        assert!(error.contains(said), "{url}: {error}");
    }
    let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/trail";
    let stream = Stream::parse(&format!("kinesis://{arn}?mode=efo")).unwrap();
    assert_eq!(
        (&*stream.name, stream.region.as_deref()),
        (arn, Some("eu-west-1"))
    );
    assert_eq!(stream.consumer.as_deref(), Some("auroratrail"));
}
