//! The relations and names of a statement: tables, aliases, subqueries, common table expressions.

use super::tokens::{Token, TokenKind};

/// A relation of a FROM clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relation {
    /// The name that qualifies its columns: its alias, or else the table's name.
    pub(super) name: String,
    /// Its columns.
    pub(super) columns: RelationColumns,
}

/// The columns of a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RelationColumns {
    /// The columns of the table with this name.
    Table(String),
    /// The columns of a subquery: names, and the relations that a `*` stands for.
    Selected(Vec<String>, Vec<Relation>),
}

/// The tokens of a statement, and how they are nested in parentheses.
pub(super) struct Statement<'a> {
    tokens: Vec<Token<'a>>,
    /// The frame of each token; parentheses belong to the frame outside.
    frames: Vec<usize>,
    /// The frame around each, except of the first.
    parents: Vec<usize>,
    /// The frame at the cursor.
    cursor_frame: usize,
}

/// Words that cannot be an alias without AS.
const RESERVED: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "JOIN",
    "INNER",
    "LEFT",
    "RIGHT",
    "FULL",
    "CROSS",
    "NATURAL",
    "ON",
    "USING",
    "AS",
    "WINDOW",
    "QUALIFY",
    "FETCH",
    "SEMI",
    "ANTI",
    "WITH",
    "LATERAL",
    "AND",
    "OR",
    "NOT",
    "END",
    "TABLESAMPLE",
    "VALUES",
];

/// The deepest nesting of subqueries that is followed.
const DEEPEST: usize = 4;

impl<'a> Statement<'a> {
    /// Nests `tokens`, of which the first `before` are before the cursor.
    pub(super) fn new(tokens: Vec<Token<'a>>, before: usize) -> Self {
        let mut parents = vec![0];
        let mut frames = Vec::with_capacity(tokens.len());
        let mut frame = 0;
        let mut cursor_frame = 0;
        for (at, token) in tokens.iter().enumerate() {
            if at == before {
                cursor_frame = frame;
            }
            if token.is(")") {
                frame = parents[frame];
            }
            frames.push(frame);
            if token.is("(") {
                parents.push(frame);
                frame = parents.len() - 1;
            }
        }
        if before >= tokens.len() {
            cursor_frame = frame;
        }
        Self {
            tokens,
            frames,
            parents,
            cursor_frame,
        }
    }

    /// Returns the relations in scope at the cursor by nesting, the innermost first.
    pub(super) fn scopes(&self) -> Vec<Vec<Relation>> {
        let mut scopes = Vec::new();
        let mut frame = self.cursor_frame;
        loop {
            let relations = self.relations(frame, 0);
            if !relations.is_empty() {
                scopes.push(relations);
            }
            if frame == 0 {
                return scopes;
            }
            frame = self.parents[frame];
        }
    }

    /// Returns the aliases of the SELECT list around the cursor.
    pub(super) fn select_aliases(&self) -> Vec<String> {
        let mut frame = self.cursor_frame;
        while frame != 0 && !self.is_query(frame) {
            frame = self.parents[frame];
        }
        let items = self.select_items(frame);
        items.iter().filter_map(|item| alias(item)).collect()
    }

    /// Returns the names of the common table expressions.
    pub(super) fn cte_names(&self) -> Vec<String> {
        let at = (0..self.tokens.len()).filter(|&at| self.cte_body(at).is_some());
        at.map(|at| self.tokens[at].name()).collect()
    }

    /// Returns the frame of the body of the common table expression whose name is at `at`.
    fn cte_body(&self, at: usize) -> Option<usize> {
        let name = self.tokens.get(at).filter(|token| token.is_name())?;
        let before = self.tokens.get(at.checked_sub(1)?)?;
        if name.is_any(RESERVED) || !(before.is_any(&["WITH", "RECURSIVE"]) || before.is(",")) {
            return None;
        }
        let mut next = at + 1;
        if self.tokens.get(next)?.is("(") {
            next = self.close_of(next)? + 1;
        }
        match self.tokens.get(next)?.is_word("AS") {
            true => self.frame_in(next + 1),
            false => None,
        }
    }

    /// Returns the frame in the parentheses that open at `open`, if anything is there.
    fn frame_in(&self, open: usize) -> Option<usize> {
        let frame = *self.frames.get(open + 1)?;
        (self.tokens[open].is("(") && frame != self.frames[open]).then_some(frame)
    }

    /// Returns the position of the parenthesis that closes the one at `open`.
    fn close_of(&self, open: usize) -> Option<usize> {
        let frame = self.frames[open];
        let mut later = open + 1..self.tokens.len();
        later.find(|&at| self.frames[at] == frame)
    }

    fn is_query(&self, frame: usize) -> bool {
        let words = &["SELECT", "WITH", "FROM", "VALUES"];
        self.own(frame).any(|at| self.tokens[at].is_any(words))
    }

    /// Returns the positions of a frame's own tokens.
    fn own(&self, frame: usize) -> impl Iterator<Item = usize> {
        (0..self.tokens.len()).filter(move |&at| self.frames[at] == frame)
    }

