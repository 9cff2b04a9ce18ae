//! Parses lambdas in Trino's syntax: `any_match(list, x -> x = 1)`.
//!
//! The generic dialect has no lambdas and parses the arrow as PostgreSQL's JSON operator. The two
//! differ on both sides: a lambda has only names on the left, the operator has a literal on the
//! right.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    LambdaFunction, LambdaFunctionParameter, LambdaSyntax, OneOrManyWithParens, Value,
};

/// Turns the arrows among a function's arguments into lambdas.
pub(super) fn from_arrows(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else {
        return;
    };
    for argument in &mut list.args {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument
            && let Some(params) = take_parameters(expr)
        {
            let body = std::mem::replace(expr, Expr::value(Value::Null));
            *expr = Expr::Lambda(LambdaFunction {
                params,
                body: Box::new(body),
                syntax: LambdaSyntax::Arrow,
            });
        }
    }
}

/// Removes `x ->` from the start of an expression and returns its parameters. The arrow binds
/// tighter than AND and OR, so it is at the bottom of their left side.
fn take_parameters(expr: &mut Expr) -> Option<OneOrManyWithParens<LambdaFunctionParameter>> {
    let Expr::BinaryOp { left, op, right } = expr else {
        return None;
    };
    match op {
        BinaryOperator::And | BinaryOperator::Or => take_parameters(left),
        BinaryOperator::Arrow if !matches!(**right, Expr::Value(_)) => {
            let params = parameters(left)?;
            let body = std::mem::replace(&mut **right, Expr::value(Value::Null));
            *expr = body;
            Some(params)
        }
        _ => None,
    }
}

fn parameters(expr: &Expr) -> Option<OneOrManyWithParens<LambdaFunctionParameter>> {
    let parameter = |ident: &Ident| LambdaFunctionParameter {
        name: ident.clone(),
        data_type: None,
    };
    match expr {
        Expr::Identifier(ident) => Some(OneOrManyWithParens::One(parameter(ident))),
        Expr::Nested(inner) => parameters(inner),
        Expr::Tuple(items) => {
            let items = items.iter().map(|item| match item {
                Expr::Identifier(ident) => Some(parameter(ident)),
                _ => None,
            });
            Some(OneOrManyWithParens::Many(items.collect::<Option<_>>()?))
        }
        _ => None,
    }
}
