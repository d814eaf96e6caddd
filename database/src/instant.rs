//! Instants as rows keep them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The machine's time: microseconds since 1970.
pub fn now() -> i64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A span in microseconds.
pub fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
