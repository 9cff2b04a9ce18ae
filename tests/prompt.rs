//! The prompt, run as its users run it: as a script in a pipe.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A user with a home of their own.
pub(crate) struct User {
    home: tempfile::TempDir,
}

impl User {
    pub(crate) fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_auroratrail"));
        command
            .arg("repl")
            .args(arguments)
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env_remove("XDG_STATE_HOME");
        command
    }

    fn run(&self, arguments: &[&str], script: &str) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A script that ends early leaves the rest unread.
        let _ = stdin.write_all(script.as_bytes());
        drop(stdin);
        child.wait_with_output().unwrap()
    }

    /// Runs a script that succeeds; returns its output.
    pub(crate) fn answer(&self, arguments: &[&str], script: &str) -> String {
        let output = self.run(arguments, script);
        let fault = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{script}\n{fault}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a script that fails; returns its output and what it complains about.
    fn fault(&self, arguments: &[&str], script: &str) -> (String, String) {
        let output = self.run(arguments, script);
        assert_eq!(output.status.code(), Some(2), "{script}");
        (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.path().join(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.home.path().join(name), text).unwrap();
    }

    fn has(&self, name: &str) -> bool {
        Path::new(&self.home.path().join(name)).exists()
    }
}

const FEW: &[&str] = &["sample:?events=2000"];

#[test]
fn a_script_stops_at_its_first_fault() {
    let user = User::new();
    let script = "SELECT 1 AS a;\n\nSELECT nothing\n FROM events;\nSELECT 3 AS c;\n";
    let (output, fault) = user.fault(FEW, script);
    assert_eq!(output, "a\n─\n1\n");
    assert_eq!(
        fault,
        "auroratrail: line 3: no column nothing in events; DESCRIBE events lists the columns\n"
    );
    let (output, fault) = user.fault(&["--keep-going", FEW[0]], script);
    assert_eq!(output, "a\n─\n1\nc\n─\n3\n");
    assert_eq!(fault.lines().count(), 1);
    let (output, fault) = user.fault(FEW, "\\tming on\nSELECT 1;");
    assert_eq!(output, "");
    assert_eq!(
        fault,
        "auroratrail: line 1: no command \\tming; did you mean \\timing? (\\? lists them)\n"
    );
}

#[test]
fn the_last_statement_needs_no_semicolon_and_quit_ends() {
    let user = User::new();
    assert_eq!(user.answer(FEW, "\\format csv\nSELECT 1 AS a"), "a\n1\n");
    assert_eq!(
        user.answer(FEW, "\\format csv\nSELECT 1 AS a;\nquit\nSELECT 2 AS b;"),
        "a\n1\n"
    );
    assert_eq!(user.answer(FEW, " -- nothing\n"), "");
}

#[test]
fn a_command_amid_a_statement_leaves_it_to_be_gone_on_with() {
    let user = User::new();
    let answer = user.answer(
        FEW,
        "SELECT 1 \\format csv\n+ 1 AS n;\nSELECT 2 AS n \\format json",
    );
    assert_eq!(answer, "n\n2\n[\n{\"n\":2}\n]\n");
}

#[test]
fn the_last_answer_is_a_table() {
    let user = User::new();
    let script = "\\format csv\n\
        SELECT awsRegion, userIdentity.type, count(*) FROM events GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 3;\n\
        SELECT count(*) AS n, sum(\"count(*)\") > 0 AS s FROM _ WHERE AWSREGION LIKE '%-%' AND useridentity.type > '';\n\
        SELECT n, s FROM _;\n\
        SELECT requestParameters, requestParameters AS p FROM events WHERE eventName = 'DeleteDBCluster' LIMIT 1;\n\
        SELECT p.dBClusterIdentifier IS NOT NULL AS x FROM _;\n";
    let output = user.answer(FEW, script);
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[0], "awsRegion,userIdentity.type,count(*)");
    assert_eq!(&lines[4..8], ["n,s", "3,true", "n,s", "3,true"]);
    assert_eq!(&lines[lines.len() - 2..], ["x", "true"]);
}

