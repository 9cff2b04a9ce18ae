//! Parquet files, Arrow files and Arrow streams: each row becomes a JSON object, which goes the way of
//! any JSON document, so that what is an event is said in one place.
//!
//! Rows that `SELECT *` wrote keep their `nullfields`, by which `spelling` knows them. Where a row has
//! a record's text in a column `record`, only that is handed on.

use std::io::{self, ErrorKind, Read};

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::{Message, MessageHeader, root_as_message};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::file::reader::ChunkReader;

use super::column_json::each_row;
use super::magic::Columnar;
use super::spool::spool;
use super::{Chunk, DocumentContext, Extractor, Job, MAX_DECOMPRESSED_BYTES, Outcome, WHOLE_BYTES};
use crate::decoding;

/// Rows that are turned to JSON at once.
const BATCH_ROWS: usize = 1_024;

/// Largest size of the description of a batch, bytes.
const MAX_HEADER_BYTES: u32 = 64 << 20;

/// Largest size of a batch in an Arrow file, compressed or not, bytes. Its declared size is allocated
/// before its content is looked at.
const MAX_BATCH_BYTES: i64 = 2 << 30;

/// The marker before each message of an Arrow stream, and the message that ends one.
const CONTINUATION: [u8; 4] = [0xff; 4];
const END_OF_STREAM: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// The first and, with padding, last bytes of an Arrow file.
const ARROW_FILE: &[u8] = b"ARROW1";

/// The rows of a file on their way.
struct Table {
    format: Columnar,
    before: Outcome,
    context: DocumentContext,
    /// Whether rows were handed on, and events were among them.
    has_rows: bool,
    /// Bytes of JSON so far.
    json_bytes: u64,
    /// Whether no more rows are wanted.
    done: bool,
}

/// The reason why a file is not read on.
struct Fault {
    reason: &'static str,
    detail: String,
}

impl Extractor {
    /// Takes the file in memory if it is columnar. Returns whether it was.
    pub(super) fn columnar(
        &mut self,
        job: &mut Job<'_>,
        bytes: &[u8],
        context: DocumentContext,
    ) -> bool {
        let Some(format) = Columnar::of(bytes) else {
            return false;
        };
        let mut table = Table::new(format, job, context);
        let result = match format {
            Columnar::Parquet => {
                let bytes = Bytes::copy_from_slice(bytes);
                self.parquet(job, &mut table, || Ok(bytes.clone()))
            }
            Columnar::EncryptedParquet => Err(encrypted()),
            Columnar::ArrowFile | Columnar::ArrowStream => self.arrow(job, &mut table, bytes),
        };
        table.end(job, result);
        true
    }

    /// Takes a large columnar file, of which `head` was read. Returns whether it was one.
    pub(super) fn large_columnar(
        &mut self,
        job: &mut Job<'_>,
        head: &[u8],
        rest: impl Read,
        context: DocumentContext,
    ) -> bool {
        let Some(format) = Columnar::of(head) else {
            return false;
        };
        let mut table = Table::new(format, job, context);
        let mut reader = Counted {
            reader: head.chain(rest),
            bytes: 0,
        };
        let result = match format {
            Columnar::Parquet => match spool(&mut reader, MAX_DECOMPRESSED_BYTES) {
                Ok((file, _)) => self.parquet(job, &mut table, || file.try_clone()),
                Err(error) => Err(Fault::of_spool(&error)),
            },
            Columnar::EncryptedParquet => Err(encrypted()),
            Columnar::ArrowFile | Columnar::ArrowStream => self.arrow(job, &mut table, &mut reader),
        };
        job.outcome.decompressed_bytes += reader.bytes.saturating_sub(head.len() as u64);
        table.end(job, result);
        true
    }

