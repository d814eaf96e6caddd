//! Whatever is done to it, the engine is what the store in memory is.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use daybook_event_store::{
    AppendError, Appended, AtomicAppend, Direction, EmbeddedStore, EventStore, Expected, Filter,
    Limits, MemoryStore, Position, ReadError, Recorded, RecordedEvent, Revision, ScavengeOptions,
    ScavengeState, StreamId, StreamMetadata, StreamWrite,
};
use futures::TryStreamExt;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::given::{event, id, open, stream, until};
use daybook_event_store_simulation::Disk;

#[derive(Debug, Clone)]
enum Step {
    /// Streams with their expectations and the numbers of their events.
    Append(Vec<(usize, Expected, Vec<usize>)>),
    /// A stream, what is expected of its metadata, and the number of the event.
    Describe(usize, Expected, StreamMetadata, usize),
    Delete(usize, Expected),
    Tombstone(usize, Expected),
    /// So many times ten seconds.
    Wait(i64),
    Read {
        stream: StreamId,
        from: u64,
        direction: Direction,
    },
    ReadAll {
        after: Option<u64>,
        filter: Filter,
    },
    Scavenge,
    Reopen,
    Crash {
        seed: u64,
    },
}

fn expected() -> impl Strategy<Value = Expected> {
    prop_oneof![
        4 => Just(Expected::Any),
        1 => Just(Expected::NoStream),
        1 => Just(Expected::StreamExists),
        2 => (0_u64..6).prop_map(|revision| Expected::At(Revision(revision))),
    ]
}

/// Ages are never those of an event to the second: the engine's clock runs a little meanwhile.
fn metadata() -> impl Strategy<Value = StreamMetadata> {
    let age = proptest::option::of((0_u64..4).prop_map(|tens| tens * 10 + 5));
    let (count, before) = (proptest::option::of(1_u64..6), proptest::option::of(0_u64..8));
    (age, count, before).prop_map(|(age, count, before)| StreamMetadata {
        max_age: age.and_then(NonZeroU64::new),
        max_count: count.and_then(NonZeroU64::new),
        truncate_before: before.map(Revision),
        ..StreamMetadata::default()
    })
}

/// A stream that there may be, or that of its metadata.
fn readable() -> impl Strategy<Value = StreamId> {
    let name = |(n, of_metadata): (usize, bool)| {
        if of_metadata { stream(n).metadata_stream().unwrap() } else { stream(n) }
    };
    (0_usize..6, proptest::bool::weighted(0.2)).prop_map(name)
}

fn step() -> impl Strategy<Value = Step> {
    // Few enough numbers that ids come again, often enough in a run as they were appended.
    let events = prop_oneof![
        3 => (0_usize..120, 1_usize..5).prop_map(|(from, count)| (from..from + count).collect()),
        1 => vec(0_usize..120, 1..4),
    ];
    let write = (0_usize..5, expected(), events);
    let direction = prop_oneof![Just(Direction::Forward), Just(Direction::Backward)];
    let from = prop_oneof![3 => 0_u64..12, 1 => Just(u64::MAX)];
    let filter = prop_oneof![
        Just(Filter::all()),
        Just(Filter::categories(&["order"])),
        Just(Filter::categories(&["stock"])),
        Just(Filter::kinds(&["Odd"])),
    ];
    let after = proptest::option::of(0_u64..60);
    prop_oneof![
        8 => vec(write, 1..3).prop_map(Step::Append),
        2 => (0_usize..5, expected(), metadata(), 200_usize..230)
            .prop_map(|(stream, expected, metadata, event)| {
                Step::Describe(stream, expected, metadata, event)
            }),
        1 => (0_usize..6, expected())
            .prop_map(|(stream, expected)| Step::Delete(stream, expected)),
        1 => (0_usize..20, expected())
            .prop_map(|(stream, expected)| Step::Tombstone(stream, expected)),
        1 => (1_i64..3).prop_map(Step::Wait),
        3 => (readable(), from, direction)
            .prop_map(|(stream, from, direction)| Step::Read { stream, from, direction }),
        1 => (after, filter).prop_map(|(after, filter)| Step::ReadAll { after, filter }),
        1 => Just(Step::Scavenge),
        1 => Just(Step::Reopen),
        1 => any::<u64>().prop_map(|seed| Step::Crash { seed }),
    ]
}

/// Without what the two may differ in.
fn untimed(events: Vec<Recorded>) -> Vec<RecordedEvent> {
    let untimed = |event: Recorded| RecordedEvent { recorded_at: 0, ..(*event).clone() };
    events.into_iter().map(untimed).collect()
}

async fn write<S: AtomicAppend>(store: &S, step: &Step) -> Result<Vec<Appended>, AppendError> {
    let part = |(name, expected, events): &(usize, Expected, Vec<usize>)| StreamWrite {
        stream: stream(*name),
        expected: *expected,
        events: events.iter().map(|n| event(*n)).collect(),
    };
    match step {
        Step::Append(writes) => store.append_all(writes.iter().map(part).collect()).await,
        Step::Describe(name, expected, metadata, event) => {
            let (stream, id) = (stream(*name), id(*event));
            let set = store.set_metadata(&stream, *expected, metadata, id);
            set.await.map(|appended| vec![appended])
        }
        Step::Delete(name, expected) => {
            store.delete(&stream(*name), *expected).await.map(|appended| vec![appended])
        }
        Step::Tombstone(name, expected) => {
            store.tombstone(&stream(*name), *expected).await.map(|appended| vec![appended])
        }
        _ => Ok(Vec::new()),
    }
}

