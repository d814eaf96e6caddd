//! Simulated disasters for the embedded event store.
//!
//! One seed is one run: writers, readers, tails and the background work act in an order that the
//! seed chooses, on one thread and also within each other's I/O, on a disk that loses, tears,
//! flips, refuses and lies as the seed chooses. After every recovery, and with every answer and
//! every event read, a plain model checks the [invariants](Invariant). The same seed does the
//! same again, byte for byte: [`Recording::digest`] proves it.
//!
//! It is no test of speed and none of real threads.

mod copies;
mod coverage;
mod disk;
mod engine;
mod frames;
mod interleaving;
mod invariant;
mod ledger;
mod model;
mod plan;
mod poll;
mod readers;
mod recorder;
mod recovery;
mod workload;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

pub use coverage::{Coverage, Reached};
pub use disk::{Disk, Lie, tell};
pub use invariant::{Invariant, Violation};
pub use recorder::Recording;

use world::World;

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What it did.
    pub recording: Recording,
    /// The first invariant that did not hold, if one did not.
    pub violation: Option<Violation>,
}

/// Runs one seed on this thread; with its trace as text if asked for.
pub fn run(seed: u64, with_trace: bool) -> Outcome {
    recorder::start(with_trace);
    let checked = catch_unwind(AssertUnwindSafe(|| {
        let world = Rc::new(World::new(seed));
        let actors = Rc::clone(&world);
        let _installed = interleaving::install(Rc::new(move || actors.interleave()));
        world.run()
    }));
    let violation = match checked {
        Ok(checked) => checked.err(),
        Err(panic) => Some(Violation::new(Invariant::NoPanic, message(&*panic))),
    };
    Outcome { recording: recorder::finish(), violation }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("it panicked: {}", text.unwrap_or_default())
}
