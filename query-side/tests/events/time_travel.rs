use daybook_domain::checkout::CheckoutFact;
use daybook_domain::order::CancelReason;
use daybook_domain::product::ProductEvent;
use daybook_domain::values::Timestamp;
use daybook_event_schemas::{format_timestamp, parse_timestamp};
use daybook_event_store::{NewEvent, Revision};
use daybook_query_side::time_travel::{History, Moment, TimeTravelError, travel};
use serde_json::{Value, json};

use crate::story::{AT, CUSTOMER, LATER, Story, listed, order_id, payment_of, pounds, sealed};

impl Story {
    async fn at(&self, stream: &str, moment: Moment) -> History {
        travel(&self.store, stream, moment).await.unwrap()
    }

    async fn state(&self, stream: impl ToString, moment: Moment) -> Value {
        self.at(&stream.to_string(), moment).await.state
    }

    async fn refuses(&self, stream: &str, moment: Moment) -> TimeTravelError {
        travel(&self.store, stream, moment).await.unwrap_err()
    }
}

/// A product that was listed, repriced and delisted.
async fn delisted() -> Story {
    let story = Story::new();
    story.tell("product-CUP", listed("CUP", "Red cup", 250)).await;
    story.tell("product-CUP", ProductEvent::Repriced { price: pounds(199), at: AT }).await;
    story.tell("product-CUP", ProductEvent::Delisted { reason: "gone".into(), at: AT }).await;
    story
}

fn cup(status: &str, price: i64) -> Value {
    json!({
        "status": status,
        "sku": "CUP",
        "seller": "acme",
        "name": "Red cup",
        "description": "",
        "category": "Home",
        "brand": null,
        "price": { "amount": price, "currency": "GBP" },
    })
}

#[tokio::test]
async fn a_revision_shows_the_state_after_its_event() {
    let story = delisted().await;
    let state = |n| story.state("product-CUP", Moment::Revision(Revision(n)));

    assert_eq!(state(0).await, cup("listed", 250));
    assert_eq!(state(1).await, cup("listed", 199));
    assert_eq!(state(2).await, cup("delisted", 199));
    assert_eq!(story.state("product-CUP", Moment::Latest).await, cup("delisted", 199));
}

#[tokio::test]
async fn an_instant_shows_what_was_recorded_by_then() {
    let story = delisted().await;
    let all = story.at("product-CUP", Moment::Latest).await.events;
    for event in &all {
        let at = parse_timestamp(&event.recorded_at).unwrap();
        let by_then = all.iter().filter(|other| other.recorded_at <= event.recorded_at).count();

        let history = story.at("product-CUP", Moment::RecordedBy(at)).await;

        assert_eq!(history.events.len(), by_then);
        assert_eq!(history.revision, by_then as u64 - 1);
    }
    assert_eq!(story.state("product-CUP", Moment::RecordedBy(LATER)).await, cup("delisted", 199));
}

#[tokio::test]
async fn the_events_that_led_to_a_state_are_told_as_they_were_written() {
    let story = delisted().await;

    let history = story.at("product-CUP", Moment::Revision(Revision(1))).await;
    let mut history = serde_json::to_value(history).unwrap();

    assert_eq!(history["recordedAt"], history["events"][1]["recordedAt"]);
    let events = history["events"].as_array_mut().unwrap();
    for event in events.iter_mut() {
        let event = event.as_object_mut().unwrap();
        assert!(event.remove("recordedAt").unwrap().as_str().and_then(parse_timestamp).is_some());
        assert!(event.remove("id").unwrap().is_string());
    }
    let second = json!({
        "revision": 1,
        "position": 1,
        "kind": "ProductRepriced",
        "schemaVersion": 1,
        "correlationId": "00000000-0000-0000-0000-000000000001",
        "causationId": "00000000-0000-0000-0000-000000000002",
        "actor": "test:story",
        "data": {
            "price": { "amount": 199, "currency": "GBP" },
            "at": "2011-12-09T12:50:00.000000Z",
        },
    });
    assert_eq!(events[1], second);
    assert_eq!(events.len(), 2);
    assert_eq!(history["stream"], "product-CUP");
    assert_eq!(history["category"], "product");
    assert_eq!(history["revision"], 1);
}

#[tokio::test]
async fn an_order_shows_its_three_axes() {
    let story = Story::opened().await;
    story.sell(1).await;
    let order = format!("order-{}", order_id(1));

    let state = story.state(&order, Moment::Latest).await;

    let line = |sku, name, quantity, price| {
        json!({
            "sku": sku, "seller": "acme", "name": name, "quantity": quantity,
            "unitPrice": { "amount": price, "currency": "GBP" },
        })
    };
    let expected = json!({
        "order": order_id(1).to_string(),
        "customer": CUSTOMER.to_string(),
        "status": "fulfilled",
        "shipment": "full",
        "refund": "none",
        "lines": [line("CUP", "Red cup", 2, 250), line("TIN", "Cake tin", 1, 800)],
        "total": { "amount": 1300, "currency": "GBP" },
        "method": "tok_visa",
        "placedAt": "2011-12-09T12:50:00.000000Z",
        "refunds": {},
        "payment": payment_of(1).to_string(),
        "parcels": { "acme": { "status": "fulfilled", "tracking": "RM1" } },
    });
    assert_eq!(state, expected);
    let mut statuses = vec![];
    for n in 0..5 {
        let state = story.state(&order, Moment::Revision(Revision(n))).await;
        statuses.push(state["status"].as_str().unwrap().to_owned());
    }
    assert_eq!(statuses, ["pending", "confirmed", "paid", "paid", "fulfilled"]);
}

