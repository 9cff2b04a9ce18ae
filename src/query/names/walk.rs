//! Walks a query: its CTEs, its branches, and the clauses of each SELECT in the order in which
//! names are defined.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    Cte, Distinct, Expr, OrderBy, OrderByExpr, OrderByKind, PipeOperator, Query, Select,
    SelectFlavor, SelectItem, SetExpr, SetOperator, SetQuantifier, TableAliasColumnDef, Values,
    VisitMut, WildcardAdditionalOptions, With,
};

use super::Names;
use super::casts;
use super::column_names::OutputName;
use super::columns::{ColumnIndex, RelationColumn, unique_names};
use super::mentions::Mentions;
use super::path::normalized;
use super::scope::{AliasOrder, Relation, Scope};
use super::unnest;
use crate::error::{Error, Result};

/// Rewrites one statement.
pub(super) struct Rewriter<'a> {
    pub names: &'a Names,
    pub mentions: Mentions,
    /// Whether `*` is kept, so that a view has all columns of its table.
    pub keep_wildcards: bool,
    /// Scopes, the innermost last.
    pub scopes: Vec<Scope>,
    /// CTEs in scope; `None` for unknown columns, as inside a recursive CTE.
    pub ctes: Vec<(String, Option<Arc<ColumnIndex>>)>,
    pub column_names: Vec<OutputName>,
    pub notes: Vec<String>,
    /// Expressions taken out of the visitor's way, to be restored on its way up.
    pub taken: Vec<Option<Expr>>,
    pub queries: Vec<Query>,
    pub lambdas: Vec<Vec<String>>,
    /// The first spelling of each JSON path, so that GROUP BY finds what SELECT wrote differently.
    pub spellings: HashMap<String, String>,
}

/// Requirements of a query's context on its output.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct QueryContext {
    /// Whether the query's projection names the result's columns.
    pub sets_column_names: bool,
    /// Whether an outer query refers to its columns, so that expressions need an alias.
    pub needs_aliases: bool,
    /// Whether its wildcards pass on the hidden columns that the statement mentions.
    pub keeps_hidden: bool,
}

/// The output columns of a query.
#[derive(Debug, Default)]
pub(super) struct QueryOutput {
    pub columns: Vec<RelationColumn>,
    /// Whether all columns are known.
    pub complete: bool,
    /// Number of trailing columns that are present only because the statement mentions them.
    pub hidden: usize,
}

impl QueryOutput {
    fn hidden_names(&self) -> impl Iterator<Item = &String> {
        let hidden = self.columns.iter().rev().take(self.hidden);
        hidden.map(|column| &column.name)
    }

    /// Indexes the columns as those of a relation, under the names of a column list, if any.
    pub fn into_columns(mut self, list: &[TableAliasColumnDef]) -> Arc<ColumnIndex> {
        unique_names(&mut self.columns);
        let columns = ColumnIndex::new(self.columns, self.complete);
        Arc::new(relabel(columns, list))
    }
}

/// Renames the columns by an alias's column list, if it has one.
pub(super) fn relabel(columns: ColumnIndex, list: &[TableAliasColumnDef]) -> ColumnIndex {
    if list.is_empty() {
        return columns;
    }
    let names = list
        .iter()
        .map(|it| (normalized(&it.name), it.name.value.clone()));
    columns.relabelled(&names.collect::<Vec<_>>())
}

impl<'a> Rewriter<'a> {
    pub fn new(names: &'a Names, mentions: Mentions) -> Self {
        Self {
            names,
            mentions,
            keep_wildcards: false,
            scopes: vec![],
            ctes: vec![],
            column_names: vec![],
            notes: vec![],
            taken: vec![],
            queries: vec![],
            lambdas: vec![],
            spellings: HashMap::new(),
        }
    }

