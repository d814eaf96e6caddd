//! A second, independent reading of the documented format: where the frames of a segment are.

use crate::disk::Disk;

const SEGMENT_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

struct Frame {
    start: usize,
    end: usize,
    /// The position of its first event.
    first: usize,
}

/// How many events a store may be left with, where damage cannot be told from an unfinished last
/// write: it touches a frame of the last segment, and the headers of all frames after that.
pub(crate) fn excused(disk: &Disk) -> Option<usize> {
    let damage = disk.damaged()?;
    let (path, bytes) = disk.last_undamaged("log")?;
    if path != damage.path || damage.offset < SEGMENT_HEADER {
        return None;
    }
    let frames = frames(&bytes);
    let touched = frames.iter().position(|frame| damage.offset < frame.end)?;
    let later = &frames[touched + 1..];
    let hidden = later.iter().all(|frame| frame.start < damage.end());
    hidden.then_some(frames[touched].first)
}

/// The good frames of a segment.
fn frames(bytes: &[u8]) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    loop {
        let start = frames.last().map_or(SEGMENT_HEADER, |frame| frame.end);
        let Some(frame) = bytes.get(start..).and_then(|rest| frame(bytes, rest, start)) else {
            return frames;
        };
        frames.push(frame);
    }
}

fn frame(segment: &[u8], rest: &[u8], start: usize) -> Option<Frame> {
    let header: &[u8; FRAME_HEADER] = rest.first_chunk()?;
    let salt = segment.get(24..32)?;
    let crc = [&(start as u64).to_le_bytes()[..], &header[8..]]
        .iter()
        .fold(crc32c::crc32c(salt), |crc, part| crc32c::crc32c_append(crc, part));
    if crc.to_le_bytes() != header[4..8] {
        return None;
    }
    let length = (FRAME_HEADER + number(&header[8..12])).next_multiple_of(8);
    let first = number(&header[16..24]);
    (length <= rest.len()).then_some(Frame { start, end: start + length, first })
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
}
