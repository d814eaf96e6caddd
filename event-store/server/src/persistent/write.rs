//! What a group writes down, one thing after another.

use std::sync::Arc;
use std::time::Duration;

use super::journal::Journal;
use super::machine::{Place, Write};
use crate::streams::Resolved;

/// How long a write that failed waits before it may be repeated.
const PATIENCE: Duration = Duration::from_secs(1);

/// What was written, and whether it was.
pub(super) enum Written {
    Parked(Place, Option<u64>),
    Checkpoint(u64, bool),
    Truncated(u64, bool),
}

impl Written {
    /// Whether it was written.
    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Parked(_, at) => at.is_some(),
            Self::Checkpoint(_, is_done) | Self::Truncated(_, is_done) => *is_done,
        }
    }
}

/// Writes something down; `first` is the first parked message that was not replayed.
pub(super) async fn write(
    journal: Arc<Journal>,
    write: Write<Arc<Resolved>>,
    first: u64,
) -> Written {
    let (written, result) = match write {
        Write::Park { place, event, reason } => {
            let parked = journal.park(&event, &reason, first).await;
            (Written::Parked(place, parked.as_ref().ok().copied()), parked.map(drop))
        }
        Write::Checkpoint(at) => {
            let saved = journal.save_checkpoint(at).await;
            (Written::Checkpoint(at, saved.is_ok()), saved)
        }
        Write::Truncate(at) => {
            let truncated = journal.truncate_parked(at + 1).await;
            (Written::Truncated(at, truncated.is_ok()), truncated)
        }
    };
    if let Err(error) = result {
        let stream = journal.parked();
        tracing::warn!(%stream, %error, "a persistent subscription cannot write");
        tokio::time::sleep(PATIENCE).await;
    }
    written
}
