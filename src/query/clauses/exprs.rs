//! Checks expressions, above all calls: the planner reads OVER, FILTER, DISTINCT and their like by
//! the kind of the function.

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, DataType, DuplicateTreatment, ExactNumberInfo, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident,
    Interval, ObjectName, ObjectNamePart, TypedString, WindowFrame, WindowSpec, WindowType,
};

use super::query::check_sort;
use super::{Checker, json, refuse, refuse_if};
use crate::error::Result;

/// Functions that the planner plans by itself, without ever looking at OVER and the like.
const BUILT_IN: [&str; 4] = ["make_map", "map", "unnest", "unnest_outer"];

/// Window functions that skip nulls on demand.
const NULL_SKIPPING: [&str; 5] = ["first_value", "lag", "last_value", "lead", "nth_value"];

impl Checker<'_> {
    /// Checks one expression; the visitor finds those inside it by itself.
    pub(super) fn check_expr(&self, expr: &Expr) -> Result<()> {
        match expr {
            Expr::Function(function) => self.check_call(function),
            Expr::BinaryOp { left, op, right } => json::check_operator(op, left, right),
            Expr::Cast {
                kind: _,
                expr,
                data_type,
                array,
                format,
            } => {
                refuse_if(*array, "ARRAY in CAST", "")?;
                let advice = "write to_char, or to_timestamp with a format";
                refuse_if(format.is_some(), "CAST with FORMAT", advice)?;
                check_type(data_type, &expr.to_string())
            }
            Expr::TypedString(TypedString {
                data_type,
                value,
                uses_odbc_syntax: _,
            }) => check_type(data_type, &value.to_string()),
            Expr::Trim {
                trim_where: _,
                trim_what: _,
                expr,
                trim_characters,
            } => {
                let several = trim_characters.as_ref().is_some_and(|it| it.len() > 1);
                let advice = format!("write all characters in one: trim({expr}, 'ab')");
                refuse_if(several, "trim with several strings", &advice)
            }
            Expr::Interval(Interval {
                value: _,
                leading_field: _,
                leading_precision,
                last_field,
                fractional_seconds_precision,
            }) => {
                let precision = leading_precision.or(*fractional_seconds_precision);
                let is_special = precision.is_some() || last_field.is_some();
                let advice = "write INTERVAL '1 day 2 hours'";
                refuse_if(is_special, "INTERVAL with TO or a precision", advice)
            }
            Expr::Like {
                negated: _,
                any,
                expr: _,
                pattern: _,
                escape_char: _,
            }
            | Expr::ILike {
                negated: _,
                any,
                expr: _,
                pattern: _,
                escape_char: _,
            } => refuse_if(*any, "LIKE ANY", "write one LIKE for each pattern, with OR"),
            Expr::Struct { values: _, fields } => {
                refuse_if(!fields.is_empty(), "STRUCT with types", "")
            }
            _ => check_unplanned(expr),
        }
    }

    fn check_call(&self, function: &Function) -> Result<()> {
        let Function {
            name,
            uses_odbc_syntax: _,
            parameters,
            args,
            filter,
            null_treatment,
            over,
            within_group,
        } = function;
        let called = called(name);
        json::check_function(&called, function)?;
        refuse_if(
            !matches!(parameters, FunctionArguments::None),
            &format!("{name} with two lists of arguments"),
            "",
        )?;
        let (is_distinct, clauses) = check_arguments(name, args)?;
        let is_sorted = clauses
            .iter()
            .any(|it| matches!(it, FunctionArgumentClause::OrderBy(_)));
        let treats_nulls = null_treatment.is_some()
            || clauses
                .iter()
                .any(|it| matches!(it, FunctionArgumentClause::IgnoreOrRespectNulls(_)));
        check_sort(within_group)?;
        if let Some(WindowType::WindowSpec(window)) = over {
            check_window(window)?;
        }
        self.check_inline_order(&called, args)?;
        let clauses = [
            ("OVER", over.is_some()),
            ("FILTER", filter.is_some()),
            ("DISTINCT", is_distinct),
            ("ORDER BY", is_sorted),
            ("WITHIN GROUP", !within_group.is_empty()),
            ("IGNORE or RESPECT NULLS", treats_nulls),
        ];
        let ignored: &[&str] = if self.is_row_wise(&called) {
            &[
                "OVER",
                "FILTER",
                "DISTINCT",
                "ORDER BY",
                "WITHIN GROUP",
                NULLS,
            ]
        } else if over.is_some() && self.is_window(&called) {
            match NULL_SKIPPING.contains(&called.as_str()) {
                true => &["FILTER", "DISTINCT"],
                false => &["FILTER", "DISTINCT", NULLS],
            }
        } else if over.is_some() {
            &[NULLS]
        } else {
            &[]
        };
        for (clause, is_set) in clauses {
            let is_ignored = is_set && ignored.contains(&clause);
            refuse_if(is_ignored, &format!("{clause} with {name}"), "")?;
        }
        Ok(())
    }

    /// Checks `percentile_cont(x, 0.5 ORDER BY x)`, of which the planner drops the first argument.
    fn check_inline_order(&self, called: &str, args: &FunctionArguments) -> Result<()> {
        let FunctionArguments::List(list) = args else {
            return Ok(());
        };
        let is_ordered_set = self
            .functions
            .aggregate_functions()
            .get(called)
            .is_some_and(|it| it.supports_within_group_clause());
        let orders = list.clauses.iter().filter_map(|clause| match clause {
            FunctionArgumentClause::OrderBy(exprs) => exprs.first(),
            _ => None,
        });
        let [FunctionArg::Unnamed(FunctionArgExpr::Expr(first)), _, ..] = &list.args[..] else {
            return Ok(());
        };
        let is_dropped = orders.into_iter().any(|it| it.expr != *first);
        refuse_if(
            is_ordered_set && is_dropped,
            &format!("ORDER BY of another value in {called}"),
            "write WITHIN GROUP (ORDER BY ...)",
        )
    }

    /// Returns whether the function computes a value of each row's values.
    fn is_row_wise(&self, name: &str) -> bool {
        self.functions.scalar_functions().contains_key(name)
            || self.functions.higher_order_functions().contains_key(name)
            || BUILT_IN.contains(&name)
    }

    /// Returns whether the function with OVER is one of windows, not an aggregate.
    fn is_window(&self, name: &str) -> bool {
        let is_aggregate = self.functions.aggregate_functions().contains_key(name);
        self.functions.window_functions().contains_key(name)
            && (!is_aggregate || NULL_SKIPPING.contains(&name))
    }
}

