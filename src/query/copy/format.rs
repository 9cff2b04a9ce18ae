//! Formats of exports: by STORED AS, or by the ending of a file.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use datafusion::common::file_options::file_type::FileType;
use datafusion::datasource::file_format::format_as_file_type;
use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::ast::Value;

use crate::error::{Error, Result};

/// The format of an export's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExportFormat {
    /// Parquet, compressed with zstd.
    Parquet,
    /// Comma-separated values with a header.
    Csv,
    /// An object of JSON a line.
    Json,
    /// The Arrow IPC file.
    Arrow,
}

impl ExportFormat {
    /// Finds the format of a COPY.
    ///
    /// # Errors
    /// Query, for a format that there is not, and for a file that ends as another one.
    pub(super) fn find(stored_as: Option<&str>, target: &str) -> Result<Self> {
        let ending = match target.ends_with('/') {
            true => None,
            false => Path::new(target).extension().and_then(|it| it.to_str()),
        };
        let ending = ending.map(str::to_ascii_lowercase);
        let is_compressed = ending.as_deref().is_some_and(|it| COMPRESSED.contains(&it));
        if is_compressed {
            return Err(Error::query(format!(
                "'{target}' would not be compressed; {ENDINGS}"
            )));
        }
        let by_ending = ending.as_deref().and_then(Self::named);
        let Some(word) = stored_as else {
            return by_ending.ok_or_else(|| {
                Error::query(format!(
                    "'{target}' does not tell its format; add STORED AS PARQUET (or CSV, JSON, ARROW) \
                     after it, or for one file {ENDINGS}"
                ))
            });
        };
        let format = Self::named(&word.to_ascii_lowercase()).ok_or_else(|| {
            Error::query(format!(
                "STORED AS {word} is unknown; expected PARQUET, CSV, JSON or ARROW"
            ))
        })?;
        match by_ending {
            Some(other) if other != format => Err(Error::query(format!(
                "'{target}' ends as another format than {word}; expected '.{}', or '/' at the end \
                 for a folder",
                format.ending()
            ))),
            _ => Ok(format),
        }
    }

    fn named(word: &str) -> Option<Self> {
        Some(match word {
            "parquet" => Self::Parquet,
            "csv" => Self::Csv,
            "json" | "ndjson" | "jsonl" => Self::Json,
            "arrow" => Self::Arrow,
            _ => return None,
        })
    }

    /// Returns the name that the engine has for it, which its files end in.
    fn ending(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Arrow => "arrow",
        }
    }

    /// Returns the engine's writer.
    ///
    /// # Errors
    /// Bug, if the session does not have it.
    pub(super) fn file_type(self, state: &SessionState) -> Result<Arc<dyn FileType>> {
        state
            .get_file_format_factory(self.ending())
            .map(format_as_file_type)
            .ok_or_else(|| Error::bug(format!("there is no writer of {}", self.ending())))
    }

    /// Returns the options of a COPY as the engine takes them.
    ///
    /// # Errors
    /// Query, for one that is given twice, and for values that are no words or numbers.
    pub(super) fn options(self, typed: &[(String, Value)]) -> Result<HashMap<String, String>> {
        let mut options = HashMap::new();
        for (name, value) in typed {
            let key = match name.contains('.') {
                true => name.to_lowercase(),
                false => format!("format.{}", name.to_lowercase()),
            };
            if !key.starts_with("format.") {
                return Err(Error::query(format!(
                    "OPTIONS has no {name}; expected options of the format"
                )));
            }
            let value = match value {
                Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => text.clone(),
                Value::Number(..) | Value::Boolean(_) => value.to_string(),
                _ => {
                    return Err(Error::query(format!(
                        "the option {name} expects a text or a number, found {value}"
                    )));
                }
            };
            if options.insert(key, value).is_some() {
                return Err(Error::query(format!("the option {name} is given twice")));
            }
        }
        Ok(options)
    }
}

/// Endings that have a format.
const ENDINGS: &str = "name it .parquet, .csv, .json, .ndjson or .arrow";

/// Endings of compressed files.
const COMPRESSED: [&str; 8] = ["gz", "gzip", "zst", "zstd", "bz2", "xz", "zip", "lz4"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_named_or_told_by_the_ending() {
        for (stored_as, target, format) in [
            (None, "x.parquet", ExportFormat::Parquet),
            (None, "a/x.NDJSON", ExportFormat::Json),
            (None, "s3://b/x.csv", ExportFormat::Csv),
            (Some("arrow"), "x", ExportFormat::Arrow),
            (Some("NDJSON"), "x.json", ExportFormat::Json),
            (Some("Parquet"), "x.csv/", ExportFormat::Parquet),
            (Some("CSV"), "x.2026", ExportFormat::Csv),
        ] {
            assert_eq!(ExportFormat::find(stored_as, target).unwrap(), format);
        }
        for (stored_as, target, message) in [
            (None, "x/", "does not tell its format"),
            (None, "x.parquet/", "does not tell its format"),
            (None, "x.csv.gz", "would not be compressed"),
            (Some("avro"), "x/", "STORED AS avro is unknown"),
            (Some("PARQUET"), "x.csv", "ends as another format"),
        ] {
            let error = ExportFormat::find(stored_as, target).unwrap_err();
            assert!(error.to_string().contains(message), "{target}: {error}");
        }
    }

    #[test]
    fn options_are_those_of_the_format() {
        let text = |text: &str| Value::SingleQuotedString(text.to_owned());
        let options = ExportFormat::Csv.options(&[("Delimiter".to_owned(), text("|"))]);
        assert_eq!(options.unwrap()["format.delimiter"], "|");
        let twice = [
            ("a".to_owned(), text("1")),
            ("format.A".to_owned(), text("2")),
        ];
        assert!(ExportFormat::Csv.options(&twice).is_err());
        let other = [("execution.batch_size".to_owned(), text("1"))];
        assert!(ExportFormat::Csv.options(&other).is_err());
    }
}
