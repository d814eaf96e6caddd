//! A closed segment's bytes, compressed in blocks: a file that reads as the plain one would.
//! `docs/event-store-format.md` describes it.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crc32c::{crc32c, crc32c_append};
use thiserror::Error;
use zstd::bulk::{Compressor, Decompressor};

use super::bytes::{narrow, size, u32_at, u64_at};
use super::format::{FORMAT, Flaw};
use super::vfs::{OpenMode, Vfs, VfsFile};

const MAGIC: &[u8; 8] = b"DAYBOOKZ";
const HEADER: usize = 40;
/// The bytes that a block holds before it is compressed.
const BLOCK: usize = 16 << 10;
/// Bytes of a block in the table: where it ends, and its CRC.
const ENTRY: usize = 8;
/// Most blocks that are read at a time.
const MOST_BLOCKS: u64 = 64;
/// Higher levels gain little on blocks this small and cost a multiple.
const LEVEL: i32 = 1;

/// What is wrong with a compressed file, as the source of an [`io::Error`].
#[derive(Debug, Error)]
#[error("{flaw} (compressed file, offset {offset})")]
pub(crate) struct Damage {
    /// The byte of the file.
    pub(crate) offset: u64,
    pub(crate) flaw: Flaw,
}

impl Damage {
    fn error(offset: u64, flaw: Flaw) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, Self { offset, flaw })
    }

    /// The damage that an error reports.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

/// A closed segment's file, and its bytes on disk where these are not those that it reads as.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) file: Arc<dyn VfsFile>,
    pub(crate) stored: Option<u64>,
}

/// Opens a segment to read, compressed or not.
///
/// # Errors
/// [`Damage`] where its table cannot be relied on.
pub(crate) fn open(vfs: &dyn Vfs, path: &Path) -> io::Result<Opened> {
    read(vfs.open(path, OpenMode::Read)?)
}

/// Reads a file that is open, compressed or not.
///
/// # Errors
/// As for [`open`].
pub(crate) fn read(file: Arc<dyn VfsFile>) -> io::Result<Opened> {
    if !is_compressed(&file)? {
        return Ok(Opened { file, stored: None });
    }
    let stored = Some(file.length()?);
    Ok(Opened { file: Arc::new(CompressedFile::open(file)?), stored })
}

/// Whether a file begins as a compressed one does.
pub(crate) fn is_compressed(file: &Arc<dyn VfsFile>) -> io::Result<bool> {
    match file.read_vec_at(MAGIC.len(), 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        magic => Ok(magic? == MAGIC),
    }
}

/// Where a compressed file keeps what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    /// The bytes that it reads as.
    length: u64,
    /// The table's offset: after the last block.
    table: u64,
    /// The table's CRC.
    crc: u32,
}

impl Header {
    fn encode(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.length.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.table.to_le_bytes());
        bytes[32..36].copy_from_slice(&narrow(BLOCK).to_le_bytes());
        bytes[36..].copy_from_slice(&self.crc.to_le_bytes());
        let crc = Self::crc(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, Flaw> {
        let bytes: &[u8; HEADER] = bytes.first_chunk().ok_or("the header is cut off")?;
        if u32_at(bytes, 12) != Self::crc(bytes) {
            return Err("the checksum of the header is wrong");
        }
        if u32_at(bytes, 8) != FORMAT || u32_at(bytes, 32) != narrow(BLOCK) {
            return Err("the segment is of another format");
        }
        Ok(Self { length: u64_at(bytes, 16), table: u64_at(bytes, 24), crc: u32_at(bytes, 36) })
    }

    fn crc(bytes: &[u8; HEADER]) -> u32 {
        crc32c_append(crc32c(&bytes[..12]), &bytes[16..])
    }
}

/// A compressed file that reads as what was compressed, and cannot be written to.
#[derive(Debug)]
struct CompressedFile {
    file: Arc<dyn VfsFile>,
    length: u64,
    /// Where each block ends, and its CRC.
    table: Vec<u8>,
}

impl CompressedFile {
    fn open(file: Arc<dyn VfsFile>) -> io::Result<Self> {
        let stored = file.length()?;
        let header = file.read_vec_at(HEADER.min(size(stored)), 0)?;
        let header = Header::decode(&header).map_err(|flaw| Damage::error(0, flaw))?;
        let damage = |flaw| Damage::error(header.table, flaw);
        let bytes = header.length.div_ceil(BLOCK as u64).saturating_mul(ENTRY as u64);
        if header.table.checked_add(bytes) != Some(stored) {
            return Err(damage("the file is not as long as its header says"));
        }
        let table = file.read_vec_at(size(bytes), header.table)?;
        if crc32c(&table) != header.crc {
            return Err(damage("the checksum of the table of blocks is wrong"));
        }
        let opened = Self { file, length: header.length, table };
        let blocks = header.length.div_ceil(BLOCK as u64);
        let ordered = (0..blocks).all(|block| !opened.extent(block).is_empty());
        let end = blocks.checked_sub(1).map_or(HEADER as u64, |last| opened.extent(last).end);
        if !ordered || end != header.table {
            return Err(damage("the table of blocks does not add up"));
        }
        Ok(opened)
    }

