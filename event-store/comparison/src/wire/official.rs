//! The store's protocol through the official client, and nothing else between.

use std::net::SocketAddr;

use daybook_event_store::{
    AppendError, Appended, Expected, NewEvent, Position, Revision, StreamId,
};
use kurrentdb::{
    AppendToStreamOptions, Client, ClientSettings, EventData, ReadAllOptions, ReadStream,
    ReadStreamOptions, RecordedEvent, StreamPosition, StreamState,
};

use crate::engine::{Appends, Engine, Reader, Select, View};

/// As many events as there are: a reader takes what it wants.
const ALL: usize = usize::MAX;

/// A client of a server.
#[derive(Clone)]
pub(super) struct Official(Client);

impl Official {
    pub(super) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let settings = format!("kurrentdb://{address}?tls=false").parse::<ClientSettings>()?;
        Client::new(settings).map(Self).map_err(|error| anyhow::anyhow!("{error:#}"))
    }

    async fn select(&self, select: Select<'_>) -> kurrentdb::Result<ReadStream> {
        let Self(client) = self;
        let stream = ReadStreamOptions::default().max_count(ALL);
        match select {
            Select::All => {
                let all = ReadAllOptions::default().position(StreamPosition::Start).max_count(ALL);
                client.read_all(&all).await
            }
            Select::Stream(name) => client.read_stream(name.as_str(), &stream).await,
            Select::Category(name) => {
                client.read_stream(format!("$ce-{name}"), &stream.resolve_link_tos()).await
            }
        }
    }
}

impl Appends for Official {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        let options = AppendToStreamOptions::default().stream_state(match expected {
            Expected::Any => StreamState::Any,
            Expected::NoStream => StreamState::NoStream,
            Expected::StreamExists => StreamState::StreamExists,
            Expected::At(Revision(revision)) => StreamState::StreamRevision(revision),
        });
        let event = |event: NewEvent| EventData::binary(&*event.kind, event.data).id(event.id);
        let events: Vec<_> = events.into_iter().map(event).collect();
        let appended = self.0.append_to_stream(stream.as_str(), &options, events).await;
        let appended =
            appended.map_err(|error| AppendError::Unavailable { reason: format!("{error:#}") })?;
        Ok(Appended {
            revision: Revision(appended.next_expected_version),
            position: Position(appended.position.commit),
        })
    }
}

impl Engine for Official {
    type Reader = Self;

    fn reader(&self) -> anyhow::Result<Self> {
        Ok(self.clone())
    }
}

impl Reader for Official {
    async fn read(
        &mut self,
        select: Select<'_>,
        mut visit: impl FnMut(View<'_>) + Send,
    ) -> anyhow::Result<()> {
        let mut events = self.select(select).await?;
        while let Some(resolved) = events.next().await? {
            if let Some(event) = &resolved.event {
                visit(view(event));
            }
        }
        Ok(())
    }
}

fn view(event: &RecordedEvent) -> View<'_> {
    View {
        stream: event.stream_id(),
        revision: event.revision,
        position: event.position.commit,
        recorded_at: event.created.timestamp_micros(),
        id: event.id,
        kind: &event.event_type,
        data: &event.data,
        metadata: &event.custom_metadata,
    }
}
