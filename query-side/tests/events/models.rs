//! Verification of read models that the real projections wrote.

use std::time::Duration;

use daybook_database::{Address, AssertSqlSafe, Limits, Pool, query, testing};
use daybook_domain::checkout::CheckoutFact;
use daybook_domain::customer::CustomerEvent;
use daybook_domain::order::{CancelReason, OrderEvent};
use daybook_domain::payment::PaymentEvent;
use daybook_domain::product::ProductEvent;
use daybook_domain::stock::{ReleaseReason, StockEvent};
use daybook_event_store::{EventStore, NewEvent, Position};
use daybook_projections::catalog as index;
use daybook_projections::{Database, ProjectionOptions, Projections};
use daybook_query_side::Queries;
use daybook_query_side::catalog::Catalog;
use daybook_query_side::verify::{Check, ReadModels, verify};
use tantivy::collector::DocSetCollector;
use tantivy::query::AllQuery;
use tantivy::{Index, IndexWriter, TantivyDocument, Term};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::story::{
    AT, CUSTOMER, Story, authorized, captured, listed, order_id, pounds, quantity, received,
    requested, sealed,
};

/// A story, and the folder of its read models.
pub(crate) struct Posted {
    pub(crate) story: Story,
    folder: TempDir,
    pub(crate) models: ReadModels,
}

/// Orders in every state there is.
async fn eventful() -> Story {
    let story = Story::opened().await;
    story.stock("CUP", received(10, "second")).await;
    for n in 1..=3 {
        story.sell(n).await;
    }
    story.reserve(4).await;
    cancel(&story, 4).await;
    refund(&story, 2, 333, 333).await;
    refund(&story, 2, 100, 433).await;
    refund(&story, 3, 1_300, 1_300).await;
    story.reserve(5).await;
    story.reserve(6).await;
    story.pay(6).await;
    decline(&story, 5).await;
    let (name, category) = ("Blue cup".parse().unwrap(), "Garden".parse().unwrap());
    let (description, brand) = ("For tea".into(), Some("Wick".parse().unwrap()));
    let described = ProductEvent::Described { name, description, category, brand, at: AT };
    story.tell("product-CUP", described).await;
    story.tell("product-TIN", ProductEvent::Delisted { reason: String::new(), at: AT }).await;
    let closed = CustomerEvent::Closed { reason: String::new(), at: AT };
    story.tell(&format!("customer-{CUSTOMER}"), closed).await;
    story
}

async fn cancel(story: &Story, n: u128) {
    let sku = "CUP".parse().unwrap();
    let reason = CancelReason::OutOfStock { sku };
    story.order(n, OrderEvent::Cancelled { reason, at: AT }).await;
    let (order, reason) = (order_id(n), ReleaseReason::Cancelled);
    for (sku, count) in [("CUP", 2), ("TIN", 1)] {
        let quantity = quantity(count);
        story.stock(sku, StockEvent::Released { order, quantity, reason, at: AT }).await;
    }
    let reason = CancelReason::OutOfStock { sku: "CUP".parse().unwrap() };
    let released = |sku: &str| CheckoutFact::Released { sku: sku.parse().unwrap() };
    story.checkout(n, &[CheckoutFact::OrderCancelled { reason }, released("CUP")]).await;
    let declined = CheckoutFact::PaymentDeclined { reason: "no".into() };
    story.checkout(n, &[released("TIN"), declined]).await;
}

async fn refund(story: &Story, n: u128, minor: i64, total: i64) {
    let (order, refund) = (order_id(n), format!("refund-{total}"));
    let (amount, refunded) = (pounds(minor), pounds(total));
    let event = PaymentEvent::Refunded { order, refund: refund.clone(), amount, refunded, at: AT };
    story.payment(n, event).await;
    story.order(n, OrderEvent::Refunded { refund, amount, refunded, at: AT }).await;
}

async fn decline(story: &Story, n: u128) {
    story.payment(n, requested(n, 1_300)).await;
    story.payment(n, authorized(n, 1_300)).await;
    let (order, reason) = (order_id(n), "no funds".into());
    story.payment(n, PaymentEvent::Declined { order, reason, at: AT }).await;
}

