use daybook_domain::checkout::CheckoutFact;
use daybook_domain::order::{CancelReason, OrderEvent};
use daybook_domain::payment::PaymentEvent;
use daybook_domain::product::ProductEvent;
use daybook_domain::stock::{ReleaseReason, StockEvent};
use daybook_domain::values::Timestamp;
use daybook_event_schemas::runtime::ParkingRecord;
use daybook_event_store::NewEvent;
use daybook_query_side::verify::{Check, verify};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::story::{
    AT, LATER, Story, captured, order_id, payment_of, placed, pounds, quantity, requested,
    reserved, sealed,
};

/// While everything that the stories leave open has time left.
const NOW: Timestamp = Timestamp::from_micros(0);

impl Story {
    async fn checks(&self, now: Timestamp) -> Vec<Check> {
        verify(&self.store, None, now).await.unwrap()
    }

    /// The checks that are not passed.
    async fn failing_at(&self, now: Timestamp) -> Vec<Check> {
        self.checks(now).await.into_iter().filter(|check| !check.ok).collect()
    }

    /// Exactly this check fails, and its detail says so.
    async fn fails(&self, name: &str, detail: &str) {
        self.fails_at(NOW, name, detail).await;
    }

    async fn fails_at(&self, now: Timestamp, name: &str, detail: &str) {
        let failing = self.failing_at(now).await;
        let names: Vec<_> = failing.iter().map(|check| check.name.as_str()).collect();
        assert_eq!(names, [name], "{failing:#?}");
        assert!(failing[0].detail.contains(detail), "{}", failing[0].detail);
    }
}

/// One order sold, one reserved.
async fn busy() -> Story {
    let story = Story::opened().await;
    story.sell(1).await;
    story.reserve(2).await;
    story
}

fn released(n: u128, count: i64) -> StockEvent {
    let (order, quantity) = (order_id(n), quantity(count));
    StockEvent::Released { order, quantity, reason: ReleaseReason::Cancelled, at: AT }
}

fn cancelled() -> OrderEvent {
    OrderEvent::Cancelled { reason: CancelReason::CustomerRequest, at: AT }
}

fn refunded(n: u128, minor: i64, total: i64) -> PaymentEvent {
    PaymentEvent::Refunded {
        order: order_id(n),
        refund: format!("refund-{total}"),
        amount: pounds(minor),
        refunded: pounds(total),
        at: AT,
    }
}

#[tokio::test]
async fn an_empty_store_passes() {
    assert_eq!(Story::new().failing_at(NOW).await, []);
}

#[tokio::test]
async fn a_store_in_order_passes_and_says_what_was_looked_at() {
    let story = busy().await;

    let checks = story.checks(NOW).await;

    let told: Vec<_> = checks.iter().map(|check| (check.ok, check.detail.as_str())).collect();
    assert_eq!(told[0], (true, "34 events"), "{checks:#?}");
    assert_eq!(told[3], (true, "2 SKUs, 8 events"), "{checks:#?}");
    assert_eq!(told[4], (true, "3 reserved"), "{checks:#?}");
    assert!(checks.iter().all(|check| check.ok), "{checks:#?}");
    let under_way = format!(
        "1 ended, 1 under way: checkout of order {} is authorizing, due by \
         2011-12-09T13:20:00.000000Z",
        order_id(2)
    );
    assert!(checks.iter().any(|check| check.detail == under_way), "{checks:#?}");
    let json = serde_json::to_value(&checks[0]).unwrap();
    let expected = json!({ "name": "positions increase", "ok": true, "detail": "34 events" });
    assert_eq!(json, expected);
}

#[tokio::test]
async fn more_reserved_than_there_is_is_oversold() {
    let story = busy().await;
    let (count, reason) = ("count".into(), String::new());
    story.stock("CUP", StockEvent::Adjusted { delta: -7, count, reason, at: AT }).await;

    story.fails("stock is never oversold", "stock-CUP at 4: 2 reserved of 1").await;
}

#[tokio::test]
async fn stock_that_was_oversold_for_a_moment_only_is_found_too() {
    let story = busy().await;
    let adjusted = |delta, count: &str| StockEvent::Adjusted {
        delta,
        count: count.into(),
        reason: String::new(),
        at: AT,
    };
    story.stock("CUP", adjusted(-9, "first")).await;
    story.stock("CUP", adjusted(9, "second")).await;

    story.fails("stock is never oversold", "2 reserved of -1").await;
}

