//! Calls that create, modify, reboot and delete instances.

use super::super::event::{Event, MASKS};
use super::super::shapes::{self, InstanceView, tags};
use super::super::world::Database;

const NO_PENDING: &str = "{}";

/// Writes the response of a call about an instance without pending changes.
fn answer_instance(
    event: &mut Event<'_>,
    like: &'static Database,
    name: &str,
    status: &'static str,
) {
    let view = InstanceView {
        like,
        name,
        status,
        pending: NO_PENDING,
    };
    event.answer(|event| shapes::instance(event, &view));
}

pub(super) fn create(event: &mut Event<'_>) {
    let (like, _) = event.instance();
    let name = event.temporary_name(like.name, "reader");
    let mask = event.mask();
    event.request(|event| {
        event.json.text("dBInstanceIdentifier", &name);
        event.json.text("dBInstanceClass", like.class);
        event.json.text("engine", like.engine);
        if like.is_cluster() {
            event.json.text("dBClusterIdentifier", like.name);
            event.json.number("promotionTier", 1);
        } else {
            standalone(event, like, mask);
        }
        let zone = event.scope.zone_of(&name);
        let region = event.scope.region;
        event.json.parts("availabilityZone", &[region, zone]);
        event
            .json
            .parts("dBParameterGroupName", &["default.", like.family]);
        event.json.flag("autoMinorVersionUpgrade", true);
        event.json.flag("publiclyAccessible", false);
        event.json.flag("copyTagsToSnapshot", true);
        event.json.number("monitoringInterval", 60);
        let role = event.scope.iam_role("rds-monitoring-role");
        event.json.text("monitoringRoleArn", &role);
        event.json.flag("enablePerformanceInsights", true);
        event.json.number("performanceInsightsRetentionPeriod", 7);
        tags(event, "tags", like);
    });
    let pending = match (like.is_cluster(), mask == MASKS[0]) {
        (true, _) => NO_PENDING,
        (false, true) => r#"{"masterUserPassword":"HIDDEN_DUE_TO_SECURITY_REASONS"}"#,
        (false, false) => r#"{"masterUserPassword":"****"}"#,
    };
    let view = InstanceView {
        like,
        name: &name,
        status: "creating",
        pending,
    };
    event.answer(|event| shapes::instance(event, &view));
}

/// Writes the request members of an instance without a cluster.
fn standalone(event: &mut Event<'_>, like: &Database, mask: &str) {
    event.json.number("allocatedStorage", 100);
    event.json.text("masterUsername", like.master());
    event.json.text("masterUserPassword", mask);
    event.json.number("backupRetentionPeriod", 7);
    event.json.flag("multiAZ", false);
    event.json.text("storageType", "gp3");
    event.json.flag("storageEncrypted", true);
    event.json.number("maxAllocatedStorage", 1000);
}

pub(super) fn modify(event: &mut Event<'_>) {
    let (like, nth) = event.instance();
    let name = like.instance(nth);
    event.json.open("requestParameters");
    event.json.text("dBInstanceIdentifier", &name);
    let pending = match event.random.below(4) {
        0 => {
            event.json.text("dBInstanceClass", "db.r7g.4xlarge");
            r#"{"dBInstanceClass":"db.r7g.4xlarge"}"#
        }
        1 if !like.is_cluster() => {
            event.json.text("masterUserPassword", MASKS[0]);
            r#"{"masterUserPassword":"HIDDEN_DUE_TO_SECURITY_REASONS"}"#
        }
        1 => {
            event
                .json
                .text("cACertificateIdentifier", "rds-ca-rsa4096-g1");
            event.json.flag("certificateRotationRestart", false);
            r#"{"cACertificateIdentifier":"rds-ca-rsa4096-g1"}"#
        }
        2 => {
            event.json.number("monitoringInterval", 15);
            event.json.flag("enablePerformanceInsights", true);
            NO_PENDING
        }
        _ => {
            let tier = 1 + event.random.below(3);
            event.json.number("promotionTier", tier);
            NO_PENDING
        }
    };
    let at_once = !event.random.one_in(3);
    event.json.flag("applyImmediately", at_once);
    event.json.flag("allowMajorVersionUpgrade", false);
    event.json.close();
    let view = InstanceView {
        like,
        name: &name,
        status: "available",
        pending,
    };
    event.answer(|event| shapes::instance(event, &view));
}

pub(super) fn delete(event: &mut Event<'_>) {
    let (like, _) = event.instance();
    let name = event.temporary_name(like.name, "reader");
    event.request(|event| {
        event.json.text("dBInstanceIdentifier", &name);
        if like.is_cluster() {
            event.json.flag("skipFinalSnapshot", true);
        } else {
            let last = [&name, "-final"].concat();
            event.json.flag("skipFinalSnapshot", false);
            event.json.text("finalDBSnapshotIdentifier", &last);
            event.json.flag("deleteAutomatedBackups", false);
        }
    });
    answer_instance(event, like, &name, "deleting");
}

pub(super) fn reboot(event: &mut Event<'_>) {
    let (like, nth) = event.instance();
    let name = like.instance(nth);
    event.request(|event| {
        event.json.text("dBInstanceIdentifier", &name);
        if event.random.one_in(4) {
            event.json.flag("forceFailover", true);
        }
    });
    answer_instance(event, like, &name, "rebooting");
}
