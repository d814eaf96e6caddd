use std::ops::Range;
use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard};
use uuid::Uuid;

use super::block::Block;
use super::bytes::{narrow, size};
use super::cache::Io;
use super::error::Fault;
use super::events::Events;
use super::index::Wanted;
use super::open::Segments;
use super::recent::Recent;
use super::segment::{Extent, Segment, stretch};
use super::vfs::Vfs;
use crate::admission::Place;
use crate::lifetimes::{Bounds, Changes, Lifetime, Lifetimes};
use crate::{Direction, Filter, ReadError, Recorded, Revision, StreamId};

/// Most frames in memory that a scan takes at a time.
const FRAMES: usize = 64;

/// The events of a first chunk of a stream; the next ones are larger.
const FIRST_CHUNK: usize = 16;

/// Most events of a stream read at a time.
const MOST_EVENTS: usize = 256;

/// What is durable: the segments in order, and the last events in memory.
#[derive(Debug)]
pub(crate) struct Log {
    segments: RwLock<Arc<Vec<Arc<Segment>>>>,
    recent: RwLock<Recent>,
    lifetimes: RwLock<Lifetimes>,
    /// The clock that events' ages are told by.
    vfs: Arc<dyn Vfs>,
}

/// How far a scan over all events has come.
#[derive(Debug, Clone)]
pub(crate) struct Scan {
    /// The positions still to look at.
    pub(crate) window: Range<u64>,
    pub(crate) filter: Arc<Filter>,
}

/// How far a read of a stream has come.
#[derive(Debug, Clone)]
pub(crate) struct StreamScan {
    pub(crate) stream: StreamId,
    /// The first revision, in the direction of the read.
    pub(crate) from: Revision,
    pub(crate) direction: Direction,
    /// The positions still to look at.
    pub(crate) window: Range<u64>,
    /// At most so many events at once; grows as the read goes on.
    most: usize,
    /// What bounded the stream when the read began, for the first look; later ones take what
    /// bounds it then.
    began: Option<Lifetime>,
    /// The stream's last revision when the read began, once that was asked for.
    last: Option<Revision>,
}

impl Log {
    pub(crate) fn new(segments: Segments, vfs: Arc<dyn Vfs>) -> Self {
        let Segments { in_order, lifetimes } = segments;
        let (segments, lifetimes) = (RwLock::new(Arc::new(in_order)), RwLock::new(lifetimes));
        Self { segments, recent: RwLock::default(), lifetimes, vfs }
    }

    pub(crate) fn segments(&self) -> Arc<Vec<Arc<Segment>>> {
        Arc::clone(&self.segments.read())
    }

    pub(crate) fn add(&self, segment: Arc<Segment>) {
        let mut segments = self.segments.write();
        *segments = Arc::new(segments.iter().cloned().chain([segment]).collect());
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
        let mut segments = self.segments.write();
        let same = |old: &Arc<Segment>| old.first() == segment.first();
        let instead = |old: &Arc<Segment>| Arc::clone(if same(old) { segment } else { old });
        *segments = Arc::new(segments.iter().map(instead).collect());
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
        StreamScan {
            stream: stream.clone(),
            from,
            direction,
            window,
            most: FIRST_CHUNK,
            began,
            last: None,
        }
    }

    /// A stream's last revision.
    pub(crate) fn last_revision(
        &self,
        stream: &StreamId,
        io: Io,
    ) -> Result<Option<Revision>, Fault> {
        for segment in self.segments().iter().rev() {
            if let Some(last) = segment.last_revision(stream, io)? {
                return Ok(Some(last));
            }
        }
        Ok(None)
    }

    /// Where the event of an id is.
    pub(crate) fn find(&self, id: Uuid, io: Io) -> Result<Option<Place>, Fault> {
        for segment in self.segments().iter().rev() {
            for number in segment.id_candidates(id, io)? {
                let position = segment.first() + u64::from(number);
                let event = segment.event(position, io)?;
                if event.id == id {
                    let Recorded { stream, revision, position, .. } = event;
                    return Ok(Some(Place { stream, revision, position }));
                }
            }
        }
        Ok(None)
    }

    /// The next matching events of a scan, which moves on; there may be none over a stretch.
    pub(crate) fn scan(&self, scan: &mut Scan, io: Io) -> Result<Events, Fault> {
        let Scan { window, filter } = scan;
        let mut blocks = self.frames(window);
        if blocks.is_empty() && !window.is_empty() {
            let segments = self.segments();
            let segment = &segments[segments.partition_point(|s| s.first() <= window.start) - 1];
            let end = window.end.min(segment.end());
            if segment.may_match(filter) {
                blocks = segment.blocks(window.start..end, io)?;
            } else {
                window.start = end;
            }
        }
        let end = blocks.last().map_or(window.start, |last| last.end().min(window.end));
        let events = Events::new(blocks, window.start..end, Arc::clone(filter));
        window.start = end;
        Ok(events)
    }

