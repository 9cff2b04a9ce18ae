//! Completion: the words that may stand at the cursor.
//!
//! ```text
//! text, cursor ── tokens ──> context: the path that is typed, the position in the statement
//!                   └──────> scope: relations, aliases, common table expressions
//! position ──> paths, values of the profile, functions, keywords, tables, commands ──> candidates
//! ```

mod commands;
mod context;
mod paths;
mod scope;
#[cfg(test)]
mod tests;
mod tokens;
mod values;
mod words;

use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use reedline::{Completer, CompletionResult, Span, Suggestion};

use crate::cli::report;
use crate::query::profile::Profile;
use crate::query::{FunctionEntry, TableEntry};
use context::{Fragment, Position};
use paths::Columns;
use scope::{Relation, RelationColumns, Statement};
use tokens::{Token, TokenKind};

/// A way to complete a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The bytes of the text that it replaces.
    pub(super) range: Range<usize>,
    /// The text in their place.
    pub(super) text: String,
    /// Its kind: the type of a column, `keyword`, `table`, `function`, `value`.
    pub(super) kind: String,
    /// Its meaning.
    pub(super) about: String,
    /// Whether a space belongs after it.
    pub(super) append_space: bool,
}

/// A command of the prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommandWord {
    /// Its name with the backslash: `\d`.
    pub(super) name: String,
    /// Its arguments, as help shows them: `[TABLE [PATTERN]]`, `on|off`. Words in lower case are
    /// completed.
    pub(super) arguments: String,
    /// Its meaning.
    pub(super) about: String,
}

/// The words that completion knows.
#[derive(Debug)]
pub(super) struct Vocabulary {
    tables: Vec<(TableEntry, Arc<Columns>)>,
    functions: Vec<FunctionEntry>,
    commands: Vec<CommandWord>,
    profile: Arc<RwLock<Profile>>,
}

/// The surroundings of the cursor.
struct Request<'a> {
    text: &'a str,
    cursor: usize,
    /// Tokens of the statement before the cursor.
    before: Vec<Token<'a>>,
    /// The statement.
    statement: Statement<'a>,
    /// Whether keywords are typed in lower case.
    is_lower: bool,
}

/// The most candidates that are returned.
const MOST_CANDIDATES: usize = 1_000;

impl Vocabulary {
    /// Creates a vocabulary of tables, functions and commands, and of what a profile has by the time.
    pub(super) fn new(
        tables: Vec<TableEntry>,
        functions: Vec<FunctionEntry>,
        commands: Vec<CommandWord>,
        profile: Arc<RwLock<Profile>>,
    ) -> Self {
        let with_columns = |table: TableEntry| {
            let columns = Arc::new(Columns::new(&table.schema));
            (table, columns)
        };
        Self {
            tables: tables.into_iter().map(with_columns).collect(),
            functions,
            commands,
            profile,
        }
    }

    /// Takes other tables and another profile. Columns of schemas that it knows are kept: a table of
    /// events has some 900.
    pub(super) fn renew(&mut self, tables: Vec<TableEntry>, profile: Arc<RwLock<Profile>>) {
        let before = std::mem::take(&mut self.tables);
        let with_columns = |table: TableEntry| {
            let known = before
                .iter()
                .find(|(known, _)| Arc::ptr_eq(&known.schema, &table.schema));
            let columns = match known {
                Some((_, columns)) => Arc::clone(columns),
                None => Arc::new(Columns::new(&table.schema)),
            };
            (table, columns)
        };
        self.tables = tables.into_iter().map(with_columns).collect();
        self.profile = profile;
    }

    /// Returns the candidates for the word at the cursor, the best first.
    pub(super) fn complete(&self, text: &str, cursor: usize) -> Vec<Candidate> {
        let cursor = text.floor_char_boundary(cursor);
        let range = tokens::statement(text, cursor);
        let mut before = tokens::tokens(&text[range.start..cursor], range.start);
        if before.last().is_some_and(is_left_alone) {
            return Vec::new();
        }
        before.retain(|token| token.kind != TokenKind::Comment);
        if let Some(slash) = before.iter().rposition(|token| token.is("\\")) {
            let start = before[slash].start;
            match text[start..cursor].find('\n') {
                None => return self.complete_command(text, start, cursor),
                Some(end) => before.retain(|token| token.start > start + end),
            }
        }
        let mut after = tokens::tokens(&text[cursor..range.end.max(cursor)], cursor);
        after.retain(|token| token.kind != TokenKind::Comment);
        let mut found = self.complete_sql(&Request {
            text,
            cursor,
            is_lower: is_lower(&before),
            statement: Statement::new([&*before, &*after].concat(), before.len()),
            before,
        });
        found.truncate(MOST_CANDIDATES);
        found
    }

