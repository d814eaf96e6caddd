//! What readers see at one moment, and where in it an event or a list is found.

use std::ops::Range;
use std::sync::Arc;

use uuid::Uuid;

use super::bytes::{hash_event, hash_name, size};
use super::cache::Io;
use super::error::Fault;
use super::groups::Groups;
use super::index::{Entry, List, Span, key};
use super::runs::Run;
use super::segment::Segment;
use crate::planted::{self, Bug};
use crate::{Direction, NewEvent, StreamId};

/// Segments and the runs over them. It does not change; the last segment may grow meanwhile.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// What is cached of lists' events.
    pub(crate) groups: Groups,
    pub(crate) segments: Arc<Vec<Arc<Segment>>>,
    /// In order; together with the segments that are not sealed they cover everything.
    pub(crate) runs: Vec<Arc<Run>>,
    /// What to ask, oldest first.
    units: Vec<Unit>,
    /// All segments up to this position are sealed.
    pub(crate) sealed_end: u64,
}

#[derive(Debug)]
enum Unit {
    Run(Arc<Run>),
    /// A segment of no run: its index is in memory.
    Segment(Arc<Segment>),
}

/// The events of a list in one segment.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) segment: Arc<Segment>,
    pub(crate) span: Span,
    /// Where the segment's index file has them; `None` where the index is in memory.
    pub(crate) entry: Option<Entry>,
}

/// Which events of a list come next: those from a revision or ordinal on, in a direction, within
/// a window of positions.
#[derive(Debug, Clone)]
pub(crate) struct Wish<'a> {
    pub(crate) list: &'a List,
    /// The hash of its name.
    pub(crate) hash: u64,
    pub(crate) window: Range<u64>,
    pub(crate) from: u64,
    pub(crate) direction: Direction,
}

impl Wish<'_> {
    /// Whether a segment has some of them, or only such as come before, as the read goes.
    fn begins_in(&self, span: Span) -> bool {
        match self.direction {
            Direction::Forward => span.last() >= self.from,
            Direction::Backward => span.first <= self.from,
        }
    }
}

impl Snapshot {
    pub(crate) fn new(groups: Groups, segments: Vec<Arc<Segment>>, runs: Vec<Arc<Run>>) -> Self {
        let units = runs.iter().map(|run| Unit::Run(Arc::clone(run))).collect();
        let sealed = segments.iter().take_while(|segment| segment.sealed_index().is_some());
        let sealed_end = sealed.last().map_or(0, |segment| segment.end());
        let segments = Arc::new(segments);
        let mut snapshot = Self { groups, segments, runs, units, sealed_end };
        let alone = |segment: &&Arc<Segment>| snapshot.run_of(segment.first()).is_none();
        let alone: Vec<_> = snapshot.segments.iter().filter(alone).cloned().collect();
        snapshot.units.extend(alone.into_iter().map(Unit::Segment));
        snapshot.units.sort_by_key(Unit::first);
        snapshot
    }

    /// The same, with a segment in the place of the one that begins where it does, and these runs.
    pub(crate) fn with_segment(&self, segment: &Arc<Segment>, runs: Vec<Arc<Run>>) -> Self {
        let same = |old: &Arc<Segment>| old.first() == segment.first();
        let instead = |old: &Arc<Segment>| Arc::clone(if same(old) { segment } else { old });
        self.with(self.segments.iter().map(instead).collect(), runs)
    }

    /// The same store's, with these segments and runs.
    pub(crate) fn with(&self, segments: Vec<Arc<Segment>>, runs: Vec<Arc<Run>>) -> Self {
        Self::new(self.groups.clone(), segments, runs)
    }

    /// The same, with a segment that was written anew in the place of the one that begins where it
    /// does.
    pub(crate) fn with_rewritten(&self, segment: &Arc<Segment>) -> Self {
        let groups = self.groups.renewed();
        Self { groups, ..self.with_segment(segment, self.runs.clone()) }
    }

    /// The run over a segment.
    pub(crate) fn run_of(&self, first: u64) -> Option<&Arc<Run>> {
        let after = self.runs.partition_point(|run| run.positions.start <= first);
        let run = &self.runs[after.checked_sub(1)?];
        (first < run.positions.end).then_some(run)
    }

