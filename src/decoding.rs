//! Decoders of other crates, which panic on damage in places.
//!
//! Such a panic is a fault of a file, and not of the program: whoever decodes what may be damaged does so
//! [guarded], and tells of the file. The place that panicked has no message of its own then.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use arrow::error::ArrowError;
use futures::future::CatchUnwind;
use futures::stream::unfold;
use futures::{FutureExt, Stream, StreamExt};
use parquet::errors::ParquetError;

/// A decoder panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the decoder failed on damaged metadata")]
pub(crate) struct DecoderPanic;

impl From<DecoderPanic> for ParquetError {
    fn from(panic: DecoderPanic) -> Self {
        Self::General(panic.to_string())
    }
}

impl From<DecoderPanic> for ArrowError {
    fn from(panic: DecoderPanic) -> Self {
        Self::ParseError(panic.to_string())
    }
}

/// Runs a decoder.
///
/// # Errors
/// If it panics.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> T) -> Result<T, DecoderPanic> {
    let told = Told::begin(Later::All);
    let result = catch_unwind(AssertUnwindSafe(decode));
    drop(told);
    result.map_err(|_| DecoderPanic)
}

/// Runs a decoder that waits for what it reads.
///
/// # Errors
/// If it panics.
pub(crate) async fn guarded_future<F: Future>(decode: F) -> Result<F::Output, DecoderPanic> {
    let caught = Catching::new(decode, Later::All).await;
    caught.map_err(|_| DecoderPanic)
}

/// Runs a decoder of items; a [`DecoderPanic`] is the last.
pub(crate) fn guarded_stream<S: Stream + Unpin>(
    items: S,
) -> impl Stream<Item = Result<S::Item, DecoderPanic>> + Unpin {
    Box::pin(unfold(Some(items), async |items| {
        let mut items = items?;
        match guarded_future(items.next()).await {
            Ok(item) => item.map(|item| (Ok(item), Some(items))),
            Err(panic) => Some((Err(panic), None)),
        }
    }))
}

/// Runs work that decodes among other things.
///
/// # Errors
/// What it panics with. Where that is not in a decoder, it was told at once.
pub(crate) async fn caught<F: Future>(work: F) -> Result<F::Output, Box<dyn Any + Send>> {
    Catching::new(work, Later::OfDecoders).await
}

/// Returns whether a panic will be told by whoever catches it, and is not worth a message of its own. The query
/// engine decodes in threads of its own too, whose panics come to the one who reads the rows.
pub(crate) fn is_told_later(panic: &PanicHookInfo<'_>) -> bool {
    let is_of_decoder = panic.location().is_some_and(|it| is_of_decoder(it.file()));
    match LATER.get() {
        Later::All => true,
        Later::OfDecoders => is_of_decoder,
        Later::Nothing => is_of_decoder && std::thread::current().name() != Some("main"),
    }
}

/// Returns whether a file of source code is of a crate that decodes: `.../parquet-59.3.2/src/...`.
fn is_of_decoder(file: &str) -> bool {
    file.split(['/', '\\']).any(|folder| {
        folder.rsplit_once('-').is_some_and(|(name, version)| {
            let is_version = version.starts_with(|c: char| c.is_ascii_digit());
            is_version && (name == "parquet" || name == "arrow" || name.starts_with("arrow-"))
        })
    })
}

/// The panics of a thread that are told by whoever catches them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Later {
    Nothing,
    OfDecoders,
    All,
}

thread_local! {
    static LATER: Cell<Later> = const { Cell::new(Later::Nothing) };
}

/// While it lives, panics of this thread are told later.
struct Told {
    before: Later,
}

impl Told {
    fn begin(later: Later) -> Self {
        Self {
            before: LATER.replace(later),
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        LATER.set(self.before);
    }
}

/// Work that ends with what it panics with. It may be in another thread each time it goes on.
struct Catching<F: Future> {
    work: Pin<Box<CatchUnwind<AssertUnwindSafe<F>>>>,
    later: Later,
}

impl<F: Future> Catching<F> {
    fn new(work: F, later: Later) -> Self {
        Self {
            work: Box::pin(AssertUnwindSafe(work).catch_unwind()),
            later,
        }
    }
}

impl<F: Future> Future for Catching<F> {
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let _told = Told::begin(self.later);
        self.work.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn panics_of_decoders_are_errors() {
        assert_eq!(guarded(|| 1), Ok(1));
        assert_eq!(guarded(|| panic!("damaged")), Err::<(), _>(DecoderPanic));
        assert_eq!(guarded_future(async { 1 }).await, Ok(1));
        let waits = async {
            tokio::task::yield_now().await;
            assert!(LATER.get() == Later::All);
            panic!("damaged")
        };
        assert_eq!(guarded_future(waits).await, Err::<(), _>(DecoderPanic));
        assert!(LATER.get() == Later::Nothing);
        let items = futures::stream::iter([1, 2, 3]).map(|it| match it {
            3 => panic!("damaged"),
            it => it,
        });
        let items: Vec<_> = guarded_stream(items).collect().await;
        assert_eq!(items, [Ok(1), Ok(2), Err(DecoderPanic)]);
    }

    #[tokio::test]
    async fn other_panics_are_handed_on() {
        let caught = caught(async { panic!("a bug") }).await;
        let panic = caught.map(|()| "none").unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"a bug"));
    }

    #[test]
    fn decoders_are_known_by_the_folders_of_their_crates() {
        for (file, expected) in [
            ("/home/a/registry/parquet-59.3.2/src/column/reader.rs", true),
            ("C:\\vendor\\arrow-array-59.3.2\\src\\array.rs", true),
            ("src/lake/writer/mod.rs", false),
            ("/home/arrow-head/auroratrail/src/lib.rs", false),
            (
                "/home/a/registry/datafusion-datasource-parquet-55.2.0/src/opener.rs",
                false,
            ),
        ] {
            assert_eq!(is_of_decoder(file), expected, "{file}");
        }
    }
}
