//! Groups of consumers: creating them, and sharing events between them.

use std::time::Duration;

use kurrentdb::{
    AppendToStreamOptions, Client, Error, NakAction, PersistentSubscription,
    PersistentSubscriptionEvent, PersistentSubscriptionOptions, PersistentSubscriptionToAllOptions,
    ResolvedEvent, StreamPosition, SubscriptionFilter, SystemConsumerStrategy,
};

use crate::given::{Given, events, server};

/// A test that waits so long waits in vain.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Options that say nothing.
pub(crate) fn plain<T: Default>() -> T {
    T::default()
}

/// From the first event on, with checkpoints as soon as may be.
pub(crate) fn from_start() -> PersistentSubscriptionOptions {
    PersistentSubscriptionOptions::default()
        .start_from(StreamPosition::Start)
        .checkpoint_after(Duration::from_millis(10))
        .checkpoint_lower_bound(1)
}

pub(crate) async fn append(client: &Client, stream: &str, count: usize) {
    let options = AppendToStreamOptions::default();
    client.append_to_stream(stream, &options, events(count)).await.unwrap();
}

pub(crate) async fn create(client: &Client, stream: &str, options: &PersistentSubscriptionOptions) {
    client.create_persistent_subscription(stream, "group", options).await.unwrap();
}

pub(crate) async fn subscribe(client: &Client, stream: &str) -> PersistentSubscription {
    let options = plain();
    client.subscribe_to_persistent_subscription(stream, "group", &options).await.unwrap()
}

