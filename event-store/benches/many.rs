//! Many events in many segments: what opening, memory and lookups cost then.
//! `cargo bench -p daybook-event-store --bench many -- [build|probe] [events]` builds a store in
//! `BENCH_DIR` (a folder of its own; by default a temporary one), probes it, or does both.
//!
//! Whoever wants the probe to be cold drops the files from the page cache in between.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![expect(clippy::unwrap_used, reason = "a benchmark ends where something fails")]
#![expect(clippy::cast_precision_loss, reason = "rates are printed with few digits")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use daybook_event_store::{
    AppendError, AtomicAppend, Direction, EmbeddedOptions, EmbeddedStore, EventStore, Expected,
    Filter, IndexStream, NewEvent, Revision, StreamId, StreamWrite,
};
use futures::StreamExt;
use uuid::Uuid;

/// The events of a usual stream; each comes with a later batch.
const LENGTH: usize = 10;
/// Streams that begin with each batch.
const COHORT: usize = 500;
/// One event in so many is of a rare type.
const RARE: usize = 100_000;
const CATEGORIES: [&str; 4] = ["order", "stock", "payment", "customer"];
const LOOKUPS: usize = 2_000;

fn main() {
    let args: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wants = |part: &str| {
        let parts = args.iter().filter(|arg| arg.parse::<usize>().is_err());
        parts.clone().count() == 0 || parts.into_iter().any(|wanted| wanted == part)
    };
    let events = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let own = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let dir = std::env::var("BENCH_DIR").map_or_else(|_| own.path().join("many"), PathBuf::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(async {
        if wants("build") {
            build(&dir, events).await;
        }
        if wants("probe") {
            probe(&dir).await;
        }
    });
}

fn open(dir: &Path) -> EmbeddedStore {
    let options = EmbeddedOptions { segment_bytes: 32 << 20, ..EmbeddedOptions::default() };
    EmbeddedStore::open(dir, &options).unwrap()
}

fn stream(n: usize) -> StreamId {
    StreamId::new(CATEGORIES[n % CATEGORIES.len()], n).unwrap()
}

fn event(position: usize) -> NewEvent {
    let kind = if position.is_multiple_of(RARE) {
        "Rare".to_owned()
    } else {
        format!("Happened{}", position % 12)
    };
    let data = format!("{position:024}");
    NewEvent {
        id: Uuid::now_v7(),
        kind: kind.into(),
        data: data.into(),
        metadata: "".into(),
        is_json: true,
    }
}

/// Writes batches: an event for each of the streams that began with the last batches, and one for
/// a stream that goes through all of the store.
async fn build(dir: &Path, events: usize) {
    let (store, start) = (open(dir), Instant::now());
    let (mut written, mut batch) = (0, 0);
    while written < events {
        let cohorts = (batch + 1_usize).saturating_sub(LENGTH)..=batch;
        let streams = cohorts.flat_map(|cohort| cohort * COHORT..(cohort + 1) * COHORT);
        let names = streams.map(stream).chain([StreamId::new("meter", 1).unwrap()]);
        let writes = names.enumerate().map(|(n, stream)| StreamWrite {
            stream,
            expected: Expected::Any,
            events: vec![event(written + n)],
        });
        let writes: Vec<_> = writes.collect();
        written += writes.len();
        store.append_all(writes).await.unwrap();
        batch += 1;
    }
    let rate = written as f64 / start.elapsed().as_secs_f64();
    println!("built {written} events in {:.0?}: {rate:.0} per second", start.elapsed());
    let start = Instant::now();
    settle(dir);
    println!("the background work ended {:.1?} later", start.elapsed());
    let stats = store.stats();
    println!("{} segments, {} bytes per event", stats.segments, per(stats.bytes, stats.events));
    for kind in ["log", "idx", "run"] {
        let files = sizes(dir, kind);
        let bytes = files.iter().sum::<u64>();
        println!("  {} files .{kind}: {} bytes per event", files.len(), per(bytes, stats.events));
    }
}

fn per(bytes: u64, events: u64) -> String {
    format!("{:.2}", bytes as f64 / events as f64)
}

fn sizes(dir: &Path, extension: &str) -> Vec<u64> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let of_kind = entries.filter(|entry| entry.path().extension().is_some_and(|e| e == extension));
    // A file may be replaced meanwhile.
    of_kind.filter_map(|entry| Some(entry.metadata().ok()?.len())).collect()
}

/// Waits until the files have been the same for a while.
fn settle(dir: &Path) {
    let look = || ["idx", "run", "tmp"].map(|kind| sizes(dir, kind));
    let (mut before, mut same) = (look(), 0);
    while same < 20 {
        std::thread::sleep(Duration::from_millis(100));
        let now = look();
        same = if now == before && now[2].is_empty() { same + 1 } else { 0 };
        before = now;
    }
}

