//! Suggests columns for a name that does not exist.

use datafusion::sql::sqlparser::ast::Ident;
use strsim::osa_distance;

use super::columns::{ColumnIndex, RelationColumn};
use super::path::{Part, text_of};
use super::scope::{Relation, Scope};
use crate::query::functions::json_path::is_text;

/// Most suggestions in a message.
const MOST: usize = 3;

/// Returns the columns nearest to the typed name, nearest first, if any is near.
pub(super) fn nearest<'a>(
    typed: &str,
    columns: impl Iterator<Item = &'a RelationColumn>,
) -> Vec<&'a RelationColumn> {
    let typed = typed.to_lowercase();
    // One typo per three characters is tolerated.
    let limit = typed.chars().count().div_ceil(3).min(4);
    let mut near: Vec<(usize, &RelationColumn)> = columns
        .filter_map(|column| {
            let distance = distance(&typed, column, limit);
            (distance <= limit).then_some((distance, column))
        })
        .collect();
    let depth = |column: &RelationColumn| column.path.matches('.').count();
    near.sort_by(|(a, left), (b, right)| {
        let left = (a, !left.visible, depth(left), &left.path);
        left.cmp(&(b, !right.visible, depth(right), &right.path))
    });
    near.dedup_by(|(_, left), (_, right)| left.path == right.path);
    let best = near.first().map_or(0, |(distance, _)| *distance);
    near.into_iter()
        .take_while(|(distance, _)| *distance <= best + 1)
        .map(|(_, column)| column)
        .take(MOST)
        .collect()
}

fn distance(typed: &str, column: &RelationColumn, limit: usize) -> usize {
    let path = column.path.to_lowercase();
    // `userName` alone matches `….userName`.
    if path
        .strip_suffix(typed)
        .is_some_and(|root| root.ends_with('.'))
    {
        return 1;
    }
    let spelling = |name: &str| {
        if name.len().abs_diff(typed.len()) > limit {
            usize::MAX
        } else {
            osa_distance(typed, name)
        }
    };
    spelling(&path).min(spelling(&column.name.to_lowercase()))
}

/// Formats suggestions: `did you mean a, b or c?`
pub(super) fn did_you_mean<S: AsRef<str>>(names: &[S]) -> Option<String> {
    let (last, others) = names.split_last()?;
    let others: Vec<&str> = others.iter().map(AsRef::as_ref).collect();
    Some(match others.as_slice() {
        [] => format!("did you mean {}?", last.as_ref()),
        others => format!("did you mean {} or {}?", others.join(", "), last.as_ref()),
    })
}

/// Returns the message for a path that does not resolve.
pub(super) fn unknown(parts: &[Part], scopes: &[Scope]) -> String {
    let relations = || scopes.iter().rev().flat_map(|scope| &scope.relations);
    let typed = text_of(parts).unwrap_or_default();
    let inner = scopes.last().map(|scope| scope.relations.as_slice());
    let labels: Vec<&str> = inner
        .unwrap_or_default()
        .iter()
        .map(|relation| relation.label.as_str())
        .collect();
    let start = format!("no column {typed} in {}", labels.join(", "));
    if let Some(scope) = scopes.last()
        && scope.alias(parts).is_some()
    {
        return format!(
            "{start}: it is an alias of the SELECT list, which only GROUP BY, HAVING and ORDER BY \
             see; repeat its expression here"
        );
    }
    let columns = relations()
        .filter_map(|relation| relation.columns.as_ref())
        .flat_map(|columns| columns.iter());
    let near = nearest(
        unqualified(&typed, parts, inner.unwrap_or_default()),
        columns,
    );
    let near: Vec<&str> = near.iter().map(|column| column.path.as_str()).collect();
    if let Some(question) = did_you_mean(&near) {
        return format!("{start}; {question}");
    }
    if let [Part::Name(Ident { quote_style, .. })] = parts
        && quote_style.is_some()
    {
        return format!("{start}; a string is written in single quotes: '{typed}'");
    }
    format!("{start}; {}", advice(inner.unwrap_or_default()))
}

/// Strips the alias from the front of a path, if it has one.
fn unqualified<'a>(typed: &'a str, parts: &[Part], relations: &[Relation]) -> &'a str {
    let first = parts.first().and_then(Part::name);
    let is_relation = first.is_some_and(|first| {
        let first = first.value.to_lowercase();
        relations.iter().any(|it| it.accepts.last() == Some(&first))
    });
    match typed.split_once('.') {
        Some((_, rest)) if is_relation => rest,
        _ => typed,
    }
}

fn advice(relations: &[Relation]) -> String {
    if let Some(table) = relations.iter().find(|relation| relation.is_table) {
        return format!("DESCRIBE {} lists the columns", table.label);
    }
    let columns = relations
        .iter()
        .filter_map(|relation| relation.columns.as_ref())
        .flat_map(|columns| columns.iter());
    let columns = columns.filter(|column| column.visible).take(12);
    let columns: Vec<&str> = columns.map(|column| column.path.as_str()).collect();
    format!("its columns are {}", columns.join(", "))
}

/// Returns a note about an extraction from JSON whose path is close to that of a known column.
pub(super) fn near_miss(path: &str, columns: &ColumnIndex) -> Option<String> {
    let typed = path.to_lowercase();
    let (root, leaf) = typed.split_once('.')?;
    // One typo in a short key often makes another valid key. Other services have parameters of
    // their own, so paths below parameters tolerate only one typo.
    let open = matches!(root, "requestparameters" | "responseelements");
    let limit = (leaf.chars().count() / 3).min(if open { 1 } else { 2 });
    let known = columns.iter().filter_map(|column| {
        let known = column.path.to_lowercase();
        let is_below = known
            .strip_prefix(root)
            .is_some_and(|rest| rest.starts_with('.'));
        if !is_below || known.len().abs_diff(typed.len()) > limit {
            return None;
        }
        let distance = osa_distance(&typed, &known);
        (distance <= limit).then_some((distance, column))
    });
    let (_, meant) = known.min_by_key(|(distance, _)| *distance)?;
    let from = columns
        .find(root)
        .filter(|column| column.data_type.as_ref().is_some_and(is_text))
        .map_or(root, |column| column.path.as_str());
    Some(format!(
        "{path} is not a known field; did you mean {}? (read from the JSON of {from})",
        meant.path
    ))
}
