use std::time::Duration;

use daybook_database::{Error, Pool, micros, now};
use minijinja::Environment;
use prometheus::{IntCounterVec, Registry};
use serde_json::Value;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::channel::{Channel, ChannelError, Channels, Medium, Outgoing};
use super::outbox::{Due, Outbox, Settled};
use super::template::{render, templates};
use crate::metrics::delivery_attempts;

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
pub struct Sender(Worker<Pool>);

impl Sender {
    /// A sender with the templates in the box.
    ///
    /// # Errors
    /// The metrics cannot be registered.
    pub fn new(pool: Pool, options: SenderOptions) -> Result<Self, prometheus::Error> {
        Worker::new(pool, options).map(Self)
    }

    /// Works until it is shut down; what is being sent then is finished.
    pub async fn run(self, shutdown: CancellationToken) {
        self.0.run(shutdown).await;
    }
}

#[derive(Debug)]
struct Worker<O> {
    outbox: O,
    options: SenderOptions,
    templates: Environment<'static>,
    attempts: IntCounterVec,
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

impl<O: Outbox> Worker<O> {
    fn new(outbox: O, options: SenderOptions) -> Result<Self, prometheus::Error> {
        let attempts = delivery_attempts(&options.metrics)?;
        Ok(Self { outbox, options, templates: templates(), attempts })
    }

