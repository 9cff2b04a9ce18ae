//! Decodes every leaf of every record into a column of its path, with each parser compared.
//!
//! All cells are text, and an array is one cell that only marks its presence: less work than our
//! decoder does, which types its cells and keeps the contents of arrays.

use std::fmt::{self, Write};

use arrow::array::{Array, StringBuilder};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sonic_rs::{JsonContainerTrait, JsonValueTrait};

/// A parser and the state it reuses between documents.
pub trait Rival {
    /// Appends the document's cells to the columns.
    fn cells(&mut self, text: &str, columns: &mut Columns);
}

/// Returns all parsers by name.
pub fn rivals() -> Vec<(&'static str, Box<dyn Rival>)> {
    vec![
        ("serde_json, visitor", Box::new(SerdeVisitor)),
        ("sonic-rs, visitor", Box::new(SonicVisitor)),
        ("serde_json, Value", Box::new(SerdeValue)),
        ("sonic-rs, Value", Box::new(SonicValue)),
        ("simd-json, tape", Box::new(SimdTape::default())),
    ]
}

/// A column for each path, as a tree of keys.
#[derive(Default)]
pub struct Columns {
    root: Node,
    rows: usize,
}

#[derive(Default)]
struct Node {
    children: Vec<(String, Node)>,
    /// The child after the last one found: keys mostly come in the same order.
    next: usize,
    cells: StringBuilder,
}

impl Columns {
    /// Ends the batch and returns its rows and cells.
    pub fn finish(&mut self) -> (usize, usize) {
        let rows = std::mem::take(&mut self.rows);
        (rows, self.root.finish(rows))
    }
}

impl Node {
    fn index_of(&mut self, key: &str) -> usize {
        let behind = (self.next..self.children.len()).find(|&at| self.children[at].0 == key);
        let found = behind.or_else(|| (0..self.next).find(|&at| self.children[at].0 == key));
        let index = found.unwrap_or_else(|| {
            self.children.push((key.to_owned(), Self::default()));
            self.children.len() - 1
        });
        self.next = index + 1;
        index
    }

    fn child(&mut self, key: &str) -> &mut Self {
        let index = self.index_of(key);
        &mut self.children[index].1
    }

    fn set(&mut self, row: usize, text: &str) {
        self.pad(row);
        self.cells.append_value(text);
    }

    fn set_number(&mut self, row: usize, number: impl fmt::Display) {
        self.pad(row);
        write!(self.cells, "{number}").expect("writing to memory");
        self.cells.append_value("");
    }

    fn set_bool(&mut self, row: usize, value: bool) {
        self.set(row, if value { "true" } else { "false" });
    }

    fn pad(&mut self, rows: usize) {
        use arrow::array::ArrayBuilder;

        let missing = rows.saturating_sub(self.cells.len());
        if missing > 0 {
            self.cells.append_nulls(missing);
        }
    }

    fn finish(&mut self, rows: usize) -> usize {
        self.pad(rows);
        let cells = self.cells.finish();
        let below: usize = self.children.iter_mut().map(|(_, n)| n.finish(rows)).sum();
        below + cells.len() - cells.null_count()
    }
}

struct SerdeVisitor;

impl Rival for SerdeVisitor {
    fn cells(&mut self, text: &str, columns: &mut Columns) {
        let mut text = serde_json::Deserializer::from_str(text);
        File(columns)
            .deserialize(&mut text)
            .expect("the sample is JSON");
    }
}

struct SonicVisitor;

impl Rival for SonicVisitor {
    fn cells(&mut self, text: &str, columns: &mut Columns) {
        let mut text = sonic_rs::Deserializer::from_str(text);
        File(columns)
            .deserialize(&mut text)
            .expect("the sample is JSON");
    }
}

/// Visits `{"Records": [...]}`.
struct File<'a>(&'a mut Columns);

impl<'de> DeserializeSeed<'de> for File<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for File<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a log file")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(IgnoredAny) = map.next_key()? {
            map.next_value_seed(Records(self.0))?;
        }
        Ok(())
    }
}

struct Records<'a>(&'a mut Columns);

