//! Those who read: a stream or all streams, as they stood when the read began, and tails that
//! go on for as long as the store does.

use std::cell::RefCell;
use std::task::Poll;

use daybook_event_store::{
    EmbeddedStore, EventStore, Filter, Position, ReadError, Recorded, Revision, Tailed,
};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use crate::coverage::Reached;
use crate::disk::Disk;
use crate::engine::Engine;
use crate::invariant::{Check, Invariant, Violation, ensure};
use crate::ledger::Ledger;
use crate::model::{Expectation, Given, Model, Wanted};
use crate::{poll, recorder};

/// A read that is under way.
pub(crate) struct Reader {
    /// Events, each with its ordinal where it is of an index stream.
    events: BoxStream<'static, Result<(Recorded, Option<Revision>), ReadError>>,
    expected: Expectation,
    disk: Disk,
}

/// What became of a read's step.
pub(crate) enum Progress {
    /// It goes on.
    More,
    /// It is through.
    Done,
    /// It failed; whether it may have is for the caller to say.
    Failed(ReadError),
}

impl Reader {
    /// Begins a read of a store that shows so many events.
    pub(crate) fn begin(
        engine: &Engine,
        disk: Disk,
        model: &Model,
        wanted: Wanted,
        head: usize,
    ) -> Self {
        let (store, plain) = (&engine.store, |event| (event, None));
        let events = match &wanted {
            Wanted::Stream(stream, from, direction) => {
                store.read(stream, *from, *direction).map_ok(plain).boxed()
            }
            Wanted::Index(index, from, direction) => {
                let read = store.read_index(index, *from, *direction);
                read.map_ok(|listed| (listed.event, Some(listed.ordinal))).boxed()
            }
            Wanted::All(from, filter) => {
                store.read_all(before(*from), filter.clone()).map_ok(plain).boxed()
            }
        };
        Self { events, expected: model.expect(wanted, head, disk.clock()), disk }
    }

    /// Takes the next item.
    pub(crate) fn step(&mut self, engine: &Engine, ledger: &RefCell<Ledger>) -> Check<Progress> {
        let before = self.disk.clock();
        let item = poll::next(&mut self.events);
        self.expected.take_time(before, self.disk.clock());
        let head = engine.head();
        let mut ledger = ledger.borrow_mut();
        match item {
            Poll::Pending => Err(waits()),
            Poll::Ready(Some(Ok((read, ordinal)))) => {
                ledger.check(&read)?;
                let given = Given { position: read.position, ordinal };
                self.expected.give(&mut ledger.model, given, head)?;
                Ok(Progress::More)
            }
            Poll::Ready(Some(Err(ReadError::Deleted { .. }))) => {
                ensure(self.expected.may_be_refused(&ledger.model, head), Invariant::D3, || {
                    "a stream is said to have ended, and has not".into()
                })?;
                recorder::reached(Reached::ReadOfEnded);
                Ok(Progress::Done)
            }
            Poll::Ready(Some(Err(error))) => Ok(Progress::Failed(error)),
            Poll::Ready(None) => {
                self.expected.end(&mut ledger.model, head)?;
                Ok(Progress::Done)
            }
        }
    }
}

/// All events that can be read.
pub(crate) fn all(store: &EmbeddedStore) -> Check<Result<Vec<Recorded>, ReadError>> {
    let mut read = store.read_all(None, Filter::all()).boxed();
    let mut events = Vec::new();
    loop {
        match poll::next(&mut read) {
            Poll::Ready(Some(Ok(event))) => events.push(event),
            Poll::Ready(Some(Err(error))) => return Ok(Err(error)),
            Poll::Ready(None) => return Ok(Ok(events)),
            Poll::Pending => return Err(waits()),
        }
    }
}

fn waits() -> Violation {
    Violation::new(Invariant::D3, "a read waits, and need not")
}

/// The position before one, to read after.
fn before(next: usize) -> Option<Position> {
    next.checked_sub(1).map(|at| Position(at as u64))
}

/// A subscription; it outlives the store, and resumes with the next one.
pub(crate) struct Tail {
    filter: Filter,
    /// The first position that was not delivered.
    next: usize,
    items: Option<BoxStream<'static, Result<Tailed, ReadError>>>,
}

impl Tail {
    pub(crate) fn new(filter: Filter) -> Self {
        Self { filter, next: 0, items: None }
    }

    /// The store is gone.
    pub(crate) fn stop(&mut self) {
        self.items = None;
    }

    /// Damage has taken the last events with it, as it may.
    pub(crate) fn cut(&mut self, length: usize) {
        self.next = self.next.min(length);
    }

    /// Takes the next item, after what was delivered before.
    pub(crate) fn step(&mut self, engine: &Engine, ledger: &RefCell<Ledger>) -> Check<Progress> {
        let next = self.next;
        let items = self.items.get_or_insert_with(|| {
            recorder::reached(Reached::Tail);
            engine.store.tail(before(next), self.filter.clone()).boxed()
        });
        match poll::next(items) {
            Poll::Ready(Some(Ok(Tailed::Event(read)))) => {
                recorder::reached(Reached::TailEvent);
                let mut ledger = ledger.borrow_mut();
                ledger.check(&read)?;
                self.passes(read.position, false, &ledger)?;
                Ok(Progress::More)
            }
            Poll::Ready(Some(Ok(Tailed::CaughtUp(position)))) => {
                self.passes(position, true, &ledger.borrow())?;
                Ok(Progress::More)
            }
            Poll::Ready(Some(Err(error))) => {
                self.items = None;
                Ok(Progress::Failed(error))
            }
            waits_or_ended => {
                let ledger = ledger.borrow();
                ensure(waits_or_ended.is_pending() || ledger.stopped, Invariant::D3, || {
                    "a tail ended before its store".into()
                })?;
                let due = ledger.model.due(self.next..ledger.settled(), &self.filter);
                ensure(due.is_none(), Invariant::D3, || {
                    format!("a tail waits and did not deliver position {due:?}")
                })?;
                Ok(Progress::Done)
            }
        }
    }

    /// Goes to a position: every matching one before it must have been delivered.
    fn passes(&mut self, position: Position, caught_up: bool, ledger: &Ledger) -> Check {
        let at = usize::try_from(position.0).unwrap_or(usize::MAX);
        let end = if caught_up { at + 1 } else { at };
        let skipped = ledger.model.due(self.next..end, &self.filter);
        // Having caught up may be said again.
        let forward = at >= self.next || (caught_up && at + 1 == self.next);
        ensure(forward && skipped.is_none(), Invariant::D3, || {
            format!("a tail goes from {} to {at}, past {skipped:?}", self.next)
        })?;
        ensure(at < ledger.model.len(), Invariant::D2, || {
            format!("a tail has caught up with position {at}, which is not there")
        })?;
        self.next = at + 1;
        Ok(())
    }
}
