//! The bytes of a segment: a header, then frames of records. `docs/event-store-format.md`
//! describes them.

use bytes::Bytes;
use crc32c::{crc32c, crc32c_append};
use uuid::Uuid;

use super::bytes::{array, narrow, size, u16_at, u32_at, u64_at};
use crate::{NewEvent, Revision, StreamId};

/// The format that this build writes, and the newest that it reads.
pub(crate) const FORMAT: u32 = 1;
/// The bytes of a segment's header.
pub(crate) const SEGMENT_HEADER: usize = 32;
/// The bytes of a frame's header.
pub(crate) const FRAME_HEADER: usize = 24;
/// Frames start at multiples of this.
pub(crate) const ALIGNMENT: usize = 8;

const SEGMENT_MAGIC: &[u8; 8] = b"DAYBOOKS";
const FRAME_MAGIC: u32 = 0xDAB0_0F4E;
const RECORD_HEADER: usize = 48;

/// What is wrong with bytes.
pub(crate) type Flaw = &'static str;

/// The head of a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The position of the segment's first event.
    pub(crate) first: u64,
    /// Makes this segment's frames unlike those of any other, such as in a payload.
    pub(crate) salt: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(self) -> [u8; SEGMENT_HEADER] {
        let mut bytes = [0; SEGMENT_HEADER];
        bytes[..8].copy_from_slice(SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..].copy_from_slice(&self.salt.to_le_bytes());
        let crc = Self::crc(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; SEGMENT_HEADER]) -> Result<Self, Flaw> {
        if bytes[..8] != *SEGMENT_MAGIC {
            return Err("this is not the header of a segment");
        }
        if u32_at(bytes, 12) != Self::crc(bytes) {
            return Err("the checksum of the segment's header is wrong");
        }
        if u32_at(bytes, 8) > FORMAT {
            return Err("the segment is of a newer format");
        }
        Ok(Self { first: u64_at(bytes, 16), salt: u64_at(bytes, 24) })
    }

    fn crc(bytes: &[u8; SEGMENT_HEADER]) -> u32 {
        crc32c_append(crc32c(&bytes[..12]), &bytes[16..])
    }
}

/// The head of a frame: what one write and sync made durable, all or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// The bytes of its records.
    pub(crate) body: usize,
    /// How many records; none in a frame that only vouches for those before it.
    pub(crate) count: usize,
    /// The position of its first event.
    pub(crate) first: u64,
}

impl FrameHeader {
    /// The bytes of the whole frame, with the zeros that align the next one.
    pub(crate) fn frame_len(self) -> usize {
        (FRAME_HEADER + self.body).next_multiple_of(ALIGNMENT)
    }

