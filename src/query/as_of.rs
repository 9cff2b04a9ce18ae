//! `events AS OF VERSION 3`, `events AS OF TIMESTAMP '2026-11-29'`: tables as they were.
//!
//! The engine's parser knows no such clause. It is taken out of the statement, and the table's name
//! becomes one that stands for the version: `"events as of version 3"`.

use std::sync::Arc;

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::{Keyword, RESERVED_FOR_TABLE_ALIAS};
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Word};

use super::table::{EventsTable, Input};
use super::{Session, translate_error};
use crate::error::{Error, Result};
use crate::events::time;
use crate::lake::log::AsOf;

/// A table at a version.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TableAt {
    /// The name of the table, in lower case.
    table: String,
    /// The version.
    at: AsOf,
    /// The name that stands for both.
    name: String,
}

impl Session {
    /// Takes the clauses out of a statement, and adds the tables that they name.
    ///
    /// # Errors
    /// Query, for a clause that is not understood, and for tables that have no versions.
    pub(super) fn with_versions(&self, sql: &str) -> Result<String> {
        let Some((sql, tables)) = extract(sql)? else {
            return Ok(sql.to_owned());
        };
        for table in tables {
            self.add_version(&table)?;
        }
        Ok(sql)
    }

    fn add_version(&self, table: &TableAt) -> Result<()> {
        let base = match &*table.table {
            "aurora_events" | "events_current" => "events",
            name => name,
        };
        let input = super::read(&self.inputs).get(base).cloned();
        let input = input.filter(|input| input.locations.is_empty() && !input.lakes.is_empty());
        let lakes = input.as_ref().and_then(|input| {
            let lakes = input.lakes.iter().map(|lake| lake.at(table.at));
            lakes.collect::<Option<Vec<_>>>()
        });
        let (Some(input), Some(lakes)) = (input, lakes) else {
            return Err(Error::query(format!(
                "the table {} has no versions; AS OF is for tables that lakes alone are read for",
                table.table
            )));
        };
        let events = Arc::new(EventsTable::new(Input { lakes, ..input }));
        let view = match &*table.table {
            "aurora_events" => super::aurora_view(events),
            "events_current" => super::corrections::current_view(events),
            _ => return self.register_hidden(&table.name, events),
        };
        self.register_hidden(&table.name, Arc::new(view.map_err(translate_error)?))
    }
}

/// Takes the clauses out of a statement; `None` if it has none.
fn extract(sql: &str) -> Result<Option<(String, Vec<TableAt>)>> {
    // Few statements have one, and tokens would have to be written out again.
    if !sql.to_ascii_lowercase().contains("of") {
        return Ok(None);
    }
    let Ok(mut tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize() else {
        return Ok(None);
    };
    let mut tables = Vec::new();
    let mut from = 0;
    while let Some(clause) = find(&tokens, from)? {
        let word = |name: &str, quote| {
            Token::Word(Word {
                value: name.to_owned(),
                quote_style: quote,
                keyword: Keyword::NoKeyword,
            })
        };
        let mut instead = vec![word(&clause.table.name, Some('"'))];
        if !has_alias(&tokens[clause.end..]) {
            instead.extend([word(" AS ", None), word(&clause.table.table, None)]);
        }
        from = clause.start + instead.len();
        tokens.splice(clause.start..clause.end, instead);
        tables.push(clause.table);
    }
    let text = tokens.iter().map(ToString::to_string).collect();
    Ok((!tables.is_empty()).then_some((text, tables)))
}

/// A table with its clause among the tokens of a statement.
struct Clause {
    start: usize,
    end: usize,
    table: TableAt,
}

/// Finds the first clause at or after `from`.
fn find(tokens: &[Token], from: usize) -> Result<Option<Clause>> {
    for of in from..tokens.len() {
        if !is_word(&tokens[of], "of") {
            continue;
        }
        let Some(at) = back(tokens, of).filter(|&at| is_word(&tokens[at], "as")) else {
            continue;
        };
        let (unit, first, value) =
            match back(tokens, at).and_then(|at| Some((at, unit(&tokens[at])?))) {
                Some((before, unit)) => (unit, before, next(tokens, of)),
                None => match next(tokens, of).and_then(|at| Some((at, unit(&tokens[at])?))) {
                    Some((after, unit)) => (unit, at, next(tokens, after)),
                    None => continue,
                },
            };
        let expected = || {
            Error::query(
                "cannot read AS OF; expected events AS OF VERSION 3, or events AS OF TIMESTAMP \
                 '2026-11-29 12:00:00'",
            )
        };
        // VERSION AS OF and TIMESTAMP AS OF have FOR before them elsewhere.
        let first = match back(tokens, first) {
            Some(before) if is_word(&tokens[before], "for") => before,
            _ => first,
        };
        let table = back(tokens, first).ok_or_else(expected)?;
        let mut value = value.ok_or_else(expected)?;
        // `TIMESTAMP AS OF TIMESTAMP '...'`
        if is_word(&tokens[value], "timestamp") {
            value = next(tokens, value).ok_or_else(expected)?;
        }
        let at = version(unit, &tokens[value]).ok_or_else(expected)?;
        let Token::Word(word) = &tokens[table] else {
            return Err(expected());
        };
        let name = word.value.to_lowercase();
        let stands_for = match at {
            AsOf::Micros(micros) => format!("{name} as of {}", time::canonical(micros)),
            AsOf::Version(number) => format!("{name} as of version {number}"),
            AsOf::Latest => name.clone(),
        };
        return Ok(Some(Clause {
            start: table,
            end: value + 1,
            table: TableAt {
                table: name,
                at,
                name: stands_for,
            },
        }));
    }
    Ok(None)
}

/// The kinds of clauses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Version,
    Timestamp,
}

