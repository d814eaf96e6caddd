//! The relay with a broker that fails, and events that cannot be published.

mod consumers;

use std::time::Duration;

use daybook_domain::customer::CustomerEvent;
use daybook_event_schemas::{Contract, DomainEvent, seal};
use daybook_integration::dead_letters::{self, DeadLetterError};
use daybook_integration::feed::KafkaFeed;
use daybook_integration::{Publish, RELAY, RelayOptions};
use uuid::Uuid;

use crate::support::{
    Shop, at, broker, cluster, complete, confirmed, lease, metadata, order_id, revisions, take,
    take_more, until,
};

fn metric(registry: &prometheus::Registry, name: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().filter(|family| family.name() == name);
    let metrics = family.flat_map(prometheus::proto::MetricFamily::get_metric);
    metrics.map(|m| m.get_gauge().get_value() + m.get_counter().get_value()).sum()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs scripts/with-kafka"]
async fn a_broker_that_crashes_under_load_loses_nothing() {
    let (shop, kafka) = (Shop::new().await, cluster());
    let relay = shop.relay(&kafka);
    shop.orders(20, 10).await;
    let mut feed = KafkaFeed::join(kafka.clone(), "a", DomainEvent::KINDS).await.unwrap();
    let mut messages = take(&mut feed, 100).await;

    let ((), ()) = tokio::join!(
        async {
            broker("stop").await;
            broker("start").await;
        },
        shop.orders(20, 40),
    );
    shop.orders(20, 10).await;

    take_more(&mut feed, &mut messages, 20 * 60).await;
    assert_eq!(revisions(&messages), complete(20, 60));
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs scripts/with-kafka"]
async fn events_wait_in_the_store_for_a_broker_that_is_away() {
    let (shop, kafka) = (Shop::new().await, cluster());
    let metrics = prometheus::Registry::new();
    let options = RelayOptions {
        messages: 50,
        metrics: metrics.clone(),
        ..RelayOptions::new(lease("relay-1"))
    };
    let relay = shop.relay_with(&kafka, options);
    shop.orders(10, 1).await;
    let published = "daybook_relay_published_total";
    until("publishing", || async { metric(&metrics, published) > 9.0 }).await;

    broker("stop").await;
    shop.orders(10, 50).await;

    let flying = || metric(&metrics, "daybook_relay_unacknowledged");
    until("a full buffer", || async { flying() > 49.0 }).await;
    until("lag", || async { metric(&metrics, "daybook_relay_lag_seconds") > 1.0 }).await;
    assert!(flying() < 51.0 && metric(&metrics, published) < 11.0);

    broker("start").await;
    let mut feed = KafkaFeed::join(kafka.clone(), "a", DomainEvent::KINDS).await.unwrap();
    assert_eq!(revisions(&take(&mut feed, 510).await), complete(10, 51));
    until("no lag", || async { metric(&metrics, "daybook_relay_lag_seconds") <= 0.0 }).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs scripts/with-kafka"]
async fn a_relay_that_falls_silent_is_followed_by_another() {
    let (shop, kafka) = (Shop::new().await, cluster());
    let first = shop.relay(&kafka);
    let second = shop.relay_with(&kafka, RelayOptions::new(lease("relay-2")));
    shop.orders(10, 10).await;
    let mut feed = KafkaFeed::join(kafka.clone(), "a", DomainEvent::KINDS).await.unwrap();
    let mut messages = take(&mut feed, 50).await;

    first.task.abort();
    shop.orders(10, 10).await;

    take_more(&mut feed, &mut messages, 200).await;
    assert_eq!(revisions(&messages), complete(10, 20));
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs scripts/with-kafka"]
async fn an_event_that_cannot_be_published_holds_back_its_own_key_only() {
    let (shop, kafka) = (Shop::new().await, cluster());
    let broken = format!("order-{}", order_id(0));
    let mut malformed = seal(Uuid::now_v7(), &confirmed(), &metadata());
    malformed.data = "{}".into();
    let reason = "x".repeat(1_048_000);
    let large = CustomerEvent::Closed { reason: reason.as_str().into(), at: at(0) };

    let relay = shop.relay(&kafka);
    shop.append(&broken, malformed).await;
    shop.happens("customer-1", &large).await;
    shop.orders(3, 2).await;

    let mut feed = KafkaFeed::join(kafka.clone(), "a", DomainEvent::KINDS).await.unwrap();
    let mut others = complete(3, 2);
    others.remove(&order_id(0).to_string());
    assert_eq!(revisions(&take(&mut feed, 4).await), others);
    until("dead letters", || async { dead_letters::list(&shop.pool).await.unwrap().len() == 4 })
        .await;
    let dead = dead_letters::list(&shop.pool).await.unwrap();
    let errors: Vec<_> = dead.iter().map(|letter| letter.error.as_deref()).collect();
    assert!(errors[0].is_some_and(|error| error.contains("malformed")), "{errors:?}");
    assert!(errors[1].is_some_and(|error| error.contains("bytes")), "{errors:?}");
    assert_eq!(errors[2..], [None, None]);
    assert!(dead.iter().all(|letter| letter.consumer == RELAY));

    let mut publish = Publish::new(kafka.clone(), false).await.unwrap();
    let again = dead_letters::replay(&shop.pool, dead[3].id, false, &mut publish).await;
    assert!(matches!(again, Err(DeadLetterError::Again { id, .. }) if id == dead[0].id));
    dead_letters::discard(&shop.pool, dead[0].id, "malformed", "operator:ann").await.unwrap();
    let mut pretend = Publish::new(kafka.clone(), true).await.unwrap();
    let would = dead_letters::replay(&shop.pool, dead[3].id, true, &mut pretend).await.unwrap();
    let done = dead_letters::replay(&shop.pool, dead[3].id, false, &mut publish).await.unwrap();
    assert_eq!((would.len(), done.len()), (2, 2));

    shop.orders(1, 1).await;
    let released = revisions(&take(&mut feed, 3).await);
    assert_eq!(released[&order_id(0).to_string()], [1, 2, 3]);
    tokio::time::timeout(Duration::from_mins(1), relay.stop()).await.unwrap();
}
