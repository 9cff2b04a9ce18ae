//! What the record columns do not hold: fields nobody knows, fields whose exact JSON a typed column
//! cannot give back, and nulls. With these a record can be rebuilt from its row.

use super::cells::{Resource, is_exact_string};
use super::columns::{ColumnClass, ColumnType, catalog};
use super::keys::Keys;
use super::time;
use super::value::Value;
use crate::json::{Elements, Member, unescape};

/// The record's fields that have a column: name and kind.
struct Known {
    keys: Keys,
    fields: Vec<(&'static str, ColumnType)>,
}

/// Finds leftovers; keeps its lists from record to record.
pub(super) struct Leftovers {
    known: Known,
    /// For each member, the field that it is.
    fields: Vec<Option<usize>>,
    /// How many members each field has.
    counts: Vec<u32>,
    /// The JSON object of `unmapped`.
    pub(super) unmapped: String,
    /// The names for `nullFields`.
    pub(super) nulls: Vec<&'static str>,
}

impl Default for Leftovers {
    fn default() -> Self {
        let fields: Vec<(&'static str, ColumnType)> = catalog()
            .columns()
            .iter()
            .filter(|column| column.class == ColumnClass::Record)
            .filter(|column| !matches!(&*column.path, "unmapped" | "nullFields"))
            .map(|column| (&*column.path, column.column_type))
            .collect();
        let mut keys = Keys::default();
        for (name, _) in &fields {
            keys.add(name);
        }
        Self {
            counts: vec![0; fields.len()],
            known: Known { keys, fields },
            fields: Vec::new(),
            unmapped: String::new(),
            nulls: Vec::new(),
        }
    }
}

impl Leftovers {
    /// Finds those of one record.
    pub(super) fn collect(&mut self, text: &str, members: &[Member]) {
        self.unmapped.clear();
        self.nulls.clear();
        self.fields.clear();
        self.counts.fill(0);
        for member in members {
            let field = self.known.field(text, member);
            if let Some(field) = field {
                self.counts[field] += 1;
            }
            self.fields.push(field);
        }
        for (member, field) in members.iter().zip(&self.fields) {
            let value = Value {
                text,
                span: member.value,
            };
            match field {
                Some(field) if self.counts[*field] == 1 => {
                    let (name, kind) = self.known.fields[*field];
                    let spelled = member.key.raw(text) == name;
                    if spelled && value.is_null() {
                        self.nulls.push(name);
                        continue;
                    }
                    if spelled && is_exact(kind, value) {
                        continue;
                    }
                }
                _ => {}
            }
            self.unmapped
                .push(if self.unmapped.is_empty() { '{' } else { ',' });
            self.unmapped.push('"');
            self.unmapped.push_str(member.key.raw(text));
            self.unmapped.push_str("\":");
            self.unmapped.push_str(value.raw());
        }
        if !self.unmapped.is_empty() {
            self.unmapped.push('}');
        }
    }
}

impl Known {
    fn field(&self, text: &str, member: &Member) -> Option<usize> {
        let key = member.key.raw(text);
        match member.key.escaped {
            false => self.keys.find(key.as_bytes()),
            true => self.keys.find(unescape(key).as_bytes()),
        }
    }
}

/// Whether the column gives back the value as it was.
fn is_exact(kind: ColumnType, value: Value<'_>) -> bool {
    match kind {
        ColumnType::Json => true,
        ColumnType::Text => is_exact_string(value),
        ColumnType::Boolean => matches!(value.first(), b't' | b'f'),
        ColumnType::Time => {
            !value.span.escaped && value.string().is_some_and(|text| time::is_canonical(&text))
        }
        ColumnType::Resources => {
            value.first() == b'['
                && Elements::at(value.text, value.span.start as usize)
                    .all(|element| Resource::read(value.text, element).exact)
        }
        ColumnType::Integer | ColumnType::Double | ColumnType::Texts => false,
    }
}
