//! What the consumers of integration events have made: the history of notifications, and the
//! figures of analytics.

use chrono::NaiveDate;
use daybook_database::{Address, AssertSqlSafe, Error, Limits, Pool, Row, query};
use serde::Serialize;

use crate::queries::reader;
use crate::row::{Columns, FromRow, many};
use crate::{Instant, Money, QueryError};

/// Most minutes or days of one answer.
const MOST: i64 = 3_660;

const MINUTES_A_DAY: i64 = 1_440;

/// Asks what the consumers have made.
#[derive(Debug, Clone)]
pub struct Outcomes {
    pool: Pool,
}

/// Something that a customer was to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Its id.
    pub id: String,
    /// The order that it is about.
    pub order: String,
    /// The type of the event that it tells of.
    pub kind: String,
    /// By which means: email, sms, push.
    pub channel: String,
    /// pending, sent, unwanted, failed or discarded.
    pub status: String,
    /// What it was handed to: sink (nobody was told), smtp, http.
    pub via: Option<String>,
    /// To whom.
    pub address: Option<String>,
    /// What it is about.
    pub subject: Option<String>,
    /// All of it.
    pub body: Option<String>,
    /// Why the last attempt failed, or why it was given up.
    pub error: Option<String>,
    /// How often it was tried.
    pub attempts: u64,
    /// When its event was taken in.
    pub created_at: Instant,
    /// When its status changed last.
    pub updated_at: Instant,
}

impl FromRow for Notification {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.text("id")?,
            order: row.text("order_id")?,
            kind: row.text("kind")?,
            channel: row.text("channel")?,
            status: row.text("status")?,
            via: row.maybe_text("via")?,
            address: row.maybe_text("address")?,
            subject: row.maybe_text("subject")?,
            body: row.maybe_text("body")?,
            error: row.maybe_text("error")?,
            attempts: row.count("attempts")?,
            created_at: row.instant("created_at")?,
            updated_at: row.instant("updated_at")?,
        })
    }
}

/// How finely figures are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// By the minute.
    Minute,
    /// By the day, in UTC.
    Day,
}

impl Step {
    fn minutes(self) -> i64 {
        match self {
            Self::Minute => 1,
            Self::Day => MINUTES_A_DAY,
        }
    }
}

/// What a minute or a day came to in one currency, by the business's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// When it began.
    pub from: Instant,
    /// Orders placed.
    pub placed: u64,
    /// Orders paid, whenever they were placed.
    pub paid: u64,
    /// Orders paid for each that was placed in the same time; none where none was placed.
    pub conversion: Option<String>,
    /// What was paid.
    pub revenue: Money,
    /// What went back.
    pub refunded: Money,
}

/// How many orders were cancelled for a reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cancellations {
    /// outOfStock, paymentDeclined, reservationExpired, customerRequest or operator.
    pub reason: String,
    /// How many.
    pub orders: u64,
}

/// What was ordered of a product in one currency, whatever became of the orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProductDemand {
    /// Of what.
    pub sku: String,
    /// How many pieces.
    pub quantity: u64,
    /// What they came to.
    pub amount: Money,
}

/// What some days came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Each minute or day in which something happened.
    pub figures: Vec<Figures>,
    /// By reason, the most frequent first.
    pub cancellations: Vec<Cancellations>,
    /// The products that came to most, at most ten of each currency.
    pub top_products: Vec<ProductDemand>,
}

impl FromRow for Figures {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let (placed, paid) = (row.count("placed")?, row.count("paid")?);
        let ratio = |placed: u64| u128::from(paid) * 1_000 / u128::from(placed);
        let conversion = (placed > 0).then(|| ratio(placed));
        Ok(Self {
            from: Instant::from_micros(row.int("minute")?.saturating_mul(60_000_000)),
            placed,
            paid,
            conversion: conversion.map(|per| format!("{}.{:03}", per / 1_000, per % 1_000)),
            revenue: row.money("revenue")?,
            refunded: Money { amount: row.int("refunded")?, currency: row.text("currency")? },
        })
    }
}

