use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use thiserror::Error;
use uuid::Uuid;

use crate::{IndexStream, Recorded, StreamId, StreamMetadata, StreamWrite, Violation};

/// The place of an event in its stream; the first is 0, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// The first event.
    pub const START: Self = Self(0);
    /// Past every event: where a backward read of a whole stream begins.
    pub const END: Self = Self(u64::MAX);
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of an event among all events of the store. Strictly increasing and stable; what
/// lies between two positions is not to be counted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An event of an index stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its place in the index stream, which never changes.
    pub ordinal: Revision,
    /// The event, with its own stream and revision.
    pub event: Recorded,
}

/// What a writer believes of a stream's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Any,
    /// The stream has no event, or was deleted.
    NoStream,
    /// The stream has at least one event, and was not deleted since the last.
    StreamExists,
    /// The stream's last event has this revision, whether or not it can still be read.
    At(Revision),
}

impl Expected {
    /// Whether it is so of a stream with this last revision (`None` where there is no event) that
    /// was deleted since, or was not.
    pub fn holds(self, last: Option<Revision>, deleted: bool) -> bool {
        match self {
            Self::Any => true,
            Self::NoStream => last.is_none() || deleted,
            Self::StreamExists => last.is_some() && !deleted,
            Self::At(revision) => last == Some(revision),
        }
    }
}

/// An event to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Identifies the event in its stream for all time: appending it there again appends nothing.
    /// In another stream, the same id is that of another event.
    pub id: Uuid,
    /// The event's type, 1 to 255 bytes.
    pub kind: Arc<str>,
    /// The payload.
    pub data: Bytes,
    /// What is to be said about the payload.
    pub metadata: Bytes,
    /// Whether the payload is JSON, as readers are told; the store does not look. Over
    /// EventStoreDB's protocol it is not said of what is not even UTF-8.
    pub is_json: bool,
}

/// Where an append ended up. For a repeated append, where it ended up the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The revision of its last event.
    pub revision: Revision,
    /// The position of its last event.
    pub position: Position,
}

/// Which way to read a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first.
    Backward,
}

/// Which events of the store to deliver. Empty lists let everything through; both must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// Categories of streams.
    pub categories: Vec<Arc<str>>,
    /// Event types.
    pub kinds: Vec<Arc<str>>,
}

impl Filter {
    /// Lets everything through.
    pub fn all() -> Self {
        Self::default()
    }

    /// Lets events of these categories through.
    pub fn categories(categories: &[&str]) -> Self {
        Self { categories: categories.iter().map(|&c| c.into()).collect(), kinds: Vec::new() }
    }

    /// Lets events of these types through.
    pub fn kinds(kinds: &[&str]) -> Self {
        Self { categories: Vec::new(), kinds: kinds.iter().map(|&k| k.into()).collect() }
    }

    /// Whether an event of this stream and type is let through.
    pub fn matches(&self, stream: &str, kind: &str) -> bool {
        let of = |category: &str| self.categories.iter().any(|wanted| **wanted == *category);
        (self.categories.is_empty() || of(stream.split_once('-').map_or("", |(of, _)| of)))
            && (self.kinds.is_empty() || self.kinds.iter().any(|k| &**k == kind))
    }
}

/// What a tail delivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tailed {
    /// An event that matches.
    Event(Recorded),
    /// Every matching event up to this position has been delivered. Comes whenever the tail has
    /// caught up with the store (at once where it starts at the head, but with the first event
    /// where the store is empty), and now and then over long stretches without a match.
    CaughtUp(Position),
}

/// The most that one append may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of payload and metadata of one event.
    pub event_bytes: usize,
    /// Bytes of payload and metadata of all events of one append.
    pub append_bytes: usize,
    /// Events of one append.
    pub append_events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Limits {
    /// Those of a store for which nothing else is said.
    pub const DEFAULT: Self =
        Self { event_bytes: 1 << 20, append_bytes: 16 << 20, append_events: 10_000 };

    /// Checks the sizes of an append.
    ///
    /// # Errors
    /// [`AppendError::Size`] names the first size that is out of range.
    pub fn check(&self, writes: &[StreamWrite]) -> Result<(), AppendError> {
        let within = |what, min, max, actual| {
            if (min..=max).contains(&actual) {
                Ok(())
            } else {
                Err(AppendError::Size { what, min, max, actual })
            }
        };
        within("the number of streams in one append", 1, self.append_events, writes.len())?;
        within("the number of writes to one stream in one append", 1, 1, most_writes(writes))?;
        let (mut events, mut bytes) = (0, 0);
        for write in writes {
            within("the number of events for a stream", 1, self.append_events, write.events.len())?;
            events += write.events.len();
            for event in &write.events {
                let size = event.data.len() + event.metadata.len();
                within("bytes of an event's type", 1, 255, event.kind.len())?;
                within("bytes of an event", 0, self.event_bytes, size)?;
                bytes += size;
            }
        }
        within("the number of events in one append", 1, self.append_events, events)?;
        within("bytes of one append", 0, self.append_bytes, bytes)
    }
}

