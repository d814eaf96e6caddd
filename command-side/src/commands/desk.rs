use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use daybook_domain::Decider;
use daybook_event_schemas::Contract;
use daybook_event_store::{AppendError, EventStore, Store, StreamId};
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::batch::{Answer, Batch, Pending};
use super::{CommandContext, CommandError, CommandOptions, Handled, LoadError, Loaded, history};
use crate::metrics::CommandMetrics;

/// An aggregate in memory, as of its last append; empty while it is worked on.
type Slot<D> = Arc<Mutex<Option<Loaded<D>>>>;

/// Where the commands for one kind of aggregate are handled.
///
/// A stream that has commands waiting has a mailbox. Whoever opens it starts the task that works
/// it off and closes it when nothing more has come.
pub(super) struct Desk<D: Decider> {
    store: Store,
    options: Arc<CommandOptions>,
    cache: Cache<StreamId, Slot<D>>,
    mailboxes: Mutex<HashMap<StreamId, VecDeque<Pending<D>>>>,
    metrics: CommandMetrics,
}

impl<D: Decider> Desk<D>
where
    D::Event: Contract,
{
    pub(super) fn new(store: Store, options: Arc<CommandOptions>) -> Self {
        Self {
            store,
            cache: Cache::new(options.cached_aggregates),
            options,
            mailboxes: Mutex::default(),
            metrics: CommandMetrics::of(D::CATEGORY),
        }
    }

    /// Puts a command into its stream's mailbox.
    pub(super) fn submit(
        self: Arc<Self>,
        stream: StreamId,
        command: D::Command,
        context: CommandContext,
    ) -> oneshot::Receiver<Answer<D>> {
        let (reply, answer) = oneshot::channel();
        let pending = Pending { command, context, attempts: 0, reply };
        let mut mailboxes = self.mailboxes.lock();
        if let Some(mailbox) = mailboxes.get_mut(&stream) {
            mailbox.push_back(pending);
            return answer;
        }
        mailboxes.insert(stream.clone(), VecDeque::from([pending]));
        drop(mailboxes);
        tokio::spawn(Opened { desk: self, stream, closed: false }.work_off());
        answer
    }

    pub(super) async fn load(&self, stream: &StreamId) -> Result<Loaded<D>, LoadError> {
        let slot = self.slot(stream);
        if let Some(loaded) = slot.lock().clone() {
            return Ok(loaded);
        }
        let loaded = history::fold(&self.store, stream).await?;
        slot.lock().get_or_insert_with(|| loaded.clone());
        Ok(loaded)
    }

    pub(super) async fn recall(
        &self,
        stream: &StreamId,
        command_id: Uuid,
    ) -> Result<Option<Handled<D>>, LoadError> {
        history::recall::<D>(&self.store, stream, command_id).await
    }

    /// Decides and appends until every command of the queue is answered.
    async fn settle(&self, stream: &StreamId, queue: VecDeque<Pending<D>>) {
        let mut queue = self.answer_repeated(stream, queue).await;
        let mut limit = self.options.batch_commands;
        while !queue.is_empty() {
            let loaded = match self.take(stream).await {
                Ok(loaded) => loaded,
                Err(error) => return self.fail(queue, &error.into()),
            };
            let mut batch = Batch::decide(loaded, &mut queue, limit, &self.options);
            self.metrics.batches.observe(f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX)));
            batch.answer_early(&self.metrics);
            if let Err((error, batch)) = self.append(stream, batch).await {
                limit = self.recover(stream, batch, error, &mut queue, limit).await;
            }
        }
    }

    /// Takes the aggregate out of the cache, so that its state can evolve in place and nobody
    /// sees it before it counts.
    async fn take(&self, stream: &StreamId) -> Result<Loaded<D>, LoadError> {
        let cached = self.slot(stream).lock().take();
        match cached {
            Some(loaded) => Ok(loaded),
            None => history::fold(&self.store, stream).await,
        }
    }

    /// Appends what was decided, then publishes the state and answers everybody.
    async fn append(
        &self,
        stream: &StreamId,
        mut batch: Batch<D>,
    ) -> Result<(), (AppendError, Batch<D>)> {
        let (expected, events) = (batch.expected(), batch.take_events());
        let first = events.first().map(|event| event.id);
        let appended = match first {
            None => None,
            Some(id) => match self.store.append(stream, expected, events).await {
                Ok(appended) if batch.is_at(appended) => Some(appended),
                Ok(_) => return Err((AppendError::IdReused { id }, batch)),
                Err(error) => return Err((error, batch)),
            },
        };
        let loaded = batch.publish(appended);
        let position = loaded.position;
        *self.slot(stream).lock() = Some(loaded);
        batch.answer(position, &self.metrics);
        Ok(())
    }

    /// Deals with a failed append. Commands that deserve another try go back into the queue; the
    /// result is how many of them to try together.
    async fn recover(
        &self,
        stream: &StreamId,
        batch: Batch<D>,
        error: AppendError,
        queue: &mut VecDeque<Pending<D>>,
        limit: usize,
    ) -> usize {
        match error {
            // Loading the stream again tells either.
            AppendError::Conflict { .. } | AppendError::Deleted { .. } => {
                self.metrics.conflicts.inc();
                let tried = self.retry(batch.into_pending(), queue, &error);
                pause(self.options.backoff, tried).await;
            }
            // One command spoils the append for all others: find it.
            AppendError::Size { .. } | AppendError::IdReused { .. } if batch.len() > 1 => {
                batch.into_pending().rev().for_each(|pending| queue.push_front(pending));
                return 1;
            }
            AppendError::IdReused { .. } => {
                let repeated = batch.into_pending().map(Pending::repeated).collect();
                let unknown = self.answer_repeated(stream, repeated).await;
                self.retry(unknown.into_iter(), queue, &error);
            }
            AppendError::Size { .. } => {
                self.fail(batch.into_pending(), &CommandError::TooLarge(error));
            }
            AppendError::Unavailable { .. }
            | AppendError::Uncertain { .. }
            | AppendError::Stopped { .. }
            | AppendError::Violated { .. }
            | AppendError::Reserved { .. } => {
                self.fail(batch.into_pending(), &CommandError::Unavailable(error.into()));
            }
        }
        limit
    }

    /// Puts commands back at the front, save those that were tried often enough. The result is
    /// how often the most unlucky was tried.
    fn retry(
        &self,
        commands: impl DoubleEndedIterator<Item = Pending<D>>,
        queue: &mut VecDeque<Pending<D>>,
        error: &AppendError,
    ) -> u32 {
        let mut tried = 0;
        for mut pending in commands.rev() {
            pending.attempts += 1;
            tried = tried.max(pending.attempts);
            if pending.attempts < self.options.attempts {
                queue.push_front(pending);
                continue;
            }
            let error = match error {
                AppendError::Conflict { .. } => {
                    CommandError::Conflict { attempts: pending.attempts }
                }
                other => CommandError::Unavailable(other.clone().into()),
            };
            pending.answer(Err(error), &self.metrics);
        }
        tried
    }

    /// Answers those commands that took effect before, and gives the others back.
    async fn answer_repeated(
        &self,
        stream: &StreamId,
        commands: VecDeque<Pending<D>>,
    ) -> VecDeque<Pending<D>> {
        let mut others = VecDeque::with_capacity(commands.len());
        for pending in commands {
            if !pending.context.repeated {
                others.push_back(pending);
                continue;
            }
            match self.recall(stream, pending.context.command_id).await {
                Ok(None) => others.push_back(pending),
                Ok(Some(handled)) => pending.answer(Ok(handled), &self.metrics),
                Err(error) => pending.answer(Err(error.into()), &self.metrics),
            }
        }
        others
    }

    fn fail(
        &self,
        commands: impl IntoIterator<Item = Pending<D>>,
        error: &CommandError<D::Rejection>,
    ) {
        for pending in commands {
            pending.answer(Err(error.clone()), &self.metrics);
        }
    }

    fn slot(&self, stream: &StreamId) -> Slot<D> {
        self.cache.get_with_by_ref(stream, Slot::<D>::default)
    }
}

