//! DDL for Snowflake.

use super::sql::{about, comment, hive_quoted, level_type};
use super::{FieldType, Folders, Form, Table};
use crate::error::Result;
use crate::lake::layout::Level;

impl Table {
    /// Returns the statements that make the lake a table of Snowflake's.
    ///
    /// See <https://docs.snowflake.com/en/sql-reference/sql/create-external-table>.
    ///
    /// # Errors
    /// Config, for a lake that is not in S3.
    pub fn snowflake(&self, forms: &[Form]) -> Result<String> {
        self.check_s3("Snowflake")?;
        let schema = self.database.as_ref();
        let schema = schema.map_or_else(String::new, |it| format!("{it}."));
        let stage = format!("{schema}{}_stage", self.name);
        let mut text = String::new();
        if let Some(database) = &self.database {
            text += &format!("CREATE SCHEMA IF NOT EXISTS {database};\n\n");
        }
        text +=
            &comment("Write the name of your storage integration, which may read the location.");
        text += &format!(
            "CREATE STAGE IF NOT EXISTS {stage}\n  URL = {} STORAGE_INTEGRATION = my_integration;\n",
            hive_quoted(&format!("{}/", self.location))
        );
        for &form in forms {
            text.push('\n');
            text += &about(self, form);
            text += &self.snowflake_table(&schema, &stage, form);
        }
        Ok(text)
    }

    fn snowflake_table(&self, schema: &str, stage: &str, form: Form) -> String {
        let name = self.name_of(form);
        let folders = self.folders.iter().map(from_path);
        let columns = self.columns.iter().map(from_value).chain(folders);
        let levels: Vec<&str> = self.folders.iter().map(|it| it.level.name()).collect();
        let (note, settings, pattern) = match form {
            Form::Delta => (
                "New commits are seen after ALTER EXTERNAL TABLE ... REFRESH, and new columns once the table is made \
                 anew. Snowflake recommends an Iceberg table over the same files instead: CREATE ICEBERG TABLE \
                 with a catalog integration of CATALOG_SOURCE = OBJECT_STORE and TABLE_FORMAT = DELTA.",
                "\n  TABLE_FORMAT = DELTA\n  REFRESH_ON_CREATE = FALSE\n  AUTO_REFRESH = FALSE",
                "",
            ),
            Form::Parquet => (
                "New files are seen after ALTER EXTERNAL TABLE ... REFRESH.",
                "\n  AUTO_REFRESH = FALSE",
                // Checkpoints of the log are Parquet files too.
                "\n  PATTERN = '.*dt=[^/]*/.*[.]parquet'",
            ),
        };
        format!(
            "{}CREATE EXTERNAL TABLE IF NOT EXISTS {schema}{name} (\n{}\n)\n  PARTITION BY ({})\n  \
             LOCATION = @{stage}{settings}{pattern}\n  FILE_FORMAT = (TYPE = PARQUET);\n\
             ALTER EXTERNAL TABLE {schema}{name} REFRESH;\n",
            comment(note),
            columns.collect::<Vec<_>>().join(",\n"),
            levels.join(", ")
        )
    }
}

/// Returns a column that the files have.
fn from_value((name, field_type): &(String, FieldType)) -> String {
    let kind = field_type.snowflake();
    format!("  {name} {kind} AS (VALUE:\"{name}\"::{kind})")
}

/// Returns a column that the folders' names tell.
fn from_path(Folders { level, .. }: &Folders) -> String {
    let name = level.name();
    let value = format!("SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '{name}=', -1), '/', 1)");
    let kind = level_type(*level).snowflake();
    match level {
        Level::Day => format!("  {name} {kind} AS (TO_DATE({value}))"),
        Level::Account | Level::Region => format!("  {name} {kind} AS ({value})"),
    }
}