    /// Takes the row groups of a Parquet file, to which `open` gives access. A damaged one does not keep
    /// the others from being read.
    fn parquet<T: ChunkReader + 'static>(
        &mut self,
        job: &mut Job<'_>,
        table: &mut Table,
        open: impl Fn() -> io::Result<T>,
    ) -> Result<(), Fault> {
        let input = || open().map_err(|error| Fault::of_spool(&error));
        let file = input()?;
        check_footer(&file)?;
        // The Arrow schema that some writers add knows nothing about the values that Parquet's does not.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = guarded(|| Ok(ArrowReaderMetadata::load(&file, options)?))
            .map_err(|error| Fault::damaged(table.format, &error))?;
        let mut damage = None;
        for group in 0..metadata.metadata().num_row_groups() {
            let builder =
                ParquetRecordBatchReaderBuilder::new_with_metadata(input()?, metadata.clone());
            let builder = builder
                .with_row_groups(vec![group])
                .with_batch_size(BATCH_ROWS);
            let mut batches = match guarded(|| Ok(builder.build()?)) {
                Ok(reader) => reader,
                Err(error) => {
                    damage.get_or_insert_with(|| Fault::damaged(table.format, &error));
                    continue;
                }
            };
            while let Some(batch) = guarded(|| batches.next().transpose()).transpose() {
                let rows = batch.and_then(|batch| self.rows(job, table, &batch));
                if let Err(error) = rows {
                    damage.get_or_insert_with(|| Fault::damaged(table.format, &error));
                    break;
                }
                if table.done {
                    return Ok(());
                }
            }
        }
        damage.map_or(Ok(()), Err)
    }

    /// Takes the batches of an Arrow file or stream from its begin to its end: the file is the stream
    /// with a footer, which is not needed.
    fn arrow(
        &mut self,
        job: &mut Job<'_>,
        table: &mut Table,
        mut reader: impl Read,
    ) -> Result<(), Fault> {
        let format = table.format;
        // What is read when it is the first message of a file may be the padding before that.
        let mut in_padding = format == Columnar::ArrowFile;
        if in_padding {
            read_some(&mut reader, 8).map_err(|error| Fault::unreadable(format, &error))?;
        }
        let mut decoder = StreamDecoder::new();
        while !table.done {
            let message = message(&mut reader, format, &mut in_padding)?;
            let is_last = message.is_none();
            let mut buffer = Buffer::from_vec(message.unwrap_or_else(|| END_OF_STREAM.to_vec()));
            // A message without a body is decoded together with the next one.
            while !buffer.is_empty() && !table.done {
                let batch = guarded(|| decoder.decode(&mut buffer));
                match batch.map_err(|error| Fault::damaged(format, &error))? {
                    None => break,
                    Some(batch) => self
                        .rows(job, table, &batch)
                        .map_err(|error| Fault::damaged(format, &error))?,
                }
            }
            if is_last {
                break;
            }
        }
        match table.done {
            true => Ok(()),
            false => check_end(&mut reader, format),
        }
    }

    /// Hands on the rows of a batch. If the first ones have no event, the file is one reject.
    fn rows(
        &mut self,
        job: &mut Job<'_>,
        table: &mut Table,
        batch: &RecordBatch,
    ) -> Result<(), ArrowError> {
        let mut at = 0;
        while at < batch.num_rows() && !table.done {
            let rows = batch.slice(at, BATCH_ROWS.min(batch.num_rows() - at));
            at += rows.num_rows();
            if table.has_rows {
                self.slice(job, table, &rows)?;
                continue;
            }
            let search = job.search.begin();
            let result = self.slice(job, table, &rows);
            let has_events = job.search.has_new_findings(&search);
            let kind = (!has_events).then(|| job.search.forget(&search));
            job.end_search();
            result?;
            table.has_rows = true;
            if let Some(kind) = kind {
                table.done = true;
                let detail = unread(table.format, &batch.schema(), kind);
                let location = job.location.at_byte(table.context.byte);
                job.reject(location, "unread format", detail, b"");
            }
        }
        Ok(())
    }

    fn slice(
        &mut self,
        job: &mut Job<'_>,
        table: &mut Table,
        rows: &RecordBatch,
    ) -> Result<(), ArrowError> {
        each_row(rows, |json| {
            table.json_bytes += json.len() as u64;
            self.documents(job, Chunk::whole(json, table.context));
            if table.json_bytes > MAX_DECOMPRESSED_BYTES {
                let location = job.location.at_byte(table.context.byte);
                let detail = "the rest is not read; is it a decompression bomb?".to_owned();
                job.reject(location, "inflates to too much", detail, b"");
                table.done = true;
            }
            table.done |= job.outcome.stopped;
            !table.done
        })
    }
}

