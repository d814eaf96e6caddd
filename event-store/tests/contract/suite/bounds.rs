//! Stream metadata, and what its bounds hide.

use daybook_event_store::{
    AppendError, AtomicAppend, Direction, EventStore, Expected, NewEvent, ReadError, Revision,
    StreamId, StreamMetadata, StreamWrite,
};
use uuid::Uuid;

use super::given::{
    age, all, count, describe, event, events, head, history, ids, metadata_event, read, revisions,
    stream, truncation,
};
use super::timed::Timed;

/// Reads a stream from every revision, and past its end, both ways; what must be there is given
/// oldest first.
#[track_caller]
fn reads_as<S: EventStore>(store: &S, stream: &StreamId, live: &[u64]) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    let (store, stream, live) = (store.clone(), stream.clone(), live.to_vec());
    async move {
        let most = live.last().map_or(12, |last| last + 2);
        for from in (0..most).chain([u64::MAX]) {
            let forward = store.read(&stream, Revision(from), Direction::Forward);
            let expected: Vec<_> = live.iter().copied().filter(|n| *n >= from).collect();
            assert_eq!(revisions(&all(forward).await), expected, "from {from}, {caller}");
            let backward = store.read(&stream, Revision(from), Direction::Backward);
            let expected: Vec<_> = live.iter().rev().copied().filter(|n| *n <= from).collect();
            assert_eq!(revisions(&all(backward).await), expected, "back from {from}, {caller}");
        }
    }
}

