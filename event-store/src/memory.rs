use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use parking_lot::RwLock;
use tokio::sync::watch;
use tokio::task::coop;
use uuid::Uuid;

use crate::admission::{self, Admission, History, Place, Request, Write};
use crate::clock::{self, Clock};
use crate::lifetimes::{self, Lifetime, Lifetimes};
use crate::{
    AppendError, Appended, AtomicAppend, Direction, EventStore, Expected, Filter, IndexStream,
    Limits, Listed, NewEvent, Position, ReadError, Recorded, RecordedEvent, Revision, StreamId,
    StreamWrite, Tailed, Transaction,
};

/// Most events that a reader looks at while it holds the lock.
const CHUNK: usize = 1_024;

/// A store in memory: gone with the process, otherwise the same promises as every other.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    log: Arc<RwLock<Log>>,
    length: Arc<watch::Sender<usize>>,
    limits: Limits,
    clock: Clock,
}

/// The events in order, and where to find them. A position is an index into `events`.
#[derive(Debug, Default)]
struct Log {
    events: Vec<Recorded>,
    streams: HashMap<StreamId, Vec<usize>>,
    indexes: HashMap<IndexStream, Vec<usize>>,
    ids: HashMap<(StreamId, Uuid), usize>,
    lifetimes: Lifetimes,
}

/// How far a read of a stream has come.
#[derive(Debug)]
struct StreamScan {
    stream: StreamId,
    direction: Direction,
    /// The revisions still to look at, and the stream's last when the read began.
    range: Range<usize>,
    last: Revision,
    /// What bounded the stream when the read began, for the first look; later ones take what
    /// bounds it then.
    began: Option<Lifetime>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl MemoryStore {
    /// An empty store with limits of its own.
    pub fn new(limits: Limits) -> Self {
        Self::with_clock(limits, clock::system)
    }

    /// An empty store with limits and a clock of its own, which tells the time in microseconds
    /// since 1970-01-01T00:00:00Z.
    pub fn with_clock(limits: Limits, clock: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        let length = Arc::new(watch::Sender::new(0));
        Self { log: Arc::default(), length, limits, clock: Clock::new(clock) }
    }

    fn write(&self, mut request: Request) -> Result<Vec<Appended>, AppendError> {
        request.check(&self.limits)?;
        let mut log = self.log.write();
        match admission::admit(&mut *log, &mut request)? {
            Admission::Repeated(appended) => Ok(appended),
            Admission::Fresh { writes, answers } => {
                let now = self.clock.now();
                let appended: Vec<_> =
                    writes.into_iter().map(|write| log.push(write, now)).collect();
                self.length.send_replace(log.events.len());
                Ok(answers.into_iter().map(|at| appended[at]).collect())
            }
        }
    }

    fn write_one(&self, request: Request) -> Result<Appended, AppendError> {
        Ok(self.write(request)?[0])
    }
}

impl Log {
    fn push(&mut self, write: Write, now: i64) -> Appended {
        let places = self.streams.entry(write.stream.clone()).or_default();
        for event in write.events {
            let at = self.events.len();
            let revision = Revision(places.len() as u64);
            let recorded_at = self.events.last().map_or(now, |last| last.recorded_at.max(now));
            places.push(at);
            self.ids.insert((write.stream.clone(), event.id), at);
            let category = IndexStream::Category(write.stream.category().into());
            for index in [category, IndexStream::EventType(Arc::clone(&event.kind))] {
                self.indexes.entry(index).or_default().push(at);
            }
            let stream = write.stream.clone();
            self.lifetimes.extend(lifetimes::change(
                stream.as_str(),
                &event.kind,
                revision,
                &event.data,
            ));
            let position = Position(at as u64);
            let event = RecordedEvent::from_new(event, stream, revision, position, recorded_at);
            self.events.push(event.into());
        }
        let (revision, position) = (places.len() as u64 - 1, self.events.len() as u64 - 1);
        Appended { revision: Revision(revision), position: Position(position) }
    }

    /// The matching events of the first chunk of a range; the range shrinks to what is left.
    fn scan(&self, range: &mut Range<usize>, filter: &Filter) -> Vec<Recorded> {
        let chunk = range.start..range.end.min(range.start + CHUNK);
        range.start = chunk.end;
        let matches = |event: &&Recorded| filter.matches(event.stream.as_str(), &event.kind);
        self.events[chunk].iter().filter(matches).cloned().collect()
    }

