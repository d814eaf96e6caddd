//! Figures of one measurement, and what several rounds of it come to.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

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
    /// Processor time of the whole process, with those who asked, for each thing done.
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

/// A stretch of work: its time, and the processor time of all threads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) began: Instant,
    cpu: Duration,
}

impl Stretch {
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now(), cpu: cpu() }
    }

    /// The figures of `count` things that were done, with the time of each where they were timed.
    #[expect(clippy::cast_precision_loss, reason = "counts of some seconds")]
    pub(crate) fn end(self, count: u64, times: Vec<Duration>) -> Sample {
        let (seconds, cpu) = (self.began.elapsed().as_secs_f64(), cpu().saturating_sub(self.cpu));
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

/// Processor time of this process so far.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
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
        while cpu() < stretch.cpu + Duration::from_millis(5) {
            std::hint::black_box([0; 64].iter().sum::<i32>());
        }

        let sample = stretch.end(10, Vec::new());

        assert!(sample[&Figure::CpuMicros] >= 500.0, "{sample:?}");
    }
}
