//! The task that drives a group: it reads, sends, and writes down how far the group has come.

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use daybook_event_store::{Direction, Revision, Store};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uuid::Uuid;

use super::config::{Entry, Source};
use super::consumer::{Consumer, Responses};
use super::errors::GroupName;
use super::event;
use super::group::{Connect, Request};
use super::journal::Journal;
use super::machine::{Action, ConsumerId, Machine, Place, Write};
use super::memory::{GroupsMemory, Memory};
use super::settings::NamedStrategy;
use super::source::{Findings, Found, follow};
use super::stats::Counter;
use super::write::{Written, write};
use crate::errors;
use crate::streams::{EventFilter, Resolved, Streamed, items};

type Event = Arc<Resolved>;
type Parked = Result<(u64, Event), Status>;

/// What happens to a group.
enum Input {
    Asked(Option<Request>),
    Found(Option<Result<Found, Status>>),
    Replay(Option<Parked>),
    Written(Written),
    Time,
    /// Another group needs what this one holds.
    Short,
    Stop,
}

/// A group, with what it works on.
pub(super) struct Actor {
    pub(super) name: GroupName,
    pub(super) entry: Entry,
    pub(super) store: Store,
    pub(super) source: Source,
    journal: Arc<Journal>,
    pub(super) machine: Machine<Event>,
    memory: Memory,
    began: Instant,
    requests: mpsc::Receiver<Request>,
    pub(super) consumers: HashMap<ConsumerId, Consumer>,
    next_consumer: u64,
    pub(super) count: Counter,
    pub(super) checkpoint: Option<u64>,
    /// The place of what was read last.
    read: Option<u64>,
    findings: Option<Findings>,
    /// The revisions of what is parked; up to where of it was read to be replayed, and is to be.
    pub(super) parked: Range<u64>,
    pub(super) replayed: u64,
    pub(super) replay_until: u64,
    replay: Option<BoxStream<'static, Parked>>,
    writes: VecDeque<Write<Event>>,
    writing: Option<BoxFuture<'static, Written>>,
}

impl Actor {
    /// A group as it was left.
    pub(super) async fn load(
        store: &Store,
        entry: &Entry,
        memory: &GroupsMemory,
        requests: mpsc::Receiver<Request>,
    ) -> Result<Self, Status> {
        let name = GroupName { stream: entry.stream.clone(), group: entry.group.clone() };
        let source = Source::named(&name.stream)?;
        let journal = Journal::new(store.clone(), &name, entry.id, source.clone())?;
        let checkpoint = journal.checkpoint().await?;
        let read = checkpoint.or(entry.start_after);
        let parked = journal.parked_range().await?;
        Ok(Self {
            name,
            machine: Machine::new(entry.settings.rules(), read),
            memory: memory.of_group(),
            entry: entry.clone(),
            store: store.clone(),
            source,
            journal: Arc::new(journal),
            began: Instant::now(),
            requests,
            consumers: HashMap::new(),
            next_consumer: 0,
            count: Counter::new(),
            checkpoint,
            read,
            findings: None,
            replayed: parked.start,
            replay_until: parked.start,
            parked,
            replay: None,
            writes: VecDeque::new(),
            writing: None,
        })
    }

