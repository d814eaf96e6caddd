use std::convert::Infallible;
use std::io;
use std::ops::Range;

use crate::embedded::bytes::u64_at;
use crate::embedded::error::Fault;
use crate::embedded::filter::KeyFilter;
use crate::embedded::index::{BlockWriter, Blocks, Cursor, partition_point};

/// The first entry of each group of so many is in memory.
const GROUP: u64 = 256;
/// Bits of an entry's key.
const KEY_BITS: usize = 40;
/// The bytes of what is known of a table besides its contents.
pub(super) const SUMMARY: usize = 32;
/// Read at a time by a [`TableReader`].
const READ: u64 = 8_192;

/// A number of at most 16 bytes, of which the upper 40 bits are the key. In files the highest
/// byte comes first.
pub(super) type Entry = u128;

/// Sorted entries in a file of blocks. After them come the first entries of the groups, then a
/// filter of the keys: both are in memory.
#[derive(Debug)]
pub(super) struct Table {
    /// Where the entries begin.
    at: u64,
    /// Bytes of an entry.
    width: usize,
    pub(super) count: u64,
    /// How many different keys they have, at most.
    pub(super) keys: u64,
    fences: Box<[u8]>,
    filter: KeyFilter,
}

fn fences(count: u64, width: usize) -> u64 {
    count.div_ceil(GROUP) * width as u64
}

fn decode(bytes: &[u8]) -> Entry {
    let mut entry = [0; 16];
    entry[16 - bytes.len()..].copy_from_slice(bytes);
    Entry::from_be_bytes(entry)
}

fn encode(entry: Entry, width: usize) -> [u8; 16] {
    (entry << (128 - width * 8)).to_be_bytes()
}

/// What a filter takes for a key.
fn hash(key: u64) -> u64 {
    key << (64 - KEY_BITS)
}

impl Table {
    /// Opens a table of entries of some width by what [`TableWriter::finish`] gave.
    pub(super) fn open(blocks: &Blocks, width: usize, summary: &[u8]) -> Result<Self, Fault> {
        let [at, count, keys, filter] = std::array::from_fn(|n| u64_at(summary, n * 8));
        let end = |start: u64, length: Option<u64>| {
            let end = length.and_then(|length| start.checked_add(length));
            end.ok_or_else(|| blocks.flaw(start, "a table is longer than its file"))
        };
        let fences_at = end(at, count.checked_mul(width as u64))?;
        let filter_at = end(fences_at, Some(fences(count, width)))?;
        let fences = blocks.load(fences_at..filter_at)?.into();
        let filter = KeyFilter::from_bytes(blocks.load(filter_at..end(filter_at, Some(filter))?)?);
        if keys > count || (keys == 0) != (count == 0) {
            return Err(blocks.flaw(filter_at, "a table has other keys than entries"));
        }
        let filter = filter.ok_or_else(|| blocks.flaw(filter_at, "it has no filter"))?;
        Ok(Self { at, width, count, keys, fences, filter })
    }

    /// Whether there may be entries with a key.
    pub(super) fn may_contain(&self, key: u64) -> bool {
        self.filter.may_contain(hash(key))
    }

    /// How many entries are less than one.
    pub(super) fn below(&self, cursor: &mut Cursor<'_>, entry: Entry) -> Result<u64, Fault> {
        let Some(group) = self.below_in(&self.fences, entry).checked_sub(1) else { return Ok(0) };
        let start = group * GROUP;
        let bytes = cursor.bytes(self.bytes(start..self.count.min(start + GROUP)))?;
        Ok(start + self.below_in(&bytes, entry))
    }

    /// How many of some entries in a row are less than one.
    fn below_in(&self, bytes: &[u8], entry: Entry) -> u64 {
        let nth = |n: usize| decode(&bytes[n * self.width..(n + 1) * self.width]);
        let below = |n| Ok::<_, Infallible>(nth(n) < entry);
        let Ok(count) = partition_point(bytes.len() / self.width, below);
        count as u64
    }

    /// The n-th entry.
    pub(super) fn entry(&self, cursor: &mut Cursor<'_>, n: u64) -> Result<Entry, Fault> {
        cursor.bytes(self.bytes(n..n + 1)).map(|bytes| decode(&bytes))
    }

    fn bytes(&self, entries: Range<u64>) -> Range<u64> {
        let at = |n: u64| self.at + n * self.width as u64;
        at(entries.start)..at(entries.end)
    }
}

/// Writes a table's entries, which must come in order.
#[derive(Debug)]
pub(super) struct TableWriter {
    at: u64,
    width: usize,
    count: u64,
    keys: u64,
    last_key: Option<u64>,
    fences: Vec<u8>,
    filter: KeyFilter,
}

impl TableWriter {
    /// Begins a table of entries of some width, with at most so many different keys.
    pub(super) fn new(writer: &BlockWriter, width: usize, keys: u64) -> Self {
        let (at, filter) = (writer.length(), KeyFilter::for_keys(keys));
        Self { at, width, count: 0, keys: 0, last_key: None, fences: Vec::new(), filter }
    }

    pub(super) fn push(&mut self, writer: &mut BlockWriter, entry: Entry) -> io::Result<()> {
        let encoded = encode(entry, self.width);
        if self.count.is_multiple_of(GROUP) {
            self.fences.extend_from_slice(&encoded[..self.width]);
        }
        let key = key_of(entry, self.width);
        if self.last_key != Some(key) {
            self.filter.insert(hash(key));
            self.keys += 1;
            self.last_key = Some(key);
        }
        self.count += 1;
        writer.push(&encoded[..self.width])
    }

    /// Writes what stays in memory; returns what there is to know to open the table.
    pub(super) fn finish(self, writer: &mut BlockWriter) -> io::Result<Vec<u8>> {
        writer.push(&self.fences)?;
        writer.push(self.filter.as_bytes())?;
        let filter = self.filter.as_bytes().len() as u64;
        let summary = [self.at, self.count, self.keys, filter];
        Ok(summary.into_iter().flat_map(u64::to_le_bytes).collect())
    }
}

fn key_of(entry: Entry, width: usize) -> u64 {
    let key = entry >> (width * 8 - KEY_BITS);
    u64::try_from(key).unwrap_or(u64::MAX)
}

/// Reads a table's entries in order, past the cache.
#[derive(Debug, Default)]
pub(super) struct TableReader {
    next: u64,
    /// Entries that were read, the next one last.
    entries: Vec<Entry>,
}

impl TableReader {
    /// The next entry, which stays the next one.
    pub(super) fn peek(&mut self, table: &Table, blocks: &Blocks) -> Result<Option<Entry>, Fault> {
        if self.entries.is_empty() && self.next < table.count {
            let end = table.count.min(self.next + READ);
            let bytes = blocks.load(table.bytes(self.next..end))?;
            self.entries.extend(bytes.chunks(table.width).rev().map(decode));
            self.next = end;
        }
        Ok(self.entries.last().copied())
    }

    pub(super) fn pass(&mut self) {
        self.entries.pop();
    }
}
