use std::ops::Range;
use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard};
use uuid::Uuid;

use super::block::Block;
use super::bytes::size;
use super::cache::{Io, Key};
use super::error::Fault;
use super::events::{Events, Picked};
use super::filtered::{self, Plan};
use super::groups::Groups;
use super::index::List;
use super::list_scan::{ListScan, Next};
use super::maintenance::Bell;
use super::open::{Folder, Segments};
use super::recent::Recent;
use super::segment::{Found, Segment};
use super::snapshot::Snapshot;
use super::vfs::Vfs;
use crate::admission::Place;
use crate::lifetimes::{Bounds, Changes, Lifetime, Lifetimes};
use crate::planted::{self, Bug};
use crate::{Direction, Filter, Listed, ReadError, Recorded, RecordedEvent, Revision, StreamId};

/// Most frames in memory that a scan takes at a time.
const FRAMES: usize = 64;

/// What is durable: the segments in order with the runs over them, and the last events in memory.
#[derive(Debug)]
pub(crate) struct Log {
    snapshot: RwLock<Arc<Snapshot>>,
    recent: RwLock<Recent>,
    lifetimes: RwLock<Lifetimes>,
    /// The clock that events' ages are told by.
    vfs: Arc<dyn Vfs>,
    bell: Arc<Bell>,
}

/// How far a scan over all events has come.
#[derive(Debug, Clone)]
pub(crate) struct Scan {
    /// The positions still to look at.
    pub(crate) window: Range<u64>,
    pub(crate) filter: Arc<Filter>,
}

/// How far a read of a stream has come.
#[derive(Debug)]
pub(crate) struct StreamScan {
    stream: StreamId,
    pub(crate) at: ListScan,
    /// What bounded the stream when the read began, for the first look; later ones take what
    /// bounds it then.
    began: Option<Lifetime>,
    /// The stream's last revision when the read began, once that was asked for.
    last: Option<Revision>,
}

impl Log {
    pub(crate) fn new(segments: Segments, folder: &Folder, bell: Arc<Bell>) -> Self {
        let Segments { in_order, runs, lifetimes } = segments;
        let groups = Groups::new(folder.cache.clone());
        let snapshot = RwLock::new(Arc::new(Snapshot::new(groups, in_order, runs)));
        let (recent, lifetimes) = (RwLock::default(), RwLock::new(lifetimes));
        let vfs = Arc::clone(&folder.vfs);
        Self { snapshot, recent, lifetimes, vfs, bell }
    }

    /// What a reader is told of a fault. An index file that is damaged is made anew.
    pub(crate) fn report(&self, fault: Fault) -> ReadError {
        let error = fault.into_read_error();
        if matches!(error, ReadError::Damaged { .. }) {
            self.bell.nudge();
        }
        error
    }

