//! The position of the cursor in a statement: the path that is being typed, and the words that may
//! stand there.

use super::tokens::{Token, TokenKind};

/// The path before the cursor, from its first name to the cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fragment {
    /// Offset of its first byte.
    pub(super) start: usize,
    /// The names before the last dot.
    pub(super) parents: Vec<Parent>,
    /// The begun name; may be empty.
    pub(super) partial: String,
    /// The number of tokens before it.
    pub(super) before: usize,
}

/// A name before a dot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parent {
    /// The name, without quotes.
    pub(super) name: String,
    /// The subscript after it: `[1]`.
    pub(super) index: String,
}

/// Reads the path that ends at the cursor; `None` if something else does, of which there is nothing
/// to complete.
pub(super) fn fragment(tokens: &[Token<'_>], cursor: usize) -> Option<Fragment> {
    let mut fragment = Fragment {
        start: cursor,
        before: tokens.len(),
        ..Fragment::default()
    };
    let touches = |token: &&Token<'_>| token.end() == cursor;
    let Some(last) = tokens.last().filter(touches) else {
        return Some(fragment);
    };
    match last.kind {
        TokenKind::Word => {
            last.text.clone_into(&mut fragment.partial);
            fragment.start = last.start;
            fragment.before -= 1;
        }
        TokenKind::Symbol if last.is(")") || last.is("]") || last.is("*") => return None,
        TokenKind::Symbol => {}
        _ => return None,
    }
    while let Some(dot) = adjacent(tokens, &fragment).filter(|token| token.is(".")) {
        let (parent, first) = parent(&tokens[..fragment.before - 1], dot.start)?;
        fragment.parents.insert(0, parent);
        fragment.start = tokens[first].start;
        fragment.before = first;
    }
    Some(fragment)
}

/// Returns the token that ends where the fragment begins.
fn adjacent<'t, 'a>(tokens: &'t [Token<'a>], fragment: &Fragment) -> Option<&'t Token<'a>> {
    let token = tokens.get(fragment.before.checked_sub(1)?)?;
    (token.end() == fragment.start).then_some(token)
}

/// Returns the name at the end of `tokens`, which ends at `end`, and the position of its token.
fn parent(tokens: &[Token<'_>], end: usize) -> Option<(Parent, usize)> {
    let (name, index) = match tokens {
        [.., name, open, number, close] if close.is("]") && open.is("[") => {
            (name, format!("[{}]", number.text))
        }
        [.., name] => (name, String::new()),
        [] => return None,
    };
    let last = tokens.last()?;
    let at = tokens.len() - if index.is_empty() { 1 } else { 4 };
    let parent = Parent {
        name: name.name(),
        index,
    };
    (name.is_name() && last.end() == end).then_some((parent, at))
}

/// The column that a literal is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Compared {
    /// Its path as it was typed.
    pub(super) path: Vec<String>,
    /// Whether the literal is in the list of an IN.
    pub(super) in_list: bool,
    /// Whether the literal is a pattern of LIKE.
    pub(super) is_pattern: bool,
}

/// Returns the column with which the value after `tokens` is compared.
pub(super) fn compared(tokens: &[Token<'_>]) -> Option<Compared> {
    let (last, mut before) = tokens.split_last()?;
    if last.is_word("WHEN") {
        return compared_in_case(before);
    }
    let is_pattern = last.is_any(&["LIKE", "ILIKE"]);
    let in_list = last.is("(") || last.is(",");
    if in_list {
        let is_item = |token: &Token<'_>| {
            token.is(",") || matches!(token.kind, TokenKind::Text | TokenKind::Number)
        };
        let open = tokens.iter().rposition(|token| !is_item(token))?;
        if !tokens[open].is("(") || !tokens.get(open.checked_sub(1)?)?.is_word("IN") {
            return None;
        }
        before = &tokens[..open - 1];
    } else if !is_pattern && !["=", "==", "<>", "!="].iter().any(|it| last.is(it)) {
        return None;
    }
    if before.last()?.is_word("NOT") {
        before = &before[..before.len() - 1];
    }
    Some(Compared {
        path: path_at_end(before)?,
        in_list,
        is_pattern,
    })
}

