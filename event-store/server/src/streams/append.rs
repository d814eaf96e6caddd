use std::collections::BTreeMap;

use bytes::Bytes;
use daybook_event_store::{
    AppendError, Appended, EventStore, Expected, Limits, NewEvent, ReadError, Revision, Store,
    StreamId,
};
use tonic::{Status, Streaming};

use super::StreamsService;
use super::expected::expected;
use crate::budget::{Held, Share};
use crate::errors;
use crate::protocol::streams::append_req::{Content, ProposedMessage};
use crate::protocol::streams::append_resp::WrongExpectedVersion;
use crate::protocol::streams::append_resp::success::{CurrentRevisionOption, PositionOption};
use crate::protocol::streams::append_resp::wrong_expected_version as wrong;
use crate::protocol::streams::append_resp::{Position, Result as Outcome, Success};
use crate::protocol::streams::{AppendReq, AppendResp};
use crate::protocol::{Empty, WireUuid, decode_id, stream, wire_position};

/// The most events of one append, as the store has it.
pub(super) const MOST_EVENTS: usize = Limits::DEFAULT.append_events;

/// What an event takes beside its bytes.
pub(super) const EVENT_BYTES: usize = size_of::<NewEvent>() + 64;

/// One append: its options, then its events. Nothing is appended unless all of it arrived.
pub(crate) async fn append(
    service: &StreamsService,
    mut messages: Streaming<AppendReq>,
) -> Result<AppendResp, Status> {
    let Some(Content::Options(options)) = messages.message().await?.and_then(|m| m.content) else {
        return Err(errors::required("options, which come first,"));
    };
    let stream = stream(options.stream_identifier.as_ref())?;
    service.caller.stream(stream.as_str())?;
    let expected = expected(options.expected_stream_revision)?;
    let (mut events, mut room) = (Vec::new(), Room::new(service.append_bytes, &service.share));
    while let Some(message) = messages.message().await? {
        let Some(Content::ProposedMessage(message)) = message.content else {
            return Err(Status::invalid_argument("options come once, before all events"));
        };
        let ProposedMessage { id, metadata, custom_metadata, data } = message;
        events.push(room.event(id.as_ref(), &metadata, &custom_metadata, &data)?);
    }
    let result = match append_events(&service.store, &stream, expected, events).await {
        Ok(appended) => Outcome::Success(success(appended)),
        Err(AppendError::Conflict { actual, .. }) => {
            Outcome::WrongExpectedVersion(wrong_version(expected, actual))
        }
        Err(error) => return Err(errors::refused("Append", &error)),
    };
    Ok(AppendResp { result: Some(result) })
}

/// Appends; nothing, successfully, where there are no events and the expectation holds. Ids of
/// which some are known are a wrong expectation, as they are to EventStoreDB.
pub(crate) async fn append_events(
    store: &Store,
    stream: &StreamId,
    expected: Expected,
    events: Vec<NewEvent>,
) -> Result<Option<Appended>, AppendError> {
    if events.is_empty() {
        return append_nothing(store, stream, expected).await;
    }
    match store.append(stream, expected, events).await {
        Err(AppendError::IdReused { .. }) => {
            let actual = last(store, stream).await?.map(|last| last.revision);
            Err(AppendError::Conflict { stream: stream.clone(), expected, actual })
        }
        appended => appended.map(Some),
    }
}

async fn append_nothing(
    store: &Store,
    stream: &StreamId,
    expected: Expected,
) -> Result<Option<Appended>, AppendError> {
    let last = last(store, stream).await?;
    let actual = last.map(|last| last.revision);
    if expected.holds(actual, false) {
        Ok(last)
    } else {
        Err(AppendError::Conflict { stream: stream.clone(), expected, actual })
    }
}

/// The last event of a stream that can be read.
pub(super) async fn last(
    store: &Store,
    stream: &StreamId,
) -> Result<Option<Appended>, AppendError> {
    match store.read_last(stream).await {
        Ok(event) => Ok(event.map(|e| Appended { revision: e.revision, position: e.position })),
        Err(ReadError::Deleted { stream }) => Err(AppendError::Deleted { stream }),
        Err(error) => Err(AppendError::Unavailable { reason: error.to_string() }),
    }
}

/// How much one append may still take.
#[derive(Debug)]
pub(crate) struct Room {
    most: usize,
    left: usize,
    events: usize,
    held: Held,
}

impl Room {
    pub(crate) fn new(most: usize, share: &Share) -> Self {
        Self { most, left: most, events: MOST_EVENTS, held: share.nothing() }
    }

