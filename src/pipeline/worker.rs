//! One thread: takes payloads, takes them apart, hands their records to its worker.

use std::cell::RefCell;
use std::io::{self, Read};
use std::sync::Arc;

use super::gate::{Gate, Next, Place};
use crate::envelope::{Extractor, Outcome, Record, RecordSink, Taken};
use crate::error::Result;
use crate::input_location::InputLocation;
use crate::payload::{Body, Known, ObjectVersion, Payload, Resume};
use crate::reject::Reject;

/// The part of a consumer that runs in each thread.
pub trait Worker: Send {
    /// Takes a record.
    fn record(&mut self, record: &Record<'_>) -> Taken;

    /// Hands down what it holds; returns whether more is wanted.
    fn flush(&mut self) -> bool;

    /// Takes the rows of an object that is known; returns whether more is wanted.
    fn known(&mut self, _rows: &Known) -> bool {
        true
    }

    /// Hears of the beginning of a payload.
    fn begin_payload(&mut self, _origin: &Arc<str>, _version: Option<&ObjectVersion>) {}

    /// Hears of sound input that is no event, which has been counted.
    fn not_cloudtrail(&mut self, _kind: &'static str, _count: u64) {}

    /// Hears of a reject, which has been counted.
    fn rejected(&mut self, _reject: &Reject<'_>) {}

    /// Hears of the end of a payload.
    fn finish_payload(&mut self, _origin: &Arc<str>, _outcome: &Outcome) {}
}

/// Hands all records of the source to `worker`.
///
/// # Errors
/// As of [`super::Pipeline::run`].
pub(super) fn run(gate: &Gate, worker: &mut impl Worker) -> Result<()> {
    let _leave = LeaveOnDrop(gate);
    work(gate, worker)
}

fn work(gate: &Gate, worker: &mut impl Worker) -> Result<()> {
    let mut extractor = Extractor::default();
    loop {
        match gate.next() {
            Next::Payload(payload) => {
                if !take(gate, &mut extractor, payload, worker) {
                    break;
                }
            }
            Next::Barrier => {
                if !worker.flush() || !gate.arrive(Place::Between) {
                    break;
                }
            }
            Next::End(error) => {
                worker.flush();
                return error.map_or(Ok(()), Err);
            }
        }
    }
    Ok(())
}

/// Takes a payload apart; returns whether the worker wants more.
fn take(
    gate: &Gate,
    extractor: &mut Extractor,
    payload: Payload,
    worker: &mut impl Worker,
) -> bool {
    if let Some(rows) = &payload.known {
        return worker.known(rows);
    }
    let origin = Arc::clone(&payload.origin);
    worker.begin_payload(&origin, payload.version.as_ref());
    let is_stream = matches!(payload.body, Body::Stream(_));
    let tap = RefCell::new(Tap {
        gate,
        origin: Arc::clone(&origin),
        // Without a checkpoint to be exact, any payload may be cut off.
        may_pause: is_stream || payload.resume.is_some() || !gate.has_epochs(),
        resume: payload.resume.clone(),
        items: 0,
        bytes: 0,
        is_cut: false,
        worker,
    });
    let mut outcome = match payload.body {
        Body::Stream(reader) => {
            let delivered = payload.delivered_micros;
            let reader = Pausing { reader, tap: &tap };
            extractor.extract_stream(Arc::clone(&origin), delivered, reader, &mut Sink(&tap))
        }
        Body::Whole(_) => extractor.extract(payload, &mut Sink(&tap)),
    };
    let tap = tap.into_inner();
    gate.count_bytes(tap.bytes);
    let is_cut = tap.is_cut;
    if is_cut {
        // Its end was not seen, so nothing can be said about it.
        (outcome.damaged, outcome.empty) = (false, false);
    }
    outcome.add_to(&gate.execution().stats);
    // A payload that was cut off ends here because of the gate, which says how to go on.
    let goes_on = is_cut || !outcome.stopped;
    outcome.stopped |= is_cut;
    worker.finish_payload(&origin, &outcome);
    goes_on
}

/// Takes the thread out of the run, however it ends.
struct LeaveOnDrop<'g>(&'g Gate);

impl Drop for LeaveOnDrop<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Between the envelope and the worker: counts items, leaves out those of an earlier run, waits at
/// barriers.
struct Tap<'a, W> {
    gate: &'a Gate,
    worker: &'a mut W,
    origin: Arc<str>,
    resume: Option<Resume>,
    /// Whether barriers are waited for, and stops obeyed, in the midst of this payload.
    may_pause: bool,
    /// Items seen: records, rejects, counts of other things.
    items: u64,
    /// Bytes of records since they were last counted.
    bytes: u64,
    /// Whether the rest of the payload is not read.
    is_cut: bool,
}

/// A decision about an item.
enum Verdict {
    Take,
    /// It was handed down by an earlier run.
    Skip,
    /// It belongs to the part that is not read.
    Drop,
}

impl<W: Worker> Tap<'_, W> {
    /// Judges the next item.
    fn judge(&mut self) -> Verdict {
        if self.is_cut {
            return Verdict::Drop;
        }
        if self.items < self.skip_items() {
            self.items += 1;
            return Verdict::Skip;
        }
        if self.gate.is_raised() && !self.pause() {
            return Verdict::Drop;
        }
        self.items += 1;
        Verdict::Take
    }

