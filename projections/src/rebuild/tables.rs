//! Generations of tables.
//!
//! A build folds a range of events into rows in memory, and writes each row once, together with the
//! checkpoint, holding a worker's lease. So one that is killed goes on from its checkpoint, and two of
//! the same read model cannot write at the same time. Where an event cannot be read or applied, or
//! the database refuses rows, the range is gone through once more as a worker does, batch by batch,
//! which finds what is to be parked. Queries read views, which turn in the transaction that makes a
//! generation live: nobody sees a half-built one.

use std::marker::PhantomData;
use std::time::Duration;

use daybook_database::{Engine, is_refusal, now};
use daybook_event_store::{EventStore, Position, ReadError, Recorded, Store};
use futures::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::fold::{BATCHES, Fold, Folded, Range};
use super::{Build, Built, Job, LEASE, Outcome, Task, Which, drive, find};
use crate::batch::{BatchError, Step, Times, project, read};
use crate::compare::{Comparison, Expected, verify};
use crate::error::Done;
use crate::projection::Projection;
use crate::registry::{self, Lease, Published, Role};
use crate::{Database, OperateError};

/// Bytes of payload at which a batch is full, however few its events.
const BATCH_BYTES: usize = 16 << 20;

/// Events taken from the store in one go.
const CHUNK: usize = 512;

/// Batches that are read and decoded while another is folded or written.
const AHEAD: usize = 1;

/// Time between two looks at something that another process has to do.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long a build leaves a file to the other process that writes it, after each transaction.
const COURTESY: Duration = Duration::from_millis(25);

/// Does a task, holding the lease of the generation meanwhile.
pub(crate) async fn run<P: Projection>(job: Job<'_>, task: Task<'_>) -> Done<Outcome> {
    let generation = generation::<P>(job.database, task.which).await?;
    let lease = hold::<P>(job, generation).await?;
    let mut build = TableBuild::<P>::new(job, lease);
    let done = drive(job.store, &mut build, task).await;
    registry::release(job.database, &build.lease).await?;
    done
}

/// Drops the generation that was begun.
pub(crate) async fn discard<P: Projection>(job: Job<'_>) -> Done<u32> {
    let generation = generation::<P>(job.database, Which::Begun).await?;
    hold::<P>(job, generation).await?;
    let mut tx = job.database.begin().await?;
    tx.make_tables_alone().await?;
    registry::drop_generation::<P>(&mut tx, generation).await?;
    tx.commit().await?;
    Ok(generation)
}

async fn generation<P: Projection>(database: &Database, which: Which) -> Done<u32> {
    let mut tx = database.begin().await?;
    tx.make_tables_alone().await?;
    let generations = registry::generations_of(&mut tx, P::NAME).await?;
    let Some(found) = find(&generations, which, P::NAME, P::VERSION)? else {
        let generation = registry::make::<P>(&mut tx, &generations).await?;
        tx.commit().await?;
        return Ok(generation);
    };
    let (name, generation) = (P::NAME, found.generation);
    if found.declaration != registry::declaration::<P>(database.engine(), generation) {
        return Err(OperateError::Changed { name, generation });
    }
    Ok(generation)
}

/// Takes the lease of a generation. That of a build that was killed runs out first.
async fn hold<P: Projection>(job: Job<'_>, generation: u32) -> Done<Lease> {
    let began = Instant::now();
    loop {
        let Times { now, lease_until } = Times::holding(LEASE);
        let key = (P::NAME, generation);
        let lease = registry::acquire(job.database, key, job.owner, now, lease_until).await?;
        if let Some(lease) = lease {
            return Ok(lease);
        }
        job.unless_stopped()?;
        if began.elapsed() > LEASE + Duration::from_secs(1) {
            let generations = registry::generations(job.database.pool()).await?;
            let holder = generations.into_iter().find(|g| g.is(P::NAME, generation));
            let owner = holder.and_then(|holder| holder.owner).unwrap_or_default();
            return Err(OperateError::InUse { name: P::NAME, generation, owner });
        }
        sleep(LOOK_EVERY).await;
    }
}

/// A generation of tables in hand.
pub(crate) struct TableBuild<'a, P> {
    pub(crate) job: Job<'a>,
    pub(crate) lease: Lease,
    built: Built,
    of: PhantomData<P>,
}

impl<'a, P: Projection> TableBuild<'a, P> {
    pub(crate) fn new(job: Job<'a>, lease: Lease) -> Self {
        let Lease { generation, position, .. } = lease;
        let built = Built::begun(P::NAME, generation, position);
        Self { job, lease, built, of: PhantomData }
    }

    /// Goes on by ranges. The answer is the end of what cannot be gone through so, if there is such a
    /// thing: from the checkpoint up to there nothing is written.
    async fn sweep(
        &mut self,
        goal: Position,
        most: usize,
        pause: Duration,
    ) -> Done<Option<Position>> {
        let (written, receiver) = watch::channel(self.lease.position);
        let fold = Fold {
            rows: P::new(self.lease.generation),
            stuck: self.lease.stuck.clone(),
            database: self.job.database.clone(),
            written: receiver,
            handed_out: self.lease.position,
        };
        let mut ranges = fold.ranges(self.batches(goal), goal, most);
        while let Some(folded) = ranges.recv().await {
            self.job.unless_stopped()?;
            let range = match folded? {
                Folded::Range(range) => range,
                Folded::Stuck(upto) => return Ok(Some(upto)),
            };
            let upto = range.upto;
            if !self.write(range).await? {
                return Ok(Some(upto));
            }
            written.send_replace(Some(upto));
            sleep(pause).await;
        }
        Ok(None)
    }

