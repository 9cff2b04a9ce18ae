//! The S3 client against moto, a server that speaks enough of S3.

#[path = "../../../../../tests/moto_server.rs"]
mod server;

use std::net::TcpListener;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use object_store::ObjectStoreExt;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;

use self::server::Moto;
use super::{block_on, everything, large, set};
use crate::source::aws::AwsSettings;
use crate::source::objects::tests::{Reading, names, parse};
use crate::source::{KeyFilter, Sources};

/// What these tests do with a server.
impl Moto {
    fn settings(&self) -> AwsSettings {
        AwsSettings {
            endpoint: Some(self.endpoint.clone()),
            region: Some("eu-west-1".to_owned()),
            credentials: Some(("AKIATEST".to_owned(), "verysecret".to_owned())),
            ..AwsSettings::default()
        }
    }

    fn create(&self, bucket: &str, objects: &[(&str, Vec<u8>)]) {
        let store = AmazonS3Builder::new()
            .with_endpoint(&self.endpoint)
            .with_allow_http(true)
            .with_access_key_id("AKIATEST")
            .with_secret_access_key("verysecret")
            .with_bucket_name(bucket)
            .build()
            .unwrap();
        block_on(async {
            // The bucket itself is not object_store's business: a PUT of its bare path makes it.
            self.put(&format!("/{bucket}"), "");
            for (key, bytes) in objects {
                let path = Path::parse(key).unwrap();
                store.put(&path, bytes.clone().into()).await.unwrap();
            }
        });
    }
}

const EARLY: &str = "AWSLogs/111122223333/CloudTrail/us-east-1/2025/01/01/\
    111122223333_CloudTrail_us-east-1_20250101T0000Z_u.json.gz";
const LATE: &str = "AWSLogs/111122223333/CloudTrail/us-east-1/2025/02/01/\
    111122223333_CloudTrail_us-east-1_20250201T0000Z_u.json.gz";
const ELSEWHERE: &str = "AWSLogs/111122223333/CloudTrail/eu-west-1/2025/02/01/\
    111122223333_CloudTrail_eu-west-1_20250201T0000Z_u.json.gz";

const PUBLIC: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*",
    "Action":["s3:ListBucket","s3:GetObject"],
    "Resource":["arn:aws:s3:::trails","arn:aws:s3:::trails/*"]}]}"#;

fn anonymous(moto: &Moto) -> Sources {
    Sources::new(AwsSettings {
        credentials: None,
        skip_signature: true,
        ..moto.settings()
    })
}

fn check_with(sources: &Sources, location: &str) -> Result<(), String> {
    let checked = block_on(sources.check(&parse(&[location])));
    checked.map_err(|error| error.to_string())
}

#[test]
fn a_bucket_is_read_over_the_wire() {
    let moto = Moto::start();
    let odd = "odd/a b+c%20ü&=[1].json";
    let many: Vec<String> = (0..1500)
        .map(|number| format!("many/{number:04}"))
        .collect();
    let mut objects = vec![
        (EARLY, b"early".to_vec()),
        (LATE, b"late".to_vec()),
        (ELSEWHERE, b"elsewhere".to_vec()),
        (odd, b"odd".to_vec()),
        ("large.json", large()),
        ("empty", Vec::new()),
    ];
    objects.extend(many.iter().map(|key| (key.as_str(), Vec::new())));
    moto.create("trails", &objects);
    let sources = Sources::new(moto.settings());
    let read = |location: &str, wanted: KeyFilter| {
        let reading = Reading::start(&sources, &[location], wanted);
        let read = reading.all();
        assert_eq!(reading.execution.stats.rejects(), 0, "{location}");
        read
    };

    let all = read("s3://trails/AWSLogs/", everything());
    let urls = [ELSEWHERE, EARLY, LATE].map(|key| format!("s3://trails/{key}"));
    assert_eq!(names(&all), urls);
    assert_eq!(all[1].1, b"early");
    let wanted = KeyFilter {
        regions: set(&["us-east-1"]),
        from_micros: Some(1_738_281_600_000_000), // 2025-01-31
        ..everything()
    };
    assert_eq!(names(&read("s3://trails", wanted.clone()))[0], urls[2]);
    assert_eq!(
        names(&read("s3://trails/AWSLogs/*/CloudTrail/", wanted)),
        [&urls[2]]
    );
    assert_eq!(
        read(
            &format!("s3://trails/{}", odd.replace('[', "\\[")),
            everything()
        )[0]
        .1,
        b"odd"
    );
    assert_eq!(read("s3://trails/many/", everything()).len(), 1500);
    assert_eq!(read("s3://trails/many/*7", everything()).len(), 150);
    assert!(read("s3://trails/large.json", everything())[0].1 == large());
    assert_eq!(read("s3://trails/empty", everything())[0].1, b"");

    let missing = Reading::start(&sources, &["s3://trails/none", "s3://none/x"], everything());
    assert!(missing.next().is_none());
    assert_eq!(missing.execution.stats.rejects(), 2);
    assert_eq!(missing.execution.stats.objects_listed.load(Relaxed), 0);
    let check = |location| check_with(&sources, location);
    assert_eq!(check("s3://trails/odd/"), Ok(()));
    assert!(check("s3://trails/none").unwrap_err().contains("no object"));
    assert!(
        check("s3://none/")
            .unwrap_err()
            .contains("no bucket `none`")
    );

    let refused = Reading::start(&anonymous(&moto), &["s3://trails/AWSLogs/"], everything());
    assert!(refused.next().is_none());
    assert_eq!(
        refused.execution.stats.rejects_by_reason(),
        [("unreadable file", 3)]
    );
    moto.put("/trails?policy", PUBLIC);
    // Public buckets are read without credentials, and none are looked for.
    let reading = Reading::start(&anonymous(&moto), &["s3://trails/AWSLogs/"], everything());
    assert_eq!(reading.all().len(), 3);
}

