mod rows;

use std::collections::BTreeSet;
use std::sync::Arc;

use daybook_domain::order::{OrderEvent, OrderLine};
use daybook_domain::values::Timestamp;
use daybook_event_schemas::Envelope;
use uuid::Uuid;

pub(super) use rows::{Cancellation, cancellation};

use super::{KEEP, id, revision};
use crate::projection::{ApplyError, Projection};
use crate::rows::{Buffer, Rows};
use rows::{Kind, LineRow, OrderRow, PaymentAxis, Share, ShipmentRow, Status, TimelineRow};

/// How much of a whole there is.
fn share(part: i64, whole: i64) -> Share {
    match part {
        0 => Share::None,
        _ if part < whole => Share::Partial,
        _ => Share::Full,
    }
}

/// What an order's timeline says of an event: its type, its business time and, for people, the
/// rest.
fn entry(event: &OrderEvent) -> (Kind, Timestamp, Option<String>) {
    match event {
        OrderEvent::Placed { total, at, .. } => (Kind::Placed, *at, Some(total.to_string())),
        OrderEvent::Confirmed { at } => (Kind::Confirmed, *at, None),
        OrderEvent::Paid { amount, at, .. } => (Kind::Paid, *at, Some(amount.to_string())),
        OrderEvent::Shipped { seller, tracking, at, .. } => {
            (Kind::Shipped, *at, Some(format!("{seller}: {tracking}")))
        }
        OrderEvent::PartiallyFulfilled { seller, at } => {
            (Kind::PartiallyFulfilled, *at, Some(seller.to_string()))
        }
        OrderEvent::Fulfilled { seller, at } => (Kind::Fulfilled, *at, Some(seller.to_string())),
        OrderEvent::Cancelled { reason, at } => {
            (Kind::Cancelled, *at, cancellation(reason).1.map(str::to_owned))
        }
        OrderEvent::Refunded { amount, at, .. } => (Kind::Refunded, *at, Some(amount.to_string())),
    }
}

/// Those who have a share of an order.
fn sellers(lines: &[OrderLine]) -> BTreeSet<&str> {
    lines.iter().map(|line| line.seller.as_str()).collect()
}

/// The seller whose share of the order an event changes.
fn seller(event: &OrderEvent) -> Option<Arc<str>> {
    match event {
        OrderEvent::Shipped { seller, .. }
        | OrderEvent::PartiallyFulfilled { seller, .. }
        | OrderEvent::Fulfilled { seller, .. } => Some(seller.as_str().into()),
        OrderEvent::Placed { .. }
        | OrderEvent::Confirmed { .. }
        | OrderEvent::Paid { .. }
        | OrderEvent::Cancelled { .. }
        | OrderEvent::Refunded { .. } => None,
    }
}

/// Every order as it stands, with its lines, shipments and timeline.
pub(crate) struct Orders {
    heads: Rows<OrderRow>,
    lines: Rows<LineRow>,
    shipments: Rows<ShipmentRow>,
    timeline: Rows<TimelineRow>,
}

impl Projection for Orders {
    const NAME: &'static str = "orders";
    const VERSION: u32 = 1;
    const SCHEMA: &'static str = include_str!("../../../migrations/models/orders.sql");
    const TABLES: &'static [&'static str] =
        &["orders", "order_lines", "order_shipments", "order_timeline"];
    type Event = OrderEvent;

    fn new(generation: u32) -> Self {
        Self {
            heads: Rows::new(generation, KEEP),
            lines: Rows::new(generation, 0),
            shipments: Rows::new(generation, KEEP),
            timeline: Rows::new(generation, 0),
        }
    }

    fn prepare(&mut self, event: &Envelope<OrderEvent>) {
        let Ok(id) = id(event) else { return };
        self.heads.want_at(event.revision, (id,));
        if let OrderEvent::Placed { lines, .. } = &event.event {
            for seller in sellers(lines) {
                self.shipments.make((id, seller.into()));
            }
        }
        if let Some(seller) = seller(&event.event) {
            self.shipments.want((id, seller));
        }
    }

    fn apply(&mut self, event: &Envelope<OrderEvent>) -> Result<(), ApplyError> {
        let id = id(event)?;
        if let OrderEvent::Placed { lines, .. } = &event.event {
            self.place(id, lines, event);
        } else {
            let row = self.heads.change(&(id,))?;
            row.updated_at = event.recorded_at;
            row.revision = revision(event);
            advance(row, &event.event);
            self.ship(id, &event.event)?;
        }
        self.note(id, event);
        Ok(())
    }

    fn buffers(&mut self) -> Vec<&mut dyn Buffer> {
        vec![&mut self.heads, &mut self.lines, &mut self.shipments, &mut self.timeline]
    }
}

