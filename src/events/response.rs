//! Responses of the RDS API. Older operations give the members of their result directly in
//! `responseElements`, newer ones in a single member with the result's name; both mean the same.

use crate::json::{Members, Span};

/// The field with the response.
pub const RESPONSE: &str = "responseElements";

/// Names of results: of each operation whose response is one structure, the structure's member in the
/// service models of RDS, Neptune and DocumentDB.
#[rustfmt::skip]
const RESULTS: &[&str] = &[
    "blueGreenDeployment",
    "certificate",
    "dBCluster",
    "dBClusterAutomatedBackup",
    "dBClusterParameterGroup",
    "dBClusterSnapshot",
    "dBClusterSnapshotAttributesResult",
    "dBInstance",
    "dBInstanceAutomatedBackup",
    "dBParameterGroup",
    "dBProxy",
    "dBProxyEndpoint",
    "dBProxyTargetGroup",
    "dBRecommendation",
    "dBSecurityGroup",
    "dBSnapshot",
    "dBSnapshotAttributesResult",
    "dBSubnetGroup",
    "engineDefaults",
    "eventSubscription",
    "globalCluster",
    "optionGroup",
    "reservedDBInstance",
    "resourcePendingMaintenanceActions",
    "tenantDatabase",
    "validDBInstanceModificationsMessage",
];

/// Returns whether `name`, in any case, is the name of a result.
pub fn is_result(name: &str) -> bool {
    RESULTS
        .iter()
        .any(|result| result.eq_ignore_ascii_case(name))
}

/// Returns the result that the response at byte `at` of `text` wraps: its only member, if that is an object
/// with the name of a result.
///
/// ```
/// use auroratrail::events::response::wrapped_result;
///
/// let text = r#"{"dBProxy": {"dBProxyName": "orders"}}"#;
/// let result = wrapped_result(text, 0).map(|result| result.raw(text));
/// assert_eq!(result, Some(r#"{"dBProxyName": "orders"}"#));
/// assert_eq!(wrapped_result(r#"{"dBProxyName": "orders"}"#, 0), None);
/// ```
pub fn wrapped_result(text: &str, at: usize) -> Option<Span> {
    let mut members = Members::at(text, at);
    let (key, value) = members.next()?;
    let is_wrapped =
        value.first(text) == b'{' && is_result(key.raw(text)) && members.next().is_none();
    is_wrapped.then_some(value)
}
