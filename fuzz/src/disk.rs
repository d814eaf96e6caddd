//! Files in memory, which count what is asked of them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use daybook_event_store::{LockGuard, OpenMode, Vfs, VfsFile};

/// Files by their names.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The folder that everything is in.
pub(crate) const FOLDER: &str = "/events";

/// A disk of one folder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, Arc<Mutex<Vec<u8>>>>,
    /// Bytes that may still be read.
    reads_left: usize,
    longest_read: usize,
}

impl Disk {
    /// Whoever reads far more than is there reads without end; nothing is there to be read at once
    /// that is longer than all of it.
    pub(crate) fn new(files: &Files) -> Self {
        let bytes = files.values().map(Vec::len).sum::<usize>() + (64 << 10);
        let file = |(name, bytes): (&String, &Vec<u8>)| {
            (Path::new(FOLDER).join(name), Arc::new(Mutex::new(bytes.clone())))
        };
        let files = files.iter().map(file).collect();
        Self(Arc::new(Mutex::new(State { files, reads_left: bytes * 500, longest_read: bytes })))
    }

    pub(crate) fn files(&self) -> Files {
        let state = self.0.lock().unwrap();
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let file = |(path, file): (&PathBuf, &Arc<Mutex<Vec<u8>>>)| {
            (name(path), file.lock().unwrap().clone())
        };
        state.files.iter().map(file).collect()
    }
}

impl Vfs for Disk {
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.0.lock().unwrap();
        let names = state.files.keys().filter_map(|path| path.strip_prefix(dir).ok());
        Ok(names.map(|name| name.to_str().unwrap().to_owned()).collect())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        let mut state = self.0.lock().unwrap();
        if mode == OpenMode::Create {
            state.files.insert(path.to_owned(), Arc::default());
        }
        let bytes = Arc::clone(state.files.get(path).ok_or(io::ErrorKind::NotFound)?);
        Ok(Arc::new(File { disk: self.clone(), bytes }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let files = &mut self.0.lock().unwrap().files;
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = self.0.lock().unwrap().files.remove(path);
        removed.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn LockGuard>> {
        Ok(Box::new(NoLock))
    }

    fn now(&self) -> i64 {
        1
    }
}

/// Nobody else opens what is in memory.
#[derive(Debug)]
struct NoLock;

impl LockGuard for NoLock {}

#[derive(Debug)]
struct File {
    disk: Disk,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl VfsFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = {
            let bytes = self.bytes.lock().unwrap();
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            let count = buffer.len().min(bytes.len() - start);
            buffer[..count].copy_from_slice(&bytes[start..start + count]);
            count
        };
        let mut state = self.disk.0.lock().unwrap();
        assert!(buffer.len() <= state.longest_read, "{} bytes are read at once", buffer.len());
        // A call without a byte is one all the same.
        let left = state.reads_left.checked_sub(count + 1);
        state.reads_left = left.expect("it reads without end");
        Ok(count)
    }

    fn write_at(&self, written: &[u8], offset: u64) -> io::Result<usize> {
        let mut bytes = self.bytes.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        assert!(start <= bytes.len() + (1 << 20), "a hole of {start} bytes is written");
        let end = start + written.len();
        let length = bytes.len().max(end);
        bytes.resize(length, 0);
        bytes[start..end].copy_from_slice(written);
        Ok(written.len())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut bytes = self.bytes.lock().unwrap();
        let length = usize::try_from(length).unwrap();
        assert!(length <= bytes.len(), "a file is extended to {length} bytes");
        bytes.truncate(length);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
