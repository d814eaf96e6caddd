use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use daybook_event_store::{EventStore, Position, Store, Tailed};
use daybook_search::Address;
use futures::{StreamExt, pin_mut};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::batch::{Batch, events};
use super::index::CatalogIndex;
use super::known::Known;
use super::versions::CatalogVersions;
use super::{CatalogError, CatalogPlace};

/// The longest pause before starting over.
const MAX_RETRY: Duration = Duration::from_secs(15);
/// How long a stop waits for the last commit.
const GRACE: Duration = Duration::from_secs(10);

/// How the catalog's worker goes about it.
#[derive(Debug, Clone)]
pub struct CatalogOptions {
    /// Where the index is.
    pub place: CatalogPlace,
    /// The version to build, if it is not the one that is read.
    pub version: Option<u32>,
    /// Most products that change in one commit.
    pub batch: usize,
    /// How long changed products may wait for more to be committed with them.
    pub linger: Duration,
    /// How long a checkpoint alone may wait to be committed.
    pub idle: Duration,
    /// How often to look whether the index is still there, and still the one that is read.
    pub check: Duration,
    /// How long to wait before starting over after a failure; after each further one twice as
    /// long, up to 15 s.
    pub retry: Duration,
}

impl CatalogOptions {
    /// The usual way, for an index in this folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let often = Duration::from_millis(500);
        Self { check: often, ..Self::at(CatalogPlace::Folder(path.into())) }
    }

    /// The usual way, for an index on a cluster. What changes there waits longer for more: each
    /// commit has every shard searched anew.
    pub fn on(cluster: Address) -> Self {
        Self { linger: Duration::from_millis(200), ..Self::at(CatalogPlace::Cluster(cluster)) }
    }

    fn at(place: CatalogPlace) -> Self {
        Self {
            place,
            version: None,
            batch: 5_000,
            linger: Duration::from_millis(50),
            idle: Duration::from_secs(1),
            check: Duration::from_secs(5),
            retry: Duration::from_secs(1),
        }
    }
}

/// The running worker.
#[derive(Debug)]
pub struct Catalog {
    progress: watch::Receiver<Option<Position>>,
    interrupted: watch::Receiver<bool>,
    paused: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Catalog {
    /// Opens the index and starts to follow the products. The worker stops, with everything
    /// committed, when `shutdown` is cancelled. A cluster that is away is waited for by the worker.
    ///
    /// # Errors
    /// The index is in use, its folder cannot be used, or its cluster refuses.
    pub async fn start(
        store: Store,
        options: CatalogOptions,
        shutdown: CancellationToken,
    ) -> Result<Self, CatalogError> {
        let opened = match CatalogIndex::open(&options.place, options.version).await {
            Err(CatalogError::Cluster(away)) if away.is_transient() => Err(away.into()),
            opened => Ok(opened?),
        };
        let position = opened.as_ref().map_or(None, |index| index.checkpoint().position);
        let (published, progress) = watch::channel(position);
        let (interruption, interrupted) = watch::channel(false);
        let (pausing, paused) = watch::channel(false);
        let worker = Worker { store, options, shutdown, published, interruption, pausing };
        Ok(Self { progress, interrupted, paused, task: tokio::spawn(worker.run(opened)) })
    }

    /// The position up to which the index, as a reader opens it now, knows every product.
    pub fn progress(&self) -> watch::Receiver<Option<Position>> {
        self.progress.clone()
    }

    /// Whether a failure keeps the worker from its work; it tries again by itself. The sender
    /// lives as long as the worker.
    pub fn interrupted(&self) -> watch::Receiver<bool> {
        self.interrupted.clone()
    }

    /// Waits until the index knows every product up to a position, or is paused, or its worker has
    /// ended.
    pub async fn reach(&self, position: Position) {
        let (mut progress, mut paused) = (self.progress.clone(), self.paused.clone());
        tokio::select! {
            _ = progress.wait_for(|reached| *reached >= Some(position)) => {}
            _ = paused.wait_for(|paused| *paused) => {}
        }
    }

    /// Waits for the worker to stop.
    ///
    /// # Errors
    /// The worker panicked.
    pub async fn join(self) -> Result<(), CatalogError> {
        Ok(self.task.await?)
    }
}

struct Worker {
    store: Store,
    options: CatalogOptions,
    shutdown: CancellationToken,
    published: watch::Sender<Option<Position>>,
    interruption: watch::Sender<bool>,
    pausing: watch::Sender<bool>,
}

impl Worker {
    /// Follows the products until shutdown; after a failure it starts over from the last commit.
    async fn run(self, mut opened: Result<CatalogIndex, CatalogError>) {
        let mut retry = self.options.retry;
        // What it said that it knows, and the version that is live now has to come to, too.
        let mut owed = None;
        loop {
            let begun = *self.published.borrow();
            let followed = match opened {
                Ok(index) => tokio::select! {
                    followed = self.follow(index, owed) => followed,
                    () = self.overdue() => return,
                },
                Err(error) => Err(error),
            };
            let Err(error) = followed else { return };
            if matches!(error, CatalogError::Turned) {
                owed = begun.max(*self.published.borrow());
                opened = CatalogIndex::open(&self.options.place, self.options.version).await;
                continue;
            }
            error!(error = &error as &dyn Error, "the catalog index stopped, retrying");
            self.interruption.send_replace(true);
            if *self.published.borrow() != begun {
                retry = self.options.retry;
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(retry) => retry = MAX_RETRY.min(retry * 2),
            }
            opened = CatalogIndex::open(&self.options.place, self.options.version).await;
        }
    }

