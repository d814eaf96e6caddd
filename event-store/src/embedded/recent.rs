use std::collections::VecDeque;
use std::ops::Range;

use crate::{Filter, Recorded};

/// Most events kept, and most bytes of payload and metadata.
const EVENTS: usize = 8_192;
const BYTES: usize = 8 << 20;
/// Most events that a reader looks at while it holds the lock.
const CHUNK: usize = 256;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Position, Revision, StreamId};

    fn event(position: u64, bytes: usize) -> Recorded {
        Recorded {
            stream: StreamId::new("order", position % 2).unwrap(),
            revision: Revision(position / 2),
            position: Position(position),
            recorded_at: 1,
            id: uuid::Uuid::from_u128(position.into()),
            kind: if position.is_multiple_of(2) { "Even" } else { "Odd" }.into(),
            data: vec![0; bytes].into(),
            metadata: "".into(),
        }
    }

    fn recent(positions: Range<u64>, bytes: usize) -> Recent {
        let mut recent = Recent::new(positions.start);
        positions.for_each(|position| recent.push(event(position, bytes)));
        recent
    }

    #[test]
    fn keeps_the_last_events_by_number_and_by_size() {
        let many = recent(100..20_000, 1);
        let kept = 20_000 - EVENTS as u64;
        assert!(many.get(kept - 1).is_none() && many.get(20_000).is_none());
        assert!((kept..20_000).all(|n| many.get(n).unwrap().position == Position(n)));

        let large = recent(0..100, BYTES / 10);
        assert!(large.get(89).is_none());
        assert!((90..100).all(|n| large.get(n).unwrap().position == Position(n)));
    }

    #[test]
    fn scans_what_it_keeps_in_chunks() {
        let recent = recent(100..20_000, 1);
        let (mut window, mut seen) = (15_001..16_000, Vec::new());
        while !window.is_empty() {
            let events = recent.scan(&mut window, &Filter::kinds(&["Even"])).unwrap();
            assert!(events.len() <= CHUNK);
            seen.extend(events.iter().map(|event| event.position.0));
        }
        assert_eq!(seen, (15_001..16_000).filter(|n| n % 2 == 0).collect::<Vec<_>>());
        assert!(recent.scan(&mut (5_000..5_001), &Filter::all()).is_none());
        assert!(recent.scan(&mut (20_000..20_001), &Filter::all()).is_none());
    }
}
