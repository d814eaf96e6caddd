//! What goes through a group: its messages, what is said of them, and what is to be done.

use std::time::Duration;

use uuid::Uuid;

#[cfg(doc)]
use super::Machine;
use super::{ConsumerId, Dispatch};

/// What a group goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) strategy: Dispatch,
    /// How long a consumer has for a message; `None` where it has for ever.
    pub(crate) timeout: Option<Duration>,
    /// How often a message is retried before it is parked.
    pub(crate) max_retries: u32,
    /// How many events may wait while the group follows live, and while it catches up.
    pub(crate) live_buffer: usize,
    pub(crate) history_buffer: usize,
    /// How much room there must be for more to be read while it catches up.
    pub(crate) read_batch: usize,
    /// How many messages are done before there is a checkpoint after [`checkpoint_after`], and
    /// before there is one at once.
    ///
    /// [`checkpoint_after`]: Self::checkpoint_after
    pub(crate) min_checkpoint: u64,
    pub(crate) max_checkpoint: u64,
    pub(crate) checkpoint_after: Duration,
    /// The most consumers; `None` where there is no limit.
    pub(crate) max_consumers: Option<usize>,
}

/// Where a message comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// The place of an event in the group's stream, or of all events.
    Source(u64),
    /// The revision of a parked message, which is replayed.
    Parked(u64),
}

/// An event on its way to a consumer.
#[derive(Debug, Clone)]
pub(crate) struct Message<E> {
    pub(crate) place: Place,
    /// What consumers acknowledge.
    pub(crate) id: Uuid,
    /// What it is pinned by.
    pub(crate) key: u64,
    /// The memory that it takes.
    pub(crate) bytes: usize,
    pub(crate) event: E,
}

/// What a consumer says of a message that it could not process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nack {
    Park,
    Retry,
    Skip,
    Stop,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub(crate) enum Action<E> {
    /// Send a message, with how often it was sent before.
    Send {
        to: ConsumerId,
        event: E,
        retries: u32,
    },
    /// End a consumer's connection.
    Drop(ConsumerId),
    Write(Write<E>),
}

/// What is to be written down.
#[derive(Debug, Clone)]
pub(crate) enum Write<E> {
    /// Park a message; then call [`Machine::parked`].
    Park { place: Place, event: E, reason: String },
    /// Save that everything up to here is done; then call [`Machine::checkpointed`].
    Checkpoint(u64),
    /// Forget parked messages up to here; then call [`Machine::truncated`].
    Truncate(u64),
}
