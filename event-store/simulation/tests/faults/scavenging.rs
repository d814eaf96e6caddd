//! Events that are dropped for good, and all that stays as it is.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daybook_event_store::{
    Appended, Direction, EmbeddedOptions, EmbeddedStore, EventStore, Expected, Filter, IndexStream,
    Listed, NewEvent, OpenError, ReadError, Recorded, RecordedEvent, Revision, Scavenge,
    ScavengeOptions, ScavengeProgress, ScavengeState, StreamId, StreamMetadata,
};
use futures::TryStreamExt;
use uuid::Uuid;

use crate::given::{DIR, all, id, of_stream, until};
use daybook_event_store_simulation::Disk;

/// Over the seven streams of a [`life`].
const EVENTS: usize = 140;
const SECOND: i64 = 1_000_000;

fn try_open(sim: &Disk, compress: bool) -> Result<EmbeddedStore, OpenError> {
    let (segment_bytes, cache_bytes) = (20_000, 100_000);
    let options =
        EmbeddedOptions { segment_bytes, cache_bytes, compress, ..EmbeddedOptions::default() };
    EmbeddedStore::open_with(Arc::new(sim.clone()), DIR, &options)
}

#[track_caller]
fn open(sim: &Disk) -> EmbeddedStore {
    try_open(sim, false).unwrap()
}

fn named(name: &str) -> StreamId {
    name.parse().unwrap()
}

/// The same event for the same number; its payload is found in no other.
fn event(n: usize) -> NewEvent {
    NewEvent {
        id: id(n),
        kind: "Tested".into(),
        data: [payload(n), b"-fill".repeat(120)].concat().into(),
        metadata: format!("about {n}").into(),
        is_json: n.is_multiple_of(2),
    }
}

fn payload(n: usize) -> Vec<u8> {
    format!("<payload of {n}>").into_bytes()
}

fn metadata(json: &str) -> StreamMetadata {
    StreamMetadata::decode(json.as_bytes()).unwrap()
}

