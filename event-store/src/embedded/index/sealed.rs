use std::io;
use std::ops::Range;
use std::sync::Arc;

use crc32c::crc32c;
use uuid::Uuid;

use super::numbers::{self, Numbers};
use super::offsets::Offsets;
use super::{
    BlockWriter, Blocks, List, Located, MemoryIndex, Span, StreamNumbers, Wanted, changes, key,
};
use crate::embedded::bytes::{hash_id, hash_name, mix, narrow, size, u16_at, u32_at, u64_at};
use crate::embedded::cache::{Cache, Io};
use crate::embedded::error::Fault;
use crate::embedded::format::SegmentHeader;
use crate::embedded::vfs::VfsFile;
use crate::lifetimes::Changes;
use crate::planted::{self, Bug};
use crate::{Revision, StreamId};

const MAGIC: &[u8; 8] = b"DAYBOOKI";
/// An index of another version is made anew from its segment.
const VERSION: u64 = 3;
const TRAILER: usize = 80;
/// The bytes of a list's entry before its name.
const ENTRY: usize = 18;

/// The index of a sealed segment: in a file, of which next to nothing stays in memory.
///
/// It tells where records are, and which events a list has; which lists there are is told by the
/// [runs](crate::embedded::runs).
#[derive(Debug)]
pub(crate) struct SealedIndex {
    blocks: Blocks,
    header: Header,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    segment: SegmentHeader,
    count: u64,
    /// The bytes of the segment.
    length: u64,
    recorded_at: i64,
    digest: u64,
    /// Bytes of the lists' entries, and of the changes of lifetimes after them.
    lists: u64,
    changes: u64,
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let Self { segment, count, length, recorded_at, digest, lists, changes } = *self;
        let numbers = [VERSION, segment.first, segment.salt, count, length];
        let more = [recorded_at.cast_unsigned(), digest, lists, changes];
        let bytes = numbers.into_iter().chain(more).flat_map(u64::to_le_bytes);
        MAGIC.iter().copied().chain(bytes).collect()
    }

    /// Where the trailer is, as far as it says what comes before it.
    fn end(&self) -> Option<u64> {
        self.count.checked_mul(4)?.checked_add(self.lists)?.checked_add(self.changes)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes[..8] != *MAGIC || u64_at(bytes, 8) != VERSION {
            return None;
        }
        Some(Self {
            segment: SegmentHeader { first: u64_at(bytes, 16), salt: u64_at(bytes, 24) },
            count: u64_at(bytes, 32),
            length: u64_at(bytes, 40),
            recorded_at: u64_at(bytes, 48).cast_signed(),
            digest: u64_at(bytes, 56),
            lists: u64_at(bytes, 64),
            changes: u64_at(bytes, 72),
        })
    }
}

/// The lists of a segment as its index file has them.
#[derive(Debug)]
pub(crate) struct Lists {
    bytes: Vec<u8>,
    /// Each list's key, and where its entry is.
    pub(crate) entries: Vec<(u64, u32)>,
    /// Tells these events, under these numbers, from any others. Dropping events changes nothing.
    pub(crate) digest: u64,
}

impl Lists {
    /// The lists of a segment; `before` tells how many events of an index stream are in older
    /// segments.
    pub(crate) fn of<E>(
        index: &MemoryIndex,
        mut before: impl FnMut(&List) -> Result<u64, E>,
    ) -> Result<Self, E> {
        let mut lists: Vec<_> = index.lists().collect();
        lists.sort_unstable_by(|a, b| a.0.name().cmp(b.0.name()));
        let (mut bytes, mut entries) = (Vec::new(), Vec::with_capacity(lists.len()));
        for (list, first, numbers) in &lists {
            let first = if let List::Index(..) = list { before(list)? } else { *first };
            entries.push((list.key(), narrow(bytes.len())));
            push_entry(&mut bytes, list.name(), first, numbers);
        }
        let id =
            |((_, id), number): (&(u32, Uuid), &u32)| mix(hash_id(*id) ^ mix((*number).into()));
        let ids = index.ids.iter().map(id);
        let digest = mix(ids.fold(0, u64::wrapping_add) ^ mix(crc32c(&bytes).into()));
        Ok(Self { bytes, entries, digest })
    }
}

fn push_entry(bytes: &mut Vec<u8>, name: &str, first: u64, numbers: &[u32]) {
    // A name is at most 256 bytes, and so is a type with its mark.
    bytes.extend_from_slice(&narrow(name.len()).to_le_bytes()[..2]);
    bytes.extend_from_slice(&first.to_le_bytes());
    bytes.extend_from_slice(&narrow(numbers.len()).to_le_bytes());
    let length = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(name.as_bytes());
    let start = bytes.len();
    numbers::encode(bytes, numbers);
    let encoded = narrow(bytes.len() - start).to_le_bytes();
    bytes[length..length + 4].copy_from_slice(&encoded);
}

