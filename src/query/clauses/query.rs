//! Checks queries: WITH, the branches and their SELECTs, ORDER BY, LIMIT and pipes.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ConnectByKind, Cte, Distinct, Expr, ExprWithAliasAndOrderBy, Fetch, ForClause, Function,
    GroupByExpr, GroupByWithModifier, Ident, LimitClause, NamedWindowDefinition, NamedWindowExpr,
    OrderBy, OrderByExpr, OrderByKind, OrderByOptions, PipeOperator, Query, Select, SelectItem,
    SetExpr, SetOperator, SetQuantifier, Top, TopQuantity, Values, Visit, Visitor,
    WildcardAdditionalOptions, WindowType, With,
};

use super::exprs::check_window;
use super::relations::{check_alias, check_from, check_join};
use super::{listed, refuse, refuse_if};
use crate::error::Result;

/// Checks the clauses of a query outside its SELECTs, which the visitor finds by itself.
pub(super) fn check_query(query: &Query) -> Result<()> {
    let Query {
        with,
        body,
        order_by,
        limit_clause,
        fetch,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = query;
    if let Some(with) = with {
        check_with(with)?;
    }
    check_body(body)?;
    if let Some(order_by) = order_by {
        check_order_by(order_by, body)?;
    }
    if let Some(limit) = limit_clause {
        check_limit(limit)?;
    }
    if let Some(fetch) = fetch {
        check_fetch(fetch)?;
    }
    if let Some(lock) = locks.first() {
        refuse(&lock.to_string(), "leave it out: nothing is written here")?;
    }
    if let Some(clause) = for_clause {
        let clause = match clause {
            ForClause::Browse => "FOR BROWSE",
            ForClause::Json { .. } => "FOR JSON",
            ForClause::Xml { .. } => "FOR XML",
        };
        refuse(clause, "--format chooses how rows are written")?;
    }
    refuse_if(settings.is_some(), "SETTINGS", "leave it out")?;
    let format = "FORMAT in a query";
    let advice = "--format chooses how rows are written";
    refuse_if(format_clause.is_some(), format, advice)?;
    pipe_operators.iter().try_for_each(check_pipe)
}

fn check_with(with: &With) -> Result<()> {
    let With {
        with_token: _,
        recursive,
        cte_tables,
    } = with;
    for cte in cte_tables {
        let Cte {
            alias,
            query,
            from,
            materialized,
            closing_paren_token: _,
        } = cte;
        check_alias(alias)?;
        refuse_if(from.is_some(), "FROM after a WITH query", "")?;
        if let Some(materialized) = materialized {
            refuse(&materialized.to_string(), "leave it out")?;
        }
        if *recursive {
            check_recursive(query, &alias.name)?;
        }
    }
    Ok(())
}

/// Checks a query of WITH RECURSIVE: of one with UNION the planner reads only the two branches.
fn check_recursive(query: &Query, name: &Ident) -> Result<()> {
    let SetExpr::SetOperation {
        op: SetOperator::Union,
        set_quantifier,
        left: _,
        right: _,
    } = &*query.body
    else {
        return Ok(());
    };
    let place = |clause: &str| format!("{clause} in a recursive query");
    let outside = format!("write it after the query that reads {name}");
    refuse_if(query.with.is_some(), &place("WITH"), "write it before")?;
    refuse_if(query.order_by.is_some(), &place("ORDER BY"), &outside)?;
    refuse_if(query.limit_clause.is_some(), &place("LIMIT"), &outside)?;
    refuse_if(!query.pipe_operators.is_empty(), &place("|>"), &outside)?;
    match set_quantifier {
        SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName => {
            refuse(&place("BY NAME"), "write UNION ALL")
        }
        SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None => Ok(()),
    }
}

/// Checks the branches of a query. Generated unions have thousands of branches, hence the loop.
fn check_body(body: &SetExpr) -> Result<()> {
    let mut bodies = vec![body];
    while let Some(body) = bodies.pop() {
        match body {
            SetExpr::Select(_) | SetExpr::Query(_) => {}
            SetExpr::SetOperation {
                left,
                op,
                set_quantifier: _,
                right,
            } => {
                refuse_if(*op == SetOperator::Minus, "MINUS", "write EXCEPT")?;
                bodies.extend([&**left, &**right]);
            }
            SetExpr::Values(values) => {
                let Values {
                    explicit_row: _,
                    value_keyword,
                    rows: _,
                } = values;
                refuse_if(*value_keyword, "VALUE", "write VALUES")?;
            }
            SetExpr::Table(_) => refuse("TABLE", "write SELECT * FROM")?,
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                return Err(crate::query::only_queries());
            }
        }
    }
    Ok(())
}

