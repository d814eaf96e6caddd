//! What is to become of a request: the rules of all stores, told from what a store knows.

use std::mem;

use bytes::Bytes;
use uuid::Uuid;

use crate::lifetimes::{Lifetime, TOMBSTONE};
use crate::planted::{self, Bug};
use crate::{
    AppendError, Appended, Expected, Limits, NewEvent, Position, Recorded, Revision, StreamCheck,
    StreamId, StreamMetadata, StreamState, StreamWrite, Transaction, Violation,
};

/// What a store can be asked to write.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Append(Transaction),
    Delete { stream: StreamId, expected: Expected },
    Tombstone { stream: StreamId, expected: Expected },
}

/// What a store must tell for a request to be judged.
pub(crate) trait History {
    /// Why something cannot be told, or why the request is refused.
    type Error: From<AppendError>;

    /// The stream's last revision.
    fn last(&mut self, stream: &StreamId) -> Result<Option<Revision>, Self::Error>;

    /// Whether the stream surely has none of these events, by their ids. `false` says nothing.
    fn lacks(&mut self, _stream: &StreamId, _events: &[NewEvent]) -> bool {
        false
    }

    /// Where the stream's event of this id is.
    fn find(&mut self, stream: &StreamId, id: Uuid) -> Result<Option<Place>, Self::Error>;

    /// What bounds the stream's events.
    fn lifetime(&mut self, stream: &StreamId) -> Lifetime;

    /// The last event of a metadata stream.
    fn metadata(&mut self, stream: &StreamId) -> Result<Option<Recorded>, Self::Error>;
}

/// Where an event of a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) revision: Revision,
    pub(crate) position: Position,
}

/// What is to be done with a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Nothing: it was done before, with these results.
    Repeated(Vec<Appended>),
    /// Write all of this, in this order; the results of these are the answer.
    Fresh { writes: Vec<Write>, answers: Vec<usize> },
}

/// Events for a stream, and the revision of the first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) stream: StreamId,
    pub(crate) first: Revision,
    pub(crate) events: Vec<NewEvent>,
}

impl Request {
    /// About how many bytes it takes in memory and on disk.
    pub(crate) fn bytes(&self) -> usize {
        let Self::Append(transaction) = self else { return 256 };
        let events = transaction.writes().iter().flat_map(|write| &write.events);
        let bytes = events.map(|event| event.data.len() + event.metadata.len() + 256);
        bytes.sum::<usize>() + transaction.checks().len() * 256
    }

    /// Checks what can be told from the request alone.
    ///
    /// # Errors
    /// [`AppendError::Size`] and [`AppendError::Reserved`].
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), AppendError> {
        match self {
            Self::Append(transaction) => {
                check_checks(transaction.checks(), limits)?;
                check_writes(transaction.writes(), limits)
            }
            Self::Delete { stream, .. } | Self::Tombstone { stream, .. } => check_end(stream),
        }
    }
}

/// Checks what can be told from an append alone.
pub(crate) fn check_writes(writes: &[StreamWrite], limits: &Limits) -> Result<(), AppendError> {
    limits.check(writes)?;
    writes.iter().try_for_each(check_write)
}

fn check_checks(checks: &[StreamCheck], limits: &Limits) -> Result<(), AppendError> {
    let (what, max) = ("the number of checks in one transaction", limits.append_events);
    let actual = checks.len();
    if actual > max {
        return Err(AppendError::Size { what, min: 0, max, actual });
    }
    checks.iter().try_for_each(|check| check_name(&check.stream))
}

/// Checks whether a stream is one that can be deleted or ended.
pub(crate) fn check_end(stream: &StreamId) -> Result<(), AppendError> {
    check_name(stream)?;
    match stream.described() {
        Some(_) => reserved(stream, "metadata goes with the stream that it is said of"),
        None => Ok(()),
    }
}

fn check_write(write: &StreamWrite) -> Result<(), AppendError> {
    check_name(&write.stream)?;
    let holds_metadata = write.stream.described().is_some();
    for event in &write.events {
        if holds_metadata && &*event.kind != StreamMetadata::KIND {
            return reserved(&write.stream, "it takes events of the type $metadata alone");
        }
        if &*event.kind == TOMBSTONE {
            return reserved(&write.stream, "a stream is ended by its tombstone, not by an append");
        }
    }
    Ok(())
}

fn check_name(stream: &StreamId) -> Result<(), AppendError> {
    let name = stream.described().unwrap_or(stream.as_str());
    if name.is_empty() {
        return reserved(stream, "a metadata stream is named after another stream");
    }
    if name.starts_with("$$") {
        return Err(AppendError::metadata_of_metadata(stream.clone()));
    }
    if name.starts_with("$ce-") || name.starts_with("$et-") {
        return reserved(stream, "it is an index over other streams' events");
    }
    Ok(())
}

