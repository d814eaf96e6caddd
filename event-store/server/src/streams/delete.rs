use daybook_event_store::{Appended, EventStore};
use tonic::Status;

use super::StreamsService;
use super::expected::expected;
use crate::errors;
use crate::protocol::streams::delete_resp::{self, PositionOption as Deleted};
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
    let expected = expected(options.expected_stream_revision)?;
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
    let expected = expected(options.expected_stream_revision)?;
    let ended = service.store.tombstone(&stream, expected).await;
    let Appended { position, .. } = ended.map_err(|error| errors::refused("Tombstone", &error))?;
    let position = wire_position(position);
    let position =
        tombstone_resp::Position { commit_position: position, prepare_position: position };
    Ok(TombstoneResp { position_option: Some(Tombstoned::Position(position)) })
}
