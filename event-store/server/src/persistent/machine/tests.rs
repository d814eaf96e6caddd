use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(30);

fn rules() -> Rules {
    Rules {
        strategy: Dispatch::InTurn,
        timeout: Some(TIMEOUT),
        max_retries: 2,
        live_buffer: 20,
        history_buffer: 10,
        read_batch: 4,
        min_checkpoint: 1,
        max_checkpoint: 0,
        checkpoint_after: Duration::from_secs(1_000),
        max_consumers: None,
    }
}

fn message(place: Place) -> Message<u64> {
    let (Place::Source(at) | Place::Parked(at)) = place;
    let id = match place {
        Place::Source(at) => Uuid::from_u128(at.into()),
        Place::Parked(at) => Uuid::from_u128(1_000_000 + u128::from(at)),
    };
    Message { place, id, key: at % 5, bytes: 100, event: at }
}

fn id(at: u64) -> Uuid {
    message(Place::Source(at)).id
}

fn given(rules: Rules, limits: &[usize], events: u64) -> Machine<u64> {
    let mut machine = Machine::new(rules, None);
    for (id, limit) in (0..).zip(limits) {
        machine.connect(ConsumerId(id), *limit);
    }
    for at in 0..events {
        machine.read(message(Place::Source(at)));
    }
    machine
}

/// What was done since the last time, in short.
fn done(machine: &mut Machine<u64>) -> Vec<String> {
    let short = |action| match action {
        Action::Send { to, event, retries } => format!("{event} to {} #{retries}", to.0),
        Action::Write(Write::Park { event, reason, .. }) => format!("park {event}: {reason}"),
        Action::Write(Write::Checkpoint(at)) => format!("checkpoint {at}"),
        Action::Write(Write::Truncate(at)) => format!("truncate {at}"),
        Action::Drop(id) => format!("drop {}", id.0),
    };
    std::iter::from_fn(|| machine.next_action()).map(short).collect()
}

#[test]
fn a_consumer_has_no_more_messages_than_it_wants() {
    let mut machine = given(rules(), &[2], 3);
    assert_eq!(done(&mut machine), ["0 to 0 #0", "1 to 0 #0"]);
    machine.ack(&[id(1), id(1), id(77)]);
    assert_eq!(done(&mut machine), ["2 to 0 #0"]);
}

#[test]
fn a_message_that_times_out_is_retried_and_then_parked() {
    let mut machine = given(rules(), &[1], 1);
    for _ in 0..3 {
        let due = machine.deadline().unwrap();
        machine.tick(due);
    }
    let parked = "park 0: retried 2 times";
    assert_eq!(done(&mut machine), ["0 to 0 #0", "0 to 0 #1", "0 to 0 #2", parked]);
    machine.parked(Place::Source(0), false);
    assert_eq!(done(&mut machine), ["0 to 0 #2"]);
}

#[test]
fn without_a_timeout_a_consumer_has_for_ever() {
    let mut machine = given(Rules { timeout: None, ..rules() }, &[1], 1);
    machine.tick(Duration::MAX);
    assert_eq!(done(&mut machine), ["0 to 0 #0"]);
    assert_eq!(machine.deadline(), None);
}

#[test]
fn what_a_consumer_says_decides() {
    let mut machine = given(rules(), &[10], 3);
    done(&mut machine);
    machine.nack(ConsumerId(0), &[id(0)], Nack::Skip, "");
    machine.nack(ConsumerId(0), &[id(1)], Nack::Retry, "");
    machine.nack(ConsumerId(0), &[id(2)], Nack::Park, "no stock");
    assert_eq!(done(&mut machine), ["1 to 0 #1", "park 2: no stock"]);
    machine.nack(ConsumerId(0), &[id(1)], Nack::Stop, "");
    assert_eq!(done(&mut machine), ["drop 0"]);
    machine.connect(ConsumerId(1), 1);
    assert_eq!(done(&mut machine), ["1 to 1 #2"]);
}

