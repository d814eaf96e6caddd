//! Checking a store's files, and salvaging what is left of them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daybook_event_store::{
    Checked, EmbeddedOptions, EmbeddedStore, EventStore, Expected, Finding, Recorded, Salvage,
    Salvaged, ScavengeOptions, ScavengeState, StoreFolder,
};
use daybook_event_store_simulation::Disk;
use uuid::Uuid;

use crate::given::{DIR, all, event, history, open, options, stream, until, written};

pub(crate) fn check(sim: &Disk) -> (Checked, Vec<Finding>) {
    let mut findings = Vec::new();
    let folder = StoreFolder::with(Arc::new(sim.clone()), DIR);
    let checked = folder.check(&mut |finding| findings.push(finding), &mut |_, _| {}).unwrap();
    assert_eq!(checked.findings, findings.len() as u64);
    (checked, findings)
}

pub(crate) struct Salvaging {
    pub(crate) events: Vec<Recorded>,
    /// Positions of those that may never have been acknowledged.
    unfinished: Vec<u64>,
    pub(crate) lost: Vec<Finding>,
    salvage: Salvage,
}

pub(crate) fn salvage(sim: &Disk) -> Salvaging {
    let (mut events, mut unfinished, mut lost) = (Vec::new(), Vec::new(), Vec::new());
    let mut take = |salvaged| {
        match salvaged {
            Salvaged::Event { event, unfinished: is_unfinished, .. } => {
                unfinished.extend(is_unfinished.then_some(event.position.0));
                events.push(event.into());
            }
            Salvaged::Lost(finding) => lost.push(finding),
        }
        Ok(())
    };
    let folder = StoreFolder::with(Arc::new(sim.clone()), DIR);
    let salvage = folder.salvage(&mut take, &mut |_, _| {}).unwrap();
    assert_eq!((salvage.events, salvage.lost), (events.len() as u64, lost.len() as u64));
    Salvaging { events, unfinished, lost, salvage }
}

impl Salvaging {
    /// All events are either there, byte by byte, or said to be lost.
    #[track_caller]
    fn then_accounts_for(&self, events: &[Recorded]) {
        let mut there: BTreeSet<u64> = BTreeSet::new();
        for event in &self.events {
            let at = usize::try_from(event.position.0).unwrap();
            assert_eq!(event, &events[at]);
            assert!(there.insert(event.position.0), "{} twice", event.position);
        }
        let lost: BTreeSet<u64> =
            self.lost.iter().flat_map(|finding| finding.positions.clone()).collect();
        assert!(there.is_disjoint(&lost), "{lost:?}");
        assert_eq!(there.len() + lost.len(), events.len(), "{lost:?}");
        assert_eq!(self.salvage.lost_events, lost.len() as u64);
    }
}

async fn given(count: usize) -> (Disk, Vec<Recorded>) {
    let sim = Disk::default();
    let store = open(&sim);
    history(&store, 0..count).await;
    let events = all(&store).await;
    drop(store);
    (sim, events)
}