/// The next event, and how often it was sent before.
pub(crate) async fn next(consumer: &mut PersistentSubscription) -> (ResolvedEvent, usize) {
    let next = async {
        loop {
            let event = consumer.next_subscription_event().await.unwrap();
            if let PersistentSubscriptionEvent::EventAppeared { event, retry_count } = event {
                return (event, retry_count);
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await.unwrap()
}

pub(crate) fn revision(event: &ResolvedEvent) -> u64 {
    event.event.as_ref().unwrap().revision
}

/// The revisions of so many events, each acknowledged.
pub(crate) async fn acked(consumer: &mut PersistentSubscription, count: usize) -> Vec<u64> {
    let mut revisions = Vec::new();
    for _ in 0..count {
        let (event, _) = next(consumer).await;
        consumer.ack(&event).await.unwrap();
        revisions.push(revision(&event));
    }
    revisions
}

/// What a subscription that has no more events ends with.
pub(crate) async fn end(consumer: &mut PersistentSubscription) -> Error {
    tokio::time::timeout(PATIENCE, consumer.next()).await.unwrap().unwrap_err()
}

#[tokio::test]
async fn events_are_delivered_from_history_to_live() {
    let given = server().await;
    append(&given.client, "order-1", 5).await;
    create(&given.client, "order-1", &from_start()).await;
    let mut consumer = subscribe(&given.client, "order-1").await;

    let history = acked(&mut consumer, 5).await;
    append(&given.client, "order-1", 5).await;
    let live = acked(&mut consumer, 5).await;

    assert_eq!([history, live].concat(), (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_group_begins_where_it_is_told_to() {
    let given = server().await;
    append(&given.client, "order-1", 5).await;
    for (group, from, first) in
        [("end", StreamPosition::End, 5), ("third", StreamPosition::Position(3), 3)]
    {
        let options = from_start().start_from(from);
        let client = &given.client;
        client.create_persistent_subscription("order-1", group, &options).await.unwrap();
        append(client, "order-1", 1).await;
        let options = plain();
        let connected = client.subscribe_to_persistent_subscription("order-1", group, &options);
        let mut consumer = connected.await.unwrap();
        assert_eq!(revision(&next(&mut consumer).await.0), first);
    }
}

#[tokio::test]
async fn a_consumer_has_no_more_events_than_it_asked_for() {
    let given = server().await;
    append(&given.client, "order-1", 3).await;
    create(&given.client, "order-1", &from_start()).await;
    let options = kurrentdb::SubscribeToPersistentSubscriptionOptions::default().buffer_size(2);
    let connected =
        given.client.subscribe_to_persistent_subscription("order-1", "group", &options).await;
    let mut consumer = connected.unwrap();

    let (first, _) = next(&mut consumer).await;
    next(&mut consumer).await;
    let third = tokio::time::timeout(Duration::from_millis(300), consumer.next()).await;
    assert!(third.is_err(), "{third:?}");

    consumer.ack(&first).await.unwrap();
    assert_eq!(revision(&next(&mut consumer).await.0), 2);
}

#[tokio::test]
async fn what_is_not_acknowledged_in_time_comes_again() {
    let given = server().await;
    append(&given.client, "order-1", 1).await;
    let options = from_start().message_timeout(Duration::from_millis(50)).max_retry_count(2);
    create(&given.client, "order-1", &options).await;
    let mut consumer = subscribe(&given.client, "order-1").await;

    for retries in 0..=2 {
        let (event, retried) = next(&mut consumer).await;
        assert_eq!((revision(&event), retried), (0, retries));
    }

    parked(&given, "order-1", 1).await;
}

#[tokio::test]
async fn a_consumer_says_what_becomes_of_an_event() {
    let given = server().await;
    append(&given.client, "order-1", 4).await;
    create(&given.client, "order-1", &from_start()).await;
    let mut consumer = subscribe(&given.client, "order-1").await;

    for action in [NakAction::Skip, NakAction::Park, NakAction::Retry, NakAction::Unknown] {
        let (event, _) = next(&mut consumer).await;
        consumer.nack(&event, action, "no stock").await.unwrap();
    }

    for wanted in [2, 3] {
        let (event, retries) = next(&mut consumer).await;
        assert_eq!((revision(&event), retries), (wanted, 1));
    }
    parked(&given, "order-1", 1).await;
}

#[tokio::test]
async fn a_consumer_that_stops_leaves_its_events_to_others() {
    let given = server().await;
    append(&given.client, "order-1", 1).await;
    create(&given.client, "order-1", &from_start()).await;
    let mut consumer = subscribe(&given.client, "order-1").await;

    let (event, _) = next(&mut consumer).await;
    consumer.nack(&event, NakAction::Stop, "tired").await.unwrap();

    assert!(matches!(end(&mut consumer).await, Error::IllegalStateError(_)));
    let mut other = subscribe(&given.client, "order-1").await;
    assert_eq!(revision(&next(&mut other).await.0), 0);
}

/// Waits until so many messages are parked.
pub(crate) async fn parked(given: &Given, stream: &str, count: usize) {
    until(async || info(&given.client, stream).await.stats.parked_message_count == count).await;
}

/// Waits until consumers have so many events: what they said of others has arrived.
pub(crate) async fn in_flight(given: &Given, stream: &str, count: usize) {
    let has = async || info(&given.client, stream).await.stats.total_in_flight_messages;
    until(async || has().await == count).await;
}

pub(crate) async fn info(
    client: &Client,
    stream: &str,
) -> kurrentdb::PersistentSubscriptionInfo<u64> {
    client.get_persistent_subscription_info(stream, "group", &plain()).await.unwrap()
}

pub(crate) async fn until(is_so: impl AsyncFn() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}

#[tokio::test]
async fn consumers_share_the_events_in_turn() {
    let given = server().await;
    create(&given.client, "order-1", &from_start()).await;
    let mut consumers =
        [subscribe(&given.client, "order-1").await, subscribe(&given.client, "order-1").await];

    append(&given.client, "order-1", 6).await;

    let mut all = Vec::new();
    for consumer in &mut consumers {
        all.extend(acked(consumer, 3).await);
    }
    all.sort_unstable();
    assert_eq!(all, (0..6).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_single_consumer_gets_all_events_while_it_can() {
    let given = server().await;
    let options = from_start().consumer_strategy_name(SystemConsumerStrategy::DispatchToSingle);
    create(&given.client, "order-1", &options).await;
    let mut first = subscribe(&given.client, "order-1").await;
    let _second = subscribe(&given.client, "order-1").await;

    append(&given.client, "order-1", 5).await;

    assert_eq!(acked(&mut first, 5).await, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_pinned_stream_stays_with_its_consumer() {
    let given = server().await;
    let options =
        from_start().resolve_link_tos(true).consumer_strategy_name(SystemConsumerStrategy::Pinned);
    create(&given.client, "$ce-order", &options).await;
    let mut consumers =
        [subscribe(&given.client, "$ce-order").await, subscribe(&given.client, "$ce-order").await];

    for _ in 0..3 {
        append(&given.client, "order-1", 1).await;
    }

    let [first, second] = &mut consumers;
    let revisions = tokio::select! {
        revisions = acked(first, 3) => revisions,
        revisions = acked(second, 3) => revisions,
    };
    assert_eq!(revisions, [0, 1, 2]);
}

#[tokio::test]
async fn a_group_has_no_more_consumers_than_it_may() {
    let given = server().await;
    create(&given.client, "order-1", &from_start().max_subscriber_count(1)).await;
    let _first = subscribe(&given.client, "order-1").await;

    let options = plain();
    let second =
        given.client.subscribe_to_persistent_subscription("order-1", "group", &options).await;

    let Err(Error::Grpc { message, .. }) = second else { panic!("it may not connect") };
    assert!(message.starts_with("Maximum subscriptions reached"), "{message}");
}

#[tokio::test]
async fn an_index_stream_is_a_source_too() {
    let given = server().await;
    append(&given.client, "order-1", 2).await;
    append(&given.client, "stock-1", 1).await;
    create(&given.client, "$ce-order", &from_start().resolve_link_tos(true)).await;
    let mut consumer = subscribe(&given.client, "$ce-order").await;

    let (event, _) = next(&mut consumer).await;
    assert_eq!(event.event.as_ref().unwrap().stream_id(), "order-1");
    assert_eq!(event.link.as_ref().unwrap().stream_id(), "$ce-order");
    consumer.nack(&event, NakAction::Park, "no stock").await.unwrap();
    parked(&given, "$ce-order", 1).await;
    let options = plain();
    given.client.replay_parked_messages("$ce-order", "group", &options).await.unwrap();

    let mut revisions = acked(&mut consumer, 2).await;
    revisions.sort_unstable();
    assert_eq!(revisions, [0, 1]);
}

#[tokio::test]
async fn all_events_are_filtered() {
    let given = server().await;
    append(&given.client, "stock-1", 2).await;
    append(&given.client, "order-1", 2).await;
    let options = PersistentSubscriptionToAllOptions::default()
        .start_from(StreamPosition::Start)
        .filter(SubscriptionFilter::on_stream_name().add_prefix("order-"));
    let client = &given.client;
    client.create_persistent_subscription_to_all("group", &options).await.unwrap();
    let options = plain();
    let connected = client.subscribe_to_persistent_subscription_to_all("group", &options);
    let mut consumer = connected.await.unwrap();

    let (parked, _) = next(&mut consumer).await;
    consumer.nack(&parked, NakAction::Park, "no stock").await.unwrap();
    let (event, _) = next(&mut consumer).await;
    consumer.ack(&event).await.unwrap();
    append(client, "order-2", 1).await;
    let (live, _) = next(&mut consumer).await;
    let of_all = async || client.get_persistent_subscription_info_to_all("group", &plain()).await;
    until(async || of_all().await.unwrap().stats.parked_message_count == 1).await;

    let stream = |event: &ResolvedEvent| event.get_original_stream_id().to_owned();
    let streams = [&parked, &event, &live].map(stream);
    assert_eq!(streams, ["order-1", "order-1", "order-2"]);

    client.replay_parked_messages_to_all("group", &plain()).await.unwrap();
    let (replayed, _) = next(&mut consumer).await;
    assert_eq!(revision(&replayed), revision(&parked));
    assert_eq!(replayed.get_original_stream_id(), "$persistentsubscription-$all::group-parked");
}

#[tokio::test]
async fn a_consumer_that_takes_nothing_is_dropped() {
    let given = server().await;
    let large = kurrentdb::EventData::binary("Tested", vec![0; 100_000].into());
    let options = AppendToStreamOptions::default();
    given.client.append_to_stream("order-1", &options, large).await.unwrap();
    let options = from_start().message_timeout(Duration::from_millis(5)).max_retry_count(1_000_000);
    create(&given.client, "order-1", &options).await;
    let mut consumer = subscribe(&given.client, "order-1").await;

    until(async || info(&given.client, "order-1").await.connections.is_empty()).await;

    let error = loop {
        match consumer.next().await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("too slow"), "{error}");
}

#[tokio::test]
async fn a_group_that_does_not_exist_is_told_of() {
    let given = server().await;
    let client = &given.client;
    let missing = |what: Result<(), Error>| {
        assert!(matches!(what, Err(Error::ResourceNotFound)), "{what:?}");
    };
    let (stream, group) = ("order-1", "group");

    let options = plain();
    missing(client.update_persistent_subscription(stream, group, &options).await);
    let options = plain();
    missing(client.delete_persistent_subscription(stream, group, &options).await);
    let options = plain();
    missing(client.replay_parked_messages(stream, group, &options).await);
    let options = plain();
    missing(client.subscribe_to_persistent_subscription(stream, group, &options).await.map(drop));
    let options = plain();
    missing(client.get_persistent_subscription_info(stream, group, &options).await.map(drop));
    let options = plain();
    missing(client.list_persistent_subscriptions_for_stream(stream, &options).await.map(drop));
}

#[tokio::test]
async fn a_group_is_created_once() {
    let given = server().await;
    let options = from_start();
    create(&given.client, "order-1", &options).await;

    let again = given.client.create_persistent_subscription("order-1", "group", &options).await;

    assert!(matches!(again, Err(Error::ResourceAlreadyExists)), "{again:?}");
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let given = server().await;
    let unreasonable = [
        from_start().read_batch_size(501),
        from_start().read_batch_size(0),
        from_start().live_buffer_size(-1),
        from_start().history_buffer_size(i32::MAX),
        from_start().max_retry_count(-1),
        from_start().checkpoint_lower_bound(11).checkpoint_upper_bound(10),
    ];
    for options in unreasonable {
        let made = given.client.create_persistent_subscription("order-1", "group", &options).await;
        assert!(matches!(made, Err(Error::Grpc { .. })), "{made:?}");
    }
    let long = "x".repeat(300);
    let made = given.client.create_persistent_subscription("order-1", long, &from_start()).await;
    assert!(matches!(made, Err(Error::Grpc { .. })), "{made:?}");
}

#[tokio::test]
async fn a_deleted_group_drops_its_consumers_and_begins_anew() {
    let given = server().await;
    let client = &given.client;
    append(client, "order-1", 2).await;
    create(client, "order-1", &from_start()).await;
    for _ in 0..2 {
        let mut consumer = subscribe(client, "order-1").await;
        let (event, _) = next(&mut consumer).await;
        assert_eq!(revision(&event), 0);
        consumer.nack(&event, NakAction::Park, "no stock").await.unwrap();
        parked(&given, "order-1", 1).await;

        let options = plain();
        client.delete_persistent_subscription("order-1", "group", &options).await.unwrap();

        next(&mut consumer).await;
        assert!(matches!(end(&mut consumer).await, Error::IllegalStateError(_)));
        create(client, "order-1", &from_start()).await;
        parked(&given, "order-1", 0).await;
    }
}

#[tokio::test]
async fn an_updated_group_goes_on_with_its_new_settings() {
    let given = server().await;
    append(&given.client, "order-1", 2).await;
    create(&given.client, "order-1", &from_start()).await;
    let mut consumer = subscribe(&given.client, "order-1").await;
    acked(&mut consumer, 1).await;
    let checkpoint =
        async || info(&given.client, "order-1").await.stats.last_checkpointed_event_revision;
    until(async || checkpoint().await == Some(0)).await;

    let options = from_start().max_retry_count(77);
    given.client.update_persistent_subscription("order-1", "group", &options).await.unwrap();

    next(&mut consumer).await;
    assert!(matches!(end(&mut consumer).await, Error::IllegalStateError(_)));
    let settings = info(&given.client, "order-1").await.settings.unwrap();
    assert_eq!(settings.max_retry_count, 77);
    let mut consumer = subscribe(&given.client, "order-1").await;
    assert_eq!(revision(&next(&mut consumer).await.0), 1);
}

#[tokio::test]
async fn groups_are_listed_with_what_is_known_of_them() {
    let given = server().await;
    append(&given.client, "order-1", 3).await;
    create(&given.client, "order-1", &from_start().extra_statistics(true)).await;
    let all = PersistentSubscriptionToAllOptions::default();
    given.client.create_persistent_subscription_to_all("everything", &all).await.unwrap();
    let mut consumer = subscribe(&given.client, "order-1").await;
    acked(&mut consumer, 2).await;
    next(&mut consumer).await;
    in_flight(&given, "order-1", 1).await;

    let listed = given.client.list_all_persistent_subscriptions(&plain()).await;
    let to_all = given.client.list_persistent_subscriptions_to_all(&plain()).await;

    let name = |stream: &str, group: &str| (stream.to_owned(), group.to_owned());
    let names = listed.unwrap().into_iter().map(|info| (info.event_source, info.group_name));
    let names: Vec<_> = names.collect();
    assert_eq!(names, [name("$all", "everything"), name("order-1", "group")]);
    assert_eq!(to_all.unwrap().len(), 1);
    let info = info(&given.client, "order-1").await;
    assert_eq!((info.status.as_str(), info.stats.total_items), ("Live", 3));
    assert_eq!(info.stats.last_known_event_revision, Some(2));
    let connection = &info.connections[0];
    assert_eq!((connection.available_slots, connection.in_flight_messages), (9, 1));
    assert_eq!(connection.extra_statistics.clone().entries().count(), 14);
}

#[tokio::test]
async fn names_may_have_slashes() {
    let given = server().await;
    let client = &given.client;
    let options = plain();
    client.create_persistent_subscription("/a/foo", "/b/foo", &options).await.unwrap();

    let options = plain();
    let info = client.get_persistent_subscription_info("/a/foo", "/b/foo", &options).await;

    let info = info.unwrap();
    assert_eq!((info.event_source.as_str(), info.group_name.as_str()), ("/a/foo", "/b/foo"));
    assert_eq!(info.settings.unwrap().start_from, StreamPosition::End);
}
