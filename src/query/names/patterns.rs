//! Rewrites patterns that the planner has no rule for: `SIMILAR TO`, of which it would make a plain
//! regular expression, `RLIKE` and `REGEXP`, and `LIKE` with `ESCAPE`.
//!
//! ```text
//! eventName SIMILAR TO 'Delete(DB|Tenant)%'        userAgent LIKE '100#%' ESCAPE '#'
//!   |                                                |
//! eventName ~ '^(?s:Delete(?:DB|Tenant)(?:.*))$'   userAgent LIKE '100\%'
//! ```

use std::iter::Peekable;
use std::str::Chars;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Value, ValueWithSpan};

use super::walk::refuse;
use crate::error::Result;

/// The escape character of patterns without `ESCAPE`.
const ESCAPE: char = '\\';

/// Rewrites the expression if it is a `SIMILAR TO`, a `RLIKE` or `REGEXP`, or a `LIKE` with `ESCAPE`.
///
/// # Errors
/// A query error if the pattern is not a literal, or not one of the SQL standard.
pub(super) fn rewrite(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::SimilarTo {
            negated,
            expr: text,
            pattern,
            escape_char,
        } => {
            let escape = escape_of(escape_char.as_ref())?;
            let Some(typed) = literal(pattern) else {
                return refuse_computed("SIMILAR TO");
            };
            let regex = Translator::new(typed, escape).translate()?;
            let regex = Expr::value(Value::SingleQuotedString(regex));
            let (text, negated) = (take(text), *negated);
            *expr = matches(text, regex, negated);
        }
        Expr::RLike {
            negated,
            expr: text,
            pattern,
            regexp: _,
        } => {
            let (text, regex, negated) = (take(text), take(pattern), *negated);
            *expr = matches(text, regex, negated);
        }
        Expr::Like {
            pattern,
            escape_char: typed @ Some(_),
            ..
        }
        | Expr::ILike {
            pattern,
            escape_char: typed @ Some(_),
            ..
        } => {
            let escape = escape_of(typed.take().as_ref())?;
            if escape == Some(ESCAPE) {
                return Ok(());
            }
            let Some(old) = literal(pattern) else {
                return refuse_computed("LIKE with ESCAPE");
            };
            let new = with_backslashes(old, escape)?;
            **pattern = Expr::value(Value::SingleQuotedString(new));
        }
        _ => {}
    }
    Ok(())
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::value(Value::Null))
}

/// Returns `text ~ regex`, or `text !~ regex`.
fn matches(text: Expr, regex: Expr, negated: bool) -> Expr {
    let op = match negated {
        false => BinaryOperator::PGRegexMatch,
        true => BinaryOperator::PGRegexNotMatch,
    };
    Expr::Nested(Box::new(Expr::BinaryOp {
        left: Box::new(Expr::Nested(Box::new(text))),
        op,
        right: Box::new(regex),
    }))
}

fn refuse_computed(operator: &str) -> Result<()> {
    refuse(format!("{operator} expects a pattern in single quotes"))
}

/// Returns a pattern of LIKE with its escape character replaced by a backslash.
fn with_backslashes(pattern: &str, escape: Option<char>) -> Result<String> {
    let mut replaced = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            let Some(c) = chars.next() else {
                return refuse(format!(
                    "the pattern '{pattern}' ends in its escape character"
                ));
            };
            if matches!(c, '%' | '_' | ESCAPE) {
                replaced.push(ESCAPE);
            }
            replaced.push(c);
        } else {
            if c == ESCAPE {
                replaced.push(ESCAPE);
            }
            replaced.push(c);
        }
    }
    Ok(replaced)
}

