//! redb as an event store: a table of events by position, an index by stream and revision, an
//! index by id and stream; one transaction for each group, durable when it is committed.

use std::path::Path;
use std::sync::Arc;

use daybook_event_store::{AppendError, Appended, Expected, NewEvent, StreamId};
use redb::{
    Builder, ReadOnlyTable, ReadableDatabase, ReadableTable, RepairSession, Table, TableDefinition,
    TableError, Value,
};
use uuid::Uuid;

use crate::engine::{Appends, Engine, Reader, Select, View};
use crate::group::Group;
use crate::ledger::{Committer, Database, Ledger, Place, Row};

/// Stream, revision, when it was recorded, id, type, metadata, payload.
type Event = (&'static str, u64, i64, u128, &'static str, &'static [u8], &'static [u8]);

const EVENTS: TableDefinition<'_, u64, Event> = TableDefinition::new("events");
const STREAMS: TableDefinition<'_, (&str, u64), u64> = TableDefinition::new("streams");
const IDS: TableDefinition<'_, (u128, &str), u64> = TableDefinition::new("ids");

/// redb.
#[derive(Debug)]
pub struct Redb {
    group: Group,
    database: Arc<redb::Database>,
}

impl Redb {
    /// Opens or makes the database in a folder.
    pub fn open(dir: &Path, cache_bytes: u64) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let cache_bytes = usize::try_from(cache_bytes)?;
        // Every database here was closed: one to be repaired would not be opened like the others.
        let database = Builder::new()
            .set_cache_size(cache_bytes)
            .set_repair_callback(RepairSession::abort)
            .create(dir.join("events.redb"))?;
        let database = Arc::new(database);
        let group = Group::start("redb", Committer::new(Arc::clone(&database))?)?;
        Ok(Self { group, database })
    }
}

struct Tables<'t> {
    events: Table<'t, u64, Event>,
    streams: Table<'t, (&'static str, u64), u64>,
    ids: Table<'t, (u128, &'static str), u64>,
}

impl Database for Arc<redb::Database> {
    fn next_position(&mut self) -> anyhow::Result<u64> {
        let events = match self.begin_read()?.open_table(EVENTS) {
            // Its first transaction makes the tables.
            Err(TableError::TableDoesNotExist(_)) => return self.transact(|_| Ok(0)),
            events => events?,
        };
        Ok(events.last()?.map_or(0, |(position, _)| position.value() + 1))
    }

    fn transact<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Ledger) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let transaction = self.begin_write()?;
        let done = {
            let events = transaction.open_table(EVENTS)?;
            let streams = transaction.open_table(STREAMS)?;
            let ids = transaction.open_table(IDS)?;
            work(&mut Tables { events, streams, ids })?
        };
        transaction.commit()?;
        Ok(done)
    }
}

impl Ledger for Tables<'_> {
    fn last_revision(&mut self, stream: &StreamId) -> anyhow::Result<Option<u64>> {
        let stream = stream.as_str();
        let last = self.streams.range((stream, 0)..=(stream, u64::MAX))?.next_back().transpose()?;
        Ok(last.map(|(key, _)| key.value().1))
    }

    fn find(&mut self, stream: &StreamId, id: Uuid) -> anyhow::Result<Option<Place>> {
        let position = self.ids.get((id.as_u128(), stream.as_str()))?;
        let Some(position) = position.map(|position| position.value()) else { return Ok(None) };
        let place = self.events.get(position)?.map(|event| {
            let (_, revision, ..) = event.value();
            Place { revision, position }
        });
        Ok(place)
    }

    fn insert(&mut self, row: &Row<'_>) -> anyhow::Result<bool> {
        let Row { stream, revision, position, recorded_at, event } = *row;
        let id = event.id.as_u128();
        let before = self.ids.insert((id, stream), position)?.map(|before| before.value());
        if let Some(before) = before {
            self.ids.insert((id, stream), before)?;
            return Ok(false);
        }
        self.streams.insert((stream, revision), position)?;
        let columns =
            (stream, revision, recorded_at, id, &*event.kind, &*event.metadata, &*event.data);
        self.events.insert(position, columns)?;
        Ok(true)
    }

    fn remove(&mut self, row: &Row<'_>) -> anyhow::Result<()> {
        self.ids.remove((row.event.id.as_u128(), row.stream))?;
        self.streams.remove((row.stream, row.revision))?;
        self.events.remove(row.position)?;
        Ok(())
    }
}

impl Appends for Redb {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        self.group.append(stream, expected, events).await
    }
}

impl Engine for Redb {
    type Reader = Arc<redb::Database>;

    fn reader(&self) -> anyhow::Result<Self::Reader> {
        Ok(Arc::clone(&self.database))
    }
}

impl Reader for Arc<redb::Database> {
    async fn read(
        &mut self,
        select: Select<'_>,
        mut visit: impl FnMut(View<'_>) + Send,
    ) -> anyhow::Result<()> {
        let transaction = self.begin_read()?;
        let events = transaction.open_table(EVENTS)?;
        let streams = transaction.open_table(STREAMS)?;
        match select {
            Select::All => {
                for entry in events.iter()? {
                    let (position, event) = entry?;
                    visit(view(position.value(), event.value()));
                }
            }
            Select::Stream(stream) => {
                let stream = stream.as_str();
                for entry in streams.range((stream, 0)..=(stream, u64::MAX))? {
                    show(&events, entry?.1.value(), &mut visit)?;
                }
            }
            Select::Category(category) => {
                // Its streams stand side by side in the index over streams.
                let (from, to) = (format!("{category}-"), format!("{category}."));
                let entries = streams.range((&*from, 0)..(&*to, 0))?;
                let mut positions = entries
                    .map(|entry| entry.map(|(_, position)| position.value()))
                    .collect::<Result<Vec<_>, _>>()?;
                positions.sort_unstable();
                for position in positions {
                    show(&events, position, &mut visit)?;
                }
            }
        }
        Ok(())
    }
}

fn show(
    events: &ReadOnlyTable<u64, Event>,
    position: u64,
    visit: &mut impl FnMut(View<'_>),
) -> anyhow::Result<()> {
    let event = events.get(position)?;
    let event = event.ok_or_else(|| anyhow::anyhow!("position {position} is missing"))?;
    visit(view(position, event.value()));
    Ok(())
}

fn view(position: u64, event: <Event as Value>::SelfType<'_>) -> View<'_> {
    let (stream, revision, recorded_at, id, kind, metadata, data) = event;
    View { stream, revision, position, recorded_at, id: Uuid::from_u128(id), kind, data, metadata }
}
