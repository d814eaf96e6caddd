use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use daybook_event_store::{AppendError, Appended, Expected, NewEvent, Revision, StreamId};
use futures::{Stream, StreamExt};
use prost::{Message, Name};
use tokio::sync::Semaphore;
use tonic::{Code, Status, Streaming};
use uuid::Uuid;

use super::append::{Room, append_events};
use super::expected::expected;
use super::{Messages, StreamsService};
use crate::budget::Share;
use crate::errors;
use crate::protocol::streams::batch_append_req::Options;
use crate::protocol::streams::batch_append_req::options::DeadlineOption;
use crate::protocol::streams::batch_append_resp::{
    ExpectedStreamPosition, Result as Outcome, Success, success,
};
use crate::protocol::streams::{BatchAppendReq, BatchAppendResp};
use crate::protocol::{
    AllStreamPosition, IdForm, StreamIdentifier, decode_id, details, identifier, rpc, since_epoch,
    stream, wire_position,
};

/// Most appends of one call that wait for the store; more are read as these are answered.
const UNDER_WAY: usize = 1_024;
/// Most bytes of appends of one call that wait for the store; an append may have as many.
const BYTES_UNDER_WAY: u32 = 16 << 20;
/// Most appends of one call of which only some fragments have come.
const MOST_OPEN: usize = 64;
/// What an append takes beside its events.
const APPEND_BYTES: usize = 2 << 10;
/// The time that an append has, where nothing sensible is said about it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The batch appends of one call: each answered as soon as it is done, in any order. Those for one
/// stream reach the store in the order of the call.
pub(crate) fn batch(
    service: StreamsService,
    messages: Streaming<BatchAppendReq>,
) -> Messages<BatchAppendResp> {
    let room = Arc::new(Semaphore::new(BYTES_UNDER_WAY as usize));
    let fragments = Fragments::new(service.append_bytes, service.share.clone());
    let admitted = complete(messages, fragments).then(move |taken| {
        let room = Arc::clone(&room);
        async move {
            let (id, open) = taken?;
            let admitted = room.acquire_many_owned(open.bytes().min(BYTES_UNDER_WAY)).await;
            Ok::<_, Status>((id, open, admitted))
        }
    });
    let answers = admitted.map(move |admitted| {
        let service = service.clone();
        async move {
            let (id, open, _admitted) = admitted?;
            Ok(answer(&service, id, open).await)
        }
    });
    answers.buffer_unordered(UNDER_WAY).boxed()
}

/// The appends of a call as they become complete.
fn complete(
    mut messages: Streaming<BatchAppendReq>,
    mut fragments: Fragments,
) -> impl Stream<Item = Result<(Uuid, Open), Status>> {
    async_stream::try_stream! {
        while let Some(message) = messages.message().await? {
            if let Some(complete) = fragments.take(message)? {
                yield complete;
            }
        }
    }
}

/// An append, as far as its fragments have come.
#[derive(Debug)]
struct Batch {
    stream: StreamId,
    expected: Expected,
    events: Vec<NewEvent>,
    room: Room,
    patience: Duration,
}

impl Batch {
    fn begin(options: Option<&Options>, mut room: Room) -> Result<Self, Status> {
        room.hold(APPEND_BYTES)?;
        let options = options.ok_or_else(|| errors::required("options of a batch"))?;
        Ok(Self {
            stream: stream(options.stream_identifier.as_ref())?,
            expected: expected(options.expected_stream_position)?,
            events: Vec::new(),
            room,
            patience: patience(options.deadline_option.as_ref(), since_epoch()),
        })
    }

    fn extend(mut self, message: BatchAppendReq) -> Result<Self, Status> {
        for event in message.proposed_messages {
            let (id, metadata) = (event.id.as_ref(), &event.custom_metadata);
            let event = self.room.event(id, &event.metadata, metadata, &event.data)?;
            self.events.push(event);
        }
        Ok(self)
    }
}

