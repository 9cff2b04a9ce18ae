//! The shards of a stream: which are known, where each begins, which may be read now. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use super::client::{Place, Shard};
use crate::checkpoint::Position;

/// The shards of a stream as they are found.
///
/// ```text
/// 0 ──split──> 1 ─┐
///         └──> 2 ─┴─merge──> 3      3 is read once 1 and 2 are at their ends, these once 0 is
/// ```
///
/// - A shard whose position is known goes on there.
/// - At the very first listing, all shards begin at one place.
/// - A shard that is found later holds nothing that was there before, and begins at its oldest record.
/// - A shard without a position whose descendant has one was over when the first reading began, and is
///   left alone.
#[derive(Debug)]
pub(super) struct Shards {
    /// The place where all shards begin at the first listing; `None` if there are positions.
    first: Option<i64>,
    parents: BTreeMap<String, Vec<String>>,
    states: BTreeMap<String, State>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// To be read from a place on, once its parents are read.
    Waiting(Place),
    Reading,
    /// Read to its end.
    Ended,
    /// Left alone, as it was over when the first reading began.
    Before,
}

impl Shards {
    /// The shards of which `positions` are known. If none is, those of the first listing begin at the time
    /// `first_micros` (microseconds since 1970 UTC; 0: their oldest record).
    pub(super) fn new<'a>(
        positions: impl Iterator<Item = (&'a str, &'a Position)>,
        first_micros: i64,
    ) -> Self {
        let states = positions.filter_map(|(id, position)| {
            let state = match position {
                Position::End => State::Ended,
                Position::Sequence(sequence) => State::Waiting(Place::At(sequence.clone())),
                Position::Time { micros, .. } => State::Waiting(at(*micros)),
                Position::Objects(_) => return None,
            };
            Some((id.to_owned(), state))
        });
        let states: BTreeMap<_, _> = states.collect();
        Self {
            first: states.is_empty().then_some(first_micros),
            parents: BTreeMap::new(),
            states,
        }
    }

    /// Takes in a listing. Returns the positions of the shards that are new.
    pub(super) fn found(
        &mut self,
        listed: impl IntoIterator<Item = Shard>,
    ) -> Vec<(String, Position)> {
        let listed: Vec<Shard> = listed.into_iter().collect();
        let is_empty = listed.is_empty();
        for shard in listed {
            self.parents.insert(shard.id, shard.parents);
        }
        let before = self.ancestors();
        let mut new = Vec::new();
        for id in self.parents.keys() {
            if self.states.contains_key(id) {
                continue;
            }
            let micros = self.first.unwrap_or(0);
            let state = match before.contains(id) {
                true => State::Before,
                false => State::Waiting(at(micros)),
            };
            if state != State::Before {
                let ids = BTreeSet::new();
                new.push((id.clone(), Position::Time { micros, ids }));
            }
            self.states.insert(id.clone(), state);
        }
        if !is_empty {
            self.first = None;
        }
        new
    }

    /// Returns the shards that are to be read and that the first listing does not have any more.
    pub(super) fn gone(&mut self, listed: &[Shard]) -> Vec<String> {
        let listed: BTreeSet<&str> = listed.iter().map(|shard| &*shard.id).collect();
        let waiting = self.states.iter();
        let waiting = waiting.filter(|(_, state)| matches!(state, State::Waiting(_)));
        let gone = waiting.filter(|(id, _)| !listed.contains(&***id));
        let gone: Vec<String> = gone.map(|(id, _)| id.clone()).collect();
        for id in &gone {
            self.ended(id);
        }
        gone
    }

    /// Returns the shards that others follow, which are closed.
    pub(super) fn closed(&self) -> BTreeSet<String> {
        self.parents.values().flatten().cloned().collect()
    }

    /// Returns the shards that may be read now, and the places to read them from.
    pub(super) fn ready(&mut self) -> Vec<(String, Place)> {
        let is_unread = |id: &String| {
            let state = self.states.get(id);
            matches!(state, Some(State::Waiting(_) | State::Reading))
        };
        let mut ready = Vec::new();
        for (id, state) in &self.states {
            let mut parents = self.parents.get(id).into_iter().flatten();
            if let State::Waiting(place) = state
                && !parents.any(is_unread)
            {
                ready.push((id.clone(), place.clone()));
            }
        }
        for (id, _) in &ready {
            self.states.insert(id.clone(), State::Reading);
        }
        ready
    }

    /// Returns all shards that are not read, and the places where they go on.
    pub(super) fn waiting(&self) -> Vec<(String, Place)> {
        let waiting = self.states.iter();
        let waiting = waiting.filter_map(|(id, state)| match state {
            State::Waiting(place) => Some((id.clone(), place.clone())),
            State::Reading | State::Ended | State::Before => None,
        });
        waiting.collect()
    }

    /// Notes that a shard was read to its end.
    pub(super) fn ended(&mut self, id: &str) {
        self.states.insert(id.to_owned(), State::Ended);
    }

    /// The shards that others with a position come from.
    fn ancestors(&self) -> BTreeSet<String> {
        let is_positioned = |state: &State| *state != State::Before;
        let mut ancestors = BTreeSet::new();
        let positioned = self.states.iter();
        let positioned = positioned.filter(|(_, state)| is_positioned(state));
        let mut open: Vec<&String> = positioned.map(|(id, _)| id).collect();
        while let Some(id) = open.pop() {
            for parent in self.parents.get(id).into_iter().flatten() {
                if ancestors.insert(parent.clone()) {
                    open.push(parent);
                }
            }
        }
        ancestors
    }
}

