//! Checks the FROM clause: tables, their aliases and joins.

use datafusion::sql::sqlparser::ast::{
    FunctionArg, Join, JoinOperator, TableAlias, TableAliasColumnDef, TableFactor,
    TableFunctionArgs, TableVersion, TableWithJoins,
};

use super::{refuse, refuse_if};
use crate::error::Result;

const RANDOM: &str = "for a tenth of the rows, use WHERE random() < 0.1";

/// Clauses of other engines that the parser takes for an alias.
const NO_ALIASES: [&str; 2] = ["FINAL", "NOLOCK"];

/// Checks the joins of a FROM clause; the visitor finds its relations by itself.
pub(super) fn check_from(from: &[TableWithJoins]) -> Result<()> {
    for TableWithJoins { relation: _, joins } in from {
        joins.iter().try_for_each(check_join)?;
    }
    Ok(())
}

pub(super) fn check_join(join: &Join) -> Result<()> {
    let Join {
        relation: _,
        global,
        join_operator,
    } = join;
    refuse_if(*global, "GLOBAL JOIN", "write JOIN")?;
    match join_operator {
        JoinOperator::Join(_)
        | JoinOperator::Inner(_)
        | JoinOperator::Left(_)
        | JoinOperator::LeftOuter(_)
        | JoinOperator::Right(_)
        | JoinOperator::RightOuter(_)
        | JoinOperator::FullOuter(_)
        | JoinOperator::CrossJoin(_)
        | JoinOperator::LeftSemi(_)
        | JoinOperator::RightSemi(_)
        | JoinOperator::LeftAnti(_)
        | JoinOperator::RightAnti(_) => Ok(()),
        JoinOperator::Semi(_) => refuse("SEMI JOIN", "write LEFT SEMI JOIN"),
        JoinOperator::Anti(_) => refuse("ANTI JOIN", "write LEFT ANTI JOIN"),
        JoinOperator::CrossApply => refuse("CROSS APPLY", "write CROSS JOIN LATERAL"),
        JoinOperator::OuterApply => refuse("OUTER APPLY", "write LEFT JOIN LATERAL ... ON true"),
        JoinOperator::AsOf {
            match_condition: _,
            constraint: _,
        } => refuse(
            "ASOF JOIN",
            "write JOIN with QUALIFY row_number() OVER (...) = 1",
        ),
        JoinOperator::StraightJoin(_) => refuse("STRAIGHT_JOIN", "write JOIN"),
        JoinOperator::ArrayJoin | JoinOperator::LeftArrayJoin | JoinOperator::InnerArrayJoin => {
            refuse("ARRAY JOIN", "write CROSS JOIN UNNEST(resources) AS t (r)")
        }
    }
}

/// Checks one relation.
pub(super) fn check_relation(relation: &TableFactor) -> Result<()> {
    match relation {
        TableFactor::Table { alias, .. } => {
            check_table(relation)?;
            check_optional_alias(alias.as_ref())
        }
        TableFactor::Derived {
            lateral: _,
            subquery: _,
            alias,
            sample,
        } => {
            refuse_if(sample.is_some(), "TABLESAMPLE", RANDOM)?;
            check_optional_alias(alias.as_ref())
        }
        TableFactor::Function {
            lateral: _,
            name: _,
            args,
            with_ordinality,
            alias,
        } => {
            check_ordinality(*with_ordinality)?;
            let is_named = |arg: &FunctionArg| !matches!(arg, FunctionArg::Unnamed(_));
            let has_names = args.iter().any(is_named);
            refuse_if(has_names, "a named argument of a table function", "")?;
            check_optional_alias(alias.as_ref())
        }
        TableFactor::UNNEST {
            alias,
            array_exprs: _,
            with_offset,
            with_offset_alias: _,
            with_ordinality,
        } => {
            check_ordinality(*with_ordinality)?;
            refuse_if(*with_offset, "WITH OFFSET", "")?;
            check_optional_alias(alias.as_ref())
        }
        TableFactor::NestedJoin {
            table_with_joins,
            alias,
        } => {
            check_from(std::slice::from_ref(table_with_joins))?;
            check_optional_alias(alias.as_ref())
        }
        TableFactor::TableFunction { .. } => refuse("TABLE(...)", "write the function alone"),
        TableFactor::JsonTable { .. } => refuse("JSON_TABLE", "write the paths"),
        TableFactor::OpenJsonTable { .. } => refuse("OPENJSON", "write the paths"),
        TableFactor::Pivot { .. } => {
            refuse("PIVOT", "write count(*) FILTER (WHERE ...) for each column")
        }
        TableFactor::Unpivot { .. } => refuse("UNPIVOT", "write UNION ALL"),
        TableFactor::MatchRecognize { .. } => refuse("MATCH_RECOGNIZE", ""),
        TableFactor::XmlTable { .. } => refuse("XMLTABLE", ""),
        TableFactor::SemanticView { .. } => refuse("SEMANTIC_VIEW", ""),
    }
}

