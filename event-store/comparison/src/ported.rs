//! A store behind the port, as it is used: the embedded engine itself, or what a client sees of it
//! over the wire.

use std::path::Path;
use std::pin::pin;

use daybook_event_store::{
    AppendError, Appended, Direction, EmbeddedOptions, EmbeddedStore, EventStore, Expected, Filter,
    IndexStream, NewEvent, ReadError, Recorded, Revision, StreamId,
};
use futures::{Stream, TryStreamExt};

use crate::engine::{Appends, Engine, Reader, Select, View};

/// A store behind the port.
#[derive(Debug, Clone)]
pub struct Ported<S>(pub(crate) S);

/// The embedded event store.
pub type Embedded = Ported<EmbeddedStore>;

impl Embedded {
    /// Opens or makes the store in a folder.
    pub fn open(dir: &Path, options: &EmbeddedOptions) -> anyhow::Result<Self> {
        Ok(Self(EmbeddedStore::open(dir, options)?))
    }
}

impl<S: EventStore> Appends for Ported<S> {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        self.0.append(stream, expected, events).await
    }
}

impl<S: EventStore> Engine for Ported<S> {
    type Reader = Self;

    fn reader(&self) -> anyhow::Result<Self> {
        Ok(self.clone())
    }
}

impl<S: EventStore> Reader for Ported<S> {
    async fn read(
        &mut self,
        select: Select<'_>,
        visit: impl FnMut(View<'_>) + Send,
    ) -> anyhow::Result<()> {
        let Self(store) = self;
        match select {
            Select::All => show(store.read_all(None, Filter::all()), visit).await?,
            Select::Stream(stream) => {
                show(store.read(stream, Revision::START, Direction::Forward), visit).await?;
            }
            Select::Category(category) => {
                let index = IndexStream::Category(category.into());
                let listed = store.read_index(&index, Revision::START, Direction::Forward);
                show(listed.map_ok(|listed| listed.event), visit).await?;
            }
        }
        Ok(())
    }
}

async fn show(
    events: impl Stream<Item = Result<Recorded, ReadError>> + Send,
    mut visit: impl FnMut(View<'_>) + Send,
) -> Result<(), ReadError> {
    let mut events = pin!(events);
    while let Some(event) = events.try_next().await? {
        visit(View {
            stream: event.stream.as_str(),
            revision: event.revision.0,
            position: event.position.0,
            recorded_at: event.recorded_at,
            id: event.id,
            kind: &event.kind,
            data: &event.data,
            metadata: &event.metadata,
        });
    }
    Ok(())
}
