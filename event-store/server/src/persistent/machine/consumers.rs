//! Who of a group's consumers is given a message.

use std::collections::HashMap;

/// A consumer's connection, within its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConsumerId(pub(crate) u64);

/// How consumers are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dispatch {
    /// Each in its turn.
    InTurn,
    /// The one that came first, until it can take no more.
    Single,
    /// Always the same for messages with the same key, while it is connected.
    Pinned,
}

/// How many sorts of keys there are.
const BUCKETS: u64 = 1_024;

#[derive(Debug)]
struct Consumer {
    id: ConsumerId,
    /// The most messages that it has at one time.
    limit: usize,
    in_flight: usize,
}

impl Consumer {
    fn is_free(&self) -> bool {
        self.in_flight < self.limit
    }
}

/// The consumers that are connected, in the order in which they came.
#[derive(Debug)]
pub(crate) struct Consumers {
    strategy: Dispatch,
    connected: Vec<Consumer>,
    /// Whose turn it is.
    turn: usize,
    pins: HashMap<u64, ConsumerId>,
}

impl Consumers {
    pub(crate) fn new(strategy: Dispatch) -> Self {
        Self { strategy, connected: Vec::new(), turn: 0, pins: HashMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.connected.len()
    }

    pub(crate) fn connect(&mut self, id: ConsumerId, limit: usize) {
        self.connected.push(Consumer { id, limit, in_flight: 0 });
    }

    pub(crate) fn disconnect(&mut self, id: ConsumerId) {
        self.connected.retain(|consumer| consumer.id != id);
        self.pins.retain(|_, pinned| *pinned != id);
    }

    /// Whether anyone can take a message.
    pub(crate) fn any_free(&self) -> bool {
        self.connected.iter().any(Consumer::is_free)
    }

    /// Gives a message to a consumer; `None` where it must wait for one.
    pub(crate) fn take(&mut self, key: u64) -> Option<ConsumerId> {
        let chosen = match self.strategy {
            Dispatch::Single => self.connected.iter().position(Consumer::is_free),
            Dispatch::InTurn => self.in_turn(),
            Dispatch::Pinned => self.pinned(key % BUCKETS),
        }?;
        let consumer = &mut self.connected[chosen];
        consumer.in_flight += 1;
        Some(consumer.id)
    }

    /// A consumer no longer has a message.
    pub(crate) fn give_back(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.connected.iter_mut().find(|consumer| consumer.id == id) {
            consumer.in_flight -= 1;
        }
    }

    /// Each consumer's limit, and how many messages it has.
    pub(crate) fn loads(&self) -> impl Iterator<Item = (ConsumerId, usize, usize)> {
        self.connected.iter().map(|consumer| (consumer.id, consumer.limit, consumer.in_flight))
    }

    fn in_turn(&mut self) -> Option<usize> {
        let count = self.connected.len();
        let mut turns = (0..count).map(|next| (self.turn + next) % count);
        let chosen = turns.find(|at| self.connected[*at].is_free())?;
        self.turn = chosen + 1;
        Some(chosen)
    }

    fn pinned(&mut self, bucket: u64) -> Option<usize> {
        if let Some(pinned) = self.pins.get(&bucket) {
            let is_it = |consumer: &Consumer| consumer.id == *pinned && consumer.is_free();
            return self.connected.iter().position(is_it);
        }
        let pins = |id| self.pins.values().filter(|pinned| **pinned == id).count();
        let free = self.connected.iter().enumerate().filter(|(_, consumer)| consumer.is_free());
        let (chosen, consumer) = free.min_by_key(|(_, consumer)| pins(consumer.id))?;
        self.pins.insert(bucket, consumer.id);
        Some(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(strategy: Dispatch, limits: &[usize]) -> Consumers {
        let mut consumers = Consumers::new(strategy);
        for (id, limit) in (0..).zip(limits) {
            consumers.connect(ConsumerId(id), *limit);
        }
        consumers
    }

    fn taken(consumers: &mut Consumers, keys: &[u64]) -> Vec<Option<u64>> {
        keys.iter().map(|key| consumers.take(*key).map(|id| id.0)).collect()
    }

    #[test]
    fn round_robin_gives_each_its_turn_and_passes_over_who_is_full() {
        let mut consumers = given(Dispatch::InTurn, &[3, 1, 2]);
        let taken = taken(&mut consumers, &[0; 7]);
        assert_eq!(taken, [Some(0), Some(1), Some(2), Some(0), Some(2), Some(0), None]);
        assert!(!consumers.any_free());
    }

    #[test]
    fn a_single_consumer_is_filled_before_the_next() {
        let mut consumers = given(Dispatch::Single, &[2, 1]);
        assert_eq!(taken(&mut consumers, &[0; 3]), [Some(0), Some(0), Some(1)]);
        consumers.give_back(ConsumerId(0));
        assert_eq!(taken(&mut consumers, &[0; 2]), [Some(0), None]);
    }

    #[test]
    fn pinned_keys_wait_for_their_consumer_while_it_is_connected() {
        let mut consumers = given(Dispatch::Pinned, &[2, 2]);
        assert_eq!(taken(&mut consumers, &[7, 8, 7, 7]), [Some(0), Some(1), Some(0), None]);
        consumers.disconnect(ConsumerId(0));
        assert_eq!(taken(&mut consumers, &[7, 8]), [Some(1), None]);
    }
}
