use daybook_event_store::{EventStore, Expected, Filter, Tailed};
use futures::StreamExt;
use futures::future::join_all;

use super::given::{
    category, event, events, head, history, ids, in_category, next, next_events, read, read_all,
    stream, until_caught_up, within,
};

pub(crate) async fn a_tail_goes_from_history_to_live<S: EventStore>(store: S) {
    let (before, stream) = (head(&store).await, stream());
    let mut written = history(&store, &stream, 3).await;

    let mut tail = store.tail(before, Filter::categories(&[stream.category()])).boxed();
    let mut seen = next_events(&mut tail, 3).await;
    for _ in 0..10 {
        written.extend(history(&store, &stream, 2).await);
        seen.extend(next_events(&mut tail, 2).await);
    }

    assert_eq!(ids(&seen), written);
    assert_eq!(seen, read(&store, &stream).await);
}

pub(crate) async fn a_tail_at_the_head_is_caught_up_at_once<S: EventStore>(store: S) {
    history(&store, &stream(), 2).await;
    let at_head = head(&store).await;

    let mut tail = store.tail(at_head, Filter::all()).boxed();

    assert_eq!(next(&mut tail).await, Tailed::CaughtUp(at_head.unwrap()));
    let live = history(&store, &stream(), 1).await;
    assert_eq!(ids(&next_events(&mut tail, 1).await), live);
}

pub(crate) async fn a_tail_starts_after_its_position<S: EventStore>(store: S) {
    let stream = stream();
    history(&store, &stream, 10).await;
    let written = read(&store, &stream).await;

    for n in 0..9 {
        let filter = Filter::categories(&[stream.category()]);
        let mut tail = store.tail(Some(written[n].position), filter).boxed();
        assert_eq!(next_events(&mut tail, 9 - n).await, written[n + 1..]);
    }
}

pub(crate) async fn a_tail_neither_loses_nor_repeats_under_concurrent_writers<S: EventStore>(
    store: S,
) {
    let before = head(&store).await;
    let category = category("live");
    let filter = Filter::categories(&[&category]);
    let writer = |store: S, n: usize| {
        let stream = in_category(&category, n);
        async move {
            for batch in 0..40 {
                store.append(&stream, Expected::Any, events(1 + batch % 4)).await.unwrap();
            }
        }
    };
    let follow = |store: S| {
        let mut tail = store.tail(before, filter.clone()).boxed();
        async move { next_events(&mut tail, 4 * 100).await }
    };

    let early = tokio::spawn(follow(store.clone()));
    let writers: Vec<_> = (0..4).map(|n| tokio::spawn(writer(store.clone(), n))).collect();
    let middle = tokio::spawn(follow(store.clone()));
    within(join_all(writers)).await;
    let late = tokio::spawn(follow(store.clone()));

    let stored = read_all(&store, before, filter.clone()).await;
    assert_eq!(stored.len(), 400);
    for tail in [early, middle, late] {
        assert_eq!(within(tail).await.unwrap(), stored);
    }
}

pub(crate) async fn caught_up_follows_every_matching_event<S: EventStore>(store: S) {
    let (before, stream) = (head(&store).await, stream());
    store.append(&stream, Expected::Any, events(150)).await.unwrap();
    let filter = Filter::categories(&[stream.category()]);
    let mut tail = store.tail(before, filter).boxed();

    for round in 0..5 {
        let at_head = head(&store).await.unwrap();
        let seen = until_caught_up(&mut tail, at_head).await;
        assert_eq!(seen.len(), if round == 0 { 150 } else { 7 });
        assert!(seen.iter().all(|event| event.position <= at_head));
        store.append(&stream, Expected::Any, events(7)).await.unwrap();
    }
}

pub(crate) async fn caught_up_passes_events_that_do_not_match<S: EventStore>(store: S) {
    let before = head(&store).await;
    let mut tail = store.tail(before, Filter::categories(&[&category("none")])).boxed();

    for _ in 0..3 {
        store.append(&stream(), Expected::Any, events(120)).await.unwrap();
        let at_head = head(&store).await.unwrap();
        assert_eq!(until_caught_up(&mut tail, at_head).await, []);
    }
}