    async fn run(self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let sent = match self.round(&shutdown).await {
                Ok(sent) => sent,
                Err(error) => {
                    waits(&error);
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
        let due = self.outbox.due().await?;
        for notification in &due {
            if shutdown.is_cancelled() {
                break;
            }
            let until = now() + micros(CLAIM);
            if self.claim(notification, until, shutdown).await? {
                let outcome = self.deliver(notification).await;
                let settled = self.settled(notification, outcome);
                let settle = || self.outbox.settle(notification, until, &settled);
                self.insist(until, shutdown, settle).await?;
            }
        }
        Ok(due.len())
    }

    /// Keeps others from sending the same. Where the database failed, it may know of the claim or
    /// not: that is found out once it is back.
    async fn claim(
        &self,
        due: &Due,
        until: i64,
        shutdown: &CancellationToken,
    ) -> Result<bool, Error> {
        match self.outbox.claim(due, until).await {
            Err(error) => {
                waits(&error);
                self.insist(until, shutdown, || self.outbox.holds(due, until)).await
            }
            claimed => claimed,
        }
    }

    /// Does something about what is claimed, however often the database fails: until the claim
    /// lapses, and somebody else sends it.
    async fn insist<T, F: Future<Output = Result<T, Error>>>(
        &self,
        until: i64,
        shutdown: &CancellationToken,
        act: impl Fn() -> F,
    ) -> Result<T, Error> {
        loop {
            match act().await {
                Err(error) if now() < until && !shutdown.is_cancelled() => waits(&error),
                done => return done,
            }
            let _ = timeout(self.options.interval, shutdown.cancelled()).await;
        }
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

    /// What is to be written down of what became of a notification.
    fn settled(&self, due: &Due, outcome: Outcome) -> Settled {
        let attempts = due.attempts + 1;
        let (status, outgoing, error) = match outcome {
            Outcome::Unwanted { keep: false } => return Settled::Forgotten,
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
        let via = self.options.channels.of(due.medium).name();
        let sent = outgoing.map(|outgoing| (via, outgoing));
        Settled::Kept { status, sent, error, due_at: now() + micros(pause) }
    }
}

fn waits(error: &Error) {
    let error = error as &dyn std::error::Error;
    tracing::warn!(error, "notifications wait for the database");
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use daybook_database::{Executor, Limits, query, testing};
    use tempfile::TempDir;
    use uuid::Uuid;

    use super::*;
    use crate::database::open;

    const ID: Uuid = Uuid::from_u128(1);

    /// A database that does what it is told, and says of some of it that it failed.
    struct Faulty {
        pool: Pool,
        faults: AtomicU32,
        /// Of claims rather than of what becomes of them.
        of_claims: bool,
    }

    impl Faulty {
        fn fails(&self, is_claim: bool) -> bool {
            let left = |left: u32| left.checked_sub(1);
            is_claim == self.of_claims
                && self.faults.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok()
        }
    }

    fn fault() -> Error {
        Error::Protocol("the connection was lost".into())
    }

    impl Outbox for Faulty {
        async fn due(&self) -> Result<Vec<Due>, Error> {
            self.pool.due().await
        }

        async fn claim(&self, due: &Due, until: i64) -> Result<bool, Error> {
            let claimed = self.pool.claim(due, until).await;
            if self.fails(true) { Err(fault()) } else { claimed }
        }

        async fn holds(&self, due: &Due, until: i64) -> Result<bool, Error> {
            if self.fails(true) { Err(fault()) } else { self.pool.holds(due, until).await }
        }

        async fn settle(&self, due: &Due, until: i64, settled: &Settled) -> Result<bool, Error> {
            if self.fails(false) {
                Err(fault())
            } else {
                self.pool.settle(due, until, settled).await
            }
        }
    }

    /// A database with an order's letter that is due.
    async fn given_a_letter(folder: &TempDir) -> Pool {
        let address = testing::prepare(folder.path(), "integration.db").await.unwrap();
        let pool = open(&address, &Limits::default()).await.unwrap();
        let mut tx = pool.begin().await.unwrap();
        for sql in [
            "INSERT INTO notification_customers (customer_id, revision, name, email, closed) \
             VALUES ('ada', 0, 'Ada', 'ada@example.org', FALSE)",
            "INSERT INTO notification_orders (order_id, customer_id) VALUES ('o', 'ada')",
        ] {
            tx.execute(query(sql)).await.unwrap();
        }
        let letter = "INSERT INTO notifications (id, event_id, order_id, revision, kind, channel, \
                      facts, status, attempts, due_at, created_at, updated_at) \
                      VALUES ($1, $1, 'o', 0, 'OrderConfirmed', 'email', '{}', 'pending', 0, 1, 1, 1)";
        tx.execute(query(letter).bind(ID)).await.unwrap();
        tx.commit().await.unwrap();
        pool
    }

    /// Status and attempts of the letter.
    async fn letter(pool: &Pool) -> (String, i64) {
        let row = "SELECT status, attempts FROM notifications WHERE id = $1";
        let row = pool.fetch_optional(query(row).bind(ID)).await.unwrap().unwrap();
        (row.str(0).unwrap().to_owned(), row.i64(1).unwrap())
    }

    fn options() -> SenderOptions {
        let interval = Duration::from_millis(1);
        SenderOptions { interval, metrics: Registry::new(), ..SenderOptions::default() }
    }

    #[tokio::test]
    async fn what_was_sent_is_written_down_once_the_database_is_back() {
        for of_claims in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let pool = given_a_letter(&folder).await;
            let outbox = Faulty { pool: pool.clone(), faults: AtomicU32::new(3), of_claims };
            let sender = Worker::new(outbox, options()).unwrap();

            assert_eq!(sender.round(&CancellationToken::new()).await.unwrap(), 1);

            assert_eq!(sender.outbox.faults.load(Ordering::Relaxed), 0);
            assert_eq!(letter(&pool).await, ("sent".into(), 1), "of claims: {of_claims}");
            assert_eq!(sender.attempts.with_label_values(&["email", "sent"]).get(), 1);
        }
    }

    #[tokio::test]
    async fn a_claim_that_somebody_else_has_by_now_writes_nothing_down() {
        let folder = tempfile::tempdir().unwrap();
        let pool = given_a_letter(&folder).await;
        let due = pool.due().await.unwrap().remove(0);
        assert!(pool.claim(&due, 2).await.unwrap());
        let later = pool.due().await.unwrap().remove(0);
        assert!(pool.claim(&later, i64::MAX).await.unwrap());

        assert!(!pool.holds(&due, 2).await.unwrap());
        assert!(!pool.settle(&due, 2, &Settled::Forgotten).await.unwrap());

        assert_eq!(letter(&pool).await, ("pending".into(), 2));
        assert!(pool.settle(&later, i64::MAX, &Settled::Forgotten).await.unwrap());
        assert!(pool.due().await.unwrap().is_empty());
    }
}
