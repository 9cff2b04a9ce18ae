//! Names apart what the planner would call alike: `max(eventTime)` and `max(eventTime::date)`.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, OrderBy, Select, SelectItem, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use super::path::call;
use crate::query::functions::cast_name::CAST_NAME;

/// Wraps the casts of a rewritten SELECT in [`CAST_NAME`] if two of its calls or groups differ only
/// in casts.
pub(super) fn name_apart(select: &mut Select, order_by: Option<&mut OrderBy>) {
    let mut calls = Calls::default();
    let _ = select.projection.visit(&mut calls);
    if let GroupByExpr::Expressions(exprs, _) = &select.group_by
        && !exprs.is_empty()
    {
        let items = select.projection.iter().filter_map(expr_of);
        items.chain(exprs).for_each(|expr| calls.add(expr));
    }
    let _ = select.group_by.visit(&mut calls);
    let _ = select.having.visit(&mut calls);
    let _ = select.qualify.visit(&mut calls);
    if let Some(order_by) = &order_by {
        let _ = Visit::visit(&**order_by, &mut calls);
    }
    if !calls.are_alike() {
        return;
    }
    let _ = VisitMut::visit(&mut select.projection, &mut Wrap);
    let _ = VisitMut::visit(&mut select.group_by, &mut Wrap);
    let _ = VisitMut::visit(&mut select.having, &mut Wrap);
    let _ = VisitMut::visit(&mut select.qualify, &mut Wrap);
    if let Some(order_by) = order_by {
        let _ = VisitMut::visit(order_by, &mut Wrap);
    }
}

fn expr_of(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

/// The function calls of a SELECT, and its groups.
#[derive(Default)]
struct Calls {
    /// Expressions, as they are and without casts.
    found: HashMap<String, HashSet<String>>,
    has_casts: bool,
}

impl Calls {
    fn add(&mut self, expr: &Expr) {
        let mut bare = expr.clone();
        let _ = VisitMut::visit(&mut bare, &mut Strip);
        let texts = self.found.entry(bare.to_string().to_lowercase());
        texts.or_default().insert(expr.to_string().to_lowercase());
    }

    fn are_alike(&self) -> bool {
        self.has_casts && self.found.values().any(|texts| texts.len() > 1)
    }
}

impl Visitor for Calls {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(_) => self.add(expr),
            Expr::Cast { .. } | Expr::AtTimeZone { .. } => self.has_casts = true,
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Takes casts off.
struct Strip;

impl VisitorMut for Strip {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Cast { expr: inner, .. }
        | Expr::AtTimeZone {
            timestamp: inner, ..
        }
        | Expr::Nested(inner) = expr
        {
            *expr = std::mem::replace(&mut **inner, Expr::value(Value::Null));
        }
        ControlFlow::Continue(())
    }
}

/// Wraps casts.
struct Wrap;

impl VisitorMut for Wrap {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let name = match expr {
            Expr::Cast { data_type, .. } => data_type.to_string(),
            Expr::AtTimeZone { time_zone, .. } => time_zone.to_string(),
            _ => return ControlFlow::Continue(()),
        };
        let name = Expr::value(Value::SingleQuotedString(name));
        let cast = std::mem::replace(expr, Expr::value(Value::Null));
        *expr = call(CAST_NAME, vec![cast, name]);
        ControlFlow::Continue(())
    }
}
