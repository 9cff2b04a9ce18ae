//! Names of digest files and log files.
//!
//! ```text
//! [base/]AWSLogs/[o-ORG/]ACCOUNT/CloudTrail-Digest/REGION/YYYY/MM/DD/
//!     ACCOUNT_CloudTrail-Digest_REGION_TRAIL_HOMEREGION_YYYYMMDDTHHMMSSZ[_backfill].json.gz
//! ```

use chrono::{DateTime, NaiveDateTime, Utc};

/// A trail's chain of digest files: those of one account and one region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrailId {
    /// The organization of an organization trail: `o-exampleorg`.
    pub organization: Option<String>,
    /// The account that the events happened in.
    pub account: String,
    /// The region that the events happened in.
    pub region: String,
    /// The trail's name.
    pub name: String,
    /// The region that the trail was made in.
    pub home_region: String,
    /// Whether this is the chain of digest files that were made later.
    pub is_backfill: bool,
}

/// The facts that the name of a digest file tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestKey {
    /// The chain that it belongs to.
    pub trail: TrailId,
    /// The address before `/AWSLogs/`: the bucket and the trail's prefix.
    pub base: String,
    /// The end of the time that it covers.
    pub end: DateTime<Utc>,
}

impl DigestKey {
    /// Parses the address of a digest file; `None` for all other files.
    pub fn parse(url: &str) -> Option<Self> {
        let (base, below) = split(url)?;
        let mut parts: Vec<&str> = below.split('/').collect();
        let organization = match parts.first() {
            Some(first) if is_organization(first) => Some(parts.remove(0).to_owned()),
            _ => None,
        };
        let [account, "CloudTrail-Digest", region, _, _, _, name] = parts[..] else {
            return None;
        };
        let stem = name.strip_suffix(".json.gz")?;
        let backfill = stem.strip_suffix("_backfill");
        let (stem, stamp) = backfill.unwrap_or(stem).rsplit_once('_')?;
        let trail = stem.strip_prefix(&format!("{account}_CloudTrail-Digest_{region}_"))?;
        let (trail, home_region) = trail.rsplit_once('_')?;
        Some(Self {
            trail: TrailId {
                organization,
                account: account.to_owned(),
                region: region.to_owned(),
                name: trail.to_owned(),
                home_region: home_region.to_owned(),
                is_backfill: backfill.is_some(),
            },
            base: base.to_owned(),
            end: stamp_time(stamp, "%Y%m%dT%H%M%SZ")?,
        })
    }

    /// The folder of the region's digest files or log files, by years: `kind` is `CloudTrail-Digest` or
    /// `CloudTrail`.
    pub fn folder(&self, kind: &str) -> String {
        let TrailId {
            organization,
            account,
            region,
            ..
        } = &self.trail;
        let organization = organization
            .as_ref()
            .map_or_else(String::new, |it| format!("{it}/"));
        let base = &self.base;
        let slash = if base.is_empty() { "" } else { "/" };
        format!("{base}{slash}AWSLogs/{organization}{account}/{kind}/{region}")
    }
}

impl std::fmt::Display for TrailId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            account,
            region,
            name,
            ..
        } = self;
        write!(f, "{account}/{region}/{name}")
    }
}

/// Returns the minute that a log file's name gives for its delivery; `None` for other files.
pub fn delivered(url: &str) -> Option<DateTime<Utc>> {
    let name = url.rsplit('/').next()?.strip_suffix(".json.gz")?;
    let mut parts = name.split('_');
    parts.next().filter(|account| is_account(account))?;
    parts.next().filter(|kind| *kind == "CloudTrail")?;
    let _region = parts.next()?;
    stamp_time(parts.next()?, "%Y%m%dT%H%MZ")
}

/// Splits an address at `AWSLogs/`, the last one that an account or an organization follows. The first
/// part has no slash at its end, the second one may be empty.
pub fn split(url: &str) -> Option<(&str, &str)> {
    let is_start = |at: usize| at == 0 || url[..at].ends_with('/');
    let ends = url
        .rmatch_indices("AWSLogs")
        .filter(|(at, _)| is_start(*at));
    for (at, name) in ends {
        let below = &url[at + name.len()..];
        let Some(below) = below
            .strip_prefix('/')
            .or_else(|| below.is_empty().then_some(""))
        else {
            continue;
        };
        let first = below.split('/').next().unwrap_or_default();
        if first.is_empty() || is_account(first) || is_organization(first) {
            return Some((url[..at].trim_end_matches('/'), below));
        }
    }
    None
}

