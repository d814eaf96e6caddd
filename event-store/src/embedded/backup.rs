//! Copies of a store: taken while it is written to, and put back.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use super::bytes::size;
use super::cache::Io;
use super::error::{Fault, OpenError};
use super::format::FORMAT;
use super::layout::BACKUP_FILE;
use super::open::{self, Folder};
use super::rewrite::Temporary;
use super::segment::Segment;
use super::vfs::{OpenMode, VfsFile};
use super::{compressed, layout, scan};
use crate::ReadError;
use crate::planted::{self, Bug};

/// Copied at a time.
const CHUNK: u64 = 1 << 20;

/// What a backup holds. It is in the backup's file `BACKUP`, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// The format of the store.
    pub format: u32,
    /// Whether everything is there. A backup that was interrupted is finished by the next one.
    pub complete: bool,
    /// When it was begun: microseconds since 1970-01-01T00:00:00Z.
    pub taken_at: i64,
    /// How many events it has: those of all positions below.
    pub events: u64,
    /// The id of its last event, by which the next backup knows the store again.
    pub head_id: Option<Uuid>,
    /// Bytes of its segments.
    pub bytes: u64,
    /// Its segments, in order.
    pub segments: Vec<BackupSegment>,
}

/// A segment in a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSegment {
    /// The position of its first event, by which its file is named.
    pub first: u64,
    /// The number that tells its file from others of that name.
    pub salt: u64,
    /// The file's length.
    pub bytes: u64,
}

/// What a backup or a restoration did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// What the backup holds.
    pub backup: Backup,
    /// Bytes of segments that were copied; the others were there already.
    pub bytes: u64,
}

/// Why a backup was not taken, or not put back.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The store, or the folder of the copy, cannot be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// An event of the store cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// The backup is to go where something else is.
    #[error("{path} holds something that is not a backup: choose an empty folder")]
    NotABackup {
        /// The folder.
        path: PathBuf,
    },
    /// The backup holds what the store does not.
    #[error(
        "the backup in {path} is not of this store, or has events that the store has lost: choose \
         another folder"
    )]
    Foreign {
        /// The backup's folder.
        path: PathBuf,
    },
    /// Somebody changed the backup.
    #[error(
        "{file} is not as the backup left it: choose another folder for backups, and restore from \
         another backup"
    )]
    Changed {
        /// The file.
        file: PathBuf,
    },
    /// There is no backup to put back.
    #[error("{path} is not a backup: it has no file {BACKUP_FILE}")]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// The file that describes the backup cannot be understood.
    #[error("{file} cannot be understood: {reason}")]
    Manifest {
        /// The file.
        file: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The backup was interrupted.
    #[error("the backup in {path} is unfinished: take it again, into the same folder")]
    Unfinished {
        /// The backup's folder.
        path: PathBuf,
    },
    /// A store is only restored to where nothing is.
    #[error("{path} is not empty: restore to a new or empty folder")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
}

/// Is told of bytes done and of all bytes.
pub(crate) type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Takes a backup of a store, or brings it up to date.
pub(crate) fn backup(
    from: &Folder,
    to: &Folder,
    progress: Progress<'_>,
) -> Result<Copied, BackupError> {
    let store = Store::look(from)?;
    let _lock = layout::lock(&*to.vfs, &to.dir)?;
    check_target(&store, to)?;
    layout::tidy(&*to.vfs, &to.dir)?;
    let mut backup = store.describe(to.vfs.now())?;
    write_manifest(to, &backup)?;
    let (segments, bytes) = copy_all(&store.sources, to, progress)?;
    layout::check_format(&*to.vfs, &to.dir, true)?;
    backup.bytes = segments.iter().map(|segment| segment.bytes).sum();
    backup = Backup { complete: true, segments, ..backup };
    write_manifest(to, &backup)?;
    Ok(Copied { backup, bytes })
}

/// Makes a store of a backup. The store is there once its file `FORMAT` is, which comes last.
pub(crate) fn restore(
    from: &Folder,
    to: &Folder,
    progress: Progress<'_>,
) -> Result<Copied, BackupError> {
    let missing = || BackupError::Missing { path: from.dir.clone() };
    let backup = read_manifest(from)?.ok_or_else(missing)?;
    if !backup.complete {
        return Err(BackupError::Unfinished { path: from.dir.clone() });
    }
    check_unchanged(from, &backup)?;
    check_empty(to)?;
    let _lock = layout::lock(&*to.vfs, &to.dir)?;
    let firsts = backup.segments.iter().map(|segment| segment.first);
    let sources: Vec<_> = Source::all(from, firsts, backup.events).collect();
    let (_, bytes) = copy_all(&sources, to, progress)?;
    layout::check_format(&*to.vfs, &to.dir, true)?;
    Ok(Copied { backup, bytes })
}

