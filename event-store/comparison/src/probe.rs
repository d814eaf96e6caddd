//! What the disk can do by itself, so that other figures can be held against it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::stats::{Figure, Sample, Stretch};

/// Above this median the machine is busy, and no figure of its run means much.
const QUIET_MICROS: f64 = 250.0;

/// Writes of 1 KiB one after another, each synced (`fdatasync`).
#[derive(Debug, Clone)]
pub struct Probe(Sample);

impl Probe {
    /// Writes to a file in `folder` for so long.
    pub fn run(folder: &Path, time: Duration) -> std::io::Result<Self> {
        let mut file = File::create(folder.join("probe"))?;
        let (stretch, block) = (Stretch::begin(), [0x5a; 1_024]);
        let mut times = Vec::new();
        while times.is_empty() || stretch.began.elapsed() < time {
            let before = std::time::Instant::now();
            file.write_all(&block)?;
            file.sync_data()?;
            times.push(before.elapsed());
        }
        Ok(Self(stretch.end(times.len() as u64, times)))
    }

    /// The median, in microseconds.
    pub fn median_micros(&self) -> f64 {
        self.0[&Figure::P50Micros]
    }

    /// Whether the machine is quiet enough for figures to mean something.
    pub fn is_quiet(&self) -> bool {
        self.median_micros() <= QUIET_MICROS
    }

    /// One that found this.
    #[cfg(test)]
    pub(crate) fn fixed(micros: f64) -> Self {
        Self([(Figure::P50Micros, micros)].into())
    }

    /// All its figures.
    pub(crate) fn sample(&self) -> Sample {
        self.0.clone()
    }
}