/// How often the most named stream is named.
fn most_writes(writes: &[StreamWrite]) -> usize {
    let mut names: Vec<_> = writes.iter().map(|write| write.stream.as_str()).collect();
    names.sort_unstable();
    names.chunk_by(|a, b| a == b).map(<[_]>::len).max().unwrap_or_default()
}

/// Why nothing was appended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AppendError {
    /// Somebody else was first, or the writer was wrong about the stream.
    #[error("stream {stream} is at revision {actual:?}, not as expected: {expected:?}")]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// What the writer believed.
        expected: Expected,
        /// Its last revision; `None` where it has no event.
        actual: Option<Revision>,
    },
    /// Checks of a transaction do not hold.
    #[error("{} of the transaction's checks do not hold", violations.len())]
    Violated {
        /// All of these, in their order.
        violations: Vec<Violation>,
    },
    /// The stream was tombstoned: nothing can be appended to it ever again.
    #[error("stream {stream} has been deleted for good")]
    Deleted {
        /// The stream.
        stream: StreamId,
    },
    /// The store keeps this stream, or this type of event, for itself.
    #[error("stream {stream} cannot be written to like this: {reason}")]
    Reserved {
        /// The stream.
        stream: StreamId,
        /// What is to be done instead.
        reason: &'static str,
    },
    /// Some of the event ids are in the stream already, but not as this very append.
    #[error("event id {id} was used before by another append to the stream")]
    IdReused {
        /// The id.
        id: Uuid,
    },
    /// The append, or an event of it, is empty or over a limit.
    #[error("{what} must be {min} to {max}, not {actual}")]
    Size {
        /// What was measured.
        what: &'static str,
        /// The least.
        min: usize,
        /// The most.
        max: usize,
        /// As given.
        actual: usize,
    },
    /// The store cannot write now and may again later, such as when its disk is full. Nothing was
    /// appended.
    #[error("the store cannot write: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// The store did not answer, and whether the events were appended is not known. Repeat the
    /// append: its event ids tell.
    #[error("whether the events were appended is not known: {reason}")]
    Uncertain {
        /// Why.
        reason: String,
    },
    /// The store stopped for good (an fsync failed, or it was closed); whether this append is
    /// durable is not known. Open it again, then repeat the append: its event ids tell.
    #[error("the store has stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
}

impl AppendError {
    /// Nothing can be said of this stream.
    pub(crate) fn metadata_of_metadata(stream: StreamId) -> Self {
        Self::Reserved { stream, reason: "a metadata stream has no metadata of its own" }
    }
}

/// Why events could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The stream was tombstoned: none of its events can be read ever again.
    #[error("stream {stream} has been deleted for good")]
    Deleted {
        /// The stream.
        stream: StreamId,
    },
    /// What is on disk is not what was written.
    #[error("the store is damaged at {place}: {reason}")]
    Damaged {
        /// Where.
        place: String,
        /// What was found.
        reason: String,
    },
    /// Reading failed and may succeed later.
    #[error("the store cannot be read: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
}