fn check_table(table: &TableFactor) -> Result<()> {
    let TableFactor::Table {
        name,
        alias: _,
        args,
        with_hints,
        version,
        with_ordinality,
        partitions,
        json_path,
        sample,
        index_hints,
    } = table
    else {
        return Ok(());
    };
    if let Some(TableFunctionArgs { args: _, settings }) = args {
        refuse_if(settings.is_some(), "SETTINGS", "leave it out")?;
        refuse_if(name.0.len() > 1, "a table function of a schema", "")?;
    }
    let hints = format!("WITH ({})", super::listed(with_hints));
    refuse_if(!with_hints.is_empty(), &hints, "leave it out")?;
    if let Some(version) = version {
        let clause = match version {
            TableVersion::ForSystemTimeAsOf(_) => "FOR SYSTEM_TIME AS OF",
            TableVersion::TimestampAsOf(_) => "TIMESTAMP AS OF",
            TableVersion::VersionAsOf(_) => "VERSION AS OF",
            TableVersion::Function(_) => "AT or BEFORE",
            TableVersion::Changes {
                changes: _,
                at: _,
                end: _,
            } => "CHANGES",
        };
        refuse(clause, "write WHERE eventTime < '2026-01-31'")?;
    }
    check_ordinality(*with_ordinality)?;
    let partition = "PARTITION after a table";
    refuse_if(!partitions.is_empty(), partition, "write WHERE")?;
    refuse_if(json_path.is_some(), "a path after a table", "")?;
    refuse_if(sample.is_some(), "TABLESAMPLE", RANDOM)?;
    let indexes = "an index after a table";
    refuse_if(!index_hints.is_empty(), indexes, "leave it out")
}

fn check_ordinality(with_ordinality: bool) -> Result<()> {
    refuse_if(with_ordinality, "WITH ORDINALITY", "")
}

fn check_optional_alias(alias: Option<&TableAlias>) -> Result<()> {
    alias.map_or(Ok(()), check_alias)
}

pub(super) fn check_alias(alias: &TableAlias) -> Result<()> {
    let TableAlias {
        explicit,
        name,
        columns,
        at,
    } = alias;
    let is_clause = |clause: &&&str| clause.eq_ignore_ascii_case(&name.value);
    if !explicit
        && name.quote_style.is_none()
        && let Some(clause) = NO_ALIASES.iter().find(is_clause)
    {
        refuse(
            clause,
            &format!("for a table of that name, write AS {clause}"),
        )?;
    }
    refuse_if(at.is_some(), "AT after a table's alias", "")?;
    for TableAliasColumnDef { name: _, data_type } in columns {
        let typed = "a type in a table's alias";
        refuse_if(data_type.is_some(), typed, "write CAST in the SELECT list")?;
    }
    Ok(())
}
