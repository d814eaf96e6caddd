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
    compress: bool,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let path = folder.path();
    // Nobody else uses the store meanwhile, so there is nobody to make way for.
    let scavenge = ScavengeOptions { bytes_per_second: NonZeroU64::MAX, least_percent };
    // It is not to be made here.
    folder.probe()?;
    let options = EmbeddedOptions { compress, ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open(path, &options)
        .with_context(|| format!("cannot open the event store in {}", path.display()))?;
    let ended = wait(&store.scavenge(scavenge)).await;
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

#[cfg(test)]
mod tests {
    use daybook_event_store::{EventStore, Expected, NewEvent, StreamId};
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn segments_are_compressed_where_that_is_configured() {
        for compress in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let small = EmbeddedOptions { segment_bytes: 64 << 10, ..EmbeddedOptions::default() };
            let store = EmbeddedStore::open(dir.path(), &small).unwrap();
            for n in 0..40 {
                let event = NewEvent {
                    id: Uuid::from_u128(n),
                    kind: "Tested".into(),
                    data: b"again and ".repeat(500).into(),
                    metadata: "".into(),
                    is_json: false,
                };
                let stream = StreamId::new("order", n % 2).unwrap();
                store.append(&stream, Expected::Any, vec![event]).await.unwrap();
            }
            store.delete(&StreamId::new("order", 1).unwrap(), Expected::Any).await.unwrap();
            store.close();
            drop(store);

            let folder = StoreFolder::new(dir.path());
            run(&folder, 0, compress, Output::Json).await.unwrap();

            let summary = folder.summary().unwrap();
            assert!(summary.segments > 2);
            assert_eq!(summary.compressed > 0, compress, "{summary:?}");
        }
    }
}
