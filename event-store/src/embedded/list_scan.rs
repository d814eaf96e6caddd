use std::ops::Range;
use std::sync::Arc;

use super::bytes::{narrow, size};
use super::cache::Io;
use super::error::Fault;
use super::groups::Group;
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
    /// The hash of its name.
    hash: u64,
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

/// Events that were found in a segment.
pub(crate) type FoundIn = (Arc<Segment>, Vec<Found>);

/// The next events of a list, at least one.
#[derive(Debug)]
pub(crate) enum Next {
    /// Where each of them is, in the direction of the read.
    Found(Arc<Segment>, Vec<Found>),
    /// Those of some revisions or ordinals, all of them in a group.
    Group(Arc<Group>, Range<u64>),
}

impl ListScan {
    pub(crate) fn new(
        list: List,
        from: Revision,
        direction: Direction,
        window: Range<u64>,
    ) -> Self {
        let (hash, most, part, missed) = (list.hash(), FIRST_CHUNK, None, 0..0);
        Self { list, hash, from: from.0, direction, window, most, part, missed }
    }

    /// Reads as many events at once as it ever does.
    pub(crate) fn allow_more(&mut self) {
        self.most = MOST_EVENTS;
    }

    /// Reads so many events at once where they are looked up.
    pub(crate) fn read_at_once(&mut self, most: usize) {
        self.most = most;
    }

    /// Reads at most so many events at once, for now.
    pub(crate) fn at_most(&mut self, most: usize) {
        self.most = self.most.min(most);
    }

    /// The next events; `None` at the end, where the window is empty. They stay the next ones
    /// until the scan [goes on](Self::go_on).
    pub(crate) fn next(&mut self, snapshot: &Snapshot, io: Io) -> Result<Option<Next>, Fault> {
        while !self.window.is_empty() {
            let ordinal = self.ordinal();
            if let Some(ordinal) = ordinal
                && let Some(group) = self.group(ordinal, snapshot, io)?
            {
                return Ok(Some(group));
            }
            if !self.is_at_part(snapshot, io)? || self.ordinal() != ordinal {
                continue;
            }
            if let Some((segment, found)) = self.found(io)? {
                return Ok(Some(Next::Found(segment, found)));
            }
        }
        Ok(None)
    }

    /// The same, past the groups.
    pub(crate) fn next_found(
        &mut self,
        snapshot: &Snapshot,
        io: Io,
    ) -> Result<Option<FoundIn>, Fault> {
        while !self.window.is_empty() {
            if self.is_at_part(snapshot, io)?
                && let Some(found) = self.found(io)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The next revision or ordinal in a group, as far as that is known.
    fn ordinal(&self) -> Option<u64> {
        let Some(Part { span, entry, .. }) = &self.part else {
            return (self.direction == Direction::Forward).then_some(self.from);
        };
        let next = match self.direction {
            Direction::Forward => self.from.max(span.first),
            Direction::Backward => self.from.min(span.last()),
        };
        (entry.is_some() && (span.first..=span.last()).contains(&next)).then_some(next)
    }

    /// Finds out where the next events are; whether there are any.
    fn is_at_part(&mut self, snapshot: &Snapshot, io: Io) -> Result<bool, Fault> {
        if self.part.is_none() {
            self.part = self.next_part(snapshot, io)?;
        }
        if self.part.is_none() {
            self.window.end = self.window.start;
        }
        Ok(self.part.is_some())
    }

    /// The next events of the part that the scan is at; `None` where it goes past it.
    fn found(&mut self, io: Io) -> Result<Option<FoundIn>, Fault> {
        let Some(part) = &self.part else { return Ok(None) };
        let found = self.find(part, io)?;
        if found.is_empty() {
            self.pass_part();
            return Ok(None);
        }
        Ok(Some((Arc::clone(&part.segment), found)))
    }

    /// Where to read on.
    fn next_part(&self, snapshot: &Snapshot, io: Io) -> Result<Option<Part>, Fault> {
        let wish = Wish {
            list: &self.list,
            hash: self.hash,
            window: self.window.clone(),
            from: self.from,
            direction: self.direction,
        };
        snapshot.next(&wish, io)
    }

    /// The next events, from a revision or ordinal on, where they are cached as a group.
    fn group(&self, ordinal: u64, snapshot: &Snapshot, io: Io) -> Result<Option<Next>, Fault> {
        let first_look = self.missed.contains(&ordinal);
        let group = snapshot.group((&self.list, self.hash), ordinal, first_look, io)?;
        let Some(group) = group else { return Ok(None) };
        let wanted = match self.direction {
            Direction::Forward => ordinal..group.events.end(),
            Direction::Backward => group.events.first()..ordinal + 1,
        };
        let Range { start, end } = group.within(&self.window);
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
    pub(crate) fn go_on(&mut self, next: &Next, snapshot: &Snapshot) {
        match next {
            Next::Found(_, found) => {
                self.miss(found, snapshot);
                self.most = (self.most * 4).min(MOST_EVENTS);
                self.pass_found(found);
            }
            Next::Group(group, within) => self.pass_group(group, within),
        }
        if !matches!(next, Next::Group(group, _) if group.is_full()) {
            self.look_ahead(snapshot);
        }
    }

    /// Goes past events that were looked up.
    pub(crate) fn pass_found(&mut self, found: &[Found]) {
        if let Some(Found { ordinal, position, .. }) = found.last() {
            self.pass_event(*ordinal, *position);
        }
    }

    fn pass_group(&mut self, group: &Group, within: &Range<u64>) {
        let last = match self.direction {
            Direction::Forward => within.end - 1,
            Direction::Backward => within.start,
        };
        if let Some(event) = group.events.record(last) {
            self.pass_event(last, event.position.0);
        }
        if self.direction == Direction::Forward && within.end == group.events.end() {
            self.pass(group.until, group.until);
        }
    }

    fn pass_event(&mut self, ordinal: u64, position: u64) {
        self.pass(position, position + 1);
        let at_end = self.part.as_ref().is_some_and(|Part { span, .. }| match self.direction {
            Direction::Forward => ordinal >= span.last(),
            Direction::Backward => ordinal <= span.first,
        });
        if at_end {
            self.pass_part();
        }
        match self.direction {
            Direction::Forward => self.from = ordinal + 1,
            Direction::Backward if ordinal == 0 => self.window.end = self.window.start,
            Direction::Backward => self.from = ordinal - 1,
        }
    }

    /// Most often nothing comes after a list's last events that are not in memory: to find that now
    /// spares the read another look.
    fn look_ahead(&mut self, snapshot: &Snapshot) {
        if self.part.is_none()
            && !self.window.is_empty()
            && let Ok(part) = self.next_part(snapshot, Io::Never)
        {
            self.part = part;
            if self.part.is_none() {
                self.window.end = self.window.start;
            }
        }
    }

    /// Takes note that these events were not in groups.
    fn miss(&mut self, found: &[Found], snapshot: &Snapshot) {
        if let Some(Part { entry: Some(_), .. }) = &self.part
            && let [first, .., last] | [first @ last] = found
        {
            let (low, high) = (first.ordinal.min(last.ordinal), first.ordinal.max(last.ordinal));
            self.missed = snapshot.groups.miss(self.hash, low..high + 1);
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
