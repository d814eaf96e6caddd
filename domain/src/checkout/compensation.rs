use std::collections::BTreeMap;

use super::{Basket, CheckoutCommand, CheckoutFact, Purse, Stage, payment_id};
use crate::order::CancelReason;
use crate::stock::ReleaseReason;
use crate::values::{OrderId, Sku};

/// A reservation that is not known to be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It was asked for, without an answer yet.
    Asked,
    /// Its release was asked for.
    Releasing,
}

/// What is under way with the provider. At most one step is at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoneyStep {
    /// Nothing was ever held.
    Untouched,
    /// An authorization was asked for, without an answer yet.
    Authorizing,
    /// A capture was asked for, without an answer yet.
    Capturing,
    /// The authorization is being let go.
    Voiding,
    /// What was captured is going back.
    Refunding,
    /// All that was held or taken is back.
    Returned,
}

/// The undoing of a checkout: the money, the stock and the order are undone side by side, each
/// waiting for what is still under way, and it is over when all three are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compensation {
    order: OrderId,
    reason: ReleaseReason,
    cancelled: bool,
    holds: BTreeMap<Sku, Hold>,
    purse: Purse,
    step: MoneyStep,
}

/// What one input changes in a compensation, and asks for.
pub(super) struct Change<'f> {
    pub(super) commands: Vec<CheckoutCommand>,
    cancelled: bool,
    hold: Option<(&'f Sku, Option<Hold>)>,
    purse: Purse,
    step: MoneyStep,
}

impl Compensation {
    /// Begins to undo a checkout because of `fact`.
    pub(super) fn begin(
        basket: &Basket,
        stage: &Stage,
        reason: &CancelReason,
        fact: &CheckoutFact,
    ) -> (Self, Vec<CheckoutCommand>) {
        let untouched = Self {
            order: basket.order,
            reason: release_reason(reason),
            cancelled: false,
            holds: holds(basket, stage),
            purse: basket.purse,
            step: MoneyStep::Untouched,
        };
        let (step, mut commands) = match stage {
            Stage::Reserving(_) | Stage::Confirming => (MoneyStep::Untouched, vec![]),
            Stage::Authorizing => (MoneyStep::Authorizing, vec![]),
            Stage::Capturing => (MoneyStep::Capturing, vec![]),
            Stage::MarkingPaid | Stage::Settled => untouched.give_back(basket.purse),
        };
        let begun = Self { step, ..untouched };
        let change = begun.change(fact);
        let begun = begun.with(&change);
        commands.extend(change.commands);
        commands.extend(begun.held().map(|sku| begun.release(sku)));
        if !begun.cancelled {
            commands.push(CheckoutCommand::CancelOrder { reason: reason.clone() });
        }
        (begun, commands)
    }

