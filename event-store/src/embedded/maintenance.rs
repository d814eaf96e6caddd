//! What is done behind the writer's back, in steps: the sealing of closed segments, the care for
//! their index files, their scavenging and their compression.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::compress::Compress;
use super::log::Log;
use super::open::Folder;
use super::options::EmbeddedOptions;
use super::queue::Queue;
use super::scavenge::{Scavenger, Scavenges};
use super::upkeep::Upkeep;

/// How many closed segments may wait for their indexes before the writer waits for them: until
/// then these are in memory.
const MOST_UNSEALED: usize = 4;
/// How fast segments are compressed.
const COMPRESSED_PER_SECOND: u64 = 64 << 20;

/// The background work of a store. There is one; everything that it does is done by
/// [`step`](Self::step), a bounded piece at a time, and no step holds a lock over a file's access.
#[derive(Debug)]
pub(crate) struct Maintenance {
    upkeep: Upkeep,
    queue: Arc<Queue>,
    compress: Option<Compress>,
    scavenger: Scavenger,
    /// The disk refused an index file. What can wait is done meanwhile: it may make room.
    refused: bool,
}

/// Whether a step found something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Worked,
    /// It did, and what is not urgent is to rest for so long.
    Paced(Duration),
    Idle,
}

impl Step {
    /// It moved so many bytes, of which so many may be moved in a second.
    fn paced(bytes: u64, per_second: u64) -> Self {
        let micros = bytes.saturating_mul(1_000_000) / per_second.max(1);
        Self::Paced(Duration::from_micros(micros))
    }
}

impl Maintenance {
    pub(crate) fn new(
        folder: Folder,
        log: Arc<Log>,
        queue: Arc<Queue>,
        bell: &Arc<Bell>,
        options: &EmbeddedOptions,
    ) -> std::io::Result<Self> {
        let requests = Arc::new(Scavenges::new(Arc::clone(bell)));
        let scavenger =
            Scavenger::open(folder.clone(), Arc::clone(&log), requests, options.compress)?;
        let compress = || Compress::new(folder.clone(), Arc::clone(&log));
        let compress = options.compress.then(compress);
        Ok(Self { upkeep: Upkeep::new(folder, log), queue, compress, scavenger, refused: false })
    }

    /// What asks for scavenges.
    pub(crate) fn scavenges(&self) -> &Arc<Scavenges> {
        self.scavenger.scavenges()
    }

    /// Does the most urgent piece of work; where it must be `urgent`, nothing else. What the disk
    /// refuses is tried again once there is nothing else to do.
    ///
    /// # Errors
    /// The disk refused it again. The store is as good as before; another step tries once more.
    pub(crate) fn step(&mut self, urgent: bool) -> std::io::Result<Step> {
        if !self.refused {
            match self.keep() {
                Ok(true) => return Ok(Step::Worked),
                Ok(false) => {}
                Err(error) => self.refuse(&error),
            }
        }
        if self.queue.stopped().is_some() {
            // A disk that failed the writer is not one to replace good files on.
            self.scavenger.pause();
            return Ok(Step::Idle);
        }
        match if urgent { Step::Idle } else { self.paced() } {
            Step::Idle if !urgent && mem::take(&mut self.refused) => {
                self.keep().map(|worked| if worked { Step::Worked } else { Step::Idle })
            }
            step => Ok(step),
        }
    }

    /// Does a piece of the care for index files; whether there was any.
    fn keep(&mut self) -> std::io::Result<bool> {
        let sealed = self.upkeep.seal();
        if matches!(sealed, Ok(true)) || self.queue.stopped().is_some() {
            return sealed;
        }
        // Sealing may want what is damaged.
        Ok(self.upkeep.step()? || sealed?)
    }

    fn refuse(&mut self, error: &std::io::Error) {
        tracing::warn!(%error, "an index file of the event store cannot be written");
        self.refused = true;
    }

    /// Does a piece of what can wait. One segment is rewritten at a time, by one of the two.
    fn paced(&mut self) -> Step {
        let compressing = self.compress.as_ref().is_some_and(Compress::is_busy);
        if !compressing && let Some((bytes, per_second)) = self.scavenger.step() {
            return Step::paced(bytes, per_second);
        }
        let bytes = self.compress.as_mut().and_then(Compress::step);
        bytes.map_or(Step::Idle, |bytes| Step::paced(bytes, COMPRESSED_PER_SECOND))
    }

