use std::sync::Arc;

use daybook_domain::Decider;
use daybook_event_schemas::{Contract, open};
use daybook_event_store::{Direction, EventStore, Recorded, Revision, Store, StreamId};
use futures::TryStreamExt;
use uuid::Uuid;

use super::{Handled, LoadError, Loaded};

/// The id of a command's event number `index`, from 0.
pub fn event_id(command_id: Uuid, index: usize) -> Uuid {
    Uuid::new_v5(&command_id, index.to_string().as_bytes())
}

/// Folds a whole stream.
pub(super) async fn fold<D: Decider>(
    store: &Store,
    stream: &StreamId,
) -> Result<Loaded<D>, LoadError>
where
    D::Event: Contract,
{
    let mut events = store.read(stream, Revision::START, Direction::Forward);
    let mut loaded = Loaded::<D>::default();
    let mut state = D::State::default();
    while let Some(recorded) = events.try_next().await? {
        if let Some(event) = decode(&recorded)? {
            state = D::evolve(state, &event);
        }
        loaded.revision = Some(recorded.revision);
        loaded.position = Some(recorded.position);
    }
    Ok(Loaded { state: Arc::new(state), ..loaded })
}

/// Looks a command's events up in a stream.
pub(super) async fn recall<D: Decider>(
    store: &Store,
    stream: &StreamId,
    command_id: Uuid,
) -> Result<Option<Handled<D>>, LoadError>
where
    D::Event: Contract,
{
    let mut recorded = store.read(stream, Revision::START, Direction::Forward);
    let (mut count, mut events, mut last) = (0, Vec::new(), None);
    // A command's events are one append, so they stand together.
    while let Some(next) = recorded.try_next().await? {
        if next.id == event_id(command_id, count) {
            count += 1;
            last = Some((next.revision, next.position));
            events.extend(decode(&next)?);
        } else if count > 0 {
            break;
        }
    }
    Ok(last.map(|(revision, position)| Handled {
        revision: Some(revision),
        position: Some(position),
        events,
    }))
}

fn decode<E: Contract>(recorded: &Recorded) -> Result<Option<E>, LoadError> {
    let opened = open(recorded).map_err(|source| LoadError::Undecodable {
        stream: recorded.stream.clone(),
        revision: recorded.revision,
        source: Arc::new(source),
    })?;
    Ok(opened.map(|envelope| envelope.event))
}
