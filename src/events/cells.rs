//! Builders of columns that are only given the cells that have a value.

use arrow::array::{
    ArrayBuilder, ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, ListBuilder,
    PrimitiveBuilder, StringBuilder, StructBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::ArrowPrimitiveType;

use super::columns::{ColumnType, resource_fields};
use super::value::Value;
use crate::json::{Elements, Members, Span};

/// A builder of one column, by the column's type.
pub(super) enum CellBuilder {
    Text(Cells<StringBuilder>),
    Json(Cells<StringBuilder>),
    Boolean(Cells<BooleanBuilder>),
    Integer(Cells<Int64Builder>),
    Double(Cells<Float64Builder>),
    Time(Cells<TimestampMicrosecondBuilder>),
    Texts(Cells<ListBuilder<StringBuilder>>),
    Resources(Cells<ListBuilder<StructBuilder>>),
}

/// The outcome of setting a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// The value is in the column, or was null, which needs no cell.
    Fits,
    /// The value is of another type: NULL in the column.
    Mismatch,
}

/// Calls the same method of [`Cells`] for a builder of any type.
macro_rules! for_any {
    ($builder:expr, $cells:ident => $result:expr) => {
        match $builder {
            CellBuilder::Text($cells) | CellBuilder::Json($cells) => $result,
            CellBuilder::Boolean($cells) => $result,
            CellBuilder::Integer($cells) => $result,
            CellBuilder::Double($cells) => $result,
            CellBuilder::Time($cells) => $result,
            CellBuilder::Texts($cells) => $result,
            CellBuilder::Resources($cells) => $result,
        }
    };
}

impl CellBuilder {
    pub(super) fn new(column_type: ColumnType) -> Self {
        match column_type {
            ColumnType::Text => Self::Text(Cells::default()),
            ColumnType::Json => Self::Json(Cells::default()),
            ColumnType::Boolean => Self::Boolean(Cells::default()),
            ColumnType::Integer => Self::Integer(Cells::default()),
            ColumnType::Double => Self::Double(Cells::default()),
            ColumnType::Time => Self::Time(Cells::of(
                TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            )),
            ColumnType::Texts => Self::Texts(Cells::default()),
            ColumnType::Resources => Self::Resources(Cells::of(ListBuilder::new(
                StructBuilder::from_fields(resource_fields(), 0),
            ))),
        }
    }

    /// Returns whether all rows of this batch are NULL so far.
    pub(super) fn is_empty(&self) -> bool {
        for_any!(self, cells => cells.rows == 0)
    }

    /// Returns the bytes of text in this batch.
    pub(super) fn bytes(&self) -> usize {
        for_any!(self, cells => cells.bytes)
    }

    /// Sets the cell of row `row` to `value`. A cell is set once: later values are dropped.
    #[inline]
    pub(super) fn set(&mut self, row: usize, value: Value<'_>) -> Fit {
        if value.is_null() {
            return Fit::Fits;
        }
        match self {
            Self::Text(cells) => cells.set_with(
                row,
                || value.as_text(),
                |cells, text| {
                    cells.append_text(&text);
                },
            ),
            Self::Json(cells) => cells.set_with(row, || Some(value.raw()), Cells::append_text),
            Self::Boolean(cells) => cells.set_with(row, || value.as_bool(), Cells::append_bool),
            Self::Integer(cells) => cells.set_with(row, || value.as_integer(), Cells::append),
            Self::Double(cells) => cells.set_with(row, || value.as_double(), Cells::append),
            Self::Time(cells) => cells.set_with(row, || value.as_time(), Cells::append),
            Self::Texts(cells) => cells.set_with(row, || scalars(value), Cells::append_scalars),
            Self::Resources(cells) => cells.set_with(
                row,
                || elements(value),
                |cells, elements| {
                    cells.append_resources(value.text, elements);
                },
            ),
        }
    }

    /// Returns the cells of a text or JSON column.
    ///
    /// # Panics
    /// If the column is of another type, which is a bug.
    pub(super) fn text_cells(&mut self) -> &mut Cells<StringBuilder> {
        match self {
            Self::Text(cells) | Self::Json(cells) => cells,
            _ => panic!("not a text column"),
        }
    }

    /// Returns the cells of a boolean column.
    ///
    /// # Panics
    /// If the column is of another type, which is a bug.
    pub(super) fn boolean_cells(&mut self) -> &mut Cells<BooleanBuilder> {
        match self {
            Self::Boolean(cells) => cells,
            _ => panic!("not a boolean column"),
        }
    }

