use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use crc32c::crc32c;
use uuid::Uuid;

use super::{Located, MemoryIndex, StreamNumbers, Wanted, changes, partition_point};
use crate::embedded::bytes::{hash_id, hash_name, narrow, nth_u32, size, u32_at, u64_at};
use crate::embedded::cache::{self, Cache, Io, Key, Part};
use crate::embedded::error::Fault;
use crate::embedded::filter::KeyFilter;
use crate::embedded::format::{Flaw, SegmentHeader};
use crate::embedded::vfs::VfsFile;
use crate::lifetimes::Changes;
use crate::{Filter, Revision, StreamId};

const MAGIC: &[u8; 8] = b"DAYBOOKI";
/// An index of another version is made anew from its segment.
const VERSION: u32 = 2;
const FIXED: usize = 56;
const HEADER: usize = FIXED + SECTIONS * 16;
const STREAM: usize = 32;
/// A segment with more categories or kinds than this is taken to have all of them.
const MOST_NAMES: usize = 4_096;

const SECTIONS: usize = 8;
const OFFSETS: usize = 0;
const STREAMS: usize = 1;
const NAMES: usize = 2;
const NUMBERS: usize = 3;
const IDS: usize = 4;
const FILTERS: usize = 5;
const SUMMARY: usize = 6;
const CHANGES: usize = 7;

/// The index of a sealed segment. Its filters and summary stay in memory; the rest is read when
/// it is asked for, through the cache.
#[derive(Debug)]
pub(crate) struct SealedIndex {
    file: Arc<dyn VfsFile>,
    name: String,
    cache: Cache,
    cached_as: u64,
    header: Header,
    stream_filter: KeyFilter,
    id_filter: KeyFilter,
    categories: Names,
    kinds: Names,
}

