//! Rewrites the SELECT list: names its items and expands `*`.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{
    Distinct, ExcludeSelectItem, Expr, GroupByExpr, Ident, ObjectName, ObjectNamePart,
    RenameSelectItem, Select, SelectItem, SelectItemQualifiedWildcardKind,
    WildcardAdditionalOptions,
};

use super::column_names::OutputName;
use super::columns::RelationColumn;
use super::exprs::typed;
use super::path::{Part, column_expr, is_json_call, normalized, parts_of, quoted};
use super::scope::Relation;
use super::suggest;
use super::walk::{QueryContext, QueryOutput, Rewriter, refuse};
use crate::error::Result;

/// A SELECT list under construction.
#[derive(Default)]
struct SelectList {
    items: Vec<SelectItem>,
    column_names: Vec<OutputName>,
    columns: Vec<RelationColumn>,
    /// Whether an item has unknown columns.
    is_open: bool,
    /// Hidden columns that the wildcards pass on.
    hidden: Vec<(SelectItem, RelationColumn)>,
    /// Names of the items so far; the planner requires them to be unique.
    taken: HashSet<String>,
    /// Whether a wildcard stands in the list whose columns only the planner knows.
    has_wildcard: bool,
    /// Aliases that another item's name repeats.
    repeated: Vec<String>,
}

impl SelectList {
    fn push(&mut self, item: SelectItem, output_name: String, column: RelationColumn) {
        self.items.push(item);
        self.column_names.push(OutputName::Text(output_name));
        self.columns.push(column);
    }

    /// Takes a name for an item: `name`, or the first of `name:1`, `name:2` that is free.
    fn take_name(&mut self, name: &str) -> String {
        let mut free = name.to_owned();
        let mut count = 0;
        while !self.taken.insert(free.clone()) {
            count += 1;
            free = format!("{name}:{count}");
        }
        free
    }

    /// Adds a column, renamed if the list has its name already, as in `SELECT *, eventName`.
    fn push_column(&mut self, expr: Expr, output_name: String, mut column: RelationColumn) {
        let name = self.take_name(&column.name);
        let item = if name == column.name {
            SelectItem::UnnamedExpr(expr)
        } else {
            column.name = name;
            let alias = quoted(&column.name);
            SelectItem::ExprWithAlias { expr, alias }
        };
        self.push(item, output_name, column);
    }

    /// Adds an expression under a name, which is changed if the list has it already.
    fn push_named(&mut self, expr: Expr, alias: Ident, mut column: RelationColumn) {
        let name = self.take_name(&column.name);
        let output_name = column.output_name.clone();
        let alias = if name == column.name {
            alias
        } else {
            self.repeated
                .push(std::mem::replace(&mut column.name, name));
            quoted(&column.name)
        };
        let item = SelectItem::ExprWithAlias { expr, alias };
        self.push(item, output_name, column);
    }

    fn push_as_is(&mut self, item: SelectItem) {
        self.has_wildcard = true;
        self.items.push(item);
        self.column_names.push(OutputName::Rest);
        self.is_open = true;
    }
}

