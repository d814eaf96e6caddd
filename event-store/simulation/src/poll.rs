//! Futures and streams asked once, without a runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::{Stream, StreamExt};

/// Remembers that it was woken.
#[derive(Debug, Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a stream gives now, unless it waits for something. One that only lets others go
/// first, and says at once that it can go on, is asked again.
pub(crate) fn next<S: Stream + Unpin>(stream: &mut S) -> Poll<Option<S::Item>> {
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(Arc::clone(&flag));
    loop {
        match stream.poll_next_unpin(&mut Context::from_waker(&waker)) {
            Poll::Ready(item) => return Poll::Ready(item),
            Poll::Pending if flag.0.swap(false, Ordering::Relaxed) => {}
            Poll::Pending => return Poll::Pending,
        }
    }
}
