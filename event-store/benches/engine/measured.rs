use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::PAYLOAD;

/// A probe's median above this means that the machine is not quiet.
const QUIET: Duration = Duration::from_micros(250);

/// How long each part runs.
pub(crate) fn run_time() -> Duration {
    let seconds = std::env::var("BENCH_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(3.0))
}

/// A stretch of work: its time, and the processor time of all threads.
pub(crate) struct Measured {
    pub(crate) start: Instant,
    cpu: Duration,
}

/// What a stretch of work came to.
#[derive(Clone, Copy)]
pub(crate) struct Rate {
    /// Things per second.
    pub(crate) rate: f64,
    /// Microseconds of processor time for each.
    pub(crate) cpu: f64,
}

impl Measured {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), cpu: cpu() }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds are small")]
    pub(crate) fn rate(&self, count: usize) -> Rate {
        let cpu = cpu().saturating_sub(self.cpu).as_secs_f64() * 1e6 / count as f64;
        Rate { rate: count as f64 / self.start.elapsed().as_secs_f64(), cpu }
    }

    /// Prints so many things per second.
    pub(crate) fn report(&self, what: &str, count: usize) -> Rate {
        let rate = self.rate(count);
        println!("{what}: {:.0} per second, {:.2} µs of CPU each", rate.rate, rate.cpu);
        rate
    }
}

/// The processor time of this process so far; nothing where the system does not tell.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // User and system time, in hundredths of a second.
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Writes of an event's size, each with a sync, one after another: per second.
pub(crate) fn probe(dir: &Path) -> Rate {
    let file = File::create(dir.join("probe")).unwrap();
    let bytes = [7; PAYLOAD];
    let (run, mut times, mut offset) = (Measured::start(), Vec::new(), 0);
    while run.start.elapsed() < run_time() / 3 {
        let before = Instant::now();
        file.write_all_at(&bytes, offset).unwrap();
        file.sync_data().unwrap();
        times.push(before.elapsed());
        offset += PAYLOAD as u64;
    }
    times.sort_unstable();
    let median = times[times.len() / 2];
    let rate = run.report(&format!("probe, write and fdatasync, median {median:?}"), times.len());
    if median > QUIET {
        println!("  the machine is not quiet: do not quote this run");
    }
    rate
}
