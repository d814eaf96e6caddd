use std::collections::HashMap;
use std::sync::Arc;

use eventstore::{AppendToStreamOptions, Client, DeleteStreamOptions, TombstoneStreamOptions};
use futures::{TryStreamExt, pin_mut};
use uuid::Uuid;

use super::connection::Connection;
use super::failure::Failure;
use super::{pages, wire};
use crate::{
    AppendError, Appended, Direction, Expected, Listed, Position, Revision, StreamId,
    StreamMetadata, StreamWrite, admission,
};

/// Appends. What became of an attempt that got no answer is found out by the events' ids before
/// another is made.
pub(super) async fn append(
    connection: &Arc<Connection>,
    write: StreamWrite,
) -> Result<Appended, AppendError> {
    admission::distinct_ids(&write)?;
    let (mut attempts, mut lost) = (connection.attempts(), None);
    loop {
        let failure = match attempt(connection, &write, lost.is_some()).await {
            Ok(appended) => return Ok(appended),
            Err(Failure::Conflict { actual }) => {
                return refused(connection, &write, actual, lost.is_some()).await;
            }
            Err(failure) => failure,
        };
        if let Failure::Lost(reason) = &failure {
            lost = Some(reason.clone());
        }
        if !failure.may_pass() || !attempts.again(&failure).await {
            // Whatever failed last, an attempt before it may have taken place.
            let failure = lost.map_or(failure, Failure::Lost);
            return Err(failure.unwritten(&write.stream, write.expected));
        }
    }
}

/// One attempt; after a lost one only if that did not take place.
async fn attempt(
    connection: &Arc<Connection>,
    write: &StreamWrite,
    lost: bool,
) -> Result<Appended, Failure> {
    if lost
        && let Some(Sighting::Whole(appended)) = look_up(connection, write, floor(write)).await?
    {
        return Ok(appended);
    }
    let options = AppendToStreamOptions::default().requires_leader(true);
    let options = options.stream_state(wire::state(write.expected));
    let events: Vec<_> = write.events.iter().map(wire::event_data).collect();
    let stream = write.stream.as_str();
    let append =
        |client: Client| async move { client.append_to_stream(stream, &options, events).await };
    let written = connection.once(append).await?;
    if let Some(position) = wire::told_position(written.position) {
        return Ok(Appended { revision: Revision(written.next_expected_version), position });
    }
    // A cluster may not tell again where it wrote what it wrote before.
    match look_up(connection, write, Revision::START).await? {
        Some(Sighting::Whole(appended)) => Ok(appended),
        _ => Err(Failure::Lost("the events are hidden, and their position was not told".into())),
    }
}

/// The first revision at which the events may be.
fn floor(write: &StreamWrite) -> Revision {
    match write.expected {
        Expected::At(Revision(last)) => Revision(last.saturating_add(1)),
        _ => Revision::START,
    }
}

/// Tells a conflict from what looks like one on the wire: ids that are known in part, and a repeat
/// of a lost attempt that took place.
async fn refused(
    connection: &Arc<Connection>,
    write: &StreamWrite,
    actual: Option<Revision>,
    lost: bool,
) -> Result<Appended, AppendError> {
    let StreamWrite { stream, expected, events } = write;
    let conflict = AppendError::Conflict { stream: stream.clone(), expected: *expected, actual };
    let as_expected = expected.holds(actual, false);
    if !as_expected && !lost {
        return Err(conflict);
    }
    let sighting = look_up(connection, write, Revision::START).await;
    match sighting.map_err(|failure| failure.unwritten(stream, *expected))? {
        Some(Sighting::Whole(appended)) => Ok(appended),
        Some(Sighting::Part(id)) => Err(AppendError::IdReused { id }),
        // A stream that was deleted has a last revision and does not exist.
        None if !as_expected || *expected == Expected::StreamExists => Err(conflict),
        // It is in a part of the stream that cannot be read any more.
        None => Err(AppendError::IdReused { id: events[0].id }),
    }
}

