use daybook_event_store::{AppendError, EventStore, Expected, Filter, Recorded, Revision};
use futures::future::join_all;
use uuid::Uuid;

use super::given::{
    event, events, head, history, ids, in_category, read, read_all, revisions, stream, within,
};
use super::{LIMITS, given};

pub(crate) async fn any_expectation_appends_to_a_new_and_to_an_existing_stream<S: EventStore>(
    store: S,
) {
    let stream = stream();

    let first = store.append(&stream, Expected::Any, events(1)).await.unwrap();
    let second = store.append(&stream, Expected::Any, events(2)).await.unwrap();

    assert_eq!(first.revision, Revision(0));
    assert_eq!(second.revision, Revision(2));
    assert!(second.position > first.position);
}

pub(crate) async fn no_stream_refuses_an_existing_stream<S: EventStore>(store: S) {
    let stream = stream();

    store.append(&stream, Expected::NoStream, events(2)).await.unwrap();
    let again = store.append(&stream, Expected::NoStream, events(1)).await;

    let (expected, actual) = (Expected::NoStream, Some(Revision(1)));
    assert_eq!(again, Err(AppendError::Conflict { stream, expected, actual }));
}

pub(crate) async fn stream_exists_refuses_a_new_stream<S: EventStore>(store: S) {
    let stream = stream();

    let early = store.append(&stream, Expected::StreamExists, events(1)).await;
    history(&store, &stream, 1).await;
    let late = store.append(&stream, Expected::StreamExists, events(1)).await.unwrap();

    let (expected, actual) = (Expected::StreamExists, None);
    assert_eq!(early, Err(AppendError::Conflict { stream, expected, actual }));
    assert_eq!(late.revision, Revision(1));
}

pub(crate) async fn at_a_revision_holds_only_for_the_last_one<S: EventStore>(store: S) {
    let stream = stream();
    history(&store, &stream, 3).await;

    for wrong in [0, 1, 3, u64::MAX] {
        let expected = Expected::At(Revision(wrong));
        let refused = store.append(&stream, expected, events(1)).await;
        let (stream, actual) = (stream.clone(), Some(Revision(2)));
        assert_eq!(refused, Err(AppendError::Conflict { stream, expected, actual }));
    }
    let held = store.append(&stream, Expected::At(Revision(2)), events(1)).await.unwrap();
    assert_eq!(held.revision, Revision(3));

    let new = given::stream();
    let expected = Expected::At(Revision(0));
    let refused = store.append(&new, expected, events(1)).await;
    assert_eq!(refused, Err(AppendError::Conflict { stream: new, expected, actual: None }));
}

pub(crate) async fn a_conflict_appends_nothing<S: EventStore>(store: S) {
    let stream = stream();
    let before = history(&store, &stream, 1).await;

    store.append(&stream, Expected::NoStream, events(3)).await.unwrap_err();
    let refused = events(1);
    store.append(&stream, Expected::At(Revision(7)), refused.clone()).await.unwrap_err();

    assert_eq!(ids(&read(&store, &stream).await), before);
    let retried = store.append(&stream, Expected::At(Revision(0)), refused).await.unwrap();
    assert_eq!(retried.revision, Revision(1));
}

pub(crate) async fn one_of_many_concurrent_writers_wins<S: EventStore>(store: S) {
    let stream = stream();
    history(&store, &stream, 1).await;

    for round in 0..20 {
        let attempt = || {
            let (store, stream) = (store.clone(), stream.clone());
            async move {
                store.append(&stream, Expected::At(Revision(round)), vec![event("Tried")]).await
            }
        };
        let attempts = (0..16).map(|_| tokio::spawn(attempt()));
        let results = within(join_all(attempts)).await;

        let won = results.iter().filter(|result| result.as_ref().unwrap().is_ok()).count();
        assert_eq!(won, 1, "exactly one writer wins at revision {round}");
        let lost = |error: &AppendError| matches!(error, AppendError::Conflict { actual: Some(r), .. } if *r == Revision(round + 1));
        let errors = results.iter().filter_map(|result| result.as_ref().unwrap().as_ref().err());
        assert!(errors.into_iter().all(lost), "the losers learn the winner's revision");
    }
    assert_eq!(read(&store, &stream).await.len(), 21);
}

pub(crate) async fn revisions_are_contiguous_under_concurrent_writers<S: EventStore>(store: S) {
    let stream = stream();
    let writer = |store: S| {
        let stream = stream.clone();
        async move {
            for n in 0..25 {
                store.append(&stream, Expected::Any, events(1 + n % 3)).await.unwrap();
            }
        }
    };

    within(join_all((0..8).map(|_| tokio::spawn(writer(store.clone()))))).await;

    let events = read(&store, &stream).await;
    let expected: Vec<u64> = (0..events.len() as u64).collect();
    assert_eq!(revisions(&events), expected);
    assert_eq!(events.len(), 8 * 49);
    assert!(events.windows(2).all(|pair| pair[0].position < pair[1].position));
}

