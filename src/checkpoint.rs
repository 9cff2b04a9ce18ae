//! Checkpoints: the positions that a source was read to. Data without I/O, kept beside the rows that
//! they cover.
//!
//! ```text
//! Checkpoint
//! ├── s3://trail/AWSLogs/1/CloudTrail/eu-west-1/2026/10/31/   Objects { through: "…T0915Z_x.json.gz", besides: … }
//! ├── kinesis://stream/shardId-000000000000                   Sequence("4957…")
//! ├── logs://group/stream                                     Time { micros, ids }
//! └── unfinished: s3://trail/…/large.json.gz → 120,000 items of it were handed down
//! ```
//!
//! A checkpoint that stands in the same commit as the rows it covers makes each record count once,
//! however often the process dies: see [`crate::pipeline`].

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use crate::error::{Error, Result};

/// The name of something that a source reads in order: a shard, a log stream, a folder of objects.
///
/// It means the same in every process, so it is a URL: `kinesis://stream/shardId-000000000000`,
/// `s3://bucket/AWSLogs/…/31/`, `file:///var/trail/`.
pub type PartitionId = String;

/// The positions of all partitions that a source has handed out anything of.
///
/// ```
/// use auroratrail::checkpoint::{Checkpoint, Position};
///
/// let mut checkpoint = Checkpoint::default();
/// let shard = "kinesis://stream/shardId-0";
/// checkpoint.advance(shard, Position::Sequence("99".into())).unwrap();
/// checkpoint.advance(shard, Position::Sequence("100".into())).unwrap();
/// assert!(checkpoint.advance(shard, Position::Sequence("99".into())).is_err());
/// let json = serde_json::to_string(&checkpoint).unwrap();
/// assert_eq!(serde_json::from_str::<Checkpoint>(&json).unwrap(), checkpoint);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    partitions: BTreeMap<PartitionId, Position>,
    /// Payloads that were cut off in their midst: by [`Resume::key`](crate::payload::Resume::key),
    /// the number of their items that were handed down.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    unfinished: BTreeMap<String, u64>,
}

/// A place in a partition; everything up to it, itself included, was handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// A number that grows along the partition, in decimal digits without leading zeros: the
    /// sequence number of a Kinesis record is longer than any integer type.
    Sequence(String),
    /// A time in microseconds since 1970 UTC, and the identifiers of the events handed out at just
    /// that time: CloudWatch Logs and the event history give no other order. Before the first record of
    /// a Kinesis shard, the time from which it is read.
    Time {
        /// The latest time of an event handed out.
        micros: i64,
        /// The identifiers of the events of that time that were handed out.
        ids: BTreeSet<String>,
    },
    /// Objects of a folder.
    Objects(Objects),
    /// The end: the partition is closed and holds nothing more.
    End,
}

/// The objects of a folder that were handed out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objects {
    /// The name up to which all objects were handed out, in byte order, that name included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    through: Option<String>,
    /// What these were; `None` in checkpoints that did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    folded: Option<Folded>,
    /// Further objects. One of another version now is another object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    besides: BTreeMap<String, Mark>,
}

/// Objects whose names are not kept: enough to tell whether there are others now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folded {
    count: u64,
    /// The sum of hashes of names and sizes.
    names: u64,
    /// The sum of hashes of names and tags; `None` if a tag is not known.
    tags: Option<u64>,
}

/// The version of an object, in few bytes: of millions, each is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Bytes as stored.
    size_bytes: u64,
    /// A hash of the ETag, or of what else tells versions apart; 0 if that is not known.
    tag: u32,
}

impl Mark {
    /// The mark of an object of some bytes, and perhaps a tag that no other version of it has.
    pub fn new(size_bytes: u64, tag: Option<&str>) -> Self {
        // Marks are stored, so the keys never change.
        let hash = |tag: &str| SipHasher13::new_with_keys(0, 0).hash(tag.as_bytes()) as u32;
        Self {
            size_bytes,
            tag: tag.map_or(0, hash),
        }
    }

    /// Returns whether both are of the same version, as far as is known.
    fn is_same(self, other: Self) -> bool {
        let tags = [self.tag, other.tag];
        self.size_bytes == other.size_bytes && (tags.contains(&0) || self.tag == other.tag)
    }
}