    /// Returns the cells of an integer column.
    ///
    /// # Panics
    /// If the column is of another type, which is a bug.
    pub(super) fn integer_cells(&mut self) -> &mut Cells<Int64Builder> {
        match self {
            Self::Integer(cells) => cells,
            _ => panic!("not an integer column"),
        }
    }

    /// Returns the cells of a column of lists of texts.
    ///
    /// # Panics
    /// If the column is of another type, which is a bug.
    pub(super) fn list_cells(&mut self) -> &mut Cells<ListBuilder<StringBuilder>> {
        match self {
            Self::Texts(cells) => cells,
            _ => panic!("not a column of lists of texts"),
        }
    }

    /// Completes the column of a batch of `rows` rows; the next batch starts empty.
    pub(super) fn finish(&mut self, rows: usize) -> ArrayRef {
        for_any!(self, cells => cells.finish(rows))
    }
}

/// The cells of one column in the batch that is built. Rows without a value cost nothing: their NULLs
/// are appended before the next value, or at the end.
#[derive(Default)]
pub(super) struct Cells<B> {
    builder: B,
    rows: usize,
    bytes: usize,
    /// Rows and bytes of the previous batch, which the next one will resemble.
    previous: (usize, usize),
}

/// A builder of arrow that appends NULLs.
pub(super) trait Nullable: ArrayBuilder {
    fn append_nulls(&mut self, count: usize);

    /// Allocates for a batch of that many rows and bytes of text.
    fn reserve(&mut self, _rows: usize, _bytes: usize) {}
}

impl<B: Nullable> Cells<B> {
    fn of(builder: B) -> Self {
        Self {
            builder,
            rows: 0,
            bytes: 0,
            previous: (0, 0),
        }
    }

    /// Sets the cell of row `row`, unless it is set, to what `read` gives.
    #[inline]
    fn set_with<T>(
        &mut self,
        row: usize,
        read: impl FnOnce() -> Option<T>,
        append: impl FnOnce(&mut Self, T),
    ) -> Fit {
        if self.rows > row {
            return Fit::Fits;
        }
        match read() {
            Some(value) => {
                self.pad(row);
                append(self, value);
                self.rows += 1;
                Fit::Fits
            }
            None => Fit::Mismatch,
        }
    }

    /// Appends NULLs for the rows before `row` that have no value.
    #[inline]
    fn pad(&mut self, row: usize) {
        if self.rows == 0 {
            self.reserve();
        }
        let missing = row.saturating_sub(self.rows);
        if missing > 0 {
            self.builder.append_nulls(missing);
            self.rows += missing;
        }
    }

    /// Allocates once a batch: growing step by step would copy every text twice.
    #[cold]
    fn reserve(&mut self) {
        let (rows, bytes) = self.previous;
        self.builder.reserve(rows, bytes + bytes / 16);
    }

    fn finish(&mut self, rows: usize) -> ArrayRef {
        self.pad(rows);
        self.previous = (rows, self.bytes);
        self.rows = 0;
        self.bytes = 0;
        self.builder.finish()
    }
}

impl Nullable for StringBuilder {
    fn append_nulls(&mut self, count: usize) {
        Self::append_nulls(self, count);
    }

    fn reserve(&mut self, rows: usize, bytes: usize) {
        *self = Self::with_capacity(rows, bytes);
    }
}

impl Cells<StringBuilder> {
    /// Sets the cell of row `row`, which is not set yet.
    #[inline]
    pub(super) fn set_text(&mut self, row: usize, text: &str) {
        self.pad(row);
        self.append_text(text);
        self.rows += 1;
    }

    #[inline]
    fn append_text(&mut self, text: &str) {
        self.builder.append_value(text);
        self.bytes += text.len();
    }
}

impl Nullable for BooleanBuilder {
    fn append_nulls(&mut self, count: usize) {
        Self::append_nulls(self, count);
    }
}

impl Cells<BooleanBuilder> {
    /// Sets the cell of row `row`, which is not set yet.
    pub(super) fn set_bool(&mut self, row: usize, value: bool) {
        self.pad(row);
        self.append_bool(value);
        self.rows += 1;
    }

    fn append_bool(&mut self, value: bool) {
        self.builder.append_value(value);
    }
}

impl<T: ArrowPrimitiveType> Nullable for PrimitiveBuilder<T> {
    fn append_nulls(&mut self, count: usize) {
        Self::append_nulls(self, count);
    }
}

