//! DDL for Athena.

use std::collections::BTreeMap;

use super::sql::{about, column_list, comment, hive_quoted};
use super::view::cloudtrail_view;
use super::{FieldType, Folders, Form, Table};
use crate::error::Result;
use crate::lake::layout::{Level, UNKNOWN};

/// The day that CloudTrail began: no event is older.
const FIRST_DAY: &str = "2013-11-13";

impl Table {
    /// Returns the statements that make the lake a table of Athena's, and with `with_view` the view
    /// `cloudtrail_logs` over the first of them.
    ///
    /// See <https://docs.aws.amazon.com/athena/latest/ug/delta-lake-tables.html>.
    ///
    /// # Errors
    /// Config, for a lake that is not in S3.
    pub fn athena(&self, forms: &[Form], with_view: bool) -> Result<String> {
        self.check_s3("Athena")?;
        let database = self.database_name();
        let mut text = comment("Athena runs one statement at a time.");
        text += &format!("CREATE DATABASE IF NOT EXISTS `{database}`;\n");
        for &form in forms {
            text.push('\n');
            text += &about(self, form);
            text += &match form {
                Form::Delta => self.athena_delta(),
                Form::Parquet => self.athena_parquet(),
            };
        }
        if with_view {
            let form = forms.first().copied().unwrap_or(Form::Delta);
            let source = format!("\"{database}\".\"{}\"", self.name_of(form));
            let view = format!("\"{database}\".\"cloudtrail_logs\"");
            text.push('\n');
            text += &cloudtrail_view(self, &view, &source);
        }
        Ok(text)
    }

    fn athena_delta(&self) -> String {
        format!(
            "CREATE EXTERNAL TABLE `{}`.`{}`\nLOCATION {}\nTBLPROPERTIES ('table_type' = 'DELTA');\n",
            self.database_name(),
            self.name_of(Form::Delta),
            hive_quoted(&format!("{}/", self.location))
        )
    }

    fn athena_parquet(&self) -> String {
        let folders = projected_columns(&self.folders);
        let properties = projection(self);
        let properties = properties.iter();
        let properties = properties
            .map(|(name, value)| format!("  {} = {}", hive_quoted(name), hive_quoted(value)));
        format!(
            "{}CREATE EXTERNAL TABLE `{}`.`{}` (\n{}\n)\nPARTITIONED BY (\n{}\n)\nSTORED AS PARQUET\nLOCATION {}\n\
             TBLPROPERTIES (\n{}\n);\n",
            comment(&about_projection(&self.folders)),
            self.database_name(),
            self.name_of(Form::Parquet),
            column_list(&self.columns, '`', FieldType::hive),
            column_list(&folders, '`', FieldType::hive),
            hive_quoted(&format!("{}/", self.location)),
            properties.collect::<Vec<_>>().join(",\n")
        )
    }
}

/// Returns the columns of the folders as partition projection takes them: strings.
pub(super) fn projected_columns(folders: &[Folders]) -> Vec<(String, FieldType)> {
    let columns = folders.iter();
    let columns = columns.map(|it| (it.level.name().to_owned(), FieldType::Text));
    columns.collect()
}

/// Returns the properties of a table whose folders Athena works out for itself.
///
/// See <https://docs.aws.amazon.com/athena/latest/ug/partition-projection-supported-types.html>.
pub(super) fn projection(table: &Table) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::new();
    let mut set = |name: &str, value: String| {
        properties.insert(name.to_owned(), value);
    };
    set("projection.enabled", "true".to_owned());
    let mut template = format!("{}/", table.location);
    for Folders { level, values } in &table.folders {
        let name = level.name();
        template += &format!("{name}=${{{name}}}/");
        let key = |of: &str| format!("projection.{name}.{of}");
        match level {
            Level::Day => {
                let is_day = |it: &&String| it.as_bytes().first().is_some_and(u8::is_ascii_digit);
                let first = values.iter().find(is_day).map_or(FIRST_DAY, |it| it);
                set(&key("type"), "date".to_owned());
                set(&key("format"), "yyyy-MM-dd".to_owned());
                set(&key("range"), format!("{first},NOW"));
                set(&key("interval"), "1".to_owned());
                set(&key("interval.unit"), "DAYS".to_owned());
            }
            Level::Account | Level::Region => {
                set(&key("type"), "enum".to_owned());
                let values = match values.is_empty() {
                    // An enum without values is refused.
                    true => UNKNOWN.to_owned(),
                    false => values.join(","),
                };
                set(&key("values"), values);
            }
        }
    }
    set("storage.location.template", template);
    properties
}

fn about_projection(folders: &[Folders]) -> String {
    let mut text = "Athena works the folders out (partition projection), so that new days need no MSCK REPAIR; days \
                    before the first one in the range are not seen."
        .to_owned();
    let mut others = folders
        .iter()
        .filter(|it| it.level != Level::Day)
        .peekable();
    if others.peek().is_some() {
        let names: Vec<&str> = others.map(|it| it.level.name()).collect();
        let names = names.join(" and ");
        text += &format!(
            " The values of {names} are listed (enum), so that queries need no condition on them; a value that comes \
             later is NOT seen until it is in the list. The type injected would see it, and refuse every \
             query that does not name one value of {names}. The Delta table has neither limit."
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(level: Level, values: &[&str]) -> Folders {
        Folders {
            level,
            values: values.iter().map(|&it| it.to_owned()).collect(),
        }
    }

    fn table(folders: Vec<Folders>) -> Table {
        Table {
            database: None,
            name: "events".to_owned(),
            location: "s3://bucket/lake".to_owned(),
            columns: vec![("eventid".to_owned(), FieldType::Text)],
            folders,
            left_out: Vec::new(),
        }
    }

    #[test]
    fn folders_are_projected_from_the_values_that_there_are() {
        let properties = projection(&table(vec![
            folders(Level::Account, &["111122223333", "unknown"]),
            folders(Level::Region, &[]),
            folders(Level::Day, &["2026-10-01", "2026-10-02", "unknown"]),
        ]));
        for (name, value) in [
            ("projection.account.type", "enum"),
            ("projection.account.values", "111122223333,unknown"),
            ("projection.region.values", "unknown"),
            ("projection.dt.range", "2026-10-01,NOW"),
            (
                "storage.location.template",
                "s3://bucket/lake/account=${account}/region=${region}/dt=${dt}/",
            ),
        ] {
            assert_eq!(properties[name], value, "{name}");
        }
    }

    #[test]
    fn a_lake_without_files_begins_with_cloudtrail() {
        let properties = projection(&table(vec![folders(Level::Day, &[])]));
        assert_eq!(properties["projection.dt.range"], "2013-11-13,NOW");
    }

    #[test]
    fn lakes_on_a_disk_are_refused() {
        let mut table = table(Vec::new());
        table.location = "/data/lake".to_owned();
        let error = table.athena(&[Form::Delta], false).unwrap_err();
        assert!(error.to_string().contains("--location s3://"), "{error}");
    }
}
