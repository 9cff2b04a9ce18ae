//! The Aurora family: its services and engines, and the databases that its calls are about.

use std::borrow::Cow;
use std::collections::HashMap;

use super::captures::{Field, Fields};
use super::value::Value;
use crate::json::{Elements, Members};

const RDS: &str = "rds.amazonaws.com";
const RDS_DATA: &str = "rdsdata.amazonaws.com";
const RDS_DATA_API: &str = "rdsdataapi.amazonaws.com";
const DSQL: &str = "dsql.amazonaws.com";

/// Event sources of the Aurora family: the control plane, the two Data APIs, and Aurora DSQL.
pub const AURORA_SOURCES: [&str; 4] = [RDS, RDS_DATA, RDS_DATA_API, DSQL];

/// Engines outside the Aurora family that share the RDS API.
pub const OTHER_ENGINES: [&str; 2] = ["neptune", "docdb"];

/// The database, snapshot, group or other thing that a call is about.
pub(super) struct Subject<'a> {
    /// Its kind: `cluster`, `instance`, `cluster_snapshot`, ...
    pub(super) kind: &'static str,
    /// Its identifier, without the rest of an ARN.
    pub(super) name: Cow<'a, str>,
}

/// Kinds that names of calls imply, remembered as there are few such names.
#[derive(Default)]
pub(super) struct CallKinds(HashMap<Box<str>, Option<&'static str>>);

/// Names of calls to remember; hostile input could have any number.
const MAX_CALLS: usize = 4096;

impl CallKinds {
    /// Returns the kind of subject that the name of `call` implies.
    fn get(&mut self, call: &str) -> Option<&'static str> {
        if let Some(kind) = self.0.get(call) {
            return *kind;
        }
        let implied = KINDS_BY_CALL.iter().find(|(part, _)| call.contains(part));
        let kind = implied.map(|(_, kind)| *kind);
        if self.0.len() < MAX_CALLS {
            self.0.insert(call.into(), kind);
        }
        kind
    }
}

/// Fields that [`engine`] reads.
pub(super) const ENGINE_FIELDS: &[Field] = &[
    Field::EventSource,
    Field::ResponseEngine,
    Field::RequestEngine,
    Field::ResponseParameterGroupFamily,
    Field::RequestParameterGroupFamily,
    Field::RequestEngineName,
    Field::ResponseEngineName,
];

/// Returns the engine that the event names, or that its parameter group family belongs to. Most calls
/// name only an identifier and have no engine.
pub(super) fn engine<'a>(fields: &Fields<'a, '_>) -> Option<Cow<'a, str>> {
    if fields.text(Field::EventSource).as_deref() == Some(DSQL) {
        return Some(Cow::Borrowed("aurora-dsql"));
    }
    let engine = fields
        .text(Field::ResponseEngine)
        .or_else(|| fields.text(Field::RequestEngine));
    if engine.is_some() {
        return engine;
    }
    let family = fields
        .text(Field::ResponseParameterGroupFamily)
        .or_else(|| fields.text(Field::RequestParameterGroupFamily));
    if let Some(family) = family {
        let end = family
            .find(|char: char| char.is_ascii_digit())
            .unwrap_or(family.len());
        return Some(family[..end].trim_end_matches('-').to_owned().into());
    }
    fields
        .text(Field::RequestEngineName)
        .or_else(|| fields.text(Field::ResponseEngineName))
}

/// Fields that [`subject`] reads besides the [`IDENTIFIERS`].
pub(super) const SUBJECT_FIELDS: &[Field] = &[
    Field::EventSource,
    Field::EventName,
    Field::RequestResourceArn,
    Field::RequestResourceName,
    Field::RequestSourceArn,
    Field::RequestIdentifier,
    Field::ResponseIdentifier,
    Field::Resources,
    Field::RequestClusterIdentifier,
    Field::ErrorMessage,
];

