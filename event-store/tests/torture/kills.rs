//! The process is killed at random moments under load, over and over: while it starts, recovers,
//! writes, begins segments, seals, scavenges and compresses them.
//!
//! `TORTURE_CYCLES` says how often, `TORTURE_SEED` repeats the load of a run (the moments of the
//! kills are the machine's).

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use daybook_event_store::{EmbeddedOptions, EmbeddedStore};
use fastrand::Rng;

use crate::child::{Running, none_starts};
use crate::ledger::{Broken, Ledger};
use crate::planted::Fault;
use crate::program::{Said, Task};

/// How often a folder is killed over.
const LIVES: u32 = 12;

pub(crate) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// What came of the kills.
#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    before_open: usize,
    acknowledged: usize,
    unanswered_but_there: usize,
    segments: usize,
    dropped: usize,
}

/// Kills the program over one folder, again and again.
fn kill_over_a_folder(
    seed: u64,
    lives: u32,
    fault: Option<Fault>,
    tally: &mut Tally,
) -> Result<(), Broken> {
    let mut rng = Rng::with_seed(seed);
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("events");
    // Every other folder has its old events dropped and its segments compressed meanwhile.
    let tended = fault.is_none() && !(tally.kills / LIVES as usize).is_multiple_of(2);
    let segment_bytes = [4 << 10, 16 << 10, 64 << 10][rng.usize(..3)];
    let mut ledger = Ledger::new(seed);
    for life in 0..lives {
        let unanswered = ledger.begin(life);
        let task = Task {
            folder: folder.clone(),
            seed,
            life,
            steps: 100_000,
            segment_bytes,
            unanswered,
            fault,
            tended,
        };
        let opened = live_and_die(&task, &mut rng, &mut ledger);
        tally.kills += 1;
        tally.before_open += usize::from(!opened);
        check(&task.folder, &mut ledger).map_err(|broken| format!("life {life}: {broken}"))?;
        tally.unanswered_but_there += ledger.unanswered_but_there();
    }
    tally.acknowledged += ledger.acknowledged();
    tally.dropped += ledger.dropped();
    let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    tally.segments += files.filter(|path| path.extension().is_some_and(|e| e == "log")).count();
    Ok(())
}

/// Runs the program until it is killed; whether it had opened the store.
fn live_and_die(task: &Task, rng: &mut Rng, ledger: &mut Ledger) -> bool {
    let program = Running::start(task, &[]);
    let mut said = Vec::new();
    // Half of the kills come while it starts or recovers, half after some answers.
    let answers = if rng.bool() { 0 } else { rng.usize(1..150) };
    while said.len() < answers
        && let Some(next) = program.next()
    {
        said.push(next);
    }
    thread::sleep(Duration::from_micros(rng.u64(..if answers == 0 { 12_000 } else { 3_000 })));
    said.extend(program.kill());
    let opened = said.contains(&Said::Open);
    for said in said {
        ledger.hear(task.life, said);
    }
    opened
}

/// Opens a copy: the next life finds the folder as the kill left it.
fn check(folder: &Path, ledger: &mut Ledger) -> Result<(), Broken> {
    let copy = tempfile::tempdir().unwrap();
    if folder.exists() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    check_folder(copy.path(), ledger)
}

/// Opens a folder and checks what it holds.
pub(crate) fn check_folder(folder: &Path, ledger: &mut Ledger) -> Result<(), Broken> {
    let options = EmbeddedOptions { segment_bytes: 16 << 10, ..Default::default() };
    let _none_starts = none_starts();
    let store = EmbeddedStore::open(folder, &options)
        .map_err(|error| format!("cannot be opened: {error}"))?;
    futures::executor::block_on(ledger.check(&store))
}

#[test]
fn what_was_acknowledged_survives_every_kill() {
    let cycles = number("TORTURE_CYCLES").unwrap_or(48);
    let seed = number("TORTURE_SEED").unwrap_or_else(|| Rng::new().u64(..));
    println!("TORTURE_SEED={seed} TORTURE_CYCLES={cycles}");
    let mut seeds = Rng::with_seed(seed);
    let mut tally = Tally::default();
    while tally.kills < usize::try_from(cycles).unwrap() {
        let of_folder = seeds.u64(..);
        if let Err(broken) = kill_over_a_folder(of_folder, LIVES, None, &mut tally) {
            panic!("TORTURE_SEED={seed}, folder {of_folder}: {broken}");
        }
    }
    println!("{tally:?}, nothing broken");
    assert!(tally.acknowledged > tally.kills && tally.segments > tally.kills / 2, "{tally:?}");
    assert!(tally.dropped > 0 || tally.kills < 100, "{tally:?}");
    assert!(tally.before_open > 0 && tally.before_open < tally.kills, "{tally:?}");
}

#[test]
fn a_write_that_is_acknowledged_early_is_noticed() {
    let kill =
        |seed| kill_over_a_folder(seed, 6, Some(Fault::LateWrites), &mut Tally::default()).err();
    let broken: Vec<_> = (0..20).filter_map(kill).collect();
    assert!(broken.iter().any(|broken| broken.contains("is lost")), "{broken:?}");
}