    /// What an input means to it.
    pub(super) fn change<'f>(&self, fact: &'f CheckoutFact) -> Change<'f> {
        let cancelled = matches!(
            fact,
            CheckoutFact::OrderCancelled { .. }
                | CheckoutFact::Refused { command: CheckoutCommand::CancelOrder { .. }, .. }
        );
        let purse = self.purse.after(fact);
        let (step, mut commands) = self.money(fact, purse);
        let (hold, release) = self.stock(fact);
        commands.extend(release);
        Change { commands, cancelled: self.cancelled || cancelled, hold, purse, step }
    }

    pub(super) fn with(mut self, change: &Change<'_>) -> Self {
        match change.hold {
            Some((sku, None)) => drop(self.holds.remove(sku)),
            Some((sku, Some(hold))) => drop(self.holds.insert(sku.clone(), hold)),
            None => {}
        }
        Self { cancelled: change.cancelled, purse: change.purse, step: change.step, ..self }
    }

    /// Whether nothing is left to wait for.
    pub(super) fn is_over(&self) -> bool {
        is_over(self.cancelled, self.holds.len(), self.step)
    }

    /// Whether nothing will be left to wait for after a change.
    pub(super) fn is_over_after(&self, change: &Change<'_>) -> bool {
        let gone = matches!(change.hold, Some((_, None)));
        is_over(change.cancelled, self.holds.len() - usize::from(gone), change.step)
    }

    /// What is not undone yet: reservations, and a step with the provider.
    pub fn outstanding(&self) -> (impl Iterator<Item = (&Sku, Hold)>, MoneyStep) {
        (self.holds.iter().map(|(sku, hold)| (sku, *hold)), self.step)
    }

    fn money(&self, fact: &CheckoutFact, purse: Purse) -> (MoneyStep, Vec<CheckoutCommand>) {
        use CheckoutCommand::{Authorize, Capture, Void};
        use CheckoutFact::{
            PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentRefunded, PaymentVoided,
            Refused,
        };
        use MoneyStep::{Authorizing, Capturing, Refunding, Untouched, Voiding};
        match (self.step, fact) {
            (Untouched | Authorizing, PaymentAuthorized)
            | (Capturing, Refused { command: Capture { .. }, .. }) => self.give_back(purse),
            (Authorizing, Refused { command: Authorize { .. }, .. }) => (Untouched, vec![]),
            (Authorizing | Capturing | Voiding, PaymentDeclined { .. } | PaymentVoided)
            | (Voiding, Refused { command: Void { .. }, .. }) => self.refund(purse),
            (Refunding, PaymentRefunded { .. }) if purse != self.purse => self.refund(purse),
            (Refunding, _) => (Refunding, vec![]),
            (_, PaymentCaptured { .. }) if purse != self.purse => self.give_back(purse),
            (step, _) => (step, vec![]),
        }
    }

    /// Lets go what is only held, and gives back what was taken.
    fn give_back(&self, purse: Purse) -> (MoneyStep, Vec<CheckoutCommand>) {
        if purse.captured.minor >= purse.total.minor {
            return self.refund(purse);
        }
        let (step, mut commands) = self.refund(purse);
        commands.insert(0, CheckoutCommand::Void { payment: payment_id(self.order) });
        (if step == MoneyStep::Returned { MoneyStep::Voiding } else { step }, commands)
    }

    fn refund(&self, purse: Purse) -> (MoneyStep, Vec<CheckoutCommand>) {
        let amount = purse.kept();
        if amount.minor == 0 {
            return (MoneyStep::Returned, vec![]);
        }
        let refund = CheckoutCommand::Refund { payment: payment_id(self.order), amount };
        (MoneyStep::Refunding, vec![refund])
    }

    fn stock<'f>(
        &self,
        fact: &'f CheckoutFact,
    ) -> (Option<(&'f Sku, Option<Hold>)>, Option<CheckoutCommand>) {
        use CheckoutCommand::Release;
        match fact {
            CheckoutFact::Reserved { sku } => match self.holds.get(sku) {
                Some(Hold::Asked) => (Some((sku, Some(Hold::Releasing))), Some(self.release(sku))),
                Some(Hold::Releasing) => (None, None),
                // Gone already, or so it seemed. Releasing nothing does nothing, and then no
                // answer would come: do not wait for one.
                None => (None, Some(self.release(sku))),
            },
            CheckoutFact::ReservationRefused { sku, .. } => match self.holds.get(sku) {
                Some(Hold::Asked) => (Some((sku, None)), None),
                Some(Hold::Releasing) | None => (None, None),
            },
            CheckoutFact::Refused { command: Release { sku, reason }, .. }
                if *reason == ReleaseReason::Expired =>
            {
                // A clock that was set back: any other reason is good at any time.
                let reason = ReleaseReason::Cancelled;
                (None, Some(Release { sku: sku.clone(), reason }))
            }
            CheckoutFact::Released { sku }
            | CheckoutFact::Refused { command: Release { sku, .. }, .. }
                if self.holds.contains_key(sku) =>
            {
                (Some((sku, None)), None)
            }
            _ => (None, None),
        }
    }

    fn held(&self) -> impl Iterator<Item = &Sku> {
        self.holds.iter().filter(|(_, hold)| **hold == Hold::Releasing).map(|(sku, _)| sku)
    }

    fn release(&self, sku: &Sku) -> CheckoutCommand {
        CheckoutCommand::Release { sku: sku.clone(), reason: self.reason }
    }
}

fn is_over(cancelled: bool, holds: usize, step: MoneyStep) -> bool {
    cancelled && holds == 0 && matches!(step, MoneyStep::Untouched | MoneyStep::Returned)
}

fn holds(basket: &Basket, stage: &Stage) -> BTreeMap<Sku, Hold> {
    let hold = |sku: &Sku| match stage {
        Stage::Reserving(pending) if pending.contains(sku) => Hold::Asked,
        _ => Hold::Releasing,
    };
    basket.skus.iter().map(|sku| (sku.clone(), hold(sku))).collect()
}

fn release_reason(reason: &CancelReason) -> ReleaseReason {
    match reason {
        CancelReason::PaymentDeclined { .. } => ReleaseReason::PaymentFailed,
        CancelReason::ReservationExpired => ReleaseReason::Expired,
        CancelReason::OutOfStock { .. }
        | CancelReason::CustomerRequest
        | CancelReason::Operator { .. } => ReleaseReason::Cancelled,
    }
}