#[tokio::test]
async fn a_release_of_another_quantity_than_was_reserved_does_not_add_up() {
    let story = busy().await;
    story.stock("CUP", released(2, 1)).await;

    story.fails("reservations add up", "1 reserved, reservations of 0").await;
}

#[tokio::test]
async fn a_release_without_a_reservation_does_not_add_up() {
    let story = busy().await;
    story.stock("CUP", released(9, 1)).await;

    story.fails("reservations add up", "1 reserved, reservations of 2").await;
}

#[tokio::test]
async fn a_second_reservation_of_an_order_does_not_add_up() {
    let story = busy().await;
    story.stock("CUP", reserved(2, 3)).await;

    story.fails("reservations add up", "5 reserved, reservations of 3").await;
}

#[tokio::test]
async fn stock_that_stays_reserved_for_a_closed_order_is_found() {
    let rule = "nothing is reserved for closed orders";
    let story = busy().await;
    story.stock("CUP", reserved(1, 1)).await;
    story.fails(rule, "which is fulfilled").await;

    let story = busy().await;
    story.stock("CUP", reserved(9, 1)).await;
    story.fails(rule, "which was never placed").await;

    let story = busy().await;
    story.order(2, cancelled()).await;
    let gone = CheckoutFact::OrderCancelled { reason: CancelReason::CustomerRequest };
    story.checkout(2, &[gone, CheckoutFact::PaymentDeclined { reason: "no".into() }]).await;
    assert_eq!(story.failing_at(NOW).await, [], "the checkout is still releasing");
    let skus = ["CUP", "TIN"].map(|sku| CheckoutFact::Released { sku: sku.parse().unwrap() });
    story.checkout(2, &skus).await;
    story.fails(rule, "2 found: stock-CUP is held for order").await;
}

#[tokio::test]
async fn more_refunded_than_was_captured_is_out_of_bounds() {
    let story = busy().await;
    story.payment(1, refunded(1, 1_301, 1_301)).await;

    story.fails("payments stay within what was asked for", "refunded 1301").await;
}

#[tokio::test]
async fn a_sum_that_is_not_the_sum_of_its_amounts_is_found() {
    let story = busy().await;
    story.payment(1, refunded(1, 100, 200)).await;

    story.fails("payments stay within what was asked for", "refunded 100").await;
}

#[tokio::test]
async fn an_order_paid_without_a_capture_is_found() {
    let story = Story::opened().await;
    story.reserve(1).await;
    let (payment, amount) = (payment_of(1), pounds(1_300));
    story.order(1, OrderEvent::Paid { payment, amount, at: AT }).await;

    story.fails("paid orders and captured payments match", "nothing was captured").await;
}

#[tokio::test]
async fn an_order_paid_with_another_amount_than_its_total_is_found() {
    let story = Story::opened().await;
    story.reserve(1).await;
    story.payment(1, requested(1, 1_299)).await;
    story.payment(1, captured(1, "capture", 1_299, 1_299)).await;
    let (payment, amount) = (payment_of(1), pounds(1_299));
    story.order(1, OrderEvent::Paid { payment, amount, at: AT }).await;

    story.fails("paid orders and captured payments match", "12.99 GBP was captured").await;
}

#[tokio::test]
async fn money_taken_for_an_order_that_is_cancelled_or_not_there_is_found() {
    let rule = "paid orders and captured payments match";
    let story = busy().await;
    story.payment(9, requested(9, 1_300)).await;
    story.payment(9, captured(9, "capture", 1_300, 1_300)).await;
    story.fails(rule, "an order that is not there").await;

    let story = busy().await;
    story.order(1, cancelled()).await;
    assert_eq!(story.failing_at(NOW).await, [], "the checkout does not know yet");
    let gone = CheckoutFact::OrderCancelled { reason: CancelReason::CustomerRequest };
    story.checkout(1, &[gone]).await;
    story.fails(rule, "is kept although its order is cancelled").await;
    story.payment(1, refunded(1, 1_300, 1_300)).await;
    assert_eq!(story.failing_at(NOW).await, []);
}

