//! Calls for tags, parameters, roles, streams, proxies and global databases.

use super::super::event::{Call, Event};
use super::super::json::push_hex;
use super::super::shapes::tags;
use super::super::world::{Database, GLOBAL, PROXY, resource_id};

pub(in super::super) const STOP_STREAM: Call =
    Call::write("rds", "StopActivityStream", "rds.stop-activity-stream");

fn no_answer(event: &mut Event<'_>) {
    event.json.null("responseElements");
}

fn cluster_arn(event: &mut Event<'_>) -> (&'static Database, String) {
    let database = event.cluster();
    (database, event.arn("cluster", database.name))
}

fn aurora_arn(event: &mut Event<'_>) -> (&'static Database, String) {
    let database = event.aurora();
    (database, event.arn("cluster", database.name))
}

pub(super) fn add_tags(event: &mut Event<'_>) {
    let (database, arn) = cluster_arn(event);
    event.request(|event| {
        event.json.text("resourceName", &arn);
        tags(event, "tags", database);
    });
    no_answer(event);
}

pub(super) fn remove_tags(event: &mut Event<'_>) {
    let (_, arn) = cluster_arn(event);
    event.request(|event| {
        event.json.text("resourceName", &arn);
        event.json.texts("tagKeys", &["keep-until", "ticket"]);
    });
    no_answer(event);
}

/// Parameters that callers change: name, value, and method of application.
const POSTGRES_SETTINGS: [[&str; 3]; 4] = [
    ["log_min_duration_statement", "500", "immediate"],
    [
        "shared_preload_libraries",
        "pg_stat_statements,pgaudit",
        "pending-reboot",
    ],
    ["pgaudit.log", "ddl,role", "immediate"],
    ["work_mem", "65536", "immediate"],
];
const MYSQL_SETTINGS: [[&str; 3]; 4] = [
    ["long_query_time", "0.5", "immediate"],
    [
        "server_audit_events",
        r"CONNECT,QUERY_DDL,QUERY_DCL",
        "immediate",
    ],
    [
        "max_connections",
        "{DBInstanceClassMemory\\/12582880}",
        "pending-reboot",
    ],
    ["binlog_format", "ROW", "pending-reboot"],
];

fn set_parameters(event: &mut Event<'_>, key: &str) {
    let database = event.cluster();
    let group = database.parameter_group();
    let settings = if database.is_postgres() {
        &POSTGRES_SETTINGS
    } else {
        &MYSQL_SETTINGS
    };
    event.request(|event| {
        event.json.text(key, &group);
        event.json.open_list("parameters");
        let first = event.random.index(settings.len());
        let more = usize::from(event.random.one_in(2));
        for nth in first..=(first + more) {
            let [name, value, method] = settings[nth % settings.len()];
            event.json.open_item();
            event.json.text("parameterName", name);
            event.json.text("parameterValue", value);
            event.json.text("applyMethod", method);
            event.json.close();
        }
        event.json.close_list();
    });
    event.answer(|event| {
        event.json.text(key, &group);
    });
}

pub(super) fn cluster_parameters(event: &mut Event<'_>) {
    set_parameters(event, "dBClusterParameterGroupName");
}

pub(super) fn parameters(event: &mut Event<'_>) {
    set_parameters(event, "dBParameterGroupName");
}

pub(super) fn create_group(event: &mut Event<'_>) {
    let database = event.cluster();
    let name = event.temporary_name(database.schema(), "params");
    let both = |event: &mut Event<'_>| {
        event.json.text("dBClusterParameterGroupName", &name);
        event.json.text("dBParameterGroupFamily", database.family);
        event
            .json
            .parts("description", &["Tuned for ", database.schema(), r"\/oltp"]);
    };
    event.request(|event| {
        both(event);
        tags(event, "tags", database);
    });
    event.answer(|event| {
        both(event);
        let arn = event.arn("cluster-pg", &name);
        event.json.text("dBClusterParameterGroupArn", &arn);
    });
}

