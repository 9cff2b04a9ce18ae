//! Damaged files: cut off, overwritten, with bytes too many or too few. Every record that the damage
//! did not touch is found, the damage is a reject, and a stream gives what the whole file gives.

use std::io::Read;
use std::ops::Range;

use auroratrail::envelope::Extractor;
use auroratrail::payload::Body;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::feed::{Fed, Trickle, feed, feed_body, feed_stream, value};
use crate::made::{Random, gzip, pretty, record, subscription};

/// Number of records in the small files.
const RECORDS: usize = 30;

/// A file and the places of its records.
pub struct Form {
    pub name: &'static str,
    pub text: Vec<u8>,
    /// Range of each record, with the wrapper of its own, bytes.
    pub places: Vec<Range<usize>>,
}

/// Makes the same `count` records in each of the forms that files have.
pub fn forms(count: usize) -> Vec<Form> {
    let records: Vec<String> = (0..count).map(record).collect();
    let nice: Vec<String> = records
        .iter()
        .map(|record| pretty(record).replace('\n', "\n    "))
        .collect();
    let (subscription, places) = subscription(&records);
    vec![
        form("records", r#"{"Records":["#, &records, ",", "]}"),
        form(
            "pretty records",
            "{\n  \"Records\": [\n    ",
            &nice,
            ",\n    ",
            "\n  ]\n}\n",
        ),
        form("array", "[", &records, ",", "]"),
        form("lines", "", &records, "\n", "\n"),
        Form {
            name: "subscription",
            text: subscription.into_bytes(),
            places,
        },
    ]
}

fn form(name: &'static str, head: &str, records: &[String], between: &str, tail: &str) -> Form {
    let (mut text, mut places) = (head.to_owned(), Vec::new());
    for (index, record) in records.iter().enumerate() {
        text.push_str(if index > 0 { between } else { "" });
        places.push(text.len()..text.len() + record.len());
        text.push_str(record);
    }
    text.push_str(tail);
    let text = text.into_bytes();
    Form { name, text, places }
}

/// Bytes `at` in a file replaced by others.
#[derive(Clone, Debug)]
pub struct Damage {
    pub at: Range<usize>,
    pub by: Vec<u8>,
}

impl Damage {
    pub fn random(random: &mut Random, length: usize) -> Self {
        let start = random.below(length);
        let most = [1, 4, 40, 3000][random.below(4)];
        let size = 1 + random.below(most);
        let end = (start + size).min(length);
        let fill = |random: &mut Random, size: usize| -> Vec<u8> {
            const NASTY: &[u8] = b"\"{}[],:\\\n\0 a0\xff\xc3/-";
            let nasty = random.below(2) == 0;
            (0..size)
                .map(|_| match nasty {
                    true => NASTY[random.below(NASTY.len())],
                    false => random.next() as u8,
                })
                .collect()
        };
        match random.below(4) {
            0 => Damage {
                at: start..end,
                by: Vec::new(),
            },
            1 => Damage {
                at: start..start,
                by: fill(random, size),
            },
            2 => Damage {
                at: start..end,
                by: fill(random, end - start),
            },
            _ => Damage {
                at: start..start + 1,
                by: fill(random, 1),
            },
        }
    }

    pub fn apply(&self, text: &[u8]) -> Vec<u8> {
        let (head, tail) = (&text[..self.at.start], &text[self.at.end..]);
        [head, &self.by, tail].concat()
    }

    fn spares(&self, place: &Range<usize>) -> bool {
        place.end <= self.at.start || self.at.end <= place.start
    }
}

/// Returns whether `bytes` are one JSON document after another.
fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
        && serde_json::Deserializer::from_slice(bytes)
            .into_iter::<IgnoredAny>()
            .all(|document| document.is_ok())
}

/// Returns the ids of the values `wanted` that are not in `found` in order, and the number of values
/// too many.
fn missing(found: &[Value], wanted: &[Value]) -> (Vec<Value>, usize) {
    let (mut missing, mut rest) = (Vec::new(), found);
    for value in wanted {
        match rest.iter().position(|found| found == value) {
            Some(index) => rest = &rest[index + 1..],
            None => missing.push(value["eventID"].clone()),
        }
    }
    (missing, found.len().saturating_sub(wanted.len()))
}

