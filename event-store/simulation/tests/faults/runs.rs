//! Runs over many segments: merged, lost, damaged, and at crashes.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use daybook_event_store::{
    Direction, EmbeddedStore, EventStore, Expected, Filter, IndexStream, ReadError, Revision,
};
use daybook_event_store_simulation::Disk;
use futures::{StreamExt, TryStreamExt};

use crate::given::{event, history, holds, open, stream, try_open, until};

/// Enough events that runs are merged twice over.
const EVENTS: usize = 900;

/// A closed store of so many events, of whose runs all are merged that should be.
async fn merged(events: usize) -> Disk {
    let sim = Disk::default();
    history(&open(&sim), 0..events).await;
    let store = open(&sim);
    until(|| are_merged(&sim));
    store.close();
    sim
}

/// The positions in a run's name.
fn positions(run: &Path) -> (u64, u64) {
    let name = run.file_stem().unwrap().to_str().unwrap();
    let (start, end) = name.split_once('-').unwrap();
    (start.parse().unwrap(), end.parse().unwrap())
}

fn runs(sim: &Disk) -> Vec<(u64, u64)> {
    sim.files("run").iter().map(|run| positions(run)).collect()
}

/// Whether the runs cover the closed segments, each once, and are as few as they come to be.
fn are_merged(sim: &Disk) -> bool {
    let (runs, segments) = (runs(sim), sim.files("log").len() - 1);
    let few = if segments < 9 { segments } else { 8 + segments / 9 };
    runs.len() <= few && runs.windows(2).all(|pair| pair[0].1 == pair[1].0)
}

/// Checks all that indexes tell of these events: streams, category and types both ways, ids.
async fn tells(store: &EmbeddedStore, events: usize) {
    holds(store, events).await;
    let orders = IndexStream::Category("order".into());
    let odd = IndexStream::EventType("Odd".into());
    for (from, direction) in
        [(Revision::START, Direction::Forward), (Revision::END, Direction::Backward)]
    {
        let listed: Vec<_> =
            store.read_index(&orders, from, direction).try_collect().await.unwrap();
        assert!(listed.iter().all(|listed| listed.ordinal.0 == listed.event.position.0));
        assert_eq!(listed.len(), events);
        let listed: Vec<_> = store.read_index(&odd, from, direction).try_collect().await.unwrap();
        assert!(listed.iter().all(|odd| odd.ordinal.0 * 2 + 1 == odd.event.position.0));
        assert_eq!(listed.len(), events / 2);
    }
    for n in (0..events).step_by(37) {
        let repeated = store.append(&stream(n % 3), Expected::Any, vec![event(n)]).await.unwrap();
        assert_eq!(repeated.position.0, n as u64);
        let from = Revision(n as u64 / 3);
        let mut read = store.read(&stream(n % 3), from, Direction::Forward).boxed();
        assert_eq!(read.next().await.unwrap().unwrap().position.0, n as u64);
    }
}

#[tokio::test]
async fn few_runs_tell_of_many_segments() {
    let sim = merged(EVENTS).await;
    assert!(sim.files("log").len() > 80, "{} segments", sim.files("log").len());
    assert!(runs(&sim).iter().any(|(start, end)| end - start > 300), "{:?}", runs(&sim));

    let store = open(&sim);
    tells(&store, EVENTS).await;

    let rare = IndexStream::EventType("Rare".into());
    assert_eq!(store.read_index(&rare, Revision::START, Direction::Forward).count().await, 0);
    assert_eq!(store.read_all(None, Filter::kinds(&["Rare"])).count().await, 0);
    store.append(&stream(9), Expected::NoStream, vec![event(EVENTS)]).await.unwrap();
}

#[tokio::test]
async fn few_events_among_many_are_read_by_a_filter() {
    let sim = merged(EVENTS).await;
    let store = open(&sim);
    for n in 0..4 {
        let mut rare = event(EVENTS + n);
        rare.kind = "Rare".into();
        store
            .append(&format!("rare-{n}").parse().unwrap(), Expected::Any, vec![rare])
            .await
            .unwrap();
        let numbers = EVENTS + 10 + n * 50..EVENTS + 10 + (n + 1) * 50;
        history(&store, numbers).await;
    }
    drop(store);

    let store = open(&sim);
    let of_kind: Vec<_> =
        store.read_all(None, Filter::kinds(&["Rare"])).try_collect().await.unwrap();
    assert_eq!(of_kind.len(), 4);
    let of_category = store.read_all(None, Filter::categories(&["rare"]));
    assert_eq!(of_category.try_collect::<Vec<_>>().await.unwrap(), of_kind);
    let both =
        Filter { kinds: Filter::kinds(&["Rare", "Odd"]).kinds, ..Filter::categories(&["order"]) };
    let both: Vec<_> = store.read_all(None, both).try_collect().await.unwrap();
    assert_eq!(both.len(), EVENTS / 2 + 100);
    assert!(both.windows(2).all(|pair| pair[0].position < pair[1].position));
}