impl Posted {
    /// Has the projections read a story to its end, and stops them.
    pub(crate) async fn of(story: Story) -> Self {
        let folder = TempDir::new().unwrap();
        let address = testing::prepare(folder.path(), "models.db").await.unwrap();
        let models = ReadModels {
            queries: Queries::open(&address, &Limits::default()).unwrap(),
            catalog: Catalog::new(folder.path().join("catalog")),
            patience: Duration::ZERO,
        };
        let posted = Self { story, folder, models };
        posted.catch_up().await;
        posted
    }

    fn address(&self) -> Address {
        testing::address(self.folder.path(), "models.db")
    }

    async fn catch_up(&self) {
        let shutdown = CancellationToken::new();
        let (projections, catalog) = self.start(&shutdown).await;
        let head = self.story.store.head().await.unwrap();
        let reached = |position: Option<Position>| position >= head;
        let wait = async {
            for progress in projections.progress().values() {
                progress.clone().wait_for(|progress| reached(progress.position)).await.unwrap();
            }
            catalog.progress().wait_for(|position| reached(*position)).await.unwrap();
        };
        tokio::time::timeout(Duration::from_mins(1), wait).await.unwrap();
        shutdown.cancel();
        projections.join().await;
        catalog.join().await.unwrap();
    }

    pub(crate) async fn start(
        &self,
        shutdown: &CancellationToken,
    ) -> (Projections, index::Catalog) {
        let database = Database::open(&self.address(), &Limits::default()).await.unwrap();
        let (store, options) = (self.story.store.clone(), ProjectionOptions::default());
        let projections = Projections::start(store, database, options, shutdown.clone());
        let options = index::CatalogOptions::new(self.folder.path().join("catalog"));
        let store = self.story.store.clone();
        let catalog = index::Catalog::start(store, options, shutdown.clone());
        (projections.await.unwrap(), catalog.await.unwrap())
    }

    /// Changes the database behind the projections' back.
    async fn spoil(&self, sql: &str) {
        let pool = Pool::writer(&self.address(), &Limits::default()).await.unwrap();
        let mut tx = pool.begin().await.unwrap();
        let changed = tx.execute(query(AssertSqlSafe(sql.to_owned()))).await;
        assert!(changed.unwrap() > 0, "{sql}");
        tx.commit().await.unwrap();
        pool.close().await;
    }

    async fn checks(&self) -> Vec<Check> {
        // Spawned, as a server would.
        let (store, models) = (self.story.store.clone(), self.models.clone());
        let checks = async move { verify(&store, Some(&models), AT).await };
        tokio::spawn(checks).await.unwrap().unwrap()
    }

    async fn failing(&self) -> Vec<Check> {
        self.checks().await.into_iter().filter(|check| !check.ok).collect()
    }

    /// Exactly this check fails, and its detail says so.
    async fn fails(&self, name: &str, detail: &str) {
        let failing = self.failing().await;
        let names: Vec<_> = failing.iter().map(|check| check.name.as_str()).collect();
        assert_eq!(names, [name], "{failing:#?}");
        assert!(failing[0].detail.contains(detail), "{}", failing[0].detail);
    }
}

#[tokio::test]
async fn read_models_that_say_what_the_events_say_pass() {
    let posted = Posted::of(eventful().await).await;

    let checks = posted.checks().await;

    assert!(checks.iter().all(|check| check.ok), "{checks:#?}");
    let detail = |name: &str| {
        let name = format!("projection {name} equals the events");
        checks.iter().find(|check| check.name == name).unwrap().detail.clone()
    };
    let rows = |name: &str| detail(name).strip_prefix("rows compared: ").unwrap().to_owned();
    assert_eq!(rows("orders"), "orders 6, order_lines 12, order_shipments 6, order_timeline 26");
    assert_eq!(rows("stock"), "stock 2, reservations 12");
    assert_eq!(rows("payments"), "payments 5");
    assert_eq!(rows("customers"), "customers 1");
    assert_eq!(rows("products"), "products 2");
    assert_eq!(rows("checkouts"), "checkouts 6");
    assert_eq!(rows("sales"), "sales_by_day 1, sales_by_product 2");
    assert_eq!(detail("catalog"), "1 products for sale");
}

