//! A store looked at from outside: without its lock, without a write, beside whoever writes it.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::closed::Mode;
use super::compressed::{self, Opened};
use super::error::OpenError;
use super::format::{SEGMENT_HEADER, SegmentHeader};
use super::layout;
use super::log::Log;
use super::maintenance::Bell;
use super::open::{self, Folder, Segments};
use super::scan::{self, Scan};
use super::segment::Segment;
use super::tails::{Announcer, Tails};
use super::vfs::VfsFile;
use crate::lifetimes::Changes;

/// How often to look again where files were replaced or removed while they were looked at.
const LOOKS: usize = 10;

/// What brings a log up to date with files that somebody else writes.
#[derive(Debug)]
pub(crate) struct View {
    folder: Folder,
    log: Arc<Log>,
    announcer: Announcer,
    last: Mutex<Option<Last>>,
}

/// The last segment that has events, and how far it has been read.
#[derive(Debug)]
pub(crate) struct Last {
    header: SegmentHeader,
    file: Arc<dyn VfsFile>,
    scan: Scan,
}

impl View {
    /// Looks at a folder: its events as they are now, and how many these are.
    pub(crate) fn open(folder: Folder) -> Result<(Arc<Log>, Self, Arc<Tails>), OpenError> {
        let (segments, last) = folder.look()?;
        let log = Arc::new(Log::new(segments, &folder, Arc::new(Bell::new())));
        let announcer = Announcer::new(end(&log));
        let tails = announcer.tails();
        let view = Self { folder, log: Arc::clone(&log), announcer, last: Mutex::new(last) };
        Ok((log, view, tails))
    }

    /// Takes in what has been written since.
    pub(crate) fn refresh(&self) -> Result<(), OpenError> {
        let mut last = self.last.lock();
        if let Some(last) = &mut *last {
            let before = last.end();
            retry(|| last.read_on(&self.folder))?;
            if last.end() > before {
                self.log.replace(&last.segment(&self.folder));
                self.show(last);
            }
        }
        while let Some(next) = retry(|| self.next())? {
            self.log.add(next.segment(&self.folder));
            self.show(&next);
            *last = Some(next);
        }
        Ok(())
    }

    /// Shows the events of the last segment, of which some may have been shown before.
    fn show(&self, last: &Last) {
        self.log.bound(last.scan.index.changes().clone(), || {
            self.announcer.advance_unseen(end(&self.log));
        });
    }

    /// The segment after the last.
    fn next(&self) -> Result<Option<Last>, OpenError> {
        match self.folder.begun(end(&self.log)) {
            Err(OpenError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            next => next,
        }
    }
}

fn end(log: &Log) -> u64 {
    log.segments().last().map_or(0, |segment| segment.end())
}

/// Looks again where files went, were cut or were replaced meanwhile.
fn retry<T>(mut look: impl FnMut() -> Result<T, OpenError>) -> Result<T, OpenError> {
    let mut looks = 1;
    loop {
        match look() {
            Err(OpenError::Io { .. } | OpenError::Damaged { .. }) if looks < LOOKS => looks += 1,
            looked => return looked,
        }
    }
}

impl Folder {
    /// The segments as they are now, of the last one its good frames.
    fn look(&self) -> Result<(Segments, Option<Last>), OpenError> {
        retry(|| {
            let (firsts, last) = self.glance_once()?;
            let mut segments = self.closed(&firsts, None, Mode::Look)?;
            if let Some(last) = &last {
                let segment = last.segment(self);
                let changes = segment.changes();
                self.take(&mut segments, segment, changes)?;
            }
            Ok((segments, last))
        })
    }

    /// Where the segments before the last one that has events begin, and that one.
    pub(crate) fn glance(&self) -> Result<(Vec<u64>, Option<Last>), OpenError> {
        retry(|| self.glance_once())
    }

