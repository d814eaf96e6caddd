//! Given events, the rows of each read model.

use crate::support::{World, at, gbp};
use daybook_domain::customer::CustomerEvent;
use daybook_domain::order::{CancelReason, OrderEvent, OrderLine};
use daybook_domain::payment::PaymentEvent;
use daybook_domain::product::ProductEvent;
use daybook_domain::stock::{ReleaseReason, StockEvent};
use daybook_domain::values::{CustomerId, OrderId, PaymentId, Quantity};
use uuid::Uuid;

const FILE: &str = "read.db";
const ORDER: OrderId = OrderId(Uuid::from_u128(1));
const CUSTOMER: CustomerId = CustomerId(Uuid::from_u128(2));
const PAYMENT: PaymentId = PaymentId(Uuid::from_u128(3));

fn many(quantity: i64) -> Quantity {
    Quantity::try_from(quantity).unwrap()
}

fn line(sku: &str, seller: &str, quantity: i64, price: i64) -> OrderLine {
    OrderLine {
        sku: sku.parse().unwrap(),
        seller: seller.parse().unwrap(),
        name: format!("{sku} thing").parse().unwrap(),
        quantity: many(quantity),
        unit_price: gbp(price),
    }
}

fn placed(lines: Vec<OrderLine>) -> OrderEvent {
    let total = lines.iter().map(|l| l.unit_price.minor * i64::from(l.quantity)).sum();
    OrderEvent::Placed {
        order: ORDER,
        customer: CUSTOMER,
        lines,
        total: gbp(total),
        method: "card-ok".parse().unwrap(),
        at: at(0),
    }
}

fn paid(amount: i64) -> OrderEvent {
    OrderEvent::Paid { payment: PAYMENT, amount: gbp(amount), at: at(2) }
}

fn refunded(name: &str, amount: i64, altogether: i64) -> OrderEvent {
    let (amount, refunded) = (gbp(amount), gbp(altogether));
    OrderEvent::Refunded { refund: name.into(), amount, refunded, at: at(9) }
}

fn shipped(seller: &str) -> OrderEvent {
    let seller = seller.parse().unwrap();
    OrderEvent::Shipped { seller, items: Vec::new(), tracking: "T1".into(), at: at(3) }
}

/// The columns of a table after the events of one stream.
async fn then(world: &World, table: &str, columns: &str) -> Vec<String> {
    world.project(FILE).await;
    world.columns(FILE, table, columns).await
}

#[tokio::test]
async fn an_order_goes_through_all_its_stages() {
    let world = World::new();
    let fulfilled = OrderEvent::Fulfilled { seller: "b".parse().unwrap(), at: at(5) };
    let partly = OrderEvent::PartiallyFulfilled { seller: "a".parse().unwrap(), at: at(4) };
    let columns = "status, payment, shipment, refund, total, refunded, revision";
    for (event, expected) in [
        (placed(vec![line("A", "a", 2, 5), line("B", "b", 1, 7)]), "pending none none none 17 0 0"),
        (OrderEvent::Confirmed { at: at(1) }, "confirmed none none none 17 0 1"),
        (paid(17), "paid captured none none 17 0 2"),
        (shipped("a"), "paid captured partial none 17 0 3"),
        (shipped("a"), "paid captured partial none 17 0 4"),
        (partly, "partiallyFulfilled captured partial none 17 0 5"),
        (shipped("b"), "partiallyFulfilled captured full none 17 0 6"),
        (fulfilled, "fulfilled captured full none 17 0 7"),
        (refunded("r1", 7, 7), "fulfilled captured full partial 17 7 8"),
        (refunded("r2", 10, 17), "fulfilled captured full full 17 17 9"),
    ] {
        world.given("order", ORDER, &[event]).await;
        assert_eq!(then(&world, "orders", columns).await, [expected]);
    }
    assert_eq!(
        world.columns(FILE, "order_lines", "line, sku, seller, name, quantity, unit_price").await,
        ["1 A a A thing 2 5", "2 B b B thing 1 7"]
    );
    assert_eq!(
        world.columns(FILE, "order_timeline", "revision, kind, detail, actor").await[..5],
        [
            "0 OrderPlaced 0.17 GBP user:alice",
            "1 OrderConfirmed - user:alice",
            "2 OrderPaid 0.17 GBP user:alice",
            "3 OrderShipped a: T1 user:alice",
            "4 OrderShipped a: T1 user:alice",
        ]
    );
    assert_eq!(
        world.columns(FILE, "order_shipments", "seller, tracking, fulfilled_at").await,
        [format!("a T1 {}", at(4).as_micros()), format!("b T1 {}", at(5).as_micros())]
    );
}

