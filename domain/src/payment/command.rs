use crate::values::{Money, OrderId, PaymentId, PaymentMethod, Timestamp};

/// What may be asked of a payment. The provider is asked first; these commands record its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentCommand {
    /// Open a payment.
    Request {
        /// The payment's id.
        payment: PaymentId,
        /// For which order.
        order: OrderId,
        /// How much is owed; above zero.
        amount: Money,
        /// How it will be paid.
        method: PaymentMethod,
        /// When.
        at: Timestamp,
    },
    /// The provider holds the amount.
    Authorize {
        /// The provider's name for the authorization.
        reference: String,
        /// When.
        at: Timestamp,
    },
    /// The provider took some or all of the authorized amount.
    Capture {
        /// Names the capture, so that a repeated record counts once.
        capture: String,
        /// How much.
        amount: Money,
        /// When.
        at: Timestamp,
    },
    /// The provider let the uncaptured rest go.
    Void {
        /// When.
        at: Timestamp,
    },
    /// The provider said no.
    Decline {
        /// What it said.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// The provider gave some or all of the captured amount back.
    Refund {
        /// Names the refund, so that a repeated record counts once.
        refund: String,
        /// How much.
        amount: Money,
        /// When.
        at: Timestamp,
    },
}
