//! What groups hold: a little each, and beyond that no more than all of them may together.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::watch;
use tonic::Status;

use crate::budget::{Budget, FREE, Held, Share};
use crate::streams::EventFilter;

/// What all groups of a server hold.
#[derive(Debug, Clone)]
pub(crate) struct GroupsMemory {
    budget: Budget,
    /// Told when a group was refused more.
    short: Arc<watch::Sender<()>>,
}

impl GroupsMemory {
    /// Of so many bytes at most, beside what is free for each group.
    pub(crate) fn new(most: usize) -> Self {
        Self { budget: Budget::new(most), short: Arc::default() }
    }

    /// The bytes that groups hold of it.
    pub(crate) fn held(&self) -> usize {
        self.budget.held()
    }

    /// What one group holds: nothing yet.
    pub(super) fn of_group(&self) -> Memory {
        let (share, noticed) = (self.budget.share(), self.short.subscribe());
        let short = Arc::clone(&self.short);
        Memory { events: share.nothing(), share, bytes: 0, short, noticed }
    }
}

/// What one group holds.
#[derive(Debug)]
pub(super) struct Memory {
    share: Share,
    events: Held,
    /// The bytes of its events.
    bytes: usize,
    short: Arc<watch::Sender<()>>,
    noticed: watch::Receiver<()>,
}

impl Memory {
    /// Holds events of so many bytes more.
    ///
    /// # Errors
    /// All groups together hold too much.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Status> {
        self.events.grow(bytes).map_err(|_| self.exhausted())?;
        self.bytes += bytes;
        Ok(())
    }

    /// Holds events of so many bytes, and no more.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        self.events.shrink(self.bytes.saturating_sub(bytes));
        self.bytes = self.bytes.min(bytes);
    }

    /// Holds a filter as long as it is there.
    ///
    /// # Errors
    /// All groups together hold too much.
    pub(super) fn hold(&self, filter: &mut EventFilter) -> Result<(), Status> {
        filter.hold(&self.share).map_err(|_| self.exhausted())
    }

    /// Whether its events take more than is free.
    pub(super) fn is_shared(&self) -> bool {
        self.bytes > FREE
    }

    /// Done when a group was refused more since this was last done.
    pub(super) async fn runs_short(&mut self) {
        if self.noticed.changed().await.is_err() {
            pending::<()>().await;
        }
    }

    fn exhausted(&self) -> Status {
        self.short.send_replace(());
        let why =
            "persistent subscriptions hold too much memory: try again later, or acknowledge sooner";
        Status::resource_exhausted(why)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tonic::Code;

    use super::*;

    #[test]
    fn a_little_is_free_for_each_group() {
        let groups = GroupsMemory::new(1_000);
        let (mut greedy, mut modest) = (groups.of_group(), groups.of_group());
        greedy.grow(FREE + 1_000).unwrap();

        assert_eq!(modest.grow(FREE + 1).unwrap_err().code(), Code::ResourceExhausted);
        modest.grow(FREE).unwrap();
        assert_eq!((groups.held(), greedy.is_shared(), modest.is_shared()), (1_000, true, false));

        greedy.shrink_to(FREE);
        modest.grow(1_000).unwrap();
        drop(modest);
        assert_eq!(groups.held(), 0);
    }

    #[test]
    fn who_is_refused_tells_all_others() {
        let groups = GroupsMemory::new(0);
        let (mut one, mut other) = (groups.of_group(), groups.of_group());
        assert_eq!(other.runs_short().now_or_never(), None);

        one.grow(FREE + 1).unwrap_err();

        assert_eq!(other.runs_short().now_or_never(), Some(()));
        assert_eq!(other.runs_short().now_or_never(), None, "it is told once");
    }
}