/// Returns a message if the records found in `form` after `damage` are wrong.
fn verdict(form: &Form, damage: &Damage, damaged: &[u8], fed: &Fed) -> Option<String> {
    let originals: Vec<Value> = (0..form.places.len())
        .map(|number| value(&record(number)))
        .collect();
    let untouched: Vec<Value> = form
        .places
        .iter()
        .zip(&originals)
        .filter(|(place, _)| damage.spares(place))
        .map(|(_, value)| value.clone())
        .collect();
    let found = fed.values();
    let (missing, more) = missing(&found, &untouched);
    let still_json = is_json(damaged);
    // Another name in the head makes it another document.
    let another = still_json && damage.at.start < form.places[0].start;
    if !missing.is_empty() && !another {
        return Some(format!("missing {missing:?}"));
    }
    if more > form.places.len() - untouched.len() && missing.is_empty() {
        return Some(format!("{more} records out of nothing"));
    }
    if !still_json && damaged != form.text && fed.rejects.is_empty() {
        return Some("no reject".to_owned());
    }
    let lost = found.len() < form.places.len();
    if lost && still_json && fed.others() == 0 && fed.rejects.is_empty() && !damage.by.is_empty() {
        return Some("a record is gone in silence".to_owned());
    }
    None
}

/// Shows the text around the damage.
fn around(form: &Form, damage: &Damage) -> String {
    let near = |range: Range<usize>| String::from_utf8_lossy(&form.text[range]).into_owned();
    format!(
        "{}: {:?} of {} .. {:?} .. {:?} by {:?}",
        form.name,
        damage.at,
        near(damage.at.start.saturating_sub(40)..damage.at.start),
        near(damage.at.start..damage.at.end.min(damage.at.start + 60)),
        near(damage.at.end..(damage.at.end + 40).min(form.text.len())),
        String::from_utf8_lossy(&damage.by[..damage.by.len().min(60)]),
    )
}

/// Returns a message if extraction goes wrong with this damage in `form`.
fn trouble(form: &Form, damage: &Damage, pieces: &[usize]) -> Option<String> {
    let damaged = damage.apply(&form.text);
    let fed = feed(damaged.clone());
    let wrong = verdict(form, damage, &damaged, &fed).or_else(|| {
        let streamed = feed_stream(&damaged, pieces);
        (streamed.records != fed.records || streamed.rejects.len() != fed.rejects.len())
            .then(|| format!("but streamed: {streamed:?}"))
    })?;
    Some(format!("{}\n  {wrong}\n  {fed:?}", around(form, damage)))
}

#[track_caller]
fn none(wrong: &[String]) {
    let shown = wrong.len().min(12);
    assert!(
        wrong.is_empty(),
        "{} times:\n{}",
        wrong.len(),
        wrong[..shown].join("\n")
    );
}

#[test]
fn a_file_cut_anywhere_gives_the_records_before_the_cut() {
    let mut wrong = Vec::new();
    for form in forms(RECORDS) {
        let length = form.text.len();
        let ends = form.places.iter().flat_map(|place| {
            [
                place.start,
                place.start + 1,
                place.end - 1,
                place.end,
                place.end + 1,
            ]
        });
        let cuts = (1..length)
            .step_by(211)
            .chain(ends.step_by(3))
            .chain(length - 4..length);
        for cut in cuts.filter(|cut| (1..length).contains(cut)) {
            let damage = Damage {
                at: cut..length,
                by: Vec::new(),
            };
            wrong.extend(trouble(&form, &damage, &[1 + cut % 1000]));
        }
    }
    none(&wrong);
}

#[test]
fn damage_anywhere_costs_no_more_than_the_records_it_touches() {
    let mut random = Random(1);
    let mut wrong = Vec::new();
    for form in forms(RECORDS) {
        for _ in 0..rounds(120) {
            let damage = Damage::random(&mut random, form.text.len());
            let pieces = [1 + random.below(9000), 1 + random.below(50)];
            wrong.extend(trouble(&form, &damage, &pieces));
        }
    }
    none(&wrong);
}

