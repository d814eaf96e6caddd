//! Salvaged events loaded into a store.

#![expect(clippy::unwrap_used, reason = "a test fails where what must be there is not")]

use daybook_event_store::{
    AppendError, Appended, CopyError, Direction, EventStore, Expected, Filter, Gaps, Loaded,
    Loading, MemoryStore, NewEvent, Position, Recorded, RecordedEvent, Revision, StreamId,
    StreamMetadata,
};
use futures::TryStreamExt;
use uuid::Uuid;

fn stream(name: &str) -> StreamId {
    name.parse().unwrap()
}

fn event(n: u64) -> NewEvent {
    NewEvent {
        id: Uuid::from_u128(n.into()),
        kind: "Happened".into(),
        data: vec![b'x'; 2_000].into(),
        metadata: n.to_string().into(),
        is_json: n.is_multiple_of(2),
    }
}

/// An event as it stood in another store.
fn recorded(name: &str, revision: u64, n: u64) -> RecordedEvent {
    let NewEvent { id, kind, data, metadata, is_json } = event(n);
    RecordedEvent {
        stream: stream(name),
        revision: Revision(revision),
        position: Position(n),
        recorded_at: 0,
        id,
        kind,
        data,
        metadata,
        is_json,
    }
}

/// Events of two streams, some of them one after another.
fn history() -> Vec<RecordedEvent> {
    let of = |n: u64| if n % 7 < 4 { "order-1" } else { "order-2" };
    let mut revisions = std::collections::HashMap::<_, u64>::new();
    let event = |n: u64| {
        let revision = revisions.entry(of(n)).or_default();
        *revision += 1;
        recorded(of(n), *revision - 1, n)
    };
    (0..60).map(event).collect()
}

async fn load<S: EventStore>(
    store: &S,
    events: impl IntoIterator<Item = RecordedEvent>,
    gaps: Gaps,
) -> Result<Loaded, CopyError> {
    let mut loading = Loading::begin(store, gaps).await.unwrap();
    for event in events {
        loading.push(event, false).await?;
    }
    loading.finish().await
}

async fn all<S: EventStore>(store: &S) -> Vec<RecordedEvent> {
    let events = store.read_all(None, Filter::all());
    let timeless = |event: Recorded| RecordedEvent { recorded_at: 0, ..(*event).clone() };
    events.map_ok(timeless).try_collect().await.unwrap()
}

async fn of_stream<S: EventStore>(store: &S, name: &str) -> Vec<Recorded> {
    let read = store.read(&stream(name), Revision::START, Direction::Forward);
    read.try_collect().await.unwrap()
}

#[tokio::test]
async fn events_are_as_they_were_and_are_loaded_once() {
    let store = MemoryStore::default();

    let first = load(&store, history(), Gaps::Refuse).await.unwrap();
    let again = load(&store, history(), Gaps::Refuse).await.unwrap();

    assert_eq!(first, Loaded { events: 60, ..Loaded::default() });
    assert_eq!(again, Loaded { events: 60, known: 60, ..Loaded::default() });
    assert_eq!(all(&store).await, history());
}

#[tokio::test]
async fn what_was_cut_short_anywhere_is_completed() {
    for cut in 0..60 {
        let store = MemoryStore::default();
        load(&store, history().into_iter().take(cut), Gaps::Refuse).await.unwrap();

        let loaded = load(&store, history(), Gaps::Refuse).await.unwrap();

        assert_eq!((loaded.events, loaded.known), (60, cut as u64));
        assert_eq!(all(&store).await, history());
    }
}