fn check_order_by(order_by: &OrderBy, body: &SetExpr) -> Result<()> {
    let OrderBy { kind, interpolate } = order_by;
    refuse_if(interpolate.is_some(), "INTERPOLATE", "")?;
    match kind {
        OrderByKind::All(_) => refuse_if(
            !matches!(body, SetExpr::Select(_)),
            "ORDER BY ALL after a set operation",
            "name the columns: ORDER BY 1, 2",
        ),
        OrderByKind::Expressions(exprs) => {
            check_sort(exprs)?;
            check_windows(exprs)
        }
    }
}

pub(super) fn check_sort(exprs: &[OrderByExpr]) -> Result<()> {
    for expr in exprs {
        let OrderByExpr {
            expr: _,
            options: _,
            with_fill,
        } = expr;
        refuse_if(with_fill.is_some(), "WITH FILL", "")?;
    }
    Ok(())
}

fn check_limit(limit: &LimitClause) -> Result<()> {
    match limit {
        LimitClause::LimitOffset {
            limit,
            offset: _,
            limit_by,
        } => {
            let rows = limit.as_ref().map_or_else(String::new, Expr::to_string);
            let by = listed(limit_by);
            refuse_if(
                !limit_by.is_empty(),
                "LIMIT BY",
                &format!("write QUALIFY row_number() OVER (PARTITION BY {by}) <= {rows}"),
            )
        }
        LimitClause::OffsetCommaLimit {
            offset: _,
            limit: _,
        } => Ok(()),
    }
}

/// Refuses FETCH, with the LIMIT to write instead if there is one.
fn check_fetch(fetch: &Fetch) -> Result<()> {
    let Fetch {
        with_ties,
        percent,
        quantity,
    } = fetch;
    match quantity {
        _ if *with_ties || *percent => refuse("FETCH with PERCENT or TIES", ""),
        Some(rows) => refuse("FETCH", &format!("write LIMIT {rows}")),
        None => refuse("FETCH", "write LIMIT 1"),
    }
}

/// Refuses TOP, with the LIMIT to write instead if there is one.
fn check_top(top: &Top) -> Result<()> {
    let Top {
        with_ties,
        percent,
        quantity,
    } = top;
    let rows = match quantity {
        Some(TopQuantity::Expr(rows)) => rows.to_string(),
        Some(TopQuantity::Constant(rows)) => rows.to_string(),
        None => "1".to_owned(),
    };
    match *with_ties || *percent {
        true => refuse("TOP with PERCENT or TIES", ""),
        false => refuse("TOP", &format!("write LIMIT {rows} at the end")),
    }
}

fn check_pipe(operator: &PipeOperator) -> Result<()> {
    match operator {
        PipeOperator::Limit { expr: _, offset: _ }
        | PipeOperator::Where { expr: _ }
        | PipeOperator::As { alias: _ }
        | PipeOperator::Union {
            set_quantifier: _,
            queries: _,
        }
        | PipeOperator::Intersect {
            set_quantifier: _,
            queries: _,
        }
        | PipeOperator::Except {
            set_quantifier: _,
            queries: _,
        } => Ok(()),
        PipeOperator::OrderBy { exprs } => {
            check_sort(exprs)?;
            check_windows(exprs)
        }
        PipeOperator::Select { exprs } | PipeOperator::Extend { exprs } => {
            exprs.iter().try_for_each(check_item)?;
            check_windows(exprs)
        }
        PipeOperator::Aggregate {
            full_table_exprs,
            group_by_expr,
        } => {
            let unsorted = OrderByOptions::default();
            let is_sorted = |item: &ExprWithAliasAndOrderBy| {
                let ExprWithAliasAndOrderBy { expr: _, order_by } = item;
                *order_by != unsorted
            };
            let mut items = full_table_exprs.iter().chain(group_by_expr);
            refuse_if(
                items.any(is_sorted),
                "an order in |> AGGREGATE",
                "write |> ORDER BY after it",
            )
        }
        PipeOperator::Join(join) => check_join(join),
        PipeOperator::Set { .. } => refuse("|> SET", "write |> SELECT"),
        PipeOperator::Drop { .. } => refuse("|> DROP", "write |> SELECT"),
        PipeOperator::Rename { .. } => refuse("|> RENAME", "write |> SELECT"),
        PipeOperator::TableSample { .. } => {
            refuse("|> TABLESAMPLE", "write |> WHERE random() < 0.1")
        }
        PipeOperator::Call { .. } => refuse("|> CALL", ""),
        PipeOperator::Pivot { .. } => refuse("|> PIVOT", ""),
        PipeOperator::Unpivot { .. } => refuse("|> UNPIVOT", ""),
    }
}