    /// Rewrites the expressions in some part of a statement.
    pub fn visit(&mut self, node: &mut impl VisitMut) -> Result<()> {
        match node.visit(self) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        }
    }

    /// Rewrites a query and returns its output.
    pub fn query(&mut self, query: &mut Query, context: QueryContext) -> Result<QueryOutput> {
        let ctes = self.ctes.len();
        if let Some(with) = &mut query.with {
            self.with(with)?;
        }
        let operators = &mut query.pipe_operators;
        let is_piped = !operators.is_empty();
        let is_reshaped = !operators.iter().all(keeps_columns);
        let context = QueryContext {
            sets_column_names: context.sets_column_names && !is_reshaped,
            needs_aliases: context.needs_aliases || is_piped,
            keeps_hidden: context.keeps_hidden && !is_piped,
        };
        // A later `|> SELECT` may need columns that `*` would omit.
        let kept = self.keep_wildcards;
        self.keep_wildcards |= is_reshaped;
        let mut output = self.body(&mut query.body, query.order_by.as_mut(), context)?;
        self.keep_wildcards = kept;
        for operator in operators {
            self.in_output_scope(&output, |this| this.visit(operator))?;
            if !keeps_columns(operator) {
                output = QueryOutput::default();
            }
        }
        self.ctes.truncate(ctes);
        Ok(output)
    }

    fn with(&mut self, with: &mut With) -> Result<()> {
        let recursive = with.recursive;
        for Cte { alias, query, .. } in &mut with.cte_tables {
            let name = normalized(&alias.name);
            let refers_to_itself = recursive && matches!(*query.body, SetExpr::SetOperation { .. });
            if refers_to_itself {
                self.ctes.push((name.clone(), None));
            }
            let context = QueryContext {
                needs_aliases: true,
                keeps_hidden: alias.columns.is_empty() && !refers_to_itself,
                ..QueryContext::default()
            };
            let output = self.query(query, context)?;
            if refers_to_itself {
                self.ctes.pop();
            }
            self.ctes
                .push((name, Some(output.into_columns(&alias.columns))));
        }
        Ok(())
    }

    fn body(
        &mut self,
        body: &mut SetExpr,
        order_by: Option<&mut OrderBy>,
        context: QueryContext,
    ) -> Result<QueryOutput> {
        let output = match body {
            SetExpr::Select(select) => return self.select(select, order_by, context),
            SetExpr::Query(query) => self.query(query, context)?,
            SetExpr::SetOperation { .. } => self.set_operation(body, context)?,
            SetExpr::Values(values) => {
                if context.sets_column_names {
                    self.column_names = vec![OutputName::Rest];
                }
                self.values(values)?
            }
            _ => {
                self.column_names = vec![OutputName::Rest];
                QueryOutput::default()
            }
        };
        if let Some(order_by) = order_by {
            self.in_output_scope(&output, |this| this.visit(order_by))?;
        }
        Ok(output)
    }

    /// Runs `act` in a scope that has only the query's own output.
    fn in_output_scope(
        &mut self,
        output: &QueryOutput,
        act: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let columns = ColumnIndex::new(output.columns.clone(), output.complete);
        let result = Relation {
            label: "the result".to_string(),
            qualifier: vec![],
            accepts: vec![],
            columns: Some(Arc::new(columns)),
            is_table: false,
            in_wildcard: true,
            merged: vec![],
        };
        self.scopes.push(Scope {
            relations: vec![result],
            ..Scope::default()
        });
        act(self)?;
        self.scopes.pop();
        Ok(())
    }

    fn values(&mut self, values: &mut Values) -> Result<QueryOutput> {
        for row in &mut values.rows {
            self.visit(&mut row.content)?;
        }
        let width = values.rows.first().map_or(0, |row| row.content.len());
        let names = (1..=width).map(|at| format!("column{at}"));
        Ok(QueryOutput {
            columns: names
                .map(|name| RelationColumn::named(&name, &name))
                .collect(),
            complete: true,
            hidden: 0,
        })
    }

    /// Rewrites the branches from the left; the first one names the result. Generated unions have
    /// thousands of branches, hence the loop.
    fn set_operation(&mut self, body: &mut SetExpr, context: QueryContext) -> Result<QueryOutput> {
        let mut branches = vec![];
        let mut is_union_all = true;
        let mut node = body;
        while let SetExpr::SetOperation {
            left,
            op,
            set_quantifier,
            right,
        } = node
        {
            is_union_all &= *op == SetOperator::Union && *set_quantifier == SetQuantifier::All;
            branches.push(right.as_mut());
            node = left.as_mut();
        }
        branches.push(node);
        branches.reverse();
        let are_selects = branches.iter().all(|branch| branch.as_select().is_some());
        let mut outputs: Vec<QueryOutput> = Vec::with_capacity(branches.len());
        for (at, branch) in branches.iter_mut().enumerate() {
            let context = QueryContext {
                sets_column_names: context.sets_column_names && at == 0,
                needs_aliases: true,
                keeps_hidden: context.keeps_hidden && is_union_all && are_selects,
            };
            outputs.push(self.body(branch, None, context)?);
        }
        let agree = outputs
            .windows(2)
            .all(|pair| pair[0].hidden_names().eq(pair[1].hidden_names()));
        if !agree {
            for (branch, output) in branches.iter_mut().zip(&mut outputs) {
                if let SetExpr::Select(select) = branch {
                    let left = select.projection.len() - output.hidden;
                    select.projection.truncate(left);
                }
                output
                    .columns
                    .truncate(output.columns.len() - output.hidden);
                output.hidden = 0;
            }
        }
        Ok(outputs.swap_remove(0))
    }

    fn select(
        &mut self,
        select: &mut Select,
        order_by: Option<&mut OrderBy>,
        context: QueryContext,
    ) -> Result<QueryOutput> {
        if select.flavor == SelectFlavor::FromFirstNoSelect {
            let all = SelectItem::Wildcard(WildcardAdditionalOptions::default());
            select.projection = vec![all];
            select.flavor = SelectFlavor::Standard;
        }
        self.scopes.push(Scope::default());
        unnest::commas_to_joins(&mut select.from);
        for from in &mut select.from {
            self.from(from)?;
        }
        self.scope().aliases = aliases(&select.projection);
        self.condition(select.prewhere.as_mut())?;
        self.condition(select.selection.as_mut())?;
        let output = self.projection(select, context)?;
        self.visit(&mut select.named_window)?;

        self.scope().sees_aliases = AliasOrder::Last;
        self.visit(&mut select.group_by)?;
        self.condition(select.having.as_mut())?;
        self.condition(select.qualify.as_mut())?;

        self.scope().sees_aliases = AliasOrder::First;
        if let Some(Distinct::On(exprs)) = &mut select.distinct {
            self.visit(exprs)?;
        }
        let mut order_by = order_by;
        if let Some(order_by) = &mut order_by {
            self.visit(*order_by)?;
            if let Some(Distinct::Distinct) = select.distinct {
                order_by_names(order_by, &select.projection);
            }
        }
        casts::name_apart(select, order_by);
        self.scopes.pop();
        Ok(output)
    }

    /// Rewrites a condition and coerces it to a boolean.
    pub fn condition(&mut self, expr: Option<&mut Expr>) -> Result<()> {
        let Some(expr) = expr else { return Ok(()) };
        self.visit(expr)?;
        self.coerce_to_boolean(expr);
        Ok(())
    }

    /// Returns the scope of the SELECT under rewrite.
    pub fn scope(&mut self) -> &mut Scope {
        self.scopes.last_mut().expect("a SELECT has a scope")
    }
}

/// Returns whether the rows after a `|>` have the same columns as before it; otherwise only the
/// planner knows them.
fn keeps_columns(operator: &PipeOperator) -> bool {
    matches!(
        operator,
        PipeOperator::Where { .. } | PipeOperator::OrderBy { .. } | PipeOperator::Limit { .. }
    )
}

/// Replaces SELECT items that ORDER BY repeats by their aliases: after DISTINCT the planner can
/// order only by those.
fn order_by_names(order_by: &mut OrderBy, projection: &[SelectItem]) {
    let OrderByKind::Expressions(exprs) = &mut order_by.kind else {
        return;
    };
    for OrderByExpr { expr, .. } in exprs {
        let same = projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr: it, alias } if it == expr => Some(alias),
            _ => None,
        });
        if let Some(alias) = same {
            *expr = Expr::Identifier(alias.clone());
        }
    }
}

fn aliases(projection: &[SelectItem]) -> Vec<String> {
    let alias = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(normalized(alias)),
        _ => None,
    };
    projection.iter().filter_map(alias).collect()
}

/// Returns a query error.
pub(super) fn refuse<T>(message: String) -> Result<T> {
    Err(Error::query(message))
}
