use std::collections::HashMap;

use daybook_event_store::{Position, Recorded, StreamId};

use super::Check;
use super::books::Unreadable;
use super::findings::Findings;

/// What holds of every event, whatever it says.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// The revision that each stream's next event must have.
    streams: HashMap<StreamId, u64>,
    last: Option<Position>,
    events: u64,
    foreign: u64,
    positions: Findings,
    revisions: Findings,
    unreadable: Findings,
}

impl Log {
    pub(super) fn apply(&mut self, event: &Recorded) {
        self.events += 1;
        let before = self.last.replace(event.position);
        self.positions.require(before < Some(event.position), || {
            format!("position {} comes after a position that is not below it", event.position)
        });
        let next = match self.streams.get_mut(&event.stream) {
            Some(next) => next,
            None => self.streams.entry(event.stream.clone()).or_default(),
        };
        let expected = std::mem::replace(next, event.revision.0 + 1);
        self.revisions.require(expected == event.revision.0, || {
            format!("{} has revision {} where {expected} is due", event.stream, event.revision)
        });
    }

    /// Notes an event of a stream that is none of ours.
    pub(super) fn pass_over(&mut self) {
        self.foreign += 1;
    }

    pub(super) fn note_unreadable(&mut self, event: &Recorded, error: &Unreadable) {
        self.unreadable.add(|| format!("{} at {}: {error}", event.stream, event.revision));
    }

    /// The position up to which events were applied.
    pub(super) fn position(&self) -> Option<Position> {
        self.last
    }

    pub(super) fn checks(&self) -> Vec<Check> {
        let (events, streams) = (self.events, self.streams.len());
        let read = match self.foreign {
            0 => format!("{events} events"),
            foreign => format!("{events} events, {foreign} of them of streams not looked into"),
        };
        vec![
            self.positions.check("positions increase", format!("{events} events")),
            self.revisions.check("revisions are contiguous", format!("{streams} streams")),
            self.unreadable.check("events can be read", read),
        ]
    }
}

#[cfg(test)]
mod tests {
    use daybook_event_store::{RecordedEvent, Revision};
    use uuid::Uuid;

    use super::*;

    fn log(events: &[(&str, u64, u64)]) -> Vec<bool> {
        let mut log = Log::default();
        for &(stream, revision, position) in events {
            let event = RecordedEvent {
                stream: stream.parse().unwrap(),
                revision: Revision(revision),
                position: Position(position),
                recorded_at: 0,
                id: Uuid::nil(),
                kind: "Kind".into(),
                data: "".into(),
                metadata: "".into(),
                is_json: true,
            };
            log.apply(&event.into());
        }
        log.checks().into_iter().map(|check| check.ok).collect()
    }

    #[test]
    fn events_in_order_pass() {
        assert_eq!(log(&[("a", 0, 0), ("b", 0, 7), ("a", 1, 8)]), [true, true, true]);
    }

    #[test]
    fn a_position_that_does_not_increase_is_found() {
        assert_eq!(log(&[("a", 0, 5), ("b", 0, 5)]), [false, true, true]);
        assert_eq!(log(&[("a", 0, 5), ("b", 0, 4)]), [false, true, true]);
    }

    #[test]
    fn a_revision_that_is_missing_or_repeated_is_found() {
        assert_eq!(log(&[("a", 1, 0)]), [true, false, true]);
        assert_eq!(log(&[("a", 0, 0), ("a", 2, 1)]), [true, false, true]);
        assert_eq!(log(&[("a", 0, 0), ("a", 0, 1)]), [true, false, true]);
    }
}
