use std::ops::Range;
use std::sync::Arc;

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
    /// The first revision or ordinal, in the direction of the read.
    pub(crate) from: u64,
    pub(crate) direction: Direction,
    /// The positions still to look at.
    pub(crate) window: Range<u64>,
    /// At most so many events at once; grows as the read goes on.
    most: usize,
    /// Where there is more of the list than was read.
    part: Option<Part>,
}

/// The next events of a list, and their segment.
type Next = (Arc<Segment>, Vec<Found>);

impl ListScan {
    pub(crate) fn new(
        list: List,
        from: Revision,
        direction: Direction,
        window: Range<u64>,
    ) -> Self {
        Self { list, from: from.0, direction, window, most: FIRST_CHUNK, part: None }
    }

    /// Reads as many events at once as it ever does.
    pub(crate) fn allow_more(&mut self) {
        self.most = MOST_EVENTS;
    }

    /// Reads at most so many events at once, for now.
    pub(crate) fn at_most(&mut self, most: usize) {
        self.most = self.most.min(most);
    }

    /// The next events in one segment, at least one; `None` at the end, where the window is empty.
    pub(crate) fn next(&mut self, snapshot: &Snapshot, io: Io) -> Result<Option<Next>, Fault> {
        while !self.window.is_empty() {
            let Some(part) = self.part(snapshot, io)? else {
                self.window.end = self.window.start;
                break;
            };
            let Part { segment, span, entry } = &part;
            let wanted = self.wanted(segment);
            let found = segment.locate(&self.list, (*span, entry.as_ref()), &wanted, io)?;
            let segment = Arc::clone(segment);
            let end = match self.direction {
                Direction::Forward => span.last(),
                Direction::Backward => span.first,
            };
            if let Some(last) = found.last() {
                self.part = (last.ordinal != end).then_some(part);
                self.most = (self.most * 4).min(MOST_EVENTS);
                return Ok(Some((segment, found)));
            }
            self.pass(segment.first(), segment.end());
        }
        Ok(None)
    }

    /// Where to read on.
    fn part(&mut self, snapshot: &Snapshot, io: Io) -> Result<Option<Part>, Fault> {
        if let Some(part) = self.part.take() {
            return Ok(Some(part));
        }
        let wish = Wish {
            list: &self.list,
            window: self.window.clone(),
            from: self.from,
            direction: self.direction,
        };
        snapshot.next(&wish, io)
    }

    fn wanted(&self, segment: &Segment) -> Wanted {
        let number = |position: u64| narrow(size(position.saturating_sub(segment.first())));
        let end = self.window.end.min(segment.end());
        let window = number(self.window.start)..number(end);
        Wanted { window, from: self.from, direction: self.direction, most: self.most }
    }

    /// Goes past a range of positions, in the direction of the read.
    pub(crate) fn pass(&mut self, first: u64, end: u64) {
        match self.direction {
            Direction::Forward => self.window.start = end.min(self.window.end),
            Direction::Backward => self.window.end = first.max(self.window.start),
        }
    }
}
