//! Histories of concurrent operations on the real store, each of which must be linearizable; and
//! stores with a slip, whose histories are found not to be.
//!
//! `TORTURE_HISTORIES` says how many.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use daybook_event_store::{
    AppendError, Appended, AtomicAppend, Direction, EmbeddedOptions, EmbeddedStore, EventStore,
    Expected, NewEvent, Position, Revision, StreamId, StreamWrite,
};
use fastrand::Rng;
use futures::TryStreamExt;
use futures::executor::block_on;
use uuid::Uuid;

use crate::checker::{Operation, Share, What, broken};
use crate::kills::number;

const THREADS: u64 = 6;
const OPERATIONS: usize = 40;
const STREAMS: u32 = 3;

/// What a careless store does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slip {
    /// It acknowledges before it appends.
    EarlyAcknowledgement,
    /// Now and then it reads what it read before.
    StaleReads,
    /// It appends whatever is expected.
    ExpectationIgnored,
    /// It appends retries again.
    RetriesForgotten,
    /// It appends to several streams one after another.
    BatchesTorn,
    /// Now and then it tells an old head.
    StaleHead,
}

/// The real store, with a slip if any.
struct Subject {
    store: EmbeddedStore,
    slip: Option<Slip>,
    calls: AtomicU64,
    reads: Mutex<HashMap<StreamId, Option<(Revision, Uuid)>>>,
    head: Mutex<Option<Position>>,
}

impl Subject {
    fn append(&self, mut writes: Vec<StreamWrite>) -> Result<Vec<Appended>, AppendError> {
        match self.slip {
            Some(Slip::EarlyAcknowledgement) => return Ok(self.append_later(writes)),
            Some(Slip::BatchesTorn) => {
                let append = |write| block_on(self.store.append_all(vec![write]));
                return writes.into_iter().map(|write| append(write).map(|at| at[0])).collect();
            }
            Some(Slip::ExpectationIgnored) => {
                for write in &mut writes {
                    write.expected = Expected::Any;
                }
            }
            Some(Slip::RetriesForgotten) => {
                for event in writes.iter_mut().flat_map(|write| &mut write.events) {
                    event.id = Uuid::from_u128(Rng::new().u128(..));
                }
            }
            _ => {}
        }
        block_on(self.store.append_all(writes))
    }

    /// Tells where the events will be if nobody else is faster.
    fn append_later(&self, writes: Vec<StreamWrite>) -> Vec<Appended> {
        let mut position = self.real_head().map_or(0, |head| head.0 + 1);
        let place = |write: &StreamWrite| {
            let first = self.real_end(&write.stream).map_or(0, |(last, _)| last.0 + 1);
            let count = write.events.len() as u64;
            position += count;
            let revision = Revision(first + count - 1);
            Appended { revision, position: Position(position - 1) }
        };
        let places = writes.iter().map(place).collect();
        let store = self.store.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_micros(200));
            drop(block_on(store.append_all(writes)));
        });
        places
    }

    fn now_and_then(&self) -> bool {
        self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(8)
    }

    fn end(&self, stream: &StreamId) -> Option<(Revision, Uuid)> {
        let stale = self.slip == Some(Slip::StaleReads) && self.now_and_then();
        let before = self.reads.lock().unwrap().get(stream).copied();
        if let Some(before) = before.filter(|_| stale) {
            return before;
        }
        let end = self.real_end(stream);
        self.reads.lock().unwrap().insert(stream.clone(), end);
        end
    }

    fn real_end(&self, stream: &StreamId) -> Option<(Revision, Uuid)> {
        let mut events = Box::pin(self.store.read(stream, Revision::END, Direction::Backward));
        block_on(events.try_next()).unwrap().map(|event| (event.revision, event.id))
    }

    fn head(&self) -> Option<Position> {
        let stale = self.slip == Some(Slip::StaleHead) && self.now_and_then();
        let mut before = self.head.lock().unwrap();
        if !stale {
            *before = self.real_head();
        }
        *before
    }

    fn real_head(&self) -> Option<Position> {
        block_on(self.store.head()).unwrap()
    }
}

/// What all threads share.
struct Recording<'a> {
    subject: &'a Subject,
    clock: AtomicU64,
    /// How many different appends there are so far; those of late are repeated at times.
    appends: AtomicU32,
    history: Mutex<Vec<Operation>>,
}

