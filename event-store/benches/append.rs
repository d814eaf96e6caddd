//! The embedded engine's ceilings, beside what the disk itself does in the same run:
//! `cargo bench -p daybook-event-store --bench append [append|read]`. The environment's `BENCH_DIR`
//! chooses the disk.
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
    let disk = std::env::var("BENCH_DIR").unwrap_or(env!("CARGO_TARGET_TMPDIR").into());
    let dir = tempfile::tempdir_in(disk).unwrap();
    let wanted: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == part);
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let (probe, median) = probe(dir.path());
    println!("probe: {probe:.0} writes of 1 KiB with fdatasync per second, median {median:?}");
    if median > QUIET {
        println!("the machine is not quiet: do not quote this run");
    }
    runtime.block_on(async {
        if wants("append") {
            for (writers, batch) in [(1, 1), (8, 1), (64, 1), (1, 100), (8, 100)] {
                append(dir.path(), writers, batch, probe).await;
            }
        }
        if wants("read") {
            read(dir.path()).await;
        }
    });
}

/// A stretch of work: its time, and the processor time of all threads.
struct Measured {
    start: Instant,
    cpu: Duration,
}

impl Measured {
    fn start() -> Self {
        Self { start: Instant::now(), cpu: cpu() }
    }

    /// Prints so many things per second, and returns that.
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds are small")]
    fn report(self, what: &str, count: usize) -> f64 {
        let cpu = cpu().saturating_sub(self.cpu).as_secs_f64() * 1e6 / count as f64;
        let rate = count as f64 / self.start.elapsed().as_secs_f64();
        println!("{what}: {rate:.0} per second, {cpu:.2} µs of CPU each");
        rate
    }
}

/// The processor time of this process so far; nothing where the system does not tell.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // User and system time, in hundredths of a second.
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Writes of an event's size, each with a sync, one after another: per second, and their median.
fn probe(dir: &Path) -> (f64, Duration) {
    let file = File::create(dir.join("probe")).unwrap();
    let bytes = [7; PAYLOAD];
    let (run, mut times, mut offset) = (Measured::start(), Vec::new(), 0);
    while run.start.elapsed() < RUN {
        let before = Instant::now();
        file.write_all_at(&bytes, offset).unwrap();
        file.sync_data().unwrap();
        times.push(before.elapsed());
        offset += PAYLOAD as u64;
    }
    let rate = run.report("write and fdatasync", times.len());
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

fn open(dir: &Path, cache_bytes: u64) -> EmbeddedStore {
    let options = EmbeddedOptions { cache_bytes, ..EmbeddedOptions::default() };
    EmbeddedStore::open(dir, &options).unwrap()
}

/// So many writers, each with streams of its own.
async fn append(dir: &Path, writers: usize, batch: usize, probe: f64) {
    let store = open(&dir.join(format!("append-{writers}-{batch}")), 1 << 20);
    let run = Measured::start();
    let start = run.start;
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
    let (mut count, number) = (0, writers.len());
    for writer in writers {
        count += writer.await.unwrap();
    }
    let rate = run.report(&format!("append, {number} writers, batches of {batch}"), count);
    println!("  {:.2} of the probe", rate / probe);
}

/// Reads of a store of 200,000 events in 4,000 streams of 50, written side by side.
async fn read(dir: &Path) {
    let (streams, length) = (4_000, 50);
    let dir = dir.join("read");
    let store = open(&dir, 1 << 20);
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
    for (what, cache_bytes) in [("all of it", 1 << 30), ("a tenth of it", 20 << 20)] {
        let start = Instant::now();
        let store = open(&dir, cache_bytes);
        println!("opened in {:?}: {:?}; {what} fits the cache", start.elapsed(), store.stats());
        for round in ["first", "second"] {
            read_all(&store, round).await;
        }
        for round in ["first", "second"] {
            read_streams(&store, &format!("{round} time"), streams, length).await;
        }
        read_streams(&store, "a hundred of them", 100, length).await;
    }
}

async fn read_all(store: &EmbeddedStore, round: &str) {
    let run = Measured::start();
    let mut all = std::pin::pin!(store.read_all(None, Filter::all()));
    let mut count = 0;
    while let Some(event) = all.next().await {
        count += usize::from(!event.unwrap().data.is_empty());
    }
    run.report(&format!("read all, {round} time, events"), count);
}

async fn read_streams(store: &EmbeddedStore, what: &str, streams: usize, length: usize) {
    let (run, tasks, reads) = (Measured::start(), 2, 40_000);
    let task = |task: usize| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..reads / tasks {
                // In no order that the disk knows.
                let stream = (n * tasks + task) * 1_877 % streams;
                let stream = StreamId::new("bench", stream).unwrap();
                let events = store.read(&stream, Revision::START, Direction::Forward);
                assert_eq!(events.count().await, length);
            }
        })
    };
    for task in (0..tasks).map(task).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    run.report(&format!("streams of {length}, {what}"), reads);
}
