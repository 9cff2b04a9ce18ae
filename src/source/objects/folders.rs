//! Folders as they are listed and handed out: what an earlier run handed out of them, what has changed since, and
//! which of them are over.
//!
//! ```text
//! listing ──> Comparison ──> new objects, and those of folders that are not as they were left
//!                 │                         │
//!                 │ counts                  │ handed out
//!                 └──────────> Folders <────┘ ──> folders that are over: their names can be forgotten
//! ```
//!
//! A checkpoint forgets the names of a folder that is long over, and keeps their number and a sum of hashes
//! ([`Folded`]). The objects that are there now are held back until the folder is listed. If they are others, or
//! more, all of them are read again: which of them is new is not known, and their consumers know events twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::listing::Object;
use crate::checkpoint::{Checkpoint, Folded};

/// The folders that are being listed or handed out.
#[derive(Clone, Debug, Default)]
pub(super) struct Folders(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    open: HashMap<String, OpenFolder>,
    /// Folders of which each object that was listed was handed out, by this run or by one before.
    over: Vec<(String, Facts)>,
    newest_micros: Option<i64>,
}

/// A folder of which something is to come.
#[derive(Debug, Default)]
struct OpenFolder {
    /// Objects that were listed and not handed out.
    waiting: usize,
    /// Set once all of its objects are listed.
    facts: Option<Facts>,
}

/// What is known of a folder whose objects are all listed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// Whether objects of it tell in their names when they were delivered.
    pub(super) has_stamps: bool,
    /// What is there now in the place of what was folded, if that is not the same.
    pub(super) refolded: Option<Folded>,
}

impl Folders {
    /// Notes that an object is handed out, or cannot be. Returns the folders that are over since the last call.
    pub(super) fn handed_out(&self, folder: &str) -> Vec<(String, Facts)> {
        let mut state = self.state();
        if let Some(open) = state.open.get_mut(folder) {
            open.waiting = open.waiting.saturating_sub(1);
        }
        state.close(folder);
        std::mem::take(&mut state.over)
    }

    /// Returns the latest delivery that an object's name tells, microseconds since 1970 UTC.
    pub(super) fn newest_micros(&self) -> Option<i64> {
        self.state().newest_micros
    }

    fn add(&self, folder: &str, objects: usize) {
        let mut state = self.state();
        match state.open.get_mut(folder) {
            Some(open) => open.waiting += objects,
            None => {
                let open = OpenFolder {
                    waiting: objects,
                    facts: None,
                };
                state.open.insert(folder.to_owned(), open);
            }
        }
    }

    fn set_listed(&self, folder: &str, facts: Facts) {
        let mut state = self.state();
        if let Some(open) = state.open.get_mut(folder) {
            open.facts = Some(facts);
        }
        state.close(folder);
    }

    fn saw_delivery(&self, micros: i64) {
        let mut state = self.state();
        state.newest_micros = state.newest_micros.max(Some(micros));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a folder out of the open ones, if it is over.
    fn close(&mut self, folder: &str) {
        let Some(open) = self.open.get(folder) else {
            return;
        };
        if let (Some(facts), 0) = (open.facts, open.waiting) {
            self.open.remove(folder);
            self.over.push((folder.to_owned(), facts));
        }
    }
}

/// Compares what is listed with what earlier runs handed out.
pub(super) struct Comparison {
    from: Checkpoint,
    folders: Folders,
    /// The folder that the listing is in, after those above it that it comes back to.
    inside: Vec<ListedFolder>,
}

/// A folder that the listing is in.
struct ListedFolder {
    folder: String,
    has_stamps: bool,
    /// Its objects whose names are forgotten, as far as they are listed.
    forgotten: Folded,
    held: Vec<Object>,
    /// Whether there are more of these than can be held.
    is_too_large: bool,
    /// Whether something in it could not be listed.
    is_broken: bool,
}

/// The objects that are known to be read or not to be read.
#[derive(Default)]
pub(super) struct Compared {
    pub(super) to_read: Vec<Object>,
    pub(super) done_before: u64,
}

impl Compared {
    /// An object that was not compared with anything.
    pub(super) fn unknown(object: Object) -> Self {
        Self {
            to_read: vec![object],
            done_before: 0,
        }
    }
}

impl Comparison {
    pub(super) fn new(from: Checkpoint, folders: Folders) -> Self {
        Self {
            from,
            folders,
            inside: Vec::new(),
        }
    }

