use std::sync::Arc;

use daybook_domain::payment::PaymentEvent;
use daybook_event_schemas::Envelope;
use uuid::Uuid;

use super::{KEEP, id, revision};
use crate::projection::{ApplyError, Projection};
use crate::row::{row, words};
use crate::rows::{Buffer, Rows};

row! {
    /// A payment as it stands.
    PaymentRow in "payments" {
        key { id: Uuid }
        order_id: Uuid,
        status: PaymentStatus,
        method: Arc<str>,
        currency: Arc<str>,
        amount: i64,
        captured: i64,
        refunded: i64,
        reference: Option<Arc<str>>,
        decline: Option<Arc<str>>,
        requested_at: i64,
        updated_at: i64,
        revision: i64,
    }
}

words! {
    /// Where a payment stands. Refunded means wholly.
    PaymentStatus {
        Requested = "requested",
        Authorized = "authorized",
        Captured = "captured",
        Voided = "voided",
        Declined = "declined",
        Refunded = "refunded",
    }
}

/// Every payment as it stands.
pub(crate) struct Payments {
    payments: Rows<PaymentRow>,
}

impl Projection for Payments {
    const NAME: &'static str = "payments";
    const VERSION: u32 = 1;
    const SCHEMA: &'static str = include_str!("../../migrations/models/payments.sql");
    const TABLES: &'static [&'static str] = &["payments"];
    type Event = PaymentEvent;

    fn new(generation: u32) -> Self {
        Self { payments: Rows::new(generation, KEEP) }
    }

    fn prepare(&mut self, event: &Envelope<PaymentEvent>) {
        if let Ok(id) = id(event) {
            self.payments.want_at(event.revision, (id,));
        }
    }

    fn apply(&mut self, event: &Envelope<PaymentEvent>) -> Result<(), ApplyError> {
        if let PaymentEvent::Requested { payment, order, amount, method, at } = &event.event {
            self.payments.put(PaymentRow {
                id: payment.0,
                order_id: order.0,
                status: PaymentStatus::Requested,
                method: method.as_str().into(),
                currency: amount.currency.code().into(),
                amount: amount.minor,
                captured: 0,
                refunded: 0,
                reference: None,
                decline: None,
                requested_at: at.as_micros(),
                updated_at: event.recorded_at,
                revision: revision(event),
            });
            return Ok(());
        }
        let row = self.payments.change(&(id(event)?,))?;
        row.updated_at = event.recorded_at;
        row.revision = revision(event);
        advance(row, &event.event);
        Ok(())
    }

    fn buffers(&mut self) -> Vec<&mut dyn Buffer> {
        vec![&mut self.payments]
    }
}

fn advance(row: &mut PaymentRow, event: &PaymentEvent) {
    match event {
        PaymentEvent::Requested { .. } => {}
        PaymentEvent::Authorized { reference, .. } => {
            row.status = PaymentStatus::Authorized;
            row.reference = Some(reference.as_str().into());
        }
        PaymentEvent::Captured { captured, .. } => {
            row.status = PaymentStatus::Captured;
            row.captured = captured.minor;
        }
        // What was captured stays captured; only the rest is let go.
        PaymentEvent::Voided { .. } if row.captured > 0 => {}
        PaymentEvent::Voided { .. } => row.status = PaymentStatus::Voided,
        PaymentEvent::Declined { reason, .. } => {
            row.status = PaymentStatus::Declined;
            row.decline = Some(reason.as_str().into());
        }
        PaymentEvent::Refunded { refunded, .. } => {
            row.refunded = refunded.minor;
            if row.refunded >= row.captured {
                row.status = PaymentStatus::Refunded;
            }
        }
    }
}
