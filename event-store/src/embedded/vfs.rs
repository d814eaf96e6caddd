use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::clock::{self, Clock};
use crate::planted::{self, Bug};

/// All that the engine asks of the operating system: files and the clock.
///
/// [`RealVfs`] is the one to use; a simulated one can lose, tear, flip and refuse at will.
pub trait Vfs: fmt::Debug + Send + Sync + 'static {
    /// Creates a directory and those above it, where they are missing.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// The names of a directory's entries, in any order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>>;

    /// Gives a file another name in its directory, in place of what had that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes what was created, renamed and removed in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Locks a file, created where it is missing, against every other process and every other
    /// handle, for as long as the guard lives.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where somebody else has the lock.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>>;

    /// The time in microseconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> i64;
}

/// An open file, with positions given rather than kept. A call may transfer less than asked for.
pub trait VfsFile: fmt::Debug + Send + Sync + 'static {
    /// Reads at an offset; 0 bytes at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at an offset, extending the file where needed.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts or extends (with zeros) the file.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// The file's length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Makes the file's bytes and its length durable.
    fn sync(&self) -> io::Result<()>;
}

/// Releases its lock when dropped.
pub trait LockGuard: fmt::Debug + Send + Sync + 'static {}

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    Write,
    /// An empty file, whatever was there, to read and write.
    Create,
}

impl dyn VfsFile {
    /// Fills the buffer.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where the file ends before.
    pub(crate) fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) if planted::is(Bug::ShortReadIgnored) => return Ok(()),
                Ok(read) => {
                    buffer = &mut buffer[read..];
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads so many bytes.
    pub(crate) fn read_vec_at(&self, length: usize, offset: u64) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; length];
        self.read_exact_at(&mut buffer, offset)?;
        Ok(buffer)
    }

    /// Writes all bytes; where it fails, some may have been written.
    pub(crate) fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) if planted::is(Bug::ShortWriteIgnored) => return Ok(()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    offset += written as u64;
                }
                Err(error)
                    if error.kind() == io::ErrorKind::Interrupted
                        && !planted::is(Bug::InterruptIsFatal) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The operating system's files and clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealVfs;

impl RealVfs {
    /// The operating system's files, and another clock: it tells microseconds since
    /// 1970-01-01T00:00:00Z.
    pub fn with_clock(clock: impl Fn() -> i64 + Send + Sync + 'static) -> impl Vfs {
        Clocked(Clock::new(clock))
    }
}

impl Vfs for RealVfs {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<std::fs::DirEntry>| {
            entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        std::fs::read_dir(dir)?.map(name).collect()
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read);
        if mode == OpenMode::Create {
            options.create(true).truncate(true);
        }
        Ok(Arc::new(options.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn now(&self) -> i64 {
        clock::system()
    }
}

/// The operating system's files, with a clock of one's own.
#[derive(Debug)]
struct Clocked(Clock);

impl Vfs for Clocked {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealVfs.create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealVfs.list(dir)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        RealVfs.open(path, mode)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealVfs.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealVfs.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealVfs.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        RealVfs.lock(path)
    }

    fn now(&self) -> i64 {
        self.0.now()
    }
}

impl LockGuard for File {}

impl VfsFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        Self::set_len(self, length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
