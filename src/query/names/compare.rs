//! Text that meets a number or a boolean.
//!
//! The planner would cast the text, and one value of another form would end the query while it
//! runs. So the text side gets a TRY_CAST here, and such a value is NULL.

use datafusion::arrow::datatypes::DataType as ArrowType;
use datafusion::sql::sqlparser::ast::{BinaryOperator, DataType, Expr, UnaryOperator, Value};

use super::path::{Kind, is_json_call, parts_of, try_cast};
use super::walk::Rewriter;
use crate::query::json_path::is_text;

impl Rewriter<'_> {
    /// Casts the text among the operands of an expression whose parts are rewritten already.
    pub fn reconcile(&self, expr: &mut Expr) {
        match expr {
            Expr::BinaryOp { left, op, right } => match op {
                BinaryOperator::And | BinaryOperator::Or => {
                    self.truth(left);
                    self.truth(right);
                }
                op if is_comparison(op) || is_arithmetic(op) => self.pair(left, right),
                _ => {}
            },
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                self.pair(left, right);
            }
            Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr,
            }
            | Expr::IsTrue(expr)
            | Expr::IsNotTrue(expr)
            | Expr::IsFalse(expr)
            | Expr::IsNotFalse(expr) => self.truth(expr),
            Expr::Between {
                expr, low, high, ..
            } => self.with_all(expr, [&**low, &**high].into_iter()),
            Expr::InList { expr, list, .. } => {
                if self.kind(expr) == Kind::Boolean {
                    list.iter_mut().for_each(literal_truth);
                }
                self.with_all(expr, list.iter());
            }
            Expr::Case {
                operand,
                conditions,
                ..
            } => match operand {
                Some(operand) => {
                    self.with_all(operand, conditions.iter().map(|it| &it.condition));
                }
                None => conditions
                    .iter_mut()
                    .for_each(|it| self.truth(&mut it.condition)),
            },
            _ => {}
        }
    }

    /// Casts text that stands where a truth value must.
    pub fn truth(&self, expr: &mut Expr) {
        if self.is_text(expr) {
            try_cast(expr, Kind::Boolean);
        }
    }

    fn pair(&self, left: &mut Expr, right: &mut Expr) {
        match (self.kind(left), self.kind(right)) {
            (Kind::Text, kind) => try_cast(left, kind),
            (kind, Kind::Text) => try_cast(right, kind),
            (Kind::Boolean, _) => literal_truth(right),
            (_, Kind::Boolean) => literal_truth(left),
            _ => {}
        }
    }

    /// Casts `expr` to the type that all of `others` have.
    fn with_all<'e>(&self, expr: &mut Expr, others: impl Iterator<Item = &'e Expr>) {
        let kinds = others.map(|other| self.kind(other));
        let Some(kind) = kinds.reduce(common) else {
            return;
        };
        if kind != Kind::Other && self.is_text(expr) {
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
            | Expr::CompoundFieldAccess { .. } => self.kind(expr) == Kind::Text,
            _ => false,
        }
    }

    fn kind(&self, expr: &Expr) -> Kind {
        match expr {
            Expr::Nested(inner) => self.kind(inner),
            Expr::Value(value) => match &value.value {
                Value::Boolean(_) => Kind::Boolean,
                Value::Number(number, _) => match number.to_string().parse::<i64>() {
                    Ok(_) => Kind::Integer,
                    Err(_) => Kind::Float,
                },
                _ => Kind::Other,
            },
            Expr::UnaryOp {
                op: UnaryOperator::Minus | UnaryOperator::Plus,
                expr,
            } => match self.kind(expr) {
                kind @ (Kind::Integer | Kind::Float) => kind,
                _ => Kind::Other,
            },
            Expr::BinaryOp { left, op, right } if is_arithmetic(op) => {
                match common(self.kind(left), self.kind(right)) {
                    kind @ (Kind::Integer | Kind::Float) => kind,
                    _ => Kind::Other,
                }
            }
            Expr::Cast { data_type, .. } => match data_type {
                DataType::BigInt(_) | DataType::Int(_) | DataType::Integer(_) => Kind::Integer,
                DataType::Double(_) | DataType::Float(_) | DataType::Real => Kind::Float,
                DataType::Boolean => Kind::Boolean,
                _ => Kind::Other,
            },
            expr if is_json_call(expr) => Kind::Text,
            expr => {
                let column = parts_of(expr).and_then(|parts| self.peek(&parts));
                let data_type = column.and_then(|column| column.data_type);
                data_type.map_or(Kind::Other, |data_type| kind_of(&data_type))
            }
        }
    }
}

/// Makes a boolean of `'true'` and `'false'`: in Athena's table for CloudTrail `readonly` is text, and
/// queries that were written for it compare it so.
fn literal_truth(expr: &mut Expr) {
    if let Expr::Value(value) = expr
        && let Value::SingleQuotedString(text) = &value.value
        && let Ok(truth) = text.to_ascii_lowercase().parse::<bool>()
    {
        value.value = Value::Boolean(truth);
    }
}

fn kind_of(data_type: &ArrowType) -> Kind {
    match data_type {
        ArrowType::Boolean => Kind::Boolean,
        it if it.is_integer() => Kind::Integer,
        it if it.is_numeric() => Kind::Float,
        it if is_text(it) => Kind::Text,
        _ => Kind::Other,
    }
}

fn common(left: Kind, right: Kind) -> Kind {
    match (left, right) {
        (left, right) if left == right => left,
        (Kind::Integer, Kind::Float) | (Kind::Float, Kind::Integer) => Kind::Float,
        _ => Kind::Other,
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
