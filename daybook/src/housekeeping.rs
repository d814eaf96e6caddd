//! What a server does for its event store from time to time: it drops what is not live any more.

use std::time::Duration;

use daybook_event_store::{EmbeddedStore, ScavengeOptions, ScavengeProgress, ScavengeState, Store};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// After a start, the platform catches up first.
const FIRST: Duration = Duration::from_mins(10);

/// Scavenges a store every so often until the server stops; never where there is no interval.
pub(crate) fn start(store: &Store, interval: Option<Duration>, stopping: &CancellationToken) {
    if let (Store::Embedded(store), Some(interval)) = (store, interval) {
        let scavenges = scavenges(store.clone(), interval);
        tokio::spawn(stopping.clone().run_until_cancelled_owned(scavenges));
    }
}

async fn scavenges(store: EmbeddedStore, interval: Duration) {
    let mut due = tokio::time::interval_at(Instant::now() + FIRST.min(interval), interval);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let scavenge = store.scavenge(ScavengeOptions::default());
        let ScavengeProgress { state, events_dropped, bytes_reclaimed, .. } =
            scavenge.ended().await;
        if let ScavengeState::Failed { reason } = state {
            tracing::warn!(reason, "a scavenge gave up");
        } else {
            tracing::info!(?state, events_dropped, bytes_reclaimed, "a scavenge ended");
        }
    }
}
