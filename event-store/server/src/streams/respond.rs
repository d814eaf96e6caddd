//! Events of the store as the protocol's messages.

use daybook_event_store::{Position, Recorded, Revision};

use super::links::Resolved;
use crate::protocol::streams::ReadResp;
use crate::protocol::streams::read_resp::read_event::{self, RecordedEvent};
use crate::protocol::streams::read_resp::{
    self, CaughtUp, Checkpoint, Content, ReadEvent, StreamNotFound, SubscriptionConfirmation,
};
use crate::protocol::{self, IdForm, identifier, ticks, wire_position};

pub(crate) fn message(content: Content) -> ReadResp {
    ReadResp { content: Some(content) }
}

/// An event, with the link that led to it.
pub(crate) fn event(resolved: Resolved, ids: IdForm) -> ReadResp {
    let at = resolved.position().map(wire_position);
    let Resolved { event, link } = resolved;
    message(Content::Event(ReadEvent {
        event: event.map(|event| event.encode(ids)),
        link: link.map(|link| link.encode(ids)),
        position: at.map(read_event::Position::CommitPosition),
    }))
}

/// An event, and its place in the stream that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) event: Recorded,
    pub(crate) stream: String,
    pub(crate) revision: u64,
}

impl Item {
    pub(crate) fn encode(self, ids: IdForm) -> RecordedEvent {
        let Self { event, stream, revision } = self;
        let position = wire_position(event.position);
        let content_type = ["application/octet-stream", "application/json"];
        let content_type = content_type[usize::from(event.is_json)];
        let created = ticks(event.recorded_at);
        let metadata =
            [("type", &*event.kind), ("created", created.as_str()), ("content-type", content_type)];
        RecordedEvent {
            id: Some(ids.encode(event.id)),
            stream_identifier: Some(identifier(&stream)),
            stream_revision: revision,
            prepare_position: position,
            commit_position: position,
            metadata: metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            custom_metadata: event.metadata.clone(),
            data: event.data.clone(),
        }
    }
}

pub(crate) fn not_found(stream: &str) -> ReadResp {
    let stream_identifier = Some(identifier(stream));
    message(Content::StreamNotFound(StreamNotFound { stream_identifier }))
}

pub(crate) fn confirmation() -> ReadResp {
    let subscription_id = uuid::Uuid::now_v7().to_string();
    message(Content::Confirmation(SubscriptionConfirmation { subscription_id }))
}

pub(crate) fn checkpoint(at: Position) -> ReadResp {
    let position = wire_position(at);
    message(Content::Checkpoint(Checkpoint {
        commit_position: position,
        prepare_position: position,
        timestamp: Some(protocol::now()),
    }))
}

/// Everything up to here was delivered: of a stream, or of all.
pub(crate) fn caught_up(revision: Option<Revision>, position: Option<Position>) -> ReadResp {
    let position = position.map(|position| {
        let position = wire_position(position);
        read_resp::Position { commit_position: position, prepare_position: position }
    });
    let stream_revision = revision.map(|revision| revision.0.cast_signed());
    let timestamp = Some(protocol::now());
    message(Content::CaughtUp(CaughtUp { timestamp, stream_revision, position }))
}
