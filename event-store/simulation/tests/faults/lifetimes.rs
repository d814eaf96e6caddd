//! What is said of streams survives whatever happens to the store.

use std::num::NonZeroU64;
use std::sync::Arc;

use daybook_event_store::{
    AppendError, Direction, EmbeddedStore, EventStore, Expected, ReadError, Revision,
    ScavengeOptions, ScavengeState, StreamId, StreamMetadata,
};
use futures::{StreamExt, TryStreamExt};

use crate::given::{DIR, event, history, id, of_stream, open, options, stream, try_open};
use daybook_event_store_simulation::Disk;

const TRUNCATED: usize = 0;
const COUNTED: usize = 1;
const DELETED: usize = 10;
const ANEW: usize = 11;
const ENDED: usize = 12;
/// A stream that had bounds once.
const FREED: usize = 13;

async fn append(store: &EmbeddedStore, name: usize, numbers: std::ops::Range<usize>) {
    let events = numbers.map(event).collect();
    store.append(&stream(name), Expected::Any, events).await.unwrap();
}

async fn describe(store: &EmbeddedStore, name: usize, metadata: &StreamMetadata, n: usize) {
    store.set_metadata(&stream(name), Expected::Any, metadata, id(n)).await.unwrap();
}

fn truncation(before: u64) -> StreamMetadata {
    StreamMetadata { truncate_before: Some(Revision(before)), ..StreamMetadata::default() }
}

fn count(most: u64) -> StreamMetadata {
    StreamMetadata { max_count: NonZeroU64::new(most), ..StreamMetadata::default() }
}

/// Streams in every state, over many segments.
async fn fill(store: &EmbeddedStore) {
    describe(store, FREED, &truncation(1), 1_000).await;
    describe(store, TRUNCATED, &truncation(1), 1_001).await;
    for (n, name) in [DELETED, ANEW, ENDED, FREED].into_iter().enumerate() {
        append(store, name, 500 + n * 10..502 + n * 10).await;
    }
    store.delete(&stream(DELETED), Expected::Any).await.unwrap();
    store.delete(&stream(ANEW), Expected::Any).await.unwrap();
    store.tombstone(&stream(ENDED), Expected::Any).await.unwrap();
    history(store, 0..60).await;
    append(store, ANEW, 600..601).await;
    describe(store, FREED, &StreamMetadata::default(), 1_002).await;
    describe(store, TRUNCATED, &truncation(15), 1_003).await;
    describe(store, COUNTED, &count(3), 1_004).await;
}

async fn revisions(store: &EmbeddedStore, name: usize) -> Vec<u64> {
    of_stream(store, &stream(name)).await.iter().map(|event| event.revision.0).collect()
}

async fn ended(store: &EmbeddedStore, stream: &StreamId) -> bool {
    let read: Result<Vec<_>, _> =
        store.read(stream, Revision::START, Direction::Forward).try_collect().await;
    read == Err(ReadError::Deleted { stream: stream.clone() })
}

async fn is_as_filled(store: &EmbeddedStore) {
    assert_eq!(revisions(store, TRUNCATED).await, [15, 16, 17, 18, 19]);
    assert_eq!(revisions(store, COUNTED).await, [17, 18, 19]);
    assert_eq!(revisions(store, 2).await, (0..20).collect::<Vec<_>>());
    assert_eq!(revisions(store, DELETED).await, [0; 0]);
    assert_eq!(revisions(store, ANEW).await, [2]);
    assert_eq!(revisions(store, FREED).await, [0, 1]);
    assert!(ended(store, &stream(ENDED)).await);
    assert_eq!(store.metadata(&stream(COUNTED)).await, Ok(Some((count(3), Revision(0)))));
    assert_eq!(store.metadata(&stream(ANEW)).await, Ok(Some((truncation(2), Revision(1)))));
}

#[tokio::test]
async fn it_is_there_after_the_store_is_opened_again() {
    let sim = Disk::default();
    let store = open(&sim);
    fill(&store).await;
    is_as_filled(&store).await;
    store.close();
    drop(store);

    let store = open(&sim);

    is_as_filled(&store).await;
    let taken = store.append(&stream(ENDED), Expected::Any, vec![event(700)]).await;
    assert_eq!(taken, Err(AppendError::Deleted { stream: stream(ENDED) }));
    append(&store, DELETED, 701..703).await;
    assert_eq!(revisions(&store, DELETED).await, [2, 3]);
}

