//! Resolves names among the relations and aliases of one SELECT.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::columns::{ColumnIndex, RelationColumn};
use super::path::{FieldAccess, Part, access_field, column_expr, text_of, without_result};
use datafusion::sql::sqlparser::ast::{Expr, Ident};

/// A relation of a FROM clause.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    /// Name in messages.
    pub label: String,
    /// Qualifier of its columns in the plan; empty if there is none.
    pub qualifier: Vec<String>,
    /// The full qualifier in lower case; queries may use any tail of it.
    pub accepts: Vec<String>,
    /// The columns; `None` if they are unknown.
    pub columns: Option<Arc<ColumnIndex>>,
    /// Whether `DESCRIBE` lists its columns.
    pub is_table: bool,
    /// Whether `SELECT *` includes it, which is false for the right side of a semi join.
    pub in_wildcard: bool,
    /// Columns that `SELECT *` omits because USING merged them with the left side's.
    pub merged: Vec<String>,
}

impl Relation {
    /// Returns whether a qualifier, `events` or `public.events`, names this relation.
    pub fn answers_to(&self, qualifier: &[Part]) -> bool {
        let Some(skip) = self.accepts.len().checked_sub(qualifier.len()) else {
            return false;
        };
        let names = qualifier.iter().map(Part::name);
        self.accepts[skip..]
            .iter()
            .zip(names)
            .all(|(own, typed)| typed.is_some_and(|typed| typed.value.to_lowercase() == *own))
    }

    /// Returns whether USING merged the column with another, so that `SELECT *` omits it.
    pub fn merges(&self, column: &RelationColumn) -> bool {
        self.merged.contains(&column.name)
    }

    /// Returns whether the relation may have unknown columns.
    pub fn is_open(&self) -> bool {
        !self.columns.as_ref().is_some_and(|it| it.is_complete())
    }
}

/// The precedence of the SELECT list's aliases in a clause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum AliasOrder {
    #[default]
    Never,
    First,
    Last,
}

/// The names of one SELECT.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub relations: Vec<Relation>,
    /// Aliases of the SELECT list, by their names in the plan.
    pub aliases: Vec<String>,
    /// Aliases that several items have, so that nothing can refer to them.
    pub repeated_aliases: Vec<String>,
    pub sees_aliases: AliasOrder,
    /// Whether a NATURAL JOIN merges columns, which only the planner knows.
    pub natural: bool,
}

/// A resolved path.
#[derive(Debug)]
pub(super) struct ResolvedPath {
    pub expr: Expr,
    /// The column that the path becomes in the output.
    pub column: RelationColumn,
    /// Columns of the relation, for suggestions, if the path is an extraction.
    pub extracted_from: Option<Arc<ColumnIndex>>,
}

/// The outcome of resolving a path.
#[derive(Debug)]
pub(super) enum Resolution {
    Column(Box<ResolvedPath>),
    /// An alias of the SELECT list.
    Alias(String),
    /// The path matches no column or alias.
    NotFound,
    /// The path is invalid; the message says why.
    Rejected(String),
}

/// Most parts of a qualifier: `catalog.schema.table`.
const MAX_QUALIFIER: usize = 3;

impl Scope {
    /// Resolves a path among the aliases and relations of this SELECT.
    pub fn find(&self, parts: &[Part]) -> Resolution {
        if self.sees_aliases == AliasOrder::First
            && let Some(alias) = self.alias(parts)
        {
            return self.unrepeated(alias);
        }
        let names = parts.iter().take_while(|part| part.name().is_some());
        let longest = names.count().saturating_sub(1).min(MAX_QUALIFIER);
        let mut refused = None;
        for length in (0..=longest).rev() {
            let (qualifier, path) = parts.split_at(length);
            match self.find_in_relations(qualifier, path) {
                Resolution::NotFound => {}
                Resolution::Rejected(message) => {
                    refused.get_or_insert(message);
                }
                found => return found,
            }
        }
        if self.sees_aliases == AliasOrder::Last
            && let Some(alias) = self.alias(parts)
        {
            return self.unrepeated(alias);
        }
        refused.map_or(Resolution::NotFound, Resolution::Rejected)
    }