    /// The next live events of a stream; none at its end, and none over a stretch of others.
    pub(crate) fn read(&self, scan: &mut StreamScan, io: Io) -> Result<Vec<Recorded>, Fault> {
        if io == Io::Allowed {
            // The hop to this thread is paid: make the most of it.
            scan.most = MOST_EVENTS;
        }
        // In this order: what was dropped from these segments was so by what is known of it now.
        let segments = self.segments();
        let lifetime = scan.began.unwrap_or_else(|| self.lifetimes().of(&scan.stream));
        let bounds = self.bounds(&segments, scan, lifetime, io)?;
        let Some(events) = self.read_within(&segments, scan, &bounds, io)? else {
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
            scan.window = 0..0;
            return Err(Fault::Read(ReadError::Deleted { stream: scan.stream.clone() }));
        }
        if lifetime.is_deleted() {
            scan.window = 0..0;
        }
        if let Some(most) = lifetime.max_count {
            scan.most = scan.most.min(size(most.get()));
            if scan.last.is_none() {
                let last = self.last_event(&scan.stream, scan.window.end, io)?;
                scan.last = last.map(|event| event.revision);
            }
        }
        let last = scan.last.unwrap_or(Revision::START);
        let bounds = lifetime.bounds(last, || self.vfs.now());
        if let Some(since) = bounds.since {
            let is_old =
                |segment: &Arc<Segment>| segment.count() > 0 && segment.recorded_at() < since;
            let old = segments.iter().rposition(is_old).map_or(0, |last| segments[last].end());
            scan.window.start = scan.window.start.max(old).min(scan.window.end);
        }
        Ok(bounds)
    }

    /// The next live events of a stream; `None` where some were dropped since the read began, which
    /// what bounded the stream then does not tell.
    fn read_within(
        &self,
        segments: &[Arc<Segment>],
        scan: &mut StreamScan,
        bounds: &Bounds,
        io: Io,
    ) -> Result<Option<Vec<Recorded>>, Fault> {
        if scan.direction == Direction::Forward {
            scan.from = scan.from.max(bounds.first);
        }
        while !scan.window.is_empty() {
            let at = match scan.direction {
                Direction::Forward => segments.partition_point(|s| s.first() <= scan.window.start),
                Direction::Backward => segments.partition_point(|s| s.first() < scan.window.end),
            };
            let segment = &segments[at - 1];
            let places = segment.places(&scan.stream, &scan.wanted(segment), io)?;
            let Some((last, _)) = places.last() else {
                scan.pass(segment.first(), segment.end());
                continue;
            };
            let (last, count) = (*last, places.len());
            let mut events = self.events(segment, &scan.stream, &places, io)?;
            if events.len() < count && scan.began.is_some() {
                return Ok(None);
            }
            scan.pass(last, last + 1);
            let is_live = |event: &Recorded| bounds.include(event.revision, event.recorded_at);
            if scan.direction == Direction::Backward
                && let Some(oldest) = events.last()
                && (oldest.revision <= bounds.first || !is_live(oldest))
            {
                scan.window.end = scan.window.start;
            }
            events.retain(is_live);
            scan.most = (scan.most * 4).min(MOST_EVENTS);
            return Ok(Some(events));
        }
        Ok(Some(Vec::new()))
    }

    /// The last of a stream's events before a position, without its contents where it was dropped.
    pub(crate) fn last_event(
        &self,
        stream: &StreamId,
        before: u64,
        io: Io,
    ) -> Result<Option<Recorded>, Fault> {
        for segment in self.segments().iter().rev().filter(|segment| segment.first() < before) {
            let end = narrow(size(before.min(segment.end()) - segment.first()));
            let (from, direction) = (Revision::END.0, Direction::Backward);
            let wanted = Wanted { window: 0..end, from, direction, most: 1 };
            if let Some((position, _)) = segment.places(stream, &wanted, io)?.pop() {
                let recent = self.recent.read().from(position).next().cloned();
                let event = recent.and_then(|frame| frame.record(position).cloned());
                return event.map_or_else(|| segment.event(position, io), Ok).map(Some);
            }
        }
        Ok(None)
    }

    /// A stream's events at some places of a segment.
    fn events(
        &self,
        segment: &Segment,
        stream: &StreamId,
        places: &[(u64, Extent)],
        io: Io,
    ) -> Result<Vec<Recorded>, Fault> {
        let recent = self.recent.read().first().unwrap_or(u64::MAX);
        let (mut events, mut block) = (Vec::with_capacity(places.len()), None::<Arc<Block>>);
        for (n, (position, at)) in places.iter().enumerate() {
            let mut known = block.filter(|block| block.covers(*position));
            if known.is_none() && *position >= recent {
                known = self.recent.read().from(*position).next().cloned();
            }
            let others = || places.get(n + 1).is_some_and(|(_, next)| stretch(next) == stretch(at));
            let found = match known {
                Some(block) => block,
                None => segment.block(*position, at, others(), io)?,
            };
            events.extend(found.of_stream(*position, stream));
            block = Some(found);
        }
        Ok(events)
    }
}

impl StreamScan {
    fn wanted(&self, segment: &Segment) -> Wanted {
        let number = |position: u64| narrow(size(position.saturating_sub(segment.first())));
        let end = self.window.end.min(segment.end());
        let window = number(self.window.start)..number(end);
        Wanted { window, from: self.from.0, direction: self.direction, most: self.most }
    }

    /// Goes past a range of positions, in the direction of the read.
    fn pass(&mut self, first: u64, end: u64) {
        match self.direction {
            Direction::Forward => self.window.start = end.min(self.window.end),
            Direction::Backward => self.window.end = first.max(self.window.start),
        }
    }
}
