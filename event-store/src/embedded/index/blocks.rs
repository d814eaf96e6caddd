//! Files of blocks, each under a checksum of its own: written once from front to back, then read
//! here and there through the cache, so that a look into a large file costs a small read.
//!
//! To whoever writes and reads them they are plain bytes; where blocks begin does not show.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use crc32c::{crc32c, crc32c_append};

use crate::embedded::bytes::{size, u32_at};
use crate::embedded::cache::{Cache, Io, Key, Part};
use crate::embedded::error::Fault;
use crate::embedded::vfs::VfsFile;

/// The bytes of a block in the file; the last may have fewer.
const BLOCK: usize = 4_096;
const CHECKSUM: usize = 4;
const PAYLOAD: usize = BLOCK - CHECKSUM;
/// Written at a time, and read at a time by [`Blocks::load`].
const WINDOW: usize = 64 * BLOCK;
/// Synced at a time, so that a large file's last sync does not hold up the log's.
const UNSYNCED: u64 = 8 << 20;

fn checksum(seed: u64, block: u64, payload: &[u8]) -> u32 {
    let place = crc32c_append(crc32c(&seed.to_le_bytes()), &block.to_le_bytes());
    crc32c_append(place, payload)
}

/// Writes a file of blocks from front to back.
#[derive(Debug)]
pub(crate) struct BlockWriter {
    file: Arc<dyn VfsFile>,
    seed: u64,
    /// Whole blocks that are not written yet, then the checksum (0 so far) and the payload of the
    /// one that is being filled.
    buffer: Vec<u8>,
    /// Where in the buffer the last block begins.
    last: usize,
    /// The number of the last block.
    block: u64,
    written: u64,
    synced: u64,
}

impl BlockWriter {
    /// Begins an empty file. The seed is a number of this file's own: blocks of others do not pass
    /// for its blocks.
    pub(crate) fn new(file: Arc<dyn VfsFile>, seed: u64) -> Self {
        let buffer = vec![0; CHECKSUM];
        Self { file, seed, buffer, last: 0, block: 0, written: 0, synced: 0 }
    }

    /// How many bytes were pushed.
    pub(crate) fn length(&self) -> u64 {
        self.block * PAYLOAD as u64 + (self.buffer.len() - self.last - CHECKSUM) as u64
    }

    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.last + BLOCK - self.buffer.len();
            if room == 0 {
                self.next_block()?;
                continue;
            }
            let (now, rest) = bytes.split_at(bytes.len().min(room));
            self.buffer.extend_from_slice(now);
            bytes = rest;
        }
        Ok(())
    }

    fn next_block(&mut self) -> io::Result<()> {
        self.close_block();
        self.block += 1;
        if self.buffer.len() >= WINDOW {
            self.write()?;
        }
        self.last = self.buffer.len();
        self.buffer.extend_from_slice(&[0; CHECKSUM]);
        Ok(())
    }

    fn close_block(&mut self) {
        let checksum = checksum(self.seed, self.block, &self.buffer[self.last + CHECKSUM..]);
        self.buffer[self.last..self.last + CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written - self.synced >= UNSYNCED {
            self.file.sync()?;
            self.synced = self.written;
        }
        Ok(())
    }

    /// Writes what is left and syncs the file.
    pub(crate) fn finish(mut self) -> io::Result<Arc<dyn VfsFile>> {
        self.close_block();
        self.write()?;
        self.file.sync()?;
        Ok(self.file)
    }
}

