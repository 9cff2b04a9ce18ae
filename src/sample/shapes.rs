//! Response elements of RDS: a cluster, an instance, a snapshot.

use std::fmt::Display;

use super::clock::{DAY, END};
use super::event::Event;
use super::json::id_of;
use super::world::{Database, SERVERLESS_V1, resource_id};

/// A cluster in a response, possibly a copy of a known one under another name.
pub(super) struct ClusterView<'a> {
    pub like: &'static Database,
    pub name: &'a str,
    pub status: &'static str,
    /// Whether the cluster has instances.
    pub members: bool,
}

/// An instance in a response.
pub(super) struct InstanceView<'a> {
    pub like: &'static Database,
    pub name: &'a str,
    pub status: &'static str,
    /// Value of `pendingModifiedValues` as JSON.
    pub pending: &'static str,
}

/// A cluster snapshot in a response.
pub(super) struct SnapshotView<'a> {
    pub of: &'static Database,
    pub name: &'a str,
    pub status: &'static str,
    pub percent: u8,
    /// Name of the snapshot that it was copied from.
    pub source: Option<&'a str>,
}

/// Writes the availability zones of the scope.
fn availability_zones(event: &mut Event<'_>) {
    let scope = event.scope;
    event.json.open_list("availabilityZones");
    for zone in scope.zones {
        event.json.item(&[scope.region, zone]);
    }
    event.json.close_list();
}

/// Writes the members of a cluster, without the braces.
pub(super) fn cluster(event: &mut Event<'_>, view: &ClusterView<'_>) {
    let like = view.like;
    cluster_identity(event, view);
    event.json.flag("multiAZ", like.members > 1);
    event.json.text("engine", like.engine);
    event.json.text("engineVersion", like.version);
    if view.members {
        let latest = event.time - 240;
        event.rds_time("latestRestorableTime", latest);
    }
    event.json.number("port", like.port);
    event.json.text("masterUsername", like.master());
    windows(event, view.name);
    event.json.texts("readReplicaIdentifiers", &[]);
    members(event, view);
    security_groups(event);
    event.json.text("hostedZoneId", event.scope.hosted_zone);
    event.json.flag("storageEncrypted", true);
    event.json.text("kmsKeyId", &event.scope.kms_key());
    event
        .json
        .text("dbClusterResourceId", &resource_id("cluster", view.name));
    event
        .json
        .text("dBClusterArn", &event.arn("cluster", view.name));
    event.json.texts("associatedRoles", &[]);
    event
        .json
        .flag("iAMDatabaseAuthenticationEnabled", like.is_postgres());
    let created = match (view.members, view.status) {
        (true, _) => event.creation_time(view.name),
        (false, "creating") => event.time,
        (false, _) => event.time - 5400,
    };
    event.rds_time("clusterCreateTime", created);
    cluster_options(event, view);
    tags(event, "tagList", like);
}

fn cluster_identity(event: &mut Event<'_>, view: &ClusterView<'_>) {
    let scope = event.scope;
    let like = view.like;
    event.json.number("allocatedStorage", 1);
    availability_zones(event);
    event.json.number("backupRetentionPeriod", 7);
    event.json.text("databaseName", like.schema());
    event.json.text("dBClusterIdentifier", view.name);
    event
        .json
        .text("dBClusterParameterGroup", &like.parameter_group());
    event.json.text("dBSubnetGroup", "databases-private");
    event.json.text("status", view.status);
    if view.members {
        let earliest = event.time - 7 * DAY;
        event.rds_time("earliestRestorableTime", earliest);
    }
    let endpoint = scope.endpoint(view.name, ".cluster-");
    event.json.text("endpoint", &endpoint);
    let endpoint = scope.endpoint(view.name, ".cluster-ro-");
    event.json.text("readerEndpoint", &endpoint);
}

fn cluster_options(event: &mut Event<'_>, view: &ClusterView<'_>) {
    let like = view.like;
    let json = &mut *event.json;
    json.texts("enabledCloudwatchLogsExports", &[like.audit_log()]);
    let serverless = like.class == SERVERLESS_V1;
    let mode = if serverless {
        "serverless"
    } else {
        "provisioned"
    };
    json.text("engineMode", mode);
    json.flag("deletionProtection", !like.name.ends_with("staging"));
    json.flag("httpEndpointEnabled", like.data_api || serverless);
    let streams = view.members && like.has_stream();
    let stream = if streams { "started" } else { "stopped" };
    json.text("activityStreamStatus", stream);
    json.flag("copyTagsToSnapshot", true);
    json.flag("crossAccountClone", false);
    json.texts("domainMemberships", &[]);
    if like.class == "db.serverless" {
        scaling(event, 16.0);
    }
    let json = &mut *event.json;
    json.flag("autoMinorVersionUpgrade", true);
    json.text("networkType", "IPV4");
    json.text("engineLifecycleSupport", "open-source-rds-extended-support");
}

