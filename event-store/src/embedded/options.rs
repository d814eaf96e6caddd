use super::error::OpenError;
use crate::Limits;

/// What can be chosen when a store is opened. None of it is kept: it may differ the next time.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// A segment is closed, and the next begun, before it grows over so many bytes; 4 KiB to
    /// 1 GiB. An append that is larger has a segment to itself.
    pub segment_bytes: u64,
    /// Bytes of the log and of indexes to keep in memory.
    pub cache_bytes: u64,
    /// The most that one append may hold.
    pub limits: Limits,
    /// Whether to compress segments in the background once they are closed. Those that are stay
    /// so, and are read all the same, when it is not chosen any more.
    pub compress: bool,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            cache_bytes: 128 << 20,
            limits: Limits::default(),
            compress: false,
        }
    }
}

impl EmbeddedOptions {
    /// Offsets within a segment have 32 bits; these bounds keep far below.
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let within = |option, min, max, actual: u64| {
            if (min..=max).contains(&actual) {
                Ok(())
            } else {
                Err(OpenError::Option { option, min, max, actual })
            }
        };
        let Limits { append_bytes, append_events, .. } = self.limits;
        within("bytes of a segment", 4 << 10, 1 << 30, self.segment_bytes)?;
        within("bytes of one append", 1, 1 << 30, append_bytes as u64)?;
        within("the number of events in one append", 1, 1 << 20, append_events as u64)
    }
}
