use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use daybook_event_store::{EmbeddedStore, EventStore, Expected, Filter, StreamId, Tailed};
use futures::StreamExt;

use super::measured::{Measured, run_time};
use super::{events, open};

const WRITERS: usize = 16;

/// What writers can do while so many tails follow, which want what they write or something else.
pub(crate) async fn all(dir: &Path) {
    for (wanted, category) in [("idle", "other"), ("matching", "bench")] {
        for tails in [0, 1, 100, 1_000, 10_000] {
            let dir = dir.join(format!("tails-{wanted}-{tails}"));
            follow(&dir, wanted, category, tails).await;
            std::fs::remove_dir_all(dir).unwrap();
        }
    }
}

async fn follow(dir: &Path, wanted: &str, category: &str, tails: usize) {
    let store = open(dir, 32 << 20);
    write(&store, Duration::from_millis(50)).await;
    let head = store.head().await.unwrap();
    let (seen, told) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let tails: Vec<_> = (0..tails)
        .map(|_| {
            let tail = store.tail(head, Filter::categories(&[category]));
            let (seen, told) = (Arc::clone(&seen), Arc::clone(&told));
            tokio::spawn(tail.for_each(move |item| {
                match item.unwrap() {
                    Tailed::Event(_) => seen.fetch_add(1, Ordering::Relaxed),
                    Tailed::CaughtUp(_) => told.fetch_add(1, Ordering::Relaxed),
                };
                std::future::ready(())
            }))
        })
        .collect();
    while told.load(Ordering::Relaxed) < tails.len() {
        tokio::task::yield_now().await;
    }
    let run = Measured::start();
    let count = write(&store, run_time()).await;
    let rate = run.rate(count);
    println!(
        "16 writers, {} {wanted} tails: {:.0} events per second, {:.2} µs of CPU each; \
         {} events followed, caught up {} times",
        tails.len(),
        rate.rate,
        rate.cpu,
        seen.load(Ordering::Relaxed),
        told.load(Ordering::Relaxed),
    );
    let written = Instant::now();
    store.close();
    for tail in tails {
        tail.await.unwrap();
    }
    println!("  the last tail had it all {:?} after the last append", written.elapsed());
}

async fn write(store: &EmbeddedStore, time: Duration) -> usize {
    let start = Instant::now();
    let write = |writer: usize| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut count = 0;
            while start.elapsed() < time {
                let stream = StreamId::new("bench", writer * 1_000_000 + count / 50).unwrap();
                store.append(&stream, Expected::Any, events(1)).await.unwrap();
                count += 1;
            }
            count
        })
    };
    let counts = futures::future::join_all((0..WRITERS).map(write)).await;
    counts.into_iter().map(Result::unwrap).sum()
}
