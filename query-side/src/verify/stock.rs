use std::collections::{BTreeMap, HashMap};

use daybook_domain::stock::{ReleaseReason, StockEvent};
use daybook_domain::values::{OrderId, Quantity};
use daybook_event_schemas::Envelope;
use daybook_event_store::StreamId;

use super::Check;
use super::findings::Findings;

/// The stock of every SKU, reckoned from what the events say rather than from how the domain
/// folds them.
#[derive(Debug, Default)]
pub(super) struct StockBook {
    pub(super) shelves: BTreeMap<StreamId, Shelf>,
    events: u64,
    oversold: Findings,
    unbalanced: Findings,
}

/// The stock of one SKU.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) on_hand: i64,
    /// As the quantities of the events say.
    pub(super) reserved: i64,
    /// As the reservations that are held say.
    held: i64,
    pub(super) reservations: HashMap<OrderId, Reservation>,
    pub(super) updated_at: i64,
    pub(super) revision: u64,
    is_oversold: bool,
    is_unbalanced: bool,
}

/// An order's reservation, past ones included.
#[derive(Debug)]
pub(super) struct Reservation {
    pub(super) quantity: i64,
    pub(super) expires_at: i64,
    pub(super) stage: ReservationStage,
    pub(super) revision: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReservationStage {
    Held,
    Released(ReleaseReason),
    Committed,
}

impl StockBook {
    pub(super) fn apply(&mut self, event: &Envelope<StockEvent>) {
        self.events += 1;
        let entry = self.shelves.entry(event.stream.clone()).or_default();
        entry.apply(event);
        let place = || format!("{} at {}", event.stream, event.revision);
        let (on_hand, reserved, held) = (entry.on_hand, entry.reserved, entry.held);
        if (on_hand < 0 || reserved > on_hand) && !std::mem::replace(&mut entry.is_oversold, true) {
            self.oversold.add(|| format!("{}: {reserved} reserved of {on_hand}", place()));
        }
        if reserved != held && !std::mem::replace(&mut entry.is_unbalanced, true) {
            let told = || format!("{}: {reserved} reserved, reservations of {held}", place());
            self.unbalanced.add(told);
        }
    }

    /// Who holds something of what.
    pub(super) fn held(&self) -> impl Iterator<Item = (&StreamId, OrderId)> {
        self.shelves.iter().flat_map(|(stream, shelf)| {
            let held = shelf.reservations.iter().filter(|(_, reservation)| reservation.is_held());
            held.map(move |(order, _)| (stream, *order))
        })
    }

    pub(super) fn checks(&self) -> Vec<Check> {
        let (skus, events) = (self.shelves.len(), self.events);
        let reserved: i64 = self.shelves.values().map(|shelf| shelf.reserved).sum();
        vec![
            self.oversold.check("stock is never oversold", format!("{skus} SKUs, {events} events")),
            self.unbalanced.check("reservations add up", format!("{reserved} reserved")),
        ]
    }
}

impl Shelf {
    fn apply(&mut self, event: &Envelope<StockEvent>) {
        self.updated_at = event.recorded_at;
        self.revision = event.revision.0;
        match &event.event {
            StockEvent::Received { quantity, .. } => {
                self.on_hand = self.on_hand.saturating_add((*quantity).into());
            }
            StockEvent::Adjusted { delta, .. } => {
                self.on_hand = self.on_hand.saturating_add(*delta);
            }
            StockEvent::Reserved { order, quantity, expires_at, .. } => {
                self.reserve(*order, *quantity, expires_at.as_micros());
            }
            StockEvent::Extended { order, expires_at, .. } => {
                if let Some(reservation) = self.reservations.get_mut(order) {
                    reservation.expires_at = expires_at.as_micros();
                    reservation.revision = self.revision;
                }
            }
            StockEvent::Released { order, quantity, reason, .. } => {
                self.end(*order, *quantity, ReservationStage::Released(*reason));
            }
            StockEvent::Committed { order, quantity, .. } => {
                self.on_hand = self.on_hand.saturating_sub((*quantity).into());
                self.end(*order, *quantity, ReservationStage::Committed);
            }
        }
    }

    fn reserve(&mut self, order: OrderId, quantity: Quantity, expires_at: i64) {
        let (quantity, revision) = (i64::from(quantity), self.revision);
        let stage = ReservationStage::Held;
        let reservation = Reservation { quantity, expires_at, stage, revision };
        self.reserved += quantity;
        self.held += quantity;
        if let Some(before) = self.reservations.insert(order, reservation)
            && before.is_held()
        {
            self.held -= before.quantity;
        }
    }

    fn end(&mut self, order: OrderId, quantity: Quantity, stage: ReservationStage) {
        self.reserved -= i64::from(quantity);
        if let Some(reservation) = self.reservations.get_mut(&order) {
            if reservation.is_held() {
                self.held -= reservation.quantity;
            }
            (reservation.stage, reservation.revision) = (stage, self.revision);
        }
    }
}

impl Reservation {
    fn is_held(&self) -> bool {
        self.stage == ReservationStage::Held
    }
}
