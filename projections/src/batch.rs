//! One batch of events: found, applied and written, with what cannot be applied set aside.

use std::ops::Range;

use daybook_database::{Error, Tx, is_refusal, query};
use daybook_event_schemas::{DecodeError, Envelope, open};
use daybook_event_store::{Position, Recorded};
use thiserror::Error;

use crate::Database;
use crate::projection::Projection;
use crate::registry::{self, Lease};

/// Why a batch was not written. Nothing of the part that failed is kept.
#[derive(Debug, Error)]
pub(crate) enum BatchError {
    /// Another worker took the projection over, or the database is not as this one left it: it
    /// was restored, or its server failed and lost its last transactions.
    #[error("another worker took the projection over, or its checkpoint was set back")]
    Fenced,
    /// The database failed.
    #[error("the database failed")]
    Sql(#[from] Error),
}

/// An event to be applied, or the reason why it cannot be.
struct Step<E> {
    recorded: Recorded,
    event: Result<Envelope<E>, String>,
}

/// What became of a batch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) applied: usize,
    pub(crate) parked: usize,
}

/// The instants that a lease needs, in microseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) now: i64,
    pub(crate) lease_until: i64,
}

/// Projects a batch up to a position, in one transaction unless an event makes the database
/// refuse it: then in ever smaller parts, until that event stands alone and is parked.
pub(crate) async fn project<P: Projection>(
    projection: &mut P,
    database: &Database,
    lease: &mut Lease,
    events: Vec<Recorded>,
    upto: Position,
    times: Times,
) -> Result<Done, BatchError> {
    let mut steps: Vec<_> = events.into_iter().filter_map(step).collect();
    let whole = 0..steps.len();
    let mut parts = vec![whole];
    while let Some(part) = parts.pop() {
        let upto = steps.get(part.end).map_or(upto, |_| steps[part.end - 1].recorded.position);
        let written =
            write(projection, database, lease, &mut steps[part.clone()], upto, times).await;
        if written.is_err() {
            projection.forget();
        }
        match written {
            Err(BatchError::Sql(error))
                if is_refusal(&error) && steps[part.clone()].iter().any(|s| s.event.is_ok()) =>
            {
                divide(part, &mut parts, &mut steps, &error);
            }
            written => {
                written?;
                lease.position = Some(upto);
            }
        }
    }
    let parked = steps.iter().filter(|step| step.event.is_err()).count();
    Ok(Done { applied: steps.len() - parked, parked })
}

/// Reads an event. One of an unknown or retired type means nothing here.
fn step<E: daybook_event_schemas::Contract>(recorded: Recorded) -> Option<Step<E>> {
    match open(&recorded) {
        Ok(event) => event.map(|event| Step { recorded, event: Ok(event) }),
        Err(DecodeError::UnknownKind { .. }) => None,
        Err(error) => Some(Step { recorded, event: Err(chain(&error)) }),
    }
}

/// Halves a part that the database refused, or blames its only event.
fn divide<E>(
    part: Range<usize>,
    parts: &mut Vec<Range<usize>>,
    steps: &mut [Step<E>],
    error: &Error,
) {
    if part.len() == 1 {
        steps[part.start].event = Err(chain(error));
        parts.push(part);
        return;
    }
    let middle = part.start + part.len() / 2;
    parts.push(middle..part.end);
    parts.push(part.start..middle);
}

/// Writes the rows, the parked events and the checkpoint in one transaction.
async fn write<P: Projection>(
    projection: &mut P,
    database: &Database,
    lease: &Lease,
    steps: &mut [Step<P::Event>],
    upto: Position,
    times: Times,
) -> Result<(), BatchError> {
    let mut tx = database.begin().await?;
    let Times { now, lease_until } = times;
    if !registry::advance(&mut tx, lease, Some(upto), now, lease_until).await? {
        return Err(BatchError::Fenced);
    }
    while let Some((at, reason)) = apply(projection, &mut tx, steps).await? {
        // What it changed before it failed must not be kept: once more, without it.
        steps[at].event = Err(reason);
        projection.forget();
    }
    for rows in projection.buffers() {
        rows.flush(&mut tx).await?;
    }
    park(&mut tx, lease, steps, now).await?;
    Ok(tx.commit().await?)
}

/// Applies the events, up to the first that cannot be.
async fn apply<P: Projection>(
    projection: &mut P,
    tx: &mut Tx,
    steps: &[Step<P::Event>],
) -> Result<Option<(usize, String)>, Error> {
    let events = || steps.iter().enumerate().filter_map(|(n, s)| Some((n, s.event.as_ref().ok()?)));
    events().for_each(|(_, event)| projection.prepare(event));
    for rows in projection.buffers() {
        rows.load(tx).await?;
    }
    for (at, event) in events() {
        if let Err(error) = projection.apply(event) {
            return Ok(Some((at, chain(&error))));
        }
    }
    Ok(None)
}

