//! What a projection could not read or apply, what is held back behind it, and what was given up.

use std::collections::HashSet;

use daybook_database::{Column, Error, Executor, Kind, Merge, Row, Table, Tx, Value, query};
use daybook_event_store::{Position, Recorded, Revision, StreamId};
use uuid::Uuid;

/// An event that a read model could not read or apply, or that is held back behind such a one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The read model whose rows lack it.
    pub projection: String,
    /// The generation of its tables.
    pub generation: u32,
    /// Where the event stands in the store.
    pub position: Position,
    /// Its stream.
    pub stream: String,
    /// Its place in the stream.
    pub revision: Revision,
    /// Its id.
    pub event_id: Uuid,
    /// Its type.
    pub kind: String,
    /// Why it is parked: an error and what caused it, on one line.
    pub error: String,
    /// How often it was tried; none for one that is held back.
    pub attempts: u64,
    /// When it was last tried or put aside: microseconds since 1970.
    pub parked_at: i64,
}

/// What a generation may not go on with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stuck {
    /// Streams of which an event is parked.
    streams: HashSet<StreamId>,
    /// Events that an operator gave up.
    discarded: HashSet<Position>,
}

impl Stuck {
    pub(crate) async fn load(tx: &mut Tx, name: &str, generation: u32) -> Result<Self, Error> {
        let streams = "SELECT DISTINCT stream FROM parked_events \
                       WHERE projection = $1 AND generation = $2";
        let streams = query(streams).bind(name).bind(i64::from(generation));
        let streams = tx.fetch_all(streams).await?;
        let streams = streams.iter().map(|row| stream(row.str(0)?)).collect::<Result<_, _>>()?;
        Ok(Self { streams, discarded: given_up(tx, name).await? })
    }

    pub(crate) fn has(&self, stream: &StreamId) -> bool {
        self.streams.contains(stream)
    }

    pub(crate) fn is_discarded(&self, position: Position) -> bool {
        self.discarded.contains(&position)
    }

    pub(crate) fn add(&mut self, stream: StreamId) {
        self.streams.insert(stream);
    }
}

fn position(column: i64) -> Position {
    Position(column.cast_unsigned())
}

fn stream(name: &str) -> Result<StreamId, Error> {
    name.parse()
        .map_err(|error| Error::ColumnDecode { index: "stream".into(), source: Box::new(error) })
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

const COLUMNS: &[Column] = &[
    column("projection", Kind::Text),
    column("generation", Kind::Int),
    column("position", Kind::Int),
    column("stream", Kind::Text),
    column("revision", Kind::Int),
    column("event_id", Kind::Text),
    column("kind", Kind::Text),
    column("error", Kind::Text),
    column("attempts", Kind::Int),
    column("parked_at", Kind::Int),
];

/// An event that is to be parked.
pub(crate) struct Park<'a> {
    pub(crate) event: &'a Recorded,
    pub(crate) error: &'a str,
    /// Whether it was tried, and not only held back.
    pub(crate) tried: bool,
}