    /// Holds memory that is none of an event's.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), Status> {
        self.held.grow(bytes)
    }

    /// The bytes that it was given.
    pub(crate) fn taken(&self) -> usize {
        self.most - self.left
    }

    /// An event as it was proposed. Its payload is copied: as a part of the message it would keep
    /// the whole of it, which may be far larger.
    pub(crate) fn event(
        &mut self,
        id: Option<&WireUuid>,
        system: &BTreeMap<String, String>,
        metadata: &[u8],
        data: &[u8],
    ) -> Result<NewEvent, Status> {
        let kind = system.get("type").ok_or_else(|| errors::required("event type"))?;
        let size = kind.len() + metadata.len() + data.len();
        self.left =
            self.left.checked_sub(size).ok_or_else(|| errors::append_too_large(self.most))?;
        let more = || format!("an append has at most {MOST_EVENTS} events");
        self.events = self.events.checked_sub(1).ok_or_else(|| Status::invalid_argument(more()))?;
        self.hold(size + EVENT_BYTES)?;
        let is_json = system.get("content-type").is_some_and(|of| of == "application/json");
        let (data, metadata) = (Bytes::copy_from_slice(data), Bytes::copy_from_slice(metadata));
        Ok(NewEvent { id: decode_id(id)?, kind: kind.as_str().into(), data, metadata, is_json })
    }
}

fn success(appended: Option<Appended>) -> Success {
    let Some(Appended { revision, position }) = appended else {
        return Success {
            current_revision_option: Some(CurrentRevisionOption::NoStream(Empty {})),
            position_option: Some(PositionOption::NoPosition(Empty {})),
        };
    };
    let position = wire_position(position);
    let position = Position { commit_position: position, prepare_position: position };
    Success {
        current_revision_option: Some(CurrentRevisionOption::CurrentRevision(revision.0)),
        position_option: Some(PositionOption::Position(position)),
    }
}

/// The answer of an append that expected something else, in the words of old and new clients.
fn wrong_version(expected: Expected, actual: Option<Revision>) -> WrongExpectedVersion {
    use wrong::{
        CurrentRevisionOption as Current, CurrentRevisionOption2060 as OldCurrent,
        ExpectedRevisionOption as Expects, ExpectedRevisionOption2060 as OldExpects,
    };
    let (current, old_current) = match actual {
        Some(Revision(n)) => (Current::CurrentRevision(n), OldCurrent::CurrentRevision2060(n)),
        None => (Current::CurrentNoStream(Empty {}), OldCurrent::NoStream2060(Empty {})),
    };
    let (expects, old_expects) = match expected {
        Expected::At(Revision(n)) => {
            (Expects::ExpectedRevision(n), Some(OldExpects::ExpectedRevision2060(n)))
        }
        Expected::Any => (Expects::ExpectedAny(Empty {}), Some(OldExpects::Any2060(Empty {}))),
        Expected::StreamExists => {
            (Expects::ExpectedStreamExists(Empty {}), Some(OldExpects::StreamExists2060(Empty {})))
        }
        // Old clients take the absence of the field for it.
        Expected::NoStream => (Expects::ExpectedNoStream(Empty {}), None),
    };
    WrongExpectedVersion {
        current_revision_option_20_6_0: Some(old_current),
        expected_revision_option_20_6_0: old_expects,
        current_revision_option: Some(current),
        expected_revision_option: Some(expects),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use uuid::Uuid;

    use super::*;
    use crate::budget::Budget;
    use crate::protocol::IdForm;

    fn given(most: usize) -> Room {
        Room::new(most, &Budget::new(1 << 30).share())
    }

    fn take(room: &mut Room, data: &[u8]) -> Result<NewEvent, Status> {
        let id = IdForm::Text.encode(Uuid::now_v7());
        room.event(Some(&id), &BTreeMap::from([("type".into(), String::new())]), b"", data)
    }

    #[test]
    fn bytes_are_bounded_over_all_events() {
        let mut room = given(10);
        assert!(take(&mut room, b"123456").is_ok());
        assert_eq!(take(&mut room, b"12345").unwrap_err().code(), Code::InvalidArgument);
        assert!(take(&mut room, b"1234").is_ok());
    }

    #[test]
    fn events_without_bytes_are_bounded_too() {
        let mut room = given(10);
        for _ in 0..MOST_EVENTS {
            assert!(take(&mut room, b"").is_ok());
        }
        assert_eq!(take(&mut room, b"").unwrap_err().code(), Code::InvalidArgument);
    }
}
