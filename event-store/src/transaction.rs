//! Appends to several streams at once, and what they may depend on.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::iter::repeat_n;

use crate::{AppendError, Appended, EventStore, Expected, NewEvent, Revision, StreamId};

/// One stream's share of an atomic append over several streams.
#[derive(Debug, Clone)]
pub struct StreamWrite {
    /// Where to.
    pub stream: StreamId,
    /// What the writer believes of the stream's end.
    pub expected: Expected,
    /// What to append; at least one event.
    pub events: Vec<NewEvent>,
}

/// What a transaction takes to be so of a stream, whether or not it appends to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamCheck {
    /// The stream. One that was tombstoned is never as expected, not even as [`Expected::Any`].
    pub stream: StreamId,
    /// What it is taken to be before the transaction.
    pub expected: Expected,
}

/// A check that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// Which of the transaction's checks; the first is 0.
    pub check: usize,
    /// What the stream is.
    pub actual: StreamState,
}

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamState {
    /// It never had an event.
    NoStream,
    /// With this revision. A deleted stream's last is told where a revision was expected.
    At(Revision),
    /// It was deleted.
    Deleted,
    /// It was tombstoned.
    Tombstoned,
}

/// What is appended to several streams, all or none, and what must be so for that.
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    checks: Vec<StreamCheck>,
    writes: Vec<StreamWrite>,
    /// The write of each event, in the order in which the events come to stand. Empty where they
    /// come write by write.
    order: Vec<usize>,
}

impl From<Vec<StreamWrite>> for Transaction {
    /// Write by write.
    fn from(writes: Vec<StreamWrite>) -> Self {
        Self { checks: Vec::new(), writes, order: Vec::new() }
    }
}

impl Transaction {
    /// Of events with their streams, in the order in which they are to stand in the store. It
    /// expects nothing of the streams: that is said by checks. Each stream's write comes where the
    /// stream is first named.
    pub fn of_events(events: impl IntoIterator<Item = (StreamId, NewEvent)>) -> Self {
        let (mut transaction, mut named) = (Self::default(), HashMap::new());
        for (stream, event) in events {
            let next = transaction.writes.len();
            let at = match named.entry(stream) {
                Entry::Occupied(named) => *named.get(),
                Entry::Vacant(new) => {
                    let (stream, expected) = (new.key().clone(), Expected::Any);
                    transaction.writes.push(StreamWrite { stream, expected, events: Vec::new() });
                    *new.insert(next)
                }
            };
            transaction.writes[at].events.push(event);
            transaction.order.push(at);
        }
        transaction
    }

    /// The same, if all of this is so.
    #[must_use]
    pub fn checked(self, checks: Vec<StreamCheck>) -> Self {
        Self { checks, ..self }
    }

    /// What must be so.
    pub fn checks(&self) -> &[StreamCheck] {
        &self.checks
    }

    /// What it appends, each stream once.
    pub fn writes(&self) -> &[StreamWrite] {
        &self.writes
    }

    /// The stream of each event, in the order in which the events come to stand.
    pub fn order(&self) -> Vec<&StreamId> {
        if self.order.is_empty() {
            let times = |write: &StreamWrite| write.events.len();
            return self.writes.iter().flat_map(|w| repeat_n(&w.stream, times(w))).collect();
        }
        self.order.iter().map(|at| &self.writes[*at].stream).collect()
    }

    /// The checks, the writes, and the [order](Self::order) by the writes' indexes.
    pub(crate) fn into_parts(self) -> (Vec<StreamCheck>, Vec<StreamWrite>, Vec<usize>) {
        (self.checks, self.writes, self.order)
    }
}

/// Stores that can append to several streams at once. Only newer versions of EventStoreDB can, and
/// not through its client for Rust: over its protocol, an append to more than one stream, or one
/// with checks, is refused ([`AppendError::Size`]). Nothing of the platform depends on it.
pub trait AtomicAppend: EventStore {
    /// Appends to several streams: all or none, durable when it returns, and contiguous in the
    /// store's order. Each stream may be named once. Repeated as a whole it appends nothing and
    /// returns the earlier results, whatever is checked.
    ///
    /// The results are in the order of [`writes`](Transaction::writes).
    ///
    /// # Errors
    /// Those of [`append`](EventStore::append), and [`AppendError::Violated`] with all checks that
    /// do not hold, before anything that is wrong with a write's own expectation.
    fn commit(
        &self,
        transaction: Transaction,
    ) -> impl Future<Output = Result<Vec<Appended>, AppendError>> + Send;

    /// A [transaction](Self::commit) without checks, write by write.
    fn append_all(
        &self,
        writes: Vec<StreamWrite>,
    ) -> impl Future<Output = Result<Vec<Appended>, AppendError>> + Send {
        self.commit(writes.into())
    }
}