fn literal(pattern: &Expr) -> Option<&str> {
    match pattern {
        Expr::Nested(inner) => literal(inner),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// Returns the escape character: a backslash, as in LIKE, unless the query gives another or, with
/// `ESCAPE ''`, none.
fn escape_of(typed: Option<&ValueWithSpan>) -> Result<Option<char>> {
    let Some(typed) = typed else {
        return Ok(Some(ESCAPE));
    };
    if let Value::SingleQuotedString(text) = &typed.value {
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (None, _) => return Ok(None),
            (Some(escape), None) => return Ok(Some(escape)),
            _ => {}
        }
    }
    refuse(format!(
        "ESCAPE expects one character in single quotes, found {typed}"
    ))
}

/// Translates one pattern of the SQL standard into a regular expression.
struct Translator<'a> {
    pattern: &'a str,
    escape: Option<char>,
    rest: Peekable<Chars<'a>>,
    regex: String,
    /// Parentheses that are open.
    depth: usize,
    /// Whether a quantifier may follow.
    is_repeatable: bool,
}

impl<'a> Translator<'a> {
    fn new(pattern: &'a str, escape: Option<char>) -> Self {
        Self {
            pattern,
            escape,
            rest: pattern.chars().peekable(),
            regex: "^(?s:".to_owned(),
            depth: 0,
            is_repeatable: false,
        }
    }

    fn translate(mut self) -> Result<String> {
        while let Some(c) = self.rest.next() {
            self.element(c)?;
        }
        if self.depth > 0 {
            return self.refuse("a ( that is not closed");
        }
        self.regex.push_str(")$");
        Ok(self.regex)
    }

    /// Translates the element that begins with `c`.
    fn element(&mut self, c: char) -> Result<()> {
        if Some(c) == self.escape {
            return match self.rest.next() {
                Some(c) => {
                    self.char(c);
                    Ok(())
                }
                None => self.refuse("an escape character at the end"),
            };
        }
        match c {
            '%' => self.atom(".*"),
            '_' => self.atom("."),
            '(' => {
                self.depth += 1;
                self.regex.push_str("(?:");
                self.is_repeatable = false;
            }
            ')' => {
                if self.depth == 0 {
                    return self.refuse("a ) without a (");
                }
                self.depth -= 1;
                self.atom(")");
            }
            '|' => {
                self.regex.push('|');
                self.is_repeatable = false;
            }
            '*' | '+' | '?' => self.quantifier(&c.to_string())?,
            '{' => {
                let bounds = self.bounds()?;
                self.quantifier(&bounds)?;
            }
            '[' => self.class()?,
            c => self.char(c),
        }
        Ok(())
    }

    /// Adds a character that stands for itself.
    fn char(&mut self, c: char) {
        push_literal(&mut self.regex, c);
        self.is_repeatable = true;
    }

    fn atom(&mut self, regex: &str) {
        // `%` is repeated as a whole.
        match regex {
            ".*" => self.regex.push_str("(?:.*)"),
            regex => self.regex.push_str(regex),
        }
        self.is_repeatable = true;
    }

    fn quantifier(&mut self, quantifier: &str) -> Result<()> {
        if !self.is_repeatable {
            return self.refuse(&format!("{quantifier} after nothing that can be repeated"));
        }
        self.regex.push_str(quantifier);
        self.is_repeatable = false;
        Ok(())
    }

    /// Reads `{2}`, `{2,}` or `{2,5}`, of which the first brace is taken.
    fn bounds(&mut self) -> Result<String> {
        let mut bounds = "{".to_owned();
        for c in self.rest.by_ref() {
            bounds.push(c);
            if c == '}' {
                break;
            }
        }
        let inner = bounds.trim_start_matches('{').trim_end_matches('}');
        let (low, high) = inner.split_once(',').unwrap_or((inner, ""));
        let is_number = |text: &str| text.parse::<u16>().is_ok();
        let is_closed = bounds.ends_with('}');
        match is_closed && is_number(low) && (high.is_empty() || is_number(high)) {
            true => Ok(bounds),
            false => self.refuse("a { without {2}, {2,} or {2,5}"),
        }
    }

