//! Which segments have a list, and which event of a stream has an id: told by **runs**, each for a stretch of
//! neighbouring sealed segments.
//!
//! A run is two sorted tables in a file. When a segment is sealed it gets a run of its own; the
//! background work merges neighbours as they become many, so that a lookup asks a few runs
//! rather than hundreds of segments. What a run says is verified where it points to: its keys are
//! parts of hashes.

mod merge;
mod table;
#[cfg(test)]
mod tests;
mod tiers;
mod writer;

pub(crate) use merge::Merge;
pub(crate) use tiers::due;
pub(crate) use writer::write_segment;

use std::ops::Range;

use super::bytes::{mix, narrow, size, u64_at};
use super::cache::Io;
use super::error::Fault;
use super::index::{Blocks, key};
use super::layout;
use super::open::Folder;
use super::vfs::OpenMode;
use table::{Entry, Table};

const MAGIC: &[u8; 8] = b"DAYBOOKR";
/// A run of another version is made anew from its segments.
const VERSION: u64 = 2;
const TRAILER: usize = TABLES * table::SUMMARY + 40;
const PART: u64 = 16;

/// Bits of a position in a table.
const POSITION_BITS: u32 = 40;

/// Keys of events by their streams and ids, with positions.
const IDS: usize = 0;
/// Keys of lists, with the first position of a segment that has the list, and where its entry is
/// in that segment's index.
const LISTS: usize = 1;
const TABLES: usize = 2;
/// Bytes of a table's entries.
const WIDTHS: [usize; TABLES] = [10, 14];

fn id_entry(key: u64, position: u64) -> Entry {
    Entry::from(key) << POSITION_BITS | Entry::from(position)
}

fn list_entry(key: u64, segment: u64, at: u32) -> Entry {
    id_entry(key, segment) << u32::BITS | Entry::from(at)
}

/// The tables of a stretch of segments. Their filters and fences are in memory.
#[derive(Debug)]
pub(crate) struct Run {
    blocks: Blocks,
    /// The positions of its events.
    pub(crate) positions: Range<u64>,
    /// Its segments.
    pub(crate) parts: Vec<RunPart>,
    tables: [Table; TABLES],
}

/// A segment of a run: its first position, and the [digest](super::index::SealedIndex::digest) of its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunPart {
    pub(crate) first: u64,
    pub(crate) digest: u64,
}

/// A segment that may have a list, and where the list's entry is in its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) segment: u64,
    pub(crate) at: u32,
}

/// Blocks of one run do not pass for those of another.
fn seed(positions: &Range<u64>) -> u64 {
    mix(positions.start) ^ mix(mix(positions.end))
}

impl Run {
    /// Opens the run of these positions.
    pub(crate) fn open(folder: &Folder, positions: Range<u64>) -> Result<Self, Fault> {
        let name = layout::run(&positions);
        let file = folder.vfs.open(&folder.dir.join(&name), OpenMode::Read);
        let file = file.map_err(|error| Fault::io(&name, 0, &error))?;
        let blocks = Blocks::open(file, name, seed(&positions), folder.cache.clone())?;
        let end = blocks.length();
        let start = end.saturating_sub(TRAILER as u64);
        let trailer = blocks.load(start..end)?;
        if trailer.len() < TRAILER {
            return Err(blocks.flaw(start, "it is cut off"));
        }
        let (summaries, fixed) = trailer.split_at(TABLES * table::SUMMARY);
        if fixed[..8] != *MAGIC || u64_at(fixed, 8) != VERSION {
            return Err(blocks.flaw(start, "it is not a run of this version"));
        }
        if (u64_at(fixed, 16)..u64_at(fixed, 24)) != positions {
            return Err(blocks.flaw(start, "it is the run of other segments"));
        }
        let parts = u64_at(fixed, 32).checked_mul(PART).and_then(|bytes| start.checked_sub(bytes));
        let parts = parts.ok_or_else(|| blocks.flaw(start, "it has too many segments"))?;
        let parts = blocks.load(parts..start)?;
        let part = |bytes: &[u8]| RunPart { first: u64_at(bytes, 0), digest: u64_at(bytes, 8) };
        let parts = parts.chunks(size(PART)).map(part).collect();
        let table = |n: usize| Table::open(&blocks, WIDTHS[n], &summaries[n * table::SUMMARY..]);
        let tables = [table(IDS)?, table(LISTS)?];
        Ok(Self { blocks, positions, parts, tables })
    }

    /// Whether there may be events that have a [hash](super::bytes::hash_event).
    pub(crate) fn may_have(&self, hash: u64) -> bool {
        self.tables[IDS].may_contain(key(hash))
    }

    /// The positions of events that may have a [hash](super::bytes::hash_event).
    pub(crate) fn id_candidates(&self, hash: u64, io: Io) -> Result<Vec<u64>, Fault> {
        let (table, key) = (&self.tables[IDS], key(hash));
        if !table.may_contain(key) {
            return Ok(Vec::new());
        }
        let mut cursor = self.blocks.cursor(io);
        let mut positions = Vec::new();
        for n in table.below(&mut cursor, id_entry(key, 0))?..table.count {
            let entry = table.entry(&mut cursor, n)?;
            if entry >> POSITION_BITS != Entry::from(key) {
                break;
            }
            let position = low_bits(entry);
            if !self.positions.contains(&position) {
                return Err(self.flaw("it has an id of another run's event"));
            }
            positions.push(position);
        }
        Ok(positions)
    }

    /// The segments that may have a list, among those that begin at some positions: places in
    /// this run for [`candidate`](Self::candidate), oldest first.
    pub(crate) fn candidates(
        &self,
        key: u64,
        segments: &Range<u64>,
        io: Io,
    ) -> Result<Range<u64>, Fault> {
        let table = &self.tables[LISTS];
        if !table.may_contain(key) {
            return Ok(0..0);
        }
        let mut cursor = self.blocks.cursor(io);
        let mut below = |segment| table.below(&mut cursor, list_entry(key, segment, 0));
        let end = segments.end.min((1 << POSITION_BITS) - 1);
        let start = below(segments.start)?;
        Ok(start..below(end)?.max(start))
    }

    /// One of the [`candidates`](Self::candidates) among the segments that begin at some positions.
    pub(crate) fn candidate(
        &self,
        n: u64,
        segments: &Range<u64>,
        io: Io,
    ) -> Result<Candidate, Fault> {
        let entry = self.tables[LISTS].entry(&mut self.blocks.cursor(io), n)?;
        let at = narrow(size(low_bits(entry) & u64::from(u32::MAX)));
        let segment = low_bits(entry >> u32::BITS);
        if !segments.contains(&segment) {
            return Err(self.flaw("its segments are not in order"));
        }
        Ok(Candidate { segment, at })
    }

    /// What is said of a run that is not as it was written.
    pub(crate) fn flaw(&self, flaw: &str) -> Fault {
        self.blocks.flaw(0, flaw)
    }

    /// Reads all of its file.
    pub(crate) fn verify(&self) -> Result<(), Fault> {
        self.blocks.verify()
    }

    /// The bytes of its file.
    pub(crate) fn bytes(&self) -> u64 {
        self.blocks.file_length()
    }

    /// Whether it was found to be damaged, and should be made again.
    pub(crate) fn is_damaged(&self) -> bool {
        self.blocks.is_damaged()
    }
}

/// The lower bits of an entry that are a position.
fn low_bits(entry: Entry) -> u64 {
    let bits = entry & ((1 << POSITION_BITS) - 1);
    u64::try_from(bits).unwrap_or_default()
}