impl Table {
    fn new(format: Columnar, job: &Job<'_>, context: DocumentContext) -> Self {
        Self {
            format,
            before: job.outcome,
            context: context.nested(),
            has_rows: false,
            json_bytes: 0,
            done: false,
        }
    }

    fn end(self, job: &mut Job<'_>, result: Result<(), Fault>) {
        let location = job.location.at_byte(self.context.byte);
        match result {
            Err(fault) => {
                job.outcome.salvage_since(&self.before);
                job.reject(location, fault.reason, fault.detail, b"");
            }
            Ok(()) => job.outcome.empty |= !self.has_rows,
        }
    }
}

impl Fault {
    fn damaged(format: Columnar, error: &dyn std::error::Error) -> Self {
        let reason = match format.name() {
            "Parquet" => "damaged Parquet",
            _ => "damaged Arrow",
        };
        Self {
            reason,
            detail: error.to_string(),
        }
    }

    fn truncated(format: Columnar, detail: &str) -> Self {
        let reason = match format.name() {
            "Parquet" => "truncated Parquet",
            _ => "truncated Arrow",
        };
        Self {
            reason,
            detail: detail.to_owned(),
        }
    }

    fn unreadable(format: Columnar, error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof => Self::truncated(format, "ends within a batch"),
            _ => Self {
                reason: "unreadable file",
                detail: error.to_string(),
            },
        }
    }

    fn of_spool(error: &io::Error) -> Self {
        let (reason, before) = match error.kind() {
            ErrorKind::FileTooLarge => ("inflates to too much", ""),
            _ => ("unreadable file", "no temporary copy could be made: "),
        };
        Self {
            reason,
            detail: format!("{before}{error}"),
        }
    }
}

