//! Process managers at work, through crashes, repetitions and odd clocks.

use std::collections::BTreeMap;
use std::time::Duration;

use daybook_command_side::payments::{Ledger, Provider};
use daybook_command_side::processes::{
    ParkingError, ProcessError, discard, discarded, list, retry,
};
use daybook_domain::Effect;
use daybook_domain::checkout::{
    Checkout, CheckoutCommand, CheckoutFact, CheckoutInput, RESERVATION_TTL,
};
use daybook_domain::order::{CancelReason, OrderStatus};
use daybook_event_schemas::{Advanced, Metadata, open, seal};
use daybook_event_store::{EmbeddedOptions, EventStore, Expected, NewEvent, Store, StreamId};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::shop::{PRICE, Shop, context, order, pence, sku};

#[tokio::test]
async fn an_order_is_reserved_paid_shipped_and_fulfilled() {
    let mut shop = Shop::given(&[("mug", 5), ("jar", 5)]).await;
    let program = shop.start();

    shop.order(1, &["mug", "jar", "mug"], "tok_approve").await;
    program.idle(&shop).await;
    assert_eq!(shop.status(1).await, OrderStatus::Paid);
    assert_eq!((shop.stock("mug").await.reserved(), shop.stock("jar").await.reserved()), (2, 1));

    shop.ship(1).await;
    program.idle(&shop).await;
    assert_eq!(shop.status(1).await, OrderStatus::Fulfilled);
    let (mug, jar) = (shop.stock("mug").await, shop.stock("jar").await);
    assert_eq!((mug.reserved(), mug.on_hand(), jar.reserved(), jar.on_hand()), (0, 3, 0, 4));
    assert_eq!(shop.ledger().await.captured["GBP"], 3 * PRICE);
    assert!(program.stop().await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_declined_order_is_cancelled_and_its_stock_released() {
    let mut shop = Shop::given(&[("mug", 5)]).await;
    let program = shop.start();

    shop.order(1, &["mug"], "tok_decline").await;
    program.idle(&shop).await;

    let reason = CancelReason::PaymentDeclined { reason: "the card was declined".into() };
    assert_eq!(shop.status(1).await, OrderStatus::Cancelled(reason));
    assert_eq!(shop.stock("mug").await.available(), 5);
    assert_eq!(shop.ledger().await.captures, 0);
}

#[tokio::test]
async fn an_order_of_something_sold_out_is_cancelled_and_the_rest_released() {
    let mut shop = Shop::given(&[("mug", 5), ("jar", 0)]).await;
    let program = shop.start();

    shop.order(1, &["mug", "jar"], "tok_approve").await;
    program.idle(&shop).await;

    let reason = CancelReason::OutOfStock { sku: sku("jar") };
    assert_eq!(shop.status(1).await, OrderStatus::Cancelled(reason));
    assert_eq!(shop.stock("mug").await.available(), 5);
    assert_eq!(shop.ledger().await.authorizations, 0);
}

/// Every business event of two good orders, a declined one, and one that is paid and cancelled.
const HISTORY: &[(&str, usize)] = &[
    ("OrderCancelled", 2),
    ("OrderConfirmed", 4),
    ("OrderFulfilled", 2),
    ("OrderPaid", 3),
    ("OrderPlaced", 4),
    ("OrderRefunded", 1),
    ("OrderShipped", 2),
    ("PaymentAuthorized", 3),
    ("PaymentCaptured", 3),
    ("PaymentDeclined", 1),
    ("PaymentRefunded", 1),
    ("PaymentRequested", 4),
    ("StockCommitted", 3),
    ("StockReleased", 2),
    ("StockReserved", 5),
];

async fn history(shop: &Shop) -> BTreeMap<String, usize> {
    let kinds: Vec<_> = HISTORY.iter().map(|(kind, _)| *kind).collect();
    let mut counts = BTreeMap::new();
    for event in shop.events(&kinds).await {
        *counts.entry(event.kind.to_string()).or_default() += 1;
    }
    counts
}

async fn given_four_orders() -> Shop {
    let shop = Shop::given(&[("mug", 10), ("jar", 10)]).await;
    shop.order(1, &["mug", "jar"], "tok_approve").await;
    shop.order(2, &["mug"], "tok_decline").await;
    shop.order(3, &["jar"], "tok_lost_answer").await;
    shop.order(4, &["mug"], "tok_approve").await;
    shop
}

/// What people do about the orders once they are paid.
async fn when_two_are_shipped_and_one_cancelled(shop: &Shop) {
    shop.ship(1).await;
    shop.ship(3).await;
    shop.cancel(4).await;
}

async fn assert_nothing_lost_or_doubled(shop: &Shop) {
    let expected = HISTORY.iter().map(|&(kind, count)| (kind.to_owned(), count)).collect();
    assert_eq!(history(shop).await, expected);
    assert_eq!(shop.status(1).await, OrderStatus::Fulfilled);
    assert_eq!(shop.status(3).await, OrderStatus::Fulfilled);
    let (mug, jar) = (shop.stock("mug").await, shop.stock("jar").await);
    assert_eq!((mug.on_hand(), mug.reserved(), jar.on_hand(), jar.reserved()), (9, 0, 8, 0));
    let ledger = shop.ledger().await;
    assert_eq!((ledger.authorizations, ledger.captures, ledger.refused), (3, 3, 1));
    assert_eq!((ledger.captured["GBP"], ledger.charged_twice), (4 * PRICE, 0));
    assert_eq!((ledger.refunded["GBP"], ledger.refunds), (PRICE, 1));
    assert!(list(&shop.store, "checkout").await.unwrap().is_empty());
    assert!(list(&shop.store, "fulfilment").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_crash_at_any_point_loses_and_doubles_nothing() {
    for steps in 0..160 {
        let mut shop = given_four_orders().await;
        for steps in [steps, steps / 2, steps / 3] {
            let program = shop.start();
            for _ in 0..steps {
                tokio::task::yield_now().await;
            }
            program.crash().await;
        }
        let program = shop.start();
        program.idle(&shop).await;
        when_two_are_shipped_and_one_cancelled(&shop).await;
        for _ in 0..steps {
            tokio::task::yield_now().await;
        }
        program.crash().await;

        let program = shop.start();
        program.idle(&shop).await;

        assert_nothing_lost_or_doubled(&shop).await;
        assert!(program.stop().await.iter().all(Result::is_ok));
    }
}

#[tokio::test]
async fn a_durable_store_that_is_closed_and_opened_again_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Store::embedded(folder.path(), &EmbeddedOptions::default()).unwrap();
    let mut shop = Shop::over(open());
    shop.stock_up(&[("mug", 5)]).await;
    shop.order(1, &["mug"], "tok_approve").await;
    let program = shop.start();
    program.until(async || shop.status(1).await != OrderStatus::Pending).await;
    assert!(program.stop().await.iter().all(Result::is_ok));
    shop.store.close();

    let mut reopened = Shop::over(open());
    reopened.provider = shop.provider.clone();
    let program = reopened.start();
    program.idle(&reopened).await;

    assert_eq!(reopened.status(1).await, OrderStatus::Paid);
    assert_eq!(reopened.ledger().await.captures, 1);
}

#[tokio::test]
async fn events_that_come_again_change_nothing() {
    let mut shop = given_four_orders().await;
    (shop.options.checkpoint_interval, shop.options.checkpoint_events) = (Duration::MAX, u64::MAX);
    let program = shop.start();
    program.idle(&shop).await;
    when_two_are_shipped_and_one_cancelled(&shop).await;
    program.idle(&shop).await;
    program.crash().await;
    let (head, asked_again) = (shop.head().await, shop.ledger().await.repeated);

    // Without a checkpoint everything is read, and every command sent, from the beginning: the
    // provider is asked again, under the same keys.
    let program = shop.start();
    program.idle(&shop).await;

    assert_nothing_lost_or_doubled(&shop).await;
    let records = shop.events(&["CheckoutAdvanced", "FulfilmentAdvanced"]).await;
    let news: Vec<_> = records.iter().filter(|record| record.position > head).collect();
    assert!(news.iter().all(|record| record.kind == "CheckoutAdvanced".into()));
    assert!(shop.ledger().await.repeated > asked_again);
}

#[tokio::test]
async fn a_stop_waits_for_no_pause_and_a_restart_goes_on() {
    let mut shop = Shop::given(&[("mug", 5)]).await;
    shop.options.backoff = Duration::from_hours(1);
    shop.options.longest_backoff = Duration::from_hours(1);
    shop.order(1, &["mug"], "tok_lost_answer").await;

    // The first answer to each request is lost, so it takes a restart to get it.
    for authorized_and_captured in [(1, 0), (1, 1)] {
        let program = shop.start();
        let asked = |ledger: Ledger| (ledger.authorizations, ledger.captures);
        program.until(async || asked(shop.ledger().await) == authorized_and_captured).await;
        assert!(program.stop().await.iter().all(Result::is_ok));
    }
    let program = shop.start();
    program.idle(&shop).await;

    assert_eq!(shop.status(1).await, OrderStatus::Paid);
    assert_eq!(shop.ledger().await.captured["GBP"], PRICE);
}

async fn given_unanswered_payment() -> Shop {
    let mut shop = Shop::given(&[("mug", 5)]).await;
    shop.options.attempts = 2;
    shop.order(1, &["mug"], "tok_timeout").await;
    shop
}

fn expired() -> OrderStatus {
    OrderStatus::Cancelled(CancelReason::ReservationExpired)
}

async fn timeouts(shop: &Shop) -> usize {
    let records = shop.events(&["CheckoutAdvanced"]).await;
    let inputs = records
        .iter()
        .flat_map(|record| open::<Advanced<Checkout>>(record).unwrap().unwrap().event.inputs);
    inputs.filter(|input| matches!(input.what, CheckoutFact::TimedOut(_))).count()
}

#[tokio::test]
async fn a_timer_survives_stop_and_crash() {
    let (often, never) = (Duration::ZERO, Duration::MAX);
    for (crash, checkpoints) in [(false, often), (true, often), (true, never)] {
        let mut shop = given_unanswered_payment().await;
        shop.options.checkpoint_interval = checkpoints;
        let program = shop.start();
        program.idle(&shop).await;
        assert_eq!(shop.status(1).await, OrderStatus::Confirmed);
        assert_eq!(program.checkout.progress().borrow().timers, 1);
        if crash {
            program.crash().await;
        } else {
            drop(program.stop().await);
        }

        shop.turn_clock(31);
        let program = shop.start();
        program.until(async || shop.status(1).await == expired()).await;
        program.idle(&shop).await;

        assert_eq!(shop.stock("mug").await.available(), 5);
        assert_eq!(timeouts(&shop).await, 1);
    }
}

#[tokio::test]
async fn a_timer_fires_once_however_the_clock_jumps() {
    let mut shop = given_unanswered_payment().await;
    let program = shop.start();
    program.idle(&shop).await;

    for (order, minutes) in [(2, -24 * 60), (3, 24 * 60), (4, 29)] {
        shop.turn_clock(minutes);
        // Something that takes long enough for a timer to be looked at.
        shop.order(order, &["mug"], "tok_approve").await;
        program.idle(&shop).await;
        assert_eq!(shop.status(1).await, OrderStatus::Confirmed);
    }
    shop.turn_clock(365 * 24 * 60);
    program.until(async || shop.status(1).await == expired()).await;
    shop.turn_clock(-365 * 24 * 60);
    program.idle(&shop).await;

    assert_eq!(timeouts(&shop).await, 1);
    assert_eq!(shop.stock("mug").await.reserved(), 3);
}

#[tokio::test]
async fn a_command_that_keeps_failing_is_parked_and_an_operator_retries_it() {
    let mut shop = Shop::given(&[("mug", 5)]).await;
    shop.options.attempts = 1;
    let program = shop.start();
    shop.order(1, &["mug"], "tok_lost_answer").await;
    program.idle(&shop).await;
    let (provider, actor) = (Provider::Simulated(shop.provider.clone()), context().actor);

    for command in ["authorize", "capture"] {
        let parked = list(&shop.store, "checkout").await.unwrap();
        assert_eq!(parked.len(), 1);
        assert!(parked[0].command.to_string().contains(command), "{:?}", parked[0]);
        assert_eq!((parked[0].attempts, shop.status(1).await), (1, OrderStatus::Confirmed));
        let id = parked[0].command_id;
        retry::<Checkout>(&shop.commands, &provider, id, &actor).await.unwrap();
        let again = retry::<Checkout>(&shop.commands, &provider, id, &actor).await;
        assert!(matches!(again, Err(ParkingError::NotParked { .. })));
        program.idle(&shop).await;
    }

    assert_eq!(shop.status(1).await, OrderStatus::Paid);
    assert!(list(&shop.store, "checkout").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_parked_command_that_fails_again_stays_until_it_is_discarded_and_its_checkout_ends() {
    let mut shop = given_unanswered_payment().await;
    let program = shop.start();
    program.idle(&shop).await;
    let (provider, actor) = (Provider::Simulated(shop.provider.clone()), context().actor);
    let parked = list(&shop.store, "checkout").await.unwrap().remove(0);

    let failed = retry::<Checkout>(&shop.commands, &provider, parked.command_id, &actor).await;
    assert!(matches!(failed, Err(ParkingError::Failed(_))));
    assert_eq!(list(&shop.store, "checkout").await.unwrap()[0], parked);

    discard(&shop.store, "checkout", parked.command_id, "gone for good", &actor).await.unwrap();
    assert!(list(&shop.store, "checkout").await.unwrap().is_empty());
    let given_up = &discarded(&shop.store, "checkout").await.unwrap()[0];
    assert_eq!((&given_up.effect, &*given_up.reason), (&parked, "gone for good"));
    assert_eq!(given_up.by, actor);
    program.idle(&shop).await;
    let declined = CancelReason::PaymentDeclined { reason: "gone for good".into() };
    assert_eq!(shop.status(1).await, OrderStatus::Cancelled(declined));
}

#[tokio::test]
async fn goods_that_were_not_reserved_are_left_to_an_operator() {
    let mut shop = Shop::given(&[("mug", 5)]).await;
    let program = shop.start();
    shop.order(1, &["mug"], "tok_approve").await;
    program.idle(&shop).await;
    shop.lose_reservation(1, "mug").await;

    shop.ship(1).await;
    program.idle(&shop).await;

    let parked = list(&shop.store, "fulfilment").await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0].error, "rejected: the order's reservation was released");
}

#[tokio::test]
async fn the_runtime_that_started_last_is_in_charge() {
    let mut shop = Shop::given(&[("mug", 5)]).await;
    let first = shop.start();
    shop.order(1, &["mug"], "tok_approve").await;
    first.idle(&shop).await;
    first.until(async || !shop.events(&["ProcessCheckpointed"]).await.is_empty()).await;

    let provider = Provider::Simulated(shop.provider.clone());
    let second = shop.run::<Checkout>(provider, &CancellationToken::new());
    for number in 2..5 {
        shop.order(number, &["mug"], "tok_approve").await;
    }
    let superseded = first.checkout.join().await;

    assert!(matches!(superseded, Err(ProcessError::Superseded { process: "checkout" })));
    crate::shop::settled(second.progress(), shop.head().await).await;
    for number in 1..5 {
        assert_eq!(shop.status(number).await, OrderStatus::Paid);
    }
    assert_eq!(shop.ledger().await.captures, 4);
}

#[tokio::test]
async fn what_a_superseded_runtime_left_behind_is_carried_out() {
    let mut shop = Shop::given(&[("mug", 5)]).await;
    let program = shop.start();
    program.idle(&shop).await;

    // Another runtime writes a record and stops before it sends the commands.
    let (sku, quantity, at) = (sku("mug"), 2.try_into().unwrap(), shop.now());
    let placed = CheckoutFact::OrderPlaced {
        items: vec![(sku.clone(), quantity)],
        total: pence(2 * PRICE),
        method: "tok_approve".parse().unwrap(),
    };
    let expires_at = at.plus(RESERVATION_TTL);
    let record = Advanced::<Checkout> {
        inputs: vec![CheckoutInput { order: order(1), at, what: placed }],
        effects: vec![Effect::Dispatch(CheckoutCommand::Reserve { sku, quantity, expires_at })],
        upto: 0,
    };
    let stream = StreamId::new("checkout", order(1)).unwrap();
    let id = Uuid::now_v7();
    let metadata = Metadata {
        schema_version: 0,
        correlation_id: id,
        causation_id: id,
        actor: context().actor,
        traceparent: None,
    };
    let event = seal(id, &record, &metadata);
    shop.store.append(&stream, Expected::NoStream, vec![event]).await.unwrap();

    program.until(async || !shop.events(&["StockReserved"]).await.is_empty()).await;
}

#[tokio::test]
async fn an_event_that_makes_no_sense_stops_the_process() {
    let mut shop = Shop::given(&[]).await;
    let (id, stream) = (Uuid::now_v7(), StreamId::new("order", Uuid::nil()).unwrap());
    let (kind, data, metadata) = ("OrderPlaced".into(), "{}".into(), "{}".into());
    let event = NewEvent { id, kind, data, metadata, is_json: true };
    shop.store.append(&stream, Expected::NoStream, vec![event]).await.unwrap();

    let stopped = shop.start().checkout.join().await;

    assert!(matches!(stopped, Err(ProcessError::Undecodable(_))));
}