pub(super) fn add_role(event: &mut Event<'_>) {
    let database = event.cluster();
    event.request(|event| {
        event.json.text("dBClusterIdentifier", database.name);
        let role = event.scope.iam_role("aurora-s3-import");
        event.json.text("roleArn", &role);
        let feature = if database.is_postgres() {
            "s3Import"
        } else {
            ""
        };
        event.json.text("featureName", feature);
    });
    no_answer(event);
}

/// Returns the name of the Kinesis stream of a cluster's activity stream.
fn stream(database: &Database) -> String {
    let id = resource_id("cluster", database.name);
    ["aws-rds-das-", &id].concat()
}

/// Picks a cluster whose activity stream is not part of the story.
fn stream_cluster(event: &mut Event<'_>) -> &'static Database {
    event
        .database(|database| database.is_aurora() && !database.has_stream())
        .expect("every scope has one")
}

pub(super) fn start_stream(event: &mut Event<'_>) {
    let database = stream_cluster(event);
    let arn = event.arn("cluster", database.name);
    let key = event.scope.kms_key();
    event.request(|event| {
        event.json.text("resourceArn", &arn);
        event.json.text("mode", "async");
        event.json.text("kmsKeyId", &key);
        event.json.flag("applyImmediately", true);
    });
    event.answer(|event| {
        event.json.text("kmsKeyId", &key);
        event.json.text("kinesisStreamName", &stream(database));
        event.json.text("status", "starting");
        event.json.text("mode", "async");
        event.json.flag("applyImmediately", true);
        event.json.flag("engineNativeAuditFieldsIncluded", false);
    });
}

/// Writes a call that stops the activity stream of `database`.
pub(in super::super) fn write_stop_stream(event: &mut Event<'_>, database: &'static Database) {
    let arn = event.arn("cluster", database.name);
    event.request(|event| {
        event.json.text("resourceArn", &arn);
        event.json.flag("applyImmediately", true);
    });
    event.answer(|event| {
        event.json.text("kmsKeyId", &event.scope.kms_key());
        event.json.text("kinesisStreamName", &stream(database));
        event.json.text("status", "stopping");
    });
}

pub(super) fn stop_stream(event: &mut Event<'_>) {
    let database = stream_cluster(event);
    write_stop_stream(event, database);
}

pub(super) fn create_proxy(event: &mut Event<'_>) {
    let scope = event.scope;
    let name = event.temporary_name(PROXY, "canary");
    let secret = scope.secret("orders-prod/app");
    let role = scope.iam_role("rds-proxy-secrets");
    let common = |event: &mut Event<'_>| {
        event.json.text("dBProxyName", &name);
        event.json.text("engineFamily", "POSTGRESQL");
        event.list_of_one("auth", |event| {
            event.json.text("authScheme", "SECRETS");
            event.json.text("secretArn", &secret);
            event.json.text("iAMAuth", "REQUIRED");
            let password = "POSTGRES_SCRAM_SHA_256";
            event.json.text("clientPasswordAuthType", password);
        });
        event.json.text("roleArn", &role);
        let subnets = [0, 1, 2].map(|nth| scope.vpc_id("subnet", nth));
        let subnets = subnets.each_ref().map(String::as_str);
        event.json.texts("vpcSubnetIds", &subnets);
        let group = scope.vpc_id("sg", 0);
        event.json.texts("vpcSecurityGroupIds", &[&group]);
        event.json.flag("requireTLS", true);
        event.json.number("idleClientTimeout", 1800);
        event.json.flag("debugLogging", false);
    };
    event.request(|event| {
        common(event);
        event.json.texts("tags", &[]);
    });
    event.answer(|event| {
        common(event);
        let id = event.random.draw();
        let arn = event.arn("db-proxy", "prx-0");
        event.json.built("dBProxyArn", |out| {
            out.push_str(&arn);
            push_hex(out, id, 16);
        });
        event.json.text("status", "creating");
        event.json.text("vpcId", &scope.vpc_id("vpc", 0));
        let endpoint = scope.endpoint(&name, ".proxy-");
        event.json.text("endpoint", &endpoint);
        let now = event.time;
        event.rds_time("createdDate", now);
        event.rds_time("updatedDate", now);
    });
}

