use std::fmt;

use crate::embedded::bytes::hash_name;
use crate::{IndexStream, RecordedEvent, StreamId};

/// What events are listed under, each with a number of its own that counts from 0: their stream,
/// their category, their type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum List {
    /// The numbers are revisions.
    Stream(StreamId),
    /// The numbers are ordinals. With its name in index files.
    Index(IndexStream, Box<str>),
}

impl List {
    /// Its name in index files. No stream's name has control characters.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Stream(stream) => stream.as_str(),
            Self::Index(_, name) => name,
        }
    }

    /// Whether a name in an index file is that of a stream.
    pub(crate) fn is_stream(name: &str) -> bool {
        !name.starts_with(['\u{1}', '\u{2}'])
    }

    /// The event type that a name in an index file stands for, if it does for one.
    pub(crate) fn event_type(name: &str) -> Option<&str> {
        name.strip_prefix('\u{2}')
    }

    /// Whether an event is one of its own.
    pub(crate) fn lists(&self, event: &RecordedEvent) -> bool {
        match self {
            Self::Stream(stream) => event.stream == *stream,
            Self::Index(index, _) => index.lists(&event.stream, &event.kind),
        }
    }

    /// The hash of its name.
    pub(crate) fn hash(&self) -> u64 {
        hash_name(self.name())
    }

    /// The bits of its name's hash that index files know.
    pub(crate) fn key(&self) -> u64 {
        key(self.hash())
    }
}

/// The bits of a hash that index files know: 40.
pub(crate) fn key(hash: u64) -> u64 {
    hash >> 24
}

impl From<StreamId> for List {
    fn from(stream: StreamId) -> Self {
        Self::Stream(stream)
    }
}

impl From<IndexStream> for List {
    fn from(index: IndexStream) -> Self {
        let name = match &index {
            IndexStream::Category(category) => format!("\u{1}{category}"),
            IndexStream::EventType(kind) => format!("\u{2}{kind}"),
        };
        Self::Index(index, name.into())
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(stream) => stream.fmt(f),
            Self::Index(index, _) => index.fmt(f),
        }
    }
}
