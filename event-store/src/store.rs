use futures::Stream;
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::{
    AppendError, Appended, AtomicAppend, Direction, EventStore, Expected, Filter, MemoryStore,
    NewEvent, Position, ReadError, Recorded, Revision, StreamId, StreamWrite, Tailed,
};

/// The adapter that was chosen when the program was put together.
#[derive(Clone, Debug)]
pub enum Store {
    /// Everything in memory, gone with the process.
    Memory(MemoryStore),
}

impl Store {
    /// A new, empty store in memory.
    pub fn memory() -> Self {
        Self::Memory(MemoryStore::default())
    }
}

impl EventStore for Store {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        match self {
            Self::Memory(store) => store.append(stream, expected, events).await,
        }
    }

    fn read(
        &self,
        stream: &StreamId,
        from: Revision,
        direction: Direction,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        let events: BoxStream<'static, _> = match self {
            Self::Memory(store) => store.read(stream, from, direction).boxed(),
        };
        events
    }

    fn read_all(
        &self,
        after: Option<Position>,
        filter: Filter,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        let events: BoxStream<'static, _> = match self {
            Self::Memory(store) => store.read_all(after, filter).boxed(),
        };
        events
    }

    fn tail(
        &self,
        after: Option<Position>,
        filter: Filter,
    ) -> impl Stream<Item = Result<Tailed, ReadError>> + Send + 'static {
        let events: BoxStream<'static, _> = match self {
            Self::Memory(store) => store.tail(after, filter).boxed(),
        };
        events
    }

    async fn head(&self) -> Result<Option<Position>, ReadError> {
        match self {
            Self::Memory(store) => store.head().await,
        }
    }
}

impl AtomicAppend for Store {
    async fn append_all(&self, writes: Vec<StreamWrite>) -> Result<Vec<Appended>, AppendError> {
        match self {
            Self::Memory(store) => store.append_all(writes).await,
        }
    }
}
