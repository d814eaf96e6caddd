use crate::stock::ReleaseReason;
use crate::values::{OrderId, Quantity, Timestamp};

/// What may be asked of the stock of one SKU. A reservation belongs to one order; an order has
/// at most one per SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StockCommand {
    /// Goods came in.
    Receive {
        /// How many.
        quantity: Quantity,
        /// Names the delivery, so that a repeated receipt counts once.
        receipt: String,
        /// When.
        at: Timestamp,
    },
    /// A count differed from the books.
    Adjust {
        /// Found more (positive) or fewer (negative) than booked; never zero.
        delta: i64,
        /// Names the count, so that a repeated adjustment counts once.
        count: String,
        /// Why, for people; may be empty.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// Hold some for an order.
    Reserve {
        /// For whom.
        order: OrderId,
        /// How many.
        quantity: Quantity,
        /// When the hold lapses.
        expires_at: Timestamp,
        /// When.
        at: Timestamp,
    },
    /// Hold them longer.
    Extend {
        /// Whose reservation.
        order: OrderId,
        /// When the hold now lapses; never earlier than before.
        expires_at: Timestamp,
        /// When.
        at: Timestamp,
    },
    /// Give the hold up.
    Release {
        /// Whose reservation.
        order: OrderId,
        /// Why.
        reason: ReleaseReason,
        /// When. With [`ReleaseReason::Expired`] not before the hold lapses.
        at: Timestamp,
    },
    /// The goods left with the order.
    Commit {
        /// Whose reservation.
        order: OrderId,
        /// When.
        at: Timestamp,
    },
}
