//! DDL for DuckDB.

use super::sql::{about, comment, folder_columns, quoted};
use super::{FieldType, Form, Table};

impl Table {
    /// Returns the statements that make the lake a view of DuckDB's.
    ///
    /// See <https://duckdb.org/docs/current/core_extensions/delta>.
    pub fn duckdb(&self, forms: &[Form]) -> String {
        let mut text = String::new();
        if self.is_in_s3() {
            text += &comment("Credentials and region are found as every AWS tool finds them.");
            text += "INSTALL httpfs; LOAD httpfs;\nINSTALL aws; LOAD aws;\n\
                     CREATE SECRET IF NOT EXISTS auroratrail (TYPE s3, PROVIDER credential_chain);\n";
        }
        if let Some(database) = &self.database {
            text += &format!("CREATE SCHEMA IF NOT EXISTS \"{database}\";\n");
        }
        for &form in forms {
            if !text.is_empty() {
                text.push('\n');
            }
            text += &about(self, form);
            let rows = match form {
                Form::Delta => {
                    text += "INSTALL delta; LOAD delta;\n";
                    format!("delta_scan({})", quoted(&self.url()))
                }
                Form::Parquet => self.duckdb_files(),
            };
            let schema = self.database.as_ref();
            let schema = schema.map_or_else(String::new, |it| format!("\"{it}\"."));
            let name = self.name_of(form);
            text +=
                &format!("CREATE OR REPLACE VIEW {schema}\"{name}\" AS\nSELECT * FROM {rows};\n");
        }
        text
    }

    fn duckdb_files(&self) -> String {
        let types = folder_columns(&self.folders);
        let types = types.iter().map(|(name, field_type)| {
            let field_type = match field_type {
                FieldType::Day => "DATE",
                _ => "VARCHAR",
            };
            format!("'{name}': {field_type}")
        });
        format!(
            "read_parquet({}, hive_partitioning = true,\n  hive_types = {{{}}}, union_by_name = true)",
            quoted(&self.glob()),
            types.collect::<Vec<_>>().join(", ")
        )
    }
}