pub(crate) async fn an_event_is_stored_as_it_was_given<S: EventStore>(store: S) {
    let stream = stream();
    let mut given = events(3);
    given[0].data = (0..=255).collect::<Vec<u8>>().into();
    given[0].is_json = false;
    given[1].data = "".into();
    given[1].metadata = "".into();
    given[2].metadata = "{\"µ\":\"€\"}".into();

    let appended = store.append(&stream, Expected::NoStream, given.clone()).await.unwrap();

    let stored = read(&store, &stream).await;
    assert_eq!(stored.len(), 3);
    for (n, (stored, given)) in stored.iter().zip(&given).enumerate() {
        assert_eq!(stored.stream, stream);
        assert_eq!(stored.revision, Revision(n as u64));
        assert_eq!(
            (stored.id, &stored.kind, &stored.data, &stored.metadata, stored.is_json),
            (given.id, &given.kind, &given.data, &given.metadata, given.is_json)
        );
    }
    assert_eq!((stored[2].revision, stored[2].position), (appended.revision, appended.position));
}

pub(crate) async fn a_batch_is_all_or_nothing<S: EventStore>(store: S) {
    let stream = stream();
    let before = head(&store).await;
    let mut batch = events(3);
    batch[2].data = vec![0; LIMITS.event_bytes + 1].into();

    let refused = store.append(&stream, Expected::Any, batch).await;

    assert!(matches!(refused, Err(AppendError::Size { .. })), "{refused:?}");
    assert_eq!(read(&store, &stream).await, []);
    let category = stream.category();
    assert_eq!(read_all(&store, before, Filter::categories(&[category])).await, []);
}

pub(crate) async fn a_batch_is_contiguous<S: EventStore>(store: S) {
    let before = head(&store).await;
    let category = given::category("batch");
    let writer = |store: S, n: usize| {
        let stream = in_category(&category, n);
        async move {
            for _ in 0..20 {
                store.append(&stream, Expected::Any, events(5)).await.unwrap();
            }
        }
    };

    within(join_all((0..4).map(|n| tokio::spawn(writer(store.clone(), n))))).await;

    let events = read_all(&store, before, Filter::categories(&[&category])).await;
    assert_eq!(events.len(), 400);
    let together = |batch: &[Recorded]| batch.iter().all(|event| event.stream == batch[0].stream);
    assert!(events.chunks(5).all(together), "nothing comes between the events of a batch");
}

pub(crate) async fn a_repeated_append_returns_the_first_result<S: EventStore>(store: S) {
    let stream = stream();
    history(&store, &stream, 2).await;
    let batch = events(3);

    let first = store.append(&stream, Expected::Any, batch.clone()).await.unwrap();
    history(&store, &stream, 2).await;
    let again = store.append(&stream, Expected::Any, batch).await.unwrap();

    assert_eq!(again, first);
    assert_eq!(read(&store, &stream).await.len(), 7);
}

pub(crate) async fn a_repeated_append_ignores_its_stale_expectation<S: EventStore>(store: S) {
    let stream = stream();
    let batch = events(2);
    let first = store.append(&stream, Expected::NoStream, batch.clone()).await.unwrap();
    history(&store, &stream, 1).await;

    for stale in [Expected::NoStream, Expected::At(Revision(0)), Expected::At(Revision(9))] {
        assert_eq!(store.append(&stream, stale, batch.clone()).await, Ok(first));
    }
    assert_eq!(read(&store, &stream).await.len(), 3);
}

pub(crate) async fn concurrent_repeats_append_once<S: EventStore>(store: S) {
    let stream = stream();
    let batch = events(3);
    let attempt = || {
        let (store, stream, batch) = (store.clone(), stream.clone(), batch.clone());
        async move { store.append(&stream, Expected::NoStream, batch).await.unwrap() }
    };

    let results = within(join_all((0..16).map(|_| tokio::spawn(attempt())))).await;

    let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    assert!(results.iter().all(|result| *result == results[0]));
    assert_eq!(read(&store, &stream).await.len(), 3);
}

pub(crate) async fn partly_reused_ids_are_refused<S: EventStore>(store: S) {
    let stream = stream();
    let first = events(2);
    store.append(&stream, Expected::NoStream, first.clone()).await.unwrap();

    let longer = [first.clone(), events(1)].concat();
    let later = [events(1), vec![first[1].clone()]].concat();

    for (batch, known) in [(longer, first[0].id), (later, first[1].id)] {
        let refused = store.append(&stream, Expected::Any, batch).await;
        assert_eq!(refused, Err(AppendError::IdReused { id: known }));
    }
    assert_eq!(read(&store, &stream).await.len(), 2);
}

