//! A bounded, seeded run of every target on mutations of real files, and of what is real on the wire.
//!
//! `FUZZ_RUNS` says how many of each, `FUZZ_SEED` repeats a run.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use daybook_fuzz::{Outcome, Target, Wire, folder, seed};
use fastrand::Rng;

/// The system's memory, and the longest piece that was asked for.
struct Measured;

static LONGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: it passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Measured {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LONGEST.fetch_max(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LONGEST.fetch_max(size, Ordering::Relaxed);
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static MEMORY: Measured = Measured;

/// Longest piece of memory for these inputs, which are far shorter: the cache's and the threads'
/// own.
const MOST_MEMORY: usize = 16 << 20;

/// The same where a message may be declared that is far longer than what came of it.
const MOST_MESSAGE: usize = 40 << 20;

/// Longest that one input may take: whoever takes longer loops.
const PATIENCE: Duration = Duration::from_mins(2);

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Changes some bytes here and there, or some more of them.
fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.usize(1..6) {
        let at = rng.usize(..=bytes.len());
        let end = (at + rng.usize(1..64)).min(bytes.len());
        match rng.u32(..8) {
            0 => bytes.truncate(at),
            1 => {
                let new: Vec<_> = (0..rng.usize(1..40)).map(|_| rng.u8(..)).collect();
                bytes.splice(at..at, new);
            }
            2 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            3 => drop(bytes.drain(at..end)),
            4 | 5 => number_at(rng, bytes, at),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.u32(..8);
                }
            }
        }
    }
}

/// Puts a number there that is likely to be at a limit.
fn number_at(rng: &mut Rng, bytes: &mut [u8], at: usize) {
    let interesting = [0, 1, 2, 7, 8, 24, 48, 255, 4_096, 65_535, 1 << 31, u64::from(u32::MAX)];
    let near = bytes.len() as u64 + rng.u64(..64);
    let number = match rng.u32(..6) {
        0 => u64::MAX - rng.u64(..3),
        1 => near,
        2 => rng.u64(..near),
        _ => interesting[rng.usize(..interesting.len())],
    };
    let width = [1, 2, 4, 8][rng.usize(..4)];
    let end = (at + width).min(bytes.len());
    bytes[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
}

fn seed_bytes(target: Target) -> Vec<u8> {
    let files = seed(target);
    target.file().map_or_else(|| folder(&files), |name| files[name].clone())
}

/// Runs a target on mutations of its seeds in turn, within so much memory.
fn run<O: Ord + Debug + Send + 'static>(
    what: &str,
    seeds: &[Vec<u8>],
    most_memory: usize,
    feed: fn(&[u8]) -> O,
) {
    let (runs, first) = (number("FUZZ_RUNS", 3_000), number("FUZZ_SEED", 1));
    let mut outcomes: BTreeMap<O, u64> = BTreeMap::new();
    LONGEST.store(0, Ordering::Relaxed);
    for n in first..first + runs {
        let mut bytes = seeds[n as usize % seeds.len()].clone();
        mutate(&mut Rng::with_seed(n), &mut bytes);
        let (sender, ended) = std::sync::mpsc::channel();
        let input = bytes.clone();
        let work = std::thread::spawn(move || {
            let outcome = catch_unwind(|| feed(&bytes));
            sender.send(()).unwrap();
            outcome
        });
        assert!(ended.recv_timeout(PATIENCE).is_ok(), "{what}, FUZZ_SEED={n}: it hangs");
        let Ok(Ok(outcome)) = work.join() else {
            std::fs::create_dir_all("artifacts").unwrap();
            std::fs::write(format!("artifacts/{what}-{n}"), input).unwrap();
            panic!("{what}, FUZZ_SEED={n} FUZZ_RUNS=1; the input is in artifacts/");
        };
        *outcomes.entry(outcome).or_default() += 1;
        let longest = LONGEST.load(Ordering::Relaxed);
        assert!(longest <= most_memory, "{what}, FUZZ_SEED={n}: {longest} bytes of memory");
    }
    println!("{what}: {runs} mutations of {} seeds: {outcomes:?}", seeds.len());
    assert!(runs < 1_000 || outcomes.len() > 1, "the mutations reach more than one outcome");
}

fn run_files(target: Target) {
    let whole = seed_bytes(target);
    assert_eq!(target.run(&whole), Outcome::Read, "the seed itself");
    let feed = match target {
        Target::Segment => |bytes: &[u8]| Target::Segment.run(bytes),
        Target::Index => |bytes: &[u8]| Target::Index.run(bytes),
        Target::Compressed => |bytes: &[u8]| Target::Compressed.run(bytes),
        Target::Folder => |bytes: &[u8]| Target::Folder.run(bytes),
    };
    run(&format!("{target:?}"), &[whole], MOST_MEMORY, feed);
}

#[test]
fn a_last_segment_of_any_bytes_is_recovered_or_refused() {
    run_files(Target::Segment);
}

#[test]
fn an_index_of_any_bytes_is_made_anew_or_reported() {
    run_files(Target::Index);
}

#[test]
fn a_compressed_segment_of_any_bytes_is_read_or_reported() {
    run_files(Target::Compressed);
}

#[test]
fn a_folder_of_any_bytes_is_recovered_or_refused() {
    run_files(Target::Folder);
}

#[test]
fn requests_of_any_bytes_are_answered_or_refused() {
    run("Requests", &Wire::Requests.seeds(), MOST_MESSAGE, |bytes| Wire::Requests.run(bytes));
}

#[test]
fn a_filter_of_any_bytes_is_refused_or_answers_within_bounds() {
    run("Filter", &Wire::Filter.seeds(), MOST_MEMORY, |bytes| Wire::Filter.run(bytes));
}

#[test]
fn a_group_to_which_anything_happens_loses_nothing() {
    run("Machine", &Wire::Machine.seeds(), MOST_MEMORY, |bytes| Wire::Machine.run(bytes));
}

#[test]
fn requests_that_are_as_they_should_be_are_served() {
    for seed in Wire::Requests.seeds() {
        let codes = daybook_event_store_server::fuzzing::requests(&seed);
        // Consumers of groups are told that they have left.
        assert!(codes.iter().all(|code| *code <= 1), "{codes:?}");
    }
}

/// What the seeds are for `cargo fuzz`.
#[test]
#[ignore = "writes the seeds to corpus/"]
fn the_seeds_are_written() {
    let write = |target: String, seed: Vec<u8>, n: usize| {
        let dir = std::path::Path::new("corpus").join(target.to_lowercase());
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(format!("seed{n}")), seed).unwrap();
    };
    for target in Target::ALL {
        write(format!("{target:?}"), seed_bytes(target), 0);
    }
    for target in Wire::ALL {
        for (n, seed) in target.seeds().into_iter().enumerate() {
            write(format!("{target:?}"), seed, n);
        }
    }
}
