//! The columns of the table `events`: every name, path, type and meaning, in one place.
//!
//! Three classes, told apart by [`Class`]: the record's own fields, the leaves below them that the
//! fixed objects and AWS's service models list (`api_columns.tsv`), and what is worked out from
//! several of them. The schema is fixed: no pass over the data decides it, and no file changes it.
//!
//! `api_columns.tsv` has a row for each leaf of the request and response shapes of the RDS, DocumentDB,
//! Neptune, RDS Data and Aurora DSQL APIs. To make it again from newer models, walk the shapes of
//! botocore's `service-2.json` of these services: the first letter of each member in lower case, lists
//! of structures and maps as `json`, responses only of operations that change something, and of a
//! response with a single structure the members of that structure.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

/// Metadata key of a field: its path in CloudTrail's casing, `userIdentity.userName`.
pub const PATH: &str = "trail.path";
/// Metadata key of a field: `record`, `flattened` or `derived`.
pub const CLASS: &str = "trail.class";
/// Metadata key of a field that holds JSON text out of which paths may be extracted.
pub const JSON: &str = "trail.json";

/// Where a column's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A top-level field of the record; `SELECT *` gives these.
    Record,
    /// A leaf below one; there when named.
    Flattened,
    /// Worked out; there when named.
    Derived,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A string; a number or boolean in its place as its text.
    Text,
    /// A value of any shape as its JSON text, byte for byte.
    Json,
    /// `true` or `false`, also as strings.
    Boolean,
    /// A whole number.
    Integer,
    /// A number.
    Double,
    /// Microseconds since 1970, UTC.
    Time,
    /// An array of strings.
    Texts,
    /// The record's `resources`: a list of `{arn, accountid, type}`.
    Resources,
}

/// A column of `events`.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name in the schema: the path in lower case, `_` for `.`.
    pub name: String,
    /// Its path in CloudTrail's casing.
    pub path: String,
    /// What it holds.
    pub kind: Kind,
    /// Where it comes from.
    pub class: Class,
    /// What it means.
    pub about: String,
}

/// All columns and their schema.
pub struct Catalog {
    columns: Vec<Column>,
    schema: SchemaRef,
}

/// The columns of `events`, built on first use.
pub fn catalog() -> &'static Catalog {
    static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::build);
    &CATALOG
}

impl Catalog {
    /// The columns, in the schema's order: record, derived, flattened.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The Arrow schema; [`PATH`], [`CLASS`] and [`JSON`] are in the fields' metadata.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The index of the column `name` (in the schema's spelling).
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.schema.index_of(name).ok()
    }

    fn build() -> Self {
        let mut columns: Vec<Column> = RECORD
            .iter()
            .map(|&(path, kind, about)| column(path, kind, Class::Record, about))
            .chain(
                DERIVED
                    .iter()
                    .map(|&(path, kind, about)| column(path, kind, Class::Derived, about)),
            )
            .chain(
                FIXED
                    .iter()
                    .map(|&(path, kind, about)| column(path, kind, Class::Flattened, about)),
            )
            .collect();
        let mut known: HashMap<String, usize> = columns
            .iter()
            .enumerate()
            .map(|(index, column)| (column.name.clone(), index))
            .collect();
        for column in api_columns() {
            match known.get(&column.name) {
                // Two operations that spell or type it differently: the wider type holds both.
                Some(&index) => columns[index].kind = wider(columns[index].kind, column.kind),
                None => {
                    known.insert(column.name.clone(), columns.len());
                    columns.push(column);
                }
            }
        }
        let fields: Fields = columns.iter().map(field).collect();
        Self {
            columns,
            schema: Arc::new(Schema::new(fields)),
        }
    }
}

impl Kind {
    /// The type as SQL calls it.
    pub fn sql_name(self) -> &'static str {
        match self {
            Kind::Text => "varchar",
            Kind::Json => "json (varchar)",
            Kind::Boolean => "boolean",
            Kind::Integer => "bigint",
            Kind::Double => "double",
            Kind::Time => "timestamp",
            Kind::Texts => "array(varchar)",
            Kind::Resources => "array(row(arn, accountid, type))",
        }
    }

    /// The Arrow type.
    pub fn data_type(self) -> DataType {
        match self {
            Kind::Text | Kind::Json => DataType::Utf8,
            Kind::Boolean => DataType::Boolean,
            Kind::Integer => DataType::Int64,
            Kind::Double => DataType::Float64,
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Texts => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
            Kind::Resources => DataType::List(Arc::new(Field::new_list_field(
                DataType::Struct(resource_fields()),
                true,
            ))),
        }
    }
}

