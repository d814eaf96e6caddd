use std::ops::Range;
use std::sync::Arc;

use super::block::Block;
use super::bytes::{narrow, size};
use super::cache::Io;
use super::error::Fault;
use super::index::{List, Wanted};
use super::segment::{Found, Segment};
use super::snapshot::{Part, Snapshot, Wish};
use crate::{Direction, Revision};

/// The events of a first chunk; the next ones are larger.
const FIRST_CHUNK: usize = 16;
/// Most events at a time.
const MOST_EVENTS: usize = 256;

/// How far a read of a list has come.
#[derive(Debug)]
pub(crate) struct ListScan {
    list: List,
    /// The next revision or ordinal, in the direction of the read.
    pub(crate) from: u64,
    pub(crate) direction: Direction,
    /// The positions still to look at.
    pub(crate) window: Range<u64>,
    /// At most so many events at once where each is looked up; grows as the read goes on.
    most: usize,
    /// Where the next events are, once that is known.
    part: Option<Part>,
    /// The revisions or ordinals of the groups that this read was the last to miss.
    missed: Range<u64>,
}

/// The next events of a list, at least one, all of one segment.
#[derive(Debug)]
pub(crate) enum Next {
    /// Where each of them is, in the direction of the read.
    Found(Arc<Segment>, Vec<Found>),
    /// Those of some revisions or ordinals, all of them in a group.
    Group(Arc<Block>, Range<u64>),
}

impl ListScan {
    pub(crate) fn new(
        list: List,
        from: Revision,
        direction: Direction,
        window: Range<u64>,
    ) -> Self {
        let (most, part, missed) = (FIRST_CHUNK, None, 0..0);
        Self { list, from: from.0, direction, window, most, part, missed }
    }

    /// Reads as many events at once as it ever does.
    pub(crate) fn allow_more(&mut self) {
        self.most = MOST_EVENTS;
    }

    /// Reads at most so many events at once, for now.
    pub(crate) fn at_most(&mut self, most: usize) {
        self.most = self.most.min(most);
    }

    /// The next events; `None` at the end, where the window is empty. They stay the next ones
    /// until the scan [goes on](Self::go_on).
    pub(crate) fn next(&mut self, snapshot: &Snapshot, io: Io) -> Result<Option<Next>, Fault> {
        while !self.window.is_empty() {
            if self.part.is_none() {
                self.part = self.next_part(snapshot, io)?;
            }
            let Some(part) = &self.part else {
                self.window.end = self.window.start;
                break;
            };
            if let Some(group) = self.group(part, io)? {
                return Ok(Some(group));
            }
            let found = self.find(part, io)?;
            if !found.is_empty() {
                return Ok(Some(Next::Found(Arc::clone(&part.segment), found)));
            }
            self.pass_part();
        }
        Ok(None)
    }

    /// Where to read on.
    fn next_part(&self, snapshot: &Snapshot, io: Io) -> Result<Option<Part>, Fault> {
        let wish = Wish {
            list: &self.list,
            window: self.window.clone(),
            from: self.from,
            direction: self.direction,
        };
        snapshot.next(&wish, io)
    }

    /// The next events where they are cached as a group.
    fn group(&self, part: &Part, io: Io) -> Result<Option<Next>, Fault> {
        let Part { segment, span, entry: Some(entry) } = part else { return Ok(None) };
        let next = match self.direction {
            Direction::Forward => self.from.max(span.first),
            Direction::Backward => self.from.min(span.last()),
        };
        if !(span.first..=span.last()).contains(&next) {
            return Ok(None);
        }
        let first_look = self.missed.contains(&next);
        let Some(group) = segment.group((&self.list, entry), next, first_look, io)? else {
            return Ok(None);
        };
        let wanted = match self.direction {
            Direction::Forward => next..group.end(),
            Direction::Backward => group.first()..next + 1,
        };
        let before = |position| {
            let before = group.events().partition_point(|event| event.position.0 < position);
            group.first() + before as u64
        };
        let (start, end) = (before(self.window.start), before(self.window.end));
        let wanted = wanted.start.max(start)..wanted.end.min(end);
        Ok((!wanted.is_empty()).then_some(Next::Group(group, wanted)))
    }

    /// The next events, one by one.
    fn find(&self, Part { segment, span, entry }: &Part, io: Io) -> Result<Vec<Found>, Fault> {
        let number = |position: u64| narrow(size(position.saturating_sub(segment.first())));
        let end = self.window.end.min(segment.end());
        let window = number(self.window.start)..number(end);
        let Self { from, direction, most, .. } = *self;
        let wanted = Wanted { window, from, direction, most };
        segment.locate(&self.list, (*span, entry.as_ref()), &wanted, io)
    }

    /// Goes past what was the next.
    pub(crate) fn go_on(&mut self, next: &Next) {
        let last = match (next, self.direction) {
            (Next::Group(group, within), Direction::Forward) => last(group, within.end - 1),
            (Next::Group(group, within), Direction::Backward) => last(group, within.start),
            (Next::Found(_, found), _) => {
                self.miss(found);
                self.most = (self.most * 4).min(MOST_EVENTS);
                found.last().map(|found| (found.ordinal, found.position))
            }
        };
        let Some((ordinal, position)) = last else { return };
        self.pass(position, position + 1);
        let end = self.part.as_ref().map(|part| match self.direction {
            Direction::Forward => part.span.last(),
            Direction::Backward => part.span.first,
        });
        if end == Some(ordinal) {
            self.pass_part();
        }
        match self.direction {
            Direction::Forward => self.from = ordinal + 1,
            Direction::Backward if ordinal == 0 => self.window.end = self.window.start,
            Direction::Backward => self.from = ordinal - 1,
        }
    }

    /// Takes note that these events were not in groups.
    fn miss(&mut self, found: &[Found]) {
        if let Some(Part { segment, entry: Some(entry), .. }) = &self.part
            && let [first, .., last] | [first @ last] = found
        {
            let (low, high) = (first.ordinal.min(last.ordinal), first.ordinal.max(last.ordinal));
            self.missed = segment.miss_groups(entry, low..high + 1);
        }
    }

    /// Goes past the segment with the next events.
    fn pass_part(&mut self) {
        if let Some(Part { segment, .. }) = self.part.take() {
            self.pass(segment.first(), segment.end());
        }
    }

    /// Goes past a range of positions, in the direction of the read.
    fn pass(&mut self, first: u64, end: u64) {
        let Range { start, end: stop } = self.window;
        match self.direction {
            Direction::Forward => self.window.start = end.clamp(start, stop.max(start)),
            Direction::Backward => self.window.end = first.clamp(start.min(stop), stop),
        }
    }
}

/// An event of a group, as it is passed.
fn last(group: &Block, ordinal: u64) -> Option<(u64, u64)> {
    group.record(ordinal).map(|event| (ordinal, event.position.0))
}
