use std::collections::VecDeque;
use std::ops::Range;

use crate::{Filter, Recorded};

/// Most events kept, and most bytes of payload and metadata.
const EVENTS: usize = 8_192;
const BYTES: usize = 8 << 20;
/// Most events that a reader looks at while it holds the lock.
const CHUNK: usize = 1_024;

/// The last events, as they were given: what live tails read, without touching a file.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    start: u64,
    events: VecDeque<Recorded>,
    bytes: usize,
}

impl Recent {
    /// Nothing yet; the next event has this position.
    pub(crate) fn new(start: u64) -> Self {
        Self { start, ..Self::default() }
    }

    /// Takes the next event in, and lets the oldest go.
    pub(crate) fn push(&mut self, event: Recorded) {
        self.bytes += weight(&event);
        self.events.push_back(event);
        while self.events.len() > EVENTS || self.bytes > BYTES {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= weight(&oldest);
            self.start += 1;
        }
    }

    pub(crate) fn get(&self, position: u64) -> Option<&Recorded> {
        let at = position.checked_sub(self.start)?;
        self.events.get(usize::try_from(at).ok()?)
    }

    /// The matching events at the start of a window, which shrinks to what is left; `None` where
    /// they are not kept.
    pub(crate) fn scan(&self, window: &mut Range<u64>, filter: &Filter) -> Option<Vec<Recorded>> {
        let start = usize::try_from(window.start.checked_sub(self.start)?).ok()?;
        let wanted = usize::try_from(window.end - window.start).unwrap_or(CHUNK).min(CHUNK);
        let end = start + wanted;
        if end > self.events.len() {
            return None;
        }
        window.start += wanted as u64;
        let matches = |event: &&Recorded| filter.matches(event.stream.as_str(), &event.kind);
        Some(self.events.range(start..end).filter(matches).cloned().collect())
    }
}

fn weight(event: &Recorded) -> usize {
    event.data.len() + event.metadata.len()
}
