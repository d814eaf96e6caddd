//! One store copied into another.

#![expect(clippy::unwrap_used, reason = "a test fails where what must be there is not")]

use std::num::NonZeroU64;

use daybook_event_store::{
    CopyError, CopySummary, EmbeddedOptions, EmbeddedStore, EventStore, Expected, Filter,
    MemoryStore, NewEvent, Recorded, RecordedEvent, Revision, ScavengeOptions, StreamId,
    StreamMetadata, compare_copy, copy,
};
use futures::TryStreamExt;
use uuid::Uuid;

fn stream(name: &str) -> StreamId {
    name.parse().unwrap()
}

fn event(n: u128) -> NewEvent {
    NewEvent {
        id: Uuid::from_u128(n),
        kind: "Happened".into(),
        data: vec![b'x'; 2_000].into(),
        metadata: n.to_string().into(),
        is_json: n.is_multiple_of(2),
    }
}

async fn append<S: EventStore>(store: &S, name: &str, ids: std::ops::Range<u128>) {
    for id in ids {
        store.append(&stream(name), Expected::Any, vec![event(id)]).await.unwrap();
    }
}

async fn describe<S: EventStore>(store: &S, name: &str, metadata: StreamMetadata) {
    let id = Uuid::now_v7();
    store.set_metadata(&stream(name), Expected::Any, &metadata, id).await.unwrap();
}

fn most(count: u64) -> StreamMetadata {
    StreamMetadata { max_count: NonZeroU64::new(count), ..StreamMetadata::default() }
}

/// Streams that are interleaved, bounded, deleted, begun anew and ended.
async fn history<S: EventStore>(store: &S) {
    for n in 0..40 {
        append(store, &format!("order-{}", n % 4), n..n + 1).await;
    }
    describe(store, "order-0", most(3)).await;
    store.delete(&stream("order-1"), Expected::Any).await.unwrap();
    append(store, "order-1", 100..103).await;
    store.delete(&stream("order-2"), Expected::Any).await.unwrap();
    store.tombstone(&stream("order-3"), Expected::Any).await.unwrap();
    append(store, "order-4", 200..202).await;
}

async fn all<S: EventStore>(store: &S) -> Vec<Recorded> {
    store.read_all(None, Filter::all()).try_collect().await.unwrap()
}

/// An embedded store of many small segments.
fn embedded(dir: &tempfile::TempDir) -> EmbeddedStore {
    let options = EmbeddedOptions { segment_bytes: 20_000, ..EmbeddedOptions::default() };
    EmbeddedStore::open(dir.path(), &options).unwrap()
}

async fn copied<S: EventStore, T: EventStore>(source: &S, target: &T) -> CopySummary {
    let summary = copy(source, target, |_, _| ()).await.unwrap();
    compare_copy(source, target, |_| ()).await.unwrap();
    summary
}

#[tokio::test]
async fn a_copy_is_the_same_but_for_its_times() {
    let (source, target) = (MemoryStore::default(), MemoryStore::default());
    history(&source).await;

    let summary = copied(&source, &target).await;

    let there = all(&source).await;
    assert_eq!(summary, CopySummary { events: there.len() as u64, gaps: 0 });
    let timeless = |events: Vec<Recorded>| -> Vec<RecordedEvent> {
        let timeless = |event: Recorded| RecordedEvent { recorded_at: 0, ..(*event).clone() };
        events.into_iter().map(timeless).collect()
    };
    assert_eq!(timeless(all(&target).await), timeless(there), "positions are the same, too");
}

#[tokio::test]
async fn a_copy_goes_on_where_it_was() {
    let (source, target) = (MemoryStore::default(), MemoryStore::default());
    append(&source, "order-1", 0..10).await;
    copied(&source, &target).await;
    append(&source, "order-1", 10..13).await;
    append(&source, "order-2", 20..21).await;

    assert_eq!(copied(&source, &target).await.events, 4);
    assert_eq!(copied(&source, &target).await.events, 0);
}

