//! The columns of the table `events`: every name, path, type and meaning.
//!
//! There are three classes ([`ColumnClass`]): the record's own fields; the leaves below them that the fixed
//! objects and AWS's service models list (`api_columns.tsv`); and columns derived from several fields
//! (`derived.rs`). The schema is fixed: neither the data nor a file changes it.
//!
//! `api_columns.tsv` has a row for each leaf of the request and response shapes of the RDS, DocumentDB,
//! Neptune, RDS Data and Aurora DSQL APIs. To make it again from newer models, walk the shapes of
//! botocore's `service-2.json` of these services: the first letter of each member in lower case, lists
//! of structures and maps as `json`, responses only of operations that change something, and of a
//! response with a single structure the members of that structure.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

use super::derived;
use ColumnType::{Boolean, Double, Integer, Json, Resources, Text, Texts, Time};

/// Metadata key of a field: its path in CloudTrail's casing, `userIdentity.userName`.
pub const PATH: &str = "trail.path";
/// Metadata key of a field: `record`, `flattened` or `derived`.
pub const CLASS: &str = "trail.class";
/// Metadata key of a field that holds JSON text out of which paths may be extracted.
pub const JSON: &str = "trail.json";

/// The origin of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnClass {
    /// A top-level field of the record; part of `SELECT *`.
    Record,
    /// A leaf below a field of the record; not part of `SELECT *`.
    Flattened,
    /// A value derived from several fields; not part of `SELECT *`.
    Derived,
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// A string; a number or boolean is converted to its text.
    Text,
    /// The JSON text of any value, byte for byte.
    Json,
    /// `true` or `false`, also as a string.
    Boolean,
    /// An integer of 64 bits.
    Integer,
    /// A floating-point number of 64 bits.
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
    /// The name in the schema: the path in lower case, `_` for `.`.
    pub name: String,
    /// The path in CloudTrail's casing.
    pub path: String,
    /// The type.
    pub column_type: ColumnType,
    /// The origin of the values.
    pub class: ColumnClass,
    /// The meaning, for `DESCRIBE`.
    pub about: String,
}

/// All columns and their schema.
pub struct Catalog {
    columns: Vec<Column>,
    schema: SchemaRef,
}

/// Returns the columns of `events`, which are built on first use.
pub fn catalog() -> &'static Catalog {
    static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::build);
    &CATALOG
}

