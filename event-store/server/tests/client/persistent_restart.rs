//! Groups after a restart: nothing that was said is forgotten, and what was parked stays.

use std::path::Path;

use daybook_event_store::{EmbeddedOptions, Store};
use daybook_event_store_server::ServerOptions;
use kurrentdb::{Error, NakAction, ReplayParkedMessagesOptions};
use tempfile::TempDir;

use crate::given::{Given, serve, server};
use crate::persistent::{
    PATIENCE, acked, append, create, end, from_start, in_flight, info, next, parked, plain,
    revision, subscribe, until,
};

/// A server on a folder, as soon as no other has it.
async fn start(folder: &Path) -> Given {
    let open = async {
        loop {
            if let Ok(store) = Store::embedded(folder, &EmbeddedOptions::default()) {
                return store;
            }
            tokio::task::yield_now().await;
        }
    };
    let store = tokio::time::timeout(PATIENCE, open).await.unwrap();
    serve(store, ServerOptions::default()).await
}

async fn restart(given: Given, folder: &Path) -> Given {
    given.stop.cancel();
    given.served.await.unwrap().unwrap();
    start(folder).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_goes_on_where_it_was() {
    let folder = TempDir::new().unwrap();
    let given = start(folder.path()).await;
    append(&given.client, "order-1", 5).await;
    // No checkpoint is due: it is written because the server stops.
    create(&given.client, "order-1", &from_start().checkpoint_lower_bound(100)).await;
    let mut consumer = subscribe(&given.client, "order-1").await;
    let (first, _) = next(&mut consumer).await;
    consumer.ack(&first).await.unwrap();
    let (second, _) = next(&mut consumer).await;
    consumer.nack(&second, NakAction::Park, "no stock").await.unwrap();
    parked(&given, "order-1", 1).await;
    in_flight(&given, "order-1", 3).await;

    let given = restart(given, folder.path()).await;

    for _ in 2..5 {
        next(&mut consumer).await;
    }
    assert!(matches!(end(&mut consumer).await, Error::ServerError(_)));
    assert_eq!(info(&given.client, "order-1").await.stats.parked_message_count, 1);
    let mut consumer = subscribe(&given.client, "order-1").await;
    assert_eq!(acked(&mut consumer, 3).await, [2, 3, 4]);
    let options = ReplayParkedMessagesOptions::default();
    given.client.replay_parked_messages("order-1", "group", &options).await.unwrap();
    assert_eq!(revision(&next(&mut consumer).await.0), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_message_that_is_not_acknowledged_stays_parked() {
    let folder = TempDir::new().unwrap();
    let given = start(folder.path()).await;
    append(&given.client, "order-1", 2).await;
    create(&given.client, "order-1", &from_start()).await;
    let mut consumer = subscribe(&given.client, "order-1").await;
    for _ in 0..2 {
        let (event, _) = next(&mut consumer).await;
        consumer.nack(&event, NakAction::Park, "no stock").await.unwrap();
    }
    parked(&given, "order-1", 2).await;
    let options = ReplayParkedMessagesOptions::default();
    given.client.replay_parked_messages("order-1", "group", &options).await.unwrap();
    assert_eq!(acked(&mut consumer, 1).await, [0]);
    assert_eq!(revision(&next(&mut consumer).await.0), 1);
    in_flight(&given, "order-1", 1).await;

    let given = restart(given, folder.path()).await;

    let left = info(&given.client, "order-1").await.stats.parked_message_count;
    assert_eq!(left, 1, "the one that was acknowledged is gone");
    given.client.replay_parked_messages("order-1", "group", &options).await.unwrap();
    let mut consumer = subscribe(&given.client, "order-1").await;
    assert_eq!(acked(&mut consumer, 1).await, [1]);
}

#[tokio::test]
async fn a_replay_stops_where_it_is_told_to() {
    let given = server().await;
    append(&given.client, "order-1", 3).await;
    create(&given.client, "order-1", &from_start()).await;
    let mut consumer = subscribe(&given.client, "order-1").await;
    for _ in 0..3 {
        let (event, _) = next(&mut consumer).await;
        consumer.nack(&event, NakAction::Park, "no stock").await.unwrap();
    }
    parked(&given, "order-1", 3).await;

    let two = ReplayParkedMessagesOptions::default().stop_at(2);
    given.client.replay_parked_messages("order-1", "group", &two).await.unwrap();

    for wanted in [0, 1] {
        let (event, _) = next(&mut consumer).await;
        assert_eq!(revision(&event), wanted);
        consumer.nack(&event, NakAction::Park, "still no stock").await.unwrap();
    }
    parked(&given, "order-1", 3).await;
}

#[tokio::test]
async fn restarting_the_subsystem_drops_consumers_and_keeps_groups() {
    let given = server().await;
    append(&given.client, "order-1", 3).await;
    create(&given.client, "order-1", &from_start()).await;
    let mut consumer = subscribe(&given.client, "order-1").await;
    acked(&mut consumer, 3).await;
    let checkpoint =
        async || info(&given.client, "order-1").await.stats.last_checkpointed_event_revision;
    until(async || checkpoint().await == Some(2)).await;

    let options = plain();
    given.client.restart_persistent_subscription_subsystem(&options).await.unwrap();

    assert!(matches!(end(&mut consumer).await, Error::IllegalStateError(_)));
    let mut consumer = subscribe(&given.client, "order-1").await;
    append(&given.client, "order-1", 1).await;
    assert_eq!(acked(&mut consumer, 1).await, [3]);
}
