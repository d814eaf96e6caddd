//! Notifications: customers are told what becomes of their orders.
//!
//! The consumer writes down what is to be told, in the transaction in which it takes the event in.
//! The [`Sender`] finds out whom to tell and how, tells it, and writes down what became of it. A
//! crash between telling and writing that down tells it again, under the same id.

mod channel;
mod failed;
mod outbox;
mod preferences;
mod sender;
mod template;

use std::time::Duration;

use daybook_database::{Tx, Value, micros, now, query};
use daybook_domain::customer::CustomerEvent;
use daybook_domain::order::{CancelReason, OrderEvent};
use daybook_domain::values::{Email, Label, Timestamp};
use daybook_event_schemas::{DomainEvent, Envelope};
use serde_json::{Value as Json, json};
use uuid::Uuid;

pub use channel::{
    Channel, ChannelError, Channels, HttpChannel, Medium, Outgoing, SmtpChannel, Transport,
};
pub use failed::{FailedNotification, failed, give_up, retry};
pub use preferences::{InvalidPreference, prefer};
pub use sender::{Sender, SenderOptions};

use crate::consumer::{Consumer, HandleError};

/// Takes in what customers are to be told.
#[derive(Debug, Clone)]
pub struct Notifications {
    /// What happened longer ago than this, by the business's clock, is told to nobody: it was
    /// imported, or is consumed once more from the beginning.
    pub within: Duration,
}

impl Default for Notifications {
    fn default() -> Self {
        Self { within: Duration::from_hours(24) }
    }
}

impl Consumer for Notifications {
    const NAME: &'static str = "notifications";
    const KINDS: &'static [&'static str] = &[
        "CustomerRegistered",
        "CustomerChanged",
        "CustomerClosed",
        "OrderPlaced",
        "OrderConfirmed",
        "OrderPaid",
        "OrderShipped",
        "OrderCancelled",
        "OrderRefunded",
    ];

    async fn handle(&self, tx: &mut Tx, event: &Envelope<DomainEvent>) -> Result<(), HandleError> {
        match &event.event {
            DomainEvent::Customer(change) => customer(tx, event, change).await,
            DomainEvent::Order(OrderEvent::Placed { customer, .. }) => {
                let order = "INSERT INTO notification_orders (order_id, customer_id) \
                             VALUES ($1, $2) ON CONFLICT (order_id) DO NOTHING";
                let order = query(order).bind(event.stream.id()).bind(customer.0);
                Ok(tx.execute(order).await.map(drop)?)
            }
            DomainEvent::Order(change) => match told(change) {
                Some((kind, facts, at)) if now() - at.as_micros() <= micros(self.within) => {
                    notification(tx, event, kind, &facts).await
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// Keeps whom to write to. An earlier event that comes later changes nothing.
async fn customer(
    tx: &mut Tx,
    event: &Envelope<DomainEvent>,
    change: &CustomerEvent,
) -> Result<(), HandleError> {
    let (name, email, closed) = match change {
        CustomerEvent::Registered { name, email, .. }
        | CustomerEvent::Changed { name, email, .. } => {
            (Label::as_str(name), email.as_ref().map_or("", Email::as_str), false)
        }
        CustomerEvent::Closed { .. } => ("", "", true),
    };
    let customer = query(
        "INSERT INTO notification_customers AS c (customer_id, revision, name, email, closed) \
         VALUES ($1, $2, $3, NULLIF($4, ''), $5) ON CONFLICT (customer_id) DO UPDATE SET \
         revision = excluded.revision, name = excluded.name, email = excluded.email, \
         closed = excluded.closed WHERE c.revision < excluded.revision",
    )
    .bind(event.stream.id())
    .bind(event.revision.0.cast_signed())
    .bind(name)
    .bind(email)
    .bind(closed);
    Ok(tx.execute(customer).await.map(drop)?)
}

/// Which event customers are told of, what of it, and when it happened.
fn told(event: &OrderEvent) -> Option<(&'static str, Json, Timestamp)> {
    Some(match event {
        OrderEvent::Confirmed { at } => ("OrderConfirmed", json!({}), *at),
        OrderEvent::Paid { amount, at, .. } => {
            ("OrderPaid", json!({ "amount": amount.to_string() }), *at)
        }
        OrderEvent::Shipped { seller, items, tracking, at } => {
            let items = items.iter().map(
                |item| json!({ "sku": item.sku.as_str(), "quantity": i64::from(item.quantity) }),
            );
            let items: Vec<_> = items.collect();
            let facts =
                json!({ "seller": seller.as_str(), "tracking": &**tracking, "items": items });
            ("OrderShipped", facts, *at)
        }
        OrderEvent::Cancelled { reason, at } => {
            ("OrderCancelled", json!({ "reason": cancelled(reason) }), *at)
        }
        OrderEvent::Refunded { amount, at, .. } => {
            ("OrderRefunded", json!({ "amount": amount.to_string() }), *at)
        }
        OrderEvent::Placed { .. }
        | OrderEvent::PartiallyFulfilled { .. }
        | OrderEvent::Fulfilled { .. } => return None,
    })
}

/// A reason in words for customers. What a provider or an operator wrote is not for them.
fn cancelled(reason: &CancelReason) -> &'static str {
    match reason {
        CancelReason::OutOfStock { .. } => "something of it is not in stock any more",
        CancelReason::PaymentDeclined { .. } => "the payment was declined",
        CancelReason::ReservationExpired => "it was not paid in time",
        CancelReason::CustomerRequest => "you asked for it",
        CancelReason::Operator { .. } => "the shop had to call it off",
    }
}

/// Writes down what is to be told, once for each medium. Whether the customer wants it is found
/// out when it is sent: their account may not be known yet.
async fn notification(
    tx: &mut Tx,
    event: &Envelope<DomainEvent>,
    kind: &'static str,
    facts: &Json,
) -> Result<(), HandleError> {
    for medium in Medium::ALL {
        let name = format!("{}/{}", event.stream.as_str(), medium.name());
        let notification = query(
            "INSERT INTO notifications (id, event_id, order_id, revision, kind, channel, facts, \
             status, attempts, due_at, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', 0, $8, $8, $8) \
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(Uuid::new_v5(&event.id, name.as_bytes()))
        .bind(event.id)
        .bind(event.stream.id())
        .bind(event.revision.0.cast_signed())
        .bind(Value::Word(kind))
        .bind(Value::Word(medium.name()))
        .bind(facts.to_string().replace("\\u0000", "\u{fffd}"))
        .bind(now());
        tx.execute(notification).await?;
    }
    Ok(())
}
