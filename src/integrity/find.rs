//! Finds digest files and log files by the folders of a trail: only those of the days that are wanted.

use chrono::{DateTime, Utc};

use super::key::{is_account, is_organization, split};
use super::store::Store;
use crate::error::Result;

/// A kind of file in a trail's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// `CloudTrail-Digest`
    Digest,
    /// `CloudTrail`
    Log,
}

/// Days of delivery, as folders name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Days {
    /// The first day: `2026/11/05`; empty for no limit.
    first: String,
    last: String,
}

impl Days {
    /// The days of a range.
    pub fn new(from: Option<DateTime<Utc>>, until: DateTime<Utc>) -> Self {
        let day = |time: DateTime<Utc>| time.format("%Y/%m/%d").to_string();
        Self {
            first: from.map(day).unwrap_or_default(),
            last: day(until),
        }
    }

    /// Returns whether a year, month or day has days of this range.
    fn reach(&self, folder: &str) -> bool {
        let cut = |day: &str| day.get(..folder.len()).map(str::to_owned);
        let is_late = cut(&self.first).is_none_or(|first| *folder >= *first);
        is_late && cut(&self.last).is_none_or(|last| *folder <= *last)
    }
}

impl FileKind {
    /// The folder of such files.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Digest => "CloudTrail-Digest",
            Self::Log => "CloudTrail",
        }
    }
}

/// Lists the files of a kind and some days below a folder, which may be above `AWSLogs` or anywhere below
/// it.
///
/// # Errors
/// Those of folders that cannot be listed.
pub async fn find(
    store: &dyn Store,
    place: &str,
    kind: FileKind,
    days: &Days,
) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders = vec![(place.trim_end_matches('/').to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let way = way(&folder, kind, days);
        if way == Way::None || (way == Way::Search && depth > SEARCH_LEVELS) {
            continue;
        }
        let level = store.level(&folder).await?;
        if way == Way::Files {
            files.extend(level.files);
        }
        let below = level.folders.into_iter().map(|it| (it, depth + 1));
        folders.extend(below);
    }
    files.sort();
    Ok(files)
}

/// A reason to list a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A trail may be below it.
    Search,
    /// The layout goes on below it.
    Down,
    /// It is a day, with the files.
    Files,
    /// It is not listed.
    None,
}

fn way(folder: &str, kind: FileKind, days: &Days) -> Way {
    let Some((_, below)) = split(folder) else {
        return Way::Search;
    };
    let mut parts: Vec<&str> = below.split('/').filter(|part| !part.is_empty()).collect();
    if parts.first().is_some_and(|first| is_organization(first)) {
        parts.remove(0);
    }
    let is_kind = |name: &&str| *name == kind.folder();
    let (layout, date) = parts.split_at(parts.len().min(3));
    let fits = layout.first().is_none_or(|account| is_account(account))
        && layout.get(1).is_none_or(is_kind)
        && days.reach(&date.join("/"));
    match date.len() {
        _ if !fits => Way::None,
        0..3 => Way::Down,
        3 => Way::Files,
        _ => Way::None,
    }
}

/// Levels of folders above `AWSLogs` that are searched: the prefix of a trail.
const SEARCH_LEVELS: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_the_days_are_listed() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        let days = Days::new(Some(at("2026-10-31T23:59:00Z")), at("2026-11-02T00:30:00Z"));
        let region = "s3://b/AWSLogs/o-a1/111122223333/CloudTrail-Digest/eu-west-1";
        for (below, expected) in [
            ("", Way::Down),
            ("/2025", Way::None),
            ("/2026", Way::Down),
            ("/2027", Way::None),
            ("/2026/09", Way::None),
            ("/2026/10", Way::Down),
            ("/2026/12", Way::None),
            ("/2026/10/30", Way::None),
            ("/2026/10/31", Way::Files),
            ("/2026/11/02", Way::Files),
            ("/2026/11/03", Way::None),
            ("/2026/11/02/x", Way::None),
        ] {
            let found = way(&format!("{region}{below}"), FileKind::Digest, &days);
            assert_eq!(found, expected, "{below}");
        }
        assert_eq!(way(region, FileKind::Log, &days), Way::None);
        assert_eq!(way("s3://b/x", FileKind::Log, &days), Way::Search);
        assert_eq!(way("s3://b/AWSLogs", FileKind::Log, &days), Way::Down);
        let all = Days::new(None, at("2026-11-02T00:30:00Z"));
        let early = way(&format!("{region}/2014/01/01"), FileKind::Digest, &all);
        assert_eq!(early, Way::Files);
    }
}
