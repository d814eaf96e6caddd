use std::collections::BTreeMap;

use crate::values::{Money, OrderId, PaymentId, PaymentMethod, Timestamp};

/// What happened to a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentEvent {
    /// It was opened.
    Requested {
        /// The payment's id.
        payment: PaymentId,
        /// For which order.
        order: OrderId,
        /// How much is owed.
        amount: Money,
        /// How it will be paid.
        method: PaymentMethod,
        /// When.
        at: Timestamp,
    },
    /// The provider holds the amount.
    Authorized {
        /// For which order.
        order: OrderId,
        /// How much.
        amount: Money,
        /// The provider's name for the authorization.
        reference: String,
        /// When.
        at: Timestamp,
    },
    /// The provider took some or all of it.
    Captured {
        /// For which order.
        order: OrderId,
        /// Names the capture.
        capture: String,
        /// How much.
        amount: Money,
        /// How much altogether, this capture included.
        captured: Money,
        /// When.
        at: Timestamp,
    },
    /// The provider let the uncaptured rest go.
    Voided {
        /// For which order.
        order: OrderId,
        /// When.
        at: Timestamp,
    },
    /// The provider said no.
    Declined {
        /// For which order.
        order: OrderId,
        /// What it said.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// The provider gave some or all of the captured amount back.
    Refunded {
        /// For which order.
        order: OrderId,
        /// Names the refund.
        refund: String,
        /// How much.
        amount: Money,
        /// How much altogether, this refund included.
        refunded: Money,
        /// When.
        at: Timestamp,
    },
}

/// What every opened payment knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    /// The payment's id.
    pub payment: PaymentId,
    /// For which order.
    pub order: OrderId,
    /// How much is owed.
    pub amount: Money,
    /// How it will be paid.
    pub method: PaymentMethod,
}

/// Where a payment stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PaymentState {
    /// Never opened.
    #[default]
    Unknown,
    /// Opened; the provider has not answered.
    Requested(Requested),
    /// The provider holds the amount.
    Authorized {
        /// What was asked for.
        request: Requested,
        /// The provider's name for the authorization.
        reference: String,
    },
    /// Some or all was taken.
    Captured {
        /// What was asked for.
        request: Requested,
        /// The provider's name for the authorization.
        reference: String,
        /// Captures by name.
        captures: BTreeMap<String, Money>,
        /// Refunds by name.
        refunds: BTreeMap<String, Money>,
        /// Whether the uncaptured rest was let go.
        closed: bool,
    },
    /// Let go before anything was taken.
    Voided(Requested),
    /// Refused.
    Declined {
        /// What was asked for.
        request: Requested,
        /// What the provider said.
        reason: String,
    },
}
