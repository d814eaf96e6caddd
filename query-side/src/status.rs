//! What the statuses of an order are called, wherever they are shown or compared.

use daybook_domain::order::{OrderStatus, RefundStatus, ShipmentStatus};

pub(crate) fn order(status: &OrderStatus) -> &'static str {
    match status {
        OrderStatus::Pending => "pending",
        OrderStatus::Confirmed => "confirmed",
        OrderStatus::Paid => "paid",
        OrderStatus::PartiallyFulfilled => "partiallyFulfilled",
        OrderStatus::Fulfilled => "fulfilled",
        OrderStatus::Cancelled(_) => "cancelled",
    }
}

pub(crate) fn shipment(status: ShipmentStatus) -> &'static str {
    match status {
        ShipmentStatus::None => "none",
        ShipmentStatus::Partial => "partial",
        ShipmentStatus::Full => "full",
    }
}

pub(crate) fn refund(status: RefundStatus) -> &'static str {
    match status {
        RefundStatus::None => "none",
        RefundStatus::Partial(_) => "partial",
        RefundStatus::Full(_) => "full",
    }
}
