//! Search in the folder in which the projection keeps its index, in this process or another.

mod browse;
mod column;
mod snapshot;
mod suggest;
mod text;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tantivy::collector::DocSetCollector;
use tantivy::query::AllQuery;
use tokio::task::spawn_blocking;

use self::browse::Browse;
pub(crate) use self::snapshot::Committed;
use self::snapshot::Snapshot;
use self::suggest::Suggest;
use super::query::{Asked, Beginning};
use super::{CatalogItem, CatalogQuery, Found, Progress, SearchError, Suggestion};

/// The index in a folder, open for reading. Every question sees the last commit. Clones share what
/// they have open.
#[derive(Clone)]
pub(crate) struct EmbeddedCatalog {
    path: Arc<PathBuf>,
    open: Arc<Mutex<Option<Open>>>,
}

/// The commit that was read last, and the contents of the file that names it.
struct Open {
    version: String,
    meta: Vec<u8>,
    snapshot: Arc<Snapshot>,
}

impl EmbeddedCatalog {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path: Arc::new(path), open: Arc::default() }
    }

    pub(crate) async fn find(
        &self,
        query: &CatalogQuery,
        similar: bool,
    ) -> Result<Found, SearchError> {
        let query = query.clone();
        self.blocking(move |snapshot| snapshot.find(&query.asked()?, similar)).await
    }

    pub(crate) async fn suggest(
        &self,
        beginning: Beginning,
    ) -> Result<Vec<Suggestion>, SearchError> {
        self.blocking(move |snapshot| snapshot.suggest(&beginning)).await
    }

    pub(crate) async fn progress(&self) -> Result<Progress, SearchError> {
        self.blocking(|snapshot| Ok(snapshot.progress.clone())).await
    }

    pub(crate) async fn contents(&self) -> Result<(Vec<CatalogItem>, Progress), SearchError> {
        self.blocking(|snapshot| {
            let found = snapshot.searcher.search(&AllQuery, &DocSetCollector)?;
            let items = found.into_iter().map(|at| snapshot.item(at));
            Ok((items.collect::<Result<_, _>>()?, snapshot.progress.clone()))
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Snapshot) -> Result<T, SearchError> + Send + 'static,
    ) -> Result<T, SearchError> {
        let catalog = self.clone();
        spawn_blocking(move || read(&*catalog.snapshot()?)).await?
    }

    fn snapshot(&self) -> Result<Arc<Snapshot>, SearchError> {
        let live = read(&self.path.join("live"))?;
        let live = String::from_utf8_lossy(&live);
        let version = live.lines().next().unwrap_or_default().trim().to_owned();
        let folder = self.path.join(&version);
        let meta = read(&folder.join("meta.json"))?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |open: &&Open| open.version == version && open.meta == meta;
        if let Some(open) = open.as_ref().filter(same) {
            return Ok(open.snapshot.clone());
        }
        let snapshot = Arc::new(Snapshot::open(&folder)?);
        *open = Some(Open { version, meta, snapshot: snapshot.clone() });
        Ok(snapshot)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, SearchError> {
    std::fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => SearchError::NotReady,
        _ => error.into(),
    })
}

impl Snapshot {
    fn find(&self, asked: &Asked, similar: bool) -> Result<Found, SearchError> {
        let matching = self.matching(asked.text.as_ref(), similar)?;
        let browsed = self.searcher.search(&matching, &Browse::new(asked))?;
        let items = browsed.products.into_iter().map(|(at, key)| Ok((self.item(at)?, key)));
        Ok(Found {
            items: items.collect::<Result<_, SearchError>>()?,
            total: browsed.total,
            matched: browsed.matched,
            facets: browsed.facets,
        })
    }

    fn suggest(&self, beginning: &Beginning) -> Result<Vec<Suggestion>, SearchError> {
        let found = self.searcher.search(&self.beginning(beginning), &Suggest::new(beginning))?;
        let suggestion = |at| {
            let CatalogItem { name, category, sku, .. } = self.item(at)?;
            Ok(Suggestion { name, category, sku })
        };
        found.into_iter().map(suggestion).collect()
    }
}
