//! DDL for Trino.

use super::sql::{about, column_list, comment, folder_columns, quoted};
use super::view::cloudtrail_view;
use super::{FieldType, Form, Table};

impl Table {
    /// Returns the statements that make the lake a table of Trino's, and with `with_view` the view
    /// `cloudtrail_logs` over the first of them.
    ///
    /// See <https://trino.io/docs/current/connector/delta-lake.html>.
    pub fn trino(&self, forms: &[Form], with_view: bool) -> String {
        let mut text = comment(
            "The catalogs are called delta (connector delta_lake) and hive (connector hive) here; write yours. Both \
             must be able to read the location.",
        );
        for &form in forms {
            text.push('\n');
            text += &about(self, form);
            text += &match form {
                Form::Delta => self.trino_delta(),
                Form::Parquet => self.trino_parquet(),
            };
        }
        if with_view {
            let form = forms.first().copied().unwrap_or(Form::Delta);
            let database = self.database_name();
            let catalog = catalog(form);
            let view = format!("{catalog}.\"{database}\".\"cloudtrail_logs\"");
            let source = format!("{catalog}.\"{database}\".\"{}\"", self.name_of(form));
            text.push('\n');
            text += &cloudtrail_view(self, &view, &source);
        }
        text
    }

    fn trino_delta(&self) -> String {
        let database = self.database_name();
        format!(
            "{}CREATE SCHEMA IF NOT EXISTS delta.\"{database}\";\n\
             CALL delta.system.register_table(schema_name => {}, table_name => {}, table_location => {});\n",
            comment(
                "Needs delta.register-table-procedure.enabled=true in the catalog's properties."
            ),
            quoted(database),
            quoted(&self.name_of(Form::Delta)),
            quoted(&self.url())
        )
    }

    fn trino_parquet(&self) -> String {
        let database = self.database_name();
        let name = self.name_of(Form::Parquet);
        let folders = folder_columns(&self.folders);
        let levels: Vec<String> = folders.iter().map(|(name, _)| quoted(name)).collect();
        format!(
            "{}CREATE SCHEMA IF NOT EXISTS hive.\"{database}\";\n\
             CREATE TABLE IF NOT EXISTS hive.\"{database}\".\"{name}\" (\n{}\n)\nWITH (\n  \
             external_location = {},\n  format = 'PARQUET',\n  partitioned_by = ARRAY[{}]\n);\n\
             CALL hive.system.sync_partition_metadata({}, {}, 'FULL');\n",
            comment("Days that come later are seen after another sync_partition_metadata."),
            column_list(self.columns.iter().chain(&folders), '"', FieldType::trino),
            quoted(&self.url()),
            levels.join(", "),
            quoted(database),
            quoted(&name)
        )
    }
}

/// Returns the catalog of a form's tables.
fn catalog(form: Form) -> &'static str {
    match form {
        Form::Delta => "delta",
        Form::Parquet => "hive",
    }
}
