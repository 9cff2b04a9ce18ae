//! Tests of completion: text with `|` as the cursor, and the candidates there.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use proptest::prelude::*;

use super::*;
use crate::query::table::Input;
use crate::query::{Session, SessionOptions};
use crate::source::Sources;
use crate::source::aws::AwsSettings;

fn batch(column: &str, texts: &[&str]) -> RecordBatch {
    let schema = Schema::new(vec![Field::new(column, DataType::Utf8, true)]);
    let array = Arc::new(StringArray::from(texts.to_vec())) as Arc<dyn Array>;
    RecordBatch::try_new(Arc::new(schema), vec![array]).unwrap()
}

fn profile() -> Profile {
    let mut profile = Profile::default();
    let calls = [
        "ModifyDBCluster",
        "DeleteDBCluster",
        "ModifyDBCluster",
        "Decrypt",
    ];
    profile.add(&batch("eventname", &calls));
    profile.add(&batch("useridentity_username", &["o'neil", "anna"]));
    profile.add(&batch(
        "requestparameters",
        &[
            r#"{"dBClusterIdentifier":"c","bucketName":"b","x-y":1}"#,
            r#"{"dBClusterIdentifier":"c","deep":{"flag":true,"text":"t"}}"#,
        ],
    ));
    profile
}

fn vocabulary() -> Vocabulary {
    let options = SessionOptions {
        threads: 1,
        memory_bytes: 32 << 20,
        cache_bytes: 0,
    };
    let session = Session::new(options).unwrap();
    let sources = Sources::new(AwsSettings::from_env());
    let input = Input {
        locations: vec![sources.parse("sample:?events=1").unwrap()],
        sources,
        lakes: Vec::new(),
        dedup: false,
    };
    session.add_events(input).unwrap();
    let command = |name: &str, arguments: &str| CommandWord {
        name: name.to_owned(),
        arguments: arguments.to_owned(),
        about: "meaning".to_owned(),
    };
    Vocabulary::new(
        session.tables(),
        session.functions(),
        vec![
            command("\\d", "[TABLE [PATTERN]]"),
            command("\\i", "FILE"),
            command("\\timing", "[on|off]"),
        ],
        Arc::new(RwLock::new(profile())),
    )
}

/// Completes text in which `|` is the cursor.
fn complete(vocabulary: &Vocabulary, marked: &str) -> Vec<Candidate> {
    let cursor = marked.find('|').unwrap();
    vocabulary.complete(&marked.replacen('|', "", 1), cursor)
}