impl Rewriter<'_> {
    /// Rewrites a SELECT list and returns its output.
    pub fn projection(
        &mut self,
        select: &mut Select,
        context: QueryContext,
    ) -> Result<QueryOutput> {
        let is_grouped = match &select.group_by {
            GroupByExpr::All(_) => true,
            GroupByExpr::Expressions(exprs, _) => !exprs.is_empty(),
        };
        // Hidden columns would change the result of DISTINCT, GROUP BY and NATURAL.
        let hides = context.keeps_hidden
            && select.distinct.is_none()
            && !is_grouped
            && !self.mentions.natural;
        let mut out = SelectList::default();
        let is_distinct = matches!(select.distinct, Some(Distinct::Distinct));
        let context = QueryContext {
            // ORDER BY after DISTINCT finds only named items. Of several, the planner may give two
            // the same name: it calls a cast like the value that is cast.
            needs_aliases: context.needs_aliases || is_distinct || select.projection.len() > 1,
            ..context
        };
        for item in std::mem::take(&mut select.projection) {
            self.select_item(item, context, &mut out)?;
        }
        self.scope().repeated_aliases = std::mem::take(&mut out.repeated);
        if context.sets_column_names {
            self.column_names = out.column_names;
        }
        let mut hidden = 0;
        if hides {
            for (item, column) in out.hidden {
                if !out.columns.iter().any(|it| it.name == column.name) {
                    out.items.push(item);
                    out.columns.push(column);
                    hidden += 1;
                }
            }
        }
        select.projection = out.items;
        Ok(QueryOutput {
            columns: out.columns,
            complete: !out.is_open,
            hidden,
        })
    }

    fn select_item(
        &mut self,
        item: SelectItem,
        context: QueryContext,
        out: &mut SelectList,
    ) -> Result<()> {
        match item {
            SelectItem::UnnamedExpr(expr) => self.unnamed(expr, context, out)?,
            SelectItem::ExprWithAlias { mut expr, alias } => {
                let column = self.item(&mut expr)?;
                let name = normalized(&alias);
                let output_name = alias.value.clone();
                let column = match column {
                    // The planner rejects an alias that equals the column's name.
                    Some(column) if is_column(&expr) && column.name == name => {
                        let column = RelationColumn {
                            visible: true,
                            output_name: output_name.clone(),
                            ..column
                        };
                        out.push_column(expr, output_name, column);
                        return Ok(());
                    }
                    Some(column) => column.renamed(&name, &alias.value),
                    None => RelationColumn::named(&name, &alias.value),
                };
                out.push_named(expr, alias, column);
            }
            SelectItem::Wildcard(options) => self.wildcard(None, options, out)?,
            SelectItem::QualifiedWildcard(
                SelectItemQualifiedWildcardKind::ObjectName(name),
                options,
            ) => self.wildcard(Some(name), options, out)?,
            mut other => {
                self.visit(&mut other)?;
                out.push_as_is(other);
            }
        }
        Ok(())
    }

    /// Rewrites an item and returns the column it became, if any.
    fn item(&mut self, expr: &mut Expr) -> Result<Option<RelationColumn>> {
        if parts_of(expr).is_some() {
            return self.path(expr);
        }
        self.visit(expr)?;
        Ok(None)
    }

    fn unnamed(
        &mut self,
        mut expr: Expr,
        context: QueryContext,
        out: &mut SelectList,
    ) -> Result<()> {
        let output_name = typed(&expr);
        let unnests = is_unnest(&expr);
        match self.item(&mut expr)? {
            Some(column) if is_column(&expr) => {
                let column = RelationColumn {
                    visible: true,
                    leaf: true,
                    output_name: output_name.clone(),
                    ..column
                };
                out.push_column(expr, output_name, column);
            }
            found if context.needs_aliases && !unnests => {
                // A path into JSON is named without the alias of its table.
                let is_json = is_json_call(&expr);
                let path = found.as_ref().filter(|_| is_json).map(|it| &it.path);
                let name = path.filter(|path| !out.taken.contains(*path));
                let name = name.unwrap_or(&output_name).clone();
                let column = found.map_or_else(
                    || RelationColumn::named(&name, &output_name),
                    |found| RelationColumn {
                        leaf: true,
                        path: found.path.clone(),
                        ..found.renamed(&name, &output_name)
                    },
                );
                if is_column(&expr) {
                    let is_last = context.sets_column_names;
                    unresolved(expr, output_name, is_last && out.has_wildcard, out);
                } else {
                    let alias = column.name.clone();
                    let name = out.take_name(&alias);
                    let column = RelationColumn { name, ..column };
                    let alias = quoted(&column.name);
                    let item = SelectItem::ExprWithAlias { expr, alias };
                    out.push(item, output_name, column);
                }
            }
            _ if unnests => {
                out.is_open = true;
                let text = expr.to_string();
                let name = out.take_name(&text);
                out.items.push(match name == text {
                    true => SelectItem::UnnamedExpr(expr),
                    false => SelectItem::ExprWithAlias {
                        expr,
                        alias: quoted(&name),
                    },
                });
                out.column_names.push(OutputName::Text(output_name));
            }
            _ => {
                let column = RelationColumn::named(&output_name, &output_name);
                out.push(SelectItem::UnnamedExpr(expr), output_name, column);
            }
        }
        Ok(())
    }

    /// Expands a wildcard if its columns are known.
    fn wildcard(
        &mut self,
        qualifier: Option<ObjectName>,
        mut options: WildcardAdditionalOptions,
        out: &mut SelectList,
    ) -> Result<()> {
        let relations = self.wildcard_relations(qualifier.as_ref());
        let is_unknown = relations.iter().all(Relation::is_open);
        let cannot_qualify = qualifier.is_none()
            && relations
                .iter()
                .any(|it| it.is_open() && it.qualifier.is_empty());
        let is_plain = options == WildcardAdditionalOptions::default();
        let is_special = options.opt_ilike.is_some()
            || options.opt_alias.is_some()
            || (!is_plain && relations.iter().any(Relation::is_open));
        let is_natural = qualifier.is_none() && self.scope().natural;
        if self.keep_wildcards || is_unknown || cannot_qualify || is_special || is_natural {
            for columns in relations.iter().filter_map(|it| it.columns.as_ref()) {
                out.columns.extend(columns.iter().cloned());
            }
            let was_open = out.is_open;
            out.push_as_is(wildcard_item(qualifier, options));
            let is_known = self.keep_wildcards && !relations.iter().any(Relation::is_open);
            out.is_open = was_open || !is_known;
            return Ok(());
        }
        let changes = Changes::of(&mut options, &relations)?;
        let is_joined = self.scope().relations.len() > 1;
        for relation in &relations {
            let Some(columns) = relation.columns.as_ref().filter(|it| it.is_complete()) else {
                let idents: Vec<Ident> = relation.qualifier.iter().map(|it| quoted(it)).collect();
                let all = Some(ObjectName::from(idents));
                out.push_as_is(wildcard_item(all, options.clone()));
                continue;
            };
            let prefix = if is_joined || qualifier.is_some() {
                relation.qualifier.as_slice()
            } else {
                &[]
            };
            let merged = |column: &RelationColumn| qualifier.is_none() && relation.merges(column);
            for column in columns.iter().filter(|it| it.visible && !merged(it)) {
                let expr = column_expr(prefix, &column.name);
                self.push_wildcard_column(expr, column, &changes, out)?;
            }
            for column in self.mentions.hidden(columns) {
                let expr = column_expr(prefix, &column.name);
                let item = SelectItem::UnnamedExpr(expr);
                out.hidden.push((item, column.clone()));
            }
        }
        Ok(())
    }

    /// Adds one column of a wildcard, subject to EXCLUDE, REPLACE and RENAME.
    fn push_wildcard_column(
        &mut self,
        expr: Expr,
        column: &RelationColumn,
        changes: &Changes,
        out: &mut SelectList,
    ) -> Result<()> {
        if changes.excluded.contains(&column.name) {
            return Ok(());
        }
        let replaced = changes.replaced.iter().find(|it| it.0 == column.name);
        if let Some((name, replacement)) = replaced {
            let mut expr = replacement.clone();
            self.item(&mut expr)?;
            let alias = quoted(name);
            let changed = RelationColumn::named(name, &column.output_name);
            out.push_named(expr, alias, changed);
            return Ok(());
        }
        let renamed = changes.renamed.iter().find(|it| it.0 == column.name);
        if let Some((_, alias)) = renamed {
            let changed = column.renamed(&normalized(alias), &alias.value);
            out.push_named(expr, alias.clone(), changed);
            return Ok(());
        }
        out.push_column(expr, column.output_name.clone(), column.clone());
        Ok(())
    }

    /// Returns the relations that a wildcard covers.
    fn wildcard_relations(&mut self, qualifier: Option<&ObjectName>) -> Vec<Relation> {
        let parts: Vec<Part> = qualifier
            .into_iter()
            .flat_map(|name| &name.0)
            .filter_map(ObjectNamePart::as_ident)
            .map(|ident| Part::Name(ident.clone()))
            .collect();
        let relations = self.scope().relations.iter();
        match qualifier {
            None => relations.filter(|it| it.in_wildcard).cloned().collect(),
            Some(_) => relations
                .filter(|it| it.answers_to(&parts))
                .take(1)
                .cloned()
                .collect(),
        }
    }
}

