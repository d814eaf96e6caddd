//! The operating system's files, and what a careless engine would do with them: to show that the
//! suites notice.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use daybook_event_store::{LockGuard, OpenMode, RealVfs, Vfs, VfsFile};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Writes are answered before they are done.
    LateWrites,
    /// Files are never synced.
    NoSync,
    /// Syncs are answered before they are done.
    LateSync,
    /// Folders are never synced.
    NoFolderSync,
    /// An error of a sync is not told.
    SyncErrorsIgnored,
    /// An error of a write is not told.
    WriteErrorsIgnored,
}

impl Fault {
    const ALL: [Self; 6] = [
        Self::LateWrites,
        Self::NoSync,
        Self::LateSync,
        Self::NoFolderSync,
        Self::SyncErrorsIgnored,
        Self::WriteErrorsIgnored,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LateWrites => "late-writes",
            Self::NoSync => "no-sync",
            Self::LateSync => "late-sync",
            Self::NoFolderSync => "no-folder-sync",
            Self::SyncErrorsIgnored => "sync-errors-ignored",
            Self::WriteErrorsIgnored => "write-errors-ignored",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }
}

/// How long what is late takes.
const LATE: Duration = Duration::from_millis(20);

/// The operating system's files, with something wrong in segments, or with nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planted {
    fault: Option<Fault>,
}

impl Planted {
    pub(crate) fn new(fault: Option<Fault>) -> Self {
        Self { fault }
    }
}

impl Vfs for Planted {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealVfs.create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealVfs.list(dir)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        let file = RealVfs.open(path, mode)?;
        // A suite that finds nothing wrong has looked at the engine's own files.
        Ok(match self.fault {
            Some(fault) if path.extension().is_some_and(|extension| extension == "log") => {
                Arc::new(PlantedFile { file, fault })
            }
            _ => file,
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealVfs.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealVfs.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if self.fault == Some(Fault::NoFolderSync) { Ok(()) } else { RealVfs.sync_dir(dir) }
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        RealVfs.lock(path)
    }

    fn now(&self) -> i64 {
        RealVfs.now()
    }
}

#[derive(Debug)]
struct PlantedFile {
    file: Arc<dyn VfsFile>,
    fault: Fault,
}

impl PlantedFile {
    fn later(&self, work: impl FnOnce(&dyn VfsFile) + Send + 'static) {
        let file = Arc::clone(&self.file);
        thread::spawn(move || {
            thread::sleep(LATE);
            work(&*file);
        });
    }
}

impl VfsFile for PlantedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        match self.fault {
            Fault::LateWrites => {
                let written = bytes.to_vec();
                self.later(move |file| drop(file.write_at(&written, offset)));
                Ok(bytes.len())
            }
            Fault::WriteErrorsIgnored => {
                Ok(self.file.write_at(bytes, offset).unwrap_or(bytes.len()))
            }
            _ => self.file.write_at(bytes, offset),
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn sync(&self) -> io::Result<()> {
        match self.fault {
            Fault::NoSync => Ok(()),
            Fault::LateSync => {
                self.later(|file| drop(file.sync()));
                Ok(())
            }
            Fault::SyncErrorsIgnored => self.file.sync().or(Ok(())),
            _ => self.file.sync(),
        }
    }
}