/// A file of blocks, to be read.
pub(crate) struct Blocks {
    file: Arc<dyn VfsFile>,
    name: String,
    cache: Cache,
    /// Tells its blocks in the cache from those of every other file.
    id: u64,
    seed: u64,
    /// The bytes of the file.
    file_length: u64,
    /// A block of it was found to be damaged.
    damaged: AtomicBool,
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Blocks {
    pub(crate) fn open(
        file: Arc<dyn VfsFile>,
        name: String,
        seed: u64,
        cache: Cache,
    ) -> Result<Self, Fault> {
        let file_length = file.length().map_err(|error| Fault::io(&name, 0, &error))?;
        let (id, damaged) = (cache.file(), AtomicBool::new(false));
        Ok(Self { file, name, cache, id, seed, file_length, damaged })
    }

    /// The bytes of the file, with the checksums.
    pub(crate) fn file_length(&self) -> u64 {
        self.file_length
    }

    /// The bytes that were pushed.
    pub(crate) fn length(&self) -> u64 {
        let blocks = self.file_length.div_ceil(BLOCK as u64);
        self.file_length.saturating_sub(blocks * CHECKSUM as u64)
    }

    /// Whether it was found to be damaged, and should be made again.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// What is said of bytes that are not as they were written.
    pub(crate) fn flaw(&self, at: u64, flaw: &str) -> Fault {
        self.damaged.store(true, Ordering::Relaxed);
        // Where it is may be what is wrong.
        let offset = at.min(self.length()) / PAYLOAD as u64 * BLOCK as u64;
        Fault::damaged(&self.name, offset, &format!("{flaw}; it is made anew from its segments"))
    }

    /// Bytes read past the cache, such as those that stay in memory or are read once.
    pub(crate) fn load(&self, range: Range<u64>) -> Result<Vec<u8>, Fault> {
        self.check_within(&range)?;
        let mut bytes = Vec::with_capacity(size(range.end - range.start));
        let mut at = range.start;
        while at < range.end {
            let block = at / PAYLOAD as u64;
            let end = ((block + 1) * PAYLOAD as u64 - 1 + ((WINDOW - BLOCK) as u64)).min(range.end);
            let blocks = self.read(block..end.div_ceil(PAYLOAD as u64))?;
            for (n, bytes_of_block) in (block..).zip(blocks.chunks(BLOCK)) {
                let start = n * PAYLOAD as u64;
                let payload = self.checked(n, bytes_of_block)?;
                let (from, to) =
                    (at.max(start) - start, range.end.min(start + PAYLOAD as u64) - start);
                bytes.extend_from_slice(&payload[size(from)..size(to)]);
                at = start + to;
            }
        }
        Ok(bytes)
    }

    /// Reads every block.
    pub(crate) fn verify(&self) -> Result<(), Fault> {
        let end = self.length();
        let piece = |at: u64| self.load(at..end.min(at + WINDOW as u64)).map(drop);
        (0..end).step_by(WINDOW).try_for_each(piece)
    }

    fn check_within(&self, range: &Range<u64>) -> Result<(), Fault> {
        if range.start <= range.end && range.end <= self.length() {
            return Ok(());
        }
        Err(self.flaw(self.length(), "it is cut off, or points behind its end"))
    }

    /// Whole blocks as they are in the file.
    fn read(&self, blocks: Range<u64>) -> Result<Vec<u8>, Fault> {
        let start = blocks.start * BLOCK as u64;
        let end = (blocks.end * BLOCK as u64).min(self.file_length);
        let read = self.file.read_vec_at(size(end.saturating_sub(start)), start);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.flaw(self.length(), "it is cut off"),
            _ => Fault::io(&self.name, start, &error),
        })
    }

    fn checked<'a>(&self, block: u64, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        if bytes.len() > CHECKSUM {
            let (stored, payload) = (u32_at(bytes, 0), &bytes[CHECKSUM..]);
            if stored == checksum(self.seed, block, payload) {
                return Ok(payload);
            }
        }
        Err(self.flaw(block * PAYLOAD as u64, "the checksum of a block is wrong"))
    }

    /// The payload of a block, through the cache.
    fn block(&self, block: u64, io: Io) -> Result<Bytes, Fault> {
        let key = Key { file: self.id, part: Part::Index(block) };
        self.cache.get(key, io, || {
            let bytes = Bytes::from(self.read(block..block + 1)?);
            self.checked(block, &bytes)?;
            Ok(bytes.slice(CHECKSUM..))
        })
    }

    /// A range of bytes that is cached as one piece, by a number.
    pub(crate) fn piece(&self, piece: u64, range: Range<u64>, io: Io) -> Result<Bytes, Fault> {
        let key = Key { file: self.id, part: Part::Piece(piece) };
        self.cache.get(key, io, || self.load(range).map(Bytes::from))
    }

    /// For looks at places near each other.
    pub(crate) fn cursor(&self, io: Io) -> Cursor<'_> {
        Cursor { blocks: self, io, held: None }
    }
}

/// Reads through the cache, and asks it once only for bytes of one block in a row.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    pub(crate) blocks: &'a Blocks,
    io: Io,
    held: Option<(u64, Bytes)>,
}

