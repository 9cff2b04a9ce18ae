//! Rewrites the FROM clause and collects its relations.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, TableAlias,
    TableFactor, TableWithJoins,
};

use super::columns::{ColumnIndex, RelationColumn};
use super::path::{normalized, parts_of, quoted};
use super::scope::Relation;
use super::walk::{QueryContext, Rewriter, refuse, relabel};
use super::{DEFAULT_CATALOG, DEFAULT_SCHEMA};
use crate::error::Result;

impl Rewriter<'_> {
    /// Rewrites one item of a FROM clause and adds its relations to the scope.
    pub fn from(&mut self, from: &mut TableWithJoins) -> Result<()> {
        let base = self.scope().relations.len();
        self.relation(&mut from.relation)?;
        // Unnesting multiplies rows, which only some joins after it allow.
        let mut keeps_rows = true;
        for mut join in std::mem::take(&mut from.joins) {
            if keeps_rows && self.unnest(&mut from.relation, base, &join)? {
                continue;
            }
            self.join(&mut join)?;
            keeps_rows &= matches!(
                join.join_operator,
                JoinOperator::Join(_)
                    | JoinOperator::Inner(_)
                    | JoinOperator::Left(_)
                    | JoinOperator::LeftOuter(_)
                    | JoinOperator::CrossJoin(_)
            );
            from.joins.push(join);
        }
        Ok(())
    }

    fn join(&mut self, join: &mut Join) -> Result<()> {
        let first = self.scope().relations.len();
        self.relation(&mut join.relation)?;
        let relations = &mut self.scope().relations;
        match &join.join_operator {
            JoinOperator::Semi(_)
            | JoinOperator::LeftSemi(_)
            | JoinOperator::Anti(_)
            | JoinOperator::LeftAnti(_) => {
                relations[first..]
                    .iter_mut()
                    .for_each(|it| it.in_wildcard = false);
            }
            JoinOperator::RightSemi(_) | JoinOperator::RightAnti(_) => {
                relations[..first]
                    .iter_mut()
                    .for_each(|it| it.in_wildcard = false);
            }
            _ => {}
        }
        match constraint(&mut join.join_operator) {
            Some(JoinConstraint::On(on)) => self.condition(Some(on)),
            Some(JoinConstraint::Using(names)) => {
                for name in names {
                    self.using(name, first);
                }
                Ok(())
            }
            Some(JoinConstraint::Natural) => {
                self.scope().natural = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Replaces a column of USING by its name in the plan.
    fn using(&mut self, name: &mut ObjectName, first: usize) {
        let idents = name.0.iter().filter_map(ObjectNamePart::as_ident);
        let typed: Vec<&str> = idents.map(|ident| ident.value.as_str()).collect();
        let typed = typed.join(".");
        let relations = &mut self.scope().relations;
        let found = relations.iter().rev().find_map(|relation| {
            let column = relation.columns.as_ref()?.find(&typed)?;
            Some(column.name.clone())
        });
        let physical = found.unwrap_or_else(|| typed.to_lowercase());
        for relation in &mut relations[first..] {
            relation.merged.push(physical.clone());
        }
        if name.0.len() > 1 || relations.iter().any(|it| it.columns.is_some()) {
            *name = ObjectName::from(quoted(&physical));
        }
    }

    fn relation(&mut self, factor: &mut TableFactor) -> Result<()> {
        let relation = match factor {
            // The planner would ignore TABLESAMPLE and return all rows.
            TableFactor::Table {
                sample: Some(_), ..
            } => {
                return refuse(
                    "TABLESAMPLE is not supported; for a tenth of the rows, use WHERE random() < 0.1"
                        .to_owned(),
                );
            }
            TableFactor::Table {
                name,
                alias,
                args: None,
                ..
            } => renamed(self.table(name), alias.as_ref()),
            TableFactor::Derived {
                lateral,
                subquery,
                alias,
                ..
            } => {
                let list = alias.as_ref().map_or(&[][..], |alias| &alias.columns);
                let context = QueryContext {
                    needs_aliases: true,
                    keeps_hidden: list.is_empty(),
                    ..QueryContext::default()
                };
                // Without LATERAL a subquery does not see its neighbours.
                let scope = if *lateral { None } else { self.scopes.pop() };
                let output = self.query(subquery, context)?;
                self.scopes.extend(scope);
                derived(Some(output.into_columns(list)), alias.as_ref())
            }
            TableFactor::UNNEST {
                alias, array_exprs, ..
            } => {
                let types: Vec<_> = array_exprs.iter().map(|it| self.element_type(it)).collect();
                self.visit(array_exprs)?;
                let columns = alias.as_ref().and_then(|alias| unnested(alias, types));
                derived(columns, alias.as_ref())
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => return self.from(table_with_joins),
            TableFactor::Table { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::Pivot { alias, .. }
            | TableFactor::Unpivot { alias, .. }
            | TableFactor::MatchRecognize { alias, .. } => derived(None, alias.as_ref()),
            TableFactor::NestedJoin {
                table_with_joins,
                alias,
            } => {
                let first = self.scope().relations.len();
                self.from(table_with_joins)?;
                self.scope().relations.truncate(first);
                derived(None, alias.as_ref())
            }
            _ => derived(None, None),
        };
        self.scope().relations.push(relation);
        Ok(())
    }

    /// Resolves a CTE or table by its name in any case, and replaces the name by the plan's.
    pub fn table(&mut self, name: &mut ObjectName) -> Relation {
        let idents: Vec<Ident> = name
            .0
            .iter()
            .filter_map(ObjectNamePart::as_ident)
            .cloned()
            .collect();
        let lower: Vec<String> = idents.iter().map(|it| it.value.to_lowercase()).collect();
        let mut relation = Relation {
            label: name.to_string(),
            qualifier: idents.iter().map(normalized).collect(),
            accepts: lower.clone(),
            columns: None,
            is_table: false,
            in_wildcard: true,
            merged: vec![],
        };
        if let [cte] = lower.as_slice()
            && let Some((cte, columns)) = self.cte(&idents[0], cte)
        {
            relation.label.clone_from(&cte);
            relation.qualifier = vec![cte];
            relation.columns = columns;
        } else if let Some((table, columns)) = self.names.table(&lower) {
            let qualifier = lower.iter().rev().skip(1).rev().cloned();
            relation.qualifier = qualifier.chain([table.to_string()]).collect();
            relation.label = table.to_string();
            let home = [DEFAULT_CATALOG, DEFAULT_SCHEMA, table];
            relation.accepts = home.map(str::to_lowercase).to_vec();
            relation.columns = Some(columns);
            relation.is_table = true;
        } else {
            return relation;
        }
        let idents: Vec<Ident> = relation.qualifier.iter().map(|it| quoted(it)).collect();
        *name = ObjectName::from(idents);
        relation
    }

    fn cte(&self, ident: &Ident, lower: &str) -> Option<(String, Option<Arc<ColumnIndex>>)> {
        let exact = normalized(ident);
        let ctes = || self.ctes.iter().rev();
        ctes()
            .find(|(name, _)| *name == exact)
            .or_else(|| ctes().find(|(name, _)| name.to_lowercase() == lower))
            .cloned()
    }

    /// Returns the element type of an array that is a column.
    pub fn element_type(&self, array: &Expr) -> Option<DataType> {
        let column = self.column_of(&parts_of(array)?)?;
        match column.data_type? {
            DataType::List(item) | DataType::LargeList(item) => Some(item.data_type().clone()),
            _ => None,
        }
    }
}

/// Applies a table's alias, if it has one.
fn renamed(mut relation: Relation, alias: Option<&TableAlias>) -> Relation {
    let Some(alias) = alias else { return relation };
    let name = normalized(&alias.name);
    relation.accepts = vec![name.to_lowercase()];
    relation.qualifier = vec![name];
    if let Some(columns) = &relation.columns
        && !alias.columns.is_empty()
    {
        let all = columns.iter().cloned().collect();
        let columns = ColumnIndex::new(all, columns.is_complete());
        relation.columns = Some(Arc::new(relabel(columns, &alias.columns)));
    }
    relation
}

fn derived(columns: Option<Arc<ColumnIndex>>, alias: Option<&TableAlias>) -> Relation {
    let name = alias.map(|alias| normalized(&alias.name));
    Relation {
        label: name.clone().unwrap_or_else(|| "the subquery".to_string()),
        accepts: name.iter().map(|name| name.to_lowercase()).collect(),
        qualifier: name.into_iter().collect(),
        columns,
        is_table: false,
        in_wildcard: true,
        merged: vec![],
    }
}

/// Returns the columns of `UNNEST(a, b) AS t(x, y)`.
fn unnested(alias: &TableAlias, types: Vec<Option<DataType>>) -> Option<Arc<ColumnIndex>> {
    if alias.columns.len() != types.len() {
        return None;
    }
    let columns = alias
        .columns
        .iter()
        .zip(types)
        .map(|(column, data_type)| RelationColumn {
            data_type,
            ..RelationColumn::named(&normalized(&column.name), &column.name.value)
        });
    Some(Arc::new(ColumnIndex::new(columns.collect(), true)))
}

/// Returns a join's constraint.
fn constraint(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
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
