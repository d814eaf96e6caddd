//! The relay: from the store's tail to Kafka's topics.

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::pin;
use std::time::Duration;

use daybook_database::{Error, Pool, Tx, chain, now};
use daybook_event_schemas::integration::{Topic, renew};
use daybook_event_schemas::{Contract, DomainEvent};
use daybook_event_store::{EventStore, Position, ReadError, Recorded, Store, Tailed};
use futures::future::{BoxFuture, ready};
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use rdkafka::error::KafkaError;
use thiserror::Error;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::dead_letters::{Key, Redo, held, lay_down};
use crate::feed::{Message, events};
use crate::follower::{Follower, Lease};
use crate::kafka::{Kafka, Producer, record};
use crate::metrics::RelayMetrics;

/// Its name among the followers of the store, and in the dead letters.
pub const RELAY: &str = "relay";

/// How often the checkpoint is written while events are on their way.
const CHECKPOINT: Duration = Duration::from_millis(200);

/// Room in a batch for what is said about each message.
const OVERHEAD: usize = 512;

/// How the relay runs.
#[derive(Debug, Clone)]
pub struct RelayOptions {
    /// Most messages on their way at a time.
    pub messages: usize,
    /// Most bytes on their way at a time; a single message may be larger.
    pub bytes: usize,
    /// How it holds its place: one relay of all that share a database works at a time.
    pub lease: Lease,
    /// The first pause after a failure; it doubles up to 10 seconds.
    pub backoff: Duration,
    /// Where metrics are registered.
    pub metrics: prometheus::Registry,
}

impl RelayOptions {
    /// At most 10,000 messages and 32 MiB on their way.
    pub fn new(lease: Lease) -> Self {
        Self {
            messages: 10_000,
            bytes: 32 << 20,
            lease,
            backoff: Duration::from_millis(100),
            metrics: prometheus::default_registry().clone(),
        }
    }
}

/// Why the relay has to begin again from the checkpoint.
#[derive(Debug, Error)]
enum Interrupted {
    #[error("kafka failed")]
    Kafka(#[from] KafkaError),
    #[error("the database failed")]
    Sql(#[from] Error),
    #[error("the event store could not be read")]
    Store(#[from] ReadError),
    #[error("the event store has closed")]
    Closed,
    #[error("another relay took over, or the checkpoint was set back")]
    Fenced,
    #[error("a key that was held back may go on")]
    Released,
}

/// Follows the store and publishes its events, each after those before it on its key.
///
/// The checkpoint never passes an event that Kafka has not acknowledged and that is no dead
/// letter. After a crash events are published again from there: duplicates are possible, and in a
/// reader that passes them over the order of a key is kept. Nothing is left out.
#[derive(Debug)]
pub struct Relay {
    store: Store,
    pool: Pool,
    kafka: Kafka,
    options: RelayOptions,
    metrics: RelayMetrics,
}

impl Relay {
    /// A relay to a cluster.
    ///
    /// # Errors
    /// The metrics cannot be registered.
    pub fn new(
        store: Store,
        pool: Pool,
        kafka: Kafka,
        options: RelayOptions,
    ) -> Result<Self, prometheus::Error> {
        let metrics = RelayMetrics::new(&options.metrics)?;
        Ok(Self { store, pool, kafka, options, metrics })
    }

    /// Works until it is shut down. Failures are waited out.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut pause = self.options.backoff;
        while !shutdown.is_cancelled() {
            let begun = Instant::now();
            let Err(error) = self.session(&shutdown).await else { continue };
            if begun.elapsed() > Duration::from_secs(10) {
                pause = self.options.backoff;
            }
            self.metrics.interruptions.inc();
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the relay was interrupted and will begin again from its checkpoint"
            );
            let _ = timeout(pause, shutdown.cancelled()).await;
            pause = (pause * 2).min(Duration::from_secs(10));
        }
    }

    /// Holds the place and publishes, until shut down or interrupted.
    async fn session(&self, shutdown: &CancellationToken) -> Result<(), Interrupted> {
        let topics = Topic::ALL.map(|topic| self.kafka.topic(topic));
        self.kafka.ensure_topics(&topics).await?;
        let limits = self.kafka.limits().await?;
        let Some(follower) = self.place(shutdown).await? else { return Ok(()) };
        let held = held(&self.pool, RELAY).await?;
        let smallest = limits.values().copied().min().unwrap_or_default();
        let largest = limits.values().copied().max().unwrap_or_default();
        let producer = self.kafka.producer(smallest, largest)?;
        let mut pass = Pass {
            relay: self,
            producer,
            limits,
            held,
            follower,
            flying: FuturesOrdered::new(),
            ages: VecDeque::new(),
            bytes: 0,
            landed: None,
            dead: Vec::new(),
        };
        let worked = pass.follow(shutdown).await;
        self.metrics.flying.set(0);
        if worked.is_ok() {
            pass.follower.release(&self.pool).await?;
        }
        // What is still on its way is given up, which takes a moment.
        let _ = tokio::task::spawn_blocking(move || drop(pass.producer)).await;
        worked
    }

    async fn place(&self, shutdown: &CancellationToken) -> Result<Option<Follower>, Interrupted> {
        while !shutdown.is_cancelled() {
            let taken = Follower::take(&self.pool, RELAY, &self.options.lease).await?;
            if taken.is_some() {
                return Ok(taken);
            }
            let _ = timeout(self.options.lease.length / 4, shutdown.cancelled()).await;
        }
        Ok(None)
    }
}

/// What became of an event.
enum Fate {
    /// Kafka has it.
    Acknowledged(Topic),
    /// It cannot be published (and why), or waits for another that cannot.
    Dead(Box<Message>, Option<String>),
    /// There was nothing to publish.
    Passed,
}

/// What will have become of an event.
type Flight = BoxFuture<'static, Result<Fate, KafkaError>>;

fn known(fate: Fate) -> Flight {
    ready(Ok(fate)).boxed()
}

/// An event, or a stretch without any, that is done with.
struct Landed {
    position: Position,
    bytes: usize,
    fate: Result<Fate, KafkaError>,
}

/// One session's work.
struct Pass<'a> {
    relay: &'a Relay,
    producer: Producer,
    limits: HashMap<Topic, usize>,
    held: HashSet<Key>,
    follower: Follower,
    /// In the order of positions: so far as the first of them has landed, all before it have.
    flying: FuturesOrdered<BoxFuture<'static, Landed>>,
    /// When those in flight were recorded.
    ages: VecDeque<i64>,
    bytes: usize,
    /// Everything up to here has landed, and is not in the checkpoint yet.
    landed: Option<Position>,
    dead: Vec<(Box<Message>, Option<String>)>,
}

