//! A segment's records, read and decoded in blocks. A block has the records that begin within one
//! stretch of the segment; it is checked and decoded when it is loaded, and cached like that.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::{Extent, Found, Segment};
use crate::Recorded;
use crate::embedded::block::{Block, BlockBuilder};
use crate::embedded::bytes::{narrow, size};
use crate::embedded::cache::{Io, Key, Part};
use crate::embedded::error::Fault;
use crate::embedded::format::{RECORD_HEADER, Record};
use crate::embedded::groups;

/// The bytes of a stretch.
const STRETCH: u32 = 64 << 10;
/// Most records that begin within one.
const MOST: u64 = STRETCH as u64 / RECORD_HEADER as u64 + 1;
/// A larger record is read by itself, each time.
pub(crate) const LARGE: u32 = 256 << 10;
/// So many events of a stretch are worth all of it.
const MANY: usize = 8;
/// So many bytes between two records are read sooner than the second one by itself.
const NEAR: u64 = 16 << 10;
/// Read at a time by a scan.
const SCAN_BYTES: u32 = 512 << 10;
const SCAN_EVENTS: u64 = 4_096;
/// Most blocks that a scan takes from the cache at a time.
const SCAN_BLOCKS: usize = 8;

impl Segment {
    /// The event at a position; without contents where it was dropped.
    pub(crate) fn event(&self, position: u64, io: Io) -> Result<Recorded, Fault> {
        let offsets = self.offsets(position..position + 1, io)?;
        let at = offsets[0].into()..offsets[1].into();
        let block = self.block(position, &at, |key| self.cache.misses_again(key), io)?;
        let event = block.share(position);
        event.ok_or_else(|| Fault::damaged(&self.name, at.start, "there is no such record"))
    }

    /// Whether a record's block was missed before, and is to be loaded: it will not come to be in a
    /// group. That it is missed now is taken note of.
    pub(crate) fn misses_again(&self, found: &Found, key: &Key) -> bool {
        let alone = found.bytes() > u64::from(LARGE) / groups::EVENTS;
        (alone || self.sealed_index().is_none()) && self.cache.misses_again(key)
    }

    /// A block that has the record at a position, which is in a known place. It is that record
    /// alone where the one of its stretch is not cached and `load` does not want it to be.
    pub(crate) fn block(
        &self,
        position: u64,
        at: &Extent,
        load: impl FnOnce(&Key) -> bool,
        io: Io,
    ) -> Result<Arc<Block>, Fault> {
        let stretch = stretch(at);
        if self.is_settled(stretch) && at.end - at.start <= u64::from(LARGE) {
            let key = self.key(stretch);
            let mut block = self.cache.block(&key);
            if block.is_none() && io == Io::Allowed && load(&key) {
                // Another record may be damaged, and this one is good.
                block = self.load(position, stretch).ok();
                if let Some(block) = &block {
                    self.cache.insert_block(key, Arc::clone(block));
                }
            }
            if let Some(block) = block.filter(|block| block.covers(position)) {
                return Ok(block);
            }
        }
        let bytes = self.read(at.clone(), io)?;
        self.decode(position, &[at.start, at.end].map(|at| narrow(size(at))), &bytes)
    }

    /// The blocks that have some events, each time with the event that was looked for. Those of
    /// whole stretches are loaded where many of the events are in a stretch, or where the stretch
    /// of one `was_missed` before; `at_hand` knows blocks that need not be.
    pub(crate) fn each_block(
        &self,
        found: &[Found],
        was_missed: impl Fn(&Found, &Key) -> bool,
        at_hand: impl Fn(u64) -> Option<Arc<Block>>,
        io: Io,
        mut take: impl FnMut(&Found, &Block),
    ) -> Result<(), Fault> {
        let mut block = None::<Arc<Block>>;
        for (n, event) in found.iter().enumerate() {
            let Found { position, extent, .. } = event;
            let known = block.filter(|block| block.covers(*position));
            let also = |next: &Found| stretch(&next.extent) == stretch(extent);
            let many = || found.get(n + MANY - 1).is_some_and(also);
            let load = |key: &Key| many() || was_missed(event, key);
            let it = known
                .or_else(|| at_hand(*position))
                .map_or_else(|| self.block(*position, extent, load, io), Ok)?;
            take(event, &it);
            block = Some(it);
        }
        Ok(())
    }

