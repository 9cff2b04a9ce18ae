//! Builders that are told only of the cells that are there, and of nothing else.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, StringBuilder,
    StructBuilder, TimestampMicrosecondBuilder,
};

use super::columns::{ColumnType, resource_fields};
use super::value::Value;
use crate::json::{Elements, Members, Span};

/// One column of the batch that is being built. Rows without a value cost nothing: they are made
/// up for when the next value comes, or at the end.
pub(super) struct Cells {
    kind: ColumnType,
    builder: Builder,
    rows: usize,
    bytes: usize,
    /// Rows and bytes of the batch before: the next will be like it.
    before: (usize, usize),
}

enum Builder {
    Text(StringBuilder),
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Double(Float64Builder),
    Time(TimestampMicrosecondBuilder),
    Texts(ListBuilder<StringBuilder>),
    Resources(ListBuilder<StructBuilder>),
}

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It is in the column, or was null, which needs no cell.
    Fits,
    /// It is of another type: NULL in the column.
    Mismatch,
}

impl Cells {
    pub(super) fn new(kind: ColumnType) -> Self {
        let builder = match kind {
            ColumnType::Text | ColumnType::Json => Builder::Text(StringBuilder::new()),
            ColumnType::Boolean => Builder::Boolean(BooleanBuilder::new()),
            ColumnType::Integer => Builder::Integer(Int64Builder::new()),
            ColumnType::Double => Builder::Double(Float64Builder::new()),
            ColumnType::Time => {
                Builder::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC"))
            }
            ColumnType::Texts => Builder::Texts(ListBuilder::new(StringBuilder::new())),
            ColumnType::Resources => Builder::Resources(ListBuilder::new(
                StructBuilder::from_fields(resource_fields(), 0),
            )),
        };
        Self {
            kind,
            builder,
            rows: 0,
            bytes: 0,
            before: (0, 0),
        }
    }

    /// Whether no row of this batch has a value.
    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Bytes of text in this batch.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sets the cell of row `row` to `value`. A cell is set once: what comes first stands.
    #[inline]
    pub(super) fn set(&mut self, row: usize, value: Value<'_>) -> Fit {
        if value.is_null() || self.rows > row {
            return Fit::Fits;
        }
        match self.kind {
            ColumnType::Json => self.set_text(row, value.raw()),
            ColumnType::Text => match value.as_text() {
                Some(text) => self.set_text(row, &text),
                None => return Fit::Mismatch,
            },
            ColumnType::Boolean => return self.set_with(row, value.as_bool(), Self::set_bool),
            ColumnType::Integer => {
                return self.set_with(row, value.as_integer(), Self::set_integer);
            }
            ColumnType::Double => return self.set_with(row, value.as_double(), Self::set_double),
            ColumnType::Time => return self.set_with(row, value.as_time(), Self::set_time),
            ColumnType::Texts => return self.set_array(row, value),
            ColumnType::Resources => return self.set_resources(row, value),
        }
        Fit::Fits
    }

    fn set_with<T>(&mut self, row: usize, value: Option<T>, set: fn(&mut Self, usize, T)) -> Fit {
        match value {
            Some(value) => {
                set(self, row, value);
                Fit::Fits
            }
            None => Fit::Mismatch,
        }
    }

    #[inline]
    pub(super) fn set_text(&mut self, row: usize, text: &str) {
        self.pad(row);
        if let Builder::Text(builder) = &mut self.builder {
            builder.append_value(text);
            self.bytes += text.len();
            self.rows += 1;
        }
    }

    pub(super) fn set_bool(&mut self, row: usize, value: bool) {
        self.pad(row);
        if let Builder::Boolean(builder) = &mut self.builder {
            builder.append_value(value);
            self.rows += 1;
        }
    }

    pub(super) fn set_integer(&mut self, row: usize, value: i64) {
        self.pad(row);
        if let Builder::Integer(builder) = &mut self.builder {
            builder.append_value(value);
            self.rows += 1;
        }
    }

    fn set_double(&mut self, row: usize, value: f64) {
        self.pad(row);
        if let Builder::Double(builder) = &mut self.builder {
            builder.append_value(value);
            self.rows += 1;
        }
    }

    fn set_time(&mut self, row: usize, micros: i64) {
        self.pad(row);
        if let Builder::Time(builder) = &mut self.builder {
            builder.append_value(micros);
            self.rows += 1;
        }
    }

