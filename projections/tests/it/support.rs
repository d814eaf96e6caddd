//! A store, a database in a folder of its own, and the events of a small business.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use daybook_database::{AssertSqlSafe, Executor, Pool, Raw, Row, query, testing};
use daybook_domain::order::{OrderEvent, OrderLine};
use daybook_domain::stock::StockEvent;
use daybook_domain::values::{CustomerId, Money, OrderId, PaymentId, Quantity, Timestamp};
use daybook_event_schemas::{Actor, Contract, Metadata, seal};
use daybook_event_store::{Appended, EventStore, Expected, NewEvent, Position, Store, StreamId};
use daybook_projections::{Address, Database, Limits, Operator, ProjectionOptions, Projections};
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

    /// The position of the last event.
    pub(crate) async fn head(&self) -> Option<Position> {
        self.store.head().await.unwrap()
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The address of a database, which is called like a file, and is one for sure if it
    /// ends in `.sqlite`.
    pub(crate) async fn address(&self, file: &str) -> Address {
        if file.ends_with(".sqlite") {
            return Address::from(&*self.path(file).to_string_lossy());
        }
        testing::prepare(self.folder.path(), file).await.unwrap()
    }

    pub(crate) async fn database(&self, file: &str) -> Database {
        Database::open(&self.address(file).await, &Limits::default()).await.unwrap()
    }

    pub(crate) async fn operator(&self, file: &str) -> Operator {
        Operator::new(self.store.clone(), self.database(file).await)
    }

    /// Starts the projections on a file.
    pub(crate) async fn start(&self, file: &str, options: ProjectionOptions) -> Running {
        self.start_with(file, options, Limits::default()).await
    }

    /// The same, with limits of its own.
    pub(crate) async fn start_with(
        &self,
        file: &str,
        options: ProjectionOptions,
        limits: Limits,
    ) -> Running {
        let shutdown = CancellationToken::new();
        let database = Database::open(&self.address(file).await, &limits).await.unwrap();
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
        self.sorted(file, &format!("SELECT * FROM {table}"), text).await
    }

    /// Some columns of all rows of a table, sorted as text.
    pub(crate) async fn columns(&self, file: &str, table: &str, columns: &str) -> Vec<String> {
        let values = |row: &Row| values(row).join(" ");
        self.sorted(file, &format!("SELECT {columns} FROM {table}"), values).await
    }

    async fn sorted(&self, file: &str, sql: &str, text: impl Fn(&Row) -> String) -> Vec<String> {
        let pool = self.pool(file).await;
        let rows = pool.fetch_all(query(AssertSqlSafe(sql.to_owned()))).await.unwrap();
        pool.close().await;
        let mut rows: Vec<_> = rows.iter().map(text).collect();
        rows.sort();
        rows
    }

    async fn pool(&self, file: &str) -> Pool {
        Pool::writer(&self.address(file).await, &Limits::default()).await.unwrap()
    }

    /// Changes the database behind the projections' back.
    pub(crate) async fn execute(&self, file: &str, sql: &'static str) {
        let pool = self.pool(file).await;
        let mut tx = pool.begin().await.unwrap();
        tx.execute(query(sql)).await.unwrap();
        tx.commit().await.unwrap();
        pool.close().await;
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

/// Pieces that come in, on a receipt of their own.
pub(crate) fn received(quantity: i64) -> StockEvent {
    let quantity = Quantity::try_from(quantity).unwrap();
    StockEvent::Received { quantity, receipt: Uuid::new_v4().to_string(), at: at(0) }
}

/// An order of one piece, placed and paid.
pub(crate) fn sale(order: u128, customer: u128, sku: &str, price: i64) -> [OrderEvent; 2] {
    let line = OrderLine {
        sku: sku.parse().unwrap(),
        seller: "a".parse().unwrap(),
        name: "Mug".parse().unwrap(),
        quantity: Quantity::try_from(1).unwrap(),
        unit_price: gbp(price),
    };
    let placed = OrderEvent::Placed {
        order: OrderId(Uuid::from_u128(order)),
        customer: CustomerId(Uuid::from_u128(customer)),
        lines: vec![line],
        total: gbp(price),
        method: "card-ok".parse().unwrap(),
        at: at(0),
    };
    let payment = PaymentId(Uuid::from_u128(order));
    [placed, OrderEvent::Paid { payment, amount: gbp(price), at: at(1) }]
}

pub(crate) fn gbp(minor: i64) -> Money {
    Money::new(minor, "GBP".parse().unwrap())
}

/// So many seconds after 2011-12-09T00:00:00Z.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((1_323_388_800 + seconds) * 1_000_000)
}

fn values(row: &Row) -> Vec<String> {
    let value = |n| match row.raw(n).unwrap() {
        Raw::Null => "-".to_owned(),
        Raw::Int(int) => int.to_string(),
        Raw::Text(text) => text.to_owned(),
    };
    (0..row.names().len()).map(value).collect()
}

fn text(row: &Row) -> String {
    let names = row.names().into_iter();
    names.zip(values(row)).map(|(name, value)| [name, "=", &value, " "].concat()).collect()
}
