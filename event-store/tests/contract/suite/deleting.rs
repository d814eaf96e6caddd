//! Streams that are deleted, begun anew, and ended for good.

use daybook_event_store::{
    AppendError, Appended, AtomicAppend, Direction, EventStore, Expected, Filter, NewEvent,
    ReadError, Revision, StreamId, StreamMetadata, StreamWrite,
};
use futures::{StreamExt, TryStreamExt};

use super::given::{
    all, category, count, describe, event, events, head, history, ids, in_category, read, read_all,
    revisions, stream, truncation, within,
};

/// A stream with so many events, deleted.
async fn deleted<S: EventStore>(store: &S, count: usize) -> StreamId {
    let stream = stream();
    history(store, &stream, count).await;
    store.delete(&stream, Expected::Any).await.unwrap();
    stream
}

/// A stream with so many events, ended for good.
async fn tombstoned<S: EventStore>(store: &S, count: usize) -> StreamId {
    let stream = stream();
    history(store, &stream, count).await;
    store.tombstone(&stream, Expected::Any).await.unwrap();
    stream
}

fn conflict(
    stream: &StreamId,
    expected: Expected,
    actual: Option<u64>,
) -> Result<Appended, AppendError> {
    let actual = actual.map(Revision);
    Err(AppendError::Conflict { stream: stream.clone(), expected, actual })
}

fn ended(stream: &StreamId) -> Result<Appended, AppendError> {
    Err(AppendError::Deleted { stream: stream.clone() })
}

async fn truncated_before<S: EventStore>(store: &S, stream: &StreamId) -> Option<Revision> {
    store.metadata(stream).await.unwrap().unwrap().0.truncate_before
}

pub(crate) async fn a_deleted_stream_reads_as_empty<S: EventStore>(store: S) {
    let other = stream();
    history(&store, &other, 3).await;
    let deleted = deleted(&store, 3).await;

    for direction in [Direction::Forward, Direction::Backward] {
        for from in [Revision::START, Revision(1), Revision::END] {
            assert_eq!(all(store.read(&deleted, from, direction)).await, []);
        }
    }
    assert_eq!(read(&store, &other).await.len(), 3);
    assert_eq!(truncated_before(&store, &deleted).await, Some(StreamMetadata::DELETED));
}

pub(crate) async fn a_deletion_is_metadata<S: EventStore>(store: S) {
    let stream = stream();
    history(&store, &stream, 3).await;
    describe(&store, &stream, &count(9)).await;

    let deleted = store.delete(&stream, Expected::At(Revision(2))).await.unwrap();

    let said = read(&store, &stream.metadata_stream().unwrap()).await;
    assert_eq!((deleted.revision, deleted.position), (Revision(1), said[0].position));
    let metadata = StreamMetadata { truncate_before: Some(StreamMetadata::DELETED), ..count(9) };
    assert_eq!(store.metadata(&stream).await, Ok(Some((metadata, Revision(1)))));
}

pub(crate) async fn a_deleted_stream_begins_anew<S: EventStore>(store: S) {
    for expected in [Expected::Any, Expected::NoStream, Expected::At(Revision(2))] {
        let stream = stream();
        history(&store, &stream, 3).await;
        describe(&store, &stream, &count(9)).await;
        store.delete(&stream, Expected::Any).await.unwrap();

        let batch = events(2);
        let anew = store.append(&stream, expected, batch.clone()).await.unwrap();

        assert_eq!(anew.revision, Revision(4), "revisions go on");
        let stored = read(&store, &stream).await;
        assert_eq!((ids(&stored), revisions(&stored)), (ids_of(&batch), vec![3, 4]));
        assert_eq!(stored[1].position, anew.position);
        let backward = all(store.read(&stream, Revision::END, Direction::Backward)).await;
        assert_eq!(revisions(&backward), [4, 3]);
        let metadata = StreamMetadata { truncate_before: Some(Revision(3)), ..count(9) };
        assert_eq!(store.metadata(&stream).await, Ok(Some((metadata, Revision(2)))));
        store.append(&stream, Expected::StreamExists, events(1)).await.unwrap();
        assert_eq!(revisions(&read(&store, &stream).await), [3, 4, 5]);
    }
}

fn ids_of(events: &[NewEvent]) -> Vec<uuid::Uuid> {
    events.iter().map(|event| event.id).collect()
}

pub(crate) async fn a_deleted_stream_does_not_exist<S: EventStore>(store: S) {
    let stream = deleted(&store, 3).await;

    for expected in [Expected::StreamExists, Expected::At(Revision(1)), Expected::At(Revision(3))] {
        let refused = store.append(&stream, expected, events(1)).await;
        assert_eq!(refused, conflict(&stream, expected, Some(2)));
    }
    assert_eq!(read(&store, &stream).await, []);
}

pub(crate) async fn a_stream_is_deleted_as_expected_or_not_at_all<S: EventStore>(store: S) {
    let stream = stream();
    history(&store, &stream, 3).await;

    for expected in [Expected::NoStream, Expected::At(Revision(1)), Expected::At(Revision(3))] {
        let refused = store.delete(&stream, expected).await;
        assert_eq!(refused, conflict(&stream, expected, Some(2)));
    }
    assert_eq!(read(&store, &stream).await.len(), 3);
    store.delete(&stream, Expected::StreamExists).await.unwrap();
    assert_eq!(read(&store, &stream).await, []);
}

