//! Generations of a read model built beside the live one, compared with it, and made live, whatever
//! they are kept in: tables here, the versions of an index in `catalog::rebuild`.

mod fold;
mod tables;

use std::sync::Arc;
use std::time::Duration;

use daybook_event_store::{EventStore, Position, ReadError, Store};
use tokio_util::sync::CancellationToken;

use crate::compare::{Comparison, Expected};
use crate::error::Done;
use crate::registry::{Generation, Role};
use crate::{Database, OperateError};

pub(crate) use tables::{TableBuild, discard, run};

/// Most events of one batch, unless said otherwise.
pub(crate) const BATCH: usize = 16_384;

/// How long a build that falls silent keeps others from going on with it.
pub(crate) const LEASE: Duration = Duration::from_secs(5);

/// How many positions a built generation may be behind the live one when it is to be made live.
/// So much is made up for in a moment.
const CLOSE: u64 = 10_000;

/// How often a build that has caught up tries to be ahead of a worker that goes on.
const TRIES: usize = 200;

/// How far a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    /// The read model.
    pub name: &'static str,
    /// The generation of its tables.
    pub generation: u32,
    /// Up to where it was built before this run.
    pub before: Option<Position>,
    /// Every event up to here is in its rows, or parked.
    pub position: Option<Position>,
    /// Where it is to come to.
    pub goal: Option<Position>,
    /// Events applied by this run.
    pub applied: u64,
    /// Events parked by this run.
    pub parked: u64,
}

impl Built {
    /// That of a run that has yet to do something to a generation.
    pub(crate) fn begun(name: &'static str, generation: u32, position: Option<Position>) -> Self {
        Self { name, generation, before: position, position, goal: None, applied: 0, parked: 0 }
    }
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
    /// Most events of one batch.
    pub(crate) batch: usize,
    pub(crate) stop: &'a CancellationToken,
    pub(crate) report: &'a (dyn Fn(Built) + Send + Sync),
}

impl Job<'_> {
    /// Fails once it is to stop.
    pub(crate) fn unless_stopped(&self) -> Done {
        if self.stop.is_cancelled() { Err(OperateError::Interrupted) } else { Ok(()) }
    }
}

/// A generation in hand: nobody else writes to it.
pub(crate) trait Build: Send + Sync {
    /// How far it is.
    fn built(&self) -> Built;

    /// How far the live one is.
    fn live_position(&self) -> impl Future<Output = Done<Option<Position>>> + Send;

    /// Goes on up to a position.
    fn reach(&mut self, goal: Position) -> impl Future<Output = Done> + Send;

    /// Compares it with the live one, both at one position.
    fn verify(&mut self, expected: &[Expected]) -> impl Future<Output = Done<Comparison>> + Send;

    /// Makes it live. `false`: the live one is further on, and stays.
    fn publish(&mut self) -> impl Future<Output = Done<bool>> + Send;
}

/// Does a task with a generation.
pub(crate) async fn drive(store: &Store, build: &mut impl Build, task: Task<'_>) -> Done<Outcome> {
    if task.build {
        catch_up(store, build).await?;
    } else if task.cut_over {
        must_be_close(build).await?;
    }
    let comparison = match task.verify {
        Some(expected) => Some(build.verify(expected).await?),
        None => None,
    };
    let as_expected = comparison.as_ref().is_none_or(|found| found.unexpected() == 0);
    let live = task.cut_over && as_expected;
    if live {
        cut_over(store, build).await?;
    }
    Ok(Outcome { built: build.built(), comparison, live })
}

/// Goes on to the end of the store, or so far that little has come meanwhile.
async fn catch_up(store: &Store, build: &mut impl Build) -> Done {
    while let Some(goal) = head(store).await?
        && build.built().position < Some(goal)
    {
        build.reach(goal).await?;
        if head(store).await?.is_none_or(|head| head.0 - goal.0 <= CLOSE / 10) {
            break;
        }
    }
    Ok(())
}

async fn must_be_close(build: &impl Build) -> Done {
    let next = |position: Option<Position>| position.map_or(0, |position| position.0 + 1);
    let Built { name, generation, position, .. } = build.built();
    let behind = next(build.live_position().await?).saturating_sub(next(position));
    if behind > CLOSE {
        return Err(OperateError::Behind { name, generation, behind });
    }
    Ok(())
}

/// Makes it live. A worker that fills the live one meanwhile is followed until it is not ahead.
async fn cut_over(store: &Store, build: &mut impl Build) -> Done {
    for _ in 0..TRIES {
        if build.publish().await? {
            return Ok(());
        }
        let live = build.live_position().await?;
        if let Some(goal) = head(store).await?.max(live) {
            build.reach(goal).await?;
        }
    }
    Err(OperateError::Outrun { name: build.built().name })
}

/// The generation that something is to be done with, which this version of the code fills. `None`:
/// it is the next one, and not begun.
pub(crate) fn find<'g>(
    generations: &'g [Generation],
    which: Which,
    name: &'static str,
    ours: u32,
) -> Done<Option<&'g Generation>> {
    let role = if which == Which::Previous { Role::Retired } else { Role::Building };
    let candidates = generations.iter().filter(|generation| generation.role == role);
    let found = candidates.max_by_key(|generation| (generation.retired_at, generation.generation));
    match (found, which) {
        (Some(found), _) if found.version != ours => {
            Err(OperateError::OtherVersion { name, theirs: found.version, ours })
        }
        (None, Which::Begun) => Err(OperateError::NothingBuilt { name }),
        (None, Which::Previous) => Err(OperateError::NothingRetired { name }),
        (found, _) => Ok(found),
    }
}

/// Where a store ends now, which another process may write to.
async fn head(store: &Store) -> Result<Option<Position>, ReadError> {
    let refreshing = store.clone();
    // Blocks while it reads.
    let refreshed = tokio::task::spawn_blocking(move || refreshing.refresh());
    refreshed.await.map_err(|error| ReadError::Unavailable { reason: error.to_string() })??;
    store.head().await
}

/// Names whoever builds.
pub(crate) fn owner() -> Arc<str> {
    format!("rebuild:{}", uuid::Uuid::now_v7()).into()
}
