use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use daybook_event_store::{
    Direction, EmbeddedStore, EventStore, Expected, Filter, IndexStream, ReadError, Recorded,
    Revision, StreamId,
};
use futures::StreamExt;

use super::measured::Measured;
use super::{events, open_with};

const STREAMS: usize = 4_000;
const LENGTH: usize = 50;

/// How streams are written: so many of them side by side, in segments of so many bytes.
const WRITTEN: [(usize, u64); 3] = [(STREAMS, SEGMENT), (200, SEGMENT), (200, 2 << 20)];
/// The usual segments.
const SEGMENT: u64 = 64 << 20;
/// Categories that the streams are spread over.
const CATEGORIES: usize = 16;
/// Caches that hold everything, also twice, and a tenth of it.
const CACHES: [(&str, u64); 2] = [("all of it", 1 << 30), ("a tenth of it", 20 << 20)];

/// Reads of everything, and of one category in 16.
pub(crate) async fn scans(dir: &Path) {
    let dir = dir.join("scans");
    fill(&dir, 200, SEGMENT).await;
    for (what, cache_bytes) in CACHES {
        let store = opened(&dir, what, (cache_bytes, SEGMENT));
        read_all(&store, "first time", 1).await;
        read_all(&store, "again", 10).await;
        for (what, times) in [("first time", 1), ("again", 1), ("and again", 20)] {
            read_category(&store, what, times).await;
        }
        for (what, times) in [("first time", 1), ("again", 1), ("and again", 20)] {
            read_filtered(&store, what, times).await;
        }
    }
    std::fs::remove_dir_all(dir).unwrap();
}

/// Reads of streams.
pub(crate) async fn streams(dir: &Path) {
    for (abreast, segment_bytes) in WRITTEN {
        let dir = dir.join(format!("streams-{abreast}-{segment_bytes}"));
        fill(&dir, abreast, segment_bytes).await;
        for (what, cache_bytes) in CACHES {
            println!("written {abreast} side by side");
            let store = opened(&dir, what, (cache_bytes, segment_bytes));
            read_streams(&store, "first time", STREAMS, STREAMS).await;
            for what in ["again", "and again"] {
                read_streams(&store, what, STREAMS, 40_000).await;
            }
            read_streams(&store, "a hundred of them", 100, 200_000).await;
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}

fn opened(dir: &Path, what: &str, (cache, segment): (u64, u64)) -> EmbeddedStore {
    let start = Instant::now();
    let store = open_with(dir, cache, segment);
    println!("opened in {:?}: {:?}; {what} fits the cache", start.elapsed(), store.stats());
    store
}

fn name(n: usize) -> StreamId {
    StreamId::new(&format!("bench{}", n % CATEGORIES), n).unwrap()
}

/// Looks at an event, as whoever reads it does.
fn look(event: Result<Recorded, ReadError>) {
    let event = event.unwrap();
    std::hint::black_box((event.revision, event.id, event.kind.len(), event.data.len()));
}

/// 200,000 events in 4,000 streams of 50.
async fn fill(dir: &Path, abreast: usize, segment_bytes: u64) {
    let store = open_with(dir, 1 << 20, segment_bytes);
    for first in (0..STREAMS).step_by(abreast) {
        for _ in 0..LENGTH {
            let appends = (first..first + abreast).map(|n| {
                let store = store.clone();
                async move { store.append(&name(n), Expected::Any, events(1)).await.unwrap() }
            });
            futures::stream::iter(appends).buffer_unordered(256).for_each(async |_| {}).await;
        }
    }
}

async fn read_all(store: &EmbeddedStore, what: &str, times: usize) {
    let (run, mut count) = (Measured::start(), 0);
    for _ in 0..times {
        let mut all = std::pin::pin!(store.read_all(None, Filter::all()));
        while let Some(event) = all.next().await {
            count += usize::from(!event.unwrap().data.is_empty());
        }
    }
    run.report(&format!("read all, {what}, events"), count);
}

async fn read_category(store: &EmbeddedStore, what: &str, times: usize) {
    let (run, mut count) = (Measured::start(), 0);
    let index = IndexStream::Category("bench3".into());
    for _ in 0..times {
        let listed = store.read_index(&index, Revision::START, Direction::Forward);
        count += listed.count().await;
    }
    run.report(&format!("read a category, {what}, events"), count);
}

/// The same events, found among all of them.
async fn read_filtered(store: &EmbeddedStore, what: &str, times: usize) {
    let (run, mut count) = (Measured::start(), 0);
    for _ in 0..times {
        let filtered = store.read_all(None, Filter::categories(&["bench3"]));
        count += filtered.map(look).count().await;
    }
    run.report(&format!("read all with a filter, {what}, events"), count);
}

/// Two readers, each of whole streams in no order that the disk knows.
async fn read_streams(store: &EmbeddedStore, what: &str, streams: usize, reads: usize) {
    let names: Arc<[StreamId]> = (0..streams).map(name).collect();
    let (run, tasks) = (Measured::start(), 2);
    let task = |task: usize| {
        let (store, names) = (store.clone(), Arc::clone(&names));
        tokio::spawn(async move {
            for n in 0..reads / tasks {
                let stream = (n * tasks + task) * 1_877 % streams;
                let events = store.read(&names[stream], Revision::START, Direction::Forward);
                assert_eq!(events.map(look).count().await, LENGTH);
            }
        })
    };
    for task in (0..tasks).map(task).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    run.report(&format!("streams of {LENGTH}, {what}"), reads);
}
