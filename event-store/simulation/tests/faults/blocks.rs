//! Records of all sizes, read one by one and in blocks, from the cache and past it.

use std::sync::Arc;

use daybook_event_store::{
    Direction, EmbeddedOptions, EmbeddedStore, EventStore, Expected, Filter, NewEvent, ReadError,
    Recorded, Revision,
};
use futures::{StreamExt, TryStreamExt};

use crate::given::{DIR, all, event, id, of_stream, stream, streams_agree};
use daybook_event_store_simulation::Disk;

/// Nothing to speak of, less than a block, a block's bytes, several blocks', and more than what is
/// cached.
const SIZES: [usize; 7] = [0, 300, 16_384, 1_000, 70_000, 40, 300_000];
const EVENTS: usize = 700;

fn sized(n: usize) -> NewEvent {
    let data = vec![n.to_le_bytes()[0]; SIZES[n / 3 % SIZES.len()]].into();
    NewEvent { data, ..event(n) }
}

fn open(sim: &Disk, cache_bytes: u64) -> EmbeddedStore {
    let options = EmbeddedOptions { segment_bytes: 6 << 20, cache_bytes, ..Default::default() };
    EmbeddedStore::open_with(Arc::new(sim.clone()), DIR, &options).unwrap()
}

/// Streams of records of all sizes, some of a frame, in several segments.
async fn filled() -> Disk {
    let sim = Disk::default();
    let store = open(&sim, 1 << 20);
    for n in (0..EVENTS).step_by(7) {
        let events = (n..n + 7).map(sized).collect();
        store.append(&stream(n / 7 % 3), Expected::Any, events).await.unwrap();
    }
    assert!(sim.files("log").len() > 3);
    sim
}

async fn backward(store: &EmbeddedStore, n: usize) -> Vec<Recorded> {
    store.read(&stream(n), Revision::END, Direction::Backward).try_collect().await.unwrap()
}

#[tokio::test]
async fn records_of_all_sizes_read_the_same_from_the_cache_and_past_it() {
    let sim = filled().await;
    for cache_bytes in [0, 1 << 20, 1 << 30] {
        let store = open(&sim, cache_bytes);
        for _ in 0..2 {
            let events = all(&store).await;
            assert_eq!(events.len(), EVENTS);
            for (n, stored) in events.iter().enumerate() {
                let NewEvent { id, data, metadata, .. } = sized(n);
                assert_eq!((stored.id, &stored.data, &stored.metadata), (id, &data, &metadata));
            }
            streams_agree(&store, &events).await;
            for n in 0..3 {
                let mut reversed = of_stream(&store, &stream(n)).await;
                reversed.reverse();
                assert_eq!(backward(&store, n).await, reversed);
            }
        }
    }
}

#[tokio::test]
async fn a_scan_begins_anywhere() {
    let sim = filled().await;
    let store = open(&sim, 4 << 20);
    let events = all(&store).await;
    for after in (0..EVENTS).step_by(11) {
        let filter = Filter::kinds(&["Even"]);
        let rest = store.read_all(Some(events[after].position), filter.clone());
        let rest: Vec<_> = rest.try_collect().await.unwrap();
        let mut expected = events[after + 1..].to_vec();
        expected.retain(|event| filter.matches(event.stream.as_str(), &event.kind));
        assert_eq!(rest, expected);
    }
}

/// Events of all sizes, one of five and one of thirteen of them of other types than the rest.
fn typed(n: usize) -> NewEvent {
    let kind = if n.is_multiple_of(13) {
        "Thirteenth"
    } else if n.is_multiple_of(5) {
        "Fifth"
    } else {
        "Other"
    };
    NewEvent { kind: kind.into(), ..sized(n) }
}

#[tokio::test]
async fn events_that_are_looked_up_are_those_that_a_filter_lets_through() {
    let sim = Disk::default();
    let store = open(&sim, 1 << 20);
    for n in 0..2_000 {
        store.append(&stream(n % 3), Expected::Any, vec![typed(n)]).await.unwrap();
    }
    drop(store);
    for cache_bytes in [0, 1 << 30] {
        let store = open(&sim, cache_bytes);
        let events = all(&store).await;
        // So that blocks that lack a large record are cached, too.
        for _ in 0..3 {
            streams_agree(&store, &events).await;
        }
        for kinds in [&["Fifth"][..], &["Thirteenth"], &["Fifth", "Thirteenth"], &["None"]] {
            let filter = Filter::kinds(kinds);
            for after in [0, 500, 1_234, 1_999] {
                let rest = store.read_all(Some(events[after].position), filter.clone());
                let rest: Vec<_> = rest.try_collect().await.unwrap();
                let mut expected = events[after + 1..].to_vec();
                expected.retain(|event| kinds.contains(&&*event.kind));
                assert_eq!(rest, expected, "{kinds:?} after {after}");
            }
        }
    }
}

/// Two hundred events in a closed segment, of which one is damaged, and some after it.
async fn damaged(n: usize) -> Disk {
    let sim = Disk::default();
    let store = open(&sim, 1 << 20);
    for n in 0..200 {
        let kind = if n % 10 == 0 { "Tenth" } else { "Other" }.into();
        let event = NewEvent { kind, ..event(n) };
        store.append(&stream(n), Expected::Any, vec![event]).await.unwrap();
    }
    store.close();
    // So that the first segment is closed.
    let store = open(&sim, 1 << 20);
    for n in 200..260 {
        let large = NewEvent { data: vec![1; 200_000].into(), ..event(n) };
        store.append(&stream(n), Expected::Any, vec![large]).await.unwrap();
    }
    store.close();
    let log = &sim.files("log")[0];
    let mut bytes = sim.contents(log);
    let at = bytes.windows(16).position(|bytes| bytes == id(n).as_bytes()).unwrap();
    bytes[at] ^= 1;
    sim.overwrite(log, bytes);
    sim
}

#[tokio::test]
async fn a_scan_that_looks_events_up_meets_the_damage_in_these_alone() {
    let tenth = async |sim: &Disk| {
        let read = open(sim, 1 << 20).read_all(None, Filter::kinds(&["Tenth"]));
        read.collect::<Vec<_>>().await
    };

    let between = tenth(&damaged(101).await).await;
    assert!(between.len() == 20 && between.iter().all(Result::is_ok));

    let among = tenth(&damaged(100).await).await;
    let (last, before) = among.split_last().unwrap();
    assert!(matches!(last, Err(ReadError::Damaged { .. })));
    assert!(before.len() == 10 && before.iter().all(Result::is_ok), "all before it are read");
}

#[tokio::test]
async fn damage_hides_no_other_record_of_its_block() {
    let sim = damaged(100).await;

    let store = open(&sim, 1 << 20);

    for n in (0..200).filter(|n| *n != 100) {
        assert_eq!(of_stream(&store, &stream(n)).await[0].id, id(n));
    }
    let damaged = store.read(&stream(100), Revision::START, Direction::Forward).next().await;
    assert!(matches!(damaged, Some(Err(ReadError::Damaged { .. }))));
    let read: Vec<_> = store.read_all(None, Filter::all()).collect().await;
    let (last, before) = read.split_last().unwrap();
    assert!(matches!(last, Err(ReadError::Damaged { .. })));
    assert!(before.len() == 100 && before.iter().all(Result::is_ok), "all before it are read");
}