impl Default for Folded {
    /// No objects.
    fn default() -> Self {
        Self {
            count: 0,
            names: 0,
            tags: Some(0),
        }
    }
}

impl Folded {
    /// Adds an object.
    pub fn add(&mut self, name: &str, mark: Mark) {
        // Sums are stored, so the keys never change.
        let hash = |what: u64| SipHasher13::new_with_keys(what, 1).hash(name.as_bytes());
        self.count += 1;
        self.names = self.names.wrapping_add(hash(mark.size_bytes));
        let tags = self.tags.filter(|_| mark.tag != 0);
        self.tags = tags.map(|tags| tags.wrapping_add(hash(u64::from(mark.tag))));
    }

    /// Returns whether all of `found` are among these, as far as can be told: there are fewer, as some were
    /// deleted, or they are the same.
    pub fn covers(&self, found: &Self) -> bool {
        let have_same_tags = match (self.tags, found.tags) {
            (Some(tags), Some(found)) => tags == found,
            _ => true,
        };
        found.count < self.count
            || (found.count == self.count && found.names == self.names && have_same_tags)
    }
}

impl Checkpoint {
    /// The position of a partition, `None` before anything of it was handed out.
    pub fn position(&self, partition: &str) -> Option<&Position> {
        self.partitions.get(partition)
    }

    /// The partitions with their positions.
    pub fn partitions(&self) -> impl Iterator<Item = (&str, &Position)> {
        self.partitions
            .iter()
            .map(|(id, position)| (&**id, position))
    }

    /// Moves a partition on.
    ///
    /// # Errors
    /// Bug, if `position` lies before the partition's position or is of another kind.
    pub fn advance(&mut self, partition: &str, position: Position) -> Result<()> {
        match self.partitions.get_mut(partition) {
            None => {
                self.partitions.insert(partition.to_owned(), position);
            }
            Some(known) if known.is_before(&position) => *known = position,
            Some(known) if *known == position => {}
            Some(known) => {
                return Err(Error::bug(format!(
                    "{partition} was read to {known:?} and cannot go on at {position:?}"
                )));
            }
        }
        Ok(())
    }

    /// The objects of a folder that were handed out, to add to.
    ///
    /// # Errors
    /// Bug, if the partition is not a folder of objects.
    pub fn objects_mut(&mut self, folder: &str) -> Result<&mut Objects> {
        if !self.partitions.contains_key(folder) {
            let none = Position::Objects(Objects::default());
            self.partitions.insert(folder.to_owned(), none);
        }
        match self.partitions.get_mut(folder) {
            Some(Position::Objects(objects)) => Ok(objects),
            _ => Err(Error::bug(format!("{folder} is not a folder of objects"))),
        }
    }

    /// Returns whether an object was handed out, and not cut off in its midst.
    pub fn has_object(&self, folder: &str, name: &str, mark: Mark) -> bool {
        match self.partitions.get(folder) {
            Some(Position::Objects(objects)) => objects.contains(name, mark),
            Some(Position::End) => true,
            _ => false,
        }
    }

    /// Returns the name up to which the names of a folder's objects are not kept, and what these were.
    pub fn folded(&self, folder: &str) -> Option<(&str, Folded)> {
        match self.partitions.get(folder) {
            Some(Position::Objects(objects)) => {
                Some((objects.through.as_deref()?, objects.folded?))
            }
            _ => None,
        }
    }

    /// The number of items of a payload that were handed down before it was cut off; `None` if it
    /// was not. The source hands out such a payload again.
    pub fn unfinished(&self, key: &str) -> Option<u64> {
        self.unfinished.get(key).copied()
    }

    /// Forgets that a payload was cut off, as it is handed out again; returns the items handed down
    /// of it before.
    pub fn remove_unfinished(&mut self, key: &str) -> Option<u64> {
        self.unfinished.remove(key)
    }

    /// Notes that a payload was cut off after so many of its items.
    pub fn set_unfinished(&mut self, key: impl Into<String>, items: u64) {
        self.unfinished.insert(key.into(), items);
    }

