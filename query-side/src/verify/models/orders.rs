use daybook_domain::order::{CancelReason, OrderStage, PaymentStatus, PlacedOrder};
use daybook_domain::values::Timestamp;

use super::table::{Model, Rows, Table};
use crate::status;
use crate::verify::books::Books;
use crate::verify::orders::OrderEntry;
use crate::verify::row::{Cell, Digest};

pub(super) const ORDERS: Model = Model {
    name: "orders",
    tables: &[
        Table {
            name: "orders",
            key: &["id"],
            columns: &[
                "customer_id",
                "status",
                "cancel_reason",
                "cancel_detail",
                "payment",
                "payment_id",
                "shipment",
                "sellers",
                "shipped",
                "refund",
                "currency",
                "total",
                "refunded",
                "method",
                "placed_at",
                "recorded_at",
                "updated_at",
                "revision",
            ],
            digested: false,
            expected: heads,
        },
        Table {
            name: "order_lines",
            key: &["order_id"],
            columns: &["line", "sku", "seller", "name", "quantity", "unit_price"],
            digested: true,
            expected: |books| digests(books, |entry| entry.lines),
        },
        Table {
            name: "order_shipments",
            key: &["order_id"],
            columns: &["seller", "tracking", "shipped_at", "fulfilled_at"],
            digested: true,
            expected: |books| digests(books, shipments),
        },
        Table {
            name: "order_timeline",
            key: &["order_id"],
            columns: &["revision", "kind", "actor", "at", "recorded_at"],
            digested: true,
            expected: |books| digests(books, |entry| entry.timeline),
        },
    ],
};

fn digests<'b>(books: &'b Books, digest: impl Fn(&'b OrderEntry) -> Digest) -> Rows<'b> {
    let orders = books.orders.orders.iter().filter(|(_, entry)| entry.placed().is_some());
    orders.map(|(id, entry)| (id.to_string(), digest(entry).cells())).collect()
}

fn shipments(entry: &OrderEntry) -> Digest {
    let mut digest = Digest::default();
    for (seller, shipment) in &entry.shipments {
        digest.add(&[
            seller.as_str().into(),
            shipment.tracking.as_deref().into(),
            shipment.shipped_at.map(Timestamp::as_micros).into(),
            shipment.fulfilled_at.map(Timestamp::as_micros).into(),
        ]);
    }
    digest
}

fn heads(books: &Books) -> Rows<'_> {
    let orders = books.orders.orders.iter();
    orders.filter_map(|(id, entry)| Some((id.to_string(), head(entry, entry.placed()?)))).collect()
}

fn head<'b>(entry: &'b OrderEntry, order: &'b PlacedOrder) -> Vec<Cell<'b>> {
    let (reason, detail) = cancellation(&order.stage);
    let payment = match order.payment() {
        PaymentStatus::None => None,
        PaymentStatus::Captured(payment) => Some(payment.to_string()),
    };
    let shipped = entry.shipments.values().filter(|shipment| shipment.shipped_at.is_some());
    vec![
        order.customer.to_string().into(),
        status::order(&order.status()).into(),
        reason.into(),
        detail.into(),
        payment.as_ref().map_or("none", |_| "captured").into(),
        payment.into(),
        status::shipment(order.shipment()).into(),
        entry.shipments.len().into(),
        shipped.count().into(),
        status::refund(order.refund()).into(),
        order.total.currency.code().into(),
        order.total.minor.into(),
        order.refunds.total().minor.into(),
        order.method.as_str().into(),
        order.placed_at.as_micros().into(),
        entry.recorded_at.into(),
        entry.updated_at.into(),
        entry.revision.into(),
    ]
}

fn cancellation(stage: &OrderStage) -> (Option<&'static str>, Option<&str>) {
    let OrderStage::Cancelled { reason, .. } = stage else { return (None, None) };
    let (reason, detail) = match reason {
        CancelReason::OutOfStock { sku } => ("outOfStock", Some(sku.as_str())),
        CancelReason::PaymentDeclined { reason } => ("paymentDeclined", Some(reason.as_str())),
        CancelReason::ReservationExpired => ("reservationExpired", None),
        CancelReason::CustomerRequest => ("customerRequest", None),
        CancelReason::Operator { note } => ("operator", Some(note.as_str())),
    };
    (Some(reason), detail)
}
