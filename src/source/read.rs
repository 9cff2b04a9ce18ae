//! Readers that sources put around what they hand out as a stream.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use bytes::{Buf, Bytes};

use crate::execution::Execution;

/// A reader that adds the bytes that pass to `bytes_read`.
pub(super) struct Counting<R> {
    reader: R,
    execution: Arc<Execution>,
}

impl<R> Counting<R> {
    pub(super) fn new(reader: R, execution: &Arc<Execution>) -> Self {
        Self {
            reader,
            execution: Arc::clone(execution),
        }
    }
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(out)?;
        let bytes_read = &self.execution.stats.bytes_read;
        bytes_read.fetch_add(count as u64, Relaxed);
        Ok(count)
    }
}

/// A pipe or terminal whose reads return `WouldBlock` where the writer makes them wait, so that
/// what was read meanwhile can be handed on and a stop is noticed.
///
/// A thread of its own reads ahead, a few chunks at most. It ends with its pipe, or with the
/// process: nothing can interrupt its read.
pub(super) struct Polled {
    state: State,
    chunk: Bytes,
}

type Opener = Box<dyn FnOnce() -> io::Result<Box<dyn Read>> + Send>;

enum State {
    Closed(Option<Opener>),
    Running(Receiver<io::Result<Bytes>>),
}

impl Polled {
    /// A reader of what `open` gives, which is called by the first read: opening a pipe waits for
    /// its writer.
    pub(super) fn new(open: impl FnOnce() -> io::Result<Box<dyn Read>> + Send + 'static) -> Self {
        Self {
            state: State::Closed(Some(Box::new(open))),
            chunk: Bytes::new(),
        }
    }

    fn next_chunk(&mut self) -> io::Result<Bytes> {
        if let State::Closed(open) = &mut self.state {
            let Some(open) = open.take() else {
                return Ok(Bytes::new());
            };
            let (sender, receiver) = sync_channel(CHUNKS_AHEAD);
            std::thread::Builder::new()
                .name("pipe".into())
                .spawn(move || pump(open, &sender))?;
            self.state = State::Running(receiver);
        }
        let State::Running(receiver) = &self.state else {
            return Ok(Bytes::new());
        };
        match receiver.recv_timeout(POLL) {
            Ok(chunk) => chunk,
            Err(RecvTimeoutError::Timeout) => Err(io::ErrorKind::WouldBlock.into()),
            Err(RecvTimeoutError::Disconnected) => Ok(Bytes::new()),
        }
    }
}

impl Read for Polled {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            self.chunk = self.next_chunk()?;
        }
        let count = out.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut out[..count]);
        Ok(count)
    }
}

/// Reads until the end, an error, or the reader at the other end of the channel is gone.
fn pump(open: Opener, chunks: &SyncSender<io::Result<Bytes>>) {
    let mut reader = match open() {
        Ok(reader) => reader,
        Err(error) => return drop(chunks.send(Err(error))),
    };
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = match reader.read(&mut chunk) {
            Ok(0) => return,
            Ok(count) => {
                chunk.truncate(count);
                // A slow writer's lines are short: they do not each keep a whole chunk.
                if count < CHUNK_BYTES / 4 {
                    chunk.shrink_to_fit();
                }
                Ok(chunk.into())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_last = read.is_err();
        if chunks.send(read).is_err() || is_last {
            return;
        }
    }
}

/// A pipe of Linux holds 64 KiB.
const CHUNK_BYTES: usize = 64 << 10;
const CHUNKS_AHEAD: usize = 16;
/// The longest that a read waits.
const POLL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_pipe_that_pauses_would_block_and_goes_on() {
        let (mut reader, mut writer) = io::pipe().unwrap();
        let mut polled = Polled::new(move || {
            let mut first = [0; 3];
            reader.read_exact(&mut first)?;
            Ok(Box::new(Read::chain(&b"abc"[..], reader)) as _)
        });
        let mut out = [0; 8];
        let blocked = polled.read(&mut out).unwrap_err();
        assert_eq!(blocked.kind(), io::ErrorKind::WouldBlock);
        writer.write_all(b"abcdef").unwrap();
        drop(writer);
        let mut read = Vec::new();
        loop {
            match polled.read(&mut out) {
                Ok(0) => break,
                Ok(count) => read.extend_from_slice(&out[..count]),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        assert_eq!(read, b"abcdef");
    }
}