fn reserved(stream: &StreamId, reason: &'static str) -> Result<(), AppendError> {
    Err(AppendError::Reserved { stream: stream.clone(), reason })
}

/// Judges a request that was [checked](Request::check).
///
/// It is left as it was where it is not admitted.
pub(crate) fn admit<H: History>(
    history: &mut H,
    request: &mut Request,
) -> Result<Admission, H::Error> {
    match request {
        Request::Append(transaction) => append(history, transaction),
        Request::Delete { stream, expected } => delete(history, stream, *expected),
        Request::Tombstone { stream, expected } => tombstone(history, stream, *expected),
    }
}

/// The ids of an append come before its expectations, so that a retry is answered as the first
/// time although the stream has moved on.
fn append<H: History>(
    history: &mut H,
    transaction: &mut Transaction,
) -> Result<Admission, H::Error> {
    let writes = transaction.writes();
    writes.iter().try_for_each(distinct_ids)?;
    let known = writes.iter().map(|w| repeated(history, w)).collect::<Result<Vec<_>, _>>()?;
    if let Some(first) = known.iter().position(Option::is_some) {
        let all = known.into_iter().collect::<Option<_>>().map(Admission::Repeated);
        let reused = || AppendError::IdReused { id: writes[first].events[0].id };
        return Ok(all.ok_or_else(reused)?);
    }
    check(history, transaction.checks())?;
    let (mut firsts, mut anew) = (Vec::with_capacity(writes.len()), Vec::new());
    for StreamWrite { stream, expected: expectation, .. } in writes {
        let (last, lifetime) = expected(history, stream, *expectation)?;
        let first = next(last);
        if lifetime.is_deleted() && !is_described(stream, writes) {
            anew.push(truncated(history, stream, first)?);
        }
        firsts.push(first);
    }
    let (_, writes, order) = mem::take(transaction).into_parts();
    let given = writes.into_iter().zip(firsts).map(|(write, first)| {
        let StreamWrite { stream, events, .. } = write;
        Write { stream, first, events }
    });
    let (mut writes, answers) = in_order(given.collect(), &order);
    writes.extend(anew);
    Ok(Admission::Fresh { writes, answers })
}

/// Whether all that is checked is so.
fn check<H: History>(history: &mut H, checks: &[StreamCheck]) -> Result<(), H::Error> {
    let mut violations = Vec::new();
    if planted::is(Bug::ChecksUnheeded) {
        return Ok(());
    }
    for (check, StreamCheck { stream, expected }) in checks.iter().enumerate() {
        let actual = violated(history, stream, *expected)?;
        violations.extend(actual.map(|actual| Violation { check, actual }));
    }
    if violations.is_empty() { Ok(()) } else { Err(AppendError::Violated { violations }.into()) }
}

/// What a stream is that is not as expected.
fn violated<H: History>(
    history: &mut H,
    stream: &StreamId,
    expected: Expected,
) -> Result<Option<StreamState>, H::Error> {
    let lifetime = history.lifetime(stream);
    if lifetime.tombstoned {
        return Ok(Some(StreamState::Tombstoned));
    }
    let (last, deleted) = (history.last(stream)?, lifetime.is_deleted());
    if expected.holds(last, deleted) {
        return Ok(None);
    }
    Ok(Some(match last {
        None => StreamState::NoStream,
        Some(_) if deleted && !matches!(expected, Expected::At(_)) => StreamState::Deleted,
        Some(revision) => StreamState::At(revision),
    }))
}

/// Cuts writes into runs, so that their events come in an order, given by the writes' indexes; as
/// they are where none is given. For each write, which run is its last.
fn in_order(writes: Vec<Write>, order: &[usize]) -> (Vec<Write>, Vec<usize>) {
    let mut last: Vec<_> = (0..writes.len()).collect();
    if order.is_empty() {
        return (writes, last);
    }
    let rest = writes.into_iter();
    let mut rest: Vec<_> = rest.map(|w| (w.stream, w.first, w.events.into_iter())).collect();
    let runs = order.chunk_by(|one, other| one == other).enumerate().map(|(n, run)| {
        let (stream, next, events) = &mut rest[run[0]];
        let (stream, first) = (stream.clone(), *next);
        next.0 += run.len() as u64;
        last[run[0]] = n;
        Write { stream, first, events: events.by_ref().take(run.len()).collect() }
    });
    let runs = runs.collect();
    (runs, last)
}

/// Whether something is said of a stream as a whole: what is meant then.
fn is_described(stream: &StreamId, writes: &[StreamWrite]) -> bool {
    writes.iter().any(|write| write.stream.described() == Some(stream.as_str()))
}

