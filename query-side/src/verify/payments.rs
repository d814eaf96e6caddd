use std::collections::BTreeMap;

use daybook_domain::Decider;
use daybook_domain::payment::{Payment, PaymentEvent, PaymentState};
use daybook_domain::values::{Money, OrderId, PaymentId};
use daybook_event_schemas::Envelope;

use super::Check;
use super::findings::Findings;

/// Every payment, with sums of its own beside the domain's fold.
#[derive(Debug, Default)]
pub(super) struct PaymentBook {
    pub(super) payments: BTreeMap<PaymentId, PaymentEntry>,
    unbounded: Findings,
}

#[derive(Debug, Default)]
pub(super) struct PaymentEntry {
    pub(super) state: PaymentState,
    /// Minor units of the payment's currency.
    pub(super) captured: i64,
    /// Minor units of the payment's currency.
    pub(super) refunded: i64,
    /// The provider's name for the authorization, whatever came of it.
    pub(super) reference: Option<String>,
    pub(super) requested_at: i64,
    pub(super) updated_at: i64,
    pub(super) revision: u64,
}

impl PaymentBook {
    pub(super) fn apply(&mut self, id: PaymentId, event: &Envelope<PaymentEvent>) {
        let entry = self.payments.entry(id).or_default();
        entry.updated_at = event.recorded_at;
        entry.revision = event.revision.0;
        match &event.event {
            PaymentEvent::Requested { at, .. } => entry.requested_at = at.as_micros(),
            PaymentEvent::Authorized { reference, .. } => entry.reference = Some(reference.clone()),
            _ => {}
        }
        let stated = entry.add(&event.event);
        entry.state = Payment::evolve(std::mem::take(&mut entry.state), &event.event);
        let sound = stated && entry.is_bounded();
        self.unbounded.require(sound, || {
            let PaymentEntry { captured, refunded, .. } = entry;
            format!("payment {id} at {}: captured {captured}, refunded {refunded}", event.revision)
        });
    }

    pub(super) fn check(&self) -> Check {
        let summary = format!("{} payments", self.payments.len());
        self.unbounded.check("payments stay within what was asked for", summary)
    }
}

impl PaymentEntry {
    pub(super) fn is_of(&self, order: OrderId) -> bool {
        self.state.request().is_some_and(|request| request.order == order)
    }

    /// What was taken and did not go back; minor units.
    pub(super) fn kept(&self) -> i64 {
        self.captured - self.refunded
    }

    /// What was taken; `None` where nothing was.
    pub(super) fn taken(&self) -> Option<Money> {
        let currency = self.state.request()?.amount.currency;
        (self.captured != 0).then(|| Money::new(self.captured, currency))
    }

    /// Whether what was taken is not more than what was asked for, and what went back not more
    /// than that.
    fn is_bounded(&self) -> bool {
        let asked = self.state.request().map_or(0, |request| request.amount.minor);
        0 <= self.refunded && self.refunded <= self.captured && self.captured <= asked
    }

    /// Adds an amount. Whether it is of the payment's currency, and the sum that the event states
    /// is the sum there is.
    fn add(&mut self, event: &PaymentEvent) -> bool {
        let (amount, stated, sum) = match event {
            PaymentEvent::Captured { amount, captured, .. } => {
                (amount, captured, &mut self.captured)
            }
            PaymentEvent::Refunded { amount, refunded, .. } => {
                (amount, refunded, &mut self.refunded)
            }
            _ => return true,
        };
        *sum = sum.saturating_add(amount.minor);
        let currency = self.state.request().map(|request| request.amount.currency);
        currency == Some(amount.currency) && *stated == Money::new(*sum, amount.currency)
    }
}