pub(crate) async fn what_never_was_cannot_be_deleted<S: EventStore>(store: S) {
    let (unknown, described) = (stream(), stream());
    describe(&store, &described, &count(1)).await;
    let before = head(&store).await;

    for stream in [unknown, described] {
        for expected in [Expected::Any, Expected::NoStream, Expected::StreamExists] {
            let refused = store.delete(&stream, expected).await;
            assert_eq!(refused, conflict(&stream, expected, None));
        }
    }
    assert_eq!(head(&store).await, before);
}

pub(crate) async fn deleting_twice_changes_nothing<S: EventStore>(store: S) {
    let stream = stream();
    history(&store, &stream, 3).await;
    let first = store.delete(&stream, Expected::At(Revision(2))).await.unwrap();
    let before = head(&store).await;

    for expected in [Expected::At(Revision(2)), Expected::Any, Expected::NoStream] {
        assert_eq!(store.delete(&stream, expected).await, Ok(first));
    }
    assert_eq!(head(&store).await, before);
}

pub(crate) async fn a_stream_is_deleted_and_begun_anew_over_and_over<S: EventStore>(store: S) {
    let stream = stream();
    for round in 0..5 {
        let appended = store.append(&stream, Expected::NoStream, events(2)).await.unwrap();
        assert_eq!(appended.revision, Revision(round * 2 + 1));
        assert_eq!(revisions(&read(&store, &stream).await), [round * 2, round * 2 + 1]);
        store.delete(&stream, Expected::At(appended.revision)).await.unwrap();
        assert_eq!(read(&store, &stream).await, []);
    }
}

pub(crate) async fn new_metadata_takes_a_deletion_back<S: EventStore>(store: S) {
    let stream = deleted(&store, 4).await;
    describe(&store, &stream, &truncation(2)).await;
    assert_eq!(revisions(&read(&store, &stream).await), [2, 3]);
    store.append(&stream, Expected::NoStream, events(1)).await.unwrap_err();
}

pub(crate) async fn a_repeat_finds_its_events_in_a_deleted_stream<S: EventStore>(store: S) {
    let (deleted, ended) = (stream(), stream());
    for stream in [&deleted, &ended] {
        let batch = events(2);
        let first = store.append(stream, Expected::NoStream, batch.clone()).await.unwrap();
        if *stream == deleted {
            store.delete(stream, Expected::Any).await.unwrap();
        } else {
            store.tombstone(stream, Expected::Any).await.unwrap();
        }
        let before = head(&store).await;

        assert_eq!(store.append(stream, Expected::NoStream, batch).await, Ok(first));
        assert_eq!(head(&store).await, before, "a repeat begins nothing anew");
    }
    assert_eq!(read(&store, &deleted).await, []);
}

