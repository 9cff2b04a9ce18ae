//! Compressions and archives: cut, bent, packed into each other, or in a format that is not read.

use crate::feed::{Fed, feed, feed_stream};
use crate::made::{
    Random, base64, gzip, hadoop_snappy, lz4, lzma, quoted, record, snappy, tar, xz, zip, zlib,
};

/// Records in lines, as bytes.
fn lines(range: std::ops::Range<usize>) -> Vec<u8> {
    let lines: Vec<String> = range.map(|number| record(number) + "\n").collect();
    lines.concat().into_bytes()
}

/// A text in each format: its name, and the bytes.
fn formats(text: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let half = text.len() / 2;
    let cut = half + text[half..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let files = [
        ("a.json", text[..cut].to_vec()),
        ("b.json", text[cut..].to_vec()),
    ];
    vec![
        ("zlib", zlib(text)),
        ("xz", xz(text)),
        ("lzma", lzma(text)),
        ("lz4", lz4(text)),
        ("snappy", snappy(text)),
        ("hadoop", hadoop_snappy(text)),
        ("zip", zip(&files)),
        ("tar", tar(&files)),
    ]
}

/// Checks that `fed` has no record that is not one of `text`.
#[track_caller]
fn gives_only(name: &str, fed: &Fed, text: &[u8]) {
    let text = std::str::from_utf8(text).unwrap();
    let whole: Vec<&str> = text.lines().collect();
    assert!(fed.records.len() <= whole.len(), "{name}: {fed:?}");
}

#[test]
fn cut_files_give_what_came_before_and_a_reject() {
    let text = lines(0..40);
    for (name, bytes) in formats(&text) {
        assert_eq!(feed(bytes.clone()).outcome.events, 40, "{name}");
        let step = bytes.len() / 23 + 1;
        for cut in (64..bytes.len() - 1).step_by(step) {
            // The end mark of a tar is more than it takes, and snappy has none.
            let fed = feed(bytes[..cut].to_vec());
            gives_only(name, &fed, &text);
            let is_told = !fed.rejects.is_empty() || fed.records.len() == 40;
            assert!(is_told, "{name} cut at {cut} of {}: {fed:?}", bytes.len());
            let streamed = feed_stream(&bytes[..cut], &[700]);
            assert_eq!(streamed.records, fed.records, "{name} cut at {cut}");
        }
        // The others give whole blocks only, of 64 KiB or more.
        if ["zlib", "lzma", "hadoop", "zip", "tar"].contains(&name) {
            let fed = feed(bytes[..bytes.len() * 9 / 10].to_vec());
            assert!(!fed.records.is_empty(), "{name}: {fed:?}");
        }
    }
}

#[test]
fn bent_files_neither_panic_nor_give_more() {
    let text = lines(0..12);
    let mut random = Random(7);
    for (name, bytes) in formats(&text) {
        for _ in 0..150 {
            let mut bent = bytes.clone();
            for _ in 0..1 + random.below(3) {
                let at = random.below(bent.len());
                bent[at] ^= 1 << random.below(8);
            }
            gives_only(name, &feed(bent.clone()), &text);
            gives_only(name, &feed_stream(&bent, &[333]), &text);
        }
    }
}

#[test]
fn a_cut_tar_keeps_the_events_of_whole_files_apart_from_the_salvaged() {
    let bytes = tar(&[("a.json", lines(0..3)), ("b.json", lines(3..9))]);
    let from_end = 1024 + 700;
    let fed = feed(bytes[..bytes.len() - from_end].to_vec());
    assert_eq!(fed.outcome.events, 3, "{fed:?}");
    assert!(fed.outcome.salvaged > 0, "{fed:?}");
    assert!(fed.rejects.iter().all(|told| told.contains(": b.json: ")));
}

#[test]
fn a_large_file_in_an_archive_passes_through_the_window() {
    let large = lines(0..20_000);
    let files = [("large.json", large), ("small.json", lines(20_000..20_002))];
    for bytes in [
        zip(&files),
        tar(&files),
        gzip(tar(&files)),
        gzip(zip(&files)),
    ] {
        let fed = feed_stream(&bytes, &[100_000]);
        assert_eq!(fed.outcome.events, 20_002, "{fed:?}");
        assert!(fed.rejects.is_empty(), "{fed:?}");
    }
}

#[test]
fn hidden_files_are_counted_and_left_out() {
    let files = [
        ("a.json", lines(0..1)),
        ("__MACOSX/._a.json", vec![0, 5, 22, 7]),
        (".git/config", b"x".to_vec()),
    ];
    for bytes in [zip(&files), tar(&files)] {
        let fed = feed(bytes);
        assert_eq!(fed.outcome.events, 1, "{fed:?}");
        assert_eq!(fed.other["hidden file in an archive"], 2, "{fed:?}");
        assert!(fed.rejects.is_empty(), "{fed:?}");
    }
}

#[test]
fn rejects_name_the_file_in_the_archive() {
    let files = [
        ("logs/bad.json", b"{\"Records\":[".to_vec()),
        ("logs/x.7z", b"7z\xbc\xaf\x27\x1c\0\x04".to_vec()),
        ("logs/good.json", lines(0..1)),
    ];
    for bytes in [zip(&files), tar(&files)] {
        let fed = feed(bytes);
        assert_eq!(fed.outcome.events, 1, "{fed:?}");
        assert!(fed.rejects[0].contains(": logs/bad.json: "), "{fed:?}");
        let unread = "unread format: logs/x.7z: 7z archive";
        assert!(fed.rejects[1].starts_with(unread), "{fed:?}");
    }
}

#[test]
fn archives_without_files_are_empty() {
    // A tar without files is zeros, as is a file that a crash left behind.
    for bytes in [zip(&[]), zip(&[("a.json", Vec::new())])] {
        let fed = feed(bytes);
        assert!(fed.outcome.empty && fed.rejects.is_empty(), "{fed:?}");
    }
}

#[test]
fn archives_in_archives_are_read_down_to_a_limit() {
    let mut bytes = lines(0..2);
    for depth in 1..8 {
        bytes = zip(&[("inner", bytes)]);
        let fed = feed(bytes.clone());
        let expected = if depth <= 4 { 2 } else { 0 };
        assert_eq!(fed.outcome.events, expected, "{depth}: {fed:?}");
        assert_eq!(fed.rejects.len(), usize::from(depth > 4), "{fed:?}");
    }
}

#[test]
fn what_is_not_read_is_a_reject() {
    let mut encrypted = zip(&[("a.json", lines(0..1))]);
    encrypted[6] |= 1;
    let list = encrypted
        .windows(4)
        .position(|four| four == b"PK\x01\x02")
        .unwrap();
    encrypted[list + 8] |= 1;
    let mut method = zip(&[("a.json", lines(0..1))]);
    method[8] = 98;
    method[list + 10] = 98;
    let mut too_often = lines(0..1);
    for _ in 0..6 {
        too_often = gzip(&too_often);
    }
    for (name, bytes) in [
        ("7z archive", b"7z\xbc\xaf\x27\x1c\0\x04\x01".to_vec()),
        ("rar archive", b"Rar!\x1a\x07\x01\0".to_vec()),
        ("compress (.Z) file", b"\x1f\x9d\x90\x7b".to_vec()),
        ("Avro file", b"Obj\x01\x04\x16avro.schema".to_vec()),
        ("ORC file", b"ORC\x0a\x0b\0\xff".to_vec()),
        ("SQLite database", b"SQLite format 3\0\x10\0".to_vec()),
        ("PDF document", b"%PDF-1.7\n{}".to_vec()),
        (
            "Office document",
            zip(&[("[Content_Types].xml", b"<x/>".to_vec())]),
        ),
        ("ELF program", b"\x7fELF\x02\x01".to_vec()),
        ("a.json: encrypted zip archive", encrypted),
        ("a.json: zip archive: ", method),
        ("compressed more than four times over", too_often),
    ] {
        for fed in [feed(bytes.clone()), feed_stream(&bytes, &[5])] {
            assert_eq!(fed.rejects.len(), 1, "{name}: {fed:?}");
            let expected = format!("unread format: {name}");
            assert!(fed.rejects[0].starts_with(&expected), "{name}: {fed:?}");
            assert!(fed.other.is_empty() && !fed.outcome.empty, "{fed:?}");
        }
    }
}

#[test]
fn text_that_begins_as_a_format_does_is_text() {
    for text in [
        "x^2 is no log",
        "ORCHESTRA\n",
        "MZ is a country code",
        "GIF89a",
    ] {
        let fed = feed(text);
        assert!(!fed.rejects.is_empty(), "{fed:?}");
        assert!(fed.rejects[0].starts_with("not JSON"), "{text}: {fed:?}");
    }
}

#[test]
fn formats_inside_wrappers_are_read() {
    let text = lines(0..2);
    for (name, bytes) in formats(&text).into_iter().take(6) {
        let data = quoted(&base64(bytes));
        let fed = feed(format!(
            r#"{{"requestId":"r","records":[{{"data":{data}}}]}}"#
        ));
        assert_eq!(fed.outcome.events, 2, "{name}: {fed:?}");
        assert!(fed.rejects.is_empty(), "{name}: {fed:?}");
    }
    let data = quoted(&base64(zip(&[("a.json", text)])));
    let fed = feed(format!(
        r#"{{"requestId":"r","records":[{{"data":{data}}}]}}"#
    ));
    assert!(
        fed.rejects[0].starts_with("unread format: archive"),
        "{fed:?}"
    );
}
