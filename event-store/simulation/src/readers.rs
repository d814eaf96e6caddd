//! Those who read: a stream or all streams, as they stood when the read began, and tails that
//! go on for as long as the store does.

use std::collections::VecDeque;

use daybook_event_store::{EventStore, Filter, Position, ReadError, Recorded, Tailed};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};

use crate::coverage::Reached;
use crate::engine::Engine;
use crate::invariant::{Check, Invariant, Violation, ensure};
use crate::ledger::Ledger;
use crate::recorder;

/// A read that is under way.
pub(crate) struct Reader {
    what: String,
    events: BoxStream<'static, Result<Recorded, ReadError>>,
    /// The positions that it must give.
    expected: VecDeque<usize>,
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
    pub(crate) fn new(
        what: String,
        events: BoxStream<'static, Result<Recorded, ReadError>>,
        expected: Vec<usize>,
    ) -> Self {
        Self { what, events, expected: expected.into() }
    }

    /// Takes the next item.
    pub(crate) fn step(&mut self, ledger: &std::cell::RefCell<Ledger>) -> Check<Progress> {
        let what = &self.what;
        match self.events.next().now_or_never() {
            None => Err(Violation::new(Invariant::D3, format!("{what} waits, and need not"))),
            Some(Some(Ok(read))) => {
                let expected = self.expected.pop_front();
                ensure(
                    expected.map(|at| at as u64) == Some(read.position.0),
                    Invariant::D3,
                    || format!("{what} gives position {}, not {expected:?}", read.position),
                )?;
                ledger.borrow_mut().check(&read)?;
                Ok(Progress::More)
            }
            Some(Some(Err(error))) => Ok(Progress::Failed(error)),
            Some(None) => {
                ensure(self.expected.is_empty(), Invariant::D3, || {
                    format!("{what} ends before positions {:?}", self.expected)
                })?;
                Ok(Progress::Done)
            }
        }
    }
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
    pub(crate) fn step(
        &mut self,
        engine: &Engine,
        ledger: &std::cell::RefCell<Ledger>,
    ) -> Check<Progress> {
        let next = self.next;
        let items = self.items.get_or_insert_with(|| {
            recorder::reached(Reached::Tail);
            let after = next.checked_sub(1).map(|at| Position(at as u64));
            engine.store.tail(after, self.filter.clone()).boxed()
        });
        match items.next().now_or_never() {
            Some(Some(Ok(Tailed::Event(read)))) => {
                recorder::reached(Reached::TailEvent);
                let mut ledger = ledger.borrow_mut();
                ledger.check(&read)?;
                self.passes(read.position, false, &ledger)?;
                Ok(Progress::More)
            }
            Some(Some(Ok(Tailed::CaughtUp(position)))) => {
                self.passes(position, true, &ledger.borrow())?;
                Ok(Progress::More)
            }
            Some(Some(Err(error))) => {
                self.items = None;
                Ok(Progress::Failed(error))
            }
            waits_or_ended => {
                let ledger = ledger.borrow();
                ensure(waits_or_ended.is_none() || ledger.stopped, Invariant::D3, || {
                    "a tail ended before its store".into()
                })?;
                let due = ledger.model.matching(self.next, &self.filter);
                let due = due.first().filter(|&&at| at < ledger.settled());
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
        let skipped = ledger.model.matching(self.next, &self.filter);
        let skipped = skipped.first().filter(|&&due| due < at || (caught_up && due == at));
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
