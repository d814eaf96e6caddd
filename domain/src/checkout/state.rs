use std::collections::BTreeSet;
use std::sync::Arc;

use super::{CheckoutCommand, CheckoutFact, Compensation, payment_id};
use crate::values::{Money, OrderId, PaymentMethod, Sku, Timestamp};

/// Where the customer's money is, as far as the process knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purse {
    /// What the order comes to.
    pub total: Money,
    /// What was taken altogether.
    pub captured: Money,
    /// What went back altogether.
    pub refunded: Money,
}

impl Purse {
    pub(super) fn new(total: Money) -> Self {
        let nothing = Money::zero(total.currency);
        Self { total, captured: nothing, refunded: nothing }
    }

    /// What was taken and did not go back.
    pub fn kept(self) -> Money {
        let minor = self.captured.minor.saturating_sub(self.refunded.minor);
        Money::new(minor.max(0), self.total.currency)
    }

    /// Sums only grow, so that an old fact changes nothing.
    pub(super) fn after(mut self, fact: &CheckoutFact) -> Self {
        match fact {
            CheckoutFact::PaymentCaptured { captured } => {
                self.captured.minor = self.captured.minor.max(captured.minor);
            }
            CheckoutFact::PaymentRefunded { refunded, .. } => {
                self.refunded.minor = self.refunded.minor.max(refunded.minor);
            }
            _ => {}
        }
        self
    }
}

/// What a checkout remembers of its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basket {
    /// Which order.
    pub order: OrderId,
    /// What is to be reserved, each once.
    pub skus: Arc<[Sku]>,
    /// How it will be paid.
    pub method: PaymentMethod,
    /// When the reservations lapse.
    pub expires_at: Timestamp,
    /// The money.
    pub purse: Purse,
}

/// What a checkout that goes well is waiting for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// These reservations.
    Reserving(BTreeSet<Sku>),
    /// The order to be confirmed.
    Confirming,
    /// The provider to hold the total.
    Authorizing,
    /// The provider to take the total.
    Capturing,
    /// The order to be paid.
    MarkingPaid,
    /// Nothing; until the order ships it can still be called off.
    Settled,
}

impl Stage {
    /// What has to be done on entering the stage.
    pub(super) fn entry(&self, basket: &Basket) -> Option<CheckoutCommand> {
        let (payment, amount) = (payment_id(basket.order), basket.purse.total);
        match self {
            Self::Reserving(_) | Self::Settled => None,
            Self::Confirming => Some(CheckoutCommand::ConfirmOrder),
            Self::Authorizing => {
                Some(CheckoutCommand::Authorize { payment, amount, method: basket.method.clone() })
            }
            Self::Capturing => Some(CheckoutCommand::Capture { payment, amount }),
            Self::MarkingPaid => Some(CheckoutCommand::MarkPaid { payment, amount }),
        }
    }
}

/// Where a checkout stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CheckoutState {
    /// Not started.
    #[default]
    NotStarted,
    /// On its way, and well; at [`Stage::Settled`] it is complete.
    Underway {
        /// What it is about.
        basket: Basket,
        /// What it waits for.
        stage: Stage,
    },
    /// Complete: paid and shipped, too late to be called off.
    Shipped,
    /// Being undone.
    Compensating(Compensation),
    /// Complete: undone. Should money turn up after all, it is given back.
    CalledOff(Compensation),
}

impl CheckoutState {
    /// What operators call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotStarted => "not started",
            Self::Underway { stage, .. } => match stage {
                Stage::Reserving(_) => "reserving",
                Stage::Confirming => "confirming",
                Stage::Authorizing => "authorizing",
                Stage::Capturing => "capturing",
                Stage::MarkingPaid => "marking paid",
                Stage::Settled => "settled",
            },
            Self::Shipped => "shipped",
            Self::Compensating(_) => "compensating",
            Self::CalledOff(_) => "called off",
        }
    }

    /// Whether nothing is left to wait for.
    pub fn is_complete(&self) -> bool {
        matches!(
            self,
            Self::Shipped | Self::CalledOff(_) | Self::Underway { stage: Stage::Settled, .. }
        )
    }
}