/// Texts with a cursor, and the first candidates there; `!` before one that must not occur.
#[rustfmt::skip]
const TABLE: &[(&str, &[&str])] = &[
    // The start.
    ("|", &["SELECT", "WITH"]),
    ("sel|", &["select"]),
    ("SEL|", &["SELECT"]),
    ("SELECT 1; WI|", &["WITH"]),
    ("exp|", &["explain"]),
    ("EXPLAIN an|", &["analyze"]),
    ("SHOW T|", &["TABLES"]),
    // Tables.
    ("SELECT * FROM |", &["events", "aurora_events"]),
    ("SELECT * FROM aur|", &["aurora_events"]),
    ("SELECT * FROM events JOIN |", &["events", "aurora_events"]),
    ("SELECT * FROM events, au|", &["aurora_events"]),
    ("DESCRIBE |", &["events", "aurora_events"]),
    ("WITH denied AS (SELECT 1) SELECT * FROM |", &["denied", "events"]),
    ("SELECT * FROM (|", &["events", "aurora_events", "events_current", "SELECT"]),
    ("SELECT * FROM (sel|", &["select"]),
    // Columns.
    ("SELECT |", &["eventVersion", "userIdentity", "eventTime"]),
    ("SELECT eventn|", &["eventName"]),
    ("SELECT EVENTN|", &["eventName"]),
    ("SELECT db_|", &["db_identifier", "db_kind"]),
    ("select * from events where error|", &["errorCode", "errorMessage"]),
    ("SELECT * FROM events WHERE readOnly AND mana|", &["managementEvent"]),
    ("SELECT userAg|, eventName FROM events", &["userAgent"]),
    ("SELECT count(*) FROM events GROUP BY aws|", &["awsRegion"]),
    ("SELECT \"event|", &[]),
    ("SELECT 12|", &[]),
    ("SELECT 1 -- sel|", &[]),
    // Paths.
    ("SELECT requestParameters.dBC|", &["requestParameters.dBClusterIdentifier"]),
    ("SELECT requestparameters.dbclusteri|", &["requestParameters.dBClusterIdentifier"]),
    ("SELECT userIdentity.|", &["userIdentity.type", "userIdentity.principalId"]),
    ("SELECT userIdentity.sess|", &["userIdentity.sessionContext"]),
    ("SELECT userIdentity.sessionContext.sessionIssuer.us|", &["userIdentity.sessionContext.sessionIssuer.userName"]),
    ("SELECT clusterid|", &["requestParameters.dBClusterIdentifier"]),
    ("SELECT requestParameters.buck|", &["requestParameters.bucketName"]),
    ("SELECT bucketn|", &["requestParameters.bucketName"]),
    ("SELECT requestParameters.deep.|", &["requestParameters.deep.flag", "requestParameters.deep.text"]),
    ("SELECT requestParameters.x|", &["requestParameters.\"x-y\""]),
    ("SELECT resources[1].|", &["resources[1].ARN", "resources[1].accountId", "resources[1].type"]),
    ("SELECT RESOURCES[2].a|", &["resources[2].ARN", "resources[2].accountId"]),
    ("SELECT nosuch.|", &[]),
    // Aliases.
    ("SELECT e.eventn| FROM events e", &["e.eventName"]),
    ("SELECT o.userIdentity.userN| FROM events e JOIN aurora_events AS o ON true", &["o.userIdentity.userName"]),
    ("SELECT * FROM events ev WHERE e|", &["ev."]),
    ("SELECT s.| FROM (SELECT eventName, count(*) AS calls FROM events GROUP BY 1) s", &["s.eventName", "s.calls"]),
    ("WITH c AS (SELECT e.awsRegion, 1 one FROM events e) SELECT | FROM c", &["c.", "awsRegion", "one"]),
    ("WITH c AS (SELECT * FROM events) SELECT c.eventn| FROM c", &["c.eventName"]),
    ("SELECT eventName AS call, count(*) AS n FROM events GROUP BY ca|", &["call"]),
    ("SELECT count(*) AS calls FROM events ORDER BY cal|", &["calls"]),
    // Functions.
    ("SELECT split_p|", &["split_part("]),
    ("SELECT coun|(*)", &["count"]),
    ("SELECT approx_d|", &["approx_distinct("]),
    // Keywords.
    ("SELECT dis|", &["distinct"]),
    ("SELECT eventName |", &["FROM", "AS"]),
    ("select eventName f|", &["from"]),
    ("select eventName |", &["from", "as"]),
    ("SELECT * FROM events W|", &["WHERE"]),
    ("SELECT * FROM events GR|", &["GROUP BY"]),
    ("SELECT * FROM events GROUP |", &["BY"]),
    ("SELECT * FROM events WHERE eventName I|", &["IN", "ILIKE", "IS NULL", "IS NOT NULL"]),
    ("SELECT * FROM events WHERE errorCode IS |", &["NULL", "NOT NULL"]),
    ("SELECT * FROM events ORDER BY 1 d|", &["desc"]),
    ("SELECT * FROM events LEFT |", &["JOIN", "OUTER JOIN"]),
    ("SELECT CASE WHEN readOnly |", &["WHEN", "THEN", "ELSE", "END"]),
    ("SELECT * FROM events LIMIT |", &[]),
    // Values.
    ("SELECT * FROM events WHERE eventName = |", &["'ModifyDBCluster'", "'Decrypt'", "'DeleteDBCluster'"]),
    ("SELECT * FROM events WHERE eventName = 'de|", &["'Decrypt'", "'DeleteDBCluster'"]),
    ("SELECT * FROM events WHERE eventName <> 'clus|", &["'ModifyDBCluster'", "'DeleteDBCluster'"]),
    ("SELECT * FROM events WHERE eventName = mod|", &["'ModifyDBCluster'"]),
    ("SELECT * FROM events WHERE eventName IN (|", &["'ModifyDBCluster'"]),
    ("SELECT * FROM events WHERE eventName NOT IN ('Decrypt', 'D|", &["'Decrypt'", "'DeleteDBCluster'"]),
    ("SELECT CASE eventName WHEN 'De|", &["'Decrypt'", "'DeleteDBCluster'"]),
    ("SELECT CASE eventName WHEN CASE 1 WHEN 2 THEN 3 END THEN 1 WHEN 'De|", &["'Decrypt'"]),
    ("SELECT CASE WHEN 'De|", &[]),
    ("SELECT * FROM events WHERE eventName LIKE '%clu|", &["'ModifyDBCluster'", "'DeleteDBCluster'"]),
    ("SELECT * FROM events e WHERE e.userIdentity.userName = 'o|", &["'o''neil'"]),
    ("SELECT * FROM events WHERE userIdentity.userName != 'o''n|", &["'o''neil'"]),
    ("SELECT * FROM events WHERE readOnly = t|", &["true"]),
    ("SELECT * FROM events WHERE eventID = '|", &[]),
    ("SELECT '|", &[]),
    // Commands.
    ("\\|", &["\\d", "\\i", "\\timing"]),
    ("\\ti|", &["\\timing"]),
    ("\\timing o|", &["on", "off"]),
    ("\\d aur|", &["aurora_events"]),
    ("\\d events requestParameters.buc|", &["requestParameters.bucketName"]),
    ("\\timing on\nSEL|", &["SELECT"]),
    ("\\i Cargo.to|", &["Cargo.toml"]),
    ("\\i src/cli/repl/completion/t|", &["tests.rs", "tokens.rs"]),
];

