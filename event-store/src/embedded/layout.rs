//! The folder: names of files, the format file, the lock.

use std::cmp::Reverse;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::error::OpenError;
use super::format::FORMAT;
use super::open::Folder;
use super::vfs::{LockGuard, OpenMode, Vfs, VfsFile};
use crate::planted::{self, Bug};

const FORMAT_FILE: &str = "FORMAT";
/// How far a scavenge has come.
pub(crate) const SCAVENGE_FILE: &str = "SCAVENGE";
/// The file that makes a folder a backup, and says of what.
pub(crate) const BACKUP_FILE: &str = "BACKUP";
const LOCK_FILE: &str = "LOCK";
const FORMAT_LINE: &str = "daybook event store, format ";
const TEMPORARY: &str = ".tmp";

/// The name of the segment that begins at a position.
pub(crate) fn segment(first: u64) -> String {
    format!("{first:020}.log")
}

/// The name of that segment's index.
pub(crate) fn index(first: u64) -> String {
    format!("{first:020}.idx")
}

/// The name of a file while it is written, before it takes another's place.
pub(crate) fn temporary(name: &str) -> String {
    format!("{name}{TEMPORARY}")
}

/// The name of the run of these positions.
pub(crate) fn run(positions: &Range<u64>) -> String {
    format!("{:020}-{:020}.run", positions.start, positions.end)
}

/// The positions in a run's name.
fn run_positions(name: &str) -> Option<Range<u64>> {
    let (start, end) = name.strip_suffix(".run")?.split_once('-')?;
    let positions = start.parse().ok()?..end.parse().ok()?;
    (run(&positions) == name).then_some(positions)
}

/// The positions of the runs in a folder, in order, of those that begin together the longest first.
pub(crate) fn runs(vfs: &dyn Vfs, dir: &Path) -> Result<Vec<Range<u64>>, OpenError> {
    let names = vfs.list(dir).map_err(OpenError::io("list", dir))?;
    let mut runs: Vec<_> = names.iter().filter_map(|name| run_positions(name)).collect();
    runs.sort_unstable_by_key(|run| (run.start, Reverse(run.end)));
    Ok(runs)
}

/// The first positions of the segments in a folder, in order.
pub(crate) fn segments(vfs: &dyn Vfs, dir: &Path) -> Result<Vec<u64>, OpenError> {
    let names = vfs.list(dir).map_err(OpenError::io("list", dir))?;
    let first = |name: &String| first(name, segment, ".log");
    let mut segments: Vec<_> = names.iter().filter_map(first).collect();
    segments.sort_unstable();
    Ok(segments)
}

/// Removes the files of a store or a backup that were left half-written. After a power failure one
/// may also be another name of a file that is whole, and must not be written to.
pub(crate) fn tidy(vfs: &dyn Vfs, dir: &Path) -> Result<(), OpenError> {
    let names = vfs.list(dir).map_err(OpenError::io("list", dir))?;
    let half = |name: &&String| {
        name.strip_suffix(TEMPORARY).is_some_and(|name| {
            let first = || first(name, index, ".idx").or_else(|| first(name, segment, ".log"));
            [SCAVENGE_FILE, BACKUP_FILE].contains(&name)
                || first().is_some()
                || run_positions(name).is_some()
        })
    };
    for name in names.iter().filter(half) {
        let path = dir.join(name);
        vfs.remove(&path).map_err(OpenError::io("remove", &path))?;
    }
    Ok(())
}

/// The first position in a file's name, if the file has exactly the name of that position.
fn first(name: &str, name_of: fn(u64) -> String, suffix: &str) -> Option<u64> {
    let first = name.strip_suffix(suffix)?.parse().ok()?;
    (name_of(first) == name).then_some(first)
}

/// Writes a file whole and durably, in place of what had its name: either is there after a crash.
pub(crate) fn replace(
    vfs: &dyn Vfs,
    dir: &Path,
    name: &str,
    bytes: &[u8],
) -> io::Result<Arc<dyn VfsFile>> {
    let path = dir.join(temporary(name));
    let write = || {
        let file = vfs.open(&path, OpenMode::Create)?;
        file.write_all_at(bytes, 0)?;
        file.sync()?;
        vfs.rename(&path, &dir.join(name))?;
        Ok(file)
    };
    let file = write().inspect_err(|_: &io::Error| {
        // What was written is in the way, most of all on a full disk.
        let _ = vfs.remove(&path);
    })?;
    vfs.sync_dir(dir)?;
    Ok(file)
}

/// A file that is to take a name, in place of what has it, once it is written.
#[derive(Debug)]
pub(crate) struct Draft {
    folder: Folder,
    name: String,
    published: bool,
}