/// Writes the capacity of a serverless cluster.
pub(super) fn scaling(event: &mut Event<'_>, most: impl Display) {
    event.object("serverlessV2ScalingConfiguration", |event| {
        event.json.number("minCapacity", 0.5);
        event.json.number("maxCapacity", most);
    });
}

fn members(event: &mut Event<'_>, view: &ClusterView<'_>) {
    event.json.open_list("dBClusterMembers");
    let count = if view.members { view.like.members } else { 0 };
    for nth in 0..count {
        event.json.open_item();
        event
            .json
            .text("dBInstanceIdentifier", &view.like.instance(nth));
        event.json.flag("isClusterWriter", nth == 0);
        event.json.text("dBClusterParameterGroupStatus", "in-sync");
        event.json.number("promotionTier", nth + 1);
        event.json.close();
    }
    event.json.close_list();
}

/// Writes a database's backup and maintenance windows.
fn windows(event: &mut Event<'_>, name: &str) {
    let id = id_of(name);
    let (backup, mend) = (id % 23, (id >> 8) % 23);
    let day = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][(id >> 16) as usize % 7];
    let backups = format!("{backup:02}:10-{backup:02}:40");
    event.json.text("preferredBackupWindow", &backups);
    let mends = format!("{day}:{mend:02}:05-{day}:{mend:02}:35");
    event.json.text("preferredMaintenanceWindow", &mends);
}

fn security_groups(event: &mut Event<'_>) {
    event.list_of_one("vpcSecurityGroups", |event| {
        let group = event.scope.vpc_id("sg", 0);
        event.json.text("vpcSecurityGroupId", &group);
        event.json.text("status", "active");
    });
}

/// Writes the tags of a database, for a request or a response.
pub(super) fn tags(event: &mut Event<'_>, key: &str, like: &Database) {
    let team = match like.schema() {
        "orders" | "catalog" | "sessions" => r"Shop \u0026 Orders",
        "payments" | "billing" | "fraud" => r"Payments \u0026 Risk",
        _ => r"Data\/Platform",
    };
    event.json.open_list(key);
    for (name, value) in [("team", team), ("service", like.schema())] {
        event.json.open_item();
        event.json.text("key", name);
        event.json.text("value", value);
        event.json.close();
    }
    event.json.close_list();
}

/// Writes the members of an instance, without the braces.
pub(super) fn instance(event: &mut Event<'_>, view: &InstanceView<'_>) {
    let like = view.like;
    instance_identity(event, view);
    subnet_group(event);
    windows(event, view.name);
    event.json.raw("pendingModifiedValues", view.pending);
    if !like.is_cluster() && view.status != "creating" {
        let latest = event.time - 200;
        event.rds_time("latestRestorableTime", latest);
    }
    event.json.flag("multiAZ", false);
    event.json.text("engineVersion", like.version);
    event.json.flag("autoMinorVersionUpgrade", true);
    event.json.texts("readReplicaDBInstanceIdentifiers", &[]);
    if like.is_cluster() {
        event.json.text("dBClusterIdentifier", like.name);
    }
    let license = match like.engine {
        "postgres" | "aurora-postgresql" => "postgresql-license",
        "docdb" => "na",
        _ => "general-public-license",
    };
    event.json.text("licenseModel", license);
    event.json.number("storageThroughput", 0);
    event.list_of_one("optionGroupMemberships", |event| {
        let family = like.family.replace('.', "-");
        event.json.parts("optionGroupName", &["default:", &family]);
        event.json.text("status", "in-sync");
    });
    event.json.flag("publiclyAccessible", false);
    let storage = if like.is_cluster() { "aurora" } else { "gp3" };
    event.json.text("storageType", storage);
    instance_security(event, view);
    instance_insight(event, view);
    tags(event, "tagList", like);
    instance_end(event, view);
}

fn instance_identity(event: &mut Event<'_>, view: &InstanceView<'_>) {
    let scope = event.scope;
    let like = view.like;
    event.json.text("dBInstanceIdentifier", view.name);
    event.json.text("dBInstanceClass", like.class);
    event.json.text("engine", like.engine);
    event.json.text("dBInstanceStatus", view.status);
    event.json.text("masterUsername", like.master());
    if view.status != "creating" {
        event.json.open("endpoint");
        event.json.text("address", &scope.endpoint(view.name, "."));
        event.json.number("port", like.port);
        event.json.text("hostedZoneId", scope.hosted_zone);
        event.json.close();
    }
    let storage = if like.is_cluster() { 1 } else { 100 };
    event.json.number("allocatedStorage", storage);
    if view.status != "creating" {
        let made = match view.status {
            "deleting" => event.time - 5400,
            _ => event.creation_time(view.name),
        };
        event.rds_time("instanceCreateTime", made);
    }
    event.json.number("backupRetentionPeriod", 7);
    event.json.texts("dBSecurityGroups", &[]);
    security_groups(event);
    event.list_of_one("dBParameterGroups", |event| {
        let group = ["default.", like.family];
        event.json.parts("dBParameterGroupName", &group);
        event.json.text("parameterApplyStatus", "in-sync");
    });
    let zone = scope.zone_of(view.name);
    event.json.parts("availabilityZone", &[scope.region, zone]);
}

