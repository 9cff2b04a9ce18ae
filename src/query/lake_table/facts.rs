//! Facts of the log about files, as the engine takes them: to leave files out, to order them, and to
//! answer counts, minima and maxima without reading.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, ColumnStatistics, DFSchema, ScalarValue, Statistics};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::conjunction;
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};

use super::LakeScan;
use crate::lake::{ColumnStats, LakeFile, STATS_COLUMNS, StatsValue};

/// The column of the times of events.
const TIME: &str = "eventtime";

/// Returns the files that may have a row that meets the conditions. `schema` has their columns.
pub(super) fn matching<'f>(
    files: &'f [LakeFile],
    schema: &SchemaRef,
    scan: &LakeScan<'_>,
) -> Vec<&'f LakeFile> {
    let may_match = predicate(schema, scan).and_then(|it| it.prune(&FilesFacts(files)).ok());
    match may_match {
        Some(may_match) => {
            let files = files.iter().zip(may_match);
            files.filter(|it| it.1).map(|it| it.0).collect()
        }
        None => files.iter().collect(),
    }
}

/// Returns the conditions that say something about facts. One that cannot be computed yet, such as
/// one with a subquery, is left to the query.
fn predicate(schema: &SchemaRef, scan: &LakeScan<'_>) -> Option<PruningPredicate> {
    if scan.filters.is_empty() {
        return None;
    }
    let names = DFSchema::try_from(Arc::clone(schema)).ok()?;
    let filters = scan.filters.iter();
    let filters: Vec<Arc<dyn PhysicalExpr>> = filters
        .filter_map(|it| scan.state.create_physical_expr(it.clone(), &names).ok())
        .collect();
    let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema));
    builder.try_build(conjunction(filters)).ok()
}

/// Returns the time of the first event of a file; the greatest time if that is not known.
pub(super) fn first_time(file: &LakeFile) -> i64 {
    match range(file, TIME) {
        Some((StatsValue::Micros(first), _)) => *first,
        _ => i64::MAX,
    }
}

/// Returns facts about all rows of some files, in the columns of `schema`.
pub(super) fn statistics(files: &[&LakeFile], schema: &Schema) -> Statistics {
    let rows = files.iter().map(|file| file.stats.rows as usize).sum();
    let bytes = files.iter().map(|file| file.size_bytes as usize).sum();
    let columns = schema.fields().iter();
    Statistics {
        num_rows: Precision::Exact(rows),
        total_byte_size: Precision::Inexact(bytes),
        column_statistics: columns
            .map(|field| column_statistics(files, field.name()))
            .collect(),
    }
}

fn column_statistics(files: &[&LakeFile], column: &str) -> ColumnStatistics {
    let unknown = ColumnStatistics::new_unknown();
    let facts = files.iter().map(|file| stats(file, column));
    let Some(facts) = facts.collect::<Option<Vec<&ColumnStats>>>() else {
        return unknown;
    };
    let nulls = facts.iter().map(|facts| facts.nulls as usize).sum();
    let unknown = unknown.with_null_count(Precision::Exact(nulls));
    // A file of NULLs only has no range, and adds none.
    let valued = files.iter().zip(&facts);
    let valued = valued.filter(|(file, facts)| facts.nulls < file.stats.rows);
    let ranges = valued.map(|(_, facts)| facts.range.as_ref());
    let Some(ranges) = ranges.collect::<Option<Vec<_>>>() else {
        return unknown;
    };
    let by_value = |a: &&StatsValue, b: &&StatsValue| a.partial_cmp(b).expect("one type a column");
    let least = ranges.iter().map(|range| &range.0).min_by(by_value);
    let most = ranges.iter().map(|range| &range.1).max_by(by_value);
    match least.zip(most) {
        Some((least, most)) => unknown
            .with_min_value(Precision::Exact(scalar(least)))
            .with_max_value(Precision::Exact(scalar(most))),
        None => unknown,
    }
}

fn scalar(value: &StatsValue) -> ScalarValue {
    match value {
        StatsValue::Text(text) => ScalarValue::Utf8(Some(text.clone())),
        StatsValue::Micros(micros) => {
            ScalarValue::TimestampMicrosecond(Some(*micros), Some("UTC".into()))
        }
    }
}

fn stats<'f>(file: &'f LakeFile, column: &str) -> Option<&'f ColumnStats> {
    file.stats.columns.get(column)
}

/// Returns the least and the greatest value of a column, if they are of its type.
fn range<'f>(file: &'f LakeFile, column: &str) -> Option<(&'f StatsValue, &'f StatsValue)> {
    let (least, most) = stats(file, column)?.range.as_ref()?;
    Some((least, most))
}

/// Facts about files, one container each.
struct FilesFacts<'f>(&'f [LakeFile]);

impl FilesFacts<'_> {
    /// Returns one end of the ranges of a column; `None` if the log has no facts about it.
    fn ends(
        &self,
        column: &Column,
        end: for<'v> fn((&'v StatsValue, &'v StatsValue)) -> &'v StatsValue,
    ) -> Option<ArrayRef> {
        let name = column.name();
        if !STATS_COLUMNS.contains(&name) {
            return None;
        }
        let ends = self.0.iter().map(|file| range(file, name).map(end));
        if name == TIME {
            let times = ends.map(|end| match end? {
                StatsValue::Micros(micros) => Some(*micros),
                StatsValue::Text(_) => None,
            });
            let times: TimestampMicrosecondArray = times.collect();
            return Some(Arc::new(times.with_timezone("UTC")));
        }
        let texts = ends.map(|end| match end? {
            StatsValue::Text(text) => Some(text.as_str()),
            StatsValue::Micros(_) => None,
        });
        Some(Arc::new(texts.collect::<StringArray>()))
    }
}

impl PruningStatistics for FilesFacts<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.ends(column, |range| range.0)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.ends(column, |range| range.1)
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let files = self.0.iter();
        let nulls = files.map(|file| stats(file, column.name()).map(|it| it.nulls));
        Some(Arc::new(nulls.collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows = self.0.iter().map(|file| file.stats.rows);
        Some(Arc::new(UInt64Array::from_iter_values(rows)))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