/// What is said of each stream, and which of its 20 revisions live then, half of them older than
/// a minute.
const STREAMS: [(&str, &str, std::ops::Range<u64>); 7] = [
    ("plain-1", "", 0..20),
    ("cut-1", r#"{"$tb":7}"#, 7..20),
    ("count-1", r#"{"$maxCount":3}"#, 17..20),
    ("aged-1", r#"{"$maxAge":60}"#, 10..20),
    ("both-1", r#"{"$maxAge":60,"$maxCount":15,"$tb":3}"#, 10..20),
    ("deleted-1", "", 20..20),
    ("ended-1", "", 20..21),
];

/// A store with every kind of lifetime, of which half the events are old. All but the last few
/// events are in closed segments.
async fn life(sim: &Disk) {
    let store = open(sim);
    sim.set_clock(1_000 * SECOND);
    for n in 0..EVENTS {
        if n == EVENTS / 2 {
            sim.set_clock(2_000 * SECOND);
        }
        let (stream, ..) = STREAMS[n % STREAMS.len()];
        store.append(&named(stream), Expected::Any, vec![event(n)]).await.unwrap();
    }
    // Metadata is itself replaced: only the last lives.
    for round in 0..3 {
        for (n, (stream, json, _)) in STREAMS.iter().enumerate().filter(|(_, s)| !s.1.is_empty()) {
            let mut said = metadata(if round == 2 { json } else { r#"{"$tb":1}"# });
            said.custom.insert("round".into(), format!("said in round {round}").into());
            let id = Uuid::from_u128((900_000 + round * 100 + n) as u128);
            store.set_metadata(&named(stream), Expected::Any, &said, id).await.unwrap();
        }
    }
    store.delete(&named("deleted-1"), Expected::Any).await.unwrap();
    store.tombstone(&named("ended-1"), Expected::Any).await.unwrap();
    // Closes the segment that all of this is in.
    for n in EVENTS..EVENTS + 60 {
        store.append(&named("filler-1"), Expected::Any, vec![event(n)]).await.unwrap();
    }
    store.close();
    sim.set_clock(2_030 * SECOND);
}

/// Whether the event at a revision of a stream of a [`life`] lives.
fn lives(event: &Recorded) -> bool {
    let of = |name: &str| STREAMS.iter().find(|(stream, ..)| *stream == name);
    if let Some((_, _, live)) = of(event.stream.as_str()) {
        return live.contains(&event.revision.0);
    }
    let Some(described) = event.stream.as_str().strip_prefix("$$") else { return true };
    let last = if described == "deleted-1" { 0 } else { 2 };
    event.revision == Revision(last)
}

fn every_last_one() -> ScavengeOptions {
    ScavengeOptions { least_percent: 0, bytes_per_second: NonZeroU64::MAX }
}

async fn scavenged(store: &EmbeddedStore) -> ScavengeProgress {
    let progress = store.scavenge(every_last_one()).ended().await;
    assert_eq!(progress.state, ScavengeState::Done);
    progress
}

/// All bytes of all files.
fn bytes(sim: &Disk) -> Vec<u8> {
    let files = ["log", "idx", "run", "tmp"].iter().flat_map(|extension| sim.files(extension));
    files.flat_map(|path| sim.contents(&path)).collect()
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// Checks that exactly the live ones of some events are there, as they were, and that those
/// dropped have left nothing but their place: not in a file, not for a retry.
async fn holds(sim: &Disk, store: &EmbeddedStore, before: &[Recorded]) {
    let live: Vec<_> = before.iter().filter(|event| lives(event)).cloned().collect();
    assert_eq!(all(store).await, live);
    for (stream, _, range) in STREAMS.iter().filter(|(stream, ..)| *stream != "ended-1") {
        let expected: Vec<_> =
            live.iter().filter(|event| event.stream.as_str() == *stream).cloned().collect();
        let backward: Vec<_> = store
            .read(&named(stream), Revision::END, Direction::Backward)
            .try_collect()
            .await
            .unwrap();
        assert_eq!(of_stream(store, &named(stream)).await, expected);
        assert!(backward.iter().rev().eq(&expected), "{stream}");
        assert_eq!(expected.len() as u64, range.end - range.start);
    }
    let ended: Result<Vec<_>, _> =
        store.read(&named("ended-1"), Revision::START, Direction::Forward).try_collect().await;
    assert!(matches!(ended, Err(ReadError::Deleted { .. })), "{ended:?}");
    let files = bytes(sim);
    for n in 0..EVENTS {
        let lives = live.iter().any(|event| event.id == id(n));
        assert_eq!(contains(&files, &payload(n)), lives, "the payload of {n}");
    }
    assert!(!contains(&files, b"said in round 1") && contains(&files, b"said in round 2"));
    for index in
        ["$ce-cut", "$ce-count", "$ce-deleted", "$ce-filler", "$et-Tested", "$et-$metadata"]
    {
        ordinals_are_as_ever(store, before, &index.parse().unwrap()).await;
    }
    retries_are_answered(store, before).await;
}

/// Checks that the live ones of some events have the ordinals that they had among all of them.
async fn ordinals_are_as_ever(store: &EmbeddedStore, before: &[Recorded], index: &IndexStream) {
    let listed = before.iter().filter(|event| match index {
        IndexStream::Category(category) => **category == *event.stream.category(),
        IndexStream::EventType(kind) => *kind == event.kind,
    });
    let listed = listed.zip(0..).filter(|(event, _)| lives(event));
    let listed = listed.map(|(event, n)| Listed { ordinal: Revision(n), event: event.clone() });
    let listed: Vec<_> = listed.collect();
    let read = async |from, direction| -> Vec<Listed> {
        store.read_index(index, from, direction).try_collect().await.unwrap()
    };
    assert_eq!(read(Revision::START, Direction::Forward).await, listed, "{index}");
    assert!(read(Revision::END, Direction::Backward).await.iter().rev().eq(&listed), "{index}");
    let later: Vec<_> =
        listed.into_iter().filter(|listed| listed.ordinal >= Revision(11)).collect();
    assert_eq!(read(Revision(11), Direction::Forward).await, later, "{index}");
}

async fn retries_are_answered(store: &EmbeddedStore, before: &[Recorded]) {
    for event in before.iter().filter(|event| *event.kind == *"Tested") {
        let RecordedEvent { stream, revision, position, .. } = &**event;
        if stream.as_str() != "ended-1" {
            let answer = store.append(stream, Expected::NoStream, vec![event.to_new()]).await;
            assert_eq!(answer, Ok(Appended { revision: *revision, position: *position }));
        }
    }
}

/// The events of a [`life`] before anything is dropped.
async fn given(sim: &Disk) -> Vec<Recorded> {
    life(sim).await;
    let events = all(&open(sim)).await;
    assert!(sim.files("log").len() > 6);
    events
}

#[tokio::test]
async fn what_is_not_live_is_dropped_and_all_else_stays() {
    let sim = Disk::default();
    let before = given(&sim).await;
    let store = open(&sim);
    let bytes_before = store.stats().bytes;

    let progress = scavenged(&store).await;

    holds(&sim, &store, &before).await;
    let dropped = before.iter().filter(|event| !lives(event)).count() as u64;
    assert_eq!(progress.events_dropped, dropped);
    assert_eq!(progress.segments_done, progress.segments_total);
    assert_eq!(bytes_before - store.stats().bytes, progress.bytes_reclaimed);
    assert!(progress.bytes_reclaimed > dropped * 600, "{progress:?}");
    assert!(sim.files("tmp").is_empty() && !sim.exists(&Path::new(DIR).join("SCAVENGE")));
    store.close();
    holds(&sim, &open(&sim), &before).await;
    for index in sim.files("idx") {
        sim.delete(&index);
    }
    holds(&sim, &open(&sim), &before).await;
}

#[tokio::test]
async fn a_second_scavenge_finds_nothing_to_do() {
    let sim = Disk::default();
    let before = given(&sim).await;
    let store = open(&sim);
    scavenged(&store).await;
    let files: HashMap<_, _> =
        sim.files("log").into_iter().map(|path| (path.clone(), sim.contents(&path))).collect();

    let progress = scavenged(&store).await;

    assert_eq!((progress.events_dropped, progress.bytes_reclaimed), (0, 0));
    assert!(files.iter().all(|(path, bytes)| sim.contents(path) == *bytes));
    holds(&sim, &store, &before).await;
}

/// How many segments are compressed.
fn packed(sim: &Disk) -> usize {
    let is = |path: &PathBuf| sim.contents(path).starts_with(b"DAYBOOKZ");
    sim.files("log").iter().filter(|path| is(path)).count()
}

/// Compresses the segments of a closed store.
fn pack(sim: &Disk) {
    let store = try_open(sim, true).unwrap();
    until(|| packed(sim) + 1 == sim.files("log").len());
    store.close();
}

#[tokio::test]
async fn compressed_segments_are_scavenged_and_stay_compressed() {
    let sim = Disk::default();
    let before = given(&sim).await;
    pack(&sim);
    let (count, store) = (packed(&sim), open(&sim));

    scavenged(&store).await;

    assert_eq!(packed(&sim), count);
    let live: Vec<_> = before.iter().filter(|event| lives(event)).cloned().collect();
    assert_eq!(all(&store).await, live);
    store.close();
    assert_eq!(all(&open(&sim)).await, live);
}

#[tokio::test]
async fn readers_of_before_finish_and_appends_go_on() {
    let sim = Disk::default();
    let before = given(&sim).await;
    let store = open(&sim);
    let mut early = Box::pin(store.read_all(None, Filter::all()));
    let mut late = Box::pin(store.tail(None, Filter::all()));
    assert_eq!(early.try_next().await.unwrap().as_ref(), before.first());

    let scavenge = store.scavenge(every_last_one());
    for n in 0..40 {
        let fresh = NewEvent { id: Uuid::from_u128(77_000 + n), ..event(5) };
        store.append(&named("fresh-1"), Expected::Any, vec![fresh]).await.unwrap();
    }
    assert_eq!(scavenge.ended().await.state, ScavengeState::Done);

    let is_old = |event: &Recorded| event.position <= before.last().unwrap().position;
    let mut read: Vec<_> = vec![before[0].clone()];
    read.extend(early.try_collect::<Vec<_>>().await.unwrap());
    assert!(read.windows(2).all(|pair| pair[0].position < pair[1].position));
    assert!(read.iter().all(|event| before.contains(event)));
    assert!(before.iter().filter(|event| lives(event)).all(|event| read.contains(event)));
    let mut tailed = Vec::new();
    while tailed.len() < before.iter().filter(|event| lives(event)).count() + 40 {
        match late.try_next().await.unwrap().unwrap() {
            daybook_event_store::Tailed::Event(event) => tailed.push(event),
            daybook_event_store::Tailed::CaughtUp(_) => {}
        }
    }
    let (old, new): (Vec<_>, Vec<_>) = tailed.into_iter().partition(is_old);
    assert!(old.iter().all(|event| before.contains(event)));
    assert_eq!(new.len() + old.len(), before.iter().filter(|e| lives(e)).count() + 40);
}

#[tokio::test]
async fn a_crash_at_every_change_loses_nothing_that_lives() {
    let full = Disk::default();
    let before = given(&full).await;
    crash_at_every_change(&full, &before).await;
}

#[tokio::test]
async fn a_crash_at_every_change_of_compressed_segments_loses_nothing_that_lives() {
    let full = Disk::default();
    let before = given(&full).await;
    pack(&full);
    crash_at_every_change(&full, &before).await;
}

async fn crash_at_every_change(full: &Disk, before: &[Recorded]) {
    let live: Vec<_> = before.iter().filter(|event| lives(event)).cloned().collect();
    let changes = {
        let (sim, first) = (full.copy(), full.changes());
        let store = open(&sim);
        scavenged(&store).await;
        store.close();
        first..sim.changes()
    };
    assert!(changes.len() > 80, "{changes:?}");

    for change in changes {
        let sim = full.copy();
        sim.power_off_at(change);
        if let Ok(store) = try_open(&sim, false) {
            store.scavenge(every_last_one()).ended().await;
            store.close();
        }
        for seed in 0..2 {
            let crashed = sim.crashed(seed);
            let store = open(&crashed);
            let there = all(&store).await;
            assert!(live.iter().all(|event| there.contains(event)), "change {change}");
            assert!(there.iter().all(|event| before.contains(event)), "change {change}");
            if seed == 0 {
                // It goes on by itself, or was over, or had not begun.
                if let Some(resumed) = store.last_scavenge() {
                    assert_eq!(resumed.ended().await.state, ScavengeState::Done);
                }
                scavenged(&store).await;
                assert_eq!(all(&store).await, live);
                assert!(crashed.files("tmp").is_empty());
                retries_are_answered(&store, before).await;
            }
        }
    }
}

#[tokio::test]
async fn closing_interrupts_and_opening_goes_on() {
    let sim = Disk::default();
    let before = given(&sim).await;
    let slow = ScavengeOptions { bytes_per_second: NonZeroU64::MIN, ..every_last_one() };
    let (scavenge, began) = {
        let store = open(&sim);
        let scavenge = store.scavenge(slow);
        until(|| scavenge.progress().segments_total > 0);
        assert_eq!(store.scavenge(every_last_one()).progress(), scavenge.progress(), "the same");
        store.close();
        (scavenge, sim.changes())
    };
    assert_eq!(scavenge.progress().state, ScavengeState::Paused);
    assert!(began > 0 && sim.exists(&Path::new(DIR).join("SCAVENGE")));
    // What was live when it began stays, however late it goes on.
    sim.set_clock(9_000_000 * SECOND);

    let store = open(&sim);
    let resumed = store.last_scavenge().unwrap();
    assert_eq!(resumed.progress().state, ScavengeState::Running);
    resumed.stop();
    store.scavenge(every_last_one());
    assert_eq!(resumed.ended().await.state, ScavengeState::Stopped);
    assert!(!sim.exists(&Path::new(DIR).join("SCAVENGE")));
    let there = all(&store).await;
    assert!(before.iter().filter(|e| lives(e)).all(|event| there.contains(event)));
}

#[tokio::test]
async fn a_segment_with_little_to_give_back_is_left_alone() {
    let sim = Disk::default();
    let before = given(&sim).await;
    let store = open(&sim);

    let most = ScavengeOptions { least_percent: 100, ..every_last_one() };
    let progress = store.scavenge(most).ended().await;

    assert_eq!((progress.state, progress.events_dropped), (ScavengeState::Done, 0));
    assert_eq!(all(&store).await, before);
}

#[tokio::test]
async fn a_full_disk_ends_a_scavenge_and_nothing_else() {
    let full = Disk::default();
    let before = given(&full).await;
    let (mut failed, mut done) = (0, 0);
    for space in (0..9_000).step_by(300) {
        let sim = full.copy();
        let store = open(&sim);
        sim.set_space(Some(space));
        match store.scavenge(every_last_one()).ended().await.state {
            ScavengeState::Failed { reason } => {
                assert!(!reason.is_empty());
                failed += 1;
            }
            // It makes more room than it needs.
            ScavengeState::Done => done += 1,
            state => panic!("with {space} bytes it is {state:?}"),
        }
        sim.set_space(None);

        let there = all(&store).await;
        assert!(before.iter().filter(|e| lives(e)).all(|event| there.contains(event)));
        assert!(there.iter().all(|event| before.contains(event)));
        // With space again, a segment that was written anew may just be getting its index.
        until(|| sim.files("tmp").is_empty());
        scavenged(&store).await;
        holds(&sim, &store, &before).await;
    }
    assert!(failed >= 10 && done >= 5, "{failed} failed, {done} had room enough");
}

#[tokio::test]
async fn a_failing_sync_ends_a_scavenge_and_loses_nothing() {
    let full = Disk::default();
    let before = given(&full).await;
    for others in 0..30 {
        let sim = full.copy();
        let store = open(&sim);
        sim.fail_sync_after(others);
        let scavenge: Scavenge = store.scavenge(every_last_one());
        let progress = scavenge.ended().await;
        let there = all(&store).await;
        assert!(before.iter().filter(|e| lives(e)).all(|event| there.contains(event)));
        store.close();

        let store = open(&sim.crashed(others as u64));

        let there = all(&store).await;
        assert!(before.iter().filter(|e| lives(e)).all(|e| there.contains(e)), "{progress:?}");
        assert!(there.iter().all(|event| before.contains(event)));
    }
}

#[tokio::test]
async fn damage_ends_a_scavenge_with_its_place() {
    let sim = Disk::default();
    given(&sim).await;
    let segment = &sim.files("log")[2];
    let mut bytes = sim.contents(segment);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    sim.overwrite(segment, bytes.clone());
    let store = open(&sim);

    let progress = store.scavenge(every_last_one()).ended().await;

    let ScavengeState::Failed { reason } = progress.state else { panic!("{progress:?}") };
    assert!(reason.contains(segment.file_name().unwrap().to_str().unwrap()), "{reason}");
    assert_eq!(sim.contents(segment), bytes, "it is as it was");
    assert!(store.append(&named("more-1"), Expected::Any, vec![event(9_999)]).await.is_ok());
}

#[tokio::test]
async fn a_store_that_had_to_stop_is_not_scavenged_until_it_is_opened_again() {
    let sim = Disk::default();
    let before = given(&sim).await;
    let store = open(&sim);
    let slow = ScavengeOptions { bytes_per_second: NonZeroU64::MIN, ..every_last_one() };
    let scavenge = store.scavenge(slow);
    until(|| scavenge.progress().segments_total > 0);
    let files: Vec<_> = sim.files("log").iter().map(|path| sim.contents(path)).collect();
    sim.fail_sync_after(0);
    store.append(&named("more-1"), Expected::Any, vec![event(9_999)]).await.unwrap_err();

    let asked = store.scavenge(every_last_one());

    assert_eq!(scavenge.ended().await.state, ScavengeState::Paused);
    let refused = asked.ended().await.state;
    assert!(matches!(refused, ScavengeState::Failed { .. }), "{refused:?}");
    store.close();
    let after: Vec<_> = sim.files("log").iter().map(|path| sim.contents(path)).collect();
    assert_eq!(after[..after.len() - 1], files[..files.len() - 1]);
    let sim = sim.crashed(1);
    let store = open(&sim);
    store.last_scavenge().unwrap().stop();
    store.last_scavenge().unwrap().ended().await;
    scavenged(&store).await;
    let there = all(&store).await;
    assert!(before.iter().filter(|e| lives(e)).all(|event| there.contains(event)));
}

#[tokio::test]
async fn a_closed_store_is_not_scavenged() {
    let sim = Disk::default();
    let store = open(&sim);
    store.close();

    let progress = store.scavenge(every_last_one()).ended().await;

    assert!(matches!(progress.state, ScavengeState::Failed { .. }), "{progress:?}");
}