    /// Takes an object as it is listed. `knows_folder` says whether the listing gives all objects of its folder.
    pub(super) fn add(&mut self, object: Object, knows_folder: bool) -> Compared {
        let Some((folder, name)) = object.identity() else {
            return Compared::unknown(object);
        };
        let mut compared = Compared::default();
        let key = format!("{folder}{name}");
        let is_unfinished = self.from.unfinished(&key).is_some();
        let is_known = self.from.has_object(&folder, &name, object.mark());
        if knows_folder {
            self.leave(Some(&folder), &mut compared);
            let through = self.from.folded(&folder);
            let is_forgotten = through.is_some_and(|(through, _)| *name <= *through);
            let delivered = object.key.as_ref().and_then(|key| key.delivered_micros);
            delivered.inspect(|micros| self.folders.saw_delivery(*micros));
            let listed = self.enter(&folder);
            listed.has_stamps |= delivered.is_some();
            if is_forgotten {
                listed.forgotten.add(&name, object.mark());
                if !is_unfinished && listed.held.len() < MOST_HELD {
                    listed.held.push(object);
                    return compared;
                }
                listed.is_too_large |= !is_unfinished;
            }
        }
        match is_known && !is_unfinished {
            true => compared.done_before += 1,
            false => {
                self.folders.add(&folder, 1);
                compared.to_read.push(object);
            }
        }
        compared
    }

    /// Notes that something could not be listed.
    pub(super) fn fail(&mut self) {
        let inside = self.inside.iter_mut();
        inside.for_each(|listed| listed.is_broken = true);
    }

    /// Ends the listing.
    pub(super) fn end(&mut self) -> Compared {
        let mut compared = Compared::default();
        self.leave(None, &mut compared);
        compared
    }

    fn enter(&mut self, folder: &str) -> &mut ListedFolder {
        let is_inside = self.inside.last().is_some_and(|it| it.folder == folder);
        if !is_inside {
            self.folders.add(folder, 0);
            self.inside.push(ListedFolder {
                folder: folder.to_owned(),
                has_stamps: false,
                forgotten: Folded::default(),
                held: Vec::new(),
                is_too_large: false,
                is_broken: false,
            });
        }
        self.inside.last_mut().expect("it is pushed")
    }

    /// Leaves the folders that do not lead to `folder`.
    fn leave(&mut self, folder: Option<&str>, compared: &mut Compared) {
        let leads = |listed: &ListedFolder| folder.is_some_and(|it| it.starts_with(&listed.folder));
        while let Some(listed) = self.inside.pop_if(|listed| !leads(listed)) {
            let is_told = !listed.is_too_large && !listed.is_broken;
            let folded = self.from.folded(&listed.folder).filter(|_| is_told);
            match folded.is_some_and(|(_, folded)| !folded.covers(&listed.forgotten)) {
                true => {
                    self.folders.add(&listed.folder, listed.held.len());
                    compared.to_read.extend(listed.held);
                }
                false => compared.done_before += listed.held.len() as u64,
            }
            if !listed.is_broken {
                let is_other = folded.is_some_and(|(_, folded)| folded != listed.forgotten);
                let facts = Facts {
                    has_stamps: listed.has_stamps,
                    refolded: is_other.then_some(listed.forgotten),
                };
                self.folders.set_listed(&listed.folder, facts);
            }
        }
    }
}

/// Objects of a folder that are held back until it is listed; of larger folders it is taken that they are as they
/// were. A trail's folder of a day has some hundreds.
const MOST_HELD: usize = 20_000;
