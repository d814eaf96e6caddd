//! What readers must be shown.

use std::ops::RangeInclusive;

use daybook_event_store::{
    Direction, Filter, IndexStream, Position, Revision, StreamId, StreamMetadata,
};

use super::{Event, Model, TOMBSTONE};
use crate::coverage::Reached;
use crate::invariant::{Check, Invariant, Violation, ensure};
use crate::recorder;

/// What a read asks for.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    Stream(StreamId, Revision, Direction),
    Index(IndexStream, Revision, Direction),
    All(usize, Filter),
}

/// An item of a read: where the event is, and its ordinal in an index stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) position: Position,
    pub(crate) ordinal: Option<Revision>,
}

/// What a read that has begun must still give: each of these positions in order, or pass it by
/// where the model excuses that.
#[derive(Debug, Clone)]
pub(crate) struct Expectation {
    wanted: Wanted,
    /// The number of events when it began: it gives none of the later ones.
    head: usize,
    /// What bounds the stream was like when it began.
    bounds: Signature,
    /// When it may have looked at the clock.
    clock: RangeInclusive<i64>,
    left: Vec<usize>,
    next: usize,
    /// How many events had been missed when it began.
    missed: usize,
}

/// Changes whenever a stream's bounds, or what they mean, may have changed.
type Signature = (usize, usize);

impl Model {
    /// What was said last of a stream, among so many events.
    pub(super) fn said(&self, stream: &StreamId, head: usize) -> Option<StreamMetadata> {
        let places = self.streams.get(&stream.metadata_stream()?)?;
        let last = places.iter().rev().find(|at| **at < head)?;
        Some(self.events[*last].body.said())
    }

    /// Whether a stream, or the one that it describes, has ended for good.
    pub(crate) fn has_ended(&self, stream: &StreamId, head: usize) -> bool {
        let name = stream.as_str();
        let Some(places) = self.streams.get(name.strip_prefix("$$").unwrap_or(name)) else {
            return false;
        };
        let last = places.iter().rev().find(|at| **at < head);
        last.is_some_and(|at| self.events[*at].kind() == TOMBSTONE)
    }

    /// Whether nothing excludes an event, among so many and at a time. Of one that was not read yet
    /// it is the earliest time that counts at which it can have been recorded.
    pub(super) fn is_live(&self, at: usize, head: usize, now: i64) -> bool {
        let event = &self.events[at];
        let stream = &event.stream;
        let places = self.streams.get(stream).map(Vec::as_slice).unwrap_or_default();
        let count = places.partition_point(|at| *at < head) as u64;
        let is_last = event.revision + 1 == count;
        let describes = stream.as_str().starts_with("$$");
        if self.has_ended(stream, head) {
            return !describes && is_last;
        }
        if describes {
            return is_last;
        }
        let said = self.said(stream, head).unwrap_or_default();
        let counted = said.max_count.map_or(0, |most| count.saturating_sub(most.get()));
        let truncated = said.truncate_before.map_or(0, |first| first.0);
        event.revision >= counted.max(truncated) && !event.is_aged(&said, now)
    }

    fn signature(&self, wanted: &Wanted, head: usize) -> Signature {
        let Wanted::Stream(stream, ..) = wanted else { return Signature::default() };
        let count = |stream: &str| {
            let places = self.streams.get(stream).map(Vec::as_slice).unwrap_or_default();
            places.partition_point(|at| *at < head)
        };
        let name = stream.as_str();
        match name.strip_prefix("$$") {
            Some(described) => (count(name), count(described)),
            None => (count(name), count(&format!("$${name}"))),
        }
    }

    /// What a read must give that begins at a time when there are so many events.
    pub(crate) fn expect(&self, wanted: Wanted, head: usize, clock: i64) -> Expectation {
        let mut left = match &wanted {
            Wanted::Stream(stream, from, direction) => {
                let places = self.streams.get(stream).map(Vec::as_slice).unwrap_or_default();
                part(places, *from, *direction)
            }
            Wanted::Index(index, from, direction) => part(&self.listed(index), *from, *direction),
            Wanted::All(from, filter) => self.matching(*from, filter),
        };
        left.retain(|at| *at < head);
        let bounds = self.signature(&wanted, head);
        let (clock, missed) = (clock..=clock, self.missed.len());
        Expectation { wanted, head, bounds, clock, left, next: 0, missed }
    }

    /// All events that an index stream ever had.
    fn listed(&self, index: &IndexStream) -> Vec<usize> {
        let lists = |at: &usize| {
            let event = &self.events[*at];
            match index {
                IndexStream::Category(category) => *event.stream.category() == **category,
                IndexStream::EventType(kind) => *event.kind() == **kind,
            }
        };
        (0..self.len()).filter(lists).collect()
    }

    /// How a read must give an event.
    fn given(&self, wanted: &Wanted, at: usize) -> Given {
        let ordinal = match wanted {
            Wanted::Index(index, ..) => {
                Some(Revision(self.listed(index).partition_point(|other| *other < at) as u64))
            }
            Wanted::Stream(..) | Wanted::All(..) => None,
        };
        Given { position: Position(at as u64), ordinal }
    }