    /// Returns the part of it that `base`, an earlier checkpoint of the same sources, lacks.
    pub fn since(&self, base: &Self) -> Self {
        let partitions = self.partitions.iter();
        let partitions = partitions.filter_map(|(id, position)| {
            let new = match (position, base.partitions.get(id)) {
                (position, Some(known)) if position == known => return None,
                (Position::Objects(objects), Some(Position::Objects(known))) => {
                    Position::Objects(objects.since(known))
                }
                (position, _) => position.clone(),
            };
            Some((id.clone(), new))
        });
        Self {
            partitions: partitions.collect(),
            unfinished: self.unfinished.clone(),
        }
    }

    /// Returns whether both have a part of the same thing: an object of the same name, or a partition
    /// that is read in order.
    pub fn overlaps(&self, other: &Self) -> bool {
        let shared = |id: &String, position: &Position| match (position, other.partitions.get(id)) {
            (_, None) => false,
            (Position::Objects(a), Some(Position::Objects(b))) => a.overlaps(b),
            _ => true,
        };
        let mut unfinished = self.unfinished.keys();
        self.partitions
            .iter()
            .any(|(id, position)| shared(id, position))
            || unfinished.any(|key| other.unfinished.contains_key(key))
    }

    /// Returns `theirs` with what `self` has read since `base`, a checkpoint that both went on from.
    /// The two must not overlap since then.
    pub fn rebased(&self, base: &Self, theirs: &Self) -> Self {
        let mut both = theirs.clone();
        both.merge(self.since(base));
        let is_finished = |key: &str| {
            let is_in_all = [self, theirs]
                .iter()
                .all(|it| it.unfinished.contains_key(key));
            base.unfinished.contains_key(key) && !is_in_all
        };
        both.unfinished.retain(|key, _| !is_finished(key));
        both
    }

    /// Adds what [`Checkpoint::since`] returned.
    pub fn add(&mut self, additions: Self) {
        self.unfinished.clear();
        self.merge(additions);
    }

    /// Adds the partitions of another source. Where both know a partition, the later position wins.
    pub fn merge(&mut self, other: Self) {
        for (id, position) in other.partitions {
            match self.partitions.get_mut(&id) {
                Some(Position::Objects(known)) if matches!(position, Position::Objects(_)) => {
                    if let Position::Objects(more) = position {
                        known.merge(more);
                    }
                }
                Some(known) if !known.is_before(&position) => {}
                Some(known) => *known = position,
                None => {
                    self.partitions.insert(id, position);
                }
            }
        }
        self.unfinished.extend(other.unfinished);
    }
}

impl Position {
    /// Returns whether `other` lies further on in the same partition.
    pub fn is_before(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Less)
    }
}

/// Positions of one kind are ordered; [`Position::End`] comes after all of them. A sequence number comes
/// after the time that its shard is read from.
impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::End, Self::End) => Some(Ordering::Equal),
            (Self::End, _) => Some(Ordering::Greater),
            (_, Self::End) => Some(Ordering::Less),
            (Self::Sequence(a), Self::Sequence(b)) => {
                Some((a.len(), a.as_str()).cmp(&(b.len(), b.as_str())))
            }
            (Self::Time { micros: a, ids: c }, Self::Time { micros: b, ids: d }) => {
                match a.cmp(b) {
                    Ordering::Equal => by_inclusion(c.is_subset(d), d.is_subset(c)),
                    unequal => Some(unequal),
                }
            }
            (Self::Time { .. }, Self::Sequence(_)) => Some(Ordering::Less),
            (Self::Sequence(_), Self::Time { .. }) => Some(Ordering::Greater),
            (Self::Objects(a), Self::Objects(b)) => by_inclusion(a.is_within(b), b.is_within(a)),
            _ => None,
        }
    }
}

fn by_inclusion(first_in_second: bool, second_in_first: bool) -> Option<Ordering> {
    match (first_in_second, second_in_first) {
        (true, true) => Some(Ordering::Equal),
        (true, false) => Some(Ordering::Less),
        (false, true) => Some(Ordering::Greater),
        (false, false) => None,
    }
}

