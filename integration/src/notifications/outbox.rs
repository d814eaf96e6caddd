//! Where notifications wait, and what becomes of them is written down.

use daybook_database::{Error, Executor, Pool, Row, now, query};
use uuid::Uuid;

use super::channel::{Medium, Outgoing};
use crate::database::without_nul;

/// Most notifications of one round.
const ROUND: i64 = 32;

/// A notification that is due, and its customer, as far as they are known.
pub(super) struct Due {
    pub(super) id: Uuid,
    pub(super) order: String,
    pub(super) kind: String,
    pub(super) medium: Medium,
    pub(super) facts: String,
    pub(super) attempts: i64,
    pub(super) at: i64,
    pub(super) customer: Option<Customer>,
}

pub(super) struct Customer {
    pub(super) name: String,
    pub(super) email: Option<String>,
    pub(super) closed: bool,
    /// What they said of the medium, if anything.
    pub(super) wanted: Option<bool>,
    pub(super) address: Option<String>,
}

/// What became of a notification.
pub(super) enum Settled {
    /// Nobody wants it, and nothing of it is kept.
    Forgotten,
    /// It is in the history.
    Kept {
        /// As the history calls it; a `pending` one is tried again.
        status: &'static str,
        /// By which channel and what was sent, if it came to that.
        sent: Option<(&'static str, Outgoing)>,
        /// What went wrong.
        error: Option<String>,
        /// When it is due again: microseconds since 1970-01-01T00:00:00Z.
        due_at: i64,
    },
}

/// Where notifications wait to be sent. Any number of senders may work at the same.
pub(super) trait Outbox: Send + Sync + 'static {
    /// What is due and waits for no earlier one of its order.
    fn due(&self) -> impl Future<Output = Result<Vec<Due>, Error>> + Send;

    /// Keeps others from sending the same until an instant. `false`: somebody else does.
    fn claim(&self, due: &Due, until: i64) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Whether a claim was made, and nothing has come of it yet.
    fn holds(&self, due: &Due, until: i64) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Writes down what became of what was claimed. `false`: it was before, or the claim has lapsed
    /// and somebody else sends it.
    fn settle(
        &self,
        due: &Due,
        until: i64,
        settled: &Settled,
    ) -> impl Future<Output = Result<bool, Error>> + Send;
}

impl Outbox for Pool {
    async fn due(&self) -> Result<Vec<Due>, Error> {
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
        let rows = self.fetch_all(due.bind(now()).bind(ROUND)).await?;
        rows.iter().map(read).collect()
    }

    async fn claim(&self, due: &Due, until: i64) -> Result<bool, Error> {
        let claim = query(
            "UPDATE notifications SET due_at = $1, attempts = attempts + 1 \
             WHERE id = $2 AND status = 'pending' AND due_at = $3 AND attempts = $4",
        );
        let mut tx = self.begin().await?;
        let claim = claim.bind(until).bind(due.id).bind(due.at).bind(due.attempts);
        let claimed = tx.execute(claim).await? == 1;
        tx.commit().await?;
        Ok(claimed)
    }

    async fn holds(&self, due: &Due, until: i64) -> Result<bool, Error> {
        let claimed = query(
            "SELECT id FROM notifications \
             WHERE id = $1 AND status = 'pending' AND due_at = $2 AND attempts = $3",
        );
        let claimed = claimed.bind(due.id).bind(until).bind(due.attempts + 1);
        Ok(self.fetch_optional(claimed).await?.is_some())
    }

    async fn settle(&self, due: &Due, until: i64, settled: &Settled) -> Result<bool, Error> {
        let settle = match settled {
            Settled::Forgotten => query(
                "DELETE FROM notifications \
                 WHERE id = $1 AND status = 'pending' AND due_at = $2 AND attempts = $3",
            )
            .bind(due.id)
            .bind(until)
            .bind(due.attempts + 1),
            Settled::Kept { status, sent, error, due_at } => {
                let via = sent.as_ref().map_or("", |(via, _)| via);
                let text =
                    |of: fn(&Outgoing) -> &String| sent.as_ref().map_or("", |(_, out)| of(out));
                query(
                    "UPDATE notifications SET status = $4, via = NULLIF($5, ''), \
                     address = NULLIF($6, ''), subject = NULLIF($7, ''), body = NULLIF($8, ''), \
                     error = NULLIF($9, ''), due_at = $10, updated_at = $11 \
                     WHERE id = $1 AND status = 'pending' AND due_at = $2 AND attempts = $3",
                )
                .bind(due.id)
                .bind(until)
                .bind(due.attempts + 1)
                .bind(*status)
                .bind(via)
                .bind(text(|out| &out.address))
                .bind(text(|out| &out.subject))
                .bind(text(|out| &out.body))
                .bind(without_nul(error.as_deref().unwrap_or_default()))
                .bind(*due_at)
                .bind(now())
            }
        };
        let mut tx = self.begin().await?;
        let is_settled = tx.execute(settle).await? == 1;
        tx.commit().await?;
        Ok(is_settled)
    }
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

/// A column of a notification says what none can.
pub(super) fn broken(what: &str) -> Error {
    Error::Decode(format!("the {what} of a notification is malformed").into())
}
