//! Real files (made-up ones where there are none), bent.

use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;

use auroratrail::events::RowFilter;

use super::{all, decode, rebuilds, run_seeds};
use crate::corpus;
use crate::damage::forms;
use crate::feed::{feed, feed_stream};
use crate::made::{
    Random, base64, bzip2, gzip, hadoop_snappy, kpl, lz4, lzma, quoted, snappy, tar, xz, zip, zlib,
    zstd,
};

/// What mutants are made of.
fn seeds() -> &'static [Vec<u8>] {
    static SEEDS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let mut seeds: Vec<Vec<u8>> = forms(6).into_iter().map(|form| form.text).collect();
        let made: Vec<Vec<u8>> = seeds
            .iter()
            .flat_map(|text| [gzip(text), zstd(text), bzip2(text), kpl(&[gzip(text)])])
            .collect();
        let text = &seeds[0];
        let files = [("a.json", text.clone()), ("b/c.json.gz", gzip(text))];
        let made = made.into_iter().chain([
            zlib(text),
            xz(text),
            lzma(text),
            lz4(text),
            snappy(text),
            hadoop_snappy(text),
            zip(&files),
            tar(&files),
            gzip(tar(&files)),
        ]);
        let made: Vec<Vec<u8>> = made.collect();
        seeds.extend(made);
        if let Some(folder) = corpus::folder() {
            let files = corpus::files(&folder);
            let texts = files.iter().map(|path| std::fs::read(path).unwrap());
            seeds.extend(texts.filter(|bytes| bytes.len() < 60_000));
        }
        seeds
    })
}

const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    ",",
    ":",
    "null",
    "\n",
    "\r\n",
    "\0",
    "\u{feff}",
    "{\"Records\":[",
    "]}",
    "{\"",
    "\":",
    "\\u",
    "\\\"",
    "\"eventName\":\"x\",",
    "\"eventSource\":\"aws:s3\",",
    "\"logEvents\":[",
    "\"message\":\"{",
    "\"messageType\":\"DATA_MESSAGE\",",
    "\"data\":\"",
    "\"detail\":{",
    "eventVersion",
    "1e999",
    "-",
    "\u{1f}\u{8b}",
    "2026-03-04T05:06:07Z {",
    "\u{202f}",
    "}{",
    "},{",
    "\"\"",
    "[[[[",
    "]]]]",
    "{}",
    "[]",
    "\u{fffd}",
];

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    let length = bytes.len().max(1);
    let at = random.below(length).min(bytes.len());
    let end = (at + 1 + random.below(200)).min(bytes.len());
    match random.below(10) {
        0 if !bytes.is_empty() => bytes[at.min(length - 1)] ^= 1 << random.below(8),
        1 if !bytes.is_empty() => bytes[at.min(length - 1)] = random.next() as u8,
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..end)),
        4 | 5 => {
            let token = TOKENS[random.below(TOKENS.len())].as_bytes();
            drop(bytes.splice(at..at, token.iter().copied()));
        }
        6 => {
            let piece = bytes[at..end].to_vec();
            let to = random.below(length).min(bytes.len());
            drop(bytes.splice(to..to, piece));
        }
        7 => {
            let other = &seeds()[random.below(seeds().len())];
            let from = random.below(other.len().max(1)).min(other.len());
            bytes.truncate(at);
            bytes.extend(&other[from..]);
        }
        8 => {
            let piece = bytes[at..end.min(at + 12)].repeat(1 + random.below(300));
            drop(bytes.splice(at..at, piece));
        }
        _ => {
            let token = TOKENS[random.below(TOKENS.len())].as_bytes();
            let end = (at + token.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&token[..end - at]);
        }
    }
}

/// Puts a wrapper around it.
fn wrap(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    match random.below(7) {
        0 => gzip(bytes),
        1 => format!(r#"{{"awslogs":{{"data":"{}"}}}}"#, base64(gzip(bytes))).into_bytes(),
        2 => format!(r#"{{"requestId":"r","records":[{{"data":"{}"}}]}}"#, base64(bytes)).into_bytes(),
        3 => format!(r#"{{"Messages":[{{"Body":{}}}]}}"#, quoted(&text)).into_bytes(),
        4 => kpl(&[bytes.to_vec(), b"{}".to_vec()]),
        5 => format!(r#"{{"messageType":"DATA_MESSAGE","logEvents":[{{"id":"1","timestamp":1,"message":{}}}]}}"#, quoted(&text)).into_bytes(),
        _ => [bytes, b"\n", bytes].concat(),
    }
}

#[test]
fn mutants_of_files_neither_panic_nor_hang() {
    run_seeds(250, 1.0, |random| {
        let mut bytes = seeds()[random.below(seeds().len())].clone();
        for _ in 0..random.below(3) {
            if random.below(3) == 0 {
                bytes = wrap(random, &bytes);
            }
            for _ in 0..1 + random.below(4) {
                mutate(random, &mut bytes);
            }
        }
        if let Some(folder) = std::env::var_os("AURORATRAIL_FUZZ_LAST") {
            std::fs::write(folder, &bytes).unwrap();
        }
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| try_mutant(&bytes, random)));
        if result.is_err() {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(3000)]);
            panic!("with {} bytes: {shown}", bytes.len());
        }
    });
}

fn try_mutant(bytes: &[u8], random: &mut Random) {
    let fed = feed(bytes.to_vec());
    let decoded = decode(bytes, &all(), RowFilter::default(), 100);
    assert_eq!(decoded.texts, fed.records);
    rebuilds(&decoded).unwrap();
    let pieces = [1 + random.below(300), 1 + random.below(9000)];
    let streamed = feed_stream(bytes, &pieces);
    assert_eq!(
        streamed.records, fed.records,
        "{fed:?} but streamed by {pieces:?} {streamed:?}"
    );
    // Inflating at once cannot see copies of the trailer behind the end.
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        assert_eq!(
            streamed.rejects.is_empty(),
            fed.rejects.is_empty(),
            "{fed:?} {streamed:?}"
        );
    }
    assert_eq!(streamed.others(), fed.others(), "{fed:?} {streamed:?}");
}