pub(crate) async fn reordered_ids_are_refused<S: EventStore>(store: S) {
    let stream = stream();
    let first = events(2);
    store.append(&stream, Expected::NoStream, first.clone()).await.unwrap();

    let reversed = vec![first[1].clone(), first[0].clone()];
    let refused = store.append(&stream, Expected::Any, reversed).await;

    assert!(matches!(refused, Err(AppendError::IdReused { .. })), "{refused:?}");
    assert_eq!(read(&store, &stream).await.len(), 2);
}

pub(crate) async fn an_id_of_another_stream_is_that_of_another_event<S: EventStore>(store: S) {
    let (one, other) = (stream(), stream());
    let batch = events(2);
    let first = store.append(&one, Expected::NoStream, batch.clone()).await.unwrap();

    let reversed: Vec<_> = batch.iter().rev().cloned().collect();
    let second = store.append(&other, Expected::NoStream, reversed.clone()).await.unwrap();

    assert_eq!(second.revision, Revision(1));
    assert!(second.position > first.position);
    assert_eq!(store.append(&one, Expected::NoStream, batch.clone()).await, Ok(first));
    assert_eq!(store.append(&other, Expected::NoStream, reversed.clone()).await, Ok(second));
    assert_eq!(ids(&read(&store, &one).await), [batch[0].id, batch[1].id]);
    assert_eq!(ids(&read(&store, &other).await), [batch[1].id, batch[0].id]);
}

pub(crate) async fn one_id_twice_in_an_append_is_refused<S: EventStore>(store: S) {
    let stream = stream();
    let mut batch = events(3);
    batch[2].id = batch[0].id;

    let refused = store.append(&stream, Expected::Any, batch.clone()).await;

    assert_eq!(refused, Err(AppendError::IdReused { id: batch[0].id }));
    assert_eq!(read(&store, &stream).await, []);
}

pub(crate) async fn empty_and_oversized_appends_are_refused<S: EventStore>(store: S) {
    let stream = stream();
    let with = |change: &dyn Fn(&mut Vec<_>)| {
        let mut batch = events(1);
        change(&mut batch);
        batch
    };
    let oversized = [
        Vec::new(),
        events(LIMITS.append_events + 1),
        with(&|batch| batch[0].data = vec![0; LIMITS.event_bytes + 1].into()),
        with(&|batch| batch[0].metadata = vec![0; LIMITS.event_bytes].into()),
        with(&|batch| batch[0].kind = "".into()),
        with(&|batch| batch[0].kind = "k".repeat(256).into()),
        large(LIMITS.append_bytes / LIMITS.event_bytes + 1),
    ];

    for batch in oversized {
        let refused = store.append(&stream, Expected::Any, batch).await;
        assert!(matches!(refused, Err(AppendError::Size { .. })), "{refused:?}");
    }
    assert_eq!(read(&store, &stream).await, []);
}

pub(crate) async fn the_largest_append_is_taken<S: EventStore>(store: S) {
    let stream = in_category(&"c".repeat(200), 1);
    let before = read(&store, &stream).await.len();
    let mut batch = large(LIMITS.append_bytes / LIMITS.event_bytes);
    batch[0].kind = "k".repeat(255).into();

    store.append(&stream, Expected::Any, batch.clone()).await.unwrap();
    store.append(&stream, Expected::Any, events(LIMITS.append_events)).await.unwrap();

    let stored = read(&store, &stream).await.split_off(before);
    assert_eq!(stored.len(), batch.len() + LIMITS.append_events);
    assert_eq!(stored[0].kind, batch[0].kind);
    assert_eq!(stored[1].data, batch[1].data);
}

fn large(count: usize) -> Vec<daybook_event_store::NewEvent> {
    let sized = |mut event: daybook_event_store::NewEvent| {
        event.id = Uuid::now_v7();
        event.metadata = "".into();
        event.data = vec![7; LIMITS.event_bytes].into();
        event
    };
    events(count).into_iter().map(sized).collect()
}

pub(crate) async fn recorded_at_never_decreases<S: EventStore>(store: S) {
    let before = head(&store).await;
    let category = given::category("clock");
    let writer = |store: S, n: usize| {
        let stream = in_category(&category, n);
        async move { history(&store, &stream, 50).await }
    };

    within(join_all((0..4).map(|n| tokio::spawn(writer(store.clone(), n))))).await;

    let events = read_all(&store, before, Filter::categories(&[&category])).await;
    assert_eq!(events.len(), 200);
    assert!(events.windows(2).all(|pair| pair[0].recorded_at <= pair[1].recorded_at));
    assert!(events[0].recorded_at > 1_700_000_000_000_000, "microseconds since 1970");
}
