//! Statements about the tables: `SHOW TABLES`, `SHOW FUNCTIONS`, `DESCRIBE events`.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    ObjectName, ShowStatementIn, ShowStatementOptions, Statement as SqlStatement,
};

use super::functions::FunctionEntry;
use crate::error::{Error, Result};
use crate::events::columns::{ColumnClass, PATH, catalog};

/// A table as `SHOW TABLES` lists it.
#[derive(Clone, Debug)]
pub struct TableEntry {
    /// The name, in lower case.
    pub name: String,
    /// The meaning of the rows.
    pub about: String,
    /// The sort of table.
    pub kind: TableKind,
    /// The columns, with the metadata of [`columns`](crate::events::columns).
    pub schema: SchemaRef,
}

/// A sort of table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// Events, with the columns of the catalog.
    Events,
    /// A view that was created by a statement.
    View,
    /// Rows in memory.
    Rows,
}

/// Returns the answer to a statement about `tables`; `None` for every other statement.
pub(super) fn answer(
    statement: &Statement,
    tables: &[TableEntry],
    functions: impl FnOnce() -> Vec<FunctionEntry>,
) -> Result<Option<RecordBatch>> {
    let Statement::Statement(statement) = statement else {
        return Ok(None);
    };
    match &**statement {
        SqlStatement::ShowTables { show_options, .. } if is_plain(show_options) => listed(tables),
        SqlStatement::ShowFunctions { filter: None } => listed_functions(&functions()),
        SqlStatement::ExplainTable { table_name, .. } => match find(table_name, tables) {
            Some(table) => described(table),
            None => return Ok(None),
        },
        SqlStatement::ShowColumns { show_options, .. } => match &show_options.show_in {
            Some(ShowStatementIn {
                parent_name: Some(table),
                ..
            }) if show_options.filter_position.is_none() => match find(table, tables) {
                Some(table) => described(table),
                None => return Ok(None),
            },
            _ => return Ok(None),
        },
        _ => return Ok(None),
    }
    .map(Some)
}

fn is_plain(options: &ShowStatementOptions) -> bool {
    options.show_in.is_none() && options.filter_position.is_none()
}

fn find<'a>(table: &ObjectName, tables: &'a [TableEntry]) -> Option<&'a TableEntry> {
    let name = table.to_string().replace('"', "").to_lowercase();
    let name = name.strip_prefix("datafusion.").unwrap_or(&name);
    let name = name.strip_prefix("public.").unwrap_or(name);
    tables.iter().find(|table| table.name == name)
}

fn described(table: &TableEntry) -> Result<RecordBatch> {
    match table.kind {
        TableKind::Events => columns(),
        TableKind::View | TableKind::Rows => columns_of(&table.schema),
    }
}

/// Every column of a schema with its path, if it has one, and its type.
fn columns_of(schema: &Schema) -> Result<RecordBatch> {
    let fields = schema.fields();
    let path = |field: &'_ FieldRef| match field.metadata().get(PATH) {
        Some(path) => path.clone(),
        None => field.name().clone(),
    };
    let paths: Vec<String> = fields.iter().map(path).collect();
    let types: Vec<String> = fields.iter().map(|it| sql_type(it.data_type())).collect();
    batch([
        ("column", paths.iter().map(|it| &**it).collect()),
        ("type", types.iter().map(|it| &**it).collect()),
    ])
}

/// Returns the name that SQL has for a type.
fn sql_type(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "varchar",
        DataType::Boolean => "boolean",
        DataType::Int8 => "tinyint",
        DataType::Int16 | DataType::UInt8 => "smallint",
        DataType::Int32 | DataType::UInt16 => "integer",
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => "bigint",
        DataType::Float16 | DataType::Float32 => "real",
        DataType::Float64 => "double",
        DataType::Timestamp(..) => "timestamp",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time",
        DataType::Interval(_) | DataType::Duration(_) => "interval",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "varbinary",
        DataType::Null => "null",
        DataType::Decimal32(digits, scale)
        | DataType::Decimal64(digits, scale)
        | DataType::Decimal128(digits, scale)
        | DataType::Decimal256(digits, scale) => return format!("decimal({digits}, {scale})"),
        DataType::Dictionary(_, values) => return sql_type(values),
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) => {
            return format!("array({})", sql_type(item.data_type()));
        }
        DataType::Struct(fields) => {
            let names: Vec<&str> = fields.iter().map(|field| &**field.name()).collect();
            return format!("row({})", names.join(", "));
        }
        other => return other.to_string().to_lowercase(),
    };
    name.to_owned()
}

fn listed(tables: &[TableEntry]) -> Result<RecordBatch> {
    batch([
        ("table", tables.iter().map(|table| &*table.name).collect()),
        (
            "meaning",
            tables.iter().map(|table| &*table.about).collect(),
        ),
    ])
}

fn listed_functions(functions: &[FunctionEntry]) -> Result<RecordBatch> {
    batch([
        ("function", functions.iter().map(|it| &*it.name).collect()),
        ("kind", functions.iter().map(|it| it.kind.label()).collect()),
        ("usage", functions.iter().map(|it| &*it.usage).collect()),
        ("meaning", functions.iter().map(|it| &*it.about).collect()),
    ])
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
