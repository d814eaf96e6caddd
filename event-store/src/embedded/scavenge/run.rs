//! The scavenge that runs, a piece at a time.

use std::io;
use std::mem;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::measure::Measure;
use super::saved::Saved;
use super::{ScavengeState, Scavenges, Shared};
use crate::embedded::bytes::{self, narrow, size};
use crate::embedded::format::{
    FRAME_HEADER, FrameHeader, SEGMENT_HEADER, SegmentHeader, encode_husk, encode_moved,
};
use crate::embedded::log::Log;
use crate::embedded::open::Folder;
use crate::embedded::rewrite::{Piece, Rewrite};
use crate::embedded::segment::Segment;
use crate::planted::{self, Bug};

/// What does the scavenges of a store.
#[derive(Debug)]
pub(crate) struct Scavenger {
    folder: Folder,
    log: Arc<Log>,
    /// Whether segments that it rewrites are compressed, also those that were not.
    compress: bool,
    scavenges: Arc<Scavenges>,
    run: Option<Run>,
}

/// A scavenge that has begun.
#[derive(Debug)]
struct Run {
    shared: Arc<Shared>,
    saved: Saved,
    work: Work,
}

/// What is being done for a scavenge.
#[derive(Debug)]
enum Work {
    /// Nothing with a segment; the next one is to be found.
    Find,
    Measure(Box<Measure>),
    Write(Box<Write>),
}

/// A segment that is written anew.
#[derive(Debug)]
struct Write {
    segment: Arc<Segment>,
    /// The numbers of the events to drop, in order, of which so many are.
    dropped: Vec<u32>,
    done: usize,
    header: SegmentHeader,
    rewrite: Rewrite,
    /// The bytes that were written.
    length: u64,
    /// The position from which on it is still to be written.
    next: u64,
}

impl Scavenger {
    /// Goes on with the scavenge that the last closing interrupted, if it did.
    pub(crate) fn open(
        folder: Folder,
        log: Arc<Log>,
        scavenges: Arc<Scavenges>,
        compress: bool,
    ) -> io::Result<Self> {
        let run = Saved::load(&folder)?.map(|saved| {
            let shared = scavenges.request(saved.options).0;
            Run { shared, saved, work: Work::Find }
        });
        Ok(Self { folder, log, compress, scavenges, run })
    }

    pub(crate) fn scavenges(&self) -> &Arc<Scavenges> {
        &self.scavenges
    }

    /// Does a piece of work: how many bytes it read and wrote, and how many it may in a second.
    /// `None` where there is nothing to do.
    pub(crate) fn step(&mut self) -> Option<(u64, u64)> {
        let begun = self.run.as_ref().map(|run| Arc::clone(&run.shared));
        let shared = begun.or_else(|| self.scavenges.running())?;
        let flow = self.go_on(&shared).unwrap_or_else(|error| {
            tracing::warn!(%error, "a scavenge gives up");
            ControlFlow::Break(ScavengeState::Failed { reason: error.to_string() })
        });
        let moved = match flow {
            ControlFlow::Continue(moved) => moved,
            ControlFlow::Break(state) => {
                self.end(&shared, state);
                0
            }
        };
        Some((moved, shared.options.bytes_per_second.get()))
    }

    /// Does nothing any more, until the store is opened again.
    pub(crate) fn pause(&mut self) {
        self.run = None;
        self.scavenges.refuse("the store has stopped");
    }

    /// Does a piece of a scavenge, if it is not at its end. An error lets go of what was begun.
    fn go_on(&mut self, shared: &Arc<Shared>) -> io::Result<ControlFlow<ScavengeState, u64>> {
        if shared.stop.load(Ordering::Relaxed) {
            return Ok(ControlFlow::Break(ScavengeState::Stopped));
        }
        let mut run = match self.run.take() {
            Some(run) => run,
            None => self.begin(shared)?,
        };
        let Some(moved) = self.piece(&mut run)? else {
            return Ok(ControlFlow::Break(ScavengeState::Done));
        };
        self.run = Some(run);
        Ok(ControlFlow::Continue(moved))
    }

    fn end(&mut self, shared: &Shared, state: ScavengeState) {
        self.run = None;
        if let Err(error) = Saved::remove(&self.folder) {
            tracing::warn!(%error, "a scavenge that ended goes on when the store is opened again");
        }
        shared.end(state);
    }

    fn begin(&self, shared: &Arc<Shared>) -> io::Result<Run> {
        let until = self.log.settled().last().map_or(0, |segment| segment.end());
        let ahead = if planted::is(Bug::ScavengedYoung) { 1_000_000 } else { 0 };
        let (options, began) = (shared.options, self.folder.vfs.now() + ahead);
        let saved = Saved { options, began, until, next: 0, dropped: 0, reclaimed: 0 };
        saved.store(&self.folder)?;
        Ok(Run { shared: Arc::clone(shared), saved, work: Work::Find })
    }