fn check_empty(folder: &Folder) -> Result<(), BackupError> {
    match folder.vfs.list(&folder.dir) {
        Ok(names) if !names.is_empty() => Err(BackupError::NotEmpty { path: folder.dir.clone() }),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(OpenError::io("list", &folder.dir)(error).into())
        }
        _ => Ok(()),
    }
}

/// Checks that a folder is one for backups of this store: without a store, or with an earlier
/// backup.
fn check_target(store: &Store<'_>, to: &Folder) -> Result<(), BackupError> {
    let Some(before) = read_manifest(to)? else {
        let there = layout::segments(&*to.vfs, &to.dir)?;
        let is_store = layout::check_is_store(&*to.vfs, &to.dir).is_ok();
        return if there.is_empty() && !is_store {
            Ok(())
        } else {
            Err(BackupError::NotABackup { path: to.dir.clone() })
        };
    };
    if before.complete {
        check_unchanged(to, &before)?;
    }
    match before.events.checked_sub(1) {
        Some(last) if store.id_at(last)? != before.head_id => {
            Err(BackupError::Foreign { path: to.dir.clone() })
        }
        _ => Ok(()),
    }
}

/// Checks that the segments of a finished backup are those that it says.
fn check_unchanged(folder: &Folder, backup: &Backup) -> Result<(), BackupError> {
    let there = layout::segments(&*folder.vfs, &folder.dir)?;
    let listed: Vec<_> = backup.segments.iter().map(|segment| segment.first).collect();
    let stray = there.iter().find(|first| !listed.contains(first));
    let as_listed = |segment: &&BackupSegment| {
        on_disk(folder, segment.first).is_ok_and(|(there, _)| there == **segment)
    };
    let changed = backup.segments.iter().find(|segment| !as_listed(segment));
    match stray.copied().or(changed.map(|segment| segment.first)) {
        Some(first) => Err(BackupError::Changed { file: folder.path(first) }),
        None => Ok(()),
    }
}

/// A segment's file as it is.
fn on_disk(folder: &Folder, first: u64) -> Result<(BackupSegment, Arc<dyn VfsFile>), OpenError> {
    let path = folder.path(first);
    let file = folder.vfs.open(&path, OpenMode::Read).map_err(OpenError::io("open", &path))?;
    let bytes = file.length().map_err(OpenError::io("measure", &path))?;
    let plain = compressed::read(Arc::clone(&file)).map_err(OpenError::io("open", &path))?.file;
    let salt = open::read_header(&plain, &path, first)?.salt;
    Ok((BackupSegment { first, salt, bytes }, file))
}

/// A segment to be copied.
struct Source<'a> {
    folder: &'a Folder,
    first: u64,
    /// The position after its last event.
    end: u64,
    /// The last segment, of which as much is copied as is good. The others are opened when it is
    /// their turn.
    last: Option<Arc<Segment>>,
}

impl<'a> Source<'a> {
    /// Neighbouring segments, of which the last has its last event before `end`.
    fn all(
        folder: &'a Folder,
        firsts: impl Iterator<Item = u64> + Clone,
        end: u64,
    ) -> impl Iterator<Item = Self> {
        let ends = firsts.clone().skip(1).chain([end]);
        firsts.zip(ends).map(move |(first, end)| Self { folder, first, end, last: None })
    }

    fn open(&self) -> Result<(BackupSegment, Arc<dyn VfsFile>), OpenError> {
        let Some(last) = &self.last else { return on_disk(self.folder, self.first) };
        let (salt, bytes) = (last.header.salt, last.length());
        Ok((BackupSegment { first: self.first, salt, bytes }, Arc::clone(&last.file)))
    }
}

/// A store as it is at one moment.
struct Store<'a> {
    folder: &'a Folder,
    sources: Vec<Source<'a>>,
}

impl<'a> Store<'a> {
    fn look(folder: &'a Folder) -> Result<Self, OpenError> {
        let (closed, last) = folder.glance()?;
        let Some(last) = last else { return Ok(Self { folder, sources: Vec::new() }) };
        let last = last.segment(folder);
        let (first, end) = (last.first(), last.end());
        let closed = Source::all(folder, closed.into_iter(), first);
        let sources = closed.chain([Source { folder, first, end, last: Some(last) }]);
        Ok(Self { folder, sources: sources.collect() })
    }

