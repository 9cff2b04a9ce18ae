//! Runs the binary in a folder of its own and compares everything that it prints.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use insta::assert_snapshot;
use tempfile::TempDir;

/// A folder of trail files in which the command runs.
struct Place(TempDir);

const ALICE: &str = r#"{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","userName":"alice"},"eventTime":"2026-05-03T09:00:00Z","eventSource":"rds.amazonaws.com","eventName":"StopDBCluster","awsRegion":"us-east-1","requestParameters":{"dBClusterIdentifier":"orders"},"readOnly":false,"eventID":"a1"}"#;
const BOB: &str = r#"{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","userName":"bob"},"eventTime":"2026-05-03T09:30:00Z","eventSource":"rds.amazonaws.com","eventName":"DescribeDBClusters","awsRegion":"us-east-1","requestParameters":null,"readOnly":true,"eventID":"b1"}"#;
const FORMULA: &str = r#"{"eventVersion":"1.11","eventTime":"2026-05-03T10:00:00Z","eventSource":"s3.amazonaws.com","eventName":"=1+cmd|'/c calc'!A1","awsRegion":"eu-west-1","userAgent":"tab\there, \"quoted\"","eventID":"c1"}"#;

impl Place {
    /// Creates `logs/2026/a.json`, `logs/b.json.gz` and `logs/c.ndjson`, with one event each.
    fn new() -> Self {
        let place = Self(TempDir::new().unwrap());
        fs::create_dir_all(place.path().join("logs/2026")).unwrap();
        place.write("logs/2026/a.json", format!("{{\"Records\":[{ALICE}]}}"));
        place.write("logs/b.json.gz", gzip(&format!("{{\"Records\":[{BOB}]}}")));
        place.write("logs/c.ndjson", format!("{FORMULA}\n"));
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_auroratrail"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_remove("NO_COLOR")
            .env("COLUMNS", "100")
            .stdin(Stdio::null());
        command
    }

    /// Runs the command and returns its output, and its exit code if that is not 0.
    fn run(&self, arguments: &[&str]) -> String {
        transcript(&self.command(arguments).output().unwrap())
    }

    fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> String {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // The command may exit before it has read all of its input.
        let _ = child.stdin.take().unwrap().write_all(input);
        transcript(&child.wait_with_output().unwrap())
    }
}

fn transcript(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        text.push_str(format!("! {line}").trim_end());
        text.push('\n');
    }
    match output.status.code() {
        Some(0) => {}
        Some(code) => text.push_str(&format!("exit {code}\n")),
        None => text.push_str(&format!("{}\n", output.status)),
    }
    text
}

