//! One batch of events: found, applied and written, with what cannot be applied set aside.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use daybook_database::{Error, Tx, chain, is_refusal, micros, now};
use daybook_event_schemas::{Contract, DecodeError, Envelope, open};
use daybook_event_store::{Position, Recorded};
use thiserror::Error;

use crate::Database;
use crate::parked::{Park, Stuck, park};
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
pub(crate) struct Step<E> {
    recorded: Recorded,
    event: Result<Envelope<E>, String>,
    /// Why it is parked by now, although it could be read.
    verdict: Option<Verdict>,
}

/// Why an event that can be read is parked.
enum Verdict {
    /// It could not be applied.
    Failed(String),
    /// An earlier event of its stream is parked.
    Held,
}

impl<E> Step<E> {
    /// The event, if it is to be applied.
    fn applicable(&self) -> Option<&Envelope<E>> {
        self.event.as_ref().ok().filter(|_| self.verdict.is_none())
    }

    /// The event as it is to be parked, if it is.
    fn park(&self) -> Option<Park<'_>> {
        let (error, tried) = match (&self.event, &self.verdict) {
            (_, Some(Verdict::Held)) => (HELD, false),
            (Err(error), None) | (_, Some(Verdict::Failed(error))) => (error.as_str(), true),
            (Ok(_), None) => return None,
        };
        Some(Park { event: &self.recorded, error, tried })
    }
}

/// What is said of an event that was not tried.
const HELD: &str = "held back: an earlier event of its stream is parked";

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

impl Times {
    /// Those of now, for a lease of this length.
    pub(crate) fn holding(lease: Duration) -> Self {
        let now = now();
        Self { now, lease_until: now + micros(lease) }
    }
}

/// Projects a batch up to a position, in one transaction unless an event makes the database
/// refuse it: then in ever smaller parts, until that event stands alone and is parked.
///
/// A parked event holds back the later ones of its stream, which are parked behind it, so that
/// they can be applied in their order once it can be. Other streams go on.
pub(crate) async fn project<P: Projection>(
    projection: &mut P,
    database: &Database,
    lease: &mut Lease,
    mut steps: Vec<Step<P::Event>>,
    upto: Position,
    times: Times,
) -> Result<Done, BatchError> {
    steps.retain(|step| !lease.stuck.is_discarded(step.recorded.position));
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
                if is_refusal(&error)
                    && steps[part.clone()].iter().any(|step| step.applicable().is_some()) =>
            {
                divide(part, &mut parts, &mut steps, &error);
            }
            written => {
                written?;
                lease.position = Some(upto);
                let parked = steps[part].iter().filter_map(Step::park);
                parked.for_each(|parked| lease.stuck.add(parked.event.stream.clone()));
            }
        }
    }
    let parked = steps.iter().filter(|step| step.park().is_some()).count();
    Ok(Done { applied: steps.len() - parked, parked })
}

/// The events, unless one of them cannot be read, or stands behind a parked one of its stream. What
/// was discarded is left out.
pub(crate) fn plain<'a, E>(steps: &'a [Step<E>], stuck: &Stuck) -> Option<Vec<&'a Envelope<E>>> {
    let kept = steps.iter().filter(|step| !stuck.is_discarded(step.recorded.position));
    kept.map(|step| step.event.as_ref().ok().filter(|_| !stuck.has(&step.recorded.stream)))
        .collect()
}

/// Reads events. Those of an unknown or retired type mean nothing here, and are left out.
pub(crate) fn read<E: Contract>(events: Vec<Recorded>) -> Vec<Step<E>> {
    // Nearly all mean something, and steps are large to be moved while their number grows.
    let mut steps = Vec::with_capacity(events.len());
    steps.extend(events.into_iter().filter_map(step));
    steps
}

fn step<E: Contract>(recorded: Recorded) -> Option<Step<E>> {
    match open(&recorded) {
        Ok(event) => event.map(|event| Step { recorded, event: Ok(event), verdict: None }),
        Err(DecodeError::UnknownKind { .. }) => None,
        Err(error) => Some(Step { recorded, event: Err(chain(&error)), verdict: None }),
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
        steps[part.start].verdict = Some(Verdict::Failed(chain(error)));
        parts.push(part);
        return;
    }
    // Found while an event was applied that may turn out to be the culprit.
    steps[part.clone()].iter_mut().for_each(|step| step.verdict = None);
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
    hold_back(steps, &lease.stuck);
    while let Some((at, reason)) = apply(projection, &mut tx, steps).await? {
        // What it changed before it failed must not be kept: once more, without it.
        steps[at].verdict = Some(Verdict::Failed(reason));
        hold_back(steps, &lease.stuck);
        projection.forget();
    }
    for rows in projection.buffers() {
        rows.take().upsert(&mut tx).await?;
    }
    for Park { event, error, .. } in steps.iter().filter_map(Step::park) {
        tracing::warn!(
            projection = lease.name, position = event.position.0, stream = %event.stream,
            kind = &*event.kind, reason = error, "an event was parked"
        );
    }
    let key = (lease.name, lease.generation);
    park(&mut tx, key, steps.iter().filter_map(Step::park), now).await?;
    Ok(tx.commit().await?)
}

/// Sets aside what comes after a parked event of the same stream.
fn hold_back<E>(steps: &mut [Step<E>], stuck: &Stuck) {
    let mut streams = HashSet::new();
    for step in steps {
        let stream = &step.recorded.stream;
        if stuck.has(stream) || streams.contains(stream) {
            step.verdict = Some(Verdict::Held);
        } else if step.park().is_some() {
            streams.insert(stream.clone());
        }
    }
}

/// Applies the events, up to the first that cannot be.
async fn apply<P: Projection>(
    projection: &mut P,
    tx: &mut Tx,
    steps: &[Step<P::Event>],
) -> Result<Option<(usize, String)>, Error> {
    let events = || steps.iter().enumerate().filter_map(|(n, s)| Some((n, s.applicable()?)));
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use daybook_database::{Executor, query, testing};
    use daybook_domain::stock::StockEvent;
    use daybook_domain::values::{Quantity, Timestamp};
    use daybook_event_schemas::{Actor, Metadata, seal};
    use daybook_event_store::{RecordedEvent, Revision};
    use uuid::Uuid;

    use super::*;
    use crate::Limits;
    use crate::models::StockLevels;

    const KEY: (&str, u32) = (StockLevels::NAME, 1);

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
        RecordedEvent {
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
        .into()
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
        let mut projection = StockLevels::new(1);
        let events = read(vec![received(position)]);
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
        registry::install::<StockLevels>(&database).await.unwrap();

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
        registry::install::<StockLevels>(&database).await.unwrap();
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
        registry::install::<StockLevels>(&database).await.unwrap();
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