    /// Returns the relations of the FROM clauses of a frame.
    fn relations(&self, frame: usize, depth: usize) -> Vec<Relation> {
        let mut relations = Vec::new();
        let mut in_from = false;
        if depth > DEEPEST || !self.is_query(frame) {
            return relations;
        }
        for at in self.own(frame) {
            let token = self.tokens[at];
            let starts = token.is_any(&["FROM", "JOIN"]);
            if starts || (in_from && token.is(",")) {
                relations.extend(self.relation(at + 1, depth));
            }
            in_from = (in_from || starts) && !token.is_any(&["SELECT", "WHERE", "GROUP", "ORDER"]);
        }
        relations
    }

    /// Returns the relation that begins at a token.
    fn relation(&self, mut at: usize, depth: usize) -> Option<Relation> {
        while self.tokens.get(at)?.is_any(&["LATERAL", "ONLY"]) {
            at += 1;
        }
        let token = self.tokens.get(at)?;
        if token.is("(") {
            let (body, close) = (self.frame_in(at)?, self.close_of(at)?);
            let columns = self.selected(body, depth + 1);
            return Some(Relation {
                name: self.alias_at(close + 1)?,
                columns,
            });
        }
        if !token.is_name() || token.is_any(RESERVED) {
            return None;
        }
        while self.tokens.get(at + 1).is_some_and(|it| it.is("."))
            && self.tokens.get(at + 2).is_some_and(Token::is_name)
        {
            at += 2;
        }
        let table = self.tokens[at].name();
        Some(Relation {
            name: self.alias_at(at + 1).unwrap_or_else(|| table.clone()),
            columns: self.columns_of(&table, depth),
        })
    }

    fn alias_at(&self, mut at: usize) -> Option<String> {
        if self.tokens.get(at)?.is_word("AS") {
            at += 1;
        }
        let token = self.tokens.get(at)?;
        (token.is_name() && !token.is_any(RESERVED)).then(|| token.name())
    }

    fn columns_of(&self, table: &str, depth: usize) -> RelationColumns {
        let body = (0..self.tokens.len())
            .filter(|&at| self.tokens[at].name().eq_ignore_ascii_case(table))
            .find_map(|at| self.cte_body(at));
        match body {
            Some(body) => self.selected(body, depth + 1),
            None => RelationColumns::Table(table.to_owned()),
        }
    }

    /// Returns the columns that the query in a frame selects.
    fn selected(&self, frame: usize, depth: usize) -> RelationColumns {
        let items = self.select_items(frame);
        let relations = self.relations(frame, depth);
        let has_star = items
            .iter()
            .any(|item| item.last().is_some_and(|it| it.is("*")));
        let names = items
            .iter()
            .filter_map(|item| alias(item).or_else(|| path(item, &relations)));
        let names = names.collect();
        let of_star = match has_star || items.is_empty() {
            true => relations,
            false => Vec::new(),
        };
        RelationColumns::Selected(names, of_star)
    }

    /// Returns the tokens of each item of the SELECT list of a frame, without nested ones.
    fn select_items(&self, frame: usize) -> Vec<Vec<Token<'a>>> {
        let mut own = self.own(frame).map(|at| self.tokens[at]);
        if !own.any(|token| token.is_word("SELECT")) {
            return Vec::new();
        }
        let mut items = vec![Vec::new()];
        let ends = &[
            "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "UNION",
        ];
        for token in own.take_while(|token| !token.is_any(ends)) {
            match items.last_mut() {
                Some(item) if !token.is(",") => item.push(token),
                _ => items.push(Vec::new()),
            }
        }
        items
    }
}

/// Returns the name that an item of a SELECT list is given.
fn alias(item: &[Token<'_>]) -> Option<String> {
    let (last, before) = item.split_last()?;
    let before = before.last()?;
    let follows_value = before.is(")")
        || before.is("]")
        || before.is_word("AS")
        || matches!(
            before.kind,
            TokenKind::Name | TokenKind::Text | TokenKind::Number
        )
        || (before.kind == TokenKind::Word
            && !before.is_any(&["DISTINCT", "ALL", "NOT", "AND", "OR"]));
    (last.is_name() && !last.is_any(RESERVED) && follows_value).then(|| last.name())
}

/// Returns the path that an item of a SELECT list is, without the name of a relation before it.
fn path(item: &[Token<'_>], relations: &[Relation]) -> Option<String> {
    let item = match item.split_first() {
        Some((first, rest)) if first.is_any(&["DISTINCT", "ALL"]) => rest,
        _ => item,
    };
    let qualifies = |name: &str| {
        relations
            .iter()
            .any(|it| it.name.eq_ignore_ascii_case(name))
    };
    let item = match item {
        [qualifier, _, path @ ..] if !path.is_empty() && qualifies(&qualifier.name()) => path,
        _ => item,
    };
    let is_path = item.iter().enumerate().all(|(at, token)| match at % 2 {
        0 => token.is_name(),
        _ => token.is("."),
    });
    let is_whole = is_path && item.len() % 2 == 1;
    is_whole.then(|| item.iter().map(|token| token.text).collect())
}