pub(super) fn register_targets(event: &mut Event<'_>) {
    let database = event.aurora();
    event.request(|event| {
        event.json.text("dBProxyName", PROXY);
        event.json.text("targetGroupName", "default");
        event.json.texts("dBClusterIdentifiers", &[database.name]);
    });
    event.answer(|event| {
        event.list_of_one("dBProxyTargets", |event| {
            event.json.text("rdsResourceId", database.name);
            event.json.number("port", database.port);
            event.json.text("type", "TRACKED_CLUSTER");
            event.object("targetHealth", |event| {
                event.json.text("state", "REGISTERING");
            });
        });
    });
}

pub(super) fn enable_http(event: &mut Event<'_>) {
    let (_, arn) = aurora_arn(event);
    event.request(|event| event.json.text("resourceArn", &arn));
    event.answer(|event| {
        event.json.text("resourceArn", &arn);
        event.json.flag("httpEndpointEnabled", true);
    });
}

/// Writes the members of a global cluster, without the braces.
fn global(event: &mut Event<'_>, name: &str, status: &str) {
    let account = event.scope.account;
    event.json.text("globalClusterIdentifier", name);
    let id = resource_id("cluster", name).to_lowercase();
    event.json.text("globalClusterResourceId", &id);
    let arn = ["arn:aws:rds::", account, ":global-cluster:", name];
    event.json.parts("globalClusterArn", &arn);
    event.json.text("status", status);
    event.json.text("engine", "aurora-postgresql");
    event.json.text("engineVersion", "16.6");
    event.json.flag("storageEncrypted", true);
    event.json.flag("deletionProtection", false);
    event.json.open_list("globalClusterMembers");
    let members = [
        ("us-east-1", "orders-prod"),
        ("ap-northeast-1", "orders-apne"),
    ];
    let count = if name == GLOBAL { members.len() } else { 0 };
    for (region, cluster) in &members[..count] {
        event.json.open_item();
        let arn = ["arn:aws:rds:", region, ":", account, ":cluster:", cluster];
        event.json.parts("dBClusterArn", &arn);
        event.json.texts("readers", &[]);
        event.json.flag("isWriter", *cluster == "orders-prod");
        event.json.close();
    }
    event.json.close_list();
}

pub(super) fn create_global(event: &mut Event<'_>) {
    let name = event.temporary_name(GLOBAL, "drill");
    event.request(|event| {
        event.json.text("globalClusterIdentifier", &name);
        event.json.text("engine", "aurora-postgresql");
        event.json.text("engineVersion", "16.6");
        event.json.flag("storageEncrypted", true);
        event.json.flag("deletionProtection", false);
    });
    event.answer(|event| global(event, &name, "creating"));
}

pub(super) fn failover_global(event: &mut Event<'_>) {
    let account = event.scope.account;
    let arn = |region, name| ["arn:aws:rds:", region, ":", account, ":cluster:", name].concat();
    let target = arn("ap-northeast-1", "orders-apne");
    let source = arn("us-east-1", "orders-prod");
    event.request(|event| {
        event.json.text("globalClusterIdentifier", GLOBAL);
        event.json.text("targetDbClusterIdentifier", &target);
        event.json.flag("switchover", true);
    });
    event.answer(|event| {
        global(event, GLOBAL, "switching-over");
        event.json.open("failoverState");
        event.json.text("status", "pending");
        event.json.text("fromDbClusterArn", &source);
        event.json.text("toDbClusterArn", &target);
        event.json.flag("isDataLossAllowed", false);
        event.json.close();
    });
}
