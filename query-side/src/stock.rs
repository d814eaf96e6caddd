use daybook_database::{Error, Row, query};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::row::{Columns, FromRow, many, one};
use crate::{Cursor, Instant, Limit, Page, Queries, QueryError};

/// What there is of a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stock {
    /// Of what.
    pub sku: String,
    /// How many are in the house, held or not.
    pub on_hand: u64,
    /// How many of those are held for orders.
    pub reserved: u64,
    /// How many can still be reserved.
    pub available: u64,
    /// When its last event was recorded.
    pub updated_at: Instant,
    /// The revision of its stream.
    pub revision: u64,
}

/// Some stock that is or was held for an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// For whom.
    pub order: Uuid,
    /// Of what.
    pub sku: String,
    /// How many.
    pub quantity: u64,
    /// When the hold lapses.
    pub expires_at: Instant,
    /// Where it stands: held, released or committed.
    pub status: String,
    /// Why it was released: cancelled, paymentFailed or expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The revision of the SKU's stream that it is of.
    pub revision: u64,
}

impl FromRow for Stock {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let (on_hand, reserved) = (row.count("on_hand")?, row.count("reserved")?);
        Ok(Self {
            sku: row.text("sku")?,
            on_hand,
            reserved,
            available: on_hand.saturating_sub(reserved),
            updated_at: row.instant("updated_at")?,
            revision: row.count("revision")?,
        })
    }
}

impl FromRow for Reservation {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            order: row.id("order_id")?,
            sku: row.text("sku")?,
            quantity: row.count("quantity")?,
            expires_at: row.instant("expires_at")?,
            status: row.text("status")?,
            reason: row.maybe_text("reason")?,
            revision: row.count("revision")?,
        })
    }
}

impl Queries {
    /// What there is of a SKU.
    ///
    /// # Errors
    /// The read models cannot be read.
    pub async fn stock(&self, sku: &str) -> Result<Option<Stock>, QueryError> {
        one(self.of("stock"), query("SELECT * FROM stock WHERE sku = $1").bind(sku)).await
    }

    /// What is held of a SKU, by order.
    ///
    /// # Errors
    /// The cursor is not one of this list, or the read models cannot be read.
    pub async fn reservations(
        &self,
        sku: &str,
        cursor: Option<&Cursor>,
        limit: Limit,
    ) -> Result<Page<Reservation>, QueryError> {
        let list = format!("reservations-{sku}");
        let after: String = cursor.map_or(Ok(String::new()), |cursor| cursor.key(&list))?;
        let page = "SELECT * FROM reservations WHERE sku = $1 AND status = 'held' \
                    AND order_id > $2 ORDER BY order_id LIMIT $3";
        let page = query(page).bind(sku).bind(after).bind(limit.and_one());
        let held = many(self.of("stock"), page).await?;
        Ok(Page::new(held, limit, |held: &Reservation| Cursor::new(&list, &held.order)))
    }

    /// What is or was held for an order, by SKU.
    ///
    /// # Errors
    /// The read models cannot be read.
    pub async fn reservations_of(&self, order: Uuid) -> Result<Vec<Reservation>, QueryError> {
        let held = "SELECT * FROM reservations WHERE order_id = $1 ORDER BY sku";
        many(self.of("stock"), query(held).bind(order)).await
    }
}
