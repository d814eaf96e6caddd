//! Consumers: what comes twice counts once, and what fails holds back its own key only.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daybook_database::{Executor, Pool, Tx, query};
use daybook_domain::order::{CancelReason, OrderEvent, OrderLine};
use daybook_domain::values::{Money, OrderId};
use daybook_event_schemas::{DomainEvent, Envelope};
use daybook_event_store::{EventStore, Filter};
use daybook_integration::dead_letters::{self, DeadLetter};
use daybook_integration::feed::{Feed, FeedError, Message};
use daybook_integration::{
    Again, Analytics, Consumer, ConsumerOptions, HandleError, RELAY, discarded, run,
};
use futures::TryStreamExt;
use tokio_util::sync::CancellationToken;

use crate::support::{Running, Shop, at, confirmed, order_id, placed, until};

/// Notes each event it is given, unless the event's order is on its list of those to refuse.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes {
    pub(crate) taken: Arc<Mutex<Vec<(String, u64)>>>,
    refused: Arc<Mutex<HashSet<OrderId>>>,
    attempts: Arc<AtomicUsize>,
}

impl Consumer for Notes {
    const NAME: &'static str = "notes";
    const KINDS: &'static [&'static str] = &["OrderConfirmed"];

    async fn handle(&self, _tx: &mut Tx, event: &Envelope<DomainEvent>) -> Result<(), HandleError> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let order = OrderId(event.stream.id().parse().unwrap());
        if self.refused.lock().unwrap().contains(&order) {
            return Err(HandleError::Refused("not today".into()));
        }
        let taken = (event.stream.id().to_owned(), event.revision.0);
        self.taken.lock().unwrap().push(taken);
        Ok(())
    }
}

/// Gives what it is told to, and nothing more.
pub(crate) struct Given(pub(crate) Vec<Vec<Message>>);

impl Feed for Given {
    async fn next(&mut self, _most: usize) -> Result<Vec<Message>, FeedError> {
        if self.0.is_empty() {
            std::future::pending::<()>().await;
        }
        Ok(self.0.remove(0))
    }

    async fn commit(&mut self) -> Result<(), FeedError> {
        Ok(())
    }

    async fn bury(&mut self, _message: &Message, _error: &str) -> Result<(), FeedError> {
        Ok(())
    }

    async fn close(self) {}
}

pub(crate) fn options() -> ConsumerOptions {
    ConsumerOptions {
        attempts: 3,
        backoff: Duration::from_millis(1),
        metrics: prometheus::Registry::new(),
        ..ConsumerOptions::default()
    }
}

pub(crate) fn start<C: Consumer>(consumer: C, feed: impl Feed, pool: &Pool) -> Running {
    let (pool, shutdown) = (pool.clone(), CancellationToken::new());
    let stop = shutdown.clone();
    let task = tokio::spawn(async move {
        run(consumer, feed, pool, options(), stop).await.unwrap();
    });
    Running { task, shutdown }
}

/// Every message that the shop's events make.
async fn messages(shop: &Shop) -> Vec<Message> {
    let recorded: Vec<_> = shop.store.read_all(None, Filter::all()).try_collect().await.unwrap();
    recorded.iter().map(|event| Message::of(event).unwrap().unwrap()).collect()
}

async fn dead(pool: &Pool) -> Vec<DeadLetter> {
    dead_letters::list(pool).await.unwrap()
}

