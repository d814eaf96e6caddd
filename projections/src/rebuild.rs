//! Generations of a read model built beside the live one, and made live.
//!
//! A build is the work of a worker without its waiting: the same batches, rows, checkpoint and lease,
//! only larger. So one that is killed goes on from its checkpoint, and two of the same read model
//! cannot write at the same time. Queries read views, which turn in the transaction that makes a
//! generation live: nobody sees a half-built one.

use std::sync::Arc;
use std::time::Duration;

use daybook_database::{Engine, now};
use daybook_event_store::{EventStore, Position, ReadError, Recorded, Store};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::batch::{BatchError, Step, Times, project, read};
use crate::compare::{Comparison, Expected, verify};
use crate::projection::Projection;
use crate::registry::{self, Generation, Lease, Published, Role};
use crate::{Database, OperateError};

/// Most events of one transaction, unless said otherwise.
pub(crate) const BATCH: usize = 16_384;

/// Bytes of payload at which a batch is full, however few its events.
const BATCH_BYTES: usize = 16 << 20;

/// Events taken from the store in one go.
const CHUNK: usize = 512;

/// Batches that are read and decoded while another is written.
const AHEAD: usize = 1;

/// How long a build that falls silent keeps others from going on with it.
pub(crate) const LEASE: Duration = Duration::from_secs(5);

/// Time between two looks at something that another process has to do.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How many positions a built generation may be behind the live one when it is to be made live.
/// So much is made up for in a moment.
pub(crate) const CLOSE: u64 = 10_000;

/// How often a build that has caught up tries to be ahead of a worker that goes on.
pub(crate) const TRIES: usize = 200;

/// How long a build leaves a file to the other process that writes it, after each transaction.
const COURTESY: Duration = Duration::from_millis(25);

/// How far a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    /// The read model.
    pub name: &'static str,
    /// The generation of its tables.
    pub generation: u32,
    /// Every event up to here is in its rows, or parked.
    pub position: Option<Position>,
    /// Where it is to come to.
    pub goal: Option<Position>,
    /// Events applied by this run.
    pub applied: u64,
    /// Events parked by this run.
    pub parked: u64,
}

/// What became of a read model.
#[derive(Debug)]
pub struct Outcome {
    /// The generation that was worked on, and how far it is.
    pub built: Built,
    /// How it compares with the live one, if that was asked for.
    pub comparison: Option<Comparison>,
    /// Whether queries read it now.
    pub live: bool,
}

/// Which generation something is done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// The next one: one that was begun is gone on with, else it is made.
    Next,
    /// The next one, which must have been begun.
    Begun,
    /// The one that was live before.
    Previous,
}

/// What is to be done with it.
#[derive(Clone, Copy)]
pub(crate) struct Task<'a> {
    pub(crate) which: Which,
    /// Bring it to the end of the store first.
    pub(crate) build: bool,
    /// Compare it with the live one, but for what is expected.
    pub(crate) verify: Option<&'a [Expected]>,
    /// Make it live, unless there are differences that nobody expected.
    pub(crate) cut_over: bool,
}

/// Where it is done, on whose behalf, and who is told.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) store: &'a Store,
    pub(crate) database: &'a Database,
    pub(crate) owner: &'a str,
    /// Most events of one transaction.
    pub(crate) batch: usize,
    pub(crate) stop: &'a CancellationToken,
    pub(crate) report: &'a (dyn Fn(Built) + Send + Sync),
}

/// Does a task, holding the lease of the generation meanwhile.
pub(crate) async fn run<P: Projection>(
    job: Job<'_>,
    task: Task<'_>,
) -> Result<Outcome, OperateError> {
    let generation = find::<P>(job.database, task.which).await?;
    let lease = hold::<P>(job, generation).await?;
    let mut build = Build::<P>::new(job, lease);
    let done = build.run(task).await;
    registry::release(job.database, &build.lease).await?;
    done
}

/// Drops the generation that was begun.
pub(crate) async fn discard<P: Projection>(job: Job<'_>) -> Result<u32, OperateError> {
    let generation = find::<P>(job.database, Which::Begun).await?;
    hold::<P>(job, generation).await?;
    let mut tx = job.database.begin().await?;
    tx.make_tables_alone().await?;
    registry::drop_generation::<P>(&mut tx, generation).await?;
    tx.commit().await?;
    Ok(generation)
}

