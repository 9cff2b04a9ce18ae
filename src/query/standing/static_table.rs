//! Static tables: small files that events are joined with.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::datasource::MemTable;
use datafusion::prelude::{CsvReadOptions, DataFrame, JsonReadOptions, ParquetReadOptions};

use crate::error::{Error, Result};
use crate::query::{Session, TableEntry, TableKind, translate_error, write};

impl Session {
    /// Reads a CSV (with a header), NDJSON or Parquet file into memory, as a table of this name.
    ///
    /// # Errors
    /// Config, for a name that is taken or cannot be one, for another ending, and for a file that cannot be
    /// read.
    pub async fn add_static_table(&self, name: &str, path: &Path) -> Result<()> {
        let name = name.to_lowercase();
        self.check_name(&name)?;
        let fault = |why: String| {
            Error::config(format!(
                "cannot read the table {name} from {}: {why}",
                path.display()
            ))
        };
        let frame = self
            .read_file(path)
            .await
            .map_err(|error| fault(error.to_string()))?;
        let schema: SchemaRef = Arc::new(frame.schema().as_arrow().clone());
        let rows = frame.collect().await;
        let rows = rows.map_err(|error| fault(translate_error(error).to_string()))?;
        let table = MemTable::try_new(Arc::clone(&schema), vec![rows]).map_err(translate_error)?;
        self.replace(&name, Arc::new(table))?;
        write(&self.names).add_table(&name, &schema);
        self.list(TableEntry {
            about: format!("the file {}", path.display()),
            kind: TableKind::Events,
            name,
            schema,
        });
        Ok(())
    }

    fn check_name(&self, name: &str) -> Result<()> {
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            return Err(Error::config(format!(
                "`{name}` cannot be the name of a table; expected letters, digits and _"
            )));
        }
        match self.tables().iter().any(|table| table.name == name) {
            true => Err(Error::config(format!("there is a table {name} already"))),
            false => Ok(()),
        }
    }

    async fn read_file(&self, path: &Path) -> Result<DataFrame> {
        if !path.is_file() {
            return Err(Error::config("it is not a file"));
        }
        let text = path.to_str();
        let text = text.ok_or_else(|| Error::config("its name is not UTF-8"))?;
        let ending = path
            .extension()
            .and_then(|it| it.to_str())
            .unwrap_or_default();
        let ending = format!(".{ending}");
        let context = &self.context;
        let frame = match &*ending.to_ascii_lowercase() {
            ".csv" => {
                context
                    .read_csv(text, CsvReadOptions::new().file_extension(&ending))
                    .await
            }
            ".tsv" => {
                let options = CsvReadOptions::new()
                    .file_extension(&ending)
                    .delimiter(b'\t');
                context.read_csv(text, options).await
            }
            ".json" | ".ndjson" | ".jsonl" => {
                let options = JsonReadOptions::default().file_extension(&ending);
                context.read_json(text, options).await
            }
            ".parquet" => {
                let options = ParquetReadOptions::default().file_extension(&ending);
                context.read_parquet(text, options).await
            }
            _ => {
                return Err(Error::config(
                    "expected a name that ends in .csv, .tsv, .ndjson or .parquet",
                ));
            }
        };
        frame.map_err(translate_error)
    }
}