/// What the index file of a segment of so many bytes keeps.
pub(crate) fn contents(
    index: &MemoryIndex,
    lists: &Lists,
    (segment, length): (SegmentHeader, u64),
) -> Vec<u8> {
    let mut bytes: Vec<_> = index.offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect();
    bytes.extend_from_slice(&lists.bytes);
    let changes = changes::encode(&index.changes);
    bytes.extend_from_slice(&changes);
    let header = Header {
        segment,
        count: index.offsets.len() as u64,
        length,
        recorded_at: index.recorded_at,
        digest: lists.digest,
        lists: lists.bytes.len() as u64,
        changes: changes.len() as u64,
    };
    bytes.extend_from_slice(&header.encode());
    bytes
}

/// Writes the index of a segment of so many bytes.
pub(crate) fn write(
    file: Arc<dyn VfsFile>,
    index: &MemoryIndex,
    lists: &Lists,
    segment: (SegmentHeader, u64),
) -> io::Result<()> {
    let mut writer = BlockWriter::new(file, seed(segment.0));
    writer.push(&contents(index, lists, segment))?;
    writer.finish().map(drop)
}

/// Blocks of one segment's index do not pass for those of another's.
fn seed(segment: SegmentHeader) -> u64 {
    if planted::is(Bug::StaleIndex) { 0 } else { segment.salt }
}

impl SealedIndex {
    /// Opens the index of this segment, of so many bytes. Beside it comes what the segment's events
    /// say of streams' lifetimes.
    pub(crate) fn open(
        file: Arc<dyn VfsFile>,
        name: String,
        cache: Cache,
        (segment, length): (SegmentHeader, u64),
    ) -> Result<(Self, Changes), Fault> {
        let blocks = Blocks::open(file, name, seed(segment), cache)?;
        let end = blocks.length();
        let start = end.saturating_sub(TRAILER as u64);
        let trailer = blocks.load(start..end)?;
        let header = (trailer.len() == TRAILER).then(|| Header::decode(&trailer)).flatten();
        let fits = |header: &Header| header.segment == segment && header.length == length;
        let header = header.filter(|header| fits(header) || planted::is(Bug::StaleIndex));
        let header =
            header.ok_or_else(|| blocks.flaw(start, "it is the index of another segment"))?;
        if header.end() != Some(start) {
            return Err(blocks.flaw(start, "its lengths do not add up"));
        }
        let changes = changes::decode(&blocks.load(start - header.changes..start)?);
        let changes =
            changes.ok_or_else(|| blocks.flaw(start, "a stream's lifetime is cut off"))?;
        Ok((Self { blocks, header }, changes))
    }

    /// The key of every list, and where its entry is.
    pub(crate) fn entries(&self) -> Result<Vec<(u64, u32)>, Fault> {
        let mut entries = Vec::new();
        self.each(|at, Raw { name, .. }| {
            entries.push((key(hash_name(name)), narrow(at)));
            Some(())
        })?;
        Ok(entries)
    }

    /// Looks at every entry and at where it is. `None` says that it is not as it was written.
    fn each(&self, mut look: impl FnMut(usize, Raw<'_>) -> Option<()>) -> Result<(), Fault> {
        let start = self.header.count * 4;
        let bytes = self.blocks.load(start..start + self.header.lists)?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let at = bytes.len() - rest.len();
            let next = Raw::decode(rest).and_then(|(entry, rest)| {
                look(at, entry)?;
                Some(rest)
            });
            rest =
                next.ok_or_else(|| self.blocks.flaw(start + at as u64, "an entry is cut off"))?;
        }
        Ok(())
    }

    /// All lists, by their names in index files, and the part of each that is here.
    pub(crate) fn spans(&self) -> Result<Vec<(Box<str>, Span)>, Fault> {
        let mut spans = Vec::new();
        self.each(|_, Raw { name, span, .. }| {
            spans.push((name.into(), span));
            Some(())
        })?;
        Ok(spans)
    }

    /// The first number of a list's events here, found by going through all lists.
    pub(crate) fn first_of(&self, list: &List) -> Result<u64, Fault> {
        let mut first = 0;
        self.each(|_, Raw { name, span, .. }| {
            if name == list.name() {
                first = span.first;
            }
            Some(())
        })?;
        Ok(first)
    }

    /// All streams that have events here.
    pub(crate) fn streams(&self) -> Result<Vec<StreamNumbers>, Fault> {
        let mut streams = Vec::new();
        self.each(|_, Raw { name, span, numbers }| {
            if List::is_stream(name) {
                let (stream, first) = (StreamId::checked(name), Revision(span.first));
                let numbers = numbers::decode(numbers, size(span.count))?;
                numbers.last().filter(|last| u64::from(**last) < self.header.count)?;
                streams.push(StreamNumbers { stream, first, numbers });
            }
            Some(())
        })?;
        Ok(streams)
    }

    /// All that the file keeps, as [`contents`] made it.
    pub(crate) fn contents(&self) -> Result<Vec<u8>, Fault> {
        self.blocks.load(0..self.blocks.length())
    }

