//! Files in memory that all tests read alike, but for one bit.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use daybook_event_store::{LockGuard, OpenMode, Vfs, VfsFile};

/// A folder's files.
pub(crate) type Files = BTreeMap<PathBuf, Arc<[u8]>>;

/// A folder with one bit that is not what it was. What is written stays with it.
#[derive(Debug)]
pub(crate) struct Flipped(Mutex<BTreeMap<PathBuf, Arc<File>>>);

impl Flipped {
    /// The n-th bit of a file is flipped.
    pub(crate) fn new(files: &Files, of: &Path, bit: usize) -> Self {
        let file = |(path, bytes): (&PathBuf, &Arc<[u8]>)| {
            let flipped = (path == of).then_some(bit);
            let content = Content::Shared(Arc::clone(bytes), flipped);
            (path.clone(), Arc::new(File(Mutex::new(content))))
        };
        Self(Mutex::new(files.iter().map(file).collect()))
    }
}

#[derive(Debug)]
struct File(Mutex<Content>);

#[derive(Debug)]
enum Content {
    Shared(Arc<[u8]>, Option<usize>),
    Own(Vec<u8>),
}

impl Content {
    fn length(&self) -> usize {
        match self {
            Self::Shared(bytes, _) => bytes.len(),
            Self::Own(bytes) => bytes.len(),
        }
    }

    fn read(&self, buffer: &mut [u8], offset: usize) -> usize {
        let (bytes, flipped) = match self {
            Self::Shared(bytes, flipped) => (&bytes[..], *flipped),
            Self::Own(bytes) => (&bytes[..], None),
        };
        let start = offset.min(bytes.len());
        let count = buffer.len().min(bytes.len() - start);
        buffer[..count].copy_from_slice(&bytes[start..start + count]);
        if let Some(bit) = flipped
            && let Some(at) = (bit / 8).checked_sub(start)
            && at < count
        {
            buffer[at] ^= 1 << (bit % 8);
        }
        count
    }

    fn own(&mut self) -> &mut Vec<u8> {
        if let Self::Shared(bytes, _) = self {
            let mut own = vec![0; bytes.len()];
            self.read(&mut own, 0);
            *self = Self::Own(own);
        }
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(..) => unreachable!("it was made its own"),
        }
    }
}

impl VfsFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(self.0.lock().unwrap().read(buffer, usize::try_from(offset).unwrap()))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut content = self.0.lock().unwrap();
        let (own, offset) = (content.own(), usize::try_from(offset).unwrap());
        own.resize(own.len().max(offset + bytes.len()), 0);
        own[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.lock().unwrap().own().resize(usize::try_from(length).unwrap(), 0);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().length() as u64)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Nobody else opens what is in memory.
#[derive(Debug)]
struct NoLock;

impl LockGuard for NoLock {}

impl Vfs for Flipped {
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let files = self.0.lock().unwrap();
        let names = files.keys().filter_map(|path| path.strip_prefix(dir).ok());
        Ok(names.map(|name| name.to_str().unwrap().to_owned()).collect())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        let mut files = self.0.lock().unwrap();
        if mode == OpenMode::Create {
            files.insert(path.to_owned(), Arc::new(File(Mutex::new(Content::Own(Vec::new())))));
        }
        let file = files.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::clone(file) as Arc<dyn VfsFile>)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = self.0.lock().unwrap().remove(path);
        removed.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn LockGuard>> {
        Ok(Box::new(NoLock))
    }

    fn now(&self) -> i64 {
        0
    }
}