/// The fields of an element of `resources`.
pub(super) fn resource_fields() -> Fields {
    ["arn", "accountid", "type"]
        .into_iter()
        .map(|name| Field::new(name, DataType::Utf8, true))
        .collect()
}

fn column(path: &str, kind: Kind, class: Class, about: &str) -> Column {
    Column {
        name: path.to_ascii_lowercase().replace('.', "_"),
        path: path.to_owned(),
        kind,
        class,
        about: about.to_owned(),
    }
}

fn field(column: &Column) -> Field {
    let class = match column.class {
        Class::Record => "record",
        Class::Flattened => "flattened",
        Class::Derived => "derived",
    };
    let mut metadata = HashMap::from([
        (PATH.to_owned(), column.path.clone()),
        (CLASS.to_owned(), class.to_owned()),
    ]);
    if column.kind == Kind::Json {
        metadata.insert(JSON.to_owned(), "true".to_owned());
    }
    Field::new(&column.name, column.kind.data_type(), true).with_metadata(metadata)
}

fn wider(a: Kind, b: Kind) -> Kind {
    match (a, b) {
        (a, b) if a == b => a,
        (Kind::Json, _) | (_, Kind::Json) => Kind::Json,
        _ => Kind::Text,
    }
}

/// The rows of `api_columns.tsv`.
fn api_columns() -> impl Iterator<Item = Column> {
    include_str!("api_columns.tsv")
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut cells = line.split('\t');
            let (root, path, kind) = (cells.next()?, cells.next()?, cells.next()?);
            let (source, operations, example) = (cells.next()?, cells.next()?, cells.next()?);
            let kind = match kind {
                "boolean" => Kind::Boolean,
                "bigint" => Kind::Integer,
                "double" => Kind::Double,
                "timestamp" => Kind::Time,
                "array<string>" => Kind::Texts,
                "json" => Kind::Json,
                _ => Kind::Text,
            };
            let service = source.split('.').next().unwrap_or(source);
            let about = match operations {
                "1" => format!("{service} {example}"),
                _ => format!("{service} {example} and {operations} operations in all"),
            };
            Some(column(
                &format!("{root}.{path}"),
                kind,
                Class::Flattened,
                &about,
            ))
        })
}

type Row = (&'static str, Kind, &'static str);

/// The record's fields, in its order
/// (<https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>).
#[rustfmt::skip]
const RECORD: &[Row] = &[
    ("eventVersion",                 Kind::Text,      "version of the record's format, 1.0 to 1.11; compare as numbers"),
    ("userIdentity",                 Kind::Json,      "who made the call; see userIdentity.*"),
    ("eventTime",                    Kind::Time,      "when the call was finished, UTC, whole seconds"),
    ("eventSource",                  Kind::Text,      "the service: rds.amazonaws.com, rdsdataapi.amazonaws.com, ..."),
    ("eventName",                    Kind::Text,      "the call: ModifyDBCluster"),
    ("awsRegion",                    Kind::Text,      "the region the call was made to"),
    ("sourceIPAddress",              Kind::Text,      "an IP address, a service's name, or AWS Internal"),
    ("userAgent",                    Kind::Text,      "the tool the call was made with"),
    ("errorCode",                    Kind::Text,      "NULL if the call succeeded"),
    ("errorMessage",                 Kind::Text,      "what the caller was told"),
    ("requestParameters",            Kind::Json,      "the call's parameters; see requestParameters.*"),
    ("responseElements",             Kind::Json,      "the answer of a call that changes something; see responseElements.*"),
    ("additionalEventData",          Kind::Json,      "more, by service"),
    ("requestID",                    Kind::Text,      "the service's name for the call"),
    ("eventID",                      Kind::Text,      "CloudTrail's name for the event"),
    ("eventType",                    Kind::Text,      "AwsApiCall, AwsServiceEvent, AwsConsoleSignIn, Rds Data Service, ..."),
    ("apiVersion",                   Kind::Text,      "version of the service's API: 2014-10-31"),
    ("managementEvent",              Kind::Boolean,   "a call on resources, not on what is in them"),
    ("readOnly",                     Kind::Boolean,   "the call changes nothing"),
    ("resources",                    Kind::Resources, "what was accessed: a list of {arn, accountid, type}"),
    ("recipientAccountId",           Kind::Text,      "the account the event was delivered to"),
    ("serviceEventDetails",          Kind::Json,      "what a service did by itself"),
    ("sharedEventID",                Kind::Text,      "the same action as other accounts see it"),
    ("vpcEndpointId",                Kind::Text,      "the endpoint the call came through"),
    ("vpcEndpointAccountId",         Kind::Text,      "the endpoint's owner"),
    ("eventCategory",                Kind::Text,      "Management, Data, NetworkActivity, Insight or Aggregated"),
    ("addendum",                     Kind::Json,      "why the event came late or again; see addendum.*"),
    ("sessionCredentialFromConsole", Kind::Boolean,   "the credentials are a console session's"),
    ("eventContext",                 Kind::Json,      "tags and conditions (CloudTrail Lake only)"),
    ("edgeDeviceDetails",            Kind::Json,      "Snow devices"),
    ("tlsDetails",                   Kind::Json,      "how the connection was encrypted; see tlsDetails.*"),
    ("annotation",                   Kind::Json,      "CloudTrail Lake only"),
    ("insightDetails",               Kind::Json,      "what is unusual; see insightDetails.*"),
    ("accountId",                    Kind::Text,      "the account, in aggregated events"),
    ("timeWindow",                   Kind::Json,      "the five minutes that an aggregated event adds up; see timeWindow.*"),
    ("summary",                      Kind::Json,      "the sums of an aggregated event; see summary.*"),
    ("nullFields",                   Kind::Texts,     "fields that are there and null, which their columns cannot tell from absent"),
    ("unmapped",                     Kind::Json,      "fields that no column knows, and those whose column does not hold them exactly"),
];

