use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::bytes::size;
use super::vfs::VfsFile;

/// What is given up at a time: as much as a compressed block holds.
const PIECE: u64 = 16 << 10;

/// A file that reads as zeros where it cannot be read, and remembers where that was and why.
#[derive(Debug)]
pub(crate) struct Lenient {
    file: Arc<dyn VfsFile>,
    unreadable: Mutex<BTreeMap<u64, String>>,
}

impl Lenient {
    pub(crate) fn new(file: Arc<dyn VfsFile>) -> Self {
        Self { file, unreadable: Mutex::default() }
    }

    /// The offsets of what could not be read, and why.
    pub(crate) fn unreadable(&self) -> BTreeMap<u64, String> {
        self.unreadable.lock().clone()
    }

    /// Reads up to the end of a piece, or gives that up.
    fn piece(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = self.file.length()?.min((offset / PIECE + 1) * PIECE);
        let length = size(end.saturating_sub(offset)).min(buffer.len());
        let buffer = &mut buffer[..length];
        match self.file.read_at(buffer, offset) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                buffer.fill(0);
                self.unreadable.lock().insert(offset, error.to_string());
                Ok(length)
            }
            read => read,
        }
    }
}

impl VfsFile for Lenient {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.file.read_at(buffer, offset) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => self.piece(buffer, offset),
            read => read,
        }
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}
