//! The scanner and the tape against serde_json.

use proptest::prelude::*;

use super::*;

fn accepts(text: &str) -> bool {
    let mut tape = Tape::new(&["items"]);
    match tape.parse(text, 0) {
        Parsed::Document { end, .. } => skip_space(text.as_bytes(), end) == text.len(),
        _ => false,
    }
}

/// Returns whether serde_json takes the text as one document, as the tape then has to.
fn serde_accepts(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[test]
fn the_grammar_is_that_of_rfc_8259() {
    for text in [
        "{}",
        "[]",
        "0",
        "-0",
        "1.5e-3",
        "1E5",
        "true",
        "false",
        "null",
        "\"\"",
        r#""\u00e9\n""#,
        r#"{"a":[1,{"b":null},"c"]}"#,
        " [ 1 , 2 ] ",
        "01",
        "1.",
        ".5",
        "+1",
        "-",
        "1e",
        "tru",
        "nul",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "[1,]",
        "[,1]",
        "{,}",
        "[1 2]",
        "{1:2}",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"a\nb\"",
        "{\"a\":1}}",
        "]",
        "",
        "\"abc",
        "[[",
        "{\"a\":[}",
        "1 2",
        "\u{feff}1",
        r#"{"items":[]}"#,
        r#"{"items":[{"a":1},2,{}]}"#,
        r#"{"items":[{"a":1},]}"#,
        r#"{"items":[{"a":1}]"#,
        r#"{"items":[{"a" 1}]}"#,
        r#"{"items":[{"a":1 "b":2}]}"#,
    ] {
        assert_eq!(accepts(text), serde_accepts(text), "{text}");
    }
}

#[test]
fn containers_nest_to_the_limit_and_no_deeper() {
    let nested = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    let wrapped = |n: usize| format!(r#"{{"a":{}}}"#, nested(n));
    assert!(accepts(&wrapped(MAX_DEPTH as usize - 1)));
    assert!(!accepts(&wrapped(MAX_DEPTH as usize)));
    assert!(!accepts(&nested(100_000)));
}

#[test]
fn a_broken_document_keeps_what_came_whole() {
    let text = r#"{"items":[{"a":1},{"b":2},{"c":"#;
    let mut tape = Tape::new(&["items"]);
    let parsed = tape.parse(text, 0);
    assert_eq!(
        parsed,
        Parsed::Broken {
            start: 0,
            error: SyntaxError::Incomplete
        }
    );
    let elements = tape.elements_of(&tape.arrays[0]);
    let whole: Vec<_> = elements.iter().map(|e| e.value.raw(text)).collect();
    assert_eq!(whole, [r#"{"a":1}"#, r#"{"b":2}"#]);
    assert_eq!(tape.arrays[0].end as usize, text.len() - r#",{"c":"#.len());
}

#[test]
fn surrogates_pair_up_or_become_the_replacement_character() {
    assert_eq!(unescape(r"\ud83d\ude00"), "😀");
    assert_eq!(unescape(r"\ud83dx"), "\u{fffd}x");
    assert_eq!(unescape(r"\ud83d\u0041"), "\u{fffd}A");
    assert!(!unescape_into(r"\udc00", &mut String::new()));
}

/// Text that is JSON or nearly so: bits of JSON, at random.
fn nearly_json() -> impl Strategy<Value = String> {
    let bit = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"a\":",
        "1",
        "-0.5e+7",
        "true",
        "null",
        " ",
        "\n",
        "\\",
        "\\u12",
        "é",
        "\"items\":[",
        "\u{1}",
        "0123456789abcdefghijklmnop",
    ]);
    prop::collection::vec(bit, 0..24).prop_map(|bits| bits.concat())
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<i32>().prop_map(|n| (f64::from(n) / 8.0).into()),
        "\\PC{0,40}".prop_map(Into::into),
        "[\u{0}-\u{7f}]{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map("\\PC{0,12}", inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn it_agrees_with_serde_json_on_what_is_json(text in nearly_json()) {
        prop_assert_eq!(accepts(&text), serde_accepts(&text));
    }

    #[test]
    fn every_value_comes_back_as_it_was(value in json_value(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = text.expect("a value has a text");
        prop_assert!(accepts(&text));
        if let Some(map) = value.as_object() {
            for (key, value) in Members::new(&text) {
                let expected = &map[&*unescape(key.raw(&text))];
                let found: serde_json::Value = serde_json::from_str(value.raw(&text)).unwrap();
                prop_assert_eq!(&found, expected);
            }
        }
    }

    #[test]
    fn a_prefix_of_a_container_is_incomplete(value in json_value(), cut in any::<prop::sample::Index>()) {
        let text = serde_json::to_string(&serde_json::json!([value])).unwrap();
        let cut = cut.index(text.len());
        if let (1.., Some(head)) = (cut, text.get(..cut)) {
            let parsed = Tape::new(&["items"]).parse(head, 0);
            prop_assert_eq!(parsed, Parsed::Broken { start: 0, error: SyntaxError::Incomplete });
        }
    }

    #[test]
    fn unescaping_is_what_serde_json_does(text in "\\PC{0,30}|[\u{0}-\u{7f}]{0,30}") {
        let escaped = serde_json::to_string(&text).unwrap();
        prop_assert_eq!(unescape(&escaped[1..escaped.len() - 1]), text);
    }
}