    fn skip_items(&self) -> u64 {
        self.resume.as_ref().map_or(0, |resume| resume.skip_items)
    }

    /// Waits at the barrier, if that is possible here; returns whether to go on with the payload.
    fn pause(&mut self) -> bool {
        if !self.may_pause {
            return true;
        }
        self.count_bytes();
        let done = self.items.max(self.skip_items());
        let payload = self.resume.as_ref().map(|resume| (&*resume.key, done));
        let goes_on = self.worker.flush() && self.gate.arrive(Place::Midst(payload));
        self.is_cut = !goes_on;
        goes_on
    }

    /// Hands down what there is, as nothing more comes for now; returns whether to go on.
    fn idle(&mut self) -> bool {
        self.is_cut |= !self.worker.flush();
        !self.is_cut
    }

    /// Ends a stream whose reader failed, if a later run can start at the fault; returns whether.
    fn fail(&mut self, error: &io::Error) -> bool {
        let Some(resume) = self.resume.as_ref().filter(|_| self.gate.has_epochs()) else {
            return false;
        };
        self.is_cut = true;
        let done = self.items.max(resume.skip_items);
        self.gate.fail_payload(&resume.key, done);
        self.gate.execution().reject(&Reject {
            location: InputLocation::new(Arc::clone(&self.origin)),
            reason: "unreadable file",
            detail: format!("{error}; a later run reads the rest"),
            bytes: b"",
        });
        true
    }

    fn count_bytes(&mut self) {
        self.gate.count_bytes(std::mem::take(&mut self.bytes));
    }
}

/// The tap as the envelope sees it. Its reader has the tap too, so it is borrowed for each call.
struct Sink<'t, 'a, W>(&'t RefCell<Tap<'a, W>>);

impl<W: Worker> RecordSink for Sink<'_, '_, W> {
    fn record(&mut self, record: &Record<'_>) -> Taken {
        let mut tap = self.0.borrow_mut();
        match tap.judge() {
            Verdict::Skip => return Taken::Skipped,
            Verdict::Drop => return Taken::Refused,
            Verdict::Take => {}
        }
        tap.bytes += record.json().len() as u64;
        if tap.bytes > COUNT_EVERY_BYTES {
            tap.count_bytes();
        }
        tap.worker.record(record)
    }

    fn not_cloudtrail(&mut self, kind: &'static str, count: u64) {
        let mut tap = self.0.borrow_mut();
        if matches!(tap.judge(), Verdict::Take) {
            tap.gate.execution().stats.not_cloudtrail(kind, count);
            tap.worker.not_cloudtrail(kind, count);
        }
    }

    fn reject(&mut self, reject: &Reject<'_>) {
        let mut tap = self.0.borrow_mut();
        if matches!(tap.judge(), Verdict::Take) {
            tap.gate.execution().reject(reject);
            tap.worker.rejected(reject);
        }
    }
}

/// A stream that waits at barriers, hands down what was read while nothing comes, and ends at a
/// stop.
struct Pausing<'t, 'a, W> {
    reader: Box<dyn Read + Send>,
    tap: &'t RefCell<Tap<'a, W>>,
}

impl<W: Worker> Read for Pausing<'_, '_, W> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut tap = self.tap.borrow_mut();
            if tap.is_cut || (tap.gate.is_raised() && !tap.pause()) {
                return Ok(0);
            }
            drop(tap);
            match self.reader.read(out) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.tap.borrow_mut().idle() {
                        return Ok(0);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.tap.borrow_mut().fail(&error) => return Ok(0),
                outcome => return outcome,
            }
        }
    }
}

/// Bytes of records that are counted at a time.
const COUNT_EVERY_BYTES: u64 = 1 << 20;
