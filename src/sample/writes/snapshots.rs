//! Calls that create, copy, share, export and delete cluster snapshots.

use super::super::clock::DAY;
use super::super::event::{Call, Event};
use super::super::shapes::{self, SnapshotView, tags};
use super::super::world::{Database, SECURITY};

pub(in super::super) const COPY_SNAPSHOT: Call = Call::write(
    "rds",
    "CopyDBClusterSnapshot",
    "rds.copy-db-cluster-snapshot",
);
pub(in super::super) const DELETE_SNAPSHOT: Call = Call::write(
    "rds",
    "DeleteDBClusterSnapshot",
    "rds.delete-db-cluster-snapshot",
);
pub(in super::super) const SHARE_SNAPSHOT: Call = Call::write(
    "rds",
    "ModifyDBClusterSnapshotAttribute",
    "rds.modify-db-cluster-snapshot-attribute",
);

pub(super) fn create(event: &mut Event<'_>) {
    let of = event.cluster();
    let name = event.timestamped_name(of.name, event.time);
    event.request(|event| {
        event.json.text("dBClusterSnapshotIdentifier", &name);
        event.json.text("dBClusterIdentifier", of.name);
        tags(event, "tags", of);
    });
    let view = SnapshotView {
        of,
        name: &name,
        status: "creating",
        percent: 0,
        source: None,
    };
    event.answer(|event| shapes::snapshot(event, &view));
}

/// A snapshot and its copy.
pub(in super::super) struct SnapshotCopy<'a> {
    pub of: &'static Database,
    pub source: &'a str,
    pub target: &'a str,
}

pub(in super::super) fn write_copy(event: &mut Event<'_>, copy: &SnapshotCopy<'_>) {
    event.request(|event| {
        let source = event.arn("cluster-snapshot", copy.source);
        event
            .json
            .text("sourceDBClusterSnapshotIdentifier", &source);
        event
            .json
            .text("targetDBClusterSnapshotIdentifier", copy.target);
        event.json.text("kmsKeyId", &event.scope.kms_key());
        event.json.flag("copyTags", true);
    });
    let view = SnapshotView {
        of: copy.of,
        name: copy.target,
        status: "copying",
        percent: 0,
        source: Some(copy.source),
    };
    event.answer(|event| shapes::snapshot(event, &view));
}

pub(super) fn copy(event: &mut Event<'_>) {
    let of = event.cluster();
    let source = event.timestamped_name(of.name, event.time - DAY);
    let target = [&source, "-monthly"].concat();
    let copy = SnapshotCopy {
        of,
        source: &source,
        target: &target,
    };
    write_copy(event, &copy);
}

pub(in super::super) fn write_delete(event: &mut Event<'_>, of: &'static Database, name: &str) {
    event.request(|event| {
        event.json.text("dBClusterSnapshotIdentifier", name);
    });
    let view = SnapshotView {
        of,
        name,
        status: "deleted",
        percent: 100,
        source: None,
    };
    event.answer(|event| shapes::snapshot(event, &view));
}

pub(super) fn delete(event: &mut Event<'_>) {
    let of = event.cluster();
    let name = event.timestamped_name(of.name, event.time - 14 * DAY);
    write_delete(event, of, &name);
}

/// Writes a call that lets `account` restore the snapshot `name`.
pub(in super::super) fn write_share(event: &mut Event<'_>, name: &str, account: &str) {
    event.request(|event| {
        event.json.text("dBClusterSnapshotIdentifier", name);
        event.json.text("attributeName", "restore");
        event.json.texts("valuesToAdd", &[account]);
    });
    event.answer(|event| {
        event.json.text("dBClusterSnapshotIdentifier", name);
        event.list_of_one("dBClusterSnapshotAttributes", |event| {
            event.json.text("attributeName", "restore");
            event.json.texts("attributeValues", &[account]);
        });
    });
}

pub(super) fn share(event: &mut Event<'_>) {
    let of = event.cluster();
    let name = event.timestamped_name(of.name, event.time - DAY);
    write_share(event, &name, SECURITY);
}

pub(super) fn export(event: &mut Event<'_>) {
    let of = event.aurora();
    let snapshot = event.timestamped_name(of.name, event.time - DAY);
    let task = event.temporary_name(of.name, "export");
    let source = event.arn("cluster-snapshot", &snapshot);
    let account = event.scope.account;
    let role = event.scope.iam_role("rds-s3-export");
    let table = [of.schema(), ".public.line_items"].concat();
    let both = |event: &mut Event<'_>, bucket: &str| {
        event.json.text("exportTaskIdentifier", &task);
        event.json.text("sourceArn", &source);
        event.json.parts(bucket, &["example-exports-", account]);
        event.json.text("iamRoleArn", &role);
        event.json.text("kmsKeyId", &event.scope.kms_key());
        event.json.parts("s3Prefix", &["snapshots/", of.name]);
        event.json.texts("exportOnly", &[&table]);
    };
    event.request(|event| both(event, "s3BucketName"));
    event.answer(|event| {
        both(event, "s3Bucket");
        let now = event.time;
        event.rds_time("snapshotTime", now - DAY);
        event.json.text("status", "STARTING");
        event.json.number("percentProgress", 0);
        event.json.number("totalExtractedDataInGB", 0);
        event.json.text("sourceType", "SNAPSHOT");
    });
}
