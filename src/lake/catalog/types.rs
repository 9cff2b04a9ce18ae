//! Types of columns, under the names that Hive, Trino and Snowflake give them.

use deltalake::kernel::{DataType, PrimitiveType};

/// The type of a column of a lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// A string.
    Text,
    /// `true` or `false`.
    Boolean,
    /// An integer of 64 bits.
    Integer,
    /// A floating-point number of 64 bits.
    Double,
    /// A time in UTC.
    Time,
    /// A day.
    Day,
    /// A list.
    List(Box<FieldType>),
    /// A structure: names and types of its fields.
    Struct(Vec<(String, FieldType)>),
}

impl FieldType {
    /// Returns the type of a Delta table's column; `None` for a type that no column of a lake has.
    pub(super) fn of(delta: &DataType) -> Option<Self> {
        Some(match delta {
            DataType::Primitive(primitive) => match primitive {
                PrimitiveType::String => Self::Text,
                PrimitiveType::Boolean => Self::Boolean,
                PrimitiveType::Long => Self::Integer,
                PrimitiveType::Double => Self::Double,
                PrimitiveType::Timestamp => Self::Time,
                PrimitiveType::Date => Self::Day,
                _ => return None,
            },
            DataType::Array(array) => Self::List(Box::new(Self::of(array.element_type())?)),
            DataType::Struct(fields) => {
                let fields = fields.fields().map(|field| {
                    let name = field.name.to_ascii_lowercase();
                    Some((name, Self::of(&field.data_type)?))
                });
                Self::Struct(fields.collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }

    /// Returns the name in Hive, which Athena's DDL, Glue and Spark share: `array<string>`.
    pub fn hive(&self) -> String {
        match self {
            Self::Text => "string".to_owned(),
            Self::Boolean => "boolean".to_owned(),
            Self::Integer => "bigint".to_owned(),
            Self::Double => "double".to_owned(),
            Self::Time => "timestamp".to_owned(),
            Self::Day => "date".to_owned(),
            Self::List(element) => format!("array<{}>", element.hive()),
            Self::Struct(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, it)| format!("{name}:{}", it.hive()));
                format!("struct<{}>", fields.collect::<Vec<_>>().join(","))
            }
        }
    }

    /// Returns the name in Trino: `array(varchar)`.
    pub fn trino(&self) -> String {
        match self {
            Self::Text => "varchar".to_owned(),
            Self::Boolean | Self::Integer | Self::Double | Self::Time | Self::Day => self.hive(),
            Self::List(element) => format!("array({})", element.trino()),
            Self::Struct(fields) => {
                let fields = fields.iter();
                let fields = fields.map(|(name, it)| format!("\"{name}\" {}", it.trino()));
                format!("row({})", fields.collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// Returns the name in Snowflake, whose arrays have elements of any type.
    pub fn snowflake(&self) -> &'static str {
        match self {
            Self::Text => "varchar",
            Self::Boolean => "boolean",
            Self::Integer => "bigint",
            Self::Double => "double",
            Self::Time => "timestamp_ntz",
            Self::Day => "date",
            Self::List(_) => "array",
            Self::Struct(_) => "object",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_types_have_the_names_of_each_engine() {
        let fields = ["arn", "type"].map(|name| (name.to_owned(), FieldType::Text));
        let resources = FieldType::List(Box::new(FieldType::Struct(fields.to_vec())));
        assert_eq!(resources.hive(), "array<struct<arn:string,type:string>>");
        assert_eq!(
            resources.trino(),
            "array(row(\"arn\" varchar, \"type\" varchar))"
        );
        assert_eq!(resources.snowflake(), "array");
    }
}