#[tokio::test]
async fn a_cancelled_order_says_why() {
    let world = World::new();
    let reason = CancelReason::OutOfStock { sku: "A".parse().unwrap() };
    let cancelled = OrderEvent::Cancelled { reason, at: at(1) };
    world.given("order", ORDER, &[placed(vec![line("A", "a", 2, 5)]), cancelled]).await;

    let columns = "status, cancel_reason, cancel_detail";
    assert_eq!(then(&world, "orders", columns).await, ["cancelled outOfStock A"]);
}

#[tokio::test]
async fn stock_is_received_reserved_released_and_committed() {
    let world = World::new();
    let (order, other) = (ORDER, OrderId(Uuid::from_u128(9)));
    for (event, stock, held) in [
        (
            StockEvent::Received { quantity: many(10), receipt: "r".into(), at: at(0) },
            "10 0 0",
            vec![],
        ),
        (
            StockEvent::Adjusted { delta: -1, count: "c".into(), reason: String::new(), at: at(0) },
            "9 0 1",
            vec![],
        ),
        (
            StockEvent::Reserved { order, quantity: many(4), expires_at: at(9), at: at(1) },
            "9 4 2",
            vec!["4 held -"],
        ),
        (
            StockEvent::Reserved { order: other, quantity: many(5), expires_at: at(9), at: at(1) },
            "9 9 3",
            vec!["4 held -", "5 held -"],
        ),
        (
            StockEvent::Committed { order, quantity: many(4), at: at(2) },
            "5 5 4",
            vec!["4 committed -", "5 held -"],
        ),
        (
            StockEvent::Released {
                order: other,
                quantity: many(5),
                reason: ReleaseReason::Expired,
                at: at(9),
            },
            "5 0 5",
            vec!["4 committed -", "5 released expired"],
        ),
    ] {
        world.given("stock", "A", &[event]).await;
        assert_eq!(then(&world, "stock", "on_hand, reserved, revision").await, [stock]);
        let reservations = world.columns(FILE, "reservations", "quantity, status, reason").await;
        assert_eq!(reservations, held);
    }
}

#[tokio::test]
async fn an_extended_reservation_lapses_later() {
    let world = World::new();
    let (order, quantity) = (ORDER, many(4));
    world
        .given(
            "stock",
            "A",
            &[
                StockEvent::Received { quantity, receipt: "r".into(), at: at(0) },
                StockEvent::Reserved { order, quantity, expires_at: at(5), at: at(0) },
                StockEvent::Extended { order, expires_at: at(9), at: at(1) },
            ],
        )
        .await;

    let held = then(&world, "reservations", "expires_at, status").await;
    assert_eq!(held, [format!("{} held", at(9).as_micros())]);
}

#[tokio::test]
async fn a_payment_goes_through_its_stages() {
    let world = World::new();
    let order = ORDER;
    let captured = |capture: &str, amount, altogether| PaymentEvent::Captured {
        order,
        capture: capture.into(),
        amount: gbp(amount),
        captured: gbp(altogether),
        at: at(2),
    };
    let refunded = |refund: &str, amount, altogether| PaymentEvent::Refunded {
        order,
        refund: refund.into(),
        amount: gbp(amount),
        refunded: gbp(altogether),
        at: at(3),
    };
    for (event, expected) in [
        (requested(17), "requested 17 0 0 - 0"),
        (
            PaymentEvent::Authorized { order, amount: gbp(17), reference: "a".into(), at: at(1) },
            "authorized 17 0 0 a 1",
        ),
        (captured("c1", 10, 10), "captured 17 10 0 a 2"),
        (PaymentEvent::Voided { order, at: at(2) }, "captured 17 10 0 a 3"),
        (refunded("r1", 4, 4), "captured 17 10 4 a 4"),
        (refunded("r2", 6, 10), "refunded 17 10 10 a 5"),
    ] {
        world.given("payment", PAYMENT, &[event]).await;
        let columns = "status, amount, captured, refunded, reference, revision";
        assert_eq!(then(&world, "payments", columns).await, [expected]);
    }
}

fn requested(amount: i64) -> PaymentEvent {
    let method = "card-ok".parse().unwrap();
    PaymentEvent::Requested {
        payment: PAYMENT,
        order: ORDER,
        amount: gbp(amount),
        method,
        at: at(0),
    }
}

#[tokio::test]
async fn a_payment_is_voided_or_declined_before_anything_is_taken() {
    let order = ORDER;
    for (event, expected) in [
        (PaymentEvent::Voided { order, at: at(2) }, "voided -"),
        (
            PaymentEvent::Declined { order, reason: "no funds".into(), at: at(2) },
            "declined no funds",
        ),
    ] {
        let world = World::new();
        world.given("payment", PAYMENT, &[requested(5), event]).await;
        assert_eq!(then(&world, "payments", "status, decline").await, [expected]);
    }
}

