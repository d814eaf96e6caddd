use daybook_domain::payment::PaymentEvent;
use daybook_domain::values::{Money, OrderId, PaymentId, PaymentMethod, Timestamp};

use crate::shape::contract;

contract! {
    PaymentEvent, upcasts: &[], retired: [];

    /// A payment was opened.
    PaymentRequested 1 = Requested {
        /// The payment's id.
        payment: PaymentId,
        /// For which order.
        order: OrderId,
        /// How much is owed.
        amount: Money,
        /// How it will be paid.
        method: PaymentMethod,
        /// Business time.
        at: Timestamp,
    }

    /// The provider holds the amount.
    PaymentAuthorized 1 = Authorized {
        /// For which order.
        order: OrderId,
        /// How much.
        amount: Money,
        /// The provider's name for the authorization.
        reference: String,
        /// Business time.
        at: Timestamp,
    }

    /// The provider took some or all of it.
    PaymentCaptured 1 = Captured {
        /// For which order.
        order: OrderId,
        /// Names the capture.
        capture: String,
        /// How much.
        amount: Money,
        /// How much altogether, this capture included.
        captured: Money,
        /// Business time.
        at: Timestamp,
    }

    /// The provider let the uncaptured rest go.
    PaymentVoided 1 = Voided {
        /// For which order.
        order: OrderId,
        /// Business time.
        at: Timestamp,
    }

    /// The provider said no.
    PaymentDeclined 1 = Declined {
        /// For which order.
        order: OrderId,
        /// What it said.
        reason: String,
        /// Business time.
        at: Timestamp,
    }

    /// The provider gave some or all of the captured amount back.
    PaymentRefunded 1 = Refunded {
        /// For which order.
        order: OrderId,
        /// Names the refund.
        refund: String,
        /// How much.
        amount: Money,
        /// How much altogether, this refund included.
        refunded: Money,
        /// Business time.
        at: Timestamp,
    }
}
