//! Figures of one measurement, and what several rounds of it come to.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// What a number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Things done per second.
    PerSecond,
    /// Half of them took at most so long.
    P50Micros,
    /// 99 of 100 took at most so long.
    P99Micros,
    /// Processor time for each thing done: of this process, with those who asked, and of a server's.
    CpuMicros,
    /// How long it took.
    Millis,
    /// Bytes that came from the disk rather than from the system's cache.
    DiskBytesRead,
    /// Bytes taken on disk for each byte of payload.
    BytesPerPayloadByte,
}

/// The figures of one round.
pub type Sample = BTreeMap<Figure, f64>;

/// What several rounds come to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The one in the middle; of two, the lower.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        Some(Self { median: values[(values.len() - 1) / 2], min, max })
    }
}

/// A stretch of work: its time, and the processor time of all threads here and in a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) began: Instant,
    server: Option<u32>,
    cpu: Duration,
}

impl Stretch {
    pub(crate) fn begin() -> Self {
        Self::with(None)
    }

    /// One of which another process has a part.
    pub(crate) fn with(server: Option<u32>) -> Self {
        Self { began: Instant::now(), server, cpu: cpu(server) }
    }

    /// The figures of `count` things that were done, with the time of each where they were timed.
    #[expect(clippy::cast_precision_loss, reason = "counts of some seconds")]
    pub(crate) fn end(self, count: u64, times: Vec<Duration>) -> Sample {
        let seconds = self.began.elapsed().as_secs_f64();
        let cpu = cpu(self.server).saturating_sub(self.cpu);
        let count = count.max(1) as f64;
        let mut sample = latencies(times);
        sample.insert(Figure::PerSecond, count / seconds);
        sample.insert(Figure::CpuMicros, cpu.as_secs_f64() * 1e6 / count);
        sample
    }
}

/// Median and 99th percentile; nothing of nothing.
pub(crate) fn latencies(mut times: Vec<Duration>) -> Sample {
    times.sort_unstable();
    let at = |hundredths: usize| times.get(times.len() * hundredths / 100);
    let figures = [(Figure::P50Micros, at(50)), (Figure::P99Micros, at(99))];
    figures.into_iter().filter_map(|(figure, time)| Some((figure, micros(*time?)))).collect()
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Processor time of this process so far, and of another one where the system tells.
fn cpu(other: Option<u32>) -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    let other = other.and_then(cpu_of).unwrap_or_default();
    Duration::new(time.tv_sec.unsigned_abs(), nanos) + other
}

/// Processor time of another process so far, in ticks of the system, as proc(5) has it.
fn cpu_of(process: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Its name comes second, in parentheses, and may have anything in it. `utime` and `stime` are
    // the fields 14 and 15.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().ok());
    let per_second = u32::try_from(clock_ticks_per_second()).ok()?;
    Some(Duration::from_secs(ticks.sum::<Option<u64>>()?) / per_second)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let times = (0..200).rev().map(Duration::from_micros).collect();

        let sample = latencies(times);

        let is = |figure, micros: f64| (sample[&figure] - micros).abs() < 0.5;
        assert!(is(Figure::P50Micros, 100.0) && is(Figure::P99Micros, 198.0), "{sample:?}");
        assert!(latencies(Vec::new()).is_empty());
    }

    #[test]
    fn a_spread_has_the_middle_and_the_ends() {
        let spread = Spread::of([5.0, 1.0, 3.0]).unwrap();

        assert_eq!(spread, Spread { median: 3.0, min: 1.0, max: 5.0 });
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn processor_time_counts_what_was_worked() {
        let stretch = Stretch::begin();
        while cpu(None) < stretch.cpu + Duration::from_millis(5) {
            std::hint::black_box([0; 64].iter().sum::<i32>());
        }

        let sample = stretch.end(10, Vec::new());

        assert!(sample[&Figure::CpuMicros] >= 500.0, "{sample:?}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn processor_time_of_another_process_counts_too() {
        let (began, worked) = (Instant::now(), Duration::from_millis(50));
        let mut busy = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let stretch = Stretch::with(Some(busy.id()));
        while cpu_of(busy.id()).unwrap() < worked {
            std::thread::sleep(Duration::from_millis(1));
        }
        let (told, passed) = (cpu_of(busy.id()).unwrap(), began.elapsed());
        let sample = stretch.end(1, Vec::new());
        busy.kill().unwrap();
        busy.wait().unwrap();

        // It has one thread, and the system counts in ticks.
        assert!(told <= passed + Duration::from_millis(20), "{told:?} in {passed:?}");
        assert!(sample[&Figure::CpuMicros] >= 40_000.0, "{sample:?}");
        assert_eq!(cpu_of(busy.id()), None);
    }
}
