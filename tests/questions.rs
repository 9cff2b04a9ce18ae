//! Ten questions about the made-up events, as somebody types them who knows psql and has read
//! nothing, with the answers that they get.

use crate::prompt::User;

/// What is typed, and what the answer has to hold.
const QUESTIONS: &[(&str, &[&str])] = &[
    // What is there?
    ("\\d", &["events", "aurora_events"]),
    // What happens here most?
    (
        "select eventname, count(*) from events group by eventname order by count(*) desc limit 3;",
        &["eventname,count(*)", "DescribeDBInstances,"],
    ),
    // What are the columns about snapshots called?
    (
        "\\d events snapshot",
        &["requestParameters.dBClusterSnapshotIdentifier,varchar,"],
    ),
    // Who deleted clusters?
    (
        "SELECT actor, count(*) FROM events WHERE eventName = 'DeleteDBCluster' AND errorCode IS NULL GROUP BY actor;",
        &["terraform-deploy/terraform-cloud-run,"],
    ),
    // Who calls at night, and changes something?
    (
        "SELECT eventTime, actor, eventName FROM events WHERE extract(hour FROM eventTime) = 2 AND \
         eventName LIKE 'Stop%' ORDER BY eventTime;",
        &["dba-breakglass", "StopLogging"],
    ),
    // What was shared with whom?
    (
        "SELECT requestParameters.dBClusterSnapshotIdentifier, requestParameters.valuesToAdd, actor FROM events \
         WHERE eventName = 'ModifyDBClusterSnapshotAttribute' AND requestParameters.valuesToAdd[1] NOT LIKE '5555%';",
        &["orders-prod-qa-copy", "999988887777"],
    ),
    // What else did that person do?
    (
        "SELECT eventTime, eventName, errorCode, db_identifier FROM events WHERE actor LIKE '%dba-breakglass%' \
         AND sourceIPAddress = '198.51.100.77' ORDER BY eventTime;",
        &[
            "CopyDBClusterSnapshot,,orders-prod-qa-copy",
            "StopLogging,AccessDenied",
            "DeleteDBClusterSnapshot",
        ],
    ),
    // Who was that before they became this role?
    (
        "SELECT userIdentity.userName, eventName, errorCode, count(*) FROM events WHERE sourceIPAddress = '198.51.100.77' \
         AND userIdentity.type = 'IAMUser' GROUP BY 1, 2, 3 ORDER BY 4 DESC;",
        &["svc-backup-legacy,", "AssumeRole,"],
    ),
    // What is the whole event?
    (
        "SELECT eventName, actor FROM events WHERE eventName = 'StopLogging' LIMIT 1;\n\\record 1",
        &["\"errorCode\": \"AccessDenied\""],
    ),
    // What happened to that snapshot, from its making to its end?
    (
        "\\timeline orders-prod-qa-copy",
        &[
            "CopyDBClusterSnapshot",
            "ModifyDBClusterSnapshotAttribute",
            "DeleteDBClusterSnapshot",
        ],
    ),
];

#[test]
fn ten_questions_are_answered_as_they_are_typed() {
    let user = User::new();
    for (typed, expected) in QUESTIONS {
        let script = format!("\\format csv\n{typed}\n");
        let answer = user.answer(&["sample:?events=10000"], &script);
        for text in *expected {
            assert!(
                answer.contains(text),
                "{typed}\nexpected {text}, found\n{answer}"
            );
        }
    }
}