/// An append, or what is wrong with it.
#[derive(Debug)]
struct Open {
    /// The stream, for the answer: some clients fail where it names none. Empty if it has no name.
    stream: StreamIdentifier,
    batch: Result<Batch, Status>,
}

impl Open {
    fn begin(options: Option<&Options>, room: Room) -> Self {
        let named = options.and_then(|options| stream(options.stream_identifier.as_ref()).ok());
        let stream = named.map(|stream| identifier(stream.as_str())).unwrap_or_default();
        Self { stream, batch: Batch::begin(options, room) }
    }

    /// The bytes of its events.
    fn bytes(&self) -> u32 {
        let bytes = self.batch.as_ref().map_or(0, |batch| batch.room.taken());
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    fn extend(self, message: BatchAppendReq) -> Self {
        Self { batch: self.batch.and_then(|batch| batch.extend(message)), ..self }
    }
}

/// The appends of a call that are not complete.
struct Fragments {
    open: HashMap<Uuid, Open>,
    /// The most bytes of one append.
    most: usize,
    /// What the call may hold.
    share: Share,
}

impl Fragments {
    fn new(most: usize, share: Share) -> Self {
        Self { open: HashMap::new(), most, share }
    }

    /// Takes a fragment; the append that it completes.
    ///
    /// # Errors
    /// What ends the call: there is no append that could be answered so.
    fn take(&mut self, message: BatchAppendReq) -> Result<Option<(Uuid, Open)>, Status> {
        let (id, is_final) = (decode_id(message.correlation_id.as_ref())?, message.is_final);
        let begun = self.open.remove(&id);
        let room = || Room::new(self.most, &self.share);
        let begun = begun.unwrap_or_else(|| Open::begin(message.options.as_ref(), room()));
        let open = begun.extend(message);
        if is_final {
            return Ok(Some((id, open)));
        }
        if self.open.len() >= MOST_OPEN {
            let most = format!("more than {MOST_OPEN} appends are begun and not final");
            return Err(Status::resource_exhausted(most));
        }
        self.open.insert(id, open);
        Ok(None)
    }
}

/// The time that an append has. Some clients send the instant of the deadline in the field that is
/// meant for a duration; one of decades is taken for that.
fn patience(option: Option<&DeadlineOption>, now: Duration) -> Duration {
    let duration = |seconds: i64, nanos: i32| {
        let (seconds, nanos) = (u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?);
        Some(Duration::new(seconds, nanos))
    };
    let (given, is_instant) = match option {
        Some(DeadlineOption::Deadline21100(at)) => (duration(at.seconds, at.nanos), true),
        Some(DeadlineOption::Deadline(time)) => (duration(time.seconds, time.nanos), false),
        None => (None, false),
    };
    match given {
        Some(at) if is_instant || at > now / 2 => at.saturating_sub(now),
        Some(time) => time,
        None => PATIENCE,
    }
}

async fn answer(service: &StreamsService, correlation_id: Uuid, open: Open) -> BatchAppendResp {
    let mut answer = BatchAppendResp {
        correlation_id: Some(IdForm::Structured.encode(correlation_id)),
        stream_identifier: Some(open.stream),
        ..BatchAppendResp::default()
    };
    let allowed = |batch: Batch| service.caller.stream(batch.stream.as_str()).map(|()| batch);
    let result = match open.batch.and_then(allowed) {
        Ok(Batch { stream, expected, events, patience, .. }) => {
            answer.expected_stream_position = Some(echo(expected));
            let appended = append_events(&service.store, &stream, expected, events);
            match tokio::time::timeout(patience, appended).await {
                Ok(Ok(appended)) => Ok(success(appended)),
                Ok(Err(error)) => Err(refusal(&error)),
                Err(_) => Err(detailed(Code::DeadlineExceeded, "Timeout", &details::Timeout {})),
            }
        }
        Err(status) => Err(invalid(&status, service.append_bytes)),
    };
    answer.result = Some(result.map_or_else(Outcome::Error, Outcome::Success));
    answer
}

fn echo(expected: Expected) -> ExpectedStreamPosition {
    match expected {
        Expected::At(Revision(n)) => ExpectedStreamPosition::StreamPosition(n),
        Expected::NoStream => ExpectedStreamPosition::NoStream(()),
        Expected::Any => ExpectedStreamPosition::Any(()),
        Expected::StreamExists => ExpectedStreamPosition::StreamExists(()),
    }
}

fn success(appended: Option<Appended>) -> Success {
    let Some(Appended { revision, position }) = appended else {
        return Success {
            current_revision_option: Some(success::CurrentRevisionOption::NoStream(())),
            position_option: Some(success::PositionOption::NoPosition(())),
        };
    };
    let position = wire_position(position);
    Success {
        current_revision_option: Some(success::CurrentRevisionOption::CurrentRevision(revision.0)),
        position_option: Some(success::PositionOption::Position(AllStreamPosition {
            commit_position: position,
            prepare_position: position,
        })),
    }
}

/// Why an append was refused by the store, with what clients look into.
fn refusal(error: &AppendError) -> rpc::Status {
    let message = errors::refused("Append", error).message().to_owned();
    match error {
        AppendError::Conflict { expected, actual, .. } => {
            detailed(Code::FailedPrecondition, "WrongExpectedVersion", &wrong(*expected, *actual))
        }
        AppendError::Deleted { stream } => {
            let stream_identifier = Some(identifier(stream.as_str()));
            let deleted = details::StreamDeleted { stream_identifier };
            detailed(Code::FailedPrecondition, &message, &deleted)
        }
        AppendError::Reserved { .. } => {
            detailed(Code::PermissionDenied, &message, &details::AccessDenied {})
        }
        AppendError::Violated { .. } => {
            detailed(Code::FailedPrecondition, &message, &details::Unknown {})
        }
        AppendError::Size { .. } | AppendError::IdReused { .. } => detailed(
            Code::InvalidArgument,
            &message,
            &details::BadRequest { message: message.clone() },
        ),
        AppendError::Unavailable { .. }
        | AppendError::Uncertain { .. }
        | AppendError::Stopped { .. } => {
            detailed(Code::Unavailable, &message, &details::Unknown {})
        }
    }
}

/// Why an append cannot be understood, is too large, or is not allowed.
fn invalid(status: &Status, most: usize) -> rpc::Status {
    let message = status.message();
    if status.code() == Code::PermissionDenied {
        return detailed(status.code(), message, &details::AccessDenied {});
    }
    if status.metadata().get("exception").is_some() {
        let max_append_size = u32::try_from(most).unwrap_or(u32::MAX);
        let too_large = details::MaximumAppendSizeExceeded { max_append_size };
        return detailed(Code::InvalidArgument, message, &too_large);
    }
    if status.code() == Code::ResourceExhausted {
        return detailed(status.code(), message, &details::Unknown {});
    }
    detailed(status.code(), message, &details::BadRequest { message: message.to_owned() })
}

fn wrong(expected: Expected, actual: Option<Revision>) -> details::WrongExpectedVersion {
    use details::wrong_expected_version::{
        CurrentStreamRevisionOption as Current, ExpectedStreamPositionOption as Expects,
    };
    let current = match actual {
        Some(Revision(n)) => Current::CurrentStreamRevision(n),
        None => Current::CurrentNoStream(()),
    };
    let expects = match expected {
        Expected::At(Revision(n)) => Expects::ExpectedStreamPosition(n),
        Expected::NoStream => Expects::ExpectedNoStream(()),
        Expected::Any => Expects::ExpectedAny(()),
        Expected::StreamExists => Expects::ExpectedStreamExists(()),
    };
    details::WrongExpectedVersion {
        current_stream_revision_option: Some(current),
        expected_stream_position_option: Some(expects),
    }
}

/// A status within a message, with its details as clients look for them.
pub(super) fn detailed<M: Message + Name>(code: Code, message: &str, details: &M) -> rpc::Status {
    rpc::Status {
        code: code as i32,
        message: message.to_owned(),
        details: prost_types::Any::from_msg(details).ok(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::budget::Budget;
    use crate::protocol::streams::batch_append_req::options::ExpectedStreamPosition as Wanted;

    fn given(most: usize) -> Fragments {
        Fragments::new(most, Budget::new(1 << 30).share())
    }

    const NOW: Duration = Duration::from_hours(500_000);

    #[test]
    fn deadlines_are_durations_or_instants() {
        let of = |seconds, nanos| {
            let deadline = DeadlineOption::Deadline(prost_types::Duration { seconds, nanos });
            patience(Some(&deadline), NOW)
        };
        assert_eq!(of(5, 500_000_000), Duration::from_millis(5_500));
        assert_eq!(of(1_800_000_007, 0), Duration::from_secs(7));
        assert_eq!(of(1_799_999_999, 0), Duration::ZERO);
        assert_eq!(of(-1, 0), PATIENCE);
        assert_eq!(of(0, -1), PATIENCE);
        assert_eq!(patience(None, NOW), PATIENCE);
    }

    #[test]
    fn old_clients_send_instants() {
        let at = prost_types::Timestamp { seconds: 1_800_000_003, nanos: 0 };
        let deadline = DeadlineOption::Deadline21100(at);
        assert_eq!(patience(Some(&deadline), NOW), Duration::from_secs(3));
    }

    fn fragment(id: u128, options: bool, is_final: bool) -> BatchAppendReq {
        let options = options.then(|| Options {
            stream_identifier: Some(identifier("order-1")),
            expected_stream_position: Some(Wanted::Any(())),
            deadline_option: None,
        });
        BatchAppendReq {
            correlation_id: Some(IdForm::Text.encode(Uuid::from_u128(id))),
            options,
            proposed_messages: Vec::new(),
            is_final,
        }
    }

    #[test]
    fn an_append_is_complete_with_its_final_fragment() {
        let mut fragments = given(1);
        assert!(fragments.take(fragment(1, true, false)).unwrap().is_none());
        assert!(fragments.take(fragment(2, true, true)).unwrap().unwrap().1.batch.is_ok());
        let (id, open) = fragments.take(fragment(1, false, true)).unwrap().unwrap();
        assert_eq!((id, open.batch.is_ok()), (Uuid::from_u128(1), true));
        assert!(fragments.open.is_empty());
    }

    #[test]
    fn a_first_fragment_without_options_is_refused_when_it_is_final() {
        let mut fragments = given(1);
        assert!(fragments.take(fragment(1, false, false)).unwrap().is_none());
        let (_, open) = fragments.take(fragment(1, true, true)).unwrap().unwrap();
        assert_eq!(open.batch.unwrap_err().code(), Code::InvalidArgument);
    }

    #[test]
    fn appends_that_never_become_final_are_bounded() {
        let mut fragments = given(1);
        for id in 0..MOST_OPEN as u128 {
            assert!(fragments.take(fragment(id, true, false)).unwrap().is_none());
        }
        let refused = fragments.take(fragment(1_000, true, false)).unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
    }

    proptest! {
        #[test]
        fn any_fragments_are_answered_or_bounded(
            sent in prop::collection::vec((0..200_u128, any::<bool>(), prop::bool::weighted(0.2)), 0..400)
        ) {
            let mut fragments = given(1);
            for (id, options, is_final) in sent {
                match fragments.take(fragment(id, options, is_final)) {
                    Ok(complete) => prop_assert_eq!(complete.is_some(), is_final),
                    Err(status) => {
                        prop_assert_eq!(status.code(), Code::ResourceExhausted);
                        prop_assert_eq!(fragments.open.len(), MOST_OPEN);
                        break;
                    }
                }
                prop_assert!(fragments.open.len() <= MOST_OPEN);
            }
        }
    }
}
