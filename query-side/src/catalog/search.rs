use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daybook_event_store::Position;
use serde::Serialize;
use tantivy::collector::sort_key::{SortBySimilarityScore, SortByStaticFastValue, SortByString};
use tantivy::collector::{Collector, Count, DocSetCollector, TopDocs};
use tantivy::query::{AllQuery, Query};
use tantivy::schema::{Field, Value};
use tantivy::{DocAddress, Order, Searcher, TantivyDocument, TantivyError};
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout_at};
use utoipa::ToSchema;

use super::query::cursor;
use super::snapshot::{Fields, Snapshot};
use super::{CatalogQuery, CatalogSort, InvalidQuery};
use crate::Money;

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
    /// The search panicked.
    #[error("the search in the catalog failed unexpectedly")]
    Panicked(#[from] tokio::task::JoinError),
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogPage {
    /// The products of this page.
    pub items: Vec<CatalogItem>,
    /// How many products match, on whatever page.
    pub total: usize,
    /// The cursor of the next page, where there is one. Pages are counted off, so a product that
    /// comes or goes between two pages moves those behind it by one.
    pub next: Option<String>,
}

/// A product that is for sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogItem {
    /// Stock keeping unit.
    pub sku: String,
    /// Who sells and ships it.
    pub seller: String,
    /// What customers call it.
    pub name: String,
    /// Free text about it.
    pub description: String,
    /// Where it stands in the catalogue.
    pub category: String,
    /// Who makes it, where that is known.
    pub brand: Option<String>,
    /// Price of one.
    pub price: Money,
}

/// The catalog's index, open for reading. Every search sees the last commit. Clones share what
/// they have open.
#[derive(Clone)]
pub struct Catalog {
    path: Arc<PathBuf>,
    open: Arc<Mutex<Option<Open>>>,
}

/// The commit that was read last, and the contents of the file that names it.
struct Open {
    meta: Vec<u8>,
    snapshot: Arc<Snapshot>,
}

impl Catalog {
    /// Reads the index in this folder, once it is there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: Arc::new(path.into()), open: Arc::default() }
    }

    /// Searches.
    ///
    /// # Errors
    /// The query is refused, or the index cannot be read.
    pub async fn search(&self, query: CatalogQuery) -> Result<CatalogPage, SearchError> {
        self.blocking(move |snapshot| snapshot.search(&query)).await
    }

    /// The position up to which every product can be found, and the positions of events that were
    /// left out because they could not be read.
    ///
    /// # Errors
    /// The index cannot be read.
    pub async fn progress(&self) -> Result<(Option<Position>, Vec<Position>), SearchError> {
        self.blocking(|snapshot| {
            let parked = snapshot.committed.parked.iter().copied().map(Position).collect();
            Ok((snapshot.position(), parked))
        })
        .await
    }

    /// Every product, in no order, and the position up to which they are known.
    pub(crate) async fn contents(
        &self,
    ) -> Result<(Vec<CatalogItem>, Option<Position>), SearchError> {
        self.blocking(|snapshot| {
            let found = snapshot.searcher.search(&AllQuery, &DocSetCollector)?;
            Ok((snapshot.items(found)?, snapshot.position()))
        })
        .await
    }

    /// Waits until every product can be found that was listed up to `position`. `false`: the index
    /// did not come so far in time.
    ///
    /// # Errors
    /// The index cannot be read.
    pub async fn wait_for(
        &self,
        position: Position,
        timeout: Duration,
    ) -> Result<bool, SearchError> {
        let until = Instant::now() + timeout;
        while self.progress().await?.0.is_none_or(|reached| reached < position) {
            if timeout_at(until, sleep(PAUSE)).await.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Snapshot) -> Result<T, SearchError> + Send + 'static,
    ) -> Result<T, SearchError> {
        let catalog = self.clone();
        tokio::task::spawn_blocking(move || read(&*catalog.snapshot()?)).await?
    }

    fn snapshot(&self) -> Result<Arc<Snapshot>, SearchError> {
        let meta =
            std::fs::read(self.path.join("meta.json")).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => SearchError::NotReady,
                _ => error.into(),
            })?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = open.as_ref().filter(|open| open.meta == meta) {
            return Ok(open.snapshot.clone());
        }
        let snapshot = Arc::new(Snapshot::open(&self.path)?);
        *open = Some(Open { meta, snapshot: snapshot.clone() });
        Ok(snapshot)
    }
}

impl Snapshot {
    fn search(&self, query: &CatalogQuery) -> Result<CatalogPage, SearchError> {
        let (offset, limit) = query.page()?;
        let matching = self.matching(query)?;
        let top = TopDocs::with_limit(limit).and_offset(offset);
        let (found, total) = find(&self.searcher, &matching, top, query.sort)?;
        let items = self.items(found)?;
        let end = offset + items.len();
        let next = if end < total { cursor(end) } else { None };
        Ok(CatalogPage { items, total, next })
    }

    fn items(
        &self,
        found: impl IntoIterator<Item = DocAddress>,
    ) -> Result<Vec<CatalogItem>, TantivyError> {
        let item = |at| Ok(self.fields.item(&self.searcher.doc(at)?));
        found.into_iter().map(item).collect()
    }
}

fn find(
    searcher: &Searcher,
    query: &dyn Query,
    top: TopDocs,
    sort: CatalogSort,
) -> tantivy::Result<(Vec<DocAddress>, usize)> {
    let sku = (SortByString::for_field("sku"), Order::Asc);
    let price = SortByStaticFastValue::<i64>::for_field("price");
    match sort {
        CatalogSort::Relevance => {
            collect(searcher, query, top.order_by((SortBySimilarityScore, sku)))
        }
        CatalogSort::PriceAscending => {
            collect(searcher, query, top.order_by(((price, Order::Asc), sku)))
        }
        CatalogSort::PriceDescending => {
            collect(searcher, query, top.order_by(((price, Order::Desc), sku)))
        }
    }
}

fn collect<Key: Send + Sync + 'static>(
    searcher: &Searcher,
    query: &dyn Query,
    top: impl Collector<Fruit = Vec<(Key, DocAddress)>>,
) -> tantivy::Result<(Vec<DocAddress>, usize)> {
    let (found, total) = searcher.search(query, &(top, Count))?;
    Ok((found.into_iter().map(|(_, at)| at).collect(), total))
}

impl Fields {
    fn item(&self, document: &TantivyDocument) -> CatalogItem {
        let text = |field: Field| {
            let value = document.get_first(field);
            value.and_then(|value| Some(value.as_str()?.to_owned()))
        };
        let required = |field| text(field).unwrap_or_default();
        let amount = document.get_first(self.price).and_then(|value| value.as_i64());
        CatalogItem {
            sku: required(self.sku),
            seller: required(self.seller),
            name: required(self.name),
            description: required(self.description),
            category: required(self.category),
            brand: text(self.brand),
            price: Money { amount: amount.unwrap_or_default(), currency: required(self.currency) },
        }
    }
}