fn subnet_group(event: &mut Event<'_>) {
    let scope = event.scope;
    event.json.open("dBSubnetGroup");
    event.json.text("dBSubnetGroupName", "databases-private");
    event.json.text(
        "dBSubnetGroupDescription",
        r"Private subnets \u003cno internet\u003e",
    );
    event.json.text("vpcId", &scope.vpc_id("vpc", 0));
    event.json.text("subnetGroupStatus", "Complete");
    event.json.open_list("subnets");
    for (nth, zone) in (0..).zip(scope.zones) {
        event.json.open_item();
        event
            .json
            .text("subnetIdentifier", &scope.vpc_id("subnet", nth));
        event.json.open("subnetAvailabilityZone");
        event.json.parts("name", &[scope.region, zone]);
        event.json.close();
        event.json.raw("subnetOutpost", "{}");
        event.json.text("subnetStatus", "Active");
        event.json.close();
    }
    event.json.close_list();
    event.json.close();
}

fn instance_security(event: &mut Event<'_>, view: &InstanceView<'_>) {
    let like = view.like;
    event.json.number("dbInstancePort", 0);
    event.json.flag("storageEncrypted", true);
    event.json.text("kmsKeyId", &event.scope.kms_key());
    event
        .json
        .text("dbiResourceId", &resource_id("db", view.name));
    event
        .json
        .text("cACertificateIdentifier", "rds-ca-rsa2048-g1");
    event.json.texts("domainMemberships", &[]);
    event.json.flag("copyTagsToSnapshot", true);
    event.json.number("monitoringInterval", 60);
    let role = event.scope.iam_role("rds-monitoring-role");
    event.json.text("monitoringRoleArn", &role);
    if like.is_cluster() {
        event.json.number("promotionTier", 1);
    }
    event
        .json
        .text("dBInstanceArn", &event.arn("db", view.name));
    event
        .json
        .flag("iAMDatabaseAuthenticationEnabled", like.is_postgres());
}

fn instance_insight(event: &mut Event<'_>, view: &InstanceView<'_>) {
    event.json.text("databaseInsightsMode", "standard");
    event.json.flag("performanceInsightsEnabled", true);
    event
        .json
        .text("performanceInsightsKMSKeyId", &event.scope.kms_key());
    event.json.number("performanceInsightsRetentionPeriod", 7);
    event
        .json
        .flag("deletionProtection", !view.like.is_cluster());
    event.json.texts("associatedRoles", &[]);
    event.json.flag("httpEndpointEnabled", false);
}

fn instance_end(event: &mut Event<'_>, view: &InstanceView<'_>) {
    event.json.flag("customerOwnedIpEnabled", false);
    event.json.text("networkType", "IPV4");
    event.json.text("backupTarget", "region");
    if view.status != "creating" {
        event.json.open("certificateDetails");
        event.json.text("cAIdentifier", "rds-ca-rsa2048-g1");
        event.rds_time("validTill", END + 200 * DAY + 4321);
        event.json.close();
    }
    event.json.flag("dedicatedLogVolume", false);
    event
        .json
        .text("engineLifecycleSupport", "open-source-rds-extended-support");
}

/// Writes the members of a snapshot, without the braces.
pub(super) fn snapshot(event: &mut Event<'_>, view: &SnapshotView<'_>) {
    let scope = event.scope;
    let of = view.of;
    availability_zones(event);
    event.json.text("dBClusterSnapshotIdentifier", view.name);
    event.json.text("dBClusterIdentifier", of.name);
    let now = event.time;
    event.rds_time("snapshotCreateTime", now);
    event.json.text("engine", of.engine);
    event.json.text("engineMode", "provisioned");
    event
        .json
        .number("allocatedStorage", 100 + id_of(of.name) % 900);
    event.json.text("status", view.status);
    event.json.number("port", 0);
    event.json.text("vpcId", &scope.vpc_id("vpc", 0));
    let made = event.creation_time(of.name);
    event.rds_time("clusterCreateTime", made);
    event.json.text("masterUsername", of.master());
    event.json.text("engineVersion", of.version);
    let license = if of.is_postgres() {
        "postgresql-license"
    } else {
        "general-public-license"
    };
    event.json.text("licenseModel", license);
    event.json.text("snapshotType", "manual");
    event.json.number("percentProgress", view.percent);
    event.json.flag("storageEncrypted", true);
    event.json.text("kmsKeyId", &scope.kms_key());
    let arn = event.arn("cluster-snapshot", view.name);
    event.json.text("dBClusterSnapshotArn", &arn);
    if let Some(source) = view.source {
        let arn = event.arn("cluster-snapshot", source);
        event.json.text("sourceDBClusterSnapshotArn", &arn);
    }
    event
        .json
        .flag("iAMDatabaseAuthenticationEnabled", of.is_postgres());
    tags(event, "tagList", of);
    event
        .json
        .text("dbClusterResourceId", &resource_id("cluster", of.name));
}
