//! What the disk can do by itself, so that other figures can be held against it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long to look.
const FOR: Duration = Duration::from_secs(1);

/// Above this the machine is busy, and no figure of this run means much.
const QUIET: Duration = Duration::from_micros(250);

/// The median time to write 1 KiB and have it on disk.
pub(super) struct Probe {
    pub(super) median: Duration,
}

impl Probe {
    /// Writes to a file in `folder`.
    pub(super) fn of(folder: &Path) -> std::io::Result<Self> {
        let mut file = File::create(folder.join("probe"))?;
        let (began, block) = (Instant::now(), [0x5a; 1_024]);
        let mut times = Vec::new();
        while began.elapsed() < FOR {
            let before = Instant::now();
            file.write_all(&block)?;
            file.sync_data()?;
            times.push(before.elapsed());
        }
        times.sort_unstable();
        Ok(Self { median: times[times.len() / 2] })
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.median < QUIET
    }
}
