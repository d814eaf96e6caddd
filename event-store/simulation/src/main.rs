//! `cargo simulate`: runs seeds of simulated disasters, or replays one.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use daybook_event_store_simulation::{Coverage, Outcome, run};

/// A run takes a millisecond; one that takes so long hangs.
const HANGS: Duration = Duration::from_mins(1);
/// Time between two looks at whether one has.
const TICK: Duration = Duration::from_secs(1);
/// Seeds between two reports of a job.
const CHUNK: u64 = 256;

/// Simulated disasters for the embedded event store.
///
/// Each seed is one run: writers, readers, tails and background work in an order that the seed
/// chooses, on a disk that tears, loses, flips, refuses and lies as the seed chooses. A model
/// checks the store's promises (D1 to D7) after every recovery, with every answer and with every
/// event read. The same seed does the same again, byte for byte.
///
/// Exit code: 0 if every promise held, 1 if one did not, 2 if the command was wrong.
#[derive(Debug, Parser)]
#[command(
    name = "cargo simulate",
    after_help = "\
Examples:
  cargo simulate                          the seeds from 0 to 100,000
  cargo simulate --seeds 10000000         ten million
  cargo simulate --from 5000000 --seeds 1000000 --jobs 4
  cargo simulate --seed 4711              one alone: its digest, and what it reached
  cargo simulate --seed 4711 --trace      with every step and every I/O"
)]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 100_000, value_parser = number)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0, value_parser = number)]
    from: u64,
    /// How many to run at the same time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=256))]
    jobs: u64,
    /// Runs this seed alone, twice, and compares.
    #[arg(long, conflicts_with_all = ["seeds", "from", "jobs"], value_parser = number)]
    seed: Option<u64>,
    /// Prints what the seed does, step by step.
    #[arg(long, requires = "seed")]
    trace: bool,
}

/// A number, with `_` or `,` between its digits if one likes.
fn number(text: &str) -> Result<u64, String> {
    let digits: String = text.chars().filter(|c| !matches!(c, '_' | ',')).collect();
    digits.parse().map_err(|error| format!("{error}"))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A panic is reported with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    let held = match arguments.seed {
        Some(seed) => replay(seed, arguments.trace),
        None => run_all(&arguments),
    };
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one seed twice; whether everything held.
fn replay(seed: u64, with_trace: bool) -> bool {
    let Outcome { recording, violation } = run(seed, with_trace);
    if let Some(trace) = &recording.trace {
        // Whoever reads it may stop reading.
        let _ = std::io::stdout().write_all(trace.as_bytes());
    }
    let again = run(seed, with_trace).recording.digest;
    eprintln!("{}", recording.coverage);
    println!("seed {seed}: digest {:016x}", recording.digest);
    if again != recording.digest {
        println!("seed {seed}: NOT DETERMINISTIC: another run has digest {again:016x}");
    }
    match &violation {
        Some(violation) => println!("seed {seed}: VIOLATED {violation}"),
        None => println!("seed {seed}: every invariant holds"),
    }
    violation.is_none() && again == recording.digest
}

/// What a job tells: so many seeds were run, or one went wrong.
enum Report {
    Ran { count: u64, coverage: Box<Coverage> },
    Violated { seed: u64, what: String },
}

/// Runs a range of seeds on some threads; whether everything held.
fn run_all(arguments: &Arguments) -> bool {
    let Arguments { from, seeds, jobs, .. } = *arguments;
    let end = from.saturating_add(seeds);
    let next = AtomicU64::new(from);
    let at_work: Vec<_> = (0..jobs).map(|_| AtomicU64::new(from)).collect();
    let failed = AtomicBool::new(false);
    let begin = Instant::now();
    thread::scope(|scope| {
        let (reports, inbox) = mpsc::channel();
        for mine in &at_work {
            let (reports, next, failed) = (reports.clone(), &next, &failed);
            scope.spawn(move || job(next, end, mine, failed, &reports));
        }
        drop(reports);
        supervise(&inbox, &at_work, seeds, begin)
    })
}

/// Takes chunks of seeds until there are no more.
fn job(
    next: &AtomicU64,
    end: u64,
    mine: &AtomicU64,
    failed: &AtomicBool,
    reports: &Sender<Report>,
) {
    loop {
        let start = next.fetch_add(CHUNK, Ordering::Relaxed);
        if start >= end || failed.load(Ordering::Relaxed) {
            return;
        }
        let mut coverage = Box::<Coverage>::default();
        let chunk = start..end.min(start + CHUNK);
        let count = chunk.end - chunk.start;
        for seed in chunk {
            mine.store(seed, Ordering::Relaxed);
            let outcome = run(seed, false);
            *coverage += &outcome.recording.coverage;
            if let Some(violation) = outcome.violation {
                failed.store(true, Ordering::Relaxed);
                let _ = reports.send(Report::Violated { seed, what: violation.to_string() });
            }
        }
        // Nobody listens only if the command ends.
        let _ = reports.send(Report::Ran { count, coverage });
    }
}

/// Prints progress and what goes wrong; whether nothing did.
fn supervise(inbox: &Receiver<Report>, at_work: &[AtomicU64], seeds: u64, begin: Instant) -> bool {
    let (mut ran, mut violated, mut coverage) = (0, 0_u64, Coverage::default());
    let (mut told, mut waited) = (begin, Duration::ZERO);
    loop {
        match inbox.recv_timeout(TICK) {
            Ok(Report::Ran { count, coverage: more }) => {
                ran += count;
                coverage += &more;
                waited = Duration::ZERO;
            }
            Ok(Report::Violated { seed, what }) => {
                violated += 1;
                println!("seed {seed}: VIOLATED {what}");
                println!("  replay it with: cargo simulate --seed {seed} --trace");
            }
            // Whatever the clock says: a machine that was stopped for a while is no run that hangs.
            Err(RecvTimeoutError::Timeout) => {
                waited += TICK;
                if waited >= HANGS {
                    hang(at_work);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let every = if std::io::stderr().is_terminal() { 1 } else { 30 };
        if told.elapsed() >= Duration::from_secs(every) {
            told = Instant::now();
            progress(ran, seeds, begin);
        }
    }
    progress(ran, seeds, begin);
    println!("{coverage}");
    let missing = coverage.missing();
    if !missing.is_empty() {
        println!("never reached: {}", missing.join("; "));
    }
    println!("{ran} seeds, {violated} violations");
    violated == 0
}

fn progress(ran: u64, seeds: u64, begin: Instant) {
    let seconds = begin.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "it is rounded anyway")]
    let rate = ran as f64 / seconds.max(0.001);
    eprintln!("{ran} of {seeds} seeds in {seconds:.0} s, {rate:.0} a second");
}

/// A run does not end: a lock is held over an I/O, or a loop has no end.
fn hang(at_work: &[AtomicU64]) -> ! {
    let seeds: Vec<_> = at_work.iter().map(|seed| seed.load(Ordering::Relaxed)).collect();
    println!("no run has ended for {} s: one of the seeds {seeds:?} hangs", HANGS.as_secs());
    std::process::exit(1)
}