#[tokio::test]
async fn streams_stay_bounded_deleted_and_ended() {
    let source = MemoryStore::default();
    load(&source, history(), Gaps::Refuse).await.unwrap();
    let said = StreamMetadata::decode(br#"{"$maxCount":3,"owner":"me"}"#).unwrap();
    source.set_metadata(&stream("order-1"), Expected::Any, &said, Uuid::max()).await.unwrap();
    source.delete(&stream("order-2"), Expected::Any).await.unwrap();
    source.append(&stream("order-2"), Expected::NoStream, vec![event(900)]).await.unwrap();
    source.append(&stream("order-3"), Expected::NoStream, vec![event(901)]).await.unwrap();
    source.tombstone(&stream("order-3"), Expected::Any).await.unwrap();
    let store = MemoryStore::default();

    for known in [false, true] {
        let loaded = load(&store, all(&source).await, Gaps::Refuse).await.unwrap();

        assert_eq!(loaded.known > 0, known);
        for name in ["order-1", "order-2"] {
            let shown = |events: Vec<Recorded>| -> Vec<_> {
                events.into_iter().map(|event| (event.revision, event.id)).collect()
            };
            assert_eq!(
                shown(of_stream(&store, name).await),
                shown(of_stream(&source, name).await),
                "{name}"
            );
        }
        assert_eq!(store.metadata(&stream("order-1")).await.unwrap().unwrap().0, said);
        let ended = store.append(&stream("order-3"), Expected::Any, vec![event(902)]).await;
        assert!(matches!(ended, Err(AppendError::Deleted { .. })), "{ended:?}");
    }
}

#[tokio::test]
async fn a_gap_is_refused_unless_one_says_what_to_do() {
    let missing = [Revision(3), Revision(4)];
    let is_there = |event: &RecordedEvent| {
        event.stream.as_str() != "order-1" || !missing.contains(&event.revision)
    };
    let salvaged: Vec<_> = history().into_iter().filter(is_there).collect();
    let of_order_1 = history().iter().filter(|e| e.stream.as_str() == "order-1").count() as u64;

    let store = MemoryStore::default();
    let refused = load(&store, salvaged.clone(), Gaps::Refuse).await.unwrap_err();
    let gap = CopyError::Gap { stream: stream("order-1"), revision: Revision(5), count: 2 };
    assert_eq!(refused, gap);

    for _ in 0..2 {
        let filled = load(&store, salvaged.clone(), Gaps::Fill).await.unwrap();
        assert_eq!((filled.events, filled.left_out), (58, 0));
        let order = of_stream(&store, "order-1").await;
        assert_eq!(order.len() as u64, of_order_1);
        for (event, n) in order.iter().zip(0..) {
            assert_eq!(event.revision, Revision(n));
            assert_eq!(*event.kind == *"$gap", missing.contains(&event.revision));
        }
    }

    let store = MemoryStore::default();
    let left_out = load(&store, salvaged, Gaps::LeaveOut).await.unwrap();
    assert_eq!(left_out.left_out, of_order_1 - 5);
    assert_eq!(of_stream(&store, "order-1").await.len(), 3);
    assert_eq!(of_stream(&store, "order-2").await.len() as u64, 60 - of_order_1);
}

#[tokio::test]
async fn what_a_backup_has_is_no_gap() {
    let store = MemoryStore::default();
    load(&store, history().into_iter().take(30), Gaps::Refuse).await.unwrap();
    let salvaged = history().into_iter().filter(|event| event.position.0 % 25 != 3);

    let loaded = load(&store, salvaged.clone(), Gaps::Refuse).await;

    // Position 53 is lost for good.
    assert!(matches!(loaded, Err(CopyError::Gap { count: 1, .. })), "{loaded:?}");
    let loaded = load(&store, salvaged, Gaps::Fill).await.unwrap();
    assert_eq!((loaded.events, loaded.gaps), (57, 1));
    let there = all(&store).await;
    assert!(history().iter().filter(|e| e.position.0 < 53).all(|event| there.contains(event)));
}

#[tokio::test]
async fn a_scavenged_event_is_a_placeholder_that_is_known_by_its_id() {
    let store = MemoryStore::default();
    let mut loading = Loading::begin(&store, Gaps::Refuse).await.unwrap();
    loading.push(recorded("order-1", 0, 1), true).await.unwrap();
    loading.push(recorded("order-1", 1, 2), false).await.unwrap();
    loading.finish().await.unwrap();

    let again = store.append(&stream("order-1"), Expected::NoStream, vec![event(1)]).await;

    let place = Appended { revision: Revision(0), position: Position(0) };
    assert_eq!(again, Ok(place));
    let events = of_stream(&store, "order-1").await;
    assert_eq!((&*events[0].kind, events[0].data.len()), ("$gap", 0));
    assert_eq!((&*events[1].kind, events[1].data.len()), ("Happened", 2_000));
}

#[tokio::test]
async fn an_id_that_comes_twice_in_a_stream_is_refused() {
    for between in [0, 1] {
        let store = MemoryStore::default();
        let between = (0..between).map(|n| recorded("order-2", n, 7));
        let twice = [recorded("order-1", 0, 1)].into_iter().chain(between);
        let twice = twice.chain([recorded("order-1", 1, 1)]);

        let refused = load(&store, twice, Gaps::Fill).await;

        let differs =
            |error: &CopyError| matches!(error, CopyError::Differs { revision: Revision(1), .. });
        assert!(refused.as_ref().is_err_and(differs), "{refused:?}");
        assert_eq!(of_stream(&store, "order-1").await.len(), 1);
    }
}

#[tokio::test]
async fn other_events_are_left_as_they_are() {
    let store = MemoryStore::default();
    store.append(&stream("order-1"), Expected::NoStream, vec![event(999)]).await.unwrap();

    let refused = load(&store, history(), Gaps::Fill).await;

    assert!(matches!(refused, Err(CopyError::Differs { .. })), "{refused:?}");
    assert_eq!(all(&store).await.len(), 1);
}

#[tokio::test]
async fn an_event_over_the_stores_limits_is_named() {
    let store = MemoryStore::default();
    let large = RecordedEvent { data: vec![0; 2 << 20].into(), ..recorded("order-1", 0, 1) };

    let refused = load(&store, [large], Gaps::Refuse).await.unwrap_err();

    let told = refused.to_string();
    assert!(told.contains("order-1") && told.contains("bytes of an event"), "{told}");
}
