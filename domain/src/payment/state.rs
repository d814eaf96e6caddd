use crate::Ledger;
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

/// A payment of which some or all was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What was asked for.
    pub request: Requested,
    /// The provider's name for the authorization.
    pub reference: String,
    /// What was taken, by name; never more than was asked for.
    pub captures: Ledger,
    /// What went back, by name; never more than was taken.
    pub refunds: Ledger,
    /// Whether the uncaptured rest was let go.
    pub closed: bool,
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
    Captured(Box<Taken>),
    /// Let go before anything was taken.
    Voided {
        /// What was asked for.
        request: Requested,
        /// The provider's name for the authorization.
        reference: String,
    },
    /// Refused.
    Declined {
        /// What was asked for.
        request: Requested,
        /// What the provider said.
        reason: String,
    },
}

impl PaymentState {
    /// What was asked for.
    pub fn request(&self) -> Option<&Requested> {
        match self {
            Self::Unknown => None,
            Self::Requested(request)
            | Self::Authorized { request, .. }
            | Self::Voided { request, .. }
            | Self::Declined { request, .. } => Some(request),
            Self::Captured(taken) => Some(&taken.request),
        }
    }

    /// The provider's name for the authorization.
    pub fn reference(&self) -> Option<&str> {
        match self {
            Self::Unknown | Self::Requested(_) | Self::Declined { .. } => None,
            Self::Authorized { reference, .. } | Self::Voided { reference, .. } => Some(reference),
            Self::Captured(taken) => Some(&taken.reference),
        }
    }

    /// How much was taken and how much of that went back, altogether.
    pub fn captured_and_refunded(&self) -> Option<(Money, Money)> {
        match self {
            Self::Captured(taken) => Some((taken.captures.total(), taken.refunds.total())),
            _ => self.request().map(|request| Money::zero(request.amount.currency)).map(|n| (n, n)),
        }
    }

    pub(super) fn after(self, event: &PaymentEvent) -> Self {
        match (self, event) {
            (Self::Unknown, PaymentEvent::Requested { payment, order, amount, method, .. }) => {
                let (payment, order, amount) = (*payment, *order, *amount);
                Self::Requested(Requested { payment, order, amount, method: method.clone() })
            }
            (Self::Requested(request), PaymentEvent::Authorized { reference, .. }) => {
                Self::Authorized { request, reference: reference.clone() }
            }
            (
                Self::Requested(request) | Self::Authorized { request, .. },
                PaymentEvent::Declined { reason, .. },
            ) => Self::Declined { request, reason: reason.clone() },
            (Self::Authorized { request, reference }, PaymentEvent::Voided { .. }) => {
                Self::Voided { request, reference }
            }
            (Self::Authorized { request, reference }, PaymentEvent::Captured { .. }) => {
                Self::Captured(Box::new(Taken::nothing(request, reference).after(event)))
            }
            (Self::Captured(taken), event) => Self::Captured(Box::new(taken.after(event))),
            (state, _) => state,
        }
    }
}

impl Taken {
    fn nothing(request: Requested, reference: String) -> Self {
        let empty = Ledger::new(request.amount.currency);
        Self { request, reference, captures: empty.clone(), refunds: empty, closed: false }
    }

    fn after(mut self, event: &PaymentEvent) -> Self {
        match event {
            PaymentEvent::Captured { capture, amount, .. } => {
                self.captures = self.captures.with(capture, *amount);
            }
            PaymentEvent::Refunded { refund, amount, .. } => {
                self.refunds = self.refunds.with(refund, *amount);
            }
            PaymentEvent::Voided { .. } => self.closed = true,
            _ => {}
        }
        self
    }
}
