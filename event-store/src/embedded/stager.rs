use std::mem;
use std::sync::Arc;

use hashbrown::HashMap;
use uuid::Uuid;

use super::cache::Io;
use super::error::Fault;
use super::format::{FRAME_HEADER, encode_record};
use super::heads::Heads;
use super::log::Log;
use super::vfs::Vfs;
use crate::admission::{self, Admission, History, Place, Request, Write};
use crate::lifetimes::{self, Changes, Lifetime};
use crate::planted::{self, Bug};
use crate::{
    AppendError, Appended, NewEvent, Position, Recorded, RecordedEvent, Revision, StreamId,
};

/// Judges requests one after another, and puts the events of good ones into the next frame. That is
/// [taken](Self::take) to be written; while it is, the one after it can be staged.
#[derive(Debug)]
pub(crate) struct Stager {
    log: Arc<Log>,
    vfs: Arc<dyn Vfs>,
    recorded_at: i64,
    /// Of streams that were written to of late.
    heads: Heads,
    frame: Frame,
    /// Of the frame's streams.
    staged_heads: HashMap<StreamId, Revision>,
    staged_ids: HashMap<(StreamId, Uuid), Place>,
    in_flight: InFlight,
    /// Whether it may look at the disk now.
    io: Io,
}

/// Events that are to be written as one.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    /// The position of the first.
    pub(crate) first: u64,
    /// The header's are still to be filled in.
    pub(crate) bytes: Vec<u8>,
    /// With their offsets in the bytes.
    pub(crate) events: Vec<(RecordedEvent, usize)>,
    /// What they say of streams' lifetimes.
    pub(crate) changes: Changes,
}

/// What is known of a frame that was taken, until the log shows it.
#[derive(Debug, Default)]
struct InFlight {
    heads: HashMap<StreamId, Revision>,
    /// Whether it changes the lifetime of any stream.
    bounds: bool,
}

/// Why a request is not staged.
#[derive(Debug)]
pub(crate) enum Unstaged {
    Refused(AppendError),
    /// To judge it takes a look at the disk, or at what the frame in flight has become.
    NotYet,
}

impl From<AppendError> for Unstaged {
    fn from(error: AppendError) -> Self {
        Self::Refused(error)
    }
}

impl Frame {
    fn new(first: u64, likely: usize) -> Self {
        let mut bytes = Vec::with_capacity(likely);
        bytes.resize(FRAME_HEADER, 0);
        Self { first, bytes, events: Vec::new(), changes: Changes::new() }
    }

    /// The position after the last event.
    fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }
}

impl Stager {
    /// For a store with so many events.
    pub(crate) fn new(log: Arc<Log>, vfs: Arc<dyn Vfs>, head: u64) -> Self {
        let before = log.segments().iter().map(|segment| segment.recorded_at()).max();
        Self {
            log,
            vfs,
            recorded_at: before.unwrap_or_default(),
            heads: Heads::default(),
            frame: Frame::new(head, 0),
            staged_heads: HashMap::default(),
            staged_ids: HashMap::default(),
            in_flight: InFlight::default(),
            io: Io::Never,
        }
    }

    /// The frame, which is in flight from now on. The one before is not.
    pub(crate) fn take(&mut self) -> Frame {
        // Its bytes go to its readers; the next one is likely as long.
        let next = Frame::new(self.frame.end(), self.frame.bytes.len());
        let frame = mem::replace(&mut self.frame, next);
        self.staged_ids.clear();
        mem::swap(&mut self.in_flight.heads, &mut self.staged_heads);
        self.in_flight.bounds = !frame.changes.is_empty();
        if planted::is(Bug::ClockGoesBack) {
            self.recorded_at = 0;
        }
        frame
    }

    /// The log shows the frame that was in flight.
    pub(crate) fn landed(&mut self) {
        for (stream, last) in self.in_flight.heads.drain() {
            self.heads.set(stream, last);
        }
        self.in_flight.bounds = false;
    }

    /// The frame in flight was not written, and what was staged after it is not going to be.
    pub(crate) fn undo(&mut self, head: u64) {
        self.in_flight.heads.clear();
        self.in_flight.bounds = false;
        self.frame = Frame::new(head, 0);
        self.staged_heads.clear();
        self.staged_ids.clear();
    }

