use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use uuid::Uuid;

use super::block::Block;
use super::bytes::{narrow, size};
use super::cache::Io;
use super::error::Fault;
use super::format::Record;
use super::index::Wanted;
use super::recent::Recent;
use super::segment::{Extent, Segment};
use crate::admission::Place;
use crate::{Direction, Filter, Position, Recorded, Revision, StreamId};

/// Read at a time by a scan.
const SCAN_BYTES: u32 = 512 << 10;
const SCAN_EVENTS: u64 = 4_096;

/// A scan over frames in memory stops at so many events.
const FEW: usize = 64;

/// Most events of a stream read at a time.
const MOST_EVENTS: usize = 256;

/// What is durable: the segments in order, and the last events in memory.
#[derive(Debug)]
pub(crate) struct Log {
    segments: RwLock<Arc<Vec<Arc<Segment>>>>,
    recent: RwLock<Recent>,
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
    pub(crate) most: usize,
}

impl Log {
    pub(crate) fn new(segments: Vec<Arc<Segment>>) -> Self {
        Self { segments: RwLock::new(Arc::new(segments)), recent: RwLock::default() }
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

    fn recent(&self, position: u64) -> Option<Arc<Block>> {
        self.recent.read().get(position).cloned()
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
                let offsets = segment.offsets(position..position + 1, io)?;
                let extent = offsets[0].into()..offsets[1].into();
                let bytes = segment.record_bytes(Extent::clone(&extent), io)?;
                let record = segment.record(&bytes, position, extent.start)?;
                if record.id() == id {
                    let stream = StreamId::checked(record.stream());
                    let (revision, position) = (record.revision(), Position(position));
                    return Ok(Some(Place { stream, revision, position }));
                }
            }
        }
        Ok(None)
    }

    /// The next matching events of a scan, which moves on; none over a stretch without a match.
    pub(crate) fn scan(&self, scan: &mut Scan, io: Io) -> Result<Vec<Recorded>, Fault> {
        let Scan { window, filter } = scan;
        let mut events = Vec::new();
        while events.len() < FEW
            && window.start < window.end
            && let Some(frame) = self.recent(window.start)
        {
            let end = frame.end().min(window.end);
            let frame = (window.start..end).filter_map(|position| frame.get(position));
            events.extend(frame.filter(|e| filter.matches(e.stream.as_str(), &e.kind)).cloned());
            window.start = end;
        }
        if !events.is_empty() || window.is_empty() {
            return Ok(events);
        }
        let segments = self.segments();
        let segment = &segments[segments.partition_point(|s| s.first() <= window.start) - 1];
        let end = window.end.min(segment.end());
        if !segment.may_match(filter) {
            window.start = end;
            return Ok(Vec::new());
        }
        let positions = window.start..end.min(window.start + SCAN_EVENTS);
        let offsets = segment.offsets(positions, io)?;
        let fitting = offsets.partition_point(|offset| offset - offsets[0] <= SCAN_BYTES);
        let offsets = &offsets[..fitting.max(2)];
        let bytes = segment.read(offsets[0].into()..offsets[offsets.len() - 1].into(), io)?;
        let mut decoder = Decoder::default();
        events.reserve(offsets.len() - 1);
        for (position, offset) in (window.start..).zip(&offsets[..offsets.len() - 1]) {
            let at = (offset - offsets[0]) as usize;
            let record = segment.record(&bytes[at..], position, u64::from(*offset))?;
            if !record.is_husk() && filter.matches(record.stream(), record.kind()) {
                events.push(decoder.event(&record, &bytes, position));
            }
        }
        window.start += offsets.len() as u64 - 1;
        Ok(events)
    }

    /// The next events of a stream; none at its end, and none over a stretch of dropped ones.
    pub(crate) fn read(&self, scan: &mut StreamScan, io: Io) -> Result<Vec<Recorded>, Fault> {
        if io == Io::Allowed {
            // The hop to this thread is paid: make the most of it.
            scan.most = MOST_EVENTS;
        }
        let segments = self.segments();
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
            let last = *last;
            let events = self.events(segment, &scan.stream, places, io)?;
            scan.pass(last, last + 1);
            scan.most = (scan.most * 4).min(MOST_EVENTS);
            return Ok(events);
        }
        Ok(Vec::new())
    }

    /// A stream's events at some places of a segment.
    fn events(
        &self,
        segment: &Segment,
        stream: &StreamId,
        places: Vec<(u64, Extent)>,
        io: Io,
    ) -> Result<Vec<Recorded>, Fault> {
        let recent: Vec<_> = {
            let recent = self.recent.read();
            let event = |at: u64| recent.get(at).and_then(|frame| frame.get(at)).cloned();
            places.iter().map(|(position, _)| event(*position)).collect()
        };
        let mut decoder = Decoder { stream: Some(stream.clone()), ..Decoder::default() };
        let mut events = Vec::with_capacity(places.len());
        for (recent, (position, extent)) in recent.into_iter().zip(places) {
            if let Some(event) = recent {
                events.push(event);
                continue;
            }
            let bytes = segment.record_bytes(extent.clone(), io)?;
            let record = segment.record(&bytes, position, extent.start)?;
            if !record.is_husk() {
                events.push(decoder.event(&record, &bytes, position));
            }
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

/// Makes events of records; names that come again are shared rather than made again.
#[derive(Debug, Default)]
struct Decoder {
    stream: Option<StreamId>,
    kinds: Vec<Arc<str>>,
}

impl Decoder {
    fn event(&mut self, record: &Record<'_>, bytes: &Bytes, position: u64) -> Recorded {
        let (metadata, data) = record.contents(bytes);
        Recorded {
            stream: self.stream(record.stream()),
            revision: record.revision(),
            position: Position(position),
            recorded_at: record.recorded_at(),
            id: record.id(),
            kind: self.kind(record.kind()),
            data,
            metadata,
        }
    }

    fn stream(&mut self, name: &str) -> StreamId {
        match &self.stream {
            Some(stream) if stream.as_str() == name => stream.clone(),
            _ => self.stream.insert(StreamId::checked(name)).clone(),
        }
    }

    fn kind(&mut self, name: &str) -> Arc<str> {
        if let Some(kind) = self.kinds.iter().find(|kind| &***kind == name) {
            return Arc::clone(kind);
        }
        let kind: Arc<str> = name.into();
        if self.kinds.len() < 64 {
            self.kinds.push(Arc::clone(&kind));
        }
        kind
    }
}