/// Kinds of subjects and the fields that name them, responses before requests. Of calls that copy or
/// restore, only the fields of the target are listed.
#[rustfmt::skip]
pub(super) const IDENTIFIERS: [(&str, &str); 44] = [
    ("cluster",                 "responseElements.dBClusterIdentifier"),
    ("cluster",                 "requestParameters.dBClusterIdentifier"),
    ("instance",                "responseElements.dBInstanceIdentifier"),
    ("instance",                "requestParameters.dBInstanceIdentifier"),
    ("cluster_snapshot",        "responseElements.dBClusterSnapshotIdentifier"),
    ("cluster_snapshot",        "requestParameters.dBClusterSnapshotIdentifier"),
    ("cluster_snapshot",        "requestParameters.targetDBClusterSnapshotIdentifier"),
    ("snapshot",                "responseElements.dBSnapshotIdentifier"),
    ("snapshot",                "requestParameters.dBSnapshotIdentifier"),
    ("snapshot",                "requestParameters.targetDBSnapshotIdentifier"),
    ("cluster_parameter_group", "responseElements.dBClusterParameterGroupName"),
    ("cluster_parameter_group", "requestParameters.dBClusterParameterGroupName"),
    ("cluster_parameter_group", "requestParameters.targetDBClusterParameterGroupIdentifier"),
    ("parameter_group",         "responseElements.dBParameterGroupName"),
    ("parameter_group",         "requestParameters.dBParameterGroupName"),
    ("parameter_group",         "requestParameters.targetDBParameterGroupIdentifier"),
    ("subnet_group",            "responseElements.dBSubnetGroupName"),
    ("subnet_group",            "requestParameters.dBSubnetGroupName"),
    ("global_cluster",          "responseElements.globalClusterIdentifier"),
    ("global_cluster",          "requestParameters.globalClusterIdentifier"),
    ("proxy",                   "responseElements.dBProxyName"),
    ("proxy",                   "requestParameters.dBProxyName"),
    ("proxy_endpoint",          "responseElements.dBProxyEndpointName"),
    ("proxy_endpoint",          "requestParameters.dBProxyEndpointName"),
    ("cluster_endpoint",        "responseElements.dBClusterEndpointIdentifier"),
    ("cluster_endpoint",        "requestParameters.dBClusterEndpointIdentifier"),
    ("option_group",            "responseElements.optionGroupName"),
    ("option_group",            "requestParameters.optionGroupName"),
    ("security_group",          "responseElements.dBSecurityGroupName"),
    ("security_group",          "requestParameters.dBSecurityGroupName"),
    ("event_subscription",      "responseElements.custSubscriptionId"),
    ("event_subscription",      "requestParameters.subscriptionName"),
    ("export_task",             "responseElements.exportTaskIdentifier"),
    ("export_task",             "requestParameters.exportTaskIdentifier"),
    ("blue_green_deployment",   "responseElements.blueGreenDeploymentIdentifier"),
    ("blue_green_deployment",   "requestParameters.blueGreenDeploymentIdentifier"),
    ("blue_green_deployment",   "requestParameters.blueGreenDeploymentName"),
    ("integration",             "responseElements.integrationName"),
    ("integration",             "requestParameters.integrationName"),
    ("integration",             "requestParameters.integrationIdentifier"),
    ("shard_group",             "responseElements.dBShardGroupIdentifier"),
    ("shard_group",             "requestParameters.dBShardGroupIdentifier"),
    ("tenant_database",         "responseElements.tenantDBName"),
    ("tenant_database",         "requestParameters.tenantDBName"),
];

/// Parts of calls' names and the kinds that they imply; the first part that a name contains counts.
#[rustfmt::skip]
const KINDS_BY_CALL: [(&str, &str); 22] = [
    ("RestoreDBInstance",       "instance"),
    ("RestoreDBCluster",        "cluster"),
    ("DBClusterSnapshot",       "cluster_snapshot"),
    ("DBSnapshot",              "snapshot"),
    ("DBClusterParameter",      "cluster_parameter_group"),
    ("DBParameter",             "parameter_group"),
    ("DBSubnetGroup",           "subnet_group"),
    ("DBClusterEndpoint",       "cluster_endpoint"),
    ("DBProxyEndpoint",         "proxy_endpoint"),
    ("DBProxy",                 "proxy"),
    ("GlobalCluster",           "global_cluster"),
    ("DBShardGroup",            "shard_group"),
    ("OptionGroup",             "option_group"),
    ("DBSecurityGroup",         "security_group"),
    ("EventSubscription",       "event_subscription"),
    ("ExportTask",              "export_task"),
    ("BlueGreenDeployment",     "blue_green_deployment"),
    ("SwitchoverBlueGreen",     "blue_green_deployment"),
    ("Integration",             "integration"),
    ("TenantDatabase",          "tenant_database"),
    ("DBCluster",               "cluster"),
    ("DBInstance",              "instance"),
];

/// Returns the subject of a call of the Aurora family: by the call's name and the identifier of that
/// kind; else by the ARN in the request or the resources; else by the first identifier; else, as denied
/// calls have no parameters, by the ARN in the error message.
pub(super) fn subject<'a>(fields: &Fields<'a, '_>, calls: &mut CallKinds) -> Option<Subject<'a>> {
    let refused = || refused_subject(&fields.text(Field::ErrorMessage)?);
    match &*fields.text(Field::EventSource)? {
        DSQL => dsql_cluster(fields)
            .or_else(|| subject_by_arn(fields))
            .or_else(refused),
        RDS | RDS_DATA | RDS_DATA_API => {
            let call = fields.text(Field::EventName);
            let implied = call.and_then(|call| calls.get(&call));
            implied
                .and_then(|kind| identified(fields, Some(kind)))
                .or_else(|| subject_by_arn(fields))
                .or_else(|| identified(fields, None))
                .or_else(refused)
        }
        _ => None,
    }
}

