use std::num::NonZeroU64;
use std::time::Duration;

use daybook_event_store::{
    Direction, EventStore, Expected, Filter, NewEvent, Position, Recorded, Revision, StreamId,
    StreamMetadata, Tailed,
};
use futures::{Stream, StreamExt, TryStreamExt};
use uuid::Uuid;

/// A category that no other rule uses.
pub(crate) fn category(name: &str) -> String {
    format!("{name}{}", Uuid::now_v7().simple())
}

/// A stream of a category of its own.
pub(crate) fn stream() -> StreamId {
    in_category(&category("contract"), 1)
}

pub(crate) fn in_category(category: &str, id: usize) -> StreamId {
    StreamId::new(category, id).unwrap()
}

pub(crate) fn event(kind: &str) -> NewEvent {
    NewEvent {
        id: Uuid::now_v7(),
        kind: kind.into(),
        data: format!("{{\"of\":\"{kind}\"}}").into(),
        metadata: "{}".into(),
        is_json: true,
    }
}

pub(crate) fn events(count: usize) -> Vec<NewEvent> {
    (0..count).map(|n| event(&format!("Numbered{n}"))).collect()
}

/// Appends so many events one at a time.
pub(crate) async fn history<S: EventStore>(
    store: &S,
    stream: &StreamId,
    count: usize,
) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for event in events(count) {
        ids.push(event.id);
        store.append(stream, Expected::Any, vec![event]).await.unwrap();
    }
    ids
}

/// Metadata with a count of events.
pub(crate) fn count(most: u64) -> StreamMetadata {
    StreamMetadata { max_count: NonZeroU64::new(most), ..StreamMetadata::default() }
}

/// Metadata with an age in seconds.
pub(crate) fn age(most: u64) -> StreamMetadata {
    StreamMetadata { max_age: NonZeroU64::new(most), ..StreamMetadata::default() }
}

/// Metadata with a first revision.
pub(crate) fn truncation(before: u64) -> StreamMetadata {
    StreamMetadata { truncate_before: Some(Revision(before)), ..StreamMetadata::default() }
}

pub(crate) fn metadata_event(metadata: &StreamMetadata) -> NewEvent {
    NewEvent { data: metadata.encode().into(), ..event(StreamMetadata::KIND) }
}

/// Says something of a stream as a whole.
pub(crate) async fn describe<S: EventStore>(
    store: &S,
    stream: &StreamId,
    metadata: &StreamMetadata,
) {
    store.set_metadata(stream, Expected::Any, metadata, Uuid::now_v7()).await.unwrap();
}

pub(crate) async fn head<S: EventStore>(store: &S) -> Option<Position> {
    store.head().await.unwrap()
}

pub(crate) async fn read<S: EventStore>(store: &S, stream: &StreamId) -> Vec<Recorded> {
    all(store.read(stream, Revision::START, Direction::Forward)).await
}

pub(crate) async fn read_all<S: EventStore>(
    store: &S,
    after: Option<Position>,
    filter: Filter,
) -> Vec<Recorded> {
    all(store.read_all(after, filter)).await
}

pub(crate) async fn all<E: std::fmt::Debug>(
    events: impl Stream<Item = Result<Recorded, E>>,
) -> Vec<Recorded> {
    within(events.try_collect::<Vec<_>>()).await.unwrap()
}

/// Fails where something that must come does not.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), future).await.expect("did not come")
}

/// What a tail delivers next.
pub(crate) async fn next<E: std::fmt::Debug>(
    tail: &mut (impl Stream<Item = Result<Tailed, E>> + Unpin),
) -> Tailed {
    within(tail.next()).await.expect("the tail ended").unwrap()
}

/// The next so many events of a tail.
pub(crate) async fn next_events<E: std::fmt::Debug>(
    tail: &mut (impl Stream<Item = Result<Tailed, E>> + Unpin),
    count: usize,
) -> Vec<Recorded> {
    let mut events = Vec::new();
    while events.len() < count {
        if let Tailed::Event(event) = next(tail).await {
            events.push(event);
        }
    }
    events
}

/// The events of a tail until it says that it has caught up with a position.
pub(crate) async fn until_caught_up<E: std::fmt::Debug>(
    tail: &mut (impl Stream<Item = Result<Tailed, E>> + Unpin),
    with: Position,
) -> Vec<Recorded> {
    let mut events = Vec::new();
    loop {
        match next(tail).await {
            Tailed::Event(event) => events.push(event),
            Tailed::CaughtUp(position) if position >= with => return events,
            Tailed::CaughtUp(_) => {}
        }
    }
}

pub(crate) fn ids(events: &[Recorded]) -> Vec<Uuid> {
    events.iter().map(|event| event.id).collect()
}

pub(crate) fn revisions(events: &[Recorded]) -> Vec<u64> {
    events.iter().map(|event| event.revision.0).collect()
}