    /// Encodes the header for one place in one segment.
    pub(crate) fn encode(self, salt: u64, offset: u64) -> [u8; FRAME_HEADER] {
        let mut bytes = [0; FRAME_HEADER];
        bytes[..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
        bytes[8..12].copy_from_slice(&narrow(self.body).to_le_bytes());
        bytes[12..16].copy_from_slice(&narrow(self.count).to_le_bytes());
        bytes[16..].copy_from_slice(&self.first.to_le_bytes());
        let crc = Self::crc(&bytes, salt, offset);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Decodes the header that must stand at this place of this segment.
    pub(crate) fn decode(bytes: &[u8], salt: u64, offset: u64) -> Result<Self, Flaw> {
        let bytes: &[u8; FRAME_HEADER] =
            bytes.first_chunk().ok_or("the file ends within the header of a frame")?;
        if u32_at(bytes, 0) != FRAME_MAGIC {
            return Err("there is no frame where one must begin");
        }
        if u32_at(bytes, 4) != Self::crc(bytes, salt, offset) {
            return Err("the checksum of a frame's header is wrong");
        }
        let size = |at| size(u32_at(bytes, at).into());
        Ok(Self { body: size(8), count: size(12), first: u64_at(bytes, 16) })
    }

    fn crc(bytes: &[u8; FRAME_HEADER], salt: u64, offset: u64) -> u32 {
        let place = crc32c_append(crc32c(&salt.to_le_bytes()), &offset.to_le_bytes());
        crc32c_append(place, &bytes[8..])
    }
}

/// Appends a record to a buffer.
pub(crate) fn encode_record(
    buffer: &mut Vec<u8>,
    (stream, event): (&StreamId, &NewEvent),
    (position, revision): (u64, Revision),
    recorded_at: i64,
) {
    let start = buffer.len();
    let NewEvent { id, kind, data, metadata } = event;
    let name = stream.as_str();
    let length = RECORD_HEADER + name.len() + kind.len() + metadata.len() + data.len();
    buffer.reserve(length);
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&narrow(length).to_le_bytes());
    buffer.extend_from_slice(&recorded_at.to_le_bytes());
    buffer.extend_from_slice(id.as_bytes());
    buffer.extend_from_slice(&revision.0.to_le_bytes());
    buffer.extend_from_slice(&narrow(metadata.len()).to_le_bytes());
    // Both lengths are at most 255, by `StreamId` and by the limits.
    buffer.extend_from_slice(&[narrow(name.len()).to_le_bytes()[0]]);
    buffer.extend_from_slice(&[narrow(kind.len()).to_le_bytes()[0]]);
    buffer.extend_from_slice(&[0; 2]);
    buffer.extend_from_slice(name.as_bytes());
    buffer.extend_from_slice(kind.as_bytes());
    buffer.extend_from_slice(metadata);
    buffer.extend_from_slice(data);
    let crc = record_crc(&buffer[start..], position);
    buffer[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

fn record_crc(record: &[u8], position: u64) -> u32 {
    crc32c_append(crc32c(&position.to_le_bytes()), &record[4..])
}

/// A record, checked, in the bytes that it was read as.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    bytes: &'a [u8],
    stream: &'a str,
    kind: &'a str,
    metadata: usize,
}

impl<'a> Record<'a> {
    /// Decodes the record at the start of some bytes, which must be that of a position.
    pub(crate) fn decode(bytes: &'a [u8], position: u64) -> Result<Self, Flaw> {
        if bytes.len() < RECORD_HEADER {
            return Err("a record's header is cut off");
        }
        let length = size(u32_at(bytes, 4).into());
        let bytes = bytes.get(..length).ok_or("a record is cut off")?;
        if length < RECORD_HEADER || u32_at(bytes, 0) != record_crc(bytes, position) {
            return Err("the checksum of a record is wrong");
        }
        if u16_at(bytes, 46) != 0 {
            return Err("a record has flags that this build does not know");
        }
        let kind = RECORD_HEADER + usize::from(bytes[44]);
        let metadata = kind + usize::from(bytes[45]);
        if metadata + size(u32_at(bytes, 40).into()) > length {
            return Err("the lengths within a record do not add up");
        }
        let text = |range| std::str::from_utf8(&bytes[range]).map_err(|_| "a name is not UTF-8");
        let (stream, kind) = (text(RECORD_HEADER..kind)?, text(kind..metadata)?);
        Ok(Self { bytes, stream, kind, metadata })
    }

    /// The bytes of the whole record.
    pub(crate) fn length(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn recorded_at(&self) -> i64 {
        i64::from_le_bytes(array(self.bytes, 8))
    }

    pub(crate) fn id(&self) -> Uuid {
        Uuid::from_bytes(array(self.bytes, 16))
    }

    pub(crate) fn revision(&self) -> Revision {
        Revision(u64_at(self.bytes, 32))
    }

    pub(crate) fn stream(&self) -> &'a str {
        self.stream
    }

    pub(crate) fn kind(&self) -> &'a str {
        self.kind
    }

    /// Metadata and payload, as slices of the bytes that the record was decoded from.
    pub(crate) fn contents(&self, of: &Bytes) -> (Bytes, Bytes) {
        let data = self.metadata + size(u32_at(self.bytes, 40).into());
        let (metadata, data) = (&self.bytes[self.metadata..data], &self.bytes[data..]);
        (of.slice_ref(metadata), of.slice_ref(data))
    }
}
