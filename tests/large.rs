//! Inputs larger than the window that streams pass through.

use std::io::{self, Read};

use auroratrail::envelope::{Extractor, Outcome, Record, RecordSink, Taken};
use auroratrail::payload::Body;
use auroratrail::reject::Reject;

use crate::damage::{Damage, Form, forms, rounds};
use crate::feed::{Trickle, check, payload};
use crate::made::{Random, gzip, id, record, utf16le};

/// Three times the window.
const LARGE_BYTES: usize = 12 << 20;

/// Keeps only the ids of the records: 12 MB of records would be compared slowly.
#[derive(Default)]
pub struct Ids {
    pub ids: Vec<String>,
    pub rejects: Vec<&'static str>,
    pub others: u64,
}

impl RecordSink for Ids {
    fn record(&mut self, record: &Record<'_>) -> Taken {
        let id = record
            .members
            .iter()
            .find(|member| member.key.raw(record.text) == "eventID");
        self.ids.push(id.map_or_else(String::new, |member| {
            member.value.raw(record.text).trim_matches('"').to_owned()
        }));
        Taken::Row
    }

    fn not_cloudtrail(&mut self, _: &'static str, count: u64) {
        self.others += count;
    }

    fn reject(&mut self, reject: &Reject<'_>) {
        assert!(reject.bytes.len() <= 80 << 20);
        self.rejects.push(reject.reason);
    }
}

pub fn ids(body: Body) -> (Ids, Outcome) {
    let mut ids = Ids::default();
    let outcome = Extractor::default().extract(payload(body), &mut ids);
    check(&outcome, ids.ids.len(), ids.rejects.len());
    (ids, outcome)
}

/// Gives at most `piece` bytes at a time.
struct Pieces {
    bytes: io::Cursor<Vec<u8>>,
    piece: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.piece);
        self.bytes.read(&mut buffer[..count])
    }
}

fn stream(bytes: Vec<u8>, piece: usize) -> (Ids, Outcome) {
    let bytes = io::Cursor::new(bytes);
    ids(Body::Stream(Box::new(Pieces { bytes, piece })))
}

fn large(index: usize) -> Form {
    // A record has 1 to 2 KB; the subscription's and the pretty ones are longer.
    let form = forms(LARGE_BYTES / 900).swap_remove(index);
    assert!(form.text.len() > LARGE_BYTES, "{}", form.text.len());
    form
}

/// Checks that all records of a large file of form `index` are found once and in order, whether or
/// not one in the middle is damaged.
fn all_are_found(index: usize) {
    let mut form = large(index);
    let expected: Vec<String> = (0..form.places.len()).map(id).collect();
    let (found, outcome) = stream(form.text.clone(), 100_001);
    assert_eq!(
        found.ids.len(),
        expected.len(),
        "{}: {outcome:?}",
        form.name
    );
    assert_eq!(found.ids, expected, "{}", form.name);
    assert_eq!(
        (outcome.salvaged, found.rejects.len()),
        (0, 0),
        "{}",
        form.name
    );

    let middle = form.places.len() / 2;
    let at = form.places[middle].start + 300;
    form.text[at..at + 21].copy_from_slice(b"\"{[\\\"{\"x\":[[\"{,\\\\\"}]\"");
    let (found, outcome) = stream(form.text.clone(), 1 << 20);
    let mut all_but_one = expected.clone();
    all_but_one.remove(middle);
    assert!(
        found.ids == all_but_one || found.ids == expected,
        "{}: {outcome:?} {:?}",
        form.name,
        found.rejects
    );
    assert!(
        !found.rejects.is_empty() || found.others > 0,
        "{}: {outcome:?}",
        form.name
    );

    let (whole, other) = ids(Body::Whole(form.text.clone().into()));
    assert_eq!(whole.ids, found.ids, "{}: {other:?} {outcome:?}", form.name);
    if index.is_multiple_of(2) {
        let (packed, _) = stream(gzip(&form.text), 10_000);
        assert_eq!(packed.ids, found.ids, "{}", form.name);
    }
}

#[test]
fn all_records_of_a_large_log_file_are_found() {
    all_are_found(0);
}

#[test]
fn all_records_of_a_large_pretty_log_file_are_found() {
    all_are_found(1);
}

#[test]
fn all_records_of_a_large_array_are_found() {
    all_are_found(2);
}

#[test]
fn all_records_of_many_lines_are_found() {
    all_are_found(3);
}

#[test]
fn all_records_of_a_large_subscription_document_are_found() {
    all_are_found(4);
}

/// Puts so much space into the text that the window's end lies somewhere among the records.
fn pushed(form: &Form, text: &[u8], random: &mut Random) -> Vec<u8> {
    let window = 4 << 20;
    let behind = match form.name {
        "lines" => 0,
        _ => form.places[0].start,
    };
    let behind = behind.min(text.len());
    let space = window - random.below(text.len().saturating_sub(behind).max(1));
    let (head, tail) = text.split_at(behind);
    [head, &vec![b' '; space], tail].concat()
}

