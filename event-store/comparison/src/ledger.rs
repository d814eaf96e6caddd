//! An event store made of a database: the rules of the port over four questions to a transaction.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use daybook_event_store::{AppendError, Appended, NewEvent, Position, Revision, StreamId};
use uuid::Uuid;

use crate::group::{Commit, Request};

/// A database that can hold events.
pub(crate) trait Database: Send + 'static {
    /// The position after the last event's.
    fn next_position(&mut self) -> anyhow::Result<u64>;

    /// Runs `work` in a transaction, and makes the transaction durable.
    fn transact<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Ledger) -> anyhow::Result<T>,
    ) -> anyhow::Result<T>;
}

/// What a transaction does with events.
pub(crate) trait Ledger {
    /// The last revision of a stream.
    fn last_revision(&mut self, stream: &StreamId) -> anyhow::Result<Option<u64>>;
    /// Where the stream's event of this id is.
    fn find(&mut self, stream: &StreamId, id: Uuid) -> anyhow::Result<Option<Place>>;
    /// Inserts an event. False, and nothing has changed, where its stream has its id already.
    fn insert(&mut self, row: &Row<'_>) -> anyhow::Result<bool>;
    /// Takes an event back that this transaction inserted.
    fn remove(&mut self, row: &Row<'_>) -> anyhow::Result<()>;
}

/// Where an event of a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) revision: u64,
    pub(crate) position: u64,
}

/// An event that is to be inserted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) stream: &'a str,
    pub(crate) revision: u64,
    pub(crate) position: u64,
    pub(crate) recorded_at: i64,
    pub(crate) event: &'a NewEvent,
}

/// Commits groups of appends to a database, each group in one transaction.
#[derive(Debug)]
pub(crate) struct Committer<D> {
    database: D,
    next: u64,
}

impl<D: Database> Committer<D> {
    pub(crate) fn new(mut database: D) -> anyhow::Result<Self> {
        let next = database.next_position()?;
        Ok(Self { database, next })
    }
}

impl<D: Database> Commit for Committer<D> {
    fn commit(&mut self, group: &[Request]) -> anyhow::Result<Vec<Result<Appended, AppendError>>> {
        let recorded_at = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?;
        let recorded_at = i64::try_from(recorded_at.as_micros()).context("the clock")?;
        let mut next = self.next;
        let answers = self.database.transact(|ledger| {
            group.iter().map(|request| append(ledger, &mut next, recorded_at, request)).collect()
        })?;
        self.next = next;
        Ok(answers)
    }
}

/// One append within a transaction. What is usual, new events at the expected end of a stream,
/// costs one question and one insert each; what is not is looked up only then.
fn append(
    ledger: &mut dyn Ledger,
    next: &mut u64,
    recorded_at: i64,
    request: &Request,
) -> anyhow::Result<Result<Appended, AppendError>> {
    let last = ledger.last_revision(&request.stream)?;
    if !request.expected.holds(last.map(Revision), false) {
        let conflict = AppendError::Conflict {
            stream: request.stream.clone(),
            expected: request.expected,
            actual: last.map(Revision),
        };
        return Ok(earlier(ledger, request)?.unwrap_or(Err(conflict)));
    }
    let first = last.map_or(0, |last| last + 1);
    let stream = request.stream.as_str();
    let place = (first..).zip(*next..).zip(&request.events);
    let rows: Vec<_> = place
        .map(|((revision, position), event)| Row { stream, revision, position, recorded_at, event })
        .collect();
    for (n, row) in rows.iter().enumerate() {
        if !ledger.insert(row)? {
            rows[..n].iter().try_for_each(|row| ledger.remove(row))?;
            let reused = AppendError::IdReused { id: row.event.id };
            return Ok(earlier(ledger, request)?.unwrap_or(Err(reused)));
        }
    }
    let last = rows.last().context("an append without events")?;
    *next = last.position + 1;
    Ok(Ok(Appended { revision: Revision(last.revision), position: Position(last.position) }))
}

/// The answer to an append whose ids, or some of them, are there already; `None` if none is.
fn earlier(
    ledger: &mut dyn Ledger,
    request: &Request,
) -> anyhow::Result<Option<Result<Appended, AppendError>>> {
    let places = request.events.iter().map(|event| ledger.find(&request.stream, event.id));
    let places = places.collect::<Result<Vec<_>, _>>()?;
    let Some(known) = places.iter().position(Option::is_some) else { return Ok(None) };
    let reused = AppendError::IdReused { id: request.events[known].id };
    let Some(places) = places.into_iter().collect::<Option<Vec<_>>>() else {
        return Ok(Some(Err(reused)));
    };
    let first = places[0].revision;
    let same = (first..).zip(&places).all(|(revision, place)| place.revision == revision);
    let Place { revision, position } = places[places.len() - 1];
    let appended = Appended { revision: Revision(revision), position: Position(position) };
    Ok(Some(if same { Ok(appended) } else { Err(reused) }))
}