/// What of an append is in its stream.
enum Sighting {
    /// All of it, in a row.
    Whole(Appended),
    /// Something, such as the event of this id, which is the first of them.
    Part(Uuid),
}

/// Looks for an append's events in its stream, from the end down to a revision. `None` where there
/// are none.
async fn look_up(
    connection: &Arc<Connection>,
    write: &StreamWrite,
    floor: Revision,
) -> Result<Option<Sighting>, Failure> {
    let ids: HashMap<_, _> = write.events.iter().map(|event| event.id).zip(0_usize..).collect();
    let name = write.stream.to_string();
    let events =
        pages::numbered(Arc::clone(connection), name, Revision::END, Direction::Backward, false);
    pin_mut!(events);
    let mut seen = Vec::new();
    while let Some(Listed { ordinal, event }) = events.try_next().await? {
        if ordinal < floor || seen.len() == ids.len() {
            break;
        }
        if let Some(&index) = ids.get(&event.id) {
            seen.push((index, ordinal.0, event.position));
        }
    }
    let Some(&(_, revision, position)) = seen.first() else { return Ok(None) };
    let revision = Revision(revision);
    seen.reverse();
    let in_a_row = seen
        .iter()
        .zip(0..)
        .all(|((index, revision, _), n)| *index == n && revision - seen[0].1 == n as u64);
    if in_a_row && seen.len() == ids.len() {
        return Ok(Some(Sighting::Whole(Appended { revision, position })));
    }
    let first = seen.iter().map(|(index, ..)| *index).min();
    Ok(first.map(|index| Sighting::Part(write.events[index].id)))
}

/// Deletes a stream. A lost attempt is not repeated: somebody may have begun the stream anew.
pub(super) async fn delete(
    connection: &Arc<Connection>,
    stream: &StreamId,
    expected: Expected,
) -> Result<Appended, AppendError> {
    let options = DeleteStreamOptions::default().requires_leader(true);
    let options = options.stream_state(wire::state(expected));
    let options = &options;
    let deleted = once_sent(connection, |client| async move {
        client.delete_stream(stream.as_str(), options).await
    });
    let placed = async {
        let position = deleted.await?;
        let event = pages::at(connection, position).await?;
        let event = event.ok_or_else(|| Failure::Lost(format!("nothing is at {position}")))?;
        Ok(Appended { revision: event.revision, position })
    };
    placed.await.map_err(|failure: Failure| failure.unwritten(stream, expected))
}

/// Ends a stream for good. Its tombstone has the greatest revision that the protocol has.
pub(super) async fn tombstone(
    connection: &Arc<Connection>,
    stream: &StreamId,
    expected: Expected,
) -> Result<Appended, AppendError> {
    let options = TombstoneStreamOptions::default().requires_leader(true);
    let options = options.stream_state(wire::state(expected));
    let options = &options;
    let ended = once_sent(connection, |client| async move {
        client.tombstone_stream(stream.as_str(), options).await
    });
    let position = ended.await.map_err(|failure| failure.unwritten(stream, expected))?;
    Ok(Appended { revision: StreamMetadata::DELETED, position })
}

/// Calls until the call reaches a server, for a while.
async fn once_sent<F>(
    connection: &Connection,
    call: impl Fn(Client) -> F,
) -> Result<Position, Failure>
where
    F: Future<Output = eventstore::Result<Option<eventstore::Position>>>,
{
    let mut attempts = connection.attempts();
    loop {
        match connection.once(&call).await {
            Ok(position) => {
                let position = position.and_then(wire::told_position);
                return position.ok_or_else(|| Failure::Lost("no position was told".into()));
            }
            Err(failure) => {
                let sent = matches!(failure, Failure::Lost(_)) || !failure.may_pass();
                if sent || !attempts.again(&failure).await {
                    return Err(failure);
                }
            }
        }
    }
}
