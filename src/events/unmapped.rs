//! The columns `unmapped` and `nullFields`: fields without a column, fields whose exact JSON their column
//! loses, and nulls. With these two columns a record can be rebuilt from its row.

use super::cells::{Resource, is_exact_string};
use super::columns::{ColumnClass, ColumnType, catalog};
use super::keys::Keys;
use super::time;
use super::value::Value;
use crate::envelope::Record;
use crate::json::{Elements, Member, Members, unescape};

/// The fields of a record that have a column, with its type.
struct KnownFields {
    keys: Keys,
    fields: Vec<(&'static str, ColumnType)>,
}

/// The unmapped and null fields of one record; the buffers are reused for the next.
pub(super) struct UnmappedFields {
    known: KnownFields,
    /// For each member, the number of its field.
    fields: Vec<Option<usize>>,
    /// For each field, the number of its members.
    counts: Vec<u32>,
    /// The JSON object for `unmapped`, or an empty text.
    pub(super) unmapped: String,
    /// The names for `nullFields`.
    pub(super) nulls: Vec<&'static str>,
}

impl Default for UnmappedFields {
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
            known: KnownFields { keys, fields },
            fields: Vec::new(),
            unmapped: String::new(),
            nulls: Vec::new(),
        }
    }
}

impl UnmappedFields {
    /// Replaces the contents with the fields of `record`.
    pub(super) fn collect(&mut self, record: &Record<'_>) {
        let (text, members) = (record.text, record.members);
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
                    let (name, column_type) = self.known.fields[*field];
                    let spelled = member.key.raw(text) == name;
                    if spelled && value.is_null() {
                        self.nulls.push(name);
                        continue;
                    }
                    if spelled && is_exact(column_type, value) {
                        continue;
                    }
                }
                _ => {}
            }
            push_member(&mut self.unmapped, member.key.raw(text), value.raw());
        }
        let is_repeated = self.counts.iter().any(|count| *count > 1);
        if let Some(original) = record.original.filter(|_| !is_repeated) {
            self.keep_texts(original);
        }
        if !self.unmapped.is_empty() {
            self.unmapped.push('}');
        }
    }

    /// Adds the fields of the record as it came that are text there and an object in their column, if that is
    /// all that its spelling differs in and no field is repeated. Rows of tables have all objects as text, and keys in lower case.
    fn keep_texts(&mut self, original: &str) {
        let is_respelled = |name: &str| {
            let parent = name.split('.').next().unwrap_or_default();
            let field = self.known.keys.find(parent.as_bytes());
            field.is_some_and(|field| self.known.fields[field].0 != name)
        };
        if Members::new(original).any(|(key, _)| is_respelled(&unescape(key.raw(original)))) {
            return;
        }
        for (key, value) in Members::new(original) {
            let name = key.raw(original);
            let field = self.known.keys.find(name.as_bytes());
            let is_text_of_json = field.is_some_and(|field| {
                let (known, column_type) = self.known.fields[field];
                known == name && matches!(column_type, ColumnType::Json | ColumnType::Resources)
            });
            let raw = value.raw(original);
            if is_text_of_json && (raw.starts_with("\"{") || raw.starts_with("\"[")) {
                push_member(&mut self.unmapped, name, raw);
            }
        }
    }
}

impl KnownFields {
    /// Returns the number of the member's field.
    fn field(&self, text: &str, member: &Member) -> Option<usize> {
        let key = member.key.raw(text);
        match member.key.escaped {
            false => self.keys.find(key.as_bytes()),
            true => self.keys.find(unescape(key).as_bytes()),
        }
    }
}

/// Appends a member to the text of an object that has no end yet.
fn push_member(object: &mut String, key: &str, value: &str) {
    object.push(if object.is_empty() { '{' } else { ',' });
    object.push('"');
    object.push_str(key);
    object.push_str("\":");
    object.push_str(value);
}

/// Returns whether a column of this type restores the value exactly.
fn is_exact(column_type: ColumnType, value: Value<'_>) -> bool {
    match column_type {
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