#[tokio::test]
async fn every_table_is_compared() {
    let id = order_id(1);
    let spoilt = [
        ("orders", format!("UPDATE orders_v1 SET status = 'paid' WHERE id = '{id}'")),
        ("orders", format!("UPDATE orders_v1 SET total = total + 1 WHERE id = '{id}'")),
        ("orders", format!("UPDATE orders_v1 SET cancel_reason = 'x' WHERE id = '{id}'")),
        ("orders", format!("DELETE FROM orders_v1 WHERE id = '{id}'")),
        ("orders", "UPDATE order_lines_v1 SET quantity = 3 WHERE line = 2".to_owned()),
        ("orders", format!("DELETE FROM order_lines_v1 WHERE order_id = '{id}' AND line = 1")),
        ("orders", "UPDATE order_shipments_v1 SET tracking = 'lost'".to_owned()),
        ("orders", "DELETE FROM order_timeline_v1 WHERE revision = 3".to_owned()),
        ("stock", "UPDATE stock_v1 SET on_hand = on_hand - 1 WHERE sku = 'CUP'".to_owned()),
        ("stock", "UPDATE stock_v1 SET revision = 0 WHERE sku = 'CUP'".to_owned()),
        ("stock", "UPDATE reservations_v1 SET status = 'held' WHERE sku = 'TIN'".to_owned()),
        ("stock", format!("DELETE FROM reservations_v1 WHERE order_id = '{id}'")),
        ("payments", "UPDATE payments_v1 SET captured = captured - 1".to_owned()),
        ("payments", "UPDATE payments_v1 SET reference = NULL".to_owned()),
        ("customers", "UPDATE customers_v1 SET name = 'Eve'".to_owned()),
        ("products", "UPDATE products_v1 SET price = 1 WHERE sku = 'TIN'".to_owned()),
        ("products", "DELETE FROM products_v1 WHERE sku = 'TIN'".to_owned()),
        ("sales", "UPDATE sales_by_day_v1 SET amount = amount + 1".to_owned()),
        ("sales", "UPDATE sales_by_product_v1 SET orders = 9 WHERE sku = 'CUP'".to_owned()),
        ("sales", "DELETE FROM sales_by_day_v1".to_owned()),
        ("checkouts", format!("UPDATE checkouts_v1 SET stage = 'settled' WHERE order_id = '{id}'")),
    ];
    for (model, sql) in spoilt {
        let posted = Posted::of(eventful().await).await;
        posted.spoil(&sql).await;

        let failing = posted.failing().await;

        let names: Vec<_> = failing.iter().map(|check| check.name.clone()).collect();
        assert_eq!(names, [format!("projection {model} equals the events")], "{sql}: {failing:?}");
    }
}

#[tokio::test]
async fn what_differs_is_told_by_row_and_column() {
    let posted = Posted::of(eventful().await).await;
    posted.spoil("UPDATE stock_v1 SET reserved = 7, on_hand = 1 WHERE sku = 'CUP'").await;
    posted
        .fails(
            "projection stock equals the events",
            "1 found: stock CUP: on_hand is 1 and should be 14, reserved is 7 and should be 4",
        )
        .await;

    let posted = Posted::of(eventful().await).await;
    posted.spoil("UPDATE customers_v1 SET email = NULL").await;
    let told = format!("customers {CUSTOMER}: email is null and should be \"ada@example.com\"");
    posted.fails("projection customers equals the events", &told).await;

    let posted = Posted::of(eventful().await).await;
    posted.spoil("UPDATE products_v1 SET sku = 'POT' WHERE sku = 'TIN'").await;
    let told = "2 found: products POT should not be there; products TIN is missing";
    posted.fails("projection products equals the events", told).await;

    let posted = Posted::of(eventful().await).await;
    let id = order_id(2);
    posted.spoil(&format!("DELETE FROM order_lines_v1 WHERE order_id = '{id}' AND line = 2")).await;
    let told = format!("order_lines {id}: the number of rows is 1 and should be 2");
    posted.fails("projection orders equals the events", &told).await;
}

