//! A persistent subscription group without its input and output: what is to be done next, given
//! what happened.

mod consumers;
mod message;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod model;
mod progress;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use uuid::Uuid;

use self::consumers::Consumers;
pub(crate) use self::consumers::{ConsumerId, Dispatch};
pub(crate) use self::message::{Action, Message, Nack, Place, Rules, Write};
use self::progress::{Mark, Progress};

/// The most bytes of events that a group holds, whatever its settings say.
const MOST_HELD: usize = 64 << 20;

#[derive(Debug)]
struct Waiting<E> {
    message: Message<E>,
    retries: u32,
}

#[derive(Debug)]
struct InFlight<E> {
    waiting: Waiting<E>,
    consumer: ConsumerId,
    since: Duration,
}

/// A group. Times count from when it began.
#[derive(Debug)]
pub(crate) struct Machine<E> {
    rules: Rules,
    now: Duration,
    consumers: Consumers,
    /// Messages that no consumer had.
    fresh: VecDeque<Waiting<E>>,
    /// Messages that go first: retried, or replayed.
    again: VecDeque<Waiting<E>>,
    in_flight: HashMap<Uuid, InFlight<E>>,
    /// The messages in flight, the oldest first.
    by_age: BTreeSet<(Duration, Uuid)>,
    parking: BTreeMap<Place, Waiting<E>>,
    held: usize,
    is_live: bool,
    source: Progress,
    replay: Progress,
    /// What is being written.
    saving: Option<Mark>,
    truncating: Option<Mark>,
    saved_at: Duration,
    actions: VecDeque<Action<E>>,
}

impl<E: Clone> Machine<E> {
    /// A group of which everything up to a place is done.
    pub(crate) fn new(rules: Rules, after: Option<u64>) -> Self {
        Self {
            consumers: Consumers::new(rules.strategy),
            rules,
            now: Duration::ZERO,
            fresh: VecDeque::new(),
            again: VecDeque::new(),
            in_flight: HashMap::new(),
            by_age: BTreeSet::new(),
            parking: BTreeMap::new(),
            held: 0,
            is_live: false,
            source: Progress::after(after),
            replay: Progress::default(),
            saving: None,
            truncating: None,
            saved_at: Duration::ZERO,
            actions: VecDeque::new(),
        }
    }

    /// The next thing to do.
    pub(crate) fn next_action(&mut self) -> Option<Action<E>> {
        self.actions.pop_front()
    }

    /// Whether another consumer may connect.
    pub(crate) fn has_place(&self) -> bool {
        self.rules.max_consumers.is_none_or(|most| self.consumers.len() < most)
    }

    /// A consumer comes that has at most so many messages at one time.
    pub(crate) fn connect(&mut self, id: ConsumerId, limit: usize) {
        self.consumers.connect(id, limit);
        self.push();
    }

    /// A consumer has gone. What it had is sent to others.
    pub(crate) fn disconnect(&mut self, id: ConsumerId) {
        self.consumers.disconnect(id);
        let had = self.in_flight.iter().filter(|(_, flight)| flight.consumer == id);
        for flight in self.landed(had.map(|(id, _)| *id).collect()) {
            let Waiting { message, retries } = flight.waiting;
            self.again.push_back(Waiting { message, retries: retries.saturating_add(1) });
        }
        self.push();
    }

    /// How many more events of the source there is room for.
    pub(crate) fn room(&self) -> usize {
        let (most, batch) = if self.is_live {
            (self.rules.live_buffer, 1)
        } else {
            (self.rules.history_buffer, self.rules.read_batch)
        };
        let room = most.saturating_sub(self.fresh.len());
        if self.can_hold_more() && room >= batch { room } else { 0 }
    }

    /// Whether there is room for another parked message to be replayed.
    pub(crate) fn can_replay(&self) -> bool {
        self.can_hold_more() && self.again.len() < self.rules.history_buffer
    }

    /// A message was read, from the source or from what is parked.
    pub(crate) fn read(&mut self, message: Message<E>) {
        self.held += message.bytes;
        let waiting = |message| Waiting { message, retries: 0 };
        match message.place {
            Place::Source(place) => {
                self.source.begin(place);
                self.fresh.push_back(waiting(message));
            }
            Place::Parked(place) => {
                self.replay.begin(place);
                self.again.push_back(waiting(message));
            }
        }
        self.push();
    }

