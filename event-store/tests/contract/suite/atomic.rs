use daybook_event_store::{
    AppendError, AtomicAppend, Expected, Filter, NewEvent, Revision, StreamCheck, StreamId,
    StreamState, StreamWrite, Transaction, Violation,
};

use super::LIMITS;
use super::given::{category, events, head, history, ids, in_category, read, read_all, stream};

fn write(stream: &StreamId, expected: Expected, events: Vec<NewEvent>) -> StreamWrite {
    StreamWrite { stream: stream.clone(), expected, events }
}

pub(crate) async fn several_streams_are_appended_at_once<S: AtomicAppend>(store: S) {
    let before = head(&store).await;
    let category = category("atomic");
    let (one, other) = (in_category(&category, 1), in_category(&category, 2));
    history(&store, &one, 1).await;
    let (first, second) = (events(2), events(3));
    let given: Vec<_> = first.iter().chain(&second).map(|event| event.id).collect();

    let writes = vec![
        write(&one, Expected::At(Revision(0)), first),
        write(&other, Expected::NoStream, second),
    ];
    let appended = store.append_all(writes).await.unwrap();

    assert_eq!(appended.iter().map(|a| a.revision.0).collect::<Vec<_>>(), [2, 2]);
    let stored = read_all(&store, before, Filter::categories(&[&category])).await;
    assert_eq!(ids(&stored[1..]), given);
    assert_eq!(stored[2].position, appended[0].position);
    assert_eq!(stored[5].position, appended[1].position);
}

pub(crate) async fn one_conflict_appends_nothing_to_any_stream<S: AtomicAppend>(store: S) {
    let (one, other, third) = (stream(), stream(), stream());
    history(&store, &other, 1).await;

    let writes = vec![
        write(&one, Expected::NoStream, events(1)),
        write(&other, Expected::NoStream, events(1)),
        write(&third, Expected::Any, events(1)),
    ];
    let refused = store.append_all(writes).await;

    let (expected, actual) = (Expected::NoStream, Some(Revision(0)));
    let conflict = AppendError::Conflict { stream: other.clone(), expected, actual };
    assert_eq!(refused, Err(conflict));
    assert_eq!(read(&store, &one).await, []);
    assert_eq!(read(&store, &other).await.len(), 1);
    assert_eq!(read(&store, &third).await, []);
}

pub(crate) async fn a_repeated_whole_returns_the_first_results<S: AtomicAppend>(store: S) {
    let (one, other) = (stream(), stream());
    let writes = vec![
        write(&one, Expected::NoStream, events(2)),
        write(&other, Expected::NoStream, events(1)),
    ];

    let first = store.append_all(writes.clone()).await.unwrap();
    history(&store, &one, 1).await;
    let again = store.append_all(writes).await.unwrap();

    assert_eq!(again, first);
    assert_eq!(read(&store, &one).await.len(), 3);
    assert_eq!(read(&store, &other).await.len(), 1);
}

pub(crate) async fn a_whole_with_some_writes_repeated_is_refused<S: AtomicAppend>(store: S) {
    let (one, other) = (stream(), stream());
    let known = events(1);
    store.append(&one, Expected::Any, known.clone()).await.unwrap();

    let writes =
        vec![write(&other, Expected::Any, events(1)), write(&one, Expected::Any, known.clone())];
    let refused = store.append_all(writes).await;

    assert_eq!(refused, Err(AppendError::IdReused { id: known[0].id }));
    assert_eq!(read(&store, &other).await, []);
    assert_eq!(read(&store, &one).await.len(), 1);
}

pub(crate) async fn one_id_in_two_streams_is_that_of_two_events<S: AtomicAppend>(store: S) {
    let (one, other) = (stream(), stream());
    let batch = events(2);
    let writes = |expected| {
        vec![write(&one, expected, batch.clone()), write(&other, expected, batch.clone())]
    };

    let first = store.append_all(writes(Expected::NoStream)).await.unwrap();
    let again = store.append_all(writes(Expected::NoStream)).await.unwrap();

    assert!(first[0].position < first[1].position);
    assert_eq!(again, first);
    for stream in [&one, &other] {
        assert_eq!(ids(&read(&store, stream).await), [batch[0].id, batch[1].id]);
    }
}

pub(crate) async fn an_id_twice_in_one_of_several_streams_is_refused<S: AtomicAppend>(store: S) {
    let (one, other) = (stream(), stream());
    let mut twice = events(2);
    twice[1].id = twice[0].id;

    let writes =
        vec![write(&one, Expected::Any, events(1)), write(&other, Expected::Any, twice.clone())];
    let refused = store.append_all(writes).await;

    assert_eq!(refused, Err(AppendError::IdReused { id: twice[0].id }));
    assert_eq!(read(&store, &one).await, []);
}

pub(crate) async fn one_stream_named_twice_is_refused<S: AtomicAppend>(store: S) {
    let stream = stream();
    let twice = (0..2).map(|_| write(&stream, Expected::Any, events(1))).collect();

    let refused = store.append_all(twice).await;

    assert!(matches!(refused, Err(AppendError::Size { .. })), "{refused:?}");
    assert_eq!(read(&store, &stream).await, []);
}

pub(crate) async fn an_append_to_no_stream_is_refused<S: AtomicAppend>(store: S) {
    let refused = store.append_all(Vec::new()).await;
    assert!(matches!(refused, Err(AppendError::Size { .. })), "{refused:?}");
}

