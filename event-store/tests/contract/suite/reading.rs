use daybook_event_store::{Direction, EventStore, Expected, Filter, Position, Recorded, Revision};
use futures::StreamExt;

use super::given::{
    all, category, event, events, head, history, ids, in_category, read, read_all, revisions,
    stream, within,
};

pub(crate) async fn an_unknown_stream_reads_as_empty<S: EventStore>(store: S) {
    history(&store, &stream(), 3).await;
    let unknown = stream();

    for direction in [Direction::Forward, Direction::Backward] {
        for from in [Revision::START, Revision(5), Revision::END] {
            assert_eq!(all(store.read(&unknown, from, direction)).await, []);
        }
    }
}

pub(crate) async fn a_stream_reads_forward_from_a_revision<S: EventStore>(store: S) {
    let stream = stream();
    let written = history(&store, &stream, 5).await;

    for from in 0..7 {
        let events = all(store.read(&stream, Revision(from as u64), Direction::Forward)).await;
        assert_eq!(ids(&events), written[from.min(5)..]);
    }
    assert_eq!(all(store.read(&stream, Revision::END, Direction::Forward)).await, []);
}

pub(crate) async fn a_stream_reads_backward_from_a_revision_and_from_the_end<S: EventStore>(
    store: S,
) {
    let stream = stream();
    let mut written = history(&store, &stream, 5).await;
    written.reverse();

    for from in 0..7 {
        let events = all(store.read(&stream, Revision(from), Direction::Backward)).await;
        assert_eq!(ids(&events), written[4 - usize::try_from(from.min(4)).unwrap()..]);
    }
    let events = all(store.read(&stream, Revision::END, Direction::Backward)).await;
    assert_eq!(ids(&events), written);
    assert_eq!(revisions(&events), [4, 3, 2, 1, 0]);
}

pub(crate) async fn a_long_stream_reads_whole_both_ways<S: EventStore>(store: S) {
    let (stream, other) = (stream(), stream());
    for _ in 0..30 {
        store.append(&stream, Expected::Any, events(99)).await.unwrap();
        store.append(&other, Expected::Any, events(11)).await.unwrap();
    }

    let mut forward = read(&store, &stream).await;
    assert_eq!(revisions(&forward), (0..2_970).collect::<Vec<u64>>());
    assert_eq!(read(&store, &other).await.len(), 330);

    forward.reverse();
    assert_eq!(all(store.read(&stream, Revision::END, Direction::Backward)).await, forward);
    let middle = all(store.read(&stream, Revision(1_500), Direction::Backward)).await;
    assert_eq!(middle, forward[2_969 - 1_500..]);
}

pub(crate) async fn a_read_stands_still_while_events_come<S: EventStore>(store: S) {
    let stream = stream();
    store.append(&stream, Expected::Any, events(150)).await.unwrap();

    let mut forward = store.read(&stream, Revision::START, Direction::Forward).boxed();
    let first = within(forward.next()).await.unwrap().unwrap();
    store.append(&stream, Expected::Any, events(150)).await.unwrap();
    let rest = all(forward).await;

    assert_eq!(first.revision, Revision(0));
    assert_eq!(revisions(&rest), (1..150).collect::<Vec<u64>>());
}

pub(crate) async fn streams_are_told_apart<S: EventStore>(store: S) {
    let category = category("apart");
    let names: Vec<_> = ["a", "b", "ab", "a-b", "A", "ä"]
        .iter()
        .map(|id| format!("{category}-{id}").parse().unwrap())
        .collect();
    for name in &names {
        history(&store, name, 2).await;
    }
    for name in &names {
        let events = read(&store, name).await;
        assert_eq!(revisions(&events), [0, 1]);
        assert!(events.iter().all(|event| event.stream == *name));
    }
}

pub(crate) async fn read_all_is_every_stream_in_order<S: EventStore>(store: S) {
    let before = head(&store).await;
    let category = category("union");
    let mut written = Vec::new();
    for n in 0..60 {
        written.extend(history(&store, &in_category(&category, n % 7), 1).await);
    }

    let every = read_all(&store, before, Filter::all()).await;
    let ours: Vec<_> =
        every.iter().filter(|event| event.stream.category() == category).cloned().collect();

    assert_eq!(ids(&ours), written);
    assert!(every.windows(2).all(|pair| pair[0].position < pair[1].position));
    for n in 0..7 {
        let stream = in_category(&category, n);
        let of_stream: Vec<_> = ours.iter().filter(|e| e.stream == stream).cloned().collect();
        assert_eq!(read(&store, &stream).await, of_stream);
    }
    let middle = ours[30].position;
    let rest = read_all(&store, Some(middle), Filter::categories(&[&category])).await;
    assert_eq!(rest, ours[31..]);
    assert_eq!(read_all(&store, Some(every[every.len() - 1].position), Filter::all()).await, []);
}