impl Objects {
    /// Adds an object. One that is known in another version is replaced.
    pub fn insert(&mut self, name: impl Into<String>, mark: Mark) {
        let name = name.into();
        if !self.is_through(&name) {
            self.besides.insert(name, mark);
        }
    }

    /// Returns whether an object of this name and version is among them.
    pub fn contains(&self, name: &str, mark: Mark) -> bool {
        self.is_through(name)
            || self
                .besides
                .get(name)
                .is_some_and(|known| known.is_same(mark))
    }

    /// Forgets the names of the longest run of leading objects that are `settled`, and keeps only
    /// that everything up to the last of them was handed out.
    ///
    /// The caller vouches for it that the folder has no object left among or before them. Whether one appears there
    /// later is told by [`Checkpoint::folded`].
    pub fn fold(&mut self, settled: impl Fn(&str) -> bool) {
        while let Some(first) = self.besides.first_entry() {
            if !settled(first.key()) {
                return;
            }
            let (name, mark) = first.remove_entry();
            if self.through.is_none() {
                self.folded = Some(Folded::default());
            }
            if let Some(folded) = &mut self.folded {
                folded.add(&name, mark);
            }
            self.through = Some(name);
        }
    }

    /// Replaces what is kept of the objects whose names are not, as all of them were handed out again.
    pub fn refold(&mut self, folded: Folded) {
        self.folded = Some(folded).filter(|_| self.through.is_some());
    }

    /// The number of names that are kept.
    pub fn names(&self) -> usize {
        self.besides.len() + usize::from(self.through.is_some())
    }

