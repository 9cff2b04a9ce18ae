//! Breaks JSON into indented lines, keeping the order of members and the digits of numbers.

use serde::de::IgnoredAny;

/// Returns the lines of a JSON object, and at most one more than `most`; `None` for other texts.
pub(super) fn object_lines(text: &str, most: usize) -> Option<Vec<String>> {
    let is_object = text.trim_start().starts_with('{');
    if !is_object || serde_json::from_str::<IgnoredAny>(text).is_err() {
        return None;
    }
    let mut lines = Lines::default();
    let mut rest = text.trim();
    while let Some(c) = rest.chars().next().filter(|_| lines.whole.len() <= most) {
        let token = match c {
            '"' => string_length(rest),
            _ => c.len_utf8(),
        };
        let (token, after) = rest.split_at(token);
        rest = after.trim_start();
        let is_empty = matches!(c, '{' | '[') && rest.starts_with(['}', ']']);
        lines.push(token, is_empty);
    }
    lines.whole.push(lines.last);
    lines.whole.truncate(most + 1);
    Some(lines.whole)
}

/// Returns the bytes of the string that a JSON text begins with, including its quotes.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |end| end + 2)
}

#[derive(Default)]
struct Lines {
    whole: Vec<String>,
    last: String,
    depth: usize,
    /// Whether the last bracket is to be closed on its line.
    is_empty: bool,
}

impl Lines {
    fn push(&mut self, token: &str, is_empty: bool) {
        match token {
            "{" | "[" => {
                self.last.push_str(token);
                self.depth += 1;
                if !is_empty {
                    self.end_line();
                }
            }
            "}" | "]" => {
                self.depth = self.depth.saturating_sub(1);
                if !self.is_empty {
                    self.end_line();
                }
                self.last.push_str(token);
            }
            "," => {
                self.last.push(',');
                self.end_line();
            }
            ":" => self.last.push_str(": "),
            _ => self.last.push_str(token),
        }
        self.is_empty = is_empty;
    }

    fn end_line(&mut self) {
        let next = "  ".repeat(self.depth);
        self.whole.push(std::mem::replace(&mut self.last, next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_broken_into_lines_as_it_is_written() {
        let text = r#"{"b" :1.0e400,"a":[ ] , "c":{},"s":"{\"x\":[1,2]}\\","l":[1,{"y":null}]}"#;
        let lines = object_lines(text, 100).unwrap().join("\n");
        insta::assert_snapshot!(lines, @r#"
        {
          "b": 1.0e400,
          "a": [],
          "c": {},
          "s": "{\"x\":[1,2]}\\",
          "l": [
            1,
            {
              "y": null
            }
          ]
        }
        "#);
        assert_eq!(object_lines(text, 3).unwrap().len(), 4);
    }

    #[test]
    fn other_texts_are_no_objects() {
        for text in ["", "{", "[1]", "{x}", "\"{}\"", "{} {}"] {
            assert_eq!(object_lines(text, 9), None, "{text}");
        }
        assert_eq!(object_lines("{}", 9).unwrap(), ["{}"]);
    }
}