/// Returns the column of `CASE column WHEN ... WHEN`, whose tokens are those before the last word.
fn compared_in_case(tokens: &[Token<'_>]) -> Option<Compared> {
    let mut nested = 0;
    let case = tokens.iter().rposition(|token| {
        nested += usize::from(token.is_word("END"));
        let is_case = token.is_word("CASE");
        let is_own = is_case && nested == 0;
        nested -= usize::from(is_case && !is_own);
        is_own
    })?;
    let of_case = &tokens[case + 1..];
    let end = of_case.iter().position(|token| token.is_word("WHEN"));
    let operand = &of_case[..end.unwrap_or(of_case.len())];
    let path = path_at_end(operand)?;
    let is_alone = operand.len() == 2 * path.len() - 1;
    is_alone.then_some(Compared {
        path,
        in_list: false,
        is_pattern: false,
    })
}

fn path_at_end(mut tokens: &[Token<'_>]) -> Option<Vec<String>> {
    let mut path = Vec::new();
    loop {
        let (name, before) = tokens.split_last()?;
        if !name.is_name() {
            return None;
        }
        path.insert(0, name.name());
        match before.split_last() {
            Some((dot, rest)) if dot.is(".") => tokens = rest,
            _ => return Some(path),
        }
    }
}

/// A clause of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clause {
    /// The SELECT list.
    Select,
    /// FROM and joins.
    From,
    /// The condition of a join.
    On,
    /// WHERE.
    Where,
    /// GROUP BY.
    Group,
    /// HAVING and QUALIFY.
    Having,
    /// ORDER BY.
    Order,
    /// LIMIT and OFFSET.
    Limit,
    /// Any other, or parentheses of a window.
    Other,
}

/// The kinds of words that may stand at the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// The first word of a statement.
    Start,
    /// A table, or a subquery if in parentheses.
    Table,
    /// A value, in a clause.
    Operand(Clause),
    /// The place after a value or a table: operators, and the clauses that may follow.
    Operator {
        /// The clause.
        clause: Clause,
        /// Whether it is in parentheses, which no other clause can follow.
        is_nested: bool,
        /// Whether a CASE is open.
        in_case: bool,
    },
    /// One of some keywords.
    Keywords(&'static [&'static str]),
}

/// Keywords after a word that takes only these.
const FOLLOWERS: &[(&str, &[&str])] = &[
    ("EXPLAIN", &["ANALYZE", "VERBOSE", "SELECT", "WITH"]),
    ("ANALYZE", &["VERBOSE", "SELECT", "WITH"]),
    ("VERBOSE", &["SELECT", "WITH"]),
    ("SHOW", &["TABLES", "FUNCTIONS", "COLUMNS FROM"]),
    ("COLUMNS", &["FROM"]),
    ("GROUP", &["BY"]),
    ("ORDER", &["BY"]),
    ("PARTITION", &["BY"]),
    (
        "IS",
        &[
            "NULL",
            "NOT NULL",
            "TRUE",
            "FALSE",
            "DISTINCT FROM",
            "NOT DISTINCT FROM",
        ],
    ),
    ("NULLS", &["FIRST", "LAST"]),
    ("LEFT", &["JOIN", "OUTER JOIN", "SEMI JOIN", "ANTI JOIN"]),
    ("RIGHT", &["JOIN", "OUTER JOIN", "SEMI JOIN", "ANTI JOIN"]),
    ("FULL", &["JOIN", "OUTER JOIN"]),
    ("INNER", &["JOIN"]),
    ("CROSS", &["JOIN"]),
    ("OUTER", &["JOIN"]),
    ("SEMI", &["JOIN"]),
    ("ANTI", &["JOIN"]),
    ("NATURAL", &["JOIN"]),
    ("UNION", &["ALL", "SELECT"]),
    ("INTERSECT", &["ALL", "SELECT"]),
    ("EXCEPT", &["ALL", "SELECT"]),
    ("WITH", &["RECURSIVE"]),
    ("OVER", &["("]),
    ("LIMIT", &[]),
    ("OFFSET", &[]),
    ("AS", &[]),
];

/// Keywords after which a value comes.
const BEFORE_OPERAND: &[&str] = &[
    "SELECT", "DISTINCT", "ALL", "WHERE", "AND", "OR", "NOT", "ON", "HAVING", "QUALIFY", "BY",
    "LIKE", "ILIKE", "IN", "BETWEEN", "CASE", "WHEN", "THEN", "ELSE", "EXISTS", "USING", "ESCAPE",
    "INTERVAL", "VALUES", "FROM",
];