#[test]
fn records_around_the_windows_end_are_found() {
    let mut random = Random(5);
    for form in forms(30) {
        for round in 0..rounds(5) {
            let damaged = match round {
                0 => form.text.clone(),
                _ => Damage::random(&mut random, form.text.len()).apply(&form.text),
            };
            let text = pushed(&form, &damaged, &mut random);
            let (whole, one) = ids(Body::Whole(text.clone().into()));
            let (found, other) = stream(text, 1 << 20);
            let name = form.name;
            assert_eq!(found.ids, whole.ids, "{name}, {round}: {one:?} {other:?}");
            assert_eq!(
                found.rejects.is_empty(),
                whole.rejects.is_empty(),
                "{name}, {round}"
            );
            if round == 0 {
                assert_eq!(
                    (found.ids.len(), found.rejects.len()),
                    (30, 0),
                    "{name}: {other:?}"
                );
            }
        }
    }
}

#[test]
fn the_windows_end_may_lie_anywhere_in_a_log_line() {
    for (head, tail) in [
        ("2026-03-04T05:06:07Z [INFO] ", ""),
        ("[INFO] app[7]: ", " [took 3 ms]"),
        ("Mar  4 05:06:07 host {worker} ", ""),
        ("\u{1e}", "\\n\u{feff}"),
    ] {
        let lines: Vec<String> = (0..3)
            .map(|n| format!("{head}{}{tail}\n", record(n)))
            .collect();
        let json_end = lines[0].len() - tail.len() - 1;
        let cuts = (0..head.len() + 3).chain(json_end - 1..lines[0].len() + 2);
        for cut in cuts.step_by(2) {
            let space = " ".repeat((4 << 20) - cut);
            let (found, outcome) = stream((space + &lines.concat()).into_bytes(), 1 << 20);
            assert_eq!(
                outcome.events, 3,
                "{head}, {cut}: {outcome:?} {:?}",
                found.rejects
            );
            assert_eq!((found.others, found.rejects.len()), (0, 0), "{head}, {cut}");
        }
    }
}

#[test]
fn large_files_of_other_forms_are_read_through_the_window_too() {
    let form = large(3);
    let expected: Vec<String> = (0..form.places.len()).map(id).collect();
    let text = String::from_utf8(form.text).unwrap();
    let (found, _) = stream(utf16le(&text), 70_001);
    assert_eq!(found.ids, expected);
    assert!(found.rejects.is_empty());

    let mut csv = "Event ID,Event time,User name,Event source,Event name,AWS region\n".to_owned();
    for id in &expected {
        csv.push_str(&format!(
            "{id},2026-03-04T05:06:07Z,\"{}\n, \"\"x\"\"\",rds.amazonaws.com,ModifyDBCluster,us-east-1\n",
            "maria".repeat(60)
        ));
    }
    assert!(csv.len() > 4 << 20);
    let length = csv.len() as u64;
    let (found, outcome) = stream(csv.into_bytes(), 70_001);
    assert_eq!(found.ids, expected);
    assert_eq!(outcome.decompressed_bytes, length);

    let line = "\"e\",\"{type=IAMUser}\",\"ModifyDBCluster\"\n";
    let csv = format!(
        "\"eventid\",\"useridentity\",\"eventname\"\n{}",
        line.repeat(200_000)
    );
    let (found, _) = stream(csv.into_bytes(), 70_001);
    assert_eq!(
        (found.ids.len(), found.rejects.len(), found.others),
        (0, 0, 1)
    );
}

#[test]
fn a_large_document_may_go_on_after_its_records() {
    // The window, 4 MB, ends in the member after the records.
    let records = forms(5000).swap_remove(0);
    let (mut text, mut count) = (r#"{"Records":["#.to_owned(), 0);
    let whole = String::from_utf8(records.text).unwrap();
    for place in &records.places {
        let record = &whole[place.clone()];
        if text.len() + record.len() + 1 > (4 << 20) - 2000 {
            break;
        }
        text.push_str(if count > 0 { "," } else { "" });
        text.push_str(record);
        count += 1;
    }
    let padding = " ".repeat((4 << 20) + 100 - text.len());
    text.push_str(&format!(
        r#"], "searched": [{padding} "x","y"], "next": null}}"#
    ));
    let (found, outcome) = stream(text.into_bytes(), 100_001);
    assert_eq!(found.ids.len(), count);
    assert_eq!((found.rejects, outcome.salvaged), (Vec::new(), 0));
}

#[test]
fn a_large_table_that_cannot_be_read_to_its_end_is_damaged() {
    let mut csv = "Event ID,Event time,User name,Event source,Event name,AWS region\n".to_owned();
    let row = "x,2026-03-04T05:06:07Z,maria,rds.amazonaws.com,ModifyDBCluster,us-east-1\n";
    csv.push_str(&row.repeat((5 << 20) / row.len()));
    let reader = Trickle {
        bytes: csv.into_bytes(),
        pieces: vec![100_001],
        fails: true,
        ..Trickle::default()
    };
    let (found, outcome) = ids(Body::Stream(Box::new(reader)));
    assert_eq!(found.rejects, ["unreadable file"]);
    assert!(
        found.ids.len() > 60_000 && outcome.salvaged > 0,
        "{outcome:?}"
    );
}

#[test]
fn a_reader_may_borrow_the_bytes_it_reads() {
    let form = forms(30).swap_remove(0);
    let packed = gzip(&form.text);
    let mut found = Ids::default();
    let mut reader = packed.as_slice();
    let outcome =
        Extractor::default().extract_stream("made".into(), Some(7), &mut reader, &mut found);
    assert_eq!((found.ids.len(), outcome.events), (30, 30));
    assert_eq!(outcome.decompressed_bytes, form.text.len() as u64);
}