#[tokio::test]
async fn indexes_that_are_made_anew_say_the_same() {
    let sim = Disk::default();
    let store = open(&sim);
    fill(&store).await;
    store.close();
    drop(store);
    let indexes = sim.files("idx");
    assert!(indexes.len() > 3, "{} segments are sealed", indexes.len());
    let before: Vec<_> = indexes.iter().map(|path| sim.contents(path)).collect();
    for path in &indexes {
        sim.delete(path);
    }

    let store = open(&sim);

    is_as_filled(&store).await;
    let after: Vec<_> = indexes.iter().map(|path| sim.contents(path)).collect();
    assert!(after == before, "byte by byte");
}

#[tokio::test]
async fn a_reader_beside_the_writer_learns_of_it() {
    let sim = Disk::default();
    let writer = open(&sim);
    let vfs = Arc::new(sim.clone());
    let reader = EmbeddedStore::open_read_only_with(vfs, DIR, &options()).unwrap();

    fill(&writer).await;
    reader.refresh().unwrap();
    is_as_filled(&reader).await;

    describe(&writer, COUNTED, &count(1), 1_005).await;
    assert_eq!(revisions(&reader, COUNTED).await, [17, 18, 19]);
    reader.refresh().unwrap();
    assert_eq!(revisions(&reader, COUNTED).await, [19]);
}

#[tokio::test]
async fn a_crash_leaves_a_stream_deleted_or_begun_anew_and_nothing_between() {
    let begin_anew = async |store: &EmbeddedStore| {
        let stream = stream(1);
        store.append(&stream, Expected::NoStream, vec![event(0), event(1)]).await?;
        store.delete(&stream, Expected::At(Revision(1))).await?;
        let batch = (2..30).map(event).collect();
        store.append(&stream, Expected::NoStream, batch).await?;
        store.tombstone(&stream, Expected::At(Revision(29))).await
    };
    let sim = Disk::default();
    begin_anew(&open(&sim)).await.unwrap();
    let all = sim.changes();

    let mut seen = [false; 4];
    for change in 0..all {
        let sim = Disk::default();
        sim.power_off_at(change);
        let acknowledged = match try_open(&sim) {
            Ok(store) => begin_anew(&store).await.is_ok(),
            Err(_) => false,
        };
        for seed in 0..8 {
            let store = open(&sim.crashed(seed));
            if ended(&store, &stream(1)).await {
                seen[3] = true;
                continue;
            }
            assert!(!acknowledged, "change {change}, seed {seed}: the tombstone is gone");
            let revisions = revisions(&store, 1).await;
            let deleted = store.metadata(&stream(1)).await.unwrap().is_some();
            match (&*revisions, deleted) {
                ([], _) => seen[0] = true,
                ([0, 1], false) => seen[1] = true,
                (anew, true) => {
                    assert_eq!(anew, (2..30).collect::<Vec<_>>(), "change {change}, seed {seed}");
                    seen[2] = true;
                }
                (part, false) => panic!("change {change}, seed {seed}: {part:?}"),
            }
        }
    }
    assert_eq!(seen, [true; 4], "empty, first, anew, ended");
}

#[tokio::test]
async fn a_read_that_began_before_a_scavenge_is_cut_cleanly() {
    let sim = Disk::default();
    let store = open(&sim);
    history(&store, 0..300).await;
    store.close();
    drop(store);
    // Nothing of it is in memory.
    let store = open(&sim);
    let read = || store.read(&stream(0), Revision::START, Direction::Forward).boxed();
    let (not_looked_at, mut under_way) = (read(), read());
    let first = under_way.next().await.unwrap().unwrap();

    describe(&store, 0, &truncation(80), 1_000).await;
    let options = ScavengeOptions { least_percent: 0, bytes_per_second: NonZeroU64::MAX };
    let scavenged = store.scavenge(options).ended().await;
    assert_eq!(scavenged.state, ScavengeState::Done);
    assert!(scavenged.events_dropped > 50, "{scavenged:?}");

    let seen: Vec<_> = not_looked_at.try_collect().await.unwrap();
    let seen: Vec<_> = seen.iter().map(|event| event.revision.0).collect();
    assert_eq!(seen, (80..100).collect::<Vec<_>>());
    assert_eq!(first.revision, Revision(0));
    let seen: Vec<_> = under_way.try_collect().await.unwrap();
    let seen: Vec<_> = seen.iter().map(|event| event.revision.0).collect();
    let chunk = seen.iter().position(|revision| *revision == 80).unwrap() as u64;
    assert!(chunk < 40, "not all of it was fetched: {seen:?}");
    assert_eq!(seen, (1..=chunk).chain(80..100).collect::<Vec<_>>());
}