    /// What there is now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read())
    }

    pub(crate) fn segments(&self) -> Arc<Vec<Arc<Segment>>> {
        Arc::clone(&self.snapshot.read().segments)
    }

    /// Adds a last segment.
    pub(crate) fn add(&self, segment: Arc<Segment>) {
        self.change(|snapshot| {
            let segments = snapshot.segments.iter().cloned().chain([segment]).collect();
            snapshot.with(segments, snapshot.runs.clone())
        });
    }

    /// Shows something else from now on; who reads goes on with what there was.
    pub(crate) fn change(&self, change: impl FnOnce(&Snapshot) -> Snapshot) {
        let mut snapshot = self.snapshot.write();
        *snapshot = Arc::new(change(&snapshot));
    }

    /// The segments that may be rewritten: they are sealed, and the one after them has events, so
    /// that they will never be the last again and be written to.
    pub(crate) fn settled(&self) -> Vec<Arc<Segment>> {
        let segments = self.segments();
        let settled = segments
            .windows(2)
            .filter(|pair| pair[1].count() > 0 && pair[0].count() > 0 && !pair[0].is_unsealed());
        settled.map(|pair| Arc::clone(&pair[0])).collect()
    }

    /// Puts a segment in the place of the one that begins where it does.
    pub(crate) fn replace(&self, segment: &Arc<Segment>) {
        self.change(|snapshot| snapshot.with_segment(segment, snapshot.runs.clone()));
    }

    /// The same with one that has fewer events, or fewer of their contents.
    pub(crate) fn replace_rewritten(&self, segment: &Arc<Segment>) {
        self.change(|snapshot| snapshot.with_rewritten(segment));
    }

    /// Keeps the events of the last frame in memory.
    pub(crate) fn remember(&self, frame: Arc<Block>) {
        self.recent.write().push(frame);
    }

    /// The next frames of a scan that are in memory.
    fn frames(&self, window: &Range<u64>) -> Vec<Arc<Block>> {
        let recent = self.recent.read();
        let frames = recent.from(window.start).take_while(|frame| frame.first() < window.end);
        frames.take(FRAMES).cloned().collect()
    }

    /// Keeps the events before a position no longer.
    pub(crate) fn forget(&self, end: u64) {
        self.recent.write().forget(end);
    }

    /// What bounds streams' events. Nothing that takes long must be done with it.
    pub(crate) fn lifetimes(&self) -> RwLockReadGuard<'_, Lifetimes> {
        self.lifetimes.read()
    }

    /// Takes changes of streams' lifetimes in, and shows the events that say so, as one step.
    pub(crate) fn bound<T>(&self, changes: Changes, show: impl FnOnce() -> T) -> T {
        if changes.is_empty() {
            return show();
        }
        let mut lifetimes = self.lifetimes.write();
        lifetimes.extend(changes);
        show()
    }

    /// A read of a stream that begins now, with as many events as are shown.
    pub(crate) fn begin(
        &self,
        stream: &StreamId,
        from: Revision,
        direction: Direction,
        shown: impl FnOnce() -> u64,
    ) -> StreamScan {
        let lifetimes = self.lifetimes();
        let (began, window) = (Some(lifetimes.of(stream)), 0..shown());
        let at = ListScan::new(stream.clone().into(), from, direction, window);
        StreamScan { stream: stream.clone(), at, began, last: None }
    }

    /// A stream's last revision.
    pub(crate) fn last_revision(
        &self,
        stream: &StreamId,
        io: Io,
    ) -> Result<Option<Revision>, Fault> {
        let last = self.snapshot().last(&List::from(stream.clone()), io)?;
        Ok(last.map(Revision))
    }

    /// Where a stream's event of an id is.
    pub(crate) fn find(&self, stream: &StreamId, id: Uuid, io: Io) -> Result<Option<Place>, Fault> {
        let snapshot = self.snapshot();
        for position in snapshot.id_candidates(stream, id, io) {
            let position = position?;
            let event = snapshot.segment_at(position).event(position, io)?;
            let of_stream = event.stream == *stream || planted::is(Bug::IdsOverStreams);
            if event.id == id && of_stream {
                return Ok(Some(Place { revision: event.revision, position: event.position }));
            }
        }
        Ok(None)
    }

    /// The next matching events of a scan, which moves on; there may be none over a stretch.
    pub(crate) fn scan(&self, scan: &mut Scan, io: Io) -> Result<Events, Fault> {
        let Scan { window, filter } = scan;
        let mut blocks = self.frames(window);
        if blocks.is_empty() && !window.is_empty() {
            let snapshot = self.snapshot();
            let segment = snapshot.segment_at(window.start);
            let end = window.end.min(segment.end());
            match filtered::plan(filter, &snapshot, segment, window.start..end, io)? {
                Plan::Read => blocks = segment.blocks(window.start..end, io)?,
                Plan::Events(found, end) => {
                    let (events, passed) = segment.pick(&found, io)?;
                    window.start = found.get(passed).map_or(end, |next| next.position);
                    return Ok(Events::of(events, Arc::clone(filter)));
                }
            }
        }
        let end = blocks.last().map_or(window.start, |last| last.end().min(window.end));
        let events = Events::new(blocks, window.start..end, Arc::clone(filter));
        window.start = end + u64::from(planted::is(Bug::TailSkips) && end < window.end);
        Ok(events)
    }

    /// The next live events of a stream; none at its end, and none over a stretch of others.
    pub(crate) fn read(&self, scan: &mut StreamScan, io: Io) -> Result<Picked, Fault> {
        if io == Io::Allowed {
            // The hop to this thread is paid: make the most of it.
            scan.at.allow_more();
        }
        // In this order: what was dropped from these segments was so by what is known of it now.
        let snapshot = self.snapshot();
        let lifetime = scan.began.unwrap_or_else(|| self.lifetimes().of(&scan.stream));
        let bounded = if planted::is(Bug::UnboundedRead) { Lifetime::default() } else { lifetime };
        let bounds = self.bounds(&snapshot.segments, scan, bounded, io)?;
        let Some(events) = self.read_within(&snapshot, scan, &bounds, io)? else {
            scan.began = None;
            return self.read(scan, io);
        };
        scan.began = None;
        Ok(events)
    }

    /// What a lifetime means for a read now; what is too old at one end of its window is cut off.
    fn bounds(
        &self,
        segments: &[Arc<Segment>],
        scan: &mut StreamScan,
        lifetime: Lifetime,
        io: Io,
    ) -> Result<Bounds, Fault> {
        if lifetime.tombstoned {
            scan.at.window = 0..0;
            return Err(Fault::Read(ReadError::Deleted { stream: scan.stream.clone() }));
        }
        if lifetime.is_deleted() {
            scan.at.window = 0..0;
        }
        if let Some(most) = lifetime.max_count {
            scan.at.at_most(size(most.get()));
            if scan.last.is_none() {
                let last = self.last_event(&scan.stream, scan.at.window.end, io)?;
                scan.last = last.map(|event| event.revision);
            }
        }
        let last = scan.last.unwrap_or(Revision::START);
        let mut bounds = lifetime.bounds(last, || self.vfs.now());
        if planted::is(Bug::AgeUnheeded) {
            bounds.since = None;
        }
        if let Some(since) = bounds.since {
            let is_old =
                |segment: &Arc<Segment>| segment.count() > 0 && segment.recorded_at() < since;
            let old = segments.iter().rposition(is_old).map_or(0, |last| segments[last].end());
            scan.at.window.start = scan.at.window.start.max(old).min(scan.at.window.end);
        }
        Ok(bounds)
    }

    /// The next live events of a stream; `None` where some were dropped since the read began, which
    /// what bounded the stream then does not tell.
    fn read_within(
        &self,
        snapshot: &Snapshot,
        scan: &mut StreamScan,
        bounds: &Bounds,
        io: Io,
    ) -> Result<Option<Picked>, Fault> {
        let StreamScan { at, began, .. } = scan;
        let direction = at.direction;
        if direction == Direction::Forward {
            at.from = at.from.max(bounds.first.0);
        }
        let Some(next) = at.next(snapshot, io)? else { return Ok(Some(Picked::none())) };
        let is_live = |event: &RecordedEvent| bounds.include(event.revision, event.recorded_at);
        // Whether there may be live ones before it.
        let goes_on = |oldest: &RecordedEvent| oldest.revision > bounds.first && is_live(oldest);
        let (picked, backward) = match &next {
            Next::Found(segment, found) => {
                let mut events = self.listed(segment, found, io)?;
                if events.len() < found.len() && began.is_some() {
                    return Ok(None);
                }
                let backward = events.last().is_none_or(|Listed { event, .. }| goes_on(event));
                events.retain(|Listed { event, .. }| is_live(event));
                (Picked::Found(events.into_iter()), backward)
            }
            Next::Group(group, within) => {
                let events = &group.events;
                let lives = |revision: &u64| events.record(*revision).is_some_and(is_live);
                let live = within.clone().find(lives).unwrap_or(within.end)..within.end;
                if events.has_dropped(live.clone()) && began.is_some() {
                    return Ok(None);
                }
                let backward = events.record(within.start).is_none_or(goes_on);
                (Picked::Group { group: Arc::clone(group), within: live, direction }, backward)
            }
        };
        at.go_on(&next, snapshot);
        if direction == Direction::Backward && !backward {
            at.window.end = at.window.start;
        }
        Ok(Some(picked))
    }

    /// The next events of an index stream; none at its end, and none over a stretch of dropped
    /// ones.
    pub(crate) fn read_index(&self, scan: &mut ListScan, io: Io) -> Result<Picked, Fault> {
        if io == Io::Allowed {
            scan.allow_more();
        }
        let snapshot = self.snapshot();
        let Some(next) = scan.next(&snapshot, io)? else { return Ok(Picked::none()) };
        let picked = match &next {
            Next::Found(segment, found) => {
                Picked::Found(self.listed(segment, found, io)?.into_iter())
            }
            Next::Group(group, within) => {
                let (group, within) = (Arc::clone(group), within.clone());
                Picked::Group { group, within, direction: scan.direction }
            }
        };
        scan.go_on(&next, &snapshot);
        Ok(picked)
    }

    /// The last of a stream's events before a position, without its contents where it was dropped.
    pub(crate) fn last_event(
        &self,
        stream: &StreamId,
        before: u64,
        io: Io,
    ) -> Result<Option<Recorded>, Fault> {
        let (from, direction) = (Revision::END, Direction::Backward);
        let mut scan = ListScan::new(stream.clone().into(), from, direction, 0..before);
        scan.at_most(1);
        let event = match scan.next(&self.snapshot(), io)? {
            None => return Ok(None),
            Some(Next::Group(group, within)) => group.events.share(within.end - 1),
            Some(Next::Found(segment, found)) => {
                let Some(Found { position, .. }) = found.first() else { return Ok(None) };
                let recent = self.recent.read().from(*position).next().cloned();
                let event = recent.and_then(|frame| frame.share(*position));
                Some(event.map_or_else(|| segment.event(*position, io), Ok)?)
            }
        };
        Ok(event)
    }

    /// Events of a list that are not in a group, with their revisions or ordinals.
    fn listed(&self, segment: &Segment, found: &[Found], io: Io) -> Result<Vec<Listed>, Fault> {
        let was_missed = |found: &Found, key: &Key| segment.misses_again(found, key);
        let recent = self.recent.read().first().unwrap_or(u64::MAX);
        let at_hand = |position| {
            let frame = || self.recent.read().from(position).next().cloned();
            (position >= recent).then(frame).flatten()
        };
        let mut events = Vec::with_capacity(found.len());
        segment.each_block(
            found,
            was_missed,
            at_hand,
            io,
            |&Found { ordinal, position, .. }, block| {
                let event = block.get(position);
                events.extend(event.map(|event| Listed { ordinal: Revision(ordinal), event }));
            },
        )?;
        Ok(events)
    }
}
