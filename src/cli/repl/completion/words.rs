//! Keywords, functions, and values in expressions.

use super::context::{Clause, Fragment, Position};
use super::paths::{Closeness, contains, starts_with};
use super::{Candidate, Request, Vocabulary};
use crate::query::functions::FunctionEntry;

/// Keywords that begin a statement.
pub(super) const STATEMENTS: &[&str] = &[
    "SELECT",
    "WITH",
    "EXPLAIN",
    "DESCRIBE",
    "SHOW TABLES",
    "SHOW FUNCTIONS",
    "VALUES",
    "FROM",
];

/// Keywords that a value may begin with.
const OPERANDS: &[&str] = &[
    "NOT",
    "CASE",
    "NULL",
    "TRUE",
    "FALSE",
    "CAST",
    "EXISTS",
    "INTERVAL",
    "TIMESTAMP",
    "DATE",
    "CURRENT_TIMESTAMP",
];

/// Operators that are words.
const OPERATORS: &[&str] = &[
    "AND",
    "OR",
    "IN",
    "LIKE",
    "ILIKE",
    "BETWEEN",
    "IS NULL",
    "IS NOT NULL",
    "NOT IN",
    "NOT LIKE",
    "OVER",
    "FILTER",
];

/// Letters from which on functions are found by a part of their name.
const PART_LETTERS: usize = 3;

/// Returns the keywords that begin with what was typed, in its case.
pub(super) fn keywords(
    request: &Request<'_>,
    fragment: &Fragment,
    words: &[&str],
) -> Vec<Candidate> {
    let typed = &fragment.partial;
    let is_lower = match typed.is_empty() {
        true => request.is_lower,
        false => typed.contains(char::is_lowercase),
    };
    let matching = words.iter().filter(|word| starts_with(word, typed));
    let cased = matching.map(|word| match is_lower {
        true => word.to_lowercase(),
        false => (*word).to_owned(),
    });
    cased
        .map(|word| request.candidate(fragment, word, "keyword", String::new()))
        .collect()
}

/// Returns the keywords after a value or after other keywords.
pub(super) fn after(
    request: &Request<'_>,
    fragment: &Fragment,
    position: Position,
) -> Vec<Candidate> {
    let Position::Operator {
        clause,
        is_nested,
        in_case,
    } = position
    else {
        return match position {
            Position::Keywords(words) => keywords(request, fragment, words),
            _ => Vec::new(),
        };
    };
    let mut words: Vec<&str> = Vec::new();
    if in_case {
        words.extend(["WHEN", "THEN", "ELSE", "END"]);
    }
    if !is_nested {
        words.extend(next_clauses(clause));
    }
    if !matches!(clause, Clause::From | Clause::Limit) || is_nested {
        words.extend(OPERATORS);
    }
    keywords(request, fragment, &words)
}

/// Returns the keywords that go on with a clause or begin the next.
fn next_clauses(clause: Clause) -> &'static [&'static str] {
    match clause {
        Clause::Select => &["FROM", "AS"],
        Clause::From => &[
            "WHERE",
            "JOIN",
            "LEFT JOIN",
            "RIGHT JOIN",
            "FULL JOIN",
            "INNER JOIN",
            "CROSS JOIN",
            "ON",
            "USING",
            "GROUP BY",
            "HAVING",
            "ORDER BY",
            "LIMIT",
            "AS",
            "SELECT",
            "UNION ALL",
        ],
        Clause::On => &[
            "WHERE",
            "JOIN",
            "LEFT JOIN",
            "RIGHT JOIN",
            "FULL JOIN",
            "INNER JOIN",
            "CROSS JOIN",
            "GROUP BY",
            "ORDER BY",
            "LIMIT",
        ],
        Clause::Where => &["GROUP BY", "ORDER BY", "LIMIT", "HAVING", "UNION ALL"],
        Clause::Group => &["HAVING", "ORDER BY", "LIMIT", "UNION ALL"],
        Clause::Having => &["ORDER BY", "LIMIT", "UNION ALL"],
        Clause::Order => &["DESC", "ASC", "NULLS LAST", "NULLS FIRST", "LIMIT"],
        Clause::Limit => &["OFFSET", "LIMIT"],
        Clause::Other => &[
            "AS",
            "SELECT",
            "ASC",
            "DESC",
            "ORDER BY",
            "FROM",
            "UNION ALL",
        ],
    }
}

