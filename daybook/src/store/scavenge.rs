//! `daybook store scavenge`.

use std::num::NonZeroU64;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use daybook_event_store::{
    EmbeddedOptions, EmbeddedStore, Scavenge, ScavengeOptions, ScavengeProgress, ScavengeState,
    StoreFolder,
};
use serde::Serialize;

use super::{print, size};
use crate::cli::Output;
use crate::progress::Progress;

/// How often to tell how far it is.
const TELL_EVERY: Duration = Duration::from_millis(200);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    segments: usize,
    events_dropped: u64,
    bytes_reclaimed: u64,
}

pub(super) async fn run(
    folder: &StoreFolder,
    least_percent: u8,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let path = folder.path();
    // Nobody else uses the store meanwhile, so there is nobody to make way for.
    let options = ScavengeOptions { bytes_per_second: NonZeroU64::MAX, least_percent };
    // It is not to be made here.
    folder.probe()?;
    let store = EmbeddedStore::open(path, &EmbeddedOptions::default())
        .with_context(|| format!("cannot open the event store in {}", path.display()))?;
    let ended = wait(&store.scavenge(options)).await;
    store.close();
    if let ScavengeState::Failed { reason } = ended.state {
        bail!("the scavenge gave up: {reason}");
    }
    let ScavengeProgress { segments_done: segments, events_dropped, bytes_reclaimed, .. } = ended;
    let text = format!(
        "dropped {events_dropped} events in {segments} segments, which gives back {}",
        size(bytes_reclaimed)
    );
    print(&Report { segments, events_dropped, bytes_reclaimed }, &text, output)?;
    Ok(ExitCode::SUCCESS)
}

/// Waits until it has ended, and tells how far it is.
async fn wait(scavenge: &Scavenge) -> ScavengeProgress {
    let mut progress = None;
    let ended = loop {
        if let Ok(ended) = tokio::time::timeout(TELL_EVERY, scavenge.ended()).await {
            break ended;
        }
        let now = scavenge.progress();
        let begin = || Progress::new("segments scavenged", now.segments_total as u64);
        progress.get_or_insert_with(begin).reach(now.segments_done as u64);
    };
    if let Some(progress) = progress {
        progress.finish();
    }
    ended
}
