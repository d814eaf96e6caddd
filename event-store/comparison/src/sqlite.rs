//! SQLite as an event store: write-ahead log, every commit synced (`synchronous = FULL`), one
//! writer thread with group commit, prepared statements, readers with connections of their own.
//! Its defaults are made for small rows and small files: pages of 8 KiB waste less on rows of
//! 1 KiB, and checkpoints are rarer.

use std::path::{Path, PathBuf};

use daybook_event_store::{AppendError, Appended, Expected, NewEvent, StreamId};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use uuid::Uuid;

use crate::engine::{Appends, Engine, Reader, Select, View};
use crate::group::Group;
use crate::ledger::{Committer, Database, Ledger, Place, Row};

/// Bytes of a page; counts in a new file only.
const PAGE: i64 = 8 << 10;
/// Pages in the write-ahead log before they are moved to the table: 32 MiB.
const CHECKPOINT: i64 = 4_096;

const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS events (
        position INTEGER PRIMARY KEY,
        stream TEXT NOT NULL,
        revision INTEGER NOT NULL,
        recorded_at INTEGER NOT NULL,
        id BLOB NOT NULL,
        kind TEXT NOT NULL,
        data BLOB NOT NULL,
        metadata BLOB NOT NULL,
        UNIQUE (stream, revision),
        UNIQUE (id, stream)
    ) STRICT";

const NEXT: &str = "SELECT coalesce(max(position) + 1, 0) FROM events";
const LAST: &str = "SELECT max(revision) FROM events WHERE stream = ?1";
const FIND: &str = "SELECT revision, position FROM events WHERE id = ?1 AND stream = ?2";
const INSERT: &str = "
    INSERT INTO events (position, stream, revision, recorded_at, id, kind, data, metadata)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id, stream) DO NOTHING";
const REMOVE: &str = "DELETE FROM events WHERE position = ?1";

const ALL: &str = "
    SELECT stream, revision, position, recorded_at, id, kind, data, metadata
    FROM events ORDER BY position";
const STREAM: &str = "
    SELECT stream, revision, position, recorded_at, id, kind, data, metadata
    FROM events WHERE stream = ?1 ORDER BY revision";
/// The streams of a category stand side by side in the index over streams.
const CATEGORY: &str = "
    SELECT stream, revision, position, recorded_at, id, kind, data, metadata
    FROM events WHERE stream >= ?1 || '-' AND stream < ?1 || '.' ORDER BY position";

/// SQLite.
#[derive(Debug)]
pub struct Sqlite {
    group: Group,
    file: PathBuf,
    cache_bytes: u64,
}

impl Sqlite {
    /// Opens or makes the database in a folder.
    pub fn open(dir: &Path, cache_bytes: u64) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let file = dir.join("events.sqlite");
        let connection = connect(&file, cache_bytes)?;
        connection.execute(TABLE, [])?;
        let group = Group::start("sqlite", Committer::new(connection)?)?;
        Ok(Self { group, file, cache_bytes })
    }
}

fn connect(file: &Path, cache_bytes: u64) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    let kibibytes = i64::try_from(cache_bytes >> 10).unwrap_or(i64::MAX);
    connection.pragma_update(None, "page_size", PAGE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -kibibytes)?;
    Ok(connection)
}

impl Database for Connection {
    fn next_position(&mut self) -> anyhow::Result<u64> {
        Ok(self.query_one(NEXT, [], |row| row.get::<_, i64>(0))?.try_into()?)
    }

    fn transact<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Ledger) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut transaction = self.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&mut transaction)?;
        transaction.commit()?;
        Ok(done)
    }
}

impl Ledger for rusqlite::Transaction<'_> {
    fn last_revision(&mut self, stream: &StreamId) -> anyhow::Result<Option<u64>> {
        let mut last = self.prepare_cached(LAST)?;
        let last: Option<i64> = last.query_one([stream.as_str()], |row| row.get(0))?;
        Ok(last.map(u64::try_from).transpose()?)
    }

    fn find(&mut self, stream: &StreamId, id: Uuid) -> anyhow::Result<Option<Place>> {
        let mut find = self.prepare_cached(FIND)?;
        let place = find.query_one(params![id, stream.as_str()], |row| {
            Ok(Place { revision: number(row, 0)?, position: number(row, 1)? })
        });
        Ok(place.optional()?)
    }

    fn insert(&mut self, row: &Row<'_>) -> anyhow::Result<bool> {
        let Row { stream, revision, position, recorded_at, event } = *row;
        let inserted = self.prepare_cached(INSERT)?.execute(params![
            i64::try_from(position)?,
            stream,
            i64::try_from(revision)?,
            recorded_at,
            event.id,
            &*event.kind,
            &*event.data,
            &*event.metadata,
        ])?;
        Ok(inserted == 1)
    }

    fn remove(&mut self, row: &Row<'_>) -> anyhow::Result<()> {
        self.prepare_cached(REMOVE)?.execute([i64::try_from(row.position)?])?;
        Ok(())
    }
}

/// A column that is never negative.
fn number(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

impl Appends for Sqlite {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        self.group.append(stream, expected, events).await
    }
}

impl Engine for Sqlite {
    type Reader = Connection;

    fn reader(&self) -> anyhow::Result<Connection> {
        Ok(connect(&self.file, self.cache_bytes)?)
    }
}

impl Reader for Connection {
    async fn read(
        &mut self,
        select: Select<'_>,
        mut visit: impl FnMut(View<'_>) + Send,
    ) -> anyhow::Result<()> {
        let (query, key) = match select {
            Select::All => (ALL, None),
            Select::Stream(stream) => (STREAM, Some(stream.as_str())),
            Select::Category(category) => (CATEGORY, Some(category)),
        };
        let mut query = self.prepare_cached(query)?;
        let mut rows = query.query(rusqlite::params_from_iter(key))?;
        while let Some(row) = rows.next()? {
            visit(view(row)?);
        }
        Ok(())
    }
}

fn view<'a>(row: &'a rusqlite::Row<'_>) -> anyhow::Result<View<'a>> {
    Ok(View {
        stream: row.get_ref(0)?.as_str()?,
        revision: number(row, 1)?,
        position: number(row, 2)?,
        recorded_at: row.get(3)?,
        id: row.get(4)?,
        kind: row.get_ref(5)?.as_str()?,
        data: row.get_ref(6)?.as_blob()?,
        metadata: row.get_ref(7)?.as_blob()?,
    })
}