/// The categories or kinds that a segment has; `None` where they are too many to tell.
type Names = Option<Vec<Arc<str>>>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Header {
    segment: SegmentHeader,
    count: u64,
    /// The bytes of the segment.
    length: u64,
    recorded_at: i64,
    sections: [Section; SECTIONS],
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Section {
    offset: u64,
    length: u32,
    crc: u32,
}

/// Writes the index of a segment of so many bytes.
pub(crate) fn encode(index: &MemoryIndex, segment: SegmentHeader, length: u64) -> Vec<u8> {
    let parts = sections(index);
    let mut sections = [Section::default(); SECTIONS];
    let mut offset = HEADER as u64;
    for (section, part) in sections.iter_mut().zip(&parts) {
        *section = Section { offset, length: narrow(part.len()), crc: crc32c(part) };
        offset += part.len() as u64;
    }
    let count = index.offsets.len() as u64;
    let header = Header { segment, count, length, recorded_at: index.recorded_at, sections };
    [header.encode()].into_iter().chain(parts).flatten().collect()
}

fn sections(index: &MemoryIndex) -> [Vec<u8>; SECTIONS] {
    let mut by_hash: Vec<_> =
        index.streams.iter().map(|(stream, at)| (hash_name(stream.as_str()), stream, at)).collect();
    by_hash.sort_unstable_by_key(|(hash, stream, _)| (*hash, stream.as_str()));
    let (mut streams, mut names, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    for (hash, stream, at) in &by_hash {
        streams.extend_from_slice(&hash.to_le_bytes());
        streams.extend_from_slice(&at.first_revision.to_le_bytes());
        let name = stream.as_str();
        for n in [numbers.len() / 4, at.numbers.len(), names.len(), name.len()] {
            streams.extend_from_slice(&narrow(n).to_le_bytes());
        }
        names.extend_from_slice(name.as_bytes());
        numbers.extend(at.numbers.iter().flat_map(|n| n.to_le_bytes()));
    }
    let mut ids: Vec<_> = index.ids.iter().map(|(id, number)| (hash_id(*id), *number)).collect();
    ids.sort_unstable();
    let stream_filter = KeyFilter::new(by_hash.iter().map(|(hash, ..)| *hash));
    let id_filter = KeyFilter::new(ids.iter().map(|(hash, _)| *hash));
    let (prefixes, of_ids) = (ids.iter().map(|(hash, _)| prefix(*hash)), ids.iter().map(|id| id.1));
    [
        index.offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect(),
        streams,
        names,
        numbers,
        prefixes.chain(of_ids).flat_map(u32::to_le_bytes).collect(),
        filters(&stream_filter, &id_filter),
        [summary(&index.categories), summary(&index.kinds)].concat(),
        changes::encode(&index.changes),
    ]
}

/// The part of an id's hash that the index keeps, and is sorted by.
fn prefix(hash: u64) -> u32 {
    u32_at(&(hash >> 32).to_le_bytes(), 0)
}

fn filters(streams: &KeyFilter, ids: &KeyFilter) -> Vec<u8> {
    let length = narrow(streams.as_bytes().len()).to_le_bytes();
    [&length[..], streams.as_bytes(), ids.as_bytes()].concat()
}

fn summary(counts: &HashMap<Arc<str>, u32>) -> Vec<u8> {
    if counts.len() > MOST_NAMES {
        return u32::MAX.to_le_bytes().to_vec();
    }
    let mut names: Vec<_> = counts.iter().collect();
    names.sort_unstable();
    let mut bytes = narrow(names.len()).to_le_bytes().to_vec();
    for (name, count) in names {
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&narrow(name.len()).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
    }
    bytes
}

/// The names of a summary, and what comes after it.
fn names(bytes: &[u8]) -> Option<(Names, &[u8])> {
    let (count, mut rest) = bytes.split_first_chunk()?;
    let count = u32::from_le_bytes(*count);
    if count == u32::MAX {
        return Some((None, rest));
    }
    let mut names = Vec::new();
    for _ in 0..count {
        let (_, after) = rest.split_first_chunk::<4>()?;
        let (length, after) = after.split_first_chunk()?;
        let (name, after) = after.split_at_checked(size(u32::from_le_bytes(*length).into()))?;
        names.push(std::str::from_utf8(name).ok()?.into());
        rest = after;
    }
    Some((Some(names), rest))
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = [&MAGIC[..], &VERSION.to_le_bytes(), &[0; 4]].concat();
        for n in [self.segment.first, self.segment.salt, self.count, self.length] {
            bytes.extend_from_slice(&n.to_le_bytes());
        }
        bytes.extend_from_slice(&self.recorded_at.to_le_bytes());
        for section in &self.sections {
            bytes.extend_from_slice(&section.offset.to_le_bytes());
            bytes.extend_from_slice(&section.length.to_le_bytes());
            bytes.extend_from_slice(&section.crc.to_le_bytes());
        }
        let crc = crc32c(&bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, Flaw> {
        if bytes[..8] != *MAGIC || u32_at(bytes, 8) != VERSION {
            return Err("it is not an index of this version");
        }
        if crc32c(&bytes[16..]) != u32_at(bytes, 12) {
            return Err("the checksum of its header is wrong");
        }
        let section = |n: usize| {
            let at = FIXED + n * 16;
            let (length, crc) = (u32_at(bytes, at + 8), u32_at(bytes, at + 12));
            Section { offset: u64_at(bytes, at), length, crc }
        };
        Ok(Self {
            segment: SegmentHeader { first: u64_at(bytes, 16), salt: u64_at(bytes, 24) },
            count: u64_at(bytes, 32),
            length: u64_at(bytes, 40),
            recorded_at: u64_at(bytes, 48).cast_signed(),
            sections: std::array::from_fn(section),
        })
    }
}

impl SealedIndex {
    /// Opens an index file: its header, filters and summary are read and checked. Beside it comes
    /// what the segment's events say of streams' lifetimes.
    pub(crate) fn open(
        file: Arc<dyn VfsFile>,
        name: String,
        cache: Cache,
    ) -> Result<(Self, Changes), Box<dyn std::error::Error>> {
        let header = Header::decode(&file.read_vec_at(HEADER, 0)?)?;
        let (filters, summary) = (header.sections[FILTERS], header.sections[SUMMARY]);
        let (filters, summary) = (read(&*file, filters)?, read(&*file, summary)?);
        let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let (streams, rest) = filters.split_first_chunk().ok_or_else(cut)?;
        let streams = rest.split_at_checked(size(u32::from_le_bytes(*streams).into()));
        let (streams, ids) = streams.ok_or_else(cut)?;
        let (categories, rest) = names(&summary).ok_or_else(cut)?;
        let (kinds, _) = names(rest).ok_or_else(cut)?;
        let stream_filter = KeyFilter::from_bytes(streams).ok_or_else(cut)?;
        let id_filter = KeyFilter::from_bytes(ids).ok_or_else(cut)?;
        let changes = changes::decode(&read(&*file, header.sections[CHANGES])?).ok_or_else(cut)?;
        let cached_as = cache::file();
        let index = Self {
            file,
            name,
            cache,
            cached_as,
            header,
            stream_filter,
            id_filter,
            categories,
            kinds,
        };
        Ok((index, changes))
    }

    /// Whether it is the index of this segment, of so many bytes.
    pub(crate) fn is_of(&self, segment: SegmentHeader, length: u64) -> bool {
        self.header.segment == segment && self.header.length == length
    }

    pub(crate) fn count(&self) -> u64 {
        self.header.count
    }

    /// The bytes of the index file.
    pub(crate) fn bytes(&self) -> u64 {
        self.header.sections.iter().map(|section| u64::from(section.length)).sum::<u64>()
            + HEADER as u64
    }

    pub(crate) fn recorded_at(&self) -> i64 {
        self.header.recorded_at
    }

    /// The offsets of a range of events, and of the one after it if there is one.
    pub(crate) fn offsets(&self, numbers: Range<u32>, io: Io) -> Result<Vec<u32>, Fault> {
        let offsets = self.section(OFFSETS, io)?;
        let end = (numbers.end as usize + 1).min(offsets.len() / 4);
        Ok((numbers.start as usize..end).map(|n| nth_u32(&offsets, n)).collect())
    }

    pub(crate) fn last_revision(
        &self,
        stream: &StreamId,
        io: Io,
    ) -> Result<Option<Revision>, Fault> {
        let entry = self.stream(stream, io)?;
        Ok(entry.map(|entry| Revision(entry.first_revision + u64::from(entry.count) - 1)))
    }

    pub(crate) fn locate(
        &self,
        stream: &StreamId,
        wanted: &Wanted,
        io: Io,
    ) -> Result<Vec<Located>, Fault> {
        let Some(entry) = self.stream(stream, io)? else { return Ok(Vec::new()) };
        let (numbers, offsets) = (self.section(NUMBERS, io)?, self.section(OFFSETS, io)?);
        let number = |n: usize| nth_u32(&numbers, entry.start as usize + n);
        let picked = wanted.pick(entry.first_revision, entry.count as usize, number);
        let located = |number: u32| {
            let next = number as usize + 1;
            Located {
                number,
                offset: nth_u32(&offsets, number as usize),
                next: (next < offsets.len() / 4).then(|| nth_u32(&offsets, next)),
            }
        };
        Ok(picked.into_iter().map(located).collect())
    }

    /// The events that may have an id: those whose ids' hashes begin alike.
    pub(crate) fn id_candidates(&self, id: Uuid, io: Io) -> Result<Vec<u32>, Fault> {
        let hash = hash_id(id);
        if !self.id_filter.may_contain(hash) {
            return Ok(Vec::new());
        }
        let ids = self.section(IDS, io)?;
        let (count, prefix) = (ids.len() / 8, prefix(hash));
        let first = partition_point(count, |n| nth_u32(&ids, n) < prefix);
        let alike = (first..count).take_while(|&n| nth_u32(&ids, n) == prefix);
        Ok(alike.map(|n| nth_u32(&ids, count + n)).collect())
    }

    pub(crate) fn may_match(&self, filter: &Filter) -> bool {
        let any = |wanted: &[Arc<str>], there: &Names| {
            let there = |name| there.as_ref().is_none_or(|there| there.contains(name));
            wanted.is_empty() || wanted.iter().any(there)
        };
        any(&filter.categories, &self.categories) && any(&filter.kinds, &self.kinds)
    }

    /// All streams that have events here.
    pub(crate) fn streams(&self, io: Io) -> Result<Vec<StreamNumbers>, Fault> {
        let (streams, names) = (self.section(STREAMS, io)?, self.section(NAMES, io)?);
        let numbers = self.section(NUMBERS, io)?;
        let stream = |entry: StreamEntry| {
            let end = (entry.start + entry.count) as usize;
            let name = String::from_utf8_lossy(&names[entry.name]);
            StreamNumbers {
                stream: StreamId::checked(&name),
                first: Revision(entry.first_revision),
                numbers: (entry.start as usize..end).map(|n| nth_u32(&numbers, n)).collect(),
            }
        };
        Ok(streams.chunks_exact(STREAM).map(StreamEntry::decode).map(stream).collect())
    }

    fn stream(&self, stream: &StreamId, io: Io) -> Result<Option<StreamEntry>, Fault> {
        let hash = hash_name(stream.as_str());
        if !self.stream_filter.may_contain(hash) {
            return Ok(None);
        }
        let (streams, names) = (self.section(STREAMS, io)?, self.section(NAMES, io)?);
        let count = streams.len() / STREAM;
        let hash_of = |n: usize| u64_at(&streams, n * STREAM);
        let first = partition_point(count, |n| hash_of(n) < hash);
        let alike = (first..count).take_while(|&n| hash_of(n) == hash);
        let mut entries = alike.map(|n| StreamEntry::decode(&streams[n * STREAM..]));
        Ok(entries.find(|entry| names[entry.name.clone()] == *stream.as_str().as_bytes()))
    }

    fn section(&self, n: usize, io: Io) -> Result<Bytes, Fault> {
        let key = Key { file: self.cached_as, part: Part::Section(n) };
        self.cache.get(key, io, || {
            let section = self.header.sections[n];
            let damaged = |error: io::Error| match error.kind() {
                io::ErrorKind::InvalidData => Fault::damaged(
                    &self.name,
                    section.offset,
                    "the checksum of a section is wrong; remove this file while the store is \
                     closed, and it is made anew from its segment",
                ),
                _ => Fault::io(&self.name, section.offset, &error),
            };
            read(&*self.file, section).map(Bytes::from).map_err(damaged)
        })
    }
}

/// A stream's place in the index.
#[derive(Debug)]
struct StreamEntry {
    first_revision: u64,
    start: u32,
    count: u32,
    name: Range<usize>,
}

impl StreamEntry {
    fn decode(bytes: &[u8]) -> Self {
        let name = u32_at(bytes, 24) as usize;
        Self {
            first_revision: u64_at(bytes, 8),
            start: u32_at(bytes, 16),
            count: u32_at(bytes, 20),
            name: name..name + u32_at(bytes, 28) as usize,
        }
    }
}

fn read(file: &dyn VfsFile, section: Section) -> io::Result<Vec<u8>> {
    let bytes = file.read_vec_at(size(section.length.into()), section.offset)?;
    if crc32c(&bytes) != section.crc {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the checksum of a section is wrong",
        ));
    }
    Ok(bytes)
}
