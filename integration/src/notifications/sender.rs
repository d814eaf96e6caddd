use std::time::Duration;

use daybook_database::{Error, Executor, Pool, Row, micros, now, query};
use minijinja::Environment;
use prometheus::{IntCounterVec, Registry};
use serde_json::Value;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::channel::{Channel, ChannelError, Channels, Medium, Outgoing};
use super::template::{render, templates};
use crate::database::without_nul;
use crate::discarded::{DELIVERY, Discarded, keep};
use crate::metrics::delivery_attempts;

/// Most notifications of one round.
const ROUND: i64 = 32;

/// How long a notification that is being sent is kept from others: longer than a channel may take.
const CLAIM: Duration = Duration::from_mins(1);

/// How notifications are sent.
#[derive(Debug, Clone)]
pub struct SenderOptions {
    /// By which channels.
    pub channels: Channels,
    /// How often a notification is tried before it counts as failed.
    pub attempts: i64,
    /// The first pause after a failure; it doubles up to an hour.
    pub backoff: Duration,
    /// How often it looks whether something is due.
    pub interval: Duration,
    /// Where metrics are registered.
    pub metrics: Registry,
}

impl Default for SenderOptions {
    fn default() -> Self {
        Self {
            channels: Channels::default(),
            attempts: 10,
            backoff: Duration::from_secs(1),
            interval: Duration::from_millis(500),
            metrics: prometheus::default_registry().clone(),
        }
    }
}

/// Sends what is due. Any number may work at the same database.
#[derive(Debug)]
pub struct Sender {
    pool: Pool,
    options: SenderOptions,
    templates: Environment<'static>,
    attempts: IntCounterVec,
}

/// A notification that is due, and its customer, as far as they are known.
struct Due {
    id: Uuid,
    order: String,
    kind: String,
    medium: Medium,
    facts: String,
    attempts: i64,
    at: i64,
    customer: Option<Customer>,
}

struct Customer {
    name: String,
    email: Option<String>,
    closed: bool,
    /// What they said of the medium, if anything.
    wanted: Option<bool>,
    address: Option<String>,
}

/// What became of a notification.
enum Outcome {
    Sent(Outgoing),
    /// The customer does not want it; without an address there is nothing to keep.
    Unwanted {
        keep: bool,
    },
    Failed(Option<Outgoing>, ChannelError),
}

impl Sender {
    /// A sender with the templates in the box.
    ///
    /// # Errors
    /// The metrics cannot be registered.
    pub fn new(pool: Pool, options: SenderOptions) -> Result<Self, prometheus::Error> {
        let attempts = delivery_attempts(&options.metrics)?;
        Ok(Self { pool, options, templates: templates(), attempts })
    }

