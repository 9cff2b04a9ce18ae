//! The columns of an export: named as people see them, of types that readers of the format know.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, cast, lit, when};

use super::format::ExportFormat;
use super::formula::csv_guard;
use super::json_text::json_text;
use crate::error::{Error, Result};
use crate::query::names::unique;
use crate::query::translate_error;

/// The columns of an export, in the order of its query.
#[derive(Debug)]
pub(super) struct Columns {
    names: Vec<String>,
    /// Those that folders are named by, as indexes, in the order of the folders.
    partitions: Vec<usize>,
}

impl Columns {
    /// Names the columns. Readers in which `A` is `a` can read them: names that repeat in any case get
    /// numbers.
    ///
    /// # Errors
    /// Query, for a partition that is not among them, or if they are all partitions.
    pub(super) fn new(column_names: &[String], partitioned_by: &[String]) -> Result<Self> {
        let names = unique(column_names, str::to_lowercase);
        let mut partitions = Vec::new();
        for typed in partitioned_by {
            let at = find(&names, typed)?;
            if partitions.contains(&at) {
                return Err(Error::query(format!(
                    "PARTITIONED BY has {typed} twice; name it once"
                )));
            }
            partitions.push(at);
        }
        if partitions.len() == names.len() {
            return Err(Error::query(
                "PARTITIONED BY has all columns of the query, so that files would have none; \
                 select another one",
            ));
        }
        Ok(Self { names, partitions })
    }

    /// Returns the names of the columns that folders are named by.
    pub(super) fn partition_by(&self) -> Vec<String> {
        let names = self.partitions.iter().map(|at| self.names[*at].clone());
        names.collect()
    }

    /// Returns `plan` with these columns, in types for `format`.
    ///
    /// # Errors
    /// Query, for folders that would be named by lists or objects.
    pub(super) fn project(
        &self,
        plan: LogicalPlan,
        format: ExportFormat,
        raw_csv: bool,
    ) -> Result<LogicalPlan> {
        let is_guarded = format == ExportFormat::Csv && !raw_csv;
        let mut exprs = Vec::new();
        let schema = Arc::clone(plan.schema());
        for ((at, name), column) in self.names.iter().enumerate().zip(schema.iter()) {
            let (_, field) = column;
            let value = Expr::Column(Column::from(column));
            let value = match self.partitions.contains(&at) {
                true => folder_name(value, name, field.data_type())?,
                false if is_guarded && is_text(field.data_type()) => {
                    csv_guard().call(vec![cast(value, DataType::Utf8)])
                }
                false => stored(value, field.data_type(), format),
            };
            exprs.push(value.alias(name));
        }
        Projection::try_new(exprs, Arc::new(plan))
            .map(LogicalPlan::Projection)
            .map_err(translate_error)
    }
}

fn find(names: &[String], typed: &str) -> Result<usize> {
    let exact = names.iter().position(|name| name == typed);
    let same = |name: &String| name.eq_ignore_ascii_case(typed);
    exact
        .or_else(|| names.iter().position(same))
        .ok_or_else(|| {
            let listed = match names.len() {
                0..=MOST_LISTED => format!(", which are {}", names.join(", ")),
                _ => String::new(),
            };
            Error::query(format!(
                "PARTITIONED BY has {typed}, which is not among the columns of the query{listed}; \
             select it under this name: date_trunc('day', eventTime)::date AS {typed}"
            ))
        })
}

/// Names of columns that a message has at most.
const MOST_LISTED: usize = 20;

/// Returns a value as the text that a folder is named by, and NULL as Hive names it.
fn folder_name(value: Expr, name: &str, data_type: &DataType) -> Result<Expr> {
    if data_type.is_nested() || matches!(data_type, DataType::Null) {
        return Err(Error::query(format!(
            "PARTITIONED BY has {name}, whose values are no texts, numbers or times; choose another \
             column"
        )));
    }
    let is_missing = value.clone().is_null();
    when(is_missing, lit(HIVE_NULL))
        .otherwise(cast(value, DataType::Utf8))
        .map_err(translate_error)
}

/// The name of the folder for rows without a value, as Hive, Spark, Athena and DuckDB have it.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

fn stored(value: Expr, data_type: &DataType, format: ExportFormat) -> Expr {
    if format == ExportFormat::Csv && data_type.is_nested() {
        return json_text().call(vec![value]);
    }
    let stored = stored_type(data_type, format == ExportFormat::Parquet);
    match stored == *data_type {
        true => value,
        false => cast(value, stored),
    }
}

/// Returns the type that a column is stored as: those that only Arrow has as common ones; in Parquet,
/// times in microseconds UTC, which all engines read, and intervals as text.
fn stored_type(data_type: &DataType, is_parquet: bool) -> DataType {
    let inner = |field: &FieldRef| -> FieldRef {
        let data_type = stored_type(field.data_type(), is_parquet);
        Arc::new(Field::clone(field).with_data_type(data_type))
    };
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => stored_type(values, is_parquet),
        DataType::RunEndEncoded(_, values) => stored_type(values.data_type(), is_parquet),
        DataType::Timestamp(..) if is_parquet => {
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        }
        DataType::Interval(_) if is_parquet => DataType::Utf8,
        DataType::List(field) | DataType::ListView(field) => DataType::List(inner(field)),
        DataType::LargeList(field) | DataType::LargeListView(field) => {
            DataType::LargeList(inner(field))
        }
        DataType::FixedSizeList(field, length) => DataType::FixedSizeList(inner(field), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn partitions_are_columns_in_any_case() {
        let columns = names(&["eventTime", "awsRegion", "awsregion", "dt"]);
        let columns = Columns::new(&columns, &names(&["DT", "awsregion"])).unwrap();
        assert_eq!(
            columns.names,
            ["eventTime", "awsRegion", "awsregion_2", "dt"]
        );
        assert_eq!(columns.partition_by(), ["dt", "awsRegion"]);
    }

    #[test]
    fn a_partition_that_is_not_there_is_named() {
        let error = |partitions: &[&str]| {
            let columns = Columns::new(&names(&["a", "b"]), &names(partitions));
            columns.unwrap_err().to_string()
        };
        assert!(error(&["dt"]).contains("PARTITIONED BY has dt, which is not among"));
        assert!(error(&["dt"]).contains("which are a, b; select it"));
        assert!(error(&["a", "A"]).contains("A twice"));
        assert!(error(&["b", "a"]).contains("all columns"));
    }

    #[test]
    fn parquet_has_times_in_microseconds_utc() {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        for zone in [None, Some("+09:00".into())] {
            let time = DataType::Timestamp(TimeUnit::Nanosecond, zone);
            assert_eq!(stored_type(&time, true), micros);
            assert_eq!(stored_type(&time, false), time);
            let list = DataType::new_list(time, true);
            assert_eq!(
                stored_type(&list, true),
                DataType::new_list(micros.clone(), true)
            );
        }
        assert_eq!(stored_type(&DataType::Utf8View, false), DataType::Utf8);
    }
}
