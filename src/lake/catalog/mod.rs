//! Descriptions of a lake for other engines: the DDL that makes it a table there.
//!
//! | engine | Delta table | plain Parquet files | file |
//! | --- | --- | --- | --- |
//! | Athena | external table | Hive table with partition projection | `athena.rs`, `view.rs` |
//! | Glue | table input | table input with partition projection | `glue.rs` |
//! | Spark | `USING DELTA` | Hive table | `spark.rs` |
//! | Trino | `register_table` | Hive table | `trino.rs`, `view.rs` |
//! | DuckDB | `delta_scan` | `read_parquet` | `duckdb.rs` |
//! | Snowflake | external table | external table | `snowflake.rs` |
//! | ClickHouse | `DeltaLake` | `s3` or `file` | `clickhouse.rs` |
//!
//! Nothing here reads or writes: a [`Table`] is taken from a version, and becomes text.

mod athena;
mod clickhouse;
mod duckdb;
mod glue;
mod snowflake;
mod spark;
mod sql;
mod trino;
mod types;
mod view;

use std::collections::BTreeSet;

use super::layout::{Level, PartitionBy, folder};
use super::log::Version;
use crate::error::{Error, Result};

pub use glue::table_input;
pub use types::FieldType;

/// The reading of a lake that is described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The Delta table: the files that the log names.
    Delta,
    /// All Parquet files in the folders, for readers that know no Delta.
    Parquet,
}

/// A lake as other engines are told of it.
#[derive(Clone, Debug)]
pub struct Table {
    /// The database, or schema; a default that depends on the engine if there is none.
    pub database: Option<String>,
    /// The name of the Delta table. That of the plain files ends in `_parquet`.
    pub name: String,
    /// The URL or the path of the lake, without a slash at the end.
    pub location: String,
    /// The columns in the files.
    pub columns: Vec<(String, FieldType)>,
    /// The folders, from the outermost.
    pub folders: Vec<Folders>,
    /// The names of columns whose type is not one of a lake's.
    pub left_out: Vec<String>,
}

/// A level of folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// The level.
    pub level: Level,
    /// The values that the folders have, in order, as their names spell them.
    pub values: Vec<String>,
}

/// The database of engines that want one, if none is named.
const DEFAULT_DATABASE: &str = "auroratrail";

impl Table {
    /// Returns the table of a version of the lake at `location`.
    ///
    /// # Errors
    /// Config, for names that are no plain identifiers.
    pub fn new(
        version: &Version,
        location: &str,
        database: Option<&str>,
        name: &str,
    ) -> Result<Self> {
        for name in database.into_iter().chain([name]) {
            check_name(name)?;
        }
        let folders = folders(version, &version.partition_by);
        let mut columns = Vec::new();
        let mut left_out = Vec::new();
        for field in version.fields() {
            let name = field.name.to_ascii_lowercase();
            if folders.iter().any(|it| it.level.name() == name) {
                continue;
            }
            match FieldType::of(&field.data_type) {
                Some(field_type) => columns.push((name, field_type)),
                None => left_out.push(name),
            }
        }
        Ok(Self {
            database: database.map(str::to_owned),
            name: name.to_owned(),
            location: location.trim_end_matches('/').to_owned(),
            columns,
            folders,
            left_out,
        })
    }

    /// Returns whether the lake is in a bucket.
    pub fn is_in_s3(&self) -> bool {
        self.location.starts_with("s3://")
    }

    /// Returns the database, for engines that want one.
    pub fn database_name(&self) -> &str {
        self.database.as_deref().unwrap_or(DEFAULT_DATABASE)
    }

    /// Returns the name of a form's table.
    pub fn name_of(&self, form: Form) -> String {
        match form {
            Form::Delta => self.name.clone(),
            Form::Parquet => format!("{}_parquet", self.name),
        }
    }

    /// Returns the location as a URL: `file:///…` for a path.
    fn url(&self) -> String {
        match self.location.starts_with('/') {
            true => format!("file://{}", self.location),
            false => self.location.clone(),
        }
    }

    /// Returns the glob of all data files: `…/dt=*/*.parquet`.
    fn glob(&self) -> String {
        let levels = self.folders.iter();
        let levels = levels.map(|it| format!("{}=*/", it.level.name()));
        format!("{}/{}*.parquet", self.location, levels.collect::<String>())
    }

    /// Returns the type of a column; `None` if the lake has none of this name.
    fn type_of(&self, name: &str) -> Option<&FieldType> {
        let columns = self.columns.iter();
        let mut found = columns.filter(|(known, _)| known == name);
        found.next().map(|(_, field_type)| field_type)
    }

    /// Checks that the lake is where AWS's services can read it.
    fn check_s3(&self, service: &str) -> Result<()> {
        match self.is_in_s3() {
            true => Ok(()),
            false => Err(Error::config(format!(
                "{service} reads lakes in S3, and this one is at {}; add --location s3://bucket/prefix to say \
                 where it is, or will be",
                self.location
            ))),
        }
    }
}

fn folders(version: &Version, partition_by: &PartitionBy) -> Vec<Folders> {
    let levels = partition_by.levels().iter().enumerate();
    let of_level = levels.map(|(index, &level)| {
        let of_file = |file: &super::LakeFile| {
            // Spelt as in the path.
            let spelt = folder(file.partition.get(index..=index)?);
            spelt.split_once('=').map(|(_, value)| value.to_owned())
        };
        let values: BTreeSet<String> = version.files.iter().filter_map(of_file).collect();
        Folders {
            level,
            values: values.into_iter().collect(),
        }
    });
    of_level.collect()
}

fn check_name(name: &str) -> Result<()> {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let begins = name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    match begins && name.bytes().all(is_plain) {
        true => Ok(()),
        false => Err(Error::config(format!(
            "`{name}` cannot name a table or database everywhere; expected lower-case letters, digits and _, \
             beginning with a letter"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_every_engine_takes_unquoted() {
        for name in ["events", "aws_trail2", "_x"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "2x", "Events", "a b", "a`b", "a;b", "é"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
