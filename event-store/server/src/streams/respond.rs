//! Events of the store as the protocol's messages.

use daybook_event_store::{Position, Revision};

use super::links::Resolved;
use super::wire_event::WireEvent;
use crate::protocol::streams::ReadResp;
use crate::protocol::streams::read_resp::{
    self, CaughtUp, Checkpoint, Content, ReadEvent, StreamNotFound, SubscriptionConfirmation,
    read_event,
};
use crate::protocol::{self, IdForm, identifier, wire_position};

pub(crate) fn message(content: Content) -> ReadResp {
    ReadResp { content: Some(content) }
}

/// An event, with the link that led to it.
pub(crate) fn event(resolved: Resolved, ids: IdForm) -> ReadResp {
    let at = resolved.position().map(wire_position);
    let Resolved { event, link } = resolved;
    message(Content::Event(ReadEvent {
        event: event.map(|event| WireEvent::new(event, ids)),
        link: link.map(|link| WireEvent::new(link, ids)),
        position: at.map(read_event::Position::CommitPosition),
    }))
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