/// Two categories with two kinds each, five times over; returns the two categories.
async fn mixed<S: EventStore>(store: &S) -> (String, String) {
    let (one, other) = (category("one"), category("other"));
    for n in 0..5 {
        for category in [&one, &other] {
            let both = vec![event("Wanted"), event("Unwanted")];
            store.append(&in_category(category, n), Expected::Any, both).await.unwrap();
        }
    }
    (one, other)
}

pub(crate) async fn a_tail_filters_by_category<S: EventStore>(store: S) {
    let before = head(&store).await;
    let (one, _) = mixed(&store).await;
    let mut tail = store.tail(before, Filter::categories(&[&one])).boxed();

    let seen = until_caught_up(&mut tail, head(&store).await.unwrap()).await;

    assert_eq!(seen.len(), 10);
    assert!(seen.iter().all(|event| event.stream.category() == one));
}

pub(crate) async fn a_tail_filters_by_kind<S: EventStore>(store: S) {
    let before = head(&store).await;
    let (one, other) = mixed(&store).await;
    let mut tail = store.tail(before, Filter::kinds(&["Wanted"])).boxed();

    let seen = until_caught_up(&mut tail, head(&store).await.unwrap()).await;

    assert!(seen.iter().all(|event| &*event.kind == "Wanted"));
    let ours = seen.iter().filter(|e| [&*one, &*other].contains(&e.stream.category()));
    assert_eq!(ours.count(), 10);
}

pub(crate) async fn a_tail_filters_by_category_and_kind<S: EventStore>(store: S) {
    let before = head(&store).await;
    let (one, other) = mixed(&store).await;
    let kinds = Filter::kinds(&["Wanted"]).kinds;
    let mut tail = store.tail(before, Filter { kinds, ..Filter::categories(&[&one]) }).boxed();

    let seen = until_caught_up(&mut tail, head(&store).await.unwrap()).await;
    assert_eq!(seen.len(), 5);

    store.append(&in_category(&other, 9), Expected::Any, vec![event("Wanted")]).await.unwrap();
    store.append(&in_category(&one, 9), Expected::Any, vec![event("Wanted")]).await.unwrap();
    let live = next_events(&mut tail, 1).await;
    assert_eq!(live[0].stream, in_category(&one, 9));
}

pub(crate) async fn a_slow_tail_does_not_hold_writers_up<S: EventStore>(store: S) {
    let (before, stream) = (head(&store).await, stream());
    let mut slow = store.tail(before, Filter::categories(&[stream.category()])).boxed();
    history(&store, &stream, 1).await;
    let first = next_events(&mut slow, 1).await;

    for _ in 0..50 {
        within(store.append(&stream, Expected::Any, events(60))).await.unwrap();
    }

    let rest = next_events(&mut slow, 3_000).await;
    let revisions: Vec<_> = first.iter().chain(&rest).map(|event| event.revision.0).collect();
    assert_eq!(revisions, (0..=3_000).collect::<Vec<u64>>());
}

pub(crate) async fn every_tail_sees_the_same_order<S: EventStore>(store: S) {
    let before = head(&store).await;
    let category = category("order");
    let filter = Filter::categories(&[&category]);
    let tails: Vec<_> = (0..50)
        .map(|_| {
            let mut tail = store.tail(before, filter.clone()).boxed();
            tokio::spawn(async move { ids(&next_events(&mut tail, 40).await) })
        })
        .collect();
    let writer = |store: S, n: usize| {
        let stream = in_category(&category, n);
        async move { history(&store, &stream, 10).await }
    };

    within(join_all((0..4).map(|n| tokio::spawn(writer(store.clone(), n))))).await;

    let stored = ids(&read_all(&store, before, filter).await);
    for tail in tails {
        assert_eq!(within(tail).await.unwrap(), stored);
    }
}
