//! Conversion of a row back into its record.

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;

use super::columns::{ColumnClass, ColumnType, catalog};
use super::{cells, time};
use crate::json::{Members, unescape};

/// Rebuilds the record of row `row` of a batch that has all record columns (`SELECT *`), as JSON.
///
/// The rule, for other implementations: a field is its column's value under CloudTrail's name (JSON
/// columns verbatim); a field named in `nullfields` is null; and the members of `unmapped` are added and
/// replace fields whose name differs only in case. The result equals the original as JSON; spacing, order
/// of members and choice of escapes may differ.
pub fn rebuild(batch: &RecordBatch, row: usize) -> String {
    let unmapped = batch
        .column_by_name("unmapped")
        .filter(|column| column.is_valid(row))
        .map_or("{}", |column| column.as_string::<i32>().value(row));
    let replaced: BTreeSet<String> = Members::new(unmapped)
        .map(|(key, _)| unescape(key.raw(unmapped)).to_ascii_lowercase())
        .collect();
    let mut members = Vec::new();
    for column in catalog().columns() {
        let Some(array) = batch.column_by_name(&column.name) else {
            continue;
        };
        let meta = matches!(&*column.path, "unmapped" | "nullFields");
        if column.class != ColumnClass::Record
            || meta
            || array.is_null(row)
            || replaced.contains(&column.name)
        {
            continue;
        }
        members.push(member(&column.path, &value(column.column_type, array, row)));
    }
    if let Some(array) = batch.column_by_name("nullfields")
        && array.is_valid(row)
    {
        let names = array.as_list::<i32>().value(row);
        members.extend(
            names
                .as_string::<i32>()
                .iter()
                .flatten()
                .map(|name| member(name, "null")),
        );
    }
    for (key, value) in Members::new(unmapped) {
        members.push(format!("\"{}\":{}", key.raw(unmapped), value.raw(unmapped)));
    }
    format!("{{{}}}", members.join(","))
}

fn member(key: &str, value: &str) -> String {
    format!("\"{key}\":{value}")
}

fn value(column_type: ColumnType, array: &dyn Array, row: usize) -> String {
    match column_type {
        ColumnType::Json => array.as_string::<i32>().value(row).to_owned(),
        ColumnType::Text => quoted(array.as_string::<i32>().value(row)),
        ColumnType::Boolean => array.as_boolean().value(row).to_string(),
        ColumnType::Time => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            quoted(&time::canonical(micros))
        }
        ColumnType::Resources => resources(array, row),
        ColumnType::Integer | ColumnType::Double | ColumnType::Texts => "null".to_owned(),
    }
}

fn resources(array: &dyn Array, row: usize) -> String {
    let list = array.as_list::<i32>().value(row);
    let list = list.as_struct();
    let element = |index: usize| {
        let cells = cells::RESOURCE_KEYS.iter().zip(list.columns());
        let members: Vec<String> = cells
            .filter(|(_, column)| column.is_valid(index))
            .map(|(name, column)| member(name, &quoted(column.as_string::<i32>().value(index))))
            .collect();
        format!("{{{}}}", members.join(","))
    };
    let elements: Vec<String> = (0..list.len()).map(element).collect();
    format!("[{}]", elements.join(","))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
