//! The time zone in which timestamps are shown.

use std::str::FromStr;

use strsim::osa_distance;

use crate::error::{Error, Result};

/// A time zone of the IANA database, or a fixed offset from UTC.
pub type Zone = arrow::array::timezone::Tz;

/// Parses the name of a time zone in any case, such as `Europe/Berlin`, or an offset, such as
/// `+05:30`.
///
/// # Errors
///
/// Config, with the names that are spelled much the same.
pub fn parse_zone(name: &str) -> Result<Zone> {
    let name = name.trim();
    if name.eq_ignore_ascii_case("z") {
        return Ok(known("UTC"));
    }
    if let Some(zone) = spellings(name).find_map(|spelling| Zone::from_str(&spelling).ok()) {
        return Ok(zone);
    }
    let expected = match near(name) {
        names if names.is_empty() => {
            "expected a name such as Europe/Berlin, or an offset such as +05:30".to_owned()
        }
        names => format!("did you mean {}?", names.join(" or ")),
    };
    let separator = if expected.ends_with('?') { "; " } else { ": " };
    Err(Error::config(format!(
        "`{name}` is not a time zone{separator}{expected}"
    )))
}

fn known(name: &str) -> Zone {
    name.parse().expect("the database has the zone")
}

/// Returns whether `zone` is a name of UTC.
pub(super) fn is_utc(zone: &str) -> bool {
    UTC.iter().any(|utc| zone.eq_ignore_ascii_case(utc))
}

/// Returns the name as it is, with blanks as `_`, in capitals, and with a capital for each word.
fn spellings(name: &str) -> impl Iterator<Item = String> {
    let joined = name.replace(' ', "_");
    let capitals = joined.to_uppercase();
    let title = title_case(&joined);
    [name.to_owned(), joined, capitals, title].into_iter()
}

/// Writes each word with a capital: `america/new_york` as `America/New_York`. Small words keep
/// their case: `Africa/Dar_es_Salaam`.
fn title_case(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for word in name.split_inclusive(['/', '_', '-']) {
        let lower = word.to_lowercase();
        let small = ["es_", "of_", "au_", "in_"].contains(&lower.as_str());
        let first = usize::from(!small).min(lower.len());
        match lower.split_at_checked(first) {
            Some((first, rest)) => text.extend([&first.to_uppercase(), rest]),
            None => text.push_str(&lower),
        }
    }
    text
}

/// Returns the zones that `name` may stand for: those of a city by that name, else the common ones
/// that differ in a few letters.
fn near(name: &str) -> Vec<String> {
    let city = title_case(&name.replace(' ', "_"));
    let city = city.rsplit('/').next().unwrap_or_default();
    let of_area = |area: &&str| Some(format!("{area}/{city}")).filter(|name| is_zone(name));
    let zones: Vec<String> = AREAS.iter().filter_map(of_area).collect();
    if !city.is_empty() && !zones.is_empty() {
        return zones;
    }
    let typed = name.to_lowercase();
    let distance = |zone: &str| {
        let zone = zone.to_lowercase();
        let city = zone.rsplit('/').next().unwrap_or_default();
        osa_distance(&typed, &zone).min(osa_distance(&typed, city))
    };
    let distances = COMMON.iter().map(|zone| (distance(zone), *zone));
    // One typo per four characters is tolerated.
    let limit = typed.chars().count().div_ceil(4).min(3);
    let mut near: Vec<_> = distances.filter(|(far, _)| *far <= limit).collect();
    near.sort_unstable();
    let best = near.first().map_or(0, |(far, _)| *far);
    near.retain(|(far, _)| *far <= best + 1);
    near.truncate(MOST);
    near.into_iter().map(|(_, zone)| zone.to_owned()).collect()
}

fn is_zone(name: &str) -> bool {
    Zone::from_str(name).is_ok()
}

/// Names of UTC.
const UTC: [&str; 5] = ["UTC", "Etc/UTC", "Z", "+00:00", "+0000"];

/// Most suggestions in a message.
const MOST: usize = 3;

