use std::time::Duration;

use chrono::NaiveDate;
use daybook_database::{Limits, testing};
use daybook_domain::checkout::{Checkout, CheckoutFact, CheckoutInput};
use daybook_domain::order::OrderEvent;
use daybook_domain::stock::StockEvent;
use daybook_domain::values::OrderId;
use daybook_event_schemas::Advanced;
use daybook_event_store::Position;
use daybook_query_side::{Cursor, Limit, Queries, QueryError};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::shop::{
    DAY, Shop, at, gbp, listed, many, paid, placed, received, registered, requested, reserved,
};

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn limit(n: i64) -> Limit {
    Limit::try_from(n).unwrap()
}

fn day(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2011, 12, day).unwrap()
}

/// The JSON of an answer without the instants at which the store took things.
fn timeless(answer: impl serde::Serialize) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, _| name != "recordedAt" && name != "updatedAt");
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(answer).unwrap();
    strip(&mut value);
    value
}

#[tokio::test]
async fn an_order_comes_with_lines_shipments_and_timeline() {
    let shop = Shop::open().await;
    let shipped = OrderEvent::Shipped {
        seller: "shop".parse().unwrap(),
        items: Vec::new(),
        tracking: "T1".into(),
        at: at(3),
    };
    shop.given("order", "orders", id(1), &[placed(1, 2, "A", 2, 0), paid(250), shipped]).await;

    let order = shop.queries.order(id(1)).await.unwrap().unwrap();

    assert_eq!(
        timeless(order),
        json!({
            "id": id(1),
            "customer": id(2),
            "status": "paid",
            "payment": "captured",
            "paymentId": id(9),
            "shipment": "full",
            "refund": "none",
            "total": { "amount": 250, "currency": "GBP" },
            "refunded": { "amount": 0, "currency": "GBP" },
            "method": "card-ok",
            "placedAt": "2011-12-09T00:00:00.000000Z",
            "revision": 2,
            "lines": [{
                "sku": "A",
                "seller": "shop",
                "name": "Mug",
                "quantity": 2,
                "unitPrice": { "amount": 125, "currency": "GBP" },
            }],
            "shipments": [{
                "seller": "shop",
                "tracking": "T1",
                "shippedAt": "2011-12-09T00:00:03.000000Z",
            }],
            "timeline": [
                {
                    "kind": "OrderPlaced",
                    "detail": "2.50 GBP",
                    "actor": "user:alice",
                    "at": "2011-12-09T00:00:00.000000Z",
                    "revision": 0,
                },
                {
                    "kind": "OrderPaid",
                    "detail": "2.50 GBP",
                    "actor": "user:alice",
                    "at": "2011-12-09T00:00:01.000000Z",
                    "revision": 1,
                },
                {
                    "kind": "OrderShipped",
                    "detail": "shop: T1",
                    "actor": "user:alice",
                    "at": "2011-12-09T00:00:03.000000Z",
                    "revision": 2,
                },
            ],
        })
    );
}

#[tokio::test]
async fn what_does_not_exist_is_none() {
    let shop = Shop::open().await;
    let queries = &shop.queries;

    assert_eq!(queries.order(id(1)).await.unwrap(), None);
    assert_eq!(queries.stock("A").await.unwrap(), None);
    assert_eq!(queries.payment(id(1)).await.unwrap(), None);
    assert_eq!(queries.customer(id(1)).await.unwrap(), None);
    assert_eq!(queries.product("A").await.unwrap(), None);
    assert_eq!(queries.checkout(id(1)).await.unwrap(), None);
    assert!(queries.orders_of(id(1), None, limit(1)).await.unwrap().items.is_empty());
}

/// The ids on every page of a customer's orders.
async fn pages(queries: &Queries, customer: Uuid, size: i64) -> Vec<Vec<u128>> {
    let (mut pages, mut cursor) = (Vec::new(), None::<Cursor>);
    loop {
        let page = queries.orders_of(customer, cursor.as_ref(), limit(size)).await.unwrap();
        pages.push(page.items.iter().map(|order| order.id.as_u128()).collect());
        let Some(next) = page.next else { return pages };
        cursor = Some(next.to_string().parse().unwrap());
    }
}

#[tokio::test]
async fn orders_of_a_customer_come_in_pages_newest_first() {
    let shop = Shop::open().await;
    // Two of them at the same instant, and one of somebody else.
    for (order, customer, seconds) in [(1, 2, 10), (2, 2, 30), (3, 2, 20), (4, 2, 20), (5, 6, 25)] {
        let placed = placed(order, customer, "A", 1, seconds);
        shop.given("order", "orders", id(order), &[placed]).await;
    }

    assert_eq!(pages(&shop.queries, id(2), 100).await, [vec![2, 4, 3, 1]]);
    assert_eq!(pages(&shop.queries, id(2), 4).await, [vec![2, 4, 3, 1]]);
    assert_eq!(pages(&shop.queries, id(2), 2).await, [vec![2, 4], vec![3, 1]]);
    assert_eq!(pages(&shop.queries, id(2), 1).await, [vec![2], vec![4], vec![3], vec![1]]);
}

