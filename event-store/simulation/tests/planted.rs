//! The simulator finds what is wrong: each planted bug breaks an invariant within so many seeds.

use std::collections::BTreeMap;
use std::thread;

use daybook_event_store::planted::{Bug, plant};
use daybook_event_store_simulation::{Invariant, Lie, run, tell};

/// A bug that needs more seeds than this is not found.
const MOST_SEEDS: u64 = 30_000;

/// What is planted, on the thread that runs the seeds.
#[derive(Debug, Clone, Copy)]
enum Planted {
    Engine(Bug),
    Disk(Lie),
}

impl Planted {
    fn all() -> Vec<(Self, &'static str)> {
        let disk = Lie::ALL.iter().map(|&(lie, text)| (Self::Disk(lie), text));
        disk.chain(Bug::ALL.iter().map(|&(bug, text)| (Self::Engine(bug), text))).collect()
    }

    fn plant(self) {
        match self {
            Self::Engine(bug) => plant(Some(bug)),
            Self::Disk(lie) => tell(Some(lie)),
        }
    }
}

fn take_out() {
    plant(None);
    tell(None);
}

/// The first seed that finds a bug, and the invariant that it breaks; without the bug it holds.
fn found(planted: Planted) -> Option<(u64, Invariant)> {
    let found = (0..MOST_SEEDS).find_map(|seed| {
        planted.plant();
        let violation = run(seed, false).violation;
        take_out();
        Some((seed, violation?.invariant))
    });
    let sound = |seed| run(seed, false).violation.is_none();
    found.filter(|(seed, _)| sound(*seed))
}

/// A row of the table.
type Row = (&'static str, Option<(u64, Invariant)>);

#[test]
fn every_planted_bug_is_found() {
    // A bug may make the engine panic: that is found too.
    std::panic::set_hook(Box::new(|_| {}));
    let all = Planted::all();
    let halves = [0, 1].map(|half| {
        let mine: Vec<_> = all.iter().copied().skip(half).step_by(2).collect();
        thread::spawn(move || -> Vec<Row> {
            mine.into_iter().map(|(planted, text)| (text, found(planted))).collect()
        })
    });
    let rows: BTreeMap<_, _> =
        halves.into_iter().flat_map(|half| half.join().expect("a test thread ends")).collect();
    let _ = std::panic::take_hook();

    println!("| planted bug | found by | seeds until then |\n|---|---|---|");
    for (_, text) in &all {
        match rows[text] {
            Some((seed, invariant)) => println!("| {text} | {invariant} | {} |", seed + 1),
            None => println!("| {text} | NOT FOUND | {MOST_SEEDS} |"),
        }
    }
    let killed = rows.values().flatten().count();
    println!("\n{killed} of {} planted bugs are found", rows.len());
    assert_eq!(killed, rows.len());
}

#[test]
fn what_is_taken_out_is_gone() {
    let found = found(Planted::Engine(Bug::NoRecordCrc));
    let seed = found.expect("it is found").0;
    assert_eq!(run(seed, false).violation, None);
}
