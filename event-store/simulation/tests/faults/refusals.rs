use daybook_event_store::{AppendError, EventStore, Expected, NewEvent};

use crate::given::{event, history, holds, of_stream, open, stream};
use daybook_event_store_simulation::Disk;

#[tokio::test]
async fn a_failed_sync_stops_the_store() {
    let sim = Disk::default();
    let store = open(&sim);
    history(&store, 0..5).await;
    sim.fail_sync_after(0);

    for _ in 0..3 {
        let refused = store.append(&stream(2), Expected::Any, vec![event(5)]).await;
        assert!(matches!(refused, Err(AppendError::Stopped { .. })), "{refused:?}");
    }
    assert!(store.stopped().unwrap().contains("sync"));
    // What is durable can still be read; what is not is not shown.
    holds(&store, 5).await;
}

#[tokio::test]
async fn what_a_failed_sync_left_in_the_page_cache_is_made_durable_on_opening() {
    let sim = Disk::default();
    let store = open(&sim);
    history(&store, 0..5).await;
    sim.fail_sync_after(0);
    store.append(&stream(2), Expected::Any, vec![event(5)]).await.unwrap_err();
    drop(store);

    // The same system goes on: the write can be read, although the disk does not have it.
    let store = open(&sim);
    holds(&store, 6).await;

    for seed in 0..20 {
        holds(&open(&sim.crashed(seed)), 6).await;
    }
}

#[tokio::test]
async fn a_failed_sync_at_every_moment_loses_nothing() {
    for others in 0..60 {
        let sim = Disk::default();
        let store = open(&sim);
        sim.fail_sync_after(others);
        let mut acknowledged = 0;
        for n in 0..40 {
            let result = store.append(&stream(n % 3), Expected::Any, vec![event(n)]).await;
            if result.is_ok() {
                acknowledged = n + 1;
            }
        }
        assert_eq!(store.stopped().is_some(), acknowledged < 40);
        holds(&store, acknowledged).await;

        // After a loss of power, and where the same system goes on.
        for seed in 0..3 {
            let store = open(&sim.crashed(seed));
            let count = usize::try_from(store.stats().events).unwrap();
            assert!((acknowledged..=acknowledged + 1).contains(&count), "{others}: {count} events");
            holds(&store, count).await;
        }
        drop(store);
        // If it has not failed yet, it does not while the store is opened.
        sim.fail_sync_after(usize::MAX);
        let store = open(&sim);
        let count = usize::try_from(store.stats().events).unwrap();
        holds(&store, count).await;
        holds(&open(&sim.crashed(7)), count).await;
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_heals() {
    let sim = Disk::default();
    let store = open(&sim);
    history(&store, 0..5).await;

    for space in [0, 1, 100, 180] {
        sim.set_space(Some(space));
        let refused = store.append(&stream(2), Expected::Any, vec![event(5)]).await;
        assert!(matches!(refused, Err(AppendError::Unavailable { .. })), "{refused:?}");
        holds(&store, 5).await;
        for seed in 0..5 {
            holds(&open(&sim.crashed(seed)), 5).await;
        }
    }

    sim.set_space(None);
    history(&store, 5..10).await;
    holds(&store, 10).await;
    drop(store);
    holds(&open(&sim), 10).await;
}

#[tokio::test]
async fn a_disk_that_is_full_at_every_moment_loses_nothing() {
    for space in (0..9_000).step_by(37) {
        let sim = Disk::default();
        let store = open(&sim);
        sim.set_space(Some(space));
        let mut n = 0;
        while n < 30 && store.append(&stream(n % 3), Expected::Any, vec![event(n)]).await.is_ok() {
            n += 1;
        }
        holds(&store, n).await;
        holds(&open(&sim.crashed(space as u64)), n).await;

        sim.set_space(None);
        history(&store, n..31).await;
        holds(&open(&sim.crashed(space as u64)), 31).await;
        drop(store);
        holds(&open(&sim), 31).await;
    }
}

/// An event of so many bytes of payload.
fn sized(n: usize, bytes: usize) -> NewEvent {
    NewEvent { data: vec![7; bytes].into(), ..event(n) }
}

#[tokio::test]
async fn a_segment_is_closed_without_what_a_full_disk_left_in_it() {
    for seed in 0..20 {
        let sim = Disk::default();
        let store = open(&sim);
        // So that hardly any zeros fit after the first.
        sim.set_space(Some(3_300));
        store.append(&stream(0), Expected::Any, vec![sized(0, 3_000)]).await.unwrap();
        store.append(&stream(0), Expected::Any, vec![sized(1, 500)]).await.unwrap_err();
        sim.set_space(None);
        // This one goes into the next segment.
        store.append(&stream(0), Expected::Any, vec![sized(2, 1_500)]).await.unwrap();
        assert_eq!(sim.files("log").len(), 2);

        let crashed = sim.crashed(seed);
        crashed.files("idx").iter().for_each(|index| crashed.delete(index));
        assert_eq!(open(&crashed).stats().events, 2);
    }
}

#[tokio::test]
async fn a_segment_that_a_full_disk_did_not_let_begin_is_forgotten() {
    let sim = Disk::default();
    let store = open(&sim);
    store.append(&stream(0), Expected::Any, vec![sized(0, 3_000)]).await.unwrap();
    for space in [0, 20] {
        sim.set_space(Some(space));
        store.append(&stream(0), Expected::Any, vec![sized(1, 2_000)]).await.unwrap_err();
    }
    sim.set_space(None);
    // This one still goes into the old segment, so that the next begins elsewhere.
    store.append(&stream(0), Expected::Any, vec![sized(2, 300)]).await.unwrap();
    store.append(&stream(0), Expected::Any, vec![sized(1, 2_000)]).await.unwrap();

    assert_eq!(sim.files("log").len(), 2);
    assert_eq!(open(&sim.crashed(1)).stats().events, 3);
}

#[tokio::test]
async fn a_full_disk_opens_for_reading() {
    let sim = Disk::default();
    history(&open(&sim), 0..10).await;
    let crashed = sim.crashed(1);
    crashed.set_space(Some(0));

    let store = open(&crashed);

    holds(&store, 10).await;
    let refused = store.append(&stream(1), Expected::Any, vec![event(10)]).await;
    assert!(matches!(refused, Err(AppendError::Unavailable { .. })), "{refused:?}");
    crashed.set_space(None);
    history(&store, 10..11).await;
    assert_eq!(of_stream(&store, &stream(1)).await.len(), 4);
}

#[tokio::test]
async fn a_conflict_is_told_apart_from_a_full_disk() {
    let sim = Disk::default();
    let store = open(&sim);
    history(&store, 0..3).await;
    sim.set_space(Some(0));

    let refused = store.append(&stream(0), Expected::NoStream, vec![event(9)]).await;

    assert!(matches!(refused, Err(AppendError::Conflict { .. })), "{refused:?}");
}
