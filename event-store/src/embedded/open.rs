//! From a folder to segments: what is checked, rebuilt and cut off when a store is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::ReentrantMutex;

use super::cache::Cache;
use super::closed::Mode;
use super::error::{OpenError, is_full};
use super::format::{FrameHeader, SEGMENT_HEADER, SegmentHeader};
use super::index::MemoryIndex;
use super::runs::Run;
use super::scan::{self, Scan};
use super::segment::Segment;

use super::vfs::{OpenMode, Vfs, VfsFile};
use super::{bytes, compressed, layout};
use crate::lifetimes::{Changes, Lifetimes};
use crate::planted::{self, Bug};

/// The files of a store, for whoever opens or writes segments.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) dir: PathBuf,
    pub(crate) cache: Cache,
    /// Held by whoever changes the folder's entries.
    entries: Arc<ReentrantMutex<()>>,
}

/// The segments of a store in order with the runs over them, and the lifetimes of their streams.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    pub(crate) in_order: Vec<Arc<Segment>>,
    pub(crate) runs: Vec<Arc<Run>>,
    pub(crate) lifetimes: Lifetimes,
}

impl Folder {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, dir: PathBuf, cache: Cache) -> Self {
        Self { vfs, dir, cache, entries: Arc::default() }
    }

    /// Changes entries of the folder durably, one thread after another: a sync that fails may drop
    /// what others changed, too, and their own sync would say that all is well. A simulation, which
    /// plays several threads in one, is not held up.
    pub(crate) fn alone<T>(&self, change: impl FnOnce() -> T) -> T {
        let _alone = self.entries.lock();
        change()
    }

    /// Opens all segments; the last is the one to write to, and there always is one.
    pub(crate) fn open(&self) -> Result<Segments, OpenError> {
        let mut firsts = layout::segments(&*self.vfs, &self.dir)?;
        layout::check_format(&*self.vfs, &self.dir, firsts.is_empty())?;
        layout::tidy(&*self.vfs, &self.dir)?;
        let (mut active, mut empty) = (None, Vec::new());
        while active.is_none()
            && let Some(first) = firsts.pop()
        {
            active = self.last(first, empty.first().copied())?;
            if active.is_none() {
                empty.push(first);
            }
        }
        for first in empty {
            self.remove(first).map_err(OpenError::io("remove", &self.path(first)))?;
        }
        let end = active.as_ref().map(Segment::first);
        let mut segments = self.closed(&firsts, end, Mode::Mend)?;
        let active = match active {
            Some(segment) => segment,
            None => self.create(0).map_err(OpenError::io("create a segment in", &self.dir))?,
        };
        let mut changes = active.changes();
        if planted::is(Bug::EndedStreamWritten) {
            changes.clear();
        }
        self.take(&mut segments, Arc::new(active), changes)?;
        Ok(segments)
    }

    /// Makes a new segment, durably, with its entry in the folder.
    pub(crate) fn create(&self, first: u64) -> std::io::Result<Segment> {
        let salt = bytes::mix(self.vfs.now().cast_unsigned() ^ bytes::mix(first));
        let header = SegmentHeader { first, salt };
        let file = self.alone(|| {
            let file = self.vfs.open(&self.path(first), OpenMode::Create)?;
            file.write_all_at(&header.encode(), 0)?;
            file.sync()?;
            self.vfs.sync_dir(&self.dir)?;
            Ok::<_, std::io::Error>(file)
        })?;
        let length = SEGMENT_HEADER as u64;
        Ok(Segment::open(header, file, MemoryIndex::default(), length, self.cache.clone()))
    }

    /// Removes a segment that holds nothing.
    pub(crate) fn remove(&self, first: u64) -> std::io::Result<()> {
        self.alone(|| {
            self.vfs.remove(&self.path(first))?;
            self.vfs.sync_dir(&self.dir)
        })
    }

    pub(crate) fn path(&self, first: u64) -> PathBuf {
        self.dir.join(layout::segment(first))
    }

    /// The last segment, without what an unfinished write left at its end. `None` where it has
    /// no more than its header: it may have been given up for the one before, which is the last
    /// one then. Where one was `begun` after it, it was durable up to there.
    fn last(&self, first: u64, begun: Option<u64>) -> Result<Option<Segment>, OpenError> {
        let path = self.path(first);
        let file = self.vfs.open(&path, OpenMode::Write).map_err(OpenError::io("open", &path))?;
        let length = file.length().map_err(OpenError::io("measure", &path))?;
        if length <= SEGMENT_HEADER as u64 {
            return Ok(None);
        }
        if compressed::is_compressed(&file).map_err(OpenError::io("read", &path))? {
            let reason = "it is compressed, as no last segment is: those after it are missing";
            return Err(damaged(&path, 0, reason));
        }
        // A segment's header is durable before anything is written after it.
        let header = read_header(&file, &path, first)?;
        let scan = scan::scan(&file, header).map_err(OpenError::io("read", &path))?;
        let begun = begun.filter(|_| !planted::is(Bug::BegunUnheeded));
        if begun.is_some_and(|begun| header.first + (scan.index.count() as u64) < begun) {
            let (offset, flaw) = scan.flaw.unwrap_or((scan.end, "its last frames are missing"));
            return Err(damaged(&path, offset, flaw));
        }
        if planted::is(Bug::TornTailKept) && scan.flaw.is_some() {
            return Ok(Some(Segment::open(header, file, scan.index, length, self.cache.clone())));
        }
        cut(&file, &path, header, &scan)?;
        let length = vouch(&file, header, &scan).map_err(OpenError::io("write to", &path))?;
        Ok(Some(Segment::open(header, file, scan.index, length, self.cache.clone())))
    }

    /// Takes in the next segment, if it is that.
    pub(crate) fn take(
        &self,
        before: &mut Segments,
        segment: Arc<Segment>,
        changes: Changes,
    ) -> Result<(), OpenError> {
        let end = before.in_order.last().map_or(0, |segment| segment.end());
        if segment.first() == end {
            before.in_order.push(segment);
            before.lifetimes.extend(changes);
            return Ok(());
        }
        let reason = format!("it does not continue at position {end}: a segment is missing or cut");
        Err(damaged(&self.path(segment.first()), 0, &reason))
    }
}

