use daybook_database::{Error, Row, query};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::row::{Columns, FromRow, many, one};
use crate::{Cursor, Instant, Limit, Money, Page, Queries, QueryError};

/// An order as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Its id.
    pub id: Uuid,
    /// Who ordered.
    pub customer: Uuid,
    /// Where it stands as a whole: pending, confirmed, paid, partiallyFulfilled, fulfilled or
    /// cancelled.
    pub status: String,
    /// Why it was called off, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancellation: Option<Cancellation>,
    /// Where its payment stands: none or captured.
    pub payment: String,
    /// The payment that was captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_id: Option<Uuid>,
    /// How much of it left the house: none, partial or full.
    pub shipment: String,
    /// How much of it was given back: none, partial or full.
    pub refund: String,
    /// What it comes to.
    pub total: Money,
    /// What was given back.
    pub refunded: Money,
    /// How it is paid.
    pub method: String,
    /// Its business time.
    pub placed_at: Instant,
    /// When it was recorded.
    pub recorded_at: Instant,
    /// When its last event was recorded.
    pub updated_at: Instant,
    /// The revision of its stream.
    pub revision: u64,
}

/// Why an order was called off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Cancellation {
    /// The reason: outOfStock, paymentDeclined, reservationExpired, customerRequest or operator.
    pub reason: String,
    /// The SKU that was missing, what the provider said, or the operator's note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// An order with all that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OrderDetails {
    /// The order.
    #[serde(flatten)]
    pub order: Order,
    /// What was agreed.
    pub lines: Vec<Line>,
    /// Each seller's share.
    pub shipments: Vec<Shipment>,
    /// What happened to it, oldest first.
    pub timeline: Vec<TimelineEntry>,
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// What.
    pub sku: String,
    /// From whom.
    pub seller: String,
    /// What it was called.
    pub name: String,
    /// How many.
    pub quantity: u64,
    /// Price of one.
    pub unit_price: Money,
}

/// A seller's share of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Shipment {
    /// Whose.
    pub seller: String,
    /// The carrier's reference, once shipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
    /// When it went out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipped_at: Option<Instant>,
    /// When the seller was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fulfilled_at: Option<Instant>,
}

/// An event of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    /// The event's type.
    pub kind: String,
    /// What else there is to say, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// On whose behalf.
    pub actor: String,
    /// Its business time.
    pub at: Instant,
    /// When it was recorded.
    pub recorded_at: Instant,
    /// Its revision.
    pub revision: u64,
}

impl FromRow for Order {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let reason = row.maybe_text("cancel_reason")?;
        let detail = row.maybe_text("cancel_detail")?;
        Ok(Self {
            id: row.id("id")?,
            customer: row.id("customer_id")?,
            status: row.text("status")?,
            cancellation: reason.map(|reason| Cancellation { reason, detail }),
            payment: row.text("payment")?,
            payment_id: row.maybe_id("payment_id")?,
            shipment: row.text("shipment")?,
            refund: row.text("refund")?,
            total: row.money("total")?,
            refunded: row.money("refunded")?,
            method: row.text("method")?,
            placed_at: row.instant("placed_at")?,
            recorded_at: row.instant("recorded_at")?,
            updated_at: row.instant("updated_at")?,
            revision: row.count("revision")?,
        })
    }
}

impl FromRow for Line {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            sku: row.text("sku")?,
            seller: row.text("seller")?,
            name: row.text("name")?,
            quantity: row.count("quantity")?,
            unit_price: row.money("unit_price")?,
        })
    }
}

impl FromRow for Shipment {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            seller: row.text("seller")?,
            tracking: row.maybe_text("tracking")?,
            shipped_at: row.maybe_instant("shipped_at")?,
            fulfilled_at: row.maybe_instant("fulfilled_at")?,
        })
    }
}

impl FromRow for TimelineEntry {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            kind: row.text("kind")?,
            detail: row.maybe_text("detail")?,
            actor: row.text("actor")?,
            at: row.instant("at")?,
            recorded_at: row.instant("recorded_at")?,
            revision: row.count("revision")?,
        })
    }
}

impl Queries {
    /// An order with its lines, shipments and timeline, all as of one moment.
    ///
    /// # Errors
    /// The read models cannot be read.
    pub async fn order(&self, id: Uuid) -> Result<Option<OrderDetails>, QueryError> {
        let mut tx = self.of("orders").snapshot().await?;
        let Some(order) =
            one(&mut tx, query("SELECT * FROM orders WHERE id = $1").bind(id)).await?
        else {
            return Ok(None);
        };
        let lines = "SELECT l.*, o.currency FROM order_lines l JOIN orders o ON o.id = l.order_id \
                     WHERE l.order_id = $1 ORDER BY l.line";
        let shipments = "SELECT * FROM order_shipments WHERE order_id = $1 ORDER BY seller";
        let timeline = "SELECT * FROM order_timeline WHERE order_id = $1 ORDER BY revision";
        Ok(Some(OrderDetails {
            order,
            lines: many(&mut tx, query(lines).bind(id)).await?,
            shipments: many(&mut tx, query(shipments).bind(id)).await?,
            timeline: many(&mut tx, query(timeline).bind(id)).await?,
        }))
    }

    /// The orders of a customer, the newest first by business time.
    ///
    /// # Errors
    /// The cursor is not one of this list, or the read models cannot be read.
    pub async fn orders_of(
        &self,
        customer: Uuid,
        cursor: Option<&Cursor>,
        limit: Limit,
    ) -> Result<Page<Order>, QueryError> {
        let list = format!("orders-{customer}");
        // Sorts after every order: none is placed so late, and no id begins with a "g".
        let first = || Ok((i64::MAX, "g".to_owned()));
        let (placed_at, id): (i64, String) = cursor.map_or_else(first, |c| c.key(&list))?;
        let page = "SELECT * FROM orders WHERE customer_id = $1 AND (placed_at, id) < ($2, $3) \
                    ORDER BY placed_at DESC, id DESC LIMIT $4";
        let page = query(page).bind(customer).bind(placed_at).bind(id).bind(limit.and_one());
        let orders = many(self.of("orders"), page).await?;
        Ok(Page::new(orders, limit, |order: &Order| {
            Cursor::new(&list, &(order.placed_at.0.as_micros(), order.id))
        }))
    }
}
