//! What a group must keep to, whatever happens: no message is lost, and none is done twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use uuid::Uuid;

use super::{Action, ConsumerId, Dispatch, Machine, Message, Nack, Place, Rules, Write};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A group, its stream, its consumers, and what is written down for it.
struct Model {
    machine: Machine<Place>,
    rules: Rules,
    now: Duration,
    consumers: BTreeMap<u64, Connected>,
    next_consumer: u64,
    /// The next event of the stream, and how many there are at least. An event is its place's
    /// number.
    next: u64,
    end: u64,
    /// The messages that were read and are not done, and their events.
    open: BTreeMap<Place, u64>,
    /// How often each event was acknowledged or skipped.
    done: BTreeMap<u64, u32>,
    checkpoint: Option<u64>,
    parked: Parked,
    writes: VecDeque<Write<Place>>,
    /// Whether it broke down: then what it did after its last checkpoint comes again.
    broke_down: bool,
}

struct Connected {
    limit: usize,
    /// The messages that it has, and since when.
    has: BTreeMap<Place, Duration>,
}

/// The group's parked messages.
#[derive(Default)]
struct Parked {
    /// Their events by their revisions.
    events: Vec<u64>,
    /// How many were forgotten, were read again, and are to be.
    forgotten: u64,
    read: u64,
    wanted: u64,
}

/// Drives a group by these bytes: its settings, then two for each thing that happens. Whether it
/// parked anything, and whether it broke down.
///
/// # Panics
/// The group did what it must not.
pub(crate) fn run(bytes: &[u8]) -> (bool, bool) {
    let (first, steps) = bytes.split_first().unwrap_or((&0, &[]));
    let mut model = Model::new(*first);
    for step in steps.chunks_exact(2) {
        model.step(step[0], step[1]);
        model.act();
    }
    model.finish();
    (!model.parked.events.is_empty(), model.broke_down)
}

fn rules(of: u8) -> Rules {
    Rules {
        strategy: [Dispatch::InTurn, Dispatch::Single, Dispatch::Pinned][usize::from(of % 3)],
        timeout: Some(TIMEOUT),
        max_retries: u32::from(of / 3 % 3),
        live_buffer: 20,
        history_buffer: 10,
        read_batch: 4,
        min_checkpoint: 1,
        max_checkpoint: u64::from(of / 9 % 4),
        checkpoint_after: Duration::from_secs(u64::from(of) * 8),
        max_consumers: None,
    }
}

fn id(event: u64) -> Uuid {
    Uuid::from_u128(event.into())
}

impl Model {
    fn new(of: u8) -> Self {
        let rules = rules(of);
        Self {
            machine: Machine::new(rules.clone(), None),
            rules,
            now: Duration::ZERO,
            consumers: BTreeMap::new(),
            next_consumer: 0,
            next: 0,
            end: 0,
            open: BTreeMap::new(),
            done: BTreeMap::new(),
            checkpoint: None,
            parked: Parked::default(),
            writes: VecDeque::new(),
            broke_down: false,
        }
    }

    fn step(&mut self, what: u8, which: u8) {
        match what % 16 {
            0 => self.connect(usize::from(which % 4) + 1),
            1 => self.disconnect(which),
            2..=6 => self.read(),
            7 | 8 => self.ack(which),
            9 => self.nack(which, Nack::Park),
            10 => self.nack(which, [Nack::Retry, Nack::Skip, Nack::Stop][usize::from(which % 3)]),
            11 => self.tick(which),
            12 | 13 => self.write(!which.is_multiple_of(4)),
            14 => self.replay(),
            _ if which == 0 => self.break_down(),
            _ => self.machine.live(),
        }
    }

    fn connect(&mut self, limit: usize) {
        let id = self.next_consumer;
        self.next_consumer += 1;
        self.consumers.insert(id, Connected { limit, has: BTreeMap::new() });
        self.machine.connect(ConsumerId(id), limit);
    }