    /// Ends when a stop has waited long enough for a cluster that does not answer. What was not
    /// committed is posted again at the next start.
    async fn overdue(&self) {
        self.shutdown.cancelled().await;
        tokio::time::sleep(GRACE).await;
        warn!("the catalog index did not take its last changes in time, and gets them later");
    }

    /// Waits while what is read is paused, with the index closed. `None`: it was stopped meanwhile.
    async fn once_resumed(
        &self,
        index: CatalogIndex,
    ) -> Result<Option<CatalogIndex>, CatalogError> {
        let CatalogOptions { ref place, version, check, .. } = self.options;
        let versions = CatalogVersions::new(place)?;
        if version.is_some() || !versions.roles().await?.paused {
            self.pausing.send_replace(false);
            return Ok(Some(index));
        }
        drop(index);
        self.pausing.send_replace(true);
        while versions.roles().await?.paused {
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(None),
                () = tokio::time::sleep(check) => {}
            }
        }
        self.pausing.send_replace(false);
        CatalogIndex::open(place, version).await.map(Some)
    }

    /// Follows the products until shutdown, and at least up to what is owed.
    async fn follow(
        &self,
        index: CatalogIndex,
        owed: Option<Position>,
    ) -> Result<(), CatalogError> {
        let Some(mut index) = self.once_resumed(index).await? else { return Ok(()) };
        let after = index.checkpoint().position;
        info!(?after, "following the products for the catalog index");
        self.published.send_replace(after);
        let tail = self.store.tail(after, events());
        pin_mut!(tail);
        let mut known = Known::after(after);
        let mut batch = Batch::after(index.checkpoint());
        let mut check = Instant::now() + self.options.check;
        loop {
            let due = batch.due.unwrap_or_else(|| Instant::now() + self.options.idle);
            tokio::select! {
                biased;
                () = self.shutdown.cancelled(), if batch.checkpoint.position >= owed => {
                    return self.commit(index, batch, &mut known).await.map(drop);
                }
                () = sleep_until(due), if batch.due.is_some() => {
                    (index, batch) = self.commit(index, batch, &mut known).await?;
                }
                () = sleep_until(check) => {
                    index.check().await?;
                    check = Instant::now() + self.options.check;
                }
                item = tail.next() => match item.ok_or(CatalogError::Closed)?? {
                    Tailed::Event(recorded) => {
                        batch.take(&self.store, &mut known, &recorded).await?;
                    },
                    Tailed::CaughtUp(position) => self.caught_up(&mut batch, position),
                },
            }
            if batch.changed.len() >= self.options.batch {
                (index, batch) = self.commit(index, batch, &mut known).await?;
            }
        }
    }

    fn caught_up(&self, batch: &mut Batch, position: Position) {
        batch.caught_up = true;
        batch.checkpoint.position = batch.checkpoint.position.max(Some(position));
        let wait = if batch.changed.is_empty() {
            self.publish(batch.checkpoint.position);
            self.options.idle
        } else {
            self.options.linger
        };
        let due = Instant::now() + wait;
        batch.due = Some(batch.due.map_or(due, |earlier| earlier.min(due)));
    }

    /// Says how far the index has come, which it could not while anything was wrong.
    fn publish(&self, position: Option<Position>) {
        self.published.send_replace(position);
        self.interruption.send_replace(false);
    }

    async fn commit(
        &self,
        mut index: CatalogIndex,
        batch: Batch,
        known: &mut Known,
    ) -> Result<(CatalogIndex, Batch), CatalogError> {
        let caught_up = batch.caught_up;
        index = batch.commit(index, known).await?;
        if caught_up && self.options.version.is_none() {
            index.take_over().await?;
        }
        self.publish(index.checkpoint().position);
        let batch = Batch::after(index.checkpoint());
        Ok((index, batch))
    }
}