    /// The matching positions from one on.
    pub(crate) fn matching(&self, from: usize, filter: &Filter) -> Vec<usize> {
        let matches = |at: &usize| {
            let event = &self.events[*at];
            filter.matches(event.stream.as_str(), event.kind())
        };
        (from.min(self.len())..self.len()).filter(matches).collect()
    }

    /// The first of the matching positions in a range that must be given to whoever reads all.
    pub(crate) fn due(&self, range: std::ops::Range<usize>, filter: &Filter) -> Option<usize> {
        let due = self.matching(range.start, filter).into_iter();
        due.take_while(|at| *at < range.end).find(|at| !self.events[*at].droppable)
    }

    /// Whether an event may be missing for those who read all.
    pub(crate) fn may_be_dropped(&self, at: usize) -> bool {
        self.events.get(at).is_some_and(|event| event.droppable)
    }
}

impl Event {
    /// Whether it is older than what is said of its stream lets it be.
    fn is_aged(&self, said: &StreamMetadata, now: i64) -> bool {
        let recorded_at = self.recorded_at.unwrap_or(self.not_before);
        let age = said.max_age.map(|age| age.get().saturating_mul(1_000_000));
        age.is_some_and(|age| recorded_at < now.saturating_sub_unsigned(age))
    }
}

/// The part of a list from a revision or ordinal on.
fn part(places: &[usize], from: Revision, direction: Direction) -> Vec<usize> {
    let from = usize::try_from(from.0).unwrap_or(usize::MAX);
    match direction {
        Direction::Forward => places[from.min(places.len())..].to_vec(),
        Direction::Backward => {
            places[..places.len().min(from.saturating_add(1))].iter().rev().copied().collect()
        }
    }
}

impl Expectation {
    /// The read may have looked at the clock between two times.
    pub(crate) fn take_time(&mut self, from: i64, to: i64) {
        self.clock = from.min(*self.clock.start())..=to.max(*self.clock.end());
    }

    /// The read gives an event; `head` is how many there are now.
    pub(crate) fn give(&mut self, model: &mut Model, given: Given, head: usize) -> Check {
        while let Some(&due) = self.left.get(self.next) {
            self.next += 1;
            if due as u64 == given.position.0 {
                let expected = model.given(&self.wanted, due);
                ensure(given == expected, Invariant::D3, || {
                    format!("{:?} gives {given:?}, not {expected:?}", self.wanted)
                })?;
                let again = model.missed[..self.missed].contains(&due);
                ensure(!again, Invariant::D3, || {
                    format!("position {due} was dropped before, and {:?} gives it", self.wanted)
                })?;
                return ensure(self.may_show(model, due, head), Invariant::D3, || {
                    format!("{:?} gives position {due}, which is excluded", self.wanted)
                });
            }
            self.check_passed(model, due, head)?;
        }
        let what = format!("{:?} gives {given:?} out of turn", self.wanted);
        Err(Violation::new(Invariant::D3, what))
    }

    /// The read ends.
    pub(crate) fn end(&self, model: &mut Model, head: usize) -> Check {
        ensure(self.may_end(model, head), Invariant::D3, || {
            format!("{:?} is of a stream that has ended, and does not say so", self.wanted)
        })?;
        for due in &self.left[self.next..] {
            self.check_passed(model, *due, head)?;
        }
        Ok(())
    }

    /// Whether the read may be refused since its stream has ended.
    pub(crate) fn may_be_refused(&self, model: &Model, head: usize) -> bool {
        match &self.wanted {
            Wanted::Stream(stream, ..) => model.has_ended(stream, head),
            Wanted::Index(..) | Wanted::All(..) => false,
        }
    }

    fn may_end(&self, model: &Model, head: usize) -> bool {
        self.is_loose(model, head) || !self.may_be_refused(model, self.head)
    }

    /// Whether the stream's bounds may have changed since the read began.
    fn is_loose(&self, model: &Model, head: usize) -> bool {
        model.signature(&self.wanted, head) != self.bounds
    }

    fn may_show(&self, model: &Model, at: usize, head: usize) -> bool {
        !matches!(self.wanted, Wanted::Stream(..))
            || self.is_loose(model, head)
            || (model.is_live(at, self.head, *self.clock.start())
                && !model.has_ended(&model.events[at].stream, head))
    }

    fn check_passed(&self, model: &mut Model, at: usize, head: usize) -> Check {
        let excluded = matches!(self.wanted, Wanted::Stream(..))
            && (self.is_loose(model, head) || !model.is_live(at, self.head, *self.clock.end()));
        ensure(excluded || model.may_be_dropped(at), Invariant::D3, || {
            format!("{:?} passes position {at} by", self.wanted)
        })?;
        if !excluded {
            model.missed.push(at);
        } else if let event = &model.events[at]
            && let Some(said) = model.said(&event.stream, self.head)
            && event.is_aged(&said, *self.clock.end())
        {
            recorder::reached(Reached::Aged);
        }
        Ok(())
    }
}