fn dsql_cluster<'a>(fields: &Fields<'a, '_>) -> Option<Subject<'a>> {
    let name = fields
        .text(Field::RequestIdentifier)
        .or_else(|| fields.text(Field::ResponseIdentifier))
        .or_else(|| fields.text(Field::RequestClusterIdentifier))?;
    let kind = "dsql_cluster";
    Some(Subject { kind, name })
}

/// Returns the slot in which the identifier number `index` is captured.
pub(super) fn identifier_slot(index: usize) -> usize {
    Field::COUNT + index
}

/// Returns the first identifier, of `kind` if one is given.
fn identified<'a>(fields: &Fields<'a, '_>, kind: Option<&str>) -> Option<Subject<'a>> {
    let mut identifiers = IDENTIFIERS.iter().enumerate();
    identifiers.find_map(|(index, &(of_kind, _))| {
        if kind.is_some_and(|kind| kind != of_kind) {
            return None;
        }
        let name = fields.text_at(identifier_slot(index))?;
        let kind = of_kind;
        Some(Subject { kind, name })
    })
}

/// Returns the subject of `... is not authorized to perform: rds:DeleteDBCluster on resource: arn:...
/// because ...`, unless the ARN is a pattern.
fn refused_subject(message: &str) -> Option<Subject<'static>> {
    let (_, rest) = message.split_once(" on resource: ")?;
    let arn = rest.split_whitespace().next()?;
    arn_subject(arn).filter(|subject| !subject.name.contains('*'))
}

/// Returns the subject that an ARN in the request names, or the first of the record's resources.
fn subject_by_arn<'a>(fields: &Fields<'a, '_>) -> Option<Subject<'a>> {
    [
        Field::RequestResourceArn,
        Field::RequestResourceName,
        Field::RequestSourceArn,
    ]
    .into_iter()
    .find_map(|field| arn_subject(&fields.text(field)?))
    .or_else(|| resource_subject(fields.value(Field::Resources)?))
}

fn resource_subject(resources: Value<'_>) -> Option<Subject<'static>> {
    let text = resources.text;
    Elements::at(text, resources.span.start as usize).find_map(|element| {
        Members::at(text, element.start as usize)
            .filter(|(key, _)| key.raw(text).eq_ignore_ascii_case("arn"))
            .find_map(|(_, span)| arn_subject(&Value { text, span }.string()?))
    })
}

/// Returns the subject that `arn:aws:rds:us-east-1:111122223333:cluster:orders` names. Names may
/// contain colons (`rds:orders-2026-01-01`).
fn arn_subject(arn: &str) -> Option<Subject<'static>> {
    let mut parts = arn.splitn(6, ':');
    let (scheme, service) = (parts.next()?, parts.nth(1)?);
    let resource = parts.nth(2)?;
    let (kind, name) = match (scheme, service) {
        ("arn", "dsql") => ("dsql_cluster", resource.strip_prefix("cluster/")?),
        ("arn", "rds") => {
            let (part, name) = resource.split_once(':')?;
            (ARN_KINDS.iter().find(|(known, _)| *known == part)?.1, name)
        }
        _ => return None,
    };
    let name = name.to_owned().into();
    Some(Subject { kind, name })
}

/// Resource types of RDS ARNs and the kinds that they stand for
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_Tagging.ARN.Constructing.html>).
#[rustfmt::skip]
const ARN_KINDS: [(&str, &str); 18] = [
    ("cluster",          "cluster"),
    ("db",               "instance"),
    ("cluster-snapshot", "cluster_snapshot"),
    ("snapshot",         "snapshot"),
    ("cluster-pg",       "cluster_parameter_group"),
    ("pg",               "parameter_group"),
    ("subgrp",           "subnet_group"),
    ("global-cluster",   "global_cluster"),
    ("db-proxy",         "proxy"),
    ("db-proxy-endpoint", "proxy_endpoint"),
    ("cluster-endpoint", "cluster_endpoint"),
    ("og",               "option_group"),
    ("secgrp",           "security_group"),
    ("es",               "event_subscription"),
    ("deployment",       "blue_green_deployment"),
    ("integration",      "integration"),
    ("shard-group",      "shard_group"),
    ("ri",               "reserved_instance"),
];
