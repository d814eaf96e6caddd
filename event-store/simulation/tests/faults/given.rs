use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_event_store::{
    Direction, EmbeddedOptions, EmbeddedStore, EventStore, Expected, Filter, NewEvent, OpenError,
    Recorded, RecordedEvent, Revision, StreamId,
};
use futures::TryStreamExt;
use uuid::Uuid;

use daybook_event_store_simulation::Disk;

pub(crate) const DIR: &str = "/events";

/// Small segments, so that a few events fill several.
pub(crate) fn options() -> EmbeddedOptions {
    EmbeddedOptions { segment_bytes: 4_096, cache_bytes: 100_000, ..Default::default() }
}

pub(crate) fn try_open(sim: &Disk) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open_with(Arc::new(sim.clone()), DIR, &options())
}

#[track_caller]
pub(crate) fn open(sim: &Disk) -> EmbeddedStore {
    try_open(sim).unwrap()
}

pub(crate) fn stream(n: usize) -> StreamId {
    StreamId::new("order", n).unwrap()
}

/// The same event for the same number.
pub(crate) fn event(n: usize) -> NewEvent {
    NewEvent {
        id: id(n),
        kind: if n.is_multiple_of(2) { "Even" } else { "Odd" }.into(),
        data: format!("{n}-").repeat(40 + n % 90).into(),
        metadata: format!("about {n}").into(),
        is_json: n.is_multiple_of(2),
    }
}

pub(crate) fn id(n: usize) -> Uuid {
    Uuid::from_u128(u128::try_from(n).unwrap() + 1)
}

/// Appends the events of some numbers one at a time, over three streams.
pub(crate) async fn history(store: &EmbeddedStore, numbers: std::ops::Range<usize>) {
    for n in numbers {
        store.append(&stream(n % 3), Expected::Any, vec![event(n)]).await.unwrap();
    }
}

pub(crate) async fn all(store: &EmbeddedStore) -> Vec<Recorded> {
    store.read_all(None, Filter::all()).try_collect().await.unwrap()
}

pub(crate) async fn of_stream(store: &EmbeddedStore, stream: &StreamId) -> Vec<Recorded> {
    store.read(stream, Revision::START, Direction::Forward).try_collect().await.unwrap()
}

/// Checks that the store holds the events of the first numbers, byte by byte, and that its
/// streams, positions, revisions and times agree.
pub(crate) async fn holds(store: &EmbeddedStore, count: usize) {
    let events = all(store).await;
    assert_eq!(events.len(), count);
    for (n, stored) in events.iter().enumerate() {
        let NewEvent { id, kind, data, metadata, is_json } = event(n);
        let given = (n as u64, &id, &kind, &data, &metadata, &is_json);
        let RecordedEvent { position, id, kind, data, metadata, is_json, .. } = &**stored;
        assert_eq!((position.0, id, kind, data, metadata, is_json), given);
    }
    assert!(events.windows(2).all(|pair| pair[0].recorded_at <= pair[1].recorded_at));
    streams_agree(store, &events).await;
}

/// Checks that the streams together are all events, with contiguous revisions.
pub(crate) async fn streams_agree(store: &EmbeddedStore, events: &[Recorded]) {
    let mut streams: Vec<_> = events.iter().map(|event| event.stream.clone()).collect();
    streams.sort_unstable();
    streams.dedup();
    for stream in streams {
        let stored = of_stream(store, &stream).await;
        let expected: Vec<_> =
            events.iter().filter(|event| event.stream == stream).cloned().collect();
        assert_eq!(stored, expected);
        assert!(stored.iter().zip(0..).all(|(event, n)| event.revision == Revision(n)));
    }
}

/// Where the last frame of a segment ends, before the zeros that are prepared for others. It has
/// events.
pub(crate) fn written(segment: &[u8]) -> usize {
    let last = segment.iter().rposition(|byte| *byte != 0);
    last.map_or(0, |last| last + 1).next_multiple_of(8)
}

/// Waits for what comes about in the background.
#[track_caller]
pub(crate) fn until(holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_mins(1), "it never came about");
        std::thread::sleep(Duration::from_millis(1));
    }
}