pub(crate) async fn limits_hold_over_all_streams<S: AtomicAppend>(store: S) {
    let half = LIMITS.append_events / 2 + 1;
    let (one, other) = (stream(), stream());
    let writes =
        vec![write(&one, Expected::Any, events(half)), write(&other, Expected::Any, events(half))];

    let refused = store.append_all(writes).await;

    assert!(matches!(refused, Err(AppendError::Size { .. })), "{refused:?}");
    assert_eq!(read(&store, &one).await, []);
}

fn check(stream: &StreamId, expected: Expected) -> StreamCheck {
    StreamCheck { stream: stream.clone(), expected }
}

/// One new event of each stream, in this order.
fn mixed(streams: &[&StreamId]) -> Vec<(StreamId, NewEvent)> {
    streams.iter().map(|stream| (*stream).clone()).zip(events(streams.len())).collect()
}

pub(crate) async fn events_of_several_streams_come_in_their_order<S: AtomicAppend>(store: S) {
    let before = head(&store).await;
    let category = category("atomic");
    let (one, other) = (in_category(&category, 1), in_category(&category, 2));
    history(&store, &one, 1).await;
    let given = mixed(&[&other, &one, &other, &other, &one]);

    let appended = store.commit(Transaction::of_events(given.clone())).await.unwrap();
    let again = store.commit(Transaction::of_events(given.clone())).await.unwrap();

    let stored = &read_all(&store, before, Filter::categories(&[&category])).await[1..];
    let as_given = |(stream, event): &(StreamId, NewEvent)| (stream.clone(), event.id);
    let stands: Vec<_> = stored.iter().map(|event| (event.stream.clone(), event.id)).collect();
    assert_eq!(stands, given.iter().map(as_given).collect::<Vec<_>>());
    assert_eq!(stored.iter().map(|e| e.revision.0).collect::<Vec<_>>(), [0, 1, 1, 2, 2]);
    let (others, ones) = (appended[0], appended[1]);
    assert_eq!((others.revision, others.position), (stored[3].revision, stored[3].position));
    assert_eq!((ones.revision, ones.position), (stored[4].revision, stored[4].position));
    assert_eq!(again, appended);
}

pub(crate) async fn a_stream_that_is_not_written_to_can_be_checked<S: AtomicAppend>(store: S) {
    let (one, other) = (stream(), stream());
    history(&store, &other, 2).await;
    let given = |expected| {
        let events = mixed(&[&one]);
        Transaction::of_events(events).checked(vec![check(&other, expected)])
    };

    let refused = store.commit(given(Expected::At(Revision(0)))).await;
    let actual = StreamState::At(Revision(1));
    assert_eq!(
        refused,
        Err(AppendError::Violated { violations: vec![Violation { check: 0, actual }] })
    );
    assert_eq!(read(&store, &one).await, []);

    for holds in [Expected::At(Revision(1)), Expected::StreamExists, Expected::Any] {
        store.commit(given(holds)).await.unwrap();
    }
    assert_eq!((read(&store, &one).await.len(), read(&store, &other).await.len()), (3, 2));
}

pub(crate) async fn all_checks_that_do_not_hold_are_told<S: AtomicAppend>(store: S) {
    let (new, live, deleted, ended) = (stream(), stream(), stream(), stream());
    for stream in [&live, &deleted, &ended] {
        history(&store, stream, 2).await;
    }
    store.delete(&deleted, Expected::Any).await.unwrap();
    store.tombstone(&ended, Expected::Any).await.unwrap();
    let at = |revision| Expected::At(Revision(revision));
    let checks = vec![
        check(&new, Expected::NoStream),
        check(&new, Expected::StreamExists),
        check(&new, at(0)),
        check(&live, Expected::NoStream),
        check(&live, at(1)),
        check(&deleted, Expected::NoStream),
        check(&deleted, Expected::StreamExists),
        check(&deleted, at(0)),
        check(&deleted, at(1)),
        check(&ended, Expected::Any),
    ];

    let write = vec![write(&live, Expected::NoStream, events(1))];
    let refused = store.commit(Transaction::from(write).checked(checks)).await;

    let violations = [
        (1, StreamState::NoStream),
        (2, StreamState::NoStream),
        (3, StreamState::At(Revision(1))),
        (6, StreamState::Deleted),
        (7, StreamState::At(Revision(1))),
        (9, StreamState::Tombstoned),
    ];
    let violations = violations.map(|(check, actual)| Violation { check, actual }).into();
    assert_eq!(refused, Err(AppendError::Violated { violations }));
    assert_eq!(read(&store, &live).await.len(), 2);
}

pub(crate) async fn a_repeat_is_one_whatever_is_checked<S: AtomicAppend>(store: S) {
    let (one, other) = (stream(), stream());
    let checks = vec![check(&one, Expected::NoStream), check(&other, Expected::NoStream)];
    let transaction = Transaction::of_events(mixed(&[&one])).checked(checks);

    let first = store.commit(transaction.clone()).await.unwrap();
    history(&store, &other, 1).await;
    let again = store.commit(transaction).await.unwrap();

    assert_eq!(again, first);
    assert_eq!(read(&store, &one).await.len(), 1);
}

pub(crate) async fn the_checks_of_one_transaction_are_bounded<S: AtomicAppend>(store: S) {
    let stream = stream();
    let checks = vec![check(&stream, Expected::NoStream); LIMITS.append_events + 1];

    let refused = store.commit(Transaction::of_events(mixed(&[&stream])).checked(checks)).await;

    assert!(matches!(refused, Err(AppendError::Size { .. })), "{refused:?}");
    assert_eq!(read(&store, &stream).await, []);
}
