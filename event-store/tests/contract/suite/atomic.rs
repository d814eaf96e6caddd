use daybook_event_store::{
    AppendError, AtomicAppend, Expected, Filter, NewEvent, Revision, StreamId, StreamWrite,
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
