//! UmaDB, a store with a gRPC interface of its own, as somebody runs it beside this.

use daybook_event_store::{
    AppendError, Appended, Expected, NewEvent, Position, Revision, StreamId,
};
use tonic::transport::Channel;
use uuid::Uuid;

use super::peers::umadb::dcb_client::DcbClient;
use super::peers::umadb::{
    AppendCondition, AppendRequest, Event, Query, QueryItem, ReadRequest, SequencedEvent,
};
use crate::engine::{Appends, Engine, Reader, Select, View};

/// The most bytes of a message; a read's messages have many events.
const MESSAGE: usize = 64 << 20;

/// A client of UmaDB. A stream is the events of one tag; what is expected is the position of its
/// last event, which passes for its revision.
#[derive(Debug, Clone)]
pub(crate) struct UmaDb {
    client: DcbClient<Channel>,
}

impl UmaDb {
    /// Connects to a server, as `http://127.0.0.1:50051`.
    pub(crate) async fn connect(address: &str) -> anyhow::Result<Self> {
        let client = DcbClient::connect(address.to_owned()).await?;
        Ok(Self { client: client.max_decoding_message_size(MESSAGE) })
    }
}

fn tagged(stream: &str) -> Query {
    Query { items: vec![QueryItem { types: Vec::new(), tags: vec![stream.to_owned()] }] }
}

/// The tag of a stream's category.
fn category(name: &str) -> String {
    format!("category:{name}")
}

impl Appends for UmaDb {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        let after = match expected {
            Expected::At(Revision(position)) => Some(Some(position)),
            Expected::NoStream => Some(None),
            Expected::Any | Expected::StreamExists => None,
        };
        let condition = after.map(|after| AppendCondition {
            fail_if_events_match: Some(tagged(stream.as_str())),
            after,
        });
        let event = |NewEvent { id, kind, data, .. }: NewEvent| Event {
            event_type: kind.to_string(),
            tags: vec![stream.to_string(), category(stream.category())],
            data,
            uuid: id.to_string(),
        };
        let events = events.into_iter().map(event).collect();
        let appended = self.client.clone().append(AppendRequest { events, condition }).await;
        let position = appended.map(|appended| appended.into_inner().position);
        let place = |at| Appended { revision: Revision(at), position: Position(at) };
        position
            .map(place)
            .map_err(|status| AppendError::Unavailable { reason: status.to_string() })
    }
}

impl Engine for UmaDb {
    type Reader = Self;

    fn reader(&self) -> anyhow::Result<Self> {
        Ok(self.clone())
    }
}

impl Reader for UmaDb {
    async fn read(
        &mut self,
        select: Select<'_>,
        mut visit: impl FnMut(View<'_>) + Send,
    ) -> anyhow::Result<()> {
        let query = match select {
            Select::All => None,
            Select::Stream(stream) => Some(tagged(stream.as_str())),
            Select::Category(name) => Some(tagged(&category(name))),
        };
        let mut chunks = self.client.read(ReadRequest { query }).await?.into_inner();
        while let Some(chunk) = chunks.message().await? {
            for SequencedEvent { position, event } in &chunk.events {
                let Some(event) = event else { continue };
                visit(View {
                    stream: event.tags.first().map_or("", String::as_str),
                    revision: *position,
                    position: *position,
                    recorded_at: 0,
                    id: Uuid::parse_str(&event.uuid)?,
                    kind: &event.event_type,
                    data: &event.data,
                    metadata: &[],
                });
            }
        }
        Ok(())
    }
}