    /// The segment that holds a position, or the last one.
    pub(crate) fn segment_at(&self, position: u64) -> &Arc<Segment> {
        let after = self.segments.partition_point(|segment| segment.first() <= position);
        &self.segments[after.max(1) - 1]
    }

    /// Whether a stream surely has none of these events, by their ids: not where a run only may have
    /// one. All of them are looked for together, so that the processor waits for the runs' filters once
    /// and not once for each.
    pub(crate) fn lacks(&self, stream: &StreamId, events: &[NewEvent]) -> bool {
        let name = hash_name(stream.as_str());
        let hashes: Vec<_> = events.iter().map(|event| hash_event(name, event.id)).collect();
        self.units.iter().rev().all(|unit| match unit {
            Unit::Run(run) => !hashes.iter().any(|hash| run.may_have(*hash)),
            Unit::Segment(segment) => segment.lacks(stream, events),
        })
    }

    /// The events of a stream that may have an id, newest first: their positions.
    pub(crate) fn id_candidates(
        &self,
        stream: &StreamId,
        id: Uuid,
        io: Io,
    ) -> impl Iterator<Item = Result<u64, Fault>> {
        let hash = hash_event(hash_name(stream.as_str()), id);
        self.units.iter().rev().flat_map(move |unit| {
            let positions = match unit {
                Unit::Run(run) => run.id_candidates(hash, io),
                Unit::Segment(segment) => Ok(segment.position(stream, id).into_iter().collect()),
            };
            let (positions, fault) = match positions {
                Ok(positions) => (positions, None),
                Err(fault) => (Vec::new(), Some(fault)),
            };
            positions.into_iter().map(Ok).chain(fault.map(Err))
        })
    }

    /// The next segment, in the direction of the read, with events that are wished for.
    pub(crate) fn next(&self, wish: &Wish<'_>, io: Io) -> Result<Option<Part>, Fault> {
        let Range { start, end } = wish.window;
        let from = self.units.partition_point(|unit| unit.end() <= start);
        let to = self.units.partition_point(|unit| unit.first() < end).max(from);
        let units = &self.units[from..to];
        for n in 0..units.len() {
            let at = if wish.direction == Direction::Forward { n } else { units.len() - 1 - n };
            let part = match &units[at] {
                Unit::Run(run) => self.next_of(run, wish, io)?,
                Unit::Segment(segment) => self.in_memory(segment, wish, io)?,
            };
            if part.is_some() {
                return Ok(part);
            }
        }
        Ok(None)
    }

    /// The next segment of a run.
    fn next_of(&self, run: &Run, wish: &Wish<'_>, io: Io) -> Result<Option<Part>, Fault> {
        let segments = self.segment_at(wish.window.start).first()..wish.window.end;
        let candidates = run.candidates(key(wish.hash), &segments, io)?;
        let count = candidates.end - candidates.start;
        let nth = |n: usize| match wish.direction {
            Direction::Forward => candidates.start + n as u64,
            Direction::Backward => candidates.end - 1 - n as u64,
        };
        let part = |n: usize| self.candidate(run, (nth(n), &segments), wish.list, io);
        first_begun(size(count), part, |part| wish.begins_in(part.span))
    }

    /// The events of a list in a segment that may have it.
    fn candidate(
        &self,
        run: &Run,
        (n, segments): (u64, &Range<u64>),
        list: &List,
        io: Io,
    ) -> Result<Option<Part>, Fault> {
        let candidate = run.candidate(n, segments, io)?;
        let segment = Arc::clone(self.segment_at(candidate.segment));
        if segment.first() != candidate.segment {
            return Err(run.flaw("it has a segment that there is not"));
        }
        if let Some(index) = segment.sealed_index() {
            let entry = index.entry(list, candidate.at, io)?;
            return Ok(entry.map(|entry| Part { span: entry.span, entry: Some(entry), segment }));
        }
        let Some(span) = segment.span(list) else { return Ok(None) };
        let first = span.first + self.before(list, segment.first(), io)?;
        Ok(Some(Part { span: Span { first, ..span }, entry: None, segment }))
    }

