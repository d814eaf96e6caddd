//! Catalog search over an index that the real projection wrote.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::time::Duration;

use daybook_domain::product::ProductEvent;
use daybook_domain::values::{Money, Timestamp};
use daybook_event_schemas::{Actor, Metadata, seal};
use daybook_event_store::{EventStore, Expected, Position, Store, StreamId};
use daybook_projections::catalog as writer;
use daybook_query_side::catalog::{
    Catalog, CatalogPage, CatalogQuery, CatalogSort, InvalidQuery, PriceRange, SearchError,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const AT: Timestamp = Timestamp::from_micros(1_300_000_000_000_000);

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
struct Shop {
    store: Store,
    catalog: Catalog,
    running: writer::Catalog,
    shutdown: CancellationToken,
    folder: TempDir,
}

impl Shop {
    async fn empty() -> Self {
        let (folder, store) = (TempDir::new().unwrap(), Store::memory());
        let shutdown = CancellationToken::new();
        let options = writer::CatalogOptions {
            linger: Duration::ZERO,
            ..writer::CatalogOptions::new(folder.path())
        };
        let running = writer::Catalog::start(store.clone(), options, shutdown.clone());
        let running = running.await.unwrap();
        Self { store, catalog: Catalog::new(folder.path()), running, shutdown, folder }
    }

    async fn open() -> Self {
        let shop = Self::empty().await;
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

    async fn append(&self, sku: &str, event: &ProductEvent) -> Position {
        let metadata = Metadata {
            schema_version: 1,
            correlation_id: Uuid::nil(),
            causation_id: Uuid::nil(),
            actor: Actor("test:catalog".into()),
            traceparent: None,
        };
        let stream = StreamId::new("product", sku).unwrap();
        let sealed = vec![seal(Uuid::now_v7(), event, &metadata)];
        self.store.append(&stream, Expected::Any, sealed).await.unwrap().position
    }

    async fn reaches(&self, position: Position) {
        let mut progress = self.running.progress();
        let reached = progress.wait_for(|reached| *reached >= Some(position));
        tokio::time::timeout(Duration::from_mins(1), reached).await.unwrap().unwrap();
    }

    async fn search(&self, query: CatalogQuery) -> CatalogPage {
        self.catalog.search(query).await.unwrap()
    }

    /// The SKUs that a query finds, in its order.
    async fn finds(&self, query: CatalogQuery) -> Vec<String> {
        self.search(query).await.items.into_iter().map(|item| item.sku).collect()
    }

    async fn refuses(&self, query: CatalogQuery) -> InvalidQuery {
        match self.catalog.search(query).await {
            Err(SearchError::Invalid(why)) => why,
            other => panic!("not refused: {other:?}"),
        }
    }
}

fn words(text: &str) -> CatalogQuery {
    CatalogQuery { text: Some(text.into()), ..CatalogQuery::default() }
}

fn priced(min: Option<i64>, max: Option<i64>, currency: &str) -> CatalogQuery {
    let price = Some(PriceRange { currency: currency.parse().unwrap(), min, max });
    CatalogQuery { price, sort: CatalogSort::PriceAscending, ..CatalogQuery::default() }
}

#[tokio::test]
async fn words_are_found_in_any_form_and_the_name_counts_most() {
    let shop = Shop::open().await;

    assert_eq!(shop.finds(words("hearts")).await, ["85123A", "84029E"]);
    assert_eq!(shop.finds(words("HANGING white")).await, ["85123A", "71053"]);
    assert_eq!(shop.finds(words("t-light")).await.len(), 2);
    assert_eq!(shop.finds(words("wick star")).await, ["21730"]);
    assert_eq!(shop.finds(words("garden")).await, ["71053"]);
    assert_eq!(shop.finds(words("submarine")).await, [""; 0]);
    assert_eq!(shop.finds(words("white submarine")).await, [""; 0]);
}

#[tokio::test]
async fn a_whole_sku_finds_its_product() {
    let shop = Shop::open().await;

    assert_eq!(shop.finds(words("85123A")).await, ["85123A"]);
    assert_eq!(shop.finds(words(" 85123a ")).await, ["85123A"]);
    assert_eq!(shop.finds(words("GIFT 0001_20")).await, ["GIFT 0001_20"]);
}

#[tokio::test]
async fn price_seller_and_category_narrow_each_other() {
    let shop = Shop::open().await;

    assert_eq!(shop.finds(priced(Some(339), Some(765), "GBP")).await, ["71053", "84029E", "22752"]);
    assert_eq!(shop.finds(priced(Some(766), None, "GBP")).await, ["GIFT 0001_20"]);
    assert_eq!(shop.finds(priced(None, None, "EUR")).await, ["21730"]);
    assert_eq!(shop.finds(priced(Some(i64::MIN), Some(i64::MAX), "USD")).await, [""; 0]);

    let bert = CatalogQuery {
        seller: Some("bert".parse().unwrap()),
        category: Some("Home".parse().unwrap()),
        sort: CatalogSort::PriceDescending,
        ..CatalogQuery::default()
    };
    assert_eq!(shop.finds(bert.clone()).await, ["22752", "84029E"]);
    let cheap = CatalogQuery { price: priced(None, Some(400), "GBP").price, ..bert.clone() };
    assert_eq!(shop.finds(cheap).await, ["84029E"]);
    let lower_case = CatalogQuery { category: Some("home".parse().unwrap()), ..bert };
    assert_eq!(shop.finds(lower_case).await, [""; 0]);
}

#[tokio::test]
async fn pages_hold_every_product_once() {
    let shop = Shop::open().await;
    for sort in [CatalogSort::Relevance, CatalogSort::PriceAscending, CatalogSort::PriceDescending]
    {
        let mut query = CatalogQuery { sort, limit: Some(4), ..CatalogQuery::default() };
        let first = shop.search(query.clone()).await;
        assert_eq!((first.items.len(), first.total), (4, 6));
        query.cursor.clone_from(&first.next);
        let second = shop.search(query).await;
        assert_eq!((second.items.len(), second.total, second.next), (2, 6, None));
        let mut skus: Vec<_> = first.items.into_iter().chain(second.items).map(|i| i.sku).collect();
        skus.sort();
        skus.dedup();
        assert_eq!(skus.len(), 6);
    }
}

#[tokio::test]
async fn an_item_is_written_as_everywhere() {
    let shop = Shop::open().await;

    let page = serde_json::to_value(shop.search(words("lantern")).await).unwrap();

    let expected = serde_json::json!({
        "items": [{
            "sku": "71053", "seller": "acme", "name": "White metal lantern",
            "description": "Hangs in the garden", "category": "Garden", "brand": "Wick",
            "price": { "amount": 339, "currency": "GBP" },
        }],
        "total": 1,
        "next": null,
    });
    assert_eq!(page, expected);
}

#[tokio::test]
async fn what_looks_like_query_syntax_is_words() {
    let shop = Shop::open().await;

    assert_eq!(shop.finds(words("name:heart")).await, [""; 0]);
    assert_eq!(shop.finds(words("\"heart\" -(hanging) +white^9")).await, [""; 0]);
    assert_eq!(shop.finds(words("\"heart\" -(hanging) +white^")).await, ["85123A"]);
    assert_eq!(shop.finds(words("*art")).await, [""; 0]);
    assert_eq!(shop.finds(words("heart OR lantern")).await, [""; 0]);
    assert_eq!(shop.finds(words("[* TO *]")).await, [""; 0]);
    assert_eq!(shop.finds(words("\u{202e}heart\0")).await, ["85123A", "84029E"]);
}

#[tokio::test]
async fn queries_out_of_bounds_are_refused() {
    let shop = Shop::open().await;

    let long = "é".repeat(201);
    assert_eq!(
        shop.refuses(words(&long)).await,
        InvalidQuery::TextTooLong { max: 200, actual: 201 }
    );
    let many = "a ".repeat(17);
    assert_eq!(
        shop.refuses(words(&many)).await,
        InvalidQuery::TooManyWords { max: 16, actual: 17 }
    );
    assert_eq!(shop.refuses(words("***")).await, InvalidQuery::NoWords);
    assert_eq!(
        shop.refuses(priced(Some(2), Some(1), "GBP")).await,
        InvalidQuery::EmptyPriceRange { min: 2, max: 1 }
    );
    for actual in [0, 101] {
        let query = CatalogQuery { limit: Some(actual), ..CatalogQuery::default() };
        assert_eq!(shop.refuses(query).await, InvalidQuery::Limit { max: 100, actual });
    }
    for cursor in ["", "o", "x1", "o-1", "offffffffffffffffffff", "o2710", "o1\0"] {
        let query = CatalogQuery { cursor: Some(cursor.into()), ..CatalogQuery::default() };
        assert_eq!(shop.refuses(query).await, InvalidQuery::Cursor, "{cursor:?}");
    }
}

#[tokio::test]
async fn nothing_but_spaces_is_no_text() {
    let shop = Shop::open().await;

    assert_eq!(shop.search(words("  ")).await.total, 6);
}

#[tokio::test]
async fn a_search_sees_what_was_committed_before_it() {
    let shop = Shop::open().await;
    assert_eq!(shop.finds(words("lantern")).await, ["71053"]);

    let delisted = ProductEvent::Delisted { reason: String::new(), at: AT };
    let position = shop.append("71053", &delisted).await;
    shop.reaches(position).await;

    assert_eq!(shop.finds(words("lantern")).await, [""; 0]);
    assert_eq!(shop.catalog.progress().await.unwrap(), (Some(position), vec![]));
}

#[tokio::test]
async fn a_reader_can_wait_for_what_was_written() {
    let shop = Shop::open().await;
    let delisted = ProductEvent::Delisted { reason: String::new(), at: AT };
    let position = shop.append("71053", &delisted).await;

    assert!(shop.catalog.wait_for(position, Duration::from_mins(1)).await.unwrap());
    assert_eq!(shop.finds(words("lantern")).await, [""; 0]);
    let later = Position(position.0 + 1);
    assert!(!shop.catalog.wait_for(later, Duration::ZERO).await.unwrap());
}

#[tokio::test]
async fn before_the_projection_has_started_the_catalog_is_not_ready() {
    let folder = TempDir::new().unwrap();

    let searched = Catalog::new(folder.path().join("index")).search(words("heart")).await;

    assert!(matches!(searched, Err(SearchError::NotReady)), "{searched:?}");
}

#[tokio::test]
async fn a_damaged_index_is_an_error_and_not_a_panic() {
    let shop = Shop::open().await;
    shop.shutdown.cancel();
    shop.running.join().await.unwrap();
    let folder = shop.folder.path();
    std::fs::write(folder.join("meta.json"), "{}").unwrap();

    let searched = Catalog::new(folder).search(words("heart")).await;

    assert!(matches!(searched, Err(SearchError::Index(_))), "{searched:?}");
}
