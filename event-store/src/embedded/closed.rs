//! The segments before the last as they are opened: by their indexes and runs, which are made anew
//! where there are no good ones.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::cache::Io;
use super::compressed::{self, Opened};
use super::error::{Fault, OpenError};
use super::format::SegmentHeader;
use super::groups::Groups;
use super::index::{self, Lists, MemoryIndex, SealedIndex};
use super::layout::{self, Draft};
use super::open::{self, Folder, Segments};
use super::runs::{self, Run};
use super::scan;
use super::segment::Segment;
use super::snapshot::Snapshot;
use super::vfs::OpenMode;
use crate::ReadError;
use crate::lifetimes::Changes;

/// Whether index files may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// What is missing or damaged is made anew, and what is left over removed.
    Mend,
    /// Nothing is written: indexes that are missing are in memory.
    Look,
}

/// Why a segment could not be opened.
enum Obstacle {
    /// The last run does not fit the segments that it says it is over.
    Run,
    Other(OpenError),
}

impl From<OpenError> for Obstacle {
    fn from(error: OpenError) -> Self {
        Self::Other(error)
    }
}

impl Folder {
    /// Opens the segments that begin at these positions, none of which is written to any more; the
    /// next one begins at `end`.
    pub(crate) fn closed(
        &self,
        firsts: &[u64],
        end: Option<u64>,
        mode: Mode,
    ) -> Result<Segments, OpenError> {
        let found = layout::runs(&*self.vfs, &self.dir)?;
        let mut runs = found.clone();
        let closed = loop {
            let mut opening =
                Opening { folder: self, mode, runs: &mut runs, closed: Segments::default() };
            match opening.open(firsts, end) {
                Ok(()) => break opening.closed,
                Err(Obstacle::Other(error)) => return Err(error),
                Err(Obstacle::Run) => {
                    let Some(run) = opening.closed.runs.pop() else { continue };
                    tracing::warn!(
                        run = layout::run(&run.positions),
                        "a run does not fit its segments"
                    );
                    runs.retain(|positions| *positions != run.positions);
                }
            }
        };
        if mode == Mode::Mend {
            let used = |run: &Range<u64>| closed.runs.iter().any(|used| used.positions == *run);
            found.iter().filter(|run| !used(run)).for_each(|run| self.remove_run(run));
        }
        Ok(closed)
    }

    /// Removes a run that is not used any more. One that stays is removed at the next opening.
    pub(crate) fn remove_run(&self, positions: &Range<u64>) {
        let name = layout::run(positions);
        match self.vfs.remove(&self.dir.join(&name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, run = name, "cannot remove a run");
            }
            _ => {}
        }
    }

    /// The index file of a segment, if it has a good one.
    pub(crate) fn index(
        &self,
        header: SegmentHeader,
        length: u64,
    ) -> Option<(SealedIndex, Changes)> {
        let opened = self.open_index(header, length);
        let damaged = |fault: &Fault| matches!(fault, Fault::Read(ReadError::Damaged { .. }));
        if let Err(fault) = &opened
            && damaged(fault)
        {
            tracing::warn!(?fault, "the index of a segment is not usable");
        }
        opened.ok()
    }

    /// Opens the index file of a segment.
    pub(crate) fn open_index(
        &self,
        header: SegmentHeader,
        length: u64,
    ) -> Result<(SealedIndex, Changes), Fault> {
        let name = layout::index(header.first);
        let file = self.vfs.open(&self.dir.join(&name), OpenMode::Read);
        let file = file.map_err(|error| Fault::io(&name, 0, &error))?;
        SealedIndex::open(file, name, self.cache.clone(), (header, length))
    }

    /// Writes the index file of a segment, durably, and opens it.
    pub(crate) fn write_index(
        &self,
        index: &MemoryIndex,
        lists: &Lists,
        segment: (SegmentHeader, u64),
    ) -> io::Result<SealedIndex> {
        let name = layout::index(segment.0.first);
        let (draft, file) = Draft::create(self, name.clone())?;
        index::write(file, index, lists, segment)?;
        draft.publish()?;
        let file = self.vfs.open(&self.dir.join(&name), OpenMode::Read)?;
        Ok(SealedIndex::open(file, name, self.cache.clone(), segment)?.0)
    }
}

/// What opens segments, oldest first.
struct Opening<'a> {
    folder: &'a Folder,
    mode: Mode,
    /// The runs that may be used.
    runs: &'a mut Vec<Range<u64>>,
    closed: Segments,
}

/// A segment's file.
struct File {
    opened: Opened,
    header: SegmentHeader,
    length: u64,
}

