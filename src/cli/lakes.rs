//! The lakes among the sources of a command.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::logs::{self, Level};
use crate::error::Result;
use crate::lake::Lake;
use crate::query::table::Input;
use crate::query::{LakeReader, OpenLake};
use crate::source::{Location, Sources};

/// Lakes by the words that name them, opened once.
#[derive(Clone, Default)]
pub(super) struct Lakes(BTreeMap<String, Arc<dyn LakeReader>>);

impl Lakes {
    /// Finds the lakes among `locations`, and adds them. A place that cannot be looked at is none: reading
    /// it will say why.
    pub(super) async fn find(&mut self, sources: &Sources, locations: &[Location]) -> Result<()> {
        for location in locations {
            let name = location.to_string();
            if !self.0.contains_key(&name)
                && let Some(lake) = lake_at(sources, location, &name).await?
            {
                self.0.insert(name, Arc::new(OpenLake::new(lake)));
            }
        }
        Ok(())
    }

    /// Returns the locations that are no lakes.
    pub(super) fn others(&self, locations: &[Location]) -> Vec<Location> {
        let others = locations
            .iter()
            .filter(|it| !self.0.contains_key(&it.to_string()));
        others.cloned().collect()
    }

    /// Returns the input of a table over `locations`.
    pub(super) fn input(&self, sources: &Sources, locations: &[Location], dedup: bool) -> Input {
        let lakes = locations
            .iter()
            .filter_map(|it| self.0.get(&it.to_string()));
        let mut lakes: Vec<_> = lakes.cloned().collect();
        // What is named twice is read once.
        lakes.dedup_by(|a, b| Arc::ptr_eq(a, b));
        Input {
            sources: sources.clone(),
            locations: self.others(locations),
            lakes,
            dedup,
        }
    }
}

/// Warns, after a commit, if the lake's store cannot keep two writers apart.
pub(super) async fn warn_of_a_heedless_store(lake: &Lake) {
    // After a commit it is known.
    if let Ok(false) = lake.storage().creates_once().await {
        let name = lake.name();
        let message = format!(
            "{name}: the store passes over If-None-Match, by which writers keep out of each other's way; \
             let one process at a time write to this lake, else commits can be lost"
        );
        logs::say(Level::Warn, &message);
    }
}

async fn lake_at(sources: &Sources, location: &Location, name: &str) -> Result<Option<Lake>> {
    match location {
        Location::Local(_) if Path::new(name).join("_delta_log").is_dir() => {}
        Location::S3(s3) if s3.is_literal() => {}
        _ => return Ok(None),
    }
    let lake = Lake::open(sources, name).await?;
    let is_there = lake.log().exists().await.unwrap_or(false);
    Ok(is_there.then_some(lake))
}
