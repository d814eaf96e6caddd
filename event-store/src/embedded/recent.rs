use std::collections::VecDeque;
use std::sync::Arc;

use super::block::Block;

/// Most events kept, and most bytes that they take.
const EVENTS: usize = 8_192;
const BYTES: usize = 8 << 20;

/// The last events, frame by frame, as they were given: what live tails read, without touching a
/// file.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    frames: VecDeque<Arc<Block>>,
    events: usize,
    bytes: usize,
}

impl Recent {
    /// Takes the next frame in, and lets the oldest go.
    pub(crate) fn push(&mut self, frame: Arc<Block>) {
        self.events += frame.count();
        self.bytes += frame.weight();
        self.frames.push_back(frame);
        while self.events > EVENTS || self.bytes > BYTES {
            let Some(oldest) = self.frames.pop_front() else { break };
            self.let_go(&oldest);
        }
    }

    fn let_go(&mut self, frame: &Block) {
        self.events -= frame.count();
        self.bytes -= frame.weight();
    }

    /// Lets the frames before a position go.
    pub(crate) fn forget(&mut self, end: u64) {
        while let Some(oldest) = self.frames.pop_front_if(|frame| frame.end() <= end) {
            self.let_go(&oldest);
        }
    }

    /// The position of the first event that is kept.
    pub(crate) fn first(&self) -> Option<u64> {
        self.frames.front().map(|frame| frame.first())
    }

    /// The frames from the one on that has a position, if that is kept.
    pub(crate) fn from(&self, position: u64) -> impl Iterator<Item = &Arc<Block>> {
        let kept = self.first().is_some_and(|first| first <= position);
        let at = if kept {
            self.frames.partition_point(|frame| frame.end() <= position)
        } else {
            self.frames.len()
        };
        self.frames.range(at..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Position, RecordedEvent, Revision, StreamId};

    fn event(position: u64, bytes: usize) -> RecordedEvent {
        RecordedEvent {
            stream: StreamId::new("order", position % 2).unwrap(),
            revision: Revision(position / 2),
            position: Position(position),
            recorded_at: 1,
            id: uuid::Uuid::from_u128(position.into()),
            kind: "Kept".into(),
            data: vec![0; bytes].into(),
            metadata: "".into(),
            is_json: true,
        }
    }

    /// Frames of so many events each.
    fn recent(frames: u64, each: u64, bytes: usize) -> Recent {
        let mut recent = Recent::default();
        for first in (0..frames).map(|n| n * each) {
            let events = (first..first + each).map(|n| event(n, bytes));
            recent.push(Arc::new(Block::new(first, events.collect())));
        }
        recent
    }

    fn kept(recent: &Recent, position: u64) -> bool {
        let event = recent.from(position).next().map(|frame| frame.get(position).unwrap());
        event.is_some_and(|event| event.position == Position(position))
    }

    #[test]
    fn forgets_what_is_before_a_position() {
        let mut recent = recent(50, 2, 1);
        recent.forget(51);
        assert!((0..50).all(|n| !kept(&recent, n)));
        assert!((50..100).all(|n| kept(&recent, n)));
        let bytes = recent.frames.iter().map(|frame| frame.weight()).sum();
        assert_eq!((recent.events, recent.bytes), (50, bytes));
    }

    #[test]
    fn keeps_the_last_frames_by_their_events_and_by_size() {
        let many = recent(10_000, 2, 1);
        let start = 20_000 - EVENTS as u64;
        assert!(!kept(&many, start - 1) && !kept(&many, 20_000));
        assert!((start..20_000).all(|n| kept(&many, n)));

        let large = recent(50, 2, BYTES / 10);
        assert!(!kept(&large, 91));
        assert!((92..100).all(|n| kept(&large, n)));
    }

    #[test]
    fn a_frame_that_is_too_large_is_not_kept() {
        let recent = recent(1, 3, BYTES / 2);
        assert!((0..3).all(|n| !kept(&recent, n)));
    }
}