fn change(sim: &Disk, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Disk {
    let copy = sim.copy();
    let mut bytes = copy.contents(path);
    change(&mut bytes);
    copy.overwrite(path, bytes);
    copy
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// The positions of a segment.
fn positions(segments: &[PathBuf], n: usize, count: usize) -> Range<u64> {
    let first = |n: usize| segments.get(n).map(|path| name(path)[..20].parse().unwrap());
    first(n).unwrap()..first(n + 1).unwrap_or(count as u64)
}

#[tokio::test]
async fn a_sound_store_has_no_findings() {
    for count in [0, 1, 60] {
        let (sim, events) = given(count).await;

        let (checked, findings) = check(&sim);

        assert_eq!(findings, []);
        assert_eq!((checked.events, checked.unfinished_bytes), (count as u64, 0));
        assert_eq!(checked.segments, sim.files("log").len());
        assert_eq!(checked.indexes + checked.without_index, checked.segments - 1);
        if count > 0 {
            salvage(&sim).then_accounts_for(&events);
        }
    }
}

#[tokio::test]
async fn a_store_is_checked_beside_its_writer() {
    let sim = Disk::default();
    let writer = open(&sim);
    history(&writer, 0..50).await;

    // The store's own work in the background ends; what the check wrote would be there each time.
    until(|| {
        let changes = sim.changes();
        let (checked, findings) = check(&sim);
        assert_eq!((checked.events, findings), (50, vec![]));
        sim.changes() == changes
    });
}

#[tokio::test]
async fn an_unfinished_write_is_no_damage_and_is_salvaged_as_such() {
    let (sim, events) = given(10).await;
    let log = &sim.files("log")[0];
    let store = open(&sim);
    let before = sim.contents(log).len();
    store.append(&stream(0), Expected::Any, vec![event(10), event(11)]).await.unwrap();
    let after = written(&sim.contents(log));
    drop(store);
    let torn = change(&sim, log, |bytes| bytes.truncate(after - 9));

    let (checked, findings) = check(&torn);

    assert_eq!((checked.events, findings), (10, vec![]));
    assert_eq!(checked.unfinished_bytes, (after - before - 9) as u64);
    let left = salvage(&torn);
    assert_eq!(left.events[..10], events);
    assert_eq!((left.unfinished, left.events[10].data.clone()), (vec![10], event(10).data));
    assert!(!left.lost.is_empty());
}

#[tokio::test]
async fn every_flipped_byte_is_found_with_its_place_and_costs_one_event() {
    let (sim, events) = given(60).await;
    let segments = sim.files("log");
    for (n, log) in segments.iter().enumerate().take(2) {
        let within = positions(&segments, n, events.len());
        for byte in (0..sim.contents(log).len()).step_by(3) {
            let bad = change(&sim, log, |bytes| bytes[byte] ^= 1 << (byte % 8));

            let (checked, findings) = check(&bad);
            let left = salvage(&bad);

            let here = |finding: &&Finding| {
                let Range { start, end } = finding.bytes;
                finding.file == name(log) && (start..end.max(start + 1)).contains(&(byte as u64))
            };
            let found = findings.iter().find(here);
            let found = found.unwrap_or_else(|| panic!("byte {byte}: {findings:?}"));
            assert!(found.positions.end - found.positions.start <= 1, "{found:?}");
            assert!(found.positions.clone().all(|position| within.contains(&position)));
            assert!(checked.events + 1 >= events.len() as u64);
            left.then_accounts_for(&events);
            assert!(left.salvage.lost_events <= 1, "byte {byte}");
        }
    }
}

#[tokio::test]
async fn the_stream_of_a_lost_event_is_told() {
    let (sim, events) = given(60).await;
    let log = &sim.files("log")[0];
    let payload = &events[7].data;
    let bytes = sim.contents(log);
    let at = bytes.windows(payload.len()).position(|bytes| bytes == payload).unwrap();

    let (_, findings) = check(&change(&sim, log, |bytes| bytes[at] ^= 1));

    assert_eq!((findings[0].positions.clone(), &findings[0].stream), (7..8, &Some(stream(1))));
    let gap = findings.iter().find(|finding| finding.reason.contains("revision 3 comes where 2"));
    assert_eq!(gap.unwrap().stream, Some(stream(1)), "{findings:?}");
}

#[tokio::test]
async fn large_holes_are_told_and_what_is_around_them_is_salvaged() {
    let (sim, events) = given(60).await;
    let segments = sim.files("log");
    let log = &segments[1];
    let length = sim.contents(log).len();
    for hole in [0..40, 0..length / 2, 100..700, 513..1_025, length / 2..length, 0..length] {
        for filling in [0_u8, 0xab] {
            let bad = change(&sim, log, |bytes| bytes[hole.clone()].fill(filling));

            let (_, findings) = check(&bad);

            assert!(findings.iter().any(|finding| finding.file == name(log)), "{findings:?}");
            let left = salvage(&bad);
            left.then_accounts_for(&events);
            let within = positions(&segments, 1, events.len());
            let outside = events.len() as u64 - (within.end - within.start);
            assert!(left.salvage.events >= outside, "{hole:?}");
            let most = hole.len() as u64 / 140 + 2;
            assert!(left.salvage.lost_events <= most, "{hole:?}: {:?}", left.salvage);
        }
    }
}

#[tokio::test]
async fn missing_and_cut_segments_are_told() {
    let (sim, events) = given(60).await;
    let segments = sim.files("log");
    for (n, log) in segments.iter().enumerate().take(segments.len() - 1) {
        let missing = sim.copy();
        missing.delete(log);
        let cut = change(&sim, log, |bytes| bytes.truncate(bytes.len() / 2));
        let within = positions(&segments, n, events.len());

        let (_, findings) = check(&missing);

        assert!(findings.iter().any(|finding| finding.positions == within), "{findings:?}");
        salvage(&missing).then_accounts_for(&events);
        let (_, findings) = check(&cut);
        let lost = findings.iter().find(|finding| finding.positions.end == within.end);
        assert!(lost.is_some(), "{findings:?}");
        salvage(&cut).then_accounts_for(&events);
    }
}

/// Gives an event another id, with a good checksum.
fn with_id(segment: &mut [u8], of: &Recorded, id: Uuid) {
    let at = segment.windows(16).position(|bytes| bytes == of.id.as_bytes()).unwrap();
    segment[at..at + 16].copy_from_slice(id.as_bytes());
    let record = &mut segment[at - 16..];
    let length = u32::from_le_bytes(record[4..8].try_into().unwrap());
    let crc = crc32c::crc32c(&of.position.0.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &record[4..usize::try_from(length).unwrap()]);
    record[..4].copy_from_slice(&crc.to_le_bytes());
}

#[tokio::test]
async fn an_id_twice_in_a_stream_is_told_and_one_in_two_streams_is_not() {
    let sim = Disk::default();
    let store = open(&sim);
    history(&store, 0..39).await;
    store.append(&stream(1), Expected::Any, vec![event(0)]).await.unwrap();
    history(&store, 39..40).await;
    let events = all(&store).await;
    drop(store);
    assert_eq!(check(&sim).1, []);

    let last = sim.files("log").pop().unwrap();
    let twice = change(&sim, &last, |bytes| with_id(bytes, &events[40], events[0].id));

    let (checked, findings) = check(&twice);
    assert_eq!(checked.events, 41);
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!((&finding.stream, &finding.positions), (&Some(stream(0)), &(40..41)));
    assert_eq!(finding.reason, "its id is that of the stream's event at position 0");
}

#[tokio::test]
async fn a_wrong_index_is_told_and_a_missing_one_is_not() {
    let (sim, events) = given(60).await;
    let index = &sim.files("idx")[1];
    let (sound, _) = check(&sim);
    for byte in (0..sim.contents(index).len()).step_by(5) {
        let (_, findings) = check(&change(&sim, index, |bytes| bytes[byte] ^= 1 << (byte % 8)));
        assert_eq!(findings.len(), 1, "byte {byte}: {findings:?}");
        assert_eq!(findings[0].file, name(index));
    }

    sim.delete(index);
    let (checked, findings) = check(&sim);

    assert_eq!((checked.without_index, checked.indexes), (1, sound.indexes - 1));
    assert_eq!((checked.events, findings), (events.len() as u64, vec![]));
}

#[tokio::test]
async fn compressed_segments_are_checked_and_salvaged_block_by_block() {
    let sim = Disk::default();
    let with = |compress| EmbeddedOptions { segment_bytes: 100_000, compress, ..options() };
    let open = |options| EmbeddedStore::open_with(Arc::new(sim.clone()), DIR, &options).unwrap();
    history(&open(with(false)), 0..600).await;
    let writer = open(with(true));
    let log = sim.files("log")[0].clone();
    until(|| sim.contents(&log).starts_with(b"DAYBOOKZ"));
    let events = all(&writer).await;
    drop(writer);
    assert_eq!(check(&sim).1, []);

    let middle = sim.contents(&log).len() / 2;
    let bad = change(&sim, &log, |bytes| bytes[middle] ^= 1);

    let (_, findings) = check(&bad);
    assert!(findings.iter().any(|finding| finding.reason.contains("compressed")), "{findings:?}");
    let left = salvage(&bad);
    left.then_accounts_for(&events);
    assert!((1..150).contains(&left.salvage.lost_events), "{}", left.salvage.lost_events);
}

#[tokio::test]
async fn scavenged_segments_are_sound_and_their_gaps_are_salvaged_as_such() {
    let sim = Disk::default();
    let store = open(&sim);
    history(&store, 0..60).await;
    let before = all(&store).await;
    store.delete(&stream(1), Expected::Any).await.unwrap();
    // It passes over segments that have no index yet.
    until(|| sim.files("idx").len() + 1 == sim.files("log").len());
    let options = ScavengeOptions { least_percent: 0, ..ScavengeOptions::default() };
    let scavenge = store.scavenge(options);
    until(|| scavenge.progress().state != ScavengeState::Running);
    assert_eq!(scavenge.progress().state, ScavengeState::Done);
    let dropped = scavenge.progress().events_dropped;
    assert!(dropped > 5, "{:?}", scavenge.progress());
    drop(store);

    assert_eq!(check(&sim).1, []);

    let left = salvage(&sim);
    let husks = left.events.iter().filter(|event| event.data.is_empty()).count();
    assert_eq!((husks as u64, left.salvage.lost_events), (dropped, 0));
    let known = |event: &Recorded| (event.position, event.id, event.revision, event.recorded_at);
    for (event, intact) in left.events.iter().zip(&before) {
        assert_eq!(known(event), known(intact));
    }
}

#[tokio::test]
async fn a_store_is_summed_up_beside_its_writer() {
    for count in [0, 1, 60] {
        let sim = Disk::default();
        let writer = open(&sim);
        history(&writer, 0..count).await;
        if count == 60 {
            writer.delete(&stream(1), Expected::Any).await.unwrap();
        }
        let events = all(&writer).await;

        let summary = StoreFolder::with(Arc::new(sim.clone()), DIR).summary().unwrap();

        let streams: BTreeSet<_> = events.iter().map(|event| &event.stream).collect();
        assert_eq!((summary.events, summary.streams), (events.len() as u64, streams.len() as u64));
        assert_eq!(summary.categories.values().sum::<u64>(), summary.events);
        assert_eq!(summary.categories.get("order").copied().unwrap_or_default(), count as u64);
        assert_eq!(summary.kinds.values().sum::<u64>(), summary.events);
        let even = events.iter().filter(|event| &*event.kind == "Even").count() as u64;
        assert_eq!(summary.kinds.get("Even").copied().unwrap_or_default(), even);
        assert_eq!(summary.first_recorded_at, events.first().map(|event| event.recorded_at));
        assert_eq!(summary.last_recorded_at, events.last().map(|event| event.recorded_at));
        let logs = || sim.files("log").into_iter().map(|path| sim.contents(&path));
        let bytes: usize = logs().map(|log| log.len()).sum();
        let without_zeros: usize = logs().map(|log| written(&log)).sum();
        if count > 0 {
            let found = (summary.log_bytes, summary.plain_bytes);
            assert_eq!(found, (bytes as u64, without_zeros as u64));
        }
    }
}
