use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A store and the clock that it goes by.
pub(crate) struct Timed<S> {
    pub(crate) store: S,
    pub(crate) clock: Clock,
}

/// A clock that goes when it is told to. Clones are one clock.
#[derive(Clone, Debug)]
pub(crate) struct Clock(Arc<AtomicI64>);

impl Clock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(2_000_000_000_000_000)))
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub(crate) fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}
