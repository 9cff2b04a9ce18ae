//! `\source`: places to read, added and removed while the prompt is up.

use super::commands::with_home;
use super::shell::Shell;
use crate::cli::lakes::Lakes;
use crate::cli::{Opened, report, words};
use crate::error::{Error, Result};
use crate::query::table::Input;
use crate::source::{Location, Sources};

/// The places that the tables of events are read from.
pub(super) struct Inputs {
    sources: Sources,
    lakes: Lakes,
    dedup: bool,
    /// Whether `events` is the made-up ones, because no source was given.
    pub(super) by_default: bool,
    /// Tables by name, `events` first.
    pub(super) tables: Vec<(String, Vec<Location>)>,
}

/// The table that sources go to when none is named.
pub(super) const EVENTS: &str = "events";

impl Inputs {
    /// The sources of the command line, as the table `events`.
    pub(super) fn new(opened: Opened, dedup: bool) -> Self {
        Self {
            sources: opened.sources,
            lakes: opened.lakes,
            dedup,
            by_default: opened.by_default,
            tables: vec![(EVENTS.to_owned(), opened.locations)],
        }
    }

    /// Returns all places, for checks of what is written.
    pub(super) fn opened(&self) -> Opened {
        Opened {
            sources: self.sources.clone(),
            locations: self.tables.iter().flat_map(|(_, it)| it.clone()).collect(),
            lakes: self.lakes.clone(),
            by_default: self.by_default,
        }
    }

    /// Returns the input of a table.
    pub(super) fn input(&self, table: &str) -> Option<Input> {
        let (_, locations) = self.tables.iter().find(|(name, _)| name == table)?;
        Some(self.lakes.input(&self.sources, locations, self.dedup))
    }

    /// Returns an input of one place that a row came from.
    ///
    /// # Errors
    /// Config, if it is no place that can be read by itself.
    pub(super) fn place(&self, text: &str) -> Result<Input> {
        Ok(Input {
            sources: self.sources.clone(),
            locations: vec![self.sources.parse(text)?],
            lakes: Vec::new(),
            dedup: false,
        })
    }
}

/// The arguments of `\source`.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    List,
    Add { places: Vec<String>, table: String },
    Remove(Vec<String>),
}

impl Shell {
    /// Makes the table `events` of its sources.
    pub(super) fn add_events(&self) -> Result<()> {
        match self.inputs.input(EVENTS) {
            Some(input) => self.session.add_events(input),
            None => Ok(()),
        }
    }

    /// Carries out `\source`.
    pub(super) async fn change_sources(&mut self, words: &str) -> Result<()> {
        match parse(words)? {
            Change::List => self.list_sources().await,
            Change::Add { places, table } => self.add_sources(&places, &table).await,
            Change::Remove(names) => self.remove_sources(&names),
        }
    }

    async fn list_sources(&mut self) -> Result<()> {
        let (mut tables, mut places) = (Vec::new(), Vec::new());
        for (table, locations) in &self.inputs.tables {
            for location in locations {
                tables.push(table.clone());
                places.push(location.to_string());
            }
        }
        self.show(vec![("table", tables), ("source", places)])
            .await?;
        let usage = self.session.cache_usage();
        let of = |bytes: usize| report::bytes(bytes as u64);
        self.say(&match usage.limit_bytes {
            0 => "no columns are kept in memory".to_owned(),
            limit => format!(
                "columns of {} are kept, {} of {}",
                report::counted(usage.objects as u64, "file"),
                of(usage.held_bytes),
                of(limit)
            ),
        });
        Ok(())
    }

    async fn add_sources(&mut self, places: &[String], table: &str) -> Result<()> {
        let mut locations = Vec::new();
        for place in places {
            words::check_source(place)?;
            locations.push(self.inputs.sources.parse(place)?);
        }
        if locations.iter().any(Location::is_stdin) {
            return Err(Error::query(
                "standard input is where the statements come from; save the events to a file first",
            ));
        }
        let Inputs { sources, lakes, .. } = &mut self.inputs;
        lakes.find(sources, &locations).await?;
        match lakes.others(&locations).as_slice() {
            [] => {}
            others => sources.check(others).await?,
        }
        let added = locations.len();
        let inputs = &mut self.inputs;
        match inputs.tables.iter_mut().find(|(name, _)| name == table) {
            // Made-up events are there until something real is.
            Some((name, all)) if name == EVENTS && inputs.by_default => {
                *all = locations;
                inputs.by_default = false;
            }
            Some((_, all)) => {
                for location in locations {
                    if !all.iter().any(|it| it.to_string() == location.to_string()) {
                        all.push(location);
                    }
                }
            }
            None => inputs.tables.push((table.to_owned(), locations)),
        }
        self.renew(table)?;
        let plural = if added == 1 { "" } else { "s" };
        self.say(&format!(
            "{added} source{plural} added to the table {table}"
        ));
        Ok(())
    }

