use std::io;
use std::path::PathBuf;
use std::time::Duration;

use daybook_event_store::Position;
use daybook_search::{Address, ClusterError};
use tantivy::TantivyError;
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout_at};

use super::cache::Cache;
use super::cluster::ClusterCatalog;
use super::embedded::EmbeddedCatalog;
use super::query::{Asked, Beginning, Place};
use super::words::Marker;
use super::{
    CatalogHit, CatalogItem, CatalogPage, CatalogQuery, Facets, Highlights, InvalidQuery,
    Suggestion,
};

/// The pause between two looks at how far the index has come.
const PAUSE: Duration = Duration::from_millis(10);

/// Why a search has no answer.
#[derive(Debug, Error)]
pub enum SearchError {
    /// The query must be changed.
    #[error(transparent)]
    Invalid(#[from] InvalidQuery),
    /// The projection has not written anything yet.
    #[error(
        "the catalog index is not there yet: try again when the catalog projection has started"
    )]
    NotReady,
    /// The folder of the index cannot be read.
    #[error("the folder of the catalog index cannot be read")]
    Folder(#[from] io::Error),
    /// The index cannot be read.
    #[error("the catalog index cannot be read")]
    Index(#[from] TantivyError),
    /// The cluster of the index did not answer.
    #[error("the cluster of the catalog index does not answer")]
    Cluster(#[source] ClusterError),
    /// The search panicked.
    #[error("the search in the catalog failed unexpectedly")]
    Panicked(#[from] tokio::task::JoinError),
}

impl From<ClusterError> for SearchError {
    fn from(error: ClusterError) -> Self {
        if error.is_missing() { Self::NotReady } else { Self::Cluster(error) }
    }
}

/// How far the index has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Every product is known up to here.
    pub position: Option<Position>,
    /// Where a product changed last.
    pub changed: Option<Position>,
    /// Positions of events that were left out, because they could not be read or their product
    /// was refused.
    pub parked: Vec<Position>,
}

/// What an engine found.
pub(crate) struct Found {
    /// The products in their order, with what they are sorted by; one more than asked for, where
    /// there are more.
    pub(crate) items: Vec<(CatalogItem, i64)>,
    pub(crate) total: usize,
    /// How many have the words, whatever the filters.
    pub(crate) matched: usize,
    pub(crate) facets: Option<Facets>,
}

/// The catalog, for questions. Clones share what they have open and remember.
#[derive(Clone)]
pub struct Catalog {
    engine: Engine,
    cache: Cache,
}

#[derive(Clone)]
enum Engine {
    Embedded(EmbeddedCatalog),
    Cluster(ClusterCatalog),
}

impl Engine {
    async fn find(&self, asked: &Asked<'_>, similar: bool) -> Result<Found, SearchError> {
        match self {
            Self::Embedded(catalog) => catalog.find(asked.query, similar).await,
            Self::Cluster(catalog) => catalog.find(asked, similar).await,
        }
    }

    async fn suggest(&self, beginning: Beginning) -> Result<Vec<Suggestion>, SearchError> {
        match self {
            Self::Embedded(catalog) => catalog.suggest(beginning).await,
            Self::Cluster(catalog) => catalog.suggest(&beginning).await,
        }
    }

    async fn progress(&self) -> Result<Progress, SearchError> {
        match self {
            Self::Embedded(catalog) => catalog.progress().await,
            Self::Cluster(catalog) => catalog.progress().await,
        }
    }
}

impl Catalog {
    /// Reads the index in this folder, once it is there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let engine = Engine::Embedded(EmbeddedCatalog::new(path.into()));
        Self { engine, cache: Cache::new(Duration::ZERO) }
    }

    /// Asks the index on a cluster.
    ///
    /// # Errors
    /// The client of the cluster cannot be made.
    pub fn on(address: &Address) -> Result<Self, ClusterError> {
        let engine = Engine::Cluster(ClusterCatalog::new(address)?);
        Ok(Self { engine, cache: Cache::new(Cache::CLUSTER) })
    }

    /// Searches.
    ///
    /// # Errors
    /// The query is refused, or the index cannot be asked and has not answered it before.
    pub async fn search(&self, query: CatalogQuery) -> Result<CatalogPage, SearchError> {
        let asked = query.asked()?;
        let changed = match self.cache.changed(self.engine.progress()).await {
            Ok(changed) => changed,
            Err(error) => return self.cache.stale(&query).ok_or(error),
        };
        if let Some(page) = self.cache.get(&query, changed) {
            return Ok(page);
        }
        match self.ask(asked).await {
            Ok(page) => {
                self.cache.put(query, changed, &page);
                Ok(page)
            }
            Err(error) => self.cache.stale(&query).ok_or(error),
        }
    }

    /// Asks the index. What has the words as they were typed is all there is, unless nothing has.
    async fn ask(&self, asked: Asked<'_>) -> Result<CatalogPage, SearchError> {
        let mut similar = asked.after.as_ref().is_some_and(|place| place.similar);
        let mut found = self.engine.find(&asked, similar).await?;
        if found.matched == 0 && asked.text.is_some() && asked.after.is_none() {
            found = self.engine.find(&asked, true).await?;
            similar = found.matched > 0;
        }
        let Found { mut items, total, facets, .. } = found;
        let more = items.len() > asked.limit;
        items.truncate(asked.limit);
        let last = items.last().filter(|_| more);
        let next =
            last.map(|(item, key)| Place::new(asked.query.sort, similar, *key, &item.sku).cursor());
        let marker = asked.text.map(|text| Marker::new(&text.words, similar));
        let hit = |(item, _): (CatalogItem, i64)| {
            let mark = |text: &str| marker.as_ref().and_then(|marker| marker.mark(text));
            let highlights =
                Highlights { name: mark(&item.name), description: mark(&item.description) };
            CatalogHit { item, highlights }
        };
        let items = items.into_iter().map(hit).collect();
        Ok(CatalogPage { items, total, facets, similar, stale: false, next })
    }

    /// Names of products that have the words typed so far, the last of which may be a part of
    /// one. Each name once, first those that begin with all that was typed.
    ///
    /// # Errors
    /// The text is refused, or the index cannot be asked.
    pub async fn suggest(
        &self,
        typed: &str,
        limit: Option<usize>,
    ) -> Result<Vec<Suggestion>, SearchError> {
        self.engine.suggest(Beginning::of(typed, limit)?).await
    }

    /// How far the index has come.
    ///
    /// # Errors
    /// The index cannot be asked.
    pub async fn progress(&self) -> Result<Progress, SearchError> {
        self.engine.progress().await
    }

    /// Every product, in no order, and the position up to which they are known.
    pub(crate) async fn contents(
        &self,
    ) -> Result<(Vec<CatalogItem>, Option<Position>), SearchError> {
        let (items, progress) = match &self.engine {
            Engine::Embedded(catalog) => catalog.contents().await?,
            Engine::Cluster(catalog) => catalog.contents().await?,
        };
        Ok((items, progress.position))
    }

    /// Waits until every product can be found that was listed up to `position`. `false`: the index
    /// did not come so far in time.
    ///
    /// # Errors
    /// The index cannot be asked.
    pub async fn wait_for(
        &self,
        position: Position,
        timeout: Duration,
    ) -> Result<bool, SearchError> {
        let until = Instant::now() + timeout;
        loop {
            let progress = self.engine.progress().await?;
            if progress.position.is_some_and(|reached| reached >= position) {
                self.cache.note(progress.changed);
                return Ok(true);
            }
            if timeout_at(until, sleep(PAUSE)).await.is_err() {
                return Ok(false);
            }
        }
    }
}
