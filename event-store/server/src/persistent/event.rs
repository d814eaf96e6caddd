//! Events on their way to a consumer: what they are acknowledged by, pinned by and parked as, and
//! how they are sent.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use daybook_event_store::IndexStream;
use serde_json::Value;

use super::machine::{Message, Place};
use crate::protocol::persistent::ReadResp;
use crate::protocol::persistent::read_resp::read_event::{Count, Position};
use crate::protocol::persistent::read_resp::{Content, ReadEvent, SubscriptionConfirmation};
use crate::protocol::{IdForm, wire_position};
use crate::streams::{Item, LINK, Resolved, WireEvent};

/// The memory that a message takes beside its payload and metadata.
const ENVELOPE: usize = 512;
const CORRELATION_ID: &str = "$correlationId";

/// The message for what was found; `None` where a link leads nowhere.
pub(crate) fn message(
    place: Place,
    resolved: Arc<Resolved>,
    by_correlation: bool,
) -> Option<Message<Arc<Resolved>>> {
    let event = resolved.event.as_ref()?;
    let bytes = |item: &Item| item.event.data.len() + item.event.metadata.len() + ENVELOPE;
    let mut hasher = DefaultHasher::new();
    match by_correlation.then(|| correlation_id(&event.event.metadata)).flatten() {
        Some(id) => id.hash(&mut hasher),
        None => stream_of(event).hash(&mut hasher),
    }
    Some(Message {
        place,
        id: resolved.item()?.event.id,
        key: hasher.finish(),
        bytes: bytes(event) + resolved.link.as_ref().map_or(0, bytes),
        event: resolved,
    })
}

fn correlation_id(metadata: &[u8]) -> Option<String> {
    let metadata: Value = serde_json::from_slice(metadata).ok()?;
    metadata.get(CORRELATION_ID)?.as_str().map(str::to_owned)
}

/// The stream of an event; of a link, that of the event that it names.
fn stream_of(item: &Item) -> &str {
    let target = || std::str::from_utf8(&item.event.data).ok()?.split_once('@');
    if &*item.event.kind != LINK {
        return item.stream();
    }
    target().map_or(item.stream(), |(_, stream)| stream)
}

/// What a parked message's link holds: `<revision>@<stream>`.
pub(crate) fn target(resolved: &Resolved) -> Option<Vec<u8>> {
    let event = resolved.event.as_ref()?;
    // The links of index streams are not stored.
    if event.stream().parse::<IndexStream>().is_ok() {
        return Some(event.event.data.to_vec());
    }
    Some(place_of(event).into_bytes())
}

/// What tells a message from all others of its group.
pub(crate) fn origin(resolved: &Resolved) -> String {
    resolved.item().map(place_of).unwrap_or_default()
}

fn place_of(item: &Item) -> String {
    format!("{}@{}", item.revision(), item.stream())
}

/// An event for a consumer, with how often it was sent before.
pub(crate) fn encode(resolved: &Resolved, retries: u32, ids: IdForm) -> ReadResp {
    let at = resolved.position().map(wire_position);
    let Resolved { event, link } = resolved.clone();
    let encode = |item: Item| WireEvent::new(item, ids);
    let retries = i32::try_from(retries).unwrap_or(i32::MAX);
    response(Content::Event(ReadEvent {
        event: event.map(encode),
        link: link.map(encode),
        position: at.map(Position::CommitPosition),
        count: Some(Count::RetryCount(retries)),
    }))
}

/// What a consumer is told first.
pub(crate) fn confirmation(subscription_id: String) -> ReadResp {
    response(Content::SubscriptionConfirmation(SubscriptionConfirmation { subscription_id }))
}

fn response(content: Content) -> ReadResp {
    ReadResp { content: Some(content) }
}
