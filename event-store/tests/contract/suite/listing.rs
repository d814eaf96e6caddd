use daybook_event_store::{
    Direction, EventStore, Expected, Filter, IndexStream, Listed, Recorded, Revision,
};
use futures::{Stream, StreamExt, TryStreamExt};

use super::given::{category, event, events, head, in_category, read_all, within};

async fn listed<E: std::fmt::Debug>(items: impl Stream<Item = Result<Listed, E>>) -> Vec<Listed> {
    within(items.try_collect::<Vec<_>>()).await.unwrap()
}

async fn forward<S: EventStore>(store: &S, index: &IndexStream) -> Vec<Listed> {
    listed(store.read_index(index, Revision::START, Direction::Forward)).await
}

fn of_category(category: &str) -> IndexStream {
    IndexStream::Category(category.into())
}

fn of_type(kind: &str) -> IndexStream {
    IndexStream::EventType(kind.into())
}

fn numbered(events: Vec<Recorded>) -> Vec<Listed> {
    let listed = |(ordinal, event)| Listed { ordinal: Revision(ordinal), event };
    (0..).zip(events).map(listed).collect()
}

/// Appends so many events over seven streams of a category, of three types that nobody else uses.
async fn spread<S: EventStore>(store: &S, category: &str, count: usize) {
    for n in 0..count {
        let event = event(&format!("{category}{}", n % 3));
        store.append(&in_category(category, n % 7), Expected::Any, vec![event]).await.unwrap();
    }
}

pub(crate) async fn an_unknown_index_reads_as_empty<S: EventStore>(store: S) {
    spread(&store, &category("known"), 3).await;

    for index in [of_category(&category("unknown")), of_type(&category("Unknown"))] {
        for direction in [Direction::Forward, Direction::Backward] {
            for from in [Revision::START, Revision(5), Revision::END] {
                assert_eq!(listed(store.read_index(&index, from, direction)).await, []);
            }
        }
    }
}

pub(crate) async fn an_index_is_its_events_in_the_order_of_the_store<S: EventStore>(store: S) {
    let before = head(&store).await;
    let (one, other) = (category("one"), category("other"));
    for _ in 0..4 {
        spread(&store, &one, 10).await;
        spread(&store, &other, 5).await;
    }

    for category in [&one, &other] {
        let events = read_all(&store, before, Filter::categories(&[category])).await;
        assert_eq!(forward(&store, &of_category(category)).await, numbered(events));
        for n in 0..3 {
            let kind = format!("{category}{n}");
            let events = read_all(&store, before, Filter::kinds(&[&kind])).await;
            assert_eq!(forward(&store, &of_type(&kind)).await, numbered(events));
        }
    }
}

pub(crate) async fn an_index_reads_both_ways_from_an_ordinal<S: EventStore>(store: S) {
    let category = category("ordinals");
    spread(&store, &category, 24).await;

    for (index, length) in [(of_category(&category), 24), (of_type(&format!("{category}1")), 8)] {
        let all = forward(&store, &index).await;
        assert_eq!(all.len(), length);
        for from in 0..length + 2 {
            let at = Revision(from as u64);
            let rest = listed(store.read_index(&index, at, Direction::Forward)).await;
            assert_eq!(rest, all[from.min(length)..]);
            let mut back = listed(store.read_index(&index, at, Direction::Backward)).await;
            back.reverse();
            assert_eq!(back, all[..length.min(from + 1)]);
        }
        let end = listed(store.read_index(&index, Revision::END, Direction::Forward)).await;
        assert_eq!(end, []);
        let back = listed(store.read_index(&index, Revision::END, Direction::Backward)).await;
        assert!(back.iter().eq(all.iter().rev()));
    }
}

pub(crate) async fn a_long_index_reads_whole_both_ways<S: EventStore>(store: S) {
    let category = category("long");
    for n in 0..30 {
        store.append(&in_category(&category, n % 4), Expected::Any, events(99)).await.unwrap();
    }
    let index = of_category(&category);

    let mut all = forward(&store, &index).await;
    assert!(all.iter().map(|listed| listed.ordinal.0).eq(0..2_970));
    let middle = listed(store.read_index(&index, Revision(1_500), Direction::Forward)).await;
    assert_eq!(middle, all[1_500..]);
    let back = listed(store.read_index(&index, Revision(1_500), Direction::Backward)).await;
    assert!(back.iter().eq(all[..=1_500].iter().rev()));

    all.reverse();
    assert_eq!(listed(store.read_index(&index, Revision::END, Direction::Backward)).await, all);
}

pub(crate) async fn an_index_read_stands_still_while_events_come<S: EventStore>(store: S) {
    let category = category("still");
    spread(&store, &category, 40).await;
    let index = of_category(&category);

    let mut reading = store.read_index(&index, Revision::START, Direction::Forward).boxed();
    let first = within(reading.next()).await.unwrap().unwrap();
    spread(&store, &category, 40).await;
    let rest = listed(reading).await;

    assert_eq!(first.ordinal, Revision(0));
    assert!(rest.iter().map(|listed| listed.ordinal.0).eq(1..40));
    assert_eq!(forward(&store, &index).await.len(), 80);
}

pub(crate) async fn indexes_are_told_apart_from_each_other_and_from_streams<S: EventStore>(
    store: S,
) {
    let category = category("apart");
    let types = [category.clone(), format!("{category}s"), format!("{category}-1")];
    for (n, kind) in types.iter().enumerate() {
        let stream = in_category(&types[n % 2], n);
        store.append(&stream, Expected::Any, vec![event(kind)]).await.unwrap();
    }

    assert_eq!(forward(&store, &of_category(&category)).await.len(), 2);
    assert_eq!(forward(&store, &of_category(&types[1])).await.len(), 1);
    for kind in &types {
        let listed = forward(&store, &of_type(kind)).await;
        assert!(listed.len() == 1 && *listed[0].event.kind == **kind);
    }
    for index in [of_category(&category), of_type(&category)] {
        let stream = index.to_string().parse().unwrap();
        let events = store.read(&stream, Revision::START, Direction::Forward);
        assert_eq!(within(events.count()).await, 0, "{stream} is no stream");
    }
}