impl Cursor<'_> {
    pub(crate) fn bytes(&mut self, range: Range<u64>) -> Result<Bytes, Fault> {
        self.blocks.check_within(&range)?;
        let first = range.start / PAYLOAD as u64;
        let within = |at: u64, block: u64| size(at - block * PAYLOAD as u64);
        if range.end <= (first + 1) * PAYLOAD as u64 {
            let payload = self.block(first)?;
            return Ok(payload.slice(within(range.start, first)..within(range.end, first)));
        }
        let mut bytes = BytesMut::with_capacity(size(range.end - range.start));
        for block in first..range.end.div_ceil(PAYLOAD as u64) {
            let (start, end) = (block * PAYLOAD as u64, (block + 1) * PAYLOAD as u64);
            let part = within(range.start.max(start), block)..within(range.end.min(end), block);
            bytes.extend_from_slice(&self.block(block)?[part]);
        }
        Ok(bytes.freeze())
    }

    fn block(&mut self, block: u64) -> Result<&Bytes, Fault> {
        if self.held.as_ref().is_none_or(|(held, _)| *held != block) {
            self.held = Some((block, self.blocks.block(block, self.io)?));
        }
        match &self.held {
            Some((_, payload)) => Ok(payload),
            None => Err(Fault::NotCached),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs::File;

    use super::*;
    use crate::ReadError;

    const SEED: u64 = 7;

    fn written(bytes: &[u8], pieces: usize) -> (Arc<dyn VfsFile>, File) {
        let file = tempfile::tempfile().unwrap();
        let mut writer = BlockWriter::new(Arc::new(file.try_clone().unwrap()), SEED);
        bytes.chunks(pieces).for_each(|piece| writer.push(piece).unwrap());
        assert_eq!(writer.length(), bytes.len() as u64);
        (writer.finish().unwrap(), file)
    }

    fn open(file: Arc<dyn VfsFile>) -> Blocks {
        Blocks::open(file, "the.file".into(), SEED, Cache::new(1 << 20)).unwrap()
    }

    /// A file of these bytes.
    pub(crate) fn blocks_of(bytes: &[u8]) -> Blocks {
        open(written(bytes, bytes.len().max(1)).0)
    }

    fn some(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n * 31 % 251).to_le_bytes()[0]).collect()
    }

    #[test]
    fn bytes_come_back_wherever_blocks_begin() {
        for length in [1, 10, PAYLOAD - 1, PAYLOAD, PAYLOAD + 1, 3 * PAYLOAD, 70 * PAYLOAD + 9] {
            let bytes = some(length);
            for pieces in [7, PAYLOAD, 100_000] {
                let blocks = open(written(&bytes, pieces).0);
                assert_eq!(blocks.length(), length as u64);
                assert_eq!(blocks.load(0..length as u64).unwrap(), bytes);
                let mut cursor = blocks.cursor(Io::Allowed);
                for start in (0..length).step_by(1_001) {
                    let range = start..length.min(start + 5_000);
                    let at = range.start as u64..range.end as u64;
                    assert_eq!(cursor.bytes(at.clone()).unwrap(), bytes[range.clone()]);
                    assert_eq!(blocks.load(at).unwrap(), bytes[range]);
                }
            }
        }
    }

    #[test]
    fn what_is_not_cached_is_not_read_without_leave() {
        let blocks = blocks_of(&some(10_000));
        let look = |io| blocks.cursor(io).bytes(5_000..5_010);
        assert!(matches!(look(Io::Never), Err(Fault::NotCached)));
        look(Io::Allowed).unwrap();
        look(Io::Never).unwrap();
    }

    #[test]
    fn every_flipped_byte_is_reported_with_its_block() {
        let bytes = some(PAYLOAD * 2 + 100);
        let (_, file) = written(&bytes, 1_000);
        let length = file.metadata().unwrap().len();
        for at in (0..length).step_by(3) {
            let flip = |file: &File| {
                let mut byte = [0];
                std::os::unix::fs::FileExt::read_exact_at(file, &mut byte, at).unwrap();
                std::os::unix::fs::FileExt::write_all_at(file, &[byte[0] ^ 0x10], at).unwrap();
            };
            flip(&file);
            let blocks = open(Arc::new(file.try_clone().unwrap()));
            assert!(!blocks.is_damaged());
            let place = format!("the.file, offset {}", at / 4_096 * 4_096);
            for result in [
                blocks.load(0..bytes.len() as u64),
                blocks.cursor(Io::Allowed).bytes(0..bytes.len() as u64).map(Vec::from),
            ] {
                let Err(Fault::Read(ReadError::Damaged { place: found, .. })) = result else {
                    panic!("byte {at}: {result:?}");
                };
                assert_eq!(found, place);
            }
            assert!(blocks.is_damaged());
            flip(&file);
        }
    }

    #[test]
    fn blocks_of_other_places_and_files_do_not_pass() {
        let (_, file) = written(&some(PAYLOAD * 2), 1_000);
        let other = Blocks::open(
            Arc::new(file.try_clone().unwrap()),
            "another".into(),
            SEED + 1,
            Cache::new(1 << 20),
        );
        assert!(other.unwrap().load(0..10).is_err(), "the seed is another's");

        let mut first = vec![0; BLOCK];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut first, 0).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &first, BLOCK as u64).unwrap();
        let moved = open(Arc::new(file.try_clone().unwrap()));
        moved.load(0..10).unwrap();
        assert!(moved.load(PAYLOAD as u64..PAYLOAD as u64 + 10).is_err());
    }

    #[test]
    fn a_file_cut_short_or_empty_is_reported() {
        let bytes = some(PAYLOAD + 100);
        let (opened, file) = written(&bytes, 1_000);
        let (end, blocks) = (bytes.len() as u64, open(opened));
        for length in [0, 3, 4, 100, 4_095, 4_096, 4_100] {
            file.set_len(length).unwrap();
            assert!(blocks.load(0..end).is_err(), "it was longer when it was opened");
            let cut = open(Arc::new(file.try_clone().unwrap()));
            let all = cut.load(0..cut.length());
            assert!(
                cut.length() < end && (all.is_err() || cut.length().is_multiple_of(PAYLOAD as u64))
            );
            assert!(cut.load(0..end).is_err());
        }
    }
}