/// The clause of a call about nulls.
const NULLS: &str = "IGNORE or RESPECT NULLS";

/// Checks a call's arguments, and returns whether it has DISTINCT, and the clauses among them.
fn check_arguments<'a>(
    name: &ObjectName,
    args: &'a FunctionArguments,
) -> Result<(bool, &'a [FunctionArgumentClause])> {
    let list = match args {
        FunctionArguments::None => return Ok((false, &[])),
        FunctionArguments::Subquery(_) => {
            let advice = "write (SELECT array_agg(x) FROM ...) for an array";
            refuse(&format!("{name}(SELECT ...)"), advice)?;
            return Ok((false, &[]));
        }
        FunctionArguments::List(list) => list,
    };
    let FunctionArgumentList {
        duplicate_treatment,
        args,
        clauses,
    } = list;
    for arg in args {
        let arg = match arg {
            FunctionArg::Named {
                name: _,
                arg,
                operator: _,
            }
            | FunctionArg::ExprNamed {
                name: _,
                arg,
                operator: _,
            }
            | FunctionArg::Unnamed(arg) => arg,
        };
        match arg {
            FunctionArgExpr::Expr(_)
            | FunctionArgExpr::QualifiedWildcard(_)
            | FunctionArgExpr::Wildcard => {}
            FunctionArgExpr::WildcardWithOptions(_) => {
                refuse(&format!("* with options in {name}"), "")?;
            }
        }
    }
    for clause in clauses {
        let clause = match clause {
            FunctionArgumentClause::OrderBy(exprs) => {
                check_sort(exprs)?;
                continue;
            }
            FunctionArgumentClause::IgnoreOrRespectNulls(_) => continue,
            FunctionArgumentClause::Limit(_) => "LIMIT",
            FunctionArgumentClause::OnOverflow(_) => "ON OVERFLOW",
            FunctionArgumentClause::Having(_) => "HAVING",
            FunctionArgumentClause::Separator(_) => "SEPARATOR",
            FunctionArgumentClause::JsonNullClause(_) => "ON NULL",
            FunctionArgumentClause::JsonReturningClause(_) => "RETURNING",
        };
        refuse(&format!("{clause} in {name}"), "")?;
    }
    let is_distinct = matches!(duplicate_treatment, Some(DuplicateTreatment::Distinct));
    Ok((is_distinct, clauses))
}