#[test]
fn views_last_as_long_as_the_session() {
    let user = User::new();
    let script = "\\format csv\n\
        CREATE VIEW denied AS SELECT * FROM events WHERE is_denied;\n\
        SELECT count(userIdentity.type) = count(*) AS typed FROM denied;\n\
        CREATE OR REPLACE VIEW denied AS SELECT actor FROM Denied;\n\
        SELECT count(*) > 0 AS some FROM DENIED WHERE ACTOR IS NOT NULL;\n\
        DROP VIEW denied;\n";
    assert_eq!(user.answer(FEW, script), "typed\ntrue\nsome\ntrue\n");
    let script = "\\format csv\nCREATE VIEW v AS SELECT eventTime, userIdentity.type, count(*) AS n, \
        array_agg(actor) AS a FROM events GROUP BY 1, 2;\n\\d v\nDESCRIBE v;\n";
    let columns =
        "column,type\neventTime,timestamp\nuserIdentity.type,varchar\nn,bigint\na,array(varchar)\n";
    assert_eq!(user.answer(FEW, script), columns.repeat(2));
    for (script, expected) in [
        (
            "CREATE VIEW events AS SELECT 1;",
            "events is a table of events; choose another name",
        ),
        (
            "CREATE VIEW a AS SELECT 1; CREATE VIEW a AS SELECT 2;",
            "CREATE OR REPLACE VIEW a replaces it",
        ),
        ("DROP VIEW a;", "no view a"),
        (
            "DROP TABLE events;",
            "events is a table of events, not a view",
        ),
        ("CREATE TABLE a AS SELECT 1;", "only queries"),
        (
            "CREATE VIEW a AS SELECT nothing FROM events;",
            "no column nothing in events",
        ),
        ("INSERT INTO _ SELECT 1;", "only queries"),
        (
            "CREATE EXTERNAL TABLE a STORED AS CSV LOCATION '/etc/passwd';",
            "only queries",
        ),
    ] {
        let (_, fault) = user.fault(FEW, script);
        assert!(fault.contains(expected), "{script}\n{fault}");
    }
}

#[test]
fn the_record_of_a_row_is_shown_although_the_statement_did_not_name_it() {
    let user = User::new();
    let script = "SELECT e.eventTime AS t, actor FROM events e WHERE eventName = 'DeleteDBCluster' \
        ORDER BY t DESC LIMIT 2;\n\\record 2\n";
    let output = user.answer(FEW, script);
    assert!(
        output.contains("\n  \"eventName\": \"DeleteDBCluster\",\n"),
        "{output}"
    );
    let time = output
        .lines()
        .nth(3)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    assert!(
        output.contains(&format!("\n  \"eventTime\": \"{time}\",\n")),
        "{output}"
    );
    for (script, expected) in [
        ("\\record 1", "there is no answer"),
        (
            "SELECT actor FROM events LIMIT 2;\n\\record 3",
            "expected a row from 1 to 2, found 3",
        ),
        (
            "SELECT count(*) FROM events;\n\\record 1",
            "not single events",
        ),
        (
            "SELECT DISTINCT actor FROM events;\n\\record 1",
            "not single events",
        ),
    ] {
        let (_, fault) = user.fault(FEW, script);
        assert!(fault.contains(expected), "{script}\n{fault}");
    }
}

#[test]
fn answers_go_to_files() {
    let user = User::new();
    let script = "SELECT 1 AS a \\g a.csv\n\\o all.ndjson\nSELECT 2 AS b;\nSELECT 3 AS c;\n\\o\n\
        \\format csv\nSELECT 4 AS d;\nSELECT 5 AS e \\g e.parquet\n";
    assert_eq!(user.answer(FEW, script), "d\n4\n");
    assert_eq!(user.file("a.csv"), "a\n1\n");
    assert_eq!(user.file("all.ndjson"), "{\"b\":2}\n{\"c\":3}\n");
    assert!(user.has("e.parquet"));
    // A failed statement leaves what was there.
    user.fault(FEW, "SELECT 1/0 AS a \\g a.csv\n");
    assert_eq!(user.file("a.csv"), "a\n1\n");
    user.write("logs.json", "{\"Records\":[]}");
    let (_, fault) = user.fault(&["logs.json"], "SELECT 1 \\g logs.json\n");
    assert!(fault.contains("is a source as well"), "{fault}");
    assert_eq!(user.file("logs.json"), "{\"Records\":[]}");
    user.answer(FEW, "SELECT 6 AS f \\g ~/f.csv\n");
    assert_eq!(user.file("f.csv"), "f\n6\n");
    let (_, fault) = user.fault(FEW, "SELECT 1 \\g | cat\n");
    assert!(fault.contains("not into commands"), "{fault}");
    let (_, fault) = user.fault(FEW, "\\o x.parquet\n");
    assert!(fault.contains("holds one result"), "{fault}");
}