    fn disconnect(&mut self, which: u8) {
        let which = usize::from(which).checked_rem(self.consumers.len());
        if let Some(id) = which.and_then(|which| self.consumers.keys().nth(which).copied()) {
            self.consumers.remove(&id);
            self.machine.disconnect(ConsumerId(id));
        }
    }

    /// Reads the next event, where there is room. Some are of no interest.
    fn read(&mut self) {
        if self.machine.room() == 0 {
            return;
        }
        let event = self.next;
        self.next += 1;
        self.end = self.end.max(self.next);
        if event % 7 == 3 {
            self.machine.pass(Place::Source(event));
            self.done.insert(event, 1);
        } else {
            self.begin(Place::Source(event), event);
        }
    }

    fn begin(&mut self, place: Place, event: u64) {
        self.open.insert(place, event);
        self.machine.read(Message {
            place,
            id: id(event),
            key: event % 5,
            bytes: 100,
            event: place,
        });
    }

    /// Takes a message from a consumer that has it: which consumer, where it is, and its event.
    fn take(&mut self, which: u8) -> Option<(u64, Place, u64)> {
        let all = self.consumers.iter();
        let all = all.flat_map(|(id, of)| of.has.keys().map(|place| (*id, *place)));
        let all: Vec<_> = all.collect();
        let (consumer, place) = *all.get(usize::from(which).checked_rem(all.len())?)?;
        self.consumers.get_mut(&consumer)?.has.remove(&place);
        Some((consumer, place, self.open[&place]))
    }

    fn ack(&mut self, which: u8) {
        if let Some((_, place, event)) = self.take(which) {
            self.finished(place);
            self.machine.ack(&[id(event)]);
        }
    }

    fn nack(&mut self, which: u8, nack: Nack) {
        let Some((consumer, place, event)) = self.take(which) else { return };
        match nack {
            Nack::Skip => self.finished(place),
            Nack::Stop => drop(self.consumers.remove(&consumer)),
            Nack::Park | Nack::Retry => {}
        }
        self.machine.nack(ConsumerId(consumer), &[id(event)], nack, "asked for");
    }

    fn finished(&mut self, place: Place) {
        let Some(event) = self.open.remove(&place) else { panic!("{place:?} is not open") };
        let times = self.done.entry(event).or_default();
        *times += 1;
        assert!(*times == 1 || self.broke_down, "{event} was done {times} times");
    }

    fn tick(&mut self, seconds: u8) {
        self.now += Duration::from_secs(u64::from(seconds % 64));
        let now = self.now;
        for consumer in self.consumers.values_mut() {
            consumer.has.retain(|_, since| now.saturating_sub(*since) < TIMEOUT);
        }
        self.machine.tick(now);
    }

    /// The store does the next thing that is to be written down, or fails.
    fn write(&mut self, is_done: bool) {
        match self.writes.pop_front() {
            Some(Write::Park { place, event, .. }) => {
                if is_done {
                    assert_eq!(place, event, "another message is parked");
                    let event = self.open.remove(&place).expect("what is parked is open");
                    self.parked.events.push(event);
                }
                self.machine.parked(place, is_done);
            }
            Some(Write::Checkpoint(at)) => {
                if is_done {
                    assert!(self.checkpoint.is_none_or(|before| before < at), "it goes back");
                    self.checkpoint = Some(at);
                }
                self.machine.checkpointed(is_done);
            }
            Some(Write::Truncate(at)) => {
                if is_done {
                    assert!(self.parked.forgotten <= at, "it goes back");
                    self.parked.forgotten = at + 1;
                }
                self.machine.truncated(is_done);
            }
            None => {}
        }
    }

    /// All that is parked by now is to be read again; one message of it is.
    fn replay(&mut self) {
        if self.parked.read == self.parked.wanted {
            self.parked.wanted = self.parked.events.len() as u64;
        }
        if self.parked.read < self.parked.wanted && self.machine.can_replay() {
            let at = self.parked.read;
            self.parked.read += 1;
            self.begin(
                Place::Parked(at),
                self.parked.events[usize::try_from(at).unwrap_or(usize::MAX)],
            );
        }
    }

