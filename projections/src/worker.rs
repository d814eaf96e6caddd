//! One projection's worker: takes the lease, follows the store, writes batch after batch.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use daybook_event_store::{EventStore, Position, ReadError, Recorded, Store, Tailed};
use futures::{Stream, StreamExt};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::batch::{BatchError, Times, project, read};
use crate::metrics::Metrics;
use crate::projection::Projection;
use crate::registry::{self, Lease, Published, Taken};
use crate::runner::{StartError, install};
use crate::{Database, Progress, ProjectionOptions, State};

/// Most events taken from the store in one go.
const CHUNK: usize = 256;

/// Bytes of payload at which a batch is full, however few its events.
const BATCH_BYTES: usize = 8 << 20;

/// How long a batch that is not full waits for more from a store that has more to deliver.
const LINGER: Duration = Duration::from_millis(20);

/// The longest time between two looks at what keeps a worker waiting.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a worker has to begin again from the checkpoint.
#[derive(Debug, Error)]
enum Interrupted {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the database failed")]
    Sql(#[from] daybook_database::Error),
    #[error("the event store could not be read")]
    Store(#[from] ReadError),
    #[error("the event store has closed")]
    Closed,
}

pub(crate) struct Worker<P> {
    pub(crate) store: Store,
    pub(crate) database: Database,
    /// Whether its tables are there.
    pub(crate) installed: bool,
    pub(crate) options: ProjectionOptions,
    pub(crate) progress: Arc<watch::Sender<Progress>>,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: CancellationToken,
    /// The end of the store when this worker began to follow it.
    pub(crate) past: Option<Position>,
    /// Whether queries have read what it fills. Then it leaves another release's rows to that release.
    pub(crate) was_live: bool,
    pub(crate) of: PhantomData<P>,
}

/// What a tail has delivered and is not projected yet.
#[derive(Debug, Default)]
struct Gathered {
    events: Vec<Recorded>,
    bytes: usize,
    upto: Option<Position>,
    caught_up: bool,
}

type Chunks<'a> = Pin<&'a mut (dyn Stream<Item = Vec<Result<Tailed, ReadError>>> + Send)>;

/// Whether it was shut down or panicked, it says that it works no more.
impl<P> Drop for Worker<P> {
    fn drop(&mut self) {
        self.progress.send_modify(|progress| progress.state = State::Stopped);
    }
}

impl<P: Projection> Worker<P> {
    /// Works until it is shut down. Failures of the database or the store are waited out; no
    /// event is skipped for them.
    pub(crate) async fn run(mut self) {
        let mut pause = self.options.backoff;
        while !self.shutdown.is_cancelled() {
            let begun = Instant::now();
            let Err(error) = self.session().await else { break };
            if begun.elapsed() > self.options.lease {
                pause = self.options.backoff;
            }
            self.tell(&error);
            let shutdown = self.shutdown.clone();
            let _ = timeout(pause, shutdown.cancelled()).await;
            pause = (pause * 2).min(self.options.lease);
        }
    }

    /// Tells why it begins again. To be taken over is no failure: an operator may have made another
    /// generation live, replayed events or paused the projection.
    fn tell(&self, error: &Interrupted) {
        let cause = error as &dyn std::error::Error;
        if matches!(error, Interrupted::Batch(BatchError::Fenced)) {
            tracing::info!(projection = P::NAME, cause, "a projection begins again");
            self.set_state(State::Waiting);
        } else {
            tracing::warn!(
                projection = P::NAME,
                error = cause,
                "a projection was interrupted and will begin again from its checkpoint"
            );
            self.set_state(State::Interrupted);
        }
    }

    /// Holds the lease and follows the store, until shut down or interrupted.
    async fn session(&mut self) -> Result<(), Interrupted> {
        if !self.installed {
            install::<P>(&self.database).await?;
            self.installed = true;
        }
        let Some(mut lease) = self.lease().await? else { return Ok(()) };
        self.progress.send_modify(|progress| {
            progress.position = lease.position;
            progress.state = State::CatchingUp;
        });
        let followed = self.follow(&mut P::new(lease.generation), &mut lease).await;
        if followed.is_ok() {
            registry::release(&self.database, &lease).await?;
        }
        followed
    }

    /// Waits for the lease of the generation that is to be filled. `None`: shut down first.
    async fn lease(&mut self) -> Result<Option<Lease>, Interrupted> {
        while !self.shutdown.is_cancelled() {
            let Times { now, lease_until } = Times::holding(self.options.lease);
            let (database, owner) = (&self.database, &self.options.owner);
            let taken = registry::take::<P>(database, self.was_live, owner, now, lease_until);
            let state = match taken.await? {
                Taken::Lease(lease) => return Ok(Some(lease)),
                Taken::Busy | Taken::Moved => State::Waiting,
                Taken::Paused => State::Paused,
            };
            self.set_state(state);
            let pause = (self.options.lease / 4).min(LOOK_EVERY);
            let _ = timeout(pause, self.shutdown.cancelled()).await;
        }
        Ok(None)
    }

    async fn follow(&mut self, rows: &mut P, lease: &mut Lease) -> Result<(), Interrupted> {
        self.past = self.store.head().await?;
        let tail = self.store.tail(lease.position, P::filter());
        let mut tail = std::pin::pin!(tail.ready_chunks(CHUNK));
        let shutdown = self.shutdown.clone();
        let mut renewal = interval(self.options.lease / 4);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut gathered = Gathered::default();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                _ = renewal.tick() => {
                    self.renew(lease).await?;
                    continue;
                }
                ready = gathered.fill(tail.as_mut(), self.options.batch) => ready?,
            }
            let begun = Instant::now();
            let is_full = gathered.is_full(self.options.batch);
            self.project(rows, lease, std::mem::take(&mut gathered)).await?;
            if !is_full {
                tokio::select! {
                    () = sleep_until(begun + self.options.interval) => {}
                    () = shutdown.cancelled() => {}
                }
            }
        }
    }

