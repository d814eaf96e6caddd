//! A store, a database in a folder of its own, and the events of a small business.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use daybook_domain::values::{Money, Timestamp};
use daybook_event_schemas::{Actor, Contract, Metadata, seal};
use daybook_event_store::{Appended, EventStore, Expected, NewEvent, Position, Store, StreamId};
use daybook_projections::{Database, ProjectionOptions, Projections};
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Row, TypeInfo, ValueRef};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Every table that queries read.
pub(crate) const TABLES: &[&str] = &[
    "orders",
    "order_lines",
    "order_shipments",
    "order_timeline",
    "stock",
    "reservations",
    "payments",
    "customers",
    "products",
    "sales_orders",
    "sales_by_day",
    "sales_by_product",
    "checkouts",
];

pub(crate) struct World {
    pub(crate) store: Store,
    folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { store: Store::memory(), folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) async fn database(&self, file: &str) -> Database {
        Database::open(self.path(file).to_str().unwrap()).await.unwrap()
    }

    /// Starts the projections on a file.
    pub(crate) async fn start(&self, file: &str, options: ProjectionOptions) -> Running {
        let shutdown = CancellationToken::new();
        let database = self.database(file).await;
        let projections =
            Projections::start(self.store.clone(), database, options, shutdown.clone()).await;
        Running { projections: projections.unwrap(), shutdown }
    }

    /// Projects everything there is onto a file, and stops.
    pub(crate) async fn project(&self, file: &str) {
        let running = self.start(file, options()).await;
        running.caught_up(&self.store).await;
        running.stop().await;
    }

    /// Appends events of the business to a stream.
    pub(crate) async fn given<E: Contract>(&self, category: &str, id: impl ToString, events: &[E]) {
        for event in events {
            let event = seal(Uuid::new_v4(), event, &metadata());
            self.append(category, id.to_string(), event).await;
        }
    }

    pub(crate) async fn append(
        &self,
        category: &str,
        id: impl ToString,
        event: NewEvent,
    ) -> Appended {
        let stream = StreamId::new(category, id.to_string()).unwrap();
        self.store.append(&stream, Expected::Any, vec![event]).await.unwrap()
    }

    /// The rows of a table as text, sorted.
    pub(crate) async fn rows(&self, file: &str, table: &str) -> Vec<String> {
        let options = SqliteConnectOptions::new().filename(self.path(file));
        let mut connection = options.connect().await.unwrap();
        let sql = AssertSqlSafe(format!("SELECT * FROM {table}"));
        let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
        let mut rows: Vec<_> = rows.iter().map(text).collect();
        rows.sort();
        rows
    }

    /// Some columns of all rows of a table, sorted as text.
    pub(crate) async fn columns(&self, file: &str, table: &str, columns: &str) -> Vec<String> {
        let options = SqliteConnectOptions::new().filename(self.path(file));
        let mut connection = options.connect().await.unwrap();
        let sql = AssertSqlSafe(format!("SELECT {columns} FROM {table}"));
        let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
        let mut rows: Vec<_> = rows.iter().map(values).map(|values| values.join(" ")).collect();
        rows.sort();
        rows
    }

    /// Changes the database behind the projections' back.
    pub(crate) async fn execute(&self, file: &str, sql: &'static str) {
        let options = SqliteConnectOptions::new().filename(self.path(file));
        let mut connection = options.connect().await.unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }

    /// Every table that queries read, as text.
    pub(crate) async fn everything(&self, file: &str) -> String {
        let mut all = String::new();
        for table in TABLES {
            let rows = self.rows(file, table).await;
            writeln!(all, "{table}\n  {}", rows.join("\n  ")).unwrap();
        }
        all
    }
}

pub(crate) struct Running {
    pub(crate) projections: Projections,
    pub(crate) shutdown: CancellationToken,
}

impl Running {
    /// Waits until every projection has come to the end of the store.
    pub(crate) async fn caught_up(&self, store: &Store) {
        let Some(head) = store.head().await.unwrap() else { return };
        for progress in self.projections.progress().values() {
            let reached = |position: Option<Position>| position.is_some_and(|p| p >= head);
            let mut progress = progress.clone();
            let wait = progress.wait_for(|progress| reached(progress.position));
            tokio::time::timeout(Duration::from_mins(1), wait).await.unwrap().unwrap();
        }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.projections.join().await;
    }
}

/// Options with a metrics registry of their own.
pub(crate) fn options() -> ProjectionOptions {
    ProjectionOptions { metrics: prometheus::Registry::new(), ..ProjectionOptions::default() }
}

pub(crate) fn metadata() -> Metadata {
    Metadata {
        schema_version: 1,
        correlation_id: Uuid::nil(),
        causation_id: Uuid::nil(),
        actor: Actor("user:alice".into()),
        traceparent: None,
    }
}

pub(crate) fn gbp(minor: i64) -> Money {
    Money::new(minor, "GBP".parse().unwrap())
}

/// So many seconds after 2011-12-09T00:00:00Z.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((1_323_388_800 + seconds) * 1_000_000)
}

fn values(row: &SqliteRow) -> Vec<String> {
    let value = |n| {
        let raw = row.try_get_raw(n).unwrap();
        match raw.type_info().name() {
            _ if raw.is_null() => "-".to_owned(),
            "INTEGER" => row.get::<i64, _>(n).to_string(),
            _ => row.get::<String, _>(n),
        }
    };
    (0..row.columns().len()).map(value).collect()
}

fn text(row: &SqliteRow) -> String {
    let names = row.columns().iter().map(Column::name);
    names.zip(values(row)).map(|(name, value)| [name, "=", &value, " "].concat()).collect()
}
