//! The columns that are worked out of several fields. What each means stands with its function.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;

use super::cells::Cells;
use super::value::Value;
use crate::envelope::Record;
use crate::json::{Elements, Members, Span};

/// A derived column, with the notes (see [`super::plan`]) that it looks at.
pub(super) struct Derived {
    column: Column,
    notes: Vec<usize>,
    /// What calls are about, by their names, of which there are few.
    calls: RefCell<HashMap<Box<str>, Option<&'static str>>>,
}

/// What a record is about, worked out once for the two columns that say it.
pub(super) type Subject<'a> = OnceCell<Option<(&'static str, Cow<'a, str>)>>;

/// Names of calls that are remembered; hostile input could have any number.
const CALLS: usize = 4096;

#[derive(Clone, Copy)]
enum Column {
    Actor,
    IdentityKind,
    DbIdentifier,
    DbKind,
    Engine,
    IsError,
    IsDenied,
    DeliveryLag,
    SourceUri,
    Record,
}

impl Derived {
    /// The column `path`; `note` asks for a path and gives the number of its note.
    pub(super) fn new(path: &str, note: impl FnMut(&'static str) -> usize) -> Self {
        let (column, paths): (_, &[&'static str]) = match path {
            "actor" => (Column::Actor, &ACTOR),
            "identity_kind" => (Column::IdentityKind, &IDENTITY),
            "db_identifier" => (Column::DbIdentifier, &SUBJECT),
            "db_kind" => (Column::DbKind, &SUBJECT),
            "engine" => (Column::Engine, &ENGINE),
            "is_error" => (Column::IsError, &ERROR),
            "is_denied" => (Column::IsDenied, &ERROR),
            "delivery_lag" => (Column::DeliveryLag, &["eventTime"]),
            "source_uri" => (Column::SourceUri, &[]),
            _ => (Column::Record, &[]),
        };
        let subjects = match column {
            Column::DbIdentifier | Column::DbKind => NAMES.iter().map(|(_, path)| *path).collect(),
            _ => Vec::new(),
        };
        Self {
            column,
            notes: paths.iter().copied().chain(subjects).map(note).collect(),
            calls: RefCell::default(),
        }
    }

    /// Sets the cell of row `row`.
    pub(super) fn set<'a>(
        &self,
        record: &Record<'a>,
        notes: &[Option<Span>],
        known: &Subject<'a>,
        (cells, row): (&mut Cells, usize),
    ) {
        let fields = Fields {
            text: record.text,
            notes,
            asked: &self.notes,
        };
        let text = match self.column {
            Column::Actor => actor(&fields),
            Column::IdentityKind => identity_kind(&fields).map(Cow::Borrowed),
            Column::DbIdentifier => {
                let known = known.get_or_init(|| subject(&fields, |call| self.call_kind(call)));
                known.as_ref().map(|(_, name)| Cow::Borrowed(&**name))
            }
            Column::DbKind => {
                let known = known.get_or_init(|| subject(&fields, |call| self.call_kind(call)));
                known.as_ref().map(|(kind, _)| Cow::Borrowed(*kind))
            }
            Column::Engine => engine(&fields),
            Column::SourceUri => Some(Cow::Borrowed(&**record.origin)),
            Column::Record => Some(Cow::Borrowed(record.json())),
            Column::IsError => return cells.set_bool(row, is_error(&fields)),
            Column::IsDenied => return cells.set_bool(row, is_denied(&fields)),
            Column::DeliveryLag => {
                let time = fields.value(0).and_then(Value::as_time);
                if let (Some(time), Some(delivered)) = (time, record.delivered_micros) {
                    cells.set_integer(row, delivered.saturating_sub(time).div_euclid(1_000_000));
                }
                return;
            }
        };
        if let Some(text) = text {
            cells.set_text(row, &text);
        }
    }
}

impl Derived {
    /// What the call's name says that it is about.
    fn call_kind(&self, call: &str) -> Option<&'static str> {
        let mut calls = self.calls.borrow_mut();
        if let Some(kind) = calls.get(call) {
            return *kind;
        }
        let said = SUBJECTS.iter().find(|(part, _)| call.contains(part));
        let kind = said.map(|(_, kind)| *kind);
        if calls.len() < CALLS {
            calls.insert(call.into(), kind);
        }
        kind
    }
}

/// The values that a derived column asked for, in the order it asked.
struct Fields<'a, 'n> {
    text: &'a str,
    notes: &'n [Option<Span>],
    asked: &'n [usize],
}