impl Draft {
    pub(crate) fn create(folder: &Folder, name: String) -> io::Result<(Self, Arc<dyn VfsFile>)> {
        let file = folder.vfs.open(&folder.dir.join(temporary(&name)), OpenMode::Create)?;
        Ok((Self { folder: folder.clone(), name, published: false }, file))
    }

    /// Gives the file, which must be synced, its name.
    pub(crate) fn publish(mut self) -> io::Result<()> {
        let Folder { vfs, dir, .. } = &self.folder;
        self.folder.alone(|| {
            vfs.rename(&dir.join(temporary(&self.name)), &dir.join(&self.name))?;
            self.published = true;
            vfs.sync_dir(dir)
        })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            // What was written is in the way, most of all on a full disk. If it stays, the next
            // opening removes it.
            let Folder { vfs, dir, .. } = &self.folder;
            let _ = vfs.remove(&dir.join(temporary(&self.name)));
        }
    }
}

/// Makes the folder, and locks it against everybody else.
pub(crate) fn lock(vfs: &dyn Vfs, dir: &Path) -> Result<Box<dyn LockGuard>, OpenError> {
    vfs.create_dir_all(dir).map_err(OpenError::io("create", dir))?;
    let path = dir.join(LOCK_FILE);
    let guard = vfs.lock(&path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => {
            let id = read(vfs, &path).ok().filter(|id| !id.is_empty());
            let holder = id.map(|id| format!(" by process {id}")).unwrap_or_default();
            OpenError::Locked { path: dir.to_owned(), holder }
        }
        _ => OpenError::io("lock", &path)(error),
    })?;
    // Who holds the lock is told to people; without it the lock is as good.
    if let Ok(file) = vfs.open(&path, OpenMode::Write) {
        let id = std::process::id().to_string();
        let written = file.set_len(0).and_then(|()| file.write_all_at(id.as_bytes(), 0));
        written.unwrap_or_else(|error| tracing::debug!(%error, "cannot write the lock's holder"));
    }
    Ok(guard)
}

/// Checks that the folder is a store of a format that this build reads, or makes it one.
pub(crate) fn check_format(vfs: &dyn Vfs, dir: &Path, empty: bool) -> Result<(), OpenError> {
    let path = dir.join(FORMAT_FILE);
    let not_a_store =
        |reason: &str| OpenError::NotAStore { path: dir.to_owned(), reason: reason.into() };
    let text = match read(vfs, &path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && empty => {
            return create_format(vfs, dir).map_err(OpenError::io("create", &path));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(not_a_store("there are segments, but the file FORMAT is missing"));
        }
        text => text.map_err(OpenError::io("read", &path))?,
    };
    let format = text.strip_prefix(FORMAT_LINE).and_then(|format| format.trim_end().parse().ok());
    match format {
        Some(found) if found > FORMAT => {
            Err(OpenError::NewerFormat { path: dir.to_owned(), found })
        }
        Some(found) if found < FORMAT => {
            Err(OpenError::OlderFormat { path: dir.to_owned(), found })
        }
        // Whoever made it may have ended before it was durable.
        Some(_) if empty && !planted::is(Bug::FormatUnsynced) => {
            sync_folder(vfs, dir).map_err(OpenError::io("sync", dir))
        }
        Some(_) => Ok(()),
        None => Err(not_a_store("its file FORMAT does not say so")),
    }
}

/// Checks that the folder is a store of a format that this build reads; makes nothing.
pub(crate) fn check_is_store(vfs: &dyn Vfs, dir: &Path) -> Result<(), OpenError> {
    let not_a_store =
        |reason: &str| OpenError::NotAStore { path: dir.to_owned(), reason: reason.into() };
    match vfs.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(not_a_store("there is no such folder"))
        }
        Ok(names) if !names.iter().any(|name| name == FORMAT_FILE) => {
            Err(not_a_store("it has no file FORMAT"))
        }
        Ok(_) => check_format(vfs, dir, false),
        Err(error) => Err(OpenError::io("list", dir)(error)),
    }
}

fn create_format(vfs: &dyn Vfs, dir: &Path) -> io::Result<()> {
    replace(vfs, dir, FORMAT_FILE, format!("{FORMAT_LINE}{FORMAT}\n").as_bytes())?;
    sync_folder(vfs, dir)
}

/// Makes the entries of a folder durable, and its own, which may be new.
fn sync_folder(vfs: &dyn Vfs, dir: &Path) -> io::Result<()> {
    vfs.sync_dir(dir)?;
    match dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => vfs.sync_dir(parent),
        None => vfs.sync_dir(Path::new(".")),
    }
}

fn read(vfs: &dyn Vfs, path: &Path) -> io::Result<String> {
    let file = vfs.open(path, OpenMode::Read)?;
    let length = file.length()?.min(256);
    let bytes = file.read_vec_at(usize::try_from(length).unwrap_or_default(), 0)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
