//! What there is to ask about: `SHOW TABLES`, `DESCRIBE events`.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    ObjectName, ShowStatementIn, ShowStatementOptions, Statement as SqlStatement,
};

use crate::error::{Error, Result};
use crate::events::columns::{ColumnClass, catalog};

/// The tables and what a row of each is.
const TABLES: [(&str, &str); 2] = [
    (
        "events",
        "every CloudTrail record, Insights and aggregated ones too",
    ),
    (
        "aurora_events",
        "those of RDS, the Data API and DSQL, without Neptune and DocumentDB",
    ),
];

/// The answer to a statement about our own tables; `None` for every other statement.
pub(super) fn answer(statement: &Statement) -> Result<Option<RecordBatch>> {
    let Statement::Statement(statement) = statement else {
        return Ok(None);
    };
    match &**statement {
        SqlStatement::ShowTables { show_options, .. } if is_plain(show_options) => tables(),
        SqlStatement::ExplainTable { table_name, .. } if is_ours(table_name) => columns(),
        SqlStatement::ShowColumns { show_options, .. } => match &show_options.show_in {
            Some(ShowStatementIn {
                parent_name: Some(table),
                ..
            }) if is_ours(table) && show_options.filter_position.is_none() => columns(),
            _ => return Ok(None),
        },
        _ => return Ok(None),
    }
    .map(Some)
}

fn is_plain(options: &ShowStatementOptions) -> bool {
    options.show_in.is_none() && options.filter_position.is_none()
}

fn is_ours(table: &ObjectName) -> bool {
    let name = table.to_string().replace('"', "").to_lowercase();
    let name = name.strip_prefix("datafusion.").unwrap_or(&name);
    let name = name.strip_prefix("public.").unwrap_or(name);
    TABLES.iter().any(|(table, _)| *table == name)
}

fn tables() -> Result<RecordBatch> {
    let (names, meanings): (Vec<_>, Vec<_>) = TABLES.into_iter().unzip();
    batch([("table", names), ("meaning", meanings)])
}

/// Every column with its path, type and meaning.
fn columns() -> Result<RecordBatch> {
    let columns = catalog().columns();
    let class = |class| match class {
        ColumnClass::Record => "record",
        ColumnClass::Flattened => "flattened",
        ColumnClass::Derived => "derived",
    };
    batch([
        ("column", columns.iter().map(|c| &*c.path).collect()),
        (
            "type",
            columns.iter().map(|c| c.column_type.sql_name()).collect(),
        ),
        ("class", columns.iter().map(|c| class(c.class)).collect()),
        ("meaning", columns.iter().map(|c| &*c.about).collect()),
    ])
}

fn batch<const N: usize>(columns: [(&str, Vec<&str>); N]) -> Result<RecordBatch> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, _)| Field::new(*name, DataType::Utf8, false))
        .collect();
    let arrays = columns
        .into_iter()
        .map(|(_, texts)| Arc::new(StringArray::from(texts)) as ArrayRef)
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|error| Error::bug(format!("describing the tables: {error}")))
}