    fn complete_sql(&self, request: &Request<'_>) -> Vec<Candidate> {
        let tokens = &request.before;
        if let Some((text, before)) = tokens.split_last()
            && text.is_open
        {
            return self.complete_text(request, text.start, before);
        }
        let Some(fragment) = context::fragment(tokens, request.cursor) else {
            return Vec::new();
        };
        let before = &tokens[..fragment.before];
        let mut found = match fragment.parents.is_empty() {
            true => self.complete_value(request, &fragment, before),
            false => Vec::new(),
        };
        if found.is_empty() || !fragment.partial.is_empty() {
            found.extend(self.complete_at(request, &fragment, before));
        }
        found
    }

    fn complete_at(
        &self,
        request: &Request<'_>,
        fragment: &Fragment,
        before: &[Token<'_>],
    ) -> Vec<Candidate> {
        let position = context::position(before);
        if !fragment.parents.is_empty() {
            return match position {
                Position::Operand(_) | Position::Operator { .. } => {
                    self.complete_path(request, fragment)
                }
                _ => Vec::new(),
            };
        }
        match position {
            Position::Start => self.complete_start(request, fragment),
            Position::Table => self.complete_table(request, fragment, before),
            Position::Operand(clause) => self.complete_operand(request, fragment, clause),
            Position::Operator { .. } | Position::Keywords(_) => {
                words::after(request, fragment, position)
            }
        }
    }

    fn complete_start(&self, request: &Request<'_>, fragment: &Fragment) -> Vec<Candidate> {
        let mut found = words::keywords(request, fragment, words::STATEMENTS);
        if fragment.partial.is_empty() && request.before.is_empty() {
            let range = fragment.start..request.cursor;
            found.extend(self.commands_like("\\", range));
        }
        found
    }

    fn complete_table(
        &self,
        request: &Request<'_>,
        fragment: &Fragment,
        before: &[Token<'_>],
    ) -> Vec<Candidate> {
        let ctes = request.statement.cte_names().into_iter();
        let ctes = ctes.map(|name| (name, "common table expression".to_owned()));
        let tables = self.tables.iter();
        let tables = tables.map(|(table, _)| (table.name.clone(), table.about.clone()));
        let matching = ctes.chain(tables);
        let matching = matching.filter(|(name, _)| paths::starts_with(name, &fragment.partial));
        let mut found: Vec<Candidate> = matching
            .map(|(name, about)| request.candidate(fragment, name, "table", about))
            .collect();
        if before.last().is_some_and(|token| token.is("(")) {
            found.extend(words::keywords(
                request,
                fragment,
                &["SELECT", "WITH", "VALUES"],
            ));
        }
        found
    }

    /// Returns the relation with a name, from the innermost scope that has it.
    fn relation(request: &Request<'_>, name: &str) -> Option<Relation> {
        let mut relations = request.statement.scopes().into_iter().flatten();
        relations.find(|relation| relation.name.eq_ignore_ascii_case(name))
    }

    fn complete_path(&self, request: &Request<'_>, fragment: &Fragment) -> Vec<Candidate> {
        let (first, rest) = fragment.parents.split_first().expect("a path has a parent");
        let mut found = Vec::new();
        if let Some(relation) = Self::relation(request, &first.name) {
            let qualifier = &request.text[fragment.start..];
            let qualifier = &qualifier[..qualifier.find('.').map_or(0, |dot| dot + 1)];
            for matched in self.matches_in(&relation.columns, rest, &fragment.partial) {
                found.push(request.path(fragment, qualifier, matched));
            }
        }
        if found.is_empty() {
            for relation in self.visible(request) {
                for matched in self.matches_in(&relation, &fragment.parents, &fragment.partial) {
                    found.push(request.path(fragment, "", matched));
                }
            }
        }
        found
    }

    /// Returns the relations whose columns need no qualifier; before FROM is written, the first table.
    fn visible(&self, request: &Request<'_>) -> Vec<RelationColumns> {
        let scope = request.statement.scopes().into_iter().next();
        let mut visible: Vec<RelationColumns> = Vec::new();
        for relation in scope.into_iter().flatten() {
            if !visible.contains(&relation.columns) {
                visible.push(relation.columns);
            }
        }
        if visible.is_empty()
            && let Some((table, _)) = self.tables.first()
        {
            visible.push(RelationColumns::Table(table.name.clone()));
        }
        visible
    }

    fn matches_in(
        &self,
        relation: &RelationColumns,
        parents: &[context::Parent],
        partial: &str,
    ) -> Vec<paths::PathMatch> {
        match relation {
            RelationColumns::Table(name) => {
                let named = |(table, _): &&(TableEntry, Arc<Columns>)| {
                    table.name.eq_ignore_ascii_case(name)
                };
                let table = self.tables.iter().find(named);
                table.map_or_else(Vec::new, |(_, columns)| {
                    columns.matches(parents, partial, &self.profile())
                })
            }
            RelationColumns::Selected(names, of_star) => {
                let mut found = paths::selected(names, parents, partial);
                for relation in of_star {
                    found.extend(self.matches_in(&relation.columns, parents, partial));
                }
                found
            }
        }
    }

    fn profile(&self) -> RwLockReadGuard<'_, Profile> {
        self.profile.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Request<'_> {
    /// Returns the bytes that a candidate replaces: the path, and the rest of a word in its midst.
    fn range(&self, fragment: &Fragment) -> Range<usize> {
        let rest = match fragment.partial.is_empty() {
            true => 0,
            false => paths::word_length(&self.text[self.cursor..]),
        };
        fragment.start..self.cursor + rest
    }

    fn candidate(&self, at: &Fragment, text: String, kind: &str, about: String) -> Candidate {
        Candidate {
            range: self.range(at),
            text,
            kind: kind.to_owned(),
            about,
            append_space: true,
        }
    }

    fn path(&self, at: &Fragment, qualifier: &str, matched: paths::PathMatch) -> Candidate {
        Candidate {
            range: self.range(at),
            text: format!("{qualifier}{}", matched.path),
            kind: matched.kind,
            about: matched.about,
            append_space: !matched.has_parts,
        }
    }
}

/// Returns whether the cursor is in a comment or a quoted name.
fn is_left_alone(last: &Token<'_>) -> bool {
    last.is_open && matches!(last.kind, TokenKind::Comment | TokenKind::Name)
}

/// Returns whether the first keyword is in lower case.
fn is_lower(tokens: &[Token<'_>]) -> bool {
    let first = tokens.iter().find(|token| token.is_any(words::STATEMENTS));
    first.is_some_and(|token| token.text.starts_with(|c: char| c.is_lowercase()))
}

/// Returns a count of events in words.
fn events(count: u64) -> String {
    let noun = if count == 1 { "event" } else { "events" };
    format!("{} {noun}", report::count(count))
}

/// A completer of the line editor, with the words of a vocabulary.
#[derive(Clone, Debug)]
pub(super) struct SqlCompleter {
    /// The words, as they are by now.
    pub(super) vocabulary: Arc<RwLock<Vocabulary>>,
}

impl Completer for SqlCompleter {
    fn complete(&mut self, line: &str, pos: usize) -> CompletionResult {
        let vocabulary = self
            .vocabulary
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let found = vocabulary.complete(line, pos);
        let suggestions: Vec<Suggestion> = found.into_iter().map(suggestion).collect();
        CompletionResult::fresh(suggestions)
    }
}

fn suggestion(candidate: Candidate) -> Suggestion {
    let description = match &*candidate.about {
        "" => candidate.kind,
        about => format!("{}  {about}", candidate.kind),
    };
    Suggestion {
        value: candidate.text,
        description: Some(description),
        span: Span::new(candidate.range.start, candidate.range.end),
        append_whitespace: candidate.append_space,
        ..Suggestion::default()
    }
}
