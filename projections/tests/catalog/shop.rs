//! A store, and a worker that keeps an index of its products.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use daybook_domain::product::ProductEvent;
use daybook_domain::stock::{ReleaseReason, StockEvent};
use daybook_domain::values::{Money, OrderId, Quantity, Timestamp};
use daybook_event_schemas::{Actor, Contract, Metadata, seal};
use daybook_event_store::{EventStore, Expected, NewEvent, Position, Store, StreamId};
use daybook_projections::catalog::{Catalog, CatalogOptions, CatalogPlace, CatalogVersions};
use daybook_search::testing;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const AT: Timestamp = Timestamp::from_micros(1_300_000_000_000_000);

pub(crate) fn pounds(minor: i64) -> Money {
    Money::new(minor, "GBP".parse().unwrap())
}

pub(crate) fn listed(sku: &str, name: &str, minor: i64) -> ProductEvent {
    ProductEvent::Listed {
        sku: sku.parse().unwrap(),
        seller: "acme".parse().unwrap(),
        name: name.parse().unwrap(),
        description: String::new(),
        category: "Home".parse().unwrap(),
        brand: None,
        price: pounds(minor),
        at: AT,
    }
}

pub(crate) fn repriced(minor: i64) -> ProductEvent {
    ProductEvent::Repriced { price: pounds(minor), at: AT }
}

pub(crate) fn described(name: &str) -> ProductEvent {
    moved(name, "Garden")
}

pub(crate) fn moved(name: &str, category: &str) -> ProductEvent {
    let (name, category) = (name.parse().unwrap(), category.parse().unwrap());
    ProductEvent::Described { name, description: "new".into(), category, brand: None, at: AT }
}

pub(crate) fn delisted() -> ProductEvent {
    ProductEvent::Delisted { reason: String::new(), at: AT }
}

fn quantity(count: u32) -> Quantity {
    Quantity::try_from(i64::from(count)).unwrap()
}

pub(crate) fn received(count: u32) -> StockEvent {
    StockEvent::Received { quantity: quantity(count), receipt: Uuid::now_v7().to_string(), at: AT }
}

pub(crate) fn reserved(order: OrderId, count: u32) -> StockEvent {
    StockEvent::Reserved { order, quantity: quantity(count), expires_at: AT, at: AT }
}

pub(crate) fn released(order: OrderId, count: u32) -> StockEvent {
    let reason = ReleaseReason::Cancelled;
    StockEvent::Released { order, quantity: quantity(count), reason, at: AT }
}

pub(crate) fn sealed(event: &impl Contract) -> NewEvent {
    let metadata = Metadata {
        schema_version: 1,
        correlation_id: Uuid::nil(),
        causation_id: Uuid::nil(),
        actor: Actor("test:catalog".into()),
        traceparent: None,
    };
    seal(Uuid::now_v7(), event, &metadata)
}

/// A store, and a place for the index.
pub(crate) struct Shop {
    pub(crate) store: Store,
    pub(crate) folder: TempDir,
    pub(crate) place: CatalogPlace,
}

/// A worker that runs.
pub(crate) struct Running {
    pub(crate) catalog: Catalog,
    shutdown: CancellationToken,
}

impl Shop {
    /// With an index on the server that is given, or else in a folder.
    pub(crate) fn new() -> Self {
        let shop = Self::in_folder();
        let given = testing::address().map(CatalogPlace::Cluster);
        Self { place: given.unwrap_or(shop.place), ..shop }
    }

    pub(crate) fn in_folder() -> Self {
        let folder = TempDir::new().unwrap();
        let place = CatalogPlace::Folder(folder.path().into());
        Self { store: Store::memory(), folder, place }
    }

    /// The folder of all versions.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().into()
    }

    pub(crate) async fn write(&self, stream: StreamId, event: NewEvent) -> Position {
        self.append_all(&stream, vec![event]).await
    }

    pub(crate) async fn append_all(&self, stream: &StreamId, events: Vec<NewEvent>) -> Position {
        self.store.append(stream, Expected::Any, events).await.unwrap().position
    }

    pub(crate) async fn append(&self, sku: &str, event: ProductEvent) -> Position {
        self.write(StreamId::new("product", sku).unwrap(), sealed(&event)).await
    }

    pub(crate) async fn stock(&self, sku: &str, event: StockEvent) -> Position {
        self.write(StreamId::new("stock", sku).unwrap(), sealed(&event)).await
    }

    pub(crate) fn options(&self) -> CatalogOptions {
        let usual = match &self.place {
            CatalogPlace::Folder(path) => CatalogOptions::new(path),
            CatalogPlace::Cluster(address) => CatalogOptions::on(address.clone()),
        };
        let short = Duration::from_millis(100);
        CatalogOptions { linger: Duration::ZERO, check: short, retry: short, ..usual }
    }

    pub(crate) async fn start_with(&self, options: CatalogOptions) -> Running {
        let shutdown = CancellationToken::new();
        let started = Catalog::start(self.store.clone(), options, shutdown.clone()).await;
        Running { catalog: started.unwrap(), shutdown }
    }

    pub(crate) async fn start(&self) -> Running {
        self.start_with(self.options()).await
    }

    /// Runs a worker until it has come to a position.
    pub(crate) async fn index_up_to(&self, position: Position) {
        let running = self.start().await;
        running.reaches(position).await;
        running.stop().await;
    }

    pub(crate) fn versions(&self) -> CatalogVersions {
        CatalogVersions::new(&self.place).unwrap()
    }

    /// The version that is read, once there is one.
    pub(crate) async fn live(&self) -> u32 {
        let look = async {
            loop {
                match self.versions().live().await.unwrap() {
                    Some(live) => return live,
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(Duration::from_mins(1), look).await.unwrap()
    }

    /// The documents that are read, by SKU.
    pub(crate) async fn documents(&self) -> BTreeMap<String, Value> {
        let versions = self.versions();
        let live = self.live().await;
        let documents = versions.documents(live).await.unwrap();
        let count = documents.len();
        let parsed = |(sku, json): (String, String)| (sku, serde_json::from_str(&json).unwrap());
        let documents: BTreeMap<_, _> = documents.into_iter().map(parsed).collect();
        assert_eq!(documents.len(), count, "a product has two documents");
        documents
    }

    /// Whether a product can be had.
    pub(crate) async fn in_stock(&self, sku: &str) -> bool {
        value(&self.documents().await[sku], "inStock").as_bool().unwrap()
    }

    pub(crate) async fn shows(&self, expected: &[(&str, &str, i64)]) {
        let documents = self.documents().await;
        let shown: Vec<_> = documents
            .iter()
            .map(|(sku, document)| {
                let name = value(document, "name").as_str().unwrap();
                (sku.as_str(), name, value(document, "price").as_i64().unwrap())
            })
            .collect();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(shown, expected);
    }
}

/// A field of a document; the embedded engine has a list of values in each.
pub(crate) fn value<'a>(document: &'a Value, field: &str) -> &'a Value {
    let value = &document[field];
    value.get(0).unwrap_or(value)
}

impl Running {
    pub(crate) async fn reaches(&self, position: Position) {
        let mut progress = self.catalog.progress();
        let reached = progress.wait_for(|reached| *reached >= Some(position));
        tokio::time::timeout(Duration::from_mins(1), reached).await.unwrap().unwrap();
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.catalog.join().await.unwrap();
    }
}
