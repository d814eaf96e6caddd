//! A segment read from its bytes alone: to rebuild an index, and to find where the good ends.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::bytes::{narrow, size};
use super::format::{
    ALIGNMENT, FRAME_HEADER, Flaw, FrameHeader, Record, SEGMENT_HEADER, SegmentHeader,
};
use super::index::{Indexed, MemoryIndex};
use super::vfs::VfsFile;
use crate::StreamId;
use crate::planted::{self, Bug};

/// Read at a time.
const WINDOW: usize = 1 << 20;

/// What a segment's bytes are found to be.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The index of all events of good frames.
    pub(crate) index: MemoryIndex,
    /// Where the good frames end.
    pub(crate) end: u64,
    /// The bytes of the last good frame.
    pub(crate) last: Option<Range<u64>>,
    /// Whether that one is empty: it vouches for those before it.
    pub(crate) vouched: bool,
    /// The first bad byte, and what is wrong there.
    pub(crate) flaw: Option<(u64, Flaw)>,
}

/// Reads a segment's frames up to its end, or up to the first flaw.
pub(crate) fn scan(file: &Arc<dyn VfsFile>, header: SegmentHeader) -> io::Result<Scan> {
    let mut scan = Scan::default();
    scan.go_on(file, header)?;
    Ok(scan)
}

impl Default for Scan {
    fn default() -> Self {
        let end = SEGMENT_HEADER as u64;
        Self { index: MemoryIndex::default(), end, last: None, vouched: false, flaw: None }
    }
}

impl Scan {
    /// Whether what comes after the good frames is prepared for others, and none was begun.
    pub(crate) fn is_unwritten(&self) -> bool {
        self.flaw.is_some_and(|(_, flaw)| flaw == UNWRITTEN)
    }