pub(crate) async fn metadata_is_given_back_as_it_was_set<S: EventStore>(store: S) {
    let stream = stream();
    assert_eq!(store.metadata(&stream).await, Ok(None));
    let custom = serde_json::json!({ "$acl": { "$r": "$all" }, "owner": "ours" });
    let first = StreamMetadata {
        custom: custom.as_object().unwrap().clone(),
        ..StreamMetadata::decode(br#"{"$maxAge":60,"$maxCount":5,"$tb":3}"#).unwrap()
    };

    describe(&store, &stream, &first).await;
    assert_eq!(store.metadata(&stream).await, Ok(Some((first, Revision(0)))));

    describe(&store, &stream, &count(7)).await;
    assert_eq!(store.metadata(&stream).await, Ok(Some((count(7), Revision(1)))));
}

pub(crate) async fn metadata_is_set_at_the_expected_revision<S: EventStore>(store: S) {
    let stream = stream();
    let set =
        async |expected, n| store.set_metadata(&stream, expected, &count(n), Uuid::now_v7()).await;
    history(&store, &stream, 3).await;

    assert_eq!(set(Expected::NoStream, 1).await.unwrap().revision, Revision(0));
    let late = set(Expected::NoStream, 2).await;
    assert_eq!(set(Expected::At(Revision(0)), 3).await.unwrap().revision, Revision(1));

    let conflict = AppendError::Conflict {
        stream: stream.metadata_stream().unwrap(),
        expected: Expected::NoStream,
        actual: Some(Revision(0)),
    };
    assert_eq!(late, Err(conflict));
    assert_eq!(store.metadata(&stream).await, Ok(Some((count(3), Revision(1)))));
}

pub(crate) async fn repeated_metadata_changes_nothing<S: EventStore>(store: S) {
    let (stream, id) = (stream(), Uuid::now_v7());
    let set = async || store.set_metadata(&stream, Expected::NoStream, &truncation(1), id).await;

    let first = set().await.unwrap();
    describe(&store, &stream, &truncation(2)).await;

    assert_eq!(set().await, Ok(first));
    assert_eq!(store.metadata(&stream).await, Ok(Some((truncation(2), Revision(1)))));
}

pub(crate) async fn metadata_is_the_last_event_of_the_metadata_stream<S: EventStore>(store: S) {
    let stream = stream();
    history(&store, &stream, 4).await;
    let metadata = stream.metadata_stream().unwrap();
    let appended = metadata_event(&truncation(2));

    describe(&store, &stream, &count(1)).await;
    describe(&store, &stream, &count(2)).await;
    let at = store.append(&metadata, Expected::Any, vec![appended.clone()]).await.unwrap();

    assert_eq!(at.revision, Revision(2), "its revisions go on");
    assert_eq!(ids(&read(&store, &metadata).await), [appended.id]);
    reads_as(&store, &metadata, &[2]).await;
    reads_as(&store, &stream, &[2, 3]).await;
}

pub(crate) async fn malformed_metadata_says_nothing<S: EventStore>(store: S) {
    let stream = stream();
    history(&store, &stream, 3).await;
    describe(&store, &stream, &truncation(2)).await;
    let malformed = NewEvent { data: "{\"$tb\":".into(), ..metadata_event(&count(1)) };

    let metadata = stream.metadata_stream().unwrap();
    store.append(&metadata, Expected::Any, vec![malformed]).await.unwrap();

    reads_as(&store, &stream, &[0, 1, 2]).await;
    let nothing = (StreamMetadata::default(), Revision(1));
    assert_eq!(store.metadata(&stream).await, Ok(Some(nothing)));
}

pub(crate) async fn a_stream_may_have_metadata_before_events<S: EventStore>(store: S) {
    let stream = stream();
    describe(&store, &stream, &count(2)).await;

    reads_as(&store, &stream, &[]).await;
    store.append(&stream, Expected::StreamExists, events(1)).await.unwrap_err();
    store.append(&stream, Expected::NoStream, events(3)).await.unwrap();

    reads_as(&store, &stream, &[1, 2]).await;
}

pub(crate) async fn a_truncation_hides_what_is_before_it<S: EventStore>(store: S) {
    let stream = stream();
    history(&store, &stream, 6).await;

    describe(&store, &stream, &truncation(4)).await;
    reads_as(&store, &stream, &[4, 5]).await;
    let held = store.append(&stream, Expected::At(Revision(5)), events(1)).await.unwrap();
    assert_eq!(held.revision, Revision(6));
    reads_as(&store, &stream, &[4, 5, 6]).await;

    describe(&store, &stream, &truncation(6)).await;
    reads_as(&store, &stream, &[6]).await;
}

pub(crate) async fn a_stream_truncated_whole_goes_on<S: EventStore>(store: S) {
    let stream = stream();
    history(&store, &stream, 3).await;
    describe(&store, &stream, &truncation(5)).await;
    reads_as(&store, &stream, &[]).await;

    let taken = store.append(&stream, Expected::NoStream, events(1)).await;
    let (expected, actual) = (Expected::NoStream, Some(Revision(2)));
    assert_eq!(taken, Err(AppendError::Conflict { stream: stream.clone(), expected, actual }));

    let next = store.append(&stream, Expected::StreamExists, events(3)).await.unwrap();
    assert_eq!(next.revision, Revision(5));
    reads_as(&store, &stream, &[5]).await;
}

pub(crate) async fn a_count_keeps_the_last_events<S: EventStore>(store: S) {
    let stream = stream();
    history(&store, &stream, 5).await;

    describe(&store, &stream, &count(2)).await;
    reads_as(&store, &stream, &[3, 4]).await;
    history(&store, &stream, 2).await;
    reads_as(&store, &stream, &[5, 6]).await;

    describe(&store, &stream, &StreamMetadata { truncate_before: Some(Revision(6)), ..count(9) })
        .await;
    reads_as(&store, &stream, &[6]).await;
}

pub(crate) async fn bounds_hold_over_a_long_stream<S: EventStore>(store: S) {
    let (stream, other) = (stream(), stream());
    for _ in 0..20 {
        store.append(&stream, Expected::Any, events(99)).await.unwrap();
        store.append(&other, Expected::Any, events(11)).await.unwrap();
    }

    for (metadata, first) in [(truncation(1_234), 1_234), (count(700), 1_280)] {
        describe(&store, &stream, &metadata).await;
        let forward = read(&store, &stream).await;
        assert_eq!(revisions(&forward), (first..1_980).collect::<Vec<u64>>());
        let backward = all(store.read(&stream, Revision::END, Direction::Backward)).await;
        assert_eq!(revisions(&backward), (first..1_980).rev().collect::<Vec<u64>>());
    }
    assert_eq!(read(&store, &other).await.len(), 220);
}

pub(crate) async fn a_repeat_of_hidden_events_returns_the_first_result<S: EventStore>(store: S) {
    let stream = stream();
    let batch = events(2);
    let first = store.append(&stream, Expected::NoStream, batch.clone()).await.unwrap();
    history(&store, &stream, 1).await;
    describe(&store, &stream, &truncation(2)).await;

    assert_eq!(store.append(&stream, Expected::NoStream, batch.clone()).await, Ok(first));
    let reused = AppendError::IdReused { id: batch[1].id };
    assert_eq!(
        store.append(&stream, Expected::Any, vec![batch[1].clone(), event("New")]).await,
        Err(reused)
    );
    reads_as(&store, &stream, &[2]).await;
}

pub(crate) async fn the_stores_own_names_are_refused<S: EventStore>(store: S) {
    let before = head(&store).await;
    let own = ["$ce-order", "$et-Placed", "$$$ce-order", "$$$et-Placed", "$$", "$$$$order-1"];
    let refused = |result: Result<_, AppendError>, name: &str| {
        assert!(matches!(result, Err(AppendError::Reserved { .. })), "{name}: {result:?}");
    };

    for name in own {
        let stream: StreamId = name.parse().unwrap();
        let metadata = metadata_event(&count(1));
        refused(store.append(&stream, Expected::Any, vec![metadata]).await, name);
        refused(store.delete(&stream, Expected::Any).await, name);
        refused(store.tombstone(&stream, Expected::Any).await, name);
    }
    let metadata: StreamId = "$$order-1".parse().unwrap();
    assert_eq!(metadata.metadata_stream(), None);
    let of_metadata = store.set_metadata(&metadata, Expected::Any, &count(1), Uuid::now_v7()).await;
    refused(of_metadata, "the metadata of metadata");
    refused(store.append(&metadata, Expected::Any, events(1)).await, "events in metadata");
    refused(store.delete(&metadata, Expected::Any).await, "the deletion of metadata");
    let tombstone = vec![event("$streamDeleted")];
    refused(store.append(&stream(), Expected::Any, tombstone).await, "an appended tombstone");

    assert_eq!(head(&store).await, before);
}

pub(crate) async fn the_longest_name_has_metadata<S: EventStore>(store: S) {
    let stream: StreamId = "x".repeat(StreamId::MAX_LEN).parse().unwrap();
    store.append(&stream, Expected::Any, events(3)).await.unwrap();

    describe(&store, &stream, &count(1)).await;

    assert_eq!(read(&store, &stream).await.len(), 1);
    assert!("x".repeat(StreamId::MAX_LEN + 1).parse::<StreamId>().is_err());
}

pub(crate) async fn metadata_and_events_take_effect_at_once<S: AtomicAppend>(store: S) {
    let stream = stream();
    history(&store, &stream, 3).await;
    let metadata = stream.metadata_stream().unwrap();
    let write = |stream: &StreamId, events| StreamWrite {
        stream: stream.clone(),
        expected: Expected::Any,
        events,
    };

    let writes =
        vec![write(&metadata, vec![metadata_event(&truncation(3))]), write(&stream, events(2))];
    let appended = store.append_all(writes).await.unwrap();

    assert_eq!(appended.iter().map(|a| a.revision.0).collect::<Vec<_>>(), [0, 4]);
    reads_as(&store, &stream, &[3, 4]).await;
}

pub(crate) async fn an_age_hides_what_is_older<S: EventStore>(Timed { store, clock }: Timed<S>) {
    let stream = stream();
    for _ in 0..3 {
        history(&store, &stream, 2).await;
        clock.advance(10);
    }
    describe(&store, &stream, &age(30)).await;

    reads_as(&store, &stream, &[0, 1, 2, 3, 4, 5]).await;
    clock.advance(1);
    reads_as(&store, &stream, &[2, 3, 4, 5]).await;
    clock.advance(10);
    reads_as(&store, &stream, &[4, 5]).await;
    clock.advance(60);
    reads_as(&store, &stream, &[]).await;

    let taken = store.append(&stream, Expected::NoStream, events(1)).await;
    assert!(matches!(taken, Err(AppendError::Conflict { .. })), "it still exists: {taken:?}");
    history(&store, &stream, 1).await;
    reads_as(&store, &stream, &[6]).await;
}

pub(crate) async fn a_long_stream_ages_from_its_start<S: EventStore>(
    Timed { store, clock }: Timed<S>,
) {
    let stream = stream();
    describe(&store, &stream, &age(60)).await;
    for _ in 0..60 {
        store.append(&stream, Expected::Any, events(21)).await.unwrap();
        clock.advance(2);
    }

    let forward = read(&store, &stream).await;
    assert_eq!(revisions(&forward), (30 * 21..60 * 21).collect::<Vec<u64>>());
    let mut backward = all(store.read(&stream, Revision::END, Direction::Backward)).await;
    backward.reverse();
    assert_eq!(backward, forward);
}

pub(crate) async fn metadata_does_not_age<S: EventStore>(Timed { store, clock }: Timed<S>) {
    let stream = stream();
    describe(&store, &stream, &age(1)).await;
    clock.advance(1_000);
    assert_eq!(store.metadata(&stream).await, Ok::<_, ReadError>(Some((age(1), Revision(0)))));
}