#[tokio::test]
async fn a_second_charge_of_an_order_is_found() {
    let story = busy().await;
    let other = Uuid::from_u128(77);
    let stream = format!("payment-{other}");
    story.tell(&stream, requested(1, 1_300)).await;
    story.tell(&stream, captured(1, "again", 1_300, 1_300)).await;

    story.fails("orders are charged at most once", &other.to_string()).await;
}

#[tokio::test]
async fn a_checkout_that_should_have_ended_is_found() {
    let story = busy().await;
    story.fails_at(LATER, "every checkout ends", "is authorizing").await;

    let story = Story::opened().await;
    story.sell(1).await;
    story.order(1, cancelled()).await;
    let told = "is still to learn of the cancellation";
    story.fails_at(LATER, "every checkout ends", told).await;

    let story = Story::opened().await;
    story.order(1, placed(1)).await;
    assert_eq!(story.failing_at(NOW).await, []);
    story.fails_at(LATER, "every checkout ends", "is not started").await;
}

#[tokio::test]
async fn a_shipment_that_is_not_fulfilled_is_found() {
    let story = Story::opened().await;
    story.reserve(1).await;
    story.pay(1).await;
    let items = vec![];
    let seller = "acme".parse().unwrap();
    story.order(1, OrderEvent::Shipped { seller, items, tracking: String::new(), at: AT }).await;

    assert_eq!(story.failing_at(NOW).await, []);
    story.fails_at(LATER, "every shipment is fulfilled", "shipped and not fulfilled").await;
}

#[tokio::test]
async fn a_parked_effect_is_found_until_it_is_resolved_or_discarded() {
    let story = busy().await;
    let parked = |n| ParkingRecord::Parked {
        process: "checkout".into(),
        instance: order_id(2).to_string(),
        command_id: Uuid::from_u128(n),
        command: json!({ "type": "confirmOrder" }),
        error: "the store is full".into(),
        attempts: 10,
    };
    story.tell("parked-checkout", parked(1)).await;
    story.tell("parked-checkout", parked(2)).await;
    story.fails("no effect is parked", "2 found: checkout-").await;

    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    story.tell("parked-checkout", ParkingRecord::Resolved { command_id: first }).await;
    story.fails("no effect is parked", "the store is full").await;
    let discarded = ParkingRecord::Discarded {
        command_id: second,
        instance: String::new(),
        command: Value::Null,
        reason: String::new(),
    };
    story.tell("parked-checkout", discarded).await;
    assert_eq!(story.failing_at(NOW).await, []);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_found() {
    let broken = || {
        let repriced = sealed(&ProductEvent::Repriced { price: pounds(1), at: AT });
        NewEvent { data: "{".into(), ..repriced }
    };
    let story = busy().await;
    story.write("product-CUP", broken()).await;
    story.fails("events can be read", "product-CUP at 1").await;

    let story = busy().await;
    story.tell("product-CUP", placed(1)).await;
    story.fails("events can be read", "unknown event type \"OrderPlaced\"").await;

    let story = busy().await;
    story.tell("payment-mine", refunded(1, 1, 1)).await;
    story.fails("events can be read", "the stream's name").await;
}

#[tokio::test]
async fn streams_of_others_are_not_looked_into() {
    let story = busy().await;
    let other = NewEvent {
        id: Uuid::now_v7(),
        kind: "Noted".into(),
        data: "not json".into(),
        metadata: "".into(),
        is_json: true,
    };
    story.write("notes-1", other).await;

    let checks = story.checks(NOW).await;

    assert!(checks.iter().all(|check| check.ok), "{checks:#?}");
    assert_eq!(checks[2].detail, "35 events, 1 of them of streams not looked into");
}

#[tokio::test]
async fn no_more_than_ten_violations_are_named() {
    let story = Story::opened().await;
    for n in 100..113 {
        story.stock("CUP", reserved(n, 1)).await;
        story.stock("CUP", released(n, 1)).await;
        story.stock("TIN", reserved(n, 1)).await;
        let count = format!("count-{n}");
        let added = StockEvent::Adjusted { delta: 1, count, reason: String::new(), at: AT };
        story.stock("TIN", added).await;
    }

    story.fails("nothing is reserved for closed orders", "13 found: ").await;
    story.fails("nothing is reserved for closed orders", "; and 3 more").await;
}
