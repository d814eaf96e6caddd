//! Consumers: what they are, and the one way in which all of them run.

use std::time::Duration;

use daybook_database::{Error, Pool, Tx, chain, is_refusal, now};
use daybook_event_schemas::integration::{ReceiveError, parse_type};
use daybook_event_schemas::{DecodeError, DomainEvent, Envelope, parse_timestamp};
use thiserror::Error;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::dead_letters::{Redo, consume, held, lay_down};
use crate::feed::{Feed, FeedError, Message};
use crate::metrics::ConsumerMetrics;

/// Why a consumer could not take an event.
#[derive(Debug, Error)]
pub enum HandleError {
    /// The database failed, or refused what the event says.
    #[error("the database failed")]
    Sql(#[from] Error),
    /// The event makes no sense here, or not yet.
    #[error("{0}")]
    Refused(String),
}

/// Somebody who does something with events. It is given each once, whatever the feed repeats, and
/// those of an aggregate in order.
pub trait Consumer: Send + Sync + 'static {
    /// The name of its group.
    const NAME: &'static str;
    /// The types of events that concern it.
    const KINDS: &'static [&'static str];

    /// Takes an event in. All that it does is in the transaction; if it fails, nothing was done.
    ///
    /// # Errors
    /// It is tried again, and set aside in the end.
    fn handle(
        &self,
        tx: &mut Tx,
        event: &Envelope<DomainEvent>,
    ) -> impl Future<Output = Result<(), HandleError>> + Send;
}

/// How consumers run.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// Most messages of one transaction.
    pub batch: usize,
    /// How often an event is tried before it is set aside.
    pub attempts: u32,
    /// The first pause after a failure; it doubles up to [`patience`](Self::patience).
    pub backoff: Duration,
    /// The longest pause.
    pub patience: Duration,
    /// Where metrics are registered.
    pub metrics: prometheus::Registry,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            batch: 500,
            attempts: 5,
            backoff: Duration::from_millis(100),
            patience: Duration::from_secs(10),
            metrics: prometheus::default_registry().clone(),
        }
    }
}

impl ConsumerOptions {
    fn pause(&self, attempt: u32) -> Duration {
        (self.backoff * 2_u32.saturating_pow(attempt.min(16))).min(self.patience)
    }
}