    /// Reads on from where the good frames ended: there may be more of them by now.
    pub(crate) fn go_on(
        &mut self,
        file: &Arc<dyn VfsFile>,
        header: SegmentHeader,
    ) -> io::Result<()> {
        let mut window = Window::new(file)?;
        self.flaw = None;
        while self.end < window.length {
            match frame(&mut window, header, self)? {
                Ok(frame) => {
                    let end = self.end + frame.frame_len() as u64;
                    self.last = Some(self.end..end);
                    self.vouched = frame.count == 0;
                    self.end = end;
                }
                flaw => {
                    let unwritten = window.is_zero_from(self.end)?;
                    self.flaw = if unwritten { Some((self.end, UNWRITTEN)) } else { flaw.err() };
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Why there is no frame at the end of the log: there are zeros that were prepared for one.
const UNWRITTEN: Flaw = "nothing was written here yet";

/// Whether a file has nothing but zeros from an offset on.
pub(crate) fn is_unwritten(file: &Arc<dyn VfsFile>, from: u64) -> io::Result<bool> {
    Window::new(file)?.is_zero_from(from)
}

/// Checks the frame at the scan's end and indexes its events, if it is good.
fn frame(
    window: &mut Window,
    segment: SegmentHeader,
    scan: &mut Scan,
) -> io::Result<Result<FrameHeader, (u64, Flaw)>> {
    let start = scan.end;
    let header = match FrameHeader::decode(window.at(start, FRAME_HEADER)?, segment.salt, start) {
        Ok(header) => header,
        Err(flaw) => return Ok(Err((start, flaw))),
    };
    let first = segment.first + scan.index.count() as u64;
    if header.first != first {
        return Ok(Err((start, "a frame does not continue the positions of the one before")));
    }
    if start + header.frame_len() as u64 > window.length {
        return Ok(Err((start, "the file ends within a frame")));
    }
    let bytes = window.at(start, header.frame_len())?;
    let records = match records(&bytes[FRAME_HEADER..], header) {
        Ok(records) => records,
        Err((offset, flaw)) => return Ok(Err((start + (FRAME_HEADER + offset) as u64, flaw))),
    };
    // All of them before the first is indexed: a frame is taken whole or not at all.
    if let Some((offset, _)) = records.iter().find(|(_, record)| stream(record).is_err()) {
        return Ok(Err((start + (FRAME_HEADER + offset) as u64, NO_NAME)));
    }
    for (offset, record) in records {
        let offset = start + (FRAME_HEADER + offset) as u64;
        if let Err(flaw) = push(&mut scan.index, offset, &record) {
            return Ok(Err((offset, flaw)));
        }
    }
    Ok(Ok(header))
}

/// Whether bytes that were read from an offset are a whole, good frame.
pub(crate) fn is_frame(bytes: &[u8], segment: SegmentHeader, offset: u64) -> bool {
    let header = FrameHeader::decode(bytes, segment.salt, offset);
    header.is_ok_and(|header| {
        header.frame_len() == bytes.len() && records(&bytes[FRAME_HEADER..], header).is_ok()
    })
}

/// Indexes a record.
pub(crate) fn push(index: &mut MemoryIndex, offset: u64, record: &Record<'_>) -> Result<(), Flaw> {
    index.push(&Indexed {
        offset: narrow(size(offset)),
        stream: &stream(record)?,
        revision: record.revision(),
        id: record.id(),
        kind: record.kind(),
        recorded_at: record.recorded_at(),
        change: record.change(),
    });
    Ok(())
}

const NO_NAME: Flaw = "a record's stream has no valid name";

fn stream(record: &Record<'_>) -> Result<StreamId, Flaw> {
    record.stream().parse().map_err(|_| NO_NAME)
}

/// A frame's records with their offsets in its body; or where and what is wrong.
fn records(body: &[u8], header: FrameHeader) -> Result<Vec<(usize, Record<'_>)>, (usize, Flaw)> {
    let mut records = Vec::with_capacity(header.count.min(header.body));
    let mut offset = 0;
    for position in header.first..header.first + header.count as u64 {
        let record = Record::decode(&body[offset..header.body], position);
        if record.is_err() && planted::is(Bug::HalfFrame) {
            return Ok(records);
        }
        let record = record.map_err(|flaw| (offset, flaw))?;
        records.push((offset, record));
        offset += record.length();
    }
    if offset != header.body {
        return Err((offset, "a frame is longer than its records"));
    }
    if body[offset..].iter().any(|&byte| byte != 0) {
        return Err((offset, "there is something between two frames"));
    }
    Ok(records)
}

/// The first frame's header after an offset, and its own offset. It proves that what is before it was
/// durable once, since a frame is only written after those before it were synced.
pub(crate) fn frame_after(
    file: &Arc<dyn VfsFile>,
    header: SegmentHeader,
    offset: u64,
) -> io::Result<Option<(u64, FrameHeader)>> {
    let mut window = Window::new(file)?;
    let mut at = offset.next_multiple_of(ALIGNMENT as u64);
    while at + FRAME_HEADER as u64 <= window.length {
        if let Ok(frame) = FrameHeader::decode(window.at(at, FRAME_HEADER)?, header.salt, at) {
            return Ok(Some((at, frame)));
        }
        at += ALIGNMENT as u64;
    }
    Ok(None)
}

/// A file seen through a buffer.
pub(crate) struct Window<'a> {
    file: &'a Arc<dyn VfsFile>,
    length: u64,
    start: u64,
    buffer: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(crate) fn new(file: &'a Arc<dyn VfsFile>) -> io::Result<Self> {
        Ok(Self { file, length: file.length()?, start: 0, buffer: Vec::new() })
    }

    /// The bytes of the file, as it was when the window was made.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// So many bytes at an offset, fewer where the file ends.
    pub(crate) fn at(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let length = length.min(size(self.length.saturating_sub(offset)));
        let end = self.start + self.buffer.len() as u64;
        if offset < self.start || offset + length as u64 > end {
            let wanted = length.max(WINDOW).min(size(self.length - offset));
            self.buffer = self.file.read_vec_at(wanted, offset)?;
            self.start = offset;
        }
        let from = size(offset - self.start);
        Ok(&self.buffer[from..from + length])
    }

    fn is_zero_from(&mut self, mut offset: u64) -> io::Result<bool> {
        if planted::is(Bug::ZerosEndLog) {
            return Ok(self.at(offset, FRAME_HEADER)?.iter().all(|&byte| byte == 0));
        }
        while offset < self.length {
            let bytes = self.at(offset, WINDOW)?;
            if bytes.iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            offset += bytes.len() as u64;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::embedded::format::encode_record;
    use crate::embedded::vfs::{OpenMode, RealVfs, Vfs};
    use crate::{NewEvent, Revision};

    /// A segment of one frame, with an event for each of these streams.
    fn segment(dir: &std::path::Path, streams: &[&str]) -> (Arc<dyn VfsFile>, SegmentHeader) {
        let (header, mut body) = (SegmentHeader { first: 0, salt: 7 }, Vec::new());
        for (name, n) in streams.iter().zip(0..) {
            let (id, kind, data) = (Uuid::from_u128(n), "Tested".into(), "data".into());
            let event = NewEvent { id, kind, data, metadata: "".into(), is_json: true };
            let place = (u64::try_from(n).unwrap(), Revision(0));
            encode_record(&mut body, (&StreamId::checked(name), &event), place, 1);
        }
        let frame = FrameHeader { body: body.len(), count: streams.len(), first: 0 };
        let start = SEGMENT_HEADER as u64;
        body.resize(frame.frame_len() - FRAME_HEADER, 0);
        let bytes = [&header.encode()[..], &frame.encode(header.salt, start), &body].concat();
        let file = RealVfs.open(&dir.join("segment"), OpenMode::Create).unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        (file, header)
    }

    #[test]
    fn a_frame_is_indexed_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let (file, header) = segment(dir.path(), &["order-1", "order-2"]);
        assert_eq!(scan(&file, header).unwrap().index.count(), 2);

        let (file, header) = segment(dir.path(), &["order-1", "order-\0"]);
        let scan = scan(&file, header).unwrap();

        assert_eq!(scan.flaw.map(|(_, flaw)| flaw), Some(NO_NAME));
        assert_eq!((scan.index.count(), scan.end), (0, SEGMENT_HEADER as u64));
    }
}