    /// Keeps the lease of a projection that has nothing to write.
    async fn renew(&self, lease: &Lease) -> Result<(), Interrupted> {
        let Times { now, lease_until } = Times::holding(self.options.lease);
        let mut tx = self.database.begin().await?;
        if !registry::advance(&mut tx, lease, None, now, lease_until).await? {
            return Err(BatchError::Fenced.into());
        }
        Ok(tx.commit().await?)
    }

    async fn project(
        &mut self,
        rows: &mut P,
        lease: &mut Lease,
        batch: Gathered,
    ) -> Result<(), Interrupted> {
        let Some(upto) = batch.upto else { return Ok(()) };
        let times = Times::holding(self.options.lease);
        let recorded_at = batch.events.last().map(|event| event.recorded_at);
        let measured = self.metrics.batch_seconds.with_label_values(&[P::NAME]).start_timer();
        let steps = read(batch.events);
        let done = project(rows, &self.database, lease, steps, upto, times).await?;
        measured.observe_duration();
        let was_live = self.progress.borrow().state == State::Live;
        let past_is_in = self.past.is_none_or(|past| past <= upto);
        let mut is_live = was_live || (batch.caught_up && past_is_in);
        if is_live && !was_live {
            is_live = self.publish(lease, times.now).await?;
        }
        self.metrics.events.with_label_values(&[P::NAME]).inc_by(done.applied as u64);
        self.metrics.parked.with_label_values(&[P::NAME]).inc_by(done.parked as u64);
        let lag = recorded_at.filter(|_| !batch.caught_up).map_or(0, |at| times.now - at);
        let lag = Duration::from_micros(lag.max(0).cast_unsigned());
        self.metrics.lag_seconds.with_label_values(&[P::NAME]).set(lag.as_secs_f64());
        self.progress.send_modify(|progress| {
            progress.position = Some(upto);
            progress.applied += done.applied as u64;
            progress.parked += done.parked as u64;
            progress.lag = lag;
            progress.state = if is_live { State::Live } else { progress.state };
        });
        Ok(())
    }

    /// Has queries read what has caught up. `false`: what they read is further on as yet.
    async fn publish(&mut self, lease: &Lease, now: i64) -> Result<bool, Interrupted> {
        match registry::publish::<P>(&self.database, lease, now, false).await? {
            Published::Live => self.was_live = true,
            Published::Behind => return Ok(false),
            Published::Fenced => return Err(BatchError::Fenced.into()),
        }
        Ok(true)
    }

    fn set_state(&self, state: State) {
        self.progress
            .send_if_modified(|progress| std::mem::replace(&mut progress.state, state) != state);
    }
}

impl Gathered {
    /// Waits for events, then takes all that are there, up to a full batch. What was taken stays
    /// here if this is cancelled.
    async fn fill(&mut self, mut tail: Chunks<'_>, most: usize) -> Result<(), Interrupted> {
        loop {
            let next = tail.next();
            let chunk = if self.upto.is_none() {
                next.await
            } else {
                match timeout(LINGER, next).await {
                    Ok(chunk) => chunk,
                    Err(_) => return Ok(()),
                }
            };
            for item in chunk.ok_or(Interrupted::Closed)? {
                self.take(item?);
            }
            if self.caught_up || self.is_full(most) {
                return Ok(());
            }
        }
    }

    fn take(&mut self, item: Tailed) {
        self.caught_up = matches!(item, Tailed::CaughtUp(_));
        match item {
            Tailed::CaughtUp(position) => self.upto = Some(position),
            Tailed::Event(event) => {
                self.upto = Some(event.position);
                self.bytes += event.data.len();
                self.events.push(event);
            }
        }
    }

    fn is_full(&self, most: usize) -> bool {
        self.events.len() >= most || self.bytes >= BATCH_BYTES
    }
}
