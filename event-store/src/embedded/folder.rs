use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::backup::{self, BackupError, Copied};
use super::cache::Cache;
use super::check::{self, Checked};
use super::error::OpenError;
use super::inspect::Finding;
use super::layout;
use super::open::Folder;
use super::salvage::{self, Salvage, Salvaged};
use super::summary::{self, StoreSummary};
use super::vfs::{RealVfs, Vfs};

/// Bytes of the log and of indexes to keep in memory.
const CACHE: u64 = 16 << 20;

/// The folder of a store, for those who look after it. Nothing here writes to it or takes its lock,
/// so all of it may be done while the store is open and written to. Everything blocks.
#[derive(Debug, Clone)]
pub struct StoreFolder(Folder);

impl StoreFolder {
    /// A folder of the operating system.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::with(Arc::new(RealVfs), path)
    }

    /// A folder with files and a clock other than the operating system's.
    pub fn with(vfs: Arc<dyn Vfs>, path: impl Into<PathBuf>) -> Self {
        Self(Folder::new(vfs, path.into(), Cache::new(CACHE)))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0.dir
    }

    /// Looks whether there is a store of a format that this build reads, without looking into it.
    ///
    /// # Errors
    /// There is none, and why.
    pub fn probe(&self) -> Result<(), OpenError> {
        layout::check_is_store(&*self.0.vfs, &self.0.dir)
    }

    /// Takes a backup of the store as it is now, in a folder of its own, or brings an earlier one
    /// there up to date: what is there already is not copied again. Every byte that is copied is
    /// checked and synced. `progress` is told of bytes copied and of all bytes to copy.
    ///
    /// A backup is a store's folder itself, without index files. One that was interrupted says so,
    /// and the next one into the same folder finishes it.
    ///
    /// # Errors
    /// The store cannot be read or is damaged; the other folder cannot be written to, or holds
    /// something else than a backup of this store.
    pub fn backup(
        &self,
        to: impl Into<PathBuf>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Copied, BackupError> {
        backup::backup(&self.0, &self.beside(to), progress)
    }

    /// Makes a store of this backup in an empty or new folder. Every byte is checked and synced.
    /// Until all of it is there, the folder cannot be opened as a store.
    ///
    /// # Errors
    /// This is not a backup, or it is unfinished, changed or damaged; the other folder is not empty
    /// or cannot be written to.
    pub fn restore(
        &self,
        to: impl Into<PathBuf>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Copied, BackupError> {
        backup::restore(&self.0, &self.beside(to), progress)
    }

    /// Checks every checksum, every index file against its segment, and what holds of all events:
    /// positions are dense, a stream's revisions contiguous from 0, times never decrease, no id
    /// comes twice. `found` is told of everything that is wrong, `progress` of bytes checked and of
    /// all bytes.
    ///
    /// In memory is one segment's index. What is compared over all segments goes to unnamed files in
    /// the folder for temporary files (24 bytes per event, and 40 per stream and segment), once
    /// there are more than a million events.
    ///
    /// # Errors
    /// The folder is not a store of this format, or cannot be read.
    pub fn check(
        &self,
        found: &mut dyn FnMut(Finding),
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Checked, OpenError> {
        check::check(&self.0, found, progress)
    }

    /// What the store holds, by its index files. Segments without one are read.
    ///
    /// # Errors
    /// The folder is not a store of this format, is damaged, or cannot be read.
    pub fn summary(&self) -> Result<StoreSummary, OpenError> {
        summary::summary(&self.0)
    }

    /// Reads everything that can still be read of a store, in order, and tells what cannot. `take`
    /// gets each event and each stretch that is lost.
    ///
    /// # Errors
    /// There are no segments, or `take` failed.
    pub fn salvage(
        &self,
        take: &mut dyn FnMut(Salvaged) -> std::io::Result<()>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Salvage, OpenError> {
        salvage::salvage(&self.0, take, progress)
    }

    /// Another folder of the same files.
    fn beside(&self, path: impl Into<PathBuf>) -> Folder {
        Folder::new(Arc::clone(&self.0.vfs), path.into(), self.0.cache.clone())
    }
}