    /// Works until it is shut down; what is being sent then is finished.
    pub async fn run(self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let sent = match self.round(&shutdown).await {
                Ok(sent) => sent,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "notifications wait for the database");
                    0
                }
            };
            if sent == 0 {
                let _ = timeout(self.options.interval, shutdown.cancelled()).await;
            }
        }
    }

    /// Sends what is due; says how many there were.
    async fn round(&self, shutdown: &CancellationToken) -> Result<usize, Error> {
        let due = due(&self.pool).await?;
        for notification in &due {
            if shutdown.is_cancelled() {
                break;
            }
            if self.claim(notification).await? {
                let outcome = self.deliver(notification).await;
                self.note(notification, outcome).await?;
            }
        }
        Ok(due.len())
    }

    /// Keeps others from sending the same.
    async fn claim(&self, due: &Due) -> Result<bool, Error> {
        let mut tx = self.pool.begin().await?;
        let claim = query(
            "UPDATE notifications SET due_at = $1, attempts = attempts + 1 \
             WHERE id = $2 AND status = 'pending' AND due_at = $3 AND attempts = $4",
        );
        let claim = claim.bind(now() + micros(CLAIM)).bind(due.id).bind(due.at);
        let claimed = tx.execute(claim.bind(due.attempts)).await? == 1;
        tx.commit().await?;
        Ok(claimed)
    }

    async fn deliver(&self, due: &Due) -> Outcome {
        let Some(customer) = &due.customer else {
            let error = "the customer is not known yet".to_owned();
            return Outcome::Failed(None, ChannelError::Unavailable(error));
        };
        let address = match (due.medium, &customer.address) {
            (_, Some(address)) => Some(address),
            (Medium::Email, None) => customer.email.as_ref(),
            _ => None,
        };
        let wanted = customer.wanted.unwrap_or(due.medium == Medium::Email) && !customer.closed;
        let Some(address) = address.filter(|_| wanted) else {
            return Outcome::Unwanted { keep: due.medium == Medium::Email };
        };
        let outgoing = match self.write(due, &customer.name, address) {
            Ok(outgoing) => outgoing,
            Err(error) => {
                return Outcome::Failed(None, ChannelError::Refused(error.to_string()));
            }
        };
        match self.options.channels.of(due.medium).send(&outgoing).await {
            Ok(()) => Outcome::Sent(outgoing),
            Err(error) => Outcome::Failed(Some(outgoing), error),
        }
    }

    fn write(&self, due: &Due, name: &str, address: &str) -> Result<Outgoing, minijinja::Error> {
        let mut facts: Value = serde_json::from_str(&due.facts).unwrap_or_default();
        facts["name"] = name.into();
        facts["order"] = due.order.as_str().into();
        let (subject, body) = render(&self.templates, &due.kind, &facts)?;
        Ok(Outgoing { id: due.id, medium: due.medium, address: address.to_owned(), subject, body })
    }

    /// Writes down what became of a notification.
    async fn note(&self, due: &Due, outcome: Outcome) -> Result<(), Error> {
        let attempts = due.attempts + 1;
        let (status, outgoing, error) = match outcome {
            Outcome::Unwanted { keep: false } => return self.forget(due.id).await,
            Outcome::Unwanted { keep: true } => ("unwanted", None, None),
            Outcome::Sent(outgoing) => ("sent", Some(outgoing), None),
            Outcome::Failed(outgoing, error) => {
                let is_over =
                    matches!(error, ChannelError::Refused(_)) || attempts >= self.options.attempts;
                (if is_over { "failed" } else { "pending" }, outgoing, Some(error.to_string()))
            }
        };
        self.attempts.with_label_values(&[due.medium.name(), status]).inc();
        if let Some(error) = &error {
            tracing::warn!(notification = %due.id, status, error, "a notification was not sent");
        }
        let doublings = u32::try_from(due.attempts).unwrap_or(u32::MAX).min(16);
        let pause = (self.options.backoff * 2_u32.pow(doublings)).min(Duration::from_hours(1));
        let via = outgoing.as_ref().map_or("", |_| self.options.channels.of(due.medium).name());
        let text = |of: fn(&Outgoing) -> &String| outgoing.as_ref().map_or("", |out| of(out));
        let note = query(
            "UPDATE notifications SET status = $1, via = NULLIF($2, ''), address = NULLIF($3, ''), \
             subject = NULLIF($4, ''), body = NULLIF($5, ''), error = NULLIF($6, ''), due_at = $7, \
             updated_at = $8 WHERE id = $9",
        )
        .bind(status)
        .bind(via)
        .bind(text(|out| &out.address))
        .bind(text(|out| &out.subject))
        .bind(text(|out| &out.body))
        .bind(without_nul(&error.unwrap_or_default()))
        .bind(now() + micros(pause))
        .bind(now())
        .bind(due.id);
        let mut tx = self.pool.begin().await?;
        tx.execute(note).await?;
        tx.commit().await
    }

    async fn forget(&self, id: Uuid) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        tx.execute(query("DELETE FROM notifications WHERE id = $1").bind(id)).await?;
        tx.commit().await
    }
}

/// Has a notification that failed sent once more. `false`: there is none of this id that failed.
///
/// # Errors
/// The database failed.
pub async fn retry(pool: &Pool, id: Uuid) -> Result<bool, Error> {
    let retry = query(
        "UPDATE notifications SET status = 'pending', attempts = 0, due_at = $1 \
         WHERE id = $2 AND status = 'failed'",
    );
    let mut tx = pool.begin().await?;
    let retried = tx.execute(retry.bind(now()).bind(id)).await? == 1;
    tx.commit().await?;
    Ok(retried)
}

/// A notification that failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedNotification {
    /// Its id.
    pub id: Uuid,
    /// The order that it is about.
    pub order: String,
    /// The type of the event that it tells of.
    pub kind: String,
    /// By which means it was to be sent.
    pub channel: String,
    /// To whom, if that was known.
    pub address: Option<String>,
    /// What it says, if it came to that.
    pub body: Option<String>,
    /// Why it failed.
    pub error: String,
    /// How often it was tried.
    pub attempts: u64,
    /// When it was tried last: microseconds since 1970-01-01T00:00:00Z.
    pub failed_at: i64,
}

