//! Columns and paths: those of a table, those that occur in the data, and the ones that match what was
//! typed.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Field, SchemaRef};

use super::context::Parent;
use super::tokens::is_word_char;
use crate::events::columns::{CLASS, JSON, PATH, catalog};
use crate::query::profile::{PathFacts, Profile, ValueKind};

/// The columns of a table.
#[derive(Debug)]
pub(super) struct Columns {
    columns: Vec<ColumnPath>,
    /// Whether it is a table of events, whose paths a profile has.
    has_events: bool,
}

#[derive(Debug)]
struct ColumnPath {
    path: String,
    kind: String,
    about: String,
    /// Whether paths into its JSON may follow.
    is_json: bool,
    /// Names of the fields of a list's elements.
    fields: Vec<&'static str>,
}

/// A path that matches what was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathMatch {
    /// The path, without a qualifier.
    pub(super) path: String,
    /// Its type.
    pub(super) kind: String,
    /// Its meaning.
    pub(super) about: String,
    /// Whether paths below it may follow.
    pub(super) has_parts: bool,
    /// The closeness of the match.
    pub(super) closeness: Closeness,
    seen: u64,
    order: usize,
}

/// The closeness of a match, the closest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Closeness {
    /// The name begins with what was typed.
    Prefix,
    /// The name contains it.
    Inside,
    /// The last name of a longer path has it.
    Leaf,
}

/// Letters from which on leaves of longer paths are found.
const LEAF_LETTERS: usize = 3;

/// A path, as the table or the profile has it.
struct Entry<'a> {
    path: &'a str,
    kind: &'a str,
    about: &'a str,
    is_json: bool,
    seen: u64,
    order: usize,
}

impl Columns {
    /// Reads the columns of a schema, with the metadata that events have.
    pub(super) fn new(schema: &SchemaRef) -> Self {
        let has_events = schema
            .fields()
            .iter()
            .any(|it| it.metadata().contains_key(CLASS));
        Self {
            columns: schema.fields().iter().map(|it| column_path(it)).collect(),
            has_events,
        }
    }

    /// Returns the paths below `parents` that match `partial`, the best first.
    pub(super) fn matches(
        &self,
        parents: &[Parent],
        partial: &str,
        profile: &Profile,
    ) -> Vec<PathMatch> {
        if let Some(column) = self.list_of_rows(parents) {
            return fields(column, &parents[0], partial);
        }
        let mut found = BTreeMap::new();
        for entry in self.entries(profile) {
            if let Some(matched) = matched(&entry, parents, partial) {
                merge(&mut found, matched);
            }
        }
        let mut found: Vec<PathMatch> = found.into_values().collect();
        sort(&mut found, partial);
        found
    }

    fn entries<'a>(&'a self, profile: &'a Profile) -> impl Iterator<Item = Entry<'a>> {
        let columns = self.columns.iter().enumerate().map(|(order, it)| Entry {
            path: &it.path,
            kind: &it.kind,
            about: &it.about,
            is_json: it.is_json,
            seen: match self.has_events {
                true => profile.path(&it.path).map_or(0, |facts| facts.count),
                false => 0,
            },
            order,
        });
        let paths = self.has_events.then(|| profile.paths());
        let unknown = paths.into_iter().flatten();
        let unknown = unknown.filter(|(_, facts)| facts.column.is_none());
        columns.chain(unknown.map(|(path, facts)| entry_of(path, facts)))
    }

    fn list_of_rows(&self, parents: &[Parent]) -> Option<&ColumnPath> {
        let [parent] = parents else { return None };
        let same = |it: &&ColumnPath| it.path.eq_ignore_ascii_case(&parent.name);
        let column = self.columns.iter().find(same)?;
        (!parent.index.is_empty() && !column.fields.is_empty()).then_some(column)
    }
}

fn column_path(field: &Field) -> ColumnPath {
    let known = field
        .metadata()
        .contains_key(CLASS)
        .then(|| catalog().index_of(field.name()))
        .flatten();
    let known = known.map(|index| &catalog().columns()[index]);
    let path = field.metadata().get(PATH).unwrap_or_else(|| field.name());
    ColumnPath {
        path: path.clone(),
        kind: known.map_or_else(
            || field.data_type().to_string().to_lowercase(),
            |column| column.column_type.sql_name().to_owned(),
        ),
        about: known.map_or_else(String::new, |column| column.about.clone()),
        is_json: field.metadata().contains_key(JSON),
        fields: list_fields(field.data_type()),
    }
}

/// Returns the fields of the elements of a list in CloudTrail's spelling; only `resources` has some.
fn list_fields(data_type: &DataType) -> Vec<&'static str> {
    match data_type {
        DataType::List(item) if matches!(item.data_type(), DataType::Struct(_)) => {
            vec!["ARN", "accountId", "type"]
        }
        _ => Vec::new(),
    }
}

fn fields(column: &ColumnPath, parent: &Parent, partial: &str) -> Vec<PathMatch> {
    let matching = column.fields.iter().enumerate();
    let matching = matching.filter(|(_, name)| starts_with(name, partial));
    let matches = matching.map(|(order, name)| PathMatch {
        path: format!("{}{}.{name}", column.path, parent.index),
        kind: "varchar".to_owned(),
        about: String::new(),
        has_parts: false,
        closeness: Closeness::Prefix,
        seen: 0,
        order,
    });
    matches.collect()
}