    /// Where a block's bytes are in the file.
    fn extent(&self, block: u64) -> Range<u64> {
        let end = |block: u64| u64::from(u32_at(&self.table, size(block) * ENTRY));
        block.checked_sub(1).map_or(HEADER as u64, end)..end(block)
    }

    /// The bytes that a block holds: all do but the last.
    fn length_of(&self, block: u64) -> usize {
        BLOCK.min(size(self.length - block * BLOCK as u64))
    }

    /// Undoes a block's compression, into a buffer of its length.
    fn decode(
        &self,
        block: u64,
        stored: &[u8],
        decompressor: &mut Decompressor<'_>,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let damage = |flaw| Damage::error(self.extent(block).start, flaw);
        if crc32c(stored) != u32_at(&self.table, size(block) * ENTRY + 4) {
            return Err(damage("the checksum of a compressed block is wrong"));
        }
        if stored.len() == buffer.len() {
            buffer.copy_from_slice(stored);
            return Ok(());
        }
        match decompressor.decompress_to_buffer(stored, buffer) {
            Ok(length) if length == buffer.len() => Ok(()),
            _ => Err(damage("a compressed block is not what was compressed")),
        }
    }
}

impl VfsFile for CompressedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = self.length.min(offset.saturating_add(buffer.len() as u64));
        if offset >= end {
            return Ok(0);
        }
        let first = offset / BLOCK as u64;
        let blocks = first..end.div_ceil(BLOCK as u64).min(first + MOST_BLOCKS);
        let stored = self.extent(first).start..self.extent(blocks.end - 1).end;
        let bytes = self.file.read_vec_at(size(stored.end - stored.start), stored.start)?;
        let mut decompressor = Decompressor::new()?;
        let (mut block_bytes, mut filled) = ([0; BLOCK], 0);
        for block in blocks {
            let Range { start, end: stop } = self.extent(block);
            let within = size(start - stored.start)..size(stop - stored.start);
            let decoded = &mut block_bytes[..self.length_of(block)];
            self.decode(block, &bytes[within], &mut decompressor, decoded)?;
            let from = size(offset.saturating_sub(block * BLOCK as u64));
            let count = (decoded.len() - from).min(buffer.len() - filled);
            buffer[filled..filled + count].copy_from_slice(&decoded[from..from + count]);
            filled += count;
        }
        Ok(filled)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.length)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

/// Writes a compressed file, in order and in bounded memory.
pub(crate) struct Writer {
    file: Arc<dyn VfsFile>,
    compressor: Compressor<'static>,
    /// What does not fill a block yet.
    pending: Vec<u8>,
    length: u64,
    /// Where the next block goes.
    end: u64,
    table: Vec<u8>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Writer {
    /// Writes to an empty file.
    pub(crate) fn new(file: Arc<dyn VfsFile>) -> io::Result<Self> {
        let (pending, table, end) = (Vec::new(), Vec::new(), HEADER as u64);
        Ok(Self { file, compressor: Compressor::new(LEVEL)?, pending, length: 0, end, table })
    }

    /// Adds bytes to the end of what the file will read as.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        self.pending.extend_from_slice(bytes);
        let whole = self.pending.len() / BLOCK * BLOCK;
        let rest = self.pending.split_off(whole);
        let blocks = std::mem::replace(&mut self.pending, rest);
        self.blocks(&blocks)
    }

    fn blocks(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut stored = Vec::with_capacity(bytes.len());
        for block in bytes.chunks(BLOCK) {
            let compressed = self.compressor.compress(block)?;
            // A stored block of its own length is one that was not compressed.
            let kept = if compressed.len() < block.len() { &compressed } else { block };
            stored.extend_from_slice(kept);
            let end = narrow(size(self.end) + stored.len());
            self.table.extend_from_slice(&end.to_le_bytes());
            self.table.extend_from_slice(&crc32c(kept).to_le_bytes());
        }
        self.file.write_all_at(&stored, self.end)?;
        self.end += stored.len() as u64;
        Ok(())
    }

