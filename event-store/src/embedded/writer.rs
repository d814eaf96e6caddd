use std::io;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use uuid::Uuid;

use super::block::Block;
use super::bytes::{narrow, size};
use super::cache::Io;
use super::error::{Fault, is_full};
use super::format::{FRAME_HEADER, FrameHeader, RECORD_HEADER, encode_record};
use super::heads::Heads;
use super::index::Indexed;
use super::log::Log;
use super::maintenance::Bell;
use super::open::{self, Folder};
use super::segment::Segment;
use super::tails::Announcer;
use crate::admission::{self, Admission, History, Place, Request, Write};
use crate::lifetimes::{self, Changes, Lifetime};
use crate::planted::{self, Bug};
use crate::{
    AppendError, Appended, NewEvent, Position, Recorded, RecordedEvent, Revision, StreamId,
};

/// Most bytes of zeros that are written ahead of the log, and as many as it has at most. More of them
/// would have left the processor's cache when frames go over them.
const AHEAD: usize = 1 << 20;
static ZEROS: [u8; AHEAD] = [0; AHEAD];
/// They end with a page of the system.
const PAGE: u64 = 4 << 10;

/// Turns requests into frames. There is one, on a thread of its own. A frame is
/// [begun](Self::begin), requests are [staged](Self::stage) in it, and it is
/// [committed](Self::commit).
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
    recorded_at: i64,
    heads: Heads,
    staged: Staged,
    /// Whether the last frame has events, for which no later frame vouches yet.
    unvouched: bool,
}

/// What the next frame will hold.
#[derive(Debug, Default)]
struct Staged {
    frame: Vec<u8>,
    likely: usize,
    /// With their offsets in the frame.
    events: Vec<(RecordedEvent, usize)>,
    heads: HashMap<StreamId, Revision>,
    ids: HashMap<(StreamId, Uuid), Place>,
    changes: Changes,
}

