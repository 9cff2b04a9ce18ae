//! The view `cloudtrail_logs`: the columns and values of AWS's own table for CloudTrail, in Trino's SQL,
//! which is Athena's.
//!
//! See <https://docs.aws.amazon.com/athena/latest/ug/create-cloudtrail-table.html>.

use super::sql::comment;
use super::{FieldType, Table};
use crate::lake::layout::Level;

/// A field of a row: its name and its value.
enum Member {
    /// The value of a column, as text.
    Column(&'static str, &'static str),
    /// A row of its own.
    Row(&'static str, &'static [Member]),
    /// A column with a JSON object, as a map of texts.
    Map(&'static str, &'static str),
}

use Member::{Column, Map, Row};

/// The columns, in the order of AWS's table.
#[rustfmt::skip]
const COLUMNS: &[Member] = &[
    Column("eventversion", "eventversion"),
    Row("useridentity", &[
        Column("type", "useridentity_type"),
        Column("principalid", "useridentity_principalid"),
        Column("arn", "useridentity_arn"),
        Column("accountid", "useridentity_accountid"),
        Column("invokedby", "useridentity_invokedby"),
        Column("accesskeyid", "useridentity_accesskeyid"),
        Column("username", "useridentity_username"),
        Row("onbehalfof", &[
            Column("userid", "useridentity_onbehalfof_userid"),
            Column("identitystorearn", "useridentity_onbehalfof_identitystorearn"),
        ]),
        Row("sessioncontext", &[
            Row("attributes", &[
                Column("mfaauthenticated", "useridentity_sessioncontext_attributes_mfaauthenticated"),
                Column("creationdate", "useridentity_sessioncontext_attributes_creationdate"),
            ]),
            Row("sessionissuer", &[
                Column("type", "useridentity_sessioncontext_sessionissuer_type"),
                Column("principalid", "useridentity_sessioncontext_sessionissuer_principalid"),
                Column("arn", "useridentity_sessioncontext_sessionissuer_arn"),
                Column("accountid", "useridentity_sessioncontext_sessionissuer_accountid"),
                Column("username", "useridentity_sessioncontext_sessionissuer_username"),
            ]),
            Column("ec2roledelivery", "useridentity_sessioncontext_ec2roledelivery"),
            Row("webidfederationdata", &[
                Column("federatedprovider", "useridentity_sessioncontext_webidfederationdata_federatedprovider"),
                Map("attributes", "useridentity_sessioncontext_webidfederationdata_attributes"),
            ]),
        ]),
    ]),
    Column("eventtime", "eventtime"),
    Column("eventsource", "eventsource"),
    Column("eventname", "eventname"),
    Column("awsregion", "awsregion"),
    Column("sourceipaddress", "sourceipaddress"),
    Column("useragent", "useragent"),
    Column("errorcode", "errorcode"),
    Column("errormessage", "errormessage"),
    Column("requestparameters", "requestparameters"),
    Column("responseelements", "responseelements"),
    Column("additionaleventdata", "additionaleventdata"),
    Column("requestid", "requestid"),
    Column("eventid", "eventid"),
    Column("readonly", "readonly"),
    Column("resources", "resources"),
    Column("eventtype", "eventtype"),
    Column("apiversion", "apiversion"),
    Column("recipientaccountid", "recipientaccountid"),
    Column("serviceeventdetails", "serviceeventdetails"),
    Column("sharedeventid", "sharedeventid"),
    Column("vpcendpointid", "vpcendpointid"),
    Column("vpcendpointaccountid", "vpcendpointaccountid"),
    Column("eventcategory", "eventcategory"),
    Row("addendum", &[
        Column("reason", "addendum_reason"),
        Column("updatedfields", "addendum_updatedfields"),
        Column("originalrequestid", "addendum_originalrequestid"),
        Column("originaleventid", "addendum_originaleventid"),
    ]),
    Column("sessioncredentialfromconsole", "sessioncredentialfromconsole"),
    Column("edgedevicedetails", "edgedevicedetails"),
    Row("tlsdetails", &[
        Column("tlsversion", "tlsdetails_tlsversion"),
        Column("ciphersuite", "tlsdetails_ciphersuite"),
        Column("clientprovidedhostheader", "tlsdetails_clientprovidedhostheader"),
    ]),
];