/// Returns whether it is an account's ID.
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Returns whether it is an organization's ID.
pub fn is_organization(text: &str) -> bool {
    text.strip_prefix("o-")
        .is_some_and(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn stamp_time(stamp: &str, format: &str) -> Option<DateTime<Utc>> {
    let time = NaiveDateTime::parse_from_str(stamp, format).ok()?;
    Some(time.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDERS: &str = "111122223333/CloudTrail-Digest/eu-west-1/2026/11/05";
    const NAME: &str = "111122223333_CloudTrail-Digest_eu-west-1";

    #[test]
    fn the_name_of_a_digest_file_tells_its_chain_and_its_end() {
        let url = format!(
            "s3://b/p/AWSLogs/{FOLDERS}/{NAME}_my_trail_us-east-1_20261105T100203Z.json.gz"
        );
        let key = DigestKey::parse(&url).unwrap();
        assert_eq!(key.base, "s3://b/p");
        assert_eq!(key.end.to_rfc3339(), "2026-11-05T10:02:03+00:00");
        let TrailId {
            organization,
            name,
            home_region,
            is_backfill,
            ..
        } = &key.trail;
        let said = (organization.as_deref(), &**name, &**home_region);
        assert_eq!(said, (None, "my_trail", "us-east-1"));
        assert!(!is_backfill);
        assert_eq!(
            key.folder("CloudTrail"),
            "s3://b/p/AWSLogs/111122223333/CloudTrail/eu-west-1"
        );
    }

    #[test]
    fn organizations_and_backfills_have_chains_of_their_own() {
        let of = |org: &str, end: &str| {
            let name = format!("{NAME}_t_us-east-1_20261105T100203Z{end}.json.gz");
            DigestKey::parse(&format!("AWSLogs/{org}{FOLDERS}/{name}")).unwrap()
        };
        let plain = of("", "").trail;
        assert!(of("", "_backfill").trail.is_backfill);
        assert_ne!(of("", "_backfill").trail, plain);
        let organization = of("o-abc123/", "");
        assert_ne!(organization.trail, plain);
        assert_eq!(
            organization.folder("CloudTrail"),
            "AWSLogs/o-abc123/111122223333/CloudTrail/eu-west-1"
        );
    }

    #[test]
    fn other_files_have_no_digest_key() {
        for name in [
            "x.json.gz",
            "111122223333_CloudTrail-Digest_us-east-1_t_us-east-1_20261105T100203Z.json.gz",
            "111122223333_CloudTrail-Digest_eu-west-1_t_us-east-1_20261105T100203Z.json.gz.head.json",
            "111122223333_CloudTrail-Digest_eu-west-1_t_us-east-1_20261105T9999Z.json.gz",
        ] {
            assert_eq!(DigestKey::parse(&format!("AWSLogs/{FOLDERS}/{name}")), None);
        }
    }

    #[test]
    fn a_log_file_has_its_minute_in_its_name() {
        let name = "111122223333_CloudTrail_eu-west-1_20261105T1002Z_AbC.json.gz";
        let time = delivered(&format!("a/{name}")).unwrap();
        assert_eq!(time.to_rfc3339(), "2026-11-05T10:02:00+00:00");
        assert_eq!(delivered(&name.replace("CloudTrail", "x")), None);
    }

    #[test]
    fn the_layout_begins_at_the_last_fitting_folder() {
        assert_eq!(
            split("/AWSLogs/old/AWSLogs/o-a1/x"),
            Some(("/AWSLogs/old", "o-a1/x"))
        );
        assert_eq!(split("copy/AWSLogs/"), Some(("copy", "")));
        assert_eq!(split("copy/AWSLogs"), Some(("copy", "")));
        assert_eq!(split("copy/MyAWSLogs/111122223333/"), None);
        assert_eq!(split("copy/AWSLogs/notes/"), None);
    }
}
