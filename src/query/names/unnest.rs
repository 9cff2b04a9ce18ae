//! Rewrites `FROM events e CROSS JOIN UNNEST(e.resources) AS t(r)`, an array of each row as a
//! relation.
//!
//! The engine unnests in a SELECT list, but not a column of another relation in the FROM clause.
//! The array is therefore unnested in a subquery of its relation, and both names stay in scope:
//!
//! ```text
//! FROM (SELECT eventname, ..., unnest(resources) AS r FROM events AS e) AS e
//! ```

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Fields};
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Query, SelectItem,
    SetExpr, Statement, Subscript, TableAlias, TableFactor, TableWithJoins, Value,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::columns::{ColumnIndex, RelationColumn};
use super::path::{column_expr, normalized, quoted};
use super::scope::Relation;
use super::walk::Rewriter;
use crate::error::{Error, Result};

/// The parts of an `UNNEST` relation.
struct Unnest {
    arrays: Vec<Expr>,
    alias: TableAlias,
}

/// Rewrites `FROM a, UNNEST(...)` to `FROM a CROSS JOIN UNNEST(...)`.
pub(super) fn commas_to_joins(from: &mut Vec<TableWithJoins>) {
    let mut at = 1;
    while at < from.len() {
        if !matches!(from[at].relation, TableFactor::UNNEST { .. }) {
            at += 1;
            continue;
        }
        let TableWithJoins { relation, joins } = from.remove(at);
        let before = &mut from[at - 1].joins;
        before.push(Join {
            relation,
            global: false,
            join_operator: JoinOperator::CrossJoin(JoinConstraint::None),
        });
        before.extend(joins);
    }
}

impl Rewriter<'_> {
    /// Moves the UNNEST of a cross join into the first relation of its FROM item, whose position in
    /// the scope is `base`. Returns `false` for any other join, or if the array is not a column of
    /// that relation.
    pub fn unnest(&mut self, first: &mut TableFactor, base: usize, join: &Join) -> Result<bool> {
        let Some(mut unnest) = Unnest::of(join) else {
            return Ok(false);
        };
        let Some(relation) = self.scope().relations.get(base).cloned() else {
            return Ok(false);
        };
        let Some(name) = relation.qualifier.last().cloned() else {
            return Ok(false);
        };
        if relation.is_open() {
            return Ok(false);
        }
        // Arrays already unnested from this relation come from the same subquery.
        let qualifier = relation.qualifier.clone();
        let (own, others): (Vec<Relation>, Vec<Relation>) =
            std::mem::take(&mut self.scope().relations)
                .into_iter()
                .partition(|it| it.qualifier == qualifier);
        self.scope().relations = own;
        let types: Option<Vec<DataType>> = unnest
            .arrays
            .iter()
            .map(|it| self.element_type(it))
            .collect();
        let result = match types {
            Some(_) => self.visit(&mut unnest.arrays),
            None => Ok(()),
        };
        let mut own = std::mem::take(&mut self.scope().relations);
        result?;
        let Some(types) = types else {
            self.scope().relations = restore(own, others, base);
            return Ok(false);
        };
        let columns = unnest.wrap(first, &self.subquery_columns(&own), &types, &name)?;
        for relation in &mut own {
            relation.qualifier = vec![name.clone()];
        }
        let alias = normalized(&unnest.alias.name);
        own.push(Relation {
            label: alias.clone(),
            qualifier: vec![name],
            accepts: vec![alias.to_lowercase()],
            columns: Some(Arc::new(ColumnIndex::new(columns, true))),
            is_table: false,
            in_wildcard: true,
            merged: vec![],
        });
        self.scope().relations = restore(own, others, base);
        Ok(true)
    }

    /// Returns the columns that the subquery passes on, the same as those of a CTE.
    fn subquery_columns(&self, relations: &[Relation]) -> Vec<RelationColumn> {
        let mut kept: Vec<RelationColumn> = vec![];
        for columns in relations.iter().filter_map(|it| it.columns.as_ref()) {
            let visible = columns.iter().filter(|column| column.visible);
            kept.extend(visible.chain(self.mentions.hidden(columns)).cloned());
        }
        kept
    }
}

/// Puts the relations back at `base`, the new one after those of its subquery.
fn restore(own: Vec<Relation>, mut others: Vec<Relation>, base: usize) -> Vec<Relation> {
    let at = base.min(others.len());
    others.splice(at..at, own);
    others
}

impl Unnest {
    fn of(join: &Join) -> Option<Self> {
        let is_cross = match &join.join_operator {
            JoinOperator::CrossJoin(JoinConstraint::None)
            | JoinOperator::Join(JoinConstraint::None)
            | JoinOperator::Inner(JoinConstraint::None) => true,
            JoinOperator::Join(JoinConstraint::On(on))
            | JoinOperator::Inner(JoinConstraint::On(on)) => {
                matches!(on, Expr::Value(value) if value.value == Value::Boolean(true))
            }
            _ => false,
        };
        match &join.relation {
            TableFactor::UNNEST {
                alias,
                array_exprs,
                with_offset: false,
                with_ordinality: false,
                ..
            } if is_cross => Some(Self {
                arrays: array_exprs.clone(),
                alias: alias.clone().unwrap_or_else(|| alias_named("unnest")),
            }),
            _ => None,
        }
    }