impl<'de> DeserializeSeed<'de> for Records<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Records<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<(), A::Error> {
        let Columns { root, rows } = self.0;
        while let Some(()) = records.next_element_seed(Cell(root, *rows))? {
            *rows += 1;
        }
        Ok(())
    }
}

/// Visits a value, appending to the columns at and below a node.
struct Cell<'a>(&'a mut Node, usize);

impl<'de> DeserializeSeed<'de> for Cell<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cell<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.set(self.1, text);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.0.set_bool(self.1, value);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.0.set_number(self.1, number);
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.0.set_number(self.1, number);
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.0.set_number(self.1, number);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        while let Some(IgnoredAny) = array.next_element()? {}
        self.0.set(self.1, "");
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(index) = map.next_key_seed(Key(self.0))? {
            map.next_value_seed(Cell(&mut self.0.children[index].1, self.1))?;
        }
        Ok(())
    }
}

/// Visits a key, returning the index of its child.
struct Key<'a>(&'a mut Node);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<usize, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<usize, E> {
        Ok(self.0.index_of(key))
    }
}

struct SerdeValue;

impl Rival for SerdeValue {
    fn cells(&mut self, text: &str, columns: &mut Columns) {
        let file: serde_json::Value = serde_json::from_str(text).expect("the sample is JSON");
        for event in file["Records"].as_array().expect("it has records") {
            serde_value(&mut columns.root, columns.rows, event);
            columns.rows += 1;
        }
    }
}

fn serde_value(node: &mut Node, row: usize, value: &serde_json::Value) {
    use serde_json::Value;

    match value {
        Value::Null => {}
        Value::Bool(value) => node.set_bool(row, *value),
        Value::Number(number) => node.set_number(row, number),
        Value::String(text) => node.set(row, text),
        Value::Array(_) => node.set(row, ""),
        Value::Object(members) => {
            for (key, value) in members {
                serde_value(node.child(key), row, value);
            }
        }
    }
}

struct SonicValue;

impl Rival for SonicValue {
    fn cells(&mut self, text: &str, columns: &mut Columns) {
        let file: sonic_rs::Value = sonic_rs::from_str(text).expect("the sample is JSON");
        for event in file["Records"].as_array().expect("it has records") {
            sonic_value(&mut columns.root, columns.rows, event);
            columns.rows += 1;
        }
    }
}

fn sonic_value(node: &mut Node, row: usize, value: &sonic_rs::Value) {
    use sonic_rs::ValueRef;

    match value.as_ref() {
        ValueRef::Null => {}
        ValueRef::Bool(value) => node.set_bool(row, value),
        ValueRef::Number(_) => node.set_number(row, value.as_number().expect("it is one")),
        ValueRef::String(text) => node.set(row, text),
        ValueRef::Array(_) => node.set(row, ""),
        ValueRef::Object(members) => {
            for (key, value) in members.iter() {
                sonic_value(node.child(key), row, value);
            }
        }
    }
}

#[derive(Default)]
struct SimdTape {
    copy: Vec<u8>,
    buffers: simd_json::Buffers,
}

impl Rival for SimdTape {
    fn cells(&mut self, text: &str, columns: &mut Columns) {
        self.copy.clear();
        self.copy.extend_from_slice(text.as_bytes());
        let tape = simd_json::to_tape_with_buffers(&mut self.copy, &mut self.buffers)
            .expect("the sample is JSON");
        let records = tape.as_value().get_array("Records").expect("has records");
        for event in records.iter() {
            simd_value(&mut columns.root, columns.rows, event);
            columns.rows += 1;
        }
    }
}

fn simd_value(node: &mut Node, row: usize, value: simd_json::tape::Value<'_, '_>) {
    use simd_json::prelude::ValueAsScalar;

    if let Some(members) = value.as_object() {
        for (key, value) in members.iter() {
            simd_value(node.child(key), row, value);
        }
    } else if value.is_array() {
        node.set(row, "");
    } else if let Some(text) = value.as_str() {
        node.set(row, text);
    } else if let Some(number) = value.as_i64() {
        node.set_number(row, number);
    } else if let Some(number) = value.as_f64() {
        node.set_number(row, number);
    } else if let Some(value) = value.as_bool() {
        node.set_bool(row, value);
    }
}
