use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures::{Stream, stream};
use parking_lot::RwLock;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    AppendError, Appended, AtomicAppend, Direction, EventStore, Expected, Filter, Limits, NewEvent,
    Position, ReadError, Recorded, Revision, StreamId, StreamWrite, Tailed,
};

/// Most events that a tail looks at while it holds the lock.
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

    /// The matching events after a position, at most a chunk's worth of the log, and the index at
    /// which to go on.
    fn chunk(&self, from: usize, filter: &Filter) -> (Vec<Recorded>, usize) {
        let log = self.log.read();
        let end = log.events.len().min(from + CHUNK);
        let matching = log.events[from.min(end)..end]
            .iter()
            .filter(|event| filter.matches(event.stream.as_str(), &event.kind))
            .cloned()
            .collect();
        (matching, end)
    }
}

impl Log {
    /// What an earlier append of the same events returned; `None` where there was none.
    fn repeated(&self, write: &StreamWrite) -> Result<Option<Appended>, AppendError> {
        let known: Vec<_> = write.events.iter().map(|event| self.ids.get(&event.id)).collect();
        let Some(first) = known.iter().position(Option::is_some) else { return Ok(None) };
        let reused = || AppendError::IdReused { id: write.events[first].id };
        let start = *known[0].ok_or_else(reused)?;
        let contiguous = known.iter().enumerate().all(|(n, &at)| {
            at.is_some_and(|&at| at == start + n && self.events[at].stream == write.stream)
        });
        if !contiguous {
            return Err(reused());
        }
        let last = &self.events[start + write.events.len() - 1];
        Ok(Some(Appended { revision: last.revision, position: last.position }))
    }

    fn check(&self, write: &StreamWrite) -> Result<(), AppendError> {
        let actual = self.streams.get(&write.stream).map(|s| Revision(s.len() as u64 - 1));
        let holds = match write.expected {
            Expected::Any => true,
            Expected::NoStream => actual.is_none(),
            Expected::StreamExists => actual.is_some(),
            Expected::At(revision) => actual == Some(revision),
        };
        if holds {
            return Ok(());
        }
        Err(AppendError::Conflict {
            stream: write.stream.clone(),
            expected: write.expected,
            actual,
        })
    }

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
        let log = self.log.read();
        let places = log.streams.get(stream).map_or(&[][..], Vec::as_slice);
        let from = usize::try_from(from.0).unwrap_or(usize::MAX);
        let event = |&at: &usize| Ok(log.events[at].clone());
        let events: Vec<_> = match direction {
            Direction::Forward => places.iter().skip(from).map(event).collect(),
            Direction::Backward => {
                let end = places.len().min(from.saturating_add(1));
                places[..end].iter().rev().map(event).collect()
            }
        };
        stream::iter(events)
    }

    fn read_all(
        &self,
        after: Option<Position>,
        filter: Filter,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        let end = self.log.read().events.len();
        let state = (self.clone(), next_index(after), filter);
        let chunks = stream::unfold(state, move |(store, from, filter)| async move {
            if from >= end {
                return None;
            }
            let (events, next) = store.chunk(from, &filter);
            let events: Vec<_> =
                events.into_iter().filter(|e| e.position.0 < end as u64).map(Ok).collect();
            Some((stream::iter(events), (store, next, filter)))
        });
        futures::StreamExt::flatten(chunks)
    }

    fn tail(
        &self,
        after: Option<Position>,
        filter: Filter,
    ) -> impl Stream<Item = Result<Tailed, ReadError>> + Send + 'static {
        let state = (self.clone(), self.length.subscribe(), next_index(after), filter);
        let chunks = stream::unfold(state, |(store, mut length, from, filter)| async move {
            length.wait_for(|&length| length > from).await.ok()?;
            let (events, next) = store.chunk(from, &filter);
            let caught_up = Position(next as u64 - 1);
            let items = events.into_iter().map(Tailed::Event).chain([Tailed::CaughtUp(caught_up)]);
            let items: Vec<_> = items.map(Ok).collect();
            Some((stream::iter(items), (store, length, next, filter)))
        });
        futures::StreamExt::flatten(chunks)
    }

    async fn head(&self) -> Result<Option<Position>, ReadError> {
        Ok(self.log.read().events.last().map(|event| event.position))
    }
}

impl AtomicAppend for MemoryStore {
    async fn append_all(&self, writes: Vec<StreamWrite>) -> Result<Vec<Appended>, AppendError> {
        self.limits.check(&writes)?;
        let mut log = self.log.write();
        let repeated = writes.iter().map(|w| log.repeated(w)).collect::<Result<Vec<_>, _>>()?;
        if let Some(appended) = repeated.iter().copied().collect::<Option<Vec<_>>>() {
            return Ok(appended);
        }
        if let Some(known) = repeated.iter().position(Option::is_some) {
            return Err(AppendError::IdReused { id: writes[known].events[0].id });
        }
        writes.iter().try_for_each(|write| log.check(write))?;
        let now = now();
        let appended = writes.into_iter().map(|write| log.push(write, now)).collect();
        self.length.send_replace(log.events.len());
        Ok(appended)
    }
}