impl Catalog {
    /// Returns the columns in the schema's order: record, derived, flattened.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Returns the Arrow schema; [`PATH`], [`CLASS`] and [`JSON`] are in the fields' metadata.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Returns the index of the column `name` (in the schema's spelling).
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.schema.index_of(name).ok()
    }

    fn build() -> Self {
        let mut columns: Vec<Column> = RECORD
            .iter()
            .map(|&(path, column_type, about)| {
                column(path, column_type, ColumnClass::Record, about)
            })
            .chain(derived::COLUMNS.iter().map(|derived| {
                let column_type = derived.rule.column_type();
                column(
                    derived.name,
                    column_type,
                    ColumnClass::Derived,
                    derived.about,
                )
            }))
            .chain(FIXED.iter().map(|&(path, column_type, about)| {
                column(path, column_type, ColumnClass::Flattened, about)
            }))
            .collect();
        let mut known: HashMap<String, usize> = columns
            .iter()
            .enumerate()
            .map(|(index, column)| (column.name.clone(), index))
            .collect();
        for column in api_columns() {
            match known.get(&column.name) {
                // Two operations that spell or type it differently: the wider type holds both.
                Some(&index) => {
                    columns[index].column_type =
                        wider(columns[index].column_type, column.column_type)
                }
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

impl ColumnType {
    /// Returns the name of the type in SQL.
    pub fn sql_name(self) -> &'static str {
        match self {
            Text => "varchar",
            Json => "json (varchar)",
            Boolean => "boolean",
            Integer => "bigint",
            Double => "double",
            Time => "timestamp",
            Texts => "array(varchar)",
            Resources => "array(row(arn, accountid, type))",
        }
    }

    /// Returns the Arrow type.
    pub fn data_type(self) -> DataType {
        match self {
            Text | Json => DataType::Utf8,
            Boolean => DataType::Boolean,
            Integer => DataType::Int64,
            Double => DataType::Float64,
            Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Texts => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
            Resources => DataType::List(Arc::new(Field::new_list_field(
                DataType::Struct(resource_fields()),
                true,
            ))),
        }
    }
}

/// Returns the fields of an element of `resources`.
pub(super) fn resource_fields() -> Fields {
    ["arn", "accountid", "type"]
        .into_iter()
        .map(|name| Field::new(name, DataType::Utf8, true))
        .collect()
}

fn column(path: &str, column_type: ColumnType, class: ColumnClass, about: &str) -> Column {
    Column {
        name: path.to_ascii_lowercase().replace('.', "_"),
        path: path.to_owned(),
        column_type,
        class,
        about: about.to_owned(),
    }
}

fn field(column: &Column) -> Field {
    let class = match column.class {
        ColumnClass::Record => "record",
        ColumnClass::Flattened => "flattened",
        ColumnClass::Derived => "derived",
    };
    let mut metadata = HashMap::from([
        (PATH.to_owned(), column.path.clone()),
        (CLASS.to_owned(), class.to_owned()),
    ]);
    if column.column_type == Json {
        metadata.insert(JSON.to_owned(), "true".to_owned());
    }
    Field::new(&column.name, column.column_type.data_type(), true).with_metadata(metadata)
}

fn wider(a: ColumnType, b: ColumnType) -> ColumnType {
    match (a, b) {
        (a, b) if a == b => a,
        (Json, _) | (_, Json) => Json,
        _ => Text,
    }
}

/// Returns the rows of `api_columns.tsv` as columns.
fn api_columns() -> impl Iterator<Item = Column> {
    include_str!("api_columns.tsv")
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut cells = line.split('\t');
            let (root, path, type_name) = (cells.next()?, cells.next()?, cells.next()?);
            let (source, operations, example) = (cells.next()?, cells.next()?, cells.next()?);
            let column_type = match type_name {
                "boolean" => Boolean,
                "bigint" => Integer,
                "double" => Double,
                "timestamp" => Time,
                "array<string>" => Texts,
                "json" => Json,
                _ => Text,
            };
            let service = source.split('.').next().unwrap_or(source);
            let about = match operations {
                "1" => format!("{service} {example}"),
                _ => format!("{service} {example} and {operations} operations in all"),
            };
            Some(column(
                &format!("{root}.{path}"),
                column_type,
                ColumnClass::Flattened,
                &about,
            ))
        })
}

type Row = (&'static str, ColumnType, &'static str);