    /// Judges a request after those before it. A good one's events go into the frame; the result
    /// counts once that is durable. Nothing is in flight.
    pub(crate) fn stage(&mut self, mut request: Request) -> Result<Vec<Appended>, AppendError> {
        self.stage_with(&mut request, Io::Allowed).unwrap_or_else(|| {
            let reason = "the append cannot be judged now; try again".into();
            Err(AppendError::Unavailable { reason })
        })
    }

    /// The same without I/O, also while a frame is in flight. `None` if that will not do: the request
    /// is as it was.
    pub(crate) fn stage_at_once(
        &mut self,
        request: &mut Request,
    ) -> Option<Result<Vec<Appended>, AppendError>> {
        self.stage_with(request, Io::Never)
    }

    fn stage_with(
        &mut self,
        request: &mut Request,
        io: Io,
    ) -> Option<Result<Vec<Appended>, AppendError>> {
        self.recorded_at = self.recorded_at.max(self.vfs.now());
        self.io = io;
        match admission::admit(self, request) {
            Ok(Admission::Repeated(appended)) => Some(Ok(appended)),
            Ok(Admission::Fresh { writes, answers }) => {
                let appended: Vec<_> =
                    writes.into_iter().map(|write| self.stage_write(write)).collect();
                Some(Ok(answers.into_iter().map(|at| appended[at]).collect()))
            }
            Err(Unstaged::Refused(error)) => Some(Err(error)),
            Err(Unstaged::NotYet) => None,
        }
    }

    fn stage_write(&mut self, write: Write) -> Appended {
        let Write { stream, first: Revision(first), events } = write;
        let position = self.frame.end();
        let end = Appended {
            revision: Revision(first + events.len() as u64 - 1),
            position: Position(position + events.len() as u64 - 1),
        };
        for (event, n) in events.into_iter().zip(0..) {
            self.stage_event(&stream, event, Revision(first + n), Position(position + n));
        }
        self.staged_heads.insert(stream, end.revision);
        end
    }

    fn stage_event(
        &mut self,
        stream: &StreamId,
        event: NewEvent,
        revision: Revision,
        position: Position,
    ) {
        let (frame, recorded_at) = (&mut self.frame, self.recorded_at);
        let offset = frame.bytes.len();
        let place = (position.0, revision);
        encode_record(&mut frame.bytes, (stream, &event), place, recorded_at);
        if let Some((of, lifetime)) =
            lifetimes::change(stream.as_str(), &event.kind, revision, &event.data)
        {
            lifetimes::take(&mut frame.changes, of, lifetime);
        }
        self.staged_ids.insert((stream.clone(), event.id), Place { revision, position });
        let event = RecordedEvent::from_new(event, stream.clone(), revision, position, recorded_at);
        frame.events.push((event, offset));
    }

    /// Of a stream that the frame in flight concerns, nothing can be told before that has landed.
    fn settled(&self, stream: &StreamId) -> Result<(), Unstaged> {
        let InFlight { heads, bounds } = &self.in_flight;
        let concerned = *bounds || heads.contains_key(stream);
        if concerned && !planted::is(Bug::FlightUnheeded) { Err(Unstaged::NotYet) } else { Ok(()) }
    }

    fn unread(&self, fault: Fault) -> Unstaged {
        match fault {
            Fault::NotCached => Unstaged::NotYet,
            fault @ Fault::Read(_) => {
                let reason = self.log.report(fault).to_string();
                AppendError::Unavailable { reason }.into()
            }
        }
    }
}

impl History for Stager {
    type Error = Unstaged;

    fn last(&mut self, stream: &StreamId) -> Result<Option<Revision>, Unstaged> {
        self.settled(stream)?;
        let known = self.staged_heads.get(stream).copied().or_else(|| self.heads.get(stream));
        if known.is_some() || planted::is(Bug::RevisionsForgotten) {
            return Ok(known);
        }
        self.log.last_revision(stream, self.io).map_err(|fault| self.unread(fault))
    }

    fn lacks(&mut self, stream: &StreamId, events: &[NewEvent]) -> bool {
        let has_others = self.staged_heads.contains_key(stream) || self.settled(stream).is_err();
        let unknown = has_others || planted::is(Bug::IdsOverStreams);
        !unknown && self.log.snapshot().lacks(stream, events)
    }

    fn find(&mut self, stream: &StreamId, id: Uuid) -> Result<Option<Place>, Unstaged> {
        self.settled(stream)?;
        match self.staged_ids.get(&(stream.clone(), id)) {
            Some(_) if planted::is(Bug::IdsOfCommitUnseen) => Ok(None),
            Some(place) => Ok(Some(*place)),
            None => self.log.find(stream, id, self.io).map_err(|fault| self.unread(fault)),
        }
    }

