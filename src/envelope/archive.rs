//! Files in zip and tar archives, each read as a payload of its own. Folders, links and hidden files are
//! left out.

use std::cell::{Cell, RefCell};
use std::io::{Cursor, Error, ErrorKind, Read, Seek, SeekFrom};
use std::rc::Rc;

use zip::ZipArchive;
use zip::read::read_zipfile_from_stream;
use zip::result::ZipError;

use super::compression::{MAX_LAYERS, RetryInterrupted, Stream};
use super::foreign::ForeignKind;
use super::magic::{self, Archive};
use super::spool::spool;
use super::{DocumentContext, Extractor, Job, MAX_DECOMPRESSED_BYTES, UNREAD_FORMAT, WINDOW_BYTES};

/// Most bytes that a tar may have between two files: long names are kept in memory.
const MAX_TAR_HEADER_BYTES: u64 = 16 << 20;

/// Size of a block of tar, bytes.
const TAR_BLOCK_BYTES: u64 = 512;

/// The file that zip archives with an Office document have.
const OFFICE_MARK: &str = "[Content_Types].xml";

/// Most characters of a name that are shown.
const SHOWN_NAME_CHARS: usize = 200;

/// Damage to an archive: the reason for the reject, and its detail.
type ArchiveFault = (&'static str, String);

/// The state of reading one archive.
#[derive(Default)]
struct Progress {
    /// Whether a file had content or was left out.
    has_content: bool,
    /// Whether no more files are wanted.
    stopped: bool,
}

impl Extractor {
    /// Takes an archive that is in memory. Returns whether it was one.
    pub(super) fn archive(
        &mut self,
        job: &mut Job<'_>,
        bytes: &[u8],
        context: DocumentContext,
    ) -> bool {
        let Some(format) = magic::archive(bytes).filter(|_| context.depth == 0) else {
            return false;
        };
        // The text is that of the files.
        job.outcome.decompressed_bytes -= bytes.len() as u64;
        if job.is_nested_too_deep() {
            return true;
        }
        match format {
            Archive::Zip => self.zip(job, Cursor::new(bytes), context),
            Archive::Tar => self.tar(job, bytes, context),
        }
        true
    }

    /// Takes an archive that begins with `head`. Returns whether it was one.
    pub(super) fn large_archive(
        &mut self,
        job: &mut Job<'_>,
        head: &[u8],
        stream: &mut Stream<'_>,
        context: DocumentContext,
    ) -> bool {
        let Some(format) = magic::archive(head).filter(|_| context.depth == 0) else {
            return false;
        };
        job.outcome.decompressed_bytes -= head.len() as u64;
        if job.is_nested_too_deep() {
            return true;
        }
        let mut whole = head.chain(stream);
        match format {
            Archive::Tar => self.tar(job, whole, context),
            // The list of the files is at the end.
            Archive::Zip => match spool(&mut whole, MAX_DECOMPRESSED_BYTES) {
                Ok((file, bytes)) => {
                    job.text_bytes += bytes;
                    self.zip(job, file, context);
                }
                Err(error) => {
                    let detail =
                        format!("cannot keep the zip archive in a temporary file: {error}");
                    job.reject(job.location.clone(), "unreadable file", detail, b"");
                }
            },
        }
        true
    }

    fn zip(&mut self, job: &mut Job<'_>, mut source: impl Read + Seek, context: DocumentContext) {
        let mut progress = Progress::default();
        let fault = match ZipArchive::new(&mut source) {
            Ok(archive) if archive.index_for_name(OFFICE_MARK).is_some() => Some((
                UNREAD_FORMAT,
                "Office document: save the events as text".to_owned(),
            )),
            Ok(mut archive) => {
                for index in 0..archive.len() {
                    if progress.stopped {
                        break;
                    }
                    let name = archive.name_for_index(index).and_then(Result::ok);
                    let name =
                        name.map_or_else(|| format!("file {index}"), |name| name.into_owned());
                    match archive.by_index(index) {
                        Ok(file) if !file.is_file() => {}
                        Ok(file) => {
                            self.entry(job, &mut progress, (&name, file), context);
                        }
                        Err(error) => {
                            progress.has_content = true;
                            job.within(&name, |job| job.reject_archive(zip_fault(&error)));
                        }
                    }
                }
                None
            }
            Err(error) => {
                let sound = self.zip_without_list(job, &mut progress, &mut source, context);
                sound.then(|| zip_fault(&error))
            }
        };
        job.end_archive(&progress, fault);
    }

    /// Reads the files of a zip archive whose list at the end is lost or damaged. Returns whether no
    /// reject tells of the damage yet.
    fn zip_without_list(
        &mut self,
        job: &mut Job<'_>,
        progress: &mut Progress,
        source: &mut (impl Read + Seek),
        context: DocumentContext,
    ) -> bool {
        if source.seek(SeekFrom::Start(0)).is_err() {
            return true;
        }
        while let Ok(Some(file)) = read_zipfile_from_stream(source) {
            if progress.stopped {
                break;
            }
            let name = file
                .name()
                .map(|name| name.into_owned())
                .unwrap_or_default();
            if file.is_file() && !self.entry(job, progress, (&name, file), context) {
                return false;
            }
        }
        true
    }

    fn tar(&mut self, job: &mut Job<'_>, source: impl Read, context: DocumentContext) {
        let mut progress = Progress::default();
        let limit = Rc::new(Cell::new(u64::MAX));
        let trailing_zeros = Rc::new(Cell::new(0));
        let mut archive = tar::Archive::new(TarReader {
            source: RetryInterrupted(source),
            limit: Rc::clone(&limit),
            trailing_zeros: Rc::clone(&trailing_zeros),
        });
        // Archives that were joined have the end mark of the first between them.
        archive.set_ignore_zeros(true);
        let fault = match archive.entries() {
            Ok(entries) => self.tar_entries(job, &mut progress, (entries, &limit), context),
            Err(error) => Some(tar_fault(&error)),
        };
        let fault = fault.or_else(|| {
            let ends = progress.stopped || trailing_zeros.get() >= TAR_BLOCK_BYTES;
            let detail = "it ends without the mark of its end";
            (!ends).then(|| ("truncated archive", detail.to_owned()))
        });
        job.end_archive(&progress, fault.filter(|(reason, _)| !reason.is_empty()));
    }

    /// Reads the files of a tar archive. Returns the damage, with an empty reason if it was rejected.
    fn tar_entries<R: Read>(
        &mut self,
        job: &mut Job<'_>,
        progress: &mut Progress,
        (mut entries, limit): (tar::Entries<'_, TarReader<R>>, &Cell<u64>),
        context: DocumentContext,
    ) -> Option<ArchiveFault> {
        while !progress.stopped {
            limit.set(MAX_TAR_HEADER_BYTES);
            let entry = entries.next()?;
            limit.set(u64::MAX);
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return Some(tar_fault(&error)),
            };
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let size = entry.size();
            let is_file = entry.header().entry_type().is_file()
                || entry.header().entry_type().is_gnu_sparse();
            let whole = WholeReader {
                reader: entry,
                left: size,
            };
            let is_sound = if is_file {
                self.entry(job, progress, (&name, whole), context)
            } else {
                drain(whole).is_ok()
            };
            if !is_sound {
                return Some(("", String::new()));
            }
        }
        None
    }

    /// Reads one file. Returns whether all of it was there; if not, a reject tells of it.
    fn entry(
        &mut self,
        job: &mut Job<'_>,
        progress: &mut Progress,
        (name, reader): (&str, impl Read),
        context: DocumentContext,
    ) -> bool {
        if is_hidden(name) {
            progress.has_content = true;
            job.not_cloudtrail(ForeignKind::HiddenFile);
            return drain(reader).is_ok();
        }
        let fault = RefCell::new(None);
        let mut reader = EntryReader {
            reader: RetryInterrupted(reader),
            fault: &fault,
        };
        let (before, rejects) = (job.outcome, job.rejects);
        let context = DocumentContext { byte: 0, ..context };
        job.outcome.empty = false;
        let is_sound = job.within(name, |job| {
            job.archives += 1;
            self.entry_content(job, &mut reader, context);
            job.archives -= 1;
            (job.damage, job.split) = (None, None);
            let is_over = job.text_bytes > MAX_DECOMPRESSED_BYTES;
            progress.stopped = job.outcome.stopped || is_over;
            if !progress.stopped {
                // The checksum is at the end.
                let _ = std::io::copy(&mut reader, &mut std::io::sink());
            }
            let fault = fault.take();
            if let Some(error) = &fault {
                job.outcome.salvage_since(&before);
                if job.rejects == rejects && !job.has_stream_faults() {
                    job.reject_archive(entry_fault(error));
                }
            }
            fault.is_none()
        });
        progress.has_content |= !job.outcome.empty || job.rejects > rejects;
        is_sound
    }

    /// Reads a small file in one piece and any other as a stream.
    fn entry_content(
        &mut self,
        job: &mut Job<'_>,
        reader: &mut impl Read,
        context: DocumentContext,
    ) {
        let mut head = Vec::new();
        // The reader never fails.
        let _ = reader.take(WINDOW_BYTES as u64).read_to_end(&mut head);
        if head.len() < WINDOW_BYTES {
            self.extract_whole(job, &head, context);
        } else {
            self.extract_reader(job, Cursor::new(head).chain(reader), context);
        }
    }
}

impl Job<'_> {
    /// Runs `read` for the file `name` of an archive, which its rejects name.
    fn within<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let mut shown: String = name
            .chars()
            .take(SHOWN_NAME_CHARS)
            .map(|char| if char.is_control() { '\u{fffd}' } else { char })
            .collect();
        if let Some(outer) = &self.entry {
            shown = format!("{outer}: {shown}");
        }
        let outer = self.entry.replace(shown);
        let result = read(self);
        self.entry = outer;
        result
    }

    /// Returns whether the archive that begins here is inside too many, which is rejected.
    fn is_nested_too_deep(&mut self) -> bool {
        if self.archives < MAX_LAYERS {
            return false;
        }
        let detail = format!("more than {MAX_LAYERS} archives inside each other: unpack it first");
        self.reject(self.location.clone(), UNREAD_FORMAT, detail, b"");
        true
    }

    fn reject_archive(&mut self, (reason, detail): ArchiveFault) {
        self.reject(self.location.clone(), reason, detail, b"");
    }

    /// Returns whether the stream with the archive is damaged itself, which explains all the rest.
    fn has_stream_faults(&self) -> bool {
        let faults = self.faults.lock();
        faults.is_ok_and(|faults| !faults.is_empty())
    }

    fn end_archive(&mut self, progress: &Progress, fault: Option<ArchiveFault>) {
        self.outcome.empty = !progress.has_content && fault.is_none();
        if let Some(fault) = fault.filter(|_| !self.has_stream_faults()) {
            self.reject_archive(fault);
        }
    }
}