/// The port: append, read, tail.
///
/// Adapters are cheap to clone; clones share one store.
///
/// All of this holds for this store's own engines, and for its server over EventStoreDB's protocol.
/// An EventStoreDB or KurrentDB cluster keeps to it, with exceptions on which nothing may depend:
/// - A repeated append is known by the revision that it expects, or by [`Expected::NoStream`]. With
///   another expectation than the first time it may be a conflict, and with [`Expected::Any`] or
///   [`Expected::StreamExists`] the cluster does its best. Ids that are known in part may be
///   appended.
/// - Index streams are written by projections of the cluster, where these run: what was appended is
///   listed a little later.
/// - A stream that never had an event can be deleted, and one that is deleted again.
/// - Only positions of events can be read from.
/// - The time of events may go back with a node's clock.
/// - The cluster's own events are among all events.
pub trait EventStore: Clone + Send + Sync + 'static {
    /// Appends events to a stream: all or none, durable when it returns.
    ///
    /// Where all of the events' ids are in this stream already, one after another, nothing is
    /// appended and the earlier result is returned, whatever is expected and whatever became of
    /// the stream since. Where only some of them are, or in another order, or one comes twice in
    /// the append: [`AppendError::IdReused`].
    ///
    /// A stream that was [deleted](Self::delete) begins anew: its revisions go on, and what it had
    /// before stays hidden.
    ///
    /// A metadata stream takes events of the type [`StreamMetadata::KIND`] and no others; each does
    /// what [`set_metadata`](Self::set_metadata) does. Names that begin with `$ce-` or `$et-` and
    /// the type `$streamDeleted` are the store's own.
    ///
    /// An append whose future is dropped may still take place.
    fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> impl Future<Output = Result<Appended, AppendError>> + Send;

    /// Reads a stream from a revision on (inclusive), as it stands now. A stream without events
    /// reads as empty, and so does a deleted one; of a stream with bounds, the events that these
    /// exclude are left out, even if that became so during the read.
    ///
    /// # Errors
    /// [`ReadError::Deleted`] for a tombstoned stream and its metadata.
    fn read(
        &self,
        stream: &StreamId,
        from: Revision,
        direction: Direction,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static;

    /// The last event of a stream that can be read; `None` where there is none.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    fn read_last(
        &self,
        stream: &StreamId,
    ) -> impl Future<Output = Result<Option<Recorded>, ReadError>> + Send {
        let events = self.read(stream, Revision::END, Direction::Backward);
        async move { pin!(events).try_next().await }
    }

    /// Reads an index stream from an ordinal on (inclusive), as it stands now. One without events
    /// reads as empty.
    fn read_index(
        &self,
        index: &IndexStream,
        from: Revision,
        direction: Direction,
    ) -> impl Stream<Item = Result<Listed, ReadError>> + Send + 'static;

    /// Reads all matching events after a position, oldest first, up to the end as it stands now.
    /// Events that their stream's readers do not see any more may be among them.
    fn read_all(
        &self,
        after: Option<Position>,
        filter: Filter,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static;

    /// Reads all events before a position (exclusive; all of them, where none is given), newest
    /// first, as they stand now. Events that their stream's readers do not see any more may be
    /// among them.
    fn read_all_backward(
        &self,
        before: Option<Position>,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static;

    /// Follows all matching events after a position: those that are there, then those that come,
    /// each once and in order. Ends only with the store. After a position past the head it waits
    /// for the head to pass it.
    fn tail(
        &self,
        after: Option<Position>,
        filter: Filter,
    ) -> impl Stream<Item = Result<Tailed, ReadError>> + Send + 'static;

    /// The position of the last event; `None` where there is none.
    fn head(&self) -> impl Future<Output = Result<Option<Position>, ReadError>> + Send;

    /// Deletes a stream: it reads as empty from now on, and an append to it begins it anew. Its
    /// metadata stays, with [`StreamMetadata::DELETED`] for its truncation; the result is the place
    /// of that event in the metadata stream. Of a stream that is deleted already, it is the place
    /// of the deletion.
    ///
    /// # Errors
    /// [`AppendError::Conflict`] also where the stream never had an event, whatever is expected.
    fn delete(
        &self,
        stream: &StreamId,
        expected: Expected,
    ) -> impl Future<Output = Result<Appended, AppendError>> + Send;

    /// Ends a stream for good, whether or not it has events: it cannot be read or appended to ever
    /// again. The result is the place of the tombstone, an event of the type `$streamDeleted`, in
    /// the stream. Over EventStoreDB's protocol its revision is [`StreamMetadata::DELETED`], the
    /// greatest that there is, whatever the stream's last was.
    ///
    /// # Errors
    /// [`AppendError::Deleted`] where that was done before.
    fn tombstone(
        &self,
        stream: &StreamId,
        expected: Expected,
    ) -> impl Future<Output = Result<Appended, AppendError>> + Send;

    /// What was said last of a stream as a whole, and the revision of that in the metadata stream;
    /// `None` where nothing was. Malformed metadata says nothing.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    fn metadata(
        &self,
        stream: &StreamId,
    ) -> impl Future<Output = Result<Option<(StreamMetadata, Revision)>, ReadError>> + Send {
        async move {
            let Some(stream) = stream.metadata_stream() else { return Ok(None) };
            let Some(last) = self.read_last(&stream).await? else { return Ok(None) };
            let metadata = StreamMetadata::decode(&last.data).unwrap_or_default();
            Ok(Some((metadata, last.revision)))
        }
    }

    /// Says something of a stream as a whole, in place of all that was said before. The stream need
    /// not have events. What is expected is the revision of the metadata.
    ///
    /// The id is that of the event in the metadata stream; repeated, it changes nothing.
    ///
    /// # Errors
    /// Those of [`append`](Self::append).
    fn set_metadata(
        &self,
        stream: &StreamId,
        expected: Expected,
        metadata: &StreamMetadata,
        event_id: Uuid,
    ) -> impl Future<Output = Result<Appended, AppendError>> + Send {
        let event = NewEvent {
            id: event_id,
            kind: StreamMetadata::KIND.into(),
            data: metadata.encode().into(),
            metadata: Bytes::new(),
            is_json: true,
        };
        let stream = stream.metadata_stream().ok_or_else(|| stream.clone());
        async move {
            let stream = stream.map_err(AppendError::metadata_of_metadata)?;
            self.append(&stream, expected, vec![event]).await
        }
    }
}
