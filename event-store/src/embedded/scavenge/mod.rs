//! Drops what is not live any more: closed segments are written anew, in the background, with
//! [husks](super::format::encode_husk) in the places of dropped events.
//!
//! Nothing else changes: no surviving event's position or revision, no answer to a retry.

mod measure;
mod run;
mod saved;

pub(crate) use run::Scavenger;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::maintenance::Bell;

/// How to scavenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScavengeOptions {
    /// The most bytes to read and write in a second.
    pub bytes_per_second: NonZeroU64,
    /// A segment is rewritten where that gives back at least so many percent of it. With 0 it is
    /// wherever there is anything to drop: then nothing that was dropped is left in closed
    /// segments.
    pub least_percent: u8,
}

impl Default for ScavengeOptions {
    fn default() -> Self {
        let bytes_per_second = NonZeroU64::MIN.saturating_add((32 << 20) - 1);
        Self { bytes_per_second, least_percent: 1 }
    }
}

/// A scavenge that was asked for. Clones speak of the same.
#[derive(Debug, Clone)]
pub struct Scavenge(Arc<Shared>);

/// How far a scavenge has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScavengeProgress {
    /// What it is doing, or how it ended.
    pub state: ScavengeState,
    /// Segments that need not be looked at any more.
    pub segments_done: usize,
    /// Segments that were closed when it began.
    pub segments_total: usize,
    /// Events that it has dropped.
    pub events_dropped: u64,
    /// Bytes on disk that it has given back.
    pub bytes_reclaimed: u64,
}

/// What a scavenge is doing, or how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ScavengeState {
    /// It is at work, or about to be.
    #[default]
    Running,
    /// It is done.
    Done,
    /// It was told to stop; what it did stays done.
    Stopped,
    /// The store was closed, or had to stop; it goes on when the store is opened again.
    Paused,
    /// It gave up; what it did stays done, and nothing is lost.
    Failed {
        /// Why.
        reason: String,
    },
}

impl Scavenge {
    /// How far it has come.
    pub fn progress(&self) -> ScavengeProgress {
        self.0.progress.borrow().clone()
    }

    /// Tells it to stop. A segment that is being rewritten stays as it was.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Relaxed);
        self.0.bell.nudge();
    }

    /// Waits until it has ended, and tells how.
    pub async fn ended(&self) -> ScavengeProgress {
        let mut progress = self.0.progress.subscribe();
        let ended = progress.wait_for(|progress| progress.state != ScavengeState::Running).await;
        ended.map_or_else(|_| self.progress(), |progress| progress.clone())
    }
}

/// What whoever asked for a scavenge and whoever does it tell each other.
#[derive(Debug)]
struct Shared {
    options: ScavengeOptions,
    stop: AtomicBool,
    progress: watch::Sender<ScavengeProgress>,
    bell: Arc<Bell>,
}

impl Shared {
    fn new(options: ScavengeOptions, bell: Arc<Bell>) -> Arc<Self> {
        let progress = watch::Sender::new(ScavengeProgress::default());
        Arc::new(Self { options, stop: AtomicBool::new(false), progress, bell })
    }

    fn is_running(&self) -> bool {
        self.progress.borrow().state == ScavengeState::Running
    }

    fn end(&self, state: ScavengeState) {
        self.progress.send_modify(|progress| progress.state = state);
    }
}

/// The scavenges of a store, of which one runs at a time.
#[derive(Debug)]
pub(crate) struct Scavenges {
    bell: Arc<Bell>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Arc<Shared>>,
    /// Why nothing is done any more.
    refused: Option<String>,
}

impl Scavenges {
    /// Of a store whose background work listens to this bell.
    pub(crate) fn new(bell: Arc<Bell>) -> Self {
        Self { bell, state: Mutex::default() }
    }

    /// Asks for a scavenge; the one that runs, if one does.
    pub(crate) fn request(&self, options: ScavengeOptions) -> Scavenge {
        let mut state = self.state.lock();
        if let Some(running) = state.last.as_ref().filter(|last| last.is_running()) {
            return Scavenge(Arc::clone(running));
        }
        let shared = Shared::new(options, Arc::clone(&self.bell));
        if let Some(reason) = state.refused.clone() {
            shared.end(ScavengeState::Failed { reason });
        } else {
            state.last = Some(Arc::clone(&shared));
            self.bell.nudge();
        }
        Scavenge(shared)
    }

    /// The one that runs, or else ran last, since the store was opened.
    pub(crate) fn last(&self) -> Option<Scavenge> {
        self.state.lock().last.clone().map(Scavenge)
    }

    /// The one that is to be done.
    fn running(&self) -> Option<Arc<Shared>> {
        self.state.lock().last.clone().filter(|last| last.is_running())
    }

    /// Nothing is done any more.
    pub(crate) fn refuse(&self, reason: &str) {
        let mut state = self.state.lock();
        state.refused.get_or_insert_with(|| reason.into());
        if let Some(running) = state.last.as_ref().filter(|last| last.is_running()) {
            running.end(ScavengeState::Paused);
        }
    }
}
