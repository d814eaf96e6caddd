//! The background's care for index files: a closed segment gets its index and a run, runs that have
//! become many are merged, and what was found to be damaged is made anew.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use super::cache::Io;
use super::index::{List, Lists, MemoryIndex, SealedIndex};
use super::log::Log;
use super::open::Folder;
use super::runs::{self, Merge, Run};
use super::scan::{self, Scan};
use super::segment::Segment;
use super::snapshot::Snapshot;

/// What keeps the index files of a store as they should be.
#[derive(Debug)]
pub(crate) struct Upkeep {
    folder: Folder,
    log: Arc<Log>,
    merge: Option<Merge>,
    /// A damaged run that is being replaced by one of each of its segments, and those so far.
    split: Option<(Arc<Run>, Vec<Arc<Run>>)>,
    /// The first positions of segments whose index files cannot be made anew: they are damaged
    /// themselves.
    hopeless: HashSet<u64>,
}

impl Folder {
    /// Writes the index file of a closed segment, durably, and opens it.
    pub(crate) fn index_segment(
        &self,
        snapshot: &Snapshot,
        segment: &Segment,
        memory: &MemoryIndex,
    ) -> io::Result<(SealedIndex, Lists)> {
        let before = |list: &List| snapshot.before(list, segment.first(), Io::Allowed);
        let lists = Lists::of(memory, before)?;
        let file = (segment.header, segment.length());
        Ok((self.write_index(memory, &lists, file)?, lists))
    }
}

impl Upkeep {
    pub(crate) fn new(folder: Folder, log: Arc<Log>) -> Self {
        Self { folder, log, merge: None, split: None, hopeless: HashSet::new() }
    }

    /// Writes the index and the run of the oldest closed segment that has none; whether there was
    /// one.
    pub(crate) fn seal(&self) -> io::Result<bool> {
        let snapshot = self.log.snapshot();
        let unsealed = snapshot.segments.iter().find(|segment| segment.is_unsealed());
        let Some((segment, memory)) = unsealed.and_then(|s| Some((s, s.memory_index()?))) else {
            return Ok(false);
        };
        let first = segment.first();
        let (index, lists) = self.folder.index_segment(&snapshot, segment, &memory)?;
        let mut runs = snapshot.runs.clone();
        if snapshot.run_of(first).is_none() {
            let (positions, digest) = (first..segment.end(), index.digest());
            let hashes = memory.hashes();
            let run = runs::write_segment(&self.folder, positions, digest, hashes, &lists.entries)?;
            runs.push(Arc::new(run));
            runs.sort_by_key(|run| run.positions.start);
        }
        let sealed = Arc::new(segment.with_index(index));
        self.log.change(|snapshot| snapshot.with_segment(&sealed, runs));
        Ok(true)
    }

    /// Does a piece of what is left to do with sealed segments; whether there was any.
    pub(crate) fn step(&mut self) -> io::Result<bool> {
        // One that fails does not keep the others from what it may wait for.
        let mut failed = None;
        for work in [Self::mend_run, Self::mend_index, Self::merge] {
            match work(self) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(false), Err)
    }

    /// Makes a damaged index anew.
    fn mend_index(&mut self) -> io::Result<bool> {
        let snapshot = self.log.snapshot();
        let damaged = snapshot.segments.iter().find(|segment| {
            segment.sealed_index().is_some_and(|index| index.is_damaged())
                && !self.hopeless.contains(&segment.first())
        });
        let Some(segment) = damaged else { return Ok(false) };
        let memory = self.read(segment)?.index;
        let (index, _) = self.folder.index_segment(&snapshot, segment, &memory)?;
        tracing::warn!(first = segment.first(), "made the damaged index of a segment anew");
        let mended = Arc::new(segment.with_index(index));
        self.log.change(|snapshot| snapshot.with_segment(&mended, snapshot.runs.clone()));
        Ok(true)
    }

