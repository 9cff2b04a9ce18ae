//! The input of a table in the AWS Glue Data Catalog.
//!
//! See <https://docs.aws.amazon.com/glue/latest/webapi/API_TableInput.html>.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::athena::{projected_columns, projection};
use super::sql::folder_columns;
use super::{FieldType, Form, Table};
use crate::error::Result;
use crate::source::GlueTable;

/// Description of the table of plain files.
const ABOUT_PARQUET: &str = "CloudTrail events, all Parquet files of a lake of auroratrail. Files that were replaced and \
    not vacuumed yet count twice; the Delta table has each event once.";

impl Table {
    /// Returns the table of a form, as Glue has it.
    ///
    /// # Errors
    /// Config, for a lake that is not in S3.
    pub fn glue(&self, form: Form) -> Result<GlueTable> {
        self.check_s3("Glue")?;
        Ok(match form {
            Form::Delta => self.glue_delta(),
            Form::Parquet => self.glue_parquet(),
        })
    }

    /// Returns a table without storage format: name, place, columns.
    fn glue_base(&self, form: Form) -> GlueTable {
        GlueTable {
            database: self.database_name().to_owned(),
            name: self.name_of(form),
            location: format!("{}/", self.location),
            columns: named(&self.columns),
            ..GlueTable::default()
        }
    }

    /// Returns the form that Athena, Glue, EMR and Trino take for a Delta table. Columns are for people
    /// and permissions: readers take those of the log.
    fn glue_delta(&self) -> GlueTable {
        let mut table = self.glue_base(Form::Delta);
        table.columns.extend(named(&folder_columns(&self.folders)));
        GlueTable {
            description: "CloudTrail events, a lake of auroratrail".to_owned(),
            input_format: "org.apache.hadoop.mapred.SequenceFileInputFormat",
            output_format: "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat",
            serde: "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
            serde_parameters: texts(&[("path", &table.location), ("serialization.format", "1")]),
            parameters: texts(&[
                ("EXTERNAL", "TRUE"),
                ("classification", "delta"),
                ("spark.sql.sources.provider", "delta"),
                ("table_type", "DELTA"),
            ]),
            ..table
        }
    }

    fn glue_parquet(&self) -> GlueTable {
        let mut parameters = projection(self);
        parameters.extend(texts(&[
            ("EXTERNAL", "TRUE"),
            ("classification", "parquet"),
        ]));
        GlueTable {
            description: ABOUT_PARQUET.to_owned(),
            partition_keys: named(&projected_columns(&self.folders)),
            input_format: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            output_format: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
            serde: "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
            serde_parameters: texts(&[("serialization.format", "1")]),
            parameters,
            ..self.glue_base(Form::Parquet)
        }
    }
}

/// Returns the table as `aws glue create-table --table-input` takes it.
pub fn table_input(table: &GlueTable) -> Value {
    let columns = |columns: &[(String, String)]| {
        let columns = columns.iter();
        let columns = columns.map(|(name, kind)| json!({"Name": name, "Type": kind}));
        columns.collect::<Vec<Value>>()
    };
    json!({
        "Name": table.name,
        "Description": table.description,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": table.parameters,
        "PartitionKeys": columns(&table.partition_keys),
        "StorageDescriptor": {
            "Columns": columns(&table.columns),
            "Location": table.location,
            "InputFormat": table.input_format,
            "OutputFormat": table.output_format,
            "SerdeInfo": {
                "SerializationLibrary": table.serde,
                "Parameters": table.serde_parameters,
            },
        },
    })
}

fn named(columns: &[(String, FieldType)]) -> Vec<(String, String)> {
    let columns = columns.iter();
    let columns = columns.map(|(name, field_type)| (name.clone(), field_type.hive()));
    columns.collect()
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    let pairs = pairs.map(|&(name, value)| (name.to_owned(), value.to_owned()));
    pairs.collect()
}
