use std::sync::Arc;

use daybook_event_schemas::DecodeError;
use daybook_event_store::{AppendError, InvalidStreamId, ReadError, Revision, StreamId};
use thiserror::Error;

/// Why an aggregate could not be loaded.
#[derive(Debug, Clone, Error)]
pub enum LoadError {
    /// Its id does not make a stream's name.
    #[error(transparent)]
    InvalidId(#[from] InvalidStreamId),
    /// Its stream could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// One of its events makes no sense to this release.
    #[error("event {revision} of stream {stream} cannot be decoded")]
    Undecodable {
        /// The stream.
        stream: StreamId,
        /// The event's place in it.
        revision: Revision,
        /// What is wrong with it.
        source: Arc<DecodeError>,
    },
}

/// Why the store could not serve a command now.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// It does not take events.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// It does not give events.
    #[error(transparent)]
    Read(ReadError),
    /// The program is shutting down, or a decision panicked; whether the command took effect is
    /// not known.
    #[error("the command was abandoned, repeat it with the same command id")]
    Abandoned,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, Error)]
pub enum CommandError<R> {
    /// A business rule said no.
    #[error(transparent)]
    Rejected(R),
    /// The caller has seen another revision than the one that the command would change.
    #[error("the stream is at revision {actual:?}, not at {expected}: read it again")]
    Stale {
        /// What the caller has seen.
        expected: Revision,
        /// What there is; `None` where nothing has happened yet.
        actual: Option<Revision>,
    },
    /// Somebody else was faster every time.
    #[error("others were faster {attempts} times: try again")]
    Conflict {
        /// How often it was tried.
        attempts: u32,
    },
    /// What the command makes happen does not fit into one append.
    #[error("the command makes more happen than fits into one append")]
    TooLarge(#[source] AppendError),
    /// The store cannot serve the command now.
    #[error("the store is not available")]
    Unavailable(#[source] StoreError),
    /// The stream holds something that cannot be read, or has been deleted for good.
    #[error("the stream cannot be read")]
    Damaged(#[source] LoadError),
    /// The aggregate's id does not make a stream's name.
    #[error(transparent)]
    InvalidId(InvalidStreamId),
}

impl<R> From<LoadError> for CommandError<R> {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::InvalidId(invalid) => Self::InvalidId(invalid),
            LoadError::Read(read @ ReadError::Unavailable { .. }) => {
                Self::Unavailable(StoreError::Read(read))
            }
            LoadError::Read(ReadError::Damaged { .. } | ReadError::Deleted { .. })
            | LoadError::Undecodable { .. } => Self::Damaged(error),
        }
    }
}