#[test]
fn what_a_consumer_had_goes_to_the_next() {
    let mut machine = given(rules(), &[2, 1], 4);
    done(&mut machine);
    machine.disconnect(ConsumerId(0));
    machine.ack(&[id(1)]);
    machine.ack(&[id(0)]);
    assert_eq!(done(&mut machine), ["0 to 1 #1", "2 to 1 #1"]);
}

#[test]
fn a_checkpoint_is_written_after_enough_messages() {
    let rules = Rules { min_checkpoint: 3, max_checkpoint: 4, ..rules() };
    let mut machine = given(rules, &[10], 6);
    done(&mut machine);
    machine.ack(&[id(0), id(1), id(2), id(4)]);
    assert_eq!(done(&mut machine), [""; 0]);
    machine.ack(&[id(3)]);
    assert_eq!(done(&mut machine), ["checkpoint 4"]);
    machine.checkpointed(true);
    machine.ack(&[id(5)]);
    machine.tick(Duration::from_secs(2_000));
    assert_eq!(done(&mut machine), [""; 0]);
    machine.flush();
    assert_eq!(done(&mut machine), ["checkpoint 5"]);
}

#[test]
fn a_checkpoint_is_written_after_some_time() {
    let mut machine = given(rules(), &[10], 2);
    done(&mut machine);
    machine.ack(&[id(0)]);
    assert_eq!(done(&mut machine), [""; 0]);
    let due = machine.deadline().unwrap();
    assert_eq!(due, TIMEOUT, "the other message times out first");
    machine.ack(&[id(1)]);
    machine.tick(machine.deadline().unwrap());
    assert_eq!(done(&mut machine), ["checkpoint 1"]);
    machine.checkpointed(false);
    machine.tick(machine.deadline().unwrap());
    assert_eq!(done(&mut machine), ["checkpoint 1"]);
}

#[test]
fn replayed_messages_are_forgotten_once_they_are_done() {
    let mut machine = given(rules(), &[1], 2);
    done(&mut machine);
    machine.read(message(Place::Parked(7)));
    machine.read(message(Place::Parked(8)));
    machine.ack(&[id(0)]);
    assert_eq!(done(&mut machine), ["7 to 0 #0"]);
    machine.nack(ConsumerId(0), &[message(Place::Parked(7)).id], Nack::Park, "again");
    assert_eq!(done(&mut machine), ["park 7: again", "8 to 0 #0"]);
    machine.parked(Place::Parked(7), true);
    assert_eq!(done(&mut machine), ["truncate 7"]);
    machine.ack(&[message(Place::Parked(8)).id]);
    machine.truncated(true);
    assert_eq!(done(&mut machine), ["1 to 0 #0", "truncate 8"]);
}

#[test]
fn events_with_the_same_id_come_one_after_the_other() {
    let mut machine = given(rules(), &[10], 1);
    let twin = Message { id: id(0), ..message(Place::Source(1)) };
    machine.read(twin);
    machine.read(message(Place::Source(2)));
    assert_eq!(done(&mut machine), ["0 to 0 #0", "2 to 0 #0"]);
    machine.ack(&[id(0)]);
    assert_eq!(done(&mut machine), ["1 to 0 #0"]);
}

#[test]
fn nothing_is_read_without_room_or_consumers() {
    let mut machine = given(rules(), &[], 0);
    assert_eq!(machine.room(), 0);
    machine.connect(ConsumerId(0), 1);
    assert_eq!(machine.room(), 10);
    for at in 0..8 {
        machine.read(message(Place::Source(at)));
    }
    assert_eq!(machine.room(), 0, "there is room for 3, and a batch is of 4");
    machine.live();
    assert_eq!(machine.room(), 13);
    machine.read(Message { bytes: MOST_HELD, ..message(Place::Source(8)) });
    assert_eq!(machine.room(), 0);
    assert!(!machine.can_replay());
}

