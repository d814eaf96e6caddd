//! Errors as the official clients parse them: a status, and trailers that name the exception.

use daybook_event_store::{AppendError, Expected, ReadError, Revision};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use crate::protocol::version;

/// A status with its exception and what belongs to it.
pub(crate) fn exception(
    code: Code,
    message: String,
    name: &'static str,
    with: &[(&'static str, &str)],
) -> Status {
    let mut trailers = MetadataMap::new();
    trailers.insert("exception", MetadataValue::from_static(name));
    for (key, value) in with {
        // Names that are no header values are in the message only.
        if let Ok(value) = value.parse() {
            trailers.insert(*key, value);
        }
    }
    Status::with_metadata(code, message, trailers)
}

/// A message lacks something.
pub(crate) fn required(what: &str) -> Status {
    Status::invalid_argument(format!("the {what} is missing"))
}

/// A handler panicked. The panic itself was told on the standard error.
pub(crate) fn panicked() -> Status {
    Status::internal("the server failed at this call")
}

/// The server ends, and with it what would go on for ever.
pub(crate) fn stopping() -> Status {
    Status::unavailable("the server is shutting down")
}

pub(crate) fn stream_deleted(stream: &str) -> Status {
    let message = format!("Event stream '{stream}' is deleted.");
    exception(Code::FailedPrecondition, message, "stream-deleted", &[("stream-name", stream)])
}

pub(crate) fn append_too_large(most: usize) -> Status {
    let message = format!("Maximum Append Size of {most} Exceeded.");
    let most = most.to_string();
    let with = [("maximum-append-size", most.as_str())];
    exception(Code::InvalidArgument, message, "maximum-append-size-exceeded", &with)
}

pub(crate) fn wrong_expected_version(
    operation: &str,
    stream: &str,
    expected: Expected,
    actual: Option<Revision>,
) -> Status {
    let (expected, actual) = (expected_version(expected), version(actual));
    let message = format!(
        "{operation} failed due to WrongExpectedVersion. Stream: {stream}, \
         Expected version: {expected}, Actual version: {actual}"
    );
    let with =
        [("stream-name", stream), ("expected-version", &*expected), ("actual-version", &*actual)];
    exception(Code::FailedPrecondition, message, "wrong-expected-version", &with)
}

/// EventStoreDB's numbers for what a writer expects.
fn expected_version(expected: Expected) -> String {
    match expected {
        Expected::NoStream => "-1".into(),
        Expected::Any => "-2".into(),
        Expected::StreamExists => "-4".into(),
        Expected::At(revision) => revision.to_string(),
    }
}

/// Why an append, a delete or a tombstone was refused.
pub(crate) fn refused(operation: &str, error: &AppendError) -> Status {
    match error {
        AppendError::Conflict { stream, expected, actual } => {
            wrong_expected_version(operation, stream.as_str(), *expected, *actual)
        }
        AppendError::Deleted { stream } => stream_deleted(stream.as_str()),
        AppendError::Reserved { .. } => access_denied(&error.to_string()),
        AppendError::IdReused { .. } | AppendError::Size { .. } => {
            Status::invalid_argument(error.to_string())
        }
        AppendError::Violated { .. } => Status::failed_precondition(error.to_string()),
        AppendError::Unavailable { .. }
        | AppendError::Uncertain { .. }
        | AppendError::Stopped { .. } => Status::unavailable(error.to_string()),
    }
}

pub(crate) fn access_denied(why: &str) -> Status {
    exception(Code::PermissionDenied, format!("Access Denied: {why}"), "access-denied", &[])
}

/// Why events could not be read.
pub(crate) fn unread(error: &ReadError) -> Status {
    match error {
        ReadError::Deleted { stream } => stream_deleted(stream.as_str()),
        ReadError::Damaged { .. } => Status::data_loss(error.to_string()),
        ReadError::Unavailable { .. } => Status::unavailable(error.to_string()),
    }
}