impl Staged {
    fn clear(&mut self) {
        // The last frame's bytes went to its readers; the next one is likely as long.
        self.frame = Vec::with_capacity(self.likely);
        self.frame.resize(FRAME_HEADER, 0);
        self.events.clear();
        self.heads.clear();
        self.ids.clear();
        self.changes.clear();
    }
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
        let before = log.segments().iter().map(|segment| segment.recorded_at()).max();
        Self {
            folder,
            log,
            bell,
            segment_bytes,
            announcer,
            length: active.length(),
            prepared: active.length(),
            active,
            recorded_at: before.unwrap_or_default(),
            heads: Heads::default(),
            staged: Staged::default(),
            unvouched: false,
        }
    }

    /// Begins the next frame.
    pub(crate) fn begin(&mut self) {
        if planted::is(Bug::ClockGoesBack) {
            self.recorded_at = 0;
        }
        self.staged.clear();
    }

    /// Judges a request after those before it. A good one's events go into the frame; the result
    /// counts once that is durable.
    pub(crate) fn stage(&mut self, request: Request) -> Result<Vec<Appended>, AppendError> {
        self.recorded_at = self.recorded_at.max(self.folder.vfs.now());
        match admission::admit(self, request)? {
            Admission::Repeated(appended) => Ok(appended),
            Admission::Fresh { writes, answers } => {
                let appended: Vec<_> =
                    writes.into_iter().map(|write| self.stage_write(write)).collect();
                Ok(answers.into_iter().map(|at| appended[at]).collect())
            }
        }
    }

    /// Makes the frame durable with one write and one sync, and shows it to readers.
    ///
    /// # Errors
    /// [`AppendError::Unavailable`] where nothing was written, since the disk is full;
    /// [`AppendError::Stopped`] where nothing must be written ever again. Either is the answer to
    /// every request of the frame: even a conflict may be with an event that was not written.
    pub(crate) fn commit(&mut self) -> Result<(), AppendError> {
        if !self.staged.events.is_empty() {
            self.write()?;
            if !planted::is(Bug::PublishedBeforeSync) {
                self.publish();
            }
        }
        Ok(())
    }

    fn stage_write(&mut self, write: Write) -> Appended {
        let Write { stream, first: Revision(first), events } = write;
        let position = self.announcer.head() + self.staged.events.len() as u64;
        let end = Appended {
            revision: Revision(first + events.len() as u64 - 1),
            position: Position(position + events.len() as u64 - 1),
        };
        for (event, n) in events.into_iter().zip(0..) {
            self.stage_event(&stream, event, Revision(first + n), Position(position + n));
        }
        self.staged.heads.insert(stream, end.revision);
        end
    }

    fn stage_event(
        &mut self,
        stream: &StreamId,
        event: NewEvent,
        revision: Revision,
        position: Position,
    ) {
        let (staged, recorded_at) = (&mut self.staged, self.recorded_at);
        let offset = staged.frame.len();
        let place = (position.0, revision);
        encode_record(&mut staged.frame, (stream, &event), place, recorded_at);
        if let Some((of, lifetime)) =
            lifetimes::change(stream.as_str(), &event.kind, revision, &event.data)
        {
            lifetimes::take(&mut staged.changes, of, lifetime);
        }
        let stream = stream.clone();
        let NewEvent { id, kind, data, metadata, is_json } = event;
        staged.ids.insert((stream.clone(), id), Place { revision, position });
        let event = RecordedEvent {
            stream,
            revision,
            position,
            recorded_at,
            id,
            kind,
            data,
            metadata,
            is_json,
        };
        staged.events.push((event, offset));
    }

    /// Writes the frame and syncs it; the disk's being full takes it back.
    fn write(&mut self) -> Result<(), AppendError> {
        let header = FrameHeader {
            body: self.staged.frame.len() - FRAME_HEADER,
            count: self.staged.events.len(),
            first: self.announcer.head(),
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
        let frame = &mut self.staged.frame;
        frame.resize(length, 0);
        let encoded = header.encode(self.active.header.salt, self.length);
        frame[..FRAME_HEADER].copy_from_slice(&encoded);
        match self.active.file.write_all_at(frame, self.length) {
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
                    self.publish();
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
    fn publish(&mut self) {
        let start = size(self.length);
        let begins = self.active.count() == 0;
        self.length += self.staged.frame.len() as u64;
        let events = mem::take(&mut self.staged.events);
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
        for (stream, last) in self.staged.heads.drain() {
            self.heads.set(stream, last);
        }
        self.staged.likely = self.staged.frame.len();
        let bytes = Bytes::from(mem::take(&mut self.staged.frame));
        let events = events.into_iter().map(|(event, at)| in_frame(event, at, &bytes)).collect();
        let frame = Arc::new(Block::new(self.announcer.head(), events));
        self.log.remember(Arc::clone(&frame));
        self.unvouched = true;
        let changes = mem::take(&mut self.staged.changes);
        self.log.bound(changes, || self.announcer.advance(frame.end(), frame.events().iter()));
        if begins {
            // The segment before will never be written to again: that is known only now.
            self.bell.ring(&self.log);
        }
    }

    fn unreadable(&self, fault: Fault) -> AppendError {
        AppendError::Unavailable { reason: self.log.report(fault).to_string() }
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

impl History for Writer {
    fn last(&mut self, stream: &StreamId) -> Result<Option<Revision>, AppendError> {
        let known = self.staged.heads.get(stream).copied().or_else(|| self.heads.get(stream));
        if known.is_some() || planted::is(Bug::RevisionsForgotten) {
            return Ok(known);
        }
        self.log.last_revision(stream, Io::Allowed).map_err(|fault| self.unreadable(fault))
    }

    fn lacks(&mut self, stream: &StreamId, events: &[NewEvent]) -> bool {
        let staged = self.staged.heads.contains_key(stream) || planted::is(Bug::IdsOverStreams);
        !staged && self.log.snapshot().lacks(stream, events)
    }

    fn find(&mut self, stream: &StreamId, id: Uuid) -> Result<Option<Place>, AppendError> {
        match self.staged.ids.get(&(stream.clone(), id)) {
            Some(_) if planted::is(Bug::IdsOfCommitUnseen) => Ok(None),
            Some(place) => Ok(Some(*place)),
            None => self.log.find(stream, id, Io::Allowed).map_err(|fault| self.unreadable(fault)),
        }
    }

    fn lifetime(&mut self, stream: &StreamId) -> Lifetime {
        self.log.lifetimes().of_after(&self.staged.changes, stream)
    }

    fn metadata(&mut self, stream: &StreamId) -> Result<Option<Recorded>, AppendError> {
        let mut staged = self.staged.events.iter().rev().map(|(event, _)| event);
        if let Some(event) = staged.find(|event| event.stream == *stream) {
            return Ok(Some(event.clone().into()));
        }
        let end = self.announcer.head();
        self.log.last_event(stream, end, Io::Allowed).map_err(|fault| self.unreadable(fault))
    }
}

fn full(error: &io::Error) -> AppendError {
    AppendError::Unavailable { reason: format!("no space is left: {error}") }
}

fn stopped(what: &str, error: &io::Error) -> AppendError {
    AppendError::Stopped { reason: format!("{what}: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::cache::Cache;
    use crate::embedded::vfs::{RealVfs, Vfs};
    use crate::{Expected, Filter, StreamWrite};

    fn writer(dir: &std::path::Path) -> (Writer, Arc<Log>) {
        let (vfs, cache): (Arc<dyn Vfs>, _) = (Arc::new(RealVfs), Cache::new(1 << 20));
        let folder = Folder::new(vfs, dir.to_owned(), cache);
        let bell = Arc::new(Bell::new());
        let segments = folder.open().unwrap();
        let active = Arc::clone(&segments.in_order[0]);
        let log = Arc::new(Log::new(segments, &folder, Arc::clone(&bell)));
        (Writer::new(folder, Arc::clone(&log), bell, 1 << 20, Announcer::new(0), active), log)
    }

    fn commit(
        writer: &mut Writer,
        requests: impl IntoIterator<Item = Request>,
    ) -> Vec<Result<Vec<Appended>, AppendError>> {
        writer.begin();
        let results = requests.into_iter().map(|request| writer.stage(request)).collect();
        writer.commit().unwrap();
        results
    }

    fn append(expected: Expected, ids: std::ops::Range<u128>) -> Request {
        let event = |id| NewEvent {
            id: Uuid::from_u128(id),
            kind: "Tested".into(),
            data: "{}".into(),
            metadata: "".into(),
            is_json: true,
        };
        let stream = StreamId::new("order", 1).unwrap();
        let events = ids.map(event).collect();
        Request::Append(vec![StreamWrite { stream, expected, events }].into())
    }

    #[test]
    fn appends_of_one_commit_see_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, log) = writer(dir.path());

        let results = commit(
            &mut writer,
            [
                append(Expected::NoStream, 0..2),
                append(Expected::NoStream, 0..2),
                append(Expected::NoStream, 2..3),
                append(Expected::At(Revision(1)), 2..3),
                append(Expected::Any, 1..4),
            ],
        );

        let end = |n| Ok(vec![Appended { revision: Revision(n), position: Position(n) }]);
        assert_eq!(results[0], end(1));
        assert_eq!(results[1], end(1), "a repeat of an append of the same commit");
        assert!(matches!(results[2], Err(AppendError::Conflict { actual: Some(Revision(1)), .. })));
        assert_eq!(results[3], end(2));
        assert!(matches!(results[4], Err(AppendError::IdReused { .. })));
        let mut scan = crate::embedded::log::Scan { window: 0..3, filter: Arc::new(Filter::all()) };
        assert_eq!(log.scan(&mut scan, Io::Never).unwrap().count(), 3);
    }

    #[test]
    fn a_stream_is_deleted_begun_anew_and_ended_in_one_commit() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, log) = writer(dir.path());
        let stream = StreamId::new("order", 1).unwrap();
        let delete = |at| {
            let expected = Expected::At(Revision(at));
            Request::Delete { stream: stream.clone(), expected }
        };

        let results = commit(
            &mut writer,
            [
                append(Expected::NoStream, 0..2),
                delete(1),
                delete(1),
                append(Expected::StreamExists, 2..3),
                append(Expected::NoStream, 2..3),
                delete(2),
                append(Expected::At(Revision(2)), 3..4),
                Request::Tombstone { stream: stream.clone(), expected: Expected::StreamExists },
                append(Expected::Any, 5..6),
                append(Expected::Any, 3..4),
            ],
        );

        let place = |revision, position| {
            Ok(vec![Appended { revision: Revision(revision), position: Position(position) }])
        };
        assert_eq!(results[..3], [place(1, 1), place(0, 2), place(0, 2)]);
        assert!(matches!(results[3], Err(AppendError::Conflict { .. })));
        // Each beginning is followed by an event of its own in the metadata stream.
        assert_eq!(results[4..8], [place(2, 3), place(2, 5), place(3, 6), place(4, 8)]);
        assert_eq!(results[8], Err(AppendError::Deleted { stream: stream.clone() }));
        assert_eq!(results[9], place(3, 6), "a repeat");
        assert!(log.lifetimes().of(&stream).tombstoned);
    }

    #[test]
    fn a_commit_of_nothing_new_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, log) = writer(dir.path());
        commit(&mut writer, [append(Expected::Any, 0..2)])[0].clone().unwrap();
        let before = log.segments()[0].length();

        commit(&mut writer, [append(Expected::Any, 0..2), append(Expected::NoStream, 5..6)]);

        assert_eq!(log.segments()[0].length(), before);
    }
}