async fn find<P: Projection>(database: &Database, which: Which) -> Result<u32, OperateError> {
    let mut tx = database.begin().await?;
    tx.make_tables_alone().await?;
    let generations = registry::generations_of(&mut tx, P::NAME).await?;
    let role = if which == Which::Previous { Role::Retired } else { Role::Building };
    let candidates = generations.iter().filter(|generation| generation.role == role);
    let found = candidates.max_by_key(|generation| (generation.retired_at, generation.generation));
    let name = P::NAME;
    match (found, which) {
        (Some(found), _) if found.version != P::VERSION => {
            let (theirs, ours) = (found.version, P::VERSION);
            Err(OperateError::OtherVersion { name, theirs, ours })
        }
        (Some(found), _) => {
            let expected = registry::declaration::<P>(database.engine(), found.generation);
            if found.declaration != expected {
                return Err(OperateError::Changed { name, generation: found.generation });
            }
            Ok(found.generation)
        }
        (None, Which::Next) => {
            let generation = registry::make::<P>(&mut tx, &generations).await?;
            tx.commit().await?;
            Ok(generation)
        }
        (None, Which::Begun) => Err(OperateError::NothingBuilt { name }),
        (None, Which::Previous) => Err(OperateError::NothingRetired { name }),
    }
}

/// Takes the lease of a generation. That of a build that was killed runs out first.
async fn hold<P: Projection>(job: Job<'_>, generation: u32) -> Result<Lease, OperateError> {
    let began = tokio::time::Instant::now();
    loop {
        let Times { now, lease_until } = Times::holding(LEASE);
        let key = (P::NAME, generation);
        let lease = registry::acquire(job.database, key, job.owner, now, lease_until).await?;
        if let Some(lease) = lease {
            return Ok(lease);
        }
        if job.stop.is_cancelled() {
            return Err(OperateError::Interrupted);
        }
        if began.elapsed() > LEASE + Duration::from_secs(1) {
            let generations = registry::generations(job.database.pool()).await?;
            let holder = generations.into_iter().find(|g| g.is(P::NAME, generation));
            let owner = holder.and_then(|holder| holder.owner).unwrap_or_default();
            return Err(OperateError::InUse { name: P::NAME, generation, owner });
        }
        sleep(LOOK_EVERY).await;
    }
}

/// A generation in hand.
pub(crate) struct Build<'a, P> {
    pub(crate) job: Job<'a>,
    rows: P,
    pub(crate) lease: Lease,
    built: Built,
}

impl<'a, P: Projection> Build<'a, P> {
    pub(crate) fn new(job: Job<'a>, lease: Lease) -> Self {
        let Lease { generation, position, .. } = lease;
        let name = P::NAME;
        let built = Built { name, generation, position, goal: None, applied: 0, parked: 0 };
        Self { job, rows: P::new(generation), lease, built }
    }

    async fn run(&mut self, task: Task<'_>) -> Result<Outcome, OperateError> {
        if task.build {
            self.catch_up().await?;
        } else if task.cut_over {
            self.must_be_close().await?;
        }
        let comparison = match task.verify {
            Some(expected) => Some(verify::<P>(self, expected).await?),
            None => None,
        };
        let as_expected = comparison.as_ref().is_none_or(|found| found.unexpected() == 0);
        let live = task.cut_over && as_expected;
        if live {
            self.cut_over().await?;
        }
        Ok(Outcome { built: self.built, comparison, live })
    }

    /// Goes on to the end of the store, which may grow meanwhile.
    async fn catch_up(&mut self) -> Result<(), OperateError> {
        loop {
            let Some(head) = self.head().await? else { return Ok(()) };
            if self.lease.position >= Some(head) {
                return Ok(());
            }
            self.reach(head).await?;
            if self.is_close(head).await? {
                return Ok(());
            }
        }
    }

    /// Whether what came while it went on to a position is little.
    async fn is_close(&self, reached: Position) -> Result<bool, OperateError> {
        Ok(self.head().await?.is_none_or(|head| head.0 - reached.0 <= CLOSE / 10))
    }

    async fn head(&self) -> Result<Option<Position>, ReadError> {
        head(self.job.store).await
    }

    /// Goes on up to a position.
    pub(crate) async fn reach(&mut self, goal: Position) -> Result<(), OperateError> {
        if self.lease.position >= Some(goal) {
            return Ok(());
        }
        self.built.goal = Some(goal);
        let pause = if self.shares_a_file().await? { COURTESY } else { Duration::ZERO };
        let (store, batch) = (self.job.store.clone(), self.job.batch);
        let mut batches = batches::<P>(store, self.lease.position, goal, batch);
        while let Some(batch) = batches.recv().await {
            if self.job.stop.is_cancelled() {
                return Err(OperateError::Interrupted);
            }
            let Batch { steps, upto } = batch?;
            self.write(steps, upto).await?;
            sleep(pause).await;
        }
        if self.lease.position == Some(goal) { Ok(()) } else { Err(OperateError::Interrupted) }
    }