/// The record's fields, in its order
/// (<https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>).
#[rustfmt::skip]
const RECORD: &[Row] = &[
    ("eventVersion",                 Text,      "version of the record's format, 1.0 to 1.11; compare as numbers"),
    ("userIdentity",                 Json,      "who made the call; see userIdentity.*"),
    ("eventTime",                    Time,      "when the call was finished, UTC, whole seconds"),
    ("eventSource",                  Text,      "the service: rds.amazonaws.com, rdsdataapi.amazonaws.com, ..."),
    ("eventName",                    Text,      "the call: ModifyDBCluster"),
    ("awsRegion",                    Text,      "the region the call was made to"),
    ("sourceIPAddress",              Text,      "an IP address, a service's name, or AWS Internal"),
    ("userAgent",                    Text,      "the tool the call was made with"),
    ("errorCode",                    Text,      "NULL if the call succeeded"),
    ("errorMessage",                 Text,      "what the caller was told"),
    ("requestParameters",            Json,      "the call's parameters; see requestParameters.*"),
    ("responseElements",             Json,      "the answer of a call that changes something; see responseElements.*"),
    ("additionalEventData",          Json,      "more, by service"),
    ("requestID",                    Text,      "the service's name for the call"),
    ("eventID",                      Text,      "CloudTrail's name for the event"),
    ("eventType",                    Text,      "AwsApiCall, AwsServiceEvent, AwsConsoleSignIn, Rds Data Service, ..."),
    ("apiVersion",                   Text,      "version of the service's API: 2014-10-31"),
    ("managementEvent",              Boolean,   "a call on resources, not on what is in them"),
    ("readOnly",                     Boolean,   "the call changes nothing"),
    ("resources",                    Resources, "what was accessed: a list of {arn, accountid, type}"),
    ("recipientAccountId",           Text,      "the account the event was delivered to"),
    ("serviceEventDetails",          Json,      "what a service did by itself"),
    ("sharedEventID",                Text,      "the same action as other accounts see it"),
    ("vpcEndpointId",                Text,      "the endpoint the call came through"),
    ("vpcEndpointAccountId",         Text,      "the endpoint's owner"),
    ("eventCategory",                Text,      "Management, Data, NetworkActivity, Insight or Aggregated"),
    ("addendum",                     Json,      "why the event came late or again; see addendum.*"),
    ("sessionCredentialFromConsole", Boolean,   "the credentials are a console session's"),
    ("eventContext",                 Json,      "tags and conditions (CloudTrail Lake only)"),
    ("edgeDeviceDetails",            Json,      "Snow devices"),
    ("tlsDetails",                   Json,      "how the connection was encrypted; see tlsDetails.*"),
    ("annotation",                   Json,      "CloudTrail Lake only"),
    ("insightDetails",               Json,      "what is unusual; see insightDetails.*"),
    ("accountId",                    Text,      "the account, in aggregated events"),
    ("timeWindow",                   Json,      "the five minutes that an aggregated event adds up; see timeWindow.*"),
    ("summary",                      Json,      "the sums of an aggregated event; see summary.*"),
    ("nullFields",                   Texts,     "fields that are there and null, which their columns cannot tell from absent"),
    ("unmapped",                     Json,      "fields that no column knows, and those whose column does not hold them exactly"),
];