    /// The events of the first chunk of a range of an index stream's ordinals (or the last, read
    /// backward); the range shrinks to what is left.
    fn listed(
        &self,
        index: &IndexStream,
        range: &mut Range<usize>,
        direction: Direction,
    ) -> Vec<Listed> {
        let listed = |ordinal: usize| Listed {
            ordinal: Revision(ordinal as u64),
            event: self.events[self.indexes[index][ordinal]].clone(),
        };
        match direction {
            Direction::Forward => {
                let chunk = range.start..range.end.min(range.start + CHUNK);
                range.start = chunk.end;
                chunk.map(listed).collect()
            }
            Direction::Backward => {
                let chunk = range.start.max(range.end.saturating_sub(CHUNK))..range.end;
                range.end = chunk.start;
                chunk.rev().map(listed).collect()
            }
        }
    }

    /// A read of a stream that begins now.
    fn begin(&self, stream: &StreamId, from: Revision, direction: Direction) -> StreamScan {
        let length = self.streams.get(stream).map_or(0, Vec::len);
        let range = bounded(length, from, direction);
        let last = Revision((length as u64).saturating_sub(1));
        let began = Some(self.lifetimes.of(stream));
        StreamScan { stream: stream.clone(), direction, range, last, began }
    }

    /// The live events of the first chunk (or last, read backward) of what is still to look at.
    fn revisions(&self, scan: &mut StreamScan, now: i64) -> Result<Vec<Recorded>, ReadError> {
        let lifetime = scan.began.take().unwrap_or_else(|| self.lifetimes.of(&scan.stream));
        if lifetime.tombstoned {
            scan.range = 0..0;
            return Err(ReadError::Deleted { stream: scan.stream.clone() });
        }
        let Some(places) = self.streams.get(&scan.stream) else { return Ok(Vec::new()) };
        let Range { start, end } = scan.range.clone();
        let event = |&at: &usize| self.events[at].clone();
        let bounds = lifetime.bounds(scan.last, || now);
        let is_live = |event: &Recorded| bounds.include(event.revision, event.recorded_at);
        Ok(match scan.direction {
            Direction::Forward => {
                scan.range.start = end.min(start + CHUNK);
                places[start..scan.range.start].iter().map(event).filter(is_live).collect()
            }
            Direction::Backward => {
                scan.range.end = start.max(end.saturating_sub(CHUNK));
                places[scan.range.end..end].iter().rev().map(event).filter(is_live).collect()
            }
        })
    }
}

impl History for Log {
    type Error = AppendError;

    fn last(&mut self, stream: &StreamId) -> Result<Option<Revision>, AppendError> {
        Ok(self.streams.get(stream).map(|places| Revision(places.len() as u64 - 1)))
    }

    fn find(&mut self, stream: &StreamId, id: Uuid) -> Result<Option<Place>, AppendError> {
        Ok(self.ids.get(&(stream.clone(), id)).map(|&at| {
            let RecordedEvent { revision, position, .. } = *self.events[at];
            Place { revision, position }
        }))
    }

    fn lifetime(&mut self, stream: &StreamId) -> Lifetime {
        self.lifetimes.of(stream)
    }

    fn metadata(&mut self, stream: &StreamId) -> Result<Option<Recorded>, AppendError> {
        let last = self.streams.get(stream).and_then(|places| places.last());
        Ok(last.map(|&at| self.events[at].clone()))
    }
}

/// The places of a list of some length that a read looks at.
fn bounded(length: usize, from: Revision, direction: Direction) -> Range<usize> {
    let from = usize::try_from(from.0).unwrap_or(usize::MAX);
    match direction {
        Direction::Forward => from.min(length)..length,
        Direction::Backward => 0..length.min(from.saturating_add(1)),
    }
}

fn next_index(after: Option<Position>) -> usize {
    after.map_or(0, |p| usize::try_from(p.0).unwrap_or(usize::MAX).saturating_add(1))
}

impl EventStore for MemoryStore {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        let write = StreamWrite { stream: stream.clone(), expected, events };
        self.write_one(Request::Append(vec![write].into()))
    }