    fn since(&self, base: &Self) -> Self {
        let is_new = |name: &str, mark: Mark| {
            !base.is_through(name) && base.besides.get(name) != Some(&mark)
        };
        let besides = self
            .besides
            .iter()
            .map(|(name, mark)| (name.clone(), *mark));
        let is_folded = self.through != base.through || self.folded != base.folded;
        Self {
            through: self.through.clone().filter(|_| is_folded),
            folded: self.folded.filter(|_| is_folded),
            besides: besides.filter(|(name, mark)| is_new(name, *mark)).collect(),
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        let has = |objects: &Self, name: &str| {
            objects.is_through(name) || objects.besides.contains_key(name)
        };
        (self.through.is_some() && other.through.is_some())
            || self.besides.keys().any(|name| has(other, name))
            || other.besides.keys().any(|name| has(self, name))
    }

    fn is_through(&self, name: &str) -> bool {
        self.through
            .as_deref()
            .is_some_and(|through| name <= through)
    }

    fn is_within(&self, other: &Self) -> bool {
        let through = match &self.through {
            Some(through) => other.is_through(through),
            None => true,
        };
        through
            && self
                .besides
                .iter()
                .all(|(name, mark)| other.contains(name, *mark))
    }

    fn merge(&mut self, other: Self) {
        if other.through.is_some() && other.through >= self.through {
            self.through = other.through;
            self.folded = other.folded;
        }
        self.besides.extend(other.besides);
        if let Some(through) = &self.through {
            self.besides.retain(|name, _| name > through);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(size_bytes: u64) -> Mark {
        Mark::new(size_bytes, None)
    }

    #[test]
    fn sequence_numbers_are_compared_as_numbers_of_any_length() {
        let at = |digits: &str| Position::Sequence(digits.into());
        assert!(at("9").is_before(&at("10")));
        let long = "49590338271490256608559692538361571095921575989136588898";
        assert!(at("99999").is_before(&at(long)));
        assert!(!at(long).is_before(&at(long)));
        assert!(at(long).is_before(&Position::End));
        assert!(!Position::End.is_before(&at(long)));
    }

    #[test]
    fn positions_in_time_are_ordered_by_the_events_at_it() {
        let at = |micros, ids: &[&str]| Position::Time {
            micros,
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        };
        assert!(at(1, &["a", "b"]).is_before(&at(2, &["a"])));
        assert!(at(1, &["a"]).is_before(&at(1, &["a", "b"])));
        assert_eq!(at(1, &["a"]).partial_cmp(&at(1, &["b"])), None);
    }

    #[test]
    fn a_partition_neither_goes_back_nor_changes_its_kind() {
        let mut checkpoint = Checkpoint::default();
        checkpoint
            .advance("a", Position::Sequence("5".into()))
            .unwrap();
        for wrong in [
            Position::Sequence("4".into()),
            Position::Objects(Objects::default()),
        ] {
            assert!(checkpoint.advance("a", wrong).is_err());
        }
        checkpoint.advance("a", Position::End).unwrap();
        assert_eq!(checkpoint.position("a"), Some(&Position::End));
    }

    #[test]
    fn folded_objects_take_the_place_of_one_name() {
        let mut objects = Objects::default();
        for day in 10..90 {
            objects.insert(format!("2026{day}.json"), mark(day));
        }
        let all = objects.clone();
        objects.fold(|name| name < "202660");
        assert_eq!(objects.names(), 31);
        assert!(objects.contains("202630.json", mark(30)));
        assert!(
            !objects.contains("202670.json", mark(71)),
            "it has another size now"
        );
        assert!(!objects.contains("202690.json", mark(90)));
        assert_eq!(
            Position::Objects(all).partial_cmp(&Position::Objects(objects.clone())),
            Some(Ordering::Less)
        );
        objects.insert("202611.json", mark(0));
        assert_eq!(objects.names(), 31, "what is folded stays so");
    }

    #[test]
    fn what_is_new_is_told_added_and_rebased() {
        let mut base = Checkpoint::default();
        base.objects_mut("f/").unwrap().insert("a", mark(1));
        base.set_unfinished("f/a", 3);
        let (mut mine, mut theirs) = (base.clone(), base.clone());
        mine.objects_mut("f/").unwrap().insert("b", mark(1));
        mine.remove_unfinished("f/a");
        mine.set_unfinished("f/b", 2);
        theirs.objects_mut("f/").unwrap().insert("c", mark(1));
        theirs.advance("s", Position::Sequence("7".into())).unwrap();
        assert!(!mine.since(&base).overlaps(&theirs.since(&base)));
        let mut again = base.clone();
        again.add(mine.since(&base));
        assert_eq!(again, mine);
        let both = mine.rebased(&base, &theirs);
        let has = |name| both.has_object("f/", name, mark(1));
        assert!(has("a") && has("b") && has("c") && both.position("s").is_some());
        assert_eq!(
            (both.unfinished("f/a"), both.unfinished("f/b")),
            (None, Some(2))
        );
        mine.objects_mut("f/").unwrap().insert("c", mark(2));
        assert!(mine.since(&base).overlaps(&theirs.since(&base)));
        theirs.objects_mut("f/").unwrap().fold(|_| true);
        mine = base.clone();
        mine.objects_mut("f/").unwrap().insert("bb", mark(1));
        assert!(
            mine.since(&base).overlaps(&theirs.since(&base)),
            "b is before c"
        );
        assert!(!mine.since(&base).overlaps(&Checkpoint::default()));
    }

    #[test]
    fn an_object_of_another_tag_is_another_one() {
        let mut objects = Objects::default();
        objects.insert("a", Mark::new(1, Some("etag")));
        assert!(objects.contains("a", Mark::new(1, Some("etag"))));
        assert!(objects.contains("a", Mark::new(1, None)), "it is not known");
        assert!(!objects.contains("a", Mark::new(1, Some("other"))));
        assert!(!objects.contains("a", Mark::new(2, Some("etag"))));
    }

    #[test]
    fn merging_keeps_what_either_side_has_read() {
        let mut one = Checkpoint::default();
        one.objects_mut("f/").unwrap().insert("a", mark(1));
        one.advance("s", Position::Sequence("7".into())).unwrap();
        let mut two = Checkpoint::default();
        two.objects_mut("f/").unwrap().insert("b", mark(1));
        two.advance("s", Position::Sequence("6".into())).unwrap();
        two.set_unfinished("f/b", 3);
        one.merge(two);
        assert!(one.has_object("f/", "a", mark(1)) && one.has_object("f/", "b", mark(1)));
        assert_eq!(one.position("s"), Some(&Position::Sequence("7".into())));
        assert_eq!(one.unfinished("f/b"), Some(3));
    }
}