/// Whether no id comes twice.
pub(crate) fn distinct_ids(write: &StreamWrite) -> Result<(), AppendError> {
    let mut ids: Vec<_> = write.events.iter().map(|event| event.id).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(AppendError::IdReused { id: pair[0] }),
        None => Ok(()),
    }
}

/// What an earlier append of the same events to the same stream returned; `None` where all of
/// them are new.
fn repeated<H: History>(
    history: &mut H,
    write: &StreamWrite,
) -> Result<Option<Appended>, H::Error> {
    if history.lacks(&write.stream, &write.events) {
        return Ok(None);
    }
    let mut places = Vec::with_capacity(write.events.len());
    for event in &write.events {
        places.push(history.find(&write.stream, event.id)?);
    }
    let Some(known) = places.iter().position(Option::is_some) else { return Ok(None) };
    let reused = || AppendError::IdReused { id: write.events[known].id };
    let places = places.into_iter().collect::<Option<Vec<_>>>().ok_or_else(reused)?;
    let start = places[0].revision.0;
    if !places.iter().zip(start..).all(|(place, revision)| place.revision.0 == revision) {
        return Err(reused().into());
    }
    let Place { revision, position } = places[places.len() - 1];
    Ok(Some(Appended { revision, position }))
}

/// The stream's last revision and what bounds its events, if the stream is as expected.
fn expected<H: History>(
    history: &mut H,
    stream: &StreamId,
    expected: Expected,
) -> Result<(Option<Revision>, Lifetime), H::Error> {
    let lifetime = history.lifetime(stream);
    if lifetime.tombstoned {
        return Err(AppendError::Deleted { stream: stream.clone() }.into());
    }
    let actual = history.last(stream)?;
    if expected.holds(actual, lifetime.is_deleted()) {
        Ok((actual, lifetime))
    } else {
        Err(conflict(stream, expected, actual).into())
    }
}

fn conflict(stream: &StreamId, expected: Expected, actual: Option<Revision>) -> AppendError {
    AppendError::Conflict { stream: stream.clone(), expected, actual }
}

fn next(last: Option<Revision>) -> Revision {
    last.map_or(Revision::START, |last| Revision(last.0 + 1))
}

fn delete<H: History>(
    history: &mut H,
    stream: &StreamId,
    expectation: Expected,
) -> Result<Admission, H::Error> {
    let (last, lifetime) = expected(history, stream, expectation)?;
    if last.is_none() {
        return Err(conflict(stream, expectation, None).into());
    }
    if lifetime.is_deleted()
        && let Some(metadata) = stream.metadata_stream()
        && let Some(said) = history.metadata(&metadata)?
    {
        let appended = Appended { revision: said.revision, position: said.position };
        return Ok(Admission::Repeated(vec![appended]));
    }
    let write = truncated(history, stream, StreamMetadata::DELETED)?;
    Ok(Admission::Fresh { writes: vec![write], answers: vec![0] })
}

fn tombstone<H: History>(
    history: &mut H,
    stream: &StreamId,
    expectation: Expected,
) -> Result<Admission, H::Error> {
    let first = next(expected(history, stream, expectation)?.0);
    let id = own_id(history, stream, first)?;
    let event = NewEvent {
        id,
        kind: TOMBSTONE.into(),
        data: Bytes::new(),
        metadata: Bytes::new(),
        is_json: true,
    };
    let write = Write { stream: stream.clone(), first, events: vec![event] };
    Ok(Admission::Fresh { writes: vec![write], answers: vec![0] })
}

/// Says of a stream what was said before, but that its events begin at a revision.
fn truncated<H: History>(
    history: &mut H,
    stream: &StreamId,
    before: Revision,
) -> Result<Write, H::Error> {
    let of_metadata = || AppendError::metadata_of_metadata(stream.clone());
    let stream = stream.metadata_stream().ok_or_else(of_metadata)?;
    let last = history.metadata(&stream)?;
    let said = last.as_ref().and_then(|last| StreamMetadata::decode(&last.data));
    let said = StreamMetadata { truncate_before: Some(before), ..said.unwrap_or_default() };
    let first = next(last.map(|last| last.revision));
    let (kind, data) = (StreamMetadata::KIND.into(), said.encode().into());
    let id = own_id(history, &stream, first)?;
    let event = NewEvent { id, kind, data, metadata: Bytes::new(), is_json: true };
    Ok(Write { stream, first, events: vec![event] })
}

/// An unused id for an event of the store's own. It follows from the event's place, so that the
/// same requests make the same store.
fn own_id<H: History>(
    history: &mut H,
    stream: &StreamId,
    revision: Revision,
) -> Result<Uuid, H::Error> {
    let mut id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{revision}@{stream}").as_bytes());
    while history.find(stream, id)?.is_some() {
        id = Uuid::new_v5(&id, &[]);
    }
    Ok(id)
}