impl<'a> Fields<'a, '_> {
    fn value(&self, index: usize) -> Option<Value<'a>> {
        let span = self.notes[self.asked[index]]?;
        let text = self.text;
        Some(Value { text, span }).filter(|value| !value.is_null())
    }

    /// The text there, unless it is empty.
    fn get(&self, index: usize) -> Option<Cow<'a, str>> {
        self.value(index)?.as_text().filter(|text| !text.is_empty())
    }
}

const ACTOR: [&str; 8] = [
    "userIdentity.userName",
    "userIdentity.sessionContext.sessionIssuer.userName",
    "userIdentity.arn",
    "userIdentity.principalId",
    "userIdentity.invokedBy",
    "userIdentity.type",
    "userIdentity.onBehalfOf.userId",
    "userIdentity.accountId",
];

/// User name; else role and session, `Admin/alice`; else the service; else the ARN, the principal,
/// the account. The session is the last part of the role session's ARN, or stands behind the colon of the
/// principal.
fn actor<'a>(fields: &Fields<'a, '_>) -> Option<Cow<'a, str>> {
    if let Some(name) = fields.get(0) {
        return Some(name);
    }
    let arn = fields.get(2);
    let principal = fields.get(3);
    let (role_of_arn, session_of_arn) = arn.as_deref().and_then(assumed_role).unzip();
    let session = session_of_arn.or_else(|| Some(principal.as_deref()?.split_once(':')?.1));
    let role = fields.get(1);
    match (role.as_deref().or(role_of_arn), session) {
        (Some(role), Some(session)) => return Some(format!("{role}/{session}").into()),
        (Some(role), None) => return Some(role.to_owned().into()),
        _ => {}
    }
    fields
        .get(4)
        .or_else(|| arn.clone())
        .or_else(|| fields.get(6))
        .or_else(|| principal.clone())
        .or_else(|| fields.get(7))
}

/// Role and session of `arn:aws:sts::111122223333:assumed-role/Role/session`.
fn assumed_role(arn: &str) -> Option<(&str, &str)> {
    arn.split_once(":assumed-role/")?.1.split_once('/')
}

const IDENTITY: [&str; 2] = ["userIdentity.type", "userIdentity.invokedBy"];

/// `root`, `user`, `temporary_credentials` (roles), `federated`, `service`, `other_account`; `unknown`
/// for a type that is none of these. NULL if the record has no identity.
fn identity_kind(fields: &Fields<'_, '_>) -> Option<&'static str> {
    let Some(kind) = fields.get(0) else {
        return fields.get(1).map(|_| "service");
    };
    Some(match &*kind {
        "Root" => "root",
        "IAMUser" => "user",
        "AssumedRole" | "Role" => "temporary_credentials",
        "FederatedUser" | "SAMLUser" | "WebIdentityUser" | "Directory" | "IdentityCenterUser" => {
            "federated"
        }
        "AWSService" => "service",
        "AWSAccount" => "other_account",
        _ => "unknown",
    })
}

const ERROR: [&str; 2] = ["errorCode", "errorMessage"];

/// Whether there is an error code, or a message without one, as failed sign-ins have it.
fn is_error(fields: &Fields<'_, '_>) -> bool {
    fields.get(0).is_some() || fields.get(1).is_some()
}

/// Whether the error is a want of permission: `AccessDenied` and what some services call it.
fn is_denied(fields: &Fields<'_, '_>) -> bool {
    let code = fields.get(0);
    let code = code.as_deref().unwrap_or_default();
    let denied = ["AccessDenied", "Unauthorized", "NotAuthorized", "Forbidden"]
        .iter()
        .any(|word| code.contains(word));
    denied
        || matches!(code, "AuthFailure" | "AuthorizationError")
        || fields
            .get(1)
            .is_some_and(|message| message.contains("is not authorized to perform"))
}

const ENGINE: [&str; 7] = [
    "eventSource",
    "responseElements.engine",
    "requestParameters.engine",
    "responseElements.dBParameterGroupFamily",
    "requestParameters.dBParameterGroupFamily",
    "requestParameters.engineName",
    "responseElements.engineName",
];

/// The engine as the event names it, or the one its parameter group family belongs to. Most calls name
/// only an identifier: NULL.
fn engine<'a>(fields: &Fields<'a, '_>) -> Option<Cow<'a, str>> {
    let source = fields.get(0);
    if source.as_deref() == Some("dsql.amazonaws.com") {
        return Some(Cow::Borrowed("aurora-dsql"));
    }
    if let Some(engine) = fields.get(1).or_else(|| fields.get(2)) {
        return Some(engine);
    }
    let family = fields.get(3).or_else(|| fields.get(4));
    if let Some(family) = family {
        let end = family
            .find(|char: char| char.is_ascii_digit())
            .unwrap_or(family.len());
        return Some(family[..end].trim_end_matches('-').to_owned().into());
    }
    fields.get(5).or_else(|| fields.get(6))
}

