//! DDL for ClickHouse.

use super::sql::{about, hive_quoted};
use super::{Form, Table};

impl Table {
    /// Returns the statements that make the lake a table of ClickHouse's.
    ///
    /// See <https://clickhouse.com/docs/engines/table-engines/integrations/deltalake>.
    pub fn clickhouse(&self, forms: &[Form]) -> String {
        let mut text = String::new();
        if let Some(database) = &self.database {
            text += &format!("CREATE DATABASE IF NOT EXISTS `{database}`;\n\n");
        }
        let statements: Vec<String> = forms
            .iter()
            .map(|&form| {
                let statement = match form {
                    Form::Delta => self.clickhouse_delta(),
                    Form::Parquet => self.clickhouse_files(),
                };
                about(self, form) + &statement
            })
            .collect();
        text + &statements.join("\n")
    }

    fn clickhouse_name(&self, form: Form) -> String {
        let database = self.database.as_ref();
        let database = database.map_or_else(String::new, |it| format!("`{it}`."));
        format!("{database}`{}`", self.name_of(form))
    }

    fn clickhouse_delta(&self) -> String {
        let engine = match self.is_in_s3() {
            true => "DeltaLake",
            false => "DeltaLakeLocal",
        };
        let location = hive_quoted(&format!("{}/", self.location));
        let name = self.clickhouse_name(Form::Delta);
        format!("CREATE TABLE IF NOT EXISTS {name} ENGINE = {engine}({location});\n")
    }

    fn clickhouse_files(&self) -> String {
        let function = match self.is_in_s3() {
            true => "s3",
            false => "file",
        };
        format!(
            "CREATE VIEW IF NOT EXISTS {} AS\nSELECT * FROM {function}({}, 'Parquet')\n\
             SETTINGS use_hive_partitioning = 1, schema_inference_mode = 'union';\n",
            self.clickhouse_name(Form::Parquet),
            hive_quoted(&self.glob())
        )
    }
}