#[test]
fn damage_between_records_costs_none() {
    let mut wrong = Vec::new();
    for form in forms(RECORDS) {
        for (index, by) in [
            "", "}", "{", "]", "[", "\"", ",", "\\", "x", "\0", "\n\n", "{\"", "\":",
        ]
        .into_iter()
        .enumerate()
        {
            let (before, after) = (&form.places[index + 4], &form.places[index + 5]);
            for at in [
                before.end..after.start,
                before.end..before.end,
                after.start..after.start,
            ] {
                let by = by.as_bytes().to_vec();
                wrong.extend(trouble(&form, &Damage { at, by }, &[100]));
            }
        }
    }
    none(&wrong);
}

#[test]
fn damage_to_log_lines_costs_no_more_than_the_records_it_touches() {
    const HEAD: &str = "2026-03-04 05:06:07 [INFO] app[7]: ";
    const SYSLOG: &str = "Mar  4 05:06:07 host app[7]: ";
    let mut random = Random(5);
    let mut wrong = Vec::new();
    let records: Vec<String> = (0..RECORDS).map(record).collect();
    for head in [HEAD, SYSLOG] {
        let lines = form("log lines", head, &records, &format!("\n{head}"), "\n");
        for _ in 0..rounds(120) {
            let damage = Damage::random(&mut random, lines.text.len());
            let damaged = damage.apply(&lines.text);
            let untouched: Vec<Value> = lines
                .places
                .iter()
                .zip(&records)
                .filter(|(place, _)| damage.spares(place))
                .map(|(_, record)| value(record))
                .collect();
            let fed = feed(damaged.clone());
            let (missing, more) = missing(&fed.values(), &untouched);
            let streamed = feed_stream(&damaged, &[1 + random.below(5000), 7]);
            if !missing.is_empty() || more > RECORDS - untouched.len() || streamed != fed {
                let around = around(&lines, &damage);
                wrong.push(format!(
                    "{around}\n  missing {missing:?}, {fed:?}\n  {streamed:?}"
                ));
            }
        }
    }
    none(&wrong);
}

#[test]
fn several_damages_cost_no_more_than_the_records_they_touch() {
    let mut random = Random(2);
    let mut wrong = Vec::new();
    for form in forms(RECORDS) {
        for _ in 0..rounds(30) {
            let mut damaged = form.text.clone();
            let mut touched = vec![false; RECORDS];
            let mut places: Vec<usize> = (0..3).map(|_| random.below(damaged.len())).collect();
            places.sort_unstable();
            for at in places.into_iter().rev() {
                let damage = Damage {
                    at: at..at + 1,
                    by: b"\"\\{".to_vec(),
                };
                damaged = damage.apply(&damaged);
                for (place, touched) in form.places.iter().zip(&mut touched) {
                    *touched |= !damage.spares(place);
                }
            }
            let untouched: Vec<Value> = (0..RECORDS)
                .filter(|&number| !touched[number])
                .map(|number| value(&record(number)))
                .collect();
            let fed = feed(damaged.clone());
            let (missing, _) = missing(&fed.values(), &untouched);
            if !missing.is_empty() || fed.rejects.is_empty() {
                wrong.push(format!("{}: missing {missing:?} {fed:?}", form.name));
            }
            if feed_stream(&damaged, &[777, 3]).records != fed.records {
                wrong.push(format!("{}: streamed", form.name));
            }
        }
    }
    none(&wrong);
}

/// Decompresses damaged gzip with a decoder that stops at the first fault.
fn decompressed(bytes: &[u8]) -> (Vec<u8>, bool) {
    let (mut out, mut buffer) = (Vec::new(), [0; 512]);
    let mut decoder = flate2::read::MultiGzDecoder::new(bytes);
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => return (out, true),
            Ok(count) => out.extend(&buffer[..count]),
            Err(_) => return (out, false),
        }
    }
}

