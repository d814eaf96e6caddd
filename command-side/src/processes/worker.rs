use std::collections::{BTreeSet, HashMap};
use std::mem;
use std::sync::Arc;

use daybook_domain::values::OrderId;
use daybook_domain::{Effect, ProcessManager, Route};
use daybook_event_schemas::{Actor, Advanced, DomainEvent, open, seal};
use daybook_event_store::{
    AppendError, Appended, EventStore, Expected, Filter, NewEvent, Position, ReadError, Recorded,
    Store, StreamId, Tailed,
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use moka::sync::Cache;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use uuid::Uuid;

use super::checkpoint::Checkpoint;
use super::effect::{Done, Outgoing, Sender};
use super::instance::{Arrival, Instance, Trace};
use super::ledger::Ledger;
use super::parking::refusal;
use super::timers::{Due, Timers};
use super::{Process, ProcessError, ProcessOptions, Progress, chain};

/// Timers per checkpoint interval: many of them are written less often.
const TIMERS_PER_INTERVAL: usize = 1_000;

/// The event type of parked commands that were given up.
const DISCARDED: &str = "EffectDiscarded";

/// What became of some inputs of one instance.
struct Step<P: ProcessManager> {
    instance: OrderId,
    arrivals: Vec<Arrival<P>>,
    /// The record, where it stands, and what it belongs to. `None`: there was nothing new.
    record: Option<(Advanced<P>, Appended, Trace)>,
}

/// Somebody else wrote to an instance: its inputs are for another try.
type Conflicting<P> = (OrderId, Vec<Arrival<P>>);

/// A process manager at work: takes inputs in, sends commands, keeps checkpoints.
pub(super) struct Worker<P: Process> {
    sender: Arc<Sender<P>>,
    store: Store,
    actor: Actor,
    instances: Cache<OrderId, Arc<Instance<P>>>,
    timers: Timers<P>,
    ledger: Ledger,
    /// Records that were learnt of before the tail came to them.
    known: BTreeSet<Position>,
    checkpoint: Checkpoint,
    saved_at: Instant,
    /// Whether there are records since the last checkpoint.
    unsaved: bool,
    rejections: Vec<Arrival<P>>,
    under_way: JoinSet<Done<P>>,
    progress: watch::Sender<Progress>,
}

impl<P: Process> Worker<P> {
    /// Takes the process over where the last checkpoint stands.
    pub(super) async fn open(
        sender: Arc<Sender<P>>,
        progress: watch::Sender<Progress>,
    ) -> Result<Self, ProcessError> {
        let store = sender.commands.store().clone();
        let actor = Actor(format!("process:{}", P::NAME).into());
        let mut tried = 0;
        let (checkpoint, timers) = loop {
            match take_over::<P>(&store, &actor).await {
                Err(error) => sender.outlast(error, &mut tried).await?,
                Ok(taken) => break taken,
            }
        };
        Ok(Self {
            instances: Cache::new(sender.options.cached_instances),
            ledger: Ledger::from(checkpoint.position),
            known: BTreeSet::new(),
            sender,
            store,
            actor,
            timers,
            checkpoint,
            saved_at: Instant::now(),
            unsaved: false,
            rejections: Vec::new(),
            under_way: JoinSet::new(),
            progress,
        })
    }

    pub(super) async fn run(mut self) -> Result<(), ProcessError> {
        self.send_again().await?;
        let shutdown = self.sender.shutdown.clone();
        let mut ticks = tokio::time::interval(self.sender.options.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tail = self.tail();
        loop {
            let room = self.under_way.len() < self.sender.options.in_flight;
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(done) = self.under_way.join_next() => self.note(done)?,
                Some(batch) = tail.next(), if room => {
                    if let Some(error) = self.take_in(batch).await? {
                        tracing::warn!(process = P::NAME, %error, "following the events again");
                        self.sender.pause(1).await;
                        tail = self.tail();
                    }
                }
                _ = ticks.tick() => self.tick().await?,
            }
            while let Some(done) = self.under_way.try_join_next() {
                self.note(done)?;
            }
            let rejections = mem::take(&mut self.rejections);
            self.advance(rejections).await?;
            self.report();
        }
        self.finish().await
    }

    /// Sends the commands of all records since the checkpoint again: which of them were carried
    /// out is not known.
    async fn send_again(&mut self) -> Result<(), ProcessError> {
        let (mut after, mut tried) = (self.checkpoint.position, 0);
        while let Err(error) = self.send_after(&mut after).await {
            self.sender.outlast(error, &mut tried).await?;
        }
        Ok(())
    }

    async fn send_after(&mut self, after: &mut Option<Position>) -> Result<(), ProcessError> {
        let mut records = self.store.read_all(*after, Filter::kinds(&[P::KIND]));
        while let Some(recorded) = records.try_next().await? {
            self.learn_again(&recorded)?;
            *after = Some(recorded.position);
            while self.under_way.len() >= self.sender.options.in_flight
                && let Some(done) = self.under_way.join_next().await
            {
                self.note(done)?;
            }
        }
        Ok(())
    }

    /// Takes a record into account that a runtime wrote before this one was in charge.
    fn learn_again(&mut self, recorded: &Recorded) -> Result<(), ProcessError> {
        let Some(envelope) = open::<Advanced<P>>(recorded)? else { return Ok(()) };
        let Ok(instance) = recorded.stream.id().parse() else { return Ok(()) };
        let at = Appended { revision: recorded.revision, position: recorded.position };
        let (correlation_id, traceparent) =
            (envelope.metadata.correlation_id, envelope.metadata.traceparent);
        let record = Some((envelope.event, at, Trace { correlation_id, traceparent }));
        self.learn(Step { instance, arrivals: Vec::new(), record });
        Ok(())
    }

    fn tail(&self) -> impl Stream<Item = Vec<Result<Tailed, ReadError>>> + Unpin + use<P> {
        let filter = Filter::kinds(&[P::FOLLOWS, &[P::KIND, DISCARDED]].concat());
        let events = self.store.tail(self.ledger.taken(), filter);
        events.ready_chunks(self.sender.options.batch_events).boxed()
    }

    /// Takes a batch of events in. The result is why no more can be read for now, if so.
    async fn take_in(
        &mut self,
        batch: Vec<Result<Tailed, ReadError>>,
    ) -> Result<Option<ReadError>, ProcessError> {
        let (mut arrivals, mut upto, mut behind_since) = (Vec::new(), None, None);
        let mut failed = None;
        for item in batch {
            match item {
                Ok(Tailed::Event(recorded)) => {
                    (upto, behind_since) = (Some(recorded.position), Some(recorded.recorded_at));
                    if *recorded.kind == *DISCARDED {
                        arrivals.extend(refused(&recorded)?);
                    } else if *recorded.kind != *P::KIND {
                        arrivals.extend(arrival(&recorded)?);
                    } else if !self.known.remove(&recorded.position) {
                        // Of a runtime that was about to find out that it is not in charge.
                        self.learn_again(&recorded)?;
                        self.known.remove(&recorded.position);
                    }
                }
                Ok(Tailed::CaughtUp(position)) => (upto, behind_since) = (Some(position), None),
                Err(damaged @ ReadError::Damaged { .. }) => return Err(damaged.into()),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        self.advance(arrivals).await?;
        if let Some(position) = upto {
            self.ledger.took(position);
        }
        let now = self.sender.options.clock.now();
        self.sender.metrics.lag(behind_since.map(|since| now.as_micros() - since));
        Ok(failed)
    }

    /// Lets instances take inputs in, those of different instances at the same time.
    async fn advance(&mut self, arrivals: Vec<Arrival<P>>) -> Result<(), ProcessError> {
        let mut waiting = HashMap::<OrderId, Vec<Arrival<P>>>::new();
        for arrival in arrivals {
            waiting.entry(arrival.instance).or_default().push(arrival);
        }
        while !waiting.is_empty() {
            let appends = self.sender.options.appends;
            let steps = stream::iter(mem::take(&mut waiting))
                .map(|(instance, arrivals)| self.step(instance, arrivals));
            let steps: Vec<_> = steps.buffer_unordered(appends).try_collect().await?;
            for step in steps {
                match step {
                    Ok(step) => self.learn(step),
                    Err((instance, arrivals)) => drop(waiting.insert(instance, arrivals)),
                }
            }
            if !waiting.is_empty() {
                // Fails if it was another runtime that was faster.
                self.save().await?;
            }
        }
        Ok(())
    }

    /// Lets one instance take inputs in, and appends the record of it.
    async fn step(
        &self,
        instance: OrderId,
        arrivals: Vec<Arrival<P>>,
    ) -> Result<Result<Step<P>, Conflicting<P>>, ProcessError> {
        let stream = StreamId::new(P::NAME, instance)?;
        let before = match self.instances.get(&instance) {
            Some(cached) => cached,
            None => Arc::new(self.load(&stream).await?),
        };
        let expected = before.revision.map_or(Expected::NoStream, Expected::At);
        let Some((after, record)) = Instance::clone(&before).step(&arrivals) else {
            return Ok(Ok(Step { instance, arrivals, record: None }));
        };
        let cause = arrivals.first().map_or(instance.0, |arrival| arrival.cause);
        // A new id at each try: another runtime's record is never taken for this one.
        let event = seal(Uuid::now_v7(), &record, &after.metadata(cause, &self.actor));
        match self.append(&stream, expected, event).await {
            Ok(appended) => {
                let untraced = Trace { correlation_id: cause, traceparent: None };
                let trace = after.trace.clone().unwrap_or(untraced);
                self.instances.insert(instance, Arc::new(after));
                Ok(Ok(Step { instance, arrivals, record: Some((record, appended, trace)) }))
            }
            Err(ProcessError::Append(AppendError::Conflict { .. })) => {
                self.instances.invalidate(&instance);
                Ok(Err((instance, arrivals)))
            }
            Err(error) => Err(error),
        }
    }

    /// Loads an instance, however long that takes.
    async fn load(&self, stream: &StreamId) -> Result<Instance<P>, ProcessError> {
        let mut tried = 0;
        loop {
            match Instance::load(&self.store, stream).await {
                Err(error) => self.sender.outlast(error, &mut tried).await?,
                loaded => return loaded,
            }
        }
    }

    /// Appends an event, however long that takes.
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        event: NewEvent,
    ) -> Result<Appended, ProcessError> {
        let mut tried = 0;
        loop {
            match self.store.append(stream, expected, vec![event.clone()]).await {
                Err(error) => self.sender.outlast(error.into(), &mut tried).await?,
                Ok(appended) => return Ok(appended),
            }
        }
    }

    /// Takes a durable record into account and sends its commands.
    fn learn(&mut self, step: Step<P>) {
        let Step { instance, arrivals, record } = step;
        if let Some((record, at, trace)) = record {
            self.known.insert(at.position);
            self.timers.learn(instance, &record);
            for (index, effect) in record.effects.into_iter().enumerate() {
                if let Effect::Dispatch(command) = effect {
                    let place = (at.position, at.revision, index);
                    let (trace, actor) = (trace.clone(), self.actor.clone());
                    self.send(Outgoing::new(instance, command, place, trace, actor));
                }
            }
            self.unsaved = true;
        }
        for record in arrivals.into_iter().filter_map(|arrival| arrival.settles) {
            self.ledger.settle(record);
        }
    }

    fn send(&mut self, outgoing: Outgoing<P>) {
        self.ledger.owe(outgoing.record);
        self.under_way.spawn(Arc::clone(&self.sender).send(outgoing));
    }

    /// Notes what became of a command.
    fn note(&mut self, done: Result<Done<P>, JoinError>) -> Result<(), ProcessError> {
        match done {
            Ok(Done::Settled(record)) => self.ledger.settle(record),
            // Settled when the record of its rejection is durable.
            Ok(Done::Rejected(arrival)) => self.rejections.push(arrival),
            // Still owed, so that no checkpoint passes it.
            Ok(Done::Interrupted) => {}
            Err(_) => return Err(ProcessError::Panicked { process: P::NAME }),
        }
        Ok(())
    }

    async fn tick(&mut self) -> Result<(), ProcessError> {
        let now = self.sender.options.clock.now();
        let due: Vec<_> = self.timers.due(now).take(self.sender.options.batch_events).collect();
        let arrival =
            |timer: &Due<P::Timeout>| Arrival::timed_out(timer.instance, &timer.timeout, now);
        self.advance(due.iter().map(arrival).collect()).await?;
        for timer in &due {
            self.timers.fired(timer);
        }
        if self.is_checkpoint_due() { self.save().await } else { Ok(()) }
    }

    fn is_checkpoint_due(&self) -> bool {
        let ProcessOptions { checkpoint_interval, checkpoint_events, .. } = self.sender.options;
        let patience = u32::try_from(1 + self.timers.len() / TIMERS_PER_INTERVAL);
        let patience = patience.unwrap_or(u32::MAX);
        let ahead = self.ahead();
        let late = self.unsaved
            && ahead > 0
            && self.saved_at.elapsed() >= checkpoint_interval.saturating_mul(patience);
        late || ahead >= checkpoint_events.saturating_mul(patience.into())
    }

    /// How far the settled position is ahead of the checkpoint.
    fn ahead(&self) -> u64 {
        let next = |position: Option<Position>| position.map_or(0, |position| position.0 + 1);
        next(self.ledger.settled()).saturating_sub(next(self.checkpoint.position))
    }

    async fn save(&mut self) -> Result<(), ProcessError> {
        let Some(position) = self.ledger.settled() else { return Ok(()) };
        (self.saved_at, self.unsaved) = (Instant::now(), false);
        match self.checkpoint.save(&self.store, position, &self.timers, &self.actor).await {
            // The next one will do as well.
            Err(error) if error.may_pass() => {
                tracing::warn!(process = P::NAME, %error, "no checkpoint written");
                self.unsaved = true;
                Ok(())
            }
            saved => saved,
        }
    }

    /// Waits for the commands that are being carried out, then writes the last checkpoint.
    async fn finish(mut self) -> Result<(), ProcessError> {
        while let Some(done) = self.under_way.join_next().await {
            self.note(done)?;
        }
        self.report();
        if self.ahead() > 0 { self.save().await } else { Ok(()) }
    }

    fn report(&self) {
        let progress = Progress {
            taken: self.ledger.taken(),
            settled: self.ledger.settled(),
            in_flight: self.under_way.len(),
            timers: self.timers.len(),
        };
        self.sender.metrics.progress(&progress);
        self.progress.send_if_modified(|last| mem::replace(last, progress) != progress);
    }
}

/// Takes the process over: whoever else is at work finds out by the checkpoint.
async fn take_over<P: Process>(
    store: &Store,
    actor: &Actor,
) -> Result<(Checkpoint, Timers<P>), ProcessError> {
    let (mut checkpoint, timers) = Checkpoint::load::<P>(store).await?;
    checkpoint.bound(store).await?;
    if let Some(position) = checkpoint.position {
        checkpoint.save(store, position, &timers, actor).await?;
    }
    Ok((checkpoint, timers))
}

/// What a discarded command means to a process, if it was one of its own.
fn refused<P: Process>(recorded: &Recorded) -> Result<Option<Arrival<P>>, ProcessError> {
    let refusal = refusal::<P>(recorded).map_err(|error| ProcessError::Undecodable(chain(&error)));
    let Some((instance, input)) = refusal? else { return Ok(None) };
    let trace = Trace { correlation_id: recorded.id, traceparent: None };
    let (position, cause) = (Some(recorded.position), recorded.id);
    Ok(Some(Arrival { instance, input, position, cause, trace, settles: None }))
}

/// What a recorded event means to a process, if anything.
fn arrival<P: Process>(recorded: &Recorded) -> Result<Option<Arrival<P>>, ProcessError> {
    let Some(envelope) = open::<DomainEvent>(recorded)? else { return Ok(None) };
    let Some(input) = P::input(&envelope) else { return Ok(None) };
    let (Route::Start(instance) | Route::Continue(instance)) = P::route(&input) else {
        return Ok(None);
    };
    let (correlation_id, traceparent) =
        (envelope.metadata.correlation_id, envelope.metadata.traceparent);
    Ok(Some(Arrival {
        instance,
        input,
        position: Some(recorded.position),
        cause: recorded.id,
        trace: Trace { correlation_id, traceparent },
        settles: None,
    }))
}