/// Returns the statement that makes the view `view` over the table `source`, both quoted.
pub(super) fn cloudtrail_view(table: &Table, view: &str, source: &str) -> String {
    let mut columns: Vec<String> = COLUMNS.iter().map(|it| selected(table, it)).collect();
    columns.extend(folders(table));
    format!(
        "{}CREATE OR REPLACE VIEW {view} AS\nSELECT\n  {}\nFROM {source};\n",
        comment(
            "The columns and values of AWS's table for CloudTrail, so that queries over that one run here too. \
             Conditions on dt, the day, keep files from being read; those on \"timestamp\", \"date\", year, \
             month and day may not. Make the view anew when the lake has got new columns of userIdentity."
        ),
        columns.join(",\n  ")
    )
}

/// Returns an item of the SELECT list.
fn selected(table: &Table, member: &Member) -> String {
    match member {
        Row(name, members) => {
            let value = format!("CAST({} AS {})", value(table, member), row_type(members));
            let value = match table.type_of(name) {
                Some(_) => format!("CASE WHEN \"{name}\" IS NOT NULL THEN {value} END"),
                None => value,
            };
            format!("{value} AS \"{name}\"")
        }
        Column(name, _) | Map(name, _) => format!("{} AS \"{name}\"", value(table, member)),
    }
}

fn value(table: &Table, member: &Member) -> String {
    match member {
        Column(name, column) => match table.type_of(column) {
            Some(FieldType::Text) => format!("\"{column}\""),
            Some(FieldType::List(_) | FieldType::Struct(_)) => format!("\"{column}\""),
            Some(FieldType::Time) => format!("date_format(\"{column}\", '%Y-%m-%dT%H:%i:%sZ')"),
            Some(_) => format!("CAST(\"{column}\" AS varchar)"),
            None if *name == "resources" => {
                "CAST(NULL AS array(row(arn varchar, accountid varchar, type varchar)))".to_owned()
            }
            None => "CAST(NULL AS varchar)".to_owned(),
        },
        Row(_, members) => {
            let members = members.iter().map(|it| value(table, it));
            format!("ROW({})", members.collect::<Vec<_>>().join(", "))
        }
        Map(_, column) => match table.type_of(column) {
            Some(_) => format!("TRY(CAST(json_parse(\"{column}\") AS map(varchar, varchar)))"),
            None => "CAST(NULL AS map(varchar, varchar))".to_owned(),
        },
    }
}

fn row_type(members: &[Member]) -> String {
    let members = members.iter().map(|member| match member {
        Column(name, _) => format!("\"{name}\" varchar"),
        Row(name, members) => format!("\"{name}\" {}", row_type(members)),
        Map(name, _) => format!("\"{name}\" map(varchar, varchar)"),
    });
    format!("ROW({})", members.collect::<Vec<_>>().join(", "))
}

/// Returns the columns that stand for the folders of a trail, by which AWS's tables are partitioned.
fn folders(table: &Table) -> Vec<String> {
    let has = |level: Level| table.folders.iter().any(|it| it.level == level);
    let account = match has(Level::Account) {
        true => "\"account\"",
        false => "\"recipientaccountid\" AS \"account\"",
    };
    let region = match has(Level::Region) {
        true => "\"region\"",
        false => "\"awsregion\" AS \"region\"",
    };
    let day = "CAST(\"dt\" AS varchar)";
    let part =
        |name: &str, from: u8, length: u8| format!("substr({day}, {from}, {length}) AS \"{name}\"");
    vec![
        account.to_owned(),
        region.to_owned(),
        format!("replace({day}, '-', '/') AS \"timestamp\""),
        format!("{day} AS \"date\""),
        part("year", 1, 4),
        part("month", 6, 2),
        part("day", 9, 2),
        "\"dt\"".to_owned(),
    ]
}