    /// Does what an opening would have to do otherwise.
    fn finish(&self) -> std::io::Result<Step> {
        Ok(if self.upkeep.seal()? { Step::Worked } else { Step::Idle })
    }
}

/// How many closed segments wait for their indexes.
fn unsealed(log: &Log) -> usize {
    log.segments().iter().filter(|segment| segment.is_unsealed()).count()
}

/// What the writer, the background work and whoever closes the store tell each other.
#[derive(Debug)]
pub(crate) struct Bell {
    state: Mutex<State>,
    changed: Condvar,
    most_unsealed: usize,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a message of its own")]
#[derive(Debug, Default)]
struct State {
    /// There may be something to do.
    rung: bool,
    /// What can wait is not to wait any longer.
    nudged: bool,
    /// The last step failed, or one before it whose work is put off: the writer does not wait for
    /// that. It is tried again when the bell rings.
    failing: bool,
    closing: bool,
}

impl Bell {
    /// For a store whose background work has a thread of its own.
    pub(crate) fn new() -> Self {
        let state = State { rung: true, ..State::default() };
        Self { state: Mutex::new(state), changed: Condvar::new(), most_unsealed: MOST_UNSEALED }
    }

    /// For a store whose steps somebody calls, so that nobody must wait for them.
    #[cfg(feature = "simulation")]
    pub(crate) fn unbounded() -> Self {
        Self { most_unsealed: usize::MAX, ..Self::new() }
    }

    /// Says that there is something to do, and waits where too much of it has piled up.
    pub(crate) fn ring(&self, log: &Log) {
        let mut state = self.state.lock();
        state.rung = true;
        self.changed.notify_all();
        while unsealed(log) > self.most_unsealed && !state.failing && !state.closing {
            self.changed.wait(&mut state);
        }
    }

    /// Says that there is something to do that can wait, and ends a rest.
    pub(crate) fn nudge(&self) {
        let mut state = self.state.lock();
        (state.rung, state.nudged) = (true, true);
        self.changed.notify_all();
    }

    /// Says that the store closes: what is urgent is still done, and nothing else.
    pub(crate) fn close(&self) {
        self.state.lock().closing = true;
        self.changed.notify_all();
    }

    /// Waits for something to do, or for the end of a rest, which may come earlier; whether the bell
    /// rang. `None` where the store closes.
    fn wait(&self, rest: &mut Option<Instant>) -> Option<bool> {
        let mut state = self.state.lock();
        let mut rested = false;
        while !state.rung && !state.closing && !rested {
            match rest {
                Some(end) => rested = self.changed.wait_until(&mut state, *end).timed_out(),
                None => self.changed.wait(&mut state),
            }
        }
        if mem::take(&mut state.nudged) {
            *rest = None;
        }
        let rung = mem::take(&mut state.rung);
        (!state.closing).then_some(rung)
    }

    fn is_closing(&self) -> bool {
        self.state.lock().closing
    }

    fn worked(&self, failing: bool) {
        self.state.lock().failing = failing;
        self.changed.notify_all();
    }
}

/// Lets the writer go on without background work, however that ended.
struct Ending<'a>(&'a Bell);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.state.lock().failing = true;
        self.0.changed.notify_all();
    }
}

/// The background thread: works whenever the bell rings, until the store closes. Closed segments
/// still get their indexes then, or the next opening would have to read them whole.
pub(crate) fn run(bell: &Bell, mut maintenance: Maintenance) {
    let _ending = Ending(bell);
    let mut rest = None;
    while let Some(rung) = bell.wait(&mut rest) {
        maintenance.refused &= !rung;
        while !bell.is_closing() {
            let resting = rest.is_some_and(|end| end > Instant::now());
            let result = maintenance.step(resting);
            bell.worked(result.is_err() || maintenance.refused);
            match &result {
                Ok(Step::Paced(pause)) => rest = Some(Instant::now() + *pause),
                Ok(Step::Idle) if !resting => rest = None,
                _ => {}
            }
            if !goes_on(&result) {
                break;
            }
        }
    }
    while goes_on(&maintenance.finish()) {}
}

fn goes_on(result: &std::io::Result<Step>) -> bool {
    match result {
        Ok(step) => *step != Step::Idle,
        Err(error) => {
            // An index stays in memory then, and is made again when the store is opened.
            tracing::warn!(%error, "the event store's background work failed");
            false
        }
    }
}