    fn glance_once(&self) -> Result<(Vec<u64>, Option<Last>), OpenError> {
        layout::check_is_store(&*self.vfs, &self.dir)?;
        let mut firsts = layout::segments(&*self.vfs, &self.dir)?;
        let (mut last, mut later) = (None, false);
        while last.is_none()
            && let Some(first) = firsts.pop()
        {
            let written = self.written(first)?;
            // A segment is begun once all before it is durable: there is no unfinished write then.
            if later
                && let Some(written) = &written
                && let Some((offset, flaw)) = written.scan.flaw
            {
                return Err(open::damaged(&self.path(first), offset, flaw));
            }
            last = written.filter(Last::has_frames);
            later = true;
        }
        Ok((firsts, last))
    }

    /// A segment before the last: by its index, or by its bytes where there is no good one. Beside
    /// it comes what its events say of streams' lifetimes.
    pub(crate) fn closed_as_it_is(&self, first: u64) -> Result<(Segment, Changes), OpenError> {
        let path = self.path(first);
        let opened = compressed::open(&*self.vfs, &path).map_err(OpenError::io("open", &path))?;
        let file = &opened.file;
        let length = file.length().map_err(OpenError::io("measure", &path))?;
        let header = open::read_header(file, &path, first)?;
        if let Some((index, changes)) = self.index(header, length) {
            let index = Arc::new(index);
            let segment = Segment::sealed(header, opened, index, length, self.cache.clone());
            return Ok((segment, changes));
        }
        let scan = scan::scan(file, header).map_err(OpenError::io("read", &path))?;
        if let Some((offset, flaw)) = scan.flaw {
            return Err(open::damaged(&path, offset, flaw));
        }
        let changes = scan.index.changes().clone();
        let segment = Segment::closed(header, opened, scan.index, length, self.cache.clone());
        Ok((segment, changes))
    }

    /// The good frames of a segment; `None` where it has none yet.
    pub(crate) fn begun(&self, first: u64) -> Result<Option<Last>, OpenError> {
        Ok(self.written(first)?.filter(Last::has_frames))
    }

    /// A segment with its good frames, if there are any; `None` where it has no more than its header
    /// yet.
    fn written(&self, first: u64) -> Result<Option<Last>, OpenError> {
        let path = self.path(first);
        // By now it may be closed, and compressed since.
        let Opened { file, .. } =
            compressed::open(&*self.vfs, &path).map_err(OpenError::io("open", &path))?;
        let length = file.length().map_err(OpenError::io("measure", &path))?;
        if length <= SEGMENT_HEADER as u64 {
            return Ok(None);
        }
        let header = open::read_header(&file, &path, first)?;
        let mut last = Last { header, file, scan: Scan::default() };
        last.read_on(self)?;
        Ok(Some(last))
    }
}

impl Last {
    /// Takes in the good frames that are there by now.
    fn read_on(&mut self, folder: &Folder) -> Result<(), OpenError> {
        let path = folder.path(self.header.first);
        let mut doubted = None;
        loop {
            self.scan.go_on(&self.file, self.header).map_err(OpenError::io("read", &path))?;
            let Some((offset, flaw)) = self.scan.flaw.filter(|_| !self.scan.is_unwritten()) else {
                break;
            };
            let later = scan::frame_after(&self.file, self.header, self.scan.end + 1);
            if later.map_err(OpenError::io("read", &path))?.is_none() {
                break;
            }
            // The frame that looked bad was perhaps just being written; before the later one was,
            // it was whole.
            if doubted == Some(self.scan.end) {
                return Err(open::damaged(&path, offset, flaw));
            }
            doubted = Some(self.scan.end);
        }
        Ok(())
    }

    fn has_frames(&self) -> bool {
        self.scan.last.is_some()
    }

    /// Where its good frames end.
    pub(crate) fn end(&self) -> u64 {
        self.scan.end
    }

    pub(crate) fn segment(&self, folder: &Folder) -> Arc<Segment> {
        let Self { header, file, scan } = self;
        let (file, index) = (Arc::clone(file), scan.index.clone());
        Arc::new(Segment::open(*header, file, index, scan.end, folder.cache.clone()))
    }
}