    /// What is at a place is of no interest to consumers.
    pub(crate) fn pass(&mut self, place: Place) {
        match place {
            Place::Source(place) => self.source.pass(place),
            Place::Parked(place) => self.replay.pass(place),
        }
        self.save();
    }

    /// Everything that is there was read.
    pub(crate) fn live(&mut self) {
        self.is_live = true;
    }

    /// Consumers are done with messages. Ids of others, such as those that timed out, do nothing.
    /// For each of the messages: who had it, and for how long.
    pub(crate) fn ack(&mut self, ids: &[Uuid]) -> Vec<(ConsumerId, Duration)> {
        let acked: Vec<_> = ids.iter().filter_map(|id| self.land(*id)).collect();
        let had = |flight: &InFlight<E>| (flight.consumer, self.now.saturating_sub(flight.since));
        let result = acked.iter().map(had).collect();
        for flight in acked {
            self.finish(&flight.waiting.message);
        }
        self.push();
        result
    }

    /// A consumer could not process messages.
    pub(crate) fn nack(&mut self, by: ConsumerId, ids: &[Uuid], nack: Nack, reason: &str) {
        if nack == Nack::Stop {
            self.actions.push_back(Action::Drop(by));
            return self.disconnect(by);
        }
        for id in ids {
            let Some(flight) = self.land(*id) else { continue };
            match nack {
                Nack::Park => self.park(flight.waiting, reason.to_owned()),
                Nack::Skip => self.finish(&flight.waiting.message),
                Nack::Retry | Nack::Stop => self.retry(flight.waiting),
            }
        }
        self.push();
    }

    /// Time passes.
    pub(crate) fn tick(&mut self, now: Duration) {
        self.now = now;
        if let Some(timeout) = self.rules.timeout {
            let is_due = |(since, _): &&(Duration, Uuid)| now.saturating_sub(*since) >= timeout;
            let due = self.by_age.iter().take_while(is_due).map(|(_, id)| *id).collect();
            for flight in self.landed(due) {
                self.retry(flight.waiting);
            }
        }
        self.push();
    }