/// Worked out of the record and of where it came from; `derived.rs` says how.
#[rustfmt::skip]
const DERIVED: &[Row] = &[
    ("actor",         Kind::Text,    "who: user name; else role/session; else the service; else the ARN"),
    ("identity_kind", Kind::Text,    "root, user, temporary_credentials, federated, service, other_account or unknown"),
    ("db_identifier", Kind::Text,    "the cluster, instance, snapshot, ... that the call is about"),
    ("db_kind",       Kind::Text,    "what db_identifier names: cluster, instance, cluster_snapshot, ..."),
    ("engine",        Kind::Text,    "aurora-postgresql, aurora-mysql, neptune, ... where the event says so"),
    ("is_error",      Kind::Boolean, "the call failed"),
    ("is_denied",     Kind::Boolean, "the call failed for want of permission"),
    ("delivery_lag",  Kind::Integer, "seconds from the event to its delivery, where the file's name or the envelope has that"),
    ("source_uri",    Kind::Text,    "the file, object or stream it came from"),
    ("record",        Kind::Json,    "the record's JSON, byte for byte as it came"),
];

/// The leaves of the objects that are the same for every service
/// (<https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html>).
#[rustfmt::skip]
const FIXED: &[Row] = &[
    ("userIdentity.type",                                               Kind::Text,    "Root, IAMUser, AssumedRole, AWSService, ..."),
    ("userIdentity.principalId",                                        Kind::Text,    "unique; of a role with the session's name behind a colon"),
    ("userIdentity.arn",                                                Kind::Text,    "the principal"),
    ("userIdentity.accountId",                                          Kind::Text,    "the principal's account"),
    ("userIdentity.accessKeyId",                                        Kind::Text,    "the key that signed the call"),
    ("userIdentity.userName",                                           Kind::Text,    "of users; roles have sessionContext.sessionIssuer.userName"),
    ("userIdentity.identityProvider",                                   Kind::Text,    "of federated users"),
    ("userIdentity.invokedBy",                                          Kind::Text,    "the service that called"),
    ("userIdentity.invokedByDelegate.accountId",                        Kind::Text,    "the account a service acts for"),
    ("userIdentity.credentialId",                                       Kind::Text,    "of bearer tokens"),
    ("userIdentity.onBehalfOf.userId",                                  Kind::Text,    "IAM Identity Center user"),
    ("userIdentity.onBehalfOf.identityStoreArn",                        Kind::Text,    "IAM Identity Center store"),
    ("userIdentity.inScopeOf.sourceArn",                                Kind::Text,    "the resource a service acts for"),
    ("userIdentity.inScopeOf.sourceAccount",                            Kind::Text,    "its account"),
    ("userIdentity.inScopeOf.issuerType",                               Kind::Text,    "its type"),
    ("userIdentity.inScopeOf.credentialsIssuedTo",                      Kind::Text,    "who has the credentials"),
    ("userIdentity.inScopeOf.credentialsIssuedToVersion",               Kind::Text,    "its version"),
    ("userIdentity.sessionContext.sessionIssuer.type",                  Kind::Text,    "Role, IAMUser, Root"),
    ("userIdentity.sessionContext.sessionIssuer.userName",              Kind::Text,    "the role's name"),
    ("userIdentity.sessionContext.sessionIssuer.principalId",           Kind::Text,    "the role's id"),
    ("userIdentity.sessionContext.sessionIssuer.arn",                   Kind::Text,    "the role"),
    ("userIdentity.sessionContext.sessionIssuer.accountId",             Kind::Text,    "the role's account"),
    ("userIdentity.sessionContext.webIdFederationData.federatedProvider", Kind::Text,  "who vouched"),
    ("userIdentity.sessionContext.webIdFederationData.attributes",      Kind::Json,    "what the provider said"),
    ("userIdentity.sessionContext.attributes.creationDate",             Kind::Time,    "when the credentials were made"),
    ("userIdentity.sessionContext.attributes.mfaAuthenticated",         Kind::Boolean, "with a second factor"),
    ("userIdentity.sessionContext.sourceIdentity",                      Kind::Text,    "who it was before assuming the role"),
    ("userIdentity.sessionContext.ec2RoleDelivery",                     Kind::Text,    "version of the instance metadata service"),
    ("userIdentity.sessionContext.ec2IssuedInVpc",                      Kind::Text,    "the instance's VPC"),
    ("userIdentity.sessionContext.assumedRoot",                         Kind::Boolean, "sts:AssumeRoot"),
    ("userIdentity.sessionContext.signInSessionArn",                    Kind::Text,    "the sign-in session"),
    ("tlsDetails.tlsVersion",                                           Kind::Text,    "TLSv1.2, TLSv1.3"),
    ("tlsDetails.cipherSuite",                                          Kind::Text,    "the cipher suite"),
    ("tlsDetails.clientProvidedHostHeader",                             Kind::Text,    "the host name that was called"),
    ("tlsDetails.keyExchange",                                          Kind::Text,    "the key exchange"),
    ("addendum.reason",                                                 Kind::Text,    "DELIVERY_DELAY, UPDATED_DATA or SERVICE_OUTAGE"),
    ("addendum.updatedFields",                                          Kind::Text,    "what UPDATED_DATA corrects"),
    ("addendum.originalRequestID",                                      Kind::Text,    "the corrected event's requestID"),
    ("addendum.originalEventID",                                        Kind::Text,    "the corrected event's eventID"),
    ("insightDetails.state",                                            Kind::Text,    "Start or End"),
    ("insightDetails.eventSource",                                      Kind::Text,    "the service that was called unusually"),
    ("insightDetails.eventName",                                        Kind::Text,    "the call"),
    ("insightDetails.insightType",                                      Kind::Text,    "ApiCallRateInsight or ApiErrorRateInsight"),
    ("insightDetails.errorCode",                                        Kind::Text,    "the error, of error rates"),
    ("insightDetails.insightContext.statistics.baseline.average",       Kind::Double,  "calls a minute before"),
    ("insightDetails.insightContext.statistics.insight.average",        Kind::Double,  "calls a minute during"),
    ("insightDetails.insightContext.statistics.insightDuration",        Kind::Integer, "minutes"),
    ("insightDetails.insightContext.statistics.baselineDuration",       Kind::Integer, "minutes"),
    ("insightDetails.insightContext.attributions",                      Kind::Json,    "who and what made the difference"),
    ("timeWindow.windowStart",                                          Kind::Time,    "of an aggregated event"),
    ("timeWindow.windowEnd",                                            Kind::Time,    "of an aggregated event"),
    ("timeWindow.windowSize",                                           Kind::Text,    "PT5M"),
    ("summary.primaryDimension.dimension",                              Kind::Text,    "what is counted"),
    ("summary.primaryDimension.aggregationType",                        Kind::Text,    "Count"),
    ("summary.primaryDimension.statistics",                             Kind::Json,    "names and counts"),
    ("summary.details",                                                 Kind::Json,    "the other dimensions"),
    ("eventContext.requestContext",                                     Kind::Json,    "IAM condition keys"),
    ("eventContext.tagContext.resourceTags",                            Kind::Json,    "tags of the resources"),
    ("eventContext.tagContext.principalTags",                           Kind::Json,    "tags of the principal"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_name_of_its_own_that_sql_takes_unquoted() {
        let catalog = catalog();
        let mut names: Vec<&str> = catalog.columns().iter().map(|c| &*c.name).collect();
        for name in &names {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            assert!(name.bytes().all(plain), "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), catalog.columns().len());
        assert!(names.len() > 850, "{}", names.len());
    }

    #[test]
    fn a_path_can_be_a_scalar_and_have_columns_below_it() {
        let catalog = catalog();
        for name in [
            "responseelements_dbsubnetgroup",
            "responseelements_dbsubnetgroup_dbsubnetgroupname",
            "responseelements_endpoint",
            "responseelements_endpoint_address",
        ] {
            assert!(catalog.index_of(name).is_some(), "{name}");
        }
    }
}