/// Checks the clauses of a SELECT.
pub(super) fn check_select(select: &Select) -> Result<()> {
    let Select {
        select_token: _,
        // Comments: `/*+ ... */`.
        optimizer_hints: _,
        distinct,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection,
        exclude,
        into,
        from,
        lateral_views,
        prewhere,
        selection,
        connect_by,
        group_by,
        cluster_by,
        distribute_by,
        sort_by,
        having,
        named_window,
        qualify,
        window_before_qualify: _,
        value_table_mode,
        flavor: _,
    } = select;
    if let Some(modifiers) = select_modifiers {
        let typed = modifiers.to_string();
        refuse_if(modifiers.is_any_set(), typed.trim(), "leave it out")?;
    }
    top.as_ref().map_or(Ok(()), check_top)?;
    projection.iter().try_for_each(check_item)?;
    refuse_if(exclude.is_some(), "EXCLUDE here", "write it after the *")?;
    refuse_if(into.is_some(), "INTO", "-o writes the rows to a file")?;
    check_from(from)?;
    refuse_if(
        !lateral_views.is_empty(),
        "LATERAL VIEW",
        "write CROSS JOIN UNNEST(resources) AS t (r)",
    )?;
    let advice = match selection {
        Some(_) => "write its condition after WHERE, with AND",
        None => "write WHERE",
    };
    refuse_if(prewhere.is_some(), "PREWHERE", advice)?;
    if let Some(clause) = connect_by.first() {
        let clause = match clause {
            ConnectByKind::ConnectBy { .. } => "CONNECT BY",
            ConnectByKind::StartWith { .. } => "START WITH",
        };
        refuse(clause, "write WITH RECURSIVE")?;
    }
    check_group_by(group_by)?;
    refuse_if(!cluster_by.is_empty(), "CLUSTER BY", "write ORDER BY")?;
    refuse_if(!distribute_by.is_empty(), "DISTRIBUTE BY", "leave it out")?;
    refuse_if(!sort_by.is_empty(), "SORT BY", "write ORDER BY")?;
    if let Some(mode) = value_table_mode {
        refuse(&mode.to_string(), "")?;
    }
    match distinct {
        None | Some(Distinct::All | Distinct::Distinct) => {}
        Some(Distinct::On(exprs)) => check_windows(exprs)?,
    }
    for NamedWindowDefinition(_, window) in named_window {
        match window {
            NamedWindowExpr::NamedWindow(_) => {}
            NamedWindowExpr::WindowSpec(window) => check_window(window)?,
        }
    }
    check_windows(group_by)?;
    check_windows(having)?;
    check_windows(qualify)
}

fn check_item(item: &SelectItem) -> Result<()> {
    match item {
        SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { expr: _, alias: _ } => Ok(()),
        SelectItem::ExprWithAliases { .. } => refuse("AS with several names", ""),
        SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => {
            let WildcardAdditionalOptions {
                wildcard_token: _,
                opt_ilike: _,
                opt_exclude: _,
                opt_except: _,
                opt_replace: _,
                opt_rename: _,
                opt_alias,
            } = options;
            refuse_if(opt_alias.is_some(), "* AS", "name the columns")
        }
    }
}

fn check_group_by(group_by: &GroupByExpr) -> Result<()> {
    let (columns, modifiers) = match group_by {
        GroupByExpr::All(modifiers) => ("...".to_owned(), modifiers),
        GroupByExpr::Expressions(exprs, modifiers) => (listed(exprs), modifiers),
    };
    let Some(modifier) = modifiers.first() else {
        return Ok(());
    };
    let (clause, instead) = match modifier {
        GroupByWithModifier::Rollup => ("WITH ROLLUP", format!("ROLLUP ({columns})")),
        GroupByWithModifier::Cube => ("WITH CUBE", format!("CUBE ({columns})")),
        GroupByWithModifier::Totals => ("WITH TOTALS", format!("GROUPING SETS (({columns}), ())")),
        GroupByWithModifier::GroupingSets(sets) => {
            ("GROUPING SETS after columns", sets.to_string())
        }
    };
    refuse(clause, &format!("write GROUP BY {instead}"))
}

/// Checks that no function refers to a window of the WINDOW clause: outside the SELECT list the
/// planner does not look that up, and would compute a plain aggregate.
fn check_windows(node: &impl Visit) -> Result<()> {
    match node.visit(&mut NamedWindows { queries: 0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(name) => refuse(
            &format!("OVER {name} outside the SELECT list"),
            "write the window in full: OVER (PARTITION BY ...)",
        ),
    }
}

/// Looks for windows that are given by name.
struct NamedWindows {
    /// Subqueries around the current node; those have windows of their own.
    queries: usize,
}

impl Visitor for NamedWindows {
    type Break = Ident;

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<Ident> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Ident> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Ident> {
        match expr {
            Expr::Function(Function {
                over: Some(WindowType::NamedWindow(name)),
                ..
            }) if self.queries == 0 => ControlFlow::Break(name.clone()),
            _ => ControlFlow::Continue(()),
        }
    }
}