async fn read<S: EventStore>(store: &S, step: &Step) -> Result<Vec<RecordedEvent>, ReadError> {
    match step {
        Step::Read { stream, from, direction } => {
            store.read(stream, Revision(*from), *direction).try_collect().await.map(untimed)
        }
        Step::ReadAll { after, filter } => {
            store.read_all(after.map(Position), filter.clone()).try_collect().await.map(untimed)
        }
        _ => Ok(Vec::new()),
    }
}

/// What is read of the model, without what the engine has dropped for good.
async fn read_left(
    model: &MemoryStore,
    step: &Step,
    dropped: &BTreeSet<Position>,
) -> Result<Vec<RecordedEvent>, ReadError> {
    let mut events = read(model, step).await?;
    events.retain(|event| !dropped.contains(&event.position));
    Ok(events)
}

async fn everything<S: EventStore>(store: &S) -> Vec<RecordedEvent> {
    let everything = Step::ReadAll { after: None, filter: Filter::all() };
    read(store, &everything).await.unwrap()
}

/// The positions of the events that no reader of their stream sees; a tombstone counts as seen.
async fn unseen(model: &MemoryStore) -> BTreeSet<Position> {
    let all = everything(model).await;
    let mut unseen: BTreeSet<_> = all.iter().map(|event| event.position).collect();
    for stream in all.iter().map(|event| &event.stream).collect::<BTreeSet<_>>() {
        let (from, direction) = (0, Direction::Forward);
        let seen = read(model, &Step::Read { stream: stream.clone(), from, direction }).await;
        let is_tombstone =
            |event: &&RecordedEvent| event.stream == *stream && &*event.kind == "$streamDeleted";
        let tombstone = || all.iter().find(is_tombstone).cloned();
        for event in seen.unwrap_or_else(|_| tombstone().into_iter().collect()) {
            unseen.remove(&event.position);
        }
    }
    unseen
}

/// Scavenges, and checks that what is dropped is what is unseen, in all segments but the last.
/// Returns what has been dropped by then.
async fn scavenge(
    (store, sim): (&EmbeddedStore, &Disk),
    model: &MemoryStore,
    dropped: &BTreeSet<Position>,
) -> BTreeSet<Position> {
    let unseen = unseen(model).await;
    until(|| sim.files("idx").len() + 1 == sim.files("log").len());
    let options = ScavengeOptions { least_percent: 0, ..ScavengeOptions::default() };
    assert_eq!(store.scavenge(options).ended().await.state, ScavengeState::Done);

    let there: BTreeSet<_> = everything(store).await.iter().map(|event| event.position).collect();
    let all = everything(model).await;
    let gone: BTreeSet<_> =
        all.iter().map(|event| event.position).filter(|at| !there.contains(at)).collect();
    let last = sim.files("log").pop().unwrap();
    let last = Position(last.file_stem().unwrap().to_str().unwrap().parse().unwrap());
    let closed = unseen.iter().filter(|at| **at < last).copied();
    assert_eq!(gone, dropped.iter().copied().chain(closed).collect());
    gone
}

/// Everything that the streams' readers see.
async fn state<S: EventStore>(store: &S) -> Vec<Result<Vec<RecordedEvent>, ReadError>> {
    let everything = Step::ReadAll { after: None, filter: Filter::all() };
    let mut state = vec![read(store, &everything).await];
    for stream in (0..6).map(stream) {
        for stream in [stream.metadata_stream().unwrap(), stream] {
            for (from, direction) in [(0, Direction::Forward), (u64::MAX, Direction::Backward)] {
                let step = Step::Read { stream: stream.clone(), from, direction };
                state.push(read(store, &step).await);
            }
        }
    }
    state
}

/// A store in memory and its clock.
fn model() -> (MemoryStore, Arc<AtomicI64>) {
    let clock = Arc::new(AtomicI64::new(0));
    let told = Arc::clone(&clock);
    let now = move || told.load(Ordering::SeqCst);
    (MemoryStore::with_clock(Limits::default(), now), clock)
}

async fn run(steps: Vec<Step>) {
    let ((model, clock), mut sim) = (model(), Disk::default());
    let mut dropped = BTreeSet::new();
    let mut engine: Option<EmbeddedStore> = Some(open(&sim));
    for step in steps {
        let store = engine.clone().unwrap();
        match &step {
            Step::Append(_) | Step::Describe(..) | Step::Delete(..) | Step::Tombstone(..) => {
                assert_eq!(write(&store, &step).await, write(&model, &step).await, "{step:?}");
            }
            Step::Wait(tens) => {
                let waited = tens * 10_000_000;
                sim.set_clock(clock.fetch_add(waited, Ordering::SeqCst) + waited);
            }
            Step::Read { .. } | Step::ReadAll { .. } => {
                let left = read_left(&model, &step, &dropped).await;
                assert_eq!(read(&store, &step).await, left, "{step:?}");
            }
            Step::Scavenge => dropped = scavenge((&store, &sim), &model, &dropped).await,
            Step::Reopen => {
                drop(store);
                engine = None;
                engine = engine.or_else(|| Some(open(&sim)));
            }
            Step::Crash { seed } => {
                sim = sim.crashed(*seed);
                engine = Some(open(&sim));
            }
        }
    }
    let mut left = state(&model).await;
    for events in left.iter_mut().flatten() {
        events.retain(|event| !dropped.contains(&event.position));
    }
    assert_eq!(state(&engine.unwrap()).await, left);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_agrees_with_the_model(steps in vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(steps));
    }
}