impl<T: ArrowPrimitiveType> Cells<PrimitiveBuilder<T>> {
    /// Sets the cell of row `row`, which is not set yet.
    pub(super) fn set_number(&mut self, row: usize, value: T::Native) {
        self.pad(row);
        self.append(value);
        self.rows += 1;
    }

    fn append(&mut self, value: T::Native) {
        self.builder.append_value(value);
    }
}

impl<B: ArrayBuilder> Nullable for ListBuilder<B> {
    fn append_nulls(&mut self, count: usize) {
        Self::append_nulls(self, count);
    }
}

impl Cells<ListBuilder<StringBuilder>> {
    /// Sets the cell of row `row`, which is not set yet.
    pub(super) fn set_texts<'a>(&mut self, row: usize, texts: impl Iterator<Item = &'a str>) {
        self.pad(row);
        for text in texts {
            self.builder.values().append_value(text);
            self.bytes += text.len();
        }
        self.builder.append(true);
        self.rows += 1;
    }

    fn append_scalars<'a>(&mut self, scalars: impl Iterator<Item = Value<'a>>) {
        for scalar in scalars {
            let text = scalar.as_text();
            self.bytes += text.as_ref().map_or(0, |text| text.len());
            self.builder.values().append_option(text);
        }
        self.builder.append(true);
    }
}

impl Cells<ListBuilder<StructBuilder>> {
    fn append_resources(&mut self, text: &str, elements: impl Iterator<Item = Span>) {
        for element in elements {
            let resource = Resource::read(text, element);
            let fields = self.builder.values();
            for (index, cell) in resource.cells.into_iter().enumerate() {
                let text = cell.and_then(Value::as_text);
                self.bytes += text.as_ref().map_or(0, |text| text.len());
                fields
                    .field_builder::<StringBuilder>(index)
                    .expect("the fields of a resource are texts")
                    .append_option(text);
            }
            fields.append(resource.is_object);
        }
        self.builder.append(true);
    }
}

/// Returns the elements of an array.
fn elements(value: Value<'_>) -> Option<impl Iterator<Item = Span>> {
    let is_array = value.first() == b'[';
    is_array.then(|| Elements::at(value.text, value.span.start as usize))
}

/// Returns whether [`CellBuilder::set`] would find that `value` fits a column of `column_type`.
pub(super) fn fits(column_type: ColumnType, value: Value<'_>) -> bool {
    value.is_null()
        || match column_type {
            ColumnType::Text => !value.is_container(),
            ColumnType::Json => true,
            ColumnType::Boolean => value.as_bool().is_some(),
            ColumnType::Integer => value.as_integer().is_some(),
            ColumnType::Double => value.as_double().is_some(),
            ColumnType::Time => value.as_time().is_some(),
            ColumnType::Texts => scalars(value).is_some(),
            ColumnType::Resources => elements(value).is_some(),
        }
}

/// Returns the elements of an array of scalars; an array with any other element does not fit.
fn scalars(value: Value<'_>) -> Option<impl Iterator<Item = Value<'_>>> {
    let text = value.text;
    let values = || Some(elements(value)?.map(move |span| Value { text, span }));
    match values()?.any(Value::is_container) {
        true => None,
        false => values(),
    }
}

/// An element of `resources`.
pub(super) struct Resource<'a> {
    cells: [Option<Value<'a>>; 3],
    is_object: bool,
    /// Whether the three cells give back the element exactly.
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
            let cell = RESOURCE_KEYS
                .iter()
                .position(|name| name.eq_ignore_ascii_case(key));
            match cell {
                Some(index) if resource.cells[index].is_none() => {
                    resource.cells[index] = Some(value);
                    resource.exact &= RESOURCE_KEYS[index] == key && is_exact_string(value);
                }
                _ => resource.exact = false,
            }
        }
        resource
    }
}

/// Keys of a resource in CloudTrail's spelling.
pub(super) const RESOURCE_KEYS: [&str; 3] = ["ARN", "accountId", "type"];

/// Returns whether the value is a string that survives resolving and writing its escapes.
pub(super) fn is_exact_string(value: Value<'_>) -> bool {
    let inner = match value.raw() {
        raw if raw.len() >= 2 && raw.starts_with('"') => &raw[1..raw.len() - 1],
        _ => return false,
    };
    !value.span.escaped || crate::json::unescape_into(inner, &mut String::new())
}
