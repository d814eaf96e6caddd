//! The memory that calls hold for what clients sent or are sent: a little each for nothing, and
//! more out of a budget that all calls share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::Extensions;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

/// The bytes that a call may hold for nothing.
pub(crate) const FREE: usize = 64 << 10;

/// Bytes that all calls share.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    left: Arc<Semaphore>,
    most: usize,
}

impl Budget {
    pub(crate) fn new(most: usize) -> Self {
        Self { left: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))), most }
    }

    /// What one call may hold.
    pub(crate) fn share(&self) -> Share {
        Share { left: Arc::clone(&self.left), free: Arc::new(AtomicUsize::new(FREE)) }
    }

    /// The bytes that calls hold of it.
    pub(crate) fn held(&self) -> usize {
        self.most.saturating_sub(self.left.available_permits())
    }
}

/// What one call may hold. Its clones are of the same call.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    left: Arc<Semaphore>,
    free: Arc<AtomicUsize>,
}

impl Share {
    /// The share of the call with these extensions; what is free for one that has none.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or_else(|| Budget::new(0).share())
    }

    /// Nothing yet, for more to come.
    pub(crate) fn nothing(&self) -> Held {
        Held { share: self.clone(), free: 0, rest: None }
    }

    fn take_free(&self, bytes: usize) -> usize {
        let less = |free: usize| Some(free.saturating_sub(bytes));
        let before = self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        before.unwrap_or_else(|before| before).min(bytes)
    }
}

/// Bytes that a call holds until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    share: Share,
    /// Of what is free for the call.
    free: usize,
    /// Of what all calls share.
    rest: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// Holds more.
    ///
    /// # Errors
    /// All calls together hold too much.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Status> {
        let free = self.share.take_free(bytes);
        self.free += free;
        let grown = if free == bytes { Ok(()) } else { self.grow_shared(bytes - free) };
        if grown.is_err() {
            self.shrink_free(free);
        }
        grown
    }

    fn grow_shared(&mut self, bytes: usize) -> Result<(), Status> {
        let bytes = u32::try_from(bytes).map_err(|_| exhausted())?;
        let more = Arc::clone(&self.share.left).try_acquire_many_owned(bytes);
        let more = more.map_err(|_| exhausted())?;
        match &mut self.rest {
            Some(rest) => rest.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }

    /// Holds less; what others can use first.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let held = self.rest.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let shared = bytes.min(held);
        if let Some(rest) = &mut self.rest {
            drop(rest.split(shared));
        }
        self.shrink_free((bytes - shared).min(self.free));
    }

    fn shrink_free(&mut self, bytes: usize) {
        self.free -= bytes;
        self.share.free.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.share.free.fetch_add(self.free, Ordering::Relaxed);
    }
}

fn exhausted() -> Status {
    let why = "calls hold too much memory: try again later, or with less in one message";
    Status::resource_exhausted(why)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tonic::Code;

    use super::*;

    #[test]
    fn a_little_is_free_while_all_together_hold_too_much() {
        let budget = Budget::new(1_000);
        let (greedy, modest) = (budget.share(), budget.share());
        let mut held = greedy.nothing();
        held.grow(FREE + 1_000).unwrap();

        assert_eq!(modest.nothing().grow(FREE + 1).unwrap_err().code(), Code::ResourceExhausted);
        modest.nothing().grow(FREE).unwrap();
        let mut refused = modest.nothing();
        refused.grow(FREE + 1).unwrap_err();
        modest.nothing().grow(FREE).unwrap();
        drop(held);

        modest.nothing().grow(FREE + 1_000).unwrap();
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn what_is_free_is_so_once_for_a_call() {
        let share = Budget::new(0).share();
        let mut first = share.nothing();
        first.grow(FREE).unwrap();

        assert!(share.nothing().grow(1).is_err());
        first.shrink(1);

        share.clone().nothing().grow(1).unwrap();
    }

    proptest! {
        #[test]
        fn everything_comes_back(
            steps in prop::collection::vec((0..3_usize, any::<bool>(), 0..100_000_usize), 0..60)
        ) {
            let budget = Budget::new(200_000);
            let share = budget.share();
            let mut held: Vec<_> = (0..3).map(|_| share.nothing()).collect();
            for (which, more, bytes) in steps {
                if more {
                    let _ = held[which].grow(bytes);
                } else {
                    held[which].shrink(bytes);
                }
                prop_assert!(budget.held() <= 200_000);
                prop_assert!(held.iter().map(|held| held.free).sum::<usize>() <= FREE);
            }
            drop(held);
            prop_assert_eq!((budget.held(), share.free.load(Ordering::Relaxed)), (0, FREE));
        }
    }
}
