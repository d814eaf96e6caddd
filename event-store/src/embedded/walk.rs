//! A segment read over its damage: every record that is still there, and where others were.
//!
//! It trusts nothing but checksums. Where a record is bad it looks for the next good one, at any
//! byte and of any position that can stand there; where a frame's header is bad, for the next good
//! one, which the segment's salt and its own offset make known.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::bytes::size;
use super::format::{
    FRAME_HEADER, Flaw, FrameHeader, MIN_RECORD, Record, SEGMENT_HEADER, SegmentHeader,
    may_begin_record, stream_of_bad_record,
};
use super::scan::{Window, frame_after};
use super::vfs::VfsFile;
use crate::StreamId;

/// What stands at some place of a segment.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// A good record.
    Record { offset: u64, position: u64, record: Record<'a> },
    /// Bytes that are not what was written.
    Damage(Damage),
}

/// Bytes of a segment that are not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) bytes: Range<u64>,
    /// The events that were there; none where only a header or padding is hurt.
    pub(crate) positions: Range<u64>,
    /// The stream that a bad record says it is of.
    pub(crate) stream: Option<StreamId>,
    pub(crate) flaw: Flaw,
}

/// Goes through a segment's bytes, up to a length. `until` is the position after its last event,
/// where that is known: what is missing before it is reported, too. Returns the position after the
/// last event that was there.
pub(crate) fn walk(
    file: &Arc<dyn VfsFile>,
    header: SegmentHeader,
    length: u64,
    until: Option<u64>,
    step: &mut dyn FnMut(Step<'_>),
) -> io::Result<u64> {
    let mut window = Window::new(file)?;
    let mut walk = Walk { next: header.first, step };
    let mut at = SEGMENT_HEADER as u64;
    while at < length {
        match frame(&mut window, header, at, walk.next)? {
            Ok(frame) => {
                let body = &window.at(at, frame.frame_len())?[FRAME_HEADER..];
                let positions = frame.first..frame.first + frame.count as u64;
                walk.records(body, at + FRAME_HEADER as u64, positions, frame.body);
                at += frame.frame_len() as u64;
            }
            Err(flaw) => {
                let (to, last) = match frame_after(file, header, at + 1)? {
                    Some((offset, frame)) => (offset, Some(frame.first)),
                    None => (length, until),
                };
                walk.broken(window.at(at, size(to - at))?, at, last, flaw);
                at = to;
            }
        }
    }
    if let Some(until) = until.filter(|&until| until > walk.next) {
        walk.damage(at..at, walk.next..until, "the segment ends before the next one begins");
        walk.next = until;
    }
    Ok(walk.next)
}

/// The header of a frame that is whole and of the position that is next.
fn frame(
    window: &mut Window<'_>,
    segment: SegmentHeader,
    at: u64,
    next: u64,
) -> io::Result<Result<FrameHeader, Flaw>> {
    let length = window.length();
    Ok(FrameHeader::decode(window.at(at, FRAME_HEADER)?, segment.salt, at).and_then(|frame| {
        if frame.first != next {
            Err("a frame does not continue the positions of the one before")
        } else if at + frame.frame_len() as u64 > length {
            Err("the file ends within a frame")
        } else {
            Ok(frame)
        }
    }))
}

struct Walk<'a> {
    next: u64,
    step: &'a mut dyn FnMut(Step<'_>),
}

impl Walk<'_> {
    /// The records of a frame with a good header.
    fn records(&mut self, body: &[u8], offset: u64, positions: Range<u64>, length: usize) {
        let (records, padding) = body.split_at(length);
        self.region(records, offset, Some(positions.end));
        if let Some(at) = padding.iter().position(|&byte| byte != 0) {
            let at = offset + (length + at) as u64;
            let end = offset + body.len() as u64;
            self.damage(at..end, self.next..self.next, "there is something between two frames");
        }
    }

    /// Bytes without a good frame, before the frame that begins with the position `end`.
    fn broken(&mut self, bytes: &[u8], offset: u64, end: Option<u64>, flaw: Flaw) {
        let header = FRAME_HEADER.min(bytes.len());
        self.damage(offset..offset + header as u64, self.next..self.next, flaw);
        self.region(&bytes[header..], offset + header as u64, end);
    }

    /// Bytes that hold, or held, the records from the next position on, up to `end`, where that is
    /// known.
    fn region(&mut self, bytes: &[u8], offset: u64, end: Option<u64>) {
        let mut at = 0;
        while end.is_none_or(|end| self.next < end) {
            match Record::decode(&bytes[at..], self.next) {
                Ok(record) => {
                    let (position, offset) = (self.next, offset + at as u64);
                    at += record.length();
                    self.next += 1;
                    (self.step)(Step::Record { offset, position, record });
                }
                Err(flaw) => {
                    let found = record_after(bytes, at, self.next, end);
                    let (to, next) = found.unwrap_or((bytes.len(), end.unwrap_or(self.next)));
                    let stream = stream_of_bad_record(&bytes[at..to]);
                    let bytes = offset + at as u64..offset + to as u64;
                    self.tell(bytes, self.next..next, stream, flaw);
                    (at, self.next) = (to, next);
                    if found.is_none() {
                        return;
                    }
                }
            }
        }
        if bytes[at..].iter().any(|&byte| byte != 0) {
            let bytes = offset + at as u64..offset + bytes.len() as u64;
            self.damage(bytes, self.next..self.next, "a frame is longer than its records");
        }
    }

    fn damage(&mut self, bytes: Range<u64>, positions: Range<u64>, flaw: Flaw) {
        self.tell(bytes, positions, None, flaw);
    }

    fn tell(
        &mut self,
        bytes: Range<u64>,
        positions: Range<u64>,
        stream: Option<StreamId>,
        flaw: Flaw,
    ) {
        if !bytes.is_empty() || !positions.is_empty() {
            (self.step)(Step::Damage(Damage { bytes, positions, stream, flaw }));
        }
    }
}

/// Where the next good record is after a bad one, and its position.
fn record_after(bytes: &[u8], bad: usize, next: u64, end: Option<u64>) -> Option<(usize, u64)> {
    let mut candidates = (bad + 1..bytes.len()).filter(|&at| may_begin_record(&bytes[at..]));
    candidates.find_map(|at| {
        // No more records fit between.
        let most = next + ((at - bad) / MIN_RECORD) as u64;
        let mut positions = next..end.map_or(most + 1, |end| end.min(most + 1));
        let is_good = |position: &u64| Record::decode(&bytes[at..], *position).is_ok();
        positions.find(is_good).map(|position| (at, position))
    })
}