/// Cuts off what is not a good frame, if nothing says that it ever was one.
fn cut(
    file: &Arc<dyn VfsFile>,
    path: &Path,
    header: SegmentHeader,
    scan: &Scan,
) -> Result<(), OpenError> {
    let Some((offset, flaw)) = scan.flaw else { return Ok(()) };
    let later = scan::frame_after(file, header, scan.end + 1);
    let later = later.map_err(OpenError::io("read", path))?.is_some();
    let unheeded =
        planted::is(Bug::DamageCutOff) || (planted::is(Bug::ZerosEndLog) && scan.is_unwritten());
    if later && !unheeded {
        return Err(damaged(path, offset, flaw));
    }
    // What is cut off is gone, so one reading of it is not enough.
    let again = scan::scan(file, header).map_err(OpenError::io("read", path))?;
    if again.end != scan.end && !planted::is(Bug::CutAtFirstSight) {
        return Err(damaged(path, offset.min(again.end), "it reads differently another time"));
    }
    if !scan.is_unwritten() {
        let length = file.length().map_err(OpenError::io("measure", path))?;
        tracing::warn!(
            segment = %path.display(), offset = scan.end, bytes = length - scan.end, reason = flaw,
            "cut off an unfinished write"
        );
    }
    file.set_len(scan.end).and_then(|()| file.sync()).map_err(OpenError::io("cut", path))
}

/// Makes a last frame durable for good, and follows it with an empty one that says so unless it is
/// one. It may be in the page cache only: its sync may never have happened, or have failed.
///
/// Returns the segment's length.
fn vouch(file: &Arc<dyn VfsFile>, header: SegmentHeader, scan: &Scan) -> std::io::Result<u64> {
    let Some(frame) = &scan.last else { return Ok(scan.end) };
    if planted::is(Bug::LastFrameUnsynced) || (scan.vouched && planted::is(Bug::EmptyFrameUnsynced))
    {
        return Ok(scan.end);
    }
    let bytes = file.read_vec_at(bytes::size(frame.end - frame.start), frame.start)?;
    if !scan::is_frame(&bytes, header, frame.start) {
        return Err(std::io::Error::other("its last frame reads differently another time"));
    }
    file.write_all_at(&bytes, frame.start)?;
    // Likewise its being the last: what was after it may have been cut off in the page cache only.
    file.set_len(frame.end)?;
    file.sync()?;
    if scan.vouched {
        return Ok(scan.end);
    }
    close(file, header, scan.end, header.first + scan.index.count() as u64)
}

/// Writes the empty frame that vouches for those before it. A full disk leaves it out.
///
/// Returns the segment's length.
pub(crate) fn close(
    file: &Arc<dyn VfsFile>,
    header: SegmentHeader,
    end: u64,
    next: u64,
) -> std::io::Result<u64> {
    let frame = FrameHeader { body: 0, count: 0, first: next };
    match file.write_all_at(&frame.encode(header.salt, end), end) {
        Ok(()) => {
            file.sync()?;
            Ok(end + frame.frame_len() as u64)
        }
        Err(error) if is_full(&error) => {
            file.set_len(end)?;
            file.sync()?;
            Ok(end)
        }
        Err(error) => Err(error),
    }
}

pub(crate) fn read_header(
    file: &Arc<dyn VfsFile>,
    path: &Path,
    first: u64,
) -> Result<SegmentHeader, OpenError> {
    let mut bytes = [0; SEGMENT_HEADER];
    match file.read_exact_at(&mut bytes, 0) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            return Err(damaged(path, 0, "the segment's header is cut off"));
        }
        read => read.map_err(OpenError::io("read", path))?,
    }
    let header = SegmentHeader::decode(&bytes).map_err(|flaw| damaged(path, 0, flaw))?;
    if header.first != first {
        return Err(damaged(path, 0, "the segment's header is that of another segment"));
    }
    Ok(header)
}

pub(crate) fn damaged(path: &Path, offset: u64, reason: &str) -> OpenError {
    OpenError::Damaged { segment: path.to_owned(), offset, reason: reason.into() }
}