async fn number(pool: &Pool, sql: &'static str) -> i64 {
    pool.fetch_all(query(sql)).await.unwrap()[0].i64(0).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_twice_is_taken_once() {
    let shop = Shop::new().await;
    shop.orders(2, 3).await;
    let given = messages(&shop).await;
    let notes = Notes::default();

    let batches = vec![given.clone(), given[..3].to_vec(), given];
    let running = start(notes.clone(), Given(batches), &shop.pool);

    let consumed = "SELECT count(*) FROM consumed_events";
    until("consumed events", || async { number(&shop.pool, consumed).await == 6 }).await;
    running.stop().await;
    assert_eq!(notes.taken.lock().unwrap().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_refused_holds_back_its_own_key_only() {
    let shop = Shop::new().await;
    shop.orders(3, 2).await;
    let notes = Notes::default();
    notes.refused.lock().unwrap().insert(order_id(1));

    let running = start(notes.clone(), Given(vec![messages(&shop).await]), &shop.pool);
    until("dead letters", || async { dead(&shop.pool).await.len() == 2 }).await;
    running.stop().await;

    let letters = dead(&shop.pool).await;
    assert_eq!(letters[0].error.as_deref(), Some("not today"));
    assert_eq!((letters[0].attempts, letters[1].attempts), (3, 0));
    let order = order_id(1).to_string();
    assert!(letters.iter().all(|letter| letter.message.key == order));

    let mut redo = Again(notes.clone());
    // Refused once more, in a dry run that changes nothing, and then not.
    let again = dead_letters::replay(&shop.pool, letters[1].id, false, &mut redo);
    again.await.unwrap_err();
    assert_eq!(dead(&shop.pool).await[0].attempts, 4);
    notes.refused.lock().unwrap().clear();
    notes.taken.lock().unwrap().clear();
    let pretend = dead_letters::replay(&shop.pool, letters[1].id, true, &mut redo);
    assert_eq!(pretend.await.unwrap().len(), 2);
    assert_eq!(dead(&shop.pool).await.len(), 2);
    notes.taken.lock().unwrap().clear();
    let done = dead_letters::replay(&shop.pool, letters[1].id, false, &mut redo);
    assert_eq!(done.await.unwrap().len(), 2);
    assert_eq!(*notes.taken.lock().unwrap(), [(order.clone(), 0), (order, 1)]);
    assert!(dead(&shop.pool).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_messages_are_set_aside_and_the_others_go_on() {
    let shop = Shop::new().await;
    shop.orders(6, 1).await;
    let mut given = messages(&shop).await;
    given[0].headers.retain(|(name, _)| name != "ce_id");
    given[1].payload = "{".into();
    given[2].payload = vec![0xff, 0, 0xfe].into();
    let unknown = |(name, value): &mut (_, String)| {
        if *name == "ce_type" {
            *value = "daybook.OrderAdmired.v1".into();
        }
    };
    given[3].headers.iter_mut().for_each(unknown);
    given[4].headers.clear();
    given[4].key.clear();
    let expected = given.clone();
    let notes = Notes::default();

    let running = start(notes.clone(), Given(vec![given.clone(), given]), &shop.pool);
    until("dead letters", || async { dead(&shop.pool).await.len() == 4 }).await;
    running.stop().await;

    assert_eq!(*notes.taken.lock().unwrap(), [(order_id(5).to_string(), 0)]);
    let letters = dead(&shop.pool).await;
    for (letter, message) in letters.iter().zip([0, 1, 2, 4].map(|at| &expected[at])) {
        assert_eq!((&letter.message.payload, letter.attempts), (&message.payload, 1));
        assert_eq!(letter.message.headers, message.headers);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_stays_given_up() {
    let shop = Shop::new().await;
    shop.orders(1, 1).await;
    let notes = Notes::default();
    notes.refused.lock().unwrap().insert(order_id(0));
    let running = start(notes.clone(), Given(vec![messages(&shop).await]), &shop.pool);
    until("a dead letter", || async { dead(&shop.pool).await.len() == 1 }).await;
    running.stop().await;
    let attempts = notes.attempts.load(Ordering::Relaxed);

    let letter = &dead(&shop.pool).await[0];
    let discard = dead_letters::discard(&shop.pool, letter.id, "never placed", "operator:ann");
    discard.await.unwrap();
    let kept = &discarded(&shop.pool).await.unwrap()[0];
    assert_eq!((kept.id, &*kept.reason, &*kept.by), (letter.id, "never placed", "operator:ann"));
    assert_eq!((&kept.key, &*kept.kind), (&letter.stream(), "OrderConfirmed"));
    assert_eq!(Some(&kept.error), letter.error.as_ref());
    shop.orders(2, 1).await;
    notes.refused.lock().unwrap().clear();
    let running = start(notes.clone(), Given(vec![messages(&shop).await]), &shop.pool);
    let consumed = "SELECT count(*) FROM consumed_events";
    until("consumed events", || async { number(&shop.pool, consumed).await == 3 }).await;
    running.stop().await;

    assert_eq!(notes.attempts.load(Ordering::Relaxed), attempts + 2);
    assert!(!dead(&shop.pool).await.iter().any(|letter| letter.consumer == RELAY));
}

/// Orders over some minutes: placed, and paid, cancelled or refunded.
async fn trade(shop: &Shop) {
    for n in 0..10 {
        let stream = format!("order-{}", order_id(n));
        let minutes = i64::try_from(n).unwrap() * 60_000_000;
        let price = Money::new(250, "GBP".parse().unwrap());
        let line = OrderLine {
            sku: format!("SKU-{}", n % 2).parse().unwrap(),
            seller: "acme".parse().unwrap(),
            name: "A thing".parse().unwrap(),
            quantity: 2.try_into().unwrap(),
            unit_price: price,
        };
        let total = Money::new(500, price.currency);
        shop.happens(&stream, &placed(n, vec![line], total, at(minutes))).await;
        let end = if n % 5 == 4 {
            OrderEvent::Cancelled { reason: CancelReason::CustomerRequest, at: at(minutes) }
        } else {
            let payment = daybook_domain::values::PaymentId(order_id(n).0);
            OrderEvent::Paid { payment, amount: total, at: at(minutes + 60_000_000) }
        };
        shop.happens(&stream, &DomainEvent::Order(end)).await;
        shop.happens(&stream, &confirmed()).await;
    }
    let refunded = OrderEvent::Refunded {
        refund: "r1".into(),
        amount: Money::new(250, "GBP".parse().unwrap()),
        refunded: Money::new(250, "GBP".parse().unwrap()),
        at: at(0),
    };
    shop.happens(&format!("order-{}", order_id(0)), &DomainEvent::Order(refunded)).await;
}

async fn figures(pool: &Pool) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for sql in [
        "SELECT minute, placed, paid, revenue, refunded FROM analytics_minutes ORDER BY minute",
        "SELECT minute, orders FROM analytics_cancellations ORDER BY minute",
        "SELECT day, quantity, amount FROM analytics_products ORDER BY sku",
    ] {
        for row in pool.fetch_all(query(sql)).await.unwrap() {
            let columns = 0..row.names().len();
            all.push(columns.map(|at| row.i64(at).unwrap().to_string()).collect());
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_and_disorder_do_not_change_the_figures() {
    let shop = Shop::new().await;
    trade(&shop).await;
    let given = messages(&shop).await;
    let disorder: Vec<_> = given.iter().rev().chain(&given).cloned().collect();
    let consumed = "SELECT count(*) FROM consumed_events";
    let mut outcomes = Vec::new();

    for batches in [vec![given], disorder.chunks(7).map(<[_]>::to_vec).collect()] {
        let other = Shop::new().await;
        let running = start(Analytics, Given(batches), &other.pool);
        until("figures", || async { number(&other.pool, consumed).await == 21 }).await;
        running.stop().await;
        outcomes.push(figures(&other.pool).await);
    }

    assert_eq!(outcomes[0], outcomes[1]);
    let first_minute = ["0", "1", "0", "0", "250"];
    assert_eq!(outcomes[0][0], first_minute);
    assert!(outcomes[0].contains(&["0", "10", "2500"].map(str::to_owned).to_vec()));
}
