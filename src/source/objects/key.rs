//! Trail keys: facts about the events of an object that its key tells, before a byte is read.
//!
//! ```text
//! [prefix/]AWSLogs/[o-ORG/]ACCOUNT/KIND/REGION/YYYY/MM/DD/ACCOUNT_KIND_REGION_YYYYMMDDTHHmmZ_UNIQUE.json.gz
//! ```
//!
//! The folders' date and the file's stamp are times of *delivery*. See
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html>.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, NaiveDateTime};

/// The facts that a path tells about a trail's object or folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrailKey {
    /// The account that the events happened in, twelve digits.
    pub account: Option<Box<str>>,
    /// The kind of files in such a folder.
    pub log_type: Option<LogType>,
    /// The region that delivered the object, which is its records' `awsRegion`.
    pub region: Option<Box<str>>,
    /// The year, month or day of delivery that the folders name: microseconds since 1970 UTC, the
    /// end excluded.
    pub folder_micros: Option<(i64, i64)>,
    /// The time of the file's delivery by the stamp in its name, microseconds since 1970 UTC.
    pub delivered_micros: Option<i64>,
    /// Whether this may leave the object out: its folders, and not its name alone, are a trail's.
    /// Files are renamed, merged and copied about; whole trees of dated folders are not.
    may_prune: bool,
    expects: Expects,
}

/// The kinds of files that a trail writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogType {
    /// `CloudTrail`: management and data events.
    Events,
    /// `CloudTrail-Digest`: signatures over the other files, no events.
    Digest,
    /// `CloudTrail-Insight`: unusual activity.
    Insight,
    /// `CloudTrail-NetworkActivity`: calls through VPC endpoints.
    NetworkActivity,
    /// `CloudTrail-Aggregated`: summaries of data events.
    Aggregated,
}

/// The part of the layout that the next folder names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Expects {
    Account,
    LogType,
    Region,
    Year,
    Month(i32),
    Day(i32, u32),
    /// No further part: the day is known, or this is not a trail's layout.
    #[default]
    Nothing,
}

impl TrailKey {
    /// Parses a folder's path; `None` if it does not run through `AWSLogs/`.
    ///
    /// All that it says holds for everything below it.
    pub fn of_folder(path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
        let below = (1..=segments.len())
            .filter(|&at| segments[at - 1] == "AWSLogs")
            .map(|at| match &segments[at..] {
                [org, rest @ ..] if is_organization(org) => rest,
                rest => rest,
            })
            .find(|rest| rest.first().is_none_or(|segment| is_account(segment)))?;
        let mut key = Self {
            may_prune: true,
            expects: Expects::Account,
            ..Self::default()
        };
        for segment in below {
            key.enter(segment);
        }
        Some(key)
    }

    /// Parses a file's path: its folders; its own name where they are not a trail's.
    pub fn of_object(path: &str) -> Option<Self> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let key = Self::of_folder(folder);
        let Some(named) = Self::of_name(name) else {
            return key;
        };
        match key {
            Some(key) => Some(Self {
                delivered_micros: named.delivered_micros,
                ..key
            }),
            None => Some(named),
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        let stem = name.split('.').next()?;
        let mut parts = stem.split('_');
        let account = parts.next().filter(|part| is_account(part))?;
        let kind = parts.next().and_then(LogType::parse)?;
        let region = parts.next().filter(|part| is_region(part))?;
        let mut stamps = parts.filter_map(stamp_micros);
        let delivered_micros = match kind {
            // A trail's name stands before a digest's stamp, and may look like one.
            LogType::Digest => stamps.next_back(),
            _ => stamps.next(),
        };
        Some(Self {
            account: Some(account.into()),
            log_type: Some(kind),
            region: Some(region.into()),
            delivered_micros,
            ..Self::default()
        })
    }

    fn enter(&mut self, segment: &str) {
        self.expects = self.entered(segment).unwrap_or(Expects::Nothing);
    }

