//! SQL over HTTP: the Data API in its two forms, and DSQL.

use super::actors::SQL;
use super::event::{Call, Event};
use super::json::push_base62;
use super::world::{DSQL, SERVERLESS_V1};

/// The Data API's placeholder for texts of the caller.
const MASK: &str = "**********";

const EXECUTE: &str = "ExecuteStatement";
const BATCH: &str = "BatchExecuteStatement";
const BEGIN: &str = "BeginTransaction";

/// The calls of the Data API: frequency in percent, name, and command.
const DATA_API: [(u32, &str, &str); 5] = [
    (62, EXECUTE, "rds-data.execute-statement"),
    (16, BATCH, "rds-data.batch-execute-statement"),
    (10, BEGIN, "rds-data.begin-transaction"),
    (10, "CommitTransaction", "rds-data.commit-transaction"),
    (2, "RollbackTransaction", "rds-data.rollback-transaction"),
];

/// Writes a call of the Data API. Returns false, writing nothing, if no cluster of the scope has
/// it.
pub(super) fn write_data_api(event: &mut Event<'_>) -> bool {
    let fits = |database: &_| -> bool {
        let database: &super::world::Database = database;
        database.data_api || database.class == SERVERLESS_V1
    };
    let Some(database) = event.database(fits) else {
        return false;
    };
    event.pick_actor(SQL);
    let v1 = database.class == SERVERLESS_V1;
    let cluster = event.arn("cluster", database.name);
    let (_, name, command) = event.random.weighted(&DATA_API, |row| row.0);
    let source = if v1 { "rdsdata" } else { "rdsdataapi" };
    let call = Call::write(source, name, command);
    if !v1 {
        event.kind = "Rds Data Service";
        event.data = true;
        event.set_resource("AWS::RDS::DBCluster", &cluster);
    }
    let secret = event.scope.secret(&[database.name, "/app"].concat());
    event.write_read(&call, |event| {
        event.request(|event| {
            statement(event, name);
            event.json.text("resourceArn", &cluster);
            if matches!(*name, EXECUTE | BATCH | BEGIN) {
                event.json.text("schema", MASK);
            }
            event.json.text("secretArn", &secret);
        });
    });
    true
}

fn statement(event: &mut Event<'_>, name: &str) {
    let in_transaction = event.random.one_in(5);
    match name {
        EXECUTE => {
            event.json.flag("continueAfterTimeout", false);
            event.json.text("database", MASK);
            event.json.flag("includeResultMetadata", true);
            event.json.texts("parameters", &[]);
            event.json.text("sql", MASK);
        }
        BATCH => {
            event.json.text("database", MASK);
            event.json.texts("parameterSets", &[]);
            event.json.text("sql", MASK);
        }
        BEGIN => event.json.text("database", MASK),
        _ => {}
    }
    if name != BEGIN && (in_transaction || !matches!(name, EXECUTE | BATCH)) {
        let id = event.random.draw();
        event.json.built("transactionId", |out| {
            out.push_str("AQC5");
            push_base62(out, id, 176);
            out.push_str("==");
        });
    }
}

fn dsql_resources(event: &mut Event<'_>, identifier: &str) -> String {
    let arn = event.scope.arn("dsql", &["cluster/", identifier]);
    event.set_resource("AWS::DSQL::Cluster", &arn);
    arn
}

/// Writes a call of DSQL.
pub(super) fn write_dsql(event: &mut Event<'_>) {
    match event.random.below(20) {
        0 => create_cluster(event),
        1..=7 => {
            event.pick_actor(super::actors::READS);
            dsql_resources(event, DSQL);
            let call = Call::read("dsql", "GetCluster", "dsql.get-cluster");
            event.write_read(&call, |event| {
                event.request_text("identifier", DSQL);
            });
        }
        8 | 9 => {
            event.pick_actor(super::actors::READS);
            let call = Call::read("dsql", "ListClusters", "dsql.list-clusters");
            event.write_read(&call, |event| {
                event.request(|event| {
                    event.json.number("maxResults", 100);
                });
            });
        }
        10 => update_cluster(event),
        nth => connect(event, nth == 11),
    }
}

fn create_cluster(event: &mut Event<'_>) {
    event.pick_actor(super::actors::WRITES);
    let id = event.random.draw();
    let mut identifier = String::new();
    super::json::push_base32(&mut identifier, id, 26);
    identifier.make_ascii_lowercase();
    let arn = dsql_resources(event, &identifier);
    let call = Call::write("dsql", "CreateCluster", "dsql.create-cluster");
    event.write(&call, |event| {
        event.request(|event| {
            event.json.flag("deletionProtectionEnabled", true);
            event.json.open("tags");
            event.json.text("Name", "carts-global");
            event.json.close();
            let token = [event.random.draw(), event.random.draw()];
            event.json.built("clientToken", |out| {
                super::json::push_uuid(out, token[0], token[1]);
            });
        });
        event.answer(|event| {
            event.json.text("identifier", &identifier);
            event.json.text("arn", &arn);
            event.json.text("status", "CREATING");
            let now = event.time;
            event.rds_time("creationTime", now);
            event.json.flag("deletionProtectionEnabled", true);
            event.json.open("encryptionDetails");
            event.json.text("encryptionStatus", "ENABLED");
            event.json.text("encryptionType", "AWS_OWNED_KMS_KEY");
            event.json.close();
            let endpoint = [&identifier, ".dsql.", event.scope.region, ".on.aws"];
            event.json.parts("endpoint", &endpoint);
        });
    });
}

fn update_cluster(event: &mut Event<'_>) {
    event.pick_actor(super::actors::WRITES);
    let arn = dsql_resources(event, DSQL);
    let call = Call::write("dsql", "UpdateCluster", "dsql.update-cluster");
    event.write(&call, |event| {
        let protect = !event.random.one_in(3);
        event.request(|event| {
            event.json.text("identifier", DSQL);
            event.json.flag("deletionProtectionEnabled", protect);
        });
        event.answer(|event| {
            event.json.text("identifier", DSQL);
            event.json.text("arn", &arn);
            event.json.text("status", "UPDATING");
            let made = event.creation_time(DSQL);
            event.rds_time("creationTime", made);
        });
    });
}

/// Writes a connection to the database: a data event that records only the caller and the cluster.
fn connect(event: &mut Event<'_>, admin: bool) {
    event.pick_actor(SQL);
    dsql_resources(event, DSQL);
    event.data = true;
    let name = if admin { "DbConnectAdmin" } else { "DbConnect" };
    let call = Call::write("dsql", name, "dsql.connect");
    event.write_read(&call, |event| event.json.null("requestParameters"));
}
