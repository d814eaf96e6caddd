use std::collections::{BTreeMap, HashSet};

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

/// What there is of one SKU.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StockState {
    /// How many are in the house, held or not; never negative.
    pub on_hand: i64,
    /// How many of those are held; never more than `on_hand`.
    pub reserved: i64,
    /// Who holds them.
    pub reservations: BTreeMap<OrderId, Reservation>,
    /// Receipts and counts that were booked, so that a repetition books nothing.
    pub booked: HashSet<String>,
}

impl StockState {
    /// How many can still be reserved.
    pub fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }
}