    /// Writes a range and the checkpoint. `false`: the database refuses a row.
    async fn write(&mut self, Range { changes, events, upto }: Range) -> Done<bool> {
        let Times { now, lease_until } = Times::holding(LEASE);
        let mut tx = self.job.database.begin().await?;
        if !registry::advance(&mut tx, &self.lease, Some(upto), now, lease_until).await? {
            return Err(OperateError::TakenOver { name: P::NAME });
        }
        for rows in changes {
            tx = match rows.load(tx).await {
                Err(error) if is_refusal(&error) => return Ok(false),
                loaded => loaded?,
            };
        }
        tx.commit().await?;
        self.lease.position = Some(upto);
        self.reached(upto, events, 0);
        Ok(true)
    }

    /// Goes on as a worker does.
    async fn step(&mut self, goal: Position, pause: Duration) -> Done {
        let mut rows = P::new(self.lease.generation);
        let mut batches = self.batches(goal);
        while let Some(batch) = batches.recv().await {
            self.job.unless_stopped()?;
            let (Batch { steps, upto, .. }, times) = (batch?, Times::holding(LEASE));
            let Self { job, lease, .. } = self;
            let done = project(&mut rows, job.database, lease, steps, upto, times).await;
            let done = done.map_err(|error| match error {
                BatchError::Fenced => OperateError::TakenOver { name: P::NAME },
                BatchError::Sql(error) => error.into(),
            })?;
            self.reached(upto, done.applied, done.parked);
            sleep(pause).await;
        }
        Ok(())
    }

    fn reached(&mut self, upto: Position, applied: usize, parked: usize) {
        self.built.applied += applied as u64;
        self.built.parked += parked as u64;
        self.built.position = Some(upto);
        (self.job.report)(self.built);
    }

    fn batches(&self, goal: Position) -> Batches<P::Event> {
        batches::<P>(self.job.store.clone(), self.lease.position, goal, self.job.batch)
    }

    /// Whether another process writes the same file.
    async fn shares_a_file(&self) -> Done<bool> {
        if self.job.database.engine() == Engine::Postgres {
            return Ok(false);
        }
        let generations = registry::generations(self.job.database.pool()).await?;
        let (owner, now) = (self.job.owner, now());
        Ok(generations.iter().any(|g| g.lease_until > now && g.owner.as_deref() != Some(owner)))
    }
}

impl<P: Projection> Build for TableBuild<'_, P> {
    fn built(&self) -> Built {
        self.built
    }

    async fn live_position(&self) -> Done<Option<Position>> {
        let generations = registry::generations_of(self.job.database.pool(), P::NAME).await?;
        let live = generations.iter().find(|generation| generation.role == Role::Live);
        Ok(live.and_then(|live| live.position))
    }

    async fn reach(&mut self, goal: Position) -> Done {
        if self.lease.position >= Some(goal) {
            return Ok(());
        }
        self.built.goal = Some(goal);
        let shares = self.shares_a_file().await?;
        let (most, pause) = if shares { (1, COURTESY) } else { (BATCHES, Duration::ZERO) };
        while let Some(upto) = self.sweep(goal, most, pause).await? {
            self.step(upto, pause).await?;
        }
        if self.lease.position == Some(goal) { Ok(()) } else { Err(OperateError::Interrupted) }
    }

    async fn verify(&mut self, expected: &[Expected]) -> Done<Comparison> {
        verify(self, expected).await
    }

    async fn publish(&mut self) -> Done<bool> {
        match registry::publish::<P>(self.job.database, &self.lease, now(), true).await? {
            Published::Live => Ok(true),
            Published::Behind => Ok(false),
            Published::Fenced => Err(OperateError::TakenOver { name: P::NAME }),
        }
    }
}

/// Batches as they are read.
pub(super) type Batches<E> = mpsc::Receiver<Result<Batch<E>, ReadError>>;

/// Events that are read, how far they go, and the bytes of their payloads.
pub(super) struct Batch<E> {
    pub(super) steps: Vec<Step<E>>,
    pub(super) upto: Position,
    pub(super) bytes: usize,
}

/// Reads and decodes the events up to a position, ahead of whoever writes them.
fn batches<P: Projection>(
    store: Store,
    after: Option<Position>,
    goal: Position,
    most: usize,
) -> Batches<P::Event> {
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
                let upto = full.last().map_or(goal, |event| event.position);
                let batch = Batch { steps: read(full), upto, bytes: std::mem::take(&mut bytes) };
                if send.send(Ok(batch)).await.is_err() {
                    return;
                }
            }
        }
        let _ = send.send(Ok(Batch { steps: read(gathered), upto: goal, bytes })).await;
    });
    receive
}
