//! Standard input: as one stream, or where it may go on for ever, line by line.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_trait::async_trait;

use super::live::{Feed, Live, Outlet};
use super::read::{Counting, Polled};
use super::{Boundedness, OpenContext, Progress, Source};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::payload::{Body, Payload};

/// Opens standard input. It can be read only once, so it has no position to go on from.
/// Read without an end, JSON lines are handed on as soon as they are whole; anything else is one stream
/// all the same.
pub(super) fn open(_: &str, context: &OpenContext) -> Result<Box<dyn Source>> {
    if !context.reading.is_to_now() {
        return Ok(Box::new(Live::new(Box::new(Piped), context)));
    }
    Ok(Box::new(Stdin {
        execution: Arc::clone(&context.execution),
        is_handed_out: false,
    }))
}

struct Stdin {
    execution: Arc<Execution>,
    is_handed_out: bool,
}

/// Whether the process's standard input is taken.
static TAKEN: AtomicBool = AtomicBool::new(false);

fn take() -> Result<()> {
    match TAKEN.swap(true, Relaxed) {
        false => Ok(()),
        true => Err(Error::query(
            "standard input can be read only once, and it was; save it to a file first",
        )),
    }
}

/// Standard input while it is written.
struct Piped;

#[async_trait]
impl Feed for Piped {
    async fn run(self: Box<Self>, outlet: Outlet) -> Result<()> {
        take()?;
        let mut lines = Lines::new(Polled::new(|| Ok(Box::new(io::stdin()))));
        loop {
            let mut room = outlet.room(CHUNK_BYTES).await;
            let read = tokio::task::spawn_blocking(move || {
                let next = lines.next();
                (lines, next)
            });
            let (back, next) = read
                .await
                .map_err(|error| Error::bug(format!("a reader stopped: {error}")))?;
            lines = back;
            let payload = match next {
                Ok(Next::Lines(bytes)) => Payload::new("-", Body::Whole(bytes.into())),
                Ok(Next::Quiet) => match outlet.is_wanted() {
                    true => continue,
                    false => return Ok(()),
                },
                Ok(Next::End) => return Ok(()),
                Ok(Next::Stream) => {
                    let reader = Counting::new(lines.into_stream(), outlet.execution());
                    let payload = Payload::new("-", Body::Stream(Box::new(reader)));
                    outlet.passing(payload, &mut room).await;
                    return Ok(());
                }
                Err(error) => {
                    let why = crate::reject::why(&error);
                    return Err(Error::io(format!("cannot read standard input: {why}")));
                }
            };
            if !outlet.passing(payload, &mut room).await {
                return Ok(());
            }
        }
    }
}

/// A pipe that is cut at line breaks.
struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Whether the first line showed that lines are JSON values.
    is_json_lines: bool,
    has_ended: bool,
}

/// The next thing in a pipe.
enum Next {
    /// Whole lines; at the end, what is there.
    Lines(Vec<u8>),
    /// Nothing for now.
    Quiet,
    /// Lines are no JSON values: it is to be read as one stream.
    Stream,
    End,
}