#[test]
fn a_server_that_is_not_there_is_named_within_seconds() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let sources = Sources::new(AwsSettings {
        endpoint: Some(format!("http://{closed}")),
        region: Some("us-east-1".to_owned()),
        credentials: Some(("AKIATEST".to_owned(), "verysecret".to_owned())),
        ..AwsSettings::default()
    });
    let start = Instant::now();
    let error = block_on(sources.check(&parse(&["s3://trails/"]))).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("AWS_ENDPOINT_URL"), "{error}");
    assert!(!error.contains("verysecret"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(40));
}

#[test]
fn objects_that_are_kept_in_memory_are_read_again_when_they_change() {
    use crate::execution::Execution;
    use crate::query::table::Input;
    use crate::query::{Session, SessionOptions};
    use arrow::array::AsArray;
    use futures::TryStreamExt;
    use std::sync::Arc;

    let event = |id: &str| {
        format!(
            r#"{{"Records":[{{"eventVersion":"1.11","eventTime":"2026-01-01T00:00:00Z","eventSource":"rds.amazonaws.com","eventName":"x","awsRegion":"eu-west-1","eventID":"{id}"}}]}}"#
        )
    };
    let moto = Moto::start();
    let objects = [
        ("a.json", event("a").into_bytes()),
        ("b.json", event("b").into_bytes()),
    ];
    moto.create("trails", &objects);
    let sources = Sources::new(moto.settings());
    let session = Session::new(SessionOptions {
        threads: 2,
        memory_bytes: 64 << 20,
        cache_bytes: 64 << 20,
    })
    .unwrap();
    let locations = parse(&["s3://trails/"]);
    let input = Input {
        sources,
        locations,
        lakes: Vec::new(),
        dedup: false,
    };
    session.add_events(input).unwrap();
    let ask = || {
        block_on(async {
            let execution: Arc<Execution> = Arc::default();
            let sql = "SELECT string_agg(eventID, ',' ORDER BY eventID) FROM events";
            let result = session
                .plan(sql)
                .await
                .unwrap()
                .start(&execution)
                .await
                .unwrap();
            let batches: Vec<_> = result.rows.try_collect().await.unwrap();
            let answer = batches[0].column(0).as_string::<i64>().value(0).to_owned();
            let stats = &execution.stats;
            (
                answer,
                stats.objects_read.load(Relaxed),
                stats.objects_cached.load(Relaxed),
            )
        })
    };
    assert_eq!(ask(), ("a,b".to_owned(), 2, 0));
    assert_eq!(ask(), ("a,b".to_owned(), 0, 2));
    moto.put("/trails/b.json", &event("c"));
    assert_eq!(ask(), ("a,c".to_owned(), 1, 1));
    assert_eq!(ask(), ("a,c".to_owned(), 0, 2));
}