/// First parts of the names of zones.
const AREAS: &[&str] = &[
    "Africa",
    "America",
    "Asia",
    "Atlantic",
    "Australia",
    "Europe",
    "Indian",
    "Pacific",
    "US",
];

/// Zones that a typo is compared with: those of large cities and of the regions of AWS.
const COMMON: &[&str] = &[
    "UTC",
    "Africa/Cairo",
    "Africa/Johannesburg",
    "Africa/Lagos",
    "Africa/Nairobi",
    "America/Anchorage",
    "America/Bogota",
    "America/Buenos_Aires",
    "America/Chicago",
    "America/Denver",
    "America/Edmonton",
    "America/Halifax",
    "America/Lima",
    "America/Los_Angeles",
    "America/Mexico_City",
    "America/New_York",
    "America/Phoenix",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/Toronto",
    "America/Vancouver",
    "Asia/Bahrain",
    "Asia/Bangkok",
    "Asia/Dubai",
    "Asia/Hong_Kong",
    "Asia/Jakarta",
    "Asia/Jerusalem",
    "Asia/Karachi",
    "Asia/Kolkata",
    "Asia/Kuala_Lumpur",
    "Asia/Manila",
    "Asia/Riyadh",
    "Asia/Seoul",
    "Asia/Shanghai",
    "Asia/Singapore",
    "Asia/Taipei",
    "Asia/Tokyo",
    "Australia/Melbourne",
    "Australia/Perth",
    "Australia/Sydney",
    "Europe/Amsterdam",
    "Europe/Berlin",
    "Europe/Brussels",
    "Europe/Copenhagen",
    "Europe/Dublin",
    "Europe/Helsinki",
    "Europe/Istanbul",
    "Europe/Kyiv",
    "Europe/Lisbon",
    "Europe/London",
    "Europe/Madrid",
    "Europe/Moscow",
    "Europe/Oslo",
    "Europe/Paris",
    "Europe/Prague",
    "Europe/Rome",
    "Europe/Stockholm",
    "Europe/Vienna",
    "Europe/Warsaw",
    "Europe/Zurich",
    "Pacific/Auckland",
    "Pacific/Honolulu",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str) -> String {
        parse_zone(name).unwrap().to_string()
    }

    fn refused(name: &str) -> String {
        parse_zone(name).unwrap_err().to_string()
    }

    #[test]
    fn a_name_is_found_in_any_case_and_an_offset_is_a_zone() {
        assert_eq!(parsed("Europe/Berlin"), "Europe/Berlin");
        assert_eq!(parsed("europe/berlin"), "Europe/Berlin");
        assert_eq!(parsed("AMERICA/NEW YORK"), "America/New_York");
        assert_eq!(parsed("africa/dar_es_salaam"), "Africa/Dar_es_Salaam");
        assert_eq!(parsed("utc"), "UTC");
        assert_eq!(parsed("z"), "UTC");
        assert_eq!(parsed("est5edt"), "EST5EDT");
        assert_eq!(parsed(" +0530 "), "+05:30");
    }

    #[test]
    fn a_wrong_name_is_answered_with_near_ones() {
        assert_eq!(
            refused("Europe/Brelin"),
            "`Europe/Brelin` is not a time zone; did you mean Europe/Berlin?"
        );
        assert_eq!(
            refused("new york"),
            "`new york` is not a time zone; did you mean America/New_York?"
        );
        assert_eq!(
            refused("Europe/Tokyo"),
            "`Europe/Tokyo` is not a time zone; did you mean Asia/Tokyo?"
        );
        assert_eq!(
            refused("sidney"),
            "`sidney` is not a time zone; did you mean Australia/Sydney?"
        );
        for name in ["", "xyzzy", "+99:99", "é/", "é/ß"] {
            assert_eq!(
                refused(name),
                format!(
                    "`{name}` is not a time zone: expected a name such as Europe/Berlin, or an \
                     offset such as +05:30"
                )
            );
        }
    }

    #[test]
    fn all_suggestions_are_zones() {
        for zone in COMMON {
            assert_eq!(parsed(zone), *zone);
        }
    }
}
