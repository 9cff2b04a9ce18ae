//! The event history, from a server of the tests' own.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use chrono::Utc;
use serde_json::{Value, json};

use super::History;
use crate::checkpoint::{Checkpoint, Position};
use crate::source::aws::AwsSettings;
use crate::source::{Location, OpenContext, Reading, Sources};

/// A server that answers LookupEvents: newest first, in pages of two, and throttled now and then.
struct Server {
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    /// Source, seconds since 1970.
    events: Mutex<Vec<(String, i64)>>,
    questions: Mutex<Vec<Value>>,
    denies: AtomicBool,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let served = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if served.is_over.load(SeqCst) {
                    return;
                }
                // A client that went away is none of the server's business.
                let _ = served.serve(stream.unwrap());
            }
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    fn put(&self, source: &str, ago_seconds: i64) {
        let at = Utc::now().timestamp() - ago_seconds;
        self.shared.events.lock().unwrap().push((source.into(), at));
    }

    fn settings(&self) -> AwsSettings {
        AwsSettings {
            api_endpoint: Some(format!("http://{}", self.address)),
            region: Some("eu-west-1".to_owned()),
            credentials: Some(("AKIATEST".to_owned(), "verysecret".to_owned())),
            ..AwsSettings::default()
        }
    }

    /// Reads to now. Returns the origins and the checkpoint.
    async fn read(
        &self,
        url: &str,
        from: Option<Checkpoint>,
    ) -> Result<(Vec<String>, Checkpoint), String> {
        let context = OpenContext {
            from,
            reading: Reading::ToNow,
            ..OpenContext::default()
        };
        let location = Location::parse(url).unwrap();
        let sources = Sources::new(self.settings());
        let mut source = sources.open(&[location], &context).unwrap();
        let mut origins = Vec::new();
        loop {
            match source.next().await {
                Ok(Some(payload)) => origins.push(payload.origin.to_string()),
                Ok(None) => return Ok((origins, source.checkpoint())),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.is_over.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let (status, answer) = match serde_json::from_slice(&body) {
            Ok(question) => self.answer(&question),
            // Somebody hung up.
            Err(_) => return Ok(()),
        };
        let answer = answer.to_string();
        write!(
            stream,
            "HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.1\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{answer}",
            answer.len()
        )
    }

    fn answer(&self, question: &Value) -> (u16, Value) {
        let mut questions = self.questions.lock().unwrap();
        questions.push(question.clone());
        if self.denies.load(SeqCst) {
            let said = "User is not authorized to perform: cloudtrail:LookupEvents";
            return (
                400,
                json!({"__type": "AccessDeniedException", "message": said}),
            );
        }
        if questions.len().is_multiple_of(5) {
            let said = "Rate exceeded";
            return (
                400,
                json!({"__type": "ThrottlingException", "message": said}),
            );
        }
        let attribute = &question["LookupAttributes"][0];
        let wanted = attribute["AttributeValue"].as_str().map(str::to_owned);
        let from = question["StartTime"].as_f64().unwrap_or(0.0);
        let to = question["EndTime"].as_f64().unwrap_or(f64::MAX);
        let events = self.events.lock().unwrap();
        let mut found: Vec<(usize, &(String, i64))> = events
            .iter()
            .enumerate()
            .filter(|(_, (source, _))| wanted.as_ref().is_none_or(|wanted| wanted == source))
            .filter(|(_, (_, at))| (from..=to).contains(&(*at as f64)))
            .collect();
        found.sort_by_key(|(_, (_, at))| -at);
        let token = question["NextToken"]
            .as_str()
            .map_or(0, |it| it.parse().unwrap());
        let page = found.iter().skip(token).take(2);
        let page: Vec<Value> = page
            .map(|(number, (source, at))| {
                json!({
                    "EventId": format!("event-{number}"),
                    "EventTime": at,
                    "EventSource": source,
                    "CloudTrailEvent": json!({"eventID": number}).to_string(),
                })
            })
            .collect();
        let mut answer = json!({"Events": page});
        if token + 2 < found.len() {
            answer["NextToken"] = json!((token + 2).to_string());
        }
        (200, answer)
    }
}

const DAY: i64 = 86_400;

#[tokio::test]
async fn the_history_is_read_and_gone_on_with() {
    let server = Server::start();
    for number in 0..9 {
        server.put("rds.amazonaws.com", number * 5 * DAY);
        server.put("s3.amazonaws.com", number * 60);
    }
    server.put("dsql.amazonaws.com", 3);
    let (origins, _) = server.read("cloudtrail://", None).await.unwrap();
    let unique: BTreeSet<&String> = origins.iter().collect();
    assert_eq!((origins.len(), unique.len()), (10, 10));
    assert!(origins.contains(&"cloudtrail://eu-west-1/event-0".to_owned()));
    let (origins, _) = server
        .read(
            "cloudtrail://?since=11d&eventSource=rds.amazonaws.com",
            None,
        )
        .await
        .unwrap();
    assert_eq!(origins.len(), 3);
    let (origins, _) = server
        .read(
            "cloudtrail://?until=11d&eventSource=rds.amazonaws.com",
            None,
        )
        .await
        .unwrap();
    assert_eq!(origins.len(), 6);

    let url = "cloudtrail://eu-west-1?eventSource=*";
    let (origins, checkpoint) = server.read(url, Some(Checkpoint::default())).await.unwrap();
    assert_eq!(origins.len(), 19);
    let position = checkpoint.position("cloudtrail://eu-west-1/*");
    assert!(
        matches!(position, Some(Position::Time { .. })),
        "{checkpoint:?}"
    );
    // New events, one of them late; what is older than the overlap does not come again.
    server.put("s3.amazonaws.com", 0);
    server.put("s3.amazonaws.com", 10 * 60);
    let (again, _) = server.read(url, Some(checkpoint)).await.unwrap();
    for new in ["event-19", "event-20"] {
        assert!(again.iter().any(|it| it.ends_with(new)), "{again:?}");
    }
    assert!(!again.iter().any(|it| it.ends_with("event-2")), "{again:?}");
}

#[tokio::test]
async fn the_question_names_one_attribute_and_a_missing_permission_is_named() {
    let server = Server::start();
    server.put("rds.amazonaws.com", 60);
    let url = "cloudtrail://?since=1h&username=alice";
    server.read(url, None).await.unwrap();
    let asked = server.shared.questions.lock().unwrap()[0].clone();
    let expected = json!([{"AttributeKey": "Username", "AttributeValue": "alice"}]);
    assert_eq!(asked["LookupAttributes"], expected);
    server.shared.denies.store(true, SeqCst);
    let error = server.read(url, None).await.unwrap_err();
    assert!(error.contains("cloudtrail:LookupEvents"), "{error}");
    assert!(!error.contains("verysecret"), "{error}");
}

#[test]
fn urls_are_lookups() {
    let parse = |url| History::parse(url).unwrap();
    assert_eq!(parse("cloudtrail://").lookups.len(), 3);
    assert_eq!(parse("cloudtrail://?eventSource=*").lookups, ["*"]);
    assert_eq!(
        parse("cloudtrail://?resourceName=my%2Fdb").lookups,
        ["resourceName=my/db"]
    );
    assert_eq!(
        parse("cloudtrail://eu-west-1").region.as_deref(),
        Some("eu-west-1")
    );
    for (url, said) in [
        ("cloudtrail://a/b", "nothing or a region"),
        ("cloudtrail://?eventName=a&username=b", "by one attribute"),
        ("cloudtrail://?eventName=", "has no value"),
        ("cloudtrail://?since=1d&from=1d", "mean the same"),
        ("cloudtrail://?since=yesterday", "is no place to start from"),
        ("cloudtrail://?until=oldest", "`until` is a time"),
        ("cloudtrail://?user=a", "unknown parameter `user`"),
    ] {
        let error = History::parse(url).unwrap_err().to_string();
        assert!(error.contains(said), "{url}: {error}");
    }
}