    /// Wraps `factor` in the subquery, whose alias is `name`, and returns the columns it adds.
    fn wrap(
        &self,
        factor: &mut TableFactor,
        kept: &[RelationColumn],
        types: &[DataType],
        name: &str,
    ) -> Result<Vec<RelationColumn>> {
        let fields = self.fields(types);
        let taken = |name: &str| kept.iter().any(|column| column.name == *name);
        let columns = self.columns(types, &fields, taken);
        let mut subquery = select(factor, kept, name)?;
        push(&mut subquery, self.items(&fields, &columns));
        *factor = derived(subquery, name);
        if fields.is_some() {
            // An outer subquery selects the fields of the structs.
            let mut outer = select(factor, kept, name)?;
            push(&mut outer, self.field_items(&fields, &columns));
            *factor = derived(outer, name);
        }
        Ok(columns)
    }

    /// Returns the fields of each element's struct, if the column list names the fields, as in
    /// Trino.
    fn fields(&self, types: &[DataType]) -> Option<Vec<Option<Fields>>> {
        let fields: Vec<Option<Fields>> = types
            .iter()
            .map(|data_type| match data_type {
                DataType::Struct(fields) => Some(fields.clone()),
                _ => None,
            })
            .collect();
        let width = fields.iter().map(|it| it.as_ref().map_or(1, |it| it.len()));
        let names = self.alias.columns.len();
        (names != types.len() && names == width.sum::<usize>()).then_some(fields)
    }

    /// Returns the relation's columns. Without a column list, its one column has the relation's
    /// name.
    fn columns(
        &self,
        types: &[DataType],
        fields: &Option<Vec<Option<Fields>>>,
        taken: impl Fn(&str) -> bool,
    ) -> Vec<RelationColumn> {
        let types: Vec<DataType> = match fields {
            None => types.to_vec(),
            Some(fields) => {
                let types = fields.iter().zip(types);
                let types = types.flat_map(|(fields, data_type)| match fields {
                    Some(fields) => fields.iter().map(|it| it.data_type().clone()).collect(),
                    None => vec![data_type.clone()],
                });
                types.collect()
            }
        };
        let list: Vec<&Ident> = self.alias.columns.iter().map(|it| &it.name).collect();
        let types = types.into_iter().enumerate();
        let column = |(at, data_type): (usize, DataType)| {
            let ident = list.get(at).copied().unwrap_or(&self.alias.name);
            let mut name = normalized(ident);
            while taken(&name) {
                name = format!("{}.{name}", normalized(&self.alias.name));
            }
            RelationColumn {
                path: ident.value.clone(),
                data_type: Some(data_type),
                ..RelationColumn::named(&name, &ident.value)
            }
        };
        types.map(column).collect()
    }

    /// Returns the unnested arrays as items of the subquery.
    fn items(
        &self,
        fields: &Option<Vec<Option<Fields>>>,
        columns: &[RelationColumn],
    ) -> Vec<SelectItem> {
        let arrays = self.arrays.iter().enumerate();
        let item = |(at, array): (usize, &Expr)| {
            let name = match fields {
                Some(_) => element_name(at),
                None => columns[at].name.clone(),
            };
            SelectItem::ExprWithAlias {
                expr: unnest_call(array.clone()),
                alias: quoted(&name),
            }
        };
        arrays.map(item).collect()
    }

    /// Returns the elements' fields as items of the outer subquery.
    fn field_items(
        &self,
        fields: &Option<Vec<Option<Fields>>>,
        columns: &[RelationColumn],
    ) -> Vec<SelectItem> {
        let elements = fields.iter().flatten().enumerate();
        let exprs = elements.flat_map(|(at, fields)| {
            let element = column_expr(&[], &element_name(at));
            match fields {
                None => vec![element],
                Some(fields) => fields
                    .iter()
                    .map(|field| field_of(element.clone(), field.name()))
                    .collect(),
            }
        });
        let items = exprs.zip(columns);
        let item = |(expr, column): (Expr, &RelationColumn)| SelectItem::ExprWithAlias {
            expr,
            alias: quoted(&column.name),
        };
        items.map(item).collect()
    }
}

fn element_name(at: usize) -> String {
    format!("element:{at}")
}

fn field_of(element: Expr, field: &str) -> Expr {
    let index = Expr::value(Value::SingleQuotedString(field.to_string()));
    Expr::CompoundFieldAccess {
        root: Box::new(element),
        access_chain: vec![AccessExpr::Subscript(Subscript::Index { index })],
    }
}

fn unnest_call(array: Expr) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(Ident::new("unnest")),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(array))],
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}

fn derived(subquery: Box<Query>, name: &str) -> TableFactor {
    TableFactor::Derived {
        lateral: false,
        subquery,
        alias: Some(alias_named(name)),
        sample: None,
    }
}

fn alias_named(name: &str) -> TableAlias {
    TableAlias {
        explicit: true,
        name: quoted(name),
        columns: vec![],
        at: None,
    }
}

/// Builds `SELECT kept FROM factor`, taking `factor`.
fn select(factor: &mut TableFactor, kept: &[RelationColumn], name: &str) -> Result<Box<Query>> {
    let parsed = Parser::parse_sql(&GenericDialect {}, "SELECT FROM t");
    let statement = parsed.ok().and_then(|mut statements| statements.pop());
    let Some(Statement::Query(mut query)) = statement else {
        return Err(Error::bug("the parser refuses a query without columns"));
    };
    if let SetExpr::Select(select) = query.body.as_mut() {
        let item =
            |column: &RelationColumn| SelectItem::UnnamedExpr(column_expr(&[], &column.name));
        select.projection = kept.iter().map(item).collect();
        let placeholder = TableFactor::TableFunction {
            expr: column_expr(&[], name),
            alias: None,
        };
        select.from = vec![TableWithJoins {
            relation: std::mem::replace(factor, placeholder),
            joins: vec![],
        }];
    }
    Ok(query)
}

fn push(query: &mut Query, items: Vec<SelectItem>) {
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection.extend(items);
    }
}