#[tokio::test]
async fn what_runs_tell_is_found_again_where_they_are_lost() {
    let sim = merged(EVENTS).await;
    for lost in sim.files("run") {
        let copy = sim.copy();
        copy.delete(&lost);
        tells(&open(&copy), EVENTS).await;
    }
    let without_any = sim.copy();
    sim.files("run").iter().for_each(|run| without_any.delete(run));
    let store = open(&without_any);
    tells(&store, EVENTS).await;
    until(|| are_merged(&without_any));
    tells(&store, EVENTS).await;
}

#[tokio::test]
async fn leftovers_of_a_merge_are_removed() {
    let sim = merged(EVENTS).await;
    let before = Disk::default();
    history(&open(&before), 0..60).await;
    // Runs that were merged since, and one of nothing.
    for run in before.files("run") {
        if !sim.exists(&run) {
            sim.overwrite(&run, before.contents(&run));
        }
    }
    let strange = sim.files("log")[0].with_file_name(format!("{:020}-{:020}.run", 3, 1_000));
    sim.overwrite(&strange, b"nothing".to_vec());

    let store = open(&sim);

    assert!(!sim.exists(&strange));
    tells(&store, EVENTS).await;
    until(|| are_merged(&sim));
}

#[tokio::test]
async fn runs_of_another_store_are_not_used() {
    let (sim, other) = (merged(100).await, Disk::default());
    let store = open(&other);
    for n in (0..100).rev() {
        store.append(&stream(n % 3), Expected::Any, vec![event(n)]).await.unwrap();
    }
    drop(store);
    other.files("run").iter().for_each(|run| other.delete(run));
    sim.files("run").iter().for_each(|run| other.overwrite(run, sim.contents(run)));

    let store = open(&other);

    for n in 0..100 {
        let repeated = store.append(&stream(n % 3), Expected::Any, vec![event(n)]).await.unwrap();
        assert_eq!(repeated.position.0, 99 - n as u64);
    }
}

/// Opens a store whose runs were lost, and waits a while for them to be merged.
fn merges(sim: &Disk) {
    let Ok(store) = try_open(sim) else { return };
    let begun = Instant::now();
    while !are_merged(sim) && begun.elapsed() < Duration::from_millis(50) {
        std::thread::yield_now();
    }
    store.close();
}

#[tokio::test]
async fn a_crash_while_runs_are_made_and_merged_loses_nothing() {
    let sim = merged(70).await;
    sim.files("run").iter().for_each(|run| sim.delete(run));
    let changes = {
        let copy = sim.copy();
        merges(&copy);
        assert!(are_merged(&copy));
        copy.changes()
    };
    assert!(changes > 40, "{changes} changes");
    for change in 0..changes {
        let copy = sim.copy();
        copy.power_off_at(change);
        merges(&copy);
        tells(&open(&copy.crashed(change as u64)), 70).await;
    }
}

/// Reads until the damage that was done is made good; how often it was reported.
async fn reads_until_mended(store: &EmbeddedStore, file: &Path) -> usize {
    let name = file.file_name().unwrap().to_str().unwrap();
    let (begun, mut reported) = (Instant::now(), 0);
    loop {
        let mut damaged = false;
        for n in 0..3 {
            let read = store.read(&stream(n), Revision::START, Direction::Forward);
            match read.try_collect::<Vec<_>>().await {
                Ok(events) => assert_eq!(events.len(), 20),
                Err(ReadError::Damaged { place, .. }) => {
                    assert!(place.starts_with(name), "{place}");
                    damaged = true;
                }
                Err(error) => panic!("{error}"),
            }
        }
        if !damaged {
            return reported;
        }
        reported += 1;
        assert!(begun.elapsed() < Duration::from_mins(1), "it is never made anew");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_damaged_index_or_run_is_made_anew_while_the_store_is_open() {
    let sim = merged(60).await;
    let files: Vec<PathBuf> = [sim.files("idx"), sim.files("run")].concat();
    let mut reported = [0; 2];
    for file in files {
        let whole = sim.contents(&file);
        let damaged = sim.copy();
        let store = open(&damaged);
        // Now that it is open, only a reader can come upon it.
        damaged.spoil(&file, whole.iter().map(|byte| byte ^ 0x40).collect());
        let is_run = file.extension().unwrap() == "run";
        reported[usize::from(is_run)] += reads_until_mended(&store, &file).await;
        tells(&store, 60).await;
    }
    assert!(reported.iter().all(|reported| *reported > 0), "{reported:?}");
}
