use std::collections::{BTreeMap, HashMap};

use crate::values::{OrderId, Quantity, Timestamp};

/// Why a reservation was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReleaseReason {
    /// The order was cancelled, or could not be reserved whole.
    Cancelled,
    /// The money could not be had.
    PaymentFailed,
    /// Its time was up.
    Expired,
}

/// What happened to the stock of one SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StockEvent {
    /// Goods came in.
    Received {
        /// How many.
        quantity: Quantity,
        /// Names the delivery.
        receipt: String,
        /// When.
        at: Timestamp,
    },
    /// The books were corrected.
    Adjusted {
        /// By how many.
        delta: i64,
        /// Names the count.
        count: String,
        /// Why.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// Some are held for an order.
    Reserved {
        /// For whom.
        order: OrderId,
        /// How many.
        quantity: Quantity,
        /// When the hold lapses.
        expires_at: Timestamp,
        /// When.
        at: Timestamp,
    },
    /// They are held longer.
    Extended {
        /// Whose reservation.
        order: OrderId,
        /// When the hold lapses.
        expires_at: Timestamp,
        /// When.
        at: Timestamp,
    },
    /// They are available again.
    Released {
        /// Whose reservation.
        order: OrderId,
        /// How many.
        quantity: Quantity,
        /// Why.
        reason: ReleaseReason,
        /// When.
        at: Timestamp,
    },
    /// They left with the order.
    Committed {
        /// Whose reservation.
        order: OrderId,
        /// How many.
        quantity: Quantity,
        /// When.
        at: Timestamp,
    },
}

/// A hold on some stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// How many.
    pub quantity: Quantity,
    /// When the hold lapses.
    pub expires_at: Timestamp,
}

/// How a reservation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The goods stayed.
    Released,
    /// The goods left.
    Committed,
}

/// What there is of one SKU.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StockState {
    on_hand: i64,
    reserved: i64,
    reservations: BTreeMap<OrderId, Reservation>,
    // A hash map, as it grows with every order there ever was and copies as one block of memory.
    ended: HashMap<OrderId, Ended>,
    receipts: BTreeMap<String, Quantity>,
    counts: BTreeMap<String, i64>,
}

impl StockState {
    /// How many are in the house, held or not; never negative.
    pub fn on_hand(&self) -> i64 {
        self.on_hand
    }

    /// How many of those are held; never more than [`Self::on_hand`].
    pub fn reserved(&self) -> i64 {
        self.reserved
    }

    /// How many can still be reserved.
    pub fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }

    /// Who holds some.
    pub fn reservations(&self) -> &BTreeMap<OrderId, Reservation> {
        &self.reservations
    }

    /// What an order holds.
    pub fn reservation(&self, order: OrderId) -> Option<Reservation> {
        self.reservations.get(&order).copied()
    }

    /// How an order's reservation ended, if it had one and it did.
    pub fn ended(&self, order: OrderId) -> Option<Ended> {
        self.ended.get(&order).copied()
    }

    /// What was booked for a delivery.
    pub fn receipt(&self, name: &str) -> Option<Quantity> {
        self.receipts.get(name).copied()
    }

    /// What was booked for a count.
    pub fn count(&self, name: &str) -> Option<i64> {
        self.counts.get(name).copied()
    }

    pub(super) fn after(mut self, event: &StockEvent) -> Self {
        match event {
            StockEvent::Received { quantity, receipt, .. } => {
                self.on_hand = self.on_hand.saturating_add((*quantity).into());
                self.receipts.insert(receipt.clone(), *quantity);
            }
            StockEvent::Adjusted { delta, count, .. } => {
                self.on_hand = self.on_hand.saturating_add(*delta);
                self.counts.insert(count.clone(), *delta);
            }
            StockEvent::Reserved { order, quantity, expires_at, .. } => {
                let held = Reservation { quantity: *quantity, expires_at: *expires_at };
                self.end(*order);
                self.reserved += i64::from(*quantity);
                self.reservations.insert(*order, held);
            }
            StockEvent::Extended { order, expires_at, .. } => {
                if let Some(held) = self.reservations.get_mut(order) {
                    held.expires_at = *expires_at;
                }
            }
            StockEvent::Released { order, .. } => {
                self.end(*order);
                self.ended.insert(*order, Ended::Released);
            }
            StockEvent::Committed { order, quantity, .. } => {
                self.end(*order);
                self.on_hand -= i64::from(*quantity);
                self.ended.insert(*order, Ended::Committed);
            }
        }
        self
    }

    fn end(&mut self, order: OrderId) {
        if let Some(held) = self.reservations.remove(&order) {
            self.reserved -= i64::from(held.quantity);
        }
    }
}