fn drain(mut reader: impl Read) -> std::io::Result<u64> {
    std::io::copy(&mut reader, &mut std::io::sink())
}

/// Returns whether a file is hidden, or in a folder that is: `.x` and `_x`, as in folders of sources.
fn is_hidden(name: &str) -> bool {
    name.split(['/', '\\'])
        .any(|part| part.starts_with(['.', '_']) && !matches!(part, "." | ".."))
}

fn zip_fault(error: &ZipError) -> ArchiveFault {
    match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => (
            UNREAD_FORMAT,
            "encrypted zip archive: unpack it and read the files".to_owned(),
        ),
        ZipError::UnsupportedArchive(detail) => (
            UNREAD_FORMAT,
            format!("zip archive: {detail}; unpack it and read the files"),
        ),
        ZipError::CompressionMethodNotSupported(method) => (
            UNREAD_FORMAT,
            format!("zip archive: compression method {method}; unpack it and read the files"),
        ),
        ZipError::Io(error) => entry_fault(error),
        error => ("damaged archive", error.to_string()),
    }
}

fn tar_fault(error: &Error) -> ArchiveFault {
    let detail = error.to_string();
    // The crate has no kind for it.
    let is_end = error.kind() == ErrorKind::UnexpectedEof || detail.contains("EOF");
    match is_end || detail.contains("entire block") {
        true => ("truncated archive", detail),
        false => ("damaged archive", detail),
    }
}

