//! `\d` and `\df`: tables, columns and functions.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use globset::GlobBuilder;

use super::answer::cell;
use super::settings::Opening;
use super::shell::Shell;
use super::source::EVENTS;
use crate::cli::output;
use crate::error::{Error, Result};
use crate::events::columns::{Column, catalog};
use crate::query::profile::{ColumnSample, column_samples};
use crate::query::{TableEntry, TableKind};

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
            return self.describe_rows(&entry).await;
        }
        let matches = matcher(pattern)?;
        let indexes: Vec<usize> = (0..catalog().columns().len())
            .filter(|&index| matches(&catalog().columns()[index].path))
            .collect();
        if indexes.is_empty() {
            return Err(Error::query(format!(
                "no column of {name} is like {}",
                pattern.unwrap_or_default()
            )));
        }
        let samples = self.samples(&name, &indexes).await?;
        let columns = indexes.iter().map(|&index| &catalog().columns()[index]);
        let texts = |text: fn(&Column) -> &str| columns.clone().map(move |it| text(it).to_owned());
        let rows = vec![
            ("column", texts(|it| &it.path).collect()),
            ("type", texts(|it| it.column_type.sql_name()).collect()),
            ("filled", samples.iter().map(share).collect()),
            ("example", samples.iter().map(example).collect()),
            ("meaning", texts(|it| &it.about).collect()),
        ];
        self.show(rows).await
    }

    /// Lists the columns of a view or of rows in memory. It is no answer: `_` stays what it is.
    async fn describe_rows(&mut self, entry: &TableEntry) -> Result<()> {
        let sql = format!("DESCRIBE {}", entry.name);
        let mut result = self.session.query(&sql).await?;
        let mut rows: Vec<(String, String)> = Vec::new();
        while let Some(batch) = result.rows.next().await {
            let batch = batch.map_err(crate::query::translate_error)?;
            let text = |column: usize, row| cell(batch.column(column), row).unwrap_or_default();
            rows.extend((0..batch.num_rows()).map(|row| (text(0, row), text(1, row))));
        }
        let (columns, types) = rows.into_iter().unzip();
        self.show(vec![("column", columns), ("type", types)]).await
    }

    /// Looks at some events of a table, until Ctrl-C; the view of the Aurora family is looked at in
    /// all events.
    async fn samples(&self, table: &str, columns: &[usize]) -> Result<Vec<ColumnSample>> {
        let input = self
            .inputs
            .input(table)
            .or_else(|| self.inputs.input(EVENTS));
        let Some(input) = input else {
            return Err(Error::bug("a table of events has no input"));
        };
        let work = self.interrupts.begin();
        tokio::select! {
            samples = column_samples(&input, columns) => samples,
            () = work.stop.cancelled() => Err(Error::query("stopped")),
        }
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

/// Returns the share of events with a value: `12 %`, or `-` if no event was seen.
fn share(sample: &ColumnSample) -> String {
    match (sample.rows, sample.present) {
        (0, _) => "-".to_owned(),
        (rows, present) if present > 0 && present * 100 < rows => "<1 %".to_owned(),
        (rows, present) => format!("{} %", present * 100 / rows),
    }
}

/// Returns the start of a value that occurs.
fn example(sample: &ColumnSample) -> String {
    let text = sample.example.as_deref().unwrap_or_default();
    match text.char_indices().nth(EXAMPLE_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Characters of an example that are shown.
const EXAMPLE_CHARACTERS: usize = 40;

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
