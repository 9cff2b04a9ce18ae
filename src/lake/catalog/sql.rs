//! Pieces of SQL that several engines share.

use super::{FieldType, Folders, Form, Table};
use crate::lake::layout::Level;

/// Longest line of a comment.
const WIDTH: usize = 100;

/// Returns text as the lines of a comment.
pub(super) fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut line = "--".to_owned();
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            lines += &line;
            lines.push('\n');
            line = "--".to_owned();
        }
        line.push(' ');
        line += word;
    }
    lines + &line + "\n"
}

/// Returns the comment of a form's table, the same for all engines.
pub(super) fn about(table: &Table, form: Form) -> String {
    match form {
        Form::Delta => {
            let mut text = comment(
                "The Delta table: each event once, as of a commit. Athena, Spark and Trino see new columns by \
                 themselves; for others, run this again when the lake has got new ones.",
            );
            if !table.left_out.is_empty() {
                text += &comment(&format!(
                    "Left out below, as their types are not those of a lake: {}.",
                    table.left_out.join(", ")
                ));
            }
            text
        }
        Form::Parquet => comment(
            "For readers that know no Delta: all Parquet files in the folders, whatever the log says. Files that a \
             compaction has replaced stay in their folders until a vacuum removes them, and so do files of a writer \
             that died; their events are seen TWICE here meanwhile. Read the Delta table to see each event once, \
             or run a vacuum before such a reader. Columns that the lake gets later are seen once this \
             DDL is made anew and run again.",
        ),
    }
}

/// Returns text in single quotes, with quotes in it doubled, as in standard SQL.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns text in single quotes, with a backslash before quotes and backslashes, as in Hive and Spark.
pub(super) fn hive_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Returns lines of names and types, indented, without a comma after the last.
pub(super) fn column_list<'c>(
    columns: impl IntoIterator<Item = &'c (String, FieldType)>,
    quote: char,
    type_name: fn(&FieldType) -> String,
) -> String {
    let columns = columns.into_iter();
    let lines = columns.map(|(name, it)| format!("  {quote}{name}{quote} {}", type_name(it)));
    lines.collect::<Vec<_>>().join(",\n")
}

/// Returns the type of a level's values.
pub(super) fn level_type(level: Level) -> FieldType {
    match level {
        Level::Day => FieldType::Day,
        Level::Account | Level::Region => FieldType::Text,
    }
}

/// Returns the columns of the folders.
pub(super) fn folder_columns(folders: &[Folders]) -> Vec<(String, FieldType)> {
    let columns = folders.iter();
    let columns = columns.map(|it| (it.level.name().to_owned(), level_type(it.level)));
    columns.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_broken_between_words() {
        let text = comment(&"word ".repeat(30));
        assert_eq!(text.lines().count(), 2);
        assert!(
            text.lines()
                .all(|it| it.starts_with("-- word") && it.len() <= WIDTH)
        );
    }

    #[test]
    fn quotes_stay_in_their_literals() {
        assert_eq!(quoted("it's\\"), "'it''s\\'");
        assert_eq!(hive_quoted("it's\\"), "'it\\'s\\\\'");
    }
}