pub(crate) async fn all_events_read_backward_from_a_position_and_from_the_end<S: EventStore>(
    store: S,
) {
    let start = head(&store).await;
    let (stream, other) = (stream(), stream());
    for _ in 0..10 {
        store.append(&stream, Expected::Any, events(99)).await.unwrap();
        store.append(&other, Expected::Any, events(1)).await.unwrap();
    }
    let mut every = read_all(&store, start, Filter::all()).await;
    every.reverse();

    let after_start = |events: Vec<Recorded>| -> Vec<Recorded> {
        events.into_iter().filter(|event| Some(event.position) > start).collect()
    };
    for n in [0, 1, 99, 500, 998, 999] {
        let rest = all(store.read_all_backward(Some(every[n].position))).await;
        assert_eq!(after_start(rest), every[n + 1..], "before event {n} from the end");
    }
    let past = Some(Position(every[0].position.0 + 1));
    for before in [None, past, Some(Position(u64::MAX))] {
        assert_eq!(after_start(all(store.read_all_backward(before)).await), every);
    }
    let whole = all(store.read_all_backward(None)).await;
    assert!(whole.windows(2).all(|pair| pair[0].position > pair[1].position));
    assert_eq!(all(store.read_all_backward(whole.last().map(|e| e.position))).await, []);
}

pub(crate) async fn read_all_ends_at_the_head_of_its_start<S: EventStore>(store: S) {
    let before = head(&store).await;
    let stream = stream();
    let mut written = history(&store, &stream, 20).await;

    let mut reading = store.read_all(before, Filter::categories(&[stream.category()])).boxed();
    let mut read = vec![within(reading.next()).await.unwrap().unwrap()];
    let later = history(&store, &stream, 20).await;
    read.extend(all(reading).await);

    // What came after the start may not be left out in part.
    written.extend(later);
    assert_eq!(ids(&read), written[..20], "a read of everything is bounded by the head");
}

pub(crate) async fn read_all_filters_by_category_and_kind<S: EventStore>(store: S) {
    let before = head(&store).await;
    let (one, other) = (category("one"), category("other"));
    for n in 0..40 {
        let category = if n % 2 == 0 { &one } else { &other };
        let kind = if n % 3 == 0 { "Third" } else { "Else" };
        let stream = in_category(category, n);
        store.append(&stream, Expected::Any, vec![event(kind)]).await.unwrap();
    }
    let count = async |categories: &[&str], kinds: &[&str]| {
        let kinds = Filter::kinds(kinds).kinds;
        let filter = Filter { kinds, ..Filter::categories(categories) };
        read_all(&store, before, filter).await.len()
    };

    assert_eq!(count(&[&one], &[]).await, 20);
    assert_eq!(count(&[&one, &other], &[]).await, 40);
    assert_eq!(count(&[&one], &["Third"]).await, 7);
    assert_eq!(count(&[&other], &["Third", "Else"]).await, 20);
    assert_eq!(count(&[&one], &["Thir"]).await, 0);
    assert_eq!(count(&[&one[..5]], &[]).await, 0);
}

pub(crate) async fn the_head_is_the_last_position<S: EventStore>(store: S) {
    let appended = store.append(&stream(), Expected::Any, events(3)).await.unwrap();
    assert_eq!(head(&store).await, Some(appended.position));
}

pub(crate) async fn a_reader_lets_others_have_their_turn<S: EventStore>(store: S) {
    let stream = stream();
    history(&store, &stream, 3).await;

    let reader = tokio::spawn(async move {
        // It is this worker's next one, which no other worker takes over.
        let other = tokio::spawn(async {});
        let mut reads = 0;
        while !other.is_finished() && reads < 10_000 {
            assert_eq!(read(&store, &stream).await.len(), 3);
            reads += 1;
        }
        reads
    });

    assert!(reader.await.unwrap() < 10_000, "the other task was never run");
}