    /// The process ends, and another goes on with what was written down.
    fn break_down(&mut self) {
        self.broke_down = true;
        self.consumers.clear();
        self.open.clear();
        self.writes.clear();
        self.now = Duration::ZERO;
        self.parked.read = self.parked.forgotten;
        self.parked.wanted = self.parked.forgotten;
        self.next = self.checkpoint.map_or(0, |at| at + 1);
        self.machine = Machine::new(self.rules.clone(), self.checkpoint);
    }

    /// Does what the group wants, and looks whether it may want it.
    fn act(&mut self) {
        while let Some(action) = self.machine.next_action() {
            match action {
                Action::Send { to, event, .. } => self.sent(to.0, event),
                Action::Drop(id) => {
                    assert!(!self.consumers.contains_key(&id.0), "who asked for it");
                }
                Action::Write(write) => {
                    self.allow(&write);
                    self.writes.push_back(write);
                }
            }
        }
    }

    fn sent(&mut self, to: u64, place: Place) {
        let Some(event) = self.open.get(&place) else { panic!("{place:?} is not open") };
        let mut others = self.consumers.values().flat_map(|other| other.has.keys());
        assert!(others.all(|other| self.open[other] != *event), "somebody has {place:?}");
        let consumer = self.consumers.get_mut(&to).expect("it is sent to who is there");
        consumer.has.insert(place, self.now);
        assert!(consumer.has.len() <= consumer.limit, "it has more than it can take");
    }

    /// Nothing is said to be done that is open, and nothing is parked twice.
    fn allow(&self, write: &Write<Place>) {
        let is_open = |place: Place| self.open.contains_key(&place);
        let open = || self.open.keys();
        match write {
            Write::Park { place, .. } => {
                assert!(is_open(*place), "{place:?} is parked and not open");
                let same = |write: &&Write<Place>| matches!(write, Write::Park { place: other, .. } if other == place);
                assert_eq!(self.writes.iter().filter(same).count(), 0, "{place:?} is parked twice");
            }
            Write::Checkpoint(at) => {
                let lost = open().any(|open| matches!(open, Place::Source(open) if open <= at));
                assert!(!lost, "a checkpoint at {at} loses what is open");
            }
            Write::Truncate(at) => {
                let lost = open().any(|open| matches!(open, Place::Parked(open) if open <= at));
                assert!(!lost && *at < self.parked.read, "forgetting up to {at} loses messages");
            }
        }
    }

    /// Whatever happened, everything is delivered at last, and nothing is left behind.
    fn finish(&mut self) {
        self.connect(8);
        self.act();
        for _ in 0..20_000 {
            let is_idle = self.open.is_empty() && self.writes.is_empty();
            let is_read = self.next == self.end;
            if is_idle && is_read && self.parked.read == self.parked.events.len() as u64 {
                break;
            }
            if !self.writes.is_empty() {
                self.write(true);
            } else if self.consumers.values().any(|consumer| !consumer.has.is_empty()) {
                self.ack(0);
            } else if !is_read && self.machine.room() > 0 {
                self.read();
            } else {
                self.replay();
            }
            self.act();
        }
        self.machine.flush();
        self.act();
        while !self.writes.is_empty() {
            self.write(true);
            self.act();
        }
        assert!(self.open.is_empty(), "{:?} were never delivered", self.open);
        let undone: BTreeSet<_> = (0..self.next).filter(|e| !self.done.contains_key(e)).collect();
        assert!(undone.is_empty(), "{undone:?} were lost");
        assert_eq!(self.checkpoint, self.next.checked_sub(1), "all are done");
        assert_eq!(self.parked.forgotten, self.parked.events.len() as u64, "all were replayed");
        assert_eq!((self.machine.held, self.machine.outstanding()), (0, (0, 0)));
    }
}
