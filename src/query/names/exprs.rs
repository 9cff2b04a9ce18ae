//! Rewrites expressions: paths become columns or extractions, subqueries are rewritten in their
//! scope.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Query, SetExpr, Value, Values, VisitorMut,
};

use super::columns::RelationColumn;
use super::lambda;
use super::path::{
    Part, column_expr, dots_to_keys, is_json_call, json_call_path, keyword, parts_of,
};
use super::patterns;
use super::scope::Resolution;
use super::suggest;
use super::walk::{QueryContext, Rewriter, refuse};
use crate::error::{Error, Result};

impl Rewriter<'_> {
    /// Rewrites an expression that is a path and returns the column it became, if any. Subscripts,
    /// and a root that is not a path, are rewritten as expressions.
    pub fn path(&mut self, expr: &mut Expr) -> Result<Option<RelationColumn>> {
        if let Expr::CompoundFieldAccess { root, access_chain } = expr {
            for access in access_chain.iter_mut() {
                if let AccessExpr::Subscript(subscript) = access {
                    self.visit(subscript)?;
                }
            }
            if parts_of(root).is_none() && keyword(root).is_none() {
                self.visit(root)?;
                dots_to_keys(access_chain);
                return Ok(None);
            }
        }
        let Some(parts) = parts_of(expr) else {
            return Ok(None);
        };
        match self.resolve(&parts)? {
            Resolution::Column(resolved) => {
                let mut resolved = *resolved;
                self.unify_spelling(&mut resolved.expr);
                if let Some(columns) = &resolved.extracted_from
                    && is_json_call(&resolved.expr)
                    && let Some(note) = suggest::near_miss(&resolved.column.path, columns)
                    && !self.notes.contains(&note)
                {
                    self.notes.push(note);
                }
                *expr = resolved.expr;
                Ok(Some(resolved.column))
            }
            Resolution::Alias(alias) => {
                *expr = column_expr(&[], &alias);
                Ok(None)
            }
            Resolution::NotFound | Resolution::Rejected(_) => {
                if let Expr::CompoundFieldAccess { access_chain, .. } = expr {
                    dots_to_keys(access_chain);
                }
                Ok(None)
            }
        }
    }

    /// Replaces a JSON path by its first spelling in the statement, if they differ only in case.
    fn unify_spelling(&mut self, expr: &mut Expr) {
        if !is_json_call(expr) {
            return;
        }
        let lower = expr.to_string().to_lowercase();
        if let Some(path) = json_call_path(expr) {
            let first = self.spellings.entry(lower).or_insert_with(|| path.clone());
            path.clone_from(first);
        }
    }

    /// Resolves a path. Returns `Resolution::NotFound` if a relation with unknown columns may have
    /// it, and an error if no relation has it.
    fn resolve(&self, parts: &[Part]) -> Result<Resolution> {
        let found = match self.lookup(parts) {
            None => return Ok(Resolution::NotFound),
            Some(found) => found,
        };
        match found {
            Resolution::Rejected(message) => return refuse(message),
            Resolution::NotFound => {}
            found => return Ok(found),
        }
        let relations = || self.scopes.iter().flat_map(|scope| &scope.relations);
        // The planner keeps a table's name on the columns of a subquery without an alias.
        let may_be_inner = parts.len() > 1 && relations().any(|it| it.qualifier.is_empty());
        if relations().next().is_none() || relations().any(|it| it.is_open()) || may_be_inner {
            return Ok(Resolution::NotFound);
        }
        refuse(suggest::unknown(parts, &self.scopes))
    }

    /// Resolves a path from the innermost scope outwards. Returns `None` for lambda parameters and
    /// variables.
    fn lookup(&self, parts: &[Part]) -> Option<Resolution> {
        let first = parts.first().and_then(Part::name)?;
        let is_parameter = |name: &String| name.eq_ignore_ascii_case(&first.value);
        if self.lambdas.iter().flatten().any(is_parameter)
            || (first.quote_style.is_none() && first.value.starts_with('@'))
        {
            return None;
        }
        let mut refused = Resolution::NotFound;
        for scope in self.scopes.iter().rev() {
            match scope.find(parts) {
                Resolution::NotFound => {}
                Resolution::Rejected(message) if matches!(refused, Resolution::NotFound) => {
                    refused = Resolution::Rejected(message);
                }
                Resolution::Rejected(_) => {}
                found => return Some(found),
            }
        }
        Some(refused)
    }

    /// Returns the column that a path would become, without reporting errors or notes.
    pub fn column_of(&self, parts: &[Part]) -> Option<RelationColumn> {
        match self.lookup(parts) {
            Some(Resolution::Column(resolved)) => Some(resolved.column),
            _ => None,
        }
    }

    /// Returns the identifier if the expression is a function without parentheses, such as `user`,
    /// whose name is also that of a column or alias in scope.
    fn is_shadowed_keyword(&self, expr: &Expr) -> Option<Expr> {
        let ident = keyword(expr)?;
        match self.lookup(&[Part::Name(ident.clone())])? {
            Resolution::Column(_) | Resolution::Alias(_) => Some(Expr::Identifier(ident.clone())),
            _ => None,
        }
    }

    fn enter(&mut self, expr: &mut Expr) -> Result<()> {
        if let Some(ident) = self.is_shadowed_keyword(expr) {
            *expr = ident;
        }
        match expr {
            Expr::Identifier(_)
            | Expr::CompoundIdentifier(_)
            | Expr::CompoundFieldAccess { .. } => {
                // Taken out, because the visitor would rewrite the result again.
                let mut taken = std::mem::replace(expr, Expr::value(Value::Null));
                self.path(&mut taken)?;
                self.taken.push(Some(taken));
                return Ok(());
            }
            Expr::Function(function) => lambda::from_arrows(function),
            Expr::SimilarTo { .. }
            | Expr::RLike { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. } => {
                patterns::rewrite(expr)?;
            }
            Expr::Lambda(function) => {
                let names = function.params.iter().map(|it| it.name.value.clone());
                self.lambdas.push(names.collect());
            }
            _ => {}
        }
        self.taken.push(None);
        Ok(())
    }
}

impl VisitorMut for Rewriter<'_> {
    type Break = Error;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        match self.enter(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        match self.taken.pop().flatten() {
            Some(taken) => *expr = taken,
            None => {
                if let Expr::Lambda(_) = expr {
                    self.lambdas.pop();
                }
                self.coerce(expr);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        // Rewritten as a whole in its own scope, and taken out as well.
        let mut taken = std::mem::replace(query, nothing());
        match self.query(&mut taken, QueryContext::default()) {
            Ok(_) => {
                self.queries.push(taken);
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        if let Some(taken) = self.queries.pop() {
            *query = taken;
        }
        ControlFlow::Continue(())
    }
}

fn nothing() -> Query {
    Query {
        with: None,
        body: Box::new(SetExpr::Values(Values {
            explicit_row: false,
            value_keyword: false,
            rows: vec![],
        })),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: vec![],
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: vec![],
    }
}

/// Returns an expression's text as typed, without the quotes of a quoted path.
pub(super) fn typed(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(ident) => ident.value.clone(),
        Expr::CompoundIdentifier(idents) => {
            let values: Vec<&str> = idents.iter().map(|ident| ident.value.as_str()).collect();
            values.join(".")
        }
        other => other.to_string(),
    }
}
