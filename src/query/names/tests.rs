//! Names in every place of a statement, through a session with a small table.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, Int64Array, ListArray, ListBuilder, RecordBatch, StringArray,
    StringBuilder, StructArray, TimestampMicrosecondArray,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::*;
use crate::query::functions::json_path::json_get_path;

/// (path, class, is JSON, values of the three events)
type Text = (&'static str, &'static str, bool, [Option<&'static str>; 3]);

const CREATE: &str = r#"{"dBInstanceIdentifier":"orders-1","engine":"aurora-mysql","multiAZ":true,"port":"3306","tags":[{"key":"env","value":"prod"},{"key":"team"}],"x-amz.acl":"private"}"#;
const BUCKET: &str = r#"{"bucketName":"trail","count":7,"Host":{"a b":[1,2]},"flag":"maybe"}"#;

const TEXTS: &[Text] = &[
    (
        "eventName",
        CLASS_RECORD,
        false,
        [
            Some("CreateDBInstance"),
            Some("GetObject"),
            Some("DeleteDBCluster"),
        ],
    ),
    (
        "eventSource",
        CLASS_RECORD,
        false,
        [
            Some("rds.amazonaws.com"),
            Some("s3.amazonaws.com"),
            Some("rds.amazonaws.com"),
        ],
    ),
    (
        "eventID",
        CLASS_RECORD,
        false,
        [Some("1"), Some("2"), Some("x")],
    ),
    (
        "recipientAccountId",
        CLASS_RECORD,
        false,
        [Some("012345678901"), Some("210987654321"), None],
    ),
    (
        "userIdentity",
        CLASS_RECORD,
        true,
        [
            Some(
                r#"{"type":"IAMUser","userName":"alice","sessionContext":{"attributes":{"mfaAuthenticated":"true"}}}"#,
            ),
            Some(r#"{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/app/s"}"#),
            Some(r#"{"type":"IAMUser","userName":"bob"}"#),
        ],
    ),
    (
        "requestParameters",
        CLASS_RECORD,
        true,
        [Some(CREATE), Some(BUCKET), None],
    ),
    (
        "responseElements",
        CLASS_RECORD,
        true,
        [
            Some(r#"{"vpcSecurityGroups":[{"vpcSecurityGroupId":"sg-1","status":"active"}]}"#),
            None,
            Some("null"),
        ],
    ),
    ("awsRegion", CLASS_RECORD, false, [Some("eu-west-1"); 3]),
    (
        "userIdentity.type",
        CLASS_FLATTENED,
        false,
        [Some("IAMUser"), Some("AssumedRole"), Some("IAMUser")],
    ),
    (
        "userIdentity.userName",
        CLASS_FLATTENED,
        false,
        [Some("alice"), None, Some("bob")],
    ),
    (
        "userIdentity.arn",
        CLASS_FLATTENED,
        false,
        [None, Some("arn:aws:sts::1:assumed-role/app/s"), None],
    ),
    (
        "userIdentity.sessionContext.attributes.mfaAuthenticated",
        CLASS_FLATTENED,
        false,
        [Some("true"), None, None],
    ),
    (
        "requestParameters.dBInstanceIdentifier",
        CLASS_FLATTENED,
        false,
        [Some("orders-1"), None, None],
    ),
    (
        "requestParameters.engine",
        CLASS_FLATTENED,
        false,
        [Some("aurora-mysql"), None, None],
    ),
    (
        "requestParameters.tags",
        CLASS_FLATTENED,
        true,
        [
            Some(r#"[{"key":"env","value":"prod"},{"key":"team"}]"#),
            None,
            None,
        ],
    ),
    (
        "responseElements.vpcSecurityGroups",
        CLASS_FLATTENED,
        true,
        [
            Some(r#"[{"vpcSecurityGroupId":"sg-1","status":"active"}]"#),
            None,
            None,
        ],
    ),
    (
        "actor",
        CLASS_DERIVED,
        false,
        [Some("alice"), Some("app/s"), Some("bob")],
    ),
    (
        "source_uri",
        CLASS_DERIVED,
        false,
        [Some("a.json"), Some("a.json"), Some("b.json")],
    ),
];

fn field(path: &str, data_type: DataType, class: &str, json: bool) -> Field {
    let physical = path.to_lowercase().replace('.', "_");
    let metadata = [
        (PATH_KEY, path),
        (CLASS_KEY, class),
        (JSON_KEY, if json { "true" } else { "false" }),
    ];
    let metadata: HashMap<_, _> = metadata
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .into();
    Field::new(physical, data_type, true).with_metadata(metadata)
}

fn resources() -> ArrayRef {
    let text = |values: [&str; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let names = ["arn", "accountid", "type"];
    let fields: Fields = names
        .map(|name| Field::new(name, DataType::Utf8, true))
        .into_iter()
        .collect();
    let columns = vec![
        text(["arn:1", "arn:2"]),
        text(["11", "22"]),
        text(["AWS::RDS::DBInstance", "AWS::S3::Object"]),
    ];
    let items = StructArray::new(fields.clone(), columns, None);
    let item = Arc::new(Field::new("item", DataType::Struct(fields), true));
    let offsets = OffsetBuffer::from_lengths([1, 1, 0]);
    Arc::new(ListArray::new(item, offsets, Arc::new(items), None))
}

fn events() -> RecordBatch {
    let mut fields = vec![];
    let mut columns: Vec<ArrayRef> = vec![];
    for (path, class, json, values) in TEXTS {
        fields.push(field(path, DataType::Utf8, class, *json));
        columns.push(Arc::new(StringArray::from(values.to_vec())));
    }
    let mut add = |path: &str, class: &str, column: ArrayRef| {
        fields.push(field(path, column.data_type().clone(), class, false));
        columns.push(column);
    };
    let times = TimestampMicrosecondArray::from(vec![1_000_000, 2_000_000, 3_000_000]);
    let times = Arc::new(times.with_timezone("UTC"));
    assert_eq!(
        times.data_type(),
        &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
    );
    add("eventTime", CLASS_RECORD, times);
    let read_only = vec![Some(false), Some(true), Some(false)];
    add(
        "readOnly",
        CLASS_RECORD,
        Arc::new(BooleanArray::from(read_only)),
    );
    add("resources", CLASS_RECORD, resources());
    let ports = Int64Array::from(vec![Some(3306), None, None]);
    add("requestParameters.port", CLASS_FLATTENED, Arc::new(ports));
    let multi = BooleanArray::from(vec![Some(true), None, None]);
    add(
        "requestParameters.multiAZ",
        CLASS_FLATTENED,
        Arc::new(multi),
    );
    let mut groups = ListBuilder::new(StringBuilder::new());
    groups.append_value([Some("sg-1"), Some("sg-2")]);
    groups.append_null();
    groups.append_null();
    let groups = Arc::new(groups.finish());
    add(
        "requestParameters.vpcSecurityGroupIds",
        CLASS_FLATTENED,
        groups,
    );
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

struct Session {
    context: SessionContext,
    names: Names,
}

impl Session {
    fn new() -> Self {
        let config = SessionConfig::new()
            .with_information_schema(true)
            .with_target_partitions(1)
            .set_str("datafusion.sql_parser.dialect", "generic");
        let context = SessionContext::new_with_config(config);
        context.register_udf(json_get_path());
        let batch = events();
        let mut names = Names::new();
        names.add_table("events", &batch.schema());
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
        context.register_table("events", Arc::new(table)).unwrap();
        // A table that the rewriter was not told of.
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Utf8, false),
            Field::new("Label", DataType::Utf8, false),
        ]));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec!["alice", "bob"])),
            Arc::new(StringArray::from(vec!["admin", "dev"])),
        ];
        let batch = RecordBatch::try_new(schema, columns).unwrap();
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
        context.register_table("people", Arc::new(table)).unwrap();
        Self { context, names }
    }

    async fn run(&self, sql: &str) -> Result<(ColumnNames, Vec<RecordBatch>, Schema), String> {
        let state = self.context.state();
        let dialect = state.config().options().sql_parser.dialect;
        let mut statement = state
            .sql_to_statement(sql, &dialect)
            .map_err(|error| error.to_string())?;
        let column_names = self
            .names
            .rewrite(&mut statement)
            .map_err(|error| error.to_string())?;
        let rewritten = statement.to_string();
        let explain = |error: DataFusionError| match self.names.explain_plan_error(&error) {
            Some(message) => message,
            None => format!("{error}\n  {rewritten}"),
        };
        let plan = state.statement_to_plan(statement).await.map_err(explain)?;
        let frame = self
            .context
            .execute_logical_plan(plan)
            .await
            .map_err(|error| error.to_string())?;
        let schema = frame.schema().as_arrow().clone();
        let batches = frame
            .collect()
            .await
            .map_err(|error| format!("{error}\n  {rewritten}"))?;
        Ok((column_names, batches, schema))
    }

    /// The titles, then the rows: `a|b; 1|2; 3|NULL`.
    async fn ask(&self, sql: &str) -> String {
        let (column_names, batches, schema) = match self.run(sql).await {
            Ok(answer) => answer,
            Err(message) => return format!("error: {message}"),
        };
        let mut lines = vec![column_names.apply(&schema).join("|")];
        let options = FormatOptions::new().with_null("NULL");
        for batch in &batches {
            let columns = batch.columns().iter();
            let columns: Vec<_> = columns
                .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
                .collect();
            for row in 0..batch.num_rows() {
                let cells = columns.iter().map(|column| column.value(row).to_string());
                lines.push(cells.collect::<Vec<_>>().join("|"));
            }
        }
        lines.join("; ")
    }
}

/// Every statement with what it gives.
async fn check(statements: &[(&str, &str)]) {
    let session = Session::new();
    let mut wrong = vec![];
    for (sql, expected) in statements {
        let found = session.ask(sql).await;
        if found != *expected {
            wrong.push(format!("{sql}\n  wanted: {expected}\n  found:  {found}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn paths_resolve_in_any_case_quoted_or_not() {
    check(&[
        (
            "SELECT userIdentity.userName FROM events",
            "userIdentity.userName; alice; NULL; bob",
        ),
        (
            "SELECT USERIDENTITY.username, useridentity_username FROM Events WHERE EVENTNAME = 'GetObject'",
            "USERIDENTITY.username|useridentity_username; NULL|NULL",
        ),
        (
            r#"SELECT "userIdentity"."userName", "userIdentity.userName" u FROM "Events" LIMIT 1"#,
            "userIdentity.userName|u; alice|alice",
        ),
        (
            r#"SELECT "userIdentity.sessionContext".attributes."mfaAuthenticated" m FROM events LIMIT 1"#,
            "m; true",
        ),
        (
            "SELECT events.userIdentity.userName, public.events.eventID, \
             datafusion.public.events.userIdentity.type FROM events LIMIT 1",
            "events.userIdentity.userName|public.events.eventID|\
             datafusion.public.events.userIdentity.type; alice|1|IAMUser",
        ),
        (
            "SELECT E.userIdentity.userName FROM public.EVENTS AS e WHERE e.eventid = 'x'",
            "E.userIdentity.userName; bob",
        ),
        ("SELECT user.userIdentity.type FROM events AS user LIMIT 1", "user.userIdentity.type; IAMUser"),
        ("FROM events SELECT actor LIMIT 1", "actor; alice"),
    ])
    .await;
}

#[tokio::test]
async fn what_is_no_column_is_read_from_json() {
    check(&[
        (
            "SELECT requestParameters.bucketName b FROM events",
            "b; NULL; trail; NULL",
        ),
        (
            "SELECT requestParameters.host.\"a b\"[2], requestParameters['x-amz.acl'] FROM events",
            "requestParameters.host.\"a b\"[2]|requestParameters['x-amz.acl']; NULL|private; 2|NULL; NULL|NULL",
        ),
        (
            "SELECT requestParameters.tags[1].key, requestParameters.tags[2] t2 FROM events LIMIT 1",
            "requestParameters.tags[1].key|t2; env|{\"key\":\"team\"}",
        ),
        (
            "SELECT e.responseElements.vpcSecurityGroups[1].STATUS s FROM events e WHERE s IS NOT NULL",
            "error: no column s in events: it is an alias of the SELECT list, which only GROUP BY, \
             HAVING and ORDER BY see; repeat its expression here",
        ),
        (
            "SELECT e.responseElements.vpcSecurityGroups[1].STATUS s FROM events e \
             WHERE e.responseelements.vpcsecuritygroups[1].status IS NOT NULL",
            "s; active",
        ),
        (
            r#"SELECT "requestParameters.bucketName" FROM events WHERE "requestParameters.bucketName" LIKE 't%'"#,
            "requestParameters.bucketName; trail",
        ),
        (
            "SELECT requestParameters.tags[1]['key'] k, requestParameters['engine'] g FROM events LIMIT 1",
            "k|g; env|aurora-mysql",
        ),
        (
            "SELECT requestParameters.bucketName, count(*) FROM events \
             GROUP BY requestparameters.BUCKETNAME ORDER BY requestParameters.BucketName NULLS LAST",
            "requestParameters.bucketName|count(*); trail|1; NULL|2",
        ),
        (
            "SELECT DISTINCT requestParameters.bucketName FROM events ORDER BY requestParameters.bucketName NULLS LAST",
            "requestParameters.bucketName; trail; NULL",
        ),
    ])
    .await;
}

#[tokio::test]
async fn lists_and_structs_are_the_engines_own() {
    check(&[
        (
            "SELECT resources[1].ARN, resources[1].accountId FROM events",
            "resources[1].ARN|resources[1].accountId; arn:1|11; arn:2|22; NULL|NULL",
        ),
        (
            "SELECT e.RESOURCES[1]['type'] t FROM events e WHERE e.resources[1].arn = 'arn:2'",
            "t; AWS::S3::Object",
        ),
        (
            "SELECT requestParameters.vpcSecurityGroupIds[2] FROM events LIMIT 1",
            "requestParameters.vpcSecurityGroupIds[2]; sg-2",
        ),
        (
            "SELECT resources.arn FROM events",
            "error: resources is an array; select one element, as in resources[1].arn, or UNNEST it",
        ),
        (
            "SELECT resources[1].name FROM events",
            "error: resources[1] has no field name; its fields are arn, accountid, type",
        ),
        (
            "SELECT eventName, r.ARN FROM events CROSS JOIN UNNEST(RESOURCES) AS t(r)",
            "eventName|r.ARN; CreateDBInstance|arn:1; GetObject|arn:2",
        ),
        (
            "SELECT e.actor, t.* FROM events e, UNNEST(e.resources) AS t(a, Account, kind) WHERE e.userIdentity.type = 'IAMUser'",
            "e.actor|a|Account|kind; alice|arn:1|11|AWS::RDS::DBInstance",
        ),
        (
            "SELECT e.eventID, T.sg, f.eventID, r.accountId FROM events e JOIN events f ON f.eventID = e.eventID \
             CROSS JOIN UNNEST(e.requestParameters.vpcSecurityGroupIds) t(SG) CROSS JOIN UNNEST(e.resources) AS u(r) ORDER BY sg",
            "e.eventID|T.sg|f.eventID|r.accountId; 1|sg-1|1|11; 1|sg-2|1|11",
        ),
        (
            "SELECT count(*), max(unnest.arn), max(r.arn) FROM events, UNNEST(resources) JOIN (SELECT eventID, resources[1] r FROM events) s USING (eventID)",
            "count(*)|max(unnest.arn)|max(r.arn); 2|arn:2|arn:2",
        ),
        (
            "SELECT x + 1 y FROM UNNEST(ARRAY[1, 2]) AS t(X)",
            "y; 2; 3",
        ),
        (
            "SELECT array_any_match(requestParameters.vpcSecurityGroupIds, g -> g = 'sg-2' AND g <> eventName) m FROM events",
            "m; true; NULL; NULL",
        ),
        (
            "SELECT array_transform(requestParameters.vpcSecurityGroupIds, userName -> upper(userName)) t FROM events LIMIT 1",
            "t; [SG-1, SG-2]",
        ),
    ])
    .await;
}

#[tokio::test]
async fn every_clause_takes_paths_and_aliases() {
    check(&[
        (
            "SELECT userIdentity.type, COUNT(*) AS \"Calls\" FROM events GROUP BY userIdentity.type \
             HAVING count(*) > 1 ORDER BY calls",
            "userIdentity.type|Calls; IAMUser|2",
        ),
        (
            "SELECT userIdentity.type AS Kind, count(*) AS N FROM events GROUP BY kind HAVING n > 0 ORDER BY \"N\" DESC, KIND",
            "Kind|N; IAMUser|2; AssumedRole|1",
        ),
        (
            "SELECT userIdentity.userName AS user, count(*) FROM events GROUP BY user ORDER BY user NULLS FIRST",
            "user|count(*); NULL|1; alice|1; bob|1",
        ),
        (
            "SELECT userIdentity.type, count(*) FROM events GROUP BY 1 ORDER BY 2",
            "userIdentity.type|count(*); AssumedRole|1; IAMUser|2",
        ),
        (
            "SELECT userIdentity.type, count(*) FROM events GROUP BY ALL ORDER BY 1",
            "userIdentity.type|count(*); AssumedRole|1; IAMUser|2",
        ),
        (
            "SELECT COUNT(*) FILTER (WHERE userIdentity.type = 'IAMUser'), count(DISTINCT actor) FROM events",
            "COUNT(*) FILTER (WHERE userIdentity.type = 'IAMUser')|count(DISTINCT actor); 2|3",
        ),
        (
            "SELECT actor, row_number() OVER (PARTITION BY userIdentity.type ORDER BY eventTime DESC) AS r \
             FROM events ORDER BY userIdentity.arn NULLS LAST, r",
            "actor|r; app/s|1; bob|1; alice|2",
        ),
        (
            "SELECT actor, rank() OVER w r FROM events QUALIFY R = 1 WINDOW w AS (ORDER BY eventTime)",
            "actor|r; alice|1",
        ),
        (
            "SELECT CASE userIdentity.type WHEN 'IAMUser' THEN userIdentity.userName ELSE actor END who FROM events",
            "who; alice; app/s; bob",
        ),
        (
            "SELECT upper(eventName) AS eventName FROM events ORDER BY eventname DESC LIMIT 1",
            "eventName; GETOBJECT",
        ),
        (
            "SELECT DISTINCT ON (userIdentity.type) userIdentity.type, actor FROM events ORDER BY userIdentity.type, eventTime DESC",
            "userIdentity.type|actor; AssumedRole|app/s; IAMUser|bob",
        ),
        ("SELECT eventTime FROM events WHERE eventTime > '1970-01-01 00:00:02' AND readOnly = false",
         "eventTime; 1970-01-01T00:00:03Z"),
        ("SELECT current_date > DATE '2020-01-01' c, count(*) FROM events", "c|count(*); true|3"),
    ])
    .await;
}

#[tokio::test]
async fn names_flow_through_ctes_and_subqueries() {
    check(&[
        (
            "WITH c AS (SELECT * FROM events) SELECT userIdentity.userName, actor FROM c LIMIT 1",
            "userIdentity.userName|actor; alice|alice",
        ),
        (
            "WITH c AS (SELECT userIdentity.userName FROM events) \
             SELECT username, userIdentity.userName, C.useridentity_username FROM c LIMIT 1",
            "username|userIdentity.userName|C.useridentity_username; alice|alice|alice",
        ),
        (
            "WITH c AS (SELECT e.requestParameters.bucketName, COUNT(*) FROM events e GROUP BY 1) \
             SELECT bucketname, requestparameters.bucketName, \"count(*)\" FROM c WHERE bucketName IS NOT NULL",
            "bucketname|requestparameters.bucketName|count(*); trail|trail|1",
        ),
        (
            "WITH C AS (SELECT requestParameters.host AS h FROM events) SELECT c.H.\"a b\"[1] FROM \"c\" WHERE h IS NOT NULL",
            "c.H.\"a b\"[1]; 1",
        ),
        (
            "WITH c(Name, n) AS (SELECT userIdentity.userName, 1 FROM events) SELECT NAME, N FROM c LIMIT 1",
            "NAME|N; alice|1",
        ),
        (
            "WITH a AS (SELECT * FROM events), b AS (SELECT * FROM a WHERE actor <> 'bob') \
             SELECT b.userIdentity.type FROM b ORDER BY source_uri, eventTime",
            "b.userIdentity.type; IAMUser; AssumedRole",
        ),
        (
            "SELECT d.userIdentity.userName, d.Who FROM (SELECT *, upper(actor) AS Who FROM events) d LIMIT 1",
            "d.userIdentity.userName|d.Who; alice|ALICE",
        ),
        (
            "SELECT actor FROM (SELECT * FROM events) WHERE userIdentity.type = 'AssumedRole'",
            "actor; app/s",
        ),
        (
            "SELECT actor FROM events e WHERE EXISTS (SELECT * FROM events f \
             WHERE f.userIdentity.type = e.userIdentity.type AND f.eventID <> e.eventID)",
            "actor; alice; bob",
        ),
        (
            "SELECT actor FROM events WHERE userIdentity.userName IN (SELECT userIdentity.userName FROM events WHERE eventID = 'x')",
            "actor; bob",
        ),
        (
            "SELECT actor, (SELECT count(*) FROM events f WHERE f.userIdentity.type = e.userIdentity.type) n FROM events e",
            "actor|n; alice|2; app/s|1; bob|2",
        ),
        (
            "SELECT e.actor, l.n FROM events e CROSS JOIN LATERAL \
             (SELECT count(*) n FROM events f WHERE f.userIdentity.type = e.userIdentity.type) l ORDER BY e.actor",
            "e.actor|l.n; alice|2; app/s|1; bob|2",
        ),
        (
            "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT N + 1 FROM t WHERE n < 3) SELECT max(N) FROM T",
            "max(N); 3",
        ),
        (
            "WITH events AS (SELECT * FROM events WHERE actor = 'bob') SELECT userIdentity.userName FROM Events",
            "userIdentity.userName; bob",
        ),
        (
            "WITH c AS (SELECT a.actor, b.actor FROM events a JOIN events b USING (eventID) WHERE a.eventID = 'x') SELECT * FROM c",
            "a.actor|b.actor; bob|bob",
        ),
        (
            "WITH c AS (SELECT eventName FROM events UNION ALL SELECT * FROM (VALUES ('z')) v) SELECT count(EVENTNAME) FROM c",
            "count(EVENTNAME); 4",
        ),
        (
            "WITH c AS (SELECT * FROM events UNION ALL SELECT * FROM events) SELECT actor, count(*) FROM c GROUP BY actor ORDER BY 1 LIMIT 1",
            "actor|count(*); alice|2",
        ),
        (
            "WITH c AS (SELECT DISTINCT * FROM events) SELECT userIdentity.userName FROM c ORDER BY 1 LIMIT 1",
            "userIdentity.userName; alice",
        ),
        (
            "WITH c AS (SELECT eventName, actor FROM events UNION ALL SELECT eventName, source_uri FROM events) SELECT count(*) FROM c WHERE ACTOR LIKE '%.json'",
            "count(*); 3",
        ),
    ])
    .await;
}

#[tokio::test]
async fn joins_and_unions_find_their_columns() {
    check(&[
        (
            "SELECT a.userIdentity.userName, b.userIdentity.userName FROM events a JOIN events b \
             ON a.userIdentity.type = b.userIdentity.type AND a.eventID < b.eventID",
            "a.userIdentity.userName|b.userIdentity.userName; alice|bob",
        ),
        (
            "SELECT eventID, a.actor FROM events a JOIN events b USING (EVENTID, userIdentity.type) ORDER BY eventId",
            "eventID|a.actor; 1|alice; 2|app/s; x|bob",
        ),
        (
            "SELECT p.id, p.\"Label\", userIdentity.type FROM events JOIN people p ON p.id = userIdentity.userName ORDER BY id",
            "p.id|p.Label|userIdentity.type; alice|admin|IAMUser; bob|dev|IAMUser",
        ),
        (
            "SELECT actor FROM events e LEFT SEMI JOIN people p ON p.id = e.userIdentity.userName",
            "actor; alice; bob",
        ),
        (
            "SELECT userIdentity.userName FROM events UNION ALL SELECT eventName FROM events ORDER BY userIdentity.userName LIMIT 2",
            "userIdentity.userName; CreateDBInstance; DeleteDBCluster",
        ),
        (
            "SELECT requestParameters.bucketName, actor FROM events UNION SELECT actor, actor FROM events \
             ORDER BY requestParameters.bucketName, ACTOR LIMIT 1",
            "requestParameters.bucketName|actor; alice|alice",
        ),
        (
            "SELECT userIdentity.type FROM events INTERSECT SELECT 'IAMUser' ORDER BY 1",
            "userIdentity.type; IAMUser",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_wildcard_gives_the_record_and_no_more() {
    let record = "eventname|eventsource|eventid|recipientaccountid|useridentity|requestparameters|\
                  responseelements|awsregion|eventtime|readonly|resources";
    let session = Session::new();
    let column_names = async |sql: &str| {
        let answer = session.run(sql).await;
        answer.map_or_else(
            |error| format!("error: {error}"),
            |(column_names, _, schema)| column_names.apply(&schema).join("|"),
        )
    };
    assert_eq!(column_names("SELECT * FROM events").await, record);
    assert_eq!(column_names("FROM events").await, record);
    assert_eq!(
        column_names("SELECT e.* FROM events e JOIN people ON id = actor").await,
        record
    );
    assert_eq!(
        column_names("SELECT *, userIdentity.userName, eventName, eventName AS n FROM events")
            .await,
        format!("{record}|userIdentity.userName|eventName|n")
    );
    assert_eq!(
        column_names("WITH c AS (SELECT * FROM events) SELECT * FROM c WHERE actor = 'bob'").await,
        record
    );
    assert_eq!(
        column_names("SELECT 1 AS \"One\", p.*, e.* FROM events e, people p").await,
        format!("One|id|Label|{record}")
    );
    assert_eq!(
        column_names("SELECT * FROM people p JOIN events e ON true").await,
        format!("id|Label|{record}")
    );
    let short =
        "eventname|eventsource|eventid|recipientaccountid|awsregion|eventtime|readonly|resources";
    assert_eq!(
        column_names(
            "SELECT * EXCLUDE (userIdentity, requestParameters, RESPONSEELEMENTS) FROM events"
        )
        .await,
        short
    );
    assert_eq!(
        column_names(
            "SELECT * EXCEPT (userIdentity, requestParameters, RESPONSEELEMENTS) FROM events"
        )
        .await,
        short
    );
    assert_eq!(
        column_names("SELECT a.*, b.actor FROM events a JOIN events b USING (eventID)").await,
        format!("{record}|b.actor")
    );
    let joined = column_names("SELECT * FROM events a JOIN events b USING (eventID)").await;
    assert_eq!(joined.matches("eventid").count(), 1, "{joined}");
    assert_eq!(
        column_names(
            "SELECT eventName FROM events UNION ALL SELECT * FROM (SELECT actor FROM events)"
        )
        .await,
        "eventName"
    );
}

#[tokio::test]
async fn wildcard_options_change_columns() {
    check(&[
        (
            "SELECT * REPLACE (upper(actor) AS eventName) RENAME (eventID AS Id) FROM (SELECT eventID, eventName, actor FROM events) LIMIT 1",
            "Id|eventName|actor; 1|ALICE|alice",
        ),
        (
            "SELECT * EXCLUDE evntName FROM events",
            "error: no column evntName in events; did you mean eventName?",
        ),
    ])
    .await;
}

#[tokio::test]
async fn text_that_meets_a_number_or_boolean_is_tried_not_cast() {
    check(&[
        ("SELECT eventID FROM events WHERE eventID > 1", "eventID; 2"),
        ("SELECT eventID FROM events WHERE 2 = eventID", "eventID; 2"),
        ("SELECT eventID FROM events WHERE eventID IN (1, 2.0)", "eventID; 1; 2"),
        ("SELECT eventID FROM events WHERE eventID BETWEEN -1 AND 1", "eventID; 1"),
        ("SELECT eventID + 1 FROM events", "eventID + 1; 2; 3; NULL"),
        (
            "SELECT eventID FROM events WHERE recipientAccountId = 12345678901",
            "eventID; 1",
        ),
        (
            "SELECT eventID FROM events WHERE requestParameters.count + 1 > 7.5",
            "eventID; 2",
        ),
        (
            "SELECT eventID FROM events WHERE requestParameters.flag = true OR (requestParameters.count) <> 8",
            "eventID; 2",
        ),
        (
            "SELECT eventID FROM events WHERE userIdentity.sessionContext.attributes.mfaAuthenticated = true",
            "eventID; 1",
        ),
        (
            "SELECT eventID FROM events WHERE userIdentity.sessionContext.attributes.mfaAuthenticated AND NOT requestParameters.nothing IS TRUE",
            "eventID; 1",
        ),
        (
            "SELECT eventID FROM events WHERE requestParameters.port = 3306 AND requestParameters.multiAZ = true AND requestParameters.multiAZ",
            "eventID; 1",
        ),
        (
            "WITH c AS (SELECT requestParameters.flag AS f, eventID AS i FROM events) SELECT i FROM c WHERE f = 3 OR i = 2",
            "i; 2",
        ),
        (
            "SELECT CASE eventID WHEN 1 THEN 'one' ELSE 'other' END c FROM events",
            "c; one; other; other",
        ),
        (
            "SELECT eventID FROM events WHERE requestParameters.port = eventID OR eventID = 2",
            "eventID; 2",
        ),
    ])
    .await;
}

#[tokio::test]
async fn unknown_names_are_refused_with_what_was_meant() {
    check(&[
        (
            "SELECT evntName FROM events",
            "error: no column evntName in events; did you mean eventName?",
        ),
        (
            "SELECT e.evntName FROM events e WHERE e.actor = 'x'",
            "error: no column e.evntName in events; did you mean eventName?",
        ),
        (
            "SELECT userName FROM events",
            "error: no column userName in events; did you mean userIdentity.userName?",
        ),
        (
            "SELECT zzz FROM events",
            "error: no column zzz in events; DESCRIBE events lists the columns",
        ),
        (
            "SELECT eventName.foo FROM events",
            "error: no column eventName.foo in events; did you mean eventName?",
        ),
        (
            "SELECT actor FROM events WHERE eventName = \"CreateThing\"",
            "error: no column CreateThing in events; a string is written in single quotes: 'CreateThing'",
        ),
        (
            "WITH c AS (SELECT eventName AS Name FROM events) SELECT foo FROM c",
            "error: no column foo in c; its columns are Name",
        ),
        (
            "SELECT actor FROM events WHERE EXISTS (SELECT 1 FROM events f WHERE f.actr = 'x')",
            "error: no column f.actr in events; did you mean actor?",
        ),
        (
            "SELECT evntName FROM events, people",
            "error: no column evntname in events, people; did you mean eventName?",
        ),
        (
            "SELECT * FROM evnts",
            "error: no table evnts; did you mean events? (the tables are events)",
        ),
        ("SELECT x", "error: no column x here: there is no table in FROM"),
    ])
    .await;
}

#[tokio::test]
async fn an_extraction_that_nearly_names_a_column_is_noted() {
    let session = Session::new();
    let notes = async |sql: &str| session.run(sql).await.unwrap().0.notes;
    assert_eq!(
        notes("SELECT userIdentity.usrName FROM events e WHERE userIdentity.usrName IS NULL").await,
        [
            "userIdentity.usrName is not a known field; did you mean userIdentity.userName? \
             (read from the JSON of userIdentity)"
        ]
    );
    let none: [String; 0] = [];
    assert_eq!(
        notes("SELECT requestParameters.bucketName, requestParameters.tags[1].key FROM events")
            .await,
        none
    );
}

#[tokio::test]
async fn statements_around_a_query_are_rewritten_too() {
    let session = Session::new();
    let plan = session
        .ask("EXPLAIN SELECT userIdentity.userName FROM Events")
        .await;
    assert!(plan.starts_with("plan_type|plan;"), "{plan}");
    assert!(plan.contains("useridentity_username"), "{plan}");
    for (sql, expected) in [
        (
            "PREPARE q AS SELECT userIdentity.userName FROM events WHERE eventID = $1",
            "",
        ),
        ("EXECUTE q('x')", "useridentity_username; bob"),
        (
            "CREATE TABLE t AS SELECT userIdentity.userName, requestParameters.bucketName FROM events",
            "",
        ),
        (
            "DESCRIBE t",
            "column_name|data_type|is_nullable; useridentity_username|Utf8|YES; requestParameters.bucketName|Utf8|YES",
        ),
        (
            "SELECT count(*) FROM information_schema.columns WHERE table_name = 'events'",
            "count(*); 24",
        ),
    ] {
        let found = session.ask(sql).await;
        let found = if expected.is_empty() { "" } else { &found };
        assert_eq!(found, expected, "{sql}");
    }
    assert_eq!(
        session.ask("DESCRIBE events").await.matches("; ").count(),
        24
    );
    let file = std::env::temp_dir().join(format!("names-{}.csv", std::process::id()));
    let sql = format!(
        "COPY (SELECT userIdentity.userName, requestParameters.bucketName FROM events) TO '{}'",
        file.display()
    );
    assert_eq!(session.ask(&sql).await, "count; 3");
    let written = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(
        written.lines().next(),
        Some("useridentity_username,requestParameters.bucketName")
    );
}

#[tokio::test]
async fn a_view_is_open_to_paths_and_shows_what_it_named() {
    let mut session = Session::new();
    for (view, sql) in [
        (
            "all_rds",
            "CREATE VIEW all_rds AS SELECT * FROM events WHERE eventSource LIKE 'rds%'",
        ),
        (
            "who",
            "CREATE VIEW who AS SELECT userIdentity.userName, requestParameters.bucketName, actor AS A FROM events",
        ),
    ] {
        let (column_names, _, _) = session.run(sql).await.unwrap();
        let table = session.context.table_provider(view).await.unwrap();
        session
            .names
            .add_selected(view, &table.schema(), &column_names);
    }
    assert_eq!(
        session
            .ask("SELECT userIdentity.userName, requestParameters.foo, actor FROM all_rds")
            .await,
        "userIdentity.userName|requestParameters.foo|actor; alice|NULL|alice; bob|NULL|bob"
    );
    let all = session.ask("SELECT * FROM all_rds LIMIT 0").await;
    assert_eq!(all.matches('|').count(), 10, "{all}");
    assert_eq!(
        session
            .ask("SELECT * FROM who WHERE requestParameters.bucketName = 'trail'")
            .await,
        "useridentity_username|requestParameters.bucketName|a; NULL|trail|app/s"
    );
}

#[tokio::test]
async fn a_query_with_thousands_of_conditions_is_rewritten() {
    let session = Session::new();
    let ors: Vec<String> = (0..3000)
        .map(|at| format!("userIdentity.userName = 'u{at}'"))
        .collect();
    let sql = format!("SELECT count(*) FROM events WHERE {}", ors.join(" OR "));
    let state = session.context.state();
    let dialect = state.config().options().sql_parser.dialect;
    let mut statement = state.sql_to_statement(&sql, &dialect).unwrap();
    session.names.rewrite(&mut statement).unwrap();
    assert!(
        statement
            .to_string()
            .contains("\"useridentity_username\" = 'u2999'")
    );
}

#[tokio::test]
async fn odd_corners_hold() {
    check(&[
        (
            "SELECT userIdentity.type, count(*) FROM events GROUP BY ROLLUP(userIdentity.type) ORDER BY 2, 1",
            "userIdentity.type|count(*); AssumedRole|1; IAMUser|2; NULL|3",
        ),
        (
            "FROM events |> WHERE userIdentity.type = 'AssumedRole' |> SELECT actor",
            "actor; app/s",
        ),
        (
            "SELECT actor FROM events |> WHERE Actor = 'bob' |> LIMIT 1",
            "actor; bob",
        ),
        (
            r#"WITH c AS (SELECT count(*) AS "Calls", actor AS Who FROM events GROUP BY 2) SELECT calls, c."WHO" FROM c ORDER BY who LIMIT 1"#,
            "calls|c.WHO; 1|alice",
        ),
        (
            r#"SELECT "E".actor, "e"."ACTOR" FROM events AS "E" LIMIT 1"#,
            "E.actor|e.ACTOR; alice|alice",
        ),
        (
            "SELECT eventName, EVENTNAME, events.eventName AS eventName FROM events LIMIT 1",
            "eventName|EVENTNAME|eventName; CreateDBInstance|CreateDBInstance|CreateDBInstance",
        ),
        (
            "SELECT substr(userIdentity.userName, 1, 2), upper(e.userIdentity.userName) || '!' FROM events e WHERE userIdentity.userName LIKE 'a%'",
            "SUBSTR(userIdentity.userName, 1, 2)|upper(e.userIdentity.userName) || '!'; al|ALICE!",
        ),
        (
            "SELECT array_agg(actor ORDER BY userIdentity.userName NULLS FIRST) a FROM events",
            "a; [app/s, alice, bob]",
        ),
        (
            "SELECT extract(year FROM eventTime) y, date_trunc('hour', eventTime) AS eventTime, count(*) FROM events GROUP BY 1, 2 ORDER BY eventtime",
            "y|eventTime|count(*); 1970|1970-01-01T00:00:00Z|3",
        ),
        (
            "SELECT actor FROM events WHERE (SELECT max(f.eventTime) FROM events f) = eventTime AND userIdentity.arn IS NULL",
            "actor; bob",
        ),
        (
            "SELECT * FROM (VALUES (1, 'a')) AS v(Num, \"Txt\") WHERE NUM = 1 AND txt = 'a'",
            "Num|Txt; 1|a",
        ),
        (
            "SELECT label FROM people",
            "error: no column label in people; did you mean Label?",
        ),
        (
            "WITH a AS (SELECT actor, eventID FROM events), b AS (SELECT eventID, eventName FROM events) \
             SELECT * FROM a NATURAL JOIN b ORDER BY eventID LIMIT 1",
            "actor|eventid|eventname; alice|1|CreateDBInstance",
        ),
        (
            "SELECT x.n FROM (SELECT userIdentity.userName AS n FROM events UNION SELECT requestParameters.bucketName FROM events) AS x ORDER BY X.N LIMIT 1",
            "x.n; alice",
        ),
        (
            "SELECT count(*), sum(CASE WHEN userIdentity.type = 'IAMUser' THEN 1 ELSE 0 END) OVER () FROM events GROUP BY userIdentity.type LIMIT 1",
            "count(*)|sum(CASE WHEN userIdentity.type = 'IAMUser' THEN 1 ELSE 0 END) OVER (); 2|1",
        ),
        (
            "SELECT requestParameters.tags[n] FROM events, (SELECT 1 AS n)",
            "error: the index into requestParameters.tags is not a constant; expected a number from 1, as in requestParameters.tags[1]",
        ),
        (
            "SELECT resources[N].arn FROM events, (SELECT 1 AS n) LIMIT 1",
            "resources[N].arn; arn:1",
        ),
    ])
    .await;
}

#[test]
fn a_schema_is_indexed_once() {
    let schema = events().schema();
    let mut names = Names::new();
    names.add_table("events", &schema);
    let first = Arc::clone(&names.tables["events"].columns);
    names.add_table("Events", &events().schema());
    names.add_table("aurora_events", &schema);
    let clone = names.clone();
    assert!(Arc::ptr_eq(&first, &clone.tables["events"].columns));
    assert!(Arc::ptr_eq(&first, &clone.tables["aurora_events"].columns));
}
