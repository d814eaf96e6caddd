//! An engine that indexes the products, answers questions, and remembers the answers.

use std::time::{Duration, Instant};

use anyhow::Context;
use daybook_domain::product::ProductEvent;
use daybook_domain::values::Money;
use daybook_event_schemas::{Actor, Contract, Metadata, seal};
use daybook_event_store::{
    AtomicAppend, EventStore, Expected, NewEvent, Position, Store, StreamId, StreamWrite,
};
use daybook_projections::catalog::{self as index, CatalogOptions};
use daybook_query_side::catalog::{CacheCounts, Catalog, SearchError};
use fastrand::Rng;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::products::{Assortment, Product, Zipf};
use super::questions::{Kind, Question, different};
use super::{Figures, Latency, Remembered};
use crate::progress::Progress;

/// Products of one append.
const BATCH: u32 = 500;
/// The pause between two looks at how far the index has come.
const LOOK: Duration = Duration::from_millis(200);
/// How long a product's change may take until it can be found.
const PATIENCE: Duration = Duration::from_mins(1);
/// Changes of products among the questions that the cache is asked.
const CHANGES: usize = 10;

/// A store of products.
pub(super) struct Shop {
    pub(super) assortment: Assortment,
    pub(super) products: u32,
    pub(super) store: Store,
}

impl Shop {
    /// Writes the products into the store.
    pub(super) async fn fill(&self) -> anyhow::Result<()> {
        let mut progress = Progress::new("products written", self.products.into());
        for from in (0..self.products).step_by(BATCH as usize) {
            let numbers = from..self.products.min(from + BATCH);
            let mut writes = Vec::new();
            for number in numbers.clone() {
                writes.extend(listing(&self.assortment.product(number)?)?);
            }
            self.store.append_all(writes).await?;
            progress.reach(numbers.end.into());
        }
        progress.finish();
        Ok(())
    }

    /// Has the catalog's worker index them, and asks what it made. `shutdown` stops the worker.
    pub(super) async fn measure(
        &self,
        options: CatalogOptions,
        reader: &Catalog,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Figures> {
        let head = self.store.head().await?.context("the store has no products")?;
        let began = Instant::now();
        let worker = index::Catalog::start(self.store.clone(), options, shutdown.clone()).await?;
        let progress = Progress::new("events indexed", head.0 + 1);
        indexed(&worker, reader, head, progress).await?;
        let index_seconds = began.elapsed().as_secs_f64();
        let (all, kinds) = self.question(reader).await?;
        let cache = self.remember(reader).await?;
        shutdown.cancel();
        worker.join().await?;
        let products_per_second = f64::from(self.products) / index_seconds;
        Ok(Figures { index_seconds, products_per_second, all, kinds, cache })
    }

    /// Asks different questions of each kind, one after the other.
    async fn question(&self, reader: &Catalog) -> anyhow::Result<(Latency, Vec<Latency>)> {
        let count = (self.products as usize / 10).clamp(20, 500);
        let mut progress = Progress::new("questions", (count * Kind::ALL.len()) as u64);
        let (mut all, mut kinds) = (Vec::new(), Vec::new());
        let mut found_of_all = 0;
        for kind in Kind::ALL {
            let (mut millis, mut found) = (Vec::new(), 0);
            for question in different(&self.assortment, self.products, kind, count)? {
                let began = Instant::now();
                found += usize::from(question.ask(reader).await?);
                millis.push(began.elapsed().as_secs_f64() * 1e3);
                progress.step();
            }
            found_of_all += found;
            all.extend_from_slice(&millis);
            kinds.push(Latency::of(kind.name(), found, millis));
        }
        progress.finish();
        Ok((Latency::of("all", found_of_all, all), kinds))
    }

    /// Asks some questions again and again, the first most often, while prices change.
    async fn remember(&self, reader: &Catalog) -> anyhow::Result<Remembered> {
        let searches = (self.products as usize / 2).clamp(1_000, 50_000);
        let questions = self.favourites(searches / 50)?;
        let (often, mut rng) = (Zipf::new(questions.len()), Rng::with_seed(0));
        let mut progress = Progress::new("searches", searches as u64);
        let before = CacheCounts::of_process();
        for n in 0..searches {
            if n % (searches / CHANGES) == 0 {
                self.change(&mut rng, reader).await?;
            }
            questions[often.draw(&mut rng)].ask(reader).await?;
            progress.step();
        }
        progress.finish();
        let counts = CacheCounts::of_process();
        let hits = counts.hits - before.hits;
        let misses = counts.misses - before.misses;
        Ok(Remembered::of(questions.len(), CHANGES, hits, misses))
    }

    /// Searches of every kind, so many in all, one kind as often among the first as another.
    fn favourites(&self, count: usize) -> anyhow::Result<Vec<Question>> {
        let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Suggest);
        let each = count.div_ceil(Kind::ALL.len() - 1);
        let mut questions = Vec::new();
        for kind in kinds {
            questions.extend(different(&self.assortment, self.products, kind, each)?);
        }
        Rng::with_seed(0).shuffle(&mut questions);
        questions.truncate(count);
        Ok(questions)
    }

    /// Changes the price of a product, and waits until it can be found.
    async fn change(&self, rng: &mut Rng, reader: &Catalog) -> anyhow::Result<()> {
        let Product { sku, price, listed, .. } =
            self.assortment.product(rng.u32(..self.products))?;
        let price = Money::new(price.minor + rng.i64(1..100), price.currency);
        let ProductEvent::Listed { at, .. } = listed else { return Ok(()) };
        let events = vec![sealed(&ProductEvent::Repriced { price, at })];
        let stream = StreamId::new("product", sku.as_str())?;
        let appended = self.store.append(&stream, Expected::Any, events).await?;
        let there = reader.wait_for(appended.position, PATIENCE).await?;
        anyhow::ensure!(there, "the catalog index stays behind; the log says why");
        Ok(())
    }
}

/// The writes of a new product.
fn listing(product: &Product) -> anyhow::Result<impl Iterator<Item = StreamWrite> + use<>> {
    let write = |category: &str, event: NewEvent| {
        let stream = StreamId::new(category, product.sku.as_str())?;
        anyhow::Ok(StreamWrite { stream, expected: Expected::NoStream, events: vec![event] })
    };
    let listed = write("product", sealed(&product.listed))?;
    let received = product.received.as_ref().map(|event| write("stock", sealed(event)));
    Ok(std::iter::once(listed).chain(received.transpose()?))
}

fn sealed(event: &impl Contract) -> NewEvent {
    let metadata = Metadata {
        schema_version: 1,
        correlation_id: Uuid::nil(),
        causation_id: Uuid::nil(),
        actor: Actor("bench:search".into()),
        traceparent: None,
    };
    seal(Uuid::now_v7(), event, &metadata)
}

/// Waits until whoever searches finds everything.
async fn indexed(
    worker: &index::Catalog,
    reader: &Catalog,
    head: Position,
    mut progress: Progress,
) -> Result<(), SearchError> {
    let mut position = worker.progress();
    while timeout(LOOK, position.wait_for(|reached| *reached >= Some(head))).await.is_err() {
        progress.reach(position.borrow().map_or(0, |reached| reached.0 + 1));
    }
    loop {
        match reader.wait_for(head, LOOK).await {
            Ok(false) | Err(SearchError::NotReady) => sleep(LOOK / 10).await,
            Ok(true) => break,
            Err(error) => return Err(error),
        }
    }
    progress.reach(head.0 + 1);
    progress.finish();
    Ok(())
}