#[tokio::test]
async fn an_order_placed_between_two_pages_repeats_and_hides_nothing() {
    let shop = Shop::open().await;
    for order in [1, 2, 3] {
        let placed = placed(order, 2, "A", 1, i64::try_from(order).unwrap());
        shop.given("order", "orders", id(order), &[placed]).await;
    }
    let first = shop.queries.orders_of(id(2), None, limit(2)).await.unwrap();
    shop.given("order", "orders", id(4), &[placed(4, 2, "A", 1, 9)]).await;

    let second = shop.queries.orders_of(id(2), first.next.as_ref(), limit(2)).await.unwrap();

    let ids: Vec<_> = first.items.iter().chain(&second.items).map(|o| o.id.as_u128()).collect();
    assert_eq!(ids, [3, 2, 1]);
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let shop = Shop::open().await;
    for order in [1, 2] {
        shop.given("order", "orders", id(order), &[placed(order, 2, "A", 1, 0)]).await;
    }
    let cursor = shop.queries.orders_of(id(2), None, limit(1)).await.unwrap().next.unwrap();

    let refused = shop.queries.orders_of(id(3), Some(&cursor), limit(1)).await;

    assert!(matches!(refused, Err(QueryError::Cursor(_))), "{refused:?}");
    for text in ["", "zz", "ff", "0", "5b5d", "é", &"a".repeat(5_000)] {
        let Ok(cursor) = text.parse::<Cursor>() else { continue };
        let refused = shop.queries.orders_of(id(2), Some(&cursor), limit(1)).await;
        assert!(matches!(refused, Err(QueryError::Cursor(_))), "{text:?}: {refused:?}");
    }
}

#[test]
fn a_page_has_from_1_to_100_entries() {
    for (n, is_allowed) in [(0, false), (1, true), (100, true), (101, false), (-1, false)] {
        assert_eq!(Limit::try_from(n).is_ok(), is_allowed, "{n}");
    }
    assert!(Limit::try_from(i64::MAX).is_err());
}

#[tokio::test]
async fn stock_tells_what_is_available_and_for_whom_the_rest_is_held() {
    let shop = Shop::open().await;
    let committed = StockEvent::Committed { order: OrderId(id(1)), quantity: many(2), at: at(1) };
    let events = [received(10), reserved(1, 2), reserved(2, 3), reserved(3, 1), committed];
    shop.given("stock", "stock", "A", &events).await;

    let stock = shop.queries.stock("A").await.unwrap().unwrap();
    let expected = json!({ "sku": "A", "onHand": 8, "reserved": 4, "available": 4, "revision": 4 });
    assert_eq!(timeless(stock), expected);

    let held = shop.queries.reservations("A", None, limit(1)).await.unwrap();
    assert_eq!((held.items[0].order, held.items[0].quantity), (id(2), 3));
    let rest = shop.queries.reservations("A", held.next.as_ref(), limit(1)).await.unwrap();
    assert_eq!((rest.items[0].order, rest.next), (id(3), None));
    let of_order = shop.queries.reservations_of(id(1)).await.unwrap();
    assert_eq!(
        timeless(of_order),
        json!([{
            "order": id(1),
            "sku": "A",
            "quantity": 2,
            "expiresAt": "2011-12-09T00:30:00.000000Z",
            "status": "committed",
            "revision": 4,
        }])
    );
}

#[tokio::test]
async fn payments_customers_and_products_are_found() {
    let shop = Shop::open().await;
    shop.given("payment", "payments", id(3), &[requested(3, 1)]).await;
    shop.given("customer", "customers", id(2), &[registered(2)]).await;
    shop.given("product", "products", "A", &[listed("A")]).await;

    let payment = shop.queries.payment(id(3)).await.unwrap().unwrap();
    assert_eq!((payment.order, &*payment.status, payment.amount.amount), (id(1), "requested", 250));
    let customer = shop.queries.customer(id(2)).await.unwrap().unwrap();
    assert_eq!(
        timeless(customer),
        json!({
            "id": id(2),
            "status": "open",
            "name": "Ann",
            "email": "ann@example.org",
            "registeredAt": "2011-12-09T00:00:00.000000Z",
            "revision": 0,
        })
    );
    let product = shop.queries.product("A").await.unwrap().unwrap();
    assert_eq!((&*product.name, product.price.amount), ("Mug A", 125));
}