/// What may happen to a group.
#[derive(Debug, Clone)]
enum Step {
    Connect(usize),
    Disconnect(usize),
    Read,
    Pass,
    Ack(usize),
    Nack(usize, Nack),
    Tick(u64),
    Written(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let nack = prop_oneof![Just(Nack::Park), Just(Nack::Retry), Just(Nack::Skip), Just(Nack::Stop)];
    let step = prop_oneof![
        2 => (1..4_usize).prop_map(Step::Connect),
        1 => any::<usize>().prop_map(Step::Disconnect),
        6 => Just(Step::Read),
        1 => Just(Step::Pass),
        5 => any::<usize>().prop_map(Step::Ack),
        2 => (any::<usize>(), nack).prop_map(|(which, nack)| Step::Nack(which, nack)),
        2 => (0..40_u64).prop_map(Step::Tick),
        4 => any::<bool>().prop_map(Step::Written),
    ];
    prop::collection::vec(step, 1..200)
}

/// A group, and what its consumers and its store make of it.
struct World {
    machine: Machine<u64>,
    now: Duration,
    next: u64,
    /// What each consumer wants at most, and has.
    consumers: BTreeMap<u64, (usize, BTreeSet<u64>)>,
    next_consumer: u64,
    /// Who had the messages of a key last.
    pins: BTreeMap<u64, u64>,
    /// What was read and is neither acknowledged, skipped nor parked.
    open: BTreeSet<u64>,
    retries: BTreeMap<u64, u32>,
    writes: VecDeque<Write<u64>>,
    checkpoint: Option<u64>,
    is_pinned: bool,
}

impl World {
    fn new(strategy: Dispatch) -> Self {
        Self {
            machine: Machine::new(Rules { strategy, max_checkpoint: 3, ..rules() }, None),
            now: Duration::ZERO,
            next: 0,
            consumers: BTreeMap::new(),
            next_consumer: 0,
            pins: BTreeMap::new(),
            open: BTreeSet::new(),
            retries: BTreeMap::new(),
            writes: VecDeque::new(),
            checkpoint: None,
            is_pinned: strategy == Dispatch::Pinned,
        }
    }

    fn take(&mut self, step: &Step) -> TestCaseResult {
        match step {
            Step::Connect(limit) => {
                self.consumers.insert(self.next_consumer, (*limit, BTreeSet::new()));
                self.machine.connect(ConsumerId(self.next_consumer), *limit);
                self.next_consumer += 1;
            }
            Step::Disconnect(which) => {
                if let Some(id) = nth(self.consumers.keys(), *which) {
                    self.leave(id);
                    self.machine.disconnect(ConsumerId(id));
                }
            }
            Step::Read if self.machine.room() > 0 => {
                self.open.insert(self.next);
                self.machine.read(message(Place::Source(self.next)));
                self.next += 1;
            }
            Step::Read => {}
            Step::Pass => {
                self.machine.pass(Place::Source(self.next));
                self.next += 1;
            }
            Step::Ack(which) => {
                if let Some((_, at)) = self.flight(*which) {
                    self.open.remove(&at);
                    self.machine.ack(&[id(at)]);
                }
            }
            Step::Nack(which, nack) => {
                if let Some((by, at)) = self.flight(*which) {
                    match nack {
                        Nack::Skip => drop(self.open.remove(&at)),
                        Nack::Stop => {
                            self.consumers.entry(by).or_default().1.insert(at);
                            self.leave(by);
                        }
                        Nack::Park | Nack::Retry => {}
                    }
                    self.machine.nack(ConsumerId(by), &[id(at)], *nack, "");
                }
            }
            Step::Tick(seconds) => self.pass_time(*seconds),
            Step::Written(is_done) => self.write(*is_done)?,
        }
        self.act()
    }

    fn pass_time(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        if Duration::from_secs(seconds) >= TIMEOUT {
            self.consumers.values_mut().for_each(|(_, has)| has.clear());
        } else {
            let has = self.machine.by_age.iter();
            let due = has.filter(|(since, _)| self.now.saturating_sub(*since) >= TIMEOUT);
            let due: BTreeSet<_> = due.map(|(_, id)| id.as_u64_pair().1).collect();
            self.consumers.values_mut().for_each(|(_, has)| has.retain(|at| !due.contains(at)));
        }
        self.machine.tick(self.now);
    }

