//! Tables of the AWS Glue Data Catalog, where Athena and other engines find them.
//!
//! A table is made, or is given what it lacks. What is there already stays: others add columns and
//! parameters of their own.

use std::collections::BTreeMap;

use aws_sdk_glue::Client;
use aws_sdk_glue::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_glue::types::{
    Column, DatabaseInput, SerDeInfo, StorageDescriptor, Table as SdkTable, TableInput,
};

use super::Sources;
use super::aws::Request;
use crate::error::{Error, Result};

/// A table as it should be in the catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GlueTable {
    /// The database.
    pub database: String,
    /// The name.
    pub name: String,
    /// The meaning, for people.
    pub description: String,
    /// The URL of the folder.
    pub location: String,
    /// Names and Hive types of the columns.
    pub columns: Vec<(String, String)>,
    /// Names and Hive types of the folders' columns.
    pub partition_keys: Vec<(String, String)>,
    /// The class that reads files.
    pub input_format: &'static str,
    /// The class that writes files.
    pub output_format: &'static str,
    /// The class that makes rows of what is read.
    pub serde: &'static str,
    /// Parameters of that class.
    pub serde_parameters: BTreeMap<String, String>,
    /// Parameters of the table.
    pub parameters: BTreeMap<String, String>,
}

/// The changes that a registration made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registered {
    /// Whether the database was made.
    pub made_database: bool,
    /// Whether the table was made.
    pub made_table: bool,
    /// Columns that were added to a table that was there.
    pub added_columns: Vec<String>,
    /// Parameters that were added or widened in a table that was there.
    pub changed_parameters: Vec<String>,
    /// Columns that the table has with another type, which was left: `a is string there, bigint here`.
    pub other_types: Vec<String>,
}

impl Sources {
    /// Makes a table of Glue's, with its database, or adds to it the columns and parameters that it lacks.
    /// Nothing is removed from it, so that it may be done any number of times.
    ///
    /// # Errors
    /// Config, for a table of that name that is of something else, and for missing credentials and
    /// permissions; Unavailable, if there is no answer.
    pub async fn register_in_glue(&self, table: &GlueTable) -> Result<Registered> {
        let config = self.aws.api_config(None).await;
        let glue = Glue {
            client: Client::new(&config),
            table,
            name: format!("table {}.{}", table.database, table.name),
        };
        let mut done = Registered::default();
        let current = match glue.find().await? {
            Some(current) => current,
            None => match glue.make(&mut done).await? {
                Made::Ours => return Ok(done),
                // Somebody else made it since.
                Made::Theirs => glue.find().await?.ok_or_else(|| {
                    Error::unavailable("Glue", format!("{} came and went", glue.name))
                })?,
            },
        };
        check_same(&current, table)?;
        if let Some(input) = widened(&current, table, &mut done)? {
            glue.update(input).await?;
        }
        Ok(done)
    }
}

/// The outcome of making a table.
enum Made {
    Ours,
    Theirs,
}

/// The catalog, for one table.
struct Glue<'t> {
    client: Client,
    table: &'t GlueTable,
    /// The table, in messages.
    name: String,
}

impl Glue<'_> {
    async fn find(&self) -> Result<Option<SdkTable>> {
        let GlueTable { database, name, .. } = self.table;
        let request = self.client.get_table().database_name(database).name(name);
        match Box::pin(request.send()).await {
            Ok(found) => Ok(found.table),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(failed("glue:GetTable", &self.name, error)),
        }
    }

    /// Makes the table, and its database if there is none.
    async fn make(&self, done: &mut Registered) -> Result<Made> {
        let input = new_input(self.table)?;
        let create = async || {
            let request = self.client.create_table();
            let request = request.database_name(&self.table.database);
            Box::pin(request.table_input(input.clone()).send()).await
        };
        let mut created = create().await;
        if created.as_ref().is_err_and(is_absent) {
            done.made_database = self.make_database().await?;
            created = create().await;
        }
        match created {
            Ok(_) => {
                done.made_table = true;
                Ok(Made::Ours)
            }
            Err(error) if is_there(&error) => Ok(Made::Theirs),
            Err(error) => Err(failed("glue:CreateTable", &self.name, error)),
        }
    }

    /// Makes the database; returns whether it was not there.
    async fn make_database(&self) -> Result<bool> {
        let name = &self.table.database;
        let input = DatabaseInput::builder().name(name).build();
        let request = self.client.create_database();
        let request = request.database_input(input.map_err(unfinished)?);
        match Box::pin(request.send()).await {
            Ok(_) => Ok(true),
            Err(error) if is_there(&error) => Ok(false),
            Err(error) => Err(failed(
                "glue:CreateDatabase",
                &format!("database {name}"),
                error,
            )),
        }
    }

    async fn update(&self, input: TableInput) -> Result<()> {
        let request = self.client.update_table();
        let request = request.database_name(&self.table.database);
        let updated = Box::pin(request.table_input(input).send()).await;
        updated.map_err(|error| failed("glue:UpdateTable", &self.name, error))?;
        Ok(())
    }
}

