use uuid::Uuid;

use crate::{AppendError, Appended, Expected, Position, Revision, StreamId, StreamWrite};

/// What a store must tell for an append to be judged.
pub(crate) trait History {
    /// The stream's last revision.
    fn last(&mut self, stream: &StreamId) -> Result<Option<Revision>, AppendError>;

    /// Where the event of this id is.
    fn find(&mut self, id: Uuid) -> Result<Option<Place>, AppendError>;
}

/// Where an event is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) stream: StreamId,
    pub(crate) revision: Revision,
    pub(crate) position: Position,
}

/// What is to be done with an append.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Nothing: it was done before, with these results.
    Repeated(Vec<Appended>),
    /// Write it; each stream's last revision so far.
    Fresh(Vec<Option<Revision>>),
}

/// Judges an append whose sizes are within the limits. Its ids come before its expectations, so
/// that a retry is answered as the first time although the stream has moved on.
pub(crate) fn admit(
    history: &mut impl History,
    writes: &[StreamWrite],
) -> Result<Admission, AppendError> {
    distinct_ids(writes)?;
    let known = writes.iter().map(|w| repeated(history, w)).collect::<Result<Vec<_>, _>>()?;
    if let Some(first) = known.iter().position(Option::is_some) {
        let all = known.into_iter().collect::<Option<_>>().map(Admission::Repeated);
        return all.ok_or(AppendError::IdReused { id: writes[first].events[0].id });
    }
    let last = writes.iter().map(|w| expected(history, w)).collect::<Result<_, _>>()?;
    Ok(Admission::Fresh(last))
}

fn distinct_ids(writes: &[StreamWrite]) -> Result<(), AppendError> {
    let mut ids: Vec<_> = writes.iter().flat_map(|w| &w.events).map(|event| event.id).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(AppendError::IdReused { id: pair[0] }),
        None => Ok(()),
    }
}

/// What an earlier append of the same events to the same stream returned; `None` where all of
/// them are new.
fn repeated(
    history: &mut impl History,
    write: &StreamWrite,
) -> Result<Option<Appended>, AppendError> {
    let mut places = Vec::with_capacity(write.events.len());
    for event in &write.events {
        places.push(history.find(event.id)?);
    }
    let Some(known) = places.iter().position(Option::is_some) else { return Ok(None) };
    let reused = || AppendError::IdReused { id: write.events[known].id };
    let places = places.into_iter().collect::<Option<Vec<_>>>().ok_or_else(reused)?;
    let start = places[0].revision.0;
    let same = |(place, revision): (&Place, u64)| {
        place.stream == write.stream && place.revision.0 == revision
    };
    if !places.iter().zip(start..).all(same) {
        return Err(reused());
    }
    let last = &places[places.len() - 1];
    Ok(Some(Appended { revision: last.revision, position: last.position }))
}

fn expected(
    history: &mut impl History,
    write: &StreamWrite,
) -> Result<Option<Revision>, AppendError> {
    let actual = history.last(&write.stream)?;
    let holds = match write.expected {
        Expected::Any => true,
        Expected::NoStream => actual.is_none(),
        Expected::StreamExists => actual.is_some(),
        Expected::At(revision) => actual == Some(revision),
    };
    if holds {
        return Ok(actual);
    }
    Err(AppendError::Conflict { stream: write.stream.clone(), expected: write.expected, actual })
}