impl Opening<'_> {
    fn open(&mut self, firsts: &[u64], end: Option<u64>) -> Result<(), Obstacle> {
        let ends = firsts.iter().skip(1).copied().map(Some).chain([end]);
        for (first, end) in firsts.iter().zip(ends) {
            self.add(*first, end)?;
        }
        let end = self.closed.in_order.last().map_or(0, |segment| segment.end());
        match self.closed.runs.last() {
            Some(run) if run.positions.end > end => Err(Obstacle::Run),
            _ => Ok(()),
        }
    }

    fn add(&mut self, first: u64, end: Option<u64>) -> Result<(), Obstacle> {
        let path = self.folder.path(first);
        let opened = compressed::open(&*self.folder.vfs, &path);
        let opened = opened.map_err(OpenError::io("open", &path))?;
        let length = opened.file.length().map_err(OpenError::io("measure", &path))?;
        let header = open::read_header(&opened.file, &path, first)?;
        let file = File { opened, header, length };
        let covered = self.cover(first)?;
        let (segment, changes) = match (self.folder.index(header, length), covered) {
            (Some((index, changes)), Some(digest)) if index.digest() == digest => {
                (file.sealed(index, self.folder), changes)
            }
            (Some(_), Some(_)) => return Err(Obstacle::Run),
            (index, covered) => self.mend((file, end), index.map(|(index, _)| index), covered)?,
        };
        let run_end = self.closed.runs.last().map_or(0, |run| run.positions.end);
        if covered.is_some() && run_end < segment.end() {
            return Err(Obstacle::Run);
        }
        self.folder.take(&mut self.closed, Arc::new(segment), changes)?;
        Ok(())
    }

    /// What the run over a segment knows as the digest of its index; `None` where there is no run.
    fn cover(&mut self, first: u64) -> Result<Option<u64>, Obstacle> {
        if self.closed.runs.last().is_none_or(|run| run.positions.end <= first) {
            while let Some(positions) = self.runs.iter().find(|run| run.start == first).cloned() {
                match Run::open(self.folder, positions.clone()) {
                    Ok(run) => {
                        self.closed.runs.push(Arc::new(run));
                        break;
                    }
                    Err(fault) => self.pass_over(&positions, fault)?,
                }
            }
        }
        let Some(run) = self.closed.runs.last().filter(|run| first < run.positions.end) else {
            return Ok(None);
        };
        let part = run.parts.binary_search_by_key(&first, |part| part.first);
        part.map(|part| Some(run.parts[part].digest)).map_err(|_| Obstacle::Run)
    }

    /// Goes on without a run that is not usable.
    fn pass_over(&mut self, positions: &Range<u64>, fault: Fault) -> Result<(), OpenError> {
        let name = layout::run(positions);
        let error = fault.into_read_error();
        if self.mode == Mode::Look && matches!(error, ReadError::Unavailable { .. }) {
            // It was merged with others meanwhile: the folder has to be looked at again.
            let path = self.folder.dir.join(name);
            return Err(OpenError::io("open", &path)(io::Error::other(error)));
        }
        tracing::warn!(%error, run = name, "a run is not usable");
        self.runs.retain(|run| run != positions);
        Ok(())
    }

    /// A segment that lacks a good index, or a run over it: they are made anew from its bytes. Where
    /// they cannot be written, its index is in memory. It is whole if it has all events up to the
    /// next one's beginning, `end`: what comes after them was left where the sync of a cut failed.
    fn mend(
        &mut self,
        (mut file, end): (File, Option<u64>),
        index: Option<SealedIndex>,
        covered: Option<u64>,
    ) -> Result<(Segment, Changes), Obstacle> {
        let path = self.folder.path(file.header.first);
        let scan = scan::scan(&file.opened.file, file.header);
        let scan = scan.map_err(OpenError::io("read", &path))?;
        let its_end = file.header.first + scan.index.count() as u64;
        let is_whole = end == Some(its_end);
        let overlap = (scan.end, "it has events of the next segment");
        let flaw = scan.flaw.or(end.is_some_and(|end| its_end > end).then_some(overlap));
        if let Some((offset, flaw)) = flaw.filter(|_| !is_whole) {
            return Err(open::damaged(&path, offset, flaw).into());
        }
        file.length = scan.end;
        let changes = scan.index.changes().clone();
        if self.mode == Mode::Look {
            return Ok((file.unsealed(scan.index, self.folder), changes));
        }
        match self.write(&file, &scan.index, index, covered)? {
            Ok(index) => {
                tracing::warn!(segment = %path.display(), "rebuilt the index of a segment");
                Ok((file.sealed(index, self.folder), changes))
            }
            Err(error) => {
                tracing::warn!(%error, segment = %path.display(), "cannot write the index of a segment");
                Ok((file.unsealed(scan.index, self.folder), changes))
            }
        }
    }

    /// Writes what a segment lacks; an error of the disk is not in the way of opening.
    fn write(
        &mut self,
        file: &File,
        memory: &MemoryIndex,
        index: Option<SealedIndex>,
        covered: Option<u64>,
    ) -> Result<io::Result<SealedIndex>, Obstacle> {
        let Self { folder, closed, .. } = self;
        let first = file.header.first;
        let index = index.filter(|index| index.is_of(memory.count() as u64, file.length));
        let known = index.and_then(|index| index.entries().ok().map(|entries| (index, entries)));
        let (index, entries) = if let Some(known) = known {
            known
        } else {
            let groups = Groups::new(folder.cache.clone());
            let before = Snapshot::new(groups, closed.in_order.clone(), closed.runs.clone());
            let lists = Lists::of(memory, |list| before.before(list, first, Io::Allowed));
            let lists = match lists {
                Ok(lists) if covered.is_none_or(|digest| digest == lists.digest) => lists,
                Err(fault) if covered.is_none() => return Ok(Err(fault.into())),
                _ => return Err(Obstacle::Run),
            };
            match folder.write_index(memory, &lists, (file.header, file.length)) {
                Ok(index) => (index, lists.entries),
                Err(error) => return Ok(Err(error)),
            }
        };
        if covered.is_none() {
            let positions = first..first + memory.count() as u64;
            let hashes = memory.hashes();
            match runs::write_segment(folder, positions, index.digest(), hashes, &entries) {
                Ok(run) => closed.runs.push(Arc::new(run)),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(index))
    }
}

impl File {
    fn sealed(self, index: SealedIndex, folder: &Folder) -> Segment {
        let Self { opened, header, length } = self;
        Segment::sealed(header, opened, Arc::new(index), length, folder.cache.clone())
    }

    fn unsealed(self, index: MemoryIndex, folder: &Folder) -> Segment {
        let Self { opened, header, length } = self;
        Segment::closed(header, opened, index, length, folder.cache.clone())
    }
}