#[test]
fn a_damaged_gzip_gives_the_records_before_the_damage() {
    let mut random = Random(3);
    let mut wrong = Vec::new();
    for form in forms(RECORDS) {
        let members: Vec<u8> = form.text.chunks(9000).flat_map(gzip).collect();
        for packed in [gzip(&form.text), members] {
            for round in 0..rounds(60) {
                let damage = match round % 2 {
                    0 => Damage {
                        at: random.below(packed.len())..packed.len(),
                        by: Vec::new(),
                    },
                    _ => Damage::random(&mut random, packed.len()),
                };
                let damaged = damage.apply(&packed);
                let (text, whole) = decompressed(&damaged);
                let same = text
                    .iter()
                    .zip(&form.text)
                    .take_while(|(one, other)| one == other)
                    .count();
                let before: Vec<Value> = (0..RECORDS)
                    .filter(|&number| form.places[number].end <= same)
                    .map(|number| value(&record(number)))
                    .collect();
                let fed = feed(damaged.clone());
                let (missing, _) = missing(&fed.values(), &before);
                let silent =
                    fed.rejects.is_empty() && !damaged.is_empty() && !(whole && text == form.text);
                let streamed = feed_stream(&damaged, &[1 + random.below(3000)]);
                if !missing.is_empty() || silent || streamed.records != fed.records {
                    wrong.push(format!(
                        "{}, {:?} of {}, whole {whole}, {} before: missing {missing:?} {fed:?}, streamed {streamed:?}",
                        form.name, damage.at, packed.len(), before.len(),
                    ));
                }
            }
        }
    }
    none(&wrong);
}

#[test]
fn a_sound_file_gives_the_same_whole_and_streamed() {
    for form in forms(RECORDS) {
        for bytes in [form.text.clone(), gzip(&form.text)] {
            let fed = feed(bytes.clone());
            assert_eq!(fed.outcome.events, RECORDS as u64, "{}", form.name);
            for pieces in [[1, 1], [2, 3], [1000, 1], [4096, 8192]] {
                assert_eq!(feed_stream(&bytes, &pieces), fed, "{}", form.name);
            }
        }
    }
}

#[test]
fn a_stream_that_fails_gives_what_came_before() {
    for form in forms(RECORDS) {
        for bytes in [form.text.clone(), gzip(&form.text)] {
            let half = bytes.len() * 3 / 4;
            let trickle = Trickle {
                bytes: bytes[..half].to_vec(),
                pieces: vec![900],
                fails: true,
                ..Trickle::default()
            };
            let fed = feed_body(&mut Extractor::default(), Body::Stream(Box::new(trickle)));
            assert!(fed.records.len() > RECORDS / 6, "{}: {fed:?}", form.name);
            assert!(!fed.rejects.is_empty(), "{}: {fed:?}", form.name);
        }
    }
}

#[test]
fn an_unwrapper_is_as_good_as_new_after_any_payload() {
    let mut random = Random(4);
    let mut used = Extractor::default();
    for form in forms(RECORDS) {
        for _ in 0..rounds(20) {
            let damaged = Damage::random(&mut random, form.text.len()).apply(&form.text);
            let bytes = match random.below(2) {
                0 => gzip(&damaged)[random.below(9)..].to_vec(),
                _ => damaged,
            };
            let again = feed_body(&mut used, Body::Whole(bytes.clone().into()));
            assert_eq!(again, feed(bytes), "{}", form.name);
        }
    }
}

/// Returns `rounds` in a short run, twenty times that in a long one.
pub fn rounds(rounds: usize) -> usize {
    match std::env::var_os("AURORATRAIL_FUZZ_SECONDS") {
        Some(_) => rounds * 20,
        None => rounds,
    }
}

#[test]
fn damage_in_a_second_array_leaves_the_first_alone() {
    let record = record(0);
    let fed = feed(format!(r#"{{"Records":[{record},"a"],"events":["#));
    assert_eq!(fed.records.len(), 1, "{fed:?}");
    let fed = feed(format!(r#"{{"Records":[{record}],"events":["a""#));
    assert_eq!(fed.records.len(), 1, "{fed:?}");
}
