//! Links: events that stand for others, as the index streams are made of.

use std::sync::Arc;

use bytes::Bytes;
use daybook_event_store::{
    Direction, EventStore, Listed, Position, ReadError, Recorded, RecordedEvent, Revision, Store,
    StreamId,
};
use futures::{TryStreamExt, pin_mut};
use uuid::Uuid;

use crate::protocol::wire_revision;

/// The type of links. Their payload is `<revision>@<stream>`.
pub(crate) const LINK: &str = "$>";

/// An event as it was found: itself, and the link that led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// `None` where a link leads nowhere.
    pub(crate) event: Option<Item>,
    pub(crate) link: Option<Item>,
}

impl Resolved {
    /// The event itself, whatever it is.
    pub(crate) fn plain(event: Recorded) -> Self {
        Self { event: Some(Item::own(event)), link: None }
    }

    /// The event, or what it links to.
    pub(crate) async fn of(store: &Store, event: Recorded) -> Result<Self, ReadError> {
        let Some((revision, stream)) = target(&event) else { return Ok(Self::plain(event)) };
        let linked = store.read(&stream, revision, Direction::Forward);
        pin_mut!(linked);
        let linked = match linked.try_next().await {
            Err(ReadError::Deleted { .. }) => None,
            linked => linked?.filter(|linked| linked.revision == revision),
        };
        Ok(Self { event: linked.map(Item::own), link: Some(Item::own(event)) })
    }

    /// An event of an index stream, whose links are not stored but follow from it.
    pub(crate) fn listed(index: &Arc<str>, listed: Listed, resolve: bool) -> Self {
        let link = link_to(index, &listed);
        if resolve {
            return Self { event: Some(Item::own(listed.event)), link: Some(link) };
        }
        Self { event: Some(link), link: None }
    }

    /// What stands in the stream that was read.
    pub(crate) fn item(&self) -> Option<&Item> {
        self.link.as_ref().or(self.event.as_ref())
    }

    /// The place of what was found among all events.
    pub(crate) fn position(&self) -> Option<Position> {
        self.item().map(|item| item.event.position)
    }
}

/// An event, and its place in the stream that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) event: Recorded,
    /// Its place in an index stream; none in its own stream.
    listed: Option<(Arc<str>, Revision)>,
}

impl Item {
    fn own(event: Recorded) -> Self {
        Self { event, listed: None }
    }

    pub(crate) fn stream(&self) -> &str {
        self.listed.as_ref().map_or(self.event.stream.as_str(), |(stream, _)| stream)
    }

    pub(crate) fn revision(&self) -> u64 {
        self.listed.as_ref().map_or_else(|| wire_revision(&self.event), |(_, ordinal)| ordinal.0)
    }
}

/// What a link names.
fn target(event: &Recorded) -> Option<(Revision, StreamId)> {
    if &*event.kind != LINK {
        return None;
    }
    let (revision, stream) = std::str::from_utf8(&event.data).ok()?.split_once('@')?;
    Some((Revision(revision.parse().ok()?), stream.parse().ok()?))
}

/// The link of an index stream to an event that it lists. Its id follows from its place, so that it
/// is the same in every read.
fn link_to(index: &Arc<str>, Listed { ordinal, event }: &Listed) -> Item {
    let place = format!("{ordinal}@{index}");
    let revision = wire_revision(event);
    let link = RecordedEvent {
        id: Uuid::new_v5(&Uuid::NAMESPACE_OID, place.as_bytes()),
        kind: LINK.into(),
        data: format!("{revision}@{}", event.stream).into(),
        metadata: Bytes::new(),
        is_json: false,
        ..(**event).clone()
    };
    Item { event: link.into(), listed: Some((Arc::clone(index), *ordinal)) }
}
