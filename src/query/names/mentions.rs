//! Collects the paths of a statement, so that `SELECT *` inside a CTE passes on the hidden columns
//! that the outer query needs, and no others.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, JoinConstraint, JoinOperator, ObjectNamePart, Select, Visit, Visitor,
};

use super::columns::{ColumnIndex, RelationColumn};
use super::path::{Part, parts_of, text_of};

/// The paths of a statement.
#[derive(Debug, Default)]
pub(super) struct Mentions {
    paths: Vec<Vec<String>>,
    /// Whether a NATURAL join matches columns by name, so that additional columns would change the
    /// result.
    pub natural: bool,
}

impl Mentions {
    /// Collects the paths of a query that has not been rewritten.
    pub fn of(node: &impl Visit) -> Self {
        let mut mentions = Self::default();
        let _ = node.visit(&mut mentions);
        mentions
    }

    /// Returns the columns that `SELECT *` omits and the statement mentions, in table order.
    pub fn hidden<'a>(&self, columns: &'a ColumnIndex) -> Vec<&'a RelationColumn> {
        let mut found = BTreeSet::new();
        for path in &self.paths {
            for start in 0..path.len() {
                let ends = (start + 1..=path.len()).rev();
                let mut texts = ends.map(|end| path[start..end].join("."));
                let column = texts.find_map(|text| columns.find(&text));
                if let Some(column) = column
                    && !column.visible
                {
                    found.insert((columns.position(column), &column.name));
                }
            }
        }
        let found = found.into_iter();
        found.filter_map(|(_, name)| columns.find(name)).collect()
    }

    fn add(&mut self, parts: &[Part]) {
        let mut names = Vec::with_capacity(parts.len());
        for part in parts.iter().map_while(Part::name) {
            names.extend(part.value.split('.').map(str::to_string));
        }
        self.paths.push(names);
    }
}

impl Visitor for Mentions {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Some(parts) = parts_of(expr) {
            self.add(&parts);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        for join in select.from.iter().flat_map(|from| &from.joins) {
            match constraint(&join.join_operator) {
                Some(JoinConstraint::Natural) => self.natural = true,
                Some(JoinConstraint::Using(names)) => {
                    for name in names {
                        let idents = name.0.iter().filter_map(ObjectNamePart::as_ident);
                        let parts: Vec<_> = idents.cloned().map(Part::Name).collect();
                        if text_of(&parts).is_some() {
                            self.add(&parts);
                        }
                    }
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}

/// Returns a join's constraint.
fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    match operator {
        JoinOperator::Join(it)
        | JoinOperator::Inner(it)
        | JoinOperator::Left(it)
        | JoinOperator::LeftOuter(it)
        | JoinOperator::Right(it)
        | JoinOperator::RightOuter(it)
        | JoinOperator::FullOuter(it)
        | JoinOperator::CrossJoin(it)
        | JoinOperator::Semi(it)
        | JoinOperator::LeftSemi(it)
        | JoinOperator::RightSemi(it)
        | JoinOperator::Anti(it)
        | JoinOperator::LeftAnti(it)
        | JoinOperator::RightAnti(it)
        | JoinOperator::StraightJoin(it) => Some(it),
        _ => None,
    }
}
