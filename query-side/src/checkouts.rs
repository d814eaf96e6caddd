use daybook_database::{Error, Row, query};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::row::{Columns, FromRow, many, one};
use crate::{Cancellation, Instant, Limit, Queries, QueryError};

/// Where the checkout of an order stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Checkout {
    /// Of which order.
    pub order: Uuid,
    /// What it waits for (reserving, confirming, authorizing, capturing, markingPaid or
    /// compensating), or how it ended (settled, shipped or calledOff).
    pub stage: String,
    /// Reservations that were asked for and not answered.
    pub unanswered: u64,
    /// Reservations that were made and not released.
    pub held: u64,
    /// Why it is, or was, undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancellation: Option<Cancellation>,
    /// When it began.
    pub started_at: Instant,
    /// When it last did anything.
    pub updated_at: Instant,
    /// The revision of its stream.
    pub revision: u64,
}

impl FromRow for Checkout {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let (reason, detail) = (row.maybe_text("reason")?, row.maybe_text("detail")?);
        Ok(Self {
            order: row.id("order_id")?,
            stage: row.text("stage")?,
            unanswered: row.count("unanswered")?,
            held: row.count("held")?,
            cancellation: reason.map(|reason| Cancellation { reason, detail }),
            started_at: row.instant("started_at")?,
            updated_at: row.instant("updated_at")?,
            revision: row.count("revision")?,
        })
    }
}

impl Queries {
    /// The checkout of an order.
    ///
    /// # Errors
    /// The read models cannot be read.
    pub async fn checkout(&self, order: Uuid) -> Result<Option<Checkout>, QueryError> {
        let checkout = "SELECT * FROM checkouts WHERE order_id = $1";
        one(self.of("checkouts"), query(checkout).bind(order)).await
    }

    /// Checkouts that still have something to do, the longest silent first.
    ///
    /// # Errors
    /// The read models cannot be read.
    pub async fn open_checkouts(&self, limit: Limit) -> Result<Vec<Checkout>, QueryError> {
        let open = "SELECT * FROM checkouts WHERE stage NOT IN ('settled', 'shipped', 'calledOff') \
                    ORDER BY updated_at LIMIT $1";
        many(self.of("checkouts"), query(open).bind(limit.get())).await
    }
}
