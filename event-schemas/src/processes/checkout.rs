use daybook_domain::checkout::{
    Checkout, CheckoutCommand, CheckoutFact, CheckoutInput, CheckoutTimeout,
};
use daybook_domain::order::CancelReason;
use daybook_domain::stock::ReleaseReason;
use daybook_domain::values::{Money, OrderId, PaymentId, PaymentMethod, Quantity, Sku, Timestamp};

use super::ProcessForm;
use crate::Upcast;
use crate::shape::{choice, words};

impl ProcessForm for Checkout {
    const KIND: &'static str = "CheckoutAdvanced";
    const VERSION: u16 = 1;
    const UPCASTS: &'static [Upcast] = &[];
    type Fact = CheckoutFact;

    fn split(input: &CheckoutInput) -> (&OrderId, &Timestamp, &CheckoutFact) {
        (&input.order, &input.at, &input.what)
    }

    fn join(order: OrderId, at: Timestamp, what: CheckoutFact) -> CheckoutInput {
        CheckoutInput { order, at, what }
    }
}

choice! {
    /// What Checkout learnt.
    CheckoutFact as CheckoutFactForm {
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
        /// The order was called off.
        OrderCancelled {
            /// Why.
            reason: CancelReason,
        },
        /// A seller shipped.
        OrderShipped,
        /// One of the process's own commands was refused.
        Refused {
            /// Which.
            command: CheckoutCommand,
            /// Why.
            reason: String,
        },
        /// A timeout was due.
        TimedOut(timeout: CheckoutTimeout),
    }
}

choice! {
    /// What Checkout asks for.
    CheckoutCommand as CheckoutCommandForm {
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
            /// When the hold lapses.
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
}

words! {
    /// What Checkout waits for.
    CheckoutTimeout as CheckoutTimeoutForm {
        /// The reservations lapse.
        ReservationExpiry,
    }
}
