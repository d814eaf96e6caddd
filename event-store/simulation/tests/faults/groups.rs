//! Streams and index streams that are read again, of which each segment's events are by then in
//! memory together.

use std::sync::Arc;

use daybook_event_store::{
    Direction, EmbeddedOptions, EmbeddedStore, EventStore, Expected, IndexStream, NewEvent,
    Recorded, Revision, ScavengeOptions, ScavengeState, StreamMetadata,
};
use futures::TryStreamExt;

use crate::given::{DIR, all, event, id, of_stream, stream, until};
use daybook_event_store_simulation::Disk;

const STREAMS: usize = 20;
/// Of each stream.
const LENGTH: usize = 80;
/// Bytes of an event: few lie together, and none is too large for a group.
const SIZE: usize = 3_500;

fn open(sim: &Disk) -> EmbeddedStore {
    let (segment_bytes, cache_bytes) = (4 << 20, 64 << 20);
    let options = EmbeddedOptions { segment_bytes, cache_bytes, ..Default::default() };
    EmbeddedStore::open_with(Arc::new(sim.clone()), DIR, &options).unwrap()
}

/// Streams that were written side by side over two segments, all of it in closed segments.
async fn filled() -> Disk {
    let sim = Disk::default();
    let store = open(&sim);
    for n in 0..LENGTH {
        let appends = (0..STREAMS).map(|at| {
            let data = vec![n.to_le_bytes()[0]; SIZE].into();
            let event = NewEvent { data, ..event(n * STREAMS + at) };
            let store = store.clone();
            async move { store.append(&stream(at), Expected::Any, vec![event]).await.unwrap() }
        });
        futures::future::join_all(appends).await;
    }
    begin_segment(&store, 0).await;
    store.close();
    assert!(sim.files("log").len() > 2);
    sim
}

/// Writes so much that what was written before is in closed segments.
async fn begin_segment(store: &EmbeddedStore, turn: usize) {
    for n in 0..5 {
        let id = id(1_000_000 + turn * 5 + n);
        let large = NewEvent { id, data: vec![1; 1_000_000].into(), ..event(n) };
        store.append(&"filler-1".parse().unwrap(), Expected::Any, vec![large]).await.unwrap();
    }
}

async fn from(store: &EmbeddedStore, first: u64, direction: Direction) -> Vec<Recorded> {
    store.read(&stream(3), Revision(first), direction).try_collect().await.unwrap()
}

async fn of_type(store: &EmbeddedStore, first: u64) -> Vec<Recorded> {
    let odd = IndexStream::EventType("Odd".into());
    let listed = store.read_index(&odd, Revision(first), Direction::Forward);
    let listed: Vec<_> = listed.try_collect().await.unwrap();
    assert!(listed.iter().zip(first..).all(|(listed, n)| listed.ordinal == Revision(n)));
    listed.into_iter().map(|listed| listed.event).collect()
}

#[tokio::test]
async fn a_stream_that_is_read_again_is_read_from_memory() {
    let sim = filled().await;
    let store = open(&sim);
    let first_time = of_stream(&store, &stream(3)).await;
    assert_eq!(first_time.len(), LENGTH);
    assert_eq!(of_stream(&store, &stream(3)).await, first_time);

    for log in &sim.files("log") {
        sim.overwrite(log, vec![0; sim.contents(log).len()]);
    }

    assert_eq!(of_stream(&store, &stream(3)).await, first_time);
    for first in [0, 1, 15, 63, 64, 70, 79] {
        let at = usize::try_from(first).unwrap();
        assert_eq!(from(&store, first, Direction::Forward).await, first_time[at..]);
        let mut until = first_time[..=at].to_vec();
        until.reverse();
        assert_eq!(from(&store, first, Direction::Backward).await, until);
    }
}

#[tokio::test]
async fn what_comes_after_a_group_is_found_whatever_becomes_of_it() {
    let sim = filled().await;
    let store = open(&sim);
    let mut known = of_stream(&store, &stream(3)).await;
    for turn in 1..4 {
        assert_eq!(of_stream(&store, &stream(3)).await, known);
        let sealed = sim.files("idx").len();

        store.append(&stream(3), Expected::Any, vec![event(3_000_000 + turn)]).await.unwrap();

        let longer = of_stream(&store, &stream(3)).await;
        assert_eq!((&longer[..known.len()], longer.len()), (&*known, LENGTH + turn));
        begin_segment(&store, turn).await;
        until(|| sim.files("idx").len() > sealed);
        for _ in 0..3 {
            assert_eq!(of_stream(&store, &stream(3)).await, longer);
            let mut backward = from(&store, u64::MAX, Direction::Backward).await;
            backward.reverse();
            assert_eq!(backward, longer);
        }
        known = longer;
    }
}

#[tokio::test]
async fn an_index_stream_reads_the_same_again_and_again() {
    let sim = filled().await;
    let store = open(&sim);
    let mut odd = all(&store).await;
    odd.retain(|event| &*event.kind == "Odd");
    for first in [0, 1, 64, 700] {
        for _ in 0..3 {
            let rest = &odd[usize::try_from(first).unwrap()..];
            assert_eq!(of_type(&store, first).await, rest);
        }
    }
}

#[tokio::test]
async fn what_was_scavenged_does_not_come_back() {
    let sim = filled().await;
    let store = open(&sim);
    let before = of_stream(&store, &stream(3)).await;
    assert_eq!(of_stream(&store, &stream(3)).await, before);
    let say = async |truncate_before: Option<u64>, n: usize| {
        let truncate_before = truncate_before.map(Revision);
        let metadata = StreamMetadata { truncate_before, ..Default::default() };
        let (stream, id) = (stream(3), id(2_000_000 + n));
        store.set_metadata(&stream, Expected::Any, &metadata, id).await.unwrap();
    };

    say(Some(70), 1).await;
    assert_eq!(of_stream(&store, &stream(3)).await, before[70..]);
    let scavenge = store.scavenge(ScavengeOptions::default());
    until(|| scavenge.progress().state != ScavengeState::Running);
    assert_eq!(scavenge.progress().state, ScavengeState::Done);
    say(None, 2).await;

    for _ in 0..3 {
        let left = of_stream(&store, &stream(3)).await;
        assert_eq!(left, before[70..], "the others are gone from the disk");
    }
}
