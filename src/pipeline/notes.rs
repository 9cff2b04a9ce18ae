//! What is told of an object beside its rows, in a form that can be kept and told again.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value, json};

use super::recording::{ObjectCounts, count_mismatch};
use crate::envelope::Outcome;
use crate::events::TypeMismatch;
use crate::execution::Execution;
use crate::input_location::InputLocation;
use crate::reject::{Reject, RejectSink};

/// Counts, rejects and misfits of an object that was read whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectNotes {
    pub(super) counts: ObjectCounts,
    pub(super) mismatches: Vec<TypeMismatch>,
    pub(super) rejects: Vec<KeptReject>,
}

/// A reject that outlives its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptReject {
    location: InputLocation,
    reason: &'static str,
    detail: String,
    bytes: Vec<u8>,
}

impl KeptReject {
    /// A copy of a reject.
    pub(super) fn new(reject: &Reject<'_>) -> Self {
        Self {
            location: reject.location.clone(),
            reason: reject.reason,
            detail: reject.detail.clone(),
            bytes: reject.bytes.to_vec(),
        }
    }

    /// Counts and tells it.
    fn tell(&self, execution: &Execution) {
        execution.reject(&Reject {
            location: self.location.clone(),
            reason: self.reason,
            detail: self.detail.clone(),
            bytes: &self.bytes,
        });
    }

    /// Returns its bytes of memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + self.detail.len() + self.location.origin.len() + REJECT_BYTES
    }

    fn to_json(&self) -> Value {
        let location = &self.location;
        let bytes = STANDARD_NO_PAD.encode(&self.bytes);
        json!([
            &*location.origin,
            location.byte,
            self.reason,
            self.detail,
            bytes
        ])
    }

    fn of_json(value: &Value) -> Option<Self> {
        Some(Self {
            location: location_of_json(&value[0], &value[1])?,
            reason: name(value[2].as_str()?),
            detail: value[3].as_str()?.to_owned(),
            bytes: STANDARD_NO_PAD.decode(value[4].as_str()?).ok()?,
        })
    }
}

impl ObjectNotes {
    /// Counts and tells everything as if the object had been read.
    pub fn tell(&self, execution: &Execution) {
        self.counts.count(execution);
        for mismatch in &self.mismatches {
            count_mismatch(execution, mismatch.clone());
        }
        for reject in &self.rejects {
            reject.tell(execution);
        }
    }

    /// Returns whether the object may read otherwise another time, though it is the same: it could not be
    /// read to its end.
    pub fn is_unfinished(&self) -> bool {
        let mut rejects = self.rejects.iter();
        self.counts.outcome.stopped || rejects.any(|it| it.reason == "unreadable file")
    }

    /// Returns the notes as JSON: a number of events if there is nothing else to note.
    pub fn to_json(&self) -> Value {
        let outcome = &self.counts.outcome;
        let of_events = Self {
            counts: ObjectCounts {
                outcome: Outcome {
                    events: outcome.events,
                    ..Outcome::default()
                },
                ..ObjectCounts::default()
            },
            ..Self::default()
        };
        if *self == of_events {
            return outcome.events.into();
        }
        let mismatches = self.mismatches.iter().map(|it| {
            let example = &it.example;
            json!([it.column, it.count, &*example.origin, example.byte])
        });
        json!({
            "events": outcome.events,
            "insights": outcome.insights,
            "aggregated": outcome.aggregated,
            "salvaged": outcome.salvaged,
            "empty": outcome.empty,
            "damaged": outcome.damaged,
            "damaged_stretches": outcome.damaged_stretches,
            "not_cloudtrail": self.counts.not_cloudtrail,
            "mismatches": mismatches.collect::<Vec<_>>(),
            "rejects": self.rejects.iter().map(KeptReject::to_json).collect::<Vec<_>>(),
        })
    }