    pub(crate) fn count(&self) -> u64 {
        self.header.count
    }

    /// Whether it is that of a segment of so many events and bytes.
    pub(crate) fn is_of(&self, count: u64, length: u64) -> bool {
        (self.header.count, self.header.length) == (count, length)
    }

    /// The bytes of the index file.
    pub(crate) fn bytes(&self) -> u64 {
        self.blocks.file_length()
    }

    pub(crate) fn recorded_at(&self) -> i64 {
        self.header.recorded_at
    }

    /// See [`Lists::digest`].
    pub(crate) fn digest(&self) -> u64 {
        self.header.digest
    }

    /// Whether it was found to be damaged, and should be made again.
    pub(crate) fn is_damaged(&self) -> bool {
        self.blocks.is_damaged()
    }

    /// The offsets of a range of events, and of the one after it if there is one: they ascend, and
    /// are within the segment.
    pub(crate) fn offsets(&self, numbers: Range<u32>, io: Io) -> Result<Vec<u32>, Fault> {
        let mut offsets = Offsets::new(&self.blocks, self.header.count, io);
        let (start, end) = (u64::from(numbers.start), u64::from(numbers.end));
        let offsets: Vec<_> = (start..=end)
            .map_while(|number| offsets.get(number).transpose())
            .collect::<Result<_, _>>()?;
        let within = offsets.last().is_some_and(|last| u64::from(*last) < self.header.length);
        if end <= self.header.count && within && numbers::ascend(&offsets) {
            return Ok(offsets);
        }
        Err(self.blocks.flaw(start * 4, "its offsets do not ascend within the segment"))
    }

    /// The entry of a list at a place; `None` where another list is there.
    pub(crate) fn entry(&self, list: &List, at: u32, io: Io) -> Result<Option<Entry>, Fault> {
        let mut cursor = self.blocks.cursor(io);
        let start = self.header.count * 4 + u64::from(at);
        let name = start + ENTRY as u64;
        let fixed = cursor.bytes(start..name)?;
        let name = name..name + u64::from(u16_at(&fixed, 0));
        if cursor.bytes(name.clone())? != list.name().as_bytes() {
            return Ok(None);
        }
        let (count, bytes) = (u32_at(&fixed, 10), u64::from(u32_at(&fixed, 14)));
        let span = Span::new(u64_at(&fixed, 2), count.into());
        let span = span.ok_or_else(|| self.blocks.flaw(start, "a list has no such events"))?;
        let numbers = Numbers { bytes: name.end..name.end + bytes, count: count as usize };
        Ok(Some(Entry { span, numbers }))
    }

    /// The wanted events of a list.
    pub(crate) fn locate(
        &self,
        entry: &Entry,
        wanted: &Wanted,
        io: Io,
    ) -> Result<Vec<Located>, Fault> {
        let Entry { span, numbers, .. } = entry;
        let mut cursor = self.blocks.cursor(io);
        let range = wanted.range(span.first, numbers.count, |bound| match bound {
            0 => Ok(0),
            bound if u64::from(bound) >= self.header.count => Ok(numbers.count),
            bound => numbers.below(&mut cursor, bound),
        })?;
        let ordinals = span.first + range.start as u64..;
        let flaw = |flaw| self.blocks.flaw(numbers.bytes.start, flaw);
        let numbers = numbers.get(&mut cursor, range)?;
        // Whoever reads on begins after the last of them.
        let within = numbers.iter().all(|number| wanted.window.contains(number));
        if !within || !numbers::ascend(&numbers) {
            return Err(flaw("a list does not ascend"));
        }
        let mut offsets = Offsets::new(&self.blocks, self.header.count, io);
        let mut found = Vec::with_capacity(numbers.len());
        for (ordinal, &number) in ordinals.zip(&numbers) {
            let offset = offsets.get(number.into())?;
            let offset = offset.ok_or_else(|| flaw("it lists an event too many"))?;
            let next = offsets.get(u64::from(number) + 1)?;
            if u64::from(offset) >= next.map_or(self.header.length, u64::from) {
                return Err(flaw("its offsets do not ascend within the segment"));
            }
            found.push(Located { ordinal, number, offset, next });
        }
        Ok(wanted.in_order(found))
    }
}

/// An entry in memory.
struct Raw<'a> {
    name: &'a str,
    span: Span,
    numbers: &'a [u8],
}

impl<'a> Raw<'a> {
    /// The entry at the start of some bytes, and what follows it.
    fn decode(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (fixed, rest) = bytes.split_at_checked(ENTRY)?;
        let (name, rest) = rest.split_at_checked(u16_at(fixed, 0).into())?;
        let (numbers, rest) = rest.split_at_checked(u32_at(fixed, 14) as usize)?;
        let name = std::str::from_utf8(name).ok()?;
        let span = Span::new(u64_at(fixed, 2), u32_at(fixed, 10).into())?;
        Some((Self { name, span, numbers }, rest))
    }
}

/// A list's place in an index file.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) span: Span,
    numbers: Numbers,
}
