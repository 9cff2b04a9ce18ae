//! Objects of a trail by the day of their folders, for consumers that keep days apart.
//!
//! A bucket lists account by account and region by region, each from its first day to its last:
//!
//! ```text
//! listing    111/eu-west-1  1 2 3 4   111/us-east-1  1 2 3 4   222/eu-west-1  1 2 3 4
//! handed on  1 1 1   2 2 2   3 3 3   4 4 4
//! ```
//!
//! Whoever writes a file for each day would have all days open at once, and end each of them once for
//! each account and region. Of the objects that are listed and not handed on, at most
//! [`MOST_WAITING`], those of the first day come first; so a trail of more objects is in the order of
//! days in parts.
//!
//! Within a folder the listing's order stays. What is in no folder of a day comes before all days.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::listing::Object;

/// Hands on what `listed` gives, by days, until it ends or nobody takes more.
pub(super) async fn by_day(mut listed: mpsc::Receiver<Object>, taken: mpsc::Sender<Object>) {
    let mut waiting = Waiting::default();
    let mut is_listing = true;
    let mut head_start = pin!(sleep(HEAD_START));
    while is_listing || waiting.objects > 0 {
        let is_full = waiting.objects >= MOST_WAITING;
        let has_listed = is_full || !is_listing || head_start.is_elapsed();
        let may_hand_on = waiting.objects > 0 && has_listed;
        tokio::select! {
            biased;
            object = listed.recv(), if is_listing && !is_full => match object {
                Some(object) => waiting.push(object),
                None => is_listing = false,
            },
            place = taken.reserve(), if may_hand_on => match place {
                Ok(place) => {
                    if let Some(object) = waiting.pop() {
                        place.send(object);
                    }
                }
                Err(_) => return,
            },
            () = &mut head_start, if is_listing && !head_start.is_elapsed() => {}
            () = taken.closed(), if !may_hand_on => return,
        }
    }
}

/// Objects that wait for their day.
#[derive(Default)]
struct Waiting {
    /// By the first microsecond of the day, in the order of the listing.
    days: BTreeMap<i64, VecDeque<Object>>,
    objects: usize,
}

impl Waiting {
    fn push(&mut self, object: Object) {
        let key = object.key.as_ref();
        let day = key.and_then(|key| key.folder_micros);
        let day = day.map_or(i64::MIN, |(start, _)| start);
        self.days.entry(day).or_default().push_back(object);
        self.objects += 1;
    }

    fn pop(&mut self) -> Option<Object> {
        let mut first = self.days.first_entry()?;
        let object = first.get_mut().pop_front();
        if first.get().is_empty() {
            first.remove();
        }
        self.objects -= usize::from(object.is_some());
        object
    }
}

/// Objects that wait at the most: each takes some 700 bytes.
const MOST_WAITING: usize = 50_000;

/// The time that the listing has before the first object is handed on.
const HEAD_START: Duration = Duration::from_millis(500);