impl Figures {
    /// Sums columns of a type as wide as they are.
    const SUMS: &'static str = "CAST(sum(placed) AS BIGINT) AS placed, \
        CAST(sum(paid) AS BIGINT) AS paid, CAST(sum(revenue) AS BIGINT) AS revenue, \
        CAST(sum(refunded) AS BIGINT) AS refunded";
}

impl FromRow for Cancellations {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self { reason: row.text("reason")?, orders: row.count("orders")? })
    }
}

impl FromRow for ProductDemand {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let (sku, quantity) = (row.text("sku")?, row.count("quantity")?);
        Ok(Self { sku, quantity, amount: row.money("amount")? })
    }
}

impl Outcomes {
    /// Asks the database at an address, whose tables the consumers make. Until they have, every
    /// question is answered with [`QueryError::Unavailable`].
    ///
    /// # Errors
    /// The address makes no sense.
    pub fn open(address: &Address, limits: &Limits) -> Result<Self, QueryError> {
        Ok(Self { pool: reader(address, limits)? })
    }

    /// The last notifications, newest first: of an order and with a status, where these are given.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn notifications(
        &self,
        order: Option<&str>,
        status: Option<&str>,
        most: u32,
    ) -> Result<Vec<Notification>, QueryError> {
        let last = "SELECT * FROM notifications WHERE ($1 = '' OR order_id = $1) \
                    AND ($2 = '' OR status = $2) ORDER BY created_at DESC, revision DESC, id LIMIT $3";
        let last = query(last).bind(order.unwrap_or_default()).bind(status.unwrap_or_default());
        many(&self.pool, last.bind(i64::from(most))).await
    }

    /// What the days from one to another came to, both included.
    ///
    /// # Errors
    /// The range is empty, or too long at this step; or the tables cannot be read.
    pub async fn report(
        &self,
        from: NaiveDate,
        to: NaiveDate,
        step: Step,
    ) -> Result<Report, QueryError> {
        let days = (to - from).num_days() + 1;
        let max = if step == Step::Day { MOST } else { MOST / 1_440 };
        if !(1..=max).contains(&days) {
            return Err(QueryError::Range { max, days });
        }
        let first = (from - NaiveDate::default()).num_days();
        let (minute, past) = (first * MINUTES_A_DAY, (first + days) * MINUTES_A_DAY);
        // Whole steps, also before 1970.
        let figures = format!(
            "SELECT (minute - ((minute % $1) + $1) % $1) AS minute, currency, {} \
             FROM analytics_minutes WHERE minute >= $2 AND minute < $3 \
             GROUP BY (minute - ((minute % $1) + $1) % $1), currency ORDER BY 1, 2",
            Figures::SUMS
        );
        let figures = query(AssertSqlSafe(figures)).bind(step.minutes()).bind(minute).bind(past);
        let cancellations = query(
            "SELECT reason, CAST(sum(orders) AS BIGINT) AS orders FROM analytics_cancellations \
             WHERE minute >= $1 AND minute < $2 GROUP BY reason ORDER BY 2 DESC, 1",
        );
        let products = query(
            "SELECT * FROM (SELECT sku, currency, CAST(sum(quantity) AS BIGINT) AS quantity, \
             CAST(sum(amount) AS BIGINT) AS amount, row_number() OVER (PARTITION BY currency \
             ORDER BY sum(amount) DESC, sku) AS place FROM analytics_products \
             WHERE day >= $1 AND day < $2 GROUP BY sku, currency) AS ranked \
             WHERE place <= 10 ORDER BY currency, place",
        );
        Ok(Report {
            figures: many(&self.pool, figures).await?,
            cancellations: many(&self.pool, cancellations.bind(minute).bind(past)).await?,
            top_products: many(&self.pool, products.bind(first).bind(first + days)).await?,
        })
    }
}
