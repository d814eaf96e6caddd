//! A shop: a store, projections that run, and queries on their database.

use std::time::Duration;

use daybook_database::{PerModel, testing};
use daybook_domain::customer::CustomerEvent;
use daybook_domain::order::{OrderEvent, OrderLine};
use daybook_domain::payment::PaymentEvent;
use daybook_domain::product::ProductEvent;
use daybook_domain::stock::StockEvent;
use daybook_domain::values::{CustomerId, Money, OrderId, PaymentId, Quantity, Timestamp};
use daybook_event_schemas::{Actor, Contract, Metadata, seal};
use daybook_event_store::{EventStore, Expected, Position, Store, StreamId};
use daybook_projections::{Address, Database, Limits, ProjectionOptions, Projections};
use daybook_query_side::Queries;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const DAY: i64 = 86_400;

pub(crate) struct Shop {
    pub(crate) queries: Queries,
    pub(crate) address: Address,
    store: Store,
    _running: Projections,
    pub(crate) folder: TempDir,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_with(&Limits::default()).await
    }

    /// Opens with limits for the queries.
    pub(crate) async fn open_with(limits: &Limits) -> Self {
        Self::open_apart(limits, &[]).await
    }

    /// Opens with databases of some read models alone, which are called like files.
    pub(crate) async fn open_apart(limits: &Limits, own: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = testing::prepare(folder.path(), "read.db").await.unwrap();
        let mut addresses = PerModel::from(address.clone());
        for (model, file) in own {
            addresses.give(model, testing::prepare(folder.path(), file).await.unwrap());
        }
        let store = Store::memory();
        let connect = |address: &Address| Database::connect(address, &Limits::default());
        let running = Projections::start(
            store.clone(),
            addresses.try_map(connect).unwrap(),
            ProjectionOptions::default(),
            CancellationToken::new(),
        );
        let running = running.await.unwrap();
        let queries = Queries::open_apart(&addresses, limits).unwrap();
        Self { queries, address, store, _running: running, folder }
    }

    /// Appends events, and waits until the projection of the category has them.
    pub(crate) async fn given<E: Contract>(
        &self,
        category: &str,
        projection: &str,
        id: impl ToString,
        events: &[E],
    ) -> Position {
        let stream = StreamId::new(category, id.to_string()).unwrap();
        let events = events.iter().map(|event| seal(Uuid::new_v4(), event, &metadata())).collect();
        let appended = self.store.append(&stream, Expected::Any, events).await.unwrap();
        self.wait(projection, appended.position).await;
        appended.position
    }

    pub(crate) async fn wait(&self, projection: &str, position: Position) {
        let reached = self.queries.wait_for(projection, position, Duration::from_mins(1)).await;
        assert!(reached.unwrap());
    }
}

fn metadata() -> Metadata {
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

pub(crate) fn many(quantity: i64) -> Quantity {
    Quantity::try_from(quantity).unwrap()
}

/// An order of some pieces of a SKU at 125 pence each, placed that many seconds later.
pub(crate) fn placed(
    order: u128,
    customer: u128,
    sku: &str,
    quantity: i64,
    seconds: i64,
) -> OrderEvent {
    OrderEvent::Placed {
        order: OrderId(Uuid::from_u128(order)),
        customer: CustomerId(Uuid::from_u128(customer)),
        lines: vec![OrderLine {
            sku: sku.parse().unwrap(),
            seller: "shop".parse().unwrap(),
            name: "Mug".parse().unwrap(),
            quantity: many(quantity),
            unit_price: gbp(125),
        }],
        total: gbp(125 * quantity),
        method: "card-ok".parse().unwrap(),
        at: at(seconds),
    }
}

pub(crate) fn paid(pence: i64) -> OrderEvent {
    let payment = PaymentId(Uuid::from_u128(9));
    OrderEvent::Paid { payment, amount: gbp(pence), at: at(1) }
}

pub(crate) fn requested(payment: u128, order: u128) -> PaymentEvent {
    PaymentEvent::Requested {
        payment: PaymentId(Uuid::from_u128(payment)),
        order: OrderId(Uuid::from_u128(order)),
        amount: gbp(250),
        method: "card-ok".parse().unwrap(),
        at: at(0),
    }
}

pub(crate) fn registered(customer: u128) -> CustomerEvent {
    CustomerEvent::Registered {
        customer: CustomerId(Uuid::from_u128(customer)),
        name: "Ann".parse().unwrap(),
        email: Some("ann@example.org".parse().unwrap()),
        country: None,
        at: at(0),
    }
}

pub(crate) fn listed(sku: &str) -> ProductEvent {
    ProductEvent::Listed {
        sku: sku.parse().unwrap(),
        seller: "shop".parse().unwrap(),
        name: format!("Mug {sku}").parse().unwrap(),
        description: "Holds tea".into(),
        category: "Kitchen".parse().unwrap(),
        brand: None,
        price: gbp(125),
        at: at(0),
    }
}

pub(crate) fn received(quantity: i64) -> StockEvent {
    StockEvent::Received { quantity: many(quantity), receipt: "r".into(), at: at(0) }
}

pub(crate) fn reserved(order: u128, quantity: i64) -> StockEvent {
    let order = OrderId(Uuid::from_u128(order));
    StockEvent::Reserved { order, quantity: many(quantity), expires_at: at(1_800), at: at(0) }
}
