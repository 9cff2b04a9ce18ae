//! `\record N`: the whole record that a row of the last answer is.

use futures::StreamExt;

use super::answer::RowIdentity;
use super::shell::Shell;
use crate::error::{Error, Result};
use crate::query::table::Input;
use crate::query::{Session, SessionOptions};

impl Shell {
    /// Shows the record of a row, pretty-printed.
    pub(super) async fn show_record(&mut self, row: usize) -> Result<()> {
        let identity = self.last_answer.identity(row)?;
        let record = self.find_record(&identity).await?;
        let Some((record, place)) = record else {
            return Err(Error::query(format!(
                "the record {} is not in the sources any more",
                identity.event_id
            )));
        };
        let pretty = pretty(&record);
        self.print_paged(&format!("{pretty}\n-- {place}\n"))
    }

    /// Finds a record: in the file that it came from, else in all tables.
    async fn find_record(&self, identity: &RowIdentity) -> Result<Option<(String, String)>> {
        let place = identity.source_uri.as_deref();
        if let Some(input) = place.and_then(|place| self.inputs.place(place).ok())
            && let Ok(Some(found)) = self.find_in(input, identity).await
        {
            return Ok(Some(found));
        }
        for (table, _) in &self.inputs.tables {
            let Some(input) = self.inputs.input(table) else {
                continue;
            };
            if let Some(found) = self.find_in(input, identity).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn find_in(
        &self,
        input: Input,
        identity: &RowIdentity,
    ) -> Result<Option<(String, String)>> {
        let session = Session::new(SessionOptions {
            threads: 1,
            memory_bytes: RECORD_BYTES,
            cache_bytes: 0,
        })?;
        session.add_events(input)?;
        let work = self.interrupts.begin();
        let execution = std::sync::Arc::new(crate::execution::Execution::new(work.stop.clone()));
        let id = identity.event_id.replace('\'', "''");
        let sql = format!("SELECT record, source_uri FROM events WHERE eventID = '{id}' LIMIT 1");
        let mut result = session.plan(&sql).await?.start(&execution).await?;
        while let Some(batch) = result.rows.next().await {
            let batch = batch.map_err(crate::query::translate_error)?;
            if batch.num_rows() > 0 {
                let cell = |column| super::answer::cell(batch.column(column), 0);
                return Ok(cell(0).map(|record| (record, cell(1).unwrap_or_default())));
            }
        }
        Ok(None)
    }
}

/// Memory of the search for one record.
const RECORD_BYTES: usize = 64 << 20;

/// Returns JSON text with a line for each value, in its own order.
fn pretty(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let (mut is_quoted, mut is_escaped) = (false, false);
    let mut characters = json.chars().peekable();
    while let Some(c) = characters.next() {
        if is_quoted {
            text.push(c);
            is_quoted = is_escaped || c != '"';
            is_escaped = c == '\\' && !is_escaped;
            continue;
        }
        match c {
            _ if c.is_whitespace() => {}
            '{' | '[' => {
                text.push(c);
                while characters.next_if(|c| c.is_whitespace()).is_some() {}
                if let Some(close) = characters.next_if(|c| matches!(c, '}' | ']')) {
                    text.push(close);
                } else {
                    depth += 1;
                    new_line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                new_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            _ => {
                is_quoted = c == '"';
                text.push(c);
            }
        }
    }
    text
}

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_in_its_own_order() {
        let json = r#"{"b":"a,{\"\\","a":[1, {"x":[ ]} ],"c":{ }}"#;
        let expected = r#"{
  "b": "a,{\"\\",
  "a": [
    1,
    {
      "x": []
    }
  ],
  "c": {}
}"#;
        assert_eq!(pretty(json), expected);
        let values = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(values(&pretty(json)), values(json));
    }
}