    /// The next piece: how many bytes were moved; `None` where all segments are done.
    fn piece(&self, run: &mut Run) -> io::Result<Option<u64>> {
        let (work, moved) = match mem::replace(&mut run.work, Work::Find) {
            Work::Find => match self.find(run)? {
                Some(measure) => (Work::Measure(Box::new(measure)), 0),
                None => return Ok(None),
            },
            Work::Measure(mut measure) => {
                let moved = measure.step()?;
                (self.measured(run, measure)?, moved)
            }
            Work::Write(mut write) => {
                let moved = write.step()?;
                // At the end all of it is read back.
                let whole = write.next == write.segment.end();
                let read_back = if whole { write.length } else { 0 };
                (self.written(run, write)?, moved + read_back)
            }
        };
        run.work = work;
        Ok(Some(moved))
    }

    /// The next segment that is to be looked at.
    fn find(&self, run: &mut Run) -> io::Result<Option<Measure>> {
        let segments = self.log.settled();
        let within = segments.partition_point(|segment| segment.end() <= run.saved.until);
        let done = segments[..within].partition_point(|s| s.first() < run.saved.next);
        run.shared.progress.send_modify(|progress| {
            (progress.segments_done, progress.segments_total) = (done, within);
            progress.events_dropped = run.saved.dropped;
            progress.bytes_reclaimed = run.saved.reclaimed;
        });
        let Some(segment) = segments[..within].get(done) else { return Ok(None) };
        let before = done.checked_sub(1).map(|before| segments[before].recorded_at());
        let since = before.unwrap_or(i64::MIN);
        Ok(Some(Measure::begin(&self.log, segment, since, run.saved.began)?))
    }

    /// What is next for a segment that is being measured.
    fn measured(&self, run: &mut Run, measure: Box<Measure>) -> io::Result<Work> {
        if !measure.is_done() {
            return Ok(Work::Measure(measure));
        }
        let Measure { segment, dropped, bytes, .. } = *measure;
        let least = u64::from(run.saved.options.least_percent) * segment.length() / 100;
        if dropped.is_empty() || bytes < least {
            run.saved.next = segment.end();
            return Ok(Work::Find);
        }
        let compress = self.compress || segment.is_compressed();
        Ok(Work::Write(Box::new(Write::begin(&self.folder, segment, dropped, compress)?)))
    }

    /// What is next for a segment that is being written anew.
    fn written(&self, run: &mut Run, write: Box<Write>) -> io::Result<Work> {
        if write.next < write.segment.end() {
            return Ok(Work::Write(write));
        }
        let Write { segment, dropped, header, rewrite, .. } = *write;
        let (opened, scan) = rewrite.finish()?;
        let cache = self.folder.cache.clone();
        let mut new = Segment::closed(header, opened, scan.index.clone(), scan.end, cache);
        match self.folder.index_segment(&self.log.snapshot(), &new, &scan.index) {
            Ok((index, _)) => new = new.with_index(index),
            // The index stays in memory then, until it can be written.
            Err(error) => {
                tracing::warn!(%error, first = new.first(), "cannot write the index of a segment");
            }
        }
        run.saved.next = new.end();
        run.saved.dropped += dropped.len() as u64;
        run.saved.reclaimed += segment.bytes().saturating_sub(new.bytes());
        self.log.replace_rewritten(&Arc::new(new));
        self.log.forget(run.saved.next);
        run.saved.store(&self.folder)?;
        Ok(Work::Find)
    }
}

impl Drop for Scavenger {
    fn drop(&mut self) {
        self.pause();
    }
}

impl Write {
    fn begin(
        folder: &Folder,
        segment: Arc<Segment>,
        dropped: Vec<u32>,
        compress: bool,
    ) -> io::Result<Self> {
        let SegmentHeader { first, salt } = segment.header;
        let salt = bytes::mix(folder.vfs.now().cast_unsigned() ^ bytes::mix(salt));
        let header = SegmentHeader { first, salt };
        let mut rewrite = Rewrite::begin(folder, &segment, header, compress)?;
        rewrite.write(&header.encode())?;
        let length = SEGMENT_HEADER as u64;
        Ok(Self { segment, dropped, done: 0, header, rewrite, length, next: first })
    }

    /// Writes the next events, in one frame; how many bytes were read and written.
    fn step(&mut self) -> io::Result<u64> {
        let piece = Piece::read(&self.segment, self.next)?;
        let mut frame = vec![0; FRAME_HEADER];
        for record in piece.records(&self.segment) {
            let (position, record) = record?;
            let number = narrow(size(position - self.segment.first()));
            let live = planted::is(Bug::ScavengedLive) && position + 1 == self.segment.end();
            if live || self.dropped.get(self.done) == Some(&number) {
                encode_husk(&mut frame, &record, position);
                self.done += 1;
            } else if planted::is(Bug::ScavengedRevision) {
                encode_moved(&mut frame, &record, position);
            } else {
                frame.extend_from_slice(record.as_bytes());
            }
        }
        let (body, count) = (frame.len() - FRAME_HEADER, size(piece.end() - self.next));
        let header = FrameHeader { body, count, first: self.next };
        frame.resize(header.frame_len(), 0);
        frame[..FRAME_HEADER].copy_from_slice(&header.encode(self.header.salt, self.length));
        self.rewrite.write(&frame)?;
        self.length += frame.len() as u64;
        self.next = piece.end();
        Ok(piece.bytes() + frame.len() as u64)
    }
}