#[test]
fn what_may_stand_at_the_cursor_comes_first() {
    let vocabulary = vocabulary();
    let mut wrong = Vec::new();
    for (marked, expected) in TABLE {
        let found = complete(&vocabulary, marked);
        let texts: Vec<&str> = found.iter().map(|it| &*it.text).collect();
        let is_right = match expected.is_empty() {
            true => texts.is_empty(),
            false => texts.starts_with(expected),
        };
        if !is_right {
            let first = &texts[..texts.len().min(6)];
            wrong.push(format!(
                "{marked}\n    expected {expected:?}\n    found    {first:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns the text after the first candidate is taken.
fn taken(vocabulary: &Vocabulary, marked: &str) -> String {
    let candidate = complete(vocabulary, marked).swap_remove(0);
    let mut text = marked.replacen('|', "", 1);
    text.replace_range(candidate.range, &candidate.text);
    text
}

#[test]
fn a_candidate_replaces_the_word_around_the_cursor() {
    let vocabulary = vocabulary();
    let cases = [
        ("SELECT userA|gent, x", "SELECT userAgent, x"),
        (
            "SELECT ü, requestparameters.dbc|",
            "SELECT ü, requestParameters.dBClusterIdentifier",
        ),
        (
            "SELECT e.useri|.userName FROM events e",
            "SELECT e.userIdentity.userName FROM events e",
        ),
        (
            "SELECT * FROM events WHERE eventName = 'mod|' AND readOnly",
            "SELECT * FROM events WHERE eventName = 'ModifyDBCluster' AND readOnly",
        ),
        (
            "SELECT * FROM events WHERE eventName = 'mod| AND actor = 'x'",
            "SELECT * FROM events WHERE eventName = 'ModifyDBCluster' AND actor = 'x'",
        ),
        ("SELECT * FROM eve|", "SELECT * FROM events"),
    ];
    for (marked, expected) in cases {
        assert_eq!(taken(&vocabulary, marked), expected, "{marked}");
    }
}

#[test]
fn candidates_say_what_they_are() {
    let vocabulary = vocabulary();
    let first = |marked| {
        let it = complete(&vocabulary, marked).swap_remove(0);
        (it.kind, it.about, it.append_space)
    };
    let expected = |kind: &str, about: &str, space| (kind.to_owned(), about.to_owned(), space);
    assert_eq!(
        first("SELECT awsR|"),
        expected("varchar", "the region the call was made to", true)
    );
    assert_eq!(
        first("SELECT userIdentity.sessionC|"),
        expected("object", "", false)
    );
    assert_eq!(
        first("SELECT requestParameters.bucketN|"),
        expected("varchar", "1 event", true)
    );
    assert_eq!(
        first("SELECT 1 FROM events WHERE eventName = 'Mod|"),
        expected("value", "2 events", true)
    );
    let (kind, about, space) = first("SELECT date_diff|");
    assert!(about.starts_with("date_diff("), "{about}");
    assert_eq!((&*kind, space), ("function", false));
    assert_eq!(first("SELECT 1 F|"), expected("keyword", "", true));
    let about = "every CloudTrail record, Insights and aggregated ones too";
    assert_eq!(first("DESCRIBE ev|"), expected("table", about, true));
}

#[test]
fn the_line_editor_is_given_spans_and_descriptions() {
    let vocabulary = Arc::new(RwLock::new(vocabulary()));
    let mut completer = SqlCompleter { vocabulary };
    let result = completer.complete("SELECT awsR", 11);
    let suggestion = &result.suggestions()[0];
    assert_eq!(suggestion.value, "awsRegion");
    assert_eq!(suggestion.span, Span::new(7, 11));
    let description = suggestion.description.as_deref().unwrap();
    assert_eq!(description, "varchar  the region the call was made to");
}

/// Pieces of statements, from which odd ones are made.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "SELECT",
        "FROM",
        "events",
        "e",
        ".",
        ",",
        "(",
        ")",
        "'",
        "\"",
        ";",
        "\\",
        "\\d",
        " ",
        "\n",
        "--",
        "/*",
        "*/",
        "[",
        "1",
        "]",
        "=",
        "IN",
        "WITH",
        "AS",
        "eventName",
        "requestParameters",
        "LIKE",
        "ORDER BY",
        "CASE",
        "ü",
        "*",
        "<",
        ">",
        "JOIN",
        "'x'",
        "~/",
    ];
    prop_oneof![
        prop::sample::select(words.to_vec()).prop_map(str::to_owned),
        "\\PC{0,3}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_completed(pieces in prop::collection::vec(piece(), 0..24), at: prop::sample::Index) {
        thread_local!(static WORDS: Vocabulary = vocabulary());
        let text = pieces.concat();
        let boundaries: Vec<usize> = (0..=text.len()).filter(|&it| text.is_char_boundary(it)).collect();
        let cursor = *at.get(&boundaries);
        for candidate in WORDS.with(|words| words.complete(&text, cursor)) {
            prop_assert!(candidate.range.start <= cursor && cursor <= candidate.range.end);
            prop_assert!(text.get(candidate.range).is_some());
        }
    }
}