    /// Reads notes of [`ObjectNotes::to_json`]; `None` if they are none.
    pub fn of_json(value: &Value) -> Option<Self> {
        let mut notes = Self::default();
        let outcome = &mut notes.counts.outcome;
        if let Some(events) = value.as_u64() {
            outcome.events = events;
            return Some(notes);
        }
        let count = |name: &str| value[name].as_u64();
        *outcome = Outcome {
            events: count("events")?,
            insights: count("insights")?,
            aggregated: count("aggregated")?,
            salvaged: count("salvaged")?,
            empty: value["empty"].as_bool()?,
            damaged: value["damaged"].as_bool()?,
            damaged_stretches: count("damaged_stretches")?,
            ..Outcome::default()
        };
        for kind in value["not_cloudtrail"].as_array()? {
            let counted = (name(kind[0].as_str()?), kind[1].as_u64()?);
            notes.counts.not_cloudtrail.push(counted);
        }
        for mismatch in value["mismatches"].as_array()? {
            notes.mismatches.push(TypeMismatch {
                column: name(mismatch[0].as_str()?),
                count: mismatch[1].as_u64()?,
                example: location_of_json(&mismatch[2], &mismatch[3])?,
            });
        }
        for reject in value["rejects"].as_array()? {
            notes.rejects.push(KeptReject::of_json(reject)?);
        }
        Some(notes)
    }
}

fn location_of_json(origin: &Value, byte: &Value) -> Option<InputLocation> {
    let location = InputLocation::new(origin.as_str()?);
    match byte.as_u64() {
        Some(byte) => Some(location.at_byte(byte)),
        None => Some(location),
    }
}

/// Returns a reason, a kind or a column, of which there are a few hundred in all, as text that is never
/// freed.
fn name(text: &str) -> &'static str {
    static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    match names.get(text) {
        Some(name) => name,
        None => {
            let name: &'static str = Box::leak(text.into());
            names.insert(name);
            name
        }
    }
}

/// Rejects of an execution, kept to be told later or not at all.
#[derive(Clone, Debug, Default)]
pub struct HeldRejects(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    rejects: Vec<KeptReject>,
    bytes: usize,
}

impl HeldRejects {
    /// Counts and tells all of them in another execution.
    pub fn tell(&self, execution: &Execution) {
        for reject in &self.held().rejects {
            reject.tell(execution);
        }
    }

    /// Returns whether they are more than should be kept in memory.
    pub fn are_too_many(&self) -> bool {
        self.held().bytes >= HELD_BYTES
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RejectSink for HeldRejects {
    fn reject(&self, reject: &Reject<'_>) {
        let mut held = self.held();
        if held.bytes < HELD_BYTES {
            let reject = KeptReject::new(reject);
            held.bytes += reject.bytes();
            held.rejects.push(reject);
        }
    }
}

/// Bytes of a reject beside its texts.
const REJECT_BYTES: usize = 100;

/// The most bytes of rejects that are held.
const HELD_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_told_again_as_they_were() {
        let plain = |events| {
            let mut notes = ObjectNotes::default();
            notes.counts.outcome.events = events;
            notes
        };
        assert_eq!(plain(7).to_json(), json!(7));
        let mut notes = plain(3);
        notes.counts.outcome.salvaged = 2;
        notes.counts.outcome.damaged = true;
        notes.counts.add_not_cloudtrail("digest", 4);
        let location = InputLocation::new("logs/a.json.gz").at_byte(9);
        notes.mismatches.push(TypeMismatch {
            column: "requestParameters.port",
            count: 5,
            example: location.clone(),
        });
        notes.rejects.push(KeptReject::new(&Reject {
            location: location.clone(),
            reason: "not JSON",
            detail: "a tab".to_owned(),
            bytes: b"\xff\x00{",
        }));
        for notes in [plain(0), plain(7), notes.clone()] {
            let text = notes.to_json().to_string();
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(ObjectNotes::of_json(&value), Some(notes));
        }
        let held = HeldRejects::default();
        let execution = Execution::default().with_reject_sink(held.clone());
        notes.tell(&execution);
        assert_eq!(execution.stats.records(), 5);
        assert_eq!(execution.stats.rejects_by_reason(), [("not JSON", 1)]);
        let mismatches = execution.stats.type_mismatches();
        assert_eq!(mismatches, [("requestParameters.port", 5, location)]);
        assert_eq!(held.held().rejects, notes.rejects);
        assert_eq!(ObjectNotes::of_json(&json!({"events": 1})), None);
    }
}
