//! Parses dotted paths, and builds the expressions that replace them.

use datafusion::arrow::datatypes::{DataType as ArrowType, FieldRef, Fields};
use datafusion::sql::sqlparser::ast::{
    AccessExpr, CastKind, DataType, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, Subscript, Value,
};

use super::columns::RelationColumn;
use crate::events::response::{RESPONSE, is_result};
use crate::query::functions::json_path::{JSON_GET_PATH, Step, encode, is_text};

/// One step of a path.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// `.name`, `."name"` or `['name']`.
    Name(Ident),
    /// `[1]`.
    Index(u64),
    /// `[i + 1]`, `[1:2]`.
    Other(Box<Subscript>),
}

impl Part {
    /// Returns the name, if the part is one.
    pub fn name(&self) -> Option<&Ident> {
        match self {
            Self::Name(ident) => Some(ident),
            _ => None,
        }
    }
}

/// Returns the parts of an expression that is a path.
pub(super) fn parts_of(expr: &Expr) -> Option<Vec<Part>> {
    match expr {
        Expr::Identifier(ident) => Some(vec![Part::Name(ident.clone())]),
        Expr::CompoundIdentifier(idents) => Some(idents.iter().cloned().map(Part::Name).collect()),
        Expr::Nested(inner) => parts_of(inner),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let mut parts = match keyword(root) {
                Some(ident) => vec![Part::Name(ident.clone())],
                None => parts_of(root)?,
            };
            for access in access_chain {
                parts.push(part_of(access)?);
            }
            Some(parts)
        }
        _ => None,
    }
}

/// Returns the keyword that the parser took for a function without parentheses: `user`,
/// `current_date`.
pub(super) fn keyword(expr: &Expr) -> Option<&Ident> {
    let Expr::Function(function) = expr else {
        return None;
    };
    match function.name.0.as_slice() {
        [name] if function.args == FunctionArguments::None && function.over.is_none() => {
            name.as_ident()
        }
        _ => None,
    }
}

fn part_of(access: &AccessExpr) -> Option<Part> {
    match access {
        AccessExpr::Dot(Expr::Identifier(ident)) => Some(Part::Name(ident.clone())),
        AccessExpr::Dot(_) => None,
        AccessExpr::Subscript(Subscript::Index {
            index: Expr::Value(value),
        }) => match &value.value {
            Value::SingleQuotedString(key) => Some(Part::Name(Ident::with_quote('\'', key))),
            Value::Number(number, _) => number.to_string().parse().ok().map(Part::Index),
            _ => None,
        },
        AccessExpr::Subscript(subscript) => Some(Part::Other(Box::new(subscript.clone()))),
    }
}

/// Returns the path as text, the form in which columns are looked up and shown. Returns `None` if a
/// part is not constant.
pub(super) fn text_of(parts: &[Part]) -> Option<String> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Name(ident) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&ident.value);
            }
            Part::Index(index) => text.push_str(&format!("[{index}]")),
            Part::Other(_) => return None,
        }
    }
    Some(text)
}

/// Returns the path of the same value in a response that does not wrap its result, if `path` is below a
/// result's name: `responseElements.dBProxyName` for `responseElements.dBProxy.dBProxyName`.
pub(super) fn without_result(path: &[Part]) -> Option<Vec<Part>> {
    let [root, result, _, ..] = path else {
        return None;
    };
    let is_response = root.name()?.value.eq_ignore_ascii_case(RESPONSE);
    (is_response && is_result(&result.name()?.value)).then(|| [&path[..1], &path[2..]].concat())
}

/// Returns the name that the planner reads: lower case unless quoted.
pub(super) fn normalized(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}

/// Quotes a name, so that the planner keeps its case.
pub(super) fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// Builds the expression of a column with its name in the plan.
pub(super) fn column_expr(qualifier: &[String], name: &str) -> Expr {
    if qualifier.is_empty() {
        return Expr::Identifier(quoted(name));
    }
    let parts = qualifier.iter().map(String::as_str).chain([name]);
    Expr::CompoundIdentifier(parts.map(quoted).collect())
}

