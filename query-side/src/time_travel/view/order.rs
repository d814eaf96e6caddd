use daybook_domain::order::{CancelReason, OrderLine, OrderStage, OrderState, Parcel, PlacedOrder};
use serde_json::{Value, json};

use super::{amounts, instant, merged, money, object, text};
use crate::status;

pub(in crate::time_travel) fn order(state: &OrderState) -> Value {
    state.placed().map_or(json!({ "status": "unplaced" }), placed)
}

fn placed(order: &PlacedOrder) -> Value {
    let head = json!({
        "order": order.order.to_string(),
        "customer": order.customer.to_string(),
        "status": status::order(&order.status()),
        "shipment": status::shipment(order.shipment()),
        "refund": status::refund(order.refund()),
        "lines": order.lines.iter().map(line).collect::<Vec<_>>(),
        "total": money(order.total),
        "method": order.method.as_str(),
        "placedAt": instant(order.placed_at),
        "refunds": amounts(&order.refunds),
    });
    merged(head, stage(&order.stage))
}

/// What is only known from some stage on.
fn stage(stage: &OrderStage) -> Value {
    match stage {
        OrderStage::Pending | OrderStage::Confirmed => json!({}),
        OrderStage::Paid { payment, parcels } => {
            let parcels = object(parcels.iter().map(|(seller, it)| (seller, parcel(it))));
            json!({ "payment": payment.to_string(), "parcels": parcels })
        }
        OrderStage::Cancelled { reason, payment } => json!({
            "payment": payment.as_ref().map(text),
            "cancelReason": cancel_reason(reason),
        }),
    }
}

fn parcel(parcel: &Parcel) -> Value {
    match parcel {
        Parcel::Waiting => json!({ "status": "waiting" }),
        Parcel::Shipped { tracking } => json!({ "status": "shipped", "tracking": tracking }),
        Parcel::Fulfilled { tracking } => json!({ "status": "fulfilled", "tracking": tracking }),
    }
}

fn cancel_reason(reason: &CancelReason) -> Value {
    match reason {
        CancelReason::OutOfStock { sku } => json!({ "type": "outOfStock", "sku": sku.as_str() }),
        CancelReason::PaymentDeclined { reason } => {
            json!({ "type": "paymentDeclined", "reason": reason })
        }
        CancelReason::ReservationExpired => json!({ "type": "reservationExpired" }),
        CancelReason::CustomerRequest => json!({ "type": "customerRequest" }),
        CancelReason::Operator { note } => json!({ "type": "operator", "note": note }),
    }
}

fn line(line: &OrderLine) -> Value {
    json!({
        "sku": line.sku.as_str(),
        "seller": line.seller.as_str(),
        "name": line.name.as_str(),
        "quantity": line.quantity.get(),
        "unitPrice": money(line.unit_price),
    })
}
