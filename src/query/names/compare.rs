//! Coerces text that is compared with a number or a boolean.
//!
//! The planner would cast the text, and one value that does not parse would fail the query. The
//! rewriter wraps the text in TRY_CAST, which turns such a value into NULL.

use datafusion::arrow::datatypes::DataType as ArrowType;
use datafusion::sql::sqlparser::ast::{BinaryOperator, DataType, Expr, UnaryOperator, Value};

use super::path::{CoercionType, is_json_call, parts_of, try_cast};
use super::walk::Rewriter;
use crate::query::functions::json_path::is_text;

impl Rewriter<'_> {
    /// Casts the text operands of an expression whose operands have been rewritten.
    pub fn coerce(&self, expr: &mut Expr) {
        match expr {
            Expr::BinaryOp { left, op, right } => match op {
                BinaryOperator::And | BinaryOperator::Or => {
                    self.coerce_to_boolean(left);
                    self.coerce_to_boolean(right);
                }
                op if is_comparison(op) || is_arithmetic(op) => self.coerce_pair(left, right),
                _ => {}
            },
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                self.coerce_pair(left, right);
            }
            Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr,
            }
            | Expr::IsTrue(expr)
            | Expr::IsNotTrue(expr)
            | Expr::IsFalse(expr)
            | Expr::IsNotFalse(expr) => self.coerce_to_boolean(expr),
            Expr::Between {
                expr, low, high, ..
            } => self.coerce_to_common(expr, [&**low, &**high].into_iter()),
            Expr::InList { expr, list, .. } => {
                if self.coercion_type(expr) == CoercionType::Boolean {
                    list.iter_mut().for_each(literal_to_boolean);
                }
                self.coerce_to_common(expr, list.iter());
            }
            Expr::Case {
                operand,
                conditions,
                ..
            } => match operand {
                Some(operand) => {
                    self.coerce_to_common(operand, conditions.iter().map(|it| &it.condition));
                }
                None => conditions
                    .iter_mut()
                    .for_each(|it| self.coerce_to_boolean(&mut it.condition)),
            },
            _ => {}
        }
    }

    /// Casts text in the place of a condition.
    pub fn coerce_to_boolean(&self, expr: &mut Expr) {
        if self.is_text(expr) {
            try_cast(expr, CoercionType::Boolean);
        }
    }

    fn coerce_pair(&self, left: &mut Expr, right: &mut Expr) {
        match (self.coercion_type(left), self.coercion_type(right)) {
            (CoercionType::Text, kind) => try_cast(left, kind),
            (kind, CoercionType::Text) => try_cast(right, kind),
            (CoercionType::Boolean, _) => literal_to_boolean(right),
            (_, CoercionType::Boolean) => literal_to_boolean(left),
            _ => {}
        }
    }

    /// Casts `expr` to the common type of `others`.
    fn coerce_to_common<'e>(&self, expr: &mut Expr, others: impl Iterator<Item = &'e Expr>) {
        let kinds = others.map(|other| self.coercion_type(other));
        let Some(kind) = kinds.reduce(common_type) else {
            return;
        };
        if kind != CoercionType::Other && self.is_text(expr) {
            try_cast(expr, kind);
        }
    }

    fn is_text(&self, expr: &Expr) -> bool {
        // Cheap tests first: most expressions are neither paths nor extractions.
        match expr {
            Expr::Nested(inner) => self.is_text(inner),
            Expr::Function(_) => is_json_call(expr),
            Expr::Identifier(_)
            | Expr::CompoundIdentifier(_)
            | Expr::CompoundFieldAccess { .. } => self.coercion_type(expr) == CoercionType::Text,
            _ => false,
        }
    }

    fn coercion_type(&self, expr: &Expr) -> CoercionType {
        match expr {
            Expr::Nested(inner) => self.coercion_type(inner),
            Expr::Value(value) => match &value.value {
                Value::Boolean(_) => CoercionType::Boolean,
                Value::Number(number, _) => match number.to_string().parse::<i64>() {
                    Ok(_) => CoercionType::Integer,
                    Err(_) => CoercionType::Float,
                },
                _ => CoercionType::Other,
            },
            Expr::UnaryOp {
                op: UnaryOperator::Minus | UnaryOperator::Plus,
                expr,
            } => match self.coercion_type(expr) {
                kind @ (CoercionType::Integer | CoercionType::Float) => kind,
                _ => CoercionType::Other,
            },
            Expr::BinaryOp { left, op, right } if is_arithmetic(op) => {
                match common_type(self.coercion_type(left), self.coercion_type(right)) {
                    kind @ (CoercionType::Integer | CoercionType::Float) => kind,
                    _ => CoercionType::Other,
                }
            }
            Expr::Cast { data_type, .. } => match data_type {
                DataType::BigInt(_) | DataType::Int(_) | DataType::Integer(_) => {
                    CoercionType::Integer
                }
                DataType::Double(_) | DataType::Float(_) | DataType::Real => CoercionType::Float,
                DataType::Boolean => CoercionType::Boolean,
                _ => CoercionType::Other,
            },
            expr if is_json_call(expr) => CoercionType::Text,
            expr => {
                let column = parts_of(expr).and_then(|parts| self.column_of(&parts));
                let data_type = column.and_then(|column| column.data_type);
                data_type.map_or(CoercionType::Other, |data_type| {
                    coercion_type_of(&data_type)
                })
            }
        }
    }
}

/// Turns `'true'` and `'false'` into booleans. Athena's table for CloudTrail has `readonly` as
/// text, and queries written for it compare it with text.
fn literal_to_boolean(expr: &mut Expr) {
    if let Expr::Value(value) = expr
        && let Value::SingleQuotedString(text) = &value.value
        && let Ok(truth) = text.to_ascii_lowercase().parse::<bool>()
    {
        value.value = Value::Boolean(truth);
    }
}

fn coercion_type_of(data_type: &ArrowType) -> CoercionType {
    match data_type {
        ArrowType::Boolean => CoercionType::Boolean,
        it if it.is_integer() => CoercionType::Integer,
        it if it.is_numeric() => CoercionType::Float,
        it if is_text(it) => CoercionType::Text,
        _ => CoercionType::Other,
    }
}

fn common_type(left: CoercionType, right: CoercionType) -> CoercionType {
    match (left, right) {
        (left, right) if left == right => left,
        (CoercionType::Integer, CoercionType::Float)
        | (CoercionType::Float, CoercionType::Integer) => CoercionType::Float,
        _ => CoercionType::Other,
    }
}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

fn is_arithmetic(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Divide, Minus, Modulo, Multiply, Plus};
    matches!(op, Plus | Minus | Multiply | Divide | Modulo)
}
