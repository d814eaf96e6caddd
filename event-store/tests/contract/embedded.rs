use std::future::{Ready, ready};
use std::io;
use std::path::Path;
use std::sync::Arc;

use daybook_event_store::{
    EmbeddedOptions, EmbeddedStore, LockGuard, OpenMode, RealVfs, Vfs, VfsFile,
};
use tempfile::TempDir;

use crate::suite::LIMITS;
use crate::suite::timed::{Clock, Timed};

/// The operating system's files, and a clock of its own.
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

fn timed(options: &EmbeddedOptions) -> Ready<(Timed<EmbeddedStore>, TempDir)> {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::new());
    let options = EmbeddedOptions { limits: LIMITS, ..options.clone() };
    let vfs = Arc::new(Clocked(clock.clone()));
    let store = EmbeddedStore::open_with(vfs, dir.path(), &options).unwrap();
    ready((Timed { store, clock }, dir))
}

fn open(options: &EmbeddedOptions) -> Ready<(EmbeddedStore, TempDir)> {
    let dir = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { limits: LIMITS, ..options.clone() };
    ready((EmbeddedStore::open(dir.path(), &options).unwrap(), dir))
}

mod with_defaults {
    use super::{EmbeddedOptions, EmbeddedStore, Ready, TempDir, Timed, open, timed};
    use crate::suite;

    fn store() -> Ready<(EmbeddedStore, TempDir)> {
        open(&EmbeddedOptions::default())
    }

    fn timed_store() -> Ready<(Timed<EmbeddedStore>, TempDir)> {
        timed(&EmbeddedOptions::default())
    }

    suite::for_each_rule!(test_each!(store));
    suite::for_each_exact_rule!(test_each!(store));
    suite::for_each_local_rule!(test_each!(store));
    suite::for_each_atomic_rule!(test_each!(store));
    suite::for_each_timed_rule!(test_each!(timed_store));
}

/// Nearly every append begins a segment, and next to nothing is cached.
mod with_small_segments {
    use super::{EmbeddedOptions, EmbeddedStore, Ready, TempDir, Timed, open, timed};
    use crate::suite;

    fn options() -> EmbeddedOptions {
        EmbeddedOptions { segment_bytes: 4_096, cache_bytes: 10_000, ..Default::default() }
    }

    fn store() -> Ready<(EmbeddedStore, TempDir)> {
        open(&options())
    }

    fn timed_store() -> Ready<(Timed<EmbeddedStore>, TempDir)> {
        timed(&options())
    }

    suite::for_each_rule!(test_each!(store));
    suite::for_each_exact_rule!(test_each!(store));
    suite::for_each_local_rule!(test_each!(store));
    suite::for_each_atomic_rule!(test_each!(store));
    suite::for_each_timed_rule!(test_each!(timed_store));
}
