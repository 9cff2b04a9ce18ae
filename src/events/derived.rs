//! Columns derived from several fields of a record, or from its origin.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::captures::{Captures, Field, Fields};
use super::cells::CellBuilder;
use super::columns::ColumnType;
use super::family::{self, CallKinds, Subject};
use super::projection::{Node, Target};
use super::value::Value;
use crate::envelope::Record;
use crate::json::Span;

/// A derived column: the catalog's row and the decoder's rule in one.
pub(super) struct DerivedColumn {
    pub(super) name: &'static str,
    pub(super) rule: Rule,
    /// Fields that the rule reads.
    fields: &'static [Field],
    /// Kinds and paths of the identifiers that the rule reads.
    identifiers: &'static [(&'static str, &'static str)],
    pub(super) about: &'static str,
}

/// A function from a record's captured fields to a cell.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    Text(for<'a> fn(&Fields<'a, '_>) -> Option<Cow<'a, str>>),
    Json(for<'a> fn(&Fields<'a, '_>) -> Option<Cow<'a, str>>),
    Boolean(fn(&Fields<'_, '_>) -> bool),
    Integer(fn(&Fields<'_, '_>) -> Option<i64>),
    /// A part of the call's subject, which is found once for all columns.
    Subject(for<'s> fn(&'s Subject<'_>) -> &'s str),
}

impl Rule {
    /// Returns the type of the rule's column.
    pub(super) fn column_type(self) -> ColumnType {
        match self {
            Rule::Text(_) | Rule::Subject(_) => ColumnType::Text,
            Rule::Json(_) => ColumnType::Json,
            Rule::Boolean(_) => ColumnType::Boolean,
            Rule::Integer(_) => ColumnType::Integer,
        }
    }
}

/// All derived columns, in the catalog's order.
#[rustfmt::skip]
pub(super) const COLUMNS: &[DerivedColumn] = &[
    row("actor",         Rule::Text(actor),           ACTOR_FIELDS,
        "who: user name; else role/session; else the service; else the ARN"),
    row("identity_kind", Rule::Text(identity_kind),   &[Field::IdentityType, Field::InvokedBy],
        "root, user, temporary_credentials, federated, service, other_account or unknown"),
    about_subject("db_identifier", |subject| &subject.name,
        "the cluster, instance, snapshot, ... that the call is about"),
    about_subject("db_kind",       |subject| subject.kind,
        "what db_identifier names: cluster, instance, cluster_snapshot, ..."),
    row("engine",        Rule::Text(family::engine),  family::ENGINE_FIELDS,
        "aurora-postgresql, aurora-mysql, neptune, ... where the event says so"),
    row("is_error",      Rule::Boolean(is_error),     &[Field::ErrorCode, Field::ErrorMessage],
        "the call failed"),
    row("is_denied",     Rule::Boolean(is_denied),    &[Field::ErrorCode, Field::ErrorMessage],
        "the call failed for want of permission"),
    row("delivery_lag",  Rule::Integer(delivery_lag), &[Field::EventTime],
        "seconds from the event to its delivery, where the file's name or the envelope has that"),
    row("source_uri",    Rule::Text(source_uri),      &[],
        "the file, object or stream it came from"),
    row("fingerprint",   Rule::Integer(fingerprint),  &[],
        "equal for records that are equal as JSON, as copies of an event are; NULL without an event ID"),
    row("record",        Rule::Json(json),            &[],
        "the record's JSON, byte for byte as it came"),
];

const fn row(
    name: &'static str,
    rule: Rule,
    fields: &'static [Field],
    about: &'static str,
) -> DerivedColumn {
    DerivedColumn {
        name,
        rule,
        fields,
        identifiers: &[],
        about,
    }
}

const fn about_subject(
    name: &'static str,
    part: for<'s> fn(&'s Subject<'_>) -> &'s str,
    about: &'static str,
) -> DerivedColumn {
    DerivedColumn {
        name,
        rule: Rule::Subject(part),
        fields: family::SUBJECT_FIELDS,
        identifiers: &family::IDENTIFIERS,
        about,
    }
}

impl DerivedColumn {
    /// Returns slots and paths of the captures that the rule reads.
    fn captures(&self) -> impl Iterator<Item = (usize, &'static str)> {
        let fields = self.fields.iter();
        let identifiers = self.identifiers.iter().enumerate();
        fields
            .map(|&field| (field as usize, field.path()))
            .chain(identifiers.map(|(index, (_, path))| (family::identifier_slot(index), *path)))
    }
}

