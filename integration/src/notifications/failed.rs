//! Notifications that could not be sent, sent again or given up.

use daybook_database::{Error, Executor, Pool, Row, now, query};
use uuid::Uuid;

use super::outbox::broken;
use crate::database::without_nul;
use crate::discarded::{DELIVERY, Discarded, keep};

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