    /// The next of the events that a scan looked up, with how many of them it is past then: fewer than
    /// all where they are large, or one is damaged. Nothing is cached: a scan takes nobody's place.
    pub(crate) fn pick(&self, found: &[Found], io: Io) -> Result<(Vec<Recorded>, usize), Fault> {
        let (few, mut events, mut passed) = (&found[..few(found)], Vec::new(), 0);
        for found in few.chunk_by(|a, b| stretch(&a.extent) == stretch(&b.extent)) {
            if let Some(block) = self.cached_with_all(found) {
                events.extend(found.iter().filter_map(|found| block.get(found.position)));
                passed += found.len();
                continue;
            }
            let (block, fault) = self.decode_some(found, io)?;
            events.extend((0..block.end()).filter_map(|n| block.get(n)));
            passed += block.count();
            match fault {
                Some(fault) if passed == 0 => return Err(fault),
                // What comes before damage is read.
                Some(_) => break,
                None => {}
            }
        }
        Ok((events, passed))
    }

    /// The cached block that has all events of a stretch that were found: of large ones it has none.
    fn cached_with_all(&self, found: &[Found]) -> Option<Arc<Block>> {
        let (first, last) = (found.first()?, found.last()?);
        let block = self.cache.peek_block(&self.key(stretch(&first.extent)))?;
        (block.covers(first.position) && block.covers(last.position)).then_some(block)
    }

    /// Reads, checks and decodes some records, by their numbers among these, up to one that is
    /// damaged, and what is wrong with that. What lies between two of them is read with them where
    /// it is little, and not decoded.
    fn decode_some(&self, found: &[Found], io: Io) -> Result<(Arc<Block>, Option<Fault>), Fault> {
        // Bytes of their own: they must not keep all those that are read.
        let mut own = Vec::with_capacity(size(found.iter().map(Found::bytes).sum()));
        for near in found.chunk_by(|a, b| b.extent.start.saturating_sub(a.extent.end) <= NEAR) {
            let start = near[0].extent.start;
            let bytes = self.read(start..near[near.len() - 1].extent.end, io)?;
            for Extent { start: from, end } in near.iter().map(|found| found.extent.clone()) {
                own.extend_from_slice(&bytes[size(from - start)..size(end - start)]);
            }
        }
        let mut end = 0;
        let records = found.iter().map(|found| {
            let at = end;
            end += size(found.bytes());
            (found.position, at, found.extent.start)
        });
        Ok(self.decode_good(0, records, &own.into()))
    }

    /// The next blocks of a scan over positions of this segment: they cover the first one and some
    /// after it.
    pub(crate) fn blocks(&self, positions: Range<u64>, io: Io) -> Result<Vec<Arc<Block>>, Fault> {
        match io {
            Io::Never => self.cached(positions),
            Io::Allowed => self.load_many(positions),
        }
    }

    fn cached(&self, positions: Range<u64>) -> Result<Vec<Arc<Block>>, Fault> {
        let (mut blocks, mut next) = (Vec::with_capacity(SCAN_BLOCKS), positions.start);
        while blocks.len() < SCAN_BLOCKS && next < positions.end {
            let at = self.offsets(next..next + 1, Io::Never)?[0];
            match self.cache.peek_block(&self.key(at / STRETCH)) {
                Some(block) if block.covers(next) => {
                    next = block.end();
                    blocks.push(block);
                }
                _ => break,
            }
        }
        if blocks.is_empty() { Err(Fault::NotCached) } else { Ok(blocks) }
    }

    /// Reads many stretches at once. They are cached as far as there is room: a scan over
    /// everything takes nobody's place.
    fn load_many(&self, positions: Range<u64>) -> Result<Vec<Arc<Block>>, Fault> {
        // The record before tells whether the first stretch is read from its beginning.
        let first = positions.start - u64::from(positions.start > self.first());
        let end = positions.end.min(first + SCAN_EVENTS);
        let offsets = self.offsets(first..end, Io::Allowed)?;
        let mut groups = by_stretch(&offsets, size(positions.start - first));
        if end < positions.end && groups.len() > 1 {
            // There may be more of it.
            groups.pop();
        }
        let start = offsets[groups[0].start];
        let fit = groups.partition_point(|group| offsets[group.end] - start <= SCAN_BYTES);
        groups.truncate(fit.max(1));
        let end = offsets[groups[groups.len() - 1].end];
        let bytes = self.read(start.into()..end.into(), Io::Allowed)?;
        let mut blocks = Vec::with_capacity(groups.len());
        for group in groups {
            let within =
                (offsets[group.start] - start) as usize..(offsets[group.end] - start) as usize;
            let position = first + group.start as u64;
            let records = &offsets[group.start..=group.end];
            let keep = self.is_whole(first, &offsets, &group) && self.cache.has_room();
            // Where it is kept, bytes of its own: it must not keep all those that were read.
            let bytes =
                if keep { Bytes::copy_from_slice(&bytes[within]) } else { bytes.slice(within) };
            let (block, fault) = self.decode_good(position, in_a_row(position, records), &bytes);
            if keep && fault.is_none() {
                self.cache.insert_block(self.key(records[0] / STRETCH), Arc::clone(&block));
            }
            if block.count() > 0 {
                blocks.push(block);
            }
            match fault {
                Some(fault) if blocks.is_empty() => return Err(fault),
                // What comes before damage is read.
                Some(_) => break,
                None => {}
            }
        }
        Ok(blocks)
    }