    /// When time next matters.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let oldest = self.by_age.first();
        let timeout = oldest.and_then(|(since, _)| since.checked_add(self.rules.timeout?));
        let waits = self.saving.is_none() && self.unsaved() >= self.rules.min_checkpoint.max(1);
        let save = waits.then(|| self.saved_at.saturating_add(self.rules.checkpoint_after));
        timeout.into_iter().chain(save).min()
    }

    /// Parking a message succeeded or not; if not, it is sent again.
    pub(crate) fn parked(&mut self, place: Place, is_done: bool) {
        let Some(waiting) = self.parking.remove(&place) else { return };
        if is_done {
            self.finish(&waiting.message);
        } else {
            self.again.push_back(waiting);
        }
        self.push();
    }

    /// Writing a checkpoint succeeded or not.
    pub(crate) fn checkpointed(&mut self, is_done: bool) {
        if let Some(mark) = self.saving.take().filter(|_| is_done) {
            self.source.save(mark);
            self.save();
        }
    }

    /// Forgetting parked messages succeeded or not.
    pub(crate) fn truncated(&mut self, is_done: bool) {
        if let Some(mark) = self.truncating.take().filter(|_| is_done) {
            self.replay.save(mark);
            self.save();
        }
    }

    /// Saves what is done, whether or not it is due.
    pub(crate) fn flush(&mut self) {
        if self.saving.is_none()
            && let Some((mark, _)) = self.source.unsaved()
        {
            self.checkpoint(mark);
        }
    }

    /// How many messages wait: fresh ones, and those that go first.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.fresh.len(), self.again.len())
    }

    /// How many messages consumers have, and how many are not done in all.
    pub(crate) fn outstanding(&self) -> (usize, usize) {
        (self.in_flight.len(), self.source.open() + self.replay.open())
    }

    /// The memory that its messages take.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Each consumer's limit, and how many messages it has.
    pub(crate) fn loads(&self) -> impl Iterator<Item = (ConsumerId, usize, usize)> {
        self.consumers.loads()
    }

    pub(crate) fn is_live(&self) -> bool {
        self.is_live
    }

    /// Gives consumers what they can take: what goes first, then what is fresh.
    fn push(&mut self) {
        for is_again in [true, false] {
            let mut at = 0;
            while self.consumers.any_free() {
                let queue = if is_again { &mut self.again } else { &mut self.fresh };
                let Some(Waiting { message, .. }) = queue.get(at) else { break };
                // An id identifies an event within its stream only.
                let twin = self.in_flight.contains_key(&message.id);
                let to = Some(message.key).filter(|_| !twin);
                match to.and_then(|key| self.consumers.take(key)) {
                    Some(to) => {
                        if let Some(waiting) = queue.remove(at) {
                            self.send(to, waiting);
                        }
                    }
                    None => at += 1,
                }
            }
        }
        self.save();
    }

    fn send(&mut self, to: ConsumerId, waiting: Waiting<E>) {
        let Waiting { message, retries } = &waiting;
        let (id, event, retries) = (message.id, message.event.clone(), *retries);
        self.actions.push_back(Action::Send { to, event, retries });
        let flight = InFlight { waiting, consumer: to, since: self.now };
        self.in_flight.insert(id, flight);
        self.by_age.insert((self.now, id));
    }

    /// Takes a message from the consumer that has it.
    fn land(&mut self, id: Uuid) -> Option<InFlight<E>> {
        let flight = self.in_flight.remove(&id)?;
        self.by_age.remove(&(flight.since, id));
        self.consumers.give_back(flight.consumer);
        Some(flight)
    }

    /// Takes messages from the consumers that have them, in their order.
    fn landed(&mut self, ids: Vec<Uuid>) -> Vec<InFlight<E>> {
        let mut landed: Vec<_> = ids.into_iter().filter_map(|id| self.land(id)).collect();
        landed.sort_by_key(|flight| flight.waiting.message.place);
        landed
    }

    fn retry(&mut self, waiting: Waiting<E>) {
        let Waiting { message, retries } = waiting;
        if retries >= self.rules.max_retries {
            let reason = format!("retried {} times", self.rules.max_retries);
            self.park(Waiting { message, retries }, reason);
        } else {
            self.again.push_back(Waiting { message, retries: retries + 1 });
        }
    }

    fn park(&mut self, waiting: Waiting<E>, reason: String) {
        let place = waiting.message.place;
        let event = waiting.message.event.clone();
        self.actions.push_back(Action::Write(Write::Park { place, event, reason }));
        self.parking.insert(place, waiting);
    }

    fn finish(&mut self, message: &Message<E>) {
        self.held -= message.bytes;
        match message.place {
            Place::Source(place) => self.source.finish(place),
            Place::Parked(place) => self.replay.finish(place),
        }
    }

    fn can_hold_more(&self) -> bool {
        self.consumers.len() > 0 && self.held < MOST_HELD
    }

    fn unsaved(&self) -> u64 {
        self.source.unsaved().map_or(0, |(_, since)| since)
    }

    /// Saves what is done, where that is due.
    fn save(&mut self) {
        if self.truncating.is_none()
            && let Some((mark, _)) = self.replay.unsaved()
        {
            self.truncating = Some(mark);
            self.actions.push_back(Action::Write(Write::Truncate(mark.place)));
        }
        if self.saving.is_some() {
            return;
        }
        let Some((mark, since)) = self.source.unsaved() else { return };
        let Rules { min_checkpoint: min, max_checkpoint: max, checkpoint_after, .. } = self.rules;
        let is_time = self.now >= self.saved_at.saturating_add(checkpoint_after);
        if (is_time && since >= min) || (max > 0 && since >= max) {
            self.checkpoint(mark);
        }
    }

    fn checkpoint(&mut self, mark: Mark) {
        self.saving = Some(mark);
        self.saved_at = self.now;
        self.actions.push_back(Action::Write(Write::Checkpoint(mark.place)));
    }
}
