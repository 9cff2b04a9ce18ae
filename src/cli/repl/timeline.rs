//! `\timeline IDENTIFIER`: all that happened to a cluster, instance or snapshot.
//!
//! A resource has several names: its identifier, its ARN, the resource ID that it keeps when it is
//! renamed. Events name one or the other, so the names are looked for first: in events that
//! have two of them side by side.

use std::collections::BTreeSet;

use futures::StreamExt;

use super::answer::cell;
use super::shell::Shell;
use crate::error::{Error, Result};
use crate::execution::Execution;

/// Columns with the names of one resource, side by side.
const SIBLINGS: [[&str; 3]; 3] = [
    [
        "responseElements.dBClusterIdentifier",
        "responseElements.dbClusterResourceId",
        "responseElements.dBClusterArn",
    ],
    [
        "responseElements.dBInstanceIdentifier",
        "responseElements.dbiResourceId",
        "responseElements.dBInstanceArn",
    ],
    [
        "responseElements.dBClusterSnapshotIdentifier",
        "NULL",
        "responseElements.dBClusterSnapshotArn",
    ],
];

/// Columns with the old and the new identifier of a resource that is renamed.
const RENAMED: [[&str; 2]; 2] = [
    [
        "requestParameters.dBClusterIdentifier",
        "requestParameters.newDBClusterIdentifier",
    ],
    [
        "requestParameters.dBInstanceIdentifier",
        "requestParameters.newDBInstanceIdentifier",
    ],
];

impl Shell {
    /// Shows all events that name a resource, in order of time.
    pub(super) async fn show_timeline(&mut self, identifier: &str) -> Result<()> {
        let names = self.names_of(identifier).await?;
        if names.len() > 1 {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            self.say(&format!("also known as {}", names[1..].join(", ")));
        }
        let sql = format!(
            "SELECT eventTime, eventName, actor, sourceIPAddress AS source, errorCode AS error, \
             db_identifier AS resource, awsRegion AS region FROM events WHERE {} ORDER BY eventTime",
            mentions(&names)
        );
        let route = self.settings.route();
        self.ask(sql, &route).await
    }

    /// Finds the names of a resource, the given one first.
    async fn names_of(&self, identifier: &str) -> Result<Vec<String>> {
        let columns = sibling_columns();
        let has_some: Vec<String> = columns
            .iter()
            .filter(|column| **column != "NULL")
            .map(|column| format!("{column} IS NOT NULL"))
            .collect();
        let selected: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(index, column)| format!("{column} AS c{index}"))
            .collect();
        let sql = format!(
            "SELECT DISTINCT {} FROM events WHERE errorCode IS NULL AND ({})",
            selected.join(", "),
            has_some.join(" OR ")
        );
        let work = self.interrupts.begin();
        let execution = std::sync::Arc::new(Execution::new(work.stop.clone()));
        let mut result = self.session.plan(&sql).await?.start(&execution).await?;
        let mut siblings = Vec::new();
        while let Some(batch) = result.rows.next().await {
            let batch = batch.map_err(crate::query::translate_error)?;
            for row in 0..batch.num_rows() {
                let cells: Vec<Option<String>> = batch
                    .columns()
                    .iter()
                    .map(|column| cell(column, row))
                    .collect();
                siblings.extend(groups(&cells).into_iter().filter(|group| group.len() > 1));
            }
        }
        let names = connected(short_name(identifier), siblings);
        if names.len() > MOST_NAMES {
            return Err(Error::query(format!(
                "{identifier} is named together with more than {MOST_NAMES} others; give an ARN or a \
                 resource ID"
            )));
        }
        Ok(names)
    }
}

/// Returns the names that groups connect with `name`, that one first; in any case.
fn connected(name: String, mut groups: Vec<Vec<String>>) -> Vec<String> {
    let mut seen = BTreeSet::from([name.to_lowercase()]);
    let mut names = vec![name];
    loop {
        let is_same =
            |group: &mut Vec<String>| group.iter().any(|name| seen.contains(&name.to_lowercase()));
        let found: Vec<String> = groups.extract_if(.., is_same).flatten().collect();
        if found.is_empty() {
            return names;
        }
        for name in found {
            if seen.insert(name.to_lowercase()) {
                names.push(name);
            }
        }
    }
}

fn sibling_columns() -> Vec<&'static str> {
    let siblings = SIBLINGS.iter().flatten();
    siblings.chain(RENAMED.iter().flatten()).copied().collect()
}

/// Returns the names of a row by resource: those that stand side by side.
fn groups(cells: &[Option<String>]) -> Vec<Vec<String>> {
    let width = SIBLINGS[0].len();
    let (siblings, renamed) = cells.split_at(width * SIBLINGS.len());
    siblings
        .chunks(width)
        .chain(renamed.chunks(RENAMED[0].len()))
        .map(|group| {
            group
                .iter()
                .flatten()
                .map(|name| short_name(name))
                .collect()
        })
        .collect()
}

/// Returns the last part of an ARN, the identifier; other names as they are.
fn short_name(name: &str) -> String {
    let name = name.trim();
    let is_arn = name.starts_with("arn:") && name.matches(':').count() >= 6;
    match name.rsplit_once(':') {
        Some((_, identifier)) if is_arn => identifier.to_owned(),
        _ => name.to_owned(),
    }
}

/// Returns the condition that a record has one of the names as a whole value, or at the end of an
/// ARN.
fn mentions(names: &[String]) -> String {
    let conditions: Vec<String> = names
        .iter()
        .flat_map(|name| {
            let name = escaped(name);
            [
                format!("record ILIKE '%\"{name}\"%'"),
                format!("record ILIKE '%:{name}\"%'"),
            ]
        })
        .collect();
    conditions.join(" OR ")
}

/// Returns text for use in a pattern of LIKE, within quotes.
fn escaped(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        match c {
            '\'' => text.push('\''),
            '%' | '_' | '\\' => text.push('\\'),
            _ => {}
        }
        text.push(c);
    }
    text
}

/// Most names of one resource.
const MOST_NAMES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_connected_through_others() {
        let group = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
        let groups = vec![group(&["c", "d"]), group(&["x", "y"]), group(&["A", "c"])];
        assert_eq!(connected("a".to_owned(), groups), ["a", "c", "d"]);
    }

    #[test]
    fn names_are_found_as_whole_values() {
        assert_eq!(
            short_name("arn:aws:rds:eu-west-1:111122223333:cluster:a"),
            "a"
        );
        assert_eq!(short_name(" cluster-ABC "), "cluster-ABC");
        assert_eq!(
            mentions(&["a_b'".to_owned()]),
            r#"record ILIKE '%"a\_b''"%' OR record ILIKE '%:a\_b''"%'"#
        );
    }
}
