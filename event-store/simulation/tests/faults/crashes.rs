use daybook_event_store::{AtomicAppend, EmbeddedStore, EventStore, Expected, StreamWrite};

use crate::given::{all, event, history, holds, open, stream, streams_agree, try_open};
use daybook_event_store_simulation::Disk;
use fastrand::Rng;

/// Batches of one to five events over one to three streams; returns how many events were
/// acknowledged, and where each batch ends.
async fn work(store: &EmbeddedStore, seed: u64) -> (usize, Vec<usize>) {
    let mut random = Rng::with_seed(seed);
    let (mut acknowledged, mut ends) = (0, vec![0]);
    for _ in 0..14 {
        let mut next = *ends.last().unwrap();
        let writes = (0..=random.usize(..3)).map(|n| {
            let events = (0..=random.usize(..5)).map(|_| {
                next += 1;
                event(next - 1)
            });
            StreamWrite { stream: stream(n), expected: Expected::Any, events: events.collect() }
        });
        let result = store.append_all(writes.collect()).await;
        ends.push(next);
        if result.is_err() {
            break;
        }
        acknowledged = next;
    }
    (acknowledged, ends)
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_crash_at_every_change() {
    let changes = {
        let sim = Disk::default();
        let store = open(&sim);
        work(&store, 1).await;
        store.close();
        sim.changes()
    };
    assert!(changes > 60, "the work writes, syncs and rolls over: {changes} changes");

    for change in 0..changes {
        let sim = Disk::default();
        sim.power_off_at(change);
        let store = try_open(&sim);
        let (acknowledged, ends) = match &store {
            Ok(store) => work(store, 1).await,
            Err(_) => (0, vec![0]),
        };
        for seed in 0..6 {
            let crashed = sim.crashed(seed);
            let store = open(&crashed);
            let count = all(&store).await.len();
            assert!(count >= acknowledged, "change {change}, seed {seed}: {count} events");
            assert!(ends.contains(&count), "change {change}, seed {seed}: half a batch");
            holds(&store, count).await;
        }
    }
}

#[tokio::test]
async fn a_crash_during_recovery_loses_nothing() {
    let sim = Disk::default();
    history(&open(&sim), 0..30).await;

    for change in 0..12 {
        for seed in 0..6 {
            let first = sim.crashed(seed);
            first.power_off_at(change);
            drop(try_open(&first));
            let second = first.crashed(seed + 1);
            holds(&open(&second), 30).await;
        }
    }
}

#[tokio::test]
async fn appends_go_on_after_a_crash() {
    let mut sim = Disk::default();
    for round in 0..12 {
        let store = open(&sim);
        holds(&store, round * 7).await;
        history(&store, round * 7..round * 7 + 7).await;
        sim = sim.crashed(round as u64);
    }
    holds(&open(&sim), 84).await;
}

#[tokio::test]
async fn a_retry_after_a_crash_appends_once() {
    for change in 5..60 {
        let sim = Disk::default();
        sim.power_off_at(change);
        let Ok(store) = try_open(&sim) else { continue };
        let mut last = None;
        for n in 0..20 {
            let result = store.append(&stream(n % 3), Expected::Any, vec![event(n)]).await;
            last = Some((n, result.clone()));
            if result.is_err() {
                break;
            }
        }
        let (n, _) = last.unwrap();

        let store = open(&sim.crashed(change as u64));
        store.append(&stream(n % 3), Expected::Any, vec![event(n)]).await.unwrap();

        holds(&store, n + 1).await;
    }
}

#[tokio::test]
async fn an_unsynced_write_is_gone_or_whole() {
    let sim = Disk::default();
    let store = open(&sim);
    history(&store, 0..3).await;
    // The write of the next append happens, its sync does not.
    sim.power_off_at(sim.changes() + 1);
    let batch = (3..20).map(event).collect();
    store.append(&stream(9), Expected::Any, batch).await.unwrap_err();

    let mut seen = [false; 2];
    for seed in 0..200 {
        let store = open(&sim.crashed(seed));
        let events = all(&store).await;
        assert!([3, 20].contains(&events.len()), "{} events", events.len());
        seen[usize::from(events.len() == 20)] = true;
        streams_agree(&store, &events).await;
    }
    assert!(seen[0], "no crash tore the write");
}

#[tokio::test]
async fn a_failed_sync_of_the_frame_that_vouches_loses_nothing() {
    let killed = Disk::default();
    history(&open(&killed), 0..5).await;
    // Opening syncs the last frame, which the disk has already, and then the one that vouches.
    let sim = killed.crashed(1);
    drop(try_open(&sim));
    for others in 0..3 {
        let sim = sim.crashed(1);
        history(&open(&sim), 5..6).await;
        let sim = sim.killed();
        sim.fail_sync_after(others);
        drop(try_open(&sim));
        let sim = sim.killed();
        history(&open(&sim), 6..9).await;

        for seed in 0..8 {
            holds(&open(&sim.crashed(seed)), 9).await;
        }
    }
}

#[tokio::test]
async fn a_store_that_was_not_made_whole_is_made_the_next_time() {
    for first in 0..9 {
        for second in 0..9 {
            let sim = Disk::default();
            sim.power_off_at(first);
            drop(try_open(&sim));
            let sim = sim.killed();
            sim.power_off_at(second);
            drop(try_open(&sim));
            for seed in 0..8 {
                holds(&open(&sim.crashed(seed)), 0).await;
            }
        }
    }
}
