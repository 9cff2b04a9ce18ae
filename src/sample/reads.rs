//! Read calls of RDS, the majority of all events.

use super::actors::READS;
use super::clock::{DAY, push_stamp};
use super::event::{Call, Event};
use super::world::{Database, GLOBAL, PROXY};

type Request = fn(&mut Event<'_>);

/// The read calls: relative frequency, call, and writer of the request.
#[rustfmt::skip]
const TABLE: &[(u32, Call, Request)] = &[
    (190, rds("DescribeDBClusters", "rds.describe-db-clusters"), clusters),
    (210, rds("DescribeDBInstances", "rds.describe-db-instances"), instances),
    (130, rds("DescribeDBLogFiles", "rds.describe-db-log-files"), log_files),
    (110, rds("DownloadDBLogFilePortion", "rds.download-db-log-file-portion"), log_portion),
    (110, rds("ListTagsForResource", "rds.list-tags-for-resource"), tags),
    (70, rds("DescribeEvents", "rds.describe-events"), events),
    (40, rds("DescribeDBClusterSnapshots", "rds.describe-db-cluster-snapshots"), snapshots),
    (15, SNAPSHOT_ATTRIBUTES, snapshot_attributes),
    (15, rds("DescribeDBSubnetGroups", "rds.describe-db-subnet-groups"), nothing),
    (20, rds("DescribeDBClusterParameters", "rds.describe-db-cluster-parameters"), parameters),
    (15, rds("DescribeDBClusterParameterGroups", "rds.describe-db-cluster-parameter-groups"), nothing),
    (15, rds("DescribeDBEngineVersions", "rds.describe-db-engine-versions"), versions),
    (10, rds("DescribeOrderableDBInstanceOptions", "rds.describe-orderable-db-instance-options"), versions),
    (20, rds("DescribePendingMaintenanceActions", "rds.describe-pending-maintenance-actions"), pending),
    (20, rds("DescribeGlobalClusters", "rds.describe-global-clusters"), global),
    (15, rds("DescribeDBProxies", "rds.describe-db-proxies"), proxies),
    (10, rds("DescribeDBProxyTargets", "rds.describe-db-proxy-targets"), proxies),
    (10, rds("DescribeExportTasks", "rds.describe-export-tasks"), exports),
    (10, rds("DescribeCertificates", "rds.describe-certificates"), nothing),
    (10, rds("DescribeBlueGreenDeployments", "rds.describe-blue-green-deployments"), nothing),
    (10, rds("DescribeAccountAttributes", "rds.describe-account-attributes"), nothing),
    (5, rds("DescribeValidDBInstanceModifications", "rds.describe-valid-db-instance-modifications"), instance),
];

/// The call that lists the accounts that a snapshot is shared with.
pub(super) const SNAPSHOT_ATTRIBUTES: Call = rds(
    "DescribeDBClusterSnapshotAttributes",
    "rds.describe-db-cluster-snapshot-attributes",
);

const fn rds(name: &'static str, command: &'static str) -> Call {
    Call::read("rds", name, command)
}

/// Writes a read call.
pub(super) fn write(event: &mut Event<'_>) {
    event.pick_actor(READS);
    let (_, call, request) = event.random.weighted(TABLE, |row| row.0);
    event.write_read(call, request);
}

/// Picks a read call, for a failure.
pub(super) fn any(event: &mut Event<'_>) -> &'static Call {
    &event.random.weighted(TABLE, |row| row.0).1
}

fn nothing(event: &mut Event<'_>) {
    event.json.null("requestParameters");
}

fn clusters(event: &mut Event<'_>) {
    let database = event.cluster();
    match event.random.below(10) {
        0..5 => event.request_text("dBClusterIdentifier", database.name),
        5 | 6 => {
            event.request(|event| {
                event.json.flag("includeShared", false);
                event.json.number("maxRecords", 100);
            });
        }
        7 | 8 => {
            let arn = event.arn("cluster", database.name);
            event.request(|event| {
                filter(event, "db-cluster-id", &[&arn]);
                event.json.flag("includeShared", false);
            });
        }
        _ => nothing(event),
    }
}

fn filter(event: &mut Event<'_>, name: &str, values: &[&str]) {
    event.list_of_one("filters", |event| {
        event.json.text("name", name);
        event.json.texts("values", values);
    });
}

fn instance(event: &mut Event<'_>) {
    let (database, nth) = event.instance();
    event.request_text("dBInstanceIdentifier", &database.instance(nth));
}

fn instances(event: &mut Event<'_>) {
    match event.random.below(10) {
        0..6 => instance(event),
        6 | 7 => {
            let cluster = event.cluster().name;
            event.request(|event| {
                filter(event, "db-cluster-id", &[cluster]);
                event.json.number("maxRecords", 100);
            });
        }
        8 => {
            event.request(|event| {
                let ids = [event.random.draw(), event.random.draw()];
                event.json.built("marker", |out| {
                    super::json::push_base62(out, ids[0] ^ ids[1], 48);
                });
            });
        }
        _ => nothing(event),
    }
}

/// Returns the name of an instance's error log in the hour of the event.
fn log_name(database: &Database, time: i64) -> String {
    if database.is_postgres() {
        let mut name = String::from("error/postgresql.log.");
        push_stamp(&mut name, time, false);
        name
    } else {
        String::from("slowquery/mysql-slowquery.log")
    }
}

fn log_files(event: &mut Event<'_>) {
    let (database, nth) = event.instance();
    let since = event.time - 3600 - i64::try_from(event.random.below(7200)).expect("two hours");
    event.request(|event| {
        event
            .json
            .text("dBInstanceIdentifier", &database.instance(nth));
        if event.random.one_in(2) {
            event.json.number("fileLastWritten", since * 1000);
            event.json.number("maxRecords", 1000);
        } else {
            event.json.text("filenameContains", "error");
        }
    });
}

fn log_portion(event: &mut Event<'_>) {
    let (database, nth) = event.instance();
    event.request(|event| {
        event
            .json
            .text("dBInstanceIdentifier", &database.instance(nth));
        event
            .json
            .text("logFileName", &log_name(database, event.time));
        let (hour, offset) = (event.random.below(24), event.random.below(90_000_000));
        event.json.text("marker", &format!("{hour}:{offset}"));
        if event.random.one_in(2) {
            event.json.number("numberOfLines", 10_000);
        }
    });
}

fn tags(event: &mut Event<'_>) {
    let arn = if event.random.one_in(3) {
        let (database, nth) = event.instance();
        event.arn("db", &database.instance(nth))
    } else {
        let name = event.cluster().name;
        event.arn("cluster", name)
    };
    event.request_text("resourceName", &arn);
}

fn events(event: &mut Event<'_>) {
    let database = event.cluster();
    event.request(|event| {
        if event.random.one_in(2) {
            event.json.text("sourceIdentifier", database.name);
        }
        event.json.text("sourceType", "db-cluster");
        let now = event.time;
        event.rds_time("startTime", now - 3600);
        event.rds_time("endTime", now);
        event.json.number("maxRecords", 100);
    });
}

fn snapshots(event: &mut Event<'_>) {
    let database = event.cluster();
    event.request(|event| {
        event.json.text("dBClusterIdentifier", database.name);
        event.json.text("snapshotType", "automated");
        event.json.flag("includeShared", false);
        event.json.flag("includePublic", false);
    });
}

fn snapshot_attributes(event: &mut Event<'_>) {
    let database = event.cluster();
    let made = event.time - event.time.rem_euclid(DAY);
    let name = event.timestamped_name(database.name, made);
    event.request_text("dBClusterSnapshotIdentifier", &name);
}

fn parameters(event: &mut Event<'_>) {
    let group = event.cluster().parameter_group();
    event.request(|event| {
        event.json.text("dBClusterParameterGroupName", &group);
        event.json.text("source", "user");
    });
}

fn versions(event: &mut Event<'_>) {
    let database = event.cluster();
    event.request(|event| {
        event.json.text("engine", database.engine);
        event.json.text("engineVersion", database.version);
        event.json.number("maxRecords", 20);
    });
}

fn pending(event: &mut Event<'_>) {
    let name = event.cluster().name;
    let arn = event.arn("cluster", name);
    event.request_text("resourceIdentifier", &arn);
}

fn global(event: &mut Event<'_>) {
    if !event.scope.is_home() {
        return nothing(event);
    }
    event.request_text("globalClusterIdentifier", GLOBAL);
}

fn proxies(event: &mut Event<'_>) {
    if !event.scope.is_home() {
        return nothing(event);
    }
    event.request_text("dBProxyName", PROXY);
}

fn exports(event: &mut Event<'_>) {
    let name = event.cluster().name;
    let arn = event.arn("cluster", name);
    event.request_text("sourceArn", &arn);
}