impl Pass<'_> {
    async fn follow(&mut self, shutdown: &CancellationToken) -> Result<(), Interrupted> {
        let tail = self.relay.store.tail(self.follower.position, events(DomainEvent::KINDS));
        let mut tail = pin!(tail);
        let mut renewal = interval(self.follower.renewal());
        let mut checkpoint = interval(CHECKPOINT);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        checkpoint.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = renewal.tick() => self.save().await?,
                _ = checkpoint.tick() => {
                    self.measure();
                    if self.landed.is_some() {
                        self.save().await?;
                    }
                }
                Some(landed) = self.flying.next() => self.land(landed)?,
                item = tail.next(), if self.has_room() => {
                    self.launch(item.ok_or(Interrupted::Closed)??)?;
                }
            }
        }
        // What is acknowledged within a moment need not be published again.
        let _ = timeout(Duration::from_secs(2), async {
            while let Some(landed) = self.flying.next().await {
                self.land(landed)?;
            }
            Ok::<_, Interrupted>(())
        })
        .await;
        self.save().await
    }

    fn has_room(&self) -> bool {
        let RelayOptions { messages, bytes, .. } = self.relay.options;
        self.flying.len() < messages && self.bytes < bytes
    }

    fn measure(&self) {
        self.relay.metrics.flying.set(i64::try_from(self.flying.len()).unwrap_or(i64::MAX));
        let lag = self.ages.front().map_or(0, |at| now() - at).max(0).cast_unsigned();
        self.relay.metrics.lag.set(Duration::from_micros(lag).as_secs_f64());
    }

    /// Sends what the tail delivers on its way.
    fn launch(&mut self, item: Tailed) -> Result<(), Interrupted> {
        let (position, recorded_at, bytes, fate) = match item {
            Tailed::CaughtUp(position) => (position, now(), 0, known(Fate::Passed)),
            Tailed::Event(event) => {
                let bytes = event.data.len() + event.metadata.len() + OVERHEAD;
                (event.position, event.recorded_at, bytes, self.send(&event)?)
            }
        };
        self.bytes += bytes;
        self.ages.push_back(recorded_at);
        self.flying.push_back(fate.map(move |fate| Landed { position, bytes, fate }).boxed());
        Ok(())
    }

    /// Hands an event to the producer, unless it or its key cannot go on.
    fn send(&mut self, event: &Recorded) -> Result<Flight, Interrupted> {
        let message = match (Message::of(event), Topic::of(&event.stream)) {
            (Ok(Some(message)), _) => message,
            (Err(error), Some(topic)) => {
                let message = Message::unread(event, topic);
                return Ok(self.set_aside(message, Some(chain(&error))));
            }
            (Ok(None), _) | (Err(_), None) => {
                return Ok(known(Fate::Passed));
            }
        };
        let limit = self.limits.get(&message.topic).copied().unwrap_or_default();
        let size = message.size() + OVERHEAD;
        if self.held.contains(&(message.topic, message.key.clone())) {
            return Ok(self.set_aside(message, None));
        } else if size > limit {
            let error = format!("the message takes {size} bytes, and its topic at most {limit}");
            return Ok(self.set_aside(message, Some(error)));
        }
        let topic = message.topic;
        let name = self.relay.kafka.topic(topic);
        let sent = self.producer.send_result(record(&name, &message, &[]));
        let delivery = sent.map_err(|(error, _)| error)?;
        Ok(delivery
            .map(move |delivered| match delivered {
                Ok(Ok(_)) => Ok(Fate::Acknowledged(topic)),
                Ok(Err((error, _))) => Err(error),
                Err(_) => Err(KafkaError::Canceled),
            })
            .boxed())
    }

    /// Has a message's key wait, and the message with it.
    fn set_aside(&mut self, message: Message, error: Option<String>) -> Flight {
        self.held.insert((message.topic, message.key.clone()));
        known(Fate::Dead(Box::new(message), error))
    }

    fn land(&mut self, Landed { position, bytes, fate }: Landed) -> Result<(), Interrupted> {
        match fate? {
            Fate::Acknowledged(topic) => {
                self.relay.metrics.published.with_label_values(&[topic.name()]).inc();
            }
            Fate::Dead(message, error) => self.dead.push((message, error)),
            Fate::Passed => {}
        }
        self.bytes -= bytes;
        self.ages.pop_front();
        self.landed = Some(position);
        Ok(())
    }

    /// Writes the checkpoint, with the dead letters that it passes.
    async fn save(&mut self) -> Result<(), Interrupted> {
        let mut tx = self.relay.pool.begin().await?;
        if !self.follower.advance(&mut tx, self.landed).await? {
            return Err(Interrupted::Fenced);
        }
        self.lay_down_dead(&mut tx).await?;
        tx.commit().await?;
        self.relay.metrics.dead.inc_by(self.dead.len() as u64);
        self.dead.clear();
        self.follower.position = self.landed.take().or(self.follower.position);
        Ok(())
    }

    async fn lay_down_dead(&mut self, tx: &mut Tx) -> Result<(), Interrupted> {
        if self.dead.is_empty() {
            return Ok(());
        }
        let mut held = held(&mut *tx, RELAY).await?;
        for (message, error) in &self.dead {
            let key = (message.topic, message.key.clone());
            match error {
                // An operator had the key go on meanwhile: this one is to be published.
                None if !held.contains(&key) => return Err(Interrupted::Released),
                None => {}
                Some(error) => {
                    tracing::warn!(
                        topic = key.0.name(),
                        key = key.1,
                        error,
                        "an event cannot be published; its key waits"
                    );
                    held.insert(key);
                }
            }
            lay_down(tx, RELAY, message, error.as_deref(), error.is_some().into()).await?;
        }
        Ok(())
    }
}

/// Publishes dead letters of the relay.
pub struct Publish {
    producer: Producer,
    kafka: Kafka,
    dry_run: bool,
}

impl Publish {
    /// A publisher to a cluster, which only pretends in a dry run.
    ///
    /// # Errors
    /// The cluster does not answer, or a setting makes no sense.
    pub async fn new(kafka: Kafka, dry_run: bool) -> Result<Self, KafkaError> {
        let largest = kafka.limits().await?.into_values().max().unwrap_or_default();
        Ok(Self { producer: kafka.producer(largest, largest)?, kafka, dry_run })
    }
}

impl Redo for Publish {
    async fn redo(
        &mut self,
        _tx: &mut Tx,
        message: &Message,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let Some((headers, payload)) = renew(message.topic, &message.headers, &message.payload)?
        else {
            return Ok(());
        };
        let message = Message { headers, payload: payload.into(), ..message.clone() };
        if self.dry_run {
            return Ok(());
        }
        let name = self.kafka.topic(message.topic);
        let sent = self.producer.send(record(&name, &message, &[]), Duration::from_secs(30));
        match timeout(Duration::from_secs(30), sent).await? {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.into()),
        }
    }
}