#[tokio::test]
async fn a_customer_is_registered_changed_and_closed() {
    let world = World::new();
    for (event, expected) in [
        (
            CustomerEvent::Registered {
                customer: CUSTOMER,
                name: "Ann".parse().unwrap(),
                email: Some("ann@example.org".parse().unwrap()),
                country: None,
                at: at(0),
            },
            "open Ann ann@example.org - 0",
        ),
        (
            CustomerEvent::Changed {
                name: "Anna".parse().unwrap(),
                email: None,
                country: Some("GB".parse().unwrap()),
                at: at(1),
            },
            "open Anna - GB 1",
        ),
        (CustomerEvent::Closed { reason: "asked".into(), at: at(2) }, "closed Anna - GB 2"),
    ] {
        world.given("customer", CUSTOMER, &[event]).await;
        let columns = "status, name, email, country, revision";
        assert_eq!(then(&world, "customers", columns).await, [expected]);
    }
}

#[tokio::test]
async fn a_product_is_listed_described_repriced_and_delisted() {
    let world = World::new();
    for (event, expected) in [
        (
            ProductEvent::Listed {
                sku: "A".parse().unwrap(),
                seller: "a".parse().unwrap(),
                name: "Mug".parse().unwrap(),
                description: "Holds tea".into(),
                category: "Kitchen".parse().unwrap(),
                brand: None,
                price: gbp(250),
                at: at(0),
            },
            "listed a Mug Kitchen - 250 0",
        ),
        (
            ProductEvent::Described {
                name: "Cup".parse().unwrap(),
                description: "Holds more tea".into(),
                category: "Table".parse().unwrap(),
                brand: Some("Acme".parse().unwrap()),
                at: at(1),
            },
            "listed a Cup Table Acme 250 1",
        ),
        (ProductEvent::Repriced { price: gbp(300), at: at(2) }, "listed a Cup Table Acme 300 2"),
        (
            ProductEvent::Delisted { reason: "broken".into(), at: at(3) },
            "delisted a Cup Table Acme 300 3",
        ),
    ] {
        world.given("product", "A", &[event]).await;
        let columns = "status, seller, name, category, brand, price, revision";
        assert_eq!(then(&world, "products", columns).await, [expected]);
    }
}

#[tokio::test]
async fn an_order_counts_as_sold_from_its_payment_until_it_is_given_back() {
    let world = World::new();
    let lines = vec![line("A", "a", 2, 5), line("B", "a", 1, 7), line("A", "a", 1, 4)];
    for (event, day, products) in [
        (placed(lines), vec![], vec![]),
        (paid(21), vec!["2011-12-09 1 3 4 21"], vec!["A 1 2 3 14", "B 1 1 1 7"]),
        // 10 of 21 pence back: 4, 4 and 2 of the lines' 10, 7 and 4, the rounding included.
        (refunded("r1", 10, 10), vec!["2011-12-09 1 3 4 11"], vec!["A 1 2 3 8", "B 1 1 1 3"]),
        (refunded("r2", 11, 21), vec!["2011-12-09 0 0 0 0"], vec!["A 0 0 0 0", "B 0 0 0 0"]),
    ] {
        world.given("order", ORDER, &[event]).await;
        let sums = "orders, lines, quantity, amount";
        assert_eq!(then(&world, "sales_by_day", &format!("day, {sums}")).await, day);
        assert_eq!(then(&world, "sales_by_product", &format!("sku, {sums}")).await, products);
    }
}

#[tokio::test]
async fn an_order_that_is_cancelled_after_payment_does_not_count() {
    let world = World::new();
    let reason = CancelReason::CustomerRequest;
    world
        .given(
            "order",
            ORDER,
            &[
                placed(vec![line("A", "a", 2, 5)]),
                paid(10),
                OrderEvent::Cancelled { reason, at: at(4) },
                refunded("r1", 10, 10),
            ],
        )
        .await;

    let day = then(&world, "sales_by_day", "day, orders, lines, quantity, amount").await;
    assert_eq!(day, ["2011-12-09 0 0 0 0"]);
}

#[tokio::test]
async fn an_order_that_costs_nothing_counts_all_the_same() {
    let world = World::new();
    world.given("order", ORDER, &[placed(vec![line("A", "a", 2, 0)]), paid(0)]).await;

    let day = then(&world, "sales_by_day", "day, orders, lines, quantity, amount").await;
    assert_eq!(day, ["2011-12-09 1 1 2 0"]);
}

#[tokio::test]
async fn a_sku_may_have_quotes_and_backslashes() {
    let world = World::new();
    let sku = r#"A"\'B"#;
    world.given("order", ORDER, &[placed(vec![line(sku, "a", 2, 5)]), paid(10)]).await;

    let product = then(&world, "sales_by_product", "sku, quantity, amount").await;
    assert_eq!(product, [format!("{sku} 2 10")]);
}
