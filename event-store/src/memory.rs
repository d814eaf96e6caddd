use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures::{Stream, StreamExt, stream};
use parking_lot::RwLock;
use tokio::sync::watch;
use uuid::Uuid;

use crate::admission::{self, Admission, History, Place};
use crate::{
    AppendError, Appended, AtomicAppend, Direction, EventStore, Expected, Filter, Limits, NewEvent,
    Position, ReadError, Recorded, Revision, StreamId, StreamWrite, Tailed,
};

/// Most events that a reader looks at while it holds the lock.
const CHUNK: usize = 1_024;

/// A store in memory: gone with the process, otherwise the same promises as every other.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    log: Arc<RwLock<Log>>,
    length: Arc<watch::Sender<usize>>,
    limits: Limits,
}

/// The events in order, and where to find them. A position is an index into `events`.
#[derive(Debug, Default)]
struct Log {
    events: Vec<Recorded>,
    streams: HashMap<StreamId, Vec<usize>>,
    ids: HashMap<Uuid, usize>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl MemoryStore {
    /// An empty store with limits of its own.
    pub fn new(limits: Limits) -> Self {
        Self { log: Arc::default(), length: Arc::new(watch::Sender::new(0)), limits }
    }
}

impl Log {
    fn push(&mut self, write: StreamWrite, now: i64) -> Appended {
        let places = self.streams.entry(write.stream.clone()).or_default();
        for NewEvent { id, kind, data, metadata } in write.events {
            let at = self.events.len();
            let revision = Revision(places.len() as u64);
            let recorded_at = self.events.last().map_or(now, |last| last.recorded_at.max(now));
            places.push(at);
            self.ids.insert(id, at);
            self.events.push(Recorded {
                stream: write.stream.clone(),
                revision,
                position: Position(at as u64),
                recorded_at,
                id,
                kind,
                data,
                metadata,
            });
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

    /// The events of the first chunk (or last, read backward) of a range of revisions; the range
    /// shrinks to what is left.
    fn revisions(
        &self,
        stream: &StreamId,
        range: &mut Range<usize>,
        direction: Direction,
    ) -> Vec<Recorded> {
        let places = &self.streams[stream];
        let event = |&at: &usize| self.events[at].clone();
        match direction {
            Direction::Forward => {
                let chunk = range.start..range.end.min(range.start + CHUNK);
                range.start = chunk.end;
                places[chunk].iter().map(event).collect()
            }
            Direction::Backward => {
                let chunk = range.start.max(range.end.saturating_sub(CHUNK))..range.end;
                range.end = chunk.start;
                places[chunk].iter().rev().map(event).collect()
            }
        }
    }
}

impl History for Log {
    fn last(&mut self, stream: &StreamId) -> Result<Option<Revision>, AppendError> {
        Ok(self.streams.get(stream).map(|places| Revision(places.len() as u64 - 1)))
    }

    fn find(&mut self, id: Uuid) -> Result<Option<Place>, AppendError> {
        Ok(self.ids.get(&id).map(|&at| {
            let Recorded { stream, revision, position, .. } = &self.events[at];
            Place { stream: stream.clone(), revision: *revision, position: *position }
        }))
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
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
        let appended = self.append_all(vec![write]).await?;
        Ok(appended[0])
    }

    fn read(
        &self,
        stream: &StreamId,
        from: Revision,
        direction: Direction,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        let length = self.log.read().streams.get(stream).map_or(0, Vec::len);
        let from = usize::try_from(from.0).unwrap_or(usize::MAX);
        let range = match direction {
            Direction::Forward => from.min(length)..length,
            Direction::Backward => 0..length.min(from.saturating_add(1)),
        };
        let (log, stream) = (Arc::clone(&self.log), stream.clone());
        chunks(range, move |range| log.read().revisions(&stream, range, direction))
    }

    fn read_all(
        &self,
        after: Option<Position>,
        filter: Filter,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        let log = Arc::clone(&self.log);
        let end = log.read().events.len();
        chunks(next_index(after).min(end)..end, move |range| log.read().scan(range, &filter))
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
}

/// The events that `next` takes off a range until nothing of it is left.
fn chunks(
    range: Range<usize>,
    mut next: impl FnMut(&mut Range<usize>) -> Vec<Recorded> + Send + 'static,
) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
    let mut range = range;
    let chunks = std::iter::from_fn(move || (!range.is_empty()).then(|| next(&mut range)));
    stream::iter(chunks.flatten().map(Ok))
}

impl AtomicAppend for MemoryStore {
    async fn append_all(&self, writes: Vec<StreamWrite>) -> Result<Vec<Appended>, AppendError> {
        self.limits.check(&writes)?;
        let mut log = self.log.write();
        if let Admission::Repeated(appended) = admission::admit(&mut *log, &writes)? {
            return Ok(appended);
        }
        let now = now();
        let appended = writes.into_iter().map(|write| log.push(write, now)).collect();
        self.length.send_replace(log.events.len());
        Ok(appended)
    }
}