    async fn write(
        &mut self,
        steps: Vec<Step<P::Event>>,
        upto: Position,
    ) -> Result<(), OperateError> {
        let Self { job, rows, lease, built } = self;
        let done = project(rows, job.database, lease, steps, upto, Times::holding(LEASE)).await;
        let done = done.map_err(|error| match error {
            BatchError::Fenced => OperateError::TakenOver { name: P::NAME },
            BatchError::Sql(error) => error.into(),
        })?;
        built.applied += done.applied as u64;
        built.parked += done.parked as u64;
        built.position = Some(upto);
        (job.report)(*built);
        Ok(())
    }

    /// Whether another process writes the same file.
    async fn shares_a_file(&self) -> Result<bool, OperateError> {
        if self.job.database.engine() == Engine::Postgres {
            return Ok(false);
        }
        let generations = registry::generations(self.job.database.pool()).await?;
        let (owner, now) = (self.job.owner, now());
        Ok(generations.iter().any(|g| g.lease_until > now && g.owner.as_deref() != Some(owner)))
    }

    async fn must_be_close(&self) -> Result<(), OperateError> {
        let generations = registry::generations(self.job.database.pool()).await?;
        let live = generations.iter().find(|g| g.name == P::NAME && g.role == Role::Live);
        let next = |position: Option<Position>| position.map_or(0, |position| position.0 + 1);
        let live = live.map_or(0, |live: &Generation| next(live.position));
        let behind = live.saturating_sub(next(self.lease.position));
        if behind > CLOSE {
            let (name, generation) = (P::NAME, self.lease.generation);
            return Err(OperateError::Behind { name, generation, behind });
        }
        Ok(())
    }

    /// Makes it live. A worker that fills the live one meanwhile is followed until it is not ahead.
    async fn cut_over(&mut self) -> Result<(), OperateError> {
        for _ in 0..TRIES {
            match registry::publish::<P>(self.job.database, &self.lease, now(), true).await? {
                Published::Live => return Ok(()),
                Published::Fenced => return Err(OperateError::TakenOver { name: P::NAME }),
                Published::Behind(Some(live)) => {
                    let head = self.head().await?;
                    self.reach(head.unwrap_or(live).max(live)).await?;
                }
                Published::Behind(None) => {}
            }
        }
        Err(OperateError::Outrun { name: P::NAME })
    }
}

/// Where a store ends now, which another process may write to.
pub(crate) async fn head(store: &Store) -> Result<Option<Position>, ReadError> {
    let refreshing = store.clone();
    // Blocks while it reads.
    let refreshed = tokio::task::spawn_blocking(move || refreshing.refresh());
    refreshed.await.map_err(|error| ReadError::Unavailable { reason: error.to_string() })??;
    store.head().await
}

/// Events that are read, and how far they go.
struct Batch<E> {
    steps: Vec<Step<E>>,
    upto: Position,
}

/// Reads and decodes the events up to a position, ahead of whoever writes them.
fn batches<P: Projection>(
    store: Store,
    after: Option<Position>,
    goal: Position,
    most: usize,
) -> mpsc::Receiver<Result<Batch<P::Event>, ReadError>> {
    let (send, receive) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let mut chunks =
            std::pin::pin!(store.read_all(after, P::filter()).ready_chunks(CHUNK.min(most)));
        let mut gathered: Vec<Recorded> = Vec::with_capacity(most);
        let (mut bytes, mut is_over) = (0, false);
        while let (false, Some(chunk)) = (is_over, chunks.next().await) {
            for event in chunk {
                match event {
                    Ok(event) if event.position > goal => is_over = true,
                    Ok(event) => {
                        bytes += event.data.len();
                        gathered.push(event);
                    }
                    // Nobody is there to be told if this cannot be sent.
                    Err(error) => return drop(send.send(Err(error)).await),
                }
            }
            if gathered.len() >= most || bytes >= BATCH_BYTES {
                let full = std::mem::replace(&mut gathered, Vec::with_capacity(most));
                bytes = 0;
                let upto = full.last().map_or(goal, |event| event.position);
                if send.send(Ok(Batch { steps: read(full), upto })).await.is_err() {
                    return;
                }
            }
        }
        let _ = send.send(Ok(Batch { steps: read(gathered), upto: goal })).await;
    });
    receive
}

/// Names whoever builds.
pub(crate) fn owner() -> Arc<str> {
    format!("rebuild:{}", uuid::Uuid::now_v7()).into()
}