    /// Replaces a damaged run by one of each of its segments, one segment at a time.
    fn mend_run(&mut self) -> io::Result<bool> {
        let snapshot = self.log.snapshot();
        let (run, mut made) = match self.split.take() {
            Some(split) => split,
            None => match self.damaged_run(&snapshot) {
                Some(run) => (run, Vec::new()),
                None => return Ok(false),
            },
        };
        let next = made.last().map_or(run.positions.start, |made| made.positions.end);
        let segment = snapshot.segment_at(next);
        let Some(index) = segment.sealed_index() else { return Ok(false) };
        let scan = self.read(segment)?;
        let (positions, digest) = (segment.first()..segment.end(), index.digest());
        let (hashes, entries) = (scan.index.hashes(), index.entries()?);
        let new = runs::write_segment(&self.folder, positions, digest, hashes, &entries)?;
        made.push(Arc::new(new));
        if segment.end() < run.positions.end {
            self.split = Some((run, made));
        } else {
            tracing::warn!(run = ?run.positions, "made a damaged run anew");
            self.replace(&[run], made);
        }
        Ok(true)
    }

    fn damaged_run(&self, snapshot: &Snapshot) -> Option<Arc<Run>> {
        let hopeful =
            |run: &&Arc<Run>| !run.parts.iter().any(|part| self.hopeless.contains(&part.first));
        snapshot.runs.iter().filter(hopeful).find(|run| run.is_damaged()).cloned()
    }

    /// The events of a segment, from its bytes.
    fn read(&mut self, segment: &Segment) -> io::Result<Scan> {
        let scan = scan::scan(&segment.file, segment.header)?;
        let same = scan.index.count() as u64 == segment.count();
        let lacks = (!same).then_some((scan.end, "it does not have the events it had"));
        let Some((offset, flaw)) = scan.flaw.or(lacks) else { return Ok(scan) };
        self.hopeless.insert(segment.first());
        let reason = format!("a segment is damaged too, at offset {offset}: {flaw}");
        Err(io::Error::new(io::ErrorKind::InvalidData, reason))
    }

    /// Merges runs a piece further.
    fn merge(&mut self) -> io::Result<bool> {
        let mut merge = match self.merge.take() {
            Some(merge) => merge,
            None => match self.due() {
                Some(inputs) => Merge::new(&self.folder, inputs)?,
                None => return Ok(false),
            },
        };
        if !merge.step()? {
            self.merge = Some(merge);
            return Ok(true);
        }
        let inputs = merge.inputs().to_vec();
        let run = Arc::new(merge.finish(&self.folder)?);
        self.replace(&inputs, vec![run]);
        Ok(true)
    }

    /// The runs to merge next. The last segment may be opened to be written to again, if the one
    /// after it gets no event: its run is let be.
    fn due(&self) -> Option<Vec<Arc<Run>>> {
        let snapshot = self.log.snapshot();
        let settled = self.log.settled().last().map_or(0, |segment| segment.end());
        let runs = &snapshot.runs;
        let runs = &runs[..runs.partition_point(|run| run.positions.end <= settled)];
        // Between two runs there may be a segment that could not get one yet.
        let mut neighbours = runs.chunk_by(|run, next| run.positions.end == next.positions.start);
        let due = |runs: &[Arc<Run>]| {
            let segments: Vec<_> = runs.iter().map(|run| run.parts.len()).collect();
            let due = &runs[runs::due(&segments)?];
            due.iter().all(|run| !run.is_damaged()).then(|| due.to_vec())
        };
        neighbours.find_map(due)
    }

    /// Shows runs in the place of others over the same segments, whose files are removed.
    fn replace(&self, old: &[Arc<Run>], new: Vec<Arc<Run>>) {
        let is_old = |run: &Arc<Run>| old.iter().any(|old| Arc::ptr_eq(old, run));
        let reused: Vec<_> = new.iter().map(|run| run.positions.clone()).collect();
        self.log.change(|snapshot| {
            let kept = snapshot.runs.iter().filter(|run| !is_old(run)).cloned();
            let mut runs: Vec<_> = kept.chain(new).collect();
            runs.sort_by_key(|run| run.positions.start);
            snapshot.with(snapshot.segments.to_vec(), runs)
        });
        let unused = old.iter().filter(|run| !reused.contains(&run.positions));
        unused.for_each(|run| self.folder.remove_run(&run.positions));
    }
}