    fn describe(&self, taken_at: i64) -> Result<Backup, BackupError> {
        let events = self.sources.last().map_or(0, |source| source.end);
        let head_id = match events.checked_sub(1) {
            Some(last) => self.id_at(last)?,
            None => None,
        };
        let (bytes, segments) = (0, Vec::new());
        Ok(Backup { format: FORMAT, complete: false, taken_at, events, head_id, bytes, segments })
    }

    /// The id of the event at a position, if there is one.
    fn id_at(&self, position: u64) -> Result<Option<Uuid>, BackupError> {
        let within = |source: &&Source<'_>| (source.first..source.end).contains(&position);
        let Some(source) = self.sources.iter().find(within) else { return Ok(None) };
        let segment = match &source.last {
            Some(last) => Arc::clone(last),
            None => Arc::new(self.folder.closed_as_it_is(source.first)?.0),
        };
        let event = segment.event(position, Io::Allowed).map_err(Fault::into_read_error)?;
        Ok(Some(event.id))
    }
}

/// Copies those segments that are not there already, each whole or not at all. Returns what is
/// there then, and how many bytes were copied.
fn copy_all(
    sources: &[Source<'_>],
    to: &Folder,
    progress: Progress<'_>,
) -> Result<(Vec<BackupSegment>, u64), BackupError> {
    let (mut missing, mut total) = (Vec::new(), 0);
    for source in sources {
        let (segment, _) = source.open()?;
        if !on_disk(to, source.first).is_ok_and(|(there, _)| there == segment) {
            missing.push(source);
            total += segment.bytes;
        }
    }
    let mut done = 0;
    for source in missing {
        copy(source, to, &mut |bytes| {
            done += bytes;
            progress(done, total);
        })?;
    }
    let there = sources.iter().map(|source| Ok(on_disk(to, source.first)?.0));
    Ok((there.collect::<Result<_, OpenError>>()?, done))
}

/// Copies a segment, and checks every byte of the copy before it gets its name.
fn copy(source: &Source<'_>, to: &Folder, copied: &mut dyn FnMut(u64)) -> Result<(), OpenError> {
    let (from, path) = (source.folder.path(source.first), to.path(source.first));
    let (BackupSegment { bytes, .. }, file) = source.open()?;
    let created = Temporary::create(to, source.first);
    let (temporary, copy) = created.map_err(OpenError::io("create a copy of", &path))?;
    let mut at = 0;
    while at < bytes {
        let length = CHUNK.min(bytes - at);
        let chunk = file.read_vec_at(size(length), at).map_err(OpenError::io("read", &from))?;
        copy.write_all_at(&chunk, at).map_err(OpenError::io("write", &path))?;
        at += length;
        copied(length);
    }
    if !planted::is(Bug::BackupUnsynced) {
        copy.sync().map_err(OpenError::io("sync", &path))?;
    }
    check_copy(source, &from, copy)?;
    temporary.install().map_err(OpenError::io("rename a copy to", &path))
}

fn check_copy(source: &Source<'_>, path: &Path, copy: Arc<dyn VfsFile>) -> Result<(), OpenError> {
    let file = compressed::read(copy).map_err(OpenError::io("read a copy of", path))?.file;
    let header = open::read_header(&file, path, source.first)?;
    let scan = scan::scan(&file, header).map_err(OpenError::io("read a copy of", path))?;
    if let Some((offset, flaw)) = scan.flaw {
        return Err(open::damaged(path, offset, flaw));
    }
    let end = source.first + scan.index.count() as u64;
    if end != source.end {
        let reason = format!("it ends before position {end}, and should before {}", source.end);
        return Err(open::damaged(path, scan.end, &reason));
    }
    Ok(())
}

fn read_manifest(folder: &Folder) -> Result<Option<Backup>, BackupError> {
    let file = folder.dir.join(BACKUP_FILE);
    let read = || {
        let file = folder.vfs.open(&file, OpenMode::Read)?;
        file.read_vec_at(size(file.length()?), 0)
    };
    let bytes = match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(OpenError::io("read", &file))?,
    };
    let backup = serde_json::from_slice(&bytes);
    backup.map(Some).map_err(|error| BackupError::Manifest { file, reason: error.to_string() })
}

fn write_manifest(folder: &Folder, backup: &Backup) -> Result<(), BackupError> {
    let file = folder.dir.join(BACKUP_FILE);
    let bytes = serde_json::to_vec_pretty(backup).map_err(io::Error::from);
    let written = bytes.and_then(|b| layout::replace(&*folder.vfs, &folder.dir, BACKUP_FILE, &b));
    written.map_err(OpenError::io("write", &file))?;
    Ok(())
}