    fn lifetime(&mut self, stream: &StreamId) -> Lifetime {
        self.log.lifetimes().of_after(&self.frame.changes, stream)
    }

    fn metadata(&mut self, stream: &StreamId) -> Result<Option<Recorded>, Unstaged> {
        self.settled(stream)?;
        let mut staged = self.frame.events.iter().rev().map(|(event, _)| event);
        if let Some(event) = staged.find(|event| event.stream == *stream) {
            return Ok(Some(event.clone().into()));
        }
        let end = self.frame.first;
        self.log.last_event(stream, end, self.io).map_err(|fault| self.unread(fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::cache::Cache;
    use crate::embedded::maintenance::Bell;
    use crate::embedded::open::Folder;
    use crate::embedded::tails::Announcer;
    use crate::embedded::vfs::RealVfs;
    use crate::embedded::writer::Writer;
    use crate::{Expected, Filter, StreamCheck, StreamWrite, Transaction};

    struct Given {
        stager: Stager,
        writer: Writer,
        log: Arc<Log>,
    }

    impl Given {
        fn new(dir: &std::path::Path) -> Self {
            let (vfs, cache): (Arc<dyn Vfs>, _) = (Arc::new(RealVfs), Cache::new(1 << 20));
            let folder = Folder::new(Arc::clone(&vfs), dir.to_owned(), cache);
            let bell = Arc::new(Bell::new());
            let segments = folder.open().unwrap();
            let active = Arc::clone(&segments.in_order[0]);
            let log = Arc::new(Log::new(segments, &folder, Arc::clone(&bell)));
            let stager = Stager::new(Arc::clone(&log), vfs, 0);
            let announcer = Announcer::new(0);
            let writer = Writer::new(folder, Arc::clone(&log), bell, 1 << 20, announcer, active);
            Self { stager, writer, log }
        }

        fn stage(
            &mut self,
            requests: impl IntoIterator<Item = Request>,
        ) -> Vec<Result<Vec<Appended>, AppendError>> {
            requests.into_iter().map(|request| self.stager.stage(request)).collect()
        }

        fn land(&mut self, frame: Frame) {
            self.writer.commit(frame).unwrap();
            self.stager.landed();
        }

        fn commit(
            &mut self,
            requests: impl IntoIterator<Item = Request>,
        ) -> Vec<Result<Vec<Appended>, AppendError>> {
            let results = self.stage(requests);
            let frame = self.stager.take();
            self.land(frame);
            results
        }
    }

    fn place(revision: u64, position: u64) -> Vec<Appended> {
        vec![Appended { revision: Revision(revision), position: Position(position) }]
    }

    fn append(expected: Expected, ids: std::ops::Range<u128>) -> Request {
        append_to(&StreamId::new("order", 1).unwrap(), expected, ids)
    }

    fn append_to(stream: &StreamId, expected: Expected, ids: std::ops::Range<u128>) -> Request {
        Request::Append(vec![write(stream, expected, ids)].into())
    }

    fn write(stream: &StreamId, expected: Expected, ids: std::ops::Range<u128>) -> StreamWrite {
        let event = |id| NewEvent {
            id: Uuid::from_u128(id),
            kind: "Tested".into(),
            data: "{}".into(),
            metadata: "".into(),
            is_json: true,
        };
        let (stream, events) = (stream.clone(), ids.map(event).collect());
        StreamWrite { stream, expected, events }
    }

    #[test]
    fn appends_of_one_commit_see_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Given::new(dir.path());

        let results = store.commit([
            append(Expected::NoStream, 0..2),
            append(Expected::NoStream, 0..2),
            append(Expected::NoStream, 2..3),
            append(Expected::At(Revision(1)), 2..3),
            append(Expected::Any, 1..4),
        ]);

        assert_eq!(results[0], Ok(place(1, 1)));
        assert_eq!(results[1], Ok(place(1, 1)), "a repeat of an append of the same commit");
        assert!(matches!(results[2], Err(AppendError::Conflict { actual: Some(Revision(1)), .. })));
        assert_eq!(results[3], Ok(place(2, 2)));
        assert!(matches!(results[4], Err(AppendError::IdReused { .. })));
        let mut scan = crate::embedded::log::Scan { window: 0..3, filter: Arc::new(Filter::all()) };
        assert_eq!(store.log.scan(&mut scan, Io::Never).unwrap().count(), 3);
    }

    #[test]
    fn a_stream_is_deleted_begun_anew_and_ended_in_one_commit() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Given::new(dir.path());
        let stream = StreamId::new("order", 1).unwrap();
        let delete = |at| {
            let expected = Expected::At(Revision(at));
            Request::Delete { stream: stream.clone(), expected }
        };

        let results = store.commit([
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
        ]);

        assert_eq!(results[..3], [Ok(place(1, 1)), Ok(place(0, 2)), Ok(place(0, 2))]);
        assert!(matches!(results[3], Err(AppendError::Conflict { .. })));
        // Each beginning is followed by an event of its own in the metadata stream.
        assert_eq!(
            results[4..8],
            [Ok(place(2, 3)), Ok(place(2, 5)), Ok(place(3, 6)), Ok(place(4, 8))]
        );
        assert_eq!(results[8], Err(AppendError::Deleted { stream: stream.clone() }));
        assert_eq!(results[9], Ok(place(3, 6)), "a repeat");
        assert!(store.log.lifetimes().of(&stream).tombstoned);
    }

    #[test]
    fn a_commit_of_nothing_new_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Given::new(dir.path());
        store.commit([append(Expected::Any, 0..2)])[0].clone().unwrap();
        let before = store.log.segments()[0].length();

        store.commit([append(Expected::Any, 0..2), append(Expected::NoStream, 5..6)]);

        assert_eq!(store.log.segments()[0].length(), before);
    }
    #[test]
    fn what_concerns_a_frame_in_flight_waits_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Given::new(dir.path());
        let [one, two, three] = [1, 2, 3].map(|n| StreamId::new("order", n).unwrap());
        let any = Expected::Any;
        store.stage([append_to(&one, any, 0..2)])[0].clone().unwrap();
        let frame = store.stager.take();

