use std::path::Path;

use futures::Stream;
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::{
    AppendError, Appended, AtomicAppend, Direction, EmbeddedOptions, EmbeddedStore, EventStore,
    Expected, Filter, IndexStream, Listed, MemoryStore, NewEvent, OpenError, Position, ReadError,
    Recorded, Revision, StreamId, Tailed, Transaction,
};
#[cfg(feature = "eventstoredb")]
use crate::{EventStoreDb, EventStoreDbOptions, InvalidAddress};

/// The adapter that was chosen when the program was put together.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Store {
    /// Everything in memory, gone with the process.
    Memory(MemoryStore),
    /// The embedded engine: durable, in a folder, for one process.
    Embedded(EmbeddedStore),
    /// An EventStoreDB or KurrentDB cluster, or a server of this store on their protocol.
    #[cfg(feature = "eventstoredb")]
    EventStoreDb(EventStoreDb),
}

impl Store {
    /// A new, empty store in memory.
    pub fn memory() -> Self {
        Self::Memory(MemoryStore::default())
    }

    /// The embedded engine on a folder, opened or made. Blocks while it checks and repairs.
    ///
    /// # Errors
    /// The folder is in use, of a newer format, damaged, not a store, or cannot be accessed.
    pub fn embedded(path: impl AsRef<Path>, options: &EmbeddedOptions) -> Result<Self, OpenError> {
        EmbeddedStore::open(path, options).map(Self::Embedded)
    }

    /// The embedded engine on a folder, to be read only, while somebody else may be writing to it.
    ///
    /// # Errors
    /// The folder is of another format, damaged, not a store, or cannot be accessed.
    pub fn embedded_read_only(
        path: impl AsRef<Path>,
        options: &EmbeddedOptions,
    ) -> Result<Self, OpenError> {
        EmbeddedStore::open_read_only(path, options).map(Self::Embedded)
    }

    /// The store at an address as EventStoreDB's official clients take it. It connects when it is
    /// first used.
    ///
    /// # Errors
    /// The address cannot be understood.
    #[cfg(feature = "eventstoredb")]
    pub fn eventstoredb(address: &str) -> Result<Self, InvalidAddress> {
        EventStoreDb::new(address, &EventStoreDbOptions::default()).map(Self::EventStoreDb)
    }

    /// Takes in what somebody else has written since the store was opened to be read only. Does
    /// nothing to other stores, which are always up to date. Blocks while it reads.
    ///
    /// # Errors
    /// What is new is damaged or cannot be read.
    pub fn refresh(&self) -> Result<(), ReadError> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Embedded(store) => store.refresh(),
            #[cfg(feature = "eventstoredb")]
            Self::EventStoreDb(_) => Ok(()),
        }
    }

    /// Why the store takes no appends any more; `None` while it does.
    pub fn stopped(&self) -> Option<String> {
        match self {
            Self::Memory(_) => None,
            Self::Embedded(store) => store.stopped(),
            #[cfg(feature = "eventstoredb")]
            Self::EventStoreDb(store) => store.stopped(),
        }
    }

    /// Ends the store for all its handles, once what was asked for is durable.
    pub fn close(&self) {
        match self {
            Self::Memory(_) => {}
            Self::Embedded(store) => store.close(),
            #[cfg(feature = "eventstoredb")]
            Self::EventStoreDb(store) => store.close(),
        }
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
            Self::Embedded(store) => store.append(stream, expected, events).await,
            #[cfg(feature = "eventstoredb")]
            Self::EventStoreDb(store) => store.append(stream, expected, events).await,
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
            Self::Embedded(store) => store.read(stream, from, direction).boxed(),
            #[cfg(feature = "eventstoredb")]
            Self::EventStoreDb(store) => store.read(stream, from, direction).boxed(),
        };
        events
    }

    fn read_index(
        &self,
        index: &IndexStream,
        from: Revision,
        direction: Direction,
    ) -> impl Stream<Item = Result<Listed, ReadError>> + Send + 'static {
        let events: BoxStream<'static, _> = match self {
            Self::Memory(store) => store.read_index(index, from, direction).boxed(),
            Self::Embedded(store) => store.read_index(index, from, direction).boxed(),
            #[cfg(feature = "eventstoredb")]
            Self::EventStoreDb(store) => store.read_index(index, from, direction).boxed(),
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
            Self::Embedded(store) => store.read_all(after, filter).boxed(),
            #[cfg(feature = "eventstoredb")]
            Self::EventStoreDb(store) => store.read_all(after, filter).boxed(),
        };
        events
    }

    fn read_all_backward(
        &self,
        before: Option<Position>,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        let events: BoxStream<'static, _> = match self {
            Self::Memory(store) => store.read_all_backward(before).boxed(),
            Self::Embedded(store) => store.read_all_backward(before).boxed(),
            #[cfg(feature = "eventstoredb")]
            Self::EventStoreDb(store) => store.read_all_backward(before).boxed(),
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
            Self::Embedded(store) => store.tail(after, filter).boxed(),
            #[cfg(feature = "eventstoredb")]
            Self::EventStoreDb(store) => store.tail(after, filter).boxed(),
        };
        events
    }

    async fn head(&self) -> Result<Option<Position>, ReadError> {
        match self {
            Self::Memory(store) => store.head().await,
            Self::Embedded(store) => store.head().await,
            #[cfg(feature = "eventstoredb")]
            Self::EventStoreDb(store) => store.head().await,
        }
    }

    async fn delete(&self, stream: &StreamId, expected: Expected) -> Result<Appended, AppendError> {
        match self {
            Self::Memory(store) => store.delete(stream, expected).await,
            Self::Embedded(store) => store.delete(stream, expected).await,
            #[cfg(feature = "eventstoredb")]
            Self::EventStoreDb(store) => store.delete(stream, expected).await,
        }
    }

    async fn tombstone(
        &self,
        stream: &StreamId,
        expected: Expected,
    ) -> Result<Appended, AppendError> {
        match self {
            Self::Memory(store) => store.tombstone(stream, expected).await,
            Self::Embedded(store) => store.tombstone(stream, expected).await,
            #[cfg(feature = "eventstoredb")]
            Self::EventStoreDb(store) => store.tombstone(stream, expected).await,
        }
    }
}

impl AtomicAppend for Store {
    async fn commit(&self, transaction: Transaction) -> Result<Vec<Appended>, AppendError> {
        match self {
            Self::Memory(store) => store.commit(transaction).await,
            Self::Embedded(store) => store.commit(transaction).await,
            #[cfg(feature = "eventstoredb")]
            Self::EventStoreDb(store) => store.commit(transaction).await,
        }
    }
}
