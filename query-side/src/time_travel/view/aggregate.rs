use daybook_domain::customer::CustomerState;
use daybook_domain::payment::{PaymentState, Requested, Taken};
use daybook_domain::product::{Listing, ProductState};
use daybook_domain::stock::StockState;
use serde_json::{Value, json};

use super::{amounts, instant, merged, money, text};

pub(in crate::time_travel) fn product(state: &ProductState) -> Value {
    match state {
        ProductState::Unknown => json!({ "status": "unknown" }),
        ProductState::Listed(listing) => merged(json!({ "status": "listed" }), offer(listing)),
        ProductState::Delisted(listing) => merged(json!({ "status": "delisted" }), offer(listing)),
    }
}

fn offer(listing: &Listing) -> Value {
    let Listing { sku, seller, name, description, category, brand, price } = listing;
    json!({
        "sku": sku.as_str(),
        "seller": seller.as_str(),
        "name": name.as_str(),
        "description": description,
        "category": category.as_str(),
        "brand": brand.as_ref().map(text),
        "price": money(*price),
    })
}

pub(in crate::time_travel) fn stock(state: &StockState) -> Value {
    let reservations = state.reservations().iter().map(|(order, held)| {
        let (quantity, expires_at) = (held.quantity.get(), instant(held.expires_at));
        json!({ "order": order.to_string(), "quantity": quantity, "expiresAt": expires_at })
    });
    json!({
        "onHand": state.on_hand(),
        "reserved": state.reserved(),
        "available": state.available(),
        "reservations": reservations.collect::<Vec<_>>(),
    })
}

pub(in crate::time_travel) fn customer(state: &CustomerState) -> Value {
    match state {
        CustomerState::Unknown => json!({ "status": "unknown" }),
        CustomerState::Open { name, email, country } => json!({
            "status": "open",
            "name": name.as_str(),
            "email": email.as_ref().map(text),
            "country": country.as_ref().map(text),
        }),
        CustomerState::Closed => json!({ "status": "closed" }),
    }
}

pub(in crate::time_travel) fn payment(state: &PaymentState) -> Value {
    let (status, more) = match state {
        PaymentState::Unknown => ("unknown", json!({})),
        PaymentState::Requested(_) => ("requested", json!({})),
        PaymentState::Authorized { reference, .. } => {
            ("authorized", json!({ "reference": reference }))
        }
        PaymentState::Captured(taken) => ("captured", captured(taken)),
        PaymentState::Voided { reference, .. } => ("voided", json!({ "reference": reference })),
        PaymentState::Declined { reason, .. } => ("declined", json!({ "reason": reason })),
    };
    let request = state.request().map_or(json!({}), requested);
    merged(merged(json!({ "status": status }), request), more)
}

fn requested(Requested { payment, order, amount, method }: &Requested) -> Value {
    json!({
        "payment": payment.to_string(),
        "order": order.to_string(),
        "amount": money(*amount),
        "method": method.as_str(),
    })
}

fn captured(Taken { reference, captures, refunds, closed, .. }: &Taken) -> Value {
    json!({
        "reference": reference,
        "captured": money(captures.total()),
        "captures": amounts(captures),
        "refunded": money(refunds.total()),
        "refunds": amounts(refunds),
        "closed": closed,
    })
}
