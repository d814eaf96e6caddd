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

#[cfg(test)]
mod tests {
    use daybook_domain::checkout::CheckoutTimeout::ReservationExpiry;
    use daybook_domain::checkout::{Checkout, CheckoutCommand, CheckoutTimeout};
    use daybook_domain::{Effect, ProcessManager};
    use uuid::Uuid;

    use super::*;

    type Effects = Vec<Effect<CheckoutCommand, CheckoutTimeout>>;

    const A: OrderId = OrderId(Uuid::from_u128(1));
    const B: OrderId = OrderId(Uuid::from_u128(2));

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn schedule(due: i64) -> Advanced<Checkout> {
        let effects = vec![Effect::Schedule { timeout: ReservationExpiry, due: at(due) }];
        Advanced { inputs: vec![], effects, upto: 0 }
    }

    fn timed_out(now: i64, effects: Effects) -> Advanced<Checkout> {
        let inputs = vec![Checkout::timed_out(A, &ReservationExpiry, at(now))];
        Advanced { inputs, effects, upto: 0 }
    }

    fn waiting(timers: &Timers<Checkout>) -> Vec<(OrderId, i64)> {
        timers.all().map(|timer| (timer.instance, timer.at.as_micros())).collect()
    }

    #[test]
    fn timers_are_due_in_order_and_not_before_their_time() {
        let mut timers = Timers::default();
        timers.learn(A, &schedule(20));
        timers.learn(B, &schedule(10));

        let due = |now| timers.due(at(now)).map(|timer| timer.instance).collect::<Vec<_>>();
        assert_eq!((due(9), due(10), due(20)), (vec![], vec![B], vec![B, A]));
    }

    #[test]
    fn an_equal_timeout_is_moved() {
        let mut timers = Timers::default();
        timers.learn(A, &schedule(20));
        timers.learn(A, &schedule(30));
        assert_eq!(waiting(&timers), [(A, 30)]);
    }

    #[test]
    fn a_timer_that_fired_is_gone_unless_it_was_set_again() {
        let mut timers = Timers::default();
        timers.learn(A, &schedule(20));
        let due: Vec<_> = timers.due(at(25)).collect();
        timers.learn(A, &timed_out(25, schedule(50).effects));
        timers.fired(&due[0]);
        assert_eq!(waiting(&timers), [(A, 50)]);

        timers.learn(A, &timed_out(60, vec![]));
        assert_eq!(waiting(&timers), []);
    }

    #[test]
    fn a_complete_instance_waits_for_nothing() {
        let mut timers = Timers::default();
        timers.learn(A, &schedule(20));
        timers.learn(B, &schedule(20));
        timers.learn(A, &Advanced { inputs: vec![], effects: vec![Effect::Complete], upto: 0 });
        assert_eq!(waiting(&timers), [(B, 20)]);
    }

    #[test]
    fn learning_again_leads_to_the_same_timers() {
        let records = [
            (A, schedule(20)),
            (B, schedule(30)),
            (A, timed_out(25, schedule(50).effects)),
            (B, Advanced { inputs: vec![], effects: vec![Effect::Complete], upto: 0 }),
        ];
        for again in 0..records.len() {
            let mut timers = Timers::default();
            for (instance, record) in records.iter().chain(&records[again..]) {
                timers.learn(*instance, record);
            }
            assert_eq!(waiting(&timers), [(A, 50)]);
        }
    }
}