    fn read(
        &self,
        stream: &StreamId,
        from: Revision,
        direction: Direction,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        let (log, clock) = (Arc::clone(&self.log), self.clock.clone());
        let mut scan = log.read().begin(stream, from, direction);
        let mut more = true;
        let chunks = std::iter::from_fn(move || {
            // A tombstone is reported of an empty stream as well.
            let first = std::mem::take(&mut more);
            (first || !scan.range.is_empty()).then(|| log.read().revisions(&mut scan, clock.now()))
        });
        flatten(chunks)
    }

    fn read_index(
        &self,
        index: &IndexStream,
        from: Revision,
        direction: Direction,
    ) -> impl Stream<Item = Result<Listed, ReadError>> + Send + 'static {
        let (log, index) = (Arc::clone(&self.log), index.clone());
        let length = log.read().indexes.get(&index).map_or(0, Vec::len);
        let mut range = bounded(length, from, direction);
        flatten(std::iter::from_fn(move || {
            (!range.is_empty()).then(|| Ok(log.read().listed(&index, &mut range, direction)))
        }))
    }

    fn read_all(
        &self,
        after: Option<Position>,
        filter: Filter,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        let log = Arc::clone(&self.log);
        let end = log.read().events.len();
        let mut range = next_index(after).min(end)..end;
        flatten(std::iter::from_fn(move || {
            (!range.is_empty()).then(|| Ok(log.read().scan(&mut range, &filter)))
        }))
    }

    fn read_all_backward(
        &self,
        before: Option<Position>,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        let log = Arc::clone(&self.log);
        let length = log.read().events.len();
        let mut end = before.map_or(length, |p| usize::try_from(p.0).unwrap_or(length).min(length));
        flatten(std::iter::from_fn(move || {
            let chunk = end.saturating_sub(CHUNK)..end;
            end = chunk.start;
            let events = |log: &Log| log.events[chunk.clone()].iter().rev().cloned().collect();
            (!chunk.is_empty()).then(|| Ok(events(&log.read())))
        }))
    }

    fn tail(
        &self,
        after: Option<Position>,
        filter: Filter,
    ) -> impl Stream<Item = Result<Tailed, ReadError>> + Send + 'static {
        // Without the sender, so that the tail ends when the last handle of the store is gone.
        let (log, length) = (Arc::clone(&self.log), self.length.subscribe());
        let state = (log, length, next_index(after), filter, false);
        let chunks = stream::unfold(state, |(log, mut length, from, filter, told)| async move {
            // The first time, a tail that starts at the head says so at once.
            let due = |&length: &usize| length > from || (!told && from > 0 && length == from);
            let end = *length.wait_for(due).await.ok()?;
            let mut range = from..end;
            let events = log.read().scan(&mut range, &filter);
            let caught_up = (range.is_empty() || events.is_empty())
                .then(|| Tailed::CaughtUp(Position(range.start as u64 - 1)));
            let items: Vec<_> =
                events.into_iter().map(Tailed::Event).chain(caught_up).map(Ok).collect();
            Some((stream::iter(items), (log, length, range.start, filter, true)))
        });
        chunks.flatten()
    }

    async fn head(&self) -> Result<Option<Position>, ReadError> {
        Ok(self.log.read().events.last().map(|event| event.position))
    }

    async fn delete(&self, stream: &StreamId, expected: Expected) -> Result<Appended, AppendError> {
        self.write_one(Request::Delete { stream: stream.clone(), expected })
    }

    async fn tombstone(
        &self,
        stream: &StreamId,
        expected: Expected,
    ) -> Result<Appended, AppendError> {
        self.write_one(Request::Tombstone { stream: stream.clone(), expected })
    }
}

fn flatten<T: Send + 'static>(
    chunks: impl Iterator<Item = Result<Vec<T>, ReadError>> + Send + 'static,
) -> impl Stream<Item = Result<T, ReadError>> + Send + 'static {
    let items = |chunk: Result<Vec<T>, ReadError>| match chunk {
        Ok(events) => events.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    };
    let chunks = stream::unfold(chunks, move |mut chunks| async move {
        // They are always ready: the runtime's other tasks have their turn, too.
        coop::consume_budget().await;
        Some((stream::iter(items(chunks.next()?)), chunks))
    });
    chunks.flatten()
}

impl AtomicAppend for MemoryStore {
    async fn commit(&self, transaction: Transaction) -> Result<Vec<Appended>, AppendError> {
        self.write(Request::Append(transaction))
    }
}
