//! Parked events, tried again.
//!
//! It is done in a transaction of its own on the rows that queries read. That transaction moves the
//! token of the lease on, so it may be done while a worker runs: what the worker has under way is not
//! written, and it begins again from its checkpoint with the rows as they are then.

use daybook_database::{Error, Tx, chain, is_refusal};
use daybook_event_schemas::{DecodeError, open};
use daybook_event_store::{Direction, EventStore, Position, Recorded, Store, StreamId};
use futures::TryStreamExt;

use crate::parked::{self, Parked};
use crate::projection::Projection;
use crate::registry;
use crate::{Database, OperateError};

/// What is to be replayed.
#[derive(Clone, Copy)]
pub(crate) struct Replay<'a> {
    pub(crate) store: &'a Store,
    pub(crate) database: &'a Database,
    pub(crate) stream: &'a str,
    /// The last event; none for all that are parked of the stream.
    pub(crate) upto: Option<Position>,
    /// Microseconds since 1970.
    pub(crate) now: i64,
    /// Whether everything is to stay as it is.
    pub(crate) dry_run: bool,
}

/// What became of a parked event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The event.
    pub parked: Parked,
    /// Why it stays parked, if it does.
    pub error: Option<String>,
}

/// Applies the parked events of a stream one after the other, up to the first that fails.
pub(crate) async fn replay<P: Projection>(
    request: Replay<'_>,
) -> Result<Vec<Replayed>, OperateError> {
    let Replay { database, stream, upto, now, dry_run, .. } = request;
    let generation = live::<P>(database).await?;
    let mut parked = parked::of_stream(database.pool(), P::NAME, generation, stream).await?;
    parked.retain(|parked| upto.is_none_or(|upto| parked.position <= upto));
    let events = events(request.store, stream, &parked).await?;
    let (mut most, mut failed) = (parked.len(), None);
    while most > 0 {
        let mut tx = begin::<P>(database, generation).await?;
        // Somebody else may have dealt with some of them meanwhile: then none is as was said.
        let still = parked::of_stream(&mut tx, P::NAME, generation, stream).await?;
        parked.truncate(same(&parked, &still));
        most = most.min(parked.len());
        match apply::<P>(&mut tx, generation, &events[..most]).await? {
            Ok(()) if dry_run => break,
            Ok(()) => {
                for parked in &parked[..most] {
                    parked::forget(&mut tx, parked).await?;
                }
                tx.commit().await?;
                break;
            }
            // Nothing of this transaction is kept: once more, without the one that failed.
            Err((at, error)) => (most, failed) = (at, Some(error)),
        }
    }
    if let (Some(error), Some(parked), false) = (&failed, parked.get(most), dry_run) {
        let mut tx = begin::<P>(database, generation).await?;
        parked::failed_again(&mut tx, parked, error, now).await?;
        tx.commit().await?;
    }
    let told = parked.into_iter().enumerate().map(|(at, parked)| {
        let held = || "an earlier event of its stream failed".to_owned();
        let error = (at >= most).then(|| failed.take().unwrap_or_else(held));
        Replayed { parked, error }
    });
    Ok(told.collect())
}

/// How many of the first are in both lists.
fn same(listed: &[Parked], still: &[Parked]) -> usize {
    listed.iter().zip(still).take_while(|(a, b)| a.position == b.position).count()
}

/// The generation that queries read, which must be of this code's version.
pub(crate) async fn live<P: Projection>(database: &Database) -> Result<u32, OperateError> {
    let generations = registry::generations_of(database.pool(), P::NAME).await?;
    let live = generations.iter().find(|generation| generation.role == registry::Role::Live);
    let live = live.ok_or(OperateError::Absent { name: P::NAME })?;
    if live.version != P::VERSION {
        let (name, theirs, ours) = (P::NAME, live.version, P::VERSION);
        return Err(OperateError::OtherVersion { name, theirs, ours });
    }
    Ok(live.generation)
}

/// Begins a transaction that nobody else writes the generation beside.
async fn begin<P: Projection>(database: &Database, generation: u32) -> Result<Tx, OperateError> {
    let mut tx = database.begin().await?;
    match registry::fence(&mut tx, P::NAME).await? {
        Some((live, _)) if live == generation => Ok(tx),
        _ => Err(OperateError::Absent { name: P::NAME }),
    }
}

/// Parked events of a stream as they stand in the store.
pub(crate) async fn events(
    store: &Store,
    stream: &str,
    parked: &[Parked],
) -> Result<Vec<Recorded>, OperateError> {
    let (Some(first), Ok(stream)) = (parked.first(), stream.parse::<StreamId>()) else {
        return Ok(Vec::new());
    };
    let mut recorded = store.read(&stream, first.revision, Direction::Forward);
    let mut events = Vec::with_capacity(parked.len());
    for Parked { position, revision, .. } in parked {
        let gone = OperateError::Gone { position: *position };
        let event = loop {
            let Some(event) = recorded.try_next().await? else { return Err(gone) };
            if event.revision == *revision {
                break event;
            }
            if event.revision > *revision {
                return Err(gone);
            }
        };
        events.push(event);
    }
    Ok(events)
}

/// Applies events in a transaction. The inner error is the place of the one that failed, and why.
async fn apply<P: Projection>(
    tx: &mut Tx,
    generation: u32,
    events: &[Recorded],
) -> Result<Result<(), (usize, String)>, Error> {
    let mut projection = P::new(generation);
    for (at, event) in events.iter().enumerate() {
        let event = match open::<P::Event>(event) {
            Ok(Some(event)) => event,
            Ok(None) | Err(DecodeError::UnknownKind { .. }) => continue,
            Err(error) => return Ok(Err((at, chain(&error)))),
        };
        projection.prepare(&event);
        for rows in projection.buffers() {
            rows.load(tx).await?;
        }
        if let Err(error) = projection.apply(&event) {
            return Ok(Err((at, chain(&error))));
        }
        for rows in projection.buffers() {
            match rows.take().upsert(tx).await {
                Err(error) if is_refusal(&error) => return Ok(Err((at, chain(&error)))),
                flushed => flushed?,
            }
        }
    }
    Ok(Ok(()))
}