    /// A list of texts, whole.
    pub(super) fn set_texts<'a>(&mut self, row: usize, texts: impl Iterator<Item = &'a str>) {
        self.pad(row);
        if let Builder::Texts(builder) = &mut self.builder {
            for text in texts {
                builder.values().append_value(text);
                self.bytes += text.len();
            }
            builder.append(true);
            self.rows += 1;
        }
    }

    /// An array of scalars; one that holds anything else does not fit.
    fn set_array(&mut self, row: usize, value: Value<'_>) -> Fit {
        let elements = || {
            Elements::at(value.text, value.span.start as usize).map(|span| Value {
                text: value.text,
                span,
            })
        };
        if value.first() != b'[' || elements().any(Value::is_container) {
            return Fit::Mismatch;
        }
        self.pad(row);
        if let Builder::Texts(builder) = &mut self.builder {
            for element in elements() {
                let text = element.as_text();
                self.bytes += text.as_ref().map_or(0, |text| text.len());
                builder.values().append_option(text);
            }
            builder.append(true);
            self.rows += 1;
        }
        Fit::Fits
    }

    fn set_resources(&mut self, row: usize, value: Value<'_>) -> Fit {
        if value.first() != b'[' {
            return Fit::Mismatch;
        }
        self.pad(row);
        let Builder::Resources(builder) = &mut self.builder else {
            return Fit::Mismatch;
        };
        for element in Elements::at(value.text, value.span.start as usize) {
            let resource = Resource::read(value.text, element);
            let fields = builder.values();
            for (index, cell) in resource.cells.into_iter().enumerate() {
                let text = cell.and_then(Value::as_text);
                self.bytes += text.as_ref().map_or(0, |text| text.len());
                if let Some(field) = fields.field_builder::<StringBuilder>(index) {
                    field.append_option(text);
                }
            }
            fields.append(resource.is_object);
        }
        builder.append(true);
        self.rows += 1;
        Fit::Fits
    }

    /// Makes up for the rows before `row` that had no value.
    #[inline]
    fn pad(&mut self, row: usize) {
        if self.rows == 0 {
            self.make_room();
        }
        let missing = row.saturating_sub(self.rows);
        if missing > 0 {
            self.pad_nulls(missing);
        }
    }

    /// Once a batch: growing step by step would copy every text twice.
    #[cold]
    fn make_room(&mut self) {
        if let Builder::Text(builder) = &mut self.builder {
            let (rows, bytes) = self.before;
            *builder = StringBuilder::with_capacity(rows, bytes + bytes / 16);
        }
    }

    fn pad_nulls(&mut self, count: usize) {
        match &mut self.builder {
            Builder::Text(builder) => builder.append_nulls(count),
            Builder::Boolean(builder) => builder.append_nulls(count),
            Builder::Integer(builder) => builder.append_nulls(count),
            Builder::Double(builder) => builder.append_nulls(count),
            Builder::Time(builder) => builder.append_nulls(count),
            Builder::Texts(builder) => (0..count).for_each(|_| builder.append_null()),
            Builder::Resources(builder) => (0..count).for_each(|_| builder.append_null()),
        }
        self.rows += count;
    }

    /// The column of a batch of `rows` rows; the next batch starts empty.
    pub(super) fn finish(&mut self, rows: usize) -> ArrayRef {
        self.pad(rows);
        self.before = (rows, self.bytes);
        self.rows = 0;
        self.bytes = 0;
        match &mut self.builder {
            Builder::Text(builder) => Arc::new(builder.finish()),
            Builder::Boolean(builder) => Arc::new(builder.finish()),
            Builder::Integer(builder) => Arc::new(builder.finish()),
            Builder::Double(builder) => Arc::new(builder.finish()),
            Builder::Time(builder) => Arc::new(builder.finish()),
            Builder::Texts(builder) => Arc::new(builder.finish()),
            Builder::Resources(builder) => Arc::new(builder.finish()),
        }
    }
}

/// An element of `resources`.
pub(super) struct Resource<'a> {
    cells: [Option<Value<'a>>; 3],
    is_object: bool,
    /// Whether the three cells say all that the element says.
    pub(super) exact: bool,
}

impl<'a> Resource<'a> {
    pub(super) fn read(text: &'a str, element: Span) -> Self {
        let mut resource = Self {
            cells: [None; 3],
            is_object: element.first(text) == b'{',
            exact: element.first(text) == b'{',
        };
        for (key, span) in Members::at(text, element.start as usize) {
            let value = Value { text, span };
            let key = key.raw(text);
            let cell = NAMES.iter().position(|name| name.eq_ignore_ascii_case(key));
            match cell {
                Some(index) if resource.cells[index].is_none() => {
                    resource.cells[index] = Some(value);
                    resource.exact &= NAMES[index] == key && exact_string(value);
                }
                _ => resource.exact = false,
            }
        }
        resource
    }
}

/// The members of a resource as CloudTrail spells them.
pub(super) const NAMES: [&str; 3] = ["ARN", "accountId", "type"];

/// Whether the value is a string that comes back the same after its escapes are resolved.
pub(super) fn exact_string(value: Value<'_>) -> bool {
    let inner = match value.raw() {
        raw if raw.len() >= 2 && raw.starts_with('"') => &raw[1..raw.len() - 1],
        _ => return false,
    };
    !value.span.escaped || crate::json::unescape_into(inner, &mut String::new())
}