    /// Makes durable what was written.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// The bytes that the file will read as, and those that they take in it; of what fills blocks.
    pub(crate) fn lengths(&self) -> (u64, u64) {
        (self.length - self.pending.len() as u64, self.end)
    }

    /// Writes what is left, makes the file durable, and opens it.
    pub(crate) fn finish(mut self) -> io::Result<Opened> {
        let rest = std::mem::take(&mut self.pending);
        self.blocks(&rest)?;
        let Self { file, length, end: table, table: entries, .. } = self;
        file.write_all_at(&entries, table)?;
        let header = Header { length, table, crc: crc32c(&entries) };
        file.write_all_at(&header.encode(), 0)?;
        file.sync()?;
        let stored = Some(table + entries.len() as u64);
        Ok(Opened { file: Arc::new(CompressedFile::open(file)?), stored })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::vfs::RealVfs;

    /// Text and noise in turn, over several blocks.
    fn contents(length: usize) -> Vec<u8> {
        let noise = |n: usize| crate::embedded::bytes::mix(n as u64).to_le_bytes()[0];
        let text = |n: usize| b"abcdefg"[n % 7];
        (0..length).map(|n| if n / 20_000 % 2 == 0 { text(n) } else { noise(n) }).collect()
    }

    fn written(path: &Path, bytes: &[u8]) -> Opened {
        let mut writer = Writer::new(RealVfs.open(path, OpenMode::Create).unwrap()).unwrap();
        for piece in bytes.chunks(7_001) {
            writer.write(piece).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn reads_as_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK, 1_000_000] {
            let bytes = contents(length);
            written(&path, &bytes);

            let Opened { file, stored } = open(&RealVfs, &path).unwrap();

            assert_eq!(file.length().unwrap(), length as u64);
            assert_eq!(file.read_vec_at(length, 0).unwrap(), bytes);
            assert_eq!(stored, Some(std::fs::metadata(&path).unwrap().len()));
            assert_eq!(file.read_at(&mut [0; 9], length as u64).unwrap(), 0);
            for from in (0..length).step_by(4_999) {
                let count = (length - from).min(20_011);
                assert_eq!(
                    file.read_vec_at(count, from as u64).unwrap(),
                    bytes[from..from + count]
                );
            }
        }
        assert!(std::fs::metadata(&path).unwrap().len() < 550_000, "half of it is text");
    }

    #[test]
    fn a_plain_file_is_opened_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        for plain in ["", "DAYB", "DAYBOOKS and so on"] {
            let path = dir.path().join("plain");
            std::fs::write(&path, plain).unwrap();
            let Opened { file, stored } = open(&RealVfs, &path).unwrap();
            assert_eq!((file.length().unwrap(), stored), (plain.len() as u64, None));
        }
    }

    #[test]
    fn every_flipped_byte_is_reported_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        let bytes = contents(BLOCK * 3);
        written(&path, &bytes);
        let good = std::fs::read(&path).unwrap();

        // The magic itself says that the file is compressed: without it, it is no segment.
        for at in (MAGIC.len()..good.len()).step_by(61) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bad).unwrap();
            let read = open(&RealVfs, &path).and_then(|o| o.file.read_vec_at(bytes.len(), 0));
            let error = read.unwrap_err();
            let damage = Damage::of(&error).unwrap_or_else(|| panic!("byte {at}: {error}"));
            assert!(damage.offset <= at as u64, "byte {at} reported at {}", damage.offset);
        }
    }

    #[test]
    fn a_cut_file_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        written(&path, &contents(BLOCK * 2));
        let good = std::fs::read(&path).unwrap();
        for length in [MAGIC.len(), HEADER - 1, HEADER, good.len() - 1] {
            std::fs::write(&path, &good[..length]).unwrap();
            assert!(Damage::of(&open(&RealVfs, &path).unwrap_err()).is_some(), "{length} bytes");
        }
    }

    #[test]
    fn it_cannot_be_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let Opened { file, .. } = written(&dir.path().join("segment"), b"bytes");
        assert!(file.write_at(b"x", 0).is_err() && file.set_len(0).is_err());
    }
}
