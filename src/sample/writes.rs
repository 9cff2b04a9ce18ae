//! Write calls of RDS, with their requests and responses.

mod clusters;
mod features;
mod instances;
mod snapshots;

use super::actors::{SNAPSHOTS, WRITES};
use super::event::{Call, Event};

/// Calls of the story.
pub(super) use clusters::{MODIFY_CLUSTER, write_log_export_off};
pub(super) use features::{STOP_STREAM, write_stop_stream};
pub(super) use snapshots::{
    COPY_SNAPSHOT, DELETE_SNAPSHOT, SHARE_SNAPSHOT, SnapshotCopy, write_copy, write_delete,
    write_share,
};

type Body = fn(&mut Event<'_>);

/// The write calls: relative frequency, call, and writer of the request and response.
#[rustfmt::skip]
const TABLE: &[(u32, Call, Body)] = &[
    (30, rds("CreateDBCluster", "rds.create-db-cluster"), clusters::create),
    (120, MODIFY_CLUSTER, clusters::modify),
    (20, rds("DeleteDBCluster", "rds.delete-db-cluster"), clusters::delete),
    (25, rds("FailoverDBCluster", "rds.failover-db-cluster"), clusters::failover),
    (15, rds("StopDBCluster", "rds.stop-db-cluster"), clusters::stop),
    (15, rds("StartDBCluster", "rds.start-db-cluster"), clusters::start),
    (30, rds("RestoreDBClusterFromSnapshot", "rds.restore-db-cluster-from-snapshot"), clusters::restore),
    (30, rds("RestoreDBClusterToPointInTime", "rds.restore-db-cluster-to-point-in-time"), clusters::restore_to_time),
    (80, rds("CreateDBInstance", "rds.create-db-instance"), instances::create),
    (190, rds("ModifyDBInstance", "rds.modify-db-instance"), instances::modify),
    (60, rds("DeleteDBInstance", "rds.delete-db-instance"), instances::delete),
    (50, rds("RebootDBInstance", "rds.reboot-db-instance"), instances::reboot),
    (90, rds("CreateDBClusterSnapshot", "rds.create-db-cluster-snapshot"), snapshots::create),
    (30, COPY_SNAPSHOT, snapshots::copy),
    (70, DELETE_SNAPSHOT, snapshots::delete),
    (20, SHARE_SNAPSHOT, snapshots::share),
    (15, rds("StartExportTask", "rds.start-export-task"), snapshots::export),
    (100, rds("AddTagsToResource", "rds.add-tags-to-resource"), features::add_tags),
    (25, rds("RemoveTagsFromResource", "rds.remove-tags-from-resource"), features::remove_tags),
    (20, rds("ModifyDBClusterParameterGroup", "rds.modify-db-cluster-parameter-group"), features::cluster_parameters),
    (25, rds("ModifyDBParameterGroup", "rds.modify-db-parameter-group"), features::parameters),
    (10, rds("CreateDBClusterParameterGroup", "rds.create-db-cluster-parameter-group"), features::create_group),
    (15, rds("AddRoleToDBCluster", "rds.add-role-to-db-cluster"), features::add_role),
    (10, rds("StartActivityStream", "rds.start-activity-stream"), features::start_stream),
    (5, STOP_STREAM, features::stop_stream),
    (10, rds("CreateDBProxy", "rds.create-db-proxy"), features::create_proxy),
    (10, rds("RegisterDBProxyTargets", "rds.register-db-proxy-targets"), features::register_targets),
    (5, rds("EnableHttpEndpoint", "rds.enable-http-endpoint"), features::enable_http),
    (5, rds("CreateGlobalCluster", "rds.create-global-cluster"), features::create_global),
    (5, rds("FailoverGlobalCluster", "rds.failover-global-cluster"), features::failover_global),
];

const fn rds(name: &'static str, command: &'static str) -> Call {
    Call::write("rds", name, command)
}

/// Writes a write call.
pub(super) fn write(event: &mut Event<'_>) {
    event.pick_actor(WRITES);
    let snapshots = event.actor.jobs & SNAPSHOTS != 0;
    let home = event.scope.is_home();
    let (_, call, body) = event.random.weighted(TABLE, |(weight, call, _)| {
        let there = home || !(call.name.contains("Proxy") || call.name.contains("Global"));
        let allowed = !snapshots || call.name.ends_with("ClusterSnapshot");
        if there && allowed { *weight } else { 0 }
    });
    event.write(call, *body);
}

/// Picks a write call, for a failure.
pub(super) fn any(event: &mut Event<'_>) -> &'static Call {
    &event.random.weighted(TABLE, |row| row.0).1
}
