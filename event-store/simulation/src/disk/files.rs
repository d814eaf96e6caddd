//! The disk as the engine sees it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daybook_event_store::{LockGuard, OpenMode, Vfs, VfsFile};
use parking_lot::Mutex;

use super::inode::{Change, Inode};
use super::lie::{self, Lie};
use super::{Disk, Fault, State};
use crate::coverage::Reached;
use crate::{interleaving, recorder};

/// The most that one read gives, so that callers must go on.
const MOST_READ: usize = 100_000;

impl Disk {
    /// One I/O: lets others do something first, then notes it with its outcome.
    fn io<T>(
        &self,
        what: &'static str,
        path: &Path,
        work: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        interleaving::before_io();
        let result = work(&mut self.0.lock());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let numbers = [crc(what.as_bytes()), crc(name.as_bytes()), u64::from(result.is_ok())];
        recorder::note(&numbers, || format!("    {what} {name}{}", failure(&result)));
        result
    }
}

fn failure<T>(result: &io::Result<T>) -> String {
    result.as_ref().err().map(|error| format!(": {error}")).unwrap_or_default()
}

fn crc(bytes: &[u8]) -> u64 {
    crc32c::crc32c(bytes).into()
}

impl Vfs for Disk {
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.io("list", dir, |state| {
            state.begin()?;
            let names = state.entries.keys().filter_map(|path| path.strip_prefix(dir).ok());
            Ok(names.map(|name| name.to_string_lossy().into_owned()).collect())
        })
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        let inode = self.io("open", path, |state| {
            if mode != OpenMode::Create {
                state.begin()?;
                return state.inode(path);
            }
            state.change()?;
            state.may_fail(Fault::WriteError)?;
            reached_by_creating(path);
            // What had the name is emptied rather than replaced.
            if let Ok(inode) = state.inode(path) {
                state.set_length(inode, 0);
                return Ok(inode);
            }
            state.inodes.push(Inode::default());
            let inode = state.inodes.len() - 1;
            state.set_entry(path, Some(inode));
            Ok(inode)
        })?;
        Ok(Arc::new(SimFile { disk: self.clone(), inode, path: path.to_owned() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.io("rename to", to, |state| {
            state.change()?;
            state.may_fail(Fault::WriteError)?;
            let inode = state.inode(from)?;
            state.set_entry(to, Some(inode));
            state.set_entry(from, None);
            reached_by_renaming(to);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.io("remove", path, |state| {
            state.change()?;
            state.may_fail(Fault::WriteError)?;
            state.inode(path)?;
            state.set_entry(path, None);
            reached_by_removing(path);
            Ok(())
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.io("sync folder", dir, |state| {
            state.change()?;
            // A folder's changes are in a journal: they stay to be synced another time.
            state.may_fail(Fault::SyncError)?;
            if lie::is_told(Lie::FolderSync) {
                return Ok(());
            }
            let State { unsynced_entries, durable_entries, .. } = state;
            let inside = |(path, _): &(PathBuf, _)| path.parent() == Some(dir);
            for (path, inode) in unsynced_entries.iter().filter(|entry| inside(entry)).cloned() {
                match inode {
                    Some(inode) => durable_entries.insert(path, inode),
                    None => durable_entries.remove(&path),
                };
            }
            unsynced_entries.retain(|entry| !inside(entry));
            Ok(())
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        self.io("lock", path, |state| {
            state.begin()?;
            if state.locks.iter().any(|locked| locked == path) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            state.locks.push(path.to_owned());
            Ok(())
        })?;
        Ok(Box::new(SimLock { state: Arc::clone(&self.0), path: path.to_owned() }))
    }

    fn now(&self) -> i64 {
        let mut state = self.0.lock();
        state.clock += 1;
        state.clock
    }
}

impl State {
    fn set_entry(&mut self, path: &Path, inode: Option<usize>) {
        let before = match inode {
            Some(inode) => self.entries.insert(path.to_owned(), inode),
            None => self.entries.remove(path),
        };
        self.unsynced_entries.push((path.to_owned(), inode));
        if let Some(gone) = before.filter(|gone| !self.entries.values().any(|named| named == gone))
        {
            self.give_back(self.inodes[gone].current.len());
        }
    }

    fn set_length(&mut self, inode: usize, length: usize) {
        self.give_back(self.inodes[inode].current.len().saturating_sub(length));
        self.inodes[inode].change(Change::Length(length));
    }

    /// What is removed makes room.
    fn give_back(&mut self, bytes: usize) {
        self.space = self.space.map(|space| space + bytes);
    }

    /// How many of some bytes fit on the disk; only what extends a file takes space.
    fn fitting(&mut self, inode: usize, offset: usize, count: usize) -> usize {
        let within = self.inodes[inode].current.len().saturating_sub(offset).min(count);
        let Some(space) = &mut self.space else { return count };
        let fitting = count.min(within + *space);
        *space -= fitting - within.min(fitting);
        fitting
    }
}

fn reached_by_creating(path: &Path) {
    if path.extension().is_some_and(|extension| extension == "log") {
        recorder::reached(Reached::SegmentBegun);
    }
}

fn reached_by_removing(path: &Path) {
    if path.extension().is_some_and(|extension| extension == "run") {
        recorder::reached(Reached::Merged);
    }
}

fn reached_by_renaming(path: &Path) {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("idx") => recorder::reached(Reached::Sealed),
        Some("run") => recorder::reached(Reached::RunWritten),
        Some("log") => recorder::reached(Reached::Rewritten),
        _ => {}
    }
}

#[derive(Debug)]
struct SimLock {
    state: Arc<Mutex<State>>,
    path: PathBuf,
}

impl LockGuard for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.state.lock().locks.retain(|path| *path != self.path);
    }
}

#[derive(Debug)]
struct SimFile {
    disk: Disk,
    inode: usize,
    path: PathBuf,
}

impl SimFile {
    fn io<T>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        self.disk.io(what, &self.path, work)
    }

    fn is_log(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "log")
    }

    /// Whether its syncs are only said to have happened.
    fn is_lied_about(&self) -> bool {
        let extension = self.path.extension().unwrap_or_default();
        (self.is_log() && lie::is_told(Lie::SegmentSync))
            || (extension == "tmp" && lie::is_told(Lie::SyncBeforeRename))
    }
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

impl VfsFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.io("read", |state| {
            state.begin()?;
            if state.happens(Fault::Interrupt) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            state.may_fail(Fault::ReadError)?;
            let (mut inode, mut start) = (self.inode, at(offset));
            let length = state.inodes[inode].current.len();
            let mut count = buffer.len().min(length.saturating_sub(start)).min(MOST_READ);
            if count > 1 && state.happens(Fault::ShortRead) {
                count = state.random.usize(1..count);
            }
            if count > 0 && state.happens(Fault::Misdirected) {
                (inode, start) = state.elsewhere(inode, start);
            }
            let bytes = &state.inodes[inode].current;
            let there = count.min(bytes.len().saturating_sub(start));
            buffer[..count].fill(0);
            buffer[..there].copy_from_slice(&bytes[start.min(bytes.len())..][..there]);
            recorder::note(&[offset, count as u64, crc(&buffer[..count])], || {
                format!("    {count} of {} bytes at {offset}:", buffer.len())
            });
            Ok(count)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.io("write", |state| {
            state.change()?;
            if state.happens(Fault::Interrupt) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            state.may_fail(Fault::WriteError)?;
            let mut count = bytes.len();
            if count > 1 && state.happens(Fault::ShortWrite) {
                count = state.random.usize(1..count);
            }
            count = state.fitting(self.inode, at(offset), count);
            if count == 0 && !bytes.is_empty() {
                state.happened(Fault::Full);
                return Err(io::ErrorKind::StorageFull.into());
            }
            let written = bytes[..count].to_vec();
            if self.is_log() && written.iter().all(|byte| *byte == 0) {
                recorder::reached(Reached::Prepared);
            }
            recorder::note(&[offset, count as u64, crc(&written)], || {
                format!("    {count} of {} bytes at {offset}:", bytes.len())
            });
            state.forget_damage(self.inode, at(offset), &written);
            let change = Change::Write { offset: at(offset), bytes: written };
            state.inodes[self.inode].change(change);
            Ok(count)
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.io("set length", |state| {
            state.change()?;
            state.may_fail(Fault::WriteError)?;
            recorder::note(&[length], || format!("    to {length}:"));
            state.cut_damage(self.inode, at(length));
            state.set_length(self.inode, at(length));
            Ok(())
        })
    }

    fn length(&self) -> io::Result<u64> {
        self.io("length", |state| {
            state.begin()?;
            Ok(state.inodes[self.inode].current.len() as u64)
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.io("sync", |state| {
            state.change()?;
            let by_hand = state.failing_sync == Some(0);
            state.failing_sync = state.failing_sync.and_then(|others| others.checked_sub(1));
            if by_hand {
                state.inodes[self.inode].drop_pending();
            } else if state.happens(Fault::SyncError) {
                let State { inodes, random, .. } = state;
                inodes[self.inode].fail_sync(random);
            } else {
                if !self.is_lied_about() {
                    state.inodes[self.inode].sync();
                }
                return Ok(());
            }
            Err(io::Error::other("the device failed"))
        })
    }
}