impl Orders {
    fn place(&mut self, order_id: Uuid, lines: &[OrderLine], event: &Envelope<OrderEvent>) {
        let sellers = sellers(lines);
        if let Some(row) = placed(order_id, sellers.len(), event) {
            self.heads.put(row);
        }
        for (line, n) in lines.iter().zip(1..) {
            self.lines.put(LineRow {
                order_id,
                line: n,
                sku: line.sku.as_str().into(),
                seller: line.seller.as_str().into(),
                name: line.name.as_str().into(),
                quantity: line.quantity.into(),
                unit_price: line.unit_price.minor,
            });
        }
        for seller in sellers {
            let seller = seller.into();
            let share = ShipmentRow {
                order_id,
                seller,
                tracking: None,
                shipped_at: None,
                fulfilled_at: None,
            };
            self.shipments.put(share);
        }
    }

    /// Notes on a seller's share, and on the order, that it went out or arrived.
    fn ship(&mut self, order_id: Uuid, event: &OrderEvent) -> Result<(), ApplyError> {
        let Some(seller) = seller(event) else { return Ok(()) };
        let share_row = self.shipments.change(&(order_id, seller))?;
        match event {
            OrderEvent::Shipped { tracking, at, .. } => {
                let is_first = share_row.shipped_at.replace(at.as_micros()).is_none();
                share_row.tracking = Some(tracking.as_str().into());
                let order = self.heads.change(&(order_id,))?;
                order.shipped += i64::from(is_first);
                order.shipment = share(order.shipped, order.sellers);
            }
            OrderEvent::PartiallyFulfilled { at, .. } | OrderEvent::Fulfilled { at, .. } => {
                share_row.fulfilled_at = Some(at.as_micros());
            }
            _ => {}
        }
        Ok(())
    }

    fn note(&mut self, order_id: Uuid, event: &Envelope<OrderEvent>) {
        let (kind, at, detail) = entry(&event.event);
        self.timeline.put(TimelineRow {
            order_id,
            revision: revision(event),
            kind,
            detail: detail.map(Into::into),
            actor: event.metadata.actor.0.clone(),
            at: at.as_micros(),
            recorded_at: event.recorded_at,
        });
    }
}

/// The row of an order that was just placed.
fn placed(id: Uuid, sellers: usize, event: &Envelope<OrderEvent>) -> Option<OrderRow> {
    let OrderEvent::Placed { customer, total, method, at, .. } = &event.event else { return None };
    Some(OrderRow {
        id,
        customer_id: customer.0,
        status: Status::Pending,
        cancel_reason: None,
        cancel_detail: None,
        payment: PaymentAxis::None,
        payment_id: None,
        shipment: Share::None,
        sellers: i64::try_from(sellers).unwrap_or(i64::MAX),
        shipped: 0,
        refund: Share::None,
        currency: total.currency.code().into(),
        total: total.minor,
        refunded: 0,
        method: method.as_str().into(),
        placed_at: at.as_micros(),
        recorded_at: event.recorded_at,
        updated_at: event.recorded_at,
        revision: revision(event),
    })
}

fn advance(row: &mut OrderRow, event: &OrderEvent) {
    match event {
        OrderEvent::Placed { .. } | OrderEvent::Shipped { .. } => {}
        OrderEvent::Confirmed { .. } => row.status = Status::Confirmed,
        OrderEvent::Paid { payment, .. } => {
            row.status = Status::Paid;
            row.payment = PaymentAxis::Captured;
            row.payment_id = Some(payment.0);
        }
        OrderEvent::PartiallyFulfilled { .. } => row.status = Status::PartiallyFulfilled,
        OrderEvent::Fulfilled { .. } => row.status = Status::Fulfilled,
        OrderEvent::Cancelled { reason, .. } => {
            let (reason, detail) = cancellation(reason);
            row.status = Status::Cancelled;
            row.cancel_reason = Some(reason);
            row.cancel_detail = detail.map(Into::into);
        }
        OrderEvent::Refunded { refunded, .. } => {
            row.refunded = refunded.minor;
            row.refund = share(refunded.minor, row.total);
        }
    }
}