#[tokio::test]
async fn sales_are_told_by_day_and_by_product() {
    let shop = Shop::open().await;
    shop.given("product", "products", "A", &[listed("A")]).await;
    for (order, sku, quantity, seconds) in
        [(1, "A", 2, 0), (2, "B", 4, 1), (3, "A", 1, DAY), (4, "C", 4, 3 * DAY)]
    {
        let placed = placed(order, 2, sku, quantity, seconds);
        shop.given("order", "sales", id(order), &[placed, paid(125 * quantity)]).await;
    }

    let days = shop.queries.sales_by_day(day(9), day(11)).await.unwrap();
    let sums = |orders: u64, quantity: u64, amount: i64| {
        json!({
            "orders": orders,
            "lines": orders,
            "quantity": quantity,
            "amount": { "amount": amount, "currency": "GBP" },
        })
    };
    let with = |mut sums: Value, name: &str, value: &str| {
        sums[name] = value.into();
        sums
    };
    assert_eq!(
        timeless(days),
        json!([
            with(sums(2, 6, 750), "day", "2011-12-09"),
            with(sums(1, 1, 125), "day", "2011-12-10"),
        ])
    );
    let first = shop.queries.sales_by_product("GBP", None, limit(2)).await.unwrap();
    let second = shop.queries.sales_by_product("GBP", first.next.as_ref(), limit(2)).await.unwrap();
    let sold: Vec<_> = first.items.iter().chain(&second.items).collect();
    assert_eq!(
        timeless(sold),
        json!([
            with(sums(1, 4, 500), "sku", "C"),
            with(sums(1, 4, 500), "sku", "B"),
            with(with(sums(2, 3, 375), "sku", "A"), "name", "Mug A"),
        ])
    );
    assert_eq!(second.next, None);
    assert!(shop.queries.sales_by_product("EUR", None, limit(2)).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_range_of_days_must_be_sensible() {
    let shop = Shop::open().await;

    let backwards = shop.queries.sales_by_day(day(9), day(8)).await;
    assert!(matches!(backwards, Err(QueryError::Range { days: 0, .. })), "{backwards:?}");
    let endless = shop.queries.sales_by_day(NaiveDate::MIN, NaiveDate::MAX).await;
    assert!(matches!(endless, Err(QueryError::Range { .. })), "{endless:?}");
}

#[tokio::test]
async fn a_checkout_tells_what_it_waits_for() {
    let shop = Shop::open().await;
    let placed = CheckoutFact::OrderPlaced {
        items: vec![("A".parse().unwrap(), many(1)), ("B".parse().unwrap(), many(1))],
        total: gbp(2),
        method: "card-ok".parse().unwrap(),
    };
    let reserved = CheckoutFact::Reserved { sku: "A".parse().unwrap() };
    let input = |what| CheckoutInput { order: OrderId(id(1)), at: at(0), what };
    let inputs = vec![input(placed), input(reserved)];
    let record = Advanced::<Checkout> { inputs, effects: Vec::new(), upto: 0 };
    shop.given("checkout", "checkouts", id(1), &[record]).await;

    let checkout = shop.queries.checkout(id(1)).await.unwrap().unwrap();

    assert_eq!(
        timeless(&checkout),
        json!({
            "order": id(1),
            "stage": "reserving",
            "unanswered": 1,
            "held": 1,
            "startedAt": "2011-12-09T00:00:00.000000Z",
            "revision": 0,
        })
    );
    assert_eq!(shop.queries.open_checkouts(limit(5)).await.unwrap(), [checkout]);
}

#[tokio::test]
async fn projections_tell_how_far_they_are() {
    let shop = Shop::open().await;
    let position = shop.given("stock", "stock", "A", &[received(1)]).await;

    let status = shop.queries.projections().await.unwrap().projections;

    let stock = status.iter().find(|status| status.name == "stock").unwrap();
    assert_eq!((stock.version, stock.live, stock.parked), (1, true, 0));
    assert_eq!(stock.position, Some(position.0));
    assert!(stock.owner.is_some());
}

#[tokio::test]
async fn parked_events_are_shown_with_the_reason() {
    let shop = Shop::open().await;
    let committed = StockEvent::Committed { order: OrderId(id(1)), quantity: many(2), at: at(1) };
    let position = shop.given("stock", "stock", "A", &[received(1), committed]).await;

    let parked = shop.queries.parked_events(limit(5)).await.unwrap();

    assert_eq!(parked.len(), 1);
    assert_eq!((&*parked[0].projection, parked[0].position), ("stock", position.0));
    assert_eq!((&*parked[0].stream, parked[0].revision), ("stock-A", 1));
    assert_eq!(parked[0].error, "the stock on hand is out of range");
    let status = shop.queries.projections().await.unwrap().projections;
    assert_eq!(status.iter().map(|status| status.parked).sum::<u64>(), 1);
}

#[tokio::test]
async fn a_wait_ends_in_time_whatever_happens() {
    let shop = Shop::open().await;
    let position = shop.given("stock", "stock", "A", &[received(1)]).await;
    // The event concerned no order; the projection of orders passes it all the same.
    shop.wait("orders", position).await;

    let never = Position(position.0 + 1);
    let waited = shop.queries.wait_for("stock", never, Duration::from_millis(5)).await;
    assert!(!waited.unwrap());
    let unknown = shop.queries.wait_for("weather", position, Duration::from_mins(1)).await;
    assert!(matches!(unknown, Err(QueryError::UnknownProjection { .. })), "{unknown:?}");
}

#[tokio::test]
async fn without_read_models_nothing_can_be_answered() {
    let folder = tempfile::tempdir().unwrap();
    let queries =
        Queries::open(&testing::address(folder.path(), "none.db"), &Limits::default()).unwrap();

    let order = queries.order(id(1)).await;

    assert!(matches!(order, Err(QueryError::Unavailable(_))), "{order:?}");
}