/// What could not be sent and was not given up, oldest first.
///
/// # Errors
/// The database failed.
pub async fn failed(pool: &Pool) -> Result<Vec<FailedNotification>, Error> {
    let failed =
        query("SELECT * FROM notifications WHERE status = 'failed' ORDER BY created_at, id");
    pool.fetch_all(failed).await?.iter().map(notification).collect()
}

fn notification(row: &Row) -> Result<FailedNotification, Error> {
    let text = |name| Ok::<_, Error>(row.maybe_str(name)?.map(str::to_owned));
    Ok(FailedNotification {
        id: Uuid::try_parse(row.str("id")?).map_err(|_| broken("id"))?,
        order: row.str("order_id")?.to_owned(),
        kind: row.str("kind")?.to_owned(),
        channel: row.str("channel")?.to_owned(),
        address: text("address")?,
        body: text("body")?,
        error: text("error")?.unwrap_or_default(),
        attempts: row.i64("attempts")?.cast_unsigned(),
        failed_at: row.i64("updated_at")?,
    })
}

/// Gives a notification that failed up. Why, and who did it, is [kept](fn@crate::discarded). `false`:
/// there is none of this id that failed.
///
/// # Errors
/// The database failed.
pub async fn give_up(pool: &Pool, id: Uuid, reason: &str, by: &str) -> Result<bool, Error> {
    let mut tx = pool.begin().await?;
    let failed = "SELECT * FROM notifications WHERE id = $1 AND status = 'failed'";
    let Some(failed) = tx.fetch_optional(query(failed).bind(id)).await? else { return Ok(false) };
    let FailedNotification { order, kind, error, .. } = notification(&failed)?;
    let discarded = Discarded {
        id,
        owner: DELIVERY.to_owned(),
        key: format!("order-{order}"),
        kind,
        error,
        reason: reason.to_owned(),
        by: by.to_owned(),
        at: now(),
    };
    keep(&mut tx, &discarded).await?;
    let discard = "UPDATE notifications SET status = 'discarded', error = $1, updated_at = $2 \
                   WHERE id = $3 AND status = 'failed'";
    let discard = query(discard).bind(without_nul(reason)).bind(discarded.at).bind(id);
    let given_up = tx.execute(discard).await? == 1;
    tx.commit().await?;
    Ok(given_up)
}

fn broken(what: &str) -> Error {
    Error::Decode(format!("the {what} of a notification is malformed").into())
}

/// What is due and waits for no earlier one of its order.
async fn due(pool: &Pool) -> Result<Vec<Due>, Error> {
    let due = query(
        "SELECT n.id, n.order_id, n.kind, n.channel, n.facts, n.attempts, n.due_at, \
         c.name, c.email, c.closed, p.wanted, p.address FROM notifications n \
         LEFT JOIN notification_orders o ON o.order_id = n.order_id \
         LEFT JOIN notification_customers c ON c.customer_id = o.customer_id \
         LEFT JOIN notification_preferences p \
         ON p.customer_id = o.customer_id AND p.channel = n.channel \
         WHERE n.status = 'pending' AND n.due_at <= $1 AND NOT EXISTS (\
         SELECT 1 FROM notifications e WHERE e.order_id = n.order_id AND e.channel = n.channel \
         AND e.revision < n.revision AND e.status = 'pending') ORDER BY n.due_at LIMIT $2",
    );
    let rows = pool.fetch_all(due.bind(now()).bind(ROUND)).await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Due, Error> {
    let text = |name| Ok::<_, Error>(row.maybe_str(name)?.map(str::to_owned));
    let customer = match text("name")? {
        None => None,
        Some(name) => Some(Customer {
            name,
            email: text("email")?,
            closed: row.bool("closed")?,
            wanted: row.maybe_bool("wanted")?,
            address: text("address")?,
        }),
    };
    Ok(Due {
        id: Uuid::try_parse(row.str("id")?).map_err(|_| broken("id"))?,
        order: row.str("order_id")?.to_owned(),
        kind: row.str("kind")?.to_owned(),
        medium: Medium::of(row.str("channel")?).ok_or_else(|| broken("channel"))?,
        facts: row.str("facts")?.to_owned(),
        attempts: row.i64("attempts")?,
        at: row.i64("due_at")?,
        customer,
    })
}