/// The derived columns of a projection.
#[derive(Default)]
pub(super) struct Derivation {
    /// Indexes of builders, and the columns that they build.
    columns: Vec<(usize, &'static DerivedColumn)>,
    captures: Captures,
    calls: CallKinds,
}

impl Derivation {
    /// Adds the column `name`, and to `tree` the fields that it reads.
    pub(super) fn add(&mut self, name: &str, builder: usize, tree: &mut Node) {
        let column = COLUMNS
            .iter()
            .find(|column| column.name == name)
            .expect("the catalog takes its derived columns from this table");
        for (slot, path) in column.captures() {
            if self.captures.request(slot) {
                tree.add(path, Target::Capture(slot));
            }
        }
        self.columns.push((builder, column));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Captures a value of the record that is decoded.
    #[inline]
    pub(super) fn capture(&mut self, slot: usize, span: Span) {
        self.captures.capture(slot, span);
    }

    /// Sets the cells of row `row` from the captures of `record`, and forgets these.
    pub(super) fn push(&mut self, record: &Record<'_>, cells: &mut [CellBuilder], row: usize) {
        let captures = &self.captures;
        let fields = Fields { record, captures };
        let subject = OnceCell::new();
        for &(builder, column) in &self.columns {
            let cells = &mut cells[builder];
            let text = match column.rule {
                Rule::Text(rule) | Rule::Json(rule) => rule(&fields),
                Rule::Subject(part) => subject
                    .get_or_init(|| family::subject(&fields, &mut self.calls))
                    .as_ref()
                    .map(|subject| Cow::Borrowed(part(subject))),
                Rule::Boolean(rule) => {
                    cells.boolean_cells().set_bool(row, rule(&fields));
                    continue;
                }
                Rule::Integer(rule) => {
                    if let Some(value) = rule(&fields) {
                        cells.integer_cells().set_number(row, value);
                    }
                    continue;
                }
            };
            if let Some(text) = text {
                cells.text_cells().set_text(row, &text);
            }
        }
        self.captures.clear();
    }
}

const ACTOR_FIELDS: &[Field] = &[
    Field::UserName,
    Field::IssuerUserName,
    Field::UserArn,
    Field::PrincipalId,
    Field::InvokedBy,
    Field::OnBehalfOfUserId,
    Field::UserAccountId,
];

/// Returns the user name; else role and session, `Admin/alice`; else the service; else the ARN, the
/// user it acts for, the principal, the account. The session is the last part of the role session's ARN,
/// or follows the colon of the principal.
fn actor<'a>(fields: &Fields<'a, '_>) -> Option<Cow<'a, str>> {
    if let Some(name) = fields.text(Field::UserName) {
        return Some(name);
    }
    let arn = fields.text(Field::UserArn);
    let principal = fields.text(Field::PrincipalId);
    let (role_of_arn, session_of_arn) = arn.as_deref().and_then(assumed_role).unzip();
    let session = session_of_arn.or_else(|| Some(principal.as_deref()?.split_once(':')?.1));
    let role = fields.text(Field::IssuerUserName);
    match (role.as_deref().or(role_of_arn), session) {
        (Some(role), Some(session)) => return Some(format!("{role}/{session}").into()),
        (Some(role), None) => return Some(role.to_owned().into()),
        _ => {}
    }
    fields
        .text(Field::InvokedBy)
        .or_else(|| arn.clone())
        .or_else(|| fields.text(Field::OnBehalfOfUserId))
        .or_else(|| principal.clone())
        .or_else(|| fields.text(Field::UserAccountId))
}

/// Returns role and session of `arn:aws:sts::111122223333:assumed-role/Role/session`.
fn assumed_role(arn: &str) -> Option<(&str, &str)> {
    arn.split_once(":assumed-role/")?.1.split_once('/')
}

/// Returns the kind of identity: `root`, `user`, `temporary_credentials` (roles), `federated`,
/// `service`, `other_account`, or `unknown` for any other type. A record without an identity has none.
fn identity_kind<'a>(fields: &Fields<'a, '_>) -> Option<Cow<'a, str>> {
    let kind = match fields.text(Field::IdentityType).as_deref() {
        None => fields.text(Field::InvokedBy).map(|_| "service")?,
        Some("Root") => "root",
        Some("IAMUser") => "user",
        Some("AssumedRole" | "Role") => "temporary_credentials",
        Some(
            "FederatedUser" | "SAMLUser" | "WebIdentityUser" | "Directory" | "IdentityCenterUser",
        ) => "federated",
        Some("AWSService") => "service",
        Some("AWSAccount") => "other_account",
        Some(_) => "unknown",
    };
    Some(Cow::Borrowed(kind))
}

/// Returns whether there is an error code, or a message without one, as failed sign-ins have it.
fn is_error(fields: &Fields<'_, '_>) -> bool {
    fields.text(Field::ErrorCode).is_some() || fields.text(Field::ErrorMessage).is_some()
}

/// Returns whether the error is a lack of permission: `AccessDenied` and its names in other services.
fn is_denied(fields: &Fields<'_, '_>) -> bool {
    let code = fields.text(Field::ErrorCode);
    let code = code.as_deref().unwrap_or_default();
    let denied = ["AccessDenied", "Unauthorized", "NotAuthorized", "Forbidden"]
        .iter()
        .any(|word| code.contains(word));
    denied
        || matches!(code, "AuthFailure" | "AuthorizationError")
        || fields
            .text(Field::ErrorMessage)
            .is_some_and(|message| message.contains("is not authorized to perform"))
}

/// Returns the whole seconds from the event's time to its delivery.
fn delivery_lag(fields: &Fields<'_, '_>) -> Option<i64> {
    let time = fields.value(Field::EventTime).and_then(Value::as_time)?;
    let lag = fields.record.delivered_micros?.saturating_sub(time);
    Some(lag.div_euclid(1_000_000))
}

fn source_uri<'a>(fields: &Fields<'a, '_>) -> Option<Cow<'a, str>> {
    Some(Cow::Borrowed(&**fields.record.origin))
}

/// Returns the lower half of the record's fingerprint: with the event ID beside it, enough to tell
/// copies of an event.
fn fingerprint(fields: &Fields<'_, '_>) -> Option<i64> {
    super::fingerprint(fields.record).map(|it| it as i64)
}

fn json<'a>(fields: &Fields<'a, '_>) -> Option<Cow<'a, str>> {
    Some(Cow::Borrowed(fields.record.json()))
}