fn at(micros: i64) -> Place {
    match micros {
        0 => Place::Oldest,
        micros => Place::Time(micros),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(id: &str, parents: &[&str]) -> Shard {
        Shard {
            id: id.to_owned(),
            parents: parents.iter().map(|&it| it.to_owned()).collect(),
        }
    }

    /// 0 was split into 1 and 2, which were merged into 3.
    fn listed() -> Vec<Shard> {
        vec![
            shard("0", &[]),
            shard("1", &["0"]),
            shard("2", &["0"]),
            shard("3", &["1", "2"]),
        ]
    }

    fn ready(shards: &mut Shards) -> Vec<(String, Place)> {
        shards.ready()
    }

    fn from(positions: &[(&str, Position)]) -> Shards {
        Shards::new(positions.iter().map(|(id, position)| (*id, position)), 7)
    }

    #[test]
    fn parents_are_read_before_children_and_all_begin_at_the_first_place() {
        let mut shards = from(&[]);
        assert_eq!(shards.found(listed()).len(), 4);
        assert_eq!(ready(&mut shards), [("0".to_owned(), Place::Time(7))]);
        assert_eq!(ready(&mut shards), []);
        shards.ended("0");
        let both = [
            ("1".to_owned(), Place::Time(7)),
            ("2".to_owned(), Place::Time(7)),
        ];
        assert_eq!(ready(&mut shards), both);
        shards.ended("1");
        assert_eq!(ready(&mut shards), [], "2 is being read");
        shards.ended("2");
        assert_eq!(ready(&mut shards), [("3".to_owned(), Place::Time(7))]);
        // Found later: all of it is new.
        let later = shards.found([shard("4", &["3"])]);
        assert_eq!(later.len(), 1);
        shards.ended("3");
        assert_eq!(ready(&mut shards), [("4".to_owned(), Place::Oldest)]);
    }

    #[test]
    fn a_reading_goes_on_and_leaves_alone_what_was_over_before_it() {
        let sequence = Position::Sequence("99".to_owned());
        let mut shards = from(&[("1", sequence), ("2", Position::End)]);
        let new = shards.found(listed());
        assert_eq!(new.len(), 1, "0 was over: {new:?}");
        assert_eq!(
            ready(&mut shards),
            [("1".to_owned(), Place::At("99".to_owned()))]
        );
        shards.ended("1");
        assert_eq!(ready(&mut shards), [("3".to_owned(), Place::Oldest)]);
    }

    #[test]
    fn a_shard_that_is_not_listed_any_more_is_told_of() {
        let sequence = Position::Sequence("99".to_owned());
        let mut shards = from(&[("0", sequence), ("1", Position::End)]);
        let listed = [shard("2", &["0"])];
        shards.found(listed.clone());
        assert_eq!(shards.gone(&listed), ["0"]);
        assert_eq!(shards.gone(&listed), [""; 0]);
        assert_eq!(ready(&mut shards), [("2".to_owned(), Place::Oldest)]);
    }
}