/// Why an event was not processed.
#[derive(Debug, Error)]
enum Failure {
    /// Trying again will not help.
    #[error(transparent)]
    Malformed(ReceiveError),
    /// Trying again may help.
    #[error(transparent)]
    Handle(#[from] HandleError),
}

/// Why a batch was not processed; it will be, once that is over.
#[derive(Debug, Error)]
enum Interrupted {
    #[error("the database failed")]
    Sql(#[from] Error),
    #[error(transparent)]
    Feed(#[from] FeedError),
}

/// What became of a message of a batch so far.
#[derive(Debug, Clone, Default)]
struct Fate {
    attempts: u32,
    /// Why it is set aside.
    dead: Option<String>,
}

/// Feeds a consumer until it is shut down. Failures of the feed and the database are waited out.
///
/// # Errors
/// The metrics cannot be registered.
pub async fn run<C: Consumer, F: Feed>(
    consumer: C,
    feed: F,
    pool: Pool,
    options: ConsumerOptions,
    shutdown: CancellationToken,
) -> Result<(), prometheus::Error> {
    let metrics = ConsumerMetrics::new(&options.metrics)?;
    let mut worker = Worker { consumer, feed, pool, options, metrics, shutdown };
    worker.work().await;
    worker.feed.close().await;
    Ok(())
}

struct Worker<C, F> {
    consumer: C,
    feed: F,
    pool: Pool,
    options: ConsumerOptions,
    metrics: ConsumerMetrics,
    shutdown: CancellationToken,
}

impl<C: Consumer, F: Feed> Worker<C, F> {
    async fn work(&mut self) {
        let shutdown = self.shutdown.clone();
        let mut failures = 0;
        while !shutdown.is_cancelled() {
            let next = tokio::select! {
                () = shutdown.cancelled() => return,
                next = self.feed.next(self.options.batch) => next,
            };
            let done = match next {
                Ok(messages) => self.take(&messages).await,
                Err(error) => Err(error.into()),
            };
            match done {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    self.wait_out(&error, failures).await;
                }
            }
        }
    }

    /// Processes a batch, however often the database fails meanwhile.
    async fn take(&mut self, messages: &[Message]) -> Result<(), Interrupted> {
        let mut failures = 0;
        while let Err(error) = self.process(messages).await {
            failures += 1;
            self.wait_out(&error, failures).await;
            if self.shutdown.is_cancelled() {
                return Ok(());
            }
        }
        self.feed.commit().await?;
        let label = &[C::NAME];
        self.metrics.events.with_label_values(label).inc_by(messages.len() as u64);
        let last = messages.last().and_then(|last| parse_timestamp(last.header("ce_time")?));
        let lag = last.map_or(0, |at| now() - at.as_micros()).max(0).cast_unsigned();
        let lag = Duration::from_micros(lag).as_secs_f64();
        self.metrics.lag.with_label_values(label).set(lag);
        Ok(())
    }

    async fn wait_out(&mut self, error: &Interrupted, failures: u32) {
        self.metrics.interruptions.with_label_values(&[C::NAME]).inc();
        tracing::warn!(
            consumer = C::NAME,
            error = error as &dyn std::error::Error,
            "a consumer was interrupted and will try again"
        );
        let _ = timeout(self.options.pause(failures), self.shutdown.cancelled()).await;
    }

    /// Processes a batch in one transaction, as often as it takes to find those that fail.
    async fn process(&mut self, messages: &[Message]) -> Result<(), Interrupted> {
        let mut fates = vec![Fate::default(); messages.len()];
        while let Some((at, failure)) = self.write(messages, &fates).await? {
            let fate = &mut fates[at];
            fate.attempts += 1;
            let is_hopeless = matches!(failure, Failure::Malformed(_));
            if is_hopeless || fate.attempts >= self.options.attempts {
                let error = chain(&failure);
                self.bury(&messages[at], &error).await?;
                fate.dead = Some(error);
            } else {
                self.metrics.retries.with_label_values(&[C::NAME]).inc();
                let pause = self.options.pause(fate.attempts);
                let _ = timeout(pause, self.shutdown.cancelled()).await;
            }
        }
        Ok(())
    }

    async fn bury(&mut self, message: &Message, error: &str) -> Result<(), FeedError> {
        self.feed.bury(message, error).await?;
        self.metrics.dead.with_label_values(&[C::NAME]).inc();
        tracing::warn!(
            consumer = C::NAME,
            topic = message.topic.name(),
            key = message.key,
            error,
            "a message was set aside; its key waits"
        );
        Ok(())
    }

    /// Processes a batch in one transaction, or finds the first message that fails.
    async fn write(
        &mut self,
        messages: &[Message],
        fates: &[Fate],
    ) -> Result<Option<(usize, Failure)>, Error> {
        if messages.is_empty() {
            return Ok(None);
        }
        let mut tx = self.pool.begin().await?;
        let mut held = held(&mut tx, C::NAME).await?;
        for (at, (message, fate)) in messages.iter().zip(fates).enumerate() {
            let key = (message.topic, message.key.clone());
            let concerns = concerns::<C>(message);
            if concerns && held.contains(&key) {
                lay_down(&mut tx, C::NAME, message, None, 0).await?;
            } else if let Some(error) = &fate.dead {
                let attempts = fate.attempts.into();
                lay_down(&mut tx, C::NAME, message, Some(error), attempts).await?;
                if !key.1.is_empty() {
                    held.insert(key);
                }
            } else if let Err(failure) = take_in(&self.consumer, &mut tx, message).await {
                return match failure {
                    Failure::Handle(HandleError::Sql(error)) if !is_refusal(&error) => Err(error),
                    failure => Ok(Some((at, failure))),
                };
            }
        }
        tx.commit().await?;
        Ok(None)
    }
}

/// Whether a message is of a type that a consumer wants, or of none that can be told.
fn concerns<C: Consumer>(message: &Message) -> bool {
    let kind = message.header("ce_type").and_then(parse_type);
    kind.is_none_or(|(kind, _)| C::KINDS.contains(&kind))
}

/// Processes a message, unless it does not concern the consumer or was processed before.
async fn take_in<C: Consumer>(consumer: &C, tx: &mut Tx, message: &Message) -> Result<(), Failure> {
    if !concerns::<C>(message) {
        return Ok(());
    }
    let event = match message.open() {
        Ok(Some(event)) => event,
        Ok(None) | Err(ReceiveError::Decode(DecodeError::UnknownKind { .. })) => return Ok(()),
        Err(error) => return Err(Failure::Malformed(error)),
    };
    if consume(tx, C::NAME, message).await.map_err(HandleError::Sql)? {
        consumer.handle(tx, &event).await?;
    }
    Ok(())
}

/// Takes dead letters of a consumer up again.
#[derive(Debug)]
pub struct Again<C>(pub C);

impl<C: Consumer> Redo for Again<C> {
    async fn redo(
        &mut self,
        tx: &mut Tx,
        message: &Message,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(take_in(&self.0, tx, message).await?)
    }
}