fn entry_of<'a>(path: &'a str, facts: &PathFacts) -> Entry<'a> {
    Entry {
        path,
        kind: match facts.kind {
            ValueKind::Text => "varchar",
            ValueKind::Number => "number",
            ValueKind::Boolean => "boolean",
            ValueKind::Object => "object",
            ValueKind::Array => "array",
        },
        about: "",
        is_json: facts.kind == ValueKind::Object,
        seen: facts.count,
        order: usize::MAX,
    }
}

/// Returns the match of a path: of the next name below `parents`, or of its last name.
fn matched(entry: &Entry<'_>, parents: &[Parent], partial: &str) -> Option<PathMatch> {
    let mut at = 0;
    for parent in parents {
        let (name, length) = name_at(&entry.path[at..]);
        if !parent.index.is_empty() || !name.eq_ignore_ascii_case(&parent.name) {
            return None;
        }
        at += length + 1;
        if at > entry.path.len() {
            return None;
        }
    }
    let (name, length) = name_at(&entry.path[at..]);
    let end = at + length;
    if starts_with(name, partial) {
        return Some(path_match(entry, end, Closeness::Prefix));
    }
    if contains(name, partial) {
        return Some(path_match(entry, end, Closeness::Inside));
    }
    let is_leaf = partial.len() >= LEAF_LETTERS && end < entry.path.len();
    (is_leaf && contains(last_name(entry.path), partial))
        .then(|| path_match(entry, entry.path.len(), Closeness::Leaf))
}

fn path_match(entry: &Entry<'_>, end: usize, closeness: Closeness) -> PathMatch {
    let is_whole = end == entry.path.len();
    PathMatch {
        path: entry.path[..end].to_owned(),
        kind: if is_whole { entry.kind } else { "object" }.to_owned(),
        about: match (is_whole, entry.about, entry.order) {
            (true, "", usize::MAX) => super::events(entry.seen),
            (true, about, _) => about.to_owned(),
            (false, ..) => String::new(),
        },
        has_parts: !is_whole || entry.is_json,
        closeness,
        seen: entry.seen,
        order: entry.order,
    }
}

/// Adds a match; one path may be both a column and the parent of others.
fn merge(found: &mut BTreeMap<String, PathMatch>, new: PathMatch) {
    let Some(old) = found.get_mut(&new.path) else {
        found.insert(new.path.clone(), new);
        return;
    };
    old.has_parts |= new.has_parts;
    old.seen = old.seen.max(new.seen);
    old.order = old.order.min(new.order);
    if old.kind == "object" && old.about.is_empty() {
        (old.kind, old.about) = (new.kind, new.about);
    }
}

/// Sorts matches: the closest, then those that occur in the data, the commonest first, then as in the
/// table.
fn sort(found: &mut [PathMatch], partial: &str) {
    found.sort_by_cached_key(|it| {
        let is_top = !it.path.contains('.');
        // A column is as good as any, seen or not.
        let seen = if is_top { 0 } else { it.seen };
        let ends_inside = !starts_with(last_name(&it.path), partial);
        let unseen = !is_top && seen == 0;
        (
            it.closeness,
            unseen,
            ends_inside,
            std::cmp::Reverse(seen),
            it.order,
        )
    });
}

/// Returns the first name of a path without quotes, and its length with them.
fn name_at(path: &str) -> (&str, usize) {
    if let Some(rest) = path.strip_prefix('"')
        && let Some(end) = rest.find('"')
    {
        return (&rest[..end], end + 2);
    }
    let end = path.find('.').unwrap_or(path.len());
    (&path[..end], end)
}

fn last_name(path: &str) -> &str {
    match path.strip_suffix('"') {
        Some(quoted) => quoted.rsplit('"').next().unwrap_or(quoted),
        None => path.rsplit('.').next().unwrap_or(path),
    }
}

/// Returns whether `text` begins with `prefix`, in any case.
pub(super) fn starts_with(text: &str, prefix: &str) -> bool {
    let start = text.as_bytes().get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// Returns whether `text` contains `part`, in any case.
pub(super) fn contains(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    part.is_empty()
        || text
            .windows(part.len())
            .any(|it| it.eq_ignore_ascii_case(part))
}

/// Returns the number of bytes of the name that `text` begins with.
pub(super) fn word_length(text: &str) -> usize {
    text.find(|c| !is_word_char(c)).unwrap_or(text.len())
}

/// Returns those of the names that a subquery selects that match.
pub(super) fn selected(names: &[String], parents: &[Parent], partial: &str) -> Vec<PathMatch> {
    let mut found = BTreeMap::new();
    for (order, path) in names.iter().enumerate() {
        let entry = Entry {
            path,
            kind: "column",
            about: "",
            is_json: false,
            seen: 0,
            order,
        };
        if let Some(matched) = matched(&entry, parents, partial) {
            merge(&mut found, matched);
        }
    }
    let mut found: Vec<PathMatch> = found.into_values().collect();
    sort(&mut found, partial);
    found
}
