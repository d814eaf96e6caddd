//! What groups of persistent subscriptions can make the server hold.

use daybook_event_store::Store;
use daybook_event_store_server::ServerOptions;
use kurrentdb::{
    AppendToStreamOptions, Client, Error, EventData, PersistentSubscription,
    SubscribeToPersistentSubscriptionOptions,
};

use crate::given::{Given, serve};
use crate::http::json;
use crate::persistent::{
    acked, append, create, end, from_start, next, plain, revision, subscribe, until,
};

const MIB: usize = 1 << 20;
const LARGE: &str = "large-1";

/// A server whose groups hold so much, with four events of 900 KiB.
async fn given(group_bytes: usize) -> Given {
    let options = ServerOptions { group_bytes, ..ServerOptions::default() };
    let given = serve(Store::memory(), options).await;
    for _ in 0..4 {
        let large = EventData::binary("Large", vec![0; 900 << 10].into());
        let options = AppendToStreamOptions::default();
        given.client.append_to_stream(LARGE, &options, vec![large]).await.unwrap();
    }
    given
}

async fn held(given: &Given) -> usize {
    let stats = json(given.address, "/stats").await;
    usize::try_from(stats["groups"]["bytes"].as_u64().unwrap()).unwrap()
}

/// A consumer of a group of its own.
async fn consumer(client: &Client, group: &str) -> PersistentSubscription {
    client.create_persistent_subscription(LARGE, group, &from_start()).await.unwrap();
    again(client, group).await
}

async fn again(client: &Client, group: &str) -> PersistentSubscription {
    let options = SubscribeToPersistentSubscriptionOptions::default().buffer_size(10);
    client.subscribe_to_persistent_subscription(LARGE, group, &options).await.unwrap()
}

fn is_refused(error: &Error) -> bool {
    error.to_string().contains("hold too much memory")
}

#[tokio::test]
async fn groups_hold_no_more_than_all_of_them_may() {
    let given = given(4 * MIB).await;
    let mut greedy = consumer(&given.client, "greedy").await;
    for _ in 0..4 {
        next(&mut greedy).await;
    }

    for group in ["second", "third"] {
        let refused = end(&mut consumer(&given.client, group).await).await;
        assert!(is_refused(&refused), "{refused}");
    }

    assert!((3 * MIB..4 * MIB).contains(&held(&given).await));
    append(&given.client, "order-1", 3).await;
    create(&given.client, "order-1", &from_start()).await;
    let mut modest = subscribe(&given.client, "order-1").await;
    assert_eq!(acked(&mut modest, 3).await, [0, 1, 2]);
}

#[tokio::test]
async fn a_group_that_nobody_consumes_gives_way_to_others() {
    let given = given(4 * MIB).await;
    let mut greedy = consumer(&given.client, "greedy").await;
    for _ in 0..4 {
        next(&mut greedy).await;
    }
    drop(greedy);

    let refused = end(&mut consumer(&given.client, "second").await).await;
    assert!(is_refused(&refused), "{refused}");
    until(async || held(&given).await == 0).await;
    let mut second = again(&given.client, "second").await;
    assert_eq!(acked(&mut second, 4).await, [0, 1, 2, 3]);

    let mut greedy = again(&given.client, "greedy").await;
    assert_eq!(revision(&next(&mut greedy).await.0), 0, "nothing of it was lost");
}

#[tokio::test]
async fn a_group_that_needs_too_much_by_itself_loses_nothing() {
    let given = given(2 * MIB).await;
    let mut consumer = consumer(&given.client, "group").await;
    let (first, _) = next(&mut consumer).await;
    let (second, _) = next(&mut consumer).await;

    let refused = end(&mut consumer).await;

    assert!(is_refused(&refused), "{refused}");
    assert_eq!((revision(&first), revision(&second)), (0, 1));
    until(async || held(&given).await == 0).await;
    let mut consumer = again(&given.client, "group").await;
    assert_eq!(acked(&mut consumer, 1).await, [0]);
}

#[tokio::test]
async fn the_number_of_groups_is_bounded() {
    let options = ServerOptions { groups: 2, ..ServerOptions::default() };
    let Given { client, .. } = &serve(Store::memory(), options).await;
    let (options, delete) = (from_start(), plain());
    let another =
        async |group| client.create_persistent_subscription("order-1", group, &options).await;
    for group in ["one", "two"] {
        another(group).await.unwrap();
    }

    let refused = another("three").await.unwrap_err();
    assert!(refused.to_string().contains("delete one"), "{refused}");

    client.delete_persistent_subscription("order-1", "one", &delete).await.unwrap();
    another("three").await.unwrap();
}
