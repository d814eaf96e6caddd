//! The bytes of a segment: a header, then frames of records. `docs/event-store-format.md`
//! describes them.

use bytes::Bytes;
use crc32c::{crc32c, crc32c_append};
use uuid::Uuid;

use super::bytes::{array, narrow, size, u16_at, u32_at, u64_at};
use crate::lifetimes::{self, Lifetime};
use crate::planted::{self, Bug};
use crate::{NewEvent, Revision, StreamId, StreamMetadata};

/// The format that this build writes, and the only one that it reads.
pub(crate) const FORMAT: u32 = 2;
/// The bytes of a segment's header.
pub(crate) const SEGMENT_HEADER: usize = 32;
/// The bytes of a frame's header.
pub(crate) const FRAME_HEADER: usize = 24;
/// Frames start at multiples of this.
pub(crate) const ALIGNMENT: usize = 8;

const SEGMENT_MAGIC: &[u8; 8] = b"DAYBOOKS";
const FRAME_MAGIC: u32 = 0xDAB0_0F4E;
/// The bytes of a record without names, metadata and payload.
pub(crate) const RECORD_HEADER: usize = 48;
/// No record has fewer bytes: a stream's name has one at least.
pub(crate) const MIN_RECORD: usize = RECORD_HEADER + 1;
/// The flag of a [husk](encode_husk).
const HUSK: u16 = 1;
/// The flag of an event whose payload is JSON.
const JSON: u16 = 2;

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
        if u32_at(bytes, 8) != FORMAT {
            return Err("the segment is of another format");
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
    let NewEvent { id, kind, data, metadata, is_json } = event;
    let names = [stream.as_str(), kind];
    let flags = if *is_json { JSON } else { 0 };
    let fields = Fields { recorded_at, id: *id, revision, names, flags };
    fields.encode(buffer, position, [metadata, data]);
}

/// Appends to a buffer what stays of a record whose event is dropped: all but its metadata and
/// payload, so that positions, revisions, ids and the order of types and categories stay as they
/// are.
pub(crate) fn encode_husk(buffer: &mut Vec<u8>, record: &Record<'_>, position: u64) {
    let forgotten = planted::is(Bug::HuskWithoutId);
    let fields = Fields {
        recorded_at: record.recorded_at(),
        id: if forgotten { Uuid::from_u128(position.into()) } else { record.id() },
        revision: record.revision(),
        names: [record.stream, record.kind],
        flags: HUSK | record.flags() & JSON,
    };
    fields.encode(buffer, position, [&[], &[]]);
}

/// A bug that can be planted: appends a record without contents, and with another revision.
pub(crate) fn encode_moved(buffer: &mut Vec<u8>, record: &Record<'_>, position: u64) {
    let fields = Fields {
        recorded_at: record.recorded_at(),
        id: record.id(),
        revision: Revision(record.revision().0 + 1),
        names: [record.stream, record.kind],
        flags: record.flags(),
    };
    fields.encode(buffer, position, [&[], &[]]);
}

/// What every record has.
struct Fields<'a> {
    recorded_at: i64,
    id: Uuid,
    revision: Revision,
    /// The stream's name and the event's type.
    names: [&'a str; 2],
    flags: u16,
}

impl Fields<'_> {
    /// Appends a record with this metadata and payload to a buffer.
    fn encode(&self, buffer: &mut Vec<u8>, position: u64, contents: [&[u8]; 2]) {
        let start = buffer.len();
        let length = |parts: [usize; 2]| parts[0] + parts[1];
        let length =
            RECORD_HEADER + length(self.names.map(str::len)) + length(contents.map(<[u8]>::len));
        buffer.reserve(length);
        buffer.extend_from_slice(&[0; 4]);
        buffer.extend_from_slice(&narrow(length).to_le_bytes());
        buffer.extend_from_slice(&self.recorded_at.to_le_bytes());
        buffer.extend_from_slice(self.id.as_bytes());
        buffer.extend_from_slice(&self.revision.0.to_le_bytes());
        buffer.extend_from_slice(&narrow(contents[0].len()).to_le_bytes());
        // Both lengths are at most 255, by `StreamId` and by the limits.
        buffer.extend(self.names.map(|name| narrow(name.len()).to_le_bytes()[0]));
        buffer.extend_from_slice(&self.flags.to_le_bytes());
        for part in self.names.map(str::as_bytes).into_iter().chain(contents) {
            buffer.extend_from_slice(part);
        }
        let crc = record_crc(&buffer[start..], position);
        buffer[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    }
}

fn record_crc(record: &[u8], position: u64) -> u32 {
    let position = if planted::is(Bug::CrcWithoutPosition) { 0 } else { position };
    let end = if planted::is(Bug::CrcOverHeader) { RECORD_HEADER } else { record.len() };
    crc32c_append(crc32c(&position.to_le_bytes()), &record[4..end])
}

/// Whether a record may begin here: a quick look, for whoever has lost the way.
pub(crate) fn may_begin_record(bytes: &[u8]) -> bool {
    let fits = |header: &[u8; RECORD_HEADER]| {
        let length = size(u32_at(header, 4).into());
        let names = usize::from(header[44]) + usize::from(header[45]);
        let least = RECORD_HEADER + names + size(u32_at(header, 40).into());
        header[44] > 0 && (least..=bytes.len()).contains(&length)
    };
    bytes.first_chunk().is_some_and(fits)
}