/// Checks the window of an OVER or WINDOW clause.
pub(super) fn check_window(window: &WindowSpec) -> Result<()> {
    let WindowSpec {
        window_name,
        partition_by: _,
        order_by,
        window_frame,
    } = window;
    if let Some(name) = window_name {
        let advice = "write the window in full: OVER (PARTITION BY ... ORDER BY ...)";
        refuse(&format!("OVER ({name} ...)"), advice)?;
    }
    check_sort(order_by)?;
    match window_frame {
        None => Ok(()),
        Some(WindowFrame {
            units: _,
            start_bound: _,
            end_bound: _,
        }) => Ok(()),
    }
}

/// Checks a type for a length that the planner drops.
fn check_type(data_type: &DataType, expr: &str) -> Result<()> {
    match data_type {
        DataType::Varchar(Some(length)) | DataType::Char(Some(length)) => refuse(
            &data_type.to_string().to_lowercase(),
            &format!("write left(CAST({expr} AS varchar), {length})"),
        ),
        DataType::String(Some(length)) => refuse(
            &format!("string({length})"),
            &format!("write left(CAST({expr} AS varchar), {length})"),
        ),
        DataType::Float(precision) => refuse_if(
            *precision != ExactNumberInfo::None,
            &data_type.to_string().to_lowercase(),
            "write double",
        ),
        DataType::Array(
            ArrayElemTypeDef::AngleBracket(inner)
            | ArrayElemTypeDef::SquareBracket(inner, _)
            | ArrayElemTypeDef::Parenthesis(inner),
        ) => check_type(inner, expr),
        _ => Ok(()),
    }
}

/// Refuses expressions that the planner has no rule for, with the words for them.
fn check_unplanned(expr: &Expr) -> Result<()> {
    let (clause, advice) = match expr {
        Expr::AtTimeZone {
            timestamp: _,
            time_zone,
        } if !matches!(&**time_zone, Expr::Value(_)) => {
            return refuse(
                "AT TIME ZONE with a zone that is computed",
                "write it in single quotes: 'Europe/Paris'",
            );
        }
        Expr::Collate {
            expr: _,
            collation: _,
        } => ("COLLATE", "write lower(...) to ignore case"),
        Expr::Convert {
            is_try,
            expr: _,
            data_type: _,
            charset: _,
            target_before_value: _,
            styles: _,
        } => match is_try {
            true => ("TRY_CONVERT", "write TRY_CAST(... AS ...)"),
            false => ("CONVERT", "write CAST(... AS ...)"),
        },
        Expr::IsNormalized { .. } => ("IS NORMALIZED", ""),
        Expr::InUnnest { .. } => ("IN UNNEST", "write array_has(list, value)"),
        Expr::MatchAgainst { .. } => ("MATCH AGAINST", "write LIKE '%word%'"),
        Expr::MemberOf(_) => ("MEMBER OF", "write array_has(list, value)"),
        Expr::OuterJoin(_) => ("(+)", "write LEFT JOIN"),
        Expr::Prior(_) => ("PRIOR", "write WITH RECURSIVE"),
        Expr::Prefixed { .. } => ("a prefixed string", "write the string alone"),
        Expr::JsonAccess { value, path } => {
            let clause = format!("{value}{path}");
            let keys = path.to_string();
            let advice = format!("write {value}.{}", keys.trim_start_matches(':'));
            return refuse(&clause, &advice);
        }
        _ => return accept_predicate(expr),
    };
    refuse(clause, advice)
}