    fn entered(&mut self, segment: &str) -> Option<Expects> {
        match self.expects {
            Expects::Account if is_account(segment) => {
                self.account = Some(segment.into());
                Some(Expects::LogType)
            }
            Expects::LogType => {
                self.log_type = Some(LogType::parse(segment)?);
                Some(Expects::Region)
            }
            Expects::Region if is_region(segment) => {
                self.region = Some(segment.into());
                Some(Expects::Year)
            }
            Expects::Year => {
                let year = number(segment, 4)? as i32;
                self.folder_micros = span((year, 1, 1), (year + 1, 1, 1));
                self.folder_micros.map(|_| Expects::Month(year))
            }
            Expects::Month(year) => {
                let month = number(segment, 2)?;
                let next = match month {
                    12 => (year + 1, 1, 1),
                    _ => (year, month + 1, 1),
                };
                self.folder_micros = Some(span((year, month, 1), next)?);
                Some(Expects::Day(year, month))
            }
            Expects::Day(year, month) => {
                let day = number(segment, 2)?;
                let start = day_micros(year, month, day)?;
                self.folder_micros = Some((start, start + DAY_MICROS));
                None
            }
            _ => None,
        }
    }
}

impl LogType {
    fn parse(segment: &str) -> Option<Self> {
        Some(match segment {
            "CloudTrail" => Self::Events,
            "CloudTrail-Digest" => Self::Digest,
            "CloudTrail-Insight" => Self::Insight,
            "CloudTrail-NetworkActivity" => Self::NetworkActivity,
            "CloudTrail-Aggregated" => Self::Aggregated,
            _ => return None,
        })
    }
}

/// A filter of objects by their keys. The default keeps everything.
///
/// A key leaves an object out only where it cannot be wrong: an object that was named itself is
/// read, and so is one whose name alone, and not its folders, is a trail's.
#[derive(Clone, Debug, Default)]
pub struct KeyFilter {
    /// Regions, as in `us-east-1`.
    pub regions: Option<BTreeSet<String>>,
    /// Accounts, twelve digits: those that events happened in (`recipientAccountId`).
    pub accounts: Option<BTreeSet<String>>,
    /// The first event time of interest, microseconds since 1970 UTC.
    pub from_micros: Option<i64>,
    /// The last event time of interest, microseconds since 1970 UTC.
    pub until_micros: Option<i64>,
    /// Hand out digest files too; they hold no events.
    pub read_digests: bool,
}

impl KeyFilter {
    /// Returns whether an object with this key, or one in a folder with this key, may hold a wanted event.
    ///
    /// Events are delivered after they happen: within minutes mostly, but delivery is tried again
    /// for up to 30 days. Clocks may differ by an hour.
    pub fn may_hold(&self, key: &TrailKey) -> bool {
        !self.is_unread_digest(key) && self.reaches(key)
    }

    /// Returns whether the key is a digest's and digests are not read.
    pub fn is_unread_digest(&self, key: &TrailKey) -> bool {
        key.may_prune && key.log_type == Some(LogType::Digest) && !self.read_digests
    }

    /// Returns [`KeyFilter::may_hold`] without regard to the kind of file.
    pub(super) fn reaches(&self, key: &TrailKey) -> bool {
        if !key.may_prune {
            return true;
        }
        allows(&self.regions, &key.region)
            && allows(&self.accounts, &key.account)
            && key
                .folder_micros
                .is_none_or(|(start, end)| self.reaches_delivery(start, end - 1))
            && key
                .delivered_micros
                .filter(|_| key.folder_micros.is_some())
                .is_none_or(|stamp| self.reaches_delivery(stamp, stamp + MINUTE_MICROS))
    }

    /// Returns whether any key at all can be ruled out.
    pub fn can_prune(&self) -> bool {
        self.regions.is_some() || self.accounts.is_some() || self.has_time()
    }

    /// Returns whether folders below this one may differ in whether they can hold a wanted event.
    pub(super) fn can_prune_below(&self, key: &TrailKey) -> bool {
        let surely = |(start, end): (i64, i64)| {
            self.earliest().is_none_or(|earliest| start >= earliest)
                && self.latest().is_none_or(|latest| end - 1 <= latest)
        };
        (self.accounts.is_some() && key.expects <= Expects::Account)
            || (self.regions.is_some() && key.expects <= Expects::Region)
            || (self.has_time()
                && key.expects < Expects::Nothing
                && !key.folder_micros.is_some_and(surely))
    }

    fn has_time(&self) -> bool {
        self.from_micros.is_some() || self.until_micros.is_some()
    }

    fn reaches_delivery(&self, first: i64, last: i64) -> bool {
        self.earliest().is_none_or(|earliest| last >= earliest)
            && self.latest().is_none_or(|latest| first <= latest)
    }

    fn earliest(&self) -> Option<i64> {
        Some(self.from_micros?.saturating_sub(CLOCKS_APART_MICROS))
    }