/// The options of a wildcard, by the columns' names in the plan.
#[derive(Default)]
struct Changes {
    excluded: HashSet<String>,
    replaced: Vec<(String, Expr)>,
    renamed: Vec<(String, Ident)>,
}

impl Changes {
    /// Removes the options from the wildcard and resolves their columns.
    fn of(options: &mut WildcardAdditionalOptions, relations: &[Relation]) -> Result<Self> {
        let mut changes = Self::default();
        let text = |name: &ObjectName| {
            let idents = name.0.iter().filter_map(ObjectNamePart::as_ident);
            let values: Vec<&str> = idents.map(|ident| ident.value.as_str()).collect();
            values.join(".")
        };
        let mut excluded: Vec<String> = match options.opt_exclude.take() {
            Some(ExcludeSelectItem::Single(name)) => vec![text(&name)],
            Some(ExcludeSelectItem::Multiple(names)) => names.iter().map(text).collect(),
            None => vec![],
        };
        if let Some(except) = options.opt_except.take() {
            excluded.push(except.first_element.value);
            excluded.extend(except.additional_elements.into_iter().map(|it| it.value));
        }
        for name in excluded {
            changes.excluded.insert(known(&name, relations)?);
        }
        for item in options
            .opt_replace
            .take()
            .into_iter()
            .flat_map(|it| it.items)
        {
            let name = known(&item.column_name.value, relations)?;
            changes.replaced.push((name, item.expr));
        }
        let renamed = match options.opt_rename.take() {
            Some(RenameSelectItem::Single(item)) => vec![item],
            Some(RenameSelectItem::Multiple(items)) => items,
            None => vec![],
        };
        for item in renamed {
            let name = known(&item.ident.value, relations)?;
            changes.renamed.push((name, item.alias));
        }
        Ok(changes)
    }
}

