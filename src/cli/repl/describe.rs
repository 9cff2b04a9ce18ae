//! `\d` and `\df`: tables, columns and functions.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use globset::GlobBuilder;

use super::settings::Opening;
use super::shell::Shell;
use crate::cli::output;
use crate::error::{Error, Result};
use crate::events::columns::catalog;
use crate::query::TableKind;

impl Shell {
    /// Lists tables and views.
    pub(super) async fn list_tables(&mut self) -> Result<()> {
        let tables = self.session.tables();
        let kind = |kind| match kind {
            TableKind::Events => "events",
            TableKind::View => "view",
            TableKind::Rows => "rows",
        };
        let rows = vec![
            ("table", tables.iter().map(|it| it.name.clone()).collect()),
            (
                "kind",
                tables.iter().map(|it| kind(it.kind).to_owned()).collect(),
            ),
            (
                "meaning",
                tables.iter().map(|it| it.about.clone()).collect(),
            ),
        ];
        self.show(rows).await
    }

    /// Lists the columns of a table, those that `pattern` matches.
    pub(super) async fn describe(&mut self, table: &str, pattern: Option<&str>) -> Result<()> {
        let name = table.to_lowercase();
        let entry = self.session.tables().into_iter().find(|it| it.name == name);
        let Some(entry) = entry else {
            // Says which table was meant.
            self.session.step(&format!("DESCRIBE {table}")).await?;
            return Err(Error::query(format!("no table {table}; \\d lists them")));
        };
        if entry.kind != TableKind::Events {
            let route = self.settings.route();
            return self.ask(format!("DESCRIBE {name}"), &route).await;
        }
        let matches = matcher(pattern)?;
        let columns: Vec<_> = catalog()
            .columns()
            .iter()
            .filter(|column| matches(&column.path))
            .collect();
        if columns.is_empty() {
            return Err(Error::query(format!(
                "no column of {name} is like {}",
                pattern.unwrap_or_default()
            )));
        }
        let rows = vec![
            (
                "column",
                columns.iter().map(|it| it.path.to_string()).collect(),
            ),
            (
                "type",
                columns
                    .iter()
                    .map(|it| it.column_type.sql_name().to_owned())
                    .collect(),
            ),
            (
                "meaning",
                columns.iter().map(|it| it.about.to_string()).collect(),
            ),
        ];
        self.show(rows).await
    }

    /// Lists the functions that `pattern` matches.
    pub(super) async fn list_functions(&mut self, pattern: Option<&str>) -> Result<()> {
        let matches = matcher(pattern)?;
        let functions: Vec<_> = self
            .session
            .functions()
            .into_iter()
            .filter(|function| matches(&function.name))
            .collect();
        if functions.is_empty() {
            return Err(Error::query(format!(
                "no function is like {}; \\df lists all",
                pattern.unwrap_or_default()
            )));
        }
        let rows = vec![
            (
                "usage",
                functions.iter().map(|it| it.usage.clone()).collect(),
            ),
            (
                "kind",
                functions
                    .iter()
                    .map(|it| it.kind.label().to_owned())
                    .collect(),
            ),
            (
                "meaning",
                functions.iter().map(|it| it.about.clone()).collect(),
            ),
        ];
        self.show(rows).await
    }

    /// Shows columns of text as an answer of the prompt itself; it is not kept as the last one.
    pub(super) async fn show(&mut self, columns: Vec<(&str, Vec<String>)>) -> Result<()> {
        let (names, texts): (Vec<&str>, Vec<Vec<String>>) = columns.into_iter().unzip();
        let fields: Vec<Field> = names
            .iter()
            .map(|name| Field::new(*name, DataType::Utf8, false))
            .collect();
        let arrays = texts
            .into_iter()
            .map(|texts| Arc::new(StringArray::from(texts)) as ArrayRef)
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)
            .map_err(|error| Error::bug(format!("a list of the prompt: {error}")))?;
        let rows = futures::stream::iter([Ok(batch)]);
        let rows = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let route = self.settings.route();
        let Opening { options, out, .. } = self.open(&route).await?;
        output::write(rows, &names, &options, out).await?;
        Ok(())
    }
}

/// Returns what tells whether a name matches a pattern: with `*` and `?` as a whole, without them if
/// the pattern is a part of it; in any case.
fn matcher(pattern: Option<&str>) -> Result<impl Fn(&str) -> bool> {
    let pattern = pattern.unwrap_or("*");
    let is_glob = pattern.contains(['*', '?', '[']);
    let glob = match is_glob {
        true => pattern.to_owned(),
        false => format!("*{}*", globset::escape(pattern)),
    };
    let glob = GlobBuilder::new(&glob)
        .case_insensitive(true)
        .build()
        .map_err(|_| Error::query(format!("{pattern} is not a pattern; expected name or na*")))?
        .compile_matcher();
    Ok(move |name: &str| glob.is_match(name))
}

#[cfg(test)]
mod tests {
    use super::matcher;

    #[test]
    fn patterns_match_parts_or_with_wildcards_the_whole() {
        let is_match = |pattern, name: &str| matcher(Some(pattern)).unwrap()(name);
        assert!(is_match("cluster", "requestParameters.dBClusterIdentifier"));
        assert!(is_match("event*", "eventTime"));
        assert!(!is_match("event*", "sharedEventID"));
        assert!(is_match("{", "a{b"));
        assert!(matcher(Some("[")).is_err());
    }
}