const SUBJECT: [&str; 10] = [
    "eventSource",
    "eventName",
    "requestParameters.resourceArn",
    "requestParameters.resourceName",
    "requestParameters.sourceArn",
    "requestParameters.identifier",
    "responseElements.identifier",
    "resources",
    "requestParameters.clusterIdentifier",
    "errorMessage",
];

/// Names of things in requests and responses, and what they name; requests first, as they are there for
/// denied calls' neighbours and reads too. Where a call copies or restores, the target.
#[rustfmt::skip]
const NAMES: [(&str, &str); 44] = [
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

/// What a call's name says that it is about; the first that is part of it.
#[rustfmt::skip]
const SUBJECTS: [(&str, &str); 22] = [
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

/// Kind and name of what the call is about: by the call's name and the field that goes with it; else
/// by the ARN that it was given; else by the first name there is; else, as denied calls have no
/// parameters, by the ARN in the error's message. Only of calls of the Aurora family.
fn subject<'a>(
    fields: &Fields<'a, '_>,
    call_kind: impl Fn(&str) -> Option<&'static str>,
) -> Option<(&'static str, Cow<'a, str>)> {
    let source = fields.get(0)?;
    if source == "dsql.amazonaws.com" {
        let name = fields
            .get(5)
            .or_else(|| fields.get(6))
            .or_else(|| fields.get(8));
        return name
            .map(|name| ("dsql_cluster", name))
            .or_else(|| by_arn(fields))
            .or_else(|| refused_subject(&fields.get(9)?));
    }
    if !matches!(
        &*source,
        "rds.amazonaws.com" | "rdsdata.amazonaws.com" | "rdsdataapi.amazonaws.com"
    ) {
        return None;
    }
    let named = |wanted: Option<&str>| {
        let of_kind =
            |(_, (kind, _)): &(usize, &(&'static str, &str))| wanted.is_none_or(|w| w == *kind);
        NAMES
            .iter()
            .enumerate()
            .filter(of_kind)
            .find_map(|(index, (kind, _))| Some((*kind, fields.get(SUBJECT.len() + index)?)))
    };
    let call = fields.get(1);
    let about = call.as_deref().and_then(call_kind);
    about
        .and_then(|kind| named(Some(kind)))
        .or_else(|| by_arn(fields))
        .or_else(|| named(None))
        .or_else(|| refused_subject(&fields.get(9)?))
}

/// What `... is not authorized to perform: rds:DeleteDBCluster on resource: arn:... because ...` was
/// about; nothing if that was all of a kind.
fn refused_subject(message: &str) -> Option<(&'static str, Cow<'static, str>)> {
    let (_, rest) = message.split_once(" on resource: ")?;
    let arn = rest.split_whitespace().next()?;
    arn_subject(arn).filter(|(_, name)| !name.contains('*'))
}

/// By the ARN in the request, or the first of the record's resources.
fn by_arn<'a>(fields: &Fields<'a, '_>) -> Option<(&'static str, Cow<'a, str>)> {
    for index in [2, 3, 4] {
        if let Some(found) = fields.get(index).and_then(|arn| arn_subject(&arn)) {
            return Some(found);
        }
    }
    let resources = fields.value(7)?;
    Elements::at(resources.text, resources.span.start as usize).find_map(|element| {
        Members::at(resources.text, element.start as usize)
            .filter(|(key, _)| key.raw(resources.text).eq_ignore_ascii_case("arn"))
            .find_map(|(_, span)| {
                let text = resources.text;
                arn_subject(&Value { text, span }.string()?)
            })
    })
}

/// What `arn:aws:rds:us-east-1:111122223333:cluster:orders` names. A name may have colons of its own
/// (`rds:orders-2026-01-01`).
fn arn_subject(arn: &str) -> Option<(&'static str, Cow<'static, str>)> {
    let mut parts = arn.splitn(6, ':');
    let (scheme, service) = (parts.next()?, parts.nth(1)?);
    let resource = parts.nth(2)?;
    match (scheme, service) {
        ("arn", "dsql") => {
            let name = resource.strip_prefix("cluster/")?;
            return Some(("dsql_cluster", name.to_owned().into()));
        }
        ("arn", "rds") => {}
        _ => return None,
    }
    let (kind, name) = resource.split_once(':')?;
    let kind = ARN_KINDS.iter().find(|(part, _)| *part == kind)?.1;
    Some((kind, name.to_owned().into()))
}

/// <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_Tagging.ARN.Constructing.html>
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
