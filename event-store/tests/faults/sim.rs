//! A disk in memory that forgets what was not synced.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daybook_event_store::{LockGuard, OpenMode, Vfs, VfsFile};
use parking_lot::Mutex;

const SECTOR: usize = 512;

/// The disk, and the running system's view of it. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sim(Arc<Mutex<Disk>>);

#[derive(Debug, Clone, Default)]
struct Disk {
    inodes: Vec<Inode>,
    entries: BTreeMap<PathBuf, usize>,
    /// The directory's entries after a crash; those of before any directory is synced.
    durable_entries: BTreeMap<PathBuf, usize>,
    locks: Vec<PathBuf>,
    clock: i64,
    /// How many writes, syncs and changes of directories there were.
    changes: usize,
    power_off_at: Option<usize>,
    failing_sync: Option<usize>,
    /// Bytes that still can be written.
    space: Option<usize>,
}

#[derive(Debug, Clone, Default)]
struct Inode {
    current: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

/// What a sync would make durable.
#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes: written } => {
                let end = offset + written.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[*offset..end].copy_from_slice(written);
            }
            Self::Length(length) => bytes.resize(*length, 0),
        }
    }

    /// Applies any of the change's sectors, and any length up to the changed one.
    fn tear(&self, bytes: &mut Vec<u8>, random: &mut Random) {
        match self {
            Self::Write { offset, bytes: written } => {
                if random.one_in(2) {
                    bytes.resize(bytes.len().max(offset + written.len()), 0);
                }
                let mut at = 0;
                while at < written.len() {
                    let end =
                        ((offset + at) / SECTOR * SECTOR + SECTOR - offset).min(written.len());
                    if random.one_in(2) {
                        let sector = written[at..end].to_vec();
                        Self::Write { offset: offset + at, bytes: sector }.apply(bytes);
                    }
                    at = end;
                }
            }
            Self::Length(_) if random.one_in(2) => self.apply(bytes),
            Self::Length(_) => {}
        }
    }
}

/// A small generator of numbers, the same for the same seed.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

impl Sim {
    /// The disk after a power failure now: what was synced is there, and of the rest any part.
    pub(crate) fn crashed(&self, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let disk = self.0.lock();
        let mut after = Disk { clock: disk.clock, ..Disk::default() };
        for inode in &disk.inodes {
            let mut bytes = inode.durable.clone();
            inode.pending.iter().for_each(|change| change.tear(&mut bytes, &mut random));
            after.inodes.push(Inode {
                durable: bytes.clone(),
                current: bytes,
                pending: Vec::new(),
            });
        }
        after.entries = disk.durable_entries.clone();
        for (path, inode) in &disk.entries {
            if random.one_in(2) {
                after.entries.insert(path.clone(), *inode);
            }
        }
        after.durable_entries = after.entries.clone();
        Self(Arc::new(Mutex::new(after)))
    }

    /// From this change on nothing works; changes count from 0.
    pub(crate) fn power_off_at(&self, change: usize) {
        self.0.lock().power_off_at = Some(change);
    }

    /// How many changes there were.
    pub(crate) fn changes(&self) -> usize {
        self.0.lock().changes
    }

    /// The sync after so many others fails, and what it should have made durable is gone although
    /// it still can be read.
    pub(crate) fn fail_sync_after(&self, others: usize) {
        self.0.lock().failing_sync = Some(others);
    }

    /// How many bytes can still be written.
    pub(crate) fn set_space(&self, bytes: Option<usize>) {
        self.0.lock().space = bytes;
    }

    pub(crate) fn set_clock(&self, clock: i64) {
        self.0.lock().clock = clock;
    }

    /// The names of the files with an extension, in order.
    pub(crate) fn files(&self, extension: &str) -> Vec<PathBuf> {
        let disk = self.0.lock();
        let with = |path: &&PathBuf| path.extension().is_some_and(|e| e == extension);
        disk.entries.keys().filter(with).cloned().collect()
    }

    pub(crate) fn exists(&self, path: &Path) -> bool {
        self.0.lock().entries.contains_key(path)
    }

    pub(crate) fn contents(&self, path: &Path) -> Vec<u8> {
        let disk = self.0.lock();
        disk.inodes[disk.entries[path]].current.clone()
    }

    pub(crate) fn overwrite(&self, path: &Path, bytes: Vec<u8>) {
        let mut disk = self.0.lock();
        let at = disk.inodes.len();
        disk.inodes.push(Inode { durable: bytes.clone(), current: bytes, pending: Vec::new() });
        disk.entries.insert(path.to_owned(), at);
        disk.durable_entries.insert(path.to_owned(), at);
    }

