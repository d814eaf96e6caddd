//! What is done in the background while a disk is full.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use daybook_event_store::simulation::{self, Background, Commits};
use daybook_event_store::{
    AppendError, Appended, EmbeddedStore, EventStore, Expected, NewEvent, ScavengeOptions,
    ScavengeProgress, ScavengeState, StreamId,
};
use daybook_event_store_simulation::Disk;
use futures::FutureExt;
use futures::executor::block_on;

use crate::given::{DIR, all, event, open, options};

/// A store whose background work waits to be told.
struct Given {
    sim: Disk,
    store: EmbeddedStore,
    commits: Commits,
    background: Background,
    next: usize,
}

impl Given {
    fn open(sim: &Disk) -> Self {
        let (store, commits, background) =
            simulation::open(Arc::new(sim.clone()), Path::new(DIR), &options()).unwrap();
        Self { sim: sim.clone(), store, commits, background, next: 0 }
    }

    fn commit(
        &mut self,
        request: impl Future<Output = Result<Appended, AppendError>>,
    ) -> Result<Appended, AppendError> {
        let mut request = Box::pin(request);
        assert!(request.as_mut().now_or_never().is_none(), "it waits for its commit");
        self.commits.commit();
        request.now_or_never().unwrap()
    }

    fn append(&mut self, stream: &str, bytes: usize) {
        let data = vec![b'x'; bytes].into();
        let event = NewEvent { data, ..event(self.next) };
        self.next += 1;
        let (store, stream) = (self.store.clone(), named(stream));
        self.commit(async move { store.append(&stream, Expected::Any, vec![event]).await })
            .unwrap();
    }

    /// Does what there is to do, as far as the disk lets it.
    fn settle(&mut self) {
        while self.background.step().unwrap_or(false) {}
    }

    fn unsealed(&self) -> usize {
        self.sim.files("log").len() - 1 - self.sim.files("idx").len()
    }

    /// A scavenge, for as many steps as it may take.
    fn scavenge(&mut self) -> ScavengeProgress {
        let everything = ScavengeOptions { least_percent: 0, bytes_per_second: NonZeroU64::MAX };
        let scavenge = self.store.scavenge(everything);
        for _ in 0..1_000 {
            if scavenge.progress().state != ScavengeState::Running {
                break;
            }
            let _ = self.background.step();
        }
        scavenge.progress()
    }
}

fn named(stream: &str) -> StreamId {
    stream.parse().unwrap()
}

/// Sealed segments of events that are not live any more, and one of many streams that is to be
/// sealed.
fn given_one_to_seal(sim: &Disk) -> Given {
    let mut given = Given::open(sim);
    (0..8).for_each(|_| given.append("gone-1", 1_500));
    let store = given.store.clone();
    given.commit(async move { store.delete(&named("gone-1"), Expected::Any).await }).unwrap();
    given.append("filler-1", 3_000);
    given.settle();
    assert_eq!(given.unsealed(), 0);
    (0..24).for_each(|n| given.append(&format!("of-{n}"), 40));
    given.append("filler-1", 3_000);
    assert!(given.unsealed() > 0);
    given
}

#[test]
fn what_does_not_fit_does_not_keep_a_scavenge_from_making_room() {
    let (mut gave_up, mut made_room) = (0, 0);
    for space in (0..6_000).step_by(100) {
        let sim = Disk::default();
        let mut given = given_one_to_seal(&sim);
        sim.set_space(Some(space));
        given.settle();
        if given.unsealed() == 0 {
            continue;
        }

        let ended = given.scavenge();
        given.settle();

        match ended.state {
            ScavengeState::Done => {
                assert!(ended.events_dropped == 8, "{space}: {ended:?}");
                assert_eq!(given.unsealed(), 0, "{space}: there is room for the index now");
                made_room += 1;
            }
            ScavengeState::Failed { .. } => gave_up += 1,
            state => panic!("with {space} bytes left it is {state:?}"),
        }
        sim.set_space(None);
        given.settle();
        assert_eq!(given.unsealed(), 0, "{space}");
        let events = block_on(all(&given.store)).len();
        drop(given);
        assert_eq!(block_on(all(&open(&sim.crashed(space as u64)))).len(), events);
    }
    assert!(gave_up > 0 && made_room > 0, "{gave_up} gave up, {made_room} made room");
}
