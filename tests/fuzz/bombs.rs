//! Small files that want much: time, memory, stack.

use std::io::{self, Read};
use std::process::Command;
use std::time::{Duration, Instant};

use auroratrail::json::MAX_DEPTH;
use auroratrail::payload::Body;

use super::long_run;
use crate::feed::{Fed, feed};
use crate::large::ids;
use crate::made::{base64, gzip, quoted, record};

/// Feeds what must not take long, however it ends.
fn quickly(name: &str, bytes: &[u8]) -> Fed {
    let started = Instant::now();
    let fed = feed(bytes.to_vec());
    let took = started.elapsed();
    assert!(
        took < Duration::from_secs(15),
        "{name} took {took:?}: {fed:?}"
    );
    fed
}

#[test]
fn deep_and_unfinished_text_is_refused_in_little_time() {
    for unit in [
        "[",
        "{\"a\":",
        "{\"Records\":[",
        "[{\"a\":[",
        "\"",
        "\"\\",
        "{\"",
        "{",
        "\n{",
        "{\"a\":\"\n",
        "{}",
        "[],",
        "1 ",
        "\\\"",
        "{\"Records\":[{\"eventName\":\"",
        "{\"eventName\":\"x\",\"eventSource\":\"y\",\"eventID\":{",
        "}",
        "]",
        "2026-03-04T05:06:07Z {",
        "{\"logEvents\":[{\"message\":\"",
        "\u{feff}",
        "\0",
        ",",
        ":",
        "{\"a\":{},",
        "eventVersion",
        "\"eventVersion\"",
        "{\"eventVersion\":",
        "a,b\n",
        "\r",
        "{\"eventVersion\":\"1\",",
    ] {
        let text = unit.repeat(100_000 / unit.len());
        let fed = quickly(unit, text.as_bytes());
        assert!(
            !fed.outcome.empty || fed.rejects.is_empty(),
            "{unit:?}: {fed:?}"
        );
        // A whole record behind it is found where that has a line of its own.
        let fed = quickly(unit, format!("{text}\n{}\n", record(0)).as_bytes());
        assert_eq!(fed.records, [record(0)], "behind {unit:?}: {fed:?}");
        let fed = quickly(unit, format!("{}\n{text}", record(0)).as_bytes());
        assert_eq!(fed.records, [record(0)], "before {unit:?}: {fed:?}");
    }
}

#[test]
fn deep_nesting_is_read_up_to_a_limit() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"Records\":[", "]}]")] {
        let levels = open.matches(['[', '{']).count();
        for depth in [100, 20_000] {
            let (open, close) = (open.repeat(depth / levels), close.repeat(depth / levels));
            let deep = format!("{open}1{close}");
            quickly(&open[..2], deep.as_bytes());
            let event = record(0).replacen('{', &format!(r#"{{"additionalEventData":{deep},"#), 1);
            let fed = quickly(
                &open[..2],
                format!("{}\n{event}\n{}", record(1), record(2)).as_bytes(),
            );
            if depth < usize::try_from(MAX_DEPTH).unwrap() {
                assert_eq!(fed.records, [record(1), event, record(2)]);
            } else {
                assert_eq!(fed.records, [record(1), record(2)]);
                assert!(!fed.rejects.is_empty());
            }
        }
    }
}

#[test]
fn compressed_nothing_costs_little() {
    let zeros = vec![0; 200 << 20];
    let once = gzip(&zeros);
    drop(zeros);
    let twice = gzip(&once);
    let mut many = once.clone();
    for _ in 0..20 {
        many = gzip(many);
    }
    for bytes in [once.clone(), twice.clone(), many] {
        let fed = quickly("zeros", &bytes);
        assert!(
            !fed.rejects.is_empty() && fed.rejects.len() < 1000,
            "{fed:?}"
        );
    }
    let nested = format!(
        r#"{{"requestId":"r","timestamp":1,"records":[{{"data":"{}"}},{{"data":"{}"}},{{"data":"{}"}}]}}"#,
        base64(&once),
        base64(&twice),
        base64(record(0))
    );
    let fed = quickly("nested zeros", nested.as_bytes());
    assert_eq!(fed.records, [record(0)]);
    assert!(!fed.rejects.is_empty());
}

#[test]
fn many_wrappers_cost_little() {
    let mut text = record(0);
    for _ in 0..14 {
        text = format!(r#"{{"Messages":[{{"Body":{}}}]}}"#, quoted(&text));
        if text.len() > 4 << 20 {
            break;
        }
    }
    quickly("bodies", text.as_bytes());
    let mut data = record(0).into_bytes();
    for _ in 0..40 {
        data = gzip(data);
        data = format!(r#"{{"awslogs":{{"data":"{}"}}}}"#, base64(data)).into_bytes();
    }
    let fed = quickly("awslogs", &data);
    assert_eq!(fed.rejects.len(), 1, "{fed:?}");
    let one = r#"{"Type":"Notification","Message":"{}"}"#;
    quickly(
        "notices",
        format!("[{}{one}]", format!("{one},").repeat(5_000)).as_bytes(),
    );
    quickly(
        "brackets",
        format!("[{}]", "[],".repeat(100_000) + "1").as_bytes(),
    );
}

/// The same bytes over and over.
struct Endless {
    block: Vec<u8>,
    at: usize,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (&self.block[self.at..]).read(buffer)?;
        self.at = (self.at + count) % self.block.len();
        Ok(count)
    }
}

/// The largest amount of memory this process ever had, bytes.
fn peak_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes << 10)
}

const HUGE: &[(&[u8], &[u8])] = &[
    (b"{\"a\":\"", b"x"),
    (b"[", b"0,"),
    (b"{\"a\":1", b",\"b\":{}"),
    (b"{\"Records\":[{\"eventName\":\"", b"y"),
    (b"", b"["),
    (b"", b"x"),
    (b"", b"\0"),
    (b"{\"Records\":[", b"{\"x\":1},"),
];

/// Run alone by the next test, so that the memory is its own.
#[test]
#[ignore = "run by the test of memory in a process of its own"]
fn huge_documents_without_records_alone() {
    let count = if long_run().is_some() { HUGE.len() } else { 2 };
    for (head, unit) in &HUGE[..count] {
        let before = peak_bytes();
        let block = unit.repeat((64 << 10) / unit.len());
        let endless = head.chain(Endless { block, at: 0 }).take(70 << 20);
        let (found, outcome) = ids(Body::Stream(Box::new(endless)));
        let name = String::from_utf8_lossy(unit);
        assert!(found.ids.is_empty(), "{name}");
        assert!(
            !found.rejects.is_empty() || found.others > 0,
            "{name}: {outcome:?}"
        );
        assert!(
            found.rejects.len() < 1000,
            "{name}: {}",
            found.rejects.len()
        );
        if let (Some(before), Some(after)) = (before, peak_bytes()) {
            let grew = after - before;
            assert!(grew < 220 << 20, "{name}: {} MiB more", grew >> 20);
            eprintln!("{name}: {} MiB more, {outcome:?}", grew >> 20);
        }
    }
}

#[test]
fn a_huge_document_without_records_is_a_reject_and_takes_bounded_memory() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture"])
        .arg("fuzz::bombs::huge_documents_without_records_alone")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}
