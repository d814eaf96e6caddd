use std::collections::BTreeMap;

use daybook_domain::ProcessManager;
use daybook_domain::checkout::{Checkout, CheckoutState, RESERVATION_TTL};
use daybook_domain::values::{OrderId, Timestamp};
use daybook_event_schemas::runtime::ParkingRecord;
use daybook_event_schemas::{Advanced, Envelope};
use uuid::Uuid;

use super::Check;
use super::findings::Findings;
use super::orders::OrderEntry;

/// Every checkout.
#[derive(Debug, Default)]
pub(super) struct CheckoutBook {
    pub(super) checkouts: BTreeMap<OrderId, CheckoutEntry>,
}

#[derive(Debug, Default)]
pub(super) struct CheckoutEntry {
    pub(super) state: CheckoutState,
    /// When its first input happened.
    pub(super) started_at: Option<Timestamp>,
    pub(super) updated_at: i64,
    pub(super) revision: u64,
    /// Everything in the store up to this position was taken in.
    upto: u64,
}

impl CheckoutBook {
    pub(super) fn apply(&mut self, id: OrderId, record: &Envelope<Advanced<Checkout>>) {
        let entry = self.checkouts.entry(id).or_default();
        let before = std::mem::take(&mut entry.state);
        entry.state = record.event.inputs.iter().fold(before, Checkout::evolve);
        entry.started_at = entry.started_at.or(record.event.inputs.first().map(|input| input.at));
        entry.updated_at = record.recorded_at;
        entry.revision = record.revision.0;
        entry.upto = record.event.upto;
    }

    /// Whether an order's checkout has begun and has something to do yet.
    pub(super) fn is_at_work(&self, id: OrderId, order: Option<&OrderEntry>) -> bool {
        self.checkouts.get(&id).is_some_and(|checkout| {
            !checkout.state.is_complete() || order.is_some_and(|order| checkout.is_behind(order))
        })
    }
}

impl CheckoutEntry {
    /// Whether the order was cancelled and the checkout has not come to know.
    pub(super) fn is_behind(&self, order: &OrderEntry) -> bool {
        order.cancelled_at.is_some_and(|position| self.upto < position.0)
    }

    /// By when it should have come further.
    pub(super) fn deadline(&self) -> Timestamp {
        match &self.state {
            CheckoutState::Underway { basket, .. } => basket.expires_at,
            _ => soon_after(self.updated_at),
        }
    }
}

/// How long anything that runs by itself may take.
pub(super) fn soon_after(recorded_at: i64) -> Timestamp {
    Timestamp::from_micros(recorded_at).plus(RESERVATION_TTL)
}

/// Effects of process managers that wait for an operator.
#[derive(Debug, Default)]
pub(super) struct ParkedBook {
    parked: BTreeMap<Uuid, String>,
}

impl ParkedBook {
    pub(super) fn apply(&mut self, record: &Envelope<ParkingRecord>) {
        match &record.event {
            ParkingRecord::Parked { process, instance, command_id, error, .. } => {
                let told = format!("{process}-{instance}, command {command_id}: {error}");
                self.parked.insert(*command_id, told);
            }
            ParkingRecord::Resolved { command_id }
            | ParkingRecord::Discarded { command_id, .. } => {
                self.parked.remove(command_id);
            }
        }
    }

    pub(super) fn check(&self) -> Check {
        let mut findings = Findings::default();
        self.parked.values().for_each(|told| findings.add(|| told.clone()));
        findings.check("no effect is parked", "none")
    }
}