    /// Works until the group is to end, or the server.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            self.act();
            self.memory.shrink_to(self.machine.held());
            let input = self.input(&stop).await;
            self.machine.tick(self.began.elapsed());
            match input {
                Input::Asked(Some(Request::End(reply))) => {
                    let dropped = self.name.dropped();
                    self.end(&dropped).await;
                    // Whoever asked may have gone.
                    let _ = reply.send(Ok(()));
                    return;
                }
                Input::Asked(None) | Input::Short | Input::Stop => {
                    return self.end(&errors::stopping()).await;
                }
                Input::Asked(Some(request)) => self.answer(request),
                Input::Found(found) => self.found(found),
                Input::Replay(parked) => self.replay(parked),
                Input::Written(written) => self.written(&written),
                Input::Time => {}
            }
        }
    }

    async fn input(&mut self, stop: &CancellationToken) -> Input {
        self.open();
        let is_idle = self.consumers.is_empty() && self.memory.is_shared();
        let due = self.machine.deadline().and_then(|due| self.began.checked_add(due));
        tokio::select! {
            request = self.requests.recv() => Input::Asked(request),
            found = next(&mut self.findings), if self.machine.room() > 0 => Input::Found(found),
            parked = next(&mut self.replay), if self.machine.can_replay() => Input::Replay(parked),
            written = finished(&mut self.writing) => Input::Written(written),
            () = until(due) => Input::Time,
            () = self.memory.runs_short(), if is_idle => Input::Short,
            () = stop.cancelled() => Input::Stop,
        }
    }

    /// Opens what is to be read.
    fn open(&mut self) {
        if self.consumers.is_empty() {
            self.findings = None;
        }
        if self.findings.is_none() && self.machine.room() > 0 {
            let resolve = self.entry.settings.resolve_links;
            match self.filter() {
                Ok(of) => {
                    let (store, source) = (&self.store, &self.source);
                    self.findings = Some(follow(store, source, of, self.read, resolve));
                }
                Err(status) => self.fail(&status),
            }
        }
        if self.replay.is_none() && self.replayed < self.replay_until {
            let parked = Streamed::Ordinary(self.journal.parked().clone());
            let from = Revision(self.replayed);
            let items = items(&self.store, &parked, from, Direction::Forward, true);
            let items = items.map_ok(|(Revision(at), resolved)| (at, Arc::new(resolved)));
            self.replay = Some(items.boxed());
        }
    }

    fn filter(&self) -> Result<Option<Arc<EventFilter>>, Status> {
        let Some(filter) = &self.entry.filter else { return Ok(None) };
        let mut filter = filter.build()?;
        self.memory.hold(&mut filter)?;
        Ok(Some(Arc::new(filter)))
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::Connect(connect, reply) => {
                let connected = self.connect(connect);
                let id = connected.as_ref().ok().map(|(id, _)| *id);
                // A consumer that has gone meanwhile has nothing.
                if let (Err(_), Some(id)) = (reply.send(connected), id) {
                    self.disconnect(id, self.name.dropped());
                }
            }
            Request::Disconnect(id, why) => self.disconnect(id, why),
            Request::Ack(ids) => self.ack(&ids),
            Request::Nack(by, ids, nack, reason) => self.machine.nack(by, &ids, nack, &reason),
            Request::Info(reply) => {
                let _ = reply.send(Ok(self.info()));
            }
            Request::Replay(stop_at, reply) => {
                let until = stop_at.unwrap_or(u64::MAX).min(self.parked.end);
                self.replay_until = self.replay_until.max(until);
                let _ = reply.send(Ok(()));
            }
            Request::End(_) => {}
        }
    }

    fn connect(&mut self, connect: Connect) -> Result<(ConsumerId, Responses), Status> {
        self.forget_gone();
        if !self.machine.has_place() {
            return Err(self.name.is_full());
        }
        let Connect { identity, ids, limit } = connect;
        let id = ConsumerId(self.next_consumer);
        self.next_consumer += 1;
        let first = event::confirmation(self.name.key());
        let (consumer, responses) = Consumer::connect(first, limit, ids, identity);
        self.consumers.insert(id, consumer);
        self.machine.connect(id, limit);
        Ok((id, responses))
    }

    /// Calls may end before anyone listens to their consumers.
    fn forget_gone(&mut self) {
        let gone = self.consumers.iter().filter(|(_, consumer)| consumer.has_gone());
        for id in gone.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.disconnect(id, self.name.dropped());
        }
    }

    fn disconnect(&mut self, id: ConsumerId, why: Status) {
        self.drop_one(id, why);
        self.machine.disconnect(id);
        if self.consumers.is_empty() {
            self.machine.flush();
        }
    }

    fn ack(&mut self, ids: &[Uuid]) {
        for (consumer, time) in self.machine.ack(ids) {
            if let Some(consumer) = self.consumers.get_mut(&consumer) {
                consumer.times.add(time);
            }
        }
    }

    fn found(&mut self, found: Option<Result<Found, Status>>) {
        match found.unwrap_or_else(|| Err(errors::stopping())) {
            Ok(Found::Event(at, resolved)) => match self.take(Place::Source(at), resolved) {
                Ok(()) => self.read = Some(at),
                Err(status) => self.fail(&status),
            },
            Ok(Found::Nothing(at)) => {
                self.read = Some(at);
                self.machine.pass(Place::Source(at));
            }
            Ok(Found::Live) => self.machine.live(),
            Err(status) => self.fail(&status),
        }
    }

    /// # Errors
    /// There is no memory for it: it is to be read again.
    fn take(&mut self, place: Place, resolved: Event) -> Result<(), Status> {
        let by_correlation = self.entry.settings.strategy == NamedStrategy::PinnedByCorrelation;
        match event::message(place, resolved, by_correlation) {
            Some(message) => {
                self.memory.grow(message.bytes)?;
                self.machine.read(message);
            }
            None => self.machine.pass(place),
        }
        Ok(())
    }

    fn replay(&mut self, parked: Option<Parked>) {
        match parked {
            Some(Ok((at, resolved))) if at < self.replay_until => {
                match self.take(Place::Parked(at), resolved) {
                    Ok(()) => self.replayed = at + 1,
                    Err(status) => self.fail(&status),
                }
            }
            Some(Err(status)) => self.fail(&status),
            Some(Ok(_)) | None => {
                self.replayed = self.replay_until;
                self.replay = None;
            }
        }
    }

    /// Nothing more can be read: the consumers are told, and it is tried again when they return.
    fn fail(&mut self, status: &Status) {
        tracing::warn!(group = self.name.key(), %status, "a persistent subscription cannot read");
        (self.findings, self.replay, self.replay_until) = (None, None, self.replayed);
        self.drop_all(status);
    }

    fn drop_all(&mut self, status: &Status) {
        for (id, consumer) in self.consumers.drain() {
            consumer.end(status.clone());
            self.machine.disconnect(id);
        }
    }

    /// Does what the machine wants.
    fn act(&mut self) {
        while let Some(action) = self.machine.next_action() {
            match action {
                Action::Send { to, event, retries } => self.send(to, &event, retries),
                Action::Drop(id) => self.drop_one(id, self.name.dropped()),
                Action::Write(write) => self.writes.push_back(write),
            }
        }
        if self.writing.is_none() {
            let next = self.writes.pop_front();
            let (journal, first) = (&self.journal, self.parked.start);
            self.writing = next.map(|next| write(Arc::clone(journal), next, first).boxed());
        }
    }

    fn send(&mut self, to: ConsumerId, event: &Resolved, retries: u32) {
        let Some(consumer) = self.consumers.get_mut(&to) else { return };
        self.count.add(1);
        let message = event::encode(event, retries, consumer.ids);
        if !consumer.send(message) {
            // Messages timed out before it took them, or it has gone.
            let slow = Status::aborted("Consumer too slow to handle events");
            self.disconnect(to, slow);
        }
    }

    fn drop_one(&mut self, id: ConsumerId, status: Status) {
        if let Some(consumer) = self.consumers.remove(&id) {
            consumer.end(status);
        }
    }

    fn written(&mut self, written: &Written) {
        match *written {
            Written::Parked(place, at) => {
                self.parked.end = self.parked.end.max(at.map_or(0, |at| at + 1));
                self.machine.parked(place, at.is_some());
            }
            Written::Checkpoint(at, is_done) => {
                self.checkpoint = if is_done { Some(at) } else { self.checkpoint };
                self.machine.checkpointed(is_done);
            }
            Written::Truncated(at, is_done) => {
                self.parked.start = if is_done { at + 1 } else { self.parked.start };
                self.machine.truncated(is_done);
            }
        }
    }

    /// Writes down what is to be, and then ends all connections: who waits for these waits for all.
    async fn end(&mut self, status: &Status) {
        self.requests.close();
        let mut is_done = true;
        while is_done {
            self.machine.flush();
            self.act();
            if self.writing.is_none() {
                break;
            }
            let written = finished(&mut self.writing).await;
            is_done = written.is_done();
            self.written(&written);
        }
        self.drop_all(status);
    }
}

async fn next<T>(items: &mut Option<BoxStream<'static, T>>) -> Option<T> {
    match items {
        Some(items) => items.next().await,
        None => pending().await,
    }
}

async fn finished(writing: &mut Option<BoxFuture<'static, Written>>) -> Written {
    let Some(write) = writing else { return pending().await };
    let written = write.await;
    *writing = None;
    written
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => pending().await,
    }
}
