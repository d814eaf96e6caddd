//! Why nothing was appended, with the details that clients look for.

use daybook_event_store::{Expected, Revision, StreamId, StreamState};
use prost::{Message, Name};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::protocol::sessions::errors as why;
use crate::protocol::sessions::errors::consistency_violation::{StreamStateViolation, Type};
use crate::streams::batch;

/// The most bytes of details about checks: they are in a response's head, of which clients take
/// some 8 KiB.
const MOST_DETAILS: usize = 4 << 10;

/// A status with its details.
fn detailed<M: Message + Name>(code: Code, message: &str, details: &M) -> Status {
    let status = batch::detailed(code, message, details);
    Status::with_details(code, message, status.encode_to_vec().into())
}

pub(super) fn conflict(stream: &StreamId, expected: Expected, actual: Option<Revision>) -> Status {
    let expected_revision = expected_state(expected);
    let actual_revision = actual.map_or(-1, |revision| revision.0.cast_signed());
    let message = format!(
        "Append failed due to a revision conflict on stream '{stream}'. \
         Expected revision: {expected_revision}. Actual revision: {actual_revision}."
    );
    let stream = stream.to_string();
    let details =
        why::StreamRevisionConflictErrorDetails { stream, expected_revision, actual_revision };
    detailed(Code::FailedPrecondition, &message, &details)
}

/// What the protocol's numbers say that a writer expects.
pub(super) fn expected(state: i64) -> Result<Expected, Status> {
    match state {
        -1 => Ok(Expected::NoStream),
        -2 => Ok(Expected::Any),
        -4 => Ok(Expected::StreamExists),
        revision => u64::try_from(revision)
            .map(|revision| Expected::At(Revision(revision)))
            .map_err(|_| Status::invalid_argument(format!("{revision} is no revision"))),
    }
}

/// The protocol's number for what a writer expects.
fn expected_state(expected: Expected) -> i64 {
    match expected {
        Expected::NoStream => -1,
        Expected::Any => -2,
        Expected::StreamExists => -4,
        Expected::At(revision) => revision.0.cast_signed(),
    }
}

/// The protocol's number for what a stream is.
fn actual_state(actual: StreamState) -> i64 {
    match actual {
        StreamState::NoStream => -1,
        StreamState::Deleted => -5,
        StreamState::Tombstoned => -6,
        StreamState::At(revision) => revision.0.cast_signed(),
    }
}

/// A stream that is not as expected.
pub(super) fn violation(
    check: Option<usize>,
    stream: &StreamId,
    expected: Expected,
    actual: StreamState,
) -> why::ConsistencyViolation {
    let state = StreamStateViolation {
        stream: stream.to_string(),
        expected_state: expected_state(expected),
        actual_state: actual_state(actual),
    };
    // Where nothing of the kind was checked, there is no index.
    let check_index = check.map_or(-1, |check| i32::try_from(check).unwrap_or(i32::MAX));
    why::ConsistencyViolation { check_index, r#type: Some(Type::StreamState(state)) }
}

/// What is not as expected: all of it that fits, the first in any case.
pub(super) fn violated(mut violations: Vec<why::ConsistencyViolation>) -> Status {
    let message = format!("Append failed: {} consistency checks do not hold.", violations.len());
    let mut bytes = 0;
    let fits = |violation: &&why::ConsistencyViolation| {
        bytes += violation.encoded_len() + 4;
        bytes <= MOST_DETAILS
    };
    let told = violations.iter().take_while(fits).count().max(1);
    violations.truncate(told);
    let details = why::AppendConsistencyViolationErrorDetails { violations };
    detailed(Code::FailedPrecondition, &message, &details)
}

pub(super) fn tombstoned(stream: &StreamId) -> Status {
    let message = format!("Stream '{stream}' has been tombstoned.");
    let details = why::StreamTombstonedErrorDetails { stream: stream.to_string() };
    detailed(Code::FailedPrecondition, &message, &details)
}

pub(super) fn named_twice(stream: &StreamId) -> Status {
    let message = format!("Stream '{stream}' is already part of this append session.");
    let details = why::StreamAlreadyInAppendSessionErrorDetails { stream: stream.to_string() };
    detailed(Code::Aborted, &message, &details)
}

pub(super) fn record_too_large(stream: &StreamId, id: Uuid, size: usize, most: usize) -> Status {
    let message = format!("Record of {size} bytes exceeds the maximum of {most} bytes.");
    let details = why::AppendRecordSizeExceededErrorDetails {
        stream: stream.to_string(),
        record_id: id.to_string(),
        size: bytes(size),
        max_size: bytes(most),
    };
    detailed(Code::InvalidArgument, &message, &details)
}

pub(super) fn append_too_large(size: usize, most: usize) -> Status {
    let message = format!("Append of at least {size} bytes exceeds the maximum of {most} bytes.");
    let (size, max_size) = (bytes(size), bytes(most));
    let details = why::AppendTransactionSizeExceededErrorDetails { size, max_size };
    detailed(Code::Aborted, &message, &details)
}

fn bytes(size: usize) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}