fn entry_fault(error: &Error) -> ArchiveFault {
    let reason = match error.kind() {
        ErrorKind::Unsupported => {
            let detail = format!("zip archive: {error}; unpack it and read the files");
            return (UNREAD_FORMAT, detail);
        }
        ErrorKind::UnexpectedEof => "truncated archive",
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other => "damaged archive",
        _ => "unreadable file",
    };
    (reason, error.to_string())
}

/// A file in an archive. Reading never fails: an error ends the file and is kept.
struct EntryReader<'f, R> {
    reader: R,
    fault: &'f RefCell<Option<Error>>,
}

impl<R: Read> Read for EntryReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.fault.borrow().is_some() {
            return Ok(0);
        }
        Ok(self.reader.read(buffer).unwrap_or_else(|error| {
            *self.fault.borrow_mut() = Some(error);
            0
        }))
    }
}

/// A reader of as many bytes as were announced; tar takes the end of the input for the file's.
struct WholeReader<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for WholeReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.left = self.left.saturating_sub(count as u64);
        if count == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(count)
    }
}

/// The text of a tar archive, with a limit on what is read at once.
struct TarReader<R> {
    source: R,
    /// Bytes that may be read until the limit is set anew.
    limit: Rc<Cell<u64>>,
    /// Zero bytes up to here.
    trailing_zeros: Rc<Cell<u64>>,
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.source.read(buffer)?;
        let Some(left) = self.limit.get().checked_sub(count as u64) else {
            let detail = "the header of a file is too large";
            return Err(Error::new(ErrorKind::InvalidData, detail));
        };
        self.limit.set(left);
        let bytes = &buffer[..count];
        let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
        let before = if zeros == count {
            self.trailing_zeros.get()
        } else {
            0
        };
        self.trailing_zeros.set(before + zeros as u64);
        Ok(count)
    }
}
