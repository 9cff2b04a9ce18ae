//! Writes a GitHub table. Characters that Markdown or HTML would interpret are escaped, line breaks
//! become `<br>`, and control characters are shown.

use std::io::{self, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::cells::{CellReader, CellStyle, is_number, unpacked};
use super::screen::needs_escape;
use super::{BatchWriter, Destination, Zone};

/// Writes rows as lines of a Markdown table.
pub(super) struct Markdown {
    out: Destination,
    line: String,
    style: CellStyle,
}

impl Markdown {
    /// Writes the header and its rule.
    pub(super) fn try_new(
        schema: &SchemaRef,
        column_names: &[String],
        zone: Option<Zone>,
        out: Destination,
    ) -> io::Result<Self> {
        let mut line = String::new();
        for name in column_names {
            push_cell(name, &mut line);
        }
        line.push_str("|\n");
        for field in schema.fields() {
            line.push_str(if is_number(field.data_type()) {
                "| ---: "
            } else {
                "| --- "
            });
        }
        line.push_str("|\n");
        let style = CellStyle::new(zone);
        let mut this = Self { out, line, style };
        this.out.write_all(this.line.as_bytes())?;
        this.out.flush()?;
        Ok(this)
    }
}

impl BatchWriter for Markdown {
    fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let arrays = unpacked(batch)?;
        let mut columns = CellReader::all(&arrays, &self.style)?;
        let mut cell = String::new();
        for row in 0..batch.num_rows() {
            self.line.clear();
            for column in &mut columns {
                push_cell(column.text(row, &mut cell), &mut self.line);
            }
            self.line.push_str("|\n");
            self.out.write_all(self.line.as_bytes())?;
        }
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn push_cell(text: &str, line: &mut String) {
    line.push_str("| ");
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => continue,
            '\n' | '\r' => line.push_str("<br>"),
            // Underscores are common in names, and GitHub does not interpret them between letters.
            '_' if before.is_alphanumeric()
                && chars.peek().is_some_and(|c| c.is_alphanumeric()) =>
            {
                line.push(c);
            }
            '\\' | '|' | '<' | '&' | '[' | ']' | '`' | '*' | '_' | '~' => line.extend(['\\', c]),
            c if needs_escape(c) => {
                line.push('\\');
                line.extend(c.escape_default());
            }
            c => line.push(c),
        }
        before = c;
    }
    line.push(' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_cannot_break_the_table_nor_add_markup() {
        let mut line = String::new();
        push_cell(
            "a|b\r\nc\nd <img src=x> \\| ![x](http://y) `c` *b* _i_ a_b ~s~ R&D \u{1b}[1m",
            &mut line,
        );
        assert_eq!(
            line,
            r"| a\|b<br>c<br>d \<img src=x> \\\| !\[x\](http://y) \`c\` \*b\* \_i\_ a_b \~s\~ R\&D \\u{1b}\[1m "
        );
    }
}