async fn probe(dir: &Path) {
    let start = Instant::now();
    let store = open(dir);
    let stats = store.stats();
    println!("opened {} events in {:.2?}", stats.events, start.elapsed());
    println!("resident memory: {} MiB", resident_kib() >> 10);
    let streams = usize::try_from(stats.events).unwrap() / LENGTH;
    // In no order that the disk knows.
    let nth = |n: usize| stream((n * 7_919_777 + 13) % (streams - COHORT * LENGTH));
    for round in ["cold", "warm"] {
        let reads = timed((0..LOOKUPS).map(nth), async |stream| {
            let events = store.read(&stream, Revision::START, Direction::Forward);
            assert_eq!(events.count().await, LENGTH);
        });
        report(&format!("streams of {LENGTH}, {round}"), reads.await);
    }
    let unknown = (0..LOOKUPS).map(|n| StreamId::new("nobody", n).unwrap());
    let reads = timed(unknown, async |stream| {
        let events = store.read(&stream, Revision::START, Direction::Forward);
        assert_eq!(events.count().await, 0);
    });
    report("unknown streams", reads.await);
    let meter = StreamId::new("meter", 1).unwrap();
    let last = store.read(&meter, Revision::END, Direction::Backward).boxed().next().await;
    let last = last.unwrap().unwrap().revision.0;
    let revisions = (0..200).map(|n| n * 7_919 % (last + 1));
    let reads = timed(revisions, async |revision| {
        let read = store.read(&meter, Revision(revision), Direction::Forward);
        assert_eq!(read.boxed().next().await.unwrap().unwrap().revision, Revision(revision));
    });
    report("a revision of the stream that is everywhere", reads.await);
    indexes(&store, stats.events).await;
    ids(&store, (0..LOOKUPS).map(nth)).await;
    println!("resident memory: {} MiB, with a cache of 128 MiB", resident_kib() >> 10);
}

async fn indexes(store: &EmbeddedStore, events: u64) {
    let orders = IndexStream::Category("order".into());
    let ordinals = (0..500).map(|n| n * 7_919_777 % (events / 5));
    let reads = timed(ordinals, async |ordinal| {
        let read = store.read_index(&orders, Revision(ordinal), Direction::Forward);
        assert_eq!(read.boxed().next().await.unwrap().unwrap().ordinal, Revision(ordinal));
    });
    report("an ordinal of a category", reads.await);
    let rare = IndexStream::EventType("Rare".into());
    let start = Instant::now();
    let listed = store.read_index(&rare, Revision::START, Direction::Forward).count().await;
    println!("all {listed} events of a rare type by its index: {:.1?}", start.elapsed());
    let start = Instant::now();
    let filtered = store.read_all(None, Filter::kinds(&["Rare"])).count().await;
    println!("all {filtered} events of a rare type by a filter: {:.1?}", start.elapsed());
    assert_eq!(listed, filtered);
}

/// What an id costs that the store has not seen: an append of many that is refused for its
/// expectation, after all of them were looked up, writes nothing.
async fn ids(store: &EmbeddedStore, streams: impl Iterator<Item = StreamId>) {
    let (batch, stream) = (10_000, StreamId::new("nobody", 0).unwrap());
    let mut times = Vec::new();
    for _ in 0..30 {
        let (events, start) = ((0..batch).map(|_| event(1)).collect(), Instant::now());
        let refused = store.append(&stream, Expected::At(Revision(7)), events).await;
        assert!(matches!(refused, Err(AppendError::Conflict { .. })));
        times.push(start.elapsed() / batch);
    }
    report("new ids", times);
    let mut known = Vec::new();
    for stream in streams {
        let last = store.read(&stream, Revision::END, Direction::Backward).boxed().next().await;
        known.push(last.unwrap().unwrap());
    }
    let repeats = timed(known.into_iter(), async |known| {
        let event = known.to_new();
        let repeated = store.append(&known.stream, Expected::Any, vec![event]).await.unwrap();
        assert_eq!(repeated.position, known.position);
    });
    report("repeated appends", repeats.await);
}

async fn timed<T>(of: impl Iterator<Item = T>, work: impl AsyncFn(T)) -> Vec<Duration> {
    let mut times = Vec::new();
    for item in of {
        let start = Instant::now();
        work(item).await;
        times.push(start.elapsed());
    }
    times
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    let mean = times.iter().sum::<Duration>() / u32::try_from(times.len()).unwrap();
    println!("{what}: mean {mean:.1?}, median {:.1?}, 99 %: {:.1?}", at(50), at(99));
}

/// The memory of this process; 0 where the system does not tell.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or_default()
}
