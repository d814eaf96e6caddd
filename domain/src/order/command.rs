use crate::order::{CancelReason, OrderLine};
use crate::values::{CustomerId, Money, OrderId, PaymentId, PaymentMethod, SellerId, Timestamp};

/// What may be asked of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderCommand {
    /// Order some goods. Names and prices are as agreed now and never change.
    Place {
        /// The order's id.
        order: OrderId,
        /// Who orders.
        customer: CustomerId,
        /// What, from whom and for how much; one currency, at least one line.
        lines: Vec<OrderLine>,
        /// How it will be paid.
        method: PaymentMethod,
        /// The business time of the order.
        at: Timestamp,
    },
    /// Every line is reserved.
    Confirm {
        /// When.
        at: Timestamp,
    },
    /// The total was captured.
    MarkPaid {
        /// By which payment.
        payment: PaymentId,
        /// How much; equal to the order's total.
        amount: Money,
        /// When.
        at: Timestamp,
    },
    /// A seller handed its lines to a carrier.
    Ship {
        /// Which seller.
        seller: SellerId,
        /// The carrier's reference; may be empty.
        tracking: String,
        /// When.
        at: Timestamp,
    },
    /// The stock of a seller's shipped lines was committed.
    Fulfil {
        /// Which seller.
        seller: SellerId,
        /// When.
        at: Timestamp,
    },
    /// Call it off; possible until the first shipment.
    Cancel {
        /// Why.
        reason: CancelReason,
        /// When.
        at: Timestamp,
    },
    /// Money went back to the customer.
    RecordRefund {
        /// Names the refund, so that a repeated record counts once.
        refund: String,
        /// How much.
        amount: Money,
        /// When.
        at: Timestamp,
    },
}