/// Returns the plan's name of a column in an option.
fn known(name: &str, relations: &[Relation]) -> Result<String> {
    let columns = || relations.iter().filter_map(|it| it.columns.as_ref());
    if let Some(column) = columns().find_map(|columns| columns.find(name)) {
        return Ok(column.name.clone());
    }
    if relations.iter().any(Relation::is_open) {
        return Ok(name.to_lowercase());
    }
    let visible = columns().flat_map(|columns| columns.iter().filter(|it| it.visible));
    let near = suggest::nearest(name, visible);
    let near: Vec<&str> = near.iter().map(|column| column.path.as_str()).collect();
    let labels: Vec<&str> = relations.iter().map(|it| it.label.as_str()).collect();
    let question = suggest::did_you_mean(&near);
    refuse(format!(
        "no column {name} in {}{}",
        labels.join(", "),
        question.map_or_else(String::new, |question| format!("; {question}"))
    ))
}

fn wildcard_item(qualifier: Option<ObjectName>, options: WildcardAdditionalOptions) -> SelectItem {
    match qualifier {
        Some(name) => {
            let kind = SelectItemQualifiedWildcardKind::ObjectName(name);
            SelectItem::QualifiedWildcard(kind, options)
        }
        None => SelectItem::Wildcard(options),
    }
}

/// Adds a path that only the planner can resolve, under another name if it is taken, or may be by
/// a wildcard.
fn unresolved(expr: Expr, output_name: String, may_repeat: bool, out: &mut SelectList) {
    let name = match &expr {
        Expr::Identifier(ident) => normalized(ident),
        Expr::CompoundIdentifier(idents) => {
            // The path may be a field of a struct, which the plan names differently.
            out.is_open = true;
            idents.last().map(normalized).unwrap_or_default()
        }
        _ => output_name.clone(),
    };
    if may_repeat {
        out.taken.insert(name.clone());
    }
    let column = RelationColumn::named(&name, &output_name);
    out.push_column(expr, output_name, column);
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

fn is_unnest(expr: &Expr) -> bool {
    match expr {
        Expr::Function(function) => {
            let name = function.name.to_string();
            name.eq_ignore_ascii_case("unnest")
        }
        _ => false,
    }
}
