//! The embedded engine's ceilings, beside what the disk itself does in the same run:
//! `cargo bench -p daybook-event-store --bench engine [append|scans|streams|tails]`. The
//! environment's `BENCH_DIR` chooses the disk, `BENCH_SECONDS` how long each part takes.
//!
//! A run on a machine that is busy with something else says little: the time of a sync jumps from
//! a tenth of a millisecond to four. The probe's median tells; ratios to what was measured in the
//! same run, and processor time per event, say more than rates.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![expect(clippy::unwrap_used, reason = "a benchmark ends where something fails")]

mod append;
mod measured;
mod read;
mod tails;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use daybook_event_store::{EmbeddedOptions, EmbeddedStore, NewEvent};
use uuid::Uuid;

const PAYLOAD: usize = 1_024;

fn main() {
    let disk = std::env::var("BENCH_DIR").unwrap_or(env!("CARGO_TARGET_TMPDIR").into());
    let dir = tempfile::tempdir_in(disk).unwrap();
    let wanted: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == part);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    measured::probe(dir.path());
    runtime.block_on(async {
        if wants("append") {
            append::all(dir.path()).await;
        }
        if wants("scans") {
            read::scans(dir.path()).await;
        }
        if wants("streams") {
            read::streams(dir.path()).await;
        }
        if wants("tails") {
            tails::all(dir.path()).await;
        }
    });
}

/// Events of a kilobyte each, as a caller makes them.
fn events(count: usize) -> Vec<NewEvent> {
    static KIND: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| "Measured".into());
    static IDS: AtomicU64 = AtomicU64::new(1);
    let first = IDS.fetch_add(count as u64, Ordering::Relaxed);
    let event = |n: u64| NewEvent {
        id: Uuid::from_u64_pair(n, n.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        kind: Arc::clone(&KIND),
        data: vec![7; PAYLOAD].into(),
        metadata: "".into(),
        is_json: true,
    };
    (first..first + count as u64).map(event).collect()
}

fn open(dir: &Path, cache_bytes: u64) -> EmbeddedStore {
    open_with(dir, cache_bytes, EmbeddedOptions::default().segment_bytes)
}

fn open_with(dir: &Path, cache_bytes: u64, segment_bytes: u64) -> EmbeddedStore {
    let options = EmbeddedOptions { cache_bytes, segment_bytes, ..EmbeddedOptions::default() };
    EmbeddedStore::open(dir, &options).unwrap()
}
