use std::sync::Arc;

use daybook_domain::stock::{ReleaseReason, StockEvent};
use daybook_domain::values::OrderId;
use daybook_event_schemas::Envelope;
use uuid::Uuid;

use super::{KEEP, revision};
use crate::projection::{ApplyError, Projection};
use crate::row::{row, words};
use crate::rows::{Buffer, Rows};

row! {
    /// What there is of a SKU.
    StockRow in "stock" {
        key { sku: Arc<str> }
        on_hand: i64,
        reserved: i64,
        updated_at: i64,
        revision: i64,
    }
}

row! {
    /// Who holds or held how many.
    ReservationRow in "reservations" {
        key { order_id: Uuid, sku: Arc<str> }
        quantity: i64,
        expires_at: i64,
        status: ReservationStatus,
        reason: Option<Release>,
        revision: i64,
    }
}

words! {
    /// Where a reservation stands.
    ReservationStatus { Held = "held", Released = "released", Committed = "committed" }
}

words! {
    /// Why a reservation was released.
    Release { Cancelled = "cancelled", PaymentFailed = "paymentFailed", Expired = "expired" }
}

impl From<ReleaseReason> for Release {
    fn from(reason: ReleaseReason) -> Self {
        match reason {
            ReleaseReason::Cancelled => Self::Cancelled,
            ReleaseReason::PaymentFailed => Self::PaymentFailed,
            ReleaseReason::Expired => Self::Expired,
        }
    }
}

/// What there is of each SKU, and for whom it is held.
pub(crate) struct StockLevels {
    stock: Rows<StockRow>,
    reservations: Rows<ReservationRow>,
}

/// Whose reservation an event changes.
fn reserver(event: &StockEvent) -> Option<OrderId> {
    match event {
        StockEvent::Reserved { order, .. }
        | StockEvent::Extended { order, .. }
        | StockEvent::Released { order, .. }
        | StockEvent::Committed { order, .. } => Some(*order),
        StockEvent::Received { .. } | StockEvent::Adjusted { .. } => None,
    }
}

/// By how much an event changes what is in the house and what of it is held.
fn deltas(event: &StockEvent) -> (i64, i64) {
    match event {
        StockEvent::Received { quantity, .. } => ((*quantity).into(), 0),
        StockEvent::Adjusted { delta, .. } => (*delta, 0),
        StockEvent::Reserved { quantity, .. } => (0, (*quantity).into()),
        StockEvent::Extended { .. } => (0, 0),
        StockEvent::Released { quantity, .. } => (0, -i64::from(*quantity)),
        StockEvent::Committed { quantity, .. } => (-i64::from(*quantity), -i64::from(*quantity)),
    }
}

impl Projection for StockLevels {
    const NAME: &'static str = "stock";
    const VERSION: u32 = 1;
    const SCHEMA: &'static str = include_str!("../../migrations/models/stock.sql");
    const TABLES: &'static [&'static str] = &["stock", "reservations"];
    type Event = StockEvent;

    fn new(generation: u32) -> Self {
        Self { stock: Rows::new(generation, KEEP), reservations: Rows::new(generation, KEEP) }
    }

    fn prepare(&mut self, event: &Envelope<StockEvent>) {
        let sku: Arc<str> = event.stream.id().into();
        match (&event.event, reserver(&event.event)) {
            // It is put whole, whatever was there before.
            (StockEvent::Reserved { .. }, Some(order)) => {
                self.reservations.make((order.0, sku.clone()));
            }
            (_, Some(order)) => self.reservations.want((order.0, sku.clone())),
            (_, None) => {}
        }
        self.stock.want_at(event.revision, (sku,));
    }

    fn apply(&mut self, event: &Envelope<StockEvent>) -> Result<(), ApplyError> {
        let sku: Arc<str> = event.stream.id().into();
        self.book(sku.clone(), event)?;
        if let Some(order) = reserver(&event.event) {
            self.reserve(order.0, sku, event)?;
        }
        Ok(())
    }

    fn buffers(&mut self) -> Vec<&mut dyn Buffer> {
        vec![&mut self.stock, &mut self.reservations]
    }
}

impl StockLevels {
    fn book(&mut self, sku: Arc<str>, event: &Envelope<StockEvent>) -> Result<(), ApplyError> {
        let (on_hand, reserved) = deltas(&event.event);
        let before = self.stock.get(&(sku.clone(),)).map_or((0, 0), |r| (r.on_hand, r.reserved));
        let sum = |what, before: i64, delta| {
            before.checked_add(delta).filter(|sum| *sum >= 0).ok_or(ApplyError::Range { what })
        };
        self.stock.put(StockRow {
            sku,
            on_hand: sum("the stock on hand", before.0, on_hand)?,
            reserved: sum("the reserved stock", before.1, reserved)?,
            updated_at: event.recorded_at,
            revision: revision(event),
        });
        Ok(())
    }

    fn reserve(
        &mut self,
        order_id: Uuid,
        sku: Arc<str>,
        event: &Envelope<StockEvent>,
    ) -> Result<(), ApplyError> {
        let revision = revision(event);
        if let StockEvent::Reserved { quantity, expires_at, .. } = event.event {
            self.reservations.put(ReservationRow {
                order_id,
                sku,
                quantity: quantity.into(),
                expires_at: expires_at.as_micros(),
                status: ReservationStatus::Held,
                reason: None,
                revision,
            });
            return Ok(());
        }
        let row = self.reservations.change(&(order_id, sku))?;
        row.revision = revision;
        match event.event {
            StockEvent::Extended { expires_at, .. } => row.expires_at = expires_at.as_micros(),
            StockEvent::Committed { .. } => row.status = ReservationStatus::Committed,
            StockEvent::Released { reason, .. } => {
                row.status = ReservationStatus::Released;
                row.reason = Some(reason.into());
            }
            StockEvent::Received { .. }
            | StockEvent::Adjusted { .. }
            | StockEvent::Reserved { .. } => {}
        }
        Ok(())
    }
}