/// Accepts predicates of which the planner reads every field.
fn accept_predicate(expr: &Expr) -> Result<()> {
    match expr {
        Expr::InList {
            expr: _,
            list: _,
            negated: _,
        }
        | Expr::InSubquery {
            expr: _,
            subquery: _,
            negated: _,
        }
        | Expr::Between {
            expr: _,
            negated: _,
            low: _,
            high: _,
        }
        | Expr::RLike {
            negated: _,
            expr: _,
            pattern: _,
            regexp: _,
        }
        | Expr::SimilarTo {
            negated: _,
            expr: _,
            pattern: _,
            escape_char: _,
        }
        | Expr::AnyOp {
            left: _,
            compare_op: _,
            right: _,
            is_some: _,
        }
        | Expr::AllOp {
            left: _,
            compare_op: _,
            right: _,
        }
        | Expr::Exists {
            subquery: _,
            negated: _,
        } => Ok(()),
        _ => accept_value(expr),
    }
}

/// Accepts computations of which the planner reads every field.
fn accept_value(expr: &Expr) -> Result<()> {
    match expr {
        Expr::CompoundFieldAccess {
            root: _,
            access_chain: _,
        }
        | Expr::UnaryOp { op: _, expr: _ }
        | Expr::AtTimeZone {
            timestamp: _,
            time_zone: _,
        }
        | Expr::Extract {
            field: _,
            syntax: _,
            expr: _,
        }
        | Expr::Ceil { expr: _, field: _ }
        | Expr::Floor { expr: _, field: _ }
        | Expr::Position { expr: _, r#in: _ }
        | Expr::Substring {
            expr: _,
            substring_from: _,
            substring_for: _,
            special: _,
            shorthand: _,
        }
        | Expr::Overlay {
            expr: _,
            overlay_what: _,
            overlay_from: _,
            overlay_for: _,
        }
        | Expr::Case {
            case_token: _,
            end_token: _,
            operand: _,
            conditions: _,
            else_result: _,
        }
        | Expr::Named { expr: _, name: _ } => Ok(()),
        _ => accept_rest(expr),
    }
}

/// Accepts the other expressions. This match has no wildcard, so that an expression that is new in
/// the parser does not compile until it is judged.
fn accept_rest(expr: &Expr) -> Result<()> {
    use Expr::*;
    match expr {
        Identifier(_) | CompoundIdentifier(_) | Nested(_) | Value(_) | Subquery(_) => Ok(()),
        IsFalse(_) | IsNotFalse(_) | IsTrue(_) | IsNotTrue(_) | IsNull(_) | IsNotNull(_) => Ok(()),
        IsUnknown(_) | IsNotUnknown(_) | IsDistinctFrom(..) | IsNotDistinctFrom(..) => Ok(()),
        GroupingSets(_) | Cube(_) | Rollup(_) | Tuple(_) | Dictionary(_) | Map(_) | Array(_) => {
            Ok(())
        }
        Wildcard(_) | QualifiedWildcard(..) | Lambda(_) => Ok(()),
        // Judged before.
        Function(_) | TypedString(_) | Interval(_) | MemberOf(_) | OuterJoin(_) | Prior(_) => {
            Ok(())
        }
        Cast { .. } | Trim { .. } | Like { .. } | ILike { .. } | Struct { .. } => Ok(()),
        JsonAccess { .. } | Collate { .. } | RLike { .. } | Convert { .. } => Ok(()),
        IsNormalized { .. } | InUnnest { .. } | MatchAgainst { .. } | Prefixed { .. } => Ok(()),
        InList { .. } | InSubquery { .. } | Between { .. } | SimilarTo { .. } => Ok(()),
        AnyOp { .. } | AllOp { .. } | Exists { .. } | CompoundFieldAccess { .. } => Ok(()),
        BinaryOp { .. } | UnaryOp { .. } | AtTimeZone { .. } | Extract { .. } => Ok(()),
        Ceil { .. } | Floor { .. } | Position { .. } | Substring { .. } => Ok(()),
        Overlay { .. } | Case { .. } | Named { .. } => Ok(()),
    }
}

/// Returns a function's name as the planner looks it up.
fn called(name: &ObjectName) -> String {
    let part = |part: &ObjectNamePart| match part.as_ident() {
        Some(Ident {
            value,
            quote_style: Some(_),
            span: _,
        }) => value.clone(),
        Some(ident) => ident.value.to_lowercase(),
        None => part.to_string(),
    };
    let parts: Vec<String> = name.0.iter().map(part).collect();
    parts.join(".")
}