/// The leaves of the objects that are the same for every service
/// (<https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html>).
#[rustfmt::skip]
const FIXED: &[Row] = &[
    ("userIdentity.type",                                               Text,    "Root, IAMUser, AssumedRole, AWSService, ..."),
    ("userIdentity.principalId",                                        Text,    "unique; of a role with the session's name after a colon"),
    ("userIdentity.arn",                                                Text,    "the principal"),
    ("userIdentity.accountId",                                          Text,    "the principal's account"),
    ("userIdentity.accessKeyId",                                        Text,    "the key that signed the call"),
    ("userIdentity.userName",                                           Text,    "of users; roles have sessionContext.sessionIssuer.userName"),
    ("userIdentity.identityProvider",                                   Text,    "of federated users"),
    ("userIdentity.invokedBy",                                          Text,    "the service that called"),
    ("userIdentity.invokedByDelegate.accountId",                        Text,    "the account a service acts for"),
    ("userIdentity.credentialId",                                       Text,    "of bearer tokens"),
    ("userIdentity.onBehalfOf.userId",                                  Text,    "IAM Identity Center user"),
    ("userIdentity.onBehalfOf.identityStoreArn",                        Text,    "IAM Identity Center store"),
    ("userIdentity.inScopeOf.sourceArn",                                Text,    "the resource a service acts for"),
    ("userIdentity.inScopeOf.sourceAccount",                            Text,    "its account"),
    ("userIdentity.inScopeOf.issuerType",                               Text,    "its type"),
    ("userIdentity.inScopeOf.credentialsIssuedTo",                      Text,    "who has the credentials"),
    ("userIdentity.inScopeOf.credentialsIssuedToVersion",               Text,    "its version"),
    ("userIdentity.sessionContext.sessionIssuer.type",                  Text,    "Role, IAMUser, Root"),
    ("userIdentity.sessionContext.sessionIssuer.userName",              Text,    "the role's name"),
    ("userIdentity.sessionContext.sessionIssuer.principalId",           Text,    "the role's id"),
    ("userIdentity.sessionContext.sessionIssuer.arn",                   Text,    "the role"),
    ("userIdentity.sessionContext.sessionIssuer.accountId",             Text,    "the role's account"),
    ("userIdentity.sessionContext.webIdFederationData.federatedProvider", Text,  "who vouched"),
    ("userIdentity.sessionContext.webIdFederationData.attributes",      Json,    "what the provider said"),
    ("userIdentity.sessionContext.attributes.creationDate",             Time,    "when the credentials were made"),
    ("userIdentity.sessionContext.attributes.mfaAuthenticated",         Boolean, "with a second factor"),
    ("userIdentity.sessionContext.sourceIdentity",                      Text,    "who it was before assuming the role"),
    ("userIdentity.sessionContext.ec2RoleDelivery",                     Text,    "version of the instance metadata service"),
    ("userIdentity.sessionContext.ec2IssuedInVpc",                      Text,    "the instance's VPC"),
    ("userIdentity.sessionContext.assumedRoot",                         Boolean, "sts:AssumeRoot"),
    ("userIdentity.sessionContext.signInSessionArn",                    Text,    "the sign-in session"),
    ("tlsDetails.tlsVersion",                                           Text,    "TLSv1.2, TLSv1.3"),
    ("tlsDetails.cipherSuite",                                          Text,    "the cipher suite"),
    ("tlsDetails.clientProvidedHostHeader",                             Text,    "the host name that was called"),
    ("tlsDetails.keyExchange",                                          Text,    "the key exchange"),
    ("addendum.reason",                                                 Text,    "DELIVERY_DELAY, UPDATED_DATA or SERVICE_OUTAGE"),
    ("addendum.updatedFields",                                          Text,    "what UPDATED_DATA corrects"),
    ("addendum.originalRequestID",                                      Text,    "the corrected event's requestID"),
    ("addendum.originalEventID",                                        Text,    "the corrected event's eventID"),
    ("insightDetails.state",                                            Text,    "Start or End"),
    ("insightDetails.eventSource",                                      Text,    "the service that was called unusually"),
    ("insightDetails.eventName",                                        Text,    "the call"),
    ("insightDetails.insightType",                                      Text,    "ApiCallRateInsight or ApiErrorRateInsight"),
    ("insightDetails.errorCode",                                        Text,    "the error, of error rates"),
    ("insightDetails.insightContext.statistics.baseline.average",       Double,  "calls a minute before"),
    ("insightDetails.insightContext.statistics.insight.average",        Double,  "calls a minute during"),
    ("insightDetails.insightContext.statistics.insightDuration",        Integer, "minutes"),
    ("insightDetails.insightContext.statistics.baselineDuration",       Integer, "minutes"),
    ("insightDetails.insightContext.attributions",                      Json,    "who and what made the difference"),
    ("timeWindow.windowStart",                                          Time,    "of an aggregated event"),
    ("timeWindow.windowEnd",                                            Time,    "of an aggregated event"),
    ("timeWindow.windowSize",                                           Text,    "PT5M"),
    ("summary.primaryDimension.dimension",                              Text,    "what is counted"),
    ("summary.primaryDimension.aggregationType",                        Text,    "Count"),
    ("summary.primaryDimension.statistics",                             Json,    "names and counts"),
    ("summary.details",                                                 Json,    "the other dimensions"),
    ("eventContext.requestContext",                                     Json,    "IAM condition keys"),
    ("eventContext.tagContext.resourceTags",                            Json,    "tags of the resources"),
    ("eventContext.tagContext.principalTags",                           Json,    "tags of the principal"),
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
