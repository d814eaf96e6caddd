//! What the shop comes to: orders, revenue, cancellations and products, by the minute and the day.

use daybook_database::{Column, Kind, Merge, Table, Tx, Value};
use daybook_domain::order::{CancelReason, OrderEvent, OrderLine};
use daybook_domain::values::{Money, Timestamp};
use daybook_event_schemas::{DomainEvent, Envelope};

use crate::consumer::{Consumer, HandleError};

const MICROS_A_MINUTE: i64 = 60_000_000;
const MINUTES_A_DAY: i64 = 1_440;

/// Counts what happened when it happened by the business's clock. All of it is sums, so that it
/// comes to the same in whatever order the events come.
#[derive(Debug, Clone, Copy)]
pub struct Analytics;

/// What an event adds to a minute.
#[derive(Debug, Default)]
struct Figures {
    placed: i64,
    paid: i64,
    revenue: i64,
    refunded: i64,
}

impl Consumer for Analytics {
    const NAME: &'static str = "analytics";
    const KINDS: &'static [&'static str] =
        &["OrderPlaced", "OrderPaid", "OrderCancelled", "OrderRefunded"];

    async fn handle(&self, tx: &mut Tx, event: &Envelope<DomainEvent>) -> Result<(), HandleError> {
        let DomainEvent::Order(event) = &event.event else { return Ok(()) };
        match event {
            OrderEvent::Placed { lines, total, at, .. } => {
                products(tx, lines, *at).await?;
                let figures = Figures { placed: 1, ..Figures::default() };
                minute(tx, *at, *total, figures).await
            }
            OrderEvent::Paid { amount, at, .. } => {
                let figures = Figures { paid: 1, revenue: amount.minor, ..Figures::default() };
                minute(tx, *at, *amount, figures).await
            }
            OrderEvent::Refunded { amount, at, .. } => {
                let figures = Figures { refunded: amount.minor, ..Figures::default() };
                minute(tx, *at, *amount, figures).await
            }
            OrderEvent::Cancelled { reason, at } => cancellation(tx, reason, *at).await,
            _ => Ok(()),
        }
    }
}

async fn minute(
    tx: &mut Tx,
    at: Timestamp,
    of: Money,
    figures: Figures,
) -> Result<(), HandleError> {
    let Figures { placed, paid, revenue, refunded } = figures;
    let row = vec![
        minute_of(at).into(),
        of.currency.code().into(),
        placed.into(),
        paid.into(),
        revenue.into(),
        refunded.into(),
    ];
    add(tx, &MINUTES, "analytics_minutes", 2, row).await
}

async fn cancellation(
    tx: &mut Tx,
    reason: &CancelReason,
    at: Timestamp,
) -> Result<(), HandleError> {
    let reason = match reason {
        CancelReason::OutOfStock { .. } => "outOfStock",
        CancelReason::PaymentDeclined { .. } => "paymentDeclined",
        CancelReason::ReservationExpired => "reservationExpired",
        CancelReason::CustomerRequest => "customerRequest",
        CancelReason::Operator { .. } => "operator",
    };
    let row = vec![minute_of(at).into(), Value::Word(reason), 1.into()];
    add(tx, &CANCELLATIONS, "analytics_cancellations", 2, row).await
}

async fn products(tx: &mut Tx, lines: &[OrderLine], at: Timestamp) -> Result<(), HandleError> {
    let day = minute_of(at).div_euclid(MINUTES_A_DAY);
    for OrderLine { sku, quantity, unit_price, .. } in lines {
        let amount = unit_price.times(*quantity);
        let amount = amount.map_err(|error| HandleError::Refused(error.to_string()))?;
        let row = vec![
            day.into(),
            amount.currency.code().into(),
            sku.as_str().into(),
            i64::from(*quantity).into(),
            amount.minor.into(),
        ];
        add(tx, &PRODUCTS, "analytics_products", 3, row).await?;
    }
    Ok(())
}

fn minute_of(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(MICROS_A_MINUTE)
}

async fn add(
    tx: &mut Tx,
    columns: &'static [Column],
    name: &str,
    keys: usize,
    row: Vec<Value>,
) -> Result<(), HandleError> {
    let table = Table { name: name.to_owned(), columns, keys, merge: Merge::Add };
    Ok(tx.upsert(&table, row).await?)
}

const fn int(name: &'static str) -> Column {
    Column { name, kind: Kind::Int }
}

const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text }
}

const MINUTES: [Column; 6] =
    [int("minute"), text("currency"), int("placed"), int("paid"), int("revenue"), int("refunded")];
const CANCELLATIONS: [Column; 3] = [int("minute"), text("reason"), int("orders")];
const PRODUCTS: [Column; 5] =
    [int("day"), text("currency"), text("sku"), int("quantity"), int("amount")];