#[tokio::test]
async fn stock_and_payment_show_their_sums() {
    let story = Story::opened().await;
    story.sell(1).await;
    story.reserve(2).await;

    let expected = json!({
        "onHand": 8,
        "reserved": 2,
        "available": 6,
        "reservations": [
            { "order": order_id(2).to_string(), "quantity": 2, "expiresAt": format_timestamp(LATER) },
        ],
    });
    assert_eq!(story.state("stock-CUP", Moment::Latest).await, expected);

    let payment = format!("payment-{}", payment_of(1));
    let amount = json!({ "amount": 1300, "currency": "GBP" });
    let nothing = json!({ "amount": 0, "currency": "GBP" });
    let expected = json!({
        "status": "captured",
        "payment": payment_of(1).to_string(),
        "order": order_id(1).to_string(),
        "amount": amount,
        "method": "tok_visa",
        "reference": "auth-1",
        "captured": amount,
        "captures": { "capture": amount },
        "refunded": nothing,
        "refunds": {},
        "closed": false,
    });
    assert_eq!(story.state(payment, Moment::Latest).await, expected);
}

#[tokio::test]
async fn customers_and_processes_have_a_state() {
    let story = Story::opened().await;
    story.sell(1).await;
    story.reserve(2).await;
    let state = |category: &'static str, id: String| {
        let story = &story;
        async move { story.state(format!("{category}-{id}"), Moment::Latest).await }
    };

    let customer = state("customer", CUSTOMER.to_string()).await;
    let expected =
        json!({ "status": "open", "name": "Ada", "email": "ada@example.com", "country": "GB" });
    assert_eq!(customer, expected);
    let shipped = state("checkout", order_id(1).to_string()).await;
    assert_eq!(shipped, json!({ "status": "shipped", "complete": true }));
    let underway = state("checkout", order_id(2).to_string()).await;
    assert_eq!(underway["status"], "authorizing");
    assert_eq!(underway["skus"], json!(["CUP", "TIN"]));
    story
        .checkout(2, &[CheckoutFact::OrderCancelled { reason: CancelReason::CustomerRequest }])
        .await;
    let expected = json!({
        "status": "compensating",
        "complete": false,
        "reservations": { "CUP": "releasing", "TIN": "releasing" },
        "money": "authorizing",
    });
    assert_eq!(state("checkout", order_id(2).to_string()).await, expected);
    let fulfilled = state("fulfilment", order_id(1).to_string()).await;
    assert_eq!(fulfilled, json!({ "status": "fulfilled" }));
    let stream = format!("fulfilment-{}", order_id(1));
    let fulfilling = story.state(stream, Moment::Revision(Revision(0))).await;
    let expected = json!({
        "status": "underway",
        "sellers": { "acme": "committing" },
        "uncommitted": { "CUP": "acme", "TIN": "acme" },
    });
    assert_eq!(fulfilling, expected);
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let story = delisted().await;

    let error = story.refuses("product-CUP", Moment::Revision(Revision(3))).await;
    assert!(
        matches!(error, TimeTravelError::BeyondEnd { asked: Revision(3), last: Revision(2), .. }),
        "{error:?}"
    );
    let error = story.refuses("product-CUP", Moment::RecordedBy(Timestamp::from_micros(0))).await;
    assert!(matches!(error, TimeTravelError::NotYet { .. }), "{error:?}");
    for moment in [Moment::Latest, Moment::Revision(Revision(0)), Moment::RecordedBy(LATER)] {
        let error = story.refuses("product-TIN", moment).await;
        assert!(matches!(error, TimeTravelError::NoSuchStream { .. }), "{error:?}");
    }
    for stream in ["basket-1", "product", "$all", "parked-checkout"] {
        let error = story.refuses(stream, Moment::Latest).await;
        assert!(matches!(error, TimeTravelError::UnknownCategory { .. }), "{error:?}");
        assert!(error.to_string().contains("product, stock, order"), "{error}");
    }
    for stream in ["", "product-\n", &format!("product-{}", "x".repeat(300))] {
        let error = story.refuses(stream, Moment::Latest).await;
        assert!(matches!(error, TimeTravelError::InvalidStream(_)), "{error:?}");
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_understood_is_named_and_those_before_it_still_show() {
    let story = delisted().await;
    let relisted = sealed(&listed("CUP", "Red cup", 1));
    story.write("product-CUP", NewEvent { data: "{}".into(), ..relisted }).await;

    let error = story.refuses("product-CUP", Moment::Latest).await;

    assert!(matches!(error, TimeTravelError::Decode { revision: Revision(3), .. }), "{error:?}");
    let before = story.state("product-CUP", Moment::Revision(Revision(2))).await;
    assert_eq!(before, cup("delisted", 199));
}
