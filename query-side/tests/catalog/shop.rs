//! A shop with six products, and an index of them.

use std::time::Duration;

use daybook_domain::product::ProductEvent;
use daybook_domain::stock::StockEvent;
use daybook_domain::values::{Money, Quantity, Timestamp};
use daybook_event_schemas::{Actor, Contract, Metadata, seal};
use daybook_event_store::{EventStore, Expected, Position, Store, StreamId};
use daybook_projections::catalog as writer;
use daybook_query_side::catalog::{
    Catalog, CatalogPage, CatalogQuery, CatalogSort, InvalidQuery, PriceRange, SearchError,
};
use daybook_search::{Address, testing};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const AT: Timestamp = Timestamp::from_micros(1_300_000_000_000_000);

/// A product: SKU, seller, name, description, category, brand, price, currency.
type Product = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    i64,
    &'static str,
);

const PRODUCTS: [Product; 6] = [
    ("85123A", "acme", "White hanging heart", "A T-light holder", "Home", "Wick", 255, "GBP"),
    ("71053", "acme", "White metal lantern", "Hangs in the garden", "Garden", "Wick", 339, "GBP"),
    ("84029E", "bert", "Red woolly bottle", "With white hearts", "Home", "Hottie", 375, "GBP"),
    ("22752", "bert", "Set of 7 boxes", "Nesting boxes", "Home", "", 765, "GBP"),
    ("21730", "bert", "Glass star", "Frosted, for a T-light", "Lights", "Wick", 425, "EUR"),
    ("GIFT 0001_20", "acme", "Voucher", "Twenty pounds", "Vouchers", "", 2_000, "GBP"),
];

/// An index that the projection keeps, and its reader.
pub(crate) struct Shop {
    store: Store,
    pub(crate) catalog: Catalog,
    pub(crate) running: writer::Catalog,
    pub(crate) shutdown: CancellationToken,
    pub(crate) folder: TempDir,
}

impl Shop {
    /// Without products, on the server that is given, or else in a folder.
    pub(crate) async fn empty() -> Self {
        Self::on(testing::address()).await
    }

    pub(crate) async fn on(cluster: Option<Address>) -> Self {
        let (folder, store) = (TempDir::new().unwrap(), Store::memory());
        let (options, catalog) = match cluster {
            Some(address) => {
                let catalog = Catalog::on(&address).unwrap();
                (writer::CatalogOptions::on(address), catalog)
            }
            None => (writer::CatalogOptions::new(folder.path()), Catalog::new(folder.path())),
        };
        let short = Duration::from_millis(100);
        let options = writer::CatalogOptions {
            linger: Duration::ZERO,
            check: short,
            retry: short,
            ..options
        };
        let shutdown = CancellationToken::new();
        let running = writer::Catalog::start(store.clone(), options, shutdown.clone());
        let running = running.await.unwrap();
        Self { store, catalog, running, shutdown, folder }
    }

    pub(crate) async fn open() -> Self {
        Self::empty().await.with_products().await
    }

    pub(crate) async fn with_products(self) -> Self {
        let shop = self;
        let mut last = Position(0);
        for (sku, seller, name, description, category, brand, price, currency) in PRODUCTS {
            let event = ProductEvent::Listed {
                sku: sku.parse().unwrap(),
                seller: seller.parse().unwrap(),
                name: name.parse().unwrap(),
                description: description.into(),
                category: category.parse().unwrap(),
                brand: brand.parse().ok(),
                price: Money::new(price, currency.parse().unwrap()),
                at: AT,
            };
            last = shop.append(sku, &event).await;
        }
        shop.reaches(last).await;
        shop
    }

    /// A product without a description or a brand, of Home, sold by acme, that is listed so many
    /// seconds later.
    pub(crate) async fn list(&self, sku: &str, name: &str, price: i64, later: i64) -> Position {
        let event = ProductEvent::Listed {
            sku: sku.parse().unwrap(),
            seller: "acme".parse().unwrap(),
            name: name.parse().unwrap(),
            description: String::new(),
            category: "Home".parse().unwrap(),
            brand: None,
            price: Money::new(price, "GBP".parse().unwrap()),
            at: Timestamp::from_micros(AT.as_micros() + later * 1_000_000),
        };
        self.append(sku, &event).await
    }

    pub(crate) async fn receive(&self, sku: &str, count: i64) -> Position {
        let quantity = Quantity::try_from(count).unwrap();
        let event = StockEvent::Received { quantity, receipt: Uuid::now_v7().to_string(), at: AT };
        self.write(StreamId::new("stock", sku).unwrap(), &event).await
    }

    pub(crate) async fn append(&self, sku: &str, event: &ProductEvent) -> Position {
        self.write(StreamId::new("product", sku).unwrap(), event).await
    }

    async fn write(&self, stream: StreamId, event: &impl Contract) -> Position {
        let metadata = Metadata {
            schema_version: 1,
            correlation_id: Uuid::nil(),
            causation_id: Uuid::nil(),
            actor: Actor("test:catalog".into()),
            traceparent: None,
        };
        let sealed = vec![seal(Uuid::now_v7(), event, &metadata)];
        self.store.append(&stream, Expected::Any, sealed).await.unwrap().position
    }

    pub(crate) async fn reaches(&self, position: Position) {
        let mut progress = self.running.progress();
        let reached = progress.wait_for(|reached| *reached >= Some(position));
        tokio::time::timeout(Duration::from_mins(1), reached).await.unwrap().unwrap();
        let seen = async {
            loop {
                match self.catalog.wait_for(position, Duration::from_mins(1)).await {
                    Err(SearchError::NotReady) => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    seen => return seen.unwrap(),
                }
            }
        };
        assert!(tokio::time::timeout(Duration::from_mins(1), seen).await.unwrap());
    }

    pub(crate) async fn search(&self, query: CatalogQuery) -> CatalogPage {
        self.catalog.search(query).await.unwrap()
    }

    /// The SKUs that a query finds, in its order.
    pub(crate) async fn finds(&self, query: CatalogQuery) -> Vec<String> {
        self.search(query).await.items.into_iter().map(|hit| hit.item.sku).collect()
    }

    pub(crate) async fn refuses(&self, query: CatalogQuery) -> InvalidQuery {
        match self.catalog.search(query).await {
            Err(SearchError::Invalid(why)) => why,
            other => panic!("not refused: {other:?}"),
        }
    }
}

pub(crate) fn words(text: &str) -> CatalogQuery {
    CatalogQuery { text: Some(text.into()), ..CatalogQuery::default() }
}

pub(crate) fn priced(min: Option<i64>, max: Option<i64>, currency: &str) -> CatalogQuery {
    let price = Some(PriceRange { currency: currency.parse().unwrap(), min, max });
    CatalogQuery { price, sort: CatalogSort::PriceAscending, ..CatalogQuery::default() }
}