    /// The events of a list in a segment whose index is in memory, if they are wished for.
    fn in_memory(
        &self,
        segment: &Arc<Segment>,
        wish: &Wish<'_>,
        io: Io,
    ) -> Result<Option<Part>, Fault> {
        let Some(mut span) = segment.span(wish.list) else { return Ok(None) };
        span.first += self.before(wish.list, segment.first(), io)?;
        let part = Part { segment: Arc::clone(segment), span, entry: None };
        Ok(wish.begins_in(span).then_some(part))
    }

    /// How many events of an index stream are before the segment of a position: what the indexes
    /// in memory count from. 0 for a stream: its revisions are known.
    pub(crate) fn before(&self, list: &List, position: u64, io: Io) -> Result<u64, Fault> {
        if matches!(list, List::Stream(_)) || planted::is(Bug::OrdinalsForgotten) {
            return Ok(0);
        }
        Ok(self.newest(list, 0..position, io)?.map_or(0, |part| part.span.last() + 1))
    }

    /// The last revision or ordinal of a list.
    pub(crate) fn last(&self, list: &List, io: Io) -> Result<Option<u64>, Fault> {
        Ok(self.newest(list, 0..u64::MAX, io)?.map(|part| part.span.last()))
    }

    /// The last events of a list that are in one segment, in a window.
    fn newest(&self, list: &List, window: Range<u64>, io: Io) -> Result<Option<Part>, Fault> {
        let (from, direction) = (u64::MAX, Direction::Backward);
        self.next(&Wish { list, hash: list.hash(), window, from, direction }, io)
    }

    /// The events of a list in one segment; where its index is in memory, those of an index stream
    /// are counted from the segment's own first.
    pub(crate) fn part(
        &self,
        list: &List,
        segment: &Arc<Segment>,
        io: Io,
    ) -> Result<Option<Part>, Fault> {
        let (first, entry) = (segment.first(), None);
        if let Some(span) = segment.span(list) {
            return Ok(Some(Part { segment: Arc::clone(segment), span, entry }));
        }
        let Some(run) = self.run_of(first) else { return Ok(None) };
        let segments = first..first + 1;
        for n in run.candidates(list.key(), &segments, io)? {
            if let Some(part) = self.candidate(run, (n, &segments), list, io)? {
                return Ok(Some(part));
            }
        }
        Ok(None)
    }
}

impl Unit {
    fn first(&self) -> u64 {
        match self {
            Self::Run(run) => run.positions.start,
            Self::Segment(segment) => segment.first(),
        }
    }

    fn end(&self) -> u64 {
        match self {
            Self::Run(run) => run.positions.end,
            Self::Segment(segment) => segment.end(),
        }
    }
}

/// The first of some candidates for which `begun` holds, as it does for all after it. Candidates
/// that are `None` only look alike.
fn first_begun<T, E>(
    count: usize,
    candidate: impl Fn(usize) -> Result<Option<T>, E>,
    begun: impl Fn(&T) -> bool,
) -> Result<Option<T>, E> {
    let (mut low, mut high, mut found) = (0, count, None);
    while low < high {
        // Most reads go on where the last one ended: the very first is looked at first.
        let middle = if low == 0 { 0 } else { low.midpoint(high) };
        let mut at = middle;
        let mut real = candidate(at)?;
        while real.is_none() && at + 1 < high {
            at += 1;
            real = candidate(at)?;
        }
        match real {
            Some(real) if begun(&real) => (found, high) = (Some(real), middle),
            Some(_) => low = at + 1,
            None => high = middle,
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_that_has_begun_is_found_among_others(
            real in vec(any::<bool>(), 0..40),
            from in 0_usize..45,
        ) {
            let candidate = |n: usize| Ok::<_, Infallible>(real[n].then_some(n));
            let Ok(found) = first_begun(real.len(), candidate, |n| *n >= from);
            prop_assert_eq!(found, (from..real.len()).find(|n| real[*n]));
        }
    }
}