/// Runs a decoder. Those of damaged metadata panic in places, for which there are tests.
pub(super) fn guarded<T>(decode: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, ArrowError> {
    decoding::guarded(decode).unwrap_or_else(|panic| Err(panic.into()))
}

fn encrypted() -> Fault {
    Fault {
        reason: "unread format",
        detail: "encrypted Parquet; decrypt it first".to_owned(),
    }
}

/// Checks that a Parquet file has its end, without which nothing in it can be found.
fn check_footer(file: &impl ChunkReader) -> Result<(), Fault> {
    let tail = file.len().saturating_sub(4);
    let tail = file
        .get_bytes(tail, 4)
        .map_err(|error| Fault::damaged(Columnar::Parquet, &error))?;
    match &tail[..] {
        b"PAR1" => Ok(()),
        b"PARE" => Err(encrypted()),
        _ => Err(Fault::truncated(
            Columnar::Parquet,
            "the footer at the end, which says where the columns are, is missing",
        )),
    }
}

/// Says what the file is that has no events.
fn unread(format: Columnar, schema: &Schema, kind: Option<&str>) -> String {
    let name = format.name();
    let fields = schema.fields();
    let mut columns: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    if columns.len() > 6 {
        columns.truncate(5);
        columns.push("...");
    }
    let columns = columns.join(", ");
    let kind = kind
        .map(|kind| format!(", it seems: {kind}"))
        .unwrap_or_default();
    format!(
        "{name} without CloudTrail events in its first rows{kind}; columns: {columns}. Read are \
         CloudTrail's fields as columns (eventtime, eventname, useridentity, ...) and JSON text of events"
    )
}

/// Reads the next message with its body, or `None` at the end. What it declares is checked, as
/// memory is taken for it.
fn message(
    reader: &mut impl Read,
    format: Columnar,
    in_padding: &mut bool,
) -> Result<Option<Vec<u8>>, Fault> {
    let unreadable = |error| Fault::unreadable(format, &error);
    let wrong = |why: &str| Fault::damaged(format, &ArrowError::IpcError(why.to_owned()));
    let mut all = Vec::new();
    let mut read = 8;
    while read == 8 && (all.is_empty() || *in_padding && all == [0; 8]) {
        all.clear();
        read = reader.take(8).read_to_end(&mut all).map_err(unreadable)?;
    }
    *in_padding = false;
    if read == 0 || all == END_OF_STREAM {
        return Ok(None);
    }
    if read < 8 {
        return Err(unreadable(ErrorKind::UnexpectedEof.into()));
    }
    if all[..4] != CONTINUATION {
        return Err(wrong("no message where one should begin"));
    }
    let size = u32::from_le_bytes([all[4], all[5], all[6], all[7]]);
    if size > MAX_HEADER_BYTES {
        return Err(wrong("a message header of an impossible size"));
    }
    all.append(&mut read_some(reader, u64::from(size)).map_err(unreadable)?);
    let header = root_as_message(&all[8..]).map_err(|error| wrong(&error.to_string()))?;
    let length = header.bodyLength();
    if !(0..=MAX_BATCH_BYTES).contains(&length) {
        return Err(wrong("a batch of an impossible size"));
    }
    let body = read_some(reader, length.unsigned_abs()).map_err(unreadable)?;
    if inflated_bytes(&header, &body) > MAX_BATCH_BYTES {
        return Err(wrong("a batch that inflates to an impossible size"));
    }
    all.extend_from_slice(&body);
    Ok(Some(all))
}

/// Reads exactly `count` bytes, and takes memory only for those that are there.
fn read_some(reader: &mut impl Read, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = reader.take(count).read_to_end(&mut bytes)?;
    match read as u64 == count {
        true => Ok(bytes),
        false => Err(ErrorKind::UnexpectedEof.into()),
    }
}

/// Returns the size that the buffers of a compressed batch declare, bytes.
fn inflated_bytes(message: &Message<'_>, body: &[u8]) -> i64 {
    let batch = match message.header_type() {
        MessageHeader::RecordBatch => message.header_as_record_batch(),
        MessageHeader::DictionaryBatch => message
            .header_as_dictionary_batch()
            .and_then(|dictionary| dictionary.data()),
        _ => None,
    };
    let Some(batch) = batch.filter(|batch| batch.compression().is_some()) else {
        return 0;
    };
    let sizes = batch.buffers().into_iter().flatten().filter_map(|buffer| {
        let start = usize::try_from(buffer.offset()).ok()?;
        let size = body.get(start..)?.first_chunk::<8>()?;
        Some(i64::from_le_bytes(*size).max(0))
    });
    sizes.fold(0, i64::saturating_add)
}

/// Checks that an Arrow file ends as one, and that a stream is the last thing.
fn check_end(reader: &mut impl Read, format: Columnar) -> Result<(), Fault> {
    let mut tail = Vec::new();
    let limit = WHOLE_BYTES as u64;
    let read = reader.take(limit).read_to_end(&mut tail);
    read.map_err(|error| Fault::unreadable(format, &error))?;
    match format {
        Columnar::ArrowFile if !tail.ends_with(ARROW_FILE) => {
            Err(Fault::truncated(format, "the footer at the end is missing"))
        }
        Columnar::ArrowStream if !tail.is_empty() => {
            let why = format!("{} bytes after the end of the stream", tail.len());
            Err(Fault::damaged(format, &ArrowError::IpcError(why)))
        }
        _ => Ok(()),
    }
}

/// A reader that counts what it reads.
struct Counted<R> {
    reader: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}