/// Returns the position after `tokens`.
pub(super) fn position(tokens: &[Token<'_>]) -> Position {
    let Some((last, before)) = tokens.split_last() else {
        return Position::Start;
    };
    let (clause, is_nested) = clause(tokens);
    let previous = before.last();
    let in_from = clause == Clause::From && !is_from_of_function(tokens);
    if last.is("(") {
        return after_parenthesis(previous, in_from);
    }
    let opens_table = last.is_any(&["FROM", "JOIN", "LATERAL"]) || (last.is(",") && !is_nested);
    if (in_from && opens_table) || (before.is_empty() && last.is_any(&["DESCRIBE", "DESC"])) {
        return Position::Table;
    }
    let ends_before = previous.is_some_and(|it| ends_operand(it, before));
    if last.is_word("NOT") && ends_before {
        return Position::Keywords(&["IN", "LIKE", "ILIKE", "BETWEEN"]);
    }
    if let Some((_, keywords)) = FOLLOWERS.iter().find(|(word, _)| last.is_word(word)) {
        return Position::Keywords(keywords);
    }
    match ends_operand(last, tokens) {
        true => Position::Operator {
            clause,
            is_nested,
            in_case: is_case_open(tokens),
        },
        false => Position::Operand(clause),
    }
}

fn after_parenthesis(previous: Option<&Token<'_>>, in_from: bool) -> Position {
    match previous {
        None => Position::Start,
        Some(word) if word.is_word("AS") => Position::Start,
        Some(word) if word.is_word("OVER") => {
            Position::Keywords(&["PARTITION BY", "ORDER BY", "ROWS BETWEEN"])
        }
        Some(word) if in_from && (word.is_any(&["FROM", "JOIN", "LATERAL"]) || word.is(",")) => {
            Position::Table
        }
        Some(_) => Position::Operand(Clause::Other),
    }
}

/// Returns whether a value ends with `token`, the last of `tokens`.
fn ends_operand(token: &Token<'_>, tokens: &[Token<'_>]) -> bool {
    match token.kind {
        TokenKind::Name | TokenKind::Text | TokenKind::Number => true,
        TokenKind::Word => !token.is_any(BEFORE_OPERAND),
        TokenKind::Symbol if token.is("*") => {
            let previous = tokens.len().checked_sub(2).map(|at| tokens[at]);
            previous.is_none_or(|it| {
                it.is_any(&["SELECT", "DISTINCT"]) || it.is("(") || it.is(".") || it.is(",")
            })
        }
        TokenKind::Symbol => token.is(")") || token.is("]"),
        TokenKind::Comment => false,
    }
}

/// Returns the clause after `tokens`, and whether it is in parentheses opened within that clause.
fn clause(tokens: &[Token<'_>]) -> (Clause, bool) {
    let mut depth = 0_usize;
    let mut is_nested = false;
    for (at, token) in tokens.iter().enumerate().rev() {
        if token.is(")") {
            depth += 1;
        } else if token.is("(") {
            is_nested |= depth == 0;
            depth = depth.saturating_sub(1);
        } else if depth == 0
            && let Some(clause) = clause_of(token)
            && !is_distinct_from(tokens, at)
        {
            return (clause, is_nested);
        }
    }
    (Clause::Other, is_nested)
}

fn clause_of(token: &Token<'_>) -> Option<Clause> {
    let clauses = [
        (Clause::Select, &["SELECT"][..]),
        (Clause::From, &["FROM", "JOIN"]),
        (Clause::On, &["ON", "USING"]),
        (Clause::Where, &["WHERE"]),
        (Clause::Group, &["GROUP"]),
        (Clause::Having, &["HAVING", "QUALIFY"]),
        (Clause::Order, &["ORDER"]),
        (Clause::Limit, &["LIMIT", "OFFSET"]),
        (
            Clause::Other,
            &["WITH", "UNION", "INTERSECT", "EXCEPT", "PARTITION"],
        ),
    ];
    let mut clauses = clauses.into_iter();
    clauses
        .find(|(_, words)| token.is_any(words))
        .map(|it| it.0)
}

/// Returns whether the FROM at `at` is that of IS DISTINCT FROM.
fn is_distinct_from(tokens: &[Token<'_>], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map(|at| &tokens[at]);
    tokens[at].is_word("FROM")
        && before(1).is_some_and(|it| it.is_word("DISTINCT"))
        && before(2).is_some_and(|it| it.is_any(&["IS", "NOT"]))
}

/// Returns whether the last FROM stands in the parentheses of a function: `extract(year FROM`.
fn is_from_of_function(tokens: &[Token<'_>]) -> bool {
    let Some(from) = tokens.iter().rposition(|it| it.is_any(&["FROM", "JOIN"])) else {
        return false;
    };
    if is_distinct_from(tokens, from) {
        return true;
    }
    if tokens[..from].last().is_some_and(|it| it.is("(")) {
        return false;
    }
    let words = tokens[..from].iter().rev();
    let open = words.take_while(|it| !it.is_any(&["SELECT", "FROM", "WITH"]));
    let mut depth = 0_i32;
    for token in open {
        depth += i32::from(token.is(")")) - i32::from(token.is("("));
        if depth < 0 {
            return true;
        }
    }
    false
}

fn is_case_open(tokens: &[Token<'_>]) -> bool {
    let count = |word| tokens.iter().filter(|token| token.is_word(word)).count();
    count("CASE") > count("END")
}
