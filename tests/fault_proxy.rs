//! A proxy in front of a server of AWS's JSON APIs, which does to answers what networks and services do.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{NaiveDateTime, TimeDelta, Utc};

use crate::made::Random;

/// The way that a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// To the server and back.
    None,
    /// To the server and back, later.
    Delay(Duration),
    /// The connection is reset, and the server hears nothing.
    Reset,
    /// The server answers, and half of that arrives.
    Truncate,
    /// The server answers, and nothing of that arrives.
    Swallow,
    /// The proxy answers with a status, the code of an error and a message.
    Answer(u16, &'static str, &'static str),
}

impl Fault {
    /// The fault of an error that AWS's Kinesis knows.
    pub fn of(status: u16, code: &'static str) -> Self {
        Self::Answer(status, code, "made by the test")
    }
}

/// A plan: the fault of a request by its operation (`GetRecords`), of S3 by its method and path (`PUT /a/b`).
pub type Plan = dyn FnMut(&str) -> Fault + Send;

/// A proxy that ends with this value.
pub struct Proxy {
    pub endpoint: String,
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    server: String,
    plan: Mutex<Box<Plan>>,
    /// The server's time less the true one, as its answers tell it.
    ahead: TimeDelta,
    faults: AtomicU64,
    is_over: AtomicBool,
}

impl Proxy {
    /// Starts a proxy in front of the server at `endpoint`.
    pub fn start(endpoint: &str, plan: impl FnMut(&str) -> Fault + Send + 'static) -> Self {
        Self::start_at(endpoint, TimeDelta::zero(), plan)
    }

    /// Starts a proxy by whose clock the server is `ahead`, and which refuses signatures as AWS does that are
    /// 5 minutes off.
    pub fn start_at(
        endpoint: &str,
        ahead: TimeDelta,
        plan: impl FnMut(&str) -> Fault + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server: endpoint.trim_start_matches("http://").to_owned(),
            plan: Mutex::new(Box::new(plan)),
            ahead,
            faults: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if serving.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let serving = Arc::clone(&serving);
                // A client that goes away is no fault of the proxy.
                std::thread::spawn(move || client.and_then(|client| serving.serve(client)));
            }
        });
        Self {
            endpoint: format!("http://{address}"),
            shared,
            address,
        }
    }

    /// Returns the number of requests that did not go as they should.
    pub fn faults(&self) -> u64 {
        self.shared.faults.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    /// Serves one request; the connection ends with it.
    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let head = peek_head(&client)?;
        let operation = operation(&head);
        let fault = match self.skewed(&head) {
            Some(message) => Fault::Answer(403, "InvalidSignatureException", message),
            None => (self.plan.lock().unwrap())(&operation),
        };
        if fault != Fault::None {
            self.faults.fetch_add(1, Ordering::Relaxed);
        }
        if fault == Fault::Reset {
            // Closing with bytes that nobody read resets the connection.
            return Ok(());
        }
        let body = read_request(&mut client, &head)?;
        if let Fault::Answer(status, code, message) = fault {
            return client.write_all(self.error(status, code, message).as_bytes());
        }
        if let Fault::Delay(delay) = fault {
            std::thread::sleep(delay);
        }
        let answer = self.ask(&head, &body)?;
        let sent = match fault {
            Fault::Truncate => &answer[..answer.len() - answer.len() / 3],
            Fault::Swallow => &[],
            _ => &answer[..],
        };
        client.write_all(sent)?;
        client.shutdown(Shutdown::Write)
    }

    /// Returns the server's answer, which tells the proxy's time.
    fn ask(&self, head: &str, body: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut server = TcpStream::connect(&self.server)?;
        let lines = head
            .trim_end()
            .lines()
            .filter(|line| !is_header(line, "connection"));
        let head: Vec<&str> = lines.chain(["Connection: close", "", ""]).collect();
        server.write_all(head.join("\r\n").as_bytes())?;
        server.write_all(body)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        let end = find_end(&answer).unwrap_or(answer.len());
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let kept = head
            .trim_end()
            .lines()
            .filter(|line| !is_header(line, "date"));
        let date = format!("Date: {}", self.date());
        let head: Vec<&str> = kept.chain([&*date, "", ""]).collect();
        Ok([head.join("\r\n").as_bytes(), &answer[end..]].concat())
    }

    fn error(&self, status: u16, code: &str, message: &str) -> String {
        let body = match code {
            "" => String::new(),
            code => format!(r#"{{"__type":"{code}","message":"{message}"}}"#),
        };
        format!(
            "HTTP/1.1 {status} Fault\r\nContent-Type: application/x-amz-json-1.1\r\n\
             x-amzn-errortype: {code}\r\nDate: {}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            self.date(),
            body.len()
        )
    }

    fn date(&self) -> String {
        let now = Utc::now() + self.ahead;
        now.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    /// Returns AWS's complaint about a signature of another time than the server's.
    fn skewed(&self, head: &str) -> Option<&'static str> {
        let date = header(head, "x-amz-date")?;
        let signed = NaiveDateTime::parse_from_str(&date, "%Y%m%dT%H%M%SZ").ok()?;
        let age = Utc::now() + self.ahead - signed.and_utc();
        let most = TimeDelta::minutes(5);
        if age > most {
            return Some("Signature expired: it is now earlier than the server's time - 5 min.");
        }
        (-age > most).then_some(
            "Signature not yet current: it is still later than the server's time + 5 min.",
        )
    }
}