    /// A disk of its own with the same contents, all of it durable, and nobody's lock.
    pub(crate) fn copy(&self) -> Self {
        let mut disk = self.0.lock().clone();
        disk.locks.clear();
        for inode in &mut disk.inodes {
            inode.durable = inode.current.clone();
            inode.pending.clear();
        }
        disk.durable_entries = disk.entries.clone();
        Self(Arc::new(Mutex::new(disk)))
    }

    pub(crate) fn delete(&self, path: &Path) {
        let mut disk = self.0.lock();
        disk.entries.remove(path);
        disk.durable_entries.remove(path);
    }
}

impl Disk {
    /// Counts a change; an error once the power is off.
    fn change(&mut self) -> io::Result<()> {
        if self.power_off_at.is_some_and(|at| self.changes >= at) {
            return Err(io::Error::other("the power is off"));
        }
        self.changes += 1;
        Ok(())
    }

    fn inode(&self, path: &Path) -> io::Result<usize> {
        self.entries.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Vfs for Sim {
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let disk = self.0.lock();
        let names = disk.entries.keys().filter_map(|path| path.strip_prefix(dir).ok());
        Ok(names.map(|name| name.to_str().unwrap().to_owned()).collect())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        let mut disk = self.0.lock();
        if mode == OpenMode::Create {
            disk.change()?;
            let at = disk.inodes.len();
            disk.inodes.push(Inode::default());
            disk.entries.insert(path.to_owned(), at);
        }
        let inode = disk.inode(path)?;
        Ok(Arc::new(SimFile { disk: Arc::clone(&self.0), inode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.change()?;
        let inode = disk.inode(from)?;
        disk.entries.remove(from);
        disk.entries.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.change()?;
        disk.inode(path)?;
        disk.entries.remove(path);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.change()?;
        let Disk { entries, durable_entries, .. } = &mut *disk;
        let inside = |path: &Path| path.parent() == Some(dir);
        durable_entries.retain(|path, _| !inside(path));
        let here = entries.iter().filter(|(path, _)| inside(path));
        durable_entries.extend(here.map(|(path, inode)| (path.clone(), *inode)));
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        let mut disk = self.0.lock();
        if disk.locks.iter().any(|locked| locked == path) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        disk.locks.push(path.to_owned());
        Ok(Box::new(SimLock { disk: Arc::clone(&self.0), path: path.to_owned() }))
    }

    fn now(&self) -> i64 {
        let mut disk = self.0.lock();
        disk.clock += 1;
        disk.clock
    }
}

#[derive(Debug)]
struct SimLock {
    disk: Arc<Mutex<Disk>>,
    path: PathBuf,
}

impl LockGuard for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.lock().locks.retain(|path| *path != self.path);
    }
}

#[derive(Debug)]
struct SimFile {
    disk: Arc<Mutex<Disk>>,
    inode: usize,
}

impl VfsFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let disk = self.disk.lock();
        let bytes = &disk.inodes[self.inode].current;
        let start = usize::try_from(offset).unwrap().min(bytes.len());
        // A read may be short.
        let count = buffer.len().min(bytes.len() - start).min(100_000);
        buffer[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut disk = self.disk.lock();
        disk.change()?;
        let offset = usize::try_from(offset).unwrap();
        // Only what extends the file takes space.
        let within = disk.inodes[self.inode].current.len().saturating_sub(offset).min(bytes.len());
        let count = bytes.len().min(disk.space.map_or(usize::MAX, |space| space + within));
        if count == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let Some(space) = &mut disk.space {
            *space -= count.saturating_sub(within);
        }
        let change = Change::Write { offset, bytes: bytes[..count].to_vec() };
        disk.inodes[self.inode].change(change);
        Ok(count)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.change()?;
        disk.inodes[self.inode].change(Change::Length(usize::try_from(length).unwrap()));
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.lock().inodes[self.inode].current.len() as u64)
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.change()?;
        let fails = disk.failing_sync == Some(0);
        disk.failing_sync = disk.failing_sync.and_then(|others| others.checked_sub(1));
        let Inode { durable, pending, .. } = &mut disk.inodes[self.inode];
        for change in pending.drain(..) {
            if !fails {
                change.apply(durable);
            }
        }
        if fails { Err(io::Error::other("the device failed")) } else { Ok(()) }
    }
}

impl Inode {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.pending.push(change);
    }
}