/// Sorts the lines about files in `bad/`.
fn in_order(transcript: &str) -> String {
    let mut lines: Vec<&str> = transcript.lines().collect();
    let is_about_a_file = |line: &&str| line.contains("bad/");
    if let Some(first) = lines.iter().position(is_about_a_file) {
        let count = lines[first..]
            .iter()
            .take_while(|line| is_about_a_file(line))
            .count();
        lines[first..first + count].sort_unstable();
    }
    lines.join("\n")
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

const CALLS: &str = "SELECT eventTime, userIdentity.userName AS who, eventName, readOnly FROM events ORDER BY eventTime";

#[test]
fn a_file_a_folder_a_glob_and_standard_input_are_read() {
    let place = Place::new();
    assert_snapshot!(place.run(&["query", CALLS, "logs"]), @r"
    eventTime             who    eventName            readOnly
    ────────────────────  ─────  ───────────────────  ────────
    2026-05-03T09:00:00Z  alice  StopDBCluster        false
    2026-05-03T09:30:00Z  bob    DescribeDBClusters   true
    2026-05-03T10:00:00Z  NULL   =1+cmd|'/c calc'!A1  NULL
    ");
    assert_snapshot!(place.run(&["query", CALLS, "logs/b.json.gz"]), @r"
    eventTime             who  eventName           readOnly
    ────────────────────  ───  ──────────────────  ────────
    2026-05-03T09:30:00Z  bob  DescribeDBClusters  true
    ");
    let count = "SELECT count(*) AS n FROM events";
    assert_snapshot!(place.run(&["query", count, "logs/**/*.json*", "logs/c.ndjson"]), @r"
    n
    ─
    3
    ");
    // A file named twice is read once.
    assert_snapshot!(place.run(&["query", count, "logs", "logs/2026/a.json"]), @r"
    n
    ─
    3
    ");
    assert_snapshot!(place.run_with_input(&["query", count, "-"], &gzip(BOB)), @r"
    n
    ─
    1
    ");
    assert_snapshot!(place.run_with_input(&["query", count, "-", "logs"], ALICE.as_bytes()), @r"
    n
    ─
    4
    ");
    assert_snapshot!(place.run_with_input(&["query", count, "-"], b""), @r"
    n
    ─
    0
    ");
}

#[test]
fn standard_input_is_read_once() {
    let place = Place::new();
    let twice = "SELECT count(*) FROM events a JOIN events b ON a.eventID = b.eventID";
    assert_snapshot!(place.run_with_input(&["query", twice, "-"], ALICE.as_bytes()), @r"
    ! auroratrail: standard input can be read only once, and this query reads it several times; save it to a file first
    exit 2
    ");
}

#[test]
fn standard_input_named_twice_is_read_once() {
    let place = Place::new();
    let sql = "SELECT count(*) AS n FROM events";
    let arguments = ["query", sql, "-", "logs/2026", "-", "--format", "csv"];
    assert_snapshot!(place.run_with_input(&arguments, BOB.as_bytes()), @r"
    n
    2
    ");
}

#[test]
fn the_query_may_be_in_a_file() {
    let place = Place::new();
    place.write("question.sql", "-- who stops clusters?\nSELECT userIdentity.userName\nFROM events\nWHERE eventName = 'StopDBCluster';\n");
    assert_snapshot!(place.run(&["query", "-f", "question.sql", "logs/c.ndjson", "logs"]), @r"
    userIdentity.userName
    ─────────────────────
    alice
    ");
    assert_snapshot!(place.run(&["query", "logs/c.ndjson", "logs/2026", "--file", "question.sql"]), @r"
    userIdentity.userName
    ─────────────────────
    alice
    ");
    assert_snapshot!(place.run(&["query", "-f", "nothing.sql", "logs"]), @r"
    ! auroratrail: cannot read nothing.sql: no such file or directory
    exit 2
    ");
    assert_snapshot!(place.run(&["query"]), @r"
    ! error: the following required arguments were not provided:
    !   <SQL>
    !
    ! Usage: auroratrail query <SQL> [SOURCE]...
    !
    ! For more information, try '--help'.
    exit 2
    ");
}

#[test]
fn a_query_file_may_have_any_unicode_encoding() {
    let place = Place::new();
    let sql = "SELECT count(*) AS n FROM events WHERE awsRegion <> 'ü'\r\n";
    let units = || sql.encode_utf16();
    let little: Vec<u8> = units().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = units().flat_map(u16::to_be_bytes).collect();
    place.write("marked.sql", [b"\xef\xbb\xbf", sql.as_bytes()].concat());
    place.write("little.sql", [b"\xff\xfe", &little[..]].concat());
    place.write("big.sql", [b"\xfe\xff", &big[..]].concat());
    place.write("unmarked.sql", little);
    for name in ["marked.sql", "little.sql", "big.sql", "unmarked.sql"] {
        assert_eq!(
            place.run(&["query", "-f", name, "logs"]),
            "n\n─\n3\n",
            "{name}"
        );
    }
    let marked = [b"\xef\xbb\xbf", sql.as_bytes()].concat();
    assert_eq!(
        place.run_with_input(&["query", "-f", "-", "logs"], &marked),
        "n\n─\n3\n"
    );
    assert_eq!(
        place.run_with_input(&["query", "logs", "-f", "/dev/stdin"], &marked),
        "n\n─\n3\n"
    );
    assert_snapshot!(place.run_with_input(&["query", "-f", "-", "-"], &marked), @r"
    ! auroratrail: standard input cannot be both the query and a source; save one of them to a file first
    exit 2
    ");
    place.write("latin.sql", b"SELECT 1\n-- caf\xe9");
    assert_snapshot!(place.run(&["query", "-f", "latin.sql"]), @r"
    ! auroratrail: cannot read latin.sql: expected UTF-8, found the byte 0xe9 at line 2, column 7; save it as UTF-8
    exit 2
    ");
}

#[test]
fn words_in_the_wrong_place_are_noticed() {
    let place = Place::new();
    place.write("q.sql", "SELECT 1 AS one");
    for file in [
        "logs",
        "logs/c.ndjson",
        "no/such/file",
        "s3://trail/x",
        "sample:",
        "missing.json",
    ] {
        let told = place.run(&["query", file, "SELECT 1\n AS one"]);
        let expected = format!(
            "! auroratrail: the query comes before the sources; expected `auroratrail query \"SELECT 1 AS one\" {file}`\nexit 2\n"
        );
        assert_eq!(told, expected);
    }
    assert_snapshot!(place.run(&["query", "logs"]), @r#"
    ! auroratrail: `logs` is a source, not a query; expected `auroratrail query "SELECT ..." logs`
    exit 2
    "#);
    assert_snapshot!(place.run(&["query", "q.sql", "logs"]), @r"
    ! auroratrail: `q.sql` is a source, not a query; -f q.sql reads one from it
    exit 2
    ");
    assert_snapshot!(place.run(&["query", "-", "logs"]), @r"
    ! auroratrail: `-` is a source, not a query; -f - reads one from standard input
    exit 2
    ");
    assert_snapshot!(place.run(&["query", "-f", "q.sql", "SELECT 1 FROM events", "logs"]), @r"
    ! auroratrail: `SELECT 1 FROM events` is a query, not a source; `auroratrail query` takes one query, as its first word or with -f
    exit 2
    ");
    assert_snapshot!(place.run(&["scan", "SELECT 1 FROM events"]), @r"
    ! auroratrail: `SELECT 1 FROM events` is a query, not a source; `auroratrail query` takes one query, as its first word or with -f
    exit 2
    ");
    assert_snapshot!(place.run(&["query", "-f", "SELECT 1 FROM events", "logs"]), @r"
    ! auroratrail: cannot read SELECT 1 FROM events: no such file or directory; -f takes a file, and a query itself is given without -f
    exit 2
    ");
    assert_snapshot!(place.run(&["query", "SELECT 1", "logs", "–strict"]), @r"
    ! auroratrail: `–strict` begins with – (U+2013), not with -; expected --strict
    exit 2
    ");
    // A file may be called like a query.
    place.write("select me", ALICE);
    assert_snapshot!(place.run(&["query", "SELECT eventID FROM events", "select me"]), @r"
    eventID
    ───────
    a1
    ");
}

#[test]
fn characters_that_cannot_be_seen_do_no_harm() {
    let place = Place::new();
    let count = "\u{feff}SELECT\u{200b} count(*) AS n FROM\u{2060} events";
    assert_snapshot!(place.run(&["query", count, "logs"]), @r"
    n
    ─
    3
    ");
    assert_snapshot!(place.run(&["query", count, "logs\u{200b}", "-o", "x.csv\r"]), @r"
    ! auroratrail: note: `x.csv` was given with invisible characters, which are left out
    ! auroratrail: note: `logs` was given with invisible characters, which are left out
    ");
    assert_eq!(place.read("x.csv"), "n\n3\n");
    let quoted = "SELECT count(*) AS n FROM events WHERE eventName = 'Stop\u{200b}DBCluster'";
    assert_snapshot!(place.run(&["query", quoted, "logs"]), @r"
    n
    ─
    0
    ! auroratrail: note: the quoted text has an invisible character (U+200B) at line 1, column 57
    ");
    place.write("odd\u{200b}.json", ALICE);
    assert_snapshot!(place.run(&["query", count, "odd\u{200b}.json"]), @r"
    n
    ─
    1
    ");
    let typographic = "SELECT count(*) FROM events WHERE eventName = ‘StopDBCluster’";
    assert_snapshot!(place.run(&["query", typographic, "logs"]), @r"
    ! auroratrail: cannot read the SQL: expected an expression, found ‘ at line 1, column 47; ‘ (U+2018) at line 1, column 47 is typographic; expected ' around text
    exit 2
    ");
}

#[test]
fn several_statements_are_answered_one_after_another() {
    let place = Place::new();
    place.write(
        "questions.sql",
        "-- how many?\nSELECT count(*) AS n FROM events;\n\nSELECT eventName FROM events WHERE readOnly;",
    );
    assert_snapshot!(place.run(&["query", "-f", "questions.sql", "logs"]), @r"
    n
    ─
    3

    eventName
    ──────────────────
    DescribeDBClusters
    ");
    let csv = ["query", "-f", "questions.sql", "logs", "-o", "out.csv"];
    assert_snapshot!(place.run(&csv), @"");
    assert_snapshot!(place.read("out.csv"), @r"
    n
    3

    eventName
    DescribeDBClusters
    ");
    let ndjson = [
        "query",
        "SELECT 1 AS a; SELECT 2 AS b;",
        "--format",
        "ndjson",
    ];
    assert_snapshot!(place.run(&ndjson), @r#"
    {"a":1}
    {"b":2}
    "#);
    // All are planned before the first is answered.
    assert_snapshot!(place.run(&["query", "SELECT 1; SELECT eventNam FROM events", "logs"]), @r"
    ! auroratrail: no column eventNam in events; did you mean eventName?
    exit 2
    ");
    let parquet = ["query", "SELECT 1; SELECT 2", "-o", "x.parquet"];
    assert_snapshot!(place.run(&parquet), @r"
    ! auroratrail: Parquet holds one result, and here are 2 statements; choose another --format
    exit 2
    ");
    let stdin = ["query", "-f", "questions.sql", "-"];
    assert_snapshot!(place.run_with_input(&stdin, ALICE.as_bytes()), @r"
    ! auroratrail: standard input can be read only once, and 2 statements read it; save it to a file first
    exit 2
    ");
    // A message about the input comes once, however many statements read it.
    place.write("logs/bad.json", "{");
    assert_snapshot!(place.run(&["query", "-f", "questions.sql", "logs", "--format", "ndjson"]), @r#"
    {"n":3}
    {"eventName":"DescribeDBClusters"}
    ! auroratrail: logs/bad.json@0: cut-off JSON: the text ends inside a document; is the file complete?
    ! auroratrail: 3 events; 1 rejected (1 cut-off JSON)
    "#);
}

#[test]
fn explain_leaves_standard_input_to_others() {
    let place = Place::new();
    let script = format!(
        "{} query 'EXPLAIN SELECT eventName FROM events' - > plan; cat",
        env!("CARGO_BIN_EXE_auroratrail")
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(place.path());
    shell.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    let mut stdin = shell.stdin.take().unwrap();
    stdin.write_all(b"all of it").unwrap();
    drop(stdin);
    let output = wait(shell, Duration::from_secs(30));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "all of it");
    assert!(place.read("plan").contains("EventsExec: sources=[-]"));
}

#[test]
fn values_that_do_not_fit_are_told_with_column_and_place() {
    let place = Place::new();
    let odd = |port: &str, id: &str| {
        ALICE
            .replace(
                r#""dBClusterIdentifier":"orders""#,
                &format!(r#""port":{port}"#),
            )
            .replace("a1", id)
    };
    let records = [
        odd("3306", "a"),
        odd("\"none\"", "b"),
        odd("{}", "c"),
        odd("1.5", "d"),
    ];
    place.write("odd.ndjson", records.join("\n"));
    let sql = "SELECT requestParameters.port, count(*) AS n FROM events GROUP BY 1";
    assert_snapshot!(place.run(&["query", sql, "odd.ndjson", "--format", "csv"]), @r#"
    requestParameters.port,n
    3306,1
    ,3
    ! auroratrail: 4 events; 3 values do not fit requestParameters.port and are NULL there (odd.ndjson@263)
    "#);
    // One thread, so that the row before the limit is the same each time.
    let limited = "SELECT requestParameters.port FROM events LIMIT 2";
    let limited = [
        "query",
        limited,
        "odd.ndjson",
        "--format",
        "csv",
        "--threads",
        "1",
    ];
    assert_snapshot!(place.run(&limited), @r#"
    requestParameters.port
    3306
    ""
    ! auroratrail: 2 events; 1 value does not fit requestParameters.port and is NULL there (odd.ndjson@263)
    "#);
    // A column that is not asked for is not looked at.
    assert_snapshot!(place.run(&["query", "SELECT count(*) AS n FROM events", "odd.ndjson", "--format", "csv"]), @r"
    n
    4
    ");
    let scan = place.run(&["scan", "odd.ndjson"]);
    let told = scan.lines().find(|line| line.starts_with("do not fit"));
    assert_snapshot!(told.unwrap(), @"do not fit      3 values do not fit requestParameters.port and are NULL there (odd.ndjson@263)");
    let json = place.run(&["scan", "odd.ndjson", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_snapshot!(json["type_mismatches"], @r#"[{"column":"requestParameters.port","count":3,"example":"odd.ndjson@263"}]"#);
}

/// Both spellings of a response answer to both paths, in columns and in JSON that has no column.
#[test]
fn a_wrapped_result_answers_to_the_path_of_a_direct_one() {
    let place = Place::new();
    let event = |id: &str, response: &str| {
        format!(
            r#"{{"eventSource":"rds.amazonaws.com","eventName":"CreateDBProxy","eventID":"{id}","responseElements":{response}}}"#
        ) + "\n"
    };
    let result = r#"{"dBProxyName":"orders","auth":[{"userName":"app"}],"more":{"a":1}}"#;
    let wrapped = format!(r#"{{"dBProxy":{result}}}"#);
    place.write(
        "proxies.ndjson",
        event("direct", result) + &event("wrapped", &wrapped),
    );
    let sql = "SELECT eventID, responseElements.dBProxyName, responseElements.dBProxy.dBProxyName, \
               responseElements.dbproxy.auth[1].userName, responseElements.more.a, \
               responseElements.dBProxy.more.a FROM events \
               WHERE responseElements.dBProxy.dBProxyName = 'orders' ORDER BY 1";
    assert_snapshot!(place.run(&["query", sql, "proxies.ndjson", "--format", "csv"]), @"
    eventID,responseElements.dBProxyName,responseElements.dBProxy.dBProxyName,responseElements.dbproxy.auth[1].userName,responseElements.more.a,responseElements.dBProxy.more.a
    direct,orders,orders,app,1,1
    wrapped,orders,orders,app,1,1
    ");
}

#[test]
fn without_a_source_it_is_about_the_sample_and_says_so() {
    let place = Place::new();
    let count = "SELECT count(*) AS n FROM events";
    assert_snapshot!(place.run(&["query", count]), @r"
        n
    ─────
    10000
    ! auroratrail: no source given, so this is about 10,000 made-up events (sample:); give - to read standard input
    ");
    assert_snapshot!(place.run(&["query", count, "sample:?events=70"]), @r"
     n
    ──
    70
    ");
    assert_snapshot!(place.run(&["query", count, "sample:?event=70"]), @r"
    ! auroratrail: sample: expected events, seed, days or duplicates, found `event`; an example is `sample:?events=100000&seed=7&days=30&duplicates=0`
    exit 2
    ");
}

#[test]
fn what_needs_no_events_reads_none_and_looks_for_none() {
    let place = Place::new();
    assert_snapshot!(place.run(&["query", "SELECT 1 + 1 AS two"]), @r"
    two
    ───
      2
    ");
    assert_snapshot!(place.run(&["query", "SELECT 1 + 1 AS two", "no/such/folder"]), @r"
    two
    ───
      2
    ");
    assert_snapshot!(place.run(&["query", "SHOW TABLES"]), @r"
    table           meaning
    ──────────────  ────────────────────────────────────────────────────────────────────
    events          every CloudTrail record, Insights and aggregated ones too
    aurora_events   those of RDS, the Data API and DSQL, without Neptune and DocumentDB
    events_current  the latest state of each: without those that a later record corrects
    ");
    let described = place.run(&["query", "DESCRIBE events", "--format", "csv"]);
    let mut lines = described.lines();
    assert_eq!(lines.next(), Some("column,type,class,meaning"));
    assert!(lines.clone().count() > 850, "{described}");
    assert!(lines.any(|line| line.starts_with("requestParameters.dBClusterIdentifier,varchar,")));
    // Errors in the query are reported before any source is listed.
    assert_snapshot!(place.run(&["query", "SELECT nope FROM events", "no/such/folder"]), @r"
    ! auroratrail: no column nope in events; DESCRIBE events lists the columns
    exit 2
    ");
}

#[test]
fn every_format_of_text() {
    let place = Place::new();
    let sql = "SELECT eventID, eventName, userAgent, readOnly, requestParameters, resources FROM events ORDER BY 1";
    let run = |format| place.run(&["query", sql, "logs", "--format", format]);
    assert_snapshot!(run("table"), @r#"
    eventID  eventName            userAgent            readOnly  requestParameters                 resources
    ───────  ───────────────────  ───────────────────  ────────  ────────────────────────────────  ─────────
    a1       StopDBCluster        NULL                 false     {"dBClusterIdentifier":"orders"}  NULL
    b1       DescribeDBClusters   NULL                 true      NULL                              NULL
    c1       =1+cmd|'/c calc'!A1  tab\there, "quoted"  NULL      NULL                              NULL
    "#);
    assert_snapshot!(run("csv"), @r#"
    eventID,eventName,userAgent,readOnly,requestParameters,resources
    a1,StopDBCluster,,false,"{""dBClusterIdentifier"":""orders""}",
    b1,DescribeDBClusters,,true,,
    c1,'=1+cmd|'/c calc'!A1,"tab	here, ""quoted""",,,
    "#);
    let tsv = run("tsv").replace('\t', "→");
    assert_snapshot!(tsv, @r#"
    eventID→eventName→userAgent→readOnly→requestParameters→resources
    a1→StopDBCluster→→false→"{""dBClusterIdentifier"":""orders""}"→
    b1→DescribeDBClusters→→true→→
    c1→'=1+cmd|'/c calc'!A1→"tab→here, ""quoted"""→→→
    "#);
    assert_snapshot!(run("json"), @r#"
    [
    {"eventID":"a1","eventName":"StopDBCluster","userAgent":null,"readOnly":false,"requestParameters":"{\"dBClusterIdentifier\":\"orders\"}","resources":null},
    {"eventID":"b1","eventName":"DescribeDBClusters","userAgent":null,"readOnly":true,"requestParameters":null,"resources":null},
    {"eventID":"c1","eventName":"=1+cmd|'/c calc'!A1","userAgent":"tab\there, \"quoted\"","readOnly":null,"requestParameters":null,"resources":null}
    ]
    "#);
    assert_snapshot!(run("ndjson"), @r#"
    {"eventID":"a1","eventName":"StopDBCluster","userAgent":null,"readOnly":false,"requestParameters":"{\"dBClusterIdentifier\":\"orders\"}","resources":null}
    {"eventID":"b1","eventName":"DescribeDBClusters","userAgent":null,"readOnly":true,"requestParameters":null,"resources":null}
    {"eventID":"c1","eventName":"=1+cmd|'/c calc'!A1","userAgent":"tab\there, \"quoted\"","readOnly":null,"requestParameters":null,"resources":null}
    "#);
    assert_snapshot!(run("markdown"), @r#"
    | eventID | eventName | userAgent | readOnly | requestParameters | resources |
    | --- | --- | --- | --- | --- | --- |
    | a1 | StopDBCluster |  | false | {"dBClusterIdentifier":"orders"} |  |
    | b1 | DescribeDBClusters |  | true |  |  |
    | c1 | =1+cmd\|'/c calc'!A1 | tab\\there, "quoted" |  |  |  |
    "#);
    assert_snapshot!(place.run(&["query", sql, "logs", "--format", "csv", "--raw-csv"]), @r#"
    eventID,eventName,userAgent,readOnly,requestParameters,resources
    a1,StopDBCluster,,false,"{""dBClusterIdentifier"":""orders""}",
    b1,DescribeDBClusters,,true,,
    c1,=1+cmd|'/c calc'!A1,"tab	here, ""quoted""",,,
    "#);
    assert_snapshot!(run("yaml"), @r"
    ! error: invalid value 'yaml' for '--format <FORMAT>'
    !   [possible values: table, csv, tsv, json, ndjson, markdown, parquet, arrow]
    !
    ! For more information, try '--help'.
    exit 2
    ");
}

#[test]
fn an_empty_answer_still_has_its_columns() {
    let place = Place::new();
    let sql = "SELECT eventID, eventName FROM events WHERE eventName = 'None'";
    let run = |format| place.run(&["query", sql, "logs", "--format", format]);
    assert_snapshot!(run("table"), @r"
    eventID  eventName
    ───────  ─────────
    ");
    assert_snapshot!(run("csv"), @"eventID,eventName");
    assert_snapshot!(run("json"), @"[]");
    assert_snapshot!(run("ndjson"), @"");
}

#[test]
fn a_parquet_file_is_one_for_others() {
    let place = Place::new();
    let sql = "SELECT eventID, eventTime, userIdentity.userName, readOnly, resources, count(*) AS n \
               FROM events GROUP BY ALL ORDER BY 1";
    let sql = sql.replace("GROUP BY ALL", "GROUP BY 1, 2, 3, 4, 5");
    assert_eq!(place.run(&["query", &sql, "logs", "-o", "x.parquet"]), "");
    let file = fs::File::open(place.path().join("x.parquet")).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap()
        .build()
        .unwrap();
    check(&reader.map(Result::unwrap).collect::<Vec<_>>());

    let output = place
        .command(&["query", &sql, "logs", "--format", "arrow"])
        .output()
        .unwrap();
    assert!(output.status.success());
    let reader = arrow::ipc::reader::StreamReader::try_new(&*output.stdout, None).unwrap();
    check(&reader.map(Result::unwrap).collect::<Vec<_>>());

    fn check(batches: &[RecordBatch]) {
        let schema = batches[0].schema();
        let names: Vec<&str> = schema
            .fields()
            .iter()
            .map(|it| it.name().as_str())
            .collect();
        let title = "userIdentity.userName";
        assert_eq!(
            names,
            ["eventID", "eventTime", title, "readOnly", "resources", "n"]
        );
        assert!(
            matches!(schema.field(1).data_type(), DataType::Timestamp(_, Some(zone)) if &**zone == "UTC")
        );
        let mut ids = Vec::new();
        let mut n = 0;
        for batch in batches {
            ids.extend(
                batch
                    .column(0)
                    .as_string::<i32>()
                    .iter()
                    .map(|it| it.unwrap().to_owned()),
            );
            n += batch
                .column(5)
                .as_primitive::<Int64Type>()
                .values()
                .iter()
                .sum::<i64>();
        }
        assert_eq!((ids.join(" ").as_str(), n), ("a1 b1 c1", 3));
    }
}

#[test]
fn a_file_takes_its_format_from_its_name() {
    let place = Place::new();
    let sql = "SELECT eventID, readOnly FROM events ORDER BY 1 LIMIT 2";
    let write = |arguments: &[&str]| {
        let all = [&["query", sql, "logs"], arguments].concat();
        assert_eq!(place.run(&all), "");
    };
    write(&["-o", "x.csv"]);
    assert_snapshot!(place.read("x.csv"), @r"
    eventID,readOnly
    a1,false
    b1,true
    ");
    write(&["-o", "x.jsonl"]);
    assert_snapshot!(place.read("x.jsonl"), @r#"
    {"eventID":"a1","readOnly":false}
    {"eventID":"b1","readOnly":true}
    "#);
    write(&["-o", "x"]);
    assert_snapshot!(place.read("x"), @r"
    eventID  readOnly
    ───────  ────────
    a1       false
    b1       true
    ");
    write(&["-o", "x.json.gz", "--format", "csv"]);
    assert_snapshot!(place.read("x.json.gz"), @r"
    eventID,readOnly
    a1,false
    b1,true
    ");
    for name in [
        "x.json.gz",
        "x.csv.zip",
        "x.xlsx",
        "x.parq",
        "x.jsonlines",
        "x.tab",
        "x.",
        "2026.05",
    ] {
        let refused = place.run(&["query", sql, "logs", "-o", name]);
        assert!(refused.ends_with("exit 2\n"), "{name}: {refused}");
    }
    assert_snapshot!(place.run(&["query", sql, "logs", "-o", "y.json.gz"]), @r"
    ! auroratrail: `y.json.gz` would not be compressed; expected .csv, .tsv, .json, .ndjson, .md, .txt, .parquet or .arrow, or --format FORMAT for a name that ends otherwise; `| gzip > y.json.gz` in place of -o compresses
    exit 2
    ");
    assert_snapshot!(place.run(&["query", sql, "logs", "-o", "y.parq"]), @r"
    ! auroratrail: `y.parq` ends as no format does; expected .csv, .tsv, .json, .ndjson, .md, .txt, .parquet or .arrow, or --format FORMAT for a name that ends otherwise
    exit 2
    ");
    for name in ["json", "CSV", "jsonl", "table", "parquet", ".md", "txt"] {
        let refused = place.run(&["query", sql, "logs", "-o", name]);
        assert!(refused.ends_with("exit 2\n"), "{name}: {refused}");
    }
    assert_snapshot!(place.run(&["query", sql, "logs", "-o", "json"]), @r"
    ! auroratrail: `-o json` names a file, not a format; expected --format json, or -o FILE.json
    exit 2
    ");
    assert_eq!(
        names(place.path()),
        ["logs", "x", "x.csv", "x.json.gz", "x.jsonl"]
    );
    write(&["-o", "x.csv", "--format", "tsv"]);
    assert_snapshot!(place.read("x.csv"), @r"
    eventID	readOnly
    a1	false
    b1	true
    ");
}

#[test]
fn a_file_is_not_touched_by_a_query_that_cannot_be() {
    let place = Place::new();
    place.write("x.csv", "kept");
    place.run(&["query", "SELECT nope FROM events", "logs", "-o", "x.csv"]);
    place.run(&[
        "query",
        "SELECT 1 FROM events",
        "no/such/folder",
        "-o",
        "x.csv",
        "--rejects",
        "x.csv",
    ]);
    assert_eq!(place.read("x.csv"), "kept");
    assert_snapshot!(place.run(&["query", "SELECT 1 AS one", "-o", "no/such/x.csv"]), @r"
    ! auroratrail: cannot create no/such/x.csv: no such file or directory
    exit 2
    ");
    assert_snapshot!(place.run(&["query", "SELECT 1 FROM events", "logs", "--rejects", "no/such/x"]), @r"
    ! auroratrail: cannot create no/such/x: no such file or directory
    exit 2
    ");
    if Path::new("/dev/full").exists() {
        assert_snapshot!(place.run(&["query", "SELECT 1 AS one", "-o", "/dev/full"]), @r"
        ! auroratrail: cannot write to /dev/full: no space left on device
        exit 2
        ");
    }
}

/// Returns the names in a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_that_is_read_is_not_written() {
    let place = Place::new();
    let trail = format!("{ALICE}\n{BOB}\n");
    place.write("mine.ndjson", &trail);
    place.write("q.sql", "SELECT record FROM events");
    fs::create_dir_all(place.path().join("logs/deep/er")).unwrap();
    place.write("logs/deep/er/mine.json", &trail);
    place.write("outside.csv", &trail);
    place.write("old.csv", "old");
    let at = |name: &str| place.path().join(name);
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, at(name)).unwrap();
    link("mine.ndjson", "link.ndjson");
    link("logs/deep", "folder");
    link("../outside.csv", "logs/link.json");
    link("later.csv", "dangling.csv");
    fs::hard_link(at("mine.ndjson"), at("hard.ndjson")).unwrap();
    let before = (names(place.path()), names(&at("logs")));
    let sql = "SELECT record FROM events";
    for (arguments, told) in [
        (
            "mine.ndjson -o mine.ndjson",
            "`-o mine.ndjson` is a source as well, mine.ndjson",
        ),
        (
            "mine.ndjson -o ./logs/../mine.ndjson",
            "is a source as well",
        ),
        ("mine.ndjson -o link.ndjson", "is a source as well"),
        ("link.ndjson -o mine.ndjson", "is a source as well"),
        ("mine.ndjson -o hard.ndjson", "is a source as well"),
        ("later.csv logs -o dangling.csv", "is a source as well"),
        (
            "logs -o logs/b.json.gz --format json",
            "is read as a source, logs/b.json.gz",
        ),
        (
            "logs -o logs/deep/er/mine.json",
            "is read as a source, logs/deep/er/mine.json",
        ),
        (
            "logs -o folder/er/mine.json",
            "is read as a source, logs/deep/er/mine.json",
        ),
        (
            "folder/ -o logs/deep/er/mine.json",
            "is read as a source, folder/er/mine.json",
        ),
        ("logs -o outside.csv", "is read as a source, logs/link.json"),
        (
            "logs/*.ndjson *.ndjson -o hard.ndjson",
            "is read as a source",
        ),
        (
            "logs/**/*.json -o logs/deep/er/mine.json",
            "is read as a source",
        ),
        (
            "mine.ndjson --rejects mine.ndjson",
            "`--rejects mine.ndjson` is a source as well",
        ),
        (
            "logs --rejects logs/c.ndjson",
            "is read as a source, logs/c.ndjson",
        ),
        (
            "logs -o new.csv --rejects new.csv",
            "`-o new.csv` and `--rejects new.csv` are the same file",
        ),
        ("logs -o old.csv --rejects ./old.csv", "are the same file"),
        (
            "logs -o later.csv --rejects dangling.csv",
            "are the same file",
        ),
    ] {
        let words: Vec<&str> = arguments.split(' ').collect();
        let output = place.run(&[&["query", sql], &words[..]].concat());
        assert!(output.contains(told), "{arguments}: {output}");
        assert!(
            output.ends_with("write to another file\nexit 2\n"),
            "{arguments}: {output}"
        );
    }
    assert_snapshot!(place.run(&["query", "-f", "q.sql", "logs", "-o", "q.sql", "--format", "csv"]), @r"
    ! auroratrail: `-o q.sql` is the file of the query, q.sql; write to another file
    exit 2
    ");
    assert_snapshot!(place.run(&["query", "-f", "q.sql", "logs", "--rejects", "q.sql"]), @r"
    ! auroratrail: `--rejects q.sql` is the file of the query, q.sql; write to another file
    exit 2
    ");
    assert_snapshot!(place.run(&["scan", "logs", "--rejects", "outside.csv"]), @r"
    ! auroratrail: `--rejects outside.csv` is read as a source, logs/link.json; write to another file
    exit 2
    ");
    let open = |name: &str| {
        fs::OpenOptions::new()
            .read(true)
            .append(true)
            .open(at(name))
            .unwrap()
    };
    let from_stdin = |arguments: &[&str]| {
        transcript(
            &place
                .command(arguments)
                .stdin(open("mine.ndjson"))
                .output()
                .unwrap(),
        )
    };
    assert_snapshot!(from_stdin(&["query", sql, "-", "-o", "hard.ndjson"]), @r"
    ! auroratrail: `-o hard.ndjson` is what standard input reads; write to another file
    exit 2
    ");
    let mut appending = place.command(&["query", sql, "mine.ndjson", "--format", "ndjson"]);
    assert_snapshot!(transcript(&appending.stdout(open("mine.ndjson")).output().unwrap()), @r"
    ! auroratrail: the file of standard output is a source as well, mine.ndjson; write to another file
    exit 2
    ");
    assert_eq!((names(place.path()), names(&at("logs"))), before);
    for name in ["mine.ndjson", "logs/deep/er/mine.json", "outside.csv"] {
        assert_eq!(place.read(name), trail, "{name}");
    }
    assert_eq!(place.read("old.csv"), "old");
    assert_eq!(place.read("q.sql"), "SELECT record FROM events");
    // Devices may be read and written as often as one likes.
    let null = [
        "query",
        sql,
        "/dev/null",
        "-o",
        "/dev/null",
        "--rejects",
        "/dev/null",
    ];
    assert_eq!(place.run(&null), "");
}

#[test]
fn a_result_takes_its_place_when_it_is_whole() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let at = |name: &str| place.path().join(name);
    let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode() & 0o777;
    place.write("old.csv", "old");
    place.write("old.rejects", "old");
    place.write("logs/bad.json", "{\n");
    let before = (names(place.path()), names(&at("logs")));
    let failing = "SELECT CAST(eventID AS int) FROM events";
    let all = [
        "query",
        failing,
        "logs",
        "-o",
        "old.csv",
        "--rejects",
        "old.rejects",
    ];
    assert!(place.run(&all).ends_with("exit 2\n"));
    let new = [
        "query",
        failing,
        "logs",
        "-o",
        "logs/new.csv",
        "--rejects",
        "logs/new",
    ];
    assert!(place.run(&new).ends_with("exit 2\n"));
    assert_eq!((names(place.path()), names(&at("logs"))), before);
    assert_eq!(
        (place.read("old.csv"), place.read("old.rejects")),
        ("old".into(), "old".into())
    );
    // Below a source: not read by the run that writes it, and refused from then on.
    let sql = "SELECT eventID FROM events ORDER BY 1 LIMIT 1";
    let below = [
        "query",
        sql,
        "logs",
        "-o",
        "logs/new.csv",
        "--rejects",
        "logs/new",
    ];
    let told = "! auroratrail: logs/bad.json@0: cut-off JSON: the text ends inside a document; is the file complete?\n! auroratrail: 3 events; 1 rejected (1 cut-off JSON)\n";
    assert_eq!(place.run(&below), told);
    assert_eq!(place.read("logs/new.csv"), "eventID\na1\n");
    assert!(place.read("logs/new").contains("cut-off JSON"));
    assert!(
        place
            .run(&below)
            .contains("`--rejects logs/new` is read as a source, logs/new;")
    );
    for name in ["new", "new.csv", "bad.json"] {
        fs::remove_file(at("logs").join(name)).unwrap();
    }
    // Names that are hidden are not, if a source names them.
    let hidden = |place: &Place| {
        let all = "SELECT count(*) AS n FROM events";
        place.run(&[
            "query",
            all,
            "logs",
            "logs/.*",
            "-o",
            "logs/n.csv",
            "--rejects",
            "logs/r",
        ])
    };
    assert_eq!(
        hidden(&place),
        "! auroratrail: logs/.*: no such file: no file is there; hidden ones (.x, _x) are read only when named\n! auroratrail: 3 events; 1 rejected (1 no such file)\n"
    );
    assert_eq!(place.read("logs/n.csv"), "n\n3\n");
    assert_snapshot!(place.run(&["query", sql, "logs/{.*,_*}", "-o", "n.csv"]), @r"
    ! auroratrail: files that are being written have names that begin with `.` or `_`, and `logs/{.*,_*}` would read them; leave one of these out of the sources
    exit 2
    ");
    fs::remove_file(at("logs/n.csv")).unwrap();
    fs::remove_file(at("logs/r")).unwrap();
    // Permissions stay; links stay links.
    fs::set_permissions(at("old.csv"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::create_dir(at("elsewhere")).unwrap();
    place.write("elsewhere/real.csv", "old");
    std::os::unix::fs::symlink("elsewhere/real.csv", at("link.csv")).unwrap();
    std::os::unix::fs::symlink("elsewhere/later.csv", at("dangling.csv")).unwrap();
    for name in ["old.csv", "link.csv", "dangling.csv", "fresh.csv"] {
        assert_eq!(place.run(&["query", sql, "logs", "-o", name]), "", "{name}");
        assert_eq!(place.read(name), "eventID\na1\n", "{name}");
    }
    assert_eq!(mode("old.csv"), 0o640);
    fs::write(at("by-hand"), "").unwrap();
    assert_eq!(mode("fresh.csv"), mode("by-hand"));
    assert!(fs::symlink_metadata(at("link.csv")).unwrap().is_symlink());
    assert_eq!(names(&at("elsewhere")), ["later.csv", "real.csv"]);
    assert_snapshot!(place.run(&["query", sql, "logs", "-o", "elsewhere", "--format", "csv"]), @r"
    ! auroratrail: cannot create elsewhere: is a directory
    exit 2
    ");
    assert!(
        names(place.path())
            .iter()
            .all(|name| !name.contains("auroratrail"))
    );
}

#[test]
fn what_is_no_regular_file_is_written_to_directly() {
    let place = Place::new();
    let sql = "SELECT eventID FROM events ORDER BY 1 LIMIT 1";
    let csv = ["query", sql, "logs", "--format", "csv", "-o"];
    assert_snapshot!(place.run(&[&csv[..], &["/dev/stdout"]].concat()), @r"
    eventID
    a1
    ");
    assert_eq!(place.run(&[&csv[..], &["/dev/null"]].concat()), "");
    let made = Command::new("mkfifo")
        .arg("fifo")
        .current_dir(place.path())
        .status();
    assert!(made.unwrap().success());
    let mut command = place.command(&[&csv[..], &["fifo"]].concat());
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(place.read("fifo"), "eventID\na1\n");
    assert_eq!(transcript(&wait(child, Duration::from_secs(30))), "");
    // `>>` adds to a file, also by its name in /dev.
    place.write("log.txt", "kept\n");
    let log = fs::OpenOptions::new()
        .append(true)
        .open(place.path().join("log.txt"))
        .unwrap();
    let mut command = place.command(&[&csv[..], &["/dev/stdout"]].concat());
    assert!(command.stdout(log).status().unwrap().success());
    assert_eq!(place.read("log.txt"), "kept\neventID\na1\n");
}

#[test]
fn an_interrupted_result_leaves_the_former_one() {
    let place = Place::new();
    place.write("x.csv", "old");
    place.write("x.rejects", "old");
    let before = names(place.path());
    let sql = "SELECT record FROM events";
    // The second one reads a pipe that gives nothing.
    for source in ["sample:?events=20000000", "-"] {
        let arguments = [
            "query",
            sql,
            source,
            "-o",
            "x.csv",
            "--rejects",
            "x.rejects",
        ];
        let mut command = place.command(&arguments);
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let start = Instant::now();
        while names(place.path()) == before && start.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(names(place.path()).len(), before.len() + 2, "{source}");
        let pid = child.id().to_string();
        let killed = Command::new("kill").args(["-INT", &pid]).status();
        assert!(killed.unwrap().success());
        let output = wait(child, Duration::from_secs(20));
        drop(stdin);
        assert_eq!(output.status.code(), Some(130), "{source}");
        assert_eq!(names(place.path()), before, "{source}");
        assert_eq!(
            (place.read("x.csv"), place.read("x.rejects")),
            ("old".into(), "old".into())
        );
    }
}

#[test]
fn copies_count_once_if_asked() {
    let place = Place::new();
    place.write("logs/again.json", format!("{ALICE}\n{ALICE}\n"));
    let count = "SELECT count(*) AS n FROM events";
    assert_snapshot!(place.run(&["query", count, "logs"]), @r"
    n
    ─
    5
    ");
    assert_snapshot!(place.run(&["query", count, "logs", "--dedup"]), @r"
    n
    ─
    3
    ! auroratrail: 3 events; 2 duplicates left out
    ");
}

#[test]
fn what_cannot_be_read_is_told_and_counted_and_kept_and_the_rest_goes_on() {
    let place = Place::new();
    fs::create_dir(place.path().join("bad")).unwrap();
    place.write(
        "bad/1-broken.json",
        format!("{ALICE}\n{{\"eventVersion\":oops}}\n{BOB}\n"),
    );
    place.write("bad/2-empty.json", "");
    place.write("bad/3-prose.txt", "Dear all,\nno events here.\n");
    place.write("bad/4-digest.json", r#"{"awsAccountId":"111122223333","digestStartTime":"2026-05-03T09:00:00Z","digestEndTime":"2026-05-03T10:00:00Z","digestS3Bucket":"b","digestS3Object":"o","logFiles":[]}"#);
    std::os::unix::fs::symlink("nowhere", place.path().join("bad/5-link.json")).unwrap();
    let count = "SELECT count(*) AS n FROM events";
    // Files are listed and read concurrently: the first error is reported first.
    let run = |more: &[&str]| {
        let all = [
            &["query", count, "bad", "logs/c.ndjson", "--threads", "1"],
            more,
        ]
        .concat();
        in_order(&place.run(&all))
    };
    assert_snapshot!(run(&[]), @r"
    n
    ─
    3
    ! auroratrail: bad/1-broken.json@283: broken JSON: expected a value at byte 299
    ! auroratrail: bad/3-prose.txt@0: not JSON: expected a JSON document, a log line, or a compressed one
    ! auroratrail: bad/5-link.json: unreadable file: it is gone, or a link to nothing
    ! auroratrail: 3 events; 1 not CloudTrail (1 digest file); 3 rejected (1 broken JSON, 1 not JSON, 1 unreadable file)
    ");
    assert_snapshot!(run(&["--strict", "--rejects", "rejects.ndjson"]), @r"
    n
    ─
    3
    ! auroratrail: bad/1-broken.json@283: broken JSON: expected a value at byte 299
    ! auroratrail: bad/3-prose.txt@0: not JSON: expected a JSON document, a log line, or a compressed one
    ! auroratrail: bad/5-link.json: unreadable file: it is gone, or a link to nothing
    ! auroratrail: 3 events; 1 not CloudTrail (1 digest file); 3 rejected (1 broken JSON, 1 not JSON, 1 unreadable file)
    exit 1
    ");
    assert_snapshot!(in_order(&place.read("rejects.ndjson")), @r#"
    {"byte":0,"content":"Dear all,\nno events here.\n","detail":"expected a JSON document, a log line, or a compressed one","origin":"bad/3-prose.txt","reason":"not JSON"}
    {"byte":283,"content":"{\"eventVersion\":oops","detail":"expected a value at byte 299","origin":"bad/1-broken.json","reason":"broken JSON"}
    {"byte":null,"content":"","detail":"it is gone, or a link to nothing","origin":"bad/5-link.json","reason":"unreadable file"}
    "#);
    // The counts do not depend on the query.
    let filtered = "SELECT eventID FROM events WHERE eventName = 'None'";
    assert_snapshot!(in_order(&place.run(&["query", filtered, "bad", "--format", "csv"])), @r"
    eventID
    ! auroratrail: bad/1-broken.json@283: broken JSON: expected a value at byte 299
    ! auroratrail: bad/3-prose.txt@0: not JSON: expected a JSON document, a log line, or a compressed one
    ! auroratrail: bad/5-link.json: unreadable file: it is gone, or a link to nothing
    ! auroratrail: 2 events; 1 not CloudTrail (1 digest file); 3 rejected (1 broken JSON, 1 not JSON, 1 unreadable file)
    ");
}

#[test]
fn a_command_that_could_read_none_of_its_sources_ends_with_2() {
    let place = Place::new();
    let sql = "SELECT count(*) AS n FROM events";
    place.write("old.csv", "n\n7\n");
    let arguments = [
        "query",
        sql,
        "/proc/self/mem",
        "-o",
        "old.csv",
        "--rejects",
        "r",
    ];
    let told = place.run(&arguments);
    assert!(
        told.contains("! auroratrail: /proc/self/mem: unreadable file"),
        "{told}"
    );
    assert!(
        told.ends_with("! auroratrail: nothing could be read: see the messages above\nexit 2\n"),
        "{told}"
    );
    assert_eq!(place.read("old.csv"), "n\n7\n");
    assert!(place.read("r").contains("unreadable file"));
    assert!(place.run(&["scan", "/proc/self/mem"]).ends_with("exit 2\n"));
    // One that can be read, though it is empty, is an answer.
    place.write("empty.json", "");
    let told = place.run(&[
        "query",
        sql,
        "/proc/self/mem",
        "empty.json",
        "--format",
        "csv",
    ]);
    assert!(
        told.starts_with("n\n0\n") && !told.contains("exit"),
        "{told}"
    );
}

#[test]
fn a_truncated_gzip_gives_the_whole_events_before_the_cut() {
    let place = Place::new();
    let many: Vec<String> = (0..2000)
        .map(|n| {
            BOB.replace(
                "\"b1\"",
                &format!(
                    "\"{n}-{:x}\"",
                    n as u64 * 7919 * 7919 * 7919 * 7919 % 1_000_000_007
                ),
            )
        })
        .collect();
    let whole = gzip(&format!("{{\"Records\":[{}]}}", many.join(",")));
    place.write("cut.json.gz", &whole[..whole.len() / 2]);
    let output = place.run(&[
        "query",
        "SELECT count(*) > 500 AS most FROM events",
        "cut.json.gz",
    ]);
    assert!(output.starts_with("most\n────\ntrue\n"), "{output}");
    assert!(output.contains("! auroratrail: cut.json.gz@"), "{output}");
    assert!(output.contains("truncated gzip"), "{output}");
    assert!(output.contains("salvaged from damaged files"), "{output}");
    let strict = place.run(&[
        "query",
        "SELECT count(*) FROM events",
        "cut.json.gz",
        "--strict",
    ]);
    assert!(strict.ends_with("exit 1\n"), "{strict}");
}

#[test]
fn after_ten_messages_about_rejects_the_rest_is_only_counted() {
    let place = Place::new();
    let bad: String = (0..25)
        .map(|n| format!("{{\"eventVersion\":oops{n}}}\n{ALICE}\n"))
        .collect();
    place.write("bad.json", bad);
    let output = place.run(&[
        "query",
        "SELECT count(*) AS n FROM events",
        "bad.json",
        "--rejects",
        "r",
    ]);
    assert_eq!(
        output
            .lines()
            .filter(|line| line.contains("bad.json@"))
            .count(),
        10,
        "{output}"
    );
    assert!(
        output.contains("more rejects are counted and not shown"),
        "{output}"
    );
    assert_eq!(place.read("r").lines().count(), 25);
}

#[test]
fn a_source_that_is_not_there() {
    let place = Place::new();
    let count = "SELECT count(*) AS n FROM events";
    assert_snapshot!(place.run(&["query", count, "nothing.json"]), @r"
    ! auroratrail: nothing to read: nothing.json: it does not exist
    exit 2
    ");
    assert_snapshot!(place.run(&["query", count, "nothing.json", "logs/c.ndjson"]), @r"
    n
    ─
    1
    ! auroratrail: nothing.json: no such file: it does not exist
    ! auroratrail: 1 event; 1 rejected (1 no such file)
    ");
    assert_snapshot!(place.run(&["query", count, "nothing.json", "logs/c.ndjson", "--strict"]), @r"
    n
    ─
    1
    ! auroratrail: nothing.json: no such file: it does not exist
    ! auroratrail: 1 event; 1 rejected (1 no such file)
    exit 1
    ");
    assert_snapshot!(place.run(&["query", count, "logs/*.nothing"]), @r"
    ! auroratrail: nothing to read: logs/*.nothing: no file is there; hidden ones (.x, _x) are read only when named
    exit 2
    ");
    assert_snapshot!(place.run(&["query", count, "kinesis://stream?form=latest"]), @r"
    ! auroratrail: `kinesis://stream?form=latest`: unknown parameter `form`; expected from, mode, consumer, region
    exit 2
    ");
    assert_snapshot!(place.run(&["query", count, "ftp://host/x"]), @r"
    ! auroratrail: `ftp://host/x` cannot be read: `ftp://` is unknown; give a path, s3://bucket/prefix/, kinesis://stream, logs://log-group, cloudtrail:// (event history), sample: or - for standard input
    exit 2
    ");
    fs::create_dir(place.path().join("x.json")).unwrap();
    assert_snapshot!(place.run(&["query", count, "x.json"]), @r"
    ! auroratrail: nothing to read: x.json: no file is there; hidden ones (.x, _x) are read only when named
    exit 2
    ");
    std::os::unix::fs::symlink("nowhere", place.path().join("link.json")).unwrap();
    assert_snapshot!(place.run(&["query", count, "link.json"]), @r"
    ! auroratrail: nothing to read: link.json: it is gone, or a link to nothing
    exit 2
    ");
    assert_snapshot!(place.run(&["scan", "nothing.json"]), @r"
    ! auroratrail: nothing to read: nothing.json: it does not exist
    exit 2
    ");
}

#[test]
fn a_query_that_cannot_be_answered_ends_with_2_and_says_what_to_write() {
    let place = Place::new();
    let run = |sql| place.run(&["query", sql, "logs"]);
    assert_snapshot!(run("SELECT eventNam FROM events"), @r"
    ! auroratrail: no column eventNam in events; did you mean eventName?
    exit 2
    ");
    assert_snapshot!(run("SELECT 1 FROM event"), @r"
    ! auroratrail: no table event; did you mean events? (the tables are aurora_events, events, events_current)
    exit 2
    ");
    assert_snapshot!(run("SELEC 1"), @r"
    ! auroratrail: cannot read the SQL: expected an SQL statement, found SELEC at line 1, column 1
    exit 2
    ");
    assert_snapshot!(run("SELECT 1; SELECT 2"), @r"
    1
    ─
    1

    2
    ─
    2
    ");
    assert_snapshot!(run(""), @r"
    ! auroratrail: expected a SQL statement, found none
    exit 2
    ");
    assert_snapshot!(run("DROP TABLE events"), @r"
    ! auroratrail: only queries can be asked here: SELECT, WITH, VALUES, EXPLAIN, DESCRIBE events, SHOW TABLES
    exit 2
    ");
    assert_snapshot!(run("SELECT CAST(eventID AS int) FROM events WHERE eventID = 'a1'"), @r"
    ! auroratrail: 'a1' is not an integer; TRY_CAST gives NULL for such values
    exit 2
    ");
    assert_snapshot!(place.run(&["quer"]), @r"
    ! error: unrecognized subcommand 'quer'
    !
    !   tip: a similar subcommand exists: 'query'
    !
    ! Usage: auroratrail <COMMAND>
    !
    ! For more information, try '--help'.
    exit 2
    ");
    // Valid, but possibly unintended.
    assert_snapshot!(run("SELECT count(requestParameters.dBClusterIdentifer) AS n FROM events"), @r"
    n
    ─
    0
    ! auroratrail: note: requestParameters.dBClusterIdentifer is not a known field; did you mean requestParameters.dBClusterIdentifier? (read from the JSON of requestParameters)
    ");
}

#[test]
fn explain_shows_what_is_read_and_what_is_left_out_while_decoding() {
    let place = Place::new();
    let sql = "EXPLAIN SELECT userIdentity.userName FROM events WHERE eventName = 'StopDBCluster' AND eventTime >= '2026-05-01'";
    assert_snapshot!(place.run(&["query", sql, "logs", "--threads", "1"]), @r#"
    plan_type      plan
    ─────────────  ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    logical_plan   Projection: events.useridentity_username
                     Filter: events.eventname = Utf8("StopDBCluster") AND events.eventtime >= TimestampMicrosecond(1777593600000000, Some("UTC"))
                       TableScan: events projection=[eventtime, eventname, useridentity_username], partial_filters=[events.eventname = Utf8("StopDBCluster"), events.eventtime >= TimestampMicrosecond(1777593600000000, Some("UTC"))]
    physical_plan  FilterExec: eventname@1 = StopDBCluster AND eventtime@0 >= 1777593600000000, projection=[useridentity_username@2]
                     CooperativeExec
                       EventsExec: sources=[logs], columns=[eventtime, eventname, useridentity_username], while_decoding=eventName in (StopDBCluster) and eventTime >= 2026-05-01T00:00:00Z, objects_by_key=delivered >= 2026-04-30T23:00Z
    "#);
}

#[test]
fn explain_analyze_has_the_figures_of_the_scan() {
    let place = Place::new();
    let sql = "EXPLAIN ANALYZE SELECT userIdentity.userName FROM events WHERE eventName = 'StopDBCluster'";
    let shown = place.run(&["query", sql, "logs", "--format", "csv"]);
    let scan = shown
        .lines()
        .find(|line| line.contains("EventsExec"))
        .unwrap();
    let bytes = |name: &str| fs::metadata(place.path().join(name)).unwrap().len();
    let stored = ["logs/2026/a.json", "logs/b.json.gz", "logs/c.ndjson"].map(bytes);
    let inflated = [ALICE.len() + 14, BOB.len() + 14, FORMULA.len() + 1];
    for figure in [
        "output_rows=1",
        "objects_read=3",
        "objects_pruned=0",
        "records=3",
        "rows_left_out_while_decoding=2",
        &format!("bytes_read={}", stored.iter().sum::<u64>()),
        &format!("bytes_inflated={}", inflated.iter().sum::<usize>()),
    ] {
        assert!(scan.contains(figure), "{figure}: {scan}");
    }
}

#[test]
fn scan_tells_what_is_in_files() {
    let place = Place::new();
    place.write(
        "logs/d.json",
        "{\"Service\":\"Amazon S3\",\"Event\":\"s3:TestEvent\"}",
    );
    place.write("logs/e.json", format!("{ALICE}\nnonsense\n"));
    assert_snapshot!(place.run(&["scan", "logs"]), @r"
    files           5, 0 empty, 1 damaged
    bytes           1.02 KiB stored, 1.08 KiB inflated
    events          4
    insights        0
    aggregated      0
    salvaged        0
    duplicates      1 of all these
    first event     2026-05-03T09:00:00Z
    last event      2026-05-03T10:00:00Z
    not CloudTrail  1
                            1  S3 test notification
    rejects         1
                            1  not JSON
    event sources   2
                            3  rds.amazonaws.com
                            1  s3.amazonaws.com
    ! auroratrail: logs/e.json@283: not JSON: expected a JSON document, a log line, or a compressed one
    ");
    assert_snapshot!(place.run(&["scan", "logs", "--format", "json", "--strict"]), @r#"
    {
      "aggregated": 0,
      "bytes_inflated": 1105,
      "bytes_stored": 1049,
      "damaged_files": [
        "logs/e.json"
      ],
      "duplicates": 1,
      "empty_files": [],
      "event_sources": {
        "rds.amazonaws.com": 3,
        "s3.amazonaws.com": 1
      },
      "events": 4,
      "files": 5,
      "first_event": "2026-05-03T09:00:00Z",
      "hidden_left_out": 0,
      "insights": 0,
      "last_event": "2026-05-03T10:00:00Z",
      "not_cloudtrail": {
        "S3 test notification": 1
      },
      "rejects": {
        "not JSON": 1
      },
      "salvaged": 0,
      "type_mismatches": []
    }
    ! auroratrail: logs/e.json@283: not JSON: expected a JSON document, a log line, or a compressed one
    exit 1
    "#);
}

#[test]
fn help_is_wrapped_and_says_what_there_is() {
    let place = Place::new();
    let help = |arguments: &[&str]| {
        let text = place.run(arguments);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n")
    };
    assert_snapshot!(help(&["--help"]), @r"
    Ask SQL of the CloudTrail events of Amazon Aurora

    Reads trail files, folders of them, S3, standard input and most other forms that CloudTrail events
    come in, and answers SQL over the table `events`. Nothing is loaded or set up first.

    Usage: auroratrail <COMMAND>

    Commands:
      query         Answer a SQL query over events
      repl          Ask at a prompt, one statement after another
      scan          Tell what is in files: events, duplicates, what is not CloudTrail, and what is
                    damaged
      watch         Print events that match as they arrive, until Ctrl-C
      ingest        Keep events in a lake: a folder of Parquet files that Athena, Spark and DuckDB read,
                    too
      lake          Look at a lake
      compact       Pack the small files of a lake into few large ones, sorted by time, each event once
      expire        Take the events of days that are too old out of a lake, in one commit
      vacuum        Delete files of a lake that are in no version any more, or that a writer left that
                    died
      catalog       Print the DDL that makes a lake a table of Athena, Glue, Spark, Trino, DuckDB,
                    Snowflake or ClickHouse
      sources       Look at sources before they are read
      verify-trail  Check that a trail is whole: no log file changed, removed or added
      iam           Print the smallest IAM policy for reading sources, and for writing a lake
      sample        Write made-up trail files, to try things on
      help          Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version
    ");
    assert_snapshot!(help(&["query", "--help"]), @r#"
    Answer a SQL query over events

    The table is `events`, one row a record; `aurora_events` has those of RDS, the Data API and DSQL
    alone. Names need no quotes and no case: userIdentity.userName, or
    requestParameters.dBInstanceIdentifier. `DESCRIBE events` lists all columns. COPY writes the rows of
    a query to files, here or in S3.

    Usage: auroratrail query [OPTIONS] [SQL] [SOURCE]...

    Arguments:
      [SQL]
              The query; with -f there is none here, and all words are sources

      [SOURCE]...
              Where to read: files, folders, globs, s3://bucket/prefix, a lake, kinesis://stream,
              logs://group, cloudtrail:// (live ones up to now), - for standard input, sample:?events=N
              for made-up events. Without a source, made-up events are read

    Options:
      -f, --file <FILE>
              Read the query from a file, - for standard input; of several, separated by semicolons,
              each is answered in turn

          --format <FORMAT>
              How to write the rows; by default a table, or what the name given with -o ends in

              Possible values:
              - table:    Aligned columns for people, as wide as the terminal
              - csv:      Comma-separated values
              - tsv:      Tab-separated values, quoted where needed as CSV is
              - json:     One JSON array of objects
              - ndjson:   One JSON object a line
              - markdown: A GitHub table
              - parquet:  A Parquet file, compressed with zstd
              - arrow:    An Arrow IPC stream (the form that can be piped, not the file with a footer)

      -o, --output <FILE>
              Write the rows to a file

          --raw-csv
              Leave CSV cells as they are, also those that a spreadsheet would run as a formula

          --dedup
              Count the same event (event ID and content) once; holds some 30 bytes an event in memory

          --memory <MIB>
              Memory for sorting, joining and grouping, in MiB; beyond it most use the disk

              [default: 1024]

          --cache
              Keep what is decoded on disk: another question about the same files or objects is then as
              quick as over a lake, and the first one takes longer

          --cache-folder <FOLDER>
              Where it is kept; it may be deleted at any time [default: auroratrail in ~/.cache]

              [env: AURORATRAIL_CACHE_FOLDER]

          --cache-size <SIZE>
              The most that is kept; what was not used for longest goes first

              [default: 10G]

          --rejects <FILE>
              Keep what could not be read as an event: a line of JSON each, with its content

          --strict
              Exit with 1 if anything was rejected

          --threads <N>
              Threads that read and decode; by default one for each core

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      auroratrail query "SELECT eventName, count(*) FROM events GROUP BY 1 ORDER BY 2 DESC" logs/
      auroratrail query "SELECT eventTime, actor, eventName, db_identifier FROM aurora_events
                         WHERE NOT readOnly ORDER BY eventTime" 's3://bucket/AWSLogs/*/CloudTrail/'
      zcat x.json.gz | auroratrail query -f question.sql - --format ndjson
      auroratrail query "COPY (SELECT *, eventTime::date AS dt FROM aurora_events) TO 'export/'
                         STORED AS PARQUET PARTITIONED BY (dt)" logs/

    Exit status: 0 done; 1 done, but --strict was given and something was rejected; 2 could not;
    130 interrupted.
    "#);
    assert_snapshot!(help(&["scan", "--help"]), @r"
    Tell what is in files: events, duplicates, what is not CloudTrail, and what is damaged

    Usage: auroratrail scan [OPTIONS] [SOURCE]...

    Arguments:
      [SOURCE]...
              Where to read, as in query

    Options:
          --format <FORMAT>
              How to write it

              Possible values:
              - text: For people
              - json: One JSON object

              [default: text]

          --rejects <FILE>
              Keep what could not be read as an event: a line of JSON each, with its content

          --strict
              Exit with 1 if anything was rejected

          --threads <N>
              Threads that read and decode; by default one for each core

      -h, --help
              Print help (see a summary with '-h')
    ");
    for arguments in [
        &["--help"][..],
        &["query", "--help"],
        &["scan", "--help"],
        &["sample", "--help"],
        &["query", "-h"],
    ] {
        for line in help(arguments).lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
    assert_eq!(
        place.run(&["--version"]),
        format!("auroratrail {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_reader_who_goes_away_ends_the_work_quietly() {
    let place = Place::new();
    for format in ["table", "csv", "ndjson", "arrow"] {
        let sql = "SELECT eventName, userIdentity FROM events";
        let mut command =
            place.command(&["query", sql, "sample:?events=2000000", "--format", format]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let start = Instant::now();
        let mut child = command.spawn().unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        assert!(reader.read_until(b'\n', &mut Vec::new()).unwrap() > 0);
        drop(reader);
        let output = wait(child, Duration::from_secs(30));
        assert_eq!(transcript(&output), "", "{format}");
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}

#[test]
fn an_interrupt_ends_it_quietly_with_130() {
    let place = Place::new();
    for arguments in [
        &[
            "query",
            "SELECT count(*) FROM events",
            "sample:?events=20000000",
        ][..],
        &[
            "query",
            "SELECT record FROM events",
            "sample:?events=20000000",
            "-o",
            "x.csv",
        ],
        &["scan", "sample:?events=20000000"],
        // A pipe without a reader, until the command ends.
        &[
            "query",
            "SELECT record FROM events",
            "sample:?events=20000000",
        ],
        // A pipe without input.
        &["query", "SELECT count(*) FROM events", "-"],
    ] {
        let mut command = place.command(arguments);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        std::thread::sleep(Duration::from_millis(700));
        let killed = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status();
        assert!(killed.unwrap().success());
        let output = wait(child, Duration::from_secs(20));
        drop(stdin);
        assert_eq!(output.status.code(), Some(130), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn what_was_written_when_it_is_told_to_stop_ends_with_a_whole_line() {
    let place = Place::new();
    for (signal, format) in [
        ("-INT", "ndjson"),
        ("-TERM", "csv"),
        ("-TERM", "json"),
        ("-INT", "table"),
        ("-INT", "markdown"),
    ] {
        let sql = "SELECT eventID, userIdentity FROM events";
        let mut command = place.command(&["query", sql, "sample:?events=20000000"]);
        command.args(["--format", format]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut written = Vec::new();
        while written.len() < 100_000 {
            assert!(out.read_until(b'\n', &mut written).unwrap() > 0, "{format}");
        }
        let start = Instant::now();
        let killed = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(killed.unwrap().success());
        out.read_to_end(&mut written).unwrap();
        let output = wait(child, Duration::from_secs(20));
        assert!(start.elapsed() < Duration::from_secs(10), "{format}");
        assert_eq!(output.status.code(), Some(130), "{format}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{format}");
        let written = String::from_utf8(written).unwrap();
        assert!(written.ends_with('\n'), "{format}");
        let last = written.lines().last().unwrap();
        match format {
            "ndjson" | "json" => {
                serde_json::from_str::<serde_json::Value>(last.trim_end_matches(',')).unwrap();
            }
            "markdown" => assert!(last.starts_with('|') && last.ends_with('|'), "{last}"),
            _ => assert!(last.contains("\"type\""), "{last}"),
        }
    }
}

#[test]
fn a_count_that_is_interrupted_is_not_shown() {
    let place = Place::new();
    let mut command = place.command(&[
        "query",
        "SELECT count(*) FROM events",
        "sample:?events=20000000",
    ]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let killed = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let output = wait(child, Duration::from_secs(20));
    assert_eq!(transcript(&output), "exit 130\n");
}

#[test]
fn memory_that_does_not_suffice_is_said_to_be_that() {
    let place = Place::new();
    let sql = "SELECT record, count(*) FROM events GROUP BY record ORDER BY record LIMIT 19999";
    let few = ["query", sql, "sample:?events=20000", "--memory", "16"];
    assert_snapshot!(place.run(&[&few[..], &["-o", "x"]].concat()), @r"
    ! auroratrail: sorting, joining and grouping need more memory than allowed; raise --memory, or select fewer columns or rows
    exit 2
    ");
}

#[test]
fn on_a_terminal_there_is_a_progress_line_and_it_goes_away() {
    let Some(shown) =
        on_a_terminal("query 'SELECT count(*) AS n FROM events' 'sample:?events=60000'")
    else {
        return;
    };
    let lines: Vec<&str> = shown.split("\r\u{1b}[2K").collect();
    assert!(lines.len() >= 3, "{shown:?}");
    assert!(lines[1].contains(" events, "), "{shown:?}");
    let last = lines.last().unwrap().replace('\r', "");
    assert_eq!(last, "    n\n─────\n60000\n(1 row)\n", "{shown:?}");
}

#[test]
fn on_a_terminal_short_work_shows_only_the_answer_and_null_is_dim() {
    let Some(shown) = on_a_terminal("query 'SELECT NULL AS x, 2 AS y'") else {
        return;
    };
    assert_eq!(
        shown.replace('\r', ""),
        "x     y\n────  ─\n\u{1b}[2mNULL\u{1b}[22m  2\n(1 row)\n"
    );
    let parquet = on_a_terminal("query 'SELECT 1' --format parquet").unwrap();
    assert_snapshot!(parquet.replace('\r', ""), @"auroratrail: Parquet is not readable on a terminal; write it to a file with -o FILE, or pipe it");
}

/// Returns the output on a terminal of 80 columns, or `None` if none can be emulated.
fn on_a_terminal(arguments: &str) -> Option<String> {
    let binary = env!("CARGO_BIN_EXE_auroratrail");
    let inner = format!("stty cols 80 rows 24; {binary} {arguments}");
    let output = Command::new("script")
        .args(["-qec", &inner, "/dev/null"])
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => Some(String::from_utf8(output.stdout).unwrap()),
        Err(error) => {
            eprintln!("not tested on a terminal: script (of util-linux): {error}");
            None
        }
    }
}

/// Waits for the end, with a timeout.
fn wait(mut child: Child, patience: Duration) -> Output {
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > patience {
            child.kill().unwrap();
            panic!("still at work after {patience:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let read = |from: Option<&mut dyn Read>| {
        let mut bytes = Vec::new();
        if let Some(from) = from {
            from.read_to_end(&mut bytes).unwrap();
        }
        bytes
    };
    Output {
        status,
        stdout: read(child.stdout.as_mut().map(|it| it as &mut dyn Read)),
        stderr: read(child.stderr.as_mut().map(|it| it as &mut dyn Read)),
    }
}

#[test]
fn the_answer_does_not_depend_on_the_names_of_files() {
    let place = Place::new();
    let event = |service: &str, region: &str, account: &str, time: &str, id: &str| {
        format!(
            r#"{{"eventVersion":"1.08","eventSource":"{service}.amazonaws.com","eventName":"X","awsRegion":"{region}","recipientAccountId":"{account}","eventTime":"{time}","eventID":"{id}"}}"#
        )
    };
    let (here, other) = ("111122223333", "777788889999");
    let records = [
        event("rds", "eu-west-3", here, "2026-07-14T08:15:00Z", "rds"),
        event("iam", "us-east-1", here, "2026-07-14T08:16:00Z", "iam"),
        event("rds", "us-east-1", other, "2026-01-02T08:16:00Z", "other"),
    ];
    let document = format!(r#"{{"Records":[{}]}}"#, records.join(","));
    let name = "111122223333_CloudTrail_eu-west-3_20260714T0820Z_AbCd.json";
    let folder = "trail/AWSLogs/111122223333/CloudTrail/eu-west-3/2026/07/14";
    fs::create_dir_all(place.path().join(folder)).unwrap();
    fs::create_dir_all(place.path().join("flat")).unwrap();
    let in_trail = format!("{folder}/{name}");
    for file in [&*in_trail, &format!("flat/{name}"), "flat/renamed.json"] {
        place.write(file, &document);
    }
    let ids = |condition: &str, source: &str| {
        let sql = format!("SELECT eventID FROM events WHERE {condition} ORDER BY 1");
        place.run(&["query", &sql, source, "--format", "csv"])
    };
    for condition in [
        "awsRegion = 'us-east-1'",
        "recipientAccountId = '777788889999'",
        "eventTime < '2026-02-01'",
        "awsRegion = 'us-east-1' AND eventSource = 'rds.amazonaws.com'",
    ] {
        let renamed = ids(condition, "flat/renamed.json");
        assert!(renamed.contains("other"), "{condition}: {renamed}");
        assert_eq!(
            ids(condition, &format!("flat/{name}")),
            renamed,
            "{condition}"
        );
        assert_eq!(ids(condition, "flat/*eu-west-3*"), renamed, "{condition}");
        assert_eq!(
            ids(condition, &in_trail),
            renamed,
            "{condition}, named itself"
        );
    }
    // In a trail's own folders the key saves reading, and that is told; but not by the region of
    // services that may be global.
    assert_snapshot!(ids("awsRegion = 'us-east-1' AND eventID = 'iam'", "trail"), @r"
    eventID
    iam
    ");
    assert_snapshot!(ids("awsRegion = 'us-east-1' AND eventSource = 'rds.amazonaws.com'", "trail"), @r"
    eventID
    ! auroratrail: 0 events; 1 folder left out by its key
    ");
    let sql = "EXPLAIN SELECT eventID FROM aurora_events WHERE awsRegion = 'us-east-1' AND eventTime >= '2026-07-14'";
    let plan = place.run(&["query", sql, "trail"]);
    let keys = "objects_by_key=region in (us-east-1) and delivered >= 2026-07-13T23:00Z";
    assert!(plan.contains(keys), "{plan}");
}

#[test]
fn what_is_written_can_be_asked_again() {
    let place = Place::new();
    let null_and_new = BOB.replace("\"b1\"", "\"d1\"").replace(
        "\"eventID\"",
        "\"newField\":[1],\"resources\":[{\"ARN\":\"x\",\"type\":\"y\"}],\"eventID\"",
    );
    place.write("logs/d.json", null_and_new);
    let all = "SELECT * FROM events ORDER BY eventID";
    let rows = |source: &str| place.run(&["query", all, source, "--format", "ndjson"]);
    let expected = rows("logs");
    assert_eq!(expected.lines().count(), 4, "{expected}");
    for columns in ["*", "record", "*, record", "source_uri, record, actor"] {
        for ending in ["ndjson", "json", "csv"] {
            let file = format!("saved.{ending}");
            let query = format!("SELECT {columns} FROM events");
            assert_eq!(place.run(&["query", &query, "logs", "-o", &file]), "");
            assert_eq!(rows(&file), expected, "{columns}, {ending}");
        }
    }
    let count = "SELECT count(*) FROM events";
    let both = [
        "query",
        count,
        "logs",
        "saved.csv",
        "saved.json",
        "--dedup",
        "--format",
        "csv",
    ];
    let said = place.run(&both);
    assert!(said.contains("4 events; 8 duplicates left out"), "{said}");
}

#[cfg(unix)]
#[test]
fn what_cannot_be_opened_is_told_once_and_in_words() {
    use std::os::unix::ffi::OsStrExt;

    let place = Place::new();
    let _socket = std::os::unix::net::UnixListener::bind(place.path().join("socket")).unwrap();
    let said = place.run(&[
        "query",
        "SELECT count(*) FROM events",
        "socket",
        "--format",
        "csv",
    ]);
    assert!(said.starts_with("count(*)\n0\n"), "{said}");
    assert!(
        said.contains("socket@0: unreadable file: no such device or address\n"),
        "{said}"
    );
    assert!(
        said.contains("0 events; 1 rejected") && !said.contains("os error"),
        "{said}"
    );
    assert!(said.contains("nothing could be read"), "{said}");
    let name = std::ffi::OsStr::from_bytes(b"a\xff.json");
    fs::write(place.path().join(name), BOB).unwrap();
    let query = "SELECT eventID FROM events";
    let output = place.command(&["query", query]).arg(name).output().unwrap();
    let said = transcript(&output);
    assert!(
        said.contains("is no UTF-8") && said.contains("'a?.json'"),
        "{said}"
    );
    assert!(
        place
            .run(&["query", query, "a?.json", "--format", "csv"])
            .contains("b1")
    );
}

#[test]
fn a_policy_names_what_a_command_needs_and_nothing_else() {
    let place = Place::new();
    let policy = place.run(&[
        "iam",
        "kinesis://trail?region=eu-west-1",
        "s3://bucket/AWSLogs/*/CloudTrail/",
        "--account",
        "123456789012",
        "--to",
        "s3://lakes/aurora",
    ]);
    let policy: serde_json::Value =
        serde_json::from_str(policy.split("! auroratrail").next().unwrap()).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let lines: Vec<String> = statements
        .iter()
        .map(|it| format!("{} {} {}", it["Action"], it["Resource"], it["Condition"]))
        .collect();
    assert_snapshot!(lines.join("\n"), @r#"
    ["kinesis:ListShards","kinesis:GetShardIterator","kinesis:GetRecords"] ["arn:aws:kinesis:eu-west-1:123456789012:stream/trail"] null
    ["s3:GetObject"] ["arn:aws:s3:::bucket/AWSLogs/*"] null
    ["s3:ListBucket"] ["arn:aws:s3:::bucket"] {"StringLike":{"s3:prefix":["AWSLogs/*"]}}
    ["s3:ListBucket"] ["arn:aws:s3:::lakes"] {"StringLike":{"s3:prefix":["aurora/*"]}}
    ["s3:GetObject","s3:PutObject","s3:DeleteObject","s3:AbortMultipartUpload"] ["arn:aws:s3:::lakes/aurora/*"] null
    "#);
}
