//! What is measured: something that takes appends, and most of them give events back.

use std::future::Future;

use daybook_event_store::{AppendError, Appended, Expected, NewEvent, StreamId};
use uuid::Uuid;

/// Takes appends: all events of one or none, durable when it returns.
pub trait Appends: Send + Sync + 'static {
    /// As [`daybook_event_store::EventStore::append`].
    fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> impl Future<Output = Result<Appended, AppendError>> + Send;

    /// The process that does the work, where it is not this one: its processor time counts, too.
    fn server(&self) -> Option<u32> {
        None
    }
}

/// A whole event store.
pub trait Engine: Appends {
    /// What reads from it.
    type Reader: Reader;

    /// A reader for one task.
    fn reader(&self) -> anyhow::Result<Self::Reader>;
}

/// Reads what is durable.
pub trait Reader: Send + 'static {
    /// Shows all selected events to `visit`, oldest first.
    fn read(
        &mut self,
        select: Select<'_>,
        visit: impl FnMut(View<'_>) + Send,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Which events to read.
#[derive(Debug, Clone, Copy)]
pub enum Select<'a> {
    /// All, in the order of the store.
    All,
    /// Those of a stream.
    Stream(&'a StreamId),
    /// Those of a category's streams, in the order of the store.
    Category(&'a str),
}

/// An event, for as long as the engine lends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View<'a> {
    /// Its stream.
    pub stream: &'a str,
    /// Its place in the stream.
    pub revision: u64,
    /// Its place in the store.
    pub position: u64,
    /// When it was recorded, in microseconds since 1970-01-01T00:00:00Z.
    pub recorded_at: i64,
    /// Its id.
    pub id: Uuid,
    /// Its type.
    pub kind: &'a str,
    /// The payload.
    pub data: &'a [u8],
    /// What is said about the payload.
    pub metadata: &'a [u8],
}