/// Returns a plan by which one request in `every` goes wrong, each time otherwise.
pub fn at_random(seed: u64, every: usize) -> impl FnMut(&str) -> Fault + Send {
    let mut random = Random(seed);
    move |operation| match random.below(every) {
        0 => match random.below(10) {
            0 => Fault::Delay(Duration::from_millis(700)),
            1 => Fault::Reset,
            2 => Fault::Truncate,
            3 => Fault::Swallow,
            4 => Fault::of(500, "InternalFailure"),
            5 => Fault::Answer(500, "", ""),
            6 => Fault::of(503, "ServiceUnavailable"),
            7 => Fault::of(400, "ExpiredTokenException"),
            8 if operation == "GetRecords" => Fault::of(400, "ExpiredIteratorException"),
            _ if operation == "ListShards" => Fault::of(400, "LimitExceededException"),
            _ => Fault::of(400, "ProvisionedThroughputExceededException"),
        },
        _ => Fault::None,
    }
}

/// Returns the operation of a request, as plans name it.
fn operation(head: &str) -> String {
    let line = head.lines().next().unwrap_or_default();
    match header(head, "x-amz-target") {
        Some(target) => target.rsplit('.').next().unwrap_or_default().to_owned(),
        None => line.trim_end_matches(" HTTP/1.1").to_owned(),
    }
}

/// Returns the head of a request without taking it off the connection.
fn peek_head(client: &TcpStream) -> std::io::Result<String> {
    let mut bytes = vec![0; 16 << 10];
    client.set_read_timeout(Some(Duration::from_secs(60)))?;
    loop {
        let length = client.peek(&mut bytes)?;
        if let Some(end) = find_end(&bytes[..length]) {
            return Ok(String::from_utf8_lossy(&bytes[..end]).into_owned());
        }
        if length == 0 || length == bytes.len() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Takes a request off the connection; returns its body.
fn read_request(client: &mut TcpStream, head: &str) -> std::io::Result<Vec<u8>> {
    let length = header(head, "content-length").and_then(|length| length.parse().ok());
    let mut request = vec![0; head.len() + length.unwrap_or(0)];
    client.read_exact(&mut request)?;
    Ok(request.split_off(head.len()))
}

/// Returns the end of a message's head, its empty line included.
fn find_end(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(at + 4)
}

fn header(head: &str, name: &str) -> Option<String> {
    let line = head.lines().find(|line| is_header(line, name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn is_header(line: &str, name: &str) -> bool {
    let found = line.split_once(':').map(|(found, _)| found);
    found.is_some_and(|found| found.eq_ignore_ascii_case(name))
}
