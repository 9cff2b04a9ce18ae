//! CloudWatch Logs over the wire, from moto.

#[expect(
    dead_code,
    clippy::duplicate_mod,
    reason = "tests of buckets use it, too, and all of it"
)]
#[path = "../../../../tests/moto_server.rs"]
mod server;

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use chrono::Utc;

use self::server::Moto;
use super::context;
use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::payload::Body;
use crate::source::aws::{Aws, AwsSettings};
use crate::source::{Location, Reading, Source, Sources};

fn settings(moto: &Moto) -> AwsSettings {
    AwsSettings {
        api_endpoint: Some(moto.endpoint.clone()),
        region: Some("eu-west-1".to_owned()),
        credentials: Some(("AKIATEST".to_owned(), "verysecret".to_owned())),
        ..AwsSettings::default()
    }
}

async fn client(settings: AwsSettings) -> Client {
    Client::new(&Aws::new(settings).api_config(None).await)
}

async fn create(client: &Client, group: &str, streams: &[&str]) {
    let created = client.create_log_group().log_group_name(group);
    created.send().await.unwrap();
    for stream in streams {
        let created = client.create_log_stream().log_group_name(group);
        created.log_stream_name(*stream).send().await.unwrap();
    }
}

/// Puts events of so many seconds ago. The text of each is `{"eventID": "STREAM-AGO"}`.
async fn put(client: &Client, group: &str, stream: &str, ago: impl Iterator<Item = i64>) {
    let now = Utc::now().timestamp_millis();
    let mut events: Vec<InputLogEvent> = ago
        .map(|ago| {
            let event = InputLogEvent::builder()
                .timestamp(now - ago * 1000)
                .message(format!(r#"{{"eventID": "{stream}-{ago}"}}"#));
            event.build().unwrap()
        })
        .collect();
    events.sort_by_key(InputLogEvent::timestamp);
    let request = client.put_log_events().log_group_name(group);
    let request = request.log_stream_name(stream).set_log_events(Some(events));
    request.send().await.unwrap();
}

fn open(
    settings: &AwsSettings,
    url: &str,
    from: Option<Checkpoint>,
    reading: Reading,
) -> Box<dyn Source> {
    let location = Location::parse(url).unwrap();
    let sources = Sources::new(settings.clone());
    sources.open(&[location], &context(from, reading)).unwrap()
}

async fn all(source: &mut dyn Source) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    while let Some(payload) = source.next().await? {
        let Body::Whole(bytes) = payload.body else {
            panic!("events are in memory")
        };
        assert!(payload.delivered_micros.is_some());
        assert!(payload.origin.starts_with("logs:///aws/"));
        texts.push(String::from_utf8(bytes.to_vec()).unwrap());
    }
    Ok(texts)
}

fn unique(texts: &[String]) -> BTreeSet<&String> {
    texts.iter().collect()
}

#[tokio::test]
async fn log_groups_are_read_over_the_wire() {
    let moto = Moto::start();
    let settings = settings(&moto);
    let client = client(settings.clone()).await;
    let group = "/aws/cloudtrail/org";
    create(&client, group, &["one", "two/three"]).await;
    // More than a page of them, and a few of some days ago.
    put(&client, group, "one", (0..9_000).map(|it| it % 3000)).await;
    put(&client, group, "two/three", 0..3_000).await;
    put(&client, group, "two/three", (0..5).map(|it| 864_000 + it)).await;

    let mut source = open(
        &settings,
        "logs:///aws/cloudtrail/org",
        None,
        Reading::ToNow,
    );
    let texts = all(&mut *source).await.unwrap();
    assert_eq!(texts.len(), 12_005);
    assert_eq!(unique(&texts).len(), 6_005);

    let none = Some(Checkpoint::default());
    let mut source = open(&settings, "logs:///aws/cloudtrail/*", none, Reading::ToNow);
    assert_eq!(all(&mut *source).await.unwrap().len(), 12_005);
    let checkpoint = source.checkpoint();
    let ids: Vec<&str> = checkpoint.partitions().map(|(id, _)| id).collect();
    assert_eq!(
        ids,
        [
            "logs:///aws/cloudtrail/org/",
            "logs:///aws/cloudtrail/org/one",
            "logs:///aws/cloudtrail/org/two%2Fthree"
        ]
    );
    // Going on: what is new, late ones included, and the overlap again.
    put(&client, group, "one", std::iter::once(200)).await;
    let mut source = open(
        &settings,
        "logs:///aws/cloudtrail/org?overlap=4m",
        Some(checkpoint),
        Reading::ToNow,
    );
    let again = all(&mut *source).await.unwrap();
    assert!((1..1_100).contains(&again.len()), "{}", again.len());
    let late = r#"{"eventID": "one-200"}"#;
    assert!(again.iter().filter(|it| *it == late).count() >= 2);
    let mut source = open(
        &settings,
        "logs:///aws/cloudtrail/org?from=-10m",
        None,
        Reading::ToNow,
    );
    let recent = all(&mut *source).await.unwrap();
    // Four a second; less those that are older by now.
    assert!((1_200..=2_410).contains(&recent.len()), "{}", recent.len());

    let mut source = open(&settings, "logs:///aws/none", None, Reading::ToNow);
    let error = all(&mut *source).await.unwrap_err().to_string();
    assert!(error.contains("no log group /aws/none"), "{error}");
    assert!(!error.contains("verysecret"), "{error}");
}

#[tokio::test]
async fn live_tail_reaches_a_server_of_its_own() {
    let moto = Moto::start();
    let settings = settings(&moto);
    let client = client(settings.clone()).await;
    create(&client, "/aws/tail", &["one"]).await;
    put(&client, "/aws/tail", "one", 0..3).await;
    let url = "logs:///aws/tail?mode=live-tail";
    let mut source = open(&settings, url, None, Reading::Watch);
    let mut origins = BTreeSet::new();
    for _ in 0..3 {
        let next = tokio::time::timeout(Duration::from_secs(60), source.next());
        let payload = next.await.unwrap().unwrap().unwrap();
        assert!(payload.origin.starts_with("logs:///aws/tail/one/"));
        origins.insert(payload.origin);
    }
    assert_eq!(origins.len(), 3);
}