    /// Whether a group of the records from a position on is what the cache holds of their stretch.
    fn is_whole(&self, first: u64, offsets: &[u32], group: &Range<usize>) -> bool {
        let stretch = offsets[group.start] / STRETCH;
        let starts = group.start == 0 || offsets[group.start - 1] / STRETCH < stretch;
        let ends = offsets[group.end] / STRETCH > stretch
            || (self.is_closed() && first + group.end as u64 == self.end());
        let large = offsets[group.end] - offsets[group.end - 1] > LARGE;
        starts && ends && !large && self.is_settled(stretch)
    }

    /// Reads the block of a stretch in which a position's record begins.
    fn load(&self, position: u64, stretch: u32) -> Result<Arc<Block>, Fault> {
        let first = position.saturating_sub(MOST).max(self.first());
        let offsets = self.offsets(first..self.end().min(position + MOST), Io::Allowed)?;
        let records = &offsets[..offsets.len() - 1];
        let start = records.partition_point(|offset| offset / STRETCH < stretch);
        let mut end = records.partition_point(|offset| offset / STRETCH <= stretch);
        if end > start && offsets[end] - offsets[end - 1] > LARGE {
            end -= 1;
        }
        let bytes = self.read(offsets[start].into()..offsets[end].into(), Io::Allowed)?;
        self.decode(first + start as u64, &offsets[start..=end], &bytes)
    }

    /// Checks and decodes the records from a position on: where they begin, where the last of them
    /// ends, and the bytes from the first on.
    fn decode(&self, first: u64, offsets: &[u32], bytes: &Bytes) -> Result<Arc<Block>, Fault> {
        let (block, fault) = self.decode_good(first, in_a_row(first, offsets), bytes);
        fault.map_or(Ok(block), Err)
    }

    /// Checks and decodes records, numbered from one on, up to the first that is damaged, and what is
    /// wrong with it. Of each its position, and where it begins in the bytes and in the segment.
    fn decode_good(
        &self,
        first: u64,
        records: impl ExactSizeIterator<Item = (u64, usize, u64)>,
        bytes: &Bytes,
    ) -> (Arc<Block>, Option<Fault>) {
        let mut block = BlockBuilder::new(first, records.len(), bytes);
        for (position, at, offset) in records {
            match self.record(&bytes[at..], position, offset) {
                Ok(record) => block.push(&record, position, bytes),
                Err(fault) => return (block.finish(), Some(fault)),
            }
        }
        (block.finish(), None)
    }

    /// The record at the start of bytes that were read from an offset.
    pub(crate) fn record<'a>(
        &self,
        bytes: &'a [u8],
        at: u64,
        offset: u64,
    ) -> Result<Record<'a>, Fault> {
        Record::decode(bytes, at).map_err(|flaw| Fault::damaged(&self.name, offset, flaw))
    }

    fn key(&self, stretch: u32) -> Key {
        Key { file: self.id, part: Part::Block(stretch.into()) }
    }

    /// Whether nothing more will begin in a stretch.
    fn is_settled(&self, stretch: u32) -> bool {
        self.is_closed() || (u64::from(stretch) + 1) * u64::from(STRETCH) <= self.length()
    }
}

/// The stretch in which a record begins.
fn stretch(at: &Extent) -> u32 {
    narrow(size(at.start)) / STRETCH
}

/// Records one after another from a position on, as they are decoded: where they begin, and where the
/// last of them ends.
fn in_a_row(
    first: u64,
    offsets: &[u32],
) -> impl ExactSizeIterator<Item = (u64, usize, u64)> + use<'_> {
    let records = offsets[..offsets.len() - 1].iter().enumerate();
    records.map(move |(n, offset)| {
        (first + n as u64, (offset - offsets[0]) as usize, (*offset).into())
    })
}

/// How many of some events, at least one, a scan reads at a time.
fn few(found: &[Found]) -> usize {
    let mut bytes = 0;
    let fit = found.iter().take_while(|found| {
        bytes += found.bytes();
        bytes <= SCAN_BYTES.into()
    });
    fit.count().max(1).min(found.len())
}

/// Ranges of the records that begin in one stretch each, from one of them on.
fn by_stretch(offsets: &[u32], from: usize) -> Vec<Range<usize>> {
    let records = &offsets[from..offsets.len() - 1];
    let mut start = from;
    let group = |records: &[u32]| {
        let group = start..start + records.len();
        start = group.end;
        group
    };
    records.chunk_by(|a, b| a / STRETCH == b / STRETCH).map(group).collect()
}
