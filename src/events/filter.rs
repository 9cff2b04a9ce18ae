//! Conditions that are checked before a record is decoded, so that a dropped row costs little. They are
//! necessary, not sufficient: the query checks its own conditions again.

use std::collections::BTreeSet;

use super::value::Value;
use crate::json::Member;

/// A conjunction of conditions on fields of a record; a condition that is `None` always holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowFilter {
    /// The values allowed for `eventSource`.
    pub event_sources: Option<BTreeSet<String>>,
    /// The values allowed for `eventName`.
    pub event_names: Option<BTreeSet<String>>,
    /// The values allowed for `awsRegion`.
    pub regions: Option<BTreeSet<String>>,
    /// The values allowed for `recipientAccountId`.
    pub accounts: Option<BTreeSet<String>>,
    /// The value required of `readOnly`.
    pub read_only: Option<bool>,
    /// The earliest `eventTime`, microseconds since 1970 UTC.
    pub from_micros: Option<i64>,
    /// The latest `eventTime`, microseconds since 1970 UTC.
    pub until_micros: Option<i64>,
}

/// A field with a condition.
#[derive(Clone, Copy)]
enum Field {
    Source,
    Name,
    Region,
    Account,
    ReadOnly,
    Time,
}

impl RowFilter {
    /// Returns whether every row passes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether the record with these members meets all conditions.
    pub(super) fn passes(&self, text: &str, members: &[Member]) -> bool {
        self.text(text, members, Field::Source, self.event_sources.as_ref())
            && self.text(text, members, Field::Name, self.event_names.as_ref())
            && self.text(text, members, Field::Region, self.regions.as_ref())
            && self.text(text, members, Field::Account, self.accounts.as_ref())
            && self.read_only.is_none_or(|wanted| {
                find(text, members, Field::ReadOnly, Value::as_bool) == Some(wanted)
            })
            && self.time(text, members)
    }

    fn text(
        &self,
        text: &str,
        members: &[Member],
        field: Field,
        wanted: Option<&BTreeSet<String>>,
    ) -> bool {
        wanted.is_none_or(|wanted| {
            find(text, members, field, Value::as_text).is_some_and(|value| wanted.contains(&*value))
        })
    }

    fn time(&self, text: &str, members: &[Member]) -> bool {
        if self.from_micros.is_none() && self.until_micros.is_none() {
            return true;
        }
        let time = find(text, members, Field::Time, Value::as_time);
        time.is_some_and(|time| {
            self.from_micros.is_none_or(|from| time >= from)
                && self.until_micros.is_none_or(|until| time <= until)
        })
    }
}

impl std::fmt::Display for RowFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        for (name, wanted) in [
            ("eventSource", &self.event_sources),
            ("eventName", &self.event_names),
            ("awsRegion", &self.regions),
            ("recipientAccountId", &self.accounts),
        ] {
            if let Some(wanted) = wanted {
                let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
                parts.push(format!("{name} in ({})", wanted.join(", ")));
            }
        }
        if let Some(wanted) = self.read_only {
            parts.push(format!("readOnly = {wanted}"));
        }
        for (sign, micros) in [(">=", self.from_micros), ("<=", self.until_micros)] {
            if let Some(micros) = micros {
                parts.push(format!(
                    "eventTime {sign} {}",
                    super::time::canonical(micros)
                ));
            }
        }
        f.write_str(&parts.join(" and "))
    }
}

/// Returns the value of the field's column: that of the first member of this name, ignoring case, that
/// fits its type.
fn find<'a, T>(
    text: &'a str,
    members: &[Member],
    field: Field,
    fit: impl FnMut(Value<'a>) -> Option<T>,
) -> Option<T> {
    let name = match field {
        Field::Source => "eventSource",
        Field::Name => "eventName",
        Field::Region => "awsRegion",
        Field::Account => "recipientAccountId",
        Field::ReadOnly => "readOnly",
        Field::Time => "eventTime",
    };
    let same = |member: &&Member| match member.key.escaped {
        false => member.key.raw(text).eq_ignore_ascii_case(name),
        true => crate::json::unescape(member.key.raw(text)).eq_ignore_ascii_case(name),
    };
    let value = |member: &Member| Value {
        text,
        span: member.value,
    };
    members.iter().filter(same).map(value).find_map(fit)
}