/// A mailbox that is being worked off. Where that ends early (a decision panics, the program
/// stops), its commands are dropped, which tells their callers.
struct Opened<D: Decider> {
    desk: Arc<Desk<D>>,
    stream: StreamId,
    closed: bool,
}

impl<D: Decider> Opened<D>
where
    D::Event: Contract,
{
    async fn work_off(mut self) {
        while let Some(queue) = self.waiting() {
            self.desk.settle(&self.stream, queue).await;
        }
    }

    /// What has come in meanwhile. Closes the mailbox where there is nothing.
    fn waiting(&mut self) -> Option<VecDeque<Pending<D>>> {
        let mut mailboxes = self.desk.mailboxes.lock();
        let waiting = mailboxes.get_mut(&self.stream).map(mem::take).filter(|q| !q.is_empty());
        if waiting.is_none() {
            mailboxes.remove(&self.stream);
            self.closed = true;
        }
        waiting
    }
}

impl<D: Decider> Drop for Opened<D> {
    fn drop(&mut self) {
        if !self.closed {
            self.desk.mailboxes.lock().remove(&self.stream);
        }
    }
}

/// Waits before the next try: not at all after the first, then longer each time, and by chance
/// shorter, so that two writers do not meet again.
async fn pause(backoff: Duration, tried: u32) {
    let Some(doublings) = tried.checked_sub(2) else { return };
    let longest = backoff * 2_u32.pow(doublings.min(6));
    tokio::time::sleep(longest.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
}