    /// Returns the alias that a path spells, in any case.
    pub fn alias(&self, parts: &[Part]) -> Option<String> {
        let typed = text_of(parts)?;
        let exact = self.aliases.iter().find(|alias| **alias == typed);
        let lower = typed.to_lowercase();
        let any = || self.aliases.iter().find(|it| it.to_lowercase() == lower);
        exact.or_else(any).cloned()
    }

    fn unrepeated(&self, alias: String) -> Resolution {
        match self.repeated_aliases.contains(&alias) {
            true => Resolution::Rejected(format!(
                "{alias} is ambiguous; it names several columns of the SELECT list"
            )),
            false => Resolution::Alias(alias),
        }
    }

    fn find_in_relations(&self, qualifier: &[Part], path: &[Part]) -> Resolution {
        let mut second = Resolution::NotFound;
        for relation in &self.relations {
            if !qualifier.is_empty() && !relation.answers_to(qualifier) {
                continue;
            }
            let Some(columns) = &relation.columns else {
                continue;
            };
            let prefix = match qualifier {
                [] => &[],
                _ => relation.qualifier.as_slice(),
            };
            match find_path(columns, prefix, path) {
                // A column wins over a value inside another relation's column.
                Resolution::Column(it) if it.extracted_from.is_none() => {
                    return Resolution::Column(it);
                }
                Resolution::NotFound => {}
                found => {
                    if matches!(second, Resolution::NotFound | Resolution::Rejected(_)) {
                        second = found;
                    }
                }
            }
        }
        second
    }
}

/// Resolves a path among a relation's columns: its longest prefix that is a column, and the rest
/// below that column.
fn find_path(columns: &Arc<ColumnIndex>, qualifier: &[String], path: &[Part]) -> Resolution {
    let has_column = |path: &[Part], lengths: RangeInclusive<usize>| {
        let mut texts = lengths.filter_map(|length| text_of(&path[..length]));
        texts.any(|text| columns.find(&text).is_some())
    };
    if let Some(direct) = without_result(path)
        && !has_column(path, 2..=path.len())
        && has_column(&direct, 2..=direct.len())
    {
        return find_path(columns, qualifier, &direct);
    }
    let mut refused = None;
    for length in (1..=path.len()).rev() {
        let Some(column) = text_of(&path[..length]).and_then(|text| columns.find(&text)) else {
            continue;
        };
        let expr = column_expr(qualifier, &column.name);
        if length == path.len() {
            return Resolution::Column(Box::new(ResolvedPath {
                expr,
                column: column.clone(),
                extracted_from: None,
            }));
        }
        match access_field(expr, column, &path[length..]) {
            FieldAccess::Value(found) => {
                let (expr, column) = *found;
                return Resolution::Column(Box::new(ResolvedPath {
                    expr,
                    column,
                    extracted_from: Some(Arc::clone(columns)),
                }));
            }
            FieldAccess::Rejected(message) => {
                refused.get_or_insert(message);
            }
            FieldAccess::Scalar => {}
        }
    }
    // A quoted name with dots: "requestParameters.bucketName".
    if let Some(Part::Name(ident)) = path.first()
        && ident.value.contains('.')
    {
        let split = ident.value.split('.').map(|name| {
            let quote_style = ident.quote_style;
            Part::Name(Ident {
                value: name.to_string(),
                quote_style,
                span: ident.span,
            })
        });
        let parts: Vec<Part> = split.chain(path[1..].iter().cloned()).collect();
        return find_path(columns, qualifier, &parts);
    }
    refused.map_or(Resolution::NotFound, Resolution::Rejected)
}