fn unit(token: &Token) -> Option<Unit> {
    match token {
        _ if is_word(token, "version") => Some(Unit::Version),
        _ if is_word(token, "timestamp") || is_word(token, "system_time") => Some(Unit::Timestamp),
        _ => None,
    }
}

fn version(unit: Unit, token: &Token) -> Option<AsOf> {
    match (unit, token) {
        (Unit::Version, Token::Number(digits, _)) => digits.parse().ok().map(AsOf::Version),
        (Unit::Timestamp, Token::SingleQuotedString(text)) => {
            let midnight = || time::parse(&format!("{text}T00:00:00Z"));
            time::parse(text).or_else(midnight).map(AsOf::Micros)
        }
        _ => None,
    }
}

/// Returns whether the tokens after a table begin with an alias.
fn has_alias(tokens: &[Token]) -> bool {
    let first = tokens
        .iter()
        .find(|token| !matches!(token, Token::Whitespace(_)));
    match first {
        Some(Token::Word(word)) => {
            word.keyword == Keyword::AS || !RESERVED_FOR_TABLE_ALIAS.contains(&word.keyword)
        }
        _ => false,
    }
}

fn is_word(token: &Token, name: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(name))
}

/// Returns the position of the last token before `at` that is no white space.
fn back(tokens: &[Token], at: usize) -> Option<usize> {
    tokens[..at]
        .iter()
        .rposition(|token| !matches!(token, Token::Whitespace(_)))
}

/// Returns the position of the first token after `at` that is no white space.
fn next(tokens: &[Token], at: usize) -> Option<usize> {
    let after = tokens.get(at + 1..)?;
    let offset = after
        .iter()
        .position(|token| !matches!(token, Token::Whitespace(_)))?;
    Some(at + 1 + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extracted(sql: &str) -> (String, Vec<AsOf>) {
        match extract(sql).unwrap() {
            Some((sql, tables)) => (sql, tables.into_iter().map(|table| table.at).collect()),
            None => (sql.to_owned(), vec![]),
        }
    }

    #[test]
    fn clauses_are_taken_out() {
        let micros = time::parse("2026-11-29T00:00:00Z").unwrap();
        for (sql, expected, at) in [
            (
                "SELECT 1 FROM Events AS OF VERSION 3 WHERE events.eventName = 'as of version 4'",
                "SELECT 1 FROM \"events as of version 3\" AS events WHERE events.eventName = 'as of version 4'",
                vec![AsOf::Version(3)],
            ),
            (
                "SELECT 1 FROM events FOR VERSION AS OF 3 e JOIN events as of timestamp '2026-11-29' AS f",
                "SELECT 1 FROM \"events as of version 3\" e JOIN \"events as of 2026-11-29T00:00:00Z\" AS f",
                vec![AsOf::Version(3), AsOf::Micros(micros)],
            ),
            (
                "SELECT 1 FROM events FOR SYSTEM_TIME AS OF TIMESTAMP '2026-11-29'",
                "SELECT 1 FROM \"events as of 2026-11-29T00:00:00Z\" AS events",
                vec![AsOf::Micros(micros)],
            ),
            (
                "SELECT 1 AS of FROM events",
                "SELECT 1 AS of FROM events",
                vec![],
            ),
        ] {
            assert_eq!(extracted(sql), (expected.to_owned(), at), "{sql}");
        }
        for sql in [
            "SELECT 1 FROM events AS OF VERSION x",
            "SELECT 1 FROM events AS OF TIMESTAMP 'x'",
        ] {
            let error = extract(sql).unwrap_err().to_string();
            assert!(error.contains("expected events AS OF VERSION 3"), "{error}");
        }
    }
}