#[tokio::test]
async fn a_copy_that_was_cut_short_anywhere_is_completed() {
    let source = MemoryStore::default();
    history(&source).await;
    let events = all(&source).await;
    for cut in (0..events.len()).step_by(5) {
        let target = MemoryStore::default();
        for event in &events[..cut] {
            let again = vec![event.to_new()];
            let appended = target.append(&event.stream, Expected::Any, again).await;
            if appended.is_err() {
                target.tombstone(&event.stream, Expected::Any).await.unwrap();
            }
        }
        copied(&source, &target).await;
    }
}

#[tokio::test]
async fn what_was_scavenged_leaves_gaps_that_keep_revisions() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (source, target) = (embedded(&from), embedded(&to));
    append(&source, "order-1", 0..60).await;
    describe(&source, "order-1", most(2)).await;
    append(&source, "order-2", 100..160).await;
    let options = ScavengeOptions { least_percent: 0, ..ScavengeOptions::default() };
    source.scavenge(options).ended().await;
    assert!(all(&source).await.len() < 120, "some were dropped");

    let summary = copied(&source, &target).await;

    assert!(summary.gaps > 0, "{summary:?}");
    let (kept, there) = (all(&source).await, all(&target).await);
    let of = |events: &[Recorded]| -> Vec<_> {
        let ours = events.iter().filter(|event| &*event.kind == "Happened");
        ours.map(|event| (event.stream.clone(), event.revision, event.id)).collect()
    };
    assert_eq!(of(&there), of(&kept));
}

#[tokio::test]
async fn streams_of_the_system_are_left_out() {
    let (source, target) = (MemoryStore::default(), MemoryStore::default());
    append(&source, "$stats-1", 0..3).await;
    describe(&source, "$stats-1", most(3)).await;
    append(&source, "order-1", 10..11).await;

    assert_eq!(copied(&source, &target).await.events, 1);
    assert_eq!(all(&target).await.len(), 1);
}

#[tokio::test]
async fn a_target_with_other_events_is_refused() {
    let (source, target) = (MemoryStore::default(), MemoryStore::default());
    append(&source, "order-1", 0..3).await;
    append(&target, "order-1", 10..11).await;

    let refused = copy(&source, &target, |_, _| ()).await.unwrap_err();

    assert!(matches!(refused, CopyError::Differs { .. }), "{refused:?}");
    assert_eq!(all(&target).await.len(), 1, "nothing was appended");
}

#[tokio::test]
async fn every_difference_is_found() {
    let source = MemoryStore::default();
    append(&source, "order-1", 0..3).await;
    let changed = |change: fn(&mut NewEvent)| {
        let mut event = event(2);
        change(&mut event);
        event
    };
    let others = [
        changed(|event| event.id = Uuid::from_u128(77)),
        changed(|event| event.kind = "Other".into()),
        changed(|event| event.data = "other".into()),
        changed(|event| event.metadata = "other".into()),
        changed(|event| event.is_json = !event.is_json),
    ];
    for other in others {
        let target = MemoryStore::default();
        append(&target, "order-1", 0..2).await;
        assert!(compare_copy(&source, &target, |_| ()).await.is_err(), "one less");
        target.append(&stream("order-1"), Expected::Any, vec![other]).await.unwrap();

        let found = compare_copy(&source, &target, |_| ()).await.unwrap_err();

        let CopyError::Differs { revision, .. } = found else { panic!("{found:?}") };
        assert_eq!(revision, Revision(2));
    }
    let target = MemoryStore::default();
    append(&target, "order-1", 0..4).await;
    assert!(compare_copy(&source, &target, |_| ()).await.is_err(), "one more");
    describe(&source, "order-1", most(9)).await;
    append(&source, "order-1", 3..4).await;
    assert!(compare_copy(&source, &target, |_| ()).await.is_err(), "other metadata");
}
