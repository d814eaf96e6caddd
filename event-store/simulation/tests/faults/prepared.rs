//! The zeros after the log's end, where later frames go.

use std::path::PathBuf;
use std::sync::Arc;

use daybook_event_store::{EmbeddedOptions, EmbeddedStore, OpenError};

use crate::checks::{check, salvage};
use crate::given::{DIR, history, holds};
use daybook_event_store_simulation::Disk;

/// Events that fill more than a page of a segment, of which several are left.
const COUNT: usize = 40;

fn try_open(sim: &Disk) -> Result<EmbeddedStore, OpenError> {
    let options = EmbeddedOptions { segment_bytes: 64 << 10, ..Default::default() };
    EmbeddedStore::open_with(Arc::new(sim.clone()), DIR, &options)
}

fn open(sim: &Disk) -> EmbeddedStore {
    try_open(sim).unwrap()
}

/// A store that is open; its only segment, and where the zeros in it begin.
async fn given() -> (Disk, EmbeddedStore, PathBuf, usize) {
    let sim = Disk::default();
    let store = open(&sim);
    history(&store, 0..COUNT).await;
    let segment = sim.files("log").remove(0);
    let end = usize::try_from(store.stats().bytes).unwrap();
    (sim, store, segment, end)
}

#[tokio::test]
async fn zeros_are_ahead_of_the_log_until_it_is_closed_or_opened() {
    let (sim, store, segment, end) = given().await;
    let bytes = sim.contents(&segment);
    assert!(bytes.len() > end + 4_096 && bytes.len() <= 2 * end, "{end} of {}", bytes.len());
    assert!(bytes.len().is_multiple_of(4_096) && bytes[end..].iter().all(|byte| *byte == 0));

    let crashed = sim.crashed(1);
    let again = open(&crashed);
    holds(&again, COUNT).await;
    // The empty frame that vouches for the others is there, and nothing else.
    assert_eq!(crashed.contents(&segment).len(), end + 24);
    history(&again, COUNT..COUNT + 5).await;
    holds(&again, COUNT + 5).await;

    store.close();
    assert_eq!(sim.contents(&segment).len(), end + 24);
}

#[tokio::test]
async fn zeros_are_cut_off_where_the_next_segment_begins() {
    let (sim, store, segment, _) = given().await;
    let mut count = COUNT;
    while sim.files("log").len() == 1 {
        history(&store, count..count + 1).await;
        count += 1;
    }
    let bytes = sim.contents(&segment);
    assert!(bytes[bytes.len() - 8..].iter().any(|byte| *byte != 0), "a frame ends here");
    for seed in 0..10 {
        holds(&open(&sim.crashed(seed)), count).await;
    }
}

#[tokio::test]
async fn a_check_beside_the_writer_finds_nothing_wrong_with_zeros() {
    let (sim, _store, ..) = given().await;

    let (checked, findings) = check(&sim);

    assert_eq!((checked.events, checked.unfinished_bytes), (COUNT as u64, 0));
    assert_eq!((findings, salvage(&sim).lost), (vec![], vec![]));
}

#[tokio::test]
async fn a_write_into_zeros_that_was_torn_is_cut_off() {
    let (sim, store, segment, end) = given().await;
    let before = sim.contents(&segment);
    history(&store, COUNT..COUNT + 1).await;
    let after = sim.contents(&segment);
    assert_eq!(after.len(), before.len(), "it went into the zeros");
    let last = usize::try_from(store.stats().bytes).unwrap();
    drop(store);

    for lost in end..last {
        let torn = sim.copy();
        let mut bytes = after.clone();
        bytes[lost..last].fill(0);
        torn.overwrite(&segment, bytes);
        if after[lost..last].iter().any(|byte| *byte != 0) {
            holds(&open(&torn), COUNT).await;
        }
    }
}

#[tokio::test]
async fn zeros_that_have_a_frame_after_them_are_damage() {
    let (sim, store, segment, end) = given().await;
    history(&store, COUNT..COUNT + 2).await;
    drop(store);
    let mut bytes = sim.contents(&segment);
    bytes[end..end + 24].fill(0);
    sim.overwrite(&segment, bytes);

    let opened = try_open(&sim);

    let Err(OpenError::Damaged { offset, .. }) = opened else { panic!("{opened:?}") };
    assert_eq!(offset, end as u64);
}

#[tokio::test]
async fn zeros_that_do_not_fit_on_the_disk_are_left_out() {
    let (with_room, _open, segment, end) = given().await;
    let sim = Disk::default();
    let store = open(&sim);
    sim.set_space(Some(end));

    history(&store, 0..COUNT).await;

    assert!(sim.contents(&segment).len() < with_room.contents(&segment).len());
    holds(&store, COUNT).await;
    for seed in 0..10 {
        holds(&open(&sim.crashed(seed)), COUNT).await;
    }
}
