//! Decoders of other crates, which panic on damage in places.
//!
//! Such a panic is a fault of a file, and not of the program: whoever decodes what may be damaged does so
//! [guarded], and tells of the file. The place that panicked has no message of its own then.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::CatchUnwind;
use futures::stream::unfold;
use futures::{FutureExt, Stream, StreamExt};

/// A decoder panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the decoder failed on damaged metadata")]
pub(crate) struct DecoderPanic;

/// Runs a decoder.
///
/// # Errors
/// If it panics.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> T) -> Result<T, DecoderPanic> {
    let guard = Guard::begin();
    let result = catch_unwind(AssertUnwindSafe(decode));
    drop(guard);
    result.map_err(|_| DecoderPanic)
}

/// Runs a decoder that waits for what it reads; its error is [`DecoderPanic`].
pub(crate) fn guarded_future<F: Future>(decode: F) -> GuardedFuture<F> {
    GuardedFuture(Box::pin(AssertUnwindSafe(decode).catch_unwind()))
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

/// See [`guarded_future`].
pub(crate) struct GuardedFuture<F: Future>(Pin<Box<CatchUnwind<AssertUnwindSafe<F>>>>);

impl<F: Future> Future for GuardedFuture<F> {
    type Output = Result<F::Output, DecoderPanic>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let _guard = Guard::begin();
        let polled = self.0.as_mut().poll(context);
        polled.map_err(|_| DecoderPanic)
    }
}

/// Returns whether a panic is one of a decoder, of which whoever catches it tells: a guarded one, or one in the
/// crates that decode, as the query engine has them in threads of its own.
pub(crate) fn is_of_decoder(panic: &PanicHookInfo<'_>) -> bool {
    let of_crate = |file: &str| {
        let mut folders = file.split(['/', '\\']);
        folders.any(|it| it.starts_with("parquet-") || it.starts_with("arrow-"))
    };
    IS_GUARDED.get() || panic.location().is_some_and(|it| of_crate(it.file()))
}

/// Marks this thread as one that decodes.
struct Guard {
    before: bool,
}

impl Guard {
    fn begin() -> Self {
        Self {
            before: IS_GUARDED.replace(true),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        IS_GUARDED.set(self.before);
    }
}

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
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
            assert!(IS_GUARDED.get());
            panic!("damaged")
        };
        assert_eq!(guarded_future(waits).await, Err::<(), _>(DecoderPanic));
        assert!(!IS_GUARDED.get());
        let items = futures::stream::iter([1, 2, 3]).map(|it| match it {
            3 => panic!("damaged"),
            it => it,
        });
        let items: Vec<_> = guarded_stream(items).collect().await;
        assert_eq!(items, [Ok(1), Ok(2), Err(DecoderPanic)]);
    }
}
