//! Other engines' ways into JSON, refused with the path to write instead.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value,
};

use super::refuse;
use crate::error::{Error, Result};
use crate::query::functions::json_extract::parse;
use crate::query::functions::json_path::Step;

/// Functions of other engines that read a value at a path, in lower case.
const FUNCTIONS: [&str; 16] = [
    "json_array_get",
    "json_extract_array",
    "json_extract_bool",
    "json_extract_float",
    "json_extract_int",
    "json_extract_path",
    "json_extract_path_text",
    "json_extract_string",
    "json_query",
    "json_value",
    "jsonb_extract_path",
    "jsonb_extract_path_text",
    "jsonextract",
    "jsonextractraw",
    "jsonextractstring",
    "simplejsonextractstring",
];

/// Refuses a call of another engine's function over JSON.
pub(super) fn check_function(called: &str, function: &Function) -> Result<()> {
    if !FUNCTIONS.contains(&called) {
        return Ok(());
    }
    let path = match &function.args {
        FunctionArguments::List(list) => path_of_arguments(&list.args),
        _ => None,
    };
    let advice = match path {
        Some(path) => format!("write the path: {path}"),
        None => "write the path, as in requestParameters.engine".to_owned(),
    };
    Err(Error::query(format!("no function {called}; {advice}")))
}

fn path_of_arguments(args: &[FunctionArg]) -> Option<String> {
    let exprs: Option<Vec<&Expr>> = args
        .iter()
        .map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        })
        .collect();
    let exprs = exprs?;
    let (root, keys) = exprs.split_first()?;
    let mut path = root_of(root)?;
    for key in keys {
        match text_of(key) {
            Some(text) if text.contains('$') => {
                let text = text.trim();
                let text = text.strip_prefix("lax ").unwrap_or(text);
                let text = text.strip_prefix("strict ").unwrap_or(text);
                push_steps(&mut path, &parse(text)?);
            }
            _ => push_key(&mut path, key)?,
        }
    }
    (!keys.is_empty()).then_some(path)
}

/// Refuses `->`, `->>`, `#>`, `#>>`, and `@>` over JSON. A lambda has an arrow too, before a value
/// that is computed.
pub(super) fn check_operator(op: &BinaryOperator, left: &Expr, right: &Expr) -> Result<()> {
    use BinaryOperator::*;
    if matches!(op, AtArrow | ArrowAt) && (text_of(left).is_some() || text_of(right).is_some()) {
        let advice = "compare a path, as in requestParameters.engine = 'aurora'";
        return refuse(&format!("{op} over JSON"), advice);
    }
    let is_lambda = *op == Arrow && !matches!(right, Expr::Value(_));
    if is_lambda || !matches!(op, Arrow | LongArrow | HashArrow | HashLongArrow) {
        return Ok(());
    }
    let advice = match path_of_operator(op, left, right) {
        Some(path) => format!("write the path: {path}"),
        None => "write the path, as in requestParameters.engine".to_owned(),
    };
    refuse(&op.to_string(), &advice)
}

fn path_of_operator(op: &BinaryOperator, left: &Expr, right: &Expr) -> Option<String> {
    let mut path = match left {
        Expr::BinaryOp {
            left,
            op: op @ (BinaryOperator::Arrow | BinaryOperator::LongArrow),
            right,
        } => path_of_operator(op, left, right)?,
        root => root_of(root)?,
    };
    match op {
        BinaryOperator::Arrow | BinaryOperator::LongArrow => push_key(&mut path, right)?,
        _ => {
            let keys = text_of(right)?.strip_prefix('{')?.strip_suffix('}')?;
            for key in keys.split(',') {
                match key.parse::<u64>() {
                    Ok(index) => push_steps(&mut path, &[Step::Index(index.checked_add(1)?)]),
                    Err(_) => push_steps(&mut path, &[Step::Key(key.to_owned())]),
                }
            }
        }
    }
    Some(path)
}

/// Returns a column as typed, or what a cast to JSON casts.
fn root_of(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Nested(inner) => root_of(inner),
        Expr::Cast { expr, .. } => root_of(expr),
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::CompoundFieldAccess { .. } => {
            Some(expr.to_string())
        }
        _ => None,
    }
}

/// Appends a key, or an index that counts from 0.
fn push_key(path: &mut String, key: &Expr) -> Option<()> {
    let step = match text_of(key) {
        // Postgres has no `$`, SQLite and MySQL do.
        Some(text) if text.starts_with('$') => {
            push_steps(path, &parse(text)?);
            return Some(());
        }
        Some(text) => Step::Key(text.to_owned()),
        None => {
            let index: u64 = key.to_string().parse().ok()?;
            Step::Index(index.checked_add(1)?)
        }
    };
    push_steps(path, &[step]);
    Some(())
}

fn push_steps(path: &mut String, steps: &[Step]) {
    for step in steps {
        match step {
            Step::Key(key) if is_plain(key) => {
                path.push('.');
                path.push_str(key);
            }
            Step::Key(key) => path.push_str(&format!("['{}']", key.replace('\'', "''"))),
            Step::Index(index) => path.push_str(&format!("[{index}]")),
            Step::Result => {}
        }
    }
}

/// Returns whether a key needs no quotes in a path.
fn is_plain(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}
