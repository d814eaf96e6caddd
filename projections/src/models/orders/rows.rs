use std::sync::Arc;

use daybook_domain::order::CancelReason;
use uuid::Uuid;

use crate::row::{row, words};

row! {
    /// An order as it stands.
    OrderRow in "orders" {
        key { id: Uuid }
        customer_id: Uuid,
        status: Status,
        cancel_reason: Option<Cancellation>,
        cancel_detail: Option<Arc<str>>,
        payment: PaymentAxis,
        payment_id: Option<Uuid>,
        shipment: Share,
        sellers: i64,
        shipped: i64,
        refund: Share,
        currency: Arc<str>,
        total: i64,
        refunded: i64,
        method: Arc<str>,
        placed_at: i64,
        recorded_at: i64,
        updated_at: i64,
        revision: i64,
    }
}

row! {
    /// A line of an order.
    LineRow in "order_lines" {
        key { order_id: Uuid, line: i64 }
        sku: Arc<str>,
        seller: Arc<str>,
        name: Arc<str>,
        quantity: i64,
        unit_price: i64,
    }
}

row! {
    /// A seller's share of an order.
    ShipmentRow in "order_shipments" {
        key { order_id: Uuid, seller: Arc<str> }
        tracking: Option<Arc<str>>,
        shipped_at: Option<i64>,
        fulfilled_at: Option<i64>,
    }
}

row! {
    /// An event of an order.
    TimelineRow in "order_timeline" {
        key { order_id: Uuid, revision: i64 }
        kind: Kind,
        detail: Option<Arc<str>>,
        actor: Arc<str>,
        at: i64,
        recorded_at: i64,
    }
}

words! {
    /// Where an order stands as a whole.
    Status {
        Pending = "pending",
        Confirmed = "confirmed",
        Paid = "paid",
        PartiallyFulfilled = "partiallyFulfilled",
        Fulfilled = "fulfilled",
        Cancelled = "cancelled",
    }
}

words! {
    /// Why an order was called off.
    Cancellation {
        OutOfStock = "outOfStock",
        PaymentDeclined = "paymentDeclined",
        ReservationExpired = "reservationExpired",
        CustomerRequest = "customerRequest",
        Operator = "operator",
    }
}

words! {
    /// Where an order's payment stands.
    PaymentAxis { None = "none", Captured = "captured" }
}

words! {
    /// How much of an order was shipped, or refunded.
    Share { None = "none", Partial = "partial", Full = "full" }
}

words! {
    /// An event's type.
    Kind {
        Placed = "OrderPlaced",
        Confirmed = "OrderConfirmed",
        Paid = "OrderPaid",
        Shipped = "OrderShipped",
        PartiallyFulfilled = "OrderPartiallyFulfilled",
        Fulfilled = "OrderFulfilled",
        Cancelled = "OrderCancelled",
        Refunded = "OrderRefunded",
    }
}

/// The reason of a cancellation, and what else it says.
pub(in crate::models) fn cancellation(reason: &CancelReason) -> (Cancellation, Option<&str>) {
    match reason {
        CancelReason::OutOfStock { sku } => (Cancellation::OutOfStock, Some(sku.as_str())),
        CancelReason::PaymentDeclined { reason } => (Cancellation::PaymentDeclined, Some(reason)),
        CancelReason::ReservationExpired => (Cancellation::ReservationExpired, None),
        CancelReason::CustomerRequest => (Cancellation::CustomerRequest, None),
        CancelReason::Operator { note } => (Cancellation::Operator, Some(note)),
    }
}