async fn park<E>(tx: &mut Tx, lease: &Lease, steps: &[Step<E>], now: i64) -> Result<(), Error> {
    for Step { recorded, event } in steps {
        let Err(reason) = event else { continue };
        tracing::warn!(
            projection = lease.name, position = recorded.position.0, stream = %recorded.stream,
            kind = &*recorded.kind, reason, "an event was parked"
        );
        let parked = query(
            "INSERT INTO parked_events (projection, version, position, stream, revision, \
             event_id, kind, error, attempts, parked_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9) \
             ON CONFLICT (projection, version, position) DO UPDATE SET error = excluded.error, \
             attempts = parked_events.attempts + 1, parked_at = excluded.parked_at",
        )
        .bind(lease.name)
        .bind(i64::from(lease.version))
        .bind(recorded.position.0.cast_signed())
        .bind(recorded.stream.as_str())
        .bind(recorded.revision.0.cast_signed())
        .bind(recorded.id)
        .bind(&*recorded.kind)
        .bind(reason.as_str())
        .bind(now);
        tx.execute(parked).await?;
    }
    Ok(())
}

/// An error and what caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use daybook_database::{Executor, testing};
    use daybook_domain::stock::StockEvent;
    use daybook_domain::values::{Quantity, Timestamp};
    use daybook_event_schemas::{Actor, Metadata, seal};
    use daybook_event_store::Revision;
    use uuid::Uuid;

    use super::*;
    use crate::Limits;
    use crate::models::StockLevels;

    const KEY: (&str, u32) = (StockLevels::NAME, StockLevels::VERSION);

    fn received(position: u64) -> Recorded {
        let metadata = Metadata {
            schema_version: 1,
            correlation_id: Uuid::nil(),
            causation_id: Uuid::nil(),
            actor: Actor("user:alice".into()),
            traceparent: None,
        };
        let (quantity, at) = (Quantity::try_from(1).unwrap(), Timestamp::from_micros(0));
        let event = StockEvent::Received { quantity, receipt: "r".into(), at };
        let event = seal(Uuid::from_u128(position.into()), &event, &metadata);
        Recorded {
            stream: "stock-A".parse().unwrap(),
            revision: Revision(position),
            position: Position(position),
            recorded_at: 0,
            id: event.id,
            kind: event.kind,
            data: event.data,
            metadata: event.metadata,
            is_json: true,
        }
    }

    async fn database(folder: &Path) -> Database {
        let address = testing::prepare(folder, "a.db").await.unwrap();
        Database::open(&address, &Limits::default()).await.unwrap()
    }

    async fn take(database: &Database, owner: &str, now: i64) -> Option<Lease> {
        registry::acquire(database, KEY, owner, now, now + 100).await.unwrap()
    }

    async fn write(
        database: &Database,
        lease: &mut Lease,
        position: u64,
    ) -> Result<Done, BatchError> {
        let mut projection = StockLevels::new(StockLevels::VERSION);
        let events = vec![received(position)];
        let times = Times { now: 0, lease_until: 100 };
        project(&mut projection, database, lease, events, Position(position), times).await
    }

    async fn on_hand(database: &Database) -> i64 {
        let mut tx = database.begin().await.unwrap();
        let row = tx.fetch_optional(query("SELECT on_hand FROM stock")).await.unwrap();
        row.unwrap().i64("on_hand").unwrap()
    }

    #[tokio::test]
    async fn a_lease_is_taken_over_only_after_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(folder.path()).await;
        registry::install::<StockLevels>(&database, 1).await.unwrap();

        let first = take(&database, "first", 1_000).await.unwrap();
        assert_eq!(take(&database, "second", 1_099).await, None);
        let second = take(&database, "second", 1_100).await.unwrap();
        assert!(second.token > first.token);
        registry::release(&database, &second).await.unwrap();
        assert!(take(&database, "first", 1_101).await.is_some());
    }

    #[tokio::test]
    async fn a_worker_that_was_taken_over_can_write_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(folder.path()).await;
        registry::install::<StockLevels>(&database, 1).await.unwrap();
        let mut stale = take(&database, "first", 1_000).await.unwrap();
        write(&database, &mut stale, 0).await.unwrap();
        let mut fresh = take(&database, "second", 2_000).await.unwrap();
        assert_eq!(fresh.position, Some(Position(0)));
        write(&database, &mut fresh, 1).await.unwrap();

        let refused = write(&database, &mut stale, 1).await;

        assert!(matches!(refused, Err(BatchError::Fenced)), "{refused:?}");
        assert_eq!(on_hand(&database).await, 2);
    }

    #[tokio::test]
    async fn a_database_that_lost_what_was_written_is_not_written_on() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(folder.path()).await;
        registry::install::<StockLevels>(&database, 1).await.unwrap();
        let mut lease = take(&database, "first", 1_000).await.unwrap();
        write(&database, &mut lease, 0).await.unwrap();
        let mut tx = database.begin().await.unwrap();
        let lost = "UPDATE projections SET position = NULL";
        tx.execute(query(lost)).await.unwrap();
        tx.commit().await.unwrap();

        let refused = write(&database, &mut lease, 1).await;

        assert!(matches!(refused, Err(BatchError::Fenced)), "{refused:?}");
    }
}
