use std::collections::{BTreeMap, HashMap};

use daybook_domain::Effect;
use daybook_domain::values::{OrderId, Timestamp};
use daybook_event_schemas::{Advanced, ProcessForm};

/// A timeout's place among those that are due: when, and in which order it was set.
type Slot = (Timestamp, u64);

/// A timeout that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due<T> {
    pub(super) instance: OrderId,
    pub(super) timeout: T,
    pub(super) at: Timestamp,
}

/// What the instances of a process wait for. A view of their records: learning the same records
/// again, from any of them on, leads to the same timers.
pub(super) struct Timers<P: ProcessForm> {
    queue: BTreeMap<Slot, (OrderId, P::Timeout)>,
    instances: HashMap<OrderId, Vec<(P::Timeout, Slot)>>,
    set: u64,
}

impl<P: ProcessForm> Default for Timers<P> {
    fn default() -> Self {
        Self { queue: BTreeMap::new(), instances: HashMap::new(), set: 0 }
    }
}

impl<P: ProcessForm> Timers<P> {
    /// Sets a timer. An equal timeout of the instance is moved.
    pub(super) fn set(&mut self, instance: OrderId, timeout: P::Timeout, due: Timestamp) {
        self.drop_timeout(instance, &timeout);
        let slot = (due, self.set);
        self.set += 1;
        self.queue.insert(slot, (instance, timeout.clone()));
        self.instances.entry(instance).or_default().push((timeout, slot));
    }

    /// Takes a record's timeouts into account: those that it took in, then those that it sets.
    pub(super) fn learn(&mut self, instance: OrderId, record: &Advanced<P>)
    where
        P::Input: PartialEq,
    {
        for input in &record.inputs {
            self.forget_fired(instance, input);
        }
        for effect in &record.effects {
            match effect {
                Effect::Dispatch(_) => {}
                Effect::Schedule { timeout, due } => self.set(instance, timeout.clone(), *due),
                Effect::Complete => self.clear(instance),
            }
        }
    }

    /// The timers that are due, earliest first. They stay until they are learnt of or dropped.
    pub(super) fn due(&self, now: Timestamp) -> impl Iterator<Item = Due<P::Timeout>> {
        self.all().take_while(move |timer| timer.at <= now)
    }

    /// All timers, earliest first.
    pub(super) fn all(&self) -> impl Iterator<Item = Due<P::Timeout>> {
        self.queue.iter().map(|(&(due, _), (instance, timeout))| Due {
            instance: *instance,
            timeout: timeout.clone(),
            at: due,
        })
    }

    /// Drops a timer that fired, unless it was moved meanwhile.
    pub(super) fn fired(&mut self, timer: &Due<P::Timeout>) {
        let waits =
            |(timeout, slot): &(P::Timeout, Slot)| *timeout == timer.timeout && slot.0 == timer.at;
        if self.instances.get(&timer.instance).is_some_and(|all| all.iter().any(waits)) {
            self.drop_timeout(timer.instance, &timer.timeout);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    fn forget_fired(&mut self, instance: OrderId, input: &P::Input)
    where
        P::Input: PartialEq,
    {
        let Some(waiting) = self.instances.get(&instance) else { return };
        let (_, at, _) = P::split(input);
        let fired = |timeout: &P::Timeout| P::timed_out(instance, timeout, *at) == *input;
        let fired = waiting.iter().map(|(timeout, _)| timeout).find(|timeout| fired(timeout));
        if let Some(timeout) = fired.cloned() {
            self.drop_timeout(instance, &timeout);
        }
    }

    fn clear(&mut self, instance: OrderId) {
        for (_, slot) in self.instances.remove(&instance).unwrap_or_default() {
            self.queue.remove(&slot);
        }
    }

    fn drop_timeout(&mut self, instance: OrderId, timeout: &P::Timeout) {
        let Some(waiting) = self.instances.get_mut(&instance) else { return };
        if let Some(place) = waiting.iter().position(|(other, _)| other == timeout) {
            let (_, slot) = waiting.swap_remove(place);
            self.queue.remove(&slot);
        }
        if waiting.is_empty() {
            self.instances.remove(&instance);
        }
    }
}
