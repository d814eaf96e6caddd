use std::path::Path;
use std::time::Instant;

use daybook_event_store::{
    Direction, EmbeddedStore, EventStore, Expected, Filter, Revision, StreamId,
};
use futures::StreamExt;

use super::measured::Measured;
use super::{events, open};

const STREAMS: usize = 4_000;
const LENGTH: usize = 50;

/// Reads of a store of 200,000 events in 4,000 streams of 50, written side by side.
pub(crate) async fn all(dir: &Path) {
    let dir = dir.join("read");
    fill(&dir).await;
    for (what, cache_bytes) in [("all of it", 1 << 30), ("a tenth of it", 20 << 20)] {
        let start = Instant::now();
        let store = open(&dir, cache_bytes);
        println!("opened in {:?}: {:?}; {what} fits the cache", start.elapsed(), store.stats());
        read_all(&store, "first time", 1).await;
        read_all(&store, "again", 10).await;
        for what in ["first time", "again"] {
            read_streams(&store, what, STREAMS, 40_000).await;
        }
        read_streams(&store, "a hundred of them", 100, 200_000).await;
    }
}

async fn fill(dir: &Path) {
    let store = open(dir, 1 << 20);
    for _ in 0..LENGTH {
        let appends = (0..STREAMS).map(|n| {
            let store = store.clone();
            async move {
                let stream = StreamId::new("bench", n).unwrap();
                store.append(&stream, Expected::Any, events(1)).await.unwrap()
            }
        });
        futures::stream::iter(appends).buffer_unordered(256).for_each(async |_| {}).await;
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

/// Two readers, each of whole streams in no order that the disk knows.
async fn read_streams(store: &EmbeddedStore, what: &str, streams: usize, reads: usize) {
    let (run, tasks) = (Measured::start(), 2);
    let task = |task: usize| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..reads / tasks {
                let stream = (n * tasks + task) * 1_877 % streams;
                let stream = StreamId::new("bench", stream).unwrap();
                let events = store.read(&stream, Revision::START, Direction::Forward);
                assert_eq!(events.count().await, LENGTH);
            }
        })
    };
    for task in (0..tasks).map(task).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    run.report(&format!("streams of {LENGTH}, {what}"), reads);
}