    fn latest(&self) -> Option<i64> {
        Some(self.until_micros?.saturating_add(REDELIVERY_MICROS))
    }
}

impl std::fmt::Display for KeyFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        for (name, wanted) in [("region", &self.regions), ("account", &self.accounts)] {
            if let Some(wanted) = wanted {
                let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
                parts.push(format!("{name} in ({})", wanted.join(", ")));
            }
        }
        for (sign, micros) in [(">=", self.earliest()), ("<=", self.latest())] {
            if let Some(time) = micros.and_then(DateTime::from_timestamp_micros) {
                parts.push(format!(
                    "delivered {sign} {}",
                    time.format("%Y-%m-%dT%H:%MZ")
                ));
            }
        }
        f.write_str(&parts.join(" and "))
    }
}

fn allows(wanted: &Option<BTreeSet<String>>, known: &Option<Box<str>>) -> bool {
    match (wanted, known) {
        (Some(wanted), Some(known)) => wanted.contains(&**known),
        _ => true,
    }
}

fn is_account(segment: &str) -> bool {
    number(segment, 12).is_some()
}

fn is_organization(segment: &str) -> bool {
    segment
        .strip_prefix("o-")
        .is_some_and(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Returns whether it looks like `us-east-1` or `us-gov-west-1`.
fn is_region(segment: &str) -> bool {
    let mut parts = segment.split('-');
    let number = parts.next_back().unwrap_or_default();
    let words: Vec<&str> = parts.collect();
    !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
        && words.len() >= 2
        && words
            .iter()
            .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()))
}

fn number(text: &str, digits: usize) -> Option<u32> {
    let all_digits = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    // Twelve digits are asked for only to know that they are digits.
    all_digits.then(|| text.parse().unwrap_or(u32::MAX))
}

/// `20250131T2355Z`, or with seconds as digests have it.
fn stamp_micros(part: &str) -> Option<i64> {
    let format = match part.len() {
        14 => "%Y%m%dT%H%MZ",
        16 => "%Y%m%dT%H%M%SZ",
        _ => return None,
    };
    let time = NaiveDateTime::parse_from_str(part, format).ok()?;
    Some(time.and_utc().timestamp_micros())
}

fn span(start: (i32, u32, u32), end: (i32, u32, u32)) -> Option<(i64, i64)> {
    Some((
        day_micros(start.0, start.1, start.2)?,
        day_micros(end.0, end.1, end.2)?,
    ))
}

fn day_micros(year: i32, month: u32, day: u32) -> Option<i64> {
    let midnight = NaiveDate::from_ymd_opt(year, month, day)?.and_hms_opt(0, 0, 0)?;
    Some(midnight.and_utc().timestamp_micros())
}

