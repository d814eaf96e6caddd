//! Whatever is done to it, the engine is what the store in memory is.

use daybook_event_store::{
    AppendError, Appended, AtomicAppend, Direction, EmbeddedStore, EventStore, Expected, Filter,
    MemoryStore, Recorded, Revision, StreamWrite,
};
use futures::TryStreamExt;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::given::{event, open, stream};
use crate::sim::Sim;

#[derive(Debug, Clone)]
enum Step {
    /// Streams with their expectations and the numbers of their events.
    Append(Vec<(usize, Expected, Vec<usize>)>),
    Read {
        stream: usize,
        from: u64,
        direction: Direction,
    },
    ReadAll {
        after: Option<u64>,
        filter: Filter,
    },
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
        2 => (0_usize..6, from, direction)
            .prop_map(|(stream, from, direction)| Step::Read { stream, from, direction }),
        1 => (after, filter).prop_map(|(after, filter)| Step::ReadAll { after, filter }),
        1 => Just(Step::Reopen),
        1 => any::<u64>().prop_map(|seed| Step::Crash { seed }),
    ]
}

/// Without what the two may differ in.
fn untimed(mut events: Vec<Recorded>) -> Vec<Recorded> {
    for event in &mut events {
        event.recorded_at = 0;
    }
    events
}

async fn append<S: AtomicAppend>(
    store: &S,
    writes: &[(usize, Expected, Vec<usize>)],
) -> Result<Vec<Appended>, AppendError> {
    let write = |(name, expected, events): &(usize, Expected, Vec<usize>)| StreamWrite {
        stream: stream(*name),
        expected: *expected,
        events: events.iter().map(|n| event(*n)).collect(),
    };
    store.append_all(writes.iter().map(write).collect()).await
}

async fn read<S: EventStore>(store: &S, step: &Step) -> Vec<Recorded> {
    let events: Vec<_> = match step {
        Step::Read { stream: name, from, direction } => {
            store.read(&stream(*name), Revision(*from), *direction).try_collect().await.unwrap()
        }
        Step::ReadAll { after, filter } => {
            let after = after.map(daybook_event_store::Position);
            store.read_all(after, filter.clone()).try_collect().await.unwrap()
        }
        _ => Vec::new(),
    };
    untimed(events)
}

async fn run(steps: Vec<Step>) {
    let (model, mut sim) = (MemoryStore::default(), Sim::default());
    let mut engine: Option<EmbeddedStore> = Some(open(&sim));
    for step in steps {
        let store = engine.clone().unwrap();
        match &step {
            Step::Append(writes) => {
                assert_eq!(append(&store, writes).await, append(&model, writes).await, "{step:?}");
            }
            Step::Read { .. } | Step::ReadAll { .. } => {
                assert_eq!(read(&store, &step).await, read(&model, &step).await, "{step:?}");
            }
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
    let everything = Step::ReadAll { after: None, filter: Filter::all() };
    assert_eq!(read(&engine.unwrap(), &everything).await, read(&model, &everything).await);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_agrees_with_the_model(steps in vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(steps));
    }
}