impl Vocabulary {
    /// Returns what a value may begin with: aliases, columns, keywords, functions.
    pub(super) fn complete_operand(
        &self,
        request: &Request<'_>,
        fragment: &Fragment,
        clause: Clause,
    ) -> Vec<Candidate> {
        let mut found = self.names(request, fragment, clause);
        let (close, far): (Vec<_>, Vec<_>) = self
            .visible(request)
            .iter()
            .flat_map(|relation| self.matches_in(relation, &[], &fragment.partial))
            .partition(|matched| matched.closeness == Closeness::Prefix);
        let (functions, others) = self.functions_like(request, fragment);
        let paths = |matches: Vec<_>| {
            matches
                .into_iter()
                .map(|matched| request.path(fragment, "", matched))
                .collect::<Vec<_>>()
        };
        found.extend(paths(close));
        if fragment.before > 0 && request.before[fragment.before - 1].is_word("SELECT") {
            found.extend(keywords(request, fragment, &["DISTINCT"]));
        }
        found.extend(keywords(request, fragment, OPERANDS));
        if fragment.before > 0 && request.before[fragment.before - 1].is("(") {
            found.extend(keywords(request, fragment, &["SELECT", "DISTINCT"]));
        }
        found.extend(functions);
        found.extend(paths(far));
        found.extend(others);
        found
    }

    /// Returns the aliases: of the SELECT list, after it, and of relations.
    fn names(&self, request: &Request<'_>, fragment: &Fragment, clause: Clause) -> Vec<Candidate> {
        let mut found = Vec::new();
        let matches = |name: &str| starts_with(name, &fragment.partial);
        if matches!(clause, Clause::Group | Clause::Having | Clause::Order) {
            let aliases = request.statement.select_aliases().into_iter();
            for alias in aliases.filter(|name| matches(name)) {
                let about = "alias in SELECT".to_owned();
                found.push(request.candidate(fragment, alias, "alias", about));
            }
        }
        let is_table = |name: &str| self.tables.iter().any(|(table, _)| table.name == name);
        for relation in request.statement.scopes().into_iter().flatten() {
            if matches(&relation.name) && !is_table(&relation.name) {
                let mut name =
                    request.candidate(fragment, relation.name + ".", "table", String::new());
                name.append_space = false;
                found.push(name);
            }
        }
        found
    }

    /// Returns the functions whose names begin with what was typed, and those that contain it.
    fn functions_like(
        &self,
        request: &Request<'_>,
        fragment: &Fragment,
    ) -> (Vec<Candidate>, Vec<Candidate>) {
        let typed = &fragment.partial;
        let candidate = |function: &FunctionEntry| self.function(request, fragment, function);
        let first = self
            .functions
            .iter()
            .filter(|it| starts_with(&it.name, typed));
        let others = self.functions.iter().filter(|it| {
            typed.len() >= PART_LETTERS
                && contains(&it.name, typed)
                && !starts_with(&it.name, typed)
        });
        (
            first.map(candidate).collect(),
            others.map(candidate).collect(),
        )
    }

    fn function(
        &self,
        request: &Request<'_>,
        fragment: &Fragment,
        function: &FunctionEntry,
    ) -> Candidate {
        let range = request.range(fragment);
        // Of a call that is there already only the name is completed.
        let parenthesis = match request.text[range.end..].starts_with('(') {
            true => "",
            false => "(",
        };
        Candidate {
            text: format!("{}{parenthesis}", function.name),
            range,
            kind: "function".to_owned(),
            about: match &*function.about {
                "" => function.usage.clone(),
                about => format!("{}  {about}", function.usage),
            },
            append_space: false,
        }
    }
}
