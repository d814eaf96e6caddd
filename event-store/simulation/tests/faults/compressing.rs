//! Segments that are compressed once they are closed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use daybook_event_store::{
    Direction, EmbeddedOptions, EmbeddedStore, EventStore, Expected, OpenError, ReadError, Revision,
};
use futures::TryStreamExt;

use crate::given::{DIR, event, history, holds, stream, until};
use daybook_event_store_simulation::Disk;

const EVENTS: usize = 400;

fn options(compress: bool) -> EmbeddedOptions {
    let (segment_bytes, cache_bytes) = (40_000, 100_000);
    EmbeddedOptions { segment_bytes, cache_bytes, compress, ..Default::default() }
}

fn try_open(sim: &Disk, compress: bool) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open_with(Arc::new(sim.clone()), DIR, &options(compress))
}

#[track_caller]
fn open(sim: &Disk, compress: bool) -> EmbeddedStore {
    try_open(sim, compress).unwrap()
}

/// A closed store of plain segments.
async fn plain() -> Disk {
    let sim = Disk::default();
    history(&open(&sim, false), 0..EVENTS).await;
    assert!(compressed(&sim).is_empty() && sim.files("log").len() > 4);
    sim
}

/// A closed store whose segments are compressed.
async fn packed() -> Disk {
    let sim = plain().await;
    let store = open(&sim, true);
    until(|| are_compressed(&sim));
    store.close();
    sim
}

fn compressed(sim: &Disk) -> Vec<PathBuf> {
    let is = |path: &PathBuf| sim.contents(path).starts_with(b"DAYBOOKZ");
    sim.files("log").into_iter().filter(is).collect()
}

/// Whether all segments are but the last.
fn are_compressed(sim: &Disk) -> bool {
    compressed(sim).len() + 1 == sim.files("log").len()
}

fn bytes(sim: &Disk, files: &[PathBuf]) -> usize {
    files.iter().map(|path| sim.contents(path).len()).sum()
}

#[tokio::test]
async fn a_store_of_compressed_segments_is_the_same_in_fewer_bytes() {
    let sim = plain().await;
    let plain = bytes(&sim, &sim.files("log"));
    let store = open(&sim, true);

    until(|| are_compressed(&sim));
    // Their runs are merged before that.
    holds(&store, EVENTS).await;
    let files = [sim.files("log"), sim.files("idx"), sim.files("run")].concat();
    assert!(bytes(&sim, &sim.files("log")) * 3 < plain, "the payloads repeat themselves");
    assert_eq!(store.stats().bytes, bytes(&sim, &files) as u64);
    assert!(sim.files("tmp").is_empty());
    store.close();
    for compress in [true, false] {
        let store = open(&sim, compress);
        holds(&store, EVENTS).await;
        let repeated = store.append(&stream(7 % 3), Expected::Any, vec![event(7)]).await.unwrap();
        assert_eq!(repeated.position.0, 7);
    }
}

#[tokio::test]
async fn segments_are_compressed_while_the_store_is_used() {
    let sim = Disk::default();
    let store = open(&sim, true);

    history(&store, 0..EVENTS).await;
    until(|| are_compressed(&sim));

    holds(&store, EVENTS).await;
}

#[tokio::test]
async fn an_index_of_a_compressed_segment_is_made_again() {
    let sim = packed().await;
    let indexes = sim.files("idx");
    for index in &indexes {
        sim.delete(index);
    }

    holds(&open(&sim, false), EVENTS).await;

    assert_eq!(sim.files("idx"), indexes);
}

#[tokio::test]
async fn a_crash_at_every_change_leaves_a_segment_plain_or_compressed() {
    let plain = plain().await;
    let changes = {
        let (sim, before) = (plain.copy(), plain.changes());
        let store = open(&sim, true);
        until(|| are_compressed(&sim));
        store.close();
        before..sim.changes()
    };
    assert!(changes.len() > 30, "{changes:?}");

    for change in changes {
        let sim = plain.copy();
        sim.power_off_at(change);
        if let Ok(store) = try_open(&sim, true) {
            until(|| sim.changes() == change || are_compressed(&sim));
            store.close();
        }
        for seed in 0..3 {
            let crashed = sim.crashed(seed);
            holds(&open(&crashed, false), EVENTS).await;
            assert!(crashed.files("tmp").is_empty());
        }
    }
}

#[tokio::test]
async fn damage_in_a_compressed_segment_is_reported_with_its_place() {
    let sim = packed().await;
    let segment = &sim.files("log")[1];
    let whole = sim.contents(segment);
    let name = segment.file_name().unwrap().to_str().unwrap();

    for byte in 0..whole.len() {
        let copy = sim.copy();
        let mut bytes = whole.clone();
        bytes[byte] ^= 1 << (byte % 8);
        copy.overwrite(segment, bytes);
        match try_open(&copy, false) {
            Err(OpenError::Damaged { segment: place, .. }) => assert_eq!(&place, segment),
            Err(error) => panic!("byte {byte}: {error}"),
            Ok(store) => {
                let events = store.read(&stream(0), Revision::START, Direction::Forward);
                let error = events.try_collect::<Vec<_>>().await.unwrap_err();
                let ReadError::Damaged { place, reason } = &error else { panic!("{error}") };
                assert!(place.starts_with(name), "{place}");
                assert!(reason.contains("compressed"), "{reason}");
            }
        }
    }
}

#[tokio::test]
async fn a_compressed_last_segment_says_that_others_are_missing() {
    let sim = packed().await;
    sim.delete(sim.files("log").last().unwrap());

    let refused = try_open(&sim, true).unwrap_err();

    assert!(refused.to_string().contains("those after it are missing"), "{refused}");
}

#[tokio::test]
async fn what_does_not_shrink_stays_as_it_is() {
    let sim = Disk::default();
    let store = open(&sim, true);
    let mut noise = 7_u64;
    for n in 0..60 {
        let mut random = event(n);
        let step = || {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise.to_le_bytes()[0]
        };
        random.data = std::iter::repeat_with(step).take(2_000).collect();
        store.append(&stream(0), Expected::Any, vec![random]).await.unwrap();
    }
    until(|| sim.files("idx").len() + 1 == sim.files("log").len());
    store.close();

    assert!(compressed(&sim).is_empty() && sim.files("tmp").is_empty());
}

#[tokio::test]
async fn a_full_disk_leaves_segments_as_they_are() {
    let sim = plain().await;
    sim.set_space(Some(3_000));
    let before = sim.changes();

    let store = open(&sim, true);
    until(|| sim.changes() > before + 4);
    sim.set_space(None);

    holds(&store, EVENTS).await;
    history(&store, EVENTS..EVENTS + 5).await;
    holds(&store, EVENTS + 5).await;
    store.close();
    assert!(!sim.exists(&Path::new(DIR).join("00000000000000000000.log.tmp")));
    holds(&open(&sim, true), EVENTS + 5).await;
}