/// The stream that bytes which are no good record say they are of, if they look like a record.
pub(crate) fn stream_of_bad_record(bytes: &[u8]) -> Option<StreamId> {
    let end = RECORD_HEADER + usize::from(*bytes.get(44)?);
    let length = size(u32_at(bytes.get(..8)?, 4).into());
    let name = bytes.get(RECORD_HEADER..end).filter(|_| end <= length)?;
    std::str::from_utf8(name).ok()?.parse().ok()
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
        if length < RECORD_HEADER
            || (u32_at(bytes, 0) != record_crc(bytes, position) && !planted::is(Bug::NoRecordCrc))
        {
            return Err("the checksum of a record is wrong");
        }
        if u64_at(bytes, 32) > StreamMetadata::DELETED.0 {
            return Err("a record has a revision that no event comes to have");
        }
        let flags = u16_at(bytes, 46);
        if flags & !(HUSK | JSON) != 0 {
            return Err("a record has flags that this build does not know");
        }
        let kind = RECORD_HEADER + usize::from(bytes[44]);
        let metadata = kind + usize::from(bytes[45]);
        if metadata + size(u32_at(bytes, 40).into()) > length {
            return Err("the lengths within a record do not add up");
        }
        if flags & HUSK != 0 && metadata != length {
            return Err("a dropped event has metadata or a payload");
        }
        let text = |range| std::str::from_utf8(&bytes[range]).map_err(|_| "a name is not UTF-8");
        let (stream, kind) = (text(RECORD_HEADER..kind)?, text(kind..metadata)?);
        Ok(Self { bytes, stream, kind, metadata })
    }

    /// The whole record.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many bytes the whole record has.
    pub(crate) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of the whole record, as they are.
    pub(crate) fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether the event was dropped: readers pass it over.
    pub(crate) fn is_husk(&self) -> bool {
        self.flags() & HUSK != 0
    }

    /// Whether the payload is, or was, JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.flags() & JSON != 0
    }

    fn flags(&self) -> u16 {
        u16_at(self.bytes, 46)
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

    /// What the event says of a stream's lifetime.
    pub(crate) fn change(&self) -> Option<(StreamId, Lifetime)> {
        let data = self.metadata + size(u32_at(self.bytes, 40).into());
        let change =
            || lifetimes::change(self.stream, self.kind, self.revision(), &self.bytes[data..]);
        if self.is_husk() { None } else { change() }
    }

    /// Metadata and payload, as slices of the bytes that the record was decoded from.
    pub(crate) fn contents(&self, of: &Bytes) -> (Bytes, Bytes) {
        let data = self.metadata + size(u32_at(self.bytes, 40).into());
        let (metadata, data) = (&self.bytes[self.metadata..data], &self.bytes[data..]);
        (of.slice_ref(metadata), of.slice_ref(data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: (u64, Revision) = (7, Revision(3));

    fn encoded() -> Vec<u8> {
        let stream = StreamId::new("order", 1).unwrap();
        let event = NewEvent {
            id: Uuid::from_u128(5),
            kind: "Placed".into(),
            data: "the payload".into(),
            metadata: "about it".into(),
            is_json: true,
        };
        let mut bytes = Vec::new();
        encode_record(&mut bytes, (&stream, &event), AT, 99);
        bytes
    }

    fn husk() -> Vec<u8> {
        let (record, mut bytes) = (encoded(), Vec::new());
        encode_husk(&mut bytes, &Record::decode(&record, AT.0).unwrap(), AT.0);
        bytes
    }

    #[test]
    fn a_husk_keeps_all_but_metadata_and_payload() {
        let (bytes, husk) = (encoded(), husk());

        let (record, husk) =
            (Record::decode(&bytes, 7).unwrap(), Record::decode(&husk, 7).unwrap());

        assert!(husk.is_husk() && !record.is_husk());
        assert!(husk.is_json() && record.is_json());
        assert_eq!(husk.length(), record.length() - "the payloadabout it".len());
        let known = |r: &Record<'_>| (r.recorded_at(), r.id(), r.revision());
        assert_eq!(known(&husk), known(&record));
        assert_eq!((husk.stream(), husk.kind()), ("order-1", "Placed"));
    }

    #[test]
    fn a_husk_of_a_husk_is_the_same() {
        let (husk, mut again) = (husk(), Vec::new());
        encode_husk(&mut again, &Record::decode(&husk, 7).unwrap(), 7);
        assert_eq!(again, husk);
    }

    #[test]
    fn flags_that_are_unknown_or_do_not_fit_are_refused() {
        let flagged = |flags: u8| {
            let mut bytes = encoded();
            bytes[46] = flags;
            let crc = record_crc(&bytes, 7);
            bytes[..4].copy_from_slice(&crc.to_le_bytes());
            Record::decode(&bytes, 7).map(|_| ()).unwrap_err()
        };
        assert!(flagged(4).contains("flags"));
        assert!(flagged(1).contains("dropped"), "a husk with a payload");
    }

    #[test]
    fn a_husk_of_another_position_is_refused() {
        assert!(Record::decode(&husk(), 8).is_err());
    }
}