    fn remove_sources(&mut self, names: &[String]) -> Result<()> {
        for name in names {
            let is_table = |it: &&(String, Vec<Location>)| it.0.eq_ignore_ascii_case(name);
            let table = self.inputs.tables.iter().find(is_table);
            if let Some((table, _)) = table {
                let table = table.clone();
                if table == EVENTS {
                    return Err(Error::query(
                        "the table events stays; remove its sources, or add others",
                    ));
                }
                self.inputs.tables.retain(|(name, _)| *name != table);
                self.session.remove_table(&table)?;
                self.say(&format!("the table {table} is removed"));
                continue;
            }
            self.remove_place(name)?;
        }
        Ok(())
    }

    fn remove_place(&mut self, place: &str) -> Result<()> {
        let bare = |text: &str| text.trim_end_matches('/').to_owned();
        let is_place = |location: &Location| bare(&location.to_string()) == bare(place);
        let holder = self
            .inputs
            .tables
            .iter_mut()
            .find(|(_, locations)| locations.iter().any(is_place));
        let Some((table, locations)) = holder else {
            return Err(Error::query(format!(
                "{place} is no source; \\source lists them"
            )));
        };
        if locations.len() == 1 && table == EVENTS {
            return Err(Error::query(format!(
                "{place} is the only source of events; add another one first"
            )));
        }
        locations.retain(|location| !is_place(location));
        let (table, is_empty) = (table.clone(), locations.is_empty());
        if is_empty {
            self.inputs.tables.retain(|(name, _)| *name != table);
            self.session.remove_table(&table)?;
        } else {
            self.renew(&table)?;
        }
        self.say(&format!("{place} is removed from the table {table}"));
        Ok(())
    }

    /// Makes a table anew, of the sources that it has now.
    fn renew(&mut self, table: &str) -> Result<()> {
        self.has_read = false;
        match self.inputs.input(table) {
            Some(_) if table == EVENTS => {
                self.add_events()?;
                self.renew_survey();
                Ok(())
            }
            Some(input) => self.session.add_table(table, input),
            None => Ok(()),
        }
    }
}

fn parse(words: &str) -> Result<Change> {
    let mut places = split_words(words)?;
    if places.is_empty() {
        return Ok(Change::List);
    }
    let removed: Option<Vec<String>> = places
        .iter()
        .map(|place| place.strip_prefix('-').filter(|it| !it.is_empty()))
        .map(|place| place.map(with_home))
        .collect();
    if let Some(removed) = removed {
        return Ok(Change::Remove(removed));
    }
    let mut table = EVENTS.to_owned();
    if let [.., word, name] = places.as_slice()
        && word.eq_ignore_ascii_case("as")
    {
        table = table_name(name)?;
        places.truncate(places.len() - 2);
    }
    if places.is_empty() {
        return Err(Error::query("expected \\source PLACE AS NAME"));
    }
    for place in &mut places {
        *place = with_home(place.strip_prefix('+').unwrap_or(place));
    }
    Ok(Change::Add { places, table })
}

fn table_name(name: &str) -> Result<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let lower = name.to_lowercase();
    match begins
        && name.chars().all(is_plain)
        && !matches!(&*lower, "aurora_events" | "events_current")
    {
        true => Ok(lower),
        false => Err(Error::query(format!(
            "expected a table name of letters, digits and _, found {name}"
        ))),
    }
}

/// Splits words at blanks; quotes keep them together.
fn split_words(text: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(Error::query(format!("a quote is not closed in {text}")));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_added_named_and_removed() {
        let add = |places: &[&str], table: &str| Change::Add {
            places: places.iter().map(|it| (*it).to_owned()).collect(),
            table: table.to_owned(),
        };
        assert_eq!(parse("").unwrap(), Change::List);
        assert_eq!(parse("a/ +b").unwrap(), add(&["a/", "b"], "events"));
        assert_eq!(parse("'my logs' As Old").unwrap(), add(&["my logs"], "old"));
        let removed = Change::Remove(vec!["a/".to_owned(), "old".to_owned()]);
        assert_eq!(parse("-a/ -old").unwrap(), removed);
        assert!(parse("as old").is_err());
        assert!(parse("a as 1x").is_err());
        assert!(parse("a as aurora_events").is_err());
        assert!(parse("'a").is_err());
    }
}
