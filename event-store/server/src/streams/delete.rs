use daybook_event_store::{Appended, EventStore, Expected, Revision};
use tonic::Status;

use super::StreamsService;
use crate::errors;
use crate::protocol::streams::delete_req::options::ExpectedStreamRevision as DeleteExpects;
use crate::protocol::streams::delete_resp::{self, PositionOption as Deleted};
use crate::protocol::streams::tombstone_req::options::ExpectedStreamRevision as TombstoneExpects;
use crate::protocol::streams::tombstone_resp::{self, PositionOption as Tombstoned};
use crate::protocol::streams::{DeleteReq, DeleteResp, TombstoneReq, TombstoneResp};
use crate::protocol::{stream, wire_position};

/// Deletes a stream so that it may begin anew.
pub(crate) async fn delete(
    service: &StreamsService,
    request: DeleteReq,
) -> Result<DeleteResp, Status> {
    let options = request.options.ok_or_else(|| errors::required("options"))?;
    let stream = stream(options.stream_identifier.as_ref())?;
    service.caller.stream(stream.as_str())?;
    let expected = match options.expected_stream_revision {
        Some(DeleteExpects::Revision(revision)) => Expected::At(Revision(revision)),
        Some(DeleteExpects::NoStream(_)) => Expected::NoStream,
        Some(DeleteExpects::Any(_)) => Expected::Any,
        Some(DeleteExpects::StreamExists(_)) => Expected::StreamExists,
        None => return Err(errors::required("expected stream revision")),
    };
    let deleted = service.store.delete(&stream, expected).await;
    let Appended { position, .. } = deleted.map_err(|error| errors::refused("Delete", &error))?;
    let position = wire_position(position);
    let position = delete_resp::Position { commit_position: position, prepare_position: position };
    Ok(DeleteResp { position_option: Some(Deleted::Position(position)) })
}

/// Ends a stream for good.
pub(crate) async fn tombstone(
    service: &StreamsService,
    request: TombstoneReq,
) -> Result<TombstoneResp, Status> {
    let options = request.options.ok_or_else(|| errors::required("options"))?;
    let stream = stream(options.stream_identifier.as_ref())?;
    service.caller.stream(stream.as_str())?;
    let expected = match options.expected_stream_revision {
        Some(TombstoneExpects::Revision(revision)) => Expected::At(Revision(revision)),
        Some(TombstoneExpects::NoStream(_)) => Expected::NoStream,
        Some(TombstoneExpects::Any(_)) => Expected::Any,
        Some(TombstoneExpects::StreamExists(_)) => Expected::StreamExists,
        None => return Err(errors::required("expected stream revision")),
    };
    let ended = service.store.tombstone(&stream, expected).await;
    let Appended { position, .. } = ended.map_err(|error| errors::refused("Tombstone", &error))?;
    let position = wire_position(position);
    let position =
        tombstone_resp::Position { commit_position: position, prepare_position: position };
    Ok(TombstoneResp { position_option: Some(Tombstoned::Position(position)) })
}
