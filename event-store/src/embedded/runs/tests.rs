//! Runs, however they came about, against plain maps.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Candidate, Merge, Run, RunPart, write_segment};
use crate::ReadError;
use crate::embedded::bytes::{mix, narrow, size};
use crate::embedded::cache::{Cache, Io};
use crate::embedded::error::Fault;
use crate::embedded::open::Folder;
use crate::embedded::vfs::RealVfs;

fn folder(dir: &Path) -> Folder {
    Folder::new(Arc::new(RealVfs), dir.to_owned(), Cache::new(1 << 20))
}

/// The hash of an event.
fn hash(position: u64) -> u64 {
    mix(position)
}

fn digest(first: u64) -> u64 {
    mix(first + 1)
}

/// The keys of a segment's lists, with where their entries are.
type Lists = Vec<(u64, u32)>;

/// A run of one segment, with an event per position.
fn segment(folder: &Folder, positions: Range<u64>, lists: &Lists) -> Arc<Run> {
    let first = positions.start;
    let hashes = positions.clone().map(|position| (hash(position), narrow(size(position - first))));
    Arc::new(write_segment(folder, positions, digest(first), hashes, lists).unwrap())
}

fn merged(folder: &Folder, inputs: &[Arc<Run>]) -> Arc<Run> {
    let mut merge = Merge::new(folder, inputs.to_vec()).unwrap();
    while !merge.step().unwrap() {}
    Arc::new(merge.finish(folder).unwrap())
}

fn candidates(run: &Run, key: u64, segments: Range<u64>) -> Vec<Candidate> {
    let places = run.candidates(key, &segments, Io::Allowed).unwrap();
    places.map(|n| run.candidate(n, &segments, Io::Allowed).unwrap()).collect()
}

/// Checks that runs tell what the segments hold: the first position and the lists of each.
fn check(runs: &[Arc<Run>], segments: &BTreeMap<u64, Lists>, end: u64) {
    assert!(runs.windows(2).all(|pair| pair[0].positions.end == pair[1].positions.start));
    let parts = runs.iter().flat_map(|run| &run.parts).copied();
    assert!(parts.eq(segments.keys().map(|&first| RunPart { first, digest: digest(first) })));
    for position in 0..end + 50 {
        let found =
            runs.iter().flat_map(|run| run.id_candidates(hash(position), Io::Allowed).unwrap());
        let expected = (position < end).then_some(position);
        assert!(found.eq(expected), "the id of {position}");
    }
    for key in 0..12 {
        let of_key = |window: Range<u64>| {
            segments.range(window).flat_map(move |(&segment, lists)| {
                let of_key = lists.iter().filter(move |list| list.0 == key);
                of_key.map(move |&(_, at)| Candidate { segment, at })
            })
        };
        for window in [0..u64::MAX, 0..end / 2, end / 3..end, end..u64::MAX] {
            let found = runs.iter().flat_map(|run| candidates(run, key, window.clone()));
            assert!(found.eq(of_key(window.clone())), "list {key} in {window:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_merges_tell_what_the_segments_hold(
        segments in vec((1_u64..40, vec(0_u64..10, 0..8)), 1..14),
        merges in vec((any::<prop::sample::Index>(), 2_usize..5), 0..8),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        let (mut runs, mut model, mut end) = (Vec::new(), BTreeMap::new(), 0);
        for (count, mut keys) in segments {
            keys.sort_unstable();
            let lists: Lists = keys.into_iter().zip((0..).step_by(7)).collect();
            runs.push(segment(&folder, end..end + count, &lists));
            model.insert(end, lists);
            end += count;
        }
        check(&runs, &model, end);
        for (start, count) in merges {
            let start = start.index(runs.len());
            let range = start..runs.len().min(start + count);
            let run = merged(&folder, &runs[range.clone()]);
            runs.splice(range, [run]);
            check(&runs, &model, end);
        }
        let opened = |run: &Arc<Run>| Run::open(&folder, run.positions.clone()).map(Arc::new);
        let again: Result<Vec<_>, _> = runs.iter().map(opened).collect();
        check(&again.unwrap(), &model, end);
    }
}

#[test]
fn a_merge_of_many_entries_goes_in_steps() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path());
    let runs: Vec<_> = (0..4_u64)
        .map(|n| segment(&folder, n * 50_000..(n + 1) * 50_000, &vec![(n % 2, 3), (9, 5)]))
        .collect();

    let mut merge = Merge::new(&folder, runs).unwrap();
    let mut steps = 1;
    while !merge.step().unwrap() {
        steps += 1;
    }
    let run = merge.finish(&folder).unwrap();

    assert!(steps > 3, "{steps}");
    for position in (0..200_000).step_by(997) {
        assert_eq!(run.id_candidates(hash(position), Io::Allowed).unwrap(), [position]);
    }
    // Keys are parts of hashes: now and then one of another event is the same.
    let alike = |n: &u64| !run.id_candidates(hash(*n), Io::Allowed).unwrap().is_empty();
    assert!((200_000..300_000).filter(alike).count() < 3);
    assert_eq!(candidates(&run, 9, 0..u64::MAX).len(), 4);
    assert_eq!(candidates(&run, 1, 60_000..u64::MAX), [Candidate { segment: 150_000, at: 3 }]);
    assert!(run.bytes() < 200_000 * 122 / 10, "{} bytes", run.bytes());
}

#[test]
fn a_flipped_byte_is_reported_or_hides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path());
    let lists: Lists = (0..700).map(|key| (key, 1)).collect();
    let positions = segment(&folder, 0..900, &lists).positions.clone();
    let path = dir.path().join(crate::embedded::layout::run(&positions));
    let whole = std::fs::read(&path).unwrap();
    let look = |run: &Run| -> Result<(), Fault> {
        for position in (0..900).step_by(50) {
            assert_eq!(run.id_candidates(hash(position), Io::Allowed)?, [position]);
        }
        for key in (0..700).step_by(50) {
            assert_eq!(run.candidates(key, &(0..900), Io::Allowed)?.count(), 1);
        }
        Ok(())
    };
    let mut reported = 0;
    for at in (0..whole.len()).step_by(11) {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        std::fs::write(&path, bytes).unwrap();
        let run = Run::open(&folder, positions.clone());
        match run.and_then(|run| look(&run).inspect_err(|_| assert!(run.is_damaged()))) {
            Ok(()) => {}
            Err(Fault::Read(ReadError::Damaged { place, .. })) => {
                let offset = format!(".run, offset {}", at / 4_096 * 4_096);
                assert!(place.ends_with(&offset), "byte {at}: {place}");
                reported += 1;
            }
            Err(other) => panic!("byte {at}: {other:?}"),
        }
    }
    assert_eq!(reported, whole.len().div_ceil(11), "every block is looked at");
}
