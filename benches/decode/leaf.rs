//! Extracts `userIdentity.userName` of every record of `{"Records":[...]}`, with each parser
//! compared. Each appends to an Arrow builder, as ours does, and reuses its buffers if the parser
//! allows that.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use serde::Deserialize;
use sonic_rs::{JsonContainerTrait, JsonValueTrait};

/// Summary of the output, to check that all parsers agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub rows: usize,
    pub values: usize,
    pub text_bytes: usize,
}

impl Tally {
    /// Adds an array of the column to the summary.
    pub fn add(&mut self, array: &StringArray) {
        self.rows += array.len();
        self.values += array.len() - array.null_count();
        self.text_bytes += array.value_data().len();
    }
}

/// A parser and the state it reuses between documents.
pub trait Rival {
    /// Extracts the column of a document.
    fn column(&mut self, text: &str, tally: &mut Tally);
}

/// Returns all parsers by name.
pub fn rivals() -> Vec<(&'static str, Box<dyn Rival>)> {
    vec![
        ("serde_json, borrowed struct", Box::new(SerdeStruct)),
        ("serde_json, Value", Box::new(SerdeValue)),
        ("sonic-rs, lazy get", Box::new(SonicLazy)),
        ("sonic-rs, borrowed struct", Box::new(SonicStruct)),
        ("sonic-rs, Value", Box::new(SonicValue)),
        ("simd-json, tape", Box::new(SimdTape::default())),
        ("simd-json, borrowed Value", Box::new(SimdValue::default())),
        ("arrow-json, fixed schema", Box::new(ArrowJson::new())),
    ]
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow, rename = "Records")]
    records: Vec<Event<'a>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "userIdentity")]
    identity: Option<Identity<'a>>,
}

#[derive(Deserialize)]
struct Identity<'a> {
    #[serde(borrow, rename = "userName")]
    name: Option<Text<'a>>,
}

/// A string, borrowed unless it has escapes. (serde borrows no `Option<Cow<str>>`.)
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl File<'_> {
    fn tally(&self, tally: &mut Tally) {
        let mut cells = StringBuilder::new();
        for event in &self.records {
            let name = event.identity.as_ref().and_then(|who| who.name.as_ref());
            cells.append_option(name.map(|name| &name.0));
        }
        tally.add(&cells.finish());
    }
}

struct SerdeStruct;

impl Rival for SerdeStruct {
    fn column(&mut self, text: &str, tally: &mut Tally) {
        let file: File<'_> = serde_json::from_str(text).expect("the sample is JSON");
        file.tally(tally);
    }
}

struct SonicStruct;

impl Rival for SonicStruct {
    fn column(&mut self, text: &str, tally: &mut Tally) {
        let file: File<'_> = sonic_rs::from_str(text).expect("the sample is JSON");
        file.tally(tally);
    }
}

struct SerdeValue;

impl Rival for SerdeValue {
    fn column(&mut self, text: &str, tally: &mut Tally) {
        let file: serde_json::Value = serde_json::from_str(text).expect("the sample is JSON");
        let mut cells = StringBuilder::new();
        for event in file["Records"].as_array().expect("it has records") {
            cells.append_option(event["userIdentity"]["userName"].as_str());
        }
        tally.add(&cells.finish());
    }
}

struct SonicLazy;

impl Rival for SonicLazy {
    fn column(&mut self, text: &str, tally: &mut Tally) {
        let records = sonic_rs::get(text, ["Records"]).expect("it has records");
        let mut cells = StringBuilder::new();
        for event in records.into_array_iter().expect("they are an array") {
            let event = event.expect("the sample is JSON");
            let name = event.pointer(["userIdentity", "userName"]);
            cells.append_option(name.as_ref().and_then(JsonValueTrait::as_str));
        }
        tally.add(&cells.finish());
    }
}

struct SonicValue;

impl Rival for SonicValue {
    fn column(&mut self, text: &str, tally: &mut Tally) {
        let file: sonic_rs::Value = sonic_rs::from_str(text).expect("the sample is JSON");
        let mut cells = StringBuilder::new();
        for event in file["Records"].as_array().expect("it has records") {
            let name = event.pointer(["userIdentity", "userName"]);
            cells.append_option(name.and_then(JsonValueTrait::as_str));
        }
        tally.add(&cells.finish());
    }
}

/// simd-json modifies its input, so it parses a copy (made at some 10 GB/s).
#[derive(Default)]
struct SimdTape {
    copy: Vec<u8>,
    buffers: simd_json::Buffers,
}

impl Rival for SimdTape {
    fn column(&mut self, text: &str, tally: &mut Tally) {
        use simd_json::prelude::ValueIntoString;

        self.copy.clear();
        self.copy.extend_from_slice(text.as_bytes());
        let tape = simd_json::to_tape_with_buffers(&mut self.copy, &mut self.buffers)
            .expect("the sample is JSON");
        let records = tape.as_value().get_array("Records").expect("has records");
        let mut cells = StringBuilder::new();
        for event in records.iter() {
            let name = event
                .get("userIdentity")
                .and_then(|who| who.get("userName"));
            cells.append_option(name.and_then(ValueIntoString::into_string));
        }
        tally.add(&cells.finish());
    }
}

#[derive(Default)]
struct SimdValue {
    copy: Vec<u8>,
    buffers: simd_json::Buffers,
}

impl Rival for SimdValue {
    fn column(&mut self, text: &str, tally: &mut Tally) {
        use simd_json::prelude::{ValueAsArray, ValueAsScalar, ValueObjectAccess};

        self.copy.clear();
        self.copy.extend_from_slice(text.as_bytes());
        let file =
            simd_json::value::borrowed::to_value_with_buffers(&mut self.copy, &mut self.buffers)
                .expect("the sample is JSON");
        let records = file.get("Records").and_then(ValueAsArray::as_array);
        let mut cells = StringBuilder::new();
        for event in records.expect("it has records") {
            let name = event
                .get("userIdentity")
                .and_then(|who| who.get("userName"));
            cells.append_option(name.and_then(ValueAsScalar::as_str));
        }
        tally.add(&cells.finish());
    }
}

/// arrow-json decodes a document into one row with a list.
struct ArrowJson(arrow::json::reader::Decoder);

impl ArrowJson {
    fn new() -> Self {
        let name = Field::new("userName", DataType::Utf8, true);
        let who = Field::new_struct("userIdentity", vec![name], true);
        let event = DataType::Struct(Fields::from(vec![who]));
        let records = Field::new_list("Records", Field::new_list_field(event, true), true);
        let schema = Arc::new(Schema::new(vec![records]));
        let decoder = arrow::json::ReaderBuilder::new(schema).build_decoder();
        Self(decoder.expect("the schema is one that it can read"))
    }
}

impl Rival for ArrowJson {
    fn column(&mut self, text: &str, tally: &mut Tally) {
        let read = self.0.decode(text.as_bytes()).expect("the sample is JSON");
        assert_eq!(read, text.len());
        let batch = self.0.flush().expect("the sample fits").expect("one row");
        let events: &ArrayRef = batch.column(0).as_list::<i32>().values();
        let who = events.as_struct().column(0);
        tally.add(who.as_struct().column(0).as_string());
    }
}