fn failed<E>(action: &'static str, resource: &str, error: SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let request = Request {
        service: "Glue",
        action,
        resource,
    };
    request.failed(error)
}

fn is_absent<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.code() == Some("EntityNotFoundException")
}

fn is_there<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.code() == Some("AlreadyExistsException")
}

fn unfinished(error: impl std::error::Error) -> Error {
    Error::bug(format!("an input for Glue: {error}"))
}

fn sdk_columns(columns: &[(String, String)]) -> Result<Vec<Column>> {
    let columns = columns.iter().map(|(name, kind)| {
        let column = Column::builder().name(name).r#type(kind);
        column.build().map_err(unfinished)
    });
    columns.collect()
}

/// Returns the input of a new table.
fn new_input(table: &GlueTable) -> Result<TableInput> {
    let serde = SerDeInfo::builder()
        .serialization_library(table.serde)
        .set_parameters(Some(table.serde_parameters.clone().into_iter().collect()));
    let storage = StorageDescriptor::builder()
        .set_columns(Some(sdk_columns(&table.columns)?))
        .location(&table.location)
        .input_format(table.input_format)
        .output_format(table.output_format)
        .serde_info(serde.build());
    TableInput::builder()
        .name(&table.name)
        .description(&table.description)
        .table_type("EXTERNAL_TABLE")
        .set_parameters(Some(table.parameters.clone().into_iter().collect()))
        .set_partition_keys(Some(sdk_columns(&table.partition_keys)?))
        .storage_descriptor(storage.build())
        .build()
        .map_err(unfinished)
}

/// Checks that a table of the catalog is of the same folder and form.
fn check_same(current: &SdkTable, table: &GlueTable) -> Result<()> {
    let storage = current.storage_descriptor();
    let location = storage.and_then(StorageDescriptor::location);
    let serde = storage.and_then(StorageDescriptor::serde_info);
    let path = serde.and_then(|it| it.parameters()?.get("path"));
    let expected = bare(&table.location);
    let mut places = location.into_iter().chain(path.map(String::as_str));
    let of_them = |name: &str| current.parameters().and_then(|it| it.get(name));
    let is_delta = |kind: Option<&String>| kind.is_some_and(|it| it.eq_ignore_ascii_case("delta"));
    let theirs = is_delta(of_them("table_type")) || is_delta(of_them("spark.sql.sources.provider"));
    let ours = is_delta(table.parameters.get("table_type"));
    let refused = |why: String| {
        Err(Error::config(format!(
            "Glue's table {}.{} is another one: {why}; give another name with --table or --database",
            table.database, table.name
        )))
    };
    if !places.any(|it| bare(it) == expected) {
        return refused(format!(
            "expected the location {}, found {}",
            table.location,
            location.unwrap_or("none")
        ));
    }
    if theirs != ours {
        let form = |is_delta| {
            if is_delta {
                "a Delta table"
            } else {
                "no Delta table"
            }
        };
        return refused(format!("expected {}, found {}", form(ours), form(theirs)));
    }
    let keys: Vec<&str> = current.partition_keys().iter().map(Column::name).collect();
    let expected: Vec<&str> = table.partition_keys.iter().map(|it| &*it.0).collect();
    match ours || keys == expected {
        true => Ok(()),
        false => refused(format!(
            "expected folders by {}, found {}",
            expected.join(","),
            keys.join(",")
        )),
    }
}

/// Returns a location without what readers spell differently.
fn bare(location: &str) -> &str {
    let rest = location.split_once("://").map_or(location, |it| it.1);
    rest.trim_end_matches('/')
}

