use crate::order::CancelReason;
use crate::stock::ReleaseReason;
use crate::values::{Money, OrderId, PaymentId, PaymentMethod, Quantity, Sku, Timestamp};

/// What Checkout can learn. Every input names the order it belongs to and carries the instant at
/// which it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckoutInput {
    /// Which order.
    pub order: OrderId,
    /// When the event was recorded, the command rejected or the timeout due.
    pub at: Timestamp,
    /// What happened.
    pub what: CheckoutFact,
}

/// What happened, as far as Checkout cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckoutFact {
    /// The order was placed.
    OrderPlaced {
        /// What to reserve: one entry per SKU.
        items: Vec<(Sku, Quantity)>,
        /// What it comes to.
        total: Money,
        /// How it will be paid.
        method: PaymentMethod,
    },
    /// Stock was reserved.
    Reserved {
        /// Of what.
        sku: Sku,
    },
    /// Stock could not be reserved.
    ReservationRefused {
        /// Of what.
        sku: Sku,
        /// Why.
        reason: String,
    },
    /// A reservation was given up.
    Released {
        /// Of what.
        sku: Sku,
    },
    /// The order was confirmed.
    OrderConfirmed,
    /// The provider holds the amount.
    PaymentAuthorized,
    /// The provider said no.
    PaymentDeclined {
        /// What it said.
        reason: String,
    },
    /// The amount was captured.
    PaymentCaptured {
        /// How much altogether.
        captured: Money,
    },
    /// The authorization was let go.
    PaymentVoided,
    /// Some or all was given back.
    PaymentRefunded {
        /// Names the refund.
        refund: String,
        /// How much.
        amount: Money,
        /// How much altogether.
        refunded: Money,
    },
    /// The order is paid.
    OrderPaid,
    /// The order was called off, by this process or by somebody else.
    OrderCancelled {
        /// Why.
        reason: CancelReason,
    },
    /// A seller shipped: from now on the order cannot be called off.
    OrderShipped,
    /// One of the process's own commands was refused for a reason that has no fact of its own.
    Refused {
        /// Which.
        command: CheckoutCommand,
        /// Why.
        reason: String,
    },
    /// The reservations lapse.
    TimedOut(CheckoutTimeout),
}

/// What Checkout can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckoutCommand {
    /// Hold stock for the order.
    Reserve {
        /// Of what.
        sku: Sku,
        /// How many.
        quantity: Quantity,
        /// When the hold lapses.
        expires_at: Timestamp,
    },
    /// Hold it longer.
    Extend {
        /// Of what.
        sku: Sku,
        /// When the hold now lapses.
        expires_at: Timestamp,
    },
    /// Give the hold up.
    Release {
        /// Of what.
        sku: Sku,
        /// Why.
        reason: ReleaseReason,
    },
    /// Every line is reserved.
    ConfirmOrder,
    /// Open the payment and have the provider hold the amount.
    Authorize {
        /// Which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
        /// By what means.
        method: PaymentMethod,
    },
    /// Have the provider take the amount.
    Capture {
        /// Which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
    },
    /// Have the provider let the amount go.
    Void {
        /// Which payment.
        payment: PaymentId,
    },
    /// Have the provider give the amount back.
    Refund {
        /// Which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
    },
    /// The money is there.
    MarkPaid {
        /// By which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
    },
    /// Call the order off.
    CancelOrder {
        /// Why.
        reason: CancelReason,
    },
    /// Note on the order what went back to the customer.
    RecordRefund {
        /// Names the refund.
        refund: String,
        /// How much.
        amount: Money,
    },
}

/// What Checkout can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckoutTimeout {
    /// The reservations lapse.
    ReservationExpiry,
}