    fn leave(&mut self, id: u64) {
        self.consumers.remove(&id);
        self.pins.retain(|_, pinned| *pinned != id);
    }

    /// A message that a consumer has, and no longer has then.
    fn flight(&mut self, which: usize) -> Option<(u64, u64)> {
        let all = self.consumers.iter().flat_map(|(id, (_, has))| has.iter().map(|at| (*id, *at)));
        let all: Vec<_> = all.collect();
        let (id, at) = *all.get(which.checked_rem(all.len())?)?;
        self.consumers.get_mut(&id)?.1.remove(&at);
        Some((id, at))
    }

    fn write(&mut self, is_done: bool) -> TestCaseResult {
        match self.writes.pop_front() {
            Some(Write::Park { place, event, .. }) => {
                if is_done {
                    prop_assert!(self.open.remove(&event));
                }
                self.machine.parked(place, is_done);
            }
            Some(Write::Checkpoint(at)) => {
                if is_done {
                    prop_assert!(self.checkpoint.is_none_or(|before| before < at));
                    self.checkpoint = Some(at);
                }
                self.machine.checkpointed(is_done);
            }
            _ => {}
        }
        Ok(())
    }

    /// Does what the machine wants, and looks whether it may want it.
    fn act(&mut self) -> TestCaseResult {
        while let Some(action) = self.machine.next_action() {
            match action {
                Action::Send { to, event, retries } => self.sent(to.0, event, retries)?,
                Action::Drop(id) => prop_assert!(!self.consumers.contains_key(&id.0)),
                Action::Write(write) => {
                    if let Write::Checkpoint(at) = write {
                        prop_assert!(self.open.first().is_none_or(|open| at < *open));
                    }
                    self.writes.push_back(write);
                }
            }
        }
        Ok(())
    }

    fn sent(&mut self, to: u64, event: u64, retries: u32) -> TestCaseResult {
        prop_assert!(self.open.contains(&event), "{} was done", event);
        let Some((limit, has)) = self.consumers.get_mut(&to) else {
            return Err(TestCaseError::fail("sent to no one"));
        };
        prop_assert!(has.insert(event) && has.len() <= *limit);
        let before = self.retries.insert(event, retries);
        prop_assert!(before.map_or(retries == 0, |before| retries >= before));
        if self.is_pinned {
            prop_assert_eq!(*self.pins.entry(event % 5).or_insert(to), to);
        }
        Ok(())
    }

    /// Everything that is open is delivered at last, and then the last checkpoint has it all.
    fn finish(&mut self) -> TestCaseResult {
        self.take(&Step::Connect(3))?;
        for _ in 0..2_000 {
            let step = if self.writes.is_empty() { Step::Ack(0) } else { Step::Written(true) };
            self.take(&step)?;
            if self.open.is_empty() && self.writes.is_empty() {
                self.machine.flush();
                self.act()?;
            }
        }
        prop_assert!(self.open.is_empty(), "{:?} were never delivered", self.open);
        prop_assert_eq!(self.checkpoint, self.next.checked_sub(1));
        prop_assert_eq!((self.machine.held, self.machine.outstanding()), (0, (0, 0)));
        Ok(())
    }
}

fn nth<'a>(ids: impl ExactSizeIterator<Item = &'a u64>, which: usize) -> Option<u64> {
    let at = which.checked_rem(ids.len())?;
    ids.copied().nth(at)
}

proptest! {
    #[test]
    fn every_event_is_delivered_until_it_is_done(
        strategy in prop_oneof![
            Just(Dispatch::InTurn), Just(Dispatch::Single), Just(Dispatch::Pinned)
        ],
        steps in steps(),
    ) {
        let mut world = World::new(strategy);
        for step in &steps {
            world.take(step)?;
        }
        world.finish()?;
    }

    #[test]
    fn nothing_is_lost_or_done_twice(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        model::run(&bytes);
    }
}