    /// Reads `[abc]`, `[^a-z]` or `[[:DIGIT:]]`, of which the first bracket is taken.
    fn class(&mut self) -> Result<()> {
        let mut class = "[".to_owned();
        if self.rest.next_if_eq(&'^').is_some() {
            class.push('^');
        }
        let mut members = 0;
        loop {
            match self.rest.next() {
                None => return self.refuse("a [ that is not closed"),
                Some(']') if members == 0 => return self.refuse("[] without characters"),
                Some(']') => break,
                Some('^') => return self.refuse("a ^ inside [ ]; write it first, or escape it"),
                Some('[') => self.named_class(&mut class)?,
                Some('-') if members > 0 && self.rest.peek() != Some(&']') => class.push('-'),
                Some(c) if Some(c) == self.escape => match self.rest.next() {
                    Some(c) => push_literal(&mut class, c),
                    None => return self.refuse("an escape character at the end"),
                },
                Some(c) => push_literal(&mut class, c),
            }
            members += 1;
        }
        class.push(']');
        self.atom(&class);
        Ok(())
    }

    /// Reads `[:DIGIT:]` inside a class, of which the first bracket is taken.
    fn named_class(&mut self, class: &mut String) -> Result<()> {
        let mut name = String::new();
        for c in self.rest.by_ref() {
            if c == ']' {
                break;
            }
            name.push(c.to_ascii_lowercase());
        }
        class.push_str(match name.as_str() {
            ":alpha:" => r"\p{Alphabetic}",
            ":upper:" => r"\p{Uppercase}",
            ":lower:" => r"\p{Lowercase}",
            ":digit:" => "0-9",
            ":alnum:" => r"\p{Alphabetic}0-9",
            ":space:" => " ",
            ":whitespace:" => r"\s",
            _ => return self.refuse("an unknown class; expected [[:ALPHA:]], UPPER, LOWER, DIGIT, ALNUM, SPACE or WHITESPACE"),
        });
        Ok(())
    }

    fn refuse<T>(&self, fault: &str) -> Result<T> {
        refuse(format!(
            "the pattern '{}' of SIMILAR TO has {fault}",
            self.pattern
        ))
    }
}

/// Adds a character, escaped if a regular expression gives it a meaning.
fn push_literal(regex: &mut String, c: char) {
    if r"\.+*?()|[]{}^$#&-~".contains(c) {
        regex.push('\\');
    }
    regex.push(c);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(pattern: &str) -> Result<String> {
        Translator::new(pattern, Some('\\')).translate()
    }

    #[test]
    fn patterns_match_the_whole_text() {
        for (pattern, regex) in [
            ("Delete%", r"^(?s:Delete(?:.*))$"),
            ("a.b_", r"^(?s:a\.b.)$"),
            ("(a|b)+c{2,3}", r"^(?s:(?:a|b)+c{2,3})$"),
            ("^a$", r"^(?s:\^a\$)$"),
            (r"100\%", r"^(?s:100%)$"),
            ("[a-z_][^0-9]", r"^(?s:[a-z_][^0-9])$"),
            ("[&-&][[:DIGIT:]~-]", r"^(?s:[\&-\&][0-9\~\-])$"),
            ("", "^(?s:)$"),
        ] {
            assert_eq!(translated(pattern).unwrap(), regex, "{pattern}");
        }
    }

    #[test]
    fn faults_of_patterns_are_told() {
        for (pattern, fault) in [
            ("(a", "a ( that is not closed"),
            ("a)", "a ) without a ("),
            ("*a", "* after nothing that can be repeated"),
            ("a**", "* after nothing that can be repeated"),
            ("a{x}", "a { without {2}, {2,} or {2,5}"),
            ("a{2", "a { without {2}, {2,} or {2,5}"),
            ("[a", "a [ that is not closed"),
            ("[]", "[] without characters"),
            ("a\\", "an escape character at the end"),
            ("[a^b]", "a ^ inside [ ]; write it first, or escape it"),
        ] {
            let expected = format!("the pattern '{pattern}' of SIMILAR TO has {fault}");
            assert_eq!(translated(pattern).unwrap_err().to_string(), expected);
        }
    }
}