        let checked = StreamCheck { stream: one.clone(), expected: any };
        let checking =
            Request::Append(Transaction::from(vec![write(&two, any, 5..6)]).checked(vec![checked]));
        let ended =
            |stream: &StreamId| Request::Tombstone { stream: stream.clone(), expected: any };
        let mut later = [
            append_to(&one, Expected::At(Revision(1)), 2..3),
            append_to(&one, any, 0..2),
            Request::Delete { stream: one.clone(), expected: any },
            ended(&one),
            checking,
        ];
        for request in &mut later {
            assert_eq!(store.stager.stage_at_once(request), None);
        }
        let mut other = append_to(&two, Expected::NoStream, 3..4);
        assert_eq!(store.stager.stage_at_once(&mut other), Some(Ok(place(0, 2))));
        let mut again = append_to(&two, Expected::Any, 3..4);
        assert_eq!(store.stager.stage_at_once(&mut again), Some(Ok(place(0, 2))), "a repeat");

        store.land(frame);
        let results = store.commit(later);
        assert_eq!(results[..2], [Ok(place(2, 3)), Ok(place(1, 1))], "they are as they were");
        assert_eq!(results[2], Ok(place(0, 4)), "of the metadata");
        assert_eq!(results[3], Ok(place(3, 5)));
        assert!(matches!(results[4], Err(AppendError::Violated { .. })));
        assert_eq!(store.log.segments()[0].count(), 6);

        // What a frame says of one stream's lifetime may concern any.
        store.stage([ended(&two)])[0].clone().unwrap();
        let frame = store.stager.take();
        let mut other = append_to(&three, any, 7..8);
        assert_eq!(store.stager.stage_at_once(&mut other), None);
        store.land(frame);
        assert_eq!(store.commit([other])[0], Ok(place(0, 7)));
    }

    #[test]
    fn what_was_staged_behind_a_lost_frame_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Given::new(dir.path());
        let [one, two] = [1, 2].map(|n| StreamId::new("order", n).unwrap());
        store.commit([append_to(&one, Expected::NoStream, 0..1)])[0].clone().unwrap();

        store.stage([append_to(&one, Expected::Any, 1..2)])[0].clone().unwrap();
        let lost = store.stager.take();
        let mut behind = append_to(&two, Expected::Any, 2..3);
        assert_eq!(store.stager.stage_at_once(&mut behind), Some(Ok(place(0, 2))));
        drop(lost);
        store.stager.undo(1);

        let retried = [append_to(&two, Expected::NoStream, 2..3), append(Expected::Any, 1..2)];
        assert_eq!(store.commit(retried), [Ok(place(0, 1)), Ok(place(1, 2))]);
    }
}