/// Parks events of a generation.
pub(crate) async fn park(
    tx: &mut Tx,
    (name, generation): (&'static str, u32),
    events: impl Iterator<Item = Park<'_>>,
    now: i64,
) -> Result<(), Error> {
    let table =
        Table { name: "parked_events".into(), columns: COLUMNS, keys: 3, merge: Merge::Replace };
    let mut values = Vec::new();
    for Park { event, error, tried } in events {
        values.extend([
            Value::Word(name),
            i64::from(generation).into(),
            event.position.0.cast_signed().into(),
            event.stream.as_str().into(),
            event.revision.0.cast_signed().into(),
            event.id.into(),
            (&*event.kind).into(),
            error.into(),
            i64::from(tried).into(),
            now.into(),
        ]);
    }
    tx.upsert(&table, values).await
}

/// What is parked by the generations that queries read, in the order of the events.
pub(crate) async fn list(executor: impl Executor) -> Result<Vec<Parked>, Error> {
    let parked = "SELECT e.* FROM parked_events e JOIN projections p ON p.name = e.projection \
                  AND p.generation = e.generation AND p.live \
                  ORDER BY e.projection, e.position";
    executor.fetch_all(query(parked)).await?.iter().map(parked_event).collect()
}

/// What is parked of a stream by a generation, in the order of the stream.
pub(crate) async fn of_stream(
    executor: impl Executor,
    name: &str,
    generation: u32,
    stream: &str,
) -> Result<Vec<Parked>, Error> {
    let parked = "SELECT * FROM parked_events WHERE projection = $1 AND generation = $2 \
                  AND stream = $3 ORDER BY position";
    let parked = query(parked).bind(name).bind(i64::from(generation)).bind(stream);
    executor.fetch_all(parked).await?.iter().map(parked_event).collect()
}

fn parked_event(row: &Row) -> Result<Parked, Error> {
    let text = |column| Ok::<_, Error>(row.str(column)?.to_owned());
    let number = |column| Ok::<_, Error>(row.i64(column)?.cast_unsigned());
    Ok(Parked {
        projection: text("projection")?,
        generation: u32::try_from(row.i64("generation")?).unwrap_or(0),
        position: Position(number("position")?),
        stream: text("stream")?,
        revision: Revision(number("revision")?),
        event_id: Uuid::try_parse(row.str("event_id")?).unwrap_or_default(),
        kind: text("kind")?,
        error: text("error")?,
        attempts: number("attempts")?,
        parked_at: row.i64("parked_at")?,
    })
}

/// Parks an event no more.
pub(crate) async fn forget(tx: &mut Tx, parked: &Parked) -> Result<(), Error> {
    let forget = "DELETE FROM parked_events WHERE projection = $1 AND generation = $2 \
                  AND position = $3";
    tx.execute(of(forget, parked)).await?;
    Ok(())
}

/// Notes that a parked event failed once more.
pub(crate) async fn failed_again(
    tx: &mut Tx,
    parked: &Parked,
    error: &str,
    now: i64,
) -> Result<(), Error> {
    let failed = "UPDATE parked_events SET error = $4, attempts = attempts + 1, parked_at = $5 \
                  WHERE projection = $1 AND generation = $2 AND position = $3";
    tx.execute(of(failed, parked).bind(error).bind(now)).await?;
    Ok(())
}

/// Events that a projection was told to do without.
pub(crate) async fn given_up(
    executor: impl Executor,
    name: &str,
) -> Result<HashSet<Position>, Error> {
    let given_up = "SELECT position FROM discarded_events WHERE projection = $1";
    let given_up = executor.fetch_all(query(given_up).bind(name)).await?;
    given_up.iter().map(|row| Ok(position(row.i64(0)?))).collect()
}

/// An event that an operator gave up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discarded {
    /// The read model that does without it.
    pub projection: String,
    /// Where the event stands in the store.
    pub position: Position,
    /// Its stream.
    pub stream: String,
    /// Its type.
    pub kind: String,
    /// What was wrong with it.
    pub error: String,
    /// Why it was given up.
    pub reason: String,
    /// Who gave it up; empty where an earlier release did not write that down.
    pub by: String,
    /// When: microseconds since 1970.
    pub at: i64,
}

/// Everything that was given up, in the order in which it was.
pub(crate) async fn discarded(executor: impl Executor) -> Result<Vec<Discarded>, Error> {
    let discarded = "SELECT * FROM discarded_events ORDER BY discarded_at, projection, position";
    let text = |row: &Row, column| Ok::<_, Error>(row.str(column)?.to_owned());
    let read = |row: &Row| {
        Ok(Discarded {
            projection: text(row, "projection")?,
            position: position(row.i64("position")?),
            stream: text(row, "stream")?,
            kind: text(row, "kind")?,
            error: text(row, "error")?,
            reason: text(row, "reason")?,
            by: text(row, "discarded_by")?,
            at: row.i64("discarded_at")?,
        })
    };
    executor.fetch_all(query(discarded)).await?.iter().map(read).collect()
}

/// Notes that an event was given up, by all generations.
pub(crate) async fn give_up(
    tx: &mut Tx,
    parked: &Parked,
    (reason, by): (&str, &str),
    now: i64,
) -> Result<(), Error> {
    let discard = query(
        "INSERT INTO discarded_events \
         (projection, position, stream, kind, error, reason, discarded_by, discarded_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (projection, position) DO NOTHING",
    );
    let discard = discard
        .bind(parked.projection.as_str())
        .bind(parked.position.0.cast_signed())
        .bind(parked.stream.as_str())
        .bind(parked.kind.as_str())
        .bind(parked.error.as_str())
        .bind(reason)
        .bind(by)
        .bind(now);
    tx.execute(discard).await?;
    Ok(())
}

fn of(sql: &'static str, parked: &Parked) -> daybook_database::Query {
    query(sql)
        .bind(parked.projection.as_str())
        .bind(i64::from(parked.generation))
        .bind(parked.position.0.cast_signed())
}