impl Recording<'_> {
    fn record(&self, operation: impl FnOnce() -> What) {
        let begin = self.clock.fetch_add(1, Ordering::SeqCst);
        let what = operation();
        let end = self.clock.fetch_add(1, Ordering::SeqCst);
        self.history.lock().unwrap().push(Operation { begin, end, what });
    }

    fn work(&self, mut rng: Rng) {
        for _ in 0..OPERATIONS {
            match rng.u32(..8) {
                0 => self.record(|| What::Head(self.subject.head())),
                1 | 2 => {
                    let stream = stream(rng.u32(..STREAMS));
                    self.record(|| What::ReadEnd(stream.clone(), self.subject.end(&stream)));
                }
                3 => {
                    let known = self.appends.load(Ordering::SeqCst);
                    let repeated = known.saturating_sub(rng.u32(1..6));
                    self.append(repeated, &mut rng);
                }
                _ => self.append(self.appends.fetch_add(1, Ordering::SeqCst), &mut rng),
            }
        }
    }

    /// The n-th append: to which streams, and which events, follows from the number.
    fn append(&self, n: u32, rng: &mut Rng) {
        let mut of_append = Rng::with_seed(n.into());
        let first = of_append.u32(..STREAMS);
        let streams = if of_append.u32(..4) == 0 { 2 } else { 1 };
        let mut share = |at: u32| {
            let stream = stream((first + at) % STREAMS);
            let expected = self.expected(&stream, rng);
            let id = |event| Uuid::from_u128(u128::from(n) << 64 | u128::from(at) << 32 | event);
            let ids = (0..of_append.u128(1..4)).map(id).collect();
            Share { stream, expected, ids }
        };
        let shares: Vec<_> = (0..streams).map(&mut share).collect();
        let writes = shares.iter().map(write).collect();
        self.record(|| match self.subject.append(writes) {
            Ok(places) => What::Append(shares, Ok(places)),
            Err(AppendError::Conflict { stream, actual, .. }) => {
                What::Append(shares, Err((stream, actual)))
            }
            Err(error) => panic!("{error}"),
        });
    }

    fn expected(&self, stream: &StreamId, rng: &mut Rng) -> Expected {
        match rng.u32(..4) {
            0 => Expected::NoStream,
            1 => Expected::Any,
            _ => self
                .subject
                .real_end(stream)
                .map_or(Expected::NoStream, |(last, _)| Expected::At(last)),
        }
    }
}

fn stream(n: u32) -> StreamId {
    StreamId::new("order", n).unwrap()
}

fn write(share: &Share) -> StreamWrite {
    let Share { stream, expected, ids } = share.clone();
    let event = |id| NewEvent {
        id,
        kind: "Done".into(),
        data: "d".into(),
        metadata: "".into(),
        is_json: true,
    };
    StreamWrite { stream, expected, events: ids.into_iter().map(event).collect() }
}

/// A history of several threads on a new store.
fn history(seed: u64, slip: Option<Slip>) -> Vec<Operation> {
    let dir = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { segment_bytes: 4 << 10, ..Default::default() };
    let store = EmbeddedStore::open(dir.path(), &options).unwrap();
    let (calls, reads, head) = Default::default();
    let subject = Subject { store, slip, calls, reads, head };
    let (clock, appends, history) = Default::default();
    let recording = Recording { subject: &subject, clock, appends, history };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let recording = &recording;
            scope.spawn(move || recording.work(Rng::with_seed(seed * THREADS + thread)));
        }
    });
    recording.history.into_inner().unwrap()
}

#[test]
fn every_history_is_linearizable() {
    let histories = number("TORTURE_HISTORIES").unwrap_or(20);
    let (mut conflicts, mut operations) = (0, 0);
    for seed in 0..histories {
        let history = history(seed, None);
        assert_eq!(broken(&history), [""; 0], "seed {seed}");
        operations += history.len();
        let refused = |op: &&Operation| matches!(op.what, What::Append(_, Err(_)));
        conflicts += history.iter().filter(refused).count();
    }
    println!("{histories} histories of {operations} operations, {conflicts} conflicts");
    assert!(conflicts > operations / 50, "{conflicts} of {operations} were conflicts");
}

/// In how many histories a slip shows, of so many.
fn noticed(slip: Slip) -> (usize, u64) {
    let histories = 10;
    let shows = |seed: &u64| !broken(&history(*seed, Some(slip))).is_empty();
    ((0..histories).filter(shows).count(), histories)
}

#[test]
fn every_slip_is_noticed() {
    for slip in [
        Slip::EarlyAcknowledgement,
        Slip::StaleReads,
        Slip::ExpectationIgnored,
        Slip::RetriesForgotten,
        Slip::BatchesTorn,
        Slip::StaleHead,
    ] {
        let (times, histories) = noticed(slip);
        println!("{slip:?} shows in {times} of {histories} histories");
        assert!(times > 0, "{slip:?} is not noticed");
    }
}
