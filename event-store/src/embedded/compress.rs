//! Compresses closed segments in the background, one at a time and in pieces.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use super::cache::Io;
use super::log::Log;
use super::open::Folder;
use super::rewrite::Rewrite;
use super::segment::Segment;

/// Bytes of a segment that one piece compresses.
const PIECE: u64 = 1 << 20;
/// A segment whose first piece does not shrink below this many percent stays as it is.
const MOST_PERCENT: u64 = 90;

/// What compresses the closed segments of a store.
#[derive(Debug)]
pub(crate) struct Compress {
    folder: Folder,
    log: Arc<Log>,
    /// The first positions of segments that are not to be tried again.
    passed: HashSet<u64>,
    work: Option<Conversion>,
}

/// A segment that is being compressed.
#[derive(Debug)]
struct Conversion {
    segment: Arc<Segment>,
    rewrite: Rewrite,
    next: u64,
}

impl Compress {
    pub(crate) fn new(folder: Folder, log: Arc<Log>) -> Self {
        Self { folder, log, passed: HashSet::new(), work: None }
    }

    /// Whether it is amid a segment.
    pub(crate) fn is_busy(&self) -> bool {
        self.work.is_some()
    }

    /// Does a piece of work: how many bytes it read; `None` where there is nothing to do. A
    /// segment that cannot be compressed is let be until the store is opened again.
    pub(crate) fn step(&mut self) -> Option<u64> {
        let segment = match &self.work {
            Some(work) => Arc::clone(&work.segment),
            None => self.next()?,
        };
        self.piece(&segment).unwrap_or_else(|error| {
            tracing::warn!(%error, first = segment.first(), "cannot compress a segment");
            self.passed.insert(segment.first());
            Some(0)
        })
    }

    fn next(&self) -> Option<Arc<Segment>> {
        let wanted = |segment: &Arc<Segment>| {
            !segment.is_compressed() && !self.passed.contains(&segment.first())
        };
        self.log.settled().into_iter().find(wanted)
    }

    /// The next piece of a segment. An error lets go of what was done.
    fn piece(&mut self, segment: &Arc<Segment>) -> io::Result<Option<u64>> {
        let mut work = match self.work.take() {
            Some(work) => work,
            None => Conversion::begin(&self.folder, segment)?,
        };
        let mut bytes = work.piece()?;
        let (length, stored) = work.rewrite.lengths();
        if stored * 100 > length * MOST_PERCENT {
            self.passed.insert(segment.first());
        } else if work.next < segment.length() {
            self.work = Some(work);
        } else {
            // All of it is read back.
            bytes += segment.length();
            let (opened, _) = work.rewrite.finish()?;
            self.log.replace(&Arc::new(segment.with_file(opened)));
        }
        Ok(Some(bytes))
    }
}

impl Conversion {
    fn begin(folder: &Folder, segment: &Arc<Segment>) -> io::Result<Self> {
        let rewrite = Rewrite::begin(folder, segment, segment.header, true)?;
        Ok(Self { segment: Arc::clone(segment), rewrite, next: 0 })
    }

    fn piece(&mut self) -> io::Result<u64> {
        let piece = self.next..self.segment.length().min(self.next + PIECE);
        let bytes = self.segment.read(piece.clone(), Io::Allowed)?;
        self.rewrite.write(&bytes)?;
        self.next = piece.end;
        Ok(bytes.len() as u64)
    }
}