pub(crate) async fn a_reader_never_sees_a_mixture<S: EventStore>(store: S) {
    let stream = stream();
    let writer = tokio::spawn({
        let (store, stream) = (store.clone(), stream.clone());
        async move {
            for round in 0..100 {
                store.append(&stream, Expected::NoStream, events(3)).await.unwrap();
                // In all ways out of step with the reader, also on one thread.
                for _ in 0..round % 3 {
                    tokio::task::yield_now().await;
                }
                store.delete(&stream, Expected::Any).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    while !writer.is_finished() {
        let seen = revisions(&read(&store, &stream).await);
        let first = seen.first().copied().unwrap_or_default();
        assert!(seen.is_empty() || seen == [first, first + 1, first + 2], "{seen:?}");
        assert!(first.is_multiple_of(3), "{seen:?}");
        tokio::task::yield_now().await;
    }
    within(writer).await.unwrap();
}

pub(crate) async fn a_tombstoned_stream_cannot_be_read<S: EventStore>(store: S) {
    let stream = tombstoned(&store, 3).await;
    let metadata = stream.metadata_stream().unwrap();

    for stream in [&stream, &metadata] {
        for direction in [Direction::Forward, Direction::Backward] {
            for from in [Revision::START, Revision(3), Revision::END] {
                let read = store.read(stream, from, direction).boxed();
                let error = within(read.try_collect::<Vec<_>>()).await.unwrap_err();
                assert_eq!(error, ReadError::Deleted { stream: stream.clone() });
            }
        }
    }
    let error = store.metadata(&stream).await.unwrap_err();
    assert_eq!(error, ReadError::Deleted { stream: metadata });
}

pub(crate) async fn a_tombstoned_stream_takes_nothing<S: EventStore>(store: S) {
    let stream = tombstoned(&store, 3).await;
    let metadata = stream.metadata_stream().unwrap();
    let before = head(&store).await;

    for expected in
        [Expected::Any, Expected::NoStream, Expected::StreamExists, Expected::At(Revision(3))]
    {
        assert_eq!(store.append(&stream, expected, events(1)).await, ended(&stream));
        assert_eq!(store.delete(&stream, expected).await, ended(&stream));
        assert_eq!(store.tombstone(&stream, expected).await, ended(&stream));
        let (said, id) = (count(1), uuid::Uuid::now_v7());
        let described = store.set_metadata(&stream, expected, &said, id).await;
        assert_eq!(described, ended(&metadata));
    }
    assert_eq!(head(&store).await, before);
}

pub(crate) async fn a_tombstone_is_the_streams_last_event<S: EventStore>(store: S) {
    let before = head(&store).await;
    let stream = stream();
    history(&store, &stream, 3).await;

    let tombstone = store.tombstone(&stream, Expected::At(Revision(2))).await.unwrap();

    let stored = read_all(&store, before, Filter::kinds(&["$streamDeleted"])).await;
    let (revision, position) = (stored[0].revision, stored[0].position);
    assert_eq!((revision, position), (tombstone.revision, tombstone.position));
    assert_eq!((&stored[0].stream, stored.len()), (&stream, 1));
    assert_eq!(head(&store).await, Some(tombstone.position));
}

pub(crate) async fn a_stream_is_tombstoned_as_expected_or_not_at_all<S: EventStore>(store: S) {
    let (stream, unknown) = (stream(), stream());
    history(&store, &stream, 3).await;

    for expected in [Expected::NoStream, Expected::At(Revision(1))] {
        let refused = store.tombstone(&stream, expected).await;
        assert_eq!(refused, conflict(&stream, expected, Some(2)));
    }
    for expected in [Expected::StreamExists, Expected::At(Revision(0))] {
        let refused = store.tombstone(&unknown, expected).await;
        assert_eq!(refused, conflict(&unknown, expected, None));
    }
    assert_eq!(read(&store, &stream).await.len(), 3);
    assert_eq!(read(&store, &unknown).await, []);
}

pub(crate) async fn a_stream_can_be_tombstoned_in_any_state<S: EventStore>(store: S) {
    let unknown = stream();
    store.tombstone(&unknown, Expected::NoStream).await.unwrap();
    assert_eq!(store.append(&unknown, Expected::Any, events(1)).await, ended(&unknown));

    let deleted = deleted(&store, 2).await;
    store.tombstone(&deleted, Expected::NoStream).await.unwrap();
    assert_eq!(store.append(&deleted, Expected::NoStream, events(1)).await, ended(&deleted));
}

pub(crate) async fn a_tombstone_has_the_next_revision<S: EventStore>(store: S) {
    let (unknown, stream) = (stream(), stream());
    history(&store, &stream, 3).await;
    let gone = deleted(&store, 2).await;
    let before = head(&store).await;

    let mut told = Vec::new();
    for (stream, expected) in [
        (&unknown, Expected::NoStream),
        (&stream, Expected::At(Revision(2))),
        (&gone, Expected::NoStream),
    ] {
        told.push(store.tombstone(stream, expected).await.unwrap().revision.0);
    }

    assert_eq!(told, [0, 3, 2]);
    let stored = read_all(&store, before, Filter::kinds(&["$streamDeleted"])).await;
    assert_eq!(revisions(&stored), told);
}

fn write(stream: &StreamId, expected: Expected, count: usize) -> StreamWrite {
    StreamWrite { stream: stream.clone(), expected, events: events(count) }
}

pub(crate) async fn an_append_over_streams_begins_deleted_ones_anew<S: AtomicAppend>(store: S) {
    let category = category("anew");
    let (one, other) = (in_category(&category, 1), in_category(&category, 2));
    for stream in [&one, &other] {
        history(&store, stream, 2).await;
        store.delete(stream, Expected::Any).await.unwrap();
    }
    let before = head(&store).await;

    let writes =
        vec![write(&one, Expected::NoStream, 2), write(&other, Expected::At(Revision(1)), 1)];
    let appended = store.append_all(writes).await.unwrap();

    assert_eq!(appended.iter().map(|a| a.revision.0).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(revisions(&read(&store, &one).await), [2, 3]);
    assert_eq!(revisions(&read(&store, &other).await), [2]);
    let stored = read_all(&store, before, Filter::all()).await;
    let ours: Vec<_> = stored.iter().take(3).map(|event| event.stream.clone()).collect();
    assert_eq!(ours, [one.clone(), one, other], "the events are contiguous");
}

pub(crate) async fn one_tombstoned_stream_refuses_the_whole<S: AtomicAppend>(store: S) {
    let (one, gone, ended) = (stream(), deleted(&store, 1).await, tombstoned(&store, 1).await);
    let before = head(&store).await;

    let writes = vec![
        write(&one, Expected::Any, 1),
        write(&gone, Expected::Any, 1),
        write(&ended, Expected::Any, 1),
    ];
    let refused = store.append_all(writes).await;

    assert_eq!(refused, Err(AppendError::Deleted { stream: ended }));
    assert_eq!(head(&store).await, before);
    assert_eq!(read(&store, &gone).await, []);
    store.append(&gone, Expected::NoStream, vec![event("Anew")]).await.unwrap();
}
