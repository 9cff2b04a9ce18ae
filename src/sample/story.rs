//! The theft of a snapshot, the one incident in the sample.

use super::actors::{Actor, INTRUDER};
use super::clock::DAY;
use super::event::{Call, Event};
use super::others::{write_assume_role, write_caller_identity};
use super::reads::SNAPSHOT_ATTRIBUTES;
use super::world::{DATABASES, Database};
use super::writes::{
    COPY_SNAPSHOT, DELETE_SNAPSHOT, MODIFY_CLUSTER, SHARE_SNAPSHOT, STOP_STREAM, SnapshotCopy,
    write_copy, write_delete, write_log_export_off, write_share, write_stop_stream,
};

/// Start of the story, in seconds after midnight UTC.
pub(super) const BEGINS: i64 = 2 * 3600 + 17 * 60;
/// Length of the story's document, in seconds.
pub(super) const LASTS: i64 = 15 * 60;
/// The account that receives the snapshot.
pub(super) const RECEIVER: &str = "999988887777";
/// Records of the document per record of the story.
pub(super) const EVERY: u64 = 16;

const THIEF: &Actor = &INTRUDER[0];
const BREAKGLASS: &Actor = &INTRUDER[1];
const COPY: &str = "orders-prod-qa-copy";
const REFUSED: u64 = 12;

/// Number of records in the story.
pub(super) const STEPS: u64 = REFUSED + 14;

/// Calls that are denied while the thief explores.
#[rustfmt::skip]
const TRIED: [Call; 6] = [
    Call::read("rds", "DescribeDBClusters", "rds.describe-db-clusters"),
    Call::read("rds", "DownloadDBLogFilePortion", "rds.download-db-log-file-portion"),
    Call::write("rds", "CreateDBClusterSnapshot", "rds.create-db-cluster-snapshot"),
    SHARE_SNAPSHOT,
    Call::write("rds", "RestoreDBClusterFromSnapshot", "rds.restore-db-cluster-from-snapshot"),
    Call::write("rds", "StartExportTask", "rds.start-export-task"),
];

fn cluster(nth: u64) -> &'static Database {
    &DATABASES[usize::from(nth % 2 == 1)]
}

/// Writes the `step`th record of the story that begins at `begins`.
pub(super) fn write(event: &mut Event<'_>, step: u64, begins: i64) {
    let at = |step: u64| begins + i64::try_from(step * 31 + step % 3 * 4).expect("minutes");
    event.time = at(step);
    let role_taken = at(REFUSED + 1);
    event.act_as(if step <= REFUSED + 1 {
        THIEF
    } else {
        BREAKGLASS
    });
    event.session = role_taken;
    match step {
        0 => write_caller_identity(event),
        1..=REFUSED => {
            let call = &TRIED[usize::try_from(step % 6).expect("below 6")];
            let target = event.arn("cluster", cluster(step).name);
            event.write_denied(call, &target);
        }
        _ => with_the_role(event, step - REFUSED - 1, role_taken),
    }
}

fn with_the_role(event: &mut Event<'_>, step: u64, role_taken: i64) {
    let orders = cluster(0);
    let source = [
        "rds:",
        &event.timestamped_name(orders.name, role_taken - DAY),
    ]
    .concat();
    let copy = SnapshotCopy {
        of: orders,
        source: &source,
        target: COPY,
    };
    match step {
        0 => write_assume_role(event, BREAKGLASS, role_taken),
        1 => write_caller_identity(event),
        2 => list_snapshots(event, orders),
        3 => event.write(&COPY_SNAPSHOT, |event| write_copy(event, &copy)),
        4 | 5 => show_attributes(event),
        6 => event.write(&SHARE_SNAPSHOT, |event| write_share(event, COPY, RECEIVER)),
        7 => show_attributes(event),
        8 | 9 => event.write(&STOP_STREAM, |event| {
            write_stop_stream(event, cluster(step));
        }),
        10 => event.write(&MODIFY_CLUSTER, |event| write_log_export_off(event, orders)),
        11 => {
            let call = Call::write("cloudtrail", "StopLogging", "cloudtrail.stop-logging");
            let trail = event.scope.arn("cloudtrail", &["trail/organisation"]);
            event.write_denied(&call, &trail);
        }
        _ => event.write(&DELETE_SNAPSHOT, |event| write_delete(event, orders, COPY)),
    }
}

fn list_snapshots(event: &mut Event<'_>, of: &Database) {
    let call = Call::read(
        "rds",
        "DescribeDBClusterSnapshots",
        "rds.describe-db-cluster-snapshots",
    );
    event.write_read(&call, |event| {
        event.request(|event| {
            event.json.text("dBClusterIdentifier", of.name);
            event.json.flag("includeShared", false);
            event.json.flag("includePublic", false);
        });
    });
}

fn show_attributes(event: &mut Event<'_>) {
    event.write_read(&SNAPSHOT_ATTRIBUTES, |event| {
        event.request_text("dBClusterSnapshotIdentifier", COPY);
    });
}
