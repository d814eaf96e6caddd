use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use daybook_domain::Decider;
use daybook_domain::product::{Product, ProductEvent, ProductState};
use daybook_domain::values::Sku;
use daybook_event_schemas::{Envelope, open};
use daybook_event_store::{
    Direction, EventStore, Filter, Position, ReadError, Recorded, Revision, Store, StreamId, Tailed,
};
use futures::{StreamExt, TryStreamExt, pin_mut};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::CatalogError;
use super::index::{CatalogIndex, Checkpoint};

/// Most left out events that a commit names; whatever comes after them is in the log only.
const MAX_PARKED: usize = 1_000;

/// How the catalog's worker goes about it.
#[derive(Debug, Clone)]
pub struct CatalogOptions {
    /// The folder of the index.
    pub path: PathBuf,
    /// Most products that change in one commit.
    pub batch: usize,
    /// How long changed products may wait for more to be committed with them.
    pub linger: Duration,
    /// How long a checkpoint alone may wait to be committed.
    pub idle: Duration,
    /// How long to wait before starting over after a failure.
    pub retry: Duration,
}

impl CatalogOptions {
    /// The usual way, for an index in this folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            batch: 5_000,
            linger: Duration::from_millis(50),
            idle: Duration::from_secs(1),
            retry: Duration::from_secs(1),
        }
    }
}

/// The running worker.
#[derive(Debug)]
pub struct Catalog {
    progress: watch::Receiver<Option<Position>>,
    task: JoinHandle<()>,
}

impl Catalog {
    /// Opens the index and starts to follow the products. The worker stops, with everything
    /// committed, when `shutdown` is cancelled.
    ///
    /// # Errors
    /// The index is in use, or its folder cannot be used.
    pub async fn start(
        store: Store,
        options: CatalogOptions,
        shutdown: CancellationToken,
    ) -> Result<Self, CatalogError> {
        let index = open_index(&options).await?;
        let (published, progress) = watch::channel(index.checkpoint().position);
        let worker = Worker { store, options, shutdown, published };
        Ok(Self { progress, task: tokio::spawn(worker.run(index)) })
    }

    /// The position up to which the index, as a reader opens it now, knows every product.
    pub fn progress(&self) -> watch::Receiver<Option<Position>> {
        self.progress.clone()
    }

    /// Waits for the worker to stop.
    ///
    /// # Errors
    /// The worker panicked.
    pub async fn join(self) -> Result<(), CatalogError> {
        Ok(self.task.await?)
    }
}

async fn open_index(options: &CatalogOptions) -> Result<CatalogIndex, CatalogError> {
    let path = options.path.clone();
    spawn_blocking(move || CatalogIndex::open(&path)).await?
}

struct Worker {
    store: Store,
    options: CatalogOptions,
    shutdown: CancellationToken,
    published: watch::Sender<Option<Position>>,
}

/// What was read and is not committed yet.
struct Batch {
    /// Products that changed, as they stand at the checkpoint.
    products: BTreeMap<Sku, ProductState>,
    checkpoint: Checkpoint,
    /// When to commit it.
    due: Option<Instant>,
}

impl Batch {
    fn after(checkpoint: &Checkpoint) -> Self {
        Self { products: BTreeMap::new(), checkpoint: checkpoint.clone(), due: None }
    }
}

/// Leaves an event out of the index, and says so.
fn park(batch: &mut Batch, recorded: &Recorded, error: &(dyn Error + 'static)) {
    let Recorded { stream, position, .. } = recorded;
    error!(%stream, %position, error, "an event is left out of the catalog index");
    if batch.checkpoint.parked.len() < MAX_PARKED {
        batch.checkpoint.parked.push(*position);
    }
}

impl Worker {
    /// Follows the products until shutdown; after a failure it starts over from the last commit.
    async fn run(self, index: CatalogIndex) {
        let mut opened = Ok(index);
        loop {
            let followed = match opened {
                Ok(index) => self.follow(index).await,
                Err(error) => Err(error),
            };
            let Err(error) = followed else { return };
            error!(error = &error as &dyn Error, "the catalog index stopped, retrying");
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(self.options.retry) => {}
            }
            opened = open_index(&self.options).await;
        }
    }

    async fn follow(&self, mut index: CatalogIndex) -> Result<(), CatalogError> {
        let after = index.checkpoint().position;
        info!(?after, "following the products for the catalog index");
        let tail = self.store.tail(after, Filter::categories(&[Product::CATEGORY]));
        pin_mut!(tail);
        let mut batch = Batch::after(index.checkpoint());
        loop {
            let due = batch.due.unwrap_or_else(|| Instant::now() + self.options.idle);
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => {
                    return self.commit(index, batch).await.map(drop);
                }
                () = sleep_until(due), if batch.due.is_some() => {
                    (index, batch) = self.commit(index, batch).await?;
                }
                item = tail.next() => match item.ok_or(CatalogError::Closed)?? {
                    Tailed::Event(recorded) => self.take(&mut batch, &recorded).await?,
                    Tailed::CaughtUp(position) => self.caught_up(&mut batch, position),
                },
            }
            if batch.products.len() >= self.options.batch {
                (index, batch) = self.commit(index, batch).await?;
            }
        }
    }

    async fn take(&self, batch: &mut Batch, recorded: &Recorded) -> Result<(), ReadError> {
        match open::<ProductEvent>(recorded) {
            Ok(None) => {}
            Ok(Some(event)) => self.apply(batch, &event).await?,
            Err(error) => park(batch, recorded, &error),
        }
        batch.checkpoint.position = Some(recorded.position);
        Ok(())
    }

    async fn apply(
        &self,
        batch: &mut Batch,
        event: &Envelope<ProductEvent>,
    ) -> Result<(), ReadError> {
        let Ok(sku) = event.stream.id().parse() else { return Ok(()) };
        let before = match batch.products.remove(&sku) {
            Some(state) => state,
            None => self.state_before(&event.stream, event.revision).await?,
        };
        batch.products.insert(sku, Product::evolve(before, &event.event));
        Ok(())
    }

    /// The product's state before a revision, from its own stream. Events that cannot be read
    /// were reported when the worker came past them.
    async fn state_before(
        &self,
        stream: &StreamId,
        revision: Revision,
    ) -> Result<ProductState, ReadError> {
        let events = self.store.read(stream, Revision::START, Direction::Forward);
        events
            .try_take_while(|recorded| std::future::ready(Ok(recorded.revision < revision)))
            .try_fold(ProductState::default(), |state, recorded| async move {
                Ok(match open::<ProductEvent>(&recorded) {
                    Ok(Some(event)) => Product::evolve(state, &event.event),
                    _ => state,
                })
            })
            .await
    }

    fn caught_up(&self, batch: &mut Batch, position: Position) {
        batch.checkpoint.position = batch.checkpoint.position.max(Some(position));
        let wait = if batch.products.is_empty() {
            self.published.send_replace(batch.checkpoint.position);
            self.options.idle
        } else {
            self.options.linger
        };
        let due = Instant::now() + wait;
        batch.due = Some(batch.due.map_or(due, |earlier| earlier.min(due)));
    }

    async fn commit(
        &self,
        mut index: CatalogIndex,
        batch: Batch,
    ) -> Result<(CatalogIndex, Batch), CatalogError> {
        if batch.checkpoint != *index.checkpoint() {
            index = spawn_blocking(move || {
                index.commit(&batch.products, batch.checkpoint).map(|()| index)
            })
            .await??;
            self.published.send_replace(index.checkpoint().position);
        }
        let batch = Batch::after(index.checkpoint());
        Ok((index, batch))
    }
}