/// The outcome of following a path below a column.
pub(super) enum FieldAccess {
    /// A value: its expression, and the column that describes it.
    Value(Box<(Expr, RelationColumn)>),
    /// The column's values have no parts.
    Scalar,
    /// The path is invalid; the message says why.
    Rejected(String),
}

/// Follows `rest` below a column: into lists and structs by subscripts, into JSON text by
/// [`JSON_GET_PATH`].
pub(super) fn access_field(mut expr: Expr, column: &RelationColumn, rest: &[Part]) -> FieldAccess {
    let Some(mut data_type) = column.data_type.clone() else {
        return access_untyped(expr, column, rest);
    };
    let mut path = column.path.clone();
    for (at, part) in rest.iter().enumerate() {
        if column.json && is_text(&data_type) {
            return json(expr, &path, &rest[at..]);
        }
        data_type = match (&data_type, part) {
            (ArrowType::List(item) | ArrowType::LargeList(item), Part::Name(name)) => {
                let below = match item.data_type() {
                    ArrowType::Struct(_) => format!(".{}", name.value),
                    _ => String::new(),
                };
                return FieldAccess::Rejected(format!(
                    "{path} is an array; select one element, as in {path}[1]{below}, or UNNEST it"
                ));
            }
            (ArrowType::List(item) | ArrowType::LargeList(item), Part::Index(index)) => {
                path = format!("{path}[{index}]");
                let index = Expr::value(Value::Number(index.to_string(), false));
                expr = subscript(expr, Subscript::Index { index });
                item.data_type().clone()
            }
            (ArrowType::List(item) | ArrowType::LargeList(item), Part::Other(other)) => {
                expr = subscript(expr, (**other).clone());
                match **other {
                    Subscript::Index { .. } => item.data_type().clone(),
                    Subscript::Slice { .. } => data_type,
                }
            }
            (ArrowType::Struct(fields), Part::Name(name)) => {
                let Some(field) = field(fields, &name.value) else {
                    let fields: Vec<_> = fields.iter().map(|field| field.name().as_str()).collect();
                    return FieldAccess::Rejected(format!(
                        "{path} has no field {}; its fields are {}",
                        name.value,
                        fields.join(", ")
                    ));
                };
                path = format!("{path}.{}", field.name());
                expr = subscript(expr, key(field.name()));
                field.data_type().clone()
            }
            (ArrowType::Map(..), Part::Name(name)) => {
                path = format!("{path}.{}", name.value);
                expr = subscript(expr, key(&name.value));
                return FieldAccess::Value(Box::new((expr, RelationColumn::named(&path, &path))));
            }
            _ => return FieldAccess::Scalar,
        };
    }
    let found = RelationColumn {
        json: column.json,
        data_type: Some(data_type),
        ..RelationColumn::named(&path, &path)
    };
    FieldAccess::Value(Box::new((expr, found)))
}

/// Finds the field of a struct by its exact name, or else in any case.
fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a FieldRef> {
    let exact = fields.iter().find(|field| field.name() == name);
    exact.or_else(|| {
        let mut fields = fields.iter();
        fields.find(|field| field.name().eq_ignore_ascii_case(name))
    })
}

/// Subscripts an expression of unknown type; the planner resolves its fields.
fn access_untyped(mut expr: Expr, column: &RelationColumn, rest: &[Part]) -> FieldAccess {
    for part in rest {
        let step = match part {
            Part::Name(ident) => key(&normalized(ident)),
            Part::Index(index) => Subscript::Index {
                index: Expr::value(Value::Number(index.to_string(), false)),
            },
            Part::Other(other) => (**other).clone(),
        };
        expr = subscript(expr, step);
    }
    let path = text_of(rest).unwrap_or_default();
    let path = format!("{}.{path}", column.path);
    FieldAccess::Value(Box::new((expr, RelationColumn::named(&path, &path))))
}

