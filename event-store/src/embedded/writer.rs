use std::io;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;

use super::block::Block;
use super::bytes::{narrow, size};
use super::error::is_full;
use super::format::{FRAME_HEADER, FrameHeader, RECORD_HEADER};
use super::index::Indexed;
use super::log::Log;
use super::maintenance::Bell;
use super::open::{self, Folder};
use super::segment::Segment;
use super::stager::Frame;
use super::tails::Announcer;
use crate::planted::{self, Bug};
use crate::{AppendError, RecordedEvent, lifetimes};

/// Most bytes of zeros that are written ahead of the log, and as many as it has at most. More of them
/// would have left the processor's cache when frames go over them.
const AHEAD: usize = 1 << 20;
static ZEROS: [u8; AHEAD] = [0; AHEAD];
/// They end with a page of the system.
const PAGE: u64 = 4 << 10;

/// Writes frames to the log, and shows them to readers. There is one, on a thread of its own.
#[derive(Debug)]
pub(crate) struct Writer {
    folder: Folder,
    log: Arc<Log>,
    bell: Arc<Bell>,
    segment_bytes: u64,
    /// How many events are durable: what readers wait on.
    announcer: Announcer,
    active: Arc<Segment>,
    /// The durable bytes of the active segment.
    length: u64,
    /// The bytes of its file; those after the durable ones are zeros.
    prepared: u64,
    /// Whether the last frame has events, for which no later frame vouches yet.
    unvouched: bool,
}

impl Writer {
    pub(crate) fn new(
        folder: Folder,
        log: Arc<Log>,
        bell: Arc<Bell>,
        segment_bytes: u64,
        announcer: Announcer,
        active: Arc<Segment>,
    ) -> Self {
        Self {
            folder,
            log,
            bell,
            segment_bytes,
            announcer,
            length: active.length(),
            prepared: active.length(),
            active,
            unvouched: false,
        }
    }

    /// Makes the frame durable with one write and one sync, and shows it to readers.
    ///
    /// # Errors
    /// [`AppendError::Unavailable`] where nothing was written, since the disk is full;
    /// [`AppendError::Stopped`] where nothing must be written ever again. Either is the answer to
    /// every request of the frame: even a conflict may be with an event that was not written.
    pub(crate) fn commit(&mut self, mut frame: Frame) -> Result<(), AppendError> {
        if !frame.events.is_empty() {
            self.write(&mut frame)?;
            if !planted::is(Bug::PublishedBeforeSync) {
                self.publish(frame);
            }
        }
        Ok(())
    }

    /// Writes the frame and syncs it; the disk's being full takes it back.
    fn write(&mut self, frame: &mut Frame) -> Result<(), AppendError> {
        let header = FrameHeader {
            body: frame.bytes.len() - FRAME_HEADER,
            count: frame.events.len(),
            first: frame.first,
        };
        let length = header.frame_len();
        let fits = self.length + length as u64 <= self.segment_bytes;
        if !fits && self.active.count() > 0 {
            self.roll_over()?;
        }
        if planted::is(Bug::LateSync) {
            self.active.file.sync().map_err(|error| stopped("a sync failed", &error))?;
        }
        let end = self.length + length as u64;
        frame.bytes.resize(length, 0);
        let encoded = header.encode(self.active.header.salt, self.length);
        frame.bytes[..FRAME_HEADER].copy_from_slice(&encoded);
        match self.active.file.write_all_at(&frame.bytes, self.length) {
            Err(error) if is_full(&error) => {
                if planted::is(Bug::FullNotTakenBack) {
                    self.length = self.active.file.length().unwrap_or(self.length);
                } else {
                    self.take_back()
                        .map_err(|error| stopped("cannot take a write back", &error))?;
                }
                Err(full(&error))
            }
            Err(error) => Err(stopped("a write failed", &error)),
            // After a failed sync the pages may be gone, and the next sync would not tell.
            Ok(()) => {
                if planted::is(Bug::PublishedBeforeSync) {
                    self.publish(mem::take(frame));
                }
                self.prepare(end)?;
                self.sync()
            }
        }
    }

    /// Where a frame goes to the file's end, writes zeros after it for the frames to come: their syncs
    /// will find nothing to tell the file system's journal.
    fn prepare(&mut self, end: u64) -> Result<(), AppendError> {
        if end <= self.prepared {
            return Ok(());
        }
        let ahead = (end + end.min(AHEAD as u64)).min(self.segment_bytes) / PAGE * PAGE;
        self.prepared = end.max(ahead);
        let start = if planted::is(Bug::ZerosTooEarly) { end - 8 } else { end };
        match self.active.file.write_all_at(&ZEROS[..size(self.prepared - end)], start) {
            // It is faster with them, and as good without.
            Err(error) if is_full(&error) => Ok(()),
            written => written.map_err(|error| stopped("a write failed", &error)),
        }
    }

