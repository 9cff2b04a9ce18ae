//! Calls that create, modify, restore and delete clusters.

use super::super::event::{Call, Event};
use super::super::shapes::{self, ClusterView, tags};
use super::super::world::Database;

pub(in super::super) const MODIFY_CLUSTER: Call =
    Call::write("rds", "ModifyDBCluster", "rds.modify-db-cluster");

/// Writes the response of a call about a known cluster.
fn answer_cluster(event: &mut Event<'_>, like: &'static Database, status: &'static str) {
    let view = ClusterView {
        like,
        name: like.name,
        status,
        members: true,
    };
    event.answer(|event| shapes::cluster(event, &view));
}

/// Writes the response of a call about the copy `name` of a cluster, which has no instances.
fn answer_copy(event: &mut Event<'_>, like: &'static Database, name: &str, status: &'static str) {
    let view = ClusterView {
        like,
        name,
        status,
        members: false,
    };
    event.answer(|event| shapes::cluster(event, &view));
}

/// Writes the members that most requests for a new cluster share.
fn place(event: &mut Event<'_>, like: &Database) {
    event.json.number("port", like.port);
    event.json.text("dBSubnetGroupName", "databases-private");
    let group = event.scope.vpc_id("sg", 0);
    event.json.texts("vpcSecurityGroupIds", &[&group]);
    event.json.text("kmsKeyId", &event.scope.kms_key());
    event
        .json
        .flag("enableIAMDatabaseAuthentication", like.is_postgres());
    event
        .json
        .texts("enableCloudwatchLogsExports", &[like.audit_log()]);
    event
        .json
        .text("dBClusterParameterGroupName", &like.parameter_group());
    event.json.flag("copyTagsToSnapshot", true);
    event.json.text("engineMode", "provisioned");
    tags(event, "tags", like);
}

pub(super) fn create(event: &mut Event<'_>) {
    let like = event.cluster();
    let name = event.temporary_name(like.name, "next");
    event.request(|event| {
        let mask = event.mask();
        event.json.number("backupRetentionPeriod", 7);
        event.json.text("databaseName", like.schema());
        event.json.text("dBClusterIdentifier", &name);
        event.json.text("engine", like.engine);
        event.json.text("engineVersion", like.version);
        event.json.text("masterUsername", like.master());
        event.json.text("masterUserPassword", mask);
        event.json.text("preferredBackupWindow", "03:10-03:40");
        place(event, like);
        event.json.flag("storageEncrypted", true);
        event.json.flag("deletionProtection", true);
        if like.class == "db.serverless" {
            shapes::scaling(event, 16.0);
        }
        if like.data_api {
            event.json.flag("enableHttpEndpoint", true);
        }
    });
    answer_copy(event, like, &name, "creating");
}

pub(super) fn modify(event: &mut Event<'_>) {
    let like = event.cluster();
    event.request(|event| {
        event.json.text("dBClusterIdentifier", like.name);
        match event.random.below(5) {
            0 => {
                let days = 7 + event.random.below(28);
                event.json.number("backupRetentionPeriod", days);
            }
            1 => {
                let mask = event.mask();
                event.json.text("masterUserPassword", mask);
            }
            2 => {
                let most = 8 << event.random.below(4);
                shapes::scaling(event, most);
            }
            3 => {
                let log = if like.is_postgres() {
                    "postgresql"
                } else {
                    "slowquery"
                };
                event.json.open("cloudwatchLogsExportConfiguration");
                event.json.texts("enableLogTypes", &[log]);
                event.json.close();
            }
            _ => {
                let protect = !event.random.one_in(4);
                event.json.flag("deletionProtection", protect);
            }
        }
        event.json.flag("applyImmediately", true);
        event.json.flag("allowMajorVersionUpgrade", false);
    });
    answer_cluster(event, like, "available");
}

/// Writes the story's call that stops the log export of `like`.
pub(in super::super) fn write_log_export_off(event: &mut Event<'_>, like: &'static Database) {
    event.request(|event| {
        event.json.text("dBClusterIdentifier", like.name);
        event.json.open("cloudwatchLogsExportConfiguration");
        event.json.texts("disableLogTypes", &["postgresql"]);
        event.json.close();
        event.json.flag("applyImmediately", true);
        event.json.flag("allowMajorVersionUpgrade", false);
    });
    answer_cluster(event, like, "available");
}

pub(super) fn delete(event: &mut Event<'_>) {
    let like = event.cluster();
    let name = event.temporary_name(like.name, "clone");
    event.request(|event| {
        event.json.text("dBClusterIdentifier", &name);
        if event.random.one_in(3) {
            event.json.flag("skipFinalSnapshot", true);
        } else {
            let last = [&name, "-final"].concat();
            event.json.flag("skipFinalSnapshot", false);
            event.json.text("finalDBSnapshotIdentifier", &last);
        }
        event.json.flag("deleteAutomatedBackups", true);
    });
    answer_copy(event, like, &name, "available");
}

pub(super) fn failover(event: &mut Event<'_>) {
    let like = match event.database(|database| database.members > 1) {
        Some(database) => database,
        None => event.cluster(),
    };
    event.request(|event| {
        event.json.text("dBClusterIdentifier", like.name);
        let target = like.instance(like.members - 1);
        event.json.text("targetDBInstanceIdentifier", &target);
    });
    answer_cluster(event, like, "available");
}

/// Writes a call that stops or starts a copy; the real clusters keep running.
fn change_state(event: &mut Event<'_>, status: &'static str) {
    let like = event.cluster();
    let name = event.temporary_name(like.name, "clone");
    event.request(|event| event.json.text("dBClusterIdentifier", &name));
    answer_copy(event, like, &name, status);
}

pub(super) fn stop(event: &mut Event<'_>) {
    change_state(event, "stopping");
}

pub(super) fn start(event: &mut Event<'_>) {
    change_state(event, "starting");
}

pub(super) fn restore(event: &mut Event<'_>) {
    let like = event.cluster();
    let name = event.temporary_name(like.name, "clone");
    let snapshot = event.timestamped_name(like.name, event.time - 86_400);
    event.request(|event| {
        event.json.text("dBClusterIdentifier", &name);
        event.json.parts("snapshotIdentifier", &["rds:", &snapshot]);
        event.json.text("engine", like.engine);
        event.json.text("engineVersion", like.version);
        place(event, like);
        event.json.flag("deletionProtection", false);
    });
    answer_copy(event, like, &name, "creating");
}

pub(super) fn restore_to_time(event: &mut Event<'_>) {
    let like = event.cluster();
    let name = event.temporary_name(like.name, "clone");
    event.request(|event| {
        event.json.text("dBClusterIdentifier", &name);
        event.json.text("sourceDBClusterIdentifier", like.name);
        if event.random.one_in(2) {
            event.json.text("restoreType", "copy-on-write");
            event.json.flag("useLatestRestorableTime", true);
        } else {
            event.json.text("restoreType", "full-copy");
            let to = event.time - 1800;
            event.rds_time("restoreToTime", to);
            event.json.flag("useLatestRestorableTime", false);
        }
        place(event, like);
    });
    answer_copy(event, like, &name, "creating");
}
