//! The embedded engine's ceilings, beside what the disk itself does in the same run:
//! `cargo bench -p daybook-event-store`.
//!
//! A run on a machine that is busy with something else says little: the time of a sync jumps from
//! a tenth of a millisecond to four. The probe's median tells.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![expect(clippy::unwrap_used, reason = "a benchmark ends where something fails")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use daybook_event_store::{
    Direction, EmbeddedOptions, EmbeddedStore, EventStore, Expected, Filter, NewEvent, Revision,
    StreamId,
};
use futures::StreamExt;
use uuid::Uuid;

const PAYLOAD: usize = 1_024;
const RUN: Duration = Duration::from_secs(3);
/// A probe's median above this means that the machine is not quiet.
const QUIET: Duration = Duration::from_micros(250);

fn main() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let (probe, median) = probe(dir.path());
    println!("probe: {probe:.0} writes of 1 KiB with fdatasync per second, median {median:?}");
    if median > QUIET {
        println!("the machine is not quiet: do not quote this run");
    }
    runtime.block_on(async {
        for writers in [1, 8, 64] {
            report(
                &format!("append, {writers} writers"),
                append(dir.path(), writers, 1).await,
                probe,
            );
        }
        report("append, 1 writer, batches of 100", append(dir.path(), 1, 100).await, probe);
        report("append, 8 writers, batches of 100", append(dir.path(), 8, 100).await, probe);
        read(dir.path(), probe).await;
    });
}

fn report(what: &str, per_second: f64, probe: f64) {
    println!("{what}: {per_second:.0} per second, {:.2} of the probe", per_second / probe);
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few seconds are small")]
fn rate(count: usize, since: Instant) -> f64 {
    count as f64 / since.elapsed().as_secs_f64()
}

/// Writes of an event's size, each with a sync, one after another: per second, and their median.
fn probe(dir: &Path) -> (f64, Duration) {
    let file = File::create(dir.join("probe")).unwrap();
    let bytes = [7; PAYLOAD];
    let (start, mut times, mut offset) = (Instant::now(), Vec::new(), 0);
    while start.elapsed() < RUN {
        let before = Instant::now();
        file.write_all_at(&bytes, offset).unwrap();
        file.sync_data().unwrap();
        times.push(before.elapsed());
        offset += PAYLOAD as u64;
    }
    let rate = rate(times.len(), start);
    times.sort_unstable();
    (rate, times[times.len() / 2])
}

fn events(count: usize) -> Vec<NewEvent> {
    let event = |_| NewEvent {
        id: Uuid::now_v7(),
        kind: "Measured".into(),
        data: vec![7; PAYLOAD].into(),
        metadata: "".into(),
    };
    (0..count).map(event).collect()
}

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(dir, &EmbeddedOptions::default()).unwrap()
}

/// Events per second of so many writers, each with streams of its own.
async fn append(dir: &Path, writers: usize, batch: usize) -> f64 {
    let store = open(&dir.join(format!("append-{writers}-{batch}")));
    let start = Instant::now();
    let write = |writer: usize| {
        let store = store.clone();
        async move {
            let mut count = 0;
            while start.elapsed() < RUN {
                let stream = StreamId::new("bench", writer * 1_000_000 + count / 50).unwrap();
                store.append(&stream, Expected::Any, events(batch)).await.unwrap();
                count += 1;
            }
            count * batch
        }
    };
    let writers: Vec<_> = (0..writers).map(|writer| tokio::spawn(write(writer))).collect();
    let mut count = 0;
    for writer in writers {
        count += writer.await.unwrap();
    }
    rate(count, start)
}

/// Reads of a store of 200,000 events in 4,000 streams of 50, written side by side.
async fn read(dir: &Path, probe: f64) {
    let (streams, length) = (4_000, 50);
    let dir = dir.join("read");
    let store = open(&dir);
    for _ in 0..length {
        let appends = (0..streams).map(|n| {
            let store = store.clone();
            async move {
                let stream = StreamId::new("bench", n).unwrap();
                store.append(&stream, Expected::Any, events(1)).await.unwrap()
            }
        });
        futures::stream::iter(appends).buffer_unordered(256).for_each(async |_| {}).await;
    }
    drop(store);
    let start = Instant::now();
    let store = open(&dir);
    println!("open {:?}: {:?}", store.stats(), start.elapsed());
    for round in ["first", "second"] {
        let start = Instant::now();
        let mut all = std::pin::pin!(store.read_all(None, Filter::all()));
        let mut count = 0;
        while let Some(event) = all.next().await {
            count += usize::from(!event.unwrap().data.is_empty());
        }
        report(&format!("read all, {round} time, events"), rate(count, start), probe);
    }
    for round in ["first", "second"] {
        let (start, tasks) = (Instant::now(), 2);
        let task = |task: usize| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..streams / tasks {
                    let stream = StreamId::new("bench", n * tasks + task).unwrap();
                    let events = store.read(&stream, Revision::START, Direction::Forward);
                    assert_eq!(events.count().await, length);
                }
            })
        };
        for task in (0..tasks).map(task).collect::<Vec<_>>() {
            task.await.unwrap();
        }
        report(&format!("streams of 50, {round} time"), rate(streams, start), probe);
    }
}