fn json(expr: Expr, path: &str, rest: &[Part]) -> FieldAccess {
    let mut steps = Vec::with_capacity(rest.len() + 1);
    if path.eq_ignore_ascii_case(RESPONSE) {
        steps.push(Step::Result);
    }
    for part in rest {
        steps.push(match part {
            Part::Name(ident) => Step::Key(ident.value.clone()),
            Part::Index(index) => Step::Index(*index),
            Part::Other(_) => {
                return FieldAccess::Rejected(format!(
                    "the index into {path} is not a constant; expected a number from 1, as in {path}[1]"
                ));
            }
        });
    }
    let mut full = path.to_string();
    for step in &steps {
        match step {
            Step::Key(key) => full.push_str(&format!(".{key}")),
            Step::Index(index) => full.push_str(&format!("[{index}]")),
            Step::Result => {}
        }
    }
    let found = RelationColumn {
        json: true,
        data_type: Some(ArrowType::Utf8),
        ..RelationColumn::named(&full, &full)
    };
    FieldAccess::Value(Box::new((json_call(expr, encode(&steps)), found)))
}

fn json_call(text: Expr, path: String) -> Expr {
    let path = Expr::value(Value::SingleQuotedString(path));
    call(JSON_GET_PATH, vec![text, path])
}

/// Returns a plain call of a function.
pub(super) fn call(name: &str, args: Vec<Expr>) -> Expr {
    let argument = |expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr));
    Expr::Function(Function {
        name: ObjectName::from(Ident::new(name)),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.into_iter().map(argument).collect(),
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}

/// Returns the path argument of a call that [`access_field`] built.
pub(super) fn json_call_path(expr: &mut Expr) -> Option<&mut String> {
    let Expr::Function(function) = expr else {
        return None;
    };
    if function.name.0.first()?.as_ident()?.value != JSON_GET_PATH {
        return None;
    }
    let FunctionArguments::List(list) = &mut function.args else {
        return None;
    };
    match list.args.get_mut(1)? {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) => match &mut value.value {
            Value::SingleQuotedString(path) => Some(path),
            _ => None,
        },
        _ => None,
    }
}

/// Returns whether the expression calls [`JSON_GET_PATH`].
pub(super) fn is_json_call(expr: &Expr) -> bool {
    match expr {
        Expr::Function(function) => {
            let name = function.name.0.first().and_then(|name| name.as_ident());
            name.is_some_and(|name| name.value == JSON_GET_PATH)
        }
        _ => false,
    }
}

fn key(name: &str) -> Subscript {
    let index = Expr::value(Value::SingleQuotedString(name.to_string()));
    Subscript::Index { index }
}

fn subscript(expr: Expr, subscript: Subscript) -> Expr {
    let access = AccessExpr::Subscript(subscript);
    match expr {
        Expr::CompoundFieldAccess {
            root,
            mut access_chain,
        } => {
            access_chain.push(access);
            Expr::CompoundFieldAccess { root, access_chain }
        }
        root => Expr::CompoundFieldAccess {
            root: Box::new(root),
            access_chain: vec![access],
        },
    }
}

/// Turns the fields of an unresolved path into subscripts, the only form that the planner reads:
/// `f(x).a` becomes `f(x)['a']`.
pub(super) fn dots_to_keys(chain: &mut [AccessExpr]) {
    for access in chain {
        if let AccessExpr::Dot(Expr::Identifier(ident)) = access {
            *access = AccessExpr::Subscript(key(&normalized(ident)));
        }
    }
}

/// The type of an operand, as far as coercion needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CoercionType {
    Text,
    Integer,
    Float,
    Boolean,
    Other,
}

/// Wraps `expr` in `TRY_CAST`, which gives NULL for a value that does not parse.
pub(super) fn try_cast(expr: &mut Expr, kind: CoercionType) {
    let data_type = match kind {
        CoercionType::Integer => DataType::BigInt(None),
        CoercionType::Float => DataType::Double(ExactNumberInfo::None),
        CoercionType::Boolean => DataType::Boolean,
        CoercionType::Text | CoercionType::Other => return,
    };
    let inner = std::mem::replace(expr, Expr::value(Value::Null));
    *expr = Expr::Cast {
        kind: CastKind::TryCast,
        expr: Box::new(inner),
        data_type,
        array: false,
        format: None,
    };
}
