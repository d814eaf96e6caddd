use eventstore::{CurrentRevision, Error};

use crate::{AppendError, Expected, ReadError, Revision, StreamId};

/// What our own server says of an append that its store cannot take now.
const CANNOT_WRITE: &str = "the store cannot write: ";

/// The codes of failures that may pass: `CANCELLED`, `RESOURCE_EXHAUSTED` and `ABORTED`. They come
/// from a server that has too much to do, and from connections that break, too.
const PASSING: [i32; 3] = [1, 8, 10];

/// What a failed call tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The stream is not as expected.
    Conflict { actual: Option<Revision> },
    /// The stream was tombstoned.
    Deleted,
    /// There is no such stream.
    NotFound,
    /// The append is larger than the server allows.
    TooLarge { most: usize },
    /// The server did not do it, and will not do it if asked again at once.
    Refused(String),
    /// The server says that its data is damaged.
    Damaged(String),
    /// The call did not reach a server that could do it. Nothing was done.
    Unsent(String),
    /// The server knows who can do it, and so does the client by now. Nothing was done.
    NotLeader(String),
    /// The call was lost on its way, there or back: what became of it is not known.
    Lost(String),
}

impl Failure {
    /// Whether a later attempt may succeed.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Unsent(_) | Self::NotLeader(_) | Self::Lost(_))
    }

    /// As an answer to somebody who reads.
    pub(super) fn unread(self, stream: Option<&StreamId>) -> ReadError {
        match (self, stream) {
            (Self::Deleted, Some(stream)) => ReadError::Deleted { stream: stream.clone() },
            (Self::Damaged(reason), _) => {
                ReadError::Damaged { place: "the server's store".into(), reason }
            }
            (failure, _) => ReadError::Unavailable { reason: failure.reason() },
        }
    }

    /// As an answer to somebody who writes. Whether [lost](Self::Lost) calls are resolved is the
    /// caller's part.
    pub(super) fn unwritten(self, stream: &StreamId, expected: Expected) -> AppendError {
        let stream = stream.clone();
        match self {
            Self::Conflict { actual } => AppendError::Conflict { stream, expected, actual },
            Self::Deleted => AppendError::Deleted { stream },
            Self::TooLarge { most } => AppendError::Size {
                what: "bytes of one append, with types, to this server",
                min: 0,
                max: most,
                actual: most.saturating_add(1),
            },
            Self::Lost(reason) => AppendError::Uncertain { reason },
            failure => AppendError::Unavailable { reason: failure.reason() },
        }
    }

    fn reason(self) -> String {
        match self {
            Self::Conflict { .. } => "the stream is not as expected".into(),
            Self::Deleted => "the stream has been deleted for good".into(),
            Self::NotFound => "there is no such stream".into(),
            Self::TooLarge { most } => format!("an append may have at most {most} bytes"),
            Self::Refused(reason)
            | Self::Damaged(reason)
            | Self::Unsent(reason)
            | Self::NotLeader(reason)
            | Self::Lost(reason) => reason,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::WrongExpectedVersion { current, .. } => {
                Self::Conflict { actual: revision(current) }
            }
            Error::ResourceDeleted => Self::Deleted,
            Error::ResourceNotFound => Self::NotFound,
            Error::AccessDenied => Self::Refused(
                "the server denied access: check the user and password in the store's address, \
                 and the stream's access list"
                    .into(),
            ),
            Error::NotLeaderException(leader) => {
                Self::NotLeader(format!("the leader is {leader:?}"))
            }
            Error::ConnectionClosed => Self::Unsent("the connection was closed".into()),
            Error::GrpcConnectionError(error) => Self::Unsent(error.to_string()),
            Error::ServerError(message) => server_error(message),
            Error::DeadlineExceeded => Self::Lost("the server did not answer in time".into()),
            Error::Grpc { code, message } => match told(&message) {
                Some(failure) => failure,
                None if PASSING.contains(&code.into()) => Self::Lost(message),
                None => Self::Refused(message),
            },
            refused => Self::Refused(refused.to_string()),
        }
    }
}

fn revision(current: CurrentRevision) -> Option<Revision> {
    match current {
        CurrentRevision::Current(revision) => Some(Revision(revision)),
        CurrentRevision::NoStream => None,
    }
}

/// A status that the client knows no better name for, with its code in the text.
fn server_error(message: String) -> Failure {
    if message.contains("DataLoss") || message.contains("data loss") {
        return Failure::Damaged(message);
    }
    match message.split_once(CANNOT_WRITE) {
        Some((_, reason)) => Failure::Refused(reason.to_owned()),
        None => Failure::Lost(message),
    }
}

/// What a message says that the client does not parse.
fn told(message: &str) -> Option<Failure> {
    if let Some((_, actual)) = message.split_once("Actual version: ") {
        let actual = actual.split(|c: char| c != '-' && !c.is_ascii_digit()).next()?;
        // -1, where there is no event.
        return Some(Failure::Conflict { actual: actual.parse().ok().map(Revision) });
    }
    let (_, most) = message.split_once("Maximum Append Size of ")?;
    let most = most.split_whitespace().next()?.parse().ok()?;
    Some(Failure::TooLarge { most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_understood() {
        let version = |actual| {
            told(&format!(
                "Delete failed due to WrongExpectedVersion. Stream: order-1, Expected version: -4, \
                 Actual version: {actual}"
            ))
        };
        assert_eq!(version("-1"), Some(Failure::Conflict { actual: None }));
        assert_eq!(version("17."), Some(Failure::Conflict { actual: Some(Revision(17)) }));
        let large = told("Maximum Append Size of 1048576 Exceeded.");
        assert_eq!(large, Some(Failure::TooLarge { most: 1_048_576 }));
        assert_eq!(told("something else"), None);
    }

    #[test]
    fn a_full_disk_is_not_a_lost_call() {
        let full = Error::ServerError("status: Unavailable, the store cannot write: full".into());
        assert_eq!(Failure::from(full), Failure::Refused("full".into()));
        let lost = Failure::from(Error::ServerError("status: Unknown, broken pipe".into()));
        assert!(lost.may_pass() && matches!(lost, Failure::Lost(_)));
    }
}