#[test]
fn statements_are_kept_and_files_are_run() {
    let user = User::new();
    let script = "\\format csv\nSELECT 1 AS a;\n\\save first\n\\queries\n\\queries first\n";
    assert_eq!(
        user.answer(FEW, script),
        "a\n1\nname,statement\nfirst,SELECT 1 AS a;\na\n1\n"
    );
    assert_eq!(user.answer(FEW, "\\format csv\n\\queries first"), "a\n1\n");
    user.write("x.sql", "\\format csv\nSELECT 7 AS s;\n");
    assert_eq!(user.answer(FEW, "\\i x.sql\n"), "s\n7\n");
    user.write("loop.sql", "\\i loop.sql\n");
    let (_, fault) = user.fault(FEW, "\\i loop.sql\n");
    assert!(
        fault.contains("is run by a file that it runs itself"),
        "{fault}"
    );
    let (_, fault) = user.fault(FEW, "\\i none.sql\n");
    assert!(fault.contains("cannot read none.sql"), "{fault}");
    let (_, fault) = user.fault(FEW, "SELECT 1;\n\\save ../x\n");
    assert!(fault.contains("expected a name of letters"), "{fault}");
}

#[test]
fn sources_are_added_named_and_removed() {
    let user = User::new();
    user.write("a.json", &event("a", "2026-01-01T00:00:00Z"));
    user.write("b.json", &event("b", "2026-01-02T00:00:00Z"));
    let script = "\\format csv\n\\source a.json\nSELECT eventID FROM events;\n\\source b.json\n\
        SELECT eventID FROM events ORDER BY 1;\n\\source -a.json\nSELECT eventID FROM events;\n\
        \\source a.json AS old\nSELECT o.eventID, e.eventID FROM old o JOIN events e ON o.eventTime < e.eventTime;\n\
        \\source\n\\source -old\n";
    assert_eq!(
        user.answer(&[], script),
        "eventID\na\neventID\na\nb\neventID\nb\no.eventID,e.eventID\na,b\ntable,source\nevents,b.json\nold,a.json\n"
    );
    let (_, fault) = user.fault(&[], "\\source none.json\n");
    assert!(fault.contains("none.json: it does not exist"), "{fault}");
    let (_, fault) = user.fault(&["a.json"], "\\source -a.json\n");
    assert!(fault.contains("is the only source"), "{fault}");
    let (_, fault) = user.fault(&["-"], "SELECT 1;");
    assert!(fault.contains("standard input"), "{fault}");
}

fn event(id: &str, time: &str) -> String {
    format!(
        r#"{{"Records":[{{"eventVersion":"1.11","eventTime":"{time}","eventSource":"rds.amazonaws.com","eventName":"DeleteDBCluster","awsRegion":"eu-west-1","eventID":"{id}","userIdentity":{{"type":"IAMUser","userName":"eve"}}}}]}}"#
    )
}

#[test]
fn a_timeline_follows_a_resource_through_its_names() {
    let user = User::new();
    let record = |id: &str, name: &str, request: &str, response: &str| {
        format!(
            r#"{{"eventVersion":"1.11","eventTime":"2026-01-01T00:00:0{id}Z","eventSource":"rds.amazonaws.com","eventName":"{name}","awsRegion":"eu-west-1","eventID":"{id}","userIdentity":{{"type":"IAMUser","userName":"eve"}},"requestParameters":{request},"responseElements":{response}}}"#
        )
    };
    let arn = "arn:aws:rds:eu-west-1:111122223333:cluster:orders";
    let records = [
        record(
            "1",
            "CreateDBCluster",
            r#"{"dBClusterIdentifier":"orders"}"#,
            r#"{"dBClusterIdentifier":"orders","dbClusterResourceId":"cluster-ABC"}"#,
        ),
        record(
            "2",
            "ModifyDBCluster",
            r#"{"dBClusterIdentifier":"orders","newDBClusterIdentifier":"orders2"}"#,
            "null",
        ),
        record(
            "3",
            "DeleteDBCluster",
            r#"{"dBClusterIdentifier":"orders2"}"#,
            "null",
        ),
        record(
            "4",
            "DeleteDBCluster",
            r#"{"dBClusterIdentifier":"orders3"}"#,
            r#"{"dBClusterIdentifier":"orders3","dbClusterResourceId":"cluster-XYZ"}"#,
        ),
        record(
            "5",
            "ExecuteStatement",
            &format!(r#"{{"resourceArn":"{arn}"}}"#),
            "null",
        ),
        record(
            "6",
            "StartExportTask",
            r#"{"sourceArn":"cluster-abc"}"#,
            "null",
        ),
    ];
    user.write(
        "x.json",
        &format!(r#"{{"Records":[{}]}}"#, records.join(",")),
    );
    for identifier in ["orders", "ORDERS", arn, "cluster-ABC"] {
        let script = format!(
            "\\format csv\n\\timeline {identifier}\nSELECT count(*) AS n, min(eventTime) < max(eventTime) AS o FROM _;\n"
        );
        let output = user.answer(&["x.json"], &script);
        assert!(output.ends_with("n,o\n5,true\n"), "{identifier}: {output}");
        assert!(!output.contains("orders3"), "{output}");
    }
}
