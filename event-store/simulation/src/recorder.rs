//! What a run leaves behind: its trace, as a digest and on demand as text, and what it reached.
//!
//! It is kept per thread, as a run is: the disk and the actors add to it from anywhere.

use std::cell::RefCell;
use std::fmt::Write as _;

use crate::coverage::{Coverage, Reached};

/// The recording of one run.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// Equal for two runs only if they did the same I/O with the same bytes and outcomes.
    pub digest: u64,
    /// What the run reached, and how often.
    pub coverage: Coverage,
    /// The trace as text, where it was asked for.
    pub trace: Option<String>,
}

thread_local! {
    static CURRENT: RefCell<Recording> = RefCell::default();
}

/// Begins the recording of a run on this thread.
pub(crate) fn start(with_trace: bool) {
    let trace = with_trace.then(String::new);
    CURRENT.replace(Recording { trace, ..Recording::default() });
}

/// Ends the recording.
pub(crate) fn finish() -> Recording {
    CURRENT.take()
}

pub(crate) fn reached(what: Reached) {
    CURRENT.with_borrow_mut(|recording| recording.coverage.add(what));
}

/// Adds numbers that must be the same in every run of this seed, and what they say.
pub(crate) fn note(numbers: &[u64], say: impl FnOnce() -> String) {
    CURRENT.with_borrow_mut(|recording| {
        for number in numbers {
            recording.digest = mix(recording.digest ^ number);
        }
        if let Some(trace) = &mut recording.trace {
            // Writing to a string does not fail.
            let _ = writeln!(trace, "{}", say());
        }
    });
}

/// Adds a line that must be the same in every run of this seed.
pub(crate) fn say(line: impl FnOnce() -> String) {
    let traced = CURRENT.with_borrow(|recording| recording.trace.is_some());
    if traced {
        note(&[], line);
    }
}

/// Spreads the bits of a number evenly (the finalizer of splitmix64).
fn mix(mut n: u64) -> u64 {
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (n ^ (n >> 31)).wrapping_add(0x9e37_79b9_7f4a_7c15)
}
