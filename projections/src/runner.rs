use std::collections::{BTreeMap, HashSet};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use daybook_event_store::{Position, Store};
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::model::MODELS;
use crate::projection::Projection;
use crate::worker::Worker;
use crate::{Address, Database, DatabaseError, Databases, ProjectionOptions, registry};

/// Why the projections could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// A database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The read models' tables could not be made.
    #[error("the tables of the read models could not be made")]
    Tables(#[from] daybook_database::Error),
    /// The tables of this version were made by a release that declared them otherwise.
    #[error(
        "the tables of projection {name} were made otherwise under the same version {version}: \
         move the database away, and the read models are built again"
    )]
    Changed {
        /// The projection.
        name: &'static str,
        /// The version.
        version: u32,
    },
    /// The metrics could not be registered.
    #[error("the metrics of the projections could not be registered")]
    Metrics(#[from] prometheus::Error),
}

/// What a projection's worker is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// Another worker holds the lease, or another release has taken the read model over.
    #[default]
    Waiting,
    /// It projects the past.
    CatchingUp,
    /// It projects events as they come.
    Live,
    /// An operator keeps it where it is.
    Paused,
    /// The database or the store failed; it will try again.
    Interrupted,
    /// It was shut down, or died of a defect that the log tells.
    Stopped,
}

/// How far a projection has come in this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// What its worker is doing.
    pub state: State,
    /// Every event up to here is in the rows, or parked.
    pub position: Option<Position>,
    /// Events applied since the start.
    pub applied: u64,
    /// Events parked since the start.
    pub parked: u64,
    /// Age of the last projected event while others wait; zero once caught up.
    pub lag: Duration,
}

/// The running projections.
#[derive(Debug)]
pub struct Projections {
    progress: BTreeMap<&'static str, watch::Receiver<Progress>>,
    workers: JoinSet<()>,
}

impl Projections {
    /// Makes the read models' tables where they are missing and starts a worker for each model.
    /// They stop on `shutdown`, after the transaction they are in. A database of some models alone
    /// need not be there yet: their workers wait for it.
    ///
    /// # Errors
    /// A database cannot be used, refuses the tables, or has others.
    pub async fn start(
        store: Store,
        databases: impl Into<Databases>,
        options: ProjectionOptions,
        shutdown: CancellationToken,
    ) -> Result<Self, StartError> {
        let metrics = Metrics::new(&options.metrics)?;
        let running = Self { progress: BTreeMap::new(), workers: JoinSet::new() };
        let (databases, away) = (databases.into(), HashSet::new());
        let mut start = Start { running, store, databases, away, options, shutdown, metrics };
        for model in MODELS {
            model.start(&mut start).await?;
        }
        Ok(start.running)
    }

    /// The projections' names and how far they have come; the receivers follow.
    pub fn progress(&self) -> &BTreeMap<&'static str, watch::Receiver<Progress>> {
        &self.progress
    }

    /// Waits for the end of all workers, after the shutdown.
    pub async fn join(mut self) {
        while let Some(ended) = self.workers.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the worker of a projection ended badly");
            }
        }
    }
}

/// What every worker needs.
pub(crate) struct Start {
    running: Projections,
    store: Store,
    databases: Databases,
    /// Databases that were not there when they were first asked.
    away: HashSet<Address>,
    options: ProjectionOptions,
    shutdown: CancellationToken,
    metrics: Metrics,
}

impl Start {
    pub(crate) async fn worker<P: Projection>(&mut self) -> Result<(), StartError> {
        let installed = self.install::<P>().await?;
        let progress = Arc::new(watch::Sender::new(Progress::default()));
        self.running.progress.insert(P::NAME, progress.subscribe());
        let worker = Worker::<P> {
            store: self.store.clone(),
            database: self.databases.of(P::NAME).clone(),
            installed,
            options: self.options.clone(),
            progress,
            metrics: self.metrics.clone(),
            shutdown: self.shutdown.clone(),
            past: None,
            was_live: false,
            of: PhantomData,
        };
        self.running.workers.spawn(worker.run());
        Ok(())
    }

    /// Makes the tables, unless they are to be in a database of some models alone that is away.
    async fn install<P: Projection>(&mut self) -> Result<bool, StartError> {
        let database = self.databases.of(P::NAME);
        if self.away.contains(database.address()) {
            return Ok(false);
        }
        match install::<P>(database).await {
            Ok(()) => Ok(true),
            Err(StartError::Database(error @ DatabaseError::Unusable { .. }))
                if !std::ptr::eq(database, self.databases.usual()) =>
            {
                let (error, address) = (&error as &dyn std::error::Error, database.address());
                tracing::warn!(error, %address, "a database is away, and its read models wait");
                self.away.insert(address.clone());
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// Makes the tables of a read model where they are missing.
pub(crate) async fn install<P: Projection>(database: &Database) -> Result<(), StartError> {
    database.ready().await?;
    if registry::install::<P>(database).await? {
        Ok(())
    } else {
        Err(StartError::Changed { name: P::NAME, version: P::VERSION })
    }
}
