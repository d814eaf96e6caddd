use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use daybook_event_store::Position;
use prometheus::{IntCounter, register_int_counter};

use super::{CatalogPage, CatalogQuery, Progress, SearchError};

/// Most products on all pages that are remembered.
const MAX_ITEMS: u64 = 50_000;

/// What was answered, and of which state of the index. An answer holds until a product changes.
#[derive(Clone)]
pub(super) struct Cache {
    pages: moka::sync::Cache<CatalogQuery, Arc<Answered>>,
    known: Arc<Mutex<Option<Known>>>,
    /// How long that may be believed.
    belief: Duration,
}

/// Where a product changed last, and when that was asked.
#[derive(Clone, Copy)]
struct Known {
    changed: Option<Position>,
    asked: Instant,
}

struct Answered {
    changed: Option<Position>,
    page: CatalogPage,
}

struct Metrics {
    hits: IntCounter,
    misses: IntCounter,
    stale: IntCounter,
}

static METRICS: LazyLock<Option<Metrics>> = LazyLock::new(|| {
    let counter = |name: &str, help| {
        register_int_counter!(format!("daybook_query_catalog_cache_{name}_total"), help).ok()
    };
    Some(Metrics {
        hits: counter("hits", "searches in the catalog that were answered from memory")?,
        misses: counter("misses", "searches in the catalog that the index was asked for")?,
        stale: counter("stale", "searches in the catalog that got an old answer")?,
    })
});

/// Searches in the catalog since the process began, by whether they were answered from memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Those that were.
    pub hits: u64,
    /// Those that the index was asked for.
    pub misses: u64,
}

impl CacheCounts {
    /// Those of this process, whatever catalog they asked.
    pub fn of_process() -> Self {
        METRICS.as_ref().map_or_else(Self::default, |metrics| Self {
            hits: metrics.hits.get(),
            misses: metrics.misses.get(),
        })
    }
}

impl Cache {
    /// How long it is believed of a cluster that no product changed: a change may be found so much
    /// later than it could be.
    pub(super) const CLUSTER: Duration = Duration::from_millis(250);

    pub(super) fn new(belief: Duration) -> Self {
        let items = |_: &CatalogQuery, answered: &Arc<Answered>| {
            u32::try_from(answered.page.items.len() + 1).unwrap_or(u32::MAX)
        };
        let pages = moka::sync::Cache::builder().weigher(items).max_capacity(MAX_ITEMS).build();
        Self { pages, known: Arc::default(), belief }
    }

    /// Where a product changed last, asked only if what is known of it is too old.
    pub(super) async fn changed(
        &self,
        ask: impl Future<Output = Result<Progress, SearchError>>,
    ) -> Result<Option<Position>, SearchError> {
        let known = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Known { changed, asked }) = known
            && asked.elapsed() < self.belief
        {
            return Ok(changed);
        }
        let changed = ask.await?.changed;
        self.note(changed);
        Ok(changed)
    }

    /// Notes where a product changed last.
    pub(super) fn note(&self, changed: Option<Position>) {
        let known = Some(Known { changed, asked: Instant::now() });
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    /// The answer that still holds.
    pub(super) fn get(
        &self,
        query: &CatalogQuery,
        changed: Option<Position>,
    ) -> Option<CatalogPage> {
        let answered = self.pages.get(query).filter(|answered| answered.changed == changed);
        if let Some(metrics) = &*METRICS {
            let counter = if answered.is_some() { &metrics.hits } else { &metrics.misses };
            counter.inc();
        }
        answered.map(|answered| answered.page.clone())
    }

    pub(super) fn put(&self, query: CatalogQuery, changed: Option<Position>, page: &CatalogPage) {
        self.pages.insert(query, Arc::new(Answered { changed, page: page.clone() }));
    }

    /// The last answer, whether or not it still holds.
    pub(super) fn stale(&self, query: &CatalogQuery) -> Option<CatalogPage> {
        let answered = self.pages.get(query)?;
        if let Some(metrics) = &*METRICS {
            metrics.stale.inc();
        }
        Some(CatalogPage { stale: true, ..answered.page.clone() })
    }
}
