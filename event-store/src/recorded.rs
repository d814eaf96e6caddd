use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::{NewEvent, Position, Revision, StreamId};

/// What the store has of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Its stream.
    pub stream: StreamId,
    /// Its place in the stream.
    pub revision: Revision,
    /// Its place in the store.
    pub position: Position,
    /// When the store took it: microseconds since 1970-01-01T00:00:00Z. Never decreases with the
    /// position, even if the clock does.
    pub recorded_at: i64,
    /// Its id.
    pub id: Uuid,
    /// Its type.
    pub kind: Arc<str>,
    /// The payload.
    pub data: Bytes,
    /// What was said about the payload.
    pub metadata: Bytes,
    /// Whether the payload is said to be JSON.
    pub is_json: bool,
}

impl RecordedEvent {
    /// A new event at its place in a stream and in the store.
    pub fn from_new(
        event: NewEvent,
        stream: StreamId,
        revision: Revision,
        position: Position,
        recorded_at: i64,
    ) -> Self {
        let NewEvent { id, kind, data, metadata, is_json } = event;
        Self { stream, revision, position, recorded_at, id, kind, data, metadata, is_json }
    }

    /// The same event, to be appended elsewhere.
    pub fn to_new(&self) -> NewEvent {
        NewEvent {
            id: self.id,
            kind: Arc::clone(&self.kind),
            data: self.data.clone(),
            metadata: self.metadata.clone(),
            is_json: self.is_json,
        }
    }
}

/// An event as it stands in the store: a [`RecordedEvent`] that is shared.
///
/// It is a place in a list of events that were written or read together, so that a reader is
/// given it, clones it and drops it for one count, whatever it holds; it keeps all of them in memory.
#[derive(Clone)]
pub struct Recorded {
    events: Arc<[RecordedEvent]>,
    at: usize,
}

impl Recorded {
    /// One of some events; `None` where there are not so many.
    pub fn of(events: &Arc<[RecordedEvent]>, at: usize) -> Option<Self> {
        (at < events.len()).then(|| Self { events: Arc::clone(events), at })
    }
}

impl Deref for Recorded {
    type Target = RecordedEvent;

    fn deref(&self) -> &RecordedEvent {
        &self.events[self.at]
    }
}

impl From<RecordedEvent> for Recorded {
    fn from(event: RecordedEvent) -> Self {
        Self { events: Arc::new([event]), at: 0 }
    }
}

impl PartialEq for Recorded {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Recorded {}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
