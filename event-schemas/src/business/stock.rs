use daybook_domain::stock::{ReleaseReason, StockEvent};
use daybook_domain::values::{OrderId, Quantity, Timestamp};

use crate::shape::{contract, words};

words! {
    /// Why a reservation was given up.
    ReleaseReason as ReleaseReasonForm {
        /// The order was cancelled, or could not be reserved whole.
        Cancelled,
        /// The money could not be had.
        PaymentFailed,
        /// Its time was up.
        Expired,
    }
}

contract! {
    StockEvent, upcasts: &[], retired: [];

    /// Goods came in.
    StockReceived 1 = Received {
        /// How many.
        quantity: Quantity,
        /// Names the delivery.
        receipt: String,
        /// Business time.
        at: Timestamp,
    }

    /// The books were corrected.
    StockAdjusted 1 = Adjusted {
        /// By how many.
        delta: i64,
        /// Names the count.
        count: String,
        /// Why, for people.
        reason: String,
        /// Business time.
        at: Timestamp,
    }

    /// Some are held for an order.
    StockReserved 1 = Reserved {
        /// For whom.
        order: OrderId,
        /// How many.
        quantity: Quantity,
        /// When the hold lapses.
        expires_at: Timestamp,
        /// Business time.
        at: Timestamp,
    }

    /// They are held longer.
    StockExtended 1 = Extended {
        /// Whose reservation.
        order: OrderId,
        /// When the hold lapses.
        expires_at: Timestamp,
        /// Business time.
        at: Timestamp,
    }

    /// They are available again.
    StockReleased 1 = Released {
        /// Whose reservation.
        order: OrderId,
        /// How many.
        quantity: Quantity,
        /// Why.
        reason: ReleaseReason,
        /// Business time.
        at: Timestamp,
    }

    /// They left with the order.
    StockCommitted 1 = Committed {
        /// Whose reservation.
        order: OrderId,
        /// How many.
        quantity: Quantity,
        /// Business time.
        at: Timestamp,
    }
}