const MINUTE_MICROS: i64 = 60_000_000;
const DAY_MICROS: i64 = 24 * 60 * MINUTE_MICROS;
/// The lead that the clock of an event may have over the clock of its delivery.
const CLOCKS_APART_MICROS: i64 = 60 * MINUTE_MICROS;
/// Delivery is tried for 30 days, and one more for the folder's date to settle.
const REDELIVERY_MICROS: i64 = 31 * DAY_MICROS;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OBJECT: &str = "logs/AWSLogs/o-exampleorg/111122223333/CloudTrail/eu-west-1/2025/01/31/\
        111122223333_CloudTrail_eu-west-1_20250131T2355Z_nMwE5vJ8pYcDmNxB.json.gz";

    fn micros(text: &str) -> i64 {
        let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S").unwrap();
        time.and_utc().timestamp_micros()
    }

    fn set(values: &[&str]) -> Option<BTreeSet<String>> {
        Some(values.iter().map(|v| (*v).to_owned()).collect())
    }

    #[test]
    fn a_whole_key_says_everything() {
        for prefix in ["", "s3://bucket/", "/data/AWSLogs/old/"] {
            let key = TrailKey::of_object(&format!("{prefix}{OBJECT}")).unwrap();
            assert_eq!(key.account.as_deref(), Some("111122223333"));
            assert_eq!(key.log_type, Some(LogType::Events));
            assert_eq!(key.region.as_deref(), Some("eu-west-1"));
            let day = micros("2025-01-31T00:00:00");
            assert_eq!(key.folder_micros, Some((day, day + DAY_MICROS)));
            assert_eq!(key.delivered_micros, Some(micros("2025-01-31T23:55:00")));
        }
    }

    #[test]
    fn a_file_without_its_folders_says_it_by_its_name() {
        let key = TrailKey::of_object(OBJECT.rsplit('/').next().unwrap()).unwrap();
        assert_eq!(key.region.as_deref(), Some("eu-west-1"));
        assert_eq!(key.folder_micros, None);
        assert_eq!(key.delivered_micros, Some(micros("2025-01-31T23:55:00")));
        assert_eq!(TrailKey::of_object("events.json"), None);
        assert_eq!(
            TrailKey::of_object("a/111122223333_CloudTrail_x_y.json"),
            None
        );
    }

    #[test]
    fn a_digest_is_known_by_folder_and_by_name() {
        let name = "111122223333_CloudTrail-Digest_us-east-1_my_20200101T0000Z_trail_us-east-1_\
            20250131T235500Z_backfill.json.gz";
        let key = TrailKey::of_object(name).unwrap();
        assert_eq!(key.log_type, Some(LogType::Digest));
        assert_eq!(key.delivered_micros, Some(micros("2025-01-31T23:55:00")));
        assert!(
            KeyFilter::default().may_hold(&key),
            "its name alone leaves nothing out"
        );
        let folders = "AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2025/01/31/";
        let key = TrailKey::of_object(&format!("{folders}{name}")).unwrap();
        assert!(!KeyFilter::default().may_hold(&key));
        let folder = TrailKey::of_folder("AWSLogs/111122223333/CloudTrail-Digest/").unwrap();
        assert!(!KeyFilter::default().may_hold(&folder));
        let digests = KeyFilter {
            read_digests: true,
            ..KeyFilter::default()
        };
        assert!(digests.may_hold(&key) && digests.may_hold(&folder));
    }

    #[test]
    fn other_services_below_awslogs_are_not_taken_for_a_trail() {
        let key = TrailKey::of_folder("AWSLogs/111122223333/vpcflowlogs/us-east-1/2025/").unwrap();
        assert_eq!(
            (key.log_type, key.region, key.folder_micros),
            (None, None, None)
        );
        assert!(TrailKey::of_folder("logs/2025/01/").is_none());
        assert!(TrailKey::of_folder("AWSLogs/readme/").is_none());
    }

    #[test]
    fn late_delivery_has_its_slack() {
        let wanted = |from, until| KeyFilter {
            from_micros: from,
            until_micros: until,
            ..KeyFilter::default()
        };
        let key = TrailKey::of_object(OBJECT).unwrap();
        let stamp = micros("2025-01-31T23:55:00");
        let hour = 60 * MINUTE_MICROS;
        assert!(wanted(Some(stamp + hour), None).may_hold(&key));
        assert!(!wanted(Some(stamp + hour + 2 * MINUTE_MICROS), None).may_hold(&key));
        assert!(wanted(None, Some(stamp - 31 * DAY_MICROS)).may_hold(&key));
        assert!(!wanted(None, Some(stamp - 31 * DAY_MICROS - 1)).may_hold(&key));
        assert!(wanted(Some(i64::MIN), Some(i64::MAX)).may_hold(&key));

        let year = TrailKey::of_folder("AWSLogs/111122223333/CloudTrail/eu-west-1/2024").unwrap();
        assert!(wanted(Some(micros("2025-01-01T00:30:00")), None).may_hold(&year));
        assert!(!wanted(Some(micros("2025-01-01T01:00:00")), None).may_hold(&year));
    }

    #[test]
    fn folders_are_looked_into_only_while_they_can_still_differ() {
        let folder = |path: &str| TrailKey::of_folder(path).unwrap();
        let regions = KeyFilter {
            regions: set(&["us-east-1"]),
            ..KeyFilter::default()
        };
        assert!(regions.can_prune_below(&folder("AWSLogs")));
        assert!(regions.can_prune_below(&folder("AWSLogs/111122223333/CloudTrail")));
        assert!(!regions.can_prune_below(&folder("AWSLogs/111122223333/CloudTrail/us-east-1")));
        assert!(!regions.can_prune_below(&folder("AWSLogs/111122223333/Config")));
        let since = KeyFilter {
            from_micros: Some(micros("2024-06-01T00:00:00")),
            ..KeyFilter::default()
        };
        let region = "AWSLogs/111122223333/CloudTrail/us-east-1";
        assert!(since.can_prune_below(&folder(region)));
        assert!(since.can_prune_below(&folder(&format!("{region}/2024"))));
        assert!(!since.can_prune_below(&folder(&format!("{region}/2025"))));
        assert!(!since.can_prune_below(&folder(&format!("{region}/2024/06/01"))));
        assert!(!KeyFilter::default().can_prune_below(&folder("AWSLogs")));
    }

    fn segment() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("AWSLogs".to_owned()),
            Just("o-exampleorg".to_owned()),
            prop::sample::select(vec!["111122223333", "444455556666"]).prop_map(str::to_owned),
            prop::sample::select(vec!["CloudTrail", "CloudTrail-Insight", "Config"])
                .prop_map(str::to_owned),
            prop::sample::select(vec!["us-east-1", "eu-west-1"]).prop_map(str::to_owned),
            (2023..2026i32).prop_map(|year| year.to_string()),
            (1..32u32).prop_map(|number| format!("{number:02}")),
            "[a-z]{1,3}",
        ]
    }

    fn trail() -> impl Strategy<Value = Vec<String>> {
        let date = (2023..2026i32, 1..13u32, 1..32u32);
        let place = (
            prop::sample::select(vec!["111122223333", "444455556666"]),
            prop::sample::select(vec!["CloudTrail", "CloudTrail-Insight"]),
            prop::sample::select(vec!["us-east-1", "eu-west-1"]),
        );
        (place, date).prop_map(|((account, kind, region), (year, month, day))| {
            let (month, day) = (format!("{month:02}"), format!("{day:02}"));
            let year = year.to_string();
            ["p", "AWSLogs", account, kind, region, &year, &month, &day]
                .map(str::to_owned)
                .to_vec()
        })
    }

    fn name() -> impl Strategy<Value = String> {
        let stamp = (2023..2026i32, 1..13u32, 1..29u32, 0..24u32);
        let region = prop::sample::select(vec!["us-east-1", "eu-west-1"]);
        (region, stamp).prop_map(|(region, (y, m, d, h))| {
            format!("111122223333_CloudTrail_{region}_{y}{m:02}{d:02}T{h:02}00Z_u.json.gz")
        })
    }

    fn wanted() -> impl Strategy<Value = KeyFilter> {
        let micros = || {
            let (from, until) = (1_640_000_000_000_000i64, 1_800_000_000_000_000i64);
            prop::option::of(from..until)
        };
        let region = prop::option::of(Just(BTreeSet::from(["us-east-1".to_owned()])));
        let account = prop::option::of(Just(BTreeSet::from(["111122223333".to_owned()])));
        (region, account, micros(), micros()).prop_map(
            |(regions, accounts, from_micros, until_micros)| KeyFilter {
                regions,
                accounts,
                from_micros,
                until_micros,
                read_digests: false,
            },
        )
    }

    proptest! {
        #[test]
        fn no_folder_is_left_out_that_holds_an_object_which_may_match(
            folders in prop_oneof![prop::collection::vec(segment(), 0..10), trail()],
            name in prop_oneof![name(), Just("x.json".to_owned())],
            wanted in wanted(),
        ) {
            let path = format!("{}/{name}", folders.join("/"));
            let accepted = TrailKey::of_object(&path).is_none_or(|key| wanted.may_hold(&key));
            prop_assume!(accepted);
            for depth in 0..=folders.len() {
                let folder = folders[..depth].join("/");
                if let Some(key) = TrailKey::of_folder(&folder) {
                    prop_assert!(wanted.may_hold(&key), "{folder}");
                }
            }
        }

        #[test]
        fn an_event_is_never_missed_within_the_documented_delivery(
            event in 1_640_000_000i64..1_800_000_000,
            delay in -3_600i64..30 * 86_400,
            margin in 0i64..1_000_000,
        ) {
            let delivered = DateTime::from_timestamp(event + delay, 0).unwrap();
            let path = format!(
                "AWSLogs/111122223333/CloudTrail/us-east-1/{}/111122223333_CloudTrail_us-east-1_{}_u.json.gz",
                delivered.format("%Y/%m/%d"),
                delivered.format("%Y%m%dT%H%MZ"),
            );
            let wanted = KeyFilter {
                from_micros: Some((event - margin) * 1_000_000),
                until_micros: Some((event + margin) * 1_000_000),
                ..KeyFilter::default()
            };
            prop_assert!(wanted.may_hold(&TrailKey::of_object(&path).unwrap()));
        }
    }
}