/// Returns the input of a table with what it lacks; `None` if it lacks nothing.
fn widened(
    current: &SdkTable,
    table: &GlueTable,
    done: &mut Registered,
) -> Result<Option<TableInput>> {
    let storage = current.storage_descriptor().cloned();
    let mut storage = storage.unwrap_or_else(|| StorageDescriptor::builder().build());
    let mut columns = storage.columns.take().unwrap_or_default();
    for (name, kind) in &table.columns {
        let keys = current.partition_keys().iter();
        let mut known = columns.iter().chain(keys);
        match known.find(|it| it.name().eq_ignore_ascii_case(name)) {
            Some(known) => done.other_types.extend(other_type(known, kind)),
            None => {
                columns.extend(sdk_columns(&[(name.clone(), kind.clone())])?);
                done.added_columns.push(name.clone());
            }
        }
    }
    storage.columns = Some(columns);
    let mut parameters = current.parameters().cloned().unwrap_or_default();
    for (name, wanted) in &table.parameters {
        let value = match parameters.get(name) {
            Some(known) => wider(name, known, wanted),
            None => Some(wanted.clone()),
        };
        if let Some(value) = value {
            parameters.insert(name.clone(), value);
            done.changed_parameters.push(name.clone());
        }
    }
    if done.added_columns.is_empty() && done.changed_parameters.is_empty() {
        return Ok(None);
    }
    let input = TableInput::builder()
        .name(current.name())
        .set_description(current.description.clone())
        .set_owner(current.owner.clone())
        .set_last_access_time(current.last_access_time)
        .set_last_analyzed_time(current.last_analyzed_time)
        .retention(current.retention)
        .storage_descriptor(storage)
        .set_partition_keys(current.partition_keys.clone())
        .set_view_original_text(current.view_original_text.clone())
        .set_view_expanded_text(current.view_expanded_text.clone())
        .set_table_type(current.table_type.clone())
        .set_parameters(Some(parameters))
        .set_target_table(current.target_table.clone());
    input.build().map(Some).map_err(unfinished)
}

fn other_type(known: &Column, kind: &str) -> Option<String> {
    let found = known.r#type().unwrap_or("without a type");
    // The folders' columns are text to partition projection, and days to Delta.
    let is_same = found.eq_ignore_ascii_case(kind) || kind == "date";
    (!is_same).then(|| format!("{} is {found} there, {kind} here", known.name()))
}

/// Returns the value of a parameter that has room for both; `None` if the known one has.
///
/// Only what the lake's content tells is ours to widen: the values of folders, and the first day.
fn wider(name: &str, known: &str, wanted: &str) -> Option<String> {
    if name.starts_with("projection.") && name.ends_with(".values") {
        let mut values: Vec<&str> = known.split(',').map(str::trim).collect();
        let before = values.len();
        for value in wanted.split(',') {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        return (values.len() > before).then(|| values.join(","));
    }
    let is_range = name.starts_with("projection.") && name.ends_with(".range");
    // Days in this form are in order as texts; a range such as NOW-1YEARS,NOW is somebody's choice.
    let is_day = known.as_bytes().first().is_some_and(u8::is_ascii_digit);
    let (Some((known_first, last)), Some((first, _))) =
        (known.split_once(','), wanted.split_once(','))
    else {
        return None;
    };
    (is_range && is_day && first < known_first).then(|| format!("{first},{last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_widened_and_never_narrowed() {
        for (name, known, wanted, expected) in [
            ("projection.region.values", "a,b", "b,c", Some("a,b,c")),
            ("projection.region.values", "a, b", "b", None),
            (
                "projection.dt.range",
                "2026-10-02,NOW",
                "2026-10-01,NOW",
                Some("2026-10-01,NOW"),
            ),
            (
                "projection.dt.range",
                "2026-10-01,NOW",
                "2026-10-02,NOW",
                None,
            ),
            (
                "projection.dt.range",
                "NOW-1YEARS,NOW",
                "2026-10-02,NOW",
                None,
            ),
            ("projection.region.type", "injected", "enum", None),
            ("owner", "b,x", "a,x", None),
        ] {
            let found = wider(name, known, wanted);
            assert_eq!(found.as_deref(), expected, "{name}: {known}, {wanted}");
        }
    }

    #[test]
    fn places_are_the_same_in_any_spelling() {
        assert_eq!(bare("s3://bucket/lake/"), bare("s3a://bucket/lake"));
        assert_ne!(bare("s3://bucket/lake"), bare("s3://bucket/lake2"));
    }
}