impl<R: Read + Send + 'static> Lines<R> {
    fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            is_json_lines: false,
            has_ended: false,
        }
    }

    /// Waits a moment for what comes, and returns what is whole of it.
    fn next(&mut self) -> io::Result<Next> {
        let is_quiet = self.fill()?;
        if self.has_ended {
            return Ok(match self.buffer.is_empty() {
                true => Next::End,
                false if !self.is_json_lines && !is_json(&self.buffer) => Next::Stream,
                false => Next::Lines(std::mem::take(&mut self.buffer)),
            });
        }
        let Some(end) = memchr::memrchr(b'\n', &self.buffer) else {
            return Ok(
                match self.is_json_lines || self.buffer.len() < LONGEST_FIRST_LINE {
                    true => Next::Quiet,
                    false => Next::Stream,
                },
            );
        };
        if !self.is_json_lines && !self.look() {
            return Ok(Next::Stream);
        }
        if !is_quiet && self.buffer.len() < CHUNK_BYTES {
            return Ok(Next::Quiet);
        }
        let rest = self.buffer.split_off(end + 1);
        Ok(Next::Lines(std::mem::replace(&mut self.buffer, rest)))
    }

    /// Looks at the first line. Returns whether it is a JSON value.
    fn look(&mut self) -> bool {
        let first = self.buffer.split(|byte| *byte == b'\n').next();
        self.is_json_lines = first.is_some_and(is_json);
        self.is_json_lines
    }

    /// Reads until a chunk is full or nothing comes for a moment; returns whether that was so.
    fn fill(&mut self) -> io::Result<bool> {
        let mut piece = [0; 16 << 10];
        while self.buffer.len() < CHUNK_BYTES && !self.has_ended {
            match self.reader.read(&mut piece) {
                Ok(0) => self.has_ended = true,
                Ok(count) => self.buffer.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // A line that is longer than a chunk.
        if self.buffer.len() >= CHUNK_BYTES && memchr::memrchr(b'\n', &self.buffer).is_none() {
            let count = self.reader.read(&mut piece)?;
            self.has_ended = count == 0;
            self.buffer.extend_from_slice(&piece[..count]);
        }
        Ok(false)
    }

    /// Returns all that was read and is to be read, as one stream.
    fn into_stream(self) -> impl Read + Send + 'static {
        io::Cursor::new(self.buffer).chain(self.reader)
    }
}

fn is_json(line: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

/// Bytes that are handed on at once.
const CHUNK_BYTES: usize = 1 << 20;
/// The longest first line that is waited for.
const LONGEST_FIRST_LINE: usize = 8 << 20;

#[async_trait]
impl Source for Stdin {
    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }

    async fn next(&mut self) -> Result<Option<Payload>> {
        if std::mem::replace(&mut self.is_handed_out, true) {
            return Ok(None);
        }
        take()?;
        let stats = &self.execution.stats;
        stats.objects_listed.fetch_add(1, Relaxed);
        stats.objects_read.fetch_add(1, Relaxed);
        stats.listing_done.store(true, Relaxed);
        let reader = Polled::new(|| Ok(Box::new(io::stdin())));
        let body = Body::Stream(Box::new(Counting::new(reader, &self.execution)));
        Ok(Some(Payload::new("-", body)))
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint::default()
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe whose pieces come one at a time.
    struct Pieces(Vec<&'static [u8]>);

    impl Read for Pieces {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            match self.0.remove(0) {
                b"" => Err(io::ErrorKind::WouldBlock.into()),
                piece => {
                    let (now, later) = piece.split_at(piece.len().min(out.len()));
                    out[..now.len()].copy_from_slice(now);
                    if !later.is_empty() {
                        self.0.insert(0, later);
                    }
                    Ok(now.len())
                }
            }
        }
    }

    fn read(pieces: &[&'static [u8]]) -> Vec<String> {
        let mut lines = Lines::new(Pieces(pieces.to_vec()));
        let mut seen = Vec::new();
        loop {
            match lines.next().unwrap() {
                Next::Lines(bytes) => seen.push(String::from_utf8(bytes).unwrap()),
                Next::Quiet => seen.push("...".to_owned()),
                Next::End => return seen,
                Next::Stream => {
                    let mut rest = String::new();
                    lines.into_stream().read_to_string(&mut rest).unwrap();
                    return [seen, vec![format!("stream: {rest}")]].concat();
                }
            }
        }
    }

    #[test]
    fn lines_are_handed_on_once_they_are_whole_and_nothing_more_comes() {
        assert_eq!(
            read(&[b"{}\n{", b"", b"}\n", b"", b"{}"]),
            ["{}\n", "{}\n", "{}"]
        );
        assert_eq!(
            read(&[b"{", b"", b"}", b"", b"\n[]\n", b""]),
            ["...", "...", "{}\n[]\n"]
        );
        assert_eq!(read(&[]), [""; 0]);
    }

    #[test]
    fn what_is_no_json_lines_is_one_stream() {
        let pretty = ["{\n", "", " \"a\": 1\n}\n"].map(str::as_bytes);
        assert_eq!(read(&pretty), ["stream: {\n \"a\": 1\n}\n"]);
        assert_eq!(
            read(&[b"not json\n", b"", b"x\n"]),
            ["stream: not json\nx\n"]
        );
    }
}
