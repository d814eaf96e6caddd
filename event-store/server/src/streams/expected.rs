//! What a writer expects of a stream, as each call says it.

use daybook_event_store::{Expected, Revision};
use tonic::Status;

use crate::errors;
use crate::protocol::streams::append_req::options::ExpectedStreamRevision as AppendExpects;
use crate::protocol::streams::batch_append_req::options::ExpectedStreamPosition as BatchExpects;
use crate::protocol::streams::delete_req::options::ExpectedStreamRevision as DeleteExpects;
use crate::protocol::streams::tombstone_req::options::ExpectedStreamRevision as TombstoneExpects;

/// What a call expects, which it must say.
pub(super) fn expected(said: Option<impl Into<Expected>>) -> Result<Expected, Status> {
    said.map(Into::into).ok_or_else(|| errors::required("expected stream revision"))
}

/// The same in the words of several calls.
macro_rules! expectations {
    ($($said:ident::$at:ident),*) => { $(
        impl From<$said> for Expected {
            fn from(said: $said) -> Self {
                match said {
                    $said::$at(revision) => Self::At(Revision(revision)),
                    $said::NoStream(..) => Self::NoStream,
                    $said::Any(..) => Self::Any,
                    $said::StreamExists(..) => Self::StreamExists,
                }
            }
        }
    )* };
}

expectations!(
    AppendExpects::Revision,
    BatchExpects::StreamPosition,
    DeleteExpects::Revision,
    TombstoneExpects::Revision
);