    fn sync(&self) -> Result<(), AppendError> {
        if planted::is(Bug::LateSync) {
            return Ok(());
        }
        let mut synced = self.active.file.sync();
        if planted::is(Bug::RetriedSync) {
            synced = synced.or_else(|_| self.active.file.sync());
        }
        synced.map_err(|error| stopped("a sync failed", &error))
    }

    /// Cuts off what a write left, or what was prepared for one; durably, since the segment may be
    /// closed as it is.
    fn take_back(&mut self) -> io::Result<()> {
        self.active.file.set_len(self.length)?;
        self.active.file.sync()?;
        self.prepared = self.length;
        Ok(())
    }

    /// Closes the active segment and goes on in a new one. The old one is sealed in the
    /// background.
    fn roll_over(&mut self) -> Result<(), AppendError> {
        if self.prepared > self.length && !planted::is(Bug::ZerosLeft) {
            self.take_back().map_err(|error| stopped("cannot cut a segment", &error))?;
        }
        let first = self.announcer.head() + u64::from(planted::is(Bug::RollOverOffByOne));
        let segment = match self.folder.create(first) {
            Ok(segment) => Arc::new(segment),
            Err(error) if is_full(&error) => {
                self.give_up(first).map_err(|error| stopped("cannot give a segment up", &error))?;
                return Err(full(&error));
            }
            Err(error) => return Err(stopped("cannot begin a segment", &error)),
        };
        self.log.add(Arc::clone(&segment));
        (self.length, self.prepared) = (segment.length(), segment.length());
        let closed = mem::replace(&mut self.active, segment);
        closed.close();
        self.bell.ring(&self.log);
        Ok(())
    }

    /// Removes a segment that could not be begun.
    fn give_up(&self, first: u64) -> io::Result<()> {
        match self.folder.remove(first) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Shows the frame to readers.
    fn publish(&mut self, frame: Frame) {
        let Frame { first, bytes, events, changes } = frame;
        let start = size(self.length);
        let begins = self.active.count() == 0;
        self.length += bytes.len() as u64;
        self.active.extend(self.length, |index| {
            for (event, offset) in &events {
                index.push(&Indexed {
                    offset: narrow(start + offset),
                    stream: &event.stream,
                    revision: event.revision,
                    id: event.id,
                    kind: &event.kind,
                    recorded_at: event.recorded_at,
                    change: lifetimes::change(
                        event.stream.as_str(),
                        &event.kind,
                        event.revision,
                        &event.data,
                    ),
                });
            }
        });
        let bytes = Bytes::from(bytes);
        let events = events.into_iter().map(|(event, at)| in_frame(event, at, &bytes)).collect();
        let frame = Arc::new(Block::new(first, events));
        self.log.remember(Arc::clone(&frame));
        self.unvouched = true;
        self.log.bound(changes, || self.announcer.advance(frame.end(), frame.events().iter()));
        if begins {
            // The segment before will never be written to again: that is known only now.
            self.bell.ring(&self.log);
        }
    }

    /// How many events are durable.
    pub(crate) fn head(&self) -> u64 {
        self.announcer.head()
    }

    /// Ends cleanly: a last empty frame vouches for those before it.
    pub(crate) fn close(self) {
        let (file, next) = (&self.active.file, self.announcer.head());
        let vouch = || {
            file.set_len(self.length)?;
            open::close(file, self.active.header, self.length, next)
        };
        if self.unvouched
            && let Err(error) = vouch()
        {
            tracing::warn!(%error, "cannot write the end of the last segment");
        }
    }
}

/// The event with its contents out of its frame. The caller's memory, of which they may be a small
/// part, is given back.
fn in_frame(event: RecordedEvent, offset: usize, frame: &Bytes) -> RecordedEvent {
    let metadata = offset + RECORD_HEADER + event.stream.as_str().len() + event.kind.len();
    let data = metadata + event.metadata.len();
    let end = data + event.data.len();
    RecordedEvent { metadata: frame.slice(metadata..data), data: frame.slice(data..end), ..event }
}

fn full(error: &io::Error) -> AppendError {
    AppendError::Unavailable { reason: format!("no space is left: {error}") }
}

fn stopped(what: &str, error: &io::Error) -> AppendError {
    AppendError::Stopped { reason: format!("{what}: {error}") }
}