#[tokio::test]
async fn a_catalog_that_says_something_else_than_the_events_is_found() {
    let name = "projection catalog equals the events";
    let change = |posted: &Posted, change: &dyn Fn(&Index, &mut IndexWriter)| {
        let index = Index::open_in_dir(posted.folder.path().join("catalog/v1")).unwrap();
        let payload = index.load_metas().unwrap().payload.unwrap();
        let mut writer = index.writer_with_num_threads(1, 20_000_000).unwrap();
        change(&index, &mut writer);
        let mut commit = writer.prepare_commit().unwrap();
        commit.set_payload(&payload);
        commit.commit().unwrap();
    };
    let sku = |index: &Index| index.schema().get_field("sku").unwrap();

    let posted = Posted::of(eventful().await).await;
    change(&posted, &|index, writer| {
        writer.delete_term(Term::from_field_text(sku(index), "CUP"));
    });
    posted.fails(name, "1 found: catalog CUP is missing").await;

    let posted = Posted::of(eventful().await).await;
    change(&posted, &|index, writer| {
        let mut document = TantivyDocument::default();
        document.add_text(sku(index), "TIN");
        writer.add_document(document).unwrap();
    });
    posted.fails(name, "1 found: catalog TIN should not be there").await;

    let posted = Posted::of(eventful().await).await;
    change(&posted, &|index, writer| {
        let searcher = index.reader().unwrap().searcher();
        let found = searcher.search(&AllQuery, &DocSetCollector).unwrap();
        let cup: TantivyDocument = searcher.doc(found.into_iter().next().unwrap()).unwrap();
        let in_stock = index.schema().get_field("inStock").unwrap();
        let mut sold_out = TantivyDocument::default();
        sold_out.add_bool(in_stock, false);
        for (field, value) in cup.field_values().filter(|(field, _)| *field != in_stock) {
            sold_out.add_field_value(field, value);
        }
        writer.delete_term(Term::from_field_text(sku(index), "CUP"));
        writer.add_document(sold_out).unwrap();
    });
    posted.fails(name, "1 found: catalog CUP: in_stock is 0 and should be 1").await;
}

#[tokio::test]
async fn a_projection_that_is_behind_fails_until_it_has_caught_up() {
    let posted = Posted::of(eventful().await).await;
    posted.story.reserve(7).await;

    let failing = posted.failing().await;
    assert_eq!(failing.len(), 8, "{failing:#?}");
    let behind = |check: &Check| check.detail.starts_with("it is behind: at ");
    assert!(failing.iter().all(behind), "{failing:#?}");

    posted.catch_up().await;
    assert_eq!(posted.failing().await, []);
}

#[tokio::test]
async fn projections_that_run_are_waited_for() {
    let mut posted = Posted::of(eventful().await).await;
    posted.models.patience = Duration::from_mins(1);
    posted.story.sell(7).await;
    let shutdown = CancellationToken::new();
    let running = posted.start(&shutdown).await;

    assert_eq!(posted.failing().await, []);

    shutdown.cancel();
    running.0.join().await;
    running.1.join().await.unwrap();
}

#[tokio::test]
async fn parked_events_are_named() {
    let story = eventful().await;
    let event = sealed(&listed("POT", "Pot", 1));
    story.write("product-POT", NewEvent { data: "{".into(), ..event }).await;
    let posted = Posted::of(story).await;

    let failing = posted.failing().await;

    let names: Vec<_> = failing.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["events can be read", "no event is parked"], "{failing:#?}");
    let detail = &failing[1].detail;
    assert!(detail.starts_with("2 found: product-POT at 0, by products: "), "{detail}");
    assert!(detail.ends_with(", by catalog"), "{detail}");
}

#[tokio::test]
async fn read_models_that_are_not_there_fail_their_checks() {
    let folder = TempDir::new().unwrap();
    let models = ReadModels {
        queries: Queries::open(&testing::address(folder.path(), "none.db"), &Limits::default())
            .unwrap(),
        catalog: Catalog::new(folder.path().join("catalog")),
        patience: Duration::ZERO,
    };
    let story = eventful().await;

    let checks = verify(&story.store, Some(&models), AT).await.unwrap();

    let failing: Vec<_> = checks.iter().filter(|check| !check.ok).collect();
    assert_eq!(failing.len(), 9, "{failing:#?}");
    assert!(failing[0].detail.contains("cannot be read now: "), "{failing:#?}");
    assert!(failing[7].detail.contains("is not there yet"), "{failing:#?}");
}

#[tokio::test]
async fn an_order_with_a_second_capture_is_seen_from_both_sides() {
    let story = eventful().await;
    story.payment(1, captured(1, "again", 1, 1_301)).await;
    let posted = Posted::of(story).await;

    let failing = posted.failing().await;

    let names: Vec<_> = failing.iter().map(|check| check.name.as_str()).collect();
    let expected =
        ["payments stay within what was asked for", "paid orders and captured payments match"];
    assert_eq!(names, expected, "{failing:#?}");
}
