//! DDL for Spark, which has Hive's.

use super::sql::{about, column_list, comment, folder_columns, hive_quoted};
use super::{FieldType, Form, Table};

impl Table {
    /// Returns the statements that make the lake a table of Spark's.
    pub fn spark(&self, forms: &[Form]) -> String {
        let database = self.database_name();
        let mut text = comment(
            "Times are in UTC, and shown in the session's zone: SET TIME ZONE 'UTC' shows them as they are.",
        );
        text += &format!("CREATE DATABASE IF NOT EXISTS `{database}`;\n");
        for &form in forms {
            text.push('\n');
            text += &about(self, form);
            text += &match form {
                Form::Delta => self.spark_delta(),
                Form::Parquet => self.spark_parquet(),
            };
        }
        text
    }

    fn spark_delta(&self) -> String {
        format!(
            "{}CREATE TABLE IF NOT EXISTS `{}`.`{}` USING DELTA LOCATION {};\n",
            comment("Needs Spark with Delta Lake (package io.delta:delta-spark)."),
            self.database_name(),
            self.name_of(Form::Delta),
            hive_quoted(&self.spark_url())
        )
    }

    fn spark_parquet(&self) -> String {
        let name = format!(
            "`{}`.`{}`",
            self.database_name(),
            self.name_of(Form::Parquet)
        );
        format!(
            "{}CREATE EXTERNAL TABLE IF NOT EXISTS {name} (\n{}\n)\nPARTITIONED BY (\n{}\n)\nSTORED AS PARQUET\n\
             LOCATION {};\nMSCK REPAIR TABLE {name};\n",
            comment(
                "Needs Hive support. Days that come later are seen after another MSCK REPAIR TABLE."
            ),
            column_list(&self.columns, '`', FieldType::hive),
            column_list(&folder_columns(&self.folders), '`', FieldType::hive),
            hive_quoted(&self.spark_url())
        )
    }

    /// Returns the URL under Hadoop's scheme of S3.
    fn spark_url(&self) -> String {
        match self.location.strip_prefix("s3://") {
            Some(rest) => format!("s3a://{rest}"),
            None => self.url(),
        }
    }
}
